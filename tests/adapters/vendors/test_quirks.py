"""The data on quirks is true to the code: every name that a report can hold is in it, and every file in it exists."""

import ast
from pathlib import Path

import pytest

from adapters.rtsp.tolerance import Tolerance
from adapters.vendors.quirks import _read, quirks, quirks_named
from adapters.vendors.reading import VendorDataError

ROOT = Path(__file__).parents[3]
# where names of tolerances are made beside the enumeration of RTSP
ROOMS = ("adapters/onvif", "adapters/wire", "adapters/hikvision", "adapters/dahua", "adapters/axis", "adapters/vigi",
         "adapters/reolink", "adapters/unifi")  # fmt: skip
# calls whose literal argument becomes a name: list.append on `quirks`, `notes.quirk`, the HTTP reader's note, the
# event source's failure
TAKERS = {"append", "quirk", "_note", "_failed"}


def _literals(node: ast.expr) -> list[str]:
    """Return the texts that an expression can be; the fixed head of an f-string with a star."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    if isinstance(node, ast.IfExp):
        return _literals(node.body) + _literals(node.orelse)
    if isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
        return [f"{node.values[0].value}x"]
    return []


def _is_quirks(node: ast.expr) -> bool:
    return (isinstance(node, ast.Attribute) and node.attr in {"quirks", "_quirks"}) or (
        isinstance(node, ast.Name) and node.id == "quirks"
    )


def names_in_code() -> dict[str, str]:
    """Return every name that the code puts among the quirks, with its file."""
    found: dict[str, str] = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            where = str(path.relative_to(ROOT))
            for node in ast.walk(ast.parse(path.read_text())):
                told: list[str] = []
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                    taker = node.func
                    if taker.attr in TAKERS and (taker.attr != "append" or _is_quirks(taker.value)):
                        told = _literals(node.args[0])
                elif (
                    isinstance(node, ast.Assign)
                    and isinstance(node.targets[0], ast.Subscript)
                    and _is_quirks(node.targets[0].value)
                ):
                    told = _literals(node.targets[0].slice)
                found |= dict.fromkeys(told, where)
    return found


@pytest.mark.parametrize("tolerance", list(Tolerance))
def test_every_tolerance_of_rtsp_is_in_the_data(tolerance: Tolerance) -> None:
    """A name that can appear in ``rtsp.quirks`` leads to at least one quirk with its symptom and policy."""
    assert quirks_named(str(tolerance)), f"{tolerance} is not in adapters/vendors/quirks.toml"


@pytest.mark.long
def test_every_quirk_name_of_the_other_adapters_is_in_the_data() -> None:
    """A name that can appear in ``onvif.quirks`` or ``vendor.quirks`` leads to at least one quirk."""
    names = names_in_code()
    assert {"doubled_port", "garbage_in_head", "off_schema:x", "no_renew"} <= set(
        names
    )  # the search finds them

    missing = {name: where for name, where in names.items() if not quirks_named(name)}
    assert not missing, "not in adapters/vendors/quirks.toml"


def test_every_name_in_the_data_exists_in_the_code() -> None:
    """No quirk claims a name that nothing in the adapters can say."""
    texts = "\n".join(
        path.read_text() for path in (ROOT / "adapters").rglob("*.py") if "vendors" not in path.parts
    )
    for quirk in quirks():
        for name in quirk.matchers:
            assert f'"{name.removesuffix("*")}' in texts, f"{quirk.id}: {name}"


def test_every_file_in_the_data_exists() -> None:
    """A handled quirk names a file or a word of a report, and the file is there."""
    for quirk in quirks():
        assert quirk.status != "handled" or quirk.matchers or quirk.code, quirk.id
        for name in quirk.code:
            assert (ROOT / name).is_file(), f"{quirk.id}: {name}"


def test_all_numbers_of_the_reference_are_there() -> None:
    """RTSP 1-67 and ONVIF 1-56 each have a row, handled or not."""
    ids = {quirk.id for quirk in quirks()}

    assert {f"rtsp/{number}" for number in range(1, 68)} <= ids
    assert {f"onvif/{number}" for number in range(1, 57)} <= ids


def test_a_mistake_names_the_quirk_and_the_field() -> None:
    """A row that claims to be handled and says nowhere where is refused."""
    with pytest.raises(VendorDataError, match="rtsp/1: status "):
        _read({"id": "rtsp/1", "symptom": "s", "cite": "c", "policy": "p", "status": "handled"})
