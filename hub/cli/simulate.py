"""`camhub simulate`: scripted cameras for trying and testing, until interrupted."""

import asyncio
import ipaddress
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import click

from adapters.clock import SystemClock
from hub.observe import configure_logging
from hub.simulator.camera import ScriptedCamera
from hub.simulator.fleet import Fleet
from hub.simulator.presets import Preset, PresetError, chosen, from_file, shipped


@click.command()
@click.argument("presets", nargs=-1, metavar="[PRESET]...")
@click.option("--list", "list_presets", is_flag=True, help="List the presets with a sentence each, and stop.")
@click.option("--json", "as_json", is_flag=True, help="Print one line of JSON per camera once it listens.")
@click.option("--count", default=1, type=click.IntRange(1, 1000), help="How many cameras of each preset.")
@click.option("--host", default="127.0.0.1", help="The address to listen on; an address of this machine.")
@click.option(
    "--port", "first_port", default=0, type=click.IntRange(0, 65535), help="First port; 0 takes free ones."
)
@click.option(
    "--discoverable", is_flag=True, help="Let `camhub discover` find them: answer WS-Discovery (UDP 3702)."
)
@click.option(
    "--file",
    "file",
    type=click.Path(path_type=Path),
    help="Presets of one's own, TOML; may extend the shipped ones.",
)
def simulate(
    *,
    presets: tuple[str, ...],
    list_presets: bool,
    as_json: bool,
    count: int,
    host: str,
    first_port: int,
    discoverable: bool,
    file: Path | None,
) -> None:
    """Run scripted cameras until interrupted: real ONVIF and RTSP servers.

    PRESET is one of the names that --list shows, or `all`. With --file and no PRESET all of the file's run.
    """
    try:
        own = from_file(file) if file is not None else {}
        known = {**shipped(), **own}
        if list_presets:
            _list(known, as_json)
            return
        if "all" in presets:
            presets = tuple(known)
        if not presets:
            presets = tuple(own)
        picked = chosen(presets, known)
    except PresetError as error:
        raise click.UsageError(str(error)) from error
    if not picked:
        raise click.UsageError(f"name at least one preset; known are: {', '.join(known)}")
    try:
        address = ipaddress.ip_address(host)
    except ValueError as error:
        raise click.UsageError(f"--host {host!r} is not an IP address") from error
    if address.is_unspecified:
        raise click.UsageError("--host: give one address of this machine; clients are told to dial it")
    if discoverable and address.version == 6:
        raise click.UsageError("--discoverable needs an IPv4 --host")
    configure_logging("info", "text")
    fleet = Fleet(
        picked, SystemClock(), count=count, host=host, first_port=first_port, discoverable=discoverable
    )
    try:
        asyncio.run(_run(fleet, as_json))
    except (OSError, OverflowError) as error:
        click.echo(f"cannot listen on {host}: {error}", err=True)
        sys.exit(2)


async def _run(fleet: Fleet, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await fleet.start()
    try:
        for camera in fleet.cameras:
            click.echo(json.dumps(_line(camera), ensure_ascii=False) if as_json else _text(camera))
        sys.stdout.flush()
        if not as_json:
            click.echo("Running. Stop with Ctrl+C.")
        await stop.wait()
    finally:
        await fleet.aclose()


def _line(camera: ScriptedCamera) -> dict[str, object]:
    return {
        "preset": camera.preset.id,
        "onvif": camera.onvif_url,
        "rtsp": camera.rtsp_url,
        "user": camera.user,
        "password": camera.password,
        "sub": camera.sub_url,
        "name": camera.name,
    }


def _text(camera: ScriptedCamera) -> str:
    lines = [f"{camera.preset.id}: {camera.name}"]
    if camera.onvif_url:
        lines.append(f"  onvif     {camera.onvif_url}")
    if camera.rtsp_url:
        lines.append(f"  rtsp      {camera.rtsp_url}")
    if camera.sub_url:
        lines.append(f"  sub       {camera.sub_url}")
    lines.append(f"  login     {camera.user} / {camera.password}")
    if camera.rtsp_url:
        account = f"{quote(camera.user)}:{quote(camera.password)}@"
        lines.append(f"  player    {camera.rtsp_url.replace('rtsp://', f'rtsp://{account}')}")
    return "\n".join(lines)


def _list(known: Mapping[str, Preset], as_json: bool) -> None:
    for preset in known.values():
        if as_json:
            click.echo(
                json.dumps(
                    {"preset": preset.id, "title": preset.title, "sentence": preset.sentence.model_dump()},
                    ensure_ascii=False,
                )
            )
        else:
            click.echo(f"{preset.id}\n  {preset.sentence.vi}\n  {preset.sentence.en}")
