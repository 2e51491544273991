"""The server's side of Digest, against the published examples."""

import pytest

from adapters.clock import SystemClock
from hub.simulator.digest import DigestVerifier, Login

# RFC 7616 section 3.9.1
RFC_7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", algorithm={}, '
    'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)
ANSWERS = {
    "MD5": "8ca523f5e9506fed4657c9700eebdbec",
    "SHA-256": "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
}


def verifier():
    return DigestVerifier(SystemClock(), "http-auth@example.org", ("SHA-256", "MD5"), None)


@pytest.mark.parametrize("algorithm", ANSWERS)
def test_knows_the_published_answers(algorithm):
    """The RFC's answer is right (its nonce is not ours, hence stale); one changed digit makes it wrong."""
    header = RFC_7616.format(algorithm, ANSWERS[algorithm])
    changed = RFC_7616.format(algorithm, "0" + ANSWERS[algorithm][1:])
    judge = verifier().verify
    assert judge(header, "GET", "/dir/index.html", "Mufasa", "Circle of Life") is Login.STALE
    assert judge(changed, "GET", "/dir/index.html", "Mufasa", "Circle of Life") is Login.REFUSED
    assert judge(header, "POST", "/dir/index.html", "Mufasa", "Circle of Life") is Login.REFUSED
    assert judge(header, "GET", "/dir/other", "Mufasa", "Circle of Life") is Login.REFUSED


@pytest.mark.parametrize(
    "header",
    ["Digest", "Digest ", "Basic YTpi", "Bearer x", 'Digest username="Mufasa"', "Digest " + "x" * 100_000],
)
def test_refuses_what_is_no_digest(header):
    """A credential of another kind, or in pieces, is refused; none at all is none."""
    assert verifier().verify(header, "GET", "/", "Mufasa", "x") is Login.REFUSED
    assert verifier().verify(None, "GET", "/", "Mufasa", "x") is Login.NONE


def test_sha256_without_qop_is_refused():
    """The answer without qop belongs to RFC 2069, which knows MD5 only."""
    header = RFC_7616.format("SHA-256", "0" * 64).replace("qop=auth, ", "")
    assert verifier().verify(header, "GET", "/dir/index.html", "Mufasa", "Circle of Life") is Login.REFUSED
