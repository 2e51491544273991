"""Encoders that push: a foreign WebRTC peer pushes, another one watches; what is not taken, not shared, not there any more."""

import asyncio
import os
import signal
import struct
import sys
from typing import Any

import pytest
from conftest import engine_with, run, until
from relay_camera import SyntheticCamera
from relay_client import Watching
from test_relay_worker import service, vouching
from webrtc_pusher import Pushing

from adapters.errors import NotPushed
from adapters.rtsp.rtp import build_rtp
from hub.relay.engine import EngineLimits
from hub.relay.errors import RelayRefused
from hub.relay.events import PushState, SourceSpec, SourceState, ViewerEnded
from hub.relay.webrtc import rtcp
from hub.relay.webrtc.push_limits import Allowance, Meter
from hub.relay.webrtc.push_repair import Gaps, brought_again

OFFER = "\r\n".join(
    (
        "v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=-", "t=0 0", "a=group:BUNDLE 0",
        "m=video 9 UDP/TLS/RTP/SAVPF 96", "c=IN IP4 0.0.0.0", "a=mid:0", "a=sendonly", "a=rtcp-mux",
        "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuvwx", "a=setup:actpass",
        f"a=fingerprint:sha-256 {':'.join(['AB'] * 32)}",
        "a=rtpmap:96 H264/90000", "a=fmtp:96 packetization-mode=1;profile-level-id=42e01f",
    )
)  # fmt: skip
WHIP = "whip:camera-1"
CAMERA = "camera-1"
REAL = (sys.executable, "-P", "-m", "hub.relay.workers.worker")


async def pushing(relay: Any, push_id: str = "p1", *, audio: bool = True, **how: Any) -> tuple[Pushing, str]:
    """Push a camera and wait until the transport stands."""
    encoder = Pushing(**how)

    async def answered(text: str) -> str:
        return str(relay.engine.publish(push_id, CAMERA, text, audio=audio))

    text = await encoder.push(answered)
    await until(lambda: any(event.pushed for event in relay.of(PushState)), 60, "the push")
    return encoder, text


async def watching(relay: Any, *, may_hear: bool = False, audio: bool = True) -> Watching:
    """Watch what is pushed until a picture is seen."""
    viewer = Watching()

    async def answered(text: str) -> str:
        told = await relay.view(text, url=WHIP, may_ask=True, may_hear=may_hear, audio=audio)
        return str(told[1])

    await viewer.play(answered, audio=True)
    await until(lambda: viewer.frames > 0, 60, "the first picture")
    return viewer


@pytest.mark.slow
def test_what_a_foreign_peer_pushes_is_seen_and_heard_by_another() -> None:
    """H.264 and Opus go through; a viewer that comes in the middle of a long group is given a key frame at once."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            encoder, text = await pushing(relay)
            assert text.count("a=recvonly") == 2
            assert "opus/48000/2" in text
            await asyncio.sleep(
                1.0
            )  # the encoder is in the middle of its group: only the request brings a key frame
            viewer = await watching(relay, may_hear=True)
            await until(lambda: viewer.frames > 20 and len(viewer.sounds) > 20, 60, "pictures and sound")
            assert max(bytes(viewer.last.planes[0])) > 200
            assert max(memoryview(bytes(viewer.sounds[-1].planes[0])).cast("h")) > 8_000
            assert relay.of(PushState)[0].camera_id == CAMERA
            await viewer.close()
            await encoder.close()

    run(main())


@pytest.mark.slow
def test_sound_that_is_not_shared_is_not_even_received() -> None:
    """The audio line is refused, so the encoder sends none: not one packet of it comes."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            encoder, text = await pushing(relay, audio=False)
            assert "m=audio 0 " in text
            viewer = await watching(relay, audio=False)
            await until(lambda: viewer.frames > 20, 60, "pictures")
            (pusher,) = relay.engine._pushes._pushers.values()
            assert [track.kind for track in pusher.tracks] == ["video"]
            assert not viewer.sounds
            await viewer.close()
            await encoder.close()

    run(main())


