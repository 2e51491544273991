"""What all tests of the ONVIF adapter share."""

import pytest

from adapters.onvif import details_step


@pytest.fixture(autouse=True)
def _time_for_extended_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give the extended reads more time together than on a camera: a busy machine must not leave one out."""
    monkeypatch.setattr(details_step, "LIMIT_S", 60.0)
