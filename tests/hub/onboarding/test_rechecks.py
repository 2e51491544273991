"""Re-checks that repeat by themselves: two of three before a camera falls, alerts of what changed, nobody is disturbed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import HubThread, JumpClock, onboard, running_hub

from adapters.clock import SystemClock
from hub.compliance.memory import Memory
from hub.compliance.standing import read_memory, write_memory
from hub.onboarding.rechecks import Booked
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from standards.verdict import Decision

pytestmark = pytest.mark.process
IN_USE = ("ADMITTED", "CONDITIONAL")


@dataclass
class Scene:
    """A hub with one admitted scripted camera."""

    hub: HubThread
    admin: httpx.Client
    clock: JumpClock
    device: ScriptedCamera
    camera: str

    def booked(self) -> Booked:
        found = self.hub.run(self.hub.hub.services.rechecks.booked(self.camera))
        assert found is not None
        return found

    def check(self) -> str:
        return self.hub.run(self.hub.hub.services.rechecks.check(self.booked()))

    def shown(self) -> dict[str, Any]:
        return dict(self.admin.get(f"/api/v1/cameras/{self.camera}").json())

    def alerts(self, state: str = "open") -> list[dict[str, Any]]:
        return list(self.admin.get(f"/api/v1/alerts?state={state}&camera={self.camera}").json()["items"])


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = JumpClock()
    with running_hub(tmp_path, clock=clock) as hub:
        device = ScriptedCamera(shipped()["good-onvif"], SystemClock())
        hub.run(device.start())
        admin = hub.login("admin")
        done = onboard(admin, device.onvif_url, device.user, device.password)
        assert done["camera_id"], done
        yield Scene(hub, admin, clock, device, done["camera_id"])
        hub.run(device.stop())


def test_an_admitted_camera_falls_when_two_runs_agree(scene: Scene) -> None:
    """The first bad run holds, books another, raises an alert and says 1 of 3; the second takes the camera down."""
    before = scene.shown()
    assert before["decision"] in IN_USE
    assert scene.booked().why == "regular"
    assert scene.booked().due_at > scene.clock.now()

    scene.hub.run(scene.device.stop())
    assert scene.check() == "held"

    assert scene.shown()["decision"] == before["decision"]
    assert (scene.booked().why, scene.booked().votes) == ("confirm", (Decision.PENDING,))
    assert [one["kind"] for one in scene.alerts()] == ["worse"]
    newest = scene.admin.get(f"/api/v1/cameras/{scene.camera}/assessments").json()["items"][0]
    report = scene.admin.get(f"/api/v1/assessments/{newest['id']}").json()
    assert (report["series"]["worse"], report["series"]["of"], report["series"]["open"]) == (1, 3, True)
    assert "1 of 1" in report["series"]["text"]["en"]
    assert scene.shown()["series"] == report["series"]  # beside the decision that still holds

    assert scene.check() == "fell"

    assert scene.shown()["decision"] == "PENDING"
    (alert,) = scene.alerts()
    assert alert["kind"] == "fell"
    assert alert["text"]["vi"].endswith("sang Chờ kết luận")  # in words, not as the code in the catalog
    assert scene.shown()["alert"] == "critical"
    assert scene.shown()["series"] is None
    assert scene.booked().votes == ()


def test_one_bad_run_of_three_changes_nothing_and_drift_is_told(scene: Scene) -> None:
    """Bad, good, good: the camera stays, the vote's alert closes by itself; a new firmware is one quiet alert."""
    before = scene.shown()["decision"]
    port = scene.device.onvif_url
    votes = (Decision.PENDING,)

    async def older() -> None:
        services = scene.hub.hub.services
        async with services.store.write() as tx:
            memory = await read_memory(tx, scene.camera)
            seen = {**memory.seen, "device.firmware": "V1.0 build 180101"}
            changed = Memory.from_json({**memory.as_json(), "seen": seen})
            await write_memory(tx, scene.camera, changed, services.clock.now())

    scene.hub.run(older())
    line = scene.booked()
    again = Booked(line.camera_id, line.due_at, "confirm", votes)
    assert scene.hub.run(scene.hub.hub.services.rechecks.check(again)) == "held"
    assert scene.booked().votes[0] is Decision.PENDING
    assert scene.check() == "kept"
    assert scene.shown()["decision"] == before, port

    (alert,) = scene.alerts()
    assert (alert["kind"], alert["severity"]) == ("firmware", "info")
    assert "V1.0 build 180101" in alert["text"]["vi"]
    seen = scene.admin.post(f"/api/v1/alerts/{alert['id']}/acknowledge", json={"note": "đã cập nhật"})
    assert seen.json()["acknowledged"]["note"] == "đã cập nhật"
    assert scene.alerts() == []
    assert scene.shown()["alert"] is None
    kinds = [one["kind"] for one in scene.admin.get(f"/api/v1/audit?camera={scene.camera}").json()["items"]]
    assert "alert.acknowledged" in kinds
    assert "camera.checked" in kinds


def test_what_the_owner_forbids_is_not_asked(scene: Scene) -> None:
    """A paused camera is not checked: no packet goes to it, and the run is put off."""
    scene.admin.post(f"/api/v1/cameras/{scene.camera}/pause", json={})
    requests = scene.device.counters.requests
    due = scene.booked().due_at
    # As it runs: when it is due. Hours before, the next slot may be that very one.
    scene.clock.ahead_s += (due - scene.clock.now()).total_seconds() + 1
    assert scene.check() == "paused"
    assert scene.device.counters.requests == requests
    assert scene.booked().due_at > scene.clock.now()


def test_uptime_is_told_by_day(scene: Scene) -> None:
    """Ninety days, known and unknown apart; a camera that was just admitted is known to live since then."""
    deadline = time.monotonic() + 20
    while scene.shown()["health"]["state"] != "alive" and time.monotonic() < deadline:
        time.sleep(0.05)  # the log of health hears of the onboarding a little after the caller
    scene.clock.ahead_s += 300
    told = scene.admin.get(f"/api/v1/cameras/{scene.camera}/uptime").json()
    assert len(told["days"]) == 90
    assert told["spans"]["30"]["ratio"] == 1.0
    assert told["spans"]["30"]["up_s"] >= 300
    assert told["spans"]["30"]["unknown_s"] > 29 * 86_400
    assert told["days"][0]["ratio"] is None
    assert told["outages"] == []


def test_alerts_are_not_for_everybody(scene: Scene) -> None:
    """Viewers see none; a filter that does not exist is refused by name; an alert that does not exist is not found."""
    scene.hub.add_user("nhin", "viewer", areas=("99001",))
    assert scene.hub.login("nhin").get("/api/v1/alerts").status_code == 403
    assert scene.admin.get("/api/v1/alerts?severity=loud").status_code == 422
    assert scene.admin.get("/api/v1/alerts?cursor=nothing").json()["code"] == "bad_cursor"
    assert scene.admin.post("/api/v1/alerts/none/acknowledge", json={}).status_code == 404
