"""onvif-zeep-async, kept inside: what the hub relies on, and that importing it changes nothing around it."""

import asyncio
import json
import subprocess
import sys

import pytest
from lxml import etree

from adapters.errors import LocalProtocolError
from adapters.onvif import operations
from adapters.onvif.soap import Wsdl
from adapters.wire import xml


@pytest.fixture(scope="module")
def wsdl() -> Wsdl:
    loaded = Wsdl()
    asyncio.run(loaded.ready())
    return loaded


def test_the_private_names_are_where_they_were() -> None:
    """The names of the package that the hub uses exist; a release that moves them fails here, not on a camera."""
    from pathlib import Path

    from onvif import client
    from zeep.wsdl.bindings.soap import SoapBinding, SoapOperation
    from zeep.xsd import CompoundValue

    assert isinstance(client._DOCUMENT_CACHE, dict)
    assert asyncio.iscoroutinefunction(client._cached_document)
    for name in ("devicemgmt.wsdl", "media.wsdl"):
        assert (Path(client._WSDL_PATH) / name).is_file()
    assert callable(SoapBinding.get)
    assert callable(SoapOperation.process_reply)
    assert callable(SoapOperation.create)
    assert "__values__" in CompoundValue.__init__.__code__.co_names
    document = asyncio.run(client._cached_document(str(Path(client._WSDL_PATH) / "devicemgmt.wsdl")))
    assert document is client._DOCUMENT_CACHE[str(Path(client._WSDL_PATH) / "devicemgmt.wsdl")]
    assert "{http://www.onvif.org/ver10/device/wsdl}DeviceBinding" in document.bindings


@pytest.mark.long
def test_loading_leaves_the_process_as_it_was() -> None:
    """Root logging and proxy variables are the same after the package was loaded, and no socket was opened."""
    program = """
import asyncio, json, logging, os, sys
sockets = []
sys.addaudithook(lambda event, args: sockets.append(event) if event in ("socket.connect", "socket.getaddrinfo") else None)
os.environ["http_proxy"] = os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
from adapters.onvif.soap import Wsdl
before = [list(map(repr, logging.getLogger().handlers)), logging.getLogger().level]
asyncio.run(Wsdl().ready())
after = [list(map(repr, logging.getLogger().handlers)), logging.getLogger().level]
print(json.dumps([before == after, os.environ.get("http_proxy"), os.environ.get("HTTPS_PROXY"), sockets]))
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert json.loads(told.stdout) == [True, "http://127.0.0.1:9", "http://127.0.0.1:9", []]


def test_the_manifest_imports_nothing_heavy() -> None:
    """Reading the manifest loads neither zeep nor aiohttp."""
    program = "import sys, adapters.onvif; print([n for n in ('zeep', 'onvif', 'aiohttp', 'lxml') if n in sys.modules])"
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert told.stdout.strip() == "[]"


# newer than the packaged WSDLs: sent by the house's own templates
NEWER = {
    operations.GET_PASSWORD_COMPLEXITY,
    operations.GET_AUTH_FAILURE_WARNING,
    operations.GET_STORAGE_CONFIGURATIONS,
}


def judged(wsdl: Wsdl, operation: operations.Operation, document: bytes) -> bool:
    """Return the judgement of a reply by the document it came in."""
    return wsdl.conforms(operation, xml.parse(document).root, document)


class TestRender:
    def test_arguments_are_escaped(self, wsdl: Wsdl) -> None:
        """A token with markup stays a token."""
        body = wsdl.render(
            operations.MEDIA_GET_STREAM_URI,
            StreamSetup={"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
            ProfileToken="</a>&<b>",
        )
        root = etree.fromstring(body)

        assert xml.local(root) == "GetStreamUri"
        assert xml.text(root, "ProfileToken") == "</a>&<b>"
        assert xml.text(root, "StreamSetup", "Transport", "Protocol") == "RTSP"

    @pytest.mark.parametrize("operation", sorted(operations.READ_OPERATIONS, key=str), ids=str)
    def test_what_is_rendered_is_the_operation(self, wsdl: Wsdl, operation: operations.Operation) -> None:
        """The body element is the operation itself, in its service's namespace."""
        if operation in NEWER:
            return
        if not wsdl.knows(operation):
            assert operation.service not in {"device", "media"}
            return
        arguments: dict[str, object] = {
            "GetServices": {"IncludeCapability": False},
            "GetStreamUri": {
                "StreamSetup": {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}},
                "ProfileToken": "x",
            },
            "GetSnapshotUri": {"ProfileToken": "x"},
            "GetGuaranteedNumberOfVideoEncoderInstances": {"ConfigurationToken": "x"},
        }.get(operation.name, {})  # type: ignore[assignment]
        root = etree.fromstring(wsdl.render(operation, **arguments))

        assert (xml.namespace(root), xml.local(root)) == (operation.namespace, operation.name)

    def test_what_the_schema_refuses_is_our_bug(self, wsdl: Wsdl) -> None:
        """Arguments that the WSDL does not know are a local error."""
        with pytest.raises(LocalProtocolError):
            wsdl.render(operations.GET_SCOPES, Nonsense=1)


