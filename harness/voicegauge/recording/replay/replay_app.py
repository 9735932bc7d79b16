"""Serves recorded responses as an ASGI application, in process or on a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract import Contract
from voicegauge.model import Exchange, Request, Response
from voicegauge.recording.redaction import (
    OTHER_HOSTS_PATH_PREFIX,
    UrlRewriter,
    build_url_rewriter,
    rewrite_response_urls,
)
from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.response_schedule import (
    schedule_response,
    select_replayable_headers,
    sleep_until,
    yield_chunks_on_schedule,
)
from voicegauge.transport import Clock, RealClock

UNMATCHED_REQUEST_STATUS = 501
"""Status of the response to a request that was not recorded. No provider documents it, and no client retries it."""
UNMATCHED_REQUEST_HEADER = "X-Voicegauge-Replay"
"""Header of the responses that the replay itself generates, for requests that were not recorded."""
MAX_REQUEST_BYTES = 128 * 2**20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ReplayApp:
    """An ASGI application that serves the recorded responses of a `Replay`.

    Each provider is served below "/<provider id>", and URLs in its responses are rewritten to URLs below this path. If
    the Host header of a request names a server of a contract, as in in-process use, the response is sent as recorded.
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request."""
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

    def _find_exchange(self, request: Request, host: str, path: str) -> Exchange | None:
        contract_of_host = self._hosts.get(host.lower())
        if contract_of_host is not None:
            return self.replay.replay_next_exchange(contract_of_host.id, request)
        provider, _, rest = path.lstrip("/").partition("/")
        contract = self.replay.contracts.get(provider)
        if contract is None:
            return self._find_download(request)
        relative: str | None = f"/{rest}"
        base_url = f"{urlsplit(request.url).scheme}://{host}/{provider}"
        if rest.startswith(f"{OTHER_HOSTS_PATH_PREFIX}/"):
            query = urlsplit(request.url).query
            url = f"https://{rest.removeprefix(f'{OTHER_HOSTS_PATH_PREFIX}/')}{'?' if query else ''}{query}"
            request, relative = msgspec.structs.replace(request, url=url), None
        exchange = self.replay.replay_next_exchange(provider, request, relative)
        if exchange is None:
            return None
        response = rewrite_response_urls(exchange.response, self._build_replay_url_rewriter(contract, base_url))
        return msgspec.structs.replace(exchange, response=response)

    def _find_download(self, request: Request) -> Exchange | None:
        """Return the exchange of the first provider that has recorded this URL, whose host belongs to no contract."""
        before = len(self.replay.unmatched_request_descriptions)
        for provider in self.replay.contracts:
            exchange = self.replay.replay_next_exchange(provider, request)
            if exchange is not None:
                del self.replay.unmatched_request_descriptions[before:]
                return exchange
        del self.replay.unmatched_request_descriptions[before + 1 :]  # one report per request, not one per provider
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


async def _send_response_start(send: Send, response: Response) -> None:
    pairs = select_replayable_headers(response)
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
