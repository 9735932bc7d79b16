"""Interprets recordings with a contract, and pairs their responses and conversations for comparison."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import MediaType, ResponseSpec
from voicegauge.contract.extension.jobs import JobSpec
from voicegauge.contract.operation import Operation
from voicegauge.drift._json_values import (
    EntryKeyFieldsByPath,
    FlattenedObject,
    FlattenedValue,
    find_entry_key_fields,
    flatten_json,
)
from voicegauge.drift.drift_report import ComparedInput, DriftChange, FilePosition, build_change
from voicegauge.errors import DataError
from voicegauge.formats.bodies import UnreadableBodyError, is_json, read_json
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.recording.har_files import find_recordings, load_har
from voicegauge.recording.masking import MASK
from voicegauge.recording.recorded_exchanges import Recording, group_exchanges_by_conversation
from voicegauge.recording.replay import build_comparable_request, classify_socket_key

# Lists headers that do not belong to the API itself, but to HTTP, or to a proxy or CDN in front of the service.


STANDARD_HEADER_NAMES = frozenset(
    (
        *("accept-ranges", "access-control-allow-origin", "age", "allow", "alt-svc", "cache-control", "connection"),
        *("content-disposition", "content-encoding", "content-language", "content-length", "content-type", "date"),
        *("content-location", "content-range", "etag", "expires", "keep-alive", "last-modified", "link", "location"),
        *("pragma", "preference-applied", "retry-after", "server", "trailer", "upgrade"),
        *("strict-transport-security", "transfer-encoding", "vary", "via", "www-authenticate"),
    )
)
"""Names of general HTTP headers (such as those of RFC 9110, 9111 and 6797), which API documents need not list."""
_INFRASTRUCTURE_HEADER_PATTERN = re.compile(
    # CDNs and hosting: Cloudflare, Akamai, Fastly, Amazon, Google, Azure, Vercel, Fly.io, Railway, Render, Netlify
    r"cf-.*|akamai-.*|x-akamai-.*|x-served-by|x-timer|x-cache.*|cdn-.*|x-cdn.*|x-fastly-.*|fastly-.*|x-amz-.*|x-amzn-.*"
    r"|apigw-requestid|x-cloud-trace-context|x-goog-.*|x-guploader-.*|x-azure-ref|x-ms-.*|x-vercel-.*|fly-.*|x-railway-.*"
    r"|x-render-.*|rndr-id|x-nf-.*|x-hw|x-edge-.*"
    # proxies and servers
    r"|x-envoy-.*|x-kong-.*|x-powered-by|x-runtime|x-varnish|x-nginx-.*|x-proxy-.*|x-forwarded-.*|x-real-ip|forwarded"
    r"|x-b3-.*|traceparent|tracestate|x-backend.*|proxy-.*|x-upstream-.*|x-response-time|x-process-time"
    r"|x-openai-proxy-wasm"
    # reporting, security policies and instructions to browsers
    r"|nel|report-to|reporting-endpoints|server-timing|timing-allow-origin|expect-ct|x-content-type-options"
    r"|x-frame-options|x-xss-protection|x-download-options|x-dns-prefetch-control|x-permitted-cross-domain-policies"
    r"|x-robots-tag|x-ua-compatible|referrer-policy|permissions-policy|feature-policy|content-security-policy.*"
    r"|cross-origin-.*|origin-agent-cluster|access-control-.*|priority|accept-ch|set-cookie|p3p"
)


def is_infrastructure_header(name: str) -> bool:
    """Whether a header comes from a proxy, a CDN or a web server, or instructs browsers."""
    return _INFRASTRUCTURE_HEADER_PATTERN.fullmatch(name.lower()) is not None


# Interprets recordings with the help of a contract: finds the operations, conversations and job states.


@dataclass(frozen=True, eq=False)
class RecordedExchange:
    """An exchange of a recording, with the operation of the contract that it belongs to."""

    contract: Contract = field(repr=False)
    file: str
    """Path of the recording, a HAR file."""
    entry_index: int
    """Index of the exchange in the file, counted from 0."""
    exchange: Exchange = field(repr=False)
    operation: Operation | None = field(repr=False)
    """The operation of the exchange; `None` if the exchange is a download or the contract has no such operation."""
    json_body: Any = field(repr=False)
    """The parsed JSON body of the response; `MISSING` if the body is not JSON or cannot be parsed."""

    @property
    def channel(self) -> Operation | None:
        """The channel of a WebSocket; `None` for any other exchange, and for a WebSocket that the contract lacks."""
        if self.exchange.socket is None:
            return None
        return self.contract.socket_operations.get(self.exchange.operation)

    @property
    def request(self) -> Request:
        """The recorded request."""
        return self.exchange.request

    @property
    def response(self) -> Response:
        """The recorded response."""
        return self.exchange.response

    @property
    def status(self) -> int:
        """The HTTP status of the response."""
        return self.response.status

    @property
    def operation_id(self) -> str:
        """The id of the operation, even if the contract has no such operation; "(download)" for a download."""
        return self.exchange.operation

    @property
    def response_spec(self) -> ResponseSpec | None:
        """The documented response for the status; `None` if the contract documents none."""
        return self.operation.find_response(self.status) if self.operation else None

    @property
    def media_type(self) -> MediaType | None:
        """The most specific documented media type that matches the response (as in OpenAPI); `None` if none matches."""
        media_type = self.response.media_type
        documented = self.response_spec.media_types if self.response_spec else {}
        for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
            if name in documented:
                return documented[name]
        return None

    def find_position(self, exchange_part: str = "") -> FilePosition:
        """Return the position of the exchange, or of one part of it, in the HAR file: the file and a JSON pointer.

        Args:
            exchange_part: a JSON pointer that starts at the HAR entry of the exchange: "/response/headers" or
                "/response/content/text#/output_url". The text after "#" is a JSON pointer into the body. Empty for the
                exchange as a whole.
        """
        return FilePosition(file=self.file, pointer=f"/log/entries/{self.entry_index}{exchange_part}")

    def find_body_position(self, field_path: str) -> FilePosition:
        """Return the position in the HAR file of a value in the JSON body of the response.

        The pointer of the position leads from the top of the HAR file to the body and, after "#", into the body.

        Args:
            field_path: JSON pointer that starts at the top of the body, such as "/output_url".
        """
        return self.find_position(f"/response/content/text#{field_path}")

    def read_compared_values(self) -> dict[str, str]:
        """Return the values by which the request is compared, by their location in it.

        They do not depend on how its body is encoded.
        """
        values = build_comparable_request(self.contract, self.request, self.operation).compared_values
        if self.channel is not None:
            values["key"] = classify_socket_key(self.channel, self.exchange)
        return values

    def read_response_value(self, location: Location | None) -> Any:
        """Return the value at a location of the response; `MISSING` if there is no value or if it was redacted.

        There is no value if `location` is `None`.
        """
        if location is None:
            return MISSING
        value = location.read_response(self.json_body, self.response.headers)
        return MISSING if isinstance(value, str) and MASK in value else value

    @property
    def status_operation(self) -> Operation | None:
        """The operation whose `x-job` documents the job that the exchange submits or polls; `None` if it does neither.

        It is the operation of the exchange if that polls, else the one that polls the job which the exchange submits.
        """
        if self.operation is None or self.operation.job is not None:
            return self.operation
        return self.operation.started_job_operation

    @property
    def job_spec(self) -> JobSpec | None:
        """The documented job that the exchange submits or polls; `None` if it does neither."""
        return self.status_operation.job if self.status_operation else None

    @property
    def state_location(self) -> Location | None:
        """The location of the job state in the response; `None` if the response is an error or there is no job."""
        if self.operation is None or self.job_spec is None or self.status >= 300:
            return None
        return self.job_spec.state_location if self.operation.job else self.job_spec.submit_response.state_location

    @property
    def job_state(self) -> str | None:
        """The job state that the response reports; `None` if it reports no job state."""
        if self.operation is None or self.job_spec is None or self.status >= 300:
            return None
        read_state = self.job_spec.read_state if self.operation.job else self.job_spec.read_submit_state
        state = read_state(self.read_response_value)
        return state if isinstance(state, str) else None


@dataclass(frozen=True, eq=False)
class RecordedTraffic:
    """One or more recordings of one provider."""

    contract: Contract = field(repr=False)
    compared_input: ComparedInput
    """What reports say about the recordings: their path, title, dates and provider."""
    exchanges: tuple[RecordedExchange, ...]
    conversations: tuple[tuple[RecordedExchange, ...], ...] = field(repr=False)
    """The exchanges of each conversation: a submit with its polls and its download, or a single exchange."""


def build_recorded_change(
    rule_id: str,
    old_and_new_exchange: tuple[RecordedExchange, RecordedExchange],
    location: str,
    exchange_part: str,
    message_values: Mapping[str, Any] | None = None,
) -> DriftChange:
    """Create a change between two recorded exchanges.

    Args:
        rule_id: the id of the rule.
        old_and_new_exchange: the older and the newer exchange.
        location: the changed part of the operation, as `DriftChange.location`.
        exchange_part: the changed part of both exchanges, in the format that `RecordedExchange.find_position` takes.
        message_values: the values that the report shows, under the keys "old" and "new"; `None` for none.
    """
    old_exchange, new_exchange = old_and_new_exchange
    return build_change(
        rule_id,
        location=location,
        operation_id=new_exchange.operation_id,
        old_position=old_exchange.find_position(exchange_part),
        new_position=new_exchange.find_position(exchange_part),
        message_values=message_values,
    )


def load_recordings(path: Path) -> list[tuple[str, Recording]]:
    """Load a recording, or all recordings in a folder, each with its path. The result has at least one recording.

    Raises:
        DataError: there is no recording or no exchange, a file is not a recording of voicegauge, or providers differ
            between files.
    """
    loaded = [(str(file), load_har(file)) for file in find_recordings(path)]
    if not loaded:
        raise DataError(f"{path}: contains no recording (*.har)")
    if not any(recording.exchanges for _, recording in loaded):
        raise DataError(f"{path}: contains no exchanges: record again, or name another folder")
    providers = sorted({recording.provider for _, recording in loaded})
    if len(providers) > 1:
        raise DataError(f"{path}: contains recordings of {', '.join(providers)}: name the folder of one provider")
    return loaded


def interpret_recordings(
    contract: Contract, shown_path: str, recordings: Sequence[tuple[str, Recording]]
) -> RecordedTraffic:
    """Interpret recordings with the help of the contract of their provider.

    Args:
        contract: the contract of the provider.
        shown_path: the path that reports show.
        recordings: the recordings, each with its path.

    Raises:
        DataError: a recording was made with another provider.
    """
    exchanges: list[RecordedExchange] = []
    conversations: list[tuple[RecordedExchange, ...]] = []
    for file, recording in recordings:
        if recording.provider != contract.id:
            raise DataError(f"{file}: is a recording of {recording.provider}, not of {contract.id}")
        recorded_exchange = [
            _build_recorded_exchange(contract, file, entry_index, exchange)
            for entry_index, exchange in enumerate(recording.exchanges)
        ]
        # By identity, because two polls of a job may be equal in everything.
        by_exchange = {id(one.exchange): one for one in recorded_exchange}
        groups = group_exchanges_by_conversation(contract, recording.exchanges)
        conversations += [tuple(by_exchange[id(exchange)] for exchange in group) for group in groups]
        exchanges += recorded_exchange
    provenances = ", ".join(sorted({recording.provenance.value for _, recording in recordings}))
    title = f"{contract.provider.title}, {provenances}"
    dates = sorted({recording.recorded_at[:10] for _, recording in recordings})
    version = " to ".join(dict.fromkeys((*dates[:1], *dates[-1:])))
    compared_input = ComparedInput(file=shown_path, title=title, version=version, provider=contract.id)
    return RecordedTraffic(contract, compared_input, tuple(exchanges), tuple(conversations))


def _build_recorded_exchange(contract: Contract, file: str, entry_index: int, exchange: Exchange) -> RecordedExchange:
    try:
        body: Any = read_json(exchange.response.body) if is_json(exchange.response.media_type) else MISSING
    except UnreadableBodyError:
        body = MISSING
    return RecordedExchange(contract, file, entry_index, exchange, contract.operations.get(exchange.operation), body)


def iterate_job_states(conversation: Sequence[RecordedExchange]) -> Iterator[tuple[RecordedExchange, str]]:
    """Yield the states of the job in a conversation, each with the first exchange that reports the state.

    Polls that report the same state as the exchange before are skipped.
    """
    last = None
    for recorded_exchange in conversation:
        state = recorded_exchange.job_state
        if state is not None and state != last:
            last = state
            yield recorded_exchange, state


# Matches the conversations of two recordings by their requests.


MIN_REQUEST_SIMILARITY = 0.5
"""Smallest similarity, from 0 to 1, with which two requests match although some of their values differ, such as a
text."""
_LOCATION_PREFIXES_OF_DECISIVE_VALUES = ("key", "header x-voicegauge-")
"""Starts of the locations of decisive values, such as the API key. If requests differ in such a value, they differ on
purpose, as with a wrong key, and therefore never match."""

Conversation = tuple[RecordedExchange, ...]
"""The exchanges of one conversation, in their order."""


class ConversationPair(NamedTuple):
    """A conversation of the older recording, and the matching conversation of the newer recording."""

    old_conversation: Conversation
    new_conversation: Conversation
    has_identical_requests: bool
    """Whether the first requests of both conversations have equal values."""


class ConversationPairing(NamedTuple):
    """The matched conversations of two recordings."""

    matched_pairs: list[ConversationPair]
    unmatched_old_conversations: list[Conversation]
    """Conversations of the older recording that match no conversation of the newer one. Repetitions of a conversation
    that has a match are left out."""


_RequestValueByLocation = dict[str, str]
"""The values of a request, by their location in the request."""


def pair_conversations(old_traffic: RecordedTraffic, new_traffic: RecordedTraffic) -> ConversationPairing:
    """Return the conversations of two recordings as pairs of an older and a newer conversation.

    Conversations whose first requests are equal are matched first, in their order. Each older conversation that is left
    is then matched with the newer one that has the most similar first request, if this is similar enough. Both requests
    of a pair call the same operation.
    """
    pairing = ConversationPairing([], [])
    new_conversations = _group_conversations_by_operation(new_traffic)
    for operation, conversations in _group_conversations_by_operation(old_traffic).items():
        _pair_conversations_of_operation(conversations, new_conversations.get(operation, []), pairing)
    return pairing


def _pair_conversations_of_operation(
    old_conversations: list[tuple[_RequestValueByLocation, Conversation]],
    new_conversations: list[tuple[_RequestValueByLocation, Conversation]],
    pairing: ConversationPairing,
) -> None:
    """Match the conversations that begin with one operation, add the result to `pairing`, and remove matched ones.

    Args:
        old_conversations: the older conversations, each with the values of its first request.
        new_conversations: the newer conversations, each with the values of its first request. Those that find a match
            are removed from this list.
        pairing: receives the pairs and the older conversations without a match.
    """
    # Equal requests first: a request that is only similar must not take the partner of an equal one.
    unmatched, repeated = [], []
    for values, conversation in old_conversations:
        match = next((candidate for candidate in new_conversations if candidate[0] == values), None)
        if match is None:
            unmatched.append((values, conversation))
            continue
        new_conversations.remove(match)
        repeated.append(values)
        pairing.matched_pairs.append(ConversationPair(conversation, match[1], has_identical_requests=True))
    for values, conversation in unmatched:
        best = max(
            new_conversations, key=lambda candidate: _compute_request_similarity(values, candidate[0]), default=None
        )
        if best is not None and _compute_request_similarity(values, best[0]) >= MIN_REQUEST_SIMILARITY:
            new_conversations.remove(best)
            repeated.append(values)
            pairing.matched_pairs.append(ConversationPair(conversation, best[1], has_identical_requests=False))
        elif values not in repeated:  # fewer repetitions of a request are not a change of the API
            pairing.unmatched_old_conversations.append(conversation)


def _group_conversations_by_operation(
    traffic: RecordedTraffic,
) -> dict[str, list[tuple[_RequestValueByLocation, Conversation]]]:
    conversations: dict[str, list[tuple[_RequestValueByLocation, Conversation]]] = defaultdict(list)
    for conversation in traffic.conversations:
        first = conversation[0]
        conversations[first.operation_id].append((first.read_compared_values(), conversation))
    return conversations


def _compute_request_similarity(old_values: _RequestValueByLocation, new_values: _RequestValueByLocation) -> float:
    """Return the similarity of two requests, from 0 to 1.

    It is the share of equal values among the values of both requests. A location where both requests have a value, but
    not the same one, counts as half an equal value. The similarity is 0 if a decisive value differs.
    """
    names = old_values.keys() | new_values.keys()
    if any(
        old_values.get(name) != new_values.get(name)
        for name in names
        if name.startswith(_LOCATION_PREFIXES_OF_DECISIVE_VALUES)
    ):
        return 0.0
    # Another text in the same field still makes the same kind of request: without the half, two requests with new texts
    # would not match at all.
    equal = sum(old_values.get(name) == new_values.get(name) for name in names)
    return (equal + (len(old_values.keys() & new_values.keys()) - equal) / 2) / max(1, len(names))


# Groups responses that can be compared because they have the same operation, status and job state.


class ResponseGroupKey(NamedTuple):
    """Identifies a group of responses that can be compared: they have the same operation, status and job state."""

    operation_id: str
    status: int
    job_state: str | None
    """The job state that the responses report; `None` if they report no job state."""

    @property
    def body_location(self) -> str:
        """Start of the locations of all changes in the bodies of these responses: "200 body#"."""
        return f"{self.status} body#"


class MessageGroupKey(NamedTuple):
    """Identifies a group of messages of WebSockets that can be compared: the same message of the same channel."""

    operation_id: str
    message_name: str

    @property
    def body_location(self) -> str:
        """Start of the locations of all changes in these messages: "server message Chunk#"."""
        return f"server message {self.message_name}#"


class PairedResponses(NamedTuple):
    """The older and the newer responses that can be compared, from a conversation of each recording.

    There is at least one older and one newer response.
    """

    conversation_pair_id: str
    """Id of the pair: a conversation of the older recording and the matching one of the newer recording."""
    old_exchanges: tuple[RecordedExchange, ...]
    new_exchanges: tuple[RecordedExchange, ...]


def group_responses_by_key(
    conversation_pairs: Sequence[ConversationPair],
) -> dict[ResponseGroupKey, list[PairedResponses]]:
    """Group the responses of all pairs of conversations by operation, status and job state.

    If only one of the two conversations of a pair has responses in a group, the pair is left out of the group.
    """
    groups: dict[ResponseGroupKey, list[PairedResponses]] = defaultdict(list)
    for number, pair in enumerate(conversation_pairs):
        old, new = map(_group_exchanges_by_key, (pair.old_conversation, pair.new_conversation))
        for group_key in old.keys() & new.keys():
            groups[group_key].append(PairedResponses(str(number), tuple(old[group_key]), tuple(new[group_key])))
    return dict(
        sorted(groups.items(), key=lambda group: (group[0].operation_id, group[0].status, group[0].job_state or ""))
    )


def _group_exchanges_by_key(
    conversation: Sequence[RecordedExchange],
) -> dict[ResponseGroupKey, list[RecordedExchange]]:
    groups: dict[ResponseGroupKey, list[RecordedExchange]] = defaultdict(list)
    for one in conversation:
        groups[ResponseGroupKey(one.operation_id, one.status, one.job_state)].append(one)
    return groups


class FlattenedBody(NamedTuple):
    """The flattened JSON body of one response."""

    recorded_exchange: RecordedExchange
    values: list[FlattenedValue]
    """Every value in the body, at any depth."""
    objects: list[FlattenedObject]
    """Every object in the body, with the names of its fields."""


class PairedBodies(NamedTuple):
    """The flattened bodies of one pair of conversations. `old_bodies` and `new_bodies` have at least one body each."""

    conversation_pair_id: str
    """Id of the pair: a conversation of the older recording and the matching one of the newer recording."""
    old_bodies: list[FlattenedBody]
    new_bodies: list[FlattenedBody]


def flatten_bodies(response_pairs: Sequence[PairedResponses]) -> list[PairedBodies]:
    """Flatten the JSON bodies of the responses in one group. Responses without JSON are left out."""
    entry_key_fields = find_entry_key_fields(
        (one.json_body for pair in response_pairs for one in pair.old_exchanges if one.json_body is not MISSING),
        (one.json_body for pair in response_pairs for one in pair.new_exchanges if one.json_body is not MISSING),
    )
    body_pairs = (
        PairedBodies(
            pair.conversation_pair_id,
            _flatten_bodies_of_exchanges(pair.old_exchanges, entry_key_fields),
            _flatten_bodies_of_exchanges(pair.new_exchanges, entry_key_fields),
        )
        for pair in response_pairs
    )
    return [pair for pair in body_pairs if pair.old_bodies and pair.new_bodies]


def _flatten_bodies_of_exchanges(
    exchanges: Sequence[RecordedExchange], entry_key_fields: EntryKeyFieldsByPath
) -> list[FlattenedBody]:
    bodies = []
    for one in exchanges:
        if one.json_body is not MISSING:
            flattened = list(flatten_json(one.json_body, entry_key_fields))
            values = [part for part in flattened if isinstance(part, FlattenedValue)]
            bodies.append(FlattenedBody(one, values, [part for part in flattened if isinstance(part, FlattenedObject)]))
    return bodies
