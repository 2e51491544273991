"""The extended reads: what they tell, what they cost, and that none of them ends a probe."""

import re

import pytest
from probing import GOOD, probe
from scripted_onvif import (
    NOT_AUTHORIZED,
    NOT_SUPPORTED,
    Device,
    Request,
    answer,
    http,
    profile,
)

from adapters.errors import BadTarget
from adapters.onvif.details_step import FACTS
from standards.observation import NotObserved, thaw
from standards.reason import Reason

SERVICES = ("media", "imaging", "analytics", "events", "ptz", "recording", "search", "replay")
NAMESPACES = {
    "media": "ver10/media",
    "media2": "ver20/media",
    "imaging": "ver20/imaging",
    "analytics": "ver20/analytics",
    "events": "ver10/events",
    "ptz": "ver20/ptz",
    "recording": "ver10/recording",
    "search": "ver10/search",
    "replay": "ver10/replay",
}
CONFIGURED = (
    '<tt:VideoAnalyticsConfiguration token="vac"/><tt:PTZConfiguration token="ptz"/>'
    '<tt:MetadataConfiguration token="md"/></trt:Profiles>'
)
RECORDING = (
    "<tt:RecordingToken>rec1</tt:RecordingToken><tt:EarliestRecording>2026-01-01T00:00:00Z</tt:EarliestRecording>"
    "<tt:LatestRecording>2026-01-31-23:59:60Z</tt:LatestRecording><tt:RecordingStatus>Recording</tt:RecordingStatus>"
    "<tt:Track><tt:TrackType>Video</tt:TrackType></tt:Track>"
)


def listing(device: Device, *services: str) -> None:
    """Let a device list these services beside the device service."""

    def listed(_request: Request) -> str:
        found = device._service("ver10/device/wsdl", "/onvif/device_service")
        for name in services:
            found += device._service(f"{NAMESPACES[name]}/wsdl", f"/onvif/{name}")
        return answer("GetServices", found)

    device.replies.update(GetServices=listed, GetCapabilities=NOT_SUPPORTED)


def capable(request: Request) -> str:
    if "events/wsdl" in request.body:
        inside = '<tds:Capabilities MaxPullPoints="4" EventBrokerProtocols="mqtts wss"/>'
    elif "ver20/media" in request.body:
        inside = '<tr2:Capabilities Mask="true"><tr2:StreamingCapabilities SecureRTSPStreaming="true"/></tr2:Capabilities>'
    else:
        inside = '<tds:Capabilities><tds:Security DefaultAccessPolicy="true"/></tds:Capabilities>'
    return answer("GetServiceCapabilities", inside)


