"""`camhub capture`: one's own camera as a redacted bundle that tests replay."""

import asyncio
import json
import signal
import sys
from pathlib import Path

import click

from adapters.clock import SystemClock
from adapters.errors import BadTarget
from adapters.registry import Registry
from adapters.target import parse_target
from hub.capture.run import Capture, Captured, CaptureRequest, NotKept
from hub.cli.terminal import credential_of, language, stop, tell
from hub.observe import configure_logging
from hub.texts import Texts
from standards.pack import packaged


@click.command()
@click.argument("target")
@click.option(
    "--output",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="The directory to make; it must not exist yet.",
)
@click.option("--user", metavar="USER", help="The account that the owner supplied. Sent at most once.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input (one line).")
@click.option(
    "--with-pictures",
    is_flag=True,
    help="Keep the video packets whole: a few seconds of what the camera sees.",
)
@click.option(
    "--maker", default="", metavar="NAME", help="Who made it, where the camera does not tell (RTSP alone)."
)
@click.option(
    "--model", default="", metavar="NAME", help="Which model it is, where the camera does not tell."
)
@click.option("--yes", is_flag=True, help="Do not ask before writing.")
@click.option("--scripted", is_flag=True, help="This is a scripted camera of camhub's own, no real device.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
@click.option("--lang", type=click.Choice(["vi", "en"]), help="Language; else that of the locale.")
def capture(
    *,
    target: str,
    output: Path,
    user: str | None,
    password_stdin: bool,
    with_pictures: bool,
    maker: str,
    model: str,
    yes: bool,
    scripted: bool,
    as_json: bool,
    lang: str | None,
) -> None:
    """Record one's own camera as a redacted bundle that tests replay.

    Only read requests are sent, the credential at most once. Passwords, serial numbers, names, places, networks and
    addresses are replaced before anything is written; pictures and sound are not recorded. By running this you state that
    the camera is yours, or that its owner has agreed.

    Exit code 0: written. 1: you said no. 2: nothing was written, and why.
    """
    configure_logging("error", "text")
    texts, spoken = Texts.installed(("capture",)), lang or language()
    if not yes and not sys.stdin.isatty():
        stop(texts.say("capture.nobody_to_ask", spoken), "--yes")
    try:
        address, inside = parse_target(target)
    except BadTarget as error:
        stop(str(error), error.hint)
    request = CaptureRequest(
        address,
        credential_of(user, password_stdin, inside),
        output,
        with_pictures,
        scripted,
        maker[:64],
        model[:64],
    )
    work = Capture(request, Registry.installed(), packaged(), SystemClock())
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # cleans up as Ctrl-C does
    try:
        captured = asyncio.run(work.listen(tell))
        _show(captured, request, texts, spoken)
        if not yes and not _agreed(request, texts, spoken):
            click.echo(texts.say("capture.declined", spoken), err=True)
            sys.exit(1)
        written = asyncio.run(work.keep(captured))
    except NotKept as error:
        stop(str(error), error.hint)
    except KeyboardInterrupt:
        stop(texts.say("capture.interrupted", spoken))
    if as_json:
        files = sorted(path.relative_to(written).as_posix() for path in written.rglob("*") if path.is_file())
        click.echo(json.dumps({"directory": str(written), "files": files}, ensure_ascii=False))
    else:
        click.echo(texts.say("capture.written", spoken, {"where": written}))
        click.echo(texts.say("capture.next", spoken, {"name": written.name}))


def _show(captured: Captured, request: CaptureRequest, texts: Texts, spoken: str) -> None:
    """Say what will be written and where, before it is."""
    identity = " ".join(filter(None, captured.identity.values()))
    told = {
        "what": identity or texts.say("capture.unnamed", spoken),
        "where": request.output,
        "exchanges": captured.bundle.exchanges,
        "packets": captured.bundle.packets,
        "files": len(captured.bundle.files) + 1,
        "kilobytes": -(-captured.bundle.size // 1000),
        "operations": ", ".join(captured.bundle.operations),
        "redacted": ", ".join(f"{kind} {count}" for kind, count in captured.redacted.items()) or "-",
    }
    for line in ("what", "content", "operations", "redacted"):
        click.echo(texts.say(f"capture.show.{line}", spoken, told), err=True)
    click.echo(
        texts.say(f"capture.show.{'pictures' if request.pictures else 'no_pictures'}", spoken), err=True
    )
    if captured.dropped:
        click.echo(texts.say("capture.show.dropped", spoken, {"count": captured.dropped}), err=True)
    if captured.outcome.failure is not None:
        click.echo(
            texts.say("capture.show.failure", spoken, {"why": str(captured.outcome.failure)}), err=True
        )


def _agreed(request: CaptureRequest, texts: Texts, spoken: str) -> bool:
    if not click.confirm(texts.say("capture.ask", spoken, {"where": request.output}), err=True):
        return False
    return not request.pictures or click.confirm(texts.say("capture.ask_pictures", spoken), err=True)
