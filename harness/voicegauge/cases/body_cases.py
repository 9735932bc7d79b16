"""Plans request bodies with one value that is valid, invalid or missing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from voicegauge.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.cases.case import (
    ConformanceCase,
    build_case,
    expect_outcome_by_validity,
    expect_rejection_as_invalid,
    expect_undocumented_outcome,
    find_request_target,
)
from voicegauge.cases.valid_requests import (
    build_voice_sample_upload,
    convert_to_json_body,
    count_charged_characters,
    is_valid_body,
    replace_file_names,
    set_body_value,
)
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import Target
from voicegauge.contract.document_parts import MediaType
from voicegauge.contract.operation import Operation
from voicegauge.formats.bodies import is_form
from voicegauge.formats.located_yaml import split_json_pointer
from voicegauge.formats.locations import MISSING, read_pointer
from voicegauge.model.exchange import UploadedFile

MAX_SENT_TEXT_CHARACTERS = 10_000
"""Number of characters in the longest valid text that is sent. Its speech, which may cost money, lasts about ten
minutes."""
_LONG_TEXT_CHARACTERS = 1_000
"""Number of characters above which a text takes longer than a minute to speak."""
UNUSUAL_TEXT_BY_DESCRIPTION: dict[str, str] = {
    "of many scripts": "Grüße, 你好, مرحبا, नमस्ते, 👩‍👩‍👧 and e\u0301 <b>bold</b> &amp; {x}.",
    "of only white space": " \t ",
    "of one character": "a",
    "of only punctuation": "?!...",
    "with emoji": "Well done 🎉👩‍👩‍👧🏽🇺🇳!",
    "from right to left": "مرحبا بالعالم, שלום עולם",
    "with combining marks": "Z̸̧a̴͜l̶̢g̷o c\u0327a e\u0301te\u0301",
    "with control characters": "Good\u0000 morning\u0007\u200b\u202e\ufeff",
    "with line breaks": "Good morning.\r\n\r\nGood night.\u2028End",
    "of SSML": '<speak>Good <break time="1s"/> morning <prosody rate="fast">now</prosody></speak>',
    "of broken markup": "<speak>Good & <b>morning < 5 > 3 </speak",
    "of a template": "{{text}} ${text} %s {0} \\n",
    "of one very long word": "Donaudampfschifffahrtsgesellschaft" * 8,
    "of digits": "1234567890" * 4 + " 1,000.50 2026-01-01",
    "outside the basic plane": "𝔊𝔬𝔬𝔡 𝔪𝔬𝔯𝔫𝔦𝔫𝔤 𐍈 🀄",  # noqa: RUF001 - letters beyond U+FFFF are the point
}
"""Texts that documents seldom mention and that services often handle wrongly, by a description of each."""


def plan_body_cases(operation: Operation, request: RequestParts, target: Target | None) -> Iterator[ConformanceCase]:
    """Yield cases for boundary values of the body's schema, for missing required fields, and for documented bodies.

    Yield nothing if the media type of the body is not documented, or if the body does not fit its schema.

    Args:
        operation: the operation that is called.
        request: a valid request to it.
        target: the target of the request; `None` for an operation without targets.
    """
    media = operation.request_media.get(request.media_type or "")
    if media is None or not is_valid_body(operation, request):
        return
    branch = target.find_request_branch(media) if target is not None else None
    schema, pointer = media.schemas.resolve_reference(
        media.part_data.get("schema", {}), media.schema_pointer or media.pointer
    )
    if branch is not None:
        # The values of the branches are planned for the targets that select them: here they would break other branches.
        schema = {key: value for key, value in schema.items() if key not in ("oneOf", "anyOf")}
    yield from _iterate_boundary_value_cases(operation, request, schema, pointer, target)
    yield from _iterate_missing_field_cases(operation, request, media, target)
    for media in operation.request_media.values():
        yield from _iterate_example_cases(operation, media, request, target)


def plan_schema_branch_cases(
    target: Target, request: RequestParts, schema_branch: tuple[Any, str]
) -> Iterator[ConformanceCase]:
    """Yield cases for the boundary values of the schema branch (of `oneOf` or `anyOf`) that a target selects.

    Args:
        target: the target.
        request: a valid request to it.
        schema_branch: the schema of the branch, and the JSON pointer to it.
    """
    if is_valid_body(target.operation, request):
        for case in _iterate_boundary_value_cases(target.operation, request, *schema_branch, target):
            yield msgspec.structs.replace(case, id=f"{target.id}: {case.expected_response.description}")


def _iterate_boundary_value_cases(
    operation: Operation, request: RequestParts, schema: Any, schema_pointer: str, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a case for each value at or beyond a bound of the schema, if it is certain how the service must respond.

    Args:
        operation: the operation that is called.
        request: a valid request to it, in which one value is replaced.
        schema: the schema of its body, or of one branch of it.
        schema_pointer: JSON pointer to `schema`.
        target: the target of the request; `None` for an operation without targets.
    """
    path_by_description: dict[str, tuple[str, ...]] = {}
    for boundary_value in list_boundary_values(operation.contract.schemas, schema, schema_pointer):
        if _is_too_long_to_speak(operation, boundary_value):
            continue
        case = _build_boundary_case(operation, request, boundary_value, target)
        path, description = boundary_value.body_path, boundary_value.description
        if case is not None and path_by_description.setdefault(description, path) != path:
            # Descriptions name the innermost field. Two fields with one name would give two cases one id, and a plan
            # has only the first case with an id.
            located = boundary_value._replace(description=f"{description}, at {'/'.join(path)}")
            case = _build_boundary_case(operation, request, located, target)
        if case is not None:
            yield case


