"""The operations this adapter may send: a closed list of reads. Nothing else leaves the house.

Apart from it stands a second closed list, of what is no read: event subscriptions and PTZ. A session sends those only
with an `adapters.port.Actuation` for a municipal camera, which no probe has. Set operations, reboots and whatever
else writes are on neither list.
"""

from enum import StrEnum

NAMESPACES = {
    "device": "http://www.onvif.org/ver10/device/wsdl",
    "media": "http://www.onvif.org/ver10/media/wsdl",
    "media2": "http://www.onvif.org/ver20/media/wsdl",
    "events": "http://www.onvif.org/ver10/events/wsdl",
    "subscription": "http://www.onvif.org/ver10/events/wsdl",  # the pull point itself, at an address of its own
    "imaging": "http://www.onvif.org/ver20/imaging/wsdl",
    "ptz": "http://www.onvif.org/ver20/ptz/wsdl",
    "analytics": "http://www.onvif.org/ver20/analytics/wsdl",
    "recording": "http://www.onvif.org/ver10/recording/wsdl",
    "search": "http://www.onvif.org/ver10/search/wsdl",
    "replay": "http://www.onvif.org/ver10/replay/wsdl",
}


class Access(StrEnum):
    """Access classes of ONVIF Core 5.9.4.3, as far as they are used here."""

    PRE_AUTH = "PRE_AUTH"
    READ_SYSTEM = "READ_SYSTEM"
    READ_SYSTEM_SECRET = "READ_SYSTEM_SECRET"  # noqa: S105  a class of access, no secret
    READ_MEDIA = "READ_MEDIA"
    ACTUATE = "ACTUATE"


class Operation:
    """One operation of one service. Each stands once in this file and is compared by identity."""

    __slots__ = ("access", "action", "addressed", "label", "name", "namespace", "response", "service")

    def __init__(self, service: str, name: str, access: Access, addressed: str = "") -> None:
        """Describe one; `addressed` is its WS-Addressing action, only where the WSDL declares one (quirks 34, 35)."""
        self.service = service  # a key of NAMESPACES
        self.name = name
        self.access = access
        self.addressed = addressed
        self.namespace = NAMESPACES[service]
        self.action = addressed or f"{self.namespace}/{name}"  # of SOAP
        self.response = f"{name}Response"  # local name of what answers it
        self.label = f"ONVIF {service} {name}"

    def __str__(self) -> str:
        return self.label

    def __repr__(self) -> str:
        return f"<{self.label}>"


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

_EVENTS = "http://www.onvif.org/ver10/events/wsdl"
_NOTIFICATION = "http://docs.oasis-open.org/wsn/bw-2/SubscriptionManager"

