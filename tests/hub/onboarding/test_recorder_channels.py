"""A recorder's other cameras, and searches of the network, over the API of a real hub with scripted cameras."""

import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import AUTHORITY, PERMISSION, HubThread, running_hub

from adapters.clock import SystemClock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.discovery import DiscoveryResponder
from hub.simulator.presets import shipped

pytestmark = pytest.mark.process
WITHIN_S = 90.0


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that looks at no pictures: what is asked here is which cameras there are."""
    with running_hub(Path(tmp_path_factory.mktemp("data")), probe_window_s=0.0) as started:
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture
def recorder(hub: HubThread) -> Iterator[ScriptedCamera]:
    """A recorder with three cameras, on the hub's loop."""
    stack = AsyncExitStack()

    async def start() -> ScriptedCamera:
        camera = ScriptedCamera(shipped()["recorder"], SystemClock())
        await camera.start()
        stack.push_async_callback(camera.stop)
        return camera

    yield hub.run(start())
    hub.run(stack.aclose())


def ended(client: httpx.Client, onboarding_id: str) -> dict[str, Any]:
    """Wait until an onboarding has ended."""
    end_s = time.monotonic() + WITHIN_S
    while time.monotonic() < end_s:
        entry: dict[str, Any] = client.get(f"/api/v1/onboardings/{onboarding_id}").json()
        if entry["state"] != "running":
            return entry
        time.sleep(0.05)
    raise AssertionError("the onboarding did not end")


def test_other_cameras_of_a_recorder_are_chosen_and_taken_in(
    hub: HubThread, admin: httpx.Client, recorder: ScriptedCamera
) -> None:
    """The first one tells of the others by name; two are taken in one after the other, with one login each, and are then known."""
    body = {
        "address": recorder.onvif_url,
        "username": recorder.user,
        "password": recorder.password,
        "name": "Chợ",
        "custodian": AUTHORITY,
        "permission": PERMISSION,
    }
    first = admin.post("/api/v1/onboardings", json=body)
    assert first.status_code == 201, first.text
    path = f"/api/v1/onboardings/{first.json()['id']}/channels"
    entry = ended(admin, first.json()["id"])
    assert entry["camera_id"], entry
    told = admin.get(path).json()["items"]
    assert [(one["source"], one["name"]) for one in told] == [
        ("video_source_2", "main 2"),
        ("video_source_3", "main 3"),
    ]
    assert admin.post(path, json={"sources": ["video_source_9"]}).json()["code"] == "channel_unknown"
    begun = admin.post(path, json={"sources": ["video_source_2", "video_source_3"]})
    assert begun.status_code == 201, begun.text
    entries = [ended(admin, one["id"]) for one in begun.json()["items"]]
    assert [one["name"] for one in entries] == ["Chợ · main 2", "Chợ · main 3"]
    assert all(one["camera_id"] for one in entries), entries
    assert [one["camera_id"] for one in admin.get(path).json()["items"]] == [
        one["camera_id"] for one in entries
    ]
    assert recorder.counters.refused == 0
    again = admin.post(path, json={"sources": ["video_source_2"]})
    assert again.json()["items"] == []
    area = hub.run(hub.hub.services.areas.find("", 1))[0].code
    hub.add_user("other", "operator", areas=(area,))
    assert hub.login("other").get(path).status_code == 404


def test_the_network_is_searched_without_a_credential(
    hub: HubThread, admin: httpx.Client, recorder: ScriptedCamera
) -> None:
    """A device that answers is shown with what it claims and whether it may be dialled; nobody logs in to it; viewers may not ask."""

    async def respond() -> DiscoveryResponder:
        responder = DiscoveryResponder([recorder], "127.0.0.1", port=0)
        await responder.start()
        return responder

    responder = hub.run(respond())
    discoveries = hub.hub.services.discoveries
    discoveries.port, discoveries.last_s = responder.port, 1.5
    try:
        begun = admin.post("/api/v1/discoveries", json={"host": "127.0.0.1"})
        assert begun.status_code == 201, begun.text
        joined = admin.post("/api/v1/discoveries", json={"host": "127.0.0.1"}).json()
        assert joined["id"] == begun.json()["id"]
        told = begun.json()
        end_s = time.monotonic() + WITHIN_S
        while told["state"] == "running" and time.monotonic() < end_s:
            time.sleep(0.05)
            told = admin.get(begun.headers["location"]).json()
    finally:
        hub.run(responder.aclose())
    assert told["state"] == "done", told
    (found,) = told["items"]
    assert found["address"].startswith(recorder.onvif_url)
    assert (found["name"], found["dialable"], found["camera_id"]) == ("Đầu ghi chợ", True, None)
    assert recorder.counters.connections == 0
    assert admin.post("/api/v1/discoveries", json={"host": "a b"}).json()["code"] == "address_bad"
    hub.add_user("looker", "viewer", areas=("*",))
    assert hub.login("looker").post("/api/v1/discoveries", json={}).status_code == 403


def test_searches_are_limited(hub: HubThread, admin: httpx.Client) -> None:
    """More than six in a minute are refused with the time to wait."""
    hub.hub.services.discoveries.last_s = 0.05
    codes = []
    for number in range(8):
        answer = admin.post("/api/v1/discoveries", json={"host": f"127.0.0.{number + 2}"})
        codes.append(answer.status_code)
    assert codes[-1] == 429
    assert int(answer.headers["retry-after"]) >= 1
