"""``camhub relay``: by which ways do browsers reach this machine's relay?"""

import asyncio
import json
import sys
from pathlib import Path

import click
import msgspec

from adapters.clock import SystemClock
from adapters.secret import Secret
from hub.relay.events import Finding, of_all_workers
from hub.relay.hosts import hosts_to_bind
from hub.relay.reachability import examine
from hub.relay.webrtc.ice import UdpPort
from hub.relay.webrtc.turn import TurnSetup
from hub.settings import Settings, SettingsRefused

_SIGNS = {"ok": "ok     ", "failed": "FAILED ", "unknown": "unknown"}


@click.group()
def relay() -> None:
    """Test the relay."""


@relay.command("selftest")
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML).")
@click.option("--host", help="Address that the hub listens on; relay.host goes before it. [127.0.0.1]")
@click.option("--behind-proxy", is_flag=True, default=None, help="As for camhub serve.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def selftest(config: Path | None, host: str | None, *, behind_proxy: bool | None, as_json: bool) -> None:
    """Walk every way to the relay that the settings describe, with the hub stopped.

    A running hub answers the same at /api/v1/relay/reachability. Exit status 0: none fails; 1: one does, it says why; 2: the
    port cannot be bound, so nothing could be tested.
    """
    try:
        settings = Settings.load(config, host=host, behind_proxy=behind_proxy)
    except SettingsRefused as error:
        raise click.UsageError(str(error)) from error
    try:
        findings = asyncio.run(_examine(settings))
    except _PortTaken as error:
        click.echo(
            f"{error}. Where the hub runs already, ask it: GET /api/v1/relay/reachability; else free the port, or set "
            "relay.udp_port (worker n takes that number plus n) or relay.workers.",
            err=True,
        )
        sys.exit(2)
    if as_json:
        click.echo(json.dumps([msgspec.to_builtins(finding) for finding in findings]))
    else:
        for finding in findings:
            click.echo(
                f"{_SIGNS[finding.outcome]} {finding.way:<9} {finding.address}\n        {finding.detail}"
            )
    sys.exit(1 if any(finding.outcome == "failed" for finding in findings) else 0)


class _PortTaken(Exception):
    """A port of the relay cannot be bound."""


async def _examine(settings: Settings) -> tuple[Finding, ...]:
    """Bind the port of each worker and walk every way to it.

    Raises:
        _PortTaken: one cannot be bound; says which.
    """
    host = settings.relay.host or ("0.0.0.0" if settings.behind_proxy else settings.host.strip("[]"))  # noqa: S104
    secret = settings.turn.secret.get_secret_value() if settings.turn.secret is not None else ""
    turn = TurnSetup(tuple(settings.turn.urls), Secret(secret))
    hosts = await hosts_to_bind(host)
    ports: list[UdpPort] = []
    try:
        for worker in range(settings.relay.processes):
            number = settings.relay.udp_port and settings.relay.udp_port + worker
            port = UdpPort(tuple(settings.relay.public_addresses))
            ports.append(port)
            try:
                port.open(hosts, number)
            except OSError as error:
                raise _PortTaken(f"UDP port {number} cannot be bound: {error.strerror}") from error
        now = SystemClock().now().timestamp()
        return of_all_workers({worker: await examine(port, turn, now) for worker, port in enumerate(ports)})
    finally:
        for port in ports:
            port.close()
