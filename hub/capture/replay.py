"""Plays a bundle back: an HTTP and RTSP server on loopback that answers as the captured camera did.

SOAP is answered by operation and arguments, other HTTP by method and path, RTSP by method and path in the order of the
capture; a request that carries a credential gets what such a request got. RTP is made again from sizes and headers. What was
never asked while capturing is answered as not supported.
"""

import asyncio
import contextlib
import json
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

import msgspec

from adapters.deadline import Deadline
from adapters.errors import BadTarget, RemoteProtocolError, Unreachable
from adapters.target import Target, parse_target
from adapters.wire import xml
from adapters.wire.dialer import Dialer, NetworkPolicy, Reads
from adapters.wire.masking import CAMERA, CAMERA_V6
from hub.capture.bundle import BODIES, CAPTURE, EXCHANGES, FORMAT, PACKETS
from hub.capture.heads import whole
from hub.simulator.listener import Listener

LOOPBACK = "127.0.0.1"
_MAX_HEAD = 65_536
_MAX_BODY = 4 << 20
_DEFAULT_PORTS = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}
_PLAIN = {"https": "http", "rtsps": "rtsp", "onvifs": "onvif", "rtsp+http": "rtsp", "rtsp+https": "rtsp"}
_ADDRESS = re.compile(
    rf"(?i)(https?|rtsps?)(://(?:[^\s/@\"'<>]{{0,200}}@)?)(?:{re.escape(CAMERA)}|\[{re.escape(CAMERA_V6)}\])(?::(\d{{1,5}}))?"
    r"(?![\d.])"
)
_CREDENTIAL = re.compile(rb"(?i)<(?:[\w.\-]+:)?UsernameToken[\s>]")
_NOT_SUPPORTED = (
    b'<?xml version="1.0"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"'
    b' xmlns:ter="http://www.onvif.org/ver10/error"><s:Body><s:Fault><s:Code><s:Value>s:Receiver</s:Value><s:Subcode>'
    b"<s:Value>ter:ActionNotSupported</s:Value></s:Subcode></s:Code><s:Reason>"
    b'<s:Text xml:lang="en">not recorded in this capture</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>'
)


_SOME = msgspec.Meta(min_length=1, max_length=64)
_Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class BadBundle(Exception):
    """A bundle that cannot be read: names the file and what is wrong with it."""


