"""Replays what real devices answered, from the corpus beside the checkout. Nothing of it is copied here."""

import asyncio
import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import corpus
from scripted_onvif import ENVELOPE, NOT_AUTHORIZED, NOT_SUPPORTED, http

CORPUS = corpus.ROOT / "onvif"
_NAMESPACE = re.compile(r"http://www\.onvif\.org/ver(\d\d)/(\w+)/wsdl")


def _service(text: str) -> str:
    found = _NAMESPACE.search(text)
    if found is None:
        return "device"
    return "media2" if found.groups() == ("20", "media") else found[2].lower()


@dataclass
class Replay:
    """Answers of one device by (service, operation), each list used in turn, the last one again and again."""

    answers: dict[tuple[str, str], list[tuple[int, bytes, str]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    login: bool = False  # all but the clock wants a WS-UsernameToken, whatever is in it

    def add(self, service: str, operation: str, status: int, body: bytes, request: str = "") -> None:
        token = re.search(r"ProfileToken>([^<]*)<", request)
        self.answers.setdefault((service, operation), []).append((status, body, token[1] if token else ""))

    @classmethod
    def from_index(cls, folder: Path) -> "Replay":
        """Read a folder with an index.jsonl of exchanges."""
        device = cls()
        for line in (folder / "index.jsonl").read_text().splitlines():
            told = json.loads(line)
            found = re.match(r"\s*<(?:\w+:)?(\w+)", told["request_body"])
            if found is None or not told["response_file"]:
                continue
            body = (folder / told["response_file"]).read_bytes()
            service = _service(told["request_body"].split(">", 1)[0])
            device.add(service, found[1], told["http_status"], body, told["request_body"])
        return device

    @classmethod
    def from_files(cls, folder: Path, services: dict[str, str], pattern: str) -> "Replay":
        """Read folders of one file per operation; `services` maps a sub-folder to the service."""
        device = cls()
        for name, service in services.items():
            # of two captures of one operation the answer comes first, then the fault
            for path in sorted(
                (folder / name).glob("*.xml"), key=lambda item: (".Error." in item.name, item)
            ):
                found = re.match(pattern, path.name)
                if found is not None:
                    device.add(service, found[1], 400 if ".Error." in path.name else 200, path.read_bytes())
        return device

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int((re.search(r"(?i)content-length: (\d+)", head) or ["", "0"])[1])
            body = (await reader.readexactly(length)).decode()
            found = re.search(r"Body><(?:\w+:)?(\w+)", body)
            writer.write(self._reply(found[1] if found else "", body))
            await writer.drain()

    def _reply(self, operation: str, body: str) -> bytes:
        if not operation:
            return http(404, b"", "Content-Type: text/plain")
        key = (_service(body.split("Body>", 1)[1].split(">", 1)[0]), operation)
        self.asked.append(key)
        if self.login and operation != "GetSystemDateAndTime" and "UsernameToken" not in body:
            return http(400, ENVELOPE.format(NOT_AUTHORIZED).encode())
        known = self.answers.get(key, [])
        token = re.search(r"ProfileToken>([^<]*)<", body)
        fitting = [item for item in known if token and item[2] == token[1]] or known
        if not fitting:
            return http(400, ENVELOPE.format(NOT_SUPPORTED).encode())
        status, reply, _token = fitting[0]
        return http(status, reply)


@dataclass
class PullReplay:
    """A recorded pull-point session, answered in its order; the device logs in whoever shows a token."""

    answers: dict[str, list[tuple[int, str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    paths: list[tuple[str, str]] = field(default_factory=list)

    @classmethod
    def from_file(cls, path: Path) -> "PullReplay":
        """Read a file of request and response pairs."""
        device = cls()
        for line in path.read_text().splitlines():
            told = json.loads(line)
            found = re.match(r"\s*<(?:\w+:)?(\w+)", told["request"])
            assert found is not None
            device.answers.setdefault(found[1], []).append((told["response_status"], told["response"]))
        return device

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            length = int((re.search(r"(?i)content-length: (\d+)", head) or ["", "0"])[1])
            body = (await reader.readexactly(length)).decode()
            found = re.search(r"Body><(?:\w+:)?(\w+)", body)
            operation = found[1] if found else ""
            self.asked.append(operation)
            self.paths.append((operation, head.split(" ")[1]))
            writer.write(self._reply(operation, "UsernameToken" in body))
            await writer.drain()

    def _reply(self, operation: str, logged_in: bool) -> bytes:
        if operation == "GetDeviceInformation":
            if not logged_in:
                return http(400, ENVELOPE.format(NOT_AUTHORIZED).encode())
            return http(200, ENVELOPE.format("<tds:GetDeviceInformationResponse/>").encode())
        known = self.answers.get(operation, [])
        if not known:
            return http(400, ENVELOPE.format(NOT_SUPPORTED).encode())
        status, text = known.pop(0)
        kind = "text/html" if text.startswith("<html") else "application/soap+xml"
        return http(status, text.encode(), f"Content-Type: {kind}")
