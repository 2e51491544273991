"""What went wrong with a camera, as one sentence for people: which step, what was seen, what to do."""

import re

from adapters.errors import (
    AddressRefused,
    AuthenticationFailed,
    BadTarget,
    CameraFault,
    CoolingDown,
    NotPushed,
    PermissionDenied,
    RemoteProtocolError,
    TimedOut,
    TlsFailed,
    Unreachable,
    Unsupported,
)
from adapters.wire.gate import DeviceBusy
from hub.problems import Problem
from hub.texts import Both, Texts
from standards.observation import rfc3339
from standards.reason import Reason

_ESCAPED = re.compile(r"(\\x[0-9a-f]{2})+")  # how the adapters write bytes that are no text
EXCERPT = 80  # characters of a reply shown to people

# a part of the adapter's English sentence -> key of ours under step.saw
_TARGET = (
    ("no address", "empty"),
    ("no host", "empty"),
    ("blank or a control", "blank"),
    ("scheme", "scheme"),
    ("speaks", "scheme"),
    ("port", "port"),
    ("lacks a number", "number_missing"),
    ("not an IP address", "not_ip"),
    ("not a host name", "not_name"),
)
_REFUSED = (
    ("metadata", "metadata"),
    ("one device", "not_one_device"),
    ("this machine itself", "this_machine"),
    ("networks.allow does not list", "private"),
    ("only the addresses", "public"),
)


def problem_of(error: Exception, *, step: str, peer: str, typed: str, texts: Texts) -> Problem:
    """Return the problem for an error of the adapters. `typed` is the address without its credential.

    Raises:
        TypeError: the error is not the adapters'; that is a fault of the hub and is handled as one.
    """
    where = getattr(error, "peer", "") or peer
    at = texts.both(f"step.name.{step}")

    def saw(key: str) -> Both:
        return texts.both(f"step.saw.{key}")

    match error:
        case BadTarget():
            said = {"address": typed, "saw": saw(_first(str(error), _TARGET, "other"))}
            return Problem("address_bad", said, field="address")
        case AddressRefused() if "itself listens" in str(error):
            return Problem("address_own", {"peer": where}, field="address")
        case AddressRefused():
            why = saw(_first(str(error), _REFUSED, "other_host"))
            return Problem("address_refused", {"peer": where, "why": why}, field="address")
        case NotPushed():
            return Problem("not_pushed")
        case DeviceBusy():
            return Problem("device_busy", {"peer": where})
        case CoolingDown():
            return Problem("cooling_down", {"peer": where, "until": rfc3339(error.until)}, field="password")
        case AuthenticationFailed() if not error.credential_sent:
            return Problem("login_needed", {"peer": where}, field="username")
        case AuthenticationFailed():
            return Problem("login_refused", {"peer": where, "until": ""}, field="password")
        case PermissionDenied():
            return Problem(
                "no_privilege", {"step": at, "peer": where, "saw": error.operation or saw("no_words")}
            )
        case TimedOut():
            return Problem(
                "timed_out",
                {"step": at, "peer": where, "waited_s": f"{error.waited_s:.0f}", "phase": error.phase},
                field="address",
            )
        case TlsFailed():
            return Problem(
                "tls_failed", {"step": at, "peer": where, "saw": _tail(str(error)) or saw("no_words")}
            )
        case Unreachable() if "refused the connection" in str(error):
            return Problem("connection_refused", {"step": at, "peer": where}, field="address")
        case Unreachable() if "does not resolve" in str(error) or "has no address" in str(error):
            return Problem("name_unknown", {"peer": where}, field="address")
        case Unreachable():
            key = "closed" if "close" in str(error) else "no_route"
            return Problem("unreachable", {"step": at, "peer": where, "saw": saw(key)}, field="address")
        case RemoteProtocolError():
            return _broken(error, at=at, peer=where, typed=typed, texts=texts)
        case CameraFault():
            seen = error.fault or (str(error.status) if error.status else "") or saw("no_words")
            return Problem("device_fault", {"step": at, "peer": where, "saw": seen})
        case Unsupported():
            return Problem(
                "unsupported", {"step": at, "peer": where, "saw": error.operation or saw("no_words")}
            )
        case _:
            raise TypeError(f"{type(error).__name__} is not a camera's fault") from error


def _broken(error: RemoteProtocolError, *, at: Both, peer: str, typed: str, texts: Texts) -> Problem:
    protocol = "RTSP" if typed.lower().startswith("rtsp") or "rtsp" in error.operation.lower() else "ONVIF"
    excerpt = _plain(error.excerpt)
    told = f"{error} {error.excerpt}".lower()
    web = any(mark in told for mark in ("<html", "<!doctype", "text/html"))
    if web or (protocol == "RTSP" and error.excerpt.startswith("HTTP/")):
        return Problem("html_answer", {"step": at, "peer": peer, "protocol": protocol}, field="address")
    seen: Both | str = f"“{excerpt}”" if excerpt else texts.both("step.saw.empty_reply")
    if error.reason in {Reason.NOT_THE_PROTOCOL, Reason.EMPTY_REPLY}:
        return Problem(
            "not_a_camera", {"step": at, "peer": peer, "protocol": protocol, "saw": seen}, field="address"
        )
    if not excerpt:
        seen = str(error.reason)
    return Problem("malformed_reply", {"step": at, "peer": peer, "saw": seen})


def _first(text: str, table: tuple[tuple[str, str], ...], default: str) -> str:
    return next((key for part, key in table if part in text), default)


def _tail(message: str) -> str:
    """Return what a message says after its last colon (the library's own words), bounded."""
    return _plain(message.rpartition(": ")[2]) if ": " in message else ""


def _plain(text: str) -> str:
    text = _ESCAPED.sub(" ", text)
    shown = "".join(char if char.isprintable() else " " for char in text)
    return " ".join(shown.split())[:EXCERPT]
