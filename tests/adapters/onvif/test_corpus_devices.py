"""Replies of real devices, replayed on loopback and read by the whole adapter; no captured file is left out."""

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import corpus
import pytest
from captured_onvif import DEVICES, LOOKED_AT, OUTCOMES
from probing import CLOCK, GOOD, Seen, probe_at
from replay import CORPUS, PullReplay, Replay
from scripted_onvif import listening

from adapters.deadline import Deadline
from adapters.errors import AdapterError, CameraFault, PermissionDenied, RemoteProtocolError, Unsupported
from adapters.onvif import details, mapping, reply
from adapters.onvif.events import DeviceEvent, EventSource
from adapters.onvif.operations import READ_OPERATIONS, Access, Operation
from adapters.onvif.reply import Challenged
from adapters.onvif.soap import Wsdl
from adapters.port import Actuation, ProbeContext
from adapters.target import Target
from adapters.wire import xml
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook
from adapters.wire.http import HttpReply
from standards.observation import NotObserved, thaw
from standards.reason import Reason

pytestmark = corpus.needs_corpus
GO, EASY, NVT = "onvif-go-captures", "easy_onvif", "onvif-nvt"
KOTLIN, GO2RTC, SCOPES, PULLS = (
    "ONVIF-Camera-Kotlin",
    "go2rtc",
    "onvif-discovery/ScopesTestData.json",
    "protect-onvif-listener",
)
FOLDERS = {
    "device_management": "device",
    "media1": "media",
    "media2": "media2",
    "ptz": "ptz",
    "recordings": "recording",
    "core": "device",
    "media": "media",
    "events": "events",
    "analytics": "analytics",
}
GO_DEVICES = tuple(name for name in OUTCOMES if (CORPUS / GO / name).is_dir())


def folder_of(name: str) -> Path:
    return next(CORPUS / group / name for group in (GO, EASY, NVT) if (CORPUS / group / name).is_dir())


def replay_of(name: str) -> Replay:
    folder = folder_of(name)
    if (folder / "index.jsonl").is_file():
        return Replay.from_index(folder)
    present = {item.name: FOLDERS[item.name] for item in folder.iterdir()}
    return Replay.from_files(folder, present, r"(\w+?)(?:Response\.xml|\.(?:Response|Error)\.xml)$")


def replayed(device: Replay, *, extended: bool = True) -> Seen:
    async def run() -> Seen:
        async with listening(device.handle) as port:
            return await probe_at(Target("onvif", "127.0.0.1", port), GOOD, extended=extended)

    return asyncio.run(run())


def replies_of(name: str) -> Iterator[tuple[str, str, int, bytes]]:
    """Yield (file without suffix, operation, HTTP status, body) of every captured reply of a device."""
    folder = folder_of(name)
    if (folder / "index.jsonl").is_file():
        for line in (folder / "index.jsonl").read_text().splitlines():
            told = json.loads(line)
            operation = re.match(r"\s*<(?:\w+:)?(\w+)", told["request_body"])
            assert operation is not None
            file = told["response_file"]
            yield file.removesuffix(".xml"), operation[1], told["http_status"], (folder / file).read_bytes()
        return
    for path in sorted(folder.rglob("*.xml")):
        found = re.match(r"(\w+?)(?:Response\.xml|\.(?:Response|Error)\.xml)$", path.name)
        short = path.name.removesuffix(".xml").removesuffix(".Error")
        failed = ".Error." in path.name or path.name == "Fault.xml"
        name_of = found[1] if found else "Fault"
        yield f"{path.parent.name}/{short}", name_of, 400 if failed else 200, path.read_bytes()


def read(operation: str, status: int, body: bytes, service: str = "device") -> reply.Reply:
    http = HttpReply(status, (), body, "http://127.0.0.1/", datetime.now(UTC), 0.0)
    return reply.read(Operation(service, operation, Access.READ_SYSTEM), http, "127.0.0.1")


def outcome(operation: str, status: int, body: bytes) -> str:
    """Return "" for an answer, else the word for what it is."""
    try:
        read(operation, status, body)
    except Unsupported:
        return "unsupported"
    except Challenged:
        return "refused"
    except CameraFault as error:
        return error.fault.split(" ")[0]
    return ""


