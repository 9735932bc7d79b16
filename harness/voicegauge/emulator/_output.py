"""What the emulator sends, before it is encoded, and how a fault can change it: responses, callbacks, messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from voicegauge.contract.contract import BaseSocketTarget, SocketTarget, Target
from voicegauge.contract.document_parts import MediaType, Parameter, ResponseSpec
from voicegauge.contract.extension.jobs import JobSpec, StreamSpec
from voicegauge.contract.extension.sockets import ServerEventKind
from voicegauge.contract.extension.speech import SpeechField
from voicegauge.contract.operation import Operation
from voicegauge.emulator._provider_state import EmulatedJob
from voicegauge.emulator._request import ParsedRequest
from voicegauge.emulator._schema_values import SchemaValueBuilder
from voicegauge.emulator._speech_synthesis import SpeechTiming, SynthesisRequest
from voicegauge.formats.bodies import is_json
from voicegauge.formats.locations import Location

# Defines a response under construction, which is built from the contract, changed by faults and then sent.


ResponseKind = Literal["submit", "speech", "status", "result", "audio", "audio-input", "other", "error"]
"""What a response does: it accepts a job ("submit"), returns speech at once ("speech"), reports a job's state
("status"), returns a job's result ("result"), is a download of audio ("audio"), returns the result for uploaded audio
("audio-input"), is another documented response ("other"), or an error ("error")."""


@dataclass
class StreamPiece:
    """One chunk of a streamed body, or one server-sent event, before it is encoded."""

    wait_before_s: float
    """Delay in seconds after the previous piece; it is skipped unless the clock is real."""
    event_type: str | None = None
    """Type of the event; `None` for plain bytes, and for a text without a type that marks the end of the stream."""
    event_data: Any = None
    """Data of the event, without its audio."""
    audio_bytes: bytes = b""
    """The audio of the piece; empty for an event without audio."""
    event_text: str | None = None
    """Data of the event if the data is not JSON, such as the text "[DONE]" at the end of a stream; else `None`."""
    stall_s: float = 0.0
    """Extra delay in seconds. It also happens if the clock is not real, because clients must be able to measure it."""
    is_audio_corrupt: bool = False
    """Whether the audio is encoded wrongly on purpose."""


@dataclass
class EmulatedResponse:
    """A response that is built from the contract, changed by faults and then sent."""

    kind: ResponseKind
    """What the response does, by which faults recognize those that they change."""
    status: int
    body: Any = b""
    """The body: a JSON value if `media_type` is JSON, a text if it is a text type such as "text/plain", else bytes."""
    media_type: str | None = None
    """Media type of the body, which the header Content-Type states; `None` without a body."""
    headers: dict[str, str] = field(default_factory=dict)
    response_spec: ResponseSpec | None = None
    """The documented response on which this response is based; `None` if it is undocumented."""
    documented_media_type: MediaType | None = None
    """The documented media type of the body; `None` if the contract does not document it."""
    operation: Operation | None = None
    """The operation that was requested; `None` if the path or method belongs to no operation."""
    target: Target | None = None
    """The target that the request addresses; `None` if it addresses no target for speech."""
    stream_spec: StreamSpec | None = None
    """The events of the body; `None` if the body is not a stream of events."""
    job: EmulatedJob | None = None
    """The job that the response is about; `None` if it is about none."""
    request: ParsedRequest | None = None
    """The request, if a webhook or a stream may depend on it; otherwise `None`."""
    rejection_reason: str | None = None
    """The reason why the request was rejected; `None` if it was not."""
    split_into_pieces: Callable[[bytes], list[StreamPiece]] | None = None
    """Function that splits a streamed body into pieces, called after faults have changed `body`; `None` if the body is
    not streamed."""
    stream_pieces: list[StreamPiece] | None = None
    """Pieces of a streamed body, which are sent instead of `body`; `None` if the body is not streamed."""
    is_connection_cut: bool = False
    """Whether the connection is closed before the end of the body."""
    audio_format: str | None = None
    """Format of the audio if the body is a download of audio, else `None`."""
    replacement_body_bytes: bytes | None = None
    """Bytes that are sent instead of `body` and `stream_pieces` with the same media type; `None` if there are none."""

    @property
    def is_body_text_or_json(self) -> bool:
        """Whether `body` is a JSON value or a text rather than bytes."""
        return not isinstance(self.body, bytes)

    def encode_payload(self) -> bytes:
        """Return the bytes to send if the body is not streamed."""
        if self.replacement_body_bytes is not None:
            return self.replacement_body_bytes
        if isinstance(self.body, bytes):
            return self.body
        if isinstance(self.body, str) and self.media_type is not None and not is_json(self.media_type):
            return self.body.encode()
        return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()


# Adds the documented response headers, with values from the emulator's state.


_MIN_PLAUSIBLE_UNIX_TIME = 1_000_000_000
"""If the documented example or minimum of a rate-limit reset header is at least this number, the header contains a Unix
time. Otherwise it contains the number of seconds to wait."""
BUSY_RETRY_AFTER_S = 1
"""Value of Retry-After of a rejection that is not about the rate limit: short, since clients in tests wait so long."""


def add_documented_headers(response: EmulatedResponse, rate_limit_values: Mapping[str, int]) -> None:
    """Add the documented headers: rate limits, the charge, and all other required headers.

    Args:
        response: the response, which is changed in place.
        rate_limit_values: the result of `AccountRegistry.compute_rate_limit_values`.
    """
    if response.response_spec is None or response.operation is None:
        return
    roles = {name.lower(): role for role, name in response.operation.limits.rate_limit_header_names.items()}
    roles.setdefault("retry-after", "retry_after")  # a standard header, whose role contracts need not state
    present = {name.lower() for name in response.headers}  # their values are known where they were set
    for name, header in response.response_spec.headers.items():
        if name.lower() in present:
            continue
        value = _build_header_value(response, header, roles.get(name.lower()), rate_limit_values)
        if value is not None:
            response.headers[name] = value


def _build_header_value(
    response: EmulatedResponse, header: Parameter, header_role: str | None, rate_limit_values: Mapping[str, int]
) -> str | None:
    value = (
        _build_rate_limit_value(response, header, header_role, rate_limit_values) if header_role is not None else None
    )
    if value is not None:
        return value
    charged = _find_charged_amount(response, header.name)
    if charged is not None:
        return f"{charged:.6f}".rstrip("0").rstrip(".")  # without an exponent, which clients may not parse
    if not header.is_required:
        return None
    builder = SchemaValueBuilder(header.schemas)
    return str(builder.build_minimal_value(header.part_data.get("schema", {}), f"{header.pointer}/schema"))


def _build_rate_limit_value(
    response: EmulatedResponse, header: Parameter, header_role: str, rate_limit_values: Mapping[str, int]
) -> str | None:
    limited = response.rejection_reason == "rate-limited"
    if header_role == "retry_after":
        return str(rate_limit_values["retry_after"] if limited else BUSY_RETRY_AFTER_S)
    if header_role == "reset":
        return str(rate_limit_values["reset"] if _contains_unix_time(header) else rate_limit_values["retry_after"])
    if header_role == "remaining" and limited:  # also by the limit of concurrent requests, which counts no window
        return "0"
    return str(rate_limit_values[header_role]) if header_role in rate_limit_values else None


def _find_charged_amount(response: EmulatedResponse, header_name: str) -> float | None:
    """Return the job's charge if a response of the contract reports it in the header `header_name`, else `None`."""
    if response.job is None or response.operation is None:
        return None
    for operation in response.operation.contract.operations.values():
        location = operation.speech.response.charge_location if operation.speech else None
        if location is not None and location.message_part == "header" and location.name.lower() == header_name.lower():
            return response.job.charge
    return None


