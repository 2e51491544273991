"""Every camera plays in every browser, or says why not: copied, by another layer, or recoded once for all viewers."""

import asyncio
import contextlib
import os
import signal
from pathlib import Path
from typing import Any

import av
import pytest
from conftest import Harness, engine_with, run, spec, until
from patience import PATIENCE_S
from relay_camera import SyntheticCamera
from relay_client import Watching
from relay_coded import coded_camera
from relay_lean import Lean

from hub.relay.camera import packetise265
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, ViewerEnded
from hub.relay.outputs.mse import MseReader, Segment

SUB = "synthetic://camera/sub"
LEFT_HALF = (((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)),)
RECODING = EngineLimits(max_transcodes=2, source_within_s=40.0)
H265_LINES = (
    "a=rtpmap:108 H265/90000",
    "a=fmtp:108 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST",
    "a=rtcp-fb:108 nack",
    "a=rtcp-fb:108 nack pli",
)

pytestmark = pytest.mark.slow


def offer_with_h265(viewer: Lean, *lines: str) -> str:
    """Return an offer of H.264 and H.265."""
    return viewer.offer(extra=lines or H265_LINES).replace("SAVPF 106 107", "SAVPF 106 107 108")


def recoders() -> list[int]:
    """Return the recoding processes of this test's process."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                told = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(told[1]) == os.getpid() and b"recode_worker" in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found


async def shown(relay: Harness, more: int = 5, **fields: Any) -> tuple[str, Watching]:
    """Play in a peer connection that nobody here wrote, until pictures were decoded."""
    viewer, given = Watching(), []

    async def answer(offer: str) -> str:
        viewer_id, text = await relay.view(offer, **fields)
        given.append(viewer_id)
        return text

    await viewer.play(answer)
    await until(lambda: viewer.frames >= more, 60, "decoded pictures")
    return given[0], viewer


def luma(frame: av.VideoFrame) -> tuple[float, float]:
    """Return the mean brightness of the left quarter and the right quarter of a picture."""
    plane, quarter = frame.planes[0], frame.width // 4
    pixels = memoryview(plane)
    rows = [pixels[row * plane.line_size :][: frame.width] for row in range(frame.height)]
    area = quarter * frame.height
    return sum(sum(row[:quarter]) for row in rows) / area, sum(sum(row[-quarter:]) for row in rows) / area


@pytest.mark.parametrize(
    ("camera", "why"),
    [
        (lambda: coded_camera("JPEG"), "mjpeg"),
        (lambda: coded_camera("H265"), "h265"),
        (lambda: coded_camera("MP4V-ES"), "mpeg4"),
        (lambda: SyntheticCamera(b_frames=2, profile="main"), "b_frames"),
    ],
    ids=["mjpeg", "h265", "mpeg4", "b-frames"],
)
def test_what_a_browser_cannot_play_is_recoded_once_for_all_and_said(camera: Any, why: str) -> None:
    """Two viewers, one pull, one process; each is told what was done and why; it ends with the last of them."""
    source = camera()

    async def main() -> None:
        limits = EngineLimits(max_transcodes=1, source_within_s=40.0, idle_stop_s=0.3)
        async with engine_with(source, limits) as relay:
            first_id, first = await shown(relay)
            second_id, second = await shown(relay)
            assert (source.opened, len(recoders()), relay.engine.counters()["transcodes"]) == (1, 1, 1)
            assert (first.last.width, first.last.height) == (320, 240)
            assert max(luma(first.last)) > 40
            told = relay.of(LayerChanged)
            assert {(one.layer, one.rendition, one.codec, one.why) for one in told} == {
                ("main", "transcode", "H264", why)
            }
            for viewer_id in (first_id, second_id):
                relay.engine.stop(viewer_id, "viewer_left")
            await until(lambda: not recoders() and source.open_now == 0, 30, "everything let go")
            await first.close()
            await second.close()

    run(main())


def test_h265_is_copied_to_a_browser_that_offers_it_while_another_gets_it_recoded() -> None:
    """One pull, two renditions; the transcode ends alone with its last viewer, the copy goes on."""
    camera = coded_camera("H265")

    async def main() -> None:
        limits = EngineLimits(max_transcodes=1, source_within_s=40.0, idle_stop_s=0.5)
        async with engine_with(camera, limits) as relay:
            lean = Lean()
            answer = await relay.engine.view("copied", spec(), offer_with_h265(lean))
            relay.vouched.add("copied")
            assert "a=fmtp:108 level-id=93;profile-id=1;tier-flag=0;tx-mode=SRST" in answer
            await lean.connect(answer)
            recoded_id, recoded = await shown(relay)
            await lean.until(lambda: len({p.timestamp for p in lean.video()}) > 5, "copied pictures")
            assert {packet.payload_type for packet in lean.video()} == {108}
            decoder = av.CodecContext.create("hevc", "r")
            nals = packetise265.units(packet.payload for packet in lean.video())
            pictures = decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals)))
            pictures += decoder.decode(None)
            assert (pictures[0].width, pictures[0].height) == (320, 240)
            assert camera.opened == 1
            told = {(one.viewer_id, one.rendition, one.codec) for one in relay.of(LayerChanged)}
            assert told == {("copied", "copy", "H265"), (recoded_id, "transcode", "H264")}
            relay.engine.stop(recoded_id, "viewer_left")
            await until(lambda: relay.engine.counters()["transcodes"] == 0, 30, "the transcode ended")
            before = len(lean.video())
            await lean.until(lambda: len(lean.video()) > before + 20, "the copy going on")
            assert camera.opened == 1
            await lean.close()
            await recoded.close()

    run(main())


def test_h265_beyond_what_a_browser_offered_is_not_sent_to_it() -> None:
    """A level below the camera's, another profile or several streams: without a transcode that is a 406."""
    camera = coded_camera("H265")

    async def main() -> None:
        async with engine_with(camera) as relay:
            for words in (
                "level-id=30",
                "profile-id=4;level-id=186",
                "level-id=93;tx-mode=MRST",
                "level-id=x",
            ):
                lean = Lean()
                lines = ("a=rtpmap:108 H265/90000", f"a=fmtp:108 {words}")
                with pytest.raises(RelayRefused) as refused:
                    await relay.engine.view("v", spec(), offer_with_h265(lean, *lines))
                assert (refused.value.status, refused.value.code) == (406, "codec_not_playable")
                assert "H.265" in refused.value.detail

    run(main())


