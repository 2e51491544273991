"""Judging all cameras again: the same decisions as the full path, without a packet, whole batches or none."""

import json
import zlib
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hub_world import ANNA, START, World, run, world
from observed_cameras import camera as observed
from observed_cameras import missed
from sqlalchemy import delete, func, insert, select, update

from hub.catalog.judgements import pack_facts, unpack_facts
from hub.catalog.types import Camera, Kind
from hub.compliance import judging, reassess
from hub.compliance.judging import Asked, Judge
from hub.compliance.reassess import Reassessments
from hub.onboarding.declared import Gate, consent_gate, new_assessment
from hub.reports.document import document
from hub.reports.unwritten import ReportWriter
from hub.store import tables
from hub.texts import Texts
from standards.assess import assess
from standards.compiled import plain
from standards.observation import Observations
from standards.pack import Packs, packaged_with
from standards.reason import Reason
from standards.waiver import LONGEST_WAIVER

pytestmark = pytest.mark.long

PROFILE = """
id = "here-2026"
version = "{version}"
in_force_from = "2026-01-01"
extends = "vn-municipal-2026"
title = {{ vi = "Ở đây", en = "Here" }}
summary = {{ vi = "Thử.", en = "A try." }}

[set.VQ-02]
min_fps = {fps}
"""
TEXTS = Texts.installed()
CLOSED = consent_gate(Kind.HOUSEHOLD, None, START, TEXTS).reason or {}


class Here(Executor):
    """Judges in the test's own process."""

    def __init__(self, files: Mapping[str, str]) -> None:
        judging._judge = Judge(packaged_with(files))

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
        done: Future[Any] = Future()
        done.set_result(fn(*args, **kwargs))
        return done


def files(fps: float, version: str) -> dict[str, str]:
    """Return the province's own pack."""
    return {"here.toml": PROFILE.format(fps=fps, version=f"{version}.0.0")}


async def probed(
    room: World, packs: Packs, name: str, observations: Observations, kind: Kind = Kind.AUTHORITY
) -> str:
    """Enrol a camera and record what a probe saw, as onboarding does; return its id."""
    camera: Camera = await room.camera(name, kind=kind)
    found = assess(
        observations,
        packs.profile("here-2026"),
        as_of=room.clock.now(),
        enrolled_at=camera.enrolled_at,
        camera=camera.address,
    )
    report = document(found, observations, target=camera.name)
    gate = consent_gate(kind, None, START, TEXTS) if kind is not Kind.AUTHORITY else Gate()
    new = new_assessment(report, found, observations.as_json(), gate, TEXTS)
    await room.catalog.record_assessment(camera.id, new, ANNA)
    return camera.id


def runner(room: World, own: dict[str, str], executor: Any = Here) -> Reassessments:
    """Return the service with some packs."""
    return Reassessments(
        room.store,
        room.coordination.bus,
        room.clock,
        packaged_with(own),
        files=own,
        gate=CLOSED,
        executor=executor,
    )


def in_world(tmp_path: Path, work: Any) -> None:
    """Run a test in a fresh world on SQLite."""

    async def whole() -> None:
        async with world(f"sqlite:///{tmp_path}/hub.db", tmp_path) as room:
            await work(room)

    run(whole())


SLOW = {"stream.main.fps": 21.0}
CAMERAS: dict[str, Observations] = {
    "good": observed(),
    "slow": observed(SLOW),
    "slow and dark": observed({**SLOW, "picture.main.luma_mean": 2.0}),
    "unseen": observed({"stream.main.fps": missed(Reason.TIMED_OUT)}),
    "nothing": Observations(),
}


def test_facts_come_back_as_they_were_packed() -> None:
    """Packing loses nothing that a verdict depends on."""
    for observations in CAMERAS.values():
        told = {fact: one for fact, one in plain(observations).items() if one is not Reason.NOT_ASKED}
        assert unpack_facts(pack_facts(observations.as_json())) == told


