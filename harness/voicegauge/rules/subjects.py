"""The subjects of rules about more than one call: deliveries, jobs, uploads, resources."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from voicegauge.contract.contract import AudioInputTarget, Target
from voicegauge.contract.extension.jobs import JobSpec, ResourceSpec
from voicegauge.contract.extension.speech import (
    RAW_SAMPLE_CODECS,
    AudioFormat,
    AudioInputField,
    FieldMapping,
    ResponseAudio,
)
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.locations import MISSING
from voicegauge.model.base import SpeechRequest
from voicegauge.model.exchange import Delivery, Exchange, StateObservation
from voicegauge.rules.call import Call, CallSubject, CheckSubject, find_documented_default, quote_audio

_MAX_QUOTED_EXCHANGES = 5
"""Maximum number of exchanges of a job in which undocumented words are searched for."""

if TYPE_CHECKING:
    from voicegauge.speech.decoding import DecodedAudio, RawAudioFormat
    from voicegauge.speech.sound_quality import RateComparison
    from voicegauge.speech.speech_signal import DropoutSearch, MeasuredAudio
    from voicegauge.speech.spoken_text import SpokenTextJudgement


# Defines a call that sent audio, with the audio of the response, as a subject of rules.


@dataclass(frozen=True, eq=False, kw_only=True)
class AudioInputCall(Call):
    """An accepted call that sent audio to be transcribed or converted, with the audio of its response."""

    audio_input_target: AudioInputTarget
    reference_transcript: str | None = None
    """The text spoken in the upload; `None` if it is not known, or if the speech is not clean."""
    response_audio_files: tuple[bytes, ...] = ()
    """The encoded audio files that the response contains or links to, in the order of the response."""
    download_error: str | None = None
    """The reason why audio could not be downloaded; `None` if nothing failed."""

    @functools.cached_property
    def uploaded_audio(self) -> DecodedAudio | None:
        """The samples of the upload; `None` if it is not audio."""
        content = self._read_uploaded_audio()
        return _decode_upload(content) if content else None

    def _read_uploaded_audio(self) -> bytes:
        """Return the encoded audio of the upload; empty if there is none."""
        request = self.exchange.request
        location = self.audio_input_target.audio_input.request_fields["audio"].location
        if not location.pointer_tokens:
            return b"" if is_json(request.media_type) or is_form(request.media_type) else request.body
        if self.form is not None:
            file = self.form.files.get(location.pointer_tokens[0])
            return b"" if file is None else file.data
        encoded = self.read_request(location)
        try:
            return base64.b64decode(encoded, validate=True) if isinstance(encoded, str) else b""
        except ValueError:
            return b""

    @functools.cached_property
    def decoded_response_audio(self) -> tuple[DecodedAudio | None, ...]:
        """The samples of each file of the response; `None` for a file that cannot be decoded.

        A file of raw samples is left out if no document says how to read it.
        """
        if self._has_unknown_sample_rate:
            return ()
        return tuple(_decode_audio(data, self._raw_format) for data in self.response_audio_files)

    @functools.cached_property
    def audio_format(self) -> AudioFormat | None:
        """The contract's description of the requested or else the default format; `None` if there is none."""
        conversion = self.audio_input_target.conversion
        if conversion is None or not conversion.formats:
            return None
        mapping = conversion.request_fields["format"]
        name = self._read_value_or_default("format")
        if name is None:
            name = self.audio_input_target.target_spec.request_constants.get(mapping.location)
        found = conversion.formats.get(mapping.find_provider_independent_value(name)) if isinstance(name, str) else None
        return found and found.replace_requested_properties(
            container=self._read_value_or_default("container"),
            sample_rate=self._read_value_or_default("sample_rate"),
            bit_rate=self._read_value_or_default("bit_rate"),
        )

    def _read_value_or_default(self, field_name: AudioInputField) -> Any:
        mapping = self.audio_input_target.audio_input.request_fields.get(field_name)
        if mapping is None:
            return None
        value = self.read_request(mapping.location)
        if value in (None, MISSING):
            value = find_documented_default(self.operation, mapping.location)
        return None if value is MISSING else value

    @property
    def _raw_format(self) -> RawAudioFormat | None:
        from voicegauge.speech.decoding import RawAudioFormat

        found = self.audio_format
        if found is None or found.codec not in RAW_SAMPLE_CODECS or found.sample_rate_hz is None:
            return None
        return RawAudioFormat(format=found.codec, sample_rate_hz=found.sample_rate_hz, channels=found.channels)

    @property
    def _has_unknown_sample_rate(self) -> bool:
        """Whether the requested audio is raw samples whose sample rate no document states."""
        found = self.audio_format
        if found is not None:
            return found.codec in RAW_SAMPLE_CODECS and found.sample_rate_hz is None
        name = self.read_neutral_value("format")
        return isinstance(name, str) and name.lower().startswith(_RAW_FORMAT_PREFIXES)

    def read_neutral_value(self, field_name: AudioInputField) -> Any:
        """Return the provider-neutral value of a field of the request; `None` if the request omits the field."""
        mapping = self.audio_input_target.audio_input.request_fields.get(field_name)
        if mapping is None or (value := self.read_request(mapping.location)) is MISSING:
            return None
        return mapping.find_provider_independent_value(value)

    @property
    def extension_pointer(self) -> str:
        """JSON pointer to the `x-transcription` or `x-conversion` of the operation."""
        key = "x-conversion" if self.audio_input_target.conversion else "x-transcription"
        return f"{self.operation.pointer}/{key}"

    @property
    def response_pointer(self) -> str:
        """JSON pointer to the description of the response: that of the target, or else that of the operation."""
        target = self.audio_input_target
        return f"{self.extension_pointer if target.target_spec.response is None else target.pointer}/response"