def _is_too_long_to_speak(operation: Operation, boundary_value: BoundaryValue) -> bool:
    """Whether a value is a long valid text that is not sent to a self-hosted server.

    The server would speak it for minutes. Such a text is slightly shorter than the longest allowed text. It tests
    nothing more than the longest one, which is in every plan.
    """
    if (
        operation.contract.provider.self_hosted is None
        or boundary_value.keyword != "maxLength"
        or not boundary_value.is_valid
    ):
        return False
    pointer_tokens = split_json_pointer(boundary_value.keyword_pointer)
    limit = read_pointer(operation.contract.document.data, pointer_tokens)
    return isinstance(limit, int) and _LONG_TEXT_CHARACTERS < limit != len(boundary_value.value)


def plan_optional_field_cases(target: Target, request: RequestParts) -> Iterator[ConformanceCase]:
    """Yield `request` in each documented media type where it is valid, and there once without each optional field."""
    operation = target.operation
    for media in operation.request_media.values():
        same = RequestParts(
            path_parameters=request.path_parameters,
            query_parameters=request.query_parameters,
            headers=request.headers,
            body=request.body,
            media_type=media.name,
        )
        if (
            not isinstance(request.body, dict)
            or not is_valid_body(operation, same)
            # JSON and other forms carry no files, though their schema may allow a text where the file would be.
            or (media.name != "multipart/form-data" and any(isinstance(v, UploadedFile) for v in request.body.values()))
        ):
            continue
        yield _build_body_case(operation, same, f"the request as {media.name}", media.pointer, target, is_valid=True)
        for name in _list_optional_fields(target, request, media):
            changed = set_body_value(same, (name,), MISSING)
            if is_valid_body(operation, changed):
                description = f"optional {name} left out ({media.name})"
                pointer = media.schema_pointer or media.pointer
                yield _build_body_case(operation, changed, description, pointer, target, is_valid=True)


