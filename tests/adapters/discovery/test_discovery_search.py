"""Searches against real sockets: on loopback, and between network namespaces where this machine allows them."""

import asyncio
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from ws_responder import reply, responder

from adapters.clock import SystemClock
from adapters.discovery.found import Device
from adapters.discovery.search import MAX_PER_SOURCE, Search, SearchReport, SearchRequest
from adapters.errors import AddressRefused, BadTarget
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def search(request: SearchRequest, seen: list[Device] | None = None) -> SearchReport:
    """Run one search."""
    on_device = seen.append if seen is not None else lambda _device: None
    return asyncio.run(Search(request, Dialer(LAN_AND_LOOPBACK), SystemClock(), on_device).run())


def on_loopback(port: int, **words: object) -> SearchRequest:
    return SearchRequest(**{"interface": "lo", "timeout_s": 1.0, "port": port, **words})  # type: ignore[arg-type]


def test_a_camera_is_found_by_multicast_and_asked_in_three_ways_twice() -> None:
    """Six probes with six MessageIDs; replies that all relate to a probe of somebody else make one device."""
    answers = [reply("http://127.0.0.1:8080/onvif/device_service")]
    seen: list[Device] = []
    with responder(lambda _probe: answers) as told:
        report = search(on_loopback(told.port), seen)

    assert len(told.asked) == 6
    assert len(set(told.asked)) == 6
    assert [str(device.target) for device in report.devices] == ["onvif://127.0.0.1:8080"]
    assert seen == report.devices
    assert (report.devices[0].label.maker, report.devices[0].label.model) == ("ACME", "C1")
    assert report.devices[0].heard_on == ["lo"]


def test_a_named_host_is_asked_by_unicast_and_nobody_else_may_answer() -> None:
    """The probe goes to the host; a datagram from another address is not taken."""
    answers = [reply("http://127.0.0.1:8080/onvif/device_service")]
    stranger = [reply("http://127.0.0.9:8080/onvif/device_service", endpoint="urn:uuid:stranger")]
    with responder(lambda _probe: answers, group=False) as told:
        report = search(SearchRequest(host="127.0.0.1", timeout_s=0.8, port=told.port))
    with responder(lambda _probe: stranger, group=False, answer_from="127.0.0.9") as told:
        missed = search(SearchRequest(host="127.0.0.1", timeout_s=0.6, port=told.port))

    assert [device.endpoint for device in report.devices] == ["urn:uuid:2a46daf1-86f6-41ad-9458-3d184eb46a58"]
    assert told.asked, "the host was asked; somebody else answered"
    assert missed.devices == []


def test_hostile_replies_cost_nothing_but_themselves() -> None:
    """An XML bomb, 64 kB of tags, a printer and a flood beside one camera: the camera is found, the rest counted."""
    bomb = b'<!DOCTYPE x [<!ENTITY a "onvif"><!ENTITY b "&a;&a;&a;">]><x>&b;</x>'
    tower = b"<onvif>" * 9_000
    printer = reply("http://127.0.0.1/").replace(b"onvif", b"print")
    camera = reply("http://127.0.0.1:8081/onvif/device_service")
    with responder(lambda _probe: [camera, bomb, tower, printer] + [bomb] * 30) as told:
        report = search(on_loopback(told.port))

    assert [str(device.target) for device in report.devices] == ["onvif://127.0.0.1:8081"]
    assert report.others == 1
    assert report.unreadable["127.0.0.1"] > 0
    assert report.datagrams - report.dropped <= MAX_PER_SOURCE


def test_a_host_that_may_not_be_dialled_is_not_asked() -> None:
    """Cloud metadata is refused before anything is sent."""
    with pytest.raises(AddressRefused):
        search(SearchRequest(host="169.254.169.254", timeout_s=0.5))


def test_an_interface_that_is_not_there_is_said() -> None:
    """The error names the interfaces that there are."""
    with pytest.raises(BadTarget) as caught:
        search(SearchRequest(interface="no-such-interface", timeout_s=0.5))

    assert "lo" in caught.value.hint


@pytest.fixture
def namespaces() -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A namespace with two interfaces and no default route, and behind each a namespace with one address."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("network namespaces need root on Linux")
    tag = f"camhub{secrets.token_hex(3)}"
    hub, behind = f"{tag}h", [(f"{tag}a", "10.201.1"), (f"{tag}b", "10.201.2")]

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True, text=True)

    with ExitStack() as undo:
        try:
            for name in (hub, *(name for name, _net in behind)):
                ip("netns", "add", name)
                undo.callback(subprocess.run, ["ip", "netns", "del", name], check=False, capture_output=True)
            for index, (name, net) in enumerate(behind):
                ip(
                    "link",
                    "add",
                    f"{tag[-6:]}h{index}",
                    "netns",
                    hub,
                    "type",
                    "veth",
                    "peer",
                    "name",
                    "eth0",
                    "netns",
                    name,
                )
                for space, link, last in ((hub, f"{tag[-6:]}h{index}", 1), (name, "eth0", 2)):
                    ip("-n", space, "addr", "add", f"{net}.{last}/24", "dev", link)
                    ip("-n", space, "link", "set", link, "up")
        except (OSError, subprocess.CalledProcessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            pytest.skip(f"this machine makes no network namespaces: {said.strip()[:120]}")
        yield hub, [(name, f"{net}.2") for name, net in behind]


def test_two_networks_and_no_default_route_give_both_cameras(
    namespaces: tuple[str, list[tuple[str, str]]],
) -> None:
    """One camera behind each of two interfaces: one socket per interface finds 2 of 2 (quirk 56)."""
    hub, cameras = namespaces
    with ExitStack() as undo:
        for name, address in cameras:
            program = undo.enter_context(
                subprocess.Popen(
                    [
                        "ip",
                        "netns",
                        "exec",
                        name,
                        sys.executable,
                        str(Path(__file__).with_name("ws_responder.py")),
                        address,
                    ],
                    stdout=subprocess.PIPE,
                )
            )
            undo.callback(program.kill)
            assert program.stdout is not None
            assert program.stdout.readline() == b"ready\n"
        told = subprocess.run(
            ["ip", "netns", "exec", hub, sys.executable, "-m", "hub", "discover", "--json", "--timeout", "2"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)["devices"]
    assert sorted(device["target"] for device in found) == ["onvif://10.201.1.2", "onvif://10.201.2.2"]
