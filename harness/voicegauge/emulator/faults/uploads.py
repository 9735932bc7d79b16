"""Implements the faults of uploads: results that do not belong to the upload, and limits that are not enforced."""

from __future__ import annotations

from voicegauge.contract import Target
from voicegauge.contract.extension import ConversionSpec, TranscriptionSpec
from voicegauge.emulator.faults.fault import Fault
from voicegauge.emulator.http import read_value_at, write_value_at
from voicegauge.emulator.responses import EmulatedResponse

UNRELATED_TRANSCRIPT = "Nobody expected seven purple elephants underneath that telescope."
_REPLACEMENT_SAMPLE_RATES_HZ = (44_100, 22_050)
"""Sample rates that a fault delivers: the first one that differs from the correct rate."""


def replace_transcript(response: EmulatedResponse) -> None:
    """Replace the transcript and its segments by unrelated text."""
    audio_input = response.operation.audio_input if response.operation else None
    if response.kind != "audio-input" or not isinstance(audio_input, TranscriptionSpec):
        return
    response.body = write_value_at(response.body, audio_input.response.text_location, UNRELATED_TRANSCRIPT)
    segments = read_value_at(response.body, audio_input.response.segments_location)
    words = UNRELATED_TRANSCRIPT.split()
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        segment[audio_input.response.segment_field_names.text_field] = words[index % len(words)]


def change_sample_rate(response: EmulatedResponse) -> None:
    """Convert audio to a sample rate other than the requested one."""
    from voicegauge.speech.audio import (
        TranscodingSettings,
        decode_without_mixing,
        find_container_of_media_type,
        transcode,
    )

    audio_input = response.operation.audio_input if response.operation else None
    is_conversion = (
        response.kind == "audio-input"
        and isinstance(audio_input, ConversionSpec)
        and "sample_rate" in audio_input.request_fields
    )
    name = find_container_of_media_type(response.media_type)
    if is_conversion and name is not None and isinstance(response.body, bytes):
        rate = decode_without_mixing(response.body)[1]
        response.body = transcode(
            response.body,
            TranscodingSettings(name, next(other for other in _REPLACEMENT_SAMPLE_RATES_HZ if other != rate)),
        )


def has_upload_size_limit(target: Target) -> bool:
    """Whether `x-limits.uploads` states limits for the target's voice sample, and a maximum size for some upload.

    The maximum size may be that of the voice sample, or that of another upload of the same operation.
    """
    return any(
        upload.max_bytes is not None for upload in target.operation.limits.upload_limits.values()
    ) and _has_limited_voice_sample(target)


def has_upload_format_limit(target: Target) -> bool:
    """Whether `x-limits.uploads` states limits for the target's voice sample, and the formats of some upload.

    The formats may be those of the voice sample, or those of another upload of the same operation.
    """
    return any(
        upload.accepted_formats for upload in target.operation.limits.upload_limits.values()
    ) and _has_limited_voice_sample(target)


def _has_limited_voice_sample(target: Target) -> bool:
    slot = target.speech.request_fields.get("voice_sample_upload")
    return slot is not None and slot.location.pointer_tokens[0] in target.operation.limits.upload_limits


def provider_transcribes_audio(target: Target) -> bool:
    """Whether the provider of the target transcribes audio."""
    return any(audio_input.transcription for audio_input in target.contract.audio_input_targets.values())


def provider_converts_sample_rates(target: Target) -> bool:
    """Whether the provider of the target converts audio to a requested sample rate."""
    return any(
        audio_input.conversion and "sample_rate" in audio_input.audio_input.request_fields
        for audio_input in target.contract.audio_input_targets.values()
    )


FAULTS = (
    Fault(
        id="upload-limit-ignored",
        description="Uploads larger than the documented limit are accepted.",
        skipped_check="upload-size",
        applies_to=has_upload_size_limit,
    ),
    Fault(
        id="upload-format-ignored",
        description="Uploads of undocumented formats, even files that are not audio, are accepted.",
        skipped_check="upload-format",
        applies_to=has_upload_format_limit,
    ),
    Fault(
        id="other-transcript",
        description="The transcript belongs to another recording.",
        change_response=replace_transcript,
        applies_to=provider_transcribes_audio,
    ),
    Fault(
        id="other-rate",
        description="Audio is converted to another sample rate than requested.",
        change_response=change_sample_rate,
        applies_to=provider_converts_sample_rates,
    ),
)
