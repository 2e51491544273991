"""Logging in: one credential-bearing attempt, renewed nonces, and nothing sent where it must not be."""

import asyncio
import hashlib
import re

import pytest
from rtsp_support import (
    CLOCK,
    OWNER,
    Answer,
    Asked,
    GoodCamera,
    ScriptedCamera,
    context,
    probe,
    reply,
    run,
    scripted,
    until,
)

from adapters.deadline import Deadline
from adapters.errors import AuthenticationFailed, CoolingDown, PermissionDenied
from adapters.port import AccessUnit
from adapters.rtsp.policy import Policies
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from standards.observation import NotObserved
from standards.reason import Reason


class Guarded(GoodCamera):
    """Wants Digest for everything but OPTIONS, and really verifies it."""

    algorithm = "MD5"
    realm = "IP Camera"

    def __init__(self) -> None:
        self.nonce = "nonce1"
        self.accept = True

    def challenge(self) -> str:
        return f'Digest realm="{self.realm}", nonce="{self.nonce}", random="x", algorithm={self.algorithm}, qop="auth"'

    def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
        if asked.method != "OPTIONS" and not self.verify(asked):
            return reply(asked, "401 Unauthorized", WWW_Authenticate=self.challenge())
        return super().__call__(asked, camera, writer)

    def verify(self, asked: Asked) -> bool:
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', asked.headers.get("authorization", "")))
        if not self.accept or told.get("nonce") != self.nonce:
            return False

        def digest(text: str) -> str:
            return hashlib.new(self.algorithm.replace("-", "").lower(), text.encode()).hexdigest()

        secret = digest(f"{OWNER.user}:{self.realm}:{OWNER.password.reveal()}")
        request = digest(f"{asked.method}:{asked.uri}")
        expected = digest(f"{secret}:{self.nonce}:{told['nc']}:{told['cnonce']}:auth:{request}")
        return told["response"] == expected and told["uri"] == asked.uri


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_one_login_opens_the_stream(algorithm: str) -> None:
    """The anonymous DESCRIBE is refused, one answer to its challenge is accepted, every later request carries it."""

    async def work() -> None:
        camera_script = Guarded()
        camera_script.algorithm = algorithm
        async with scripted(camera_script) as camera:
            within = context(camera.url)
            result = await probe(camera.url, OWNER, within=within)
            seen = result.observations
            assert result.failure is None
            assert seen.value("rtsp.anonymous_describe") == "refused"
            assert seen.value("rtsp.auth_schemes") == ("digest-" + algorithm.lower().replace("-", ""),)
            assert seen.value("credential.accepted") is True
            assert seen.value("stream.main.width") == 320
            assert within.courtesy.logins == 1
            methods = [item.method for item in camera.asked if "authorization" in item.headers]
            assert methods == ["DESCRIBE", "SETUP", "PLAY", "TEARDOWN"]
            assert within.courtesy.reads == len(camera.asked)

    run(work())


def test_a_wrong_password_is_sent_exactly_once_and_starts_the_cool_down() -> None:
    """One credential-bearing request, then none: not in further runs, not in a second probe within 30 minutes."""

    async def work() -> None:
        async with scripted(Guarded()) as camera:
            within = context(camera.url)
            wrong = Credential("owner", Secret("wrong"))
            result = await probe(camera.url, wrong, within=within, runs=3)
            assert isinstance(result.failure, AuthenticationFailed)
            assert result.failure.credential_sent
            assert camera.count(with_credential=True) == 1
            assert result.observations.value("credential.accepted") is False
            width = result.observations["stream.main.width"]
            assert isinstance(width, NotObserved)
            assert width.reason is Reason.REFUSED
            assert "wrong" not in str(result.observations.as_json())
            again = await probe(camera.url, OWNER, within=within)
            assert isinstance(again.failure, CoolingDown)
            assert camera.count(with_credential=True) == 1

    run(work())


