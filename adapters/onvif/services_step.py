"""The service map: GetServices and GetCapabilities united, addresses led back to the enrolled host (CON-02, CON-03)."""

from adapters.errors import AdapterError
from adapters.onvif import mapping, operations
from adapters.onvif.addresses import AddressBook
from adapters.onvif.reply import Challenged
from adapters.onvif.steps import Kit
from adapters.wire.http import HttpReply
from standards.reason import Reason


class ServicesStep:
    """Asks for the services; `listed` holds what was found, in the device's order."""

    def __init__(self, kit: Kit, addresses: AddressBook) -> None:
        self._kit = kit
        self._addresses = addresses
        self._http: HttpReply | None = None
        self.listed: dict[str, None] = {}

    async def read(self, *, anonymous: bool) -> bool:
        """Ask GetServices and GetCapabilities and unite them (quirks 24, 25). Return whether a login is wanted."""
        refused = False
        last: AdapterError | None = None
        found: dict[str, str] = {}
        for operation, read, body in (
            (
                operations.GET_SERVICES,
                mapping.services,
                self._kit.wsdl.render(operations.GET_SERVICES, IncludeCapability=False),
            ),
            (
                operations.GET_CAPABILITIES,
                mapping.capabilities,
                self._kit.wsdl.render(operations.GET_CAPABILITIES, Category="All"),
            ),
        ):
            try:
                reply = await self._kit.session.ask(operation, body, anonymous=anonymous)
            except Challenged as error:
                refused, last = True, error
                continue
            except AdapterError as error:
                last = error
                self._kit.end_if_final(error, operation)
                continue
            for service, address in read(reply).items():
                found.setdefault(service, address)
            self._http = reply.http
        operation = operations.GET_SERVICES
        if "device" in found:
            self._addresses.learn(found["device"])
        for service, address in found.items():
            self.listed[service] = None
            url = self._addresses.service(address)
            if url is not None and service != "device":
                self._kit.session.endpoints[service] = url
        if found:
            self._kit.facts.saw("onvif.services", tuple(sorted(found)), operation, self._http)
        elif last is not None:
            self._kit.facts.failed(("onvif.services", "onvif.xaddr"), last, operation)
        else:
            self._kit.facts.missed(
                ("onvif.services", "onvif.xaddr"),
                Reason.EMPTY_REPLY,
                f"{operation}: no service is listed",
                operation,
            )
        if self._addresses.seen:
            told = "rewritten" if self._addresses.rewritten else "same"
            self._kit.facts.saw("onvif.xaddr", told, operation, self._http)
        elif found:
            self._kit.facts.missed(
                ("onvif.xaddr",), Reason.EMPTY_REPLY, f"{operation}: no usable address is listed", operation
            )
        return refused
