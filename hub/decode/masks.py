"""Painting declared zones black, in the picture itself, before it is coded."""

from collections.abc import Sequence
from typing import Final

from av.video.frame import VideoFrame

_BLACK: Final = (16, 128, 128)  # Y, U, V of the limited range (ITU-R BT.601)

_EDGE: Final = 1e-6  # just inside a row of pixels

_Point = tuple[float, float]
Polygon = Sequence[_Point]


class Painter:
    """Fills polygons. Their rows are worked out once per picture size."""

    def __init__(self, polygons: Sequence[Polygon]) -> None:
        """Take polygons whose corners are (x, y) from 0 to 1 of the picture's width and height."""
        self._polygons = [tuple(polygon) for polygon in polygons]
        self._size = (0, 0)
        self._spans: list[list[tuple[int, int, int]]] = []

    def paint(self, frame: VideoFrame) -> None:
        """Fill all polygons in a picture of pixel format yuv420p."""
        if self._size != (frame.width, frame.height):
            self._size = (frame.width, frame.height)
            self._spans = [
                spans(self._polygons, frame.width >> shift, frame.height >> shift) for shift in (0, 1, 1)
            ]
        for plane, value, rows in zip(frame.planes, _BLACK, self._spans, strict=True):
            pixels = memoryview(plane)
            line = plane.line_size
            for row, begin, end in rows:
                pixels[row * line + begin : row * line + end] = bytes([value]) * (end - begin)


def spans(polygons: Sequence[Polygon], width: int, height: int) -> list[tuple[int, int, int]]:
    """Return (row, first column, column after the last) of every pixel that a polygon touches.

    A pixel is covered where any part of it is: what was declared private stays so at every scale. Each row is looked at
    through its upper edge, middle and lower edge, and edges within it are taken whole.
    """
    out: list[tuple[int, int, int]] = []
    for polygon in polygons:
        corners = [(min(max(x, 0.0), 1.0) * width, min(max(y, 0.0), 1.0) * height) for x, y in polygon]
        if len(corners) < 3:
            continue
        edges = list(zip(corners, [*corners[1:], corners[0]], strict=True))
        top, bottom = min(y for _, y in corners), max(y for _, y in corners)
        for row in range(min(int(top), height - 1), min(height, int(bottom) + 1)):
            for begin, end in _row(edges, row):
                first, after = min(int(begin), width - 1), min(width, int(end) + 1)
                if first < after:
                    out.append((row, first, after))
    return out


def _row(edges: Sequence[tuple[_Point, _Point]], row: int) -> list[tuple[float, float]]:
    """Return the stretches of one row of pixels that the polygon touches."""
    found: list[tuple[float, float]] = []
    for level in (row + _EDGE, row + 0.5, row + 1 - _EDGE):
        crossings = sorted(
            x1 + (level - y1) / (y2 - y1) * (x2 - x1)
            for (x1, y1), (x2, y2) in edges
            if (y1 <= level < y2) or (y2 <= level < y1)
        )
        found += zip(crossings[::2], crossings[1::2], strict=False)
    for edge in edges:  # the part of each edge that lies within the row
        (ax, ay), (bx, by) = sorted(edge, key=lambda point: point[1])
        if by < row or ay > row + 1:
            continue
        ends = (
            [ax, bx]
            if by == ay
            else [ax + (min(max(y, ay), by) - ay) / (by - ay) * (bx - ax) for y in (row, row + 1)]
        )
        found.append((min(ends), max(ends)))
    return found
