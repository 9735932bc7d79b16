"""Proposes `x-transcription` or `x-submit` for operations that turn speech into text."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from voicegauge.contract._overlays import TODO
from voicegauge.contract.proposed_parts import (
    CandidateOperation,
    JobProposal,
    ProposedField,
    find_field_by_name,
    find_job_proposal,
    find_speech_field,
    list_response_fields,
)
from voicegauge.contract.schemas import Schemas
from voicegauge.formats.located_yaml import CommentedValue, Document

_TRANSCRIPTION_PATTERN = re.compile(
    r"transcri|recogni|speech[-_ ]?(?:to|2)[-_ ]?text|(?:^|[^a-z])(?:stt|asr|listen)(?:[^a-z]|$)", re.IGNORECASE
)
_TRANSCRIPT_FIELD_NAMES = ("text", "transcript", "transcription")
_LANGUAGE_FIELD_NAMES = ("language", "language_code", "languagecode", "lang", "locale")
_AUDIO_NAME_PATTERN = re.compile(r"audio|file|media|recording", re.IGNORECASE)


class TranscriptionProposal(NamedTuple):
    """The `x-` key that is proposed for an operation that transcribes speech."""

    key: str
    """`x-transcription`; `x-submit` if the operation starts a job."""
    extension: Mapping[str, Any]
    """The value of `key`, without targets."""
    job: JobProposal | None
    """The job that the operation starts; `None` if it responds with the transcript."""
    todo: tuple[str, ...]
    """What the document does not state, so that a person has to complete it."""


def is_transcription(operation: CandidateOperation) -> bool:
    """Whether an operation turns speech into text, judged by its names and by a file in a request without a text."""
    data = operation.operation_data
    names = f"{operation.path} {data.get('operationId', '')} {data.get('summary', '')}"
    has_file = any(_is_file(field) for field in operation.request_fields.values()) or operation.has_binary_request
    return _TRANSCRIPTION_PATTERN.search(names) is not None or (
        has_file and operation.audio is None and find_speech_field(operation.request_fields, "text") is None
    )


def propose_transcription(document: Document, operation: CandidateOperation) -> TranscriptionProposal:
    """Propose the extension of an operation for which `is_transcription` is true.

    Args:
        document: the whole document, which may have the operation that reports the status of a job.
        operation: the operation.
    """
    schemas = Schemas(document)
    response = list_response_fields(schemas, operation.operation_data)
    job = find_job_proposal(document, operation.path, response, has_audio=False)
    if job is not None:
        return TranscriptionProposal("x-submit", {}, job, job.todo)
    todo: list[str] = []
    audio = _find_audio_location(operation)
    if audio is None:
        todo.append(f"the field of {operation.path} that has the audio")
    fields: dict[str, Any] = {"audio": audio or TODO}
    language = find_field_by_name(operation.request_fields, _LANGUAGE_FIELD_NAMES)
    if language is not None:
        fields["language"] = language.location
    text = find_field_by_name(response, _TRANSCRIPT_FIELD_NAMES)
    if text is None:
        todo.append(f"the transcript in the response of {operation.path}, which the document does not name")
        location: Any = TODO
    else:
        location = text.location
        if response[text.location].location.count("/") > 1:
            todo.append(f"whether {text.location} of {operation.path} is the transcript")
            location = CommentedValue(text.location, TODO)
    extension = {"request_fields": fields, "response": {"text_location": location}}
    return TranscriptionProposal("x-transcription", extension, None, tuple(todo))


def _find_audio_location(operation: CandidateOperation) -> str | None:
    """Return the location of the uploaded audio: a file of a form, the body itself, or a field named like audio."""
    fields = operation.request_fields
    file = next((at for at, field in fields.items() if _is_file(field)), None)
    if file is not None or operation.has_binary_request:
        return file or "body"
    named = (at for at, field in fields.items() if field.is_text and _AUDIO_NAME_PATTERN.search(at.rpartition("/")[2]))
    return next(named, None)


def _is_file(field: ProposedField) -> bool:
    schema = field.schema
    media_type = schema.get("contentMediaType")
    return schema.get("format") == "binary" or (
        isinstance(media_type, str) and media_type.startswith(("audio/", "application/octet-stream"))
    )
