"""What every reply of the API has in common."""

import json
import re
from pathlib import Path

import httpx
import pytest
from running_hub import HubThread

from hub.problems import STATUS
from hub.texts import Texts

pytestmark = pytest.mark.long

ROOT = Path(__file__).parents[3]
CAMERA = {"name": "Cổng trước", "address": "rtsp://127.0.0.1:9/live"}


def test_reply_carries_security_headers(hub: HubThread) -> None:
    """Each reply forbids foreign scripts, frames, sniffing and referrers."""
    for path in ("/", "/api/v1/me", "/healthz", "/nowhere"):
        headers = httpx.get(hub.url + path).headers
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
    assert "strict-transport-security" not in headers


def test_unknown_caller_is_refused_in_their_language(hub: HubThread) -> None:
    """Without a sign-in every route answers 401 as a problem, Vietnamese unless English is preferred."""
    vietnamese = httpx.get(f"{hub.url}/api/v1/cameras")
    english = httpx.get(f"{hub.url}/api/v1/cameras", headers={"accept-language": "en-GB,en;q=0.9,vi;q=0.5"})

    assert vietnamese.status_code == english.status_code == 401
    assert vietnamese.headers["content-type"] == "application/problem+json"
    assert vietnamese.json()["code"] == "not_signed_in"
    assert vietnamese.json()["type"] == "/docs/problems#not_signed_in"
    assert vietnamese.json()["title"] == "Chưa đăng nhập"
    assert english.json()["title"] == "Not signed in"


def test_every_route_but_sign_in_needs_a_caller(hub: HubThread) -> None:
    """Every documented operation but sign-in, public keys and what WHIP addresses take refuses an unknown caller."""
    schema = httpx.get(f"{hub.url}/schema").json()
    assert schema["openapi"].startswith("3.1")
    seen = 0
    for path, operations in schema["paths"].items():
        for method in operations:
            if path in {
                "/api/v1/login",
                "/.well-known/hub",
            }:  # the latter: public keys, for whoever checks a report
                continue
            if path.startswith("/whip/") and method == "options":
                continue  # a browser asks before it may send its token (Fetch standard 3.2)
            answer = httpx.request(method, hub.url + re.sub(r"\{[^}]+\}", "x", path))
            assert answer.status_code == 401, (method, path, answer.text)
            seen += 1
    assert seen > 35


def test_every_problem_code_is_said_in_both_languages_and_documented(hub: HubThread) -> None:
    """The table of codes, the sentences and the documentation page hold the same codes."""
    codes = {key.split(".")[1] for key in Texts.installed().keys("problem.")}
    page = httpx.get(f"{hub.url}/docs/problems?lang=en").text
    used = set()
    for file in (ROOT / "hub").rglob("*.py"):
        used |= set(re.findall(r'\bProblem\(\s*"([a-z_]+)"', file.read_text("utf-8")))
        used |= set(re.findall(r'ServiceError\(\s*"([a-z_]+)"', file.read_text("utf-8")))

    assert codes == set(STATUS)
    assert {code for code in STATUS if f'id="{code}"' not in page} == set()
    assert used - set(STATUS) == set()


def test_unknown_field_is_named(hub: HubThread) -> None:
    """A body with a field that does not exist, or that is too long, changes nothing and names each field."""
    admin = hub.login("admin")

    answer = admin.post("/api/v1/cameras", json={**CAMERA, "name": "x" * 121, "colour": "red"})

    assert answer.status_code == 422
    assert {item["field"] for item in answer.json()["errors"]} == {"name", "colour"}
    assert answer.json()["code"] == "invalid_input"
    assert "x" * 50 not in answer.text
    assert admin.get("/api/v1/cameras").json()["total"] == 0


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{not json", "application/json", 400, "malformed_request"),
        (b'{"name": "a\\u0007b", "address": "rtsp://127.0.0.1/x"}', "application/json", 422, "invalid_input"),
        (b"[]", "application/json", 422, "invalid_input"),
        (b"{" + b" " * 300_000 + b"}", "application/json", 413, "too_large"),
    ],
)
def test_broken_body_is_refused(hub: HubThread, body: bytes, kind: str, status: int, code: str) -> None:
    """What cannot be read is refused with one problem and changes nothing."""
    admin = hub.login("admin")

    answer = admin.post("/api/v1/cameras", content=body, headers={"content-type": kind})

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert admin.get("/api/v1/cameras").json()["total"] == 0


