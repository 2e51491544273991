"""One hub for all API tests of a module."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from running_hub import HubThread, running_hub


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubThread]:
    """A hub with a small built user interface."""
    ui = tmp_path_factory.mktemp("ui")
    (ui / "assets").mkdir()
    (ui / "index.html").write_text("<!doctype html><title>camhub</title>")
    (ui / "assets" / "app-1a2b3c.js").write_text("export {};")
    (ui.parent / "outside.txt").write_text("not for the world")
    with running_hub(Path(tmp_path_factory.mktemp("data")), ui) as started:
        yield started
