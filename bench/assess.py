"""The bench of judging and reporting at the size of a province: 136,000 cameras, one core.

    .venv/bin/python bench/assess.py [--cameras 136000] [--store FILE] [--write]

Fills a real SQLite store with varied cameras (`bench/assess_cameras.py`; not measured), then on one core: judges all of
them again after a limit of the standard changed, read, judged and written back, by the hub's own service and its
judging process; and makes the report of a ward of 33,060 cameras, as JSON, PDF and annexes. `--store` keeps the filled
store for the next run. Memory is the highest resident size of the process and of the judging process, added.
"""

import argparse
import asyncio
import os
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from assess_cameras import BIG, BIG_WARD, NOW, STANDARD, WARDS, make, pack, prepare, unwritten  # noqa: E402
from relay import machine  # noqa: E402
from sqlalchemy import LargeBinary, Text, bindparam, insert  # noqa: E402

from adapters.clock import SystemClock  # noqa: E402
from hub.catalog.areas import AreaTable, parse_csv  # noqa: E402
from hub.catalog.judgements import KeptStandard, keep_standard  # noqa: E402
from hub.compliance.reassess import Reassessments  # noqa: E402
from hub.coordination.memory import LocalBus  # noqa: E402
from hub.reports.area.census import take  # noqa: E402
from hub.reports.area.document import as_json, document  # noqa: E402
from hub.reports.area.forms import render  # noqa: E402
from hub.store import tables  # noqa: E402
from hub.store.chain import HUB  # noqa: E402
from hub.store.store import Store, new_id  # noqa: E402
from standards.pack import packaged_with  # noqa: E402

RESULTS = HERE / "RESULTS.md"
HEADING = "## Judging and reporting"
CHUNK = 2000
GATE = {"rule": "CONSENT", "severity": "B", "verdict": "NOT_CHECKED", "text": {"vi": "chưa", "en": "none"}}


