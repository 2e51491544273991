"""onvif-zeep-async, kept inside: renders the requests and reads replies by the packaged WSDLs. Opens no socket.

The package's own camera and service classes are not used: they open connections by themselves, without bounds.
Used are its parsed documents (one per file per process) and zeep's bindings; `tests/adapters/onvif/test_soap.py`
fails when a release moves the private names.
"""

import asyncio
import logging
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lxml import etree

from adapters.errors import LocalProtocolError
from adapters.onvif.operations import NAMESPACES, Operation
from adapters.wire import xml

MAX_TYPED_BYTES = 64 << 10  # zeep builds value objects: 0.3 ms per kB, so longer replies are not read by type
_SERVICES = {"device": ("devicemgmt.wsdl", "DeviceBinding"), "media": ("media.wsdl", "MediaBinding")}
_SOAP_12 = "{http://www.w3.org/2003/05/soap-envelope}"


class Wsdl:
    """The parsed WSDLs of the services in use. Load once with `ready`, then everything is computing."""

    def __init__(self) -> None:
        self._bindings: Mapping[str, Any] = {}
        self._rendered: dict[Operation, bytes] = {}
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

                folder = Path(client._WSDL_PATH)

                async def documents() -> dict[str, Any]:
                    return {
                        service: await client._cached_document(str(folder / name))
                        for service, (name, _binding) in _SERVICES.items()
                    }

                loaded = asyncio.run(documents())
            self._bindings = {
                service: loaded[service].bindings[f"{{{NAMESPACES[service]}}}{binding}"]
                for service, (_name, binding) in _SERVICES.items()
            }

    def knows(self, operation: Operation) -> bool:
        """Tell whether the packaged WSDLs describe the operation (they lack media2)."""
        return operation.service in _SERVICES

    def render(self, operation: Operation, **arguments: Any) -> bytes:
        """Return the body element of a request.

        Raises:
            LocalProtocolError: the WSDL refuses the arguments, or `ready` was not awaited.
        """
        if not arguments and operation in self._rendered:
            return self._rendered[operation]
        try:
            message = self._bindings[operation.service].get(operation.name).create(**arguments).content
            body = message.find(f"{_SOAP_12}Body")[0]
        except Exception as error:
            raise LocalProtocolError(f"{operation} cannot be rendered", operation=str(operation)) from error
        etree.cleanup_namespaces(body)
        rendered: bytes = etree.tostring(body, with_tail=False)
        if not arguments:
            self._rendered[operation] = rendered
        return rendered

    def conforms(self, operation: Operation, root: etree._Element) -> bool:
        """Tell whether a reply can be read by its schema without losing a value.

        zeep raises nearly anything on what cameras send (AttributeError, IndexError, TypeError, Fault: quirks 38
        and 41), and where it does not raise it may drop what it does not expect; both mean no.
        """
        bound = self._bindings[operation.service].get(operation.name)
        body = xml.child(root, "Body")
        if body is None:
            return False
        told = sum(1 for element in body.iter() if xml.local(element) and (element.text or "").strip())
        try:
            value = bound.process_reply(root)
        except Exception:  # noqa: BLE001  see above; the answer is the whole outcome
            return False
        return _values(value) >= told


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
