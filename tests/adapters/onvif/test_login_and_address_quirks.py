"""Quirks of clocks, logins, addresses and tokens, one scripted device each; and hostile ones. Numbers: docs/design/onvif.md."""

import asyncio
from datetime import timedelta

import pytest
from probing import GOOD, WRONG, probe, probe_at
from scripted_onvif import (
    ENVELOPE,
    NOT_AUTHORIZED,
    NOT_SUPPORTED,
    PASSWORD,
    Device,
    Request,
    answer,
    date_time,
    http,
    listening,
    profile,
)

from adapters.errors import AuthenticationFailed
from adapters.target import Target
from standards.reason import Reason

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;">]>'
    + ENVELOPE.format("&m;").encode()[38:]
)


class TestClock:
    @pytest.mark.parametrize("date_header", [True, False])
    @pytest.mark.parametrize("skew_s", [0.0, 40.0])
    def test_local_time_in_the_utc_field(self, date_header: bool, skew_s: float) -> None:
        """3: UTC field and local time are the same in a zone that is not UTC: signed by the clock that runs in UTC."""
        device = Device(auth="wsse", skew_s=skew_s)

        def wrong(_request: Request) -> bytes:
            local = device.now() + timedelta(hours=7)
            body = (
                "<tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
                "<tt:TimeZone><tt:TZ>ICT-7</tt:TZ></tt:TimeZone>"
                f"{date_time(local, 'UTCDateTime')}{date_time(local, 'LocalDateTime')}</tds:SystemDateAndTime>"
            )
            date = [f"Date: {device.now():%a, %d %b %Y %H:%M:%S} GMT"] if date_header else []
            return http(200, ENVELOPE.format(answer("GetSystemDateAndTime", body)).encode(), *date)

        device.replies["GetSystemDateAndTime"] = wrong
        seen = probe(device)

        assert seen.value("credential.accepted") is True
        assert "local_time_in_utc_field" in (seen.value("onvif.quirks") or ())
        assert float(str(seen.value("time.offset_s"))) > 7 * 3600 - 5  # told as it is: a finding

    def test_a_clock_that_wants_a_login(self) -> None:
        """4: a device that refuses even the clock is logged in to once, and then asked for it."""
        device = Device(open_operations=set())
        seen = probe(device)

        assert seen.courtesy.logins == 1
        assert seen.value("time.utc_present") is True
        assert seen.value("onvif.services") is not None

    def test_a_clock_that_wants_a_login_signed_by_token(self) -> None:
        """4: with WSSE the token is made by our own clock, which is all there is."""
        seen = probe(Device(auth="wsse", open_operations=set()))

        assert seen.value("credential.accepted") is True
        assert seen.value("time.source") == "NTP"

    @pytest.mark.parametrize("years", [-9, 9])
    def test_a_clock_that_was_reset(self, years: int) -> None:
        """1: a device whose clock starts in another year is signed to in its own time."""
        seen = probe(Device(auth="wsse", skew_s=years * 365 * 86400.0))

        assert seen.value("credential.accepted") is True


class TestLogin:
    @pytest.mark.parametrize("auth", ["digest", "sha256", "wsse", "401-plain"])
    @pytest.mark.parametrize("extended", [False, True])
    def test_a_wrong_password_costs_one_request(self, auth: str, extended: bool) -> None:
        """10: one credential-bearing request by the device's own count, then nothing until it cools down."""
        device = Device(auth=auth)
        seen = probe(device, WRONG, extended=extended)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert device.credentialed == 1
        assert seen.courtesy.logins == 1
        assert seen.value("credential.accepted") is False

    @pytest.mark.parametrize("auth", ["wsse", "basic", "401-plain"])
    def test_no_password_is_ever_sent_readable(self, auth: str) -> None:
        """9: PasswordText is never written, and Basic never without TLS, whatever the device asks for."""
        device = Device(auth=auth)
        probe(device)

        assert all("PasswordText" not in item.body and PASSWORD not in item.body for item in device.log)
        assert all(not item.headers.get("authorization", "").startswith("Basic") for item in device.log)

    def test_a_separate_onvif_account(self) -> None:
        """11: the refusal says that some cameras keep a separate account, and in which scheme it was refused."""
        seen = probe(Device(auth="wsse"), WRONG)

        assert isinstance(seen.result.failure, AuthenticationFailed)
        assert "separate ONVIF account" in seen.result.failure.hint
        assert seen.result.failure.scheme == "wsse"

    def test_an_account_that_may_not_read_media(self) -> None:
        """12: a role that is too low shows at the media read, not at the device information."""
        device = Device(replies={"GetProfiles": NOT_AUTHORIZED})
        seen = probe(device)

        assert seen.value("credential.accepted") is True
        assert seen.value("device.model") == "Eye 2"
        assert seen.reason("onvif.media_profiles") is Reason.NO_PRIVILEGE
        assert seen.courtesy.logins == 1

    def test_services_that_answer_whoever_asks_prove_no_login(self) -> None:
        """14: GetServices answers despite a wrong password; the login is judged by a read that needs one."""
        seen = probe(Device(auth="wsse"), WRONG)

        assert seen.value("onvif.services") is not None
        assert seen.value("credential.accepted") is False


