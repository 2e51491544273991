"""A full probe against scripted devices: facts, logins, gentleness."""

import asyncio
import ssl
import sys

import pytest
import trustme
from probing import ADAPTER, CLOCK, GOOD, WRONG, Seen, probe, probe_at
from scripted_onvif import PASSWORD, Device, Request, answer, http, listening, profile

from adapters.deadline import Deadline
from adapters.errors import AuthenticationFailed, CoolingDown, Unreachable, Unsupported
from adapters.onvif.operations import READ_OPERATIONS
from adapters.onvif.probe import ALWAYS, NOT_OURS, PREFIXES
from adapters.port import StreamOffer
from adapters.target import Target
from adapters.wire.gate import CredentialGate, MemoryBook
from standards.facts import FACTS
from standards.observation import Method
from standards.reason import Reason

COVERED = {name for name in FACTS if name.startswith(PREFIXES)} - NOT_OURS | set(ALWAYS)


class TestFacts:
    def test_everything_a_good_device_tells(self) -> None:
        """Each fact of the manifest is observed, with the value that the device gave."""
        device = Device(skew_s=3.0)
        seen = probe(device)
        values = {fact: seen.value(fact) for fact in seen.result.observations}

        assert seen.result.failure is None
        assert {fact: seen.detail(fact) for fact in COVERED if seen.reason(fact)} == {}
        assert values["device.manufacturer"] == "Acme"
        assert values["device.model"] == "Eye 2"
        assert values["device.firmware"] == "1.2.3"
        assert values["device.serial"] == "SN 1"
        assert values["device.mac"] == ("00:aa:bb:cc:dd:ee",)
        assert values["device.endpoint_reference"] == "urn:uuid:00000000-0000-0000-0000-00aabbccddee"
        assert values["onvif.services"] == ("device", "events", "media", "ptz")
        assert values["onvif.xaddr"] == "same"
        assert values["onvif.profiles_claimed"] == ("S", "T")
        assert values["onvif.encodings"] == ("H264",)
        assert values["onvif.anonymous_read_system"] == "refused"
        assert values["onvif.anonymous_read_media"] == "refused"
        assert values["onvif.stream_uri_stable"] is True
        assert values["onvif.stream_uri_octets"] == len("rtsp://127.0.0.1:8554/M?unicast=true&proto=Onvif")
        assert values["onvif.quirks"] == ()
        assert values["http.auth_schemes"] == ("digest-md5",)
        assert values["http.tls"] == "none"
        assert values["reach.answers"] == 3
        assert values["time.zone_offset_min"] == 420
        assert values["time.source"] == "NTP"
        assert values["time.ntp_servers"] == ("ntp.example",)
        assert values["time.daylight_savings"] is False
        assert values["snapshot.anonymous"] == "refused"
        assert values["snapshot.status"] == 200
        assert values["snapshot.content_type"] == "image/jpeg"
        assert values["credential.accepted"] is True
        assert values["target.interfaces"] == ("onvif", "rtsp")
        assert values["stream.main.claimed_width"] == 1920
        assert values["stream.sub.claimed_height"] == 360
        assert values["stream.main.claimed_gov_length"] == 50

    @pytest.mark.parametrize("skew_s", [-90.0, 0.0, 3600.0])
    def test_the_clock_offset_is_measured(self, skew_s: float) -> None:
        """The offset is the camera's clock minus ours, within the second that the camera's clock shows."""
        seen = probe(Device(skew_s=skew_s))
        offset_s = seen.value("time.offset_s")

        assert isinstance(offset_s, float)
        assert skew_s - 1.2 < offset_s < skew_s + 0.2

    def test_offers_the_main_and_the_sub_stream(self) -> None:
        """The largest picture is the main stream, the next smaller one the sub stream, on the enrolled host."""
        seen = probe(Device())

        assert seen.result.offers == (
            StreamOffer(
                Target("rtsp", "127.0.0.1", 8554, "/M?unicast=true&proto=Onvif"),
                "main",
                "H264",
                1920,
                1080,
                "M",
                "VS0",
                "rtsp://127.0.0.1:8554/M?unicast=true&proto=Onvif",
            ),
            StreamOffer(
                Target("rtsp", "127.0.0.1", 8554, "/S?unicast=true&proto=Onvif"),
                "sub",
                "H264",
                640,
                360,
                "S",
                "VS0",
                "rtsp://127.0.0.1:8554/S?unicast=true&proto=Onvif",
            ),
        )
        assert seen.result.snapshot is not None
        assert seen.result.snapshot.path == "/snap.jpg?ch=1"

    def test_provenance_tells_operation_time_and_redacted_evidence(self) -> None:
        """An observation names its operation and keeps a piece of the reply, without secrets."""
        device = Device(
            replies={
                "GetDeviceInformation": answer(
                    "GetDeviceInformation",
                    f"<tds:Manufacturer>Acme</tds:Manufacturer><tds:Model>{PASSWORD.split(' ')[0]}</tds:Model>"
                    "<tds:Password>hidden</tds:Password>",
                )
            }
        )
        seen = probe(device)
        provenance = seen.result.observations["device.manufacturer"].provenance

        assert (provenance.method, provenance.source, provenance.operation, provenance.peer) == (
            Method.TEST,
            "onvif/1",
            "ONVIF device GetDeviceInformation",
            f"127.0.0.1:{device.port}",
        )
        assert "Acme" in provenance.excerpt
        assert "hidden" not in provenance.excerpt
        assert len(provenance.excerpt_sha256) == 64

    def test_no_secret_leaves(self) -> None:
        """The password stands in no observation, no error and no progress line, also when it is refused."""
        for credential in (GOOD, WRONG):
            seen = probe(Device(auth="wsse"), credential)
            everything = f"{seen.result!r} {seen.progress!r} {seen.result.failure!r} {seen.result.observations.as_json()}"
            assert credential.password.reveal() not in everything

    def test_progress_goes_through_the_steps(self) -> None:
        """People see address, login, identify and picture, each running and then ok."""
        seen = probe(Device())

        assert [(item.step, item.state) for item in seen.progress] == [
            (step, state)
            for step in ("address", "login", "identify", "picture")
            for state in ("running", "ok")
        ]