async def fill(path: Path, count: int) -> None:
    """Make the store."""
    store = await Store.open(f"sqlite:///{path}", SystemClock())
    lines = ["code,name,level,parent,valid_from,valid_to", "98,Tỉnh Đo,province,,,"]
    lines += [f"98{ward:03d},Phường Đo {ward},ward,98,," for ward in range(WARDS)]
    await AreaTable(store).load(parse_csv("\n".join(lines)), HUB)
    files = pack(25.0, "1.0.0")
    profile = packaged_with(files).profile(STANDARD)
    async with store.write() as tx:
        await keep_standard(tx, KeptStandard.of_profile(profile, files))
    with ProcessPoolExecutor(2, initializer=prepare, initargs=(files,)) as pool:
        loop = asyncio.get_running_loop()
        chunks = [range(first, min(first + CHUNK, count)) for first in range(0, count, CHUNK)]
        waiting = [loop.run_in_executor(pool, make, chunk) for chunk in chunks[:4]]
        for place in range(len(chunks)):
            made = await waiting[place]
            if place + 4 < len(chunks):
                waiting.append(loop.run_in_executor(pool, make, chunks[place + 4]))
            waiting[place] = None  # type: ignore[call-overload]  # let its memory go
            await _insert(store, profile.hash, made)
            print(f"\rfilled {made[-1]['number'] + 1} of {count}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    await store.aclose()


async def _insert(store: Store, standard_hash: str, made: list[dict[str, Any]]) -> None:
    said = {"waivers": [], "attestations": []}
    raw = LargeBinary()
    async with store.write() as tx:
        await tx.execute(
            insert(tables.custodians),
            [
                {"id": one["custodian"], "kind": one["kind"], "name": "x", "contact": "", "created_at": NOW}
                for one in made
            ],
        )
        await tx.execute(
            insert(tables.cameras).values(decision_reasons=bindparam("because", type_=Text())),
            [
                {
                    "id": one["camera"], "name": f"Camera đo {one['number']}", "sort_key": f"camera {one['number']:06}",
                    "area_code": one["ward"], "area_since": one["enrolled"], "custodian_id": one["custodian"],
                    "address": f"rtsp://10.{one['number'] >> 16}.{one['number'] >> 8 & 255}.{one['number'] & 255}/",
                    "sub_address": "", "notes": "", "permission": {}, "decision": one["decision"],
                    "because": one["because"], "assessment_id": one["assessment"], "standard": STANDARD, "playback": {},
                    "sharing": "authority" if one["kind"] == "authority" else "registered",
                    "consent_state": "not_needed" if one["kind"] == "authority" else "active",
                    "health": one["health"], "shown_since": NOW, "paused": False, "enrolled_at": one["enrolled"],
                    "changed_at": NOW, "version": 1, "group_name": f"Tổ {one['number'] % 60}",
                }
                for one in made
            ],
        )  # fmt: skip
        await tx.execute(
            insert(tables.health),
            [{"camera_id": one["camera"], "state": one["health"], "since": NOW, "measured_at": NOW} for one in made],
        )  # fmt: skip
        month_ago = int((NOW - timedelta(days=60)).timestamp())
        await tx.execute(
            insert(tables.health_changes),
            [
                change
                for one in made
                for change in (
                    {"camera_id": one["camera"], "at": month_ago + one["number"] % 999, "state": 1},
                    {"camera_id": one["camera"], "at": month_ago + 86_400 * (20 + one["number"] % 9), "state": 3},
                    {"camera_id": one["camera"], "at": month_ago + 86_400 * (30 + one["number"] % 28), "state": 1},
                )
            ],
        )  # fmt: skip
        await tx.execute(
            insert(tables.assessments).values(
                observations=bindparam("seen", type_=raw),
                report=bindparam("told", type_=raw),
                counts=bindparam("counted", type_=Text()),
            ),
            [
                row
                for one in made
                for row in (
                    {
                        "id": one["assessment"], "camera_id": one["camera"], "standard": STANDARD, "standard_version": "1.0.0",
                        "decision": one["decision"], "as_of": NOW, "counted": one["counts"], "seen": one["observations"],
                        "told": unwritten(one["assessment"]),
                    },
                    *(
                        {
                            "id": new_id(), "camera_id": one["camera"], "standard": STANDARD, "standard_version": "1.0.0",
                            "decision": decision, "as_of": at, "counted": one["counts"], "seen": b"x\x9cK\x05\x00\x00f\x00f",
                            "told": unwritten(one["assessment"]),
                        }
                        for at, decision in one["older"]
                    ),
                )
            ],
        )  # fmt: skip
        await tx.execute(
            insert(tables.judgements),
            [
                {
                    "camera_id": one["camera"], "assessment_id": one["assessment"], "basis_id": one["assessment"],
                    "standard_hash": standard_hash, "decision": one["decision"], "as_of": NOW, "verdicts": one["verdicts"],
                    "reasons": one["reasons"], "said": said, "facts": one["facts"],
                }
                for one in made
            ],
        )  # fmt: skip


class Spent:
    """CPU of this process and its children that ended, and wall time, since it was made."""

    def __init__(self) -> None:
        self._cpu, self._wall = _cpu_s(), time.perf_counter()

    def cpu_s(self) -> float:
        """Return seconds of CPU."""
        return _cpu_s() - self._cpu

    def wall_s(self) -> float:
        """Return seconds."""
        return time.perf_counter() - self._wall


def _cpu_s() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _peak_mb() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_maxrss for one in used) / 1024


