"""Moving cameras through a real hub: who may, what the camera gets, that it ends, and what the log keeps."""

import importlib.util
import json
import socket
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

from adapters.clock import SystemClock
from hub.catalog.types import NewAssessment
from hub.live.ptz import PER_CAMERA
from hub.problems import Problem
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
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


@pytest.fixture
def dome(hub: HubThread) -> Iterator[ScriptedCamera]:
    """A scripted camera with a head, on the first hub's loop."""
    stack = AsyncExitStack()

    async def start() -> ScriptedCamera:
        made = ScriptedCamera(shipped()["dome-ptz"], SystemClock())
        await made.start()
        stack.push_async_callback(made.stop)
        return made

    yield hub.run(start())
    hub.run(stack.aclose())


def admitted(hub: HubThread, admin: httpx.Client, dome: ScriptedCamera, area: str | None = None) -> str:
    """Register a scripted dome, admitted and approved."""
    body = {
        "name": "Quảng trường",
        "address": dome.onvif_url,
        "custodian": {"kind": "authority", "name": "Ai đó"},
        "username": dome.user,
        "password": dome.password,
        **({"area": area} if area else {}),
    }
    answer = admin.post("/api/v1/cameras", json=body)
    assert answer.status_code == 201, answer.text
    here: str = answer.json()["id"]
    report = {"sources": [{"layer": "main", "source": "video_source_1"}]}
    new = NewAssessment("technical", "1", "ADMITTED", datetime.now(UTC), {}, (), report, {})
    hub.run(hub.hub.services.catalog.record_assessment(here, new, HUB))
    assert approve(admin, here).status_code == 204
    return here


def wait_until_still(dome: ScriptedCamera) -> None:
    """Wait until the head was moved and stopped by a command, not by its own time-out alone."""
    end_s = time.monotonic() + 60
    while "Stop" not in dome.head.told and time.monotonic() < end_s:
        time.sleep(0.02)
    assert dome.head.told[:2] == ["ContinuousMove 0.5 0.0 0.0", "Stop"]
    assert not dome.head.moving


def test_a_paused_camera_and_one_elsewhere_are_not_moved(
    hub: HubThread, admin: httpx.Client, dome: ScriptedCamera
) -> None:
    """An operator of another area and everybody during a pause are refused, and nothing is sent; afterwards it moves."""
    areas = [area.code for area in hub.run(hub.hub.services.areas.find("", 50)) if area.parent is not None][
        :2
    ]
    hub.add_user("here", "operator", areas=(areas[0],))
    hub.add_user("elsewhere", "operator", areas=(areas[1],))
    here = admitted(hub, admin, dome, areas[0])
    mover = hub.login("here")
    # the entry itself is not theirs to see, so that its being there is not told either
    assert command(hub.login("elsewhere"), here) == (404, "not_found")
    elsewhere = hub.run(hub.hub.services.accounts.by_name("elsewhere"))
    principal = hub.run(hub.hub.services.accounts.principal(elsewhere.id))
    found = hub.run(hub.hub.services.catalog.get(here))
    with pytest.raises(Problem) as refused:
        hub.run(hub.hub.services.movers.stop(principal, found))
    assert refused.value.code == "wrong_area"
    assert admin.post(f"/api/v1/cameras/{here}/pause", json={}).status_code == 200
    assert command(mover, here) == (403, "paused")
    assert command(admin, here, {"stop": True}) == (403, "paused")
    assert admin.post(f"/api/v1/cameras/{here}/resume").status_code == 200
    assert dome.head.told == []
    assert command(mover, here) == (204, "")
    wait_until_still(dome)


def test_commands_are_limited_and_stop_is_not(
    hub: HubThread, admin: httpx.Client, dome: ScriptedCamera
) -> None:
    """Beyond the limit a movement is refused with the time to wait; a stop goes through."""
    here = admitted(hub, admin, dome)
    limiter = hub.hub.services.coordination.limiter
    for _ in range(PER_CAMERA):
        hub.run(limiter.hit(f"ptz:{here}", PER_CAMERA, 600.0))
    answer = admin.post(f"/api/v1/cameras/{here}/ptz", json=MOVE)
    assert (answer.status_code, answer.json()["code"]) == (429, "too_many_requests")
    assert int(answer.headers["retry-after"]) >= 1
    assert command(admin, here, {"stop": True}) == (204, "")
    assert dome.head.told == ["Stop"]


def test_who_leaves_does_not_leave_the_camera_moving(
    hub: HubThread, admin: httpx.Client, dome: ScriptedCamera
) -> None:
    """The connection is cut without reading the answer; the hub sends the camera its Stop all the same."""
    here = admitted(hub, admin, dome)
    body = json.dumps(MOVE).encode()
    host, port = admin.base_url.host, admin.base_url.port
    cookies = "; ".join(f"{name}={value}" for name, value in admin.cookies.items())
    head = (
        f"POST /api/v1/cameras/{here}/ptz HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookies}\r\n"
        f"X-CSRFToken: {admin.headers['x-csrftoken']}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((host, port), timeout=30) as line:
        line.sendall(head.encode() + body)
        end_s = time.monotonic() + 60
        while not dome.head.told and time.monotonic() < end_s:
            time.sleep(0.01)
    wait_until_still(dome)


def test_a_hub_that_stops_stops_the_camera(
    hub: HubThread, admin: httpx.Client, dome: ScriptedCamera, tmp_path: Path
) -> None:
    """A movement of five seconds ends with the hub, by a Stop."""
    with running_hub(tmp_path / "other") as other:
        boss = other.login("admin")
        here = admitted(other, boss, dome)
        assert command(boss, here, {"move": {"pan": 0.5}, "seconds": 5}) == (204, "")
        assert dome.head.moving
    wait_until_still(dome)


def test_an_account_of_user_level_is_told_so(
    hub: HubThread, admin: httpx.Client, dome: ScriptedCamera
) -> None:
    """The camera refuses the movement by its access classes; the answer says that the account's right is missing."""
    preset = shipped()["dome-ptz"]
    assert preset.onvif is not None
    lower = preset.model_copy(update={"onvif": preset.onvif.model_copy(update={"level": "user"})})
    camera = ScriptedCamera(lower, SystemClock())
    hub.run(camera.start())
    try:
        here = admitted(hub, admin, camera)
        status, code = command(admin, here)
        assert status >= 400
        assert code not in {"", "internal"}
        assert not camera.head.moving
    finally:
        hub.run(camera.stop())
