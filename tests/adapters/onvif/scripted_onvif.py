"""A scripted ONVIF device on loopback: raw HTTP, replies as text, logins really verified.

Small on purpose and independent of the product's own simulator and templates: what it checks it works out itself.
"""

# ruff: noqa: N802  methods are named for the operations they answer
import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

USER, PASSWORD = "admin", "s3cret & <co>"
JPEG = b"\xff\xd8\xff\xe0" + b"picture" * 20 + b"\xff\xd9"

ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><SOAP-ENV:Envelope '
    'xmlns:SOAP-ENV="http://www.w3.org/2003/05/soap-envelope" xmlns:tt="http://www.onvif.org/ver10/schema" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tr2="http://www.onvif.org/ver20/media/wsdl" xmlns:ter="http://www.onvif.org/ver10/error">'
    "<SOAP-ENV:Body>{}</SOAP-ENV:Body></SOAP-ENV:Envelope>"
)
NOT_AUTHORIZED = (
    "<SOAP-ENV:Fault><SOAP-ENV:Code><SOAP-ENV:Value>SOAP-ENV:Sender</SOAP-ENV:Value><SOAP-ENV:Subcode>"
    "<SOAP-ENV:Value>ter:NotAuthorized</SOAP-ENV:Value></SOAP-ENV:Subcode></SOAP-ENV:Code><SOAP-ENV:Reason>"
    '<SOAP-ENV:Text xml:lang="en">Sender not authorized</SOAP-ENV:Text></SOAP-ENV:Reason></SOAP-ENV:Fault>'
)
NOT_SUPPORTED = NOT_AUTHORIZED.replace("ter:NotAuthorized", "ter:ActionNotSupported").replace(
    "Sender not authorized", "Optional Action Not Implemented"
)


def answer(name: str, content: str, prefix: str = "tds") -> str:
    return f"<{prefix}:{name}Response>{content}</{prefix}:{name}Response>"


def date_time(moment: datetime, name: str) -> str:
    return (
        f"<tt:{name}><tt:Time><tt:Hour>{moment.hour}</tt:Hour><tt:Minute>{moment.minute}</tt:Minute>"
        f"<tt:Second>{moment.second}</tt:Second></tt:Time><tt:Date><tt:Year>{moment.year}</tt:Year>"
        f"<tt:Month>{moment.month}</tt:Month><tt:Day>{moment.day}</tt:Day></tt:Date></tt:{name}>"
    )


def profile(token: str, encoding: str, width: int, height: int, source: str = "VS0", fps: int = 25) -> str:
    codec = f"<tt:{encoding}><tt:GovLength>50</tt:GovLength></tt:{encoding}>" if encoding == "H264" else ""
    return (
        f'<trt:Profiles token="{token}" fixed="true"><tt:Name>{token} name</tt:Name>'
        f'<tt:VideoSourceConfiguration token="vsc"><tt:Name>v</tt:Name><tt:UseCount>1</tt:UseCount>'
        f"<tt:SourceToken>{source}</tt:SourceToken>"
        '<tt:Bounds x="0" y="0" width="1920" height="1080"/></tt:VideoSourceConfiguration>'
        f'<tt:VideoEncoderConfiguration token="vec"><tt:Name>e</tt:Name><tt:UseCount>1</tt:UseCount>'
        f"<tt:Encoding>{encoding}</tt:Encoding>"
        f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
        f"<tt:Quality>4</tt:Quality><tt:RateControl><tt:FrameRateLimit>{fps}</tt:FrameRateLimit>"
        "<tt:EncodingInterval>1</tt:EncodingInterval><tt:BitrateLimit>2048</tt:BitrateLimit></tt:RateControl>"
        f"{codec}</tt:VideoEncoderConfiguration></trt:Profiles>"
    )


def profile2(token: str, encoding: str, width: int, height: int, configured: bool = True) -> str:
    inside = (
        '<tr2:VideoSource token="vsc"><tt:SourceToken>VS0</tt:SourceToken></tr2:VideoSource>'
        f'<tr2:VideoEncoder token="vec" GovLength="30" Profile="Main"><tt:Encoding>{encoding}</tt:Encoding>'
        f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
        '<tt:RateControl ConstantBitRate="false"><tt:FrameRateLimit>20</tt:FrameRateLimit>'
        "<tt:BitrateLimit>1500</tt:BitrateLimit></tt:RateControl></tr2:VideoEncoder>"
    )
    return (
        f'<tr2:Profiles token="{token}" fixed="true"><tr2:Name>{token}</tr2:Name>'
        f"<tr2:Configurations>{inside if configured else ''}</tr2:Configurations></tr2:Profiles>"
    )


