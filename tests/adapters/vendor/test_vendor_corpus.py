"""Every captured reply of Hikvision, Dahua and Axis devices, held against what it must say.

What the adapters ask for goes through their own parsers; replies that nobody here asks for (events, PTZ, ports,
analytics) go through the readers of their form, with one fact each.
"""

import json
import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import corpus
import pytest
from vendor_replay import isapi_cassette

from adapters.axis import replies as axis
from adapters.dahua import replies as dahua
from adapters.hikvision import replies as hikvision
from adapters.rtsp.rtp import parse_rtp
from adapters.wire import values, xml
from adapters.wire.digest import choose, parse_challenges
from adapters.wire.http import HttpReply
from adapters.wire.reads import Notes, Read

pytestmark = corpus.needs_corpus

ISAPI = "isapi/hikvision-isapi-performance/10_18_176_"
AXIS = "axis_vapix/axis/"
RROLLER = "dahua_cgi/rroller-dahua/"


def http(body: bytes, status: int = 200) -> HttpReply:
    return HttpReply(status, (), body, "http://127.0.0.1/", datetime(2026, 9, 27, tzinfo=UTC), 0.0)


def captured(name: str) -> HttpReply:
    return http(corpus.path(*name.split("/")).read_bytes())


def text(name: str) -> str:
    return corpus.path(*name.split("/")).read_text("utf-8")


def parameters(name: str) -> dict[str, str]:
    return axis.parameters(captured(AXIS + name), name)


# --- Hikvision ISAPI


@pytest.mark.parametrize(
    ("device", "model", "firmware", "kind", "maker", "mac"),
    [
        ("10", "DS-2DF8C832MX-ZDK", "V5.10.0 build 260519", "IPDome", "hikvision", "02:00:00:00:00:05"),
        ("12", "DS-2DE3A20IW-D/GLT/XM", "V5.7.30 build 260326", "IPDome", "hikvision", "02:00:00:00:00:0b"),
        ("16", "DS-2CD2245XM-LGL2T", "V5.8.35 build 260827", "IPCamera", "hikvision", "02:00:00:00:00:07"),
        ("18", "DS-FB2127", "V5.2.2 build 150518", "IPZoom", None, "02:00:00:00:00:0d"),
        ("51", "DS-2CD3T67FWDAP2V2-LS", "V5.7.20 build 260320", "IPCamera", "hikvision", "02:00:00:00:00:04"),
        ("52", "DS-2CD3T86FWDV2-I3S", "V5.7.23 build 260320", "IPCamera", "hikvision", "02:00:00:00:00:08"),
        ("64", "DS-8632N-I8", "V4.61.030 build 240123", "NVR", None, "02:00:00:00:00:06"),
    ],
)
def test_hikvision_identity(
    device: str, model: str, firmware: str, kind: str, maker: str | None, mac: str
) -> None:
    """Seven cameras and recorders of 2015 to 2026 tell model, firmware with build, kind and hardware address."""
    name = f"{ISAPI}{device}__deviceInfo__ISAPI_System_deviceInfo.xml"
    notes = Notes()
    found = hikvision.device_info(captured(name), notes)

    assert (found["device.model"], found["device.firmware"]) == (model, firmware)
    assert (notes.kind, found.get("device.manufacturer"), found["device.mac"]) == (kind, maker, (mac,))
    assert str(found["device.serial"]).startswith("SN-TEST-0")
    corpus.checked(name)


def test_hikvision_streams_of_a_dome() -> None:
    """DS-2DF8C832MX-ZDK: 101 and 102 are main and sub; hundredths of a frame, VBR's own limit, smart codec on."""
    name = f"{ISAPI}10__S_stream__ISAPI_Streaming_channels.xml"
    notes = Notes()
    found = hikvision.channels(captured(name), notes)
    main, sub, third = notes.streams

    assert (main.id, main.layer, main.encoding, main.width, main.height) == (
        "101",
        "main",
        "H264",
        3840,
        2160,
    )
    assert (main.fps, main.bitrate_kbps, main.gov_length, main.smart_codec) == (25.0, 16384, 50, True)
    assert (sub.id, sub.layer, sub.width, sub.height) == ("102", "sub", 704, 576)
    assert (third.id, third.layer, third.encoding) == ("103", "other", "H265")
    assert main.path == "/Streaming/Channels/101"
    assert found == {"service.rtsp_auth": ("digest-md5",)}
    corpus.checked(name)


