"""Everything of the relay that lives in one process: the port, the cameras that are pulled, their viewers."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.port import MediaSource, PushSeen
from hub.relay.camera.copying import Copy
from hub.relay.camera.hardware import Hardware
from hub.relay.camera.layers import Layer, Layers
from hub.relay.camera.packetise import units
from hub.relay.camera.places import SharedPlaces
from hub.relay.camera.processing import MakeProcessor, Picture
from hub.relay.camera.renditions import Kind
from hub.relay.camera.sound import SoundSetup
from hub.relay.camera.source import OpenSource
from hub.relay.camera.transcoding import Places, TranscodeH264, Transcoding
from hub.relay.choice import Chooser
from hub.relay.errors import RelayRefused
from hub.relay.events import CameraPulled, Finding, KeyFrame, RelayEvent, SourceSpec, SourceState
from hub.relay.outputs.readers import Make, Readers
from hub.relay.reachability import examine
from hub.relay.sender import PacketSender
from hub.relay.sweep import Sweep
from hub.relay.webrtc.dtls import Certificate, Turns
from hub.relay.webrtc.ice import UdpPort
from hub.relay.webrtc.push_limits import Allowance
from hub.relay.webrtc.pushes import SCHEME, Pushes
from hub.relay.webrtc.sdp import Offered
from hub.relay.webrtc.turn import TurnSetup
from hub.relay.webrtc.viewers import Viewers
from hub.relay.workers.counting import Counting
from hub.relay.workers.figures import CameraFigures, LoopLag, Tallies

log = structlog.get_logger(__name__)

LEASE_S: Final = 2.0
_HOUSEKEEPING_S = 0.1
_LAYERS_ROUNDS = 5  # layers are looked after twice a second
_SWEEP_ROUNDS = 600  # once a minute, where somebody left


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
        self._open_source = open_source
        self._transcoding = transcoding or Transcoding()
        self._places = Places(self._limits.max_transcodes, shared_places)
        self._sounds = SoundSetup(Places(self._limits.max_sounds, shared_sounds), self._transcoding.setup)
        self._tallies = Tallies()
        self._sender = PacketSender()
        self._port: UdpPort | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._housekeeper: asyncio.Task[None] | None = None
        self._answering = 0  # who is being answered
        self._lag = LoopLag()
        self._sweep = Sweep()
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
            spawn=self._spawn,
        )
        chooser = Chooser(self._layers, self._places, within_s=self._limits.source_within_s)
        turns = Turns()
        self._viewers = Viewers(
            self._layers,
            chooser,
            clock,
            sender=self._sender,
            turns=turns,
            tallies=self._tallies,
            on_event=on_event,
            spawn=self._spawn,
            connect_within_s=self._limits.connect_within_s,
            gone_after_s=self._limits.gone_after_s,
            report_every_s=self._limits.report_every_s,
        )
        self._readers = Readers(self._layers, chooser, tallies=self._tallies, on_event=on_event)
        self._layers.feed(self._viewers, self._viewers.moves, self._readers)
        self._pushes = Pushes(
            clock, turns, on_event=on_event, spawn=self._spawn, allowance=Allowance(self._limits.push_kbit_s)
        )
        self._counting = Counting(self._layers, self._viewers, self._readers, self._tallies)

    def start(self, hosts: tuple[str, ...], port: int, public_addresses: tuple[str, ...] = ()) -> int:
        """Open the UDP port and return its number.

        Raises:
            OSError: the port cannot be bound.
        """
        certificate = Certificate.generateCertificate()
        self._port = UdpPort(public_addresses)
        number = self._port.open(hosts, port)
        self._viewers.start(self._port, certificate)
        self._pushes.start(self._port, certificate)
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
        self._viewers.cut("relay_stopped")
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
        with self._place():
            choice = await self._readers.add(
                viewer_id, spec, wanted=wanted, codecs=codecs, make=make, lease_s=LEASE_S
            )
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
        with self._place():
            return await self._viewers.answer(
                viewer_id, spec, offer_sdp, audio=audio, wanted=wanted, lease_s=LEASE_S
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
        return self._viewers.trickle(viewer_id, fragment)

    def choose_layer(self, viewer_id: str, wanted: str) -> None:
        """Let a viewer have another layer, from its next key frame on; `LayerChanged` tells when, or why not.

        Raises:
            RelayRefused: 404 no such viewer, 422 no such layer.
        """
        self._viewers.choose_layer(viewer_id, wanted)

    async def examine(self, turn: TurnSetup) -> list[Finding]:
        """Test every way by which a browser could reach this port, and say which one would fail."""
        if self._port is None:
            return []
        return await examine(self._port, turn, self._clock.now().timestamp())

    def renew(self, viewer_ids: Collection[str]) -> None:
        """Let these viewers receive for two more seconds."""
        until = asyncio.get_running_loop().time() + LEASE_S
        self._viewers.renew(viewer_ids, until)
        self._readers.renew(viewer_ids, until)

    def stop(self, viewer_id: str, code: str) -> None:
        """End a viewer, or a push; no packet of picture leaves after this returns. Unknown ones are passed over."""
        viewer = self._viewers.get(viewer_id)
        if viewer is not None:
            self._viewers.end(viewer, code)
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
        return {
            "viewers": len(self._viewers),
            "readers": len(self._readers),
            "connected": sum(viewer.connected for viewer in self._viewers.values()),
            "cameras": self._layers.cameras,
            "pulls_opened": self._layers.pulls_opened,
            "pushes": len(self._pushes),
            "push_dropped": self._pushes.dropped,
            **self._counting.sent(),
            "reconnects": self._layers.reconnects(),
            "transcodes": self._places.taken,
            "transcodes_refused": self._places.refused,
            "transcodes_failed": self._places.failed,
            "transcodes_hardware": self._places.hardware.streams,
            "coders_failed": self._places.hardware.failed,
            "sound_packets": self._viewers.sounds,
            "sounds_recoded": self._sounds.places.taken,
            "sounds_refused": self._sounds.places.refused,
            "sounds_failed": self._sounds.places.failed,
            "send_blocked": self._sender.blocked,
            "send_failed": self._sender.failed,
            "refused_datagrams": self._port.refused if self._port is not None else 0,
        }

    @property
    def hardware(self) -> Hardware:
        """Return what is known of the machine's coders."""
        return self._places.hardware

    def camera_figures(self) -> tuple[CameraFigures, ...]:
        """Return what is counted for each camera."""
        return self._counting.cameras(self._clock.monotonic())

    @property
    def loop_lag_s(self) -> float:
        """Return how late the event loop came, the most of the last ten to twenty seconds."""
        return self._lag.most_s

    def _pulled(self, camera_id: str, pulled: bool) -> None:
        if not pulled:
            self._tallies.forget(camera_id)
        self._on_event(CameraPulled(camera_id, pulled))

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Hold a place for one who is being answered, so that many at once find no more than there are.

        Raises:
            RelayRefused: 503, all are taken.
        """
        if len(self._viewers) + len(self._readers) + self._answering >= self._limits.max_viewers:
            raise RelayRefused(
                503,
                "relay_full",
                f"the relay serves {self._limits.max_viewers} viewers already; try again later",
                retry_after_s=30.0,
            )
        self._answering += 1
        try:
            yield
        finally:
            self._answering -= 1

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

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _keep_house(self) -> None:
        loop, swept = asyncio.get_running_loop(), 0
        for round_ in itertools.count():
            began_s = loop.time()
            await asyncio.sleep(_HOUSEKEEPING_S)
            now = loop.time()
            self._lag.note(now - began_s - _HOUSEKEEPING_S, now)
            try:
                self._look_after(round_, now)
            except Exception:  # ours: without this task no camera would ever be let go again
                log.exception("relay.housekeeping.fault")
            if round_ % _SWEEP_ROUNDS == 0 and self._viewers.left != swept:
                # Sending makes next to no objects that are counted, so the collector would hardly ever come by.
                swept = self._viewers.left
                self._sweep()

    def _look_after(self, round_: int, now_s: float) -> None:
        self._viewers.keep_house(round_, now_s)
        self._readers.keep_house(now_s)
        self._readers.report(now_s, self._clock)
        if round_ % _LAYERS_ROUNDS == 0:
            self._layers.keep_house(now_s)
        self._pushes.keep_house(now_s)
