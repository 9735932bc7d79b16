"""What passed through the proxy: where it was forwarded to, its copies, and the process that judges it."""

from __future__ import annotations

import contextlib
import functools
import io
import queue
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.client.model_and_voice_names import ModelAndVoiceNames
from voicegauge.conformance.check_report import CheckReport
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Server
from voicegauge.errors import NothingMeasuredError, UsageError
from voicegauge.hosts import to_http_url
from voicegauge.model.base import Finding, Record
from voicegauge.model.exchange import Request, Response, SocketMessage, SocketMessageLog, Timing
from voicegauge.recording.redaction import RedactionSettings
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
    """The memory that copies of bodies may take, for each and in total. It may be used from several threads."""

    def __init__(
        self, max_body_bytes: int = MAX_JUDGED_BODY_BYTES, max_total_bytes: int = MAX_TOTAL_CAPTURED_BYTES
    ) -> None:
        """Create limits of `max_body_bytes` for each body and of `max_total_bytes` for all, without any body yet."""
        self.max_body_bytes = max_body_bytes
        self._free_bytes = max_total_bytes
        self._lock = threading.Lock()

    def reserve(self, size_bytes: int) -> bool:
        """Reserve `size_bytes` of the memory for all bodies, and return whether there was enough."""
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

    def __init__(self, body_limit: CapturedBodyLimit) -> None:
        """Start with an empty copy, whose memory is reserved from `body_limit`."""
        self._limit = body_limit
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
        if self.size_bytes + size_bytes > self._limit.max_body_bytes:
            self._discard_content(f"{content_phrase} larger than {self._limit.max_body_bytes} bytes")
        elif not self._limit.reserve(size_bytes):
            self._discard_content("the bodies of all requests that are not judged yet need too much memory")
        return self.lost_reason is None

    def read(self) -> bytes:
        """Return the copied bytes; empty after the copy was discarded."""
        return self._content.getvalue()

    def discard(self) -> None:
        """Drop the copy, because the judging process has the body now. The reserved memory stays reserved."""
        self._content = io.BytesIO()

    def release(self) -> None:
        """Drop the copy, and free the memory that is reserved for it."""
        self.discard()
        self._limit.release(self.size_bytes)
        self.size_bytes = 0

    def _discard_content(self, reason: str) -> None:
        self.lost_reason = reason
        self.release()


class CapturedMessages(CapturedBody):
    """The copies of the messages of one WebSocket, or the reason why there are none."""

    def __init__(self, body_limit: CapturedBodyLimit) -> None:
        """Start without messages; the memory of their copies is reserved from `body_limit`."""
        super().__init__(body_limit)
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
    """The times of the exchange between the proxy and the service; `None` for a WebSocket."""
    socket: SocketMessageLog | None = None
    """The messages of a WebSocket, whose handshake the request is; `None` for any other request."""
    interruption_reason: str | None = None
    """How the service lost the connection before the end of the body; `None` if the response is complete."""


class JudgeSettings(Record, frozen=True, kw_only=True):
    """What the judging process needs to begin: the contract, the names of a server, and where and how to record."""

    contract_path: str
    """Path of the contract of the service behind the proxy."""
    base_urls: dict[str, str]
    """Base URLs in place of those of the contract, by server name."""
    model_and_voice_names: ModelAndVoiceNames
    """The names that a server of the user's own lists."""
    recording_path: str | None
    """Path of the recording to write; `None` to write none."""
    redaction: RedactionSettings = RedactionSettings()
    """Which names are masked, and which are left; the judging process knows the secrets."""


class JudgedExchange(Record, frozen=True, kw_only=True):
    """What the judging process reports about one exchange, or about the end of the traffic."""

    findings: tuple[Finding, ...] = ()
    """Findings that were not reported before."""
    undocumented_request: str | None = None
    """Method and path of a request that fits no operation of the contract; `None` if the request fits one."""
    is_recorded: bool = False
    """Whether the exchange was added to the recording."""
    not_judged_reason: str | None = None
    """Why the exchange was not judged; `None` if it was."""
    not_recorded_reason: str | None = None
    """Why the exchange was not recorded; `None` if it was, or if no recording is written."""
    startup_error: str | None = None
    """Why judging cannot begin, in one line; `None` if it can."""
    report: CheckReport | None = None
    """The report of all exchanges, in the last record; `None` in those before it."""


