"""onvif-zeep-async, kept inside: renders the requests and reads replies by the packaged WSDLs. Opens no socket.

The package's own camera and service classes are not used: they open connections by themselves, without bounds.
Used are its parsed documents (one per file per process) and zeep's bindings; `tests/adapters/onvif/test_soap.py`
fails when a release moves the private names.
"""

import asyncio
import gc
import hashlib
import logging
import os
import re
import threading
from collections.abc import Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from lxml import etree

from adapters.errors import LocalProtocolError
from adapters.onvif.operations import NAMESPACES, Operation
from adapters.wire import xml

MAX_TYPED_BYTES = 64 << 10  # zeep builds value objects: 0.3 ms per kB, so longer replies are not read by type
_SERVICES = {"device": ("devicemgmt.wsdl", "DeviceBinding"), "media": ("media.wsdl", "MediaBinding")}
_TEMPLATES = 256  # request bodies that are kept
_FORMS = 2048  # forms of replies whose judgement is kept
_UNWRITABLE = re.compile(
    "[\x00-\x08\x0b-\x1f\ud800-\udfff\ufffe\uffff]"
)  # zeep refuses them, or writes them as references
_TEXT = re.compile(rb">\s*([^<\s][^<]*)")  # what follows a tag, where it is more than blanks
_NUMBER_LIKE = re.compile(rb"[\s0-9+\-_.:TZPHMSDYEe]+|true|false|INF|NaN", re.IGNORECASE)
# What zeep raises beside its own errors where elements or values are not what the schema says: missing parts, values
# of another type, numbers and times that are none.
_UNREADABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
_SOAP_12 = "{http://www.w3.org/2003/05/soap-envelope}"


class Wsdl:
    """The parsed WSDLs of the services in use. Load once with `ready`, then everything is computing."""

    def __init__(self) -> None:
        self._bindings: Mapping[str, Any] = {}
        self._templates: dict[Hashable, tuple[bytes, ...]] = {}
        self._judged: dict[bytes, bool] = {}
        self._unreadable: tuple[type[Exception], ...] = _UNREADABLE
        self._loading = threading.Lock()

    async def ready(self) -> None:
        """Parse the WSDLs (about 0.6 s of CPU the first time in a process), beside the event loop."""
        if not self._bindings:
            await asyncio.get_running_loop().run_in_executor(None, self._load)

    def _load(self) -> None:
        with self._loading:
            if self._bindings:
                return
            with _contained():
                from onvif import client
                from zeep.exceptions import Error

                folder = Path(client._WSDL_PATH)

                async def documents() -> dict[str, Any]:
                    return {
                        service: await client._cached_document(str(folder / name))
                        for service, (name, _binding) in _SERVICES.items()
                    }

                loaded = asyncio.run(documents())
            self._unreadable = (*_UNREADABLE, Error)
            self._bindings = {
                service: loaded[service].bindings[f"{{{NAMESPACES[service]}}}{binding}"]
                for service, (_name, binding) in _SERVICES.items()
            }
            # 55,000 objects that live as long as the process: without this the collector walks them again and again.
            gc.collect()
            gc.freeze()

    def knows(self, operation: Operation) -> bool:
        """Tell whether the packaged WSDLs describe the operation: they lack media2 and later device operations."""
        binding = self._bindings.get(operation.service)
        return binding is not None and operation.name in binding.all()

    def render(self, operation: Operation, **arguments: Any) -> bytes:
        """Return the body element of a request.

        Raises:
            LocalProtocolError: the WSDL refuses the arguments, or `ready` was not awaited.
        """
        texts: list[str] = []
        key = (operation, _shape(arguments, texts))
        pieces = self._templates.get(key)
        if pieces is None:
            marks = [f"camhub-mark-{number}" for number in range(len(texts))]
            rendered = self._create(operation, _filled(arguments, iter(marks)))
            pieces = _cut(rendered, marks)
            if len(self._templates) < _TEMPLATES:
                self._templates[key] = pieces
        if len(pieces) != len(texts) + 1 or any(_UNWRITABLE.search(text) for text in texts):
            return self._create(operation, arguments)
        body = [pieces[0]]
        for text, piece in zip(texts, pieces[1:], strict=True):
            body += (escape(text).encode(), piece)
        return b"".join(body)

    def _create(self, operation: Operation, arguments: Mapping[str, Any]) -> bytes:
        """Let zeep write a body element: 0.2 to 0.5 ms."""
        try:
            message = self._bindings[operation.service].get(operation.name).create(**arguments).content
            body = message.find(f"{_SOAP_12}Body")[0]
        except Exception as error:
            raise LocalProtocolError(f"{operation} cannot be rendered", operation=str(operation)) from error
        etree.cleanup_namespaces(body)
        rendered: bytes = etree.tostring(body, with_tail=False)
        return rendered

    def conforms(self, operation: Operation, root: etree._Element, document: bytes) -> bool:
        """Tell whether a reply (its parsed root, and the bytes it was parsed from) can be read by its schema without loss.

        zeep raises much on what cameras send (`_UNREADABLE`, Fault: quirks 38 and 41), and where it does not raise
        it may drop what it does not expect; both mean no. The outcome depends on the markup and the kinds of its
        texts alone, and cameras of one firmware answer alike, so it is kept by that form: building zeep's objects
        costs up to a millisecond.
        """
        form = [operation.label.encode(), _TEXT.sub(b">", document), *map(_kind, _TEXT.findall(document))]
        key = hashlib.blake2b(b"\n".join(form), digest_size=16).digest()
        known = self._judged.get(key)
        if known is None:
            known = self._reads(operation, root)
            if len(self._judged) >= _FORMS:
                self._judged.clear()
            self._judged[key] = known
        return known

    def _reads(self, operation: Operation, root: etree._Element) -> bool:
        """Tell whether zeep reads a reply and keeps at least as many values as were told."""
        body = xml.child(root, "Body")
        if body is None:
            return False
        told = sum(1 for element in body.iter() if xml.local(element) and (element.text or "").strip())
        bound = self._bindings[operation.service].get(operation.name)
        try:
            value = bound.process_reply(root)
        except self._unreadable:
            return False  # see `conforms`: the answer is the whole outcome
        return _values(value) >= told


