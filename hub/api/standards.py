"""The standards: what is asked, since when, by whom; who fails it now; who would, if a limit were another."""

from typing import Annotated, Any

from litestar import Controller, get, post
from litestar.params import FromPath, JSONBody, QueryParameter

from hub.access.rights import CAMERAS_READ
from hub.api.forms import check_place
from hub.api.present import area_json
from hub.api.schemas import StandardTrial
from hub.api.security import Caller, needs, signed_in
from hub.api.services import Services
from hub.catalog.types import CameraQuery
from hub.compliance.trial import Turn
from hub.problems import Problem
from standards.pack import UnknownStandard
from standards.profile import StandardProfile

Area = Annotated[str, QueryParameter(max_length=16)]


class StandardsController(Controller):
    """The rule packs."""

    path = "/standards"
    tags = ("standards",)
    guards = (signed_in,)

    @get("/", summary="List standards", operation_id="list_standards")
    async def all(self, services: Services) -> list[dict[str, Any]]:
        """Return the standards that cameras may be checked against."""
        today = services.clock.now().date().isoformat()
        return [_line(services.packs.profile(name), today) for name in services.packs.standards()]

    @get("/{standard_id:str}", summary="One standard", operation_id="get_standard")
    async def one(self, standard_id: FromPath[str], services: Services) -> dict[str, Any]:
        """Return a standard with its rules."""
        profile = _profile(standard_id, services)
        return {
            **_line(profile, services.clock.now().date().isoformat()),
            "hash": profile.hash,
            "loosened": [one.as_json() for one in profile.loosened],
            "rule_list": [rule.as_json() for rule in profile.rules],
        }

    @get(
        "/{standard_id:str}/failing",
        guards=[needs(CAMERAS_READ)],
        summary="How many cameras fail each rule",
        operation_id="count_failing",
    )
    async def failing(
        self, standard_id: FromPath[str], caller: Caller, services: Services, area: Area = ""
    ) -> dict[str, Any]:
        """Return how many cameras were judged by this standard last, and how many fail each rule (absent: none).

        Each number equals the list of cameras with `standard` and `failing` as filters.
        """
        profile = _profile(standard_id, services)
        query = CameraQuery(scope=caller.principal.scope(), standard=profile.id, area=area)
        found = await services.catalog.failures(query)
        return {"standard": profile.id, "judged": found.judged, "rules": dict(found.rules)}

    @post(
        "/{standard_id:str}/trial",
        status_code=200,
        opt={"no_idempotency": True},
        guards=[needs(CAMERAS_READ)],
        summary="Try other limits on many cameras",
        operation_id="try_standard",
    )
    async def trial(
        self,
        standard_id: FromPath[str],
        data: JSONBody[StandardTrial],
        caller: Caller,
        services: Services,
    ) -> dict[str, Any]:
        """Judge a page of cameras anew from what is stored, with other limits. Nothing is kept, no camera is asked."""
        if caller.principal.role == "donor":
            raise Problem("forbidden", {"right": "standards.trial"})
        profile = _profile(standard_id, services)
        if data.area is not None:
            await check_place(caller, services, data.area)
        query = CameraQuery(
            scope=caller.principal.scope(), area=data.area or "", cursor=data.cursor, limit=data.limit
        )
        page = await services.trials.many(profile.id, data.set, query)
        return {
            "trial": True,
            "standard": profile.id,
            "judged": page.judged,
            "skipped": page.skipped,
            "now": page.decisions_now,
            "then": page.decisions_then,
            "falls": [_turn(one) for one in page.turned if one.falls],
            "rises": [_turn(one) for one in page.turned if one.rises],
            "turned": len(page.turned),
            "next": page.next,
            "total": page.total,
        }


def _turn(turn: Turn) -> dict[str, Any]:
    camera = turn.camera
    return {
        "camera": {"id": camera.id, "name": camera.name, "area": area_json(camera.area)},
        "now": str(turn.now),
        "then": str(turn.then),
        "broken": list(turn.broken),
        "mended": list(turn.mended),
    }


def _profile(standard_id: str, services: Services) -> StandardProfile:
    try:
        return services.packs.profile(standard_id)
    except UnknownStandard as error:
        raise Problem("not_found", {"what": {"vi": "bộ tiêu chuẩn", "en": "standard"}}) from error


def _line(profile: StandardProfile, today: str) -> dict[str, Any]:
    """Return a standard as lists show it; `state` says whether it is in force on a day."""
    return {
        "id": profile.id,
        "version": profile.version,
        "title": profile.title.as_json(),
        "summary": profile.summary.as_json(),
        "rules": len(profile.rules),
        "in_force_from": profile.in_force_from or None,
        "state": _state(profile, today),
        "chain": list(profile.chain),
    }


def _state(profile: StandardProfile, today: str) -> str:
    """Return whether a standard holds on a day: one of a version below 1 (SemVer 2.0.0, 4) is still being written."""
    written = not profile.version.startswith("0.")
    return "in_force" if written and profile.in_force_from <= today else "draft"
