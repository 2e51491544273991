"""Re-scoring through a real hub: another standard, another limit, and not one packet to the camera."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import HubThread, onboard, running_hub

from adapters.clock import SystemClock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from hub.store.errors import ServiceError
from standards.assessment import Assessment
from standards.observation import Observed
from standards.verdict import Verdict

pytestmark = pytest.mark.process


@dataclass
class Scene:
    """A hub that has probed one scripted camera."""

    hub: HubThread
    admin: httpx.Client
    device: ScriptedCamera
    camera: str

    def traffic(self) -> tuple[int, int]:
        """Return the requests that the camera has counted and the sockets that the hub has opened."""
        return self.device.counters.requests, self.hub.hub.dialer.opened

    def rescore(self, **more: Any) -> Assessment:
        return self.hub.run(self.hub.hub.services.rescorer.rescore(self.camera, **more))


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as hub:
        device = ScriptedCamera(shipped()["good-onvif"], SystemClock())
        hub.run(device.start())
        admin = hub.login("admin")
        done = onboard(admin, device.onvif_url, device.user, device.password)
        assert done["camera_id"], done
        yield Scene(hub, admin, device, done["camera_id"])
        hub.run(device.stop())


def test_another_standard_and_another_limit_send_nothing(scene: Scene) -> None:
    """A camera judged by a stricter standard and limit gets other findings, and no packet leaves the hub."""
    before = scene.traffic()
    assert before[0] > 0
    assert before[1] > 0

    same = scene.rescore()
    other = scene.rescore(standard="vn-municipal-2026")
    strict = scene.rescore(params={"CON-01": {"slowest_s": 0.000001}})

    assert scene.traffic() == before
    assert same.profile.id == "technical"
    assert same.finding("CON-01").verdict is Verdict.PASS
    assert len(other.findings) == len(scene.hub.hub.services.packs.profile("vn-municipal-2026").rules)
    assert strict.finding("CON-01").verdict is Verdict.FAIL
    assert strict.profile.version.endswith("+what-if")
    assert strict.profile.hash != same.profile.hash


def test_a_limit_beyond_its_floor_is_told_as_loosened(scene: Scene) -> None:
    """Whoever asks "what if we asked for less" sees in the answer that it is less than the floor."""
    rule = scene.hub.hub.services.packs.profile("technical").rule("TIM-02")
    assert rule is not None
    told = scene.rescore(params={"TIM-02": {"max_offset_s": 1e6}})
    assert [(one.rule, one.authority) for one in told.profile.loosened] == [("TIM-02", "what-if")]


@pytest.mark.parametrize(
    ("asked", "code", "field", "said"),
    [
        ({"standard": "no-such"}, "standard_unknown", "standard", "no-such"),
        ({"params": {"XYZ-01": {"a": 1}}}, "invalid_input", "params", "XYZ-01"),
        ({"params": {"TIM-02": {"bogus": 1}}}, "invalid_input", "params", "bogus"),
        ({"params": {"TIM-02": {"max_offset_s": "soon"}}}, "invalid_input", "params", "max_offset_s"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(
    scene: Scene, asked: dict[str, Any], code: str, field: str, said: str
) -> None:
    """An unknown standard, rule or parameter is refused with its name."""
    with pytest.raises(ServiceError) as caught:
        scene.rescore(**asked)
    assert (caught.value.code, caught.value.field) == (code, field)
    assert said in str(caught.value)


def test_a_camera_that_was_never_probed_cannot_be_judged_again(scene: Scene) -> None:
    """Without stored observations there is nothing to judge; the error says so."""
    body = {"name": "Chưa kiểm tra", "address": "rtsp://127.0.0.1:1/x", "custodian": {"kind": "authority"}}
    made = scene.admin.post("/api/v1/cameras", content=json.dumps(body))
    assert made.status_code == 201, made.text
    with pytest.raises(ServiceError) as caught:
        scene.hub.run(scene.hub.hub.services.rescorer.rescore(made.json()["id"]))
    assert caught.value.code == "not_assessed"


def test_drawn_zones_are_what_the_privacy_rule_judges(scene: Scene) -> None:
    """Zones that are drawn count as declared, and as masked while the hub paints them; taken back, PRV-03 is open again."""
    before, where = scene.traffic(), f"/api/v1/cameras/{scene.camera}/masks"
    zone = [[0, 0], [0.5, 0], [0.5, 1], [0, 1]]

    def judged() -> tuple[Verdict, str]:
        found = scene.rescore(standard="vn-municipal-2026").finding("PRV-03")
        one = found.observations["privacy.masked_zones"]
        return found.verdict, one.provenance.operation if isinstance(one, Observed) else str(one.reason)

    assert judged() == (Verdict.NOT_CHECKED, "no_declaration")
    assert scene.admin.put(where, json={"zones": [zone]}).status_code == 200
    assert judged() == (Verdict.PASS, "zones painted by the hub")
    assert scene.admin.put(where, json={"zones": [zone], "verified": True}).status_code == 200
    assert judged() == (Verdict.PASS, "zones masked at the camera, as a person saw")
    assert scene.admin.put(where, json={"zones": []}).status_code == 200
    assert judged()[0] is Verdict.NOT_CHECKED
    assert scene.traffic() == before
