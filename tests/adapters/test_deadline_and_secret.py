"""Deadlines bound phases; secrets print dots."""

import asyncio
import copy
import pickle

import pytest

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import TimedOut
from adapters.secret import Credential, Secret

CLOCK = SystemClock()


class TestDeadline:
    def test_a_phase_that_takes_too_long_is_named(self) -> None:
        """The error tells the phase, the peer and the seconds waited."""

        async def run() -> None:
            async with Deadline.after(CLOCK, 5.0).phase("connect", 0.05, peer="10.0.0.1:80"):
                await asyncio.sleep(5)

        with pytest.raises(TimedOut, match=r"^connect of 10\.0\.0\.1:80: no answer in 0\.1 s$") as caught:
            asyncio.run(run())
        assert (caught.value.phase, caught.value.peer) == ("connect", "10.0.0.1:80")

    def test_the_deadline_wins_over_a_longer_limit(self) -> None:
        """A phase never outlives the deadline, and a spent deadline leaves nothing."""

        async def run() -> None:
            deadline = Deadline.after(CLOCK, 0.0)
            assert deadline.remaining_s() == 0.0
            async with deadline.phase("read", 60.0):
                await asyncio.sleep(5)

        with pytest.raises(TimedOut):
            asyncio.run(run())

    def test_a_time_out_of_what_is_inside_stays_itself(self) -> None:
        """A TimeoutError that is not the phase's own passes unchanged."""

        async def run() -> None:
            async with Deadline.after(CLOCK, 5.0).phase("read"):
                raise TimeoutError("inner")

        with pytest.raises(TimeoutError, match="inner"):
            asyncio.run(run())

    def test_the_inner_phase_is_blamed_for_its_own_limit(self) -> None:
        """Of two nested phases the one whose limit was missed is named."""

        async def run() -> None:
            deadline = Deadline.after(CLOCK, 5.0)
            async with deadline.phase("outer"), deadline.phase("inner", 0.05):
                await asyncio.sleep(5)

        with pytest.raises(TimedOut) as caught:
            asyncio.run(run())
        assert caught.value.phase == "inner"

    def test_sooner_takes_the_earlier(self) -> None:
        """`sooner` never extends."""
        deadline = Deadline.after(CLOCK, 1.0)

        assert deadline.sooner(100.0).at_s == deadline.at_s
        assert deadline.sooner(0.1).at_s < deadline.at_s


class TestSecret:
    def test_prints_dots_everywhere(self) -> None:
        """No way of printing shows the text, inside other values neither."""
        secret = Secret("hunter2")
        for shown in (
            str(secret),
            repr(secret),
            f"{secret:>20}",
            f"{secret!r}",
            repr(Credential("admin", secret)),
        ):
            assert "hunter2" not in shown
            assert "•••" in shown

    def test_is_not_copied_out(self) -> None:
        """Pickling and deep copies, by which secrets reach files, are refused."""
        for way in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError):
                way(Secret("hunter2"))

    def test_compares_by_text(self) -> None:
        """Equal texts are equal secrets; an empty one is false."""
        assert Secret("a") == Secret("a")
        assert Secret("a") != "a"
        assert not Secret("")
        assert len({Secret("a"), Secret("a"), Secret("b")}) == 2
