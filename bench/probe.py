"""The probe's bench: what one probe of one camera costs, with stock onvif-zeep-async beside it on the same servers.

    .venv/bin/python bench/probe.py [--quick] [--write]

Simulated cameras in another process on one core, the client alone on another, loopback. The main figure is the
client's CPU time, because wall time on a busy machine says more about the machine; both are printed, and the servers'
CPU beside them shows that they are not what is measured. With --write the tables go into bench/RESULTS.md.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

from relay import Talker, machine  # noqa: E402

RESULTS = HERE / "RESULTS.md"
HEADING = "## Probe"
LABELS = {
    "full": "camhub, full probe (ONVIF reads, snapshot head, RTSP to parameter sets)",
    "onvif": "camhub, its ONVIF reads alone",
    "stock": "stock onvif-zeep-async, new ONVIFCamera each, the same reads",
    "identity": "camhub, identity probe (clock, login, device information)",
}


def calibration() -> float:
    """Return the seconds of CPU that ten million additions take here and now: how busy neighbours are shows in it."""
    program = "import time\nt = time.process_time()\ns = 0\nfor i in range(10_000_000): s += i\nprint(time.process_time() - t)"
    return min(float(subprocess.check_output([sys.executable, "-c", program])) for _ in range(3))


def part(name: str, core: int, given: dict) -> dict:
    """Run one part of the client in a process of its own, on its core."""
    ran = subprocess.run(
        ["taskset", "-c", str(core), sys.executable, str(HERE / "probe_client.py"), name],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode:
        raise SystemExit(f"{name}: {ran.stderr.strip().splitlines()[-1] if ran.stderr.strip() else 'failed'}")
    told: dict = json.loads(ran.stdout.splitlines()[-1])
    return told


def row(label: str, told: dict, served_s: float) -> str:
    """Return one line of the table."""
    count = told["probes"]
    each_ms = told["cpu_s"] / count * 1000
    return (
        f"| {label} | {count} | **{each_ms:.2f}** | **{count / told['cpu_s']:.0f}** | {count / told['wall_s']:.0f} | "
        f"{served_s / count * 1000:.2f} | {told['failed']} |"
    )


def main() -> int:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--cameras", type=int, default=64)
    arguments.add_argument("--at-once", type=int, default=32)
    arguments.add_argument("--probes", type=int, default=1600, help="full probes of one line")
    arguments.add_argument("--dead", type=int, default=1000)
    arguments.add_argument(
        "--memory", type=int, default=10_000, help="probes of the memory part; 0 leaves it out"
    )
    arguments.add_argument(
        "--quick", action="store_true", help="a tenth of everything, to try the bench itself"
    )
    arguments.add_argument("--client-core", type=int, default=0)
    arguments.add_argument("--camera-core", type=int, default=1)
    arguments.add_argument("--write", action="store_true", help="write the tables into bench/RESULTS.md")
    given = arguments.parse_args()
    share = 10 if given.quick else 1
    where = machine()
    loop_s = calibration()
    cameras = Talker(given.camera_core, str(HERE / "probe_cameras.py"), str(given.cameras))
    try:
        told: dict = {"cameras": cameras.hello, "at_once": given.at_once}
        lines = []
        failed = 0

        def measured(name: str, count: int, **more: object) -> tuple[dict, float]:
            print(f"{name}, {count} probes ...", file=sys.stderr, flush=True)
            served = cameras.ask(do="cpu")["cpu_s"]
            result = part(name, given.client_core, {**told, "count": count, **more})
            return result, cameras.ask(do="cpu")["cpu_s"] - served

        for name, factor in (("full", 1.0), ("onvif", 1.0), ("stock", 0.4), ("identity", 4.0)):
            result, served_s = measured(name, int(given.probes * factor) // share)
            failed += result["failed"]
            lines.append(row(LABELS[name], result, served_s))
            if result["failures"]:
                print(name, result["failures"], file=sys.stderr)
        ports = cameras.ask(do="dead", count=given.dead // share)
        beside, _served = measured("dead", given.probes // share, dead=ports)
        failed += beside["failed"]
        memory = measured("memory", given.memory // share)[0] if given.memory else None
        counted = cameras.ask(do="counts")
    finally:
        cameras.end()
    alone, among = beside["alone"], beside["beside"]
    parts = [
        HEADING,
        "",
        (
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {where}. Client on core {given.client_core}, cameras on core "
            f"{given.camera_core}, loopback, {given.at_once} probes at once over {given.cameras} cameras that verify each login "
            f"(HTTP and RTSP Digest; WS-UsernameToken for the stock client). Ten million additions in Python took {loop_s:.2f} s "
            "of CPU at the start of this run."
        ),
        "",
        "| client | probes | ms CPU per camera | cameras/s per core (1 / CPU) | cameras/s, wall | cameras' CPU, ms per probe | failed |",
        "|---|---|---|---|---|---|---|",
        *lines,
        "",
        (
            f"Beside {len(ports)} dead addresses (half accept and stay silent, half answer no SYN), all probed at the same time "
            f"(median {beside['dead_s']:.1f} s each until given up). One dead address costs "
            f"{beside['dead_cpu_s'] / len(ports) * 1000:.2f} ms of CPU in all, measured alone; without that share a living "
            f"camera costs {max(0.0, among['cpu_s'] - beside['dead_cpu_s']) / among['probes'] * 1000:.2f} ms among the dead:"
        ),
        "",
        "| living cameras, full probes | probes | ms CPU per camera, all included | cameras/s, wall | median of one probe, s |",
        "|---|---|---|---|---|",
        *(
            f"| {label} | {seen['probes']} | {seen['cpu_s'] / seen['probes'] * 1000:.2f} | "
            f"{seen['probes'] / seen['wall_s']:.0f} | {seen['median_s']:.3f} |"
            for label, seen in (("alone", alone), (f"beside {len(ports)} dead", among))
        ),
    ]
    if memory is not None:
        (first, low), (last, high) = memory["from"], memory["to"]
        parts += [
            "",
            (
                f"Memory over {memory['probes']} full probes: resident {low / 2**20:.1f} MB after {first}, {high / 2**20:.1f} MB after "
                f"{last}; slope **{memory['slope']:.0f} bytes per probe**; peak {memory['peak_kb'] / 1024:.1f} MB."
            ),
        ]
    parts += [
        "",
        f"Logins that the cameras refused in the whole run: {counted['refused']} of {counted['requests']}.",
        "",
        f"Command: `{' '.join(['.venv/bin/python bench/probe.py', *sys.argv[1:]])}`",
        "",
    ]
    text = "\n".join(parts)
    print(text)
    if given.write:
        _write(text)
    return 1 if failed or counted["refused"] else 0


def _write(text: str) -> None:
    """Replace the probe's part of the results, leaving the others."""
    old = RESULTS.read_text() if RESULTS.exists() else "# Results\n"
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + after if after else ""))


if __name__ == "__main__":
    sys.exit(main())
