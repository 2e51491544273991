"""What people state, for many cameras at once: waivers in force and attestations, read in one statement."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import and_, or_, select

from hub.catalog.judgements import unpack_facts
from hub.compliance.statement import Sort, statement_from
from hub.store import tables
from hub.store.store import Reading
from standards.waiver import Attestation, Waiver

_TABLE = tables.statements


class Stated(NamedTuple):
    """What is stated of one camera."""

    waivers: tuple[Waiver, ...]  # in force
    attestations: tuple[Attestation, ...]  # approved, lapsed ones too
    lapsed: tuple[str, ...]  # rules of which every attestation has lapsed

    @property
    def waived(self) -> tuple[str, ...]:
        """Return the rules with a waiver."""
        return tuple(sorted({one.rule for one in self.waivers}))

    def as_json(self) -> dict[str, list[dict[str, Any]]]:
        """Return what a report that waits to be written out is written with."""
        return {
            "waivers": [one.as_json() for one in self.waivers],
            "attestations": [one.as_json() for one in self.attestations],
        }


@dataclass(frozen=True, slots=True)
class Holding:
    """The approved statements of a hub at one moment. Says of a camera what `Statements.of` says of it."""

    now: datetime
    waivers: Mapping[str, Mapping[str, Sequence[Waiver]]]  # by the way of naming cameras, and its value
    attestations: Mapping[str, Sequence[Attestation]]  # by camera

    @classmethod
    async def at(cls, tx: Reading, now: datetime) -> "Holding":
        """Read what holds at a moment."""
        waiver, attestation = _TABLE.c.kind == str(Sort.WAIVER), _TABLE.c.kind == str(Sort.ATTESTATION)
        rows = await tx.all(
            select(_TABLE)
            .where(_TABLE.c.state == "approved", or_(attestation, and_(waiver, _TABLE.c.expires_at > now)))
            .order_by(_TABLE.c.proposed_at, _TABLE.c.id)
        )
        waivers: dict[str, dict[str, list[Waiver]]] = defaultdict(lambda: defaultdict(list))
        attestations: dict[str, list[Attestation]] = defaultdict(list)
        for row in rows:
            one = statement_from(row)
            if one.kind is Sort.ATTESTATION:
                attestations[str(one.camera_id)].append(one.attestation())
            elif one.waiver().active(now):
                way, value = one.selector.way, one.selector.value
                waivers[way][value.casefold() if way == "model" else value].append(one.waiver())
        return cls(now, {way: dict(named) for way, named in waivers.items()}, dict(attestations))

    def of(self, camera_id: str, area_path: str, kind: str, facts: bytes) -> Stated:
        """Return what is stated of a camera.

        `area_path`: as stored, ``/99/99001/``; `facts`: packed, opened only where a waiver names a model.
        """
        if not self.waivers and not self.attestations:
            return _NOTHING
        found: list[Waiver] = []
        for way, named in self.waivers.items():
            if way == "camera":
                found += named.get(camera_id, ())
            elif way == "area":
                found += [one for code in area_path.split("/") for one in named.get(code, ())]
            elif way == "custodian":
                found += named.get(kind, ())
            else:
                found += named.get(_model(facts), ())
        attestations = tuple(self.attestations.get(camera_id, ()))
        attested = {one.rule for one in attestations if one.active(self.now)}
        lapsed = sorted({one.rule for one in attestations} - attested)
        return Stated(tuple(found), attestations, tuple(lapsed))


_NOTHING = Stated((), (), ())


def _model(facts: bytes) -> str:
    """Return what the device last said it is, case-folded; "" where it did not or the facts cannot be read."""
    try:
        told: Any = unpack_facts(facts).get("device.model")
    except ValueError:
        return ""  # judging it tells what is wrong
    return told.strip().casefold() if type(told) is str else ""  # a `Reason` is a str too