def told(seen: Seen, fact: str) -> Any:
    """Return what a probe says about one of `LOOKED_AT`, in the words of `DEVICES`."""
    if fact == "offers":
        return [
            f"{offer.layer} {offer.encoding} {offer.width}x{offer.height} {offer.target.path}"
            for offer in seen.result.offers
        ]
    name = {"protocols": "onvif.network_protocols", "profiles": "onvif.media_profiles"}.get(
        fact, fact.lstrip("#")
    )
    observation = seen.result.observations[name]
    if isinstance(observation, NotObserved):
        return f"!{observation.reason}"
    value = thaw(observation.value)
    if fact.startswith("#"):
        return len(value)
    if fact == "protocols":
        return [
            f"{p['name']}:{'on' if p['enabled'] else 'off'}:{','.join(map(str, p['ports']))}" for p in value
        ]
    if fact == "profiles":
        return [
            f"{p['token']} {p['source']} {p['encoding']} {p['width']}x{p['height']} {p['fps']:g}/s"
            f" {p['bitrate_kbps']}k gov {p['gov_length']}"
            for p in value
        ]
    if fact == "ptz.nodes":
        return [(n["token"], n["home_supported"], n["max_presets"], len(n["spaces"])) for n in value]
    return value


@pytest.mark.long
class TestWholeDevices:
    @pytest.mark.parametrize("name", sorted(DEVICES))
    def test_an_extended_probe_tells_what_the_device_told(self, name: str) -> None:
        """Identity, services, profiles, streams, events, PTZ, accounts: each fact as a person read it in the replies."""
        device = replay_of(name)
        device.login = True
        seen = replayed(device)

        assert seen.result.failure is None
        assert seen.courtesy.logins == 1
        assert seen.value("credential.accepted") is True
        assert {fact: told(seen, fact) for fact in LOOKED_AT} == {
            fact: DEVICES[name].get(fact, "!denied_by_device") for fact in LOOKED_AT
        }
        assert {offer.target.host for offer in seen.result.offers} <= {"127.0.0.1"}
        assert all(not offer.named.startswith("rtsp://127.") for offer in seen.result.offers)
        asked = {operation for _service, operation in device.asked}
        assert all(name.startswith(("Get", "Find", "End")) for name in asked if name)

    @pytest.mark.parametrize("name", sorted(DEVICES))
    def test_a_quick_probe_tells_the_same_with_fewer_reads(self, name: str) -> None:
        """A probe that is not extended sends at most two dozen requests and contradicts nothing."""
        device = replay_of(name)
        device.login = True
        seen = replayed(device, extended=False)

        assert seen.result.failure is None
        assert seen.courtesy.reads <= 27
        for fact in ("device.model", "profiles", "offers", "protocols", "onvif.services"):
            assert told(seen, fact) == DEVICES[name].get(fact, "!denied_by_device")
        assert "event.topics" not in seen.result.observations

    def test_axis_p5655_refuses_everything(self) -> None:
        """AXIS P5655-E: every call is refused with HTTP 400; that is unauthorised, never unsupported (quirk 69)."""
        seen = replayed(replay_of("AXIS_P5655_auth-rejected"))

        assert seen.value("reach.answers") == 3
        assert seen.value("http.auth_schemes") == ("wsse",)
        assert seen.value("credential.accepted") is False
        assert seen.courtesy.logins == 1
        reasons = {seen.reason(fact) for fact in seen.result.observations}
        assert Reason.DENIED_BY_DEVICE not in reasons
        assert seen.reason("onvif.services") is Reason.REFUSED
        assert seen.reason("onvif.media_profiles") is Reason.NO_CREDENTIAL

    def test_axis_m2025(self) -> None:
        """AXIS M2025-LE 9.80.3.13: five single replies make a device, media2 only."""
        folder, device = CORPUS / KOTLIN, Replay()
        for service, operation, file in (
            ("device", "GetServices", "services.xml"),
            ("device", "GetDeviceInformation", "deviceInfo.xml"),
            ("media2", "GetProfiles", "profiles.xml"),
            ("media", "GetProfiles", "profiles.xml"),
            ("media2", "GetStreamUri", "stream.xml"),
            ("media2", "GetSnapshotUri", "snapshot.xml"),
        ):
            device.add(service, operation, 200, (folder / file).read_bytes())
        seen = replayed(device)

        assert seen.result.failure is None
        assert (seen.value("device.manufacturer"), seen.value("device.model")) == ("AXIS", "M2025-LE")
        assert (seen.value("device.firmware"), seen.value("device.serial")) == ("9.80.3.13", "B8A44F10F322")
        assert {"device", "events", "media", "media2", "imaging", "recording", "search", "replay"} <= set(
            seen.value("onvif.services") or ()  # type: ignore[call-overload]
        )
        assert seen.value("onvif.encodings") == ("H264", "JPEG")
        assert [(o.layer, o.width, o.height, o.named) for o in seen.result.offers] == [
            (
                "main",
                1920,
                1080,
                f"rtsp://192.168.0.209:554{seen.result.offers[0].target.path}",
            )
        ]
        assert seen.result.snapshot is not None
        assert seen.result.snapshot.path == "/onvif-cgi/jpg/image.cgi?resolution=1920x1080&compression=30"
        corpus.checked(
            *(folder / f"{name}.xml" for name in ("services", "deviceInfo", "profiles", "stream", "snapshot"))
        )


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_every_captured_reply_of_a_device(name: str) -> None:
    """Each reply is an answer to its operation, a refusal, a denial or a fault, as a person read it; none is a crash."""
    number, others = OUTCOMES[name]
    expected = {file: word for word, files in others.items() for file in files}
    seen = {}
    for file, operation, status, body in replies_of(name):
        seen[file] = outcome(operation, status, body)

    assert len(seen) == number
    assert {file: word for file, word in seen.items() if word} == (
        dict.fromkeys(seen, expected["*"]) if "*" in expected else expected
    )
    corpus.checked(*(item for item in folder_of(name).rglob("*") if item.is_file()))


