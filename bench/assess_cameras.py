"""136,000 made-up cameras with varied observations in a real store: what `bench/assess.py` judges and reports.

Each camera has its own facts: kind of interface, resolution, frame rate, clock, account, what was missed and why, who
keeps it, when it was enrolled. Observations, judgements and assessments have the form in which the hub itself keeps
them; only the way in is a shortcut (bulk inserts instead of one transaction per probe).
"""

import random
import sys
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent / "tests" / "support"))

from observed_cameras import GOOD  # noqa: E402

from hub.catalog.judgements import UNWRITTEN, pack_facts  # noqa: E402
from hub.compliance.judging import Asked, Judge  # noqa: E402
from standards.pack import Packs  # noqa: E402

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
STANDARD = "bench-2026"
BIG_WARD, BIG = "98000", 33_060
WARDS = 332
KINDS = ("authority", "authority", "household", "household", "shop", "school")
_MAKERS = ("Hikvision", "Dahua", "Axis", "KBVision", "Imou", "TP-Link", "Ezviz", "Uniview")


def pack(min_fps: float, version: str) -> dict[str, str]:
    """Return a profile of a province: all rules of `vn-municipal-2026`, one limit of its own."""
    text = f"""
id = "{STANDARD}"
version = "{version}"
in_force_from = "2026-01-01"
extends = "vn-municipal-2026"
title = {{ vi = "Tỉnh đo thử", en = "Bench province" }}
summary = {{ vi = "Để đo.", en = "For measuring." }}

[set.VQ-02]
min_fps = {min_fps}
"""
    return {"bench.toml": text}


def facts_of(number: int) -> tuple[dict[str, Any], str]:
    """Return the observations of one camera as JSON, and its kind of custodian."""
    chance = random.Random(number)
    kind = chance.choice(KINDS)
    donated = kind != "authority"
    values = dict(GOOD)
    maker = chance.choice(_MAKERS)
    width, height = chance.choice([(1920, 1080)] * 14 + [(1280, 720)] * 2 + [(2560, 1440), (640, 480)])
    fps = chance.choice([25.0] * 6 + [20.0, 15.0, 12.0]) + chance.uniform(-0.6, 0.4)
    values |= {
        "custodian.kind": kind,
        "consent.state": "active" if donated else "not_needed",
        "device.manufacturer": maker,
        "device.model": f"{maker[:3].upper()}-{chance.randrange(40):02}",
        "device.firmware": f"{chance.randrange(1, 9)}.{chance.randrange(100)}",
        "device.serial": f"{number:012X}",
        "stream.main.width": width, "stream.main.height": height, "stream.main.fps": round(fps, 3),
        "stream.main.claimed_width": width, "stream.main.claimed_height": height,
        "time.offset_s": round(abs(chance.gauss(0, 0.9)), 3),
        "reach.slowest_s": round(chance.uniform(0.01, 1.2), 3),
        "uptime.ratio_30d": round(min(1.0, max(0.2, chance.gauss(0.995, 0.004))), 4),
        "picture.main.luma_mean": round(chance.uniform(20, 180), 1),
        "recording.days_kept": float(chance.choice([15, 30, 30, 31, 31, 45, 60])),
        "credential.factory_default": chance.random() < 0.03,
    }  # fmt: skip
    values = {fact: value for fact, value in values.items() if fact in GOOD or fact == "uptime.ratio_30d"}
    missed: dict[str, str] = {}
    if chance.random() < 0.15:  # RTSP only
        values |= {"target.scheme": "rtsp", "target.interfaces": ["rtsp"]}
        missed |= dict.fromkeys(
            (fact for fact in values if fact.startswith(("onvif.", "time.", "http.", "events."))), "not_asked"
        )
    if chance.random() < 0.05:
        missed |= dict.fromkeys(
            (fact for fact in values if fact.startswith(("stream.", "device."))), "no_credential"
        )
    if chance.random() < 0.03:
        missed |= dict.fromkeys(
            (fact for fact in values if fact.startswith(("stream.", "rtsp."))), "timed_out"
        )
    for fact in chance.sample(sorted(values), chance.choice([0, 0, 0, 1, 1, 2, 3, 8, 14])):
        missed[fact] = chance.choice(
            ["no_declaration", "no_vantage", "denied_by_device", "unstable", "window"]
        )
    told = {
        "method": "TEST",
        "source": "onvif/1",
        "operation": "ONVIF device GetDeviceInformation",
        "peer": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}:80",
        "collected_at": (NOW - timedelta(minutes=chance.randrange(1440))).isoformat(timespec="milliseconds"),
        "duration_s": round(chance.uniform(0.01, 0.9), 3),
        "excerpt": "",
        "excerpt_sha256": "",
    }
    said: dict[str, Any] = {}
    for fact, value in values.items():
        if fact in missed:
            said[fact] = {"reason": missed[fact], "detail": "as scripted", "provenance": told}
        else:
            said[fact] = {"value": value, "provenance": told}
    return said, kind


_judge: Judge | None = None


def prepare(files: dict[str, str]) -> None:
    """Make a filling process ready."""
    global _judge  # noqa: PLW0603
    from standards.pack import packaged_with

    packs: Packs = packaged_with(files)
    _judge = Judge(packs)


def make(numbers: range) -> list[dict[str, Any]]:
    """Return what the store keeps of some cameras."""
    assert _judge is not None
    made = []
    for number in numbers:
        said, kind = facts_of(number)
        chance = random.Random(-number - 1)
        facts = pack_facts(said)
        enrolled = NOW - timedelta(days=chance.choice([5, 40, 90, 200, 400, 700]), minutes=number % 1440)
        (found,) = _judge.judge(Asked(STANDARD, [facts], {}, [NOW - enrolled < timedelta(days=30)], {}))
        assert not isinstance(found, str)
        decision, verdicts, reasons, counts, because = found
        camera, custodian, assessment = (str(UUID(int=number << 8 | part, version=4)) for part in (1, 2, 3))
        ward = BIG_WARD if number < BIG else f"98{1 + number % (WARDS - 1):03d}"
        made.append(
            {
                "number": number, "camera": camera, "custodian": custodian, "assessment": assessment, "kind": kind,
                "ward": ward, "enrolled": enrolled, "decision": decision, "verdicts": verdicts, "reasons": reasons,
                "counts": counts, "because": because, "facts": facts,
                "observations": zlib.compress(msgspec.json.encode(said), 1),
                "older": [
                    (NOW - timedelta(days=30 * back + number % 20), chance.choice((decision, decision, "PENDING", "CONDITIONAL")))
                    for back in (1, 3)
                ],
                "health": chance.choice(["alive"] * 8 + ["fault", "unreachable"]),
            }
        )  # fmt: skip
    return made


def unwritten(basis: str) -> bytes:
    """Return the packed report of an older assessment."""
    return zlib.compress(msgspec.json.encode({UNWRITTEN: basis, "hash": "", "known": {}}))
