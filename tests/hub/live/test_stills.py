"""Stills of cameras: always coded anew in the decode process, from the still address or from the stream."""

import os
import signal
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from decode_pictures import picture
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

from adapters.target import Target
from hub.catalog.sources import target_json
from hub.catalog.types import NewAssessment
from hub.decode import pictures
from hub.store.chain import HUB

pytestmark = pytest.mark.slow
PRESETS = ("household-no-onvif", "h265-only", "mjpeg-2009", "good-onvif")


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub with a short probe."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as started:
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def cameras(hub: HubThread, admin: httpx.Client) -> Iterator[dict[str, str]]:
    """An RTSP-only camera, one that sends only H.265, one of JPEG and a good one: admitted, by preset."""
    with simulators(*PRESETS) as lines:
        out = {}
        for line in lines:
            address = line.get("onvif") or line["rtsp"]
            done = onboard(admin, address, line["user"], line["password"], name=line["preset"])
            out[line["preset"]] = done["camera_id"]
            assert done["camera_id"], (done["problem"], hub.log.getvalue()[-6000:])
            remember(hub, done["camera_id"])
        yield out


def remember(hub: HubThread, camera_id: str, **report: Any) -> None:
    """Admit a camera as it was seen, with another word in its report where one is given."""
    catalog = hub.hub.services.catalog

    async def work() -> None:
        camera = await catalog.get(camera_id)
        assert camera.assessment_id is not None
        last = await catalog.assessment(camera.assessment_id)
        new = NewAssessment(
            standard="technical",
            standard_version="1",
            decision="ADMITTED",
            as_of=datetime.now(UTC),
            counts={"PASS": 1},
            reasons=(),
            report={**last.report, **report},
            observations=last.observations,
        )
        await catalog.record_assessment(camera_id, new, HUB)

    hub.run(work())


def patiently(client: httpx.Client, path: str, **params: str) -> httpx.Response:
    """Ask, and ask again where stills are asked for too often."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get(path, params=params, timeout=60)
        if answer.status_code != 429 or time.monotonic() > deadline:
            return answer
        time.sleep(0.5)


def still(client: httpx.Client, camera: str) -> httpx.Response:
    """Take a still."""
    return patiently(client, f"/api/v1/cameras/{camera}/snapshot.jpg")


def shown(answer: httpx.Response) -> tuple[int, int]:
    """Return the size of a still that is one."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.headers["cache-control"] == "no-store"
    frame = pictures.decode("JPEG", [answer.content])
    return frame.width, frame.height


@contextmanager
def still_address(body: bytes, status: int = 200) -> Iterator[Target]:
    """A still address that answers with these bytes."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("content-type", "image/jpeg")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield Target("http", "127.0.0.1", server.server_address[1], "/still.jpg")
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    ("preset", "size"), [("household-no-onvif", (1280, 720)), ("h265-only", None), ("mjpeg-2009", None)]
)
def test_a_camera_without_a_still_address_gives_a_key_frame(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, str], preset: str, size: tuple[int, int] | None
) -> None:
    """RTSP only, H.265, JPEG over RTP: a short pull, one receipt, one connection, a fresh picture."""
    remember(hub, cameras[preset], still=None)
    before = hub.hub.dialer.opened

    answer = still(admin, cameras[preset])

    got = shown(answer)
    assert size is None or got == size
    assert (
        hub.hub.dialer.opened - before <= 2
    )  # the second is the answer to the login challenge, where it closes
    assert int(answer.headers["age"]) <= 10
    (receipt, *_) = admin.get(f"/api/v1/cameras/{cameras[preset]}/views").json()["items"]
    assert (receipt["kind"], receipt["stills"], receipt["ended_cause"]) == ("snapshot", 1, "done")


def test_a_watched_camera_is_not_asked_again(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, str]
) -> None:
    """While somebody watches, the still comes out of the relay's cache and says how old it is."""
    camera = cameras["household-no-onvif"]
    viewer = Viewer(admin, camera)
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()
        before = hub.hub.dialer.opened
        answer = still(admin, camera)
        assert shown(answer) == (1280, 720)
        assert hub.hub.dialer.opened == before
        assert int(answer.headers["age"]) >= 1  # never younger than it is: part of a second counts as one
    finally:
        viewer.close()


