"""A bounded bit reader for codec headers (ITU-T H.264 7.2, 9.1; H.265 7.2, 9.2). Raises only ValueError."""


def without_emulation(nal: bytes) -> bytes:
    """Return the RBSP: the NAL without its emulation prevention bytes (H.264 7.4.1.1: 00 00 03 -> 00 00)."""
    if b"\x00\x00\x03" not in nal:
        return nal
    out = bytearray()
    position = 0
    while True:
        found = nal.find(b"\x00\x00\x03", position)
        if found < 0:
            out += nal[position:]
            return bytes(out)
        out += nal[position : found + 2]
        position = found + 3


class BitReader:
    """Reads bits from the most significant on."""

    __slots__ = ("_bits", "_left", "_total")

    def __init__(self, data: bytes) -> None:
        self._bits = int.from_bytes(data, "big")
        self._total = len(data) * 8
        self._left = self._total

    @property
    def left(self) -> int:
        """Return how many bits are left."""
        return self._left

    def u(self, count: int) -> int:
        """Read an unsigned number of `count` bits.

        Raises:
            ValueError: the data ends before.
        """
        if count > self._left:
            raise ValueError(f"the header ends: {count} bits wanted at bit {self._total - self._left}")
        self._left -= count
        return self._bits >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.u(1) == 1

    def skip(self, count: int) -> None:
        """Skip bits.

        Raises:
            ValueError: the data ends before.
        """
        if count > self._left:
            raise ValueError(f"the header ends: {count} bits wanted at bit {self._total - self._left}")
        self._left -= count

    def ue(self, highest: int = 0xFFFFFFFE) -> int:
        """Read an unsigned Exp-Golomb number.

        Raises:
            ValueError: the data ends before, or the number is above `highest`.
        """
        zeros = 0
        while not self.u(1):
            zeros += 1
            if zeros > 32:
                raise ValueError("an Exp-Golomb number has more than 32 leading zeros")
        value = (1 << zeros) - 1 + (self.u(zeros) if zeros else 0)
        if value > highest:
            raise ValueError(f"a value of {value} where at most {highest} is allowed")
        return value

    def se(self) -> int:
        """Read a signed Exp-Golomb number."""
        code = self.ue()
        return (code + 1) // 2 if code & 1 else -(code // 2)

    def more_data(self) -> bool:
        """Tell whether anything stands before the RBSP trailing bits."""
        rest = self._bits & ((1 << self._left) - 1)
        return self._left > 0 and rest & (rest - 1) != 0
