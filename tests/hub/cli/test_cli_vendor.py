"""`camhub check --vendor`: an address and the maker are enough, or one sentence says why not."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from click.testing import CliRunner

from hub.cli import main

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("words", "said", "hint"),
    [
        (["192.168.1.9", "--vendor", "xiaomi"], "camhub does not connect", "go2rtc"),
        (["rtsp://192.168.1.9", "--vendor", "icsee"], "password inside the path", "8899"),
        (["rtsp://192.168.1.9", "--vendor", "nobody"], "'nobody' is not in the table", "camhub adapters"),
        (["rtsp://192.168.1.9", "--vendor", "tiandy"], "no RTSP path of tiandy is known", "ONVIF"),
    ],
)
def test_a_maker_without_a_way_ends_before_anything_is_sent(words: list[str], said: str, hint: str) -> None:
    """Exit code 2, one sentence and the next step."""
    told = CliRunner().invoke(main, ["check", *words])

    assert told.exit_code == 2
    assert said in told.stderr
    assert hint in told.stderr.partition("hint: ")[2]


def test_what_is_known_about_the_maker_is_said_where_the_camera_does_not_answer() -> None:
    """A refused connection to a Tapo ends with the switch that opens its ports."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    told = CliRunner().invoke(main, ["check", f"127.0.0.1:{port}", "--vendor", "tapo", "--lang", "en"])

    assert told.exit_code == 1
    assert "Camera Account" in told.stderr


@pytest.mark.process
def test_the_maker_finds_the_stream_of_a_camera() -> None:
    """``rtsp://host:port`` and the maker: the one path of the table plays, main and sub, and the path is said."""
    camera = subprocess.Popen(
        [sys.executable, "-m", "hub", "simulate", "good-onvif", "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert camera.stdout is not None
        made = json.loads(camera.stdout.readline())
        address = f"rtsp://{urlsplit(made['rtsp']).netloc}"
        told = CliRunner().invoke(
            main,
            ["check", address, "--vendor", "Hikvision", "--user", made["user"], "--password-stdin", "--json"],
            input=f"{made['password']}\n",
        )
    finally:
        camera.terminate()
        camera.communicate()

    assert "template 1, Hikvision: /Streaming/Channels/{c}01" in told.stderr
    report = json.loads(told.stdout)
    assert report["target"] == f"{address}/Streaming/Channels/101"
    assert "STR-01" in {one["rule"] for one in report["findings"] if one["verdict"] == "PASS"}
