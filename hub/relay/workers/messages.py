"""What hub and worker say to each other: length-prefixed JSON over an inherited socket pair, one for each worker.

The hub opens with `Start`; the worker answers `Ready` (or `Failed`, and ends). Either side that reads the end of the
socket stops: the worker stops every frame at once, the hub starts another worker.
"""

import asyncio
from datetime import datetime
from typing import Any

import msgspec

from adapters.port import CodedPicture, CodedSample, PushSeen
from adapters.secret import Credential, Secret
from hub.decode.recode_messages import Coder
from hub.relay.events import (
    CameraPulled,
    Finding,
    LayerChanged,
    Masks,
    PushState,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
)
from hub.relay.workers.figures import CameraFigures
from standards.reason import Reason

MAX_MESSAGE = 4 << 20
MAX_KEY_FRAME = 2 << 20  # bytes; base64 makes a third more of it
_LENGTH = 4


class Start(msgspec.Struct, frozen=True, tag=True):
    """The first word: where to bind and what may be dialled."""

    hosts: tuple[str, ...]
    port: int
    public_addresses: tuple[str, ...]
    max_viewers: int
    max_cameras: int
    log_level: str
    log_format: str
    max_transcodes: int = 0
    transcode_width: int = 1280  # px, at most
    transcode_fps: float = 25.0
    transcode_bit_s: int = 2_000_000
    max_sounds: int = 0  # tracks of AAC recoded at once
    places_fd: int = -1  # of the places that all workers share (`places.py`); -1: they are its own
    idle_stop_s: float = 10.0  # a camera is let go so long after its last viewer
    door_fd: int = -1  # over which connections of RTSP come (`rtsp_door.py`); -1: none do
    push_kbit_s: int = 12_000  # what one encoder may push at most
    encoder: str = "software"  # auto | software | nvenc | qsv: what codes transcodes


class Network(msgspec.Struct, frozen=True, tag=True):
    """The dialer's rules: allowed ranges as text, whether public addresses may be dialled, where the hub listens."""

    allow: tuple[str, ...]
    public: bool
    listeners: tuple[tuple[str, int], ...]


class Source(msgspec.Struct, frozen=True):
    """A `SourceSpec` on its way. Carries one camera's credential, in memory, over a socket that no other process holds."""

    camera_id: str
    url: str
    user: str | None
    password: str
    transport: str
    codec: str
    device: str
    sub_url: str
    sub_codec: str
    both: bool
    may_ask: bool
    masks: Masks
    audio: bool
    sub_only: bool

    @classmethod
    def of(cls, spec: SourceSpec) -> "Source":
        """Return a description as it goes over the socket."""
        user = None if spec.credential is None else spec.credential.user
        password = "" if spec.credential is None else spec.credential.password.reveal()
        return cls(
            spec.camera_id,
            spec.url,
            user,
            password,
            spec.transport,
            spec.codec,
            spec.device,
            spec.sub_url,
            spec.sub_codec,
            spec.both,
            spec.may_ask,
            spec.masks,
            spec.audio,
            spec.sub_only,
        )

    def spec(self) -> SourceSpec:
        """Return the description."""
        return SourceSpec(
            self.camera_id,
            self.url,
            None if self.user is None else Credential(self.user, Secret(self.password)),
            self.transport,
            self.codec,
            self.device,
            self.sub_url,
            self.sub_codec,
            self.both,
            self.may_ask,
            self.audio,
            self.sub_only,
            self.masks,
        )


class View(msgspec.Struct, frozen=True, tag=True):
    """Answer an offer."""

    request: int
    viewer_id: str
    source: Source
    audio: bool
    offer: str
    wanted: str = "main"  # layer: main | sub | auto


class Publish(msgspec.Struct, frozen=True, tag=True):
    """Answer an encoder that pushes a camera; answered by `Answer`. `Trickle` and `Stop` take its id like a viewer's."""

    request: int
    push_id: str
    camera_id: str
    offer: str
    audio: bool
    by: str = ""  # whose push it is: the same one replaces a dead connection of its own


class ExaminePush(msgspec.Struct, frozen=True, tag=True):
    """Measure what is pushed for a camera; answered by `PushExamined`. Seconds."""

    request: int
    camera_id: str
    window_s: float
    samples: int
    within_s: float


