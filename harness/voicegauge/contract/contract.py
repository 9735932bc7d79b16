"""A provider's contract and its targets: the models or modes that are checked and measured."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from voicegauge.contract.document_parts import MediaType, walk_objects
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.pricing import CharacterCounting, PriceSpec
from voicegauge.contract.extension.provider import Dispute, KeySpec, LimitsSpec, ProviderSpec
from voicegauge.contract.extension.sockets import SocketFormat, SocketSpec, SocketTargetSpec
from voicegauge.contract.extension.speech import (
    AudioFormat,
    AudioInputTargetSpec,
    ConversionSpec,
    ResponseAudio,
    SpeechResponse,
    SpeechSpec,
    TargetSpec,
    TranscriptionSpec,
)
from voicegauge.contract.schemas import Schemas, find_matching_branch, find_max_length
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.formats.located_yaml import Document, escape_pointer_token, split_json_pointer
from voicegauge.formats.locations import Location, LocationValues, read_pointer
from voicegauge.hosts import to_socket_url

# A contract creates its operations, which refer back to it and to its targets: only types cross in this direction.
if TYPE_CHECKING:
    from voicegauge.contract.operation import Operation, Server

AudioInputSpec = TranscriptionSpec | ConversionSpec
_NamedItemT = TypeVar("_NamedItemT")
_OPERATION_POINTER_DEPTH = 3
"""Number of tokens in the JSON pointer to an operation: /paths/<path>/<method>."""


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
    def stream(self) -> StreamSpec | None:
        """The events of responses; `None` if responses are not streams of events."""
        audio = self.response.audio
        return self.operation.stream if audio is not None and audio.delivery_method == "stream" else None

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

    @property
    def clones_voice(self) -> bool:
        """Whether every request must contain a voice sample, whose voice is to speak."""
        return not {"voice_sample_url", "voice_sample_upload"}.isdisjoint(self.target_spec.required_fields)

    def replace_constants(self, request_constants: Mapping[Location, Any]) -> Target:
        """Return a copy of this target with other request constants, such as a model that no document names.

        The copy has no price and no model name in responses, because those are documented for this model only.
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
        """The request constants of the target, by location, that another target of its operation lacks."""
        others = [spec.request_constants for spec in self.speech.targets.values()]
        constants = self.target_spec.request_constants
        return {at: value for at, value in constants.items() if any(other.get(at) != value for other in others)}

    @property
    def response_audio(self) -> ResponseAudio | None:
        """Where and how the response to the request or to a poll of its job has the audio; `None` if not documented."""
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
        # A plan without a limit is the most generous one, so that no limit counts.
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
    """A target that transcribes, converts or analyzes the audio in a request."""

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
class BaseSocketTarget(BaseTarget):
    """A target that speaks, or transcribes, over a WebSocket."""

    target_spec: SocketTargetSpec = field(repr=False)

    @property
    def socket(self) -> SocketChannel:
        """The channel of the target, which describes its messages."""
        assert self.operation.socket is not None
        return self.operation.socket

    @property
    def spec(self) -> SocketSpec:
        """The `x-socket` of the target's channel."""
        return self.socket.spec

    @property
    def default_format(self) -> SocketFormat:
        """The format that is asked for, or sent, if none is named."""
        return next(iter(self.target_spec.formats.values()))

    @property
    def pricing(self) -> PriceSpec | None:
        """The price of the target that `price_of` names, else its own; `None` if no price is documented."""
        name = self.target_spec.price_of
        if name is None:
            return super().pricing
        others: Mapping[str, BaseTarget] = {**self.contract.audio_input_targets, **self.contract.targets}
        return others[name].pricing

    def collect_constants(self, audio_format: SocketFormat | None = None) -> dict[Location, Any]:
        """Return the constants, voice, language and format (`None`: the default) of connections, by location."""
        spec, target, values = self.spec, self.target_spec, dict[Location, Any]()
        if spec.voice_location is not None and target.default_voice is not None:
            values[spec.voice_location] = target.default_voice
        if spec.language_location is not None and target.default_language is not None:
            values[spec.language_location] = target.default_language
        return {**values, **target.request_constants, **(audio_format or self.default_format).request_constants}


