"""Faults of what is sent: limits that are not held, and answers about other audio than the upload."""

from __future__ import annotations

from voicegauge.contract import Target
from voicegauge.contract.extension import ConversionSpec, TranscriptionSpec
from voicegauge.emulator.http import read_at, write_at
from voicegauge.emulator.responses import EmulatedResponse
from voicegauge.formats import parse_location

OTHER_TEXT = "Nobody expected seven purple elephants underneath that telescope."
_RATES_HZ = (44_100, 22_050)


def other_transcript(response: EmulatedResponse) -> None:
    """The transcript of another recording."""
    intake = response.operation.intake if response.operation else None
    if response.kind != "taken" or not isinstance(intake, TranscriptionSpec):
        return
    response.body = write_at(response.body, intake.answer.text, OTHER_TEXT)
    segments = read_at(response.body, intake.answer.segments)
    words = OTHER_TEXT.split()
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        segment[intake.answer.segment.text] = words[index % len(words)]


def other_rate(response: EmulatedResponse) -> None:
    """Converted audio at another sample rate than was asked for."""
    from voicegauge.speech.audio import TranscodingTarget, container_of_media_type, read_channels, transcode

    intake = response.operation.intake if response.operation else None
    made = response.kind == "taken" and isinstance(intake, ConversionSpec) and "sample_rate" in intake.request
    name = container_of_media_type(response.media_type)
    if made and name is not None and isinstance(response.body, bytes):
        rate = read_channels(response.body)[1]
        response.body = transcode(
            response.body, TranscodingTarget(name, next(other for other in _RATES_HZ if other != rate))
        )


def limits_size(target: Target) -> bool:
    """Whether the size of an upload is limited."""
    return any(upload.max_bytes is not None for upload in target.operation.limits.uploads.values()) and _takes(target)


def limits_formats(target: Target) -> bool:
    """Whether only some formats may be uploaded."""
    return any(upload.formats for upload in target.operation.limits.uploads.values()) and _takes(target)


def _takes(target: Target) -> bool:
    slot = target.speech.request.get("voice_sample_upload")
    return slot is not None and parse_location(slot.at).tokens[0] in target.operation.limits.uploads


def transcribes(target: Target) -> bool:
    """Whether the provider transcribes."""
    return any(intake.transcription for intake in target.contract.intakes.values())


def converts(target: Target) -> bool:
    """Whether the provider converts audio to a sample rate that is asked for."""
    return any(intake.conversion and "sample_rate" in intake.use.request for intake in target.contract.intakes.values())
