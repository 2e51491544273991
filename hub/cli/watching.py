"""Long commands at a terminal: one line that says how far they are, and an end on Ctrl-C that leaves nothing half-done."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import click

from hub.cli.offline import CannotDo

_EVERY_S = 0.5


class StatusLine:
    """One line on standard error, written over and over; nothing at all where nobody watches."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._width = 0

    def say(self, text: str) -> None:
        """Write the line."""
        if self._shown:
            click.echo(f"\r{text.ljust(self._width)}", err=True, nl=False)
            self._width = len(text)

    def clear(self) -> None:
        """Take the line away, for what is printed after it."""
        if self._shown and self._width:
            click.echo(f"\r{' ' * self._width}\r", err=True, nl=False)
            self._width = 0


@asynccontextmanager
async def watched(say: Callable[[], str], *, stop: Callable[[], None]) -> AsyncIterator[None]:
    """Show a line while something runs. The first Ctrl-C calls `stop`, the second one ends the command."""
    line, loop = StatusLine(), asyncio.get_running_loop()

    async def show() -> None:
        while True:
            line.say(say())
            await asyncio.sleep(_EVERY_S)

    def interrupted() -> None:
        loop.remove_signal_handler(signal.SIGINT)
        stop()

    with suppress(NotImplementedError):  # an event loop without signals: Ctrl-C ends the command at once
        loop.add_signal_handler(signal.SIGINT, interrupted)
    showing = asyncio.create_task(show())
    try:
        yield
    finally:
        with suppress(NotImplementedError):
            loop.remove_signal_handler(signal.SIGINT)
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        line.clear()


def write_whole(files: Sequence[tuple[Path, bytes]]) -> None:
    """Write files that belong together: each is there whole or as it was before, and none before all are written.

    Raises:
        CannotDo: one cannot be written; none of them was changed.
    """
    beside = [(path, path.with_name(f".{path.name}.{os.getpid()}.part")) for path, _ in files]
    try:
        for (path, data), (_, part) in zip(files, beside, strict=True):
            try:
                part.write_bytes(data)
            except OSError as error:
                raise CannotDo(f"{path} cannot be written: {error.strerror}") from error
        for path, part in beside:
            try:
                part.replace(path)
            except OSError as error:
                raise CannotDo(f"{path} cannot be written: {error.strerror}") from error
    finally:
        for _, part in beside:
            part.unlink(missing_ok=True)
