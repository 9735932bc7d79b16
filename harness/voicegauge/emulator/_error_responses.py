"""Builds error responses in the provider's style: documented errors, and those for paths that no operation has."""

from __future__ import annotations

import copy
import difflib
import functools
import re
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import Example, MediaType, ResponseSpec
from voicegauge.contract.extension.provider import STATUS_CODES_BY_REASON
from voicegauge.contract.operation import Operation
from voicegauge.emulator._output import EmulatedResponse
from voicegauge.emulator._request import Rejection, write_value_at
from voicegauge.emulator._response_bodies import find_json_media, is_valid_example
from voicegauge.emulator._schema_values import build_body_by_schema
from voicegauge.formats.bodies import is_json
from voicegauge.formats.locations import parse_location, write_value_at_pointer


def build_error_response(operation: Operation, rejection: Rejection) -> EmulatedResponse:
    """Return the documented error whose `x-rejection-reason` fits best.

    If none fits, return an error with a common status code.
    """
    found = _find_error_by_reason(operation, rejection.reason, rejection.field_name)
    if found is not None and not _does_example_fit_rejection(found[2], rejection):
        # An error about another mistake in the field is still closer than one with only the same status.
        found = _find_error_by_reason(operation, rejection.reason, None) or found
    if found is not None:
        spec, media_spec, example = found
        status = int(spec.status) if spec.status.isdecimal() else _choose_status_in_class(rejection.reason, spec.status)
        # A copy, because the example belongs to the contract, which all requests share.
        body = _write_rejected_field_and_reason(copy.deepcopy(example.value), example, rejection)
        return _build_error(operation, rejection, status, spec, media_spec, body)
    return _build_error_by_status(operation, rejection)


def _does_example_fit_rejection(example: Example, rejection: Rejection) -> bool:
    """Whether a documented error for a field, such as "text is too long", fits the reason of the rejection."""
    return (
        rejection.is_requested
        or not example.rejection_keywords
        or rejection.schema_keyword in example.rejection_keywords
    )


def _write_rejected_field_and_reason(body: Any, example: Example, rejection: Rejection) -> Any:
    """Return the body of an error with the rejected field and the reason written at `x-rejection-locations`."""
    if rejection.is_requested:
        return body
    values = {"field": rejection.field_name, "message": rejection.detail}
    for key, text in example.rejection_locations.items():
        if values[key] is not None:
            for location in [text] if isinstance(text, str) else text:
                body = write_value_at(body, parse_location(location), values[key])
    return body


def _build_error_by_status(operation: Operation, rejection: Rejection) -> EmulatedResponse:
    """Return the error that is documented under a common status code, if no `x-rejection-reason` matches."""
    usual = STATUS_CODES_BY_REASON.get(rejection.reason, (400,))
    status = next((code for code in usual if str(code) in operation.responses), usual[0])
    spec = operation.find_response(status)
    media_spec = find_json_media(spec)
    if media_spec is None:
        value = _build_undocumented_error_body(operation, rejection) if spec is None else b""
        return _build_error(operation, rejection, status, spec, None, value)
    unmarked = (example for example in media_spec.examples if example.rejection_reason is None)
    fitting = next((example for example in unmarked if is_valid_example(media_spec, example)), None)
    value = copy.deepcopy(fitting.value) if fitting else build_body_by_schema(media_spec, default_text=rejection.detail)
    return _build_error(operation, rejection, status, spec, media_spec, value)


@functools.lru_cache(maxsize=256)
def _find_error_by_reason(
    operation: Operation, rejection_reason: str, field_name: str | None
) -> tuple[ResponseSpec, MediaType, Example] | None:
    return next(_find_errors_by_reason(operation, rejection_reason, field_name), None)


def _find_errors_by_reason(
    operation: Operation, rejection_reason: str, field_name: str | None
) -> Iterator[tuple[ResponseSpec, MediaType, Example]]:
    """Yield the documented errors for a reason, those that fit best first.

    `field_name` is the field of the request that is the reason; `None` if it is none.
    """
    conditions = [f"{rejection_reason}:{field_name}"] if field_name else []
    conditions.append(rejection_reason)
    # Documents that distinguish fewer reasons have the error under a more general one.
    if rejection_reason == "not-found" and field_name:
        conditions.append(f"invalid:{field_name}")
    usual = [str(code) for code in STATUS_CODES_BY_REASON.get(rejection_reason, ())]
    if rejection_reason == "too-large":
        conditions += [f"invalid:{field_name}", "invalid"]
    if rejection_reason == "expired":
        conditions.append("not-found")
    for when in conditions:
        for status, spec in sorted(operation.responses.items(), key=lambda item: item[0] not in usual):
            if not status.startswith("2"):
                for media_spec in spec.media_types.values():
                    yield from (
                        (spec, media_spec, example)
                        for example in media_spec.examples
                        if example.rejection_reason == when
                    )


