"""What each role may do, apart from looking (which `decide` answers per camera)."""

from collections.abc import Mapping
from types import MappingProxyType

from hub.access.principal import Principal
from hub.catalog.types import AUTHORITY_SHARING, Camera, ConsentState, Kind, Mode

CAMERAS_READ = "cameras.read"
CAMERAS_WRITE = "cameras.write"
CAMERAS_VIEW = "cameras.view"
CAMERAS_DELETE = "cameras.delete"
CONSENTS_WRITE = "consents.write"
OUTPUTS_WRITE = "outputs.write"  # give a camera's stream to another system
USERS_WRITE = "users.write"
AUDIT_READ = "audit.read"
PEOPLE_READ = "people.read"  # the names behind "who watched"
STANDARDS_PROPOSE = "standards.propose"  # waivers and attestations
REPORTS_READ = "reports.read"  # reports of areas
STANDARDS_APPROVE = "standards.approve"  # those that somebody else proposed

RIGHTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "admin": (
            CAMERAS_READ,
            CAMERAS_WRITE,
            CAMERAS_VIEW,
            CAMERAS_DELETE,
            CONSENTS_WRITE,
            OUTPUTS_WRITE,
            USERS_WRITE,
            AUDIT_READ,
            PEOPLE_READ,
            REPORTS_READ,
            STANDARDS_PROPOSE,
            STANDARDS_APPROVE,
        ),
        "operator": (
            CAMERAS_READ,
            CAMERAS_WRITE,
            CAMERAS_VIEW,
            CONSENTS_WRITE,
            OUTPUTS_WRITE,
            REPORTS_READ,
            STANDARDS_PROPOSE,
        ),
        "viewer": (CAMERAS_READ, CAMERAS_VIEW),
        "inspector": (CAMERAS_READ, AUDIT_READ, PEOPLE_READ, REPORTS_READ, STANDARDS_APPROVE),
        "donor": (CAMERAS_READ, CAMERAS_VIEW, CONSENTS_WRITE),
    }
)


def rights_of(principal: Principal) -> tuple[str, ...]:
    """Return the rights of a person; none before a one-time password is changed."""
    return () if principal.must_change_password else RIGHTS.get(principal.role, ())


def has_right(principal: Principal, right: str) -> bool:
    """Tell whether a person has one right."""
    return right in rights_of(principal)


def area_path(camera: Camera) -> tuple[str, ...]:
    """Return the codes from the root to the camera's area; empty where it has none."""
    return camera.area.path if camera.area is not None else ()


def may_see_entry(principal: Principal, camera: Camera) -> bool:
    """Tell whether the catalog entry (not the picture) may be shown; the same cameras as `Principal.scope` lists."""
    if principal.owns(camera.custodian.id):
        return True
    return principal.role != "donor" and principal.in_area(area_path(camera))


def may_change_entry(principal: Principal, camera: Camera) -> bool:
    """Tell whether address, name, place and notes may be changed."""
    return has_right(principal, CAMERAS_WRITE) and may_see_entry(principal, camera)


def acts_for_custodian(principal: Principal, kind: Kind, custodian_id: str, path: tuple[str, ...]) -> bool:
    """Tell whether a person speaks for the custodian: pause, resume, consent, the logged test.

    The owner does for their own camera, whatever their role. For an authority's camera the administrators and
    operators of its area do too (they are its installers), unless their account belongs to another custodian.
    Nobody else does: the hub's people do not speak for a donor.
    """
    if principal.owns(custodian_id):
        return True
    return (
        kind is Kind.AUTHORITY
        and principal.role in {"admin", "operator"}
        and principal.custodian_id is None
        and principal.in_area(path)
    )


def may_pause(principal: Principal, camera: Camera) -> bool:
    """Tell whether sharing may be paused and resumed."""
    return acts_for_custodian(principal, camera.custodian.kind, camera.custodian.id, area_path(camera))


def may_record_consent(principal: Principal, camera: Camera) -> bool:
    """Tell whether a consent may be recorded or withdrawn: by the owner, or at the desk from a signed paper.

    Administrators and operators of the area may type in what an owner has signed; the audit log names them, and
    the record names who signed and who witnessed.
    """
    if principal.owns(camera.custodian.id):
        return True
    return (
        has_right(principal, CONSENTS_WRITE)
        and principal.role in {"admin", "operator"}
        and principal.in_area(area_path(camera))
    )


def may_read_views(principal: Principal, camera: Camera) -> bool:
    """Tell whether "who watched" may be read: by the custodian, inspectors of the area, administrators."""
    if may_pause(principal, camera):
        return True
    return principal.role in {"inspector", "admin"} and principal.in_area(area_path(camera))


# modes under which an owner lets the hub measure whether the camera lives
SHARES_HEALTH = frozenset(
    {AUTHORITY_SHARING, str(Mode.HEALTH), str(Mode.ON_INCIDENT), str(Mode.SCHEDULED), str(Mode.ALWAYS)}
)


def may_measure(camera: Camera) -> bool:
    """Tell whether the hub itself may ask a camera if it lives: its custodian shares health and has not paused."""
    if camera.sharing.paused or camera.sharing.mode not in SHARES_HEALTH:
        return False
    return camera.sharing.consent in {ConsentState.NOT_NEEDED, ConsentState.ACTIVE}


def may_declare(principal: Principal, camera: Camera) -> bool:
    """Tell whether facts of a camera may be declared: by its owner, or at the desk from what somebody stated.

    Administrators and operators of the area type in what an installer, a maker or an owner said; the record names both.
    """
    return may_record_consent(principal, camera)


def may_see_declarations(principal: Principal, camera: Camera) -> bool:
    """Tell whether declarations and their papers may be read: by who may declare, and by inspectors of the area."""
    if may_declare(principal, camera):
        return True
    return principal.role == "inspector" and principal.in_area(area_path(camera))
