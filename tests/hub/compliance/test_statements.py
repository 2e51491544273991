"""What people state, through a real hub: declarations, waivers, attestations; who may, what follows, what is refused."""

import hashlib
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import HubThread, JumpClock, onboard, running_hub

from adapters.clock import SystemClock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from hub.store.chain import HUB

pytestmark = pytest.mark.process

STANDARD = "vn-donated-2026"
FAILS = "VQ-01"  # what the scripted camera fails: its picture is small
PDF = b"%PDF-1.7\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
TODAY = datetime.now(UTC).date()


def day(days: int) -> str:
    """Return a day from today on, as people write it."""
    return (TODAY + timedelta(days=days)).isoformat()


def png() -> bytes:
    """Return the smallest whole PNG."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0\0")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


@dataclass
class Scene:
    """A hub with one probed authority's camera in ward 99001, its people, and a clock that can jump."""

    hub: HubThread
    clock: JumpClock
    device: ScriptedCamera
    camera: str
    people: dict[str, httpx.Client]

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        return self.people[who].request(method, f"/api/v1{path}", **more)

    def made(self, who: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = self.ask(who, "POST", path, json=body)
        assert answer.status_code == 201, answer.text
        return dict(answer.json())

    def refused(self, answer: httpx.Response, status: int, code: str, field: str = "") -> str:
        """Check a problem and return its sentence, which is filled in."""
        assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
        assert answer.json().get("field", "") == field
        said = str(answer.json()["detail"])
        assert "{" not in said
        assert "?" not in said
        return said

    def finding(self, rule: str, camera: str = "") -> dict[str, Any]:
        report = self.ask("admin", "GET", f"/cameras/{camera or self.camera}").json()["last_assessment"]
        return next(one for one in report["findings"] if one["rule"] == rule)

    def traffic(self) -> tuple[int, int]:
        return self.device.counters.requests, self.hub.hub.dialer.opened

    def audited(self) -> list[str]:
        page = self.ask("admin", "GET", "/audit", params={"limit": 200}).json()
        assert page["chain"]["ok"]
        assert not [one for one in page["items"] if one["text"]["vi"].startswith(f"{one['actor']} · ")]
        return [one["kind"] for one in page["items"]]


def by_token(hub: HubThread, name: str) -> httpx.Client:
    """Return a client with a bearer token, which a jump of the clock does not end."""
    accounts = hub.hub.services.accounts
    user = next(one for one in hub.run(accounts.users()) if one.name == name)
    _, token = hub.run(hub.hub.services.tokens.issue(user.id, "test", HUB))
    return hub.client(authorization=f"Bearer {token.reveal()}", **{"accept-language": "en"})


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    clock = JumpClock()
    with running_hub(Path(tmp_path_factory.mktemp("data")), clock=clock) as hub:
        device = ScriptedCamera(shipped()["low-resolution"], SystemClock())
        hub.run(device.start())
        people = {"admin": by_token(hub, "admin")}
        done = onboard(
            people["admin"], device.onvif_url, device.user, device.password, standard=STANDARD, area="99001"
        )
        assert done["camera_id"], done
        catalog = hub.hub.services.catalog
        owner = hub.run(catalog.get(done["camera_id"])).custodian.id
        hub.add_user("op1", "operator", areas=("99001",))
        hub.add_user("op2", "operator", areas=("99002",))
        hub.add_user("insp", "inspector")
        hub.add_user("insp2", "inspector", areas=("99002",))
        hub.add_user("owninsp", "inspector", custodian_id=owner)
        hub.add_user("watcher", "viewer", areas=("99001",))
        hub.add_user("second", "admin")
        for name in ("op1", "op2", "insp", "insp2", "owninsp", "watcher", "second"):
            people[name] = by_token(hub, name)
        yield Scene(hub, clock, device, done["camera_id"], people)
        hub.run(device.stop())


@pytest.fixture
def at_home(scene: Scene) -> Iterator[None]:
    """Bring the clock back after a test that let time pass."""
    yield
    scene.clock.ahead_s = 0.0


def waiver(scene: Scene, **more: Any) -> dict[str, Any]:
    """Return a whole proposal for the camera."""
    return {
        "rule": FAILS,
        "selector": {"camera": scene.camera},
        "justification": "Đợi thay camera theo kế hoạch quý I",
        "authority": "Công an phường Hạc Thành",
        "compensating_control": "Camera bên cạnh nhìn cùng đoạn đường",
        "expires": day(90),
        **more,
    }


# waivers


def test_a_waiver_needs_two_people_and_never_changes_the_verdict(scene: Scene) -> None:
    """Proposed it waives nothing; approved by another person the failure is waived and stays FAIL; revoked it is plain."""
    before = scene.traffic()
    assert (scene.finding(FAILS)["verdict"], scene.finding(FAILS)["overlays"]) == ("FAIL", [])
    made = scene.made("op1", "/waivers", waiver(scene))
    assert made["state"] == "proposed"
    assert made["may"] == {"approve": False, "reject": True, "revoke": False}
    assert made["why_not"] == "right"
    assert scene.finding(FAILS)["overlays"] == []

    approved = scene.ask("insp", "POST", f"/waivers/{made['id']}/approve")
    assert approved.status_code == 200, approved.text
    assert approved.json()["state"] == "active"
    waived = scene.finding(FAILS)
    assert (waived["verdict"], waived["overlays"], waived["lowers"]) == ("FAIL", ["waived"], False)

    said = scene.refused(
        scene.ask("insp", "POST", f"/waivers/{made['id']}/revoke", json={}),
        422,
        "statement_refused",
        "reason",
    )
    assert "reason" in said
    ended = scene.ask("insp", "POST", f"/waivers/{made['id']}/revoke", json={"reason": "Đã thay camera"})
    assert ended.json()["state"] == "revoked"
    assert scene.finding(FAILS)["overlays"] == []
    assert scene.finding(FAILS)["lowers"]
    assert scene.traffic() == before
    kinds = scene.audited()
    assert {"waiver.proposed", "waiver.approved", "waiver.revoked"} <= set(kinds)


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"expires": None}, "expires", "expiry date is needed"),
        ({"expires": day(182)}, "expires", "180 days"),
        ({"expires": day(-2)}, "expires", "passed"),
        ({"rule": "PRV-01"}, "rule", "cannot be waived"),
        ({"rule": "XYZ-99"}, "rule", "no rule XYZ-99"),
        ({"justification": "  "}, "justification", "justification"),
        ({"authority": ""}, "authority", "answers for it"),
        ({"compensating_control": ""}, "compensating_control", "compensating"),
        ({"selector": {}}, "selector", "exactly one"),
        ({"selector": {"area": "99001", "custodian": "shop"}}, "selector", "exactly one"),
        ({"selector": {"custodian": "king"}}, "selector.custodian", "household"),
        ({"selector": {"camera": "nowhere"}}, "selector.camera", "no such camera"),
        ({"selector": {"area": "00000"}}, "selector.area", "00000"),
    ],
)
def test_a_waiver_that_may_not_be_is_refused_with_place_and_reason(
    scene: Scene, change: dict[str, Any], field: str, word: str
) -> None:
    """No expiry, more than 180 days, a rule that cannot be waived, a missing field: refused by field, nothing kept."""
    count = scene.ask("admin", "GET", "/waivers").json()["total"]
    answer = scene.ask("admin", "POST", "/waivers", json=waiver(scene, **change))
    assert word in scene.refused(answer, 422, "statement_refused", field)
    assert scene.ask("admin", "GET", "/waivers").json()["total"] == count


