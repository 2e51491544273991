"""A WHEP client that is not ours: go2rtc pulls a camera from the hub, and serves it on by RTSP."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import httpx
import pytest
from go2rtc import go2rtc_server, needed
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.port import AccessUnit, ProbeContext
from adapters.rtsp.source import RtspSource
from adapters.target import parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook, device_key
from hub.store.chain import HUB

pytestmark = [pytest.mark.go2rtc, pytest.mark.slow, pytest.mark.timeout(400)]  # a build at most
CLOCK = SystemClock()


@contextmanager
def with_token(hub: HubThread) -> Iterator[str]:
    """Run what adds a bearer token to each request and hands it on as it is: go2rtc cannot send one."""
    accounts = hub.hub.services.accounts
    admin = hub.run(accounts.by_name("admin"))
    assert admin is not None
    _, token = hub.run(hub.hub.services.tokens.issue(admin.id, "a puller", HUB))

    class Adding(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            offer = self.rfile.read(int(self.headers["content-length"]))
            answer = httpx.post(
                hub.url + self.path,
                content=offer,
                headers={
                    "content-type": self.headers["content-type"],
                    "authorization": f"Bearer {token.reveal()}",
                },
                timeout=60,
            )
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

        def log_message(self, *_args: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Adding)
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


async def opened(url: str) -> RtspSource:
    """Open a stream by RTSP over TCP."""
    target = parse_target(url)[0]
    context = ProbeContext(
        Dialer(LAN_AND_LOOPBACK), CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, device_key(target)
    )
    source = RtspSource(target, None, context)
    await source.open(Deadline.after(CLOCK, 40), tcp=True, audio=False)
    return source


async def pictures(url: str, groups: int) -> list[AccessUnit]:
    """Return what came until so many key frames had."""
    source = await opened(url)
    units: list[AccessUnit] = []
    enough = asyncio.Event()

    def take(unit: AccessUnit) -> None:
        units.append(unit)
        if sum(one.key_frame for one in units) >= groups:
            enough.set()

    task = asyncio.create_task(source.run(take))
    try:
        await asyncio.wait_for(enough.wait(), 60)
    finally:
        await source.aclose()
        await task
    return units


def test_a_puller_that_is_not_ours_plays_and_its_view_ends_with_it(tmp_path: Path) -> None:
    """go2rtc's offer is answered for a bearer token and refused without; what it got decodes; when it leaves, the view ends."""
    needed()
    with running_hub(tmp_path / "data", probe_window_s=1.0) as hub, simulators("good-onvif") as (line,):
        admin = hub.login("admin")
        camera = str(onboard(admin, line["onvif"], line["user"], line["password"])["camera_id"])
        where = f"/api/v1/cameras/{camera}/whep"
        viewers = hub.hub.services.viewers
        with (
            with_token(hub) as gate,
            go2rtc_server({"gate": f"webrtc:{gate}{where}", "barred": f"webrtc:{hub.url}{where}"}) as puller,
        ):
            with pytest.raises(AdapterError, match=r"closed the connection|404"):
                asyncio.run(opened(puller.rtsp("barred")))  # go2rtc's way to say that its source answered 401
            assert viewers.watching(camera) == 0

            units = asyncio.run(pictures(puller.rtsp("gate"), groups=3))

            until = time.monotonic() + 60
            while viewers.watching(camera):
                assert time.monotonic() < until, "the view did not end"
                time.sleep(0.1)
        first = next(number for number, unit in enumerate(units) if unit.key_frame)
        decoder = av.CodecContext.create("h264", "r")
        frames = [
            frame
            for unit in units[first:]
            for frame in decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in unit.nals)))
        ]
        frames += decoder.decode(None)
        assert len(frames) == len(units) - first >= 26
        assert (frames[0].width, frames[0].height) == (1280, 720)
        assert bytes(frames[0].planes[0]) != bytes(frames[-1].planes[0])
