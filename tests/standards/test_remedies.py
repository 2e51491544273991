"""Remedies per maker: sourced, about rules that exist, and only for cameras that surely are of that family."""

from pathlib import Path
from typing import Any

import pytest
from observed_cameras import camera

from standards.pack import packaged
from standards.remedies import RemedyError, packaged_remedies, parse_remedies

ONE = """
[[remedy]]
families = ["acme"]
maker = "(?i)acme"
rules = ["CON-02"]
who = "owner"
steps = [{ vi = "Bật ONVIF.", en = "Switch ONVIF on." }]
source = "Acme, manual"
certainty = "doc"
"""


def rules_of(**facts: Any) -> set[str]:
    """The rules for which the shipped remedies know the way on such a camera."""
    seen = camera({name.replace("__", "."): value for name, value in facts.items()})
    return {rule for one in packaged_remedies() if one.fits(seen) for rule in one.rules}


def test_shipped_remedies_name_rules_families_and_sources() -> None:
    """Every entry is about shipped rules and families that the adapters know, in both languages, with its source."""
    families = (Path(__file__).parents[2] / "adapters/vendors/families.toml").read_text("utf-8")
    for one in packaged_remedies():
        assert set(one.rules) <= set(packaged().rules)
        assert all(f'id = "{family}"' in families for family in one.families), one.families
        assert one.source.strip()
        assert all(step.vi.strip() and step.en.strip() for step in one.steps)


def test_a_camera_gets_the_steps_of_its_own_maker_only() -> None:
    """The family decides; without it the manufacturer that the device names; an unknown maker gets nothing."""
    assert "SEC-06" in rules_of(vendor__family="hikvision")
    assert "SEC-06" not in rules_of(vendor__family="dahua", device__manufacturer="HIKVISION")
    assert "SEC-06" in rules_of(vendor__family="", device__manufacturer="HIKVISION")
    assert rules_of(vendor__family="", device__manufacturer="Acme") == set()


@pytest.mark.parametrize(
    ("model", "firmware", "fits"),
    [
        ("X-1", "V5.4.9 build 1", False),
        ("X-1", "V5.5.0", True),
        ("X-1", "5.7.99 build 220315", True),
        ("X-1", "5.8.0", False),
        ("X-1", "unknown", False),
        ("Y-1", "V5.5.0", False),
    ],
)
def test_model_and_firmware_bound_an_entry(model: str, firmware: str, fits: bool) -> None:
    """An entry for some versions holds for those, and for none where the device tells no version."""
    bounded = ONE + 'model = "^X-"\nfirmware_from = "5.5"\nfirmware_to = "5.7"\n'
    (one,) = parse_remedies({"a.toml": bounded}, {"CON-02"})

    assert (
        one.fits(camera({"vendor.family": "acme", "device.model": model, "device.firmware": firmware}))
        is fits
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (('["CON-02"]', '["CON-99"]'), "no rule CON-99"),
        (('"(?i)acme"', '"("'), "unterminated"),
        (('who = "owner"', 'who = "police"'), "who"),
        (('source = "Acme, manual"\n', ""), "source"),
        (("[[remedy]]", "[[remedy"), "a.toml"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_file(change: tuple[str, str], named: str) -> None:
    """An entry without a source, for an unknown rule or person, or with a broken pattern is refused."""
    with pytest.raises(RemedyError, match=r"a\.toml") as refused:
        parse_remedies({"a.toml": ONE.replace(*change)}, {"CON-02"})

    assert named in str(refused.value)
