"""Observations: the facts that adapters saw, or the reason why they did not.

An observation is about one named fact (`standards.facts`). It is either `Observed` with a value or
`NotObserved` with a reason from the closed list; there is no third thing and no bare ``None``.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from standards.reason import Reason

# A fact's value: a JSON scalar, a tuple of values, or a mapping of values by name. Immutable throughout.
Scalar = None | bool | int | float | str
Value = Scalar | tuple["Value", ...] | Mapping[str, "Value"]


class Method(StrEnum):
    """How a fact was obtained (OSCAL assessment method)."""

    EXAMINE = "EXAMINE"  # read from what the hub already holds, or from a document
    INTERVIEW = "INTERVIEW"  # declared by a person
    TEST = "TEST"  # seen in the device's behaviour


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an observation comes from. Never holds a secret."""

    method: Method
    source: str  # adapter or hub part, with version: "rtsp/1"
    operation: str  # protocol words: "RTSP DESCRIBE", "ONVIF device GetServices"
    peer: str  # host:port as dialled, or "hub"
    collected_at: datetime  # UTC
    duration_s: float = 0.0
    excerpt: str = ""  # bounded, redacted piece of the reply
    excerpt_sha256: str = ""  # of the redacted excerpt as kept

    def as_json(self) -> dict[str, Any]:
        """Return the provenance as plain JSON values."""
        return {
            "method": str(self.method),
            "source": self.source,
            "operation": self.operation,
            "peer": self.peer,
            "collected_at": rfc3339(self.collected_at),
            "duration_s": round(self.duration_s, 3),
            "excerpt": self.excerpt,
            "excerpt_sha256": self.excerpt_sha256,
        }


@dataclass(frozen=True, slots=True)
class Observed:
    """A fact that was seen."""

    value: Value
    provenance: Provenance


@dataclass(frozen=True, slots=True)
class NotObserved:
    """A fact that was not seen, with the reason and one sentence of detail (English, no secrets)."""

    reason: Reason
    detail: str
    provenance: Provenance


Observation = Observed | NotObserved


@dataclass(frozen=True, slots=True)
class Observations(Mapping[str, Observation]):
    """All observations of one camera from one run, by fact name. Immutable."""

    by_fact: Mapping[str, Observation] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_fact", MappingProxyType(dict(sorted(self.by_fact.items()))))

    def __getitem__(self, fact: str) -> Observation:
        return self.by_fact[fact]

    def __iter__(self) -> Iterator[str]:
        return iter(self.by_fact)

    def __len__(self) -> int:
        return len(self.by_fact)

    def value(self, fact: str, default: Value = None) -> Value:
        """Return the value of an observed fact, else `default` (for display; rules look at the reason)."""
        observation = self.by_fact.get(fact)
        return observation.value if isinstance(observation, Observed) else default

    def merged(self, other: Mapping[str, Observation]) -> "Observations":
        """Return both sets together. A fact observed in either stays observed; else `other` wins."""
        both = dict(self.by_fact)
        for fact, observation in other.items():
            if isinstance(observation, NotObserved) and isinstance(both.get(fact), Observed):
                continue
            both[fact] = observation
        return Observations(both)

    def without(self, *facts: str) -> "Observations":
        """Return these observations with some facts erased."""
        return Observations({k: v for k, v in self.by_fact.items() if k not in facts})

    def as_json(self) -> dict[str, Any]:
        """Return plain JSON values: ``{fact: {"value"| "reason"+"detail", "provenance"}}``."""
        out: dict[str, Any] = {}
        for fact, observation in self.by_fact.items():
            entry: dict[str, Any] = {"provenance": observation.provenance.as_json()}
            if isinstance(observation, Observed):
                entry["value"] = thaw(observation.value)
            else:
                entry["reason"] = str(observation.reason)
                entry["detail"] = observation.detail
            out[fact] = entry
        return out

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Observations":
        """Read what `as_json` wrote.

        Raises:
            ValueError: the data is not in that form; names the fact and the field.
        """
        by_fact: dict[str, Observation] = {}
        for fact, entry in data.items():
            try:
                told = entry["provenance"]
                provenance = Provenance(
                    method=Method(told["method"]),
                    source=str(told["source"]),
                    operation=str(told["operation"]),
                    peer=str(told["peer"]),
                    collected_at=parse_rfc3339(told["collected_at"]),
                    duration_s=float(told["duration_s"]),
                    excerpt=str(told.get("excerpt", "")),
                    excerpt_sha256=str(told.get("excerpt_sha256", "")),
                )
                if "reason" in entry:
                    by_fact[fact] = NotObserved(Reason(entry["reason"]), str(entry["detail"]), provenance)
                else:
                    by_fact[fact] = Observed(freeze(entry["value"]), provenance)
            except (KeyError, TypeError, ValueError) as error:
                raise ValueError(f"observation {fact!r} cannot be read: {error!r}") from error
        return cls(by_fact)

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON of these observations."""
        return hashlib.sha256(canonical_json(self.as_json())).hexdigest()


def freeze(value: Any) -> Value:
    """Turn JSON values into immutable ones (lists to tuples, dicts to read-only mappings)."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return tuple(freeze(v) for v in value)
    if isinstance(value, Mapping):
        return MappingProxyType({str(k): freeze(v) for k, v in value.items()})
    raise TypeError(f"a fact's value cannot be a {type(value).__name__}")


def thaw(value: Value) -> Any:
    """Turn an immutable value back into JSON lists and dicts; a float that is not finite into its name."""
    if isinstance(value, Mapping):
        return {k: thaw(v) for k, v in value.items()}
    if isinstance(value, tuple):
        return [thaw(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value


def canonical_json(value: Any) -> bytes:
    """Serialise to one exact byte form: sorted keys, no spaces, UTF-8."""
    return json.dumps(
        value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    ).encode()


def rfc3339(moment: datetime) -> str:
    """Format an aware moment as RFC 3339 in UTC, milliseconds, suffix Z."""
    if moment.tzinfo is None:
        raise ValueError("a naive datetime has no place here; pass an aware one")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """Parse an RFC 3339 time into an aware UTC moment."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(UTC)
