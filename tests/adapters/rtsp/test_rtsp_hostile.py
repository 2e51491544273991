"""Hostile and odd cameras at the session's side: each ends in an observation or a typed error within its deadline."""

import asyncio
import hashlib
import re
from dataclasses import replace

import pytest
from rtsp_support import (
    CLOCK,
    SDP,
    Answer,
    Asked,
    GoodCamera,
    ScriptedCamera,
    context,
    probe,
    reply,
    run,
    scripted,
)

from adapters.deadline import Deadline
from adapters.errors import AdapterError, AuthenticationFailed
from adapters.port import ProbeResult
from adapters.rtsp.policy import DEFAULT
from adapters.rtsp.source import RtspSource
from adapters.rtsp.stale import StaleSession, StaleSessions, keeps_sending
from adapters.secret import Credential, Secret
from adapters.target import parse_target

QUICK = replace(DEFAULT, answer_s=0.6, options_s=0.6, teardown_s=0.3)
ODD = Credential('a"d\\m:in', Secret('p%20"w\\d:/@?#&=+ \u1ec7'))


def probed(script: GoodCamera, credential: Credential | None = None) -> tuple[ProbeResult, ScriptedCamera]:
    async def work() -> tuple[ProbeResult, ScriptedCamera]:
        async with scripted(script) as camera:
            return await probe(camera.url, credential, policies=QUICK, limit_s=6.0), camera

    return run(work())


class Dripping(GoodCamera):
    """Answers DESCRIBE with `head`, then with `drop` for ever, each `every_s`."""

    def __init__(self, head: bytes, drop: bytes, every_s: float) -> None:
        self.head, self.drop, self.every_s = head, drop, every_s

    def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        camera.tasks.append(asyncio.create_task(self.drip(writer)))
        return self.head

    async def drip(self, writer: asyncio.StreamWriter) -> None:
        while not writer.transport.is_closing():
            writer.write(self.drop)
            await asyncio.sleep(self.every_s)


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (Dripping(b"RTSP/1.0 200 OK\r\n", b"X-More: and more\r\n" * 100, 0.005), "malformed_rtsp"),
        (
            Dripping(b"RTSP/1.0 200 OK\r\nCSeq: ", b"1", 0.05),
            "malformed_rtsp",
        ),  # slow-loris: cut short in time
        (Dripping(b"", b"\x00\xff\x17" * 5_000, 0.002), "malformed_rtsp"),
        (Dripping(b"", b"$\x00\x00\x04abcd" * 500, 0.005), "timed_out"),  # frames for ever, no answer
        (
            Dripping(b"RTSP/1.0 200 OK\r\nContent-Length: 999999999\r\n\r\n", b"v=0\r\n", 0.05),
            "malformed_rtsp",
        ),
    ],
    ids=["endless headers", "slow-loris", "garbage for ever", "frames for ever", "endless body"],
)
def test_replies_without_end_end(script: GoodCamera, code: str) -> None:
    """Within the deadline, with the word for what was wrong."""
    result, camera = probed(script, ODD)
    assert isinstance(result.failure, AdapterError)
    assert result.failure.code == code, result.failure
    assert camera.count(with_credential=True) == 0


class Moving(GoodCamera):
    """Redirects DESCRIBE of the first address."""

    def __init__(self, location: str) -> None:
        self.location = location

    def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        if asked.uri.endswith("/ch1"):
            return reply(asked, "302 Moved", Location=self.location.format(port=camera.port))
        return super().describe(asked, camera, writer)


def test_a_redirect_on_the_same_device_is_followed_by_name() -> None:
    """Another path of the same camera; the report names it."""
    result, camera = probed(Moving("rtsp://127.0.0.1:{port}/other"))
    assert result.failure is None
    assert result.observations.value("rtsp.quirks") == ("redirected",)
    assert camera.asked[-1].uri.startswith(f"rtsp://127.0.0.1:{camera.port}/other")


@pytest.mark.parametrize(
    "location",
    [
        "rtsp://10.9.8.7/ch1",
        "http://127.0.0.1:{port}/x",
        "rtsp://127.0.0.1:{port}/ch1",
        "file:///etc/passwd",
        "//x",
    ],
)
def test_a_redirect_elsewhere_or_in_a_circle_is_not_followed(location: str) -> None:
    """Neither connection nor credential leaves the enrolled camera."""
    result, camera = probed(Moving(location), ODD)
    assert isinstance(result.failure, AdapterError)
    assert "redirects" in str(result.failure)
    assert camera.count(with_credential=True) == 0


