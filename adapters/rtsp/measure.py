"""One media window: every stream fact measured side by side. Sans I/O.

Times are seconds on one monotonic axis; timestamps are 64-bit RTP ticks of the camera.
"""

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from adapters.port import AccessUnit
from adapters.rtsp.pictures import PictureFormat, reader_for
from adapters.rtsp.rtp import RtpPacket, SenderReport
from standards.observation import Value
from standards.reason import Reason

MAX_FRAMES = 100_000  # of one window: 20 minutes at 80 frames per second
SLOPE_MIN_S = 4.0  # a shorter window says nothing about a clock
SLOPE_MIN_FRAMES = 40
_PICTURE_FACTS = ("profile", "level", "chroma_format", "bit_depth", "width", "height")
_HEADER_FACTS = (*_PICTURE_FACTS, "parameter_sets", "parameter_sets_after_s")
CODEC_NAMES: Mapping[str, str] = {"MP4V-ES": "MPEG4", "MPV": "MPEG1"}


@dataclass(frozen=True, slots=True)
class Missing:
    """Why a fact could not be measured."""

    reason: Reason
    detail: str


Measured = Value | Missing


def relay_need(codec: str, picture: PictureFormat | None, b_frames: int) -> str:
    """Return what a browser relay needs: copy, transcode, or no."""
    if codec == "H264":
        if picture is None:
            return "transcode"
        plain = picture.chroma_format == "4:2:0" and picture.bit_depth == 8
        return "copy" if plain and b_frames == 0 else "transcode"
    return "transcode" if codec in {"H265", "JPEG", "MPEG4"} else "no"


