"""FFmpeg's own WHIP muxer as an encoder: pushes to an address until its standard input is closed, then leaves.

A program of its own: PyAV holds Python while FFmpeg waits for the answer.
"""

import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

RATE = 25


def known() -> bool:
    """Tell whether this FFmpeg has the muxer (8.0 and later)."""
    return "whip" in av.formats_available


@contextmanager
def ffmpeg_pushes(url: str, token: str, pem: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Let it push; `pem` holds an ECDSA key on P-256 and its certificate."""
    process = subprocess.Popen([sys.executable, __file__, url, token, str(pem)], stdin=subprocess.PIPE)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)


def _push(url: str, token: str, pem: str) -> None:
    options = {"authorization": token, "handshake_timeout": "30000", "cert_file": pem, "key_file": pem}
    with av.open(url, "w", format="whip", options=options) as out:
        video = out.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = 320, 240, "yuv420p"
        video.options = {
            "profile": "baseline",
            "preset": "ultrafast",
            "tune": "zerolatency",
            "g": str(RATE),
            "bf": "0",
        }
        began, count = time.monotonic(), 0
        while not select.select([sys.stdin], [], [], max(0.0, began + count / RATE - time.monotonic()))[0]:
            picture = av.VideoFrame(320, 240, "yuv420p")
            for plane in picture.planes:
                plane.update(bytes([count * 4 % 250]) * plane.buffer_size)
            picture.pts = count
            for packet in video.encode(picture):
                out.mux(packet)
            count += 1


if __name__ == "__main__":
    _push(*sys.argv[1:])
