"""The subset of HAR 1.2 that voicegauge uses, with sidecar files of long bodies and the messages of WebSockets.

Custom fields begin with an underscore, as HAR 1.2 requires. Times are in milliseconds.

The name of a sidecar file consists of the SHA-256 of its content and an extension.

Chrome and Firefox write `_webSocketMessages` into the entry of the handshake: text as it is, binary messages in base64,
no control frames, and nothing about how the connection was closed. Voicegauge writes this further information to
`_webSocket`.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from voicegauge.errors import DataError
from voicegauge.files import open_file, read_file
from voicegauge.formats.bodies import read_finite_number
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import Exchange, SocketClose, SocketMessage, SocketMessageLog, Timing
from voicegauge.recording.recorded_exchanges import NotImportedError, parse_base64, require_mapping, require_text

# Defines msgspec structs for the subset of HAR 1.2 that voicegauge writes and reads.


HAR_SCHEMA_VERSION = 1
"""Version of the fields whose names begin with an underscore. It is increased when their meaning or shape changes."""

HttpStatus = Annotated[int, Meta(ge=0, le=999)]
"""A status as HAR files have it; browsers write 0 for a request without a response."""
SidecarName = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\.[a-z0-9]{1,5}\Z")]
"""Name of a file next to the HAR file. It consists of the SHA-256 of the content and an extension, so it can never be
a path to another folder."""


class HarStruct(Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of all structs in this module.

    Field names are in camel case in the file. HAR 1.2 requires that the names of additional fields begin with an
    underscore, and that readers ignore unknown fields. Names of durations and sizes have their unit in this module, but
    not in the file.
    """


class HarNameValue(HarStruct, frozen=True, kw_only=True):
    """A header, a query parameter or a cookie."""

    name: str
    value: str


