"""Lets a caller observe every request of a client."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from voicegauge.model import Exchange, Request


class TrafficObserver(Protocol):
    """Observes requests and their responses, whichever method of the client sends them."""

    async def observe(
        self, request: Request, operation_id: str, send_request: Callable[[], Awaitable[Exchange]]
    ) -> Exchange:
        """Send a request and return its exchange.

        Args:
            request: the request that `send_request` sends.
            operation_id: id of an operation of the contract, or `DOWNLOAD_OPERATION`.
            send_request: sends the request; raises `TransportError` if there is no response.
        """
        ...