def full(*services: str, **options: object) -> Device:
    """A device that answers every extended read."""
    device = Device(**options)  # type: ignore[arg-type]
    listing(device, *(services or (*SERVICES, "media2")))
    device.open_operations.add("GetServiceCapabilities")
    old = profile("M", "H264", 1920, 1080).replace("</trt:Profiles>", CONFIGURED)
    configured = device._GetProfiles

    def profiles(request: Request) -> str:
        if "ver20/media" in request.body:
            extras = '<tr2:Analytics token="vac"/><tr2:PTZ token="ptz"/><tr2:Metadata token="md"/></tr2:Configurations>'
            return configured(request).replace("</tr2:Configurations>", extras)
        return answer("GetProfiles", old, "trt")

    device.replies.update(
        {
            "GetProfiles": profiles,
            "GetServiceCapabilities": capable,
            "GetEventProperties": answer(
                "GetEventProperties",
                '<tt:TopicSet xmlns:tns1="http://www.onvif.org/ver10/topics"><tns1:VideoSource topic="true">'
                '<MotionAlarm topic="true"><tt:MessageDescription/></MotionAlarm><Plain topic="true"/>'
                "</tns1:VideoSource></tt:TopicSet>",
            ),
            "GetVideoSources": answer(
                "GetVideoSources", '<trt:VideoSources token="VS0"/><trt:VideoSources token="VS9"/>', "trt"
            ),
            "GetVideoEncoderInstances": answer(
                "GetVideoEncoderInstances", "<tr2:Info><tr2:Total>3</tr2:Total></tr2:Info>"
            ),
            "GetGuaranteedNumberOfVideoEncoderInstances": answer(
                "GetGuaranteedNumberOfVideoEncoderInstances", "<trt:TotalNumber>2</trt:TotalNumber>"
            ),
            "GetMasks": answer(
                "GetMasks",
                "<tr2:Masks><tr2:Enabled>true</tr2:Enabled></tr2:Masks>"
                "<tr2:Masks><tr2:Enabled>false</tr2:Enabled></tr2:Masks>",
            ),
            "GetOSDs": answer(
                "GetOSDs",
                "<tr2:OSDs><tt:Type>Text</tt:Type><tt:TextString><tt:Type>Plain</tt:Type><tt:PlainText>Nhà ông Ba"
                "</tt:PlainText></tt:TextString></tr2:OSDs><tr2:OSDs><tt:TextString><tt:Type>Date</tt:Type>"
                "<tt:DateFormat>dd/MM/yyyy</tt:DateFormat></tt:TextString></tr2:OSDs>",
            ),
            "GetImagingSettings": answer(
                "GetImagingSettings",
                "<tt:ImagingSettings><tt:Brightness>40.5</tt:Brightness><tt:IrCutFilter>AUTO</tt:IrCutFilter>"
                "<tt:WideDynamicRange><tt:Mode>ON</tt:Mode></tt:WideDynamicRange></tt:ImagingSettings>",
            ),
            "GetNodes": answer(
                "GetNodes",
                '<tds:PTZNode token="n"><tt:SupportedPTZSpaces><tt:ContinuousPanTiltVelocitySpace/>'
                "</tt:SupportedPTZSpaces><tt:MaximumNumberOfPresets>8</tt:MaximumNumberOfPresets>"
                "<tt:HomeSupported>true</tt:HomeSupported></tds:PTZNode>",
            ),
            "GetPresets": answer(
                "GetPresets", '<tds:Preset token="1"><tt:Name>Cổng nhà Ba</tt:Name></tds:Preset>'
            ),
            "GetAnalyticsModules": answer(
                "GetAnalyticsModules", '<tds:AnalyticsModule Name="x" Type="tt:CellMotionEngine"/>'
            ),
            "GetRecordings": answer(
                "GetRecordings",
                "<tds:RecordingItem><tt:RecordingToken>rec1</tt:RecordingToken></tds:RecordingItem>",
            ),
            "FindRecordings": answer("FindRecordings", "<tds:SearchToken>s1</tds:SearchToken>"),
            "GetRecordingSearchResults": answer(
                "GetRecordingSearchResults",
                f"<tds:ResultList><tt:RecordingInformation>{RECORDING}</tt:RecordingInformation></tds:ResultList>",
            ),
            "EndSearch": answer("EndSearch", ""),
            "GetRecordingSummary": answer(
                "GetRecordingSummary",
                "<tds:Summary><tt:DataFrom>2026-01-01T00:00:00Z</tt:DataFrom><tt:DataUntil>2026-02-01T00:00:00Z"
                "</tt:DataUntil><tt:NumberRecordings>1</tt:NumberRecordings></tds:Summary>",
            ),
            "GetReplayUri": answer("GetReplayUri", "<tds:Uri>rtsp://10.9.9.9/replay</tds:Uri>"),
            "GetPasswordComplexityConfiguration": answer(
                "GetPasswordComplexityConfiguration",
                "<tds:MinLen>8</tds:MinLen><tds:Uppercase>1</tds:Uppercase><tds:Number>1</tds:Number>"
                "<tds:SpecialChars>2</tds:SpecialChars>",
            ),
            "GetAuthFailureWarningConfiguration": answer(
                "GetAuthFailureWarningConfiguration",
                "<tds:Enabled>true</tds:Enabled><tds:MonitorTimePeriod>60</tds:MonitorTimePeriod>"
                "<tds:MaxAuthFailures>5</tds:MaxAuthFailures>",
            ),
            "GetStorageConfigurations": answer(
                "GetStorageConfigurations",
                '<tds:StorageConfigurations token="1"><tds:Data type="CIFS"><tds:StorageUri>//nas/ba</tds:StorageUri>'
                "<tds:User><tds:UserName>ba</tds:UserName><tds:Password>hunter2</tds:Password></tds:User></tds:Data>"
                "</tds:StorageConfigurations>",
            ),
            "GetUsers": answer(
                "GetUsers",
                "<tds:User><tt:Username>admin</tt:Username><tt:UserLevel>User</tt:UserLevel></tds:User>"
                "<tds:User><tt:Username>nguyen.van.ba</tt:Username><tt:UserLevel>Administrator</tt:UserLevel></tds:User>",
            ),
            **{
                name: made
                for name, made in device.replies.items()
                if name in {"GetServices", "GetCapabilities"}
            },
        }
    )
    return device


