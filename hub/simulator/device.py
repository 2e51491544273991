"""What the servers of one scripted camera share: its identity, account, clock, counters and switches."""

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from adapters.clock import Clock
from hub.simulator.digest import DigestVerifier, Login
from hub.simulator.events import Happenings
from hub.simulator.presets import Preset
from hub.simulator.ptz import Head
from hub.simulator.studio import Studio

REALM = "CH-Sim"
_LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"


@dataclass(slots=True)
class Counters:
    """What the camera has seen so far."""

    connections: int = 0  # TCP connections, ONVIF and RTSP
    requests: int = 0
    credentialed: int = 0  # requests that carried a credential, right or wrong
    refused: int = 0  # of these, refused ones; a stale nonce is not counted
    sessions: int = 0  # RTSP sessions that were set up
    receiver_reports: int = 0  # RTCP packets of clients
    punches: int = 0  # other datagrams of clients: they open NATs on the way
    operations: dict[str, int] = field(default_factory=dict)  # ONVIF operations and RTSP methods by name


@dataclass(slots=True)
class Device:
    """One scripted camera's state. Serial, MAC, endpoint reference and password are its own and new at each start."""

    preset: Preset
    clock: Clock
    studio: Studio
    user: str
    password: str
    clock_offset_s: float
    number: int = 1
    host: str = "127.0.0.1"
    onvif_port: int = 0
    rtsp_port: int = 0
    serial: str = field(default_factory=lambda: f"CHS{secrets.randbelow(10**10):010d}")
    # locally administered, unicast (IEEE 802 2.1.1): such an address belongs to no maker
    mac: str = field(
        default_factory=lambda: "02:" + ":".join(f"{byte:02x}" for byte in secrets.token_bytes(5))
    )
    endpoint: str = field(default_factory=lambda: f"urn:uuid:{uuid.uuid4()}")
    counters: Counters = field(default_factory=Counters)
    media_paused: bool = False  # sessions stay open, no media is sent
    refuse_all: bool = False  # every login is refused, as after a change of password
    head: Head = field(init=False)
    happenings: Happenings = field(init=False)

    def __post_init__(self) -> None:
        """Give the camera its head and its senses."""
        self.head = Head(self.clock, self.preset.ptz)
        self.happenings = Happenings(self, self.preset.events)
        if self.preset.onvif is not None and "ptz" in self.preset.onvif.services:
            self.studio.aim(self.preset, self._aim)

    def now(self) -> datetime:
        """Return what the camera's clock shows, as aware UTC."""
        return self.clock.now() + timedelta(seconds=self.clock_offset_s)

    def _aim(self) -> tuple[float, float]:
        aim = self.head.aim
        return aim.pan, aim.tilt

    def judge(self, verifier: DigestVerifier, header: str | None, method: str, uri: str) -> Login:
        """Judge and count the Digest credential of one request."""
        login = verifier.verify(header, method, uri, self.user, self.password)
        if login is not Login.NONE:
            self.counters.credentialed += 1
            if self.refuse_all:
                login = Login.REFUSED
            if login is Login.REFUSED:
                self.counters.refused += 1
        return login

    def count(self, operation: str) -> None:
        """Count one request."""
        self.counters.requests += 1
        self.counters.operations[operation] = self.counters.operations.get(operation, 0) + 1


def new_password() -> str:
    """Return a password of 14 letters and digits with at least one digit: about 80 bits."""
    return "".join(secrets.choice(_LETTERS) for _ in range(13)) + secrets.choice("23456789")
