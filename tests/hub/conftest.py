"""Databases and Redis for the hub's tests: SQLite in a file, and real servers on loopback that the tests start."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from free_ports import free_port

NewUrl = Callable[[], str]


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            pytest.fail(f"the server ended at once: {log.read_text(errors='replace')[-500:]}")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the server does not listen on port {port} after 60 s")


@pytest.fixture(scope="session")
def redis_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A real redis-server of our own."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis: needs Debian's redis-server")
    folder, port = tmp_path_factory.mktemp("redis"), free_port()
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"],
            cwd=folder,
            stdout=out,
            stderr=out,
        )
    try:
        _wait_for(port, process, log)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def redis_url(redis_port: int) -> str:
    """The address of a Redis that holds nothing."""
    import redis

    url = f"redis://127.0.0.1:{redis_port}/0"
    client = redis.Redis.from_url(url)
    client.flushall()
    client.close()
    return url


def _postgres_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if found:
        return found[-1].parent
    program = shutil.which("initdb")
    return Path(program).parent if program else None


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """A real PostgreSQL of our own; as another user where we are root, since it refuses root."""
    programs = _postgres_programs()
    if programs is None:
        pytest.skip("postgres: needs Debian's postgresql")
    who: dict[str, object] = {}
    folder = Path(tempfile.mkdtemp(prefix="camhub-postgres-"))
    if os.geteuid() == 0:
        import pwd

        try:
            account = pwd.getpwnam("postgres")
        except KeyError:
            account = pwd.getpwnam("nobody")
        who = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        os.chown(folder, account.pw_uid, account.pw_gid)
    data, log, port = folder / "data", folder / "log", free_port()
    process = None
    try:
        subprocess.run(
            [
                programs / "initdb",
                "-D",
                data,
                "-U",
                "camhub",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ],
            check=True,
            capture_output=True,
            cwd=folder,
            **who,  # type: ignore[call-overload]
        )
        with log.open("wb") as out:
            process = subprocess.Popen(
                [programs / "postgres", "-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", "", "-F"],
                cwd=folder,
                stdout=out,
                stderr=out,
                **who,  # type: ignore[call-overload]
            )
        _wait_for(port, process, log)
        yield port
    finally:
        if process is not None:
            process.terminate()
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> NewUrl:
    """Makes addresses of empty databases, on SQLite and on PostgreSQL."""
    numbers = count()
    if request.param == "sqlite":
        return lambda: f"sqlite+aiosqlite:///{tmp_path}/hub-{next(numbers)}.db"
    return lambda: postgres_database(request.getfixturevalue("postgres_port"))


def postgres_database(port: int) -> str:
    """Make an empty database and return its address."""
    import asyncio
    import uuid

    import asyncpg

    name = f"t{uuid.uuid4().hex}"

    async def make() -> None:
        async with asyncio.timeout(120):
            while True:
                try:
                    connection = await asyncpg.connect(
                        host="127.0.0.1", port=port, user="camhub", database="postgres"
                    )
                    break
                except asyncpg.CannotConnectNowError:  # it listens, and is still starting up
                    await asyncio.sleep(0.1)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()

    # the caller may stand in a loop of its own
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, make()).result()
    return f"postgresql+asyncpg://camhub@127.0.0.1:{port}/{name}"


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The address of an empty SQLite file."""
    return f"sqlite+aiosqlite:///{tmp_path}/hub.db"
