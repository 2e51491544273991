"""A key frame on request: one RTCP packet to a camera that offers it, nothing to any other."""

import asyncio

import pytest
from rtsp_support import (
    CLOCK,
    GoodCamera,
    ScriptedCamera,
    context,
    encoded,
    payloads,
    run,
    scripted,
    until,
)

from adapters.deadline import Deadline
from adapters.errors import Unsupported
from adapters.port import AccessUnit, StreamOffer
from adapters.rtsp.adapter import RtspAdapter
from adapters.rtsp.rtp import build_rtp
from adapters.rtsp.sdp import SessionDescription, parse_sdp
from adapters.rtsp.source import RtspSource
from adapters.rtsp.tolerance import Tolerances
from adapters.target import parse_target

OFFERED = b"a=rtcp-fb:96 nack\r\na=rtcp-fb:* nack pli\r\n"
CAMERA_SSRC = 7


def asked(camera: ScriptedCamera) -> list[bytes]:
    """Return the picture loss indications that came: the end of each compound packet on the RTCP channel."""
    return [data[-12:] for channel, data in camera.frames if channel == 1 and data[-12:-8] == b"\x81\xce\0\2"]


class OnDemand(GoodCamera):
    """Sends one key frame, then none until it is asked for one; the frames between are its second picture over and over."""

    sdp = GoodCamera.sdp + OFFERED

    def play(self, request, camera, writer):
        self.camera = camera
        return super().play(request, camera, writer)

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        sequence, timestamp, answered = 1, 1000, -1
        key, between = encoded()[:2]
        while True:
            count = len(asked(self.camera))
            unit = key if count > answered else between
            answered = count
            parts = payloads(unit)
            for index, payload in enumerate(parts):
                last = index == len(parts) - 1
                self.send(writer, build_rtp(96, sequence, timestamp, CAMERA_SSRC, payload, marker=last))
                sequence += 1
            timestamp += 3600
            await asyncio.sleep(self.frame_s)


async def opened(camera: ScriptedCamera) -> RtspSource:
    """Open the camera's stream."""
    offer = StreamOffer(parse_target(camera.url)[0], "main")
    source = await RtspAdapter().open(offer, None, context(camera.url), Deadline.after(CLOCK, 10))
    assert isinstance(source, RtspSource)
    return source


def test_a_camera_that_offers_it_is_asked_once_and_answers_with_a_key_frame() -> None:
    """One request is one compound packet: a report first, then the indication that names the camera's source."""

    async def work() -> None:
        async with scripted(OnDemand()) as camera:
            source = await opened(camera)
            units: list[AccessUnit] = []
            task = asyncio.create_task(source.run(units.append))
            await until(lambda: len(units) > 3)
            assert [unit.key_frame for unit in units[:3]] == [True, False, False]

            before = len(units)
            await source.key_frame()
            await until(lambda: any(unit.key_frame for unit in units[before:]))

            found = asked(camera)
            assert len(found) == 1
            assert found[0][8:] == CAMERA_SSRC.to_bytes(4, "big")
            compound = next(
                data for channel, data in camera.frames if channel == 1 and data.endswith(found[0])
            )
            assert compound[1] == 201  # a receiver report stands first (RFC 3550 section 6.1)
            await source.aclose()
            await source.key_frame()  # nothing more is sent
            await task
            assert len(asked(camera)) == 1

    run(work())


def test_a_camera_that_does_not_offer_it_is_not_asked() -> None:
    """Without ``rtcp-fb ... nack pli`` in its description nothing is sent, and the caller learns why."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            source = await opened(camera)
            units: list[AccessUnit] = []
            task = asyncio.create_task(source.run(units.append))
            await until(lambda: bool(units))
            with pytest.raises(Unsupported, match="does not offer"):
                await source.key_frame()
            await source.aclose()
            await task
            assert asked(camera) == []

    run(work())


@pytest.mark.parametrize(
    ("lines", "offered"),
    [
        (b"", False),
        (b"a=rtcp-fb:* nack pli\r\n", True),
        (b"a=rtcp-fb:96 NACK PLI\r\n", True),
        (b"a=rtcp-fb:97 nack pli\r\n", False),  # of another payload type
        (b"a=rtcp-fb:96 nack\r\na=rtcp-fb:96 ccm fir\r\n", False),
        (b"a=rtcp-fb:96 nack\r\na=rtcp-fb:96 nack pli\r\n", True),
        (b"a=rtcp-fb\r\na=rtcp-fb:\r\na=rtcp-fb:96\r\n", False),
    ],
)
def test_the_description_says_whether_a_camera_may_be_asked(lines: bytes, offered: bool) -> None:
    """RFC 4585 section 4.2: the payload type or ``*``, then the kind of feedback; every line counts."""
    told = parse(GoodCamera.sdp + lines)

    assert told.media[0].takes_picture_loss is offered


def parse(body: bytes) -> SessionDescription:
    """Read a session description."""
    return parse_sdp(body, Tolerances())
