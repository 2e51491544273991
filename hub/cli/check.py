"""`camhub check`: one camera against a standard, no hub needed."""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from adapters.clock import SystemClock
from adapters.errors import AdapterError, AddressRefused, BadTarget, CoolingDown
from adapters.port import Permission, Progress
from adapters.registry import Registry
from adapters.target import Target, parse_target
from adapters.vendors.routing import route
from adapters.vendors.templates import spoken
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from adapters.wire.gate import CredentialGate, DeviceBusy, MemoryBook
from hub.cli.declare import DeclarationsUnreadable, read_declarations
from hub.cli.terminal import credential_of, stop
from hub.cli.terminal import language as language_of_locale
from hub.cli.writing import forms_of, packs_of, report_options, write_file, write_report
from hub.compliance.checker import Checker, CheckOutcome, CheckRequest
from hub.compliance.observation_file import Kept, written
from hub.decode.process import DecodeSetup
from hub.decode.service import DecodeService
from hub.observe import Metrics, configure_logging
from hub.reports.document import Document, of_check
from hub.reports.formats import render
from standards.observation import Observations
from standards.pack import Packs, UnknownStandard
from standards.verdict import Decision

# What stopped the check before the camera could be judged at all; nothing was learnt about it.
_NOT_CHECKED = (BadTarget, AddressRefused, CoolingDown, DeviceBusy)
_THOROUGH_WINDOW_S, _THOROUGH_LIMIT_S, _THOROUGH_RUNS = 60.0, 150.0, 3


@click.command()
@click.argument("target")
@click.option("--user", metavar="USER", help="The account that the owner supplied. Sent at most once.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (one line).")
@click.option(
    "--standard",
    default="technical",
    metavar="ID",
    help="Which standard; `camhub standards list` shows them.",
)
@click.option(
    "--thorough", is_flag=True, help="Measure for 60 s and open the stream three times; takes up to 150 s."
)
@report_options
@click.option(
    "--save",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the observations in this file; `camhub assess` judges them again without the camera.",
)
@click.option(
    "--still",
    is_flag=True,
    help="Put one picture of this check into the report. You state that you may look at this camera.",
)
@click.option(
    "--pack",
    multiple=True,
    type=click.Path(path_type=Path),
    help="An own rule pack: a TOML file, or a folder of them; may stand several times.",
)
@click.option(
    "--sub", metavar="ADDRESS", help="The RTSP address of the sub-stream, where ONVIF does not tell it."
)
@click.option(
    "--video-source",
    metavar="TOKEN",
    help="Which video source of a recorder is meant; the same as #TOKEN behind the address.",
)
@click.option(
    "--transport", type=click.Choice(["auto", "tcp", "udp"]), default="auto", help="How the media travels."
)
@click.option(
    "--vendor",
    metavar="NAME",
    help="The maker, where only an address is known; `camhub adapters` lists them. Picks one port and one path.",
)
@click.option(
    "--ports",
    metavar="WHO",
    default="",
    help="WHO agreed to tests of ports: each named port of this one address gets one connection, where this machine "
    "is on the camera's network. Without it none is tried.",
)
@click.option(
    "--declare",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="What people state about the camera: a TOML or JSON file (docs/ref/declarations.md).",
)
def check(
    *,
    target: str,
    user: str | None,
    password_stdin: bool,
    standard: str,
    pack: tuple[Path, ...],
    thorough: bool,
    formats: str,
    as_json: bool,
    lang: str | None,
    output: Path | None,
    save: Path | None,
    still: bool,
    sub: str | None,
    video_source: str | None,
    transport: str,
    vendor: str | None,
    ports: str,
    declare: Path | None,
) -> None:
    """Check one camera against a standard, no hub needed.

    TARGET is a host, onvif://host:port, rtsp://host:port/path, or the maker's own interface, such as
    hikvision://host, dahua://host, axis://host or vigi://host; a credential may stand in it. Only read requests are
    sent, the credential at most once. By running this you state that you may test this device; the report says so.

    Exit code 0: ADMITTED. 1: any other decision. 2: could not check.
    """
    configure_logging("warning", "text")
    language = lang or language_of_locale()
    wanted = forms_of(formats, as_json=as_json, output=output, language=language)
    try:
        packs = packs_of(pack)
        packs.profile(standard)
    except UnknownStandard as error:
        stop(str(error), "camhub standards list")
    registry = Registry.installed()
    try:
        address, inside = parse_target(target, registry.schemes)
        sub_address = parse_target(sub)[0] if sub else None
        found = route(target, address, vendor or "")
    except BadTarget as error:
        stop(str(error), error.hint)
    if found.template is not None:
        click.echo(f"using {spoken(found.template, language)}", err=True)
    request = CheckRequest(
        target=found.target,
        credential=credential_of(user, password_stdin, inside),
        permission=Permission("", "command", SystemClock().now()),
        standard=standard,
        transport=transport,
        video_source=video_source or "",
        sub_target=sub_address or found.sub,
        vendor=vendor or "",
        still=still,
        declared=_declared(declare, language),
        ports=ports.strip()[:120],
    )
    if thorough:
        request = replace(
            request, window_s=_THOROUGH_WINDOW_S, limit_s=_THOROUGH_LIMIT_S, runs=_THOROUGH_RUNS
        )
    outcome = _run(request, registry, packs)
    report = of_check(request, outcome)
    if isinstance(outcome.failure, _NOT_CHECKED):
        _refused(outcome.failure, report, wanted, language)
    write_report(report, wanted, language, output)
    if save is not None:
        write_file(
            save, written(Kept(request.target.url, outcome.assessment.as_of, outcome.observations)), "--save"
        )
    if outcome.failure is not None and found.family is not None:
        known = found.family.why or found.family.advice
        click.echo(f"hint: {found.family.label}: {known.in_language(language)}", err=True)
    sys.exit(0 if outcome.assessment.decision is Decision.ADMITTED else 1)


