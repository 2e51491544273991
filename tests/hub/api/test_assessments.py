"""Assessments over HTTP: over time, side by side, as files, and under other standards and limits."""

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import AUTHORITY, HubThread, running_hub

from hub.catalog.types import Kind, NewCamera, NewCustodian
from hub.onboarding.declared import Gate, new_assessment
from hub.reports.document import document
from hub.store.chain import HUB
from standards.assess import assess
from standards.observation import Method, Observations, Observed, Provenance, Value

pytestmark = pytest.mark.process
EXCERPT = "UTCDateTime 2026-11-21T03:00:02Z"
GOOD: dict[str, Value] = {
    "target.scheme": "onvif",
    "target.interfaces": ("onvif", "rtsp"),
    "reach.onvif": True,
    "reach.rtsp": True,
    "credential.supplied": True,
    "credential.factory_default": False,
    "time.offset_s": 2.0,
    "device.manufacturer": "Acme",
    "device.model": "A1",
    "device.firmware": "1.0",
    "device.serial": "S1",
    "stream.main.codec": "H264",
    "stream.main.width": 1920,
    "stream.main.height": 1080,
}


class Bench:
    """A hub with cameras that were checked, at addresses on which this test listens."""

    def __init__(self, hub: HubThread) -> None:
        self.hub = hub
        self.admin = hub.login("admin")
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setblocking(False)
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self._made = 0

    def camera(self, name: str, *, area: str = "") -> str:
        """Register a camera, unchecked."""
        self._made += 1
        new = NewCamera(
            name=name,
            address=f"onvif://{self.host}/{self._made}",
            custodian=NewCustodian(Kind.AUTHORITY, AUTHORITY["name"]),
            permission={},
            area=area or None,
        )
        return str(self.hub.run(self.hub.hub.services.catalog.register(new, HUB)).id)

    def check(self, camera: str, standard: str = "base", days_ago: float = 0, **facts: Value) -> str:
        """Store an assessment of some facts, as a check would; None takes a fact away."""
        services = self.hub.hub.services
        at = services.clock.now() - timedelta(days=days_ago)
        told = Provenance(
            Method.TEST,
            "onvif/1",
            "ONVIF device GetSystemDateAndTime",
            self.host,
            at,
            0.0123,
            EXCERPT,
            "ab" * 32,
        )
        named = {name.replace("__", "."): value for name, value in facts.items()}
        seen = Observations(
            {name: Observed(value, told) for name, value in {**GOOD, **named}.items() if value is not None}
        )
        judged = assess(seen, services.packs.profile(standard), as_of=at)
        report = document(judged, seen, target="camera")
        kept = new_assessment(report, judged, seen.as_json(), Gate(), services.texts)
        return str(self.hub.run(services.catalog.record_assessment(camera, kept, HUB)).id)

    def get(self, path: str, **query: Any) -> Any:
        """Return the JSON of a page of the API."""
        answer = self.admin.get(f"/api/v1{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        """Post and return the JSON."""
        answer = self.admin.post(f"/api/v1{path}", json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    def nobody_called(self) -> bool:
        """Tell whether no connection was made to the cameras' address."""
        try:
            self.listener.accept()
        except BlockingIOError:
            return True
        return False


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """One hub for all tests here; what they store lies at cameras of their own."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as hub:
        started = Bench(hub)
        yield started
        started.listener.close()


def turned(told: dict[str, Any]) -> dict[str, list[str]]:
    """Return the rules of each move that has any."""
    return {move: [one["rule"] for one in found] for move, found in told["moves"].items() if found}


def test_the_list_says_what_turned_since_the_assessment_before(bench: Bench) -> None:
    """Each assessment names the rules that turned since the one before, by the way they went; the first has none."""
    camera = bench.camera("Cổng trước")
    bench.check(camera, days_ago=3)
    bench.check(camera, days_ago=2, time__offset_s=420.0)
    bench.check(camera, days_ago=1, time__offset_s=None)
    bench.check(camera)

    rows = bench.get(f"/cameras/{camera}/assessments", changed=True)["items"]

    assert [turned(row["changes"]) for row in rows[:3]] == [
        {"seen": ["TIM-02"]},
        {"lost": ["TIM-02"]},
        {"broken": ["TIM-02"]},
    ]
    assert "changes" not in rows[3]
    assert rows[0]["changes"]["against"] == rows[1]["id"]


def test_the_list_is_paged_by_assessment(bench: Bench) -> None:
    """A cursor goes on where the page ended, an unknown one is refused, the total counts all."""
    camera = bench.camera("Nhiều lần đo")
    made = [bench.check(camera, days_ago=days) for days in (3, 2, 1)]
    first = bench.get(f"/cameras/{camera}/assessments", limit=2)
    rest = bench.get(f"/cameras/{camera}/assessments", limit=2, cursor=first["next"])
    refused = bench.admin.get(f"/api/v1/cameras/{camera}/assessments", params={"cursor": "no-such"})

    assert [one["id"] for one in first["items"] + rest["items"]] == list(reversed(made))
    assert rest["next"] is None
    assert first["total"] == 3
    assert refused.json()["code"] == "bad_cursor"


def test_two_assessments_stand_side_by_side(bench: Bench) -> None:
    """The older is `before` whichever is named first; rules and the device's own words show both values."""
    camera = bench.camera("Hai lần đo")
    old = bench.check(camera, days_ago=5, device__firmware="1.0")
    new = bench.check(camera, device__firmware="2.0", time__offset_s=420.0)

    told = bench.get(f"/assessments/{new}/compare/{old}")

    assert (told["before"]["id"], told["after"]["id"]) == (old, new)
    assert told["same_standard"] is True
    assert told["device"] == [{"name": "firmware", "before": "1.0", "after": "2.0"}]
    first = told["rules"][0]
    assert (first["rule"], first["move"]) == ("TIM-02", "broken")
    assert first["before"]["verdict"] == "PASS"
    assert "420" in first["after"]["observed_text"]["vi"]


def test_assessments_of_two_cameras_are_not_compared(bench: Bench) -> None:
    """Reports of different cameras have nothing in common to set side by side."""
    one, other = (bench.check(bench.camera(f"Máy {n}")) for n in (1, 2))
    answer = bench.admin.get(f"/api/v1/assessments/{one}/compare/{other}")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_a_trial_of_one_camera_sends_nothing_and_keeps_nothing(bench: Bench) -> None:
    """Another limit turns a clause in the reply alone: no packet to the camera, no assessment, the decision stays."""
    camera = bench.camera("Thử một máy")
    bench.check(camera)
    before = bench.get(f"/cameras/{camera}")

    told = bench.post(f"/cameras/{camera}/what-if", {"set": {"TIM-02": {"max_offset_s": 1.0}}})

    assert told["trial"] is True
    assert [(one["rule"], one["move"]) for one in told["rules"] if one["move"] != "same"] == [
        ("TIM-02", "broken")
    ]
    assert told["after"]["standard_version"].endswith("+what-if")
    assert told["assessment"]["counts"]["FAIL"] == told["before"]["counts"]["FAIL"] + 1
    assert bench.nobody_called()
    assert bench.get(f"/cameras/{camera}") == before
    assert bench.get(f"/cameras/{camera}/assessments")["total"] == 1


def test_a_trial_takes_another_standard(bench: Bench) -> None:
    """The reply tells which rules come with the other standard and which go; nothing is sent."""
    camera = bench.camera("Bộ khác")
    bench.check(camera, "technical")
    told = bench.post(f"/cameras/{camera}/what-if", {"standard": "vn-municipal-2026"})
    assert told["after"]["standard"] == "vn-municipal-2026"
    assert len([one for one in told["rules"] if one["move"] == "added"]) > 40
    assert told["same_standard"] is False
    assert bench.nobody_called()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"standard": "no-such"}, 422, "standard_unknown"),
        ({"set": {"TIM-02": {"no_such": 1}}}, 422, "invalid_input"),
        ({"set": {"TIM-02": {"max_offset_s": "soon"}}}, 422, "invalid_input"),
        ({"set": {"TIM-99": {"max_offset_s": 1}}}, 422, "invalid_input"),
        ({"set": {"'; drop": {"max_offset_s": 1}}}, 422, "invalid_input"),
        ({"set": {"TIM-02": {"max_offset_s": {"a": 1}}}}, 422, "invalid_input"),
    ],
)
def test_a_trial_with_an_unknown_name_or_value_is_refused(
    bench: Bench, body: dict[str, Any], status: int, code: str
) -> None:
    """An unknown standard, rule, parameter or a value of another kind is told as such."""
    camera = bench.camera("Sai tham số")
    bench.check(camera)
    assert bench.post(f"/cameras/{camera}/what-if", body, status)["code"] == code


