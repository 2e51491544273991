"""What vendor interfaces write: key=value lines, JSON, loose numbers, times and POSIX zones, read without raising.

A reader returns None (or nothing) for what it cannot read; only a body that is not of its form at all raises.
"""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from adapters.errors import RemoteProtocolError
from standards.reason import Reason

MAX_LINES = 100_000  # a recorder of 64 channels sends about 10,000 lines for its encoders
MAX_VALUE = 1024  # characters kept of one value
_MAX_KEY = 256
_MAX_DEPTH = 32
_TRUE = frozenset({"true", "yes", "on", "1", "enabled", "enable"})
_FALSE = frozenset({"false", "no", "off", "0", "disabled", "disable"})
_INTEGER = re.compile(r"^[+-]?\d{1,15}$")
_NUMBER = re.compile(r"^[+-]?\d{1,15}(?:\.\d{1,9})?$")
_KEY = re.compile(r"^[A-Za-z0-9_.\-\[\]:/ ]+$")
_MOMENT = re.compile(
    r"^(\d{4})-(\d{1,2})-(\d{1,2})[T ](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d{1,9})?\s*(Z|[+-]\d{2}:?\d{2})?$"
)
_POSIX = re.compile(
    r"^(?:[A-Za-z]{1,10}|<[A-Za-z0-9+\-]{1,10}>)([+-]?)(\d{1,2})(?::(\d{2}))?(?::\d{2})?(.*)$"
)
_MAC = re.compile(r"^(?:[0-9a-f]{2}[:\-]?){5}[0-9a-f]{2}$")
_SIZE = re.compile(r"^(\d{2,5})[xX*](\d{2,5})$")


def pairs(body: bytes, operation: str, peer: str = "") -> dict[str, str]:
    """Return ``key=value`` lines by key; comments and other lines are left out, the first of a key stands.

    Raises:
        RemoteProtocolError: `empty_reply` for blanks; `not_the_protocol` where there are lines and none is a pair.
    """
    text = body.decode("utf-8", "replace")
    found: dict[str, str] = {}
    said = False
    for line in text.splitlines()[:MAX_LINES]:
        stripped = line.strip()
        if not stripped:
            continue
        said = True
        key, equals, value = stripped.partition("=")
        key = key.strip()
        if equals and len(key) <= _MAX_KEY and _KEY.match(key):
            found.setdefault(key, value.strip()[:MAX_VALUE])
    if found:
        return found
    raise RemoteProtocolError(
        f"{operation}: the answer holds no key=value line" if said else f"{operation}: the answer is empty",
        reason=Reason.NOT_THE_PROTOCOL if said else Reason.EMPTY_REPLY,
        peer=peer,
        operation=operation,
        hint="Check that this is the camera's own web port and that the interface of this maker is the right one",
    )


