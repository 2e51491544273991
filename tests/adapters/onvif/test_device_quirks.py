"""Quirks of real devices, one scripted device each. The numbers are those of docs/design/onvif.md."""

from datetime import UTC, datetime, timedelta

import pytest
from probing import probe
from scripted_onvif import (
    ENVELOPE,
    NOT_SUPPORTED,
    Device,
    Request,
    answer,
    date_time,
    http,
    profile,
    profile2,
)

from standards.reason import Reason

MEDIA2_SERVICES = (
    "<tds:Service><tds:Namespace>http://www.onvif.org/ver10/device/wsdl</tds:Namespace>"
    "<tds:XAddr>http://127.0.0.1/onvif/device_service</tds:XAddr></tds:Service>"
    "<tds:Service><tds:Namespace>http://www.onvif.org/ver20/media/wsdl</tds:Namespace>"
    "<tds:XAddr>http://0.0.0.0/onvif/media2_service</tds:XAddr></tds:Service>"
)


def with_media2(*, media: bool = True, **options: object) -> Device:
    """A device that lists media2, and media too unless told otherwise."""
    device = Device(**options)  # type: ignore[arg-type]

    def services(_request: Request) -> str:
        listed = device._service("ver10/device/wsdl", "/onvif/device_service")
        listed += device._service("ver20/media/wsdl", "/onvif/media2_service")
        if media:
            listed += device._service("ver10/media/wsdl", "/onvif/media_service")
        return answer("GetServices", listed)

    device.replies["GetServices"] = services
    device.replies["GetCapabilities"] = NOT_SUPPORTED
    return device


class TestClock:
    """Quirks 2 to 5."""

    @staticmethod
    def _local_only(device: Device) -> str:
        local = device.now() + timedelta(hours=7)
        return answer(
            "GetSystemDateAndTime",
            "<tds:SystemDateAndTime><tt:DateTimeType>Manual</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>ICT-07:00</tt:TZ></tt:TimeZone>"
            f"{date_time(local, 'LocalDateTime')}</tds:SystemDateAndTime>",
        )

    @pytest.mark.long
    def test_local_time_and_zone_only(self) -> None:
        """2: without UTCDateTime the local time and the zone sign the login and give the offset."""
        device = Device(auth="wsse", skew_s=1800.0)
        device.replies["GetSystemDateAndTime"] = lambda _request: self._local_only(device)
        seen = probe(device)

        assert seen.value("credential.accepted") is True
        assert seen.value("time.utc_present") is False
        assert 1798 < float(str(seen.value("time.offset_s"))) < 1801

    def test_no_time_at_all(self) -> None:
        """2: without any time the HTTP Date header signs the login; the offset is not observed."""
        device = Device(auth="wsse", skew_s=7200.0)

        def timeless(_request: Request) -> bytes:
            body = ENVELOPE.format(answer("GetSystemDateAndTime", "<tds:SystemDateAndTime/>")).encode()
            return http(200, body, f"Date: {device.now():%a, %d %b %Y %H:%M:%S} GMT")

        device.replies["GetSystemDateAndTime"] = timeless
        seen = probe(device)

        assert seen.value("credential.accepted") is True
        assert seen.value("time.utc_present") is False
        assert seen.reason("time.offset_s") is Reason.EMPTY_REPLY

    def test_not_implemented(self) -> None:
        """5: a device without GetSystemDateAndTime is reached, and logged in to with our own clock."""
        seen = probe(Device(auth="wsse", replies={"GetSystemDateAndTime": NOT_SUPPORTED}))

        assert seen.result.failure is None
        assert seen.value("reach.answers") == 3
        assert seen.reason("time.offset_s") is Reason.DENIED_BY_DEVICE

    def test_minute_61(self) -> None:
        """54: a time with minute 61 is carried over."""
        moment = datetime.now(UTC).replace(microsecond=0)

        def odd(_request: Request) -> str:
            text = date_time(moment.replace(minute=1), "UTCDateTime").replace(
                "<tt:Minute>1</tt:Minute>", "<tt:Minute>61</tt:Minute>"
            )
            return answer("GetSystemDateAndTime", f"<tds:SystemDateAndTime>{text}</tds:SystemDateAndTime>")

        before = datetime.now(UTC)
        seen = probe(Device(replies={"GetSystemDateAndTime": odd}))
        after = datetime.now(UTC)

        told = moment.replace(minute=1) + timedelta(hours=1)
        offset = float(str(seen.value("time.offset_s")))
        assert (told - after).total_seconds() - 2 < offset < (told - before).total_seconds() + 2


