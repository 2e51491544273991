"""The words that spare a search by pattern: with them and without them, the same is taken out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.wire import redaction
from adapters.wire.redaction import Redactor

PIECES = st.sampled_from(
    [
        *(word for keys in redaction.KEYS.values() for word in keys.split("|")),
        *(
            "Authorization: ",
            "Set-Cookie=",
            "www-authenticate :",
            "Digest ",
            "BASIC ",
            "Bearer  ",
            "stok=",
            "?token=",
        ),
        *(
            "http://",
            "rtsp:/",
            "@",
            "=",
            ":",
            " = ",
            '"',
            "'",
            "<",
            "</",
            ">",
            "/>",
            "<tt:",
            "_",
            "&key=",
            ";",
            ",",
            "\n",
        ),
        *(
            "Response",
            "response=",
            "re\u017fponse=",
            "\u212aey",
            "d\u0131gest ",
            "\u0130",
            "\u1e9e",
            "\ufffd",
            "\u00a0",
            "\u3000",
            "auth",
            "stok",
            "response",
            "\u2022",
        ),
        *("YWRtaW46MTIzNDU2", "abcdefgh12345678", "admin", "7", "\x1f", "\t"),
    ]
)


@pytest.mark.long
@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(PIECES, PIECES.map(str.upper), st.text(max_size=3)), max_size=14).map("".join))
def test_the_words_spare_searches_and_nothing_else(text: str) -> None:
    """What the patterns take out of a text does not depend on the words that are looked for first."""
    plain = text
    for rule in redaction._PATTERNS:
        plain = rule.pattern.sub(rule.replacement, plain)

    assert Redactor().text(text) == plain


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_control_characters_are_seen_in_any_bytes(body: bytes) -> None:
    """The short way for plain ASCII shows the same as the long way."""
    shown, _digest = Redactor().excerpt(body)

    assert redaction._CONTROL.search(shown) is None
