"""The port: what an adapter is, what it is asked and what it returns."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate
from adapters.wire.tap import Tap
from standards.observation import Observations, Value
from standards.reason import Reason


@dataclass(frozen=True, slots=True)
class Permission:
    """Who allowed this probe, recorded before the first packet (apart from consent to view)."""

    granted_by: str
    basis: str
    granted_at: datetime


@dataclass(frozen=True, slots=True)
class Actuation:
    """Leave to do more than read on one admitted camera: event subscriptions and PTZ, never settings.

    Without it an adapter's session sends reads only. It counts on municipal cameras alone (design section 4); a
    camera of a household is never moved and never subscribed to, whoever granted it.
    """

    granted_by: str
    basis: str
    granted_at: datetime
    municipal: bool


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of a probe, for people who wait: stable step name, state, one English sentence."""

    step: str  # address | login | identify | picture | measure
    state: str  # running | ok | failed
    detail: str = ""


@dataclass(slots=True)
class Courtesy:
    """What was sent to the camera so far: the courtesy meter of the user interface."""

    reads: int = 0  # requests sent, all of them read-only
    logins: int = 0  # credential-bearing attempts that opened an action


@dataclass(frozen=True, slots=True)
class CodedPicture:
    """One picture as it came, with all that is needed to decode it alone: a key frame and its parameter sets."""

    at_s: float  # seconds into the media window
    nals: tuple[bytes, ...]  # without start codes; for JPEG one whole file


@dataclass(frozen=True, slots=True)
class CodedSample:
    """Coded pictures kept from the media window of one stream, for the decode process only. Never stored or logged."""

    layer: str  # main | sub
    codec: str  # H264 | H265 | JPEG | MPEG4
    pictures: tuple[CodedPicture, ...]


@dataclass(frozen=True, slots=True)
class PushSeen:
    """What was measured of a stream while it was pushed to the hub. Names are those of ``stream.main.*``."""

    codec: str
    audio_codecs: tuple[str, ...]  # that are taken: where the owner does not share the sound, none is
    facts: Mapping[str, Value]
    missing: Mapping[str, tuple[Reason, str]]  # what could not be measured, and why
    sample: CodedSample | None = None


class PushDesk(Protocol):
    """Where a hub receives what encoders push."""

    async def examine(self, target: Target, deadline: Deadline, *, window_s: float, samples: int) -> PushSeen:
        """Measure the stream that is pushed for an address ``whip://name``, for `window_s` seconds after its first picture.

        Raises:
            NotPushed: none is.
        """


@dataclass(frozen=True, slots=True)
class ProbeContext:
    """What an adapter works with: the only way to sockets, secrets' gate, time and people."""

    dialer: Dialer
    gate: CredentialGate
    clock: Clock
    device: str  # the gate's key of the enrolled device (`adapters.wire.gate.device_key`)
    progress: Callable[[Progress], None] = lambda _progress: None
    courtesy: Courtesy = field(default_factory=Courtesy)
    tap: Tap | None = None  # listens to all that is said: `camhub capture`
    pushes: PushDesk | None = None  # where encoders push to; None outside a hub


@dataclass(frozen=True, slots=True)
class ProbeRequest:
    """One probe of one device."""

    target: Target
    credential: Credential | None
    permission: Permission
    deadline: Deadline
    window_s: float = 0.0  # media window after the first parameter sets; 0 = none (full probe)
    runs: int = 1  # full RTSP runs asked for by STR-03
    sub_target: Target | None = None  # the owner's own address of the sub-stream, where ONVIF does not tell
    transport: str = (
        "auto"  # RTP transport of the media window: tcp | udp | auto (tcp, and udp where tcp is refused)
    )
    depth: str = (
        "full"  # full | identity: clock, the one login and what the device is, for sweeps over many cameras
    )
    samples: int = 0  # coded pictures to keep from the media window for the decode process; 0 = none
    vendor: str = ""  # vendor family that the owner named, where no interface tells the stream address
    extended: bool = (
        False  # also the reads beyond identity and streams: events, PTZ, recordings, accounts, ...
    )
    video_source: str = (
        ""  # token of the video source that is the camera, on a device with several; "" the first
    )