class TestAddresses:
    """Quirks 17 to 21 and 50."""

    def test_lan_addresses_behind_nat(self) -> None:
        """17, 18: service, stream and snapshot addresses of another host are led back, ports and paths kept."""
        device = Device(host="192.168.1.108")
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("onvif.xaddr") == "rewritten"
        assert {(offer.target.host, offer.target.port) for offer in seen.result.offers} == {
            ("127.0.0.1", 8554)
        }
        assert seen.result.snapshot is not None
        assert (seen.result.snapshot.host, seen.result.snapshot.port) == ("127.0.0.1", device.port)
        assert seen.value("snapshot.status") == 200
        assert {item.path for item in device.log} >= {"/onvif/device_service", "/onvif/media_service"}

    @pytest.mark.parametrize("host", ["0.0.0.0", "169.254.10.10", "camera.local"])
    def test_hosts_that_cannot_be_dialled(self, host: str) -> None:
        """21: 0.0.0.0, link-local addresses and names in service addresses mean the enrolled host."""
        seen = probe(Device(host=host))

        assert seen.result.failure is None
        assert seen.value("onvif.encodings") == ("H264",)

    def test_doubled_port(self) -> None:
        """20: http://host:8106:8106/ is read as http://host:8106/."""
        device = Device()

        def doubled(_request: Request) -> str:
            return device._GetServices(_request).replace(f":{device.port}/", f":{device.port}:{device.port}/")

        device.replies.update(GetServices=doubled, GetCapabilities=NOT_SUPPORTED)
        seen = probe(device)

        assert seen.value("onvif.encodings") == ("H264",)
        assert "doubled_port" in (seen.value("onvif.quirks") or ())

    def test_several_addresses_in_one_field(self) -> None:
        """22: of several addresses the one of the enrolled host is taken."""
        device = Device()

        def several(_request: Request) -> str:
            one = f"http://127.0.0.1:{device.port}/onvif/media_service"
            return device._GetServices(_request).replace(
                one, f"http://[fe80::1]/onvif/media {one} https://192.0.2.1/x"
            )

        device.replies.update(GetServices=several, GetCapabilities=NOT_SUPPORTED)
        seen = probe(device)

        assert seen.value("onvif.encodings") == ("H264",)
        assert "several_addresses" in (seen.value("onvif.quirks") or ())

    def test_line_breaks_escapes_and_credentials_in_the_stream_address(self) -> None:
        """50, 51: CR and LF, a second round of escaping and credentials are taken out of a stream address."""
        uri = "\r\n rtsp://admin:hunter2@127.0.0.1:554/live?a=1&amp;amp;b=2 \r\n"
        device = Device(
            replies={
                "GetStreamUri": answer(
                    "GetStreamUri", f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>", "trt"
                )
            }
        )
        seen = probe(device)

        assert seen.result.offers[0].target.url == "rtsp://127.0.0.1:554/live?a=1&b=2"
        assert {"credentials_in_address", "address_escaped_twice"} <= set(seen.value("onvif.quirks") or ())  # type: ignore[call-overload]
        assert "hunter2" not in repr(seen.result)

    def test_an_unstable_stream_address(self) -> None:
        """STR-02: an address that changes between two reads is told as unstable."""
        device = Device()

        def changing(request: Request) -> str:
            count = device.counts["GetStreamUri"]
            return answer(
                "GetStreamUri",
                f"<trt:MediaUri><tt:Uri>rtsp://127.0.0.1/s{count}</tt:Uri></trt:MediaUri>",
                "trt",
            )

        device.replies["GetStreamUri"] = changing
        assert probe(device).value("onvif.stream_uri_stable") is False


class TestServiceMap:
    """Quirks 24 to 26."""

    def test_no_get_services(self) -> None:
        """24: without GetServices the capabilities name the services."""
        seen = probe(Device(replies={"GetServices": NOT_SUPPORTED}))

        assert seen.value("onvif.services") == ("device", "media", "ptz")

    def test_both_are_united(self) -> None:
        """25: what only GetCapabilities lists counts too."""
        assert "ptz" in (probe(Device()).value("onvif.services") or ())

    def test_no_list_at_all(self) -> None:
        """26: without any list the media operations are asked at the device service."""
        device = Device(replies={"GetServices": NOT_SUPPORTED, "GetCapabilities": NOT_SUPPORTED})
        seen = probe(device)

        assert seen.reason("onvif.services") is Reason.DENIED_BY_DEVICE
        assert seen.value("onvif.encodings") == ("H264",)


