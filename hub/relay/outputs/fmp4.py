"""Fragmented MP4 for Media Source Extensions: pictures, and AAC where it is to be heard; one fragment per frame, no FFmpeg.

ISO/IEC 14496-12 (boxes), 14496-15 (avc1, hvc1), 14496-14 and 14496-1 (mp4a, esds), and the W3C byte stream format for ISO BMFF: an initialisation segment
(ftyp, moov with mvex), then media segments (moof, mdat) whose decode times stand in tfdt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from adapters.rtsp import h264, h265
from adapters.rtsp.audio import parse_audio_config
from adapters.rtsp.bits import without_emulation

TIMESCALE: Final = 90_000  # ticks a second of all times here
_TRACK, _SOUND_TRACK = 1, 2
_HEVC_VPS, _HEVC_SPS, _HEVC_PPS = 32, 33, 34  # H.265 table 7-1
_MATRIX: Final = b"".join(
    value.to_bytes(4, "big") for value in (0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
)
_SYNC, _NOT_SYNC = (
    0x0200_0000,
    0x0101_0000,
)  # sample flags, 8.8.3.1: depends on none; on others, and no sync sample
_CHROMA: Final = {"4:0:0": 0, "4:2:0": 1, "4:2:2": 2, "4:4:4": 3}  # chroma_format_idc


@dataclass(frozen=True, slots=True)
class VideoFormat:
    """What an initialisation segment says of the pictures. `sets` are parameter sets without start codes."""

    codec: str  # H264 | H265
    sets: tuple[bytes, ...]
    width: int  # px
    height: int

    @property
    def mime(self) -> str:
        """Return the type for `MediaSource.isTypeSupported` (RFC 6381; 14496-15 annex E)."""
        sps = self.of_type(h264.SPS if self.codec == "H264" else _HEVC_SPS)[0]
        words = f"avc1.{sps[1:4].hex()}" if self.codec == "H264" else _hevc_words(sps)
        return f'video/mp4; codecs="{words}"'

    def of_type(self, kind: int) -> list[bytes]:
        """Return the parameter sets of one NAL unit type."""
        number = h264.nal_type if self.codec == "H264" else h265.nal_type
        return [one for one in self.sets if number(one) == kind]


def video_format(codec: str, nals: Iterable[bytes]) -> VideoFormat | None:
    """Return the format that the parameter sets among these NAL units tell; `None` where some are missing.

    Raises:
        ValueError: a parameter set cannot be read.
    """
    number = h264.nal_type if codec == "H264" else h265.nal_type
    wanted = (h264.SPS, h264.PPS) if codec == "H264" else (_HEVC_VPS, _HEVC_SPS, _HEVC_PPS)
    sets = tuple(dict.fromkeys(nal for nal in nals if number(nal) in wanted))
    if {number(one) for one in sets} != set(wanted):
        return None
    first = next(one for one in sets if number(one) == (h264.SPS if codec == "H264" else _HEVC_SPS))
    if codec == "H264":
        avc = h264.parse_sps(first)
        return VideoFormat(codec, sets, avc.width, avc.height)
    hevc = h265.parse_sps(first)
    return VideoFormat(codec, sets, hevc.width, hevc.height)


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """What an initialisation segment says of AAC. `configuration`: its AudioSpecificConfig (ISO/IEC 14496-3 1.6)."""

    configuration: bytes
    rate_hz: int  # of the timestamps, and so of the track
    channels: int
    object_type: int
    frame: int  # ticks of one frame

    @classmethod
    def of(cls, configuration: bytes, rate_hz: int) -> "SoundFormat":
        """Return the format that an AudioSpecificConfig tells.

        Raises:
            ValueError: it cannot be read.
        """
        told = parse_audio_config(configuration)
        return cls(configuration, rate_hz, told.channels or 2, told.object_type, told.frame_ticks(rate_hz))

    @property
    def words(self) -> str:
        """Return its word among the codecs of a type (RFC 6381 3.3)."""
        return f"mp4a.40.{self.object_type}"

    @property
    def silence(self) -> bytes:
        """Return a frame of AAC LC in which nothing is heard: elements without any scale factor band, and the end (14496-3 4.4.2)."""
        # One SCE, or one CPE with a common window; max_sfb 0 leaves nothing else to be coded.
        return b"\x00\x00\x00\x07" if self.channels == 1 else b"\x21\x00\x00\x00\x00\x1c"


def mime_of(video: VideoFormat, sound: SoundFormat | None) -> str:
    """Return the type for `MediaSource.isTypeSupported` of both."""
    return video.mime if sound is None else f'{video.mime[:-1]}, {sound.words}"'


def init_segment(video: VideoFormat, sound: SoundFormat | None = None) -> bytes:
    """Return the initialisation segment."""
    tracks = (_TRACK,) if sound is None else (_TRACK, _SOUND_TRACK)
    return _box(b"ftyp", b"iso6", _u32(1), b"iso6", b"mp41") + _box(
        b"moov",
        _full(b"mvhd", 0, 0, _u32(0), _u32(0), _u32(TIMESCALE), _u32(0), _u32(0x10000), b"\x01\x00", bytes(10),
              _MATRIX, bytes(24), _u32(len(tracks) + 1)),
        _video_track(video),
        b"" if sound is None else _sound_track(sound),
        _box(b"mvex", *(_full(b"trex", 0, 0, _u32(one), _u32(1), _u32(0), _u32(0), _u32(0)) for one in tracks)),
    )  # fmt: skip


def fragment(
    sequence: int, decode_time: int, nals: Sequence[bytes], *, duration: int, key: bool, video: VideoFormat
) -> bytes:
    """Return a media segment with one picture; times in ticks of `TIMESCALE`.

    Parameter sets, delimiters and fillers among the NAL units are left out: the initialisation segment has the sets, and a
    new one must be sent before a picture that needs others.
    """
    left_out = _H264_LEFT_OUT if video.codec == "H264" else _H265_LEFT_OUT
    number = h264.nal_type if video.codec == "H264" else h265.nal_type
    sample = b"".join(_u32(len(nal)) + nal for nal in nals if number(nal) not in left_out)
    return _fragment(
        sequence, _TRACK, decode_time, sample, duration=duration, flags=_SYNC if key else _NOT_SYNC
    )


def sound_fragment(sequence: int, decode_time: int, frame: bytes, sound: SoundFormat) -> bytes:
    """Return a media segment with one frame of AAC; times in ticks of its rate."""
    return _fragment(sequence, _SOUND_TRACK, decode_time, frame, duration=sound.frame, flags=_SYNC)


def _fragment(
    sequence: int, track: int, decode_time: int, sample: bytes, *, duration: int, flags: int
) -> bytes:
    moof_size = 8 + 16 + 8 + 16 + 20 + 32
    moof = _box(
        b"moof",
        _full(b"mfhd", 0, 0, _u32(sequence & 0xFFFFFFFF)),
        _box(
            b"traf",
            _full(b"tfhd", 0, 0x020000, _u32(track)),  # default-base-is-moof
            _full(b"tfdt", 1, 0, decode_time.to_bytes(8, "big")),
            # data-offset, sample-duration, -size, -flags present
            _full(b"trun", 0, 0x000701, _u32(1), _u32(moof_size + 8), _u32(duration), _u32(len(sample)),
                  _u32(flags)),
        ),
    )  # fmt: skip
    return moof + _u32(8 + len(sample)) + b"mdat" + sample


_H264_LEFT_OUT: Final = frozenset(
    {h264.SPS, h264.PPS, h264.DELIMITER, h264.FILLER, h264.END_OF_SEQUENCE, h264.END_OF_STREAM, h264.SEI}
)
_H265_LEFT_OUT: Final = frozenset({_HEVC_VPS, _HEVC_SPS, _HEVC_PPS, 35, 36, 37, 38, 39, 40})


def _video_track(video: VideoFormat) -> bytes:
    size = (video.width << 16).to_bytes(4, "big") + (video.height << 16).to_bytes(4, "big")
    return _track(_TRACK, TIMESCALE, bytes(4) + _MATRIX + size, b"vide", _sample_entry(video))


def _sound_track(sound: SoundFormat) -> bytes:
    full_volume = b"\x01\x00\x00\x00"
    return _track(_SOUND_TRACK, sound.rate_hz, full_volume + _MATRIX + bytes(8), b"soun", _sound_entry(sound))


_MEDIA_HEADERS: Final = {b"vide": (b"vmhd", 0, 1, bytes(8)), b"soun": (b"smhd", 0, 0, bytes(4))}


def _track(number: int, rate_hz: int, shown: bytes, handler: bytes, entry: bytes) -> bytes:
    """Return a track without samples (14496-12 8.3): they come in fragments. `shown` is volume, matrix and size."""
    times, chunks, offsets = (_full(name, 0, 0, _u32(0)) for name in (b"stts", b"stsc", b"stco"))
    return _box(
        b"trak",
        _full(b"tkhd", 0, 3, _u32(0), _u32(0), _u32(number), _u32(0), _u32(0), bytes(12), shown),
        _box(
            b"mdia",
            _full(b"mdhd", 0, 0, _u32(0), _u32(0), _u32(rate_hz), _u32(0), b"\x55\xc4\x00\x00"),  # "und"
            _full(b"hdlr", 0, 0, _u32(0), handler, bytes(12), b"camhub\x00"),
            _box(
                b"minf",
                _full(*_MEDIA_HEADERS[handler]),
                _box(b"dinf", _full(b"dref", 0, 0, _u32(1), _full(b"url ", 0, 1))),
                _box(
                    b"stbl",
                    _full(b"stsd", 0, 0, _u32(1), entry),
                    times,
                    chunks,
                    _full(b"stsz", 0, 0, _u32(0), _u32(0)),
                    offsets,
                ),
            ),
        ),
    )


def _sound_entry(sound: SoundFormat) -> bytes:
    """Return the sample entry of AAC (14496-14 5.6) with its ES descriptor (14496-1 7.2.6)."""
    specific = _descriptor(5, sound.configuration)
    coder = _descriptor(4, b"\x40\x15" + bytes(11) + specific)  # Audio ISO/IEC 14496-3, an audio stream
    stream = _descriptor(3, b"\x00\x00\x00" + coder + _descriptor(6, b"\x02"))
    return _box(
        b"mp4a",
        bytes(6), b"\x00\x01", bytes(8), sound.channels.to_bytes(2, "big"), b"\x00\x10", bytes(4),
        (min(sound.rate_hz, 0xFFFF) << 16).to_bytes(4, "big"),
        _full(b"esds", 0, 0, stream),
    )  # fmt: skip


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes([tag, len(body)]) + body  # all of them are shorter than 128 bytes


def _sample_entry(video: VideoFormat) -> bytes:
    avc = video.codec == "H264"
    return _box(
        b"avc1" if avc else b"hvc1",
        bytes(6), b"\x00\x01", bytes(16),
        video.width.to_bytes(2, "big"), video.height.to_bytes(2, "big"),
        _u32(0x480000), _u32(0x480000), _u32(0), b"\x00\x01", bytes(32), b"\x00\x18\xff\xff",
        _avcc(video) if avc else _hvcc(video),
    )  # fmt: skip


def _avcc(video: VideoFormat) -> bytes:
    """Return AVCDecoderConfigurationRecord (14496-15 5.3.3.1): lengths of four bytes."""
    sps, pps = video.of_type(h264.SPS), video.of_type(h264.PPS)
    head = b"\x01" + sps[0][1:4] + bytes([0xFC | 3, 0xE0 | len(sps)])
    told = b""
    if sps[0][1] in {100, 110, 122, 144}:
        read = h264.parse_sps(sps[0])
        chroma, depth = _CHROMA.get(read.chroma_format, 1), 0xF8 | (read.bit_depth - 8)
        told = bytes([0xFC | chroma, depth, depth, 0])
    return _box(b"avcC", head, _sized(sps), bytes([len(pps)]), _sized(pps), told)


def _hvcc(video: VideoFormat) -> bytes:
    """Return HEVCDecoderConfigurationRecord (14496-15 8.3.3.1.2): lengths of four bytes."""
    groups = [(kind, video.of_type(kind)) for kind in (_HEVC_VPS, _HEVC_SPS, _HEVC_PPS)]
    sps = groups[1][1][0]
    read = h265.parse_sps(sps)
    chroma, depth = _CHROMA.get(read.chroma_format, 1), 0xF8 | (read.bit_depth - 8)
    arrays = b"".join(
        bytes([0x80 | kind]) + len(held).to_bytes(2, "big") + _sized(held) for kind, held in groups
    )
    return _box(
        b"hvcC",
        b"\x01", _hevc_tier_level(sps), b"\xf0\x00\xfc", bytes([0xFC | chroma, depth, depth]), b"\x00\x00",
        b"\x0f", bytes([len(groups)]), arrays,  # one temporal layer, nested
    )  # fmt: skip


def _hevc_tier_level(sps: bytes) -> bytes:
    """Return the 12 bytes of profile, compatibility, constraints and level that stand in an SPS (H.265 7.3.3)."""
    held = without_emulation(sps[: h265.MAX_HEADER])[3:15]
    if len(held) < 12:
        raise ValueError("the SPS ends within its profile and level")
    return held


def _hevc_words(sps: bytes) -> str:
    """Return the codecs word of an H.265 stream (14496-15 annex E.3)."""
    held = _hevc_tier_level(sps)
    space = ("", "A", "B", "C")[held[0] >> 6]
    flags = int.from_bytes(held[1:5], "big")
    compatible = int(f"{flags:032b}"[::-1], 2)
    constraints = [f"{byte:X}" for byte in held[5:11]]
    while constraints and constraints[-1] == "0":
        constraints.pop()
    tier = "H" if held[0] & 0x20 else "L"
    return ".".join(
        ["hvc1", f"{space}{held[0] & 0x1F}", f"{compatible:X}", f"{tier}{held[11]}", *constraints]
    )


def _box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _u32(8 + len(body)) + kind + body


def _full(kind: bytes, version: int, flags: int, *parts: bytes) -> bytes:
    return _box(kind, bytes([version]) + flags.to_bytes(3, "big"), *parts)


def _u32(value: int) -> bytes:
    return value.to_bytes(4, "big")


def _sized(units: Sequence[bytes]) -> bytes:
    return b"".join(len(unit).to_bytes(2, "big") + unit for unit in units)