@pytest.mark.long
def test_every_reader_reads_every_reply() -> None:
    """No reader raises on the reply to any other operation, and zeep's opinion never raises."""
    wsdl = Wsdl()
    asyncio.run(wsdl.ready())
    rendered = {item.name: item for item in READ_OPERATIONS if wsdl.knows(item) and item.name in _BY_ZEEP}
    readers = [
        value
        for module in (mapping, details)
        for value in vars(module).values()
        if callable(value) and list(getattr(value, "__annotations__", {})) == ["reply", "return"]
    ]
    assert len(readers) > 25
    read_number = 0
    for name in OUTCOMES:
        for _file, operation, status, body in replies_of(name):
            try:
                answer = read(operation, status, body)
            except AdapterError:
                continue
            read_number += 1
            for reader in readers:
                reader(answer)
            details.user_levels(answer, "admin")
            if operation in rendered:
                wsdl.conforms(rendered[operation], answer.root, body)
    assert read_number > 400


_BY_ZEEP = {"GetDeviceInformation", "GetScopes", "GetNetworkInterfaces", "GetNetworkProtocols", "GetNTP"}


class TestSingleReplies:
    def test_amcrest_profiles(self) -> None:
        """Amcrest IP5M: two H.264 profiles of one source."""
        path = CORPUS / KOTLIN / "profiles2.xml"
        found = mapping.media_profiles(read("GetProfiles", 200, path.read_bytes(), "media"))

        assert [(p.token, p.source, p.encoding, p.width, p.height) for p in found] == [
            ("MediaProfile00000", "00000", "H264", 2592, 1944),
            ("MediaProfile00001", "00000", "H264", 704, 480),
        ]
        corpus.checked(path)

    def test_lorex_profiles(self) -> None:
        """Lorex: the H.265 main profile has no video encoder in the old service (quirk 44)."""
        path = CORPUS / KOTLIN / "lorex.xml"
        found = mapping.media_profiles(read("GetProfiles", 200, path.read_bytes(), "media"))

        assert [(p.token, p.encoding, p.width, p.height) for p in found][:2] == [
            ("Profile000", "", 0, 0),
            ("Profile001", "H264", 704, 480),
        ]
        assert {p.source for p in found} == {"VideoSource000"}
        corpus.checked(path)

    def test_dahua(self) -> None:
        """Dahua: capabilities, and addresses whose query is kept."""
        folder = CORPUS / GO2RTC
        listed = mapping.capabilities(
            read("GetCapabilities", 200, (folder / "Dahua_default__GetCapabilities.xml").read_bytes())
        )
        stream = (folder / "Dahua_stream_default__GetStreamUri.xml").read_bytes()
        still = (folder / "Dahua_snapshot_default__GetSnapshotUri.xml").read_bytes()

        assert listed == {
            service: f"http://192.168.1.123/onvif/{path}_service"
            for service, path in (
                ("analytics", "analytics"),
                ("device", "device"),
                ("events", "event"),
                ("imaging", "imaging"),
                ("media", "media"),
                ("deviceio", "deviceIO"),
            )
        }
        assert mapping.uri(read("GetStreamUri", 200, stream)) == (
            "rtsp://192.168.1.123:554/cam/realmonitor?channel=1&subtype=1&unicast=true&proto=Onvif"
        )
        assert mapping.uri(read("GetSnapshotUri", 200, still)) == (
            "http://192.168.1.123/onvifsnapshot/media_service/snapshot?channel=1&subtype=1"
        )
        corpus.checked(*(item for item in folder.iterdir()))

    @pytest.mark.parametrize(
        ("file", "claimed"), [("probeResponse.xml", ("S", "T", "G")), ("probeResponse2.xml", ("S", "T"))]
    )
    def test_profiles_claimed_in_probe_matches(self, file: str, claimed: tuple[str, ...]) -> None:
        """The scopes of a ProbeMatch are those of GetScopes: the claimed ONVIF Profiles are read from them."""
        path = CORPUS / KOTLIN / file
        scopes = next(xml.descendants(xml.parse(path.read_bytes()).root, "Scopes"))

        assert mapping.profiles_claimed(tuple(xml.text(scopes).split())) == claimed
        corpus.checked(path)

    def test_profiles_claimed_in_scopes(self) -> None:
        """Scope lists of FLIR, Geovision, Panasonic, Avigilon and others, one with Vietnamese text."""
        path = CORPUS / SCOPES
        devices = json.loads(path.read_text("utf-8-sig"))["Devices"]
        claimed = [mapping.profiles_claimed(tuple(device["Scopes"])) for device in devices]

        assert [device["ExpectedModel"] for device in devices][:4] == [
            "MSTAR_IPNC",
            "CM-6204-11-I",
            "GV-UNP2500",
            "WV-V1330LK",
        ]
        assert claimed == [("S",), ("S", "G"), ("S",), ("S",), ("S",), ("S", "G"), ("S",), ("S", "G")]
        corpus.checked(path)


