"""Replay through respx: for tests of a client that uses httpx, without any socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx

from voicegauge.errors import MissingExtraError
from voicegauge.model import Request
from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.timing import ResponseSchedule, replayable_headers, schedule

if TYPE_CHECKING:
    import respx


class UnmatchedRequestError(AssertionError):
    """A request that nobody recorded; the message shows the nearest one that is recorded."""


class _Body(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body in its recorded pieces, for clients of either kind."""

    def __init__(self, plan: ResponseSchedule) -> None:
        self._plan, self._began = plan, time.perf_counter()

    def _waits(self) -> Iterator[tuple[float, bytes]]:
        for piece in self._plan.pieces:
            yield max(self._began + piece.after_s - time.perf_counter(), 0.0), piece.data

    def __iter__(self) -> Iterator[bytes]:
        for wait, data in self._waits():
            time.sleep(wait)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait, data in self._waits():
            await asyncio.sleep(wait)
            yield data


def replay_router(replay: Replay, *, pace: float = 0.0) -> respx.MockRouter:
    """A respx router that answers every httpx request from `replay`; use it as a context manager.

    Requests go to the contract's own servers, or to wherever a recorded answer leads.

    Args:
        replay: what is recorded.
        pace: multiplies the recorded pauses between the pieces of a body; 0 leaves them out.

    Raises:
        MissingExtraError: respx is not installed.
        UnmatchedRequestError: later, by a request that is not recorded.
    """
    try:
        import respx
    except ImportError as error:
        raise MissingExtraError("respx", "replay") from error

    def answer(request: httpx.Request) -> httpx.Response:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers.raw)
        asked = Request(method=request.method, url=str(request.url), headers=headers, body=request.content)
        owners = [c for c in replay.contracts.values() if request.url.netloc.decode().lower() in c.hosts]
        for contract in owners or replay.contracts.values():
            exchange = replay.next_exchange(contract.id, asked)
            if exchange is not None:
                body = _Body(schedule(exchange, pace))
                sent = httpx.Headers([*replayable_headers(exchange.response)])
                return httpx.Response(exchange.response.status, headers=sent, stream=body)
        raise UnmatchedRequestError(replay.unmatched[-1])

    router = respx.MockRouter(assert_all_called=False)
    router.route().mock(side_effect=answer)
    return router
