"""Reports: whole, true to the assessment, in two languages, safe against what a camera says."""

import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest

from adapters.errors import TimedOut
from adapters.port import Courtesy, Permission
from hub.reports.document import Document, Method, as_json, document
from hub.reports.formats import FORMS, FormatNotAvailable, render, render_bytes
from hub.reports.terminal import as_text
from standards.assess import assess
from standards.observation import Method as How
from standards.observation import NotObserved, Observation, Observations, Observed, Provenance, freeze
from standards.pack import packaged
from standards.reason import Reason
from standards.rule import GROUPS
from standards.verdict import Decision, Severity, Verdict
from standards.waiver import Waiver

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TECHNICAL = packaged().profile("technical")


def told(source: str = "onvif/1") -> Provenance:
    return Provenance(How.TEST, source, "ONVIF device GetServices", "192.168.1.20:80", NOW, 0.1)


def report(facts: dict[str, Any], *, waivers: tuple[Waiver, ...] = (), failure: Any = None) -> Document:
    """The report of a camera of which a few facts were seen."""
    seen: dict[str, Observation] = {
        name: value if isinstance(value, NotObserved) else Observed(freeze(value), told())
        for name, value in {"target.interfaces": ["onvif", "rtsp"], "target.scheme": "onvif", **facts}.items()
    }
    observations = Observations(seen)
    assessment = assess(observations, TECHNICAL, as_of=NOW, waivers=waivers)
    method = Method(Permission("", "command", NOW), Courtesy(34, 1), NOW, 11.4, failure)
    return document(assessment, observations, target="onvif://192.168.1.20:80", method=method)


WRONG_CLOCK = {
    "time.utc_present": True,
    "time.offset_s": 421.3,
    "time.source": "Manual",
    "time.ntp_servers": [],
}
EVIL = '"><script>alert(1)</script>\x1b[2J\x07{{7*7}}'


class Tags(HTMLParser):
    """Collects tags, ids, and addresses that a page would load or lead to."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            if name in {"src", "href", "action", "srcset"}:
                self.links.append(value or "")


def page(one: Document, language: str = "vi") -> tuple[str, Tags]:
    html = render(one, "html", language)
    tags = Tags()
    tags.feed(html)
    return html, tags


def test_the_json_form_is_the_contract_of_the_command_line() -> None:
    """JSON has target, standard, decision and findings with rule, verdict, reason, observed and required."""
    told_json = json.loads(as_json(report(WRONG_CLOCK)))

    assert told_json["target"] == "onvif://192.168.1.20:80"
    assert told_json["standard"] == "technical"
    assert set(told_json["standard_detail"]) >= {"id", "version", "hash", "title"}
    assert told_json["decision"] == "PENDING"
    assert sum(told_json["counts"].values()) == len(told_json["findings"]) == len(TECHNICAL.rules)
    clock = next(one for one in told_json["findings"] if one["rule"] == "TIM-02")
    assert clock["verdict"] == "FAIL"
    assert clock["observed"] == "421.3"
    assert clock["required"] == "within 5 s"
    assert clock["reason"] == "observed 421.3; required within 5 s"
    for finding in told_json["findings"]:
        assert {"rule", "verdict", "reason", "observed", "required", "severity", "text", "remedy"} <= set(
            finding
        )
        assert (finding["reason"] is None) == (finding["verdict"] == "PASS")
    assert [one["rule"] for one in told_json["because"]] == [
        one["rule"] for one in told_json["findings"] if one["lowers"]
    ]
    assert told_json["method"]["writes"] == 0


def test_the_summary_is_at_most_three_sentences_and_begins_with_the_decision() -> None:
    """The summary says the decision and why in at most three sentences, in both languages."""
    summary = report(WRONG_CLOCK)["summary"]

    assert summary["en"].startswith("Pending: 6 blocker rules could not be checked.")
    assert summary["vi"].startswith("Chờ kết luận: 6 tiêu chí bắt buộc chưa kiểm tra được.")
    assert len(re.findall(r"[.!?](?:\s|$)", summary["en"])) <= 3


def test_what_to_do_is_told_by_person_once_and_the_worst_first() -> None:
    """Tasks are grouped by person; one act that repairs several rules is one task that names them all."""
    tasks = {task["who"]: task["items"] for task in report(WRONG_CLOCK)["to_do"]}

    ntp = [item for item in tasks["owner"] if "NTP" in item["text"]["en"]]
    assert [item["rules"] for item in ntp] == [["TIM-02", "TIM-03"]]
    assert "installer" in tasks


def test_not_seen_stands_before_the_passes_and_says_what_would_help() -> None:
    """What was not seen is grouped by reason with its help, in every form before the findings that pass."""
    one = report({**WRONG_CLOCK, "credential.factory_default": NotObserved(Reason.NO_CREDENTIAL, "", told())})

    groups = {group["reason"]: group for group in one["not_seen"]}
    assert [rule["rule"] for rule in groups["no_credential"]["rules"]] == ["SEC-03"]
    assert "account" in groups["no_credential"]["remedy"]["en"]
    for form in ("text", "html"):
        text = render(one, form, "en")
        assert text.index("Not seen") < text.index("The camera tells UTC")


def test_a_repair_says_what_it_earns_only_where_it_earns_it() -> None:
    """Without the other blockers seen, repairing the clock promises nothing; the text says so."""
    earns = report(WRONG_CLOCK)["earns"]

    assert earns["decision"] == "PENDING"
    assert "could not be checked" in earns["text"]["en"]


@pytest.mark.parametrize("language", ["vi", "en"])
def test_text_reads_within_eighty_columns_and_without_colour(language: str) -> None:
    """The terminal form keeps to 80 columns, begins with the decision, and has no escape codes unless asked."""
    one = report(WRONG_CLOCK)
    text = as_text(one, language)

    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.splitlines()[0] == {"vi": "… Chờ kết luận", "en": "… Pending"}[language]
    assert "\x1b" not in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", as_text(one, language, colour=True)) == text
    assert {"vi": "nhanh 421 giây", "en": "421 s fast"}[language] in " ".join(text.split())


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_page_stands_alone(language: str) -> None:
    """The page loads nothing, runs nothing, and every link in it leads into itself."""
    html, tags = page(report(WRONG_CLOCK), language)

    assert not {"script", "img", "link", "iframe", "form", "object"} & set(tags.tags)
    assert all(link.startswith("#") and link[1:] in tags.ids for link in tags.links)
    assert len(tags.ids) == len(set(tags.ids))
    assert "url(" not in html
    assert "default-src &#39;none&#39;" in html or "default-src 'none'" in html
    assert f'<html lang="{language}">' in html
    assert {rule.id for rule in TECHNICAL.rules} <= set(tags.ids)


def test_what_a_camera_says_steers_neither_page_nor_terminal() -> None:
    """Markup, escape codes and template braces in a device's strings are text in every form."""
    one = report(
        {
            **{f"device.{name}": EVIL for name in ("manufacturer", "model", "firmware", "serial")},
            "rtsp.quirks": [EVIL],
            "onvif.services": [EVIL],
            "time.source": NotObserved(Reason.DEVICE_FAULT, EVIL, told(EVIL)),
        },
        failure=TimedOut(EVIL, waited_s=3.0),
    )

    for language in ("vi", "en"):
        html, tags = page(one, language)
        assert "script" not in tags.tags
        assert "{{7*7}}" in html
        assert "\x1b" not in as_text(one, language)
        assert "\x07" not in as_text(one, language)


