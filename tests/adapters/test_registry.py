"""The registry: finds adapters by scheme, and joins what two of them saw."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import BadTarget, LocalProtocolError, Unreachable
from adapters.port import (
    Adapter,
    AdapterManifest,
    MediaSource,
    Permission,
    ProbeContext,
    ProbeRequest,
    ProbeResult,
    StreamOffer,
)
from adapters.registry import Registry
from adapters.secret import Credential
from adapters.target import BUILT_IN, Target, parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, DeviceBusy, MemoryBook
from standards.observation import Method, NotObserved, Observations, Observed, Provenance
from standards.reason import Reason

CLOCK = SystemClock()
MAIN = StreamOffer(Target("rtsp", "10.0.0.1", 554, "/main"), "main")
SUB = StreamOffer(Target("rtsp", "10.0.0.1", 554, "/sub"), "sub")


def observed(**facts: object) -> Observations:
    provenance = Provenance(Method.TEST, "test/1", "test", "10.0.0.1:80", datetime(2026, 1, 1, tzinfo=UTC))
    return Observations(
        {name.replace("__", "."): Observed(value, provenance) for name, value in facts.items()}
    )  # type: ignore[arg-type]


class Scripted:
    """An adapter that answers with a prepared result."""

    def __init__(self, result: ProbeResult) -> None:
        self.result = result
        self.asked: list[ProbeRequest] = []

    async def probe(self, request: ProbeRequest, context: ProbeContext) -> ProbeResult:
        self.asked.append(request)
        return self.result

    async def open(
        self,
        offer: StreamOffer,
        credential: Credential | None,
        context: ProbeContext,
        deadline: Deadline,
        *,
        transport: str = "tcp",
        audio: bool = False,
    ) -> MediaSource:
        raise NotImplementedError


def manifest(name: str, scheme: str, adapter: Adapter) -> AdapterManifest:
    return AdapterManifest(name, "1", (scheme,), {scheme: 1}, (), lambda: adapter)


def probe(registry: Registry, typed: str = "onvif://10.0.0.1") -> ProbeResult:
    target, _credential = parse_target(typed)
    gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
    context = ProbeContext(Dialer(LAN_AND_LOOPBACK), gate, CLOCK, "10.0.0.1")
    permission = Permission("test", "test", CLOCK.now())
    request = ProbeRequest(target, None, permission, Deadline.after(CLOCK, 5.0))
    return asyncio.run(registry.probe(request, context))


def two(first: ProbeResult, second: ProbeResult) -> tuple[Registry, Scripted]:
    registry, rtsp = Registry(), Scripted(second)
    registry.add(manifest("onvif", "onvif", Scripted(first)))
    registry.add(manifest("rtsp", "rtsp", rtsp))
    return registry, rtsp


def test_the_built_in_adapters_are_installed() -> None:
    """ONVIF and RTSP are found through the entry-point group, and load."""
    registry = Registry.installed()

    assert registry.failures == {}
    assert {"onvif", "onvifs", "rtsp"} <= set(registry.manifests)


def test_the_schemes_that_may_be_typed_are_those_of_the_adapters() -> None:
    """What `parse_target` knows by itself is what the shipped adapters declare: schemes, ports and brands."""
    registry = Registry.installed()
    schemes = registry.schemes

    assert set(BUILT_IN.ports) - set(registry.manifests) <= {"rtsps"}
    assert dict(schemes.ports) == dict(BUILT_IN.ports)
    assert dict(schemes.aliases) == dict(BUILT_IN.aliases)
    for manifest_ in registry.manifests.values():
        assert set(manifest_.default_ports) == set(manifest_.schemes)
        assert set(manifest_.aliases.values()) <= set(manifest_.schemes)


def test_a_third_partys_scheme_is_known_through_its_registry() -> None:
    """An adapter that is installed later brings its scheme, port and other spellings."""
    registry = Registry()
    scripted = Scripted(ProbeResult(Observations()))
    registry.add(
        AdapterManifest(
            "acme", "1", ("acme",), {"acme": 8088}, (), lambda: scripted, aliases={"acmecam": "acme"}
        )
    )

    assert parse_target("acmecam://10.0.0.1", registry.schemes)[0] == Target("acme", "10.0.0.1", 8088)


def test_an_unknown_scheme_names_the_known_ones() -> None:
    """No adapter for a scheme is the address's fault and says what is installed."""
    registry, _rtsp = two(ProbeResult(Observations()), ProbeResult(Observations()))
    with pytest.raises(BadTarget) as caught:
        registry.adapter("hikvision")
    assert "onvif, rtsp" in caught.value.hint


def test_a_broken_adapter_is_recorded_and_stops_no_other() -> None:
    """An adapter whose loading raises is a typed error for its scheme only."""

    def broken() -> Adapter:
        raise ImportError("libfoo is missing")

    registry, _rtsp = two(ProbeResult(Observations()), ProbeResult(Observations()))
    registry.add(AdapterManifest("foo", "1", ("foo",), {}, (), broken))
    with pytest.raises(LocalProtocolError, match="cannot be loaded"):
        registry.adapter("foo")

    assert registry.failures == {"foo": "ImportError: libfoo is missing"}
    assert registry.adapter("rtsp")


def test_a_scheme_is_not_taken_over() -> None:
    """A plug-in cannot replace the adapter of a scheme that is taken."""
    registry, rtsp = two(ProbeResult(Observations()), ProbeResult(Observations()))
    with pytest.raises(ValueError, match="already spoken"):
        registry.add(manifest("evil", "rtsp", Scripted(ProbeResult(Observations()))))

    assert registry.adapter("rtsp") is rtsp


