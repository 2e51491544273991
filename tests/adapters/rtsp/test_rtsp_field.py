"""Cameras as they really are: the real client against scripted cameras that misbehave each in one way."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import av
import pytest
from rtsp_support import CLOCK, context, probe, run

from adapters.deadline import Deadline
from adapters.errors import AuthenticationFailed
from adapters.port import AccessUnit, ProbeResult
from adapters.rtsp import manifest
from adapters.rtsp.policy import DEFAULT, Policies, SilencePolicy
from adapters.rtsp.source import RtspSource
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import Preset, shipped

pytestmark = pytest.mark.long

SMALL = {"width": 320, "height": 180, "fps": 20, "bitrate_kbps": 400}
WRONG = Credential("admin", Secret("not the password"))


def made(rtsp: dict[str, Any] | None = None, **stream: Any) -> Preset:
    """Return a household camera with a small picture, changed as told."""
    found = shipped()["household-no-onvif"]
    streams = tuple(item.model_copy(update=SMALL | stream) for item in found.streams)
    return found.model_copy(
        update={"rtsp": found.rtsp.model_copy(update=rtsp or {}), "streams": streams, "id": "field"}
    )


@asynccontextmanager
async def running(preset: Preset) -> AsyncIterator[ScriptedCamera]:
    camera = ScriptedCamera(preset, CLOCK)
    await camera.start()
    try:
        yield camera
    finally:
        await camera.stop()


def account(camera: ScriptedCamera) -> Credential:
    return Credential(camera.user, Secret(camera.password))


def address(camera: ScriptedCamera, way: str = "") -> str:
    assert camera.rtsp_url is not None
    return way + "://" + camera.rtsp_url.split("://", 1)[1] if way else camera.rtsp_url


async def pulled(
    camera: ScriptedCamera,
    until: Callable[[list[AccessUnit]], bool],
    *,
    way: str = "",
    tcp: bool = True,
    policies: Policies = DEFAULT,
) -> tuple[RtspSource, list[AccessUnit]]:
    """Play until enough units came."""
    url = address(camera, way)
    source = RtspSource(parse_target(url)[0], account(camera), context(url), policies=policies)
    await source.open(Deadline.after(CLOCK, 20), tcp=tcp, audio=False)
    units: list[AccessUnit] = []
    enough = asyncio.Event()

    def take(unit: AccessUnit) -> None:
        units.append(unit)
        if until(units):
            enough.set()

    task = asyncio.create_task(source.run(take))
    waiting = asyncio.create_task(enough.wait())
    try:
        async with asyncio.timeout(30):
            await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        waiting.cancel()
        await source.aclose()
        await asyncio.gather(task, return_exceptions=True)
    return source, units


def decoded(units: list[AccessUnit], sets: tuple[bytes, ...] = ()) -> int:
    """Return how many pictures FFmpeg gets out of some units."""
    decoder = av.CodecContext.create("h264", "r")
    count = 0
    for index, unit in enumerate(units):
        nals = [*sets, *unit.nals] if index == 0 else unit.nals
        count += len(decoder.decode(av.Packet(b"".join(b"\0\0\0\1" + nal for nal in nals))))
    return count + len(decoder.decode(None))


def whole(count: int) -> Callable[[list[AccessUnit]], bool]:
    return lambda units: len(units) >= count


def probed(preset: Preset, **asked: Any) -> ProbeResult:
    async def work() -> ProbeResult:
        async with running(preset) as camera:
            return await probe(address(camera), account(camera), **asked)

    return run(work())


def test_a_camera_whose_nonce_changes_keeps_playing() -> None:
    """Axis M5525 changes its nonce after 150 s (quirk 7); here it lasts half a second, with a keep-alive each second."""

    async def work() -> None:
        script = made({"nonce_lifetime_s": 0.5, "session_timeout_s": 2.4})
        async with running(script) as camera:
            source, units = await pulled(
                camera, lambda _units: camera.counters.operations.get("GET_PARAMETER", 0) >= 4
            )
            assert source.client.tolerances.names == ("nonce_renewed",)
            assert camera.counters.refused == 0
            assert camera.counters.operations["TEARDOWN"] >= 1
            assert decoded(units) == len(units)

    run(work())


def test_a_b_frame_camera_plays_and_says_why_it_cannot_be_copied() -> None:
    """Units come in coding order and decode; the probe counts B-frames: the relay needs a transcode."""
    script = made(b_frames=2)

    async def work() -> list[AccessUnit]:
        async with running(script) as camera:
            return (await pulled(camera, whole(30)))[1]

    units = run(work())
    assert decoded(units) >= 28
    times = [unit.timestamp for unit in units]
    assert times != sorted(times)
    seen = probed(script, window_s=1.5).observations
    assert int(str(seen.value("stream.main.b_frames"))) > 5
    assert seen.value("stream.main.relay") == "transcode"
    assert seen.value("stream.main.timestamps_increase") is False


def test_a_camera_without_markers_plays() -> None:
    """Units end at the next timestamp (quirk 48), none is lost, and the report names the tolerance."""
    script = made(markers=False)

    async def work() -> tuple[RtspSource, list[AccessUnit]]:
        async with running(script) as camera:
            return await pulled(camera, whole(25))

    source, units = run(work())
    assert source.client.tolerances.names == ("marker_missing",)
    assert decoded(units) == len(units)


def test_a_camera_with_parameter_sets_only_in_the_sdp_plays() -> None:
    """The track hands them to the relay (quirk 56), and the report says where they were found."""
    script = made(parameter_sets_in_band=False)

    async def work() -> tuple[RtspSource, list[AccessUnit]]:
        async with running(script) as camera:
            return await pulled(camera, whole(25))

    source, units = run(work())
    assert all(nal[0] & 31 not in (7, 8) for unit in units for nal in unit.nals)
    assert decoded(units, source.tracks[0].parameter_sets) == len(units)
    assert probed(script).observations.value("stream.main.parameter_sets") == "sdp"


def test_a_camera_with_a_key_frame_each_30_s_plays() -> None:
    """Where PLAY brings a key frame, pictures are there at once; the distance is longer than the window, which is said."""
    result = probed(made(gov_length_frames=600), window_s=1.5, samples=3)
    seen = result.observations
    assert result.failure is None
    assert seen.value("stream.main.frames") is not None
    assert "two are needed" in seen["stream.main.key_frame_interval_s"].detail  # type: ignore[union-attr]
    assert len(result.samples[0].pictures) == 1


def test_a_camera_that_waits_for_its_next_key_frame_says_why_there_is_no_picture(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Joined in the middle of 30 s, all is measured but the picture, and the reason is given."""
    monkeypatch.setattr("adapters.rtsp.probe.FIRST_PICTURE_S", 1.0)

    async def work() -> ProbeResult:
        async with running(made(gov_length_frames=600, key_on_play=False)) as camera:
            await pulled(camera, whole(1))  # the encoder runs: its first key frame is over
            holding = asyncio.create_task(pulled(camera, whole(10_000)))
            try:
                while not camera.playing:
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.2)
                return await probe(address(camera), account(camera), window_s=1.0)
            finally:
                holding.cancel()
                await asyncio.gather(holding, return_exceptions=True)

    result = run(work())
    assert result.failure is None
    assert result.observations["stream.main.first_frame_s"].detail == "no decodable frame came"  # type: ignore[union-attr]
    assert result.observations.value("stream.main.fps") is not None