def test_a_waived_failure_stays_a_failure_on_the_page() -> None:
    """A waiver is printed with authority and end; the verdict stays FAIL."""
    waiver = Waiver(
        "TIM-02", "replaced in spring", "Ward committee", NOW - timedelta(days=1), NOW + timedelta(days=30)
    )
    html, _tags = page(report(WRONG_CLOCK, waivers=(waiver,)), "en")

    assert "Ward committee" in html
    assert "until 20/12/2026" in html
    article = html[html.index('id="TIM-02"') : html.index('id="TIM-03"')]
    assert "Fail" in article
    assert "Waived" in article


def test_an_early_end_is_told_with_its_step() -> None:
    """A check that ended early says at which step, in both languages."""
    one = report(
        {}, failure=TimedOut("RTSP OPTIONS", waited_s=3.0, peer="10.0.0.9:554", hint="Check the cable")
    )

    assert one["failure"]["code"] == "timed_out"
    assert "10.0.0.9:554 không trả lời bước RTSP OPTIONS trong 3,0 giây" in render(one, "text", "vi")
    assert "hint: Check the cable" in render(one, "text", "en")


def test_a_stored_report_renders_as_it_did() -> None:
    """A report that went through JSON renders to the same text and page: forms need nothing but the document."""
    one = report(WRONG_CLOCK)
    stored = json.loads(as_json(one))

    for form in ("text", "html", "json"):
        assert render(stored, form, "vi") == render(one, form, "vi")


def test_a_form_that_does_not_exist_is_refused_by_name() -> None:
    """Another form is refused, with those that exist."""
    with pytest.raises(FormatNotAvailable, match="docx") as refused:
        render_bytes(report({}), "docx", "en")

    assert refused.value.known == FORMS


def test_limits_are_printed_in_every_form() -> None:
    """Every form says that it is an observed subset and no certificate."""
    one = report({})

    assert "Observed subset; does not replace conformity certification." in render(one, "html", "en")
    assert "không thay thế chứng nhận hợp quy" in render(one, "text", "vi")
    assert "does not replace conformity certification" in render(one, "json", "en")