def test_a_camera_that_was_never_checked_has_nothing_to_try(bench: Bench) -> None:
    """A trial needs stored observations, and says so."""
    camera = bench.camera("Chưa đo")
    assert bench.post(f"/cameras/{camera}/what-if", {}, 409)["code"] == "not_assessed"


def test_a_trial_of_an_area_tells_who_would_fall_out(bench: Bench) -> None:
    """With a stricter limit the cameras beyond it fall, those within stay; unchecked ones are counted apart."""
    services = bench.hub.hub.services
    area = bench.hub.run(services.areas.find("", 1))[0].code
    near = bench.camera("Đồng hồ đúng", area=area)
    far = bench.camera("Đồng hồ lệch", area=area)
    bench.camera("Chưa đo lần nào", area=area)
    bench.check(near, "onvif-t", time__offset_s=0.2)
    bench.check(far, "onvif-t", time__offset_s=4.0)
    passed = {"set": {"TIM-02": {"max_offset_s": 1.0}}, "area": area}

    told = bench.post("/standards/base/trial", passed)

    assert (told["judged"], told["skipped"], told["total"], told["next"]) == (2, 1, 3, None)
    assert told["turned"] == 1
    assert sum(told["now"].values()) == sum(told["then"].values()) == 2
    assert bench.nobody_called()
    one_by_one = bench.post("/standards/base/trial", {**passed, "limit": 1})
    assert one_by_one["next"]
    assert bench.get(f"/cameras/{far}/assessments")["total"] == 1


