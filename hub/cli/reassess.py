"""``camhub standards reassess``: judge all cameras of a hub again, after a limit or a pack changed."""

import json
import sys
from pathlib import Path

import click

from adapters.clock import SystemClock
from hub.catalog.types import Kind
from hub.cli.offline import CLI, Offline, store_options, with_store
from hub.cli.terminal import language
from hub.cli.watching import watched
from hub.compliance.reassess import Reassessment, Reassessments
from hub.coordination.memory import LocalBus
from hub.onboarding.declared import consent_gate
from hub.packs import read_packs
from hub.texts import Texts
from standards.pack import packaged, packaged_with


@click.command("reassess")
@click.option("--standard", default="", help="Judge all by this standard; else each camera by its own.")
@click.option("--area", default="", help="Only the cameras of this area and below.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@store_options
def reassess(*, config: Path | None, data_dir: Path | None, standard: str, area: str, as_json: bool) -> None:
    """Judge stored observations again; nothing is sent to any camera. Exit status 0: done; 2: it broke off.

    Ctrl-C ends it after the batch that is being judged: what is written stays whole, and another run does the rest.
    """

    async def work(offline: Offline) -> Reassessment:
        clock = SystemClock()
        own = read_packs(offline.settings.packs) if offline.settings.packs else {}
        gate = consent_gate(Kind.HOUSEHOLD, None, clock.now(), Texts.installed()).reason or {}
        packs = packaged_with(own) if own else packaged()
        runs = Reassessments(offline.store, LocalBus(), clock, packs, files=own, gate=gate)
        texts, spoken = Texts.installed(("area",)), language()

        def far() -> str:
            run = runs.current
            if run is None:
                return ""
            said = "area.rejudge.stopping" if run.stopping else "area.rejudge.progress"
            return texts.say(said, spoken, {"done": run.done, "total": run.total, "changed": run.changed})

        async with watched(far, stop=runs.stop):
            return await runs.run(CLI, standard=standard, area=area)

    run = with_store(config, data_dir, work)
    if as_json:
        click.echo(json.dumps(run.as_json()))
    else:
        click.echo(f"{run.done} of {run.total} cameras judged, {run.changed} decisions changed.")
        for decision in ("ADMITTED", "CONDITIONAL", "PENDING", "REJECTED"):
            click.echo(f"  {decision:12} {run.before[decision]:>8} -> {run.after[decision]:>8}")
        if run.unread:
            click.echo(f"{run.unread} cameras could not be judged; the log names them.", err=True)
        if run.failure:
            click.echo(run.failure, err=True)
    sys.exit(0 if run.state == "done" else 2)
