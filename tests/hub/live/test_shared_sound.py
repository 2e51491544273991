"""Whether a camera may be heard is the owner's word: said to each viewer, and taken back within a moment."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import simulators
from running_hub import onboard, running_hub
from webrtc_viewer import Viewer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def sign(client: httpx.Client, camera: str, *, audio: bool) -> None:
    """Sign a consent, with the sound or without it."""
    body: dict[str, Any] = {
        "camera_id": camera,
        "sharing_mode": "always",
        "purposes": ["public_safety"],
        "recipients": [{"area": "", "role": "admin"}],
        "text_version": client.get("/api/v1/consents/text").json()["version"],
        "signed_by": "Lê Thị Hoa",
        "audio": audio,
    }
    answer = client.post("/api/v1/consents", json=body)
    assert answer.status_code == 201, answer.text


def test_a_view_is_answered_anew_when_the_sound_is_shared_or_taken_back(tmp_path: Path) -> None:
    """Not shared: said so. Shared: the running view ends as changed, the next is told what the camera has; and so on the way back."""
    with (
        simulators("good-onvif") as (line,),
        running_hub(tmp_path, probe_window_s=1.0) as hub,
    ):
        admin = hub.login("admin")
        household = {"kind": "household", "name": "Nhà chị Hoa"}
        done = onboard(admin, line["onvif"], line["user"], line["password"], custodian=household)
        camera = str(done["camera_id"])
        donor_of = admin.get(f"/api/v1/cameras/{camera}").json()["custodian"]["id"]
        hub.add_user("hoa", "donor", custodian_id=donor_of)
        donor = hub.login("hoa")
        for shared, word in ((False, "not_shared"), (True, "none")):
            sign(donor, camera, audio=shared)
            viewer = Viewer(admin, camera)
            try:
                assert viewer.start().status_code == 201, viewer.answer.text
                viewer.wait_for_frames(3, 60)
                told = admin.get(viewer.where).json()
                assert told["sound"] == word
                assert set(told["sound_text"]) == {"vi", "en"}
                sign(donor, camera, audio=not shared)
                viewer.wait_for_state("ended", 60)
                assert viewer.states[-1][2] == "changed"
            finally:
                viewer.close()