def test_write_without_csrf_token_is_refused(hub: HubThread) -> None:
    """A write with the cookie alone, a foreign token or a foreign origin is refused; a bearer token needs none."""
    admin, other = hub.login("admin"), hub.login("admin")
    token = admin.headers.pop("x-csrftoken")

    without = admin.post("/api/v1/cameras", json=CAMERA)
    foreign = admin.post(
        "/api/v1/cameras", json=CAMERA, headers={"x-csrftoken": other.headers["x-csrftoken"]}
    )
    origin = admin.post(
        "/api/v1/cameras", json=CAMERA, headers={"x-csrftoken": token, "origin": "https://elsewhere.example"}
    )
    site = admin.post(
        "/api/v1/cameras", json=CAMERA, headers={"x-csrftoken": token, "sec-fetch-site": "cross-site"}
    )

    assert [reply.json()["code"] for reply in (without, foreign, origin, site)] == [
        "csrf_failed",
        "csrf_failed",
        "origin_refused",
        "origin_refused",
    ]
    assert admin.get("/api/v1/cameras").json()["total"] == 0


def test_sign_in_locks_after_five_wrong_passwords(hub: HubThread) -> None:
    """Five wrong passwords lock the name; the right one does not open it; an unknown name sounds the same."""
    hub.add_user("locked", "viewer", areas=("*",))
    url = f"{hub.url}/api/v1/login"
    left = []
    for _ in range(5):
        answer = httpx.post(url, json={"username": "locked", "password": "wrong"})
        assert answer.status_code == 401
        left.append(answer.json()["params"]["tries_left"])
    locked = httpx.post(url, json={"username": "locked", "password": "a long enough password 1"})
    unknown = httpx.post(url, json={"username": "nobody", "password": "wrong"})

    assert left == [4, 3, 2, 1, 0]
    assert (locked.status_code, locked.json()["code"]) == (429, "login_locked")
    assert locked.json()["params"]["until"].endswith("Z")
    assert (unknown.status_code, unknown.json()["code"]) == (401, "login_failed")


def test_session_cookie_is_guarded(hub: HubThread) -> None:
    """The session cookie is unreadable for scripts, stays on this site, and ends with sign-out."""
    client = hub.client()
    answer = client.post("/api/v1/login", json={"username": "admin", "password": "a long enough password 1"})
    cookies = {item.split("=", 1)[0]: item.lower() for item in answer.headers.get_list("set-cookie")}
    assert "httponly" in cookies["camhub_session"]
    assert "samesite=strict" in cookies["camhub_session"]
    assert "httponly" not in cookies["csrftoken"]
    session = client.cookies["camhub_session"]

    gone = client.post("/api/v1/logout", headers={"x-csrftoken": client.cookies["csrftoken"]})

    assert gone.status_code == 204
    again = httpx.get(f"{hub.url}/api/v1/me", cookies={"camhub_session": session})
    assert again.status_code == 401


def test_same_idempotency_key_writes_once(hub: HubThread) -> None:
    """A POST sent again with its key gets the first reply; another body under the key is refused; 4xx replies repeat too."""
    admin = hub.login("admin")
    before = admin.get("/api/v1/cameras").json()["total"]
    body = {"name": "Một lần", "address": "rtsp://127.0.0.1:11/once", "password": "s3cret-camera"}

    first = admin.post("/api/v1/cameras", json=body, headers={"idempotency-key": "k1"})
    again = admin.post("/api/v1/cameras", json=body, headers={"idempotency-key": "k1"})
    other = admin.post("/api/v1/cameras", json={**body, "name": "x"}, headers={"idempotency-key": "k1"})
    bad = [admin.post("/api/v1/cameras", json={}, headers={"idempotency-key": "k2"}) for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 201), again.text
    assert again.json() == first.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["location"] == first.headers["location"]
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")
    assert [reply.status_code for reply in bad] == [422, 422]
    assert bad[1].headers.get("idempotency-replayed") == "true"
    assert admin.get("/api/v1/cameras").json()["total"] == before + 1
    admin.delete(first.headers["location"])


def test_patch_with_an_old_etag_changes_nothing(hub: HubThread) -> None:
    """If-Match of an earlier version gets 412 with the current representation and its ETag."""
    admin = hub.login("admin")
    made = admin.post("/api/v1/cameras", json={"name": "Phiên bản", "address": "rtsp://127.0.0.1:12/v"})
    where, first = made.headers["location"], made.headers["etag"]

    renamed = admin.patch(where, json={"name": "Phiên bản hai"}, headers={"if-match": first})
    late = admin.patch(where, json={"name": "Phiên bản ba"}, headers={"if-match": first})
    nonsense = admin.patch(where, json={"name": "x"}, headers={"if-match": 'W/"abc"'})

    assert renamed.status_code == 200
    assert (late.status_code, late.json()["code"]) == (412, "changed_meanwhile")
    assert late.json()["current"]["name"] == "Phiên bản hai"
    assert late.headers["etag"] == renamed.headers["etag"]
    assert nonsense.json()["code"] == "if_match_bad"
    admin.delete(where)


