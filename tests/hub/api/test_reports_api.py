"""Reports of areas over HTTP: whose they are, every form with its signature; judging again; the hub's keys."""

import csv
import hashlib
import io
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from running_hub import AUTHORITY, HubThread, running_hub

from hub.catalog.types import Kind, NewCamera, NewCustodian
from hub.reports.area.forms import FORMS
from hub.reports.signing import Outcome, read_public_keys, verify
from hub.store.chain import HUB

pytestmark = pytest.mark.process
WARD, OTHER = "99001", "99002"


@pytest.fixture(scope="module")
def reporting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub with people of two wards and one camera in each."""
    with running_hub(Path(tmp_path_factory.mktemp("data"))) as hub:
        for name, role, area in (
            ("an", "operator", WARD),
            ("binh", "operator", OTHER),
            ("chi", "viewer", WARD),
            ("dung", "inspector", WARD),
            ("mai", "inspector", "99"),
        ):
            hub.add_user(name, role, areas=(area,))
        for area in (WARD, OTHER):
            custodian = NewCustodian(Kind.AUTHORITY, AUTHORITY["name"])
            new = NewCamera(f"Cổng {area}", f"rtsp://10.9.9.9/{area}", custodian, {}, area=area)
            hub.run(hub.hub.services.catalog.register(new, HUB))
        yield hub


def begun(client: httpx.Client, area: str = WARD, **more: Any) -> tuple[str, dict[str, Any]]:
    """Ask for a report; return where its job is told, and the job."""
    answer = client.post("/api/v1/reports", json={"area": area, **more})
    assert answer.status_code == 202, answer.text
    job: dict[str, Any] = answer.json()["job"]
    assert answer.headers["location"] == f"/api/v1/reports/jobs/{job['id']}"
    return answer.headers["location"], job


def ended(client: httpx.Client, where: str) -> dict[str, Any]:
    """Return a job once it has ended."""
    end = time.monotonic() + 120
    while (job := client.get(where).json()["job"])["state"] in ("waiting", "running"):
        assert time.monotonic() < end, job
        time.sleep(0.02)
    told: dict[str, Any] = job
    return told


def made(client: httpx.Client, area: str = WARD, **more: Any) -> dict[str, Any]:
    """Make a report."""
    job = ended(client, begun(client, area, **more)[0])
    assert (job["state"], job["done"]) == ("done", job["total"])
    told: dict[str, Any] = job["report"]
    return told


def refused(answer: httpx.Response) -> tuple[int, str]:
    """Return status and code of a problem."""
    return answer.status_code, answer.json()["code"]


def test_reports_are_for_those_who_see_the_area(reporting: HubThread) -> None:
    """Another ward's people find neither the area nor the report; those of the province find both; viewers none."""
    an, binh, chi, mai = (reporting.login(name) for name in ("an", "binh", "chi", "mai"))
    one = made(an)
    assert one["cameras"] == 1
    assert one["by_role"] == "operator"
    assert "by" not in one
    for path in (f"/reports/{one['id']}", f"/reports/{one['id']}/file?format=csv"):
        assert refused(binh.get(f"/api/v1{path}")) == (404, "not_found")
        assert an.get(f"/api/v1{path}").status_code == 200
        assert mai.get(f"/api/v1{path}").status_code == 200
    assert refused(binh.post("/api/v1/reports", json={"area": WARD})) == (404, "not_found")
    assert refused(an.post("/api/v1/reports", json={"area": "99"})) == (404, "not_found")
    assert refused(an.post("/api/v1/reports", json={"area": "00000"})) == (404, "not_found")
    assert one["id"] in {line["id"] for line in an.get("/api/v1/reports").json()["items"]}
    assert binh.get("/api/v1/reports").json()["items"] == []
    assert refused(chi.get("/api/v1/reports")) == (403, "forbidden")
    assert reporting.client().get("/api/v1/reports").status_code == 401


def test_a_report_is_made_in_the_background(reporting: HubThread) -> None:
    """The job tells its steps and then its report; others of the area may follow it, other wards do not find it."""
    an, binh, mai = (reporting.login(name) for name in ("an", "binh", "mai"))
    where, job = begun(an)
    assert job["kind"] == "area"
    assert 0 <= job["done"] <= job["total"]
    told = ended(mai, where)
    assert told["report"]["cameras"] >= 1
    assert an.get(told["report"]["files"]["csv"]).status_code == 200
    assert refused(binh.get(where)) == (404, "not_found")
    assert refused(binh.delete(where)) == (404, "not_found")
    assert refused(an.get("/api/v1/reports/jobs/none")) == (404, "not_found")
    kept = an.delete(where).json()["job"]  # it ended before: what is kept stays
    assert (kept["state"], kept["report"]["id"]) == ("done", told["report"]["id"])
    assert an.get(f"/api/v1/reports/{told['report']['id']}").status_code == 200


