"""One probe of one device: the listed reads, in an order that asks least and learns the login's scheme first."""

from collections.abc import Mapping

from adapters.errors import AdapterError, AuthenticationFailed, CoolingDown, RemoteProtocolError
from adapters.onvif import mapping, operations
from adapters.onvif.addresses import AddressBook, endpoint_of
from adapters.onvif.clock_step import ClockStep
from adapters.onvif.collect import Facts, why
from adapters.onvif.details_step import FACTS as DETAILS
from adapters.onvif.details_step import DetailsStep
from adapters.onvif.media import MediaReader
from adapters.onvif.operations import Operation
from adapters.onvif.reply import Challenged, Reply
from adapters.onvif.services_step import ServicesStep
from adapters.onvif.session import OnvifSession
from adapters.onvif.soap import Wsdl
from adapters.onvif.steps import Ended, Kit
from adapters.onvif.still_step import StillStep
from adapters.onvif.streams_step import StreamsStep
from adapters.port import ProbeContext, ProbeRequest, ProbeResult, Progress, StreamOffer
from adapters.target import Target
from adapters.wire.http import HttpClient
from adapters.wire.redaction import Redactor
from standards.observation import freeze
from standards.reason import Reason

PREFIXES = (
    "reach.",
    "device.",
    "onvif.",
    "http.",
    "snapshot.",
    "time.",
    "stream.main.claimed_",
    "stream.sub.claimed_",
)
# Worked out by the hub over many probes, or by an extended probe
NOT_OURS = frozenset({"device.endpoint_reference_stable", "time.drift_s_per_day", "onvif.profiles_borne_out"})
ALWAYS = ("media.video_sources", "media.metadata")  # of the other prefixes, what every probe tells
RESERVE_S = 5.0  # kept back from extended reads for the stream's adapter, beside its media window