class HarFormField(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a multipart body. It contains either text or a file."""

    name: str
    value: str = ""
    file_name: str | None = None
    content_type: str | None = None
    file: SidecarName | None = field(default=None, name="_file")
    """Name of the sidecar file with the content; `None` if `value` has it."""


class HarRequestBody(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A request body. It is stored as form fields, as text or in a sidecar file."""

    mime_type: str
    form_fields: tuple[HarFormField, ...] = field(default=(), name="params")
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")
    """Name of the sidecar file with the body; `None` if it is not in one."""


class HarRequest(HarStruct, frozen=True, kw_only=True):
    """An HTTP request."""

    method: str
    url: str
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    query_string: tuple[HarNameValue, ...] = ()
    post_data: HarRequestBody | UnsetType = UNSET
    headers_size: int = -1
    """Size of the headers in bytes; -1 if not known."""
    body_size: int = -1
    """Size of the body in bytes; -1 if not known."""


class HarContent(HarStruct, frozen=True, kw_only=True, omit_defaults=True):
    """A response body. It is stored as text or in a sidecar file."""

    size_bytes: int = field(name="size")
    mime_type: str
    text: str = ""
    file: SidecarName | None = field(default=None, name="_file")
    """Name of the sidecar file with the body; `None` if `text` has it."""


class HarResponse(HarStruct, frozen=True, kw_only=True):
    """An HTTP response."""

    status: HttpStatus
    status_text: str = ""
    http_version: str = "HTTP/1.1"
    cookies: tuple[HarNameValue, ...] = ()
    headers: tuple[HarNameValue, ...] = ()
    content: HarContent
    redirect_url: str = field(default="", name="redirectURL")
    headers_size: int = -1
    """Size of the headers in bytes; -1 if not known."""
    body_size: int = -1
    """Size of the body in bytes; -1 if not known."""


class HarTimings(HarStruct, frozen=True, kw_only=True):
    """Durations of the phases of a request in milliseconds.

    HAR counts the TLS handshake as a part of connecting, so `connect_ms` includes `tls_ms`. The value -1 means that a
    phase did not happen.
    """

    blocked_ms: float = field(default=-1, name="blocked")
    """Time until a connection was available."""
    dns_ms: float = field(default=-1, name="dns")
    connect_ms: float = field(default=-1, name="connect")
    tls_ms: float = field(default=-1, name="ssl")
    send_ms: float = field(default=0, name="send")
    ttfb_ms: float = field(default=0, name="wait")
    """Time from the end of the request to the first byte of the response."""
    receive_ms: float = field(default=0, name="receive")


class HarSocketMessage(HarStruct, frozen=True, kw_only=True):
    """A message of a WebSocket, as browsers write it."""

    type: Literal["send", "receive"]
    """Whether the client has sent or received the message."""
    time: float
    """Unix time in seconds."""
    opcode: Literal[1, 2]
    """1 for text, 2 for binary."""
    data: str
    """The text, or the bytes in base64."""


class HarSocket(HarStruct, frozen=True, kw_only=True):
    """The information about a WebSocket that browsers do not write."""

    opened_at: float
    """Unix time in seconds at which the connection was opened, from which the times of its messages count."""
    handshake_ms: float | None = None
    """Time from the start of the connection attempt to the response; `None` if it was not timed."""
    close: SocketClose | None = None
    """How the connection ended; `None` if that was not observed."""
    is_truncated: bool = False
    """Whether voicegauge ended the connection because the service sent more than it accepts."""


class HarEntry(HarStruct, frozen=True, kw_only=True):
    """One request with its response."""

    started_date_time: str
    """Time at which the request was sent, as an ISO 8601 text; the time of the recording if nothing was measured."""
    total_ms: float = field(name="time")
    """Duration of the whole exchange in milliseconds; 0 if it was not measured."""
    request: HarRequest
    response: HarResponse
    cache: dict[str, str] = {}
    """Always empty. HAR 1.2 requires this field."""
    timings: HarTimings
    provider: str = field(name="_provider")
    """Id of the provider."""
    operation: str = field(name="_operation")
    """Id of the operation or channel in the contract."""
    conversation: str | None = field(default=None, name="_conversation")
    """Id that the exchanges of one conversation share; `None` if the exchange is alone in its
    conversation."""
    timing: Timing | None = field(default=None, name="_timing")
    """The full measurement with the arrival time of each chunk, which `timings` cannot contain; `None` if nothing was
    measured."""
    resource_type: str | UnsetType = field(default=UNSET, name="_resourceType")
    """"websocket" for the handshake of a WebSocket, as browsers write it."""
    socket_messages: tuple[HarSocketMessage, ...] | UnsetType = field(default=UNSET, name="_webSocketMessages")
    socket: HarSocket | UnsetType = field(default=UNSET, name="_webSocket")


class HarCreator(HarStruct, frozen=True, kw_only=True):
    """The program that wrote the file."""

    name: str
    version: str


class HarMetadata(HarStruct, frozen=True, kw_only=True):
    """Describes the origin of the recorded traffic and what was masked in it."""

    schema_version: int
    provenance: Provenance
    provider: str
    contract_version: str
    contract_sha256: str
    recorded_at: str
    """Time of the recording in UTC, as an ISO 8601 text."""
    redaction_count_by_location: dict[str, int] = field(default_factory=dict)
    """Number of masked values by location, such as "request header authorization"."""


class HarLog(HarStruct, frozen=True, kw_only=True):
    """The top-level object of a HAR file."""

    version: str
    """Version of HAR."""
    creator: HarCreator
    entries: tuple[HarEntry, ...]
    voicegauge: HarMetadata = field(name="_voicegauge")


class HarFile(HarStruct, frozen=True, kw_only=True):
    """A whole HAR file."""

    log: HarLog


def convert_to_har_timings(timing: Timing | None) -> HarTimings:
    """Convert a measurement to the phases that HAR defines; `None` (nothing measured) to phases without times."""
    if timing is None:
        return HarTimings()
    tls_ms = timing.tls_ms
    # In HAR, the time of connecting includes that of TLS.
    connect_ms = None if timing.connect_ms is None else timing.connect_ms + (tls_ms or 0.0)
    return HarTimings(
        blocked_ms=timing.connection_wait_ms,
        dns_ms=-1 if timing.dns_ms is None else timing.dns_ms,
        connect_ms=-1 if connect_ms is None else connect_ms,
        tls_ms=-1 if tls_ms is None else tls_ms,
        send_ms=timing.send_ms,
        ttfb_ms=timing.ttfb_ms,
        receive_ms=timing.receive_ms,
    )


# Writes and reads sidecar files, which are stored next to a HAR file and contain its binary bodies and long bodies.


MAX_SIDECAR_BYTES = 64 * 2**20
"""Maximum size of a sidecar file that is read."""
MAX_INLINE_BYTES = 256 * 2**10
"""Maximum size of a body inside the HAR file. Larger bodies are written to sidecar files, so that editors can open the
HAR file."""
_SIDECAR_REFERENCE_PATTERN = re.compile(rb'"_file": ?"([0-9a-f]{64}\.[a-z0-9]{1,5})"')
"""Matches the name of a sidecar file in the text of a HAR file, which need not be parsed for it."""
_EXTENSION_BY_MEDIA_TYPE = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "application/json": "json",
}