def _contains_unix_time(header: Parameter) -> bool:
    shown: list[Any] = [header.part_data.get("example"), header.schema.get("example"), header.schema.get("minimum")]
    shown += header.schema.get("examples", [])
    return any(isinstance(value, int | float) and value >= _MIN_PLAUSIBLE_UNIX_TIME for value in shown)


TargetT = TypeVar("TargetT", Target, BaseSocketTarget)
PartT = TypeVar("PartT")
"""A part of what a contract states about a target, such as its jobs or its webhook."""


@dataclass(frozen=True)
class FaultCondition(Generic[TargetT]):
    """A condition of targets: at those that meet it, a fault can be visible."""

    description: str
    """What is true of the targets that meet the condition, in words that follow "where"; empty if all meet it."""
    is_met_by: Callable[[TargetT], bool]
    """Function that returns whether a target meets the condition, according to the target's contract."""

    def __call__(self, target: TargetT) -> bool:
        """Return whether `target` meets the condition."""
        return self.is_met_by(target)


def create_contract_part_condition(
    find_part: Callable[[Target], PartT | None], description: str, is_met_by: Callable[[PartT], bool] = lambda _: True
) -> FaultCondition[Target]:
    """Return the condition that a target's contract has a certain part, such as webhooks.

    Args:
        find_part: returns the part; `None` if the contract of the target does not have it.
        description: see `FaultCondition`.
        is_met_by: returns whether a part meets a further condition; by default, every part does.
    """

    def has_such_part(target: Target) -> bool:
        part = find_part(target)
        return part is not None and is_met_by(part)

    return FaultCondition(description, has_such_part)


