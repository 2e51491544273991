"""`camhub check hikvision://...`, `dahua://`, `axis://`, `vigi://`: captured replies behind a real login, to a report."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import corpus
import pytest
from free_ports import free_port
from vendor_replay import (
    PASSWORD,
    USER,
    Answer,
    Made,
    Replayer,
    Seen,
    Vigi,
    axis_recorded,
    dahua_captured,
    dahua_device,
    isapi_device,
    self_signed,
    serving_thread,
)

pytestmark = [pytest.mark.process, corpus.needs_corpus]

ROOT = Path(__file__).resolve().parents[3]
NS = 'version="2.0" xmlns="http://www.isapi.org/ver20/XMLSchema"'


def camhub(address: str, *words: str, password: str = PASSWORD) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hub", "check", address, "--user", USER, "--password-stdin", *words],
        cwd=ROOT,
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "LANG": "C.UTF-8", "LC_ALL": "C.UTF-8"},
    )


def reported(told: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert told.returncode == 1, told.stderr
    assert PASSWORD not in told.stdout + told.stderr
    report: dict[str, Any] = json.loads(told.stdout)
    return report


def hikvision(rtsp_port: int) -> Answer:
    """DS-2DF8C832MX-ZDK as captured, and three documented replies: ports, password state, platform."""
    ports = (
        f"<AdminAccessProtocolList {NS}><AdminAccessProtocol><protocol>RTSP</protocol><enabled>true</enabled>"
        f"<portNo>{rtsp_port}</portNo></AdminAccessProtocol></AdminAccessProtocolList>"
    )
    check = f"<userCheck {NS}><isDefaultPassword>false</isDefaultPassword><isRiskPassword>true</isRiskPassword></userCheck>"
    return isapi_device(
        "10_18_176_10",
        Security__adminAccesses=ports.encode(),
        Security__userCheck=check.encode(),
        System__Network__EZVIZ=f"<EZVIZ {NS}><enabled>true</enabled></EZVIZ>".encode(),
    )


def with_rtsp_port(answer: Answer, port: int) -> Answer:
    """Let a captured Axis device name another RTSP port, so that nothing else on this machine is asked."""

    def moved(seen: Seen) -> Made | None:
        made = answer(seen)
        if made is None:
            return None
        return made[0], made[1], made[2].replace(b"RTSP.Port=554", f"RTSP.Port={port}".encode())

    return moved


def test_a_captured_hikvision_gives_a_report_with_its_own_word(tmp_path: Path) -> None:
    """Identity, password state, cloud switch and claims stand in the report, in text as well as in JSON."""
    device = Replayer(hikvision(free_port()))
    with serving_thread(device.handle) as port:
        words = ("--format", "json,text", "--lang", "vi", "--output", str(tmp_path / "report"))
        told = camhub(f"hilook://127.0.0.1:{port}", *words)
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    text = (tmp_path / "report.txt").read_text("utf-8")

    assert told.returncode == 1, told.stderr
    assert PASSWORD not in text + json.dumps(report)
    assert report["device"]["model"] == "DS-2DF8C832MX-ZDK"
    assert report["device"]["firmware"] == "V5.10.0 build 260519"
    assert report["told"]["vendor.family"] == "hikvision"
    assert report["told"]["account.password_status"] == "risk"
    assert report["told"]["service.p2p"] is True
    assert "hikvision/1" in report["adapters"]
    assert report["method"]["writes"] == 0
    assert device.refused == 0
    assert "Camera tự đánh giá mật khẩu: mật khẩu yếu" in text
    assert "Giao diện của hãng: ISAPI" in text


@pytest.mark.parametrize(
    ("scheme", "answer", "model", "told"),
    [
        (
            "kbvision",
            lambda: dahua_device({**dahua_captured(), "RTSP": f"table.RTSP.Port={free_port()}"}),
            "IPC-HDW5831R-ZE",
            {"vendor.family": "dahua", "vendor.interface": "CGI"},
        ),
        (
            "axis",
            lambda: with_rtsp_port(axis_recorded(), free_port()),
            "P5512",
            {"vendor.family": "axis", "vendor.interface": "VAPIX", "account.activated": True},
        ),
    ],
)
def test_captured_devices_give_reports_with_vendor_facts(
    scheme: str, answer: Any, model: str, told: dict[str, object]
) -> None:
    """The captured Dahua (by a brand's scheme) and AXIS P5512 give reports with what they tell about themselves."""
    with serving_thread(Replayer(answer()).handle) as port:
        report = reported(camhub(f"{scheme}://127.0.0.1:{port}", "--json"))

    assert report["device"]["model"] == model
    assert told.items() <= report["told"].items()
    con_01 = next(one for one in report["findings"] if one["rule"] == "CON-01")
    assert con_01["verdict"] == "PASS"


def test_vigi_is_checked_over_its_open_interface() -> None:
    """vigi:// logs in over TLS, tells the port, and says of the rest that its method list is not public."""
    camera = Vigi(port_reply=f'{{"errCode":0,"rtsp_port":{free_port()}}}'.encode())
    with serving_thread(camera.handle, self_signed()) as port:
        report = reported(camhub(f"vigi://127.0.0.1:{port}", "--json"))

    assert report["told"]["vendor.family"] == "vigi"
    assert camera.with_credential == 1
    assert camera.token not in json.dumps(report)


def test_a_wrong_password_is_sent_once_by_the_whole_command() -> None:
    """One credential-bearing request by the device's own count; the report names the refused login."""
    device = Replayer(hikvision(free_port()))
    with serving_thread(device.handle) as port:
        report = reported(camhub(f"hikvision://127.0.0.1:{port}", "--json", password="not-it-4711"))

    assert (device.with_credential, device.refused) == (1, 1)
    assert report["failure"]["code"] == "login_refused"
    assert report["decision"] == "PENDING"


@contextmanager
def scripted_rtsp(path: str) -> Iterator[int]:
    """A scripted RTSP camera with the owner's login on one path; yields its port."""
    from adapters.clock import SystemClock
    from hub.simulator.camera import ScriptedCamera
    from hub.simulator.presets import shipped

    preset = shipped()["household-no-onvif"]
    streams = tuple(
        stream.model_copy(update={"path": f"{path}{number}"})
        for number, stream in enumerate(preset.streams, start=1)
    )
    ports: list[int] = []
    ready, over = threading.Event(), threading.Event()

    async def run() -> None:
        camera = ScriptedCamera(
            preset.model_copy(update={"streams": streams}), SystemClock(), user=USER, password=PASSWORD
        )
        await camera.start()
        ports.append(camera.device.rtsp_port)
        ready.set()
        await asyncio.to_thread(over.wait)
        await camera.stop()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert ready.wait(30)
    try:
        yield ports[0]
    finally:
        over.set()
        thread.join(30)


@pytest.mark.slow
def test_the_stream_that_isapi_names_is_measured() -> None:
    """From ISAPI's port and id to RTSP: the report holds vendor facts and the measured stream of the same camera."""
    with scripted_rtsp("/Streaming/Channels/10") as rtsp_port:
        device = Replayer(hikvision(rtsp_port))
        with serving_thread(device.handle) as port:
            told = camhub(f"hikvision://127.0.0.1:{port}", "--json")

    report = json.loads(told.stdout)
    findings = {one["rule"]: one for one in report["findings"]}
    assert report["failure"] is None, report["failure"]
    assert findings["STR-03"]["verdict"] == "PASS"
    assert findings["SEC-01"]["verdict"] == "PASS"
    assert report["device"]["model"] == "DS-2DF8C832MX-ZDK"
    assert report["method"]["logins"] >= 2  # one over ISAPI, one per RTSP session
