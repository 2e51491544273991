"""The rules that protect a camera, for every family alike: by the device's own count of what carried a credential."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import corpus
import pytest
from asking import CLOCK, GOOD, WRONG, Told, ask, ask_at
from vendor_replay import (
    NOT_SUPPORTED,
    Answer,
    Made,
    Replayer,
    Seen,
    Vigi,
    axis_recorded,
    dahua_captured,
    dahua_device,
    isapi_device,
    self_signed,
    serving,
)

from adapters.axis.reads import READS as AXIS_READS
from adapters.clock import SystemClock
from adapters.dahua.reads import READS as DAHUA_READS
from adapters.errors import AuthenticationFailed, CoolingDown, LocalProtocolError
from adapters.hikvision.reads import READS as HIKVISION_READS
from adapters.wire.gate import CredentialGate, MemoryBook
from adapters.wire.reads import Read
from standards.reason import Reason

pytestmark = corpus.needs_corpus

FAMILIES: dict[str, Callable[[], Answer]] = {
    "hikvision": lambda: isapi_device("10_18_176_10"),
    "dahua": lambda: dahua_device(dahua_captured()),
    "axis": axis_recorded,
}
MODELS = {"hikvision": "DS-2DF8C832MX-ZDK", "dahua": "IPC-HDW5831R-ZE", "axis": "P5512"}
each_family = pytest.mark.parametrize("family", FAMILIES)


def device(family: str, **options: object) -> Replayer:
    return Replayer(FAMILIES[family](), **options)  # type: ignore[arg-type]


@each_family
@pytest.mark.parametrize("auth", ["digest", "sha256"])
def test_one_login_reads_everything(family: str, auth: str) -> None:
    """One login by the scheme of the challenge; the first three requests carry no credential."""
    told = ask(family, device(family, auth=auth))

    assert told.result.failure is None
    assert told.value("device.model") == MODELS[family]
    assert told.value("vendor.family") == family
    assert told.value("credential.accepted") is True
    assert told.value("http.auth_schemes") == ("digest-md5" if auth == "digest" else "digest-sha256",)
    assert told.value("reach.answers") == 3
    assert (told.courtesy.logins, told.device.refused) == (1, 0)
    assert ["authorization" in seen.headers for seen in told.device.asked[:4]] == [False] * 3 + [True]
    assert told.courtesy.reads == len(told.device.asked)
    assert {offer.target.host for offer in told.result.offers} == {"127.0.0.1"}
    assert [offer.layer for offer in told.result.offers][:2] == ["main", "sub"]
    assert told.value("snapshot.anonymous") == "refused"


@each_family
def test_a_wrong_password_is_sent_exactly_once(family: str) -> None:
    """By the device's own count one request carried the credential; then nothing more, and the cool-down runs."""
    gate = CredentialGate(MemoryBook(CLOCK), CLOCK)

    async def run() -> tuple[Told, Told]:
        asked = device(family)
        async with serving(asked.handle) as port:
            first = await ask_at(family, port, asked, WRONG, gate=gate)
            return first, await ask_at(family, port, asked, GOOD, gate=gate)

    first, second = asyncio.run(run())

    assert (second.device.with_credential, second.device.refused) == (1, 1)
    assert isinstance(first.result.failure, AuthenticationFailed)
    assert first.result.failure.credential_sent
    assert first.value("credential.accepted") is False
    assert first.reason("device.model") is Reason.REFUSED
    assert first.reason("account.levels") is Reason.NO_CREDENTIAL
    assert isinstance(second.result.failure, CoolingDown)
    assert second.result.failure.until > CLOCK.now() + timedelta(minutes=25)
    assert second.value("reach.answers") == 3


@each_family
def test_basic_over_plain_http_is_refused_with_its_reason(family: str) -> None:
    """A device that takes Basic only (quirk 105) gets no credential over HTTP, and the report says why."""
    told = ask(family, device(family, auth="basic"))

    assert told.device.with_credential == 0
    assert isinstance(told.result.failure, AuthenticationFailed)
    assert not told.result.failure.credential_sent
    assert "would travel readable" in str(told.result.failure)
    assert told.value("http.auth_schemes") == ("basic",)
    assert told.reason("device.model") is Reason.NO_CREDENTIAL


@each_family
def test_basic_within_tls_logs_in(family: str) -> None:
    """Over HTTPS the same device is read, and the handshake's facts are recorded."""
    told = ask(f"{family}+https", device(family, auth="basic"), tls=self_signed())

    assert told.value("device.model") == MODELS[family]
    assert told.value("http.tls") in {"TLSv1.2", "TLSv1.3"}
    assert len(str(told.value("tls.fingerprint"))) == 64
    assert told.value("tls.expired") is False
    assert told.device.refused == 0