def test_hikvision_streams_of_2015_are_counted_from_1() -> None:
    """DS-FB2127, V5.2.2: ids 1, 2, 3 are main, sub and third stream of channel 1 (quirk 100)."""
    name = f"{ISAPI}18__S_stream__ISAPI_Streaming_channels.xml"
    notes = Notes()
    hikvision.channels(captured(name), notes)

    told = [(one.id, one.channel, one.layer, one.path) for one in notes.streams]
    assert told[:2] == [
        ("1", 1, "main", "/Streaming/Channels/1"),
        ("2", 1, "sub", "/Streaming/Channels/2"),
    ]
    assert (notes.streams[0].width, notes.streams[0].fps, notes.streams[0].gov_length) == (1920, 30.0, 16)
    assert "channel_ids_from_1" in notes.quirks
    corpus.checked(name)


def test_hikvision_recorder_lists_its_cameras() -> None:
    """DS-8632N-I8 says size 19 and lists 13: a main and a sub stream each, by the rule of the ids."""
    name = f"{ISAPI}64__I_proxy__ISAPI_ContentMgmt_InputProxy_channels.xml"
    notes = Notes()
    hikvision.proxies(captured(name), notes)

    assert len({one.channel for one in notes.streams}) == 13
    assert [one.id for one in notes.streams[:4]] == ["101", "102", "201", "202"]
    assert {one.layer for one in notes.streams} == {"main", "sub"}
    corpus.checked(name)


def test_hikvision_status_tells_the_clock_and_nothing_of_its_memory() -> None:
    """The dome's memory figures (99 used, 9808 free: quirk 104) do not disturb; the clock is read with its zone."""
    name = f"{ISAPI}10__B_reboot__ISAPI_System_status.xml"
    found = hikvision.status(captured(name), Notes())

    assert found == {"time.zone_offset_min": 480, "time.offset_s": 16 * 60 + 24.0}
    corpus.checked(name)


@pytest.mark.parametrize(
    ("name", "firmware", "refusals"),
    [
        ("test_auth_firmware_pre_v5_5.yaml", "V5.4.5 build 170124", 0),
        ("test_auth_firmware_v5_5.yaml", "V5.5.0 build 170725", 2),
    ],
)
def test_hikvision_cassettes(name: str, firmware: str, refusals: int) -> None:
    """DS-2CD2155FWD-I before and after V5.5: a clock in 1970, a Date header in local time, Digest from V5.5 on."""
    _answer, replies = isapi_cassette(name)
    told: dict[str, object] = {}
    notes = Notes()
    challenges = []
    for status, path, body, headers in replies:
        if status == 401:
            challenges.append(choose(parse_challenges([headers["WWW-Authenticate"]]), tls=False))
            continue
        take = hikvision.status if path.endswith("status") else hikvision.device_info
        told |= take(http(body), notes)
        assert parsedate_to_datetime(headers["Date"]).year == 1970

    assert told["device.firmware"] == firmware
    assert told["device.model"] == "DS-2CD2155FWD-I"
    assert "device.mac" not in told  # XX:XX:... is no address
    assert told["time.zone_offset_min"] == 480
    assert float(str(told["time.offset_s"])) < -50 * 365 * 86400
    assert "clock_at_1970" in notes.quirks
    assert [one.label for one in challenges if one] == ["digest-md5"] * refusals
    corpus.checked(f"isapi/hikvisionapi/{name}")


# --- Dahua CGI


@pytest.mark.parametrize(
    ("name", "take", "expected"),
    [
        (
            RROLLER + "get_system_info.txt",
            dahua.system_info,
            {
                "device.model": "IPC-HDW5831R-ZE",
                "device.serial": "4X7C5A1ZAG21L3F",
                "device.hardware_id": "1.00",
            },
        ),
        (RROLLER + "get_device_type__variant_a.txt", dahua.device_type, {"device.model": "IPC-HDW5831R-ZE"}),
        (RROLLER + "get_device_type__variant_b.txt", dahua.device_type, {}),
        (
            RROLLER + "get_software_version.txt",
            dahua.software_version,
            {"device.firmware": "2.800.0000016.0.R build 2020-06-05"},
        ),
        (
            "dahua_cgi/scrypted-amcrest/magicBox_getSystemInfo__IP4M-1041B.txt",
            dahua.system_info,
            {"device.model": "IP4M-1041B", "device.serial": "12345", "device.hardware_id": "1.00"},
        ),
    ],
)
def test_dahua_identity(name: str, take: object, expected: dict[str, str]) -> None:
    """Model, serial number, hardware and firmware; a type that names no model ("IP Camera") is left out."""
    assert take(captured(name), Notes()) == expected  # type: ignore[operator]
    corpus.checked(name)


