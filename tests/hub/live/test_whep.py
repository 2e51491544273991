"""WHEP to the letter (draft-ietf-wish-whep-03, RFC 9725): validators, restarts, ICE servers, other sites, layers."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hub_support import simulators
from running_hub import HubThread, onboard, running_hub

from hub.relay.events import SourceState

pytestmark = pytest.mark.slow

SITE = "https://ward.example.vn"
FRAGMENT = "application/trickle-ice-sdpfrag"
OFFER = "\r\n".join(
    [
        "v=0",
        "o=- 1 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 106",
        "c=IN IP4 0.0.0.0",
        "a=ice-ufrag:abcd",
        "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=recvonly",
        "a=rtcp-mux",
        "a=rtpmap:106 H264/90000",
        "a=fmtp:106 packetization-mode=1;profile-level-id=42e01f",
        "",
    ]
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub that knows a TURN server and one other site."""
    with running_hub(
        Path(tmp_path_factory.mktemp("data")),
        probe_window_s=1.0,
        turn={"urls": ["stun:s.example.vn", "turn:t.example.vn?transport=udp"], "secret": "north"},
        whep={"origins": [SITE]},
    ) as started:
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def where(admin: httpx.Client) -> Iterator[str]:
    """The WHEP endpoint of a camera with a main and a sub-stream."""
    with simulators("good-onvif") as lines:
        line = lines[0]
        done = onboard(admin, line["onvif"], line["user"], line["password"], name="good-onvif")
        yield f"/api/v1/cameras/{done['camera_id']}/whep"


def offered(admin: httpx.Client, where: str, **query: str) -> httpx.Response:
    """Offer, as a WHEP client does."""
    answer = admin.post(where, params=query, content=OFFER, headers={"content-type": "application/sdp"})
    assert answer.status_code == 201, answer.text
    return answer


