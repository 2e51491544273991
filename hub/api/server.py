"""The HTTP server: uvicorn inside this process, with its listening socket bound before anything else starts."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import uvicorn

from hub.settings import Settings, SettingsRefused

GRACE_S = 3  # for replies under way at shutdown; event streams were ended before
MAX_HEADER_BYTES = 32 * 1024
MAX_SOCKET_MESSAGE = 4 * 1024  # of a client: it has nothing to say


class _Server(uvicorn.Server):
    """uvicorn without its own signal handlers: the program that runs the hub decides when it stops."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class HttpServer:
    """Binds, serves, stops. `bind` before `start`; `aclose` ends it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._socket: socket.socket | None = None
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None
        self.port = 0

    def bind(self) -> None:
        """Take the address and the port.

        Raises:
            SettingsRefused: the port is taken, is not ours to take, or the address is not of this machine.
        """
        host, port = self._settings.host.strip("[]"), self._settings.port
        where = f"{host}:{port}"
        try:
            family, _, _, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
        except OSError as error:
            raise SettingsRefused(f"the host {host!r} is not an address of this machine") from error
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6 and host == "::":
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            listener.bind(address)
            listener.listen(1024)
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise SettingsRefused(
                    f"port {port} on {host} is taken by another program; "
                    f"choose another with --port (such as --port {port + 1})"
                ) from error
            if error.errno == errno.EACCES:
                raise SettingsRefused(
                    f"port {port} needs more rights than this user has; choose one above 1023 with --port"
                ) from error
            raise SettingsRefused(f"cannot listen on {where}: {error.strerror}") from error
        listener.setblocking(False)
        self._socket = listener
        self.port = int(listener.getsockname()[1])

    @property
    def url(self) -> str:
        """Return the address for a browser on this machine."""
        scheme = "https" if self._settings.tls_cert is not None else "http"
        host = self._settings.host.strip("[]")
        if host in {"0.0.0.0", "::", ""}:  # noqa: S104  compared, not bound
            host = "127.0.0.1"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    async def start(self, app: Any) -> None:
        """Serve `app` on the bound socket.

        Raises:
            SettingsRefused: the certificate or its key cannot be used.
        """
        assert self._socket is not None, "bind first"
        settings = self._settings
        config = uvicorn.Config(
            app,
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            ws="websockets-sansio",
            ws_max_size=MAX_SOCKET_MESSAGE,
            ws_per_message_deflate=False,  # coded pictures do not become smaller
            proxy_headers=settings.behind_proxy,
            forwarded_allow_ips=settings.trusted_proxies,
            timeout_graceful_shutdown=GRACE_S,
            timeout_keep_alive=15,
            h11_max_incomplete_event_size=MAX_HEADER_BYTES,
            ssl_certfile=str(settings.tls_cert) if settings.tls_cert else None,
            ssl_keyfile=str(settings.tls_key) if settings.tls_key else None,
        )
        try:
            config.load()
        except (OSError, ssl.SSLError) as error:
            raise SettingsRefused(
                f"the certificate {settings.tls_cert} and the key {settings.tls_key} cannot be used: {error.strerror or error}"
            ) from error
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve(sockets=[self._socket]), name="http-server")
        while not self._server.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the HTTP server ended while starting")
            await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        """Stop listening, let replies finish, close. Idempotent."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            task, self._task = self._task, None
            await task
        if self._socket is not None:
            self._socket.close()
            self._socket = None
