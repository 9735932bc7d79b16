"""Recognizes speech operations, jobs and resources in a document that has no x- keys."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.contract._consistency import check_schemas
from voicegauge.contract._overlays import TODO, read_operations, select_operations
from voicegauge.contract.document_assembly import normalize_openapi, validate_openapi
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError, UnknownNameError
from voicegauge.formats.located_yaml import CommentedValue, Document, escape_pointer_token

# Reads the fields of requests and responses for proposals.


_MAX_NESTING_DEPTH = 8
"""Maximum nesting of alternatives; schemas may refer to themselves."""


class ProposedField(NamedTuple):
    """A field of a request or response."""

    location: str
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def is_text(self) -> bool:
        """Whether the field is a text, or a text or null."""
        types = self.schema.get("type")
        return {*types} - {"null"} == {"string"} if isinstance(types, list) else types == "string"


def list_body_fields(schemas: Schemas, schema: Any) -> Iterator[tuple[str, ProposedField]]:
    """Yield the properties of an object, and those of the objects and lists of objects in it, by location."""
    yield from _iterate_fields(schemas, schema, "body#", 0, is_parent_required=True)


def _iterate_fields(
    schemas: Schemas, schema: Any, location: str, depth: int, *, is_parent_required: bool
) -> Iterator[tuple[str, ProposedField]]:
    resolved = merge_schema_branches(schemas, schema)
    names = resolved.get("required", ())
    for name, node in resolved.get("properties", {}).items():
        at = f"{location}/{escape_pointer_token(name)}"
        value = merge_schema_branches(schemas, node)
        is_required = is_parent_required and name in names
        yield at, ProposedField(at, value, is_required)
        if depth == 0:
            yield from _iterate_fields(schemas, value, at, depth + 1, is_parent_required=is_required)
            if "items" in value:
                yield from _iterate_fields(
                    schemas, value["items"], f"{at}/0", depth + 1, is_parent_required=is_required
                )


def merge_schema_branches(schemas: Schemas, schema: Any, depth: int = 0) -> dict[str, Any]:
    """Return a schema with the keywords of its `allOf`, and of the branches of its `anyOf` or `oneOf`.

    If a branch is a text, the branches that are objects are left out, because a text is easier to send.
    """
    resolved = schemas.resolve_reference(schema)[0]
    if not isinstance(resolved, dict) or depth > _MAX_NESTING_DEPTH:
        return {}
    merged = dict(resolved)
    whole = [merge_schema_branches(schemas, branch, depth + 1) for branch in resolved.get("allOf", ())]
    alternatives = [
        merge_schema_branches(schemas, branch, depth + 1)
        for key in ("anyOf", "oneOf")
        for branch in resolved.get(key, ())
    ]
    texts = [branch for branch in alternatives if branch.get("type") == "string"]
    for part in [*whole, *(texts or alternatives)]:
        for key, value in part.items():
            if key == "properties":
                merged[key] = {**value, **merged.get(key, {})}
            elif key != "required" or part in whole:
                merged.setdefault(key, value)
    return merged


_AUDIO_PROPERTY_PATTERN = re.compile(r"encoding|format|type|codec|rate|length|duration|name|language|i[dD]$")
"""Matches the name of a field that describes audio, and does not contain it."""


def list_audio_candidates(fields: Mapping[str, ProposedField]) -> list[dict[str, str]]:
    """Return the value of `audio`, location and how it is sent, for each text field with "audio" in its name.

    A field with a list of values, or with the name of a property of audio, such as "audioEncoding", is ignored.
    """
    found = []
    for location, field in fields.items():
        name = location.rpartition("/")[2]
        is_property = "enum" in field.schema or _AUDIO_PROPERTY_PATTERN.search(name)
        if "audio" in name.lower() and field.is_text and not is_property:
            is_url = "url" in name.lower() or field.schema.get("format") in ("uri", "url")
            found.append({"location": location, "delivery_method": "url" if is_url else "base64"})
    return found


# Finds the status operation of a speech operation that responds with a job, and proposes its `x-job`.


_ID_FIELD_PATTERN = re.compile(r"(?:^|_)(?:id|uuid)$|[a-z]I[dD]$")
"""Matches the name of a field that may contain the id of a job."""
_STATE_FIELD_NAMES = ("state", "status", "job_status", "task_status", "phase")
_REASON_FIELD_NAMES = ("error", "reason", "message", "error_message", "detail", "failure_reason")
_RESULT_FIELD_PATTERN = re.compile(r"audio|url|output|result|file|download", re.IGNORECASE)
"""Matches the name of a field that may contain the audio of a finished job, or its URL."""
_NOT_RESULT_FIELD_PATTERN = re.compile(r"poll|status|cancel|callback|webhook|request|type|format", re.IGNORECASE)
"""Matches the names of such fields that contain something else."""
_SUCCESS_STATE_PATTERN = re.compile(r"succe|complete|done|finish|ready|^ok$", re.IGNORECASE)
"""Matches the name of a state in which a job has succeeded."""
_FAILURE_STATE_PATTERN = re.compile(r"fail|error|cancel|expire|delet|timeout|timed|abort|reject|dead", re.IGNORECASE)
"""Matches the name of a state in which a job has ended without a result."""
_PATH_PARAMETER_PATTERN = re.compile(r"\{([^{}]+)\}")


class JobProposal(NamedTuple):
    """A status operation, and its `x-job`."""

    path: str
    operation_data: Mapping[str, Any]
    extension: Mapping[str, Any]
    """The value of `x-job`, with comments."""
    todo: tuple[str, ...]
    """What the document does not state, so that a person has to complete it."""


def find_job_proposal(
    document: Document, path: str, submit_response_fields: Mapping[str, ProposedField], *, has_audio: bool = True
) -> JobProposal | None:
    """Find the operation that reports the status of the job that an operation starts.

    Args:
        document: the whole document.
        path: the path of the operation that starts a job.
        submit_response_fields: the fields of its successful response, by location.
        has_audio: whether the result of the job is audio.

    Returns:
        The status operation; `None` if the response has no id, or no operation takes one and responds with a state.
    """
    ids = [
        field
        for location, field in submit_response_fields.items()
        if _ID_FIELD_PATTERN.search(_get_innermost_field_name(location))
    ]
    if not ids:
        return None
    found = []
    for (status_path, method), status_operation in read_operations(document.data):
        parameters = _PATH_PARAMETER_PATTERN.findall(status_path) or _list_required_query_parameters(status_operation)
        shared = _count_shared_segments(path, status_path)
        is_same_id = (
            any(_get_innermost_field_name(one.location) == parameters[0] != "id" for one in ids)
            if parameters
            else False
        )
        if method == "get" and len(parameters) == 1 and (shared or is_same_id):
            fields = _read_response_fields(document, status_path, method)
            state = find_field_by_name(fields, _STATE_FIELD_NAMES)
            if state is not None:
                id_field = next(
                    (one for one in ids if _get_innermost_field_name(one.location) == parameters[0]), ids[0]
                )
                rank = (_get_innermost_field_name(id_field.location) == parameters[0], shared, -len(status_path))
                found.append((rank, status_path, status_operation, fields, state, id_field))
    if not found:
        return None
    _, status_path, operation, fields, state, id_field = max(found, key=lambda one: one[0])
    todo: list[str] = []
    submit_state = find_field_by_name(submit_response_fields, _STATE_FIELD_NAMES)
    repeated = find_field_by_name(fields, (_get_innermost_field_name(id_field.location),))
    reason = find_field_by_name(fields, _REASON_FIELD_NAMES)
    submit_response = {"job_id_location": id_field.location}
    if submit_state:
        submit_response["state_location"] = submit_state.location
    extension: dict[str, Any] = {"submit_response": submit_response}
    if repeated:
        extension["job_id_location"] = repeated.location
    extension["state_location"] = state.location
    extension["states"] = _propose_states([field for field in (submit_state, state) if field], status_path, todo)
    if has_audio:
        extension["audio"] = _find_result_audio(fields, status_path, todo)
    if reason and reason.is_text:
        extension["failure_reason_location"] = reason.location
    return JobProposal(status_path, operation, extension, tuple(todo))


def _list_required_query_parameters(operation_data: Mapping[str, Any]) -> list[str]:
    """Return the names of the required query parameters that an operation has itself, without references."""
    parameters = operation_data.get("parameters")
    listed = [one for one in parameters if isinstance(one, dict)] if isinstance(parameters, list) else []
    return [str(one.get("name")) for one in listed if one.get("in") == "query" and one.get("required") is True]


def _read_response_fields(document: Document, path: str, method: str) -> dict[str, ProposedField]:
    """Return the fields of the successful JSON response of an operation; none if it cannot be read or has no JSON."""
    part = _select_operation(document, path, method)
    try:
        return list_response_fields(Schemas(part), part.data["paths"][path][method])
    except ContractError:  # an operation that cannot be read is not proposed
        return {}


def _select_operation(document: Document, path: str, method: str) -> Document:
    """Return the part of a document that describes one operation."""
    data = select_operations(document, [(path, method)])
    return Document(document.path, data, {}, document.sha256, {"": (document, "")})


def list_response_fields(schemas: Schemas, operation_data: Mapping[str, Any]) -> dict[str, ProposedField]:
    """Return the fields of the successful JSON response of an operation, by location."""
    responses = operation_data.get("responses")
    for status, response in responses.items() if isinstance(responses, dict) else ():
        resolved = schemas.resolve_reference(response)[0] if str(status).startswith("2") else {}
        content = resolved.get("content", {}) if isinstance(resolved, dict) else {}
        for name, media in content.items() if isinstance(content, dict) else ():
            if "json" in name and isinstance(media, dict):
                return dict(list_body_fields(schemas, media.get("schema", {})))
    return {}


def _propose_states(state_fields: Sequence[ProposedField], path: str, missing_facts: list[str]) -> dict[str, Any]:
    """Return the states by name.

    A state whose name means an end, such as "failed", is terminal; others lead to the next one.

    Args:
        state_fields: the fields that have a state, in the order in which they are received.
        path: path of the status operation.
        missing_facts: list to which the facts that the document does not state are appended.
    """
    stated = [value for field in state_fields for value in _list_documented_values(field)]
    names = list(dict.fromkeys(stated))
    successes = [
        name for name in names if _SUCCESS_STATE_PATTERN.search(name) and not _FAILURE_STATE_PATTERN.search(name)
    ]
    failures = [name for name in names if _FAILURE_STATE_PATTERN.search(name)]
    pending = [name for name in names if name not in (*successes, *failures)]
    if not successes or not pending:
        missing_facts.append(f"the states of {path}, and how each ends")
        return {TODO: {"successor_names": [TODO]}}
    missing_facts.append(f"the states of {path}: their order and what each means, judged by their names")
    if not any("enum" in field.schema for field in state_fields):
        missing_facts.append(f"the other states of {path}: only examples are known")
    states: dict[str, Any] = {}
    for index, name in enumerate(pending):
        following = pending[index + 1 : index + 2] or successes
        states[name] = CommentedValue({"successor_names": [*following, *failures]}, TODO)
    states |= {name: {"terminal_outcome": "success"} for name in successes}
    return states | {name: {"terminal_outcome": "failure"} for name in failures}


def _list_documented_values(field: ProposedField) -> list[str]:
    """Return the texts that the schema of a field enumerates, or its examples if it enumerates nothing."""
    stated = field.schema.get("enum") or field.schema.get("examples")
    return [value for value in stated if isinstance(value, str)] if isinstance(stated, list) else []


def _find_result_audio(fields: Mapping[str, ProposedField], path: str, missing_facts: list[str]) -> Any:
    """Return the value of `x-job.audio`, and add what is uncertain about it to `missing_facts`.

    The audio is in a field with "audio" in its name, else in one that may have the URL of a result. If there is
    neither, the location is marked TODO.
    """
    audio = next(iter(list_audio_candidates(fields)), None)
    if audio is not None:
        return audio
    for location, field in fields.items():
        name, items = _get_innermost_field_name(location), field.schema.get("items")
        is_list = isinstance(items, dict) and items.get("type") == "string"
        if (
            _RESULT_FIELD_PATTERN.search(name)
            and not _NOT_RESULT_FIELD_PATTERN.search(name)
            and (is_list or field.is_text)
        ):
            missing_facts.append(f"whether {location} of {path} is the URL of the audio")
            found = {"location": f"{location}{'/0' if is_list else ''}", "delivery_method": "url"}
            return CommentedValue(found, TODO)
    missing_facts.append(f"the audio in the response of {path}")
    return {"location": TODO, "delivery_method": "url"}


def _get_innermost_field_name(location: str) -> str:
    return re.split(r"[/.]", location)[-1]


def _count_shared_segments(path: str, other_path: str) -> int:
    """Return the number of leading segments that two paths share, not counting segments such as "v1" and "api"."""
    count = 0
    for part, same in zip(path.split("/"), other_path.split("/"), strict=False):
        if part != same:
            break
        count += bool(part) and not re.fullmatch(r"v\d+\w*|api", part)
    return count


# Finds voices that a provider stores: operations that create one, delete it by its id, and list all.


_VOICE_WORD_PATTERN = re.compile(r"voice|speaker", re.IGNORECASE)
"""Matches the path of an operation about stored voices."""
_RESOURCE_PATH_PATTERN = re.compile(r"(?P<collection>.+)/\{(?P<parameter>[^{}]+)\}/?")


class ResourceProposal(NamedTuple):
    """An operation that creates a voice, and the value of its `x-resource`."""

    path: str
    extension: Mapping[str, Any]


def find_resources(document: Document) -> Iterator[ResourceProposal]:
    """Yield a proposal for each operation that creates a voice.

    Its response has an id by which another operation deletes the voice.
    """
    operations = dict(read_operations(document.data))
    for (path, method), delete in operations.items():
        item = _RESOURCE_PATH_PATTERN.fullmatch(path)
        if method != "delete" or item is None or not _VOICE_WORD_PATTERN.search(path) or not delete.get("operationId"):
            continue
        collection, parameter = item["collection"], item["parameter"]
        for create_path in (one for one, other in operations if other == "post" and one.startswith(collection)):
            location = _find_id_location(document, create_path, parameter) if "{" not in create_path else None
            if location is not None:
                extension: dict[str, Any] = {"display_name": "voice", "id_location": location}
                if listed := operations.get((collection, "get"), {}).get("operationId"):
                    extension["listing"] = {"operation_id": listed}
                deletion = {"operation_id": delete["operationId"], "id_location": f"path.{parameter}"}
                yield ResourceProposal(create_path, {**extension, "deletion": deletion})


def _find_id_location(document: Document, path: str, parameter: str) -> str | None:
    """Return the location of the id in the response to POST `path`; `None` if it has none."""
    fields = _read_response_fields(document, path, "post")
    return next((at for at in (f"body#/{parameter}", "body#/id") if at in fields), None)


# Finds the operations of an OpenAPI document that produce speech, judged by their requests and responses.


SPEECH_FIELD_NAMES: Mapping[str, Sequence[str]] = {
    "text": ("text", "input", "prompt", "script", "transcript", "content", "ssml"),
    "voice": ("voice", "voice_id", "voiceid", "voice_uuid", "voice_name", "speaker", "speaker_id", "reference_id"),
    "language": ("language", "language_code", "languagecode", "lang", "locale"),
    "format": ("response_format", "output_format", "audio_format", "format", "encoding", "audio_encoding", "codec"),
    "speed": ("speed", "speaking_rate", "speakingrate"),
    "seed": ("seed",),
}
"""Names of request fields, in lower case, by provider-independent field. An earlier name takes precedence."""
MODEL_FIELD_NAMES = ("model", "model_id", "modelid", "engine")
_SPEECH_WORD_PATTERN = re.compile(r"speech|tts|speak|synth|audio|voice|dub", re.IGNORECASE)
"""Matches a word in the path or the names of an operation that may produce speech."""
_OTHER_PURPOSE_WORD_PATTERN = re.compile(
    r"music|sound|transcri|recogni|translat|speech-to-text|speech2text|stt\b|feedback", re.IGNORECASE
)
_AUDIO_MEDIA_TYPE_PATTERN = re.compile(r"['\"]audio/")
_SPEECH_METHODS = ("post", "put", "get")
AUDIO_BODY = {"location": "body", "delivery_method": "bytes"}
"""The value of `x-speech.response.audio` for a response whose body is the audio."""


class CandidateOperation(NamedTuple):
    """An operation that may be text to speech or transcription, with the parts that a proposal needs."""

    path: str
    method: str
    operation_data: Mapping[str, Any]
    request_fields: dict[str, ProposedField]
    """The fields of the request by location."""
    audio: Mapping[str, str] | None
    """The value of `x-speech.response.audio`; `None` if the document describes no audio."""
    other_audio_locations: tuple[str, ...]
    """Where else in the response the audio may be."""
    audio_media_types: frozenset[str]
    """The media types of audio that the first successful response has."""
    has_binary_request: bool
    """Whether the body of the request is a file."""
    unfit_default_pointers: tuple[str, ...]
    """JSON pointers of the schemas of the document whose default does not fit them."""
    job: JobProposal | None = None
    """The job that the operation starts; `None` if it responds with audio."""


def list_likely_speech_operations(document: Document) -> tuple[tuple[str, str], ...]:
    """Return path and method of the operations that may produce speech, judged by their names and media types."""
    return tuple(_select_likely_operations(document, ()))


def describe_left_out_operations(
    document: Document, operation_names: Sequence[str], proposed: Sequence[CandidateOperation]
) -> tuple[str, ...]:
    """Return the operations that were named or may produce speech but are not proposed, each with the reason."""
    taken = {(one.path, one.method) for one in proposed} | {(one.job.path, "get") for one in proposed if one.job}
    operations = read_operations(document.data)
    named = [at for at, node in operations if _list_names(at, node) & set(operation_names)]
    sent_paths = {path for path, method in taken if method != "get"}
    return tuple(
        f"{method.upper()} {path}: "
        + (
            f"another method of this path sends the text; --operation '{method.upper()} {path}' names this one"
            if method == "get" and path in sent_paths
            else "no text in its request, or neither audio nor a job in its response"
        )
        for path, method in (named if operation_names else list_likely_speech_operations(document))
        if (path, method) not in taken
    )


def _list_names(path_and_method: tuple[str, str], operation_data: Mapping[str, Any]) -> set[str]:
    """Return the names by which a user can select an operation: path, method and path, operation id."""
    path, method = path_and_method
    return {path, f"{method.upper()} {path}", str(operation_data.get("operationId", ""))}


def _select_likely_operations(document: Document, operation_names: Sequence[str]) -> list[tuple[str, str]]:
    """Return path and method of the named operations; without names, of those that may produce speech."""
    found = dict(read_operations(document.data))
    names = {at: _list_names(at, node) for at, node in found.items()}
    for name in operation_names:
        if not any(name in one for one in names.values()):
            raise UnknownNameError("operation", name, sorted({name for one in names.values() for name in one if name}))
    if operation_names:
        named = [at for at in found if names[at] & set(operation_names)]
        sending = {path for path, method in named if method != "get"}
        # A path whose operations send and list stands for the one that sends.
        return [
            (path, method)
            for path, method in named
            if method != "get" or path not in sending or names[path, method] - {path} & set(operation_names)
        ]
    return [at for at, node in found.items() if at[1] in _SPEECH_METHODS and _is_likely_speech_operation(at[0], node)]


def _is_likely_speech_operation(path: str, operation_data: Mapping[str, Any]) -> bool:
    names = f"{path} {operation_data.get('operationId', '')} {operation_data.get('summary', '')}"
    if _OTHER_PURPOSE_WORD_PATTERN.search(names):
        return False
    return (
        bool(_SPEECH_WORD_PATTERN.search(names))
        or _AUDIO_MEDIA_TYPE_PATTERN.search(str(operation_data.get("responses"))) is not None
    )


def find_speech_operations(document: Document, operation_names: Sequence[str]) -> Iterator[CandidateOperation]:
    """Yield the named operations; without names, those that may produce speech and whose request has a text to speak.

    An operation that is not valid OpenAPI is skipped.

    Raises:
        ContractError: such an operation was named, or all operations are invalid.
    """
    likely = _select_likely_operations(document, operation_names)
    error: ContractError | None = None
    unfit_default_pointers: list[str] = []
    is_any_valid = False
    for path, method in likely:
        part = _read_operation_part(document, path, method)
        try:
            check_schemas(Schemas(part), part, unfit_default_pointers)
            validate_openapi(part)
            node = part.data["paths"][path]
            fields = dict(_iterate_request_fields(Schemas(part), node, node[method]))
        except ContractError as invalid:
            error = error or invalid
            continue
        is_any_valid = True
        if operation_names or find_speech_field(fields, "text") is not None:
            schemas = Schemas(part)
            audio = _find_response_audio(schemas, node[method])
            first = audio[0] if audio else None
            started = {} if audio else list_response_fields(schemas, node[method])
            job = find_job_proposal(document, path, started)
            if job is not None:
                with contextlib.suppress(ContractError):  # the error names its place when the proposal is used
                    status = _read_operation_part(document, job.path, "get")
                    check_schemas(Schemas(status), status, unfit_default_pointers)
            yield CandidateOperation(
                path,
                method,
                node[method],
                fields,
                first,
                tuple(one["location"] for one in audio[1:]),
                _list_audio_media_types(schemas, node[method]),
                _has_binary_request(schemas, node[method]),
                tuple(dict.fromkeys(unfit_default_pointers)),
                job,
            )
    if error is not None and (operation_names or not is_any_valid):
        raise error


def _read_operation_part(document: Document, path: str, method: str) -> Document:
    """Return the part of a document that describes one operation, converted to OpenAPI 3.1 or 3.2."""
    part = _select_operation(document, path, method)
    normalize_openapi(part)
    return part


def _iterate_request_fields(
    schemas: Schemas, path_item: Mapping[str, Any], operation_data: Mapping[str, Any]
) -> Iterator[tuple[str, ProposedField]]:
    for parameter in [*path_item.get("parameters", ()), *operation_data.get("parameters", ())]:
        data = schemas.resolve_reference(parameter)[0]
        if data.get("in") in ("query", "path", "header"):
            schema = merge_schema_branches(schemas, data.get("schema", {}))
            location = f"{data['in']}.{data['name']}"
            yield location, ProposedField(location, schema, bool(data.get("required")) or data["in"] == "path")
    content = schemas.resolve_reference(operation_data.get("requestBody", {}))[0].get("content", {})
    for media_type in ("application/json", "multipart/form-data", "application/x-www-form-urlencoded"):
        if isinstance(content.get(media_type), dict):
            schema = content[media_type].get("schema", {})
            yield from list_body_fields(schemas, schema)
            return


def _has_binary_request(schemas: Schemas, operation_data: Mapping[str, Any]) -> bool:
    content = schemas.resolve_reference(operation_data.get("requestBody", {}))[0].get("content", {})
    return any(map(_is_audio_media_type, content))


def find_speech_field(fields: Mapping[str, ProposedField], speech_field: str) -> ProposedField | None:
    """Return the request field with a usual name of `speech_field` (see `SPEECH_FIELD_NAMES`); `None` without one.

    A field for the encoding is not a format if there is also one for the container: only both together decide.
    """
    found = find_field_by_name(fields, SPEECH_FIELD_NAMES[speech_field])
    if found is not None and speech_field == "text" and found.schema.get("type") == "array":
        items = found.schema.get("items")
        return ProposedField(f"{found.location}/0", items if isinstance(items, dict) else {}, found.is_required)
    if found is not None and speech_field == "format" and "encoding" in found.location:
        beside = found.location.rpartition("/")[0]
        if any(one.rpartition("/")[0] == beside and "container" in one for one in fields):
            return None
    return found


_UNSPOKEN_FIELD_NAME_PATTERN = re.compile(
    r"(?:^|_)(?:uuid|id|name|model|voice|format|type|url)$|[a-z](?:I[dD]|Name|Url)$"
)
"""Matches the name of a text field that does not contain the text to be spoken."""


def guess_text_field(fields: Mapping[str, ProposedField]) -> ProposedField | None:
    """Return the field that may be the text to speak, of an operation that the user named; `None` if no field may.

    Required texts without a list of values come first, then those that may be longest. Names and ids are left out.
    """
    texts = [
        field
        for field in fields.values()
        if field.is_text
        and not {"enum", "format"} & field.schema.keys()
        and "body" in field.location
        and not _UNSPOKEN_FIELD_NAME_PATTERN.search(_get_innermost_field_name(field.location))
    ]
    return max(texts, key=lambda one: (one.is_required, one.schema.get("maxLength", 0)), default=None)


def find_field_by_name(fields: Mapping[str, ProposedField], names: Sequence[str]) -> ProposedField | None:
    """Return the field with the first of `names` that any field has, ignoring case; `None` if no field has one.

    Objects are left out. Of several fields with this name, it is the least nested one.
    """
    for name in names:
        found = [
            field
            for location, field in fields.items()
            if _get_innermost_field_name(location).lower() == name.lower() and not field.schema.get("properties")
        ]
        if found:
            return min(found, key=lambda field: field.location.count("/"))
    return None


def _iterate_success_contents(schemas: Schemas, operation_data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the `content` of each 2xx response, which describes bodies by media type."""
    responses = operation_data.get("responses")
    for status, response in responses.items() if isinstance(responses, dict) else ():
        if str(status).startswith("2"):
            yield schemas.resolve_reference(response)[0].get("content", {})


def _is_audio_media_type(name: str) -> bool:
    return name.startswith("audio/") or name == "application/octet-stream"


def _list_audio_media_types(schemas: Schemas, operation_data: Mapping[str, Any]) -> frozenset[str]:
    content = next(_iterate_success_contents(schemas, operation_data), {})
    return frozenset(name for name in content if _is_audio_media_type(name))


def _find_response_audio(schemas: Schemas, operation_data: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what `x-speech.response.audio` may be, likeliest first; nothing if no 2xx response carries audio."""
    for content in _iterate_success_contents(schemas, operation_data):
        if any(map(_is_audio_media_type, content)):
            return [AUDIO_BODY]
        for name, media in content.items():
            if "json" in name:
                found = list_audio_candidates(dict(list_body_fields(schemas, media.get("schema", {}))))
                if found:
                    return found
    return []
