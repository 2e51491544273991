"""A real hub inside the test process, on a thread of its own, spoken to over HTTP as people and scripts do."""

import asyncio
import io
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import structlog

from adapters.clock import Clock, SystemClock
from adapters.secret import Secret
from hub.access.accounts import NewUser
from hub.app import Hub
from hub.observe import configure_logging
from hub.settings import Events, Health, Networks, Relay, Settings
from hub.store.chain import HUB

Result = TypeVar("Result")
PASSWORD = "a long enough password 1"
AUTHORITY = {"kind": "authority", "name": "Phường Hạc Thành"}
PERMISSION = {"granted_by": "Nguyễn Văn A", "basis": "authority"}


class JumpClock(SystemClock):
    """The machine's clock, with a way to let time pass at once."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def now(self) -> datetime:
        """Return the wall time, ahead of the machine's."""
        return super().now() + timedelta(seconds=self.ahead_s)

    def monotonic(self) -> float:
        """Return monotonic seconds, ahead of the machine's."""
        return super().monotonic() + self.ahead_s


class HubThread:
    """A running hub and its loop."""

    def __init__(self, settings: Settings, ui: Path | None, clock: Clock | None = None) -> None:
        self._settings = settings
        self._ui = ui
        self._clock = clock
        self._started = threading.Event()
        self._failure: BaseException | None = None
        self._clients: list[httpx.Client] = []
        self.log = io.StringIO()  # what the hub's process logs, at level debug
        self._thread = threading.Thread(target=self._main, name="hub", daemon=True)
        self.hub: Hub
        self.loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event

    def _main(self) -> None:
        async def run() -> None:
            self.loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
            async with Hub.start(self._settings, ui=self._ui, clock=self._clock) as hub:
                self.hub = hub
                self._started.set()
                await self._stop.wait()

        try:
            asyncio.run(run())
        except BaseException as error:
            self._failure = error
        finally:
            self._started.set()

    def start(self) -> None:
        """Start it; raise what it raised."""
        self._thread.start()
        self._started.wait(120)
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Stop it; raise what it raised."""
        for client in self._clients:
            client.close()
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join(60)
            assert not self._thread.is_alive(), "the hub did not stop within 60 s"
        if self._failure is not None:
            raise self._failure

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run something on the hub's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    @property
    def url(self) -> str:
        """Return its address."""
        return self.hub.url

    def add_user(self, name: str, role: str, **more: Any) -> None:
        """Add a person with the tests' password."""
        self.run(self.hub.services.accounts.add(NewUser(name, role, password=Secret(PASSWORD), **more), HUB))

    def client(self, **headers: str) -> httpx.Client:
        """Return a client that is closed with the hub."""
        client = httpx.Client(base_url=self.url, timeout=60, headers=headers)
        self._clients.append(client)
        return client

    def login(self, name: str, password: str = PASSWORD, **headers: str) -> httpx.Client:
        """Return a client with a session cookie that sends the CSRF token."""
        client = self.client(**headers)
        answer = client.post("/api/v1/login", json={"username": name, "password": password})
        assert answer.status_code == 200, answer.text
        client.headers["x-csrftoken"] = client.cookies["csrftoken"]
        return client


def settings_for(data: Path, **more: Any) -> Settings:
    """Return settings for a hub of a test: loopback cameras allowed, free ports, short windows.

    It speaks to a camera only when it is asked to: no sweep and no events, which would begin at moments of their own.
    """
    given: dict[str, Any] = {
        "data_dir": data,
        "port": 0,
        "host": "127.0.0.1",
        "networks": Networks(allow=["127.0.0.0/8"], public=False),
        "relay": Relay(udp_port=0, workers=1, spare=False),
        "health": Health(sweep=False),
        "events": Events(pull=False),
        "probe_window_s": 0.5,
        "check_limit_s": 60.0,
        "log_level": "error",
        **more,
    }
    return Settings(**given)


@contextmanager
def running_hub(
    data: Path, ui: Path | None = None, clock: Clock | None = None, **more: Any
) -> Iterator[HubThread]:
    """Run a hub whose administrator ``admin`` has the tests' password."""
    thread = HubThread(settings_for(data, **more), ui, clock)
    configure_logging("debug", "json", thread.log)
    thread.start()
    try:
        first = thread.hub.first_administrator
        if first is not None:
            accounts = thread.hub.services.accounts
            thread.run(accounts.change_password(first.user.id, first.password, Secret(PASSWORD)))
        yield thread
    finally:
        thread.stop()
        structlog.reset_defaults()


def onboard(
    client: httpx.Client, address: str, user: str = "", password: str = "", **more: Any
) -> dict[str, Any]:
    """Offer a camera and return the onboarding once it has ended."""
    body: dict[str, Any] = {
        "address": address,
        "name": "Camera thử",
        "custodian": AUTHORITY,
        "permission": PERMISSION,
        **more,
    }
    if user:
        body |= {"username": user, "password": password}
    answer = client.post("/api/v1/onboardings", json=body)
    assert answer.status_code == 201, answer.text
    return wait_for_end(client, answer.json()["id"])


def wait_for_end(client: httpx.Client, onboarding: str, seconds: float = 120) -> dict[str, Any]:
    """Return an onboarding once it runs no more."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        now: dict[str, Any] = client.get(f"/api/v1/onboardings/{onboarding}").json()
        if now["state"] != "running":
            return now
        time.sleep(0.1)
    raise AssertionError(f"the onboarding did not end: {now}")