class Measurement:
    """Listens to one video track: packets and sender reports from the receiver, pictures from `unit`."""

    def __init__(
        self, codec: str, clock_rate_hz: int, sets: tuple[bytes, ...], *, wall: datetime, now_s: float
    ) -> None:
        """Prepare; `wall` and `now_s` are one moment on both clocks, `sets` the SDP's parameter sets."""
        self.codec = codec
        self._rate = clock_rate_hz
        self._wall_minus_now = wall.timestamp() - now_s
        self._headers = reader_for(codec, sets)
        self.played_s = now_s
        self.sets_after_s: float | None = 0.0 if sets else None
        self.first_frame_s: float | None = None
        self.first_packet_s: float | None = None
        self.packets = 0
        self.units = 0
        self._window_from: float | None = None
        self._window_to: float | None = None
        self._lost = 0
        self._window_packets = 0
        self._octets = 0
        self._reports: list[float] = []
        self._frames: list[tuple[int, float, bool]] = []  # timestamp, arrival, key frame
        self._b_frames = 0
        self._typed = 0  # frames whose slice type could be read

    @property
    def picture(self) -> PictureFormat | None:
        """Return the picture's format by the newest parameter sets; None before any was readable."""
        return self._headers.picture

    # feeding

    def packet(self, packet: RtpPacket, timestamp: int, lost: int, now_s: float) -> None:
        """Take note of one RTP packet in order."""
        self.packets += 1
        if self.first_packet_s is None:
            self.first_packet_s = now_s
        if self._within(now_s):
            self._window_packets += 1
            self._lost += lost
            self._octets += len(packet.payload)

    def report(self, report: SenderReport, timestamp: int, now_s: float) -> None:
        """Take note of a sender report. One without wall time counts, but tells none."""
        if (
            self._window_to is None
        ):  # those before the first picture too: cameras send one with PLAY, then seldom
            self._reports.append(
                report.unix_s - (self._wall_minus_now + now_s) if report.tells_time else math.nan
            )

    def unit(self, unit: AccessUnit) -> None:
        """Take note of one picture."""
        self.units += 1
        self._headers.read(unit.nals)
        complete = self._headers.complete
        if complete and self.sets_after_s is None:
            self.sets_after_s = unit.arrived_s - self.played_s
        if complete and unit.key_frame and self.first_frame_s is None:
            self.first_frame_s = unit.arrived_s - self.played_s
        if self._within(unit.arrived_s) and len(self._frames) < MAX_FRAMES:
            self._frames.append((unit.timestamp, unit.arrived_s, unit.key_frame))
            types = self._headers.types(unit.nals)
            self._typed += bool(types)
            self._b_frames += "B" in types

    def begin_window(self, now_s: float) -> None:
        """Start counting."""
        self._window_from = now_s

    def end_window(self, now_s: float) -> None:
        """Stop counting."""
        self._window_to = now_s

    @property
    def decodable(self) -> bool:
        """Tell whether a decodable frame has come."""
        return self.first_frame_s is not None

    def _within(self, now_s: float) -> bool:
        return self._window_from is not None and self._window_to is None and now_s >= self._window_from

    # results

    def format_facts(self) -> dict[str, Measured]:
        """Return what is known of the picture's format and of its beginning."""
        unknown = Missing(Reason.MALFORMED_MEDIA, "no readable sequence parameter set came")
        if self.codec == "JPEG":
            unknown = Missing(Reason.MALFORMED_MEDIA, "no readable JPEG picture came")
        elif self.codec == "MPEG4":
            unknown = Missing(Reason.MALFORMED_MEDIA, "no readable video object layer came")
        elif self.codec not in {"H264", "H265"}:
            unknown = Missing(Reason.NOT_ASKED, f"this hub does not read the headers of {self.codec}")
        picture = self.picture
        facts: dict[str, Measured] = dict.fromkeys(_HEADER_FACTS, unknown)
        if picture is not None:
            for name in _PICTURE_FACTS:
                facts[name] = getattr(picture, name) or Missing(
                    Reason.NOT_ASKED, f"{self.codec} headers do not say it"
                )
        if self.codec == "JPEG":
            missing = Missing(Reason.NOT_ASKED, "JPEG has no parameter sets apart from its pictures")
            facts["parameter_sets"] = facts["parameter_sets_after_s"] = missing
        elif self.sets_after_s is not None:
            headers = self._headers
            facts["parameter_sets"] = (
                "both" if headers.from_sdp and headers.in_band else "sdp" if headers.from_sdp else "in_band"
            )
            facts["parameter_sets_after_s"] = round(self.sets_after_s, 3)
        facts["first_frame_s"] = (
            round(self.first_frame_s, 3)
            if self.first_frame_s is not None
            else Missing(Reason.MALFORMED_MEDIA, "no decodable frame came")
        )
        facts["relay"] = relay_need(self.codec, picture, self._b_frames)
        return facts

    def window_facts(self) -> dict[str, Measured]:
        """Return what the window showed; empty where there was none."""
        if self._window_from is None or self._window_to is None:
            return {}
        window_s = self._window_to - self._window_from
        frames = self._frames
        few = Missing(Reason.WINDOW, f"{len(frames)} frames in {window_s:.1f} s are too few")
        facts: dict[str, Measured] = {
            "window_s": round(window_s, 3),
            "frames": len(frames),
            "bitrate_kbps": round(self._octets * 8 / 1000 / window_s, 1) if window_s > 0 else few,
            "loss_ratio": (
                round(self._lost / (self._window_packets + self._lost), 6) if self._window_packets else few
            ),
            "sender_reports": len(self._reports),
            "sender_report_offset_s": self._offset(window_s),
            "key_frame_interval_s": self._key_frames(window_s),
            "fps": few,
            "jitter_p95_ms": few,
            "clock_slope_ppm": Missing(
                Reason.WINDOW,
                f"{len(frames)} frames in {window_s:.1f} s: at least {SLOPE_MIN_FRAMES} in {SLOPE_MIN_S:.0f} s",
            ),
            "timestamps_increase": few,
            "b_frames": self._b_frames
            if self._typed
            else Missing(Reason.MALFORMED_MEDIA, "no slice header could be read"),
        }
        if len(frames) >= 3:
            times = [timestamp for timestamp, _, _ in frames]
            span = (max(times) - min(times)) / self._rate
            facts["timestamps_increase"] = all(b > a for a, b in itertools.pairwise(times))
            if span > 0:
                facts["fps"] = round((len(frames) - 1) / span, 3)
            facts["jitter_p95_ms"] = round(self._jitter_ms(), 2)
            if len(frames) >= SLOPE_MIN_FRAMES and window_s >= SLOPE_MIN_S:
                slope = self._slope_ppm()
                if slope is not None:
                    facts["clock_slope_ppm"] = round(slope, 1)
        return facts

    def _offset(self, window_s: float) -> Measured:
        told = [offset for offset in self._reports if not math.isnan(offset)]
        if told:
            return round(median(told), 3)
        if self._reports:
            return Missing(Reason.OUT_OF_RANGE, "the sender reports carry no wall time")
        return Missing(Reason.WINDOW, f"no sender report in {window_s:.1f} s")

    def _key_frames(self, window_s: float) -> Measured:
        keys = [timestamp for timestamp, _, key in self._frames if key]
        if len(keys) < 2:
            return Missing(Reason.WINDOW, f"{len(keys)} key frames in {window_s:.1f} s: two are needed")
        gaps = [b - a for a, b in itertools.pairwise(keys)]
        gaps.append(self._frames[-1][0] - keys[-1])  # no key frame came since: at least this long
        return round(max(gaps) / self._rate, 3)

    def _jitter_ms(self) -> float:
        """Return the 95th percentile of how unevenly neighbouring frames arrive against their timestamps.

        B-frames are sent behind pictures that are shown later: the order of sending has the timestamps in order.
        """
        times = [timestamp for timestamp, _, _ in self._frames]
        if self._b_frames:
            times.sort()
        arrivals = [arrived_s for _, arrived_s, _ in self._frames]
        deviations = sorted(
            abs((arrived[1] - arrived[0]) - (sent[1] - sent[0]) / self._rate)
            for arrived, sent in zip(itertools.pairwise(arrivals), itertools.pairwise(times), strict=True)
        )
        return deviations[min(len(deviations) - 1, math.ceil(0.95 * len(deviations)) - 1)] * 1000

    def _slope_ppm(self) -> float | None:
        """Return by how much the camera's RTP clock runs fast, by least squares over the quickest arrivals.

        Delays only add: in each half second the frame that came quickest says most about the clock.
        """
        first = self._frames[0]
        quickest: dict[int, tuple[float, float]] = {}
        for timestamp, arrived_s, _ in self._frames:
            media_s = (timestamp - first[0]) / self._rate
            delay_s = arrived_s - first[1] - media_s
            part = int(media_s / 0.5)
            if part not in quickest or delay_s < quickest[part][1]:
                quickest[part] = (media_s, delay_s)
        points = list(quickest.values())
        if len(points) < SLOPE_MIN_S:
            return None
        mean_media = sum(media_s for media_s, _ in points) / len(points)
        mean_delay = sum(delay_s for _, delay_s in points) / len(points)
        spread = sum((media_s - mean_media) ** 2 for media_s, _ in points)
        if spread <= 0:
            return None
        growth = sum((media_s - mean_media) * (delay_s - mean_delay) for media_s, delay_s in points) / spread
        return -growth / (1 + growth) * 1e6 if growth > -1 else None


WINDOW_FACTS = (
    "window_s",
    "frames",
    "fps",
    "bitrate_kbps",
    "key_frame_interval_s",
    "b_frames",
    "loss_ratio",
    "jitter_p95_ms",
    "sender_reports",
    "sender_report_offset_s",
    "clock_slope_ppm",
    "timestamps_increase",
)
FORMAT_FACTS = (*_HEADER_FACTS, "first_frame_s", "relay")
