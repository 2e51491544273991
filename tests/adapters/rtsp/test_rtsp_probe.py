"""Probing: every fact is there, observed or with its reason, whatever the camera does."""

import asyncio

import pytest
from patience import taken_away
from rtsp_support import (
    SDP,
    Answer,
    Asked,
    GoodCamera,
    ScriptedCamera,
    context,
    encoded,
    payloads,
    probe,
    reply,
    run,
    scripted,
)

from adapters.port import ProbeResult, Progress
from adapters.rtsp.message import encode_frame
from adapters.rtsp.probe import _MAIN_FACTS, _REACH_FACTS, _RTSP_FACTS, _SUB_FACTS
from adapters.target import parse_target
from standards.facts import FACTS
from standards.observation import NotObserved
from standards.reason import Reason

ALL_FACTS = {
    *_MAIN_FACTS,
    *_SUB_FACTS,
    *_REACH_FACTS,
    *_RTSP_FACTS,
    "rtsp.quirks",
    "stream.main.uri",
    "target.interfaces",
    "snapshot.anonymous",
}


def missing(result: ProbeResult, fact: str) -> NotObserved:
    """Return the absence of a fact."""
    found = result.observations[fact]
    assert isinstance(found, NotObserved), (fact, found)
    return found


def quirks(result: ProbeResult) -> tuple[str, ...]:
    found = result.observations.value("rtsp.quirks")
    assert isinstance(found, tuple)
    return tuple(str(name) for name in found)


def test_the_facts_are_named_as_the_standards_know_them() -> None:
    """The adapter names no fact that rules cannot know."""
    assert set(FACTS) >= ALL_FACTS


@pytest.mark.long
def test_a_good_camera_gives_every_fact() -> None:
    """A window of 2 s measures everything side by side; three runs and the sub-stream follow."""

    async def work() -> None:
        steps: list[Progress] = []
        async with scripted(GoodCamera()) as camera:
            within = context(camera.url, steps.append)
            sub = parse_target(camera.url.replace("ch1", "ch2"))[0]
            result = await probe(camera.url, within=within, window_s=2.0, runs=3, sub_target=sub)
        seen = result.observations
        assert result.failure is None
        assert set(seen) == ALL_FACTS
        assert seen.value("reach.answers") == 3
        assert seen.value("rtsp.runs_ok") == 3
        assert seen.value("rtsp.server") == "scripted"
        assert seen.value("rtsp.tcp_transport") is True
        assert seen.value("stream.main.codec") == "H264"
        assert (seen.value("stream.main.width"), seen.value("stream.main.height")) == (320, 240)
        assert seen.value("stream.main.profile") == "Constrained Baseline"
        assert seen.value("stream.main.parameter_sets") == "in_band"
        assert seen.value("stream.main.fps") == pytest.approx(25.0, abs=0.01)
        assert seen.value("stream.main.key_frame_interval_s") == pytest.approx(0.4, abs=0.001)
        assert seen.value("stream.main.b_frames") == 0
        assert seen.value("stream.main.loss_ratio") == 0.0
        assert seen.value("stream.main.timestamps_increase") is True
        assert seen.value("stream.main.relay") == "copy"
        assert seen.value("stream.sub.width") == 320
        assert missing(result, "stream.main.sender_report_offset_s").reason is Reason.WINDOW
        assert missing(result, "stream.sub.fps").reason is Reason.NOT_ASKED
        assert quirks(result) == ()
        assert [offer.layer for offer in result.offers] == ["main", "sub"]
        assert (result.offers[0].encoding, result.offers[0].width) == ("H264", 320)
        assert [(step.step, step.state) for step in steps] == [
            (step, state)
            for step in ("address", "login", "picture", "measure")
            for state in ("running", "ok")
        ]
        described = seen["stream.main.codec"].provenance
        assert described.operation == "RTSP DESCRIBE"
        assert described.excerpt.startswith("RTSP/1.0 200 OK")
        assert camera.asked[-1].method == "TEARDOWN"

    run(work())


