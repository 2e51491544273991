"""What came back: one HTTP reply read as the answer to one operation, or the typed reason why it is none."""

import re
from dataclasses import dataclass

from lxml import etree

from adapters.errors import AdapterError, CameraFault, RemoteProtocolError, Unsupported
from adapters.onvif.operations import Operation
from adapters.wire import xml
from adapters.wire.digest import Challenge, parse_challenges
from adapters.wire.http import HttpReply
from standards.reason import Reason

_NOT_AUTHORISED = frozenset(
    {
        "NotAuthorized",
        "SenderNotAuthorized",
        "FailedAuthentication",
        "FailedCheck",
        "InvalidSecurity",
        "InvalidSecurityToken",
        "SecurityTokenUnavailable",
    }
)
_END = re.compile(rb"</(?:[\w.\-]+:)?Envelope\s*>\s*\Z")
_NOT_SUPPORTED = frozenset({"ActionNotSupported", "OptionalActionNotImplemented", "NotImplemented"})
_NOT_AUTHORISED_TEXT = re.compile(
    r"not\s+authori[sz]ed|unauthori[sz]ed|authority\s+fail|authentication\s+fail|wrong\s+password|attempts?\s+left",
    re.IGNORECASE,
)
_NOT_SUPPORTED_TEXT = re.compile(
    r"not\s+(?:implemented|supported|recogni[sz]ed)|unknown\s+(?:action|method)", re.IGNORECASE
)
_LOCKED_TEXT = re.compile(r"\block(?:ed)?\b|attempts?\s+left|too\s+many", re.IGNORECASE)


