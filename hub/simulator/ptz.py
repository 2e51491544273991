"""The moving head of a scripted camera: where it looks, what it was told, and what its PTZ service answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from adapters.clock import Clock
from hub.simulator.presets import PtzScript
from hub.simulator.soap import SCHEMA, Call, SoapFault
from hub.simulator.values import duration_s

if TYPE_CHECKING:
    from lxml import etree

    from hub.simulator.device import Device

NODE, CONFIGURATION = "ptz_node_1", "ptz_configuration_1"
CAPABILITIES = (
    '<tptz:Capabilities EFlip="false" Reverse="false" GetCompatibleConfigurations="false"'
    ' MoveStatus="true" StatusPosition="true"/>'
)
_SPACES = "http://www.onvif.org/ver10/tptz"
_PAN_TILT_SPEED = f"{_SPACES}/PanTiltSpaces/VelocityGenericSpace"
_ZOOM_SPEED = f"{_SPACES}/ZoomSpaces/VelocityGenericSpace"
_DEFAULT_S = 5.0  # of a movement without a time-out (DefaultPTZTimeout)
_MAX_TOLD = 256


@dataclass(frozen=True, slots=True)
class Aim:
    """Where a head looks: pan and tilt from -1 to 1, zoom from 0 to 1."""

    pan: float
    tilt: float
    zoom: float


class Head:
    """A head with limits. Its position is worked out when somebody asks: nothing runs while it moves."""

    def __init__(self, clock: Clock, script: PtzScript) -> None:
        self._clock = clock
        self._script = script
        self._from = Aim(0.0, 0.0, 0.0)
        self._speed = Aim(0.0, 0.0, 0.0)
        self._since_s = self._until_s = clock.monotonic()
        self.told: list[
            str
        ] = []  # commands in order, for tests: ContinuousMove 0.5 0.0 0.0, Stop, GotoPreset 1

    @property
    def moving(self) -> bool:
        """Tell whether it moves now; one that stands at its limit still tries."""
        return self._speed != Aim(0.0, 0.0, 0.0) and self._clock.monotonic() < self._until_s

    @property
    def aim(self) -> Aim:
        """Return where it looks now."""
        ran_s = max(0.0, min(self._clock.monotonic(), self._until_s) - self._since_s)
        way = ran_s * self._script.per_s
        return Aim(
            _between(-1.0, self._from.pan + self._speed.pan * way),
            _between(-1.0, self._from.tilt + self._speed.tilt * way),
            _between(0.0, self._from.zoom + self._speed.zoom * way),
        )

    def move(self, speed: Aim, timeout_s: float) -> None:
        """Move with a speed until `timeout_s` has passed or `stop`."""
        self._from = self.aim
        self._speed = speed
        self._since_s = self._clock.monotonic()
        self._until_s = self._since_s + min(timeout_s, self._script.longest_move_s)
        self._note(f"ContinuousMove {speed.pan} {speed.tilt} {speed.zoom}")

    def stop(self, *, pan_tilt: bool, zoom: bool) -> None:
        """Stop some axes."""
        self._from, speed = self.aim, self._speed
        self._since_s = self._clock.monotonic()
        self._speed = Aim(
            0.0 if pan_tilt else speed.pan, 0.0 if pan_tilt else speed.tilt, 0.0 if zoom else speed.zoom
        )
        self._note("Stop")

    def goto(self, token: str) -> bool:
        """Look where a preset looks, at once; tell whether there is one."""
        for preset in self._script.presets:
            if preset.token == token:
                self._from = Aim(preset.pan, preset.tilt, preset.zoom)
                self._speed = Aim(0.0, 0.0, 0.0)
                self._note(f"GotoPreset {token}")
                return True
        return False

    def _note(self, command: str) -> None:
        self.told.append(command)
        del self.told[:-_MAX_TOLD]


class PtzReplies:
    """What the PTZ service answers (ONVIF PTZ 5)."""

    def __init__(self, device: "Device") -> None:
        self._device = device
        self._script = device.preset.ptz

    def operations(self) -> dict[str, Callable[[Call], str]]:
        """Return a callable per operation."""
        return {
            "GetServiceCapabilities": lambda _call: _wrap("GetServiceCapabilities", CAPABILITIES),
            "GetNodes": lambda _call: _wrap("GetNodes", self._node()),
            "GetNode": lambda _call: _wrap("GetNode", self._node()),
            "GetConfigurations": lambda _call: _wrap(
                "GetConfigurations", configuration("tptz:PTZConfiguration")
            ),
            "GetConfiguration": lambda _call: _wrap(
                "GetConfiguration", configuration("tptz:PTZConfiguration")
            ),
            "GetStatus": self._status,
            "GetPresets": self._presets,
            "ContinuousMove": self._move,
            "Stop": self._stop,
            "GotoPreset": self._goto,
        }

    def _node(self) -> str:
        most = max(16, len(self._script.presets))
        return (
            f'<tptz:PTZNode token="{NODE}" FixedHomePosition="false"><tt:Name>head</tt:Name>'
            "<tt:SupportedPTZSpaces>"
            f"<tt:ContinuousPanTiltVelocitySpace><tt:URI>{_PAN_TILT_SPEED}</tt:URI>"
            f"{_range('XRange')}{_range('YRange')}</tt:ContinuousPanTiltVelocitySpace>"
            f"<tt:ContinuousZoomVelocitySpace><tt:URI>{_ZOOM_SPEED}</tt:URI>{_range('XRange')}"
            "</tt:ContinuousZoomVelocitySpace></tt:SupportedPTZSpaces>"
            f"<tt:MaximumNumberOfPresets>{most}</tt:MaximumNumberOfPresets>"
            "<tt:HomeSupported>false</tt:HomeSupported></tptz:PTZNode>"
        )

    def _status(self, call: Call) -> str:
        self._profile(call)
        head = self._device.head
        aim, state = head.aim, "MOVING" if head.moving else "IDLE"
        return _wrap(
            "GetStatus",
            f'<tptz:PTZStatus><tt:Position><tt:PanTilt x="{aim.pan:.4f}" y="{aim.tilt:.4f}"/>'
            f'<tt:Zoom x="{aim.zoom:.4f}"/></tt:Position>'
            f"<tt:MoveStatus><tt:PanTilt>{state}</tt:PanTilt><tt:Zoom>{state}</tt:Zoom></tt:MoveStatus>"
            f"<tt:UtcTime>{self._device.now():%Y-%m-%dT%H:%M:%SZ}</tt:UtcTime></tptz:PTZStatus>",
        )

    def _presets(self, call: Call) -> str:
        self._profile(call)
        listed = "".join(
            f'<tptz:Preset token="{escape(one.token)}"><tt:Name>{escape(one.name)}</tt:Name><tt:PTZPosition>'
            f'<tt:PanTilt x="{one.pan}" y="{one.tilt}"/><tt:Zoom x="{one.zoom}"/></tt:PTZPosition></tptz:Preset>'
            for one in self._script.presets
        )
        return _wrap("GetPresets", listed)

    def _move(self, call: Call) -> str:
        self._profile(call)
        velocity = call.element.find(f"{{{call.namespace}}}Velocity")
        if velocity is None:
            raise _bad("ContinuousMove needs a velocity")
        pan_tilt, zoom = velocity.find(f"{{{SCHEMA}}}PanTilt"), velocity.find(f"{{{SCHEMA}}}Zoom")
        try:
            speed = Aim(_speed(pan_tilt, "x"), _speed(pan_tilt, "y"), _speed(zoom, "x"))
        except ValueError as error:
            raise _bad("a speed is not a number") from error
        if not all(-1.0 <= part <= 1.0 for part in (speed.pan, speed.tilt, speed.zoom)):
            raise _bad("a speed lies outside the space")
        told = call.argument("Timeout")
        timeout_s = duration_s(told) if told else _DEFAULT_S
        if timeout_s is None:
            raise _bad("the time-out is no duration")
        self._device.head.move(speed, timeout_s)
        return _wrap("ContinuousMove", "")

    def _stop(self, call: Call) -> str:
        self._profile(call)
        # without arguments everything stops (PTZ 5.3.4)
        pan_tilt, zoom = (call.argument(name) in ("", "true", "1") for name in ("PanTilt", "Zoom"))
        self._device.head.stop(pan_tilt=pan_tilt, zoom=zoom)
        return _wrap("Stop", "")

    def _goto(self, call: Call) -> str:
        self._profile(call)
        if not self._device.head.goto(call.argument("PresetToken")):
            raise SoapFault(
                400, "Sender", ("ter:InvalidArgVal", "ter:NoToken"), "There is no preset with this token"
            )
        return _wrap("GotoPreset", "")

    def _profile(self, call: Call) -> None:
        """Refuse a MediaProfile that carries no PTZ: only those of the first video source do."""
        token = call.argument("ProfileToken")
        if not any(one.token == token and one.source == 1 for one in self._device.preset.streams):
            raise SoapFault(
                400, "Sender", ("ter:InvalidArgVal", "ter:NoProfile"), f"No profile {token!r} carries PTZ"
            )


def configuration(tag: str) -> str:
    """Return the PTZ configuration, as in the PTZ service and in MediaProfiles."""
    return (
        f'<{tag} token="{CONFIGURATION}"><tt:Name>head</tt:Name><tt:UseCount>1</tt:UseCount>'
        f"<tt:NodeToken>{NODE}</tt:NodeToken>"
        f"<tt:DefaultContinuousPanTiltVelocitySpace>{_PAN_TILT_SPEED}</tt:DefaultContinuousPanTiltVelocitySpace>"
        f"<tt:DefaultContinuousZoomVelocitySpace>{_ZOOM_SPEED}</tt:DefaultContinuousZoomVelocitySpace>"
        f"<tt:DefaultPTZTimeout>PT{_DEFAULT_S:.0f}S</tt:DefaultPTZTimeout></{tag}>"
    )


def _speed(vector: "etree._Element | None", axis: str) -> float:
    return float(vector.get(axis, "0")) if vector is not None else 0.0


def _bad(why: str) -> SoapFault:
    return SoapFault(400, "Sender", ("ter:InvalidArgVal",), why)


def _range(tag: str) -> str:
    return f"<tt:{tag}><tt:Min>-1</tt:Min><tt:Max>1</tt:Max></tt:{tag}>"


def _between(low: float, value: float) -> float:
    return max(low, min(1.0, value))


def _wrap(operation: str, inner: str) -> str:
    return f"<tptz:{operation}Response>{inner}</tptz:{operation}Response>"
