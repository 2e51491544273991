"""The named facts: what an adapter or the hub may observe. Rule packs may name no other.

Words: `stream.main` is the MediaProfile with the largest picture (of those in H.264 or H.265, where the camera has
any), `stream.sub` the next smaller one.
`claimed` facts come from ONVIF or SDP, the others were measured or seen in behaviour.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact: its name, JSON kind, unit ("" where none) and meaning in one line."""

    name: str
    kind: str  # bool | int | float | str | list | map
    unit: str
    meaning: str


def _table(*rows: tuple[str, str, str, str]) -> Mapping[str, Fact]:
    return MappingProxyType({name: Fact(name, kind, unit, meaning) for name, kind, unit, meaning in rows})


FACTS: Mapping[str, Fact] = _table(
    # what the hub was given
    ("target.scheme", "str", "", "scheme of the address that the owner gave: onvif onvifs rtsp rtsps"),
    ("target.interfaces", "list", "", "interfaces by which this camera is integrated: onvif, rtsp"),
    ("credential.supplied", "bool", "", "the owner supplied a credential"),
    ("credential.accepted", "bool", "", "the device accepted the supplied credential"),
    ("credential.factory_default", "bool", "", "the supplied credential is on the list of factory defaults"),
    # reachability: GetSystemDateAndTime (ONVIF) or OPTIONS (RTSP), three times
    ("reach.answers", "int", "", "how many of the reachability requests were answered"),
    ("reach.slowest_s", "float", "s", "the slowest answer"),
    # identity
    ("device.manufacturer", "str", "", "manufacturer as the device says"),
    ("device.model", "str", "", "model as the device says"),
    ("device.firmware", "str", "", "firmware version as the device says"),
    ("device.serial", "str", "", "serial number as the device says"),
    ("device.hardware_id", "str", "", "hardware id as the device says"),
    ("device.mac", "list", "", "hardware addresses, lower case with colons"),
    ("device.endpoint_reference", "str", "", "ONVIF endpoint reference, a URN"),
    (
        "device.endpoint_reference_stable",
        "bool",
        "",
        "two reads of the endpoint reference, at least 10 minutes apart, gave the same",
    ),
    # ONVIF
    (
        "onvif.services",
        "list",
        "",
        "services listed by GetServices and GetCapabilities: device, media, media2, ...",
    ),
    (
        "onvif.xaddr",
        "str",
        "",
        "same: service addresses name the enrolled host; rewritten: they did not, the hub rewrites",
    ),
    ("onvif.scopes", "list", "", "scopes, as URIs"),
    ("onvif.profiles_claimed", "list", "", "ONVIF Profile letters claimed in scopes: S, T, G, M"),
    (
        "onvif.media_profiles",
        "list",
        "",
        "MediaProfiles: token name source encoding width height fps bitrate_kbps gov_length service",
    ),
    ("onvif.encodings", "list", "", "video encodings over all MediaProfiles: H264 H265 JPEG MPEG4"),
    ("onvif.stream_uri_stable", "bool", "", "GetStreamUri gave the same address twice"),
    ("onvif.stream_uri_octets", "int", "B", "length of the stream address without credentials"),
    (
        "onvif.anonymous_read_system",
        "str",
        "",
        "one READ_SYSTEM call without credential: refused or answered",
    ),
    ("onvif.anonymous_read_media", "str", "", "one READ_MEDIA call without credential: refused or answered"),
    ("onvif.network_protocols", "list", "", "GetNetworkProtocols: name, enabled, ports"),
    ("onvif.quirks", "list", "", "named tolerances that reading its replies needed"),
    ("http.auth_schemes", "list", "", "schemes offered over HTTP: digest-md5 digest-sha256 basic wsse"),
    (
        "http.tls",
        "str",
        "",
        "TLS version of the device service (its certificate is not verified), or none over plain HTTP",
    ),
    # snapshot
    (
        "snapshot.anonymous",
        "str",
        "",
        "snapshot address without credential: refused, answered, or none where the device has no such address",
    ),
    ("snapshot.status", "int", "", "HTTP status of the snapshot address with the credential"),
    ("snapshot.content_type", "str", "", "media type of the snapshot"),
    # time
    ("time.utc_present", "bool", "", "GetSystemDateAndTime carries UTCDateTime"),
    (
        "time.offset_s",
        "float",
        "s",
        "camera clock minus hub clock, median, corrected for half the round trip; + is fast",
    ),
    ("time.source", "str", "", "NTP or Manual"),
    ("time.ntp_servers", "list", "", "configured NTP servers"),
    ("time.zone_offset_min", "int", "min", "offset of the camera's time zone from UTC"),
    ("time.daylight_savings", "bool", "", "daylight saving time is on"),
    # RTSP
    ("rtsp.server", "str", "", "Server header"),
    ("rtsp.methods", "list", "", "methods of the Public header"),
    (
        "rtsp.anonymous_describe",
        "str",
        "",
        "DESCRIBE of the stream in use without credential: refused or answered",
    ),
    ("rtsp.auth_schemes", "list", "", "schemes offered by RTSP: digest-md5 digest-sha256 basic"),
    ("rtsp.runs_ok", "int", "", "full OPTIONS DESCRIBE SETUP PLAY TEARDOWN runs, all 2xx in order"),
    ("rtsp.tcp_transport", "bool", "", "media arrived over a TCP-based transport"),
    ("rtsp.udp_transport", "bool", "", "media arrived over UDP"),
    ("rtsp.quirks", "list", "", "named tolerances that were needed"),
    # streams: the same names for main and sub
    *(
        (f"stream.{which}.{name}", kind, unit, meaning)
        for which in ("main", "sub")
        for name, kind, unit, meaning in (
            ("uri", "str", "", "stream address without credentials"),
            ("codec", "str", "", "codec in the SDP: H264 H265 JPEG MPEG4"),
            ("claimed_encoding", "str", "", "encoding by ONVIF"),
            ("claimed_width", "int", "px", "width by ONVIF"),
            ("claimed_height", "int", "px", "height by ONVIF"),
            ("claimed_fps", "float", "1/s", "frame rate limit by ONVIF"),
            ("claimed_bitrate_kbps", "int", "kbit/s", "bitrate limit by ONVIF"),
            ("claimed_gov_length", "int", "frames", "key frame distance by ONVIF"),
            ("parameter_sets", "str", "", "where complete parameter sets were found: sdp, in_band, both"),
            (
                "parameter_sets_after_s",
                "float",
                "s",
                "from PLAY to complete parameter sets; 0 when in the SDP",
            ),
            ("profile", "str", "", "codec profile by the SPS: Baseline, Main, High, ..."),
            ("level", "str", "", "codec level by the SPS: 3.1"),
            ("chroma_format", "str", "", "4:2:0 ..."),
            ("bit_depth", "int", "bit", "luma bit depth"),
            ("width", "int", "px", "picture width by the SPS, cropped"),
            ("height", "int", "px", "picture height by the SPS, cropped"),
            ("relay", "str", "", "what a browser relay needs: copy, transcode, or no (cannot be relayed)"),
            ("frames", "int", "", "frames seen in the window"),
            ("window_s", "float", "s", "length of the measuring window"),
            ("fps", "float", "1/s", "frame rate over the window, by RTP timestamps"),
            ("bitrate_kbps", "float", "kbit/s", "payload bitrate over the window"),
            ("key_frame_interval_s", "float", "s", "longest distance between key frames in the window"),
            ("b_frames", "int", "", "frames whose slices are of type B"),
            ("first_frame_s", "float", "s", "from PLAY to the first decodable frame"),
            ("loss_ratio", "float", "", "lost RTP packets / expected"),
            ("jitter_p95_ms", "float", "ms", "95th percentile of interarrival deviation of frames"),
            ("sender_reports", "int", "", "RTCP sender reports in the window"),
            ("sender_report_offset_s", "float", "s", "NTP time of the sender report minus hub clock, median"),
            ("clock_slope_ppm", "float", "ppm", "RTP clock against the hub's, over the window"),
            ("timestamps_increase", "bool", "", "RTP timestamps of frames strictly increase"),
            ("audio_codecs", "list", "", "audio codecs in the SDP"),
        )
    ),
    # what people declare, and what the hub's catalog knows
    ("custodian.kind", "str", "", "authority household shop school"),
    ("consent.state", "str", "", "not_needed (authority), active, missing, withdrawn, expired"),
    (
        "consent.signed",
        "bool",
        "",
        "a consent record is signed by the owner and names scope, recipients, start, withdrawal way",
    ),
    ("consent.audio", "bool", "", "the consent covers audio"),
    ("relay.audio", "bool", "", "the hub relays an audio track of this camera"),
    ("purpose.code", "str", "", "purpose of the camera, from the closed list"),
    ("purpose.reviewed_at", "str", "", "date of the last review of purpose and access list, ISO 8601"),
    ("purpose.age_days", "float", "d", "age of that review"),
    ("signage.age_days", "float", "d", "age of the declaration that a notice sign is up"),
    ("place.stated", "bool", "", "WGS84 point, accuracy, ward code and azimuth are stated"),
    ("place.accuracy_m", "float", "m", "stated accuracy of the point"),
    ("uptime.ratio_30d", "float", "", "measured up-time over 30 days"),
    ("catalog.duplicates", "int", "", "other cameras of the catalog with this serial, address or reference"),
    (
        "catalog.enrolled_days",
        "float",
        "d",
        "days since enrolment; over-time rules are on probation below 30",
    ),
)
