"""Two of three: when runs that repeat by themselves change the decision about a camera. Pure.

One failed probe never flips an admitted camera (standard reference 3.3). The first run that is worse than the decision
that holds opens a vote; the two runs after it confirm or refute. What holds then is the middle one of the three: the
best decision that at least two of the three runs do not exceed. A camera that is not in use (PENDING, REJECTED) has
nothing to lose, so there one run decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from standards.verdict import Decision

RUNS = 3
NEEDED = 2
_WORST_LAST = (Decision.ADMITTED, Decision.CONDITIONAL, Decision.PENDING, Decision.REJECTED)
_RANK = {decision: rank for rank, decision in enumerate(_WORST_LAST)}
IN_USE = frozenset({Decision.ADMITTED, Decision.CONDITIONAL})


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds after a run. `votes`: the runs since the first worse one, empty where no vote is open.

    `worse`: how many of the votes that were cast (this one included) were worse than what held before.
    """

    held: Decision
    votes: tuple[Decision, ...] = ()
    cast: int = 0
    worse: int = 0

    @property
    def open(self) -> bool:
        """Tell whether further runs are needed before this counts."""
        return bool(self.votes)


def vote(held: Decision, votes: Sequence[Decision], seen: Decision) -> Standing:
    """Return what holds once a run has seen `seen`, after the open `votes` before it (none, one or two)."""
    if held not in IN_USE:
        return Standing(seen)
    cast = (*votes[-(RUNS - 1) :], seen)
    worse = [one for one in cast if _RANK[one] > _RANK[held]]
    if not worse:
        return Standing(seen)  # as good or better, and no vote is open
    if len(worse) < NEEDED and len(cast) < RUNS:
        return Standing(held, cast, len(cast), len(worse))
    ordered = sorted(cast, key=_RANK.__getitem__, reverse=True)
    return Standing(ordered[NEEDED - 1], (), len(cast), len(worse))
