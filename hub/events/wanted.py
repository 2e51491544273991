"""Whether a camera's events are pulled. Pure: one function, the first that holds is the answer."""

from adapters.errors import BadTarget
from adapters.target import parse_target
from hub.access.decide import VIEWED
from hub.catalog.types import EVENTS_OFF_AT, Camera, Kind


def why_not(camera: Camera, *, switched_on: bool) -> str | None:
    """Return the code of why a camera's events are not pulled, or None where they are.

    A donated camera is never subscribed to: that comes first, and no setting changes it.
    """
    if camera.custodian.kind is not Kind.AUTHORITY:
        return "donated"
    if not switched_on:
        return "hub_off"
    if camera.permission.get(EVENTS_OFF_AT):
        return "camera_off"
    if camera.sharing.paused:
        return "paused"
    if camera.decision not in VIEWED:
        return "decision_rejected" if camera.decision == "REJECTED" else "decision_pending"
    try:
        target, _ = parse_target(camera.address)
    except BadTarget:
        return "no_onvif"
    return None if target.scheme.startswith("onvif") else "no_onvif"
