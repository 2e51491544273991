"""What a media window measures, per codec, fed with access units and packets at exact times."""

from datetime import UTC, datetime

import pytest
from rtsp_support import encoded
from test_rtsp_media import mjpeg, mpeg4_pictures

from adapters.port import AccessUnit
from adapters.rtsp.measure import Measured, Measurement, Missing
from adapters.rtsp.rtp import NTP_TO_UNIX_S, RtpPacket, SenderReport
from standards.reason import Reason

WALL = datetime(2026, 5, 1, tzinfo=UTC)
FRAME_TICKS = 3600


def measured(
    codec: str,
    pictures: list[tuple[int, bytes | tuple[bytes, ...], bool]],
    *,
    sets: tuple[bytes, ...] = (),
    lost_before: int = -1,
    reports: tuple[int, ...] = (),
) -> tuple[dict[str, Measured], dict[str, Measured]]:
    """Feed (timestamp, NAL units or one payload, key frame), one picture each 40 ms; return format and window facts."""
    measurement = Measurement(codec, 90_000, sets, wall=WALL, now_s=100.0)
    measurement.begin_window(100.0)
    for number, (timestamp, data, key) in enumerate(pictures):
        now_s = 100.0 + number * 0.04
        nals = [data] if isinstance(data, bytes) else list(data)
        packet = RtpPacket(96, True, number, timestamp & 0xFFFFFFFF, 7, b"".join(nals))
        measurement.packet(packet, timestamp, 2 if number == lost_before else 0, now_s)
        measurement.unit(AccessUnit(0, timestamp, now_s, nals, key))
    for ntp_s in reports:
        measurement.report(SenderReport(7, ntp_s << 32, 0, 0, 0), 0, 100.0)
    measurement.end_window(100.0 + len(pictures) * 0.04)
    return measurement.format_facts(), measurement.window_facts()


def test_mpeg4_is_measured_like_any_codec() -> None:
    """Size, profile, B-frames and key-frame interval of MPEG-4 part 2, with the headers in the description only."""
    config, pictures = mpeg4_pictures(b_frames=2)
    sent = [
        (number * FRAME_TICKS, data, data[4] >> 6 == 0 if data[:4] == b"\0\0\1\xb6" else True)
        for number, data in enumerate(pictures)
    ]
    formats, window = measured("MPEG4", list(sent), sets=(config,))
    assert (formats["width"], formats["height"], formats["bit_depth"]) == (352, 288, 8)
    assert formats["parameter_sets"] in {"sdp", "both"}
    assert formats["relay"] == "transcode"
    assert isinstance(window["b_frames"], int)
    assert window["b_frames"] >= 4
    assert window["frames"] == 12
    assert window["fps"] == pytest.approx(25.0)

    told, _ = measured("MPEG4", list(sent[1:2]))
    missing = told["width"]
    assert isinstance(missing, Missing)
    assert missing.reason is Reason.MALFORMED_MEDIA


def test_jpeg_is_measured_like_any_codec() -> None:
    """Each JPEG picture is a key frame and says its own size; there are no B-frames."""
    formats, window = measured("JPEG", [(number * FRAME_TICKS, mjpeg(), True) for number in range(10)])
    assert (formats["width"], formats["height"]) == (64, 48)
    assert isinstance(formats["parameter_sets"], Missing)
    assert (window["b_frames"], window["key_frame_interval_s"]) == (0, 0.04)
    assert window["bitrate_kbps"] == pytest.approx(len(mjpeg()) * 8 * 25 / 1000, rel=0.01)


def test_b_frames_are_no_jitter() -> None:
    """Pictures that come evenly have no jitter, though B-frames put their timestamps out of order."""
    units = encoded(24, b_frames=2)
    shown = [0, *(at + step for at in range(1, 22, 3) for step in (2, 0, 1)), 22, 23]
    pictures = [
        (order * FRAME_TICKS, unit, number == 0)
        for number, (order, unit) in enumerate(zip(shown, units, strict=True))
    ]
    _, window = measured("H264", list(pictures))
    assert window["b_frames"]
    assert window["timestamps_increase"] is False
    assert window["jitter_p95_ms"] == pytest.approx(0.0, abs=0.1)


def test_a_picture_size_that_changes_is_followed() -> None:
    """A camera that is set to another size sends a new SPS, and goes on (quirk 61)."""
    units = [*encoded(10, 320, 240), *encoded(10, 640, 480)]
    pictures = [(number * FRAME_TICKS, unit, number % 10 == 0) for number, unit in enumerate(units)]
    formats, window = measured("H264", list(pictures))
    assert (formats["width"], formats["height"]) == (640, 480)
    assert (window["frames"], window["key_frame_interval_s"]) == (20, 0.4)


def test_loss_is_a_share_of_what_was_expected() -> None:
    """Two packets missing before the fifth of ten."""
    pictures = [(number * FRAME_TICKS, unit, number == 0) for number, unit in enumerate(encoded(10))]
    _, window = measured("H264", list(pictures), lost_before=4)
    assert window["loss_ratio"] == pytest.approx(2 / 12, abs=1e-6)


@pytest.mark.parametrize(
    ("ntp_s", "offset"),
    [
        (int(WALL.timestamp()) + NTP_TO_UNIX_S + 3, 3.0),
        (0, None),
        (86_400, None),
        (NTP_TO_UNIX_S + 60, -1.8e9),
    ],
)
def test_sender_reports_tell_the_cameras_clock(ntp_s: int, offset: float | None) -> None:
    """The offset of the camera's clock; uptimes and 0 are no time (a clock that stands at 1970 is one)."""
    pictures = [(number * FRAME_TICKS, unit, number == 0) for number, unit in enumerate(encoded(5))]
    _, window = measured("H264", list(pictures), reports=(ntp_s,))
    assert window["sender_reports"] == 1
    told = window["sender_report_offset_s"]
    if offset is None:
        assert isinstance(told, Missing)
        assert told.reason is Reason.OUT_OF_RANGE
    else:
        assert told == pytest.approx(offset, rel=0.1)