@pytest.mark.slow
def test_a_push_that_ends_is_offline_and_one_that_comes_back_is_live_again() -> None:
    """The viewer is told since when nothing is pushed, stays, and sees the encoder's next connection."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            encoder, _text = await pushing(relay)
            viewer = await watching(relay)
            relay.engine.stop("p1", "revoked")
            await until(
                lambda: any((e.state, e.code) == ("offline", "not_pushed") for e in relay.of(SourceState)),
                60,
                "offline",
            )
            assert [(event.pushed, event.code) for event in relay.of(PushState)] == [
                (True, ""),
                (False, "revoked"),
            ]
            await encoder.close()
            frames = viewer.frames
            again, _text = await pushing(relay, "p2")
            await until(lambda: viewer.frames > frames + 10, 60, "pictures again")
            await viewer.close()
            await again.close()
            await until(lambda: relay.of(PushState)[-1].code == "pusher_left", 60, "the goodbye")

    run(main())


@pytest.mark.slow
def test_an_encoder_that_comes_back_replaces_its_dead_connection_and_no_other() -> None:
    """The camera has one push: another token gets 409, so does the same one while packets come; a dead one is replaced."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            first, _text = await pushing(relay, "p1")
            viewer = await watching(relay)
            for by, code in (("other", "push_taken"), ("", "push_alive")):
                with pytest.raises(RelayRefused) as refused:
                    relay.engine.publish("p2", CAMERA, OFFER, by=by)
                assert (refused.value.status, refused.value.code) == (409, code)
            (pusher,) = relay.engine._pushes._pushers.values()
            pusher.rtcp = lambda _data: None  # type: ignore[method-assign]
            await until(lambda: pusher.dead, 60, "silence")
            second, _text = await pushing(relay, "p2")
            await until(lambda: len(relay.engine._pushes) == 1, 60, "one push")
            assert "replaced" in [event.code for event in relay.of(PushState)]
            frames = viewer.frames
            await until(lambda: viewer.frames > frames + 10, 60, "pictures of the second")
            for peer in (viewer, first, second):
                await peer.close()

    run(main())


def test_who_sends_too_much_is_dropped_at_once_and_ended_after_five_seconds() -> None:
    """A short burst passes; what is beyond double the allowance is not taken; seconds in a row name the cause."""
    meter = Meter(Allowance(kbit_s=800, pictures_s=30, packets_s=1000), 0.0)
    taken = sum(meter.packet(1000, 0.5) for _ in range(300))
    assert (taken, meter.dropped, meter.trouble) == (200, 100, "")
    for second in range(1, 5):
        for _ in range(150):
            meter.packet(1000, 1.1 * second)
    assert meter.trouble == ""
    meter.packet(1000, 5.6)
    assert meter.trouble == "push_too_fast"
    many = Meter(Allowance(pictures_s=30), 0.0)
    for second in range(7):
        many.packet(100, 1.1 * second)
        for _ in range(80):
            many.picture()
    assert many.trouble == "push_too_many_pictures"


