"""The self-check: reads a written bundle back and searches it for everything that was in use."""

import contextlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.secret import Secret
from adapters.wire.masking import unbase64, views
from adapters.wire.redaction import Kind

_BASE64 = re.compile(r"[A-Za-z0-9+/_\-]{8,4096}={0,2}")
_DIGITS_APART = re.compile(r"[:\-.]")


@dataclass(frozen=True, slots=True)
class Leak:
    """Something that should not be there. Says where and what kind, never the value."""

    file: str
    line: int
    kind: str

    def __str__(self) -> str:
        return f"{self.kind} in {self.file}, line {self.line}"


def leaks(folder: Path, originals: Iterable[tuple[Kind, str]], passwords: Iterable[Secret]) -> list[Leak]:
    """Return where in a bundle any of the raw values stands, in whatever spelling. Every file is read whole."""
    sought = [(kind, text) for kind, text in originals if text]
    sought += [(Kind.SECRET, secret.reveal()) for secret in passwords if secret]
    found: dict[Leak, None] = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = file.relative_to(folder).as_posix()
        for number, line in enumerate(_lines(file.read_bytes()), 1):
            for kind in _in_line(line, sought):
                found[Leak(name, number, str(kind))] = None
        for kind, text in sought:
            if _stands(kind, text, name):
                found[Leak("its name", 0, str(kind))] = None
    return list(found)


def _lines(raw: bytes) -> Iterator[str]:
    encoding = "utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    yield from raw.decode(encoding, "surrogateescape").splitlines()


def _in_line(line: str, sought: list[tuple[Kind, str]]) -> set[Kind]:
    texts = [line]
    if line.startswith("{"):
        with contextlib.suppress(ValueError):
            texts += _strings(json.loads(line))
    texts += [text for token in _BASE64.findall(line) if (text := unbase64(token).decode("latin-1"))]
    seen = {view for text in texts for view in views(text)}
    found = set()
    for kind, text in sought:
        if kind not in found and any(_stands(kind, text, view) for view in seen):
            found.add(kind)
    return found


def _stands(kind: Kind, wanted: str, view: str) -> bool:
    """Tell whether a value stands in a text: whole words, but passwords and tokens anywhere."""
    if kind is Kind.SECRET:
        return wanted in view or (len(wanted) >= 4 and wanted.encode().hex() in view.lower())
    if kind is Kind.TOKEN:
        return wanted in view
    if kind is Kind.MAC:
        return _DIGITS_APART.sub("", wanted.lower()) in _DIGITS_APART.sub("", view.lower())
    if kind is Kind.ADDRESS:
        return (
            wanted in view.lower()
            and re.search(rf"(?<![\w.]){re.escape(wanted)}(?![\w]|\.\d)", view.lower()) is not None
        )
    if kind is Kind.UUID:
        return wanted in view.lower()
    return wanted in view and re.search(rf"(?<![^\W_]){re.escape(wanted)}(?![^\W_])", view) is not None


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        if len(value) % 2 == 0 and re.fullmatch(r"[0-9a-f]{8,}", value):
            yield bytes.fromhex(value).decode("latin-1")  # the head of a packet
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