_EVERYWHERE = FaultCondition[Any]("", lambda _: True)
"""The condition that every target meets."""


SocketOutputKind = ServerEventKind | Literal["raw", "abort", "close"]
"""Kind of output: an event of the contract; `raw`, a message that is in no contract; `close`, a close frame; `abort`,
the end of the connection without a close frame."""


@dataclass
class SocketOutput:
    """One message that the emulated service sends, or the end of the connection."""

    kind: SocketOutputKind
    audio: bytes = b""
    """The encoded audio of an `audio` output; otherwise empty."""
    context: str | None = None
    """The context that the message names; `None` if it names none."""
    values: dict[str, Any] = field(default_factory=dict)
    """Values of the other placeholders in the template of the message, by placeholder."""
    text: str = ""
    """The message itself, for a `raw` output."""
    delay_s: float = 0.0
    """Time in seconds to wait before the output, in addition to the usual time between messages."""
    changed_members: dict[str, Any] = field(default_factory=dict)
    """Members of the message that a fault replaces, at its top level."""


SocketOutputPurpose = Literal["speech", "flush", "end", "cancel", "limit"]
"""Why outputs are sent: a part of the text is spoken, a flush or a turn ends, a turn was cancelled, or a limit is
exceeded."""


@dataclass
class SocketTurnState:
    """The turn whose outputs a fault changes, and the facts about other turns of the connection that faults need."""

    target: SocketTarget
    """The target that speaks."""
    purpose: SocketOutputPurpose
    """What the outputs are sent for."""
    context: str | None
    """The context of the turn; `None` if the connection has no contexts."""
    bytes_per_second: int
    """Size of one second of the turn's audio; 1 if the outputs belong to no turn."""
    sample_width_bytes: int
    """Size of one sample of the target's default format; 1 for compressed audio."""
    was_flushed: bool = False
    """Whether the client has flushed the turn."""
    other_context: str | None = None
    """The context of another turn that is open; `None` if there is none."""
    other_audio: bytes = b""
    """Audio of the other open turn, or else of the turn before; empty if there is none."""
    stale_audio: bytes = b""
    """Audio of the latest cancelled turn, if these outputs are the first speech after it; otherwise empty."""
    is_first_speech: bool = True
    """Whether the outputs begin the audio of the turn."""
    turn_index: int = 0
    """Number of the turn in its connection, from 0."""


@dataclass
class ReportedText:
    """One text that the emulator reports while it transcribes."""

    kind: SocketOutputKind
    """The event that reports the text, or `raw` for a message that is in no contract."""
    text: str = ""
    """The text of the turn; for a `raw` report, the message itself."""
    delay_s: float = 0.0
    """Time before the report, in seconds."""


