"""Assessment: verdicts, reasons, decisions and their order."""

from datetime import datetime, timedelta

import pytest
from observed_cameras import NOW, camera, missed, rtsp_only

from standards.assess import assess
from standards.assessment import Assessment
from standards.observation import Observations
from standards.pack import packaged
from standards.reason import Reason
from standards.verdict import Decision, Overlay, Verdict
from standards.waiver import Attestation, Waiver, WaiverRefused

TECHNICAL = packaged().profile("technical")
BASE = packaged().profile("base")
DONATED = packaged().profile("vn-donated-2026")


def check(observations: Observations, profile=TECHNICAL, **more) -> Assessment:
    return assess(observations, profile, as_of=NOW, **more)


def first(assessment: Assessment) -> str | None:
    return assessment.because[0].rule.id if assessment.because else None


@pytest.mark.parametrize("profile", [TECHNICAL, BASE, DONATED], ids=lambda profile: profile.id)
def test_good_camera_is_admitted_under_every_shipped_profile(profile) -> None:
    """A camera that meets everything is ADMITTED, and nothing is left open but what is on probation."""
    result = check(camera(), profile)

    assert result.decision is Decision.ADMITTED
    assert result.because == ()
    assert {f.verdict for f in result.findings} <= {Verdict.PASS, Verdict.NOT_CHECKED}
    assert all(f.reason is Reason.PROBATION for f in result.findings if f.verdict is Verdict.NOT_CHECKED)


def test_rtsp_only_camera_is_conditional_because_onvif_was_not_seen() -> None:
    """A camera known by RTSP alone is CONDITIONAL, first for CON-02; ONVIF-only rules do not apply to it."""
    result = check(rtsp_only())

    assert result.decision is Decision.CONDITIONAL
    assert first(result) == "CON-02"
    assert result.because[0].reason is Reason.NOT_ASKED
    assert result.finding("SEC-02").verdict is Verdict.NOT_APPLICABLE
    assert "onvif://" in result.because[0].text("en")
    assert "onvif://" in result.because[0].text("vi")


def test_open_camera_is_rejected_for_sec_01() -> None:
    """A camera that answers anyone is REJECTED, first for the open picture."""
    result = check(
        camera(
            {
                "rtsp.anonymous_describe": "answered",
                "snapshot.anonymous": "answered",
                "onvif.anonymous_read_system": "answered",
                "onvif.anonymous_read_media": "answered",
                "credential.supplied": False,
                "credential.factory_default": missed(Reason.NO_CREDENTIAL),
            }
        )
    )

    assert result.decision is Decision.REJECTED
    assert first(result) == "SEC-01"
    assert result.finding("SEC-03").verdict is Verdict.NOT_CHECKED


def test_small_picture_is_conditional_and_names_both_sizes() -> None:
    """A 640x360 picture is CONDITIONAL for VQ-01; the text names what was measured and what is asked."""
    result = check(
        camera(
            {
                "stream.main.width": 640,
                "stream.main.height": 360,
                "stream.main.claimed_width": 640,
                "stream.main.claimed_height": 360,
            }
        )
    )

    assert (result.decision, first(result)) == (Decision.CONDITIONAL, "VQ-01")
    finding = result.because[0].as_json()
    assert finding["observed"] == "640x360"
    assert finding["required_text"]["vi"] == "từ 1280x720 trở lên"
    assert "640x360" in finding["text"]["en"]
    assert finding["reason"].startswith("observed 640x360; required")


@pytest.mark.parametrize(
    ("offset", "english", "vietnamese"),
    [(421.2, "421 s fast", "nhanh 421 giây"), (-30.0, "30 s slow", "chậm 30 giây")],
)
def test_wrong_clock_is_named_in_seconds_and_direction(offset: float, english: str, vietnamese: str) -> None:
    """A wrong clock is CONDITIONAL for TIM-02, first, with the offset in seconds and its direction."""
    result = check(
        camera(
            {"time.offset_s": offset, "time.source": "Manual", "stream.main.sender_report_offset_s": offset}
        )
    )

    assert (result.decision, first(result)) == (Decision.CONDITIONAL, "TIM-02")
    assert english in result.because[0].text("en")
    assert vietnamese in result.because[0].text("vi")