def test_unconfirmed_clauses_are_not_cited() -> None:
    """A clause that nobody has confirmed is not printed as a citation."""
    html, _tags = page(report({}), "en")

    assert "values not confirmed" not in html
    assert "ONVIF Streaming Specification" in html


def test_every_word_of_a_report_exists_in_both_languages() -> None:
    """The two files have the same keys and placeholders, and a word for each decision, verdict, severity and reason."""

    def flat(node: dict[str, Any], prefix: str = "") -> dict[str, str]:
        found: dict[str, str] = {}
        for key, value in node.items():
            found |= flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
        return found

    vi, en = (
        flat(json.loads((resources.files("hub") / "locale" / language / "report.json").read_text("utf-8")))
        for language in ("vi", "en")
    )

    assert vi.keys() == en.keys()
    for key, text in vi.items():
        assert set(re.findall(r"\{\w+\}", text)) == set(re.findall(r"\{\w+\}", en[key])), key
    assert {f"unseen.{reason}" for reason in Reason} <= vi.keys()
    assert {f"decision.{one}" for one in Decision} | {f"verdict.{one}" for one in Verdict} <= vi.keys()
    assert {f"severity.{one}" for one in Severity} | {f"group.{one}" for one in GROUPS} <= vi.keys()


def test_a_refused_account_is_a_task_for_its_owner() -> None:
    """What could not be seen for want of an account asks the owner for it, once; a dead camera only for its power."""
    refused = report(
        {
            "device.model": NotObserved(Reason.REFUSED, "", told()),
            **{
                name: NotObserved(Reason.NO_CREDENTIAL, "", told())
                for name in ("rtsp.runs_ok", "onvif.encodings")
            },
        }
    )
    owner = {
        item["text"]["en"]: item["rules"]
        for task in refused["to_do"]
        if task["who"] == "owner"
        for item in task["items"]
    }
    asked = [text for text in owner if "account" in text]

    assert asked == ["Enter the camera's right account, then check again after the waiting time."]
    dead = report(
        {name: NotObserved(Reason.TIMED_OUT, "", told()) for rule in TECHNICAL.rules for name in rule.facts}
    )
    assert [item["rules"] for task in dead["to_do"] if task["who"] == "owner" for item in task["items"]] == [
        ["CON-01"]
    ]


def test_the_ladder_lifts_the_decision_rung_by_rung() -> None:
    """Each rung names what holds the decision, ends at ADMITTED, and repairing its rules gives what it says."""
    told = report({**WRONG_CLOCK, "rtsp.anonymous_describe": "answered"})

    assert told["decision"] == "REJECTED"
    assert told["ladder"][0]["repair"] == ["SEC-01"]
    assert [one["decision"] for one in told["ladder"]] == ["PENDING", "CONDITIONAL", "ADMITTED"]
    assert {"TIM-02", "TIM-03"} <= set(told["ladder"][2]["repair"])
    for language in ("vi", "en"):
        assert told["ladder"][0]["text"][language] in " ".join(render(told, "text", language).split())


def test_where_the_setting_is_stands_under_the_task_in_every_form() -> None:
    """For a failing clause a camera of a known maker gets its menu path, with the source; others get the general remedy."""
    open_camera = {"rtsp.anonymous_describe": "answered", "snapshot.anonymous": "refused"}
    known = report({**open_camera, "vendor.family": "hikvision"})
    path = "Configuration \N{RIGHTWARDS ARROW} System \N{RIGHTWARDS ARROW} Security"

    for form in ("text", "html", "csv", "junit", "sarif", "oscal", "json"):
        assert path in " ".join(render(known, form, "en").split()), form
        assert path not in render(report(open_camera), form, "en")
    steps = next(one for one in known["findings"] if one["rule"] == "SEC-01")["how_to"]
    assert steps[0]["source"].startswith("Hikvision")


@pytest.mark.parametrize(("open_", "said"), [(True, "still: Admitted"), (False, "that follows: Admitted")])
def test_a_reader_is_told_of_a_vote_and_of_old_reasons(open_: bool, said: str) -> None:
    """How many runs of three were worse, and which reasons rest on old results, stand under the decision."""
    made = report(WRONG_CLOCK)
    rule = made["because"][0]["rule"]
    made["because"][0]["overlays"] = ["stale"]
    plain = render(report(WRONG_CLOCK), "text", "en")
    assert "scheduled runs" not in plain
    assert "old results" not in plain
    made["series"] = {"worse": 1, "runs": 1, "of": 3, "open": open_, "held": "ADMITTED"}
    for form in ("text", "html"):
        shown = " ".join(render(made, form, "en").split())
        assert "1 of 1 scheduled runs" in shown
        assert said in shown
        assert f"check again: {rule}" in shown
    assert render_bytes(made, "pdf", "vi") != render_bytes(report(WRONG_CLOCK), "pdf", "vi")
