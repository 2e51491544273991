"""A bundle in memory: everything redacted, laid out as files (``docs/ref/capture.md``)."""

import codecs
import json
import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from adapters.wire.masking import Masker
from adapters.wire.tap import Heard
from hub.capture.recorder import Recorder

FORMAT = 1
CAPTURE = "capture.json"
EXCHANGES = "exchanges.jsonl"
PACKETS = "packets.jsonl"
BODIES = "bodies"
_DROPPED_HEADERS = frozenset(
    {"content-length", "transfer-encoding", "connection", "keep-alive", "content-encoding", "date"}
)
_TEXT = re.compile(
    r"(?i)^(text/|application/(.*\+)?(xml|json|sdp|soap|x-www-form-urlencoded|x-rtsp)|multipart/)"
)
_SUFFIXES = (("xml", ".xml"), ("json", ".json"), ("sdp", ".sdp"), ("html", ".html"))
_CREDENTIAL = re.compile(rb"(?i)<(?:[\w.\-]+:)?UsernameToken[\s>]")


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files by name, and what they hold in numbers."""

    files: dict[str, bytes]
    exchanges: int
    packets: int
    operations: tuple[str, ...]

    @property
    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(map(len, self.files.values()))


def carries_credential(heard: Heard) -> bool:
    """Tell whether a request carried a credential."""
    names = {name.lower() for name, _value in heard.request_headers}
    return "authorization" in names or _CREDENTIAL.search(heard.request_body) is not None


def as_text(body: bytes, media_type: str) -> tuple[str, str] | None:
    """Return a body as text with its encoding; None for what is neither text nor readable as such.

    Broken bytes stay as they are (surrogate escapes): a fixture must show the camera's own mistakes.
    """
    if not body:
        return "", "utf-8"
    for mark, encoding in ((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")):
        if body.startswith(mark):
            try:
                return body.decode(encoding), encoding
            except UnicodeDecodeError:
                return None
    named = _TEXT.match(media_type) is not None
    if not named and (b"\0" in body[:4096] or _looks_binary(body)):
        return None
    return body.decode("utf-8", "surrogateescape"), "utf-8"


def _looks_binary(body: bytes) -> bool:
    sample = body[:4096]
    odd = sum(byte < 9 or 13 < byte < 32 or byte == 127 for byte in sample)
    try:
        sample[: len(sample) - 4].decode()
    except UnicodeDecodeError:
        odd += len(sample) // 10
    return odd > len(sample) // 50


def build(recorder: Recorder, masker: Masker) -> Bundle:
    """Redact what was recorded and lay it out, without `capture.json`."""
    texts = [_texts(heard) for heard in recorder.exchanges]
    for _round in range(2):  # the second learns what only the first made known
        for heard, bodies in zip(recorder.exchanges, texts, strict=True):
            masker.target(heard.target)
            for name, value in (*heard.request_headers, *heard.reply_headers):
                masker.header(name, value)
            for told in bodies:
                if told is not None:
                    masker.learn(told[0])
    begin_s = recorder.exchanges[0].started_s if recorder.exchanges else 0.0
    files: dict[str, bytes] = {}
    rows = []
    for number, (heard, bodies) in enumerate(zip(recorder.exchanges, texts, strict=True), 1):
        names = []
        for side, told in zip(("request", "reply"), bodies, strict=True):
            name, data = _body(masker, number, heard, side, told)
            names.append(name)
            if name:
                files[f"{BODIES}/{name}"] = data
        rows.append(_row(number, heard, masker, begin_s, names))
    files[EXCHANGES] = _lines(rows)
    if recorder.packets:
        files[PACKETS] = _lines(
            {
                "s": packet.track.session,
                "track": packet.track.index,
                "kind": packet.track.kind,
                "codec": packet.track.codec,
                "control": packet.control,
                "at_s": round(packet.at_s - begin_s, 4),
                "size": packet.size,
                "head": packet.head.hex(),
            }
            for packet in recorder.packets
        )
    operations = Counter(masker.text(heard.operation) for heard in recorder.exchanges)
    return Bundle(files, len(rows), len(recorder.packets), tuple(operations))


def _texts(heard: Heard) -> tuple[tuple[str, str] | None, tuple[str, str] | None]:
    return (
        as_text(heard.request_body, _header(heard.request_headers, "content-type")),
        as_text(heard.reply_body, _header(heard.reply_headers, "content-type")),
    )


def _header(headers: tuple[tuple[str, str], ...], name: str) -> str:
    return next((value for key, value in headers if key.lower() == name), "")


def _body(
    masker: Masker, number: int, heard: Heard, side: str, told: tuple[str, str] | None
) -> tuple[str, bytes]:
    """Return name and bytes of one body's file; ("", b"") where there is none, or none that may be kept."""
    if told is None or not told[0]:
        return "", b""
    text, encoding = told
    headers = heard.request_headers if side == "request" else heard.reply_headers
    media_type = _header(headers, "content-type").lower()
    suffix = next((end for word, end in _SUFFIXES if word in media_type), "")
    if not suffix:
        suffix = ".xml" if text.lstrip("\ufeff \r\n\t").startswith("<") else ".txt"
    slug = re.sub(r"[^A-Za-z0-9]+", "-", masker.text(heard.operation)).strip("-")[:40] or "request"
    errors = "surrogateescape" if encoding == "utf-8" else "strict"
    return f"{number:03d}-{slug}.{side}{suffix}", masker.text(text).encode(encoding, errors)


def _row(number: int, heard: Heard, masker: Masker, begin_s: float, names: list[str]) -> dict[str, Any]:
    row: dict[str, Any] = {
        "n": number,
        "protocol": heard.protocol,
        "port": heard.port,
        "operation": masker.text(heard.operation),
        "credential": carries_credential(heard),
        "at_s": round(heard.started_s - begin_s, 4),
        "took_s": round(heard.took_s, 4),
        "request": {
            "method": heard.method,
            "target": masker.target(heard.target),
            "headers": _headers(heard.request_headers, masker),
            "body": names[0],
        },
        "reply": {
            "status": heard.status,
            "reason": masker.text(heard.reason),
            "headers": _headers(heard.reply_headers, masker),
            "body": names[1],
            "size": len(heard.reply_body),
            "read": heard.body_read,
        },
        "error": heard.error,
    }
    if heard.protocol == "rtsp":
        row["session"] = heard.session
    return row


def _headers(headers: tuple[tuple[str, str], ...], masker: Masker) -> list[list[str]]:
    return [
        [name, masker.header(name, value)] for name, value in headers if name.lower() not in _DROPPED_HEADERS
    ]


def _lines(rows: Any) -> bytes:
    text = "".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")) + "\n" for row in rows)
    return text.encode("utf-8", "backslashreplace")
