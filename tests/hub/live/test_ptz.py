"""Moving cameras through a real hub: who may, what the camera gets, that it ends, and what the log keeps."""

import importlib.util
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import HubThread, running_hub

from hub.catalog.types import NewAssessment
from hub.store.chain import HUB

pytestmark = pytest.mark.process

_FILE = Path(__file__).parents[2] / "adapters" / "onvif" / "scripted_onvif.py"
MOVE = {"move": {"pan": 0.5}, "seconds": 0.3}
PTZ = '<tt:PTZConfiguration token="ptz"><tt:NodeToken>n</tt:NodeToken></tt:PTZConfiguration></trt:Profiles>'


def _scripted() -> Any:
    spec = importlib.util.spec_from_file_location("scripted_onvif_of_ptz", _FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as started:
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture
def device(hub: HubThread) -> Iterator[Any]:
    """A recorder of two cameras that move."""
    scripted, stack = _scripted(), AsyncExitStack()
    made = scripted.Device()
    listed = "".join(
        scripted.profile(name, "H264", 1920, 1080, source).replace("</trt:Profiles>", PTZ)
        for name, source in (("other", "VS0"), ("dome", "VS1"))
    )
    made.replies["GetProfiles"] = scripted.answer("GetProfiles", listed, "trt")
    told = '<tds:Preset token="1"><tt:Name>Cổng</tt:Name></tds:Preset>'
    made.replies["GetPresets"] = scripted.answer("GetPresets", told)
    for operation in ("ContinuousMove", "Stop", "GotoPreset"):
        made.replies[operation] = scripted.answer(operation, "")
    made.port = hub.run(stack.enter_async_context(scripted.listening(made.handle)))
    made.login = {"username": scripted.USER, "password": scripted.PASSWORD}
    yield made
    hub.run(stack.aclose())


def camera(
    hub: HubThread, admin: httpx.Client, device: Any, *, kind: str = "authority", decision: str = "ADMITTED"
) -> str:
    """Register a camera and give it a decision; `PENDING` leaves it without one."""
    body = {
        "name": "Cổng",
        "address": f"onvif://127.0.0.1:{device.port}",
        "custodian": {"kind": kind, "name": "Ai đó"},
        **device.login,
    }
    answer = admin.post("/api/v1/cameras", json=body)
    assert answer.status_code == 201, answer.text
    camera_id: str = answer.json()["id"]
    if decision != "PENDING":
        report = {"sources": [{"layer": "main", "source": "VS1"}]}
        new = NewAssessment("technical", "1", decision, datetime.now(UTC), {}, (), report, {})
        hub.run(hub.hub.services.catalog.record_assessment(camera_id, new, HUB))
    return camera_id


def approve(admin: httpx.Client, camera_id: str) -> httpx.Response:
    """Record the office's approval."""
    body = {"allowed": True, "granted_by": "Nguyễn Văn A", "basis": "authority"}
    return admin.put(f"/api/v1/cameras/{camera_id}/ptz/approval", json=body)


def command(client: httpx.Client, camera_id: str, body: dict[str, Any] = MOVE) -> tuple[int, str]:
    """Send a command and return status and code."""
    answer = client.post(f"/api/v1/cameras/{camera_id}/ptz", json=body)
    return answer.status_code, answer.json()["code"] if answer.content else ""


def sent(device: Any) -> list[str]:
    """Return what the camera was told to do, in order, with a login."""
    return [one for one in device.operations("digest") if one in {"ContinuousMove", "Stop", "GotoPreset"}]


def wait_for_stop(device: Any) -> None:
    """Wait until the camera got its one movement and then a Stop (a second one does no harm)."""
    end_s = time.monotonic() + 30
    while "Stop" not in sent(device) and time.monotonic() < end_s:
        time.sleep(0.02)
    assert sent(device)[:2] == ["ContinuousMove", "Stop"]


def test_an_approved_municipal_camera_moves_and_ends(
    hub: HubThread, admin: httpx.Client, device: Any
) -> None:
    """Its own profile moves, nobody asks again, and the camera gets its Stop; the log has the command."""
    here = camera(hub, admin, device)
    assert approve(admin, here).status_code == 204
    state = admin.get(f"/api/v1/cameras/{here}/ptz").json()
    assert (state["may"], state["presets"]) == (True, [{"token": "1", "name": "Cổng"}])

    assert command(admin, here) == (204, "")

    wait_for_stop(device)
    moved = next(one for one in reversed(device.log) if one.operation == "ContinuousMove")
    assert "<ProfileToken>dome</ProfileToken>" in moved.body
    assert command(admin, here, {"preset": "1"}) == (204, "")
    assert sent(device)[-1] == "GotoPreset"
    kept = admin.get("/api/v1/audit", params={"kind": "ptz.", "camera": here}).json()["items"]
    assert [one["data"].get("command") for one in kept] == ["preset", "move", "presets", None]


def test_stop_ends_a_movement_before_its_time(hub: HubThread, admin: httpx.Client, device: Any) -> None:
    """A second person waits; the first one's stop reaches the camera at once."""
    hub.add_user("second", "operator")
    second = hub.login("second")
    here = camera(hub, admin, device)
    approve(admin, here)
    assert command(admin, here, {"move": {"tilt": -1}, "seconds": 5}) == (204, "")
    assert command(second, here) == (409, "ptz_busy")
    assert command(second, here, {"stop": True}) == (409, "ptz_busy")
    assert command(admin, here, {"stop": True}) == (204, "")
    assert sent(device) == ["ContinuousMove", "Stop"]


@pytest.mark.parametrize("kind", ["household", "shop", "school"])
def test_a_donated_camera_is_never_moved(hub: HubThread, admin: httpx.Client, device: Any, kind: str) -> None:
    """No approval can be recorded for it, no command is sent, not even a login; the refusal is in the log."""
    here = camera(hub, admin, device, kind=kind)
    assert approve(admin, here).json()["code"] == "ptz_donated"
    assert command(admin, here) == (403, "ptz_donated")
    assert admin.get(f"/api/v1/cameras/{here}/ptz").json()["may"] is False
    assert device.log == []
    kept = admin.get("/api/v1/audit", params={"kind": "ptz.refused", "camera": here}).json()["items"]
    assert kept[0]["data"]["code"] == "ptz_donated"


def test_what_else_refuses(hub: HubThread, admin: httpx.Client, device: Any) -> None:
    """No approval, a viewer, a camera that is pending, another address since: nothing is sent."""
    hub.add_user("looker", "viewer", areas=("*",))
    hub.add_user("mover", "operator")
    looker, mover = hub.login("looker"), hub.login("mover")
    here = camera(hub, admin, device, decision="PENDING")
    assert approve(mover, here).json()["code"] == "forbidden"
    assert approve(admin, here).status_code == 204
    assert command(mover, here) == (403, "decision_pending")
    new = NewAssessment("technical", "1", "REJECTED", datetime.now(UTC), {}, (), {}, {})
    hub.run(hub.hub.services.catalog.record_assessment(here, new, HUB))
    assert command(mover, here) == (403, "decision_rejected")
    new = NewAssessment("technical", "1", "ADMITTED", datetime.now(UTC), {}, (), {}, {})
    hub.run(hub.hub.services.catalog.record_assessment(here, new, HUB))
    assert command(looker, here) == (403, "forbidden")
    assert command(mover, here, {"move": {"pan": 2}})[0] == 422
    assert command(mover, here, {"move": {}, "stop": True})[0] == 422
    moved_away = {"address": f"onvif://127.0.0.1:{device.port}/other"}
    assert admin.patch(f"/api/v1/cameras/{here}", json=moved_away).status_code == 200
    hub.run(hub.hub.services.catalog.record_assessment(here, new, HUB))
    assert command(mover, here) == (403, "ptz_not_approved")
    assert device.log == []
