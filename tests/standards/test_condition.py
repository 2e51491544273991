"""Conditions: each operator, three outcomes, and what an absence does to them."""

import pytest
from observed_cameras import camera, missed, seen

from standards.condition import Condition, Op, Scope, State, evaluate
from standards.observation import freeze
from standards.reason import Reason


def outcome(op: str, observed: object, value: object = None, **more: object) -> State:
    scope = Scope({"time.offset_s": seen(observed)}, {})
    condition = Condition(Op(op), "time.offset_s", value=freeze(value), **more)  # type: ignore[arg-type]
    return evaluate(condition, scope).state


@pytest.mark.parametrize(
    ("op", "observed", "value", "expected"),
    [
        ("eq", 5, 5, True),
        ("eq", True, 1, False),
        ("eq", "5", 5, False),
        ("ne", "NTP", "Manual", True),
        ("lt", 4.9, 5, True),
        ("lt", 5, 5, False),
        ("lte", 5, 5, True),
        ("gt", 5, 5, False),
        ("gte", 5, 5, True),
        ("in", "H264", ["H264", "H265"], True),
        ("not_in", "JPEG", ["H264", "H265"], True),
        ("contains", ["onvif", "rtsp"], "onvif", True),
        ("contains", "digest-md5", "digest", True),
        ("contains", ["rtsp"], "onvif", False),
        ("subset", ["a"], ["a", "b"], True),
        ("subset", ["a", "c"], ["a", "b"], False),
        ("matches", "image/jpeg; x", "^image/jpe?g", True),
        ("matches", "text/html", "^image/", False),
        ("exists", "x", None, True),
        ("exists", "  ", None, False),
        ("exists", [], None, False),
        ("exists", 0, None, True),
        ("between", 5, [1, 5], True),
        ("between", 6, [1, 5], False),
    ],
)
def test_operators(op: str, observed: object, value: object, expected: bool) -> None:
    """Each operator of the closed list says what its name says."""
    assert outcome(op, observed, value) is (State.TRUE if expected else State.FALSE)


@pytest.mark.parametrize(
    ("op", "observed", "value"),
    [
        ("lt", "4", 5),
        ("lte", True, 5),
        ("gte", None, 5),
        ("matches", 5, "x"),
        ("contains", 5, 5),
        ("between", "x", [1, 2]),
    ],
)
def test_a_value_of_the_wrong_kind_is_not_known(op: str, observed: object, value: object) -> None:
    """A device's value of the wrong kind makes the comparison not-known, not false and not an exception."""
    assert outcome(op, observed, value) is State.UNKNOWN


def test_tolerance_widens_and_absolute_drops_the_sign() -> None:
    """A tolerance is a share of the right side; absolute compares the distance from zero."""
    assert outcome("gte", 14.3, 15, tolerance=0.05) is State.TRUE
    assert outcome("gte", 14.2, 15, tolerance=0.05) is State.FALSE
    assert outcome("eq", 27, 25, tolerance=0.10) is State.TRUE
    assert outcome("lte", -421.0, 5, absolute=True) is State.FALSE


def leaf(fact: str, value: object) -> Condition:
    return Condition(Op.EQ, fact, value=freeze(value))


def test_any_and_all_join_as_kleene_does() -> None:
    """One true decides any, one false decides all; else what is not known stays not known."""
    scope = Scope(camera(without=("time.source",)), {})
    true, false, unknown = (
        leaf("time.utc_present", True),
        leaf("time.utc_present", False),
        leaf("time.source", "NTP"),
    )
    table = {
        (Op.ANY, (false, unknown)): State.UNKNOWN,
        (Op.ANY, (unknown, true)): State.TRUE,
        (Op.ANY, (false, false)): State.FALSE,
        (Op.ALL, (true, unknown)): State.UNKNOWN,
        (Op.ALL, (unknown, false)): State.FALSE,
        (Op.ALL, (true, true)): State.TRUE,
    }
    for (op, parts), state in table.items():
        assert evaluate(Condition(op, of=parts), scope).state is state


def test_ranges_look_at_each_element_or_its_field() -> None:
    """any and all over a list look at its elements, or at a field of them; an empty list has no any and every all."""
    scope = Scope(
        {
            "onvif.media_profiles": seen(
                [{"encoding": "JPEG", "width": 640}, {"encoding": "H264", "width": 1280}]
            ),
            "onvif.encodings": seen([]),
        },
        {"codecs": ("H264",)},
    )
    h264 = Condition(Op.IN, item="encoding", param="codecs")
    assert evaluate(Condition(Op.ANY, "onvif.media_profiles", of=(h264,)), scope).state is State.TRUE
    assert evaluate(Condition(Op.ALL, "onvif.media_profiles", of=(h264,)), scope).state is State.FALSE
    basic = Condition(Op.NE, value="basic")
    assert evaluate(Condition(Op.ANY, "onvif.encodings", of=(basic,)), scope).state is State.FALSE
    assert evaluate(Condition(Op.ALL, "onvif.encodings", of=(basic,)), scope).state is State.TRUE


def test_a_list_without_end_is_not_walked() -> None:
    """A list longer than any device needs is out of range."""
    scope = Scope({"onvif.encodings": seen(["H264"] * 5000)}, {})

    found = evaluate(Condition(Op.ALL, "onvif.encodings", of=(Condition(Op.EQ, value="H264"),)), scope)

    assert (found.state, found.reason) == (State.UNKNOWN, Reason.OUT_OF_RANGE)


def test_absences_keep_their_reason_and_the_most_telling_is_told() -> None:
    """A missing fact is NOT_ASKED; of several absences a contradiction comes first, then a break."""
    scope = Scope(
        {"time.source": missed(Reason.TIMED_OUT, "late"), "rtsp.runs_ok": missed(Reason.UNSTABLE)}, {}
    )
    parts = (leaf("device.model", "x"), leaf("time.source", "NTP"), leaf("rtsp.runs_ok", 3))

    assert evaluate(parts[0], scope).reason is Reason.NOT_ASKED
    assert evaluate(Condition(Op.ALL, of=parts), scope).reason is Reason.UNSTABLE
    assert evaluate(Condition(Op.ALL, of=parts[:2]), scope).reason is Reason.TIMED_OUT


def test_what_the_device_denies_is_false_with_its_reason() -> None:
    """A feature that the device says it lacks is observed evidence: false, not unknown."""
    scope = Scope({"time.source": missed(Reason.DENIED_BY_DEVICE)}, {})

    found = evaluate(leaf("time.source", "NTP"), scope)

    assert (found.state, found.reason) == (State.FALSE, Reason.DENIED_BY_DEVICE)
