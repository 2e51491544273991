"""Key frames kept from a media window, each decodable alone, for the decode process. Sans I/O."""

from adapters.port import AccessUnit, CodedPicture, CodedSample
from adapters.rtsp import h264, h265

MAX_PICTURE = (
    2 << 20
)  # bytes of one picture with its parameter sets; key frames of 4K cameras stay under 1 MB
MAX_SAMPLE = 16 << 20  # bytes of all pictures of one sample
_MAX_SETS = 32  # distinct parameter sets that are remembered
_SETS = {"H264": (h264.SPS, h264.PPS), "H265": (h265.VPS, h265.SPS, h265.PPS)}
_DELIMITER = {"H264": 9, "H265": 35}  # must stand first in an access unit, where the parameter sets go


class Sampler:
    """Keeps up to `wanted` key frames, evenly over a window: the window has as many slots, each takes its first one.

    The last key frame before the window fills the first slot, so that a camera whose key frames lie further apart
    than the window is long (quirk 66) has a picture too. Pictures with lost packets are never kept.
    """

    def __init__(self, codec: str, sets: tuple[bytes, ...], *, wanted: int, layer: str = "main") -> None:
        """Prepare; `sets` are the parameter sets of the SDP (for MPEG-4 its configuration)."""
        self._codec = codec
        self._layer = layer
        self._wanted = wanted
        self._kinds = _SETS.get(codec, ())
        self._sets: dict[bytes, None] = dict.fromkeys(sets[:_MAX_SETS])  # in the order they were seen last
        self._slots: dict[int, CodedPicture] = {}
        self._held = 0  # bytes
        self._begin_s: float | None = None
        self._slot_s = 0.0

    def begin(self, now_s: float, window_s: float) -> None:
        """Begin the window: it lasts `window_s` seconds from the monotonic time `now_s`."""
        self._begin_s = now_s
        self._slot_s = window_s / self._wanted if self._wanted else 0.0

    def unit(self, unit: AccessUnit) -> None:
        """Take one access unit."""
        if self._wanted <= 0:
            return
        for nal in unit.nals:
            if self._kind(nal) in self._kinds:
                self._sets.pop(nal, None)
                self._sets[nal] = None
                if len(self._sets) > _MAX_SETS:
                    del self._sets[next(iter(self._sets))]
        if unit.key_frame and not unit.lost_packets:
            self._key_frame(unit)

    @property
    def sample(self) -> CodedSample | None:
        """Return what was kept, None where nothing was."""
        pictures = tuple(self._slots[slot] for slot in sorted(self._slots))
        return CodedSample(self._layer, self._codec, pictures) if pictures else None

    def _key_frame(self, unit: AccessUnit) -> None:
        slot, at_s = 0, 0.0
        if self._begin_s is not None:
            at_s = max(0.0, unit.arrived_s - self._begin_s)
            slot = min(int(at_s / self._slot_s), self._wanted - 1) if self._slot_s > 0 else 0
            if slot in self._slots:
                return
        nals = (*self._in_order(), *(nal for nal in unit.nals if self._is_picture(nal)))
        size = sum(map(len, nals))
        held = self._held - (self._size(slot) if slot in self._slots else 0)
        if size > MAX_PICTURE or held + size > MAX_SAMPLE:
            return
        self._slots[slot] = CodedPicture(round(at_s, 3), nals)
        self._held = held + size

    def _in_order(self) -> list[bytes]:
        """Return the parameter sets by kind; of two with one identifier the newer one comes later and counts."""
        return sorted(self._sets, key=self._kind) if self._kinds else list(self._sets)

    def _is_picture(self, nal: bytes) -> bool:
        if not self._kinds:
            return True
        kind = self._kind(nal)
        return kind not in self._kinds and kind != _DELIMITER[self._codec]

    def _kind(self, nal: bytes) -> int:
        if not nal or not self._kinds:
            return -1
        return nal[0] & 0x1F if self._codec == "H264" else nal[0] >> 1 & 0x3F

    def _size(self, slot: int) -> int:
        return sum(map(len, self._slots[slot].nals))
