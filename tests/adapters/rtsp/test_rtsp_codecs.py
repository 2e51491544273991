"""H.264, H.265 and JPEG headers, against what libx264 and libx265 write and what FFmpeg reads."""

import contextlib
from functools import cache

import av
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st
from rtsp_support import encoded, nals, pixels

from adapters.rtsp import h264, h265, jpeg
from adapters.rtsp.bits import BitReader, without_emulation


@cache
def encoded265(
    width: int = 320, height: int = 240, b_frames: int = 0, pixels: str = "yuv420p"
) -> tuple[tuple[bytes, ...], ...]:
    """Return access units from libx265."""
    coder = av.CodecContext.create("libx265", "w")
    coder.width, coder.height, coder.pix_fmt = width, height, pixels
    coder.framerate = 25
    coder.options = {
        "preset": "ultrafast",
        "x265-params": f"log-level=none:keyint=10:bframes={b_frames}:b-adapt=0:slices=2:repeat-headers=1",
    }
    packets = []
    for number in range(12):
        frame = av.VideoFrame(width, height, pixels)
        for plane in frame.planes:
            plane.update(bytes([number * 9 % 256]) * plane.buffer_size)
        frame.pts = number
        packets += coder.encode(frame)
    packets += coder.encode(None)
    return tuple(nals(bytes(packet)) for packet in packets)


@pytest.mark.parametrize(("width", "height"), [(320, 240), (322, 242), (1280, 720), (1920, 1080), (96, 96)])
def test_h264_size_is_cropped_as_encoded(width: int, height: int) -> None:
    """Width and height come out as put in, also where cropping is needed (1080 is not a multiple of 16)."""
    sps = next(nal for unit in encoded(2, width, height) for nal in unit if h264.nal_type(nal) == h264.SPS)
    read = h264.parse_sps(sps)
    assert (read.width, read.height, read.chroma_format, read.bit_depth) == (width, height, "4:2:0", 8)
    assert read.frame_rate == pytest.approx(25.0)
    assert read.reorder_frames == 0
    assert h264.parse_sps(sps + b"\x80\x00\x00trailing").width == width


def test_h264_profiles_levels_and_high_chroma() -> None:
    """Names as people know them; High 4:2:2 10 bit read from its SPS (made by libx264, 640x360 at level 3.0)."""
    constrained = bytes.fromhex("6742c01eda0280f6c05a830303528000000300800000194" + "78b1750")
    read = h264.parse_sps(constrained)
    assert (read.profile, read.level, read.width, read.height) == ("Constrained Baseline", "3.0", 640, 480)
    high = next(nal for unit in encoded(4, b_frames=2) for nal in unit if h264.nal_type(nal) == h264.SPS)
    told = h264.parse_sps(high)
    assert told.profile == "Main"
    assert told.reorder_frames in (1, 2)


def test_h264_slice_types_tell_b_frames() -> None:
    """B slices are found exactly where FFmpeg sees B pictures."""
    units = encoded(12, b_frames=2)
    kinds = [
        h264.slice_type(next(nal for nal in unit if h264.nal_type(nal) in (h264.SLICE, h264.IDR)))
        for unit in units
    ]
    decoder = av.CodecContext.create("h264", "r")
    pictures = []
    for packet in decoder.parse(
        b"".join(b"\0\0\0\1" + nal for unit in units for nal in unit) + b"\0\0\0\1\x09\x10"
    ):
        pictures += decoder.decode(packet)
    pictures += decoder.decode(None)
    assert sorted(kinds) == sorted(PictureType(picture.pict_type).name for picture in pictures)
    assert "B" in kinds
    assert {h264.slice_type(unit[-1]) for unit in encoded(12)} == {"I", "P"}


@pytest.mark.parametrize(
    ("width", "height", "pixels", "chroma", "depth"),
    [
        (320, 240, "yuv420p", "4:2:0", 8),
        (322, 242, "yuv420p", "4:2:0", 8),
        (640, 360, "yuv422p10le", "4:2:2", 10),
    ],
)
def test_h265_sps(width: int, height: int, pixels: str, chroma: str, depth: int) -> None:
    """Size, chroma, depth and profile as encoded."""
    if pixels != "yuv420p" and pixels not in {
        form.name for form in av.codec.Codec("libx265", "w").video_formats or ()
    }:
        pytest.skip(f"this libx265 encodes no {pixels}")
    unit = encoded265(width, height, 0, pixels)[0]
    read = h265.parse_sps(next(nal for nal in unit if h265.nal_type(nal) == h265.SPS))
    assert (read.width, read.height, read.chroma_format, read.bit_depth) == (width, height, chroma, depth)
    assert read.profile == ("Main" if depth == 8 else "Range Extensions")


