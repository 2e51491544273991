"""What is remembered from run to run, and the facts over time that follow."""

from datetime import datetime, timedelta

from hub_world import START

from hub.compliance.memory import Memory, is_night
from standards.observation import Method, NotObserved, Observations, Observed, Provenance, Value
from standards.reason import Reason

DAY = timedelta(days=1)


def seen(at: datetime, **facts: Value) -> Observations:
    """Return what a run saw at a moment; names with __ for dots."""
    told = Provenance(Method.TEST, "test/1", "test", "10.0.0.1:80", at)
    return Observations({name.replace("__", "."): Observed(value, told) for name, value in facts.items()})


def value(memory: Memory, fact: str, now: datetime) -> object:
    """Return a fact's value, or its reason."""
    one = memory.facts(now)[fact]
    return one.reason if isinstance(one, NotObserved) else one.value


def test_drift_of_the_clock_needs_a_day() -> None:
    """Two offsets a day apart give seconds per day; before that it is not known."""
    memory = Memory().after(seen(START, time__offset_s=0.5), START)
    memory = memory.after(seen(START + DAY / 2, time__offset_s=1.0), START + DAY / 2)
    assert value(memory, "time.drift_s_per_day", START) is Reason.TOO_FEW_SAMPLES
    later = START + 2 * DAY
    memory = memory.after(seen(later, time__offset_s=4.0), later)
    assert value(memory, "time.drift_s_per_day", later) == 2.0


def test_many_checks_of_one_day_do_not_push_out_the_day_before() -> None:
    """Readings of one hour replace each other, so that a day's drift is still known after forty checks."""
    memory, at = Memory().after(seen(START, time__offset_s=0.0), START), START + DAY
    for _ in range(40):
        at += timedelta(minutes=1)
        memory = memory.after(seen(at, time__offset_s=1.0), at)
    assert (
        value(memory, "time.drift_s_per_day", at) == 0.993 or value(memory, "time.drift_s_per_day", at) < 1.0
    )


def test_identity_needs_two_reads_ten_minutes_apart() -> None:
    """One read, or two within ten minutes, settle nothing; the same later is stable, another value is not."""
    memory = Memory().after(seen(START, device__endpoint_reference="urn:uuid:1"), START)
    soon, later = START + timedelta(minutes=5), START + timedelta(minutes=15)
    assert value(memory.after(seen(soon, device__endpoint_reference="urn:uuid:1"), soon), FACT, soon) is (
        Reason.TOO_FEW_SAMPLES
    )
    assert (
        value(memory.after(seen(later, device__endpoint_reference="urn:uuid:1"), later), FACT, later) is True
    )
    assert (
        value(memory.after(seen(later, device__endpoint_reference="urn:uuid:2"), later), FACT, later) is False
    )


FACT = "device.endpoint_reference_stable"


def picture(at: datetime, sharp: float, width: int = 1920) -> Observations:
    """Return the numbers of a run's pictures."""
    return seen(
        at,
        picture__main__luma_mean=100.0,
        picture__main__luma_deviation=40.0,
        picture__main__sharpness=sharp,
        picture__main__width=width,
    )


def test_sharpness_is_held_against_the_first_admitted_runs_by_day() -> None:
    """The baseline is the median of three admitted runs; pictures at night do not enter; another size begins anew."""
    memory, at = Memory(), START
    for sharp in (100.0, 900.0, 120.0):
        memory = memory.after(picture(at, sharp), at, admitted=True)
        at += DAY
    night = at + timedelta(hours=12)
    assert is_night(night)
    memory = memory.after(picture(night, 5.0), night, admitted=True)
    memory = memory.after(picture(at, 60.0), at, admitted=True)
    assert value(memory, "view.sharpness_ratio", at) == 0.5
    assert value(memory, "night.luma_mean", at) == 100.0
    assert memory.day is not None
    assert memory.day.at == at  # the last by day, for checks at night (VQ-06)
    assert value(Memory.from_json(memory.as_json()), "day.luma_mean", night) == 100.0
    other = memory.after(picture(at + DAY, 60.0, width=1280), at + DAY)
    assert value(other, "view.sharpness_ratio", at) is Reason.TOO_FEW_SAMPLES


def test_memory_survives_being_kept() -> None:
    """What is written is read back the same, and stays small."""
    memory = Memory().after(picture(START, 100.0), START, admitted=True).with_pull(90.0, 2, START)
    memory = memory.after(seen(START, time__offset_s=0.25, device__endpoint_reference="urn:x"), START)
    again = Memory.from_json(memory.as_json())
    assert again == memory
    assert value(again, "stream.soak_minutes", START) == 90.0
    assert value(again, "stream.soak_drops", START) == 2
    assert len(str(memory.as_json())) < 2000


def test_a_short_pull_does_not_replace_a_long_one() -> None:
    """The soak is the newest pull of an hour or more; a glance leaves it as it was."""
    memory = Memory().with_pull(120.0, 0, START).with_pull(7.0, 3, START + DAY)
    assert value(memory, "stream.soak_drops", START + DAY) == 0
    assert value(memory.with_pull(61.0, 1, START + DAY), "stream.soak_drops", START + DAY) == 1
