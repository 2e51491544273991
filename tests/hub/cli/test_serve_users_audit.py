"""The hub's own commands, run as a person runs them."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import CAMHUB, RunningHub, login, serving

pytestmark = pytest.mark.process


def camhub(*arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*CAMHUB, *arguments], capture_output=True, text=True, timeout=60, check=False, **more
    )


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, Path]]:
    """A served hub and its data directory."""
    data = tmp_path_factory.mktemp("data")
    with serving(data) as running:
        yield running, data


def test_open_address_is_refused(tmp_path: Path) -> None:
    """serve refuses an address beyond this machine without TLS, in one sentence."""
    told = camhub("serve", "--host", "0.0.0.0", "--data", str(tmp_path))

    assert told.returncode == 2
    assert "--tls-cert and --tls-key, or --behind-proxy" in told.stderr
    assert "Traceback" not in told.stderr


def test_port_that_is_taken_is_named(hub: tuple[RunningHub, Path], tmp_path: Path) -> None:
    """serve and demo name the port that is taken and the option that chooses another."""
    port = str(httpx.URL(hub[0].url).port)

    served = camhub("serve", "--port", port, "--data", str(tmp_path))

    assert served.returncode == 2
    assert f"port {port} on 127.0.0.1 is taken" in served.stderr
    assert "--port" in served.stderr
    assert "Traceback" not in served.stderr


def test_damaged_database_is_named(tmp_path: Path) -> None:
    """A file that is no database ends the start with a sentence, not with a traceback."""
    (tmp_path / "camhub.db").write_bytes(b"not a database at all" * 100)

    told = camhub("serve", "--port", "0", "--data", str(tmp_path))

    assert told.returncode == 2
    assert "camhub.db" in told.stderr
    assert "Traceback" not in told.stderr


def test_people_are_managed_beside_a_running_hub(hub: tuple[RunningHub, Path]) -> None:
    """add, list, token, reset and disable work on the store of a hub that runs, and the hub obeys at once."""
    running, data = hub
    where = ("--data", str(data))

    added = json.loads(
        camhub("users", "add", "lan", "--role", "viewer", "--area", "*", "--json", *where).stdout
    )
    twice = camhub("users", "add", "lan", *where)
    client = login(running.url, "lan", added["one_time_password"])
    token = camhub("users", "token", "admin", "--label", "test", *where).stdout.strip()
    by_token = httpx.get(f"{running.url}/api/v1/cameras", headers={"authorization": f"Bearer {token}"})
    reset = camhub("users", "reset", "lan", *where).stdout.split()[-1]
    after_reset = client.get("/api/v1/me")
    again = login(running.url, "lan", reset)
    disabled = camhub("users", "disable", "lan", *where)
    after_disable = again.get("/api/v1/me")
    last = camhub("users", "disable", "admin", *where)
    listed = json.loads(camhub("users", "list", "--json", *where).stdout)
    client.close()
    again.close()

    assert twice.returncode == 2
    assert "lan" in twice.stderr
    assert by_token.status_code == 200
    assert (after_reset.status_code, after_disable.status_code) == (401, 401)
    assert disabled.returncode == 0
    assert last.returncode == 2
    assert "last administrator" in last.stderr
    assert {user["name"]: user["disabled"] for user in listed} == {"admin": False, "lan": True}


def test_directory_without_a_hub_is_named(tmp_path: Path) -> None:
    """users and audit say where they looked instead of making an empty hub."""
    told = camhub("users", "list", "--data", str(tmp_path / "none"))

    assert told.returncode == 2
    assert "there is no hub in" in told.stderr
    assert not (tmp_path / "none").exists()


def test_audit_verify_names_the_broken_record(tmp_path: Path) -> None:
    """An intact chain gives 0; an altered record gives 1 and its number."""
    with serving(tmp_path):
        pass
    intact = camhub("audit", "verify", "--data", str(tmp_path), "--json")
    with sqlite3.connect(tmp_path / "camhub.db") as database:
        (total,) = database.execute("SELECT max(seq) FROM audit").fetchone()
        for (trigger,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            database.execute(f'DROP TRIGGER "{trigger}"')
        database.execute("UPDATE audit SET subject = 'user/somebody-else' WHERE seq = 3")
    database.close()
    broken = camhub("audit", "verify", "--data", str(tmp_path))
    told = json.loads(camhub("audit", "verify", "--data", str(tmp_path), "--json").stdout)

    assert intact.returncode == 0
    assert json.loads(intact.stdout) == {"ok": True, "checked_to": total, "broken_at": None, "why": None}
    assert broken.returncode == 1
    assert "record 3" in broken.stderr
    assert (told["ok"], told["broken_at"]) == (False, 3)


def test_data_directory_is_private(hub: tuple[RunningHub, Path]) -> None:
    """Database and key file are readable by their owner only."""
    _, data = hub

    for name in ("camhub.db", "keys"):
        assert (data / name).stat().st_mode & 0o077 == 0, name