def test_h265_is_admitted_and_says_that_it_needs_a_transcode() -> None:
    """An H.265 camera is ADMITTED; STR-06 passes and notes the transcode."""
    result = check(
        camera({"stream.main.codec": "H265", "onvif.encodings": ["H265"], "stream.main.relay": "transcode"})
    )

    assert result.decision is Decision.ADMITTED
    assert result.finding("STR-06").verdict is Verdict.PASS
    assert "transcode" in result.finding("STR-06").text("en")
    assert "chuyển mã" in result.finding("STR-06").text("vi")


def test_mjpeg_camera_is_rejected_for_str_01() -> None:
    """A camera with JPEG MediaProfiles only is REJECTED, first for STR-01."""
    result = check(camera({"onvif.encodings": ["JPEG"], "stream.main.codec": "JPEG"}))

    assert (result.decision, first(result)) == (Decision.REJECTED, "STR-01")
    assert "JPEG" in result.because[0].text("en")


@pytest.mark.parametrize("filled", [True, False], ids=["all timed out", "rest never asked"])
def test_dead_camera_is_pending_and_names_the_step(filled: bool) -> None:
    """A camera that answers nothing is PENDING, first for CON-01, whose text names the step that timed out."""
    detail = "GetSystemDateAndTime of 127.0.0.1:8080: no answer in 4.0 s"
    facts = {"reach.answers", "reach.slowest_s"}
    if filled:
        facts |= {fact for rule in TECHNICAL.rules for fact in rule.facts if not fact.startswith("target.")}
    asked = camera({}).get("target.interfaces")
    assert asked is not None
    silent = {fact: missed(Reason.TIMED_OUT, detail) for fact in facts}
    result = check(Observations({**silent, "target.interfaces": asked}))

    assert (result.decision, first(result)) == (Decision.PENDING, "CON-01")
    assert result.because[0].verdict is Verdict.ERROR
    assert "GetSystemDateAndTime" in result.because[0].text("en")
    assert "không trả lời bước GetSystemDateAndTime trong 4,0 giây" in result.because[0].text("vi")


def test_nothing_observed_is_pending() -> None:
    """A camera of which nothing was observed is PENDING under every profile, and nothing is NOT_APPLICABLE."""
    for profile in (TECHNICAL, BASE, DONATED):
        result = check(Observations(), profile)
        assert result.decision is Decision.PENDING
        assert result.counts["NOT_APPLICABLE"] == result.counts["PASS"] == result.counts["FAIL"] == 0


@pytest.mark.parametrize(
    ("reason", "verdict"),
    [
        (Reason.DENIED_BY_DEVICE, Verdict.FAIL),
        (Reason.TIMED_OUT, Verdict.ERROR),
        (Reason.UNSTABLE, Verdict.INCONCLUSIVE),
        (Reason.NO_PRIVILEGE, Verdict.NOT_CHECKED),
    ],
)
def test_the_reason_of_an_absence_decides_the_verdict(reason: Reason, verdict: Verdict) -> None:
    """An absence leads to the verdict of its reason and keeps that reason."""
    finding = check(camera({"time.utc_present": missed(reason)})).finding("TIM-01")

    assert (finding.verdict, finding.reason) == (verdict, reason)


def test_every_finding_but_pass_has_a_reason() -> None:
    """Whatever is taken away, every finding that is not PASS says why, in both languages."""
    for observations in (camera(), rtsp_only(), Observations(), camera({"time.offset_s": 99})):
        for profile in (TECHNICAL, DONATED):
            for finding in check(observations, profile).findings:
                told = finding.as_json()
                assert (told["reason"] is None) == (finding.verdict is Verdict.PASS), told
                assert all(told["text"].values())
                assert "{" not in told["text"]["vi"] + told["text"]["en"]


def test_a_value_of_the_wrong_kind_costs_one_rule() -> None:
    """A fact of the wrong kind makes its rules ERROR(internal) and leaves the others alone."""
    result = check(camera({"time.offset_s": "soon"}))

    assert result.finding("TIM-02").verdict is Verdict.ERROR
    assert result.finding("TIM-02").reason is Reason.INTERNAL
    assert result.finding("TIM-01").verdict is Verdict.PASS


