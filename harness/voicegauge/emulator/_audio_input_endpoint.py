"""Answers operations that take audio: transcribes it, or converts it as a voice changer or a cleaner would."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import threading
from collections.abc import Callable, Hashable, Mapping
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import msgspec

from voicegauge.contract.contract import AudioInputTarget
from voicegauge.contract.extension.provider import UploadLimits
from voicegauge.contract.extension.speech import AudioFormat, AudioInputField, AudioPacing, ResponseAudio, StemList
from voicegauge.emulator._endpoint_context import EndpointContext
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._output_audio import (
    AudioEffect,
    analyze_music,
    choose_media_type,
    convert_upload,
    encode_stems,
    find_audio_format_name,
)
from voicegauge.emulator._provider_state import BoundedDict, EmulatedAccount, GeneratedAudio
from voicegauge.emulator._request import (
    ParsedRequest,
    Rejection,
    find_default_value,
    iterate_uploaded_files,
    read_value_or_default,
    reject_undocumented_value,
    reject_unknown_model,
)
from voicegauge.emulator._schema_values import fill_random_hex
from voicegauge.emulator._speech_endpoint import StreamPacer
from voicegauge.emulator._speech_synthesis import (
    AUTOMATIC_LANGUAGE,
    SynthesisRequest,
    get_documented_field_name,
    synthesize,
)
from voicegauge.emulator._transcription import (
    EMBEDDED_ASR_LANGUAGE,
    build_transcript_values,
    format_subtitles,
    split_transcript_into_timed_phrases,
    transcribe_samples,
)
from voicegauge.emulator.fault_injection import FaultInjector
from voicegauge.formats.bodies import is_json
from voicegauge.formats.locations import EVERY_ITEM, MISSING, Location
from voicegauge.model.exchange import FileContent, UploadedFile
from voicegauge.speech.espeak import has_voice_for

if TYPE_CHECKING:
    from voicegauge.speech.decoding import DecodedAudio


# Reads requests with audio input: the addressed target, the fields and the uploaded files.


def select_audio_input_target(request: ParsedRequest) -> AudioInputTarget:
    """Return the target that the request addresses, as `Operation.find_audio_input_target` finds it.

    For a value that the request omits, the default from the schema counts. If it addresses none, return the first
    target of the operation.

    Raises:
        Rejection: the request names a model that no target has, unsupported values are rejected, and the contract
            documents an error for unknown models or for invalid requests.
    """
    found = request.operation.find_audio_input_target(functools.partial(read_value_or_default, request))
    if found is None and request.rejects_unsupported_values:
        reject_unknown_model(request, request.operation.audio_input_targets)
    return found or request.operation.audio_input_targets[0]


def read_audio_input_field(request: ParsedRequest, target: AudioInputTarget, field: AudioInputField) -> Any:
    """Return the request's value of a provider-independent field, or its documented default, or else `None`."""
    slot = target.audio_input.request_fields.get(field)
    if slot is None:
        return None
    value = request.read_value(slot.location)
    if value is MISSING or value is None:
        value = find_default_value(request, slot.location)
    if isinstance(value, str):
        value = slot.find_provider_independent_value(value)
    return None if value is MISSING else value


def read_uploaded_audio(request: ParsedRequest, location: Location) -> UploadedFile | None:
    """Return the audio in a request: a file of a form, the body itself, or base64 in JSON; `None` if there is none."""
    value = request.read_value(location)
    if isinstance(value, UploadedFile):
        return value
    if isinstance(value, bytes):
        return UploadedFile(filename="body", media_type="", data=value) if value else None
    if isinstance(value, str) and value and location.pointer_tokens:
        try:
            # Validated, or other characters would be skipped and the rest decoded.
            return UploadedFile(filename="body", media_type="", data=base64.b64decode(value, validate=True))
        except ValueError:
            return None
    return None


def contains_audio_input(request: ParsedRequest) -> bool:
    """Whether a request is responded to as one with audio.

    It is not if it has JSON, such as the URL of a file, where the body of the operation may be the audio itself.
    """
    spec, media = request.operation.audio_input, request.documented_media_type
    location = spec.request_fields["audio"].location if spec is not None else None
    # An operation whose body is the audio itself may also take JSON with the URL of a file.
    is_raw = location is not None and location.is_in_body and not location.pointer_tokens
    return not (is_raw and media is not None and is_json(media.name))


