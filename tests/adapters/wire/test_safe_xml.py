"""XML from cameras: what is refused, what is tolerated and how that is named."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import RemoteProtocolError
from adapters.wire import xml
from standards.reason import Reason


def refused(body: bytes) -> RemoteProtocolError:
    with pytest.raises(RemoteProtocolError) as caught:
        xml.parse(body, operation="test")
    return caught.value


class TestRefused:
    @pytest.mark.parametrize(
        "body",
        [
            b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
            b'<?xml version="1.0"?>\n<!DOCTYPE a SYSTEM "http://192.0.2.1/evil.dtd"><a/>',
            b'<! DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>',
            '<?xml version="1.0" encoding="UTF-16"?><!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'.encode(
                "utf-16"
            ),
            b'<!doctype a [<!ENTITY l "lol"><!ENTITY m "&l;&l;&l;&l;&l;&l;&l;&l;&l;">]><a>&m;</a>',
        ],
    )
    def test_document_types_and_entities(self, body: bytes) -> None:
        """A document type or an entity is refused, in any encoding."""
        assert refused(body).reason is Reason.MALFORMED_XML

    def test_too_many_tags(self) -> None:
        """A document of a million elements is refused before it is parsed."""
        assert refused(b"<a>" + b"<b/>" * (xml.MAX_ELEMENTS + 1) + b"</a>").reason is Reason.MALFORMED_XML

    def test_too_long(self) -> None:
        """A document above the bound is refused."""
        assert refused(b"<a>" + b"x" * xml.MAX_BYTES + b"</a>").reason is Reason.MALFORMED_XML

    @pytest.mark.parametrize("body", [b"", b" \r\n", b"\0\0"])
    def test_nothing(self, body: bytes) -> None:
        """No content is an empty reply, not broken XML."""
        assert refused(body).reason is Reason.EMPTY_REPLY

    def test_no_xml_at_all(self) -> None:
        """Plain text is malformed XML."""
        assert refused(b"java.lang.NullPointerException at x").reason is Reason.MALFORMED_XML

    def test_an_undeclared_entity_brings_nothing_in(self) -> None:
        """A reference to an entity that nobody declared stays out of the text."""
        assert xml.text(xml.parse(b"<a>x&nbsp;y</a>").root) in {"x", "xy"}


class TestTolerated:
    @pytest.mark.parametrize(
        ("body", "quirk"),
        [
            (b"<a><ter:b>c</ter:b></a>", "undeclared_prefix"),
            (b"<a><b>c</b>", "xml_not_well_formed"),
            (b"<a><b>c</b><d>\xff\xfe</d></a>", "invalid_utf8"),
            (b"HTTP junk <a><b>c</b></a>", "garbage_before_xml"),
            (b"<a>\0<b>c</b></a>", "nul_in_xml"),
            (b"<a><b>c</b><d>\x07</d></a>", "control_characters"),
        ],
    )
    def test_is_read_and_named(self, body: bytes, quirk: str) -> None:
        """A broken document is read as far as it goes, and what was tolerated has a name."""
        document = xml.parse(body)

        assert xml.text(document.root, "b") == "c"
        assert quirk in document.quirks

    @pytest.mark.parametrize(
        "body", [b"\n <?xml version='1.0'?><a><b>c</b></a>", b"\xef\xbb\xbf<a><b>c</b></a>"]
    )
    def test_blanks_and_a_byte_order_mark_are_no_quirk(self, body: bytes) -> None:
        """Blanks or a byte order mark before the document need no tolerance."""
        document = xml.parse(body)

        assert (xml.text(document.root, "b"), document.quirks) == ("c", ())

    def test_another_encoding_is_honoured(self) -> None:
        """A declared encoding other than UTF-8 is decoded."""
        body = '<?xml version="1.0" encoding="GB2312"?><a><b>摄像机</b></a>'.encode("gb2312")

        assert xml.text(xml.parse(body).root, "b") == "摄像机"


class TestAccess:
    ROOT = xml.parse(
        b'<e:E xmlns:e="urn:e" xmlns:t="urn:t"><!-- c --><t:B t:token=" p "><t:C> x </t:C></t:B><u:B><C>y</C></u:B></e:E>'
    ).root

    def test_by_local_name(self) -> None:
        """Elements and attributes are found by local name, prefix or not."""
        assert [xml.text(b, "C") for b in xml.children(self.ROOT, "B")] == ["x", "y"]
        assert xml.attribute(xml.child(self.ROOT, "B"), "token") == "p"
        assert [xml.text(c) for c in xml.descendants(self.ROOT, "C")] == ["x", "y"]
        assert xml.namespace(self.ROOT) == "urn:e"

    def test_absence_is_empty(self) -> None:
        """What is not there is None or the empty string."""
        assert xml.child(self.ROOT, "B", "D") is None
        assert xml.text(self.ROOT, "B", "D") == ""
        assert xml.attribute(None, "x") == ""

    def test_text_is_bounded(self) -> None:
        """No text is longer than asked for."""
        assert len(xml.text(xml.parse(b"<a>" + b"x" * 9999 + b"</a>").root)) == xml.MAX_TEXT


@given(st.binary(max_size=300))
def test_any_bytes_parse_or_are_refused(body: bytes) -> None:
    """Whatever bytes come, the parser returns a document or the typed error."""
    try:
        document = xml.parse(b"<a>" + body + b"</a>")
    except RemoteProtocolError:
        return
    assert xml.local(document.root)


class TestPlainly:
    """Most documents are parsed as they come; the others take the careful way."""

    @pytest.mark.parametrize(
        "body",
        [
            b'<?xml version="1.0" encoding="UTF-16"?><a>x</a>',
            b'<?xml version="1.0" encoding="UTF-7"?><a>+ADw-b+AD4-</a>',
            "<a>x</a>".encode("utf-16-le"),
            "<a>x</a>".encode("utf-16"),
            b"<a>\xff</a>",
            b"<a><b></a>",
            b"<u:a/>",
            b"<a><!-- x --></a>",
            b"junk<a/>",
            b"<a>&unknown;</a>",
            b"",
        ],
    )
    def test_whatever_is_not_plain_is_left(self, body: bytes) -> None:
        """Another encoding, broken markup, an undeclared prefix, an entity: none of them is parsed plainly."""
        assert xml.plainly(body) is None

    @given(st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), max_size=60))
    def test_both_ways_read_the_same(self, text: str) -> None:
        """A comment sends a document the careful way, and changes nothing of what is read."""
        inside = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        plain = f'<?xml version="1.0" encoding="utf-8"?>\n<a><b x="1">{inside}</b>'

        read = xml.plainly(f"{plain}</a>".encode())

        assert read is not None
        careful = xml.parse(f"{plain}<!-- c --></a>".encode())
        assert xml.text(read, "b") == xml.text(careful.root, "b")
        assert careful.quirks == ()
