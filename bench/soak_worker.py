"""A relay worker of the soak: the real one, which on SIGUSR1 writes what it holds into FOLDER/<pid>.json.

On SIGUSR2 it lets the collector run first. ``soak_worker.py FOLDER FD``
"""

import asyncio
import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hub.relay.workers.worker import main


def held(loop: asyncio.AbstractEventLoop) -> dict[str, int]:
    """Return the tasks and the timers of a loop, and how many objects the collector watches."""
    timers: list[Any] = getattr(loop, "_scheduled", [])
    return {
        "tasks": len(asyncio.all_tasks(loop)),
        "timers": sum(not timer.cancelled() for timer in timers),
        "objects": len(gc.get_objects()),
    }


def told(folder: Path) -> None:
    """Write it; the file appears whole."""
    path = folder / f"{os.getpid()}.json"
    part = path.with_suffix(".part")
    part.write_text(json.dumps(held(asyncio.get_running_loop())))
    part.rename(path)


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, lambda _number, _frame: told(Path(sys.argv[1])))
    signal.signal(signal.SIGUSR2, lambda _number, _frame: (gc.collect(), told(Path(sys.argv[1]))))
    sys.exit(main(sys.argv[2:]))
