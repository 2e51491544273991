"""Measured liveness: one gentle question, two misses make a fault, one answer mends it, never asked stays not measured."""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hub_support import simulators
from patience import PATIENCE_S
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.target import parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from hub.health.ping import ping
from hub.settings import Health

pytestmark = pytest.mark.process  # each test runs a whole hub

SOAP = b"HTTP/1.1 200 OK\r\nContent-Type: application/soap+xml\r\n\r\n<s:Envelope><s:Body/></s:Envelope>"
RTSP = b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nPublic: OPTIONS\r\n\r\n"


class Device:
    """A device on loopback: counts requests, answers with bytes, or accepts and stays silent."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []


@contextmanager
def device(answer: bytes) -> Iterator[tuple[Device, int]]:
    """Run a device."""
    made = Device(answer)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    stopped = threading.Event()

    def serve() -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(60)
                try:
                    made.requests.append(connection.recv(65536))
                    if made.answer:
                        connection.sendall(made.answer)
                    else:
                        connection.recv(1)  # until the other side has had enough
                except OSError:
                    continue

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield made, int(listener.getsockname()[1])
    finally:
        stopped.set()
        thread.join()
        listener.close()


def ask(url: str, within_s: float = 60.0) -> str:
    """Ask once with so much patience; return the error's code, "" for an answer."""

    async def work() -> str:
        clock = SystemClock()
        try:
            await ping(parse_target(url)[0], Dialer(LAN_AND_LOOPBACK), Deadline.after(clock, within_s))
        except AdapterError as error:
            return error.code
        return ""

    return asyncio.run(work())


@pytest.mark.parametrize(
    ("scheme", "answer", "code"),
    [
        ("rtsp", RTSP, ""),
        ("rtsp", b"RTSP/1.0 401 Unauthorized\r\nCSeq: 1\r\n\r\n", ""),
        ("rtsp", b"HTTP/1.1 400 Bad Request\r\n\r\n", "not_the_protocol"),
        ("rtsp", b"", "timed_out"),
        ("onvif", SOAP, ""),
        ("onvif", SOAP.replace(b"200 OK", b"500 Internal Server Error"), ""),
        ("onvif", b"HTTP/1.1 200 OK\r\n\r\n<html></html>", "not_the_protocol"),
        ("hikvision", b"HTTP/1.1 401 Unauthorized\r\n\r\n", ""),
        ("dahua", b"RTSP/1.0 400 Bad Request\r\n\r\n", "not_the_protocol"),
    ],
)
def test_question_is_one_request_without_credential(scheme: str, answer: bytes, code: str) -> None:
    """Any answer in the right protocol is life; anything else is not; one request, no login in it."""
    with device(answer) as (made, port):
        assert ask(f"{scheme}://127.0.0.1:{port}", 0.5 if code == "timed_out" else 60.0) == code

    assert len(made.requests) == 1
    assert b"uthorization" not in made.requests[0]
    assert b"UsernameToken" not in made.requests[0]


def test_endless_answer_is_bounded() -> None:
    """A device that sends without end is read to the limit and no further."""
    with device(b"x" * 5_000_000) as (_, port):
        assert ask(f"rtsp://127.0.0.1:{port}") == "not_the_protocol"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubThread]:
    """A hub that sweeps each second."""
    with running_hub(tmp_path, health=Health(interval_s=1.0, timeout_s=1.0, per_second=100)) as started:
        yield started


def wait_for(told: Callable[[], str], state: str, seconds: float = PATIENCE_S) -> None:
    """Wait until the state is told."""
    deadline = time.monotonic() + seconds
    while told() != state:
        assert time.monotonic() < deadline, told()
        time.sleep(0.05)


def test_sweep_tells_alive_fault_and_alive_again(hub: HubThread) -> None:
    """A camera that answers is alive; silent twice it is a fault with cause and since; answering again it is alive."""
    admin = hub.login("admin")
    with device(RTSP) as (made, port):
        body = {"name": "Quét", "address": f"rtsp://127.0.0.1:{port}/live"}
        camera = admin.post("/api/v1/cameras", json=body).json()["id"]

        def state() -> str:
            return str(admin.get(f"/api/v1/cameras/{camera}").json()["health"]["state"])

        assert state() in {"not_measured", "alive"}
        wait_for(state, "alive")
        made.answer = b""
        wait_for(state, "fault")
        health = admin.get(f"/api/v1/cameras/{camera}").json()["health"]
        assert health["cause"]["en"] == "No answer"
        assert health["since"] <= health["measured_at"]
        made.answer = RTSP
        wait_for(state, "alive")
        # On a busy machine one more look may come too late in between.
        wait_for(lambda: str(admin.get("/api/v1/cameras/counts").json()["health"]), "{'alive': 1}")
        wait_for(state, "alive")
        assert admin.get("/api/v1/cameras?health=alive").json()["total"] == 1


def test_owner_who_does_not_share_health_is_not_asked(hub: HubThread) -> None:
    """A donated camera without a consent is never asked and never measured."""
    admin = hub.login("admin")
    with device(RTSP) as (private, first), device(RTSP) as (public, second):
        for name, port, kind in (("Riêng", first, "household"), ("Chung", second, "authority")):
            body = {
                "name": name,
                "address": f"rtsp://127.0.0.1:{port}/",
                "custodian": {"kind": kind, "name": name},
            }
            assert admin.post("/api/v1/cameras", json=body).status_code == 201
        deadline = time.monotonic() + PATIENCE_S
        while len(public.requests) < 2:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert private.requests == []
    shown = {item["name"]: item["health"]["state"] for item in admin.get("/api/v1/cameras").json()["items"]}
    assert shown["Riêng"] == "not_shared"


@pytest.mark.slow
def test_camera_is_asked_again_after_it_was_watched(hub: HubThread) -> None:
    """While somebody watches, the pull is the measurement; after the relay hung up the sweep goes on and sees the death."""
    with simulators("good-onvif") as (camera,):
        admin = hub.login("admin")
        done = onboard(admin, camera["onvif"], camera["user"], camera["password"])
        where = f"/api/v1/cameras/{done['camera_id']}"
        viewer = Viewer(admin, str(done["camera_id"]))
        try:
            assert viewer.start().status_code == 201
            viewer.wait_for_frames()
            admin.delete(viewer.where)
        finally:
            viewer.close()
        deadline = time.monotonic() + PATIENCE_S
        while 'camhub_relay_worker_cameras{worker="0"} 0.0' not in httpx.get(f"{hub.url}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.2)
        assert admin.get(where).json()["health"]["state"] == "alive"
        os.kill(camera["pid"], signal.SIGSTOP)
        try:
            wait_for(lambda: str(admin.get(where).json()["health"]["state"]), "fault")
        finally:
            os.kill(camera["pid"], signal.SIGCONT)
        wait_for(lambda: str(admin.get(where).json()["health"]["state"]), "alive")
