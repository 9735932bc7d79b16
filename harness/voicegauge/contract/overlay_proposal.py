"""Writes the overlay that is proposed for a provider's OpenAPI document: its keys, voices, operations and targets.

Only what the document states is filled in. What it does not state is marked with TODO and listed. A price is never
guessed.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from voicegauge.contract._overlays import (
    TODO,
    TODO_URL,
    build_operation_action,
    build_removal_action,
    choose_unused_name,
    convert_to_identifier,
    derive_name_from_path,
    escape_json_path_name,
    find_values_by_language,
    format_today,
    list_language_names,
    list_regional_languages,
    list_server_urls,
    propose_language_field,
    read_operations,
    select_operations,
)
from voicegauge.contract.proposed_parts import (
    AUDIO_IS_RESPONSE_BODY,
    MODEL_FIELD_NAMES,
    SPEECH_FIELD_NAMES,
    CandidateOperation,
    JobProposal,
    ProposedField,
    find_field_by_name,
    find_speech_field,
    get_innermost_field_name,
    is_transcription,
    propose_transcription,
    read_response_fields,
)
from voicegauge.formats.located_yaml import (
    CommentedValue,
    Document,
    escape_pointer_token,
    format_list_item,
    get_mapping,
    iterate_entry_lines,
    split_json_pointer,
)
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.model.base import Record

# Proposes how the key is sent.


_KEY_HEADER_PATTERN = re.compile(r"api-?key|auth|token", re.IGNORECASE)
"""Matches the name of a header that may contain the API key."""
_PROPOSED_SCHEME_NAME = "key"
"""Name of a proposed security scheme."""
_AWS_SIGNATURE_TYPE = "awsSigv4"
"""Value of `x-amazon-apigateway-authtype` of a security scheme with AWS Signature Version 4."""
_AWS_REGION_PATTERN = re.compile(r"[a-z]{2}(?:-[a-z]+)+-\d")
"""Matches the name of an AWS region in a host."""


class _KeyProposal:
    """The security schemes that an overlay adds, and the operations that use them."""

    def __init__(self, document: Document, operations: Sequence[CandidateOperation]) -> None:
        self._has_components = isinstance(document.data.get("components"), dict)
        self._schemes = get_mapping(get_mapping(document.data, "components"), "securitySchemes")
        self._root_security = document.data.get("security")
        self._server_urls, self._operations = list_server_urls(document.data), operations

    @property
    def has_no_scheme(self) -> bool:
        """Whether the document does not state how the API key is sent."""
        return not self._schemes

    def replaces_security(self, operation: CandidateOperation) -> bool:
        """Whether each way to authenticate at an operation needs a user, such as a consent in a browser."""
        security = operation.operation_data.get("security", self._root_security)
        names = [list(one) for one in security if isinstance(one, dict)] if isinstance(security, list) else []
        return bool(names) and all(any(map(self._needs_consent_of_user, one)) for one in names)

    def list_todo(self) -> list[str]:
        """Return what a person has to complete about the key."""
        if self.has_no_scheme:
            advice = "write `is_key_optional: true` in x-provider, and delete `security`, the scheme and status 401"
            return [f"how the key is sent: the document has no security scheme. Of a server without keys, {advice}"]
        replaced = [one.path for one in self._operations if self.replaces_security(one)]
        return [f"how the key of {path} is sent: the document names a sign-in by a user only" for path in replaced]

    def iterate_actions(self, variable_prefix: str) -> Iterator[dict[str, Any]]:
        """Yield the actions that add the schemes; `variable_prefix` begins the names of environment variables."""
        replaced = [one for one in self._operations if self.replaces_security(one)]
        if self.has_no_scheme or replaced:
            header = _find_key_header(self._operations)
            bearer = {"type": "http", "scheme": "bearer"}
            scheme: Any = {"type": "apiKey", "in": "header", "name": header} if header else bearer
            schemes = {"securitySchemes": {_PROPOSED_SCHEME_NAME: CommentedValue(scheme, TODO) if replaced else scheme}}
            if self._has_components:
                yield {"target": "$.components", "update": schemes}
            else:
                yield {"target": "$", "update": {"components": schemes}}
        for operation in replaced:
            if "security" in operation.operation_data:  # lists are extended by an update, not replaced
                yield {
                    "target": f"$.paths['{escape_json_path_name(operation.path)}'].{operation.method}.security",
                    "remove": True,
                }
        for name, scheme in self._schemes.items():
            if isinstance(scheme, dict) and scheme.get("x-amazon-apigateway-authtype") == _AWS_SIGNATURE_TYPE:
                key = {
                    "id_variable": f"{variable_prefix}_ACCESS_KEY_ID",
                    "aws_signature": self._guess_aws_region_and_service(),
                }
                yield {
                    "target": f"$.components.securitySchemes['{escape_json_path_name(name)}']",
                    "update": {"x-key": CommentedValue(key, f"{TODO}: your region")},
                }

    def _needs_consent_of_user(self, scheme_name: str) -> bool:
        """Whether a security scheme needs a person's consent: OAuth 2 without client credentials."""
        scheme = self._schemes.get(scheme_name)
        if not isinstance(scheme, dict) or scheme.get("type") != "oauth2":
            return False
        return not get_mapping(scheme, "flows").get("clientCredentials")

    def _guess_aws_region_and_service(self) -> dict[str, str]:
        """Return the AWS region and service in the host of the first server: polly.us-east-1.amazonaws.com."""
        host = urlsplit(self._server_urls[0]).hostname or "" if self._server_urls else ""
        region = _AWS_REGION_PATTERN.search(host)
        return {"region": region[0] if region else TODO, "service": host.partition(".")[0] or TODO}


