"""How commands write a report: to the terminal, to a file, to several; and which rule packs they judge by."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from hub.cli.terminal import stop
from hub.packs import PackUnreadable, read_packs
from hub.reports.document import Document
from hub.reports.formats import BINARY, FORMS, SUFFIXES, FormatNotAvailable, render, render_bytes
from hub.reports.terminal import as_text
from standards.pack import PackError, Packs, packaged, packaged_with


def report_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--format``, ``--json``, ``--lang`` and ``--output`` to a command that writes a report."""
    for option in reversed(_REPORT_OPTIONS):
        command = option(command)
    return command


_REPORT_OPTIONS = (
    click.option(
        "--format",
        "formats",
        default="text",
        metavar="F[,F]",
        help="text json html pdf csv xlsx sarif junit oscal; several with --output.",
    ),
    click.option("--json", "as_json", is_flag=True, help="The same as --format json."),
    click.option(
        "--lang", type=click.Choice(["vi", "en"]), help="Language of the report; else that of the locale."
    ),
    click.option(
        "--output",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Write to this file; several formats add their suffix.",
    ),
)


def forms_of(formats: str, *, as_json: bool, output: Path | None, language: str) -> list[str]:
    """Return the forms that a command line asks for; ends the program where they are none, or have nowhere to go."""
    wanted = ["json"] if as_json else [name.strip().lower() for name in formats.split(",") if name.strip()]
    if not wanted:
        stop("--format names no format", f"Use one of {', '.join(FORMS)}")
    for name in wanted:
        if name not in FORMS:
            stop(FormatNotAvailable(name).said(language), f"--format {','.join(FORMS)}")
    if wanted[0] in BINARY and output is None and sys.stdout.isatty():
        stop(f"{wanted[0]} is not for a terminal", "Add --output FILE")
    if len(wanted) > 1 and output is None:
        stop("several formats need files to go to", "Add --output FILE; each format gets its own suffix")
    return wanted


def packs_of(paths: tuple[Path, ...]) -> Packs:
    """Return the shipped packs with own ones on top; ends the program where one of them is wrong."""
    if not paths:
        return packaged()
    try:
        return packaged_with(read_packs(paths))
    except (PackUnreadable, PackError) as error:
        stop(str(error), f"camhub standards lint {' '.join(str(path) for path in paths)}")


def write_report(report: Document, wanted: list[str], language: str, output: Path | None) -> None:
    """Write a report in one form or several; ends the program where a file cannot be written."""
    if output is None and wanted[0] in BINARY:
        sys.stdout.buffer.write(render_bytes(report, wanted[0], language))
        return
    if output is None:
        click.echo(_for_terminal(report, wanted[0], language), nl=False)
        return
    for name in wanted:
        path = output if len(wanted) == 1 else output.with_suffix(SUFFIXES[name])
        write_file(path, render_bytes(report, name, language), "--output")


def write_file(path: Path, data: bytes, option: str) -> None:
    """Write a file and say so; ends the program where that fails."""
    try:
        path.write_bytes(data)
    except OSError as error:
        stop(f"{path} cannot be written: {error.strerror}", f"Choose another file with {option}")
    click.echo(f"wrote {path}", err=True)


def _for_terminal(report: Document, form: str, language: str) -> str:
    if form != "text" or not sys.stdout.isatty():
        return render(report, form, language)
    columns = shutil.get_terminal_size((80, 24)).columns
    colour = "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return as_text(report, language, colour=colour, width=max(60, min(columns, 100)))
