"""Who supplies each fact, and why a fact that nobody supplied is missing. Tests hold this table against the code.

A supplier is a module of this program, or ``declaration``: what people state in a form (`standards.declaration`).
A fact that no part of this program looks for has its true reason here, and only here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from standards.declaration import forms
from standards.facts import FACTS
from standards.reason import Reason

DECLARATION = "declaration"


@dataclass(frozen=True, slots=True)
class Absence:
    """Why a fact is missing where nothing supplied it."""

    reason: Reason
    detail: str


_RTSP = ("adapters.rtsp.probe",)
_WAYS = ("adapters.rtsp.ways",)
_ONVIF = ("adapters.onvif.probe",)
_VENDOR = ("adapters.wire.vendor",)
_MAKERS = ("adapters.hikvision.reads", "adapters.dahua.reads", "adapters.axis.reads", "adapters.vigi.adapter")
_TLS = ("adapters.wire.tls",)
_MEASURED = ("adapters.rtsp.measure", "adapters.rtsp.probe")
_MEMORY = ("hub.compliance.memory",)
_STANDING = ("hub.compliance.standing",)
_PICTURES = ("hub.compliance.pictures",)
_DERIVED = ("hub.compliance.derived",)
_KNOWN = ("hub.compliance.known",)
_LAN = ("hub.compliance.lan",)
_DETAILS = ("adapters.onvif.details_step",)
_STREAMS = ("adapters.onvif.streams_step",)

# The longest prefix that fits a fact tells its suppliers; an exact name is the longest prefix there is. Of a family
# some modules name one fact and some another; () are facts that people alone can state.
_BY_PREFIX: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "target.": ("hub.compliance.checker",),
        "credential.": ("hub.compliance.checker",),
        "credential.accepted": (*_ONVIF, *_RTSP, *_VENDOR),
        "reach.": ("adapters.onvif.clock_step", *_RTSP, *_VENDOR),
        "device.": ("adapters.onvif.identity", *_MAKERS),
        "device.endpoint_reference": _ONVIF,
        "device.endpoint_reference_stable": _MEMORY,
        "onvif.": _ONVIF,
        "onvif.services": ("adapters.onvif.services_step",),
        "onvif.xaddr": ("adapters.onvif.services_step",),
        "onvif.media_profiles": _STREAMS,
        "onvif.encodings": _STREAMS,
        "onvif.stream_uri_": _STREAMS,
        "onvif.profiles_borne_out": _DETAILS,
        "http.": (*_ONVIF, *_VENDOR),
        "snapshot.": ("adapters.onvif.still_step", *_VENDOR),
        "time.": ("adapters.onvif.clock_step", *_MAKERS),
        "time.ntp_servers": (*_ONVIF, *_MAKERS),
        "time.drift_s_per_day": _MEMORY,
        "rtsp.": _RTSP,
        "rtsp.rtsps": _WAYS,
        "rtsp.http_tunnel": _WAYS,
        "stream.main.": _MEASURED,
        "stream.sub.": _MEASURED,
        "stream.main.claimed_": _STREAMS,
        "stream.sub.claimed_": _STREAMS,
        "stream.encrypted": ("adapters.hikvision.reads",),
        "stream.soak_": _MEMORY,
        "tls.": _TLS,
        "rtsps.": _TLS,
        "tls.legacy_refused": ("adapters.wire.tls_legacy",),
        "tls.shared_fingerprint": _STANDING,
        "vendor.": _VENDOR,
        "vendor.family": (*_VENDOR, *_DERIVED),
        "account.": (*_DETAILS, *_MAKERS),
        "service.": _MAKERS,
        "service.https": (*_MAKERS, *_DERIVED),
        "privacy.": (*_DETAILS, *_MAKERS),
        "storage.": ("adapters.hikvision.reads", "adapters.dahua.reads", "adapters.axis.reads"),
        "recording.": (*_DETAILS, *_MAKERS),
        "recording.path": _DERIVED,
        "recording.integrity": (),
        "recording.declared_max_days": (),
        "privacy.declared_zones": _KNOWN,
        "privacy.masked_zones": _KNOWN,
        "storage.countries": (),
        "event.": _DETAILS,
        "event.pull_answer_s": ("hub.events.measures",),
        "event.times_utc": ("hub.events.measures",),
        "event.clock_difference_s": ("hub.events.measures",),
        "media.": (*_DETAILS, *_STREAMS),
        "imaging.": _DETAILS,
        "ptz.": _DETAILS,
        "analytics.modules": _DETAILS,
        "security.": _DETAILS,
        "firmware.": _DERIVED,
        "exposure.leaks": _DERIVED,
        "link.samples": _STANDING,
        "link.rtt_p95_ms": _STANDING,
        "link.loss_ratio": _STANDING,
        "lan.open_debug_ports": _LAN,
        "lan.unexplained_ports": _LAN,
        "exposure.open_ports": _LAN,
        "discovery.": _LAN,
        "night.luma_": (*_MEMORY, *_PICTURES),
        "day.luma_": _MEMORY,
        "view.sharpness_ratio": _MEMORY,
        "picture.": _PICTURES,
        "custodian.": _KNOWN,
        "consent.": _KNOWN,
        "relay.audio": _KNOWN,
        "place.": _KNOWN,
        "uptime.": _STANDING,
        "catalog.duplicates": _STANDING,
        "catalog.enrolled_days": _KNOWN,
        "hub.control_right": _STANDING,
        "donor.identity_apart": _STANDING,
        "view.pixels_per_m": ("hub.compliance.declarations",),
    }
)

_OVER_TIME = "known only to a hub in which the camera is enrolled, and over time"
# Of these, what is missing has this reason wherever nothing else is known; the last ones are looked for by nobody.
_ABSENT: Mapping[str, Absence] = MappingProxyType(
    {
        "device.endpoint_reference_stable": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "time.drift_s_per_day": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "uptime.ratio_30d": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "catalog.duplicates": Absence(
            Reason.NOT_ASKED, "known only to a hub in which the camera is enrolled"
        ),
        "tls.shared_fingerprint": Absence(
            Reason.NOT_ASKED, "known only to a hub in which the camera is enrolled"
        ),
        "view.sharpness_ratio": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "night.luma_mean": Absence(Reason.WINDOW, "no check between dusk and dawn saw a picture"),
        "night.luma_deviation": Absence(Reason.WINDOW, "no check between dusk and dawn saw a picture"),
        "day.luma_mean": Absence(Reason.WINDOW, "no check by day saw a picture"),
        "day.luma_deviation": Absence(Reason.WINDOW, "no check by day saw a picture"),
        "stream.soak_minutes": Absence(Reason.WINDOW, "nobody watched the camera for so long in 30 days"),
        "stream.soak_drops": Absence(Reason.WINDOW, "nobody watched the camera for so long in 30 days"),
        "link.samples": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "link.rtt_p95_ms": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "link.loss_ratio": Absence(Reason.NOT_ASKED, _OVER_TIME),
        "event.pull_answer_s": Absence(
            Reason.NOT_ASKED, "events are pulled after admission, on municipal cameras"
        ),
        "event.times_utc": Absence(
            Reason.NOT_ASKED, "events are pulled after admission, on municipal cameras"
        ),
        "event.clock_difference_s": Absence(
            Reason.NOT_ASKED, "events are pulled after admission, on municipal cameras"
        ),
        "link.uplink_ratio": Absence(
            Reason.NOT_ASKED,
            "to measure what the line could carry would load the owner's line; it is not done",
        ),
        "link.uplink_window_s": Absence(
            Reason.NOT_ASKED,
            "to measure what the line could carry would load the owner's line; it is not done",
        ),
        "stream.parallel_sessions": Absence(
            Reason.NOT_ASKED,
            "two sessions side by side need 30 s of a run of their own, after admission; no check makes one",
        ),
        "tls.legacy_refused": Absence(
            Reason.NOT_ASKED,
            "old TLS is offered in a whole check only, where the address given is spoken over TLS",
        ),
        "recording.gap_ratio_24h": Absence(
            Reason.NOT_ASKED,
            "the recordings of a day are not searched for gaps: their events would have to be read through the search service",
        ),
        "recording.replay_stamped": Absence(
            Reason.NOT_ASKED,
            "no recording is replayed during a check: that takes a replay session, in which each frame's own time is read",
        ),
        "withdrawal.cut_h": Absence(Reason.NOT_ASKED, "no withdrawal was drilled for this camera"),
        "withdrawal.copies_settled": Absence(Reason.NOT_ASKED, "no withdrawal was drilled for this camera"),
        "lan.open_debug_ports": Absence(Reason.NO_VANTAGE, "not seen from the camera's own network"),
        "lan.unexplained_ports": Absence(Reason.NO_VANTAGE, "not seen from the camera's own network"),
        "lan.upnp_mappings": Absence(Reason.NO_VANTAGE, "no agent asks the router of the camera's network"),
        "discovery.answered": Absence(Reason.NO_VANTAGE, "not seen from the camera's own network"),
        "discovery.after_s": Absence(Reason.NO_VANTAGE, "not seen from the camera's own network"),
        "exposure.open_ports": Absence(
            Reason.NO_VANTAGE, "no point outside the camera's network looks at it"
        ),
        "egress.as_declared": Absence(Reason.NO_VANTAGE, "no agent sees the traffic of the camera's network"),
    }
)


def suppliers_of(fact: str) -> tuple[str, ...]:
    """Return who supplies a fact: modules, and `DECLARATION`; () where nobody does."""
    fits = [prefix for prefix in _BY_PREFIX if fact.startswith(prefix)]
    modules = _BY_PREFIX[max(fits, key=len)] if fits else ()
    if fact in _ABSENT and fits and max(fits, key=len) != fact and max(fits, key=len).endswith("."):
        modules = ()  # a family's supplier does not look for this one
    return (*modules, DECLARATION) if fact in forms() else modules


def absence_of(fact: str) -> Absence | None:
    """Return why a fact is missing where nothing was seen or stated; None where that depends on the run."""
    told = _ABSENT.get(fact)
    if told is None and fact in forms():
        return Absence(Reason.NO_DECLARATION, "nothing was declared")
    return told


def table() -> dict[str, tuple[str, ...]]:
    """Return every fact with its suppliers."""
    return {fact: suppliers_of(fact) for fact in FACTS}