def test_the_sub_stream_goes_before_a_transcode() -> None:
    """H.265 on main, H.264 on sub: nothing is recoded, and the viewer learns what would have to change."""
    high, sub = coded_camera("H265"), SyntheticCamera(width=160, height=120)

    async def opened(description: Any, deadline: Any, audio: bool) -> Any:
        return await (sub if description.url == SUB else high).open(description, deadline, audio)

    async def main() -> None:
        async with engine_with(high, RECODING, open_source=opened) as relay:
            _id, viewer = await shown(relay, sub_url=SUB, both=True)
            assert (viewer.last.width, relay.engine.counters()["transcodes"]) == (160, 0)
            told = relay.of(LayerChanged)[0]
            assert (told.layer, told.rendition, told.code, told.why) == (
                "sub",
                "copy",
                "codec_not_playable",
                "h265",
            )
            await viewer.close()

    run(main())


def test_a_killed_recoding_process_costs_seconds_of_one_camera() -> None:
    """kill -9: the picture comes back without a new pull, viewers keep their connection, another camera plays on."""
    broken, other = coded_camera("JPEG"), SyntheticCamera()

    async def opened(description: Any, deadline: Any, audio: bool) -> Any:
        camera = broken if description.camera_id == "camera-1" else other
        return await camera.open(description, deadline, audio)

    async def main() -> None:
        async with engine_with(broken, RECODING, open_source=opened) as relay:
            _id, viewer = await shown(relay)
            _id2, beside = await shown(relay, camera_id="camera-2")
            (pid,) = recoders()
            os.kill(pid, signal.SIGKILL)
            await until(lambda: recoders() not in ([], [pid]), 40, "another process")
            before, there = viewer.frames, beside.frames
            await until(lambda: viewer.frames > before + 20, 60, "the picture back")
            assert beside.frames > there
            assert (broken.opened, other.opened, relay.of(ViewerEnded)) == (1, 1, [])
            assert relay.engine.counters()["transcodes_failed"] == 1
            await viewer.close()
            await beside.close()

    run(main())