@pytest.mark.parametrize(
    ("file", "count", "key", "value"),
    [
        ("get_coaxial_control_io_status", 2, "status.status.Speaker", "Off"),
        ("get_config_lighting", 5, "table.Lighting[0][0].Mode", "Auto"),
        ("get_config_motion_detection", 2, "table.MotionDetect[0].Enable", "true"),
        ("get_disarming_linkage", 1, "table.DisableLinkage.Enable", "false"),
        ("get_event_notifications", 1, "table.DisableEventNotify.Enable", "false"),
        ("get_ivs_rules", 2, "table.VideoAnalyseRule[0][1].Name", "IVS-1"),
        ("get_light_global_enabled", 1, "table.LightGlobal[0].Enable", "true"),
        ("get_lighting_v2", 7, "table.Lighting_V2[0][2][0].Mode", "Manual"),
        ("get_machine_name", 1, "table.General.MachineName", "Cam4"),
        ("get_ptz_position", 10, "status.Postion[1]", "-2.600000"),
        ("get_smart_motion_detection", 4, "table.SmartMotionDetect[0].ObjectTypes.Human", "true"),
        ("get_video_analyse_rules_for_amcrest", 1, "table.VideoAnalyseRule[0][0].Enable", "false"),
        ("get_video_in_mode", 3, "table.VideoInMode[0].TimeSection[0][0]", "0 00:00:00-24:00:00"),
    ],
)
def test_dahua_settings_that_are_not_asked(file: str, count: int, key: str, value: str) -> None:
    """The reader of key=value lines takes every line of every captured setting."""
    name = f"{RROLLER}{file}.txt"
    told = values.pairs(captured(name).body, file)

    assert (len(told), told[key]) == (count, value)
    corpus.checked(name)


# --- Axis VAPIX: parameters


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        (
            "test_brand__BRAND_RESPONSE.txt",
            {"device.manufacturer": "AXIS", "device.model": "M1065-LW"},
        ),
        ("test_brand__BRAND_5_51_RESPONSE.txt", {"device.manufacturer": "AXIS", "device.model": "M3024-L"}),
        (
            "test_properties__PROPERTY_RESPONSE.txt",
            {
                "device.firmware": "9.10.1",
                "device.serial": "ACCC128AE901",
                "device.hardware_id": "70E",
                "privacy.mask_supported": False,
                "vendor.apis": ("VAPIX 3",),
            },
        ),
        (
            "test_properties__PROPERTY_1_84_1_A9188_RESPONSE.txt",
            {
                "device.firmware": "1.84.1",
                "device.serial": "ACCC8E6F6B04",
                "device.hardware_id": "72C.1",
                "vendor.apis": ("VAPIX 3",),
            },
        ),
    ],
)
def test_axis_identity_parameters(file: str, expected: dict[str, object]) -> None:
    """Brand and Properties of cameras and an I/O module tell maker, model, firmware and serial number."""
    assert axis.brand(captured(AXIS + file), Notes()) == expected
    corpus.checked(AXIS + file)


def test_axis_whole_parameter_list() -> None:
    """AXIS M1065-LW 9.10.1, 31 kB: identity, one view that is on, ports, clock, no Wi-Fi name anywhere."""
    name = AXIS + "test_param_cgi__PARAM_RESPONSE.txt"
    notes = Notes()
    identity = axis.brand(captured(name), notes)
    network = axis.network(captured(name), notes)
    clock = axis.time_parameters(captured(name), notes)
    masks = axis.images(captured(name), notes)

    assert (identity["device.model"], identity["device.firmware"]) == ("M1065-LW", "9.10.1")
    assert notes.encodings == ("JPEG", "H264")
    assert network["service.rtsp_port"] == 554
    assert (network["service.https"], network["service.ssh"], network["service.upnp"]) == (True, False, False)
    assert network["service.http_auth"] == ("digest-md5",)
    assert network["device.mac"] == ("ac:cc:12:8a:e9:01",)
    assert network["account.activated"] is True
    assert (clock["time.source"], clock["time.zone_offset_min"]) == ("NTP", 60)
    assert [(one.id, one.encoding, one.width, one.gov_length) for one in notes.streams] == [
        ("camera=1", "H264", 1920, 32)
    ]
    assert masks == {}
    assert "REDACTED" not in repr((identity, network, clock, notes))
    corpus.checked(name)


