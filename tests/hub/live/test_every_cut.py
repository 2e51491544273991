"""Every end against every way to a picture: pulled or pushed, nothing of a camera comes later than two seconds after."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import camera_pem
from hub_support import simulators
from patience import PATIENCE_S, taken_away
from running_hub import HubThread, JumpClock, onboard, running_hub
from test_outputs import CUT_S, Taken, made, played, views
from webrtc_pusher import Encoder
from webrtc_viewer import Viewer
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from hub.live.whip import SETTLED_S
from hub.settings import Relay

pytestmark = pytest.mark.slow
OPEN_H, JUMP_H = 2, 2.5  # the hours that are signed end so long after they were, and time jumps beyond


@pytest.fixture(scope="module")
def clock() -> JumpClock:
    """The hub's clock."""
    return JumpClock()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, clock: JumpClock) -> Iterator[HubThread]:
    """A hub with a door for RTSP and one for RTSPS."""
    data = Path(tmp_path_factory.mktemp("data"))
    pem = camera_pem(data / "rtsps.pem")
    tls = {"rtsps_port": 0, "rtsps_cert": pem, "rtsps_key": pem}
    relay = Relay(udp_port=0, rtsp_port=0, workers=1, transcodes=1, spare=False, **tls)
    with running_hub(data, clock=clock, relay=relay, probe_window_s=0.2) as started:
        yield started


class Pieces:
    """What comes over a WebSocket, read on a thread as it comes: who does not read is thrown out without a word."""

    def __init__(self) -> None:
        self.count, self.last_s = 0, 0.0
        self._pool = ThreadPoolExecutor(1)
        self._done: Future[str] = Future()

    def read(self, socket: ClientConnection) -> None:
        """Read from a socket until it is closed."""
        self._done = self._pool.submit(self._run, socket)

    def _run(self, socket: ClientConnection) -> str:
        try:
            while True:
                self.count += isinstance(socket.recv(timeout=PATIENCE_S), bytes)
                self.last_s = time.monotonic()
        except ConnectionClosed as ended:
            return ended.rcvd.reason if ended.rcvd is not None else ""

    def reason(self) -> str:
        """Wait until the hub closes it; return why."""
        return self._done.result(timeout=PATIENCE_S)

    def close(self) -> None:
        """Wait until the thread has ended."""
        self._pool.shutdown()


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


class Watched:
    """All five ways to a picture of one camera, open at the same time."""

    def __init__(self, hub: HubThread, client: httpx.Client, camera: str, output: dict[str, Any]) -> None:
        self._client = client
        self._camera = camera
        self._stack = ExitStack()
        self._taken = [Taken(output["url"]), Taken(output["secure_url"])]
        for taken in self._taken:
            self._stack.callback(taken.close)
        self._viewer = Viewer(client, camera)
        self._stack.callback(self._viewer.close)
        assert self._viewer.start(layer="sub").status_code == 201, self._viewer.answer.text
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
        url = f"{hub.url.replace('http', 'ws', 1)}/api/v1/cameras/{camera}/mse?layer=sub"
        self._pieces = Pieces()
        self._stack.callback(self._pieces.close)
        socket = self._stack.enter_context(
            connect(url, origin=Origin(hub.url), additional_headers={"Cookie": cookies}, max_size=None)
        )
        self._pieces.read(socket)
        self._viewer.wait_for_frames(2)
        for taken in self._taken:
            taken.wait(2)
        eventually(lambda: self._pieces.count > 0, "pieces by MSE")
        assert client.get(f"/api/v1/cameras/{camera}/snapshot.jpg").status_code == 200

    def cut(self, act: Callable[[], None]) -> set[str]:
        """Let something end it all; check that nothing comes later than 2 s after, and return the reasons told.

        Counted from the hub's next answer: a machine that is busy with other things is not what is measured.
        """
        with taken_away() as more:
            act()
            assert self._client.get("/api/v1/me").status_code == 200
            cut_s = time.monotonic()
            reason = self._pieces.reason()
            for taken in self._taken:
                taken.ended()
            self._viewer.wait_for_quiet()
            last_s = max(
                self._viewer.last_packet_s, self._pieces.last_s, *(taken.last_s for taken in self._taken)
            )
            assert last_s - cut_s < CUT_S + more()
        still = self._client.get(f"/api/v1/cameras/{self._camera}/snapshot.jpg")
        assert still.status_code == 403
        self._viewer.wait_for_state("paused" if reason == "paused" else "ended")
        return {reason, self._viewer.states[-1][2], still.json()["code"]}

    def close(self) -> None:
        """Leave."""
        self._stack.close()