@dataclass(frozen=True, kw_only=True)
class SocketFault:
    """How a fault changes a WebSocket. Where it has no function (`None`), nothing is changed."""

    change_outputs: Callable[[SocketTurnState, list[SocketOutput]], list[SocketOutput]] | None = None
    """Function that returns the outputs to send instead of the given ones."""
    change_synthesis: Callable[[SynthesisRequest], SynthesisRequest] | None = None
    """Function that returns the synthesis to perform instead of the given one."""
    change_text_piece: Callable[[int, str], str] | None = None
    """Function that returns the text that replaces the text of a client's message, given the number of the message in
    its turn, from 0, and its text."""
    change_reported_texts: Callable[[list[ReportedText]], list[ReportedText]] | None = None
    """Function that returns the texts to report instead of the given ones, where audio is transcribed."""
    turn_end_silence_s: float | None = None
    """Duration of silence after which a turn ends, where audio is transcribed; `None` for the duration in the
    contract."""
    ignores_cancel: bool = False
    """Whether a cancellation does not stop the audio."""
    ignores_key: bool = False
    """Whether a connection without a key, or with a wrong one, is accepted."""
    ignores_limits: bool = False
    """Whether more contexts may be open than the contract allows."""

    def has_effect(self, target: BaseSocketTarget) -> bool:
        """Whether the fault changes what a target does: a fault of speech changes no target that transcribes."""
        changes_texts = self.change_reported_texts is not None or self.turn_end_silence_s is not None
        changes_speech = self.change_outputs or self.change_synthesis or self.change_text_piece
        if isinstance(target, SocketTarget):
            return bool(changes_speech) or not changes_texts
        return changes_texts or self.ignores_key


@dataclass(frozen=True)
class EmulatedCallback:
    """A callback that may be sent in the current state of a job."""

    body: Any
    """The payload, as a JSON value."""
    documented_media_type: MediaType
    """Documented media type of the body."""
    is_final: bool
    """Whether the callback reports the terminal state."""
    is_due: bool
    """Whether the subscriber asked for this callback. Callbacks before the end are sent only to subscribers that asked
    for progress."""
    essential_field_paths: frozenset[tuple[str, ...]] = frozenset()
    """Paths of the fields that identify the job and its state; faults avoid breaking them."""
    completion_time_location: Location | None = None
    """Location of the completion time in the body; `None` if the body has none."""
    has_forged_signature: bool = False
    """Whether the callback is signed with a wrong secret."""
    signature_age_s: float = 0.0
    """Number of seconds between the signed time and the actual sending."""
    send_count: int = 1
    """How often the same callback is sent, with the same signature."""


