"""What the client does where the standards leave a choice or cameras break them: named, with defaults."""

from dataclasses import dataclass, field
from enum import StrEnum

from adapters.rtsp.timeline import JumpPolicy
from adapters.rtsp.tolerance import Tolerance


class SsrcPolicy(StrEnum):
    """What to do with RTP packets of another source than the track's (quirks 25, 45, 52)."""

    FOLLOW = "follow"  # drop them; after `foreign_packets` of them in a row the camera has restarted: follow
    DROP = "drop"  # drop them for ever


class TransportPolicy(StrEnum):
    """What to do when the camera refuses the transport that was asked for (quirk 23)."""

    SWITCH = (
        "switch"  # after 461 ask once for the other one; take TCP where it is answered to a request for UDP
    )
    INSIST = "insist"  # fail


class SilencePolicy(StrEnum):
    """What to do when nothing comes over UDP after PLAY: NATs and firewalls on the way eat it (quirk 31)."""

    FALL_BACK = "fall_back"  # after `udp_silence_s` end the session and play over TCP in a new one
    WAIT = "wait"  # go on waiting; `silence_s` ends it


@dataclass(frozen=True, slots=True)
class Policies:
    """All choices of one client. Times in seconds."""

    refuse: frozenset[Tolerance] = field(default_factory=frozenset)  # tolerances that count as violations
    ssrc: SsrcPolicy = SsrcPolicy.FOLLOW
    foreign_packets: int = 50
    transport: TransportPolicy = TransportPolicy.SWITCH
    silence: SilencePolicy = SilencePolicy.FALL_BACK
    udp_silence_s: float = 3.0  # from PLAY to the first packet (gortsplib waits as long)
    punch: bool = True  # send packets to the camera's UDP ports, so that NATs let its media in (quirk 31)
    punch_every_s: float = 0.5  # until the first packet
    jump: JumpPolicy = JumpPolicy.REBASE
    options_s: float = 3.0  # for an answer to OPTIONS
    answer_s: float = 5.0  # for an answer to anything else
    keepalive_cap_s: float = 30.0  # half of the session timeout, but no more than this (quirk 28)
    report_every_s: float = 4.5  # Arlo stops without a receiver report in 5 s (quirk 29)
    silence_s: float = 5.0  # no RTP for this long: the camera is dead
    teardown_s: float = 2.0
    backlog_units: int = 512  # access units kept between PLAY and `run`
    user_agent: str = "camhub"  # some cameras answer 401 without one (quirk 6)


DEFAULT = Policies()
