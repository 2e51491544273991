"""One probe of one device: the listed reads, in an order that asks least and learns the login's scheme first."""

from collections.abc import Iterable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

from adapters.errors import (
    AdapterError,
    AddressRefused,
    AuthenticationFailed,
    CameraFault,
    CoolingDown,
    PermissionDenied,
    RemoteProtocolError,
    TimedOut,
    Unreachable,
    Unsupported,
)
from adapters.onvif import mapping, operations, snapshot
from adapters.onvif.addresses import AddressBook
from adapters.onvif.collect import Facts, why
from adapters.onvif.media import MediaReader, streams_of
from adapters.onvif.operations import Operation
from adapters.onvif.reply import Challenged, Reply
from adapters.onvif.session import OnvifSession
from adapters.onvif.soap import MAX_TYPED_BYTES, Wsdl
from adapters.port import ProbeContext, ProbeRequest, ProbeResult, Progress, StreamOffer
from adapters.target import Target
from adapters.wire.http import HttpClient, HttpReply
from adapters.wire.redaction import Redactor
from standards.observation import freeze
from standards.reason import Reason

DEFAULT_PATH = "/onvif/device_service"
REACH_LIMIT_S = 3.0  # CON-01: each answer within 3 s
REACH_READS = 3
CLOCK_READS = 5  # TIM-02: the median of five
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
NOT_OURS = frozenset({"device.endpoint_reference_stable"})  # worked out by the hub, over many probes
_TIME_FACTS = (
    "time.utc_present",
    "time.offset_s",
    "time.source",
    "time.zone_offset_min",
    "time.daylight_savings",
)
_CLAIMS = {
    "claimed_encoding": "encoding",
    "claimed_width": "width",
    "claimed_height": "height",
    "claimed_fps": "fps",
    "claimed_bitrate_kbps": "bitrate_kbps",
    "claimed_gov_length": "gov_length",
}


class _Ended(Exception):
    """The probe stops here: `error` says why, and the facts that are still open get its reason."""

    def __init__(self, error: AdapterError, operation: object) -> None:
        super().__init__(str(error))
        self.error = error
        self.operation = operation


