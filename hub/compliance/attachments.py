"""Papers behind statements: PDF, JPEG and PNG files, known by their content, kept under their SHA-256.

A file's name and the type that a browser sends are what somebody says about it; what it is, its bytes say. The check
reads structure only (first and last marks, the first chunk of a PNG, the first segment of a JPEG): nothing is decoded.
"""

import hashlib
from dataclasses import dataclass

from hub.compliance.refused import StatementRefused

MAX_BYTES = 10 * 1024 * 1024
MAX_NAME = 120
PDF, JPEG, PNG = "application/pdf", "image/jpeg", "image/png"
SUFFIXES = {PDF: (".pdf",), JPEG: (".jpg", ".jpeg"), PNG: (".png",)}
_PNG_MARK = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"
_PDF_TAIL = 2048  # the end mark stands within so many bytes of the end


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that is what it says. `name` is bounded and printable."""

    name: str
    media_type: str
    content: bytes

    @property
    def sha256(self) -> str:
        """Return the SHA-256 of the content, hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


def attachment(name: str, content: bytes, claimed: str = "") -> Attachment:
    """Check a file against what it says about itself.

    `claimed` is the media type that came with it; "" or ``application/octet-stream`` claims nothing.

    Raises:
        StatementRefused: `attachment_empty`, `attachment_large`, `attachment_type` (none of the three kinds),
            `attachment_lies` (its name or its claimed type is of another kind), `attachment_cut` (its end is missing).
    """
    if not content:
        raise StatementRefused("attachment", "attachment_empty")
    if len(content) > MAX_BYTES:
        raise StatementRefused("attachment", "attachment_large", limit_mb=MAX_BYTES // 2**20)
    shown = "".join(char for char in name if char.isprintable() and char not in '/\\"').strip()[-MAX_NAME:]
    found = kind_of(content)
    if found is None:
        raise StatementRefused("attachment", "attachment_type", name=shown or "?")
    said = claimed.partition(";")[0].strip().lower()
    suffix = f".{shown.rpartition('.')[2].lower()}" if "." in shown else ""
    of_name = next((kind for kind, suffixes in SUFFIXES.items() if suffix in suffixes), None)
    lies = said not in ("", "application/octet-stream", found) or (suffix and of_name != found)
    if lies:
        claims = said if said not in ("", "application/octet-stream", found) else suffix
        raise StatementRefused("attachment", "attachment_lies", claimed=claims[:60], found=found)
    if not _whole(found, content):
        raise StatementRefused("attachment", "attachment_cut", found=found)
    return Attachment(shown or f"attachment{SUFFIXES[found][0]}", found, content)


def kind_of(content: bytes) -> str | None:
    """Return what a file is by its first bytes; None where it is none of the three kinds."""
    if content.startswith(b"%PDF-") and content[5:8] in (b"1.0", b"1.1", b"1.2", b"1.3", b"1.4", b"1.5", b"1.6", b"1.7", b"2.0"):  # fmt: skip
        return PDF
    if content[:3] == b"\xff\xd8\xff" and content[3:4] >= b"\xc0":
        return JPEG
    if content.startswith(_PNG_MARK) and content[12:16] == b"IHDR":
        return PNG
    return None


def _whole(kind: str, content: bytes) -> bool:
    if kind == PDF:
        return b"%%EOF" in content[-_PDF_TAIL:]
    if kind == JPEG:  # cameras and phones pad with zeros behind the end mark
        return content.rstrip(b"\0").endswith(b"\xff\xd9")
    return content.endswith(_PNG_END)
