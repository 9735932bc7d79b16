"""Recognizes speech operations, transcriptions and jobs in a document that has no x- keys."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.contract._consistency import check_schemas
from voicegauge.contract._overlays import TODO, propose_language_field, read_operations, select_operations
from voicegauge.contract.document_assembly import normalize_openapi, validate_openapi
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError, UnknownNameError
from voicegauge.formats.located_yaml import CommentedValue, Document, escape_pointer_token, get_mapping

# Reads the fields of requests and responses for proposals.


_MAX_NESTING_DEPTH = 8
"""Maximum nesting of alternatives; schemas may refer to themselves."""


class ProposedField(NamedTuple):
    """A field of a request or response."""

    location: str
    """Location of the field, such as "body#/text"."""
    schema: Mapping[str, Any]
    is_required: bool

    @property
    def is_text(self) -> bool:
        """Whether the field is a text, or a text or null."""
        types = self.schema.get("type")
        return {*types} - {"null"} == {"string"} if isinstance(types, list) else types == "string"


def list_body_fields(
    schemas: Schemas, schema: Any, location: str = "body#", depth: int = 0, *, is_parent_required: bool = True
) -> Iterator[tuple[str, ProposedField]]:
    """Yield the properties of an object, and those of the objects and lists of objects directly in it, by location."""
    resolved = merge_schema_branches(schemas, schema)
    names = resolved.get("required", ())
    for name, node in resolved.get("properties", {}).items():
        at = f"{location}/{escape_pointer_token(name)}"
        value = merge_schema_branches(schemas, node)
        is_required = is_parent_required and name in names
        yield at, ProposedField(at, value, is_required)
        if depth == 0:
            yield from list_body_fields(schemas, value, at, depth + 1, is_parent_required=is_required)
            if "items" in value:
                yield from list_body_fields(
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


_AUDIO_PROPERTY_NAME_PATTERN = re.compile(r"encoding|format|type|codec|rate|length|duration|name|language|i[dD]$")
"""Matches the name of a field that describes audio, and does not contain it."""


def list_possible_audio_fields(fields: Mapping[str, ProposedField]) -> list[dict[str, str]]:
    """Return the proposed `audio` of a response, location and delivery method, for each text field named "...audio...".

    A field with a list of values, or with the name of a property of audio, such as "audioEncoding", is ignored.
    """
    found = []
    for location, field in fields.items():
        name = location.rpartition("/")[2]
        is_property = "enum" in field.schema or _AUDIO_PROPERTY_NAME_PATTERN.search(name)
        if "audio" in name.lower() and field.is_text and not is_property:
            is_url = "url" in name.lower() or field.schema.get("format") in ("uri", "url")
            found.append({"location": location, "delivery_method": "url" if is_url else "base64"})
    return found


# Finds the status operation of a speech operation that responds with a job, and proposes its `x-job`.


_JOB_ID_FIELD_PATTERN = re.compile(r"(?:^|_)(?:id|uuid)$|[a-z]I[dD]$")
"""Matches the name of a field that may contain the id of a job."""
_STATE_FIELD_NAMES = ("state", "status", "job_status", "task_status", "phase")
_FAILURE_REASON_FIELD_NAMES = ("error", "reason", "message", "error_message", "detail", "failure_reason")
_RESULT_FIELD_PATTERN = re.compile(r"audio|url|output|result|file|download", re.IGNORECASE)
"""Matches the name of a field that may contain the audio of a finished job, or its URL."""
_NO_RESULT_FIELD_PATTERN = re.compile(r"poll|status|cancel|callback|webhook|request|type|format", re.IGNORECASE)
"""Matches the names of such fields that contain something else."""
_SUCCESS_STATE_PATTERN = re.compile(r"succe|complete|done|finish|ready|^ok$", re.IGNORECASE)
"""Matches the name of a state in which a job has succeeded."""
_FAILURE_STATE_PATTERN = re.compile(
    r"fail|error|cancel|expire|delet|timeout|timed|abort|reject|dead|broken", re.IGNORECASE
)
"""Matches the name of a state in which a job has ended without a result."""
_PATH_PARAMETER_PATTERN = re.compile(r"\{([^{}]+)\}")


class JobProposal(NamedTuple):
    """The operation that reports the status of a job, and the `x-job` that is proposed for it."""

    path: str
    operation_data: Mapping[str, Any]
    extension: Mapping[str, Any]
    """The value of `x-job`, with comments."""
    todo: tuple[str, ...]
    """What the document does not state, so that a person has to complete it."""
    has_stated_audio: bool
    """Whether a field of the status has "audio" in its name."""
    repeats_response: bool
    """Whether the operation that starts the job responds with a state, and with the audio of the status, as well."""


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
        if _JOB_ID_FIELD_PATTERN.search(get_innermost_field_name(location))
    ]
    if not ids:
        return None
    found = []
    for (status_path, method), status_operation in read_operations(document.data):
        parameters = _PATH_PARAMETER_PATTERN.findall(status_path) or _list_required_query_parameters(status_operation)
        if method != "get" or len(parameters) != 1:
            continue
        named = next((one for one in ids if get_innermost_field_name(one.location) == parameters[0]), None)
        shared = _count_shared_segments(path, status_path)
        # Any path may have a parameter `id`: it names the job only if the paths begin alike.
        if not shared and (named is None or parameters[0] == "id"):
            continue
        fields = read_response_fields(document, status_path, method)
        state = find_field_by_name(fields, _STATE_FIELD_NAMES)
        if state is not None:
            rank = (named is not None, shared, -len(status_path))
            found.append((rank, status_path, status_operation, fields, state, named or ids[0]))
    if not found:
        return None
    _, status_path, operation, fields, state, id_field = max(found, key=lambda one: one[0])
    todo: list[str] = []
    submit_state = find_field_by_name(submit_response_fields, _STATE_FIELD_NAMES)
    repeated = find_field_by_name(fields, (get_innermost_field_name(id_field.location),))
    reason = find_field_by_name(fields, _FAILURE_REASON_FIELD_NAMES)
    extension: dict[str, Any] = {
        "submit_response": {
            "job_id_location": id_field.location,
            **({"state_location": submit_state.location} if submit_state else {}),
        },
        **({"job_id_location": repeated.location} if repeated else {}),
        "state_location": state.location,
        "states": _propose_states([field for field in (submit_state, state) if field], status_path, todo),
    }
    if has_audio:
        extension["audio"] = _find_result_audio(fields, status_path, todo)
    if reason and reason.is_text:
        extension["failure_reason_location"] = reason.location
    stated_audio = list_possible_audio_fields(fields)
    repeats = submit_state is not None and any(one["location"] in submit_response_fields for one in stated_audio)
    return JobProposal(status_path, operation, extension, tuple(todo), bool(stated_audio), repeats)


def _list_required_query_parameters(operation_data: Mapping[str, Any]) -> list[str]:
    """Return the names of the required query parameters that an operation has itself, without references."""
    parameters = operation_data.get("parameters")
    listed = [one for one in parameters if isinstance(one, dict)] if isinstance(parameters, list) else []
    return [str(one.get("name")) for one in listed if one.get("in") == "query" and one.get("required") is True]


def read_response_fields(document: Document, path: str, method: str) -> dict[str, ProposedField]:
    """Return the fields of the successful JSON response of an operation; none if it cannot be read or has no JSON."""
    part = _select_operation_document(document, path, method)
    try:
        return list_response_fields(Schemas(part), part.data["paths"][path][method])
    except ContractError:  # an operation that cannot be read is not proposed
        return {}


def _select_operation_document(document: Document, path: str, method: str) -> Document:
    """Return a document with only one operation of `document`, and the parts that it refers to."""
    data = select_operations(document, [(path, method)])
    return Document(document.path, data, {}, document.sha256, {"": (document, "")})


def list_response_fields(schemas: Schemas, operation_data: Mapping[str, Any]) -> dict[str, ProposedField]:
    """Return the fields of the first successful JSON response of an operation, by location."""
    for content in _iterate_success_contents(schemas, operation_data):
        for name, media in content.items():
            if "json" in name and isinstance(media, dict):
                return dict(list_body_fields(schemas, media.get("schema", {})))
    return {}


def _iterate_success_contents(schemas: Schemas, operation_data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the `content` of each 2xx response, which describes bodies by media type."""
    for status, response in get_mapping(operation_data, "responses").items():
        if str(status).startswith("2"):
            yield get_mapping(schemas.resolve_reference(response)[0], "content")


