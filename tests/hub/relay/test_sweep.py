"""Memory that nobody uses goes back to the system."""

import ctypes
import os
from pathlib import Path

import pytest

from hub.relay.sweep import Sweep

PAGE = os.sysconf("SC_PAGE_SIZE")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library has no malloc_trim")
def test_holes_in_the_heap_are_given_back() -> None:
    """What was freed between things that stay is no longer resident after a sweep."""
    held = [bytes(1500) for _ in range(40_000)]  # 60 MB, as packets are
    kept = held[::100]
    del held
    before = _resident()

    Sweep()()

    assert before - _resident() > 30_000_000
    assert len(kept) == 400
