"""Streams recoded by a real, confined process; decoded again here to see what a viewer would see."""

import asyncio
import os
import signal
from collections.abc import Coroutine, Sequence
from fractions import Fraction
from typing import Any, TypeVar

import av
import pytest
from av.audio.codeccontext import AudioCodecContext
from av.audio.frame import AudioFrame
from av.video.frame import VideoFrame
from decode_pictures import nals_of, picture
from hypothesis import given
from hypothesis import strategies as st

from adapters.rtsp import h264
from hub.decode import pictures
from hub.decode import recode_messages as m
from hub.decode.errors import DecoderCrashed, DecodeUnavailable
from hub.decode.masks import spans
from hub.decode.recode import RecodeSetup, Recoding

T = TypeVar("T")
Unit = tuple[int, Sequence[bytes]]


def how(codec: str, **changed: Any) -> m.OpenPicture:
    """Return how a stream of 90 kHz is recoded, with changes."""
    told: dict[str, Any] = {
        "codec": codec,
        "clock_hz": 90_000,
        "parameter_sets": (),
        "max_width": 1280,
        "max_fps": 25.0,
        "bit_s": 1_000_000,
        "key_every_s": 2.0,
        "masks": (),
    }
    return m.OpenPicture(**{**told, **changed})


pytestmark = pytest.mark.long


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine within a limit that a busy machine does not meet."""

    async def limited() -> T:
        async with asyncio.timeout(60):
            return await work

    return asyncio.run(limited())


async def recoded(
    asked: m.OpenPicture | m.OpenSound, units: Sequence[Unit], *, want_key: int = -1
) -> tuple[list[m.Coded], Recoding]:
    """Feed units one by one, each after the one before was answered; return what came of them."""
    out: list[m.Coded] = []
    recoding = await Recoding.start(RecodeSetup(), asked, out.append)
    running = asyncio.create_task(recoding.run())
    try:
        for place, (stamp, nals) in enumerate(units):
            assert recoding.feed(stamp, list(nals), key_frame=place == 0, want_key=place == want_key)
            while recoding.waiting and not running.done():
                await asyncio.sleep(0.005)
        if running.done():
            running.result()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await recoding.aclose()
    return out, recoding


def luma_at(nals: Sequence[bytes], x: float, y: float) -> int:
    """Return the luma of a decoded key frame at a place from 0 to 1."""
    frame = pictures.decode("H264", nals)
    plane = frame.planes[0]
    return memoryview(plane)[int(y * frame.height) * plane.line_size + int(x * frame.width)]


def stream_with_b_pictures(count: int) -> list[Unit]:
    """Return an H.264 stream with B pictures, in the order in which a camera sends it."""
    coder = av.CodecContext.create("libx264", "w")
    coder.width, coder.height, coder.pix_fmt = 320, 192, "yuv420p"
    coder.time_base = Fraction(1, 25)
    coder.max_b_frames = 2
    coder.gop_size = 100
    coder.options = {"x264-params": "threads=1:b-adapt=0:repeat-headers=1"}
    out: list[Unit] = []
    for number in [*range(count), None]:
        frame = None
        if number is not None:
            frame = VideoFrame(320, 192, "yuv420p")
            for plane in frame.planes:
                plane.update(bytes([40 + 5 * number]) * plane.buffer_size)
            frame.pts = number
        for packet in coder.encode(frame):
            assert packet.pts is not None
            out.append((packet.pts * 3600, nals_of(bytes(packet))))
    return out


@pytest.mark.parametrize("codec", ["JPEG", "H265", "MPEG4"])
def test_other_codecs_become_h264_that_a_browser_takes(codec: str) -> None:
    """Each picture in gives one picture out, Main profile without B pictures, the first a key frame with its sets.

    x265 says in its SPS that pictures may be out of order, so the decoder keeps one back.
    """
    units = [(3600 * number, picture(codec, seed=number)) for number in range(4)]
    out, _ = run(recoded(how(codec), units))

    assert stamps(out) == [stamp for stamp, _ in units[: 3 if codec == "H265" else 4]]
    assert [one.key for one in out] == [True, *[False] * (len(out) - 1)]
    kinds = [h264.nal_type(nal) for nal in out[0].nals]
    assert kinds == [h264.SPS, h264.PPS, h264.IDR]
    sps = h264.parse_sps(out[0].nals[0])
    assert (sps.profile_idc, sps.width, sps.height) == (77, 320, 192)
    assert not sps.may_reorder


def test_b_pictures_come_out_in_the_order_in_which_they_are_shown() -> None:
    """A stream that browsers cannot play over WebRTC becomes one that they can; none is lost but those still inside."""
    units = stream_with_b_pictures(12)
    assert [stamp for stamp, _ in units] != sorted(stamp for stamp, _ in units)
    out, recoding = run(recoded(how("H264"), units))

    stamps = [one.timestamp for one in out]
    assert stamps == sorted(stamps)
    assert len(out) >= 9
    assert recoding.faults == 0


def test_a_wide_picture_is_scaled_and_a_fast_stream_thinned_out() -> None:
    """No more pixels and pictures are coded than asked; the shape stays."""
    units = [(1800 * number, picture("JPEG", 640, 384)) for number in range(8)]  # 50 a second
    out, _ = run(recoded(how("JPEG", max_width=320, max_fps=12.5), units))

    sps = h264.parse_sps(out[0].nals[0])
    assert (sps.width, sps.height) == (320, 192)
    assert [one.timestamp for one in out] == [0, 7200]


def test_a_key_frame_comes_when_it_is_asked_for() -> None:
    """A viewer that lacks one does not wait for the next by the clock."""
    units = [(3600 * number, picture("JPEG", seed=number % 2)) for number in range(6)]
    out, _ = run(recoded(how("JPEG"), units, want_key=4))

    assert [one.key for one in out] == [True, False, False, False, True, False]


def test_masked_zones_are_black_and_the_rest_is_not() -> None:
    """What the owner declared private is painted before anything is coded."""
    corner = ((0.0, 0.0), (0.5, 0.0), (0.5, 0.5), (0.0, 0.5))
    out, _ = run(recoded(how("JPEG", masks=(corner,)), [(0, picture("JPEG", flat=180))]))

    assert luma_at(out[0].nals, 0.25, 0.25) < 24
    assert luma_at(out[0].nals, 0.48, 0.48) < 60  # within the zone's edge, but for what coding smears
    assert luma_at(out[0].nals, 0.75, 0.25) > 120
    assert luma_at(out[0].nals, 0.25, 0.75) > 120


def test_a_camera_that_changes_its_size_goes_on() -> None:
    """The coder begins anew with a key frame of the new size."""
    units = [(0, picture("JPEG")), (3600, picture("JPEG", 640, 384)), (7200, picture("JPEG", 640, 384))]
    out, _ = run(recoded(how("JPEG"), units))

    assert [one.key for one in out] == [True, True, False]
    assert h264.parse_sps(out[1].nals[0]).width == 640


def test_damaged_pictures_cost_themselves_alone() -> None:
    """What cannot be decoded brings nothing; the next picture comes as before."""
    units: list[Unit] = [
        (0, picture("JPEG")),
        (3600, [b"\xff\xd8\xff" + os.urandom(2000)]),
        (7200, [b"hello"]),
        (10800, picture("JPEG")),
    ]
    out, recoding = run(recoded(how("JPEG"), units))

    assert [one.timestamp for one in out] == [0, 10800]
    assert recoding.faults == 2


def test_aac_becomes_opus_in_step_with_its_clock() -> None:
    """Frames of 20 ms, 48 kHz, whose timestamps run on without a gap."""
    coder = AudioCodecContext.create("aac", "w")
    coder.sample_rate, coder.layout, coder.format = 16_000, "mono", "fltp"
    units: list[Unit] = []
    for number in range(20):
        frame = AudioFrame("fltp", "mono", 1024)
        frame.sample_rate, frame.pts = 16_000, number * 1024
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        units += [(len(units) * 1024, [bytes(packet)]) for packet in coder.encode(frame)]
    assert coder.extradata
    asked = m.OpenSound("MPEG4-GENERIC", 16_000, 1, bytes(coder.extradata), 24_000)
    out, _ = run(recoded(asked, units))

    assert len(out) > 40
    assert {b - a for a, b in zip(stamps(out), stamps(out)[1:], strict=False)} == {960}
    decoder = AudioCodecContext.create("libopus", "r")
    decoder.sample_rate = 48_000
    assert sum(frame.samples for one in out for frame in decoder.decode(av.Packet(one.nals[0]))) > 30_000


def stamps(coded: Sequence[m.Coded]) -> list[int]:
    """Return the timestamps."""
    return [one.timestamp for one in coded]


def test_a_process_that_dies_says_so() -> None:
    """Whoever reads is told; nothing waits for ever."""

    async def work() -> None:
        recoding = await Recoding.start(RecodeSetup(), how("JPEG"), lambda _coded: None)
        try:
            os.kill(recoding.pid, signal.SIGKILL)
            with pytest.raises(DecoderCrashed, match="signal 9"):
                await recoding.run()
        finally:
            await recoding.aclose()

    run(work())


def test_a_process_that_falls_behind_shows_what_is_new() -> None:
    """Units that pile up are not coded; beyond that they are left out up to the next key frame."""

    async def work() -> None:
        out: list[m.Coded] = []
        recoding = await Recoding.start(RecodeSetup(), how("JPEG"), out.append)
        coded = list(picture("JPEG"))
        taken = [recoding.feed(3600 * number, coded, key_frame=number == 0) for number in range(40)]
        assert taken.count(False) > 10
        assert recoding.hidden > 0
        running = asyncio.create_task(recoding.run())
        while recoding.waiting:
            await asyncio.sleep(0.005)
        assert not recoding.feed(3600 * 41, coded, key_frame=False)
        assert recoding.feed(3600 * 42, coded, key_frame=True)
        while stamps(out)[-1:] != [3600 * 42]:
            await asyncio.sleep(0.005)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await recoding.aclose()

    run(work())


def test_an_unknown_codec_is_refused_in_words() -> None:
    """The reason names the codec."""
    with pytest.raises(DecodeUnavailable, match="VP9"):
        run(Recoding.start(RecodeSetup(), how("VP9"), lambda _coded: None))


corners = st.tuples(st.floats(0, 1), st.floats(0, 1))


@given(st.lists(corners, min_size=3, max_size=8), st.integers(2, 60), st.integers(2, 40))
def test_every_corner_of_a_mask_is_covered(
    polygon: list[tuple[float, float]], width: int, height: int
) -> None:
    """Rounding never uncovers what was declared: each corner's pixel is painted, and nothing outside the picture."""
    painted = {
        (row, column) for row, begin, end in spans([polygon], width, height) for column in range(begin, end)
    }
    assert all(0 <= row < height and 0 <= column < width for row, column in painted)
    for x, y in polygon:
        assert (min(int(y * height), height - 1), min(int(x * width), width - 1)) in painted
