"""`camhub standards`: which standards there are, and what each asks, since when and by whom."""

import json
import sys
import textwrap
from dataclasses import asdict
from pathlib import Path

import click

from hub.packs import PackUnreadable, read_packs
from standards.advisories import AdvisoriesError, parse, shipped
from standards.lint import lint
from standards.pack import UnknownStandard, packaged
from standards.rule import PEOPLE, Reference, Rule
from standards.verdict import Severity
from standards.wording import fill, written

_SEVERITY = {
    "en": {"B": "blocker", "J": "major", "m": "minor", "i": "information"},
    "vi": {"B": "bắt buộc", "J": "quan trọng", "m": "nên có", "i": "tham khảo"},
}
_LABELS = {
    "en": {
        "required": "Required",
        "why": "Why",
        "seen": "Seen by",
        "reference": "Clause",
        "owner": "Owner",
        "installer": "Installer",
        "hub": "Hub",
        "in_force": "in force from",
        "rules": "rules",
        "over_time": "on probation for the first 30 days",
    },
    "vi": {
        "required": "Yêu cầu",
        "why": "Vì sao",
        "seen": "Cách xem",
        "reference": "Điều khoản",
        "owner": "Chủ camera",
        "installer": "Người lắp đặt",
        "hub": "Nút",
        "in_force": "áp dụng từ",
        "rules": "tiêu chí",
        "over_time": "theo dõi 30 ngày đầu",
    },
}
_CERTAINTY = {
    "en": {
        "secondary": "secondary source",
        "unconfirmed": "unconfirmed, not a citation",
        "own": "own number",
    },
    "vi": {
        "secondary": "nguồn thứ cấp",
        "unconfirmed": "chưa xác nhận, không dùng làm trích dẫn",
        "own": "số của camhub",
    },
}


_DATES = {"en": ("from", "ends"), "vi": ("từ", "hết hiệu lực")}


