"""Reads the offers of many browsers: those of one make and version differ in a few values only, and are parsed once.

What stands in a viewer's own lines (user name fragment, password, fingerprint) is taken out, and what is left is the shape. Neither
the parser nor an answer looks into those values, so an offer whose shape is known is that one's with its own values put in.
"""

import re
from dataclasses import replace
from typing import Final

from hub.relay.webrtc.sdp import MediaLine, Offer, needed_lines

_SHAPES: Final = 32
_MAX_SHAPE: Final = 8192  # characters: some twice what Chromium's has left
_OWN: Final = ("a=ice-ufrag:", "a=ice-pwd:", "a=fingerprint:")
_PLAIN: Final = re.compile(r"[!-~]{1,256}", re.ASCII)


class Offers:
    """The shapes that came last."""

    def __init__(self) -> None:
        self._known: dict[str, Offer] = {}  # the one used last stands last

    def __len__(self) -> int:
        """Return how many shapes are kept."""
        return len(self._known)

    def read(self, text: str) -> Offer:
        """Read an offer, as `Offer.parse` does.

        Raises:
            RelayRefused: 422; names what is wrong.
        """
        lines = needed_lines(text)
        values: list[str] = []
        shape = _shape(lines, values)
        if shape is None:
            return Offer.of_lines(lines)
        key = "\n".join(shape)
        known = self._known.pop(key, None)
        if known is None:
            known = Offer.of_lines(shape)
        if len(key) <= _MAX_SHAPE:
            self._known[key] = known
            if len(self._known) > _SHAPES:
                del self._known[next(iter(self._known))]
        return Offer(tuple(_with_values(line, values) for line in known.media), known.bundle)


def _shape(lines: list[str], values: list[str]) -> list[str] | None:
    """Return the lines with the places of a viewer's own values in `values`; `None` where one is not plain text."""
    shape = list(lines)
    for place, line in enumerate(lines):
        if line.startswith(_OWN):
            name, _, value = line.partition(":")
            if name == "a=fingerprint":
                algorithm, _, value = value.partition(" ")
                name = f"{name}:{algorithm} "
            else:
                name = f"{name}:"
            if not _PLAIN.fullmatch(value):
                return None
            shape[place] = f"{name}{len(values)}"
            values.append(value)
    return shape


def _with_values(line: MediaLine, values: list[str]) -> MediaLine:
    """Put a viewer's own values in their places."""
    return replace(
        line,
        ufrag=values[int(line.ufrag)] if line.ufrag else "",
        pwd=values[int(line.pwd)] if line.pwd else "",
        fingerprints=tuple((algorithm, values[int(place)]) for algorithm, place in line.fingerprints),
    )