def test_a_still_is_coded_anew(hub: HubThread, admin: httpx.Client, cameras: dict[str, str]) -> None:
    """What a camera wrote beside its picture does not pass, and a large picture is made smaller."""
    plain = picture("JPEG", width=2560, height=1440)[0]
    secret = b"Exif\0\0 10.77N 106.69E owner@example.com"
    laden = plain[:2] + b"\xff\xe1" + struct.pack("!H", len(secret) + 2) + secret + plain[2:]
    with still_address(laden) as address:
        remember(hub, cameras["h265-only"], still=target_json(address))
        answer = still(admin, cameras["h265-only"])
    assert shown(answer) == (1920, 1080)
    assert b"owner@example" not in answer.content


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (picture("JPEG")[0].replace(struct.pack("!HH", 192, 320), struct.pack("!HH", 65500, 65500)), 200),
        (b"\xff\xd8\xff\xe0" + bytes(500), 200),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), 200),
        (b"no", 500),
    ],
)
def test_a_still_address_that_gives_no_picture_is_passed_over(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, str], body: bytes, status: int
) -> None:
    """A bomb, half a picture, a PNG, an error: nothing of it is shown, the picture comes from the stream."""
    with still_address(body, status) as address:
        remember(hub, cameras["good-onvif"], still=target_json(address))
        assert shown(still(admin, cameras["good-onvif"]))[0] > 320


def test_a_killed_decode_process_costs_no_hub(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, str]
) -> None:
    """After SIGKILL of the decode process the next still works and the hub stays ready."""
    with still_address(picture("JPEG")[0]) as address:
        remember(hub, cameras["mjpeg-2009"], still=target_json(address))
        (child,) = decoders()
        os.kill(child, signal.SIGKILL)
        while child in decoders():  # the kernel takes a moment to take it down; a zombie has no command line
            time.sleep(0.01)
        assert shown(still(admin, cameras["mjpeg-2009"])) == (320, 192)
    assert admin.get("/readyz").status_code == 200
    metrics = admin.get("/metrics").text
    assert 'camhub_decode_jobs_total{kind="still",outcome="ok"}' in metrics


def decoders() -> list[int]:
    """Return the decode processes that this process started."""
    mine = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if b"hub.decode.worker" in command and parent == os.getpid():
                mine.append(int(entry.name))
    return mine


def test_a_report_carries_a_still_of_now_as_a_view(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, str]
) -> None:
    """HTML and PDF embed it and say when it was taken, each is one receipt; the stored report stays without."""
    camera = cameras["good-onvif"]
    before = admin.get(f"/api/v1/cameras/{camera}/views").json()["total"]
    found = admin.get(f"/api/v1/cameras/{camera}").json()["last_assessment"]["id"]
    path = f"/api/v1/assessments/{found}/report"
    with still_address(picture("JPEG")[0]) as address:
        remember(hub, camera, still=target_json(address))
        page = patiently(admin, path, still="1", lang="vi")
        pdf = patiently(admin, path, still="1", format="pdf")

    assert page.status_code == 200, page.text
    assert 'src="data:image/jpeg;base64,' in page.text
    assert "khi lập bản báo cáo này" in page.text
    assert page.headers["cache-control"] == "no-store"
    assert pdf.content.startswith(b"%PDF")
    assert b"/DCTDecode" in pdf.content
    views = admin.get(f"/api/v1/cameras/{camera}/views").json()
    assert views["total"] == before + 2
    assert (views["items"][0]["kind"], views["items"][0]["stills"]) == ("snapshot", 1)
    assert "data:image" not in admin.get(path).text
    assert "data" not in str(admin.get(f"/api/v1/assessments/{found}").json().get("still"))
