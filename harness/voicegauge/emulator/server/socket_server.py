"""Serving an emulator on a socket of this process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from voicegauge.contract import Contract
from voicegauge.emulator.server.app import create_app
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import UsageError

BACKLOG = 2048
GRACE_S = 1
"""How long answers under way may take once the end is asked for."""
START_LIMIT_S = 60.0
STOP_LIMIT_S = 10.0
KEEP_ALIVE_S = 75
"""Longer than clients keep idle connections, so that they are the ones to close them."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        UsageError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio switches Nagle's algorithm off; with it an answer waits 40 ms for an ACK.
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        made.bind((host, port))
    except OSError as error:
        made.close()
        raise UsageError(f"cannot listen on {host}:{port}: {error.strerror or error}; choose another --port") from error
    return made


def serve(
    contracts: Iterable[Contract],
    settings: EmulatorSettings,
    bound: socket.socket,
    *,
    ready: Callable[[Callable[[], None]], None],
) -> None:
    """Play `contracts` on `bound` until told to stop, or interrupted.

    Args:
        contracts: what to play.
        settings: how.
        bound: from `bind`; closed at the end.
        ready: called once requests are answered, with the function that ends the serving, from any thread.

    Raises:
        KeyboardInterrupt: Ctrl-C; everything is closed by then.
    """
    serve_app(create_app(contracts, settings), bound, ready=ready)


def serve_app(app: Any, bound: socket.socket, *, ready: Callable[[Callable[[], None]], None]) -> None:
    """Answer on `bound` with the ASGI application `app`; the rest is as for `serve`.

    Raises:
        KeyboardInterrupt: Ctrl-C; everything is closed by then.
    """
    import uvicorn

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready(self.stop)

        def stop(self) -> None:
            self.should_exit = True

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,  # every answer has its own
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=KEEP_ALIVE_S,
    )
    Server(config).run([bound])


@contextlib.contextmanager
def running_app(app: Any, *, port: int = 0) -> Iterator[str]:
    """The ASGI application `app` on a port of this machine, by default a free one, in a thread; gives its root URL."""
    bound = bind("127.0.0.1", port)
    started = threading.Event()
    stops: list[Callable[[], None]] = []

    def ready(stop: Callable[[], None]) -> None:
        stops.append(stop)
        started.set()

    thread = threading.Thread(target=serve_app, args=(app, bound), kwargs={"ready": ready}, daemon=True)
    thread.start()
    try:
        if not started.wait(START_LIMIT_S):
            raise UsageError("the server did not start")
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"
    finally:
        for stop in stops:
            stop()
        thread.join(STOP_LIMIT_S)
        bound.close()