def _shape(value: Any, texts: list[str]) -> Hashable:
    """Return arguments without their texts, which are collected in order."""
    if isinstance(value, str):
        texts.append(value)
        return str
    if isinstance(value, Mapping):
        return tuple((name, _shape(inner, texts)) for name, inner in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(_shape(inner, texts) for inner in value)
    return (type(value), value)


def _filled(value: Any, marks: Iterator[str]) -> Any:
    """Return arguments with every text replaced by the next mark."""
    if isinstance(value, str):
        return next(marks)
    if isinstance(value, Mapping):
        return {name: _filled(inner, marks) for name, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_filled(inner, marks) for inner in value]
    return value


def _cut(rendered: bytes, marks: list[str]) -> tuple[bytes, ...]:
    """Cut a body at its marks. Fewer pieces than that where a mark does not stand once, in order, as element text."""
    pieces: list[bytes] = []
    rest = rendered
    for mark in marks:
        before, found, after = rest.partition(mark.encode())
        if not found or not before.endswith(b">") or not after.startswith(b"</") or mark.encode() in after:
            return ()
        pieces.append(before)
        rest = after
    return (*pieces, rest)


def _kind(text: bytes) -> bytes:
    """Return what matters of a text to its reading: all of it where it may be a number, else that there is one."""
    if text.isdigit() and len(text) <= 18:
        return b"0"
    short = len(text) <= 24 and (b"&" in text or _NUMBER_LIKE.fullmatch(text) is not None)
    return text if short else b"x"


def _values(value: Any) -> int:
    """Count the values that zeep kept."""
    if value is None:
        return 0
    if isinstance(value, (list, tuple)):
        return sum(_values(inner) for inner in value)
    if isinstance(value, Mapping):
        return sum(_values(inner) for inner in value.values())
    if isinstance(value, etree._Element):
        return sum(1 for element in value.iter() if (element.text or "").strip())
    kept = getattr(value, "__values__", None)  # zeep.xsd.CompoundValue
    return _values(kept) if kept is not None else 1


@contextmanager
def _contained() -> Iterator[None]:
    """Undo what importing the package does to its process: root log handlers and level, proxy variables."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    proxies = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    try:
        yield
    finally:
        for handler in list(root.handlers):
            if handler not in handlers:
                root.removeHandler(handler)
        root.setLevel(level)
        os.environ.update(proxies)
