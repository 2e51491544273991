"""What a test allows a busy machine: long waits for what must come, and the seconds that it did not give to what must be fast."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PATIENCE_S = 60.0  # only what is broken waits it out
_NAP_S = 0.02
_SHARE = 4  # what comes after a late thread is late too: a loop, a process, a decoder


@contextmanager
def taken_away() -> Iterator[Callable[[], float]]:
    """Measure how late a thread of this process wakes; return what is to be added to a limit in seconds, next to 0 at rest."""
    late_s, stopped = 0.0, threading.Event()

    def measure() -> None:
        nonlocal late_s
        while not stopped.is_set():
            began = time.monotonic()
            stopped.wait(_NAP_S)
            late_s += max(0.0, time.monotonic() - began - _NAP_S - 0.002)

    thread = threading.Thread(target=measure, name="taken away", daemon=True)
    thread.start()
    try:
        yield lambda: min(late_s * _SHARE, PATIENCE_S / 2)
    finally:
        stopped.set()
        thread.join()
