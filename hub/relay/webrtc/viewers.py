"""All browsers that this process sends pictures to over WebRTC: answered, leased, looked after, ended."""

import asyncio
import secrets
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import structlog

from adapters.clock import Clock
from hub.relay.camera.layers import Layer, Layers
from hub.relay.choice import Chooser, OfferTakes
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, RelayEvent, SourceSpec, ViewerConnected, ViewerEnded
from hub.relay.sender import PacketSender
from hub.relay.webrtc.dtls import Certificate, Turns
from hub.relay.webrtc.ice import UdpPort
from hub.relay.webrtc.moves import Moves
from hub.relay.webrtc.offers import Offers
from hub.relay.webrtc.sdp import Fragment, LocalTransport, negotiate, restart_fragment, write_answer
from hub.relay.webrtc.viewer import Viewer
from hub.relay.workers.figures import Tallies

log = structlog.get_logger(__name__)

_ROUNDS: Final = (
    5  # each viewer is looked after in every fifth round; its lease is read at every picture besides
)


class Viewers(Mapping[str, Viewer]):
    """Viewers by id. `on_event` hears of each that it connected, what feeds it, and why it ended; seconds throughout."""

    def __init__(
        self,
        layers: Layers,
        chooser: Chooser,
        clock: Clock,
        *,
        sender: PacketSender,
        turns: Turns,
        tallies: Tallies,
        on_event: Callable[[RelayEvent], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"],
        connect_within_s: float,
        gone_after_s: float,
        report_every_s: float,
    ) -> None:
        self._layers = layers
        self._chooser = chooser
        self._clock = clock
        self._sender = sender
        self._turns = turns
        self._tallies = tallies
        self._on_event = on_event
        self._spawn = spawn
        self._connect_within_s = connect_within_s
        self._gone_after_s = gone_after_s
        self._report_every_s = report_every_s
        self._port: UdpPort | None = None
        self._certificate: Certificate | None = None
        self._offers = Offers()
        self._viewers: dict[str, Viewer] = {}
        self._specs: dict[str, SourceSpec] = {}  # by viewer
        self._sounds_sent = 0  # packets, to those who left
        self.left = 0  # how many left
        self.moves = Moves(layers, chooser, on_event=on_event, on_nowhere=self.end, spawn=spawn)

    def __getitem__(self, viewer_id: str) -> Viewer:
        """Return one of them."""
        return self._viewers[viewer_id]

    def __iter__(self) -> Iterator[str]:
        """Walk over their ids."""
        return iter(self._viewers)

    def __len__(self) -> int:
        """Return how many there are, connected or not."""
        return len(self._viewers)

    @property
    def sounds(self) -> int:
        """Return how many packets of sound were sent, to those who left as well."""
        return self._sounds_sent + sum(viewer.sounds for viewer in self._viewers.values())

    def start(self, port: UdpPort, certificate: Certificate) -> None:
        """Be reached by this port."""
        self._port, self._certificate = port, certificate

    async def answer(
        self, viewer_id: str, spec: SourceSpec, offer_sdp: str, *, audio: bool, wanted: str, lease_s: float
    ) -> str:
        """Answer an offer; frames flow once the browser has connected, for `lease_s` and as long as `renew` names the viewer.

        `audio`: this viewer may hear the camera. `wanted`: the layer, main | sub | auto.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        port, certificate = self._reached_by()
        if viewer_id in self._viewers:
            raise RelayRefused(
                409, "viewer_exists", "this viewer session has been answered already; open another"
            )
        await self._turns.turn()
        offer = self._offers.read(offer_sdp)
        choice = await self._chooser.choose(spec, wanted, OfferTakes(offer))
        rendition, source = choice.rendition, choice.offered
        if audio and (heard := self._layers.sound_of(rendition.fanout)) is not None:
            source = replace(source, audio_codec=heard.codec)
        agreed = negotiate(offer, source, adaptive=len(spec.layers) > 1)
        viewer = Viewer(
            viewer_id,
            spec.camera_id,
            agreed,
            certificate=certificate,
            sender=self._sender,
            lease_until_s=_now() + lease_s,
            wanted=wanted,
            may_hear=audio,
            turns=self._turns,
            on_connected=self._connected,
            on_ended=self.end,
            on_picture_lost=self._picture_lost,
        )
        if rendition.closing or viewer_id in self._viewers:
            viewer.close()
            raise RelayRefused(
                503, "relay_busy", "the camera was being released; try again", retry_after_s=1.0
            )
        self._viewers[viewer_id] = rendition.fanout.viewers[viewer_id] = viewer
        self._specs[viewer_id] = spec
        viewer.feed, viewer.why = rendition.fanout, choice.why
        port.register(viewer.peer)
        log.info(
            "relay.viewer.answered",
            viewer_id=viewer_id,
            camera_id=spec.camera_id,
            layer=choice.layer,
            rendition=rendition.kind,
            codec=source.codec,
            viewers=len(self._viewers),
        )
        told = self.moves.told(viewer, rendition.fanout, choice.code)
        if told != LayerChanged(viewer_id, "main", "main"):
            self._on_event(told)
        viewer.agreed = agreed.kept
        return write_answer(
            offer,
            agreed,
            self._local(viewer),
            session=secrets.randbelow(1 << 62),
            ssrc=viewer.ssrc,
            audio_ssrc=viewer.audio_ssrc,
            cname=viewer.cname,
            rtx_ssrc=viewer.rtx_ssrc,
        )

    def trickle(self, viewer_id: str, fragment: str) -> str:
        """Take candidates of a browser, or restart ICE (RFC 9725 4.3.3); return our fragment then, else "".

        Raises:
            RelayRefused: 404 no such viewer, 422 not a fragment of this session.
        """
        viewer = self._viewers.get(viewer_id)
        if viewer is None or self._port is None:
            raise _unknown()
        said = Fragment.parse(fragment)
        if not said.restarts(viewer.peer.remote_ufrag):
            return ""
        self._port.restart(viewer.peer, said.ufrag)
        log.info("relay.viewer.restarted", viewer_id=viewer_id)
        return restart_fragment(viewer.agreed, self._local(viewer))

    def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer (`Moves.choose`).

        Raises:
            RelayRefused: 404 no such viewer, 422 no such layer.
        """
        viewer = self._viewers.get(viewer_id)
        if viewer is None:
            raise _unknown()
        self.moves.choose(viewer, self._specs[viewer_id], wanted)

    def renew(self, viewer_ids: Collection[str], lease_until_s: float) -> None:
        """Let these viewers receive until then (event loop seconds)."""
        for viewer_id in viewer_ids:
            viewer = self._viewers.get(viewer_id)
            if viewer is not None:
                viewer.lease_until_s = lease_until_s

    def keep_house(self, round_: int, now_s: float) -> None:
        """End those of this round's turn that nobody vouches for, that never connected or are gone; report to the others."""
        turn = round_ % _ROUNDS
        # By a number that stays with the viewer: places in a list move when others end.
        for viewer in [one for one in self._viewers.values() if one.turn % _ROUNDS == turn]:
            try:
                self._look_after(viewer, now_s)
            except Exception:  # ours: it must cost this viewer alone, the others have leases as well
                log.exception("relay.viewer.fault", viewer_id=viewer.viewer_id)
                self.end(viewer, "relay_failed")

    def _look_after(self, viewer: Viewer, now_s: float) -> None:
        if viewer.lease_until_s < now_s:
            self.end(viewer, "lease_expired")
        elif not viewer.connected:
            if viewer.age_s > self._connect_within_s:
                self.end(viewer, "not_connected")
        elif viewer.silent_s > self._gone_after_s:
            self.end(viewer, "viewer_gone")
        else:
            self.moves.adapt(viewer, self._specs[viewer.viewer_id], now_s)
            if viewer.next_report_s <= now_s:
                self._report(viewer, now_s)

    def end(self, viewer: Viewer, code: str) -> None:
        """End a viewer; no packet of picture leaves after this returns. Idempotent."""
        if self._viewers.get(viewer.viewer_id) is not viewer:
            return
        del self._viewers[viewer.viewer_id]
        del self._specs[viewer.viewer_id]
        self.left += 1
        viewer.ended = True
        viewer.next_index = None
        for fanout in (viewer.feed, viewer.joining):
            if fanout is not None:
                fanout.leave(viewer)
        self._tallies.left(viewer.camera_id, viewer)
        self._sounds_sent += viewer.sounds
        log.info("relay.viewer.ended", viewer_id=viewer.viewer_id, camera_id=viewer.camera_id, code=code)
        self._spawn(self._farewell(viewer), f"end {viewer.viewer_id}")
        self._on_event(ViewerEnded(viewer.viewer_id, code))

    def cut(self, code: str) -> None:
        """End all."""
        for viewer in list(self._viewers.values()):
            self.end(viewer, code)

    def sound_changed(self, layer: Layer) -> None:
        """Tell those who get a layer, and may hear it, what has become of its sound."""
        for rendition in layer.renditions.values():
            for viewer in rendition.fanout.viewers.values():
                if viewer.may_hear:
                    self._on_event(self.moves.told(viewer, rendition.fanout, ""))

    def _reached_by(self) -> tuple[UdpPort, Certificate]:
        if self._port is None or self._certificate is None:
            raise RelayRefused(503, "relay_down", "the relay has not started; try again", retry_after_s=1.0)
        return self._port, self._certificate

    def _local(self, viewer: Viewer) -> LocalTransport:
        port, certificate = self._reached_by()
        return LocalTransport(
            viewer.peer.ufrag, viewer.peer.pwd, certificate.sha256, port.candidates(), port.tcp_candidates()
        )

    def _connected(self, viewer: Viewer) -> None:
        if viewer.feed is None or viewer.viewer_id not in viewer.feed.viewers:
            return
        viewer.feed.attach(viewer)
        self._on_event(ViewerConnected(viewer.viewer_id))

    def _picture_lost(self, viewer: Viewer) -> None:
        if viewer.feed is not None:
            viewer.feed.wait_for_key_frame()

    def _report(self, viewer: Viewer, now_s: float) -> None:
        if viewer.feed is not None:
            picture, sound = viewer.feed.ticks(self._clock.monotonic(), viewer.agreed.audio_codec)
            viewer.report(self._clock.now().timestamp(), picture, sound)
        viewer.next_report_s = now_s + self._report_every_s

    async def _farewell(self, viewer: Viewer) -> None:
        try:
            viewer.close()
        finally:
            if self._port is not None:
                self._port.unregister(viewer.peer)


def _unknown() -> RelayRefused:
    return RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")


def _now() -> float:
    return asyncio.get_running_loop().time()