def test_facts_that_an_older_program_packed_are_read() -> None:
    """The form in which names and values lay side by side means the same."""
    for observations in CAMERAS.values():
        told = plain(observations)
        parts: tuple[dict[str, Any], ...] = ({}, {}, {}, {})
        for fact, one in observations.as_json().items():
            if "reason" in one:
                parts[3].setdefault(one["reason"], []).append(fact)
            else:
                nested = isinstance(one["value"], list) and any(
                    isinstance(each, dict) for each in one["value"]
                )
                parts[2 if nested else 1 if isinstance(one["value"], list) else 0][fact] = one["value"]
        assert unpack_facts(zlib.compress(msgspec.json.encode(parts))) == told


@pytest.mark.parametrize(
    "broken",
    [b"", b"\x02", b"\x02\x00\x00\x00\x09abc", b"\x03\x00\x00\x00\x00", b"\x78\x9c\x00", pack_facts({})[:-4],
     pack_facts(CAMERAS["good"].as_json())[:700], zlib.compress(b"[1,2]"), zlib.compress(b"[{},{},{},{\"no such\":[]}]")],
)  # fmt: skip
def test_facts_that_are_broken_cost_their_camera_only(broken: bytes) -> None:
    """What cannot be read, or comes from a newer program, is an error with one sentence."""
    with pytest.raises(ValueError, match=r"cannot be read"):
        unpack_facts(broken)


def test_a_looser_limit_decides_as_the_full_path_would(tmp_path: Path) -> None:
    """After a limit changed every camera has the decision, counts and report that a full assessment gives."""

    async def work(room: World) -> None:
        before, after = files(25.0, "1"), files(20.0, "2")
        packs = packaged_with(before)
        ids = {name: await probed(room, packs, name, seen) for name, seen in CAMERAS.items()}
        room.clock.turn(days=40)
        done = await runner(room, after).run(ANNA)
        assert (done.state, done.total, done.done, done.unread) == ("done", 5, 5, 0)
        room.catalog.write_out = ReportWriter(packaged_with(after), CLOSED)
        for name, camera_id in ids.items():
            camera = await room.catalog.get(camera_id)
            assert camera.assessment_id is not None
            kept = await room.catalog.assessment(camera.assessment_id)
            full = assess(
                Observations.from_json(kept.observations),
                packaged_with(after).profile("here-2026"),
                as_of=room.clock.now(),
                enrolled_at=camera.enrolled_at,
            )
            assert (camera.decision, kept.decision) == (str(full.decision), str(full.decision)), name
            assert kept.counts == full.counts
            assert kept.report["standard_detail"]["version"] == "2.0.0"
            told = [(one["rule"], one["verdict"]) for one in kept.report["findings"]]
            assert told == [(one.rule.id, str(one.verdict)) for one in full.findings]
            lowering = [one["rule"] for one in camera.decision_reasons]
            assert lowering == [one.rule.id for one in full.because]
        assert done.changed >= 1
        assert (await room.audit.verify()).ok

    in_world(tmp_path, work)


