"""A provider's contract: its operations, targets, and what a document states of them.

The classes are defined in one module because they refer to each other.
"""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from voicegauge.contract.document_parts import (
    ContractPart,
    MediaType,
    Parameter,
    ResponseSpec,
    read_media_types,
    walk_objects,
)
from voicegauge.contract.extension.audio_input import AudioInputTargetSpec, ConversionSpec, TranscriptionSpec
from voicegauge.contract.extension.jobs import JobSpec, StreamSpec, SubmitSpec, WebhookSpec
from voicegauge.contract.extension.pricing import CharacterCounting, PriceSpec
from voicegauge.contract.extension.provider import IdempotencySpec, KeySpec, LimitsSpec, ProviderSpec
from voicegauge.contract.extension.resources import BatchSpec, ChatSpec, PaginationSpec, ResourceSpec, ResourceUse
from voicegauge.contract.extension.sockets import SocketFormat, SocketSpec, SocketTargetSpec
from voicegauge.contract.extension.sources import Dispute, SourceDocument
from voicegauge.contract.extension.speech import AudioFormat, ResponseAudio, SpeechResponse, SpeechSpec, TargetSpec
from voicegauge.contract.schemas import Schemas, find_matching_branch, find_max_length
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.formats.located_yaml import Document, escape_pointer_token, unescape_pointer_token
from voicegauge.formats.locations import MISSING, Location, LocationValues, read_pointer

# Finds the source of a part of a contract, and the disputes that are recorded about that part.


OPERATION_POINTER_DEPTH = 3
"""Number of tokens in the JSON pointer to an operation: /paths/<path>/<method>."""


@dataclass(frozen=True, eq=False)
class ContractSources:
    """The sources and disputes that a document records."""

    document_data: Any
    """The whole document as plain data."""
    sources: Mapping[str, SourceDocument]
    """The documents that facts come from, by name: `x-provider.sources`."""

    def has_normative_source(self, pointer: str) -> bool:
        """Whether a normative document states the part of a request at `pointer`.

        The result is `True` also if no source is given. The source is the `x-source` of that part, or the `source` of a
        record of an `x-` key, or that of the closest part around it. The `x-source` of an operation does not count: a
        user who calls an operation that only a client library documents expects it to work.
        """
        pointer_tokens = [unescape_pointer_token(token) for token in pointer.split("/")[1:]]
        first = OPERATION_POINTER_DEPTH + 1 if pointer_tokens[:1] == ["paths"] else 0
        for end in range(len(pointer_tokens), first - 1, -1):
            part = read_pointer(self.document_data, pointer_tokens[:end])
            source = part.get("x-source", part.get("source")) if isinstance(part, dict) else None
            if isinstance(source, dict) and "document_name" in source:
                document = self.sources.get(source["document_name"])
                return document is None or document.is_normative
        return True

    def iterate_disputes(self, pointer: str) -> Iterator[tuple[Dispute, str]]:
        """Yield the recorded disputes about the part at `pointer` or a part around it, innermost first.

        Each dispute is followed by the JSON pointer to the part that the dispute is about.
        """
        pointer_tokens = pointer.split("/")
        for end in range(len(pointer_tokens), 0, -1):
            ancestor = "/".join(pointer_tokens[:end])
            for dispute in self._disputes_by_pointer.get(ancestor, ()):
                yield dispute, ancestor

    @functools.cached_property
    def _disputes_by_pointer(self) -> Mapping[str, tuple[Dispute, ...]]:
        found: dict[str, tuple[Dispute, ...]] = {}
        for pointer, node in walk_objects(self.document_data):
            for key in ("x-source", "source"):
                source = node.get(key)
                if isinstance(source, dict) and source.get("disputes"):
                    found[pointer] = msgspec.convert(source["disputes"], tuple[Dispute, ...])
        return found


# Matches paths of URLs with the path template of an operation.


