"""Where a camera comes from, told when it is offered: kept with it, and through a retry."""

import socket
from pathlib import Path

import pytest
from running_hub import onboard, running_hub

from hub.catalog.types import Origin
from hub.onboarding.intake import Intake

pytestmark = pytest.mark.process

ORIGIN = {
    "group": "Tổ 7",
    "funding": "Quỹ khu phố",
    "source_class": "donated",
    "siting": {"document": "12/QĐ-UBND", "authority": "UBND phường Hạc Thành", "date": "2026-03-01"},
}


def test_an_onboarding_takes_where_the_camera_comes_from(tmp_path: Path) -> None:
    """Group, funding, source and the approval of the place stand in the catalog; an approval without its number is refused."""
    with running_hub(tmp_path) as hub, socket.create_server(("127.0.0.1", 0)) as gone:
        admin, port = hub.login("admin"), gone.getsockname()[1]
        gone.close()  # nothing listens there any more: the camera is kept as it was told, unseen
        target = f"rtsp://127.0.0.1:{port}/main"
        done = onboard(admin, target, keep_unreachable=True, origin=ORIGIN)
        told = admin.get(f"/api/v1/cameras/{done['camera_id']}").json()["origin"]
        half = admin.post(
            "/api/v1/onboardings",
            json={
                "address": target,
                "custodian": {"kind": "authority"},
                "permission": {"granted_by": "A", "basis": "authority"},
                "origin": {"siting": {"authority": "UBND phường"}},
            },
        )

    assert told == ORIGIN
    assert half.status_code == 422


def test_an_offer_is_kept_for_a_retry_with_its_origin() -> None:
    """What is written for a retry is read back the same, and an offer of before without origin is read too."""
    plain = Intake("rtsp://10.0.0.9/", "owner-1", "A", "owner")
    kept = plain.as_json()

    assert Intake.from_json(kept) == plain
    assert Intake.from_json({**kept, "origin": ORIGIN}).as_json()["origin"] == ORIGIN
    del kept["origin"]
    assert Intake.from_json(kept).origin == Origin()
