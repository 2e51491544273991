"""What is asked for when a camera is offered, and how it is kept for a retry (without the credential)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from hub.catalog.consent import recipients_from
from hub.catalog.schedule import Schedule
from hub.catalog.types import ConsentInput, Kind, NewCustodian, Origin, Position, Siting
from standards.observation import parse_rfc3339, rfc3339


@dataclass(frozen=True, slots=True)
class Intake:
    """One camera that is offered. `address` holds no credential."""

    address: str
    custodian: str | NewCustodian
    granted_by: str
    basis: str  # owner | authority | installer
    name: str = ""
    area: str | None = None
    position: Position | None = None
    sub_address: str = ""
    consent: ConsentInput | None = None
    standard: str = "technical"
    keep_unreachable: bool = False
    notes: str = ""
    vendor: str = ""  # the maker, where the owner knows little more than an address
    origin: Origin = field(default_factory=Origin)
    ports: bool = False  # whether who granted the check also agreed to tests of the named ports

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the store."""
        custodian: Any = self.custodian
        if isinstance(custodian, NewCustodian):
            custodian = {"kind": str(custodian.kind), "name": custodian.name, "contact": custodian.contact}
        return {
            "address": self.address,
            "custodian": custodian,
            "granted_by": self.granted_by,
            "basis": self.basis,
            "name": self.name,
            "area": self.area,
            "position": _position_json(self.position),
            "sub_address": self.sub_address,
            "consent": _consent_json(self.consent),
            "standard": self.standard,
            "keep_unreachable": self.keep_unreachable,
            "notes": self.notes,
            "vendor": self.vendor,
            "ports": self.ports,
            "origin": _origin_json(self.origin),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Intake":
        """Read what `as_json` wrote."""
        custodian = told["custodian"]
        if isinstance(custodian, Mapping):
            custodian = NewCustodian(Kind(custodian["kind"]), custodian["name"], custodian["contact"])
        position = told["position"]
        return cls(
            address=told["address"],
            custodian=custodian,
            granted_by=told["granted_by"],
            basis=told["basis"],
            name=told["name"],
            area=told["area"],
            position=Position(**position) if position else None,
            sub_address=told["sub_address"],
            consent=_consent_from(told["consent"]),
            standard=told["standard"],
            keep_unreachable=bool(told["keep_unreachable"]),
            notes=told.get("notes", ""),
            vendor=told.get("vendor", ""),
            ports=bool(told.get("ports", False)),
            origin=_origin_from(told.get("origin") or {}),
        )


def _origin_json(origin: Origin) -> dict[str, Any]:
    siting = origin.siting
    paper = siting and {
        "document": siting.document,
        "authority": siting.authority,
        "date": siting.date.isoformat(),
    }
    return {
        "group": origin.group,
        "funding": origin.funding,
        "source_class": origin.source_class,
        "siting": paper,
    }


def _origin_from(told: Mapping[str, Any]) -> Origin:
    paper = told.get("siting")
    siting = paper and Siting(paper["document"], paper["authority"], date.fromisoformat(paper["date"]))
    return Origin(
        told.get("group", ""), told.get("funding", ""), told.get("source_class", ""), siting or None
    )


def _position_json(position: Position | None) -> dict[str, Any] | None:
    if position is None:
        return None
    return {
        "lat": position.lat,
        "lon": position.lon,
        "accuracy_m": position.accuracy_m,
        "azimuth_deg": position.azimuth_deg,
    }


def _consent_json(consent: ConsentInput | None) -> dict[str, Any] | None:
    if consent is None:
        return None
    return {
        "sharing_mode": str(consent.sharing_mode),
        "purposes": list(consent.purposes),
        "recipients": [{"area": one.area, "role": one.role} for one in consent.recipients],
        "text_version": consent.text_version,
        "signed_by": consent.signed_by,
        "schedule": consent.schedule.as_json() if consent.schedule else None,
        "audio": consent.audio,
        "expires_at": rfc3339(consent.expires_at) if consent.expires_at else None,
        "witnessed_by": consent.witnessed_by,
    }


def _consent_from(told: Mapping[str, Any] | None) -> ConsentInput | None:
    if told is None:
        return None
    return ConsentInput(
        sharing_mode=told["sharing_mode"],
        purposes=tuple(told["purposes"]),
        recipients=recipients_from(told["recipients"]),
        text_version=told["text_version"],
        signed_by=told["signed_by"],
        schedule=Schedule.from_json(told["schedule"]) if told["schedule"] else None,
        audio=bool(told["audio"]),
        expires_at=parse_rfc3339(told["expires_at"]) if told["expires_at"] else None,
        witnessed_by=told["witnessed_by"],
    )
