"""The picture of a scripted camera: a drawn street with traffic, swaying trees, the camera's name and a running clock.

Drawn with bytes only (no numpy): a still background, on which each picture places the grain, the moving things and
the text. About 0.3 ms per 1280x720 picture.
"""

import random
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

_ZONE = timezone(timedelta(hours=7))

# 5x7 glyphs, one row per number, the leftmost pixel is bit 4
_GLYPHS: dict[str, tuple[int, ...]] = {
    " ": (0, 0, 0, 0, 0, 0, 0),
    "0": (14, 17, 19, 21, 25, 17, 14),
    "1": (4, 12, 4, 4, 4, 4, 14),
    "2": (14, 17, 1, 2, 4, 8, 31),
    "3": (31, 2, 4, 2, 1, 17, 14),
    "4": (2, 6, 10, 18, 31, 2, 2),
    "5": (31, 16, 30, 1, 1, 17, 14),
    "6": (6, 8, 16, 30, 17, 17, 14),
    "7": (31, 1, 2, 4, 8, 8, 8),
    "8": (14, 17, 17, 14, 17, 17, 14),
    "9": (14, 17, 17, 15, 1, 2, 12),
    ":": (0, 12, 12, 0, 12, 12, 0),
    ".": (0, 0, 0, 0, 0, 12, 12),
    "-": (0, 0, 0, 31, 0, 0, 0),
    "/": (1, 1, 2, 4, 8, 16, 16),
    "+": (0, 4, 4, 31, 4, 4, 0),
    "A": (14, 17, 17, 31, 17, 17, 17),
    "B": (30, 17, 17, 30, 17, 17, 30),
    "C": (14, 17, 16, 16, 16, 17, 14),
    "D": (28, 18, 17, 17, 17, 18, 28),
    "E": (31, 16, 16, 30, 16, 16, 31),
    "F": (31, 16, 16, 30, 16, 16, 16),
    "G": (14, 17, 16, 23, 17, 17, 15),
    "H": (17, 17, 17, 31, 17, 17, 17),
    "I": (14, 4, 4, 4, 4, 4, 14),
    "J": (7, 2, 2, 2, 2, 18, 12),
    "K": (17, 18, 20, 24, 20, 18, 17),
    "L": (16, 16, 16, 16, 16, 16, 31),
    "M": (17, 27, 21, 21, 17, 17, 17),
    "N": (17, 17, 25, 21, 19, 17, 17),
    "O": (14, 17, 17, 17, 17, 17, 14),
    "P": (30, 17, 17, 30, 16, 16, 16),
    "Q": (14, 17, 17, 17, 21, 18, 13),
    "R": (30, 17, 17, 30, 20, 18, 17),
    "S": (15, 16, 16, 14, 1, 1, 30),
    "T": (31, 4, 4, 4, 4, 4, 4),
    "U": (17, 17, 17, 17, 17, 17, 14),
    "V": (17, 17, 17, 17, 17, 10, 4),
    "W": (17, 17, 17, 21, 21, 21, 10),
    "X": (17, 17, 10, 4, 10, 17, 17),
    "Y": (17, 17, 17, 10, 4, 4, 4),
    "Z": (31, 1, 2, 4, 8, 16, 31),
}

Colour = tuple[int, int, int]  # Y, U, V, video range
_INK, _PAPER = 232, 20


@dataclass(frozen=True, slots=True)
class Planes:
    """One picture, YUV 4:2:0, planes without padding."""

    y: bytearray
    u: bytearray
    v: bytearray


@dataclass(frozen=True, slots=True)
class _Mover:
    """A vehicle: a block with windows and wheels that crosses the picture along the road."""

    top: int
    width: int
    height: int
    speed: float  # pixels per second, + goes right
    start: float
    colour: Colour