_PROPOSED_SECURITY: list[dict[str, list[str]]] = [{_PROPOSED_SCHEME_NAME: []}]
"""The value of `security` with the proposed scheme."""


def _find_key_header(operations: Sequence[CandidateOperation]) -> str | None:
    """Return the name of the header parameter that has the key; `None` if the document describes no such parameter."""
    names = [
        location.removeprefix("header.")
        for one in operations
        for location in one.request_fields
        if location.startswith("header.")
    ]
    return next((name for name in names if _KEY_HEADER_PATTERN.search(name) and name.lower() != "authorization"), None)


# Finds voices that a provider stores: operations that create one, delete it by its id, and list all.


_VOICE_WORD_PATTERN = re.compile(r"voice|speaker", re.IGNORECASE)
"""Matches the path of an operation about stored voices."""
_RESOURCE_PATH_PATTERN = re.compile(r"(?P<collection>.+)/\{(?P<parameter>[^{}]+)\}/?")
"""Matches the path of one item of a collection: "/voices/{voice_id}"."""


def _iterate_resources(document: Document) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the path of each operation that creates a voice, and its `x-resource`.

    Its response has an id by which another operation deletes the voice.
    """
    operations = dict(read_operations(document.data))
    for (path, method), delete in operations.items():
        item = _RESOURCE_PATH_PATTERN.fullmatch(path)
        if method != "delete" or item is None or not _VOICE_WORD_PATTERN.search(path) or not delete.get("operationId"):
            continue
        collection, parameter = item["collection"], item["parameter"]
        for create_path, other_method in operations:
            if other_method != "post" or not create_path.startswith(collection) or "{" in create_path:
                continue
            fields = read_response_fields(document, create_path, "post")
            location = next((at for at in (f"body#/{parameter}", "body#/id") if at in fields), None)
            listed = operations.get((collection, "get"), {}).get("operationId")
            if location is not None:
                yield (
                    create_path,
                    {
                        "display_name": "voice",
                        "id_location": location,
                        **({"listing": {"operation_id": listed}} if listed else {}),
                        "deletion": {"operation_id": delete["operationId"], "id_location": f"path.{parameter}"},
                    },
                )


# Writes the proposed overlay, and notes what a person has to complete in it.


_FORMAT_NAME_SEPARATOR_PATTERN = re.compile(r"[_.-]")
"""Matches what separates the parts of the name of an audio format: "mp3_44100_128"."""
_MAX_PROPOSED_MODELS = 10
"""Maximum number of models that are proposed as targets of one operation."""
_ACTION_INDENTATION = "  "
"""Indentation of the lines of an action in the list of actions."""
_NOT_IN_DOCUMENT_COMMENT = f"{TODO}: not in the document"
"""Comment beside a value that a person has to find elsewhere."""
_DESCRIPTION_BY_REJECTION_STATUS = {
    "400": "The request is invalid",
    "401": "The key is unknown",
    "404": "There is no such job",
}
_SIMILAR_STATUS_BY_REJECTION_STATUS = {"400": "422", "401": "403"}
"""By the status of a rejection, another one with which services reject for the same reason."""
_OverlayMapping = dict[str, Any]
"""A mapping of the overlay, with values that may have comments."""


class ProposedOperation(Record, frozen=True, kw_only=True):
    """An operation or a channel that is proposed, because its messages seem to be those of speech or transcription."""

    id: str
    """The id in the document or, for a channel, in the proposal; empty if the document has none."""
    request: str
    """Method and path: "POST /v1/speech"; of a channel, "WebSocket" and the path."""
    line: int | None
    """Line in the document."""
    targets: tuple[str, ...]


class OverlayProposal(Record, frozen=True, kw_only=True):
    """A proposed overlay, and what a person has to complete in it."""

    provider: str
    """The proposed id of the provider."""
    overlay: str
    """The text of the overlay in YAML; of a document that was inferred, the text of the whole contract."""
    operations: tuple[ProposedOperation, ...]
    todo: tuple[str, ...]
    """What the document does not state; each is marked in the overlay."""
    left_out: tuple[str, ...] = ()
    """The operations of a document, and the files, hosts and operations of recordings, that are not in the proposal,
    with the reason."""


class OverlayWriter:
    """Writes the overlay for the operations of one OpenAPI document, and notes what a person has to complete."""

    def __init__(
        self,
        document: Document,
        provider_id: str,
        candidates: Sequence[CandidateOperation],
        removal_reason_by_pointer: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Create a writer that has written nothing.

        Args:
            document: the provider's document.
            provider_id: the id that the overlay gives the provider.
            candidates: the operations to propose.
            removal_reason_by_pointer: why something was removed from the schemas of the document, by its JSON pointer.
        """
        self._document, self._provider = document, provider_id
        self._candidates = candidates
        self._keys = _KeyProposal(document, candidates)
        self._removal_reason_by_pointer = removal_reason_by_pointer
        self._todo: list[str] = []
        self._used_targets: set[str] = set()
        self._used_operation_ids: set[str] = set()
        self._described_jobs: set[str] = set()

    def write_overlay(self) -> OverlayProposal:
        """Return the overlay that makes each candidate an operation for speech or transcription."""
        actions = [*self._iterate_root_actions(), *self._iterate_removal_actions()]
        operations = []
        for candidate in self._candidates:
            targets = self._propose_targets(candidate)
            actions += self._iterate_operation_actions(candidate, targets)
            pointer = f"/paths/{escape_pointer_token(candidate.path)}/{candidate.method}"
            operations.append(
                ProposedOperation(
                    id=str(candidate.operation_data.get("operationId", "")),
                    request=f"{candidate.method.upper()} {candidate.path}",
                    line=self._document.find_line(pointer),
                    targets=tuple(targets),
                )
            )
        resources = ""
        for path, extension in _iterate_resources(self._document):
            self._todo.append(f"whether the voices of {path} are to be checked: uncomment x-resource")
            update = {"x-resource": CommentedValue(extension, TODO)}
            resources += format_list_item(build_operation_action(path, "post", update), "")
        self._todo.append("prices, if you want costs: x-pricing beside x-speech")
        return OverlayProposal(
            provider=self._provider,
            overlay="".join(
                (
                    self._format_first_lines(),
                    *(format_list_item(action, _ACTION_INDENTATION) for action in actions),
                    # As comments, because a check of stored voices creates and deletes voices.
                    *(f"{_ACTION_INDENTATION}# {line}" for line in resources.splitlines(keepends=True)),
                )
            ),
            operations=tuple(operations),
            todo=tuple(dict.fromkeys(self._todo)),
        )

    def _format_first_lines(self) -> str:
        info = {"title": f"{self._provider} as a contract", "version": format_today()}
        lines = itertools.chain(
            iterate_entry_lines("overlay", "1.0.0", ""),
            iterate_entry_lines("info", info, ""),
            iterate_entry_lines("extends", self._document.path.name, ""),
        )
        comment = (
            "# Proposed by `voicegauge init`. Complete what is marked TODO; docs/contract.md explains every key.\n"
        )
        return f"{comment}{''.join(lines)}actions:\n"

    def _iterate_removal_actions(self) -> Iterator[_OverlayMapping]:
        """Yield the actions that remove what is wrong in schemas: defaults that do not fit them, and unknown types."""
        pointers = dict.fromkeys(pointer for one in self._candidates for pointer in one.unfit_default_pointers)
        for pointer in pointers:
            self._todo.append(f"the default of {pointer}, which does not fit its own schema and is removed")
            yield build_removal_action(self._document, f"{pointer}/default")
        # Only what the overlay keeps: a removal elsewhere in a large document would explain nothing.
        kept = [(one.path, one.method) for one in self._candidates]
        kept += [(one.job.path, "get") for one in self._candidates if one.job is not None]
        used = select_operations(self._document, kept)
        for pointer, reason in self._removal_reason_by_pointer.items():
            if read_pointer(used, split_json_pointer(pointer)[:-1]) is MISSING:
                continue
            self._todo.append(f"{pointer}, which {reason} and is removed")
            yield build_removal_action(self._document, pointer)

    def _iterate_root_actions(self) -> Iterator[_OverlayMapping]:
        name = self._provider
        title = str(get_mapping(self._document.data, "info").get("title", name))
        variable_prefix = re.sub(r"[^A-Z0-9]", "_", name.upper())
        variable_prefix = variable_prefix if variable_prefix[:1].isalpha() else f"_{variable_prefix}"
        update: _OverlayMapping = {
            "x-provider": {
                "id": name,
                "title": title,
                "key_variable": f"{variable_prefix}_API_KEY",
                "sources": {self._document.path.name: {"title": title, "date": format_today()}},
            }
        }
        if not list_server_urls(self._document.data):
            is_relative = bool(self._document.data.get("servers"))
            self._todo.append(f"the server, which the document {'names' if is_relative else 'does not name'}")
            if is_relative:  # servers of an update would be added to those of the document
                self._todo[-1] += " without its host"
                yield {"target": "$.servers", "remove": True}
            update["servers"] = CommentedValue([{"url": TODO_URL}], TODO)
        self._todo += self._keys.list_todo()
        if self._keys.has_no_scheme:
            update["security"] = CommentedValue(_PROPOSED_SECURITY, f"{TODO}: and the scheme below")
        yield {"target": "$", "update": update}
        yield from self._keys.iterate_actions(variable_prefix)

    def _iterate_operation_actions(
        self, candidate: CandidateOperation, targets: Mapping[str, Any]
    ) -> Iterator[_OverlayMapping]:
        if is_transcription(candidate):
            yield from self._iterate_transcription_actions(candidate, targets)
            return
        fields = candidate.request_fields
        mapped = {name: field for name in SPEECH_FIELD_NAMES if (field := find_speech_field(fields, name))}
        locations: dict[str, Any] = {name: field.location for name, field in mapped.items()}
        if "language" in mapped:
            locations["language"] = propose_language_field(mapped["language"].location, mapped["language"].schema)
        # The user named the operation, so that a wrong guess is better than none: it is marked, and shows the grammar.
        if "text" not in mapped:
            guessed = guess_text_field(fields)
            self._todo.append(f"the field of {candidate.path} that has the text to speak")
            locations = {"text": CommentedValue(guessed.location, TODO) if guessed else TODO, **locations}
        job = candidate.job
        response: Any
        if job is not None:
            response = {"status_operation_id": self._get_status_operation_id(job)}
        else:
            response = {"audio": candidate.audio or AUDIO_IS_RESPONSE_BODY}
            others = candidate.other_audio_locations
            if others:
                shown = ", ".join(others)
                self._todo.append(f"where the audio is in the response of {candidate.path}: maybe {shown}")
            if candidate.audio is None or others:
                response = CommentedValue(response, TODO)
        extension = CommentedValue(
            {"request_fields": locations, "response": response, "targets": targets},
            f"beside it, if you want costs: x-pricing: {{unit: 1k_characters, usd_per_unit: {TODO}}}",
        )
        success = self._propose_audio_response(candidate, mapped.get("format"))
        yield self._build_candidate_action(candidate, success, {"x-speech": extension})
        yield from self._iterate_job_actions(job)

    def _iterate_transcription_actions(
        self, candidate: CandidateOperation, targets: Mapping[str, Any]
    ) -> Iterator[_OverlayMapping]:
        proposal = propose_transcription(self._document, candidate)
        extension = (
            {**proposal.extension, "targets": targets}
            if proposal.job is None
            else {"status_operation_id": self._get_status_operation_id(proposal.job)}
        )
        self._todo += proposal.todo
        yield self._build_candidate_action(candidate, {}, {proposal.key: extension})
        yield from self._iterate_job_actions(proposal.job)

    def _build_candidate_action(
        self, candidate: CandidateOperation, responses: Mapping[str, Any], extension: _OverlayMapping
    ) -> _OverlayMapping:
        """Return the action that adds `extension`, `responses` and what else a speech operation lacks."""
        security = {"security": _PROPOSED_SECURITY} if self._keys.replaces_security(candidate) else {}
        update = {
            **self._propose_operation_id(candidate),
            **security,
            **self._propose_rejections(candidate, responses),
            **extension,
        }
        return build_operation_action(candidate.path, candidate.method, update)

    def _iterate_job_actions(self, job: JobProposal | None) -> Iterator[_OverlayMapping]:
        # Several operations may start jobs that one operation reports.
        if job is not None and job.path not in self._described_jobs:
            self._described_jobs.add(job.path)
            yield build_operation_action(job.path, "get", self._propose_job(job))

    def _propose_job(self, job: JobProposal) -> _OverlayMapping:
        update: _OverlayMapping = {}
        if not job.operation_data.get("operationId"):
            update["operationId"] = self._get_status_operation_id(job)
        missing = _build_undocumented_rejections(job.operation_data, "401", "404")
        if missing:
            self._todo.append(f"the rejections of {job.path}: the document does not state all")
            update["responses"] = CommentedValue(missing, _NOT_IN_DOCUMENT_COMMENT)
        self._todo += job.todo
        return {**update, "x-job": job.extension}

    def _get_status_operation_id(self, job: JobProposal) -> str:
        return str(job.operation_data.get("operationId") or convert_to_identifier(f"get {job.path}"))

    def _propose_rejections(self, candidate: CandidateOperation, other_responses: Mapping[str, Any]) -> dict[str, Any]:
        """Return a mapping with the key `responses`: `other_responses`, and the missing rejections 400 and 401.

        The missing rejections are noted as to do. The mapping is empty if there are neither.
        """
        rejections = _build_undocumented_rejections(candidate.operation_data, "400", "401")
        if rejections:
            self._todo.append(
                f"the rejections of {candidate.path}: the document states none with status " + " and ".join(rejections)
            )
        missing = {**other_responses, **rejections}
        return {"responses": CommentedValue(missing, _NOT_IN_DOCUMENT_COMMENT)} if missing else {}

    def _propose_audio_response(
        self, candidate: CandidateOperation, format_field: ProposedField | None
    ) -> dict[str, Any]:
        """Return the success response with the media type `audio/*`, and note what has to be completed.

        The result is empty for a job, or if the document describes the audio and enough media types. `format_field` is
        the field with which a request chooses the format of the audio, `None` if there is none.
        """
        if candidate.job is not None:
            return {}
        if candidate.audio is None:
            self._todo.append(f"the audio in the response of {candidate.path}, which the document does not describe")
        elif (
            candidate.audio == AUDIO_IS_RESPONSE_BODY
            and format_field is not None
            and not _has_media_type_per_format(candidate.audio_media_types, format_field)
        ):
            declared = " and ".join(sorted(candidate.audio_media_types))
            self._todo.append(
                f"the media types of other formats of {candidate.path}: the document states {declared} only"
            )
        else:
            return {}
        success = next(
            (status for status in candidate.operation_data.get("responses", {}) if str(status).startswith("2")),
            "200",
        )
        return {str(success): {"content": {"audio/*": {}}}}

    def _propose_operation_id(self, candidate: CandidateOperation) -> dict[str, str]:
        """Return an `operationId` of method and path if the document has no unique one; else an empty mapping."""
        name = str(candidate.operation_data.get("operationId") or "")
        is_new = not name or name in self._used_operation_ids
        if is_new:
            name = convert_to_identifier(f"{candidate.method} {candidate.path}")
        self._used_operation_ids.add(name)
        return {"operationId": name} if is_new else {}

    def _propose_targets(self, candidate: CandidateOperation) -> dict[str, Any]:
        """Return a target for each documented model, by name; one target if no models are documented."""
        model = find_field_by_name(candidate.request_fields, MODEL_FIELD_NAMES)
        voice = find_speech_field(candidate.request_fields, "voice")
        default_voice: dict[str, str] = {}
        if voice is not None and voice.is_required and not is_transcription(candidate):
            example = _find_example_text(voice.schema)
            if example is None:
                self._todo.append(f"a voice of {candidate.path}")
            default_voice = {"default_voice": example or TODO}
        language = find_speech_field(candidate.request_fields, "language")
        languages = find_values_by_language(language.schema) if language is not None else {}
        for one in list_regional_languages(languages):
            self._todo.append(f"the region of {one} in requests of {candidate.path}: {languages[one]} is the first one")
        language_names = list_language_names(language.schema) if language is not None and not languages else []
        if language_names:
            example = language_names[0]
            self._todo.append(f"the codes of the languages of {candidate.path}, such as {example}: provider_values")
        supported = {"supported_languages": [*languages]} if languages else {}
        enum = model.schema.get("enum") if model is not None else None
        models = [m for m in enum if isinstance(m, str)] if isinstance(enum, list) else []
        if len(models) > _MAX_PROPOSED_MODELS:
            self._todo.append(f"{len(models) - _MAX_PROPOSED_MODELS} more models of {candidate.path}, each as a target")
        if model is not None and not models and model.is_required:
            models = [_find_example_text(model.schema) or TODO]
            self._todo.append(f"the models of {candidate.path}")
        names: list[str | None] = [*models[:_MAX_PROPOSED_MODELS]] or [None]
        targets = {}
        for name in names:
            own_name = convert_to_identifier(name) if name and name != TODO else derive_name_from_path(candidate.path)
            constants = {"request_constants": {model.location: name}} if model and name else {}
            targets[choose_unused_name(own_name, self._used_targets)] = {
                "title": name or candidate.path,
                **constants,
                **default_voice,
                **supported,
            }
        return targets


