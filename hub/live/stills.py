"""Still pictures: a view like any other - decided, recorded before the first byte, decided again before it is shown."""

from dataclasses import replace

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.onvif.snapshot import Snapshot, fetch_snapshot
from adapters.port import ProbeContext
from adapters.target import parse_target
from adapters.wire.dialer import Dialer
from adapters.wire.gate import CredentialGate, device_key
from hub.access.decide import Ask
from hub.access.principal import Principal
from hub.catalog.service import CatalogService
from hub.coordination.port import RateLimiter
from hub.live.receipts import Receipts
from hub.live.sessions import ViewerSessions
from hub.live.source import Sources
from hub.observe import Metrics
from hub.problems import Problem
from hub.store.store import new_id
from hub.texts import Texts
from hub.trouble import problem_of

LIMIT_S = 8.0
PER_CAMERA = 4  # stills of one camera in ten seconds, over all viewers: cameras are slow at them
WINDOW_S = 10.0


class Stills:
    """Fetches stills for people."""

    def __init__(
        self,
        *,
        viewers: ViewerSessions,
        receipts: Receipts,
        sources: Sources,
        catalog: CatalogService,
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
        self._dialer = dialer
        self._gate = gate
        self._limiter = limiter
        self._clock = clock
        self._metrics = metrics
        self._texts = texts

    async def fetch(
        self, principal: Principal, camera_id: str, *, purpose: str, incident: str | None
    ) -> Snapshot:
        """Return a still, fetched now.

        Raises:
            Problem: refused, ``no_still``, ``too_many_requests``, or what the camera did.
            ServiceError: ``not_found``.
        """
        ask = Ask(principal, purpose, incident, "snapshot")
        camera, _ = await self._viewers.admit(camera_id, ask)
        target = await self._sources.still(camera)
        verdict = await self._limiter.hit(f"still:{camera_id}", PER_CAMERA, WINDOW_S)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})
        began_s = self._clock.monotonic()
        view = await self._receipts.begin(new_id(), camera_id, ask, "snapshot")
        self._metrics.views_started.labels("snapshot").inc()
        cause, stills = "failed", 0
        try:
            enrolled, _ = parse_target(camera.address)
            context = ProbeContext(self._dialer, self._gate, self._clock, device_key(enrolled))
            credential = await self._catalog.credential_for(camera_id)
            still = await fetch_snapshot(target, credential, context, Deadline.after(self._clock, LIMIT_S))
            # the owner may have paused while the camera answered
            await self._viewers.admit(camera_id, replace(ask, kind="snapshot"))
            cause, stills = "done", 1
            return still
        except AdapterError as error:
            seen = problem_of(
                error, step="picture", peer=target.authority, typed=target.url, texts=self._texts
            )
            raise Problem("still_failed", {"what": seen.said(self._texts, "title")}) from error
        except Problem as problem:
            cause = problem.code
            raise
        finally:
            seconds = self._clock.monotonic() - began_s
            await self._receipts.end(view, ask, cause=cause, seconds=seconds, stills=stills)
            self._metrics.views_ended.labels("still").inc()
