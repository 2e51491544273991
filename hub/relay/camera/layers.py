"""The streams of the cameras that are pulled now: opened once, shared, left alone when nobody wants them."""

import asyncio
import math
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import structlog

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.port import MediaSource
from hub.relay.camera.processing import MakeProcessor
from hub.relay.camera.renditions import Kind, Rendition
from hub.relay.camera.sound import Sounds, SoundSetup
from hub.relay.camera.source import OpenSource, Pull
from hub.relay.errors import RelayRefused
from hub.relay.events import SourceSpec, SourceState
from hub.relay.fanout import Fanout
from hub.relay.sender import PacketSender
from hub.relay.webrtc.viewer import Viewer

log = structlog.get_logger(__name__)

Key = tuple[str, str]  # camera, layer
_ASK_EVERY_S: Final = 2.0


@dataclass(slots=True, eq=False)
class Layer:
    """One stream of one camera: a pull and what is made of it."""

    spec: SourceSpec  # of the camera
    name: str
    pull: Pull
    renditions: dict[Kind, Rendition] = field(default_factory=dict)
    waiting: int = 0  # offers and moves that wait for the source
    idle_since_s: float | None = None
    closing: bool = False
    asked_s: float = 0.0  # when the camera was last asked for a key frame

    @property
    def key(self) -> Key:
        """Return what it is found by."""
        return self.spec.camera_id, self.name

    @property
    def used(self) -> bool:
        """Tell whether anybody gets it or waits for it."""
        return bool(self.waiting or any(rendition.used for rendition in self.renditions.values()))

    def key_frame(self) -> tuple[list[bytes], float] | None:
        """Return the payloads of the newest key frame that is H.264, and when it arrived (monotonic seconds)."""
        for rendition in self.renditions.values():
            held = rendition.fanout.key_frame() if rendition.sends == "H264" else None
            if held is not None:
                return held
        return None

    def feeds(self, but: Viewer | None = None) -> bool:
        """Tell whether it feeds anybody, or is about to, but this one."""
        spared = set() if but is None else {but.viewer_id}
        return any(
            rendition.fanout.readers
            or (rendition.fanout.viewers.keys() | rendition.fanout.joining.keys()) - spared
            for rendition in self.renditions.values()
        )


class Watching(Protocol):
    """The viewers."""

    def end(self, viewer: Viewer, code: str) -> None:
        """End one."""

    def sound_changed(self, layer: Layer) -> None:
        """Hear that the sound of a layer has come, changed or failed."""


class Moving(Protocol):
    """The viewers who go from one layer to another."""

    def joined(self, viewer: Viewer, fanout: Fanout) -> None:
        """Hear that one is fed by another layer now."""

    def not_joined(self, viewer: Viewer, code: str) -> None:
        """Hear that one waits in vain, and why."""


class Reading(Protocol):
    """The recipients that are no viewers."""

    def rendition_ended(self, rendition: Rendition, code: str) -> None:
        """End those of a rendition."""


