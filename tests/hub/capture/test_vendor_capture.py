"""Cameras that are read over their makers' interfaces are captured and replayed as the others are."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import corpus
import pytest
from vendor_replay import (
    PASSWORD,
    USER,
    Answer,
    Replayer,
    axis_recorded,
    dahua_captured,
    dahua_device,
    isapi_device,
    serving,
)

from adapters.clock import SystemClock
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import Target
from hub.capture.run import Capture, CaptureRequest, replay_facts
from standards.pack import packaged

pytestmark = pytest.mark.long


@corpus.needs_corpus
@pytest.mark.parametrize(
    ("scheme", "device", "model", "serial"),
    [
        ("hikvision", lambda: isapi_device("10_18_176_10"), "DS-2DF8C832MX-ZDK", "SN-TEST"),
        ("dahua", lambda: dahua_device(dahua_captured()), "IPC-HDW5831R-ZE", ""),
        ("axis", axis_recorded, "P5512", ""),
    ],
)
def test_a_vendor_interface_is_captured_and_replayed(
    tmp_path: Path, scheme: str, device: Callable[[], Answer], model: str, serial: str
) -> None:
    """ISAPI, Dahua's CGI and VAPIX: make, model and vendor facts come again from the redacted files alone."""
    output = tmp_path / "x"

    async def run() -> tuple[dict[str, dict[str, object]], str, tuple[str, ...]]:
        clock = SystemClock()
        async with serving(Replayer(device()).handle) as port:
            request = CaptureRequest(
                Target(scheme, "127.0.0.1", port), Credential(USER, Secret(PASSWORD)), output, window_s=0.0
            )
            capture = Capture(request, Registry.installed(), packaged(), clock)
            await capture.keep(await capture.listen())
        again = await replay_facts(output, Registry.installed(), packaged(), clock)
        return again.facts, again.failure, again.unknown

    facts, failure, unknown = asyncio.run(run())
    told = json.loads((output / "capture.json").read_text())
    text = "\n".join(path.read_text("utf-8", "replace") for path in output.rglob("*") if path.is_file())

    assert model in told["identity"]["model"]
    assert failure == told["failure"]
    assert unknown == ()
    assert {name: facts.get(name) for name in told["facts"]} == told["facts"]
    assert [name for name in told["facts"] if name.startswith(("vendor.", "device."))]
    assert PASSWORD not in text
    if serial:
        assert serial not in text
