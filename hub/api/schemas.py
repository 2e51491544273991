"""Request bodies. Nothing unknown is accepted, every length is bounded, text is NFC without control characters."""

import unicodedata
from datetime import date
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    StringConstraints,
    model_validator,
)
from pydantic_core import PydanticCustomError

Role = Literal["admin", "operator", "viewer", "inspector", "donor"]
Locale = Literal["vi", "en"]
CustodianKind = Literal["authority", "household", "shop", "school"]
SharingMode = Literal["private", "registered", "health", "on_incident", "scheduled", "always"]
Purpose = Literal["public_safety", "traffic", "incident", "search", "test"]


def _clean(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(char) == "Cc" for char in text):
        raise PydanticCustomError("control", "contains a control character")
    return text


def _clean_lines(text: str) -> str:
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n")
    if any(unicodedata.category(char) == "Cc" and char not in "\n\t" for char in text):
        raise PydanticCustomError("control", "contains a control character")
    return text


Name = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=120), AfterValidator(_clean)
]
Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_clean)]
Notes = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_clean_lines)]
Address = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_clean)
]
UserName = Annotated[
    str, StringConstraints(strip_whitespace=True, to_lower=True, pattern=r"^[a-z0-9][a-z0-9._@-]{0,63}$")
]
Identifier = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
AreaCode = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,16}$")]
Password = Annotated[SecretStr, Field(max_length=256)]
ClockTime = Annotated[str, StringConstraints(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]


class Body(BaseModel):
    """Base of all request bodies."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, frozen=True)


class LoginBody(Body):
    """A sign-in."""

    username: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    password: Password


class MePatch(Body):
    """What people may change about themselves."""

    current_password: Password | None = None
    new_password: Password | None = None
    locale: Locale | None = None
    display_name: Name | None = None


class TokenCreate(Body):
    """A token for a program; without `expires_at` it has no end."""

    label: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), AfterValidator(_clean)
    ]
    expires_at: AwareDatetime | None = None
    current_password: Password


class UserCreate(Body):
    """A new person."""

    name: UserName
    display_name: Name
    role: Role
    areas: Annotated[list[AreaCode], Field(max_length=200)] = []
    custodian_id: Identifier | None = None
    password: Password | None = None


class UserPatch(Body):
    """A change of a person's rights."""

    role: Role | None = None
    areas: Annotated[list[AreaCode], Field(max_length=200)] | None = None
    disabled: bool | None = None
    display_name: Name | None = None


class Position(Body):
    """A WGS84 point; azimuth clockwise from north."""

    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)]
    accuracy_m: Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)] | None = None
    azimuth_deg: Annotated[float, Field(ge=0, lt=360, allow_inf_nan=False)] | None = None


class CustodianInput(Body):
    """Who answers for the camera: one that exists (`id`), or a new one (`kind`, `name`)."""

    id: Identifier | None = None
    kind: CustodianKind | None = None
    name: Name | None = None
    contact: Line | None = None


Basis = Literal["owner", "authority", "installer"]


class PermissionInput(Body):
    """Who allowed the probe, by which right, and whether the named ports may be tried too."""

    granted_by: Name
    basis: Basis
    ports: bool = False


class PortsBody(Body):
    """The leave to try the named ports of a camera, or its end."""

    allowed: bool
    granted_by: Name | None = None
    basis: Basis | None = None

    @model_validator(mode="after")
    def _whose(self) -> "PortsBody":
        if self.allowed and not (self.granted_by and self.basis):
            raise ValueError("a leave names who granted it and by which right")
        return self


class ScheduleItem(Body):
    """Hours of some days of the week, Asia/Ho_Chi_Minh; `to` before `from` passes midnight."""

    model_config = ConfigDict(
        extra="forbid", hide_input_in_errors=True, frozen=True, validate_by_name=True, validate_by_alias=True
    )

    days: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)]
    from_: ClockTime = Field(alias="from")
    to: ClockTime


class Recipient(Body):
    """Who may look: a role in an area."""

    area: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{0,16}$")] = ""
    role: Role


class ConsentInput(Body):
    """What an owner signs."""

    sharing_mode: SharingMode
    schedule: Annotated[list[ScheduleItem], Field(max_length=21)] | None = None
    purposes: Annotated[list[Purpose], Field(max_length=10)]
    recipients: Annotated[list[Recipient], Field(max_length=50)] = []
    audio: bool = False
    expires_at: AwareDatetime | None = None
    text_version: Annotated[str, StringConstraints(min_length=1, max_length=32)]
    signed_by: Name
    witnessed_by: Name | None = None


class ConsentCreate(ConsentInput):
    """A consent for one camera."""

    camera_id: Identifier


class SitingInput(Body):
    """Which paper approved the place of a camera."""

    document: Name
    authority: Name
    date: date


class OriginInput(Body):
    """Where a camera comes from: neighbourhood group, who paid, what kind of source, the approval of its place."""

    group: Line = ""
    funding: Line = ""
    source_class: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=32), AfterValidator(_clean)
    ] = ""
    siting: SitingInput | None = None


class CameraCreate(Body):
    """A camera that is registered without being probed."""

    name: Name
    address: Address
    username: Annotated[str, StringConstraints(max_length=128), AfterValidator(_clean)] | None = None
    password: Password | None = None
    sub_address: Address | None = None
    area: AreaCode | None = None
    position: Position | None = None
    custodian: CustodianInput | None = None
    notes: Notes = ""
    origin: OriginInput | None = None


class CameraPatch(Body):
    """A change of a camera. A field that is absent stays as it is."""

    name: Name | None = None
    area: AreaCode | None = None
    position: Position | None = None
    address: Address | None = None
    username: Annotated[str, StringConstraints(max_length=128), AfterValidator(_clean)] | None = None
    password: Password | None = None
    sub_address: Address | None = None
    notes: Notes | None = None
    origin: OriginInput | None = None