@functools.lru_cache(maxsize=4)  # the cases of a plan upload the same few recordings many times
def _decode_upload(audio_bytes: bytes) -> DecodedAudio | None:
    return _decode_audio(audio_bytes)


def _decode_audio(audio_bytes: bytes, raw_format: RawAudioFormat | None = None) -> DecodedAudio | None:
    """Return the samples of encoded audio; `raw_format` says how to read raw samples. `None` if that fails."""
    from voicegauge.speech.speech_signal import find_measured_audio

    return find_measured_audio(audio_bytes, raw_format).decoded_audio


@dataclass(frozen=True, eq=False)
class JobHistory(CheckSubject):
    """The submit of a job and its status requests in order, including those sent after its end."""

    submit_call: Call
    polls: tuple[Call, ...]
    """The status requests, in the order of sending."""
    status_operation: Operation
    """The operation of the status requests, whose `x-job` describes the job."""
    is_timed_out: bool = False
    """Whether no terminal state was seen within the time that the contract allows."""
    state_observations: tuple[StateObservation, ...] = ()
    """The observed states with the times at which polls observed them; empty if times were not measured."""
    poll_count_before_cancel: int | None = None
    """Number of polls before the cancellation was accepted; `None` if the job was not cancelled."""

    @property
    def operation(self) -> Operation:
        """The operation that reports the status of the job."""
        return self.status_operation

    @property
    def job_spec(self) -> JobSpec:
        """The description of the job in the contract."""
        assert self.status_operation.job is not None, "a status operation has an x-job"
        return self.status_operation.job

    @property
    def target(self) -> Target | None:
        """The target of the request that submitted the job; `None` if it is not known, or if there is none."""
        return self.submit_call.target

    @property
    def exchange(self) -> Exchange:
        """The exchange of the last poll, or that of the submit if there was no poll."""
        return self.polls[-1].exchange if self.polls else self.submit_call.exchange

    @property
    def quoted_exchanges(self) -> Sequence[Exchange]:
        """The exchanges that a finding quotes: the submit and the last polls."""
        return (self.submit_call.exchange, *(poll.exchange for poll in self.polls[-_MAX_QUOTED_EXCHANGES:]))

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """The pointer to the `x-job`, and the dispute pointers of the submit."""
        return (f"{self.status_operation.pointer}/x-job", *self.submit_call.disputable_pointers)