class TestLogin:
    @pytest.mark.parametrize(
        ("auth", "scheme", "schemes"),
        [
            ("digest", "digest", ("digest-md5",)),
            ("sha256", "digest", ("digest-sha256",)),
            ("wsse", "wsse", ("wsse", "digest-md5")),
            ("401-plain", "wsse", ("wsse", "digest-md5")),
        ],
    )
    def test_the_scheme_comes_from_the_anonymous_challenge(
        self, auth: str, scheme: str, schemes: tuple[str, ...]
    ) -> None:
        """HTTP 401 with Digest is answered with Digest, a SOAP NotAuthorized with a WSSE digest; one login."""
        device = Device(auth=auth)
        seen = probe(device)
        soap = {item.credential for item in device.log if item.operation and item.credential}

        assert seen.result.failure is None
        assert soap == {scheme}
        assert seen.value("http.auth_schemes") == schemes
        assert seen.courtesy.logins == 1

    @pytest.mark.parametrize("skew_s", [-86_400.0, 7200.0])
    def test_wsse_is_signed_with_the_devices_clock(self, skew_s: float) -> None:
        """A device that is hours off accepts the login, because it is signed with its own time (quirk 1)."""
        seen = probe(Device(auth="wsse", skew_s=skew_s))

        assert seen.value("credential.accepted") is True

    @pytest.mark.parametrize("auth", ["digest", "sha256", "wsse", "401-plain"])
    def test_a_wrong_password_is_sent_exactly_once(self, auth: str) -> None:
        """After one refused login nothing with a credential is sent; what needs it is not asked; the gate cools down."""
        device = Device(auth=auth)
        gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
        seen = probe(device, WRONG, gate=gate)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert seen.result.failure.credential_sent
        assert seen.result.failure.hint
        assert device.credentialed == 1
        assert seen.courtesy.logins == 1
        assert seen.value("credential.accepted") is False
        assert seen.reason("device.model") is Reason.REFUSED
        assert seen.reason("onvif.scopes") is Reason.NO_CREDENTIAL
        assert seen.reason("stream.main.claimed_width") is Reason.NO_CREDENTIAL
        assert seen.value("reach.answers") == 3
        assert seen.progress[-1].state == "failed"
        with pytest.raises(CoolingDown):
            asyncio.run(gate.admit(seen.context.device))

    def test_during_a_cool_down_no_credential_is_sent(self) -> None:
        """A device that cools down is asked what it tells anybody, and nothing more."""
        device = Device()
        gate = CredentialGate(MemoryBook(CLOCK), CLOCK)

        async def run() -> Seen:
            async with listening(device.handle) as port:
                device.port = port
                target = Target("onvif", "127.0.0.1", port)
                await gate.refused(target.authority)
                return await probe_at(target, GOOD, gate=gate)

        seen = asyncio.run(run())

        assert isinstance(seen.result.failure, CoolingDown)
        assert device.credentialed == 0
        assert seen.reason("device.model") is Reason.NO_CREDENTIAL
        assert seen.value("onvif.anonymous_read_system") == "refused"

    def test_without_a_credential(self) -> None:
        """A device that wants a login is not logged in to when none was supplied."""
        device = Device()
        seen = probe(device, None)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert not seen.result.failure.credential_sent
        assert device.credentialed == 0
        assert seen.reason("credential.accepted") is Reason.NO_CREDENTIAL
        assert seen.reason("device.model") is Reason.NO_CREDENTIAL

    def test_an_open_device_gets_no_credential(self) -> None:
        """A device that answers anybody is read without a login, and that is a fact."""
        device = Device(auth="none")
        seen = probe(device)

        assert seen.result.failure is None
        assert device.credentialed == 0
        assert seen.value("onvif.anonymous_read_system") == "answered"
        assert seen.value("onvif.anonymous_read_media") == "answered"
        assert seen.value("snapshot.anonymous") == "answered"
        assert seen.reason("credential.accepted") is Reason.NOT_ASKED
        assert seen.value("device.model") == "Eye 2"

    def test_basic_without_tls_is_not_answered(self) -> None:
        """A device that offers only Basic over plain HTTP gets no password."""
        device = Device(auth="basic")
        seen = probe(device)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert not seen.result.failure.credential_sent
        assert device.credentialed == 0
        assert seen.value("http.auth_schemes") == ("basic",)

    def test_only_media_wants_a_login(self) -> None:
        """Where the device information is open, the media service makes the login (quirk 14)."""
        device = Device()
        device.open_operations |= {"GetDeviceInformation"}
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("onvif.anonymous_read_system") == "answered"
        assert seen.value("onvif.anonymous_read_media") == "refused"
        assert device.operations("digest")[0] == "GetProfiles"
        assert seen.courtesy.logins == 1

    def test_a_new_nonce_after_the_login_is_answered_once(self) -> None:
        """A device whose nonces are good for one request is read to the end within one login."""
        device = Device(one_nonce_each=True)
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.courtesy.logins == 1
        assert seen.value("device.model") == "Eye 2"
        assert seen.value("onvif.encodings") == ("H264",)

    def test_a_right_refused_later_is_no_failed_login(self) -> None:
        """After an accepted login a refusal is one of rights: that fact is missing, nothing cools down."""
        device = Device(auth="wsse")

        def refuse(_request: Request) -> bytes:
            from scripted_onvif import ENVELOPE, NOT_AUTHORIZED

            return http(400, ENVELOPE.format(NOT_AUTHORIZED).encode())

        device.replies["GetNetworkInterfaces"] = refuse
        gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
        seen = probe(device, gate=gate)

        assert seen.result.failure is None
        assert seen.reason("device.mac") is Reason.NO_PRIVILEGE
        assert seen.value("onvif.encodings") == ("H264",)
        asyncio.run(gate.admit(seen.context.device))

    def test_everything_refused_with_400_is_unauthorised(self) -> None:
        """A device that refuses even the time with HTTP 400 + NotAuthorized is logged in to and read (quirks 4, 69)."""
        device = Device(auth="wsse", open_operations=set())
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("reach.answers") == 3
        assert seen.value("time.utc_present") is True
        assert seen.value("onvif.services") == ("device", "events", "media", "ptz")

    def test_everything_refused_and_no_credential(self) -> None:
        """The same device without a credential is unauthorised, not unsupported."""
        seen = probe(Device(auth="wsse", open_operations=set()), None)

        assert seen.value("reach.answers") == 3
        assert seen.value("http.auth_schemes") == ("wsse",)
        assert seen.reason("onvif.services") is Reason.REFUSED
        assert seen.reason("time.utc_present") is Reason.NO_CREDENTIAL

    def test_a_locked_account_is_named(self) -> None:
        """A refusal that speaks of a lock-out says so in the hint (quirk 10)."""
        from scripted_onvif import NOT_AUTHORIZED

        device = Device(
            auth="wsse",
            fault=NOT_AUTHORIZED.replace("Sender not authorized", "account locked, 2 attempts left"),
        )
        seen = probe(device, WRONG)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert "locked" in seen.result.failure.hint