@pytest.mark.slow
def test_a_push_is_measured_from_its_bitstream_and_told_silent_when_pictures_stop() -> None:
    """Codec, size, pictures a second and a decodable sample; then silence is told, and pictures again."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            encoder, _text = await pushing(relay, sound=False)
            seen = await relay.engine.examine_push(CAMERA, window_s=1.0, samples=1, within_s=30)
            assert (seen.codec, seen.facts["width"], seen.facts["height"]) == ("H264", 320, 240)
            assert seen.facts["frames"] > 3
            assert seen.sample is not None
            assert seen.sample.pictures
            (pusher,) = relay.engine._pushes._pushers.values()
            heard = pusher.rtcp
            pusher.rtcp = lambda _data: None  # type: ignore[method-assign]
            await until(lambda: relay.of(PushState)[-1].code == "push_silent", 60, "silence")
            pusher.rtcp = heard  # type: ignore[method-assign]
            await until(lambda: relay.of(PushState)[-1].pushed, 60, "pictures again")
            with pytest.raises(NotPushed):
                await relay.engine.examine_push("camera-2", window_s=0, samples=1, within_s=1)
            await encoder.close()

    run(main())


@pytest.mark.slow
def test_packets_that_are_lost_on_the_way_are_asked_for_again() -> None:
    """Every twentieth packet is dropped once: the encoder resends it, and the picture goes on."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            encoder, _text = await pushing(relay, sound=False)
            (pusher,) = relay.engine._pushes._pushers.values()
            heard, count, dropped = pusher.rtcp, 0, 0

            def lossy(data: bytes) -> None:
                nonlocal count, dropped
                count += 1
                if count % 20 == 0 and not 192 <= data[1] <= 223:
                    dropped += 1
                    return
                heard(data)

            pusher.rtcp = lossy  # type: ignore[method-assign]
            viewer = await watching(relay)
            await until(lambda: viewer.frames > 60 and dropped > 3, 60, "pictures over a bad path")
            assert pusher.nacked >= dropped - 1
            await viewer.close()
            await encoder.close()

    run(main())


@pytest.mark.slow
@pytest.mark.process
def test_a_push_and_its_views_share_a_worker_and_a_dead_worker_ends_both() -> None:
    """Of two workers the one that is pushed to serves the views; after `kill -9` the hub is told of the end of the push too."""

    async def main() -> None:
        relay, encoder, viewer = service(command=REAL, workers=2), Pushing(), Watching()
        told: list[Any] = []
        relay.on_event = told.append
        source = SourceSpec(CAMERA, WHIP, None, may_ask=True)
        await relay.start()
        try:
            async with vouching(relay, "v1"):
                await encoder.push(lambda text: relay.publish("p1", CAMERA, text))
                await until(lambda: any(isinstance(one, PushState) for one in told), 60, "the push")
                held = relay.worker_of(CAMERA)
                await viewer.play(lambda text: relay.view("v1", source, text))
                await until(lambda: viewer.frames > 10, 60, "pictures")
                assert relay.worker_of(CAMERA) == held
                os.kill(relay.workers()[held].pid, signal.SIGKILL)
                await until(lambda: ViewerEnded("p1", "relay_restarted") in told, 60, "the end of the push")
        finally:
            await viewer.close()
            await encoder.close()
            await relay.aclose()

    run(main())


def test_a_camera_that_nobody_pushes_says_so() -> None:
    """503 with a code of its own, at once."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            with pytest.raises(RelayRefused) as refused:
                await watching(relay)
            assert (refused.value.status, refused.value.code) == (503, "not_pushed")

    run(main())


@pytest.mark.parametrize(
    ("edit", "status", "code"),
    [
        (lambda text: text.replace("H264/", "VP8/"), 406, "codec_not_playable"),
        (lambda text: text.replace("a=sendonly", "a=recvonly"), 422, "offer_without_video"),
        (lambda text: text.replace("a=fingerprint:", "a=nothing:"), 422, "offer_unreadable"),
        (lambda text: "hello", 422, "offer_unreadable"),
    ],
)
def test_an_offer_that_cannot_be_taken_is_refused_by_name(edit: Any, status: int, code: str) -> None:
    """Nothing is kept of it."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            with pytest.raises(RelayRefused) as refused:
                relay.engine.publish("p1", CAMERA, edit(OFFER))
            assert (refused.value.status, refused.value.code) == (status, code)
            assert len(relay.engine._pushes) == 0

    run(main())


GOOGLE = OFFER.replace(
    "a=rtpmap:96",
    "a=extmap:4 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01\r\n"
    "a=rtcp-fb:96 transport-cc\r\na=rtcp-fb:96 goog-remb\r\na=rtpmap:96",
)


