"""What the ONVIF operations of a scripted camera answer (ONVIF Core, Media and Media2)."""

import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from urllib.parse import quote
from xml.sax.saxutils import escape

from hub.simulator.device import Device
from hub.simulator.events import EventReplies
from hub.simulator.presets import OnvifScript, Preset, StreamScript
from hub.simulator.ptz import CAPABILITIES as PTZ_CAPABILITIES
from hub.simulator.ptz import PtzReplies, configuration
from hub.simulator.soap import DEVICE, EVENTS, MEDIA, MEDIA2, PTZ, Call, SoapFault

Operations = Mapping[str, Callable[[Call], str | Awaitable[str]]]

PATHS = {
    "device": "/onvif/device_service",
    "media": "/onvif/media_service",
    "media2": "/onvif/media2_service",
    "events": "/onvif/event_service",
    "ptz": "/onvif/ptz_service",
}
NAMESPACES = {"device": DEVICE, "media": MEDIA, "media2": MEDIA2, "events": EVENTS, "ptz": PTZ}
_VERSIONS = {"media2": (20, 12), "ptz": (20, 12)}
_ENCODINGS1 = {"H264": "H264", "JPEG": "JPEG"}  # Media 1 has no word for H.265
_MULTICAST = (
    "<tt:Multicast><tt:Address><tt:Type>IPv4</tt:Type><tt:IPv4Address>0.0.0.0</tt:IPv4Address></tt:Address>"
    "<tt:Port>0</tt:Port><tt:TTL>1</tt:TTL><tt:AutoStart>false</tt:AutoStart></tt:Multicast>"
)


def operations(device: Device, script: OnvifScript) -> Mapping[str, Operations]:
    """Return the operations of each offered service."""
    made: dict[str, Operations] = {
        "device": DeviceReplies(device, script).operations(),
        "media": MediaReplies(device, script).operations(),
        "media2": Media2Replies(device, script).operations(),
        "events": event_replies(device, script).operations(),
        "ptz": PtzReplies(device).operations(),
    }
    return {name: made[name] for name in script.services}


def event_replies(device: Device, script: OnvifScript) -> EventReplies:
    """Return what the event service answers."""
    return EventReplies(device, DeviceReplies(device, script).http)


def snapshot_path(source: int) -> str:
    """Return the path of the still of one video source."""
    return "/snapshot/main.jpg" if source == 1 else f"/snapshot/main_{source}.jpg"


def scopes_of(preset: Preset) -> list[tuple[str, str]]:
    """Return the scopes of a camera without their common beginning: for GetScopes and for discovery."""
    claimed = preset.onvif.profiles_claimed if preset.onvif is not None else ()
    return [
        ("Fixed", "type/video_encoder"),
        *(("Fixed", f"Profile/{profile}") for profile in claimed),
        ("Fixed", f"hardware/{quote(preset.identity.hardware)}"),
        ("Configurable", f"name/{quote(preset.title)}"),
        ("Configurable", f"location/{quote(preset.location)}"),
    ]


def _wrap(prefix: str, operation: str, inner: str) -> str:
    return f"<{prefix}:{operation}Response>{inner}</{prefix}:{operation}Response>"


