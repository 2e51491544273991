"""Accepts connections, and can cut all of them at once."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable

import structlog

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

log = structlog.get_logger()
_MAX_LINE = 262_144  # bytes that a reader holds; heads and bodies have their own smaller bounds


class Listener:
    """One listening socket; each connection is served in a task of its own."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen, by TLS where a context is given, and return the port.

        Raises:
            OSError: the address cannot be had.
        """
        self._server = await asyncio.start_server(self._accept, host, port, limit=_MAX_LINE, ssl=tls)
        return int(self._server.sockets[0].getsockname()[1])

    async def kill(self) -> None:
        """Stop listening and cut every connection, without a goodbye."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        tasks = list(self._open)
        for task, writer in self._open.items():
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if server is not None:
            await server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # not a coroutine: asyncio 3.11 logs an error for each connection task of its own that is cancelled
        if self._server is None:
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._run(reader, writer))
        self._open[task] = writer
        task.add_done_callback(self._open.pop)

    async def _run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
            # the client is gone or was silent for too long
            log.debug("simulator.connection.lost", detail=f"{type(error).__name__}: {error}")
        except asyncio.LimitOverrunError as error:
            log.info("simulator.connection.line_without_end", detail=str(error))
        except Exception:
            log.exception("simulator.connection.failed")  # our fault; the client sees a closed connection
        finally:
            writer.close()