class PathMatch(NamedTuple):
    """The path of a URL, split at the beginning of an operation's path."""

    base_path: str
    """The path of the base URL."""
    path_parameters: dict[str, str]
    """The values of the path parameters, with percent-encoding decoded."""


@dataclass(frozen=True)
class PathTemplate:
    """The path of an operation, in which parameters have braces."""

    path: str
    """The template, such as "/v1/speech/{id}"."""

    def match(self, path: str) -> dict[str, str] | None:
        """Return the path parameters if `path` matches the template; `None` if it does not."""
        found = self._pattern.match(path)
        if not found:
            return None
        return dict(zip(self._parameter_names, found.groups(), strict=True))

    def match_end(self, path: str) -> PathMatch | None:
        """Return `path`, split into a base path and the end that matches the template; `None` if no end matches.

        The base path may be anything, because users can set any base URL.
        """
        # A parameter is one segment, so every URL of the operation ends with the same number of segments.
        prefix, *segments = path.rsplit("/", self.path.count("/"))
        parameters = self.match("/" + "/".join(segments))
        if parameters is None:
            return None
        return PathMatch(prefix, {name: unquote(value) for name, value in parameters.items()})

    @functools.cached_property
    def _pattern(self) -> re.Pattern[str]:
        # Groups are numbered, because a parameter's name need not be a valid group name.
        parts = re.split(r"(\{[^}]+\})", self.path)
        pattern = "".join(
            f"(?P<p{index}>[^/]+)" if part.startswith("{") else re.escape(part) for index, part in enumerate(parts)
        )
        return re.compile(f"^{pattern}$")

    @functools.cached_property
    def _parameter_names(self) -> list[str]:
        return re.findall(r"\{([^}]+)\}", self.path)


# Represents a loaded contract: the operations and servers of a provider, and the targets that the operations serve.


AudioInputSpec = TranscriptionSpec | ConversionSpec
_NamedItemT = TypeVar("_NamedItemT")


@dataclass(frozen=True, eq=False)
class Server:
    """A base URL of the provider."""

    name: str
    """Name of the server: `x-name` in the document, by default the host."""
    url: str
    """Absolute base URL, without a slash at the end."""


