"""Plans requests with audio: valid files, and files beyond the limits."""

from __future__ import annotations

import base64
import functools
import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from voicegauge.cases.case import (
    ConformanceCase,
    SkippedCase,
    UploadPadding,
    build_case,
    expect_acceptance,
    expect_undocumented_outcome,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import (
    SpokenSentence,
    add_required_fields,
    count_charged_characters,
    load_spoken_sentence,
    load_voice_sample,
    set_body_value,
)
from voicegauge.client.speech_request import RequestParts, build_audio_input_request
from voicegauge.contract.contract import AudioInputTarget
from voicegauge.contract.extension.provider import RejectionReason, UploadLimits
from voicegauge.contract.extension.speech import AudioInputField
from voicegauge.contract.operation import Operation
from voicegauge.model.base import Record
from voicegauge.model.exchange import UploadedFile
from voicegauge.rules.call import ExpectedResponse

if TYPE_CHECKING:
    from voicegauge.speech.decoding import DecodedAudio, Samples


# Cases that upload audio to be transcribed or converted.


OptionalFieldValues = dict[AudioInputField, object]
"""Values of optional request fields, by the provider-independent names of the fields."""


def plan_audio_input_cases(
    operation: Operation, cases: Iterable[ConformanceCase | SkippedCase], default_target: AudioInputTarget | None = None
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield `cases`, each with the target that its request addresses, then further requests to every target.

    Args:
        operation: an operation with `x-transcription` or `x-conversion`.
        cases: the cases that are planned for every operation with a request body, here for `operation`.
        default_target: the target of a case whose request selects none of the operation's targets; `None` for the
            first of these targets.
    """
    targets = operation.audio_input_targets
    for case in cases:
        yield (
            case
            if isinstance(case, SkippedCase)
            else _set_target_of_case(case, operation, default_target or targets[0])
        )
    for target in targets:
        for options in _iterate_optional_field_sets(target):
            yield _build_recording_upload_case(target, options)


def _iterate_optional_field_sets(target: AudioInputTarget) -> Iterator[OptionalFieldValues]:
    """Yield no optional fields; for a transcription, then all documented ones that make it more detailed, or none."""
    yield {}
    if target.transcription is not None:
        flags: tuple[AudioInputField, ...] = ("timestamps", "diarize")
        yield {flag: True for flag in flags if flag in target.audio_input.request_fields}


def _build_recording_upload_case(target: AudioInputTarget, optional_fields: OptionalFieldValues) -> ConformanceCase:
    sentence = choose_recorded_sentence(target)
    description = f"a valid recording{' with ' + ' and '.join(optional_fields) if optional_fields else ''}"
    return build_case(
        target.operation,
        expect_acceptance(description, target.pointer),
        target_name=target.name,
        id_prefix=target.id,
        request=add_required_fields(
            target.operation, build_audio_input_request(target, sentence.file, optional_fields)
        ),
        audio_duration_s=sentence.audio_duration_s,
        is_in_every_plan=not optional_fields,
    )


def _set_target_of_case(
    case: ConformanceCase, operation: Operation, default_target: AudioInputTarget
) -> ConformanceCase:
    """Return `case` with the target that its request addresses; with `default_target` if there is none.

    If the request uploads the bundled recording for voice cloning, the shorter recording of one sentence replaces it.
    """
    request = case.request
    sent = request or RequestParts()
    target = operation.find_audio_input_target(lambda at: at.read_request(sent)) or default_target
    sentence = choose_recorded_sentence(target)
    location = target.audio_input.request_fields["audio"].location
    if request is not None and isinstance(request.body, dict) and isinstance(location.read_body(request.body), str):
        encoded = base64.b64encode(sentence.file.data).decode()  # in place of the text that stands for the audio
        request = set_body_value(request, location.pointer_tokens, encoded)
    elif request is not None and find_uploaded_audio(target, case) == load_voice_sample().data:
        request = msgspec.structs.replace(request, body={**request.body, _get_audio_field_name(target): sentence.file})
    return msgspec.structs.replace(
        case, target_name=target.name, request=request, audio_duration_s=sentence.audio_duration_s
    )


def choose_recorded_sentence(target: AudioInputTarget) -> SpokenSentence:
    """Return the recording of one sentence to upload, in a format that the operation of `target` accepts.

    The format is MP3 if the operation accepts it or documents no formats, otherwise the first documented one.
    """
    limits = target.operation.limits.upload_limits.get(_get_audio_field_name(target))
    formats = limits.accepted_formats if limits is not None else ()
    return load_spoken_sentence("mp3" if not formats or "mp3" in formats else formats[0])


def find_uploaded_audio(target: AudioInputTarget, case: ConformanceCase) -> bytes | None:
    """Return the bytes of the recording that `case` uploads, decoded if they are sent as base64.

    `None` if it uploads no recording, or a text that is not valid base64.
    """
    body = case.request.body if case.request is not None else None
    location = target.audio_input.request_fields["audio"].location
    file = location.read_body(body) if location.pointer_tokens else body
    if isinstance(file, str) and file:
        try:
            return base64.b64decode(file, validate=True)
        except ValueError:
            return None
    return file.data if isinstance(file, UploadedFile) else None


def _get_audio_field_name(target: AudioInputTarget) -> str:
    """Return the form field of the audio, which is also its key in `x-limits.upload_limits`; "body" for a raw body."""
    return target.audio_input.request_fields["audio"].location.field_name or "body"


# Plans cases that upload recordings near each documented limit, or of kinds that no document mentions.


MB_PER_MIB = 2**20 / 10**6
"""Number of megabytes in a mebibyte.

A document that limits uploads in MB may mean MiB. A file is certainly too large only if it exceeds the limit in MiB,
and certainly small enough only if it does not exceed the limit in MB.
"""
SHORT_RECORDING_DURATION_S = 0.5
"""A duration in seconds that is far below any documented minimum."""
LONG_RECORDING_DURATION_S = 90
"""A duration in seconds that is far above any documented maximum, in a file that is below any documented size limit."""
LOW_SAMPLE_RATE_HZ = 8_000
"""The sample rate of telephones, which is below any documented minimum."""
DURATION_STEP_S = 0.5
"""Difference in seconds between a documented limit of the duration and the uploads just inside and outside of it."""


class UploadVariant(Record, frozen=True, kw_only=True):
    """A recording near a documented limit, or of a kind that no document mentions."""

    description: str
    """What is special about the recording, in words."""
    uploaded_file: UploadedFile
    """The file, not padded yet."""
    rejection_reason: RejectionReason = "invalid"
    """The reason for which a service should reject the recording if it is not within the limit."""
    limit_key: str | None = None
    """The key of `x-limits.upload_limits` that the recording tests; `None` if no limit is documented."""
    is_within_limit: bool = False
    """Whether the recording is within the limit that it tests; false if it tests no documented limit."""
    padded_size_bytes: int | None = None
    """Size in bytes to which the recording is padded before it is sent; `None` for no padding."""
    is_audio: bool = True
    """Whether the file is audio. A file that is not audio is rejected by every operation that takes a recording."""
    is_limit_unit_ambiguous: bool = False
    """Whether the recording is within the limit only if MB means MiB. If so, a live service may accept or reject it."""


def plan_upload_cases(
    operation: Operation, request: RequestParts, file_field_name: str, target_name: str | None, *, is_emulated: bool
) -> Iterator[ConformanceCase]:
    """Yield a case for each upload below, at and beyond a documented limit of a form field, and for unusual uploads.

    Args:
        operation: the operation that is called.
        request: a valid request to it.
        file_field_name: the form field that carries the recording.
        target_name: name of the target of the request; `None` if the operation has no speech targets.
        is_emulated: whether the emulator responds. It enforces a size limit exactly as the contract states it.
    """
    upload_limits = operation.limits.upload_limits.get(file_field_name) or UploadLimits()
    # Without their source, so that operations with equal limits share cached recordings.
    upload_limits = msgspec.structs.replace(upload_limits, source=None)
    for upload_variant in _list_upload_variants(upload_limits, is_voice_sample=operation.speech is not None):
        if upload_variant.is_limit_unit_ambiguous and not is_emulated:
            upload_variant = msgspec.structs.replace(upload_variant, limit_key=None, is_within_limit=False)
        yield _build_upload_case(operation, request, file_field_name, target_name, upload_variant)


@functools.lru_cache(maxsize=32)
def _list_upload_variants(upload_limits: UploadLimits, *, is_voice_sample: bool) -> tuple[UploadVariant, ...]:
    """Return the recordings to upload for one set of limits.

    Recordings of kinds that no document mentions are only among them if the upload is a voice sample. For other uploads
    they would prove little. A recording above the size limit is left out unless it tests that limit.
    """
    voice = _load_recording(is_voice_sample=is_voice_sample)
    decoded = _decode_recording(is_voice_sample=is_voice_sample)
    variants = [
        *_iterate_size_variants(decoded, upload_limits),
        *_iterate_duration_variants(decoded, upload_limits, is_voice_sample=is_voice_sample),
        *_iterate_format_variants(upload_limits, is_voice_sample=is_voice_sample),
        *_iterate_sample_rate_variants(decoded, upload_limits),
        UploadVariant(
            description="a text instead of a recording",
            uploaded_file=UploadedFile(
                filename="voice.txt", media_type="text/plain", data=b"This is not a recording.\n" * 100
            ),
            limit_key="accepted_formats" if upload_limits.accepted_formats else None,
            is_audio=False,
        ),
        UploadVariant(
            description="an empty file",
            uploaded_file=UploadedFile(filename="voice.wav", media_type="audio/wav", data=b""),
        ),
    ]
    truncated = UploadedFile(filename="voice.mp3", media_type="audio/mpeg", data=voice[: len(voice) * 2 // 3])
    variants.append(UploadVariant(description="a truncated recording", uploaded_file=truncated))
    chosen = (upload_variant for upload_variant in variants if is_voice_sample or upload_variant.limit_key is not None)
    # A file beyond the size limit is rejected for its size, so it cannot test another limit.
    max_bytes = math.inf if upload_limits.max_bytes is None else upload_limits.max_bytes
    return tuple(
        upload_variant
        for upload_variant in chosen
        if upload_variant.limit_key == "max_bytes" or len(upload_variant.uploaded_file.data) <= max_bytes
    )


def _load_recording(*, is_voice_sample: bool) -> bytes:
    """Return the bundled recording, all of it for a voice sample, one sentence for other uploads."""
    return (load_voice_sample().data or b"") if is_voice_sample else load_spoken_sentence().file.data


@functools.cache
def _decode_recording(*, is_voice_sample: bool) -> DecodedAudio:
    from voicegauge.speech.decoding import decode  # numpy takes long to import

    return decode(_load_recording(is_voice_sample=is_voice_sample))


@functools.cache
def _encode_recording_as(format_name: str, *, is_voice_sample: bool) -> UploadedFile:
    """Return the recording in another format. The result is cached: many operations document the same formats."""
    from voicegauge.speech.encoding import encode_at_bitrate, find_media_type_of_format

    decoded = _decode_recording(is_voice_sample=is_voice_sample)
    return UploadedFile(
        filename=f"voice.{format_name}",
        media_type=find_media_type_of_format(format_name),
        data=encode_at_bitrate(decoded.samples, decoded.sample_rate_hz, format_name),
    )


def _iterate_size_variants(decoded_recording: DecodedAudio, upload_limits: UploadLimits) -> Iterator[UploadVariant]:
    """Yield WAV files of sizes near the limit. They are padded to their size, so that decoding them stays fast."""
    if upload_limits.max_bytes is None:
        return
    surely_valid = int(upload_limits.max_bytes / MB_PER_MIB)
    # The samples take at most half of the smallest file. They have 16 bits, and headers and padding need space.
    file = _encode_wav(
        decoded_recording.samples[: max(surely_valid // 4, 1)], decoded_recording.sample_rate_hz, "large.wav"
    )
    sizes = [(surely_valid, True), (upload_limits.max_bytes, True), (upload_limits.max_bytes + 1, False)]
    for size, is_valid in sizes:
        if is_valid and upload_limits.accepted_formats and "wav" not in upload_limits.accepted_formats:
            continue
        yield UploadVariant(
            description=f"a recording of {size} bytes",
            uploaded_file=file,
            rejection_reason="too-large",
            limit_key="max_bytes",
            is_within_limit=is_valid,
            padded_size_bytes=size,
            is_limit_unit_ambiguous=size == upload_limits.max_bytes,
        )


def _iterate_duration_variants(
    decoded_recording: DecodedAudio, upload_limits: UploadLimits, *, is_voice_sample: bool
) -> Iterator[UploadVariant]:
    """Yield WAV files at and near the documented limits of the duration, and a very short one.

    For a voice sample, a very long one follows. Files that reach the size limit are left out.
    """
    # Duration in seconds, key of the limit that it tests or `None`, and whether it is within that limit.
    durations = [
        (
            SHORT_RECORDING_DURATION_S,
            "min_duration_s"
            if upload_limits.min_duration_s is not None and upload_limits.min_duration_s > SHORT_RECORDING_DURATION_S
            else None,
            False,
        )
    ]
    if is_voice_sample:
        durations.append(
            (
                LONG_RECORDING_DURATION_S,
                "max_duration_s"
                if upload_limits.max_duration_s is not None and upload_limits.max_duration_s < LONG_RECORDING_DURATION_S
                else None,
                False,
            )
        )
    for name, bound, step in (
        ("min_duration_s", upload_limits.min_duration_s, DURATION_STEP_S),
        ("max_duration_s", upload_limits.max_duration_s, -DURATION_STEP_S),
    ):
        if bound is not None:
            durations += [(bound, name, True), (bound + step, name, True), (bound - step, name, False)]
    for duration_s, limit, is_valid in durations:
        file = _encode_wav(
            _repeat_or_cut_recording(decoded_recording, duration_s), decoded_recording.sample_rate_hz, "voice.wav"
        )
        if duration_s > 0 and (upload_limits.max_bytes is None or len(file.data) < upload_limits.max_bytes):
            yield UploadVariant(
                description=f"a recording of {duration_s:g} s",
                uploaded_file=file,
                limit_key=limit,
                is_within_limit=is_valid,
            )


def _repeat_or_cut_recording(decoded_recording: DecodedAudio, duration_s: float) -> Samples:
    """Return the recording, repeated or cut to last `duration_s` seconds."""
    import numpy as np

    frames = round(duration_s * decoded_recording.sample_rate_hz)
    return np.tile(decoded_recording.samples, frames // len(decoded_recording.samples) + 1)[:frames]


def _iterate_format_variants(upload_limits: UploadLimits, *, is_voice_sample: bool) -> Iterator[UploadVariant]:
    """Yield the recording in each documented format and in one that is not documented, if it can be encoded."""
    documented = {name.lower() for name in upload_limits.accepted_formats}
    for name in ("wav", "mp3", "flac", "ogg", "m4a", "aac", "webm"):
        if name in documented:
            yield UploadVariant(
                description=f"a recording as {name}",
                uploaded_file=_encode_recording_as(name, is_voice_sample=is_voice_sample),
                limit_key="accepted_formats",
                is_within_limit=True,
            )
    for name in [name for name in ("flac", "ogg", "aac", "wav") if name not in documented][:1]:
        yield UploadVariant(
            description=f"a recording as {name}",
            uploaded_file=_encode_recording_as(name, is_voice_sample=is_voice_sample),
            limit_key="accepted_formats" if documented else None,
        )


def _iterate_sample_rate_variants(
    decoded_recording: DecodedAudio, upload_limits: UploadLimits
) -> Iterator[UploadVariant]:
    """Yield WAV files at the lowest documented sample rate, and at one below any documented minimum."""
    from voicegauge.speech.encoding import resample

    minimum = upload_limits.min_sample_rate_hz or 0
    for rate, is_limited, is_valid in (
        (LOW_SAMPLE_RATE_HZ, minimum > LOW_SAMPLE_RATE_HZ, False),
        (minimum, True, True),
    ):
        if rate:
            yield UploadVariant(
                description=f"a recording of {rate} Hz",
                uploaded_file=_encode_wav(
                    resample(decoded_recording.samples, decoded_recording.sample_rate_hz, rate), rate, "voice.wav"
                ),
                limit_key="min_sample_rate_hz" if is_limited else None,
                is_within_limit=is_valid,
            )


def _encode_wav(samples: Samples, sample_rate_hz: int, file_name: str) -> UploadedFile:
    from voicegauge.speech.encoding import encode

    data, media_type = encode(samples, sample_rate_hz, "wav")
    return UploadedFile(filename=file_name, media_type=media_type, data=data)


def _build_upload_case(
    operation: Operation,
    request: RequestParts,
    file_field_name: str,
    target_name: str | None,
    upload_variant: UploadVariant,
) -> ConformanceCase:
    body = {**request.body, file_field_name: upload_variant.uploaded_file}
    return build_case(
        operation,
        _build_expected_response(operation, file_field_name, upload_variant),
        target_name=target_name,
        request=msgspec.structs.replace(request, body=body),
        text_character_count=count_charged_characters(operation, request),
        upload_padding=UploadPadding(field_name=file_field_name, size_bytes=upload_variant.padded_size_bytes)
        if upload_variant.padded_size_bytes is not None
        else None,
    )


def _build_expected_response(
    operation: Operation, file_field_name: str, upload_variant: UploadVariant
) -> ExpectedResponse:
    """Return the response that the limits of a form field, or the lack of them, let one expect for an upload."""
    if upload_variant.limit_key is None:
        pointer = f"{operation.pointer}/requestBody"
    else:
        # Limits are stated at the operation or, for all operations, at the root of the document.
        upload_limits = f"{operation.pointer}/x-limits" if "x-limits" in operation.part_data else "/x-limits"
        pointer = f"{upload_limits}/upload_limits/{file_field_name}/{upload_variant.limit_key}"
    if upload_variant.is_within_limit:
        return expect_acceptance(upload_variant.description, pointer)
    is_required = operation.contract.has_normative_source(pointer) or not upload_variant.is_audio
    if upload_variant.limit_key is None or not is_required:
        return expect_undocumented_outcome(upload_variant.description, pointer)
    return ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(operation, upload_variant.rejection_reason)
        or find_rejection_statuses(operation, "invalid"),
        case_kind="invalid",
        description=upload_variant.description,
        contract_pointer=pointer,
    )


def build_padded_request(case: ConformanceCase) -> RequestParts | None:
    """Return the request of a case with the uploaded file padded to its planned size; `None` if it has no request."""
    if case.upload_padding is None or case.request is None:
        return case.request
    file: UploadedFile = case.request.body[case.upload_padding.field_name]
    padded = _pad_wav(file, case.upload_padding.size_bytes)
    return msgspec.structs.replace(case.request, body={**case.request.body, case.upload_padding.field_name: padded})


def _pad_wav(wav_file: UploadedFile, size_bytes: int) -> UploadedFile:
    """Return a WAV padded to `size_bytes` by a JUNK chunk of zeros after the samples, which every RIFF reader skips.

    The data of the result ends before the zeros, whose number is its `padding_bytes`.
    """
    wav = wav_file.data
    # Neither length includes the 8 bytes of its own chunk header.
    riff_length, junk_length = (
        (size_bytes - 8).to_bytes(4, "little"),
        (size_bytes - len(wav) - 8).to_bytes(4, "little"),
    )
    # The zeros are not made here: they are sent from one block, so that a limit of gigabytes needs no memory.
    data = b"".join((wav[:4], riff_length, wav[8:], b"JUNK", junk_length))
    return msgspec.structs.replace(wav_file, data=data, padding_bytes=size_bytes - len(data))