def test_nobody_approves_their_own_or_beyond_their_rights(scene: Scene) -> None:
    """The proposer, the camera's owner, an operator and an inspector of another ward cannot approve; viewers see nothing."""
    made = scene.made("admin", "/waivers", waiver(scene))
    path = f"/waivers/{made['id']}/approve"
    scene.refused(scene.ask("admin", "POST", path), 403, "approval_own", "id")
    scene.refused(scene.ask("owninsp", "POST", path), 403, "approval_own", "id")
    scene.refused(scene.ask("op1", "POST", path), 403, "forbidden")
    assert scene.ask("insp2", "POST", path).status_code == 404
    assert scene.ask("watcher", "GET", "/waivers").json()["total"] == 0
    scene.refused(scene.ask("watcher", "POST", "/waivers", json=waiver(scene)), 403, "forbidden")
    province = waiver(scene, selector={"custodian": "authority"})
    scene.refused(scene.ask("op1", "POST", "/waivers", json=province), 403, "wrong_area", "selector")
    back = scene.ask("admin", "POST", f"/waivers/{made['id']}/reject", json={"reason": "Nhầm camera"})
    assert back.json()["state"] == "rejected"
    said = scene.refused(scene.ask("insp", "POST", path), 409, "statement_state", "id")
    assert "rejected" in said