DEVICE_CAPABILITIES = Operation("device", "GetServiceCapabilities", Access.PRE_AUTH)
GET_PASSWORD_COMPLEXITY = Operation("device", "GetPasswordComplexityConfiguration", Access.READ_SYSTEM)
GET_AUTH_FAILURE_WARNING = Operation("device", "GetAuthFailureWarningConfiguration", Access.READ_SYSTEM)
GET_STORAGE_CONFIGURATIONS = Operation("device", "GetStorageConfigurations", Access.READ_SYSTEM)
GET_USERS = Operation("device", "GetUsers", Access.READ_SYSTEM_SECRET)  # expects refusal: SEC-11
MEDIA_GET_VIDEO_SOURCES = Operation("media", "GetVideoSources", Access.READ_MEDIA)
MEDIA_GET_INSTANCES = Operation("media", "GetGuaranteedNumberOfVideoEncoderInstances", Access.READ_MEDIA)
MEDIA_GET_OSDS = Operation("media", "GetOSDs", Access.READ_MEDIA)
MEDIA2_CAPABILITIES = Operation("media2", "GetServiceCapabilities", Access.PRE_AUTH)
MEDIA2_GET_VIDEO_SOURCES = Operation("media2", "GetVideoSourceConfigurations", Access.READ_MEDIA)
MEDIA2_GET_INSTANCES = Operation("media2", "GetVideoEncoderInstances", Access.READ_MEDIA)
MEDIA2_GET_MASKS = Operation("media2", "GetMasks", Access.READ_MEDIA)
MEDIA2_GET_OSDS = Operation("media2", "GetOSDs", Access.READ_MEDIA)
EVENT_CAPABILITIES = Operation(
    "events",
    "GetServiceCapabilities",
    Access.PRE_AUTH,
    f"{_EVENTS}/EventPortType/GetServiceCapabilitiesRequest",
)
GET_EVENT_PROPERTIES = Operation(
    "events", "GetEventProperties", Access.READ_MEDIA, f"{_EVENTS}/EventPortType/GetEventPropertiesRequest"
)
GET_IMAGING_SETTINGS = Operation("imaging", "GetImagingSettings", Access.READ_MEDIA)
PTZ_GET_NODES = Operation("ptz", "GetNodes", Access.READ_MEDIA)
PTZ_GET_CONFIGURATIONS = Operation("ptz", "GetConfigurations", Access.READ_MEDIA)
PTZ_GET_PRESETS = Operation("ptz", "GetPresets", Access.READ_MEDIA)
GET_ANALYTICS_MODULES = Operation("analytics", "GetAnalyticsModules", Access.READ_MEDIA)
GET_RECORDINGS = Operation("recording", "GetRecordings", Access.READ_MEDIA)
GET_RECORDING_SUMMARY = Operation("search", "GetRecordingSummary", Access.READ_MEDIA)
FIND_RECORDINGS = Operation("search", "FindRecordings", Access.READ_MEDIA)
GET_RECORDING_SEARCH_RESULTS = Operation("search", "GetRecordingSearchResults", Access.READ_MEDIA)
END_SEARCH = Operation("search", "EndSearch", Access.READ_MEDIA)
GET_REPLAY_URI = Operation("replay", "GetReplayUri", Access.READ_MEDIA)

READ_OPERATIONS |= {
    DEVICE_CAPABILITIES,
    GET_PASSWORD_COMPLEXITY,
    GET_AUTH_FAILURE_WARNING,
    GET_STORAGE_CONFIGURATIONS,
    GET_USERS,
    MEDIA_GET_VIDEO_SOURCES,
    MEDIA_GET_INSTANCES,
    MEDIA_GET_OSDS,
    MEDIA2_CAPABILITIES,
    MEDIA2_GET_VIDEO_SOURCES,
    MEDIA2_GET_INSTANCES,
    MEDIA2_GET_MASKS,
    MEDIA2_GET_OSDS,
    EVENT_CAPABILITIES,
    GET_EVENT_PROPERTIES,
    GET_IMAGING_SETTINGS,
    PTZ_GET_NODES,
    PTZ_GET_CONFIGURATIONS,
    PTZ_GET_PRESETS,
    GET_ANALYTICS_MODULES,
    GET_RECORDINGS,
    GET_RECORDING_SUMMARY,
    FIND_RECORDINGS,
    GET_RECORDING_SEARCH_RESULTS,
    END_SEARCH,
    GET_REPLAY_URI,
}

CREATE_PULL_POINT = Operation(
    "events",
    "CreatePullPointSubscription",
    Access.READ_MEDIA,
    f"{_EVENTS}/EventPortType/CreatePullPointSubscriptionRequest",
)
PULL_MESSAGES = Operation(
    "subscription",
    "PullMessages",
    Access.READ_MEDIA,
    f"{_EVENTS}/PullPointSubscription/PullMessagesRequest",
)
RENEW = Operation("subscription", "Renew", Access.READ_MEDIA, f"{_NOTIFICATION}/RenewRequest")
UNSUBSCRIBE = Operation(
    "subscription", "Unsubscribe", Access.READ_MEDIA, f"{_NOTIFICATION}/UnsubscribeRequest"
)
CONTINUOUS_MOVE = Operation("ptz", "ContinuousMove", Access.ACTUATE)
STOP = Operation("ptz", "Stop", Access.ACTUATE)
GOTO_PRESET = Operation("ptz", "GotoPreset", Access.ACTUATE)

# What is no read: sent only with an Actuation for a municipal camera, after its admission
ACTUATION_OPERATIONS = frozenset(
    {CREATE_PULL_POINT, PULL_MESSAGES, RENEW, UNSUBSCRIBE, CONTINUOUS_MOVE, STOP, GOTO_PRESET}
)