class Layers:
    """All layers of this process.

    `process` says what makes a rendition's pictures; `on_pulled` hears that a camera is held by this process from now on (True),
    or that nothing of it is left (False). Those who are fed are named by `feed`, before the first layer is opened.
    """

    def __init__(
        self,
        open_source: OpenSource,
        clock: Clock,
        sender: PacketSender,
        *,
        process: Callable[[SourceSpec, str, Kind], MakeProcessor],
        sound: SoundSetup,
        max_cameras: int,
        idle_stop_s: float,
        on_state: Callable[[SourceState], None],
        on_pulled: Callable[[str, bool], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"],
    ) -> None:
        self._open_source = open_source
        self._clock = clock
        self._sender = sender
        self._process = process
        self._sound = sound
        self._max = max_cameras
        self._idle_stop_s = idle_stop_s
        self._on_state = on_state
        self._on_pulled = on_pulled
        self._spawn = spawn
        self._layers: dict[Key, Layer] = {}
        self._releasing: dict[Key, asyncio.Task[None]] = {}
        self.pulls_opened = 0
        self._reconnects: Counter[str] = Counter()  # of layers that were released, by camera

    def feed(self, viewers: Watching, moves: Moving, readers: Reading) -> None:
        """Tell those who are fed what becomes of their layers, from now on."""
        self._viewers, self._moves, self._readers = viewers, moves, readers

    def __iter__(self) -> Iterator[Layer]:
        """Walk over the layers that are pulled."""
        return iter(list(self._layers.values()))

    def get(self, camera_id: str, name: str) -> Layer | None:
        """Return a layer that is pulled now."""
        return self._layers.get((camera_id, name))

    @property
    def cameras(self) -> int:
        """Return how many cameras are pulled."""
        return len({camera_id for camera_id, _name in self._layers})

    def reconnects(self, camera_id: str | None = None) -> int:
        """Return how often connections that had broken were opened anew: to one camera, or to all."""
        present = (one for one in self._layers.values() if camera_id in {None, one.spec.camera_id})
        gone = self._reconnects.total() if camera_id is None else self._reconnects[camera_id]
        return gone + sum(layer.pull.reconnects for layer in present)

    @asynccontextmanager
    async def opened(self, spec: SourceSpec, name: str, *, within_s: float) -> AsyncIterator[Layer]:
        """Give a layer, pulled, and keep it for as long as the caller finds out what it sends.

        Raises:
            RelayRefused: it cannot be had; says why.
        """
        layer = await self._layer(spec, name)
        layer.waiting += 1
        try:
            async with asyncio.timeout(within_s):
                yield layer
        except TimeoutError:
            raise RelayRefused(
                503,
                "no_frames",
                f"the camera gave no picture within {within_s:.0f} s",
                retry_after_s=5.0,
            ) from None
        finally:
            layer.waiting -= 1

    def rendition(self, layer: Layer, kind: Kind) -> Rendition:
        """Return a rendition of a layer, begun where there was none."""
        held = layer.renditions.get(kind)
        if held is not None:
            return held
        fanout = Fanout(
            layer.spec.camera_id,
            layer.name,
            self._sender,
            kind=kind,
            on_ended=self._viewers.end,
            on_joined=self._moves.joined,
            on_key_frame_wanted=lambda: self._key_frame_wanted(layer, rendition),
        )
        rendition = Rendition(kind, fanout, self._process(layer.spec, layer.name, kind), self._clock, self)
        layer.renditions[kind] = rendition
        layer.pull.add(rendition)
        return rendition

    def sound_of(self, fanout: Fanout) -> Sounds | None:
        """Return the sound that goes with a fan-out's pictures."""
        layer = self._layers.get((fanout.camera_id, fanout.layer))
        return layer.pull.sounds if layer is not None else None

    def other_in_use(self, spec: SourceSpec, name: str, but: Viewer | None = None) -> Layer | None:
        """Return the camera's other layer where the device may be pulled once only and somebody else needs that one."""
        if spec.both:
            return None
        for layer in self._layers.values():
            same = layer.spec.camera_id == spec.camera_id and layer.name != name and not layer.closing
            if same and (layer.waiting or layer.feeds(but)):
                return layer
        return None

    async def only(self, spec: SourceSpec, name: str) -> None:
        """Hang up the camera's other layer before this one is opened, where the device may be pulled once only."""
        for layer in list(self._layers.values()):
            if not spec.both and layer.spec.camera_id == spec.camera_id and layer.name != name:
                self.release(layer)
                await asyncio.wait({self._releasing[layer.key]})

    async def make_room(self) -> None:
        """End the transcode that nobody has wanted for longest: its place is needed now."""
        # One that nobody has asked for yet is not idle; one whose last viewer left a moment ago is, before the house is kept again.
        idle = [
            (rendition.idle_since_s or math.inf, layer, rendition)
            for layer in self._layers.values()
            if (rendition := layer.renditions.get("transcode")) is not None
            and (rendition.known or rendition.idle_since_s is not None)
            and not rendition.used
            and not (layer.spec.masks and layer.waiting)
        ]
        if not idle:
            return
        _since, layer, rendition = min(idle, key=lambda item: item[0])
        if layer.spec.masks:
            self.release(layer)
            await asyncio.wait({self._releasing[layer.key]})
        else:
            await self._drop(layer, rendition)

    def rendition_ended(self, rendition: Rendition, code: str) -> None:
        """End those who got it; a transcode that was refused is forgotten, so that the next viewer may try again."""
        self._end_those_of(rendition, code)
        if rendition.kind == "transcode":
            for layer in list(self._layers.values()):
                if layer.renditions.get("transcode") is rendition:
                    self._drop(layer, rendition)

    def rendition_restarted(self, rendition: Rendition) -> None:
        """Ask the camera for a key frame: what failed has forgotten the last one."""
        for layer in self._layers.values():
            if layer.renditions.get(rendition.kind) is rendition:
                self._ask_camera(layer)

    def rendition_held(self, rendition: Rendition) -> None:
        """Ask the camera for a key frame where anybody gets the pictures that are missing."""
        if rendition.used:
            self.rendition_restarted(rendition)

    def _key_frame_wanted(self, layer: Layer, rendition: Rendition) -> None:
        """Make a key frame where it is made here, else ask the camera, where it may be asked and can be."""
        if not rendition.want_key_frame():
            self._ask_camera(layer)

    def _ask_camera(self, layer: Layer) -> None:
        now = self._clock.monotonic()
        if layer.spec.may_ask and not layer.closing and now - layer.asked_s >= _ASK_EVERY_S:
            layer.asked_s = now
            self._spawn(self._ask(layer), f"key frame of {layer.spec.camera_id}")

    def _keep_transcode(self, layer: Layer, now_s: float) -> None:
        """End a transcode without anybody, which costs the most; the pull may go on."""
        rendition = layer.renditions.get("transcode")
        if rendition is None:
            return
        if rendition.used:
            rendition.idle_since_s = None
        elif rendition.idle_since_s is None:
            rendition.idle_since_s = now_s
        elif now_s - rendition.idle_since_s > self._idle_stop_s and not layer.spec.masks:
            self._drop(layer, rendition)  # a masked layer has nothing else: that one ends with the pull

    def _drop(self, layer: Layer, rendition: Rendition) -> "asyncio.Task[None]":
        del layer.renditions[rendition.kind]
        layer.pull.remove(rendition)
        rendition.closing = True
        return self._spawn(rendition.aclose(), f"drop {rendition.kind} of {layer.spec.camera_id}")

    def keep_house(self, now_s: float) -> None:
        """Ask again for key frames that are waited for; end what nobody has wanted for a while: transcodes, then pulls (event loop seconds)."""
        for layer in list(self._layers.values()):
            self._keep_transcode(layer, now_s)
            for rendition in layer.renditions.values():
                # Whoever waits is not asked for once: the request, or what answers it, may be lost.
                if rendition.fanout.waiting:
                    self._key_frame_wanted(layer, rendition)
            if layer.used:
                layer.idle_since_s = None
            elif layer.idle_since_s is None:
                layer.idle_since_s = now_s
            elif layer.pull.ended is not None or now_s - layer.idle_since_s > self._idle_stop_s:
                self.release(layer)
                if layer.pull.ended is None:
                    # We hung up: whoever took this camera as seen by the relay has to look for itself again.
                    self._on_state(
                        SourceState(
                            layer.spec.camera_id, "offline", self._clock.now(), "idle", layer=layer.name
                        )
                    )

    def release(self, layer: Layer) -> None:
        """Stop feeding and pulling a layer; the camera is told. Idempotent."""
        if layer.closing:
            return
        layer.closing = True
        key = layer.key
        if layer.pull.reconnects:
            self._reconnects[key[0]] += layer.pull.reconnects
        if self._layers.get(key) is layer:
            del self._layers[key]
        task = self._spawn(self._close(layer), f"release {key[0]} {key[1]}")
        self._releasing[key] = task

        def forget(done: "asyncio.Task[None]") -> None:
            if self._releasing.get(key) is done:
                del self._releasing[key]
                if not self._holds(key[0]):
                    self._on_pulled(key[0], False)

        task.add_done_callback(forget)

    def release_all(self) -> None:
        """Release every layer."""
        for layer in list(self._layers.values()):
            self.release(layer)

    async def _layer(self, spec: SourceSpec, name: str) -> Layer:
        key = (spec.camera_id, name)
        while (leaving := self._releasing.get(key)) is not None:
            # many cameras allow one client only: the old one says goodbye first
            await asyncio.wait({leaving})
        stale = [
            layer
            for layer in self._layers.values()
            if layer.spec.camera_id == spec.camera_id
            and (layer.spec != spec or (layer.name == name and layer.pull.ended is not None))
        ]
        for layer in stale:
            # The owner changed the address or the credential, or the pull had ended: begin anew, and its viewers too.
            self._end_all(layer, "source_changed")
            self.release(layer)
        if stale:
            return await self._layer(spec, name)
        if (held := self._layers.get(key)) is not None:
            return held
        if len(self._layers) >= self._max:
            raise RelayRefused(
                503,
                "relay_full",
                f"the relay pulls {self._max} streams already; try again later",
                retry_after_s=30.0,
            )
        pull = Pull(
            spec.of_layer(name),
            self._opened,
            self._clock,
            layer=name,
            sound=self._sound,
            on_state=self._on_state,
            on_sound=lambda: self._viewers.sound_changed(layer),
            on_end=lambda refusal: self._pull_ended(layer, refusal),
        )
        layer = Layer(spec, name, pull)
        if not self._holds(spec.camera_id):
            self._on_pulled(spec.camera_id, True)
        self._layers[key] = layer
        # Where a zone is to be black no picture that shows it is kept: there is no copy, and no ring of it.
        self.rendition(layer, "transcode" if spec.masks else "copy")
        self._on_state(pull.state())
        pull.start()
        return layer

    def _holds(self, camera_id: str) -> bool:
        """Tell whether anything of a camera is open, or not yet closed."""
        return any(key[0] == camera_id for key in (*self._layers, *self._releasing))

    async def _opened(self, spec: SourceSpec, deadline: Deadline, audio: bool) -> MediaSource:
        self.pulls_opened += 1
        return await self._open_source(spec, deadline, audio)

    def _pull_ended(self, layer: Layer, refusal: RelayRefused) -> None:
        if not layer.closing:
            self._end_all(layer, refusal.code)

    def _end_all(self, layer: Layer, code: str) -> None:
        """End the viewers of a layer; those who only wait for it stay where they are."""
        for rendition in list(layer.renditions.values()):
            self._end_those_of(rendition, code)

    def _end_those_of(self, rendition: Rendition, code: str) -> None:
        for viewer in list(rendition.fanout.joining.values()):
            rendition.fanout.leave(viewer)
            self._moves.not_joined(viewer, code)
        for viewer in list(rendition.fanout.viewers.values()):
            self._viewers.end(viewer, code)
        self._readers.rendition_ended(rendition, code)

    @staticmethod
    async def _close(layer: Layer) -> None:
        for rendition in layer.renditions.values():
            rendition.closing = True
            await rendition.fanout.aclose()
        await layer.pull.aclose()
        for rendition in layer.renditions.values():
            await rendition.aclose()

    @staticmethod
    async def _ask(layer: Layer) -> None:
        try:
            asked = await layer.pull.ask_key_frame()
        except (AdapterError, OSError) as error:
            log.info("relay.key_frame.refused", camera_id=layer.spec.camera_id, error=type(error).__name__)
            return
        if asked:
            log.debug("relay.key_frame.asked", camera_id=layer.spec.camera_id, layer=layer.name)
