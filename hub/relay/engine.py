"""Everything of the relay that lives in one process: the port, the cameras that are pulled, their viewers."""

import asyncio
import itertools
import secrets
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import MediaSource, PushSeen
from hub.relay.camera.copying import Copy
from hub.relay.camera.layers import Layer, Layers
from hub.relay.camera.packetise import units
from hub.relay.camera.places import SharedPlaces
from hub.relay.camera.processing import MakeProcessor, Picture
from hub.relay.camera.renditions import Kind
from hub.relay.camera.sound import OPUS, SoundSetup
from hub.relay.camera.source import OpenSource
from hub.relay.camera.transcoding import Places, TranscodeH264, Transcoding
from hub.relay.choice import Choice, Chooser, CodecsTaken, OfferTakes, Takes
from hub.relay.errors import RelayRefused
from hub.relay.events import (
    HEARS_ALL,
    CameraPulled,
    Finding,
    KeyFrame,
    LayerChanged,
    RelayEvent,
    SourceSpec,
    SourceState,
    ViewerConnected,
    ViewerEnded,
)
from hub.relay.fanout import Fanout
from hub.relay.outputs.readers import Make, Readers
from hub.relay.reachability import examine
from hub.relay.sender import PacketSender
from hub.relay.sweep import Sweep
from hub.relay.webrtc.dtls import Certificate, Turns
from hub.relay.webrtc.ice import UdpPort
from hub.relay.webrtc.push_limits import Allowance
from hub.relay.webrtc.pushes import SCHEME, Pushes
from hub.relay.webrtc.sdp import (
    Fragment,
    LocalTransport,
    Offer,
    Offered,
    negotiate,
    restart_fragment,
    write_answer,
)
from hub.relay.webrtc.turn import TurnSetup
from hub.relay.webrtc.viewer import Viewer
from hub.relay.workers.counting import Counting
from hub.relay.workers.figures import CameraFigures, LoopLag

log = structlog.get_logger(__name__)

LEASE_S: Final = 2.0
HEARS: Final = "AAC"
LAYERS: Final = frozenset({"main", "sub", "auto"})
_HOUSEKEEPING_S = 0.1
_SWEEP_ROUNDS = 600  # once a minute
_ROUNDS = 5  # viewers and layers are looked after in every fifth round; leases at every picture besides


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """What one worker takes on. Seconds unless named otherwise."""

    max_viewers: int = 1000
    max_cameras: int = 500
    max_transcodes: int = 0  # streams that are recoded at once; 0: none ever
    max_sounds: int = 0  # tracks of AAC that are recoded to Opus at once
    push_kbit_s: int = 12_000  # what one encoder may push
    connect_within_s: float = 15.0  # a half-open viewer is dropped
    gone_after_s: float = 30.0  # without an ICE check (RFC 7675 5.1)
    idle_stop_s: float = 10.0
    source_within_s: float = 12.0  # an answer waits so long for a camera that is not yet pulled
    report_every_s: float = 2.0


