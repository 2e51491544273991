"""WHIP (RFC 9725): an encoder pushes through a real hub and is seen; who may push, and what ends it."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from certificates import camera_pem
from ffmpeg_pusher import ffmpeg_pushes, known
from running_hub import HubThread, JumpClock, onboard, running_hub
from webrtc_pusher import Encoder
from webrtc_viewer import Viewer

from hub.live.whip import SETTLED_S

pytestmark = pytest.mark.process
FRAGMENT = "application/trickle-ice-sdpfrag"
SITE = "https://ward.example.vn"
OFFER = "\r\n".join(
    [
        "v=0", "o=- 1 2 IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0", "m=video 9 UDP/TLS/RTP/SAVPF 106",
        "c=IN IP4 0.0.0.0", "a=ice-ufrag:abcd", "a=ice-pwd:0123456789012345678901",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32), "a=setup:actpass", "a=mid:0", "a=sendonly", "a=rtcp-mux",
        "a=rtpmap:106 H264/90000", "a=fmtp:106 packetization-mode=1;profile-level-id=42e01f", "",
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def clock() -> JumpClock:
    """The hub's clock."""
    return JumpClock()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, clock: JumpClock) -> Iterator[HubThread]:
    """A hub that knows one other site."""
    data = Path(tmp_path_factory.mktemp("data"))
    with running_hub(data, clock=clock, probe_window_s=1.0, whep={"origins": [SITE]}) as started:
        started.add_user("viewer", "viewer", areas=("*",))
        yield started


@pytest.fixture(scope="module")
def admin(hub: HubThread) -> httpx.Client:
    """The administrator."""
    return hub.login("admin")


@pytest.fixture(scope="module")
def camera(admin: httpx.Client) -> str:
    """A camera that pushes, as it stands before its encoder came."""
    return added(admin, "whip://gate-1")


def added(admin: httpx.Client, address: str) -> str:
    """Add a camera that pushes and return its id."""
    done = onboard(admin, address, name="Cổng trường")
    assert (done["state"], done["problem"]) == ("pending", None), done
    return str(done["camera_id"])


def made(admin: httpx.Client, camera: str, clock: JumpClock, name: str = "OBS ở cổng") -> dict[str, Any]:
    """Make a publishing token of an hour."""
    until = (clock.now() + timedelta(hours=1)).isoformat()
    answer = admin.post(f"/api/v1/cameras/{camera}/push", json={"name": name, "expires_at": until})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def offered(hub: HubThread, camera: str, token: str, offer: str = OFFER, **headers: str) -> httpx.Response:
    """Offer as an encoder does."""
    given = {
        "content-type": "application/sdp",
        **{name.replace("_", "-"): said for name, said in headers.items()},
    }
    if token:
        given["authorization"] = f"Bearer {token}"
    return hub.client().post(f"/whip/{camera}", content=offer, headers=given)


