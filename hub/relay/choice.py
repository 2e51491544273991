"""What one viewer gets: the copy where it can play it, another layer, or the shared transcode - the cheapest that plays."""

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from hub.relay.camera.layers import Layers
from hub.relay.camera.processing import why_not
from hub.relay.camera.renditions import Rendition
from hub.relay.camera.transcoding import Places
from hub.relay.errors import RelayRefused
from hub.relay.events import SourceSpec
from hub.relay.webrtc.sdp import Offer, Offered, receives

T = TypeVar("T")
_RECODED: Final = Offered("H264")  # what a transcode sends


class Takes(Protocol):
    """What a recipient can play."""

    def __call__(self, offered: Offered) -> bool:
        """Tell whether it can; where the SPS is not known yet, whether it might."""


@dataclass(frozen=True, slots=True)
class OfferTakes:
    """A browser, by its offer."""

    offer: Offer

    def __call__(self, offered: Offered) -> bool:
        """Tell whether a payload type for this was offered."""
        return receives(self.offer, offered)


@dataclass(frozen=True, slots=True)
class CodecsTaken:
    """A recipient that named its codecs."""

    codecs: frozenset[str]

    def __call__(self, offered: Offered) -> bool:
        """Tell whether it is one of them."""
        return offered.codec in self.codecs


@dataclass(frozen=True, slots=True)
class Choice:
    """What a viewer gets. `code` says why it is this layer, `why` why the stream wanted is not sent as it is."""

    layer: str
    rendition: Rendition
    offered: Offered
    code: str = ""
    why: str = ""  # a word of `processing.WHY`


class Chooser:
    """Finds it. `places`: how many transcodes may be made; none at all where that is 0."""

    def __init__(self, layers: Layers, places: Places, *, within_s: float) -> None:
        self._layers = layers
        self._places = places
        self._within_s = within_s
        self._recodes = places.limit > 0

    async def choose(self, spec: SourceSpec, wanted: str, takes: Takes) -> Choice:
        """Return the layer wanted, copied; else the camera's other layer, copied; else the layer wanted, recoded.

        Raises:
            RelayRefused: nothing can be had that plays; says why.
        """
        name, code = ("sub" if wanted == "sub" else "main"), ""
        if name not in spec.layers:
            name, code = spec.layers[0], "uplink" if spec.sub_only else "no_sub_stream"
        if (other := self._layers.other_in_use(spec, name)) is not None:
            name, code = other.name, "one_stream"
        await self._layers.only(spec, name)
        if spec.masks:
            return await self.recoded(spec, name, takes, code=code, why="mask")
        copied = await self.copied(spec, name, takes)
        if isinstance(copied, Choice):
            return Choice(name, copied.rendition, copied.offered, code)
        refusal, why = copied
        instead = await self._other_layer(spec, name, takes, why)
        if instead is not None:
            return instead
        if not self._recodes or not takes(_RECODED):
            raise refusal
        await self._layers.only(spec, name)
        return await self.recoded(spec, name, takes, code=code, why=why)

    async def copied(self, spec: SourceSpec, name: str, takes: Takes) -> Choice | tuple[RelayRefused, str]:
        """Return the copy of a layer, or why it does not play.

        Raises:
            RelayRefused: the layer cannot be pulled.
        """
        async with self._layers.opened(spec, name, within_s=self._within_s) as layer:
            copy = self._layers.rendition(layer, "copy")
            try:
                sent = Offered(await _kept(copy, copy.codec()))
                if takes(sent):
                    sent = await _kept(copy, copy.offered())
                    if takes(sent):
                        return Choice(name, copy, sent)
            except RelayRefused as error:
                if error.status != 406 or not copy.why:
                    raise
                return error, copy.why
        refusal = RelayRefused(
            406,
            "codec_not_playable",
            f"the camera sends {sent.words}, which this browser does not receive; set the camera's encoding to H.264, or "
            "enrol its H.264 sub-stream",
        )
        return refusal, why_not(sent.codec)

    async def recoded(self, spec: SourceSpec, name: str, takes: Takes, *, why: str, code: str = "") -> Choice:
        """Return the transcode of a layer.

        Raises:
            RelayRefused: it cannot be made, or would not play either; says why.
        """
        if not self._recodes:
            raise RelayRefused(
                503,
                "transcodes_full",
                "this hub is set to recode no streams, and this one must be recoded; set relay.transcodes",
                retry_after_s=60.0,
            )
        if not takes(_RECODED):
            raise RelayRefused(406, "codec_not_playable", "this browser does not receive H.264")
        async with self._layers.opened(spec, name, within_s=self._within_s) as layer:
            if "transcode" not in layer.renditions and self._places.full:
                await self._layers.make_room()
            rendition = self._layers.rendition(layer, "transcode")
            return Choice(name, rendition, await _kept(rendition, rendition.offered()), code, why)

    async def _other_layer(self, spec: SourceSpec, name: str, takes: Takes, why: str) -> Choice | None:
        """Return the camera's other layer, where it plays as it is and may be pulled."""
        other = "main" if name == "sub" else "sub"
        known = spec.codec if other == "main" else spec.sub_codec
        if other not in spec.layers or (known and not takes(Offered(known))):
            return None
        if self._layers.other_in_use(spec, other) is not None:
            return None
        await self._layers.only(spec, other)
        try:
            found = await self.copied(spec, other, takes)
        except RelayRefused:
            return None
        if not isinstance(found, Choice):
            return None
        return Choice(other, found.rendition, found.offered, "codec_not_playable", why)


async def _kept(rendition: Rendition, work: Awaitable[T]) -> T:
    """Wait for something about a rendition, which is not ended meanwhile."""
    rendition.waiting += 1
    try:
        return await work
    finally:
        rendition.waiting -= 1