class Challenged(AdapterError):
    """The camera wants a login for this operation (or refused the one it got)."""

    code = "login_refused"
    reason = Reason.REFUSED

    def __init__(
        self,
        operation: Operation,
        *,
        peer: str,
        status: int,
        challenges: tuple[Challenge, ...],
        fault: str,
        locked: bool,
        http: HttpReply,
    ) -> None:
        how = f"HTTP {status}" + (f" and {fault}" if fault else "")
        super().__init__(f"{operation}: {peer} refuses with {how}", peer=peer, operation=str(operation))
        self.status = status
        self.challenges = challenges
        self.fault = fault
        self.locked = locked
        self.http = http

    @property
    def schemes(self) -> tuple[str, ...]:
        """Return the schemes this refusal offers: those of its HTTP challenges, else wsse for a SOAP refusal."""
        if self.challenges:
            return tuple(dict.fromkeys(challenge.label for challenge in self.challenges))
        return ("wsse",) if self.fault or self.status == 401 else ()

    @property
    def refusal(self) -> "Refusal":
        """Return what to remember of it."""
        return Refusal(self.peer, self.status, self.challenges, self.schemes)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a refusal told, without the exception that said so: an exception keeps the frames that it went through."""

    peer: str
    status: int
    challenges: tuple[Challenge, ...]
    schemes: tuple[str, ...]  # as `Challenged.schemes`


@dataclass(frozen=True, slots=True)
class Reply:
    """A positive answer."""

    operation: Operation
    http: HttpReply
    root: etree._Element
    content: tuple[etree._Element, ...]  # the elements in the Body
    quirks: tuple[str, ...]

    @property
    def body(self) -> etree._Element | None:
        """Return the response element, or the whole Body where response elements repeat (quirk 41)."""
        return self.content[0] if len(self.content) == 1 else xml.child(self.root, "Body")


def complete(tail: bytes) -> bool:
    """Tell from its last bytes that a SOAP reply has ended, whatever Content-Length says (quirk 29)."""
    return _END.search(tail) is not None


def read(operation: Operation, http: HttpReply, peer: str) -> Reply:
    """Read one HTTP reply as the answer to `operation`.

    The body decides, not the status: faults come with 200, 400, 401 and 500 (quirks 38-40, 69, 70).

    Raises:
        Challenged: a login is wanted, by HTTP 401 or 403 or by a SOAP fault.
        Unsupported: the device says that it does not know the operation.
        CameraFault: another fault, or an error status without SOAP.
        RemoteProtocolError: `empty_reply`, `malformed_xml`, `malformed_http`, or `not_the_protocol`.
    """
    challenges = parse_challenges(http.all("www-authenticate")) if http.status == 401 else ()
    document, why = _document(operation, http, peer)
    root = document.root if document is not None else None
    envelope = root if root is not None and xml.local(root) == "Envelope" else None
    body = xml.child(envelope, "Body")
    fault = _fault(body) if b"Fault" in http.body or b"\0" in http.body else None  # NUL: UTF-16
    told = f"{fault[0]} {fault[1]}".strip() if fault else ""
    refuses = fault is not None and (
        not _NOT_AUTHORISED.isdisjoint(fault[0].split("/")) or bool(_NOT_AUTHORISED_TEXT.search(fault[1]))
    )
    if http.status in {401, 403} or refuses:
        raise Challenged(
            operation,
            peer=peer,
            status=http.status,
            challenges=challenges,
            fault=told[:200],
            locked=_LOCKED_TEXT.search(told or http.body[:2000].decode("utf-8", "replace")) is not None,
            http=http,
        )
    if envelope is None or document is None:
        raise why or _not_soap(operation, http, peer)
    if fault is not None:
        if not _NOT_SUPPORTED.isdisjoint(fault[0].split("/")) or _NOT_SUPPORTED_TEXT.search(fault[1]):
            raise Unsupported(
                f"{operation}: {peer} says that it does not support this", peer=peer, operation=str(operation)
            )
        raise CameraFault(
            f"{operation}: {peer} answers with the fault {told[:200] or 'without a name'}",
            fault=told[:200],
            status=http.status,
            peer=peer,
            operation=str(operation),
        )
    content = tuple(xml.children(body))
    quirks = (*http.quirks, *document.quirks)
    if not content:
        raise RemoteProtocolError(
            f"{operation}: {peer} answers with an empty SOAP body",
            reason=Reason.EMPTY_REPLY,
            peer=peer,
            operation=str(operation),
        )
    if "xml_not_well_formed" in quirks and not complete(http.body[-256:]):
        raise RemoteProtocolError(
            f"{operation}: the reply of {peer} breaks off after {len(http.body)} bytes",
            reason=Reason.MALFORMED_HTTP,
            peer=peer,
            operation=str(operation),
            hint="Restart the camera or update its firmware",
        )
    named = [xml.local(element) for element in content]
    if operation.response not in named:
        raise RemoteProtocolError(
            f"{operation}: {peer} answers with <{named[0][:40]}> instead of <{operation.response}>",
            reason=Reason.MALFORMED_XML,
            peer=peer,
            operation=str(operation),
        )
    if len(content) > 1:
        quirks += ("repeated_response_elements",)
    if http.status != 200:
        quirks += (f"answer_with_status_{http.status}",)
    return Reply(operation, http, envelope, content, tuple(dict.fromkeys(quirks)) if quirks else ())


def _document(
    operation: Operation, http: HttpReply, peer: str
) -> tuple[xml.Document | None, AdapterError | None]:
    """Return the parsed body, or the error that says why there is none to parse."""
    root = xml.plainly(http.body)
    if root is not None:
        return xml.Document(root), None
    head = http.body[:4096].lower()
    if b"<html" in head or b"<!doctype html" in head or http.media_type == "text/html":
        return None, None
    if http.body.strip() and b"<" not in head:
        return None, None
    try:
        return xml.parse(http.body, operation=operation.label, peer=peer), None
    except RemoteProtocolError as error:
        return None, error if http.status == 200 or error.reason is Reason.MALFORMED_XML else None


def _fault(body: etree._Element | None) -> tuple[str, str] | None:
    """Return (codes joined by /, reason text) of a SOAP 1.2 or 1.1 fault, or None."""
    fault = next(xml.descendants(body, "Fault"), None)
    if fault is None:
        return None
    codes = [xml.text(value, limit=80) for value in xml.descendants(xml.child(fault, "Code"), "Value")]
    codes += [xml.text(fault, "faultcode", limit=80)]
    names = [code.rpartition(":")[2] for code in codes if code]
    texts = [xml.text(text, limit=200) for text in xml.descendants(fault, "Text", "faultstring")]
    return "/".join(names[-3:]), " ".join(text for text in texts if text)[:300]


def _not_soap(operation: Operation, http: HttpReply, peer: str) -> AdapterError:
    """Return what an HTTP reply without SOAP means."""
    if http.status >= 500 and http.status != 501:
        return CameraFault(
            f"{operation}: {peer} answers with HTTP {http.status} and no SOAP",
            fault=f"HTTP {http.status}",
            status=http.status,
            peer=peer,
            operation=str(operation),
        )
    what = http.media_type or "no media type"
    return RemoteProtocolError(
        f"{operation}: {peer} answers over HTTP, but not with ONVIF (HTTP {http.status}, {what})",
        reason=Reason.NOT_THE_PROTOCOL,
        peer=peer,
        operation=str(operation),
        hint="Check that ONVIF is switched on in the camera, and the port and path of its ONVIF service",
    )