class SidecarWriter:
    """Collects the bodies that are not stored inside the HAR file. Equal bodies share one sidecar file."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        """The collected bodies by the name of their sidecar file."""

    def store_body(self, body: bytes, media_type: str) -> tuple[str, str | None]:
        """Store `body`; return (text, `None`) if it is short text, otherwise ("", name of its sidecar file)."""
        if len(body) <= MAX_INLINE_BYTES:
            try:
                return body.decode(), None
            except UnicodeDecodeError:
                pass
        name = f"{hashlib.sha256(body).hexdigest()}.{_EXTENSION_BY_MEDIA_TYPE.get(media_type, 'bin')}"
        self.files[name] = body
        return "", name


class SidecarReader:
    """Reads the bodies of one HAR file.

    A sidecar file is read and verified only once, even if several entries name it.
    """

    def __init__(self, har_path: Path) -> None:
        self._har_path = har_path
        self._bodies: dict[str, bytes] = {}

    def read_body(self, inline_text: str, sidecar_name: str | None) -> bytes:
        """Return the content of the sidecar file `sidecar_name`, or `inline_text` as bytes if `sidecar_name` is `None`.

        Raises:
            DataError: the sidecar file is missing, is too large, or was changed.
        """
        if sidecar_name is None:
            return inline_text.encode()
        if sidecar_name not in self._bodies:
            path = self._har_path.parent / sidecar_name
            body = read_file_within_limit(path, MAX_SIDECAR_BYTES)
            # Another file of this name would be replayed, and judged, as what the service sent.
            if hashlib.sha256(body).hexdigest() != sidecar_name.partition(".")[0]:
                raise DataError(f"{path}: was changed since {self._har_path.name} was recorded: its SHA-256 differs")
            self._bodies[sidecar_name] = body
        return self._bodies[sidecar_name]


def read_file_within_limit(path: Path, max_bytes: int) -> bytes:
    """Read a file of at most `max_bytes`.

    Raises:
        DataError: the file cannot be read, or is larger than `max_bytes`.
    """
    try:
        with open_file(path) as file:
            raw = file.read(max_bytes + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    if len(raw) > max_bytes:
        raise DataError(f"{path}: is larger than {max_bytes} bytes")
    return raw


def find_sidecar_names(har_path: Path) -> set[str]:
    """Return the names of the sidecar files that a HAR file refers to; none if the HAR file cannot be read."""
    try:
        return {found[1].decode() for found in _SIDECAR_REFERENCE_PATTERN.finditer(read_file(har_path))}
    except OSError:
        return set()


def remove_orphaned_sidecars(folder: Path, sidecar_names: set[str]) -> None:
    """Delete those of the sidecar files `sidecar_names` that no HAR file in `folder` refers to any more."""
    # Equal bodies share a file, also across recordings.
    for har_path in folder.glob("*.har") if sidecar_names else ():
        sidecar_names -= find_sidecar_names(har_path)
    for name in sidecar_names:
        (folder / name).unlink(missing_ok=True)


_TEXT_OPCODE: Literal[1] = 1
_BINARY_OPCODE: Literal[2] = 2
"""Codes of the frames that begin a message (RFC 6455, section 5.2)."""
WEBSOCKET_RESOURCE_TYPE = "websocket"
"""The value of `_resourceType` that browsers write for the handshake of a WebSocket."""
UNKNOWN_CLOSE_REMARK = "how the connection was closed is not in the file, and neither are its control frames"
"""Note on a WebSocket that was imported from a HAR file of a browser."""


def convert_to_har_messages(
    socket: SocketMessageLog, recorded_at: str
) -> tuple[tuple[HarSocketMessage, ...], HarSocket]:
    """Return the messages of a connection, and the information about it that browsers do not write.

    `recorded_at` is the time of the recording, which is used if the time of the connection is not known.
    """
    opened_at = socket.opened_at
    if opened_at is None:
        opened_at = dt.datetime.fromisoformat(recorded_at).timestamp()
    messages = tuple(
        HarSocketMessage(
            type="send" if one.sender == "client" else "receive",
            time=opened_at + one.at_ms / 1000,
            opcode=_BINARY_OPCODE if one.is_binary else _TEXT_OPCODE,
            data=base64.b64encode(one.data).decode() if one.is_binary else one.data.decode(errors="replace"),
        )
        for one in socket.messages
    )
    return messages, HarSocket(
        opened_at=opened_at,
        handshake_ms=socket.handshake_ms,
        close=socket.close,
        is_truncated=socket.is_truncated,
    )


def read_har_socket(entry: HarEntry) -> SocketMessageLog | None:
    """Return the messages of an entry that voicegauge wrote; `None` if it is not a handshake of a WebSocket.

    Raises:
        NotImportedError: a binary message is not valid base64.
    """
    socket, listed = entry.socket, entry.socket_messages
    if isinstance(socket, UnsetType):
        return None
    return SocketMessageLog(
        messages=tuple(
            _parse_har_socket_message(
                one.type, one.time, socket.opened_at, one.data, is_binary=one.opcode == _BINARY_OPCODE
            )
            for one in (() if isinstance(listed, UnsetType) else listed)
        ),
        close=socket.close,
        opened_at=socket.opened_at,
        handshake_ms=socket.handshake_ms,
        is_truncated=socket.is_truncated,
    )


def _parse_har_socket_message(
    message_type: str, time_s: float, opened_at: float, text: str, *, is_binary: bool
) -> SocketMessage:
    return SocketMessage(
        sender="client" if message_type == "send" else "server",
        at_ms=round((time_s - opened_at) * 1000, 3),
        data=parse_base64(text, "binary message") if is_binary else text.encode("utf-8", "surrogatepass"),
        is_binary=is_binary,
    )


def parse_browser_messages(message_list: Any, started_at: dt.datetime | None, connect_ms: float) -> SocketMessageLog:
    """Read the `_webSocketMessages` of a browser or proxy.

    Args:
        message_list: the value of the key.
        started_at: when the handshake began; `None` if the file does not say.
        connect_ms: duration of the handshake in milliseconds.

    Raises:
        NotImportedError: a message cannot be read.
    """
    if not isinstance(message_list, list):
        raise NotImportedError("its WebSocket messages are not a list")
    messages: list[tuple[str, float, str, bool]] = []
    for item in message_list:
        message = require_mapping(item, "WebSocket message")
        opcode, kind = message.get("opcode"), message.get("type")
        if kind not in ("send", "receive") or opcode not in (_TEXT_OPCODE, _BINARY_OPCODE):
            continue  # an error of the connection, or a control frame
        time_s = read_finite_number(message.get("time"))
        if time_s is None:
            raise NotImportedError("a WebSocket message has no time")
        text = require_text(message.get("data") or "", "WebSocket message")
        messages.append((kind, time_s, text, opcode == _BINARY_OPCODE))
    first = min((time for _, time, _, _ in messages), default=0.0)
    opened_at = started_at.timestamp() + connect_ms / 1000 if started_at is not None else first
    opened_at = min(opened_at, first) if messages else opened_at  # browsers round both
    return SocketMessageLog(
        messages=tuple(
            _parse_har_socket_message(kind, time, opened_at, text, is_binary=is_binary)
            for kind, time, text, is_binary in sorted(messages, key=lambda one: one[1])
        ),
        opened_at=opened_at,
    )


def get_start_unix_s(exchange: Exchange) -> float | None:
    """Return the Unix time, in seconds, at which an exchange began; `None` if it is not known."""
    if exchange.timing is not None:
        return exchange.timing.started_at
    return exchange.socket.opened_at if exchange.socket is not None else None