def test_a_waiver_for_an_area_ends_by_the_clock(scene: Scene, at_home: None) -> None:
    """A waiver for a ward reaches its cameras in the background; after its last day the failure is plain again."""
    made = scene.made("op1", "/waivers", waiver(scene, selector={"area": "99001"}, expires=day(20)))
    assert scene.ask("insp", "POST", f"/waivers/{made['id']}/approve").status_code == 200
    restating = scene.hub.hub.services.restating
    scene.hub.run(restating.settled())
    assert scene.finding(FAILS)["overlays"] == ["waived"]

    scene.clock.ahead_s = timedelta(days=22).total_seconds()
    assert scene.hub.run(restating.tick()) >= 1
    assert "waived" not in scene.finding(FAILS)["overlays"]
    assert scene.finding(FAILS)["verdict"] == "FAIL"
    assert scene.ask("insp", "GET", f"/waivers/{made['id']}").json()["state"] == "expired"
    assert "waiver.expired" in scene.audited()
    assert scene.hub.run(restating.tick()) == 0


def test_waivers_are_listed_by_state_in_pages(scene: Scene) -> None:
    """Each state's list holds as many as its count says; pages join without gap or repeat."""
    for _ in range(3):
        scene.made("op1", "/waivers", waiver(scene))
    told = scene.ask("insp", "GET", "/waivers").json()
    for state, number in told["counts"].items():
        assert scene.ask("insp", "GET", "/waivers", params={"state": state}).json()["total"] == number
    seen, cursor = [], ""
    while cursor is not None:
        page = scene.ask("insp", "GET", "/waivers", params={"limit": 2, "cursor": cursor}).json()
        seen += [one["id"] for one in page["items"]]
        cursor = page["next"]
    assert len(seen) == len(set(seen)) == told["total"] >= 3
    scene.refused(scene.ask("insp", "GET", "/waivers?cursor=abc"), 400, "bad_cursor", "cursor")


# declarations


def declare(scene: Scene, who: str = "op1", **one: Any) -> httpx.Response:
    body = {"author": "Lê Văn Bình", "role": "installer", "date": day(-1), **one}
    return scene.ask(who, "POST", f"/cameras/{scene.camera}/declarations", json={"declarations": [body]})


def test_a_declaration_answers_its_rule_until_it_lapses(scene: Scene, at_home: None) -> None:
    """PRV-04 passes once the sign is declared, says so as an interview, and is NOT_CHECKED after the declaration lapsed."""
    before = scene.traffic()
    assert (scene.finding("PRV-04")["verdict"], scene.finding("PRV-04")["reason"]) == (
        "NOT_CHECKED",
        "no_declaration",
    )
    answer = declare(scene, fact="signage.age_days", value=day(-10), valid_until=day(60))
    assert answer.status_code == 201, answer.text
    assert answer.json()["items"][0]["version"] == 1

    found = scene.finding("PRV-04")
    assert found["verdict"] == "PASS"
    fact = found["facts"][0]
    assert (fact["method"], fact["operation"]) == ("INTERVIEW", "declaration by installer")
    assert 9 < fact["value"] < 12
    assert "Lê Văn Bình" not in str(
        scene.ask("admin", "GET", f"/cameras/{scene.camera}").json()["last_assessment"]
    )

    scene.clock.ahead_s = timedelta(days=63).total_seconds()
    assert scene.hub.run(scene.hub.hub.services.restating.tick()) >= 1
    lapsed = scene.finding("PRV-04")
    assert (lapsed["verdict"], lapsed["reason"]) == ("NOT_CHECKED", "no_declaration")
    assert "lapsed" in lapsed["detail"]
    assert scene.traffic() == before
    assert {"declaration.made", "declaration.lapsed"} <= set(scene.audited())


