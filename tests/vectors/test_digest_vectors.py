"""Digest and Basic against the worked examples of the RFCs."""

import re

import pytest

from adapters.secret import Credential, Secret
from adapters.wire.digest import DigestAuth, choose, parse_challenges

MUFASA = Credential("Mufasa", Secret("Circle of Life"))


def answer(header: str, credential: Credential, cnonce: str, method: str, uri: str) -> dict[str, str]:
    """Answer one challenge and return the parameters of the Authorization value."""
    (challenge,) = parse_challenges([header])
    value = DigestAuth(credential, challenge, new_cnonce=lambda: cnonce).authorization(method, uri)
    assert value.startswith("Digest ")
    return {
        name: quoted or bare for name, quoted, bare in re.findall(r'([\w*]+)=(?:"([^"]*)"|([^,]+))', value)
    }


def test_rfc_2617_example() -> None:
    """RFC 2617 section 3.5: MD5 with qop=auth."""
    told = answer(
        'Digest realm="testrealm@host.com", qop="auth,auth-int", nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
        'opaque="5ccc069c403ebaf9f0171e9517f40e41"',
        Credential("Mufasa", Secret("Circle Of Life")),
        "0a4f113b",
        "GET",
        "/dir/index.html",
    )
    assert told["response"] == "6629fae49393a05397450978507c4ef1"
    assert told["nc"] == "00000001"
    assert told["qop"] == "auth"
    assert told["opaque"] == "5ccc069c403ebaf9f0171e9517f40e41"


@pytest.mark.parametrize(
    ("algorithm", "response"),
    [
        ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
        ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    ],
)
def test_rfc_7616_example(algorithm: str, response: str) -> None:
    """RFC 7616 section 3.9.1: the same request under MD5 and SHA-256."""
    told = answer(
        f'Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm={algorithm}, '
        'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", '
        'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"',
        MUFASA,
        "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
        "GET",
        "/dir/index.html",
    )
    assert told["response"] == response
    assert told["algorithm"] == algorithm


def test_rfc_7616_userhash_and_utf8() -> None:
    """RFC 7616 section 3.9.2: SHA-512-256, a name beyond ASCII, userhash.

    The RFC's own numbers were computed with SHA-512 truncated (erratum 4897); these are the corrected ones.
    """
    told = answer(
        'Digest realm="api@example.org", qop="auth", algorithm=SHA-512-256, '
        'nonce="5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", '
        'opaque="HRPCssKJSGjCrkzDg8OhwpzCiGPChXYjwrI2QmXDnsOS", charset=UTF-8, userhash=true',
        Credential("J\u00e4s\u00f8n Doe", Secret("Secret, or not?")),
        "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        "GET",
        "/doe.json",
    )
    assert told["username"] == "793263caabb707a56211940d90411ea4a575adeccb7e360aeb624ed06ece9b0b"
    assert told["response"] == "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5"
    assert told["userhash"] == "true"


def test_rfc_7617_basic_only_over_tls() -> None:
    """RFC 7617 section 2: the Aladdin example, answered over TLS and never in the clear."""
    challenges = parse_challenges(['Basic realm="WallyWorld"'])
    assert choose(challenges, tls=False) is None
    chosen = choose(challenges, tls=True)
    assert chosen is not None
    auth = DigestAuth(Credential("Aladdin", Secret("open sesame")), chosen)
    assert auth.authorization("GET", "/") == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