@dataclass(frozen=True, eq=False)
class ConcurrentJobs(CheckSubject):
    """Jobs of one account that were in progress at the same time, each with the exchanges about it so far."""

    jobs: tuple[JobHistory, ...]
    """All jobs so far, in the order in which they were submitted."""
    latest_job: JobHistory
    """The job that was polled last."""

    @property
    def operation(self) -> Operation:
        """The operation that reports the status of the jobs."""
        return self.latest_job.operation

    @property
    def target(self) -> Target | None:
        """The target of the request that submitted `latest_job`; `None` if it is not known, or if there is none."""
        return self.latest_job.target

    @property
    def exchange(self) -> Exchange:
        """The last exchange of the latest job."""
        return self.latest_job.exchange

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers to where the contract may record that documents disagree about the latest job."""
        return self.latest_job.disputable_pointers


# A speech request with the audio that was delivered for it.


_RAW_FORMAT_PREFIXES = ("pcm", "raw", "mulaw", "ulaw", "alaw", "linear", "l16")
"""Beginnings of the names that providers give to formats of raw samples, such as "pcm" in "pcm_16000"."""


@dataclass(frozen=True, eq=False)
class SpeechDelivery(CheckSubject):
    """A speech request with its delivery. The audio is decoded only once for all rules."""

    target: Target
    speech_request: SpeechRequest
    """The requested speech in provider-independent terms."""
    delivery: Delivery
    """What was sent and received, with the audio."""
    is_successful: bool = True
    """Whether the provider reports success: the job ended in success, or the response was 2xx."""
    has_ordinary_text: bool = True
    """Whether the text is mostly words. If so, its speech is audible, and the duration can be estimated."""

    @property
    def operation(self) -> Operation:
        """The operation of the speech request."""
        return self.target.operation

    @property
    def exchange(self) -> Exchange:
        """The exchange that contains the audio; the last exchange if there is no audio."""
        index = self.delivery.audio_exchange_index
        return self.delivery.exchanges[-1 if index is None else index]

    @property
    def quoted_exchanges(self) -> Sequence[Exchange]:
        """The exchange with the audio, and the last exchanges of the delivery."""
        return (self.exchange, *self.delivery.exchanges[-_MAX_QUOTED_EXCHANGES:])

    @property
    def audio_spec(self) -> ResponseAudio | None:
        """The documented location and format of the audio in the response; `None` if they are not documented."""
        return self.target.response_audio

    @functools.cached_property
    def submit_call(self) -> Call | None:
        """The call that requested the speech; `None` if it is not known."""
        index = self.delivery.submit_exchange_index
        return None if index is None else Call(self.operation, self.delivery.exchanges[index], self.target)

    @functools.cached_property
    def requested_format(self) -> str | None:
        """The provider-independent name of the format in the request; `None` if the request names no format."""
        mapping = self.target.speech.request_fields.get("format")
        return None if mapping is None else _find_neutral_value(mapping, self._requested_format_value)

    @functools.cached_property
    def _requested_format_value(self) -> object:
        """The value of the format field as it was sent; `None` or `MISSING` if the request has no such field."""
        mapping = self.target.speech.request_fields.get("format")
        if mapping is None:
            return None
        if self.submit_call is not None:
            return self.submit_call.read_request(mapping.location)
        return mapping.provider_values.get(self.speech_request.format or "", self.speech_request.format)

    @functools.cached_property
    def default_format(self) -> str | None:
        """The documented format for requests that name no format; `None` if the contract documents none."""
        mapping = self.target.speech.request_fields.get("format")
        return None if mapping is None else _find_neutral_value(mapping, self._default_format_value)

    @functools.cached_property
    def _default_format_value(self) -> object:
        """The documented default of the format field.

        It is `None` if requests have no format field, and `MISSING` if the field has no documented default.
        """
        mapping = self.target.speech.request_fields.get("format")
        if mapping is None:
            return None
        media_type = self.submit_call.exchange.request.media_type if self.submit_call is not None else None
        return find_documented_default(self.operation, mapping.location, media_type)

    @functools.cached_property
    def audio_format(self) -> AudioFormat | None:
        """The contract's description of the requested format, or of the default format if none was requested.

        `None` if the contract does not describe the format.
        """
        is_requested = isinstance(self._requested_format_value, str | dict)
        found = self.target.find_audio_format(
            self._requested_format_value if is_requested else self._default_format_value
        )
        if found is None:
            return None
        return found.replace_requested_properties(
            container=self._read_format_field("container"),
            sample_rate=self._read_format_field("sample_rate"),
            bit_rate=self._read_format_field("bit_rate"),
        )

    def _read_format_field(self, field: Literal["container", "sample_rate", "bit_rate"]) -> object:
        """The value of a field in the request, or its documented default; `None` or `MISSING` if there is neither."""
        mapping = self.target.speech.request_fields.get(field)
        if mapping is None:
            return None
        requested = self.submit_call.read_request(mapping.location) if self.submit_call is not None else None
        return find_documented_default(self.operation, mapping.location) if requested in (None, MISSING) else requested

    @property
    def has_unknown_sample_rate(self) -> bool:
        """Whether the audio consists of raw samples whose sample rate no document states."""
        from voicegauge.speech.containers import find_container_of_media_type, is_container_uncertain, sniff_container

        data = self.delivery.audio
        if self._raw_format is not None or data is None:
            return False
        # A file states its own rate. Samples that happen to begin like a file are recognized by not decoding as one.
        if sniff_container(data) is not None and not (is_container_uncertain(data) and self.decode_error):
            return False
        name = (self.requested_format or self.default_format or "").lower()
        return name.startswith(_RAW_FORMAT_PREFIXES) or find_container_of_media_type(self.delivery.media_type) == "pcm"

    @property
    def _raw_format(self) -> RawAudioFormat | None:
        from voicegauge.speech.decoding import RawAudioFormat

        found, spec = self.audio_format, self.audio_spec
        if found is not None and found.sample_rate_hz is not None:
            return RawAudioFormat(format=found.codec, sample_rate_hz=found.sample_rate_hz, channels=found.channels)
        if spec is None or spec.format is None or spec.sample_rate_hz is None:
            return None
        return RawAudioFormat(format=spec.format, sample_rate_hz=spec.sample_rate_hz, channels=spec.channels)

    @functools.cached_property
    def measured_audio(self) -> MeasuredAudio | None:
        """The audio with its measures; `None` if there is no audio."""
        from voicegauge.speech.speech_signal import find_measured_audio

        return None if self.delivery.audio is None else find_measured_audio(self.delivery.audio, self._raw_format)

    @property
    def decoded_audio(self) -> DecodedAudio | None:
        """The samples of the audio; `None` if there is no audio, or if it cannot be decoded."""
        return None if self.measured_audio is None else self.measured_audio.decoded_audio

    @property
    def audio_evidence(self) -> str:
        """The evidence of a violation about sound: what was measured, and for which text."""
        return quote_audio(self.decoded_audio, self.speech_request.text)

    @property
    def active_duration_s(self) -> float | None:
        """Total duration of the audible parts of the audio, in seconds; `None` if there is no audio to decode."""
        return None if self.measured_audio is None else self.measured_audio.active_duration_s

    @property
    def is_silent(self) -> bool:
        """Whether the audio can be decoded and is silent."""
        return self.measured_audio is not None and self.measured_audio.is_silent

    @property
    def _is_distorted(self) -> bool:
        """Whether the audio is a steady sound or clipped. Other rules report this; words cannot be judged then."""
        from voicegauge.speech.speech_signal import MAX_CLIPPED_SHARE

        audio = self.measured_audio
        return audio is not None and (audio.clipped_share > MAX_CLIPPED_SHARE or audio.is_steady_sound)

    @functools.cached_property
    def dropout_search(self) -> DropoutSearch | None:
        """The dropout, or why none can be found; `None` if no audio is audible, or if the text is not ordinary."""
        from voicegauge.speech.speech_signal import search_dropout

        decoded = self.decoded_audio
        if decoded is None or not self.has_ordinary_text or self.is_silent:
            return None
        return search_dropout(decoded.samples, decoded.sample_rate_hz)

    @functools.cached_property
    def spoken_text(self) -> SpokenTextJudgement | None:
        """What the audio says, compared with the text; `None` if they cannot be compared, as in most languages."""
        from voicegauge.speech.spoken_text import judge_spoken_text

        decoded, language = self.decoded_audio, self._spoken_language or "auto"
        if decoded is None or not self._has_audible_speech or self._incomparable_text_reason is not None:
            return None
        language = "en" if language.lower() == "auto" else language
        return judge_spoken_text(decoded.samples, decoded.sample_rate_hz, self.speech_request.text, language)

    @property
    def unjudged_words_reason(self) -> str | None:
        """Why it was not judged whether the audio says its text; `None` if it was.

        It is also `None` if there is no audible speech, because rules about the audio report that.
        """
        if not self._has_audible_speech:
            return None
        if self._incomparable_text_reason is not None or self.spoken_text is None:
            return self._incomparable_text_reason
        return self.spoken_text.explanation if self.spoken_text.verdict == "unclear" else None

    @property
    def _has_audible_speech(self) -> bool:
        is_audible = self.decoded_audio is not None and self.is_successful and not self.is_silent
        return is_audible and not self._is_distorted

    @property
    def _incomparable_text_reason(self) -> str | None:
        """Why audio cannot be compared with this text, whatever it says; `None` if it can."""
        from voicegauge.speech.spoken_text import explain_why_not_judged

        if not self.has_ordinary_text:
            return "the text consists of few or no words"
        return explain_why_not_judged(self.speech_request.text, self._spoken_language, self.speech_request.speed)

    @property
    def _spoken_language(self) -> str | None:
        """The language in which the text should be spoken; `None` if neither the request nor the contract names one."""
        speech, mapping = self.speech_request, self.target.speech.request_fields.get("language")
        requested = _find_neutral_value(mapping, speech.language) if mapping is not None else None
        return requested or speech.language or self.target.target_spec.default_language

    @property
    def decode_error(self) -> str | None:
        """The reason why the audio cannot be decoded; `None` if it can be decoded, or if there is no audio."""
        return None if self.measured_audio is None else self.measured_audio.decode_error

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers at which a dispute about the delivery can be recorded.

        They lead to the contract's descriptions of the audio (of the response and of the job), the target and the
        operation.
        """
        job = self.target.job_operation
        scopes = (f"{self.operation.pointer}/x-speech/response", self.target.pointer, self.operation.pointer)
        return (*scopes, f"{job.pointer}/x-job/audio") if job else scopes


