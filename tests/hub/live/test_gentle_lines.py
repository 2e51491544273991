"""The line of the house: the smaller stream alone, a budget per custodian; and cameras that are pulled with nobody watching."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

from hub.catalog.types import Camera, Mode
from hub.live.uplink import Uplink, UplinkRules
from hub.live.warm import why_not
from hub.settings import Relay, UplinkSettings

pytestmark = pytest.mark.slow
FAR = UplinkSettings(lines=["127.0.0.0/8"], kbit_s={"household": 900})


@dataclass
class House:
    """A hub's data, and the ids of a household's two cameras and of an authority's one."""

    data: Path
    front: str
    back: str
    street: str


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A household shares two cameras at the level `always`; the hub reaches them over the family's line."""
    data = Path(tmp_path_factory.mktemp("data"))
    with simulators("good-onvif", "household-no-onvif", "low-resolution") as lines:
        with running_hub(data, probe_window_s=1.0) as hub:
            admin = hub.login("admin")
            text = admin.get("/api/v1/consents/text").json()
            consent = {
                "sharing_mode": "always",
                "purposes": ["public_safety"],
                "recipients": [{"area": "", "role": "admin"}],
                "text_version": text["version"],
                "signed_by": "Lê Thị Hoà",
            }
            ids = []
            custodian: dict[str, str] = {"kind": "household", "name": "Nhà chị Hoa"}
            for line, more in zip(lines, ({"consent": consent}, {"consent": consent}, {}), strict=True):
                owner = {"custodian": custodian} if more else {}
                address = line["onvif"] or line["rtsp"]
                done = onboard(admin, address, line["user"], line["password"], **owner, **more)
                assert done["camera_id"], done
                ids.append(str(done["camera_id"]))
                if more:
                    found = admin.get(f"/api/v1/cameras/{ids[-1]}").json()
                    custodian = {"id": found["custodian"]["id"]}
        yield House(data, *ids)


def soon(look: Callable[[], Any], seconds: float = 60.0) -> Any:
    """Return what `look` gives once that is something."""
    ends = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < ends
        time.sleep(0.1)
    return seen


def catalogued(hub: HubThread, camera_id: str) -> Camera:
    """Return a camera as the hub knows it."""
    return hub.run(hub.hub.services.catalog.get(camera_id))


def test_a_house_gives_its_smaller_stream_and_no_more_than_its_line_bears(house: House) -> None:
    """Who wants the main stream gets the other one and is told why; a second camera at once is too much, and says when."""
    with running_hub(house.data, uplink=FAR) as hub:
        admin = hub.login("admin")
        first, second = Viewer(admin, house.front), Viewer(admin, house.back)
        try:
            assert first.start(layer="main").status_code == 201, first.answer.text
            first.wait_for_frames(3)
            told = admin.get(first.where).json()
            assert (told["layer"], told["layer_code"]) == ("sub", "uplink")
            assert "family" in told["layer_cause"]["en"]

            assert admin.put(f"{first.where}/layer", json={"layer": "main"}).status_code == 200
            told = soon(lambda: _if(admin.get(first.where).json(), wanted="main"))
            assert (told["layer"], told["layer_code"]) == ("sub", "uplink")

            refused = second.start()
            assert (refused.status_code, refused.json()["code"]) == (503, "uplink_full")
            assert refused.headers["retry-after"] == "30"
            assert refused.json()["params"]["n"] == 1
            again = Viewer(admin, house.front)
            try:
                assert again.start().status_code == 201, (
                    "the camera that is watched already costs nothing more"
                )
                assert admin.delete(again.where).status_code == 200
            finally:
                again.close()
            assert admin.delete(first.where).status_code == 200
            assert second.start().status_code == 201, second.answer.text
        finally:
            first.close()
            second.close()

        rows = admin.get(f"/api/v1/cameras/{house.back}/views").json()["items"]
        assert [row["ended_cause"] for row in rows if row["ended_cause"] == "uplink_full"] == []


def _if(told: dict[str, Any], **wanted: Any) -> dict[str, Any] | None:
    return told if all(told[name] == value for name, value in wanted.items()) else None


