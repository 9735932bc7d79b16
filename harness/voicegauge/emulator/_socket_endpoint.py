"""Accepts and rejects the WebSockets of a provider, as its contract documents."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.contract.socket_turns import find_handshake_violation
from voicegauge.emulator._accounts import AccountRegistry
from voicegauge.emulator._emulated_connection import SocketServices
from voicegauge.emulator._job_state import EmulatedClock
from voicegauge.emulator._request import IncomingRequest, Rejection
from voicegauge.emulator._socket_connection import EmulatedSocket
from voicegauge.emulator._transcription import EmulatedTranscription
from voicegauge.emulator.settings import SERVER_HEADER_VALUE
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import SOCKET_ABORT_EXTENSION_KEY

MAX_OPEN_SOCKETS = 1000
"""Maximum number of open connections to one provider."""


class SocketEndpoint:
    """The WebSockets of one provider."""

    def __init__(
        self,
        contract: Contract,
        services: SocketServices,
        clock: EmulatedClock,
        accounts: AccountRegistry,
    ) -> None:
        """Serve the channels of `contract`."""
        self._contract, self._services, self._clock, self._accounts = contract, services, clock, accounts
        self._open_count = 0

    async def serve(self, request: IncomingRequest, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one handshake, and the messages after it."""
        await receive()  # websocket.connect
        if self._open_count >= MAX_OPEN_SOCKETS:
            await reject_handshake(send, HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
            return
        self._open_count += 1
        try:
            await self._accept_or_reject(request, scope, receive, send)
        finally:
            self._open_count -= 1

    async def _accept_or_reject(self, request: IncomingRequest, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._find_channel(request.path)
        if found is None:
            paths = ", ".join(one.path for one in self._contract.socket_operations.values()) or "none"
            await self._reject(send, HTTPStatus.NOT_FOUND, request.path, f"no such path; paths of WebSockets: {paths}")
            return
        operation, path_values = found
        ignores_key = any(
            fault.ignores_key
            for target in operation.socket_targets
            for fault in self._services.fault_injector.list_socket_faults(target)
        )
        try:
            self._accounts.identify_account(request, operation, self._clock.now(), is_key_enforced=not ignores_key)
        except Rejection as rejection:
            await self._reject(send, HTTPStatus.UNAUTHORIZED, operation.id, rejection.detail)
            return
        violation = find_handshake_violation(operation, request.query, request.find_header)
        if violation is not None:
            await self._reject(send, HTTPStatus.BAD_REQUEST, operation.id, violation)
            return
        assert operation.socket is not None
        values = _read_handshake_values(operation.socket, request, path_values)
        protocols = scope.get("subprotocols") or []
        accept: dict[str, Any] = {
            "type": "websocket.accept",
            "headers": [(b"server", SERVER_HEADER_VALUE.encode())],
            "subprotocol": protocols[0] if protocols else None,
        }
        await send(accept)
        if operation.socket.spec.transcribes:
            await EmulatedTranscription(operation, values, self._services, receive, send).run()
            return
        abort: Callable[[], None] = scope.get("extensions", {}).get(SOCKET_ABORT_EXTENSION_KEY, lambda: None)
        await EmulatedSocket(operation, values, self._services, receive, send, abort).run()

    async def _reject(
        self, send: Callable[[Any], Awaitable[None]], status: HTTPStatus, operation: str, reason: str
    ) -> None:
        """Answer a handshake with a status other than 101, and report what the client did wrong."""
        self._services.client_findings.add_rejected_handshake(self._contract.id, operation, reason)
        await reject_handshake(send, status, reason)

    def _find_channel(self, path: str) -> tuple[Operation, dict[str, str]] | None:
        for operation in self._contract.socket_operations.values():
            match = operation.match_path_end(path)
            if match is not None:
                return operation, match.path_parameters
        return None


def _read_handshake_values(
    channel: SocketChannel, request: IncomingRequest, path_values: Mapping[str, str]
) -> dict[Location, Any]:
    """Return the values in a handshake at every location where a target of the channel has a constant."""
    spec = channel.spec
    locations = {one for one in (spec.voice_location, spec.language_location) if one is not None}
    for target in spec.targets.values():
        locations |= set(target.request_constants)
        for audio_format in target.formats.values():
            locations |= set(audio_format.request_constants)
    values: dict[Location, Any] = {}
    for location in locations:
        if location.message_part == "query":
            found: Any = request.query.get(location.name)
        elif location.message_part == "path":
            found = path_values.get(location.name)
        else:
            found = request.find_header(location.name) if location.message_part == "header" else None
        if found is not None:
            values[location] = found
    return values


async def reject_handshake(send: Callable[[Any], Awaitable[None]], status: int, reason: str) -> None:
    """Answer a handshake with an HTTP status other than 101."""
    headers = [(b"content-type", b"application/json"), (b"server", SERVER_HEADER_VALUE.encode())]
    await send({"type": "websocket.http.response.start", "status": int(status), "headers": headers})
    body = json.dumps({"error": reason}).encode()
    await send({"type": "websocket.http.response.body", "body": body})
