"""What a bad network does to packets, by seed. Pure: times and sizes in, times of arrival out."""

import random
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Way:
    """One direction of a path. Shares are 0 to 1, times seconds."""

    loss: float = 0.0
    delay_s: float = 0.0
    jitter_s: float = 0.0  # evenly 0 to so much more; packets keep their order
    reorder: float = 0.0  # share that is held back, so that later ones overtake
    reorder_s: float = 0.03
    duplicate: float = 0.0
    rate_bps: int = 0  # 0: as fast as it goes
    queue_s: float = (
        0.2  # so long a packet waits for its turn at `rate_bps`; what would wait longer is dropped
    )
    dark: bool = False  # nothing passes

    def words(self) -> dict[str, Any]:
        """Return it for a line of JSON."""
        return asdict(self)


@dataclass(slots=True)
class Counts:
    """What became of the packets of one direction."""

    taken: int = 0
    lost: int = 0  # by `loss`
    dropped: int = 0  # the queue was full, or it was dark
    doubled: int = 0
    overtaken: int = 0


@dataclass(slots=True)
class Impairment:
    """Decides about one packet after the other: packet n meets the same luck whenever it comes."""

    way: Way
    seed: int
    counts: Counts = field(default_factory=Counts)
    _free_s: float = 0.0  # when the line has sent what was given to it
    _last_s: float = 0.0  # when the newest packet arrives that was not held back

    def arrivals(self, now_s: float, size: int) -> tuple[float, ...]:
        """Return when a packet of `size` bytes arrives: never, once, or twice."""
        way, counts = self.way, self.counts
        luck = random.Random(self.seed << 32 | counts.taken)
        lost, doubled, held, late = (luck.random() for _ in range(4))
        counts.taken += 1
        if way.dark:
            counts.dropped += 1
            return ()
        if lost < way.loss:
            counts.lost += 1
            return ()
        at = now_s
        if way.rate_bps:
            begins = max(now_s, self._free_s)
            if begins - now_s > way.queue_s:
                counts.dropped += 1
                return ()
            at = self._free_s = begins + size * 8 / way.rate_bps
        at += way.delay_s + late * way.jitter_s
        if held < way.reorder:
            counts.overtaken += 1
            at += way.reorder_s
        else:
            at = self._last_s = max(at, self._last_s)
        if doubled < way.duplicate:
            counts.doubled += 1
            return at, at
        return (at,)