def _declared(path: Path | None, language: str) -> Observations:
    if path is None:
        return Observations()
    try:
        return read_declarations(path, SystemClock().now(), language)
    except DeclarationsUnreadable as error:
        stop(str(error), "docs/ref/declarations.md")


def _run(request: CheckRequest, registry: Registry, packs: Packs) -> CheckOutcome:
    teller = _Teller(request.target)
    try:
        return asyncio.run(_checked(request, registry, packs, teller.tell))
    except KeyboardInterrupt:
        stop("interrupted; nothing was concluded", "")
    finally:
        teller.end()


async def _checked(
    request: CheckRequest, registry: Registry, packs: Packs, tell: Callable[[Progress], None]
) -> CheckOutcome:
    clock = SystemClock()
    decode = DecodeService(DecodeSetup(), clock=clock, metrics=Metrics())
    checker = Checker(
        registry,
        Dialer(LAN_AND_LOOPBACK),
        CredentialGate(MemoryBook(clock), clock),
        clock,
        packs,
        decode=decode,
    )
    decode.start()  # it is ready long before the first picture
    try:
        return await checker.run(request, tell)
    finally:
        await decode.aclose()


class _Teller:
    """Progress on standard error, one line per step, where a person watches."""

    def __init__(self, target: Target) -> None:
        self._shown = sys.stderr.isatty()
        if self._shown:
            click.echo(
                f"Checking {target.authority} (read requests only; you state that you may test it)", err=True
            )

    def tell(self, progress: Progress) -> None:
        if not self._shown:
            return
        mark = {"running": "…", "ok": "✓", "failed": "✗"}.get(progress.state, " ")
        text = "".join(char for char in progress.detail if char.isprintable())
        click.echo(f"  {mark} {progress.step:<9} {text}".rstrip(), err=True)

    def end(self) -> None:
        if self._shown:
            click.echo("", err=True)


def _refused(failure: AdapterError, report: Document, wanted: list[str], language: str) -> NoReturn:
    """The camera was not checked at all: say why, give scripts the report that says the same, exit code 2."""
    if wanted == ["json"]:
        click.echo(render(report, "json", language), nl=False)
    stop(str(failure), failure.hint)
