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
    "onvif.services": ["device", "events", "media", "media2"],
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
    "stream.main.claimed_width": 1920,
    "stream.main.claimed_height": 1080,
    "stream.main.claimed_fps": 25.0,
    "stream.main.claimed_bitrate_kbps": 4096,
    "stream.main.parameter_sets": "sdp",
    "stream.main.parameter_sets_after_s": 0.0,
    "stream.main.profile": "Main",
    "stream.main.level": "3.1",
    "stream.main.chroma_format": "4:2:0",
    "stream.main.bit_depth": 8,
    "stream.main.width": 1920,
    "stream.main.height": 1080,
    "stream.main.relay": "copy",
    "stream.main.frames": 200,
    "stream.main.window_s": 8.0,
    "stream.main.fps": 25.0,
    "stream.main.bitrate_kbps": 2400.0,
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
    "uptime.ratio_30d": 0.995,
    "catalog.duplicates": 0,
    "onvif.profiles_borne_out": ["S", "T"],
    "firmware.flaws": 0,
    "firmware.age_months": 6.0,
    "support.ends_in_days": 700.0,
    "market.period": "qcvn11",
    "market.conformity": "QCVN 11",
    "vendor.family": "axis",
    "link.uplink_ratio": 2.5,
    "link.uplink_window_s": 60.0,
    "link.rtt_p95_ms": 20.0,
    "link.loss_ratio": 0.0,
    "link.samples": 100,
    "discovery.answered": True,
    "discovery.after_s": 0.4,
    "exposure.open_ports": [],
    "exposure.leaks": [],
    "lan.open_debug_ports": [],
    "lan.unexplained_ports": [],
    "lan.upnp_mappings": 0,
    "stream.parallel_sessions": 2,
    "media.encoder_instances": 2,
    "stream.soak_minutes": 90.0,
    "stream.soak_drops": 0,
    "rtsp.rtsps": "played",
    "time.drift_s_per_day": 0.1,
    "tls.version": "TLSv1.3",
    "tls.cipher": "TLS_AES_128_GCM_SHA256",
    "tls.not_after": "2030-01-01T00:00:00Z",
    "tls.expired": False,
    "tls.key_kind": "RSA",
    "tls.key_bits": 2048,
    "tls.shared_fingerprint": 0,
    "tls.legacy_refused": True,
    "service.https": True,
    "account.lockout_enabled": True,
    "account.lockout_attempts": 5,
    "account.password_policy": "supported",
    "account.password_min_length": 8,
    "account.password_min_uppercase": 1,
    "account.password_min_numbers": 1,
    "account.password_min_special": 1,
    "account.admin_call": "refused",
    "security.default_access_policy": True,
    "event.max_pull_points": 4,
    "event.topics": ["tns1:VideoSource/MotionAlarm", "tns1:VideoSource/ImageTooDark/ImagingService"],
    "event.pull_answer_s": 60.0,
    "event.times_utc": True,
    "event.clock_difference_s": 0.5,
    "media.metadata": True,
    "analytics.modules": ["tt:CellMotionEngine"],
    "recording.path": "card",
    "recording.days_kept": 31.0,
    "recording.declared_max_days": 45.0,
    "recording.recordings": [{"token": "1", "status": "Recording"}],
    "recording.mode": "continuous",
    "recording.behind_s": 10.0,
    "recording.gap_ratio_24h": 0.0,
    "recording.replay_uri": True,
    "recording.replay_stamped": True,
    "recording.integrity": "signed",
    "picture.main.decoded": 5,
    "picture.main.changes": 4,
    "picture.main.changed_share": 0.8,
    "picture.main.still_s": 0.0,
    "picture.main.span_s": 8.0,
    "picture.main.luma_mean": 110.0,
    "picture.main.luma_deviation": 45.0,
    "picture.main.by_day": True,
    "day.luma_mean": 110.0,
    "day.luma_deviation": 45.0,
    "night.luma_mean": 60.0,
    "night.luma_deviation": 20.0,
    "night.infrared": True,
    "view.sharpness_ratio": 0.95,
    "view.purpose_level": "observe",
    "view.pixels_per_m": 90.0,
    "view.matches_purpose": True,
    "view.obstruction_ratio": 0.05,
    "view.private_area": False,
    "privacy.declared_zones": 1,
    "privacy.masked_zones": 1,
    "storage.countries": ["VN"],
    "maker.disclosure_policy": True,
    "maker.signed_updates": True,
    "maker.cloud_countries": ["VN"],
    "egress.as_declared": True,
    "withdrawal.cut_h": 0.01,
    "withdrawal.copies_settled": True,
    "analytics.biometric": "none",
    "hub.control_right": False,
    "donor.identity_apart": True,
}


def in_words_of(standard: str) -> dict[str, Any]:
    """Return what a good camera states otherwise under a standard: a purpose is declared in one edition's words."""
    return {"view.purpose_level": "discern"} if standard == "iec62676-4-2025" else {}


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
