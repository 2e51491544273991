"""How the hub words what became of a view."""

import pytest

from hub.live.telling import Telling
from hub.texts import Texts


@pytest.mark.parametrize("code", ["source_changed", "relay_restarted", "lease_expired"])
def test_a_view_that_nobody_ended_is_asked_for_again(code: str) -> None:
    """What broke while it was being opened is no refusal: 503 with the time to wait, in words of both languages."""
    told = Telling(Texts.installed()).ended_early(code)
    assert (told.code, told.headers) == ("no_room", {"retry-after": "1"})
    assert set(told.params["what"]) == {"vi", "en"}


def test_a_view_that_its_owner_ended_is_refused_for_that_reason() -> None:
    """The reason of who decided outranks that it was just being opened."""
    assert Telling(Texts.installed()).ended_early("paused").code == "paused"
