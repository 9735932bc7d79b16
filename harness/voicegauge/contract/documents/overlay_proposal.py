"""Proposes the overlay that makes a provider's OpenAPI document a contract, for a person to complete.

Only what the document states is filled in. What it does not state is marked with TODO and listed. A price is never
guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from voicegauge.contract.consistency import check_schemas
from voicegauge.contract.documents.job_proposal import JobProposal, find_job, list_response_fields
from voicegauge.contract.documents.openapi_validation import validate_openapi
from voicegauge.contract.documents.openapi_versions import check_openapi_version, normalize_openapi
from voicegauge.contract.documents.proposed_fields import (
    ProposedField,
    find_audio_property,
    list_body_fields,
    merge_branches,
    quote_yaml,
)
from voicegauge.contract.documents.resource_proposal import find_resources
from voicegauge.contract.documents.selection import read_operations, select_operations
from voicegauge.contract.documents.unfinished import TODO, TODO_URL
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError, UnknownNameError, UsageError
from voicegauge.formats import Document, escape_pointer_token
from voicegauge.model import Record

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
_PROVIDER_ID_PATTERN = re.compile(r"[a-z0-9][a-z0-9-]*")
_KEY_HEADER_PATTERN = re.compile(r"api-?key|auth|token", re.IGNORECASE)
_FORMAT_DETAIL_PATTERN = re.compile(r"[_.-]")
_IGNORED_TITLE_WORD_PATTERN = re.compile(r"\b(api|docs|documentation|reference|rest|specification)\b", re.IGNORECASE)
_MAX_MODELS = 10
_SPEECH_PATH_PATTERN = re.compile(r"speak|speech|tts|synthes", re.IGNORECASE)
"""Paths that certainly produce speech, even if the document describes the response wrongly."""
_BEARER_SCHEME_YAML = "{type: http, scheme: bearer}"
_AUDIO_BODY_YAML = "{at: body, delivered: bytes}"


class ProposedOperation(Record, frozen=True, kw_only=True):
    """An operation that produces speech, judged by its request and response."""

    id: str
    request: str
    """Method and path: "POST /v1/speech"."""
    line: int | None
    """Line in the document."""
    targets: tuple[str, ...]


class OverlayProposal(Record, frozen=True, kw_only=True):
    """A proposed overlay, and what a person has to complete in it."""

    provider: str
    """The proposed id of the provider."""
    overlay: str
    """The text of the overlay, in YAML."""
    operations: tuple[ProposedOperation, ...]
    todo: tuple[str, ...]
    """What the document does not state; each is marked in the overlay."""
    left_out: tuple[str, ...] = ()
    """The files, hosts and operations of recordings that are not in the proposal, with the reason."""


class _CandidateOperation(NamedTuple):
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


def propose_overlay(
    document: Document, *, provider: str = "", operations: Sequence[str] = (), reserved_ids: Collection[str] = ()
) -> OverlayProposal:
    """Propose an overlay for an OpenAPI document.

    Args:
        document: the whole document.
        provider: id of the provider; by default derived from the first server.
        operations: paths or operation ids to propose; by default all whose request has a text and whose response has
            audio.
        reserved_ids: ids that other contracts have; a derived id that is one of them gets "my-" in front.

    Raises:
        UsageError: no such operation was found, or `provider` is not an id.
        UnknownNameError: the document does not have one of `operations`.
        ContractError: the document has another version of OpenAPI, or is not valid in a part that matters.
    """
    if provider and not _PROVIDER_ID_PATTERN.fullmatch(provider):
        raise UsageError(f"{provider!r} is not a provider id: use small letters, digits and hyphens")
    check_openapi_version(document)
    candidates = list(_find_candidates(document, operations))
    found = [c for c in candidates if c.audio_yaml or c.job] or [
        c for c in candidates if operations or _SPEECH_PATH_PATTERN.search(c.path)
    ]
    if not found:
        wanted = f" among {', '.join(operations)}" if operations else ""
        hint = "" if operations else "name one with --operation, or "
        raise UsageError(
            f"{document.path}: no operation{wanted} with a text in its request and audio or a job in its response; "
            f"{hint}write x-speech by hand as docs/contract.md describes"
        )
    provider = provider or _derive_provider_id(document, reserved_ids)
    writer = _OverlayWriter(document, provider)
    return writer.write(found)


def list_likely_speech_operations(document: Document) -> tuple[tuple[str, str], ...]:
    """Return path and method of the operations that may produce speech, judged by their names and media types."""
    return tuple(_select_likely_operations(document, ()))


def _select_likely_operations(document: Document, operations: Sequence[str]) -> list[tuple[str, str]]:
    """Return path and method of the named operations; without names, of those that may produce speech."""
    found = dict(read_operations(document.data))
    names = {at: {at[0], str(node.get("operationId", ""))} for at, node in found.items()}
    for name in operations:
        if not any(name in one for one in names.values()):
            raise UnknownNameError("operation", name, [name for one in names.values() for name in one if name])
    if operations:
        return [at for at in found if names[at] & set(operations)]
    return [at for at, node in found.items() if at[1] in _SPEECH_METHODS and _is_likely_speech_operation(at[0], node)]


def _is_likely_speech_operation(path: str, operation_data: Mapping[str, Any]) -> bool:
    names = f"{path} {operation_data.get('operationId', '')} {operation_data.get('summary', '')}"
    if _OTHER_PURPOSE_WORD_PATTERN.search(names):
        return False
    return (
        bool(_SPEECH_WORD_PATTERN.search(names))
        or _AUDIO_MEDIA_TYPE_PATTERN.search(str(operation_data.get("responses"))) is not None
    )


def _find_candidates(document: Document, operations: Sequence[str]) -> Iterator[_CandidateOperation]:
    """Yield the operations with a text in the request.

    An operation that is not valid OpenAPI is left out, unless it was named or there is no other one.
    """
    likely = _select_likely_operations(document, operations)
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
        if _find_field(fields, "text") is not None:
            audio = _find_response_audio_yaml(Schemas(part), node[method])
            started = {} if audio else list_response_fields(Schemas(part), node[method])
            media_types = _list_audio_media_types(Schemas(part), node[method])
            job = find_job(document, path, started)
            yield _CandidateOperation(path, method, node[method], fields, audio, media_types, job)
    if error is not None and (operations or not is_any_valid):
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


def _find_field(fields: Mapping[str, ProposedField], speech_field: str) -> ProposedField | None:
    return _find_field_by_name(fields, SPEECH_FIELD_NAMES[speech_field])


def _find_field_by_name(fields: Mapping[str, ProposedField], names: Sequence[str]) -> ProposedField | None:
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


def _has_media_type_per_format(media_types: Collection[str], format_field: ProposedField) -> bool:
    """Whether as many media types are documented as formats, where `mp3_44100_64` and `mp3_44100_128` are one format.

    A range and `application/octet-stream` stand for all formats. If the formats are not listed, two media types are
    enough, because the document then distinguishes them.
    """
    if {"audio/*", "application/octet-stream"} & {*media_types}:
        return True
    enum = format_field.schema.get("enum")
    names = [value for value in enum if isinstance(value, str)] if isinstance(enum, list) else []
    format_count = len({_FORMAT_DETAIL_PATTERN.split(name.lower())[0] for name in names})
    return len(media_types) >= (format_count or 2)


def _find_response_audio_yaml(schemas: Schemas, operation_data: Mapping[str, Any]) -> str:
    """Return the YAML of `x-speech.response.audio`; empty if no 2xx response carries audio itself."""
    for content in _iterate_success_contents(schemas, operation_data):
        if any(map(_is_audio_media_type, content)):
            return _AUDIO_BODY_YAML
        for name, media in content.items():
            if "json" in name and (
                found := find_audio_property(dict(list_body_fields(schemas, media.get("schema", {}))))
            ):
                return found
    return ""


def _find_key_header(candidates: Sequence[_CandidateOperation]) -> str | None:
    """Return the header parameter that the key is sent in, if the document describes it as a parameter."""
    names = [
        location.removeprefix("header.")
        for c in candidates
        for location in c.request_fields
        if location.startswith("header.")
    ]
    return next((name for name in names if _KEY_HEADER_PATTERN.search(name) and name.lower() != "authorization"), None)


def _derive_provider_id(document: Document, reserved_ids: Collection[str]) -> str:
    """Derive an id that is not reserved: api.acme.com becomes acme, or my-acme if acme is reserved."""
    name = _derive_provider_name(document)
    return f"my-{name}" if name in reserved_ids else name


def _derive_provider_name(document: Document) -> str:
    """Derive a name from the host of the first server, else from the title: api.acme.com becomes acme."""
    hosts = [urlsplit(url).hostname for url in _list_server_urls(document.data)]
    parts = (hosts[0] or "").split(".") if hosts else []
    if len(parts) > 1:
        return _convert_to_identifier(parts[-2])
    info = document.data.get("info")
    title = str(info.get("title", "") if isinstance(info, dict) else "")
    return _convert_to_identifier(_IGNORED_TITLE_WORD_PATTERN.sub("", title)) or "my-provider"


def _list_server_urls(document_data: Mapping[str, Any]) -> list[str]:
    servers = document_data.get("servers")
    urls = [str(s.get("url", "")) for s in servers if isinstance(s, dict)] if isinstance(servers, list) else []
    return [url for url in urls if url.startswith(("http://", "https://")) and "{" not in url]


def _build_operation_selector(path: str, method: str) -> str:
    """Return the JSONPath of an operation as YAML."""
    name = json.dumps(path)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return json.dumps(f"$.paths['{name}'].{method}", ensure_ascii=False)


def _convert_to_identifier(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _derive_name_from_path(path: str) -> str:
    """Return the last part of a path that is not a parameter, as a name."""
    parts = [_convert_to_identifier(part) for part in path.split("/") if part and "{" not in part]
    return parts[-1] if parts else "speech"


def _find_example_text(schema: Mapping[str, Any]) -> Any:
    """Return a value that the document names for a field; `None` if it names none."""
    examples = schema.get("examples")
    values = [schema.get("default"), schema.get("example"), *(examples if isinstance(examples, list) else ())]
    enum = schema.get("enum")
    values += enum if isinstance(enum, list) else []
    return next((value for value in values if isinstance(value, str) and value), None)


class _OverlayWriter:
    """Writes one overlay, and notes what a person has to complete."""

    def __init__(self, document: Document, provider: str) -> None:
        self._document, self._provider = document, provider
        self._todo: list[str] = []
        self._used_targets: set[str] = set()
        self._used_operation_ids: set[str] = set()
        self._described_jobs: set[str] = set()

    def write(self, candidates: Sequence[_CandidateOperation]) -> OverlayProposal:
        lines = [*self._build_head_lines(), *self._build_root_lines(_find_key_header(candidates))]
        operations = []
        for candidate in candidates:
            targets = list(self._iterate_target_lines(candidate))
            lines += self._iterate_operation_lines(candidate, targets)
            pointer = f"/paths/{escape_pointer_token(candidate.path)}/{candidate.method}"
            operations.append(
                ProposedOperation(
                    id=str(candidate.operation_data.get("operationId", "")),
                    request=f"{candidate.method.upper()} {candidate.path}",
                    line=self._document.find_line(pointer),
                    targets=tuple(name for name, _ in targets),
                )
            )
        lines += self._iterate_resource_lines()
        self._todo.append("prices, if you want costs: x-pricing beside x-speech")
        return OverlayProposal(
            provider=self._provider,
            overlay="\n".join(lines) + "\n",
            operations=tuple(operations),
            todo=tuple(dict.fromkeys(self._todo)),
        )

    def _iterate_resource_lines(self) -> Iterator[str]:
        """Yield comments that describe stored voices, because a check of them creates and deletes voices."""
        for resource in find_resources(self._document):
            self._todo.append(f"whether the voices of {resource.path} are to be checked: uncomment x-resource")
            yield f"  # - target: {_build_operation_selector(resource.path, 'post')}"
            yield "  #   update:"
            yield f"  #     x-resource: {resource.resource_yaml}  # TODO"

    def _build_head_lines(self) -> list[str]:
        return [
            "# Proposed by `voicegauge init`. Complete what is marked TODO; docs/contract.md explains every key.",
            "overlay: 1.0.0",
            f"info: {{title: {quote_yaml(f'{self._provider} as a contract')}, version: {quote_yaml(_format_today())}}}",
            f"extends: {quote_yaml(self._document.path.name)}",
            "actions:",
        ]

    def _build_root_lines(self, key_header: str | None) -> list[str]:
        name = self._provider
        info = self._document.data.get("info")
        title = str(info.get("title", name)) if isinstance(info, dict) else name
        key_env = re.sub(r"[^A-Z0-9]", "_", name.upper())
        source = f"{{title: {quote_yaml(title)}, date: {quote_yaml(_format_today())}}}"
        lines = [
            "  - target: $",
            "    update:",
            "      x-provider:",
            f"        id: {quote_yaml(name)}",
            f"        title: {quote_yaml(title)}",
            f"        key_env: {key_env if key_env[:1].isalpha() else '_' + key_env}_API_KEY",
            f"        sources: {{{quote_yaml(self._document.path.name)}: {source}}}",
        ]
        if not _list_server_urls(self._document.data):
            self._todo.append("the server, which the document does not name")
            lines.append(f'      servers: [{{url: "{TODO_URL}"}}]  # TODO')
        components = self._document.data.get("components")
        if not (isinstance(components, dict) and components.get("securitySchemes")):
            self._todo.append("how the key is sent: the document has no security scheme")
            lines.append("      security: [{key: []}]  # TODO: and the scheme below")
            lines.append("  - target: $" if not isinstance(components, dict) else "  - target: $.components")
            scheme = (
                f"{{type: apiKey, in: header, name: {quote_yaml(key_header)}}}" if key_header else _BEARER_SCHEME_YAML
            )
            scheme = f"securitySchemes: {{key: {scheme}}}"
            lines.append(f"    update: {{{scheme if isinstance(components, dict) else f'components: {{{scheme}}}'}}}")
        return lines

    def _iterate_operation_lines(self, candidate: _CandidateOperation, targets: list[tuple[str, str]]) -> Iterator[str]:
        mapped = {name: field for name in SPEECH_FIELD_NAMES if (field := _find_field(candidate.request_fields, name))}
        request = ", ".join(f"{name}: {quote_yaml(field.location)}" for name, field in mapped.items())
        yield f"  - target: {_build_operation_selector(candidate.path, candidate.method)}"
        yield "    update:"
        yield from self._iterate_operation_id_lines(candidate)
        yield from self._iterate_response_lines(candidate, mapped.get("format"))
        yield "      # x-pricing: {per: 1k_characters, usd: TODO}"
        yield "      x-speech:"
        yield f"        request: {{{request}}}"
        if candidate.job is not None:
            yield f"        response: {{job: {quote_yaml(self._get_status_operation_id(candidate.job))}}}"
        else:
            audio = candidate.audio_yaml or _AUDIO_BODY_YAML
            yield f"        response: {{audio: {audio}}}{'' if candidate.audio_yaml else '  # TODO'}"
        yield "        targets:"
        yield from (f"          {quote_yaml(name)}: {text}" for name, text in targets)
        if candidate.job is not None and candidate.job.path not in self._described_jobs:
            self._described_jobs.add(candidate.job.path)
            yield from self._iterate_job_lines(candidate.job)

    def _iterate_job_lines(self, job: JobProposal) -> Iterator[str]:
        yield f"  - target: {_build_operation_selector(job.path, 'get')}"
        yield "    update:"
        if not job.operation.get("operationId"):
            yield f"      operationId: {quote_yaml(self._get_status_operation_id(job))}"
        documented_responses = job.operation.get("responses", {}).keys()
        wanted = {"401": ({"403"}, "The key is unknown"), "404": (set[str](), "There is no such job")}
        missing = [
            f'"{status}": {{description: {text}}}'
            for status, (others, text) in wanted.items()
            if not {status, "4XX", "default", *others} & documented_responses
        ]
        if missing:
            self._todo.append(f"the rejections of {job.path}: the document does not state all")
            yield f"      responses: {{{', '.join(missing)}}}  # TODO: not in the document"
        self._todo += job.todo
        yield from (f"      {line}" for line in job.yaml_lines)

    def _get_status_operation_id(self, job: JobProposal) -> str:
        return str(job.operation.get("operationId") or _convert_to_identifier(f"get {job.path}"))

    def _iterate_response_lines(
        self, candidate: _CandidateOperation, format_field: ProposedField | None
    ) -> Iterator[str]:
        """Yield the line `responses: ...`, with what the document lacks, and note it.

        Args:
            candidate: the operation.
            format_field: the field with which a request chooses the format of the audio.
        """
        documented_responses = candidate.operation_data.get("responses", {})
        missing = list(self._iterate_missing_audio_lines(candidate, documented_responses, format_field))
        rejections = []
        if not {"400", "422", "4XX", "default"} & documented_responses.keys():
            rejections.append('"400": {description: The request is invalid}')
        if not {"401", "403", "4XX", "default"} & documented_responses.keys():
            rejections.append('"401": {description: The key is unknown}')
        if rejections:
            statuses = " and ".join(text[1:4] for text in rejections)
            self._todo.append(f"the rejections of {candidate.path}: the document states none with status {statuses}")
        if missing or rejections:
            yield f"      responses: {{{', '.join(missing + rejections)}}}  # TODO: not in the document"

    def _iterate_missing_audio_lines(
        self,
        candidate: _CandidateOperation,
        documented_responses: Mapping[str, Any],
        format_field: ProposedField | None,
    ) -> Iterator[str]:
        """Yield a success response with audio of any media type, if the document lacks audio or media types."""
        if candidate.job is not None:
            return
        if not candidate.audio_yaml:
            self._todo.append(f"the audio in the response of {candidate.path}, which the document does not describe")
        elif (
            candidate.audio_yaml == _AUDIO_BODY_YAML
            and format_field is not None
            and not _has_media_type_per_format(candidate.audio_media_types, format_field)
        ):
            declared = " and ".join(sorted(candidate.audio_media_types))
            self._todo.append(
                f"the media types of other formats of {candidate.path}: the document states {declared} only"
            )
        else:
            return
        success = next((status for status in documented_responses if str(status).startswith("2")), "200")
        yield f"{json.dumps(str(success))}: {{content: {{audio/*: {{}}}}}}"

    def _iterate_operation_id_lines(self, candidate: _CandidateOperation) -> Iterator[str]:
        """Yield the line `operationId: ...`, if the document has no id or another proposed operation has the same."""
        name = str(candidate.operation_data.get("operationId") or "")
        if not name or name in self._used_operation_ids:
            name = _convert_to_identifier(f"{candidate.method} {candidate.path}")
            yield f"      operationId: {quote_yaml(name)}"
        self._used_operation_ids.add(name)

    def _iterate_target_lines(self, candidate: _CandidateOperation) -> Iterator[tuple[str, str]]:
        """Yield a target for each documented model; one target if no models are documented."""
        model = _find_field_by_name(candidate.request_fields, MODEL_FIELD_NAMES)
        voice = _find_field(candidate.request_fields, "voice")
        voice_text = self._build_voice_yaml(candidate, voice) if voice is not None and voice.is_required else ""
        enum = model.schema.get("enum") if model is not None else None
        models = [m for m in enum if isinstance(m, str)] if isinstance(enum, list) else []
        if len(models) > _MAX_MODELS:
            self._todo.append(f"{len(models) - _MAX_MODELS} more models of {candidate.path}, each as a target")
        if model is not None and not models and model.is_required:
            models = [_find_example_text(model.schema) or TODO]
            self._todo.append(f"the models of {candidate.path}")
        names: list[str | None] = [*models[:_MAX_MODELS]] or [None]
        for name in names:
            own_name = _convert_to_identifier(name) if name and name != TODO else _derive_name_from_path(candidate.path)
            target = self._choose_unused_target_name(own_name)
            title = name or candidate.path
            constants = f", constants: {{{quote_yaml(model.location)}: {quote_yaml(name)}}}" if model and name else ""
            yield target, f"{{title: {quote_yaml(title)}{constants}{voice_text}}}"

    def _build_voice_yaml(self, candidate: _CandidateOperation, voice_field: ProposedField) -> str:
        value = _find_example_text(voice_field.schema)
        if value is None:
            self._todo.append(f"a voice of {candidate.path}")
        return f", voice: {quote_yaml(value or TODO)}"

    def _choose_unused_target_name(self, name: str) -> str:
        number = 1
        unused = name
        while unused in self._used_targets:
            number += 1
            unused = f"{name}-{number}"
        self._used_targets.add(unused)
        return unused


def _format_today() -> str:
    return datetime.now(UTC).date().isoformat()
