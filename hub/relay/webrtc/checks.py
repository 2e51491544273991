"""Connectivity checks as an ICE-lite agent meets them (RFC 8489, RFC 8445 7.3): read, verified and answered on the bytes.

Every viewer sends one each few seconds, a flood sends nothing else: no message object is made, and nothing is signed before
the sender has proved the password.
"""

import hashlib
import hmac
import socket
import struct
import zlib
from dataclasses import dataclass
from typing import Final

_COOKIE: Final = b"\x21\x12\xa4\x42"
_HEADER = 20
_REQUEST, _RESPONSE, _ERROR = 0x0001, 0x0101, 0x0111
_USERNAME, _INTEGRITY, _ERROR_CODE, _XOR_MAPPED = 0x0006, 0x0008, 0x0009, 0x0020
_USE_CANDIDATE, _FINGERPRINT, _CONTROLLED = 0x0025, 0x8028, 0x8029
_CRC_XOR = 0x5354554E
_MAX_ATTRIBUTES = 32
_ATTRIBUTE = struct.Struct("!HH")


@dataclass(frozen=True, slots=True)
class Check:
    """A binding request, read but not believed yet."""

    ours: str  # our user name fragment
    theirs: str
    transaction: bytes
    nominated: bool
    controlled: bool  # the sender thinks that we control
    signed: int  # position of MESSAGE-INTEGRITY


def read_check(data: bytes) -> Check | None:
    """Return the binding request in a datagram, `None` where it is none, unsigned, or not well-formed."""
    size = len(data)
    if size < _HEADER or data[4:8] != _COOKIE or size % 4:
        return None
    kind, length = _ATTRIBUTE.unpack_from(data)
    if kind != _REQUEST or length != size - _HEADER:
        return None
    ours = theirs = ""
    nominated = controlled = False
    signed = 0
    position = _HEADER
    for _ in range(_MAX_ATTRIBUTES):
        if position == size:
            break
        kind, length = _ATTRIBUTE.unpack_from(data, position)
        end = position + 4 + length
        if end > size:
            return None
        if kind == _FINGERPRINT:
            if length != 4 or end != size or not _fingerprint_fits(data, position):
                return None
        elif signed:
            pass  # what stands behind the signature is not covered by it (RFC 8489 14.5)
        elif kind == _USERNAME:
            ours, _, theirs = data[position + 4 : end].decode("utf-8", "replace").partition(":")
        elif kind == _USE_CANDIDATE:
            nominated = True
        elif kind == _CONTROLLED:
            controlled = True
        elif kind == _INTEGRITY:
            if length != 20:
                return None
            signed = position
        position = end + (-length % 4)
    if position != size or not signed or not ours:
        return None
    return Check(ours, theirs, data[8:20], nominated, controlled, signed)


def proves(data: bytes, check: Check, password: bytes) -> bool:
    """Tell whether the sender of a check knew the password."""
    covered = data[:2] + (check.signed + 24 - _HEADER).to_bytes(2, "big") + data[4 : check.signed]
    return hmac.compare_digest(
        hmac.digest(password, covered, hashlib.sha1), data[check.signed + 4 : check.signed + 24]
    )


def success(check: Check, address: tuple[str, int], password: bytes) -> bytes:
    """Write the answer to a check from `address`."""
    host, port = address
    v6 = ":" in host
    packed = socket.inet_pton(socket.AF_INET6 if v6 else socket.AF_INET, host)
    mask = _COOKIE + check.transaction
    mapped = struct.pack("!BBH", 0, 2 if v6 else 1, port ^ 0x2112) + bytes(
        a ^ b for a, b in zip(packed, mask, strict=False)
    )
    return _signed(_RESPONSE, check, _XOR_MAPPED, mapped, password)


def role_conflict(check: Check, password: bytes) -> bytes:
    """Write the answer to a check whose sender thinks that we control: 487 (RFC 8445 7.3.1.1)."""
    return _signed(_ERROR, check, _ERROR_CODE, b"\0\0\x04\x57Role Conflict\0\0\0", password, used=17)


def _signed(
    kind: int, check: Check, attribute: int, value: bytes, password: bytes, *, used: int = 0
) -> bytes:
    size = 4 + len(value)
    head = _COOKIE + check.transaction + _ATTRIBUTE.pack(attribute, used or len(value)) + value
    covered = _ATTRIBUTE.pack(kind, size + 24) + head
    body = head + _ATTRIBUTE.pack(_INTEGRITY, 20) + hmac.digest(password, covered, hashlib.sha1)
    message = _ATTRIBUTE.pack(kind, size + 32) + body
    return message + _ATTRIBUTE.pack(_FINGERPRINT, 4) + (zlib.crc32(message) ^ _CRC_XOR).to_bytes(4, "big")


def _fingerprint_fits(data: bytes, position: int) -> bool:
    told: int = struct.unpack_from("!I", data, position + 4)[0]
    return told == zlib.crc32(data[:position]) ^ _CRC_XOR