class _Replies:
    prefix = "tds"

    def __init__(self, device: Device, script: OnvifScript) -> None:
        self._device = device
        self._script = script

    def operations(self) -> Operations:
        """Return a callable per operation: the methods of the class whose names begin with Get."""
        names = [name for name in dir(self) if name.startswith("get_")]
        found: dict[str, Callable[[Call], str]] = {}
        for name in names:
            operation = "".join(part.capitalize() for part in name.split("_"))
            operation = {"GetNtp": "GetNTP"}.get(operation, operation)
            found[operation] = self._bound(operation, getattr(self, name))
        return found

    def _bound(self, operation: str, method: Callable[[Call], str]) -> Callable[[Call], str]:
        return lambda call: _wrap(self.prefix, operation, method(call))

    def _authority(self, port: int) -> str:
        host = self._device.host
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def http(self, path: str) -> str:
        """Return the address of a path on this device."""
        return f"http://{self._authority(self._device.onvif_port)}{path}"

    def _stream_uri(self, stream: StreamScript) -> str:
        return f"rtsp://{self._authority(self._device.rtsp_port)}{stream.path}"

    def _asked_stream(self, call: Call) -> StreamScript:
        token = call.argument("ProfileToken")
        for stream in self._device.preset.streams:
            if stream.token == token:
                return stream
        raise SoapFault(
            400, "Sender", ("ter:InvalidArgVal", "ter:NoProfile"), f"No media profile has the token {token!r}"
        )

    def _snapshot_uri(self, call: Call) -> str:
        source = self._asked_stream(call).source
        if not self._script.snapshot:
            raise SoapFault(500, "Receiver", ("ter:ActionNotSupported",), "The device takes no snapshots")
        return escape(self.http(snapshot_path(source)))

    def _source_configuration(self, tag: str, stream: StreamScript) -> str:
        preset = self._device.preset
        main = preset.stream("main", stream.source)
        assert main is not None
        uses = sum(one.source == stream.source for one in preset.streams)
        return (
            f'<{tag} token="video_source_configuration_{stream.source}"><tt:Name>VideoSource</tt:Name>'
            f"<tt:UseCount>{uses}</tt:UseCount><tt:SourceToken>{stream.source_token}</tt:SourceToken>"
            f'<tt:Bounds x="0" y="0" width="{main.width}" height="{main.height}"/></{tag}>'
        )

    def _carries_ptz(self, stream: StreamScript) -> bool:
        return stream.source == 1 and "ptz" in self._script.services

    @staticmethod
    def _encoder_token(stream: StreamScript) -> str:
        return stream.token.replace("profile_", "encoder_")

    @staticmethod
    def _name(stream: StreamScript) -> str:
        return stream.layer if stream.source == 1 else f"{stream.layer} {stream.source}"


