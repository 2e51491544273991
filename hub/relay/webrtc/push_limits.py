"""How much one encoder may send: bits and pictures, by the second. Sans I/O.

What is beyond double the allowance in one second is dropped before it is decrypted, so that a flood costs a length and a
comparison; who stays beyond the allowance for five seconds in a row is ended by name.
"""

from dataclasses import dataclass
from typing import Final

_SECONDS: Final = 5  # in a row


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one push may bring. `kbit_s`: picture and sound together, as they come over the wire."""

    kbit_s: int = 12_000
    pictures_s: int = 62  # 60, and what a clock that runs fast adds
    packets_s: int = 4_000  # 12 Mbit/s in packets of 375 bytes


class Meter:
    """Counts what one push brings. Times are event loop seconds."""

    def __init__(self, allowance: Allowance, now_s: float) -> None:
        self.dropped = 0  # packets
        self._allowance = allowance
        self._begun_s = now_s
        self._bytes = self._packets = self._pictures = 0
        self._bits_over = self._pictures_over = 0  # seconds in a row
        self._most_bytes = allowance.kbit_s * 125

    def packet(self, size: int, now_s: float) -> bool:
        """Count one packet; return whether it may be taken."""
        if now_s - self._begun_s >= 1.0:
            self._next_second(now_s)
        self._bytes += size
        self._packets += 1
        if self._bytes > 2 * self._most_bytes or self._packets > 2 * self._allowance.packets_s:
            self.dropped += 1
            return False
        return True

    def picture(self) -> None:
        """Count one picture."""
        self._pictures += 1

    @property
    def trouble(self) -> str:
        """Return why the push must end: ``push_too_fast``, ``push_too_many_pictures``, or ""."""
        if self._bits_over >= _SECONDS:
            return "push_too_fast"
        return "push_too_many_pictures" if self._pictures_over >= _SECONDS else ""

    def _next_second(self, now_s: float) -> None:
        passed_s = now_s - self._begun_s
        fast = (
            self._bytes > self._most_bytes * passed_s or self._packets > self._allowance.packets_s * passed_s
        )
        many = self._pictures > self._allowance.pictures_s * passed_s
        self._bits_over = self._bits_over + 1 if fast else 0
        self._pictures_over = self._pictures_over + 1 if many else 0
        self._begun_s = now_s
        self._bytes = self._packets = self._pictures = 0
