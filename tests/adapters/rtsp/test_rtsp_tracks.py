"""Several tracks of one session: video, AAC and ONVIF metadata, each as its own kind of unit."""

import asyncio

from rtsp_support import (
    CLOCK,
    Answer,
    Asked,
    GoodCamera,
    ScriptedCamera,
    context,
    encoded,
    payloads,
    reply,
    run,
    scripted,
)

from adapters.deadline import Deadline
from adapters.port import AccessUnit
from adapters.rtsp.client import RtspClient
from adapters.rtsp.message import encode_frame
from adapters.rtsp.rtp import NTP_TO_UNIX_S, build_rtp
from adapters.rtsp.tracks import OpenTrack
from adapters.target import parse_target

SDP = b"""v=0\r
o=- 1 1 IN IP4 127.0.0.1\r
s=camera\r
t=0 0\r
a=control:*\r
m=video 0 RTP/AVP 96\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 packetization-mode=1\r
a=control:video\r
m=audio 0 RTP/AVP 97\r
a=rtpmap:97 MPEG4-GENERIC/16000/1\r
a=fmtp:97 mode=AAC-hbr;sizelength=13;indexlength=3;indexdeltalength=3;config=1408\r
a=control:audio\r
m=application 0 RTP/AVP 107\r
a=rtpmap:107 vnd.onvif.metadata/90000\r
a=control:metadata\r
"""
DOCUMENT = b'<?xml version="1.0"?><tt:MetadataStream>' + b"<tt:Event/>" * 40 + b"</tt:MetadataStream>"
UNIX_S = 1_777_777_777


def sender_report(timestamp: int, unix_s: int) -> bytes:
    """Return an RTCP SR."""
    fields = (7, unix_s + NTP_TO_UNIX_S, 0, timestamp, 1, 1)
    return b"\x80\xc8\0\6" + b"".join(field.to_bytes(4, "big") for field in fields)


class ThreeTracks(GoodCamera):
    """Sends one picture, two AAC frames in one packet, and a metadata document in three."""

    sdp = SDP

    async def stream(self, writer: asyncio.StreamWriter) -> None:
        parts = payloads(encoded()[0])
        for number, payload in enumerate(parts):
            packet = build_rtp(96, number, 9_000, 7, payload, marker=number == len(parts) - 1)
            writer.write(encode_frame(0, packet))
        writer.write(encode_frame(1, sender_report(9_000, UNIX_S)))
        frames = b"\0\x20\0\x18\0\x20" + b"abc" + b"defg"
        writer.write(encode_frame(2, build_rtp(97, 0, 500, 8, frames, marker=True)))
        for number in range(3):
            piece = DOCUMENT[number * 200 : number * 200 + 200 if number < 2 else None]
            writer.write(encode_frame(4, build_rtp(107, number, 70, 9, piece, marker=number == 2)))
        await asyncio.sleep(0)

    def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return reply(asked, Session=self.session, Transport=asked.headers["transport"])


def test_each_track_delivers_its_own_kind_of_unit() -> None:
    """A picture, raw AAC frames 1024 ticks apart, and one metadata document; the picture's wall time is known."""

    async def played() -> tuple[list[OpenTrack], list[AccessUnit], tuple[str, ...]]:
        async with scripted(ThreeTracks()) as camera:
            units: list[AccessUnit] = []
            client = RtspClient(parse_target(camera.url)[0], None, context(camera.url))
            deadline = Deadline.after(CLOCK, 30)
            await client.connect(deadline)
            await client.options(deadline)
            for media in (await client.describe(deadline)).receivable():
                await client.setup(media, deadline, deliver=units.append)
            await client.play(deadline)
            while len(units) < 4:
                await asyncio.sleep(0.01)
            tracks = list(client.tracks)
            await client.teardown()
            return tracks, units, client.tolerances.names

    tracks, units, names = run(played())

    assert [opened.track.kind for opened in tracks] == ["video", "audio", "application"]
    assert tracks[1].track.parameter_sets == (bytes.fromhex("1408"),)
    told = [(unit.track, unit.timestamp, unit.nals) for unit in units]
    assert told[0] == (0, 9_000, list(encoded()[0]))
    assert told[1:] == [(1, 500, [b"abc"]), (1, 1_524, [b"defg"]), (2, 70, [DOCUMENT])]
    assert tracks[0].receiver.wall_clock.unix_s(units[0].timestamp) == UNIX_S
    assert names == ()
