"""A hub's store, catalog, people and coordination for tests: real parts, a clock that tests turn."""

import asyncio
import atexit
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from hub.access.accounts import Accounts
from hub.access.audit import AuditLog
from hub.access.passwords import Passwords
from hub.access.principal import Principal
from hub.access.tokens import ApiTokens
from hub.catalog.areas import AreaTable
from hub.catalog.consent import current_text
from hub.catalog.incidents import Incidents
from hub.catalog.service import CatalogService
from hub.catalog.types import Camera, ConsentInput, Kind, NewAssessment, NewCamera, NewCustodian, Recipient
from hub.coordination.factory import coordination_for
from hub.coordination.port import Coordination
from hub.store.chain import Actor
from hub.store.sealer import Sealer
from hub.store.store import Store

T = TypeVar("T")
START = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)  # a Saturday, 10:00 in Vietnam
ANNA = Actor("user", "11111111-1111-4111-8111-111111111111", "anna", "operator")
WARD, OTHER_WARD, PROVINCE = "99001", "99002", "99"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run one coroutine in a fresh loop."""
    return asyncio.run(work)


class TurnedClock:
    """A clock that stands still until it is turned; sleeping turns it."""

    __test__ = False

    def __init__(self, now: datetime = START) -> None:
        self._now = now
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    async def sleep(self, seconds: float) -> None:
        self.turn(seconds=seconds)
        await asyncio.sleep(0)

    def turn(self, **by: float) -> None:
        step = timedelta(**by)
        self._now += step
        self._monotonic += step.total_seconds()


@dataclass
class World:
    """The rooms of a hub that has no network."""

    clock: TurnedClock
    store: Store
    coordination: Coordination
    catalog: CatalogService
    incidents: Incidents
    areas: AreaTable
    accounts: Accounts
    tokens: ApiTokens
    audit: AuditLog
    sealer: Sealer

    async def camera(self, name: str = "Cổng Đông", *, kind: Kind = Kind.AUTHORITY, **more: Any) -> Camera:
        """Register a camera, by default an authority's in the first ward."""
        address = more.pop("address", f"rtsp://10.0.0.1/{name.encode().hex()}")
        credential = more.pop("credential", None)
        custodian = more.pop("custodian", NewCustodian(kind, "Ai đó"))
        permission = {"granted_by": "test", "basis": "owner", "granted_at": "2026-11-21T03:00:00.000Z"}
        new = NewCamera(name, address, custodian, permission, area=more.pop("area", WARD), **more)
        return await self.catalog.register(new, ANNA, credential=credential)

    async def admitted(self, name: str = "Cổng Đông", **more: Any) -> Camera:
        """Register a camera and admit it."""
        camera = await self.camera(name, **more)
        await self.catalog.record_assessment(camera.id, assessment("ADMITTED"), ANNA)
        return await self.catalog.get(camera.id)


def assessment(decision: str, **facts: Any) -> NewAssessment:
    """Return an assessment with a decision and some observed facts."""
    observed = {"stream.main.codec": "H264", "stream.main.relay": "copy", **facts}
    return NewAssessment(
        standard="technical",
        standard_version="1",
        decision=decision,
        as_of=START,
        counts={"PASS": 1},
        reasons=({"rule": "CON-01"},),
        report={"decision": decision},
        observations={fact: {"value": value} for fact, value in observed.items()},
    )


def consent(sharing_mode: str = "always", **more: Any) -> ConsentInput:
    """Return what an owner signs: viewers of the ward, for public safety."""
    return ConsentInput(
        **{
            "sharing_mode": sharing_mode,
            "purposes": ("public_safety",),
            "recipients": (Recipient(WARD, "viewer"),),
            "text_version": current_text().version,
            "signed_by": "Nguyễn Thị Hoa",
            **more,
        }
    )


def person(role: str = "viewer", areas: tuple[str, ...] = (WARD,), **more: Any) -> Principal:
    """Return somebody who asks; the lineage is that of the default areas."""
    lineage = frozenset(areas) | ({PROVINCE} if any(code.startswith("99") for code in areas) else frozenset())
    return Principal("22222222-2222-4222-8222-222222222222", "binh", role, areas, frozenset(lineage), **more)


@cache
def _template() -> Path:
    """Return where this process keeps the database that new ones are copied from."""
    folder = tempfile.TemporaryDirectory(prefix="camhub-tests-")
    atexit.register(folder.cleanup)
    return Path(folder.name) / "hub.db"


async def _migrated(url: str) -> None:
    """Put an empty database of the newest tables where a SQLite file is missing: a copy costs a tenth of migrating."""
    backend, _, path = url.partition(":///")
    if not backend.startswith("sqlite") or Path(path).exists():
        return
    template = _template()
    if not template.exists():
        await (await Store.open(f"sqlite:///{template}", TurnedClock())).aclose()
    shutil.copy(template, path)


@asynccontextmanager
async def world(url: str, folder: Path, *, redis: str | None = None) -> AsyncIterator[World]:
    """Open a world on a database."""
    clock = TurnedClock()
    await _migrated(url)
    store = await Store.open(url, clock)
    try:
        coordination = await coordination_for(redis, clock, store)
        sealer = Sealer.open(folder / "keys")
        areas = AreaTable(store)
        await areas.ensure(ANNA)
        accounts = Accounts(
            store, coordination.limiter, clock, passwords=Passwords(memory_kib=64, passes=1, lanes=1)
        )
        yield World(
            clock=clock,
            store=store,
            coordination=coordination,
            catalog=CatalogService(store, sealer, coordination.bus, clock),
            incidents=Incidents(store, coordination.bus),
            areas=areas,
            accounts=accounts,
            tokens=ApiTokens(store, accounts, clock),
            audit=AuditLog(store),
            sealer=sealer,
        )
        await coordination.aclose()
    finally:
        await store.aclose()