def check_audio_uploads(request: ParsedRequest, fault_injector: FaultInjector) -> None:
    """Check the uploaded files against `x-limits.upload_limits`, except for limits that a fault disables.

    Raises:
        Rejection: a file violates a limit.
    """
    limits = request.operation.limits.upload_limits
    for field, file in iterate_uploaded_files(request.body):
        enforced = limits.get(field)
        if enforced is not None and fault_injector.is_check_skipped("upload-size", request.operation):
            enforced = msgspec.structs.replace(enforced, max_bytes=None)
        if enforced is not None and fault_injector.is_check_skipped("upload-format", request.operation):
            enforced = msgspec.structs.replace(enforced, accepted_formats=())
        if enforced is not None:
            check_audio_upload(file, field, enforced)


MAX_CACHED_RECORDING_MEASUREMENTS = 64
"""Maximum number of uploads whose measurements are cached."""


class _RecordingMeasurements(NamedTuple):
    """The properties of a recording that the limits of uploads are compared with."""

    container_format: str
    audio_duration_s: float
    sample_rate_hz: int


_cached_recording_measurements = BoundedDict[bytes, _RecordingMeasurements | str](MAX_CACHED_RECORDING_MEASUREMENTS)
"""Results of `_measure_recording_once` by the digest of the file. Tests upload the same file repeatedly, and files
may be too large to keep."""


def _measure_recording_once(file_content: FileContent) -> _RecordingMeasurements | str:
    """Return the measurements of a recording, or the reason why it cannot be decoded, cached for files in memory."""
    if not isinstance(file_content, bytes):
        return _decode_and_measure_recording(file_content)  # the digest would read all of a large file into memory
    digest = hashlib.sha256(file_content).digest()
    facts = _cached_recording_measurements.get(digest)
    if facts is None:
        facts = _cached_recording_measurements[digest] = _decode_and_measure_recording(file_content)
    return facts


def _decode_and_measure_recording(file_content: FileContent) -> _RecordingMeasurements | str:
    from voicegauge.speech.decoding import UndecodableAudioError, decode

    try:
        audio = decode(file_content)
    except UndecodableAudioError as error:
        return str(error)
    return _RecordingMeasurements(audio.container, audio.duration_s, audio.sample_rate_hz)


def check_audio_upload(uploaded_file: UploadedFile, field_name: str, upload_limits: UploadLimits) -> None:
    """Check an uploaded recording against `x-limits.upload_limits`.

    Raises:
        Rejection: the file is too large, not audio, too short or too long, or its format or sample rate is not allowed.
    """
    if upload_limits.max_bytes is not None and len(uploaded_file.content) > upload_limits.max_bytes:
        raise Rejection("too-large", field_name, f"{field_name} is larger than {upload_limits.max_bytes} bytes")
    # Decoding takes much longer than everything else here, so it is done for the limits that need it only.
    if not (
        upload_limits.accepted_formats
        or upload_limits.min_duration_s
        or upload_limits.max_duration_s
        or upload_limits.min_sample_rate_hz
    ):
        return
    audio = _measure_recording_once(uploaded_file.content)
    if isinstance(audio, str):
        raise Rejection("invalid", field_name, f"{field_name} is not audio: {audio}")
    if upload_limits.accepted_formats and audio.container_format not in [
        name.lower() for name in upload_limits.accepted_formats
    ]:
        raise Rejection(
            "invalid",
            field_name,
            f"{field_name} must be {' or '.join(upload_limits.accepted_formats)}, not {audio.container_format}",
        )
    if upload_limits.min_duration_s is not None and audio.audio_duration_s < upload_limits.min_duration_s:
        raise Rejection("invalid", field_name, f"{field_name} must last at least {upload_limits.min_duration_s:g} s")
    if upload_limits.max_duration_s is not None and audio.audio_duration_s > upload_limits.max_duration_s:
        raise Rejection("invalid", field_name, f"{field_name} must last at most {upload_limits.max_duration_s:g} s")
    if upload_limits.min_sample_rate_hz is not None and audio.sample_rate_hz < upload_limits.min_sample_rate_hz:
        raise Rejection("invalid", field_name, f"{field_name} must have at least {upload_limits.min_sample_rate_hz} Hz")


