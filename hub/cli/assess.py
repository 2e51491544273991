"""`camhub assess`: judge kept observations again, by another standard or other limits, without a packet."""

import sys
import tomllib
from pathlib import Path
from typing import Any

import click

from hub.cli.terminal import language as language_of_locale
from hub.cli.terminal import stop
from hub.cli.writing import forms_of, packs_of, report_options, write_report
from hub.compliance.observation_file import LARGEST, Kept, ObservationFileRefused, read
from hub.reports.document import document
from standards.assess import assess as judged
from standards.pack import UnknownStandard
from standards.profile import ProfileError, adjusted
from standards.verdict import Decision


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--standard", default="technical", metavar="ID", help="Which standard.")
@click.option(
    "--set",
    "limits",
    multiple=True,
    metavar="RULE.PARAMETER=VALUE",
    help="Another limit, such as TIM-02.max_offset_s=1.0; may stand several times. The report says that it is one.",
)
@report_options
@click.option(
    "--pack",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An own rule pack; may stand several times.",
)
def assess(
    *,
    file: Path,
    standard: str,
    limits: tuple[str, ...],
    formats: str,
    as_json: bool,
    lang: str | None,
    output: Path | None,
    pack: tuple[Path, ...],
) -> None:
    """Judge the observations again that `camhub check --save` kept. Nothing is sent to anybody.

    The moment of judgement is that of the check, so that the same file and the same limits give the same report.

    Exit code 0: ADMITTED. 1: any other decision. 2: could not judge.
    """
    language = lang or language_of_locale()
    wanted = forms_of(formats, as_json=as_json, output=output, language=language)
    packs = packs_of(pack)
    kept = _kept(file)
    try:
        profile = adjusted(packs.profile(standard), _params(limits), packs.rules)
    except UnknownStandard as error:
        stop(str(error), "camhub standards list")
    except ProfileError as error:
        stop(f"--set: {error}", f"camhub standards show {standard}")
    result = judged(
        kept.observations, profile, as_of=kept.as_of, enrolled_at=kept.enrolled_at, camera=kept.target
    )
    write_report(document(result, kept.observations, target=kept.target), wanted, language, output)
    sys.exit(0 if result.decision is Decision.ADMITTED else 1)


def _kept(file: Path) -> Kept:
    try:
        if file.stat().st_size > LARGEST:
            stop(f"{file} is larger than {LARGEST} bytes", "Give a file that `camhub check --save` wrote")
        return read(file.read_bytes())
    except OSError as error:
        stop(f"{file} cannot be read: {error.strerror}", "Give a file that `camhub check --save` wrote")
    except ObservationFileRefused as error:
        stop(f"{file}: {error}", "Give a file that `camhub check --save` wrote")


def _params(limits: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Return what `--set` says, by rule and parameter; a value is written as in a profile."""
    params: dict[str, dict[str, Any]] = {}
    for one in limits:
        name, equals, value = one.partition("=")
        rule, dot, parameter = name.partition(".")
        try:
            told = tomllib.loads(f"value = {value}")
        except tomllib.TOMLDecodeError:
            told = {}
        if not equals or not dot or set(told) != {"value"}:
            stop(f"--set {one!r} is not RULE.PARAMETER=VALUE", "--set TIM-02.max_offset_s=1.0")
        params.setdefault(rule.strip(), {})[parameter.strip()] = told["value"]
    return params
