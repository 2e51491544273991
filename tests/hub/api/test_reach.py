"""Rights end at the borders of one's areas, and TLS changes what it must."""

import re
import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from running_hub import AUTHORITY, PASSWORD, PERMISSION, HubThread, running_hub

from hub.texts import Texts

pytestmark = pytest.mark.process  # each test runs a whole hub

ROOT = Path(__file__).parents[3]
MINE, ELSEWHERE = "99001", "99002"


@pytest.fixture(scope="module", autouse=True)
def _people(hub: HubThread) -> None:
    hub.add_user("ward-operator", "operator", areas=(MINE,))
    hub.add_user("ward-admin", "admin", areas=(MINE,))


def test_operator_of_a_ward_stays_in_it(hub: HubThread) -> None:
    """Neither registering, onboarding nor moving puts a camera outside one's areas."""
    operator = hub.login("ward-operator")
    camera = {"name": "Cổng", "address": "rtsp://127.0.0.1:51/x"}
    outside = [
        operator.post("/api/v1/cameras", json={**camera, "area": ELSEWHERE}),
        operator.post("/api/v1/cameras", json=camera),
        operator.post(
            "/api/v1/onboardings",
            json={
                "address": "rtsp://127.0.0.1:51/x",
                "custodian": AUTHORITY,
                "permission": PERMISSION,
                "area": ELSEWHERE,
            },
        ),
    ]
    inside = operator.post("/api/v1/cameras", json={**camera, "area": MINE})
    moved = operator.patch(inside.headers["location"], json={"area": ELSEWHERE})

    assert [reply.json()["code"] for reply in (*outside, moved)] == ["wrong_area"] * 4
    assert inside.status_code == 201
    assert hub.login("admin").delete(inside.headers["location"]).status_code == 204


def test_outputs_for_other_systems_are_off_until_a_port_is_set(hub: HubThread) -> None:
    """By default there is no door: the list says so, and making one is refused by name."""
    admin = hub.login("admin")
    camera = admin.post("/api/v1/cameras", json={"name": "Cổng", "address": "rtsp://127.0.0.1:51/x"})
    where = f"/api/v1/cameras/{camera.json()['id']}/outputs"
    asked = {"recipient": "VMS", "purpose": "traffic", "reason": "?", "expires_at": "2999-01-01T00:00:00Z"}
    assert admin.get(where).json() == {
        "items": [],
        "next": None,
        "total": 0,
        "port": None,
        "secure_port": None,
    }
    refused = admin.post(where, json=asked)
    assert (refused.status_code, refused.json()["code"]) == (409, "outputs_off")
    assert admin.delete(camera.headers["location"]).status_code == 204


def test_administrator_of_a_ward_gives_no_more_than_they_have(hub: HubThread) -> None:
    """They add people of their ward, and neither make nor change one who reaches beyond it."""
    admin = hub.login("ward-admin")
    new = {"name": "lan", "display_name": "Lan", "role": "viewer", "areas": [MINE]}
    fine = admin.post("/api/v1/users", json=new)
    beyond = [
        admin.post("/api/v1/users", json={**new, "name": "a", "areas": [ELSEWHERE]}),
        admin.post("/api/v1/users", json={**new, "name": "b", "role": "admin", "areas": []}),
        admin.patch(f"/api/v1/users/{fine.json()['user']['id']}", json={"areas": [MINE, ELSEWHERE]}),
        admin.patch(
            f"/api/v1/users/{hub.login('admin').get('/api/v1/me').json()['id']}", json={"disabled": True}
        ),
    ]

    assert fine.status_code == 201
    assert [reply.json()["code"] for reply in beyond] == ["wrong_area"] * 3 + ["wrong_area"]


def test_same_authority_is_one_custodian(hub: HubThread) -> None:
    """Two cameras of one authority have one custodian; two households of one name are two."""
    admin = hub.login("admin")
    made = []
    for number, kind in enumerate(("authority", "authority", "household", "household")):
        body = {
            "name": "x",
            "address": f"rtsp://127.0.0.1:{60 + number}/x",
            "custodian": {"kind": kind, "name": "Tên"},
        }
        made.append(admin.post("/api/v1/cameras", json=body))
    ids = [reply.json()["custodian"]["id"] for reply in made]
    for reply in made:
        admin.delete(reply.headers["location"])

    assert ids[0] == ids[1]
    assert len(set(ids)) == 3


def test_every_kind_of_audit_record_is_a_sentence() -> None:
    """Each kind that the program writes has a sentence in both languages."""
    kinds = set()
    for file in (ROOT / "hub").rglob("*.py"):
        text = file.read_text("utf-8")
        kinds |= set(re.findall(r'audit(?:\.append)?\(\s*"([a-z]+(?:\.[a-z]+)?)"', text))
        kinds |= set(re.findall(r'kind = "([a-z]+\.[a-z]+)"', text))
    texts = Texts.installed()

    assert len(kinds) > 20
    assert [kind for kind in sorted(kinds) if not texts.has(f"live.audit.{kind}")] == []


def test_times_in_sentences_are_written_for_people() -> None:
    """A time in a sentence is Vietnam's, day first; in `params` it stays RFC 3339."""
    from hub.problems import Problem

    told = Problem("login_locked", {"until": "2026-11-20T17:05:09.123Z"}).as_json(Texts.installed(), "vi")

    assert "21/11/2026 00:05:09" in told["detail"]
    assert told["params"]["until"] == "2026-11-20T17:05:09.123Z"


def test_tls_marks_cookies_and_headers(tmp_path: Path) -> None:
    """Over TLS the cookies are Secure and browsers are told to stay with HTTPS; plain HTTP gets no answer."""
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    for blob in certificate.cert_chain_pems:
        blob.write_to_path(tmp_path / "cert.pem", append=True)
    context = ssl.create_default_context()
    authority.configure_trust(context)

    with running_hub(tmp_path / "data", tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem") as hub:
        assert hub.url.startswith("https://")
        with httpx.Client(base_url=hub.url, verify=context) as client:
            answer = client.post("/api/v1/login", json={"username": "admin", "password": PASSWORD})
        with pytest.raises(httpx.HTTPError):
            httpx.get(hub.url.replace("https", "http"))

    assert answer.status_code == 200
    assert all("secure" in item.lower() for item in answer.headers.get_list("set-cookie"))
    assert "max-age" in answer.headers["strict-transport-security"]


def test_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A certificate file that is none ends the start with a sentence."""
    from hub.settings import SettingsRefused

    (tmp_path / "cert.pem").write_text("nothing")
    (tmp_path / "key.pem").write_text("nothing")

    with (
        pytest.raises(SettingsRefused, match="cannot be used"),
        running_hub(tmp_path / "data", tls_cert=tmp_path / "cert.pem", tls_key=tmp_path / "key.pem"),
    ):
        pass
