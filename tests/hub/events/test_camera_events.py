"""Events of scripted cameras in a real hub: pulled only where they may be, kept, told, measured, and let go at once."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import HubThread, running_hub

from adapters.clock import SystemClock
from hub.catalog.types import NewAssessment
from hub.events import service
from hub.events.kinds import KINDS, active_of, kind_of
from hub.settings import Events
from hub.simulator import events as noticed
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import Preset, shipped
from hub.store.chain import HUB

pytestmark = pytest.mark.process
WITHIN_S = 60.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that does not spread its first connections."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service, "SPREAD_S", 0.0)
        with running_hub(Path(tmp_path_factory.mktemp("data")), events=Events()) as started:
            yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture
def scripted(hub: HubThread) -> Iterator[Callable[..., ScriptedCamera]]:
    """Make scripted cameras on the hub's loop; they stop behind the test."""
    stack = AsyncExitStack()

    def make(name: str = "dome-ptz", **events: Any) -> ScriptedCamera:
        found: Preset = shipped()[name]
        script = found.events.model_copy(update={"every_s": None, **events})

        async def start() -> ScriptedCamera:
            camera = ScriptedCamera(found.model_copy(update={"events": script}), SystemClock())
            await camera.start()
            stack.push_async_callback(camera.stop)
            return camera

        return hub.run(start())

    yield make
    hub.run(stack.aclose())


def until(what: str, found: Callable[[], Any]) -> Any:
    """Wait until something is there."""
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        value = found()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {WITHIN_S:.0f} s: {what}")


def decide(
    hub: HubThread, camera_id: str, decision: str, source: str = "video_source_1", sources: int = 1
) -> None:
    """Give a camera a decision, as an assessment does."""
    report = {"sources": [{"layer": "main", "source": source}]}
    seen = {"media.video_sources": {"value": sources}}
    new = NewAssessment("technical", "1", decision, datetime.now(UTC), {}, (), report, seen)
    hub.run(hub.hub.services.catalog.record_assessment(camera_id, new, HUB))


def enrol(
    hub: HubThread,
    admin: httpx.Client,
    camera: ScriptedCamera,
    *,
    kind: str = "authority",
    token: str = "",
    password: str = "",
) -> str:
    """Register a camera and admit it."""
    body = {
        "name": "Quảng trường",
        "address": f"{camera.onvif_url}{'#' + token if token else ''}",
        "custodian": {"kind": kind, "name": "Ai đó"},
        "username": camera.user,
        "password": password or camera.password,
    }
    answer = admin.post("/api/v1/cameras", json=body)
    assert answer.status_code == 201, answer.text
    camera_id: str = answer.json()["id"]
    decide(hub, camera_id, "ADMITTED", token or "video_source_1", 3 if token else 1)
    return camera_id


def listed(client: httpx.Client, camera_id: str, **query: Any) -> dict[str, Any]:
    """Return a page of events."""
    answer = client.get(f"/api/v1/cameras/{camera_id}/events", params=query)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def listening(hub: HubThread, client: httpx.Client, camera_id: str) -> None:
    """Wait until the camera's events are pulled."""
    until("listening", lambda: listed(client, camera_id)["pulling"]["state"] == "listening")


def notify(hub: HubThread, camera: ScriptedCamera, topic: str, active: bool | None = None) -> None:
    """Let a camera notice something."""

    async def now() -> None:
        camera.happenings.notify(topic, active)

    hub.run(now())


def facts(hub: HubThread, camera_id: str) -> dict[str, Any]:
    """Return what the hub knows of a camera from its events."""
    services = hub.hub.services
    camera = hub.run(services.catalog.get(camera_id))
    return dict(hub.run(services.camera_events.facts(camera, datetime.now(UTC))))


