"""``camhub report``: reports about a camera or an area, their signatures, and whether a report is genuine."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from adapters.clock import SystemClock
from hub.api.present import report_document
from hub.catalog.service import CatalogService
from hub.catalog.types import Kind, Scope
from hub.cli.offline import CLI, CannotDo, Offline, store_options, with_store
from hub.cli.terminal import language as language_here
from hub.cli.watching import StatusLine, write_whole
from hub.coordination.memory import LocalBus
from hub.onboarding.declared import consent_gate
from hub.packs import read_packs
from hub.reports.area.forms import FORMS as AREA_FORMS
from hub.reports.area.forms import file_name
from hub.reports.area.service import AreaReports
from hub.reports.formats import FORMS, SUFFIXES, render_bytes
from hub.reports.signing import (
    SIGNING_KEYS,
    SUFFIX,
    About,
    Checked,
    KeysUnreadable,
    Outcome,
    SigningKeys,
    read_public_keys,
    verify_embedded,
)
from hub.reports.signing import verify as verify_detached
from hub.reports.unwritten import ReportWriter
from hub.settings import Settings, SettingsRefused
from hub.store.errors import SealError
from hub.store.sealer import Sealer
from hub.texts import Texts
from standards.observation import rfc3339
from standards.pack import packaged, packaged_with

MAX_FILE = 256 * 1024 * 1024
_language = click.option("--lang", type=click.Choice(["vi", "en"]), help="Language; else that of the locale.")
_output = click.option(
    "-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; else a name of its own."
)  # fmt: skip


@click.group()
def report() -> None:
    """Make reports of cameras and areas, sign them, and check signatures."""


def _area_command(kind: str) -> Callable[..., None]:
    def made(
        *,
        config: Path | None,
        data_dir: Path | None,
        area: str,
        form: str,
        lang: str | None,
        output: Path | None,
        year: int | None = None,
    ) -> None:
        language = lang or language_here()

        async def work(offline: Offline) -> tuple[dict[str, Any], bytes, bytes, bytes]:
            reports, texts, line = _reports(offline), Texts.installed(("area",)), StatusLine()

            def step(name: str) -> None:
                line.say(texts.say(f"area.step.{name}", language))

            try:
                one = await reports.make(area, CLI, kind=kind, year=year, progress=step)
                _, document = await reports.get(one.id, Scope.everything())
                step("file")
                data = await reports.rendered(one.id, document, form, language)
                annex = await reports.rendered(one.id, document, "csv", language)
                return document, data, annex, reports.signature(document, form, data)
            finally:
                line.clear()

        try:
            document, data, annex, signature = with_store(config, data_dir, work)
        except KeyboardInterrupt as error:
            raise CannotDo("interrupted; no file was written") from error
        path = output or Path(file_name(document, form))
        beside = path.with_name(file_name(document, "csv"))
        files = [(path, data), (path.with_name(path.name + SUFFIX), signature)]
        write_whole(files if form in ("csv", "json") else [*files, (beside, annex)])
        click.echo(f"{path} ({len(data)} bytes), {path.name}{SUFFIX}")
        if form not in ("csv", "json"):
            click.echo(f"{beside} (annex, {len(annex)} bytes, SHA-256 {document['annex']['sha256']})")

    return made


@report.command("area")
@click.argument("area")
@click.option("--format", "form", type=click.Choice(AREA_FORMS), default="pdf", show_default=True)
@_language
@_output
@store_options
def area_report(**given: Any) -> None:
    """Report about a ward or a province as it is now, with its annex and signature beside it."""
    _area_command("area")(**given)


@report.command("yearly")
@click.option("--area", required=True, help="Area code.")
@click.option(
    "--year", type=int, help="Reporting year, from 1 December to 30 November; else the present one."
)
@click.option("--format", "form", type=click.Choice(AREA_FORMS), default="pdf", show_default=True)
@_language
@_output
@store_options
def yearly_report(**given: Any) -> None:
    """The yearly report, due by 30 November."""
    _area_command("yearly")(**given)


@report.command("camera")
@click.argument("camera")
@click.option("--format", "form", type=click.Choice(FORMS), default="pdf", show_default=True)
@_language
@_output
@store_options
def camera_report(
    *,
    config: Path | None,
    data_dir: Path | None,
    camera: str,
    form: str,
    lang: str | None,
    output: Path | None,
) -> None:
    """Report of a camera's newest assessment, with its signature beside it."""
    language = lang or language_here()

    async def work(offline: Offline) -> tuple[bytes, bytes]:
        catalog = _catalog(offline)
        found = await catalog.get(camera)
        if found.assessment_id is None:
            raise CannotDo(f"{found.name} was never assessed; there is nothing to report")
        one = await catalog.assessment(found.assessment_id)
        document = report_document(one, knows=True)
        data = render_bytes(document, form, language)
        detail = document.get("standard_detail") or {}
        told = About(
            "camera",
            camera,
            form,
            rfc3339(one.as_of),
            ({"id": one.standard, "version": one.standard_version, "hash": str(detail.get("hash", ""))},),
            await offline.store.hub_id(),
        )
        return data, _keys(offline.settings).sign(data, told)

    data, signature = with_store(config, data_dir, work)
    path = output or Path(f"camhub-{camera[:8]}{SUFFIXES[form]}")
    write_whole([(path, data), (path.with_name(path.name + SUFFIX), signature)])
    click.echo(f"{path} ({len(data)} bytes), {path.name}{SUFFIX}")


