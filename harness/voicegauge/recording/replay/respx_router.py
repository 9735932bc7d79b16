"""Replays recorded responses through respx, for tests of an httpx client without a socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import httpx

from voicegauge.errors import MissingExtraError
from voicegauge.model import Request
from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.response_schedule import ResponseSchedule, schedule_response, select_replayable_headers

if TYPE_CHECKING:
    import respx


class UnmatchedRequestError(AssertionError):
    """Raised for a request that was not recorded. The message describes the nearest recorded request."""


class _ScheduledBody(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A response body that is sent in its recorded chunks, for synchronous and asynchronous clients."""

    def __init__(self, schedule: ResponseSchedule) -> None:
        self._schedule, self._started_at = schedule, time.perf_counter()

    def _iterate_pauses_and_chunks(self) -> Iterator[tuple[float, bytes]]:
        for chunk in self._schedule.chunks:
            yield max(self._started_at + chunk.send_after_s - time.perf_counter(), 0.0), chunk.data

    def __iter__(self) -> Iterator[bytes]:
        for wait_s, data in self._iterate_pauses_and_chunks():
            time.sleep(wait_s)
            yield data

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for wait_s, data in self._iterate_pauses_and_chunks():
            await asyncio.sleep(wait_s)
            yield data


def create_replay_router(replay: Replay, *, pause_factor: float = 0.0) -> respx.MockRouter:
    """Create a respx router that responds to every httpx request with a response from `replay`.

    The router is a context manager. The client must send its requests to the contract's servers, or to URLs that
    recorded responses contain.

    Args:
        replay: the recorded exchanges.
        pause_factor: factor for the recorded pauses between the chunks of a body; 0 omits them.

    Raises:
        MissingExtraError: respx is not installed.
        UnmatchedRequestError: a request was not recorded. This is raised later, when the client sends the request.
    """
    try:
        import respx
    except ImportError as error:
        raise MissingExtraError("respx", "replay") from error

    def respond(httpx_request: httpx.Request) -> httpx.Response:
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in httpx_request.headers.raw)
        request = Request(
            method=httpx_request.method, url=str(httpx_request.url), headers=headers, body=httpx_request.content
        )
        host = httpx_request.url.netloc.decode().lower()
        owners = [contract for contract in replay.contracts.values() if host in contract.hosts]
        for contract in owners or replay.contracts.values():
            exchange = replay.replay_next_exchange(contract.id, request)
            if exchange is not None:
                body = _ScheduledBody(schedule_response(exchange, pause_factor))
                response_headers = httpx.Headers([*select_replayable_headers(exchange.response)])
                return httpx.Response(exchange.response.status, headers=response_headers, stream=body)
        raise UnmatchedRequestError(replay.unmatched_request_descriptions[-1])

    router = respx.MockRouter(assert_all_called=False)
    router.route().mock(side_effect=respond)
    return router