def test_a_camera_on_the_hubs_own_network_is_not_held_back(house: House) -> None:
    """One hop is no line of a family's; a public address, a name, or a listed range is."""
    with running_hub(house.data) as hub:
        camera = catalogued(hub, house.front)
    near = Uplink(UplinkRules(), "Phường")
    assert (near.hops(camera), near.sub_only(camera)) == (1, False)
    for address in ("rtsp://203.0.113.7/main", "rtsp://nha-hoa.example/main", "rtsp://[2001:db8::7]/main"):
        assert near.sub_only(replace(camera, address=address)), address
    assert Uplink(UplinkRules(sub_only_above_hops=0), "").sub_only(camera)
    assert not Uplink(UplinkRules(sub_only_above_hops=9), "").sub_only(
        replace(camera, address="rtsp://203.0.113.7/main")
    )


def test_listed_cameras_are_pulled_with_nobody_watching_while_their_owner_shares_them(house: House) -> None:
    """A donated one at `always` alone; a pause ends the pull; a still comes at once, with its age; who is not kept is said why."""
    listed = [house.front, house.street, "no-such-camera"]
    with running_hub(house.data, relay=Relay(udp_port=0, workers=1, keep_warm=listed)) as hub:
        admin = hub.login("admin")

        def warm() -> dict[str, dict[str, Any]]:
            return {one["camera_id"]: one for one in admin.get("/api/v1/relay/warm").json()}

        soon(lambda: warm()[house.front]["state"] == "warm")
        assert (warm()["no-such-camera"]["state"], warm()["no-such-camera"]["code"]) == ("left", "removed")
        street = warm()[house.street]
        assert street["state"] == "warm" or (street["code"], street["text"]["en"]) == (
            "not_admitted",
            "The camera is not admitted",
        )
        counters = hub.run(hub.hub.relay.counters())
        assert counters["viewers"] == 0
        assert counters["readers"] >= 1
        soon(lambda: hub.run(hub.hub.relay.key_frame(house.front, _main(hub, house.front))))
        dialled = hub.hub.dialer.opened

        still = admin.get(f"/api/v1/cameras/{house.front}/snapshot.jpg")

        assert still.status_code == 200
        assert 0 <= int(still.headers["age"]) <= 60
        assert hub.hub.dialer.opened == dialled, "the newest key frame is at hand: the camera is not asked"

        assert admin.get(f"/api/v1/cameras/{house.front}/views").json()["total"] >= 1
        camera = catalogued(hub, house.front)
        now = datetime.now(UTC)
        assert why_not(camera, now) == ""
        assert camera.consent is not None
        for mode in Mode:
            shared = replace(camera, consent=replace(camera.consent, mode=mode))
            assert why_not(shared, now) == ("" if mode is Mode.ALWAYS else "not_always")
        assert why_not(replace(camera, consent=None), now) == "no_consent"
        assert why_not(replace(camera, decision="PENDING"), now) == "not_admitted"

        hub.add_user("hoa", "donor", custodian_id=camera.custodian.id)
        owner = hub.login("hoa")
        assert owner.post(f"/api/v1/cameras/{house.front}/pause", json={}).is_success
        soon(lambda: warm()[house.front]["code"] == "paused")
        soon(lambda: hub.run(hub.hub.relay.counters())["readers"] == counters["readers"] - 1)
        assert owner.post(f"/api/v1/cameras/{house.front}/resume", json={}).is_success
        soon(lambda: warm()[house.front]["state"] == "warm")


def _main(hub: HubThread, camera_id: str) -> str:
    camera = catalogued(hub, camera_id)
    spec = hub.run(hub.hub.services.stills._sources.stream(camera))
    return spec.url


def test_only_who_changes_cameras_reads_the_list_of_warm_ones(house: House) -> None:
    """It names cameras."""
    with running_hub(house.data) as hub:
        hub.add_user("viewer", "viewer", areas=("*",))
        assert hub.login("viewer").get("/api/v1/relay/warm").status_code == 403
        assert hub.login("admin").get("/api/v1/relay/warm").json() == []
