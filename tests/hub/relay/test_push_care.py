"""What an encoder may do wrong in mid-push, packet by packet: only the encryption is left out."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from conftest import engine_with, run, until
from relay_camera import SyntheticCamera
from test_push import CAMERA, GOOGLE, OFFER

from adapters.port import AccessUnit
from adapters.rtsp.rtp import build_rtp
from hub.relay.engine import EngineLimits
from hub.relay.events import PushState, ViewerEnded
from hub.relay.webrtc.extension import Extension
from hub.relay.webrtc.push import Pusher
from hub.relay.webrtc.rtcp import read_feedback
from hub.relay.webrtc.twcc import read_report

SSRC = 9
SPS = bytes.fromhex("6742c01fda014016e84000000300400000 0f03c60ca8".replace(" ", ""))
PPS = bytes.fromhex("68ce3c80")
KEY, OTHER = b"\x65\x88\x84" + bytes(40), b"\x41\x9a\x24" + bytes(40)


class Clear:
    """A path on which nothing is encrypted; keeps what is sent to the encoder."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def unprotect(self, packet: bytes) -> bytes:
        """Return it as it is."""
        return packet

    unprotect_rtcp = unprotect

    def protect_rtcp(self, packet: bytes) -> bytes:
        """Keep what is said to the encoder."""
        self.sent.append(packet)
        return packet

    def close(self) -> None:
        """Nothing is held."""


class Sending:
    """An encoder's packets, one of each picture."""

    def __init__(self, pusher: Pusher) -> None:
        self.pusher, self.path = pusher, Clear()
        pusher._dtls = self.path  # type: ignore[assignment]
        pusher.connected = True
        self.sequence, self.stamp = 65_530, 0
        self.units: list[AccessUnit] = []

    def picture(self, *nals: bytes, lose: Iterable[int] = (), kind: int = 96, extension: bytes = b"") -> None:
        """Send a picture, a packet for each unit; those of `lose` are lost on the way."""
        self.stamp += 3_000
        for place, nal in enumerate(nals):
            packet = build_rtp(kind, self.sequence, self.stamp, SSRC, nal, marker=place == len(nals) - 1)
            if extension:
                packet = bytes((packet[0] | 0x10,)) + packet[1:12] + extension + packet[12:]
            self.sequence = (self.sequence + 1) & 0xFFFF
            if place not in lose:
                self.pusher.rtcp(packet)

    def said(self) -> list[Any]:
        """Return what the encoder was told since it was last asked."""
        told = [read_feedback(packet, SSRC) for packet in self.path.sent]
        self.path.sent.clear()
        return told


def pushed(then: Callable[[Any, Sending], Awaitable[None]], offer: str = OFFER, **limits: Any) -> None:
    """Let somebody push and take what comes."""

    async def main() -> None:
        async with engine_with(SyntheticCamera(), EngineLimits(**limits)) as relay:
            relay.engine.publish("p1", CAMERA, offer)
            (pusher,) = relay.engine._pushes._pushers.values()
            sending = Sending(pusher)
            pusher.attach(sending.units.append)
            await then(relay, sending)

    run(main())


def test_a_key_frame_that_is_not_whole_is_asked_for_again() -> None:
    """A browser sends none by itself: what was lost of it and not brought is asked for until one comes whole."""

    async def then(relay: Any, sending: Sending) -> None:
        sending.picture(SPS, PPS, KEY, KEY, lose=(2,))
        assert sending.said()[-1].nacked == [65_532]

        async def asked() -> None:
            sending.said()

            def again() -> bool:
                sending.picture(OTHER)
                return any(one.key_frame_wanted for one in sending.said())

            await until(again, 60, "a key frame is asked for")

        await asked()
        await asked()
        sending.picture(SPS, PPS, KEY)
        await until(lambda: bool(sending.units) and sending.units[-1].key_frame, 60, "a whole one")
        assert not sending.pusher._broken

    pushed(then)