class RelayEngine:
    """Answers offers, pulls cameras on demand, stops what is not vouched for."""

    def __init__(
        self,
        open_source: OpenSource,
        clock: Clock,
        on_event: Callable[[RelayEvent], None],
        limits: EngineLimits | None = None,
        *,
        transcoding: Transcoding | None = None,
        shared_places: SharedPlaces | None = None,
        shared_sounds: SharedPlaces | None = None,
    ) -> None:
        self._clock = clock
        self._on_event = on_event
        self._limits = limits or EngineLimits()
        self._viewers: dict[str, Viewer] = {}
        self._specs: dict[str, SourceSpec] = {}  # by viewer
        self._sweep = Sweep()
        self._gone = False  # somebody left since the collector last came by
        self._answering = 0  # offers that are being answered
        self._turns = Turns()
        self._sender = PacketSender()
        self._port: UdpPort | None = None
        self._certificate: Certificate | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self._transcoding = transcoding or Transcoding()
        self._places = Places(self._limits.max_transcodes, shared_places)
        self._sounds = SoundSetup(Places(self._limits.max_sounds, shared_sounds), self._transcoding.setup)
        self._readers = Readers(self._choose_for_reader, on_event)
        self._open_source = open_source
        self._pushes = Pushes(
            clock,
            self._turns,
            on_event=on_event,
            spawn=self._spawn,
            allowance=Allowance(self._limits.push_kbit_s),
        )
        self._layers = Layers(
            self._open,
            clock,
            self._sender,
            process=self._process,
            sound=self._sounds,
            max_cameras=self._limits.max_cameras,
            idle_stop_s=self._limits.idle_stop_s,
            on_state=on_event,
            on_pulled=self._pulled,
            on_sound=self._sound_changed,
            on_ended=self._end,
            on_readers_ended=self._readers.rendition_ended,
            on_joined=self._joined,
            on_not_joined=self._not_joined,
            spawn=self._spawn,
        )
        self._counting = Counting(self._layers, self._viewers, self._readers)
        self._readers.on_left = self._counting.left
        self._lag = LoopLag()
        self._sounds_sent = 0  # packets, to those who left
        self._chooser = Chooser(self._layers, self._places, within_s=self._limits.source_within_s)

    def start(self, hosts: tuple[str, ...], port: int, public_addresses: tuple[str, ...] = ()) -> int:
        """Open the UDP port and return its number.

        Raises:
            OSError: the port cannot be bound.
        """
        self._certificate = Certificate.generateCertificate()
        self._port = UdpPort(public_addresses)
        number = self._port.open(hosts, port)
        self._pushes.start(self._port, self._certificate)
        self._housekeeper = asyncio.create_task(self._keep_house(), name="relay housekeeping")
        return number

    async def aclose(self) -> None:
        """Stop everything: viewers first, so that no frame leaves any more, then the cameras politely. Idempotent."""
        if self._housekeeper is not None:
            self._housekeeper.cancel()
            await asyncio.gather(self._housekeeper, return_exceptions=True)
        self.cut()
        self._layers.release_all()
        while self._tasks:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._port is not None:
            self._port.close()

    def cut(self) -> None:
        """Stop every frame at once, without waiting for anything: nobody vouches for the viewers any more."""
        for viewer in list(self._viewers.values()):
            self._end(viewer, "relay_stopped")
        self._readers.cut("relay_stopped")
        self._pushes.cut("relay_stopped")

    async def read(
        self,
        viewer_id: str,
        spec: SourceSpec,
        make: Make,
        *,
        wanted: str = "main",
        codecs: Collection[str] = ("H264",),
    ) -> tuple[str, Offered]:
        """Feed a recipient that is no WebRTC viewer, from the newest key frame on, for as long as `renew` names it.

        `codecs` are those that it plays; with `HEARS` among them it may hear the camera, and plays AAC, with `HEARS_ALL` whatever sound
        can be handed on as it is. `make` makes the reader once it is known what is sent to it. Returns the layer and
        that.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        if self._full:
            raise self._no_room()
        self._answering += 1
        try:
            choice = await self._readers.add(
                viewer_id,
                spec,
                wanted=wanted,
                takes=CodecsTaken(frozenset(codecs)),
                make=make,
                lease_s=LEASE_S,
            )
        finally:
            self._answering -= 1
        told = LayerChanged(
            viewer_id,
            choice.layer,
            wanted,
            choice.code,
            choice.rendition.kind,
            choice.offered.codec,
            choice.why,
            self._sound_of_reader(choice, codecs),
        )
        if told != LayerChanged(viewer_id, "main", "main"):
            self._on_event(told)
        return choice.layer, choice.offered

    async def view(
        self,
        viewer_id: str,
        spec: SourceSpec,
        offer_sdp: str,
        *,
        audio: bool = False,
        wanted: str = "main",
    ) -> str:
        """Answer an offer; frames flow once the browser has connected, for as long as `renew` names the viewer.

        `audio`: this viewer may hear the camera (consent says so); of the camera sound is asked only where `spec.audio` says
        that it is shared. `wanted`: the layer, main | sub | auto; where it cannot be had the other is given, and
        `LayerChanged` says why.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        port, certificate = self._port, self._certificate
        if port is None or certificate is None:
            raise RelayRefused(503, "relay_down", "the relay has not started; try again", retry_after_s=1.0)
        if viewer_id in self._viewers:
            raise RelayRefused(
                409, "viewer_exists", "this viewer session has been answered already; open another"
            )
        if self._full:
            raise self._no_room()
        self._answering += 1
        try:
            await self._turns.turn()
            offer = Offer.parse(offer_sdp)
            choice = await self._chooser.choose(spec, wanted, OfferTakes(offer))
        finally:
            self._answering -= 1
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
            lease_until_s=self._now() + LEASE_S,
            wanted=wanted,
            may_hear=audio,
            turns=self._turns,
            on_connected=self._connected,
            on_ended=self._end,
            on_picture_lost=self._picture_lost,
        )
        if rendition.closing or viewer_id in self._viewers:
            await viewer.close()
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
        told = self._layer_of(viewer, rendition.fanout, choice.code)
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

    def publish(
        self, push_id: str, camera_id: str, offer_sdp: str, *, audio: bool = False, by: str = ""
    ) -> str:
        """Answer an encoder that pushes a camera (`Pushes.publish`); its stream is opened by an address of scheme ``whip``.

        `trickle` and `stop` take its id like a viewer's; its end is told by `ViewerEnded` and by `PushState`.

        Raises:
            RelayRefused: says why, with the HTTP status.
        """
        return self._pushes.publish(push_id, camera_id, offer_sdp, audio=audio, by=by)

    async def examine_push(
        self, camera_id: str, *, window_s: float, samples: int, within_s: float
    ) -> PushSeen:
        """Measure what is pushed for a camera (`Pushes.measure`).

        Raises:
            NotPushed: nothing is.
        """
        return await self._pushes.measure(camera_id, window_s=window_s, samples=samples, within_s=within_s)

    def trickle(self, viewer_id: str, fragment: str) -> str:
        """Take candidates of the browser, or restart ICE; return the fragment to answer with, "" where there is none.

        An ICE-lite answerer needs no candidates: it learns addresses from the checks. A fragment with other credentials than
        those of the offer restarts ICE (RFC 9725 4.3.3): the picture goes on over the old path until a new one is proved.

        Raises:
            RelayRefused: 404 no such viewer, 422 not a fragment of this session.
        """
        if viewer_id in self._pushes:
            return self._pushes.trickle(viewer_id, fragment)
        viewer = self._viewers.get(viewer_id)
        if viewer is None or self._port is None:
            raise RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")
        said = Fragment.parse(fragment)
        if not said.restarts(viewer.peer.remote_ufrag):
            return ""
        self._port.restart(viewer.peer, said.ufrag)
        log.info("relay.viewer.restarted", viewer_id=viewer_id)
        return restart_fragment(viewer.agreed, self._local(viewer))

    def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer, from its next key frame on; `LayerChanged` tells when, or why not.

        Raises:
            RelayRefused: 404 no such viewer, 422 no such layer.
        """
        viewer = self._viewers.get(viewer_id)
        if viewer is None or viewer.feed is None:
            raise RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")
        if wanted not in LAYERS:
            raise RelayRefused(422, "layer_unknown", "the layer is main, sub or auto")
        viewer.wanted = wanted
        viewer.quality.moved(self._now())
        if wanted in {viewer.feed.layer, "auto"}:
            if viewer.joining is not None:
                viewer.joining.leave(viewer)
            self._on_event(self._layer_of(viewer, viewer.feed, ""))
        else:
            self._move(viewer, wanted, "")

    async def examine(self, turn: TurnSetup) -> list[Finding]:
        """Test every way by which a browser could reach this port, and say which one would fail."""
        if self._port is None:
            return []
        return await examine(self._port, turn, self._clock.now().timestamp())

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let these viewers receive for two more seconds."""
        until = self._now() + LEASE_S
        for viewer_id in viewer_ids:
            viewer = self._viewers.get(viewer_id)
            if viewer is not None:
                viewer.lease_until_s = until
        self._readers.renew(viewer_ids, until)

    def stop(self, viewer_id: str, code: str) -> None:
        """End a viewer, or a push; no packet of picture leaves after this returns. Unknown ones are passed over."""
        viewer = self._viewers.get(viewer_id)
        if viewer is not None:
            self._end(viewer, code)
        elif viewer_id in self._pushes:
            self._pushes.stop(viewer_id, code)
        else:
            self._readers.stop(viewer_id, code)

    def states(self) -> list[SourceState]:
        """Return the state of each stream that is pulled."""
        return [layer.pull.state() for layer in self._layers]

    def layer(self, camera_id: str, name: str = "main") -> Layer | None:
        """Return a layer that is pulled now."""
        return self._layers.get(camera_id, name)

    def key_frame(self, camera_id: str, url: str) -> KeyFrame | None:
        """Return the newest key frame of a stream that is pulled from this address now; opens nothing."""
        for layer in self._layers:
            if layer.spec.camera_id == camera_id and layer.pull.spec.url == url:
                held = layer.key_frame()
                if held is not None:
                    payloads, arrived_s = held
                    age = timedelta(seconds=max(0.0, self._clock.monotonic() - arrived_s))
                    return KeyFrame(units(payloads), self._clock.now() - age)
        return None

    def counters(self) -> dict[str, int]:
        """Return the worker's counters: viewers, cameras, packets, datagrams not taken by the kernel."""
        viewers = self._viewers.values()
        return {
            "viewers": len(self._viewers),
            "readers": len(self._readers),
            "connected": sum(viewer.connected for viewer in viewers),
            "cameras": self._layers.cameras,
            "pulls_opened": self._layers.pulls_opened,
            "pushes": len(self._pushes),
            "push_dropped": self._pushes.dropped,
            **self._counting.sent(),
            "reconnects": self._layers.reconnects(),
            "transcodes": self._places.taken,
            "transcodes_refused": self._places.refused,
            "transcodes_failed": self._places.failed,
            "sound_packets": self._sounds_sent + sum(viewer.sounds for viewer in viewers),
            "sounds_recoded": self._sounds.places.taken,
            "sounds_refused": self._sounds.places.refused,
            "sounds_failed": self._sounds.places.failed,
            "send_blocked": self._sender.blocked,
            "send_failed": self._sender.failed,
            "refused_datagrams": self._port.refused if self._port is not None else 0,
        }

    def camera_figures(self) -> tuple[CameraFigures, ...]:
        """Return what is counted for each camera."""
        return self._counting.cameras(self._clock.monotonic())

    @property
    def loop_lag_s(self) -> float:
        """Return how late the event loop came, the most of the last ten to twenty seconds."""
        return self._lag.most_s

    def _pulled(self, camera_id: str, pulled: bool) -> None:
        if not pulled:
            self._counting.let_go(camera_id)
        self._on_event(CameraPulled(camera_id, pulled))

    @property
    def _full(self) -> bool:
        return len(self._viewers) + len(self._readers) + self._answering >= self._limits.max_viewers

    def _no_room(self) -> RelayRefused:
        return RelayRefused(
            503,
            "relay_full",
            f"the relay serves {self._limits.max_viewers} viewers already; try again later",
            retry_after_s=30.0,
        )

    async def _choose_for_reader(self, spec: SourceSpec, wanted: str, takes: Takes) -> Choice:
        choice = await self._chooser.choose(spec, wanted, takes)
        heard = self._layers.sound_of(choice.rendition.fanout)
        if heard is None or not isinstance(takes, CodecsTaken):
            return choice
        if HEARS_ALL in takes.codecs:
            own = heard.own
        elif HEARS in takes.codecs:
            own = heard.aac
        else:
            return choice
        return replace(choice, offered=replace(choice.offered, own_sound=own))

    def _sound_of_reader(self, choice: Choice, codecs: Collection[str]) -> str:
        """Return what a recipient is told about sound, which goes to one as it is."""
        heard = self._layers.sound_of(choice.rendition.fanout)
        if heard is None or not {HEARS, HEARS_ALL} & set(codecs):
            return ""
        return "on" if choice.offered.own_sound is not None else "none" if heard.why == "none" else "codec"

    async def _open(self, spec: SourceSpec, deadline: Deadline, audio: bool) -> MediaSource:
        if spec.url.startswith(f"{SCHEME}:"):
            return self._pushes.open(spec.camera_id)
        return await self._open_source(spec, deadline, audio)

    def _process(self, spec: SourceSpec, layer: str, kind: Kind) -> MakeProcessor:
        if kind == "copy":
            return Copy
        how = replace(self._transcoding, masks=spec.masks)

        def recode(on_picture: Callable[[Picture], None]) -> TranscodeH264:
            return TranscodeH264(on_picture, how, self._places, f"{spec.camera_id} {layer}")

        return recode

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _local(self, viewer: Viewer) -> LocalTransport:
        port, certificate = self._port, self._certificate
        if port is None or certificate is None:
            raise RelayRefused(503, "relay_down", "the relay has not started; try again", retry_after_s=1.0)
        return LocalTransport(
            viewer.peer.ufrag, viewer.peer.pwd, certificate.sha256, port.candidates(), port.tcp_candidates()
        )

    def _layer_of(self, viewer: Viewer, fanout: Fanout, code: str) -> LayerChanged:
        """Return what a viewer is told about the layer that feeds it."""
        return LayerChanged(
            viewer.viewer_id,
            fanout.layer,
            viewer.wanted,
            code,
            fanout.kind,
            viewer.agreed.codec,
            viewer.why,
            self._sound_for(viewer, fanout),
        )

    def _sound_for(self, viewer: Viewer, fanout: Fanout) -> str:
        """Return whether a viewer hears anything of a layer, or why not (`LayerChanged.sound`)."""
        heard = self._layers.sound_of(fanout)
        if not viewer.may_hear or heard is None:
            return ""
        agreed = viewer.agreed.audio_codec
        if heard.why in {"none", "codec"} or (heard.why and agreed != OPUS):
            return heard.why
        if not agreed:
            return "not_offered"
        if heard.why:
            return heard.why
        return "on" if agreed == heard.codec else "codec"

    def _sound_changed(self, layer: Layer) -> None:
        for rendition in layer.renditions.values():
            for viewer in rendition.fanout.viewers.values():
                if viewer.may_hear:
                    self._on_event(self._layer_of(viewer, rendition.fanout, ""))

    def _move(self, viewer: Viewer, name: str, code: str) -> None:
        spec = self._specs.get(viewer.viewer_id)
        if spec is None or viewer.feed is None:
            return
        if name not in spec.layers:
            code = "uplink" if spec.sub_only and name == "main" else "no_sub_stream"
            self._on_event(self._layer_of(viewer, viewer.feed, code))
            return
        viewer.moving_to, viewer.moving_code = name, code
        self._spawn(self._open_and_join(viewer, spec, name), f"move {viewer.viewer_id} to {name}")

    async def _open_and_join(self, viewer: Viewer, spec: SourceSpec, name: str) -> None:
        if self._layers.other_in_use(spec, name, but=viewer) is not None:
            self._not_joined(viewer, "one_stream")
            return
        if not spec.both and viewer.feed is not None:
            # One session only: the picture stands still while the other stream is opened.
            viewer.feed.leave(viewer)
            viewer.next_index = None
        await self._layers.only(spec, name)
        takes = CodecsTaken(frozenset({viewer.agreed.codec}))
        recoded = viewer.feed is not None and viewer.feed.kind == "transcode"
        try:
            choice = await self._beside(spec, name, takes, recoded=recoded)
        except RelayRefused as error:
            self._not_joined(viewer, error.code)
            return
        if viewer.ended or viewer.moving_to != name or choice.rendition.closing:
            return
        viewer.moving_why = choice.why
        choice.rendition.fanout.join(viewer)

    async def _beside(self, spec: SourceSpec, name: str, takes: Takes, *, recoded: bool) -> Choice:
        """Return what a viewer gets of a layer beside the one that it has: recoded only where that one is as well.

        Raises:
            RelayRefused: the layer cannot be had.
        """
        if spec.masks:
            return await self._chooser.recoded(spec, name, takes, why="mask")
        copied = await self._chooser.copied(spec, name, takes)
        if isinstance(copied, Choice):
            return copied
        refusal, why = copied
        if not recoded:
            raise refusal
        return await self._chooser.recoded(spec, name, takes, why=why)

    def _joined(self, viewer: Viewer, fanout: Fanout) -> None:
        viewer.moving_to, viewer.why = "", viewer.moving_why
        self._on_event(self._layer_of(viewer, fanout, viewer.moving_code))

    def _not_joined(self, viewer: Viewer, code: str) -> None:
        """Leave a viewer where it is; one that has nowhere to be any more ends."""
        viewer.moving_to = ""
        if viewer.ended or viewer.feed is None:
            return
        if viewer.viewer_id not in viewer.feed.viewers:
            self._end(viewer, code)
            return
        viewer.quality.moved(self._now())
        self._on_event(self._layer_of(viewer, viewer.feed, code))

    def _picture_lost(self, viewer: Viewer) -> None:
        if viewer.feed is not None:
            viewer.feed.wait_for_key_frame()

    def _connected(self, viewer: Viewer) -> None:
        if viewer.feed is None or viewer.viewer_id not in viewer.feed.viewers:
            return
        viewer.feed.attach(viewer)
        self._on_event(ViewerConnected(viewer.viewer_id))

    def _end(self, viewer: Viewer, code: str) -> None:
        if self._viewers.get(viewer.viewer_id) is not viewer:
            return
        del self._viewers[viewer.viewer_id]
        del self._specs[viewer.viewer_id]
        self._gone = True
        viewer.ended = True
        viewer.next_index = None
        for fanout in (viewer.feed, viewer.joining):
            if fanout is not None:
                fanout.leave(viewer)
        self._counting.left(viewer.camera_id, viewer)
        self._sounds_sent += viewer.sounds
        log.info("relay.viewer.ended", viewer_id=viewer.viewer_id, camera_id=viewer.camera_id, code=code)
        self._spawn(self._farewell(viewer), f"end {viewer.viewer_id}")
        self._on_event(ViewerEnded(viewer.viewer_id, code))

    async def _farewell(self, viewer: Viewer) -> None:
        try:
            await viewer.close()
        finally:
            if self._port is not None:
                self._port.unregister(viewer.peer)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep_house(self) -> None:
        for round_ in itertools.count():
            began_s = self._now()
            await asyncio.sleep(_HOUSEKEEPING_S)
            now = self._now()
            self._lag.note(now - began_s - _HOUSEKEEPING_S, now)
            turn = round_ % _ROUNDS
            # By a number that stays with the viewer: places in a list move when others end.
            for viewer in [one for one in self._viewers.values() if one.turn % _ROUNDS == turn]:
                if viewer.lease_until_s < now:
                    self._end(viewer, "lease_expired")
                elif not viewer.connected:
                    if viewer.age_s > self._limits.connect_within_s:
                        self._end(viewer, "not_connected")
                elif viewer.silent_s > self._limits.gone_after_s:
                    self._end(viewer, "viewer_gone")
                else:
                    if viewer.wanted == "auto":
                        self._adapt(viewer, now)
                    if viewer.next_report_s <= now:
                        self._report(viewer, now)
            self._readers.keep_house(now)
            self._readers.report(now, self._clock)
            if turn == 0:
                self._layers.keep_house(now)
            self._pushes.keep_house(now)
            if self._gone and round_ % _SWEEP_ROUNDS == 0:
                # Sending makes next to no objects that are counted, so the collector would hardly ever come by.
                self._gone = False
                self._sweep()

    def _adapt(self, viewer: Viewer, now_s: float) -> None:
        """Move a viewer to the layer that its network bears."""
        spec = self._specs[viewer.viewer_id]
        if viewer.feed is None or viewer.moving_to or len(spec.layers) < 2 or not spec.both:
            return
        chosen = viewer.quality.choose(viewer.feed.layer, now_s)
        if chosen != viewer.feed.layer:
            self._move(viewer, chosen, "network" if chosen == "sub" else "recovered")

    def _report(self, viewer: Viewer, now_s: float) -> None:
        if viewer.feed is not None:
            picture, sound = viewer.feed.ticks(self._clock.monotonic(), viewer.agreed.audio_codec)
            viewer.report(self._clock.now().timestamp(), picture, sound)
        viewer.next_report_s = now_s + self._limits.report_every_s
