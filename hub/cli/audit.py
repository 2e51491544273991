"""``camhub audit``: is the log whole?"""

import json
import sys
from pathlib import Path

import click

from hub.access.audit import ChainState
from hub.cli.offline import Offline, store_options, with_store


@click.group()
def audit() -> None:
    """Verify the audit log."""


@audit.command("verify")
@store_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Walk the hash chain. Exit status 0: intact; 1: broken, the record is named."""

    async def work(offline: Offline) -> ChainState:
        return await offline.audit.verify()

    state = with_store(config, data_dir, work)
    if as_json:
        told = {
            "ok": state.ok,
            "checked_to": state.checked_to,
            "broken_at": state.broken_at,
            "why": state.why or None,
        }
        click.echo(json.dumps(told))
    elif state.ok:
        click.echo(f"The audit log is intact: {state.checked_to} records.")
    else:
        click.echo(f"The audit log is broken at record {state.broken_at}: {state.why}.", err=True)
    sys.exit(0 if state.ok else 1)
