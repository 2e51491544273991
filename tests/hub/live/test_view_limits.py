"""What bounds a view besides consent: the test's minute, the store, other viewers, a changed address, a re-check."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import simulators
from running_hub import HubThread, JumpClock, onboard, running_hub, wait_for_end
from webrtc_viewer import Viewer, cut_within

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def clock() -> JumpClock:
    """A clock that tests may set forward."""
    return JumpClock()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, clock: JumpClock) -> Iterator[HubThread]:
    """A hub with a short probe."""
    with running_hub(Path(tmp_path_factory.mktemp("data")), clock=clock, probe_window_s=1.0) as started:
        yield started


@pytest.fixture(scope="module")
def cameras(hub: HubThread) -> Iterator[dict[str, dict[str, Any]]]:
    """A good camera and one that answers anyone, onboarded as an authority's."""
    client = hub.login("admin")
    with simulators("good-onvif", "open-no-auth") as lines:
        out = {}
        for line in lines:
            done = onboard(client, line["onvif"], line["user"], line["password"], name=line["preset"])
            out[line["preset"]] = {**line, "id": done["camera_id"], "decision": done["decision"]}
        yield out


@pytest.fixture
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


def test_test_of_a_rejected_camera_ends_after_a_minute(
    hub: HubThread, clock: JumpClock, admin: httpx.Client, cameras: dict[str, dict[str, Any]]
) -> None:
    """A rejected camera is shown to its custodian only as a test; after 60 s it ends by itself and says so."""
    camera = cameras["open-no-auth"]
    assert camera["decision"] == "REJECTED"
    shown = admin.get(f"/api/v1/cameras/{camera['id']}").json()["viewable"]
    assert (shown["allowed"], shown["test_only"], shown["code"]) == (True, True, "decision_rejected")
    viewer = Viewer(admin, camera["id"])
    try:
        assert viewer.start().json()["code"] == "decision_rejected"
        assert viewer.start(purpose="test").status_code == 201
        assert admin.get(viewer.where).json()["max_s"] == 60.0
        viewer.wait_for_frames()
        clock.ahead_s += 30.0  # leaves a busy machine half a minute to look
        time.sleep(1.0)
        assert admin.get(viewer.where).json()["state"] == "live"
        with cut_within(2.0, viewer):
            clock.ahead_s += 31.0
        viewer.wait_for_state("ended")
        assert viewer.states[-1][2] == "time_limit"
    finally:
        viewer.close()
    receipt = admin.get(f"/api/v1/cameras/{camera['id']}/views").json()["items"][0]
    assert (receipt["kind"], receipt["ended_cause"]) == ("test", "time_limit")
    assert 60 <= receipt["seconds"] <= 150


def test_second_viewer_is_told_that_it_is_live(
    admin: httpx.Client, cameras: dict[str, dict[str, Any]]
) -> None:
    """A viewer who joins a running pull is told `live` though nothing changed at the camera; one pull serves both."""
    viewers = [Viewer(admin, cameras["good-onvif"]["id"]) for _ in range(2)]

    def pulls() -> str:
        told = httpx.get(f"{admin.base_url}/metrics").text
        name = "camhub_relay_worker_pulls_opened_total{"
        return next(line for line in told.splitlines() if line.startswith(name))

    try:
        assert viewers[0].start().status_code == 201
        viewers[0].wait_for_frames()
        before = pulls()
        assert viewers[1].start().status_code == 201
        viewers[1].wait_for_state("live")
        assert pulls() == before
        assert "camhub_viewers 2.0" in httpx.get(f"{admin.base_url}/metrics").text
    finally:
        for viewer in viewers:
            viewer.close()


