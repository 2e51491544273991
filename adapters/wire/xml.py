"""XML from cameras: parsed without entities, document types or network, read by local names.

Cameras send undeclared prefixes, broken UTF-8 and text around the document; all of that is read and named as a
quirk. What could harm the reader (document types, entities, a million elements) is refused before parsing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from lxml import etree

from adapters.errors import RemoteProtocolError
from standards.reason import Reason

MAX_BYTES = 4 << 20
MAX_ELEMENTS = 100_000  # start and end tags; a 64-channel recorder's GetProfiles has about 20,000
MAX_TEXT = 4096  # characters kept of one element's text

_DOCTYPE = re.compile(rb"<!\s*(?:DOCTYPE|ENTITY|ELEMENT|ATTLIST)", re.IGNORECASE)
_DECLARED_ENCODING = re.compile(rb"<\?xml[^>]{0,100}?encoding\s*=\s*[\"']([A-Za-z0-9._\-]{1,40})[\"']")
_PLAIN_DECLARATION = re.compile(
    rb"<\?xml[ \t\r\n]+version=[\"'][0-9.]{1,5}[\"']"
    rb"(?:[ \t\r\n]+encoding=[\"'](?:[Uu][Tt][Ff]-8|[Uu][Ss]-[Aa][Ss][Cc][Ii][Ii])[\"'])?"
    rb"(?:[ \t\r\n]+standalone=[\"'][a-z]{2,3}[\"'])?[ \t\r\n]*\?>"
)
_DECLARATION = re.compile(r"\s*<\?xml[^>]{0,200}\?>")
_CONTROL_BYTES = bytes({*range(32)} - {9, 10, 13})
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document: its root and the tolerances that reading it needed."""

    root: etree._Element
    quirks: tuple[str, ...] = ()


def parse(body: bytes, *, operation: str = "", peer: str = "") -> Document:
    """Parse one document.

    Raises:
        RemoteProtocolError: `empty_reply` where nothing but blanks came; `malformed_xml` where nothing could be
            read, or where the document declares a type or entities, or is larger than the bounds above.
    """

    root = plainly(body)
    if root is not None:
        return Document(root)

    def refuse(what: str, reason: Reason = Reason.MALFORMED_XML) -> RemoteProtocolError:
        about = f"{operation}: " if operation else ""
        return RemoteProtocolError(
            f"{about}{what}",
            reason=reason,
            peer=peer,
            operation=operation,
            hint="Restart the camera or update its firmware; if it stays, report the camera's model",
        )

    if not body.strip(b" \t\r\n\0"):
        raise refuse("the reply is empty", Reason.EMPTY_REPLY)
    if len(body) > MAX_BYTES:
        raise refuse(f"the XML is longer than {MAX_BYTES} bytes")
    plain = body.replace(b"\0", b"") if b"\0" in body else body  # also sees through UTF-16
    if b"<!" in plain and _DOCTYPE.search(plain):
        raise refuse("the XML declares a document type or entities, which is refused")
    if plain.count(b"<") > MAX_ELEMENTS:
        raise refuse(f"the XML has more than {MAX_ELEMENTS} tags")

    quirks: list[str] = []
    source = _cleaned(body, plain, quirks)
    parser = _parser(recover=True)
    try:
        root = etree.fromstring(source, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise refuse("the XML cannot be read") from error
    if root is None:
        raise refuse("the XML cannot be read")
    info: Any = root.getroottree().docinfo
    if info.doctype:
        raise refuse("the XML declares a document type or entities, which is refused")
    for entry in parser.error_log:
        name = "undeclared_prefix" if entry.type_name.startswith("NS_ERR") else "xml_not_well_formed"
        if name not in quirks:
            quirks.append(name)
    return Document(root, tuple(quirks))


@cache
def _parser(*, recover: bool) -> etree.XMLParser:
    """Return the parser of each kind: it keeps nothing of a document but the log of the last one's errors."""
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        recover=recover,
        remove_comments=True,
        remove_pis=True,
        collect_ids=False,  # nothing is looked up by them
    )


def plainly(body: bytes) -> etree._Element | None:
    """Parse a well-formed document in UTF-8 that says so (as most do); None for any other.

    Without its declaration, and without a NUL, the parser takes it for UTF-8 whatever it holds: what was looked for
    in these bytes cannot hide in them.
    """
    if body.startswith(b"<?xml"):
        declared = _PLAIN_DECLARATION.match(body)
        if declared is None:
            return None
        body = body[declared.end() :].lstrip()
    if not body.startswith(b"<") or b"\0" in body or b"<!" in body:
        return None
    if len(body) > MAX_BYTES or body.count(b"<") > MAX_ELEMENTS:
        return None
    try:
        return etree.fromstring(body, _parser(recover=False))
    except etree.XMLSyntaxError:
        return None