@dataclass(frozen=True, eq=False)
class Operation(ContractPart):
    """One documented operation: a method and a path."""

    contract: Contract = field(repr=False)
    id: str
    """The `operationId` in the document."""
    method: str
    """The HTTP method in upper case."""
    path: str
    """The path template, such as "/v1/speech/{id}"."""
    parameters: tuple[Parameter, ...]
    server: Server
    """The server that requests are sent to by default."""
    security: tuple[Mapping[str, Any], ...]
    """The alternative security requirements. An empty mapping means that no key is needed."""
    speech: SpeechSpec | None
    job: JobSpec | None
    pricing: PriceSpec | None
    limits: LimitsSpec
    """The operation's own limits, completed with the contract's limits."""
    resource: ResourceSpec | None = None
    pagination: PaginationSpec | None = None
    stream: StreamSpec | None = None
    batch: BatchSpec | None = None
    chat: ChatSpec | None = None
    webhook: WebhookSpec | None = None
    idempotency: IdempotencySpec | None = None
    submit: SubmitSpec | None = None
    audio_input: AudioInputSpec | None = None
    """`x-transcription` or `x-conversion`, for an operation that audio is sent to."""
    socket: SocketChannel | None = None
    """The messages of a WebSocket, for a channel of the AsyncAPI document. The method is then that of the handshake."""

    @property
    def needs_key(self) -> bool:
        """Whether every documented security alternative requires a key."""
        return bool(self.security) and all(self.security)

    @functools.cached_property
    def required_headers(self) -> dict[str, str]:
        """The headers that every request must have and whose value is documented, as an example or a default."""
        required = [one for one in self.parameters if one.message_part == "header" and one.is_required]
        documented = {one.name: one.part_data.get("example", one.schema.get("default")) for one in required}
        return {name: str(value) for name, value in documented.items() if value is not None}

    @functools.cached_property
    def job_target(self) -> JobTarget | None:
        """The target of the job without audio that the operation starts; `None` if it starts no such job."""
        if self.submit is None:
            return None
        spec = TargetSpec(title=self.id, emulation=self.submit.emulation)
        return JobTarget(self.id, self, spec, f"{self.pointer}/x-submit")

    @property
    def started_job_operation(self) -> Operation | None:
        """The status operation of the jobs that the operation starts, with audio or not; `None` if it starts none."""
        name = (
            self.speech.response.status_operation_id
            if self.speech is not None
            else self.submit.status_operation_id
            if self.submit
            else None
        )
        return self.contract.operations.get(name) if name is not None else None

    @property
    def needs_existing_id(self) -> bool:
        """Whether each request must name something that exists, such as a job, by its id in a required parameter."""
        return any(
            parameter.is_required and not {"enum", "const", "default"} & parameter.schema.keys()
            for parameter in self.parameters
            if parameter.message_part in ("path", "query") and isinstance(parameter.schema, dict)
        )

    @property
    def response_audio_variants(self) -> Iterator[ResponseAudio]:
        """The ways in which responses can carry audio: that of `x-speech`, and those that single targets select.

        Nothing is yielded for an operation without `x-speech`.
        """
        if self.speech is not None:
            audios = (self.speech.response.audio, *(target.response_audio for target in self.speech.targets.values()))
            yield from (audio for audio in audios if audio is not None)

    def find_target(self, read_request_value: Callable[[Location], Any]) -> Target | None:
        """Return the speech target that a request addresses; `None` if it addresses none.

        A target is addressed if its constants are sent, or values that match its `request_patterns`, and the fields
        that it needs are present. If this is true for more than one target, the one with the most constants and needed
        fields is returned, because it is the most specific. A target that is addressed by a pattern has the values of
        the request as its constants, and no price of its own.

        Args:
            read_request_value: reads the value at a location of the request; returns `MISSING` if there is no value.
        """
        best_rank, best = (0, 0), None
        for target in self.contract.targets.values():
            spec = target.target_spec
            if target.operation is not self:
                continue
            needed = [target.speech.request_fields[word].location for word in spec.required_fields]
            sent = {location: read_request_value(location) for location in spec.request_constants}
            if not all(spec.allows_value(location, value) for location, value in sent.items()):
                continue
            equal_count = sum(sent[location] == value for location, value in spec.request_constants.items())
            rank = (len(sent) + len(needed), equal_count)
            if all(read_request_value(location) is not MISSING for location in needed) and (
                best is None or rank > best_rank
            ):
                best_rank, best = rank, target if equal_count == len(sent) else target.replace_constants(sent)
        return best

    @functools.cached_property
    def has_disputed_job_states(self) -> bool:
        """Whether documents contradict each other about the states that this operation reports of a job."""
        disputes = self.contract.iterate_disputes(f"{self.pointer}/x-job/states")
        return any("job-state-unknown" in dispute.rule_ids for dispute, _ in disputes)

    @functools.cached_property
    def is_job_timeout_documented(self) -> bool:
        """Whether a document states how long a job may take; otherwise `job_timeout_s` is a default of voicegauge."""
        stated = read_pointer(self.part_data, ["x-job", "poll_schedule"])
        source = self.job.poll_schedule.source if self.job is not None else None
        is_inferred = source is not None and source.is_inferred
        return isinstance(stated, Mapping) and "job_timeout_s" in stated and not is_inferred

    def iterate_uses_of_created_resource(self, other_operation: Operation) -> Iterator[ResourceUse]:
        """Yield the uses, in requests to `other_operation`, of the resource that this operation creates."""
        yield from (
            (use for use in self.resource.uses if use.operation_id == other_operation.id) if self.resource else ()
        )

    @property
    def targets(self) -> Iterator[BaseTarget]:
        """The targets that this operation serves. Speech targets come first."""
        contract = self.contract
        targets = (
            *contract.targets.values(),
            *contract.audio_input_targets.values(),
            *contract.socket_targets.values(),
        )
        for target in targets:
            if target.operation is self:
                yield target

    @functools.cached_property
    def request_media(self) -> Mapping[str, MediaType]:
        """The request bodies by media type, the preferred one first; empty if the operation takes no body."""
        node = self.part_data.get("requestBody")
        if node is None:
            return {}
        body, pointer = self.schemas.resolve_reference(node, f"{self.pointer}/requestBody")
        return read_media_types(ContractPart(self.schemas, pointer, body))

    def find_request_media(self, media_type: str) -> MediaType | None:
        """Return the documented request body of a media type, or of a range that has it, such as `audio/*`."""
        documented = self.request_media
        ranges = (media for name, media in documented.items() if name.endswith("/*"))
        return documented.get(media_type) or next(
            (media for media in ranges if media.name == "*/*" or media_type.startswith(media.name[:-1])), None
        )

    @functools.cached_property
    def responses(self) -> Mapping[str, ResponseSpec]:
        """The documented responses by status."""
        found = {}
        for status, node in self.part_data.get("responses", {}).items():
            if status.startswith("x-"):
                continue
            node, pointer = self.schemas.resolve_reference(node, f"{self.pointer}/responses/{status}")
            found[status] = ResponseSpec(self.schemas, pointer, node, status)
        return found

    def find_response(self, status: int) -> ResponseSpec | None:
        """Return the documented response for a status code, else for its class, "4XX", else the default response.

        Return `None` if the operation documents none of these.
        """
        for key in (str(status), f"{status // 100}XX", f"{status // 100}xx", "default"):
            if key in self.responses:
                return self.responses[key]
        return None

    @functools.cached_property
    def success_response(self) -> ResponseSpec:
        """The first documented 2xx response.

        Raises:
            ContractError: the operation documents none.
        """
        for status, response in self.responses.items():
            if status.startswith("2"):
                return response
        raise self.contract.document.build_error(self.pointer, f"{self.id} documents no 2xx response")

    @functools.cached_property
    def _path_template(self) -> PathTemplate:
        return PathTemplate(self.path)

    def match_path(self, path: str) -> dict[str, str] | None:
        """Return the path parameters if `path` matches the path template; `None` if it does not."""
        return self._path_template.match(path)

    def match_path_end(self, path: str) -> PathMatch | None:
        """Return `path`, split into a base path and the end that matches the template; `None` if no end matches.

        The base path may be anything, because users can set any base URL.
        """
        return self._path_template.match_end(path)


