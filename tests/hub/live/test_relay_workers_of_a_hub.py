"""A hub of two relay workers: one is killed under a viewer, and the hub tells how each does."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub
from webrtc_viewer import Viewer

pytestmark = pytest.mark.slow


def series(text: str, name: str) -> dict[str, float]:
    """Return the samples of a metric by the value of its one label."""
    return {
        label: float(value)
        for label, value in re.findall(rf'^{name}{{[a-z]+="([^"]+)"}} (\S+)$', text, re.MULTILINE)
    }


def opened_by(pid: int) -> list[str]:
    """Return what the descriptors of a process are."""
    return [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the hub keeps its store and keys."""
    return Path(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="module")
def hub(data: Path) -> Iterator[HubThread]:
    """A hub of two relay workers, with a secret in its environment."""
    os.environ["CAMHUB_TEST_SECRET"] = "not for a worker"
    try:
        with running_hub(data, probe_window_s=1.0, relay={"udp_port": 0, "workers": 2}) as started:
            yield started
    finally:
        del os.environ["CAMHUB_TEST_SECRET"]


def test_a_worker_is_killed_under_a_viewer(hub: HubThread, data: Path) -> None:
    """The API goes on, the viewer is back by WHEP at once, the other one sees nothing; metrics and state tell of it.

    Workers hold neither a file of the hub nor anything of its environment.
    """
    admin = hub.login("admin")
    with simulators("good-onvif", "good-onvif") as cameras:
        ids = [
            str(onboard(admin, one["onvif"], one["user"], one["password"])["camera_id"]) for one in cameras
        ]
        viewers = [Viewer(admin, camera) for camera in ids]
        try:
            for viewer in viewers:
                assert viewer.start().status_code == 201, viewer.answer.text
                viewer.wait_for_frames(5)
            relay = hub.hub.relay
            assert [relay.worker_of(camera) for camera in ids] == [0, 1]
            for worker in relay.workers():
                environment = Path(f"/proc/{worker.pid}/environ").read_bytes()
                assert b"CAMHUB" not in environment
                files = [one for one in opened_by(worker.pid) if one.startswith("/") and str(data) in one]
                assert not files, "the store and the keys are the hub's alone"

            told = httpx.get(f"{hub.url}/metrics").text
            assert series(told, "camhub_relay_worker_viewers") == {"0": 1, "1": 1}
            assert series(told, "camhub_relay_camera_viewers") == dict.fromkeys(ids, 1)
            assert all(value > 0 for value in series(told, "camhub_relay_camera_bytes_total").values())
            assert series(told, "camhub_relay_camera_key_frame_age_seconds").keys() == set(ids)
            assert series(told, "camhub_relay_worker_loop_lag_seconds").keys() == {"0", "1"}

            os.kill(relay.workers()[0].pid, signal.SIGKILL)
            killed_s = time.monotonic()
            viewers[0].wait_for_state("ended")
            assert viewers[0].states[-1][2] == "relay_restarted"
            assert admin.get(f"/api/v1/cameras/{ids[0]}").status_code == 200
            seen = viewers[0].frames
            assert viewers[0].start().status_code == 201, viewers[0].answer.text
            viewers[0].wait_for_frames(1)
            print(f"kill -9 to the first picture: {viewers[0].last_frame_s - killed_s:.2f} s")
            assert viewers[0].frames > seen
            viewers[1].wait_for_frames(5)
            assert [state for _at, state, _code in viewers[1].states if state != "opening"] == ["live"]

            deadline = time.monotonic() + 60
            while (states := admin.get("/api/v1/relay/workers").json()["items"])[0]["state"] != "running":
                assert time.monotonic() < deadline, states
                time.sleep(0.1)
            assert states[0]["restarts"] == 1
            assert states[0]["last_end"] == "signal 9 (Killed)"
            assert states[1]["last_end"] is None
            told = httpx.get(f"{hub.url}/metrics").text
            assert series(told, "camhub_relay_worker_restarts_total") == {"0": 1, "1": 0}
            assert series(told, "camhub_relay_worker_up") == {"0": 1, "1": 1}
            assert httpx.get(f"{hub.url}/readyz").json()["parts"].keys() == {"store", "relay", "decode"}

            for restarts in (2, 3):  # each soon after a start
                os.kill(relay.workers()[0].pid, signal.SIGKILL)
                while (state := relay.workers()[0]).restarts < restarts or state.pid is None:
                    assert time.monotonic() < deadline + 100, state
                    time.sleep(0.1)
            ready = httpx.get(f"{hub.url}/readyz")
            assert (ready.status_code, ready.json()["parts"]["relay"]) == (200, "ok"), "the other one serves"
            assert "worker 0" in ready.json()["parts"]["relay_workers"]
            assert "times in a row" in ready.json()["parts"]["relay_workers"]
        finally:
            for viewer in viewers:
                viewer.close()