# Responds to operations with audio input: transcription, conversion, translation, stem separation and analysis.


_DEFAULT_SAMPLE_RATE_HZ = 24_000
"""Sample rate of audio that is made without an upload: spoken translations, and silence."""
_REPLACEMENT_SILENCE_DURATION_S = 1.0
"""Duration of the silence that replaces an undecodable upload if a fault makes the emulator accept the upload."""


_MAX_REMEMBERED_UPLOAD_BYTES = 2**20
"""Maximum size of uploads whose samples and conversions are remembered. The cases of a check send the same few
recordings hundreds of times."""


MAX_REMEMBERED_BYTES = 32 * 2**20
"""Maximum memory of remembered samples, and of remembered conversions. The samples of a small file of silence can take
hundreds of megabytes."""

ResultT = TypeVar("ResultT")


class _RememberedResults(Generic[ResultT]):
    """A cache of the results that were computed last, up to `MAX_REMEMBERED_BYTES` in total."""

    def __init__(self, measure_bytes: Callable[[ResultT], int]) -> None:
        self._measure_bytes, self._lock = measure_bytes, threading.Lock()
        self._results: dict[Hashable, ResultT] = {}
        """The results, those not used for longest first."""

    def find_or_compute(self, key: Hashable, compute_result: Callable[[], ResultT]) -> ResultT:
        # The lock is held meanwhile: requests with the same upload wait for one result, where each would need hundreds
        # of megabytes. A result that is found moves to the end, so that those not used for longest are dropped.
        with self._lock:
            result = self._results.pop(key) if key in self._results else compute_result()
            self._results[key] = result
            size_bytes = sum(map(self._measure_bytes, self._results.values()))
            while size_bytes > MAX_REMEMBERED_BYTES:
                size_bytes -= self._measure_bytes(self._results.pop(next(iter(self._results))))
            return result


_remembered_audio = _RememberedResults["DecodedAudio"](lambda audio: int(audio.samples.nbytes))
"""The samples of recent uploads, by the content of the file."""
_remembered_conversions = _RememberedResults[bytes](len)
"""The files that recent uploads were converted to, by the digest of the upload and the settings of the conversion."""


class DecodedUpload(NamedTuple):
    """An accepted upload, and the audio that was decoded from it."""

    uploaded_file: UploadedFile
    decoded_audio: DecodedAudio


class AudioInputResult(NamedTuple):
    """What the response to an upload contains: values, audio, or both."""

    values_by_location: Mapping[Location, Any]
    """The values of the response, each under its location."""
    generated_audio: GeneratedAudio | None = None
    """The audio that was made of the upload; `None` for a transcript, an analysis or stems."""
    audio_url: str = ""
    """URL of `generated_audio` if the response links to that audio, else empty."""


