"""Faults of what is sent: limits that are not held, and answers about other audio than the upload."""

from __future__ import annotations

from voicegauge.contract import Target
from voicegauge.contract.extension import ConversionSpec, TranscriptionSpec
from voicegauge.emulator.responses import Reply, get, put
from voicegauge.formats import parse_location

OTHER_TEXT = "Nobody expected seven purple elephants underneath that telescope."
_RATES_HZ = (44_100, 22_050)


def other_transcript(reply: Reply) -> None:
    """The transcript of another recording."""
    intake = reply.operation.intake if reply.operation else None
    if reply.kind != "taken" or not isinstance(intake, TranscriptionSpec):
        return
    reply.body = put(reply.body, intake.answer.text, OTHER_TEXT)
    segments = get(reply.body, intake.answer.segments)
    words = OTHER_TEXT.split()
    for index, segment in enumerate(segments if isinstance(segments, list) else ()):
        segment[intake.answer.segment.text] = words[index % len(words)]


def other_rate(reply: Reply) -> None:
    """Converted audio at another sample rate than was asked for."""
    from voicegauge.speech.audio import TranscodingTarget, container_of_media_type, read_channels, transcode

    intake = reply.operation.intake if reply.operation else None
    made = reply.kind == "taken" and isinstance(intake, ConversionSpec) and "sample_rate" in intake.request
    name = container_of_media_type(reply.media_type)
    if made and name is not None and isinstance(reply.body, bytes):
        rate = read_channels(reply.body)[1]
        reply.body = transcode(reply.body, TranscodingTarget(name, next(other for other in _RATES_HZ if other != rate)))


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