def _find_neutral_value(field_mapping: FieldMapping, value: object) -> str | None:
    """Return the provider-independent name of a value in a request; `None` if `field_mapping` has no name for it."""
    name = field_mapping.find_provider_independent_value(value)
    return name if isinstance(name, str) else None


# Two deliveries whose requests differ in one parameter.


ComparedParameter = Literal["speed", "voice", "language", "seed", "repetition", "format", "text", "markup", "companion"]
"""The parameter of a request whose effect is checked by comparing two deliveries. For `text`, the second request
repeats the text of the first. For `repetition`, both requests are equal and have the same seed. For `markup`, the
second has tags that change nothing. For `companion`, both requests are equal, and another one is in flight at the same
time as the second."""


@dataclass(frozen=True, eq=False)
class DeliveryPair(CheckSubject):
    """Two deliveries of one target whose requests differ in one parameter at most."""

    compared_parameter: ComparedParameter
    base_delivery: SpeechDelivery
    """The first delivery, with which the other is compared."""
    changed_delivery: SpeechDelivery
    """The delivery in whose request the parameter differs, or is repeated."""
    base_value: Any
    """Value of the parameter in the first request, or the documented default; `None` if neither is known."""
    changed_value: Any
    """Value of the parameter in the second request."""
    companion_delivery: SpeechDelivery | None = None
    """The delivery of another text that was in flight at the same time as `changed_delivery`; `None` if none was."""

    @property
    def operation(self) -> Operation:
        """The operation of both requests."""
        return self.changed_delivery.operation

    @property
    def target(self) -> Target:
        """The target of both requests."""
        return self.changed_delivery.target

    @property
    def exchange(self) -> Exchange:
        """The submit exchange of `changed_delivery`; if that is not known, its exchange with the audio."""
        submit = self.changed_delivery.submit_call
        return submit.exchange if submit is not None else self.changed_delivery.exchange

    @property
    def raw_audio(self) -> DecodedAudio | None:
        """The raw samples, if one of the deliveries has them and the other is a file; otherwise `None`."""
        both = self.base_delivery.decoded_audio, self.changed_delivery.decoded_audio
        # Two deliveries of raw samples would be read at the same rate, so that neither shows whether it is right.
        raw = [one for one in both if one is not None and one.container == "pcm"]
        return raw[0] if len(raw) == 1 and None not in both else None

    @functools.cached_property
    def raw_rate_comparison(self) -> RateComparison | None:
        """The sample rate of raw samples; `None` if they are not compared with a file of the same text."""
        from voicegauge.speech.sound_quality import find_raw_sample_rate

        raw, both = self.raw_audio, (self.base_delivery, self.changed_delivery)
        if self.compared_parameter != "format" or raw is None or any(one.is_silent for one in both):
            return None
        file = next(one for one in both if one.decoded_audio is not raw).decoded_audio
        return find_raw_sample_rate(file, raw) if file is not None else None

    @property
    def compared_parameter_pointer(self) -> str:
        """JSON pointer to the compared parameter in the `x-speech` of the operation."""
        fields = {"repetition": "seed", "markup": "text", "companion": "text"}
        field = fields.get(self.compared_parameter, self.compared_parameter)
        return f"{self.operation.pointer}/x-speech/request_fields/{field}"

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """JSON pointers at which a dispute about the second delivery can be recorded."""
        return self.changed_delivery.disputable_pointers


