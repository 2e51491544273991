"""Drift: nothing where nothing changed, one sentence in both languages where something did."""

from datetime import timedelta

import pytest
from hub_world import START
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hub.compliance.alerts import sentence
from hub.compliance.drift import KINDS, SEVERITIES, compare
from hub.compliance.memory import COMPARED, Memory, compared
from hub.texts import Texts
from standards.observation import Method, NotObserved, Observations, Observed, Provenance, freeze
from standards.reason import Reason

TEXTS = Texts.installed()
scalars = st.one_of(st.none(), st.booleans(), st.integers(-5, 5000), st.floats(-9, 9), st.text(max_size=8))
values = st.dictionaries(
    st.sampled_from(COMPARED), st.one_of(scalars, st.lists(scalars, max_size=3).map(tuple))
)
TOLD = Provenance(Method.TEST, "test/1", "test", "10.0.0.1:80", START)


SLOW = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=50)


@SLOW
@given(seen=values)
def test_identical_runs_show_no_drift(seen: dict[str, object]) -> None:
    """A run that sees the same as the one before, or nothing at all, is silent, whatever the values are."""
    kept = Memory().after(Observations({fact: Observed(value, TOLD) for fact, value in seen.items()}), START)
    again = Memory.from_json(kept.as_json())
    assert compare(again.seen, kept.seen) == ()
    unseen = Observations({fact: NotObserved(Reason.TIMED_OUT, "", TOLD) for fact in seen})
    assert compare(kept.seen, compared(unseen)) == ()
    assert kept.after(unseen, START + timedelta(days=1)).seen == kept.seen


@SLOW
@given(before=values, after=values)
def test_any_two_runs_are_told_in_known_words(before: dict[str, object], after: dict[str, object]) -> None:
    """Whatever a camera says, comparing does not break, and each change has its sentence in both languages."""
    for change in compare(freeze(before), freeze(after)):
        assert change.kind in KINDS
        assert change.severity in SEVERITIES
        said = sentence(change.kind, change.params, TEXTS)
        assert "?" not in said["vi"] + said["en"] or "?" in str(dict(change.params))


@pytest.mark.parametrize(
    ("fact", "before", "after", "kind", "severity"),
    [
        ("device.serial", "ABC123", "XYZ789", "device", "critical"),
        ("device.firmware", "V5.4.1", "V5.7.0", "firmware", "info"),
        ("stream.main.codec", "H264", "H265", "codec", "warning"),
        ("stream.main.key_frame_interval_s", 2.0, 8.0, "gop", "warning"),
        ("stream.main.fps", 25.0, 10.0, "fps", "warning"),
        ("time.offset_s", 0.4, -90.0, "clock", "warning"),
        ("time.source", "NTP", "Manual", "ntp", "warning"),
        ("tls.fingerprint", "aa" * 32, "bb" * 32, "certificate", "warning"),
        ("rtsp.anonymous_describe", "refused", "answered", "open", "critical"),
        ("account.levels", ("administrator",), ("administrator", "operator"), "account", "warning"),
        ("account.levels", ("user",), ("user", "administrator"), "administrator", "critical"),
        ("service.telnet", False, True, "service", "warning"),
        ("lan.open_debug_ports", (), (23,), "debug_ports", "critical"),
        ("account.password_status", "ok", "default", "default_password", "critical"),
    ],
)
def test_each_kind_of_change(fact: str, before: object, after: object, kind: str, severity: str) -> None:
    """Each change is known by its fact, and the way back of what got worse is not the same alarm."""
    (change,) = compare({fact: freeze(before)}, {fact: freeze(after)})
    assert (change.kind, change.severity) == (kind, severity)


def test_another_device_is_told_once() -> None:
    """Another serial number explains another codec and certificate: one alert, not four."""
    before = {
        "device.serial": "ABC123",
        "stream.main.codec": "H264",
        "tls.fingerprint": "aa",
        "device.firmware": "1",
    }
    after = {
        "device.serial": "XYZ789",
        "stream.main.codec": "H265",
        "tls.fingerprint": "bb",
        "device.firmware": "2",
    }
    assert [change.kind for change in compare(before, after)] == ["device"]


def test_every_kind_has_its_sentence() -> None:
    """No kind of change is without words in either language."""
    assert [kind for kind in KINDS if not TEXTS.has(f"drift.{kind}")] == []