class TestGentleness:
    def test_only_reads_and_no_events(self) -> None:
        """Every operation sent is on the closed list, and all of them read."""
        device = Device()
        probe(device)
        names = {item.name for item in READ_OPERATIONS}

        assert set(device.operations()) - {""} <= names
        assert all(item.line.startswith(("POST ", "GET /snap.jpg")) for item in device.log)

    def test_at_most_two_connections_and_few_reads(self) -> None:
        """A whole probe is one connection at a time and about two dozen reads, all of them counted."""
        device = Device()
        seen = probe(device)

        assert device.most_connections == 1
        assert seen.courtesy.reads == len(device.log) <= 24

    def test_every_socket_is_the_dialers(self) -> None:
        """During a whole probe no socket is connected that the guarded dialer did not open."""
        connected: list[object] = []
        watching = True

        def hook(event: str, args: tuple[object, ...]) -> None:
            if watching and event in {"socket.connect", "socket.sendto", "socket.getaddrinfo"}:
                connected.append(args)

        sys.addaudithook(hook)
        try:
            seen = probe(Device(auth="wsse"))
        finally:
            watching = False

        assert seen.result.failure is None
        assert len(connected) == seen.dialer.opened > 0

    def test_the_picture_itself_is_not_read(self) -> None:
        """The probe judges the snapshot address by status and media type; the credentialed GET is one request."""
        device = Device()
        probe(device)

        assert [item.credential for item in device.log if item.path.startswith("/snap")] == ["", "digest"]


