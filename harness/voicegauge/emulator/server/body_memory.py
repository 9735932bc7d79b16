"""Limits the memory that the bodies of all requests in progress take together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

MAX_BODY_MEMORY_BYTES = 32 * 2**20
"""Memory in bytes that the bodies of all requests in progress share. One request at a time may exceed it; the others
wait."""
UNCOUNTED_BYTES_PER_BODY = 16 * 2**10
"""Number of bytes of each body that do not count, so that ordinary requests need not wait for large uploads."""


class BodyMemory:
    """The memory for bodies. Above its limit, one request continues, and the others wait until it is done.

    Without a limit for all of them, clients that send uploads of a permitted size at the same time could take any
    amount of memory.
    """

    def __init__(self, max_bytes: int = MAX_BODY_MEMORY_BYTES) -> None:
        """Start with `max_bytes` of free memory."""
        self._free_bytes = max_bytes
        self._exempt: BodyMemoryShare | None = None
        self._waiting: list[asyncio.Future[None]] = []

    @contextmanager
    def open_share(self) -> Iterator[BodyMemoryShare]:
        """Yield a share of the memory for one request, which is freed when the context ends."""
        share = BodyMemoryShare(self)
        try:
            yield share
        finally:
            self._free_bytes += share.counted_bytes
            if self._exempt is share:
                self._exempt = None
            waiting, self._waiting = self._waiting, []
            for waiter in waiting:
                if not waiter.done():
                    waiter.set_result(None)

    async def reserve(self, memory_share: BodyMemoryShare, size_bytes: int) -> None:
        """Reserve `size_bytes` more for `memory_share`.

        Wait until so much memory is free, or until no other request exceeds the limit.
        """
        while size_bytes > self._free_bytes and self._exempt not in (None, memory_share):
            # Futures belong to the running event loop; a lock would belong to the loop that used it first.
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        if size_bytes > self._free_bytes:
            self._exempt = memory_share
        self._free_bytes -= size_bytes
        memory_share.counted_bytes += size_bytes


class BodyMemoryShare:
    """The memory that the body of one request has reserved."""

    def __init__(self, memory: BodyMemory) -> None:
        """Start with a share of 0 bytes."""
        self._memory = memory
        self.counted_bytes = 0

    async def grow_to(self, size_bytes: int) -> None:
        """Wait until the request may store `size_bytes` of its body."""
        missing_bytes = size_bytes - UNCOUNTED_BYTES_PER_BODY - self.counted_bytes
        if missing_bytes > 0:
            await self._memory.reserve(self, missing_bytes)