def test_a_measurement_without_its_samples_is_inconclusive() -> None:
    """A frame rate over too short a window is neither PASS nor FAIL."""
    for fps in (25.0, 1.0):
        finding = check(camera({"stream.main.window_s": 1.0, "stream.main.fps": fps})).finding("VQ-02")
        assert (finding.verdict, finding.reason) == (Verdict.INCONCLUSIVE, Reason.TOO_FEW_SAMPLES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_decides_nothing(value: float) -> None:
    """NaN and infinity are INCONCLUSIVE(out_of_range), and the assessment still has its byte form."""
    result = check(camera({"stream.main.fps": value}))

    assert result.finding("VQ-02").reason is Reason.OUT_OF_RANGE
    assert result.canonical()


def test_over_time_rules_are_on_probation_for_thirty_days() -> None:
    """Up-time lowers nothing in the first 30 days, whatever was measured, and counts from then on."""
    bad = camera({"uptime.ratio_30d": 0.5})

    young = check(bad, BASE, enrolled_at=NOW - timedelta(days=29))
    old = check(bad, BASE, enrolled_at=NOW - timedelta(days=31))

    assert young.decision is Decision.ADMITTED
    assert young.finding("CON-07").reason is Reason.PROBATION
    assert (old.decision, first(old)) == (Decision.CONDITIONAL, "CON-07")


def test_donated_camera_without_consent_is_pending() -> None:
    """No consent is not a fault of the camera: PENDING with NO_CONSENT; an authority's camera needs none."""
    missing = check(camera({"consent.state": "missing", "consent.signed": False}), BASE)
    authority = check(camera({"custodian.kind": "authority", "consent.state": "not_needed"}), BASE)

    assert (missing.decision, first(missing)) == (Decision.PENDING, "PRV-01")
    assert missing.because[0].reason is Reason.NO_CONSENT
    assert authority.decision is Decision.ADMITTED
    assert authority.finding("PRV-01").verdict is Verdict.NOT_APPLICABLE


def waiver(rule: str, **changed) -> Waiver:
    told = {
        "rule": rule,
        "justification": "the street is lit by a lamp until the camera is replaced",
        "authority": "Ward people's committee",
        "created": NOW - timedelta(days=1),
        "expires": NOW + timedelta(days=90),
    }
    return Waiver(**{**told, **changed})


def test_a_waiver_changes_the_decision_and_never_the_verdict() -> None:
    """A waived major FAIL stays FAIL, with its overlay, and no longer lowers the decision."""
    result = check(camera({"stream.main.width": 640}), waivers=[waiver("VQ-01"), waiver("VQ-03")])

    finding = result.finding("VQ-01")
    assert (finding.verdict, finding.overlays) == (Verdict.FAIL, (Overlay.WAIVED,))
    assert result.decision is Decision.ADMITTED
    assert {one.rule for one in result.waivers} == {"VQ-01", "VQ-03"}


def test_an_expired_waiver_is_none() -> None:
    """After its expiry a waiver has no effect."""
    past = waiver("VQ-01", created=NOW - timedelta(days=100), expires=NOW)

    assert check(camera({"stream.main.width": 640}), waivers=[past]).decision is Decision.CONDITIONAL


def test_consent_cannot_be_waived() -> None:
    """PRV-01 is not waivable: the waiver has no effect."""
    result = check(camera({"consent.state": "withdrawn"}), BASE, waivers=[waiver("PRV-01")])

    assert result.decision is Decision.REJECTED
    assert result.waivers == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"justification": " "},
        {"authority": ""},
        {"expires": NOW + timedelta(days=200)},
        {"expires": NOW - timedelta(days=2)},
        {"expires": datetime(2026, 12, 1)},  # noqa: DTZ001  a naive date is the point
    ],
    ids=["no ground", "no authority", "too long", "ends before it begins", "no time zone"],
)
def test_a_waiver_without_ground_authority_or_end_is_refused(wrong) -> None:
    """A waiver needs a ground, an authority and an end within 180 days."""
    with pytest.raises(WaiverRefused):
        waiver("VQ-01", **wrong)