class TestFull:
    def test_everything_is_told(self) -> None:
        """Each extended fact is observed, with the value that the device gave."""
        seen = probe(full(), extended=True)
        values = {fact: seen.value(fact) for fact in seen.result.observations}

        assert seen.result.failure is None
        assert {fact: seen.detail(fact) for fact in FACTS if seen.reason(fact)} == {}
        assert values["security.default_access_policy"] is True
        assert (values["event.max_pull_points"], values["event.mqtt"]) == (4, True)
        assert values["event.topics"] == ("tns1:VideoSource/MotionAlarm", "tns1:VideoSource/Plain")
        assert values["media.secure_streaming"] is True
        assert values["media.encoder_instances"] == 3
        assert values["media.video_sources"] == 2
        assert values["media.metadata"] is True
        assert thaw(values["media.osd"]) == [
            {"kind": "Plain", "format": ""},
            {"kind": "Date", "format": "dd/MM/yyyy"},
        ]
        assert (values["privacy.masks"], values["privacy.mask_supported"]) == (1, True)
        assert thaw(values["imaging.settings"]) == {
            "brightness": 40.5,
            "ir_cut_filter": "AUTO",
            "wide_dynamic_range": "ON",
        }
        assert (values["ptz.present"], values["ptz.presets"]) == (True, 1)
        assert thaw(values["ptz.nodes"]) == [
            {
                "token": "n",
                "home_supported": True,
                "max_presets": 8,
                "spaces": ["ContinuousPanTiltVelocitySpace"],
            }
        ]
        assert values["analytics.modules"] == ("CellMotionEngine",)
        assert thaw(values["recording.recordings"]) == [
            {
                "token": "rec1",
                "status": "Recording",
                "earliest": "2026-01-01T00:00:00.000Z",
                "latest": "2026-02-01T00:00:00.000Z",
                "tracks": ["Video"],
            }
        ]
        assert values["recording.earliest"] == "2026-01-01T00:00:00.000Z"
        assert values["recording.latest"] == "2026-02-01T00:00:00.000Z"
        assert float(str(values["recording.days_kept"])) > 100
        assert float(str(values["recording.behind_s"])) > 86400
        assert values["recording.replay_uri"] is True
        assert thaw(values["storage.devices"]) == [{"kind": "CIFS"}]
        assert values["account.password_policy"] == "supported"
        assert values["account.password_min_length"] == 8
        assert values["account.password_min_special"] == 2
        assert (values["account.lockout_enabled"], values["account.lockout_attempts"]) == (True, 5)
        assert values["account.admin_call"] == "answered"
        assert values["account.levels"] == ("administrator", "user")
        assert values["account.own_level"] == "user"
        assert values["onvif.profiles_borne_out"] == ("S", "T")

    def test_no_names_are_kept(self) -> None:
        """Names of people, presets, places and storage accounts stand in no observation, evidence included."""
        seen = probe(full(), extended=True)
        told = str(seen.result.observations.as_json())

        for private in ("nguyen.van.ba", "Cổng nhà Ba", "Nhà ông Ba", "hunter2", "//nas"):
            assert private not in told

    def test_the_call_that_expects_refusal_is_the_last(self) -> None:
        """SEC-11: GetUsers is made once, last of all; a refusal is one of rights and no failed login."""
        device = full(replies={"GetUsers": NOT_AUTHORIZED})
        device.replies["GetUsers"] = NOT_AUTHORIZED
        seen = probe(device, extended=True)

        assert device.operations()[-1] == "GetUsers"
        assert device.operations("digest").count("GetUsers") == 1
        assert seen.value("account.admin_call") == "refused"
        assert seen.reason("account.levels") is Reason.NO_PRIVILEGE
        assert seen.result.failure is None

    @pytest.mark.parametrize("auth", ["digest", "wsse"])
    def test_a_user_without_rights_costs_no_second_login(self, auth: str) -> None:
        """Reads that an account may not make are told as such; the login stays one."""
        device = full(auth=auth)
        for name in ("GetMasks", "GetRecordings", "GetPasswordComplexityConfiguration"):
            device.replies[name] = NOT_AUTHORIZED
        seen = probe(device, extended=True)

        assert seen.courtesy.logins == 1
        assert seen.reason("privacy.masks") is Reason.NO_PRIVILEGE
        assert seen.reason("account.password_policy") is Reason.NO_PRIVILEGE
        assert seen.value("analytics.modules") == ("CellMotionEngine",)

    def test_a_device_that_is_open_is_not_asked_for_users(self) -> None:
        """Without an accepted login the admin-only call is not made."""
        device = full(auth="none")
        seen = probe(device, extended=True)

        assert "GetUsers" not in device.operations()
        assert seen.reason("account.admin_call") is Reason.NOT_ASKED

    def test_capabilities_need_no_credential(self) -> None:
        """Access class PRE_AUTH: without a credential the capabilities are told, the rest says why not."""
        device = full()
        seen = probe(device, None, extended=True)

        assert seen.value("event.max_pull_points") == 4
        assert seen.value("security.default_access_policy") is True
        assert seen.value("media.secure_streaming") is True
        assert seen.reason("event.topics") is Reason.NO_CREDENTIAL
        assert device.credentialed == 0

    def test_capabilities_behind_a_login_are_asked_again(self) -> None:
        """A device that refuses them to strangers is asked again after the login."""
        device = full()
        device.open_operations.discard("GetServiceCapabilities")
        seen = probe(device, extended=True)

        assert seen.value("event.max_pull_points") == 4
        assert seen.courtesy.logins == 1

    def test_nothing_is_set_moved_or_subscribed(self) -> None:
        """The operations that a device saw are reads, and the search is ended."""
        device = full()
        probe(device, extended=True)

        asked = {operation for operation in device.operations() if operation}
        assert {name for name in asked if not name.startswith("Get")} == {"FindRecordings", "EndSearch"}
        assert device.most_connections <= 2


