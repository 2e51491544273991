"""What a recoding process and the coding process beside it say to each other, over a socket pair of their own.

`Wanted` once, answered by `Coder` (it passed, and is confined) or `Unfit` (and the process ends); then `Raw`, each followed
by the picture's bytes (yuv420p without padding) and answered by `Given`, or by `Unfit` and the end.
"""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from hub.decode import limits
from hub.decode.language import Language, Word
from hub.decode.recode_messages import Coded, Coder

_Px = Annotated[int, Meta(ge=16, le=limits.MAX_SIDE_PX)]


class Wanted(msgspec.Struct, frozen=True, tag=True):
    """What is to be coded: even sizes in px, ticks of the timestamps a second, pictures and bits a second at most."""

    width: _Px
    height: _Px
    clock_hz: Annotated[int, Meta(ge=1, le=1 << 30)]
    fps: Annotated[float, Meta(gt=0, le=240)]
    bit_s: Annotated[int, Meta(ge=1000, le=1 << 30)]

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Return the bytes of the three planes."""
        luma = self.width * self.height
        return luma, luma // 4, luma // 4


class Raw(msgspec.Struct, frozen=True, tag=True):
    """Code the picture whose bytes follow; as a key frame where `key`."""

    at: Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
    key: bool


class Given(msgspec.Struct, frozen=True, tag=True):
    """What came out, in order; may be empty for a picture that comes with the next."""

    coded: Annotated[tuple[Coded, ...], Meta(max_length=16)]


class Unfit(msgspec.Struct, frozen=True, tag=True):
    """This hardware is not used, or not any more. `lasting`: not for another size either."""

    why: Word
    lasting: bool = True
    device: Word = ""


Asked = Wanted | Raw
Told = Coder | Given | Unfit
LANGUAGE: Final = Language[Asked, Told](
    "coding", Asked, Told, longest_asked=4096, longest_told=limits.MAX_RECODED + limits.MIB
)
