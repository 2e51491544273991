"""`camhub capture` against scripted cameras: what it writes, what it refuses, and what it leaves behind."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from adapters.clock import SystemClock
from adapters.registry import Registry
from adapters.secret import Credential, Secret
from adapters.target import parse_target
from hub.capture.run import Capture, CaptureRequest, NotKept, replay_facts
from hub.cli import main
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import shipped
from standards.pack import packaged

pytestmark = pytest.mark.long

ROOT = Path(__file__).resolve().parents[3]


def work(camera: ScriptedCamera, output: Path, password: str | None = None, **words: object) -> Capture:
    request = CaptureRequest(
        parse_target(camera.onvif_url or camera.rtsp_url or "")[0],
        Credential(camera.user, Secret(password or camera.password)),
        output,
        scripted=True,
        window_s=1.0,
        **words,  # type: ignore[arg-type]
    )
    return Capture(request, Registry.installed(), packaged(), SystemClock())


def left_in(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def read_all(folder: Path) -> str:
    return "\n".join(
        path.read_bytes().decode("utf-8", "replace") for path in folder.rglob("*") if path.is_file()
    )


def test_a_camera_becomes_a_bundle_that_replays_and_says_nothing_of_its_owner(tmp_path: Path) -> None:
    """ONVIF and RTSP of one camera: nothing that was in use is found in any file; the replay gives its facts."""
    output = tmp_path / "acme" / "c1"

    async def run() -> tuple[ScriptedCamera, dict[str, dict[str, object]], tuple[str, ...]]:
        camera = ScriptedCamera(shipped()["good-onvif"], SystemClock(), user="chihoa27")
        await camera.start()
        try:
            capture = work(camera, output)
            captured = await capture.listen()
            assert not output.parent.exists(), "nothing is written before the person agrees"
            await capture.keep(captured)
        finally:
            await camera.stop()
        again = await replay_facts(output, Registry.installed(), packaged(), SystemClock())
        return camera, again.facts, again.unknown

    camera, facts, unknown = asyncio.run(run())
    told = json.loads((output / "capture.json").read_text())
    text = read_all(output)

    assert left_in(output.parent)[0] == "c1", "no temporary directory is left"
    assert (told["identity"]["model"], told["evidence"], told["failure"]) == ("CH-Sim 720", "scripted", "")
    assert told["decision"]["standard"] == "technical"
    assert told["decision"]["failed"] == []
    assert told["measured"]["stream.main.fps"] == pytest.approx(25, abs=3)
    assert {name: facts[name] for name in told["facts"]} == told["facts"]
    assert told["facts"]["stream.main.codec"] == {"value": "H264"}
    assert told["facts"]["device.firmware"] == {"value": "2.4.1 build 260301"}
    assert "stream.main.uri" in told["varies"]
    assert unknown == ()
    device = camera.device
    gone = (
        camera.password,
        camera.user,
        device.serial,
        device.mac,
        device.mac[9:],
        device.endpoint[9:],
        "127.0.0.1",
    )
    for value in (*gone, "UBND", "C%E1%BB%95ng"):
        assert value.lower() not in text.lower(), value
    assert told["redacted"]["token"] > 0
    assert (output / "packets.jsonl").stat().st_size > 0


def test_a_wrong_password_is_one_attempt_and_no_bundle(tmp_path: Path) -> None:
    """The camera counts one credential-bearing request; nothing is written; the error says so."""

    async def run() -> tuple[int, NotKept]:
        camera = ScriptedCamera(shipped()["good-onvif"], SystemClock())
        await camera.start()
        try:
            with pytest.raises(NotKept) as caught:
                await work(camera, tmp_path / "x", password="Sai-mat-khau-1").listen()
        finally:
            await camera.stop()
        return camera.counters.credentialed, caught.value

    attempts, error = asyncio.run(run())

    assert attempts == 1
    assert "Sai-mat-khau-1" not in f"{error} {error.hint}"
    assert left_in(tmp_path) == []


@pytest.mark.parametrize("password", ["ab1", "admin", "123456", "******"])
def test_a_password_that_cannot_be_found_safely_is_refused_before_the_first_packet(
    tmp_path: Path, password: str
) -> None:
    """Too short, or a word of ordinary replies: the camera is not even asked."""
    request = CaptureRequest(
        parse_target("onvif://192.0.2.99")[0], Credential("viewer", Secret(password)), tmp_path / "x"
    )
    with pytest.raises(NotKept, match="too short, or a word"):
        asyncio.run(Capture(request, Registry.installed(), packaged(), SystemClock()).listen())


@pytest.mark.parametrize("planted", ["serial", "password", "mac", "base64"])
def test_a_bundle_that_still_holds_something_is_not_kept(tmp_path: Path, planted: str) -> None:
    """A redaction that failed is found by reading everything back; the place is named, the value is not."""

    async def run() -> tuple[NotKept, str]:
        camera = ScriptedCamera(shipped()["household-no-onvif"], SystemClock())
        await camera.start()
        try:
            capture = work(camera, tmp_path / "x")
            captured = await capture.listen()
        finally:
            await camera.stop()
        secret = camera.password
        captured.masker.learn(
            "<SerialNumber>CHS9988776655</SerialNumber><HwAddress>02:11:22:33:44:55</HwAddress>"
        )
        import base64

        text = {
            "serial": "CHS9988776655",
            "password": secret.replace(secret[0], f"%{ord(secret[0]):02x}", 1),
            "mac": "0211.2233.4455",
            "base64": base64.b64encode(f"admin:{secret}".encode()).decode(),
        }[planted]
        files = {**captured.bundle.files, "bodies/999-x.reply.txt": f"ok\nrest {text} end".encode()}
        captured.bundle = replace(captured.bundle, files=files)
        with pytest.raises(NotKept) as caught:
            await capture.keep(captured)
        return caught.value, text

    error, text = asyncio.run(run())

    assert "bodies/999-x.reply.txt, line 2" in str(error)
    assert text not in str(error)
    assert left_in(tmp_path) == []


def test_a_capture_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    """Stopped while it writes and replays: the temporary directory goes too."""

    async def run() -> None:
        camera = ScriptedCamera(shipped()["household-no-onvif"], SystemClock())
        await camera.start()
        try:
            capture = work(camera, tmp_path / "x")
            captured = await capture.listen()
        finally:
            await camera.stop()
        task = asyncio.get_running_loop().create_task(capture.keep(captured))
        while not left_in(tmp_path):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())

    assert left_in(tmp_path) == []


@pytest.mark.process
def test_an_interrupt_while_the_camera_is_asked_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C: exit code 2, one sentence, no file, no directory."""

    async def run() -> tuple[int, str]:
        camera = ScriptedCamera(shipped()["dead"], SystemClock())
        await camera.start()
        try:
            words = [
                "capture",
                str(camera.onvif_url),
                "--output",
                str(tmp_path / "a" / "b"),
                "--yes",
                "--lang",
                "en",
            ]
            program = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "hub",
                *words,
                cwd=ROOT,
                stderr=subprocess.PIPE,
                env={**os.environ},
                # a shell that runs the tests in the background has them ignore it, and so would what they start
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
            )
            ends = time.monotonic() + 60
            while camera.counters.connections == 0 and time.monotonic() < ends:
                await asyncio.sleep(0.05)
            program.send_signal(signal.SIGINT)
            _out, said = await program.communicate()
            return program.returncode or 0, said.decode()
        finally:
            await camera.stop()

    for _attempt in range(4):  # on a busy machine the camera's own silence may end the program first
        code, said = asyncio.run(run())
        assert (code, left_in(tmp_path)) == (2, [])
        if "no answer" not in said:
            break

    assert "nothing was left behind" in said


