"""`camhub simulate` as a person or a script runs it."""

import json
import random
import signal
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from sim_support import decode

pytestmark = pytest.mark.process

EXAMPLE = Path(__file__).parents[3] / "examples" / "scripted-camera" / "my-camera.toml"


def command(*arguments):
    return [sys.executable, "-m", "hub", "simulate", *map(str, arguments)]


@contextmanager
def running(*arguments, lines):
    """Run the command until its lines are there; yields them parsed, and the process."""
    with subprocess.Popen(
        command(*arguments, "--json"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        try:
            yield [json.loads(process.stdout.readline()) for _ in range(lines)], process
        finally:
            process.kill()


def once(*arguments):
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=30, check=False)


def free_pair():
    """Two ports in a row that nobody has, below those that the system hands out to others meanwhile."""
    while True:
        base = random.randrange(15_000, 30_000)
        with socket.socket() as first, socket.socket() as second:
            try:
                first.bind(("127.0.0.1", base))
                second.bind(("127.0.0.1", base + 1))
            except OSError:
                continue
            return base


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_prints_a_line_per_camera_once_it_listens_and_ends_cleanly(ending):
    """Each line has the agreed keys and its addresses answer at once; an interrupt ends with 0 and no noise."""
    with running("household-no-onvif", "good-onvif", "dead", "--count", 2, lines=6) as (cameras, process):
        assert [line["preset"] for line in cameras] == ["household-no-onvif"] * 2 + ["good-onvif"] * 2 + [
            "dead"
        ] * 2
        for line in cameras:
            assert set(line) >= {"preset", "onvif", "rtsp", "user", "password"}
            for url in filter(None, (line["onvif"], line["rtsp"], line["sub"])):
                parts = urlsplit(url)
                socket.create_connection((parts.hostname, parts.port), timeout=5).close()
        assert cameras[0]["onvif"] is None
        assert cameras[4]["rtsp"] is None
        assert len({line["password"] for line in cameras}) == 6
        process.send_signal(ending)
        assert process.wait(10) == 0
        assert process.stderr.read().decode() == ""


def test_json_lines_stay_clean_while_clients_misbehave():
    """Events are logged to standard error; standard output holds the cameras' lines only."""
    with running("household-no-onvif", lines=1) as (cameras, process):
        parts = urlsplit(cameras[0]["rtsp"])
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as client:
            client.sendall(b"nonsense\r\n\r\n")
            assert client.recv(100).startswith(b"RTSP/1.0 400 ")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out) == (0, b"")
        assert b"simulator.rtsp.bad_request" in err


def test_takes_ports_upwards_and_names_a_taken_one():
    """With --port the ports follow each other; a port that is taken is an error with exit code 2."""
    base = free_pair()
    with running("good-onvif", "--port", base, lines=1) as (cameras, _):
        assert urlsplit(cameras[0]["onvif"]).port == base
        assert urlsplit(cameras[0]["rtsp"]).port == base + 1
        again = once("household-no-onvif", "--port", base)
        assert again.returncode == 2
        assert "cannot listen on 127.0.0.1" in again.stderr
        assert "Traceback" not in again.stderr


def test_lists_presets_in_both_languages():
    """--list names every preset with a sentence in Vietnamese and English."""
    listed = once("--list").stdout
    assert "good-onvif" in listed
    assert "Answers anyone" in listed
    assert "Ai hỏi cũng trả lời" in listed
    assert len(once("--list", "--json").stdout.splitlines()) == 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("god-onvif",), "unknown preset god-onvif; known are: good-onvif, household-no-onvif"),
        ((), "name at least one preset; known are: good-onvif"),
        (("dead", "--host", "nowhere"), "is not an IP address"),
        (("dead", "--host", "0.0.0.0"), "one address of this machine"),
        (("dead", "--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
        (("--file", "none.toml"), "none.toml: cannot be read"),
    ],
)
def test_mistakes_end_with_2_and_one_sentence(arguments, says):
    """What the person got wrong is said without a traceback."""
    result = once(*arguments)
    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr


def test_the_example_file_runs():
    """The example's cameras start from their file, and their addresses are the written ones."""
    with running("--file", EXAMPLE, lines=2) as (cameras, _):
        assert [line["preset"] for line in cameras] == ["old-gate", "shop-door"]
        assert urlsplit(cameras[0]["rtsp"]).path == "/live"
        assert cameras[1]["onvif"] is None


@pytest.mark.slow
def test_the_example_camera_plays():
    """The example's camera plays in FFmpeg from the running program."""
    with running("--file", EXAMPLE, "old-gate", lines=1) as (cameras, _):
        login = f"rtsp://{cameras[0]['user']}:{cameras[0]['password']}@"
        frames = decode(cameras[0]["rtsp"].replace("rtsp://", login), "tcp", 3)
        assert (frames[0].width, frames[0].height) == (1280, 720)
