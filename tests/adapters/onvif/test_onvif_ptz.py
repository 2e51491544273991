"""PTZ of municipal cameras, against scripted devices: what is sent, that a movement ends, and who may not."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from probing import CLOCK, GOOD, WRONG
from scripted_onvif import NOT_AUTHORIZED, Device, answer, listening, profile

from adapters.deadline import Deadline
from adapters.errors import AuthenticationFailed, NotPermitted, PermissionDenied, Unsupported
from adapters.onvif.ptz import MAX_MOVE_S, Preset, PtzControl
from adapters.port import Actuation, ProbeContext
from adapters.secret import Credential
from adapters.target import Target
from adapters.wire.dialer import Dialer, NetworkPolicy
from adapters.wire.gate import CredentialGate, MemoryBook

CITY = Actuation("operator", "authority", datetime(2026, 1, 1, tzinfo=UTC), municipal=True)
HOME = Actuation("owner", "owner", datetime(2026, 1, 1, tzinfo=UTC), municipal=False)
PTZ = '<tt:PTZConfiguration token="ptz"><tt:NodeToken>n</tt:NodeToken></tt:PTZConfiguration></trt:Profiles>'


def dome(**options: object) -> Device:
    """A camera of two video sources, the second of which moves."""
    device = Device(**options)  # type: ignore[arg-type]
    listed = profile("fixed", "H264", 1920, 1080, "VS0")
    listed += profile("dome", "H264", 1920, 1080, "VS1").replace("</trt:Profiles>", PTZ)
    device.replies.setdefault("GetProfiles", answer("GetProfiles", listed, "trt"))
    device.replies.setdefault(
        "GetPresets",
        answer(
            "GetPresets",
            '<tds:Preset token="1"><tt:Name>Cổng</tt:Name></tds:Preset><tds:Preset token="2"/>',
        ),
    )
    for operation in ("ContinuousMove", "Stop", "GotoPreset"):
        device.replies.setdefault(operation, answer(operation, ""))
    return device


def with_ptz(
    device: Device,
    act: Callable[[PtzControl], Awaitable[None]],
    *,
    credential: Credential | None = GOOD,
    actuation: Actuation = CITY,
    video_source: str = "",
) -> None:
    async def run() -> None:
        async with listening(device.handle) as port:
            device.port = port
            target = Target("onvif", "127.0.0.1", port)
            context = ProbeContext(
                Dialer(NetworkPolicy.of((target.authority,))),
                CredentialGate(MemoryBook(CLOCK), CLOCK),
                CLOCK,
                target.authority,
            )
            deadline = Deadline.after(CLOCK, 20.0)
            async with PtzControl(
                target, credential, context, actuation, deadline, video_source=video_source
            ) as ptz:
                await act(ptz)

    asyncio.run(run())


async def nothing(_ptz: PtzControl) -> None:
    """Open and close."""


def test_a_households_camera_is_never_moved() -> None:
    """Without leave for a municipal camera nothing is sent at all."""
    device = dome()
    with pytest.raises(NotPermitted):
        with_ptz(device, nothing, actuation=HOME)
    assert device.log == []


@pytest.mark.parametrize("auth", ["digest", "wsse"])
def test_a_wrong_password_costs_one_attempt(auth: str) -> None:
    """One credential-bearing request by the device's own count, and no movement."""
    device = dome(auth=auth)
    with pytest.raises(AuthenticationFailed):
        with_ptz(device, nothing, credential=WRONG)
    assert device.credentialed == 1
    assert not {"ContinuousMove", "Stop", "GotoPreset"} & set(device.operations())


@pytest.mark.parametrize("auth", ["none", "digest", "wsse"])
def test_presets_are_read_and_gone_to(auth: str) -> None:
    """Presets come with token and name; going to one names the profile that carries PTZ."""
    device = dome(auth=auth)

    async def act(ptz: PtzControl) -> None:
        assert await ptz.presets() == (Preset("1", "Cổng"), Preset("2", ""))
        await ptz.goto("2")

    with_ptz(device, act)
    sent = next(item for item in reversed(device.log) if item.operation == "GotoPreset")
    assert "<ProfileToken>dome</ProfileToken><PresetToken>2</PresetToken>" in sent.body
    assert "Stop" not in device.operations()


