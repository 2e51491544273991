"""Recipients that are no WebRTC viewers (MSE, RTSP out): leased, counted and ended like them, fed by a layer's ring."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

import structlog

from adapters.clock import Clock
from hub.relay.camera.layers import Layers
from hub.relay.camera.renditions import Rendition
from hub.relay.choice import Choice, Chooser, CodecsTaken
from hub.relay.errors import RelayRefused
from hub.relay.events import HEARS_ALL, LayerChanged, RelayEvent, SourceSpec, ViewerConnected, ViewerEnded
from hub.relay.fanout import Reader
from hub.relay.ring import PacketRing
from hub.relay.webrtc.sdp import Offered
from hub.relay.workers.figures import Sends, Tallies

log = structlog.get_logger(__name__)

HEARS: Final = "AAC"  # among the codecs of a recipient: it plays this sound


class Ending(Reader, Sends, Protocol):
    """A reader that counts what it sends and can be told that it has ended."""

    def end(self, code: str) -> None:
        """Let go of the recipient: nothing is sent from now on. Must not block."""


@runtime_checkable
class Reported(Ending, Protocol):
    """A reader whose recipient reads sender reports (RFC 3550 6.4.1), by which it shows picture and sound together."""

    hears: str
    report_due_s: float  # event loop time

    def report(self, unix_s: float, picture_tick: int, sound_tick: int) -> None:
        """Say which ticks belong to this moment."""


Make = Callable[[Offered], Ending]


class Warm:
    """Keeps a stream open and takes nothing of it: who comes begins with the key frame at hand."""

    def __init__(self) -> None:
        self.lease_until_s = 0.0
        self.packets = self.octets = self.resent = self.skipped = 0

    def attach(self, ring: PacketRing) -> None:
        """Take no notice."""

    def take(self) -> bool:
        """Take nothing."""
        return False

    def end(self, code: str) -> None:
        """Do nothing: nothing is held."""


@dataclass(slots=True, eq=False)
class _Reading:
    viewer_id: str
    camera_id: str
    rendition: Rendition
    reader: Ending


class Readers:
    """All recipients of this process that read rings by themselves, by the id of their view."""

    def __init__(
        self, layers: Layers, chooser: Chooser, *, tallies: Tallies, on_event: Callable[[RelayEvent], None]
    ) -> None:
        self._layers = layers
        self._chooser = chooser
        self._tallies = tallies
        self._on_event = on_event
        self._readings: dict[str, _Reading] = {}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._readings)

    def __iter__(self) -> Iterator[tuple[str, Sends]]:
        """Walk over the readers and their cameras."""
        return iter([(one.camera_id, one.reader) for one in self._readings.values()])

    async def add(
        self,
        viewer_id: str,
        spec: SourceSpec,
        *,
        wanted: str,
        codecs: Collection[str],
        make: Make,
        lease_s: float,
    ) -> Choice:
        """Open a layer for a recipient and feed it from the newest key frame on, for `lease_s` and as long as `renew` names it.

        `codecs`: those that it plays, of picture and sound (`RelayEngine.read`).

        Raises:
            RelayRefused: the stream cannot be had; says why.
        """
        if viewer_id in self._readings:
            raise RelayRefused(409, "viewer_exists", "this viewer session runs already; open another")
        choice = await self._choose(spec, wanted, codecs)
        if choice.rendition.closing or viewer_id in self._readings:
            raise RelayRefused(
                503, "relay_busy", "the camera was being released; try again", retry_after_s=1.0
            )
        reader = make(choice.offered)
        # Counted from now: the camera may have taken longer to open than a lease lasts.
        reader.lease_until_s = asyncio.get_running_loop().time() + lease_s
        self._readings[viewer_id] = _Reading(viewer_id, spec.camera_id, choice.rendition, reader)
        choice.rendition.fanout.add(reader)
        log.info("relay.reader.added", viewer_id=viewer_id, camera_id=spec.camera_id, layer=choice.layer)
        self._on_event(ViewerConnected(viewer_id))
        told = LayerChanged(
            viewer_id,
            choice.layer,
            wanted,
            choice.code,
            choice.rendition.kind,
            choice.offered.codec,
            choice.why,
            self._sound_of(choice, codecs),
        )
        if told != LayerChanged(viewer_id, "main", "main"):
            self._on_event(told)
        return choice

    def renew(self, viewer_ids: Collection[str], lease_until_s: float) -> None:
        """Let these recipients be fed until then (event loop seconds)."""
        for viewer_id in viewer_ids:
            reading = self._readings.get(viewer_id)
            if reading is not None:
                reading.reader.lease_until_s = lease_until_s

    def stop(self, viewer_id: str, code: str) -> None:
        """End a recipient; nothing is sent after this returns. Unknown ones are passed over."""
        reading = self._readings.pop(viewer_id, None)
        if reading is None:
            return
        reading.reader.lease_until_s = 0.0
        reading.rendition.fanout.remove(reading.reader)
        reading.reader.end(code)
        self._tallies.left(reading.camera_id, reading.reader)
        log.info("relay.reader.ended", viewer_id=viewer_id, camera_id=reading.camera_id, code=code)
        self._on_event(ViewerEnded(viewer_id, code))

    def rendition_ended(self, rendition: Rendition, code: str) -> None:
        """End the recipients of a rendition."""
        for reading in list(self._readings.values()):
            if reading.rendition is rendition:
                self.stop(reading.viewer_id, code)

    def keep_house(self, now_s: float) -> None:
        """End those that nobody vouches for any more (event loop seconds)."""
        for reading in list(self._readings.values()):
            if reading.reader.lease_until_s < now_s:
                self.stop(reading.viewer_id, "lease_expired")

    def report(self, now_s: float, clock: Clock) -> None:
        """Send the reports that are due (event loop seconds)."""
        for reading in list(self._readings.values()):
            reader = reading.reader
            if isinstance(reader, Reported) and reader.report_due_s <= now_s <= reader.lease_until_s:
                ticks = reading.rendition.fanout.ticks(clock.monotonic(), reader.hears)
                try:
                    reader.report(clock.now().timestamp(), *ticks)
                except Exception:  # ours: it must cost this recipient alone
                    log.exception("relay.reader.fault", viewer_id=reading.viewer_id)
                    self.stop(reading.viewer_id, "relay_failed")

    def cut(self, code: str) -> None:
        """End all."""
        for viewer_id in list(self._readings):
            self.stop(viewer_id, code)

    async def _choose(self, spec: SourceSpec, wanted: str, codecs: Collection[str]) -> Choice:
        """Return what serves a recipient best, with the sound that it can be handed as it is."""
        choice = await self._chooser.choose(spec, wanted, CodecsTaken(frozenset(codecs)))
        heard = self._layers.sound_of(choice.rendition.fanout)
        if heard is None:
            return choice
        if HEARS_ALL in codecs:
            own = heard.own
        elif HEARS in codecs:
            own = heard.aac
        else:
            return choice
        return replace(choice, offered=replace(choice.offered, own_sound=own))

    def _sound_of(self, choice: Choice, codecs: Collection[str]) -> str:
        """Return what a recipient is told about sound, which goes to one as it is."""
        heard = self._layers.sound_of(choice.rendition.fanout)
        if heard is None or not {HEARS, HEARS_ALL} & set(codecs):
            return ""
        return "on" if choice.offered.own_sound is not None else "none" if heard.why == "none" else "codec"
