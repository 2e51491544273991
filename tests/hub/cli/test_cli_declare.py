"""`camhub check --declare`: what people state from a file; what does not fit is refused by file, line and field."""

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hub.cli.declare import DeclarationsUnreadable, read_declarations
from standards.declaration import declaration, forms
from standards.observation import Method, NotObserved, Observed
from standards.pack import packaged

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)
HEAD = 'author = "Lê Văn Bình"\nrole = "installer"\ndate = 2026-11-20\n'
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF" + b"\0" * 20 + b"\xff\xd9"


def write(folder: Path, text: str, name: str = "said.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_declarations_become_observations(tmp_path: Path) -> None:
    """A date is worked out on the day of judgement, the paper's hash stands in the evidence, the role is named."""
    (tmp_path / "bien-bao.jpg").write_bytes(JPEG)
    text = HEAD + (
        '\n[[declaration]]\nfact = "signage.age_days"\nvalue = 2026-11-11\nattachment = "bien-bao.jpg"\n'
        '\n[[declaration]]\nfact = "storage.countries"\nvalue = ["VN"]\nvalid_until = 2027-01-31\n'
    )
    seen = read_declarations(write(tmp_path, text), NOW, "en")
    sign = seen["signage.age_days"]
    assert isinstance(sign, Observed)
    assert sign.value == pytest.approx(10.1, abs=0.1)
    assert sign.provenance.method is Method.INTERVIEW
    assert sign.provenance.operation == "declaration by installer"
    assert hashlib.sha256(JPEG).hexdigest() in sign.provenance.excerpt
    assert seen.value("storage.countries") == ("VN",)


def test_json_says_the_same(tmp_path: Path) -> None:
    """A JSON file of the same shape gives the same observations."""
    told = {
        "author": "Lê Văn Bình",
        "role": "installer",
        "date": "2026-11-20",
        "declaration": [
            {"fact": "night.infrared", "value": True},
            {"fact": "recording.days_kept", "value": 12},
        ],
    }
    seen = read_declarations(write(tmp_path, json.dumps(told), "said.json"), NOW, "vi")
    assert (seen.value("night.infrared"), seen.value("recording.days_kept")) == (True, 12.0)


@pytest.mark.parametrize(
    ("text", "where", "why"),
    [
        ("author = nobody\n", "said.toml:1", "TOML"),
        ('autor = "x"\n', "autor", "unknown key"),
        (HEAD, "declaration", "1-200"),
        (
            HEAD + '[[declaration]]\nfact = "sign.age"\nvalue = 1\n',
            "said.toml:4: declaration[0].fact",
            "sign.age",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalue = true\n\n'
            '[[declaration]]\nfact = "night.infrared"\nvalue = "yes"\n',
            "said.toml:8: declaration[1].value",
            "true or false",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalue = true\n[[declaration]]\n'
            'fact = "night.infrared"\nvalue = true\n',
            "declaration[1].fact",
            "twice",
        ),
        ('[[declaration]]\nfact = "night.infrared"\nvalue = true\n', "declaration[0].author", "name"),
        (
            'author = "A"\nrole = "installer"\n[[declaration]]\nfact = "night.infrared"\nvalue = true\n',
            "declaration[0].date",
            "needed",
        ),
        (
            'author = "A"\nrole = "king"\ndate = 2026-11-20\n[[declaration]]\nfact = "night.infrared"\nvalue = true\n',
            "declaration[0].role",
            "king",
        ),
        (
            HEAD + '[[declaration]]\nfact = "signage.age_days"\nvalue = 2026-01-01\ndate = 2025-01-01\n',
            "declaration[0].valid_until",
            "lapsed",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalue = true\nvalid_until = "soon"\n',
            "declaration[0].valid_until",
            "YEAR-MONTH-DAY",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalue = true\nattachment = "none.pdf"\n',
            "declaration[0].attachment",
            "none.pdf",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalue = true\nattachment = "lies.pdf"\n',
            "declaration[0].attachment",
            "content is image/jpeg",
        ),
        (
            HEAD + '[[declaration]]\nfact = "night.infrared"\nvalu = true\n',
            "declaration[0].valu",
            "unknown key",
        ),
    ],
)
def test_what_does_not_fit_is_refused_by_place(tmp_path: Path, text: str, where: str, why: str) -> None:
    """The refusal names the file, the line of the entry, the field and the reason."""
    (tmp_path / "lies.pdf").write_bytes(JPEG)
    with pytest.raises(DeclarationsUnreadable) as caught:
        read_declarations(write(tmp_path, text), NOW, "en")
    assert where in str(caught.value)
    assert why in str(caught.value)
    assert "{" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    """No such file, not UTF-8, broken JSON with its line, far too long: each is one sentence."""
    (tmp_path / "raw.toml").write_bytes(b"\xff\xfe")
    write(tmp_path, '{\n "a": }', "broken.json")
    write(tmp_path, "#" * 300_000, "long.toml")
    for name, word in (
        ("none.toml", "No such file"),
        ("raw.toml", "UTF-8"),
        ("broken.json", "broken.json:2"),
        ("long.toml", "262144"),
    ):
        with pytest.raises(DeclarationsUnreadable, match=word):
            read_declarations(tmp_path / name, NOW, "en")


def test_a_declaration_is_worth_nothing_after_its_day(tmp_path: Path) -> None:
    """What was read in time and is judged later is NotObserved with the day on which it lapsed."""
    one = declaration(
        "night.infrared",
        True,
        author="A",
        role="installer",
        declared=NOW,
        now=NOW,
        valid_until=NOW + timedelta(1),
    )
    assert isinstance(one.observation(NOW), Observed)
    late = one.observation(NOW + timedelta(days=1))
    assert isinstance(late, NotObserved)
    assert "lapsed on 2026-11-22" in late.detail


def test_every_form_answers_its_rules() -> None:
    """Each form's rules exist and ask for its fact (pixel density is worked out from distance and angle)."""
    rules = packaged().rules
    for form in forms().values():
        for rule in form.rules:
            asked = set(rules[rule].facts)
            assert form.fact in asked or (form.fact.startswith("view.") and "view.pixels_per_m" in asked)


@pytest.mark.process
def test_the_command_stops_before_a_packet(tmp_path: Path) -> None:
    """A wrong file ends with exit code 2, one sentence and a hint, and nothing was sent anywhere."""
    path = write(tmp_path, HEAD + '[[declaration]]\nfact = "nothing"\nvalue = 1\n')
    ended = subprocess.run(
        [
            sys.executable,
            "-m",
            "hub",
            "check",
            "rtsp://127.0.0.1:1/x",
            "--declare",
            str(path),
            "--lang",
            "en",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert ended.returncode == 2
    assert "declaration[0].fact" in ended.stderr
    assert "hint: docs/ref/declarations.md" in ended.stderr
