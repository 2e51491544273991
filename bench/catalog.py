"""How fast the catalog finds cameras on SQLite: text without accents, area, near, box, pages, counts.

    python bench/catalog.py [--cameras 20000] [--rounds 60]

Fills a fresh database with made-up cameras (written in bulk, past the service), then asks the service the questions
of the camera list, one after the other, and prints the median, the 99th percentile and the slowest in milliseconds, and the median of CPU time,
which a busy machine does not blur.
"""

import argparse
import asyncio
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from adapters.clock import SystemClock
from hub.catalog.areas import AreaTable, parse_csv
from hub.catalog.folding import exact, fold, sort_key
from hub.catalog.service import CatalogService
from hub.catalog.types import Box, CameraQuery, Near, Scope
from hub.coordination.factory import coordination_for
from hub.store import tables
from hub.store.chain import HUB
from hub.store.sealer import Sealer
from hub.store.store import Store, new_id

WORDS = [
    "Cổng",
    "Đông",
    "Ngõ",
    "Hẻm",
    "Chợ",
    "Bến",
    "Trường",
    "Ngã",
    "tư",
    "Cầu",
    "Đường",
    "Nguyễn",
    "Huệ",
    "Lê",
    "Lợi",
    "Trần",
    "Phú",
    "Hai",
    "Bà",
    "Trưng",
    "Phố",
    "Đình",
    "Chùa",
]
START = datetime(2026, 11, 21, tzinfo=UTC)


async def fill(store: Store, count: int) -> None:
    """Write cameras in 332 wards, a third of them donated."""
    chance = random.Random(7)
    lines = ["code,name,level,parent,valid_from,valid_to", "98,Tỉnh Đo,province,,,"]
    lines += [f"98{ward:03d},Phường {WORDS[ward % len(WORDS)]} {ward},ward,98,," for ward in range(332)]
    await AreaTable(store).load(parse_csv("\n".join(lines)), HUB)
    cameras, search, custodians, health = [], [], [], []
    for number in range(count):
        ward = number % 332
        name = f"{' '.join(chance.sample(WORDS, 3))} {chance.randrange(1000)}"
        donated = number % 3 == 0
        camera_id, custodian = new_id(), new_id()
        said = f"{name} | Phường {WORDS[ward % len(WORDS)]} {ward} | Tỉnh Đo"
        state = chance.choice(["alive"] * 8 + ["fault", "unreachable"])
        custodians.append(
            {
                "id": custodian,
                "kind": "household" if donated else "authority",
                "name": "x",
                "contact": "",
                "created_at": START,
            }
        )
        cameras.append(
            {
                "id": camera_id, "name": name, "sort_key": sort_key(name), "area_code": f"98{ward:03d}",
                "area_since": START, "custodian_id": custodian, "address": f"rtsp://10.{number >> 16}.{number >> 8 & 255}.{number & 255}/",
                "sub_address": "", "latitude": 20.9 + chance.random() / 5, "longitude": 105.7 + chance.random() / 5,
                "notes": "", "permission": {}, "decision": chance.choice(["ADMITTED", "ADMITTED", "CONDITIONAL", "PENDING"]),
                "decision_reasons": [], "playback": {}, "sharing": "private" if donated else "authority",
                "consent_state": "missing" if donated else "not_needed",
                "health": "not_shared" if donated else state, "shown_since": START, "paused": False,
                "enrolled_at": START, "changed_at": START, "version": 1,
            }
        )  # fmt: skip
        search.append(
            {"camera_id": camera_id, "sort_key": sort_key(name), "folded": fold(said), "exact": exact(said)}
        )
        health.append({"camera_id": camera_id, "state": state, "since": START, "measured_at": START})
    for first in range(0, count, 5000):
        async with store.write() as tx:
            for table, rows in (
                (tables.custodians, custodians),
                (tables.cameras, cameras),
                (tables.camera_search, search),
                (tables.health, health),
            ):
                await tx.execute(insert(table), rows[first : first + 5000])


async def main(count: int, rounds: int) -> None:
    """Fill, ask, print."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as folder:
        store = await Store.open(f"sqlite:///{folder}/bench.db", clock)
        coordination = await coordination_for(None, clock, store)
        catalog = CatalogService(store, Sealer.open(Path(folder) / "keys"), coordination.bus, clock)
        await fill(store, count)
        first = await catalog.list(CameraQuery())
        questions = {
            "first page": CameraQuery(),
            "second page": CameraQuery(cursor=first.next or ""),
            "text, many hits: cho": CameraQuery(text="cho"),
            "text, two words: dong hue": CameraQuery(text="dong hue"),
            "text with accents: Đông Huệ": CameraQuery(text="Đông Huệ"),
            "text, no hit: khongco": CameraQuery(text="khongco"),
            "area: one ward": CameraQuery(area="98007"),
            "scope: three wards": CameraQuery(scope=Scope(areas=("98007", "98008", "98009"))),
            "area and text": CameraQuery(area="98007", text="dong"),
            "decision and health": CameraQuery(decision="PENDING", health="fault"),
            "near: 500 m": CameraQuery(near=Near(21.0, 105.8, 500)),
            "box: 5 km": CameraQuery(box=Box(105.78, 20.98, 105.83, 21.03)),
        }
        print(f"{count} cameras on SQLite, {rounds} rounds, one at a time; milliseconds")
        print(f"{'question':34}{'hits':>8}{'median':>9}{'p99':>9}{'max':>9}{'cpu':>9}")
        for title, query in questions.items():
            total = (await catalog.list(query)).total
            show(title, total, [await timed(catalog.list(query)) for _ in range(rounds)])
        show("counts", count, [await timed(catalog.counts(CameraQuery())) for _ in range(rounds)])
        show("get one", 1, [await timed(catalog.get(first.items[0].id)) for _ in range(rounds)])
        await coordination.aclose()
        await store.aclose()


async def timed(work: Awaitable[object]) -> tuple[float, float]:
    """Return how long an awaitable took and how much of that was this process's CPU time, milliseconds."""
    begin, begin_cpu = time.perf_counter(), time.process_time()
    await work
    return (time.perf_counter() - begin) * 1000, (time.process_time() - begin_cpu) * 1000


def show(title: str, hits: int, took: list[tuple[float, float]]) -> None:
    """Print one line."""
    ordered = sorted(wall for wall, _ in took)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    cpu = statistics.median(cpu for _, cpu in took)
    print(f"{title:34}{hits:>8}{statistics.median(ordered):>9.1f}{p99:>9.1f}{ordered[-1]:>9.1f}{cpu:>9.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    asyncio.run(main(given.cameras, given.rounds))
