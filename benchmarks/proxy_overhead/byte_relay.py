"""A relay that copies bytes without reading them: what any proxy in Python adds at least."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection
from typing import cast


class _Side(asyncio.Protocol):
    """One of the two connections of a relay."""

    def __init__(self) -> None:
        self.other: _Side | None = None
        self.transport: asyncio.Transport | None = None
        self._early = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: _Side) -> None:
        self.other, other.other = other, self
        if self._early and other.transport is not None:
            other.transport.write(self._early)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self._early += data
        elif self.other.transport is not None:
            self.other.transport.write(data)

    def connection_lost(self, _error: Exception | None) -> None:
        if self.other is not None and self.other.transport is not None:
            self.other.transport.close()


class _ClientSide(_Side):
    """The connection of a client, which opens one to the server."""

    def __init__(self, upstream_port: int) -> None:
        super().__init__()
        self._upstream_port = upstream_port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        _, server_side = await asyncio.get_running_loop().create_connection(_Side, "127.0.0.1", self._upstream_port)
        self.join(server_side)


def relay_bytes(started: Connection, upstream_port: int) -> None:
    """Run the relay, and send its port to `started`."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _ClientSide(upstream_port), "127.0.0.1", 0)
        started.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(run())
