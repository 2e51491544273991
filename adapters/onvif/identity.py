"""The identity probe: the clock, the one login, and what the device is. For sweeps over many cameras.

Three requests to a camera with a login, two to one without. It tells whether the camera answers ONVIF, whether the
stored credential still holds and whether it is the same device as before; what it did not ask, it says nothing about.
"""

from datetime import timedelta

from adapters.errors import AdapterError, AuthenticationFailed, CameraFault, Unsupported
from adapters.onvif import mapping, operations
from adapters.onvif.addresses import endpoint_of
from adapters.onvif.clock_step import signing_time
from adapters.onvif.collect import Facts
from adapters.onvif.reply import Challenged, Reply
from adapters.onvif.session import OnvifSession
from adapters.onvif.soap import Wsdl
from adapters.port import ProbeContext, ProbeRequest, ProbeResult
from adapters.wire.http import HttpClient
from adapters.wire.redaction import Redactor

CLOCK_LIMIT_S = 3.0  # for the first answer: a camera that does not answer costs this and no more
_NAMES = ("manufacturer", "model", "firmware", "serial", "hardware_id")


class IdentityProbe:
    """The state of one identity probe. Use once."""

    def __init__(self, request: ProbeRequest, context: ProbeContext, wsdl: Wsdl) -> None:
        self._request = request
        self._context = context
        self._wsdl = wsdl
        secrets = (request.credential.password,) if request.credential is not None else ()
        self._facts = Facts(request.target.authority, context.clock, Redactor(secrets))

    async def run(self) -> ProbeResult:
        """Ask, and return the facts that were learned. Never raises for a camera's fault."""
        request, context = self._request, self._context

        def count() -> None:
            context.courtesy.reads += 1

        failure: AdapterError | None = None
        async with HttpClient(
            context.dialer, context.clock, request.target.host, on_request=count, tap=context.tap
        ) as http:
            session = OnvifSession(
                http, endpoint_of(request.target), request.credential, context, request.deadline
            )
            operation = operations.GET_SYSTEM_DATE_AND_TIME
            try:
                await self._clock(session)
                operation = operations.GET_DEVICE_INFORMATION
                self._identity(await session.ask(operation, self._wsdl.render(operation)))
            except AdapterError as error:
                failure = error
                self._facts.failed([f"device.{name}" for name in _NAMES], error, operation)
            self._credential(session, failure)
        return ProbeResult(self._facts.observations(), failure=failure)

    async def _clock(self, session: OnvifSession) -> None:
        """Read the clock to sign with. A device that answers without telling it is signed to with ours (quirk 5)."""
        operation = operations.GET_SYSTEM_DATE_AND_TIME
        try:
            reply = await session.ask(
                operation, self._wsdl.render(operation), anonymous=True, limit_s=CLOCK_LIMIT_S
            )
        except (Challenged, Unsupported, CameraFault):
            return
        system = mapping.system_time(reply)
        self._facts.saw("time.utc_present", system.utc is not None, operation, reply.http)
        told = signing_time(system, reply.http)
        if told is not None:
            session.clock_offset = told - reply.http.started_at - timedelta(seconds=reply.http.took_s / 2)

    def _identity(self, reply: Reply) -> None:
        told = mapping.device_information(reply)
        for name in _NAMES:
            self._facts.saw(f"device.{name}", getattr(told, name), reply.operation, reply.http)

    def _credential(self, session: OnvifSession, failure: AdapterError | None) -> None:
        """Record what became of the login, where one was made."""
        login = session.login
        if login.accepted:
            self._facts.saw("credential.accepted", True, operations.GET_DEVICE_INFORMATION)
        elif isinstance(login.failure, AuthenticationFailed) and login.failure.credential_sent:
            self._facts.saw("credential.accepted", False, operations.GET_DEVICE_INFORMATION)
        elif failure is not None:
            self._facts.failed(("credential.accepted",), failure, operations.GET_DEVICE_INFORMATION)