class DeviceReplies(_Replies):
    """Device management (ONVIF Core section 8)."""

    def get_system_date_and_time(self, _call: Call) -> str:
        clock = self._device.preset.clock
        now = self._device.now()
        local = now + timedelta(minutes=_zone_minutes(clock.timezone))
        return (
            f"<tds:SystemDateAndTime><tt:DateTimeType>{clock.source}</tt:DateTimeType>"
            f"<tt:DaylightSavings>{_bool(clock.daylight_savings)}</tt:DaylightSavings>"
            f"<tt:TimeZone><tt:TZ>{escape(clock.timezone)}</tt:TZ></tt:TimeZone>"
            f"<tt:UTCDateTime>{_date_time(now)}</tt:UTCDateTime>"
            f"<tt:LocalDateTime>{_date_time(local)}</tt:LocalDateTime></tds:SystemDateAndTime>"
        )

    def get_services(self, call: Call) -> str:
        parts = []
        with_capabilities = call.argument("IncludeCapability").lower() in ("true", "1")
        capabilities: dict[str, Callable[[Call], str]] = {
            "device": self.get_service_capabilities,
            "media": MediaReplies(self._device, self._script).get_service_capabilities,
            "media2": Media2Replies(self._device, self._script).get_service_capabilities,
            "events": event_replies(self._device, self._script).capabilities,
            "ptz": lambda _call: PTZ_CAPABILITIES,
        }
        for name in self._script.services:
            inner = (
                f"<tds:Capabilities>{capabilities[name](call)}</tds:Capabilities>"
                if with_capabilities
                else ""
            )
            major, minor = _VERSIONS.get(name, (2, 60))
            parts.append(
                f"<tds:Service><tds:Namespace>{NAMESPACES[name]}</tds:Namespace>"
                f"<tds:XAddr>{escape(self.http(PATHS[name]))}</tds:XAddr>{inner}"
                f"<tds:Version><tt:Major>{major}</tt:Major><tt:Minor>{minor}</tt:Minor></tds:Version></tds:Service>"
            )
        return "".join(parts)

    def get_capabilities(self, _call: Call) -> str:
        media = events = ptz = ""
        if "events" in self._script.services:
            events = (
                f"<tt:Events><tt:XAddr>{escape(self.http(PATHS['events']))}</tt:XAddr>"
                "<tt:WSSubscriptionPolicySupport>true</tt:WSSubscriptionPolicySupport>"
                "<tt:WSPullPointSupport>true</tt:WSPullPointSupport>"
                "<tt:WSPausableSubscriptionManagerInterfaceSupport>false"
                "</tt:WSPausableSubscriptionManagerInterfaceSupport></tt:Events>"
            )
        if "ptz" in self._script.services:
            ptz = f"<tt:PTZ><tt:XAddr>{escape(self.http(PATHS['ptz']))}</tt:XAddr></tt:PTZ>"
        if "media" in self._script.services:
            media = (
                f"<tt:Media><tt:XAddr>{escape(self.http(PATHS['media']))}</tt:XAddr><tt:StreamingCapabilities>"
                "<tt:RTPMulticast>false</tt:RTPMulticast><tt:RTP_TCP>true</tt:RTP_TCP>"
                "<tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP></tt:StreamingCapabilities></tt:Media>"
            )
        return (
            f"<tds:Capabilities><tt:Device><tt:XAddr>{escape(self.http(PATHS['device']))}</tt:XAddr>"
            "<tt:Network><tt:IPFilter>false</tt:IPFilter><tt:ZeroConfiguration>false</tt:ZeroConfiguration>"
            "<tt:IPVersion6>false</tt:IPVersion6><tt:DynDNS>false</tt:DynDNS></tt:Network>"
            "<tt:System><tt:DiscoveryResolve>false</tt:DiscoveryResolve><tt:DiscoveryBye>false</tt:DiscoveryBye>"
            "<tt:RemoteDiscovery>false</tt:RemoteDiscovery><tt:SystemBackup>false</tt:SystemBackup>"
            "<tt:SystemLogging>false</tt:SystemLogging><tt:FirmwareUpgrade>false</tt:FirmwareUpgrade>"
            "<tt:SupportedVersions><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tt:SupportedVersions></tt:System>"
            "<tt:Security><tt:TLS1.1>false</tt:TLS1.1><tt:TLS1.2>false</tt:TLS1.2>"
            "<tt:OnboardKeyGeneration>false</tt:OnboardKeyGeneration>"
            "<tt:AccessPolicyConfig>false</tt:AccessPolicyConfig><tt:X.509Token>false</tt:X.509Token>"
            "<tt:SAMLToken>false</tt:SAMLToken><tt:KerberosToken>false</tt:KerberosToken>"
            f"<tt:RELToken>false</tt:RELToken></tt:Security></tt:Device>{events}{media}{ptz}</tds:Capabilities>"
        )

    def get_service_capabilities(self, _call: Call) -> str:
        digest = _bool(self._script.auth == "digest")
        token = _bool(self._script.auth != "none")
        return (
            '<tds:Capabilities><tds:Network IPFilter="false" ZeroConfiguration="false" IPVersion6="false"'
            ' DynDNS="false" NTP="1" HostnameFromDHCP="false"/>'
            f'<tds:Security TLS1.2="false" DefaultAccessPolicy="{token}" UsernameToken="{token}"'
            f' HttpDigest="{digest}" MaxUsers="4"/>'
            '<tds:System DiscoveryResolve="false" DiscoveryBye="false" RemoteDiscovery="false" SystemBackup="false"'
            ' SystemLogging="false" FirmwareUpgrade="false"/></tds:Capabilities>'
        )

    def get_device_information(self, _call: Call) -> str:
        identity = self._device.preset.identity
        return (
            f"<tds:Manufacturer>{escape(identity.manufacturer)}</tds:Manufacturer>"
            f"<tds:Model>{escape(identity.model)}</tds:Model>"
            f"<tds:FirmwareVersion>{escape(identity.firmware)}</tds:FirmwareVersion>"
            f"<tds:SerialNumber>{escape(self._device.serial)}</tds:SerialNumber>"
            f"<tds:HardwareId>{escape(identity.hardware)}</tds:HardwareId>"
        )

    def get_scopes(self, _call: Call) -> str:
        return "".join(
            f"<tds:Scopes><tt:ScopeDef>{kind}</tt:ScopeDef>"
            f"<tt:ScopeItem>onvif://www.onvif.org/{escape(scope)}</tt:ScopeItem></tds:Scopes>"
            for kind, scope in scopes_of(self._device.preset)
        )

    def get_network_interfaces(self, _call: Call) -> str:
        host = self._device.host
        return (
            '<tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled>'
            f"<tt:Info><tt:Name>eth0</tt:Name><tt:HwAddress>{self._device.mac}</tt:HwAddress><tt:MTU>1500</tt:MTU></tt:Info>"
            "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
            f"<tt:Address>{host}</tt:Address><tt:PrefixLength>8</tt:PrefixLength></tt:Manual><tt:DHCP>false</tt:DHCP>"
            "</tt:Config></tt:IPv4></tds:NetworkInterfaces>"
        )

    def get_network_protocols(self, _call: Call) -> str:
        rows = (
            ("HTTP", True, self._device.onvif_port),
            ("HTTPS", False, 443),
            ("RTSP", True, self._device.rtsp_port),
        )
        return "".join(
            f"<tds:NetworkProtocols><tt:Name>{name}</tt:Name><tt:Enabled>{_bool(enabled)}</tt:Enabled>"
            f"<tt:Port>{port}</tt:Port></tds:NetworkProtocols>"
            for name, enabled, port in rows
        )

    def get_ntp(self, _call: Call) -> str:
        servers = "".join(
            f"<tt:NTPManual><tt:Type>DNS</tt:Type><tt:DNSname>{escape(name)}</tt:DNSname></tt:NTPManual>"
            for name in self._device.preset.clock.ntp_servers
        )
        return f"<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP>{servers}</tds:NTPInformation>"

    def get_hostname(self, _call: Call) -> str:
        name = f"ch-sim-{self._device.serial.lower()}"
        return f"<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP><tt:Name>{name}</tt:Name></tds:HostnameInformation>"

    def get_endpoint_reference(self, _call: Call) -> str:
        return f"<tds:GUID>{self._device.endpoint}</tds:GUID>"


