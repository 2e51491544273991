"""The seal on camera credentials: AES-256-GCM, the key in a file outside the database.

A sealed value is ``version (1 byte) | key id (8) | nonce (12) | ciphertext and tag``. The record's id and the field
name are authenticated along with it, so that a value copied to another camera or field does not open. The key file
holds one key per line, ``KEYID BASE64``; the first one seals, all of them open.
"""

import base64
import binascii
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from adapters.secret import Secret
from hub.store.errors import SealError

VERSION = 1
KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12
_HEAD = 1 + KEY_ID_BYTES + NONCE_BYTES
_TAG = 16
MAX_SEALED = 4096


class Sealer:
    """Seals and opens secrets. Printing it shows key ids only."""

    def __init__(self, keys: Mapping[bytes, AESGCM], current: bytes) -> None:
        self._keys = dict(keys)
        self._current = current

    def __repr__(self) -> str:
        return f"Sealer({self._current.hex()})"

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read the key file; make it, readable by its owner only, where there is none.

        Raises:
            SealError: others may read the file, or it is not a key file.
        """
        found = read_key_file(path)
        return cls({key_id: AESGCM(key) for key_id, key in found}, found[0][0])

    def seal(self, secret: Secret, record: str, field: str) -> bytes:
        """Return the sealed form of a secret that belongs to one field of one record.

        Raises:
            ValueError: the secret has more than 4096 bytes.
        """
        plain = secret.reveal().encode()
        if len(plain) > MAX_SEALED:
            raise ValueError(f"a secret has {len(plain)} bytes; at most {MAX_SEALED}")
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._keys[self._current].encrypt(nonce, plain, _bound_to(record, field))
        return bytes((VERSION,)) + self._current + nonce + sealed

    def unseal(self, sealed: bytes, record: str, field: str) -> Secret:
        """Open what `seal` made.

        Raises:
            SealError: sealed with a key that the file does not hold, altered, or moved from another record.
        """
        if len(sealed) < _HEAD + _TAG or sealed[0] != VERSION:
            raise SealError(f"the sealed {field} of {record} is not in a form that this program knows")
        key_id = sealed[1 : 1 + KEY_ID_BYTES]
        key = self._keys.get(key_id)
        if key is None:
            raise SealError(
                f"the {field} of {record} is sealed with key {key_id.hex()}, which the key file does not hold. "
                "Put the key file that belongs to this database back"
            )
        nonce = sealed[1 + KEY_ID_BYTES : _HEAD]
        try:
            return Secret(key.decrypt(nonce, sealed[_HEAD:], _bound_to(record, field)).decode())
        except (InvalidTag, UnicodeDecodeError) as error:
            raise SealError(
                f"the sealed {field} of {record} was altered or belongs to another record; enter it again"
            ) from error


def read_key_file(path: Path) -> list[tuple[bytes, bytes]]:
    """Return the keys of a file ``(key id, 32 bytes)`` in its order; make it where there is none.

    Raises:
        SealError: others may read the file, or it is not a key file.
    """
    try:
        _create(path)
        mode = stat.S_IMODE(path.stat().st_mode)
        told = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise SealError(f"the key file {path} cannot be read or made: {error}") from error
    if mode & 0o077:
        raise SealError(f"the key file {path} may be read by others (mode {mode:o}). Run: chmod 600 {path}")
    keys = [
        _parse(line, f"line {number} of the key file {path}")
        for number, line in enumerate(told.splitlines(), 1)
        if line.strip()
    ]
    if not keys:
        raise SealError(f"the key file {path} holds no key. Restore it from your backup")
    return keys


def put_key_first(path: Path) -> None:
    """Put a fresh key before the others of a file, whole or not at all: it is used from now on, the others stay known.

    Raises:
        SealError: as `read_key_file`.
    """
    read_key_file(path)
    key_id, key = secrets.token_bytes(KEY_ID_BYTES), secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f".{path.name}.{key_id.hex()}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{key_id.hex()} {base64.b64encode(key).decode()}\n".encode() + path.read_bytes())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise SealError(f"the key file {path} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)


def _bound_to(record: str, field: str) -> bytes:
    return f"camhub:{record}:{field}".encode()


def _create(path: Path) -> None:
    """Make the key file where there is none; whoever comes second reads what the first one wrote."""
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key_id, key = secrets.token_bytes(KEY_ID_BYTES), secrets.token_bytes(KEY_BYTES)
    draft = path.with_name(f".{path.name}.{key_id.hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(f"{key_id.hex()} {base64.b64encode(key).decode()}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)  # whole or not at all, and never over an existing one
        except FileExistsError:
            return
    finally:
        draft.unlink()


def _parse(line: str, where: str) -> tuple[bytes, bytes]:
    words = line.split()
    try:
        key_id, key = bytes.fromhex(words[0]), base64.b64decode(words[1], validate=True)
    except (IndexError, ValueError, binascii.Error) as error:
        raise SealError(f"{where} is not a key. Restore the file from your backup") from error
    if len(words) != 2 or len(key_id) != KEY_ID_BYTES or len(key) != KEY_BYTES:
        raise SealError(f"{where} is not a key. Restore the file from your backup")
    return key_id, key
