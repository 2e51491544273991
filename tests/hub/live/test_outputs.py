"""Outputs for other systems: FFmpeg plays by RTSP what the hub allows, receipted, and cut like every other view."""

import json
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from certificates import camera_pem
from go2rtc import go2rtc_server, needed
from hub_support import simulators
from patience import PATIENCE_S, taken_away
from running_hub import HubThread, JumpClock, onboard, running_hub
from webrtc_viewer import Viewer

from adapters.errors import AdapterError
from hub.settings import Relay

pytestmark = pytest.mark.slow
CUT_S = 2.0
DECODED = 3


@pytest.fixture(scope="module")
def clock() -> JumpClock:
    """The hub's clock."""
    return JumpClock()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, clock: JumpClock) -> Iterator[HubThread]:
    """A hub with a door for RTSP and two workers."""
    data = Path(tmp_path_factory.mktemp("data"))
    pem = camera_pem(data / "rtsps.pem")
    tls = {"rtsps_port": 0, "rtsps_cert": pem, "rtsps_key": pem}
    relay = Relay(udp_port=0, rtsp_port=0, workers=2, transcodes=1, **tls)
    with running_hub(data, clock=clock, relay=relay) as started:
        started.add_user("operator", "operator", areas=("*",))
        started.add_user("viewer", "viewer", areas=("*",))
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def camera(admin: httpx.Client) -> Iterator[str]:
    """An authority's camera, admitted."""
    with simulators("good-onvif") as (line,):
        done = onboard(admin, line["onvif"], line["user"], line["password"])
        assert done["camera_id"], done
        yield str(done["camera_id"])


def asked(clock: JumpClock, **more: Any) -> dict[str, Any]:
    """Return the body of a request for an output of an hour."""
    until = clock.now() + timedelta(hours=1)
    return {
        "recipient": "VMS Công an phường",
        "purpose": "public_safety",
        "reason": "Kế hoạch 12/KH-UBND",
        "expires_at": until.isoformat(),
        **more,
    }


def made(client: httpx.Client, camera: str, clock: JumpClock, **more: Any) -> dict[str, Any]:
    """Make an output."""
    answer = client.post(f"/api/v1/cameras/{camera}/outputs", json=asked(clock, **more))
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


class Taken:
    """A recipient on a thread, until it ends. It decodes the first pictures and only counts the others."""

    def __init__(self, url: str) -> None:
        self.frames = 0
        self.last_s = 0.0
        self._enough = False
        self._pool = ThreadPoolExecutor(1)
        self._done = self._pool.submit(self._run, url)

    def _run(self, url: str) -> None:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=20) as container:
            try:
                decoded = 0
                for packet in container.demux(video=0):
                    if self._enough:
                        return
                    decoded += len(packet.decode()) if decoded < DECODED else 0
                    self.frames += decoded > 0
                    self.last_s = time.monotonic()
            except (av.error.FFmpegError, OSError):
                return  # cut

    def wait(self, more: int = 5) -> None:
        """Wait until some frames were decoded."""
        wanted, deadline = self.frames + more, time.monotonic() + PATIENCE_S
        while self.frames < wanted:
            assert not self._done.done(), self._done.exception()
            assert time.monotonic() < deadline, self.frames
            time.sleep(0.02)

    def ended(self) -> None:
        """Wait until it has ended by itself."""
        self._done.result(timeout=PATIENCE_S)

    def close(self) -> None:
        """Hang up."""
        self._enough = True
        self._pool.shutdown()


def played(url: str) -> str:
    """Return "" where a recipient gets in with an address, else what FFmpeg says."""
    try:
        with av.open(url, options={"rtsp_transport": "tcp"}, timeout=20):
            return ""
    except av.error.FFmpegError as error:
        return str(error)


def views(client: httpx.Client, camera: str) -> list[dict[str, Any]]:
    """Return who watched."""
    return list(client.get(f"/api/v1/cameras/{camera}/views").json()["items"])