def test_a_new_declaration_supersedes_and_nothing_is_erased(scene: Scene) -> None:
    """The second version counts, the first stays in the history; a withdrawn one leaves the rule unanswered."""
    first = declare(scene, fact="storage.countries", value=["VN"]).json()["items"][0]
    second = declare(scene, fact="storage.countries", value=["SG", "VN"]).json()["items"][0]
    assert (second["version"], second["state"]) == (first["version"] + 1, "active")
    history = scene.ask("insp", "GET", f"/cameras/{scene.camera}/declarations?history=true").json()["items"]
    states = {one["id"]: one["state"] for one in history}
    assert (states[first["id"]], states[second["id"]]) == ("superseded", "active")
    seen = scene.hub.run(scene.hub.hub.services.rescorer.rescored(scene.camera)).observations
    assert seen.value("storage.countries") == ("SG", "VN")

    ended = scene.ask("op1", "POST", f"/declarations/{second['id']}/withdraw")
    assert ended.json()["state"] == "withdrawn"
    seen = scene.hub.run(scene.hub.hub.services.rescorer.rescored(scene.camera)).observations
    assert seen.value("storage.countries") is None
    scene.refused(
        scene.ask("op1", "POST", f"/declarations/{second['id']}/withdraw"), 409, "statement_state", "id"
    )


@pytest.mark.parametrize(
    ("change", "field", "word"),
    [
        ({"fact": "sign.age"}, "fact", "sign.age"),
        ({"fact": "place.stated", "value": True}, "fact", "entry"),
        ({"fact": "consent.signed", "value": True}, "fact", "consent record"),
        ({"value": "yesterday"}, "value", "YEAR-MONTH-DAY"),
        ({"value": 3}, "value", "YEAR-MONTH-DAY"),
        ({"value": day(9)}, "value", "not come yet"),
        ({"fact": "recording.days_kept", "value": 99999}, "value", "3650"),
        ({"fact": "recording.path", "value": "cloud"}, "value", "recorder"),
        ({"fact": "storage.countries", "value": ["Vietnam"]}, "value", "two-letter"),
        ({"fact": "night.infrared", "value": "yes"}, "value", "true or false"),
        ({"author": ""}, "author", "name"),
        ({"role": "king"}, "role", "installer"),
        ({"fact": "view.private_area", "value": False}, "role", "reviewer"),
        ({"date": day(3)}, "date", "not come yet"),
        ({"date": day(-100), "valid_until": day(-20)}, "valid_until", "lapsed"),
        ({"valid_until": day(900)}, "valid_until", "365"),
        ({"valid_until": day(-5)}, "valid_until", "not after"),
        ({"attachment_sha256": "0" * 64}, "attachment", "send the file first"),
    ],
)
def test_a_declaration_that_may_not_be_is_refused_with_place_and_reason(
    scene: Scene, change: dict[str, Any], field: str, word: str
) -> None:
    """An unknown fact, another kind of value, no author, a lapsed time, a hash without a file: refused by field."""
    one = {"fact": "signage.age_days", "value": day(-3), **change}
    assert word in scene.refused(declare(scene, **one), 422, "statement_refused", field)


def test_of_several_declarations_all_are_kept_or_none(scene: Scene) -> None:
    """One that does not fit is named by its number, and those before it are not kept either."""
    good = {"fact": "night.infrared", "value": True, "author": "A", "role": "installer"}
    body = {"declarations": [good, {**good, "value": "maybe"}]}
    path = f"/cameras/{scene.camera}/declarations"
    scene.refused(scene.ask("op1", "POST", path, json=body), 422, "statement_refused", "1.value")
    assert "night.infrared" not in {one["fact"] for one in scene.ask("op1", "GET", path).json()["items"]}


def test_a_measurement_stands_above_a_declaration(scene: Scene) -> None:
    """A declared pixel density is worked out from the measured width; what was measured is never replaced by what was said."""
    body = {
        "declarations": [
            {"fact": fact, "value": value, "author": "A", "role": "installer"}
            for fact, value in (
                ("view.distance_m", 10),
                ("view.hfov_deg", 90),
                ("view.purpose_level", "detect"),
            )
        ]
    }
    assert scene.ask("op1", "POST", f"/cameras/{scene.camera}/declarations", json=body).status_code == 201
    seen = scene.hub.run(scene.hub.hub.services.rescorer.rescored(scene.camera)).observations
    width = seen.value("stream.main.width")
    assert isinstance(width, int)
    assert seen.value("view.pixels_per_m") == pytest.approx(width / 20, abs=0.1)