class AudioInputEndpoint:
    """Responds to requests with audio input."""

    def __init__(self, context: EndpointContext) -> None:
        """Create an endpoint that stores generated audio in the downloads of `context`."""
        self._context = context

    async def respond(self, request: ParsedRequest, account: EmulatedAccount) -> EmulatedResponse:
        """Charge the account, process the upload, and return the result after the emulated processing time.

        Raises:
            Rejection: the upload is missing or not audio, the model or a setting of the output is not supported, or the
                balance is too low.
        """
        context = self._context
        target = select_audio_input_target(request)
        started = asyncio.get_running_loop().time()
        # One at a time: the samples of one upload may take hundreds of megabytes.
        async with context.upload_lock:
            upload = await asyncio.to_thread(self._decode_upload, request, target)
            audio_s = upload.decoded_audio.duration_s
            charge = context.job_store.charge_target_price(account, target, 0, audio_s)
            process = self._transcribe_upload if target.transcription else self._convert_upload
            result = await process(request, target, upload)
            del upload  # its samples are not kept during the wait below
        rng, emulation = context.job_store.create_next_rng(), target.target_spec.emulation
        processing_ms = emulation.base_response_ms + emulation.response_ms_per_audio_s * audio_s
        processing_s = context.clock.scale_duration(
            processing_ms / 1000 * rng.lognormvariate(0, emulation.log_duration_deviation)
        )
        elapsed_s = asyncio.get_running_loop().time() - started
        await context.clock.sleep(processing_s - elapsed_s)  # the real processing time counts towards the emulated one
        response = context.response_builder.build_audio_input_response(
            request, target, result.values_by_location, result.generated_audio, result.audio_url, charge
        )
        if target.stream is not None:
            documented = _find_documented_audio_format(request, target)
            pacer = StreamPacer(
                operation=request.operation,
                stream_spec=target.stream,
                audio_duration_s=audio_s,
                sample_rate_hz=documented.sample_rate_hz if documented is not None else None,
                first_audio_delay_s=0.0,  # the processing has been waited for
                audio_pacing=AudioPacing(),
                chunk_interval_jitter=emulation.log_duration_deviation,
                rng=rng,
                scale_duration=context.clock.scale_duration,
                get_speech_timings=lambda _: [],
            )
            response.split_into_pieces = pacer.split_into_pieces
        return response

    def _decode_upload(self, request: ParsedRequest, target: AudioInputTarget) -> DecodedUpload:
        from voicegauge.speech.decoding import UndecodableAudioError, decode

        slot = target.audio_input.request_fields["audio"]
        file = read_uploaded_audio(request, slot.location)
        field = get_documented_field_name(slot) or "body"
        if not isinstance(file, UploadedFile):
            raise Rejection("invalid", field, f"{field} is not a file")
        try:
            content = file.content
            if isinstance(content, bytes) and len(content) <= _MAX_REMEMBERED_UPLOAD_BYTES:
                return DecodedUpload(file, _remembered_audio.find_or_compute(content, lambda: decode(content)))
            return DecodedUpload(file, decode(content))
        except UndecodableAudioError as error:
            is_skipped = self._context.fault_injector.is_check_skipped("upload-format", request.operation)
            if request.rejects_unsupported_values and not is_skipped:
                raise Rejection("invalid", field, f"{field} is not audio: {error}") from error
            return DecodedUpload(file, _create_silence())

    async def _transcribe_upload(
        self, request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload
    ) -> AudioInputResult:
        use, decoded_audio = target.transcription, upload.decoded_audio
        assert use is not None
        requested = read_audio_input_field(request, target, "language")
        is_named = isinstance(requested, str) and requested and requested.lower() != AUTOMATIC_LANGUAGE
        language = requested if is_named else EMBEDDED_ASR_LANGUAGE
        text = await transcribe_samples(decoded_audio.samples, decoded_audio.sample_rate_hz, language)
        phrases = split_transcript_into_timed_phrases(decoded_audio.samples, decoded_audio.sample_rate_hz, text)
        values = build_transcript_values(
            use.response,
            phrases,
            language=language,
            audio_duration_s=decoded_audio.duration_s,
            include_word_times=_is_true_value(read_audio_input_field(request, target, "timestamps")),
            include_speaker_labels=_is_true_value(read_audio_input_field(request, target, "diarize")),
        )
        if use.response.subtitle_format is not None:
            text = format_subtitles(phrases, use.response.subtitle_format)
        # Where a transcript is in several places, the first has all of it.
        tokens = ["0" if token == EVERY_ITEM else token for token in use.response.text_location.pointer_tokens]
        return AudioInputResult({Location("body", pointer_tokens=tokens): text, **values})

    async def _convert_upload(
        self, request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload
    ) -> AudioInputResult:
        use = target.conversion
        assert use is not None
        if use.purpose == "translate":
            return await self._translate_upload(request, target, upload)
        if use.purpose == "analyse":
            facts = await asyncio.to_thread(
                analyze_music, upload.decoded_audio.samples, upload.decoded_audio.sample_rate_hz
            )
            return AudioInputResult(
                {location: facts[name] for name, location in use.response.fact_locations.items() if name in facts}
            )
        if use.response.stems is not None:
            return await self._separate_stems(request, target, upload, use.response.stems)
        generated_audio = await asyncio.to_thread(_apply_conversion, request, target, upload)
        location = use.response.audio
        return (
            self._build_audio_result(request, location, generated_audio, use.purpose)
            if location
            else AudioInputResult({})
        )

    async def _translate_upload(
        self, request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload
    ) -> AudioInputResult:
        """Return the transcript, a pseudo-translation (the transcript with a mark), and that translation as speech."""
        use = target.conversion
        assert use is not None
        language = str(read_audio_input_field(request, target, "language") or EMBEDDED_ASR_LANGUAGE)
        spoken = language if has_voice_for(language) else EMBEDDED_ASR_LANGUAGE
        if spoken != language:
            slot = use.request_fields["language"]
            reject_undocumented_value(request, slot, language, (), "the emulator does not speak")
        text = await transcribe_samples(upload.decoded_audio.samples, upload.decoded_audio.sample_rate_hz)
        facts = {
            "transcript": text,
            "translation": f"EMULATED translation into {language}: {text}",
            "source_language": EMBEDDED_ASR_LANGUAGE,
            "target_language": language,
        }
        values = {location: facts[name] for name, location in use.response.fact_locations.items() if name in facts}
        if use.response.audio is None:
            return AudioInputResult(values)
        name = find_audio_format_name(target.target_spec.emulation.default_format or "mp3") or "mp3"
        synthesis = SynthesisRequest(
            text=text or "Nothing was said.",
            language=spoken,
            espeak_variant="klatt4",
            words_per_minute=165,
            pitch=50,
            sample_rate_hz=_DEFAULT_SAMPLE_RATE_HZ,
            leading_silence_s=0.1,
            audio_format=name,
            seed=0,
        )
        speech = await synthesize(synthesis)
        result = self._build_audio_result(
            request, use.response.audio, GeneratedAudio(speech.audio_bytes, name), "translate"
        )
        return result._replace(values_by_location=values)

    async def _separate_stems(
        self, request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload, stem_list: StemList
    ) -> AudioInputResult:
        count = read_audio_input_field(request, target, "stems")
        name = _choose_output_format_name(request, target, upload)
        decoded_audio = upload.decoded_audio
        parts = await asyncio.to_thread(
            encode_stems, decoded_audio, count if isinstance(count, int) and 2 <= count <= 6 else 2, name
        )
        task, items = fill_random_hex("task_{hex12}", self._context.job_store.create_next_rng()), []
        audio = ResponseAudio(
            location=stem_list.list_location,
            delivery_method="url",
            download_operation_id=stem_list.download_operation_id,
        )
        for part, data in parts.items():
            generated_audio = GeneratedAudio(data, name)
            url = self._store_audio(request, audio, generated_audio, f"{task}-{part}")
            items.append({stem_list.name_field: part, stem_list.url_field: url})
        return AudioInputResult({stem_list.list_location: items})

    def _build_audio_result(
        self, request: ParsedRequest, response_audio: ResponseAudio, generated_audio: GeneratedAudio, purpose: str
    ) -> AudioInputResult:
        if response_audio.delivery_method != "url":
            return AudioInputResult({}, generated_audio)
        file_stem = fill_random_hex(f"{purpose}_{{hex12}}", self._context.job_store.create_next_rng())
        return AudioInputResult(
            {}, generated_audio, self._store_audio(request, response_audio, generated_audio, file_stem)
        )

    def _store_audio(
        self,
        request: ParsedRequest,
        response_audio: ResponseAudio,
        generated_audio: GeneratedAudio,
        file_stem: str,
    ) -> str:
        name = f"{file_stem}.{generated_audio.audio_format}"
        self._context.downloads.files.store_file(name, generated_audio)
        return self._context.response_builder.build_audio_url(
            request.incoming_request.base_url, response_audio, name, generated_audio.audio_format
        )