class TestReadOnly:
    def test_every_operation_reads(self) -> None:
        """The closed list holds no operation that sets, creates, deletes, moves, subscribes or reboots."""
        searches = {operations.FIND_RECORDINGS, operations.END_SEARCH}  # a search changes nothing
        for operation in operations.READ_OPERATIONS - searches:
            assert operation.name.startswith("Get")
            assert operation.service != "subscription"

    def test_what_is_no_read_stands_apart(self) -> None:
        """Subscriptions and PTZ are a second closed list of seven; nothing that sets or reboots is on any."""
        assert {operation.name for operation in operations.ACTUATION_OPERATIONS} == {
            "CreatePullPointSubscription",
            "PullMessages",
            "Renew",
            "Unsubscribe",
            "ContinuousMove",
            "Stop",
            "GotoPreset",
        }
        assert operations.ACTUATION_OPERATIONS.isdisjoint(operations.READ_OPERATIONS)

    def test_the_list_is_complete(self) -> None:
        """Every operation that the module names is on one of the lists."""
        named = {value for value in vars(operations).values() if isinstance(value, operations.Operation)}

        assert named == operations.READ_OPERATIONS | operations.ACTUATION_OPERATIONS

    def test_another_operation_is_refused_before_anything_is_sent(self) -> None:
        """The transport refuses an operation outside the list, whoever asks."""
        from adapters.clock import SystemClock
        from adapters.deadline import Deadline
        from adapters.onvif.session import OnvifSession
        from adapters.port import ProbeContext
        from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
        from adapters.wire.gate import CredentialGate, MemoryBook
        from adapters.wire.http import HttpClient

        async def run() -> int:
            clock = SystemClock()
            dialer = Dialer(LAN_AND_LOOPBACK)
            context = ProbeContext(dialer, CredentialGate(MemoryBook(clock), clock), clock, "x")
            async with HttpClient(dialer, clock, "127.0.0.1") as http:
                session = OnvifSession(
                    http, "http://127.0.0.1:9/x", None, context, Deadline.after(clock, 1.0)
                )
                for name in (
                    "SystemReboot",
                    "SetSystemDateAndTime",
                    "DeleteUsers",
                    "CreatePullPointSubscription",
                ):
                    reboot = operations.Operation("device", name, operations.Access.PRE_AUTH)
                    with pytest.raises(LocalProtocolError):
                        await session.ask(reboot, f"<{name}/>".encode())
            return dialer.opened

        assert asyncio.run(run()) == 0


class TestConforms:
    ENVELOPE = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
        'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:tt="http://www.onvif.org/ver10/schema">'
        "<s:Body>{}</s:Body></s:Envelope>"
    )
    FIELDS = "".join(
        f"<tds:{name}>x</tds:{name}>"
        for name in ("Manufacturer", "Model", "FirmwareVersion", "SerialNumber", "HardwareId")
    )

    @pytest.mark.parametrize(
        ("body", "conforms"),
        [
            (f"<tds:GetDeviceInformationResponse>{FIELDS}</tds:GetDeviceInformationResponse>", True),
            (
                f"<tds:GetDeviceInformationResponse><tds:Odd>x</tds:Odd>{FIELDS}</tds:GetDeviceInformationResponse>",
                False,
            ),
            ("", False),
        ],
    )
    def test_tells_what_the_schema_can_hold(self, wsdl: Wsdl, body: str, conforms: bool) -> None:
        """A reply conforms when zeep reads it by its schema and keeps every value."""
        document = self.ENVELOPE.format(body).encode()

        assert judged(wsdl, operations.GET_DEVICE_INFORMATION, document) is conforms