@report.command("key")
@click.option("--rotate", is_flag=True, help="Make a new signing key; what older keys signed stays valid.")
@store_options
def key(config: Path | None, data_dir: Path | None, *, rotate: bool) -> None:
    """Print the hub's public keys as JSON, the signing one first; the file is what `verify --key` takes."""

    async def work(offline: Offline) -> SigningKeys:
        keys = _keys(offline.settings)
        if rotate:
            keys = keys.rotated()
            await offline.audit.append("report.key_rotated", CLI, "hub", {"key": next(iter(keys.public))})
        return keys

    keys = with_store(config, data_dir, work)
    click.echo(json.dumps({"report_keys": keys.as_json()}, indent=2))
    if rotate:
        click.echo("A running hub signs with the new key after its next start.", err=True)


@report.command("verify")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--signature", type=click.Path(path_type=Path, dir_okay=False), help="Else FILE.sig, or inside FILE."
)
@click.option(
    "--key", "key_file", type=click.Path(path_type=Path, dir_okay=False), help="Public keys to trust."
)
@click.option(
    "--data", "data_dir", type=click.Path(path_type=Path, file_okay=False), help="Trust the keys of this hub."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_language
def verify(
    *,
    file: Path,
    signature: Path | None,
    key_file: Path | None,
    data_dir: Path | None,
    lang: str | None,
    as_json: bool,
) -> None:
    """Tell whether a report is the one that a hub signed. Exit status 0: good; 1: bad; 2: cannot be checked."""
    language = lang or language_here()
    data = _read(file)
    trusted = _trusted(key_file, data_dir)
    beside = signature or file.with_name(file.name + SUFFIX)
    if signature is not None or beside.exists():
        checked: Checked | None = verify_detached(data, _read(beside), trusted)
    else:
        checked = verify_embedded(data, trusted)
    if checked is None:
        raise CannotDo(f"{file} has no signature inside, and there is no {beside}; name it with --signature")
    _say(checked, language, as_json=as_json)
    sys.exit(checked.outcome.exit_status)


def _say(checked: Checked, language: str, *, as_json: bool) -> None:
    texts, told = Texts.installed(("signature",)), checked.statement
    params = {"hub": _short(told.get("hub")), "key": _short(told.get("key_id"))}
    sentence = texts.say(f"signature.{checked.outcome}", language, params)
    if as_json:
        good = checked.outcome is Outcome.GOOD
        said = {"outcome": str(checked.outcome), "text": sentence, "statement": dict(told) if good else None}
        click.echo(json.dumps(said, ensure_ascii=False))
        return
    click.echo(sentence, err=checked.outcome is not Outcome.GOOD)
    if checked.outcome is Outcome.GOOD:
        shown = {name: _short(told.get(name)) for name in ("kind", "subject", "as_of", "format")}
        click.echo(texts.say("signature.about", language, shown))


def _short(value: object) -> str:
    return "".join(char if char.isprintable() else " " for char in str(value))[:80]


def _trusted(key_file: Path | None, data_dir: Path | None) -> Mapping[str, bytes] | None:
    if key_file is not None:
        try:
            return read_public_keys(_read(key_file))
        except KeysUnreadable as error:
            raise CannotDo(f"{key_file}: {error}") from error
    try:
        own = Settings.load(None, data_dir=data_dir).data_dir / SIGNING_KEYS
        return SigningKeys.open(own).public if own.exists() else None
    except (SealError, SettingsRefused) as error:
        raise CannotDo(str(error)) from error


def _reports(offline: Offline) -> AreaReports:
    keys, name = _keys(offline.settings), offline.settings.name
    return AreaReports(offline.store, SystemClock(), keys, name=name)


def _keys(settings: Settings) -> SigningKeys:
    try:
        return SigningKeys.open(settings.data_dir / SIGNING_KEYS)
    except SealError as error:
        raise CannotDo(str(error)) from error


def _catalog(offline: Offline) -> CatalogService:
    clock, settings = SystemClock(), offline.settings
    catalog = CatalogService(offline.store, Sealer.open(settings.data_dir / "keys"), LocalBus(), clock)
    packs = packaged_with(read_packs(settings.packs)) if settings.packs else packaged()
    gate = consent_gate(Kind.HOUSEHOLD, None, clock.now(), Texts.installed()).reason
    catalog.write_out = ReportWriter(packs, gate or {})
    return catalog


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_FILE:
            raise CannotDo(f"{path} is larger than {MAX_FILE} bytes")
        return path.read_bytes()
    except OSError as error:
        raise CannotDo(f"{path} cannot be read: {error.strerror}") from error