@each_family
def test_without_a_credential_nothing_is_guessed(family: str) -> None:
    """No credential: no login, and the reason stands at every fact."""
    told = ask(family, device(family), None)

    assert told.device.with_credential == 0
    assert len(told.device.asked) == 3
    assert told.reason("device.model") is Reason.NO_CREDENTIAL
    assert told.reason("credential.accepted") is Reason.NO_CREDENTIAL


@each_family
def test_a_nonce_that_wears_out_is_renewed(family: str) -> None:
    """A device whose nonces serve two requests each answers stale; every read still arrives, no refusal."""
    told = ask(family, device(family, nonce_uses=2))

    assert told.result.failure is None
    assert told.value("device.model") == MODELS[family]
    assert told.value("snapshot.status") is not None or told.reason("snapshot.status")
    assert (told.device.refused, told.courtesy.logins) == (0, 1)


@each_family
def test_what_an_account_may_not_read_costs_that_fact_only(family: str) -> None:
    """403 for accounts and storage: these facts read no_privilege, all others are there."""
    closed = (
        "/ISAPI/Security/users",
        "/cgi-bin/userManager.cgi",
        "/axis-cgi/pwdgrp.cgi",
        "/axis-cgi/disks/list.cgi",
    )

    def denied(seen: Seen) -> Made | None:
        return (403, "text/plain", b"Forbidden") if seen.path in closed else None

    told = ask(family, device(family, denied=denied))

    assert told.result.failure is None
    assert told.reason("account.levels") is Reason.NO_PRIVILEGE
    assert told.value("device.model") == MODELS[family]
    assert told.value("credential.accepted") is True


@each_family
def test_two_lost_connections_in_a_row_end_the_conversation(family: str) -> None:
    """A device that hangs up after the login is left alone after two reads; what it told before stands."""
    asked = device(family)
    asked.hangs_up = lambda seen: asked.with_credential > 2 and "authorization" in seen.headers
    told = ask(family, asked)

    assert told.result.failure is not None
    assert told.result.failure.code == "unreachable"  # type: ignore[attr-defined]
    assert told.value("device.model") == MODELS[family]
    assert told.reason("storage.present") is Reason.UNREACHABLE
    assert (
        told.device.with_credential <= 7
    )  # three answered reads, then two, each tried again on a fresh connection


class SlowingClock(SystemClock):
    """A clock that runs ahead by a second for each request that a device answered."""

    def __init__(self) -> None:
        self.device: Replayer | None = None

    def monotonic(self) -> float:
        return super().monotonic() + (len(self.device.asked) if self.device else 0)


@each_family
def test_time_is_kept_for_the_stream_that_follows(family: str) -> None:
    """A device that takes a second for each reply: what is not reached reads so, and the probe is no failure."""
    clock = SlowingClock()
    clock.device = device(family)
    told = ask(family, clock.device, limit_s=14.0, clock=clock)

    assert told.result.failure is None
    assert told.value("device.model") == MODELS[family]
    assert told.reason("recording.mode") is Reason.NOT_ASKED
    assert "no time was left" in told.detail("recording.mode")
    assert told.result.offers
    assert len(told.device.asked) <= 11


def test_a_missing_right_is_told_from_a_missing_function() -> None:
    """ISAPI says both with HTTP 403; its sub-status decides."""

    def denied(seen: Seen) -> Made | None:
        if seen.path == "/ISAPI/Security/users":
            return 403, "application/xml", NOT_SUPPORTED.replace(b"notSupport", b"lowPrivilege")
        return None

    told = ask("hikvision", device("hikvision", denied=denied))

    assert told.reason("account.levels") is Reason.NO_PRIVILEGE
    assert told.reason("service.telnet") is Reason.DENIED_BY_DEVICE


def test_refusals_that_may_be_counted_as_logins_are_not_repeated() -> None:
    """A device that takes the login and then answers 401 again and again is left alone after two reads."""
    asked = device("hikvision")
    asked.denied = lambda seen: None if seen.path.endswith("deviceInfo") else (401, "text/html", b"no")
    told = ask("hikvision", asked)

    assert told.device.with_credential <= 4
    assert told.reason("account.levels") is Reason.NO_PRIVILEGE
    assert told.value("device.model") == MODELS["hikvision"]


def test_a_path_that_is_not_there_says_nothing_about_the_password() -> None:
    """A 404 before the login is proven does not count as an accepted login: the next 401 is the refusal."""
    asked = device("axis")
    asked.open_paths = frozenset({"/axis-cgi/apidiscovery.cgi"})
    told = ask("axis", asked, WRONG)

    assert told.device.with_credential == 1
    assert told.value("credential.accepted") is False