def test_without_a_window_the_first_picture_is_enough() -> None:
    """A full probe measures nothing; the window's facts say that none was asked for."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            result = await probe(camera.url)
        assert result.failure is None
        assert result.observations.value("stream.main.width") == 320
        assert missing(result, "stream.main.fps").reason is Reason.WINDOW
        assert missing(result, "stream.sub.width").reason is Reason.NO_DECLARATION

    run(work())


class Silent(GoodCamera):
    """Accepts connections and answers nothing."""

    def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        return None


@pytest.mark.long
def test_a_dead_camera_names_the_step_and_the_wait() -> None:
    """OPTIONS gets no answer in 3 s: that is the detail of every fact, and the check does not wait three times."""

    async def work() -> None:
        steps: list[Progress] = []
        async with scripted(Silent()) as camera:
            result = await probe(camera.url, within=context(camera.url, steps.append))
            assert len(camera.asked) == 1
        for fact in ("reach.answers", "rtsp.anonymous_describe", "stream.main.codec", "stream.main.fps"):
            found = missing(result, fact)
            assert found.reason is Reason.TIMED_OUT
            assert found.detail.startswith("RTSP OPTIONS")
            assert found.detail.endswith("no answer in 3.0 s")
        assert result.offers == ()
        assert (steps[-1].step, steps[-1].state) == ("address", "failed")
        assert set(result.observations) == ALL_FACTS

    run(work())


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        (
            b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\n\r\n<html>",
            Reason.NOT_THE_PROTOCOL,
            "HTTP",
        ),
        (b"<html><body>hello</body></html>", Reason.NOT_THE_PROTOCOL, "HTTP"),
        (b"\x16\x03\x01\x02\x00" + bytes(4000), Reason.NOT_THE_PROTOCOL, "neither RTSP"),
        (b"", Reason.EMPTY_REPLY, "without an answer"),
        (b"RTSP/1.0 200 OK\r\nCSe", Reason.MALFORMED_RTSP, "cut short"),
    ],
)
def test_what_is_no_rtsp_camera_is_said_in_one_sentence(answer: bytes, reason: Reason, words: str) -> None:
    """HTML, TLS, nothing at all, half a reply: a reason and a sentence that names the operation."""

    class Odd(GoodCamera):
        def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            writer.write(answer)
            writer.close()
            return None

    async def work() -> None:
        async with scripted(Odd()) as camera:
            result = await probe(camera.url)
        found = missing(result, "reach.answers")
        assert found.reason is reason
        assert words in found.detail
        assert "RTSP OPTIONS" in found.detail

    run(work())


def test_nobody_listens() -> None:
    """A refused connection is unreachable, at once."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            url = camera.url
        result = await probe(url)
        assert missing(result, "reach.answers").reason is Reason.UNREACHABLE
        assert result.observations.value("stream.main.uri") == url

    run(work())


@pytest.mark.parametrize(
    ("status", "body", "kind", "reason"),
    [
        ("200 OK", b"v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=Ses", "application/sdp", Reason.MALFORMED_RTSP),
        ("200 OK", b"", "application/sdp", Reason.EMPTY_REPLY),
        ("200 OK", b"<html><body>Login</body></html>", "text/html", Reason.NOT_THE_PROTOCOL),
        ("200 OK", b"v=0\r\nm=audio 0 RTP/AVP 8\r\n", "application/sdp", Reason.MALFORMED_MEDIA),
        ("404 Not Found", b"", "text/plain", Reason.DEVICE_FAULT),
    ],
)
def test_descriptions_that_cannot_be_used(status: str, body: bytes, kind: str, reason: Reason) -> None:
    """Truncated, empty, HTML, without video, not found: reachability is known, the stream has its reason."""

    class Odd(GoodCamera):
        def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, status, body, Content_Type=kind)

    async def work() -> None:
        async with scripted(Odd()) as camera:
            result = await probe(camera.url)
        assert result.observations.value("reach.answers") == 3
        found = missing(result, "stream.main.width")
        assert found.reason is reason
        assert found.detail.startswith("RTSP DESCRIBE")
        assert missing(result, "rtsp.runs_ok").reason is reason

    run(work())


