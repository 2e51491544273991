"""Searches of the hub's own network for cameras (WS-Discovery), for the page that adds one.

One search at a time for everybody: who asks while one runs gets that one. Nothing is sent but the question who is
there; the answers are claims, shown as such.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from adapters.clock import Clock
from adapters.discovery.found import Device
from adapters.discovery.search import PORT, Search, SearchRequest
from adapters.errors import AdapterError, BadTarget
from adapters.target import Target, parse_target
from adapters.wire.dialer import Dialer
from hub.catalog.service import CatalogService
from hub.coordination.port import RateLimiter
from hub.problems import Problem
from hub.store.store import new_id

LAST_S: Final = 4.0
PER_MINUTE: Final = 6
KEPT: Final = 20  # searches that can still be read
MAX_SHOWN: Final = 500


@dataclass(slots=True)
class Discovery:
    """One search, running or ended."""

    id: str
    host: str
    state: str = "running"  # running | done | failed
    devices: list[Device] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    problem: Problem | None = None


class Discoveries:
    """Runs searches and keeps the last ones."""

    def __init__(
        self,
        *,
        catalog: CatalogService,
        dialer: Dialer,
        limiter: RateLimiter,
        clock: Clock,
        last_s: float = LAST_S,
        port: int = PORT,
    ) -> None:
        self._catalog = catalog
        self._dialer = dialer
        self._limiter = limiter
        self._clock = clock
        self.last_s = last_s
        self.port = port
        self._kept: dict[str, Discovery] = {}
        self._running: tuple[Discovery, asyncio.Task[None]] | None = None
        self._log = structlog.get_logger("discoveries")

    async def aclose(self) -> None:
        """End a search that runs. Idempotent."""
        if self._running is not None:
            self._running[1].cancel()
            await asyncio.gather(self._running[1], return_exceptions=True)

    async def start(self, host: str = "") -> Discovery:
        """Begin a search, or join the one that runs. `host` asks that host alone.

        Raises:
            Problem: ``too_many_requests``; ``address_bad`` where the host cannot be read.
        """
        named = ""
        if host:
            try:
                named = parse_target(host)[0].host
            except BadTarget as error:
                raise Problem(
                    "address_bad", {"address": host[:60], "saw": str(error)}, field="host"
                ) from error
        if self._running is not None and not self._running[1].done() and self._running[0].host == named:
            return self._running[0]
        verdict = await self._limiter.hit("discovery", PER_MINUTE, 60.0)
        if not verdict.allowed:
            wait = str(max(1, round(verdict.retry_after_s)))
            raise Problem("too_many_requests", {"retry_after_s": wait}, headers={"retry-after": wait})
        if self._running is not None and not self._running[1].done():
            await asyncio.gather(self._running[1], return_exceptions=True)
        found = Discovery(new_id(), named)
        self._kept[found.id] = found
        while len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        self._running = found, asyncio.create_task(self._run(found), name="discovery")
        return found

    def get(self, discovery_id: str) -> Discovery:
        """Return one search.

        Raises:
            Problem: ``not_found``.
        """
        found = self._kept.get(discovery_id)
        if found is None:
            raise Problem("not_found", {"what": {"vi": "lần tìm", "en": "search"}})
        return found

    async def as_json(self, found: Discovery, problem: Callable[[Problem], dict[str, Any]]) -> dict[str, Any]:
        """Return the representation of the HTTP API; `problem` says a problem in the reader's language."""
        items = []
        for device in found.devices[:MAX_SHOWN]:
            if device.target is None:
                continue
            address = _short(device.target)
            camera = await self._catalog.at_address(device.target.url)
            label = device.label
            items.append(
                {
                    "name": label.name,
                    "maker": label.maker,
                    "model": label.model,
                    "address": address,
                    "camera_id": camera.id if camera is not None else None,
                    "dialable": self._dialable(device.target),
                }
            )
        return {
            "id": found.id,
            "state": found.state,
            "items": items,
            "asked": list(found.asked),
            "problem": problem(found.problem) if found.problem is not None else None,
        }

    def _dialable(self, target: Target) -> bool:
        try:
            self._dialer.check(target.host, target.port)
        except (AdapterError, ValueError):
            return False
        return True

    async def _run(self, found: Discovery) -> None:
        def heard(device: Device) -> None:
            if len(found.devices) < MAX_SHOWN:
                found.devices.append(device)

        request = SearchRequest(host=found.host, timeout_s=self.last_s, port=self.port)
        try:
            report = await Search(request, self._dialer, self._clock, heard).run()
        except AdapterError as error:
            found.problem, found.state = Problem("discovery_failed", {"what": str(error)}), "failed"
            return
        except Exception as error:  # noqa: BLE001  told to who asked
            self._log.error("discovery.broke", exc_info=error)
            what = {"vi": "lỗi của nút", "en": "a fault of the hub"}
            found.problem, found.state = Problem("discovery_failed", {"what": what}), "failed"
            return
        found.devices, found.asked, found.state = report.devices[:MAX_SHOWN], report.asked, "done"


def _short(target: Target) -> str:
    """Return an address without the port that stands for its scheme."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == (443 if target.scheme == "onvifs" else 80) else f":{target.port}"
    return f"{target.scheme}://{host}{port}{target.path}"
