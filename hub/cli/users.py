"""``camhub users``: people and tokens, also while a hub runs on the same store."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from hub.access.accounts import NewUser, User
from hub.access.tokens import ApiToken
from hub.catalog.types import ROLES
from hub.cli.offline import CLI, Offline, store_options, with_store
from hub.store.errors import ServiceError


@click.group()
def users() -> None:
    """Manage people and tokens."""


def _json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


def _plain(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "name": user.name,
        "display_name": user.display_name,
        "role": user.role,
        "areas": list(user.areas),
        "custodian_id": user.custodian_id,
        "disabled": user.disabled,
        "must_change_password": user.must_change_password,
    }


async def _named(offline: Offline, name: str) -> User:
    user = await offline.accounts.by_name(name)
    if user is None:
        raise ServiceError("not_found", f"there is no user {name!r}; camhub users list shows them")
    return user


@users.command("list")
@store_options
@_json_option
def list_users(config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List all people."""

    async def work(offline: Offline) -> tuple[User, ...]:
        return await offline.accounts.users()

    people = with_store(config, data_dir, work)
    if as_json:
        click.echo(json.dumps([_plain(user) for user in people], ensure_ascii=False))
        return
    for user in people:
        marks = [
            mark
            for mark, on in (("disabled", user.disabled), ("one-time password", user.must_change_password))
            if on
        ]
        areas = ",".join(user.areas) or (
            "all areas" if user.role in {"admin", "operator", "inspector"} else "-"
        )
        click.echo(
            f"{user.name:<20} {user.role:<10} {areas:<16} {user.display_name}  {' '.join(marks)}".rstrip()
        )


@users.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="viewer", show_default=True)
@click.option("--display-name", default="", help="Name as shown; the sign-in name where absent.")
@click.option(
    "--area", "areas", multiple=True, help="Area code; may be given several times. * is the whole hub."
)
@click.option("--custodian", "custodian_id", help="The custodian that a donor speaks for.")
@store_options
@_json_option
def add(
    name: str,
    *,
    role: str,
    display_name: str,
    areas: tuple[str, ...],
    custodian_id: str | None,
    config: Path | None,
    data_dir: Path | None,
    as_json: bool,
) -> None:
    """Add a person with a one-time password, printed once."""

    async def work(offline: Offline) -> tuple[User, str]:
        new = NewUser(
            name, role, display_name, areas=areas, custodian_id=custodian_id, locale=offline.settings.locale
        )
        user, password = await offline.accounts.add(new, CLI)
        return user, password.reveal() if password is not None else ""

    user, password = with_store(config, data_dir, work)
    if as_json:
        click.echo(json.dumps({**_plain(user), "one_time_password": password}, ensure_ascii=False))
    else:
        click.echo(f"{user.name}   one-time password: {password}")


@users.command("token")
@click.argument("name")
@click.option("--label", default="script", show_default=True, help="What the token is for.")
@click.option("--days", type=click.IntRange(1, 3650), help="Days until it expires; without, it does not.")
@store_options
def token(name: str, *, label: str, days: int | None, config: Path | None, data_dir: Path | None) -> None:
    """Print a bearer token for scripts in a person's name."""

    async def work(offline: Offline) -> str:
        user = await _named(offline, name)
        expires_at = offline.store.clock.now() + timedelta(days=days) if days is not None else None
        _, secret = await offline.tokens.issue(user.id, label, CLI, expires_at=expires_at)
        return secret.reveal()

    click.echo(with_store(config, data_dir, work))


@users.command("tokens")
@click.argument("name")
@store_options
@_json_option
def list_tokens(name: str, config: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """List the tokens of a person, newest first; the tokens themselves are kept nowhere."""

    async def work(offline: Offline) -> list[dict[str, Any]]:
        user, now = await _named(offline, name), offline.store.clock.now()
        return [one.as_json(now) for one in await offline.tokens.of(user.id)]

    found = with_store(config, data_dir, work)
    if as_json:
        click.echo(json.dumps(found, ensure_ascii=False))
        return
    for one in found:
        until = f"until {one['expires_at']}" if one["expires_at"] else "without end"
        click.echo(f"{one['id']}  {one['state']:<8}  {until}  {one['label']}")


@users.command("revoke")
@click.argument("name")
@click.argument("token_id")
@store_options
def revoke(name: str, token_id: str, *, config: Path | None, data_dir: Path | None) -> None:
    """End a token of a person; what plays by it ends within two seconds."""

    async def work(offline: Offline) -> ApiToken:
        user = await _named(offline, name)
        return await offline.tokens.revoke(user.id, token_id, CLI)

    ended = with_store(config, data_dir, work)
    click.echo(f"the token {ended.label!r} of {name} is revoked")


@users.command("disable")
@click.argument("name")
@click.option("--enable", is_flag=True, help="Let the person in again.")
@store_options
def disable(name: str, *, enable: bool, config: Path | None, data_dir: Path | None) -> None:
    """Keep a person out; what they are watching ends within two seconds."""

    async def work(offline: Offline) -> User:
        user = await _named(offline, name)
        return await offline.accounts.change(user.id, CLI, disabled=not enable)

    user = with_store(config, data_dir, work)
    click.echo(f"{user.name} is {'disabled' if user.disabled else 'enabled'}")


@users.command("reset")
@click.argument("name")
@store_options
def reset(name: str, *, config: Path | None, data_dir: Path | None) -> None:
    """Give a person a new one-time password, printed once; their sign-ins end."""

    async def work(offline: Offline) -> str:
        return (await offline.accounts.reset_password(name, CLI)).reveal()

    click.echo(f"{name}   one-time password: {with_store(config, data_dir, work)}")