def push_of(admin: httpx.Client, camera: str) -> dict[str, Any]:
    """How a camera's push stands."""
    return dict(admin.get(f"/api/v1/cameras/{camera}/push").json()["push"])


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def audited(admin: httpx.Client, kind: str, camera: str) -> list[dict[str, Any]]:
    """The entries of one kind about a camera."""
    answer = admin.get("/api/v1/audit", params={"camera": camera, "kind": kind, "limit": 100})
    return list(answer.json()["items"])


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_what_an_encoder_pushes_is_measured_seen_and_cut_by_a_pause(
    hub: HubThread, admin: httpx.Client, clock: JumpClock
) -> None:
    """Waiting, then pushed: checked by itself from its bitstream, alive, shown to a viewer; a pause ends view and push."""
    camera = added(admin, "whip:")
    assert push_of(admin, camera)["state"] == "waiting"
    told = made(admin, camera, clock)
    encoder = Encoder(hub.url, told["url"], told["token"])
    watched = Viewer(admin, camera)
    try:
        answer = encoder.start()
        assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (
            201,
            "application/sdp",
        )
        assert answer.headers["location"].startswith(f"/whip/{camera}/")
        assert "b=AS:" in answer.text
        eventually(lambda: push_of(admin, camera)["state"] == "live", "pictures come")
        clock.ahead_s += SETTLED_S

        def entry() -> dict[str, Any]:
            return dict(admin.get(f"/api/v1/cameras/{camera}").json())

        eventually(lambda: entry()["decision"] == "CONDITIONAL", "the check of what is pushed")
        assert entry()["health"]["state"] == "alive"
        found = admin.get(f"/api/v1/cameras/{camera}/assessments").json()["items"][0]
        report = admin.get(f"/api/v1/assessments/{found['id']}").json()
        verdicts = {one["rule"]: one["verdict"] for one in report["findings"]}
        assert verdicts["STR-01"] == "PASS"
        assert {verdicts[rule] for rule in ("CON-01", "SEC-01", "SEC-03", "STR-03")} == {"NOT_APPLICABLE"}
        second = made(admin, camera, clock, "another")
        refused = offered(hub, camera, second["token"])
        assert (refused.status_code, refused.json()["code"]) == (409, "push_taken")
        assert int(refused.headers["retry-after"]) >= 1
        assert watched.start().status_code == 201, watched.answer.text
        eventually(lambda: watched.frames > 5, "pictures at the viewer")
        still = admin.get(f"/api/v1/cameras/{camera}/snapshot.jpg")
        assert (still.status_code, still.content[:2]) == (200, b"\xff\xd8"), still.text
        assert admin.post(f"/api/v1/cameras/{camera}/pause", json={}).status_code == 200
        assert (push_of(admin, camera)["state"], push_of(admin, camera)["code"]) == ("ended", "paused")
        eventually(lambda: admin.get(watched.where).json()["state"] == "paused", "the view ends")
        watched.wait_for_quiet()
        refused = offered(hub, camera, told["token"])
        assert (refused.status_code, refused.json()["code"]) == (403, "paused")
        assert admin.post(f"/api/v1/cameras/{camera}/resume").status_code == 200
        again = Encoder(hub.url, told["url"], told["token"])
        assert again.start(sound=False).status_code == 201
        eventually(lambda: push_of(admin, camera)["state"] == "live", "pictures again")
        assert again.end().status_code == 200
        assert again.end().status_code == 200
        eventually(lambda: entry()["health"]["state"] == "fault", "the fault")
        assert entry()["health"]["cause"]
        again.close()
    finally:
        watched.close()
        encoder.close()
    assert len(audited(admin, "push.began", camera)) == 2
    assert sorted(one["data"]["cause"] for one in audited(admin, "push.ended", camera)) == [
        "paused",
        "pusher_left",
    ]


@pytest.mark.slow
@pytest.mark.process
@pytest.mark.skipif(not known(), reason="this FFmpeg has no WHIP muxer: it came with 8.0")
def test_ffmpeg_pushes_and_leaves(
    hub: HubThread, admin: httpx.Client, clock: JumpClock, tmp_path: Path
) -> None:
    """An encoder that nobody here wrote, which insists on being the DTLS server: its pictures are shown; it ends by DELETE."""
    camera = added(admin, "whip:")
    told = made(admin, camera, clock, "FFmpeg")
    with ffmpeg_pushes(told["url"], told["token"], camera_pem(tmp_path / "encoder.pem")) as encoder:
        eventually(lambda: push_of(admin, camera)["state"] == "live", "pictures come")
        clock.ahead_s += SETTLED_S
        eventually(
            lambda: admin.get(f"/api/v1/cameras/{camera}").json()["playback"]["width"] == 320, "the check"
        )
        assert encoder.poll() is None
    assert encoder.returncode == 0
    eventually(lambda: push_of(admin, camera)["code"] == "pusher_left", "the end")


