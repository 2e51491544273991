"""How live pictures go easy on the line of whoever owns the camera.

A hop is a line that a picture crosses between the camera and the person who looks. From a camera on the hub's own network
that is one, from the hub to the person. From a camera behind its owner's Internet line it is two, and the first of them is
the line on which a family calls, learns and pays: such a household's camera gives its smaller stream alone. That holds for a
camera, not for a person: one pull serves all, so they share its stream.

What several cameras of one custodian take of their line together is bounded as well. A camera that is watched already costs
nothing more; the first stream of a custodian is always let through.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.target import parse_target
from hub.catalog.types import Camera, Kind
from hub.problems import Problem
from hub.relay.events import SourceSpec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

# Where a hub and its cameras share a network: RFC 1918, RFC 4193, loopback, link-local. Not 100.64.0.0/10: carriers' and VPNs'.
_NEAR: Final = tuple(
    ipaddress.ip_network(one)
    for one in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
)
RETRY_AFTER_S: Final = 30
SUB_KBIT_S: Final = 500
MAIN_KBIT_S: Final = 2000  # where the size of the picture is not known
_KBIT_S_PER_PIXEL: Final = 0.0022  # 2 Mbit/s at 1280x720, 4.6 at 1920x1080


@dataclass(frozen=True, slots=True)
class UplinkRules:
    """What is asked of custodians' lines. `kbit_s` by kind of custodian, `of` by custodian; no entry: no bound."""

    sub_only_above_hops: int = 1
    lines: tuple[Network, ...] = ()  # private networks that are reached over their custodians' lines
    kbit_s: Mapping[Kind, int] = field(default_factory=dict)
    of: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Held:
    custodian_id: str
    camera_id: str
    kbit_s: int


class Uplink:
    """The lines of all custodians, as far as this process uses them. `office` is who looks, in its own words."""

    def __init__(self, rules: UplinkRules, office: str) -> None:
        self._rules = rules
        self._office = office
        self._held: dict[str, _Held] = {}

    def hops(self, camera: Camera) -> int:
        """Return how many lines a picture crosses: 1 from the hub's own network, 2 where the custodian's lies before it.

        An address that is a name counts as behind a line: what is not known is not presumed to be free.
        """
        try:
            address = ipaddress.ip_address(parse_target(camera.address)[0].host)
        except ValueError:
            return 2
        near = any(address in network for network in _NEAR)
        return 1 if near and not any(address in line for line in self._rules.lines) else 2

    def sub_only(self, camera: Camera) -> bool:
        """Tell whether a camera gives its smaller stream alone, where it has one."""
        far = self.hops(camera) > self._rules.sub_only_above_hops
        return camera.custodian.kind is Kind.HOUSEHOLD and far

    def claim(self, view_id: str, camera: Camera, source: SourceSpec) -> None:
        """Take room on the custodian's line for a view, until `release`.

        Raises:
            Problem: ``uplink_full``, with how many look and when to ask again.
        """
        custodian = camera.custodian
        limit = self._rules.of.get(custodian.id, self._rules.kbit_s.get(custodian.kind))
        if limit is None or self.hops(camera) < 2:  # no line of a custodian is crossed
            return
        if not parse_target(source.url)[0].port:  # it is pushed, whoever looks
            return
        held = [one for one in self._held.values() if one.custodian_id == custodian.id]
        taken = {one.camera_id: one.kbit_s for one in held}
        asked = self._kbit_s(camera, source)
        if taken and camera.id not in taken and sum(taken.values()) + asked > limit:
            raise Problem(
                "uplink_full",
                {"n": len(held), "office": self._office, "retry_after_s": RETRY_AFTER_S},
                headers={"retry-after": str(RETRY_AFTER_S)},
            )
        self._held[view_id] = _Held(custodian.id, camera.id, asked)

    def release(self, view_id: str) -> None:
        """Give a view's room back. Idempotent."""
        self._held.pop(view_id, None)

    @staticmethod
    def _kbit_s(camera: Camera, source: SourceSpec) -> int:
        if source.layers == ("sub",):
            return SUB_KBIT_S
        width, height = camera.playback.width, camera.playback.height
        return round(width * height * _KBIT_S_PER_PIXEL) if width and height else MAIN_KBIT_S
