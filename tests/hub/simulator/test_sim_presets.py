"""Presets as data: the shipped ones, one's own files, and what is said about mistakes."""

import ast
from pathlib import Path

import pytest

import hub.simulator
from hub.simulator.presets import PresetError, chosen, from_file, shipped

NAMES = [
    "good-onvif",
    "household-no-onvif",
    "open-no-auth",
    "low-resolution",
    "wrong-clock",
    "h265-only",
    "mjpeg-2009",
    "dome-ptz",
    "recorder",
    "dead",
]


def write(tmp_path, text):
    path = tmp_path / "own.toml"
    path.write_text(text, "utf-8")
    return path


def test_ships_the_ten_cameras():
    """The shipped presets are the agreed ones, each with a sentence in both languages."""
    known = shipped()
    assert list(known) == NAMES
    assert all(
        preset.sentence.en.endswith(".") and preset.sentence.vi.endswith(".") for preset in known.values()
    )
    assert len({preset.title for preset in known.values()}) == len(NAMES)


def test_extending_merges_tables_and_replaces_lists(tmp_path):
    """A preset that extends another keeps what it does not write."""
    text = """
[mine]
extends = "good-onvif"
title = "Mine"
[mine.identity]
model = "Own"
[[mine.streams]]
layer = "main"
path = "/one"
codec = "H264"
width = 320
height = 180
fps = 5
bitrate_kbps = 100
[yours]
extends = "mine"
rtsp.session_timeout_s = 5
"""
    known = from_file(write(tmp_path, text))
    base = shipped()["good-onvif"]
    assert list(known) == ["mine", "yours"]
    assert (known["mine"].identity.model, known["mine"].identity.firmware) == ("Own", base.identity.firmware)
    assert [stream.path for stream in known["yours"].streams] == ["/one"]
    assert (known["mine"].rtsp.session_timeout_s, known["yours"].rtsp.session_timeout_s) == (60, 5)
    assert known["yours"].title == "Mine"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("not toml", "not TOML"),
        ("", "no preset"),
        ("a = 1", "a must be a table"),
        ('[a]\nextends = "nobody"', "extends nobody, which is not known"),
        ('[a]\nextends = "b"\n[b]\nextends = "a"', "extends itself"),
        ('[a]\nextends = "good-onvif"\ncolour = "red"', "preset a: colour"),
        ('[a]\nextends = "good-onvif"\nrtsp.auth = "basic"', "preset a: rtsp.auth"),
        ('[a]\nextends = "good-onvif"\nstreams = []', "needs a stream of layer main"),
        (
            """[a]\nextends = "mjpeg-2009"\nstreams = [{layer = "main", path = "/a", codec = "JPEG", width = 2560, height = 480, fps = 5, bitrate_kbps = 500}]""",
            "RFC 2435",
        ),
    ],
)
def test_a_mistake_is_named_with_preset_and_field(tmp_path, text, says):
    """What is wrong in a file is said in one sentence that names the place."""
    with pytest.raises(PresetError, match=says) as caught:
        from_file(write(tmp_path, text))
    assert "own.toml" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    """A missing file is an error of the user, not a traceback."""
    with pytest.raises(PresetError, match="cannot be read"):
        from_file(tmp_path / "none.toml")


def test_unknown_names_are_answered_with_the_known_ones():
    """Asking for an unknown preset lists the known ones."""
    with pytest.raises(PresetError, match="unknown preset goood; known are: good-onvif, "):
        chosen(("good-onvif", "goood"), shipped())


def test_the_simulator_shares_no_protocol_code_with_the_adapters():
    """Of `adapters` the simulator imports the clock only, so that no mistake is made on both sides at once."""
    folder = Path(hub.simulator.__file__).parent
    imported = {
        name
        for file in folder.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        for name in (
            [node.module]
            if isinstance(node, ast.ImportFrom)
            else [alias.name for alias in getattr(node, "names", [])]
        )
        if name and name.startswith("adapters")
    }
    assert imported == {"adapters.clock"}
