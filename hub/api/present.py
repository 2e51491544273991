"""Representations: what the hub says about cameras, people and consents, cut to what the reader may know."""

from base64 import b64encode
from datetime import datetime
from typing import Any

from hub.access.decide import Allowed, Decision, subject_of, viewable
from hub.access.principal import Principal
from hub.access.rights import may_change_entry, may_pause, may_record_consent
from hub.catalog.consent import consent_json
from hub.catalog.types import (
    PORTS_BASIS,
    PORTS_GRANTED_AT,
    PORTS_GRANTED_BY,
    Area,
    Camera,
    Consent,
    Custodian,
    Health,
    Kind,
    StoredAssessment,
)
from hub.live.stills import Still
from hub.live.telling import codec_words
from hub.live.whip_tokens import pushes
from hub.texts import Both, Texts
from standards.facts import FACTS
from standards.observation import rfc3339

COARSE_DECIMALS = 3  # a position for those who do not work on the camera: about 100 m
PLACES = frozenset({"peer", "excerpt"})  # of a report: where a device is, and what it said
PRIVATE_KEYS = ("sources", "still")  # of a stored report: addresses, for the hub only


def moment(value: datetime | None) -> str | None:
    """Return RFC 3339 with Z, or None."""
    return rfc3339(value) if value is not None else None


def area_json(area: Area | None) -> dict[str, Any] | None:
    """Return an area as cameras name it."""
    return None if area is None else {"code": area.code, "name": area.name}


