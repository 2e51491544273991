"""The store and its people for commands that run beside a hub, or without one."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from adapters.clock import SystemClock
from hub.access.accounts import Accounts
from hub.access.audit import AuditLog
from hub.access.tokens import ApiTokens
from hub.coordination.memory import LocalLimiter
from hub.settings import Settings, SettingsRefused
from hub.store.chain import Actor
from hub.store.errors import ServiceError, StoreError
from hub.store.store import Store

CLI = Actor("cli", name="camhub")
Result = TypeVar("Result")


class CannotDo(click.ClickException):
    """The command could not do its work: one sentence on standard error, exit status 2."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Offline:
    """What these commands need; a running hub may use the same database meanwhile."""

    settings: Settings
    store: Store
    accounts: Accounts
    tokens: ApiTokens
    audit: AuditLog


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Offline]:
    clock = SystemClock()
    store = await Store.open(settings.database(), clock)
    try:
        accounts = Accounts(store, LocalLimiter(clock), clock)
        yield Offline(settings, store, accounts, ApiTokens(store, accounts, clock), AuditLog(store))
    finally:
        await store.aclose()


def with_store(
    config: Path | None, data_dir: Path | None, work: Callable[[Offline], Coroutine[Any, Any, Result]]
) -> Result:
    """Open the store that the settings name and run `work` on it; errors become one sentence and exit status 2."""
    try:
        settings = Settings.load(config, data_dir=data_dir)
    except SettingsRefused as error:
        raise click.UsageError(str(error)) from error
    if settings.database_url is None and not (settings.data_dir / "camhub.db").exists():
        raise CannotDo(
            f"there is no hub in {settings.data_dir.absolute()}: name its directory with --data (or CAMHUB_DATA_DIR), "
            "or run camhub serve there first"
        )

    async def run() -> Result:
        async with _opened(settings) as offline:
            return await work(offline)

    try:
        return asyncio.run(run())
    except (ServiceError, StoreError) as error:
        raise CannotDo(str(error)) from error


def store_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--config`` and ``--data`` to a command."""
    command = click.option(
        "--data",
        "data_dir",
        type=click.Path(path_type=Path, file_okay=False),
        help="Data directory of the hub.",
    )(command)
    return click.option(
        "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (TOML)."
    )(command)
