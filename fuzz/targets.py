"""The registry of fuzz targets: what takes bytes from strangers, each with the closed set of errors it may raise.

A target is prepared once per process (its imports, its tables) and then is a pure function of bytes.
"""

import random
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from itertools import pairwise
from pathlib import Path

from fuzz.limits import ROOT

Run = Callable[[bytes], None]
Prepared = tuple[Run, tuple[type[Exception], ...]]
SEEDS = ROOT / "fuzz" / "seeds"
REGRESSIONS = ROOT / "fuzz" / "regressions"
MODULES = ("fuzz.of_messages", "fuzz.of_media", "fuzz.of_replies", "fuzz.of_hub")


@dataclass(frozen=True, slots=True)
class Target:
    """One entry point. `prepare` imports what it needs and returns the function and the errors it may raise."""

    name: str
    prepare: Callable[[], Prepared]
    max_bytes: int  # inputs are no longer than this
    corpora: tuple[str, ...]  # glob patterns of captured data that a long run may begin with, too
    prefix: bytes  # stands before captured data: what chooses

    @property
    def about(self) -> str:
        """Return the first line of what it says about itself."""
        return (self.prepare.__doc__ or "").partition("\n")[0]

    def inputs(self) -> list[Path]:
        """Return the seeds and the regressions, in a fixed order."""
        folders = (SEEDS / self.name, REGRESSIONS / self.name)
        return [path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir())]


_known: dict[str, Target] = {}


def target(
    *, max_bytes: int = 4096, corpora: tuple[str, ...] = (), prefix: bytes = b""
) -> Callable[[Callable[[], Prepared]], Callable[[], Prepared]]:
    """Enter a function into the registry under its own name."""

    def enter(prepare: Callable[[], Prepared]) -> Callable[[], Prepared]:
        _known[prepare.__name__] = Target(prepare.__name__, prepare, max_bytes, corpora, prefix)
        return prepare

    return enter


def targets() -> dict[str, Target]:
    """Return all targets by name, in the order in which they are written. Imports nothing but their list."""
    for module in MODULES:
        import_module(module)
    return _known


def pieces(data: bytes) -> Iterator[bytes]:
    """Yield the data cut in pieces; where depends on nothing but the data. Now and then each byte stands alone."""
    dice = random.Random(zlib.crc32(data))
    if not data:
        return
    many = len(data) if len(data) <= 400 and dice.random() < 0.2 else dice.randint(1, 9)
    cuts = sorted({0, len(data), *(dice.randrange(len(data) + 1) for _ in range(many))})
    if many == len(data):
        cuts = list(range(len(data) + 1))
    for start, stop in pairwise(cuts):
        yield data[start:stop]


def packets(data: bytes, most: int = 400) -> Iterator[tuple[int, bytes]]:
    """Yield (flags, packet): a byte of flags, two of length, and as many bytes as there are, over and over."""
    at = 0
    while at + 3 <= len(data) and most > 0:
        size = int.from_bytes(data[at + 1 : at + 3], "big")
        yield data[at], data[at + 3 : at + 3 + size]
        at += 3 + size
        most -= 1


def packed(*parts: tuple[int, bytes]) -> bytes:
    """Return what `packets` takes apart."""
    return b"".join(bytes((flags,)) + len(data).to_bytes(2, "big") + data for flags, data in parts)
