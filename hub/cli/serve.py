"""``camhub serve``: the hub, until interrupted."""

import asyncio
import signal
import sys
from pathlib import Path
from typing import Any

import click

from hub.settings import Settings, SettingsRefused


@click.command()
@click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML).")
@click.option("--host", help="Address to listen on; beyond this machine only with TLS. [127.0.0.1]")
@click.option("--port", type=click.IntRange(0, 65535), help="HTTP port; 0 picks a free one. [8080]")
@click.option("--data", "data_dir", type=click.Path(path_type=Path, file_okay=False), help="Data directory.")
@click.option("--tls-cert", type=click.Path(path_type=Path, dir_okay=False), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path, dir_okay=False), help="Its private key (PEM).")
@click.option(
    "--behind-proxy", is_flag=True, default=None, help="A reverse proxy on this machine terminates TLS."
)
def serve(config: Path | None, **given: Any) -> None:
    """Run the hub."""
    try:
        settings = Settings.load(config, **given)
        settings.check_exposure()
    except SettingsRefused as error:
        raise click.UsageError(str(error)) from error
    from hub.observe import configure_logging

    configure_logging(settings.log_level, settings.log_format)
    sys.exit(asyncio.run(_serve(settings)))


async def _serve(settings: Settings) -> int:
    from hub.app import Hub
    from hub.coordination.redis import CoordinationError
    from hub.relay.workers.service import RelayUnavailable
    from hub.store.errors import StoreError

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        async with Hub.start(settings) as hub:
            click.echo(f"camhub is running at {hub.url}")
            first = hub.first_administrator
            if first is not None:
                click.echo(
                    f"First administrator: {first.user.name}   one-time password: {first.password.reveal()}\n"
                    "It is shown only now; it has to be changed at the first sign-in."
                )
            sys.stdout.flush()
            await stop.wait()
    except (SettingsRefused, StoreError, CoordinationError, RelayUnavailable) as error:
        click.echo(f"camhub cannot start: {error}", err=True)
        return 2
    return 0