@dataclass(frozen=True, eq=False)
class TranscriptionSocketTarget(BaseSocketTarget):
    """A target that transcribes audio over a WebSocket while it is spoken."""

    @property
    def response(self) -> SpeechResponse:
        """A response without audio and without a job."""
        return SpeechResponse()


@dataclass(frozen=True, eq=False)
class SocketTarget(BaseSocketTarget):
    """A target that speaks over a WebSocket."""

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
    def can_be_interrupted(self) -> bool:
        """Whether a client can cancel a turn, or leave its context, and speak another one on the same connection."""
        return ("cancel" in self.spec.client_messages or self.spec.has_contexts) and not self.spec.turn.is_only_one

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
        return {
            name: SocketTarget(name, operation, spec, pointer)
            for name, operation, spec, pointer in self._iterate_socket_targets(transcribes=False)
        }

    @functools.cached_property
    def transcription_socket_targets(self) -> Mapping[str, TranscriptionSocketTarget]:
        """The targets that transcribe audio over a WebSocket, by name."""
        return {
            name: TranscriptionSocketTarget(name, operation, spec, pointer)
            for name, operation, spec, pointer in self._iterate_socket_targets(transcribes=True)
        }

    def _iterate_socket_targets(self, *, transcribes: bool) -> Iterator[tuple[str, Operation, SocketTargetSpec, str]]:
        """Yield the targets over WebSockets that transcribe or, if `transcribes` is false, those that speak.

        Yields:
            The name, the operation of the channel, the target's record, and the record's JSON pointer in the document.
        """
        for operation in self.socket_operations.values():
            assert operation.socket is not None
            if operation.socket.spec.transcribes != transcribes:
                continue
            for name, spec in operation.socket.spec.targets.items():
                yield name, operation, spec, f"{operation.pointer}/x-socket/targets/{escape_pointer_token(name)}"

    def iterate_targets(self) -> Iterator[BaseTarget]:
        """Yield every target except `JobTarget`s: for speech and for audio over HTTP, and both over WebSockets."""
        yield from self.targets.values()
        yield from self.audio_input_targets.values()
        yield from self.socket_targets.values()
        yield from self.transcription_socket_targets.values()

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

    def is_socket_server(self, name: str) -> bool:
        """Whether only channels of WebSockets are on the server with that name, so that its URL has ws or wss."""
        used = {operation.server.name for operation in self.operations.values()}
        return name not in used and any(one.server.name == name for one in self.socket_operations.values())

    def describe_base_url(self, server_name: str, url: str) -> str:
        """Return a base URL as users write it: with ws or wss for a server that only has WebSockets.

        An empty `server_name` stands for all servers.
        """
        names = [server_name] if server_name else list(self.servers)
        return to_socket_url(url) if all(map(self.is_socket_server, names)) else url

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
        """Return the operation for a method and a path, and the path parameters, not decoded; `None` if none matches.

        A path template without parameters takes precedence, as OpenAPI specifies (section 4.8.8.2), then the one with
        more fixed text.
        """
        found = [
            (operation, parameters)
            for operation in self.operations.values()
            if operation.method == method.upper() and (parameters := operation.match_path(path)) is not None
        ]
        return min(found, key=lambda pair: (len(pair[1]), -len(re.sub(r"\{[^}]*\}", "", pair[0].path))), default=None)

    def has_normative_source(self, pointer: str) -> bool:
        """Whether a normative document states the part of a request at `pointer`.

        The result is `True` also if no source is given. The source is the `x-source` of that part, or the `source` of a
        record of an `x-` key, or that of the closest part around it. The `x-source` of an operation does not count: a
        user who calls an operation that only a client library documents expects it to work.
        """
        pointer_tokens = split_json_pointer(pointer)
        first = _OPERATION_POINTER_DEPTH + 1 if pointer_tokens[:1] == ["paths"] else 0
        for end in range(len(pointer_tokens), first - 1, -1):
            part = read_pointer(self.document.data, pointer_tokens[:end])
            source = part.get("x-source", part.get("source")) if isinstance(part, dict) else None
            if isinstance(source, dict) and "document_name" in source:
                document = self.provider.sources.get(source["document_name"])
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
        for pointer, node in walk_objects(self.document.data):
            for key in ("x-source", "source"):
                source = node.get(key)
                if isinstance(source, dict) and source.get("disputes"):
                    found[pointer] = msgspec.convert(source["disputes"], tuple[Dispute, ...])
        return found
