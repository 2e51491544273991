"""Who may move a camera (PTZ): municipal cameras alone, with their office's recorded approval."""

from collections.abc import Mapping

from hub.access.decide import VIEWED, Refused
from hub.access.principal import Principal
from hub.access.rights import CAMERAS_WRITE, acts_for_custodian, area_path, has_right
from hub.catalog.types import PTZ_GRANTED_AT, Camera, Kind


def refusal_to_move(principal: Principal, camera: Camera) -> Refused | None:
    """Return why this person may not move this camera now, or None where they may. Nobody passes it.

    A donated camera is never moved: that answer comes before role and area, and no approval changes it.
    """
    refused = refusal_to_approve(principal, camera, right=CAMERAS_WRITE)
    if refused is not None:
        return refused
    if camera.sharing.paused:
        return Refused("paused")
    if camera.decision not in VIEWED:
        return Refused("decision_rejected" if camera.decision == "REJECTED" else "decision_pending")
    if not approved(camera.permission):
        return Refused("ptz_not_approved")
    return None


def refusal_to_approve(principal: Principal, camera: Camera, *, right: str) -> Refused | None:
    """Return why this person has no say over this camera's movements at all, or None."""
    if camera.custodian.kind is not Kind.AUTHORITY:
        return Refused("ptz_donated")
    if not has_right(principal, right):
        return Refused("forbidden", {"right": right})
    path = area_path(camera)
    if not principal.in_area(path) or not acts_for_custodian(
        principal, camera.custodian.kind, camera.custodian.id, path
    ):
        return Refused("wrong_area", {"area": path[-1] if path else ""})
    return None


def approved(permission: Mapping[str, str]) -> bool:
    """Tell whether the approval to move the camera is on record."""
    return bool(permission.get(PTZ_GRANTED_AT))
