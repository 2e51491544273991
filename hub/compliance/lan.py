"""What only a neighbour sees: open ports and discovery, where this hub stands on the camera's own network.

Nothing is tried without leave: ports need a recorded consent, and the hub must be attached to the camera's network
(or, for the public address, stand outside it). One connection per named port, one after another, closed at once; no
other address is touched. Without that, the reason is `no_consent` or `no_vantage`.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from adapters.clock import Clock
from adapters.deadline import Deadline
from adapters.discovery.interfaces import Attachment, attached
from adapters.discovery.search import Search, SearchRequest
from adapters.errors import AddressRefused, BadTarget, CameraFault, TimedOut, Unreachable
from adapters.target import Target
from adapters.wire.dialer import Dialer
from standards.observation import Method, NotObserved, Observation, Observed, Provenance, Value
from standards.reason import Reason

SOURCE = "lan/1"
DEBUG_PORTS = (21, 22, 23, 2323, 9527)  # FTP, SSH, Telnet, Telnet of camera malware, a debug console (SEC-13)
USUAL_PORTS = (80, 443, 554, 8000, 8080, 8443, 8554, 34567, 37777)  # SEC-14: web, RTSP, makers' own
OUTSIDE_PORTS = (80, 443, 554, 8000, 8080, 8554, 37777, 34567)  # CON-08
EXPLAINED = frozenset({80, 443, 554})
PORT_S = 2.0
DISCOVERY_S = 5.0
TIMEOUTS_IN_A_ROW = 2  # a filter that drops packets: go on, but do not wait long


@dataclass(frozen=True, slots=True)
class LanRequest:
    """What to look at. `consent`: who agreed to port tests, "" for nobody; `known_ports`: those the hub itself uses."""

    target: Target
    consent: str = ""
    known_ports: frozenset[int] = field(default_factory=frozenset)
    discovery: bool = True


class Neighbour:
    """Looks at one camera from this machine."""

    def __init__(self, dialer: Dialer, clock: Clock, attachments: Iterable[Attachment] | None = None) -> None:
        self._dialer = dialer
        self._clock = clock
        self._attachments = tuple(attachments) if attachments is not None else None

    async def look(self, request: LanRequest) -> Mapping[str, Observation]:
        """Return ``lan.*``, ``exposure.open_ports`` and ``discovery.*``: seen, or why not. Never raises for a camera's fault."""
        try:
            address = await self._dialer.resolve(
                request.target.host, request.target.port, Deadline.after(self._clock, DISCOVERY_S)
            )
        except (AddressRefused, Unreachable, TimedOut, BadTarget) as error:
            told = self._told(request, "resolve")
            return {
                name: NotObserved(Reason.NO_VANTAGE, str(error), told)
                for name in ("lan.open_debug_ports", "lan.unexplained_ports", "exposure.open_ports")
            }
        near = self._is_neighbour(address)
        facts: dict[str, Observation] = {}
        facts |= await self._ports(request, address, near=near)
        if near and request.discovery and request.target.scheme.startswith("onvif"):
            facts |= await self._discovery(request)
        return facts

    def _is_neighbour(self, address: str) -> bool:
        ip = ipaddress.ip_address(address.split("%", 1)[0])
        places = self._attachments if self._attachments is not None else attached()
        return any(ip.version == place.version and ip in place.network for place in places)

    async def _ports(self, request: LanRequest, address: str, *, near: bool) -> dict[str, Observation]:
        outside = not near and ipaddress.ip_address(address.split("%", 1)[0]).is_global
        told = self._told(request, "TCP connect, one per port")
        lan, exposed = ("lan.open_debug_ports", "lan.unexplained_ports"), ("exposure.open_ports",)
        facts: dict[str, Observation] = {}
        for names, stands, where in (
            (lan, near, "this hub is not attached to the camera's network"),
            (exposed, outside, "this hub does not stand outside, before a public address of the camera"),
        ):
            if not stands:
                facts |= {name: NotObserved(Reason.NO_VANTAGE, where, told) for name in names}
            elif not request.consent:
                why = "nobody agreed to tests of ports"
                facts |= {name: NotObserved(Reason.NO_CONSENT, why, told) for name in names}
        if not request.consent or not (near or outside):
            return facts
        if near:
            debug = await self._open(request, DEBUG_PORTS)
            usual = await self._open(request, USUAL_PORTS)
            strange = [port for port in usual if port not in EXPLAINED | request.known_ports]
            facts["lan.open_debug_ports"] = self._seen(request, debug, DEBUG_PORTS)
            facts["lan.unexplained_ports"] = self._seen(
                request, [*debug, *strange], DEBUG_PORTS + USUAL_PORTS
            )
        else:
            found = await self._open(request, OUTSIDE_PORTS)
            facts["exposure.open_ports"] = self._seen(request, found, OUTSIDE_PORTS)
        return facts

    async def _open(self, request: LanRequest, ports: Iterable[int]) -> list[int]:
        """Return which ports take a connection. One at a time; each is closed before the next."""
        found, silent = [], 0
        for port in ports:
            wait_s = PORT_S if silent < TIMEOUTS_IN_A_ROW else PORT_S / 4
            try:
                _, writer = await self._dialer.connect(
                    request.target.host, port, Deadline.after(self._clock, wait_s), limit=1024
                )
            except TimedOut:
                silent += 1
                continue
            except (AddressRefused, Unreachable, CameraFault):
                silent = 0
                continue
            writer.transport.abort()
            found.append(port)
            silent = 0
        return found

    async def _discovery(self, request: LanRequest) -> dict[str, Observation]:
        """Ask the camera by unicast WS-Discovery, as SOAP-over-UDP allows; only its own answer counts."""
        began_s, after_s = self._clock.monotonic(), -1.0

        def heard(_device: object) -> None:
            nonlocal after_s
            if after_s < 0:
                after_s = self._clock.monotonic() - began_s

        told = self._told(request, "WS-Discovery Probe on the camera's network")
        asked = SearchRequest(host=request.target.host, timeout_s=DISCOVERY_S)
        try:
            await Search(asked, self._dialer, self._clock, heard).run()
        except (AddressRefused, Unreachable, TimedOut, BadTarget, OSError) as error:
            return {
                name: NotObserved(Reason.UNREACHABLE, str(error), told)
                for name in ("discovery.answered", "discovery.after_s")
            }
        if after_s < 0:
            return {
                "discovery.answered": Observed(False, told),
                "discovery.after_s": NotObserved(Reason.TIMED_OUT, "no answer", told),
            }
        return {
            "discovery.answered": Observed(True, told),
            "discovery.after_s": Observed(round(after_s, 2), told),
        }

    def _seen(self, request: LanRequest, found: Iterable[int], tried: Iterable[int]) -> Observed:
        value: Value = tuple(found)
        ports = ", ".join(str(port) for port in tried)
        told = self._told(request, f"TCP connect to ports {ports}; agreed by {request.consent[:80]}")
        return Observed(value, told)

    def _told(self, request: LanRequest, operation: str) -> Provenance:
        return Provenance(Method.TEST, SOURCE, operation, request.target.host, self._clock.now())
