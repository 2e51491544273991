"""AAC over RTP: mpeg4-generic (RFC 3640, modes AAC-hbr and AAC-lbr) and MP4A-LATM (RFC 6416 section 6)."""

from collections.abc import Mapping

from adapters.port import AccessUnit
from adapters.rtsp.audio import AudioConfig
from adapters.rtsp.bits import BitReader
from adapters.rtsp.depacketize.base import Input, Pieces
from adapters.rtsp.tolerance import Tolerance, Tolerances

MAX_FRAME_BYTES = 65_536  # AAC frames hold at most 768 bytes per channel (ISO/IEC 14496-3)
MAX_FRAMES = 64  # in one packet
_MODES = {"aac-hbr": (13, 3, 3), "aac-lbr": (6, 2, 2)}  # RFC 3640 sections 3.3.5, 3.3.6
_ADTS_HEADER = 7


class AacDepacketizer:
    """Turns RFC 3640 payloads into raw AAC frames, without ADTS headers; each is a key frame."""

    def __init__(
        self,
        track: int,
        tolerances: Tolerances,
        *,
        parameters: Mapping[str, str],
        clock_rate_hz: int,
        config: AudioConfig | None,
    ) -> None:
        """Prepare from the SDP's format parameters; `config` is the AudioSpecificConfig among them, if readable."""
        self._track = track
        self._tolerances = tolerances
        self._frame_ticks = _number(parameters, "constantduration") or (
            config.frame_ticks(clock_rate_hz) if config is not None else 1024
        )
        size, index, delta = _MODES.get(parameters.get("mode", "").lower(), (13, 3, 3))
        told = tuple(_number(parameters, name) for name in ("sizelength", "indexlength", "indexdeltalength"))
        if told[0] is None or told[1] is None or told[2] is None:
            tolerances.note(Tolerance.AAC_LENGTHS_MISSING)  # quirk 43: what the mode prescribes is meant
        self._assumed = told[1] is None
        self._size_bits = size if told[0] is None else told[0]
        self._index_bits = index if told[1] is None else told[1]
        self._delta_bits = delta if told[2] is None else told[2]
        self._skipped_bits = _number(parameters, "auxiliarydatasizelength") or 0
        self._pieces = Pieces(MAX_FRAME_BYTES)
        self._wanted = 0  # bytes of the frame that comes in fragments
        self._lost = 0

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the frames that are now complete."""
        self._lost += item.lost
        if item.lost:
            self._drop_fragments()
        payload = item.payload
        if _is_adts(payload):  # a whole ADTS stream as payload, without AU headers (quirk 65)
            self._drop_fragments()
            frames = self._adts_frames(payload)
        else:
            frames = self._frames(payload, item)
        out = []
        for index, frame in enumerate(frames):
            out.append(
                AccessUnit(
                    self._track,
                    item.timestamp + index * self._frame_ticks,
                    item.arrived_s,
                    [frame],
                    True,
                    self._lost,
                )
            )
            self._lost = 0
        return out

    def flush(self) -> list[AccessUnit]:
        """Return nothing: a frame without its last fragment is not whole."""
        return []

    def _frames(self, payload: bytes, item: Input) -> list[bytes]:
        try:
            sizes, data = self._headers(payload)
        except ValueError:
            self._tolerances.note(Tolerance.AAC_UNREADABLE)
            self._drop_fragments()
            return []
        if len(sizes) == 1 and (self._wanted or sizes[0] > len(data)):
            return self._fragment(sizes[0], data, item)
        self._drop_fragments()
        frames = []
        for size in sizes:
            if size > len(data):
                self._tolerances.note(Tolerance.AAC_UNREADABLE)
                break
            if size:
                frames += self._without_adts(data[:size])
            data = data[size:]
        return frames

    def _headers(self, payload: bytes) -> tuple[list[int], bytes]:
        """Read the AU header section (section 3.2.1); return the frames' sizes and the data behind it.

        Raises:
            ValueError: it is cut short.
        """
        if len(payload) < 2:
            raise ValueError("no AU-headers-length")
        bits = payload[0] << 8 | payload[1]
        end = 2 + (bits + 7) // 8
        if end > len(payload):
            raise ValueError("the AU headers run past the packet")
        if (
            self._assumed
            and bits % (self._size_bits + self._index_bits)
            and not bits % max(1, self._size_bits)
        ):
            self._index_bits = self._delta_bits = 0  # RFC 3640's default for what the SDP leaves out
            self._assumed = False
        reader = BitReader(payload[2:end])
        sizes: list[int] = []
        used = 0
        while len(sizes) < MAX_FRAMES:
            index = self._delta_bits if sizes else self._index_bits
            if used + self._size_bits + index > bits or self._size_bits == 0:
                break
            sizes.append(reader.u(self._size_bits))
            reader.skip(index)
            used += self._size_bits + index
        if not sizes:
            raise ValueError("no AU header")
        if self._skipped_bits:  # auxiliary section (3.2.2)
            length = BitReader(payload[end:]).u(self._skipped_bits)
            end += (self._skipped_bits + length + 7) // 8
        return sizes, payload[end:]

    def _fragment(self, size: int, data: bytes, item: Input) -> list[bytes]:
        """Join a frame over several packets, each of which tells its whole size (section 3.2.3)."""
        if size != self._wanted:
            self._drop_fragments()
            if size <= len(data):
                return self._without_adts(data[:size]) if size else []
            self._wanted = size
        if not self._pieces.add(data):
            self._tolerances.note(Tolerance.UNIT_TOO_LARGE)
            self._forget()
            return []
        if self._pieces.size < self._wanted:
            if item.marker:
                self._drop_fragments()
            return []
        frame = self._pieces.joined()[:size]
        self._forget()
        return self._without_adts(frame)

    def _drop_fragments(self) -> None:
        if self._wanted:
            self._tolerances.note(Tolerance.FRAGMENT_UNFINISHED)
        self._forget()

    def _forget(self) -> None:
        self._pieces.clear()
        self._wanted = 0

    def _without_adts(self, frame: bytes) -> list[bytes]:
        return self._adts_frames(frame) if _is_adts(frame) else [frame]

    def _adts_frames(self, data: bytes) -> list[bytes]:
        """Take ADTS frames apart (ISO/IEC 13818-7, section 6.2): one raw frame each."""
        self._tolerances.note(Tolerance.AAC_ADTS)
        frames: list[bytes] = []
        while _is_adts(data) and len(frames) < MAX_FRAMES:
            length = (data[3] & 3) << 11 | data[4] << 3 | data[5] >> 5
            head = _ADTS_HEADER if data[1] & 1 else _ADTS_HEADER + 2
            if length <= head or length > len(data):
                self._tolerances.note(Tolerance.AAC_UNREADABLE)
                break
            frames.append(data[head:length])
            data = data[length:]
        return frames


class LatmDepacketizer:
    """Turns MP4A-LATM payloads into raw AAC frames. The configuration comes by the SDP (``cpresent=0``).

    Each AudioMuxElement is a PayloadLengthInfo, which counts in steps of 255, and the frame (ISO/IEC 14496-3 1.7.3).
    """

    def __init__(
        self,
        track: int,
        tolerances: Tolerances,
        *,
        clock_rate_hz: int,
        config: AudioConfig | None,
    ) -> None:
        self._track = track
        self._tolerances = tolerances
        self._frame_ticks = config.frame_ticks(clock_rate_hz) if config is not None else 1024
        self._frames = config.mux_frames if config is not None else 1
        self._pieces = Pieces(MAX_FRAME_BYTES)
        self._lost = 0
        self._torn = False

    def push(self, item: Input) -> list[AccessUnit]:
        """Take one payload and return the frames that are now complete: those up to the marker."""
        self._lost += item.lost
        if item.lost and self._pieces.size:
            self._tolerances.note(Tolerance.FRAGMENT_UNFINISHED)
            self._pieces.clear()
            self._torn = True
        if item.payload and not self._torn and not self._pieces.add(item.payload):
            self._tolerances.note(Tolerance.UNIT_TOO_LARGE)
            self._pieces.clear()
            self._torn = True
        if not item.marker:
            return []
        self._torn = False
        data = self._pieces.joined()
        out: list[AccessUnit] = []
        while data and len(out) < self._frames:
            size, position = 0, 0
            while position < len(data) and data[position] == 255:
                size += 255
                position += 1
            if position >= len(data) or position + 1 + size + data[position] > len(data):
                self._tolerances.note(Tolerance.AAC_UNREADABLE)
                break
            size += data[position]
            frame = data[position + 1 : position + 1 + size]
            data = data[position + 1 + size :]
            if frame:
                timestamp = item.timestamp + len(out) * self._frame_ticks
                out.append(AccessUnit(self._track, timestamp, item.arrived_s, [frame], True, self._lost))
                self._lost = 0
        return out

    def flush(self) -> list[AccessUnit]:
        """Return nothing: a frame without its marker is not whole."""
        return []


def _number(parameters: Mapping[str, str], name: str) -> int | None:
    text = parameters.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 32_768 else None


def _is_adts(data: bytes) -> bool:
    """Tell whether data begins with an ADTS header: sync word, layer 0 (ISO/IEC 13818-7, 6.2.1)."""
    return len(data) >= _ADTS_HEADER and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
