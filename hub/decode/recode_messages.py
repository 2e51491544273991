"""What the relay and a recoding process say to each other: length-prefixed MessagePack over an inherited socket pair.

`Begin` and `OpenPicture` or `OpenSound` first, answered by `Ready` (or `Failed`, and the process ends); then units, each
answered by one `Done`, in order. What comes back is checked like any other hostile input.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hub.decode import limits
from hub.decode.language import Begin, Failed, Language, Ready, Word

_Count = Annotated[int, Meta(ge=0, le=1 << 53)]


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


class Coded(msgspec.Struct, frozen=True, array_like=True):
    """One coded picture (NAL units without start codes) or one Opus frame. `timestamp` counts `clock_hz` ticks."""

    timestamp: int
    nals: Annotated[tuple[bytes, ...], Meta(min_length=1, max_length=64)]
    key: bool


class Coder(msgspec.Struct, frozen=True, tag=True):
    """What codes from now on.

    `name` is FFmpeg's; `device` the hardware's name, which for libx264 is the one that is not used, or not any more, because
    of `why`. `aside`: that holds for other streams too. `applied` and `missing` tell what confines hardware's process.
    """

    name: Word
    device: Word = ""
    why: Word = ""
    aside: bool = False
    applied: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()
    missing: Annotated[tuple[Word, ...], Meta(max_length=32)] = ()

    @property
    def hardware(self) -> bool:
        """Tell whether a device codes."""
        return bool(self.device) and not self.why


class Done(msgspec.Struct, frozen=True, tag=True):
    """A unit was taken. `fault` says why it brought nothing, where it is damaged; `coder` what codes, where that is news."""

    number: _Count
    coded: Annotated[tuple[Coded, ...], Meta(max_length=64)]
    fault: Word = ""
    coder: Coder | None = None


FromWorker = Ready | Failed | Done
LANGUAGE: Final = Language[FromHub, FromWorker](
    "recoding",
    FromHub,
    FromWorker,
    longest_asked=limits.MAX_PICTURE + limits.MIB,
    longest_told=limits.MAX_RECODED + limits.MIB,
)