@pytest.mark.parametrize(
    ("file", "streams"),
    [
        ("test_image__IMAGE_RESPONSE.txt", [("camera=1", "Fußgängerüberweg", 1920, 1080, 32)]),
        ("test_image__IMAGE_RESPONSE2.txt", [("camera=1", "View Area 1", 3840, 2160, 0)]),
        ("test_image__IMAGE_MINIMAL_RESPONSE.txt", [("camera=1", "", 704, 576, 0)]),
        ("test_image__IMAGE_RESPONSE_MISSING_MPEG_KEY.txt", [("camera=1", "View Area 1", 1920, 1080, 0)]),
    ],
)
def test_axis_images(file: str, streams: list[object]) -> None:
    """Views that are on become streams, with what they tell; a name in UTF-8 and missing keys do no harm."""
    notes = Notes()
    axis.images(captured(AXIS + file), notes)

    told = [(one.id, one.name, one.width, one.height, one.gov_length) for one in notes.streams]
    assert told == streams
    corpus.checked(AXIS + file)


def test_axis_stream_profiles_without_a_size_offer_no_sub_stream() -> None:
    """Profiles that name a codec only cannot be told from the main stream."""
    name = AXIS + "test_stream_profile__STREAM_PROFILE_RESPONSE.txt"
    notes = Notes()
    axis.images(captured(name), notes)

    assert notes.streams == []
    assert (
        parameters("test_stream_profile__STREAM_PROFILE_RESPONSE.txt")["root.StreamProfile.MaxGroups"] == "26"
    )
    corpus.checked(name)


def test_axis_accounts_are_counted_by_level_and_never_named() -> None:
    """pwdgrp.cgi: seven accounts, the supplied one found among them; no name leaves the reader."""
    name = AXIS + "test_pwdgrp_cgi__GET_USERS_RESPONSE.txt"
    found = axis.groups(captured(name), Notes(user="usero"))

    assert found == {
        "account.levels": (
            "administrator",
            "administrator",
            "operator",
            "operator",
            "other",
            "other",
            "user",
        ),
        "account.own_level": "operator",
    }
    corpus.checked(name)


@pytest.mark.parametrize(
    ("file", "key", "value"),
    [
        ("test_io_port__PORT_RESPONSE.txt", "root.IOPort.I0.Direction", "input"),
        ("test_port_cgi__test_ports__0.txt", "root.Input.NbrOfInputs", "3"),
        ("test_ptz__PTZ_5_51_M1054_RESPONSE.txt", "root.PTZ.Preset.P0.Position.P1.Name", "Home"),
        ("test_ptz__PTZ_5_51_M3024_RESPONSE.txt", "root.PTZ.ImageSource.I0.PTZEnabled", "false"),
        ("test_ptz__PTZ_5_51_Q1921_RESPONSE.txt", "root.PTZ.NbrOfSerPorts", "1"),
        ("test_ptz__PTZ_6_50_Q3505_RESPONSE.txt", "root.PTZ.Limit.L1.MaxFieldAngle", "324"),
        ("test_ptz__PTZ_RESPONSE.txt", "root.PTZ.Preset.P0.Position.P1.Name", "Entrée"),
        ("test_temperature_control__STATUS_ALL_RESPONSE.txt", "root.Sensor.S0.Celsius", "43.50"),
    ],
)
def test_axis_parameters_that_are_not_asked(file: str, key: str, value: str) -> None:
    """The reader of parameters takes ports, PTZ and temperature of five models."""
    assert parameters(file)[key] == value
    corpus.checked(AXIS + file)


# --- Axis VAPIX: JSON and XML


def test_axis_api_list() -> None:
    """getApiList: names and versions of 16 interfaces."""
    name = AXIS + "test_api_discovery__GET_API_LIST_RESPONSE.json"
    apis = axis.api_list(captured(name), Notes())["vendor.apis"]

    assert isinstance(apis, tuple)
    assert (len(apis), apis[0], apis[1]) == (15, "api-discovery 1.0", "basic-device-info 1.1")
    corpus.checked(name)


