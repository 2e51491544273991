"""The impaired path itself: it does to packets what its seed says, and nothing else."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from impair_path import PROGRAM, ImpairedPath, impaired
from impair_way import Impairment, Way

KINDS = [pytest.param(True, id="namespaces"), pytest.param(False, id="forwarder")]


def through(path: ImpairedPath, count: int, *, back: bool = False) -> list[int]:
    """Send numbered datagrams and return the numbers that arrive, in order of arrival."""
    with path.near():
        server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind((path.host, 0))
    client = path.far_socket(*server.getsockname())
    client.send(b"\xff" * 100)
    server.settimeout(10)
    _hello, address = server.recvfrom(200)
    put = client.send if back else (lambda data: server.sendto(data, address))
    heard = server if back else client
    got: list[int] = []

    def hear(limit_s: float) -> None:
        heard.settimeout(limit_s)
        with contextlib.suppress(TimeoutError, BlockingIOError):
            while True:
                got.append(int.from_bytes(heard.recv(200)[:4], "big"))

    for number in range(count):
        put(number.to_bytes(4, "big") + bytes(96))
        if number % 50 == 49:
            hear(0.005)  # its buffer holds no more than some two hundred
    hear(0.5)
    server.close()
    client.close()
    return got


@pytest.mark.parametrize("namespaces", KINDS)
def test_a_good_path_loses_nothing_and_keeps_the_order(*, namespaces: bool) -> None:
    """Two thousand datagrams arrive as they were sent."""
    with impaired(1, namespaces=namespaces) as path:
        assert through(path, 2000) == list(range(2000))


@pytest.mark.parametrize("namespaces", KINDS)
def test_what_is_lost_depends_on_the_seed_alone(*, namespaces: bool) -> None:
    """Over a real path exactly those packets are lost and doubled that the model of that seed names, in both directions."""
    way = Way(loss=0.2, duplicate=0.1)
    with impaired(5, namespaces=namespaces) as path:
        path.set_out(loss=0.2, duplicate=0.1)
        model = Impairment(way, 2 * 5)
        due = [number for number in range(500) for _ in model.arrivals(0.0, 128)]
        assert through(path, 500) == due
        assert 60 < model.counts.lost < 140
        counts = path.counts()["out"]
        assert (counts["lost"], counts["doubled"]) == (model.counts.lost, model.counts.doubled)


@pytest.mark.long
def test_order_is_lost_only_where_it_is_to_be() -> None:
    """Delay and jitter keep the order; a tenth held back is overtaken by what came within that time."""
    with impaired(3) as path:
        path.set_out(delay_s=0.02, jitter_s=0.05)
        assert through(path, 300) == list(range(300))
        path.set_out(reorder=0.1, reorder_s=0.02)
        got = through(path, 300)
        assert sorted(got) == list(range(300))
        assert got != sorted(got)


def test_a_narrow_line_delays_and_then_drops() -> None:
    """What is sent at once leaves one after the other; more than the queue holds is gone."""
    model = Impairment(Way(rate_bps=800_000, queue_s=0.1), 1)
    times = [model.arrivals(10.0, 1000) for _ in range(20)]
    assert [round(at[0] - 10.0, 3) for at in times if at] == [0.01 * (n + 1) for n in range(11)]
    assert model.counts.dropped == 9
    with impaired(1) as path:
        path.set_back(rate_bps=200_000, queue_s=0.05)
        got = through(path, 200, back=True)
        assert 5 <= len(got) < 150
        path.set(dark=True)
        assert path.counts()["back"]["dropped"] > 0


def test_nothing_is_left_of_a_path_whose_test_was_killed() -> None:
    """SIGKILL of the parent ends the path, and with it its namespaces and devices."""
    script = (
        "import sys, time; sys.path.insert(0, sys.argv[1])\n"
        "from impair_path import impaired\n"
        "with impaired(1) as path:\n"
        "    print(path._process.pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script, str(PROGRAM.parent)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    ends = time.monotonic() + 20
    while True:
        try:
            state = Path(f"/proc/{child}/stat").read_text().rsplit(") ", 1)[1][0]
        except FileNotFoundError:
            break
        if state == "Z":
            break
        assert time.monotonic() < ends, "the path lives on"
        time.sleep(0.05)
