"""All providers of one emulator, behind one ASGI application, with their journal."""

from __future__ import annotations

from collections import deque
from collections.abc import MutableMapping, Sequence
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicegauge.contract import Contract
from voicegauge.emulator.clock import EmulatedClock
from voicegauge.emulator.faults import Fault
from voicegauge.emulator.incoming import Incoming
from voicegauge.emulator.planting import Planted
from voicegauge.emulator.provider import EmulatedProvider
from voicegauge.emulator.reply import Reply
from voicegauge.emulator.settings import MAX_REQUEST_BYTES, SERVER_NAME, EmulatorSettings
from voicegauge.emulator.spoken import Voice, check_emulation

KEPT_ENTRIES = 10_000
MASK = "***"


class House:
    """The providers, their common clock and voice, and what was asked of them."""

    def __init__(
        self, contracts: Sequence[Contract], settings: EmulatorSettings, own_faults: Sequence[Fault] = ()
    ) -> None:
        """Everything begins new."""
        for contract in contracts:
            for target in contract.targets.values():
                check_emulation(target)
        self.contracts, self.settings = contracts, settings
        self.planted = Planted(settings.faults, contracts, own_faults)
        self.voice = Voice()
        self.journal: deque[dict[str, Any]] = deque(maxlen=KEPT_ENTRIES)
        self.reset()

    def reset(self) -> None:
        """Forget accounts, jobs, the journal and the time; faults stay."""
        self.clock = EmulatedClock(self.settings)
        self.journal.clear()
        self.providers = {
            contract.id: EmulatedProvider(contract, self.settings, self.clock, self.voice, self.planted)
            for contract in self.contracts
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request to a provider."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        provider_id, _, rest = raw_path(scope).lstrip("/").partition("/")
        provider = self.providers.get(provider_id)
        if provider is None:
            known = ", ".join(f"/{name}" for name in self.providers)
            await Response(f"no such provider; here are: {known}\n", 404)(scope, receive, send)
            return
        try:
            body = await _read_body(request)
        except ClientDisconnect:
            return
        if body is None:
            await Response("the body is too large\n", 413)(scope, receive, send)
            return
        incoming = _incoming(request, provider_id, f"/{rest}", body)
        reply = await provider.handle(incoming)
        self._note(provider, incoming, reply)
        await send_reply(reply, scope, receive, send)

    def _note(self, provider: EmulatedProvider, incoming: Incoming, reply: Reply) -> None:
        secrets = _secret_names(provider.contract)
        self.journal.append(
            {
                "at": self.clock.now(),
                "provider": provider.contract.id,
                "method": incoming.method,
                "path": incoming.path,
                "query": _masked(incoming.query, secrets),
                "headers": _masked(incoming.headers, secrets),
                "body_bytes": len(incoming.body),
                "operation": reply.operation.id if reply.operation else None,
                "target": reply.target.id if reply.target else None,
                "status": reply.status,
                "situation": reply.situation,
                "job": reply.job.id if reply.job else None,
            }
        )


def raw_path(scope: MutableMapping[str, Any]) -> str:
    """The path as it was sent, so that an escaped slash stays within its parameter."""
    raw: bytes | None = scope.get("raw_path")
    return raw.partition(b"?")[0].decode("latin-1") if raw is not None else str(scope["path"])


async def _read_body(request: Request) -> bytes | None:
    """The body; `None` where it is larger than any documented one may be."""
    parts, size = [], 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > MAX_REQUEST_BYTES:
            return None
        parts.append(chunk)
    return b"".join(parts)


def _incoming(request: Request, provider_id: str, path: str, body: bytes) -> Incoming:
    forwarded = request.headers.get("x-forwarded-for", "").split(",")[0].strip()
    host = request.headers.get("host") or request.url.netloc
    return Incoming(
        method=request.method,
        path=path,
        query=dict(request.query_params),
        headers={name.lower(): value for name, value in request.headers.items()},
        body=body,
        base_url=f"{request.url.scheme}://{host}/{provider_id}",
        client=forwarded or (request.client.host if request.client else "unknown"),
    )


def _secret_names(contract: Contract) -> frozenset[str]:
    names = {str(scheme.get("name", "authorization")).lower() for scheme in contract.security_schemes.values()}
    return frozenset(names | {"authorization", "cookie"})


def _masked(values: Any, secrets: frozenset[str]) -> dict[str, str]:
    return {name: MASK if name.lower() in secrets else value for name, value in values.items()}


async def send_reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send `reply`; one that is cut breaks off after half of its body."""
    payload = reply.payload()
    headers = {name: value for name, value in reply.headers.items() if name.lower() != "content-type"}
    headers["Server"] = SERVER_NAME
    if reply.media_type:
        headers["Content-Type"] = reply.media_type
    if not reply.cut:
        await Response(payload, reply.status, headers)(scope, receive, send)
        return
    response = Response(payload or b" ", reply.status, headers)
    await send({"type": "http.response.start", "status": reply.status, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": payload[: len(payload) // 2], "more_body": True})
