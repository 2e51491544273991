"""Where a camera's picture comes from: the addresses that its last probe found, and the sealed credential."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from adapters.clock import Clock
from adapters.target import Target, parse_target
from adapters.wire.gate import device_key
from hub.access.decide import VIEWED, shares_sound, subject_of
from hub.catalog.service import CatalogService
from hub.catalog.sources import target_from
from hub.catalog.types import Camera, Kind
from hub.live.uplink import Uplink
from hub.live.whip_tokens import SCHEME
from hub.problems import Problem
from hub.relay.events import SourceSpec

MAIN, SUB = "main", "sub"


class Sources:
    """Finds the stream and the still of a camera."""

    def __init__(self, catalog: CatalogService, clock: Clock, uplink: Uplink) -> None:
        self._catalog = catalog
        self._clock = clock
        self._uplink = uplink

    async def stream(self, camera: Camera) -> SourceSpec:
        """Return what the relay pulls.

        Raises:
            Problem: ``no_stream``: no probe has found a stream yet.
        """
        enrolled, _ = parse_target(camera.address)
        main, sub = await self._layer(camera, MAIN), await self._layer(camera, SUB)
        if main is None:
            raise Problem("no_stream")
        # A second session and a request for a key frame are asked of admitted municipal cameras only.
        bold = camera.custodian.kind is Kind.AUTHORITY and camera.decision in VIEWED
        pushed = main.scheme == SCHEME  # WebRTC has encoders answer requests for key frames (RFC 8834 5.1)
        return SourceSpec(
            camera_id=camera.id,
            url=main.url,
            credential=await self._catalog.credential_for(camera.id),
            codec=camera.playback.codec or "",
            sub_codec=await self._codec(camera, SUB),
            device=device_key(enrolled),
            sub_url=sub.url if sub is not None and sub.url != main.url else "",
            both=bold,
            may_ask=bold or pushed,
            audio=shares_sound(subject_of(camera), self._clock.now()),
            sub_only=self._uplink.sub_only(camera),
            masks=camera.masks.painted,
        )

    async def still(self, camera: Camera) -> Target:
        """Return the still's address.

        Raises:
            Problem: ``no_still``: the camera offers none.
        """
        told = (await self._report(camera)).get("still")
        if not isinstance(told, Mapping):
            raise Problem("no_still")
        still = target_from(told)
        enrolled, _ = parse_target(camera.address)
        if urlsplit(f"//{still.authority}").hostname != urlsplit(f"//{enrolled.authority}").hostname:
            # the address was changed since the probe; another probe finds the still
            raise Problem("no_still")
        return still

    async def _layer(self, camera: Camera, layer: str) -> Target | None:
        """Return where a layer comes from: as the last probe found it on the enrolled host, else as it was enrolled."""
        enrolled, _ = parse_target(camera.address)
        sources = (await self._report(camera)).get("sources") or ()
        told = next((one for one in sources if one.get("layer") == layer), None)
        if told is not None:
            found = target_from(told["target"])
            if found.host == enrolled.host:
                return found
        if layer == SUB:
            given = parse_target(camera.sub_address)[0] if camera.sub_address else None
            return given if given is not None and given.scheme.startswith("rtsp") else None
        return enrolled if enrolled.scheme.startswith(("rtsp", SCHEME)) else None

    async def _codec(self, camera: Camera, layer: str) -> str:
        """Return what the last probe was told that a layer sends; "" where it was told nothing."""
        sources = (await self._report(camera)).get("sources") or ()
        return next((str(one.get("codec") or "") for one in sources if one.get("layer") == layer), "")

    async def _report(self, camera: Camera) -> Mapping[str, Any]:
        if camera.assessment_id is None:
            return {}
        return (await self._catalog.assessment(camera.assessment_id)).report