class Presenter:
    """Says what one reader may know. `watching` counts the views of a camera in this process."""

    def __init__(self, texts: Texts) -> None:
        self._texts = texts

    def camera(self, camera: Camera, reader: Principal, now: datetime, watching: int) -> dict[str, Any]:
        """Return a `Camera` of the HTTP API."""
        answer, purpose = viewable(reader, subject_of(camera), now)
        works_on_it = self.works_on(reader, camera)
        return {
            "id": camera.id,
            "name": camera.name,
            "area": area_json(camera.area),
            "custodian": self.custodian(camera.custodian, knows=works_on_it),
            "decision": camera.decision,
            "decision_reasons": [dict(reason) for reason in camera.decision_reasons],
            "health": self.health(camera.health),
            "sharing": {
                "mode": camera.sharing.mode,
                "paused": camera.sharing.paused,
                "paused_until": moment(camera.sharing.paused_until),
                "schedule": camera.sharing.schedule.as_json() if camera.sharing.schedule else None,
                "consent": str(camera.sharing.consent),
            },
            "viewable": self.viewable(answer, purpose, camera),
            "may_pause": may_pause(reader, camera),
            "playback": {
                "codec": camera.playback.codec,
                "relay": camera.playback.relay,
                "width": camera.playback.width,
                "height": camera.playback.height,
                "fps": camera.playback.fps,
            },
            "watching": watching if works_on_it or may_pause(reader, camera) else None,
            "position": self.position(camera, exact=works_on_it),
            "enrolled_at": rfc3339(camera.enrolled_at),
            "alert": (camera.alert or None) if works_on_it else None,
            "version": camera.version,
        }

    @staticmethod
    def works_on(reader: Principal, camera: Camera) -> bool:
        """Tell whether the reader is the custodian or may change the entry."""
        return reader.owns(camera.custodian.id) or may_change_entry(reader, camera)

    @staticmethod
    def custodian(custodian: Custodian, *, knows: bool) -> dict[str, Any]:
        """Return who answers for the camera; a household's name only to those who work on it."""
        named = knows or custodian.kind is not Kind.HOUSEHOLD
        return {
            "id": custodian.id,
            "kind": str(custodian.kind),
            "name": (custodian.name or None) if named else None,
        }

    @staticmethod
    def health(health: Health) -> dict[str, Any]:
        """Return liveness as shown."""
        return {
            "state": health.state,
            "since": moment(health.since),
            "cause": dict(health.cause) if health.cause else None,
            "measured_at": moment(health.measured_at),
        }

    @staticmethod
    def position(camera: Camera, *, exact: bool) -> dict[str, Any] | None:
        """Return where the camera is: rounded to about 100 m except for those who work on it."""
        place = camera.position
        if place is None:
            return None
        if not exact:
            return {"lat": round(place.lat, COARSE_DECIMALS), "lon": round(place.lon, COARSE_DECIMALS)}
        return {
            "lat": place.lat,
            "lon": place.lon,
            "accuracy_m": place.accuracy_m,
            "azimuth_deg": place.azimuth_deg,
        }

    def viewable(self, answer: Decision, purpose: str, camera: Camera) -> dict[str, Any]:
        """Return whether the reader may watch now, and why not."""
        if isinstance(answer, Allowed):
            code = "ok"
            if answer.test_only and camera.decision in {"PENDING", "REJECTED"}:
                code = f"decision_{camera.decision.lower()}"
            said = self._texts.both("live.view.test_only" if answer.test_only else "live.view.ok")
            return {
                "allowed": True,
                "code": code,
                "text": said,
                "test_only": answer.test_only,
                "purpose": purpose,
                "until": moment(answer.until),
            }
        return {
            "allowed": False,
            "code": answer.code,
            "text": self._refusal(answer.code, camera),
            "test_only": False,
            "purpose": purpose,
            "until": None,
        }

    def _refusal(self, code: str, camera: Camera) -> Both:
        return self._texts.both(
            f"problem.{code}.detail", {"camera_sends": codec_words(camera.playback.codec)}
        )

    def detail(
        self,
        camera: Camera,
        reader: Principal,
        now: datetime,
        watching: int,
        *,
        assessment: StoredAssessment | None,
        series: dict[str, Any] | None,
        cooldown_until: datetime | None,
    ) -> dict[str, Any]:
        """Return a `CameraDetail` of the HTTP API."""
        writes = may_change_entry(reader, camera)
        knows = self.works_on(reader, camera)
        observations = dict(assessment.observations) if assessment else {}
        return {
            **self.camera(camera, reader, now, watching),
            "address": camera.address if writes else None,
            "sub_address": (camera.sub_address or None) if writes else None,
            "pushes": pushes(camera),
            "has_credential": camera.has_credential,
            "device": device_json(observations),
            "facts": facts_json(observations, assessment) if knows else [],
            "streams": streams_json(assessment),
            "last_assessment": None if assessment is None else assessment_json(assessment, knows=knows),
            "quirks": list(value_of(observations, "rtsp.quirks") or []),
            "notes": camera.notes if knows else "",
            "origin": origin_json(camera) if knows else None,
            "series": series if series and series.get("open") else None,
            "permission": dict(camera.permission) if writes else None,
            "port_tests": port_tests_json(camera, reader) if knows else None,
            "cooldown_until": moment(cooldown_until),
        }


def origin_json(camera: Camera) -> dict[str, Any]:
    """Return where a camera comes from; empty parts were not recorded."""
    told = camera.origin
    siting = told.siting
    return {
        "group": told.group,
        "funding": told.funding,
        "source_class": told.source_class,
        "siting": None
        if siting is None
        else {"document": siting.document, "authority": siting.authority, "date": siting.date.isoformat()},
    }


def port_tests_json(camera: Camera, reader: Principal) -> dict[str, Any]:
    """Return who agreed to tests of ports and when; None where nobody did."""
    told = camera.permission
    return {
        "allowed": PORTS_GRANTED_AT in told,
        "granted_by": told.get(PORTS_GRANTED_BY),
        "basis": told.get(PORTS_BASIS),
        "granted_at": told.get(PORTS_GRANTED_AT),
        "may_change": may_record_consent(reader, camera),
    }


def value_of(observations: dict[str, Any], fact: str) -> Any:
    """Return an observed fact's value, or None."""
    entry = observations.get(fact)
    return entry.get("value") if isinstance(entry, dict) else None


def device_json(observations: dict[str, Any]) -> dict[str, Any]:
    """Return what the device says about itself; None where it did not."""
    return {
        name: value_of(observations, f"device.{name}")
        for name in ("manufacturer", "model", "firmware", "serial", "hardware_id", "mac")
    }


