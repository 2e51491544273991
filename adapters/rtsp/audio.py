"""Audio formats by their configuration: AAC's AudioSpecificConfig (ISO/IEC 14496-3), G.726's packing (RFC 3551)."""

import re
from dataclasses import dataclass

from adapters.rtsp.bits import BitReader

_RATES_HZ = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_SBR, _PS = 5, 29
_CHANNELS = (0, 1, 2, 3, 4, 5, 6, 8)
_G726 = re.compile(r"(?:AAL2-)?G726-(16|24|32|40)$")


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """What an AudioSpecificConfig says (ISO/IEC 14496-3, table 1.15)."""

    object_type: int  # 2: AAC LC; 5: with SBR; 29: with PS
    sampling_hz: int  # of the core coder
    channels: int  # 0: told elsewhere
    frame_samples: int  # 1024 or 960, of the core coder
    mux_frames: int = 1  # frames in one AudioMuxElement (LATM)

    def frame_ticks(self, clock_rate_hz: int) -> int:
        """Return a frame's duration in ticks of the RTP clock, which SBR runs at twice the core's rate."""
        return max(1, round(self.frame_samples * clock_rate_hz / self.sampling_hz))


def parse_audio_config(data: bytes) -> AudioConfig:
    """Read an AudioSpecificConfig.

    Raises:
        ValueError: cut short, or with a reserved sampling rate.
    """
    return _specific_config(BitReader(data[:64]), 1)


def parse_mux_config(data: bytes) -> AudioConfig:
    """Read a StreamMuxConfig of one program and one layer (ISO/IEC 14496-3, table 1.42), as MP4A-LATM's SDP has it.

    Raises:
        ValueError: cut short, of version 1, or with several programs or layers.
    """
    reader = BitReader(data[:64])
    if reader.flag():
        raise ValueError("audioMuxVersion 1 is not read")
    reader.skip(1)  # allStreamsSameTimeFraming
    frames = reader.u(6) + 1
    if reader.u(4) or reader.u(3):
        raise ValueError("several programs or layers in one stream")
    return _specific_config(reader, frames)


def _specific_config(reader: BitReader, frames: int) -> AudioConfig:
    kind = _object_type(reader)
    rate = _sampling(reader)
    channels = reader.u(4)
    core = _core_type(reader) if kind in (_SBR, _PS) else kind
    # GASpecificConfig (table 4.1): all AAC variants begin with frameLengthFlag.
    short = core in (1, 2, 3, 4, 6, 7, 17, 19, 20, 21, 22, 23) and reader.left > 0 and reader.flag()
    return AudioConfig(
        kind, rate, _CHANNELS[channels] if channels < len(_CHANNELS) else 0, 960 if short else 1024, frames
    )


def _core_type(reader: BitReader) -> int:
    _sampling(reader)  # of the extension
    return _object_type(reader)


def _object_type(reader: BitReader) -> int:
    kind = reader.u(5)
    return 32 + reader.u(6) if kind == 31 else kind


def _sampling(reader: BitReader) -> int:
    index = reader.u(4)
    rate = reader.u(24) if index == 15 else _RATES_HZ[index] if index < len(_RATES_HZ) else 0
    if not rate:
        raise ValueError(f"sampling frequency index {index} is reserved")
    return rate


def g726_bits(codec: str) -> int:
    """Return the bits per sample of a G.726 encoding name (RFC 3551 section 4.5.4); 0 for any other codec."""
    found = _G726.match(codec)
    return int(found[1]) // 8 if found else 0


def repacked_g726(data: bytes, bits: int) -> bytes:
    """Return ATM AAL2's packing (first sample in the highest bits) in RFC 3551's (first sample in the lowest).

    Only whole groups of samples that end on a byte are kept, as RFC 3551 section 4.5.4 asks.
    """
    group = bits if bits % 2 else 1  # bytes
    count = group * 8 // bits
    out = bytearray()
    for start in range(0, len(data) - group + 1, group):
        value = int.from_bytes(data[start : start + group], "big")
        packed = 0
        for index in range(count):
            packed |= (value >> (count - 1 - index) * bits & (1 << bits) - 1) << index * bits
        out += packed.to_bytes(group, "little")
    return bytes(out)
