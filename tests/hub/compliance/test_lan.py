"""Ports and discovery: only as a neighbour, only with leave, only the named ports of the one address."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.clock import SystemClock
from adapters.discovery.interfaces import Attachment
from adapters.target import parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from hub.compliance import lan
from hub.compliance.lan import LanRequest, Neighbour
from standards.observation import NotObserved, Observations, Observed
from standards.reason import Reason

HERE = (Attachment("lo", 1, "127.0.0.1", 8),)
TARGET = parse_target("rtsp://127.0.0.1:554/")[0]


@contextmanager
def listening() -> Iterator[int]:
    """Listen on a free port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def look(consent: str, attachments: tuple[Attachment, ...] = HERE) -> tuple[Observations, int]:
    """Look at loopback; return what was seen and how many connections were opened."""
    dialer = Dialer(LAN_AND_LOOPBACK)
    neighbour = Neighbour(dialer, SystemClock(), attachments)
    seen = asyncio.run(neighbour.look(LanRequest(TARGET, consent, discovery=False)))
    return Observations(seen), dialer.opened


def reason(seen: Observations, fact: str) -> Reason:
    """Return why a fact was not seen."""
    one = seen[fact]
    assert isinstance(one, NotObserved)
    return one.reason


def test_without_leave_no_port_is_tried() -> None:
    """A neighbour without consent opens nothing and says so."""
    seen, opened = look("")
    assert opened == 0
    assert reason(seen, "lan.open_debug_ports") is Reason.NO_CONSENT
    assert reason(seen, "lan.unexplained_ports") is Reason.NO_CONSENT
    assert reason(seen, "exposure.open_ports") is Reason.NO_VANTAGE


def test_away_from_the_network_no_port_is_tried() -> None:
    """With consent but on another network nothing is opened either: it would be somebody else's network."""
    seen, opened = look("Nguyễn Thị Hoa", (Attachment("eth0", 2, "10.1.2.3", 24),))
    assert opened == 0
    assert reason(seen, "lan.open_debug_ports") is Reason.NO_VANTAGE


def test_named_ports_are_tried_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a neighbour with consent, each named port gets one connection; open ones are told, and by whose leave."""
    with listening() as debug, listening() as strange:
        monkeypatch.setattr(lan, "DEBUG_PORTS", (debug,))
        monkeypatch.setattr(lan, "USUAL_PORTS", (strange,))
        seen, opened = look("Nguyễn Thị Hoa")
    assert opened == 2
    assert seen.value("lan.open_debug_ports") == (debug,)
    assert seen.value("lan.unexplained_ports") == (debug, strange)
    told = seen["lan.open_debug_ports"]
    assert isinstance(told, Observed)
    assert "Nguyễn Thị Hoa" in told.provenance.operation
