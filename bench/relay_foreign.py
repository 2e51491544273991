"""Servers of the relay bench that others wrote: go2rtc and Janus, each a process of its own with its own settings as shipped.

``relay_foreign.py go2rtc|janus HOST CAMERA_PORT STREAM``. They get the stream from the bench's camera: go2rtc pulls it by RTSP
over TCP, to Janus it is sent as RTP over UDP. Speaks JSON lines as `relay_peers` does, through each server's own signalling:
go2rtc answers an offer (``POST /api/webrtc``); Janus makes the offer, so that ``{"watch": id}`` gives ``{"offer": ...}`` and
``{"answer": ..., "viewer": id}`` starts it.
"""

import asyncio
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

HERE = Path(__file__).resolve()
sys.path.insert(0, str(HERE.parent.parent))
sys.path.insert(0, str(HERE.parent))
sys.path.insert(0, str(HERE.parent.parent / "tools"))

import httpx  # noqa: E402
from go2rtc import VERSION, NotBuilt, build  # noqa: E402
from relay_source import PAYLOAD_TYPE  # noqa: E402

STARTED_WITHIN_S = 20.0
_CAMERAS = 20  # known to go2rtc, pulled when somebody looks


class Unusable(Exception):
    """The server cannot run here; says why."""


def free_port(kind: int = socket.SOCK_STREAM, host: str = "127.0.0.1") -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(command: list[str], folder: Path):
    """Run a server on the core that this process was given; then leave that core to it."""
    log = folder / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=folder)
    given = os.sched_getaffinity(0)  # the signalling is not the server
    os.sched_setaffinity(0, set(range(os.cpu_count() or 1)) - given or given)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def answers(url: str, process: subprocess.Popen[bytes], folder: Path) -> None:
    """Wait until a server answers; raise Unusable with its last words where it does not."""
    loop = asyncio.get_running_loop()
    until = loop.time() + STARTED_WITHIN_S
    async with httpx.AsyncClient() as client:
        while loop.time() < until and process.poll() is None:
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.1)
    said = (folder / "log").read_text(errors="replace").strip().splitlines()
    raise Unusable(f"did not start: {said[-1][:300] if said else 'no word why'}")


@asynccontextmanager
async def go2rtc(host: str, camera: int, stream: str, folder: Path) -> AsyncIterator[dict]:
    """Run go2rtc; its stream is pulled at the first viewer."""
    try:
        binary = build()
    except NotBuilt as error:
        raise Unusable(str(error)) from error
    api = f"127.0.0.1:{free_port()}"
    settings = {
        "api": {"listen": api},
        "rtsp": {"listen": ""},
        "srtp": {"listen": ""},
        "webrtc": {"listen": f"{host}:{free_port(socket.SOCK_DGRAM, host)}", "ice_servers": []},
        "streams": {
            path: f"rtsp://127.0.0.1:{camera}/{path}#backchannel=0"
            for number in range(_CAMERAS)
            for path in (f"{stream}/{number}", f"first/{stream}/{number}")
        },
    }
    with running([str(binary), "-config", json.dumps(settings)], folder) as process:
        await answers(f"http://{api}/api", process, folder)
        async with httpx.AsyncClient(base_url=f"http://{api}", timeout=30) as client:

            async def view(request: dict) -> dict:
                answer = await client.post(
                    "/api/webrtc",
                    params={"src": request.get("path", f"{stream}/0")},
                    content=request["offer"],
                    headers={"content-type": "application/sdp"},
                )
                if answer.status_code != 201:
                    raise Unusable(f"the offer was answered with {answer.status_code}: {answer.text[:200]}")
                return {"answer": answer.text}

            yield {"pid": process.pid, "version": VERSION, "view": view}


def janus_settings(folder: Path, libraries: Path, http_port: int, media_port: int) -> None:
    """Write Janus's settings: the streaming plugin with one mount point, its HTTP interface, the rest as shipped."""
    for kind, name in (("plugins", "streaming"), ("transports", "http")):
        (folder / kind).mkdir()
        library = f"libjanus_{name}.so"
        (folder / kind / library).symlink_to((libraries / kind / library).resolve())
    (folder / "janus.jcfg").write_text(
        "general: {\n"
        f'  configs_folder = "{folder}"\n'
        f'  plugins_folder = "{folder}/plugins"\n'
        f'  transports_folder = "{folder}/transports"\n'
        f'  events_folder = "{folder}/events"\n  loggers_folder = "{folder}/loggers"\n'
        "  debug_level = 2\n  session_timeout = 0\n}\n"
        "nat: {\n  ice_lite = true\n}\n"
    )
    (folder / "janus.transport.http.jcfg").write_text(
        f'general: {{\n  json = "compact"\n  http = true\n  port = {http_port}\n  ip = "127.0.0.1"\n}}\n'
    )
    (folder / "janus.plugin.streaming.jcfg").write_text(
        'bench: {\n  type = "rtp"\n  id = 1\n  audio = false\n  video = true\n  videoiface = "127.0.0.1"\n'
        f"  videoport = {media_port}\n  videopt = {PAYLOAD_TYPE}\n"
        '  videocodec = "h264"\n  videofmtp = "profile-level-id=42e01f;packetization-mode=1"\n}\n'
    )


