"""The relay's bench: what one viewer costs, how many fit on one core without a lost frame, how soon and how late a picture is.

    .venv/bin/python bench/relay.py [--viewers 100 200 500 700] [--seconds 8] [--write]

One run, one stream, from one scripted camera: server pinned to one core, viewers and camera to another, a veth pair between
them where this may be had, else loopback (`relay_link.py`). The server's
CPU is that of all its processes (hub, workers and whatever they start) from /proc, beside how busy its core was with everything
that ran on it. aiortc as shipped, go2rtc (built by tools/go2rtc.py where Go is at hand) and Debian's Janus run in the same run;
what could not run is printed as missing. With --write the figures go into bench/RESULTS.md, in place of the relay's part.
"""

import argparse
import os
import pickle
import platform
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE))

import relay_browser  # noqa: E402
from relay_lines import FOREIGN, RING_FULL_S, Missing, Result, Rig, Talker, measure, percentile  # noqa: E402
from relay_link import linked, loopback  # noqa: E402
from relay_stream import FPS, GROUP, NUMBERS, bitrate_kbps, encoded  # noqa: E402

RESULTS = HERE / "RESULTS.md"
HEADING = "## Relay"
MAIN, SMALL = "2000", "1000"  # kbit/s
MEMORY_CAMERAS = 50
LONG = 16  # packets; key frames have more
OVERLOADED = 0.01  # a line with more missing says nothing of what a packet costs