def _choose_status_in_class(rejection_reason: str, status_class: str) -> int:
    """Return a common status code for a rejection reason, within a status class such as "4XX"."""
    codes = STATUS_CODES_BY_REASON.get(rejection_reason, (400,))
    return next((code for code in codes if str(code)[0] == status_class[0]), codes[0])


def _build_error(
    operation: Operation,
    rejection: Rejection,
    status: int,
    response_spec: ResponseSpec | None,
    media_spec: MediaType | None,
    body: Any,
) -> EmulatedResponse:
    name = media_spec.name if media_spec is not None else (None if body == b"" else "application/json")
    return EmulatedResponse(
        kind="error",
        status=status,
        body=body,
        media_type=name,
        response_spec=response_spec,
        documented_media_type=media_spec,
        operation=operation,
        rejection_reason=rejection.reason,
    )


def _build_undocumented_error_body(operation: Operation, rejection: Rejection) -> Any:
    """Return a body for an undocumented error, with the structure of another error that is documented."""
    for response in operation.responses.values():
        media_spec = find_json_media(response)
        if media_spec is not None and not response.status.startswith("2"):
            return build_body_by_schema(media_spec, default_text=rejection.detail)
    return {"error": rejection.detail}


_MAX_SIMILAR_OPERATIONS_NAMED = 3
"""Number of operations that the error for an unknown path names, because their paths are most like it."""
_MAX_QUOTED_PATH_CHARACTERS = 200
"""Maximum number of characters of a requested path that an error repeats."""
_MESSAGE_KEYS = ("message", "detail", "err_msg", "error_description", "msg")
"""Names that providers give to the sentence of an error, most specific first."""
_ERROR_CODE_PATTERN = re.compile(r"[a-z]+(?:[_-][a-z]+)+|[A-Z]+(?:_[A-Z]+)*|(?:[A-Z][a-z]+){2,}")
"""Matches the machine-readable name of an error, such as voice_not_found, INVALID_ARGUMENT or InvalidRequest."""
_GENERAL_ERROR_CODE_PATTERN = re.compile(r"not[_-]?found([_-]?error)?", re.IGNORECASE)
"""Matches a code that does not say what was not found."""
_SENTENCE_OR_TITLE_PATTERN = re.compile(r" |^[A-Z][a-z]+$")
"""Matches sentences and titles, such as "Model not found" or "Unauthenticated", but no ids."""
_ERROR_CODE_WORDS_BY_STATUS = {404: ("not", "found"), 405: ("method", "not", "allowed")}
"""The words of the error code of a status, to be written in the provider's style."""


def build_undocumented_operation_response(contract: Contract, method: str, paths: Sequence[str]) -> EmulatedResponse:
    """Return the error for a request whose path or method belongs to no operation.

    The error has the structure of a documented error, without its texts about a voice, a model or a field.

    Args:
        contract: the contract of the provider.
        method: the method of the request.
        paths: the requested path, and that path without the path prefix of each server with which it begins.
    """
    operations = list(contract.operations.values())
    allowed = sorted({one.method for one in operations for path in paths if one.match_path(path) is not None})
    requested = f"{method} {paths[0][:_MAX_QUOTED_PATH_CHARACTERS]}"
    if allowed:
        status, message = 405, f"{requested}: the method is not documented here; documented: {', '.join(allowed)}"
    else:
        near = ", ".join(
            f"{one.method} {urlsplit(one.server.url).path.rstrip('/')}{one.path}"
            for one in _find_operations_with_similar_paths(operations, method, paths)
        )
        status, message = 404, f"{requested}: no documented operation has this path; the nearest: {near}"
    body, media_type = _build_undocumented_operation_body(operations, status, message)
    response = EmulatedResponse("error", status, body, media_type, rejection_reason="not-found")
    if allowed:
        response.headers["Allow"] = ", ".join(allowed)
    return response