# What a bundle must hold to be played: anybody may hand one in. `FORMAT` is checked by the type of `format`.
class _Capture(msgspec.Struct):
    format: Annotated[int, msgspec.Meta(ge=FORMAT, le=FORMAT)]
    scheme: str
    path: str
    ports: Annotated[dict[Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,4}$")], str], _SOME]


class _Request(msgspec.Struct):
    method: str
    target: str
    headers: list[tuple[str, str]]
    body: str


class _Reply(msgspec.Struct):
    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: str
    size: _Size


class _Exchange(msgspec.Struct):
    protocol: Literal["http", "rtsp"]
    credential: bool
    request: _Request
    reply: _Reply
    error: str
    session: int = 0


class _Packet(msgspec.Struct):
    s: int
    track: _Size
    control: bool
    size: Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
    head: Annotated[str, msgspec.Meta(pattern=r"^(?:[0-9a-f]{2})*$", max_length=0x1FFFE)]


def _checked(path: Path, form: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """Return the rows of a file.

    Raises:
        OSError, ValueError, RecursionError: it cannot be read; names the line.
    """
    rows = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        row: dict[str, Any] = json.loads(line)
        try:
            msgspec.convert(row, form)
        except msgspec.ValidationError as error:
            raise ValueError(f"{path.name}, line {number}: {error}") from error
        rows.append(row)
    return rows


@dataclass(slots=True)
class _Answers:
    """Recorded exchanges of one key, used in turn, the last one again and again."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    used: int = 0

    def next(self) -> dict[str, Any]:
        row = self.rows[min(self.used, len(self.rows) - 1)]
        self.used += 1
        return row


@dataclass(slots=True)
class _Asked:
    """One request that came in."""

    method: str
    target: str
    version: str
    headers: dict[str, str]
    body: bytes

    @property
    def credential(self) -> bool:
        return "authorization" in self.headers or _CREDENTIAL.search(self.body) is not None


class _ReplayDialer(Dialer):
    """Reaches the ports of one replayed camera, and nothing else."""

    def __init__(self, ports: Mapping[int, int]) -> None:
        super().__init__(NetworkPolicy.of((f"{LOOPBACK}/32",), public=False))
        self._ports = ports

    async def open(
        self,
        host: str,
        port: int,
        deadline: Deadline,
        factory: Callable[[], Reads],
        *,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[asyncio.Transport, Reads]:
        """Open a connection to a recorded port.

        Raises:
            Unreachable: nothing was recorded there.
            AddressRefused, TlsFailed, TimedOut: as the base class.
        """
        there = self._ports.get(port)
        if there is None:
            raise Unreachable(
                f"{host}:{port} refused the connection: nothing was recorded on port {port}",
                peer=f"{host}:{port}",
                operation="connect",
            )
        return await super().open(host, there, deadline, factory, tls=tls)


class ReplayServer:
    """One captured camera on loopback. Use as an async context manager."""

    def __init__(self, folder: Path) -> None:
        """Read a bundle.

        Raises:
            BadBundle: it cannot be read, or is of another format.
        """
        self.folder = folder
        self._answers: dict[tuple[object, ...], _Answers] = {}
        self._listeners: list[Listener] = []
        self.asked: list[str] = []
        self.unknown: list[str] = []  # what was asked for and never recorded
        try:
            self.capture: dict[str, Any] = json.loads((folder / CAPTURE).read_text("utf-8"))
            msgspec.convert(self.capture, _Capture)
            self._rows = _checked(folder / EXCHANGES, _Exchange)
            packets = folder / PACKETS
            self._packets = _checked(packets, _Packet) if packets.exists() else []
            self._ports: dict[int, int] = {int(port): 0 for port in self.capture["ports"]}
            parse_target(self.target.url)  # its scheme, above all
            for row in self._rows:
                for key in self._keys_of_row(row):
                    self._answers.setdefault(key, _Answers()).rows.append(row)
        except (OSError, ValueError, RecursionError, BadTarget) as error:
            raise BadBundle(f"{folder}: {type(error).__name__}: {error}") from error

    async def __aenter__(self) -> Self:
        for port in self._ports:
            listener = Listener(self._serve)
            self._ports[port] = await listener.start(LOOPBACK, 0)
            self._listeners.append(listener)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for listener in self._listeners:
            await listener.kill()

    @property
    def target(self) -> Target:
        """Return the address of the captured camera: loopback, and the ports that it had."""
        scheme = str(self.capture["scheme"])
        return Target(
            _PLAIN.get(scheme, scheme), LOOPBACK, next(iter(self._ports)), str(self.capture["path"])
        )

    @property
    def dialer(self) -> Dialer:
        """Return the only dialer by which this camera can be reached: it leads its ports to those of this server."""
        return _ReplayDialer(self._ports)

    def as_captured(self, text: str) -> str:
        """Return a text with the address of this server led back to that of the bundle."""
        return text.replace(LOOPBACK, CAMERA)

    # finding the answer

    def _keys_of_row(self, row: dict[str, Any]) -> Iterable[tuple[object, ...]]:
        request = row["request"]
        body = self._body(request["body"])
        flag = bool(row["credential"])
        for key in _keys(row["protocol"], request["method"], request["target"], body):
            yield (*key, flag)

    def _find(self, protocol: str, asked: _Asked) -> dict[str, Any] | None:
        self.asked.append(f"{asked.method} {urlsplit(asked.target).path}")
        keys = _keys(protocol, asked.method, asked.target, asked.body)
        for flag in (asked.credential, not asked.credential):
            for key in keys:
                found = self._answers.get((*key, flag))
                if found is not None:
                    if flag != asked.credential and not flag and found.rows[-1]["reply"]["status"] == 401:
                        continue  # it was never asked with a credential: nobody knows what it would have said
                    return found.next()
        self.unknown.append(f"{asked.method} {asked.target}")
        return None

    def _body(self, name: str) -> bytes:
        if not name:
            return b""
        path = self.folder / BODIES / name
        if path.resolve().parent != (self.folder / BODIES).resolve():
            raise BadBundle(f"{self.folder}: {name!r} leads out of the bundle")
        return path.read_bytes()

    def _here(self, text: str) -> str:
        """Return a text with the bundle's addresses led to this server."""

        def led(found: re.Match[str]) -> str:
            scheme = found[1].lower()
            plain = _PLAIN.get(scheme, scheme)
            port = found[3] or (str(_DEFAULT_PORTS[scheme]) if plain != scheme else "")
            return f"{plain}{found[2]}{LOOPBACK}{':' if port else ''}{port}"

        return _ADDRESS.sub(led, text)

    def _payload(self, row: dict[str, Any]) -> bytes:
        reply = row["reply"]
        if reply["body"]:
            raw = self._body(reply["body"])
            if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return self._here(raw.decode("utf-16")).encode("utf-16")
            return self._here(raw.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        return bytes(min(int(reply["size"]), _MAX_BODY))  # what was not kept: as long as it was

    # serving

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        channels: list[tuple[int, int]] = []
        play: asyncio.Task[None] | None = None
        udp: list[tuple[socket.socket, tuple[str, int]]] = []
        try:
            while (asked := await _read(reader)) is not None:
                if asked.version.startswith("HTTP"):
                    if not await self._http(asked, writer):
                        return
                    continue
                row = self._find("rtsp", asked)
                await self._rtsp(asked, row, writer, channels, udp)
                if (
                    row is not None
                    and asked.method == "PLAY"
                    and row["reply"]["status"] == 200
                    and play is None
                ):
                    sending = self._play(int(row.get("session", 0)), writer, channels, udp)
                    play = asyncio.get_running_loop().create_task(sending)
        finally:
            if play is not None:
                play.cancel()
                with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                    await play
            for sock, _to in udp:
                sock.close()

    async def _http(self, asked: _Asked, writer: asyncio.StreamWriter) -> bool:
        row = self._find("http", asked)
        if row is None:
            soap = b"Envelope" in asked.body
            status, body = (500, _NOT_SUPPORTED) if soap else (404, b"not recorded in this capture\n")
            head = [("content-type", "application/soap+xml" if soap else "text/plain")]
        elif row["error"]:
            return False  # the camera said nothing either
        else:
            status, body = int(row["reply"]["status"]), self._payload(row)
            head = [(name, self._here(value)) for name, value in row["reply"]["headers"]]
        lines = [f"HTTP/1.1 {status} Replayed", *(f"{name}: {value}" for name, value in head)]
        lines.append(f"content-length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape"))
        if asked.method != "HEAD":
            writer.write(body)
        await writer.drain()
        return asked.headers.get("connection", "").lower() != "close"

    async def _rtsp(
        self,
        asked: _Asked,
        row: dict[str, Any] | None,
        writer: asyncio.StreamWriter,
        channels: list[tuple[int, int]],
        udp: list[tuple[socket.socket, tuple[str, int]]],
    ) -> None:
        sequence = asked.headers.get("cseq", "0")
        if row is None or row["error"]:
            status = 200 if asked.method in {"TEARDOWN", "GET_PARAMETER", "OPTIONS"} else 455
            writer.write(f"RTSP/1.0 {status} Not recorded\r\nCSeq: {sequence}\r\n\r\n".encode())
            await writer.drain()
            return
        reply = row["reply"]
        lines = [f"RTSP/1.0 {reply['status']} {reply['reason'] or 'Replayed'}"]
        numbered = False
        for name, value in reply["headers"]:
            told = self._here(value)
            if name.lower() == "cseq":
                told, numbered = sequence, True
            elif name.lower() == "transport" and asked.method == "SETUP":
                told = self._transport(told, asked, channels, udp)
            lines.append(f"{name}: {told}")
        if not numbered:
            lines.append(f"CSeq: {sequence}")
        body = self._payload(row) if reply["size"] else b""
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("utf-8", "surrogateescape") + body)
        await writer.drain()

    def _transport(
        self,
        told: str,
        asked: _Asked,
        channels: list[tuple[int, int]],
        udp: list[tuple[socket.socket, tuple[str, int]]],
    ) -> str:
        """Return the recorded Transport with this session's own ports, and remember where the media go."""
        interleaved = re.search(r"interleaved=(\d{1,3})-(\d{1,3})", told)
        if interleaved is not None:
            channels.append((int(interleaved[1]), int(interleaved[2])))
            return told
        client = re.search(r"client_port=(\d{1,5})-(\d{1,5})", asked.headers.get("transport", ""))
        if client is None:
            return told
        ports = []
        for port in (int(client[1]), int(client[2])):
            sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            sock.setblocking(False)
            sock.bind((LOOPBACK, 0))
            udp.append((sock, (LOOPBACK, port)))
            ports.append(sock.getsockname()[1])
        told = re.sub(r"client_port=[\d\-]+", f"client_port={client[1]}-{client[2]}", told)
        told = re.sub(r"(source|destination)=[^;]+", rf"\1={LOOPBACK}", told)
        return re.sub(r"server_port=[\d\-]+", f"server_port={ports[0]}-{ports[1]}", told)

    async def _play(
        self,
        session: int,
        writer: asyncio.StreamWriter,
        channels: list[tuple[int, int]],
        udp: list[tuple[socket.socket, tuple[str, int]]],
    ) -> None:
        """Send the packets of a recorded session, in their order and without their pauses."""
        for packet in self._packets:
            control = bool(packet["control"])
            kept = bytes.fromhex(packet["head"])
            track = int(packet["track"])
            if packet["s"] != session or (control and not kept):
                continue
            data = kept if control else whole(kept, int(packet["size"]))
            if track < len(channels):
                writer.write(bytes([0x24, channels[track][control]]) + len(data).to_bytes(2) + data)
                await writer.drain()
            elif 2 * track + 1 < len(udp):
                sock, to = udp[2 * track + control]
                with contextlib.suppress(OSError):
                    sock.sendto(data, to)
                await asyncio.sleep(0.0005)


def _keys(protocol: str, method: str, target: str, body: bytes) -> list[tuple[object, ...]]:
    """Return by what a request is found again, most particular first."""
    parts = urlsplit(target)
    path = parts.path.rstrip("/") or "/"
    if protocol == "rtsp":
        full = f"{path}?{parts.query}" if parts.query else path
        return [("rtsp", method, full), ("rtsp", method)]
    if b"Envelope" in body:
        try:
            inner = next(iter(xml.children(xml.child(xml.parse(body).root, "Body"))), None)
        except RemoteProtocolError:
            inner = None
        if inner is not None:
            service, name = xml.namespace(inner), xml.local(inner)
            texts = tuple(text.strip() for text in inner.itertext() if text.strip())
            return [("soap", service, name, texts), ("soap", service, name)]
    full = f"{path}?{parts.query}" if parts.query else path
    return [("http", method, full, body), ("http", method, full)]


async def _read(reader: asyncio.StreamReader) -> _Asked | None:
    """Read one request; interleaved frames of the client are passed over. None at the end."""
    first = await reader.read(1)
    while first == b"$":
        frame = await reader.readexactly(3)
        await reader.readexactly(int.from_bytes(frame[1:]))
        first = await reader.read(1)
    if not first:
        return None
    head = (first + await reader.readuntil(b"\r\n\r\n"))[:_MAX_HEAD].decode("latin-1")
    line, *rest = head.strip().split("\r\n")
    method, _, tail = line.strip().partition(" ")
    target, _, version = tail.rpartition(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (each.partition(":") for each in rest)
    }
    length = int(headers.get("content-length", "0") or "0")
    body = await reader.readexactly(min(length, _MAX_BODY)) if length > 0 else b""
    return _Asked(method, target, version.strip(), headers, body)
