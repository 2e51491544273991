"""Sound: copied, recoded, refused; who hears what, and that nobody else does."""

import asyncio
import os
import signal
from typing import Any

import pytest
from conftest import engine_with, run, spec, until
from relay_camera import SyntheticCamera
from relay_client import Watching

from hub.relay.engine import EngineLimits
from hub.relay.events import LayerChanged
from hub.relay.webrtc.sdp import Agreed, Offer, Offered, negotiate

ONE = EngineLimits(max_sounds=1)


async def listening(relay: Any, *, may_hear: bool = True, viewer_id: str = "", **fields: Any) -> Watching:
    """Connect a viewer that offers to hear, and wait for its first picture."""
    viewer = Watching()

    async def answered(text: str) -> str:
        return (await relay.view(text, viewer_id, may_hear=may_hear, **fields))[1]

    await viewer.play(answered, audio=True)
    await until(lambda: viewer.frames > 0, 60, "the first picture")
    return viewer


def told(relay: Any) -> dict[str, str]:
    """Return what each viewer was last told of its sound."""
    return {event.viewer_id: event.sound for event in relay.of(LayerChanged)}


def loudness(viewer: Watching) -> int:
    """Return the loudest sample of the newest frame."""
    return max(memoryview(bytes(viewer.sounds[-1].planes[0])).cast("h"))


@pytest.mark.slow
@pytest.mark.process
def test_aac_is_heard_as_opus_by_all_who_may_from_one_process() -> None:
    """Two hear a tone in step with the picture, one place is taken; who may not hear gets a refused line and not one packet."""
    camera = SyntheticCamera(sound="MPEG4-GENERIC")

    async def main() -> None:
        async with engine_with(camera, ONE) as relay:
            one = await listening(relay, viewer_id="one")
            assert "opus/48000/2" in one.connection.remoteDescription.sdp
            await until(lambda: len(one.sounds) > 30, 60, "sound")
            assert loudness(one) > 8_000
            two = await listening(relay, viewer_id="two")
            deaf = await listening(relay, viewer_id="deaf", may_hear=False)
            assert "m=audio 0 " in deaf.connection.remoteDescription.sdp
            await until(lambda: len(two.sounds) > 30 and deaf.frames > 10, 60, "sound of the second")
            assert relay.engine.counters()["sounds_recoded"] == 1
            assert camera.opened == 1
            assert relay.engine._viewers["deaf"].sounds == 0
            assert not deaf.sounds
            assert told(relay) == {"one": "on", "two": "on"}
            # Both lines begin at the arrival of what they carry: at one moment the sender reports tell one time.
            picture, sound = relay.engine._viewers["one"].feed.ticks(
                asyncio.get_running_loop().time(), "OPUS"
            )
            assert abs(picture / 90_000 - sound / 48_000) < 0.5  # a busy machine may delay the first of them
            for viewer in (one, two, deaf):
                await viewer.close()

    run(main())


@pytest.mark.slow
@pytest.mark.process
def test_a_recoder_that_dies_is_begun_anew_and_the_picture_goes_on() -> None:
    """After `kill -9` sound comes back, no picture is missing, and the viewer is told both."""
    camera = SyntheticCamera(sound="MPEG4-GENERIC")

    async def main() -> None:
        async with engine_with(camera, ONE) as relay:
            viewer = await listening(relay, viewer_id="one")
            await until(lambda: len(viewer.sounds) > 10, 60, "sound")
            sounds = relay.engine.layer("camera-1").pull.sounds
            os.kill(sounds._recoding.pid, signal.SIGKILL)
            await until(lambda: told(relay)["one"] == "failed", 60, "told of the failure")
            before, heard = viewer.frames, len(viewer.sounds)
            await until(lambda: len(viewer.sounds) > heard + 10, 60, "sound again")
            assert viewer.frames > before
            await until(lambda: told(relay)["one"] == "on", 60, "told that it is back")
            assert relay.engine.counters()["sounds_failed"] == 1
            await viewer.close()

    run(main())


