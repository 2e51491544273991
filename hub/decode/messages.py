"""What hub and decode process say to each other: length-prefixed MessagePack over an inherited socket pair.

The hub says `Begin` once, the process answers `Ready` (or `Failed`, and ends); then one job at a time, each answered
by one reply. What comes back is checked like any other hostile input: the process has met a camera's bytes.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from hub.decode import limits

MAX_REQUEST = limits.MAX_JOB + limits.MIB
MAX_REPLY = limits.MAX_JPEG + limits.MIB

_Luma = Annotated[float, Meta(ge=0, le=255)]
_Count = Annotated[int, Meta(ge=0, le=limits.MAX_PICTURES)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Px = Annotated[int, Meta(ge=0, le=limits.MAX_SIDE_PX)]
_Word = Annotated[str, Meta(max_length=300)]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first word. `memory` is how many bytes the process may take beyond what it holds when it is confined."""

    memory: int


class StillJob(msgspec.Struct, frozen=True, tag=True):
    """Decode one picture and give it as a JPEG of at most `max_width` px; `cpu_s` of processor time kill.

    `masks` are polygons, corners (x, y) from 0 to 1, that are painted black before the JPEG is coded.
    """

    number: int
    codec: str
    nals: tuple[bytes, ...]
    max_width: int
    cpu_s: int
    masks: tuple[tuple[tuple[float, float], ...], ...] = ()


class JudgeJob(msgspec.Struct, frozen=True, tag=True):
    """Decode pictures, each alone, and give numbers about them; `cpu_s` of processor time kill."""

    number: int
    codec: str
    pictures: tuple[tuple[bytes, ...], ...]
    cpu_s: int


Job = StillJob | JudgeJob
FromHub = Begin | StillJob | JudgeJob


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process is confined as far as this machine allows, and has proven that it still decodes."""

    applied: Annotated[tuple[_Word, ...], Meta(max_length=32)]
    missing: Annotated[tuple[_Word, ...], Meta(max_length=32)]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The process cannot work; it ends."""

    detail: _Word


class StillDone(msgspec.Struct, frozen=True, tag=True):
    """The picture as a JPEG."""

    number: int
    jpeg: Annotated[bytes, Meta(min_length=4, max_length=limits.MAX_JPEG)]
    width: _Px
    height: _Px


class Judged(msgspec.Struct, frozen=True, tag=True):
    """The numbers; see `hub.decode.service.PictureFacts`. `changed` names each picture by its place in the job."""

    number: int
    decoded: Annotated[tuple[_Count, ...], Meta(max_length=limits.MAX_PICTURES)]
    luma_mean: _Luma
    luma_deviation: _Luma
    sharpness: Annotated[float, Meta(ge=0, le=4_200_000)]
    moved: Annotated[tuple[_Share, ...], Meta(max_length=limits.MAX_PICTURES)]
    width: _Px
    height: _Px


class Refused(msgspec.Struct, frozen=True, tag=True):
    """The job brought nothing; the process lives on, save after ``decode_memory``."""

    number: int
    code: _Word
    detail: _Word


FromWorker = Ready | Failed | StillDone | Judged | Refused

_encoder = msgspec.msgpack.Encoder()
_from_hub: msgspec.msgpack.Decoder[FromHub] = msgspec.msgpack.Decoder(FromHub)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


class Broken(Exception):
    """The other side sent what is no message: the connection cannot be used any more."""


def pack(message: FromHub | FromWorker) -> bytes:
    """Return a message as it goes over the socket.

    Raises:
        ValueError: it is longer than the other side takes.
    """
    body = _encoder.encode(message)
    limit = MAX_REQUEST if isinstance(message, FromHub) else MAX_REPLY
    if len(body) > limit:
        raise ValueError(f"a decode message of {len(body)} bytes is longer than {limit}")
    return len(body).to_bytes(limits.LENGTH, "big") + body


def of_hub(body: bytes) -> FromHub:
    """Read what the hub sent.

    Raises:
        Broken: it is no message.
    """
    try:
        return _from_hub.decode(body)
    except msgspec.MsgspecError as error:
        raise Broken("the hub sent a message that this process does not know") from error


def of_worker(body: bytes) -> FromWorker:
    """Read what a decode process sent.

    Raises:
        Broken: it is no message, or one with values out of range.
    """
    try:
        return _from_worker.decode(body)
    except msgspec.MsgspecError as error:
        raise Broken("the decode process sent a message that this hub does not know") from error