class Read(msgspec.Struct, frozen=True, tag=True):
    """Send the pictures of a camera as `Segment`s; answered by `Reading`."""

    request: int
    viewer_id: str
    source: Source
    wanted: str
    codecs: tuple[str, ...] = ("H264",)  # what the recipient plays
    connection: int = 0  # of RTSP, which gets the packets in place of segments
    warm: bool = False  # nothing is sent: the stream is kept open, so that who comes begins at once


class OutputRefused(msgspec.Struct, frozen=True, tag=True):
    """The answer to `OutputWanted` where it is no; else `Read` with its connection."""

    connection: int
    status: int
    code: str
    detail: str


class Taken(msgspec.Struct, frozen=True, tag=True):
    """So many bytes of segments left the hub for their recipient: so many more may be sent."""

    viewer_id: str
    size: int


class Trickle(msgspec.Struct, frozen=True, tag=True):
    """Take a browser's candidates, or restart ICE; answered by `Trickled`."""

    request: int
    viewer_id: str
    fragment: str


class ChooseLayer(msgspec.Struct, frozen=True, tag=True):
    """Let a viewer have another layer; answered by `Done` at once, and by `LayerChanged` when it is so, or not."""

    request: int
    viewer_id: str
    wanted: str


class Examine(msgspec.Struct, frozen=True, tag=True):
    """Test the ways by which browsers reach the relay; answered by `Examined`. The secret goes to no other place."""

    request: int
    turn_urls: tuple[str, ...]
    turn_secret: str


class Renew(msgspec.Struct, frozen=True, tag=True):
    """These viewers are still allowed."""

    viewer_ids: tuple[str, ...]


class Stop(msgspec.Struct, frozen=True, tag=True):
    """End a viewer; answered by `Done` once no packet leaves any more."""

    request: int
    viewer_id: str
    code: str


class Beat(msgspec.Struct, frozen=True, tag=True):
    """Ask whether the worker's event loop runs; answered by `Alive`."""

    request: int


class Count(msgspec.Struct, frozen=True, tag=True):
    """Ask for the counters; `each`: also those of each camera."""

    request: int
    each: bool = False


class KeyFrameOf(msgspec.Struct, frozen=True, tag=True):
    """Ask for the newest key frame of a camera, if it is pulled from this address now."""

    request: int
    camera_id: str
    url: str


class CooldownIs(msgspec.Struct, frozen=True, tag=True):
    """The answer to `CooldownOf`."""

    request: int
    until: datetime | None


FromHub = (
    Start
    | Network
    | View
    | Publish
    | ExaminePush
    | Read
    | OutputRefused
    | Taken
    | Trickle
    | ChooseLayer
    | Examine
    | Renew
    | Stop
    | Beat
    | Count
    | KeyFrameOf
    | CooldownIs
)


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The worker listens."""

    port: int
    hosts: tuple[str, ...]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot work; it ends."""

    detail: str


class Answer(msgspec.Struct, frozen=True, tag=True):
    """The answer to `View`."""

    request: int
    sdp: str