def test_what_a_municipal_camera_notices_is_kept_told_and_measured(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """A motion comes as a CloudEvent with both times, by the list and by the tab's stream; repetitions do not; the facts are there."""
    camera = scripted()
    here = enrol(hub, admin, camera)
    listening(hub, admin, here)
    with admin.stream("GET", "/api/v1/events") as stream:
        lines = stream.iter_lines()
        next(line for line in lines if line.startswith("event: counts"))
        notify(hub, camera, noticed.MOTION, True)
        notify(hub, camera, noticed.MOTION, True)
        notify(hub, camera, noticed.LINE)
        assert next(line for line in lines if line.startswith("event: camera_event"))
        streamed = json.loads(next(line for line in lines if line.startswith("data:")).removeprefix("data:"))
    page = until("both events", lambda: (told := listed(admin, here))["total"] == 2 and told)
    line, motion = page["items"]
    assert (line["type"], line["data"]["active"]) == ("camhub.camera.line", None)
    assert streamed == motion
    assert (motion["specversion"], motion["source"]) == ("1.0", f"/api/v1/cameras/{here}")
    assert (motion["type"], motion["data"]["active"]) == ("camhub.camera.motion", True)
    assert (motion["data"]["topic"], motion["data"]["in_utc"]) == (noticed.MOTION, True)
    assert abs(motion["data"]["difference_s"]) < 30
    first = listed(admin, here, limit=1)
    assert listed(admin, here, limit=1, cursor=first["next"])["items"] == [motion]
    assert admin.get(f"/api/v1/cameras/{here}/events", params={"cursor": "x"}).status_code == 400
    seen = until("the long pull", lambda: facts(hub, here))
    assert seen["event.times_utc"].value is True
    assert 0 <= seen["event.pull_answer_s"].value < 65
    assert abs(seen["event.clock_difference_s"].value) < 30
    assert camera.happenings.pull_points == 1
    assert 'camhub_camera_events_total{kind="motion",outcome="repeated"}' in admin.get("/metrics").text


def test_the_subscription_ends_with_pause_decision_switch_and_removal(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """Each of them gives the camera's slot back, and where the reason goes, the events come again."""
    camera = scripted()
    here = enrol(hub, admin, camera)
    listening(hub, admin, here)

    def ended(code: str) -> None:
        until(f"{code} gives the slot back", lambda: camera.happenings.pull_points == 0)
        assert listed(admin, here)["pulling"]["code"] == code

    assert admin.post(f"/api/v1/cameras/{here}/pause", json={}).status_code == 200
    ended("paused")
    assert admin.post(f"/api/v1/cameras/{here}/resume").status_code == 200
    listening(hub, admin, here)
    decide(hub, here, "REJECTED")
    ended("decision_rejected")
    decide(hub, here, "CONDITIONAL")
    listening(hub, admin, here)
    switch = f"/api/v1/cameras/{here}/events/pulling"
    assert admin.put(switch, json={"pull": False}).status_code == 204
    ended("camera_off")
    assert admin.put(switch, json={"pull": True}).status_code == 204
    listening(hub, admin, here)
    assert admin.delete(f"/api/v1/cameras/{here}").status_code == 204
    until("removal gives the slot back", lambda: camera.happenings.pull_points == 0)
    assert camera.counters.refused == 0


@pytest.mark.parametrize("kind", ["household", "shop", "school"])
def test_a_donated_camera_is_never_subscribed_to(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera], kind: str
) -> None:
    """Not a packet reaches it, no setting changes that, and the list says why."""
    other, camera = scripted(), scripted()
    here = enrol(hub, admin, camera, kind=kind)
    listening(hub, admin, enrol(hub, admin, other))  # by now the donated one would have been asked
    told = listed(admin, here)
    assert (told["items"], told["pulling"]["state"], told["pulling"]["code"]) == ([], "off", "donated")
    refused = admin.put(f"/api/v1/cameras/{here}/events/pulling", json={"pull": True})
    assert refused.json()["code"] == "events_donated"
    assert camera.counters.connections == 0


def test_a_refused_password_is_tried_once(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """One request with a credential, then the cool-down; the right password begins anew."""
    camera = scripted()
    here = enrol(hub, admin, camera, password="wrong")
    until("refused", lambda: listed(admin, here)["pulling"]["code"] == "login_refused")
    assert camera.counters.credentialed == 1
    patched = admin.patch(
        f"/api/v1/cameras/{here}", json={"username": camera.user, "password": camera.password}
    )
    assert patched.status_code == 200
    listening(hub, admin, here)


def test_a_camera_without_events_says_so(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """It is asked once, EVT-02 has its answer, and the page says that there is no event service."""
    here = enrol(hub, admin, scripted("good-onvif"))
    until("unsupported", lambda: listed(admin, here)["pulling"]["code"] == "unsupported")
    assert facts(hub, here)["event.pull_answer_s"].reason == "denied_by_device"


def test_a_recorder_has_one_subscription_for_its_cameras(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """Two of its cameras share a pull point; a motion goes to the camera whose source it names."""
    camera = scripted("recorder")
    first = enrol(hub, admin, camera, token="video_source_1")
    second = enrol(hub, admin, camera, token="video_source_2")
    for here in (first, second):
        listening(hub, admin, here)
    notify(hub, camera, noticed.MOTION, True)
    until("the first one's motion", lambda: listed(admin, first)["total"] == 1)
    assert listed(admin, second)["total"] == 0
    assert camera.happenings.pull_points == 1


def test_only_who_sees_the_camera_sees_its_events(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """Somebody without its area gets the answer for a camera that does not exist; a viewer may not switch."""
    here = enrol(hub, admin, scripted("good-onvif"))
    hub.add_user("stranger", "viewer")
    hub.add_user("watcher", "viewer", areas=("*",))
    assert hub.login("stranger").get(f"/api/v1/cameras/{here}/events").status_code == 404
    watcher = hub.login("watcher")
    assert listed(watcher, here)["pulling"]["may_switch"] is False
    assert watcher.put(f"/api/v1/cameras/{here}/events/pulling", json={"pull": False}).status_code == 403


def test_a_flood_is_bounded(
    hub: HubThread, admin: httpx.Client, scripted: Callable[..., ScriptedCamera]
) -> None:
    """Two hundred events at once leave at most what the burst allows, and the last 50 are kept."""
    camera = scripted()
    here = enrol(hub, admin, camera)
    listening(hub, admin, here)

    async def flood() -> None:
        for _ in range(200):
            camera.happenings.notify(noticed.LINE)

    hub.run(flood())
    until("some are dropped", lambda: 'kind="line",outcome="dropped"' in admin.get("/metrics").text)
    assert service.BURST <= listed(admin, here)["total"] <= 50


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        ("tns1:VideoSource/MotionAlarm", "motion"),
        ("tns1:RuleEngine/CellMotionDetector/Motion", "motion"),
        ("tns1:RuleEngine/TamperDetector/Tamper", "tamper"),
        ("tns1:VideoSource/ImageTooDark/ImagingService", "too_dark"),
        ("tns1:VideoSource/ImageTooBlurry/AnalyticsService", "blurry"),
        ("tns1:VideoSource/GlobalSceneChange/ImagingService", "scene_changed"),
        ("tns1:RuleEngine/LineDetector/Crossed", "line"),
        ("tns1:RuleEngine/tnshik:LineCross/Crossed", "line"),
        ("tns1:RuleEngine/FieldDetector/ObjectsInside", "object"),
        ("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "object"),
        ("tns1:Device/Trigger/DigitalInput", "digital_input"),
        ("tns1:Device/HardwareFailure/StorageFailure", "storage"),
        ("tns1:VideoSource/SignalLoss", "signal_loss"),
        ("tnsacme:Coffee/Ready", "unknown"),
    ],
)
def test_topics_become_kinds(topic: str, kind: str) -> None:
    """Standard topics and those of makers fall into the closed list; what is foreign stays unknown."""
    assert kind_of(topic) == kind
    assert kind in KINDS


def test_states_are_read_whatever_they_are_called() -> None:
    """State, IsMotion, 1 and 0; what tells no state is a single happening."""
    assert active_of({"IsMotion": "true"}) is True
    assert active_of({"State": "0"}) is False
    assert active_of({"ObjectId": "1"}) is None
