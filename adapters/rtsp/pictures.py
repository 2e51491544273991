"""What the headers in a video track tell: picture format, completeness, picture types; one reader per codec. Sans I/O."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from adapters.rtsp import h264, h265, jpeg, mpeg4


@dataclass(frozen=True, slots=True)
class PictureFormat:
    """What the parameter sets say about the picture. An empty text: the codec's headers do not say it."""

    profile: str
    level: str
    chroma_format: str
    bit_depth: int
    width: int  # px
    height: int


class HeaderReader(ABC):
    """Reads the headers of one track as they come; the newest ones count (quirk 61)."""

    needed: frozenset[int] = frozenset()  # kinds of parameter sets without which nothing can be decoded

    def __init__(self, sets: Iterable[bytes]) -> None:
        """Prepare with the parameter sets of the SDP."""
        self.picture: PictureFormat | None = None
        self._in_band: set[int] = set()
        told = tuple(sets)
        self.from_sdp = bool(told)
        for data in told:
            self._learn(data)

    @property
    def in_band(self) -> bool:
        """Tell whether a whole group of parameter sets came with the pictures."""
        return bool(self.needed) and self.needed <= self._in_band

    @property
    def complete(self) -> bool:
        """Tell whether a decoder has what it needs beside the pictures."""
        return self.from_sdp or self.needed <= self._in_band

    def read(self, nals: Sequence[bytes]) -> None:
        """Learn what the headers of one picture tell. What is unreadable is passed over."""
        for data in nals:
            kind = self._learn(data)
            if kind is not None:
                self._in_band.add(kind)

    @abstractmethod
    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return the picture types (I, P, B, ...) of one picture's slices; empty where none is readable."""

    @abstractmethod
    def _learn(self, data: bytes) -> int | None:
        """Keep what a parameter set says; return its kind, None where it is none."""


class H264Reader(HeaderReader):
    """H.264: SPS, PPS, slice headers."""

    needed = frozenset({h264.SPS, h264.PPS})

    def _learn(self, data: bytes) -> int | None:
        kind = h264.nal_type(data)
        if kind == h264.SPS:
            try:
                sps = h264.parse_sps(data)
            except ValueError:
                return kind
            self.picture = PictureFormat(
                sps.profile, sps.level, sps.chroma_format, sps.bit_depth, sps.width, sps.height
            )
        return kind if kind in self.needed else None

    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return the slice types of one picture."""
        found = set()
        for nal in nals:
            if h264.nal_type(nal) in (h264.SLICE, h264.IDR):
                try:
                    found.add(h264.slice_type(nal))
                except ValueError:
                    continue
        return frozenset(found)


class H265Reader(HeaderReader):
    """H.265: VPS, SPS, PPS; slice headers are read through them."""

    needed = frozenset({h265.VPS, h265.SPS, h265.PPS})

    def __init__(self, sets: Iterable[bytes]) -> None:
        self._sps: dict[int, h265.Sps] = {}
        self._pps: dict[int, h265.Pps] = {}
        super().__init__(sets)

    def _learn(self, data: bytes) -> int | None:
        kind = h265.nal_type(data)
        try:
            if kind == h265.SPS:
                sps = h265.parse_sps(data)
                self._sps[sps.identifier] = sps
                self.picture = PictureFormat(
                    sps.profile, sps.level, sps.chroma_format, sps.bit_depth, sps.width, sps.height
                )
            elif kind == h265.PPS:
                pps = h265.parse_pps(data)
                self._pps[pps.identifier] = pps
        except ValueError:
            return kind
        return kind if kind in self.needed else None

    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return the slice types of one picture; a dependent slice has none."""
        found = set()
        for nal in nals:
            if 0 <= h265.nal_type(nal) <= h265.MAX_SLICE:
                try:
                    found.add(h265.slice_type(nal, self._sps, self._pps) or "")
                except ValueError:
                    continue
        return frozenset(found)


class Mpeg4Reader(HeaderReader):
    """MPEG-4 part 2: the video object layer, VOP types."""

    needed = frozenset({mpeg4.LAYER_START})

    def _learn(self, data: bytes) -> int | None:
        if not mpeg4.has_layer(data):
            return None
        try:
            layer = mpeg4.parse_layer(data)
        except ValueError:
            return mpeg4.LAYER_START
        told = PictureFormat(layer.profile, layer.level, layer.chroma_format, 8, layer.width, layer.height)
        if (
            layer.profile_level is None and self.picture is not None
        ):  # the sequence header came only with the SDP
            told = replace(told, profile=self.picture.profile, level=self.picture.level)
        self.picture = told
        return mpeg4.LAYER_START

    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return the VOP types of one picture."""
        return frozenset(kind for data in nals for kind in mpeg4.vop_types(data))


class JpegReader(HeaderReader):
    """JPEG: each picture tells its own size, and is an I picture."""

    def _learn(self, data: bytes) -> int | None:
        if self.picture is None:
            try:
                width, height = jpeg.picture_size(data)
            except ValueError:
                return None
            self.picture = PictureFormat("Baseline", "", "", 8, width, height)
        return None

    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return I."""
        return frozenset("I")


class NoReader(HeaderReader):
    """A codec whose headers the hub does not read."""

    def _learn(self, data: bytes) -> int | None:
        return None

    def types(self, nals: Sequence[bytes]) -> frozenset[str]:
        """Return nothing."""
        return frozenset()


def reader_for(codec: str, sets: Iterable[bytes]) -> HeaderReader:
    """Return the reader of a codec by the hub's name for it (H264 H265 MPEG4 JPEG)."""
    made: HeaderReader
    match codec:
        case "H264":
            made = H264Reader(sets)
        case "H265":
            made = H265Reader(sets)
        case "MPEG4":
            made = Mpeg4Reader(sets)
        case "JPEG":
            made = JpegReader(sets)
        case _:
            made = NoReader(sets)
    return made