def _cleaned(body: bytes, plain: bytes, quirks: list[str]) -> bytes:
    """Return bytes that the parser accepts, naming what had to be done."""
    wide = body[:2] in (b"\xff\xfe", b"\xfe\xff")
    declared = _DECLARED_ENCODING.search(plain[:200])
    encoding = declared.group(1).decode().lower() if declared else "utf-8"
    if wide or encoding.startswith("utf-16"):
        return body
    start = plain.find(b"<")
    if start > 0 and plain[:start].strip(b" \t\r\n\xef\xbb\xbf"):
        quirks.append("garbage_before_xml")
    source = plain[max(start, 0) :]
    if plain is not body:
        quirks.append("nul_in_xml")
    if encoding not in {"utf-8", "utf8", "us-ascii", "ascii"}:
        return source
    try:
        text = source.decode()
    except UnicodeDecodeError:
        quirks.append("invalid_utf8")
        text = source.decode("utf-8", "replace")
    if len(source.translate(None, _CONTROL_BYTES)) == len(source) and b"\xef\xbf" not in source:
        cleaned = text  # nearly always, and ten times as fast to see as to replace
    else:
        cleaned = _CONTROL.sub("\ufffd", text)
        if cleaned != text:
            quirks.append("control_characters")
    declaration = _DECLARATION.match(cleaned)  # its encoding is not true any more
    return (cleaned[declaration.end() :] if declaration is not None else cleaned).encode()


@lru_cache(maxsize=4096)
def _local_of(tag: Any) -> str:
    """Return a tag's local name, "" for what is no text: that of entities and the like.

    The names of ONVIF are few, and a hostile document only turns the cache over.
    """
    return tag.rpartition("}")[2].rpartition(":")[2] if isinstance(tag, str) else ""


def local(element: etree._Element) -> str:
    """Return the element's name without namespace or (undeclared) prefix; "" for what is no element."""
    return _local_of(element.tag)


def namespace(element: etree._Element) -> str:
    """Return the element's namespace, "" where it has none."""
    tag: Any = element.tag  # not a string for entities and the like
    return tag[1:].partition("}")[0] if isinstance(tag, str) and tag.startswith("{") else ""


def children(element: etree._Element | None, *names: str) -> Iterator[etree._Element]:
    """Yield the child elements of these local names, all of them where none is given."""
    if element is None:
        return
    for inner in element:
        name = _local_of(inner.tag)
        if name in names if names else name:
            yield inner


def child(element: etree._Element | None, *path: str) -> etree._Element | None:
    """Return the first element along a path of local names, or None."""
    found = element
    for name in path:
        if found is None:
            return None
        for inner in found:
            if _local_of(inner.tag) == name:
                found = inner
                break
        else:
            return None
    return found


def descendants(element: etree._Element | None, *names: str) -> Iterator[etree._Element]:
    """Yield all elements below (not the element itself) of these local names, in document order."""
    if element is None:
        return
    for inner in element.iterdescendants():
        if _local_of(inner.tag) in names:
            yield inner


def text(element: etree._Element | None, *path: str, limit: int = MAX_TEXT) -> str:
    """Return the trimmed text of the first element along a path, "" where there is none, never longer than `limit`."""
    found = child(element, *path) if path else element
    if found is None or found.text is None:
        return ""
    return found.text.strip()[:limit]


def named(element: etree._Element | None) -> dict[str, etree._Element]:
    """Return the child elements by local name, of equals the first. One walk for all of them, as `values`."""
    found: dict[str, etree._Element] = {}
    if element is not None:
        for inner in element:
            found.setdefault(_local_of(inner.tag), inner)
    return found


def leaves(element: etree._Element) -> dict[str, str]:
    """Return the trimmed texts of all elements below by local name, of equals the first."""
    found: dict[str, str] = {}
    for inner in element.iterdescendants():
        if inner.text is not None:
            found.setdefault(_local_of(inner.tag), inner.text.strip())
    return found


def values(element: etree._Element | None, limit: int = MAX_TEXT) -> dict[str, str]:
    """Return the trimmed texts of the children by local name, of equals the first, never longer than `limit`.

    One walk for all of them: several `text` of the same element walk it each.
    """
    found: dict[str, str] = {}
    if element is not None:
        for inner in element:
            name = _local_of(inner.tag)
            if name and name not in found:
                found[name] = (inner.text or "").strip()[:limit]
    return found


def attribute(element: etree._Element | None, name: str, limit: int = 256) -> str:
    """Return an attribute by local name, trimmed, "" where there is none."""
    if element is None:
        return ""
    for key, value in element.attrib.items():
        if str(key).rpartition("}")[2].rpartition(":")[2] == name:
            return str(value).strip()[:limit]
    return ""


__all__ = [
    "MAX_BYTES",
    "Document",
    "attribute",
    "child",
    "children",
    "descendants",
    "leaves",
    "local",
    "named",
    "namespace",
    "parse",
    "plainly",
    "text",
    "values",
]