@dataclass
class Request:
    """One request as the device saw it."""

    line: str
    path: str
    operation: str
    headers: dict[str, str]
    body: str

    @property
    def credential(self) -> str:
        """Return which credential the request carried: digest, basic, wsse or "" for none."""
        if "authorization" in self.headers:
            return self.headers["authorization"].split(" ")[0].lower()
        return "wsse" if "UsernameToken" in self.body else ""


Made = str | bytes | Callable[[Request], str | bytes]


@dataclass
class Device:
    """A scripted device. `replies` are Body contents by operation; bytes are a whole HTTP reply."""

    auth: str = "digest"  # none | digest | sha256 | wsse | basic | 401-plain
    skew_s: float = 0.0
    host: str = ""  # the host it names in its addresses; "" for 127.0.0.1
    port: int = 0
    status: dict[str, int] = field(default_factory=dict)
    replies: dict[str, Made] = field(default_factory=dict)
    open_operations: set[str] = field(
        default_factory=lambda: {
            "GetSystemDateAndTime",
            "GetServices",
            "GetCapabilities",
            "GetEndpointReference",
        }
    )
    snapshot_open: bool = False
    one_nonce_each: bool = False  # every nonce is good for one request
    refusal_status: int = 400
    fault: str = NOT_AUTHORIZED
    accepts_created_within_s: float = 30.0
    log: list[Request] = field(default_factory=list)
    open_connections: int = 0
    most_connections: int = 0
    nonce_count: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    _good_nonces: set[str] = field(default_factory=set)
    _seen_tokens: set[str] = field(default_factory=set)

    def now(self) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=self.skew_s)

    @property
    def named(self) -> str:
        return f"{self.host or '127.0.0.1'}:{self.port}"

    def operations(self, credential: str | None = None) -> list[str]:
        return [item.operation for item in self.log if credential is None or item.credential == credential]

    @property
    def credentialed(self) -> int:
        return sum(1 for item in self.log if item.credential)

    # --- replies ---

    def made(self, request: Request) -> str | bytes:
        self.counts[request.operation] = self.counts.get(request.operation, 0) + 1
        found = self.replies.get(request.operation)
        if found is None:
            method = getattr(self, f"_{request.operation}", None)
            return method(request) if method is not None else NOT_SUPPORTED
        return found(request) if callable(found) else found

    def _GetSystemDateAndTime(self, _request: Request) -> str:
        local = self.now() + timedelta(hours=7)
        return answer(
            "GetSystemDateAndTime",
            "<tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
            "<tt:DaylightSavings>false</tt:DaylightSavings><tt:TimeZone><tt:TZ>ICT-7</tt:TZ></tt:TimeZone>"
            f"{date_time(self.now(), 'UTCDateTime')}{date_time(local, 'LocalDateTime')}</tds:SystemDateAndTime>",
        )

    def _service(self, namespace: str, path: str) -> str:
        return (
            f"<tds:Service><tds:Namespace>http://www.onvif.org/{namespace}</tds:Namespace>"
            f"<tds:XAddr>http://{self.named}{path}</tds:XAddr>"
            "<tds:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></tds:Version></tds:Service>"
        )

    def _GetServices(self, _request: Request) -> str:
        return answer(
            "GetServices",
            self._service("ver10/device/wsdl", "/onvif/device_service")
            + self._service("ver10/media/wsdl", "/onvif/media_service")
            + self._service("ver10/events/wsdl", "/onvif/event_service"),
        )

    def _GetCapabilities(self, _request: Request) -> str:
        return answer(
            "GetCapabilities",
            "<tds:Capabilities>"
            f"<tt:Device><tt:XAddr>http://{self.named}/onvif/device_service</tt:XAddr></tt:Device>"
            f"<tt:Media><tt:XAddr>http://{self.named}/onvif/media_service</tt:XAddr></tt:Media>"
            f"<tt:PTZ><tt:XAddr>http://{self.named}/onvif/ptz_service</tt:XAddr></tt:PTZ></tds:Capabilities>",
        )

    def _GetDeviceInformation(self, _request: Request) -> str:
        return answer(
            "GetDeviceInformation",
            "<tds:Manufacturer>Acme</tds:Manufacturer><tds:Model>Eye 2</tds:Model>"
            "<tds:FirmwareVersion>1.2.3</tds:FirmwareVersion><tds:SerialNumber>SN 1</tds:SerialNumber>"
            "<tds:HardwareId>HW</tds:HardwareId>",
        )

    def _GetScopes(self, _request: Request) -> str:
        return answer(
            "GetScopes",
            "".join(
                f"<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef><tt:ScopeItem>onvif://www.onvif.org/{item}</tt:ScopeItem>"
                "</tds:Scopes>"
                for item in ("Profile/Streaming", "Profile/T", "name/Acme", "hardware/Eye2")
            ),
        )

    def _GetNetworkInterfaces(self, _request: Request) -> str:
        return answer(
            "GetNetworkInterfaces",
            '<tds:NetworkInterfaces token="eth0"><tt:Enabled>true</tt:Enabled><tt:Info><tt:Name>eth0</tt:Name>'
            "<tt:HwAddress>00-AA-BB-CC-DD-EE</tt:HwAddress></tt:Info></tds:NetworkInterfaces>",
        )

    def _GetNetworkProtocols(self, _request: Request) -> str:
        return answer(
            "GetNetworkProtocols",
            "<tds:NetworkProtocols><tt:Name>RTSP</tt:Name><tt:Enabled>true</tt:Enabled><tt:Port>554</tt:Port>"
            "</tds:NetworkProtocols><tds:NetworkProtocols><tt:Name>HTTPS</tt:Name><tt:Enabled>false</tt:Enabled>"
            "<tt:Port>443</tt:Port></tds:NetworkProtocols>",
        )

    def _GetNTP(self, _request: Request) -> str:
        return answer(
            "GetNTP",
            "<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP><tt:NTPManual><tt:Type>DNS</tt:Type>"
            "<tt:DNSname>ntp.example</tt:DNSname></tt:NTPManual></tds:NTPInformation>",
        )

    def _GetEndpointReference(self, _request: Request) -> str:
        return answer(
            "GetEndpointReference", "<tds:GUID>urn:uuid:00000000-0000-0000-0000-00aabbccddee</tds:GUID>"
        )

    def _GetProfiles(self, request: Request) -> str:
        if "ver20/media" in request.body:
            return answer(
                "GetProfiles", profile2("M", "H265", 2560, 1440) + profile2("S", "H264", 640, 360), "tr2"
            )
        return answer("GetProfiles", profile("S", "H264", 640, 360) + profile("M", "H264", 1920, 1080), "trt")

    def _GetStreamUri(self, request: Request) -> str:
        token = re.search(r"ProfileToken[^>]*>([^<]*)<", request.body)
        assert token is not None
        uri = f"rtsp://{self.host or '127.0.0.1'}:8554/{token[1]}?unicast=true&amp;proto=Onvif"
        if "ver20/media" in request.body:
            return answer("GetStreamUri", f"<tr2:Uri>{uri}</tr2:Uri>", "tr2")
        return answer("GetStreamUri", f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>", "trt")

    def _GetSnapshotUri(self, request: Request) -> str:
        uri = f"http://{self.named}/snap.jpg?ch=1"
        if "ver20/media" in request.body:
            return answer("GetSnapshotUri", f"<tr2:Uri>{uri}</tr2:Uri>", "tr2")
        return answer("GetSnapshotUri", f"<trt:MediaUri><tt:Uri>{uri}</tt:Uri></trt:MediaUri>", "trt")

    # --- login ---

    def fresh_nonce(self) -> str:
        self.nonce_count += 1
        nonce = f"nonce{self.nonce_count}"
        self._good_nonces.add(nonce)
        return nonce

    def challenge(self, stale: bool = False) -> list[str]:
        if self.auth == "basic":
            return ['WWW-Authenticate: Basic realm="cam"']
        if self.auth not in {"digest", "sha256"}:
            return []
        algorithm = "SHA-256" if self.auth == "sha256" else "MD5"
        return [
            f'WWW-Authenticate: Digest realm="cam", qop="auth", nonce="{self.fresh_nonce()}", algorithm={algorithm}'
            + (", stale=true" if stale else "")
        ]

    def check_digest(self, request: Request) -> str:
        """Return "" where the Digest answer is right, else why not."""
        told = dict(re.findall(r'(\w+)="?([^",]*)"?', request.headers.get("authorization", "")))
        if not told:
            return "none"
        method, uri, _version = request.line.split(" ")
        make = hashlib.sha256 if self.auth == "sha256" else hashlib.md5

        def hashed(text: str) -> str:
            return make(text.encode()).hexdigest()

        if told.get("uri") != uri:
            return "uri"
        if told.get("nonce") not in self._good_nonces:
            return "stale"
        if self.one_nonce_each:
            self._good_nonces.discard(told["nonce"])
        first, second = hashed(f"{USER}:cam:{PASSWORD}"), hashed(f"{method}:{uri}")
        right = hashed(f"{first}:{told['nonce']}:{told.get('nc')}:{told.get('cnonce')}:auth:{second}")
        return "" if told.get("response") == right and told.get("username") == USER else "wrong"

    def check_token(self, request: Request) -> bool:
        """Tell whether the WS-UsernameToken digest is right, fresh by the device's own clock, and not replayed."""
        parts = {
            name: (re.search(rf"<\w+:{name}(?: [^>]*)?>([^<]*)<", request.body) or ["", ""])[1]
            for name in ("Username", "Password", "Nonce", "Created")
        }
        if not parts["Created"].endswith("Z") or "PasswordDigest" not in request.body:
            return False
        created = datetime.fromisoformat(parts["Created"])
        right = base64.b64encode(
            hashlib.sha1(
                base64.b64decode(parts["Nonce"]) + parts["Created"].encode() + PASSWORD.encode()
            ).digest()
        ).decode()
        fresh = abs((created - self.now()).total_seconds()) <= self.accepts_created_within_s
        replayed = parts["Nonce"] in self._seen_tokens
        self._seen_tokens.add(parts["Nonce"])
        return parts["Username"] == USER and parts["Password"] == right and fresh and not replayed

    def admits(self, request: Request) -> tuple[bool, bool]:
        """Return (admitted, only the nonce was stale)."""
        if self.auth == "none" or request.operation in self.open_operations:
            return True, False
        if self.auth in {"digest", "sha256"}:
            verdict = self.check_digest(request)
            return verdict == "", verdict == "stale"
        if self.auth in {"wsse", "401-plain"} and request.operation != "":
            return self.check_token(request), False
        return False, False

    # --- HTTP ---

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open_connections += 1
        self.most_connections = max(self.most_connections, self.open_connections)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *rest = head.split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (text.partition(":") for text in rest if text)}
                body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
                found = re.search(r"Body><(?:\w+:)?(\w+)", body)
                request = Request(line, line.split(" ")[1], found[1] if found else "", headers, body)
                self.log.append(request)
                reply = self.reply(request)
                if reply is None:
                    await asyncio.sleep(60)
                    return
                writer.write(reply)
                await writer.drain()
                if b"Connection: close" in reply[:400]:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.open_connections -= 1

    def reply(self, request: Request) -> bytes | None:
        admitted, stale = self.admits(request)
        if request.operation == "":
            return self.picture(request, stale)
        if not admitted:
            if self.auth in {"digest", "sha256", "basic"}:
                return http(401, b"", *self.challenge(stale))
            if self.auth == "401-plain":
                return http(401, b"<html>401 Unauthorized</html>", "Content-Type: text/html")
            return http(self.refusal_status, ENVELOPE.format(self.fault).encode())
        made = self.made(request)
        if isinstance(made, bytes):
            return made or None
        status = self.status.get(request.operation, 400 if made == NOT_SUPPORTED else 200)
        return http(status, ENVELOPE.format(made).encode())

    def picture(self, request: Request, stale: bool) -> bytes:
        if not request.path.startswith("/snap.jpg"):
            return http(404, b"no", "Content-Type: text/plain")
        if self.snapshot_open or self.auth == "none":
            return http(200, JPEG, "Content-Type: image/jpeg")
        if self.auth in {"wsse", "401-plain"}:
            saved, self.auth = self.auth, "digest"  # cameras want Digest for pictures whatever SOAP wants
            try:
                return self._picture(request, stale)
            finally:
                self.auth = saved
        return self._picture(request, stale)

    def _picture(self, request: Request, _stale: bool) -> bytes:
        verdict = self.check_digest(request) if self.auth in {"digest", "sha256"} else "wrong"
        if verdict == "":
            return http(200, JPEG, "Content-Type: image/jpeg")
        return http(401, b"", *self.challenge(verdict == "stale"))


REASONS = {
    200: "OK",
    302: "Found",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    500: "Server Error",
}


def http(status: int, body: bytes, *headers: str) -> bytes:
    kind = (
        []
        if any(item.lower().startswith("content-type") for item in headers)
        else ["Content-Type: application/soap+xml; charset=utf-8"]
    )
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'X')}", f"Content-Length: {len(body)}", *kind, *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@asynccontextmanager
async def listening(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], object],
) -> AsyncIterator[int]:
    """Serve raw connections on loopback and give the port."""
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await handler(reader, writer)  # type: ignore[misc]
        except (
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ConnectionError,
            asyncio.CancelledError,
        ):
            pass
        finally:
            tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError, OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=1 << 20)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
