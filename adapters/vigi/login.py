"""The ``doAuth`` login: a challenge in JSON, answered with SHA-256, and a token that then stands in the path.

Pure computing. The first step is TP-Link's own (FAQ 5198, 20 July 2026); the response's formula is that of the
published SDK (tp-link-vigi-sdk 0.3.0): Digest of RFC 2069 with SHA-256 over ``POST:doAuth``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from adapters.errors import RemoteProtocolError, Unsupported
from adapters.secret import Credential, Secret
from adapters.wire import values
from standards.reason import Reason

AUTH_REQUIRED = -10020
MAX_TOKEN = 512
_TOKEN = re.compile(r"^[A-Za-z0-9._~\-]+$")
CHALLENGE_BODY = json.dumps({"method": "doAuth", "params": None}, separators=(",", ":")).encode()


@dataclass(frozen=True, slots=True)
class Challenge:
    """What the device asks to be answered."""

    realm: str
    nonce: str


def challenge(told: Mapping[str, Any], operation: str) -> Challenge:
    """Read the challenge of a ``doAuth`` without parameters.

    Raises:
        Unsupported: another algorithm, or another thing to sign, than the documented ones.
        RemoteProtocolError: `not_the_protocol`: no challenge.
    """
    given = values.item(told, "authenticate")
    realm = values.item(given, "realm")
    nonce = values.item(given, "nonce")
    if (
        not isinstance(realm, str)
        or not isinstance(nonce, str)
        or not nonce
        or len(realm) + len(nonce) > 2048
    ):
        raise RemoteProtocolError(
            f"{operation}: the answer holds no challenge",
            reason=Reason.NOT_THE_PROTOCOL,
            operation=operation,
            hint="Switch on OpenAPI in the camera under Settings > Network > OpenAPI",
        )
    algorithm = values.item(given, "algorithm") or "SHA-256"
    signed = (values.item(given, "uri") or "doAuth", values.item(given, "method") or "POST")
    if str(algorithm).upper() != "SHA-256" or signed != ("doAuth", "POST"):
        raise Unsupported(
            f"{operation}: the device wants a login of another kind ({values.word(algorithm, 32)})",
            operation=operation,
            hint="Use the camera's ONVIF address instead",
        )
    return Challenge(realm, nonce)


def answer(asked: Challenge, credential: Credential) -> bytes:
    """Return the body that answers a challenge."""

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    secret = digest(f"{credential.user}:{asked.realm}:{credential.password.reveal()}")
    response = digest(f"{secret}:{asked.nonce}:{digest('POST:doAuth')}")
    params = {"nonce": asked.nonce, "response": response}
    return json.dumps({"method": "doAuth", "params": params}, separators=(",", ":")).encode()


def token(told: Mapping[str, Any]) -> Secret | None:
    """Return the token of an accepted login; None where there is none that may stand in a path."""
    given = values.item(told, "stok")
    if not isinstance(given, str) or not 0 < len(given) <= MAX_TOKEN or not _TOKEN.match(given):
        return None
    return Secret(given)


def error_code(told: Mapping[str, Any]) -> int | None:
    """Return ``errCode`` (``error_code`` in older firmware), None where the answer has none."""
    for name in ("errCode", "error_code"):
        code = values.integer(values.item(told, name))
        if code is not None:
            return code
    return None