class _Standards(click.Group):
    """The commands here need no store; the one that does is imported when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in reading order."""
        return [*super().list_commands(ctx), "reassess"]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one command."""
        if cmd_name == "reassess":
            from hub.cli.reassess import reassess

            return reassess
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Standards)
def standards() -> None:
    """List, show and check the rule packs."""


@standards.command("list")
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.option("--lang", type=click.Choice(["vi", "en"]), default="en", help="Language of the titles.")
def list_(*, as_json: bool, lang: str) -> None:
    """List the standards: id, version, rules, since when, title."""
    packs = packaged()
    profiles = [packs.profile(standard) for standard in packs.standards()]
    if as_json:
        click.echo(json.dumps([profile.identity() for profile in profiles], ensure_ascii=False, indent=2))
        return
    labels = _LABELS[lang]
    for profile in profiles:
        click.echo(
            f"{profile.id:<18} {profile.version:<8} {len(profile.rules):>3} {labels['rules']}"
            f"  {labels['in_force']} {profile.in_force_from}  {profile.title.in_language(lang)}"
        )


@standards.command("show")
@click.argument("standard", metavar="STANDARD|RULE")
@click.option("--json", "as_json", is_flag=True, help="The whole standard as JSON, both languages.")
@click.option("--lang", type=click.Choice(["vi", "en"]), default="en", help="Language of the texts.")
def show(*, standard: str, as_json: bool, lang: str) -> None:
    """Show one standard, or one rule by its id: severity, limits, how it is seen, remedies, and every clause mapped onto it."""
    rule = packaged().rules.get(standard.upper())
    if rule is not None:
        click.echo(
            json.dumps(rule.as_json(), ensure_ascii=False, indent=2)
            if as_json
            else "\n".join(_lines(rule, lang))
        )
        return
    try:
        profile = packaged().profile(standard)
    except UnknownStandard as error:
        click.echo(f"error: {error}", err=True)
        click.echo("hint: camhub standards list", err=True)
        sys.exit(2)
    if as_json:
        click.echo(json.dumps(profile.as_json(), ensure_ascii=False, indent=2))
        return
    click.echo(f"{profile.title.in_language(lang)} ({profile.id} {profile.version})")
    click.echo(textwrap.fill(profile.summary.in_language(lang), 80))
    click.echo(f"{' -> '.join(profile.chain)}; SHA-256 {profile.hash}")
    for rule in profile.rules:
        click.echo("")
        click.echo("\n".join(_lines(rule, lang)))


@standards.command("lint")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path, exists=False))
@click.option("--json", "as_json", is_flag=True, help="A JSON list: file, line, message, hint.")
def lint_(*, paths: tuple[Path, ...], as_json: bool) -> None:
    """Check own rule packs (files, or folders of *.toml) on top of the shipped ones; tell all that is wrong.

    Exit code 0: nothing is wrong. 1: something is. 2: a file cannot be read.
    """
    try:
        texts = read_packs(paths)
    except PackUnreadable as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    complaints = lint(texts, packaged())
    if as_json:
        click.echo(json.dumps([asdict(one) for one in complaints], ensure_ascii=False, indent=2))
    else:
        for one in complaints:
            click.echo(str(one))
            if one.hint:
                click.echo(f"  hint: {one.hint}")
        if not complaints:
            click.echo(f"{len(texts)} file{'' if len(texts) == 1 else 's'}: nothing is wrong")
    sys.exit(1 if complaints else 0)


@standards.command("advisories")
@click.argument("path", required=False, type=click.Path(path_type=Path, exists=False))
def advisories(path: Path | None) -> None:
    """Check a list of known flaws of firmware (TOML) for the setting `advisories`; without a file, show the shipped one.

    Exit code 0: it can be used. 1: something in it is wrong. 2: it cannot be read.
    """
    try:
        found = shipped() if path is None else parse(path.read_text("utf-8"), path.name)
    except (OSError, UnicodeDecodeError) as error:
        click.echo(f"error: {path}: {error}", err=True)
        sys.exit(2)
    except AdvisoriesError as error:
        click.echo(str(error))
        sys.exit(1)
    for one in found.all:
        click.echo(f"{one.id:<16} {one.family:<12} {one.published}  {one.certainty:<9}  {one.source}")
    click.echo(f"{len(found.all)} flaws, kept until {found.issued}, of {', '.join(sorted(found.families))}")


def _lines(rule: Rule, lang: str) -> list[str]:
    labels = _LABELS[lang]
    severity = _SEVERITY[lang][Severity(rule.severity)]
    over_time = f", {labels['over_time']}" if rule.over_time else ""
    lines = [f"{rule.id} ({severity}{over_time}) {rule.title.in_language(lang)}"]
    told = [
        (labels["why"], rule.why.in_language(lang)),
        (labels["required"], f"{rule.required_in(lang)}{_limits(rule, lang)}"),
        (labels["seen"], f"{rule.probe} ({rule.observable})"),
    ]
    told += [(labels["reference"], _clause(reference, lang)) for reference in rule.references]
    for who in PEOPLE:
        if who in rule.remediation:
            told.append((labels[who], fill(rule.remediation[who].in_language(lang), rule.values.get, lang)))
    for label, text in told:
        lines += textwrap.wrap(f"{label}: {text}", 80, initial_indent="  ", subsequent_indent="    ")
    return lines


def _clause(reference: Reference, lang: str) -> str:
    document = reference.document
    names = (document.title, document.edition, reference.clause)
    title, edition, clause = (name.in_language(lang) for name in names)
    where = f"{title} ({edition}), {clause}"
    since, until = _DATES[lang]
    notes = [
        _CERTAINTY[lang].get(reference.certainty, ""),
        f"{since} {reference.valid_from}" if reference.valid_from else "",
        f"{until} {reference.valid_to}" if reference.valid_to else "",
    ]
    told = "; ".join(note for note in notes if note)
    return f"{where} [{told}]" if told else where


def _limits(rule: Rule, lang: str) -> str:
    limits = [
        f"{name} = {written(one.value, lang)}{' ' + one.unit if one.unit else ''}"
        for name, one in rule.params.items()
    ]
    return f" [{'; '.join(limits)}]" if limits else ""
