"""Observations of cameras for tests: a good ONVIF camera, and ways to change one fact."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, freeze
from standards.reason import Reason

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
TOLD = Provenance(Method.TEST, "test/1", "RTSP DESCRIBE", "192.168.1.20:554", NOW, 0.05)

GOOD: Mapping[str, Any] = {
    "target.scheme": "onvif",
    "target.interfaces": ["onvif", "rtsp"],
    "credential.supplied": True,
    "credential.accepted": True,
    "credential.factory_default": False,
    "reach.answers": 3,
    "reach.slowest_s": 0.12,
    "device.manufacturer": "Axis",
    "device.model": "M3045",
    "device.firmware": "9.80",
    "device.serial": "ACCC8E000001",
    "device.endpoint_reference": "urn:uuid:7f4a8c2e-0000-1000-8000-accc8e000001",
    "device.endpoint_reference_stable": True,
    "onvif.services": ["device", "media", "media2"],
    "onvif.xaddr": "same",
    "onvif.scopes": [
        "onvif://www.onvif.org/name/Gate",
        "onvif://www.onvif.org/hardware/M3045",
        "onvif://www.onvif.org/Profile/T",
    ],
    "onvif.profiles_claimed": ["T"],
    "onvif.encodings": ["H264"],
    "onvif.stream_uri_stable": True,
    "onvif.stream_uri_octets": 48,
    "onvif.anonymous_read_system": "refused",
    "onvif.anonymous_read_media": "refused",
    "http.auth_schemes": ["digest-md5", "wsse"],
    "snapshot.anonymous": "refused",
    "snapshot.status": 200,
    "snapshot.content_type": "image/jpeg",
    "time.utc_present": True,
    "time.offset_s": 0.4,
    "time.source": "NTP",
    "time.ntp_servers": ["192.168.1.2"],
    "time.zone_offset_min": 420,
    "time.daylight_savings": False,
    "rtsp.anonymous_describe": "refused",
    "rtsp.auth_schemes": ["digest-md5"],
    "rtsp.runs_ok": 3,
    "rtsp.tcp_transport": True,
    "stream.main.uri": "rtsp://192.168.1.20:554/main",
    "stream.main.codec": "H264",
    "stream.main.claimed_encoding": "H264",
    "stream.main.claimed_width": 1280,
    "stream.main.claimed_height": 720,
    "stream.main.claimed_fps": 25.0,
    "stream.main.claimed_bitrate_kbps": 2048,
    "stream.main.parameter_sets": "sdp",
    "stream.main.parameter_sets_after_s": 0.0,
    "stream.main.profile": "Main",
    "stream.main.level": "3.1",
    "stream.main.chroma_format": "4:2:0",
    "stream.main.bit_depth": 8,
    "stream.main.width": 1280,
    "stream.main.height": 720,
    "stream.main.relay": "copy",
    "stream.main.frames": 200,
    "stream.main.window_s": 8.0,
    "stream.main.fps": 25.0,
    "stream.main.bitrate_kbps": 1900.0,
    "stream.main.key_frame_interval_s": 2.0,
    "stream.main.b_frames": 0,
    "stream.main.first_frame_s": 0.3,
    "stream.main.loss_ratio": 0.0,
    "stream.main.jitter_p95_ms": 8.0,
    "stream.main.sender_reports": 2,
    "stream.main.sender_report_offset_s": 0.1,
    "stream.main.clock_slope_ppm": 20.0,
    "stream.main.timestamps_increase": True,
    "stream.main.audio_codecs": [],
    "stream.sub.claimed_width": 640,
    "stream.sub.claimed_height": 360,
    "stream.sub.claimed_bitrate_kbps": 512,
    "stream.sub.width": 640,
    "stream.sub.height": 360,
    "custodian.kind": "household",
    "consent.state": "active",
    "consent.signed": True,
    "consent.audio": False,
    "relay.audio": False,
    "purpose.code": "public_safety",
    "purpose.age_days": 10.0,
    "signage.age_days": 10.0,
    "place.stated": True,
    "place.accuracy_m": 5.0,
    "uptime.ratio_30d": 0.99,
    "catalog.duplicates": 0,
}


def seen(value: Any) -> Observed:
    """Return an observed value."""
    return Observed(freeze(value), TOLD)


def missed(reason: Reason, detail: str = "") -> NotObserved:
    """Return an absence."""
    return NotObserved(reason, detail, TOLD)


def camera(changed: Mapping[str, Any] | None = None, *, without: tuple[str, ...] = ()) -> Observations:
    """Return the good camera's observations with some facts changed (values or observations) or taken away."""
    facts: dict[str, Observation] = {name: seen(value) for name, value in GOOD.items() if name not in without}
    for name, value in (changed or {}).items():
        facts[name] = value if isinstance(value, Observed | NotObserved) else seen(value)
    return Observations(facts)


def rtsp_only(changed: Mapping[str, Any] | None = None) -> Observations:
    """Return a household camera that is known by RTSP alone, as the checker fills it in."""
    detail = "the address given is RTSP only; give onvif://host:port to check ONVIF"
    facts: dict[str, Any] = {
        "target.scheme": "rtsp",
        "target.interfaces": ["rtsp"],
        "snapshot.anonymous": "none",
    }
    for name in GOOD:
        if name.startswith(("onvif.", "time.", "device.", "http.")) or ".claimed_" in name:
            facts[name] = missed(Reason.NOT_ASKED, detail)
    return camera({**facts, **(changed or {})})