class PauseBody(Body):
    """A pause; without `until` it lasts until resumed."""

    until: AwareDatetime | None = None


class OnboardingCreate(Body):
    """Everything for one onboarding. `permission` is checked apart, so that its absence has its own code."""

    address: Address
    username: Annotated[str, StringConstraints(max_length=128), AfterValidator(_clean)] | None = None
    password: Password | None = None
    name: Name | None = None
    area: AreaCode | None = None
    position: Position | None = None
    sub_address: Address | None = None
    vendor: Annotated[
        str, StringConstraints(strip_whitespace=True, max_length=60), AfterValidator(_clean)
    ] = ""
    custodian: CustodianInput
    permission: PermissionInput | None = None
    consent: ConsentInput | None = None
    standard: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")] | None = None
    keep_unreachable: bool = False
    origin: OriginInput | None = None


StandardId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
_Words = Annotated[str, StringConstraints(max_length=200)]
_Scalar = bool | int | Annotated[float, Field(allow_inf_nan=False)] | _Words
# by rule, then by parameter, as `[set.RULE]` of a profile writes it
Limits = Annotated[
    dict[
        Annotated[str, StringConstraints(pattern=r"^[A-Z]{2,3}-\d{2}[a-z]?$")],
        Annotated[
            dict[
                Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")],
                _Scalar | Annotated[list[_Scalar], Field(max_length=100)],
            ],
            Field(max_length=20),
        ],
    ],
    Field(max_length=200),
]


class CameraTrial(Body):
    """What to judge a camera by instead: another standard, other limits, or both."""

    standard: StandardId | None = None
    set: Limits = {}


class StandardTrial(Body):
    """Other limits to try on the cameras of an area, page by page."""

    set: Limits
    area: AreaCode | None = None
    cursor: Annotated[str, StringConstraints(max_length=500)] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 100


class LayerBody(Body):
    """Which stream of the camera is wanted."""

    layer: Literal["main", "sub", "auto"]


class ChannelsBody(Body):
    """Which other video sources of a recorder become cameras."""

    sources: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=128)]], Field(min_length=1, max_length=64)
    ]


class RetryBody(Body):
    """Another account for a retry; without one the same is tried again."""

    username: Annotated[str, StringConstraints(max_length=128), AfterValidator(_clean)] | None = None
    password: Password | None = None


class IncidentCreate(Body):
    """An incident: where, which number, for how long."""

    number: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64), AfterValidator(_clean)
    ]
    title: Name
    area: AreaCode | None = None
    camera_ids: Annotated[list[Identifier], Field(max_length=200)] = []
    minutes: Annotated[int, Field(ge=1, le=720)] = 120


class OutputCreate(Body):
    """What another system may take of a camera over RTSP: who, what for, until when."""

    recipient: Name
    purpose: Purpose
    reason: Annotated[
        str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_clean)
    ]
    expires_at: AwareDatetime
    incident: Annotated[
        str | None, StringConstraints(strip_whitespace=True, max_length=64), AfterValidator(_clean)
    ] = None
    layer: Literal["main", "sub"] = "main"
    h265: bool = False
    audio: bool = False  # the sound too, as long as the owner's consent shares it


class PushTokenCreate(Body):
    """Which encoder may push a camera, until when."""

    name: Name
    expires_at: AwareDatetime


Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]*$", max_length=64)]  # SHA-256, or none
RuleId = Annotated[str, StringConstraints(strip_whitespace=True, max_length=16), AfterValidator(_clean)]
Day = AwareDatetime | date  # a date is a day in Vietnam
DeclaredValue = (
    bool
    | Annotated[int, Field(ge=-(10**9), le=10**9)]
    | Annotated[float, Field(allow_inf_nan=False)]
    | Annotated[str, StringConstraints(max_length=200), AfterValidator(_clean)]
    | Annotated[list[Annotated[str, StringConstraints(max_length=10)]], Field(max_length=50)]
)


class DeclarationInput(Body):
    """One fact as somebody states it. Its form (`declaration-forms`) says which value, role and time fit."""

    fact: Annotated[str, StringConstraints(max_length=64), AfterValidator(_clean)]
    value: DeclaredValue
    author: Line = ""
    role: Annotated[str, StringConstraints(max_length=20)] = ""
    date: Day | None = None
    valid_until: Day | None = None
    attachment_sha256: Digest = ""


class DeclarationsCreate(Body):
    """Some declarations of one camera: all are kept, or none."""

    declarations: Annotated[list[DeclarationInput], Field(min_length=1, max_length=50)]


class SelectorInput(Body):
    """Which cameras are meant: exactly one of these."""

    camera: Identifier | None = None
    area: AreaCode | None = None
    custodian: Annotated[str, StringConstraints(max_length=16)] | None = None
    model: Line | None = None


class WaiverCreate(Body):
    """A waiver to be approved by another person. What is missing is refused by its own sentence."""

    rule: RuleId = ""
    selector: SelectorInput | None = None
    justification: Notes = ""
    authority: Line = ""
    compensating_control: Notes = ""
    expires: Day | None = None


class AttestationCreate(Body):
    """An attestation to be approved by another person."""

    rule: RuleId = ""
    camera_id: Identifier
    author: Line = ""
    role: Annotated[str, StringConstraints(max_length=20)] = ""
    explanation: Notes = ""
    date: Day | None = None
    valid_until: Day | None = None
    attachment_sha256: Digest = ""


class ReasonBody(Body):
    """Why something is rejected or revoked."""

    reason: Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean_lines)] = ""
