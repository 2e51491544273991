"""The catalog's values. All frozen; times are aware UTC, distances metres, angles degrees."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from hub.catalog.schedule import Schedule


class Kind(StrEnum):
    """What a custodian is. All but authorities are donors: they need a consent record."""

    AUTHORITY = "authority"
    HOUSEHOLD = "household"
    SHOP = "shop"
    SCHOOL = "school"


class Mode(StrEnum):
    """The sharing ladder, lowest first: the owner's ceiling. Authorities' cameras stand outside it."""

    PRIVATE = "private"
    REGISTERED = "registered"
    HEALTH = "health"
    ON_INCIDENT = "on_incident"
    SCHEDULED = "scheduled"
    ALWAYS = "always"


AUTHORITY_SHARING = "authority"  # the `sharing.mode` of a camera that needs no consent
PURPOSES = ("public_safety", "traffic", "incident", "search", "test")
ROLES = ("admin", "operator", "viewer", "inspector", "donor")
DECISIONS = ("ADMITTED", "CONDITIONAL", "PENDING", "REJECTED")
MEASURED_STATES = ("alive", "degraded", "fault", "unreachable")
HEALTH_STATES = (*MEASURED_STATES, "paused", "not_shared", "outside_hours", "not_measured")


class ConsentState(StrEnum):
    """What the consent of a camera is worth at one moment."""

    NOT_NEEDED = "not_needed"
    ACTIVE = "active"
    MISSING = "missing"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"  # of a record, never of a camera


@dataclass(frozen=True, slots=True)
class Area:
    """An administrative unit: province 2 digits, ward or commune 5 digits in Vietnam; any tree from CSV."""

    code: str
    name: str
    level: str  # province | ward | ... as the table says
    parent: str | None = None
    path: tuple[str, ...] = ()  # codes from the root to this area
    valid_from: datetime | None = None
    valid_to: datetime | None = None


@dataclass(frozen=True, slots=True)
class Custodian:
    """Who answers for a camera."""

    id: str
    kind: Kind
    name: str = ""
    contact: str = ""

    @property
    def is_donor(self) -> bool:
        """Tell whether a consent record is needed."""
        return self.kind is not Kind.AUTHORITY


@dataclass(frozen=True, slots=True)
class NewCustodian:
    """A custodian to be made."""

    kind: Kind
    name: str = ""
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """A WGS84 point, with how well it is known and where the camera looks (degrees from north, clockwise)."""

    lat: float
    lon: float
    accuracy_m: float | None = None
    azimuth_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Health:
    """Liveness of a camera: as shown, or as measured. `since` is when this state began."""

    state: str
    since: datetime | None = None
    cause: Mapping[str, str] | None = None  # {"vi", "en"}
    measured_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who may look, by level and role: "viewers of ward 26734". An empty area means the hub's own people."""

    area: str
    role: str


@dataclass(frozen=True, slots=True)
class Consent:
    """One version of a consent record."""

    id: str
    camera_id: str
    version: int
    mode: Mode
    purposes: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    audio: bool
    schedule: Schedule | None
    given_at: datetime
    expires_at: datetime
    text_version: str
    text_hash: str
    signed_by: str
    witnessed_by: str = ""
    ended_at: datetime | None = None
    stored_state: ConsentState = ConsentState.ACTIVE  # active, withdrawn or superseded

    def state(self, now: datetime) -> ConsentState:
        """Return what this record is worth now; expiry needs no job to run."""
        if self.stored_state is ConsentState.ACTIVE and now >= self.expires_at:
            return ConsentState.EXPIRED
        return self.stored_state


@dataclass(frozen=True, slots=True)
class ConsentInput:
    """What an owner signs; checked by `hub.catalog.consent.checked`. `expires_at` None: 12 months."""

    sharing_mode: str
    purposes: tuple[str, ...]
    recipients: tuple[Recipient, ...]
    text_version: str
    signed_by: str
    schedule: Schedule | None = None
    audio: bool = False
    expires_at: datetime | None = None
    witnessed_by: str = ""


@dataclass(frozen=True, slots=True)
class Sharing:
    """What the owner lets happen, as of now. `mode` is a `Mode` or ``authority``."""

    mode: str
    paused: bool
    paused_until: datetime | None
    schedule: Schedule | None
    consent: ConsentState


@dataclass(frozen=True, slots=True)
class Playback:
    """What the last assessment saw of the main stream; None where it was not seen."""

    codec: str | None = None
    relay: str | None = None  # copy | transcode | no
    width: int | None = None
    height: int | None = None
    fps: float | None = None


# A polygon: corners (x, y) from 0 to 1 of the picture's width and height.
Zone = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class DeclaredMasks:
    """Zones of the picture that were declared as to be masked. Until they are verified at the camera, the hub paints them."""

    zones: tuple[Zone, ...] = ()
    declared_by: str = ""
    declared_at: str = ""  # RFC 3339
    verified_by: str = ""  # who saw that the camera masks them itself
    verified_at: str = ""

    @property
    def painted(self) -> tuple[Zone, ...]:
        """Return the zones that the hub has to paint."""
        return () if self.verified_at else self.zones


