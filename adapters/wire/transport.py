"""httpx over the guarded reader: what vendor interfaces and third-party adapters speak HTTP with.

The face is httpx; sockets, bounds, deadlines, tolerances and errors are those of `adapters.wire.http.HttpClient`. A
response carries what was seen on the wire as ``extensions["camera"]``, an `HttpReply`.
"""

import httpx

from adapters.deadline import Deadline
from adapters.wire.http import MAX_BODY, HttpClient, HttpReply

SEEN = "camera"
_OURS = frozenset({b"host", b"connection", b"content-length", b"transfer-encoding", b"accept-encoding"})


class CameraTransport(httpx.AsyncBaseTransport):
    """Sends httpx requests to the one host of an `HttpClient`, each within the deadline of the whole action.

    What a request wants beyond httpx's words stands in its extensions: ``operation`` (protocol words for errors),
    ``limit_s``, ``max_bytes``, ``read_body``, ``follow``; each has the default of `HttpClient.request`.
    """

    def __init__(self, http: HttpClient, deadline: Deadline, *, limit_s: float = 5.0) -> None:
        self._http = http
        self._deadline = deadline
        self._limit_s = limit_s

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request and return the whole, bounded reply.

        Raises:
            AdapterError: as `HttpClient.request` says; httpx hands it through.
        """
        told = request.extensions
        reply = await self._http.request(
            request.method,
            str(request.url),
            operation=str(told.get("operation", f"HTTP {request.method}")),
            deadline=self._deadline,
            limit_s=float(told.get("limit_s", self._limit_s)),
            headers=[
                (name.decode("ascii"), value.decode("latin-1"))
                for name, value in request.headers.raw
                if name.lower() not in _OURS
            ],
            body=await request.aread(),
            max_bytes=int(told.get("max_bytes", MAX_BODY)),
            read_body=bool(told.get("read_body", True)),
            follow=bool(told.get("follow", False)),
        )
        # the coding is undone already, and the length is that of the content
        headers = [
            (name, value)
            for name, value in reply.headers
            if name not in {"content-encoding", "content-length", "transfer-encoding"}
        ]
        return httpx.Response(
            reply.status, headers=headers, content=reply.body, request=request, extensions={SEEN: reply}
        )


def camera_client(http: HttpClient, deadline: Deadline) -> httpx.AsyncClient:
    """Return an httpx client for one camera: nothing from the environment, no redirects but those asked for."""
    client = httpx.AsyncClient(
        transport=CameraTransport(http, deadline),
        trust_env=False,
        follow_redirects=False,
        timeout=None,  # noqa: S113  the deadline bounds each
    )
    for name in list(client.headers):  # cameras get the headers of a read and no others
        del client.headers[name]
    return client


def seen(response: httpx.Response) -> HttpReply:
    """Return what was seen on the wire."""
    reply: HttpReply = response.extensions[SEEN]
    return reply