def _propose_states(state_fields: Sequence[ProposedField], path: str, missing_facts: list[str]) -> dict[str, Any]:
    """Return the states by name.

    A state whose name means an end, such as "failed", is terminal; others lead to the next one.

    Args:
        state_fields: the fields that have a state, in the order in which they are received.
        path: path of the status operation.
        missing_facts: list to which the facts that the document does not state are appended.
    """
    stated = [field.schema.get("enum") or field.schema.get("examples") for field in state_fields]
    names = dict.fromkeys(
        one for values in stated if isinstance(values, list) for one in values if isinstance(one, str)
    )
    failures = [name for name in names if _FAILURE_STATE_PATTERN.search(name)]
    successes = [name for name in names if _SUCCESS_STATE_PATTERN.search(name) and name not in failures]
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


def _find_result_audio(fields: Mapping[str, ProposedField], path: str, missing_facts: list[str]) -> Any:
    """Return the value of `x-job.audio`, and add what is uncertain about it to `missing_facts`.

    The audio is in a field with "audio" in its name, else in one that may have the URL of a result. If there is
    neither, the location is marked TODO.
    """
    audio = next(iter(list_possible_audio_fields(fields)), None)
    if audio is not None:
        return audio
    for location, field in fields.items():
        name, items = get_innermost_field_name(location), field.schema.get("items")
        is_list = isinstance(items, dict) and items.get("type") == "string"
        is_result = _RESULT_FIELD_PATTERN.search(name) and not _NO_RESULT_FIELD_PATTERN.search(name)
        if is_result and (is_list or field.is_text):
            missing_facts.append(f"whether {location} of {path} is the URL of the audio")
            found = {"location": f"{location}{'/0' if is_list else ''}", "delivery_method": "url"}
            return CommentedValue(found, TODO)
    missing_facts.append(f"the audio in the response of {path}")
    return {"location": TODO, "delivery_method": "url"}


