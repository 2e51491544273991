"""README's list of supported devices is what the evidence gives, and the evidence is there."""

import json
import sys
from pathlib import Path

import pytest
from captured_devices import CAPTURED
from corpus import ROOT as CORPUS
from corpus import needs_corpus

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from devices import BEGIN, END, placed, section  # noqa: E402


def test_the_list_in_the_readme_is_fresh() -> None:
    """What stands between the markers is what tools/devices.py writes."""
    readme = (ROOT / "README.md").read_text("utf-8")

    assert placed(readme, section()) == readme, "write it anew: python3 tools/devices.py --write"


def test_a_bundle_appears_by_itself_and_a_real_one_counts_as_such(tmp_path: Path) -> None:
    """A captured camera is listed because its folder is there; only evidence `device` is called real."""
    for evidence, model in (("device", "DS-1"), ("scripted", "Sim")):
        folder = tmp_path / "tests" / "fixtures" / "cameras" / "maker" / model
        folder.mkdir(parents=True)
        told = {
            "evidence": evidence, "identity": {"manufacturer": "Maker", "model": model, "firmware": "1"},
            "interfaces": ["onvif"], "decision": {"decision": "ADMITTED"}, "captured_on": "2026-11-21",
        }  # fmt: skip
        (folder / "capture.json").write_text(json.dumps(told))

    text = section(tmp_path)
    real, scripted = text.split("**Scripted cameras")
    assert "Maker DS-1 | 1 | onvif | ADMITTED" in real
    assert "Maker Sim" in scripted
    assert "Maker Sim" not in real
    assert "none yet" not in real


@pytest.mark.parametrize("readme", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_refused(readme: str) -> None:
    """The list is never put anywhere but between the two markers."""
    with pytest.raises(ValueError, match="once each"):
        placed(readme, "list")


@needs_corpus
def test_every_listed_interface_has_captured_replies() -> None:
    """Each interface of the list has its folder of captured replies, and each model is named in their description."""
    described = (CORPUS / "README.md").read_text("utf-8")
    for interface, (folder, makers) in CAPTURED.items():
        assert (CORPUS / folder).is_dir(), interface
        missing = [
            model for models in makers.values() for model in models if model and model not in described
        ]
        assert not [model for model in missing if model != "SUNBA Performance-Series"], missing