def _list_optional_fields(target: Target, request: RequestParts, media_type: MediaType) -> list[str]:
    """Return the fields that can be left out of `request` so that the request still addresses its target.

    Those are the fields that do not identify the target, and the fields whose default is the value that is sent.
    """
    identifying = [
        *target.target_spec.request_constants,
        *(target.speech.request_fields[word].location for word in target.target_spec.required_fields),
        target.speech.request_fields["text"].location,
    ]
    fixed = {location.pointer_tokens[0] for location in identifying if location.message_part == "body"}
    properties = media_type.schema.get("properties", {}) if isinstance(media_type.schema, dict) else {}
    schemas = {name: target.contract.schemas.resolve_reference(schema)[0] for name, schema in properties.items()}
    return [
        name
        for name, value in request.body.items()
        if name not in fixed or schemas.get(name, {}).get("default", MISSING) == value
    ]


def _build_boundary_case(
    operation: Operation, request: RequestParts, boundary_value: BoundaryValue, target: Target | None
) -> ConformanceCase | None:
    """Return the case of a boundary value; `None` if it is not certain whether the request should be accepted.

    For example, a value that breaks one branch of `oneOf` may fit another branch. So the whole request is validated
    against the schema, and the result must agree with `boundary_value.is_valid`.
    """
    is_free = (
        accepts_any_valid_value(target, boundary_value)
        if target is not None
        # Without a target, a text without a documented bound may have to be an existing id.
        else not isinstance(boundary_value.value, str) or boundary_value.keyword in ("enum", "const", "maxLength")
    )
    if not boundary_value.body_path or (boundary_value.is_valid and not is_free):
        return None
    try:
        changed = set_body_value(request, boundary_value.body_path, boundary_value.value)
    except ValueError:  # inside an object of one branch, where the request has the text of another branch
        return None
    if changed.body == request.body or is_valid_body(operation, changed) is not boundary_value.is_valid:
        return None
    if (
        boundary_value.keyword == "type"
        and not boundary_value.is_valid
        and not _is_invalid_after_encoding(operation, changed, boundary_value)
    ):
        return None
    return _build_body_case(
        operation,
        changed,
        boundary_value.description,
        boundary_value.keyword_pointer,
        target,
        is_valid=boundary_value.is_valid,
    )


def _is_invalid_after_encoding(operation: Operation, request: RequestParts, boundary_value: BoundaryValue) -> bool:
    """Whether a value of a wrong type is also invalid in the sent body. A form sends every field as text."""
    media = operation.request_media[request.media_type or ""]
    if not is_form(media.name):
        return True
    errors = media.iterate_violations(convert_to_json_body(media, request.body))
    return any(error.keyword_pointer == boundary_value.keyword_pointer for error in errors)


def accepts_any_valid_value(target: Target, boundary_value: BoundaryValue) -> bool:
    """Whether `target` should accept any value that fits the schema at the path of `boundary_value`.

    The result is false for a field that names something that must exist (a voice, a model, a URL to fetch), for the
    constants of the target, for a text with markup, and for a text that is longer than `MAX_SENT_TEXT_CHARACTERS` or
    than the smallest account plan allows.
    """
    if any(location.pointer_tokens == boundary_value.body_path for location in target.target_spec.request_constants):
        return False
    if boundary_value.keyword in ("enum", "const") or not isinstance(boundary_value.value, str):
        return True
    paths = {word: field.location.pointer_tokens for word, field in target.speech.request_fields.items()}
    if boundary_value.body_path == paths.get("text"):
        if target.speech.request_fields["text"].markup_language is not None:
            return False  # a text of a certain length need not be well-formed
        # Which plan the account has is not known, so only what each of them allows is certain to be accepted.
        limits = [plan.max_text_characters for plan in target.operation.limits.plan_limits.values()]
        return len(boundary_value.value) <= min(
            [MAX_SENT_TEXT_CHARACTERS, *(limit for limit in limits if limit is not None)]
        )
    return boundary_value.body_path == paths.get("voice_description")


