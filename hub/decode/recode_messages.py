"""What the relay and a recoding process say to each other: length-prefixed MessagePack over an inherited socket pair.

`Begin` and `OpenPicture` or `OpenSound` first, answered by `Ready` (or `Failed`, and the process ends); then units, each
answered by one `Done`, in order. What comes back is checked like any other hostile input.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from hub.decode import limits

MAX_REQUEST = limits.MAX_PICTURE + limits.MIB
MAX_REPLY = limits.MAX_RECODED + limits.MIB
_Word = Annotated[str, Meta(max_length=300)]
_Count = Annotated[int, Meta(ge=0, le=1 << 53)]


class Begin(msgspec.Struct, frozen=True, tag=True):
    """The first word. `memory` is how many bytes the process may take beyond what it holds when it is confined."""

    memory: int


class OpenPicture(msgspec.Struct, frozen=True, tag=True):
    """Recode pictures of `codec` to H.264.

    `clock_hz` is of the timestamps, in and out. Pictures wider than `max_width` px are scaled down; more than `max_fps` a
    second are thinned out; at most `bit_s` bits a second; a key frame at least each `key_every_s` seconds. `masks` are
    polygons over the picture, corners (x, y) from 0 to 1, whose inside is painted black before anything is coded.
    """

    codec: str
    clock_hz: int
    parameter_sets: tuple[bytes, ...]
    max_width: int
    max_fps: float
    bit_s: int
    key_every_s: float
    masks: tuple[tuple[tuple[float, float], ...], ...]


class OpenSound(msgspec.Struct, frozen=True, tag=True):
    """Recode sound of `codec` to Opus, 48 kHz, frames of 20 ms. `configuration` as the SDP has it (AudioSpecificConfig)."""

    codec: str
    clock_hz: int
    channels: int
    configuration: bytes
    bit_s: int


class Unit(msgspec.Struct, frozen=True, tag=True):
    """One access unit. `show` false: decode it, for the sake of those after it, but code nothing. `key`: begin anew."""

    number: int
    timestamp: int
    nals: tuple[bytes, ...]
    show: bool
    key: bool


FromHub = Begin | OpenPicture | OpenSound | Unit


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The process is confined as far as this machine allows, and its coder works."""

    applied: Annotated[tuple[_Word, ...], Meta(max_length=32)]
    missing: Annotated[tuple[_Word, ...], Meta(max_length=32)]


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The process cannot work; it ends."""

    detail: _Word


class Coded(msgspec.Struct, frozen=True, array_like=True):
    """One coded picture (NAL units without start codes) or one Opus frame. `timestamp` counts `clock_hz` ticks."""

    timestamp: int
    nals: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=64)]
    key: bool


class Done(msgspec.Struct, frozen=True, tag=True):
    """A unit was taken. `fault` says why it brought nothing, where it is damaged."""

    number: _Count
    coded: Annotated[tuple[Coded, ...], Meta(max_length=64)]
    fault: _Word = ""


FromWorker = Ready | Failed | Done

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
    limit = MAX_REPLY if isinstance(message, FromWorker) else MAX_REQUEST
    if len(body) > limit:
        raise ValueError(f"a recode message of {len(body)} bytes is longer than {limit}")
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
    """Read what a recoding process sent.

    Raises:
        Broken: it is no message, or one with values out of range.
    """
    try:
        return _from_worker.decode(body)
    except msgspec.MsgspecError as error:
        raise Broken("the recoding process sent a message that this hub does not know") from error