def installed_libraries() -> Path | None:
    """Return where Debian keeps Janus's plugins and transports."""
    return next(Path("/usr/lib").glob("*/janus"), None)


class JanusSession:
    """One session with Janus over HTTP; each viewer is a handle of the streaming plugin."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client
        self._path = "/janus"
        self._count = 0
        self._handles: dict[str, int] = {}
        self._offers: dict[int, asyncio.Future[str]] = {}

    async def _ask(self, path: str, **words: object) -> dict:
        self._count += 1
        answer = await self._client.post(path, json={"transaction": f"t{self._count}", **words})
        told: dict = answer.json()
        if told.get("janus") == "error":
            raise Unusable(f"Janus: {told['error'].get('reason', told)}")
        return told

    async def begin(self) -> None:
        """Open the session."""
        self._path = f"/janus/{(await self._ask(self._path, janus='create'))['data']['id']}"

    async def poll(self) -> None:
        """Take the session's events until cancelled: the offers come so."""
        while True:
            answer = await self._client.get(self._path, params={"maxev": 10})
            told = answer.json()
            for event in told if isinstance(told, list) else [told]:
                offered = self._offers.get(event.get("sender", 0))
                if offered is None or offered.done():
                    continue
                if "jsep" in event:
                    offered.set_result(event["jsep"]["sdp"])
                elif why := event.get("plugindata", {}).get("data", {}).get("error"):
                    offered.set_exception(Unusable(f"Janus: {why}"))

    async def watch(self, viewer: str) -> dict:
        """Attach a viewer and return Janus's offer."""
        attached = await self._ask(self._path, janus="attach", plugin="janus.plugin.streaming")
        handle = self._handles[viewer] = attached["data"]["id"]
        self._offers[handle] = asyncio.get_running_loop().create_future()
        await self._ask(f"{self._path}/{handle}", janus="message", body={"request": "watch", "id": 1})
        return {"offer": await asyncio.wait_for(self._offers[handle], 30)}

    async def start(self, viewer: str, answer: str) -> dict:
        """Hand in the viewer's answer."""
        jsep = {"type": "answer", "sdp": answer}
        where = f"{self._path}/{self._handles[viewer]}"
        await self._ask(where, janus="message", body={"request": "start"}, jsep=jsep)
        return {"started": True}


@asynccontextmanager
async def janus(_host: str, _camera: int, _stream: str, folder: Path) -> AsyncIterator[dict]:
    """Run Debian's Janus."""
    binary, libraries = shutil.which("janus"), installed_libraries()
    if binary is None or libraries is None:
        raise Unusable("not installed: Debian package janus")
    http_port, media_port = free_port(), free_port(socket.SOCK_DGRAM)
    janus_settings(folder, libraries, http_port, media_port)
    base = f"http://127.0.0.1:{http_port}"
    with running([binary, "-F", str(folder)], folder) as process:
        await answers(f"{base}/janus/info", process, folder)
        async with httpx.AsyncClient(base_url=base, timeout=60) as client:
            session = JanusSession(client)
            await session.begin()
            version = (await client.get("/janus/info")).json()["version_string"]
            polling = asyncio.create_task(session.poll())

            async def view(request: dict) -> dict:
                if "watch" in request:
                    return await session.watch(request["watch"])
                return await session.start(request["viewer"], request["answer"])

            try:
                yield {
                    "pid": process.pid,
                    "version": version,
                    "offers": True,
                    "takes": media_port,
                    "view": view,
                }
            finally:
                polling.cancel()
                await asyncio.gather(polling, return_exceptions=True)


async def main(name: str, host: str, camera: int, stream: str) -> None:
    """Run one server and obey the bench until the end of input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=1 << 20)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    with tempfile.TemporaryDirectory() as folder:
        async with {"go2rtc": go2rtc, "janus": janus}[name](host, camera, stream, Path(folder)) as server:
            view = server.pop("view")
            print(json.dumps({"ready": True, **server}), flush=True)
            while line := await reader.readline():
                request = json.loads(line)
                print(json.dumps({**await view(request), "viewer": request.get("viewer")}), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))
    except Unusable as error:
        sys.exit(str(error))
