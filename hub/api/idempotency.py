"""``Idempotency-Key`` on POST: the same request sent again gets the stored reply, for 24 hours, per person.

The request's fingerprint is keyed (HMAC), because bodies may hold a camera's password. Replies of 5xx are not kept,
so that such a request may be tried again. Routes whose reply holds a secret opt out.
"""

import base64
import hashlib
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send
from sqlalchemy import delete, insert, select, update

from adapters.clock import Clock
from hub.problems import Problem
from hub.store import tables
from hub.store.store import Store

KEEP = timedelta(hours=24)
STALE = timedelta(
    minutes=5
)  # a first request that never answered (the hub was killed) blocks its key so long
MAX_BODY = 256 * 1024
MAX_KEY = 128
KEPT_HEADERS = (b"content-type", b"location", b"etag", b"content-language")

_TABLE = tables.idempotency


@dataclass(frozen=True, slots=True)
class StoredReply:
    """A reply as it was sent."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def as_json(self) -> dict[str, Any]:
        """Return plain values for the store."""
        return {
            "status": self.status,
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers],
            "body": base64.b64encode(self.body).decode(),
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> "StoredReply":
        """Read what `as_json` wrote."""
        headers = tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in told["headers"])
        return cls(int(told["status"]), headers, base64.b64decode(told["body"]))


class IdempotencyBook:
    """Keys, fingerprints and replies in the store."""

    def __init__(self, store: Store, clock: Clock, key: bytes) -> None:
        self._store = store
        self._clock = clock
        self._key = key

    def fingerprint(self, method: str, path: str, query: bytes, body: bytes) -> str:
        """Return the keyed digest of one request."""
        message = b"\n".join((method.encode(), path.encode(), query, body))
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()

    async def claim(self, who: str, key: str, fingerprint: str) -> StoredReply | None:
        """Return the stored reply, or None where this request is the first and now owns the key.

        Raises:
            Problem: ``idempotency_conflict`` (another content) or ``idempotency_running`` (not answered yet).
        """
        now = self._clock.now()
        async with self._store.write() as tx:
            await tx.execute(
                delete(_TABLE).where(
                    (_TABLE.c.at < now - KEEP) | ((_TABLE.c.at < now - STALE) & _TABLE.c.reply.is_(None))
                )
            )
            row = await tx.one(
                select(_TABLE.c.fingerprint, _TABLE.c.reply).where(_TABLE.c.scope == who, _TABLE.c.key == key)
            )
            if row is None:
                await tx.execute(
                    insert(_TABLE).values(scope=who, key=key, fingerprint=fingerprint, at=now, reply=None)
                )
                return None
        if not hmac.compare_digest(str(row.fingerprint), fingerprint):
            raise Problem("idempotency_conflict")
        if row.reply is None:
            raise Problem("idempotency_running", headers={"retry-after": "2"})
        return StoredReply.from_json(row.reply)

    async def keep(self, who: str, key: str, reply: StoredReply | None) -> None:
        """Store the reply of the request that owns the key; None gives the key free again."""
        mine = (_TABLE.c.scope == who) & (_TABLE.c.key == key)
        async with self._store.write() as tx:
            if reply is None:
                await tx.execute(delete(_TABLE).where(mine))
            else:
                await tx.execute(update(_TABLE).where(mine).values(reply=reply.as_json()))


Keep = Callable[[StoredReply | None], Awaitable[None]]
Who = Callable[[Scope, Receive, Send], Awaitable[str]]


class Idempotency(ASGIMiddleware):
    """Around every route of the API. `who` authenticates and names the person (raises what a guard would).

    The book is the application's (``app.state.idempotency``): Litestar copies middleware, live objects do not live here.
    """

    def __init__(self, who: Who) -> None:
        self._who = who

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Serve one request."""
        key = ""
        if scope["type"] == ScopeType.HTTP and scope["method"] == "POST":
            key = next((v.decode("latin-1") for n, v in scope["headers"] if n == b"idempotency-key"), "")
        if not key or scope["route_handler"].opt.get("no_idempotency"):
            await next_app(scope, receive, send)
            return
        if len(key) > MAX_KEY or not key.isprintable():
            raise Problem("malformed_request", {"what": f"Idempotency-Key: 1-{MAX_KEY} printable characters"})
        book: IdempotencyBook = scope["litestar_app"].state.idempotency
        who = await self._who(scope, receive, send)
        body = await _whole_body(receive)
        fingerprint = book.fingerprint("POST", scope["path"], scope["query_string"], body)
        stored = await book.claim(who, key, fingerprint)
        if stored is not None:
            headers = [
                *stored.headers,
                (b"idempotency-replayed", b"true"),
                (b"content-length", str(len(stored.body)).encode()),
            ]
            await send({"type": "http.response.start", "status": stored.status, "headers": headers})
            await send({"type": "http.response.body", "body": stored.body, "more_body": False})
            return
        await self._first(scope, send, next_app, keep=partial(book.keep, who, key), body=body)

    async def _first(self, scope: Scope, send: Send, next_app: ASGIApp, *, keep: Keep, body: bytes) -> None:
        sent = False
        status = 500
        headers: list[tuple[bytes, bytes]] = []
        chunks: list[bytes] = []

        async def receiving() -> Any:
            nonlocal sent
            if not sent:
                sent = True
                return {"type": "http.request", "body": body, "more_body": False}
            return {"type": "http.disconnect"}

        messages: list[Any] = []

        async def sending(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])
                headers.extend((n.lower(), v) for n, v in message["headers"] if n.lower() in KEPT_HEADERS)
            elif message["type"] == "http.response.body":
                chunks.append(bytes(message.get("body", b"")))
            messages.append(message)

        reply: StoredReply | None = None
        try:
            await next_app(scope, receiving, sending)
            if 200 <= status < 500 and sum(map(len, chunks)) <= MAX_BODY:
                reply = StoredReply(status, tuple(headers), b"".join(chunks))
        finally:
            await keep(reply)
        for message in messages:  # kept before it is sent: a repeat that is quick finds the reply
            await send(message)


async def _whole_body(receive: Receive) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(chunks)
        chunk = bytes(message.get("body", b""))
        size += len(chunk)
        if size > MAX_BODY:
            raise Problem("too_large", {"limit": MAX_BODY})
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