def test_attestations_are_shown_and_lapse() -> None:
    """A declaration behind a rule is shown as an overlay; once it lapsed the rule is NOT_CHECKED."""
    told = Attestation(
        "PRV-04", "Nguyễn Văn A", "installer", NOW - timedelta(days=10), NOW + timedelta(days=10)
    )
    lapsed = Attestation(
        "PRV-04", "Nguyễn Văn A", "installer", NOW - timedelta(days=99), NOW - timedelta(days=1)
    )

    assert check(camera(), DONATED, attestations=[told]).finding("PRV-04").overlays == (Overlay.ATTESTED,)
    late = check(camera(), DONATED, attestations=[lapsed]).finding("PRV-04")
    assert (late.verdict, late.reason) == (Verdict.NOT_CHECKED, Reason.NO_DECLARATION)


def test_old_observations_are_marked_stale() -> None:
    """An observation older than the rule's maximum age is marked; the verdict stays."""
    finding = assess(camera(), TECHNICAL, as_of=NOW + timedelta(hours=25)).finding("TIM-02")

    assert (finding.verdict, finding.overlays) == (Verdict.PASS, (Overlay.STALE,))


def test_same_inputs_give_the_same_bytes() -> None:
    """Assessing twice, with the observations in any order, gives one byte form."""
    observations = camera({"time.offset_s": 421.0})
    shuffled = Observations(dict(reversed(list(observations.items()))))

    assert check(observations).canonical() == check(shuffled).canonical()


def test_counts_add_up_and_repairs_have_a_worth() -> None:
    """The six counts add up to all rules, and the decision without a rule says what its repair earns."""
    result = check(camera({"stream.main.width": 640, "rtsp.anonymous_describe": "answered"}))

    assert sum(result.counts.values()) == len(result.findings) == len(TECHNICAL.rules)
    assert result.decision is Decision.REJECTED
    assert result.decision_without({"SEC-01"}) is Decision.CONDITIONAL
    assert result.decision_without({"SEC-01", "VQ-01"}) is Decision.ADMITTED


def test_a_rule_that_breaks_costs_that_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of ours inside one rule is ERROR(internal) there; the assessment goes on."""
    import standards.assess as module

    whole = module.judge

    def broken(rule, observations):
        if rule.id == "TIM-01":
            raise ZeroDivisionError
        return whole(rule, observations)

    monkeypatch.setattr(module, "judge", broken)
    result = check(camera())

    assert (result.finding("TIM-01").verdict, result.finding("TIM-01").reason) == (
        Verdict.ERROR,
        Reason.INTERNAL,
    )
    assert result.counts["PASS"] == len(TECHNICAL.rules) - 1


def test_a_remedy_may_belong_to_a_sentence() -> None:
    """Where only closing goes unanswered, nobody is told to mend the account; where the stream does not open, they are."""
    closing = check(camera({"rtsp.runs_ok": 0, "rtsp.quirks": ("teardown_unanswered",)}))
    opening = check(camera({"rtsp.runs_ok": 0, "rtsp.quirks": ()}))

    only = closing.finding("STR-03")
    assert only.verdict is Verdict.FAIL
    assert "TEARDOWN" in only.text("en")
    assert only.remedy("owner", "en").startswith("Update the camera's firmware")
    assert only.remedy("owner", "vi").startswith("Cập nhật phần mềm")
    assert opening.finding("STR-03").remedy("owner", "en").startswith("Switch RTSP on")


def test_a_device_that_denies_is_quoted_and_no_value_is_made_up() -> None:
    """FAIL by the device's own word says that word; the rule's sentence about a value is left out."""
    denied = missed(Reason.DENIED_BY_DEVICE, "ONVIF device GetServices: the device lists no search service")
    found = check(camera({"recording.days_kept": denied}), packaged().profile("vn-municipal-2026")).finding(
        "REC-02"
    )

    assert found.verdict is Verdict.FAIL
    assert "no search service" in found.text("en")
    assert "–" not in found.text("en") + found.text("vi")
    assert "không có dịch vụ search" in found.text("vi")
