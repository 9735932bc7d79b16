"""Replay as a server: an ASGI application, in process or on a real socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import urlsplit

from voicegauge.contract import Contract
from voicegauge.model import Exchange, Request, Response
from voicegauge.recording.redaction import OTHER_HOSTS_PREFIX, UrlRewriter, rewrite_response_urls, url_rewriter
from voicegauge.recording.replay.replay import Replay
from voicegauge.recording.replay.timing import paced, replayable_headers, schedule, until
from voicegauge.transport import Clock, RealClock

UNMATCHED_STATUS = 501
"""No provider documents it, and no client sends such a request again."""
UNMATCHED_HEADER = "X-Voicegauge-Replay"
MAX_REQUEST_BYTES = 128 * 2**20

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class ReplayApp:
    """An ASGI application that answers from a `Replay`.

    Every provider answers below "/<provider id>", and URLs in its answers are moved there;
    a request whose Host is a contract's own (in process) is answered as recorded. What
    nobody recorded is answered with 501 and the difference to the nearest request.
    """

    def __init__(
        self,
        replay: Replay,
        *,
        pace: float = 0.0,
        clock: Clock | None = None,
        on_unmatched: Callable[[str], None] | None = None,
    ) -> None:
        """Set it up.

        Args:
            replay: what is recorded.
            pace: multiplies the recorded pauses; 0 leaves them out.
            clock: to pause by; the real one if left out.
            on_unmatched: called with a description of every unmatched request.
        """
        self.replay, self._pace, self._clock = replay, pace, clock or RealClock()
        self._tell = on_unmatched or (lambda _message: None)
        self._hosts = {host: contract for contract in replay.contracts.values() for host in contract.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        body = await _read(receive)
        began = self._clock.monotonic()
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"])
        host = next((value for name, value in headers if name == "host"), "")
        raw = scope.get("raw_path") or scope["path"].encode()
        path = raw.partition(b"?")[0].decode("latin-1")
        query = scope["query_string"].decode("latin-1")
        url = f"{scope['scheme']}://{host}{path}{'?' if query else ''}{query}"
        request = Request(method=scope["method"], url=url, headers=headers, body=body or b"")
        exchange = None if body is None else self._answer(request, host, path)
        if exchange is None:
            await self._refuse(send, too_large=body is None)
            return
        plan = schedule(exchange, self._pace)
        await until(self._clock, began + plan.headers_after_s)
        await _start(send, exchange.response)
        async for piece in paced(plan, self._clock, began):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    def _answer(self, request: Request, host: str, path: str) -> Exchange | None:
        known = self._hosts.get(host.lower())
        if known is not None:
            return self.replay.next_exchange(known.id, request)
        provider, _, rest = path.lstrip("/").partition("/")
        contract = self.replay.contracts.get(provider)
        if contract is None:
            return self._elsewhere(request)
        root = f"{urlsplit(request.url).scheme}://{host}"
        inner, below = request, f"/{rest}"
        if rest.startswith(f"{OTHER_HOSTS_PREFIX}/"):
            query = urlsplit(request.url).query
            url = f"https://{rest.removeprefix(f'{OTHER_HOSTS_PREFIX}/')}{'?' if query else ''}{query}"
            inner, below = Request(method=request.method, url=url, headers=request.headers, body=request.body), ""
        exchange = self.replay.next_exchange(provider, inner, below or None)
        return None if exchange is None else _at_home(exchange, self._moves(contract, f"{root}/{provider}"))

    def _elsewhere(self, request: Request) -> Exchange | None:
        """A download from a host that is nobody's own: the first provider that recorded it."""
        before = len(self.replay.unmatched)
        for provider in self.replay.contracts:
            exchange = self.replay.next_exchange(provider, request)
            if exchange is not None:
                del self.replay.unmatched[before:]
                return exchange
        del self.replay.unmatched[before + 1 :]
        return None

    def _moves(self, contract: Contract, base: str) -> UrlRewriter:
        homes: dict[str, Callable[[str], str]] = {}
        for interaction in self.replay.recorded_requests:
            url = interaction.signature.content.get("url", "")
            host = url.partition("/")[0]
            if interaction.signature.provider == contract.id and host:
                for scheme in ("http", "https"):
                    homes[f"{scheme}://{host}"] = _onto(f"{base}/{OTHER_HOSTS_PREFIX}/{host}")
        for server in contract.servers.values():
            homes[server.url.rstrip("/")] = _onto(base)
        return url_rewriter(homes)

    async def _refuse(self, send: Send, *, too_large: bool) -> None:
        says = "the request is too large" if too_large else self.replay.unmatched[-1]
        self._tell(says)
        headers = (("Content-Type", "text/plain; charset=utf-8"), (UNMATCHED_HEADER, "unmatched"))
        response = Response(status=413 if too_large else UNMATCHED_STATUS, headers=headers)
        await _start(send, response)
        await send({"type": "http.response.body", "body": f"{says}\n".encode()})


def _onto(home: str) -> Callable[[str], str]:
    return lambda path: f"{home}{path}"


async def _read(receive: Receive) -> bytes | None:
    """The body; `None` where it is too large."""
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


async def _start(send: Send, response: Response) -> None:
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in replayable_headers(response)
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})


def _at_home(exchange: Exchange, move: UrlRewriter) -> Exchange:
    import msgspec

    return msgspec.structs.replace(exchange, response=rewrite_response_urls(exchange.response, move))
