"""A lean viewer with what a browser does about a bad network: puts in order, asks again, reports, asks for a key frame."""

import asyncio
import struct
from itertools import groupby
from typing import Any, NamedTuple

from impair_path import ImpairedPath
from pylibsrtp import Error as SrtpError
from relay_lean import Lean, Rtp, roomy

_ROUND_S = 0.02
_ASK_EVERY_S = 0.08
_GIVE_UP_S = 2.0
_REPORT_EVERY_S = 0.5
_CHECK_EVERY_S = 0.5
_LOST_AFTER_S = 0.8  # without a picture
_IDR, _STAP_A, _FU_A = 5, 24, 28


class Seen(NamedTuple):
    """One picture as it came in the end."""

    timestamp: int
    at_s: float  # event loop time of its last packet
    decodable: bool  # whole, and so is every one since its key frame


class Receiver(Lean):
    """One viewer behind an impaired path."""

    def __init__(self, path: ImpairedPath, **fields: Any) -> None:
        super().__init__(**fields)
        self._path = path
        self.refused = 0  # copies that SRTP did not let pass
        self.recovered = 0
        self.asked = 0
        self.key_frames_asked = 0
        self._got: dict[int, tuple[Rtp, float]] = {}  # by running number
        self._highest = -1
        self._missing: dict[int, list[float]] = {}  # number -> [first noticed, last asked]
        self._told = (0, 0)
        self._originals = 0
        self._base = 0

    async def connect(self, answer: str, *, tcp: bool = False) -> "Receiver":
        """Connect, and behave from then on."""
        await super().connect(answer, tcp=tcp)
        self._tasks.append(asyncio.create_task(self._behave()))
        return self

    async def open_udp(self, host: str, port: int) -> None:
        """Go by the impaired path."""
        receiver = self

        class Heard(asyncio.DatagramProtocol):
            def datagram_received(self, data: bytes, _address: Any) -> None:
                receiver.heard(data)

        sock = self._path.far_socket(host, port)
        roomy(sock)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Heard, sock=sock)
        self._write = transport.sendto
        self._ends.append(transport)

    def heard(self, data: bytes) -> None:
        """Take a datagram; a copy of an SRTP packet is refused by its number (RFC 3711 3.3.2)."""
        before = len(self.packets)
        try:
            super().heard(data)
        except SrtpError:
            self.refused += 1
        for packet in self.packets[before:]:
            self._sort(packet)

    def _sort(self, packet: Rtp) -> None:
        number = packet.sequence
        if packet.ssrc == self.rtx_ssrc and len(packet.payload) >= 2:
            number = int.from_bytes(packet.payload[:2], "big")
            packet = packet._replace(payload=packet.payload[2:], ssrc=self.ssrc, sequence=number)
            self.recovered += 1
        elif packet.ssrc != self.ssrc:
            return
        else:
            self._originals += 1
        now = asyncio.get_running_loop().time()
        if self._highest < 0:
            self._highest = self._base = number + 65_536
        step = (number - self._highest) & 0xFFFF
        running = self._highest + (step if step < 0x8000 else step - 0x10000)
        for missed in range(self._highest + 1, running):
            self._missing[missed] = [now, 0.0]
        self._highest = max(self._highest, running)
        self._missing.pop(running, None)
        self._got.setdefault(running, (packet, now))

    async def _behave(self) -> None:
        loop = asyncio.get_running_loop()
        reported = checked = loop.time()
        while True:
            await asyncio.sleep(_ROUND_S)
            now = loop.time()
            wanted = []
            for number, times in list(self._missing.items()):
                if now - times[0] > _GIVE_UP_S:
                    del self._missing[number]
                elif now - times[1] >= _ASK_EVERY_S and now - times[0] >= _ROUND_S:
                    times[1] = now
                    wanted.append(number)
            for number in wanted[:100]:
                self.asked += 1
                self.nack(number & 0xFFFF)
            if now - reported >= _REPORT_EVERY_S and self._highest >= 0:
                reported = now
                expected, received = self._highest - self._base + 1, self._originals
                due = expected - self._told[0]
                if due:
                    self.lost(max(0.0, min(1.0, 1 - (received - self._told[1]) / due)))
                self._told = (expected, received)
            if now - checked >= _CHECK_EVERY_S:
                checked = now
                if self._got and now - self._newest_s() > _LOST_AFTER_S:
                    self.want_key_frame()
                self._write(self.check_message())

    def want_key_frame(self) -> None:
        """Say that the picture is lost (PLI)."""
        self.key_frames_asked += 1
        self.say(struct.pack("!BBHII", 0x81, 206, 2, 1, self.ssrc))

    def pictures(self) -> list[Seen]:
        """Return the pictures so far, but for the newest, which may still be coming."""
        out: list[Seen] = []
        whole, expected = False, -1
        packets = [(number, *self._got[number]) for number in sorted(self._got)]
        for timestamp, group in groupby(packets, key=lambda one: one[1].timestamp):
            parts = list(group)
            numbers = [number for number, _packet, _at in parts]
            together = numbers == list(range(numbers[0], numbers[0] + len(parts))) and parts[-1][1].marker
            key = any(_opens(packet.payload) for _number, packet, _at in parts)
            follows = numbers[0] == expected
            # A key frame is known to be whole at its front where the packet before it ended a picture.
            whole = together and (whole and follows if not key else follows or expected < 0 or whole)
            if key and together and not follows:
                whole = parts[0][1].payload[0] & 31 == _STAP_A  # it begins with the parameter sets
            out.append(Seen(timestamp, max(at for _n, _p, at in parts), whole))
            expected = numbers[-1] + 1
        return out[:-1]

    def _newest_s(self) -> float:
        return max((seen.at_s for seen in self.pictures()[-200:] if seen.decodable), default=0.0)

    def decodable(self) -> int:
        """Return how many pictures could be decoded so far."""
        return sum(seen.decodable for seen in self.pictures())


def _opens(payload: bytes) -> bool:
    kind = payload[0] & 31
    return kind == _IDR or (kind == _FU_A and payload[1] & 0x9F == 0x80 | _IDR)
