"""Sends recorded responses again at their recorded times: as an ASGI application, or through respx in tests."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, MutableMapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.errors import MissingExtraError
from voicegauge.model.base import Record
from voicegauge.model.exchange import SOCKET_ABORT_EXTENSION_KEY, Exchange, Headers, Request, Response
from voicegauge.recording.replay import Replay
from voicegauge.recording.socket_replay import ReplayedSocket
from voicegauge.recording.url_rewriting import (
    OTHER_HOSTS_PATH_PREFIX,
    UrlRewriter,
    build_url_rewriter,
    rewrite_response_urls,
)
from voicegauge.transport.clock import Clock, RealClock

if TYPE_CHECKING:
    import respx


# Determines when and in which chunks a recorded response is sent again.


_CONNECTION_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "trailer", "transfer-encoding"}
)
"""Headers that describe the recorded connection. They are not sent again, because the server of the replay sets its
own, and recorded bodies are already decoded."""


class TimedChunk(Record, frozen=True, kw_only=True):
    """A part of a body, and the time at which it is sent."""

    send_after_s: float
    """Time at which the chunk is sent, in seconds after the request was received completely."""
    data: bytes


class ResponseSchedule(Record, frozen=True, kw_only=True):
    """The times at which the headers and the chunks of a response are sent."""

    send_headers_after_s: float
    """Time at which the headers are sent, in seconds after the request was received completely."""
    chunks: tuple[TimedChunk, ...]


def schedule_response(exchange: Exchange, pause_factor: float) -> ResponseSchedule:
    """Scale the recorded times of a response.

    Args:
        exchange: the recorded exchange. If it has no timing, its response is sent at once.
        pause_factor: factor for all recorded times. 1 means as recorded, 0.1 ten times as fast, and 0 without pauses.
    """
    timing, body = exchange.timing, exchange.response.body
    if timing is None or pause_factor == 0:
        return ResponseSchedule(send_headers_after_s=0.0, chunks=(TimedChunk(send_after_s=0.0, data=body),))
    # Chunks are timed from the start of the call, but the replay starts when the request has been received.
    headers_ms = timing.total_ms - timing.receive_ms
    chunks = tuple(
        TimedChunk(send_after_s=pause_factor * (timing.ttfb_ms + max(at_ms - headers_ms, 0.0)) / 1000, data=data)
        for at_ms, data in _split_body(body, timing.chunk_arrivals, timing.total_ms)
    )
    return ResponseSchedule(send_headers_after_s=pause_factor * timing.ttfb_ms / 1000, chunks=chunks)


def _split_body(
    body: bytes, recorded_chunks: tuple[tuple[float, int], ...], total_ms: float
) -> Iterator[tuple[float, bytes]]:
    """Yield the chunks of `body`, each with its arrival time in milliseconds.

    The recorded sizes are scaled to the length of the body, because the body may have been compressed when it was
    received, or redaction may have changed its length.

    Args:
        body: the whole body.
        recorded_chunks: the arrival time in milliseconds and the number of bytes of each recorded chunk.
        total_ms: the arrival time of the whole body if no chunk was recorded.
    """
    recorded_bytes = sum(size for _, size in recorded_chunks)
    scale = len(body) / recorded_bytes if recorded_bytes else 0.0
    start = received = 0
    for at_ms, size in recorded_chunks:
        received += size
        end = round(received * scale)
        yield at_ms, body[start:end]
        start = end
    if not recorded_bytes:
        yield total_ms, body


def select_replayable_headers(response: Response) -> Headers:
    """Return the headers of a recorded response that are sent again."""
    return tuple((name, value) for name, value in response.headers if name.lower() not in _CONNECTION_HEADERS)


async def yield_chunks_on_schedule(
    schedule: ResponseSchedule, clock: Clock, received_at_s: float
) -> AsyncIterator[bytes]:
    """Yield each chunk at its scheduled time.

    `received_at_s` is the time of `clock` at which the request was received, in seconds. All times are relative to it,
    so a late chunk does not delay the following ones.
    """
    for chunk in schedule.chunks:
        await sleep_until(clock, received_at_s + chunk.send_after_s)
        yield chunk.data


async def sleep_until(clock: Clock, deadline_s: float) -> None:
    """Sleep until `deadline_s` in seconds of `clock`; return at once if it has passed."""
    remaining_s = deadline_s - clock.monotonic()
    if remaining_s > 0:
        await clock.sleep(remaining_s)


def enable_realtime_scheduling() -> bool:
    """Give this process a real-time priority, so that a busy machine does not delay chunks.

    Returns:
        Whether the priority was granted. This is possible only on Linux, and only with permission (root, CAP_SYS_NICE
        or a limit for `rtprio`).
    """
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except (AttributeError, OSError):
        return False
    return True


# Serves recorded responses as an ASGI application, in process or on a socket.


UNMATCHED_REQUEST_STATUS = 501
"""Status of the response to a request that was not recorded. No provider documents it, and no client retries it."""
UNMATCHED_REQUEST_HEADER = "X-Voicegauge-Replay"
"""Header of the responses that the replay itself generates, for requests that were not recorded."""
MAX_REQUEST_BYTES = 128 * 2**20
"""Maximum size of the body of a request to a replay."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ReplayApp:
    """An ASGI application that serves the recorded responses of a `Replay`.

    Each provider is served below "/<provider id>", the only one at "/" too, and URLs in its responses are rewritten to
    URLs below this path. If the Host header of a request names a server of a contract, as in in-process use, the
    response is sent as recorded.
    A request that was not recorded gets status 501 with its differences from the nearest recorded request.
    """

    def __init__(
        self,
        replay: Replay,
        *,
        pause_factor: float = 0.0,
        clock: Clock | None = None,
        on_unmatched_request: Callable[[str], None] | None = None,
    ) -> None:
        """Create the application.

        Args:
            replay: the recorded exchanges.
            pause_factor: factor for the recorded pauses; 0 omits them.
            clock: clock for the pauses; the real clock if `None`.
            on_unmatched_request: called with a description of every request that was not recorded.
        """
        self.replay, self._pause_factor, self._clock = replay, pause_factor, clock or RealClock()
        self._on_unmatched = on_unmatched_request or (lambda _message: None)
        self._hosts = {host: contract for contract in replay.contracts.values() for host in contract.hosts}
        self._recorded_providers = tuple(
            dict.fromkeys(one.comparable_request.provider for one in replay.recorded_requests)
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request, or replay one WebSocket."""
        if scope["type"] == "websocket":
            await self._serve_socket(scope, receive, send)
        if scope["type"] != "http":
            return
        body = await _read_body(receive)
        received_at = self._clock.monotonic()
        if body is None:
            await self._send_error(send, 413, "the request is too large")
            return
        request, host, path = _build_request(scope, body)
        exchange = self._find_exchange(request, host, path)
        if exchange is None:
            await self._send_error(send, UNMATCHED_REQUEST_STATUS, self.replay.unmatched_request_descriptions[-1])
            return
        schedule = schedule_response(exchange, self._pause_factor)
        await sleep_until(self._clock, received_at + schedule.send_headers_after_s)
        await _send_response_start(send, exchange.response)
        async for chunk in yield_chunks_on_schedule(schedule, self._clock, received_at):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async def _serve_socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Replay the recorded WebSocket whose handshake equals that of the client; reject any other handshake."""
        await receive()  # websocket.connect
        request, host, path = _build_request({**scope, "method": "GET"}, b"")
        exchange = self._find_exchange(request, host, path, is_socket=True)
        channel = self.replay.find_channel(exchange) if exchange is not None else None
        if exchange is None or channel is None:
            message = self.replay.unmatched_request_descriptions[-1]
            self._on_unmatched(message)
            headers = (("Content-Type", "text/plain; charset=utf-8"), (UNMATCHED_REQUEST_HEADER, "unmatched"))
            response = Response(status=UNMATCHED_REQUEST_STATUS, headers=headers, body=f"{message}\n".encode())
            await _reject_handshake(send, response)
            return
        if exchange.response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            await _reject_handshake(send, exchange.response)
            return
        protocols = scope.get("subprotocols") or []
        await send({"type": "websocket.accept", "subprotocol": protocols[0] if protocols else None})
        socket = ReplayedSocket(channel, exchange, receive, send, pause_factor=self._pause_factor, clock=self._clock)
        abort: Callable[[], None] = scope.get("extensions", {}).get(SOCKET_ABORT_EXTENSION_KEY, lambda: None)
        difference = await socket.run(abort)
        if difference is not None:
            message = f"{exchange.provider} {exchange.operation}: {difference}"
            self.replay.unmatched_request_descriptions.append(message)
            self._on_unmatched(message)

    def _find_exchange(self, request: Request, host: str, path: str, *, is_socket: bool = False) -> Exchange | None:
        contract_of_host = self._hosts.get(host.lower())
        if contract_of_host is not None:
            return self.replay.replay_next_exchange(contract_of_host.id, request, is_socket=is_socket)
        origin = f"{urlsplit(request.url).scheme}://{host}"
        provider, _, rest = path.lstrip("/").partition("/")
        base_url = f"{origin}/{provider}"
        if provider not in self.replay.contracts:
            found = self._find_download(request)
            if found is not None or len(self._recorded_providers) != 1:
                return found
            del self.replay.unmatched_request_descriptions[-1]  # the search below describes the difference
            (provider,), rest, base_url = self._recorded_providers, path.lstrip("/"), origin
        contract = self.replay.contracts[provider]
        relative: str | None = f"/{rest}"
        if rest.startswith(f"{OTHER_HOSTS_PATH_PREFIX}/"):
            query = urlsplit(request.url).query
            url = f"https://{rest.removeprefix(f'{OTHER_HOSTS_PATH_PREFIX}/')}{'?' if query else ''}{query}"
            request, relative = msgspec.structs.replace(request, url=url), None
        exchange = self.replay.replay_next_exchange(provider, request, relative, is_socket=is_socket)
        if exchange is None:
            return None
        response = rewrite_response_urls(exchange.response, self._build_replay_url_rewriter(contract, base_url))
        return msgspec.structs.replace(exchange, response=response)

    def _find_download(self, request: Request) -> Exchange | None:
        """Return the exchange of the first provider that has recorded this URL, whose host belongs to no contract."""
        before = len(self.replay.unmatched_request_descriptions)
        for provider in self._recorded_providers:
            exchange = self.replay.replay_next_exchange(provider, request)
            if exchange is not None:
                del self.replay.unmatched_request_descriptions[before:]
                return exchange
        known = ", ".join(f"/{provider}" for provider in self._recorded_providers) or "none"
        message = (
            f"no provider is served at {request.method} {urlsplit(request.url).path}: paths begin with one of {known}"
        )
        self.replay.unmatched_request_descriptions[before:] = [message]
        return None

    def _build_replay_url_rewriter(self, contract: Contract, base_url: str) -> UrlRewriter:
        replacements: dict[str, Callable[[str], str]] = {}
        for recorded in self.replay.recorded_requests:
            # Only a download has a "url". It begins with the host if this belongs to no server of the contract.
            host = recorded.comparable_request.compared_values.get("url", "").partition("/")[0]
            if recorded.comparable_request.provider == contract.id and host:
                for scheme in ("http", "https"):
                    replacements[f"{scheme}://{host}"] = _build_url_prepender(
                        f"{base_url}/{OTHER_HOSTS_PATH_PREFIX}/{host}"
                    )
        for server in contract.servers.values():
            replacements[server.url.rstrip("/")] = _build_url_prepender(base_url)
        return build_url_rewriter(replacements)

    async def _send_error(self, send: Send, status: int, message: str) -> None:
        self._on_unmatched(message)
        headers = (("Content-Type", "text/plain; charset=utf-8"), (UNMATCHED_REQUEST_HEADER, "unmatched"))
        await _send_response_start(send, Response(status=status, headers=headers))
        await send({"type": "http.response.body", "body": f"{message}\n".encode()})


def _build_url_prepender(base_url: str) -> Callable[[str], str]:
    return lambda path: f"{base_url}{path}"


def _build_request(scope: Scope, body: bytes) -> tuple[Request, str, str]:
    """Return the request, its Host header and its path. The path is still percent-encoded."""
    headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
    host = next((value for name, value in headers if name == "host"), "")
    raw_path = scope.get("raw_path") or scope["path"].encode()
    path = raw_path.partition(b"?")[0].decode("latin-1")  # httpx's ASGI transport appends the query to raw_path
    query = scope["query_string"].decode("latin-1")
    url = f"{scope['scheme']}://{host}{path}{'?' if query else ''}{query}"
    return Request(method=scope["method"], url=url, headers=headers, body=body), host, path


async def _read_body(receive: Receive) -> bytes | None:
    """Return the request body; `None` if it is larger than `MAX_REQUEST_BYTES`."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_REQUEST_BYTES:
            return None
        if not message.get("more_body", False):
            return b"".join(parts)


async def _reject_handshake(send: Send, response: Response) -> None:
    pairs = select_replayable_headers(response)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "websocket.http.response.start", "status": response.status, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": response.body})


async def _send_response_start(send: Send, response: Response) -> None:
    pairs = select_replayable_headers(response)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


# Replays recorded responses through respx, for tests of an httpx client without a socket.


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