CITY = Actuation("operator", "authority", datetime(2026, 1, 1, tzinfo=UTC), municipal=True)


def pulled(device: PullReplay, pulls: int) -> tuple[list[list[DeviceEvent]], EventSource]:
    """Subscribe to a replayed session and pull some times."""
    found: list[list[DeviceEvent]] = []

    async def run() -> EventSource:
        async with listening(device.handle) as port:
            target = Target("onvif", "127.0.0.1", port)
            context = ProbeContext(
                Dialer(NetworkPolicy.of((target.authority,))),
                CredentialGate(MemoryBook(CLOCK), CLOCK),
                CLOCK,
                target.authority,
            )
            async with EventSource(target, GOOD, context, CITY, Deadline.after(CLOCK, 20.0)) as source:
                found.extend([list(await source.pull()) for _ in range(pulls)])
                return source

    source = asyncio.run(run())
    return found, source


class TestPullPointSessions:
    def test_dahua_sd4a(self) -> None:
        """Dahua DH-SD4A425DB-HNY: no free slot at first; later motion, alarm and human detection, one a message."""
        path = CORPUS / PULLS / "dahua_dh_sd4a425db_hny_20260219.jsonl"
        device = PullReplay.from_file(path)
        with pytest.raises(CameraFault, match="BlockedThreadUpperLimit") as caught:
            pulled(device, 0)
        assert "slot" in caught.value.hint
        found, _source = pulled(device, 8)

        assert [[(event.topic, event.data) for event in pull] for pull in found] == [
            [],
            [],  # one message without a topic
            [("tns1:RuleEngine/CellMotionDetector/Motion", {"IsMotion": "true"})],
            [("tns1:VideoSource/MotionAlarm", {"State": "true"})],
            [("tns1:RuleEngine/CellMotionDetector/Motion", {"IsMotion": "false"})],
            [("tns1:VideoSource/MotionAlarm", {"State": "false"})],
            [("tns1:UserAlarm/IVA/HumanShapeDetect", {"State": "true"})],
            [("tns1:UserAlarm/IVA/HumanShapeDetect", {"State": "false"})],
        ]
        assert found[2][0].at == datetime(2017, 12, 31, 16, 1, 21, tzinfo=UTC)  # its clock was never set
        assert device.asked[-1] == "Unsubscribe"
        corpus.checked(path)

    def test_reolink_bullet(self) -> None:
        """Reolink bullet on port 8000: the pull point is led back to the enrolled host and port."""
        path = CORPUS / PULLS / "reolink_bullet.jsonl"
        device = PullReplay.from_file(path)
        found, source = pulled(device, 3)
        topics = [event.topic for event in found[0]]

        assert topics[:2] == [
            "tns1:RuleEngine/CellMotionDetector/Motion",
            "tns1:RuleEngine/MyRuleDetector/FaceDetect",
        ]
        assert {event.operation for event in found[0]} == {"Initialized"}
        assert [[(event.topic, event.data["State"]) for event in pull] for pull in found[1:]] == [
            [("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "true")],
            [("tns1:RuleEngine/MyRuleDetector/PeopleDetect", "false")],
        ]
        assert {path for operation, path in device.paths if operation == "PullMessages"} == {
            "/onvif/PullSubManager?Idx=90264311"
        }
        assert source.quirks == ("undeclared_prefix",)
        corpus.checked(path)

    def test_cell_motion(self) -> None:
        """A camera that tells its states once, then nothing."""
        path = CORPUS / PULLS / "cell_motion_no_events_20260321.jsonl"
        device = PullReplay.from_file(path)
        found, _source = pulled(device, 2)

        assert [event.topic for event in found[0]][:5] == [
            "tns1:RuleEngine/CellMotionDetector/Motion",
            "tns1:VideoSource/MotionAlarm",
            "tns1:VideoSource/GlobalSceneChange/AnalyticsService",
            "tns1:Monitoring/ProcessorUsage",
            "tns1:Monitoring/OperatingTime/LastReboot",
        ]
        assert found[1] == []
        corpus.checked(path)

    def test_hikvision_that_does_not_allow_it(self) -> None:
        """An account that may not subscribe is no failed login: no cool-down starts."""
        path = CORPUS / PULLS / "hikvision_pullpoint_notauthorized.jsonl"
        with pytest.raises(PermissionDenied):
            pulled(PullReplay.from_file(path), 0)
        corpus.checked(path)

    def test_html_instead_of_soap(self) -> None:
        """A web page with status 200 is not ONVIF."""
        path = CORPUS / PULLS / "html_404_camera_20260321.jsonl"
        with pytest.raises(RemoteProtocolError) as caught:
            pulled(PullReplay.from_file(path), 0)
        assert caught.value.reason is Reason.NOT_THE_PROTOCOL
        corpus.checked(path)


def test_no_captured_file_is_left_out() -> None:
    """Every file of the ONVIF corpus is read by one of the tests above."""
    groups = {
        **{f"{group}/{item.name}": item for group in (GO, EASY, NVT) for item in (CORPUS / group).iterdir()},
        **{f"{KOTLIN}/{item.name}": item for item in (CORPUS / KOTLIN).iterdir()},
        **{f"{GO2RTC}/{item.name}": item for item in (CORPUS / GO2RTC).iterdir()},
        **{f"{PULLS}/{item.name}": item for item in (CORPUS / PULLS).iterdir()},
        SCOPES: CORPUS / SCOPES,
    }
    named = Path(__file__).read_text("utf-8")
    for name, item in groups.items():
        if item.is_dir():
            assert item.name in OUTCOMES, name
        else:
            assert item.name in named or item.stem in named, name
    below = [path for item in groups.values() for path in ([item] if item.is_file() else item.rglob("*"))]
    assert {corpus.name_of(path) for path in below if path.is_file()} == set(corpus.files("onvif"))
    listed = {path for name in OUTCOMES if name in GO_DEVICES for path in (CORPUS / GO / name).glob("*.xml")}
    indexed = {CORPUS / GO / name / f"{file}.xml" for name in GO_DEVICES for file, *_rest in replies_of(name)}
    assert listed == indexed