def test_a_movement_ends_though_the_device_ignores_its_time_out() -> None:
    """The device is told a time-out, and Stop is sent when it has passed."""
    device = dome()

    async def act(ptz: PtzControl) -> None:
        await ptz.move(pan=-0.5, zoom=1.0, seconds=0.02)
        for _ in range(500):
            if "Stop" in device.operations("digest"):
                return
            await asyncio.sleep(0.01)

    with_ptz(device, act)
    sent = next(item for item in reversed(device.log) if item.operation == "ContinuousMove")
    assert 'x="-0.500" y="0.000"' in sent.body
    assert re.search(r"<Timeout>PT0\.020S</Timeout>", sent.body)
    assert device.operations("digest").count("Stop") == 1


def test_leaving_stops_a_movement() -> None:
    """Whoever leaves while the camera moves stops it."""
    device = dome()

    async def act(ptz: PtzControl) -> None:
        await ptz.move(tilt=0.25, seconds=9.0)

    with_ptz(device, act)
    assert device.operations()[-1] == "Stop"


def test_a_movement_whose_answer_is_lost_is_stopped() -> None:
    """A ContinuousMove that fails on the way back may have moved the camera: Stop is sent."""
    device = dome(replies={"ContinuousMove": b"Connection: close"})

    async def act(ptz: PtzControl) -> None:
        await ptz.move(tilt=0.25, seconds=9.0)

    with pytest.raises(Exception, match="HTTP"):
        with_ptz(device, act)
    assert device.operations()[-1] == "Stop"


@pytest.mark.parametrize(
    "wrong",
    [
        {"pan": 1.5, "seconds": 1.0},
        {"seconds": 1.0},
        {"pan": float("nan"), "seconds": 1.0},
        {"pan": 1.0, "seconds": 0.0},
        {"pan": 1.0, "seconds": MAX_MOVE_S + 1},
        {"pan": 1.0, "seconds": float("inf")},
    ],
)
def test_movements_out_of_bounds_are_not_sent(wrong: dict[str, float]) -> None:
    """A speed or a time out of bounds is the caller's mistake."""
    device = dome()

    async def act(ptz: PtzControl) -> None:
        with pytest.raises(ValueError, match=r"speed|lasts"):
            await ptz.move(**wrong)

    with_ptz(device, act)
    assert "ContinuousMove" not in device.operations()


def test_the_camera_of_another_source_does_not_move() -> None:
    """On a device with several sources only the one that carries PTZ can be moved."""
    with pytest.raises(Unsupported):
        with_ptz(dome(), nothing, video_source="VS0")


def test_a_device_without_ptz() -> None:
    """A device that lists no PTZ service has none; nothing was moved."""
    device = dome()
    device.replies["GetCapabilities"] = answer("GetCapabilities", "<tds:Capabilities/>")
    with pytest.raises(Unsupported):
        with_ptz(device, nothing)


def test_an_account_that_may_not_move() -> None:
    """A user-level account is told so, and no cool-down starts: it was no failed login."""
    device = dome(auth="wsse", replies={"GotoPreset": NOT_AUTHORIZED})

    async def denied(ptz: PtzControl) -> None:
        with pytest.raises(PermissionDenied):
            await ptz.goto("1")
        assert await ptz.presets() != ()

    with_ptz(device, denied)


def test_tokens_are_escaped() -> None:
    """A hostile preset token cannot add elements."""
    device = dome()

    async def act(ptz: PtzControl) -> None:
        await ptz.goto("1</PresetToken><Reboot/>")

    with_ptz(device, act)
    assert "<Reboot/>" not in device.log[-1].body
