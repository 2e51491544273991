"""Still pictures: a view like any other - decided, recorded before the first byte, decided again before it is shown.

What a camera sends is never handed on as it came: the decode process makes a new JPEG of it. A camera that is pulled
already is not asked: the newest key frame is at hand, and its age is told. A camera without a still address, or whose still is no
picture, gives a key frame of its stream.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError, CameraFault, RemoteProtocolError
from adapters.onvif.snapshot import fetch_snapshot
from adapters.port import CodedPicture, ProbeContext
from adapters.target import Target, parse_target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate, device_key
from hub.access.decide import Ask
from hub.access.principal import Principal
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera
from hub.coordination.port import RateLimiter
from hub.decode.errors import DecodeError, NotDecodable
from hub.decode.service import DecodeService
from hub.live.pictures import StreamPictures, Taken
from hub.live.receipts import Receipts
from hub.live.sessions import ViewerSessions
from hub.live.source import Sources
from hub.observe import Metrics
from hub.problems import Problem
from hub.relay.events import SourceSpec
from hub.store.store import new_id
from hub.texts import Texts
from hub.trouble import problem_of

LIMIT_S: Final = 15.0  # the longest a still takes: a camera whose next key frame is further away gives none
SNAPSHOT_S: Final = 8.0  # of them for a still address
PER_CAMERA: Final = 4  # stills of one camera in ten seconds, over all viewers: cameras are slow at them
WINDOW_S: Final = 10.0
MAX_WIDTH: Final = 1920  # px


@dataclass(frozen=True, slots=True)
class Still:
    """A still as it is shown: always a JPEG that the hub coded."""

    body: bytes
    taken_at: datetime  # UTC, when the picture came from the camera (not later)
    width: int  # px
    height: int


class Stills:
    """Takes stills for people."""

    def __init__(
        self,
        *,
        viewers: ViewerSessions,
        receipts: Receipts,
        sources: Sources,
        catalog: CatalogService,
        pictures: StreamPictures,
        decode: DecodeService,
        dialer: Dialer,
        gate: CredentialGate,
        limiter: RateLimiter,
        clock: Clock,
        metrics: Metrics,
        texts: Texts,
    ) -> None:
        self._viewers = viewers
        self._receipts = receipts
        self._sources = sources
        self._catalog = catalog
        self._pictures = pictures
        self._decode = decode
        self._dialer = dialer
        self._gate = gate
        self._limiter = limiter
        self._clock = clock
        self._metrics = metrics
        self._texts = texts

    async def fetch(
        self, principal: Principal, camera_id: str, *, purpose: str, incident: str | None
    ) -> Still:
        """Return a still, taken now, or at most a few seconds ago where the camera is being watched.

        Raises:
            Problem: refused, ``no_still``, ``too_many_requests``, or what the camera or its picture did.
            ServiceError: ``not_found``.
        """
        ask = Ask(principal, purpose, incident, "snapshot")
        camera, _ = await self._viewers.admit(camera_id, ask)
        target, spec = await self._found(camera)
        verdict = await self._limiter.hit(f"still:{camera_id}", PER_CAMERA, WINDOW_S)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})
        began_s = self._clock.monotonic()
        view = await self._receipts.begin(new_id(), camera_id, ask, "snapshot")
        self._metrics.views_started.labels("snapshot").inc()
        cause, stills = "failed", 0
        typed = (target.url if target is not None else "") or (spec.url if spec is not None else "")
        peer = typed.partition("://")[2].partition("/")[0]
        try:
            still = await self._take(camera, target, spec)
            # the owner may have paused while the camera answered
            await self._viewers.admit(camera_id, replace(ask, kind="snapshot"))
            cause, stills = "done", 1
            return still
        except AdapterError as error:
            seen = problem_of(error, step="picture", peer=peer, typed=typed, texts=self._texts)
            raise Problem("still_failed", {"what": seen.said(self._texts, "title")}) from error
        except DecodeError as error:
            what = self._texts.both(f"live.still.{error.code}")
            raise Problem("still_failed", {"what": what}) from error
        except Problem as problem:
            cause = problem.code
            raise
        finally:
            seconds = self._clock.monotonic() - began_s
            await self._receipts.end(view, ask, cause=cause, seconds=seconds, stills=stills)
            self._metrics.views_ended.labels("still").inc()

    async def _found(self, camera: Camera) -> tuple[Target | None, SourceSpec | None]:
        """Return the camera's still address and its stream, at least one of them."""
        target: Target | None = None
        spec: SourceSpec | None = None
        try:
            target = await self._sources.still(camera)
        except Problem as problem:
            if problem.code != "no_still":
                raise
        try:
            spec = await self._sources.stream(camera)
        except Problem as problem:
            if problem.code != "no_stream" or target is None:
                raise Problem("no_still") from problem
        return target, None if spec is None else spec.of_layer(spec.layers[0])

    async def _take(self, camera: Camera, target: Target | None, spec: SourceSpec | None) -> Still:
        """Take the key frame at hand, else a picture from the still address, else from the stream, and code it anew.

        Raises:
            AdapterError: the camera gave none. A refused login is not tried elsewhere.
            DecodeError: what it gave is no picture.
        """
        deadline = Deadline.after(self._clock, LIMIT_S)
        held = await self._pictures.held(spec) if spec is not None else None
        if held is not None:
            return await self._coded(camera, held, deadline)
        if target is not None:
            try:
                taken = await self._snapshot(camera, target, deadline.sooner(SNAPSHOT_S))
                return await self._coded(camera, taken, deadline)
            except (CameraFault, RemoteProtocolError, NotDecodable):
                if spec is None:
                    raise
        assert spec is not None
        return await self._coded(camera, await self._pictures.take(spec, deadline), deadline)

    async def _snapshot(self, camera: Camera, target: Target, deadline: Deadline) -> Taken:
        enrolled, _ = parse_target(camera.address)
        context = ProbeContext(self._dialer, self._gate, self._clock, device_key(enrolled))
        credential = await self._catalog.credential_for(camera.id)
        sent = await fetch_snapshot(target, credential, context, deadline)
        return Taken(CodedPicture(0.0, (sent.body,)), "JPEG", sent.taken_at)

    async def _coded(self, camera: Camera, taken: Taken, deadline: Deadline) -> Still:
        told = await self._decode.still(
            taken.picture,
            taken.codec,
            camera=camera.id,
            max_width=MAX_WIDTH,
            deadline=deadline,
            masks=camera.masks.painted,
        )
        return Still(told.jpeg, taken.taken_at, told.width, told.height)