def _find_operations_with_similar_paths(
    operations: Sequence[Operation], method: str, paths: Sequence[str]
) -> list[Operation]:
    def measure_similarity(operation: Operation) -> tuple[float, bool]:
        similarities = (
            difflib.SequenceMatcher(None, path[:_MAX_QUOTED_PATH_CHARACTERS], operation.path) for path in paths
        )
        return max(one.ratio() for one in similarities), operation.method == method

    return sorted(operations, key=measure_similarity, reverse=True)[:_MAX_SIMILAR_OPERATIONS_NAMED]


class _DocumentedError(NamedTuple):
    """A documented error, and where its sentence for people is."""

    status: int
    """The documented status; 400 if the document states a class of statuses only."""
    media_type: MediaType
    example: Example
    message_path: tuple[str, ...]
    """The keys that lead to the sentence of the error."""


def _build_undocumented_operation_body(operations: Sequence[Operation], status: int, message: str) -> tuple[Any, str]:
    """Return the body of the error and its media type; a minimal JSON body if no error is documented."""
    errors = sorted(_iterate_documented_errors(operations), key=lambda error: (error.status != status, error.status))
    if not errors:
        return {"error": message}, "application/json"
    error = errors[0]
    documented = copy.deepcopy(error.example.value)
    bodies = (
        write_value_at_pointer(value, error.message_path, message)
        for value in (_restrict_texts_to_status(documented, error, status), documented)
    )
    return next(filter(error.media_type.is_valid, bodies), {"error": message}), error.media_type.name


def _iterate_documented_errors(operations: Sequence[Operation]) -> Iterator[_DocumentedError]:
    """Yield the JSON examples of documented 4XX errors that have a sentence for people, which can be replaced."""
    for operation in operations:
        for response in operation.responses.values():
            if not response.status.startswith("4"):
                continue
            for media_type in response.media_types.values():
                for example in media_type.examples if is_json(media_type.name) else ():
                    path = _find_message_path(example)
                    if path is not None:
                        status = int(response.status) if response.status.isdecimal() else 400
                        yield _DocumentedError(status, media_type, example, path)


def _find_message_path(example: Example) -> tuple[str, ...] | None:
    stated = example.rejection_locations.get("message")
    if isinstance(stated, str):
        return tuple(parse_location(stated).pointer_tokens)
    # By the usual names first, else the longest text with a space, which is most likely a sentence.
    texts = dict(_iterate_texts_of_error_body(example.value, ()))
    by_key = [path for key in _MESSAGE_KEYS for path in texts if path[-1:] == (key,)]
    sentences = sorted(
        (path for path, text in texts.items() if path and " " in text), key=lambda path: -len(texts[path])
    )
    return next(iter(by_key + sentences), None)


def _iterate_texts_of_error_body(value: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the keys to each text in nested objects, and the text. Lists, which describe fields, are left out."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _iterate_texts_of_error_body(inner, (*path, key))
    elif isinstance(value, str):
        yield path, value


def _restrict_texts_to_status(value: Any, error: _DocumentedError, status: int) -> Any:
    """Return `value` with texts that state only `status`, and with `status` in place of the documented status.

    The error code of a documented error with the same status is kept if it does not name what was not found.
    """
    if isinstance(value, dict):
        return {key: _restrict_texts_to_status(inner, error, status) for key, inner in value.items()}
    if isinstance(value, str) and _ERROR_CODE_PATTERN.fullmatch(value):
        is_general = error.status == status and (
            "found" not in value.lower() or _GENERAL_ERROR_CODE_PATTERN.fullmatch(value)
        )
        return value if is_general else _format_error_code(_ERROR_CODE_WORDS_BY_STATUS[status], value)
    if isinstance(value, str) and _SENTENCE_OR_TITLE_PATTERN.search(value):
        return HTTPStatus(status).phrase
    return status if value == error.status and not isinstance(value, bool) else value


def _format_error_code(words: Sequence[str], documented_code: str) -> str:
    """Return `words` as an error code, in the style of `documented_code`."""
    if documented_code.isupper():
        return "_".join(words).upper()
    if documented_code[0].isupper():
        return "".join(map(str.capitalize, words))
    return ("-" if "-" in documented_code else "_").join(words)
