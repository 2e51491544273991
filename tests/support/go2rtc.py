"""go2rtc as a server, and as a puller, for tests: a program written elsewhere, built by `tools/go2rtc.py`.

::

    with go2rtc_server({"gate": "rtsp://viewer:secret@127.0.0.1:PORT/main"}) as server:
        ...  # server.rtsp("gate"), server.onvif

A build takes a minute or two of Go: it is done only where CAMHUB_TEST_GO2RTC=1 asks for it, and kept.
"""

import importlib.util
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from urllib.parse import quote

import httpx
import pytest
from free_ports import free_port
from hub_support import simulators

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Go2Rtc:
    """Where a running go2rtc listens."""

    api_port: int
    rtsp_port: int

    @property
    def api(self) -> str:
        """Return the address of its HTTP interface."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def onvif(self) -> str:
        """Return the address of its ONVIF device service."""
        return f"onvif://127.0.0.1:{self.api_port}/onvif/device_service"

    def rtsp(self, name: str) -> str:
        """Return the address of a stream."""
        return f"rtsp://127.0.0.1:{self.rtsp_port}/{name}"

    def consumers(self, name: str) -> int:
        """Return how many it serves a stream to."""
        told = httpx.get(f"{self.api}/api/streams", timeout=20).json()
        return len(told[name]["consumers"] or ())


def _builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_go2rtc", ROOT / "tools" / "go2rtc.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@cache
def binary() -> Path | str:
    """Return the program, or why there is none here."""
    builder = _builder()
    if not builder.program().exists() and os.environ.get("CAMHUB_TEST_GO2RTC") != "1":
        return "go2rtc is not built: python3 tools/go2rtc.py, or CAMHUB_TEST_GO2RTC=1"
    try:
        built: Path = builder.build()
    except builder.NotBuilt as error:
        return f"go2rtc: {error}"
    return built


def needed() -> Path:
    """Return the program; skips the test where there is none, before anything dear is started for it."""
    found = binary()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def _answers(server: Go2Rtc, process: subprocess.Popen[bytes], limit_s: float = 30.0) -> bool:
    """Wait until both ports are this process's; False where it ended, or a port was taken meanwhile."""
    ask = b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n"
    until = time.monotonic() + limit_s
    while time.monotonic() < until and process.poll() is None:
        try:
            told = httpx.get(f"{server.api}/api", timeout=5).json()
            if told.get("pid", process.pid) != process.pid:
                return False
            with socket.create_connection(("127.0.0.1", server.rtsp_port), timeout=5) as connection:
                connection.sendall(ask)
                if connection.recv(64).startswith(b"RTSP/1.0"):
                    return True
        except (OSError, httpx.HTTPError, ValueError):
            pass
        time.sleep(0.1)
    return False


@contextmanager
def go2rtc_server(streams: Mapping[str, str]) -> Iterator[Go2Rtc]:
    """Run go2rtc with streams by name; it has another try where a port was taken meanwhile. Skips without it."""
    program = needed()
    said = b""
    for _ in range(3):
        server = Go2Rtc(free_port(), free_port())
        settings = {
            "api": {"listen": f"127.0.0.1:{server.api_port}"},
            "rtsp": {"listen": f"127.0.0.1:{server.rtsp_port}"},
            "webrtc": {"listen": "", "ice_servers": [], "filters": {"loopback": True}},
            "srtp": {"listen": ""},
            "log": {"level": "debug"},
            "streams": dict(streams),
        }
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            with log.open("wb") as out:
                process = subprocess.Popen(
                    [str(program), "-config", json.dumps(settings)],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder,
                )  # fmt: skip
            try:
                if _answers(server, process):
                    yield server
                    return
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            said = log.read_bytes()
    pytest.fail(f"go2rtc did not start: {said[-2000:].decode(errors='replace')}")


@contextmanager
def go2rtc_camera(name: str = "gate") -> Iterator[Go2Rtc]:
    """Run go2rtc as a camera: it pulls a scripted camera of 1280x720 and serves it by RTSP and ONVIF. Skips without it."""
    needed()
    with simulators("good-onvif") as (camera,):
        account = f"{quote(camera['user'], safe='')}:{quote(camera['password'], safe='')}@"
        source = camera["rtsp"].replace("rtsp://", f"rtsp://{account}") + "#backchannel=0"
        with go2rtc_server({name: source}) as server:
            yield server
