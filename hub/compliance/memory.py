"""What the hub remembers of a camera from run to run, and the facts that follow from it. Pure.

A memory is small (about 1 kB) and is all that the rules over time need: a few clock readings, the endpoint references
that were read, the sharpness at commissioning, the last picture by day and by night, the longest watched pull. No
picture and no secret is in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from statistics import median
from typing import Any

from standards.observation import (
    Method,
    NotObserved,
    Observation,
    Observed,
    Provenance,
    Value,
    freeze,
    parse_rfc3339,
    rfc3339,
    thaw,
)
from standards.reason import Reason

SOURCE = "hub/1"
DRIFT_NEEDS = timedelta(hours=24)  # TIM-04: two offsets 24 h apart
DRIFT_KEEPS = timedelta(days=8)
CLOCK_APART = timedelta(hours=1)  # readings closer together replace each other
CLOCK_READINGS = 12
IDENTITY_NEEDS = timedelta(minutes=10)  # ID-02
REFERENCES = 4
BASELINE_RUNS = 3  # VQ-07: the baseline is the median of so many first admitted runs
NIGHT = (19, 5)  # local hours: after dusk and before dawn in every month in Vietnam
PICTURE_KEEPS = timedelta(days=30)
SOAK_KEEPS = timedelta(days=30)
SOAK_ENOUGH_MIN = 60.0  # STR-12
ADMITTED = frozenset({"ADMITTED", "CONDITIONAL"})
VIETNAM = timezone(timedelta(hours=7))

# What `hub.compliance.drift` compares with the next run: the last value that was seen, whichever run saw it.
COMPARED = (
    "device.manufacturer",
    "device.model",
    "device.firmware",
    "device.serial",
    "device.mac",
    "device.endpoint_reference",
    "stream.main.codec",
    "stream.main.width",
    "stream.main.height",
    "stream.main.key_frame_interval_s",
    "stream.main.claimed_gov_length",
    "stream.main.fps",
    "time.offset_s",
    "time.source",
    "tls.fingerprint",
    "rtsps.fingerprint",
    "rtsp.anonymous_describe",
    "snapshot.anonymous",
    "onvif.anonymous_read_system",
    "onvif.anonymous_read_media",
    "account.anonymous_allowed",
    "account.password_status",
    "credential.factory_default",
    "account.levels",
    "service.ports",
    "service.telnet",
    "service.ssh",
    "service.p2p",
    "service.upnp",
    "stream.encrypted",
    "lan.open_debug_ports",
    "lan.unexplained_ports",
    "exposure.open_ports",
    "firmware.flaws",
)


@dataclass(frozen=True, slots=True)
class Reading:
    """One value with the moment at which it was read."""

    at: datetime
    value: Any


@dataclass(frozen=True, slots=True)
class Picture:
    """The numbers of the pictures of one run; no picture."""

    at: datetime
    mean: float
    deviation: float


@dataclass(frozen=True, slots=True)
class Soak:
    """The longest pull that was watched: minutes, and interruptions in it."""

    at: datetime
    minutes: float
    drops: int


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it. `seen` holds the values that the next run is compared with."""

    clock: tuple[Reading, ...] = ()
    references: tuple[Reading, ...] = ()
    sharpness: tuple[float, ...] = ()  # of the first admitted runs
    sharpness_width: int = 0  # px of the pictures they were measured on
    sharpness_now: Reading | None = None
    night: Picture | None = None
    day: Picture | None = None
    soak: Soak | None = None
    seen: Mapping[str, Value] = field(default_factory=dict)
    quiet: tuple[str, ...] = ()  # the last assessment that changed nothing, and its month

    def after(
        self, observations: Mapping[str, Observation], now: datetime, *, admitted: bool = False
    ) -> "Memory":
        """Return the memory after a run. `admitted`: its pictures may serve as the baseline."""
        return replace(
            self._with_clock(observations)
            ._with_reference(observations)
            ._with_picture(observations, now, admitted),
            seen={**self.seen, **compared(observations)},
        )

    def with_pull(self, minutes: float, drops: int, now: datetime) -> "Memory":
        """Return the memory after a pull of the relay ended: the newest of an hour or more, else the longest of 30 days."""
        known = self.soak
        shorter = (
            known is not None
            and now - known.at < SOAK_KEEPS
            and minutes < min(known.minutes, SOAK_ENOUGH_MIN)
        )
        return self if shorter else replace(self, soak=Soak(now, round(minutes, 1), drops))

    def facts(self, now: datetime) -> dict[str, Observation]:
        """Return the facts over time, each with its reason where it is not known yet."""
        return {
            **self._clock_facts(now),
            **self._identity_facts(now),
            **self._picture_facts(now),
            **self._soak(now),
        }

    # --- clock (TIM-04)

    def _with_clock(self, observations: Mapping[str, Observation]) -> "Memory":
        one = observations.get("time.offset_s")
        if not isinstance(one, Observed) or not isinstance(one.value, int | float):
            return self
        at = one.provenance.collected_at
        if self.clock and self.clock[-1].at >= at:
            return self
        kept = [reading for reading in self.clock if at - reading.at <= DRIFT_KEEPS]
        if len(kept) > 1 and at - kept[-2].at < CLOCK_APART:
            kept.pop()
        return replace(self, clock=(*kept, Reading(at, round(float(one.value), 3)))[-CLOCK_READINGS:])

    def _clock_facts(self, now: datetime) -> dict[str, Observation]:
        name = "time.drift_s_per_day"
        if not self.clock:
            return {}
        last = self.clock[-1]
        before = [reading for reading in self.clock if last.at - reading.at >= DRIFT_NEEDS]
        if not before:
            return {name: _too_few("one day between two readings of the clock is needed", last.at)}
        first = before[-1]
        days = (last.at - first.at) / timedelta(days=1)
        return {
            name: _known(
                round((last.value - first.value) / days, 3), "two clock offsets a day apart", last.at
            )
        }

    # --- identity (ID-02)

    def _with_reference(self, observations: Mapping[str, Observation]) -> "Memory":
        one = observations.get("device.endpoint_reference")
        if not isinstance(one, Observed) or not isinstance(one.value, str) or not one.value:
            return self
        read = Reading(one.provenance.collected_at, one.value[:200])
        if self.references and self.references[-1].at >= read.at:
            return self
        # the oldest reading of the last value is the one that a later reading is held against
        same = bool(self.references) and self.references[-1].value == read.value
        if same and len(self.references) > 1 and self.references[-2].value == read.value:
            return replace(self, references=(*self.references[:-1], read))
        return replace(self, references=(*self.references, read)[-REFERENCES:])

    def _identity_facts(self, now: datetime) -> dict[str, Observation]:
        name = "device.endpoint_reference_stable"
        if not self.references:
            return {}
        last = self.references[-1]
        operation = "two reads of the endpoint reference, 10 minutes apart"
        for one, next_one in pairwise(self.references):
            if one.value != next_one.value and now - next_one.at < DRIFT_KEEPS:
                return {name: _known(False, operation, last.at)}
        if any(
            last.at - one.at >= IDENTITY_NEEDS and one.value == last.value for one in self.references[:-1]
        ):
            return {name: _known(True, operation, last.at)}
        return {name: _too_few("a second read, 10 minutes after the first, is needed", last.at)}

    # --- pictures (VQ-07, VQ-08)

    def _with_picture(
        self, observations: Mapping[str, Observation], now: datetime, admitted: bool
    ) -> "Memory":
        mean = _number(observations, "picture.main.luma_mean")
        deviation = _number(observations, "picture.main.luma_deviation")
        sharp, width = (
            _number(observations, "picture.main.sharpness"),
            _number(observations, "picture.main.width"),
        )
        if mean is None or deviation is None:
            return self
        if is_night(now):
            return replace(self, night=Picture(now, round(mean, 1), round(deviation, 1)))
        by_day = replace(self, day=Picture(now, round(mean, 1), round(deviation, 1)))
        if sharp is None or width is None:
            return by_day
        memory = replace(by_day, sharpness_now=Reading(now, round(sharp, 2)))
        if memory.sharpness_width != int(
            width
        ):  # another resolution is another scale: the baseline begins anew
            memory = replace(memory, sharpness=(), sharpness_width=int(width))
        if admitted and sharp > 0 and len(memory.sharpness) < BASELINE_RUNS:
            memory = replace(memory, sharpness=(*memory.sharpness, round(sharp, 2)))
        return memory

    def _picture_facts(self, now: datetime) -> dict[str, Observation]:
        facts: dict[str, Observation] = {}
        if self.night is not None and now - self.night.at < PICTURE_KEEPS:
            facts["night.luma_mean"] = _known(self.night.mean, "pictures of a run at night", self.night.at)
            facts["night.luma_deviation"] = _known(
                self.night.deviation, "pictures of a run at night", self.night.at
            )
        elif self.seen:
            for name in ("night.luma_mean", "night.luma_deviation"):
                facts[name] = _absent(Reason.WINDOW, "no run between dusk and dawn saw a picture", now)
        if self.day is not None and now - self.day.at < PICTURE_KEEPS:
            facts["day.luma_mean"] = _known(self.day.mean, "pictures of a run by day", self.day.at)
            facts["day.luma_deviation"] = _known(self.day.deviation, "pictures of a run by day", self.day.at)
        if self.sharpness_now is not None:
            at = self.sharpness_now.at
            if len(self.sharpness) < BASELINE_RUNS:
                facts["view.sharpness_ratio"] = _too_few(
                    f"the baseline is the median of the first {BASELINE_RUNS} admitted runs by day", at
                )
            else:
                ratio = self.sharpness_now.value / median(self.sharpness)
                facts["view.sharpness_ratio"] = _known(round(ratio, 3), "sharpness against the baseline", at)
        return facts

    # --- pulls of the relay (STR-12)

    def _soak(self, now: datetime) -> dict[str, Observation]:
        if self.soak is None or now - self.soak.at >= SOAK_KEEPS:
            return {}
        operation = "longest pull of the relay in 30 days"
        return {
            "stream.soak_minutes": _known(self.soak.minutes, operation, self.soak.at),
            "stream.soak_drops": _known(self.soak.drops, operation, self.soak.at),
        }

    # --- as kept

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON."""
        return {
            "clock": [[rfc3339(one.at), one.value] for one in self.clock],
            "references": [[rfc3339(one.at), one.value] for one in self.references],
            "sharpness": list(self.sharpness),
            "sharpness_width": self.sharpness_width,
            "sharpness_now": [rfc3339(self.sharpness_now.at), self.sharpness_now.value]
            if self.sharpness_now
            else None,
            "night": [rfc3339(self.night.at), self.night.mean, self.night.deviation] if self.night else None,
            "day": [rfc3339(self.day.at), self.day.mean, self.day.deviation] if self.day else None,
            "soak": [rfc3339(self.soak.at), self.soak.minutes, self.soak.drops] if self.soak else None,
            "quiet": list(self.quiet),
            "seen": {name: thaw(value) for name, value in self.seen.items()},
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Memory":
        """Read what `as_json` wrote."""
        now, night, soak = data.get("sharpness_now"), data.get("night"), data.get("soak")
        day = data.get("day")
        return cls(
            clock=tuple(Reading(parse_rfc3339(at), value) for at, value in data.get("clock", ())),
            references=tuple(Reading(parse_rfc3339(at), value) for at, value in data.get("references", ())),
            sharpness=tuple(float(value) for value in data.get("sharpness", ())),
            sharpness_width=int(data.get("sharpness_width", 0)),
            sharpness_now=Reading(parse_rfc3339(now[0]), float(now[1])) if now else None,
            night=Picture(parse_rfc3339(night[0]), float(night[1]), float(night[2])) if night else None,
            day=Picture(parse_rfc3339(day[0]), float(day[1]), float(day[2])) if day else None,
            soak=Soak(parse_rfc3339(soak[0]), float(soak[1]), int(soak[2])) if soak else None,
            quiet=tuple(str(one) for one in data.get("quiet", ())),
            seen={name: freeze(value) for name, value in data.get("seen", {}).items()},
        )


def is_night(moment: datetime) -> bool:
    """Tell whether it is dark outside in Vietnam."""
    hour = moment.astimezone(VIETNAM).hour
    return hour >= NIGHT[0] or hour < NIGHT[1]


def compared(observations: Mapping[str, Observation]) -> dict[str, Value]:
    """Return the values that are held against those of another run."""
    found: dict[str, Value] = {}
    for name in COMPARED:
        one = observations.get(name)
        if isinstance(one, Observed) and one.value is not None:
            found[name] = one.value[:200] if isinstance(one.value, str) else one.value
    return found


def _number(observations: Mapping[str, Observation], fact: str) -> float | None:
    one = observations.get(fact)
    if isinstance(one, Observed) and isinstance(one.value, int | float) and not isinstance(one.value, bool):
        return float(one.value)
    return None


def _told(operation: str, at: datetime) -> Provenance:
    return Provenance(Method.EXAMINE, SOURCE, operation, "hub", at.astimezone(UTC))


def _known(value: Value, operation: str, at: datetime) -> Observed:
    return Observed(value, _told(operation, at))


def _too_few(detail: str, at: datetime) -> NotObserved:
    return _absent(Reason.TOO_FEW_SAMPLES, detail, at)


def _absent(reason: Reason, detail: str, at: datetime) -> NotObserved:
    return NotObserved(reason, detail, _told("memory of the camera", at))
