"""The base class of emulated WebSocket connections: the messages, limits and end of those that speak or transcribe."""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from starlette.types import Receive, Send

from voicegauge.contract.contract import BaseSocketTarget
from voicegauge.contract.extension.sockets import SocketSpec
from voicegauge.contract.operation import Operation
from voicegauge.contract.socket_messages import ClientIntent
from voicegauge.emulator._accounts import REJECTED_KEY_PREFIX
from voicegauge.emulator._endpoint_context import EndpointContext
from voicegauge.emulator._output import SocketFault
from voicegauge.emulator.client_findings import ClientMonitor
from voicegauge.formats.locations import MISSING, Location

NORMAL_CLOSE_CODE, POLICY_CLOSE_CODE, TOO_BIG_CLOSE_CODE = 1000, 1008, 1009


class ConnectionEndedError(Exception):
    """The connection has ended, so that nothing more can be sent."""


def list_setting_locations(spec: SocketSpec) -> set[Location]:
    """Return the locations at which a client of the channel may state a voice, a language, a model or a format."""
    locations = {one for one in (spec.voice_location, spec.language_location) if one is not None}
    for target in spec.targets.values():
        locations |= set(target.request_constants)
        for audio_format in target.formats.values():
            locations |= set(audio_format.request_constants)
    return locations


def _matches_constant(value: Any, constant: Any) -> bool:
    """Whether `value` equals `constant` or its text, or is an object that has all members of the object `constant`."""
    if isinstance(constant, dict) and isinstance(value, dict):
        return all(_matches_constant(value.get(key), item) for key, item in constant.items())
    return bool(value == constant) or (isinstance(value, str) and value == str(constant))


class EmulatedConnection(ABC):
    """One accepted WebSocket connection."""

    def __init__(
        self,
        operation: Operation,
        handshake_values: Mapping[Location, Any],
        context: EndpointContext,
        receive: Receive,
        send: Send,
    ) -> None:
        """Prepare to answer the messages of a client whose handshake was accepted.

        Args:
            operation: the channel of the connection.
            handshake_values: what the handshake has at the locations of targets' constants.
            context: contract, settings and state of the provider.
            receive: receives messages of the client.
            send: sends messages to the client.
        """
        assert operation.socket is not None, "only channels have sockets"
        self._operation, self._channel, self._spec = operation, operation.socket, operation.socket.spec
        self._receive, self._send, self._settings = receive, send, context.settings
        self._handshake_values, self._fault_injector = handshake_values, context.fault_injector
        self._client_monitor = ClientMonitor(operation, context.client_findings)
        self._work_checks = context.client_findings.work_checks
        self._is_closed = False
        self._send_lock = asyncio.Lock()

    async def run(self) -> None:
        """Answer messages until the connection ends."""
        limit = self._spec.limits.inactivity
        # Without waiting times, a client would be idle at once.
        idle_s = None if limit is None else limit.max_s * (self._settings.time_scale or 1.0)
        is_closed_by_client = False
        self._work_checks.add(self._has_more_to_send)
        try:
            await self._report_event("connected")
            if "session" not in self._spec.client_messages:
                await self._report_event("session")
            while not self._is_closed:
                try:
                    async with asyncio.timeout(idle_s):
                        event = await self._receive()
                except TimeoutError:
                    assert limit is not None, "otherwise there is no timeout"
                    self._client_monitor.report("client-idle", f"nothing was sent for {idle_s:g} s")
                    await self._close(limit.close_code, "inactivity")
                    return
                if event["type"] == "websocket.disconnect":
                    is_closed_by_client = True
                    return
                if event["type"] == "websocket.receive":
                    await self._answer_message(event)
        except ConnectionEndedError:
            return
        finally:
            self._work_checks.discard(self._has_more_to_send)
            self._client_monitor.judge_end_of_connection(is_closed_by_client=is_closed_by_client)
            await self._stop_unfinished_work()

    @abstractmethod
    async def _answer_message(self, event: Mapping[str, Any]) -> None:
        """Answer one message of the client."""

    @abstractmethod
    def _has_more_to_send(self) -> bool:
        """Whether the emulator will send more messages even if the client sends none."""

    @abstractmethod
    async def _report_event(self, event_kind: Any, **values: Any) -> None:
        """Send an event with `values`, by placeholder of its template, if the contract has such a message."""

    @abstractmethod
    async def _stop_unfinished_work(self) -> None:
        """End what was still in progress when the connection ended."""

    def _read_setting(self, location: Location) -> Any:
        """Return what the client has stated at `location`; `MISSING` if it has stated nothing."""
        return self._handshake_values.get(location, MISSING)

    def _count_sent_constants(self, constants: Mapping[Location, Any]) -> int:
        """Return the number of `constants`, by location, that the client has sent."""
        return sum(_matches_constant(self._read_setting(location), value) for location, value in constants.items())

    def _list_socket_faults(self, target: BaseSocketTarget) -> list[SocketFault]:
        return self._fault_injector.list_socket_faults(target)

    async def _accept_key_message(self, intent: ClientIntent, faults: Iterable[SocketFault]) -> bool:
        """Check the key of the first message, and report that the connection is ready; return whether it is."""
        is_missing = not intent.key or intent.key.startswith(REJECTED_KEY_PREFIX)
        if self._spec.sends_key_in_message and is_missing and not any(fault.ignores_key for fault in faults):
            self._client_monitor.report("client-message-invalid", "the API key is missing or not valid")
            await self._report_event("error", reason="the API key is not valid")
            await self._close(POLICY_CLOSE_CODE, "unauthorized")
            return False
        await self._report_event("session")
        return True

    async def _report_error_or_close(self, reason: str, **values: Any) -> None:
        """Report an error with `values`, or close the connection if the contract has no message for errors."""
        if self._spec.has_event("error"):
            await self._report_event("error", reason=reason, **values)
        else:
            await self._close(POLICY_CLOSE_CODE, reason)

    async def _send_text(self, text: str) -> None:
        await self._send_event({"type": "websocket.send", "text": text})

    async def _send_event(self, event: dict[str, Any]) -> None:
        if self._is_closed:
            raise ConnectionEndedError
        try:
            async with self._send_lock:
                await self._send(event)
        except (OSError, RuntimeError) as error:  # the client has gone
            self._is_closed = True
            raise ConnectionEndedError from error

    async def _close(self, code: int | None, reason: str) -> None:
        if not self._is_closed:
            close = {"type": "websocket.close", "code": code or NORMAL_CLOSE_CODE, "reason": reason[:100]}
            with contextlib.suppress(ConnectionEndedError):
                await self._send_event(close)
            self._is_closed = True