class TestFraming:
    """Quirks 28 to 42."""

    def test_undeclared_prefix(self) -> None:
        """36: an undeclared prefix is read by local name and named as a quirk."""
        body = ENVELOPE.replace('xmlns:tds="http://www.onvif.org/ver10/device/wsdl" ', "")
        device = Device(
            replies={
                "GetDeviceInformation": lambda _request: http(
                    200, body.format(answer("GetDeviceInformation", "<tds:Model>Odd</tds:Model>")).encode()
                )
            }
        )
        seen = probe(device)

        assert seen.value("device.model") == "Odd"
        assert {"undeclared_prefix", "off_schema:GetDeviceInformation"} <= set(
            seen.value("onvif.quirks") or ()
        )  # type: ignore[call-overload]

    def test_undeclared_prefix_in_the_refusal(self) -> None:
        """36: a NotAuthorized fault whose ter: prefix is undeclared is still a refusal."""
        device = Device(auth="wsse")
        device.fault = device.fault.replace("ter:", "zzz:")
        assert probe(device).value("credential.accepted") is True

    @pytest.mark.parametrize(
        ("reply", "reason"),
        [
            (http(200, b""), Reason.EMPTY_REPLY),
            (http(200, ENVELOPE.format("").encode()), Reason.EMPTY_REPLY),
            (
                http(500, b"java.lang.NullPointerException\n at x", "Content-Type: text/plain"),
                Reason.DEVICE_FAULT,
            ),
            (http(500, b"<html>oops</html>", "Content-Type: text/html"), Reason.DEVICE_FAULT),
            (
                http(200, ENVELOPE.format(answer("GetScopes", "<tds:Scopes>")).encode()[:-45]),
                Reason.MALFORMED_HTTP,
            ),
            (http(200, ENVELOPE.format("<a/>").encode()), Reason.MALFORMED_XML),
            (http(200, b"<a><b></a>"), Reason.NOT_THE_PROTOCOL),
            (http(200, b"\xff\xfe\x00garbage"), Reason.NOT_THE_PROTOCOL),
            (http(500, ENVELOPE.format(NOT_SUPPORTED).encode()), Reason.DENIED_BY_DEVICE),
            (http(400, ENVELOPE.format(NOT_SUPPORTED).encode()), Reason.DENIED_BY_DEVICE),
        ],
    )
    def test_one_broken_reply_costs_one_fact(self, reply: bytes, reason: Reason) -> None:
        """37-40, 70: an empty, broken, textual or refused answer costs its own facts and nothing else."""
        seen = probe(Device(replies={"GetScopes": reply}))

        assert seen.result.failure is None
        assert seen.reason("onvif.scopes") is reason
        assert seen.value("onvif.network_protocols") is not None
        assert seen.value("onvif.encodings") == ("H264",)

    def test_repeated_response_elements(self) -> None:
        """41: repeated response elements without one wrapper are all read."""
        one = answer(
            "GetScopes", "<tds:Scopes><tt:ScopeItem>onvif://www.onvif.org/{}</tt:ScopeItem></tds:Scopes>"
        )
        device = Device(replies={"GetScopes": one.format("Profile/T") + one.format("name/A")})
        seen = probe(device)

        assert seen.value("onvif.scopes") == (
            "onvif://www.onvif.org/Profile/T",
            "onvif://www.onvif.org/name/A",
        )
        assert "repeated_response_elements" in (seen.value("onvif.quirks") or ())

    def test_a_fault_with_status_200_is_a_refusal(self) -> None:
        """40: NotAuthorized is a refusal whatever the status."""
        for status in (200, 400, 401, 403, 500):
            assert probe(Device(auth="wsse", refusal_status=status)).value("credential.accepted") is True

    def test_closes_after_each_reply(self) -> None:
        """28: a device that closes after each reply, saying so or not, is read to the end."""
        device = Device()
        original = device.reply

        def closing(request: Request) -> bytes | None:
            made = original(request)
            return made.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) if made else made

        device.reply = closing  # type: ignore[method-assign]
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.value("onvif.encodings") == ("H264",)

    def test_content_length_too_long(self) -> None:
        """29: a Content-Length beyond the envelope costs a fraction of a second, not the reply."""
        device = Device()
        plain = ENVELOPE.format(device._GetScopes(None)).encode()  # type: ignore[arg-type]
        device.replies["GetScopes"] = http(200, plain).replace(
            f"Content-Length: {len(plain)}".encode(), f"Content-Length: {len(plain) + 80}".encode()
        )
        seen = probe(device)

        assert seen.value("onvif.profiles_claimed") == ("S", "T")
        assert "content_length_too_long" in (seen.value("onvif.quirks") or ())

    def test_every_request_has_its_body_and_action(self) -> None:
        """32, 42: each POST carries its body, and its action in Content-Type."""
        device = Device()
        probe(device)

        for item in device.log:
            if item.operation:
                assert int(item.headers["content-length"]) > 100
                assert f'/{item.operation}"' in item.headers["content-type"]


