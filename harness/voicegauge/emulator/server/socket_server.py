"""Serves an ASGI application on a socket in this process."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any

from voicegauge.contract import Contract
from voicegauge.emulator.server.app import create_app
from voicegauge.emulator.server.client_limits import DEFAULT_CLIENT_LIMITS, ClientLimits
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import UsageError
from voicegauge.hosts import build_server_url

OnShutdown = Callable[[], Awaitable[None]]
CONNECTION_BACKLOG = 2048
SHUTDOWN_GRACE_S = 1
"""Time, in seconds, within which responses in progress can finish when the server is shut down."""
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0
KEEP_ALIVE_S = 75
"""Seconds after which the server closes an idle connection. Clients close idle connections earlier, so that no client
sends a request on a closing connection."""


def bind_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket; port 0 selects a free one.

    Raises:
        UsageError: the address is in use or not available.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio disables Nagle's algorithm only if the protocol is given; otherwise responses wait 40 ms for an ACK.
    bound_socket = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound_socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound_socket.bind((host, port))
    except OSError as error:
        bound_socket.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from error
    return bound_socket


def serve(
    contracts: Iterable[Contract],
    settings: EmulatorSettings,
    bound_socket: socket.socket,
    *,
    host: str = "127.0.0.1",
    on_ready: Callable[[Callable[[], None]], None],
) -> None:
    """Serve an emulator of `contracts` on `bound_socket` until it is stopped or interrupted.

    Args:
        contracts: contracts of the providers.
        settings: settings of the emulator.
        bound_socket: the socket returned by `bind_socket`, which is closed at the end.
        host: the name or address to which `bound_socket` was bound; the control routes are available under it.
        on_ready: function that is called once the server accepts requests. Its argument is a function that stops the
            server and can be called from any thread.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the server is stopped.
    """
    serve_app(create_app(contracts, settings, control_route_host_names=[host]), bound_socket, on_ready=on_ready)


def serve_app(
    app: Any,
    bound_socket: socket.socket,
    *,
    on_ready: Callable[[Callable[[], None]], None],
    client_limits: ClientLimits = DEFAULT_CLIENT_LIMITS,
    adds_date_header: bool = True,
    on_shutdown: OnShutdown | None = None,
    protocol_class: type[asyncio.Protocol] | None = None,
) -> None:
    """Serve an ASGI application until it is stopped or interrupted.

    Args:
        app: the application.
        bound_socket: the socket returned by `bind_socket`, which is closed at the end.
        on_ready: function that is called once the server accepts requests. Its argument is a function that stops the
            server and can be called from any thread.
        client_limits: limits for slow clients and many connections.
        adds_date_header: whether a Date header is added to each response.
        on_shutdown: is awaited in the server's event loop after the last response.
        protocol_class: a protocol of uvicorn in place of the one that applies `client_limits`. Headers such as
            X-Forwarded-Proto have no effect then.

    Raises:
        KeyboardInterrupt: Ctrl-C was pressed; the server is stopped.
    """
    import uvicorn

    from voicegauge.emulator.server.client_limiting_protocol import create_client_limiting_protocol

    class StoppableServer(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            on_ready(self.stop)

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            await super().shutdown(sockets)
            if on_shutdown is not None:
                await on_shutdown()

        def stop(self) -> None:
            self.should_exit = True

    config = uvicorn.Config(
        app,
        http=protocol_class or create_client_limiting_protocol(client_limits),
        ws="none",
        log_config=None,
        access_log=False,
        lifespan="off",
        date_header=adds_date_header,
        server_header=False,  # each response sets its own
        proxy_headers=protocol_class is None,
        backlog=CONNECTION_BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    StoppableServer(config).run([bound_socket])


@contextlib.contextmanager
def running_app(
    app: Any,
    *,
    port: int = 0,
    host: str = "127.0.0.1",
    client_limits: ClientLimits = DEFAULT_CLIENT_LIMITS,
    adds_date_header: bool = True,
    on_shutdown: OnShutdown | None = None,
    protocol_class: type[asyncio.Protocol] | None = None,
) -> Iterator[str]:
    """Serve `app` on a local port (by default a free one) in a thread, and yield its root URL.

    Args:
        app: an ASGI application.
        port: port to listen on; 0 selects a free one.
        host: address to listen on.
        client_limits: limits for slow clients and many connections.
        adds_date_header: whether a Date header is added to each response.
        on_shutdown: is awaited in the server's event loop after the last response.
        protocol_class: a protocol of uvicorn in place of the one that applies `client_limits`. Headers such as
            X-Forwarded-Proto have no effect then.

    Raises:
        UsageError: the port is in use, or the server does not start.
    """
    bound_socket = bind_socket(host, port)
    started = threading.Event()
    stops: list[Callable[[], None]] = []

    def on_ready(stop_server: Callable[[], None]) -> None:
        stops.append(stop_server)
        started.set()

    thread = threading.Thread(
        target=serve_app,
        args=(app, bound_socket),
        kwargs={
            "on_ready": on_ready,
            "client_limits": client_limits,
            "adds_date_header": adds_date_header,
            "on_shutdown": on_shutdown,
            "protocol_class": protocol_class,
        },
        daemon=True,
    )
    thread.start()
    try:
        if not started.wait(START_TIMEOUT_S):
            raise UsageError("the server did not start")
        yield build_server_url(host, bound_socket.getsockname()[1])
    finally:
        for stop in stops:
            stop()
        thread.join(STOP_TIMEOUT_S)
        bound_socket.close()
