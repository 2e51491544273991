"""Digest as cameras speak it."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.secret import Credential, Secret
from adapters.wire.digest import MAX_CHALLENGES, DigestAuth, choose, parse_challenges

OWNER = Credential("owner", Secret("p%ss:w\u00f6rd"))
HIKVISION = 'Digest realm="IP Camera(12345)", nonce="5a1b", random="Kx2", algorithm="MD5"'


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def test_unknown_parameters_are_ignored_and_rfc_2069_is_spoken() -> None:
    """A challenge with `random` and without qop (Hikvision, quirk 1) is answered in the old form."""
    (challenge,) = parse_challenges([HIKVISION])
    value = DigestAuth(OWNER, challenge).authorization("DESCRIBE", "rtsp://camera/ch1")
    secret = md5("owner:IP Camera(12345):p%ss:w\u00f6rd")
    expected = md5(f"{secret}:5a1b:{md5('DESCRIBE:rtsp://camera/ch1')}")
    assert f'response="{expected}"' in value
    assert "random" not in value
    assert "qop" not in value
    assert "cnonce" not in value


def test_several_challenges_in_one_value_and_in_several() -> None:
    """All challenges are found, wherever the device put them, in its order."""
    one = parse_challenges(['Digest realm="a, b", nonce="n1", Basic realm="c"', "NTLM", "Digest nonce=n2"])
    assert [(c.scheme, c.realm, c.nonce) for c in one] == [
        ("digest", "a, b", "n1"),
        ("basic", "c", ""),
        ("ntlm", "", ""),
        ("digest", "", "n2"),
    ]


def test_realm_may_stand_behind_nonce_and_hold_quotes() -> None:
    """Order of parameters and escapes inside quotes do not matter."""
    (challenge,) = parse_challenges(['dIgEsT NONCE = "x" ,realm="say \\"hi\\"", qop=""'])
    assert (challenge.nonce, challenge.realm, challenge.terms.qop) == ("x", 'say "hi"', ())
    assert 'realm="say \\"hi\\""' in DigestAuth(OWNER, challenge).authorization("GET", "/")


@pytest.mark.parametrize(
    ("headers", "label"),
    [
        (['Digest nonce="a"', 'Digest nonce="b", algorithm=SHA-256'], "digest-sha256"),
        (['Basic realm="x"', 'Digest nonce="b"'], "digest-md5"),
        (['Digest nonce="a", algorithm=MD5-sess', 'Digest nonce="b", algorithm=MD5'], "digest-md5"),
        (['Digest nonce="a", algorithm=TOKEN', 'Digest nonce="b"'], "digest-md5"),
    ],
)
def test_the_strongest_answerable_challenge_is_chosen(headers: list[str], label: str) -> None:
    """SHA-256 before MD5, Digest before Basic, unknown hashes never."""
    chosen = choose(parse_challenges(headers), tls=True)
    assert chosen is not None
    assert chosen.label == label
    assert not chosen.terms.per_session


def test_first_of_equal_challenges_is_taken() -> None:
    """TP-Link's second challenge of the same kind does not work (quirk 2)."""
    chosen = choose(
        parse_challenges(['Digest realm="1", nonce="a"', 'Digest realm="2", nonce="b"']), tls=False
    )
    assert chosen is not None
    assert chosen.realm == "1"


def test_basic_in_the_clear_is_never_chosen() -> None:
    """Without TLS a camera that offers only Basic gets no credential."""
    assert choose(parse_challenges(['Basic realm="x"']), tls=False) is None
    assert choose(parse_challenges(['Digest realm="x"', 'Basic realm="x"']), tls=False) is None


def test_nonce_uses_are_counted_and_start_again_with_a_new_nonce() -> None:
    """`nc` counts requests under one nonce (RFC 7616 section 3.4) and starts again at renewal."""
    (first,) = parse_challenges(['Digest realm="r", nonce="a", qop="auth"'])
    (second,) = parse_challenges(['Digest realm="r", nonce="b", qop="auth", stale=TRUE'])
    auth = DigestAuth(OWNER, first)
    assert "nc=00000001" in auth.authorization("GET", "/")
    assert "nc=00000002" in auth.authorization("GET", "/")
    auth.renew(second)
    renewed = auth.authorization("GET", "/")
    assert "nc=00000001" in renewed
    assert 'nonce="b"' in renewed
    auth.accept_info('nextnonce="c", rspauth="0"')
    assert 'nonce="c"' in auth.authorization("GET", "/")


@pytest.mark.parametrize(
    "later",
    [
        'Digest realm="r", nonce="a", algorithm=SHA-256',
        'Digest realm="other", nonce="b", algorithm=SHA-256',
        'Digest realm="r", nonce="b", algorithm=MD5',
        'Basic realm="r"',
    ],
)
def test_refusals_and_downgrades_do_not_renew(later: str) -> None:
    """The same nonce again, another realm, a weaker hash and Basic are refusals, not renewals."""
    (first,) = parse_challenges(['Digest realm="r", nonce="a", algorithm=SHA-256'])
    (second,) = parse_challenges([later])
    auth = DigestAuth(OWNER, first)
    assert not auth.renewable(second)
    with pytest.raises(ValueError, match="does not renew"):
        auth.renew(second)


def test_md5_sess_and_auth_int() -> None:
    """The session variant mixes the nonces into the secret; auth-int covers the body."""
    (challenge,) = parse_challenges(['Digest realm="r", nonce="n", algorithm=MD5-sess, qop="auth-int"'])
    value = DigestAuth(Credential("u", Secret("p")), challenge, new_cnonce=lambda: "c").authorization(
        "PUT", "/x", b"body"
    )
    secret = md5(f"{md5('u:r:p')}:n:c")
    expected = md5(f"{secret}:n:00000001:c:auth-int:{md5('PUT:/x:' + md5('body'))}")
    assert f'response="{expected}"' in value
    assert "algorithm=MD5-sess" in value


def test_a_user_name_cannot_inject_a_header() -> None:
    """Line ends in a name or realm never reach the wire."""
    (challenge,) = parse_challenges(['Digest realm="r\r\nX: y", nonce="n"'])
    value = DigestAuth(Credential('a"\r\nX: y', Secret("p")), challenge).authorization("GET", "/")
    assert "\r" not in value
    assert "\n" not in value
    assert 'username="a\\"X: y"' in value


@given(st.lists(st.text(max_size=200), max_size=12))
def test_hostile_challenges_never_raise_and_stay_bounded(values: list[str]) -> None:
    """Whatever a device sends as challenge, parsing ends with at most a few challenges."""
    found = parse_challenges(values)
    assert len(found) <= MAX_CHALLENGES
    chosen = choose(found, tls=True)
    if chosen is not None:
        assert re.match(r"(Digest|Basic) ", DigestAuth(OWNER, chosen).authorization("GET", "/"))


def test_a_hash_kept_from_one_request_is_not_used_for_another() -> None:
    """Method and address are hashed anew as soon as one of them is another."""
    (challenge,) = parse_challenges(['Digest realm="r", nonce="n"'])
    asked = [("GET", "/a"), ("GET", "/a"), ("GET", "/b"), ("POST", "/b"), ("GET", "/a")]
    auth = DigestAuth(OWNER, challenge)

    told = [auth.authorization(method, uri) for method, uri in asked]

    assert told == [DigestAuth(OWNER, challenge).authorization(method, uri) for method, uri in asked]