class Home:
    """A household's camera that is shared, its owner, and an output for another system."""

    def __init__(self, hub: HubThread, clock: JumpClock, kind: str, address: str, *login: str) -> None:
        self.hub, self.clock, self.pushed = hub, clock, kind == "pushed"
        self.admin = hub.login("admin")
        done = onboard(
            self.admin, address, *login, custodian={"kind": "household", "name": f"Nhà chị Hoa {kind}"}
        )
        self.camera = str(done["camera_id"])
        custodian = self.admin.get(f"/api/v1/cameras/{self.camera}").json()["custodian"]["id"]
        hub.add_user(f"hoa-{kind}", "donor", custodian_id=custodian)
        self.donor = hub.login(f"hoa-{kind}")
        self._encoder: Encoder | None = None
        self._token: dict[str, Any] = {}
        if self.pushed:
            until = (clock.now() + timedelta(days=30)).isoformat()
            body = {"name": "OBS", "expires_at": until}
            self._token = self.donor.post(f"/api/v1/cameras/{self.camera}/push", json=body).json()
            self.push()
            clock.ahead_s += SETTLED_S
            eventually(lambda: self._said("")["playback"]["codec"] == "H264", "the check of what is pushed")
        self.consent(mode="always")
        until = (clock.now() + timedelta(days=30)).isoformat()
        self.output = made(self.admin, self.camera, clock, expires_at=until, layer="sub")

    def consent(self, *, mode: str, **terms: Any) -> str:
        """Sign a consent in the place of the one before, and return its id."""
        body = {
            "camera_id": self.camera,
            "purposes": ["public_safety"],
            "recipients": [{"area": "", "role": "admin"}],
            "text_version": self.admin.get("/api/v1/consents/text").json()["version"],
            "signed_by": "Lê Thị Hoa",
            "sharing_mode": mode,
            **terms,
        }
        answer = self.admin.post("/api/v1/consents", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def ask(self, what: str) -> None:
        """Have the owner pause, resume or withdraw."""
        answer = self.donor.post(f"/api/v1/{what}", json={})
        assert answer.status_code == 200, answer.text

    def push(self) -> None:
        """Have the encoder push, where it does not."""
        if self.pushed and self._said("/push")["push"]["state"] != "live":
            self.leave()
            self._encoder = Encoder(self.hub.url, self._token["url"], self._token["token"])
            assert self._encoder.start(sound=False).status_code == 201, self._encoder.answer.text
            eventually(lambda: self._said("/push")["push"]["state"] == "live", "pictures come")

    def push_state(self) -> tuple[str, str]:
        """Return how the push stands and why."""
        push = self._said("/push")["push"]
        return push["state"], push["code"]

    def offered(self) -> httpx.Response:
        """Offer as the encoder that comes back does."""
        assert self._encoder is not None
        self._encoder.close()
        self._encoder = Encoder(self.hub.url, self._token["url"], self._token["token"])
        answer: httpx.Response = self._encoder.start(sound=False)
        return answer

    def leave(self) -> None:
        """Take the encoder away."""
        if self._encoder is not None:
            self._encoder.close()
            self._encoder = None

    def _said(self, of: str) -> dict[str, Any]:
        return dict(self.admin.get(f"/api/v1/cameras/{self.camera}{of}").json())


@pytest.fixture(scope="module", params=["pulled", "pushed"])
def home(request: pytest.FixtureRequest, hub: HubThread, clock: JumpClock) -> Iterator[Home]:
    """A camera that the hub dials, and one that dials the hub."""
    with ExitStack() as stack:
        if request.param == "pushed":
            known = Home(hub, clock, "pushed", "whip:")
        else:
            (line,) = stack.enter_context(simulators("household-no-onvif"))
            known = Home(hub, clock, "pulled", line["rtsp"], line["user"], line["password"])
        stack.callback(known.leave)
        yield known


@pytest.mark.parametrize(
    ("end", "reasons", "push"),
    [
        ("pause", {"paused"}, ("ended", "paused")),
        ("hours", {"outside_hours"}, ("live", "")),
        ("withdrawal", {"withdrawn", "no_consent"}, ("ended", "no_consent")),
        ("expiry", {"no_consent"}, ("ended", "no_consent")),
    ],
)
def test_each_end_cuts_every_output(home: Home, end: str, reasons: set[str], push: tuple[str, str]) -> None:
    """WebRTC, MSE, RTSP, RTSPS and stills end within two seconds and open for nobody; a push ends with the owner's word alone."""
    clock = home.clock
    local = clock.now() + timedelta(hours=7)
    times = {"from": f"{local - timedelta(hours=1):%H:%M}", "to": f"{local + timedelta(hours=OPEN_H):%H:%M}"}
    terms: dict[str, dict[str, Any]] = {
        "hours": {"mode": "scheduled", "schedule": [{"days": [1, 2, 3, 4, 5, 6, 7], **times}]},
        "expiry": {"mode": "always", "expires_at": (clock.now() + timedelta(hours=OPEN_H)).isoformat()},
    }
    given = home.consent(**terms.get(end, {"mode": "always"}))

    def act() -> None:
        if end in terms:
            clock.ahead_s += JUMP_H * 3600
        else:
            home.ask(f"cameras/{home.camera}/pause" if end == "pause" else f"consents/{given}/withdraw")

    home.push()
    watched = Watched(home.hub, home.admin, home.camera, home.output)
    try:
        assert watched.cut(act) == reasons
        with ThreadPoolExecutor(2) as pool:
            urls = home.output["url"], home.output["secure_url"]
            assert all(pool.map(played, urls)), "nobody gets in"
        if home.pushed:
            eventually(lambda: home.push_state() == push, "how the push stands")
            if push[0] == "ended":
                refused = home.offered()
                assert (refused.status_code, refused.json()["code"]) == (403, push[1])
                assert int(refused.headers["retry-after"]) >= 1
    finally:
        watched.close()
        if end == "pause":
            home.ask(f"cameras/{home.camera}/resume")

    def taken() -> list[dict[str, Any]]:
        return [view for view in views(home.donor, home.camera) if view["kind"] == "output"][:2]

    eventually(lambda: all(view["ended_at"] for view in taken()), "the receipts are closed")
    assert {view["by"]["recipient"] for view in taken()} == {home.output["recipient"]}
    assert {view["ended_cause"] for view in taken()} <= reasons