def test_the_command_asks_somebody_before_it_writes(tmp_path: Path) -> None:
    """Without a terminal and without --yes nothing is asked of the camera either; an existing place is refused."""
    told = CliRunner().invoke(
        main, ["capture", "onvif://192.0.2.99", "--output", str(tmp_path / "x"), "--lang", "en"]
    )
    taken = CliRunner().invoke(
        main, ["capture", "onvif://192.0.2.99", "--output", str(tmp_path), "--yes", "--lang", "en"]
    )

    assert told.exit_code == 2
    assert "nobody to ask" in told.stderr
    assert taken.exit_code == 2
    assert re.search("exists already", taken.stderr)
    assert left_in(tmp_path) == []


def test_a_camera_that_sends_by_udp_only_is_replayed_by_udp(tmp_path: Path) -> None:
    """The refusal of TCP and the switch to UDP come again, and so do the packets."""

    async def run() -> None:
        preset = shipped()["household-no-onvif"]
        udp = preset.model_copy(update={"rtsp": preset.rtsp.model_copy(update={"transports": ("udp",)})})
        camera = ScriptedCamera(udp, SystemClock())
        await camera.start()
        try:
            capture = work(camera, tmp_path / "x")
            await capture.keep(await capture.listen())
        finally:
            await camera.stop()

    asyncio.run(run())
    told = json.loads((tmp_path / "x" / "capture.json").read_text())

    assert told["facts"]["rtsp.udp_transport"] == {"value": True}
    assert told["facts"]["stream.main.width"] == {"value": 1280}
    assert "transport_switched" in told["tolerances"]


def test_with_pictures_whole_packets_are_kept_and_it_says_so(tmp_path: Path) -> None:
    """Only behind the second flag: packets are as long as their size, and `pictures` is true."""

    async def run() -> None:
        camera = ScriptedCamera(shipped()["household-no-onvif"], SystemClock())
        await camera.start()
        try:
            capture = work(camera, tmp_path / "x", pictures=True)
            await capture.keep(await capture.listen())
        finally:
            await camera.stop()

    asyncio.run(run())
    rows = [json.loads(line) for line in (tmp_path / "x" / "packets.jsonl").read_text().splitlines()]

    assert json.loads((tmp_path / "x" / "capture.json").read_text())["pictures"] is True
    assert all(len(row["head"]) == 2 * row["size"] for row in rows if not row["control"])
