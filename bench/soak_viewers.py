"""The viewers of the soak: WebRTC receivers that come and go, in one process. Speaks JSON lines.

``{"offer": name}`` gives ``{"name", "sdp"}``; ``{"answer": name, "sdp": ...}`` connects; ``{"leave": name, "politely": bool}``: with
BYE and close_notify, or without a word; ``{"count": true}`` gives how many packets all have had.
"""

import asyncio
import contextlib
import json
import struct
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
for place in ("hub/relay", "support"):
    sys.path.insert(0, str(ROOT / "tests" / place))

from pylibsrtp import Error as SrtpError  # noqa: E402
from relay_lean import Lean  # noqa: E402

_REPORT_S, _CHECK_ROUNDS, _NACK_ROUNDS = 1.0, 4, 3


class Viewer(Lean):
    """One receiver: counts, reports, asks for a packet again now and then, and keeps nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self._silent = False

    def heard(self, data: bytes) -> None:
        """Count what came."""
        if self._silent:
            return
        with contextlib.suppress(SrtpError, ValueError):
            super().heard(data)
        self.count += len(self.packets)
        if self.packets:
            self._newest = self.packets[-1]
        self.packets.clear()
        self.reports.clear()

    async def watch(self, answer: str) -> None:
        """Connect and behave until cancelled."""
        await self.connect(answer)
        number = 0
        while True:
            await asyncio.sleep(_REPORT_S)
            number += 1
            if self.count:
                self.lost(0.0)
                if number % _NACK_ROUNDS == 0 and self._newest.ssrc == self.ssrc:
                    self.nack(self._newest.sequence - 3 & 0xFFFF)
            if number % _CHECK_ROUNDS == 0:
                self._write(self.check_message())
                while not self.answers.empty():
                    self.answers.get_nowait()

    async def leave(self, *, politely: bool) -> None:
        """Go."""
        if self._dtls is not None and self._dtls._tx_srtp is not None and politely:
            self.say(struct.pack("!BBHI", 0x81, 203, 1, self.ssrc))
        self._silent = not politely
        if not politely:
            self._write = lambda _data: None
        with contextlib.suppress(Exception):  # a viewer that never connected has little to close
            await self.close()


async def main() -> None:
    """Obey the soak."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    viewers: dict[str, Viewer] = {}
    watching: dict[str, asyncio.Task[None]] = {}
    leaving: set[asyncio.Task[None]] = set()
    total = failed = 0

    async def leave(name: str, politely: bool) -> None:
        nonlocal total, failed
        viewer, task = viewers.pop(name), watching.pop(name, None)
        await viewer.leave(politely=politely)
        if task is not None:
            task.cancel()
            (outcome,) = await asyncio.gather(task, return_exceptions=True)
            failed += isinstance(outcome, Exception)
        total += viewer.count

    print(json.dumps({"ready": True}), flush=True)
    while line := await reader.readline():
        words = json.loads(line)
        if "offer" in words:
            viewer = viewers[words["offer"]] = Viewer()
            print(json.dumps({"name": words["offer"], "sdp": viewer.offer()}), flush=True)
        elif "answer" in words:
            watching[words["answer"]] = asyncio.create_task(viewers[words["answer"]].watch(words["sdp"]))
        elif "leave" in words:
            leaving.add(task := asyncio.create_task(leave(words["leave"], words["politely"])))
            task.add_done_callback(leaving.discard)
        else:
            playing = sum(viewer.count > 0 for viewer in viewers.values())
            packets = total + sum(viewer.count for viewer in viewers.values())
            print(json.dumps({"packets": packets, "playing": playing, "failed": failed}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