def _is_true_value(value: object) -> bool:
    """Whether the value of a field is `True`, or the text "true" in any case, as forms send it."""
    return str(value).lower() == "true"


def _create_silence() -> DecodedAudio:
    """Return the audio that replaces an upload which cannot be decoded."""
    import numpy as np

    from voicegauge.speech.decoding import DecodedAudio

    samples = np.zeros(int(_DEFAULT_SAMPLE_RATE_HZ * _REPLACEMENT_SILENCE_DURATION_S), np.float32)
    return DecodedAudio(
        samples,
        _DEFAULT_SAMPLE_RATE_HZ,
        1,
        "wav",
        "pcm_16",
        _REPLACEMENT_SILENCE_DURATION_S,
        _REPLACEMENT_SILENCE_DURATION_S,
    )


def _apply_conversion(request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload) -> GeneratedAudio:
    """Return the converted upload.

    Only the purpose "convert" is a real conversion, to another format; for other purposes, audible effects are applied.

    Raises:
        Rejection: the output format does not support the requested sample rate, channels or bitrate.
    """
    from voicegauge.speech.encoding import TranscodingSettings, transcode

    use, documented = target.conversion, _find_documented_audio_format(request, target)
    assert use is not None
    name = _choose_output_format_name(request, target, upload) if documented is None else documented.codec

    def read_integer_field(field: AudioInputField) -> int | None:
        value = read_audio_input_field(request, target, field)
        return int(value) if isinstance(value, int) or (isinstance(value, str) and value.isdecimal()) else None

    requested_rate, channels, kbps = (
        read_integer_field("sample_rate"),
        read_integer_field("channels"),
        read_integer_field("bitrate"),
    )
    if documented is not None:
        requested_rate, kbps = documented.sample_rate_hz, documented.bitrate_kbps
    # An empty file that a fault makes acceptable cannot be converted; the silence in its place can.
    if use.purpose == "convert" and upload.uploaded_file.content:
        try:
            return GeneratedAudio(
                transcode(upload.uploaded_file.content, TranscodingSettings(name, requested_rate, channels, kbps)), name
            )
        except ValueError as error:  # includes PyAV's ArgumentError, raised for an unsupported sample rate
            raise Rejection("invalid", None, f"{name} cannot be written with these settings: {error}") from error
    speed = read_audio_input_field(request, target, "speed")
    voice = read_audio_input_field(request, target, "voice")
    change = AudioEffect(
        use.purpose,
        voice_name=voice if isinstance(voice, str) else None,
        speed_factor=float(speed) if isinstance(speed, int | float) and 0.5 <= speed <= 2 else 1.0,
        effect_strength=read_integer_field("strength") or 2,
    )
    content = upload.uploaded_file.content
    if not isinstance(content, bytes) or len(content) > _MAX_REMEMBERED_UPLOAD_BYTES:
        return GeneratedAudio(convert_upload(upload.decoded_audio, change, requested_rate, name, kbps), name)
    key = (hashlib.sha256(content).digest(), change, requested_rate, name, kbps)
    converted = _remembered_conversions.find_or_compute(
        key, lambda: convert_upload(upload.decoded_audio, change, requested_rate, name, kbps)
    )
    return GeneratedAudio(converted, name)


