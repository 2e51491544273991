"""Who asks: a person (or a script in a person's name) with a role, areas and perhaps cameras of their own."""

from dataclasses import dataclass

from hub.catalog.types import Scope
from hub.store.chain import Actor

# An area list may hold this in place of codes: the whole hub.
EVERYWHERE = "*"
# For these an empty area list means the whole hub; a viewer without areas sees no camera, a donor only their own.
WHOLE_HUB_BY_DEFAULT = frozenset({"admin", "operator", "inspector"})


@dataclass(frozen=True, slots=True)
class Principal:
    """A signed-in person. `lineage` holds the codes of their areas and of all areas above them."""

    user_id: str
    name: str
    role: str  # admin | operator | viewer | inspector | donor
    areas: tuple[str, ...] = ()
    lineage: frozenset[str] = frozenset()
    custodian_id: str | None = None
    number: int = 0  # shown to donors in place of the name
    display_name: str = ""
    must_change_password: bool = False
    via: str = "user"  # user | token

    @property
    def everywhere(self) -> bool:
        """Tell whether the areas are the whole hub."""
        return EVERYWHERE in self.areas or (not self.areas and self.role in WHOLE_HUB_BY_DEFAULT)

    def in_area(self, area_path: tuple[str, ...]) -> bool:
        """Tell whether a place lies in one of the areas. A camera without a place lies in none."""
        return self.everywhere or any(code in area_path for code in self.areas)

    def owns(self, custodian_id: str) -> bool:
        """Tell whether this person is, or acts in the name of, that custodian."""
        return self.custodian_id is not None and self.custodian_id == custodian_id

    def scope(self) -> Scope:
        """Return which cameras this person sees in lists: those of their areas, and their own."""
        if self.role == "donor":
            return Scope(custodian_id=self.custodian_id)
        areas = tuple(code for code in self.areas if code != EVERYWHERE)
        return Scope(everywhere=self.everywhere, areas=areas, custodian_id=self.custodian_id)

    def actor(self) -> Actor:
        """Return who did it, for the audit log."""
        return Actor(self.via, self.user_id, self.name, self.role)
