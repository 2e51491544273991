"""What a hub knows of a camera without asking it: the catalog's facts, and what people state.

`Knowledge` gathers it from its suppliers. A supplier is any callable from a camera and a moment to observations; parts
of the hub that measure over time add theirs in the composition root. `joined` puts it together with what was seen.
"""

import math
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from hub.catalog.types import Area, Camera, Consent, ConsentInput, ConsentState, Kind, Position
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, Value
from standards.reason import Reason
from standards.waiver import Attestation, Waiver

SOURCE = "hub/1"


class Offered(Protocol):
    """A camera that is not enrolled yet: where it is said to be."""

    @property
    def position(self) -> Position | None:
        """Return the declared place."""

    @property
    def area(self) -> str | None:
        """Return the code of the area."""


@dataclass(frozen=True, slots=True)
class Known:
    """All that enters an assessment beside the probe."""

    facts: Observations = field(default_factory=Observations)
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()


Supplier = Callable[[Camera, datetime], Awaitable[Mapping[str, Observation]]]
# (camera, now) -> what was waived and attested for it
Statements = Callable[[Camera, datetime], Awaitable[tuple[tuple[Waiver, ...], tuple[Attestation, ...]]]]


async def no_statements(
    _camera: Camera, _now: datetime
) -> tuple[tuple[Waiver, ...], tuple[Attestation, ...]]:
    """Return nothing: of a hub in which nobody stated anything."""
    return (), ()


class Knowledge:
    """Gathers what is known of a camera from all that know something."""

    def __init__(self, suppliers: Iterable[Supplier] = (), statements: Statements = no_statements) -> None:
        self._suppliers = tuple(suppliers)
        self._statements = statements

    async def of(self, camera: Camera, now: datetime) -> Known:
        """Return what is known of an enrolled camera at a moment. A supplier named later wins over one before it."""
        facts = declared_facts(camera, camera.consent, now)
        for supply in self._suppliers:
            facts = joined(await supply(camera, now), facts)
        waivers, attestations = await self._statements(camera, now)
        return Known(facts, waivers, attestations)


def declared_facts(
    known: Camera | Offered,
    consent: Consent | ConsentInput | None,
    now: datetime,
    *,
    kind: Kind | None = None,
) -> Observations:
    """Return the facts that the catalog itself holds (standards.facts, custodian to catalog)."""
    facts: dict[str, Observation] = {}

    def know(name: str, value: Value, operation: str, method: Method = Method.EXAMINE) -> None:
        facts[name] = Observed(value, Provenance(method, SOURCE, operation, "hub", now))

    camera = known if isinstance(known, Camera) else None
    custodian = camera.custodian.kind if camera is not None else kind
    if custodian is not None:
        know("custodian.kind", str(custodian), "catalog")
        know("consent.state", _state(custodian, consent, now), "consent record")
    if consent is not None:
        know("consent.signed", bool(consent.signed_by), "consent record", Method.INTERVIEW)
        know("consent.audio", consent.audio, "consent record", Method.INTERVIEW)
    place = known.position
    area: Area | str | None = known.area
    if place is not None:
        whole = area is not None and place.accuracy_m is not None and place.azimuth_deg is not None
        know("place.stated", whole, "declaration of place", Method.INTERVIEW)
        if place.accuracy_m is not None:
            know("place.accuracy_m", place.accuracy_m, "declaration of place", Method.INTERVIEW)
    if camera is not None and camera.masks.zones:
        drawn = camera.masks
        know("privacy.declared_zones", len(drawn.zones), "zones drawn on the picture")
        masked = "masked at the camera, as a person saw" if drawn.verified_at else "painted by the hub"
        know("privacy.masked_zones", len(drawn.zones), f"zones {masked}")
    enrolled_days = (now - camera.enrolled_at).total_seconds() / 86_400 if camera is not None else 0.0
    know("catalog.enrolled_days", round(enrolled_days, 2), "catalog")
    in_force = isinstance(consent, Consent) and consent.state(now) is ConsentState.ACTIVE
    know("relay.audio", in_force and consent is not None and consent.audio, "relay settings")
    return Observations(facts)


def joined(stated: Mapping[str, Observation], seen: Mapping[str, Observation]) -> Observations:
    """Put what people state beside what was seen. What was seen stands above what was said."""
    out = dict(seen)
    for fact, one in stated.items():
        known = out.get(fact)
        if isinstance(known, Observed):
            said = isinstance(one, NotObserved) or one.provenance.method is Method.INTERVIEW
            if said and known.provenance.method is not Method.INTERVIEW:
                continue
        out[fact] = one
    density = _pixel_density(out)
    if density is not None:
        out["view.pixels_per_m"] = density
    return Observations(out)


def _pixel_density(seen: Mapping[str, Observation]) -> Observation | None:
    """Return pixels per metre from the measured width and the declared distance and field of view (IEC 62676-4).

    An upper bound: a lens loses some. None where it is known already, or one of the three is not known.
    """
    if isinstance(seen.get("view.pixels_per_m"), Observed):
        return None
    distance, angle = seen.get("view.distance_m"), seen.get("view.hfov_deg")
    width = seen.get("stream.main.width")
    if not (isinstance(distance, Observed) and isinstance(angle, Observed) and isinstance(width, Observed)):
        return None
    metres, degrees, pixels = distance.value, angle.value, width.value
    if not (isinstance(metres, int | float) and isinstance(degrees, int | float) and isinstance(pixels, int)):
        return None
    half = math.tan(math.radians(degrees / 2))
    if metres <= 0 or not 0 < degrees < 180 or half <= 0:
        return None
    told = Provenance(
        Method.INTERVIEW,
        SOURCE,
        "declared distance and field of view, measured width",
        "hub",
        distance.provenance.collected_at,
    )
    return Observed(round(pixels / (2 * metres * half), 2), told)


def renewed(
    stored: Mapping[str, Observation], known: Mapping[str, Observation], now: datetime
) -> Observations:
    """Put what is known today in the place of what was known when a camera was probed.

    What people had stated then and state no more counts as not declared.
    """
    out: dict[str, Observation] = {}
    for fact, one in stored.items():
        if isinstance(one, Observed) and one.provenance.method is Method.INTERVIEW and fact not in known:
            told = Provenance(Method.INTERVIEW, SOURCE, one.provenance.operation, "hub", now)
            out[fact] = NotObserved(Reason.NO_DECLARATION, "it is declared no more", told)
        elif fact not in known or not _replaced(one, known[fact]):
            out[fact] = one
    return joined(known, out)


def _replaced(one: Observation, today: Observation) -> bool:
    """Tell whether an observation was itself stated, or comes from the same part of the hub as today's."""
    told = one.provenance
    return told.method is Method.INTERVIEW or told.source == today.provenance.source


def _state(kind: Kind, consent: Consent | ConsentInput | None, now: datetime) -> str:
    if kind is Kind.AUTHORITY:
        return str(ConsentState.NOT_NEEDED)
    if consent is None:
        return str(ConsentState.MISSING)
    return str(consent.state(now)) if isinstance(consent, Consent) else str(ConsentState.ACTIVE)