def _find_documented_audio_format(request: ParsedRequest, target: AudioInputTarget) -> AudioFormat | None:
    """Return what the contract states about the requested format; `None` if it states nothing.

    If the request names no format, the format in the target's constants counts. A requested container, sample rate or
    bit rate replaces that of the format.
    """
    conversion = target.conversion
    if conversion is None or not conversion.formats:
        return None
    requested = read_audio_input_field(request, target, "format")
    if requested is None:
        requested = target.target_spec.request_constants.get(conversion.request_fields["format"].location)
    found = conversion.formats.get(requested) if isinstance(requested, str) else None
    return found and found.replace_requested_properties(
        container=read_audio_input_field(request, target, "container"),
        sample_rate=read_audio_input_field(request, target, "sample_rate"),
        bit_rate=read_audio_input_field(request, target, "bit_rate"),
    )


def _choose_output_format_name(request: ParsedRequest, target: AudioInputTarget, upload: DecodedUpload) -> str:
    """Return the format of the output.

    It is the requested format if the emulator knows it. Otherwise, it is the one that the contract sets in `emulation`,
    or without one the upload's, if the response documents it or no audio at all; else the first format with a
    documented media type; else WAV.
    """
    requested = read_audio_input_field(request, target, "format")
    found = find_audio_format_name(requested) if isinstance(requested, str) else None
    if found is not None:
        return found
    default = (
        find_audio_format_name(target.target_spec.emulation.default_format or upload.decoded_audio.container) or "wav"
    )
    documented = [name for name in request.operation.success_response.media_types if name.startswith("audio/")]
    if not documented or choose_media_type(default, documented) is not None:
        return default
    return next((name for name in map(find_audio_format_name, documented) if name is not None), "wav")