@pytest.mark.long
def test_a_body_shorter_than_promised_is_cut_short_not_silent() -> None:
    """Content-Length promises more than comes: the sentence says how much came."""

    class Short(GoodCamera):
        def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, body=SDP, Content_Type="application/sdp")[:-30]

    async def work() -> None:
        async with scripted(Short()) as camera:
            result = await probe(camera.url, limit_s=2.5)
        found = missing(result, "stream.main.codec")
        assert found.reason is Reason.MALFORMED_RTSP
        assert "cut short" in found.detail

    run(work())


class Garbage(GoodCamera):
    """Sends frames that are no RTP."""

    payload = b"\x00" * 40

    def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        writer.write(encode_frame(0, self.payload))


class Noise(GoodCamera):
    """Sends RTP whose payload is no H.264."""

    def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
        writer.write(encode_frame(0, packet[:12] + b"\xff\xff\xff\xff"))


@pytest.mark.slow
@pytest.mark.parametrize(("script", "words"), [(Garbage(), "are not RTP"), (Noise(), "gave no H264 picture")])
def test_garbage_media_is_named(script: GoodCamera, words: str) -> None:
    """Frames that are no RTP, or RTP that is no H.264, end as malformed media after 5 s."""

    async def work() -> None:
        async with scripted(script) as camera:
            result = await probe(camera.url)
            assert camera.asked[-1].method == "TEARDOWN"
        found = missing(result, "stream.main.fps")
        assert found.reason is Reason.MALFORMED_MEDIA
        assert words in found.detail
        assert result.observations.value("stream.main.codec") == "H264"

    run(work())


@pytest.mark.slow
def test_a_camera_that_plays_nothing_is_timed_out_by_name() -> None:
    """PLAY is answered and no packet comes: the detail names the step."""

    class Mute(GoodCamera):
        def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked)

    async def work() -> None:
        async with scripted(Mute()) as camera:
            result = await probe(camera.url)
        found = missing(result, "rtsp.tcp_transport")
        assert found.reason is Reason.TIMED_OUT
        assert "first RTP packet" in found.detail

    run(work())


def test_replies_cut_into_single_bytes_are_read() -> None:
    """A camera that sends byte by byte is a camera like any other."""

    class Slow(GoodCamera):
        def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            answer = super().__call__(asked, camera, writer)
            for at in range(len(answer or b"")):
                writer.write((answer or b"")[at : at + 1])
            return None

    async def work() -> None:
        async with scripted(Slow()) as camera:
            result = await probe(camera.url)
        assert result.failure is None
        assert quirks(result) == ()

    run(work())


@pytest.mark.long
def test_deviations_are_survived_and_named() -> None:
    """Xiongmai's header names, blank lines and garbage in the stream, odd channels, a foreign SSRC, a request."""

    class Odd(GoodCamera):
        def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            answer = super().__call__(asked, camera, writer)
            return answer.replace(b"CSeq", b"Cseq") if answer else answer

        def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, Session="1", Transport="RTP/AVP;unicast;interleaved=4-5;ssrc=00000009")

        def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            writer.write(b"OPTIONS rtsp://client RTSP/1.0\r\nCSeq: 9\r\n\r\n")
            return super().play(asked, camera, writer)

        def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
            writer.write(b"\x00\x01garbage" + encode_frame(4, packet) + b"\r\n")
            writer.write(encode_frame(4, packet[:8] + b"\0\0\0\x63" + packet[12:]))
            writer.write(encode_frame(9, packet))

    async def work() -> None:
        async with scripted(Odd()) as camera:
            result = await probe(camera.url, window_s=1.0)
        assert result.failure is None
        assert result.observations.value("stream.main.loss_ratio") == 0.0
        assert set(quirks(result)) == {
            "blank_line_before_data",
            "channels_changed",
            "cseq_spelling",
            "garbage_skipped",
            "server_request",
            "ssrc_other",
            "transport_without_tcp",
            "unassigned_channel",
        }

    run(work())