@dataclass(frozen=True, eq=False)
class BaseTarget(ABC):
    """One model or mode of a provider."""

    name: str
    """Name of the target, unique within the provider: "xtts-v2", "stt-whisper"."""
    operation: Operation = field(repr=False)
    target_spec: TargetSpec | AudioInputTargetSpec | SocketTargetSpec = field(repr=False)
    pointer: str
    """JSON pointer to the target in the document."""

    @property
    def contract(self) -> Contract:
        """The contract that defines the target."""
        return self.operation.contract

    @property
    def id(self) -> str:
        """The id of the target: <provider>/<name>."""
        return f"{self.contract.id}/{self.name}"

    @property
    @abstractmethod
    def response(self) -> SpeechResponse:
        """The documented response of the target's operation: audio or a job."""

    @functools.cached_property
    def job_operation(self) -> Operation | None:
        """The operation that reports the status of jobs; `None` if the target starts no jobs."""
        return (
            self.contract.find_operation(self.response.status_operation_id)
            if self.response.status_operation_id
            else None
        )

    @property
    def needs_key(self) -> bool:
        """Whether a request to the target needs a key."""
        return self.operation.needs_key

    @property
    def pricing(self) -> PriceSpec | None:
        """The target's own price, else the price of its operation; `None` if no price is documented."""
        own = self.target_spec.pricing
        return own.select_plan(self.contract.account_plans) if own is not None else self.operation.pricing