def _build_undocumented_rejections(operation_data: Mapping[str, Any], *statuses: str) -> dict[str, Any]:
    """Return the responses with those of `statuses` that an operation does not document, even as a similar status."""
    documented = operation_data.get("responses", {}).keys()
    return {
        status: {"description": _DESCRIPTION_BY_REJECTION_STATUS[status]}
        for status in statuses
        if not {status, _SIMILAR_STATUS_BY_REJECTION_STATUS.get(status), "4XX", "default"} & documented
    }


_UNSPOKEN_FIELD_NAME_PATTERN = re.compile(
    r"(?:^|_)(?:uuid|id|name|model|voice|format|type|url)$|[a-z](?:I[dD]|Name|Url)$"
)
"""Matches the name of a text field that does not contain the text to be spoken."""


def guess_text_field(fields: Mapping[str, ProposedField]) -> ProposedField | None:
    """Return the field that may be the text to speak, of an operation without a usual name; `None` if no field may.

    Required texts without a list of values come first, then those that may be longest. Names and ids are left out.
    """
    texts = [
        field
        for field in fields.values()
        if field.is_text
        and not {"enum", "format"} & field.schema.keys()
        and "body" in field.location
        and not _UNSPOKEN_FIELD_NAME_PATTERN.search(get_innermost_field_name(field.location))
    ]
    return max(texts, key=lambda one: (one.is_required, one.schema.get("maxLength", 0)), default=None)


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
