"""Finds the status operation of a speech operation that responds with a job, and proposes its `x-job`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from voicegauge.contract.documents.proposals.proposed_fields import (
    ProposedField,
    dump_yaml,
    find_audio_yaml,
    list_body_fields,
)
from voicegauge.contract.documents.selection import read_operations, select_operations
from voicegauge.contract.documents.todo_marks import TODO
from voicegauge.contract.schemas import Schemas
from voicegauge.errors import ContractError
from voicegauge.formats import Document

_ID_FIELD_PATTERN = re.compile(r"(?:^|_)(?:id|uuid)$|[a-z]I[dD]$")
_STATE_FIELD_NAMES = ("state", "status", "job_status", "task_status", "phase")
_REASON_FIELD_NAMES = ("error", "reason", "message", "error_message", "detail", "failure_reason")
_RESULT_FIELD_PATTERN = re.compile(r"audio|url|output|result|file|download", re.IGNORECASE)
_NOT_RESULT_FIELD_PATTERN = re.compile(r"poll|status|cancel|callback|webhook|request|type|format", re.IGNORECASE)
_SUCCESS_STATE_PATTERN = re.compile(r"succe|complete|done|finish|ready|^ok$", re.IGNORECASE)
_FAILURE_STATE_PATTERN = re.compile(r"fail|error|cancel|expire|timeout|timed|abort|reject|dead", re.IGNORECASE)
_PATH_PARAMETER_PATTERN = re.compile(r"\{([^{}]+)\}")


class JobProposal(NamedTuple):
    """A status operation, and the lines of its `x-job`."""

    path: str
    operation_data: Mapping[str, Any]
    yaml_lines: tuple[str, ...]
    """Lines of YAML below `update`, without indentation."""
    todo: tuple[str, ...]
    """What the document does not state, so that a person has to complete it."""


def find_job_proposal(
    document: Document, path: str, submit_response_fields: Mapping[str, ProposedField]
) -> JobProposal | None:
    """Find the operation that reports the status of the job that an operation starts.

    Args:
        document: the whole document.
        path: the path of the operation that starts a job.
        submit_response_fields: the fields of its successful response, by location.

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
            fields, operation = _read_response(document, status_path)
            state = _find_field_by_name(fields, _STATE_FIELD_NAMES)
            if state is not None:
                id_field = next(
                    (one for one in ids if _get_innermost_field_name(one.location) == parameters[0]), ids[0]
                )
                rank = (_get_innermost_field_name(id_field.location) == parameters[0], shared, -len(status_path))
                found.append((rank, status_path, operation, fields, state, id_field))
    if not found:
        return None
    _, status_path, operation, fields, state, id_field = max(found, key=lambda one: one[0])
    todo: list[str] = []
    submit_state = _find_field_by_name(submit_response_fields, _STATE_FIELD_NAMES)
    submit = f"id: {id_field.location}" + (f", state: {submit_state.location}" if submit_state else "")
    repeated = _find_field_by_name(fields, (_get_innermost_field_name(id_field.location),))
    reason = _find_field_by_name(fields, _REASON_FIELD_NAMES)
    lines = (
        "x-job:",
        f"  submit: {{{submit}}}",
        *([f"  id: {repeated.location}"] if repeated else ()),
        f"  state: {state.location}",
        "  states:",
        *_iterate_state_lines([field for field in (submit_state, state) if field], status_path, todo),
        f"  audio: {_find_result_audio_yaml(fields, status_path, todo)}",
        *([f"  reason: {reason.location}"] if reason and reason.is_text else ()),
    )
    return JobProposal(status_path, operation, lines, tuple(todo))


def _list_required_query_parameters(operation_data: Mapping[str, Any]) -> list[str]:
    """Return the names of the required query parameters that an operation has itself, without references."""
    parameters = operation_data.get("parameters")
    listed = [one for one in parameters if isinstance(one, dict)] if isinstance(parameters, list) else []
    return [str(one.get("name")) for one in listed if one.get("in") == "query" and one.get("required") is True]


def _read_response(document: Document, path: str) -> tuple[dict[str, ProposedField], Mapping[str, Any]]:
    """Return the fields of the successful JSON response to GET `path`, and the operation."""
    data = select_operations(document, [(path, "get")])
    part = Document(document.path, data, {}, document.sha256, {"": (document, "")})
    operation = data["paths"][path]["get"]
    try:
        return list_response_fields(Schemas(part), operation), operation
    except ContractError:  # an operation that cannot be read is not proposed
        return {}, operation


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


def _iterate_state_lines(state_fields: Sequence[ProposedField], path: str, missing_facts: list[str]) -> Iterator[str]:
    """Yield the YAML of the states. States named like an end, such as "failed", are terminal; others lead to the next.

    Args:
        state_fields: the fields that have a state, in the order in which they are received.
        path: path of the status operation.
        missing_facts: gets what the document does not state.
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
        yield f"    {TODO}: {{next: [{TODO}]}}"
        return
    missing_facts.append(f"the states of {path}: their order and what each means, judged by their names")
    if not any("enum" in field.schema for field in state_fields):
        missing_facts.append(f"the other states of {path}: only examples are known")
    for index, name in enumerate(pending):
        following = pending[index + 1 : index + 2] or successes
        yield f"    {dump_yaml(name)}: {{next: [{', '.join(map(dump_yaml, [*following, *failures]))}]}}  # {TODO}"
    yield from (f"    {dump_yaml(name)}: {{end: success}}" for name in successes)
    yield from (f"    {dump_yaml(name)}: {{end: failure}}" for name in failures)


def _list_documented_values(field: ProposedField) -> list[str]:
    """Return the texts that the schema of a field enumerates, or its examples if it enumerates nothing."""
    stated = field.schema.get("enum") or field.schema.get("examples")
    return [value for value in stated if isinstance(value, str)] if isinstance(stated, list) else []


def _find_result_audio_yaml(fields: Mapping[str, ProposedField], path: str, missing_facts: list[str]) -> str:
    """Return the YAML of `x-job.audio`, and add what is uncertain about it to `missing_facts`.

    The audio is in a field with "audio" in its name, else in one that may have the URL of a result. If there is
    neither, the location is marked TODO.
    """
    audio = find_audio_yaml(fields)
    if audio:
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
            return f"{{at: {location}{'/0' if is_list else ''}, delivered: url}}  # {TODO}"
    missing_facts.append(f"the audio in the response of {path}")
    return f"{{at: {TODO}, delivered: url}}"


def _find_field_by_name(fields: Mapping[str, ProposedField], names: Sequence[str]) -> ProposedField | None:
    """Return the field with the first of `names` that any field has; of several such fields, the least nested one."""
    for name in names:
        found = [
            field for location, field in fields.items() if _get_innermost_field_name(location).lower() == name.lower()
        ]
        if found:
            return min(found, key=lambda field: field.location.count("/"))
    return None


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