@dataclass(frozen=True, eq=False)
class Target(BaseTarget):
    """A speech synthesis target."""

    target_spec: TargetSpec = field(repr=False)

    @functools.cached_property
    def speech(self) -> SpeechSpec:
        """The `x-speech` of the target's operation, with the request fields of the target."""
        speech = self.operation.speech
        assert speech is not None
        if not self.target_spec.request_fields:
            return speech
        fields = {
            name: field
            for name, field in {**speech.request_fields, **self.target_spec.request_fields}.items()
            if field is not None
        }
        return msgspec.structs.replace(speech, request_fields=fields)

    def replace_constants(self, request_constants: Mapping[Location, Any]) -> Target:
        """Return this target for other values of its constants, such as a model that no document names.

        What is documented for this model only, its price and its name in responses, does not hold for the other.
        """
        spec = msgspec.structs.replace(
            self.target_spec,
            request_constants=LocationValues(request_constants),
            pricing=None,
            response_model_name=None,
        )
        return replace(self, target_spec=spec)

    @functools.cached_property
    def response(self) -> SpeechResponse:
        """The documented response: a job or audio, which may differ from that of other targets of the operation."""
        response = self.speech.response
        return (
            response
            if self.target_spec.response_audio is None
            else msgspec.structs.replace(response, audio=self.target_spec.response_audio)
        )

    @functools.cached_property
    def selecting_constants(self) -> dict[Location, Any]:
        """Those request constants of the target, by location, that some other target of its operation does not have."""
        others = [spec.request_constants for spec in self.speech.targets.values()]
        constants = self.target_spec.request_constants
        return {at: value for at, value in constants.items() if any(other.get(at) != value for other in others)}

    @property
    def response_audio(self) -> ResponseAudio | None:
        """Where and how responses have the audio: the response to the request, or to a poll of its job."""
        status = self.job_operation
        return status.job.audio if status is not None and status.job is not None else self.response.audio

    def count_charged_characters(self, text: str, *, includes_template: bool = False) -> int:
        """Return the number of characters that a text is charged for, as the provider counts them.

        Args:
            text: a text to speak.
            includes_template: whether `text` is the value in a request, which has the template of the field already.
        """
        mapping = self.speech.request_fields["text"]
        count = CharacterCounting() if self.pricing is None else self.pricing.character_counting
        return count.count_characters(
            text if includes_template else mapping.fill_template(text), has_markup=mapping.markup_language is not None
        )

    def find_text_limit(self, plan_names: Collection[str] = ()) -> int | None:
        """Return the maximum number of characters in the text of one request; `None` if no document states a limit.

        A recommended maximum is not a limit.

        Args:
            plan_names: names of account plans; without them, the limit of the most generous plan counts.
        """
        limits = self.operation.limits
        plans = [plan for name, plan in limits.plan_limits.items() if name in plan_names] or list(
            limits.plan_limits.values()
        )
        allowed = [plan.max_text_characters for plan in plans]
        plan_limit = None if None in allowed else max((limit for limit in allowed if limit is not None), default=None)
        return min((limit for limit in (plan_limit, self._schema_text_limit) if limit is not None), default=None)

    @functools.cached_property
    def _schema_text_limit(self) -> int | None:
        """Maximum number of characters of a text by the schema of the request; `None` if the schema has no limit."""
        at = self.speech.request_fields["text"].location
        if not at.is_in_body:
            return None
        found: list[int | None] = []
        for media in self.operation.request_media.values():
            branch = self.find_request_branch(media)
            schemas = [media.schema] if branch is None else [media.schema, branch[0]]
            limits = [find_max_length(media.schemas, schema, at.pointer_tokens) for schema in schemas]
            found.append(min((limit for limit in limits if limit is not None), default=None))
        return None if None in found else max((limit for limit in found if limit is not None), default=None)

    def find_audio_format(self, format_value: object) -> AudioFormat | None:
        """Return the documented meaning of a value of the format field; `None` if `x-speech.formats` has none."""
        mapping = self.speech.request_fields.get("format")
        if mapping is not None and isinstance(format_value, dict):
            format_value = mapping.find_provider_independent_value(format_value)
        return self.speech.formats.get(format_value) if isinstance(format_value, str) else None

    def find_request_branch(self, media_type: MediaType) -> tuple[Any, str] | None:
        """Return the branch of the request schema that the target's constants select, and the JSON pointer to it.

        Return `None` if the constants select no branch: the schema is the same for all targets of the operation.
        """
        constants = {
            place.pointer_tokens: value
            for place, value in self.target_spec.request_constants.items()
            if place.is_in_body
        }
        if media_type.schema_pointer is None:
            return None
        schema = media_type.part_data["schema"]
        return find_matching_branch(media_type.schemas, schema, media_type.schema_pointer, constants)

    @property
    def stream(self) -> StreamSpec | None:
        """The events of responses; `None` if responses are not streams of events."""
        audio = self.response.audio
        return self.operation.stream if audio is not None and audio.delivery_method == "stream" else None

    @property
    def needs_key(self) -> bool:
        """Whether a request to the target needs a key. Some targets need none although their operation does."""
        return super().needs_key and not self.target_spec.works_without_key


