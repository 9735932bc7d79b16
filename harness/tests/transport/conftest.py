from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from ..builders.servers import Handler, listening

Listen = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Start raw servers: `handler` speaks after the request's head was read. Answers with a base URL."""
    async with contextlib.AsyncExitStack() as stack:
        yield lambda handler: stack.enter_async_context(listening(handler))
