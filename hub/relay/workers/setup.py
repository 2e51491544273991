"""How the relay is to run, as the hub's composition says it and each worker is told."""

import sys
from dataclasses import dataclass, field

from hub.relay.webrtc.turn import TurnSetup
from hub.relay.workers import messages as m


@dataclass(frozen=True, slots=True)
class RelaySetup:
    """How the relay is to run.

    `hosts` are the UDP addresses to bind, the first is required; worker n of `workers` gets `port` + n, with 0 each picks
    one; `public_addresses` are told to browsers where they differ from the bound ones. `command` starts a worker and gets
    the descriptor as last argument. `max_viewers` and `max_cameras` hold for each worker, the others for all together.
    """

    hosts: tuple[str, ...] = ("0.0.0.0", "::")  # noqa: S104  browsers of the whole network watch; STUN proves each
    port: int = 8189
    workers: int = 1
    public_addresses: tuple[str, ...] = ()
    turn: TurnSetup = field(default_factory=TurnSetup)
    max_viewers: int = 1000
    max_cameras: int = 500
    idle_stop_s: float = 10.0  # a camera is let go so long after its last viewer
    max_transcodes: int = 0  # streams recoded at once; 0: none ever
    transcode_width: int = 1280  # px, at most
    transcode_fps: float = 25.0
    transcode_bit_s: int = 2_000_000
    encoder: str = "auto"  # auto | software | nvenc | qsv: what codes them
    max_sounds: int = 0  # tracks of AAC recoded to Opus at once; 0: none ever
    push_kbit_s: int = 12_000  # what one encoder may push at most
    rtsp: bool = False  # connections of RTSP are handed to the workers
    spare: bool = False  # one process more waits to take the place of one that dies
    spare_after_s: float = 15.0  # begun so long after the start, and after the last one was taken
    log_level: str = "info"
    log_format: str = "json"
    command: tuple[str, ...] = field(default=(sys.executable, "-P", "-m", "hub.relay.workers.worker"))

    def first_word(self, index: int, places_fd: int, door_fd: int) -> m.Start:
        """Return what a worker is told first."""
        return m.Start(
            self.hosts,
            self.port and self.port + index,
            self.public_addresses,
            self.max_viewers,
            self.max_cameras,
            self.log_level,
            self.log_format,
            self.max_transcodes,
            self.transcode_width,
            self.transcode_fps,
            self.transcode_bit_s,
            self.max_sounds,
            places_fd,
            self.idle_stop_s,
            door_fd,
            self.push_kbit_s,
            self.encoder,
        )