def test_a_camera_whose_udp_is_silent_is_played_over_tcp() -> None:
    """After the silence that the policy names, in a new session on a new connection, with the same login."""

    async def work() -> None:
        policies = replace(DEFAULT, udp_silence_s=0.6, punch_every_s=0.1)
        async with running(made({"udp_silent": True})) as camera:
            source, _units = await pulled(camera, whole(10), tcp=False, policies=policies)
            assert source.client.tolerances.names == ("udp_silent",)
            assert source.client.context.courtesy.logins == 1
            assert source.tracks[0].codec == "H264"
            assert source.client.tracks[0].channels == (0, 1)
            assert camera.counters.operations["DESCRIBE"] == 3  # anonymous, with login, in the new session
            assert camera.counters.operations["TEARDOWN"] == 2
            assert camera.counters.punches >= 3
            assert camera.counters.refused == 0
            url = address(camera)
            result = await probe(
                url, account(camera), transport="udp", runs=2, window_s=1.0, policies=policies
            )
            seen = result.observations
            assert (seen.value("rtsp.udp_transport"), seen.value("rtsp.tcp_transport")) == (False, True)
            assert seen.value("rtsp.runs_ok") == 2
            assert seen.value("rtsp.quirks") == ("udp_silent",)

    run(work())


def test_silence_can_be_waited_out() -> None:
    """The policy `wait` keeps the UDP session; nothing comes."""

    async def work() -> None:
        policies = replace(DEFAULT, silence=SilencePolicy.WAIT)
        async with running(made({"udp_silent": True})) as camera:
            url = address(camera)
            source = RtspSource(parse_target(url)[0], account(camera), context(url), policies=policies)
            await source.open(Deadline.after(CLOCK, 20), tcp=False, audio=False)
            assert source.client.tracks[0].channels is None
            await source.aclose()

    run(work())


@pytest.mark.parametrize(
    ("accepted", "methods", "quirks"),
    [
        (("OPTIONS",), {"OPTIONS"}, ()),
        (("GET_PARAMETER",), {"GET_PARAMETER"}, ()),
        (("SET_PARAMETER",), {"OPTIONS", "SET_PARAMETER"}, ("keepalive_refused",)),
    ],
)
def test_the_keep_alive_is_the_one_that_the_camera_takes(
    accepted: tuple[str, ...], methods: set[str], quirks: tuple[str, ...]
) -> None:
    """A refused method is followed by the next one at once and never sent again (quirk 28): the session lives on."""

    async def work() -> None:
        async with running(made({"keepalives": accepted, "session_timeout_s": 2.4})) as camera:
            used = accepted[0]
            begun: list[int] = []

            def until(_units: list[AccessUnit]) -> bool:
                count = camera.counters.operations.get(used, 0)
                begun.append(count)
                return count >= begun[0] + 2

            source, _units = await pulled(camera, until)
            assert source.client.tolerances.names == quirks
            sent = {item.operation.removeprefix("RTSP ") for item in source.client.exchanges}
            assert methods <= sent
            refused = [item for item in source.client.exchanges if item.status in (405, 501)]
            assert len(refused) == len(quirks)

    run(work())