@pytest.mark.parametrize(
    ("sound", "limit", "configured", "expected"),
    [
        ("", 1, True, "none"),
        ("G726-32", 1, True, "codec"),
        ("MPEG4-GENERIC", 0, True, "codec"),
        ("MPEG4-GENERIC", 1, False, "codec"),
    ],
)
def test_a_camera_without_sound_that_can_be_heard_says_why(
    sound: str, limit: int, configured: bool, expected: str
) -> None:
    """The picture plays, the audio line is refused, and the viewer is told the reason."""
    camera = SyntheticCamera(sound=sound)
    camera.config_in_sdp = configured

    async def main() -> None:
        async with engine_with(camera, EngineLimits(max_sounds=limit)) as relay:
            viewer = await listening(relay, viewer_id="one", audio=True)
            assert "m=audio 0 " in viewer.connection.remoteDescription.sdp
            assert told(relay) == {"one": expected}
            assert camera.asked_for_sound == [True]
            await viewer.close()

    run(main())


@pytest.mark.slow
@pytest.mark.process
def test_as_much_sound_is_recoded_as_there_are_places() -> None:
    """The viewer of a second camera gets its picture, no sound, and the reason."""
    camera = SyntheticCamera(sound="MPEG4-GENERIC")

    async def main() -> None:
        async with engine_with(camera, ONE) as relay:
            places = relay.engine._sounds.places
            viewer = await listening(relay, viewer_id="one")
            await until(lambda: len(viewer.sounds) > 5, 60, "sound")
            other = await listening(relay, viewer_id="two", camera_id="camera-2")
            assert "m=audio 0 " in other.connection.remoteDescription.sdp
            assert told(relay) == {"one": "on", "two": "full"}
            assert places.taken == 1
            await viewer.close()
            await other.close()

    run(main())


def test_sound_that_is_shared_no_more_is_not_asked_of_the_camera_any_more() -> None:
    """A view that begins after the consent changed opens the camera anew, without its sound; the old views end."""
    camera = SyntheticCamera(sound="PCMA")

    async def main() -> None:
        async with engine_with(camera) as relay:
            before = await listening(relay, viewer_id="before")
            after = await listening(relay, viewer_id="after", audio=False)
            assert camera.asked_for_sound == [True, False]
            assert "before" not in relay.engine._viewers
            assert "m=audio 0 " in after.connection.remoteDescription.sdp
            await before.close()
            await after.close()

    run(main())


OFFER = """v=0
o=- 1 1 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0 1
m=video 9 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=mid:0
a=recvonly
a=rtcp-mux
a=ice-ufrag:abcd
a=ice-pwd:abcdefghijklmnopqrstuvwx
a=setup:actpass
a=fingerprint:sha-256 {print}
a=rtpmap:96 H264/90000
a=fmtp:96 packetization-mode=1;profile-level-id=42e01f
m=audio 9 UDP/TLS/RTP/SAVPF {formats}
c=IN IP4 0.0.0.0
a=mid:1
a=recvonly
a=rtcp-mux
{maps}
"""


def agreed_on(audio: str, formats: str, maps: str) -> Agreed:
    """Negotiate with a browser that offers these formats of sound."""
    text = OFFER.format(print=":".join(["AB"] * 32), formats=formats, maps=maps)
    return negotiate(Offer.parse(text.replace("\n", "\r\n")), Offered("H264", audio_codec=audio))


@pytest.mark.parametrize(
    ("audio", "formats", "maps", "payload"),
    [
        ("OPUS", "111 0", "a=rtpmap:111 opus/48000/2", 111),
        ("OPUS", "63 0", "a=rtpmap:63 red/48000/2", None),
        ("PCMU", "111 0", "a=rtpmap:111 opus/48000/2", 0),  # a static type needs no rtpmap (RFC 3551 6)
        ("PCMA", "110 9", "a=rtpmap:110 PCMA/8000", 110),
        ("PCMA", "110 9", "a=rtpmap:110 PCMA/16000", None),
        ("", "111 0 8", "a=rtpmap:111 opus/48000/2", None),
    ],
)
def test_the_offered_payload_of_the_sound_is_taken(
    audio: str, formats: str, maps: str, payload: int | None
) -> None:
    """Never one that was not offered; without one the line is refused."""
    agreed = agreed_on(audio, formats, maps)
    assert (agreed.audio is not None) == (payload is not None)
    assert agreed.audio_codec == (audio if payload is not None else "")
    if payload is not None:
        assert agreed.audio_payload_type == payload
    assert spec().audio is False  # nothing is shared unless somebody says so