def test_a_camera_that_answers_each_refusal_with_a_new_nonce_gets_no_second_attempt() -> None:
    """A new nonce or stale=true before an accepted login is no invitation to try again."""

    class Fresh(Guarded):
        def challenge(self) -> str:
            self.nonce += "x"
            return super().challenge() + ", stale=TRUE"

    async def work() -> None:
        async with scripted(Fresh()) as camera:
            result = await probe(camera.url, Credential("owner", Secret("wrong")))
            assert isinstance(result.failure, AuthenticationFailed)
            assert camera.count(with_credential=True) == 1

    run(work())


def test_without_a_credential_nothing_is_tried() -> None:
    """A camera that wants a login gives no_credential for all that lies behind it."""

    async def work() -> None:
        async with scripted(Guarded()) as camera:
            result = await probe(camera.url)
            assert camera.count(with_credential=True) == 0
            codec = result.observations["stream.main.codec"]
            assert isinstance(codec, NotObserved)
            assert codec.reason is Reason.NO_CREDENTIAL
            assert result.observations.value("reach.answers") == 3
            assert result.observations.value("rtsp.anonymous_describe") == "refused"

    run(work())


def test_basic_alone_gets_no_password() -> None:
    """A camera that offers only Basic without TLS is told apart and gets nothing."""

    class Basic(GoodCamera):
        def describe(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, "401 Unauthorized", WWW_Authenticate='Basic realm="x"')

    async def work() -> None:
        async with scripted(Basic()) as camera:
            result = await probe(camera.url, OWNER)
            assert camera.count(with_credential=True) == 0
            assert result.observations.value("rtsp.auth_schemes") == ("basic",)
            assert isinstance(result.failure, AuthenticationFailed)
            assert not result.failure.credential_sent

    run(work())


def test_a_camera_that_asks_nobody_is_reported_and_gets_no_password() -> None:
    """Anonymous DESCRIBE answered: the finding is noted, the credential stays home."""

    async def work() -> None:
        async with scripted(GoodCamera()) as camera:
            result = await probe(camera.url, OWNER)
            assert result.observations.value("rtsp.anonymous_describe") == "answered"
            assert camera.count(with_credential=True) == 0
            accepted = result.observations["credential.accepted"]
            assert isinstance(accepted, NotObserved)
            assert accepted.reason is Reason.NOT_ASKED

    run(work())


