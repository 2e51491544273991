"""The count of captured replies at the end of a run."""

from pathlib import Path

import corpus
import pytest

pytest_plugins = ["pytester"]

TEST = """
import corpus
import pytest

@pytest.mark.parametrize("name", corpus.files("rtsp"))
def test_one(name):
    assert corpus.path(name).read_text()
    corpus.checked(name)
"""


@pytest.mark.process
def test_a_run_tells_how_many_captured_replies_were_checked(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files count once per run, by the first folder, also where several processes share the tests."""
    root = pytester.mkdir("corpora")
    for kind, names in (("rtsp", ("a/1.txt", "a/2.txt")), ("onvif", ("b/3.xml",)), ("LICENSES", ("x",))):
        for name in names:
            (root / kind / name).parent.mkdir(parents=True, exist_ok=True)
            (root / kind / name).write_text("text")
    monkeypatch.setenv("CAMHUB_CORPUS", str(root))
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    pytester.makeini(f"[pytest]\npythonpath = {Path(corpus.__file__).parent}")
    pytester.makepyfile(TEST)
    told = pytester.runpytest_subprocess("-n", "2", "-p", "no:cacheprovider")
    told.assert_outcomes(passed=2)
    told.stdout.fnmatch_lines(["captured replies: rtsp 2 of 2"])
