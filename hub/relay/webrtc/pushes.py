"""All encoders that push to this process: answered, kept, and opened by the pulls of their cameras."""

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.port import MediaSource, PushSeen
from hub.relay.errors import RelayRefused
from hub.relay.events import PushState, RelayEvent, ViewerEnded
from hub.relay.webrtc.dtls import Certificate, Turns
from hub.relay.webrtc.ice import UdpPort
from hub.relay.webrtc.push import DEAD_AFTER_S, PushedSource, Pusher, not_pushed
from hub.relay.webrtc.push_limits import Allowance
from hub.relay.webrtc.push_sdp import take_offer, write_push_answer
from hub.relay.webrtc.sdp import Fragment, LocalTransport, Offer, candidate_lines

log = structlog.get_logger(__name__)

MAX_PUSHES: Final = 500
_CONNECT_WITHIN_S: Final = 15.0  # a half-open one is dropped
_GONE_AFTER_S: Final = 30.0  # without an ICE check (RFC 7675 5.1)
SCHEME: Final = "whip"


class Pushes:
    """Pushers by camera. `on_event` hears of each whether it pushes now, and why not any more."""

    def __init__(
        self,
        clock: Clock,
        turns: Turns,
        *,
        on_event: Callable[[RelayEvent], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], Any],
        allowance: Allowance | None = None,
    ) -> None:
        self._allowance = allowance or Allowance()
        self._clock = clock
        self._turns = turns
        self._on_event = on_event
        self._spawn = spawn
        self._port: UdpPort | None = None
        self._certificate: Certificate | None = None
        self._pushers: dict[str, Pusher] = {}  # by id
        self._of_camera: dict[str, Pusher] = {}

    def start(self, port: UdpPort, certificate: Certificate) -> None:
        """Receive on this port."""
        self._port, self._certificate = port, certificate

    def __contains__(self, push_id: object) -> bool:
        """Tell whether this is one that pushes, or is about to."""
        return push_id in self._pushers

    def __len__(self) -> int:
        """Return how many push."""
        return len(self._pushers)

    @property
    def dropped(self) -> int:
        """Return how many packets of those who push now were more than is allowed."""
        return sum(pusher.dropped for pusher in self._pushers.values())

    def publish(self, push_id: str, camera_id: str, offer_sdp: str, *, audio: bool, by: str = "") -> str:
        """Answer an encoder's offer. A camera has one push: who came first stays.

        `audio`: the owner shares the sound; without it the encoder is told not to send any. `by` is whose push it is: the
        same one replaces a connection of its own over which nothing has come for 2 s.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        port, certificate = self._port, self._certificate
        if port is None or certificate is None:
            raise RelayRefused(503, "relay_down", "the relay has not started; try again", retry_after_s=1.0)
        if push_id in self._pushers:
            raise RelayRefused(409, "push_exists", "this push has been answered already; begin another")
        if len(self._pushers) >= MAX_PUSHES:
            raise RelayRefused(
                503, "relay_full", f"{MAX_PUSHES} encoders push already; try again later", retry_after_s=30.0
            )
        offer = Offer.parse(offer_sdp)
        taken = take_offer(offer, audio=audio)
        before = self._of_camera.get(camera_id)
        if before is not None:
            if before.by != by:
                raise RelayRefused(409, "push_taken", "another encoder pushes this camera already")
            if not before.dead:
                raise RelayRefused(
                    409,
                    "push_alive",
                    "this encoder's other connection still sends",
                    retry_after_s=DEAD_AFTER_S,
                )
            self._end(before, "replaced")
        pusher = Pusher(
            push_id,
            camera_id,
            taken,
            by=by,
            allowance=self._allowance,
            certificate=certificate,
            turns=self._turns,
            clock=self._clock,
            on_live=self._live,
            on_ended=self._end,
        )
        self._pushers[push_id] = self._of_camera[camera_id] = pusher
        port.register(pusher.peer)
        log.info(
            "relay.push.answered",
            push_id=push_id,
            camera_id=camera_id,
            codec=taken.video.track.codec,
            sound=taken.audio.track.codec if taken.audio is not None else "",
        )
        return write_push_answer(
            offer,
            taken,
            self._local(pusher),
            session=secrets.randbelow(1 << 62),
            kbit_s=self._allowance.kbit_s,
        )

    def trickle(self, push_id: str, fragment: str) -> str:
        """Take candidates of an encoder, or restart ICE (RFC 9725 4.3.3); return our fragment then, else "".

        Raises:
            RelayRefused: 404 no such push, 422 not a fragment of this session.
        """
        pusher = self._pushers.get(push_id)
        if pusher is None or self._port is None:
            raise RelayRefused(404, "push_unknown", "this push has ended; begin another")
        said = Fragment.parse(fragment)
        if not said.restarts(pusher.peer.remote_ufrag):
            return ""
        self._port.restart(pusher.peer, said.ufrag)
        local, line = self._local(pusher), pusher.taken.video.line
        lines = [
            "a=ice-lite",
            f"a=ice-ufrag:{local.ufrag}",
            f"a=ice-pwd:{local.pwd}",
            f"m={line.kind} 9 {line.protocol} 0",
            f"a=mid:{line.mid}",
            *candidate_lines(local),
        ]
        return "\r\n".join(lines) + "\r\n"

    def stop(self, push_id: str, code: str) -> None:
        """End a push; nothing of it is taken after this returns. Unknown ones are passed over."""
        pusher = self._pushers.get(push_id)
        if pusher is not None:
            self._end(pusher, code)

    def open(self, camera_id: str) -> MediaSource:
        """Return what is pushed for a camera.

        Raises:
            NotPushed: nothing is.
        """
        pusher = self._of_camera.get(camera_id)
        if pusher is None or not pusher.connected:
            raise not_pushed(camera_id)
        return PushedSource(pusher)

    async def measure(self, camera_id: str, *, window_s: float, samples: int, within_s: float) -> PushSeen:
        """Measure what is pushed for a camera (`Pusher.measure`).

        Raises:
            NotPushed: nothing is, or it ended meanwhile.
        """
        pusher = self._of_camera.get(camera_id)
        if pusher is None or not pusher.connected:
            raise not_pushed(camera_id)
        return await pusher.measure(window_s=window_s, samples=samples, within_s=within_s)

    def keep_house(self, now_s: float) -> None:
        """Report to those who push, and end those who are gone (event loop seconds)."""
        for pusher in list(self._pushers.values()):
            if not pusher.connected and pusher.age_s > _CONNECT_WITHIN_S:
                self._end(pusher, "not_connected")
            elif pusher.silent_s > _GONE_AFTER_S:
                self._end(pusher, "pusher_gone")
            else:
                pusher.keep_house(now_s)

    def cut(self, code: str) -> None:
        """End all."""
        for pusher in list(self._pushers.values()):
            self._end(pusher, code)

    def _local(self, pusher: Pusher) -> LocalTransport:
        port, certificate = self._port, self._certificate
        assert port is not None
        assert certificate is not None
        return LocalTransport(
            pusher.peer.ufrag, pusher.peer.pwd, certificate.sha256, port.candidates(), port.tcp_candidates()
        )

    def _live(self, pusher: Pusher, live: bool) -> None:
        code = "" if live else "push_silent"
        self._on_event(PushState(pusher.push_id, pusher.camera_id, live, self._clock.now(), code))

    def _end(self, pusher: Pusher, code: str) -> None:
        if self._pushers.get(pusher.push_id) is not pusher:
            return
        del self._pushers[pusher.push_id]
        if self._of_camera.get(pusher.camera_id) is pusher:
            del self._of_camera[pusher.camera_id]
        pusher.ended = True
        log.info("relay.push.ended", push_id=pusher.push_id, camera_id=pusher.camera_id, code=code)
        self._spawn(self._farewell(pusher), f"end {pusher.push_id}")
        self._on_event(PushState(pusher.push_id, pusher.camera_id, False, self._clock.now(), code))
        self._on_event(ViewerEnded(pusher.push_id, code))

    async def _farewell(self, pusher: Pusher) -> None:
        try:
            pusher.close()
        finally:
            if self._port is not None:
                self._port.unregister(pusher.peer)