@dataclass(frozen=True, slots=True)
class Siting:
    """Which paper approved the place of a camera."""

    document: str  # its number
    authority: str
    date: date


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a camera comes from, beside place and custodian. Empty: not recorded."""

    group: str = ""  # the neighbourhood group in which donors join
    funding: str = ""  # who paid
    source_class: str = ""
    siting: Siting | None = None


@dataclass(frozen=True, slots=True)
class Camera:
    """One catalog entry: one video source."""

    id: str
    name: str
    area: Area | None
    custodian: Custodian
    address: str  # without credential
    sub_address: str
    position: Position | None
    notes: str
    permission: Mapping[str, str]  # granted_by, basis, granted_at
    decision: str
    decision_reasons: tuple[Mapping[str, Any], ...]
    assessment_id: str | None
    playback: Playback
    health: Health  # as shown (one of HEALTH_STATES)
    measured: Health  # as measured, or state not_measured
    sharing: Sharing
    consent: Consent | None  # the newest record, whatever its state
    has_credential: bool
    enrolled_at: datetime
    changed_at: datetime
    version: int
    alert: str = ""  # the worst severity of its open alerts
    origin: Origin = Origin()
    masks: DeclaredMasks = DeclaredMasks()


@dataclass(frozen=True, slots=True)
class NewCamera:
    """A camera to be registered. `custodian`: an existing one's id, or one to be made."""

    name: str
    address: str
    custodian: str | NewCustodian
    permission: Mapping[str, str]
    area: str | None = None
    sub_address: str = ""
    position: Position | None = None
    notes: str = ""
    origin: Origin = Origin()


UNCHANGED: Any = object()

# In `Camera.permission`, apart from the permission to probe: the office's approval to move the camera.
PTZ_GRANTED_BY, PTZ_BASIS, PTZ_GRANTED_AT = "ptz_granted_by", "ptz_basis", "ptz_granted_at"
# there too: the leave to try the ports that `hub/compliance/lan.py` names; absent: none is tried
PORTS_GRANTED_BY, PORTS_BASIS, PORTS_GRANTED_AT = "ports_granted_by", "ports_basis", "ports_granted_at"
EVENTS_OFF_AT = (
    "events_off_at"  # there too: since when the camera's own events are not pulled; absent: they are
)


@dataclass(frozen=True, slots=True)
class CameraPatch:
    """What to change; fields left `UNCHANGED` stay. `credential`: a `Credential`, or None to erase it."""

    name: Any = UNCHANGED
    area: Any = UNCHANGED
    position: Any = UNCHANGED
    address: Any = UNCHANGED
    sub_address: Any = UNCHANGED
    notes: Any = UNCHANGED
    credential: Any = UNCHANGED
    origin: Any = UNCHANGED


@dataclass(frozen=True, slots=True)
class Scope:
    """Which cameras somebody may see in lists: all, those below some areas, and those of one custodian."""

    everywhere: bool = False
    areas: tuple[str, ...] = ()
    custodian_id: str | None = None

    @classmethod
    def everything(cls) -> "Scope":
        """Return the scope of the hub itself."""
        return cls(everywhere=True)


@dataclass(frozen=True, slots=True)
class Near:
    """All within `radius_m` metres of a point."""

    lat: float
    lon: float
    radius_m: float


@dataclass(frozen=True, slots=True)
class Box:
    """All within a rectangle; west <= east (no rectangle here crosses the date line)."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class CameraQuery:
    """What to list. Empty fields do not filter. `sharing` takes a mode, ``authority`` or ``paused``."""

    scope: Scope = field(default_factory=Scope.everything)
    text: str = ""
    area: str = ""
    decision: str = ""
    health: str = ""
    sharing: str = ""
    custodian_id: str = ""
    standard: str = ""  # of the present assessment
    failing: str = ""  # a rule that the camera fails by its present assessment
    group: str = ""  # a neighbourhood group, by its very name
    near: Near | None = None
    box: Box | None = None
    cursor: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class CameraPage:
    """One page of cameras; `next` is None on the last one, `total` counts all pages."""

    items: tuple[Camera, ...]
    next: str | None
    total: int


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers over a scope; each equals the total of the list with that filter."""

    total: int
    decision: Mapping[str, int]
    health: Mapping[str, int]
    measured_at: datetime | None  # when the newest of them was measured


@dataclass(frozen=True, slots=True)
class Failures:
    """How many cameras were judged by a standard, and how many of them fail each rule (absent: none)."""

    judged: int
    rules: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StoredAssessment:
    """One assessment as kept. `report` and `observations` are plain JSON; empty in lists."""

    id: str
    camera_id: str
    standard: str
    standard_version: str
    decision: str
    as_of: datetime
    counts: Mapping[str, int]
    report: Mapping[str, Any] = field(default_factory=dict)
    observations: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewAssessment:
    """An assessment to be kept: `report` is the whole `Assessment` as JSON, `reasons` its `because` for lists."""

    standard: str
    standard_version: str
    decision: str
    as_of: datetime
    counts: Mapping[str, int]
    reasons: tuple[Mapping[str, Any], ...]
    report: Mapping[str, Any]
    observations: Mapping[str, Any]  # Observations.as_json()


@dataclass(frozen=True, slots=True)
class Incident:
    """An open matter for which cameras shared on incident may be looked at. Closes by itself."""

    id: str
    number: str  # the office's own number
    title: str
    area: str | None  # covers the cameras in this area (and below) ...
    camera_ids: tuple[str, ...]  # ... and these
    opened_at: datetime
    closes_at: datetime
    closed_at: datetime | None = None
    extended: bool = False

    def open_at(self, now: datetime) -> bool:
        """Tell whether it is open at this moment."""
        return self.opened_at <= now < (self.closed_at or self.closes_at)

    def covers(self, camera_id: str, area_path: tuple[str, ...]) -> bool:
        """Tell whether a camera in this place is meant."""
        return camera_id in self.camera_ids or (self.area is not None and self.area in area_path)