def test_every_refusal_has_its_status_and_its_problem(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """401, 403, 404, 405, 406, 413, 415, 422 at the endpoint, each as problem+json, in both languages."""
    token = made(admin, camera, clock, "refusals")["token"]
    other = added(admin, "whip://gate-2")
    expected = [
        (offered(hub, camera, ""), 401, "push_token_refused"),
        (offered(hub, camera, "camhub_push_" + "x" * 43), 401, "push_token_refused"),
        (offered(hub, camera, "x" * 5000), 401, "push_token_refused"),
        (offered(hub, other, token), 403, "push_token_other"),
        (offered(hub, camera, token, accept="text/html"), 406, "not_acceptable"),
        (offered(hub, camera, token, OFFER.replace("H264/", "VP8/")), 406, "push_codec"),
        (offered(hub, camera, token, "x" * 70_000), 413, "too_large"),
        (offered(hub, camera, token, content_type="application/json"), 415, "media_type"),
        (offered(hub, camera, token, "hello"), 422, "bad_sdp"),
        (offered(hub, camera, token, OFFER.replace("a=sendonly", "a=recvonly")), 422, "bad_sdp"),
        (offered(hub, camera, token, OFFER.replace("a=fingerprint:", "a=x:")), 422, "bad_sdp"),
    ]
    for answer, status, code in expected:
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert expected[0][0].headers["www-authenticate"].startswith("Bearer")
    client = hub.client(authorization=f"Bearer {token}")
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        assert client.request(method, f"/whip/{camera}").status_code == 405, method
    gone = client.delete(f"/whip/{camera}/nothing")
    assert (gone.status_code, gone.json()["code"]) == (404, "not_found")
    options = hub.client().options(f"/whip/{camera}")
    assert (options.status_code, options.headers["accept-post"]) == (200, "application/sdp")
    asked = {
        "origin": SITE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    allowed = hub.client().options(f"/whip/{camera}", headers=asked)
    assert allowed.headers["access-control-allow-origin"] == SITE
    asked["origin"] = "https://elsewhere.example"
    assert "access-control-allow-origin" not in hub.client().options(f"/whip/{camera}", headers=asked).headers


def test_the_ice_session_of_a_push_is_changed_by_its_validator_alone(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """428 without If-Match, 412 with an old one, 204 for candidates, 200 and another ETag for a restart, 200 for DELETE."""
    token = made(admin, camera, clock, "ice")["token"]
    answer = offered(hub, camera, token)
    assert answer.status_code == 201, answer.text
    session, etag = answer.headers["location"], answer.headers["etag"]
    client = hub.client(authorization=f"Bearer {token}")
    candidate = "a=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\nm=video 9 RTP/AVP 0\r\na=mid:0\r\n"

    def patched(body: str, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): said for name, said in headers.items()}
        return client.patch(session, content=body, headers={"content-type": FRAGMENT, **named})

    assert (patched(candidate).status_code, patched(candidate).json()["code"]) == (428, "if_match_needed")
    assert patched(candidate, if_match=etag).status_code == 204
    restarted = patched(candidate.replace("abcd", "efgh"), if_match="*")
    assert (restarted.status_code, restarted.headers["content-type"].partition(";")[0]) == (200, FRAGMENT)
    assert restarted.headers["etag"] != etag
    assert patched(candidate, if_match=etag).status_code == 412
    assert hub.client().delete(session).status_code == 401
    assert [client.delete(session).status_code for _ in range(2)] == [200, 200]
    assert patched(candidate, if_match="*").status_code == 404


def test_a_token_is_shown_once_kept_as_a_hash_and_ends_what_it_let_in(
    hub: HubThread, admin: httpx.Client, clock: JumpClock
) -> None:
    """Nothing shows it again; viewers make none; ten at most; revoked or run out, it opens nothing and its push is over."""
    camera = added(admin, "whip://gate-3")
    first = made(admin, camera, clock)
    listed = admin.get(f"/api/v1/cameras/{camera}/push")
    assert first["token"] not in listed.text
    assert first["token"] not in hub.log.getvalue()
    assert first["token"].encode() not in Path(hub.hub.settings.data_dir, "camhub.db").read_bytes()
    viewer = hub.login("viewer")
    assert viewer.get(f"/api/v1/cameras/{camera}/push").status_code == 403
    assert offered(hub, camera, first["token"]).status_code == 201
    revoked = admin.delete(f"/api/v1/cameras/{camera}/push/{first['id']}")
    assert revoked.json()["state"] == "revoked"
    assert (push_of(admin, camera)["state"], push_of(admin, camera)["code"]) == ("ended", "token_revoked")
    assert offered(hub, camera, first["token"]).status_code == 401
    second = made(admin, camera, clock)
    assert offered(hub, camera, second["token"]).status_code == 201
    clock.ahead_s += 7200
    eventually(lambda: push_of(admin, camera)["code"] == "token_expired", "the end of the token")
    assert offered(hub, camera, second["token"]).status_code == 401
    for number in range(10):
        made(admin, camera, clock, f"t{number}")
    until = (clock.now() + timedelta(hours=1)).isoformat()
    full = admin.post(f"/api/v1/cameras/{camera}/push", json={"name": "t", "expires_at": until})
    assert (full.status_code, full.json()["code"]) == (409, "conflict")
    far = (clock.now() + timedelta(days=400)).isoformat()
    wrong = admin.post(f"/api/v1/cameras/{camera}/push", json={"name": "t", "expires_at": far})
    assert (wrong.status_code, wrong.json()["field"]) == (422, "expires_at")
    assert len(audited(admin, "push_token.made", camera)) == 12
    assert len(audited(admin, "push_token.revoked", camera)) == 1


def test_an_address_of_a_camera_that_pushes_is_a_name_alone(admin: httpx.Client, camera: str) -> None:
    """No port, path or password fits it; the same name twice is one camera; nothing pushed is said as it is."""
    for address in ("whip://gate:80", "whip://gate/live", "whip://user:secret@gate", "whip://"):
        done = onboard(admin, address)
        expected = ("pending", None) if address == "whip://" else ("failed", "address_bad")
        assert (done["state"], done["problem"] and done["problem"]["code"]) == expected, address
    twice = {
        "address": "whip://GATE-1",
        "custodian": {"kind": "authority", "name": "Phường Hạc Thành"},
        "permission": {"granted_by": "Nguyễn Văn A", "basis": "authority"},
    }
    assert admin.post("/api/v1/onboardings", json=twice).json()["code"] == "already_enrolled"
    refused = admin.post(
        f"/api/v1/cameras/{camera}/whep",
        content=OFFER.replace("sendonly", "recvonly"),
        params={"purpose": "test"},
        headers={"content-type": "application/sdp"},
    )
    assert refused.status_code == 503, refused.text


def test_an_encoder_comes_again_after_its_worker_died(
    hub: HubThread, admin: httpx.Client, camera: str, clock: JumpClock
) -> None:
    """The push ends as the relay's doing, no news about the camera; the same token is let in by the next worker."""
    token = made(admin, camera, clock, "restarts")["token"]
    assert offered(hub, camera, token).status_code == 201
    os.kill(hub.hub.relay.worker_pid or 0, signal.SIGKILL)
    eventually(lambda: push_of(admin, camera)["code"] == "relay_restarted", "the end of the push")
    assert push_of(admin, camera)["cause"]
    eventually(lambda: offered(hub, camera, token).status_code == 201, "another worker")
    assert admin.get(f"/api/v1/cameras/{camera}").json()["health"]["state"] == "not_measured"


@pytest.mark.parametrize("end", ["withdrawal", "expiry", "hours"])
def test_the_owners_consent_bounds_a_push_and_the_hours_do_not(
    hub: HubThread, admin: httpx.Client, clock: JumpClock, end: str
) -> None:
    """Withdrawn or run out, the push ends and the encoder is refused with 403 and told when to ask; outside the hours it goes on."""
    done = onboard(admin, "whip:", custodian={"kind": "household", "name": f"Nhà chị Hoa {end}"})
    camera = str(done["camera_id"])
    token = made(admin, camera, clock)["token"]
    local = clock.now() + timedelta(hours=7)
    hours = {
        "from": f"{local - timedelta(minutes=5):%H:%M}",
        "to": f"{local + timedelta(minutes=10):%H:%M}",
    }
    scheduled = {"sharing_mode": "scheduled", "schedule": [{"days": [1, 2, 3, 4, 5, 6, 7], **hours}]}
    until = (clock.now() + timedelta(minutes=10)).isoformat()
    more = {"expiry": {"expires_at": until}, "hours": scheduled}
    body = {
        "camera_id": camera,
        "purposes": ["public_safety"],
        "recipients": [{"area": "", "role": "admin"}],
        "text_version": admin.get("/api/v1/consents/text").json()["version"],
        "signed_by": "Lê Thị Hoa",
        "sharing_mode": "always",
        **more.get(end, {}),
    }
    given = admin.post("/api/v1/consents", json=body)
    assert given.status_code == 201, given.text
    custodian = admin.get(f"/api/v1/cameras/{camera}").json()["custodian"]["id"]
    hub.add_user(f"hoa-{end}", "donor", custodian_id=custodian)
    donor = hub.login(f"hoa-{end}")
    assert offered(hub, camera, token).status_code == 201
    if end == "withdrawal":
        assert donor.post(f"/api/v1/consents/{given.json()['id']}/withdraw").status_code == 200
    else:
        clock.ahead_s += 1200
    if end == "hours":
        encoders = hub.hub.services.encoders
        hub.run(encoders._review(list(encoders._running.values())))
        assert push_of(admin, camera)["state"] != "ended"
        return
    eventually(lambda: push_of(admin, camera)["code"] == "no_consent", "the end of the push")
    refused = offered(hub, camera, token)
    assert (refused.status_code, refused.json()["code"]) == (403, "no_consent")
    assert int(refused.headers["retry-after"]) >= 1