def test_foreign_session_is_unknown(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, dict[str, Any]]
) -> None:
    """Nobody reads, follows or ends somebody else's view."""
    hub.add_user("other", "admin")
    other = hub.login("other")
    viewer = Viewer(admin, cameras["good-onvif"]["id"])
    try:
        assert viewer.start().status_code == 201
        for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", "")):
            assert other.request(method, viewer.where + path).status_code == 404
        ended = admin.delete(viewer.where)
        again = admin.delete(viewer.where)
        assert ended.json()["state"] == again.json()["state"] == "ended"
    finally:
        viewer.close()


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=vid", "application/sdp", 422, "bad_sdp"),
        (b"", "application/sdp", 422, "bad_sdp"),
        (b"\xff\xfe", "application/sdp", 422, "bad_sdp"),
        (b"{}", "application/json", 415, "media_type"),
        (b"v=0\r\n" * 20_000, "application/sdp", 413, "too_large"),
    ],
)
def test_offer_that_cannot_be_read(
    admin: httpx.Client, cameras: dict[str, dict[str, Any]], body: bytes, kind: str, status: int, code: str
) -> None:
    """A truncated, empty, foreign or huge offer is refused in one sentence, and nothing plays on."""
    answer = admin.post(
        f"/api/v1/cameras/{cameras['good-onvif']['id']}/whep", content=body, headers={"content-type": kind}
    )

    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    assert "camhub_viewers 0.0" in httpx.get(f"{admin.base_url}/metrics").text


def test_stills_are_receipted_and_bounded(admin: httpx.Client, cameras: dict[str, dict[str, Any]]) -> None:
    """A still is a JPEG with its age and a receipt; a fifth within ten seconds is refused."""
    camera = cameras["good-onvif"]["id"]
    answers = [admin.get(f"/api/v1/cameras/{camera}/snapshot.jpg") for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 4 + [429]
    assert answers[0].content.startswith(b"\xff\xd8\xff")
    assert int(answers[0].headers["age"]) <= 5
    receipts = admin.get(f"/api/v1/cameras/{camera}/views").json()["items"][:4]
    assert [(item["kind"], item["stills"], item["ended_cause"]) for item in receipts] == [
        ("snapshot", 1, "done")
    ] * 4


def test_recheck_decides_anew_and_another_address_takes_it_back(
    admin: httpx.Client, cameras: dict[str, dict[str, Any]]
) -> None:
    """A re-check adds an assessment; a changed address makes the camera PENDING and cuts who watches."""
    camera = cameras["good-onvif"]
    where = f"/api/v1/cameras/{camera['id']}"
    before = admin.get(f"{where}/assessments").json()["total"]
    started = admin.post(f"{where}/recheck")
    assert started.status_code == 202
    done = wait_for_end(admin, started.json()["onboarding"]["id"])
    assert done["state"] in {"admitted", "conditional"}
    assert done["camera_id"] == camera["id"]
    assert admin.get(f"{where}/assessments").json()["total"] == before + 1
    viewer = Viewer(admin, camera["id"])
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()
        with cut_within(2.0, viewer):
            changed = admin.patch(where, json={"address": "onvif://127.0.0.1:9"})
            assert changed.json()["decision"] == "PENDING"
        viewer.wait_for_state("ended")
        assert viewer.states[-1][2] == "decision_pending"
    finally:
        viewer.close()
    failed = wait_for_end(admin, admin.post(f"{where}/recheck").json()["onboarding"]["id"])
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "connection_refused")
    assert admin.get(where).json()["decision"] == "PENDING"
    admin.patch(where, json={"address": camera["onvif"]})
    again = wait_for_end(admin, admin.post(f"{where}/recheck").json()["onboarding"]["id"])
    assert again["state"] in {"admitted", "conditional"}


def test_store_that_cannot_be_read_stops_the_frames(
    hub: HubThread, admin: httpx.Client, cameras: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the catalog cannot be read nothing is renewed: frames stop within 2 s (fail closed)."""
    viewer = Viewer(admin, cameras["good-onvif"]["id"])
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames()

        async def broken(*_: object) -> None:
            raise OSError("disk I/O error")

        with cut_within(2.6, viewer):  # the lease of the last good tick, and what was on its way
            monkeypatch.setattr(
                hub.hub.services.viewers._vouching, "_catalog", type("Broken", (), {"get": broken})()
            )
    finally:
        monkeypatch.undo()
        viewer.close()
