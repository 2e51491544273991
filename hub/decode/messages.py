"""What hub and decode process say to each other: once it is ready one job at a time, each answered by one reply."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hub.decode import limits
from hub.decode.language import Begin, Failed, Language, Ready, Word

_Luma = Annotated[float, Meta(ge=0, le=255)]
_Count = Annotated[int, Meta(ge=0, le=limits.MAX_PICTURES)]
_Share = Annotated[float, Meta(ge=0, le=1)]
_Px = Annotated[int, Meta(ge=0, le=limits.MAX_SIDE_PX)]


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
    code: Word
    detail: Word


FromWorker = Ready | Failed | StillDone | Judged | Refused
LANGUAGE: Final = Language[FromHub, FromWorker](
    "decode",
    FromHub,
    FromWorker,
    longest_asked=limits.MAX_JOB + limits.MIB,
    longest_told=limits.MAX_JPEG + limits.MIB,
)