def test_axis_basic_device_information() -> None:
    """getAllProperties of an M1065-LW 9.80.1."""
    name = AXIS + "test_basic_device_info__GET_ALL_PROPERTIES_RESPONSE.json"

    assert axis.properties(captured(name), Notes()) == {
        "device.manufacturer": "AXIS",
        "device.model": "M1065-LW",
        "device.firmware": "9.80.1",
        "device.serial": "ACCC128AE901",
        "device.hardware_id": "70E",
    }
    corpus.checked(name)


@pytest.mark.parametrize(
    ("file", "path", "value"),
    [
        ("test_fence_guard__GET_CONFIGURATION_EMPTY_RESPONSE.json", "data.configurationStatus", 9),
        ("test_fence_guard__GET_CONFIGURATION_RESPONSE.json", "data.configurationStatus", 0),
        ("test_light_control__GET_LIGHT_INFORMATION_RESPONSE.json", "method", "getLightInformation"),
        ("test_loitering_guard__GET_CONFIGURATION_EMPTY_RESPONSE.json", "data.configurationStatus", 1),
        ("test_loitering_guard__GET_CONFIGURATION_RESPONSE.json", "apiVersion", "1.4"),
        ("test_motion_guard__GET_CONFIGURATION_EMPTY_RESPONSE.json", "data.configurationStatus", 9),
        ("test_motion_guard__GET_CONFIGURATION_RESPONSE.json", "method", "getConfiguration"),
        ("test_mqtt__GET_CLIENT_STATUS_RESPONSE.json", "data.status.connectionStatus", "Connected"),
        ("test_object_analytics__GET_CONFIGURATION_EMPTY_RESPONSE.json", "data.scenarios", []),
        ("test_object_analytics__GET_CONFIGURATION_RESPONSE.json", "apiVersion", "1.0"),
        ("test_port_management__GET_PORTS_RESPONSE.json", "data.numberOfPorts", 1),
        ("test_stream_profiles__LIST_RESPONSE.json", "data.maxProfiles", 26),
        ("test_vmd4__GET_CONFIGURATION_EMPTY_RESPONSE.json", "data.configurationStatus", 26),
        ("test_vmd4__GET_CONFIGURATION_RESPONSE.json", "data.configurationStatus", 2),
    ],
)
def test_axis_json_that_is_not_asked(file: str, path: str, value: object) -> None:
    """The JSON reader takes analytics, light, MQTT and port replies."""
    told = values.json_object(captured(AXIS + file).body, file)

    assert values.item(told, *path.split(".")) == value
    corpus.checked(AXIS + file)


def test_an_axis_error_inside_a_good_reply_is_an_error() -> None:
    """HTTP 200 with error 2000 means that the device has no such version of the interface."""
    name = AXIS + "test_vmd4__GET_CONFIGURATION_RESPONSE_error.json"
    read = Read("VAPIX vmd", "/x", (), lambda _reply, _notes: {}, body=b'{"method":"getConfiguration"}')
    error = axis.explain(read, captured(name))

    assert error is not None
    assert (error.code, "2000" in str(error)) == ("unsupported", True)
    corpus.checked(name)