def _answers(error: AdapterError) -> bool:
    """Tell whether an error is a word of ONVIF, though not the one asked for (quirks 4, 5, 69)."""
    soap = isinstance(error, CameraFault) and not error.fault.startswith("HTTP ")
    return soap or isinstance(error, (Challenged, Unsupported))


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
        self._services: dict[str, None] = {}
        self._services_http: HttpReply | None = None
        self._step = "address"
        self._offers: tuple[StreamOffer, ...] = ()
        self._snapshot: Target | None = None

    async def run(self) -> ProbeResult:
        """Ask everything there is to ask and return what was learned. Never raises for a camera's fault."""

        def count() -> None:
            self._context.courtesy.reads += 1

        scheme = "https" if self._target.scheme in {"onvifs", "https"} else "http"
        path = self._target.path if self._target.path not in {"", "/"} else DEFAULT_PATH
        failure: AdapterError | None = None
        async with HttpClient(
            self._context.dialer, self._context.clock, self._target.host, on_request=count
        ) as http:
            self._http = http
            self._session = OnvifSession(
                http,
                f"{scheme}://{self._target.authority}{path}",
                self._request.credential,
                self._context,
                self._request.deadline,
            )
            try:
                await self._steps()
            except _Ended as ended:
                failure = ended.error
                self._after(ended)
                self._tell("failed", str(failure))
        self._conclude(failure)
        return ProbeResult(self._facts.observations(), self._offers, self._snapshot, failure)

    async def _steps(self) -> None:
        self._tell("running", f"asking {self._target.authority} for its clock", step="address")
        await self._clock(anonymous=True)
        refused = await self._list_services(anonymous=True)
        if not self._session.spoke and not self._session.login.challenges:
            raise self._not_onvif()
        self._tell("ok", "answers with ONVIF")

        self._tell("running", "asking without a login, which should be refused", step="login")
        media = MediaReader(self._session, self._wsdl, self._services)
        await self._anonymous(media.profiles_operation, media.profiles_body, "onvif.anonymous_read_media")
        system = operations.GET_DEVICE_INFORMATION
        await self._anonymous(system, self._wsdl.render(system), "onvif.anonymous_read_system")
        read = False
        if "device" not in self._session.login.challenges and self._session.login.challenges:
            read = True  # only media wants a login, so media makes it
            await self._media(media)
        information = await self._device_information()
        if self._session.login.accepted:
            if not self._facts.knows("time.utc_present"):
                await self._clock(anonymous=False)
            if refused:
                await self._list_services(anonymous=False)
                media = MediaReader(self._session, self._wsdl, self._services)
        self._tell("ok", self._login_sentence())

        self._tell("running", "reading what the device is", step="identify")
        await self._identity()
        self._tell("ok", information or "the device does not say what it is")

        self._tell("running", "reading its streams and snapshot", step="picture")
        if not read:
            await self._media(media)
        await self._streams(media)
        await self._still(media)
        main = next((offer for offer in self._offers if offer.layer == "main"), None)
        if main is None:
            self._tell("failed", "no stream address was given")
        else:
            self._tell("ok", f"{main.encoding or 'video'} {main.width}x{main.height} at {main.target.url}")

    # --- asking -------------------------------------------------------------------------------------------------

    async def _ask(
        self, operation: Operation, body: bytes, facts: Iterable[str], *, anonymous: bool = False
    ) -> Reply | None:
        """Ask; where it fails, record why for `facts` and return None, or end the probe."""
        names = tuple(facts)
        try:
            return await self._session.ask(operation, body, anonymous=anonymous)
        except AdapterError as error:
            self._facts.failed(names, error, operation)
            self._end_if_final(error, operation)
            return None

    def _end_if_final(self, error: AdapterError, operation: object) -> None:
        """End the probe where going on is useless or impolite."""
        final = isinstance(error, (AuthenticationFailed, CoolingDown, AddressRefused))
        if final or self._session.stopped is not None or self._session.login.failure is error:
            raise _Ended(error, operation) from error

    def _tell(self, state: str, detail: str, *, step: str = "") -> None:
        self._step = step or self._step
        self._context.progress(Progress(self._step, state, detail))

    # --- steps --------------------------------------------------------------------------------------------------

    async def _clock(self, *, anonymous: bool) -> None:
        """Read the clock: three reads count for reach.*, five for the offset."""
        operation = operations.GET_SYSTEM_DATE_AND_TIME
        body = self._wsdl.render(operation)
        offsets: list[float] = []
        answers, slowest_s = 0, 0.0
        last: AdapterError | None = None
        for attempt in range(CLOCK_READS):
            if attempt >= REACH_READS and not offsets:
                break
            try:
                reply = await self._session.ask(operation, body, anonymous=anonymous, limit_s=REACH_LIMIT_S)
            except AdapterError as error:
                last = error
                if not _answers(error):
                    if anonymous and not answers and self._hopeless(error):
                        self._facts.failed(
                            ("reach.answers", "reach.slowest_s", *_TIME_FACTS), error, operation
                        )
                        raise _Ended(error, operation) from error
                    continue
            else:
                self._take_time(mapping.system_time(reply), reply, offsets)
            if attempt < REACH_READS and self._session.last_http is not None:
                answers += 1
                slowest_s = max(slowest_s, self._session.last_http.took_s)
        if anonymous and (answers or last is None):
            self._facts.saw("reach.answers", answers, operation, self._session.last_http)
            self._facts.saw("reach.slowest_s", round(slowest_s, 3), operation, self._session.last_http)
        elif anonymous and last is not None:
            self._facts.failed(("reach.answers", "reach.slowest_s"), last, operation)
        if offsets:
            middle = median(offsets)
            self._session.clock_offset = timedelta(seconds=middle)
            self._facts.saw("time.offset_s", round(middle, 3), operation, self._session.last_http)
        elif (
            last is not None
            and not self._facts.knows("time.utc_present")
            and not isinstance(last, Challenged)
        ):
            self._facts.failed(_TIME_FACTS, last, operation)
        if not offsets and anonymous:
            self._borrow_clock()

    def _hopeless(self, error: AdapterError) -> bool:
        """Tell whether the first word of a peer shows that nothing will come of more reads."""
        if self._session.stopped is not None or isinstance(error, (Unreachable, AddressRefused)):
            return True
        if isinstance(error, RemoteProtocolError):
            return error.reason in {Reason.NOT_THE_PROTOCOL, Reason.MALFORMED_HTTP}
        return not isinstance(error, (TimedOut, CameraFault))

    def _take_time(self, told: mapping.SystemTime, reply: Reply, offsets: list[float]) -> None:
        """Take one reading: facts from the first, an offset from each."""
        operation, http = reply.operation, reply.http
        zone = told.zone_offset_min
        camera = told.utc
        if camera is None and told.local is not None and zone is not None:
            camera = told.local.replace(tzinfo=UTC) - timedelta(minutes=zone)  # quirk 2
        if camera is not None:
            halfway = http.started_at + timedelta(seconds=http.took_s / 2)
            offsets.append((camera - halfway).total_seconds())
        if self._facts.knows("time.utc_present"):
            return
        self._facts.saw("time.utc_present", told.utc is not None, operation, http)
        for fact, value in (
            ("time.source", told.source or None),
            ("time.zone_offset_min", zone),
            ("time.daylight_savings", told.daylight_savings),
        ):
            if value is None:
                self._facts.missed(
                    (fact,), Reason.EMPTY_REPLY, f"{operation}: the answer does not tell it", operation
                )
            else:
                self._facts.saw(fact, value, operation, http)
        if camera is None:
            self._facts.missed(
                ("time.offset_s",), Reason.EMPTY_REPLY, f"{operation}: the answer holds no time", operation
            )

    def _borrow_clock(self) -> None:
        """Take the device's clock from an HTTP Date header where it tells no time: only to sign with (quirk 2)."""
        http = self._session.last_http
        try:
            told = parsedate_to_datetime(http.header("date")) if http is not None else None
        except (ValueError, TypeError):
            return
        if told is not None and told.tzinfo is not None and http is not None:
            self._session.clock_offset = told - http.started_at

    async def _list_services(self, *, anonymous: bool) -> bool:
        """Ask GetServices and GetCapabilities and unite them (quirks 24, 25). Return whether a login is wanted."""
        refused = False
        last: AdapterError | None = None
        found: dict[str, str] = {}
        for operation, read, body in (
            (
                operations.GET_SERVICES,
                mapping.services,
                self._wsdl.render(operations.GET_SERVICES, IncludeCapability=False),
            ),
            (
                operations.GET_CAPABILITIES,
                mapping.capabilities,
                self._wsdl.render(operations.GET_CAPABILITIES, Category="All"),
            ),
        ):
            try:
                reply = await self._session.ask(operation, body, anonymous=anonymous)
            except Challenged as error:
                refused, last = True, error
                continue
            except AdapterError as error:
                last = error
                self._end_if_final(error, operation)
                continue
            for service, address in read(reply).items():
                found.setdefault(service, address)
            self._services_http = reply.http
        operation = operations.GET_SERVICES
        if "device" in found:
            self._addresses.learn(found["device"])
        for service, address in found.items():
            self._services[service] = None
            url = self._addresses.service(address)
            if url is not None and service != "device":
                self._session.endpoints[service] = url
        if found:
            self._facts.saw("onvif.services", tuple(sorted(found)), operation, self._services_http)
        elif last is not None:
            self._facts.failed(("onvif.services", "onvif.xaddr"), last, operation)
        else:
            self._facts.missed(
                ("onvif.services", "onvif.xaddr"),
                Reason.EMPTY_REPLY,
                f"{operation}: no service is listed",
                operation,
            )
        if self._addresses.seen:
            told = "rewritten" if self._addresses.rewritten else "same"
            self._facts.saw("onvif.xaddr", told, operation, self._services_http)
        elif found:
            self._facts.missed(
                ("onvif.xaddr",), Reason.EMPTY_REPLY, f"{operation}: no usable address is listed", operation
            )
        return refused

    async def _anonymous(self, operation: Operation, body: bytes, fact: str) -> None:
        """Make the negative test: one read without a credential, its answer not kept (standard section 4)."""
        try:
            reply = await self._session.ask(operation, body, anonymous=True)
        except Challenged as error:
            self._facts.saw(fact, "refused", operation, error.http)
        except AdapterError as error:
            self._facts.failed((fact,), error, operation)
            self._end_if_final(error, operation)
        else:
            self._facts.saw(fact, "answered", reply.operation)

    async def _device_information(self) -> str:
        """Read what the device is: the login, where it wants one. Return "maker model" for people."""
        operation = operations.GET_DEVICE_INFORMATION
        names = ("manufacturer", "model", "firmware", "serial", "hardware_id")
        reply = await self._ask(operation, self._wsdl.render(operation), (f"device.{name}" for name in names))
        if reply is None:
            return ""
        self._check_schema(reply)
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
        reply = await self._ask(operation, self._wsdl.render(operation), facts, anonymous=not opened)
        if reply is not None:
            self._check_schema(reply)
        return reply

    def _check_schema(self, reply: Reply) -> None:
        """Note replies that zeep cannot read by their schema without loss."""
        short = len(reply.http.body) <= MAX_TYPED_BYTES
        if (
            short
            and self._wsdl.knows(reply.operation)
            and not self._wsdl.conforms(reply.operation, reply.root)
        ):
            self._session.quirks[f"off_schema:{reply.operation.name}"] = None

    async def _media(self, media: MediaReader) -> None:
        """Read the MediaProfiles, of media2 first where it is there (quirks 44-46)."""
        facts = ("onvif.media_profiles", "onvif.encodings")
        try:
            await media.read_profiles()
        except AdapterError as error:
            self._facts.failed(facts, error, media.profiles_operation)
            self._end_if_final(error, media.profiles_operation)
            return
        listed = [
            {
                "token": item.token,
                "name": item.name,
                "source": item.source,
                "encoding": item.encoding,
                "width": item.width,
                "height": item.height,
                "fps": item.fps,
                "bitrate_kbps": item.bitrate_kbps,
                "gov_length": item.gov_length,
                "service": item.service,
            }
            for item in media.profiles
        ]
        encodings = tuple(sorted({item.encoding for item in media.profiles if item.encoding}))
        self._facts.saw("onvif.media_profiles", freeze(listed), media.profiles_operation, media.profiles_http)
        self._facts.saw("onvif.encodings", encodings, media.profiles_operation, media.profiles_http)

    async def _streams(self, media: MediaReader) -> None:
        """Read the addresses of the main and the sub stream; that of the main one twice (STR-02)."""
        main, sub = streams_of(media.profiles)
        uri_facts = ("onvif.stream_uri_stable", "onvif.stream_uri_octets")
        offers: list[StreamOffer] = []
        for layer, profile in (("main", main), ("sub", sub)):
            claims = tuple(f"stream.{layer}.{name}" for name in _CLAIMS)
            if profile is None:
                if media.profiles_http is None:
                    continue  # GetProfiles failed: `_conclude` says so
                count = len(media.profiles)
                detail = f"{media.profiles_operation}: {count or 'no'} MediaProfile(s), none for the {layer} stream"
                self._facts.missed(claims, Reason.DENIED_BY_DEVICE, detail, media.profiles_operation)
                if layer == "main":
                    self._facts.missed(uri_facts, Reason.DENIED_BY_DEVICE, detail, media.profiles_operation)
                continue
            for name, field in _CLAIMS.items():
                value = getattr(profile, field)
                if value:
                    self._facts.saw(
                        f"stream.{layer}.{name}", value, media.profiles_operation, media.profiles_http
                    )
                else:
                    self._facts.missed(
                        (f"stream.{layer}.{name}",),
                        Reason.EMPTY_REPLY,
                        f"{media.profiles_operation}: MediaProfile {profile.token} does not tell it",
                        media.profiles_operation,
                    )
            operation = media.stream_operation
            try:
                reply = await media.stream_uri(profile.token)
                told = mapping.uri(reply)
                if layer == "main":
                    again = mapping.uri(await media.stream_uri(profile.token))
                    self._facts.saw("onvif.stream_uri_stable", told == again, operation, reply.http)
                    octets = self._addresses.octets(told)
                    if octets:
                        self._facts.saw("onvif.stream_uri_octets", octets, operation, reply.http)
            except AdapterError as error:
                if layer == "main":
                    self._facts.failed(uri_facts, error, operation)
                self._offers = tuple(offers)
                self._end_if_final(error, operation)
                continue
            target = self._addresses.stream(told)
            if target is None:
                if layer == "main":
                    self._facts.missed(
                        uri_facts,
                        Reason.EMPTY_REPLY,
                        f"{operation}: the answer holds no RTSP address",
                        operation,
                    )
                continue
            offers.append(
                StreamOffer(
                    target,
                    layer,
                    profile.encoding,
                    profile.width,
                    profile.height,
                    profile.token,
                    profile.source,
                )
            )
        self._offers = tuple(offers)

    async def _still(self, media: MediaReader) -> None:
        """Read the snapshot address, then ask it without and with the credential; no picture is read."""
        facts = ("snapshot.anonymous", "snapshot.status", "snapshot.content_type")
        main, _sub = streams_of(media.profiles)
        operation: object = media.snapshot_operation
        if main is None:
            if media.profiles_http is not None:
                self._facts.missed(
                    facts, Reason.DENIED_BY_DEVICE, f"{operation}: no MediaProfile to ask for", operation
                )
            return
        try:
            reply = await media.snapshot_uri(main.token)
        except Unsupported as error:
            self._no_snapshot(error, operation)
            return
        except AdapterError as error:
            self._facts.failed(facts, error, operation)
            self._end_if_final(error, operation)
            return
        target = self._addresses.picture(mapping.uri(reply))
        if target is None:
            missing = f"{operation}: the answer holds no HTTP address"
            self._facts.saw("snapshot.anonymous", "none", operation, reply.http)
            self._facts.missed(facts, Reason.DENIED_BY_DEVICE, missing, operation)
            return
        self._snapshot = target
        operation = snapshot.OPERATION
        try:
            answer = await snapshot.anonymous_get(self._http, target, self._request.deadline)
            if not self._judge_anonymous(answer):
                return
            if answer.status == 401:
                answer = await snapshot.login_get(
                    self._http,
                    answer,
                    self._request.credential,
                    self._context,
                    self._request.deadline,
                    read_body=False,
                    login_accepted=self._session.login.accepted,
                )
        except PermissionDenied:
            self._facts.saw("snapshot.status", 401, operation)
            self._facts.missed(
                facts, Reason.NO_PRIVILEGE, f"{operation}: the login was refused here", operation
            )
        except AuthenticationFailed as error:
            self._facts.failed(facts, error, operation)
            if error.credential_sent:
                self._session.login.failure = error
                raise _Ended(error, operation) from error
        except AdapterError as error:
            self._facts.failed(facts, error, operation)
        else:
            self._facts.saw("snapshot.status", answer.status, operation, answer)
            if answer.status == 200 and answer.media_type:
                self._facts.saw("snapshot.content_type", answer.media_type[:64], operation, answer)
            else:
                detail = f"{operation}: HTTP {answer.status} names no media type"
                self._facts.missed(("snapshot.content_type",), Reason.EMPTY_REPLY, detail, operation)

    def _no_snapshot(self, error: AdapterError, operation: object) -> None:
        """Record that the device has no snapshot address."""
        self._facts.saw("snapshot.anonymous", "none", operation, self._session.last_http)
        self._facts.failed(("snapshot.status", "snapshot.content_type"), error, operation)

    def _judge_anonymous(self, answer: HttpReply) -> bool:
        """Record what the snapshot address says to a stranger. Return whether to go on."""
        operation = snapshot.OPERATION
        schemes = tuple(challenge.label for challenge in snapshot.offered(answer))
        self._session.schemes.update(dict.fromkeys(schemes))
        if answer.status in {401, 403}:
            self._facts.saw("snapshot.anonymous", "refused", operation, answer)
            return True
        if answer.status == 200 and not answer.media_type.startswith("text/"):
            self._facts.saw("snapshot.anonymous", "answered", operation, answer)
            return True
        detail = f"{operation}: HTTP {answer.status} with {answer.media_type or 'no media type'}, no picture"
        decided = Reason.CONTRADICTORY if answer.status == 200 else Reason.DEVICE_FAULT
        self._facts.missed(("snapshot.anonymous", "snapshot.content_type"), decided, detail, operation)
        self._facts.saw("snapshot.status", answer.status, operation, answer)
        return False

    # --- the end ------------------------------------------------------------------------------------------------

    def _not_onvif(self) -> _Ended:
        operation = operations.GET_SERVICES
        error = RemoteProtocolError(
            f"{operation}: {self._target.authority} answers, but not with ONVIF",
            reason=Reason.NOT_THE_PROTOCOL,
            peer=self._target.authority,
            operation=str(operation),
            hint="Check that ONVIF is switched on in the camera, and the port and path of its ONVIF service",
        )
        return _Ended(error, operation)

    def _login_sentence(self) -> str:
        login = self._session.login
        if login.accepted:
            return f"logged in ({login.scheme})"
        return "the device answers without a login"

    def _after(self, ended: _Ended) -> None:
        """Give every open fact the reason of the end."""
        error = ended.error
        reason, detail = why(error)
        if isinstance(error, (AuthenticationFailed, CoolingDown)):
            reason, detail = Reason.NO_CREDENTIAL, f"not asked: {detail}"
        self._schemes(ended.operation)
        self._facts.complete(PREFIXES, NOT_OURS, reason, detail, ended.operation)

    def _schemes(self, operation: object) -> None:
        """Record the schemes that were offered, where anything was said about them."""
        if self._session.schemes or self._facts.knows("onvif.anonymous_read_system"):
            self._facts.saw("http.auth_schemes", tuple(self._session.schemes), operation)

    def _conclude(self, failure: AdapterError | None) -> None:
        """Record what the whole probe tells, and close every fact that is still open."""
        session, facts = self._session, self._facts
        step = operations.GET_DEVICE_INFORMATION
        interfaces = ("onvif", "rtsp") if self._offers else ("onvif",)
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
        quirks = {**session.quirks, **self._addresses.quirks}
        facts.saw("onvif.quirks", tuple(sorted(quirks)), "ONVIF probe")
        facts.complete(
            PREFIXES,
            NOT_OURS,
            Reason.NOT_ASKED,
            "not asked: an earlier read of this probe failed",
            "ONVIF probe",
        )

    def _tls(self) -> str:
        http = self._session.last_http
        return (http.tls or "none") if http is not None else "none"
