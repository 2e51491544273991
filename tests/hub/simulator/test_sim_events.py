"""The scripted camera's event service, PTZ and recorder, as our own adapters and bare requests meet them."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from sim_support import camera

from adapters.clock import SystemClock
from adapters.deadline import Deadline
from adapters.errors import CameraFault, PermissionDenied
from adapters.onvif.events import EventSource
from adapters.onvif.ptz import PtzControl
from adapters.port import Actuation, Permission, ProbeContext, ProbeRequest
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook, device_key
from hub.simulator import events
from hub.simulator.presets import shipped

CLOCK = SystemClock()
pytestmark = pytest.mark.anyio
LEAVE = Actuation("Phòng Kinh tế", "authority", datetime.now(UTC), municipal=True)


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as the simulator does."""
    return "asyncio"


def changed(name: str, part: str, **values: object):
    """Return a shipped preset with one part changed."""
    found = shipped()[name]
    return found.model_copy(update={part: getattr(found, part).model_copy(update=values)})


def access(cam):
    """Return target, credential and context to a camera."""
    target, _ = parse_target(cam.onvif_url)
    host = cam.onvif_url.removeprefix("onvif://")
    rules = [host, cam.rtsp_url.removeprefix("rtsp://").partition("/")[0]]
    dialer = Dialer(NetworkPolicy.of(rules, public=False), frozenset)
    context = ProbeContext(dialer, CredentialGate(MemoryBook(CLOCK), CLOCK), CLOCK, device_key(target))
    return target, Credential(cam.user, Secret(cam.password)), context


@asynccontextmanager
async def source(cam):
    """Subscribe to a camera's events."""
    async with EventSource(*access(cam), LEAVE, Deadline.after(CLOCK, 30.0)) as opened:
        yield opened


async def told(opened, topic: str, operation: str = "Changed"):
    """Pull until there are events of a topic."""
    while True:
        got = [event for event in await opened.pull() if (event.topic, event.operation) == (topic, operation)]
        if got:
            return got


async def test_what_happens_is_pulled_with_its_state_and_time():
    """A pull point begins with the present states; a motion that a test makes comes with UTC time, and the slot is free again."""
    async with camera(changed("dome-ptz", "events", every_s=None)) as cam:
        async with source(cam) as opened:
            first = await opened.pull()
            assert {event.operation for event in first} == {"Initialized"}
            assert events.MOTION in {event.topic for event in first}
            waiting = asyncio.create_task(told(opened, events.MOTION))
            cam.happenings.notify(events.MOTION, True)
            (motion,) = await waiting
            assert motion.data == {"State": "true"}
            assert motion.source == {"Source": "video_source_1"}
            assert motion.at_in_utc
            assert abs((motion.at - motion.arrived_at).total_seconds()) < 30
            cam.happenings.notify(events.LINE)
            assert (await told(opened, events.LINE, ""))[0].data == {"ObjectId": "1"}
            assert cam.happenings.pull_points == 1
            assert opened.quirks == ()
        assert cam.happenings.pull_points == 0


async def test_motions_come_by_themselves_while_somebody_listens():
    """With a seed and a short mean distance, motions begin and end."""
    script = changed("dome-ptz", "events", every_s=0.05, lasts_s=0.05)
    async with camera(script) as cam, source(cam) as opened:
        seen = set()
        while seen != {"true", "false"}:
            seen |= {event.data["State"] for event in await told(opened, events.MOTION)}


async def test_slots_are_few():
    """One pull point more than the camera allows is refused, by name."""
    async with camera(changed("dome-ptz", "events", every_s=None, max_pull_points=1)) as cam, source(cam):
        with pytest.raises(CameraFault, match=r"(?i)maximum"):
            async with source(cam):
                pass


async def test_the_head_moves_within_its_limits_and_stops():
    """It moves until its stop, comes to its limit and no further, and goes to presets."""
    async with camera(changed("dome-ptz", "ptz", per_s=50.0)) as cam:
        async with PtzControl(*access(cam), LEAVE, Deadline.after(CLOCK, 30.0)) as ptz:
            assert [one.name for one in await ptz.presets()] == ["Cổng chính", "Bãi xe", "Sân khấu"]
            await ptz.move(pan=1.0, tilt=-0.5, seconds=5.0)
            assert cam.head.moving
            while (cam.head.aim.pan, cam.head.aim.tilt) != (1.0, -1.0):
                await asyncio.sleep(0)
            await ptz.stop()
            assert not cam.head.moving
            await ptz.goto("2")
            assert (cam.head.aim.pan, cam.head.aim.tilt) == (-0.6, -0.1)
            with pytest.raises(CameraFault):
                await ptz.goto("99")
        assert cam.head.told == ["ContinuousMove 1.0 -0.5 0.0", "Stop", "GotoPreset 2"]


async def test_users_do_not_move_the_camera():
    """An account of user level reads presets and is refused a movement, as ONVIF's access classes have it."""
    async with camera(changed("dome-ptz", "onvif", level="user")) as cam:
        async with PtzControl(*access(cam), LEAVE, Deadline.after(CLOCK, 30.0)) as ptz:
            assert await ptz.presets()
            with pytest.raises(PermissionDenied):
                await ptz.move(pan=1.0, seconds=1.0)
        assert not cam.head.moving


@pytest.mark.parametrize("name", ["dome-ptz", "recorder"])
async def test_an_extended_probe_reads_events_ptz_and_every_source(name: str):
    """The whole probe finds topics, pull points, presets, and one stream per source of a recorder."""
    async with camera(name) as cam:
        target, credential, context = access(cam)
        leave = Permission("Nguyễn Văn A", "owner", datetime.now(UTC))
        request = ProbeRequest(
            target, credential, leave, Deadline.after(CLOCK, 30.0), window_s=0.0, extended=True
        )
        result = await Registry.installed().probe(request, context)
        seen = result.observations
        assert result.failure is None
        assert seen.value("event.max_pull_points") == 4
        assert events.MOTION in seen.value("event.topics")
        if name == "dome-ptz":
            assert seen.value("ptz.presets") == 3
        sources = {offer.video_source_token for offer in result.offers}
        assert len(sources) == (3 if name == "recorder" else 1)
        assert cam.happenings.pull_points == 0
        assert cam.head.told == []
