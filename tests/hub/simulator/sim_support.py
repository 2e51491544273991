"""A bare RTSP client for tests: it shows every byte and makes every mistake on purpose."""

import asyncio
import base64
import hashlib
import secrets
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

import av
from patience import PATIENCE_S

from adapters.clock import Clock, SystemClock
from hub.simulator.camera import ScriptedCamera
from hub.simulator.presets import Preset, shipped


def preset(name: str, **rtsp: object) -> Preset:
    """Return a shipped preset with changed RTSP settings."""
    found = shipped()[name]
    return found.model_copy(update={"rtsp": found.rtsp.model_copy(update=rtsp)}) if rtsp else found


@asynccontextmanager
async def camera(which: Preset | str, clock: Clock | None = None, **settings):
    """Run one camera."""
    script = preset(which) if isinstance(which, str) else which
    made = ScriptedCamera(script, clock or SystemClock(), **settings)
    await made.start()
    try:
        yield made
    finally:
        await made.stop()


def with_login(cam: ScriptedCamera, url: str | None = None, password: str | None = None) -> str:
    """Return an address with the login in it, as players take it."""
    account = f"{quote(cam.user)}:{quote(password or cam.password)}@"
    return (url or cam.rtsp_url).replace("rtsp://", f"rtsp://{account}")


def decode(url: str, transport: str, frames: int) -> list[av.VideoFrame]:
    """Play by FFmpeg's own RTSP client and return decoded pictures."""
    got = []
    with av.open(url, options={"rtsp_transport": transport}, timeout=PATIENCE_S) as container:
        for frame in container.decode(video=0):
            got.append(frame)
            if len(got) == frames:
                break
    return got


def luma(frame: av.VideoFrame) -> bytes:
    """Return the brightness plane."""
    return bytes(frame.planes[0])


@dataclass
class Reply:
    status: int
    headers: dict[str, list[str]]
    body: bytes

    def one(self, name: str) -> str:
        return self.headers[name.lower()][0]


@dataclass
class Talk:
    """One RTSP connection. `send` returns the answer; interleaved packets on the way are kept."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    sequence: int = 0
    nonce_count: int = 0
    packets: list[tuple[int, bytes]] = field(default_factory=list)
    challenges: dict[str, dict[str, str]] = field(default_factory=dict)

    @classmethod
    async def to(cls, url: str) -> "Talk":
        parts = urlsplit(url)
        return cls(*await asyncio.open_connection(parts.hostname, parts.port))

    async def send(self, method: str, uri: str, **headers: str) -> Reply:
        self.sequence += 1
        lines = [f"{method} {uri} RTSP/1.0", f"CSeq: {self.sequence}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        reply = await self.reply()
        if reply.status == 401:
            self.challenges = {}
            for value in reply.headers["www-authenticate"]:
                given = dict(part.strip().split("=", 1) for part in value.removeprefix("Digest ").split(","))
                given = {name: text.strip('"') for name, text in given.items()}
                self.challenges[given["algorithm"]] = given
        return reply

    async def reply(self) -> Reply:
        while True:
            first = await self.reader.readexactly(1)
            if first != b"$":
                break
            await self._packet()
        head = (first + await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers: dict[str, list[str]] = {}
        for line in head[1:]:
            if line:
                name, value = line.split(":", 1)
                headers.setdefault(name.lower(), []).append(value.strip())
        body = await self.reader.readexactly(int(headers.get("content-length", ["0"])[0]))
        return Reply(int(head[0].split(" ")[1]), headers, body)

    async def packet(self) -> tuple[int, bytes]:
        """Return the next interleaved packet: channel and bytes."""
        if not self.packets:
            assert await self.reader.readexactly(1) == b"$"
            await self._packet()
        return self.packets.pop(0)

    async def drain(self) -> None:
        """Read packets until the connection ends, which raises."""
        while True:
            await self.packet()

    async def _packet(self) -> None:
        head = await self.reader.readexactly(3)
        self.packets.append((head[0], await self.reader.readexactly(int.from_bytes(head[1:], "big"))))

    def authorization(
        self,
        cam: ScriptedCamera,
        method: str,
        uri: str,
        *,
        algorithm: str = "MD5",
        qop: bool = True,
        **wrong: str,
    ) -> str:
        """Return the Authorization value for the last challenge; `wrong` replaces parts of it."""
        challenge = self.challenges[algorithm]

        def digest(text: str) -> str:
            return hashlib.new({"MD5": "md5", "SHA-256": "sha256"}[algorithm], text.encode()).hexdigest()

        self.nonce_count += 1
        count = wrong.get("nc", f"{self.nonce_count:08x}")
        client = secrets.token_hex(4)
        first = digest(f"{cam.user}:{challenge['realm']}:{wrong.get('password', cam.password)}")
        middle = f"{challenge['nonce']}:{count}:{client}:auth" if qop else challenge["nonce"]
        response = digest(f"{first}:{middle}:{digest(f'{method}:{uri}')}")
        text = (
            f'Digest username="{cam.user}", realm="{challenge["realm"]}", nonce="{challenge["nonce"]}", '
            f'uri="{uri}", response="{response}", algorithm={algorithm}'
        )
        return text + (f', qop=auth, nc={count}, cnonce="{client}"' if qop else "")

    async def call(self, cam: ScriptedCamera, method: str, uri: str, **headers: str) -> Reply:
        """Send with a right login, asking for a challenge first where none is known."""
        if not self.challenges:
            assert (await self.send("DESCRIBE", cam.rtsp_url)).status == 401
        return await self.send(method, uri, Authorization=self.authorization(cam, method, uri), **headers)

    async def play(self, cam: ScriptedCamera) -> str:
        """Set up and play the main stream over TCP; return the session id."""
        setup = await self.call(
            cam, "SETUP", f"{cam.rtsp_url}/trackID=1", Transport="RTP/AVP/TCP;unicast;interleaved=0-1"
        )
        assert setup.status == 200
        session = setup.one("Session").split(";")[0]
        assert (await self.call(cam, "PLAY", cam.rtsp_url, Session=session)).status == 200
        return session

    async def close(self) -> None:
        self.writer.close()


def username_token(
    cam: ScriptedCamera, created: str, *, password: str | None = None, nonce: bytes | None = None
) -> str:
    """Return a wsse:Security header element (WSS UsernameToken Profile 1.0)."""
    nonce = nonce if nonce is not None else secrets.token_bytes(16)
    raw = nonce + created.encode() + (password or cam.password).encode()
    digest = base64.b64encode(hashlib.sha1(raw).digest()).decode()
    base = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
    return (
        f'<w:Security xmlns:w="{base}wssecurity-secext-1.0.xsd" xmlns:u="{base}wssecurity-utility-1.0.xsd">'
        f"<w:UsernameToken><w:Username>{cam.user}</w:Username>"
        f'<w:Password Type="{base}username-token-profile-1.0#PasswordDigest">{digest}</w:Password>'
        f"<w:Nonce>{base64.b64encode(nonce).decode()}</w:Nonce><u:Created>{created}</u:Created>"
        "</w:UsernameToken></w:Security>"
    )


def soap(namespace: str, operation: str, inner: str = "", header: str = "") -> bytes:
    """Return a SOAP 1.2 request."""
    return (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope">'
        f"<s:Header>{header}</s:Header>"
        f'<s:Body><o:{operation} xmlns:o="{namespace}">{inner}</o:{operation}></s:Body></s:Envelope>'
    ).encode()
