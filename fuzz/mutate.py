"""A mutation engine of our own, for Pythons that atheris has no wheel for, and for the short run in the tests.

Without coverage it finds less, but the same seeds and the same number give the same inputs everywhere.
"""

import random
import re
from collections.abc import Iterator, Sequence

_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 12, 16, 28, 31, 32, 49, 63, 64, 100, 127, 128, 192, 224, 254, 255)
_WIDE = (
    b"\0\0",
    b"\0\1",
    b"\x7f\xff",
    b"\x80\0",
    b"\xff\xff",
    b"\xff\xff\xff\xff",
    b"\0\0\0\0",
    b"\x7f\xff\xff\xff",
)
_WORDS = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b" ", b"\t", b"\0", b"=", b":", b";", b",", b'"', b"\\", b"<", b">", b"&",
    b"$", b"-1", b"0", b"00", b"1e999", b"NaN", b"99999999999999999999", b"%", b"%00", b"\xef\xbb\xbf", b"\xff\xfe",
    b"\xc3", b"\xed\xa0\x80", b"<!DOCTYPE a>", b"&amp;", b"]]>", b"<![CDATA[", b"[", b"]", b"{", b"}", b"null", b"true",
    b"\0\0\1", b"\0\0\0\1", b"RTSP/1.0", b"HTTP/1.1", b"://", b"@", b"169.254.169.254", "\u202e".encode(), "ắ".encode(),
)  # fmt: skip
_TOKEN = re.compile(rb"[\w.\-/]{2,40}|[^\w\s]{1,3}")


class Mutator:
    """Makes inputs out of seeds. Not random: `seed` decides."""

    def __init__(self, seeds: Sequence[bytes], max_bytes: int, seed: int = 0) -> None:
        self._seeds = [data[:max_bytes] for data in seeds] or [b""]
        self._max_bytes = max_bytes
        self._dice = random.Random(seed)
        told = {word for data in self._seeds for word in _TOKEN.findall(data)[:400]}
        self._words = [*_WORDS, *sorted(told)[:4000]]

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield self.one()

    def one(self) -> bytes:
        """Return the next input: a seed changed in one to eight places."""
        dice = self._dice
        data = bytearray(dice.choice(self._seeds))
        for _ in range(1 << dice.randrange(4)):
            self._change(data)
        return bytes(data[: self._max_bytes])

    def _change(self, data: bytearray) -> None:
        dice = self._dice
        at = dice.randrange(len(data) + 1)
        span = min(len(data) - at, 1 << dice.randrange(10))
        match dice.randrange(11):
            case 0 if data:
                data[at % len(data)] ^= 1 << dice.randrange(8)
            case 1 if data:
                data[at % len(data)] = dice.choice(_NUMBERS)
            case 2:
                data[at : at + 2] = dice.choice(_WIDE)
            case 3:
                data[at:at] = dice.randbytes(1 + dice.randrange(8))
            case 4:
                del data[at : at + span]
            case 5:
                data[at:at] = dice.choice(self._words)
            case 6:
                word = dice.choice(self._words)
                data[at : at + len(word)] = word
            case 7:  # a piece again, once or very often
                data[at:at] = data[at : at + span] * (1 << dice.randrange(6))
            case 8:  # the beginning of one, the end of another
                other = dice.choice(self._seeds)
                data[at:] = other[dice.randrange(len(other) + 1) :]
            case 9:
                del data[at:]
            case _:  # another number where one stands
                found = list(re.finditer(rb"\d+", bytes(data)))
                if found:
                    one = dice.choice(found)
                    data[one.start() : one.end()] = str(
                        dice.choice(
                            (0, 1, 2, 255, 65535, 65536, 1 << 31, 1 << 32, 1 << 64, int(one[0][:9]) + 1)
                        )
                    ).encode()
        del data[4 * self._max_bytes :]