def facts_json(observations: dict[str, Any], assessment: StoredAssessment | None) -> list[dict[str, Any]]:
    """Return every fact that was looked for: claimed, measured, required, or why it was not seen."""
    required = _required(assessment)
    out = []
    for name, entry in observations.items():
        if not isinstance(entry, dict):
            continue
        fact = FACTS.get(name)
        claimed = "claimed" in name.rpartition(".")[2]
        value = entry.get("value")
        out.append(
            {
                "name": name,
                "meaning": fact.meaning if fact else name,
                "unit": fact.unit if fact else "",
                "claimed": value if claimed else None,
                "measured": None if claimed else value,
                "required": required.get(name),
                "reason": entry.get("reason"),
                "detail": entry.get("detail"),
            }
        )
    return out


def _required(assessment: StoredAssessment | None) -> dict[str, Any]:
    """Return what rules ask of a fact, for rules that look at one fact only."""
    out: dict[str, Any] = {}
    if assessment is None:
        return out
    for finding in list(assessment.report.get("findings") or []):
        facts = finding.get("facts") or []
        if len(facts) == 1 and finding.get("required") is not None:
            out.setdefault(str(facts[0].get("name")), finding["required"])
    return out


def streams_json(assessment: StoredAssessment | None) -> list[dict[str, Any]]:
    """Return the streams without their addresses."""
    if assessment is None:
        return []
    out: list[dict[str, Any]] = []
    observations = dict(assessment.observations)
    for source in list(assessment.report.get("sources") or []):
        layer = source.get("layer")
        seen = {
            name: value_of(observations, f"stream.{layer}.{name}")
            for name in ("codec", "width", "height", "fps", "bitrate_kbps")
        }
        out.append(
            {
                "layer": layer,
                "codec": seen["codec"] or source.get("codec") or None,
                "width": seen["width"] or source.get("width") or None,
                "height": seen["height"] or source.get("height") or None,
                "fps": seen["fps"],
                "bitrate_kbps": seen["bitrate_kbps"],
            }
        )
    return out


def assessment_json(assessment: StoredAssessment, *, knows: bool) -> dict[str, Any]:
    """Return a whole `Assessment` of the HTTP API; addresses and excerpts only to those who work on the camera."""
    shown = report_document(assessment, knows=knows)
    standard = shown.get("standard_detail") or {
        "id": assessment.standard,
        "version": assessment.standard_version,
    }
    return {**shown, "standard": standard, "id": assessment.id, "camera_id": assessment.camera_id}


def report_document(assessment: StoredAssessment, *, knows: bool) -> dict[str, Any]:
    """Return the report as it is rendered."""
    shown = {name: value for name, value in assessment.report.items() if name not in PRIVATE_KEYS}
    return shown if knows else _without_places(shown)


def still_now(still: Still) -> dict[str, Any]:
    """Return a still taken for one reader, as a report embeds it; what a check kept says another time."""
    return {
        "media_type": "image/jpeg",
        "width": still.width,
        "height": still.height,
        "taken_at": rfc3339(still.taken_at),
        "data": b64encode(still.body).decode(),
    }


def _without_places(value: Any) -> Any:
    """Return a report without addresses of devices and pieces of their replies."""
    if isinstance(value, dict):
        return {
            name: "" if name in PLACES and isinstance(inner, str) else _without_places(inner)
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_without_places(inner) for inner in value]
    return value


def assessment_line(assessment: StoredAssessment) -> dict[str, Any]:
    """Return an assessment as lists show it."""
    return {
        "id": assessment.id,
        "standard": assessment.standard,
        "standard_version": assessment.standard_version,
        "decision": assessment.decision,
        "as_of": rfc3339(assessment.as_of),
        "counts": dict(assessment.counts),
    }


def consent_out(consent: Consent, now: datetime) -> dict[str, Any]:
    """Return a `Consent` of the HTTP API."""
    told = consent_json(consent, now)
    return {name: rfc3339(value) if isinstance(value, datetime) else value for name, value in told.items()}
