"""Build go2rtc, an RTSP, ONVIF and WebRTC server written elsewhere, for tests and benches; print where it is.

    python3 tools/go2rtc.py

Go fetches the module and all it needs; nothing of it enters this repository. The program is kept in
XDG_CACHE_HOME/camhub-tests/go2rtc-VERSION and built once. Only the standard library is used.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODULE, VERSION = "github.com/AlexxIT/go2rtc", "1.9.9"
LIMIT_S = 150.0
_GO = "/usr/local/go/bin"


class NotBuilt(Exception):
    """go2rtc cannot be had here; says why."""


def program() -> Path:
    """Return where the program is kept, whether it is there or not."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "camhub-tests" / f"go2rtc-{VERSION}" / "go2rtc"


def build(limit_s: float = LIMIT_S) -> Path:
    """Return the program, built where it is not yet; those who ask meanwhile wait for the one that builds.

    Raises:
        NotBuilt: no Go here, no network, or the build took longer than `limit_s` seconds.
    """
    kept = program()
    if kept.exists():
        return kept
    go = shutil.which("go", path=f"{os.environ.get('PATH', '')}:{_GO}")
    if go is None:
        raise NotBuilt(f"Go is not on this machine (looked on PATH and in {_GO})")
    kept.parent.mkdir(parents=True, exist_ok=True)
    began = time.time()
    with (kept.parent / "lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        failed = lock.read()
        if failed and os.fstat(lock.fileno()).st_mtime >= began:
            raise NotBuilt(failed)  # for the one that was waited for: another try would take as long
        lock.truncate(0)
        if not kept.exists():
            try:
                with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
                    _built(go, Path(folder), limit_s).replace(kept)
            except NotBuilt as error:
                lock.write(str(error))
                raise
    return kept


def _built(go: str, folder: Path, limit_s: float) -> Path:
    """Build in an empty module that requires nothing but go2rtc."""
    environment = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=mod", "GOWORK": "off"}
    made = folder / "go2rtc"
    steps = (
        ("mod", "init", "camhub.test/go2rtc"),
        ("mod", "edit", f"-require={MODULE}@v{VERSION}"),
        ("build", "-trimpath", "-ldflags=-s -w", "-o", str(made), MODULE),
    )
    for step in steps:
        process = subprocess.Popen(
            [go, *step], cwd=folder, env=environment, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # the compilers that it started, too
            process.communicate()
            raise NotBuilt(f"go {step[0]} took longer than {limit_s:.0f} s") from None
        if process.returncode != 0:
            last = (said.strip().splitlines() or ["no word why"])[-1]
            raise NotBuilt(f"go {step[0]} ended with {process.returncode}: {last[:300]}")
    return made


def main() -> int:
    """Build and print the path."""
    try:
        print(build())
    except NotBuilt as error:
        print(f"go2rtc was not built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
