"""The tap: where somebody may listen to all that is said to a camera, for `camhub capture`.

Adapters and the wire call it; a probe without one pays nothing but a comparison with None. What comes through a
tap is raw: it holds credentials, and whoever listens redacts before anything is written down.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Heard:
    """One request and its reply, raw. `error` is the code of the `AdapterError` that came instead of a reply."""

    protocol: str  # http | rtsp
    operation: str  # the adapter's name for it: GetServices, "RTSP DESCRIBE"
    port: int  # of the camera
    method: str
    target: str  # the request's address as asked, absolute
    request_headers: tuple[tuple[str, str], ...]
    request_body: bytes
    status: int  # 0 where no reply came
    reason: str  # reason phrase, "" where none is known
    reply_headers: tuple[tuple[str, str], ...]
    reply_body: bytes
    started_s: float  # monotonic
    took_s: float
    body_read: bool = True  # False: the reply's body was left unread on purpose
    error: str = ""
    session: int = 0  # of RTSP: which session, as `Tap.session` numbered it


@dataclass(frozen=True, slots=True)
class TappedTrack:
    """What a track is, as the listener needs it to tell headers from picture data."""

    session: int
    index: int
    kind: str  # video | audio | application
    codec: str  # upper-case encoding name


class Tap(Protocol):
    """Listens. Must not block, and must not raise."""

    def exchange(self, heard: Heard) -> None:
        """Take note of one request and its reply."""

    def packet(self, track: TappedTrack, data: bytes, at_s: float, *, control: bool) -> None:
        """Take note of one RTP packet (RTCP where `control`), as it came, at a monotonic time."""

    def session(self) -> int:
        """Return the number of a fresh RTSP session."""