def test_forbidden_after_an_accepted_login_is_no_failed_login() -> None:
    """403 on PLAY is a missing right: no cool-down starts."""

    class NoRight(Guarded):
        def play(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            return reply(asked, "403 Forbidden")

    async def work() -> None:
        async with scripted(NoRight()) as camera:
            within = context(camera.url)
            result = await probe(camera.url, OWNER, within=within)
            assert isinstance(result.failure, PermissionDenied)
            fps = result.observations["stream.main.fps"]
            assert isinstance(fps, NotObserved)
            assert fps.reason is Reason.NO_PRIVILEGE
            assert result.observations.value("credential.accepted") is True
            await within.gate.admit(within.device)

    run(work())


def test_a_camera_that_closes_after_its_challenge_is_dialled_again_once() -> None:
    """Some close the connection behind the 401: the one attempt goes over a new one."""

    class Closing(Guarded):
        def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            answer = super().__call__(asked, camera, writer)
            if answer is not None and b" 401 " in answer:
                writer.write(answer)
                writer.close()
                return None
            return answer

    async def work() -> None:
        async with scripted(Closing()) as camera:
            result = await probe(camera.url, OWNER)
            assert result.failure is None
            assert "reconnected_after_challenge" in (result.observations.value("rtsp.quirks") or ())  # type: ignore[operator]
            assert camera.connections == 2

    run(work())


@pytest.mark.long
def test_a_nonce_that_changes_at_keep_alive_is_answered_once_and_the_picture_goes_on() -> None:
    """Axis renews its nonce after 150 s (quirk 7): the keep-alive's 401 is answered, frames never stop."""

    async def work() -> None:
        script = Guarded()
        script.session = "12345678;timeout=2"
        async with scripted(script) as camera:
            source = RtspSource(parse_target(camera.url)[0], OWNER, context(camera.url))
            await source.open(Deadline.after(CLOCK, 10), tcp=True, audio=False)
            units: list[AccessUnit] = []
            task = asyncio.create_task(source.run(units.append))
            script.nonce = "nonce2"
            await until(lambda: camera.count("GET_PARAMETER") >= 2)
            assert not task.done()
            before = len(units)
            await until(lambda: len(units) > before)
            keepalives = [item for item in camera.asked if item.method == "GET_PARAMETER"]
            assert len(keepalives) >= 2
            assert 'nonce="nonce1"' in keepalives[0].headers["authorization"]
            assert 'nonce="nonce2"' in keepalives[1].headers["authorization"]
            assert "nc=00000001" in keepalives[1].headers["authorization"]
            assert source.client.tolerances.names == ("nonce_renewed",)
            await source.aclose()
            await task
            assert camera.asked[-1].method == "TEARDOWN"

    run(work())


@pytest.mark.long
def test_a_password_withdrawn_during_play_stops_the_keep_alive_not_the_picture() -> None:
    """After the second refusal nothing that carries the credential is sent again."""

    async def work() -> None:
        script = Guarded()
        script.session = "12345678;timeout=1"
        async with scripted(script) as camera:
            within = context(camera.url)
            source = RtspSource(
                parse_target(camera.url)[0], OWNER, within, policies=Policies(keepalive_cap_s=0.4)
            )
            await source.open(Deadline.after(CLOCK, 10), tcp=True, audio=False)
            units: list[AccessUnit] = []
            task = asyncio.create_task(source.run(units.append))
            script.accept = False
            await until(lambda: camera.count("GET_PARAMETER") == 1)
            await asyncio.sleep(1.5)
            assert camera.count("GET_PARAMETER") == 1
            assert not task.done()
            with pytest.raises(CoolingDown):
                await within.gate.admit(within.device)
            await source.aclose()
            await task

    run(work())


def test_redirects_lead_only_to_the_same_device() -> None:
    """Another path on the camera is followed; another host gets neither a connection nor a credential."""

    class Moved(Guarded):
        to = ""

        def __call__(self, asked: Asked, camera: ScriptedCamera, writer: asyncio.StreamWriter) -> Answer:
            if asked.method == "DESCRIBE" and "/ch1" in asked.uri:
                return reply(asked, "302 Moved", Location=self.to)
            return super().__call__(asked, camera, writer)

    async def work() -> None:
        script = Moved()
        async with scripted(script) as camera, scripted(GoodCamera()) as other:
            script.to = camera.url.replace("/ch1", "/new")
            result = await probe(camera.url, OWNER)
            assert result.failure is None
            script.to = other.url
            result = await probe(camera.url, OWNER)
            assert "another host" in str(result.failure)
            assert other.connections == 0

    run(work())


def test_control_addresses_on_another_host_come_back_to_the_camera() -> None:
    """An SDP that names another host is rewritten to the enrolled one, and the finding is named."""

    async def work() -> None:
        async with scripted(GoodCamera()) as other:
            script = Guarded()
            script.sdp = GoodCamera.sdp.replace(b"trackID=1", f"{other.url}/trackID=1".encode())
            async with scripted(script) as camera:
                result = await probe(camera.url, OWNER)
                assert result.failure is None
                assert other.connections == 0
                (setup,) = [item for item in camera.asked if item.method == "SETUP"]
                assert setup.uri == camera.url + "/trackID=1"
                assert "foreign_host_rewritten" in (result.observations.value("rtsp.quirks") or ())  # type: ignore[operator]

    run(work())