SpeechFieldChanger = Callable[[ParsedRequest, Target, SpeechField, Any], Any]
"""Function that returns the value of a speech field, to be used instead of the value in the request or the default."""
SkippableCheck = Literal[
    "key",
    "request",
    "items",
    "filters",
    "upload-size",
    "upload-format",
    "account",
    "deletion",
    "delisting",
    "state",
    "webhook-https",
    "cancelling",
    "expiry",
    "response-kind",
    "markup",
    "file-names",
]
"""Checks and actions of a correct provider that a fault can leave out. Requests: authentication ("key"), the schema
("request"), the lengths of lists ("items"), filters of lists ("filters"), the limits of uploads, https for webhook
URLs, and the parsing of markup. Speech: a file for each request ("file-names"). Responses: the choice between
a stream of events and audio alone ("response-kind").
Jobs: cancellation and expiry. Resources: the check of their owner ("account"), their deletion, their removal from lists
("delisting"), and the check of their state."""


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A mistake that the emulator can make.

    At least one of the fields that change its behavior is set; where a function is `None`, nothing is changed.
    """

    id: str
    """Name of the fault in settings, such as "silent-audio"."""
    description: str
    """One sentence about the behavior of a provider with this fault."""
    applies_to: FaultCondition[Target] = _EVERYWHERE
    """The targets over HTTP at which the fault can be visible."""
    change_response: Callable[[EmulatedResponse], None] | None = None
    """Function that changes a response before it is sent."""
    change_job_states: Callable[[JobSpec, tuple[str, ...]], tuple[str, ...]] | None = None
    """Function that returns the states that a job passes through, instead of the given ones."""
    choose_reported_job: Callable[[EmulatedJob, Sequence[EmulatedJob]], EmulatedJob] | None = None
    """Function that returns the job which a status response reports, given the requested job and all jobs, oldest
    first."""
    change_synthesis: Callable[[SynthesisRequest], SynthesisRequest] | None = None
    """Function that returns the synthesis to perform instead of the requested one."""
    change_speech_timings: Callable[[list[SpeechTiming]], list[SpeechTiming]] | None = None
    """Function that returns the times of characters or words to send instead of the true ones."""
    change_speech_field: SpeechFieldChanger | None = None
    """Function that returns the value of a speech field, to be used instead of the value in the request or the
    default."""
    change_stream_pieces: Callable[[Operation, list[StreamPiece]], list[StreamPiece]] | None = None
    """Function that returns the pieces to send of a streamed response, instead of the given ones."""
    change_charge: Callable[[float], float] | None = None
    """Function that returns the amount to charge instead of the correct one."""
    change_callbacks: Callable[[EmulatedCallback], Iterable[EmulatedCallback]] | None = None
    """Function that returns the callbacks to send instead of a given callback."""
    find_rejection_reason: Callable[[ParsedRequest, int], str | None] | None = None
    """Function that returns a rejection reason, or `None` to accept the request. Its second argument is the number of
    requests to the operation so far, including the given request."""
    socket: SocketFault | None = None
    """How the fault changes WebSockets; `None` if it concerns HTTP only."""
    applies_to_socket: FaultCondition[BaseSocketTarget] = _EVERYWHERE
    """For a fault of WebSockets: the targets at which the fault can be visible."""
    skipped_check: SkippableCheck | None = None
    """The check that the emulator leaves out; `None` if it makes all checks."""
    response_delay_s: float = 0.0
    """Delay added to every response, in seconds."""
    why_checks_miss_it: str | None = None
    """Why no rule of a check finds the fault, as a sentence; `None` if at least one rule does."""

    def describe_condition(self) -> str:
        """Return where the fault is visible, in words that follow "only where"."""
        if self.socket is None:
            return self.applies_to.description or "a target speaks over HTTP"
        condition = self.applies_to_socket.description
        return f"over a WebSocket {condition}" if condition else "a target speaks over a WebSocket"


FAULTS: dict[str, Fault] = {}
"""The faults that the settings can name, by id, in the order in which their modules declare them."""
FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


def add_faults(*faults: Fault) -> None:
    """Add faults to `FAULTS`, under their ids."""
    for fault in faults:
        assert fault.id not in FAULTS, f"two faults have the id {fault.id}"
        FAULTS[fault.id] = fault


def declare_fault(
    changed_behavior: str,
    fault_id: str,
    description: str,
    applies_to: FaultCondition[Any] = _EVERYWHERE,
    why_checks_miss_it: str | None = None,
) -> Callable[[FunctionT], FunctionT]:
    """Return a decorator that declares a fault, whose mistake is what the decorated function does.

    Args:
        changed_behavior: the field of `Fault`, or of `SocketFault` for a fault of WebSockets, that holds the function.
        fault_id: id of the fault.
        description: one sentence about the behavior of a provider with this fault.
        applies_to: the targets at which the fault can be visible; by default all.
        why_checks_miss_it: why no rule of a check finds the fault; `None` if at least one rule does.
    """
    common: dict[str, Any] = {"id": fault_id, "description": description, "why_checks_miss_it": why_checks_miss_it}

    def register_function(function: FunctionT) -> FunctionT:
        change: dict[str, Any] = {changed_behavior: function}
        if changed_behavior in Fault.__dataclass_fields__:
            add_faults(Fault(**common, **change, applies_to=applies_to))
        else:
            add_faults(Fault(**common, socket=SocketFault(**change), applies_to_socket=applies_to))
        return function

    return register_function