class TestMedia:
    """Quirks 44 to 49."""

    def test_h265_comes_from_media2(self) -> None:
        """44: where media2 is listed its profiles are used, H.265 among them."""
        seen = probe(with_media2())

        assert seen.value("onvif.encodings") == ("H264", "H265")
        assert seen.value("stream.main.claimed_encoding") == "H265"
        assert seen.value("stream.main.claimed_gov_length") == 30
        assert seen.result.offers[0].width == 2560

    def test_media2_only(self) -> None:
        """45: a device without the old media service is read whole."""
        seen = probe(with_media2(media=False))

        assert seen.result.failure is None
        assert seen.value("onvif.services") == ("device", "media2")
        assert seen.value("onvif.anonymous_read_media") == "refused"
        assert seen.value("snapshot.status") == 200
        assert [offer.layer for offer in seen.result.offers] == ["main", "sub"]

    @pytest.mark.parametrize("crash", [False, True])
    def test_type_all_fails(self, crash: bool) -> None:
        """46: a device that dies of Type=All is asked once for it, then for encoders only."""
        device = with_media2()
        asked: list[str] = []

        def profiles(request: Request) -> str | bytes:
            if "ver20/media" not in request.body:
                return answer("GetProfiles", profile("old", "H264", 352, 288), "trt")
            asked.append(request.body)
            if ">All<" in request.body:
                return b"garbage Connection: close" if crash else http(500, b"")
            return answer("GetProfiles", profile2("M", "H265", 1920, 1080), "tr2")

        device.replies["GetProfiles"] = profiles
        seen = probe(device)

        assert seen.value("onvif.encodings") == ("H265",)
        assert sum(">All<" in body for body in asked) == 1
        assert "media2_type_all_fails" in (seen.value("onvif.quirks") or ())

    def test_media2_without_configurations_falls_back_to_media(self) -> None:
        """46: media2 profiles without configurations are no use where the old service tells encoders."""
        device = with_media2()
        device.replies["GetProfiles"] = lambda request: (
            answer("GetProfiles", profile2("M", "", 0, 0, configured=False), "tr2")
            if "ver20/media" in request.body
            else answer("GetProfiles", profile("M", "H264", 1280, 720), "trt")
        )
        seen = probe(device)

        assert seen.value("onvif.encodings") == ("H264",)
        assert seen.result.offers[0].width == 1280

    def test_media2_without_configurations_and_without_media(self) -> None:
        """46: then each profile's encoder is asked for by itself."""
        device = with_media2(media=False)
        device.replies["GetProfiles"] = answer(
            "GetProfiles", profile2("M", "", 0, 0, configured=False), "tr2"
        )
        device.replies["GetVideoEncoderConfigurations"] = answer(
            "GetVideoEncoderConfigurations",
            '<tr2:Configurations token="e" GovLength="25"><tt:Encoding>H265</tt:Encoding><tt:Resolution>'
            "<tt:Width>3840</tt:Width><tt:Height>2160</tt:Height></tt:Resolution></tr2:Configurations>",
            "tr2",
        )
        seen = probe(device)

        assert seen.value("stream.main.claimed_width") == 3840
        assert seen.value("onvif.encodings") == ("H265",)

    def test_an_h265_camera_on_the_old_service_has_an_unknown_encoding(self) -> None:
        """44: a profile without encoder configuration has no encoding, and that is told as such."""
        bare = '<trt:Profiles token="M"><tt:Name>m</tt:Name></trt:Profiles>'
        seen = probe(Device(replies={"GetProfiles": answer("GetProfiles", bare, "trt")}))

        assert seen.value("onvif.encodings") == ()
        assert seen.reason("stream.main.claimed_encoding") is Reason.EMPTY_REPLY
        assert seen.result.offers[0].encoding == ""

    def test_no_profiles(self) -> None:
        """48: a device without profiles makes no offer."""
        seen = probe(Device(replies={"GetProfiles": answer("GetProfiles", "", "trt")}))

        assert seen.result.offers == ()
        assert seen.value("onvif.media_profiles") == ()
        assert seen.reason("onvif.stream_uri_stable") is Reason.DENIED_BY_DEVICE
        assert seen.value("target.interfaces") == ("onvif",)

    def test_a_recorder_is_its_first_source(self) -> None:
        """49: of a recorder's many sources the first gives main and sub; all stand in the list."""
        listed = (
            profile("A", "H264", 1280, 720, "VS0")
            + profile("B", "H264", 640, 360, "VS0")
            + profile("C", "H264", 3840, 2160, "VS1")
        )
        seen = probe(Device(replies={"GetProfiles": answer("GetProfiles", listed, "trt")}))

        assert [(o.media_profile_token, o.video_source_token) for o in seen.result.offers] == [
            ("A", "VS0"),
            ("B", "VS0"),
        ]
        assert len(seen.value("onvif.media_profiles") or ()) == 3  # type: ignore[arg-type]

    def test_one_profile_only(self) -> None:
        """A camera with one profile has no sub stream, which the device itself said."""
        seen = probe(
            Device(replies={"GetProfiles": answer("GetProfiles", profile("A", "JPEG", 640, 480), "trt")})
        )

        assert [offer.layer for offer in seen.result.offers] == ["main"]
        assert seen.reason("stream.sub.claimed_width") is Reason.DENIED_BY_DEVICE

    def test_media2_that_knows_only_rtsp_unicast(self) -> None:
        """A media2 service that refuses the protocol RTSP is asked for RtspUnicast."""
        device = with_media2(media=False)
        plain = device._GetStreamUri

        def picky(request: Request) -> str | bytes:
            if ">RTSP<" in request.body:
                from scripted_onvif import NOT_AUTHORIZED

                fault = NOT_AUTHORIZED.replace("ter:NotAuthorized", "ter:InvalidArgVal").replace(
                    "Sender not authorized", "no"
                )
                return http(400, ENVELOPE.format(fault).encode())
            return plain(request)

        device.replies["GetStreamUri"] = picky
        seen = probe(device)

        assert seen.result.offers[0].layer == "main"
        assert "media2_only_rtsp_unicast" in (seen.value("onvif.quirks") or ())


