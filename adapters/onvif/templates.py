"""Byte templates: the SOAP 1.2 envelope, the WS-Security header, and media2, which the packaged WSDLs lack.

Everything that comes from outside is escaped. Passwords go out only as a digest (WS-UsernameToken profile 1.0):
PasswordText is not written here at all.
"""

import base64
import hashlib
from datetime import UTC, datetime
from xml.sax.saxutils import escape

from adapters.secret import Credential

_OPEN = (
    b'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
)
_WSSE = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_MEDIA2 = 'xmlns="http://www.onvif.org/ver20/media/wsdl"'


def envelope(body: bytes, header: bytes = b"") -> bytes:
    """Return the whole envelope around one body element."""
    head = b"<s:Header>" + header + b"</s:Header>" if header else b""
    return _OPEN + head + b"<s:Body>" + body + b"</s:Body></s:Envelope>"


def username_token(credential: Credential, created: datetime, nonce: bytes) -> bytes:
    """Return the Security header: digest = Base64(SHA-1(nonce + created + password)).

    `created` is the device's time. It is written with Z: Hikvision refuses ``+00:00`` (quirk 7).
    """
    moment = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    digest = hashlib.sha1(
        nonce + moment.encode() + credential.password.reveal().encode(), usedforsecurity=False
    ).digest()
    return (
        f'<w:Security s:mustUnderstand="1" xmlns:w="{_WSSE}wssecurity-secext-1.0.xsd" '
        f'xmlns:u="{_WSSE}wssecurity-utility-1.0.xsd"><w:UsernameToken>'
        f"<w:Username>{escape(credential.user)}</w:Username>"
        f'<w:Password Type="{_WSSE}username-token-profile-1.0#PasswordDigest">'
        f"{base64.b64encode(digest).decode()}</w:Password>"
        f'<w:Nonce EncodingType="{_WSSE}soap-message-security-1.0#Base64Binary">'
        f"{base64.b64encode(nonce).decode()}</w:Nonce>"
        f"<u:Created>{moment}</u:Created></w:UsernameToken></w:Security>"
    ).encode()


def media2_get_profiles(*types: str) -> bytes:
    """Return media2 GetProfiles asking for configurations of these types (``All``, ``VideoEncoder``, ...)."""
    wanted = "".join(f"<Type>{escape(kind)}</Type>" for kind in types)
    return f"<GetProfiles {_MEDIA2}>{wanted}</GetProfiles>".encode()


def media2_get_encoders(media_profile_token: str) -> bytes:
    """Return media2 GetVideoEncoderConfigurations for one MediaProfile."""
    token = escape(media_profile_token)
    return (
        f"<GetVideoEncoderConfigurations {_MEDIA2}><ProfileToken>{token}</ProfileToken>"
        "</GetVideoEncoderConfigurations>"
    ).encode()


def media2_get_stream_uri(media_profile_token: str, protocol: str = "RTSP") -> bytes:
    """Return media2 GetStreamUri."""
    token = escape(media_profile_token)
    return (
        f"<GetStreamUri {_MEDIA2}><Protocol>{escape(protocol)}</Protocol>"
        f"<ProfileToken>{token}</ProfileToken></GetStreamUri>"
    ).encode()


def media2_get_snapshot_uri(media_profile_token: str) -> bytes:
    """Return media2 GetSnapshotUri."""
    token = escape(media_profile_token)
    return f"<GetSnapshotUri {_MEDIA2}><ProfileToken>{token}</ProfileToken></GetSnapshotUri>".encode()
