"""Re-scoring: a camera judged again from what was stored when it was probed. No packet leaves the hub.

::

    assessment = await rescorer.rescore(camera_id)                                   # its own standard, today
    assessment = await rescorer.rescore(camera_id, "vn-municipal-2026")              # "what if" by another one
    assessment = await rescorer.rescore(camera_id, params={"TIM-02": {"max_offset_s": 1.0}})

Nothing is written: who wants a result to decide about the camera asks `OnboardingService.redecide`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.clock import Clock
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, StoredAssessment
from hub.compliance.known import Knowledge, renewed
from hub.store.errors import Invalid, ServiceError
from standards.assess import assess
from standards.assessment import Assessment
from standards.observation import Observations
from standards.pack import Packs, UnknownStandard
from standards.profile import ProfileError, StandardProfile, adjusted

# By rule id, then by parameter name: what `[set.RULE]` of a profile holds.
Params = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Rescored:
    """A camera judged again: from which stored assessment, and with which observations."""

    camera: Camera
    stored: StoredAssessment
    assessment: Assessment
    observations: Observations


@dataclass(frozen=True)
class Rescorer:
    """Judges stored observations again. Holds no state and no way to a camera."""

    catalog: CatalogService
    packs: Packs
    knowledge: Knowledge
    clock: Clock

    async def rescore(
        self, camera_id: str, standard: str | None = None, params: Params | None = None
    ) -> Assessment:
        """Return what today's decision would be; `standard` None takes the one of the last assessment.

        Raises:
            ServiceError: `not_found`; `not_assessed`: the camera was never probed.
            Invalid: `standard_unknown`; `invalid_input` at `params`: no such rule or parameter, a value of another kind.
        """
        return (await self.rescored(camera_id, standard=standard, params=params)).assessment

    async def rescored(
        self, camera_id: str, *, standard: str | None = None, params: Params | None = None
    ) -> Rescored:
        """Return the same with what it was made from. Raises as `rescore`."""
        camera = await self.catalog.get(camera_id)
        if camera.assessment_id is None:
            raise ServiceError(
                "not_assessed", "the camera was never checked; there is nothing to judge again"
            )
        stored = await self.catalog.assessment(camera.assessment_id)
        profile = self.profile(standard or stored.standard, params or {})
        now = self.clock.now()
        known = await self.knowledge.of(camera, now)
        seen = renewed(Observations.from_json(stored.observations), known.facts, now)
        assessment = assess(
            seen,
            profile,
            waivers=known.waivers,
            attestations=known.attestations,
            as_of=now,
            enrolled_at=camera.enrolled_at,
            camera=camera.address,
        )
        return Rescored(camera, stored, assessment, seen)

    def profile(self, standard: str, params: Params) -> StandardProfile:
        """Return a standard with some parameters changed. A limit beyond its floor is allowed here, and told as loosened.

        Raises:
            Invalid: as `rescore`.
        """
        try:
            profile = self.packs.profile(standard)
        except UnknownStandard as error:
            said = {"standard": standard, "available": ", ".join(error.known)}
            raise Invalid("standard", str(error), code="standard_unknown", params=said) from error
        try:
            return adjusted(profile, params, self.packs.rules)
        except ProfileError as error:
            raise Invalid("params", str(error)) from error
