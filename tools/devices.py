"""Write README's list of supported devices from the evidence that exists, between its two markers.

    python3 tools/devices.py            print the list
    python3 tools/devices.py --write    put it into README.md

Evidence: bundles of `camhub capture` under tests/fixtures/cameras, and the table of captured replies that tests read.
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BEGIN, END = "<!-- devices:begin -->", "<!-- devices:end -->"
sys.path.insert(0, str(ROOT / "tests" / "support"))

from captured_devices import CAPTURED  # noqa: E402


def section(root: Path = ROOT) -> str:
    """Return the list as Markdown, without the markers."""
    bundles = [
        json.loads(path.read_text("utf-8"))
        for path in sorted((root / "tests" / "fixtures" / "cameras").glob("*/*/capture.json"))
    ]
    real = [one for one in bundles if one.get("evidence") == "device"]
    scripted = [one for one in bundles if one.get("evidence") != "device"]
    lines = [
        "## Supported devices, by the evidence we hold",
        "",
        "This project owns no camera. What stands here is what tests replay or read; nothing else is claimed.",
        "[Contribute yours](docs/guide/contribute-a-camera.md) with `camhub capture`.",
        "What is known about each maker without such evidence: [docs/ref/adapters.md](docs/ref/adapters.md).",
        "",
        "**Whole cameras, captured from real devices and replayed through the adapters:** "
        + ("none yet." if not real else f"{len(real)}."),
    ]
    if real:
        lines += ["", *_table(real)]
    lines += [
        "",
        "**Scripted cameras that ship with camhub, captured and replayed the same way:**",
        "",
        *_table(scripted),
    ]
    lines += [
        "",
        "**Replies of real devices that tests hold against written facts** (replies and recorded sessions, not cameras tried whole):",
        "",
        "| interface | makers | models named | who |",
        "|---|---|---|---|",
    ]
    for interface, (_folder, makers) in CAPTURED.items():
        models = sum(1 for named in makers.values() for model in named if model)
        who = ", ".join(_count(maker, named) for maker, named in sorted(makers.items()))
        lines.append(f"| {interface} | {len(makers)} | {models} | {who} |")
    return "\n".join(lines)


def _count(maker: str, models: tuple[str, ...]) -> str:
    return maker if len(models) == 1 else f"{maker} ({len(models)})"


def _table(bundles: list[dict[str, object]]) -> list[str]:
    rows = [
        "| camera | firmware | interfaces | decision by `technical` | captured |",
        "|---|---|---|---|---|",
    ]
    for one in bundles:
        identity, decision = _part(one, "identity"), _part(one, "decision")
        name = f"{identity.get('manufacturer', '')} {identity.get('model', '')}".strip() or "does not say"
        interfaces = one.get("interfaces")
        spoken = ", ".join(str(word) for word in interfaces) if isinstance(interfaces, list) else ""
        said = decision.get("decision", "") or one.get("failure", "")
        cells = (name, identity.get("firmware", "") or "-", spoken, said, one.get("captured_on", ""))
        rows.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return rows


def _part(one: dict[str, object], name: str) -> dict[str, object]:
    value = one.get(name)
    return value if isinstance(value, dict) else {}


def placed(readme: str, told: str) -> str:
    """Return the README with the list between its markers.

    Raises:
        ValueError: the markers are not there, once each and in order.
    """
    if readme.count(BEGIN) != 1 or readme.count(END) != 1 or readme.index(BEGIN) > readme.index(END):
        raise ValueError(f"README.md has to hold {BEGIN} and {END}, once each")
    head, rest = readme.split(BEGIN)
    return f"{head}{BEGIN}\n{told}\n{END}{rest.split(END)[1]}"


def main() -> None:
    """Print the list, or write it."""
    told = section()
    if "--write" not in sys.argv[1:]:
        print(told)
        return
    page = ROOT / "README.md"
    page.write_text(placed(page.read_text("utf-8"), told), "utf-8")


if __name__ == "__main__":
    main()
