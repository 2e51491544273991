"""VLC as an RTSP server for tests: a file, looped, sent by UDP only.

::

    with vlc_server(folder) as url:
        ...  # rtsp://127.0.0.1:PORT/x
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest
from free_ports import free_port

NOBODY = 65534  # VLC refuses to run as root


def write_film(path: Path, *, seconds: int, width: int, height: int, fps: int) -> None:
    """Write an H.264 film of moving bars with a key frame each second."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = fps, 0
        stream.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "scenecut=0"}
        for number in range(seconds * fps):
            frame = av.VideoFrame(width, height, "yuv420p")
            for index, plane in enumerate(frame.planes):
                row = bytes((at + number * 4 + index * 40) % 256 for at in range(plane.line_size))
                plane.update(row * (plane.buffer_size // plane.line_size))
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _answers(port: int, process: subprocess.Popen[bytes], limit_s: float = 30.0) -> bool:
    """Wait until DESCRIBE is answered with 200; False where VLC ended or never did."""
    ask = f"DESCRIBE rtsp://127.0.0.1:{port}/x RTSP/1.0\r\nCSeq: 1\r\n\r\n".encode()
    until = time.monotonic() + limit_s
    while time.monotonic() < until and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
                connection.sendall(ask)
                if b" 200 " in connection.recv(64):
                    return True
        except OSError:
            pass
        time.sleep(0.1)
    return False


@contextmanager
def vlc_server(*, width: int = 320, height: int = 240, fps: int = 15) -> Iterator[str]:
    """Run VLC and return its address; it has another try where its port was taken meanwhile."""
    binary = shutil.which("vlc")
    if binary is None:
        pytest.skip("Debian's vlc-bin is missing")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_film(folder / "film.ts", seconds=40, width=width, height=height, fps=fps)
        for path in (folder, folder / "film.ts"):
            path.chmod(0o755)
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
        said = b""
        for _ in range(3):
            port = free_port()
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [
                        binary, "-I", "dummy", "--no-audio", "--loop", "--rtsp-host", "127.0.0.1",
                        str(folder / "film.ts"), "--sout", f"#rtp{{sdp=rtsp://127.0.0.1:{port}/x}}", "--sout-keep",
                    ],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder,
                    env={"PATH": os.environ["PATH"], "HOME": name, "LANG": "C.UTF-8"}, **other,
                )  # fmt: skip
            try:
                if _answers(port, process):
                    yield f"rtsp://127.0.0.1:{port}/x"
                    return
            finally:
                process.terminate()
                try:
                    process.wait(5)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            said = (folder / "log").read_bytes()
        pytest.fail(f"VLC did not start: {said[-2000:].decode(errors='replace')}")