class Locked(GoodCamera):
    """Wants a login; offers several challenges, of which only `works` is honoured."""

    offers = (
        'Basic realm="cam"',
        'Digest realm="cam", nonce="n", algorithm=SHA-512-256-odd, qop="auth"',
        'Digest realm="cam", random="ZTFkMw==", nonce="n", stale=FALSE, qop="auth", opaque="", unknown',
    )

    def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        if asked.headers.get("user-agent", "") == "":
            return reply(asked, "401 Unauthorized")
        if asked.method == "OPTIONS" or self.verify(asked):
            return super().__call__(asked, camera, writer)
        head = reply(asked, "401 Unauthorized")[:-2]
        return head + "".join(f"WWW-Authenticate: {offer}\r\n" for offer in self.offers).encode() + b"\r\n"

    def verify(self, asked: Asked) -> bool:
        quoted = r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^,]*))'
        told = {
            name: re.sub(r"\\(.)", r"\1", text) or plain
            for name, text, plain in re.findall(quoted, asked.headers.get("authorization", ""))
        }
        if told.get("username") != ODD.user:
            return False

        def digest(text: str) -> str:
            return hashlib.md5(text.encode()).hexdigest()

        secret = digest(f"{ODD.user}:cam:{ODD.password.reveal()}")
        request = digest(f"{asked.method}:{asked.uri}")
        return told["response"] == digest(f"{secret}:n:{told['nc']}:{told['cnonce']}:auth:{request}")


def test_the_challenge_that_can_be_answered_is_picked_among_several() -> None:
    """Basic, an unknown hash and unknown parameters beside a good Digest (quirks 1, 2); odd characters in both words (3)."""
    result, camera = probed(Locked(), ODD)
    assert result.failure is None
    assert result.observations.value("credential.accepted") is True
    assert all(asked.headers["user-agent"] for asked in camera.asked)


def test_a_challenge_that_does_not_work_costs_one_attempt() -> None:
    """A camera that honours none of what it offers gets one answer, not one for each offer."""

    class Lying(Locked):
        def verify(self, asked: Asked) -> bool:
            return False

    result, camera = probed(Lying(), ODD)
    assert isinstance(result.failure, AuthenticationFailed)
    assert camera.count(with_credential=True) == 1


def test_another_describe_before_another_transport() -> None:
    """After 461 this camera takes the other transport only behind a new DESCRIBE (quirk 12)."""

    class Hikvision(GoodCamera):
        described = False

        def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            self.described = True
            return super().describe(asked, camera, writer)

        def setup(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            if "TCP" not in asked.headers["transport"]:
                self.described = False
                return reply(asked, "461 Unsupported Transport")
            if not self.described:
                return reply(asked, "455 Method Not Valid in This State")
            return super().setup(asked, camera, writer)

    async def work() -> None:
        async with scripted(Hikvision()) as camera:
            result = await probe(camera.url, transport="udp")
            assert result.failure is None
            assert result.observations.value("rtsp.quirks") == ("described_again", "transport_switched")
            assert result.observations.value("rtsp.udp_transport") is False

    run(work())


def test_an_old_live555_is_left_alone_after_a_session_without_goodbye() -> None:
    """It sends on into a closed connection until the session times out (quirk 15): nothing is dialled before that."""

    class Old(GoodCamera):
        session = "1;timeout=65"
        sdp = SDP.replace(b"s=camera", b"s=camera\r\na=tool:LIVE555 Streaming Media v2013.02.11")

        def teardown(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return None

    async def work() -> None:
        stale = StaleSessions()
        async with scripted(Old()) as camera:

            def source() -> RtspSource:
                target = parse_target(camera.url)[0]
                return RtspSource(target, None, context(camera.url), policies=QUICK, stale=stale)

            first = source()
            await first.open(Deadline.after(CLOCK, 10), tcp=True, audio=False)
            await first.aclose()
            with pytest.raises(StaleSession, match=r"left alone for (69|70) s"):
                await source().open(Deadline.after(CLOCK, 10), tcp=True, audio=False)
            assert camera.connections == 1

    run(work())


@pytest.mark.parametrize(
    ("told", "faulty"),
    [
        ("LIVE555 Streaming Media v2017.06.03", True),
        ("LIVE555 Streaming Media v2017.06.04", False),
        ("LIVE555 Streaming Media v2021", False),
        ("GStreamer", False),
    ],
)
def test_only_versions_with_the_fault_are_left_alone(told: str, faulty: bool) -> None:
    """The version is told by the Server header or by the description's tool."""
    assert keeps_sending("", told) is faulty


def test_a_stale_session_is_forgotten_in_time() -> None:
    """After the timeout and a margin the camera is dialled again; others are at all times."""
    stale = StaleSessions()
    stale.left("cam", 100.0, 60.0)
    with pytest.raises(StaleSession):
        stale.check("cam", 164.9, peer="cam:554")
    stale.check("cam", 165.1, peer="cam:554")
    stale.check("other", 100.0, peer="other:554")
