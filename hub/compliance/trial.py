"""Trials: what another standard, or another limit, would make of cameras. From stored observations; nothing is kept.

Both sides are judged at the same moment from the same observations, so that what turns, turns for the limit's sake
and not because a day has gone by.
"""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from hub.catalog.types import Camera, CameraQuery
from hub.compliance.known import Known, renewed
from hub.compliance.rescore import Params, Rescored, Rescorer
from hub.store.errors import Invalid
from standards.assess import assess
from standards.assessment import decide
from standards.finding import Finding
from standards.observation import Observations
from standards.profile import StandardProfile
from standards.verdict import Decision, Verdict

MOST_AT_ONCE = 200  # cameras of one request; a larger area is asked for page by page
_SIDE_BY_SIDE = 10  # cameras judged between two breaths of the event loop

_WORST_FIRST = (Decision.REJECTED, Decision.PENDING, Decision.CONDITIONAL, Decision.ADMITTED)


@dataclass(frozen=True, slots=True)
class Trial:
    """One camera by its own standard and by the one that is tried."""

    now: Rescored
    then: Rescored


@dataclass(frozen=True, slots=True)
class Turn:
    """A camera of a trial over many: its decision now and then, and the rules whose verdict turned.

    `broken` are rules that would be FAIL and are not now; `mended` those that are FAIL now and would not be.
    """

    camera: Camera
    now: Decision
    then: Decision
    broken: tuple[str, ...]
    mended: tuple[str, ...]

    @property
    def falls(self) -> bool:
        """Tell whether the decision would be worse."""
        return _WORST_FIRST.index(self.then) < _WORST_FIRST.index(self.now)

    @property
    def rises(self) -> bool:
        """Tell whether the decision would be better."""
        return _WORST_FIRST.index(self.then) > _WORST_FIRST.index(self.now)


@dataclass(frozen=True, slots=True)
class TrialPage:
    """One page of a trial over many cameras. `judged` + `skipped` (never checked) are the cameras of this page."""

    judged: int
    skipped: int
    turned: tuple[Turn, ...]
    decisions_now: dict[str, int]
    decisions_then: dict[str, int]
    next: str | None
    total: int


class Trials:
    """Judges stored observations by standards that nobody has signed."""

    def __init__(self, rescorer: Rescorer) -> None:
        self._rescorer = rescorer
        self._one_at_a_time = asyncio.Lock()  # a trial over many is work for a processor, not for a camera

    async def one(self, camera_id: str, standard: str | None, params: Params) -> Trial:
        """Judge one camera twice. `standard` None keeps the camera's own.

        Raises:
            ServiceError, Invalid: as `Rescorer.rescore`.
        """
        then = await self._rescorer.rescored(camera_id, standard=standard, params=params)
        return Trial(await self._rescorer.rescored(camera_id), then)

    async def many(self, standard: str, params: Params, query: CameraQuery) -> TrialPage:
        """Judge a page of cameras by a standard as it is and with other limits.

        Raises:
            Invalid: an unknown standard, rule or parameter; a filter that does not fit; more than `MOST_AT_ONCE`.
        """
        if query.limit > MOST_AT_ONCE:
            raise Invalid("limit", f"choose 1 to {MOST_AT_ONCE}")
        if not params:
            raise Invalid("set", "name at least one limit to change")
        asked, tried = self._rescorer.profile(standard, {}), self._rescorer.profile(standard, params)
        only = replace(tried, rules=tuple(rule for rule in tried.rules if rule.id in params))
        judged, skipped, turned = 0, 0, []
        now = {str(one): 0 for one in Decision}
        then = dict(now)
        async with self._one_at_a_time:
            page = await self._rescorer.catalog.list(query)
            for camera in page.items:
                turn = await self._turn(camera, asked, only)
                if turn is None:
                    skipped += 1
                    continue
                judged += 1
                now[str(turn.now)] += 1
                then[str(turn.then)] += 1
                if turn.now is not turn.then or turn.broken or turn.mended:
                    turned.append(turn)
                if judged % _SIDE_BY_SIDE == 0:
                    await asyncio.sleep(0)
        return TrialPage(judged, skipped, tuple(turned), now, then, page.next, page.total)

    async def _turn(self, camera: Camera, asked: StandardProfile, only: StandardProfile) -> Turn | None:
        if camera.assessment_id is None:
            return None
        stored = await self._rescorer.catalog.assessment(camera.assessment_id)
        moment = self._rescorer.clock.now()
        known = await self._rescorer.knowledge.of(camera, moment)
        seen = renewed(Observations.from_json(stored.observations), known.facts, moment)
        return await asyncio.to_thread(_judged, camera, seen, known, asked, only, moment=moment)


def _judged(
    camera: Camera,
    seen: Observations,
    known: Known,
    asked: StandardProfile,
    only: StandardProfile,
    *,
    moment: datetime,
) -> Turn:
    """Judge by the whole standard once, and again by nothing but the rules whose limits are tried.

    Rules are judged one by one and the decision is the worst that any finding allows, so exchanging those few findings
    gives the decision of the whole tried standard.
    """

    def findings(profile: StandardProfile) -> Collection[Finding]:
        told = assess(
            seen,
            profile,
            waivers=known.waivers,
            attestations=known.attestations,
            as_of=moment,
            enrolled_at=camera.enrolled_at,
        )
        return told.findings

    before = {finding.rule.id: finding for finding in findings(asked)}
    after = {**before, **{finding.rule.id: finding for finding in findings(only)}}
    failed_now = {rule for rule, one in before.items() if one.verdict is Verdict.FAIL}
    failed_then = {rule for rule, one in after.items() if one.verdict is Verdict.FAIL}
    return Turn(
        camera,
        decide(list(before.values())),
        decide(list(after.values())),
        tuple(sorted(failed_then - failed_now)),
        tuple(sorted(failed_now - failed_then)),
    )
