"""What the scripted cameras send, played by players nobody here wrote: FFmpeg's and GStreamer's RTSP clients."""

import asyncio
import shutil
import statistics
import struct

import av
import pytest
from patience import taken_away
from sim_support import Talk, camera, decode, luma, preset, with_login

pytestmark = pytest.mark.slow

DEPAYLOADERS = {
    "good-onvif": "rtph264depay ! avdec_h264",
    "h265-only": "rtph265depay ! avdec_h265",
    "mjpeg-2009": "rtpjpegdepay ! jpegdec",
}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("name", "size"), [("good-onvif", (1280, 720)), ("h265-only", (1280, 720)), ("mjpeg-2009", (640, 480))]
)
def test_ffmpeg_plays_moving_pictures(name, size, transport):
    """FFmpeg logs in by Digest and decodes pictures of the claimed size that change and are not black."""

    async def story():
        async with camera(name) as cam:
            return await asyncio.to_thread(decode, with_login(cam), transport, 12)

    frames = asyncio.run(story())
    assert [(frame.width, frame.height) for frame in frames] == [size] * 12
    assert len({hash(luma(frame)) for frame in frames}) == 12
    assert all(40 < statistics.fmean(luma(frame)[::97]) < 220 for frame in frames)


def test_ffmpeg_plays_the_sub_stream_and_is_refused_with_a_wrong_password():
    """The sub-stream has its own size; a wrong password opens nothing."""

    async def story():
        async with camera("household-no-onvif") as cam:
            frames = await asyncio.to_thread(decode, with_login(cam, cam.sub_url), "tcp", 3)
            assert (frames[0].width, frames[0].height) == (640, 360)
            with pytest.raises(av.error.HTTPUnauthorizedError):
                await asyncio.to_thread(decode, with_login(cam, password="guess"), "tcp", 1)
            assert cam.counters.refused == 1

    asyncio.run(story())


async def gstreamer_plays(cam, url, capsys, chain, *settings):
    """Let GStreamer's rtspsrc, with its own Digest and depayloaders, decode twenty pictures.

    Judged by the pictures that its sink counts and by the camera's own counters. How rtspsrc says goodbye is its own
    affair: it drops its PAUSE where the machine is busy, and then complains.
    """
    source = ["rtspsrc", f"location={url}", f"user-id={cam.user}", f"user-pw={cam.password}", "latency=100"]
    sink = ["!", "fakesink", "silent=false", "num-buffers=20"]
    process = await asyncio.create_subprocess_exec(
        *("gst-launch-1.0", "-v", *source, *settings, "!", *chain.split(), *sink),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), 60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    pictures = output.count(b"last-message = chain")
    said = f"{output[-3000:].decode(errors='replace')}\n{cam.counters}\n{capsys.readouterr().out}"
    assert pictures == 20, said
    assert (cam.counters.refused, cam.counters.sessions) == (0, 1), said
    assert cam.counters.operations["PLAY"] == 1, said


@pytest.mark.gstreamer
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("name", DEPAYLOADERS)
def test_gstreamer_plays(name, transport, capsys):
    """Twenty pictures of each codec, over TCP and UDP."""

    async def story():
        async with camera(name) as cam:
            await gstreamer_plays(cam, cam.rtsp_url, capsys, DEPAYLOADERS[name], f"protocols={transport}")

    asyncio.run(story())


@pytest.mark.gstreamer
@pytest.mark.skipif(shutil.which("gst-launch-1.0") is None, reason="gst-launch-1.0 is not installed")
@pytest.mark.parametrize(("line", "scheme"), [("tls-expired", "rtsps"), ("plain", "rtsph")])
def test_gstreamer_plays_by_rtsps_and_through_http(line, scheme, capsys):
    """The scripted camera's TLS and its HTTP tunnel are those that GStreamer's client speaks."""

    async def story():
        async with camera(preset("low-resolution", line=line, http_tunnel=True)) as cam:
            url = f"{scheme}://{cam.rtsp_url.split('://', 1)[1]}"
            chain = DEPAYLOADERS["good-onvif"]
            await gstreamer_plays(cam, url, capsys, chain, "protocols=tcp+http", "tls-validation-flags=0")
            tunnelled = cam.counters.operations.get("HTTP GET", 0)
            assert tunnelled == (1 if scheme == "rtsph" else 0)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("name", "layer"),
    [("good-onvif", "main"), ("household-no-onvif", "sub"), ("h265-only", "main"), ("mjpeg-2009", "main")],
)
def test_sends_what_it_claims(name, layer):
    """Frame rate within 2 %, bitrate within 20 %, key frames each second, the clock rate right, over four seconds."""

    async def story(more):
        async with camera(name) as cam:
            script = cam.preset.stream(layer)
            talk = await Talk.to(cam.rtsp_url)
            url = cam.rtsp_url if layer == "main" else cam.sub_url
            setup = await talk.call(cam, "SETUP", f"{url}/trackID=1", Transport="RTP/AVP/TCP;interleaved=0-1")
            await talk.call(cam, "PLAY", url, Session=setup.one("Session").split(";")[0])
            loop = asyncio.get_running_loop()
            times, arrivals, octets, sequence = [], [], 0, None
            while not times or (times[-1] - times[0]) % 2**32 < 4 * 90_000:
                channel, packet = await talk.packet()
                if channel:
                    continue
                number, stamp = struct.unpack(">HI", packet[2:8])
                assert sequence is None or number == (sequence + 1) % 65536
                sequence = number
                if not times or stamp != times[-1]:
                    times.append(stamp)
                    arrivals.append(loop.time())
                octets += len(packet) - 12
            await talk.close()
            media_s = (times[-1] - times[0]) % 2**32 / 90_000
            fps = (len(times) - 1) / media_s
            starved = more()  # what an encoder without a processor leaves out
            assert fps == pytest.approx(script.fps, rel=0.02 + starved / media_s)
            kbps = octets * 8 / 1000 / media_s
            assert kbps == pytest.approx(script.bitrate_kbps, rel=0.2 + starved / media_s)
            assert arrivals[-1] - arrivals[0] == pytest.approx(media_s, abs=0.15 + starved)

    with taken_away() as more:
        asyncio.run(story(more))


def test_a_camera_without_parameter_sets_in_the_sdp_sends_them_in_band():
    """With `parameter_sets_in_sdp` off the SDP has none and FFmpeg still decodes."""

    async def story():
        async with camera(preset("low-resolution", parameter_sets_in_sdp=False)) as cam:
            talk = await Talk.to(cam.rtsp_url)
            assert b"sprop" not in (await talk.call(cam, "DESCRIBE", cam.rtsp_url)).body
            await talk.close()
            frames = await asyncio.to_thread(decode, with_login(cam), "tcp", 3)
            assert frames[0].width == 640

    asyncio.run(story())
