"""Serves all emulated providers in one ASGI application, and keeps a journal of their requests."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from voicegauge.contract import Contract
from voicegauge.emulator.audio import SpeechSynthesizer, check_emulation_spec
from voicegauge.emulator.endpoints import EmulatedProvider
from voicegauge.emulator.faults import Fault, FaultInjector
from voicegauge.emulator.http import IncomingRequest
from voicegauge.emulator.responses import EmulatedResponse, send_stream
from voicegauge.emulator.server.body_memory import BodyMemory
from voicegauge.emulator.server.journal import RequestJournal
from voicegauge.emulator.server.request_bodies import ReceivedBody, receive_provider_request_body
from voicegauge.emulator.settings import SERVER_HEADER_VALUE, EmulatorSettings
from voicegauge.emulator.state import EmulatedClock


class EmulatedProviders:
    """The emulated providers, with a clock, a speech synthesizer and a journal that they share."""

    def __init__(
        self, contracts: Sequence[Contract], settings: EmulatorSettings, extra_faults: Sequence[Fault] = ()
    ) -> None:
        """Start all providers with empty state."""
        for contract in contracts:
            for target in contract.targets.values():
                check_emulation_spec(target)
        self.contracts, self.settings = contracts, settings
        self.fault_injector = FaultInjector(settings.faults, contracts, extra_faults)
        self.synthesizer = SpeechSynthesizer()
        self.journal = RequestJournal()
        self._body_memory = BodyMemory()
        self.reset()

    def reset(self) -> None:
        """Reset the clock, the journal and all providers; faults are kept."""
        self.clock = EmulatedClock(self.settings)
        self.journal.clear()
        lock = asyncio.Lock()
        self.providers = {
            contract.id: EmulatedProvider(
                contract.select_account_plans([self.settings.account_plan] if self.settings.account_plan else []),
                self.settings,
                self.clock,
                self.synthesizer,
                self.fault_injector,
                lock,
            )
            for contract in self.contracts
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to one request to a provider."""
        if scope["type"] != "http":
            return
        path = read_raw_path(scope)
        provider_id, _, rest = path.lstrip("/").partition("/")
        provider, prefix = self.providers.get(provider_id), f"/{provider_id}"
        if provider is not None:
            path = f"/{rest}"
        elif len(self.providers) == 1:  # clients whose base URL has only a host reach it, too
            provider, prefix = next(iter(self.providers.values())), ""
        else:
            known = ", ".join(f"/{name}" for name in self.providers)
            await Response(f"no such provider; here are: {known}\n", 404)(scope, receive, send)
            return
        try:
            response = await self._respond(provider, prefix, path, scope, receive)
        except ConnectionError:
            return
        if response is None:
            await Response("the body is too large\n", 413, {"Connection": "close"})(scope, receive, send)
            return
        if response.stream_pieces is not None and response.replacement_body_bytes is None:
            await send({"type": "http.response.start", "status": response.status, "headers": _encode_headers(response)})
            await send_stream(response, response.stream_pieces, self.clock, receive, send)
        else:
            await send_response(response, send)

    async def _respond(
        self, provider: EmulatedProvider, base_path: str, path: str, scope: Scope, receive: Receive
    ) -> EmulatedResponse | None:
        """Read the request and return its response; `None` if its body is too large.

        Args:
            provider: the provider.
            base_path: the path of the provider's base URL; empty at the root of the port.
            path: the path below the base URL.
            scope: the ASGI scope of the request.
            receive: receives the body.

        Raises:
            ConnectionError: the client disconnected.
        """
        with (
            self._body_memory.open_share() as share
        ):  # not while the response is sent, for which the client may take hours
            body = await receive_provider_request_body(scope, receive, share)
            if body is None:
                return None
            incoming_request = _build_incoming_request(scope, base_path, path, body)
            del body
            response = await provider.respond(incoming_request)
            self.journal.record_request(provider.contract, incoming_request, response, self.clock.now())
            return response


def read_raw_path(scope: MutableMapping[str, Any]) -> str:
    """Return the path with its percent-escapes, so that an escaped slash does not split a path parameter."""
    encoded_path: bytes | None = scope.get("raw_path")
    return encoded_path.partition(b"?")[0].decode("latin-1") if encoded_path is not None else str(scope["path"])


def _build_incoming_request(scope: Scope, base_path: str, path: str, body: ReceivedBody) -> IncomingRequest:
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    forwarded = headers.get("x-forwarded-for", "").split(",")[0].strip()
    host = headers.get("host") or _format_server_host(scope)
    return IncomingRequest(
        method=scope["method"],
        path=path,
        query=dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)),
        headers=headers,
        body=body.content,
        form_reader=body.form_reader,
        body_size_bytes=body.size_bytes,
        base_url=f"{scope['scheme']}://{host}{base_path}",
        raw_query=scope["query_string"].decode("latin-1"),
        client_address=forwarded or (scope["client"][0] if scope.get("client") else "unknown"),
    )


def _format_server_host(scope: Scope) -> str:
    host, port = scope.get("server") or ("localhost", None)
    return host if port is None else f"{host}:{port}"


def _encode_headers(response: EmulatedResponse) -> list[tuple[bytes, bytes]]:
    headers = {name.lower(): value for name, value in response.headers.items() if name.lower() != "content-type"}
    headers["server"] = SERVER_HEADER_VALUE
    if response.media_type:
        headers["content-type"] = response.media_type
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def send_response(response: EmulatedResponse, send: Send) -> None:
    """Send a response that is not streamed; if a fault cuts it, the connection is closed after half of the body."""
    payload = response.encode_payload()
    head = _encode_headers(response)
    if response.status >= 200 and response.status not in (204, 304):  # RFC 9110, section 8.6
        head.append((b"content-length", b"%d" % (len(payload) or int(response.is_connection_cut))))
    await send({"type": "http.response.start", "status": response.status, "headers": head})
    sent = payload[: len(payload) // 2] if response.is_connection_cut else payload
    await send({"type": "http.response.body", "body": sent, "more_body": response.is_connection_cut})