def test_user_interface_is_served_with_the_right_caching(hub: HubThread) -> None:
    """Addresses of the application get index.html, hashed files a year, unknown files 404, nothing outside."""
    page = httpx.get(f"{hub.url}/cameras/123")
    asset = httpx.get(f"{hub.url}/assets/app-1a2b3c.js")
    missing = httpx.get(f"{hub.url}/assets/none.js")
    outside = httpx.get(f"{hub.url}/..%2Foutside.txt")
    api = httpx.get(f"{hub.url}/api/v1/nothing", headers={"accept": "text/html"})

    assert page.text.startswith("<!doctype html>")
    assert page.headers["cache-control"] == "no-cache"
    assert asset.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert asset.headers["content-type"].startswith("text/javascript")
    assert missing.status_code == 404
    assert "not for the world" not in outside.text
    assert (api.status_code, api.json()["code"]) == (404, "not_found")


def test_operations_answer(hub: HubThread) -> None:
    """The process says that it lives, that it is ready, and its numbers without unbounded labels."""
    admin = hub.login("admin")
    for number in range(5):
        admin.get(f"/api/v1/cameras/no-such-{number}")

    assert httpx.get(f"{hub.url}/healthz").json() == {"status": "ok"}
    ready = httpx.get(f"{hub.url}/readyz").json()
    assert ready == {"ready": True, "parts": {"store": "ok", "relay": "ok", "decode": "ok"}}
    told = httpx.get(f"{hub.url}/metrics").text
    assert "no-such-" not in told
    assert 'route="/api/v1/cameras/{camera_id}"' in told


def test_which_cameras_are_watched_is_told_to_auditors_alone(hub: HubThread) -> None:
    """Here, on the machine itself, to all; with a token metrics of single cameras are for who may read the audit log; a wrong token is refused."""
    from hub.store.chain import HUB

    name = "camhub_relay_camera_viewers"
    shown = {}
    for role in ("viewer", "inspector"):
        hub.add_user(role, role)
        person = hub.login(role).get("/api/v1/me").json()
        _, token = hub.run(hub.hub.services.tokens.issue(person["id"], "metrics", HUB))
        headers = {"authorization": f"Bearer {token.reveal()}"}
        answer = httpx.get(f"{hub.url}/metrics", headers=headers)
        shown[role] = name in answer.text
        assert "camhub_relay_worker_up" in answer.text
    assert shown == {"viewer": False, "inspector": True}
    refused = httpx.get(f"{hub.url}/metrics", headers={"authorization": "Bearer wrong"})
    assert refused.status_code == 401
    assert name in httpx.get(f"{hub.url}/metrics").text


def test_unexpected_error_leaks_nothing(hub: HubThread, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of the hub answers 500 with an id that is in the log, and nothing of the fault itself."""
    admin = hub.login("admin")

    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("table cameras has no column of that name")

    monkeypatch.setattr(type(hub.hub.services.catalog), "counts", broken)
    answer = admin.get("/api/v1/cameras/counts")

    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert re.fullmatch(r"[0-9a-f]{12}", answer.json()["params"]["error_id"])
    assert "column" not in json.dumps(answer.json())


def test_bearer_token_speaks_for_its_person(hub: HubThread) -> None:
    """A token signs in without cookies or CSRF; a wrong one is refused."""
    accounts = hub.hub.services.accounts
    admin = hub.run(accounts.by_name("admin"))
    assert admin is not None

    from hub.store.chain import HUB

    _, secret = hub.run(hub.hub.services.tokens.issue(admin.id, "test", HUB))
    headers = {"authorization": f"Bearer {secret.reveal()}"}
    made = httpx.post(
        f"{hub.url}/api/v1/cameras",
        json={"name": "Bằng mã", "address": "rtsp://127.0.0.1:13/t"},
        headers=headers,
    )
    wrong = httpx.get(f"{hub.url}/api/v1/me", headers={"authorization": "Bearer camhub_wrong"})

    assert made.status_code == 201
    assert (wrong.status_code, wrong.json()["code"]) == (401, "token_refused")
    httpx.delete(hub.url + made.headers["location"], headers=headers)
