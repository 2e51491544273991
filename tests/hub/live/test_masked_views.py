"""Zones that were declared as to be masked: black in every picture that leaves, until the camera masks them itself."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

from hub.decode import pictures

pytestmark = pytest.mark.slow

LEFT_HALF = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that may recode."""
    with running_hub(
        Path(tmp_path_factory.mktemp("data")),
        probe_window_s=1.0,
        relay={"udp_port": 0, "workers": 1, "transcodes": 1},
    ) as started:
        yield started


def sides(answer: httpx.Response) -> tuple[float, float]:
    """Return the mean brightness of the left and the right quarter of a still."""
    assert answer.status_code == 200, answer.text
    frame = pictures.decode("JPEG", [answer.content])
    plane, quarter = frame.planes[0], frame.width // 4
    rows = [memoryview(plane)[row * plane.line_size :][: frame.width] for row in range(frame.height)]
    area = quarter * frame.height
    return sum(sum(row[:quarter]) for row in rows) / area, sum(sum(row[-quarter:]) for row in rows) / area


def test_a_declared_zone_is_black_until_it_is_verified_at_the_camera(hub: HubThread) -> None:
    """Declaring cuts the running view; then live and still are masked, and said to be; verified, the copy goes out again."""
    admin = hub.login("admin")
    with simulators("good-onvif") as (line,):
        camera = str(onboard(admin, line["onvif"], line["user"], line["password"])["camera_id"])
        zones, where = f"/api/v1/cameras/{camera}/masks", f"/api/v1/cameras/{camera}/snapshot.jpg"
        viewer = Viewer(admin, camera)
        try:
            assert viewer.start().status_code == 201
            viewer.wait_for_frames(3)
            assert min(sides(admin.get(where, timeout=60))) > 20
            assert admin.put(zones, json={"zones": [[[0, 0], [2, 0], [0, 1]]]}).status_code == 422
            declared = admin.put(zones, json={"zones": LEFT_HALF})
            assert (declared.status_code, declared.json()["declared_by"]) == (200, "admin")
            ended = admin.get(viewer.where).json()
            assert (ended["state"], ended["code"]) == ("ended", "changed")

            assert viewer.start().status_code == 201, viewer.answer.text
            viewer.wait_for_frames(3)
            told = admin.get(viewer.where).json()
            assert (told["rendition"], told["why"]) == ("transcode", "mask")
            left, right = sides(admin.get(where, timeout=60))
            assert left < 20 < right

            assert admin.put(zones, json={"zones": LEFT_HALF, "verified": True}).json()["verified_at"]
            assert viewer.start().status_code == 201, viewer.answer.text
            viewer.wait_for_frames(3)
            assert admin.get(viewer.where).json()["rendition"] == "copy"
        finally:
            viewer.close()
        kinds = [entry["kind"] for entry in admin.get("/api/v1/audit").json()["items"]]
        assert kinds.count("camera.masks_declared") == 2