class TestTemplates:
    """A body is written by zeep once; after that only the texts are put in."""

    @pytest.mark.parametrize("token", ["profile_1", "a&b<c>\"d'", "Đường", "camhub-mark-0", "", " x "])
    def test_a_filled_template_is_what_zeep_writes(self, wsdl: Wsdl, token: str) -> None:
        """Whatever the text is, the body says the same as the one that zeep writes for it."""
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        arguments = {"StreamSetup": setup, "ProfileToken": token}
        wsdl.render(operations.MEDIA_GET_STREAM_URI, StreamSetup=setup, ProfileToken="first")

        rendered = wsdl.render(operations.MEDIA_GET_STREAM_URI, **arguments)

        by_zeep = wsdl._create(operations.MEDIA_GET_STREAM_URI, arguments)
        assert etree.tostring(etree.fromstring(rendered), method="c14n") == etree.tostring(
            etree.fromstring(by_zeep), method="c14n"
        )

    def test_control_characters_are_refused(self, wsdl: Wsdl) -> None:
        """A token that no XML can hold is our error, also where the template is known."""
        wsdl.render(operations.MEDIA_GET_SNAPSHOT_URI, ProfileToken="first")

        with pytest.raises(LocalProtocolError):
            wsdl.render(operations.MEDIA_GET_SNAPSHOT_URI, ProfileToken="a\x01b")


class TestJudgement:
    """The judgement of a reply is kept by its form: elements and kinds of values."""

    def _ntp(self, dhcp: str, inner: str = "") -> bytes:
        body = (
            '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
            '<GetNTPResponse xmlns="http://www.onvif.org/ver10/device/wsdl"><NTPInformation>'
            f'<FromDHCP xmlns="http://www.onvif.org/ver10/schema">{dhcp}</FromDHCP>{inner}'
            "</NTPInformation></GetNTPResponse></s:Body></s:Envelope>"
        )
        return body.encode()

    def test_a_reply_of_the_same_form_is_judged_alike(self, wsdl: Wsdl) -> None:
        """What zeep says of the first holds for the second."""
        first, second = self._ntp("true"), self._ntp("false")

        assert [judged(wsdl, operations.GET_NTP, document) for document in (first, second, first)] == [
            True
        ] * 3

    def test_another_form_is_judged_by_itself(self, wsdl: Wsdl) -> None:
        """A reply with an element where the schema has none is refused, whatever was judged before."""

        def information(odd: str) -> bytes:
            return (
                '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
                f'<GetDeviceInformationResponse xmlns="http://www.onvif.org/ver10/device/wsdl">{odd}'
                "<Manufacturer>M</Manufacturer><Model>1</Model><FirmwareVersion>2</FirmwareVersion>"
                "<SerialNumber>3</SerialNumber><HardwareId>4</HardwareId>"
                "</GetDeviceInformationResponse></s:Body></s:Envelope>"
            ).encode()

        operation = operations.GET_DEVICE_INFORMATION
        assert judged(wsdl, operation, information(""))

        assert not judged(wsdl, operation, information("<Odd>x</Odd>"))

    def test_a_number_that_is_none_is_another_form(self, wsdl: Wsdl) -> None:
        """Where the schema wants a number, the form tells numbers from words."""

        def protocols(port: str) -> bytes:
            return (
                '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>'
                '<GetNetworkProtocolsResponse xmlns="http://www.onvif.org/ver10/device/wsdl"'
                ' xmlns:t="http://www.onvif.org/ver10/schema"><NetworkProtocols><t:Name>HTTP</t:Name>'
                f"<t:Enabled>true</t:Enabled><t:Port>{port}</t:Port></NetworkProtocols>"
                "</GetNetworkProtocolsResponse></s:Body></s:Envelope>"
            ).encode()

        told = [
            judged(wsdl, operations.GET_NETWORK_PROTOCOLS, protocols(port))
            for port in ("80", "eighty", "8080")
        ]

        assert told == [True, False, True]