class TestFraming:
    @pytest.mark.parametrize("status", [400, 500])
    def test_a_fault_because_of_the_action(self, status: int) -> None:
        """33 (Illustra): a device that cannot process ``action=`` is asked without it from then on."""
        device = Device(auth="wsse")
        fault = NOT_SUPPORTED.replace(
            "Optional Action Not Implemented", "The [action] cannot be processed at the receiver."
        )
        plain = device.reply

        def illustra(request: Request) -> bytes | None:
            if "action=" in request.headers.get("content-type", ""):
                return http(status, ENVELOPE.format(fault).encode())
            return plain(request)

        device.reply = illustra  # type: ignore[method-assign]
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("onvif.encodings") == ("H264",)
        assert "no_action_in_content_type" in (seen.value("onvif.quirks") or ())
        assert sum("action=" in item.headers.get("content-type", "") for item in device.log) == 1
        assert seen.courtesy.logins == 1


class TestAddresses:
    def test_a_camera_behind_a_recorder(self) -> None:
        """19: the address of a port on the recorder; the camera names its own on a subnet that nobody reaches."""
        device = Device()

        def inner(_request: Request) -> str:
            return device._GetServices(_request).replace(f"127.0.0.1:{device.port}", "192.168.254.3")

        device.replies.update(GetServices=inner, GetCapabilities=NOT_SUPPORTED)
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("onvif.encodings") == ("H264",)
        assert seen.value("onvif.xaddr") == "rewritten"
        assert "192.168.254.3:80" in (seen.value("onvif.named_hosts") or ())

    @pytest.mark.parametrize("path", ["/onvif/service", "/onvif/devices"])
    def test_a_service_path_that_the_owner_gives(self, path: str) -> None:
        """23: the path that was given is asked, and no other one is tried."""
        device = Device()

        async def run() -> object:
            async with listening(device.handle) as port:
                device.port = port
                return await probe_at(Target("onvif", "127.0.0.1", port, path), GOOD)

        asyncio.run(run())
        first = [item.path for item in device.log if item.operation == "GetSystemDateAndTime"]

        assert set(first) == {path}

    @pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "evil.example", "192.0.2.66"])
    def test_addresses_elsewhere_are_dialled_nowhere(self, host: str) -> None:
        """17, 18, 22: metadata, link-local and foreign hosts are led back; what was named is kept as a fact."""
        device = Device(host=host)
        seen = probe(device, extended=True)

        assert seen.result.failure is None
        assert {offer.target.host for offer in seen.result.offers} == {"127.0.0.1"}
        assert all(host.strip("[]") in offer.named for offer in seen.result.offers)
        assert any(host.strip("[]") in str(named) for named in seen.value("onvif.named_hosts") or ())  # type: ignore[union-attr]

    def test_a_snapshot_address_with_a_credential(self) -> None:
        """53: credentials in the snapshot address are taken out; the login is the challenge's."""
        device = Device()
        device.replies["GetSnapshotUri"] = lambda _request: answer(
            "GetSnapshotUri",
            f"<trt:MediaUri><tt:Uri>http://admin:leak3d@127.0.0.1:{device.port}/snap.jpg</tt:Uri></trt:MediaUri>",
            "trt",
        )
        seen = probe(device)

        assert seen.value("snapshot.status") == 200
        assert "leak3d" not in str(seen.result.observations.as_json())
        assert all("leak3d" not in item.line for item in device.log)