def get_innermost_field_name(location: str) -> str:
    """Return the last name in a location: "text" for "body#/input/text"."""
    return re.split(r"[/.]", location)[-1]


def _count_shared_segments(path: str, other_path: str) -> int:
    """Return the number of leading segments that two paths share, not counting segments such as "v1" and "api"."""
    pairs = zip(path.split("/"), other_path.split("/"), strict=False)
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], pairs)
    return sum(bool(part) and not re.fullmatch(r"v\d+\w*|api", part) for part, _ in same)


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
"""Matches a word in the path or the names of an operation that does something else than text to speech."""
_AUDIO_MEDIA_TYPE_PATTERN = re.compile(r"['\"]audio/")
"""Matches a quoted media type of audio in the text of an operation."""
_SPEECH_METHODS = ("post", "put", "get")
AUDIO_IS_RESPONSE_BODY = {"location": "body", "delivery_method": "bytes"}
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


def list_operation_names(path_and_method: tuple[str, str], operation_data: Mapping[str, Any]) -> set[str]:
    """Return the names by which a user can select an operation: path, method and path, operation id."""
    path, method = path_and_method
    return {path, f"{method.upper()} {path}", str(operation_data.get("operationId", ""))}


def list_likely_speech_operations(document: Document, operation_names: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Return path and method of the named operations; without names, of those that may produce speech.

    Names, summaries and media types show which may.

    Raises:
        UnknownNameError: the document does not have one of `operation_names`.
    """
    found = dict(read_operations(document.data))
    names = {at: list_operation_names(at, node) for at, node in found.items()}
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
    return not has_other_purpose(path, operation_data) and bool(
        _SPEECH_WORD_PATTERN.search(_join_path_id_and_summary(path, operation_data))
        or _AUDIO_MEDIA_TYPE_PATTERN.search(str(operation_data.get("responses")))
    )


def has_other_purpose(path: str, operation_data: Mapping[str, Any]) -> bool:
    """Whether the names of an operation say that it does something else than text to speech."""
    return _OTHER_PURPOSE_WORD_PATTERN.search(_join_path_id_and_summary(path, operation_data)) is not None


def _join_path_id_and_summary(path: str, operation_data: Mapping[str, Any]) -> str:
    """Return the texts that say what an operation is for: its path, id and summary."""
    return f"{path} {operation_data.get('operationId', '')} {operation_data.get('summary', '')}"


def find_speech_operations(document: Document, operation_names: Sequence[str]) -> Iterator[CandidateOperation]:
    """Yield the named operations; without names, those that may produce speech and whose request has a text to speak.

    An operation that is not valid OpenAPI is skipped.

    Raises:
        ContractError: such an operation was named, or all operations are invalid.
    """
    error: ContractError | None = None
    unfit_default_pointers: list[str] = []
    is_any_valid = False
    for path, method in list_likely_speech_operations(document, operation_names):
        part = _read_operation_document(document, path, method)
        try:
            schemas = Schemas(part)
            check_schemas(schemas, part, unfit_default_pointers)
            validate_openapi(part)
            node = part.data["paths"][path]
            fields = dict(_iterate_request_fields(schemas, node, node[method]))
        except ContractError as invalid:
            # Official documents have faults in operations that nobody needs.
            error = error or invalid
            continue
        is_any_valid = True
        if operation_names or find_speech_field(fields, "text") is not None:
            audio = _find_response_audio(schemas, node[method])
            body = schemas.resolve_reference(node[method].get("requestBody", {}))[0]
            response_fields = list_response_fields(schemas, node[method])
            job = find_job_proposal(document, path, response_fields)
            if audio and job is not None:
                # A response with audio starts no job, even if it has an id as well, unless its audio comes later.
                has_later_audio = job.repeats_response and _may_be_missing(response_fields, audio[0]["location"])
                audio, job = ([], job) if has_later_audio else (audio, None)
            first = audio[0] if audio else None
            if job is not None:
                with contextlib.suppress(ContractError):  # the error names its place when the proposal is used
                    status = _read_operation_document(document, job.path, "get")
                    check_schemas(Schemas(status), status, unfit_default_pointers)
            contents = next(_iterate_success_contents(schemas, node[method]), {})
            others = tuple(one["location"] for one in audio[1:])
            audio_types = frozenset(filter(_is_audio_media_type, contents))
            has_file = any(map(_is_audio_media_type, body.get("content", {})))
            defaults = tuple(dict.fromkeys(unfit_default_pointers))
            yield CandidateOperation(
                path, method, node[method], fields, first, others, audio_types, has_file, defaults, job
            )
    if error is not None and (operation_names or not is_any_valid):
        raise error


def _read_operation_document(document: Document, path: str, method: str) -> Document:
    """Return a document with only one operation of `document`, converted to OpenAPI 3.1 or 3.2."""
    part = _select_operation_document(document, path, method)
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


def find_speech_field(fields: Mapping[str, ProposedField], speech_field: str) -> ProposedField | None:
    """Return the request field with a usual name of `speech_field` (see `SPEECH_FIELD_NAMES`); `None` without one.

    A field for the encoding is not a format if there is also one for the container: only both together decide.
    """
    found = find_field_by_name(fields, SPEECH_FIELD_NAMES[speech_field])
    if found is not None and speech_field == "text" and found.schema.get("type") == "array":
        return ProposedField(f"{found.location}/0", get_mapping(found.schema, "items"), found.is_required)
    if found is not None and speech_field == "format" and "encoding" in found.location:
        beside = found.location.rpartition("/")[0]
        if any(one.rpartition("/")[0] == beside and "container" in one for one in fields):
            return None
    return found


def find_field_by_name(fields: Mapping[str, ProposedField], names: Sequence[str]) -> ProposedField | None:
    """Return the field with the first of `names` that any field has, ignoring case; `None` if no field has one.

    Objects are left out. Of several fields with this name, it is the least nested one.
    """
    for name in names:
        found = [
            field
            for location, field in fields.items()
            if get_innermost_field_name(location).lower() == name.lower() and not field.schema.get("properties")
        ]
        if found:
            return min(found, key=lambda field: field.location.count("/"))
    return None


def _may_be_missing(fields: Mapping[str, ProposedField], location: str) -> bool:
    field = fields.get(location)
    return field is not None and (not field.is_required or "null" in field.schema.get("type", ()))


def _is_audio_media_type(name: str) -> bool:
    return name.startswith("audio/") or name == "application/octet-stream"


def _find_response_audio(schemas: Schemas, operation_data: Mapping[str, Any]) -> list[dict[str, str]]:
    """Return what `x-speech.response.audio` may be, likeliest first; nothing if no 2xx response carries audio."""
    for content in _iterate_success_contents(schemas, operation_data):
        if any(map(_is_audio_media_type, content)):
            return [AUDIO_IS_RESPONSE_BODY]
        for name, media in content.items():
            fields = dict(list_body_fields(schemas, media.get("schema", {}))) if "json" in name else {}
            if found := list_possible_audio_fields(fields):
                return found
    return []


# Recognizes operations that turn speech into text, and proposes their keys.


_TRANSCRIPTION_PATTERN = re.compile(
    r"transcri|recogni|speech[-_ ]?(?:to|2)[-_ ]?text|(?:^|[^a-z])(?:stt|asr|listen)(?:[^a-z]|$)", re.IGNORECASE
)
_TRANSCRIPT_FIELD_NAMES = ("text", "transcript", "transcription")
_AUDIO_NAME_PATTERN = re.compile(r"audio|file|media|recording", re.IGNORECASE)
"""Matches the name of a field that may contain the uploaded audio."""


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
    names = _join_path_id_and_summary(operation.path, operation.operation_data)
    has_file = any(_is_file_field(field) for field in operation.request_fields.values()) or operation.has_binary_request
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
    language = find_speech_field(operation.request_fields, "language")
    if language is not None:
        fields["language"] = propose_language_field(language.location, language.schema)
    text = find_field_by_name(response, _TRANSCRIPT_FIELD_NAMES)
    location: Any = TODO if text is None else text.location
    if text is None:
        todo.append(f"the transcript in the response of {operation.path}, which the document does not name")
    elif text.location.count("/") > 1:
        todo.append(f"whether {text.location} of {operation.path} is the transcript")
        location = CommentedValue(text.location, TODO)
    extension = {"request_fields": fields, "response": {"text_location": location}}
    return TranscriptionProposal("x-transcription", extension, None, tuple(todo))


def _find_audio_location(operation: CandidateOperation) -> str | None:
    """Return the location of the uploaded audio: a file of a form, else the body, else a field such as "audio"."""
    fields = operation.request_fields
    file = next((at for at, field in fields.items() if _is_file_field(field)), None)
    if file is not None or operation.has_binary_request:
        return file or "body"
    named = (at for at, one in fields.items() if one.is_text and _AUDIO_NAME_PATTERN.search(at.rpartition("/")[2]))
    return next(named, None)


def _is_file_field(field: ProposedField) -> bool:
    media_type = str(field.schema.get("contentMediaType", ""))
    return field.schema.get("format") == "binary" or media_type.startswith(("audio/", "application/octet-stream"))