def test_each_number_of_failing_cameras_opens_a_list_of_that_many(bench: Bench) -> None:
    """Counts by rule follow the newest assessment and equal the list with that filter; a mended rule is counted no more."""
    first, second = bench.camera("Trượt giờ 1"), bench.camera("Trượt giờ 2")
    for camera in (first, second):
        bench.check(camera, "vn-donated-2026", time__offset_s=420.0)

    counted = bench.get("/standards/vn-donated-2026/failing")
    listed = bench.get("/cameras", standard="vn-donated-2026", failing="TIM-02")
    bench.check(second, "vn-donated-2026")
    after = bench.get("/standards/vn-donated-2026/failing")

    assert (counted["judged"], counted["rules"]["TIM-02"], listed["total"]) == (2, 2, 2)
    assert (after["judged"], after["rules"]["TIM-02"]) == (2, 1)
    for rule, number in after["rules"].items():
        assert bench.get("/cameras", standard="vn-donated-2026", failing=rule)["total"] == number


@pytest.mark.parametrize(
    ("form", "media", "shown", "suffix"),
    [
        ("html", "text/html", "inline", ".html"),
        ("pdf", "application/pdf", "inline", ".pdf"),
        ("json", "application/json", "attachment", ".json"),
        ("csv", "text/csv", "attachment", ".csv"),
        (
            "xlsx",
            "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            "attachment",
            ".xlsx",
        ),
        ("oscal", "application/json", "attachment", ".oscal.json"),
        ("sarif", "application/sarif+json", "attachment", ".sarif.json"),
        ("junit", "application/xml", "attachment", ".junit.xml"),
    ],
)
def test_every_form_has_its_type_its_name_and_its_tag(
    bench: Bench, form: str, media: str, shown: str, suffix: str
) -> None:
    """A report comes with its media type, a name that tells camera, standard, moment and language, and a tag that holds."""
    camera = bench.camera(f"Ngã tư Đường Tàu {form}")
    report = bench.check(camera)
    path = f"/api/v1/assessments/{report}/report"
    got = bench.admin.get(path, params={"format": form, "lang": "en"})
    again = bench.admin.get(
        path, params={"format": form, "lang": "en"}, headers={"if-none-match": got.headers["etag"]}
    )
    other = bench.admin.get(
        path, params={"format": form, "lang": "vi"}, headers={"if-none-match": got.headers["etag"]}
    )

    assert got.status_code == 200
    assert got.headers["content-type"].partition(";")[0] == media
    kind, _, name = got.headers["content-disposition"].partition("; ")
    assert kind == shown
    assert name.startswith(f'filename="camhub-nga-tu-duong-tau-{form}-base-')
    assert name.endswith(f'-en{suffix}"')
    assert (again.status_code, again.content) == (304, b"")
    assert other.status_code == 200
    assert other.headers["etag"] != got.headers["etag"]


def test_a_finding_shows_what_it_stands_on(bench: Bench) -> None:
    """Each fact of a finding tells operation, peer, moment, duration, and the excerpt with its hash."""
    report = bench.check(bench.camera("Chứng cứ"))
    findings = bench.get(f"/assessments/{report}")["findings"]
    fact = next(one for one in findings if one["rule"] == "TIM-02")["facts"][-1]
    assert fact["operation"] == "ONVIF device GetSystemDateAndTime"
    assert (fact["peer"], fact["duration_s"]) == (bench.host, 0.012)
    assert (fact["excerpt"], fact["excerpt_sha256"]) == (EXCERPT, "ab" * 32)


def test_an_owner_tries_nothing_on_a_whole_standard(bench: Bench) -> None:
    """A trial over many cameras is for those who work with the hub."""
    custodian = bench.get(f"/cameras/{bench.camera('Của dân')}")["custodian"]["id"]
    bench.hub.add_user("hoa", "donor", custodian_id=custodian)
    donor: httpx.Client = bench.hub.login("hoa")
    answer = donor.post("/api/v1/standards/base/trial", json={"set": {"TIM-02": {"max_offset_s": 1}}})
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


def test_a_report_with_a_still_is_refused_as_the_view_would_be(bench: Bench) -> None:
    """A camera that nobody may watch gives no still for its report, with the view's reason; a table carries none."""
    camera = bench.camera("Không có hình")
    made = bench.check(camera)
    path = f"/api/v1/assessments/{made}/report"

    plain = bench.admin.get(path)
    refused = bench.admin.get(path, params={"still": "1", "format": "pdf"})
    watched = bench.admin.get(f"/api/v1/cameras/{camera}/snapshot.jpg")
    table = bench.admin.get(path, params={"still": "1", "format": "csv"})

    assert plain.status_code == 200
    assert "<img" not in plain.text
    assert refused.status_code == watched.status_code >= 400
    assert refused.json()["code"] == watched.json()["code"]
    assert (table.status_code, table.json()["field"]) == (406, "still")
    assert bench.nobody_called()
