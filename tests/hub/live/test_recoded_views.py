"""Cameras whose codec no browser here plays, seen through a whole hub: recoded, told why, counted, refused where there is no room."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

pytestmark = pytest.mark.slow

Watch = Callable[[str], Viewer]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that recodes one stream at a time."""
    with running_hub(
        Path(tmp_path_factory.mktemp("data")),
        probe_window_s=1.0,
        relay={"udp_port": 0, "workers": 1, "transcodes": 1},
    ) as started:
        yield started


def test_mjpeg_and_h265_play_and_the_viewer_is_told_what_would_spare_the_recoding(hub: HubThread) -> None:
    """The session names codec, rendition and cause in both languages; the second camera finds no room: 503, and what to set."""
    admin = hub.login("admin")
    with simulators("mjpeg-2009", "h265-only") as cameras:
        ids = [
            str(
                onboard(admin, camera["onvif"] or camera["rtsp"], camera["user"], camera["password"])[
                    "camera_id"
                ]
            )
            for camera in cameras
        ]
        viewers = [Viewer(admin, camera) for camera in ids]
        try:
            for viewer, camera, why, name in zip(
                viewers, ids, ("mjpeg", "h265"), ("MJPEG", "H.265"), strict=True
            ):
                assert viewer.start(purpose="test").status_code == 201, viewer.answer.text
                viewer.wait_for_frames(5)
                told = admin.get(viewer.where).json()
                assert (told["rendition"], told["codec"], told["why"]) == ("transcode", "H264", why)
                assert all(name in told["why_text"][language] for language in ("vi", "en"))
                assert 'camhub_relay_worker_transcodes{worker="0"} 1.0' in admin.get("/metrics").text
                if camera == ids[0]:
                    refused = viewers[1].start(purpose="test")
                    assert (refused.status_code, refused.json()["code"]) == (503, "transcodes_full")
                    assert int(refused.headers["retry-after"]) > 0
                assert admin.delete(viewer.where).status_code == 200
            deadline_s = time.monotonic() + 60
            while (coder := admin.get("/api/v1/relay/workers").json()["items"][0]["coder"]) is None:
                assert time.monotonic() < deadline_s, "the worker never told what codes"
                time.sleep(0.2)
            assert (coder["name"], coder["hardware_streams"]) == ("libx264", 0)
            assert coder["why"].startswith("v4l2m2m")
        finally:
            for viewer in viewers:
                viewer.close()