def test_it_writes_the_same_on_both_databases(new_url: Callable[[], str], tmp_path: Path) -> None:
    """Decisions, letters, counts and lists after a run, on SQLite and on PostgreSQL; then nothing is left to write."""

    async def whole() -> None:
        async with world(new_url(), tmp_path) as room:
            for name, seen in CAMERAS.items():
                await probed(room, packaged_with(files(25.0, "1")), name, seen)
            room.clock.turn(days=40)
            own = files(20.0, "2")
            done = await runner(room, own).run(ANNA)
            assert (done.state, done.rewritten, done.failure) == ("done", 5, "")
            async with room.store.read() as tx:
                kept = {row.camera_id: row for row in await tx.all(select(tables.judgements))}
                shown = await tx.all(select(tables.cameras))
                told = {row.id: row for row in await tx.all(select(tables.assessments))}
            for camera in shown:
                judgement, assessment = kept[camera.id], told[camera.assessment_id]
                days = round((camera.changed_at - camera.enrolled_at).total_seconds() / 86_400, 2)
                known = {"consent.state": [camera.consent_state], "catalog.enrolled_days": [days]}
                (said,) = Judge(packaged_with(own)).judge(
                    Asked("here-2026", [judgement.facts], known, [False], {})
                )
                assert not isinstance(said, str)
                assert (judgement.decision, judgement.verdicts, judgement.reasons) == said[:3]
                assert (assessment.decision, camera.decision) == (said.decision, said.decision)
                assert assessment.counts == json.loads(said.counts)
                assert camera.decision_reasons == json.loads(said.because)
                assert assessment.report["unwritten"] == judgement.basis_id
                assert (judgement.as_of, assessment.as_of) == (camera.changed_at, camera.changed_at)
            again = await runner(room, own).run(ANNA)
            assert (again.state, again.rewritten) == ("done", 0)
            assert (await room.audit.verify()).ok

    run(whole())


def test_a_second_run_writes_nothing(tmp_path: Path) -> None:
    """Where nothing is other than before, no assessment and no audit record of a camera is added."""

    async def work(room: World) -> None:
        own = files(25.0, "1")
        for name, seen in CAMERAS.items():
            await probed(room, packaged_with(own), name, seen)
        room.clock.turn(days=40)  # the end of probation changes verdicts once
        await runner(room, own).run(ANNA)
        async with room.store.read() as tx:
            count = await tx.scalar(select(func.count()).select_from(tables.assessments))
        again = await runner(room, own).run(ANNA)
        async with room.store.read() as tx:
            assert await tx.scalar(select(func.count()).select_from(tables.assessments)) == count
        assert (again.rewritten, again.changed) == (0, 0)

    in_world(tmp_path, work)


def test_the_consent_gate_stays_closed(tmp_path: Path) -> None:
    """A donated camera without consent is PENDING at best, whatever the new limit says."""

    async def work(room: World) -> None:
        packs = packaged_with(files(25.0, "1"))
        camera_id = await probed(
            room, packs, "home", observed({"custodian.kind": "household"}), Kind.HOUSEHOLD
        )
        await runner(room, files(5.0, "2")).run(ANNA)
        camera = await room.catalog.get(camera_id)
        assert camera.decision in ("PENDING", "REJECTED")
        assert "CONSENT" in [one["rule"] for one in camera.decision_reasons]

    in_world(tmp_path, work)


def test_a_decision_held_by_two_of_three_is_not_made_worse(tmp_path: Path) -> None:
    """A single bad run that does not decide yet does not decide by a rule change either."""

    async def work(room: World) -> None:
        packs = packaged_with(files(10.0, "1"))
        camera_id = await probed(room, packs, "good", observed())
        before = (await room.catalog.get(camera_id)).decision
        seen = observed({"picture.main.luma_mean": 2.0, "stream.main.fps": 1.0, "stream.main.width": 100})
        found = assess(seen, packs.profile("here-2026"), as_of=START, enrolled_at=START)
        report = document(found, seen, target="good")
        new = new_assessment(report, found, seen.as_json(), Gate(), TEXTS)
        await room.catalog.record_assessment(camera_id, replace(new), ANNA, decides=False)
        assert new.decision != before
        await runner(room, files(9.0, "2")).run(ANNA)
        assert (await room.catalog.get(camera_id)).decision == before

    in_world(tmp_path, work)


def test_older_databases_are_filled_first(tmp_path: Path) -> None:
    """Cameras whose judgement was never kept are judged too, from their whole assessment."""

    async def work(room: World) -> None:
        packs = packaged_with(files(25.0, "1"))
        await probed(room, packs, "slow", CAMERAS["slow"])
        async with room.store.write() as tx:
            await tx.execute(delete(tables.judgements))
        done = await runner(room, files(20.0, "2")).run(ANNA)
        assert (done.total, done.rewritten) == (1, 1)

    in_world(tmp_path, work)