class TestAdapter:
    def test_opens_no_media(self) -> None:
        """`open` points to the RTSP offers."""
        offer = StreamOffer(Target("onvif", "127.0.0.1", 80), "main")
        with pytest.raises(Unsupported) as caught:
            asyncio.run(ADAPTER.open(offer, None, None, Deadline.after(CLOCK, 1.0)))  # type: ignore[arg-type]
        assert "RTSP" in caught.value.hint

    def test_over_tls(self) -> None:
        """A device on HTTPS with a self-signed certificate is read, and the TLS version is a fact."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        trustme.CA().issue_cert("camera.invalid").configure_cert(context)
        device = Device()

        async def run() -> Seen:
            server = await asyncio.start_server(device.handle, "127.0.0.1", 0, ssl=context)
            device.port = server.sockets[0].getsockname()[1]
            try:
                return await probe_at(Target("onvifs", "127.0.0.1", device.port), GOOD)
            finally:
                server.close()
                await server.wait_closed()

        seen = asyncio.run(run())

        assert seen.result.failure is None
        assert str(seen.value("http.tls")).startswith("TLSv1.")
        assert seen.value("tls.version") == seen.value("http.tls")
        assert seen.value("tls.expired") is False
        assert seen.value("tls.fingerprint")
        assert seen.result.snapshot is not None
        assert seen.result.snapshot.scheme == "https"

    def test_nothing_listens(self) -> None:
        """A refused connection ends the probe at once, with every fact unreachable."""

        async def run() -> Seen:
            async with listening(Device().handle) as port:
                pass
            return await probe_at(Target("onvif", "127.0.0.1", port))

        seen = asyncio.run(run())

        assert isinstance(seen.result.failure, Unreachable)
        assert {seen.reason(fact) for fact in COVERED - {"target.interfaces"}} == {Reason.UNREACHABLE}
        assert seen.courtesy.reads == 1

    def test_every_covered_fact_is_present_however_it_ends(self) -> None:
        """Whatever happens, each fact of the manifest is observed or not observed with a sentence."""
        for device, credential in (
            (Device(), GOOD),
            (Device(), WRONG),
            (Device(), None),
            (Device(auth="none"), None),
            (Device(auth="basic"), GOOD),
            (Device(replies={"GetProfiles": b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"}), GOOD),
            (Device(replies={"GetProfiles": answer("GetProfiles", "", "trt")}), GOOD),
            (
                Device(replies={"GetProfiles": answer("GetProfiles", profile("J", "JPEG", 640, 480), "trt")}),
                GOOD,
            ),
        ):
            seen = probe(device, credential)
            assert set(seen.result.observations) >= COVERED
            assert all(seen.detail(fact) for fact in COVERED if seen.reason(fact))