def table(results: list[Result]) -> str:
    """Return the results as a Markdown table."""
    out = [
        (
            "| server | viewers (asked) | µs CPU per packet per viewer | server CPU, % of a core | its core busy, % | viewers' process, % of a core "
            "| packets/s | lost packets | frames missing | longest gap, ms | in to out, ms: median / p99 | set-up, ms CPU per viewer (others' pictures included) |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for r in results:
        if r.missing:
            out.append(f"| {r.server} | - ({r.asked}) | missing: {r.missing} | | | | | | | | | |")
            continue
        out.append(
            f"| {r.server} | {r.connected} ({r.asked}) | **{r.us_per_packet:.1f}** | {100 * r.core_share:.0f} | {100 * r.core_busy:.0f} "
            f"| {100 * r.viewers_busy:.0f} | {r.packets / r.seconds:.0f} | {r.lost} ({100 * r.lost_share:.2f} %) "
            f"| {r.frames_missing} of {r.pictures_due} | {r.gap_s * 1000:.0f} | {r.late_ms(50):.1f} / {r.late_ms(99):.1f} | {r.setup_net_ms:.1f} ({r.setup_ms:.1f}) |"
        )
    return "\n".join(out)


def bounds(lines: dict[str, Result], peers: list[Result], seen: dict[str, relay_browser.Seen]) -> str:
    """Return the table of what has to be reached."""
    rows: list[tuple[str, str, str, bool | None]] = []

    def row(what: str, bound: str, value: float | None, words: str, *, least: float | None = None) -> None:
        limit = float(bound.split()[1]) if least is None else least
        reached = None if value is None else value >= limit if least is not None else value <= limit
        rows.append((what, bound, "not measured" if value is None else words, reached))

    lines = {name: r for name, r in lines.items() if not r.missing}
    two = lines.get("200")
    row(
        "CPU per packet per viewer, 200 viewers",
        "<= 7 µs",
        two and two.us_per_packet,
        f"{two.us_per_packet:.1f} µs" if two else "",
    )
    for count, what in (("500", "loss"), ("700", "loss (the stretch)")):
        r = lines.get(count)
        row(
            f"{count} viewers of 2 Mbit/s on one core: {what}",
            "< 0.1 %",
            100 * r.missed_share if r else None,
            f"{r.connected} connected, packets {100 * r.lost_share:.3f} %, pictures {100 * r.frames_share:.3f} %, "
            f"{100 * r.core_share:.0f} % of the core"
            if r
            else "",
        )
    sound = [r for r in peers if not r.missing and r.missed_share < OVERLOADED]
    best = min(sound, key=lambda r: r.us_per_packet, default=None)
    ratio = best.us_per_packet / two.us_per_packet if best and two else None
    row(
        "CPU against the best peer's, per packet per viewer",
        ">= 2 times fewer",
        ratio,
        f"{ratio:.1f} times fewer than {best.server} with {best.connected} viewers ({best.us_per_packet:.1f} µs)"
        if ratio and best
        else "",
        least=2.0,
    )
    one = next((r for r in lines.values() if r.burst[0]), None)
    row(
        "server CPU per viewer set-up (one after the other, 200 viewers)",
        "<= 4 ms",
        two and two.setup_net_ms,
        f"{two.setup_net_ms:.1f} ms" if two else "",
    )
    took, gap_s, came = one.burst if one else (0.0, 0.0, 0)
    row("viewers arriving at once, connected", "<= 2 s", took or None, f"{came} in {took:.1f} s")
    row(
        "meanwhile the longest frame gap of those who play",
        "<= 100 ms",
        gap_s * 1000 or None,
        f"{gap_s * 1000:.0f} ms",
    )
    ours = seen.get("camhub")
    for what, bound, values in (
        ("Chromium, first picture after the answer, warm, p95", "<= 300 ms", ours and ours.warm),
        ("the same, cold, camera begins with a key frame, p95", "<= 700 ms", ours and ours.cold),
        (
            "the same, cold, in mid-group: after the camera's key frame, p95",
            "<= 300 ms",
            ours and ours.waited,
        ),
    ):
        row(what, bound, percentile(values, 95) if values else None, f"{percentile(values or (), 95):.0f} ms")
    row(
        "RTP in to RTP out, 200 viewers, p99",
        "<= 10 ms",
        two and two.late_ms(99),
        f"{two.late_ms(99):.1f} ms; median {two.late_ms(50):.1f}; p99 of pictures of up to {LONG} packets {two.late_ms(99, LONG):.1f} ms"
        if two
        else "",
    )
    many = lines.get("cameras")
    row(
        f"{many.cameras if many else 200} cameras of 1 Mbit/s, a viewer each",
        "<= 1 core",
        many and many.core_share + (many.connected < many.asked),
        f"{many.connected} connected, {many.core_share:.2f} of a core, pictures missing {100 * many.frames_share:.3f} %"
        if many
        else "",
    )
    viewer_kb = per_viewer_kb(lines)
    row("memory per viewer", "<= 150 kB", viewer_kb, f"{viewer_kb or 0:.0f} kB")
    memory = lines.get("memory")
    camera_mb = (memory.resident_kb / (memory.asked - 1) - (viewer_kb or 0)) / 1000 if memory else None
    row("memory per warm camera, 2 Mbit/s, 2 s groups", "<= 4 MB", camera_mb, f"{camera_mb or 0:.1f} MB")
    glass = {name: one.glass for name, one in seen.items() if one.glass}
    if glass:
        words = ", ".join(
            f"{name} {percentile(ages, 50):.0f} / {percentile(ages, 95):.0f} ms"
            for name, ages in glass.items()
        )
        rows.append(("glass to page in Chromium, median / p95", "beside go2rtc", words, None))
    marks = {True: "yes", False: "**no**", None: ""}
    out = ["| figure | bound | measured | reached |", "|---|---|---|---|"]
    return "\n".join(
        out + [f"| {what} | {bound} | {words} | {marks[reached]} |" for what, bound, words, reached in rows]
    )


def per_viewer_kb(lines: dict[str, Result]) -> float | None:
    """Return the memory that each further viewer took, between the least and the most of them."""
    held = sorted((r.asked, r.resident_kb) for name, r in lines.items() if name.isdecimal() and not r.missing)
    if len(held) < 2:
        return None
    (few, light), (most, heavy) = held[0], held[-1]
    return (heavy - light) / (most - few)


def machine() -> str:
    """Return one line about the machine."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor(),
    )
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}, load before {load:.1f}"


def ten_million_additions_s() -> float:
    """Return the CPU of a sum that every machine can do: what the other figures are to be held against."""
    began, total = time.process_time(), 0
    for number in range(10_000_000):
        total += number
    return time.process_time() - began


def main() -> int:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--viewers", type=int, nargs="*", default=[100, 200, 500, 700])
    arguments.add_argument(
        "--cameras", type=int, default=200, help="as many cameras of 1 Mbit/s with one viewer each; 0: none"
    )
    arguments.add_argument(
        "--at-once", type=int, default=100, help="viewers that come in one moment to the first line"
    )
    arguments.add_argument("--aiortc-viewers", type=int, nargs="*", default=[25, 100])
    arguments.add_argument(
        "--peer-viewers", type=int, nargs="*", default=[25, 100, 200], help="of go2rtc and of Janus"
    )
    arguments.add_argument(
        "--no-browser", dest="browser", action="store_false", help="leave the figures of Chromium out"
    )
    arguments.add_argument("--seconds", type=float, default=8.0, help="of each line")
    arguments.add_argument("--server-core", type=int, default=0)
    arguments.add_argument("--viewer-core", type=int, default=1)
    arguments.add_argument("--write", action="store_true", help="write the figures into bench/RESULTS.md")
    given = arguments.parse_args()
    began_s, where, sums_s = time.monotonic(), machine(), ten_million_additions_s()
    say("encoding ...")
    units = {MAIN: encoded(int(MAIN), NUMBERS), SMALL: encoded(int(SMALL), 2 * GROUP)}
    with tempfile.NamedTemporaryFile(suffix=".streams") as file:
        streams = Path(file.name)
        streams.write_bytes(pickle.dumps(units))
        camera = Talker(given.viewer_core, str(HERE / "relay_source.py"), str(streams))
        try:
            with linked(given.viewer_core) as link:
                rig = Rig(camera, link, streams, given.server_core, given.viewer_core, given.seconds)
                lines = our_lines(rig, given)
                peers = peer_lines(rig, given)
            seen = browsers(rig) if given.browser else {}
        finally:
            camera.end()
    text = "\n".join(
        [
            HEADING,
            "",
            (
                f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC. {where}. Ten million additions in Python took {sums_s:.2f} s of CPU before and "
                f"{ten_million_additions_s():.2f} s after this run of {(time.monotonic() - began_s) / 60:.0f} min. Server on core "
                f"{rig.server_core}, viewers and camera on core {rig.viewer_core}; between them {rig.link.words}. Chromium on both, loopback."
            ),
            "",
            (
                f"Stream: H.264 1280x720, {FPS} fps, key frame every {GROUP} pictures, {bitrate_kbps(units[MAIN])} kbit/s measured "
                f"({bitrate_kbps(units[SMALL])} where 1 Mbit/s is said), from one scripted camera: pulled by RTSP over TCP (camhub, go2rtc), "
                "sent as RTP over UDP (Janus), from memory (aiortc). camhub is the hub's relay service and its workers as a hub starts them, "
                "without the route of its API. Each viewer: own socket, key and SSRC, real ICE and DTLS-SRTP, RTX and transport-wide "
                "feedback (20 a second) where the server agrees, a receiver report a second, the end of one picture a second decrypted: it "
                "tells when the camera sent it. In to out is from there to the kernel's time of arrival at the viewer's socket. Viewers look at "
                "their sockets every 5 ms and are not woken by each packet, which on loopback would be the server's core's work. Where it says "
                "runs, viewers take packets that left in one call in one call (UDP_GRO), which spares the viewers' core; "
                f"browsers do not ask for that. {given.seconds:.0f} s per line."
            ),
            "",
            bounds(lines, peers, seen),
            "",
            table([*lines.values(), *peers]),
            "",
            *(["Chromium, ms:", "", relay_browser.table(list(seen.values())), ""] if seen else []),
            f"Command: `{' '.join(['.venv/bin/python bench/relay.py', *sys.argv[1:]])}`",
            "",
        ]
    )
    print(text)
    if given.write:
        _write(text)
    return 1 if any(r.missing or r.forged for r in lines.values()) else 0


def our_lines(rig: Rig, given: argparse.Namespace) -> dict[str, Result]:
    """Measure camhub."""
    lines: dict[str, Result] = {}
    for count in given.viewers:
        at_once = given.at_once if count == given.viewers[0] else 0
        # So many viewers would themselves be what is short on one core.
        runs = count > 200
        say(f"camhub, {count} viewers ...")
        one = measure(rig, "camhub", count, stream=MAIN, at_once=at_once, runs=runs)
        lines[str(count)] = replace(one, server="camhub, runs") if runs and not one.missing else one
        if count == 200:
            say(f"camhub, {count} viewers, runs ...")
            one = measure(rig, "camhub", count, stream=MAIN, runs=True)
            lines["200 in runs"] = replace(one, server="camhub, runs")
            if rig.link.inside:
                say(f"camhub, {count} viewers, loopback ...")
                one = measure(replace(rig, link=loopback()), "camhub", count, stream=MAIN)
                lines["200 on loopback"] = replace(one, server="camhub, loopback")
    if given.cameras:
        say(f"camhub, {given.cameras} cameras ...")
        one = measure(rig, "camhub", given.cameras, stream=SMALL, cameras=given.cameras)
        lines["cameras"] = replace(one, server=f"camhub, {given.cameras} cameras of 1 Mbit/s")
        say(f"camhub, memory of {MEMORY_CAMERAS} cameras ...")
        one = measure(
            rig, "camhub", MEMORY_CAMERAS, stream=MAIN, cameras=MEMORY_CAMERAS, settle_s=RING_FULL_S
        )
        lines["memory"] = replace(one, server=f"camhub, {MEMORY_CAMERAS} cameras of 2 Mbit/s")
    return lines


def peer_lines(rig: Rig, given: argparse.Namespace) -> list[Result]:
    """Measure the others."""
    results = []
    asked = {"aiortc": given.aiortc_viewers, **dict.fromkeys(FOREIGN, given.peer_viewers)}
    for server, counts in asked.items():
        for count in counts:
            say(f"{server}, {count} viewers ...")
            try:
                results.append(measure(rig, server, count, stream=MAIN))
            except Missing as error:
                results.append(Result(server, count, missing=str(error)))
    return results


def browsers(rig: Rig) -> dict[str, relay_browser.Seen]:
    """Look with Chromium."""
    seen = {}
    for server in ("camhub", "go2rtc"):
        say(f"Chromium at {server} ...")
        try:
            host = "127.0.0.1" if server == "camhub" else loopback().server
            seen[server] = relay_browser.look(rig, server, host, MAIN)
        except Missing as error:
            seen[server] = relay_browser.Seen(server, missing=str(error))
    return seen


def say(words: str) -> None:
    """Tell who waits what runs."""
    print(words, file=sys.stderr, flush=True)


def _write(text: str) -> None:
    """Replace the relay's part of the results, leaving the others."""
    old = (
        RESULTS.read_text()
        if RESULTS.exists()
        else "# Results\n\nWritten by the programs in this folder; each part names its command and machine.\n"
    )
    before, heading, rest = old.partition(f"{HEADING}\n")
    after = rest[rest.index("\n## ") + 1 :] if heading and "\n## " in rest else ""
    RESULTS.write_text(before.rstrip() + "\n\n" + text + ("\n" + after if after else ""))


if __name__ == "__main__":
    sys.exit(main())