def test_a_describe_that_wants_the_path_alone_is_answered_by_the_second_try() -> None:
    """Quirk 22: 404 for the full address, not for the path; with one login."""

    async def work() -> None:
        async with running(made({"path_only": True})) as camera:
            within = context(address(camera))
            result = await probe(address(camera), account(camera), within=within)
            assert result.failure is None
            assert result.observations.value("rtsp.quirks") == ("path_only",)
            assert within.courtesy.logins == 1
            assert camera.counters.refused == 0

    run(work())


@pytest.mark.parametrize("way", ["rtsp", "rtsps", "rtsp+http", "rtsp+https"])
def test_a_wrong_password_is_sent_exactly_once(way: str) -> None:
    """By the camera's own count: one request that carries a credential in the whole action, whatever the way."""

    async def work() -> None:
        line = "tls" if way in ("rtsps", "rtsp+https") else "plain"
        async with running(made({"line": line, "http_tunnel": True})) as camera:
            result = await probe(address(camera, way), WRONG, runs=3, window_s=1.0)
            assert isinstance(result.failure, AuthenticationFailed)
            assert (camera.counters.credentialed, camera.counters.refused) == (1, 1)
            url = address(camera, way)
            source = RtspSource(parse_target(url)[0], WRONG, context(url))
            with pytest.raises(AuthenticationFailed):
                await source.open(Deadline.after(CLOCK, 10), tcp=True, audio=False)
            assert camera.counters.credentialed == 2

    run(work())


@pytest.mark.parametrize("way", ["rtsps", "rtsp+http", "rtsp+https"])
def test_every_way_plays_and_is_told(way: str) -> None:
    """An expired certificate is a finding and no failure; the tunnel closes both its connections at the end."""

    async def work() -> None:
        line = "plain" if way == "rtsp+http" else "tls-expired"
        async with running(made({"line": line, "http_tunnel": True})) as camera:
            result = await probe(address(camera, way), account(camera), runs=2, window_s=1.0)
            seen = result.observations
            assert result.failure is None
            assert seen.value("rtsp.rtsps" if way == "rtsps" else "rtsp.http_tunnel") == "played"
            assert seen.value("rtsp.runs_ok") == 2
            service = {"rtsps": "rtsps", "rtsp+https": "tls"}.get(way)
            assert service is None or seen.value(f"{service}.expired") is True
            assert camera.playing == 0
            assert camera.counters.operations["TEARDOWN"] == 2
            assert camera.counters.operations.get("HTTP POST", 0) == (0 if way == "rtsps" else 2)

    run(work())


@pytest.mark.parametrize(("scheme", "followed"), [("rtsp", False), ("rtsps", True)])
def test_a_redirect_never_leads_out_of_tls(scheme: str, followed: bool) -> None:
    """RTSPS to RTSP on the same host and port is a downgrade: nothing follows it."""

    async def work() -> None:
        async with running(made({"line": "tls"})) as camera:
            location = f"{scheme}://127.0.0.1:{camera.device.rtsp_port}/sub"
            camera.device.preset = made({"line": "tls", "redirect": location})
            result = await probe(address(camera), account(camera))
            assert result.failure is not None  # what is followed ends in a circle
            assert "redirects" in str(result.failure)
            assert camera.counters.operations["DESCRIBE"] == (4 if followed else 2)
            assert camera.counters.credentialed == (3 if followed else 1)  # the login came first

    run(work())


def test_tls_where_none_is_spoken_fails_with_its_reason() -> None:
    """rtsps:// at a plain RTSP port: failed, and the facts of the certificate carry the error."""

    async def work() -> ProbeResult:
        async with running(made()) as camera:
            return await probe(address(camera, "rtsps"), account(camera), limit_s=3.0)

    result = run(work())
    assert result.failure is not None
    assert result.observations.value("rtsp.rtsps") == "failed"
    assert result.observations["rtsps.version"].detail  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("typed", "port"), [("rtsp", 554), ("rtsps", 322), ("rtsp+http", 80), ("rtsp+https", 443)]
)
def test_each_way_has_its_port_and_this_adapter(typed: str, port: int) -> None:
    """What may be typed is what the adapter declares."""
    target, _credential = parse_target(f"{typed}://192.168.1.20/live")
    assert (target.scheme, target.port) == (typed, port)
    assert manifest.default_ports[typed] == port
    assert typed in manifest.schemes