class TestFailures:
    @pytest.mark.parametrize(
        "broken",
        [
            NOT_SUPPORTED,
            http(500, b"java.lang.NullPointerException", "Content-Type: text/plain"),
            http(200, b""),
            http(404, b"<html>404</html>", "Content-Type: text/html"),
        ],
    )
    def test_every_extended_read_may_fail(self, broken: str | bytes) -> None:
        """Whatever the extended reads bring, the probe goes through and each open fact carries a reason."""
        device = full()
        kept = {"GetServices", "GetCapabilities", "GetProfiles"}
        for name in list(device.replies):
            if name not in kept:
                device.replies[name] = broken
        seen = probe(device, extended=True)

        assert seen.result.failure is None
        assert seen.value("device.model") == "Eye 2"
        assert [offer.layer for offer in seen.result.offers] == ["main", "sub"]
        for fact in FACTS:
            observation = seen.result.observations[fact]
            assert not isinstance(observation, NotObserved) or observation.detail

    @pytest.mark.long
    def test_a_device_that_falls_silent_keeps_what_it_told(self) -> None:
        """Two silences end the extended reads, not the probe: identity and streams stay, no failure."""
        device = full()
        device.replies.update(GetEventProperties=b"", GetVideoSources=b"", GetMasks=b"")
        seen = probe(device, extended=True, limit_s=7.5)

        assert seen.result.failure is None
        assert seen.value("device.model") == "Eye 2"
        assert seen.result.offers != ()
        # on a busy machine no time may be left for it at all
        assert seen.reason("event.topics") in {Reason.TIMED_OUT, Reason.WINDOW}

    def test_time_is_left_for_the_stream(self) -> None:
        """Where the deadline is near, extended reads say that no time was left; the rest of the probe is whole."""
        device = full()
        seen = probe(device, extended=True, limit_s=12.0, window_s=8.0)

        assert seen.result.failure is None
        assert seen.reason("event.topics") is Reason.WINDOW
        assert seen.reason("account.admin_call") is Reason.WINDOW
        assert seen.reason("onvif.profiles_borne_out") is Reason.WINDOW  # left out is not unanswered
        assert "GetUsers" not in device.operations()
        assert seen.value("onvif.encodings") is not None

    def test_a_service_on_a_port_that_may_not_be_dialled(self) -> None:
        """An extended service elsewhere costs its facts alone."""
        device = full()
        plain = device.replies["GetServices"]
        assert callable(plain)
        device.replies["GetServices"] = lambda request: re.sub(
            r"http://[^<]*/onvif/imaging<", "http://127.0.0.1:9/onvif/imaging<", str(plain(request))
        )
        seen = probe(device, extended=True)

        assert seen.result.failure is None
        assert seen.reason("imaging.settings") is Reason.NO_PERMISSION
        assert seen.value("ptz.present") is True

    def test_a_device_without_services_for_it(self) -> None:
        """What a device does not list it is not asked for; PTZ is absent by its own word, and it tells of no recording."""
        device = full("media", "events")
        seen = probe(device, extended=True)

        assert seen.value("ptz.present") is False
        assert seen.value("recording.recordings") == ()
        assert seen.reason("recording.days_kept") is Reason.NO_DECLARATION
        assert seen.value("media.encoder_instances") == 2
        assert not {"GetNodes", "GetRecordings", "GetMasks", "GetImagingSettings"} & set(device.operations())

    def test_the_quick_probe_is_what_it_was(self) -> None:
        """Without `extended` not one of the extended reads is sent."""
        device = full()
        probe(device, GOOD)

        assert len([item for item in device.log if item.operation]) <= 24
        assert "GetServiceCapabilities" not in device.operations()
        assert "GetUsers" not in device.operations()