async def reassess(path: Path) -> list[str]:
    """Change a limit, judge all cameras again, and return the table."""
    store = await Store.open(f"sqlite:///{path}", SystemClock())
    bus = LocalBus()
    rows = []
    for min_fps, version in ((20.0, "1.1.0"), (20.0, "1.1.0")):
        files = pack(min_fps, version)
        run = Reassessments(store, bus, SystemClock(), packaged_with(files), files=files, gate=GATE)
        spent = Spent()
        done = await run.run(HUB)
        await run.aclose()
        rows.append(
            f"| {done.total} | {done.rewritten} | {done.changed} | **{spent.wall_s():.1f}** | {spent.cpu_s():.1f} | "
            f"{spent.wall_s() / done.total * 1000:.2f} | {_peak_mb():.0f} |"
        )
        assert done.state == "done", done.failure
        print(rows[-1], file=sys.stderr)
    await store.aclose()
    return rows


async def area(path: Path) -> list[str]:
    """Report about the largest ward, and return the table."""
    store = await Store.open(f"sqlite:///{path}", SystemClock())
    spent = Spent()
    async with store.read() as tx:
        census = await take(tx, BIG_WARD, as_of=NOW, since=NOW - timedelta(days=30), holds_s=900)
    made = document(census, kind="area", hub={"id": "bench", "name": "Nút Đo"})
    data = as_json(made)
    rows = [_form("JSON, from the store", spent, made["total"], len(data))]
    for form in ("csv", "pdf", "xlsx", "html"):
        own = Spent()
        data = render(made, form, "vi")
        rows.append(_form(f"{form}, from the document", own, made["total"], len(data)))
        assert render(made, form, "vi") == data, form
    await store.aclose()
    return rows


def _form(name: str, spent: "Spent", cameras: int, size: int) -> str:
    row = f"| {name} | {cameras} | **{spent.wall_s():.1f}** | {spent.cpu_s():.1f} | {size / 1e6:.1f} | {_peak_mb():.0f} |"
    print(row, file=sys.stderr)
    return row


def calibration() -> float:
    """Return the seconds of CPU of ten million additions: how busy the neighbours of this core are."""
    begun, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - begun


def main() -> int:
    """Fill, measure, print, and perhaps write."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--cameras", type=int, default=136_000)
    arguments.add_argument("--store", type=Path, help="keep the filled store here, or take it from here")
    arguments.add_argument("--write", action="store_true", help="write the tables into bench/RESULTS.md")
    given = arguments.parse_args()
    where = machine()
    with tempfile.TemporaryDirectory() as folder:
        filled = given.store or Path(folder) / "filled.db"
        if not filled.exists():
            asyncio.run(fill(filled, given.cameras))
        path = Path(folder) / "bench.db"
        shutil.copy(filled, path)
        size_mb = path.stat().st_size / 1e6
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
        before = calibration()
        rows = asyncio.run(reassess(path))
        after = calibration()
        told = asyncio.run(area(path))
    lines = [
        HEADING,
        "",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {where}. All processes on one core; SQLite, {size_mb:.0f} MB.",
        "",
        (
            "Judging again after a limit changed: 89 rules, read from the store, judged, written back with an assessment and the "
            "reasons for each camera, an audit record for each that changed. The second line is a run in which nothing changes."
        ),
        "",
        "| cameras | written | decisions changed | s, wall | s, CPU | ms per camera | peak memory, MB |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"Report of a ward of {BIG:,} cameras; the PDF is made from the document and holds the first 500 of the list.",
        "",
        "| form | cameras | s, wall | s, CPU | MB | peak memory, MB |",
        "|---|---|---|---|---|---|",
        *told,
        "",
        (
            f"Ten million additions in Python took {before:.2f} s of CPU before and {after:.2f} s after judging; where "
            "other work ran meanwhile, CPU says more than wall time."
        ),
        "",
        "Command: `.venv/bin/python bench/assess.py --write`",
        "",
    ]
    text = "\n".join(lines)
    print(text)
    if given.write:
        _write(text)
    return 0


def _write(text: str) -> None:
    """Replace this bench's part of the results, leaving the others."""
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + after if after else ""))


if __name__ == "__main__":
    sys.exit(main())