class TestMedia:
    def test_a_name_is_taken_for_the_token(self) -> None:
        """47: a device that knows its profile by name only is asked by name, and remembered so."""
        device = Device()
        plain = device._GetStreamUri
        unknown = NOT_AUTHORIZED.replace("ter:NotAuthorized", "ter:NoProfile").replace(
            "Sender not authorized", ""
        )

        def by_name(request: Request) -> str | bytes:
            return (
                plain(request) if " name<" in request.body else http(400, ENVELOPE.format(unknown).encode())
            )

        device.replies.update(GetStreamUri=by_name)
        seen = probe(device)

        assert [offer.media_profile_token for offer in seen.result.offers] == ["M", "S"]
        assert seen.value("onvif.stream_uri_stable") is True
        assert "name_used_as_token" in (seen.value("onvif.quirks") or ())
        snapshot = next(item for item in reversed(device.log) if item.operation == "GetSnapshotUri")
        assert ">M name<" in snapshot.body

    def test_a_name_that_two_profiles_share_is_no_token(self) -> None:
        """47: where names are not unique nothing is guessed."""
        listed = profile("A", "H264", 1920, 1080) + profile("B", "H264", 640, 360)
        listed = listed.replace("A name", "x").replace("B name", "x")
        fault = NOT_AUTHORIZED.replace("ter:NotAuthorized", "ter:NoProfile").replace(
            "Sender not authorized", ""
        )
        device = Device(
            replies={
                "GetProfiles": answer("GetProfiles", listed, "trt"),
                "GetStreamUri": http(400, ENVELOPE.format(fault).encode()),
            }
        )
        seen = probe(device)

        assert seen.result.offers == ()
        assert seen.reason("onvif.stream_uri_stable") is Reason.DEVICE_FAULT

    def test_get_profiles_not_implemented(self) -> None:
        """48: a device without GetProfiles makes no offer and says why; identity stays."""
        seen = probe(Device(replies={"GetProfiles": NOT_SUPPORTED}), extended=True)

        assert seen.result.offers == ()
        assert seen.reason("onvif.media_profiles") is Reason.DENIED_BY_DEVICE
        assert seen.value("device.model") == "Eye 2"
        assert seen.result.failure is None

    def test_the_operation_counts_not_the_flag(self) -> None:
        """27: a device that says it has no masks and lists them is believed by its list."""
        device = Device()
        device.open_operations.add("GetServiceCapabilities")

        def services(_request: Request) -> str:
            listed = device._service("ver10/device/wsdl", "/onvif/device_service")
            return answer(
                "GetServices", listed + device._service("ver20/media/wsdl", "/onvif/media2_service")
            )

        device.replies.update(
            GetServices=services,
            GetCapabilities=NOT_SUPPORTED,
            GetServiceCapabilities=answer(
                "GetServiceCapabilities", '<tr2:Capabilities Mask="false" SnapshotUri="false"/>'
            ),
            GetMasks=answer("GetMasks", "<tr2:Masks><tr2:Enabled>true</tr2:Enabled></tr2:Masks>"),
        )
        seen = probe(device, extended=True)

        assert seen.value("privacy.mask_supported") is False
        assert seen.value("privacy.masks") == 1
        assert seen.value("snapshot.status") == 200


class TestHostileInExtendedReads:
    @pytest.mark.parametrize(
        "reply",
        [
            http(200, BOMB),
            http(200, ENVELOPE.format("<a>" * 5000).encode()),
            http(200, b"x" * 10).replace(b"Content-Length: 10", b"Content-Length: 104857600"),
            http(302, b"", "Location: http://169.254.169.254/latest/meta-data/"),
        ],
    )
    def test_each_costs_its_own_facts(self, reply: bytes) -> None:
        """Entities, floods, 100 MB and redirects to the metadata service end typed, in one fact each."""
        device = Device()
        names = ("GetEventProperties", "GetVideoSources", "GetOSDs", "GetUsers", "GetStorageConfigurations")
        device.replies.update(dict.fromkeys(names, reply))
        seen = probe(device, extended=True)

        assert seen.result.failure is None
        assert seen.reason("event.topics") in {
            Reason.MALFORMED_XML,
            Reason.MALFORMED_HTTP,
            Reason.NOT_THE_PROTOCOL,
            Reason.EMPTY_REPLY,
        }
        assert seen.value("device.model") == "Eye 2"
        assert [offer.layer for offer in seen.result.offers] == ["main", "sub"]

    def test_floods_in_lists_are_bounded(self) -> None:
        """Enormous lists of topics, users and recordings are bounded in the facts."""
        device = Device()
        topics = "".join(f'<T{at} topic="true"/>' for at in range(5000))
        users = "<tds:User><tt:Username>u</tt:Username><tt:UserLevel>User</tt:UserLevel></tds:User>" * 3000
        device.replies.update(
            GetEventProperties=answer("GetEventProperties", f"<tt:TopicSet>{topics}</tt:TopicSet>"),
            GetUsers=answer("GetUsers", users),
        )
        seen = probe(device, extended=True)

        assert len(seen.value("event.topics") or ()) <= 256  # type: ignore[arg-type]
        assert len(seen.value("account.levels") or ()) <= 256  # type: ignore[arg-type]