def _iterate_missing_field_cases(
    operation: Operation, request: RequestParts, media_type: MediaType, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a case for each field of the body without which `request` is invalid.

    `target` is the target of the request; `None` for an operation without targets.
    """
    schema = media_type.schema if isinstance(media_type.schema, dict) else {}
    pointer = media_type.schemas.resolve_reference(
        media_type.part_data.get("schema", {}), media_type.schema_pointer or ""
    )[1]
    # A field that only one branch of `anyOf` requires is not needed where another branch fits, so each is tried.
    alternatives = [name for branch in schema.get("anyOf", ()) for name in branch.get("required", ())]
    for name in (*schema.get("required", ()), *(name for name in alternatives if name in request.body)):
        changed = set_body_value(request, (name,), MISSING)
        if not is_valid_body(operation, changed):
            keyword = "anyOf" if name in alternatives else "required"
            yield _build_body_case(
                operation, changed, f"{name} left out", f"{pointer}/{keyword}", target, is_valid=False
            )


def _iterate_example_cases(
    operation: Operation, media_type: MediaType, valid_request: RequestParts, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a case for each documented request body that does not name a resource of a single account.

    The required parameters, which no example of a body contains, are taken from `valid_request`. `target` is the target
    of a body that selects none; `None` for an operation without targets.
    """
    required = {one.name for one in operation.parameters if one.message_part == "query" and one.is_required}
    parameters = RequestParts(
        path_parameters=valid_request.path_parameters,
        query_parameters={name: value for name, value in valid_request.query_parameters.items() if name in required},
        headers=operation.required_headers,
    )
    for example in media_type.examples:
        body = example.value
        if is_form(media_type.name) and isinstance(body, dict):
            body = replace_file_names(media_type, body, build_voice_sample_upload)
        request = msgspec.structs.replace(parameters, body=body, media_type=media_type.name)
        if (
            not example.is_inferred
            and is_valid_body(operation, request)
            and not _refers_to_account_resource(operation, request)
        ):
            description = f"the documented request {example.name!r} ({media_type.name})"
            example_target = find_request_target(operation, request) or target
            yield _build_body_case(operation, request, description, example.pointer, example_target, is_valid=True)


def _refers_to_account_resource(operation: Operation, request: RequestParts) -> bool:
    """Whether a request names a resource that another operation creates. Only the owner's account can use it."""
    uses = (
        use
        for creating_operation in operation.contract.operations.values()
        for use in creating_operation.iterate_uses_of_created_resource(operation)
    )
    return any(use.id_location.read_request(request) is not MISSING for use in uses)


def plan_unusual_text_cases(target: Target, request: RequestParts) -> Iterator[ConformanceCase]:
    """Yield a case for each text of `UNUSUAL_TEXT_BY_DESCRIPTION`; nothing if the text is not sent in the body.

    A text that breaks the schema must be rejected. The service may accept or reject any other unusual text, but must
    not respond with a server error.
    """
    field, operation = target.speech.request_fields["text"], target.operation
    if field.location.message_part != "body" or not is_valid_body(operation, request):
        return
    pointer = f"{operation.pointer}/x-speech/request_fields/text"
    for kind, text in UNUSUAL_TEXT_BY_DESCRIPTION.items():
        changed = set_body_value(request, field.location.pointer_tokens, field.fill_template(text))
        description = f"a text {kind}"
        if is_valid_body(operation, changed):
            expected = expect_undocumented_outcome(description, pointer)
        else:
            expected = expect_rejection_as_invalid(operation, description, pointer)
        yield build_case(
            operation,
            expected,
            target_name=target.name,
            request=changed,
            text_character_count=count_charged_characters(operation, changed),
        )


def _build_body_case(
    operation: Operation,
    request: RequestParts,
    description: str,
    contract_pointer: str,
    target: Target | None,
    *,
    is_valid: bool,
) -> ConformanceCase:
    return build_case(
        operation,
        expect_outcome_by_validity(operation, description, contract_pointer, is_valid=is_valid),
        target_name=target.name if target else None,
        request=request,
        text_character_count=count_charged_characters(operation, request),
    )