@pytest.mark.parametrize(
    ("offer", "feedback", "start"),
    [
        (OFFER, False, ""),
        (GOOGLE, True, "x-google-start-bitrate=900"),
        (GOOGLE.replace("a=rtcp-fb:96 goog-remb\r\n", ""), True, ""),
        (GOOGLE.replace("a=rtcp-fb:96 transport-cc\r\n", ""), False, ""),
    ],
)
def test_an_encoder_that_goes_by_feedback_is_told_how_its_path_is(
    offer: str, feedback: bool, start: str
) -> None:
    """Transport-wide numbers are agreed where they are offered, and no browser begins above what it may send."""

    async def main() -> None:
        async with engine_with(SyntheticCamera(), EngineLimits(push_kbit_s=900)) as relay:
            answer = relay.engine.publish("p1", CAMERA, offer)
            lines = answer.splitlines()
            assert ("a=rtcp-fb:96 transport-cc" in lines) == feedback
            assert any(line.startswith("a=extmap:4 ") for line in lines) == feedback
            format_line = next(line for line in lines if line.startswith("a=fmtp:96 "))
            assert format_line.partition("profile-level-id=42e01f")[2].lstrip(";") == start

    run(main())


def test_an_ice_restart_gives_new_credentials_and_plain_candidates_none() -> None:
    """PATCH with the offer's own fragment changes nothing; with another one it answers with ours. Nobody comes: dropped."""

    async def main() -> None:
        async with engine_with(SyntheticCamera()) as relay:
            text = relay.engine.publish("p1", CAMERA, OFFER)
            ours = next(line for line in text.splitlines() if line.startswith("a=ice-ufrag:"))
            same = f"a=ice-ufrag:abcd\r\na=ice-pwd:{'x' * 24}\r\n"
            assert relay.engine.trickle("p1", same) == ""
            told = relay.engine.trickle("p1", f"a=ice-ufrag:other\r\na=ice-pwd:{'y' * 24}\r\n")
            assert "a=ice-ufrag:" in told
            assert ours not in told
            relay.engine.stop("p1", "pusher_left")
            with pytest.raises(RelayRefused):
                relay.engine.trickle("p1", same)
            assert relay.of(ViewerEnded) == [ViewerEnded("p1", "pusher_left")]

    run(main())


def test_what_is_missing_is_asked_for_and_given_up() -> None:
    """Each number at most five times, 50 ms apart; what comes is asked for no more; an outage asks for nothing."""
    missing = Gaps()
    for sequence in (65_533, 65_534, 2, 3):
        missing.came(sequence)
    assert missing.wanted(10.0) == [65_535, 0, 1]
    assert missing.wanted(10.01) == []
    missing.came(0)
    for times in range(1, 5):
        assert missing.wanted(10.0 + 0.06 * times) == [65_535, 1]
    assert missing.wanted(10.3) == []
    missing.came(2000)
    assert missing.outages == 1
    assert missing.wanted(11.0) == []


def test_what_is_sent_again_stands_where_it_was_lost() -> None:
    """RFC 4588 4: the old number is in front of the payload; padding that probes the path, and what is cut short, is nothing."""
    lost = build_rtp(96, 65_535, 77, 9, b"payload", marker=True)
    again = build_rtp(97, 3, 77, 11, (65_535).to_bytes(2, "big") + b"payload", marker=True)
    assert brought_again(again, 96, 9) == lost
    probe = bytearray(build_rtp(97, 4, 77, 11, bytes(223) + b"\xe0"))
    probe[0] |= 0x20
    assert brought_again(bytes(probe), 96, 9) is None
    for length in range(15):
        assert brought_again(again[:length], 96, 9) is None


def test_a_nack_names_up_to_seventeen_packets_in_an_item() -> None:
    """RFC 4585 6.2.1: a packet id and a mask of the sixteen behind it; read back by our own reader."""
    packet = rtcp.nack(7, 9, [65_534, 65_535, 3, 40])
    assert struct.unpack_from("!BBH", packet) == (0x81, 205, 4)
    said = rtcp.read_feedback(packet, 9)
    assert said.nacked == [65_534, 65_535, 3, 40]
