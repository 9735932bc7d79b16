"""Finds the operations of an OpenAPI document that produce speech, judged by their requests and responses."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.contract.consistency import check_schemas
from voicegauge.contract.documents.openapi_validation import validate_openapi
from voicegauge.contract.documents.openapi_versions import normalize_openapi
from voicegauge.contract.documents.proposals.job_proposal import JobProposal, find_job_proposal, list_response_fields
from voicegauge.contract.documents.proposals.proposed_fields import (
    ProposedField,
    find_audio_yaml,
    list_body_fields,
    merge_branches,
)
from voicegauge.contract.documents.selection import read_operations, select_operations
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError, UnknownNameError
from voicegauge.formats import Document

SPEECH_FIELD_NAMES: Mapping[str, Sequence[str]] = {
    "text": ("text", "input", "prompt", "script", "transcript", "content", "ssml"),
    "voice": ("voice", "voice_id", "voiceid", "voice_name", "speaker", "speaker_id", "reference_id"),
    "language": ("language", "language_code", "languagecode", "lang", "locale"),
    "format": ("response_format", "output_format", "audio_format", "format", "encoding", "audio_encoding", "codec"),
    "speed": ("speed", "speaking_rate", "speakingrate"),
    "seed": ("seed",),
}
"""Names of request fields, in lower case, by provider-independent field. An earlier name takes precedence."""
MODEL_FIELD_NAMES = ("model", "model_id", "modelid", "engine")
_SPEECH_WORD_PATTERN = re.compile(r"speech|tts|speak|synth|audio|voice|dub", re.IGNORECASE)
_OTHER_PURPOSE_WORD_PATTERN = re.compile(
    r"music|sound|transcri|recogni|translat|speech-to-text|speech2text|stt\b", re.IGNORECASE
)
_AUDIO_MEDIA_TYPE_PATTERN = re.compile(r"['\"]audio/")
_SPEECH_METHODS = ("post", "put", "get")
AUDIO_BODY_YAML = "{at: body, delivered: bytes}"


class SpeechOperation(NamedTuple):
    """An operation that speaks the text of its request, with the audio or the job in its response."""

    path: str
    method: str
    operation_data: Mapping[str, Any]
    request_fields: dict[str, ProposedField]
    """The fields of the request by location."""
    audio_yaml: str
    """The value of `x-speech.response.audio`; empty if the document describes no audio."""
    audio_media_types: frozenset[str]
    """The media types of audio that the first successful response has."""
    job: JobProposal | None = None
    """The job that the operation starts; `None` if it responds with audio."""


def list_likely_speech_operations(document: Document) -> tuple[tuple[str, str], ...]:
    """Return path and method of the operations that may produce speech, judged by their names and media types."""
    return tuple(_select_likely_operations(document, ()))


def _select_likely_operations(document: Document, operation_names: Sequence[str]) -> list[tuple[str, str]]:
    """Return path and method of the named operations; without names, of those that may produce speech."""
    found = dict(read_operations(document.data))
    names = {at: {at[0], str(node.get("operationId", ""))} for at, node in found.items()}
    for name in operation_names:
        if not any(name in one for one in names.values()):
            raise UnknownNameError("operation", name, [name for one in names.values() for name in one if name])
    if operation_names:
        return [at for at in found if names[at] & set(operation_names)]
    return [at for at, node in found.items() if at[1] in _SPEECH_METHODS and _is_likely_speech_operation(at[0], node)]


def _is_likely_speech_operation(path: str, operation_data: Mapping[str, Any]) -> bool:
    names = f"{path} {operation_data.get('operationId', '')} {operation_data.get('summary', '')}"
    if _OTHER_PURPOSE_WORD_PATTERN.search(names):
        return False
    return (
        bool(_SPEECH_WORD_PATTERN.search(names))
        or _AUDIO_MEDIA_TYPE_PATTERN.search(str(operation_data.get("responses"))) is not None
    )


def find_speech_operations(document: Document, operation_names: Sequence[str]) -> Iterator[SpeechOperation]:
    """Yield the operations whose request has a text to speak.

    They are among `operation_names`, or without names among the operations that may produce speech. An operation that
    is not valid OpenAPI is skipped.

    Raises:
        ContractError: such an operation was named, or all operations are invalid.
    """
    likely = _select_likely_operations(document, operation_names)
    error: ContractError | None = None
    is_any_valid = False
    for path, method in likely:
        data = select_operations(document, [(path, method)])
        part = Document(document.path, data, {}, document.sha256, {"": (document, "")})
        normalize_openapi(part)
        try:
            check_schemas(Schemas(part), part)
            validate_openapi(part)
            node = part.data["paths"][path]
            fields = dict(_iterate_request_fields(Schemas(part), node, node[method]))
        except ContractError as invalid:
            error = error or invalid
            continue
        is_any_valid = True
        if find_speech_field(fields, "text") is not None:
            audio = _find_response_audio_yaml(Schemas(part), node[method])
            started = {} if audio else list_response_fields(Schemas(part), node[method])
            media_types = _list_audio_media_types(Schemas(part), node[method])
            job = find_job_proposal(document, path, started)
            yield SpeechOperation(path, method, node[method], fields, audio, media_types, job)
    if error is not None and (operation_names or not is_any_valid):
        raise error


def _iterate_request_fields(
    schemas: Schemas, path_item: Mapping[str, Any], operation_data: Mapping[str, Any]
) -> Iterator[tuple[str, ProposedField]]:
    for parameter in [*path_item.get("parameters", ()), *operation_data.get("parameters", ())]:
        data = schemas.resolve_reference(parameter)[0]
        if data.get("in") in ("query", "path", "header"):
            schema = merge_branches(schemas, data.get("schema", {}))
            location = f"{data['in']}.{data['name']}"
            yield location, ProposedField(location, schema, bool(data.get("required")) or data["in"] == "path")
    content = schemas.resolve_reference(operation_data.get("requestBody", {}))[0].get("content", {})
    for media_type in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded"):
        if isinstance(content.get(media_type), dict):
            schema = content[media_type].get("schema", {})
            yield from list_body_fields(schemas, schema)
            return


def find_speech_field(fields: Mapping[str, ProposedField], speech_field: str) -> ProposedField | None:
    """Return the request field with a usual name of `speech_field` (see `SPEECH_FIELD_NAMES`); `None` without one."""
    return find_field_by_name(fields, SPEECH_FIELD_NAMES[speech_field])


def find_field_by_name(fields: Mapping[str, ProposedField], names: Sequence[str]) -> ProposedField | None:
    """Return the field with one of `names`, earlier names first and ignoring case; `None` if no field has one."""
    for name in names:
        for location, field in fields.items():
            if re.split(r"[/.]", location)[-1].lower() == name and not field.schema.get("properties"):
                return field
    return None


def _iterate_success_contents(schemas: Schemas, operation_data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the contents of the 2xx responses by media type."""
    responses = operation_data.get("responses")
    for status, response in responses.items() if isinstance(responses, dict) else ():
        if str(status).startswith("2"):
            yield schemas.resolve_reference(response)[0].get("content", {})


def _is_audio_media_type(name: str) -> bool:
    return name.startswith("audio/") or name == "application/octet-stream"


def _list_audio_media_types(schemas: Schemas, operation_data: Mapping[str, Any]) -> frozenset[str]:
    content = next(_iterate_success_contents(schemas, operation_data), {})
    return frozenset(name for name in content if _is_audio_media_type(name))


def _find_response_audio_yaml(schemas: Schemas, operation_data: Mapping[str, Any]) -> str:
    """Return the YAML of `x-speech.response.audio`; empty if no 2xx response carries audio itself."""
    for content in _iterate_success_contents(schemas, operation_data):
        if any(map(_is_audio_media_type, content)):
            return AUDIO_BODY_YAML
        for name, media in content.items():
            if "json" in name and (found := find_audio_yaml(dict(list_body_fields(schemas, media.get("schema", {}))))):
                return found
    return ""
