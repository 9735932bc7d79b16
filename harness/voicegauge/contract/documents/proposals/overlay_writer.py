"""Writes the proposed overlay, and notes what a person has to complete in it."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from voicegauge.contract.documents.proposals.job_proposal import JobProposal
from voicegauge.contract.documents.proposals.proposed_fields import ProposedField, dump_yaml
from voicegauge.contract.documents.proposals.provider_names import (
    convert_to_identifier,
    derive_name_from_path,
    list_server_urls,
)
from voicegauge.contract.documents.proposals.resource_proposal import find_resources
from voicegauge.contract.documents.proposals.speech_operations import (
    AUDIO_BODY_YAML,
    MODEL_FIELD_NAMES,
    SPEECH_FIELD_NAMES,
    SpeechOperation,
    find_field_by_name,
    find_speech_field,
)
from voicegauge.contract.documents.todo_marks import TODO, TODO_URL
from voicegauge.formats import Document, escape_pointer_token
from voicegauge.model import Record

_KEY_HEADER_PATTERN = re.compile(r"api-?key|auth|token", re.IGNORECASE)
_FORMAT_NAME_SEPARATOR_PATTERN = re.compile(r"[_.-]")
_MAX_PROPOSED_MODELS = 10
_BEARER_SCHEME_YAML = "{type: http, scheme: bearer}"


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


class OverlayWriter:
    """Writes one overlay, and notes what a person has to complete."""

    def __init__(self, document: Document, provider_id: str) -> None:
        self._document, self._provider = document, provider_id
        self._todo: list[str] = []
        self._used_targets: set[str] = set()
        self._used_operation_ids: set[str] = set()
        self._described_jobs: set[str] = set()

    def write_overlay(self, candidate_operations: Sequence[SpeechOperation]) -> OverlayProposal:
        """Write the overlay that makes each of `candidate_operations` a speech operation."""
        lines = [*self._build_first_lines(), *self._build_root_lines(_find_key_header(candidate_operations))]
        operations = []
        for candidate_operation in candidate_operations:
            targets = list(self._iterate_target_lines(candidate_operation))
            lines += self._iterate_operation_lines(candidate_operation, targets)
            pointer = f"/paths/{escape_pointer_token(candidate_operation.path)}/{candidate_operation.method}"
            operations.append(
                ProposedOperation(
                    id=str(candidate_operation.operation_data.get("operationId", "")),
                    request=f"{candidate_operation.method.upper()} {candidate_operation.path}",
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

    def _build_first_lines(self) -> list[str]:
        return [
            "# Proposed by `voicegauge init`. Complete what is marked TODO; docs/contract.md explains every key.",
            "overlay: 1.0.0",
            f"info: {{title: {dump_yaml(f'{self._provider} as a contract')}, version: {dump_yaml(_format_today())}}}",
            f"extends: {dump_yaml(self._document.path.name)}",
            "actions:",
        ]

    def _build_root_lines(self, key_header: str | None) -> list[str]:
        name = self._provider
        info = self._document.data.get("info")
        title = str(info.get("title", name)) if isinstance(info, dict) else name
        key_env = re.sub(r"[^A-Z0-9]", "_", name.upper())
        source = f"{{title: {dump_yaml(title)}, date: {dump_yaml(_format_today())}}}"
        lines = [
            "  - target: $",
            "    update:",
            "      x-provider:",
            f"        id: {dump_yaml(name)}",
            f"        title: {dump_yaml(title)}",
            f"        key_env: {key_env if key_env[:1].isalpha() else '_' + key_env}_API_KEY",
            f"        sources: {{{dump_yaml(self._document.path.name)}: {source}}}",
        ]
        if not list_server_urls(self._document.data):
            self._todo.append("the server, which the document does not name")
            lines.append(f'      servers: [{{url: "{TODO_URL}"}}]  # TODO')
        components = self._document.data.get("components")
        if not (isinstance(components, dict) and components.get("securitySchemes")):
            self._todo.append("how the key is sent: the document has no security scheme")
            lines.append("      security: [{key: []}]  # TODO: and the scheme below")
            lines.append("  - target: $" if not isinstance(components, dict) else "  - target: $.components")
            scheme = (
                f"{{type: apiKey, in: header, name: {dump_yaml(key_header)}}}" if key_header else _BEARER_SCHEME_YAML
            )
            scheme = f"securitySchemes: {{key: {scheme}}}"
            lines.append(f"    update: {{{scheme if isinstance(components, dict) else f'components: {{{scheme}}}'}}}")
        return lines

    def _iterate_operation_lines(
        self, candidate_operation: SpeechOperation, targets: list[tuple[str, str]]
    ) -> Iterator[str]:
        mapped = {
            name: field
            for name in SPEECH_FIELD_NAMES
            if (field := find_speech_field(candidate_operation.request_fields, name))
        }
        request = ", ".join(f"{name}: {dump_yaml(field.location)}" for name, field in mapped.items())
        yield f"  - target: {_build_operation_selector(candidate_operation.path, candidate_operation.method)}"
        yield "    update:"
        yield from self._iterate_operation_id_lines(candidate_operation)
        yield from self._iterate_response_lines(candidate_operation, mapped.get("format"))
        yield "      # x-pricing: {per: 1k_characters, usd: TODO}"
        yield "      x-speech:"
        yield f"        request: {{{request}}}"
        if candidate_operation.job is not None:
            yield f"        response: {{job: {dump_yaml(self._get_status_operation_id(candidate_operation.job))}}}"
        else:
            audio = candidate_operation.audio_yaml or AUDIO_BODY_YAML
            yield f"        response: {{audio: {audio}}}{'' if candidate_operation.audio_yaml else '  # TODO'}"
        yield "        targets:"
        yield from (f"          {dump_yaml(name)}: {text}" for name, text in targets)
        if candidate_operation.job is not None and candidate_operation.job.path not in self._described_jobs:
            self._described_jobs.add(candidate_operation.job.path)
            yield from self._iterate_job_lines(candidate_operation.job)

    def _iterate_job_lines(self, job: JobProposal) -> Iterator[str]:
        yield f"  - target: {_build_operation_selector(job.path, 'get')}"
        yield "    update:"
        if not job.operation_data.get("operationId"):
            yield f"      operationId: {dump_yaml(self._get_status_operation_id(job))}"
        documented_responses = job.operation_data.get("responses", {}).keys()
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
        return str(job.operation_data.get("operationId") or convert_to_identifier(f"get {job.path}"))

    def _iterate_response_lines(
        self, candidate_operation: SpeechOperation, format_field: ProposedField | None
    ) -> Iterator[str]:
        """Yield a line with the responses that the document lacks, if any, and add them to what has to be completed.

        Args:
            candidate_operation: the operation.
            format_field: the field with which a request chooses the format of the audio.
        """
        documented_responses = candidate_operation.operation_data.get("responses", {})
        missing = list(self._iterate_missing_audio_lines(candidate_operation, documented_responses, format_field))
        rejections = []
        if not {"400", "422", "4XX", "default"} & documented_responses.keys():
            rejections.append('"400": {description: The request is invalid}')
        if not {"401", "403", "4XX", "default"} & documented_responses.keys():
            rejections.append('"401": {description: The key is unknown}')
        if rejections:
            statuses = " and ".join(text[1:4] for text in rejections)
            self._todo.append(
                f"the rejections of {candidate_operation.path}: the document states none with status {statuses}"
            )
        if missing or rejections:
            yield f"      responses: {{{', '.join(missing + rejections)}}}  # TODO: not in the document"

    def _iterate_missing_audio_lines(
        self,
        candidate_operation: SpeechOperation,
        documented_responses: Mapping[str, Any],
        format_field: ProposedField | None,
    ) -> Iterator[str]:
        """Yield a line that adds the media type `audio/*` to the success response, and note what has to be completed.

        Nothing is yielded for a job, or if the document describes the audio and enough media types.
        """
        if candidate_operation.job is not None:
            return
        if not candidate_operation.audio_yaml:
            self._todo.append(
                f"the audio in the response of {candidate_operation.path}, which the document does not describe"
            )
        elif (
            candidate_operation.audio_yaml == AUDIO_BODY_YAML
            and format_field is not None
            and not _has_media_type_per_format(candidate_operation.audio_media_types, format_field)
        ):
            declared = " and ".join(sorted(candidate_operation.audio_media_types))
            self._todo.append(
                f"the media types of other formats of {candidate_operation.path}: the document states {declared} only"
            )
        else:
            return
        success = next((status for status in documented_responses if str(status).startswith("2")), "200")
        yield f"{json.dumps(str(success))}: {{content: {{audio/*: {{}}}}}}"

    def _iterate_operation_id_lines(self, candidate_operation: SpeechOperation) -> Iterator[str]:
        """Yield the line `operationId: ...`, if the document has no id or another proposed operation has the same."""
        name = str(candidate_operation.operation_data.get("operationId") or "")
        if not name or name in self._used_operation_ids:
            name = convert_to_identifier(f"{candidate_operation.method} {candidate_operation.path}")
            yield f"      operationId: {dump_yaml(name)}"
        self._used_operation_ids.add(name)

    def _iterate_target_lines(self, candidate_operation: SpeechOperation) -> Iterator[tuple[str, str]]:
        """Yield a target for each documented model; one target if no models are documented."""
        model = find_field_by_name(candidate_operation.request_fields, MODEL_FIELD_NAMES)
        voice = find_speech_field(candidate_operation.request_fields, "voice")
        voice_text = (
            self._build_voice_yaml(candidate_operation, voice) if voice is not None and voice.is_required else ""
        )
        enum = model.schema.get("enum") if model is not None else None
        models = [m for m in enum if isinstance(m, str)] if isinstance(enum, list) else []
        if len(models) > _MAX_PROPOSED_MODELS:
            self._todo.append(
                f"{len(models) - _MAX_PROPOSED_MODELS} more models of {candidate_operation.path}, each as a target"
            )
        if model is not None and not models and model.is_required:
            models = [_find_example_text(model.schema) or TODO]
            self._todo.append(f"the models of {candidate_operation.path}")
        names: list[str | None] = [*models[:_MAX_PROPOSED_MODELS]] or [None]
        for name in names:
            own_name = (
                convert_to_identifier(name)
                if name and name != TODO
                else derive_name_from_path(candidate_operation.path)
            )
            target = self._choose_unused_target_name(own_name)
            title = name or candidate_operation.path
            constants = f", constants: {{{dump_yaml(model.location)}: {dump_yaml(name)}}}" if model and name else ""
            yield target, f"{{title: {dump_yaml(title)}{constants}{voice_text}}}"

    def _build_voice_yaml(self, candidate_operation: SpeechOperation, voice_field: ProposedField) -> str:
        value = _find_example_text(voice_field.schema)
        if value is None:
            self._todo.append(f"a voice of {candidate_operation.path}")
        return f", voice: {dump_yaml(value or TODO)}"

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


def _find_key_header(candidate_operations: Sequence[SpeechOperation]) -> str | None:
    """Return the header parameter that the key is sent in, if the document describes it as a parameter."""
    names = [
        location.removeprefix("header.")
        for c in candidate_operations
        for location in c.request_fields
        if location.startswith("header.")
    ]
    return next((name for name in names if _KEY_HEADER_PATTERN.search(name) and name.lower() != "authorization"), None)


def _has_media_type_per_format(media_types: Collection[str], format_field: ProposedField) -> bool:
    """Whether as many media types are documented as formats, where `mp3_44100_64` and `mp3_44100_128` are one format.

    `audio/*` and `application/octet-stream` stand for all formats. If the format field has no list of values, two media
    types are enough, because the document then distinguishes formats.
    """
    if {"audio/*", "application/octet-stream"} & {*media_types}:
        return True
    enum = format_field.schema.get("enum")
    names = [value for value in enum if isinstance(value, str)] if isinstance(enum, list) else []
    format_count = len({_FORMAT_NAME_SEPARATOR_PATTERN.split(name.lower())[0] for name in names})
    return len(media_types) >= (format_count or 2)


def _build_operation_selector(path: str, method: str) -> str:
    """Return the JSONPath of an operation as YAML."""
    name = json.dumps(path)[1:-1].replace('\\"', '"').replace("'", "\\'")
    return json.dumps(f"$.paths['{name}'].{method}", ensure_ascii=False)


def _find_example_text(field_schema: Mapping[str, Any]) -> str | None:
    """Return a text that the schema of a field gives as default, example or choice; `None` if it gives none."""
    examples = field_schema.get("examples")
    values = [
        field_schema.get("default"),
        field_schema.get("example"),
        *(examples if isinstance(examples, list) else ()),
    ]
    enum = field_schema.get("enum")
    values += enum if isinstance(enum, list) else []
    return next((value for value in values if isinstance(value, str) and value), None)
