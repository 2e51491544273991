"""Does a service still speak TLS 1.0 or 1.1 (SEC-09)? One ClientHello without a credential, its answer, and goodbye.

The library that carries our TLS may have forgotten the old versions, so the hello is made by hand (RFC 4346 section
7.4.1.2, RFC 2246 where older): TLS 1.1 at most, many ciphers, no server name, no fallback signal. A server picks its
own highest version up to ours, so that one connection asks for both. Nothing follows the answer: no key is agreed on.
"""

import secrets
import struct
from dataclasses import dataclass
from typing import Final

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.errors import AdapterError
from adapters.target import Target
from adapters.wire.dialer import Dialer
from standards.observation import Method, NotObserved, Observation, Observed, Provenance
from standards.reason import Reason

FACT: Final = "tls.legacy_refused"
SOURCE: Final = "tls/1"
OPERATION: Final = "TLS 1.1 ClientHello"
ANSWER_S: Final = 3.0  # for connecting and the first bytes of an answer
LEAST_S: Final = 0.5  # with less than this left nothing is begun
MAX_ANSWER: Final = 512  # bytes; a ServerHello tells its version in its first eleven

_OLD: Final = {0x0300: "SSL 3.0", 0x0301: "TLS 1.0", 0x0302: "TLS 1.1"}
_OLD_NAMES: Final = frozenset({"TLSv1", "TLSv1.1", "SSLv3"})  # as `TlsSeen.version` names them
_ALERT, _HANDSHAKE = 21, 22
_SERVER_HELLO = 2
_WARNING = 1
_CLOSE_NOTIFY = 0
# Alerts that say no to what was offered (RFC 5246 section 7.2.2); any other one is about something else.
_REFUSALS: Final = {40: "handshake_failure", 70: "protocol_version", 71: "insufficient_security"}
# From RFC 4346, 4492, 5932: ECDHE, DHE and RSA with AES, Camellia, 3DES, RC4 and DES, and the signal of RFC 5746.
_CIPHERS: Final = (
    *(0xC014, 0xC013, 0xC00A, 0xC009, 0x0039, 0x0033, 0x0038, 0x0032, 0x0035, 0x002F),
    *(0x0088, 0x0045, 0x0084, 0x0041, 0xC012, 0xC008, 0x0016, 0x0013, 0x000A),
    *(0xC011, 0xC007, 0x0005, 0x0004, 0x0015, 0x0009, 0x00FF),
)
_GROUPS: Final = (29, 23, 24, 25)  # X25519, P-256, P-384, P-521


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to the hello. `refused` is None where that does not decide; `reason` is the word for it."""

    refused: bool | None
    said: str
    reason: Reason = Reason.TLS_FAILED


def client_hello() -> bytes:
    """Return one record with a ClientHello that offers TLS 1.1 and, by its rules, everything before it."""
    ciphers = struct.pack(f"!H{len(_CIPHERS)}H", 2 * len(_CIPHERS), *_CIPHERS)
    groups = struct.pack(f"!HHH{len(_GROUPS)}H", 10, 2 * len(_GROUPS) + 2, 2 * len(_GROUPS), *_GROUPS)
    formats = struct.pack("!HHBB", 11, 2, 1, 0)  # uncompressed points
    extensions = groups + formats
    body = (
        struct.pack("!H", 0x0302)
        + secrets.token_bytes(32)
        + b"\0"  # no session is resumed
        + ciphers
        + b"\1\0"  # no compression
        + struct.pack("!H", len(extensions))
        + extensions
    )
    message = struct.pack("!BBH", 1, 0, len(body)) + body
    # Old servers want to see TLS 1.0 in the record's head (RFC 5246 appendix E.1).
    return struct.pack("!BHH", _HANDSHAKE, 0x0301, len(message)) + message


def read_answer(data: bytes) -> Answer | None:
    """Read what came so far; None where more is needed. Never raises: `data` is whatever a stranger sends.

    A ServerHello of an old version accepts, an alert about version or ciphers refuses (RFC 5246 sections 7.2, 7.4.1.3).
    """
    told = {_ALERT: b"", _HANDSHAKE: b""}  # a message may be spread over several records
    position = 0
    while position < len(data):
        kind = data[position]
        if kind not in told:
            return Answer(None, "what answers is not TLS", Reason.NOT_THE_PROTOCOL)
        if position + 5 > len(data):
            break
        major, length = data[position + 1], data[position + 3] << 8 | data[position + 4]
        if major != 3 or not 0 < length <= 1 << 14:
            return Answer(None, "what answers is not TLS", Reason.NOT_THE_PROTOCOL)
        told[kind] += data[position + 5 : position + 5 + length]
        position += 5 + length
        answer = _alert(told[_ALERT]) or _server_hello(told[_HANDSHAKE])
        if answer is not None:
            return answer
    if len(data) >= MAX_ANSWER:
        return Answer(None, f"no ServerHello in {MAX_ANSWER} bytes")
    return None


def _alert(data: bytes) -> Answer | None:
    for level, description in zip(data[::2], data[1::2], strict=False):
        if description in _REFUSALS:
            return Answer(True, f"alert {_REFUSALS[description]}")
        if description == _CLOSE_NOTIFY:
            return Answer(True, "alert close_notify")
        if level != _WARNING:  # a warning, such as that a name is missing, stops nothing
            return Answer(None, f"alert {description}, which is not about the version", Reason.DEVICE_FAULT)
    return None


def _server_hello(data: bytes) -> Answer | None:
    if data and data[0] != _SERVER_HELLO:
        return Answer(None, f"handshake message {data[0]} instead of a ServerHello")
    if len(data) < 6:
        return None
    chosen = data[4] << 8 | data[5]
    if chosen in _OLD:
        return Answer(False, f"ServerHello of {_OLD[chosen]}")
    return Answer(None, f"ServerHello of version {chosen:#06x}, which was not offered")


async def ask_legacy(dialer: Dialer, host: str, port: int, deadline: Deadline) -> Answer:
    """Open one connection, say hello with TLS 1.1 at most and return what became of it.

    Raises:
        AddressRefused, Unreachable, TimedOut: as the dialer says.
    """
    reader, writer = await dialer.connect(host, port, deadline, limit=MAX_ANSWER)
    heard = b""
    try:
        async with deadline.phase("TLS answer", ANSWER_S, peer=f"{host}:{port}"):
            try:
                writer.write(client_hello())
                while (answer := read_answer(heard)) is None:
                    more = await reader.read(MAX_ANSWER - len(heard))
                    if not more:
                        break
                    heard += more
            except ConnectionError:
                answer = None
    finally:
        writer.transport.abort()
    if answer is not None:
        return answer
    if heard:
        return Answer(None, "the connection was closed within the answer", Reason.EMPTY_REPLY)
    # Some stacks send no alert: they hang up on a version that they do not have.
    return Answer(True, "the connection was closed upon the hello")


async def legacy_refused(
    dialer: Dialer, clock: Clock, target: Target, deadline: Deadline, *, spoken: str
) -> Observation:
    """Return ``tls.legacy_refused`` of a service that has just spoken TLS. Never raises for a camera's fault.

    `spoken` is the version that it agreed on with us (`TlsSeen.version`): an old one answers the question by itself.
    """

    def told(operation: str, excerpt: str = "") -> Provenance:
        return Provenance(Method.TEST, SOURCE, operation, target.authority, clock.now(), excerpt=excerpt)

    if spoken in _OLD_NAMES:
        return Observed(False, told("TLS handshake", spoken))
    if deadline.remaining_s() < LEAST_S:
        return NotObserved(Reason.NOT_ASKED, "no time was left for it", told(OPERATION))
    try:
        answer = await ask_legacy(dialer, target.host, target.port, deadline.sooner(ANSWER_S))
    except AdapterError as error:
        return NotObserved(error.reason, str(error), told(OPERATION))
    if answer.refused is None:
        return NotObserved(answer.reason, answer.said, told(OPERATION, answer.said))
    return Observed(answer.refused, told(OPERATION, answer.said))
