"""The pictures of a check: what the decode process says of them becomes observations, or a reason."""

import asyncio
import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
from decode_pictures import coded, sample

from adapters.clock import SystemClock
from adapters.errors import TimedOut
from adapters.port import (
    AdapterManifest,
    CodedPicture,
    CodedSample,
    Permission,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
)
from adapters.registry import Registry
from adapters.target import Target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook
from hub.compliance.checker import Checker, CheckOutcome, CheckRequest
from hub.compliance.pictures import NAMES, WANTED
from hub.decode.process import DecodeSetup
from hub.decode.service import DecodeService
from hub.observe import Metrics
from hub.reports.document import of_check
from hub.reports.formats import render, render_bytes
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance
from standards.pack import packaged
from standards.reason import Reason

pytestmark = pytest.mark.long

CLOCK = SystemClock()
TARGET = Target("rtsp", "127.0.0.1", 5554, "/main")
TOLD = Provenance(Method.TEST, "kept/1", "RTSP PLAY", "127.0.0.1:5554", datetime(2026, 11, 21, tzinfo=UTC))


class Keeper:
    """An adapter that keeps what it is given as the pictures of its media window."""

    def __init__(
        self, *samples: CodedSample, failure: Exception | None = None, codec: Observation | None = None
    ) -> None:
        self.asked = 0
        self._result = ProbeResult(
            Observations({"stream.main.codec": codec or Observed("H264", TOLD)} if failure is None else {}),
            samples=samples,
            failure=failure,
        )

    async def probe(self, request: ProbeRequest, _context: ProbeContext) -> ProbeResult:
        self.asked = request.samples
        return self._result


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def check(
    adapter: Keeper, *, decode: bool = True, window_s: float = 8.0, still: bool = False
) -> tuple[CheckRequest, CheckOutcome]:
    registry = Registry()
    registry.add(AdapterManifest("kept", "1", ("rtsp",), {"rtsp": 554}, ("stream.",), lambda: adapter))  # type: ignore[arg-type,return-value]
    service = DecodeService(DecodeSetup(job_s=60.0), clock=CLOCK, metrics=Metrics())
    if decode:
        service.start()
        await service.settled()
    gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
    try:
        one = Checker(
            registry, Dialer(LAN_AND_LOOPBACK), gate, CLOCK, packaged(), decode=service if decode else None
        )
        leave = Permission("Nguyễn Văn A", "owner", datetime(2026, 11, 20, tzinfo=UTC))
        request = CheckRequest(TARGET, None, leave, window_s=window_s, limit_s=90.0, still=still)
        return request, await one.run(request)
    finally:
        await service.aclose()


def pictures(outcome: CheckOutcome, layer: str = "main") -> dict[str, Observation]:
    told = outcome.observations
    return {name: told[f"picture.{layer}.{name}"] for name in NAMES if f"picture.{layer}.{name}" in told}


def test_pictures_of_a_window_become_facts_with_their_source() -> None:
    """Three good pictures and a damaged one: what was seen, by which operation, of how many; the report says so too."""
    adapter = Keeper(
        sample(
            "H264",
            coded(at_s=0.5),
            coded(at_s=2.5, seed=2),
            CodedPicture(4.0, (b"\x65broken",)),
            coded(at_s=6.5),
        )
    )

    request, outcome = run(check(adapter))

    assert adapter.asked == WANTED
    seen = {name: one.value for name, one in pictures(outcome).items() if isinstance(one, Observed)}
    assert set(seen) == set(NAMES)
    assert (seen["decoded"], seen["changes"], seen["span_s"]) == (3, 2, 6.0)
    assert (seen["width"], seen["height"]) == (320, 192)
    provenance = outcome.observations["picture.main.luma_mean"].provenance
    assert (provenance.source, provenance.operation) == ("decode/1", "decode of 4 pictures")
    assert provenance.peer == "127.0.0.1:5554"
    report = of_check(request, outcome)
    assert report["method"]["pictures"] == 3
    for picture in adapter._result.samples[0].pictures:
        for nal in picture.nals:
            assert nal[:16].hex() not in json.dumps(report)


@pytest.mark.parametrize(
    ("adapter", "how", "reason", "words"),
    [
        (Keeper(), {"decode": False}, Reason.NOT_ASKED, "not decoded here"),
        (Keeper(), {"window_s": 0.0}, Reason.NOT_ASKED, "not watched"),
        (Keeper(), {}, Reason.TOO_FEW_SAMPLES, "no whole key frame"),
        (
            Keeper(codec=NotObserved(Reason.DEVICE_FAULT, "SETUP failed", TOLD)),
            {},
            Reason.DEVICE_FAULT,
            "SETUP failed",
        ),
        (Keeper(sample("MPEG1", CodedPicture(0.0, (b"x",)))), {}, Reason.NOT_ASKED, "coded as MPEG1"),
        (Keeper(sample("H264", CodedPicture(0.0, (b"\x65x",)))), {}, Reason.MALFORMED_MEDIA, "size"),
    ],
)
def test_pictures_that_are_not_judged_have_a_reason(
    adapter: Keeper, how: dict[str, Any], reason: Reason, words: str
) -> None:
    """Without a decode process, a window, a key frame, a known codec or a sound picture, each fact says why."""
    _, outcome = run(check(adapter, **how))

    told = pictures(outcome)
    assert set(told) == set(NAMES)
    one = told["luma_mean"]
    assert isinstance(one, NotObserved)
    assert one.reason is reason
    assert words in one.detail


def test_a_probe_that_failed_before_is_not_blamed_on_the_pictures() -> None:
    """Where the camera did not answer, no picture fact claims that the hub did not ask."""
    _, outcome = run(check(Keeper(failure=TimedOut("connect", waited_s=3.0, peer="127.0.0.1:5554"))))

    told = pictures(outcome).get("luma_mean")
    assert told is None or "not decoded here" not in getattr(told, "detail", "")


def test_a_still_stands_in_the_report_only_where_it_was_asked_for() -> None:
    """Asked for, the last good picture goes into JSON, page and PDF with the time it is from; by default none does."""
    adapter = Keeper(
        sample("H264", coded(at_s=0.5), coded(at_s=2.5, seed=2), CodedPicture(4.0, (b"\x65broken",)))
    )

    request, outcome = run(check(adapter, still=True))
    told = of_check(request, outcome)
    plain_request, plain_outcome = run(check(adapter))
    plain = of_check(plain_request, plain_outcome)

    assert (told["still"]["width"], told["still"]["height"]) == (320, 192)
    assert told["still"]["taken_after"] <= told["still"]["taken_before"] == told["as_of"]
    page = render(told, "html", "en")
    assert f"data:image/jpeg;base64,{told['still']['data']}" in page
    assert "img-src data:" in page
    assert b"/DCTDecode" in render_bytes(told, "pdf", "vi")
    assert plain["still"] is None
    assert "<img" not in render(plain, "html", "en").partition("</style>")[2]
    assert b"/DCTDecode" not in render_bytes(plain, "pdf", "vi")