def test_no_table_holds_anything_but_reads() -> None:
    """Each request of the three tables is a GET without a set action, or a POST of a get method; others are refused."""
    for read in (*HIKVISION_READS, *DAHUA_READS, *AXIS_READS):
        assert read.method == "GET" or b'"method":"get' in read.body or b"systemready" in read.body
        assert not any(word in read.path.lower() for word in ("set", "reboot", "upgrade", "delete", "add"))
    for path, body in (
        ("/cgi-bin/configManager.cgi?action=setConfig&Encode[0]=1", b""),
        ("/cgi-bin/magicBox.cgi?action=reboot", b""),
        ("/axis-cgi/time.cgi", b'{"method":"setDateTime"}'),
        ("/axis-cgi/param.cgi?action=update&root.X=1", b""),
    ):
        with pytest.raises(LocalProtocolError):
            Read("no read", path, (), lambda _reply, _notes: {}, body=body)


class TestVigi:
    def test_one_login_and_the_stream_port(self) -> None:
        """Challenge, one answer, the port; the token stands in no fact, no message and no progress."""
        camera = Vigi()
        told = ask("vigi", camera, tls=self_signed())  # type: ignore[arg-type]

        assert told.result.failure is None
        assert (camera.with_credential, told.courtesy.logins) == (1, 1)
        assert told.value("service.rtsp_port") == 8554
        assert [offer.target.url for offer in told.result.offers] == [
            "rtsp://127.0.0.1:8554/stream1",
            "rtsp://127.0.0.1:8554/stream2",
        ]
        assert told.reason("device.model") is Reason.NOT_ASKED
        assert "does not publish the method list" in told.detail("device.model")
        assert (told.value("http.auth_schemes"), told.value("vendor.interface")) == (
            ("digest-sha256",),
            "OpenAPI",
        )
        assert len(str(told.value("tls.fingerprint"))) == 64
        assert camera.token not in told.text()

    def test_a_wrong_password_is_sent_exactly_once(self) -> None:
        """By the camera's own count one answer was sent; then nothing, and the cool-down runs."""
        camera, gate = Vigi(), CredentialGate(MemoryBook(CLOCK), CLOCK)

        async def run() -> tuple[Told, Told]:
            async with serving(camera.handle, self_signed()) as port:
                first = await ask_at("vigi", port, camera, WRONG, gate=gate)  # type: ignore[arg-type]
                return first, await ask_at("vigi", port, camera, GOOD, gate=gate)  # type: ignore[arg-type]

        first, second = asyncio.run(run())

        assert camera.with_credential == 1
        assert first.value("credential.accepted") is False
        assert isinstance(second.result.failure, CoolingDown)

    @pytest.mark.parametrize("algorithm", ["MD5", "none"])
    def test_a_weaker_login_is_not_answered(self, algorithm: str) -> None:
        """Another algorithm than SHA-256 gets no answer."""
        camera = Vigi(algorithm=algorithm)
        told = ask("vigi", camera, tls=self_signed())  # type: ignore[arg-type]

        assert camera.with_credential == 0
        assert told.result.failure is not None
        assert told.result.failure.code == "unsupported"  # type: ignore[attr-defined]

    @pytest.mark.parametrize(
        ("options", "port"),
        [
            ({"port_reply": b'{"errCode":0,"streamPort":10554}'}, 10554),
            ({"port_reply": b'{"errCode":0,"result":{}}'}, 554),
            ({"port_reply": b'{"errCode":-40401}'}, 554),
            ({"port_reply": b'{"errCode":0,"port":70000}'}, 554),
            ({"port_reply": b"<html>"}, 554),
        ],
    )
    def test_the_usual_port_where_none_is_told(self, options: dict[str, bytes], port: int) -> None:
        """A port is taken from whatever names one; else 554, and the fact says why it is missing."""
        told = ask("vigi", Vigi(**options), tls=self_signed())  # type: ignore[arg-type]

        assert told.result.offers[0].target.port == port
        assert (told.value("service.rtsp_port") is None) == (port == 554)

    @pytest.mark.parametrize(
        "reply", [b"[]", b"{}", b'{"authenticate":{"realm":1}}', b"\xff" * 50, b"[" * 100_000]
    )
    def test_what_is_no_challenge_is_not_openapi(self, reply: bytes) -> None:
        """Anything but a challenge ends in one typed error; nothing was sent."""
        camera = Vigi(first_reply=reply)
        told = ask("vigi", camera, tls=self_signed())  # type: ignore[arg-type]

        assert told.result.failure is not None
        assert told.result.failure.code == "not_the_protocol"  # type: ignore[attr-defined]
        assert camera.with_credential == 0