class Probe:
    """The state of one probe. Use once."""

    def __init__(self, request: ProbeRequest, context: ProbeContext, wsdl: Wsdl) -> None:
        self._request = request
        self._context = context
        self._wsdl = wsdl
        self._target = request.target
        secrets = (request.credential.password,) if request.credential is not None else ()
        self._facts = Facts(request.target.authority, context.clock, Redactor(secrets))
        self._addresses = AddressBook(request.target)
        self._step = "address"
        self._streams_step: StreamsStep | None = None
        self._snapshot: Target | None = None

    async def run(self) -> ProbeResult:
        """Ask everything there is to ask and return what was learned. Never raises for a camera's fault."""

        courtesy = self._context.courtesy

        def count() -> None:
            courtesy.reads += 1

        failure: AdapterError | None = None
        async with HttpClient(
            self._context.dialer,
            self._context.clock,
            self._target.host,
            on_request=count,
            tap=self._context.tap,
        ) as http:
            self._session = OnvifSession(
                http,
                endpoint_of(self._target),
                self._request.credential,
                self._context,
                self._request.deadline,
            )
            self._kit = Kit(self._request, self._context, self._wsdl, http, self._session, self._facts)
            try:
                await self._steps(self._kit)
            except Ended as ended:
                failure = ended.error
                self._after(ended)
                self._tell("failed", str(failure))
        offers = self._streams_step.offers if self._streams_step is not None else ()
        self._conclude(failure, offers)
        return ProbeResult(self._facts.observations(), offers, self._snapshot, failure)

    async def _steps(self, kit: Kit) -> None:
        self._tell("running", f"asking {self._target.authority} for its clock", step="address")
        clock = ClockStep(kit)
        await clock.read(anonymous=True)
        services = ServicesStep(kit, self._addresses)
        refused = await services.read(anonymous=True)
        if not self._session.spoke and not self._session.login.challenges:
            raise self._not_onvif()
        streams = self._streams_step = StreamsStep(kit, self._addresses)
        reserve_s = self._request.window_s + RESERVE_S
        if self._request.extended:
            await DetailsStep(kit, services.listed, reserve_s).capabilities(anonymous=True)
        self._tell("ok", "answers with ONVIF")

        self._tell("running", "asking without a login, which should be refused", step="login")
        media = MediaReader(self._session, self._wsdl, services.listed)
        await self._anonymous(media.profiles_operation, media.profiles_body, "onvif.anonymous_read_media")
        system = operations.GET_DEVICE_INFORMATION
        await self._anonymous(system, self._wsdl.render(system), "onvif.anonymous_read_system")
        read = False
        if "device" not in self._session.login.challenges and self._session.login.challenges:
            read = True  # only media wants a login, so media makes it
            await streams.profiles(media)
        information = await self._device_information()
        if self._session.login.accepted:
            if not self._facts.knows("time.utc_present"):
                await clock.read(anonymous=False)
            if refused:
                await services.read(anonymous=False)
                media = MediaReader(self._session, self._wsdl, services.listed)
        self._tell("ok", self._login_sentence())

        self._tell("running", "reading what the device is", step="identify")
        await self._identity()
        self._tell("ok", information or "the device does not say what it is")

        self._tell("running", "reading its streams and snapshot", step="picture")
        if not read:
            await streams.profiles(media)
        await streams.addresses(media)
        still = StillStep(kit, self._addresses)
        try:
            await still.read(media, streams.source)
        finally:
            self._snapshot = still.target
        if self._request.extended:
            await self._details(media, streams, DetailsStep(kit, services.listed, reserve_s))
        main = next((offer for offer in streams.offers if offer.layer == "main"), None)
        if main is None:
            self._tell("failed", "no stream address was given")
        else:
            self._tell("ok", f"{main.encoding or 'video'} {main.width}x{main.height} at {main.target.url}")

    async def _details(self, media: MediaReader, streams: StreamsStep, details: DetailsStep) -> None:
        """Make the extended reads; those of the device's other cameras first."""
        await streams.others(media, details.may_ask)
        if details.may_ask():
            listed = self._facts.value("onvif.network_protocols")
            ports: list[int] = []
            for entry in listed if isinstance(listed, tuple) else ():
                if (
                    isinstance(entry, Mapping)
                    and entry["name"] == "HTTPS"
                    and isinstance(entry["ports"], tuple)
                ):
                    ports.extend(port for port in entry["ports"] if isinstance(port, int))
            await streams.over_https(media, tuple(ports))
        await details.read(media, streams.source)

    def _tell(self, state: str, detail: str, *, step: str = "") -> None:
        self._step = step or self._step
        self._context.progress(Progress(self._step, state, detail))

    async def _anonymous(self, operation: Operation, body: bytes, fact: str) -> None:
        """Make the negative test: one read without a credential, its answer not kept (standard section 4)."""
        try:
            reply = await self._session.ask(operation, body, anonymous=True)
        except Challenged as error:
            self._facts.saw(fact, "refused", operation, error.http)
        except AdapterError as error:
            self._facts.failed((fact,), error, operation)
            self._kit.end_if_final(error, operation)
        else:
            self._facts.saw(fact, "answered", reply.operation)

    async def _device_information(self) -> str:
        """Read what the device is: the login, where it wants one. Return "maker model" for people."""
        operation = operations.GET_DEVICE_INFORMATION
        names = ("manufacturer", "model", "firmware", "serial", "hardware_id")
        reply = await self._kit.ask(
            operation, self._wsdl.render(operation), (f"device.{name}" for name in names)
        )
        if reply is None:
            return ""
        self._kit.check_schema(reply)
        told = mapping.device_information(reply)
        for name in names:
            self._facts.saw(f"device.{name}", getattr(told, name), operation, reply.http)
        return f"{told.manufacturer} {told.model}".strip()

    async def _identity(self) -> None:
        """Read scopes, interfaces, protocols, NTP and the endpoint reference."""
        reply = await self._simple(operations.GET_SCOPES, "onvif.scopes", "onvif.profiles_claimed")
        if reply is not None:
            told = mapping.scopes(reply)
            self._facts.saw("onvif.scopes", told, reply.operation, reply.http)
            self._facts.saw(
                "onvif.profiles_claimed", mapping.profiles_claimed(told), reply.operation, reply.http
            )
        reply = await self._simple(operations.GET_NETWORK_INTERFACES, "device.mac")
        if reply is not None:
            self._facts.saw("device.mac", mapping.hardware_addresses(reply), reply.operation, reply.http)
        reply = await self._simple(operations.GET_NETWORK_PROTOCOLS, "onvif.network_protocols")
        if reply is not None:
            listed = [
                {"name": item.name, "enabled": item.enabled, "ports": item.ports}
                for item in mapping.network_protocols(reply)
            ]
            self._facts.saw("onvif.network_protocols", freeze(listed), reply.operation, reply.http)
        reply = await self._simple(operations.GET_NTP, "time.ntp_servers")
        if reply is not None:
            self._facts.saw("time.ntp_servers", mapping.ntp_servers(reply), reply.operation, reply.http)
        reply = await self._simple(operations.GET_ENDPOINT_REFERENCE, "device.endpoint_reference")
        if reply is not None:
            urn = mapping.endpoint_reference(reply)
            if urn:
                self._facts.saw("device.endpoint_reference", urn, reply.operation, reply.http)
            else:
                self._facts.missed(
                    ("device.endpoint_reference",),
                    Reason.EMPTY_REPLY,
                    f"{reply.operation}: the answer holds no reference",
                    reply.operation,
                )

    async def _simple(self, operation: Operation, *facts: str) -> Reply | None:
        """Ask a read without arguments. It opens no login of its own.

        Old AXIS firmware refuses GetEndpointReference as not authorised whoever asks: a login attempt made with
        it would fail with the right password, and cool down.
        """
        login = self._session.login
        opened = login.accepted or "device" in login.challenges
        reply = await self._kit.ask(operation, self._wsdl.render(operation), facts, anonymous=not opened)
        if reply is not None:
            self._kit.check_schema(reply)
        return reply

    def _not_onvif(self) -> Ended:
        operation = operations.GET_SERVICES
        error = RemoteProtocolError(
            f"{operation}: {self._target.authority} answers, but not with ONVIF",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=self._target.authority,
            operation=str(operation),
            hint="Check that ONVIF is switched on in the camera, and the port and path of its ONVIF service",
        )
        return Ended(error, operation)

    def _login_sentence(self) -> str:
        login = self._session.login
        if login.accepted:
            return f"logged in ({login.scheme})"
        return "the device answers without a login"

    def _after(self, ended: Ended) -> None:
        """Give every open fact the reason of the end."""
        error = ended.error
        reason, detail = why(error)
        if isinstance(error, (AuthenticationFailed, CoolingDown)):
            reason, detail = Reason.NO_CREDENTIAL, f"not asked: {detail}"
        self._schemes(ended.operation)
        self._facts.complete(PREFIXES, NOT_OURS, reason, detail, ended.operation)
        self._facts.missed(self._open(), reason, detail, ended.operation)

    def _open(self) -> tuple[str, ...]:
        """Return the facts beside those of `PREFIXES` that nothing was said about yet."""
        promised = (*ALWAYS, *DETAILS) if self._request.extended else ALWAYS
        return tuple(fact for fact in promised if not self._facts.knows(fact))

    def _schemes(self, operation: object) -> None:
        """Record the schemes that were offered, where anything was said about them."""
        if self._session.schemes or self._facts.knows("onvif.anonymous_read_system"):
            self._facts.saw("http.auth_schemes", tuple(self._session.schemes), operation)

    def _conclude(self, failure: AdapterError | None, offers: tuple[StreamOffer, ...]) -> None:
        """Record what the whole probe tells, and close every fact that is still open."""
        session, facts = self._session, self._facts
        step = operations.GET_DEVICE_INFORMATION
        interfaces = ("onvif", "rtsp") if offers else ("onvif",)
        facts.saw("target.interfaces", interfaces, "ONVIF probe")
        if self._request.credential is None:
            facts.missed(("credential.accepted",), Reason.NO_CREDENTIAL, "no credential was supplied", step)
        elif session.login.accepted:
            facts.saw("credential.accepted", True, step)
        elif (
            isinstance(session.login.failure, AuthenticationFailed) and session.login.failure.credential_sent
        ):
            facts.saw("credential.accepted", False, step)
        elif session.login.failure is not None:
            facts.failed(("credential.accepted",), session.login.failure, step)
        elif failure is None:
            detail = "the device answers without a login, so the credential was not sent"
            facts.missed(("credential.accepted",), Reason.NOT_ASKED, detail, step)
        else:
            facts.failed(("credential.accepted",), failure, step)
        if failure is not None:
            return
        self._schemes(step)
        facts.saw("http.tls", self._tls(), "ONVIF probe")
        http = session.last_http
        if (
            http is not None and http.tls_seen is not None
        ):  # an expired certificate is a finding, not a failure
            for name, value in http.tls_seen.facts("tls", self._context.clock.now()).items():
                facts.saw(name, value, "TLS handshake")
        quirks = {**session.quirks, **self._addresses.quirks}
        facts.saw("onvif.named_hosts", tuple(self._addresses.others), "ONVIF probe")
        facts.saw("onvif.quirks", tuple(sorted(quirks)), "ONVIF probe")
        why_not = "not asked: an earlier read of this probe failed"
        facts.complete(PREFIXES, NOT_OURS, Reason.NOT_ASKED, why_not, "ONVIF probe")
        facts.missed(self._open(), Reason.NOT_ASKED, why_not, "ONVIF probe")

    def _tls(self) -> str:
        http = self._session.last_http
        return (http.tls or "none") if http is not None else "none"
