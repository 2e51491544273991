"""A short fuzzing run: every seed and regression, and seeded mutations of them, within the limits of `make fuzz`."""

import subprocess
import sys

import pytest

from fuzz.limits import ROOT, Limits, resident_peak
from fuzz.mutate import Mutator
from fuzz.targets import REGRESSIONS, SEEDS, Target, targets

pytestmark = pytest.mark.long

ALL = targets()


@pytest.mark.parametrize("target", ALL.values(), ids=ALL)
def test_seeds_regressions_and_mutations_stay_within_the_limits(target: Target) -> None:
    """No input makes a target raise what it may not, take 1 s of CPU or 256 MB."""
    run, allowed = target.prepare()
    limits = Limits()
    seeds = [path.read_bytes() for path in target.inputs()]
    assert seeds, f"fuzz/seeds/{target.name} is empty: python -m fuzz.make_seeds"
    inputs = [*seeds, b"", *short_run(target, seeds)]
    for number, data in enumerate(inputs):
        finding = limits.examine(run, allowed, data)
        assert finding is None, f"input {number}, {data!r:.2000}: {finding}"


def short_run(target: Target, seeds: list[bytes]) -> list[bytes]:
    """Return so many mutations, always the same ones: the number is fixed, the time is only what they take."""
    mutator = Mutator(seeds, target.max_bytes, seed=20261121)
    return [mutator.one() for _ in range(SLOW.get(target.name, 200))]


# Inputs that cost milliseconds each
SLOW = {
    "standard_pack": 10, "capture_bundle": 60, "masking": 12, "onvif_schema": 20, "hikvision": 60, "axis": 60,
    "relay_offer": 80, "rtsp_recipient": 25, "tunnel_head": 100, "tunnel_requests": 100,
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("rtsp_message", b"R"),
        ("rtsp_interleaved", b"$"),
        ("challenges", b"\n"),
        ("sdp", b"a="),
        ("http_reply", b"\n"),
        ("onvif_reply", b"<"),
        ("hikvision", b"><"),
        ("dahua", b"a=\n"),
        ("axis", b"\n"),
        ("axis", b'a="\n'),
        ("ws_discovery", b" onvif://a/b/c"),
        ("redaction", b"<"),
    ],
)
def test_long_inputs_cost_no_more_than_their_length(name: str, word: bytes) -> None:
    """The same few bytes 100,000 bytes long stay under the second, too: nothing runs back over them."""
    target = ALL[name]
    run, allowed = target.prepare()
    data = target.inputs()[0].read_bytes()[:1] + word * (100_000 // len(word))
    assert Limits().examine(run, allowed, data) is None


def test_seeds_belong_to_targets() -> None:
    """No folder of seeds or regressions has lost its target, and none is too long for it."""
    folders = [folder for root in (SEEDS, REGRESSIONS) if root.is_dir() for folder in root.iterdir()]

    assert {folder.name for folder in folders} <= set(ALL)
    for target in ALL.values():
        assert all(path.stat().st_size <= target.max_bytes for path in target.inputs()), target.name


def raises(_data: bytes) -> None:
    raise KeyError("unforeseen")


def loops(_data: bytes) -> None:
    while True:
        try:
            sum(range(1000))
        except Exception:
            continue


def hoards(_data: bytes) -> None:
    # more than this process ever held: its peak may be that of another test
    assert b"x" * (resident_peak() + (48 << 20))


@pytest.mark.parametrize(
    ("run", "kind", "place"),
    [(raises, "error", "test_fuzz_targets.py"), (loops, "hang", ""), (hoards, "memory", "")],
)
def test_each_kind_of_finding_is_seen(run: object, kind: str, place: str) -> None:
    """An error that is not foreseen, a loop that swallows exceptions and too much memory are findings."""
    limits = Limits(cpu_s=0.2 if kind == "hang" else 20.0, memory_bytes=16 << 20)

    finding = limits.examine(run, (ValueError,), b"x")  # type: ignore[arg-type]

    assert finding is not None
    assert finding.kind == kind
    assert finding.place.startswith(place)
    assert limits.examine(lambda _data: None, (), b"x") is None


def test_foreseen_errors_are_no_findings() -> None:
    """What a target names may be raised, its subclasses too."""
    limits = Limits()

    def refuses(data: bytes) -> None:
        data.decode()

    assert limits.examine(refuses, (ValueError,), b"\xff") is None
    assert limits.examine(refuses, (KeyError,), b"\xff") is not None


def test_mutations_depend_on_their_seed_alone() -> None:
    """The same seeds and number give the same inputs, within the bound; another number gives others."""
    seeds = [b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", b"\0\1\2"]
    first, again, other = (Mutator(seeds, 40, seed) for seed in (1, 1, 2))
    made = [first.one() for _ in range(500)]

    assert made == [again.one() for _ in range(500)]
    assert made != [other.one() for _ in range(500)]
    assert max(map(len, made)) <= 40
    assert len(set(made)) > 300


def test_a_run_without_atheris_reports_what_it_did(tmp_path: object) -> None:
    """`python -m fuzz` with our own engine goes through a target's CPU time and prints its table."""
    told = subprocess.run(
        [sys.executable, "-m", "fuzz", "--engine", "own", "--seconds", "1", "--target", "rtp", "--seed", "1",
         "--work", str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip

    assert told.returncode == 0, told.stdout + told.stderr
    assert "| rtp | " in told.stdout
    assert "0 findings" in told.stdout
