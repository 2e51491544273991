"""Replies of real devices, replayed on loopback, read by the whole adapter."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest
from probing import GOOD, Seen, probe_at
from replay import CORPUS, Replay
from scripted_onvif import listening

from adapters.errors import AdapterError, RemoteProtocolError
from adapters.onvif import mapping, reply
from adapters.onvif.operations import READ_OPERATIONS
from adapters.onvif.soap import Wsdl
from adapters.target import Target
from adapters.wire import xml
from adapters.wire.http import HttpReply
from standards.reason import Reason

pytestmark = pytest.mark.skipif(
    not CORPUS.is_dir(),
    reason="captured replies: no corpus beside the checkout (CAMHUB_CORPUS names its folder)",
)
GO = "onvif-go-captures"
EASY = {"device_management": "device", "media1": "media", "media2": "media2"}
NVT = {"core": "device", "media": "media"}


def replayed(device: Replay) -> Seen:
    async def run() -> Seen:
        async with listening(device.handle) as port:
            return await probe_at(Target("onvif", "127.0.0.1", port), GOOD)

    return asyncio.run(run())


def captured(name: str) -> Seen:
    return replayed(Replay.from_index(CORPUS / GO / name))


class TestWholeDevices:
    def test_axis_p3818(self) -> None:
        """AXIS P3818-PVE 11.9.60."""
        seen = captured("AXIS_P3818-PVE_11.9.60")

        assert seen.result.failure is None
        assert seen.value("device.manufacturer") == "AXIS"
        assert seen.value("device.model") == "P3818-PVE"
        assert seen.value("device.firmware") == "11.9.60"
        assert seen.value("onvif.xaddr") == "rewritten"
        assert {"device", "media", "media2", "events", "imaging"} <= set(seen.value("onvif.services") or ())  # type: ignore[call-overload]
        assert seen.value("time.source") == "NTP"
        assert seen.value("time.zone_offset_min") == -300
        assert seen.value("time.daylight_savings") is True
        assert {"S", "T", "G"} <= set(seen.value("onvif.profiles_claimed") or ())  # type: ignore[call-overload]
        assert seen.value("onvif.encodings") == ("H264", "JPEG")
        assert seen.result.offers[0].encoding == "H264"
        assert {offer.target.host for offer in seen.result.offers} == {"127.0.0.1"}
        assert len(seen.value("device.mac") or ()) == 1  # type: ignore[arg-type]

    def test_axis_p5655_refuses_everything(self) -> None:
        """AXIS P5655-E: every call is refused with HTTP 400; that is unauthorised, never unsupported (quirk 69)."""
        seen = captured("AXIS_P5655_auth-rejected")

        assert seen.value("reach.answers") == 3
        assert seen.value("http.auth_schemes") == ("wsse",)
        assert seen.value("credential.accepted") is False
        assert seen.courtesy.logins == 1
        reasons = {seen.reason(fact) for fact in seen.result.observations}
        assert Reason.DENIED_BY_DEVICE not in reasons
        assert seen.reason("onvif.services") is Reason.REFUSED

    def test_bosch_autodome(self) -> None:
        """Bosch AUTODOME IP starlight 5000i 7.80.0128."""
        seen = captured("Bosch_AUTODOME_IP_starlight_5000i_7.80.0128")

        assert seen.result.failure is None
        assert seen.value("device.manufacturer") == "Bosch"
        assert seen.value("device.firmware") == "7.80.0128"
        assert seen.value("time.ntp_servers") == ("time-a-g.nist.gov",)
        assert str((seen.value("device.mac") or [""])[0]).startswith("00:07:5f:")  # type: ignore[index]
        assert seen.value("onvif.encodings") in {("H264",), ("H264", "JPEG")}
        assert seen.result.offers[0].layer == "main"

    def test_bosch_flexidome(self) -> None:
        """Bosch FLEXIDOME indoor 5100i IR 8.71.0066: no GetServices was recorded, the capabilities suffice."""
        seen = captured("Bosch_FLEXIDOME_indoor_5100i_IR_8.71.0066")

        assert seen.value("device.model") == "FLEXIDOME indoor 5100i IR"
        assert seen.value("device.firmware") == "8.71.0066"
        assert {"device", "media"} <= set(seen.value("onvif.services") or ())  # type: ignore[call-overload]
        assert seen.value("onvif.encodings") is not None
        assert seen.result.offers != ()

    def test_reolink_e1_zoom(self) -> None:
        """Reolink E1 Zoom v3.1.0.2649, which answers what it does not know with HTTP 400 (quirk 70)."""
        seen = captured("REOLINK_E1_Zoom_v3.1.0.2649_23083101")

        assert seen.result.failure is None
        assert seen.value("device.model") == "E1 Zoom"
        assert seen.value("onvif.encodings") == ("H264",)
        assert [offer.layer for offer in seen.result.offers] == ["main", "sub"]
        assert seen.value("stream.main.claimed_width") == 2048

    @pytest.mark.parametrize(
        ("name", "model", "encodings"),
        [
            ("ENP1A14-IR_25X", "ENP1A14-IR/25X", {"H265"}),
            ("IPG-8150PSS", "IPG-8150PSS", {"H264"}),
            ("SUNBA", "Performance-Series", {"H264"}),
        ],
    )
    def test_rebranded_cameras(self, name: str, model: str, encodings: set[str]) -> None:
        """Rebranded cameras whose recorded media2 profiles came without configurations (quirk 46)."""
        seen = replayed(Replay.from_files(CORPUS / "easy_onvif" / name, EASY, r"(\w+)Response\.xml$"))

        assert seen.value("device.model") == model
        assert encodings <= set(seen.value("onvif.encodings") or ())  # type: ignore[call-overload]
        assert seen.result.offers[0].target.host == "127.0.0.1"

    @pytest.mark.parametrize(
        ("name", "manufacturer", "model"),
        [("axis", "AXIS", "Q6045-E"), ("hikvision", "Hikvision", "DS-2DF7276-AEL")],
    )
    def test_cameras_of_2014_to_2017(self, name: str, manufacturer: str, model: str) -> None:
        """Old firmware of AXIS and Hikvision."""
        seen = replayed(
            Replay.from_files(CORPUS / "onvif-nvt" / name, NVT, r"(\w+)\.(?:Response|Error)\.xml$")
        )

        assert str(seen.value("device.manufacturer")).lower() == manufacturer.lower()
        assert model in str(seen.value("device.model"))
        assert seen.value("onvif.encodings") is not None
        assert seen.result.offers[0].target.host == "127.0.0.1"


def _every_reply() -> list[Path]:
    return sorted(CORPUS.rglob("*.xml")) if CORPUS.is_dir() else []


def test_every_captured_reply_is_read_or_refused_typed() -> None:
    """No reply of any device raises anything but the adapter's own errors, and zeep's opinion never raises."""
    wsdl = Wsdl()
    asyncio.run(wsdl.ready())
    by_name = {operation.name: operation for operation in READ_OPERATIONS}
    readers = (
        mapping.system_time,
        mapping.services,
        mapping.capabilities,
        mapping.device_information,
        mapping.scopes,
        mapping.hardware_addresses,
        mapping.network_protocols,
        mapping.ntp_servers,
        mapping.endpoint_reference,
        mapping.media_profiles,
        mapping.media2_profiles,
        mapping.uri,
    )
    read = 0
    for path in _every_reply():
        body = path.read_bytes()
        name = next((name for name in sorted(by_name, key=len, reverse=True) if name in path.name), "")
        operation = by_name.get(name, by_name["GetScopes"])
        http = HttpReply(200, (), body, "http://127.0.0.1/", datetime.now(UTC), 0.0)
        try:
            answer = reply.read(operation, http, "127.0.0.1")
        except AdapterError:
            continue
        read += 1
        for reader in readers:
            reader(answer)
        if wsdl.knows(operation) and operation.name != "GetStorageConfigurations":
            wsdl.conforms(operation, answer.root)
    assert read > 60


def test_xml_of_every_reply_is_bounded_and_safe() -> None:
    """Every captured reply passes the safe parser, with at most named quirks."""
    refused = []
    for path in _every_reply():
        try:
            xml.parse(path.read_bytes())
        except RemoteProtocolError as error:
            refused.append((path.name, error.reason))
    assert refused == []