@dataclass(frozen=True, slots=True)
class StreamOffer:
    """A stream that a camera offers, by address; the registry opens it with the adapter of its scheme."""

    target: Target  # rtsp://..., host already the enrolled one
    layer: str  # main | sub
    encoding: str = ""  # as claimed: H264 H265 JPEG ...; "" where unknown
    width: int = 0  # px, claimed; 0 where unknown
    height: int = 0
    media_profile_token: str = ""
    video_source_token: str = ""
    named: str = ""  # the address as the camera named it, without credentials; the hub dials `target`
    secret_path: bool = False  # whoever knows the path may watch: it is stored, and shown nowhere


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe brought. `failure` is the error that ended it early, if one did (it is also in the facts)."""

    observations: Observations
    offers: tuple[StreamOffer, ...] = ()
    snapshot: Target | None = None
    failure: Exception | None = None
    samples: tuple[CodedSample, ...] = ()


@dataclass(frozen=True, slots=True)
class Track:
    """One media track of an open source (RFC 2326 "stream"; our word is track)."""

    index: int
    kind: str  # video | audio | application
    codec: str  # encoding name of the SDP, upper case: H264 H265 JPEG PCMU PCMA MPEG4-GENERIC ...
    clock_rate_hz: int
    parameter_sets: tuple[bytes, ...] = ()  # from the SDP: SPS, PPS (H264); VPS, SPS, PPS (H265)
    channels: int = 1
    configuration: bytes = b""  # of AAC: its AudioSpecificConfig, as the SDP has it (RFC 3640 4.1)


@dataclass(slots=True)
class AccessUnit:
    """One coded picture (or one audio frame), whole.

    `timestamp` counts `clock_rate_hz` ticks of the camera, unwrapped to 64 bit; `arrived_s` is the hub's
    monotonic time of its last packet. `nals` are NAL units without start codes; for other codecs one payload.
    """

    track: int
    timestamp: int
    arrived_s: float
    nals: list[bytes]
    key_frame: bool
    lost_packets: int = 0  # RTP packets missing just before or inside this unit
    lost_inside: int = 0  # of them those that may be its own


@runtime_checkable
class MediaSource(Protocol):
    """An open stream. One reader; `run` delivers until the source ends.

    A source that can ask its camera for a key frame has ``async key_frame() -> None`` besides, which raises
    AdapterError where the camera does not offer it. It is called for admitted municipal cameras only.
    """

    @property
    def tracks(self) -> tuple[Track, ...]:
        """Return the tracks that were set up."""

    async def run(self, sink: Callable[[AccessUnit], None]) -> None:
        """Deliver access units to `sink` (called in the event loop, must not block) until closed.

        Raises:
            AdapterError: the camera stopped or broke the protocol; typed as in `adapters.errors`.
        """

    async def aclose(self) -> None:
        """Tear the session down politely (TEARDOWN) within 2 s. Idempotent."""


@dataclass(frozen=True, slots=True)
class AdapterManifest:
    """What an adapter declares before it is loaded. Importing a manifest imports nothing heavy."""

    name: str
    version: str
    schemes: tuple[str, ...]
    default_ports: dict[str, int]
    facts: tuple[str, ...]  # prefixes of the facts it can observe: "onvif.", "time."
    load: Callable[[], "Adapter"]
    read_only: bool = True
    needs: str = ""  # module of the library that it drives, "" where it needs none beyond camhub's own
    extra: str = ""  # pip extra of camhub that brings that library
    aliases: Mapping[str, str] = field(
        default_factory=dict
    )  # other spellings of its schemes: kbvision -> dahua


class Adapter(Protocol):
    """A way to talk to a family of devices."""

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        """Collect observations. Never raises for a camera's fault; raises only for ours."""

    async def open(
        self,
        offer: StreamOffer,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        transport: str = "tcp",  # tcp | udp
        audio: bool = False,
    ) -> MediaSource:
        """Open a stream for relaying.

        Raises:
            AdapterError: see `adapters.errors`.
        """
