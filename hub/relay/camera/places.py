"""Places for work that a machine can bear only so much of at once, shared by all relay workers.

A place is a byte of a file without a name that every worker inherits; whoever has it holds a lock on it. The kernel frees the
locks of a process that dies, so that no place is ever lost and nobody has to be asked.
"""

import fcntl


class SharedPlaces:
    """`limit` places of one inherited file, from `first` on, as this process sees them."""

    def __init__(self, fd: int, limit: int, first: int = 0) -> None:
        self._fd = fd
        self._places = range(first, first + limit)
        self._held: list[int] = []

    @property
    def left(self) -> bool:
        """Tell whether one is free now."""
        if not self.take():
            return False
        self.free()
        return True

    def take(self) -> bool:
        """Take a place; False where other processes and this one have all."""
        # A process may lock again what it has locked: the ones that it holds are left out.
        for place in (place for place in self._places if place not in self._held):
            try:
                fcntl.lockf(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
            except OSError:
                continue
            self._held.append(place)
            return True
        return False

    def free(self) -> None:
        """Give one place back."""
        fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, self._held.pop())
