"""What changed on a camera between two runs, in the words of the world. Pure.

`compare` takes the values that were seen last (`Memory.seen`) and those of a new run. A fact that the new run did not
see says nothing: silence is no change. Identical values give nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from standards.observation import Value

INFO, WARNING, CRITICAL = "info", "warning", "critical"
SEVERITIES = (INFO, WARNING, CRITICAL)  # from quiet to loud
CLOCK_S = 5.0  # beside the clock's own limit by the rules: so far off, a change is told
JUMP_S = 3.0  # and by so much it must have moved
GOP_FACTOR = 2.0  # key frames that come half or twice as often are another setting
GOP_S = 1.0
FPS_SHARE = 0.7
MAX_SHOWN = 80  # characters of a value that a camera told

Values = Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Change:
    """One change: its kind names the sentence (``drift.KIND``), the parameters fill it."""

    kind: str
    severity: str
    params: Mapping[str, Any] = field(default_factory=dict)


def compare(before: Values, after: Values) -> tuple[Change, ...]:
    """Return what changed, the gravest first. Only facts that both sides know are compared."""
    found = [change for rule in _RULES for change in rule(before, after)]
    if any(change.kind == "device" for change in found):
        # another device stands there: that its stream and certificate differ goes without saying
        found = [
            change for change in found if change.kind in {"device", "open", "default_password", "debug_ports"}
        ]
    return tuple(sorted(found, key=lambda change: -SEVERITIES.index(change.severity)))


def _both(before: Values, after: Values, fact: str) -> tuple[Any, Any] | None:
    """Return the two values of a fact where both are known and they differ."""
    if fact not in before or fact not in after or before[fact] == after[fact]:
        return None
    return before[fact], after[fact]


def _device(before: Values, after: Values) -> Iterable[Change]:
    for fact, what in (
        ("device.serial", {"vi": "số máy", "en": "serial number"}),
        ("device.mac", {"vi": "địa chỉ MAC", "en": "hardware address"}),
        ("device.model", {"vi": "kiểu máy", "en": "model"}),
    ):
        pair = _both(before, after, fact)
        if pair is None:
            continue
        if fact == "device.mac" and set(_list(pair[0])) & set(_list(pair[1])):
            continue  # an interface came or went; the device is the same
        yield Change("device", CRITICAL, {"what": what, "before": _shown(pair[0]), "after": _shown(pair[1])})
        return


def _firmware(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "device.firmware")
    if pair:
        yield Change("firmware", INFO, {"before": _shown(pair[0]), "after": _shown(pair[1])})


def _flaws(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "firmware.flaws")
    if pair and _number(pair[1]) > _number(pair[0]):
        yield Change("flaws", WARNING, {"number": pair[1]})


def _codec(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "stream.main.codec")
    if pair:
        yield Change("codec", WARNING, {"before": _shown(pair[0]), "after": _shown(pair[1])})


def _resolution(before: Values, after: Values) -> Iterable[Change]:
    sizes = []
    for side in (before, after):
        width, height = side.get("stream.main.width"), side.get("stream.main.height")
        if width is None or height is None:
            return
        sizes.append((_number(width), _number(height)))
    if sizes[0] == sizes[1]:
        return
    smaller = sizes[1][0] * sizes[1][1] < sizes[0][0] * sizes[0][1]
    shown = [f"{width:.0f}x{height:.0f}" for width, height in sizes]
    yield Change("resolution", WARNING if smaller else INFO, {"before": shown[0], "after": shown[1]})


def _gop(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "stream.main.key_frame_interval_s")
    if pair is None:
        return
    was, now = _number(pair[0]), _number(pair[1])
    if was <= 0 or now <= 0 or abs(was - now) < GOP_S:
        return
    if now >= was * GOP_FACTOR or was >= now * GOP_FACTOR:
        severity = WARNING if now > was else INFO
        yield Change("gop", severity, {"before": f"{was:.1f}", "after": f"{now:.1f}"})


def _fps(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "stream.main.fps")
    if pair and 0 <= _number(pair[1]) < _number(pair[0]) * FPS_SHARE:
        yield Change(
            "fps", WARNING, {"before": f"{_number(pair[0]):.0f}", "after": f"{_number(pair[1]):.0f}"}
        )


def _clock(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "time.offset_s")
    if (
        pair
        and abs(_number(pair[1])) > CLOCK_S >= abs(_number(pair[0]))
        and (abs(_number(pair[1]) - _number(pair[0])) > JUMP_S)
    ):
        yield Change(
            "clock", WARNING, {"before": f"{_number(pair[0]):.1f}", "after": f"{_number(pair[1]):.1f}"}
        )
    source = _both(before, after, "time.source")
    if source and source[0] == "NTP":
        yield Change("ntp", WARNING)


def _certificate(before: Values, after: Values) -> Iterable[Change]:
    for fact in ("tls.fingerprint", "rtsps.fingerprint"):
        pair = _both(before, after, fact)
        if pair:
            yield Change("certificate", WARNING, {"before": str(pair[0])[:16], "after": str(pair[1])[:16]})
            return


_OPEN = (
    ("rtsp.anonymous_describe", "answered", {"vi": "luồng hình", "en": "the stream"}),
    ("snapshot.anonymous", "answered", {"vi": "ảnh chụp", "en": "the still"}),
    ("onvif.anonymous_read_media", "answered", {"vi": "cấu hình hình", "en": "the media settings"}),
    ("onvif.anonymous_read_system", "answered", {"vi": "thông tin thiết bị", "en": "the device's settings"}),
    ("account.anonymous_allowed", True, {"vi": "tài khoản khách", "en": "a guest account"}),
)


def _open(before: Values, after: Values) -> Iterable[Change]:
    opened = [
        what for fact, value, what in _OPEN if _both(before, after, fact) is not None and after[fact] == value
    ]
    if opened:
        said = {language: ", ".join(what[language] for what in opened) for language in ("vi", "en")}
        yield Change("open", CRITICAL, {"what": said})


def _password(before: Values, after: Values) -> Iterable[Change]:
    status = _both(before, after, "account.password_status")
    listed = _both(before, after, "credential.factory_default")
    if (status and status[1] == "default") or (listed and listed[1] is True):
        yield Change("default_password", CRITICAL)


def _accounts(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "account.levels")
    if pair is None:
        return
    was, now = _list(pair[0]), _list(pair[1])
    if now.count("administrator") > was.count("administrator"):
        yield Change("administrator", CRITICAL, {"before": len(was), "after": len(now)})
    elif len(now) > len(was):
        yield Change("account", WARNING, {"before": len(was), "after": len(now)})


def _services(before: Values, after: Values) -> Iterable[Change]:
    opened = [
        name
        for fact, name in (
            ("service.telnet", "Telnet"),
            ("service.ssh", "SSH"),
            ("service.p2p", "P2P"),
            ("service.upnp", "UPnP"),
        )
        if _both(before, after, fact) is not None and after[fact] is True
    ]
    if opened:
        yield Change("service", WARNING, {"what": ", ".join(opened)})


def _ports(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "service.ports")
    if pair is not None:
        new = sorted(_enabled(pair[1]) - _enabled(pair[0]))
        if new:
            yield Change("ports", WARNING, {"what": ", ".join(new)[:MAX_SHOWN]})
    for fact, kind in (
        ("lan.open_debug_ports", "debug_ports"),
        ("exposure.open_ports", "exposed"),
        ("lan.unexplained_ports", "ports"),
    ):
        pair = _both(before, after, fact)
        if pair is None:
            continue
        fresh = sorted(str(port) for port in set(_list(pair[1])) - set(_list(pair[0])))
        if fresh:
            severity = WARNING if kind == "ports" else CRITICAL
            yield Change(kind, severity, {"what": ", ".join(fresh)[:MAX_SHOWN]})


def _encrypted(before: Values, after: Values) -> Iterable[Change]:
    pair = _both(before, after, "stream.encrypted")
    if pair and pair[1] is True:
        yield Change("encrypted", WARNING)


_RULES: tuple[Callable[[Values, Values], Iterable[Change]], ...] = (
    _device,
    _open,
    _password,
    _accounts,
    _ports,
    _services,
    _codec,
    _resolution,
    _fps,
    _gop,
    _clock,
    _certificate,
    _encrypted,
    _flaws,
    _firmware,
)
KINDS = (
    "device",
    "open",
    "default_password",
    "administrator",
    "account",
    "debug_ports",
    "exposed",
    "ports",
    "service",
    "codec",
    "resolution",
    "fps",
    "gop",
    "clock",
    "ntp",
    "certificate",
    "encrypted",
    "flaws",
    "firmware",
    "worse",
    "fell",
)


def _list(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else tuple(value) if isinstance(value, list) else ()


def _enabled(value: Any) -> set[str]:
    """Return the services that are switched on, each with its ports."""
    found = set()
    for entry in _list(value):
        if isinstance(entry, Mapping) and entry.get("enabled") is not False:
            found.add(f"{entry.get('name', '?')} {entry.get('port', entry.get('ports', ''))}".strip())
    return found


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _shown(value: Any) -> str:
    text = ", ".join(str(one) for one in value) if isinstance(value, tuple | list) else str(value)
    return "".join(char for char in text if char.isprintable())[:MAX_SHOWN]
