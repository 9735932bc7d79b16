"""Opens a WebSocket connection to a target, and sends the messages that its contract describes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from voicegauge.client.client import Client
from voicegauge.client.connection import ApiKeyOrSentinel, ApiKeySentinel
from voicegauge.client.keys import replace_key
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.extension.sockets import ClientAction, SocketFormat
from voicegauge.contract.socket_messages import get_settings
from voicegauge.contract.targets import BaseSocketTarget
from voicegauge.errors import TransportError
from voicegauge.model.exchange import Request
from voicegauge.model.socket import SocketTraffic
from voicegauge.model.socket_messages import SocketMessage
from voicegauge.transport.http import create_ssl_context
from voicegauge.transport.websocket import WebSocketConnection

TargetT = TypeVar("TargetT", bound=BaseSocketTarget)
SESSION_TIMEOUT_S = 5.0
"""Time in seconds for the message that a connection is ready, where one is documented."""


class SocketLink(ABC, Generic[TargetT]):
    """One connection to a target. What its messages mean is left to subclasses."""

    def __init__(
        self,
        client: Client,
        target: TargetT,
        *,
        audio_format: SocketFormat | None,
        key: ApiKeyOrSentinel,
        timeout_s: float,
    ) -> None:
        """Prepare a connection.

        Args:
            client: builds the handshake with base URL and key.
            target: the target.
            audio_format: format to ask for; by default the target's first.
            key: replaces the client's key; `None` sends none.
            timeout_s: time in seconds that the service has for a turn.
        """
        self._client, self.target, self.timeout_s = client, target, timeout_s
        self._constants = target.collect_constants(audio_format)
        self._key = key
        self.connection = WebSocketConnection(self._take_message)
        self._waiting: list[tuple[Callable[[], bool], asyncio.Future[None]]] = []
        """Conditions that tasks wait for."""
        self._request = self._build_handshake()
        self._nonce = 0

    @abstractmethod
    def _read_message(self, message: SocketMessage) -> None:
        """Read a message of either side."""

    @property
    @abstractmethod
    def _is_ready(self) -> bool:
        """Whether the service has reported that the connection is ready."""

    def _build_handshake(self) -> Request:
        parts: dict[str, dict[str, object]] = {"path": {}, "query": {}, "header": {}}
        for location, value in self._constants.items():
            if not location.is_in_body:
                parts[location.message_part][location.name] = value
        request = RequestParts(
            path_parameters=parts["path"],
            query_parameters=parts["query"],
            headers={name: str(value) for name, value in parts["header"].items()},
        )
        return self._client.build_request(self.target.operation, request, key=self._key)

    @property
    def _message_key(self) -> str | None:
        if self._key is ApiKeySentinel.USE_CLIENT_KEY:
            return self._client.key
        return None if self._key is None else replace_key(self._client.key, self._key)

    def build_traffic(self) -> SocketTraffic:
        """Return the record of the connection so far."""
        return self.connection.build_traffic(self._client.contract.id, self.target.operation.id, self._request)

    async def open(self) -> None:
        """Open the connection, and send what has to be sent first.

        `build_traffic().status` has the status of the response, also if the service rejects the handshake.

        Raises:
            TransportError: there was no response.
        """
        await self._client.wait_for_rate_limit(self.target.operation)
        context = None
        if self._request.url.startswith("https:"):
            context = create_ssl_context(http2=False)
        try:
            await self.connection.connect(self._request, ssl_context=context)
        except TransportError as error:
            error.args = (self._client.mask_secrets(str(error)),)
            raise error from None
        if not self.connection.is_open:
            return
        self._send("session", None)
        if self.target.spec.has_event("session"):
            await self._wait(lambda: self._is_ready, SESSION_TIMEOUT_S)

    async def close(self) -> None:
        """End the connection, with the message that the contract documents for that, if there is one."""
        if self.connection.is_open and self._send("close", None):
            await self._wait(lambda: not self.connection.is_open, SESSION_TIMEOUT_S)
        await self.connection.close()

    def send(self, data: str | bytes) -> None:
        """Send a message that is not built from the contract, such as a wrong one."""
        self.connection.send(data)

    def _send(
        self, action: ClientAction, context: str | None, text: str | None = None, audio: bytes | None = None
    ) -> bool:
        """Send the message for an action; return whether the contract has one."""
        data = self.target.socket.build_client_message(
            action,
            text=text,
            context=context,
            settings=get_settings(self._constants),
            key=self._message_key,
            nonce=self._count_message(),
            audio=audio,
        )
        if data is None:
            return False
        self._read_message(self.connection.send(data))
        return True

    def _count_message(self) -> int:
        self._nonce += 1
        return self._nonce

    def _take_message(self, message: SocketMessage) -> None:
        self._read_message(message)
        for condition, future in self._waiting:
            if not future.done() and condition():
                future.set_result(None)

    async def _wait(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until a condition holds that messages can change; return whether it did in time.

        The condition is looked at in the callback of the socket: with hundreds of connections, waking a task for each
        message would delay the messages of the others.
        """
        if condition() or not self.connection.is_open:
            return condition()
        waiting = (condition, asyncio.get_running_loop().create_future())
        ended = asyncio.ensure_future(self.connection.ended.wait())
        self._waiting.append(waiting)
        try:
            await asyncio.wait([waiting[1], ended], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiting.remove(waiting)
            waiting[1].cancel()
            ended.cancel()
        return condition()
