"""A real RTSP server for tests: Debian's GStreamer server in a process of its own.

::

    with gst_server(codec="h264", user="viewer", password="secret") as url:
        ...  # rtsp://127.0.0.1:PORT/live, without the credential
"""

import json
import select
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).with_name("gst_rtsp_server.py")
_CHECK = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@cache
def why_missing() -> str:
    """Return why Debian's server cannot run here, or "" where it can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"{SYSTEM_PYTHON} is missing"
    found = subprocess.run([SYSTEM_PYTHON, "-c", _CHECK], capture_output=True, timeout=30, check=False)
    return "" if found.returncode == 0 else "Debian's gir1.2-gst-rtsp-server-1.0 or python3-gi is missing"


@contextmanager
def gst_process(
    codec: str = "h264",
    user: str | None = None,
    password: str | None = None,
    protocols: str = "tcp|udp",
    **options: object,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run a server and return its address and its process; skips the test where it cannot run.

    `options` are those of the script, with underscores: width, height, fps, gop, kbps, b_frames,
    config_interval, audio (True), basic (True), certificate (a PEM file: the address is rtsps:// then).
    """
    missing = why_missing()
    if missing:
        pytest.skip(missing)
    command = [SYSTEM_PYTHON, str(SCRIPT), "--codec", codec, "--protocols", protocols]
    if user is not None:
        command += ["--user", user, "--password", password or ""]
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            command.append(flag)
        elif value is not False:
            command.append(f"{flag}={value}")
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], 30.0)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            pytest.fail(f"the GStreamer server did not start: {process.communicate()[1][-2000:]}")
        told = json.loads(line)
        scheme = "rtsps" if options.get("certificate") else "rtsp"
        yield f"{scheme}://127.0.0.1:{told['port']}{told['path']}", process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.communicate(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


@contextmanager
def gst_server(
    codec: str = "h264",
    user: str | None = None,
    password: str | None = None,
    protocols: str = "tcp|udp",
    **options: object,
) -> Iterator[str]:
    """Run a server and return its address without the credential. See `gst_process` for the options."""
    with gst_process(codec, user, password, protocols, **options) as (url, _process):
        yield url
