"""A real hub in a process of its own, for tests that use it as people and scripts do."""

import contextlib
import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from free_ports import free_port

CAMHUB = [sys.executable, "-m", "hub"]


@dataclass
class RunningHub:
    """A started hub: where it is, its process, and a signed-in administrator's client."""

    url: str
    process: subprocess.Popen[str]
    client: httpx.Client
    passwords: dict[str, str] = field(default_factory=dict)


def read_until(process: subprocess.Popen[str], pattern: str, seconds: float) -> tuple[re.Match[str], str]:
    """Read standard output until a line matches; raise with everything read where none does in time."""
    assert process.stdout is not None
    descriptor = (
        process.stdout.fileno()
    )  # read here only: a text layer would keep lines that select cannot see
    deadline = time.monotonic() + seconds
    seen = b""
    while time.monotonic() < deadline:
        ready, _, _ = select.select([descriptor], [], [], 0.2)
        if ready:
            chunk = os.read(descriptor, 4096)
            seen += chunk
            match = re.search(pattern, seen.decode(errors="replace"))
            if match:
                return match, seen.decode(errors="replace")
            if not chunk:
                break
    raise AssertionError(f"no {pattern!r} in what it printed within {seconds:.0f} s:\n{seen.decode()}")


def login(url: str, username: str, password: str) -> httpx.Client:
    """Return a client signed in by cookie, sending the CSRF token back with each request."""
    client = httpx.Client(base_url=url, timeout=60)
    answer = client.post("/api/v1/login", json={"username": username, "password": password})
    assert answer.status_code == 200, answer.text
    client.headers["x-csrftoken"] = client.cookies["csrftoken"]
    return client


@contextmanager
def simulators(*presets: str, arguments: tuple[str, ...] = ()) -> Iterator[list[dict[str, Any]]]:
    """Run `camhub simulate` and return its cameras, in the order of the presets, each with the process's `pid`."""
    process = subprocess.Popen(
        [*CAMHUB, "simulate", *presets, "--json", *arguments], stdout=subprocess.PIPE, text=True, bufsize=1
    )
    try:
        assert process.stdout is not None
        yield [{**json.loads(process.stdout.readline()), "pid": process.pid} for _ in presets]
    finally:
        stop(process)


def stop(process: subprocess.Popen[str]) -> None:
    """Interrupt a process as a person would, and insist after 30 s."""
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(signal.SIGINT)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)
    if process.stdout is not None:
        process.stdout.close()


@contextmanager
def serving(data: Path, **settings: str) -> Iterator[RunningHub]:
    """Run `camhub serve` on a free port with loopback cameras allowed and short windows; sign in as its administrator."""
    port = free_port()
    environment = {
        **os.environ,
        "CAMHUB_DATA_DIR": str(data),
        "CAMHUB_NETWORKS__ALLOW": '["127.0.0.0/8"]',
        "CAMHUB_RELAY__UDP_PORT": "0",
        "CAMHUB_RELAY__WORKERS": "1",
        "CAMHUB_RELAY__SPARE": "false",
        "CAMHUB_PROBE_WINDOW_S": "1",
        "CAMHUB_CHECK_LIMIT_S": "60",
        "PYTHONUNBUFFERED": "1",
        **settings,
    }
    process = subprocess.Popen(
        [*CAMHUB, "serve", "--port", str(port)], stdout=subprocess.PIPE, text=True, env=environment, bufsize=1
    )
    url = f"http://127.0.0.1:{port}"
    try:
        match, _ = read_until(process, r"(?s)admin\b.*?password\W+(\S+)", 180)
        one_time = match.group(1)
        deadline = time.monotonic() + 90
        while True:
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/readyz").status_code == 200:
                    break
            assert time.monotonic() < deadline, "the hub did not become ready in 90 s"
            time.sleep(0.1)
        client = login(url, "admin", one_time)
        password = "a long enough password 1"
        changed = client.patch("/api/v1/me", json={"current_password": one_time, "new_password": password})
        assert changed.status_code == 200, changed.text
        client.close()
        client = login(url, "admin", password)
        try:
            yield RunningHub(url, process, client, {"admin": password})
        finally:
            client.close()
    finally:
        stop(process)


def onboard(
    hub: RunningHub, address: str, username: str = "", password: str = "", **more: object
) -> dict[str, object]:
    """Add a camera and wait for the end of its onboarding; return the whole onboarding."""
    body: dict[str, object] = {
        "address": address,
        "name": "Camera thử",
        "custodian": {"kind": "authority", "name": "Phường Hạc Thành"},
        "permission": {"granted_by": "test", "basis": "authority"},
        **more,
    }
    if username:
        body |= {"username": username, "password": password}
    answer = hub.client.post("/api/v1/onboardings", json=body)
    assert answer.status_code == 201, answer.text
    where = f"/api/v1/onboardings/{answer.json()['id']}"
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        now: dict[str, object] = hub.client.get(where).json()
        if now["state"] != "running":
            return now
        time.sleep(0.2)
    raise AssertionError(f"the onboarding did not end: {now}")


def decided(camera: dict[str, Any]) -> str:
    """Return a camera's decision, but for a frame rate that a starved machine could not code (VQ-02 alone)."""
    rules = {reason["rule"] for reason in camera["decision_reasons"]}
    return "ADMITTED" if rules == {"VQ-02"} else str(camera["decision"])
