"""Without the search for cycles: a report makes hundreds of thousands of rows, none of which is part of one."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def paused_collection() -> Iterator[None]:
    """Leave the collector of cycles out while rows are made: looking through them again and again costs a fifth.

    Reference counts free them as always. Two that overlap leave the collector on at the end, as it was.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