def test_the_document_counts_the_area_alone(reporting: HubThread) -> None:
    """The page's document holds the numbers of that area; the list of cameras is in the files."""
    an, mai = reporting.login("an"), reporting.login("mai")
    ward = an.get(f"/api/v1/reports/{made(an)['id']}").json()["document"]
    province = mai.get(f"/api/v1/reports/{made(mai, '99')['id']}").json()["document"]
    assert (ward["total"], province["total"]) == (1, 2)
    assert ward["decision"]["PENDING"] == 1
    assert "list" not in ward


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_signed_with_the_published_key(reporting: HubThread, form: str) -> None:
    """Each file and its signature fit together under the keys of `/.well-known/hub`, and no longer after a change."""
    an = reporting.login("an")
    one = made(an)
    file = an.get(one["files"][form])
    signature = an.get(one["files"][form], params={"format": form, "signature": True})
    keys = reporting.client().get("/.well-known/hub")
    assert (file.status_code, signature.status_code, keys.status_code) == (200, 200, 200)
    assert file.headers["x-report-sha256"] == hashlib.sha256(file.content).hexdigest()
    assert signature.headers["content-disposition"].endswith('.sig"')
    trusted = read_public_keys(keys.content)
    found = verify(file.content, signature.content, trusted)
    assert found.outcome is Outcome.GOOD
    assert (found.statement["format"], found.statement["subject"]) == (form, WARD)
    assert found.statement["hub"] == keys.json()["hub"]
    assert verify(file.content + b" ", signature.content, trusted).outcome is Outcome.CHANGED


