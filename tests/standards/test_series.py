"""Two of three: one bad run never takes an admitted camera down, two do, and never further than two saw."""

from hypothesis import given, settings
from hypothesis import strategies as st

from standards.series import IN_USE, vote
from standards.verdict import Decision

BEST_FIRST = list(Decision)
decisions = st.sampled_from(BEST_FIRST)


def rank(decision: Decision) -> int:
    return BEST_FIRST.index(decision)


@settings(deadline=None)
@given(held=decisions, runs=st.lists(decisions, min_size=1, max_size=30))
def test_a_camera_in_use_falls_only_as_far_as_two_of_three_runs_saw(
    held: Decision, runs: list[Decision]
) -> None:
    """Whatever the runs see, a decision of a camera in use gets worse only where two of the last three saw it as bad."""
    votes: tuple[Decision, ...] = ()
    for index, seen in enumerate(runs):
        after = vote(held, votes, seen)
        if held in IN_USE and rank(after.held) > rank(held):
            last = runs[max(0, index - 2) : index + 1]
            assert sum(rank(one) >= rank(after.held) for one in last) >= 2
        assert len(after.votes) < 3
        assert not after.open or after.held is held
        held, votes = after.held, after.votes


@settings(deadline=None)
@given(held=decisions, seen=decisions)
def test_a_run_that_is_as_good_or_better_counts_at_once(held: Decision, seen: Decision) -> None:
    """Without an open vote, a better run and any run of a camera that is not in use decide."""
    if held not in IN_USE or rank(seen) <= rank(held):
        assert vote(held, (), seen).held is seen
    else:
        after = vote(held, (), seen)
        assert (after.held, after.votes, after.worse) == (held, (seen,), 1)


def test_the_three_ways_of_a_vote() -> None:
    """Bad, bad falls; bad, good, bad falls; bad, good, good does not; of two bad runs the milder one holds."""
    good, bad, worst = Decision.ADMITTED, Decision.PENDING, Decision.REJECTED
    assert vote(good, (bad,), worst).held is bad
    assert vote(good, (bad,), good).open
    assert vote(good, (bad, good), bad).held is bad
    assert vote(good, (bad, good), good).held is good
    assert not vote(good, (bad, good), good).open