@pytest.mark.parametrize(("b_frames", "kinds"), [(0, {"I", "P"}), (2, {"I", "P", "B"})])
@pytest.mark.parametrize(("width", "height"), [(320, 240), (256, 256)])  # 64 coding blocks: a power of two
def test_h265_slice_types_need_their_parameter_sets(
    width: int, height: int, b_frames: int, kinds: set[str]
) -> None:
    """Every slice of every picture is read through its PPS and SPS, second slices with an address too."""
    sps: dict[int, h265.Sps] = {}
    pps: dict[int, h265.Pps] = {}
    found: set[str] = set()
    slices = 0
    for unit in encoded265(width, height, b_frames):
        for nal in unit:
            kind = h265.nal_type(nal)
            if kind == h265.SPS:
                read = h265.parse_sps(nal)
                sps[read.identifier] = read
            elif kind == h265.PPS:
                picture = h265.parse_pps(nal)
                pps[picture.identifier] = picture
            elif kind <= h265.MAX_SLICE:
                slices += 1
                found.add(h265.slice_type(nal, sps, pps) or "dependent")
    assert found == kinds
    assert slices == 24
    with pytest.raises(ValueError, match="parameter sets"):
        h265.slice_type(encoded265()[1][-1], {}, {})


@given(st.binary(max_size=120))
def test_hostile_headers_raise_only_value_errors(data: bytes) -> None:
    """Random bytes behind any NAL header are read or refused, and what is read is within bounds."""
    for first in (0x67, 0x65, 0x41, 0x61):
        for read in (h264.parse_sps, h264.slice_type):
            try:
                got = read(bytes([first]) + data)
            except ValueError:
                continue
            if isinstance(got, h264.Sps):
                assert 0 < got.width <= h264.MAX_PICTURE_PX
    for header in (b"\x42\x01", b"\x44\x01", b"\x26\x01", b"\x02\x01"):
        try:
            wide = h265.parse_sps(header + data)
        except ValueError:
            continue
        assert 0 < wide.width <= h265.MAX_PICTURE_PX
    for header in (b"\x44\x01", b"\x26\x01"):
        for work in (h265.parse_pps, lambda nal: h265.slice_type(nal, {}, {0: h265.Pps(0, 0, True, 7)})):
            try:
                work(header + data)
            except ValueError:
                continue
    with contextlib.suppress(ValueError):
        jpeg.picture_size(b"\xff\xd8" + data)


@given(st.lists(st.integers(0, 2**32 - 2), max_size=8))
def test_exp_golomb_numbers_read_back(values: list[int]) -> None:
    """What is written as ue(v) is read as the same numbers."""
    bits = "".join(f"{value + 1:b}".zfill(2 * (value + 1).bit_length() - 1) for value in values) + "1"
    bits += "0" * (-len(bits) % 8)
    reader = BitReader(int(bits, 2).to_bytes(len(bits) // 8, "big"))
    assert [reader.ue() for _ in values] == values
    assert not reader.more_data()


@given(st.binary(max_size=60))
def test_emulation_prevention_is_taken_out_exactly(rbsp: bytes) -> None:
    """Inserting 03 as H.264 7.4.1 asks and taking it out again gives the bytes back."""
    out = bytearray()
    zeros = 0
    for byte in rbsp:
        if zeros >= 2 and byte <= 3:
            out.append(3)
            zeros = 0
        out.append(byte)
        zeros = zeros + 1 if byte == 0 else 0
    assert without_emulation(bytes(out)) == rbsp


@pytest.mark.parametrize("quality", [1, 30, 50, 75, 99])
def test_jpeg_tables_scale_with_quality(quality: int) -> None:
    """Q 50 gives the tables of T.81 annex K; others scale within 1..255 (RFC 2435 section 4.2)."""
    tables = jpeg.tables_for_quality(quality)
    assert len(tables) == 128
    assert min(tables) >= 1
    if quality == 50:
        assert tables[:4] == bytes((16, 11, 12, 14))


def test_jpeg_header_is_read_by_ffmpeg() -> None:
    """A picture made of our header and FFmpeg's own entropy-coded data decodes to the same pixels."""
    coder = av.CodecContext.create("mjpeg", "w")
    coder.width, coder.height, coder.pix_fmt = 64, 48, "yuvj420p"
    coder.framerate = 25
    coder.options = {"huffman": "default"}
    frame = av.VideoFrame(64, 48, "yuvj420p")
    for index, plane in enumerate(frame.planes):
        plane.update(bytes((number * (index + 3)) % 256 for number in range(plane.buffer_size)))
    frame.pts = 0
    picture = bytes([*coder.encode(frame), *coder.encode(None)][0])
    assert jpeg.picture_size(picture) == (64, 48)
    table = picture[picture.index(b"\xff\xdb") + 5 :][:64]
    restart = int.from_bytes(picture[picture.index(b"\xff\xdd") + 4 :][:2], "big")
    scan = picture.index(b"\xff\xda")
    data = picture[scan + 2 + int.from_bytes(picture[scan + 2 : scan + 4], "big") :]
    rebuilt = jpeg.jfif_header(jpeg.Frame(64, 48, 1, restart, table)) + data

    assert pixels(rebuilt) == pixels(picture)