def test_a_packet_that_is_brought_again_in_a_stream_of_its_own_fills_its_place() -> None:
    """RFC 4588: the picture is whole; padding between pictures is no hole, nor a picture."""
    offer = OFFER.replace("SAVPF 96", "SAVPF 96 97").replace(
        "a=rtpmap:96", "a=rtcp-fb:96 nack\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:96"
    )

    async def then(relay: Any, sending: Sending) -> None:
        sending.picture(SPS, PPS, KEY, KEY, lose=(2,))
        sending.picture(OTHER)
        (lost,) = sending.said()[-1].nacked
        probe = bytearray(build_rtp(97, 1, 0, 77, b"\x00\x00\x04"))
        probe[0] |= 0x20
        sending.pusher.rtcp(bytes(probe))
        sending.pusher.rtcp(build_rtp(97, 2, 3_000, 77, lost.to_bytes(2, "big") + KEY))
        sending.picture(OTHER)
        assert [(unit.key_frame, len(unit.nals), unit.lost_packets) for unit in sending.units[:2]] == [
            (True, 4, 0),
            (False, 1, 0),
        ]

    pushed(then, offer)


def test_an_encoder_is_told_when_its_packets_came() -> None:
    """By its transport-wide numbers, ten times a second; a request for lost packets stands behind an empty report."""

    async def then(relay: Any, sending: Sending) -> None:
        word = Extension.of(4, 0).word
        for number in (7, 8, 10):
            sending.picture(OTHER, extension=(word | number << 8).to_bytes(8, "big"))
        sending.pusher.keep_house(0.0)
        (report,) = [read_report(one.path) for one in sending.said() if one.path]
        assert (report.first, [one is None for one in report.arrived_s]) == (7, [False, False, True, False])
        sending.path.sent.clear()
        sending.picture(OTHER, OTHER, lose=(0,))
        (asked,) = [packet for packet in sending.path.sent if read_feedback(packet, SSRC).nacked]
        assert asked[:2] == b"\x80\xc9"

    pushed(then, GOOGLE)


def test_packets_of_a_codec_that_was_not_agreed_are_nothing() -> None:
    """An encoder that changes its payload type in mid-push is silent, as told; its own type is taken again."""

    async def then(relay: Any, sending: Sending) -> None:
        sending.picture(SPS, PPS, KEY)
        sending.picture(OTHER)
        assert sending.pusher.live
        seen = len(sending.units)
        for _ in range(60):
            sending.picture(b"\x90\x90\xe0" + bytes(30), kind=98)
        assert len(sending.units) == seen
        sending.pusher.keep_house(sending.pusher._loop.time() + 6.0)
        assert relay.of(PushState)[-1].code == "push_silent"

        def again() -> bool:
            sending.picture(SPS, PPS, KEY)  # behind a hole, which is waited for
            return bool(relay.of(PushState)[-1].pushed)

        await until(again, 60, "pictures again")

    pushed(then)


def test_a_flood_ends_the_push_by_name_and_its_place_is_free() -> None:
    """50 Mbit/s where 1 is allowed: dropped before it is read, ended after five seconds, and another may push."""

    async def then(relay: Any, sending: Sending) -> None:
        loop = sending.pusher._loop
        began_s, at_s = loop.time(), 0.0
        clock, loop.time = loop.time, lambda: began_s + at_s  # type: ignore[method-assign]
        try:
            for second in range(7):
                at_s = second * 1.01
                for _ in range(50):
                    sending.picture(*[OTHER * 25] * 100)
        finally:
            loop.time = clock  # type: ignore[method-assign]
        assert sending.pusher.dropped > 10_000
        sending.pusher.keep_house(clock())
        assert relay.of(ViewerEnded) == [ViewerEnded("p1", "push_too_fast")]
        relay.engine.publish("p2", CAMERA, OFFER, by="another")

    pushed(then, push_kbit_s=1_000)
