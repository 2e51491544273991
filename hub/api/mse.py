"""Live views where WebRTC cannot be had: fragmented MP4 over a WebSocket, for Media Source Extensions.

Text messages are JSON: ``session`` once the view is allowed, ``init`` in front of each initialisation segment, ``refused``
with an RFC 9457 document in place of all that. Binary messages are segments. A client says nothing; it closes.
"""

import asyncio
import json
from collections import deque
from typing import Annotated, Any, Literal

from litestar import WebSocket, websocket
from litestar.exceptions import WebSocketException
from litestar.params import FromPath, QueryParameter

from hub.access.rights import CAMERAS_READ, has_right
from hub.api.cameras import visible
from hub.api.language import language_of
from hub.api.security import WEBSOCKET_PROTOCOL, authenticate, services_of
from hub.live.session import ViewerSession
from hub.problems import Problem

REFUSED = 4000  # WebSocket close code, RFC 6455 7.4.2: private use
ENDED = 4001
Wanted = Annotated[Literal["main", "sub", "auto"], QueryParameter()]


class _Line:
    """Pieces on their way to one browser."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[bytes, str]] = deque()
        self._there = asyncio.Event()

    def put(self, data: bytes, mime: str) -> None:
        """Take a piece; the relay sends no more than it was told to have left."""
        self._pieces.append((data, mime))
        self._there.set()

    async def next(self) -> tuple[bytes, str]:
        """Return the next piece."""
        while not self._pieces:
            self._there.clear()
            await self._there.wait()
        return self._pieces.popleft()


@websocket("/cameras/{camera_id:str}/mse", opt={"no_idempotency": True})
async def watch_by_mse(
    *,
    socket: WebSocket[Any, Any, Any],
    camera_id: FromPath[str],
    purpose: Annotated[str, QueryParameter(max_length=32)] = "public_safety",
    incident: Annotated[str, QueryParameter(max_length=64)] = "",
    layer: Wanted = "main",
    h265: Annotated[bool, QueryParameter()] = False,
    aac: Annotated[bool, QueryParameter()] = False,
) -> None:
    """Send the pictures of a camera while the view stays allowed; decided, recorded and cut like any other.

    `h265`: this browser plays H.265, which is then sent as the camera sends it. `aac`: it plays AAC and wants the sound,
    where the camera sends that and its owner shares it.
    """
    offered = {one.strip() for one in socket.headers.get("sec-websocket-protocol", "").split(",")}
    await socket.accept(WEBSOCKET_PROTOCOL if WEBSOCKET_PROTOCOL in offered else None)
    services = services_of(socket)
    line = _Line()
    try:
        caller = await authenticate(socket)
        if caller.principal.must_change_password:
            raise Problem("password_change_needed")
        if not has_right(caller.principal, CAMERAS_READ):
            raise Problem("forbidden", {"right": CAMERAS_READ})
        await visible(camera_id, caller, services)
        session = await services.viewers.read(
            caller.principal,
            camera_id,
            line.put,
            purpose=purpose,
            incident=incident or None,
            login=caller.login_id,
            wanted=layer,
            codecs=("H264", *(["H265"] if h265 else []), *(["AAC"] if aac else [])),
        )
    except Exception as error:  # noqa: BLE001  told to the browser, in its language, as over HTTP
        problem, document = services.errors.document(socket, error, language_of(socket))
        wait = problem.headers.get("retry-after")
        refusal = {"type": "refused", "status": problem.status, "retry_after": wait, "problem": document}
        await socket.send_text(json.dumps(refusal, ensure_ascii=False))
        await socket.close(code=REFUSED, reason=problem.code[:100])
        return
    try:
        await _serve(socket, session, line)
    finally:
        await asyncio.shield(services.viewers.leave(session))


async def _serve(socket: WebSocket[Any, Any, Any], session: ViewerSession, line: _Line) -> None:
    """Send pieces until the view or the browser ends."""
    services = services_of(socket)
    location = f"/api/v1/sessions/{session.id}"
    await socket.send_text(json.dumps({"type": "session", "location": location}))
    feed, _now = services.viewers.subscribe(session)

    async def send() -> None:
        while True:
            data, mime = await line.next()
            if session.ended:
                return
            if mime:
                await socket.send_text(json.dumps({"type": "init", "mime": mime}))
            await socket.send_bytes(data)
            services.viewers.taken(session, len(data))

    async def hear() -> None:
        try:
            while True:
                await socket.receive_data(mode="text")
        except WebSocketException:
            return  # the browser left

    async def watch() -> None:
        while await feed.get() is not None:
            continue

    tasks = {asyncio.create_task(work()) for work in (send, hear, watch)}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        feed.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    if session.ended:
        await socket.close(code=ENDED, reason=session.code[:100])
