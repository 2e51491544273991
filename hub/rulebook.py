"""What a hub judges by: the shipped rule packs and list of known flaws, and its own, as its settings name them."""

from hub.packs import PackUnreadable, read_packs
from hub.settings import Settings, SettingsRefused
from standards.advisories import Advisories, AdvisoriesError, parse, shipped
from standards.pack import PackError, Packs, packaged, packaged_with


def packs_of(settings: Settings) -> Packs:
    """Return the shipped rule packs and this hub's own ones on top.

    Raises:
        SettingsRefused: an own pack cannot be read, or is wrong.
    """
    if not settings.packs:
        return packaged()
    try:
        return packaged_with(read_packs(settings.packs))
    except (PackUnreadable, PackError) as error:
        raise SettingsRefused(f"packs: {error}; `camhub standards lint` tells all that is wrong") from error


def advisories_of(settings: Settings) -> Advisories:
    """Return the list of known flaws: this hub's own file, else the shipped one.

    Raises:
        SettingsRefused: the file cannot be read, or is wrong.
    """
    if settings.advisories is None:
        return shipped()
    try:
        return parse(settings.advisories.read_text("utf-8"), settings.advisories.name)
    except (OSError, UnicodeDecodeError, AdvisoriesError) as error:
        raise SettingsRefused(
            f"advisories: {error}; `camhub standards advisories` tells what is wrong"
        ) from error
