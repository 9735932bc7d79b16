"""Sends recorded responses again at their recorded times: as an ASGI application, or through respx in tests.

Of a recorded WebSocket, each message of the service is sent after those of the client that preceded it. The client must
send what was recorded. The names of contexts, numbers that an answer repeats, and keys may differ, because clients make
new ones each time; the messages of the service then have the new names.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx
import msgspec

from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import SocketChannel, iterate_leaves, read_message
from voicegauge.errors import MissingExtraError
from voicegauge.formats.bodies import quote_json
from voicegauge.formats.locations import MISSING, read_pointer, write_value_at_pointer
from voicegauge.model.exchange import (
    ABNORMAL_CLOSE_CODE,
    NO_STATUS_CLOSE_CODE,
    SOCKET_ABORT_EXTENSION_KEY,
    Exchange,
    Headers,
    Request,
    Response,
    SocketClose,
    SocketMessage,
    SocketMessageLog,
)
from voicegauge.recording.masking import MASK
from voicegauge.recording.recorded_exchanges import (
    OTHER_HOSTS_PATH_PREFIX,
    UrlRewriter,
    build_url_rewriter,
    rewrite_response_urls,
)
from voicegauge.recording.replay import Replay, ResponseSchedule, schedule_response
from voicegauge.transport.timing import Clock, RealClock

if TYPE_CHECKING:
    import respx


Scope = MutableMapping[str, Any]
"""What an ASGI server says about a request or connection, by key."""
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""Function of an ASGI server that returns the next event of the client."""
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
"""Function of an ASGI server that takes an event of the application."""


# Sends the chunks of a recorded response at their times.


_CONNECTION_HEADERS = frozenset(
    {"connection", "content-encoding", "content-length", "date", "keep-alive", "trailer", "transfer-encoding"}
)
"""Headers that describe the recorded connection. They are not sent again, because the server of the replay sets its
own, and recorded bodies are already decoded."""


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
        # Processes that this one starts get the usual priority again.
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
            on_unmatched_request: called with a description of every request that was not recorded, unless `None`.
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
            await _send_response(send, self._build_error_response(413, "the request is too large"))
            return
        request, host, path = _build_request(scope, body)
        exchange = self._find_exchange(request, host, path)
        if exchange is None:
            message = self.replay.unmatched_request_descriptions[-1]
            await _send_response(send, self._build_error_response(UNMATCHED_REQUEST_STATUS, message))
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
            response = self._build_error_response(UNMATCHED_REQUEST_STATUS, message)
            await _send_response(send, response, type_prefix="websocket.")
            return
        if exchange.response.status != HTTPStatus.SWITCHING_PROTOCOLS:
            await _send_response(send, exchange.response, type_prefix="websocket.")
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
        """Return the exchange of the first provider that has recorded this URL, whose host belongs to no contract.

        If no provider has, note the request as unmatched, and return `None`.
        """
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

    def _build_error_response(self, status: int, message: str) -> Response:
        """Report the unmatched request that `message` describes; return a response with `status` and `message`."""
        self._on_unmatched(message)
        headers = (("Content-Type", "text/plain; charset=utf-8"), (UNMATCHED_REQUEST_HEADER, "unmatched"))
        return Response(status=status, headers=headers, body=f"{message}\n".encode())


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


async def _send_response_start(send: Send, response: Response, type_prefix: str = "") -> None:
    pairs = select_replayable_headers(response)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": f"{type_prefix}http.response.start", "status": response.status, "headers": headers})


async def _send_response(send: Send, response: Response, type_prefix: str = "") -> None:
    """Send a response at once; `type_prefix` is "websocket." where it rejects the handshake of a WebSocket."""
    await _send_response_start(send, response, type_prefix)
    await send({"type": f"{type_prefix}http.response.body", "body": response.body})


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


# Replays a recorded WebSocket.


UNMATCHED_CLOSE_CODE = 1008
"""Code of the close frame after a message that was not recorded."""
_MAX_CLOSE_REASON_BYTES = 120
"""Close frames have at most 125 bytes (RFC 6455, section 5.5), two of which are the code."""
_VARIABLE_PLACEHOLDERS = ("{context}", "{nonce}")
"""Placeholders of values that each client chooses itself, so that they may differ from the recorded ones."""
_NORMAL_CLOSE_CODE = 1000
"""Code of a connection that was closed because it has served its purpose (RFC 6455, section 7.4.1)."""
_MAX_QUOTED_CHARACTERS = 80
"""Maximum number of quoted characters of a message or value in a description."""