def test_a_run_that_is_stopped_keeps_whole_batches_and_another_does_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped while it judges: the batch is written, the rest is as before; the next run writes just the rest."""
    monkeypatch.setattr(reassess, "BATCH", 2)

    async def work(room: World) -> None:
        own = files(20.0, "2")
        for name, seen in CAMERAS.items():
            await probed(room, packaged_with(files(25.0, "1")), name, seen)
        room.clock.turn(days=40)

        class Stopping(Here):
            def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> "Future[Any]":
                service.stop()
                return super().submit(fn, *args, **kwargs)

        service = runner(room, own, Stopping)
        run = await service.run(ANNA)
        assert (run.state, run.total, run.done, run.rewritten) == ("stopped", 5, 2, 2)
        rest = await runner(room, own).run(ANNA)
        assert (rest.state, rest.done, rest.rewritten) == ("done", 5, 3)
        assert (await room.audit.verify()).ok

    in_world(tmp_path, work)


def test_one_area_leaves_the_others_alone(tmp_path: Path) -> None:
    """A run in one ward judges its cameras only; a standard that is gone judges nobody."""

    async def work(room: World) -> None:
        packs = packaged_with(files(25.0, "1"))
        await probed(room, packs, "slow", CAMERAS["slow"])
        done = await runner(room, files(20.0, "2")).run(ANNA, area="99002")
        assert (done.state, done.total) == ("done", 0)
        gone = await runner(room, {}).run(ANNA)
        assert (gone.state, gone.unread, gone.rewritten) == ("done", 1, 0)

    in_world(tmp_path, work)


def test_a_report_by_a_version_that_is_gone_says_so(tmp_path: Path) -> None:
    """Own packs of a version are kept, so that its reports stay readable after the pack changed again."""

    async def work(room: World) -> None:
        camera_id = await probed(room, packaged_with(files(25.0, "1")), "slow", CAMERAS["slow"])
        room.clock.turn(days=1)
        await runner(room, files(20.0, "2")).run(ANNA)
        room.catalog.write_out = ReportWriter(packaged_with(files(15.0, "3")), CLOSED)
        camera = await room.catalog.get(camera_id)
        kept = await room.catalog.assessment(str(camera.assessment_id))
        assert kept.report["standard_detail"]["version"] == "2.0.0"
        async with room.store.write() as tx:
            await tx.execute(delete(tables.standards_kept))
        without = await room.catalog.assessment(str(camera.assessment_id))
        assert without.report["standard_detail"]["version"] == "1.0.0"
        assert "here-2026 2" in without.report["summary"]["en"]

    in_world(tmp_path, work)


def test_the_judging_process_judges_as_the_test_does(tmp_path: Path) -> None:
    """Once in a process of its own, as in a hub."""

    async def work(room: World) -> None:
        await probed(room, packaged_with(files(25.0, "1")), "slow", CAMERAS["slow"])
        room.clock.turn(seconds=timedelta(days=40).total_seconds())
        own = files(20.0, "2")
        service = Reassessments(
            room.store, room.coordination.bus, room.clock, packaged_with(own), files=own, gate=CLOSED
        )
        done = await service.run(ANNA)
        assert (done.state, done.rewritten) == ("done", 1)
        assert await service.last() == done.as_json()

    in_world(tmp_path, work)


async def stated(room: World, kind: str, camera_id: str, **more: Any) -> None:
    """Put an approved statement on record, as two people would."""
    now = room.clock.now()
    data = {
        "justification": "j",
        "authority": "a",
        "compensating_control": "c",
        "author": "b",
        "role": "owner",
    }
    row: dict[str, Any] = {
        "id": f"{kind[:1]}-{camera_id[:30]}", "kind": kind, "rule": "VQ-02", "camera_id": camera_id, "area_code": None,
        "selector": {"camera": camera_id}, "data": {**data, "explanation": "e", "attachment_sha256": ""},
        "starts_at": now, "expires_at": now + timedelta(days=30), "state": "approved", "proposed_by": "p", "proposer": "P",
        "proposed_at": now, "decided_by": "d", "decider": "D", "decided_at": now, "reason": "", "settled": False, **more,
    }  # fmt: skip
    async with room.store.write() as tx:
        await tx.execute(insert(tables.statements).values(**row))


async def letter(room: World, camera_id: str, rule: str = "VQ-02") -> str:
    """Return the letter of a rule in a camera's judgement."""
    async with room.store.read() as tx:
        row = await tx.one(select(tables.judgements).where(tables.judgements.c.camera_id == camera_id))
        rules = (await tx.one(select(tables.standards_kept).where(tables.standards_kept.c.hash == row.standard_hash))).content["rules"]  # fmt: skip
    return str(row.verdicts[[one[0] for one in rules].index(rule)])