def recorder(sources: int, *, spare: bool = False) -> Device:
    """A recorder with so many channels, a main and a sub stream each."""
    listed = "".join(
        profile(f"M{at}", "H264", 1920, 1080, f"VS{at}") + profile(f"S{at}", "H264", 640, 360, f"VS{at}")
        for at in range(sources)
    )
    device = Device(replies={"GetProfiles": answer("GetProfiles", listed, "trt")})
    listing(device, "media")
    if spare:
        device.replies["GetVideoSources"] = answer(
            "GetVideoSources", "".join(f'<trt:VideoSources token="VS{at}"/>' for at in range(sources + 1))
        )
    return device


class TestRecorders:
    """49: the profiles of many channels on one address."""

    def test_an_extended_probe_offers_every_channel(self) -> None:
        """Main and sub of each video source, by source; the camera's own come first."""
        seen = probe(recorder(4, spare=True), extended=True)

        assert [(o.video_source_token, o.layer, o.media_profile_token) for o in seen.result.offers] == [
            (f"VS{at}", layer, f"{token}{at}")
            for at in range(4)
            for layer, token in (("main", "M"), ("sub", "S"))
        ]
        assert seen.value("media.video_sources") == 5  # one channel has no profile

    def test_a_channel_can_be_chosen(self) -> None:
        """The chosen source gives the facts of the streams, the snapshot and the first offers."""
        device = recorder(3)
        seen = probe(device, video_source="VS2")

        assert [(o.video_source_token, o.layer) for o in seen.result.offers] == [
            ("VS2", "main"),
            ("VS2", "sub"),
        ]
        assert seen.value("media.video_sources") == 3
        snapshot = next(item for item in reversed(device.log) if item.operation == "GetSnapshotUri")
        assert ">M2<" in snapshot.body

    def test_a_channel_that_is_not_there(self) -> None:
        """A source that the device does not have ends the probe and names those that it has."""
        seen = probe(recorder(2), video_source="VS7")

        assert isinstance(seen.result.failure, BadTarget)
        assert "VS0, VS1" in seen.result.failure.hint
        assert seen.result.offers == ()

    def test_a_channel_whose_address_fails_costs_its_offers(self) -> None:
        """One broken channel of a recorder costs that channel."""
        device = recorder(3)
        plain = device._GetStreamUri
        device.replies["GetStreamUri"] = lambda request: (
            http(500, b"boom", "Content-Type: text/plain") if "M1<" in request.body else plain(request)
        )
        seen = probe(device, extended=True)

        assert [(o.video_source_token, o.layer) for o in seen.result.offers] == [
            ("VS0", "main"),
            ("VS0", "sub"),
            ("VS1", "sub"),
            ("VS2", "main"),
            ("VS2", "sub"),
        ]

    def test_a_quick_probe_asks_for_one_channel(self) -> None:
        """A recorder of 64 channels costs a quick probe no more than a camera."""
        device = recorder(64)
        seen = probe(device)

        assert device.operations().count("GetStreamUri") == 3
        assert seen.value("media.video_sources") == 64
