"""The recoding process's end of the coding process beside it: pixels over, coded pictures back, never waiting for ever."""

import os
import select
from collections.abc import Callable
from typing import Final

from av.video.frame import VideoFrame

from hub.decode.coders import messages as m
from hub.decode.language import Broken
from hub.decode.limits import LENGTH
from hub.decode.recode_messages import Coded, Coder

_ANSWER_WITHIN_S: Final = 3.0  # a picture of a 25th of a second; the hub waits 8 s for ours


class CoderLost(Exception):
    """The hardware is not used, or not any more; `lasting`: not for other streams either."""

    def __init__(self, why: str, device: str, *, lasting: bool = True) -> None:
        super().__init__(why)
        self.device = device
        self.lasting = lasting


class RemoteCoder:
    """A coder in another process, on the socket of that descriptor."""

    def __init__(
        self, descriptor: int, now_s: Callable[[], float], answer_within_s: float = _ANSWER_WITHIN_S
    ) -> None:
        """`now_s` is a monotonic clock."""
        self._now_s = now_s
        self._descriptor = descriptor
        self._answer_within_s = answer_within_s
        self._device = ""
        os.set_blocking(descriptor, False)

    def want(self, wanted: m.Wanted) -> None:
        """Ask for a coder of that size; it may take seconds, and is not waited for.

        Raises:
            CoderLost: nobody is there.
        """
        self._write([memoryview(m.LANGUAGE.ask(wanted))], self._now_s() + self._answer_within_s)

    def opened(self) -> Coder | None:
        """Return the coder, `None` as long as it is being tried.

        Raises:
            CoderLost: it did not pass; says why.
        """
        if not self._ready(select.POLLIN, 0.0):
            return None
        match self._hear(self._now_s() + self._answer_within_s, "during its trial"):
            case Coder() as coder:
                self._device = coder.device
                return coder
        raise CoderLost("the coding process spoke out of turn", self._device)

    def code(self, picture: VideoFrame, at: int, *, key: bool) -> list[Coded]:
        """Code a picture (yuv420p, of the size that was asked for); return what came out.

        Raises:
            CoderLost: the coder failed, died, or did not answer in time.
        """
        until_s = self._now_s() + self._answer_within_s
        head = memoryview(m.LANGUAGE.ask(m.Raw(at, key)))
        self._write([head, *(_rows(picture, plane) for plane in range(3))], until_s)
        match self._hear(until_s, "over a picture"):
            case m.Given(coded):
                return list(coded)
        raise CoderLost("the coding process spoke out of turn", self._device)

    def close(self) -> None:
        """Hang up: the coding process ends."""
        os.close(self._descriptor)

    def _hear(self, until_s: float, when: str) -> m.Told:
        size = int.from_bytes(self._read(LENGTH, until_s, when), "big")
        if size > m.LANGUAGE.longest_told:
            raise CoderLost(f"the coding process announced {size} bytes", self._device)
        try:
            told = m.LANGUAGE.told(self._read(size, until_s, when))
        except Broken as error:
            raise CoderLost(str(error), self._device) from error
        if isinstance(told, m.Unfit):
            raise CoderLost(told.why, told.device or self._device, lasting=told.lasting)
        return told

    def _read(self, size: int, until_s: float, when: str) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not self._ready(select.POLLIN, until_s - self._now_s()):
                raise self._late(when)
            try:
                piece = os.read(self._descriptor, size - len(data))
            except OSError:
                piece = b""
            if not piece:
                raise CoderLost(f"the coding process ended {when}", self._device)
            data += piece
        return bytes(data)

    def _write(self, pieces: list[memoryview], until_s: float) -> None:
        for piece in pieces:
            while piece:
                try:
                    piece = piece[os.write(self._descriptor, piece) :]  # noqa: PLW2901  what is left of it
                except BlockingIOError:
                    if not self._ready(select.POLLOUT, until_s - self._now_s()):
                        raise self._late("over a picture") from None
                except OSError as error:
                    raise CoderLost("the coding process has ended", self._device) from error

    def _ready(self, event: int, within_s: float) -> bool:
        waiting = select.poll()
        waiting.register(self._descriptor, event)
        return bool(waiting.poll(max(0.0, within_s) * 1000))

    def _late(self, when: str) -> CoderLost:
        return CoderLost(f"the coder did not answer within {self._answer_within_s:g} s {when}", self._device)


def _rows(picture: VideoFrame, place: int) -> memoryview:
    """Return a plane's pixels without what pads its rows."""
    plane = picture.planes[place]
    shift = 1 if place else 0
    width, height = picture.width >> shift, picture.height >> shift
    pixels, line = memoryview(plane), plane.line_size
    if line == width:
        return pixels[: width * height]
    return memoryview(b"".join(pixels[row * line : row * line + width] for row in range(height)))