def test_a_waiver_of_today_counts_and_one_that_ended_does_not(tmp_path: Path) -> None:
    """Waivers approved since the last assessment count, in every way of naming cameras; ended ones do not."""

    async def work(room: World) -> None:
        own = files(25.0, "1")
        camera_id = await probed(room, packaged_with(own), "slow", CAMERAS["slow"])
        room.clock.turn(days=40)
        await runner(room, own).run(ANNA)
        assert await letter(room, camera_id) == "F"
        await stated(room, "waiver", camera_id)
        table = tables.statements
        model = str(CAMERAS["slow"].as_json()["device.model"]["value"]).upper()
        for selector in (
            {"camera": camera_id},
            {"area": "99"},
            {"custodian": "authority"},
            {"model": model},
        ):
            async with room.store.write() as tx:
                await tx.execute(update(table).values(state="approved", selector=selector))
            done = await runner(room, own).run(ANNA)
            assert (done.state, done.rewritten, await letter(room, camera_id)) == ("done", 1, "f"), selector
            room.catalog.write_out = ReportWriter(packaged_with(own), CLOSED)
            camera = await room.catalog.get(camera_id)
            kept = await room.catalog.assessment(str(camera.assessment_id))
            assert [one["rule"] for one in kept.report["waivers"]] == ["VQ-02"]
            assert kept.decision == camera.decision
            async with room.store.write() as tx:
                await tx.execute(update(table).values(state="revoked"))
            await runner(room, own).run(ANNA)
            assert await letter(room, camera_id) == "F", selector
        async with room.store.write() as tx:
            await tx.execute(update(table).values(state="approved", selector={"area": "99002"}))
        assert (await runner(room, own).run(ANNA)).rewritten == 0
        async with room.store.write() as tx:
            await tx.execute(update(table).values(selector={"camera": camera_id}))
        room.clock.turn(seconds=LONGEST_WAIVER.total_seconds())
        assert (await runner(room, own).run(ANNA)).rewritten == 0

    in_world(tmp_path, work)


def test_an_attestation_that_lapsed_takes_its_rule_back(tmp_path: Path) -> None:
    """While it holds the verdict stands; once every attestation of a rule has lapsed the rule is NOT_CHECKED."""

    async def work(room: World) -> None:
        own = files(20.0, "1")
        camera_id = await probed(room, packaged_with(own), "good", CAMERAS["good"])
        room.clock.turn(days=40)
        await stated(room, "attestation", camera_id)
        await runner(room, own).run(ANNA)
        assert await letter(room, camera_id) == "p"
        room.clock.turn(days=31)
        await runner(room, own).run(ANNA)
        assert (await letter(room, camera_id)).lower() == "n"

    in_world(tmp_path, work)