class MediaReplies(_Replies):
    """Media, version 10."""

    prefix = "trt"

    def get_service_capabilities(self, _call: Call) -> str:
        return (
            f'<trt:Capabilities SnapshotUri="{_bool(self._script.snapshot)}" Rotation="false">'
            f'<trt:ProfileCapabilities MaximumNumberOfProfiles="{len(self._device.preset.streams)}"/>'
            '<trt:StreamingCapabilities RTPMulticast="false" RTP_TCP="true" RTP_RTSP_TCP="true"/></trt:Capabilities>'
        )

    def get_profiles(self, _call: Call) -> str:
        return "".join(self._profile("trt:Profiles", stream) for stream in self._device.preset.streams)

    def get_profile(self, call: Call) -> str:
        return self._profile("trt:Profile", self._asked_stream(call))

    def get_video_sources(self, _call: Call) -> str:
        return "".join(
            f'<trt:VideoSources token="{main.source_token}"><tt:Framerate>{main.fps}</tt:Framerate>'
            f"<tt:Resolution><tt:Width>{main.width}</tt:Width><tt:Height>{main.height}</tt:Height></tt:Resolution>"
            "</trt:VideoSources>"
            for main in self._device.preset.streams
            if main.layer == "main"
        )

    def get_video_encoder_configurations(self, _call: Call) -> str:
        return "".join(self._encoder("trt:Configurations", stream) for stream in self._device.preset.streams)

    def get_stream_uri(self, call: Call) -> str:
        return _media_uri(escape(self._stream_uri(self._asked_stream(call))))

    def get_snapshot_uri(self, call: Call) -> str:
        return _media_uri(self._snapshot_uri(call))

    def _profile(self, tag: str, stream: StreamScript) -> str:
        ptz = configuration("tt:PTZConfiguration") if self._carries_ptz(stream) else ""
        return (
            f'<{tag} token="{stream.token}" fixed="true"><tt:Name>{self._name(stream)}</tt:Name>'
            f"{self._source_configuration('tt:VideoSourceConfiguration', stream)}"
            f"{self._encoder('tt:VideoEncoderConfiguration', stream)}{ptz}</{tag}>"
        )

    def _encoder(self, tag: str, stream: StreamScript) -> str:
        if stream.codec not in _ENCODINGS1:
            return ""  # as cameras do that have H.265 only: the profile stands there without an encoder
        codec = ""
        if stream.codec == "H264":
            codec = (
                f"<tt:H264><tt:GovLength>{stream.gov_length}</tt:GovLength>"
                f"<tt:H264Profile>{stream.coded_profile}</tt:H264Profile></tt:H264>"
            )
        return (
            f'<{tag} token="{self._encoder_token(stream)}"><tt:Name>{self._name(stream)}</tt:Name><tt:UseCount>1</tt:UseCount>'
            f"<tt:Encoding>{_ENCODINGS1[stream.codec]}</tt:Encoding>"
            f"<tt:Resolution><tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height></tt:Resolution>"
            f"<tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>{stream.fps}</tt:FrameRateLimit>"
            f"<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit>"
            f"</tt:RateControl>{codec}{_MULTICAST}<tt:SessionTimeout>PT60S</tt:SessionTimeout></{tag}>"
        )