@dataclass(frozen=True, eq=False)
class JobTarget(Target):
    """The target of an operation that starts a job without audio. It has no speech fields and is not benchmarked."""

    @functools.cached_property
    def speech(self) -> SpeechSpec:
        """An `x-speech` without request fields, whose response is the job."""
        assert self.operation.submit is not None, "only an operation with x-submit has a job without audio"
        return SpeechSpec(
            request_fields={},
            response=SpeechResponse(status_operation_id=self.operation.submit.status_operation_id),
            targets={},
        )


@dataclass(frozen=True, eq=False)
class AudioInputTarget(BaseTarget):
    """A target that audio is sent to, which it transcribes, converts or analyzes."""

    target_spec: AudioInputTargetSpec = field(repr=False)

    @functools.cached_property
    def audio_input(self) -> AudioInputSpec:
        """The `x-transcription` or `x-conversion` of the target's operation, with the response of the target."""
        spec, response = self.operation.audio_input, self.target_spec.response
        assert spec is not None
        if response is None or not isinstance(spec, TranscriptionSpec):
            return spec
        return msgspec.structs.replace(spec, response=response)

    @property
    def transcription(self) -> TranscriptionSpec | None:
        """The `x-transcription` of the target's operation; `None` for a conversion."""
        return self.audio_input if isinstance(self.audio_input, TranscriptionSpec) else None

    @property
    def conversion(self) -> ConversionSpec | None:
        """The `x-conversion` of the target's operation; `None` for a transcription."""
        return self.audio_input if isinstance(self.audio_input, ConversionSpec) else None

    @property
    def response(self) -> SpeechResponse:
        """The documented response of the target's operation, which is never a job, nor audio for a transcription."""
        audio = self.conversion.response.audio if self.conversion else None
        return SpeechResponse(audio=audio, charge_location=self.audio_input.response.charge_location)