class Reading(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Read`: what is sent."""

    request: int
    layer: str
    codec: str


class Segment(msgspec.Struct, frozen=True, tag=True):
    """A piece of fragmented MP4 for one recipient; `mime` is set where an initialisation segment begins anew."""

    viewer_id: str
    data: bytes
    mime: str
    key: bool


class Trickled(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Trickle`: our fragment where ICE was restarted, else empty."""

    request: int
    fragment: str


class Examined(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Examine`."""

    request: int
    findings: tuple[Finding, ...]


class PushExamined(msgspec.Struct, frozen=True, tag=True):
    """The answer to `ExaminePush`: a `PushSeen`, whose pictures are no more than a message holds."""

    request: int
    codec: str
    audio_codecs: tuple[str, ...]
    facts: dict[str, Any]
    missing: dict[str, tuple[str, str]]
    pictures: tuple[tuple[float, tuple[bytes, ...]], ...]

    @classmethod
    def of(cls, request: int, seen: PushSeen) -> "PushExamined":
        """Return what was measured as it goes over the socket."""
        pictures: list[tuple[float, tuple[bytes, ...]]] = []
        size = 0
        for one in seen.sample.pictures if seen.sample is not None else ():
            size += sum(map(len, one.nals))
            if size > MAX_KEY_FRAME:
                break
            pictures.append((one.at_s, one.nals))
        missing = {name: (str(reason), detail) for name, (reason, detail) in seen.missing.items()}
        return cls(request, seen.codec, seen.audio_codecs, dict(seen.facts), missing, tuple(pictures))

    def seen(self) -> PushSeen:
        """Return what was measured."""
        pictures = tuple(CodedPicture(at_s, nals) for at_s, nals in self.pictures)
        return PushSeen(
            self.codec,
            self.audio_codecs,
            self.facts,
            {name: (Reason(reason), detail) for name, (reason, detail) in self.missing.items()},
            CodedSample("main", self.codec, pictures) if pictures else None,
        )


class Done(msgspec.Struct, frozen=True, tag=True):
    """A request was carried out."""

    request: int


class Alive(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Beat`: with it what codes the transcodes. `coder` is of the newest news, `hardware` counts streams."""

    request: int
    coder: Coder | None
    hardware: int


class Counted(msgspec.Struct, frozen=True, tag=True):
    """The answer to `Count`."""

    request: int
    counters: dict[str, int]
    loop_lag_s: float = 0.0
    cameras: tuple[CameraFigures, ...] = ()


class KeyFrameIs(msgspec.Struct, frozen=True, tag=True):
    """The answer to `KeyFrameOf`; `arrived_at` is `None` where there is none, or none that is small enough."""

    request: int
    nals: tuple[bytes, ...]
    arrived_at: datetime | None


class Refused(msgspec.Struct, frozen=True, tag=True):
    """A request was refused: the fields of `RelayRefused`."""

    request: int
    status: int
    code: str
    detail: str
    retry_after_s: float


class OutputWanted(msgspec.Struct, frozen=True, tag=True):
    """A connection of RTSP asks for what a token opens. `digest`: SHA-256 of the token, hexadecimal."""

    connection: int
    digest: str
    address: str


class CooldownOf(msgspec.Struct, frozen=True, tag=True):
    """Ask until when a device's credential must not be sent."""

    request: int
    device: str


class CooldownStarted(msgspec.Struct, frozen=True, tag=True):
    """A device refused its credential."""

    device: str
    until: datetime


# The answers to requests, but for `Refused`.
Reply = Answer | Reading | Trickled | Examined | PushExamined | Done | Alive | Counted | KeyFrameIs

FromWorker = (
    Ready
    | Failed
    | Reply
    | Segment
    | OutputWanted
    | Refused
    | CooldownOf
    | CooldownStarted
    | ViewerConnected
    | ViewerEnded
    | SourceState
    | LayerChanged
    | CameraPulled
    | PushState
)

_encoder = msgspec.json.Encoder()
_from_hub: msgspec.json.Decoder[FromHub] = msgspec.json.Decoder(FromHub)
_from_worker: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


class Broken(Exception):
    """The other side sent what is no message: the connection cannot be used any more."""


def pack(message: FromHub | FromWorker) -> bytes:
    """Return a message as it goes over the socket.

    Raises:
        ValueError: it is longer than `MAX_MESSAGE`.
    """
    body = _encoder.encode(message)
    if len(body) > MAX_MESSAGE:
        raise ValueError(f"a relay message of {len(body)} bytes is longer than {MAX_MESSAGE}")
    return len(body).to_bytes(_LENGTH, "big") + body


async def _body(reader: asyncio.StreamReader) -> bytes | None:
    try:
        size = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        if size > MAX_MESSAGE:
            raise Broken(f"a relay message of {size} bytes was announced")
        return await reader.readexactly(size)
    except (asyncio.IncompleteReadError, ConnectionError):
        return None


async def read_from_hub(reader: asyncio.StreamReader) -> FromHub | None:
    """Return the hub's next message, `None` at the end of the socket.

    Raises:
        Broken: it cannot be read.
    """
    body = await _body(reader)
    try:
        return None if body is None else _from_hub.decode(body)
    except msgspec.DecodeError as error:
        raise Broken("the hub sent a message that this worker does not know") from error


async def read_from_worker(reader: asyncio.StreamReader) -> FromWorker | None:
    """Return the worker's next message, `None` at the end of the socket.

    Raises:
        Broken: it cannot be read.
    """
    body = await _body(reader)
    try:
        return None if body is None else _from_worker.decode(body)
    except msgspec.DecodeError as error:
        raise Broken("the worker sent a message that this hub does not know") from error
