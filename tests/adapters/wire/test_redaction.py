"""What must never be written down is taken out of logs, errors and excerpts."""

import hashlib

import pytest

from adapters.secret import Secret
from adapters.wire.redaction import DOTS, Redactor

SECRET = "Pa55w0rd/!"


@pytest.mark.parametrize(
    "text",
    [
        f"rtsp://admin:{SECRET}@192.0.2.1:554/x",
        f"http://admin:a@b:{SECRET}@192.0.2.1/x",
        f'Authorization: Digest username="admin", response="{SECRET}"',
        f"GET / HTTP/1.1\r\nauthorization: Basic {SECRET}\r\nHost: x",
        f"Set-Cookie: WebSession={SECRET}; path=/",
        f'<wsse:Password Type="...#PasswordDigest">{SECRET}</wsse:Password>',
        f"<Password>{SECRET}",
        f"<wsse:Nonce EncodingType='x'>{SECRET}</wsse:Nonce>",
        f"/user=admin_password={SECRET}",
        f"/cgi?user=admin&pwd={SECRET}&x=1",
        f"?token={SECRET}",
        f'{{"password": "{SECRET}", "user": "a"}}',
        f'nonce="{SECRET}", qop=auth',
    ],
)
def test_patterns_take_secrets_out(text: str) -> None:
    """Every place where a camera or a URL carries a secret is covered."""
    redacted = Redactor().text(text)

    assert SECRET not in redacted
    assert SECRET[:6] not in redacted
    assert DOTS in redacted


def test_what_is_no_secret_stays() -> None:
    """Media profile tokens, addresses and prose are evidence and stay."""
    text = '<trt:Profiles token="Profile_1"><tt:UseCount>2</tt:UseCount></trt:Profiles> at http://192.0.2.1:80/onvif/x'

    assert Redactor().text(text) == text


def test_known_secrets_are_taken_out_anywhere() -> None:
    """The supplied password is taken out wherever it stands, also percent-encoded."""
    redacted = Redactor((Secret(SECRET),)).text(f"echo {SECRET} and Pa55w0rd%2F%21 end")

    assert redacted == f"echo {DOTS} and {DOTS} end"


def test_identity_is_taken_out_when_asked() -> None:
    """Serial numbers and hardware addresses go only for what leaves the hub."""
    text = "<tds:SerialNumber>ACCC8E000000</tds:SerialNumber> 00:40:8c:aa:bb:cc"

    assert Redactor().text(text) == text
    assert "ACCC8E" not in Redactor(identity=True).text(text)
    assert "aa:bb" not in Redactor(identity=True).text(text)


def test_an_excerpt_is_bounded_redacted_and_hashed() -> None:
    """The excerpt is printable, at most `limit` long, redacted before it is cut, with the hash of what is kept."""
    body = b"\x00<a>" + b"y" * 30 + b"<Password>" + SECRET.encode() + b"</Password>" + b"z" * 9000
    excerpt, digest = Redactor().excerpt(body, 60)

    assert len(excerpt) == 60
    assert SECRET[:4] not in excerpt
    assert excerpt.isprintable()
    assert digest == hashlib.sha256(excerpt.encode()).hexdigest()


def test_log_events_are_redacted_by_key_and_by_value() -> None:
    """A structlog event loses secrets in named keys, in texts and in containers."""
    event = {
        "event": "onvif.login.refused",
        "password": SECRET,
        "url": f"rtsp://u:{SECRET}@h/",
        "headers": {"Authorization": SECRET},
        "tries": 1,
        "list": [f"pwd={SECRET}"],
    }
    redacted = Redactor().processor(None, "info", event)

    assert SECRET not in str(redacted)
    assert redacted["event"] == "onvif.login.refused"
    assert redacted["tries"] == 1
