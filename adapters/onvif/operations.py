"""The operations this adapter may send: a closed list of reads. Nothing else leaves the house."""

from dataclasses import dataclass
from enum import StrEnum

NAMESPACES = {
    "device": "http://www.onvif.org/ver10/device/wsdl",
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
}


class Access(StrEnum):
    """Access classes of ONVIF Core 5.9.4.3, as far as reads go."""

    PRE_AUTH = "PRE_AUTH"
    READ_SYSTEM = "READ_SYSTEM"
    READ_MEDIA = "READ_MEDIA"


@dataclass(frozen=True, slots=True)
class Operation:
    """One read operation of one service."""

    service: str  # device | media | media2
    name: str
    access: Access

    @property
    def namespace(self) -> str:
        """Return the namespace of the service."""
        return NAMESPACES[self.service]

    @property
    def action(self) -> str:
        """Return the SOAP action."""
        return f"{self.namespace}/{self.name}"

    def __str__(self) -> str:
        return f"ONVIF {self.service} {self.name}"


GET_SYSTEM_DATE_AND_TIME = Operation("device", "GetSystemDateAndTime", Access.PRE_AUTH)
GET_SERVICES = Operation("device", "GetServices", Access.PRE_AUTH)
GET_CAPABILITIES = Operation("device", "GetCapabilities", Access.PRE_AUTH)
GET_ENDPOINT_REFERENCE = Operation("device", "GetEndpointReference", Access.PRE_AUTH)
GET_DEVICE_INFORMATION = Operation("device", "GetDeviceInformation", Access.READ_SYSTEM)
GET_SCOPES = Operation("device", "GetScopes", Access.READ_SYSTEM)
GET_NETWORK_INTERFACES = Operation("device", "GetNetworkInterfaces", Access.READ_SYSTEM)
GET_NETWORK_PROTOCOLS = Operation("device", "GetNetworkProtocols", Access.READ_SYSTEM)
GET_NTP = Operation("device", "GetNTP", Access.READ_SYSTEM)
MEDIA_GET_PROFILES = Operation("media", "GetProfiles", Access.READ_MEDIA)
MEDIA_GET_STREAM_URI = Operation("media", "GetStreamUri", Access.READ_MEDIA)
MEDIA_GET_SNAPSHOT_URI = Operation("media", "GetSnapshotUri", Access.READ_MEDIA)
MEDIA2_GET_PROFILES = Operation("media2", "GetProfiles", Access.READ_MEDIA)
MEDIA2_GET_ENCODERS = Operation("media2", "GetVideoEncoderConfigurations", Access.READ_MEDIA)
MEDIA2_GET_STREAM_URI = Operation("media2", "GetStreamUri", Access.READ_MEDIA)
MEDIA2_GET_SNAPSHOT_URI = Operation("media2", "GetSnapshotUri", Access.READ_MEDIA)

READ_OPERATIONS = frozenset(
    {
        GET_SYSTEM_DATE_AND_TIME,
        GET_SERVICES,
        GET_CAPABILITIES,
        GET_ENDPOINT_REFERENCE,
        GET_DEVICE_INFORMATION,
        GET_SCOPES,
        GET_NETWORK_INTERFACES,
        GET_NETWORK_PROTOCOLS,
        GET_NTP,
        MEDIA_GET_PROFILES,
        MEDIA_GET_STREAM_URI,
        MEDIA_GET_SNAPSHOT_URI,
        MEDIA2_GET_PROFILES,
        MEDIA2_GET_ENCODERS,
        MEDIA2_GET_STREAM_URI,
        MEDIA2_GET_SNAPSHOT_URI,
    }
)
