"""What commands that talk to a camera share at the terminal: the language, the credential, the end."""

import os
import sys
from typing import NoReturn

import click

from adapters.port import Progress
from adapters.secret import Credential, Secret

_MARKS = {"running": "…", "ok": "✓", "failed": "✗"}


def language() -> str:
    """Return vi where the locale says so, else en."""
    told = os.environ.get("LC_ALL") or os.environ.get("LC_MESSAGES") or os.environ.get("LANG") or ""
    return "vi" if told.lower().startswith("vi") else "en"


def stop(said: str, hint: str = "") -> NoReturn:
    """End with exit code 2: one sentence, and the next step."""
    click.echo(f"error: {said}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    sys.exit(2)


def credential_of(user: str | None, password_stdin: bool, inside: Credential | None) -> Credential | None:
    """Return the credential that was given: in the address, by --user and standard input, or asked for."""
    if user is None and password_stdin:
        if inside is None:
            stop("--password-stdin needs a user", "Add --user USER")
        user = inside.user
    if user is None:
        return inside
    if password_stdin:
        return Credential(user, Secret(sys.stdin.readline().rstrip("\r\n")))
    if inside is not None and inside.user == user:
        return inside
    if not sys.stdin.isatty():
        stop("--user needs a password", "Add --password-stdin and give it as one line on standard input")
    asked = click.prompt(f"Password of {user}", hide_input=True, default="", show_default=False, err=True)
    return Credential(user, Secret(asked))


def tell(progress: Progress) -> None:
    """Print one step of a probe on standard error, where a person watches."""
    if sys.stderr.isatty():
        text = "".join(char for char in progress.detail if char.isprintable())
        click.echo(f"  {_MARKS.get(progress.state, ' ')} {progress.step:<9} {text}".rstrip(), err=True)
