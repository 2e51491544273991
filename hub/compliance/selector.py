"""Which cameras a waiver is for: one camera, an area, a kind of custodian, or a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hub.access.rights import area_path
from hub.catalog.types import Camera, Kind
from hub.compliance.refused import StatementRefused

WAYS = ("camera", "area", "custodian", "model")
MAX_MODEL = 100


@dataclass(frozen=True, slots=True)
class Selector:
    """One way of naming cameras, and its value."""

    way: str
    value: str

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> "Selector":
        """Read ``{"camera": id}``, ``{"area": code}``, ``{"custodian": kind}`` or ``{"model": name}``.

        Raises:
            StatementRefused: `selector_one`: none or several of them; `selector_custodian`: no such kind.
        """
        given = {way: str(told[way]).strip() for way in WAYS if told.get(way)}
        if len(given) != 1 or not all(given.values()) or set(told) - set(WAYS):
            raise StatementRefused("selector", "selector_one", ways=", ".join(WAYS))
        ((way, value),) = given.items()
        if way == "custodian" and value not in {str(kind) for kind in Kind}:
            raise StatementRefused(
                "selector.custodian", "selector_custodian", known=", ".join(str(kind) for kind in Kind)
            )
        return cls(way, value[:MAX_MODEL])

    def matches(self, camera: Camera, model: str) -> bool:
        """Tell whether a camera is meant; `model` is what the device last said it is."""
        if self.way == "camera":
            return camera.id == self.value
        if self.way == "area":
            return self.value in area_path(camera)
        if self.way == "custodian":
            return str(camera.custodian.kind) == self.value
        return model.strip().casefold() == self.value.casefold()

    def as_json(self) -> dict[str, str]:
        """Return what `of` reads."""
        return {self.way: self.value}
