"""Long commands at a terminal: the line that says how far they are, Ctrl-C, and files that belong together."""

import asyncio
import io
import os
import signal
import sys
from pathlib import Path

import pytest

from hub.cli.offline import CannotDo
from hub.cli.watching import StatusLine, watched, write_whole


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_for_terminals_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal one line is written over and taken away; a script's standard error stays empty."""
    for stream, shown in ((_Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr(sys, "stderr", stream)
        line = StatusLine()
        line.say("a long line")
        line.say("short")
        line.clear()
        said = stream.getvalue()
        assert bool(said) is shown
        if shown:
            assert "\n" not in said
            assert said.rsplit("\r", 2)[-2:] == [" " * len("short"), ""]
            assert "\rshort      " in said  # what stood there before is gone


def test_the_first_interrupt_asks_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C calls the stop of what runs, and what runs ends by itself; afterwards Ctrl-C is the terminal's again."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    asked: list[str] = []

    async def work() -> None:
        stopped = asyncio.Event()

        def stop() -> None:
            asked.append("stop")
            stopped.set()

        async with watched(lambda: "going", stop=stop):
            os.kill(os.getpid(), signal.SIGINT)
            await asyncio.wait_for(stopped.wait(), 30)

    asyncio.run(work())
    assert asked == ["stop"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_files_are_written_together_or_not_at_all(tmp_path: Path) -> None:
    """Where one cannot be written, the others are as they were and nothing else lies beside them."""
    report, annex = tmp_path / "ward.pdf", tmp_path / "ward.csv"
    report.write_bytes(b"old")
    with pytest.raises(CannotDo, match="cannot be written"):
        write_whole([(report, b"new"), (tmp_path / "none" / "ward.csv", b"rows")])
    assert report.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["ward.pdf"]
    write_whole([(report, b"new"), (annex, b"rows")])
    assert (report.read_bytes(), annex.read_bytes()) == (b"new", b"rows")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ward.csv", "ward.pdf"]
