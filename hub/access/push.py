"""Who may push a camera's pictures to the hub, and when the hub takes none."""

from datetime import datetime

from hub.access.principal import Principal
from hub.access.rights import may_change_entry
from hub.catalog.types import Camera, ConsentState

_OVER = frozenset({ConsentState.WITHDRAWN, ConsentState.EXPIRED})


def may_make_tokens(principal: Principal, camera: Camera) -> bool:
    """Tell whether publishing tokens may be made, seen and revoked: by the owner, and by operators of the area."""
    return principal.owns(camera.custodian.id) or may_change_entry(principal, camera)


def refusal_to_push(camera: Camera, now: datetime) -> str:
    """Return why the hub takes no picture of a camera now: ``paused``, ``no_consent``, or "".

    A pause means that no picture leaves the owner's house, so none is received either. A consent that was given and is over
    (withdrawn, run out) is the owner's word likewise. Hours and levels of sharing bound who may look, not the push: an encoder
    that came and went with them would be seen as broken. A camera that never had a consent may push, so that it can be checked.
    """
    if camera.sharing.paused:
        return "paused"
    if camera.custodian.is_donor and camera.consent is not None and camera.consent.state(now) in _OVER:
        return "no_consent"
    return ""