def test_who_may_declare_and_who_may_read(scene: Scene) -> None:
    """Operators of another ward and viewers neither declare nor read; inspectors read."""
    assert declare(scene, "op2", fact="night.infrared", value=True).status_code == 404
    scene.refused(declare(scene, "watcher", fact="night.infrared", value=True), 403, "forbidden")
    scene.refused(scene.ask("watcher", "GET", f"/cameras/{scene.camera}/declarations"), 403, "forbidden")
    assert scene.ask("insp", "GET", f"/cameras/{scene.camera}/declarations").status_code == 200
    scene.refused(declare(scene, "insp", fact="night.infrared", value=True), 403, "forbidden")


def test_an_owner_declares_in_their_own_name(scene: Scene) -> None:
    """A donor sees the forms that are theirs, in their words, and states as owner; nothing else is theirs to state."""
    hub = scene.hub
    body = {
        "name": "Cổng nhà",
        "address": "rtsp://127.0.0.1:9/x",
        "custodian": {"kind": "household", "name": "Bà Hoa"},
    }
    made = scene.ask("admin", "POST", "/cameras", json=body).json()
    hub.add_user("hoa", "donor", custodian_id=made["custodian"]["id"], display_name="Bà Hoa")
    hoa = hub.login("hoa")
    forms = hoa.get("/api/v1/declaration-forms").json()
    assert forms["roles"] == ["owner"]
    assert "view.private_area" not in {one["fact"] for one in forms["items"]}
    assert "consent.state" not in {one["fact"] for one in forms["items"]}
    path = f"/api/v1/cameras/{made['id']}/declarations"
    given = hoa.post(path, json={"declarations": [{"fact": "signage.age_days", "value": day(-2)}]})
    assert given.status_code == 201, given.text
    assert (given.json()["items"][0]["author"], given.json()["items"][0]["role"]) == ("Bà Hoa", "owner")
    other = {"fact": "night.infrared", "value": True, "role": "manufacturer"}
    refused = hoa.post(path, json={"declarations": [other]})
    assert refused.json()["field"] == "role"
    proposed = hoa.post(
        "/api/v1/attestations",
        json={
            "rule": "PRV-04",
            "camera_id": made["id"],
            "author": "Bà Hoa",
            "role": "owner",
            "explanation": "Biển báo còn treo",
            "valid_until": day(100),
        },
    )
    assert proposed.status_code == 201, proposed.text
    assert hoa.post(f"/api/v1/attestations/{proposed.json()['id']}/approve").json()["code"] == "forbidden"
    assert hoa.post("/api/v1/waivers", json=waiver(scene)).status_code == 403


# attachments


def attach(scene: Scene, content: bytes, name: str, kind: str = "application/octet-stream") -> httpx.Response:
    path = f"/cameras/{scene.camera}/attachments"
    return scene.ask(
        "op1", "PUT", path, content=content, params={"name": name}, headers={"content-type": kind}
    )


@pytest.mark.parametrize(
    ("content", "name", "kind", "word"),
    [
        (png(), "sign.jpg", "application/octet-stream", "says it is .jpg, but its content is image/png"),
        (png(), "sign.png", "application/pdf", "says it is application/pdf"),
        (PDF, "sign.png", "application/octet-stream", "says it is .png"),
        (b"MZ\x90\0 program", "sign.pdf", "application/pdf", "no PDF, JPEG or PNG"),
        (b"<svg onload=alert(1)>", "a.svg", "image/svg+xml", "no PDF, JPEG or PNG"),
        (png(), "sign.exe", "application/octet-stream", "says it is .exe"),
        (png()[:-6], "sign.png", "image/png", "end of the image/png file is missing"),
        (b"\xff\xd8\xff\xe0" + b"x" * 50, "a.jpg", "image/jpeg", "missing"),
        (PDF[:-6], "a.pdf", "application/pdf", "missing"),
        (b"", "a.pdf", "application/pdf", "empty"),
    ],
    ids=[
        "png-as-jpg",
        "png-as-pdf",
        "pdf-as-png",
        "program",
        "svg",
        "png-as-exe",
        "cut-png",
        "cut-jpg",
        "cut-pdf",
        "empty",
    ],
)
def test_an_attachment_that_is_not_what_it_says_is_refused(
    scene: Scene, content: bytes, name: str, kind: str, word: str
) -> None:
    """The content decides: another kind than the name or the header says, a cut file, a program: refused with the reason."""
    said = scene.refused(attach(scene, content, name, kind), 422, "statement_refused", "attachment")
    assert word in said