class Media2Replies(_Replies):
    """Media, version 20."""

    prefix = "tr2"

    def get_service_capabilities(self, _call: Call) -> str:
        ptz = " PTZ" if "ptz" in self._script.services else ""
        return (
            f'<tr2:Capabilities SnapshotUri="{_bool(self._script.snapshot)}" Rotation="false">'
            f'<tr2:ProfileCapabilities MaximumNumberOfProfiles="{len(self._device.preset.streams)}"'
            f' ConfigurationsSupported="VideoSource VideoEncoder{ptz}"/>'
            '<tr2:StreamingCapabilities RTSPStreaming="true" RTPMulticast="false" RTP_RTSP_TCP="true"'
            ' SecureRTSPStreaming="false"/></tr2:Capabilities>'
        )

    def get_profiles(self, call: Call) -> str:
        asked = set(call.arguments("Type"))
        token = call.argument("Token")
        parts = []
        for stream in self._device.preset.streams:
            if token and stream.token != token:
                continue
            inner = ""
            if asked & {"All", "VideoSource"}:
                inner += self._source_configuration("tr2:VideoSource", stream)
            if asked & {"All", "VideoEncoder"}:
                inner += self._encoder("tr2:VideoEncoder", stream)
            if asked & {"All", "PTZ"} and self._carries_ptz(stream):
                inner += configuration("tr2:PTZ")
            if inner:
                inner = f"<tr2:Configurations>{inner}</tr2:Configurations>"
            parts.append(
                f'<tr2:Profiles token="{stream.token}" fixed="true"><tr2:Name>{self._name(stream)}</tr2:Name>{inner}</tr2:Profiles>'
            )
        if token and not parts:
            raise SoapFault(
                400,
                "Sender",
                ("ter:InvalidArgVal", "ter:NoProfile"),
                f"No media profile has the token {token!r}",
            )
        return "".join(parts)

    def get_video_encoder_configurations(self, _call: Call) -> str:
        return "".join(self._encoder("tr2:Configurations", stream) for stream in self._device.preset.streams)

    def get_video_encoder_instances(self, _call: Call) -> str:
        counts: dict[str, int] = {}
        for stream in self._device.preset.streams:
            counts[stream.codec] = counts.get(stream.codec, 0) + 1
        codecs = "".join(
            f"<tr2:Codec><tr2:Encoding>{codec}</tr2:Encoding><tr2:Number>{number}</tr2:Number></tr2:Codec>"
            for codec, number in counts.items()
        )
        return f"<tr2:Info>{codecs}<tr2:Total>{sum(counts.values())}</tr2:Total></tr2:Info>"

    def get_stream_uri(self, call: Call) -> str:
        return f"<tr2:Uri>{escape(self._stream_uri(self._asked_stream(call)))}</tr2:Uri>"

    def get_snapshot_uri(self, call: Call) -> str:
        return f"<tr2:Uri>{self._snapshot_uri(call)}</tr2:Uri>"

    def _encoder(self, tag: str, stream: StreamScript) -> str:
        profile = stream.coded_profile
        attributes = f' GovLength="{stream.gov_length}" Profile="{profile}"' if profile else ""
        return (
            f'<{tag} token="{self._encoder_token(stream)}"{attributes}><tt:Name>{self._name(stream)}</tt:Name>'
            f"<tt:UseCount>1</tt:UseCount><tt:Encoding>{stream.codec}</tt:Encoding>"
            f"<tt:Resolution><tt:Width>{stream.width}</tt:Width><tt:Height>{stream.height}</tt:Height></tt:Resolution>"
            f'<tt:RateControl ConstantBitRate="true"><tt:FrameRateLimit>{stream.fps}</tt:FrameRateLimit>'
            f"<tt:BitrateLimit>{stream.bitrate_kbps}</tt:BitrateLimit></tt:RateControl>{_MULTICAST}"
            f"<tt:Quality>4</tt:Quality></{tag}>"
        )


def _media_uri(uri: str) -> str:
    return (
        f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></trt:MediaUri>"
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"


def _date_time(value: datetime) -> str:
    return (
        f"<tt:Time><tt:Hour>{value.hour}</tt:Hour><tt:Minute>{value.minute}</tt:Minute>"
        f"<tt:Second>{value.second}</tt:Second></tt:Time><tt:Date><tt:Year>{value.year}</tt:Year>"
        f"<tt:Month>{value.month}</tt:Month><tt:Day>{value.day}</tt:Day></tt:Date>"
    )


def _zone_minutes(posix: str) -> int:
    """Return minutes east of UTC of a POSIX zone such as ``ICT-7``, whose sign counts westward."""
    match = re.match(r"^(?:[A-Za-z]{3,}|<[^>]+>)([+-]?)(\d{1,2})(?::(\d{2}))?", posix)
    if match is None:
        return 0
    minutes = int(match.group(2)) * 60 + int(match.group(3) or 0)
    return minutes if match.group(1) == "-" else -minutes
