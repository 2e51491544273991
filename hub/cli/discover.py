"""`camhub discover`: which cameras answer on the networks that this machine is attached to."""

import asyncio
import json
import sys
import unicodedata
from typing import Any

import click

from adapters.clock import SystemClock
from adapters.discovery.found import Device
from adapters.discovery.interfaces import attached
from adapters.discovery.search import MAX_TTL, Search, SearchReport, SearchRequest
from adapters.errors import AdapterError
from adapters.target import Target, parse_target
from adapters.wire.dialer import LAN_AND_LOOPBACK, Dialer
from hub.cli.terminal import language, stop
from hub.observe import configure_logging
from hub.texts import Texts

_COLUMNS = ("name", "maker", "model", "address")
_WIDEST = 32  # columns of a name, maker or model


@click.command()
@click.option("--interface", default="", metavar="I", help="Ask on this interface only (name or address).")
@click.option("--host", default="", metavar="H", help="Ask this one host, where multicast does not reach.")
@click.option(
    "--timeout",
    "timeout_s",
    default=4.0,
    type=click.FloatRange(0.5, 60.0),
    show_default=True,
    help="Seconds to wait for answers.",
)
@click.option(
    "--ttl",
    default=4,
    type=click.IntRange(1, MAX_TTL),
    show_default=True,
    help="How many routers a question may pass, where they pass multicast at all.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--lang", type=click.Choice(["vi", "en"]), help="Language; else that of the locale.")
def discover(
    *, interface: str, host: str, timeout_s: float, ttl: int, as_json: bool, lang: str | None
) -> None:
    """Find the cameras on the networks of this machine by WS-Discovery.

    Asks who is there, on every attached network, and lists what answers with the address to give to `camhub check`.
    No credential is sent, and no camera is asked anything else.

    Exit code 0: somebody answered. 1: nobody did. 2: could not ask.
    """
    configure_logging("warning", "text")
    teller = _Teller(lang or language())
    try:
        named = parse_target(host)[0].host if host else ""
        places = [str(place) for place in attached(interface)] if not named else [named]
        if sys.stderr.isatty() and places:
            teller.aside("discover.asking", where=", ".join(places), seconds=f"{timeout_s:g}")
        request = SearchRequest(interface, named, timeout_s, ttl)
        clock = SystemClock()
        search = Search(request, Dialer(LAN_AND_LOOPBACK), clock, teller.found)
        report = asyncio.run(search.run())
    except AdapterError as error:
        stop(str(error), error.hint)
    except KeyboardInterrupt:
        stop("interrupted")
    if as_json:
        click.echo(json.dumps(as_document(report), ensure_ascii=False, indent=2))
    else:
        teller.table(report, request)
    sys.exit(0 if report.devices else 1)


def address_of(target: Target) -> str:
    """Return an address as short as `camhub check` understands it."""
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == (443 if target.scheme == "onvifs" else 80) else f":{target.port}"
    return f"{target.scheme}://{host}{port}{target.path}"


def as_document(report: SearchReport) -> dict[str, Any]:
    """Return a search as JSON has it."""
    return {
        "devices": [_device(device) for device in report.devices],
        "asked": report.asked,
        "failed": [{"where": where, "why": why} for where, why in report.failed],
        "others": report.others,
        "unreadable": sum(report.unreadable.values()),
        "dropped": report.dropped,
    }


def _device(device: Device) -> dict[str, Any]:
    label = device.label
    return {
        "name": label.name,
        "maker": label.maker,
        "model": label.model,
        "location": label.location,
        "target": address_of(device.target) if device.target is not None else None,
        "targets": [address_of(target) for target in device.targets],
        "endpoint": device.endpoint,
        "types": device.types,
        "scopes": device.scopes,
        "sources": device.sources,
        "interfaces": device.heard_on,
        "notes": device.notes,
    }


class _Teller:
    """Says things in one language: the table on standard output, everything else on standard error."""

    def __init__(self, language: str) -> None:
        self._texts = Texts.installed(("discover",))
        self._language = language

    def _say(self, key: str, **params: object) -> str:
        return self._texts.say(key, self._language, params)

    def aside(self, key: str, **params: object) -> None:
        """Say one line beside the data."""
        click.echo(self._say(key, **params), err=True)

    def found(self, device: Device) -> None:
        """Say that one more device answered, where a person watches."""
        if sys.stderr.isatty():
            label = device.label
            what = " ".join(filter(None, (label.maker, label.model))) or label.name or device.sources[0]
            self.aside("discover.found", what=f"{what} ({device.sources[0]})")

    def table(self, report: SearchReport, request: SearchRequest) -> None:
        """Print what answered, and what else there is to say."""
        for where, why in report.failed:
            self.aside("discover.failed", where=where, why=why)
        if not report.devices:
            click.echo(self._say("discover.none.title"))
            key = "unicast" if request.host else "multicast"
            click.echo(self._say(f"discover.none.{key}", host=request.host))
        else:
            self._rows(report.devices)
            first = next((device.target for device in report.devices if device.target is not None), None)
            click.echo()
            if first is not None:
                click.echo(self._say("discover.next", address=address_of(first)))
            if not request.host:
                click.echo(self._say("discover.reach"))
        self._rest(report)

    def _rows(self, devices: list[Device]) -> None:
        rows = [[self._say(f"discover.columns.{name}") for name in _COLUMNS]]
        for device in devices:
            label = device.label
            address = (
                address_of(device.target)
                if device.target is not None
                else self._say("discover.no_address", source=device.sources[0])
            )
            rows.append([label.name or "-", label.maker or "-", label.model or "-", address])
        widths = [min(_WIDEST, max(_width(row[column]) for row in rows)) for column in range(3)]
        for index, row in enumerate(rows):
            cells = [_padded(text, width) for text, width in zip(row, widths, strict=False)]
            click.echo("  ".join([*cells, row[3]]))
            if index:
                self._about(devices[index - 1])

    def _about(self, device: Device) -> None:
        if len(device.targets) > 1:
            others = ", ".join(address_of(target) for target in device.targets[1:4])
            click.echo(f"    {self._say('discover.also', addresses=others)}")
        for note in device.notes:
            key = f"discover.notes.{note}"
            if self._texts.has(key):
                click.echo(f"    {self._say(key, source=device.sources[0])}")

    def _rest(self, report: SearchReport) -> None:
        if report.others:
            click.echo(self._say("discover.others", count=report.others))
        for source, count in report.unreadable.most_common(3):
            click.echo(self._say("discover.unreadable", count=count, source=source))
        if report.dropped:
            click.echo(self._say("discover.dropped", count=report.dropped))


def _width(text: str) -> int:
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def _padded(text: str, width: int) -> str:
    while _width(text) > width:
        text = text[:-2] + "…"
    return text + " " * (width - _width(text))
