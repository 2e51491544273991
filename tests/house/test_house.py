"""The house itself: what ships, what is locked, who may read the clock, and that the papers are in order."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("standards", "adapters", "hub")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    out = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


def test_wheel_holds_the_three_packages_and_nothing_else(wheel: Path) -> None:
    """The wheel holds standards, adapters and hub (with the built UI) and its own metadata."""
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/", 1)[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)
    if (ROOT / "hub" / "web" / "dist" / "index.html").is_file():
        assert "hub/web/dist/index.html" in names
    assert not [name for name in names if name.endswith((".ts", ".svelte", ".map"))]


@pytest.mark.long
def test_packages_import_from_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    """An installed wheel imports without the checkout, and finds its rule packs and its adapters."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "pip",
            "install",
            "-q",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
            str(tmp_path / "site"),
            str(wheel),
        ],
        check=True,
        capture_output=True,
    )
    code = (
        "import standards, adapters, hub, sys\n"
        "from importlib.metadata import entry_points\n"
        f"assert all(m.__file__.startswith({str(tmp_path)!r}) for m in (standards, adapters, hub)), hub.__file__\n"
        "from adapters.registry import Registry\n"
        "r = Registry.installed()\n"
        "assert {'onvif', 'rtsp'} <= set(r.manifests), r\n"
        "assert not r.failures, r.failures\n"
        "import hub.cli\n"
        "hub.cli.main(['standards', 'list'])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    told = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )

    assert told.returncode == 0, told.stderr
    assert "technical" in told.stdout


def test_lock_files_name_packages_and_hashes_only() -> None:
    """No lock file holds an address, and every locked Python package has a hash."""
    for lock in [*(ROOT / "requirements").glob("*.txt"), ROOT / "web" / "package-lock.json"]:
        text = lock.read_text()
        if lock.suffix == ".json":
            document = json.loads(text)
            for package in document["packages"].values():
                package.pop("funding", None)  # where to thank the authors; nothing is fetched from there
            text = json.dumps(document)
        assert "://" not in text, lock.name
        if lock.suffix == ".txt":
            pinned = re.findall(r"^[A-Za-z0-9_.\[\]-]+==", text, re.MULTILINE)
            assert len(pinned) <= text.count("--hash=sha256:"), lock.name


CLOCK = {"adapters/clock.py"}
FORBIDDEN_CALLS = {
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
    ("time", "time"), ("time", "monotonic"), ("time", "perf_counter"), ("time", "time_ns"), ("time", "monotonic_ns"),
}  # fmt: skip


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_the_clock_reads_the_clock(path: Path) -> None:
    """Time is asked of a Clock; nothing but adapters/clock.py reads the machine's."""
    if str(path.relative_to(ROOT)) in CLOCK:
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            call = (node.func.value.id, node.func.attr)
            assert call not in FORBIDDEN_CALLS, f"{path.name}:{node.lineno} calls {'.'.join(call)}()"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_module_says_what_it_is(path: Path) -> None:
    """Every module begins with a docstring that is not a promise."""
    text = ast.get_docstring(ast.parse(path.read_text()))

    assert text, f"{path} has no docstring"
    assert "TODO" not in text, f"{path} is not written yet"


def test_links_in_the_documents_resolve() -> None:
    """Relative links in README, CHANGELOG and docs lead to files that exist."""
    for page in [
        ROOT / "README.md",
        ROOT / "CHANGELOG.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").rglob("*.md"),
    ]:
        for link in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text()):
            if "://" not in link and not link.startswith("mailto:"):
                assert (page.parent / link).exists(), f"{page.relative_to(ROOT)} links to {link}"


def test_every_command_is_documented() -> None:
    """The command-line reference names every command that the program has."""
    from hub.cli import COMMANDS

    page = (ROOT / "docs" / "ref" / "cli.md").read_text()
    for name in COMMANDS:
        assert f"camhub {name}" in page, f"docs/ref/cli.md does not name camhub {name}"


def test_languages_have_the_same_words() -> None:
    """Every locale file exists in vi and en with the same keys and the same placeholders."""

    def flat(node: object, prefix: str = "") -> dict[str, str]:
        if isinstance(node, dict) and set(node) == {"one", "other"}:
            return {prefix.rstrip("."): str(node["other"])}  # an English plural; Vietnamese has none
        if isinstance(node, dict):
            out: dict[str, str] = {}
            for key, value in node.items():
                out |= flat(value, f"{prefix}{key}.")
            return out
        return {prefix.rstrip("."): str(node)}

    for vi in (ROOT / "hub" / "locale" / "vi").glob("*.json"):
        ours, theirs = (
            flat(json.loads((ROOT / "hub" / "locale" / lang / vi.name).read_text())) for lang in ("vi", "en")
        )
        plural = {
            key
            for key in theirs
            if key.rsplit(".", 1)[-1] in {"one", "other"} or key.endswith(("_one", "_other"))
        }
        assert set(ours) - plural == set(theirs) - plural, vi.name
        for key in set(ours) & set(theirs):
            holes = [set(re.findall(r"\{(\w+)", text)) for text in (ours[key], theirs[key])]
            assert holes[0] == holes[1], f"{vi.name}: {key}"


def test_licences_of_what_we_ship_with_are_named() -> None:
    """NOTICE names the GPL codecs inside PyAV's wheels and the fonts."""
    notice = (ROOT / "NOTICE").read_text()

    for word in ("PyAV", "x264", "x265", "Inter", "OFL"):
        assert word in notice


@pytest.mark.long
def test_ffmpeg_is_imported_where_it_meets_no_camera_bytes_or_is_confined() -> None:
    """PyAV is imported by the decode process, and by the simulator's encoder, whose pictures are its own."""
    may = {
        "hub/decode/coders/coder.py",
        "hub/decode/coders/coding.py",
        "hub/decode/coders/remote.py",
        "hub/decode/coders/trial.py",
        "hub/decode/coders/worker.py",
        "hub/decode/masks.py",
        "hub/decode/pictures.py",
        "hub/decode/recode_worker.py",
        "hub/decode/recoder.py",
        "hub/decode/worker.py",
        "hub/simulator/studio.py",
    }
    found = {
        path.relative_to(ROOT).as_posix()
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "av" for name in node.names))
        or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "av")
    }
    assert found == may
    code = "import sys, hub.app, hub.cli.check; assert 'av' not in sys.modules, 'the hub itself loads FFmpeg'"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_no_two_test_modules_share_a_name() -> None:
    """Tests import their helpers by name alone: two files of one name would shadow each other."""
    names = [path.name for path in (ROOT / "tests").rglob("*.py") if path.name != "conftest.py"]

    assert sorted(names) == sorted(set(names))
