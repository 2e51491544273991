"""Transcodes with hardware tried beside: what the worker counts, tells and remembers. libx264 stands in for hardware."""

import asyncio
import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from decode_pictures import picture

from adapters.port import AccessUnit, Track
from hub.decode.recode import RecodeSetup
from hub.decode.recode_messages import Coder
from hub.relay.camera import hardware
from hub.relay.camera.hardware import ASIDE_S, Hardware
from hub.relay.camera.processing import Picture
from hub.relay.camera.transcoding import Places, TranscodeH264, Transcoding

PROGRAM = Path(__file__).parents[1] / "decode" / "coding_program.py"
TRACK = Track(0, "video", "JPEG", 90_000)


@pytest.fixture
def there(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is something to try on this machine."""
    monkeypatch.setattr(hardware, "may_be_there", lambda _kind: True)


def test_hardware_that_failed_is_left_alone_for_a_while(there: None) -> None:
    """It is tried again ten minutes later; what may have been of one stream alone keeps nobody from trying."""
    known = Hardware()
    assert known.kind("auto", 0.0) == "v4l2m2m"
    known.told(Coder("libx264", "", "would not open", aside=False), "peer", 1.0)
    assert known.kind("auto", 2.0) == "v4l2m2m"
    failed = Coder("libx264", "/dev/video11", "the coder gives pictures late", aside=True)
    known.told(failed, "peer", 3.0)
    assert (known.kind("auto", 4.0), known.last) == ("", failed)
    assert known.kind("auto", 3.0 + ASIDE_S) == "v4l2m2m"
    assert known.kind("software", 5000.0) == ""
    assert known.last == Coder("libx264")


def test_a_machine_without_hardware_starts_no_process_for_it_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The files of devices are looked for first."""
    monkeypatch.setattr(hardware, "may_be_there", lambda _kind: False)
    known = Hardware()
    assert known.kind("auto", 0.0) == ""
    assert known.last == Coder("libx264", why="v4l2m2m: there is no device")


@pytest.mark.long
def test_hardware_that_dies_in_mid_stream_costs_no_new_process(there: None) -> None:
    """Counted, told and set aside; the transcode goes on with libx264 without a restart."""

    async def main() -> None:
        async with asyncio.timeout(150):
            out: list[Picture] = []
            places = Places(1)
            setup = RecodeSetup(coding=(sys.executable, str(PROGRAM), "dies:4"))
            how = Transcoding(encoder="auto", key_every_s=0.1, setup=setup)
            transcode = TranscodeH264(out.append, how, places, "camera-1 main")
            transcode.begin(TRACK, 0.0)
            most = 0

            async def until(done: Callable[[], bool]) -> None:
                nonlocal most
                for number in itertools.count(out[-1].timestamp // 3600 + 1 if out else 0):
                    if done():
                        return
                    nals = list(picture("JPEG", seed=number % 3))
                    transcode.take(AccessUnit(0, 3600 * number, 0.0, nals, True))
                    await asyncio.sleep(0.02)
                    most = max(most, places.hardware.streams)

            try:
                await until(lambda: bool(places.hardware.failed))
                shown = len(out)
                await until(lambda: len(out) > shown + 5)
            finally:
                await transcode.aclose()
            assert (most, places.hardware.streams, places.hardware.failed, places.failed) == (1, 0, 1, 0)
            assert places.hardware.last is not None
            assert places.hardware.last.device == "/dev/full (x264)"
            assert places.hardware.last.why == "the coding process ended over a picture"
            assert places.hardware.kind("auto", asyncio.get_running_loop().time()) == ""

    asyncio.run(main())