def json_object(body: bytes, operation: str, peer: str = "") -> Mapping[str, Any]:
    """Return a JSON object.

    Raises:
        RemoteProtocolError: `empty_reply`, or `not_the_protocol` for what is no JSON object.
    """
    if not body.strip():
        raise RemoteProtocolError(
            f"{operation}: the answer is empty", reason=Reason.EMPTY_REPLY, peer=peer, operation=operation
        )
    try:
        told = json.loads(body.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        told = None
    if isinstance(told, dict):
        return told
    raise RemoteProtocolError(
        f"{operation}: the answer is no JSON object",
        reason=Reason.NOT_THE_PROTOCOL,
        peer=peer,
        operation=operation,
        hint="Check that this is the camera's own web port and that the interface of this maker is the right one",
    )


def item(told: Any, *path: str) -> Any:
    """Return what stands along a path of names in nested JSON objects, None where the path ends."""
    for name in path[:_MAX_DEPTH]:
        if not isinstance(told, Mapping):
            return None
        told = told.get(name)
    return told


def word(told: Any, limit: int = 128) -> str:
    """Return a JSON or text value as one printable line, "" for what is no string or number."""
    if isinstance(told, bool) or not isinstance(told, (str, int, float)):
        return ""
    return "".join(char for char in str(told) if char.isprintable()).strip()[:limit]


def boolean(text: Any) -> bool | None:
    """Return what a text, number or JSON boolean says, None where it says neither."""
    if isinstance(text, bool):
        return text
    told = str(text).strip().lower() if isinstance(text, (str, int)) else ""
    return True if told in _TRUE else False if told in _FALSE else None


def integer(text: Any) -> int | None:
    """Return a whole number (also of ``2500.0``), None for anything else."""
    if isinstance(text, bool):
        return None
    if isinstance(text, int):
        return text if abs(text) < 10**15 else None
    told = str(text).strip() if isinstance(text, (str, float)) else ""
    if _INTEGER.match(told):
        return int(told)
    return int(float(told)) if _NUMBER.match(told) else None


def number(text: Any) -> float | None:
    """Return a number, None for anything else."""
    if isinstance(text, bool):
        return None
    told = str(text).strip() if isinstance(text, (str, int, float)) else ""
    return float(told) if _NUMBER.match(told) else None


def port(text: Any) -> int | None:
    """Return a TCP port, None for what is none."""
    told = integer(text)
    return told if told is not None and 1 <= told <= 65535 else None


def size(text: str) -> tuple[int, int]:
    """Return width and height in px of ``1920x1080`` or an analogue name, (0, 0) where unknown."""
    found = _SIZE.match(text.strip())
    if found:
        return int(found[1]), int(found[2])
    return _NAMED_SIZES.get(text.strip().upper(), (0, 0))


# Names of digital video in the PAL raster; cameras of the NTSC world mean 480 and 240 lines.
_NAMED_SIZES = {
    "D1": (704, 576),
    "4CIF": (704, 576),
    "2CIF": (704, 288),
    "CIF": (352, 288),
    "QCIF": (176, 144),
    "720P": (1280, 720),
    "1080P": (1920, 1080),
}


def moment(text: str) -> datetime | None:
    """Return the time that a text tells: aware where it names a zone, else naive (the device's local time)."""
    found = _MOMENT.match(text.strip())
    if not found:
        return None
    zone = None
    if found[7]:
        sign = -1 if found[7].startswith("-") else 1
        digits = found[7].lstrip("+-").replace(":", "")
        minutes = 0 if found[7] == "Z" else int(digits[:2]) * 60 + int(digits[2:])
        zone = timezone(timedelta(minutes=sign * min(minutes, 1439)))
    try:
        return datetime(*(int(found[index]) for index in range(1, 7)), tzinfo=zone)  # type: ignore[arg-type,misc]
    except (ValueError, OverflowError):
        return None


def posix_offset_min(text: str) -> tuple[int | None, bool]:
    """Return a POSIX zone's offset from UTC in minutes (``ICT-7`` is +420) and whether it knows daylight saving."""
    found = _POSIX.match(text.strip()[:128])
    if not found:
        return None, False
    minutes = int(found[2]) * 60 + int(found[3] or 0)
    if minutes > 15 * 60:
        return None, False
    return (minutes if found[1] == "-" else -minutes), bool(found[4].strip())


def mac(text: str) -> str:
    """Return a hardware address in lower case with colons, "" for what is none (or all zeros)."""
    told = text.strip().lower()
    if not _MAC.match(told):
        return ""
    digits = re.sub(r"[:\-]", "", told)
    if digits == "0" * 12:
        return ""
    return ":".join(digits[index : index + 2] for index in range(0, 12, 2))


def encoding(text: str) -> str:
    """Return a video encoding in the words of the facts: H264 H265 JPEG MPEG4; else upper case without marks."""
    told = re.sub(r"[^A-Z0-9]", "", text.upper())[:16]
    if told.startswith(("H264", "AVC")):
        return "H264"
    if told.startswith(("H265", "HEVC")):
        return "H265"
    if told in {"MJPG", "MJPEG", "JPEG"}:
        return "JPEG"
    return "MPEG4" if told.startswith("MPEG4") else told


__all__ = [
    "boolean",
    "encoding",
    "integer",
    "item",
    "json_object",
    "mac",
    "moment",
    "number",
    "pairs",
    "port",
    "posix_offset_min",
    "size",
    "word",
]