def test_an_attachment_is_kept_under_its_hash_and_given_back_to_be_saved(scene: Scene) -> None:
    """The statement names the file's SHA-256, the report shows it, and a browser saves the file instead of opening it."""
    sent = attach(scene, png(), "biển báo.png", "image/png")
    assert sent.status_code == 201, sent.text
    digest = hashlib.sha256(png()).hexdigest()
    assert (sent.json()["sha256"], sent.json()["name"]) == (digest, "biển báo.png")
    assert attach(scene, png(), "again.png").json()["sha256"] == digest
    made = declare(scene, fact="signage.age_days", value=day(-4), attachment_sha256=digest)
    assert made.json()["items"][0]["attachment_sha256"] == digest
    assert digest in scene.finding("PRV-04")["facts"][0]["excerpt"]
    back = scene.ask("insp", "GET", f"/cameras/{scene.camera}/attachments/{digest}")
    assert back.content == png()
    assert back.headers["content-disposition"].startswith("attachment")
    assert back.headers["x-content-type-options"] == "nosniff"


def test_an_attachment_that_is_too_large_is_refused(scene: Scene) -> None:
    """More than 10 MB is refused before it is kept."""
    answer = attach(scene, PDF + b"\0" * (10 * 2**20) + PDF, "a.pdf", "application/pdf")
    assert answer.status_code in (413, 422)


# attestations


def test_an_attestation_is_shown_once_another_person_approved_it(scene: Scene, at_home: None) -> None:
    """Approved it stands as an overlay beside an unchanged verdict; once lapsed its rule counts as not declared."""
    body = {
        "rule": "ID-01",
        "camera_id": scene.camera,
        "author": "Lê Văn Bình",
        "role": "installer",
        "explanation": "Đã đọc nhãn dưới đáy camera",
        "valid_until": day(30),
    }
    verdict = scene.finding("ID-01")["verdict"]
    made = scene.made("admin", "/attestations", body)
    scene.refused(
        scene.ask("admin", "POST", f"/attestations/{made['id']}/approve"), 403, "approval_own", "id"
    )
    assert scene.finding("ID-01")["overlays"] == []
    assert scene.ask("second", "POST", f"/attestations/{made['id']}/approve").json()["state"] == "active"
    assert (scene.finding("ID-01")["verdict"], scene.finding("ID-01")["overlays"]) == (verdict, ["attested"])

    scene.clock.ahead_s = timedelta(days=33).total_seconds()
    scene.hub.run(scene.hub.hub.services.restating.tick())
    lapsed = scene.finding("ID-01")
    assert (lapsed["verdict"], lapsed["reason"]) == ("NOT_CHECKED", "no_declaration")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"author": ""}, "author"),
        ({"role": "friend"}, "role"),
        ({"explanation": ""}, "explanation"),
        ({"valid_until": None}, "valid_until"),
        ({"valid_until": day(-2)}, "valid_until"),
        ({"valid_until": day(4000)}, "valid_until"),
        ({"date": day(4)}, "date"),
        ({"rule": "??"}, "rule"),
        ({"attachment_sha256": "1" * 64}, "attachment"),
        ({"camera_id": "nowhere"}, "camera_id"),
    ],
)
def test_an_attestation_that_may_not_be_is_refused_by_field(
    scene: Scene, change: dict[str, Any], field: str
) -> None:
    """A missing author, a lapsed time, a paper that nobody sent: refused, nothing kept."""
    body = {
        "rule": "ID-01",
        "camera_id": scene.camera,
        "author": "B",
        "role": "installer",
        "explanation": "Đã xem",
        "valid_until": day(30),
        **change,
    }
    answer = scene.ask("op1", "POST", "/attestations", json=body)
    assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text