EVENTS = {
    "AUDIO_INIT": ("AudioSource/tnsaxis:TriggerLevel", "triggered=0"),
    "DAYNIGHT_INIT": ("VideoSource/tnsaxis:DayNightVision", "day=1"),
    "FENCE_GUARD_INIT": ("FenceGuard/Camera1Profile1", "active=0"),
    "GLOBAL_SCENE_CHANGE": ("GlobalSceneChange/ImagingService", "State=0"),
    "LIGHT_STATUS_CHANGED_INIT": ("tnsaxis:LightStatusChanged/Status", "state=ON"),
    "LIGHT_STATUS_INIT": ("tnsaxis:Light/Status", "state=OFF"),
    "LOITERING_GUARD_INIT": ("LoiteringGuard/Camera1Profile1", "active=0"),
    "MOTION_GUARD_INIT": ("MotionGuard/Camera1ProfileANY", "active=0"),
    "OBJECT_ANALYTICS_ANY_CHANGE": ("ObjectAnalytics/Device1Scenario1", "active=1"),
    "OBJECT_ANALYTICS_INIT": ("ObjectAnalytics/Device1Scenario1", "active=0"),
    "PIR_CHANGE": ("tnsaxis:Sensor/PIR", "state=1"),
    "PIR_INIT": ("tnsaxis:Sensor/PIR", "state=0"),
    "PORT_0_INIT": ("tnsaxis:IO/Port", "state=0"),
    "PORT_ANY_INIT": ("tnsaxis:IO/Port", "state=0"),
    "PTZ_MOVE_END": ("tnsaxis:Move/Channel_1", "is_moving=0"),
    "PTZ_MOVE_INIT": ("tnsaxis:Move/Channel_1", "is_moving=0"),
    "PTZ_MOVE_START": ("tnsaxis:Move/Channel_1", "is_moving=1"),
    "PTZ_PRESET_AT_1_FALSE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=0"),
    "PTZ_PRESET_AT_1_TRUE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=1"),
    "PTZ_PRESET_AT_2_FALSE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=0"),
    "PTZ_PRESET_AT_2_TRUE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=1"),
    "PTZ_PRESET_AT_3_FALSE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=0"),
    "PTZ_PRESET_AT_3_TRUE": ("tnsaxis:PTZPresets/Channel_1", "on_preset=1"),
    "PTZ_PRESET_INIT_1": ("tnsaxis:PTZPresets/Channel_1", "on_preset=1"),
    "PTZ_PRESET_INIT_2": ("tnsaxis:PTZPresets/Channel_1", "on_preset=0"),
    "PTZ_PRESET_INIT_3": ("tnsaxis:PTZPresets/Channel_1", "on_preset=0"),
    "RELAY_INIT": ("Device/Trigger/Relay", "LogicalState=inactive"),
    "RULE_ENGINE_REGION_DETECTOR_INIT": ("MotionRegionDetector/Motion", "State=0"),
    "STORAGE_ALERT_INIT": ("tnsaxis:Storage/Alert", "alert=0"),
    "VMD3_INIT": ("tnsaxis:VMD3/vmd3_video_1", "active=0"),
    "VMD4_ANY_CHANGE": ("VMD/Camera1ProfileANY", "active=1"),
    "VMD4_ANY_INIT": ("VMD/Camera1ProfileANY", "active=0"),
    "VMD4_C1P1_CHANGE": ("VMD/Camera1Profile1", "active=1"),
    "VMD4_C1P1_INIT": ("VMD/Camera1Profile1", "active=0"),
    "VMD4_C1P2_CHANGE": ("VMD/Camera1Profile2", "active=1"),
    "VMD4_C1P2_INIT": ("VMD/Camera1Profile2", "active=0"),
}


@pytest.mark.parametrize(("event", "expected"), EVENTS.items())
def test_axis_events(event: str, expected: tuple[str, str]) -> None:
    """Each event message of the metadata stream is read: topic and data by local names."""
    name = f"{AXIS}event_fixtures__{event}.xml"
    root = xml.parse(captured(name).body).root
    topic = next(xml.descendants(root, "Topic"))
    data = [
        f"{xml.attribute(one, 'Name')}={xml.attribute(one, 'Value')}"
        for part in xml.descendants(root, "Data")
        for one in xml.descendants(part, "SimpleItem")
    ]

    assert xml.text(topic).endswith(expected[0])
    assert expected[1] in data
    corpus.checked(name)


@pytest.mark.parametrize(
    ("file", "root", "count"),
    [
        ("event_fixtures__FIRST_MESSAGE.xml", "MetadataStream", 0),
        ("event_fixtures__EVENT_INSTANCES.xml", "Envelope", 44),
        ("event_fixtures__EVENT_INSTANCE_PIR_SENSOR.xml", "Envelope", 1),
        ("event_fixtures__EVENT_INSTANCE_STORAGE_ALERT.xml", "Envelope", 1),
        ("event_fixtures__EVENT_INSTANCE_VMD4_PROFILE1.xml", "Envelope", 1),
        ("test_event_instances__test_event_instances_empty_message_instance_xml__0.xml", "Envelope", 1),
    ],
)
def test_axis_event_instances(file: str, root: str, count: int) -> None:
    """The declared events: as many topics as the document marks."""
    parsed = xml.parse(captured(AXIS + file).body)
    marked = [one for one in parsed.root.iter() if xml.attribute(one, "topic") == "true"]

    assert (xml.local(parsed.root), len(marked), parsed.quirks) == (root, count, ())
    corpus.checked(AXIS + file)


