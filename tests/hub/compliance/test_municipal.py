"""The municipal standard, all 89 rules, on every scripted camera and on Debian's RTSP server: each rule speaks, none passes unseen."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from support.gstreamer import gst_server

from adapters.clock import SystemClock
from adapters.port import Permission
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import Target, parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, MemoryBook
from hub.compliance.checker import Checker, CheckOutcome, CheckRequest
from hub.decode.process import DecodeSetup
from hub.decode.service import DecodeService
from hub.observe import Metrics
from hub.reports.document import Document, of_check
from hub.reports.formats import render
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from standards.assess import judge
from standards.observation import Observations, Observed
from standards.pack import packaged
from standards.verdict import Verdict

CLOCK = SystemClock()
PACKS = packaged()
STANDARD = "vn-municipal-2026"
_ENGLISH = re.compile(r"\b(?:the|this|that|was|were|which|asked)\b")


@asynccontextmanager
async def checker() -> AsyncIterator[Checker]:
    """The checker as `camhub check` makes it."""
    decode = DecodeService(DecodeSetup(), clock=CLOCK, metrics=Metrics())
    gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
    decode.start()
    try:
        yield Checker(Registry.installed(), Dialer(LAN_AND_LOOPBACK), gate, CLOCK, PACKS, decode=decode)
    finally:
        await decode.aclose()


async def checked(one: Checker, target: Target, user: str, password: str) -> tuple[CheckOutcome, Document]:
    leave = Permission("", "command", CLOCK.now())
    credential = Credential(user, Secret(password)) if user else None
    request = CheckRequest(target, credential, leave, STANDARD, window_s=2.0, limit_s=60.0)
    outcome = await one.run(request)
    return outcome, of_check(request, outcome)


def every_rule_speaks(name: str, outcome: CheckOutcome, report: Document) -> None:
    """The printed report has a line for each selected rule: its verdict, and under it why or what was measured."""
    rules = {rule.id for rule in PACKS.profile(STANDARD).rules}
    assert len(rules) == len(PACKS.rules) == 89
    for language in ("vi", "en"):
        lines = render(report, "text", language).splitlines()
        start = max(place for place, line in enumerate(lines) if re.match(r"(Findings|Kết quả)", line))
        places = {
            found[1]: place
            for place, line in enumerate(lines[start:], start)
            if (found := re.match(r"^ {4}\S ([A-Z]{2,3}-\d\d) ", line))
        }
        assert set(places) == rules, (name, language)
        for rule, place in places.items():
            following = [line for line in lines[place + 1 : place + 4] if line.startswith("      ")]
            assert any(len(line.strip()) > 3 for line in following), (name, language, rule)
    for finding in report["findings"]:
        said = (name, finding["rule"], finding["verdict"], finding["text"])
        assert finding["verdict"] == "PASS" or finding["reason"], said
        assert "–" not in finding["text"]["en"], said  # a dash stands for a value that was not seen
        assert not _ENGLISH.search(finding["text"]["vi"]), said
    for finding in outcome.assessment.findings:
        if finding.verdict is Verdict.PASS:
            facts = finding.rule.facts
            assert any(isinstance(outcome.observations.get(fact), Observed) for fact in facts), (
                name,
                finding.rule.id,
            )
            unseen = Observations({f: o for f, o in outcome.observations.items() if f not in facts})
            assert judge(finding.rule, unseen)[0] is not Verdict.PASS, (name, finding.rule.id)


@pytest.mark.slow
def test_each_municipal_rule_speaks_on_every_scripted_camera() -> None:
    """A live check of every preset, side by side: 89 verdicts with reasons in the printed report, no PASS unseen."""

    async def run() -> None:
        async with AsyncExitStack() as held:
            one = await held.enter_async_context(checker())
            cameras = {}
            for name, preset in shipped().items():
                cameras[name] = ScriptedCamera(preset, CLOCK)
                await cameras[name].start()
                held.push_async_callback(cameras[name].stop)
            few = asyncio.Semaphore(4)  # all at once, the cameras' encoders starve each other on two cores
            schemes = Registry.installed().schemes

            async def run_one(cam: ScriptedCamera) -> tuple[CheckOutcome, Document]:
                async with few:
                    target = parse_target(cam.onvif_url or cam.rtsp_url, schemes)[0]
                    return await checked(one, target, cam.user, cam.password)

            told = await asyncio.gather(*(run_one(cam) for cam in cameras.values()))
            for name, (outcome, report) in zip(cameras, told, strict=True):
                every_rule_speaks(name, outcome, report)
                assert name != "dead" or outcome.failure is not None

    asyncio.run(run())


@pytest.mark.slow
@pytest.mark.gstreamer
def test_each_municipal_rule_speaks_on_debians_rtsp_server() -> None:
    """The same against GStreamer's RTSP server with a login."""
    with gst_server(user="viewer", password="Tre-xanh-27", width=1280, height=720) as url:

        async def run() -> None:
            async with checker() as one:
                outcome, report = await checked(one, parse_target(url)[0], "viewer", "Tre-xanh-27")
                every_rule_speaks("gstreamer", outcome, report)
                assert outcome.assessment.finding("STR-03").verdict is Verdict.PASS

        asyncio.run(run())