@dataclass(frozen=True, eq=False)
class SocketTarget(BaseTarget):
    """A target that speaks over a WebSocket."""

    target_spec: SocketTargetSpec = field(repr=False)

    @property
    def socket(self) -> SocketChannel:
        """The messages of the target's channel."""
        assert self.operation.socket is not None
        return self.operation.socket

    @property
    def spec(self) -> SocketSpec:
        """The `x-socket` of the target's channel."""
        return self.socket.spec

    @property
    def response(self) -> SpeechResponse:
        """The audio of a turn, which arrives in pieces: the samples of the first format."""
        audio_format = self.default_format
        return SpeechResponse(
            audio=ResponseAudio(
                location=Location("body"),
                delivery_method="bytes",
                format=audio_format.codec,
                sample_rate_hz=audio_format.sample_rate_hz,
            )
        )

    @property
    def default_format(self) -> SocketFormat:
        """The format that is asked for if none is named."""
        return next(iter(self.target_spec.formats.values()))

    def collect_constants(self, audio_format: SocketFormat | None = None) -> dict[Location, Any]:
        """Return the values of every connection by location: the constants, the voice, the language, and the format."""
        spec, target, values = self.spec, self.target_spec, dict[Location, Any]()
        if spec.voice_location is not None and target.default_voice is not None:
            values[spec.voice_location] = target.default_voice
        if spec.language_location is not None and target.default_language is not None:
            values[spec.language_location] = target.default_language
        return {**values, **target.request_constants, **(audio_format or self.default_format).request_constants}

    def count_charged_characters(self, text: str) -> int:
        """Return the number of characters that a text is charged for, as the provider counts them."""
        counting = CharacterCounting() if self.pricing is None else self.pricing.character_counting
        return counting.count_characters(text, has_markup=False)


