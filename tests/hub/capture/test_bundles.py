"""Every captured camera under tests/fixtures/cameras is replayed through the real adapters. Nobody registers it."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from adapters.clock import SystemClock
from adapters.registry import Registry
from hub.capture.bundle import FORMAT
from hub.capture.run import replay_facts
from standards.pack import packaged

pytestmark = pytest.mark.long

CAMERAS = Path(__file__).resolve().parents[2] / "fixtures" / "cameras"
BUNDLES = sorted(path.parent for path in CAMERAS.rglob("capture.json"))
BY_NAME = pytest.mark.parametrize(
    "folder", BUNDLES, ids=lambda folder: folder.relative_to(CAMERAS).as_posix()
)


def test_there_are_bundles() -> None:
    """The examples that ship with the project are found."""
    assert len(BUNDLES) >= 2


@BY_NAME
def test_a_captured_camera_gives_the_facts_that_it_gave(folder: Path) -> None:
    """Its facts, and how its run ended, are those of its capture.json."""
    told = json.loads((folder / "capture.json").read_text("utf-8"))
    seen = asyncio.run(replay_facts(folder, Registry.installed(), packaged(), SystemClock()))

    if os.environ.get(
        "CAMHUB_REWRITE_CAPTURES"
    ):  # after a change of an adapter that is meant: see the reference
        told["facts"] = {name: seen.facts[name] for name in seen.facts if name not in told["varies"]}
        told["failure"] = seen.failure
        (folder / "capture.json").write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
    assert told["facts"], "a bundle without facts proves nothing"
    assert {name: seen.facts.get(name) for name in told["facts"]} == told["facts"]
    assert seen.failure == told["failure"]


@BY_NAME
def test_a_bundle_is_as_the_reference_says(folder: Path) -> None:
    """Format, identity and evidence are there; every file that is named exists, and none is there unnamed."""
    told = json.loads((folder / "capture.json").read_text("utf-8"))
    rows = [json.loads(line) for line in (folder / "exchanges.jsonl").read_text("utf-8").splitlines()]
    named = {row[side]["body"] for row in rows for side in ("request", "reply")} - {""}
    there = {path.name for path in (folder / "bodies").iterdir()} if (folder / "bodies").is_dir() else set()

    assert told["format"] == FORMAT
    assert set(told["identity"]) == {"manufacturer", "model", "firmware"}
    assert told["evidence"] in {"scripted", "device"}
    assert named == there
    assert [row["n"] for row in rows] == list(range(1, len(rows) + 1))
    if not told["pictures"] and (folder / "packets.jsonl").exists():
        packets = [json.loads(line) for line in (folder / "packets.jsonl").read_text("utf-8").splitlines()]
        kept = sum(len(packet["head"]) // 2 for packet in packets)
        assert kept < 0.2 * sum(packet["size"] for packet in packets) + 64 * len(packets)
