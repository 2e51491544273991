"""What the steps of a probe share: how they ask, record, and end."""

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.errors import AdapterError, AddressRefused, AuthenticationFailed, CoolingDown
from adapters.onvif.collect import Facts
from adapters.onvif.operations import Operation
from adapters.onvif.reply import Reply
from adapters.onvif.session import OnvifSession
from adapters.onvif.soap import MAX_TYPED_BYTES, Wsdl
from adapters.port import ProbeContext, ProbeRequest
from adapters.wire.http import HttpClient


class Ended(Exception):
    """The probe stops here: `error` says why, and the facts that are still open get its reason."""

    def __init__(self, error: AdapterError, operation: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.operation = operation


@dataclass(frozen=True, slots=True)
class Kit:
    """The tools of one probe."""

    request: ProbeRequest
    context: ProbeContext
    wsdl: Wsdl
    http: HttpClient
    session: OnvifSession
    facts: Facts

    async def ask(
        self, operation: Operation, body: bytes, facts: Iterable[str], *, anonymous: bool = False
    ) -> Reply | None:
        """Ask; where it fails, record why for `facts` and return None, or end the probe."""
        names = tuple(facts)
        try:
            return await self.session.ask(operation, body, anonymous=anonymous)
        except AdapterError as error:
            self.facts.failed(names, error, operation)
            self.end_if_final(error, operation)
            return None

    def end_if_final(self, error: AdapterError, operation: object) -> None:
        """End the probe where going on is useless or impolite."""
        final = isinstance(error, (AuthenticationFailed, CoolingDown, AddressRefused))
        if final or self.session.stopped is not None or self.session.login.failure is error:
            raise Ended(error, operation) from error

    def check_schema(self, reply: Reply) -> None:
        """Note replies that zeep cannot read by their schema without loss."""
        document = reply.http.body
        short = len(document) <= MAX_TYPED_BYTES
        if (
            short
            and self.wsdl.knows(reply.operation)
            and not self.wsdl.conforms(reply.operation, reply.root, document)
        ):
            self.session.quirks[f"off_schema:{reply.operation.name}"] = None
