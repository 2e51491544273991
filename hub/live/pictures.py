"""One coded picture of a camera's stream, for a still: from the relay where it is warm, else by a short pull."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError, Unsupported
from adapters.port import AccessUnit, CodedPicture, MediaSource, ProbeContext, PushDesk, StreamOffer
from adapters.registry import Registry
from adapters.rtsp.measure import CODEC_NAMES
from adapters.rtsp.sampling import Sampler
from adapters.target import Target, parse_target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate
from hub.decode.limits import CODECS
from hub.relay.events import KeyFrame, SourceSpec

WARM_S: Final = 10.0  # a key frame of the relay older than this is passed over for a fresh one
_CLOSE_WITHIN_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Taken:
    """A coded key frame and when it arrived."""

    picture: CodedPicture
    codec: str
    taken_at: datetime  # UTC


class StreamPictures:
    """Takes single key frames out of streams.

    `warm` asks the relay. A pull holds the device's one probe slot: beside a running relay pull it is the second
    connection, and nobody opens a third.
    """

    def __init__(
        self,
        *,
        registry: Registry,
        dialer: Dialer,
        gate: CredentialGate,
        warm: Callable[[str, str], Awaitable[KeyFrame | None]],
        pushes: PushDesk,
        clock: Clock,
    ) -> None:
        self._pushes = pushes
        self._registry = registry
        self._dialer = dialer
        self._gate = gate
        self._warm = warm
        self._clock = clock
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def take(self, spec: SourceSpec, deadline: Deadline) -> Taken:
        """Return a key frame.

        Raises:
            AdapterError: what the camera did, or `Unsupported`: its codec is not decoded here.
            DeviceBusy: a probe of this device runs.
        """
        held = await self.held(spec)
        if held is not None:
            return held
        lock = self._locks.setdefault(spec.camera_id, asyncio.Lock())
        async with deadline.phase("still"), lock, self._gate.probing(spec.device):
            return await self._pull(spec, deadline)

    async def held(self, spec: SourceSpec) -> Taken | None:
        """Return the newest key frame of a stream that is pulled already, where it is not old; asks nothing of the camera."""
        newest = await self._warm(spec.camera_id, spec.url)
        if newest is None or (self._clock.now() - newest.arrived_at).total_seconds() > WARM_S:
            return None
        return Taken(CodedPicture(0.0, newest.nals), "H264", newest.arrived_at)

    async def _pull(self, spec: SourceSpec, deadline: Deadline) -> Taken:
        target, _ = parse_target(spec.url)
        if not target.port:
            return await self._pushed(target, deadline)
        context = ProbeContext(self._dialer, self._gate, self._clock, spec.device)
        offer = StreamOffer(target, "main", spec.codec)
        source = await self._registry.open(
            offer, spec.credential, context, deadline, transport=spec.transport
        )
        try:
            return await self._first(source, target.authority)
        finally:
            with contextlib.suppress(AdapterError, OSError, TimeoutError):
                async with asyncio.timeout(_CLOSE_WITHIN_S):
                    await source.aclose()

    async def _pushed(self, target: Target, deadline: Deadline) -> Taken:
        """Return a key frame of what is pushed: its encoder is asked for one."""
        seen = await self._pushes.examine(target, deadline, window_s=0.0, samples=1)
        if seen.sample is None:
            raise Unsupported(
                f"the push of {target.host} gave no whole picture", peer=target.host, operation="still"
            )
        return Taken(seen.sample.pictures[0], seen.codec, self._clock.now())

    async def _first(self, source: MediaSource, peer: str) -> Taken:
        """Return the first whole key frame of an open stream."""
        video = next((track for track in source.tracks if track.kind == "video"), None)
        codec = "" if video is None else CODEC_NAMES.get(video.codec, video.codec)
        if video is None or codec not in CODECS:
            raise Unsupported(
                f"the stream of {peer} holds no picture that is decoded ({codec or 'no video'})",
                peer=peer,
                operation="still",
                hint="Set the camera's encoding to H.264, H.265 or JPEG",
            )
        sampler = Sampler(codec, video.parameter_sets, wanted=1)
        found: asyncio.Future[CodedPicture] = asyncio.get_running_loop().create_future()

        def take(unit: AccessUnit) -> None:
            if unit.track != video.index or found.done():
                return
            sampler.unit(unit)
            if sampler.sample is not None:
                found.set_result(sampler.sample.pictures[0])

        reader = asyncio.create_task(source.run(take), name=f"still {peer}")
        try:
            either: set[asyncio.Future[Any]] = {reader, found}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not found.done():
                reader.result()
                raise Unsupported(
                    f"the stream of {peer} ended without a picture", peer=peer, operation="still"
                )
            return Taken(found.result(), codec, self._clock.now())
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
