"""The targets of a contract: the models or modes of a provider that are checked and measured."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec

from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.extension.jobs import StreamSpec
from voicegauge.contract.extension.pricing import CharacterCounting, PriceSpec
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
from voicegauge.contract.schemas import find_matching_branch, find_max_length
from voicegauge.contract.socket_messages import SocketChannel
from voicegauge.formats.locations import Location, LocationValues

# An operation reads its targets, which refer back to it: only types cross in this direction.
if TYPE_CHECKING:
    from voicegauge.contract.contract import Contract
    from voicegauge.contract.operation import Operation

AudioInputSpec = TranscriptionSpec | ConversionSpec


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
        """Return the values of every connection by location: the constants, the voice, the language, and the format."""
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
