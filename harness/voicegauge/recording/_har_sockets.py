"""Converts the messages of a WebSocket to the form in which browsers write them to HAR files, and back.

Chrome and Firefox write `_webSocketMessages` into the entry of the handshake: text as it is, binary messages in base64,
no control frames, and not how the connection was closed. What else is known is in `_webSocket`.
"""

from __future__ import annotations

import base64
import datetime as dt
import math
from typing import Any

from msgspec import UnsetType

from voicegauge.model.exchange import Exchange
from voicegauge.model.socket_messages import SocketMessage, SocketMessages
from voicegauge.recording._har_format import HarEntry, HarSocket, HarSocketMessage
from voicegauge.recording._parsed_interaction import NotImportedError, parse_base64, require_mapping, require_text

_TEXT_OPCODE, _BINARY_OPCODE = 1, 2
WEBSOCKET_RESOURCE_TYPE = "websocket"
CLOSE_REMARK = "how the connection was closed is not in the file, and neither are its control frames"


def convert_to_har_messages(socket: SocketMessages, recorded_at: str) -> tuple[tuple[HarSocketMessage, ...], HarSocket]:
    """Return the messages of a connection, and what browsers do not write.

    `recorded_at` is the time of the recording, for a connection whose time is not known.
    """
    opened_at = socket.opened_at
    if opened_at is None:
        opened_at = dt.datetime.fromisoformat(recorded_at).timestamp()
    messages = tuple(_convert_message(message, opened_at) for message in socket.messages)
    return messages, HarSocket(
        opened_at=opened_at,
        handshake_ms=socket.handshake_ms,
        close=socket.close,
        is_truncated=socket.is_truncated,
    )


def _convert_message(message: SocketMessage, opened_at: float) -> HarSocketMessage:
    return HarSocketMessage(
        type="send" if message.sender == "client" else "receive",
        time=opened_at + message.at_ms / 1000,
        opcode=2 if message.is_binary else 1,
        data=base64.b64encode(message.data).decode() if message.is_binary else message.data.decode(errors="replace"),
    )


def read_har_socket(entry: HarEntry) -> SocketMessages | None:
    """Return the messages of an entry that voicegauge wrote; `None` if it is not a handshake of a WebSocket.

    Raises:
        NotImportedError: a binary message is not valid base64.
    """
    socket, listed = entry.socket, entry.socket_messages
    if isinstance(socket, UnsetType):
        return None
    return SocketMessages(
        messages=tuple(
            _build_message(one.type, one.time, socket.opened_at, one.data, is_binary=one.opcode == _BINARY_OPCODE)
            for one in (() if isinstance(listed, UnsetType) else listed)
        ),
        close=socket.close,
        opened_at=socket.opened_at,
        handshake_ms=socket.handshake_ms,
        is_truncated=socket.is_truncated,
    )


def _build_message(kind: str, time_s: float, opened_at: float, text: str, *, is_binary: bool) -> SocketMessage:
    return SocketMessage(
        sender="client" if kind == "send" else "server",
        at_ms=round((time_s - opened_at) * 1000, 3),
        data=parse_base64(text, "binary message") if is_binary else text.encode("utf-8", "surrogatepass"),
        is_binary=is_binary,
    )


def parse_browser_messages(listed: Any, started_at: dt.datetime | None, connect_ms: float) -> SocketMessages:
    """Read the `_webSocketMessages` of a browser or proxy.

    Args:
        listed: the value of the key.
        started_at: when the handshake began; `None` if the file does not say.
        connect_ms: how long it took, in milliseconds.

    Raises:
        NotImportedError: a message cannot be read.
    """
    if not isinstance(listed, list):
        raise NotImportedError("its WebSocket messages are not a list")
    messages: list[tuple[str, float, str, bool]] = []
    for item in listed:
        message = require_mapping(item, "WebSocket message")
        opcode, kind = message.get("opcode"), message.get("type")
        if kind not in ("send", "receive") or opcode not in (_TEXT_OPCODE, _BINARY_OPCODE):
            continue  # an error of the connection, or a control frame
        time_s = message.get("time")
        if isinstance(time_s, bool) or not isinstance(time_s, int | float) or not math.isfinite(time_s):
            raise NotImportedError("a WebSocket message has no time")
        text = require_text(message.get("data") or "", "WebSocket message")
        messages.append((kind, float(time_s), text, opcode == _BINARY_OPCODE))
    first = min((time for _, time, _, _ in messages), default=0.0)
    opened_at = started_at.timestamp() + connect_ms / 1000 if started_at is not None else first
    opened_at = min(opened_at, first) if messages else opened_at  # browsers round both
    return SocketMessages(
        messages=tuple(
            _build_message(kind, time, opened_at, text, is_binary=is_binary)
            for kind, time, text, is_binary in sorted(messages, key=lambda one: one[1])
        ),
        opened_at=opened_at,
    )


def get_start_time(exchange: Exchange) -> float | None:
    """Return the Unix time, in seconds, at which an exchange began; `None` if it is not known."""
    if exchange.timing is not None:
        return exchange.timing.started_at
    return exchange.socket.opened_at if exchange.socket is not None else None
