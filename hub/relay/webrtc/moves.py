"""Viewers who go from one layer of their camera to the other: at their word, or because their network bears no more."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Final

from hub.relay.camera.layers import Layers
from hub.relay.camera.sound import OPUS
from hub.relay.choice import Choice, Chooser, CodecsTaken, Takes
from hub.relay.errors import RelayRefused
from hub.relay.events import LayerChanged, RelayEvent, SourceSpec
from hub.relay.fanout import Fanout
from hub.relay.webrtc.viewer import Viewer

WANTED: Final = frozenset({"main", "sub", "auto"})


class Moves:
    """Opens the layer that a viewer shall have and lets it go over at the next key frame; until then it keeps what it has.

    `on_event` hears what each got, or why not; `on_nowhere` ends a viewer that no layer feeds any more.
    """

    def __init__(
        self,
        layers: Layers,
        chooser: Chooser,
        *,
        on_event: Callable[[RelayEvent], None],
        on_nowhere: Callable[[Viewer, str], None],
        spawn: Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"],
    ) -> None:
        self._layers = layers
        self._chooser = chooser
        self._on_event = on_event
        self._on_nowhere = on_nowhere
        self._spawn = spawn

    def choose(self, viewer: Viewer, spec: SourceSpec, wanted: str) -> None:
        """Let a viewer have another layer, from its next key frame on; `LayerChanged` tells when, or why not.

        Raises:
            RelayRefused: 404 nothing feeds it, 422 no such layer.
        """
        if viewer.feed is None:
            raise RelayRefused(404, "viewer_unknown", "this viewer session has ended; open another")
        if wanted not in WANTED:
            raise RelayRefused(422, "layer_unknown", "the layer is main, sub or auto")
        viewer.wanted = wanted
        viewer.quality.moved(_now())
        if wanted in {viewer.feed.layer, "auto"}:
            if viewer.joining is not None:
                viewer.joining.leave(viewer)
            if viewer.viewer_id in viewer.feed.viewers:
                viewer.moving_to = ""  # the other layer may be being opened for it at this moment
            self._on_event(self.told(viewer, viewer.feed, ""))
        else:
            self._move(viewer, spec, wanted, "")

    def adapt(self, viewer: Viewer, spec: SourceSpec, now_s: float) -> None:
        """Move a viewer who left the choice to us to the layer that its network bears (event loop seconds)."""
        if viewer.wanted != "auto":
            return
        if viewer.feed is None or viewer.moving_to or len(spec.layers) < 2 or not spec.both:
            return
        chosen = viewer.quality.choose(viewer.feed.layer, now_s)
        if chosen != viewer.feed.layer:
            self._move(viewer, spec, chosen, "network" if chosen == "sub" else "recovered")

    def joined(self, viewer: Viewer, fanout: Fanout) -> None:
        """Tell a viewer that it is fed by another layer now."""
        viewer.moving_to, viewer.why = "", viewer.moving_why
        self._on_event(self.told(viewer, fanout, viewer.moving_code))

    def not_joined(self, viewer: Viewer, code: str) -> None:
        """Leave a viewer where it is; one that has nowhere to be any more ends."""
        viewer.moving_to = ""
        if viewer.ended or viewer.feed is None:
            return
        if viewer.viewer_id not in viewer.feed.viewers:
            self._on_nowhere(viewer, code)
            return
        viewer.quality.moved(_now())
        self._on_event(self.told(viewer, viewer.feed, code))

    def told(self, viewer: Viewer, fanout: Fanout, code: str) -> LayerChanged:
        """Return what a viewer is told about the layer that feeds it."""
        return LayerChanged(
            viewer.viewer_id,
            fanout.layer,
            viewer.wanted,
            code,
            fanout.kind,
            viewer.agreed.codec,
            viewer.why,
            self._sound_of(viewer, fanout),
        )

    def _sound_of(self, viewer: Viewer, fanout: Fanout) -> str:
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

    def _move(self, viewer: Viewer, spec: SourceSpec, name: str, code: str) -> None:
        if viewer.feed is None:
            return
        if name not in spec.layers:
            code = "uplink" if spec.sub_only and name == "main" else "no_sub_stream"
            self._on_event(self.told(viewer, viewer.feed, code))
            return
        viewer.moving_to, viewer.moving_code = name, code
        self._spawn(self._open_and_join(viewer, spec, name), f"move {viewer.viewer_id} to {name}")

    async def _open_and_join(self, viewer: Viewer, spec: SourceSpec, name: str) -> None:
        if self._layers.other_in_use(spec, name, but=viewer) is not None:
            self.not_joined(viewer, "one_stream")
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
            self.not_joined(viewer, error.code)
            return
        if viewer.ended or viewer.moving_to != name:
            return
        if choice.rendition.closing:
            self.not_joined(viewer, "relay_busy")
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


def _now() -> float:
    return asyncio.get_running_loop().time()
