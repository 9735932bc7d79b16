"""A relayed exchange: its records, bodies and upstream server."""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from voicegauge.client.model_and_voice_names import ModelAndVoiceNames
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Server
from voicegauge.hosts import to_http_url
from voicegauge.model.base import Finding, Record
from voicegauge.model.exchange import Request, Response, SocketMessage, SocketMessageLog, Timing
from voicegauge.transport.raw_http import RawHeaders

# Copies bodies while they pass through the proxy. The size of each copy and of all copies together is limited.


MAX_JUDGED_BODY_BYTES = 32 * 2**20
"""Maximum size, in bytes, of a body that is judged and recorded: about three minutes of 16-bit stereo at 48 kHz. A
larger body passes through the proxy, but is not judged."""
MESSAGE_OVERHEAD_BYTES = 200
"""Memory, in bytes, that a message of a WebSocket takes beside its data."""
MAX_TOTAL_CAPTURED_BYTES = 64 * 2**20
"""Memory, in bytes, that the copies of all bodies take together until they are judged."""


class CapturedBodyLimit:
    """The limited memory for copies of bodies. It may be used from several threads."""

    def __init__(
        self, max_body_bytes: int = MAX_JUDGED_BODY_BYTES, max_total_bytes: int = MAX_TOTAL_CAPTURED_BYTES
    ) -> None:
        """Create a limit of `max_total_bytes`, none of which is used."""
        self.max_body_bytes = max_body_bytes
        self._free_bytes = max_total_bytes
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int) -> bool:
        """Reserve `size_bytes` of memory, and return whether there was enough."""
        with self._lock:
            if size_bytes > self._free_bytes:
                return False
            self._free_bytes -= size_bytes
            return True

    def release(self, size_bytes: int) -> None:
        """Free `size_bytes` of memory."""
        with self._lock:
            self._free_bytes += size_bytes


class CapturedBody:
    """The copy of one body, or the reason why there is none."""

    def __init__(self, memory: CapturedBodyLimit) -> None:
        """Start with an empty body."""
        self._memory = memory
        self._content = io.BytesIO()  # not a list: a body sent byte by byte would take 40 times its size
        self.size_bytes = 0
        """Number of copied bytes whose memory is still reserved."""
        self.lost_reason: str | None = None
        """Why the body is not kept; `None` if it is."""

    def add(self, chunk: bytes) -> None:
        """Append a chunk of the body. Above a limit, the whole body is discarded, and later chunks are ignored."""
        if self.reserve(len(chunk), "a body is"):
            self._content.write(chunk)
            self.size_bytes += len(chunk)

    def reserve(self, size_bytes: int, content_phrase: str) -> bool:
        """Reserve memory for more content, and return whether there was enough. If not, everything is discarded.

        Args:
            size_bytes: size of the new content.
            content_phrase: subject and verb of the reason if the content is too large, such as "a body is".
        """
        if self.lost_reason is not None:
            return False
        if self.size_bytes + size_bytes > self._memory.max_body_bytes:
            self._discard_content(f"{content_phrase} larger than {self._memory.max_body_bytes} bytes")
        elif not self._memory.reserve(size_bytes):
            self._discard_content("the bodies of all requests that are not judged yet need too much memory")
        return self.lost_reason is None

    def read(self) -> bytes:
        """Return the copied bytes; empty after the copy was discarded."""
        return self._content.getvalue()

    def discard(self) -> None:
        """Drop the copy, because the judging process has the body now. The reserved memory stays reserved."""
        self._content = io.BytesIO()

    def release(self) -> None:
        """Free the memory of the copy."""
        self.discard()
        self._memory.release(self.size_bytes)
        self.size_bytes = 0

    def _discard_content(self, reason: str) -> None:
        self.lost_reason = reason
        self.release()


