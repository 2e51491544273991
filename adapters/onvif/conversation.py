"""A conversation with one admitted municipal camera that may do more than read: what events and PTZ share.

It needs an `Actuation`, which no probe has, and opens with reads: the clock, the services, and one login made with
GetDeviceInformation, so that a refused credential costs one attempt and nothing was moved or subscribed by then.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, timedelta

from adapters.deadline import Deadline
from adapters.errors import AdapterError, AuthenticationFailed, CoolingDown, NotPermitted, Unsupported
from adapters.onvif import mapping, operations, requests
from adapters.onvif.addresses import AddressBook, endpoint_of
from adapters.onvif.clock_step import signing_time
from adapters.onvif.session import OnvifSession
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.http import HttpClient

OPENING_S = 15.0  # for the clock, the services and the login together


@dataclass(slots=True)
class Conversation:
    """An open, logged-in conversation."""

    target: Target
    session: OnvifSession
    context: ProbeContext
    addresses: AddressBook

    async def read_clock(self) -> None:
        """Take the device's clock, to sign with (quirks 1-5); a device that does not tell it is signed to with ours."""
        operation = operations.GET_SYSTEM_DATE_AND_TIME
        try:
            reply = await self.session.ask(operation, requests.plain(operation), anonymous=True)
        except AdapterError:
            if self.session.stopped is not None:
                raise
            return
        told = signing_time(mapping.system_time(reply), reply.http)
        if told is not None:
            halfway = reply.http.started_at + timedelta(seconds=reply.http.took_s / 2)
            self.session.clock_offset = told - halfway

    async def resynced(self) -> bool:
        """Read the clock again and tell whether the offset has moved enough to spoil a signature (quirk 6)."""
        before = self.session.clock_offset
        await self.read_clock()
        return self.session.login.scheme == "wsse" and abs(self.session.clock_offset - before) > timedelta(
            seconds=2
        )

    async def find_services(self, wanted: str) -> None:
        """Learn the addresses of the services.

        Raises:
            Unsupported: the device lists services, and `wanted` is not among them.
            AdapterError: the login was refused, or nothing can be reached.
        """
        found: dict[str, str] = {}
        for operation, read, body in (
            (
                operations.GET_SERVICES,
                mapping.services,
                requests.plain(operations.GET_SERVICES, IncludeCapability="false"),
            ),
            (
                operations.GET_CAPABILITIES,
                mapping.capabilities,
                requests.plain(operations.GET_CAPABILITIES, Category="All"),
            ),
        ):
            if wanted in found:
                break
            try:
                reply = await self.session.ask(operation, body)
            except (AuthenticationFailed, CoolingDown):
                raise
            except AdapterError:
                if self.session.stopped is not None or self.session.login.failure is not None:
                    raise
                continue
            for service, address in read(reply).items():
                found.setdefault(service, address)
        if "device" in found:
            self.addresses.learn(found["device"])
        for service, address in found.items():
            url = self.addresses.service(address)
            if url is not None and service != "device":
                self.session.endpoints[service] = url
                self.session.named_endpoints[service] = self.addresses.named(address) or url
        if found and wanted not in found:
            raise Unsupported(
                f"{self.target.authority} lists no {wanted} service",
                peer=self.target.authority,
                operation=str(operations.GET_SERVICES),
            )


@asynccontextmanager
async def conversation(
    target: Target,
    credential: Credential | None,
    context: ProbeContext,
    actuation: Actuation,
    *,
    service: str,
    deadline: Deadline,
) -> AsyncIterator[Conversation]:
    """Open a conversation with the `service` of a device; it is closed behind the block.

    Raises:
        NotPermitted: the leave is not for a municipal camera; nothing was sent.
        AuthenticationFailed, CoolingDown: as the session says; one attempt was made at most.
        Unsupported: the device has no such service. And as the session says.
    """
    if not actuation.municipal:
        raise NotPermitted(
            f"{target.authority} is not a municipal camera: it is never moved and never subscribed to",
            peer=target.authority,
            operation=f"ONVIF {service}",
            hint="Only reads are allowed on cameras of households, shops and schools",
        )

    def count() -> None:
        context.courtesy.reads += 1

    async with HttpClient(
        context.dialer, context.clock, target.host, connections=1, on_request=count, tap=context.tap
    ) as http:
        endless = Deadline(context.clock, math.inf)  # each request has its own limit
        session = OnvifSession(http, endpoint_of(target), credential, context, endless, actuation=actuation)
        opened = Conversation(target, session, context, AddressBook(target))
        async with deadline.phase(f"ONVIF {service}", OPENING_S, peer=target.authority):
            await opened.read_clock()
            await opened.find_services(service)
            information = operations.GET_DEVICE_INFORMATION
            try:
                await session.ask(information, requests.plain(information))
            except AdapterError:
                if not session.login.accepted and session.login.failure is not None:
                    raise
                if session.stopped is not None:
                    raise
        yield opened


def utc_text(context: ProbeContext, session: OnvifSession, ahead_s: float) -> str:
    """Return a moment of the device's clock, `ahead_s` from now, as ONVIF writes times."""
    moment = context.clock.now() + session.clock_offset + timedelta(seconds=ahead_s)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
