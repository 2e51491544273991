"""Sound over RTSP: a track of its own as the camera cut it, in step with the picture, and only for those who may hear it."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import av
import pytest
from conftest import engine_with, run, spec, until
from relay_camera import SyntheticCamera
from test_rtsp_out import TOKEN, Client

from adapters.port import Track
from hub.relay.events import HEARS_ALL
from hub.relay.outputs.rtsp_door import RtspDoor
from hub.relay.outputs.rtsp_out import RtspOutput, Wanted
from hub.relay.outputs.rtsp_reader import describe


@contextlib.asynccontextmanager
async def served(camera: SyntheticCamera, *, heard: bool = True) -> AsyncIterator[str]:
    """Serve a camera of an engine to whoever knocks; give the address."""
    async with engine_with(camera) as relay:
        tasks: set[asyncio.Task[Any]] = set()
        codecs = ("H264", HEARS_ALL) if heard else ("H264",)

        def wanted(asked: Wanted) -> None:
            view = f"view-{asked.connection}"
            relay.vouched.add(view)
            reading = relay.engine.read(
                view,
                spec(audio=True),
                lambda offered: output.reader(asked.connection, view, offered),
                wanted="main",
                codecs=codecs,
            )
            tasks.add(asyncio.create_task(reading))

        async def hand_over(_digest: str, sock: socket.socket, address: str) -> None:
            await output.take(sock.dup(), address)

        output = RtspOutput(wanted, relay.engine.stop)
        door = RtspDoor(hand_over)
        port = door.start(["127.0.0.1"], 0)
        try:
            async with asyncio.timeout(90):
                yield f"rtsp://127.0.0.1:{port}/{TOKEN}"
        finally:
            await door.aclose()
            await output.aclose()
            await asyncio.gather(*tasks)


def heard(url: str) -> dict[str, tuple[str, list[float], int]]:
    """Play until there are frames of both; return codec, times and loudness of each."""
    found: dict[str, tuple[str, list[float], int]] = {}
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=30) as container:
        for packet in container.demux():
            for frame in packet.decode():
                kind = packet.stream.type
                name, times, loud = found.get(kind, (packet.stream.codec_context.name, [], 0))
                if isinstance(frame, av.AudioFrame):
                    plane = bytes(frame.planes[0])
                    shape = "f" if "flt" in frame.format.name else "h"
                    top = max(memoryview(plane[: len(plane) // 4 * 4]).cast(shape))
                    loud = max(loud, int(top * 32768) if shape == "f" else top)
                found[kind] = (name, [*times, float(frame.time or 0.0)], loud)
            if len(found) == 2 and all(len(times) > 15 for _name, times, _loud in found.values()):
                return found
    return found


@pytest.mark.long
@pytest.mark.parametrize(
    ("sound", "codec"), [("PCMU", "pcm_mulaw"), ("PCMA", "pcm_alaw"), ("MPEG4-GENERIC", "aac")]
)
def test_ffmpeg_hears_the_camera_beside_its_picture(sound: str, codec: str) -> None:
    """Nothing is recoded; by the sender reports both tracks stand on one line of time."""

    async def work() -> dict[str, tuple[str, list[float], int]]:
        async with served(SyntheticCamera(sound=sound)) as url:
            return await asyncio.to_thread(heard, url)

    found = run(work())
    assert found["video"][0] == "h264"
    assert found["audio"][0] == codec
    assert found["audio"][2] > 4_000
    assert abs(found["video"][1][-1] - found["audio"][1][-1]) < 2.0


@pytest.mark.gstreamer
def test_gstreamer_hears_the_camera_beside_its_picture() -> None:
    """Another independent client takes both tracks and ends well."""
    program = shutil.which("gst-launch-1.0")
    if program is None:
        pytest.skip("gstreamer: needs Debian's gstreamer1.0-tools")

    async def work() -> tuple[int, str]:
        async with served(SyntheticCamera(sound="PCMA")) as url:
            line = (
                f"rtspsrc location={url} protocols=tcp latency=0 name=s "
                "s. ! application/x-rtp,media=video ! decodebin ! fakesink num-buffers=10 sync=false "
                "s. ! application/x-rtp,media=audio ! rtppcmadepay ! alawdec ! fakesink num-buffers=10 sync=false"
            )
            process = await asyncio.create_subprocess_exec(
                program, "-q", *line.split(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            said, _ = await process.communicate()
            return process.returncode or 0, said.decode(errors="replace")

    status, said = run(work())
    assert status == 0, said


def port_of(url: str) -> int:
    """Return the port of an address."""
    return urlsplit(url).port or 0


async def frames(client: Client) -> AsyncIterator[tuple[int, bytes]]:
    """Read interleaved frames for ever."""
    while True:
        head = await client.reader.readexactly(4)
        assert head[:1] == b"$"
        yield head[1], await client.reader.readexactly(int.from_bytes(head[2:], "big"))


def test_both_tracks_are_reported_with_one_clock_and_one_name() -> None:
    """Sender reports stand before the media on the odd channels: same name, and stamps of one moment (RFC 3550 6.4.1)."""

    async def work() -> None:
        async with served(SyntheticCamera(sound="PCMU")) as url, Client.connect(port_of(url)) as client:
            assert "a=control:trackID=1" in (await client.ask("DESCRIBE", url))[1]
            status, head = await client.ask(
                "SETUP", f"{url}/trackID=0", "Transport: RTP/AVP/TCP;interleaved=0-1"
            )
            session = next(x for x in head.splitlines() if x.startswith("Session:")).partition(";")[0]
            taken = "Transport: RTP/AVP/TCP;interleaved=1-2"
            assert (await client.ask("SETUP", f"{url}/trackID=1", taken, session))[0] == 461
            assert (await client.ask("SETUP", f"{url}/trackID=1", "Transport: RTP/AVP/TCP", "Session: x"))[
                0
            ] == 454
            status, head = await client.ask("SETUP", f"{url}/trackID=1", "Transport: RTP/AVP/TCP", session)
            assert (status, "interleaved=2-3" in head) == (200, True)
            assert (await client.ask("PLAY", url, session))[0] == 200
            reports: dict[int, bytes] = {}
            media: set[int] = set()
            async for channel, data in frames(client):
                if channel % 2:
                    reports.setdefault(channel, data)
                else:
                    media.add(channel)
                if len(reports) == 2 and media == {0, 2}:
                    break
            assert all(data[1] == 200 for data in reports.values())
            clocks = {channel: int.from_bytes(data[8:16], "big") for channel, data in reports.items()}
            assert clocks[1] == clocks[3]
            assert reports[1][36:] == reports[3][36:]  # the canonical name

    run(work())


def test_who_may_not_hear_finds_no_such_track() -> None:
    """The description has the picture alone, and the other track cannot be set up."""

    async def work() -> None:
        async with (
            served(SyntheticCamera(sound="PCMU"), heard=False) as url,
            Client.connect(port_of(url)) as client,
        ):
            _, head = await client.ask("DESCRIBE", url)
            assert "m=audio" not in head
            asked = "Transport: RTP/AVP/TCP;interleaved=0-1"
            assert (await client.ask("SETUP", f"{url}/trackID=1", asked))[0] == 404

    run(work())


@pytest.mark.long
def test_sound_that_was_not_set_up_is_not_written() -> None:
    """A recipient that wants the picture alone gets it alone."""

    async def work() -> None:
        camera = SyntheticCamera(sound="PCMU")
        async with served(camera) as url, Client.connect(port_of(url)) as client:
            assert await client.play(url) == 200
            seen: list[int] = []
            async for channel, _data in frames(client):
                seen.append(channel)
                if len(seen) > 40:
                    break
            assert set(seen) <= {0, 1}

    run(work())


@pytest.mark.parametrize(
    ("track", "expected"),
    [
        (Track(1, "audio", "OPUS", 48_000, channels=2), ("m=audio 0 RTP/AVP 97", "a=rtpmap:97 opus/48000/2")),
        (Track(1, "audio", "PCMA", 8_000), ("m=audio 0 RTP/AVP 8", "a=rtpmap:8 PCMA/8000")),
        (
            Track(1, "audio", "MPEG4-GENERIC", 16_000, configuration=b"\x14\x08"),
            ("a=rtpmap:97 mpeg4-generic/16000/1", "config=1408"),
        ),
    ],
)
def test_each_codec_is_described_by_its_own_standard(track: Track, expected: tuple[str, ...]) -> None:
    """RFC 7587, RFC 3551, RFC 3640."""
    told = describe("H264", [], track).decode()
    assert all(line in told for line in expected)


def test_the_camera_is_not_asked_for_sound_that_nobody_shares() -> None:
    """Where consent shares none there is no track to be had, whatever the output says."""
    camera = SyntheticCamera(sound="PCMU")

    async def work() -> None:
        async with engine_with(camera) as relay:
            layer, offered = await relay.engine.read(
                "view", spec(audio=False), lambda offered: Quiet(), wanted="main", codecs=("H264", HEARS_ALL)
            )
            assert (layer, offered.own_sound) == ("main", None)
            assert camera.asked_for_sound == [False]
            relay.engine.stop("view", "over")
            await until(lambda: not len(relay.engine._readers), 10, "ended")

    class Quiet:
        lease_until_s = 0.0
        packets = octets = resent = skipped = 0

        def attach(self, ring: Any) -> None: ...

        def take(self) -> bool:
            return False

        def end(self, code: str) -> None: ...

    run(work())
