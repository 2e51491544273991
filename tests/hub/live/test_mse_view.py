"""A view over a WebSocket: pictures that FFmpeg decodes, refusals in words, cut like every other view."""

import io
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import httpx
import pytest
from hub_support import simulators
from patience import PATIENCE_S, taken_away
from running_hub import HubThread, onboard, running_hub
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from hub.store.chain import HUB

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as started:
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def camera(hub: HubThread, admin: httpx.Client) -> Iterator[str]:
    """An authority's camera, admitted."""
    with simulators("good-onvif") as (line,):
        done = onboard(admin, line["onvif"], line["user"], line["password"])
        yield str(done["camera_id"])


@contextmanager
def watching(
    client: httpx.Client, camera: str, *, origin: str = "", query: str = ""
) -> Iterator[ClientConnection]:
    """Open the WebSocket as a browser that is signed in does."""
    url = str(client.base_url).rstrip("/")
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with connect(
        f"{url.replace('http', 'ws', 1)}/api/v1/cameras/{camera}/mse?lang=en{query}",
        origin=origin or url,  # type: ignore[arg-type]
        additional_headers={"Cookie": cookies},
        max_size=None,
    ) as socket:
        yield socket


def token(hub: HubThread) -> str:
    """Return a bearer token of the administrator."""
    admin = hub.run(hub.hub.services.accounts.by_name("admin"))
    assert admin is not None
    _, secret = hub.run(hub.hub.services.tokens.issue(admin.id, "test", HUB))
    return secret.reveal()


def said(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message, which is text."""
    message = socket.recv(timeout=30)
    assert isinstance(message, str)
    return dict(json.loads(message))


def drained(socket: ClientConnection) -> None:
    """Read until the other side closes, which raises."""
    while True:
        socket.recv(timeout=PATIENCE_S)


def test_pictures_come_and_decode(admin: httpx.Client, camera: str) -> None:
    """The view is told first, then the format, then a picture a message; FFmpeg decodes them; the view has a receipt."""
    with watching(admin, camera) as socket:
        session = said(socket)
        assert session["type"] == "session"
        begin = said(socket)
        assert begin["mime"].startswith('video/mp4; codecs="avc1.')
        data = b""
        for _ in range(20):
            message = socket.recv(timeout=30)
            assert isinstance(message, bytes)
            data += message
        running = admin.get(session["location"]).json()
        assert (running["state"], running["layer"]) == ("live", "main")
    with av.open(io.BytesIO(data), format="mp4") as container:
        frames = list(container.decode(video=0))
    assert len(frames) >= 15
    assert frames[0].width >= 1280
    deadline = time.monotonic() + PATIENCE_S
    while admin.get(session["location"]).json()["state"] != "ended" and time.monotonic() < deadline:
        time.sleep(0.05)
    newest = admin.get(f"/api/v1/cameras/{camera}/views").json()["items"][0]
    assert newest["ended_cause"] == "viewer_left"


def test_a_pause_cuts_it(admin: httpx.Client, camera: str) -> None:
    """Within two seconds nothing more comes, and the reason is the close's."""
    with watching(admin, camera) as socket:
        assert said(socket)["type"] == "session"
        assert said(socket)["type"] == "init"
        with taken_away() as more:
            assert admin.post(f"/api/v1/cameras/{camera}/pause", json={}).status_code == 200
            paused_s = time.monotonic()
            with pytest.raises(ConnectionClosed) as ended:
                drained(socket)
            assert time.monotonic() - paused_s < 2.0 + more()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.reason == "paused"
    with watching(admin, camera) as socket:
        refused = said(socket)
        assert (refused["type"], refused["status"], refused["problem"]["code"]) == ("refused", 403, "paused")
    assert admin.post(f"/api/v1/cameras/{camera}/resume", json={}).status_code == 200


def test_another_site_cannot_open_it_with_a_persons_cookies(admin: httpx.Client, camera: str) -> None:
    """A WebSocket carries cookies from any page: its origin is looked at."""
    with watching(admin, camera, origin="https://elsewhere.example") as socket:
        assert said(socket)["problem"]["code"] == "origin_refused"


def test_nobody_looks_without_signing_in(hub: HubThread, camera: str) -> None:
    """As over HTTP."""
    with watching(hub.client(), camera) as socket:
        assert said(socket)["problem"]["code"] == "not_signed_in"


def test_a_token_comes_as_a_protocol_of_the_socket(hub: HubThread, admin: httpx.Client, camera: str) -> None:
    """A script of another page cannot set a header: the token is one of the protocols, and never echoed."""
    url = str(admin.base_url).rstrip("/").replace("http", "ws", 1)
    where = f"{url}/api/v1/cameras/{camera}/mse?lang=en"
    for given, code in ((token(hub), ""), ("cmh_wrong", "token_refused")):
        with connect(where, subprotocols=["camhub", f"camhub.bearer.{given}"], max_size=None) as socket:  # type: ignore[list-item]
            assert socket.subprotocol == "camhub"
            assert said(socket).get("problem", {}).get("code", "") == code


def test_a_token_that_is_revoked_cuts_what_plays_by_it(
    hub: HubThread, admin: httpx.Client, camera: str
) -> None:
    """The program's picture ends with the reason, and another view of the same person goes on."""
    given = token(hub)
    url = str(admin.base_url).rstrip("/").replace("http", "ws", 1)
    protocols = ["camhub", f"camhub.bearer.{given}"]
    listed = admin.get("/api/v1/me/tokens").json()["items"]
    with (
        watching(admin, camera) as own,
        connect(f"{url}/api/v1/cameras/{camera}/mse", subprotocols=protocols, max_size=None) as program,  # type: ignore[arg-type]
    ):
        assert said(own)["type"] == said(program)["type"] == "session"
        assert admin.delete(f"/api/v1/me/tokens/{listed[0]['id']}").status_code == 200
        with pytest.raises(ConnectionClosed) as ended:
            drained(program)
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.reason == "token_ended"
        assert said(own)["type"] == "init"


def test_a_token_opens_nothing_on_a_page_that_is_not_listed(
    hub: HubThread, admin: httpx.Client, camera: str
) -> None:
    """As for requests, the operator's list of origins decides."""
    url = str(admin.base_url).rstrip("/").replace("http", "ws", 1)
    protocols = ["camhub", f"camhub.bearer.{token(hub)}"]
    with connect(
        f"{url}/api/v1/cameras/{camera}/mse",
        subprotocols=protocols,  # type: ignore[arg-type]
        origin="https://elsewhere.example",  # type: ignore[arg-type]
    ) as socket:
        assert said(socket)["problem"]["code"] == "origin_refused"


def test_one_stream_tells_of_all_views_of_a_person(admin: httpx.Client, camera: str) -> None:
    """A page with sixteen tiles has six connections: each event names the view that it is about."""
    with admin.stream("GET", "/api/v1/sessions/events", timeout=30) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        with watching(admin, camera) as socket, watching(admin, camera) as other:
            wanted = {str(said(one)["location"]).rpartition("/")[2] for one in (socket, other)}
        heard: set[str] = set()
        for line in lines:
            if line.startswith("data:") and '"ended"' in line:
                heard.add(json.loads(line[5:])["session"])
            if heard >= wanted:
                break
    assert heard >= wanted