def patched(admin: httpx.Client, session: str, body: str, **headers: str) -> httpx.Response:
    """Send a fragment."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return admin.patch(session, content=body, headers={"content-type": FRAGMENT, **named})


def eventually(condition: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def test_a_change_of_the_ice_session_names_the_session_that_it_changes(
    admin: httpx.Client, where: str
) -> None:
    """428 without If-Match, 412 with an old one, 204 for candidates, 200 and another ETag for a restart, 404 once ended."""
    answer = offered(admin, where)
    session, etag = answer.headers["location"], answer.headers["etag"]
    assert answer.headers["accept-patch"] == FRAGMENT
    assert "tcptype passive" in answer.text
    candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n"
    candidate += "a=candidate:1 1 udp 1 192.0.2.9 9 typ host\r\n"
    refused = patched(admin, session, candidate)
    assert (refused.status_code, refused.json()["code"]) == (428, "if_match_needed")
    assert patched(admin, session, candidate, if_match=etag).status_code == 204
    assert patched(admin, session, "c=IN IP4 0.0.0.0\r\n", if_match=etag).json()["code"] == "bad_sdp"
    wrong = admin.patch(session, content="{}", headers={"content-type": "application/json", "if-match": etag})
    assert wrong.status_code == 415
    restart = candidate.replace("abcd", "efgh")
    restarted = patched(admin, session, restart, if_match="*")
    assert (restarted.status_code, restarted.headers["content-type"].partition(";")[0]) == (200, FRAGMENT)
    assert restarted.headers["etag"] != etag
    assert "a=ice-pwd:" in restarted.text
    old = patched(admin, session, candidate, if_match=etag)
    assert (old.status_code, old.json()["code"]) == (412, "ice_restarted")
    assert patched(admin, session, restart, if_match=restarted.headers["etag"]).status_code == 204
    assert admin.delete(session).status_code == 200
    assert patched(admin, session, restart, if_match="*").status_code in {404, 409}


def test_ice_servers_are_told_with_the_answer_and_before_the_offer(admin: httpx.Client, where: str) -> None:
    """Link headers with a credential of this session; OPTIONS says the same, and what may be posted; the secret never."""
    answer = offered(admin, where)
    session = answer.headers["location"].rpartition("/")[2]
    assert '<stun:s.example.vn>; rel="ice-server"' in answer.headers["link"]
    assert f':{session}"; credential="' in answer.headers["link"]
    assert "north" not in str(answer.headers)
    told = admin.options(where)
    assert (told.status_code, told.headers["accept-post"]) == (204, "application/sdp")
    assert 'rel="ice-server"; username=' in told.headers["link"]
    assert httpx.options(str(admin.base_url) + where).status_code == 401
    admin.delete(answer.headers["location"])


def test_another_site_may_watch_only_where_it_is_listed(admin: httpx.Client, where: str) -> None:
    """A preflight of the listed origin is allowed with a token, without cookies; any other gets no permission."""
    asking = {"access-control-request-method": "POST"}
    good = httpx.options(str(admin.base_url) + where, headers={"origin": SITE, **asking})
    assert (good.status_code, good.headers["access-control-allow-origin"]) == (204, SITE)
    assert "if-match" in good.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in good.headers
    bad = httpx.options(str(admin.base_url) + where, headers={"origin": "https://evil.example", **asking})
    assert "access-control-allow-origin" not in bad.headers
    elsewhere = httpx.options(f"{admin.base_url}/api/v1/users", headers={"origin": SITE, **asking})
    assert "access-control-allow-origin" not in elsewhere.headers
    refused = httpx.post(str(admin.base_url) + where, headers={"origin": SITE})
    assert (refused.status_code, refused.headers["access-control-allow-origin"]) == (401, SITE)
    assert "location" in refused.headers["access-control-expose-headers"]


def test_a_viewer_chooses_its_layer(admin: httpx.Client, where: str) -> None:
    """A tile begins with the sub-stream; the session says which layer it has; no other layer is known."""
    answer = offered(admin, where, layer="sub")
    session = answer.headers["location"]
    now: dict[str, Any] = admin.get(session).json()
    assert (now["layer"], now["wanted"], now["layer_code"]) == ("sub", "sub", "")
    changed = admin.put(f"{session}/layer", json={"layer": "main"})
    assert (changed.status_code, changed.json()["wanted"]) == (200, "main")
    eventually(lambda: admin.get(session).json()["layer"] == "main", "the main stream")
    assert admin.put(f"{session}/layer", json={"layer": "huge"}).status_code in {400, 422}
    admin.delete(session)
    assert admin.post(where, params={"layer": "huge"}, content=OFFER).status_code in {400, 415, 422}


def test_a_viewer_is_told_where_a_camera_makes_everybody_wait_for_its_key_frames(
    hub: HubThread, admin: httpx.Client, where: str
) -> None:
    """What the relay measures stands in the session, also of who comes later; 0 again once the camera was set right."""
    session = offered(admin, where).headers["location"]
    eventually(lambda: admin.get(session).json()["state"] == "live", "live")
    told = hub.hub.services.viewers.on_relay_event
    camera, at = where.split("/")[-2], datetime.now(UTC)
    for apart_s in (8.0, 0.0):
        hub.loop.call_soon_threadsafe(told, SourceState(camera, "live", at, key_frames_s=apart_s))
        eventually(lambda apart_s=apart_s: admin.get(session).json()["key_frames_s"] == apart_s, "told")
        later = offered(admin, where).headers["location"]
        assert admin.get(later).json()["key_frames_s"] == apart_s
        admin.delete(later)
    admin.delete(session)


def test_the_ways_to_the_relay_are_tested_on_demand(admin: httpx.Client) -> None:
    """Loopback works, and the operator reads that nobody else can watch, and that the TURN server is not there."""
    told = admin.get("/api/v1/relay/reachability", timeout=30).json()
    ways = {(finding["way"], finding["outcome"]) for finding in told["findings"]}
    assert {("udp", "ok"), ("tcp", "ok"), ("addresses", "failed"), ("turn", "failed")} <= ways
    assert told["reachable"] is False