class CapturedMessages(CapturedBody):
    """The copies of the messages of one WebSocket, or the reason why there are none."""

    def __init__(self, memory: CapturedBodyLimit) -> None:
        """Start without messages."""
        super().__init__(memory)
        self.messages: list[SocketMessage] = []

    def add_message(self, message: SocketMessage) -> None:
        """Append a message. Above a limit, all messages are discarded, and later ones are ignored."""
        size_bytes = len(message.data) + MESSAGE_OVERHEAD_BYTES
        if self.reserve(size_bytes, "the messages of a WebSocket are"):
            self.messages.append(message)
            self.size_bytes += size_bytes

    def discard(self) -> None:
        """Drop the copies, because the judging process has the messages now. The reserved memory stays reserved."""
        super().discard()
        self.messages = []


# Defines the records of exchanges that passed through the proxy, and of the results of judging them.


class RelayedExchange(Record, frozen=True, kw_only=True, array_like=True):
    """One request that passed through the proxy, with its response as it was on the connection."""

    request: Request
    """The request with the URL to which it was forwarded; its body is still compressed if the client compressed it."""
    response: Response
    """The response as it was received; its body is still compressed if the service compressed it."""
    timing: Timing | None
    socket: SocketMessageLog | None = None
    """The messages of a WebSocket, whose handshake the request is; `None` for any other request."""
    interruption_reason: str | None = None
    """How the service lost the connection before the end of the body; `None` if the response is complete."""


class JudgeSettings(Record, frozen=True, kw_only=True):
    """The settings of the judging process."""

    contract_path: str
    """Path of the contract of the service behind the proxy."""
    base_urls: dict[str, str]
    """Base URLs in place of those of the contract, by server name."""
    model_and_voice_names: ModelAndVoiceNames
    """The names that a server of the user's own lists."""
    recording_path: str | None
    """Path of the recording to write; `None` to write none."""
    names_to_mask: tuple[str, ...]
    """Names of further fields, parameters and headers to mask."""
    names_to_keep: tuple[str, ...] = ()
    """Names whose values are not masked, although the contract does not document them."""


class JudgedExchange(Record, frozen=True, kw_only=True):
    """What the judging process reports about one exchange, or about the end of the traffic."""

    findings: tuple[Finding, ...] = ()
    """Findings that were not reported before."""
    undocumented_request: str | None = None
    """Method and path of a request that fits no operation of the contract; `None` if the request fits one."""
    is_recorded: bool = False
    not_judged_reason: str | None = None
    """Why the exchange was not judged; `None` if it was."""
    not_recorded_reason: str | None = None
    """Why the exchange was not recorded; `None` if it was, or if no recording is written."""
    startup_error: str | None = None
    """Why judging cannot begin: one line."""
    report: CheckReport | None = None
    """The report of all exchanges; only in the last message."""


class ProxyReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge proxy --json` writes when it ends."""

    schema: str = "voicegauge/proxy/2"
    voicegauge_version: str
    """Version of voicegauge that wrote the report."""
    provider: str
    contract_path: str | None = None
    """Path of the contract's document; `None` if it is bundled."""
    upstream_urls: tuple[str, ...]
    """The base URLs to which requests were forwarded."""
    request_count: int
    """Number of requests that clients sent."""
    failure_count_by_reason: dict[str, int] = {}
    """Number of requests without a response of the service, by reason. The client got status 502 from the proxy."""
    unjudged_count_by_reason: dict[str, int] = {}
    """Number of requests that passed but were not judged, by reason, such as a body above the limit."""
    undocumented_count_by_request: dict[str, int] = {}
    """Number of requests that fit no operation of the contract, by method and path. They passed and were not judged."""
    recording_path: str | None = None
    """Path of the recording that was written; `None` if none was."""
    recorded_count: int = 0
    """Number of exchanges in the recording."""
    unrecorded_count_by_reason: dict[str, int] = {}
    """Number of exchanges that were not recorded, by reason, such as a text in them that looks like a credential."""
    report: CheckReport
    """The findings, as in `voicegauge check --json`. Texts in it are redacted."""


# Finds the URL to which a request to the proxy is forwarded, and the headers that are forwarded with it.


_HOP_BY_HOP_HEADERS = frozenset(
    [
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    ]
)
"""Headers about one connection, which are not forwarded (RFC 9110, section 7.6.1)."""

MAX_CACHED_PATHS = 1000
"""Maximum number of pairs of method and path whose server is cached. Finding a server takes as long as all other work
of the proxy for a request."""


class Upstream:
    """The service to which the proxy forwards requests: the servers of a contract, or the URL that the user names."""

    def __init__(self, contract: Contract, base_url: str | None) -> None:
        """Prepare to forward requests to the service of a contract.

        Args:
            contract: contract of the provider.
            base_url: base URL in place of those of all servers; `None` for the contract's own servers.
        """
        self._contract = contract
        self._url = to_http_url(base_url.rstrip("/")) if base_url is not None else None
        self._servers = sorted(contract.servers.values(), key=lambda server: len(server.url), reverse=True)
        self._find_server = functools.lru_cache(MAX_CACHED_PATHS)(self._find_server_uncached)

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URLs in place of the contract's own, by server name, as for `UrlCanonicalizer`."""
        return {} if self._url is None else {"": self._url}

    def find_origin_and_request_target(self, method: str, path: str, query: str) -> tuple[str, str]:
        """Return the origin, such as "https://api.example", and the path with the query, to which to forward a request.

        Args:
            method: method of the request.
            path: path of the request to the proxy, as it was sent.
            query: query of the request, without the question mark.
        """
        server = self._find_server(method, path)
        url = server.url if self._url is None else self._url
        parts = urlsplit(url)
        if self._url is not None:
            relative = _find_relative_path(server, path)
            # A path outside of the server's, such as that of a file, is not below the base URL either.
            path = path if relative is None else f"{parts.path}{relative}"
        return f"{parts.scheme}://{parts.netloc}", f"{path or '/'}{'?' if query else ''}{query}"

    def find_socket_origin_and_request_target(self, path: str, query: str) -> tuple[str, str]:
        """Return the origin and the path with the query, to which the handshake of a WebSocket is forwarded.

        The server is that of the channel with this path, otherwise that of the GET operation with this path.
        """
        for operation in self._contract.socket_operations.values():
            relative = _find_relative_path(operation.server, path)
            if relative is not None and operation.match_path(relative or "/") is not None:
                parts = urlsplit(operation.server.url if self._url is None else self._url)
                target = f"{parts.path.rstrip('/')}{relative}"
                return f"{parts.scheme}://{parts.netloc}", f"{target}{'?' if query else ''}{query}"
        return self.find_origin_and_request_target("GET", path, query)

    def _find_server_uncached(self, method: str, path: str) -> Server:
        """Return the server of the requested operation.

        If no operation matches, it is the first server with a matching base path, or else the first server.
        """
        with_path = [server for server in self._servers if _find_relative_path(server, path) is not None]
        for server in with_path:
            match = self._contract.match_operation(method, _find_relative_path(server, path) or "/")
            if match is not None and match[0].server.url == server.url:
                return server
        return with_path[0] if with_path else next(iter(self._contract.servers.values()))


def _find_relative_path(server: Server, path: str) -> str | None:
    base = urlsplit(server.url).path.rstrip("/")
    return path[len(base) :] if f"{path}/".startswith(f"{base}/") else None


def select_forwarded_headers(headers: Iterable[tuple[bytes, bytes]], *, is_request: bool) -> RawHeaders:
    """Return the headers of a request or response without those about one connection (RFC 9110, section 7.6.1).

    "Host" and "Expect" of a request are left out as well: the service has another name, and the proxy itself asks for
    the body. "Content-Length" is left out beside "Transfer-Encoding", which replaces it (RFC 9112, section 6.3).
    """
    pairs = list(headers)
    left_out = set(_HOP_BY_HOP_HEADERS)
    for name, value in pairs:
        if name.lower() == b"connection":
            left_out |= {option.strip().lower() for option in value.split(b",")}
        elif name.lower() == b"transfer-encoding":
            left_out.add(b"content-length")
    if is_request:
        left_out |= {b"host", b"expect"}
    return [(name, value) for name, value in pairs if name.lower() not in left_out]
