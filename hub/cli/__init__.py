"""The command line. Each command lives in its own module and is imported only when it is called."""

import importlib
from typing import Any

import click

# command name -> (module, attribute, one-line help shown without importing the module)
COMMANDS: dict[str, tuple[str, str, str]] = {
    "demo": ("hub.cli.demo", "demo", "Run a hub with simulated cameras and open it in the browser."),
    "serve": ("hub.cli.serve", "serve", "Run the hub."),
    "check": ("hub.cli.check", "check", "Check one camera against a standard, no hub needed."),
    "assess": ("hub.cli.assess", "assess", "Judge kept observations again, without the camera."),
    "discover": ("hub.cli.discover", "discover", "Find the cameras on the networks of this machine."),
    "simulate": ("hub.cli.simulate", "simulate", "Run scripted cameras until interrupted."),
    "capture": ("hub.cli.capture", "capture", "Record one's own camera, redacted, for the tests."),
    "adapters": ("hub.cli.adapters", "adapters", "List adapters, and what is known about makers."),
    "standards": ("hub.cli.standards", "standards", "List and show the rule packs."),
    "report": ("hub.cli.report", "report", "Reports of cameras and areas, and their signatures."),
    "relay": ("hub.cli.relay", "relay", "Test by which ways browsers reach the relay."),
    "users": ("hub.cli.users", "users", "Manage people and tokens."),
    "audit": ("hub.cli.audit", "audit", "Verify the audit log."),
}


class LazyGroup(click.Group):
    """A group that imports a command's module when the command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the command names in reading order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command: Any = getattr(importlib.import_module(entry[0]), entry[1])
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command table without importing the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[2]) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="camhub", prog_name="camhub")
def main() -> None:
    """camhub: take cameras that exist, check them, catalogue them, show them live."""
