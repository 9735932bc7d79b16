"""Finds the recorded request that equals a request, and its response with the times of its parts, without a socket.

Each poll of a job returns the next recorded state of the job; the last state repeats. A client may poll less often than
the client that was recorded. Therefore a job ends after at most half as many polls as were recorded: consecutive equal
states are merged, and if still more than half are left, some are dropped at even intervals. A replayed submit restarts
its job.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.errors import DataError
from voicegauge.formats.bodies import UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import Record
from voicegauge.model.exchange import (
    DOWNLOAD_OPERATION,
    Exchange,
    Request,
)
from voicegauge.recording.masking import INVALID_API_KEY, MASK, flatten_json, get_bare_media_type, is_credential_name
from voicegauge.recording.recorded_exchanges import Recording, find_relative_path
from voicegauge.recording.redaction import EMULATOR_HEADER_PREFIX, Redactor

# Compares the values in requests. The order of keys, multipart boundaries and base URLs make no difference.


_MAX_VALUE_CHARACTERS = 60
"""Maximum number of characters of a value in the description of a difference; longer values are cut."""


class ComparableRequest(Record, frozen=True, kw_only=True):
    """The values of a request by which it is compared with recorded requests."""

    provider: str
    """Id of the provider."""
    operation_id: str
    """Id of the operation in the contract; `DOWNLOAD_OPERATION` for a URL that matches no operation."""
    compared_values: dict[str, str]
    """The compared values by where they are in the request, such as "path id", "query page", "body /text", "file voice"
    or "key"."""

    def matches(self, recorded_request: ComparableRequest) -> bool:
        """Whether this request equals `recorded_request`. A masked part of a recorded value matches any text."""
        if (self.provider, self.operation_id) != (recorded_request.provider, recorded_request.operation_id):
            return False
        return self.compared_values.keys() == recorded_request.compared_values.keys() and not self.describe_differences(
            recorded_request
        )

    def describe_differences(self, recorded_request: ComparableRequest) -> list[str]:
        """Describe each difference from the recorded request in one line."""
        lines = []
        if self.operation_id != recorded_request.operation_id:
            lines.append(f"operation: recorded {recorded_request.operation_id}, sent {self.operation_id}")
        for name in {**recorded_request.compared_values, **self.compared_values}:
            before, now = recorded_request.compared_values.get(name), self.compared_values.get(name)
            if before is None or now is None or not _is_same_value(before, now):
                lines.append(f"{name}: {_describe_value('recorded', before)}, {_describe_value('sent', now)}")
        return lines


def _is_same_value(recorded_value: str, sent_value: str) -> bool:
    if MASK not in recorded_value:
        return recorded_value == sent_value
    pattern = ".*".join(re.escape(part) for part in recorded_value.split(MASK))
    return re.fullmatch(pattern, sent_value, re.DOTALL) is not None


def _describe_value(verb_phrase: str, value: str | None) -> str:
    if value is None:
        return f"not {verb_phrase}"
    shown = value if len(value) <= _MAX_VALUE_CHARACTERS else value[: _MAX_VALUE_CHARACTERS - 3] + "..."
    return f"{verb_phrase} {shown}"


def build_comparable_request(
    contract: Contract, request: Request, operation: Operation | None, relative_path: str | None = None
) -> ComparableRequest:
    """Extract the values of `request` that are compared.

    Args:
        contract: contract of the provider.
        request: the request to compare, with any base URL.
        operation: the operation of the request; `None` if the request matches no operation.
        relative_path: path of the request relative to the base URL. If `None`, it is derived from the URL of
            `request` and the contract's servers.
    """
    relative_path = relative_path or find_relative_path(contract, request.url)
    if operation is None:
        parts = urlsplit(request.url)
        url = relative_path if relative_path is not None else f"{parts.netloc}{parts.path}"
        compared_values = {
            "method": request.method.upper(),
            "url": url,
            **dict(_read_query_values(contract, request, include_api_keys=True)),
        }
        return ComparableRequest(provider=contract.id, operation_id=DOWNLOAD_OPERATION, compared_values=compared_values)
    match = operation.match_path_end(relative_path or urlsplit(request.url).path)
    compared_values = (
        {f"path {name}": value for name, value in match.path_parameters.items()} if match is not None else {}
    )
    compared_values |= _read_query_values(contract, request)
    compared_values |= _read_header_values(operation, request)
    compared_values["key"] = _classify_api_key(contract, request)
    compared_values |= _read_body_values(request)
    return ComparableRequest(provider=contract.id, operation_id=operation.id, compared_values=compared_values)


def _read_query_values(
    contract: Contract, request: Request, *, include_api_keys: bool = False
) -> Iterator[tuple[str, str]]:
    keys = set() if include_api_keys else {name for kind, name in _list_api_key_locations(contract) if kind == "query"}
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(urlsplit(request.url).query, keep_blank_values=True):
        if name not in keys:
            values.setdefault(name, []).append(value)
    for name, repeated in values.items():
        yield f"query {name}", ", ".join(repeated)


def _read_header_values(operation: Operation, request: Request) -> Iterator[tuple[str, str]]:
    """Yield documented headers and those for the emulator. Other headers depend on the HTTP client."""
    documented = {p.name.lower() for p in operation.parameters if p.message_part == "header"} - {"authorization"}
    documented -= {name.lower() for kind, name in _list_api_key_locations(operation.contract) if kind == "header"}
    for name, value in request.headers:
        if name.lower() in documented or name.lower().startswith(EMULATOR_HEADER_PREFIX):
            yield f"header {name.lower()}", value


def _list_api_key_locations(contract: Contract) -> Iterator[tuple[str, str]]:
    """Yield where each security scheme has its key: "header" or "query", and the name there."""
    for scheme in contract.security_schemes.values():
        if scheme.get("type") == "apiKey":
            yield str(scheme.get("in")), str(scheme.get("name"))
        else:
            yield "header", "Authorization"


def _classify_api_key(contract: Contract, request: Request) -> str:
    """Return "none" if the request has no API key, "bad" if it has `INVALID_API_KEY`, or else "sent"."""
    query = dict(parse_qsl(urlsplit(request.url).query))
    locations = _list_api_key_locations(contract)
    return _classify_credentials(
        query.get(name) if kind == "query" else request.find_header(name) for kind, name in locations
    )


def _classify_credentials(values: Iterable[str | None]) -> str:
    sent = [value for value in values if value]
    if not sent:
        return "none"
    return "bad" if any(INVALID_API_KEY in value for value in sent) else "sent"


def classify_socket_key(channel: Operation, exchange: Exchange) -> str:
    """Return "none" if a recorded connection has no API key, "bad" if it has `INVALID_API_KEY`, or else "sent".

    Besides the documented places, its key may be in a parameter with the name of a credential, in a subprotocol, where
    recordings mask it, or in a message.
    """
    assert channel.socket is not None, "only channels have messages"
    assert exchange.socket is not None, "only connections have messages"
    request = exchange.request
    in_handshake = _classify_api_key(channel.contract, request)
    if in_handshake != "none":
        return in_handshake
    query = parse_qsl(urlsplit(request.url).query)
    subprotocols = request.find_header("sec-websocket-protocol") or ""
    messages = (one for one in exchange.socket.messages if one.sender == "client" and not one.is_binary)
    return _classify_credentials(
        (
            *(value for name, value in query if is_credential_name(name, allow_short_names=True)),
            *(part for part in subprotocols.split(",") if MASK in part or INVALID_API_KEY in part),
            *(channel.socket.read_client_message(one.data).key for one in messages),
        )
    )


def _read_body_values(request: Request) -> Iterator[tuple[str, str]]:
    if not request.body:
        return
    content_type = request.find_header("content-type") or ""
    media_type = get_bare_media_type(content_type)
    yield "media type", media_type
    try:
        if is_json(media_type):
            yield from flatten_json(read_json(request.body), "body ")
            return
        if is_form(media_type):
            form = read_form(content_type, request.body)
            yield from ((f"field {name}", value) for name, value in form.iterate_texts())
            for name, file in form.files.items():
                yield f"file {name}", f"{file.filename}, SHA-256 {hashlib.sha256(file.data).hexdigest()}"
            return
    except UnreadableBodyError:
        pass
    yield "body", f"{len(request.body)} bytes, SHA-256 {hashlib.sha256(request.body).hexdigest()}"


class TimedChunk(Record, frozen=True, kw_only=True):
    """A part of a body, and the time at which it is sent."""

    send_after_s: float
    """Time at which the chunk is sent, in seconds after the request was received completely."""
    data: bytes
    """The bytes of the chunk."""


class ResponseSchedule(Record, frozen=True, kw_only=True):
    """The times at which the headers and the chunks of a response are sent."""

    send_headers_after_s: float
    """Time at which the headers are sent, in seconds after the request was received completely."""
    chunks: tuple[TimedChunk, ...]


def schedule_response(exchange: Exchange, pause_factor: float) -> ResponseSchedule:
    """Scale the recorded times of a response.

    Args:
        exchange: the recorded exchange. If it has no timing, its response is sent at once.
        pause_factor: factor for all recorded times. 1 means as recorded, 0.1 ten times as fast, and 0 without pauses.
    """
    timing, body = exchange.timing, exchange.response.body
    if timing is None or pause_factor == 0:
        return ResponseSchedule(send_headers_after_s=0.0, chunks=(TimedChunk(send_after_s=0.0, data=body),))
    # Chunks are timed from the start of the call, but the replay starts when the request has been received.
    headers_ms = timing.total_ms - timing.receive_ms
    chunks = tuple(
        TimedChunk(send_after_s=pause_factor * (timing.ttfb_ms + max(at_ms - headers_ms, 0.0)) / 1000, data=data)
        for at_ms, data in _split_body(body, timing.chunk_arrivals, timing.total_ms)
    )
    return ResponseSchedule(send_headers_after_s=pause_factor * timing.ttfb_ms / 1000, chunks=chunks)


def _split_body(
    body: bytes, recorded_chunks: tuple[tuple[float, int], ...], total_ms: float
) -> Iterator[tuple[float, bytes]]:
    """Yield the chunks of `body`, each with its arrival time in milliseconds.

    The recorded sizes are scaled to the length of the body, because the body may have been compressed when it was
    received, or redaction may have changed its length.

    Args:
        body: the whole body.
        recorded_chunks: the arrival time in milliseconds and the number of bytes of each recorded chunk.
        total_ms: the arrival time of the whole body if no chunk was recorded.
    """
    recorded_bytes = sum(size for _, size in recorded_chunks)
    scale = len(body) / recorded_bytes if recorded_bytes else 0.0
    start = received = 0
    for at_ms, size in recorded_chunks:
        received += size
        # Of the sum, not of each chunk, so that rounding errors do not add up.
        end = round(received * scale)
        yield at_ms, body[start:end]
        start = end
    if not recorded_bytes:
        yield total_ms, body


# Finds the recorded requests that equal a request, without comparing it with every recorded request.


_RequestKey = tuple[str, frozenset[str], frozenset[tuple[str, str]]]
"""The id of the operation, the names of values that are ignored, and the names and texts of all other values."""


@dataclass
class RecordedRequest:
    """A request that was recorded once or several times, and its exchanges, which are replayed in their order."""

    comparable_request: ComparableRequest
    """The values by which the request is compared."""
    conversation_id: str | None
    """Id of the conversation in which the request was first recorded; `None` if it was alone in its conversation."""
    is_poll: bool
    """Whether the request asks for the state of a job."""
    exchanges: list[Exchange] = field(default_factory=list)
    replay_count: int = 0
    """Number of times that the request was replayed since its job was last submitted."""
    was_replayed: bool = False
    """Whether the request was ever replayed."""

    def replay_next_exchange(self) -> Exchange:
        """Return the next exchange; once all were replayed, return the last one again."""
        self.was_replayed = True
        self.replay_count += 1
        return self.exchanges[min(self.replay_count, len(self.exchanges)) - 1]

    @property
    def name(self) -> str:
        """Provider, operation and conversation of the request, as shown in error messages."""
        request = self.comparable_request
        return (
            f"{request.provider} {request.operation_id}{f' ({self.conversation_id})' if self.conversation_id else ''}"
        )


class RequestIndex:
    """The recorded requests of one provider."""

    def __init__(self) -> None:
        self._requests: list[RecordedRequest] = []
        self._by_key: dict[_RequestKey, list[int]] = defaultdict(list)
        self._masked_names: dict[str, set[frozenset[str]]] = defaultdict(set)
        """By operation, the sets of values that are masked together: few, however many requests there are."""
        self._polls: dict[str | None, list[RecordedRequest]] = defaultdict(list)

    def __iter__(self) -> Iterator[RecordedRequest]:
        """Iterate over the requests in the order of the recordings."""
        return iter(self._requests)

    def add_exchange(self, comparable_request: ComparableRequest, exchange: Exchange, *, is_poll: bool) -> None:
        """Add an exchange to the recorded request with the same compared values, or to a new one.

        Polls of different conversations are kept apart, because job ids may repeat.
        """
        masked = frozenset(name for name, value in comparable_request.compared_values.items() if MASK in value)
        key = _build_request_key(comparable_request, masked)
        for number in self._by_key.get(key, ()):
            recorded = self._requests[number]
            if recorded.comparable_request == comparable_request and (
                not is_poll or recorded.conversation_id == exchange.conversation_id
            ):
                recorded.exchanges.append(exchange)
                return
        self._masked_names[comparable_request.operation_id].add(masked)
        self._by_key[key].append(len(self._requests))
        self._requests.append(RecordedRequest(comparable_request, exchange.conversation_id, is_poll, [exchange]))
        if is_poll:
            self._polls[exchange.conversation_id].append(self._requests[-1])

    def find_requests(self, comparable_request: ComparableRequest) -> list[RecordedRequest]:
        """Return the recorded requests that `comparable_request` matches, in the order of the recordings."""
        keys = {
            _build_request_key(comparable_request, masked)
            for masked in self._masked_names.get(comparable_request.operation_id, ())
        }
        numbers = sorted(number for key in keys for number in self._by_key.get(key, ()))
        return [self._requests[n] for n in numbers if comparable_request.matches(self._requests[n].comparable_request)]

    def list_polls(self, conversation_id: str) -> list[RecordedRequest]:
        """Return the polls in the conversation `conversation_id`."""
        return self._polls.get(conversation_id, [])


def _build_request_key(comparable_request: ComparableRequest, names_of_masked_values: frozenset[str]) -> _RequestKey:
    """Return a key by which requests are looked up. It ignores the values that `names_of_masked_values` names.

    Requests to the same operation have equal keys if they differ in no other value.
    """
    values = frozenset(
        item for item in comparable_request.compared_values.items() if item[0] not in names_of_masked_values
    )
    return (
        comparable_request.operation_id,
        names_of_masked_values.intersection(comparable_request.compared_values),
        values,
    )


# Selects the recorded response for a request, without sockets and clocks.


_MAX_DIFFERENCES_SHOWN = 6
"""Maximum number of differences from the nearest recorded request that a description lists."""


class Replay:
    """Responds to requests with recorded exchanges."""

    def __init__(self, recordings: Iterable[Recording], contracts: Iterable[Contract]) -> None:
        """Index all recorded requests.

        Args:
            recordings: the recordings to replay, of any provenance.
            contracts: the contracts of the providers in `recordings`.

        Raises:
            DataError: a provider has no contract, or no recording contains an exchange.
        """
        self.contracts = {contract.id: contract for contract in contracts}
        self._indexes: dict[str, RequestIndex] = {}
        self._redactors = {name: Redactor(contract) for name, contract in self.contracts.items()}
        # Undocumented values that a recording has, such as those that `--keep` names, are compared too: of what is
        # sent, only keys are masked then.
        self._lenient_redactors = {
            name: Redactor(contract, keeps_undocumented=True) for name, contract in self.contracts.items()
        }
        self._submit_numbers: dict[str | None, int] = {}
        self._counter = itertools.count(1)
        self.unmatched_request_descriptions: list[str] = []
        """A description of each request that was not recorded, with the nearest recorded one."""
        for recording in recordings:
            self._add_recording(recording)
        if not self._indexes:
            raise DataError("there is nothing to replay: the recordings contain no exchange")
        for recorded in self.recorded_requests:
            operation = self._find_operation(recorded.comparable_request)
            if recorded.is_poll and operation is not None:
                recorded.exchanges = select_polls_to_replay(operation, recorded.exchanges)

    def _add_recording(self, recording: Recording) -> None:
        contract = self.contracts.get(recording.provider)
        if contract is None:
            known = ", ".join(self.contracts) or "none"
            raise DataError(f"a recording is of {recording.provider!r}, which has no contract; known: {known}")
        for exchange in recording.exchanges:
            operations = contract.operations if exchange.socket is None else contract.socket_operations
            operation = operations.get(exchange.operation)
            request = self._lenient_redactors[contract.id].mask_request(exchange.request, operation)
            comparable_request = build_comparable_request(contract, request, operation)
            is_poll = operation is not None and operation.job is not None
            self._indexes.setdefault(contract.id, RequestIndex()).add_exchange(
                comparable_request, exchange, is_poll=is_poll
            )

    @property
    def recorded_requests(self) -> list[RecordedRequest]:
        """All recorded requests, in the order of the recordings."""
        return list(itertools.chain.from_iterable(self._indexes.values()))

    @property
    def unused_request_names(self) -> list[str]:
        """Names of the recorded requests that were never replayed."""
        return [recorded.name for recorded in self.recorded_requests if not recorded.was_replayed]

    def replay_next_exchange(
        self, provider_id: str, request: Request, relative_path: str | None = None, *, is_socket: bool = False
    ) -> Exchange | None:
        """Return the next recorded exchange for `request`; `None` if none matches.

        If none matches, a description of `request` and of its differences from the recorded requests is added to
        `unmatched_request_descriptions`.

        Args:
            provider_id: id of the provider's contract.
            request: the request to match. Keys and signatures in it are ignored.
            relative_path: path of the request relative to the base URL, with or without the path of one of the
                contract's servers. If `None`, it is derived from the URL of `request` and the contract's servers.
            is_socket: whether the request is the handshake of a WebSocket.
        """
        contract = self.contracts[provider_id]
        if relative_path is None:
            path = find_relative_path(contract, request.url)
        else:
            path = self._remove_server_path(contract, request, relative_path)
        if is_socket:
            path = path or urlsplit(request.url).path
            operation = _find_channel_for_path(contract, path)
        else:
            match = contract.match_operation(request.method, path) if path is not None else None
            operation = match[0] if match else None
        comparable_request = build_comparable_request(contract, request, operation, path)
        matching = self._find_matching_requests(comparable_request)
        if not matching:
            # What a recording masks as a whole, such as a number that is not documented, must be masked here too.
            masked = self._redactors[provider_id].mask_request(request, operation)
            matching = self._find_matching_requests(build_comparable_request(contract, masked, operation, path))
        if not matching:
            shown = self._lenient_redactors[provider_id].mask_request(request, operation)
            comparable_request = build_comparable_request(contract, shown, operation, path)
            self.unmatched_request_descriptions.append(self._describe_nearest_request(comparable_request, request))
            return None
        # Jobs that were recorded on different days may have the same id, so the job that was submitted last is chosen.
        recorded = max(matching, key=lambda one: self._submit_numbers.get(one.conversation_id, 0))
        exchange = recorded.replay_next_exchange()
        if operation is not None and operation.speech is not None:
            self._restart_job(comparable_request, exchange.conversation_id)
        return exchange

    def _remove_server_path(self, contract: Contract, request: Request, path: str) -> str:
        """Return `path` without the path of a server, if what remains is that of an operation or a recorded download.

        The emulator looks up paths in the same order, so that a client can be used with both.
        """
        rests = (server.remove_path_prefix(path) for server in contract.servers.values())
        candidates = [path, *(rest for rest in rests if rest is not None)]
        for candidate in candidates:
            if contract.match_operation(request.method, candidate) is not None:
                return candidate
        for candidate in candidates:
            if self._find_matching_requests(build_comparable_request(contract, request, None, candidate)):
                return candidate
        return path

    def _find_matching_requests(self, comparable_request: ComparableRequest) -> list[RecordedRequest]:
        return self._get_request_index(comparable_request).find_requests(comparable_request)

    def _get_request_index(self, comparable_request: ComparableRequest) -> RequestIndex:
        return self._indexes.get(comparable_request.provider, RequestIndex())

    def _find_operation(self, comparable_request: ComparableRequest) -> Operation | None:
        return self.contracts[comparable_request.provider].operations.get(comparable_request.operation_id)

    def find_channel(self, exchange: Exchange) -> Operation | None:
        """Return the channel of a recorded WebSocket; `None` for any other exchange."""
        contract = self.contracts.get(exchange.provider)
        return contract.socket_operations.get(exchange.operation) if contract is not None else None

    def _restart_job(self, comparable_request: ComparableRequest, conversation_id: str | None) -> None:
        """Make the polls in a conversation start with the first state again, because its job was submitted again.

        Args:
            comparable_request: the request that submitted the job.
            conversation_id: the conversation of the job; `None` if the request is alone in its conversation.
        """
        if conversation_id is None:
            return
        self._submit_numbers[conversation_id] = next(self._counter)
        for recorded in self._get_request_index(comparable_request).list_polls(conversation_id):
            recorded.replay_count = 0

    def _describe_nearest_request(self, comparable_request: ComparableRequest, request: Request) -> str:
        """Describe an unmatched request and its differences from the most similar recorded request."""
        # Without the query, because it may contain a key.
        sent = f"{comparable_request.operation_id}: {request.method} {urlsplit(request.url).path}"
        headline = f"no recorded request of {comparable_request.provider} matches {sent}"
        others = list(self._get_request_index(comparable_request))
        if not others:
            return f"{headline}; nothing is recorded of {comparable_request.provider}"

        def compute_distance(recorded: RecordedRequest) -> tuple[bool, int]:
            other = recorded.comparable_request
            is_other_operation = other.operation_id != comparable_request.operation_id
            return is_other_operation, len(comparable_request.describe_differences(other))

        nearest = min(others, key=compute_distance)
        differences = comparable_request.describe_differences(nearest.comparable_request)
        omitted = len(differences) - _MAX_DIFFERENCES_SHOWN
        more = [f"... and {omitted} more"] if omitted > 0 else []
        lines = [*differences[:_MAX_DIFFERENCES_SHOWN], *more]
        return "\n  ".join([headline, f"the nearest recorded one is {nearest.name}, which differs in:", *lines])


def _find_channel_for_path(contract: Contract, path: str) -> Operation | None:
    matches = [
        (one, match) for one in contract.socket_operations.values() if (match := one.match_path_end(path)) is not None
    ]
    return min(matches, key=lambda pair: len(pair[1].path_parameters), default=(None, None))[0]


def select_polls_to_replay(status_operation: Operation, polls: Sequence[Exchange]) -> list[Exchange]:
    """Select the polls of a job that are replayed: one for each series of equal states, and at most half of all.

    Returns:
        At most `ceil(len(polls) / 2)` of `polls`, in their order. The last state is always included.
    """
    states = [
        next(run) for _, run in itertools.groupby(polls, key=lambda poll: _read_poll_state(status_operation, poll))
    ]
    limit = max(1, math.ceil(len(polls) / 2))
    if len(states) <= limit:
        return states
    # The last number leads to the last state, so that the replayed job ends too.
    return [states[math.ceil(number * len(states) / limit) - 1] for number in range(1, limit + 1)]


def _read_poll_state(status_operation: Operation, poll: Exchange) -> tuple[int, str]:
    """Return the status code and the job state of a response. If it contains no state, its body counts as the state."""
    assert status_operation.job is not None
    try:
        json_value = read_json(poll.response.body)
    except UnreadableBodyError:
        json_value = MISSING
    state = status_operation.job.read_state(lambda location: location.read_response(json_value, poll.response.headers))
    body = poll.response.body.decode("latin-1")
    return poll.response.status, state if isinstance(state, str) else body
