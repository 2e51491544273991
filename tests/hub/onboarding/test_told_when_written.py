"""What an onboarding says of its end is what the database holds by then."""

import socket
from pathlib import Path
from typing import Any

import pytest
from running_hub import onboard, running_hub

from hub.onboarding.book import Onboarding, OnboardingBook

pytestmark = pytest.mark.process


def test_an_outcome_is_told_only_once_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the transaction is open the onboarding still runs and names no camera: who asked for it would not find it."""
    told: list[tuple[str, str | None]] = []
    saved = OnboardingBook.save

    with running_hub(tmp_path) as hub, socket.create_server(("127.0.0.1", 0)) as gone:

        async def save(self: OnboardingBook, tx: Any, entry: Onboarding, **how: Any) -> None:
            await saved(self, tx, entry, **how)
            if entry.camera_id is not None:
                now = await hub.hub.services.onboarding.get(entry.id)
                told.append((now.state, now.camera_id))

        monkeypatch.setattr(OnboardingBook, "save", save)
        port = gone.getsockname()[1]
        gone.close()
        done = onboard(hub.login("admin"), f"rtsp://127.0.0.1:{port}/main", keep_unreachable=True)

    assert done["camera_id"]
    assert told == [("running", None)]