@pytest.mark.parametrize(
    ("file", "names"),
    [
        ("test_applications__LIST_APPLICATIONS_RESPONSE.xml", {"RemoteAccess", "VMD3", "vmd", "fenceguard"}),
        ("test_applications__LIST_APPLICATION_RESPONSE.xml", {"vmd"}),
    ],
)
def test_axis_applications(file: str, names: set[str]) -> None:
    """The list of applications is read by its attributes."""
    root = xml.parse(captured(AXIS + file).body).root

    assert xml.attribute(root, "result") == "ok"
    assert names <= {xml.attribute(one, "Name") for one in xml.descendants(root, "application")}
    corpus.checked(AXIS + file)


def test_axis_metadata_packets() -> None:
    """Three RTP packets of a metadata stream: one whole event, and one in two fragments of the same time."""
    names = [
        f"{AXIS}packet_fixtures__RTP_PACKET{part}.bin" for part in ("1_FULL", "2_FRAGMENT1", "2_FRAGMENT2")
    ]
    whole, first, second = (parse_rtp(captured(name).body) for name in names)
    document = xml.parse(whole.payload).root
    joined = xml.parse(first.payload + second.payload).root

    assert (whole.payload_type, whole.marker, first.marker, second.marker) == (98, True, False, True)
    assert [first.sequence - whole.sequence, second.sequence - whole.sequence] == [1, 2]
    assert first.timestamp == second.timestamp
    assert xml.text(next(xml.descendants(document, "Topic"))) == "tnsaxis:Storage/Recording"
    assert xml.text(next(xml.descendants(joined, "Topic"))).endswith("ObjectAnalytics/xinternal_data")
    corpus.checked(*names)


def test_axis_recorded_transactions() -> None:
    """AXIS P5512 5.51.7: a 404 for the API list; parameters, groups and definitions that agree with each other."""
    name = "axis_vapix/vapix-rs/AXIS_P5512_v5.51.7.json"
    told = json.loads(text(name))
    by_path = {one["request"]["path"]: one["response"] for one in told["transactions"]}
    whole = http(by_path["/axis-cgi/param.cgi?action=list"]["body"]["string"].encode())
    notes = Notes()
    identity = axis.brand(whole, notes)
    network = axis.network(whole, notes)
    axis.images(whole, notes)

    assert by_path["/axis-cgi/apidiscovery.cgi"]["status_code"] == 404
    assert identity["device.model"] == "P5512"
    assert identity["device.firmware"] == told["device_info"]["firmware_version"]
    assert identity["device.hardware_id"] == told["device_info"]["hardware_id"]
    assert network["account.anonymous_allowed"] is False
    assert network["service.http_auth"] == ("digest-md5", "basic")
    assert [(one.layer, one.width, one.bitrate_kbps) for one in notes.streams] == [
        ("main", 704, 0),
        ("sub", 176, 128),
    ]
    assert axis.remote_service(whole, notes) == {"service.p2p": False}
    for path, answer in by_path.items():
        body = answer["body"]["string"].encode()
        if "listdefinitions" in path:
            document = xml.parse(body).root
            assert (xml.local(document), xml.text(document, "model")) == (
                "parameterDefinitions",
                "AXIS P5512",
            )
        elif "group=root.Brand" in path:
            assert axis.brand(http(body), Notes())["device.model"] == "P5512"
    corpus.checked(name)


def test_no_captured_file_of_these_kinds_is_left_out() -> None:
    """Each file of isapi, dahua_cgi and axis_vapix is named in this module (by itself or by its parameters)."""
    source = Path(__file__).read_text("utf-8")
    devices = set(re.findall(r'\("(\d\d)", "DS-', source))
    for name in (*corpus.files("isapi"), *corpus.files("dahua_cgi"), *corpus.files("axis_vapix")):
        stem = name.rsplit("/", 1)[1].rsplit(".", 1)[0]
        short = stem.removeprefix("event_fixtures__")
        packet = re.sub(r"^packet_fixtures__RTP_PACKET", "", stem)
        identity = re.match(r"10_18_176_(\d\d)__deviceInfo__", stem)
        listed = any(part in source for part in (stem, short, f'"{packet}"', stem.removeprefix("10_18_176_")))
        assert listed or (identity and identity[1] in devices), name
