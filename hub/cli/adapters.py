"""`camhub adapters`: which adapters there are and what they see, and what is known about a maker's cameras."""

import importlib.util
import json
import sys
import textwrap
from typing import Any

import click

from adapters.port import AdapterManifest
from adapters.registry import Registry
from adapters.vendors.families import Family, families, find_family
from adapters.vendors.templates import Template, templates
from hub.cli.adapters_page import page

_WORDS = {
    "en": {
        "sees": "sees", "missing": "not installed", "failed": "cannot be loaded", "makers": "Makers", "more": "one of them",
        "route": "Route", "port": "Port", "account": "Account", "do": "What to do", "why": "Why not", "path": "RTSP path",
        "none": "none", "sure": "Certainty", "ports": "Ports", "also": "also",
    },
    "vi": {
        "sees": "thấy được", "missing": "chưa cài", "failed": "không nạp được", "makers": "Các hãng", "more": "xem từng hãng",
        "route": "Cách kết nối", "port": "Cổng", "account": "Tài khoản", "do": "Cần làm gì", "why": "Vì sao không",
        "path": "Đường dẫn RTSP", "none": "không có", "sure": "Độ chắc chắn", "ports": "Các cổng", "also": "thêm",
    },
}  # fmt: skip
_ROUTES = {
    "en": {
        "onvif": "ONVIF", "rtsp": "RTSP", "vendor": "the maker's own interface", "ask": "ask the operator", "refuse": "none",
    },
    "vi": {
        "onvif": "ONVIF", "rtsp": "RTSP", "vendor": "giao diện riêng của hãng", "ask": "hỏi nhà cung cấp", "refuse": "không có",
    },
}  # fmt: skip
_CERTAINTY = {
    "en": {
        "code": "in a library's code", "doc": "by the maker's documents", "reported": "as users reported",
        "unconfirmed": "unconfirmed",
    },
    "vi": {
        "code": "có trong mã nguồn của thư viện", "doc": "theo tài liệu của hãng", "reported": "theo người dùng công bố",
        "unconfirmed": "chưa xác nhận",
    },
}  # fmt: skip


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Everything as JSON.")
@click.option("--vendor", metavar="NAME", help="What is known about one maker's cameras.")
@click.option("--lang", type=click.Choice(["vi", "en"]), default="en", help="Language of the texts.")
@click.option("--markdown", is_flag=True, help="The reference page docs/ref/adapters.md.")
def adapters(*, as_json: bool, vendor: str | None, lang: str, markdown: bool) -> None:
    """List the adapters: schemes, ports, what each observes, and how to install what is missing.

    With --vendor: the route to one maker's cameras, what the owner switches on, or why there is none.
    """
    registry = Registry.installed()
    if markdown:
        click.echo(page(registry), nl=False)
        return
    if vendor is not None:
        _one_maker(vendor, lang, as_json=as_json)
        return
    told = [_manifest(one) for one in manifests(registry)]
    if as_json:
        failures = [{"name": name, "error": error} for name, error in sorted(registry.failures.items())]
        makers = [_family(one) for one in families()]
        click.echo(
            json.dumps(
                {"adapters": told, "failures": failures, "makers": makers}, ensure_ascii=False, indent=2
            )
        )
        return
    words = _WORDS[lang]
    for one in told:
        schemes = ", ".join(f"{scheme}:// {port}" for scheme, port in one["schemes"].items())
        click.echo(f"{one['name']:<10} {one['version']:<4} {schemes}")
        click.echo(_wrapped(f"{words['sees']}: {', '.join(one['facts'])}"))
        if one["state"] == "extra":
            click.echo(f"  {words['missing']}: {one['install']}")
    for name, error in sorted(registry.failures.items()):
        click.echo(f"{name:<10} {words['failed']}: {error}")
    click.echo(f"\n{words['makers']} ({words['more']}: camhub adapters --vendor NAME)")
    click.echo(_wrapped(", ".join(one.id for one in families())))


def manifests(registry: Registry) -> list[AdapterManifest]:
    """Return each manifest once, by name."""
    return sorted({one.name: one for one in registry.manifests.values()}.values(), key=lambda one: one.name)


def _manifest(one: AdapterManifest) -> dict[str, Any]:
    missing = bool(one.needs) and importlib.util.find_spec(one.needs) is None
    return {
        "name": one.name,
        "version": one.version,
        "schemes": {scheme: one.default_ports.get(scheme) for scheme in one.schemes},
        "facts": list(one.facts),
        "read_only": one.read_only,
        "state": "extra" if missing else "installed",
        "install": f'pip install "camhub[{one.extra}]"' if missing else "",
    }


def _family(one: Family) -> dict[str, Any]:
    return {
        "id": one.id,
        "label": one.label,
        "names": list(one.names),
        "route": one.route,
        "also": list(one.also),
        "ports": dict(one.ports),
        "template": one.template or None,
        "account": one.account.as_json() if one.account else None,
        "advice": one.advice.as_json(),
        "why": one.why.as_json() if one.why else None,
        "certainty": one.certainty,
        "sources": [templates().sources[source] for source in one.sources],
    }


def _template(one: Template) -> dict[str, Any]:
    return {
        "row": one.row,
        "id": one.id,
        "label": one.label,
        "main": one.main,
        "sub": one.sub or None,
        "scheme": one.scheme,
        "port": one.port,
        "certainty": one.certainty,
        "default": one.default,
        "not_used": one.usable or None,
        "note": one.note or None,
        "sources": [templates().sources[source] for source in one.sources],
    }


def _one_maker(name: str, lang: str, *, as_json: bool) -> None:
    family = find_family(name)
    if family is None:
        click.echo(f"error: the maker {name[:60]!r} is not in the table of makers", err=True)
        click.echo("hint: camhub adapters lists the makers", err=True)
        sys.exit(2)
    rows = templates().of_family(family.id)
    if as_json:
        told = {**_family(family), "templates": [_template(row) for row in rows]}
        click.echo(json.dumps(told, ensure_ascii=False, indent=2))
        return
    words = _WORDS[lang]
    click.echo(f"{family.label} ({family.id})")
    route = _ROUTES[lang][family.route]
    also = [one for one in family.also if one != family.route]
    lines = [(words["route"], f"{route} ({words['also']}: {', '.join(also)})" if also else route)]
    if family.ports:
        lines.append((words["ports"], ", ".join(f"{scheme} {port}" for scheme, port in family.ports.items())))
    if family.account:
        lines.append((words["account"], family.account.in_language(lang)))
    lines.append((words["do"], family.advice.in_language(lang)))
    if family.why:
        lines.append((words["why"], family.why.in_language(lang)))
    for row in rows:
        unused = f"; {row.usable}" if row.usable else ""
        at = f"{row.main} ({row.label}, {words['port'].lower()} {row.port}, {_CERTAINTY[lang][row.certainty]}{unused})"
        lines.append((words["path"], at))
    lines.append((words["sure"], _CERTAINTY[lang][family.certainty]))
    for label, text in lines:
        click.echo(_wrapped(f"{label}: {text}"))


def _wrapped(text: str) -> str:
    return textwrap.fill(
        text,
        96,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