def test_the_main_stream_is_probed_with_the_adapter_of_its_scheme() -> None:
    """Both results are joined; reachability stays the device's; the sub-stream's address is handed on."""
    registry, rtsp = two(
        ProbeResult(observed(reach__answers=3, snapshot__anonymous="refused"), (MAIN, SUB)),
        ProbeResult(observed(reach__answers=1, snapshot__anonymous="none", stream__main__codec="H264")),
    )
    result = probe(registry)

    assert {name: result.observations.value(name) for name in result.observations} == {
        "reach.answers": 3,
        "snapshot.anonymous": "refused",
        "stream.main.codec": "H264",
    }
    assert (rtsp.asked[0].target, rtsp.asked[0].sub_target) == (MAIN.target, SUB.target)
    assert result.offers == (MAIN, SUB)


@pytest.mark.parametrize(
    "first",
    [
        ProbeResult(observed(reach__answers=0), (MAIN,), failure=Unreachable("gone")),
        ProbeResult(observed(reach__answers=3)),
        ProbeResult(observed(reach__answers=3), (replace(MAIN, target=Target("rtspx", "10.0.0.1", 1)),)),
    ],
)
def test_no_second_probe_without_a_stream(first: ProbeResult) -> None:
    """After a failure, without an offer, or with an offer that nobody speaks, the first result stands."""
    registry, rtsp = two(first, ProbeResult(Observations()))

    assert probe(registry) is first
    assert rtsp.asked == []


def test_one_probe_at_a_time() -> None:
    """A device that is being probed is busy for a second probe."""

    async def run() -> None:
        registry, _rtsp = two(ProbeResult(Observations()), ProbeResult(Observations()))
        gate = CredentialGate(MemoryBook(CLOCK), CLOCK)
        context = ProbeContext(Dialer(LAN_AND_LOOPBACK), gate, CLOCK, "10.0.0.1")
        request = ProbeRequest(
            parse_target("10.0.0.1")[0], None, Permission("t", "t", CLOCK.now()), Deadline.after(CLOCK, 5.0)
        )
        async with gate.probing("10.0.0.1"):
            with pytest.raises(DeviceBusy):
                await registry.probe(request, context)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("reported", "main", "sub"),
    [
        ("HIKVISION", "rtsp://10.0.0.1:554/Streaming/Channels/101", "/Streaming/Channels/102"),
        ("TP-Link Tapo", "rtsp://10.0.0.1:554/stream1", "/stream2"),
    ],
)
def test_a_device_that_tells_no_stream_is_asked_at_its_makers_one_path(
    reported: str, main: str, sub: str
) -> None:
    """Without an offer, the maker that the device reported gives one RTSP address, and the stream is probed there."""
    registry, rtsp = two(ProbeResult(observed(device__manufacturer=reported)), ProbeResult(Observations()))

    result = probe(registry)

    assert [offer.target.url for offer in result.offers[:1]] == [main]
    assert [request.target.url for request in rtsp.asked] == [main]
    assert rtsp.asked[0].sub_target is not None
    assert rtsp.asked[0].sub_target.path == sub


@pytest.mark.parametrize("reported", ["IMOU", "ONVIF", "Xiaomi", "Tiandy", "XMEye"])
def test_no_path_is_guessed_for_an_unconfirmed_or_unknown_maker(reported: str) -> None:
    """On the device's word alone nothing unconfirmed is asked, and nothing for a maker without a path."""
    registry, rtsp = two(ProbeResult(observed(device__manufacturer=reported)), ProbeResult(Observations()))

    assert probe(registry).offers == ()
    assert rtsp.asked == []


@pytest.mark.parametrize(
    ("server", "family"), [("App-webs/", "hikvision"), ("GStreamer RTSP server", None), ("", None)]
)
def test_a_server_header_is_a_hint_and_no_more(server: str, family: str | None) -> None:
    """The Server header names the family where nothing better did, by a provenance that says banner; nothing is asked."""
    first = ProbeResult(observed(rtsp__server=server))
    registry, rtsp = two(first, ProbeResult(Observations()))

    told = probe(registry).observations

    assert told.value("vendor.family") == family
    if family:
        assert told["vendor.family"].provenance.operation == "banner"
    assert rtsp.asked == []


def test_a_device_that_says_who_made_it_is_believed_before_its_banner() -> None:
    """A family that an interface told stays."""
    first = ProbeResult(
        observed(rtsp__server="App-webs/", vendor__family="dahua"), (MAIN,), failure=Unreachable("x")
    )
    registry, _rtsp = two(first, ProbeResult(Observations()))

    assert probe(registry).observations.value("vendor.family") == "dahua"


def test_a_path_that_is_a_key_is_shown_nowhere() -> None:
    """A console's stream token is dialled, and stands in no value, no detail, no quoted reply and no progress."""
    key = "aLias4711"
    offer = replace(MAIN, target=replace(MAIN.target, path=f"/{key}"), secret_path=True)
    provenance = Provenance(
        Method.TEST, "rtsp/1", f"DESCRIBE /{key}", "10.0.0.1:554", CLOCK.now(), excerpt=f"a=control:/{key}/t1"
    )
    seen = Observations(
        {
            "stream.main.uri": Observed(f"rtsp://10.0.0.1:554/{key}", provenance),
            "stream.main.fps": NotObserved(Reason.TIMED_OUT, f"PLAY of /{key}", provenance),
        }
    )
    registry, rtsp = two(ProbeResult(observed(reach__answers=3), (offer,)), ProbeResult(seen))

    result = probe(registry)

    assert rtsp.asked[0].target.path == f"/{key}"
    assert result.observations.value("stream.main.uri") == "rtsp://10.0.0.1:554/•••"
    assert key not in str(result.observations.as_json())
