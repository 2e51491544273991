"""Replies and packets captured from real devices: where they are, and which of them a test run has checked.

The files stand beside the checkout (CAMHUB_CORPUS names their folder) and are never copied into it. A test reads a
file and calls `checked` behind its assertions; the end of the run tells how many of each kind were checked:
"captured replies: rtsp 55 of 55, media 6 of 6". The kind is the first folder below the root.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

_given = os.environ.pop("CAMHUB_CORPUS", "")  # no setting: a hub started by a test would refuse it
if _given:
    os.environ["CAMHUB_TEST_CORPUS"] = _given  # for the workers of this run
ROOT = Path(
    os.environ.get("CAMHUB_TEST_CORPUS") or Path(__file__).resolve().parents[3] / "shared" / "corpora"
)
REASON = f"captured replies: no corpus at {ROOT} (CAMHUB_CORPUS names its folder)"
_NO_KIND = frozenset({"LICENSES"})

_checked: set[str] = set()  # of this process, relative to the root; the controller of xdist adds its workers'

needs_corpus = pytest.mark.skipif(not ROOT.is_dir(), reason=REASON)


def path(*parts: str) -> Path:
    """Return a path in the corpus; skips the test where there is none."""
    found = ROOT.joinpath(*parts)
    if not found.exists():
        pytest.skip(REASON if not ROOT.is_dir() else f"captured replies: {found} is missing")
    return found


def files(*parts: str) -> tuple[str, ...]:
    """Return all files below a folder, relative to the root with ``/`` (empty without a corpus: for parametrize)."""
    top = ROOT.joinpath(*parts)
    if not top.is_dir():
        return ()
    return tuple(sorted(name_of(item) for item in top.rglob("*") if item.is_file()))


def name_of(file: Path) -> str:
    """Return a file's name relative to the root, with ``/``."""
    return file.relative_to(ROOT).as_posix()


def checked(*names: str | Path) -> None:
    """Count files whose content was held against expected facts. Call it behind the assertions."""
    for name in names:
        _checked.add(name_of(name) if isinstance(name, Path) else name)


def checked_here() -> list[str]:
    """Return what this process has checked (xdist workers hand it to their controller)."""
    return sorted(_checked)


def add_checked(names: Iterable[str]) -> None:
    """Add what another process has checked."""
    _checked.update(names)


def summary() -> str:
    """Return one line about the kinds of which anything was checked; empty where nothing was."""
    done = Counter(name.split("/", 1)[0] for name in _checked)
    present: Mapping[str, int] = {
        item.name: len(files(item.name))
        for item in (ROOT.iterdir() if done else ())
        if item.is_dir() and item.name not in _NO_KIND
    }
    return ", ".join(f"{kind} {done[kind]} of {present[kind]}" for kind in sorted(present) if done[kind])