@dataclass
class _MessageWithAnswers:
    """A recorded message of the client, and the messages that the service sent before the client's next message."""

    client_message: SocketMessage | None
    """The client's message; `None` for the messages that the service sent first."""
    answers: list[SocketMessage] = field(default_factory=list)

    @property
    def at_ms(self) -> float:
        """When the client sent the message, in milliseconds after the connection was opened; 0 without one."""
        return self.client_message.at_ms if self.client_message is not None else 0.0


class SocketScript:
    """The recorded messages of a connection, and how many of them the client has sent already."""

    def __init__(self, channel: SocketChannel, message_log: SocketMessageLog) -> None:
        """Create a script from recorded messages, at its start: before the first message of the client."""
        self._channel = channel
        self.close = message_log.close
        """How the recorded connection ended; `None` if that was not observed."""
        self._steps = [_MessageWithAnswers(None)]
        for message in message_log.messages:
            if message.sender == "server":
                self._steps[-1].answers.append(message)
            elif not self._is_keep_alive(message.data, is_binary=message.is_binary):
                self._steps.append(_MessageWithAnswers(message))
        self._next = 0
        self._new_values: dict[str, Any] = {}
        """What the client sends in place of a recorded context or number, by the JSON text of the recorded one."""
        spec = channel.spec
        self._client_locations = _find_variable_locations(one.value for one in spec.client_messages.values())
        self._server_locations = _find_variable_locations(one.value for one in spec.server_messages)

    @property
    def is_over(self) -> bool:
        """Whether the client has sent every recorded message."""
        return self._next == len(self._steps)

    def begin(self) -> list[tuple[float, SocketMessage]]:
        """Return the messages that the service sends before the client's first, each with its delay in milliseconds."""
        return self._take_recorded_answers()

    def take_client_message(self, data: bytes, *, is_binary: bool) -> list[tuple[float, SocketMessage]] | str:
        """Take a message of the client.

        Returns:
            The messages that the service sends before the client's next message, each with its delay in milliseconds
            after the taken message; or, if another message was recorded, a description of the difference.
        """
        if self._is_keep_alive(data, is_binary=is_binary):
            return []
        if self.is_over:
            return f"{self._describe_message(data, is_binary)} follows the last recorded message of the client"
        recorded = self._steps[self._next].client_message
        assert recorded is not None, "the first step was taken before"
        difference = self._find_difference(recorded, data, is_binary=is_binary)
        if difference is not None:
            return f"message {self._next} of the client differs from the recorded one: {difference}"
        return self._take_recorded_answers()

    def _take_recorded_answers(self) -> list[tuple[float, SocketMessage]]:
        """Return the answers to the current message with their delays in milliseconds, and go on to the next."""
        step = self._steps[self._next]
        self._next += 1
        return [(max(one.at_ms - step.at_ms, 0.0), self._rename_contexts_and_numbers(one)) for one in step.answers]

    def _is_keep_alive(self, data: bytes, *, is_binary: bool) -> bool:
        return not is_binary and self._channel.read_client_message(data).actions == {"keep-alive"}

    def _find_difference(self, recorded: SocketMessage, data: bytes, *, is_binary: bool) -> str | None:
        if recorded.data == data and recorded.is_binary == is_binary:
            return None
        before, now = read_message(recorded.data), read_message(data)
        if recorded.is_binary or is_binary or before is MISSING or now is MISSING:
            is_masked = recorded.data == MASK.encode()
            return None if is_masked else f"sent {self._describe_message(data, is_binary)}"
        old, new = dict(iterate_leaves(before)), dict(iterate_leaves(now))
        for tokens in {**old, **new}:
            value, sent = old.get(tokens, MISSING), new.get(tokens, MISSING)
            if tokens in self._client_locations and value is not MISSING and sent is not MISSING:
                self._new_values[json.dumps(value)] = sent
            elif value != sent and not (isinstance(value, str) and MASK in value and sent is not MISSING):
                name = "/" + "/".join(tokens)
                return f"{name} is {_quote_value(sent)}, recorded was {_quote_value(value)}"
        return None

    def _rename_contexts_and_numbers(self, message: SocketMessage) -> SocketMessage:
        """Return a message of the service with the contexts and numbers of this client."""
        content = MISSING if message.is_binary else read_message(message.data)
        if not isinstance(content, dict):
            return message
        is_changed = False
        for tokens in self._server_locations:
            value = read_pointer(content, tokens)
            new_value = MISSING if value is MISSING else self._new_values.get(json.dumps(value), MISSING)
            if new_value is not MISSING and new_value != value:
                write_value_at_pointer(content, tokens, new_value)
                is_changed = True
        if not is_changed:
            return message
        data = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        return SocketMessage(sender="server", at_ms=message.at_ms, data=data)

    def _describe_message(self, data: bytes, is_binary: bool) -> str:
        if is_binary:
            return f"a binary message of {len(data)} bytes"
        return data[:_MAX_QUOTED_CHARACTERS].decode(errors="replace")


