"""SOAP 1.2 and WS-UsernameToken, the camera's side."""

import base64
import binascii
import hashlib
import hmac
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from lxml import etree

from hub.simulator.digest import Login

if TYPE_CHECKING:
    from hub.simulator.device import Device

ENVELOPE = "http://www.w3.org/2003/05/soap-envelope"
DEVICE = "http://www.onvif.org/ver10/device/wsdl"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
MEDIA2 = "http://www.onvif.org/ver20/media/wsdl"
EVENTS = "http://www.onvif.org/ver10/events/wsdl"
PTZ = "http://www.onvif.org/ver20/ptz/wsdl"
SCHEMA = "http://www.onvif.org/ver10/schema"
NOTIFICATION = "http://docs.oasis-open.org/wsn/b-2"
_SECURITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
_UTILITY = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
_DIGEST = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#PasswordDigest"
_HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    f'<env:Envelope xmlns:env="{ENVELOPE}" xmlns:ter="http://www.onvif.org/ver10/error"'
    f' xmlns:tt="{SCHEMA}" xmlns:tds="{DEVICE}" xmlns:trt="{MEDIA}" xmlns:tr2="{MEDIA2}" xmlns:tev="{EVENTS}"'
    f' xmlns:tptz="{PTZ}" xmlns:wsnt="{NOTIFICATION}" xmlns:wsa="http://www.w3.org/2005/08/addressing"'
    ' xmlns:wstop="http://docs.oasis-open.org/wsn/t-1" xmlns:tns1="http://www.onvif.org/ver10/topics"'
    ' xmlns:xs="http://www.w3.org/2001/XMLSchema">'
    "<env:Body>"
)
_TAIL = "</env:Body></env:Envelope>"
_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Call:
    """One operation that was asked for."""

    namespace: str
    operation: str
    element: "etree._Element"
    token: "etree._Element | None"  # wsse:UsernameToken

    def argument(self, name: str) -> str:
        """Return the text of a child element, "" where there is none."""
        return (self.element.findtext(f"{{{self.namespace}}}{name}") or "").strip()

    def arguments(self, name: str) -> list[str]:
        """Return the texts of all children of a name."""
        return [(found.text or "").strip() for found in self.element.findall(f"{{{self.namespace}}}{name}")]


class SoapFault(Exception):
    """An answer that is a fault. `status` is the HTTP status (SOAP 1.2 part 2 table 20; ONVIF Core 5.9.1)."""

    def __init__(self, status: int, code: str, subcodes: tuple[str, ...], reason: str) -> None:
        super().__init__(reason)
        self.status = status
        inner = ""
        for subcode in reversed(subcodes):
            inner = f"<env:Subcode><env:Value>{subcode}</env:Value>{inner}</env:Subcode>"
        self.body = (
            f"{_HEAD}<env:Fault><env:Code><env:Value>env:{code}</env:Value>{inner}</env:Code>"
            f'<env:Reason><env:Text xml:lang="en">{escape(reason)}</env:Text></env:Reason></env:Fault>{_TAIL}'
        ).encode()


def not_authorized(status: int = 400) -> SoapFault:
    """Return the fault of a refused or missing login."""
    return SoapFault(status, "Sender", ("ter:NotAuthorized",), "Sender not authorized")


def not_supported(operation: str) -> SoapFault:
    """Return the fault of an operation that the device does not have."""
    return SoapFault(500, "Receiver", ("ter:ActionNotSupported",), f"{operation} is not supported")


def envelope(body: str) -> bytes:
    """Return a whole reply."""
    return f"{_HEAD}{body}{_TAIL}".encode()


def parse(body: bytes) -> Call:
    """Read a request.

    Raises:
        SoapFault: it is not a SOAP 1.2 request.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise SoapFault(400, "Sender", ("ter:WellFormed",), "The request is not well-formed XML") from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise SoapFault(400, "Sender", ("ter:WellFormed",), "A document type is not taken")
    if root.tag != f"{{{ENVELOPE}}}Envelope":
        raise SoapFault(500, "VersionMismatch", (), "A SOAP 1.2 envelope is needed")
    found = root.find(f"{{{ENVELOPE}}}Body")
    first = next(
        (child for child in (found if found is not None else ()) if isinstance(child.tag, str)), None
    )
    if first is None:
        raise SoapFault(400, "Sender", ("ter:WellFormed",), "The body is empty")
    name = etree.QName(first)
    token = root.find(f"{{{ENVELOPE}}}Header/{{{_SECURITY}}}Security/{{{_SECURITY}}}UsernameToken")
    return Call(name.namespace or "", name.localname, first, token)


class TokenVerifier:
    """Verifies WS-UsernameToken with PasswordDigest (WSS UsernameToken Profile 1.0; ONVIF Core 5.9.2)."""

    def __init__(self, device: "Device", age_s: float) -> None:
        self._device = device
        self._age_s = age_s
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    def judge(self, token: "etree._Element | None") -> Login:
        """Judge and count the token of one request; it must be made by the camera's own clock."""
        if token is None:
            return Login.NONE
        counters = self._device.counters
        counters.credentialed += 1
        if self._device.refuse_all or not self._right(token):
            counters.refused += 1
            return Login.REFUSED
        return Login.ACCEPTED

    def _right(self, token: "etree._Element") -> bool:
        password = token.find(f"{{{_SECURITY}}}Password")
        nonce_text = token.findtext(f"{{{_SECURITY}}}Nonce") or ""
        created = (token.findtext(f"{{{_UTILITY}}}Created") or "").strip()
        if password is None or password.get("Type") != _DIGEST or not nonce_text or not created:
            return False
        try:
            nonce = base64.b64decode(nonce_text.strip(), validate=True)
            made_at = datetime.fromisoformat(created)
        except (binascii.Error, ValueError):
            return False
        if made_at.tzinfo is None:
            made_at = made_at.replace(tzinfo=UTC)
        if abs((made_at - self._device.now()).total_seconds()) > self._age_s:
            return False
        raw = nonce + created.encode() + self._device.password.encode()
        digest = base64.b64encode(hashlib.sha1(raw, usedforsecurity=False).digest())
        user = (token.findtext(f"{{{_SECURITY}}}Username") or "").strip()
        if user != self._device.user or not hmac.compare_digest(
            digest, (password.text or "").strip().encode()
        ):
            return False
        if nonce in self._seen:
            return False  # a replay
        self._seen[nonce] = None
        while len(self._seen) > _MAX_TOKENS:
            self._seen.popitem(last=False)
        return True
