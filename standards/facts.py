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
    ("target.scheme", "str", "", "scheme of the address that the owner gave: onvif rtsp hikvision ..."),
    (
        "target.interfaces",
        "list",
        "",
        "interfaces by which this camera is integrated: onvif, rtsp, whip (it pushes), or a vendor's: hikvision dahua axis vigi",
    ),
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
    (
        "onvif.named_hosts",
        "list",
        "",
        "hosts and ports other than the enrolled one that the camera named in its addresses; the hub dials none of them",
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
    # how the camera is reached beside plain RTSP
    ("rtsp.rtsps", "str", "", "RTSP over TLS: played, refused, or failed, where it was asked for"),
    (
        "rtsp.http_tunnel",
        "str",
        "",
        "RTSP over HTTP or HTTPS: played, refused, or failed, where it was asked for",
    ),
    *(
        (f"{service}.{name}", kind, unit, meaning)
        for service, words in (("tls", "the HTTP service"), ("rtsps", "the RTSP service"))
        for name, kind, unit, meaning in (
            ("version", "str", "", f"TLS version negotiated with {words}: TLSv1.2"),
            ("cipher", "str", "", f"cipher suite negotiated with {words}, by its IANA or OpenSSL name"),
            ("not_after", "str", "", f"end of validity of the certificate of {words}, RFC 3339"),
            ("expired", "bool", "", f"the certificate of {words} was out of its validity when it was seen"),
            ("key_kind", "str", "", f"public key of {words}: RSA, EC P-256, ..."),
            ("key_bits", "int", "bit", f"size of the public key of {words}"),
            ("fingerprint", "str", "", f"SHA-256 of the certificate of {words}, hexadecimal"),
            ("self_signed", "bool", "", f"issuer and subject of the certificate of {words} are the same"),
        )
    ),
    # the vendor's own interface
    (
        "vendor.family",
        "str",
        "",
        "family of the device, as in the table of vendors: hikvision dahua axis vigi ...",
    ),
    ("vendor.interface", "str", "", "vendor interface that answered: ISAPI, CGI, VAPIX, OpenAPI"),
    ("vendor.apis", "list", "", "vendor interfaces and versions that the device lists"),
    ("vendor.quirks", "list", "", "named tolerances that reading its replies needed"),
    (
        "vendor.streams",
        "list",
        "",
        "streams by the vendor interface: id name enabled encoding size fps bitrate_kbps gov_length smart_codec channel",
    ),
    (
        "stream.encrypted",
        "bool",
        "",
        "the maker's own encryption of the streams is on: nobody else can decode them",
    ),
    # accounts: levels and numbers, never a name or a password
    ("account.activated", "bool", "", "the device left its factory state: its password was set once"),
    (
        "account.password_status",
        "str",
        "",
        "the device's own word about its password: default, risk, ok, or untold where it has no such word",
    ),
    (
        "account.levels",
        "list",
        "",
        "levels of all accounts, one entry each: administrator operator user other",
    ),
    ("account.own_level", "str", "", "level of the account that was supplied"),
    ("account.anonymous_allowed", "bool", "", "the device says that it lets people in without a login"),
    ("account.lockout_enabled", "bool", "", "the device locks out after failed logins"),
    ("account.lockout_attempts", "int", "", "failed logins after which it locks out"),
    ("account.lockout_s", "int", "s", "how long it locks out"),
    ("account.password_min_length", "int", "", "shortest password that the device's own rule allows"),
    ("account.password_min_uppercase", "int", "", "upper-case letters that its rule asks for"),
    ("account.password_min_numbers", "int", "", "digits that its rule asks for"),
    ("account.password_min_special", "int", "", "other characters that its rule asks for"),
    # services of the device, as it says itself
    ("service.ports", "list", "", "services: name, enabled, port"),
    ("service.onvif", "bool", "", "ONVIF is switched on"),
    ("service.https", "bool", "", "HTTPS is switched on"),
    ("service.rtsp_port", "int", "", "RTSP port as the device says"),
    ("service.telnet", "bool", "", "Telnet is switched on"),
    ("service.ssh", "bool", "", "SSH is switched on"),
    ("service.upnp", "bool", "", "UPnP port mapping is switched on"),
    ("service.p2p", "bool", "", "the vendor's cloud or peer-to-peer service is switched on"),
    ("service.http_auth", "list", "", "login schemes that the device is set to take over HTTP"),
    ("service.rtsp_auth", "list", "", "login schemes that the device is set to take over RTSP"),
    # privacy masks, storage, recording
    ("privacy.masks", "int", "", "privacy masks that are switched on at the source"),
    ("privacy.mask_supported", "bool", "", "the device has privacy masks"),
    ("storage.devices", "list", "", "storage: kind, status, capacity_mb, free_mb"),
    ("storage.present", "bool", "", "there is a storage that is fit to record on"),
    ("recording.mode", "str", "", "continuous, event, scheduled, off, mixed"),
    ("recording.recordings", "list", "", "recordings: token, status, earliest, latest, tracks"),
    ("recording.earliest", "str", "", "start of the earliest recording kept, RFC 3339"),
    ("recording.latest", "str", "", "end of the latest recording kept, RFC 3339"),
    ("recording.replay_uri", "bool", "", "a replay address is given for a recording"),
    # events, imaging, PTZ: what ONVIF reads tell
    ("event.max_pull_points", "int", "", "pull points that the event service allows"),
    ("event.topics", "list", "", "topics of GetEventProperties, as prefix/path"),
    ("event.mqtt", "bool", "", "the event service can send to an MQTT broker"),
    ("media.secure_streaming", "bool", "", "media2 says that it streams over SRTP"),
    ("media.rtsp_over_https", "bool", "", "the media service says that it streams RTSP over HTTPS"),
    ("media.encoder_instances", "int", "", "encoder instances that the camera guarantees in all"),
    (
        "media.video_sources",
        "int",
        "",
        "video sources of the device: more than one is an NVR or a multi-sensor camera",
    ),
    ("media.metadata", "bool", "", "a MediaProfile carries a metadata configuration"),
    ("media.osd", "list", "", "on-screen texts: kind and, for dates, format; never the text itself"),
    (
        "imaging.settings",
        "map",
        "",
        "imaging settings by name: ir_cut_filter, wide_dynamic_range, exposure_mode, ...",
    ),
    ("ptz.present", "bool", "", "the device has a PTZ node"),
    ("ptz.nodes", "list", "", "PTZ nodes: token, home_supported, max_presets, spaces"),
    ("ptz.presets", "int", "", "presets that are set"),
    ("analytics.modules", "list", "", "analytics modules that are configured, by type"),
    ("security.default_access_policy", "bool", "", "the device keeps the default access policy"),
    ("discovery.answered", "bool", "", "the device answers WS-Discovery on the hub's own LAN"),
    ("discovery.after_s", "float", "s", "from Probe to ProbeMatch"),
    # what the hub works out, measures over time, or is told
    (
        "onvif.profiles_borne_out",
        "list",
        "",
        "claimed ONVIF Profiles whose mandatory read operations all answered",
    ),
    (
        "firmware.flaws",
        "int",
        "",
        "known exploited or critical flaws of this model and version, by the hub's list",
    ),
    ("firmware.age_months", "float", "month", "age of the firmware"),
    (
        "support.ends_in_days",
        "float",
        "d",
        "days until the maker's declared end of support; negative is past",
    ),
    ("market.period", "str", "", "when the camera came to market: before_2026, qcvn135 or qcvn11"),
    ("market.conformity", "str", "", "regulation of the declared conformity number: QCVN 135, QCVN 11, none"),
    ("link.uplink_ratio", "float", "", "sustained uplink throughput / bitrate of the stream"),
    ("link.uplink_window_s", "float", "s", "how long that throughput was measured"),
    ("link.rtt_p95_ms", "float", "ms", "95th percentile of the round trip to the camera"),
    ("link.loss_ratio", "float", "", "lost / sent over the same series"),
    ("link.samples", "int", "", "requests of that series"),
    (
        "exposure.open_ports",
        "list",
        "",
        "ports of the registered public address that answered from outside, of those tried",
    ),
    ("exposure.leaks", "list", "", "what an anonymous visitor could read: build, config, log, still"),
    (
        "lan.open_debug_ports",
        "list",
        "",
        "open Telnet, FTP and vendor debug ports, seen from the camera's LAN",
    ),
    (
        "lan.unexplained_ports",
        "list",
        "",
        "open ports that no allow-list explains, seen from the camera's LAN",
    ),
    ("lan.upnp_mappings", "int", "", "port mappings of the router that lead to the camera"),
    ("stream.parallel_sessions", "int", "", "RTSP sessions that delivered frames side by side for 30 s"),
    ("stream.soak_minutes", "float", "min", "length of the longest watched pull"),
    ("stream.soak_drops", "int", "", "interruptions during that pull"),
    (
        "time.drift_s_per_day",
        "float",
        "s/d",
        "drift of the camera's clock, from two offsets at least a day apart",
    ),
    ("tls.legacy_refused", "bool", "", "a handshake with TLS 1.0 or 1.1 is refused"),
    ("tls.shared_fingerprint", "int", "", "other cameras of the catalog with the same certificate"),
    ("account.password_policy", "str", "", "the device has a rule for passwords: supported or unsupported"),
    (
        "account.admin_call",
        "str",
        "",
        "one call that only administrators may make, with the hub's account: refused or answered",
    ),
    ("event.pull_answer_s", "float", "s", "how long a PullMessages of 60 s took to answer"),
    ("event.times_utc", "bool", "", "event times are in UTC"),
    ("event.clock_difference_s", "float", "s", "UtcTime of a message minus its arrival"),
    ("recording.path", "str", "", "where recordings are kept, as known: card, recorder, hub, none"),
    ("recording.days_kept", "float", "d", "days between the earliest recording and now"),
    ("recording.declared_max_days", "float", "d", "longest time that the owner declared recordings are kept"),
    ("recording.behind_s", "float", "s", "age of the newest recorded data"),
    ("recording.gap_ratio_24h", "float", "", "missing share of the last 24 h of a continuous recording"),
    (
        "recording.replay_stamped",
        "bool",
        "",
        "replayed frames carry absolute time inside the range that was asked for",
    ),
    ("recording.integrity", "str", "", "how recordings are protected: signed, hashed_by_hub, none"),
    ("day.luma_mean", "float", "", "mean luma of the last picture by day, 8 bit scale"),
    ("day.luma_deviation", "float", "", "standard deviation of luma of the last picture by day, 8 bit scale"),
    ("night.luma_mean", "float", "", "mean luma of the picture at night, 8 bit scale"),
    ("night.luma_deviation", "float", "", "standard deviation of luma at night, 8 bit scale"),
    ("night.infrared", "bool", "", "infrared light is declared"),
    ("view.sharpness_ratio", "float", "", "sharpness / sharpness at commissioning of the same camera"),
    (
        "view.purpose_level",
        "str",
        "",
        "declared purpose of the view, by IEC 62676-4: monitor detect ... scrutinise",
    ),
    ("view.distance_m", "float", "m", "declared distance to the place that has to be seen"),
    ("view.hfov_deg", "float", "deg", "declared horizontal field of view of the lens"),
    ("view.pixels_per_m", "float", "px/m", "coded pixels per metre at the declared distance: an upper bound"),
    (
        "view.matches_purpose",
        "bool",
        "",
        "a person looked at one still: the view matches the declared purpose",
    ),
    ("view.obstruction_ratio", "float", "", "share of the view that is obstructed, as that person judged"),
    (
        "view.private_area",
        "bool",
        "",
        "a private interior or a neighbour's private area is in view and not masked",
    ),
    ("privacy.declared_zones", "int", "", "zones that the owner declared as to be masked"),
    ("privacy.masked_zones", "int", "", "declared zones that were seen masked at the source or by the hub"),
    ("storage.countries", "list", "", "countries in which recordings are kept, ISO 3166, as declared"),
    ("maker.disclosure_policy", "bool", "", "the maker publishes how to report flaws"),
    ("maker.signed_updates", "bool", "", "the maker states that updates are signed"),
    (
        "maker.cloud_countries",
        "list",
        "",
        "countries of the maker's cloud or peer-to-peer servers, as declared",
    ),
    ("egress.as_declared", "bool", "", "the traffic seen on the LAN goes where the declaration says"),
    ("withdrawal.cut_h", "float", "h", "time from a withdrawal to the end of access, in the last drill"),
    (
        "withdrawal.copies_settled",
        "bool",
        "",
        "stored copies were deleted or held under a named legal ground in that drill",
    ),
    (
        "analytics.biometric",
        "str",
        "",
        "face or plate recognition: none, lawful (a ground is named) or active",
    ),
    ("hub.control_right", "bool", "", "the hub may move or configure the camera"),
    ("donor.identity_apart", "bool", "", "the donor's identity is kept apart from the stream's data"),
    # the picture, decoded apart
    *(
        (f"picture.{which}.{name}", kind, unit, meaning)
        for which in ("main", "sub")
        for name, kind, unit, meaning in (
            ("decoded", "int", "", "pictures decoded of those that were kept"),
            ("by_day", "bool", "", "the pictures were taken by daylight (05:00 to 19:00 in Vietnam)"),
            ("luma_mean", "float", "", "mean luma of the pictures, 8 bit scale"),
            ("luma_deviation", "float", "", "standard deviation of luma, 8 bit scale"),
            ("sharpness", "float", "", "variance of the Laplacian of luma, median over the pictures"),
            ("changes", "int", "", "steps between kept pictures in which the picture changed"),
            (
                "changed_share",
                "float",
                "",
                "largest share of the picture's 16 x 9 blocks that changed in one step: a clock in the picture moves few",
            ),
            ("still_s", "float", "s", "longest time between kept pictures in which nothing changed"),
            ("span_s", "float", "s", "time between the first and the last picture"),
            ("width", "int", "px", "width of the decoded picture"),
            ("height", "int", "px", "height of the decoded picture"),
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
