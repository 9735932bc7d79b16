"""Serving an emulator on a socket of this process."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterable

from voicegauge.contract import Contract
from voicegauge.emulator.app import create_app
from voicegauge.emulator.settings import EmulatorSettings
from voicegauge.errors import UsageError

BACKLOG = 2048
GRACE_S = 1
"""How long answers under way may take once the end is asked for."""


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one.

    Raises:
        UsageError: the address cannot be had.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
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
    ready: Callable[[], None],
    ended: Callable[[], bool] = lambda: False,
) -> None:
    """Answer on `bound` until `ended` says so, or the process is interrupted.

    Args:
        contracts: what to play.
        settings: how.
        bound: from `bind`; closed at the end.
        ready: called once requests are answered.
        ended: asked ten times a second.
    """
    import uvicorn

    config = uvicorn.Config(
        create_app(contracts, settings),
        log_config=None,
        access_log=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
        timeout_keep_alive=75,  # longer than clients keep idle connections, so that they close first
    )
    server = uvicorn.Server(config)

    async def run() -> None:
        watch = asyncio.create_task(_watch(server, ready, ended))
        try:
            await server.serve([bound])
        finally:
            watch.cancel()

    asyncio.run(run())


async def _watch(server: object, ready: Callable[[], None], ended: Callable[[], bool]) -> None:
    while not getattr(server, "started", False):
        await asyncio.sleep(0.005)
    ready()
    while not ended():
        await asyncio.sleep(0.1)
    server.should_exit = True  # type: ignore[attr-defined]
