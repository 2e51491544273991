"""Whether a camera may be heard is the owner's word: said to each viewer, and taken back within a moment."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

from hub.relay.errors import RelayRefused
from hub.relay.events import HEARS_ALL, SourceSpec
from hub.relay.outputs.rtsp_out import digest_of, token_of
from hub.settings import Relay

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


def made(client: httpx.Client, camera: str, *, audio: bool) -> str:
    """Make an output; return its address."""
    body = {
        "recipient": "VMS",
        "purpose": "public_safety",
        "reason": "Kế hoạch 12/KH-UBND",
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "audio": audio,
    }
    answer = client.post(f"/api/v1/cameras/{camera}/outputs", json=body)
    assert (answer.status_code, answer.json()["audio"]) == (201, audio), answer.text
    return str(answer.json()["url"])


class Recipient:
    """A connection with an output's address, as the relay would bring it; it hangs up once it knows what it would get."""

    address = "192.0.2.7"

    def __init__(self, url: str) -> None:
        self.digest = digest_of(token_of(url))
        self._codecs: tuple[str, ...] = ()
        self._over = asyncio.Event()

    async def serve(self, viewer_id: str, source: SourceSpec, *, wanted: str, codecs: tuple[str, ...]) -> str:
        """Note what was decided."""
        del viewer_id, wanted
        assert source.audio or HEARS_ALL not in codecs
        self._codecs = codecs
        raise RelayRefused(409, "viewer_left", "the recipient hung up meanwhile")

    def refuse(self, error: RelayRefused) -> None:
        """Note the end."""
        del error
        self._over.set()

    async def taken(self, hub: HubThread) -> tuple[str, ...]:
        """Have the hub decide; return the codecs that it would send."""
        assert hub.hub.services is not None
        hub.hub.services.outputs.take(self)
        async with asyncio.timeout(30):
            await self._over.wait()
        return self._codecs


def test_a_view_is_answered_anew_when_the_sound_is_shared_or_taken_back(tmp_path: Path) -> None:
    """Not shared: said so. Shared: the running view ends as changed, the next is told what the camera has; and so on the way back.

    Another system gets the sound where it is shared and its output says so, and at no other time.
    """
    with (
        simulators("good-onvif") as (line,),
        running_hub(tmp_path, probe_window_s=1.0, relay=Relay(udp_port=0, rtsp_port=0)) as hub,
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
                for wanted in (False, True):
                    recipient = Recipient(made(admin, camera, audio=wanted))
                    assert (HEARS_ALL in hub.run(recipient.taken(hub))) is (shared and wanted)
                sign(donor, camera, audio=not shared)
                viewer.wait_for_state("ended", 60)
                assert viewer.states[-1][2] == "changed"
            finally:
                viewer.close()