@pytest.mark.long
def test_loss_and_backward_timestamps_are_measured() -> None:
    """Every 20th packet missing gives 5 % loss."""

    class Lossy(GoodCamera):
        sent = 0

        def send(self, writer: asyncio.StreamWriter, packet: bytes) -> None:
            self.sent += 1
            if self.sent % 20:
                super().send(writer, packet)

    async def work() -> None:
        async with scripted(Lossy()) as camera:
            result = await probe(camera.url, window_s=2.0)
        loss = result.observations.value("stream.main.loss_ratio")
        assert loss == pytest.approx(0.05, abs=0.01)

    run(work())


@pytest.mark.long
def test_b_frames_need_a_transcode() -> None:
    """A stream with B-frames is counted by its slice headers, its timestamps do not increase, and copy is out."""

    class Bidirectional(GoodCamera):
        async def stream(self, writer: asyncio.StreamWriter) -> None:
            from adapters.rtsp.rtp import build_rtp

            order = [0, 3, 1, 2, 6, 4, 5, 9, 7, 8]
            sequence = 0
            for number, unit in enumerate(encoded(40, b_frames=2)):
                timestamp = (number // 10 * 10 + order[number % 10]) * 3600
                parts = payloads(unit)
                for index, payload in enumerate(parts):
                    self.send(
                        writer, build_rtp(96, sequence, timestamp, 7, payload, marker=index == len(parts) - 1)
                    )
                    sequence += 1
                await asyncio.sleep(0.04)

    async def work() -> None:
        async with scripted(Bidirectional()) as camera:
            result = await probe(camera.url, window_s=1.2)
        count = result.observations.value("stream.main.b_frames")
        assert isinstance(count, int)
        assert count > 5
        assert result.observations.value("stream.main.timestamps_increase") is False
        assert result.observations.value("stream.main.relay") == "transcode"

    run(work())


@pytest.mark.long
def test_the_deadline_holds_and_leaves_time_for_teardown() -> None:
    """A window longer than the time allowed is shortened, and the session is still torn down."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            within = context(camera.url)
            started = within.clock.monotonic()
            with taken_away() as more:
                result = await probe(camera.url, within=within, window_s=30.0, runs=1, limit_s=4.5)
                assert within.clock.monotonic() - started < 4.5 + more()
            assert camera.asked[-1].method == "TEARDOWN"
        window_s = result.observations.value("stream.main.window_s")
        assert isinstance(window_s, float)
        assert 0 < window_s < 3.0

    run(work())


def test_a_camera_that_fails_its_second_run_is_counted() -> None:
    """STR-03 asks for three full runs; a camera that answers only the first PLAY has one."""

    class Once(GoodCamera):
        plays = 0

        def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            self.plays += 1
            if self.plays > 1:
                return reply(asked, "503 Service Unavailable")
            return super().play(asked, camera, writer)

    async def work() -> None:
        async with scripted(Once()) as camera:
            result = await probe(camera.url, runs=3)
        assert result.observations.value("rtsp.runs_ok") == 1

    run(work())


def test_the_sub_stream_of_another_device_is_not_dialled() -> None:
    """A sub-stream address on another host is refused without a packet."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera, scripted(GoodCamera()) as other:
            result = await probe(camera.url, sub_target=parse_target(other.url)[0])
            assert other.connections == 0
        assert missing(result, "stream.sub.width").reason is Reason.NO_PERMISSION

    run(work())