def test_no_room_for_another_transcode_is_a_503_with_the_setting_that_spares_it() -> None:
    """Cameras that need none are served; so is one more viewer of the stream that is recoded already; a place that nobody
    uses any more is given up at once.
    """
    recoded, plain = coded_camera("JPEG"), SyntheticCamera()

    async def opened(description: Any, deadline: Any, audio: bool) -> Any:
        camera = plain if description.camera_id == "plain" else recoded
        return await camera.open(description, deadline, audio)

    async def main() -> None:
        limits = EngineLimits(max_transcodes=1, source_within_s=40.0, idle_stop_s=600.0)
        async with engine_with(recoded, limits, open_source=opened) as relay:
            first, viewer = await shown(relay)
            with pytest.raises(RelayRefused) as refused:
                await relay.view(Lean().offer(), camera_id="camera-2")
            assert (refused.value.status, refused.value.code) == (503, "transcodes_full")
            assert refused.value.retry_after_s > 0
            assert "sub-stream to H.264" in refused.value.detail
            assert relay.engine.counters()["transcodes_refused"] == 1
            beside, _answer = await relay.view(Lean().offer())
            await relay.view(Lean().offer(), camera_id="plain")
            relay.engine.stop(first, "viewer_left")
            relay.engine.stop(beside, "viewer_left")
            # one round of housekeeping later nobody wants it any more; idle alone it would stay for ten minutes
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    with contextlib.suppress(RelayRefused):
                        _id2, another = await shown(relay, camera_id="camera-2")
                        break
                    await asyncio.sleep(0.1)
            assert len(recoders()) == 1
            await viewer.close()
            await another.close()

    run(main())


def test_a_zone_that_is_to_be_masked_is_black_in_all_that_leaves() -> None:
    """H.264 that any browser plays is recoded all the same; no copy is kept, not for a still either."""
    camera = SyntheticCamera(pictures=25)

    async def main() -> None:
        async with engine_with(camera, RECODING) as relay:
            _id, viewer = await shown(relay, masks=LEFT_HALF)
            left, right = luma(viewer.last)
            assert left < 20 < 60 < right
            assert relay.of(LayerChanged)[0].why == "mask"
            layer = relay.engine.layer("camera-1")
            assert list(layer.renditions) == ["transcode"]
            held = relay.engine.key_frame("camera-1", "synthetic://camera/")
            decoder = av.CodecContext.create("h264", "r")
            pictures = decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in held.nals)))
            pictures += decoder.decode(None)
            assert luma(pictures[0])[0] < 20
            await viewer.close()

    run(main())


@pytest.mark.parametrize(("codecs", "kind"), [(("H264", "H265"), "copy"), (("H264",), "transcode")])
def test_a_recipient_of_segments_gets_what_it_plays(codecs: tuple[str, ...], kind: str) -> None:
    """H.265 as it is where it was named, else recoded."""
    camera = coded_camera("H265")
    got: list[Segment] = []

    class Recipient(MseReader):
        def end(self, code: str) -> None:
            """Do nothing."""

    async def main() -> None:
        async with engine_with(camera, RECODING) as relay:
            relay.vouched.add("r")
            _layer, offered = await relay.engine.read(
                "r",
                spec(),
                lambda offered: Recipient(offered.codec, got.append, lambda: 0),
                codecs=codecs,
            )
            assert (offered.codec, relay.of(LayerChanged)[0].rendition) == (codecs[-1], kind)
            await until(lambda: len(got) > 5, 40, "segments")
            assert ("hvc1" if kind == "copy" else "avc1") in got[0].mime
            await asyncio.sleep(0)

    run(main())
