"""One input within bounds: 1 s of CPU, 256 MB of memory, no error but those that a target names.

CPU time and not wall time is counted, so that a busy machine makes no finding. Memory is the process's resident
peak (``ru_maxrss``) above what the process held when its target was ready: that sees C libraries too, which
`tracemalloc` does not, and costs a system call instead of two thirds of the speed. Because the peak belongs to the
process, memory that is never given back is found as well.
"""

import resource
import signal
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

CPU_S = 1.0  # per input
MEMORY_BYTES = 256 << 20  # above the ready process
HARD_MEMORY_BYTES = 1 << 30  # of address space above it: what is asked for beyond this fails at once
ROOT = Path(__file__).resolve().parent.parent
_OURS = tuple(str(ROOT / name) for name in ("adapters", "hub", "standards"))


class TooSlow(BaseException):
    """An input took its whole second. No `Exception`, so that nothing on the way swallows it."""


class Broken(AssertionError):
    """A property that a target promises does not hold."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What an input did that no input may do."""

    kind: str  # error | hang | memory
    what: str  # one line
    place: str  # the innermost line of ours
    trace: str

    @property
    def key(self) -> tuple[str, str, str]:
        """Return what tells findings of different causes apart."""
        return self.kind, self.what.partition(":")[0], self.place


class Limits:
    """Watches inputs of one process. Make it when the target is ready; use from the main thread."""

    def __init__(self, *, cpu_s: float = CPU_S, memory_bytes: int = MEMORY_BYTES) -> None:
        self.cpu_s = cpu_s
        self.memory_bytes = memory_bytes
        self.base_bytes = self.peak_bytes = resident_peak()
        self.slowest_s = 0.0
        signal.signal(signal.SIGPROF, _stop)

    def confine(self) -> None:
        """Let this process have no more than a gigabyte of address space above what it has. For good."""
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + HARD_MEMORY_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (most, resource.getrlimit(resource.RLIMIT_AS)[1]))

    def examine(
        self, run: Callable[[bytes], None], allowed: tuple[type[Exception], ...], data: bytes
    ) -> Finding | None:
        """Run a target on one input; None where all is well."""
        error: BaseException | None = None
        started = time.process_time()
        signal.setitimer(signal.ITIMER_PROF, self.cpu_s)
        try:
            run(data)
        except allowed:
            pass
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as caught:
            error = caught
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        took_s = time.process_time() - started
        self.slowest_s = max(self.slowest_s, took_s)
        peak = resident_peak()
        grown, self.peak_bytes = peak - self.base_bytes, max(peak, self.peak_bytes)
        if isinstance(error, TooSlow) or took_s > self.cpu_s:
            return _finding("hang", f"more than {self.cpu_s:g} s of CPU: {took_s:.2f} s", error)
        if grown > self.memory_bytes or isinstance(error, MemoryError):
            self.base_bytes = peak  # the next one is another finding
            return _finding("memory", f"more than {self.memory_bytes >> 20} MB: {grown >> 20} MB", error)
        if error is not None:
            return _finding("error", f"{type(error).__name__}: {error}"[:300], error)
        return None


def resident_peak() -> int:
    """Return the most bytes of memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _stop(_signal: int, _frame: FrameType | None) -> None:
    raise TooSlow


def _finding(kind: str, what: str, error: BaseException | None) -> Finding:
    frames = traceback.extract_tb(error.__traceback__) if error is not None else []
    ours = [frame for frame in frames if frame.filename.startswith(_OURS)] or list(frames)
    place = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else ""
    trace = "".join(traceback.format_exception(error)) if error is not None else ""
    return Finding(kind, what, place, trace)