# One step in the lifecycle of a resource that a provider stores.


ResourceStepKind = Literal["create", "list", "set", "use"]
"""What a call does. `create`: it creates the resource; `list`: it lists the account's resources; `set`: it changes the
state of the resource; `use`: it refers to the resource, such as a speech request with a saved voice."""


@dataclass(frozen=True, eq=False)
class ResourceStep(CallSubject):
    """One call in the lifecycle of a resource, such as a saved voice, with the state that the resource should have."""

    creating_operation: Operation
    """The operation that created the resource."""
    resource_id: str
    """The id that the response to the creation assigned."""
    step_kind: ResourceStepKind
    description: str
    """A phrase that names the operation of the call and what was done to the resource before the call."""
    contract_pointer: str
    """JSON pointer to the part of the contract that the call tests."""
    expected_state: str | None = None
    """The state that was set last; `None` if the resource has no documented states."""
    listed_item: dict[str, Any] | None = None
    """The JSON object of the resource in the response of a `list` step; `None` if it is not listed, or for other
    steps."""
    is_use_forbidden: bool = False
    """Whether the resource is in a state in which the documents forbid using it."""
    is_resource_deleted: bool = False
    """Whether the resource had been deleted before the call."""
    is_by_other_account: bool = False
    """Whether the call was made by another account than the one that created the resource."""

    @property
    def resource_spec(self) -> ResourceSpec:
        """The description of the resource in the contract."""
        assert self.creating_operation.resource is not None, "an operation that creates resources has an x-resource"
        return self.creating_operation.resource

    @property
    def disputable_pointers(self) -> tuple[str, ...]:
        """The dispute pointers of the call, and the pointer to the `x-resource`."""
        return (*super().disputable_pointers, f"{self.creating_operation.pointer}/x-resource")
