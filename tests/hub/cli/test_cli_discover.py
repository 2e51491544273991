"""`camhub discover`: its exit codes and forms, and the scripted cameras that it finds."""

import asyncio
import json

import pytest
from click.testing import CliRunner

from adapters.clock import SystemClock
from adapters.discovery.search import Search, SearchRequest
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from hub.cli import main
from hub.cli.discover import address_of, as_document
from hub.simulator.camera import ScriptedCamera
from hub.simulator.discovery import DiscoveryResponder
from hub.simulator.presets import shipped


@pytest.mark.long
@pytest.mark.parametrize("by", ["multicast", "unicast"])
def test_scripted_cameras_are_found_with_the_address_that_check_takes(by: str) -> None:
    """Those that speak ONVIF answer with name, model and the port they listen on; RTSP-only and dead ones do not."""

    async def run() -> list[dict[str, object]]:
        names = ("good-onvif", "h265-only", "household-no-onvif", "dead")
        cameras = [ScriptedCamera(shipped()[name], SystemClock()) for name in names]
        for number, camera in enumerate(cameras):
            camera.device.onvif_port = 9000 + number
        answers = DiscoveryResponder(cameras, "127.0.0.1", 0)
        await answers.start()
        try:
            request = (
                SearchRequest(interface="lo", timeout_s=1.0, port=answers.port)
                if by == "multicast"
                else SearchRequest(host="127.0.0.1", timeout_s=1.0, port=answers.port)
            )
            report = await Search(request, Dialer(LAN_AND_LOOPBACK), SystemClock()).run()
        finally:
            await answers.aclose()
            for camera in cameras:
                await camera.stop()
        return list(as_document(report)["devices"])

    found = sorted(asyncio.run(run()), key=lambda device: str(device["target"]))

    assert [device["target"] for device in found] == ["onvif://127.0.0.1:9000", "onvif://127.0.0.1:9001"]
    assert [device["model"] for device in found] == ["CHS-720-B", "CHS-265-A"]
    assert [device["name"] for device in found] == ["Cổng UBND phường", "Cầu vượt"]


@pytest.mark.parametrize(
    ("language", "said"), [("en", "No camera answered."), ("vi", "Không có camera nào trả lời.")]
)
def test_nobody_there_is_said_with_what_may_be_the_cause(language: str, said: str) -> None:
    """Exit code 1, one sentence, and the reasons why a camera that exists may not answer."""
    told = CliRunner().invoke(
        main, ["discover", "--host", "127.0.0.77", "--timeout", "0.5", "--lang", language]
    )

    assert told.exit_code == 1
    assert told.stdout.startswith(said)
    assert "127.0.0.77" in told.stdout
    assert "camhub check" in told.stdout


def test_an_empty_search_is_a_document_too() -> None:
    """With --json the empty state is an empty list, exit code 1."""
    told = CliRunner().invoke(main, ["discover", "--host", "127.0.0.77", "--timeout", "0.5", "--json"])

    assert told.exit_code == 1
    assert json.loads(told.stdout)["devices"] == []
    assert json.loads(told.stdout)["asked"] == ["127.0.0.77"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--interface", "no-such"], "there is no interface 'no-such'"),
        (["--host", "169.254.169.254"], "link-local"),
        (["--host", "not a host"], "blank"),
    ],
)
def test_what_cannot_be_asked_ends_with_two(words: list[str], said: str) -> None:
    """No such interface, a refused host, no host at all: exit code 2, a sentence and a hint, nothing on stdout."""
    told = CliRunner().invoke(main, ["discover", *words])

    assert told.exit_code == 2
    assert said in told.stderr
    assert "hint: " in told.stderr
    assert told.stdout == ""


def test_addresses_are_as_short_as_check_takes_them() -> None:
    """Default ports and the usual path are left out, IPv6 gets brackets."""
    from adapters.target import Target

    assert address_of(Target("onvif", "192.168.1.9", 80)) == "onvif://192.168.1.9"
    assert address_of(Target("onvifs", "fd00::9", 443, "/x")) == "onvifs://[fd00::9]/x"
    assert address_of(Target("onvif", "192.168.1.9", 2020)) == "onvif://192.168.1.9:2020"