def test_a_file_is_sent_once(reporting: HubThread) -> None:
    """With its entity tag a file is not sent again; the signature and another language have tags of their own."""
    an = reporting.login("an")
    one = made(an)
    path = one["files"]["html"]
    first = an.get(path, params={"format": "html", "lang": "vi"})
    tag = {"if-none-match": first.headers["etag"]}
    again = an.get(path, params={"format": "html", "lang": "vi"}, headers=tag)
    english = an.get(path, params={"format": "html", "lang": "en"}, headers=tag)
    beside = an.get(path, params={"format": "html", "lang": "vi", "signature": True}, headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    assert (english.status_code, english.headers["content-language"]) == (200, "en")
    assert beside.status_code == 200
    assert "private" in first.headers["cache-control"]


def test_the_annex_has_the_hash_that_the_document_names(reporting: HubThread) -> None:
    """The CSV is the very annex of the report, and holds no position, address or owner."""
    an = reporting.login("an")
    one = made(an)
    document = an.get(f"/api/v1/reports/{one['id']}").json()["document"]
    annex = an.get(one["files"]["csv"])
    assert hashlib.sha256(annex.content).hexdigest() == document["annex"]["sha256"]
    rows = list(csv.reader(io.StringIO(annex.content.decode("utf-8-sig"))))
    assert len(rows) == 2
    assert "10.9.9.9" not in annex.text
    assert AUTHORITY["name"] not in annex.text


def test_what_does_not_fit_is_refused_by_field(reporting: HubThread) -> None:
    """Unknown forms, kinds, years and reports are problems that say what there is."""
    an = reporting.login("an")
    one = made(an)
    wrong = an.get(f"/api/v1/reports/{one['id']}/file", params={"format": "docx"})
    assert refused(wrong) == (406, "format_not_available")
    assert "pdf" in wrong.json()["detail"]
    assert an.post("/api/v1/reports", json={"area": WARD, "kind": "daily"}).status_code in (400, 422)
    past = an.post("/api/v1/reports", json={"area": WARD, "kind": "yearly", "year": 2020})
    assert past.status_code in (400, 422)
    assert refused(an.get("/api/v1/reports/none")) == (404, "not_found")
    assert refused(an.get("/api/v1/reports/none/file")) == (404, "not_found")


def test_making_a_report_is_audited(reporting: HubThread) -> None:
    """The chain holds who made which report and the hash of its list."""
    an, admin = reporting.login("an"), reporting.login("admin")
    one = made(an, kind="yearly")
    found = admin.get("/api/v1/audit", params={"limit": 50}).json()["items"]
    told = [record for record in found if record["subject"] == f"report/{one['id']}"]
    assert [record["kind"] for record in told] == ["report.made"]


def test_judging_again_is_for_those_who_approve(reporting: HubThread) -> None:
    """An operator may not start it; an inspector may in their own area; the run is told to its end, and audited."""
    an, dung, admin = (reporting.login(name) for name in ("an", "dung", "admin"))
    assert refused(an.get("/api/v1/reassessments/current")) == (403, "forbidden")
    assert refused(an.post("/api/v1/reassessments", json={})) == (403, "forbidden")
    assert refused(dung.post("/api/v1/reassessments", json={})) == (403, "forbidden")
    assert refused(dung.post("/api/v1/reassessments", json={"area": OTHER})) == (404, "not_found")
    unknown = admin.post("/api/v1/reassessments", json={"standard": "no-such"})
    assert unknown.json()["code"] == "standard_unknown"
    assert refused(an.delete("/api/v1/reassessments/current")) == (403, "forbidden")
    started = dung.post("/api/v1/reassessments", json={"area": WARD})
    assert started.status_code == 202, started.text
    end = time.monotonic() + 120
    while (run := admin.get("/api/v1/reassessments/current").json()["run"])["state"] == "running":
        assert time.monotonic() < end
        time.sleep(0.05)
    assert (run["id"], run["state"], run["area"]) == (started.json()["run"]["id"], "done", WARD)
    audit = json.dumps(admin.get("/api/v1/audit", params={"limit": 50}).json())
    assert dung.delete("/api/v1/reassessments/current").json()["run"]["state"] == "done"
    assert "standards.reassessed" in audit


def test_the_published_keys_are_public_halves(reporting: HubThread) -> None:
    """Anybody may read them; one key signs; nothing of the private half is there."""
    told = reporting.client().get("/.well-known/hub").json()
    assert set(told) == {"hub", "name", "version", "report_keys"}
    assert [one["signs"] for one in told["report_keys"]] == [True]
    assert set(told["report_keys"][0]) == {"key_id", "algorithm", "public_key", "signs"}


def test_where_a_camera_comes_from_is_kept_and_counted(reporting: HubThread) -> None:
    """Group, funding, source class and the approval of the place: given, shown, changed, listed, counted, audited."""
    an, binh, admin = (reporting.login(name) for name in ("an", "binh", "admin"))
    origin = {
        "group": "Tổ 7",
        "funding": "Nhân dân đóng góp",
        "source_class": "donated",
        "siting": {"document": "12/QĐ-UBND", "authority": "UBND phường", "date": "2026-03-01"},
    }
    ids = []
    for number in range(5):
        new = {
            "name": f"Nhà {number}",
            "address": f"rtsp://10.9.8.7/{number}",
            "area": WARD,
            "custodian": {"kind": "shop", "name": f"Chủ {number}"},
            "origin": {**origin, "group": " Tổ 7 "},
        }
        answer = an.post("/api/v1/cameras", json=new)
        assert answer.status_code == 201, answer.text
        ids.append(answer.json()["id"])
    assert an.get(f"/api/v1/cameras/{ids[0]}").json()["origin"] == origin
    assert an.get("/api/v1/cameras", params={"group": "Tổ 7"}).json()["total"] == 5
    document = an.get(f"/api/v1/reports/{made(an)['id']}").json()["document"]
    assert [(one["name"], one["cameras"]) for one in document["groups"]] == [("Tổ 7", 5)]
    path = f"/api/v1/cameras/{ids[4]}"
    assert binh.patch(path, json={"origin": origin}).status_code == 404
    assert an.patch(path, json={"name": "Nhà cuối"}).json()["origin"] == origin
    changed = an.patch(path, json={"origin": {**origin, "group": "Tổ 8", "siting": None}}).json()
    assert (changed["origin"]["group"], changed["origin"]["siting"]) == ("Tổ 8", None)
    assert an.get("/api/v1/cameras", params={"group": "Tổ 8"}).json()["total"] == 1
    wrong = an.patch(
        path, json={"origin": {"siting": {"document": "x", "authority": "y", "date": "yesterday"}}}
    )
    assert wrong.status_code in (400, 422)
    document = an.get(f"/api/v1/reports/{made(an)['id']}").json()["document"]
    assert [(one["name"], one["cameras"]) for one in document["groups"]] == [(None, 5)]
    told = admin.get("/api/v1/audit", params={"camera": ids[4]}).json()["items"]
    assert ["origin"] in [one["data"].get("fields") for one in told]