@dataclass(frozen=True, eq=False)
class Contract:
    """A loaded contract document. Load a contract with `load_contract`."""

    document: Document = field(repr=False)
    provider: ProviderSpec
    schemas: Schemas = field(repr=False)
    servers: Mapping[str, Server] = field(repr=False)
    """The servers by name."""
    limits: LimitsSpec = field(repr=False)
    """The `x-limits` at the root of the document."""
    key_specs: Mapping[str, KeySpec] = field(repr=False)
    """The `x-key` of each security scheme, by the name of the scheme."""
    read_operations: Callable[[Contract], Iterator[Operation]] = field(repr=False)
    """A function that reads the operations of the document. It is called after the contract was created, because
    operations refer to it."""
    read_socket_operations: Callable[[Contract], Iterator[Operation]] = field(repr=False, default=lambda _: iter(()))
    """A function that reads the channels of the AsyncAPI document, as `read_operations` does."""
    account_plans: frozenset[str] = frozenset()
    """Names of the account's plans, whose prices apply; if it is empty, the highest documented prices apply."""

    def select_account_plans(self, plan_names: Collection[str]) -> Contract:
        """Return this contract with the prices of the plans `plan_names`. Unknown plans are ignored."""
        return replace(self, account_plans=frozenset(plan_names)) if plan_names else self

    def rename_provider(self, provider_id: str) -> Contract:
        """Return this contract with another provider id, so that two versions of it can be measured in one run."""
        return replace(self, provider=msgspec.structs.replace(self.provider, id=provider_id))

    def replace_credit_price(self, credit_usd: float) -> Contract:
        """Return this contract with a price of one credit in dollars, instead of the documented one.

        Raises:
            UsageError: the provider has no credits.
        """
        if self.provider.credits is None:
            raise UsageError(f"{self.id} charges no credits: its prices are in dollars")
        credits = msgspec.structs.replace(self.provider.credits, usd_per_credit=credit_usd)
        return replace(self, provider=msgspec.structs.replace(self.provider, credits=credits))

    @functools.cached_property
    def operations(self) -> Mapping[str, Operation]:
        """The operations by id.

        Raises:
            ContractError: an operation does not fit the grammar of the `x-` keys.
        """
        return {operation.id: operation for operation in self.read_operations(self)}

    @functools.cached_property
    def targets(self) -> Mapping[str, Target]:
        """The speech targets by name."""
        return {
            name: Target(name, operation, spec, f"{operation.pointer}/x-speech/targets/{escape_pointer_token(name)}")
            for operation in self.operations.values()
            if operation.speech is not None
            for name, spec in operation.speech.targets.items()
        }

    @functools.cached_property
    def audio_input_targets(self) -> Mapping[str, AudioInputTarget]:
        """The targets that audio is sent to, by name."""
        found = {}
        for operation in self.operations.values():
            if operation.audio_input is None:
                continue
            is_transcription = isinstance(operation.audio_input, TranscriptionSpec)
            at = f"{operation.pointer}/{'x-transcription' if is_transcription else 'x-conversion'}/targets"
            for name, spec in operation.audio_input.targets.items():
                found[name] = AudioInputTarget(name, operation, spec, f"{at}/{escape_pointer_token(name)}")
        return found

    @functools.cached_property
    def socket_operations(self) -> Mapping[str, Operation]:
        """The channels of WebSockets by id.

        Raises:
            ContractError: a channel does not fit the grammar of `x-socket`.
        """
        return {operation.id: operation for operation in self.read_socket_operations(self)}

    @functools.cached_property
    def socket_targets(self) -> Mapping[str, SocketTarget]:
        """The targets that speak over a WebSocket, by name."""
        found = {}
        for operation in self.socket_operations.values():
            assert operation.socket is not None
            for name, spec in operation.socket.spec.targets.items():
                pointer = f"{operation.pointer}/x-socket/targets/{escape_pointer_token(name)}"
                found[name] = SocketTarget(name, operation, spec, pointer)
        return found

    @property
    def id(self) -> str:
        """The provider id."""
        return self.provider.id

    @property
    def version(self) -> str:
        """The version of the document (`info.version`)."""
        return str(self.document.data["info"]["version"])

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts of the servers, with their ports."""
        return frozenset(urlsplit(server.url).netloc.lower() for server in self.servers.values())

    @property
    def security_schemes(self) -> Mapping[str, dict[str, Any]]:
        """The OpenAPI security schemes by name. A scheme describes how a key is sent."""
        schemes: dict[str, Any] = self.document.data.get("components", {}).get("securitySchemes", {})
        return schemes

    @functools.cached_property
    def key_variables(self) -> tuple[str, ...]:
        """The environment variables of the key and of what else is sent with it, such as a user id; the key first."""
        others = (
            name for key in self.key_specs.values() for name in (key.key_variable, key.id_variable) if name is not None
        )
        return tuple(dict.fromkeys((self.provider.key_variable, *others)))

    def _find_by_name(self, item_kind: str, name: str, named_items: Mapping[str, _NamedItemT]) -> _NamedItemT:
        try:
            return named_items[name]
        except KeyError:
            raise UnknownNameError(f"{self.id} {item_kind}", name, named_items) from None

    def find_server(self, name: str) -> Server:
        """Return the server with that name.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        return self._find_by_name("server", name, self.servers)

    def find_operation(self, operation_id: str) -> Operation:
        """Return the operation or the channel with that id.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        if operation_id in self.socket_operations:
            return self.socket_operations[operation_id]
        return self._find_by_name("operation", operation_id, self.operations)

    def find_target_by_name(self, name: str) -> Target:
        """Return the speech target with that name within the provider.

        Raises:
            UnknownNameError: the document has nothing with that name.
        """
        return self._find_by_name("target", name, self.targets)

    def match_operation(self, method: str, path: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation for a method and a path, and the path parameters; `None` if no operation matches.

        A path template without parameters takes precedence, as OpenAPI specifies (section 4.8.8.2).
        """
        found = [
            (operation, parameters)
            for operation in self.operations.values()
            if operation.method == method.upper() and (parameters := operation.match_path(path)) is not None
        ]
        return min(found, key=lambda pair: len(pair[1]), default=None)

    @functools.cached_property
    def _sources(self) -> ContractSources:
        return ContractSources(self.document.data, self.provider.sources)

    def has_normative_source(self, pointer: str) -> bool:
        """Whether a normative document states the part of a request at `pointer`; `True` also if no source is given."""
        return self._sources.has_normative_source(pointer)

    def iterate_disputes(self, pointer: str) -> Iterator[tuple[Dispute, str]]:
        """Yield the recorded disputes about the part at `pointer` or a part around it, innermost first.

        Each dispute is followed by the JSON pointer to the part that the dispute is about.
        """
        return self._sources.iterate_disputes(pointer)