def _find_variable_locations(templates: Iterable[Any]) -> frozenset[tuple[str, ...]]:
    return frozenset(
        tokens for template in templates for tokens, leaf in iterate_leaves(template) if leaf in _VARIABLE_PLACEHOLDERS
    )


def _quote_value(value: Any) -> str:
    return "missing" if value is MISSING else quote_json(value, _MAX_QUOTED_CHARACTERS)


class ReplayedSocket:
    """One connection of a client, to which a recorded one is replayed."""

    def __init__(
        self,
        operation: Operation,
        exchange: Exchange,
        receive: Receive,
        send: Send,
        *,
        pause_factor: float,
        clock: Clock,
    ) -> None:
        """Prepare to replay `exchange`, which has messages, over the ASGI functions `receive` and `send`."""
        assert operation.socket is not None, "only channels have messages"
        assert exchange.socket is not None, "the exchange is a handshake"
        self._script = SocketScript(operation.socket, exchange.socket)
        self._last_ms = max((message.at_ms for message in exchange.socket.messages), default=0.0)
        self._receive, self._send = receive, send
        self._pause_factor, self._clock = pause_factor, clock
        self._waiting: asyncio.Queue[tuple[float, SocketMessage | SocketClose]] = asyncio.Queue()

    async def run(self, abort: Callable[[], None]) -> str | None:
        """Replay the connection, which was accepted.

        Args:
            abort: ends the connection without a close frame, as a recorded one may have ended.

        Returns:
            A description of the first message of the client that was not recorded, after which the connection is
            closed; `None` if all messages were recorded.
        """
        # In a task of its own: while answers wait for their time, the client may go on sending.
        sending = asyncio.create_task(self._send_waiting_messages(abort))
        try:
            self._schedule_answers(self._script.begin())
            while (event := await self._receive())["type"] == "websocket.receive":
                text = event.get("text")
                is_binary = text is None
                data = event["bytes"] if text is None else text.encode()
                answers = self._script.take_client_message(data, is_binary=is_binary)
                if isinstance(answers, str):
                    sending.cancel()
                    reason = answers.encode()[:_MAX_CLOSE_REASON_BYTES].decode(errors="ignore")
                    await self._send({"type": "websocket.close", "code": UNMATCHED_CLOSE_CODE, "reason": reason})
                    return answers
                self._schedule_answers(answers)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
        return None

    def _schedule_answers(self, answers: list[tuple[float, SocketMessage]]) -> None:
        """Queue messages with the times at which they are due, and the close of the service after the last one."""
        now_s = self._clock.monotonic()
        for delay_ms, message in answers:
            self._waiting.put_nowait((now_s + delay_ms * self._pause_factor / 1000, message))
        close = self._script.close
        if self._script.is_over and close is not None and close.closed_by == "server":
            self._waiting.put_nowait((now_s + max(close.at_ms - self._last_ms, 0.0) * self._pause_factor / 1000, close))

    async def _send_waiting_messages(self, abort: Callable[[], None]) -> None:
        """Send the queued messages when they are due, until the connection is closed."""
        while True:
            due_s, item = await self._waiting.get()
            await sleep_until(self._clock, due_s)
            if isinstance(item, SocketMessage):
                part = {"bytes": item.data} if item.is_binary else {"text": item.data.decode(errors="replace")}
                await self._send({"type": "websocket.send", **part})
            # Such codes are never in a close frame (RFC 6455, section 7.4): the recorded connection broke.
            elif item.code < _NORMAL_CLOSE_CODE or item.code == ABNORMAL_CLOSE_CODE:
                abort()
                return
            else:
                code = _NORMAL_CLOSE_CODE if item.code == NO_STATUS_CLOSE_CODE else item.code
                await self._send({"type": "websocket.close", "code": code, "reason": item.reason})
                return
