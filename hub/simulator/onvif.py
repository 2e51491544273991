"""The ONVIF side of a scripted camera: its services, its pull points, and the snapshot."""

from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from hub.simulator.device import REALM, Device
from hub.simulator.digest import DigestVerifier, Login
from hub.simulator.events import PATH as PULL_POINTS
from hub.simulator.http import HttpReply, HttpRequest, HttpServer
from hub.simulator.presets import OnvifScript
from hub.simulator.replies import NAMESPACES, PATHS, event_replies, operations, snapshot_path
from hub.simulator.soap import (
    EVENTS,
    NOTIFICATION,
    Call,
    SoapFault,
    TokenVerifier,
    envelope,
    not_authorized,
    not_supported,
    parse,
)

_SOAP = "application/soap+xml; charset=utf-8"
# ONVIF Core 5.9.4.3, access class PRE_AUTH: answered without a login
_PRE_AUTH = frozenset(
    {
        "GetSystemDateAndTime",
        "GetServices",
        "GetCapabilities",
        "GetServiceCapabilities",
        "GetHostname",
        "GetEndpointReference",
        "GetWsdlUrl",
    }
)
# READ_SYSTEM_SECRET: the account that is handed out has User level, which may not
_ADMINISTRATOR = frozenset({"GetUsers", "GetAccessPolicy", "GetSystemLog", "GetSystemBackup"})
_ACTUATE = frozenset({"ContinuousMove", "Stop", "GotoPreset"})  # operators and administrators

Answer = Callable[[Call], str | Awaitable[str]]


class OnvifServer:
    """Serves ONVIF and the snapshot of one device over HTTP."""

    def __init__(self, device: Device) -> None:
        self._device = device
        script = device.preset.onvif
        assert script is not None
        self._script: OnvifScript = script
        self.verifier = DigestVerifier(device.clock, REALM, script.algorithms, script.nonce_lifetime_s)
        self._tokens = TokenVerifier(device, script.token_age_s)
        self._http = HttpServer(device, self._handle)
        self._operations = operations(device, script)
        self._pull_points = event_replies(device, script) if "events" in script.services else None
        self._stills = {snapshot_path(source): source for source in device.preset.sources}

    async def start(self, host: str, port: int) -> int:
        """Listen and return the port.

        Raises:
            OSError: the address cannot be had.
        """
        return await self._http.start(host, port)

    async def kill(self) -> None:
        """Cut every connection and stop listening."""
        await self._http.kill()

    async def _handle(self, request: HttpRequest) -> HttpReply:
        if self._script.answer_delay_s:
            await self._device.clock.sleep(self._script.answer_delay_s)
        path = urlsplit(request.target).path
        if path in self._stills and self._script.snapshot:
            return await self._snapshot(request, self._stills[path])
        service = next((name for name in self._script.services if PATHS[name] == path), None)
        point = path.removeprefix(PULL_POINTS) if path.startswith(PULL_POINTS) else ""
        if service is None and not (point and self._pull_points is not None):
            self._device.count("not found")
            return HttpReply(404, body=b"not found\n")
        if request.method != "POST":
            self._device.count("not allowed")
            return HttpReply(405, body=b"POST a SOAP request\n", headers=[("Allow", "POST")])
        try:
            call = parse(request.body)
            self._device.count(call.operation)
            reply = (
                self._operation(service, call) if service is not None else self._of_pull_point(point, call)
            )
            refusal = self._login(request, call)
            if refusal is not None:
                return refusal
            told = reply(call)
            return HttpReply(200, _SOAP, envelope(told if isinstance(told, str) else await told))
        except SoapFault as fault:
            return HttpReply(fault.status, _SOAP, fault.body)

    def _of_pull_point(self, name: str, call: Call) -> Answer:
        assert self._pull_points is not None
        known = self._pull_points.of_pull_point(name)
        namespace = EVENTS if call.operation == "PullMessages" else NOTIFICATION
        if call.operation in self._script.refused_operations or call.namespace != namespace:
            raise not_supported(call.operation)
        if call.operation not in known:
            raise not_supported(call.operation)
        return known[call.operation]

    def _operation(self, service: str, call: Call) -> Answer:
        known = self._operations[service]
        if call.operation in self._script.refused_operations or call.namespace != NAMESPACES[service]:
            raise not_supported(call.operation)
        if call.operation in _ADMINISTRATOR and service == "device":
            return _forbidden
        if call.operation in _ACTUATE and self._script.level == "user":
            return _forbidden
        if call.operation not in known:
            raise not_supported(call.operation)
        return known[call.operation]

    def _login(self, request: HttpRequest, call: Call) -> HttpReply | None:
        """Return the refusal of a request, or None where it may pass."""
        if call.operation in _PRE_AUTH or (self._script.auth == "none" and not self._device.refuse_all):
            return None
        login = Login.NONE
        if self._script.auth != "wsse":
            login = self._digest(request)
        if login is Login.NONE:
            login = self._tokens.judge(call.token)
            if login is Login.REFUSED:
                fault = not_authorized()
                return HttpReply(fault.status, _SOAP, fault.body)
        if login is Login.ACCEPTED:
            return None
        if self._script.auth == "wsse":
            fault = not_authorized()
            return HttpReply(fault.status, _SOAP, fault.body)
        return self._challenge(login, not_authorized(401).body, _SOAP)

    async def _snapshot(self, request: HttpRequest, source: int) -> HttpReply:
        self._device.count("snapshot")
        if request.method not in ("GET", "HEAD"):
            return HttpReply(405, headers=[("Allow", "GET, HEAD")])
        if self._script.auth != "none" or self._device.refuse_all:
            login = self._digest(request)
            if login is not Login.ACCEPTED:
                return self._challenge(login, b"401 Unauthorized\n", "text/plain")
        main = self._device.preset.stream("main", source)
        assert main is not None
        still = await self._device.studio.still(self._device.preset, main)
        return HttpReply(200, "image/jpeg", still, [("Cache-Control", "no-store")])

    def _digest(self, request: HttpRequest) -> Login:
        header = request.headers.get("authorization")
        return self._device.judge(self.verifier, header, request.method, request.target)

    def _challenge(self, login: Login, body: bytes, content_type: str) -> HttpReply:
        challenges = self.verifier.challenges(stale=login is Login.STALE)
        return HttpReply(401, content_type, body, [("WWW-Authenticate", value) for value in challenges])


def _forbidden(_call: Call) -> str:
    raise not_authorized(403)