class ProxyReport(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge proxy --json` writes when it ends."""

    schema: str = "voicegauge/proxy/2"
    """Name and version of this format."""
    voicegauge_version: str
    """Version of voicegauge that wrote the report."""
    provider: str
    """Id of the provider."""
    contract_path: str | None = None
    """Path of the contract's document; `None` if it is bundled."""
    upstream_urls: tuple[str, ...]
    """The base URLs to which requests were forwarded."""
    request_count: int
    """Number of requests that clients sent."""
    failure_count_by_reason: dict[str, int] = {}
    """Number of requests without a response of the service, by reason. The client got status 502 or, after a timeout,
    504 from the proxy."""
    unjudged_count_by_reason: dict[str, int] = {}
    """Number of requests that passed but were not judged, by reason, such as a body above the limit."""
    undocumented_request_count_by_operation: dict[str, int] = {}
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
        self._base_url = to_http_url(base_url.rstrip("/")) if base_url is not None else None
        # The longest URL first: a server with the path /v1 would also match the requests to one with /v1/speech.
        self._servers = sorted(contract.servers.values(), key=lambda server: len(server.url), reverse=True)
        # A cache of this object: one of the class would keep each contract that was ever loaded.
        self._find_server = functools.lru_cache(MAX_CACHED_PATHS)(self._find_server_uncached)

    @property
    def base_urls(self) -> Mapping[str, str]:
        """The base URLs in place of the contract's own, by server name, as for `UrlCanonicalizer`."""
        return {} if self._base_url is None else {"": self._base_url}

    def find_origin_and_request_target(self, method: str, path: str, query: str) -> tuple[str, str]:
        """Return the origin, such as "https://api.example", and the path with the query, to which to forward a request.

        Args:
            method: method of the request.
            path: path of the request to the proxy, as it was sent.
            query: query of the request, without the question mark.
        """
        server = self._find_server(method, path)
        parts = urlsplit(server.url if self._base_url is None else self._base_url)
        if self._base_url is not None:
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
                parts = urlsplit(operation.server.url if self._base_url is None else self._base_url)
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


class RelayObserver:
    """Is notified of each relayed exchange, or of the reason why there is none.

    Its methods are called in the event loop and must not block.
    """

    def on_exchange(self, exchange: RelayedExchange, captured_bodies: tuple[CapturedBody, ...]) -> None:
        """Take a complete exchange, and release the memory of `captured_bodies` when it was judged."""

    def on_exchange_lost(self, reason: str) -> None:
        """Note an exchange that passed through the proxy but cannot be judged. `reason` says why, in one line."""

    def on_request_failed(self, reason: str) -> None:
        """Note a request to which the service did not respond. `reason` says why, in one line."""


# Sends records between two processes, each as its length followed by MessagePack.


RecordT = TypeVar("RecordT")
_LENGTH_PREFIX_BYTES = 8
"""Size of the number before each record in a stream, which says how many bytes the record has."""


def write_record(stream: IO[bytes], record: Any) -> None:
    """Write one record as MessagePack after its length, as `iterate_records` reads it.

    Raises:
        OSError: nobody reads the stream any more.
    """
    data = msgspec.msgpack.encode(record)
    # With its length, because msgspec decodes whole messages only and does not say where one ends in a stream.
    stream.write(len(data).to_bytes(_LENGTH_PREFIX_BYTES, "big"))
    stream.write(data)
    stream.flush()


def iterate_records(stream: IO[bytes], record_type: type[RecordT]) -> Iterator[RecordT]:
    """Yield the records in a stream until its end. An incomplete record at the end is left out."""
    while len(head := stream.read(_LENGTH_PREFIX_BYTES)) == _LENGTH_PREFIX_BYTES:
        length = int.from_bytes(head, "big")
        data = stream.read(length)
        if len(data) < length:
            return
        yield msgspec.msgpack.decode(data, type=record_type)


# Judges traffic in a process of its own, so that no rule or redaction delays the bytes that pass.


MAX_DISTINCT_REASONS = 100
"""Maximum number of entries in each count while a proxy runs: exchanges that were not judged, not recorded or without
a response, by reason, and undocumented requests, by method and path. The rest is counted in one entry, because a client
can send requests to any number of paths."""
MAX_IMMEDIATELY_REPORTED_FINDINGS = 10_000
"""Maximum number of different findings that are reported while traffic passes; the report counts all."""
_REMAINING_REASONS_LABEL = "(others)"
"""The name under which all further reasons and paths are counted together."""
_JUDGE_ENDED_REASON = "the process that judges has ended"

FindingCallback = Callable[[Finding], None]
"""A function that is called with each new finding."""


@contextlib.contextmanager
def _run_judge_process() -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    """Run `judge_exchange_stream` in a process, and yield the streams of its exchanges and results.

    The process ends when the stream of its exchanges is closed, also if this process is killed.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "voicegauge.relay._traffic_judge"],  # -P: imports nothing from the current folder
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C must only interrupt this process, which then ends the other one
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdin, process.stdout
    finally:
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.kill()
        process.stdout.close()
        process.wait()


class TrafficMonitor(RelayObserver):
    """Sends the exchanges that passed through the proxy to the judging process, and collects its results."""

    def __init__(self, on_finding: FindingCallback, on_missing_response: Callable[[str], None]) -> None:
        """Prepare to judge traffic; `judge_traffic` starts the judging process.

        Args:
            on_finding: called in another thread with each new finding.
            on_missing_response: called with each new reason why there was no response of the service.
        """
        self._on_finding, self._on_missing_response = on_finding, on_missing_response
        self._queue: queue.SimpleQueue[tuple[RelayedExchange, tuple[CapturedBody, ...]] | None] = queue.SimpleQueue()
        self._bodies_at_judge: deque[tuple[CapturedBody, ...]] = deque()
        """Bodies of the exchanges that the judge has, whose memory is released when it has judged them."""
        self._lock = threading.Lock()
        self.new_findings: dict[tuple[str, str], Finding] = {}
        """The first finding with each fingerprint and message, at most `MAX_IMMEDIATELY_REPORTED_FINDINGS`."""
        # Changed under the lock: in the event loop, and in the thread that receives the results of the judge.
        self.request_count = self.recorded_count = self._passed_exchange_count = self._judged_exchange_count = 0
        self.failure_count_by_reason: Counter[str] = Counter()
        self.unjudged_count_by_reason: Counter[str] = Counter()
        self.undocumented_request_count_by_operation: Counter[str] = Counter()
        self.unrecorded_count_by_reason: Counter[str] = Counter()
        self.report: CheckReport | None = None
        """The report of the judge; `None` until the end."""

    @property
    def unjudged_count(self) -> int:
        """Number of exchanges that passed through the proxy and are not judged yet."""
        return self._passed_exchange_count - self._judged_exchange_count

    def on_exchange(self, exchange: RelayedExchange, captured_bodies: tuple[CapturedBody, ...]) -> None:
        """Count a complete exchange, and queue it for the judging process."""
        with self._lock:
            self.request_count += 1
            self._passed_exchange_count += 1
        self._queue.put((exchange, captured_bodies))

    def on_exchange_lost(self, reason: str) -> None:
        """Count an exchange that passed through the proxy but cannot be judged."""
        with self._lock:
            self.request_count += 1
            _count_reason(self.unjudged_count_by_reason, reason)

    def on_request_failed(self, reason: str) -> None:
        """Count a request without a response of the service."""
        with self._lock:
            self.request_count += 1
            _count_reason(self.failure_count_by_reason, reason)
            is_new = self.failure_count_by_reason[reason] == 1
        if is_new:
            self._on_missing_response(reason)

    @contextlib.contextmanager
    def judge_traffic(self, settings: JudgeSettings) -> Iterator[None]:
        """Judge the exchanges that pass while the context is active.

        When it ends, the remaining exchanges are judged; Ctrl-C skips them.

        Raises:
            UsageError: judging cannot begin.
        """
        with _run_judge_process() as (exchange_stream, result_stream):
            write_record(exchange_stream, settings)
            started = next(iterate_records(result_stream, JudgedExchange), None)
            if started is None or started.startup_error is not None:
                raise UsageError(
                    "the process that judges did not start" if started is None else started.startup_error or ""
                )
            sending = threading.Thread(target=self._send_exchanges, args=(exchange_stream,), daemon=True)
            receiving = threading.Thread(target=self._receive_results, args=(result_stream,), daemon=True)
            sending.start()
            receiving.start()
            try:
                yield
            finally:
                self._queue.put(None)
                sending.join()
                receiving.join()
                # None are left, unless the judge was killed.
                _count_reason(self.unjudged_count_by_reason, _JUDGE_ENDED_REASON, self.unjudged_count)

    def require_report(self) -> CheckReport:
        """Return the report of the judge.

        Raises:
            NothingMeasuredError: the judging process ended before it reported.
        """
        if self.report is None:
            raise NothingMeasuredError(f"{_JUDGE_ENDED_REASON} before its report")
        return self.report

    def _send_exchanges(self, exchange_stream: IO[bytes]) -> None:
        is_open = True
        while (waiting := self._queue.get()) is not None:
            exchange, captured_bodies = waiting
            self._bodies_at_judge.append(captured_bodies)
            if is_open:
                try:
                    write_record(exchange_stream, exchange)
                except OSError:
                    is_open = False  # the queue is emptied nevertheless, since its bodies take memory
            # The judge has the bodies now, but the reservation stays: it limits what both processes hold together.
            for body in captured_bodies:
                body.discard()
        with contextlib.suppress(OSError):
            exchange_stream.close()

    def _receive_results(self, result_stream: IO[bytes]) -> None:
        for judged in iterate_records(result_stream, JudgedExchange):
            if judged.report is not None:
                self.report = judged.report
                return
            for body in self._bodies_at_judge.popleft():
                body.release()
            with self._lock:
                self._judged_exchange_count += 1
                self.recorded_count += judged.is_recorded
                for counter, reason in (
                    (self.unjudged_count_by_reason, judged.not_judged_reason),
                    (self.undocumented_request_count_by_operation, judged.undocumented_request),
                    (self.unrecorded_count_by_reason, judged.not_recorded_reason),
                ):
                    if reason is not None:
                        _count_reason(counter, reason)
            for finding in judged.findings:
                key = (finding.fingerprint, finding.message)
                if key not in self.new_findings and len(self.new_findings) < MAX_IMMEDIATELY_REPORTED_FINDINGS:
                    self.new_findings[key] = finding
                    self._on_finding(finding)


def _count_reason(counter: Counter[str], reason: str, count: int = 1) -> None:
    if count:
        counter[reason if reason in counter or len(counter) < MAX_DISTINCT_REASONS else _REMAINING_REASONS_LABEL] += (
            count
        )