class Picture:
    """Draws the street of one scene word in one size. Not safe for threads; each encoder has its own."""

    def __init__(self, scene: str, title: str, width: int, height: int) -> None:
        self._width, self._height = width, height
        self._random = random.Random(f"{scene} {width}x{height}")  # noqa: S311 - decoration, not a secret
        self._scale = max(1, height // 240)
        self._title = _plain(title)
        self._y = bytearray(width * height)
        self._u = bytearray(width * height // 4)
        self._v = bytearray(width * height // 4)
        chance = random.Random(scene)  # noqa: S311 - the same street in every size
        self._horizon = self._even(height * (0.46 + 0.06 * chance.random()))
        self._road = self._even(height * 0.70)
        self._draw_background(chance)
        self._movers = self._traffic(chance)
        self._grain = self._make_grain()
        self._glyph_rows: dict[int, dict[str, list[bytes]]] = {}

    def draw(self, now: datetime, seconds: float, aim: tuple[float, float] = (0.0, 0.0)) -> Planes:
        """Return the picture at a wall time; `seconds` moves the traffic and only has to run.

        `aim` (pan, tilt, each -1 to 1) turns the street by up to half a picture; the texts stay.
        """
        planes = Planes(bytearray(self._y), bytearray(self._u), bytearray(self._v))
        self._place_grain(planes)
        for mover in self._movers:
            self._place_mover(planes, mover, seconds)
        if aim != (0.0, 0.0):
            self._turn(planes, *aim)
        local = now.astimezone(_ZONE)
        clock = f"{local:%Y-%m-%d %H:%M:%S}.{local.microsecond // 100000} +07"
        margin = 8 * self._scale
        self._write(planes, clock, margin, margin, self._scale)
        size = self._scale
        wide = (len(self._title) * 6 + 1) * size
        self._write(planes, self._title, self._width - wide - margin, self._height - 11 * size - margin, size)
        return planes

    def _turn(self, planes: Planes, pan: float, tilt: float) -> None:
        """Roll the picture: + pan brings what is to the right, + tilt what is above. The seam is one row off."""
        across, down = self._even(self._width * pan / 2), self._even(self._height * -tilt / 2)
        for plane, part in ((planes.y, 1), (planes.u, 2), (planes.v, 2)):
            start = (down // part * (self._width // part) + across // part) % len(plane)
            plane[:] = plane[start:] + plane[:start]

    # background

    def _draw_background(self, chance: random.Random) -> None:
        width, height, horizon, road = self._width, self._height, self._horizon, self._road
        hue = chance.choice(((140, 112), (132, 122), (112, 140), (138, 118), (120, 132), (144, 108)))
        for row in range(height):
            if row < horizon:
                level, u, v = 196 - 60 * row // max(1, horizon), hue[0] + 8, hue[1]
            elif row < road:
                level, u, v = 112, 120, 124
            else:
                level, u, v = 78 + 26 * (row - road) // max(1, height - road), 128, 128
            self._fill(0, row, width, 1, (level, u, v))
        left = 0
        while left < width:
            wide = self._even(width * chance.uniform(0.07, 0.16))
            tall = self._even(height * chance.uniform(0.14, 0.36))
            walls = chance.choice(
                ((150, 118, 140), (132, 122, 136), (170, 124, 130), (118, 126, 128), (158, 112, 146))
            )
            self._house(left, road - tall, wide, tall, walls=walls, chance=chance)
            left += wide + self._even(width * chance.choice((0.0, 0.0, 0.02, 0.05)))
        for pole in range(self._even(width * 0.12), width, self._even(width * 0.29)):
            self._fill(
                pole,
                self._even(height * 0.30),
                max(2, width // 320),
                road - self._even(height * 0.30),
                (54, 128, 128),
            )
        self._fill(0, road - self._even(height * 0.025), width, self._even(height * 0.025), (150, 126, 130))
        dash = self._even(width * 0.06)
        for start in range(0, width, dash * 2):
            self._fill(
                start, self._even(height * 0.84), dash, self._even(max(2, height * 0.01)), (206, 128, 128)
            )

    def _house(
        self, left: int, top: int, wide: int, tall: int, *, walls: Colour, chance: random.Random
    ) -> None:
        self._fill(left, top, wide, tall, walls)
        self._fill(left, top, wide, max(2, self._even(self._height * 0.012)), (84, 116, 156))
        pane_w, pane_h = max(4, self._even(self._width * 0.016)), max(4, self._even(self._height * 0.035))
        for row in range(top + pane_h, top + tall - 2 * pane_h, 2 * pane_h):
            for column in range(left + pane_w, left + wide - pane_w, 2 * pane_w):
                lit = chance.random() < 0.3
                self._fill(column, row, pane_w, pane_h, (204, 96, 148) if lit else (64, 136, 122))
        self._fill(
            left + self._even(wide * 0.4), top + tall - 2 * pane_h, pane_w * 2, 2 * pane_h, (58, 120, 138)
        )

    def _traffic(self, chance: random.Random) -> list[_Mover]:
        colours = (
            (96, 104, 196),
            (170, 92, 140),
            (62, 160, 110),
            (210, 128, 128),
            (120, 176, 104),
            (40, 128, 128),
        )
        movers = []
        for lane, (at, direction) in enumerate(((0.72, 1), (0.76, 1), (0.86, -1), (0.88, -1))):
            size = 1.0 + 0.35 * lane
            movers.append(
                _Mover(
                    self._even(self._height * (at - 0.03)),
                    self._even(self._width * 0.075 * size * chance.choice((0.5, 1.0, 1.0, 1.5))),
                    self._even(self._height * 0.06 * size),
                    direction * self._width * chance.uniform(0.06, 0.2),
                    chance.uniform(0, self._width),
                    chance.choice(colours),
                )
            )
        return movers

    def _make_grain(self) -> list[tuple[int, int, list[tuple[int, int]], list[bytes]]]:
        """Return tree crowns: top, width, the run (left, width) of each row, and some versions of the leaves."""
        patches = []
        width, height = self._width, self._height
        leaves = bytes(44 + (level * 70 >> 8) for level in range(256))
        for share in (0.05, 0.46, 0.80):
            wide, tall = self._even(width * 0.10), self._even(height * 0.17)
            left, top = self._even(width * share), self._road - tall - self._even(height * 0.08)
            runs = []
            for row in range(tall):
                height_share = (row + 0.5) / tall * 2 - 1
                half = self._even(wide / 2 * (1 - height_share * height_share) ** 0.5)
                runs.append((left + wide // 2 - half, half * 2))
            for row in range(0, tall - tall % 2, 2):
                start = (top + row) // 2 * (width // 2) + runs[row][0] // 2
                run = runs[row][1] // 2
                self._u[start : start + run] = bytes([108]) * run
                self._v[start : start + run] = bytes([112]) * run
            trunk = max(4, self._even(wide / 14))
            self._fill(
                left + wide // 2 - trunk // 2, top + tall, trunk, self._even(height * 0.08), (50, 120, 138)
            )
            versions = [self._random.randbytes(wide * tall).translate(leaves) for _ in range(6)]
            patches.append((top, wide, runs, versions))
        return patches

    # moving things

    def _place_grain(self, planes: Planes) -> None:
        stride = self._width
        for top, wide, runs, versions in self._grain:
            leaves = self._random.choice(versions)
            for row, (left, run) in enumerate(runs):
                start = (top + row) * stride + left
                planes.y[start : start + run] = leaves[row * wide : row * wide + run]

    def _place_mover(self, planes: Planes, mover: _Mover, seconds: float) -> None:
        track = self._width + 2 * mover.width
        left = self._even((mover.start + mover.speed * seconds) % track) - mover.width
        body = mover.height * 3 // 4
        self._block(planes, (left, mover.top + mover.height // 4, mover.width, body), mover.colour)
        cabin = self._even(mover.width * 0.2), self._even(mover.width * 0.6)
        self._block(planes, (left + cabin[0], mover.top, cabin[1], mover.height // 3), (52, 134, 124))
        wheel = max(4, self._even(mover.height * 0.24))
        for share in (0.14, 0.72):
            place = (
                left + self._even(mover.width * share),
                mover.top + mover.height - wheel // 4,
                wheel,
                wheel,
            )
            self._block(planes, place, (24, 128, 128))

    def _block(self, planes: Planes, place: tuple[int, int, int, int], colour: Colour) -> None:
        """Fill a rectangle (left, top, width, height), cut to the picture, at even coordinates."""
        left, top, width, height = place
        first, last = max(0, left) & ~1, min(self._width, left + width) & ~1
        above, below = max(0, top) & ~1, min(self._height, top + height) & ~1
        wide = last - first
        if wide <= 0 or below <= above:
            return
        stride = self._width
        row = bytes([colour[0]]) * wide
        for start in range(above * stride + first, below * stride + first, stride):
            planes.y[start : start + wide] = row
        half, wide = stride // 2, wide // 2
        row_u, row_v = bytes([colour[1]]) * wide, bytes([colour[2]]) * wide
        for start in range(above // 2 * half + first // 2, below // 2 * half + first // 2, half):
            planes.u[start : start + wide] = row_u
            planes.v[start : start + wide] = row_v

    def _fill(self, left: int, top: int, width: int, height: int, colour: Colour) -> None:
        """Fill a rectangle of the background; a single row takes its colour from every second row."""
        if height == 1 and left == 0 and width == self._width:
            start = top * width
            self._y[start : start + width] = bytes([colour[0]]) * width
            if top % 2 == 0:
                start = top // 2 * (width // 2)
                self._u[start : start + width // 2] = bytes([colour[1]]) * (width // 2)
                self._v[start : start + width // 2] = bytes([colour[2]]) * (width // 2)
            return
        self._block(Planes(self._y, self._u, self._v), (left, top, width, height), colour)

    # text

    def _write(self, planes: Planes, text: str, left: int, top: int, scale: int) -> None:
        """Write one line on a dark plate, with one font pixel of margin above and below."""
        glyphs = self._glyphs(scale)
        wide = (len(text) * 6 + 1) * scale
        left &= ~1
        plate = bytes([_PAPER]) * wide
        room = self._width - left
        for line in range(-2, 9):
            row = plate
            if 0 <= line < 7:
                row = bytes([_PAPER]) * scale + b"".join(glyphs[char][line] for char in text)
            row = row[:room]
            for y in range(top + (line + 2) * scale, top + (line + 3) * scale):
                if y < self._height:
                    start = y * self._width + left
                    planes.y[start : start + len(row)] = row
        half = self._width // 2
        grey = bytes([128]) * (min(wide, room) // 2)
        for y in range(top // 2, min(self._height, top + 11 * scale) // 2):
            start = y * half + left // 2
            planes.u[start : start + len(grey)] = grey
            planes.v[start : start + len(grey)] = grey

    def _glyphs(self, scale: int) -> dict[str, list[bytes]]:
        known = self._glyph_rows.get(scale)
        if known is None:
            known = {
                char: [
                    b"".join(bytes([_INK if row >> bit & 1 else _PAPER]) * scale for bit in (4, 3, 2, 1, 0))
                    + bytes([_PAPER]) * scale
                    for row in rows
                ]
                for char, rows in _GLYPHS.items()
            }
            self._glyph_rows[scale] = known
        return known

    @staticmethod
    def _even(value: float) -> int:
        return int(value) & ~1


def _plain(text: str) -> str:
    """Return a text in the letters that the font has: no accents, upper case."""
    folded = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D")).upper()
    return "".join(char if char in _GLYPHS else "-" for char in folded if not unicodedata.combining(char))[
        :40
    ]