class TestSnapshotFacts:
    def test_no_snapshot(self) -> None:
        """53: a device without snapshots has none, by its own word."""
        seen = probe(Device(replies={"GetSnapshotUri": NOT_SUPPORTED}))

        assert seen.value("snapshot.anonymous") == "none"
        assert seen.reason("snapshot.status") is Reason.DENIED_BY_DEVICE
        assert seen.result.snapshot is None

    def test_an_open_snapshot(self) -> None:
        """A picture that anybody gets is told, and no credential is sent for it."""
        device = Device(snapshot_open=True)
        seen = probe(device)

        assert seen.value("snapshot.anonymous") == "answered"
        assert [item.credential for item in device.log if item.path.startswith("/snap")] == [""]

    def test_a_snapshot_address_that_is_not_there(self) -> None:
        """A 404 is a status, not an answer to the anonymous test."""
        device = Device()
        device.replies["GetSnapshotUri"] = lambda _request: answer(
            "GetSnapshotUri",
            f"<trt:MediaUri><tt:Uri>http://127.0.0.1:{device.port}/gone.jpg</tt:Uri></trt:MediaUri>",
            "trt",
        )
        seen = probe(device)

        assert seen.value("snapshot.status") == 404
        assert seen.reason("snapshot.anonymous") is Reason.DEVICE_FAULT

    def test_a_port_that_may_not_be_dialled(self) -> None:
        """A snapshot address on a port outside the policy is not dialled."""
        device = Device()
        device.replies["GetSnapshotUri"] = answer(
            "GetSnapshotUri",
            "<trt:MediaUri><tt:Uri>http://127.0.0.1:9/snap.jpg</tt:Uri></trt:MediaUri>",
            "trt",
        )
        seen = probe(device)

        assert seen.result.failure is None
        assert seen.reason("snapshot.status") is Reason.NO_PERMISSION
