"""The reference page on adapters and makers, written from the registry and the data: docs/ref/adapters.md."""

from collections import Counter
from collections.abc import Sequence

from adapters.port import AdapterManifest
from adapters.registry import Registry
from adapters.vendors.families import families
from adapters.vendors.quirks import quirks
from adapters.vendors.templates import templates

_HEAD = """# Adapters, makers, templates, quirks

Written by `camhub adapters --markdown` from the registry and the data in `adapters/vendors/`; a test keeps it so. Do not edit it.
"""


def page(registry: Registry) -> str:
    """Return the page. Only the adapters of this package are on it, whether their libraries are installed or not."""
    own = {
        one.name: one for one in registry.manifests.values() if one.load.__module__.startswith("adapters.")
    }
    parts = [_HEAD, _adapters([own[name] for name in sorted(own)]), _families(), _templates(), _quirks()]
    return "\n".join(parts)


def _adapters(all_: list[AdapterManifest]) -> str:
    rows = [
        (
            f"`{one.name}` {one.version}",
            ", ".join(f"`{scheme}://` {one.default_ports.get(scheme, '')}".strip() for scheme in one.schemes),
            ", ".join(f"`{fact}`" for fact in one.facts),
            f'`pip install "camhub[{one.extra}]"`' if one.extra else "built in",
        )
        for one in all_
    ]
    return "## Adapters\n\nAll of them only read.\n\n" + _table(
        ("adapter", "schemes and default ports", "facts it can observe", "comes with"), rows
    )


def _families() -> str:
    rows = [
        (
            one.label,
            one.route + (f" (also {', '.join(one.also)})" if one.also else ""),
            ", ".join(f"{scheme} {port}" for scheme, port in one.ports.items()) or "-",
            one.why.en if one.route in {"ask", "refuse"} else one.advice.en,
            one.certainty,
        )
        for one in families()
    ]
    return (
        "## Makers\n\n`camhub adapters --vendor NAME` says it in Vietnamese too. `refuse`: no connection is opened. `ask`: ONVIF"
        " is asked with the owner's account, and where that fails the operator has to be asked.\n\n"
    ) + _table(("maker", "route", "ports, each tried once", "what to do, or why not", "certainty"), rows)


def _templates() -> str:
    table = templates()
    rows = [
        (
            str(one.row),
            f"{one.label} (`{one.id}`{', default' if one.default else ''})",
            f"`{one.main}`",
            f"`{one.sub}`" if one.sub else "-",
            f"{one.scheme} {one.port}",
            f"{', '.join(one.sources)}, {one.certainty}" + ("; not used" if one.usable else ""),
        )
        for one in table.rows
    ]
    sources = "\n".join(f"- {key}: {text}" for key, text in table.sources.items())
    return (
        "## RTSP templates\n\nExactly one is used, for a maker that was named, where no interface tells the address. `{c}` is the"
        " channel from 1, `{c0}` from 0, `{cc}` with two digits.\n\n"
        + _table(("row", "camera", "main", "sub", "at", "source, certainty"), rows)
        + f"\nSources:\n\n{sources}\n"
    )


def _quirks() -> str:
    rows = [
        (
            f"`{one.id}`",
            one.symptom,
            ", ".join(one.known_on) or "-",
            one.status,
            ", ".join(f"`{name}`" for name in one.matchers) or "-",
            one.policy,
        )
        for one in quirks()
    ]
    counts = Counter(one.status for one in quirks())
    said = ", ".join(
        f"{counts[status]} {status}" for status in ("handled", "refused", "not handled") if counts[status]
    )
    return (
        f"## Quirks\n\nWhat cameras do beside their standards, and what is done about it: {said}.\n\n"
        + _table(
            ("quirk", "what the camera does", "known on", "status", "named in reports as", "policy"), rows
        )
    )


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    def line(cells: tuple[str, ...]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(heads), "|" + "---|" * len(heads), *(line(row) for row in rows)]) + "\n"
