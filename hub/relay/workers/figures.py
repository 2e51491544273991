"""What a relay worker counts: for itself, and for each camera that it holds. For metrics; decides nothing."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

_LAG_OVER_S: Final = 10.0


class CameraFigures(msgspec.Struct, frozen=True):
    """One camera, since its worker holds it. Counts are of all layers together."""

    camera_id: str
    viewers: int  # of WebRTC, now
    readers: int  # of MSE and RTSP, now
    packets: int
    octets: int
    resent: int
    skipped: int  # packets that slow viewers were spared
    reconnects: int
    transcodes: int  # now
    key_frame_age_s: float  # of the newest key frame; -1: there is none


class WorkerFigures(msgspec.Struct, frozen=True):
    """One worker's process, and what it counts since it started; no counts while it does not run."""

    index: int
    up: bool
    restarts: int
    failures: int  # ends in a row, each soon after a start
    counters: dict[str, int] = {}
    loop_lag_s: float = 0.0
    cameras: tuple[CameraFigures, ...] = ()


class Sends(Protocol):
    """Who counts what it sends."""

    @property
    def packets(self) -> int:
        """Return how many packets were sent."""

    @property
    def octets(self) -> int:
        """Return how many bytes of payload."""

    @property
    def resent(self) -> int:
        """Return how many packets were sent again."""

    @property
    def skipped(self) -> int:
        """Return how many were left out for one that is slow."""


@dataclass(slots=True)
class Tally:
    """A sum over those who send, or sent."""

    packets: int = 0
    octets: int = 0
    resent: int = 0
    skipped: int = 0

    def add(self, one: Sends) -> None:
        """Add what one sent."""
        self.packets += one.packets
        self.octets += one.octets
        self.resent += one.resent
        self.skipped += one.skipped


@dataclass(slots=True)
class Tallies:
    """What those who left had been sent: sums never fall, whoever goes."""

    gone: Tally = field(default_factory=Tally)
    _of_camera: dict[str, Tally] = field(default_factory=dict)

    def left(self, camera_id: str, one: Sends) -> None:
        """Keep what one who leaves was sent."""
        self.gone.add(one)
        self._of_camera.setdefault(camera_id, Tally()).add(one)

    def forget(self, camera_id: str) -> None:
        """Forget a camera that is held no more."""
        self._of_camera.pop(camera_id, None)

    def of(self, camera_id: str, present: Iterable[Sends]) -> Tally:
        """Return the sum for a camera: those who left, and those who are there."""
        tally = Tally()
        held = self._of_camera.get(camera_id)
        if held is not None:
            tally.add(held)
        for one in present:
            tally.add(one)
        return tally

    def total(self, present: Iterable[Sends]) -> Tally:
        """Return the sum for the whole worker."""
        tally = Tally()
        tally.add(self.gone)
        for one in present:
            tally.add(one)
        return tally


class LoopLag:
    """How late the event loop came: the most of the last ten to twenty seconds."""

    def __init__(self) -> None:
        self._now_s = self._before_s = self._since_s = 0.0

    def note(self, late_s: float, now_s: float) -> None:
        """Take one delay, at a time of the event loop."""
        if now_s - self._since_s >= _LAG_OVER_S:
            self._before_s, self._now_s, self._since_s = self._now_s, 0.0, now_s
        self._now_s = max(self._now_s, late_s)

    @property
    def most_s(self) -> float:
        """Return the longest delay, seconds."""
        return max(self._now_s, self._before_s)