def test_another_system_plays_until_it_is_revoked(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """FFmpeg decodes; the list shows it playing and no token, the receipt names the recipient; revoked, it is cut and barred."""
    output = made(admin, camera, clock)
    where = f"/api/v1/cameras/{camera}/outputs"
    taken = Taken(output["url"])
    try:
        taken.wait()
        (listed,) = admin.get(where).json()["items"]
        assert (listed["playing"], listed["state"], listed["recipient"]) == (
            1,
            "active",
            "VMS Công an phường",
        )
        token = output["url"].rpartition("/")[2]
        assert token not in json.dumps(listed)
        running = views(admin, camera)[0]
        assert (running["kind"], running["by"]["recipient"], running["ended_at"]) == (
            "output",
            "VMS Công an phường",
            None,
        )
        with taken_away() as more:
            assert admin.delete(f"{where}/{output['id']}").json()["state"] == "revoked"
            revoked_s = time.monotonic()
            taken.ended()
            assert taken.last_s - revoked_s < CUT_S + more()
    finally:
        taken.close()
    assert views(admin, camera)[0]["ended_cause"] == "output_revoked"
    assert "404" in played(output["url"]), "the token opens nothing any more"
    assert admin.delete(f"{where}/{output['id']}").status_code == 200
    log = admin.get(f"/api/v1/audit?camera={camera}").json()["items"]
    kinds = [entry["kind"] for entry in log]
    assert kinds.count("output.made") == kinds.count("output.revoked") == 1
    assert token not in json.dumps(log)
    assert token not in hub.log.getvalue()
    started = next(entry for entry in log if entry["kind"] == "view.started")
    assert started["data"]["recipient"] == "VMS Công an phường"


def test_it_ends_with_its_time_and_with_the_person_who_answers_for_it(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """An output that runs out is cut; so is one, over TLS, whose maker loses the account; neither plays again."""
    mine, theirs = made(admin, camera, clock), made(hub.login("operator"), camera, clock, layer="sub")
    users = {one["name"]: one["id"] for one in admin.get("/api/v1/users").json()["items"]}
    with ExitStack() as stack:
        takers = {}
        for output in (mine, theirs):
            takers[output["id"]] = taken = Taken(output["url" if output is mine else "secure_url"])
            stack.callback(taken.close)
            taken.wait(2)
        with taken_away() as more:
            disabled = admin.patch(f"/api/v1/users/{users['operator']}", json={"disabled": True})
            assert disabled.status_code == 200
            gone_s = time.monotonic()
            takers[theirs["id"]].ended()
            assert takers[theirs["id"]].last_s - gone_s < CUT_S + more()
        takers[mine["id"]].wait(2)
        assert admin.patch(f"/api/v1/users/{users['operator']}", json={"disabled": False}).status_code == 200
        with taken_away() as more:
            clock.ahead_s += 3601
            assert admin.get("/api/v1/me").status_code == 200
            over_s = time.monotonic()
            takers[mine["id"]].ended()
            assert takers[mine["id"]].last_s - over_s < CUT_S + more()
    causes = [view["ended_cause"] for view in views(admin, camera)[:2]]
    assert causes == ["output_revoked", "output_expired"]
    assert "404" in played(mine["url"])
    states = {
        one["id"]: one["state"] for one in admin.get(f"/api/v1/cameras/{camera}/outputs").json()["items"]
    }
    assert states[mine["id"]] == "expired"


def test_what_may_not_be_given_is_refused_by_name(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """No right, no test, no end in the past or years away, no reason, a camera that may not be viewed: nothing is made."""
    where = f"/api/v1/cameras/{camera}/outputs"

    def code(client: httpx.Client, path: str = where, **more: Any) -> tuple[int, str, str]:
        answer = client.post(path, json=asked(clock, **more))
        told = answer.json()
        return answer.status_code, told["code"], told.get("field", "")

    viewer = hub.login("viewer")
    assert code(viewer)[:2] == (403, "forbidden")
    assert viewer.get(where).status_code == 403
    assert code(admin, purpose="test") == (422, "invalid_input", "purpose")
    assert code(admin, purpose="curiosity")[:2] == (422, "invalid_input")
    assert code(admin, reason=" ")[:2] == (422, "invalid_input")
    for away in (-1, 400 * 86_400):
        until = (clock.now() + timedelta(seconds=away)).isoformat()
        assert code(admin, expires_at=until) == (422, "invalid_input", "expires_at")
    with pytest.raises(AdapterError):  # nor does the hub take its own output for a camera
        hub.hub.dialer.check("127.0.0.1", hub.hub.services.outputs.port or 0)
    pending = admin.post("/api/v1/cameras", json={"name": "Cổng", "address": "rtsp://127.0.0.1:51/x"}).json()[
        "id"
    ]
    assert code(admin, f"/api/v1/cameras/{pending}/outputs")[:2] == (403, "decision_pending")
    assert code(admin, "/api/v1/cameras/no-such/outputs")[:2] == (404, "not_found")
    assert admin.delete(f"{where}/no-such").status_code == 404
    made_before = len(admin.get(where).json()["items"])
    assert admin.post(f"/api/v1/cameras/{camera}/pause", json={}).status_code == 200
    assert code(admin)[:2] == (403, "paused")
    assert admin.post(f"/api/v1/cameras/{camera}/resume", json={}).status_code == 200
    assert len(admin.get(where).json()["items"]) == made_before


def test_a_camera_with_a_zone_that_the_hub_paints_over_goes_to_no_other_system(
    admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """Declaring a zone cuts what plays and bars it, by name for who asks for an output; covered by the camera itself, it plays again."""
    output = made(admin, camera, clock)
    zones = f"/api/v1/cameras/{camera}/masks"
    left_half = [[[0, 0], [0.5, 0], [0.5, 1], [0, 1]]]
    plain = Taken(output["url"])
    try:
        plain.wait(1)
        assert admin.put(zones, json={"zones": left_half}).status_code == 200
        plain.ended()
        assert "404" in played(output["url"])
        refused = admin.post(f"/api/v1/cameras/{camera}/outputs", json=asked(clock))
        assert (refused.status_code, refused.json()["code"]) == (403, "outputs_masked")
        log = admin.get(f"/api/v1/audit?camera={camera}").json()["items"]
        refusals = [entry["data"]["code"] for entry in log if entry["kind"] == "view.refused"]
        assert refusals.count("outputs_masked") == 2
        assert admin.put(zones, json={"zones": left_half, "verified": True}).status_code == 200
        again = Taken(output["url"])
        try:
            again.wait(1)
        finally:
            again.close()
    finally:
        assert admin.put(zones, json={"zones": []}).status_code == 200
        plain.close()


def test_the_worker_that_holds_the_camera_gets_the_connection_and_another_one_when_it_dies(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """A browser and a recipient share one pull; after `kill -9` of the worker the recipient gets in again."""
    relay = hub.hub.relay
    output = made(admin, camera, clock)
    viewer = Viewer(admin, camera)
    taken = Taken(output["url"])
    try:
        assert viewer.start().status_code == 201
        viewer.wait_for_frames(2)
        taken.wait(2)
        counted = hub.run(relay.counters())
        assert (counted["cameras"], counted["viewers"], counted["readers"]) == (1, 1, 1)
        held = relay.worker_of(camera)
        assert held is not None
        pid = relay.workers()[held].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        taken.ended()
    finally:
        viewer.close()
        taken.close()
    again = Taken(output["url"])
    try:
        again.wait(2)
        assert views(admin, camera)[1]["ended_cause"] == "relay_restarted"
        admin.delete(f"/api/v1/cameras/{camera}/outputs/{output['id']}")
        again.ended()
    finally:
        again.close()


@pytest.mark.go2rtc
@pytest.mark.timeout(400)
def test_go2rtc_takes_it_and_serves_it_on(admin: httpx.Client, camera: str, clock: JumpClock) -> None:
    """A recipient that is not ours pulls over TCP; what it hands on decodes; the view ends when it leaves."""
    needed()
    output = made(admin, camera, clock)
    with go2rtc_server({"gate": output["url"]}) as puller:
        taken = Taken(puller.rtsp("gate"))
        try:
            taken.wait()
            assert views(admin, camera)[0]["by"]["recipient"] == output["recipient"]
        finally:
            taken.close()
    deadline = time.monotonic() + 60
    while views(admin, camera)[0]["ended_at"] is None:
        assert time.monotonic() < deadline, "the view did not end"
        time.sleep(0.1)
