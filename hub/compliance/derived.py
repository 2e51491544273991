"""Facts that follow from other facts of the same run. Pure; nothing is sent, nothing is remembered."""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from adapters.vendors.families import find_family
from standards.advisories import Advisories, firmware_build
from standards.observation import Method, NotObserved, Observation, Observations, Observed, Provenance, Value
from standards.reason import Reason

SOURCE = "hub/1"
DAYS_PER_MONTH = 30.4375
# A banner that names a build tells an attacker which flaws to try; a server's own version does not.
_BUILD_IN_BANNER = re.compile(r"(?i)\bbuild[ :]?\d{6}|\bV\d+\.\d+\.\d+")


def worked_out(seen: Observations, advisories: Advisories, now: datetime) -> dict[str, Observation]:
    """Return the facts that follow; where what they need was not seen, they are left out or say why."""
    found: dict[str, Observation] = {}

    def know(fact: str, value: Value, operation: str) -> None:
        found[fact] = Observed(value, _told(operation, now))

    leaks = _leaks(seen)
    if leaks is not None:
        know("exposure.leaks", leaks, "what anonymous requests of this run showed")
    family = _family(seen)
    if family is not None and not isinstance(seen.get("vendor.family"), Observed):
        know("vendor.family", family, "manufacturer as the device says, by the table of vendors")
    built = firmware_build(_text(seen, "device.firmware"))
    if built is not None and built <= now.astimezone(UTC).date():
        months = (now.astimezone(UTC).date() - built).days / DAYS_PER_MONTH
        know("firmware.age_months", round(months, 1), "build date in the firmware version")
    path = _recording_path(seen)
    if path is not None:
        know("recording.path", path, "storage and recordings as the device says")
    https = _https(seen)
    if https is not None and not isinstance(seen.get("service.https"), Observed):
        know("service.https", https, "network protocols as the device says (ONVIF GetNetworkProtocols)")
    flaws = _flaws(seen, advisories, family, built, now)
    if flaws is not None:
        found["firmware.flaws"] = flaws
    return found


def _leaks(seen: Observations) -> tuple[str, ...] | None:
    """Return what strangers could read, () for nothing; None where too little was tried to say so."""
    leaks = []
    if seen.value("snapshot.anonymous") == "answered":
        leaks.append("still")
    if seen.value("onvif.anonymous_read_system") == "answered":
        leaks.append("config")
    banner, firmware = _text(seen, "rtsp.server"), _text(seen, "device.firmware")
    version = firmware.split(" ")[0].split(",")[0]
    if _BUILD_IN_BANNER.search(banner) or (len(version) >= 5 and version in banner):
        leaks.append("build")
    tried = isinstance(seen.get("snapshot.anonymous"), Observed) and any(
        isinstance(seen.get(fact), Observed)
        for fact in ("onvif.anonymous_read_system", "rtsp.server", "rtsp.methods")
    )
    return tuple(leaks) if leaks or tried else None


def _family(seen: Observations) -> str | None:
    told = seen.value("vendor.family")
    if isinstance(told, str) and told:
        return told
    manufacturer = _text(seen, "device.manufacturer")
    family = find_family(manufacturer) if manufacturer else None
    return family.id if family is not None else None


def _https(seen: Observations) -> bool | None:
    """Return whether HTTPS stands among the network protocols and is on; None where they were not told."""
    listed: Any = seen.value("onvif.network_protocols")
    if not isinstance(listed, tuple) or not listed:
        return None
    return any(
        str(item.get("name", "")).upper() == "HTTPS" and item.get("enabled") is True for item in listed
    )


def _recording_path(seen: Observations) -> str | None:
    sources: Any = seen.value("media.video_sources")
    keeps = seen.value("storage.present") is True or bool(seen.value("recording.recordings"))
    if not keeps:
        return None
    return "recorder" if isinstance(sources, int) and sources > 1 else "card"


def _flaws(
    seen: Observations, advisories: Advisories, family: str | None, built: date | None, now: datetime
) -> Observation | None:
    """Return how many listed flaws this device has; None where the device said nothing to look up by."""
    model, firmware = _text(seen, "device.model"), _text(seen, "device.firmware")
    if not model or not firmware:
        return None
    told = _told(f"list of known flaws of {advisories.issued.isoformat()}", now)
    if family is None or not advisories.covers(family):
        return NotObserved(
            Reason.NOT_ASKED,
            f"the hub's list of known flaws says nothing about this maker ({family or 'unknown'})",
            told,
        )
    hit, unsure = advisories.matching(family, model, built)
    if hit:
        return Observed(len(hit), _told(f"{told.operation}: {', '.join(hit)}", now))
    if unsure:
        names = ", ".join(unsure)
        return NotObserved(
            Reason.NO_DECLARATION,
            f"{names} may concern this device and its version does not tell; look it up at its maker",
            told,
        )
    return Observed(0, told)


def _text(seen: Mapping[str, Observation], fact: str) -> str:
    one = seen.get(fact)
    return one.value if isinstance(one, Observed) and isinstance(one.value, str) else ""


def _told(operation: str, now: datetime) -> Provenance:
    return Provenance(Method.EXAMINE, SOURCE, operation, "hub", now)
