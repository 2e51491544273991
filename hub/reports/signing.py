"""Signatures of reports: Ed25519 (RFC 8032) over a canonical JSON statement that names the exact bytes.

The form of the file is docs/ref/report-signature.md. A signature says that a hub made these bytes and what they are
about; it does not say that what a camera told was true.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from hub.store.sealer import put_key_first, read_key_file
from standards.observation import canonical_json

SIGNING_KEYS = "signing-keys"  # the key file in the data directory
TYPE = "camhub-report-signature"
VERSION = 1
SUFFIX = ".sig"
EMBEDDED = "signature"  # the member of a JSON report that holds its own signature
MAX_SIGNATURE = 16_384  # bytes of a signature file
MAX_KEYS = 65_536  # bytes of a file of public keys
_PREFIX = b"camhub report signature v1\n"  # so that these signatures can be taken for nothing else


class KeysUnreadable(ValueError):
    """A file of public keys that cannot be used: says why."""


def key_id_of(public: bytes) -> str:
    """Return the id of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class About:
    """What a signed report is about."""

    kind: str  # camera | area | yearly
    subject: str  # camera id or area code
    format: str
    as_of: str
    standards: tuple[Mapping[str, str], ...]  # id, version, hash
    hub: str


class SigningKeys:
    """The hub's keys: the first signs, all of them are published. Printing it shows ids only."""

    def __init__(self, keys: Sequence[Ed25519PrivateKey], path: Path) -> None:
        self._keys = tuple(keys)
        self._path = path

    def __repr__(self) -> str:
        return f"SigningKeys({', '.join(self.public)})"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file; make it, readable by its owner only, where there is none.

        Raises:
            SealError: others may read the file, or it is not a key file.
        """
        found = [Ed25519PrivateKey.from_private_bytes(key) for _name, key in read_key_file(path)]
        return cls(found, path)

    @property
    def public(self) -> dict[str, bytes]:
        """Return the public keys by id, the signing one first."""
        raw = [key.public_key().public_bytes_raw() for key in self._keys]
        return {key_id_of(one): one for one in raw}

    def as_json(self) -> list[dict[str, Any]]:
        """Return the public keys as they are published."""
        return [
            {"key_id": name, "algorithm": "Ed25519", "public_key": _b64(raw), "signs": place == 0}
            for place, (name, raw) in enumerate(self.public.items())
        ]

    def rotated(self) -> "SigningKeys":
        """Make a new signing key; the old ones stay, so that what they signed can still be checked."""
        put_key_first(self._path)
        return SigningKeys.open(self._path)

    def sign(self, data: bytes, about: About) -> bytes:
        """Return the signature file of some bytes."""
        return canonical_json(self._signed(data, about)) + b"\n"

    def embedded(self, report: Mapping[str, Any], about: About) -> bytes:
        """Return a JSON report with its signature inside; signed is its canonical form without that member."""
        bare = {name: value for name, value in report.items() if name != EMBEDDED}
        return canonical_json({**bare, EMBEDDED: self._signed(canonical_json(bare), about)}) + b"\n"

    def _signed(self, data: bytes, about: About) -> dict[str, Any]:
        key = self._keys[0]
        public = key.public_key().public_bytes_raw()
        statement = {
            "type": TYPE,
            "version": VERSION,
            "algorithm": "Ed25519",
            "key_id": key_id_of(public),
            "sha256": hashlib.sha256(data).hexdigest(),
            "bytes": len(data),
            "format": about.format,
            "kind": about.kind,
            "subject": about.subject,
            "standards": [dict(one) for one in about.standards],
            "as_of": about.as_of,
            "hub": about.hub,
        }
        signature = key.sign(_PREFIX + canonical_json(statement))
        return {"statement": statement, "public_key": _b64(public), "signature": _b64(signature)}


class Outcome(StrEnum):
    """What checking a signature brought. The value is the key of the sentence in ``hub/locale/*/signature.json``."""

    GOOD = "good"
    CHANGED = "changed"  # the bytes are not those that were signed
    FORGED = "forged"  # the signature does not belong to the statement
    OTHER_KEY = "other_key"  # signed, but with none of the keys that are trusted
    BROKEN = "broken"  # not a whole signature file
    NEWER = "newer"  # of a form that this program does not know
    UNTRUSTED = "untrusted"  # whole, but nobody said which keys to trust

    @property
    def exit_status(self) -> int:
        """Return 0 for good, 1 for bad, 2 where it cannot be told."""
        if self is Outcome.GOOD:
            return 0
        return 2 if self in (Outcome.NEWER, Outcome.UNTRUSTED) else 1


@dataclass(frozen=True, slots=True)
class Checked:
    """The outcome, and the statement where it could be read (to be believed only where the outcome is good)."""

    outcome: Outcome
    statement: Mapping[str, Any]


def verify(data: bytes, signature: bytes, trusted: Mapping[str, bytes] | None) -> Checked:
    """Check bytes against a signature file. `trusted`: public keys by id; None: nobody named any."""
    try:
        told = json.loads(signature) if len(signature) <= MAX_SIGNATURE else None
    except (ValueError, RecursionError):
        told = None
    return _checked(data, told, trusted)


def verify_embedded(document: bytes, trusted: Mapping[str, bytes] | None) -> Checked | None:
    """Check a JSON report that holds its own signature; None where it is not JSON or holds none."""
    try:
        report = json.loads(document)
    except (ValueError, RecursionError):
        return None
    if not isinstance(report, dict) or EMBEDDED not in report:
        return None
    told = report.pop(EMBEDDED)
    try:
        bare = canonical_json(report)
    except ValueError:  # a number that JSON does not know
        return Checked(Outcome.BROKEN, {})
    return _checked(bare, told, trusted)


def _checked(data: bytes, told: Any, trusted: Mapping[str, bytes] | None) -> Checked:
    try:
        statement = dict(told["statement"])
        public = base64.b64decode(told["public_key"], validate=True)
        signed = base64.b64decode(told["signature"], validate=True)
        name, digest = str(statement["key_id"]), str(statement["sha256"])
        packed = canonical_json(statement)
        if statement["type"] != TYPE:
            return Checked(Outcome.BROKEN, {})
        if statement["version"] != VERSION or statement["algorithm"] != "Ed25519":
            return Checked(Outcome.NEWER, statement)
        key = Ed25519PublicKey.from_public_bytes(public)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return Checked(Outcome.BROKEN, {})
    try:
        key.verify(signed, _PREFIX + packed)
    except InvalidSignature:
        return Checked(Outcome.FORGED, statement)
    if name != key_id_of(public):
        return Checked(Outcome.FORGED, statement)
    if hashlib.sha256(data).hexdigest() != digest:
        return Checked(Outcome.CHANGED, statement)
    if trusted is None:
        return Checked(Outcome.UNTRUSTED, statement)
    return Checked(Outcome.GOOD if trusted.get(name) == public else Outcome.OTHER_KEY, statement)


def read_public_keys(text: bytes) -> dict[str, bytes]:
    """Read public keys to trust: a PEM, what a hub publishes (``/.well-known/hub``), or base64 lines.

    Raises:
        KeysUnreadable: none of these, or no key inside.
    """
    if len(text) > MAX_KEYS:
        raise KeysUnreadable(f"the file of keys is larger than {MAX_KEYS} bytes")
    try:
        found = _keys_in(text)
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise KeysUnreadable(f"the file holds no Ed25519 public keys ({error})") from error
    if not found or any(len(one) != 32 for one in found):
        raise KeysUnreadable("the file holds no Ed25519 public keys of 32 bytes")
    return {key_id_of(one): one for one in found}


def _keys_in(text: bytes) -> list[bytes]:
    if b"-----BEGIN" in text:
        key = load_pem_public_key(text)
        if not isinstance(key, Ed25519PublicKey):
            raise KeysUnreadable("the PEM holds a key of another kind; an Ed25519 key is needed")
        return [key.public_bytes_raw()]
    if text.lstrip().startswith((b"{", b"[")):
        told = json.loads(text)
        keys = told.get("report_keys", []) if isinstance(told, dict) else told
        return [base64.b64decode(one["public_key"], validate=True) for one in keys]
    return [base64.b64decode(line, validate=True) for line in text.split()]


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
