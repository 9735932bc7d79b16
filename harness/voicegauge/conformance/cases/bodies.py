"""Cases that change one value of a valid body, unusual texts, and the request bodies that the documents print."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.boundary_values import BoundaryValue, list_boundary_values
from voicegauge.conformance.cases.case import (
    ConformanceCase,
    expect_accepted,
    expect_invalid,
    expect_undocumented,
    make_case,
)
from voicegauge.conformance.cases.valid_requests import (
    is_file_field,
    is_valid_body,
    text_characters,
    voice_sample,
    with_value,
)
from voicegauge.conformance.target_matching import find_request_target
from voicegauge.contract import MISSING, MediaType, Operation, Target
from voicegauge.formats import is_form
from voicegauge.model import UploadedFile

TEXT_LIMIT = 10_000
"""Characters of the longest valid text that is sent: about ten minutes of speech, which are paid for."""
UNUSUAL_TEXTS: dict[str, str] = {
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
"""A text of each kind that documents seldom mention and that services stumble over, by its description."""


def body_cases(operation: Operation, request: RequestParts, target: Target | None) -> Iterator[ConformanceCase]:
    """Yield cases for the boundary values of the body's schema, missing required fields, and documented examples.

    Args:
        operation: the operation that is called.
        request: a valid request to it.
        target: the target of the request; `None` for an operation without targets.
    """
    media = operation.request_media.get(request.media_type or "")
    if media is None or not is_valid_body(operation, request):
        return
    schema, pointer = media.data.get("schema", {}), media.schema_pointer or media.pointer
    for boundary in list_boundary_values(operation.contract.schemas, schema, pointer):
        case = _boundary_case(operation, request, boundary, target)
        if case is not None:
            yield case
    yield from _missing_field_cases(operation, request, media, target)
    for media in operation.request_media.values():
        yield from _example_cases(operation, media, target)


def optional_field_cases(target: Target, request: RequestParts) -> Iterator[ConformanceCase]:
    """Yield `request` in every documented media type, and each time without each of its optional fields."""
    operation = target.operation
    for media in operation.request_media.values():
        same = RequestParts(
            path=request.path, query=request.query, headers=request.headers, body=request.body, media_type=media.name
        )
        if not isinstance(request.body, dict) or not is_valid_body(operation, same) or _has_file(media, request.body):
            continue
        yield _body_case(operation, same, f"the request as {media.name}", media.pointer, target, is_valid=True)
        for name in _optional_fields(target, request, media):
            changed = with_value(same, (name,), MISSING)
            if is_valid_body(operation, changed):
                description = f"optional {name} left out ({media.name})"
                pointer = media.schema_pointer or media.pointer
                yield _body_case(operation, changed, description, pointer, target, is_valid=True)


def _has_file(media: MediaType, body: dict[str, Any]) -> bool:
    """Whether the body has a file in a media type that cannot carry one."""
    return media.name != "multipart/form-data" and any(isinstance(value, UploadedFile) for value in body.values())


def _optional_fields(target: Target, request: RequestParts, media: MediaType) -> list[str]:
    """Return the fields of `request` without which it still addresses its target.

    Those are the fields that do not identify the target, and those whose default is the value that is sent.
    """
    identifying = [
        *target.spec.constants,
        *(target.speech.request[word].at for word in target.spec.required_fields),
        target.speech.request["text"].at,
    ]
    fixed = {location.tokens[0] for location in identifying if location.kind == "body"}
    properties = media.schema.get("properties", {}) if isinstance(media.schema, dict) else {}
    schemas = {name: target.contract.schemas.resolve(schema)[0] for name, schema in properties.items()}
    return [
        name
        for name, value in request.body.items()
        if name not in fixed or schemas.get(name, {}).get("default", MISSING) == value
    ]


def _boundary_case(
    operation: Operation, request: RequestParts, boundary: BoundaryValue, target: Target | None
) -> ConformanceCase | None:
    """Return the case of a boundary value; `None` where the request is not as valid as the value is meant to make it.

    So an expectation is never guessed: a value that breaks one branch of `oneOf` may well fit another.
    """
    is_free = accepts_any_valid_value(target, boundary) if target is not None else _is_not_an_id(boundary)
    if not boundary.path or (boundary.is_valid and not is_free):
        return None
    changed = with_value(request, boundary.path, boundary.value)
    if changed.body == request.body or is_valid_body(operation, changed) is not boundary.is_valid:
        return None
    return _body_case(operation, changed, boundary.description, boundary.pointer, target, is_valid=boundary.is_valid)


def _is_not_an_id(boundary: BoundaryValue) -> bool:
    """Whether an operation without a target accepts any valid value here: a text without a bound may be an id."""
    return not isinstance(boundary.value, str) or boundary.keyword in ("enum", "const", "maxLength")


def accepts_any_valid_value(target: Target, boundary: BoundaryValue) -> bool:
    """Whether `target` should accept any value that fits the schema at the path of `boundary`.

    Not so for a field that names something that must exist (a voice, a model, a URL to fetch), for the constants of
    the target, and for a text longer than `TEXT_LIMIT` or than the smallest account plan allows.
    """
    if any(location.tokens == boundary.path for location in target.spec.constants):
        return False
    if boundary.keyword in ("enum", "const") or not isinstance(boundary.value, str):
        return True
    paths = {word: field.at.tokens for word, field in target.speech.request.items()}
    if boundary.path == paths.get("text"):
        limits = [plan.text_characters for plan in target.operation.limits.plans.values()]
        return len(boundary.value) <= min([TEXT_LIMIT, *(limit for limit in limits if limit is not None)])
    return boundary.path == paths.get("voice_description")


def _missing_field_cases(
    operation: Operation, request: RequestParts, media: MediaType, target: Target | None
) -> Iterator[ConformanceCase]:
    schema = media.schema if isinstance(media.schema, dict) else {}
    pointer = media.schemas.resolve(media.data.get("schema", {}), media.schema_pointer or "")[1]
    alternatives = [name for branch in schema.get("anyOf", ()) for name in branch.get("required", ())]
    for name in (*schema.get("required", ()), *(name for name in alternatives if name in request.body)):
        changed = with_value(request, (name,), MISSING)
        if not is_valid_body(operation, changed):
            keyword = "anyOf" if name in alternatives else "required"
            yield _body_case(operation, changed, f"{name} left out", f"{pointer}/{keyword}", target, is_valid=False)


def _example_cases(operation: Operation, media: MediaType, target: Target | None) -> Iterator[ConformanceCase]:
    """Yield the request bodies that the documents print, unless they name what exists in one account only."""
    for example in media.examples:
        request = RequestParts(body=_with_files(media, example.value), media_type=media.name)
        if not example.inferred and is_valid_body(operation, request) and not _uses_a_resource(operation, request):
            description = f"the documented request {example.name!r} ({media.name})"
            example_target = find_request_target(operation, request) or target
            yield _body_case(operation, request, description, example.pointer, example_target, is_valid=True)


def _uses_a_resource(operation: Operation, request: RequestParts) -> bool:
    """Whether a request names a resource that another operation creates: only its account can use it."""
    uses = (use for creator in operation.contract.operations.values() for use in creator.uses_of(operation))
    return any(use.id.read_request(request) is not MISSING for use in uses)


def _with_files(media: MediaType, value: Any) -> Any:
    """Return a printed body with a file in each file field; a document prints the name of a file there."""
    if not is_form(media.name) or not isinstance(value, dict):
        return value
    schema = media.schema if isinstance(media.schema, dict) else {}
    return {
        name: _file(str(field)) if is_file_field(media, schema.get("properties", {}).get(name, {})) else field
        for name, field in value.items()
    }


def _file(name: str) -> UploadedFile:
    voice = voice_sample()
    return UploadedFile(filename=name, media_type=voice.media_type, data=voice.data or b"")


def text_cases(target: Target, request: RequestParts) -> Iterator[ConformanceCase]:
    """Yield a request with each unusual text; one that breaks the schema must be rejected.

    Where such a text is not documented, the service may accept or reject it, but must not fail.
    """
    field, operation = target.speech.request["text"], target.operation
    if field.at.kind != "body" or not is_valid_body(operation, request):
        return
    pointer = f"{operation.pointer}/x-speech/request/text"
    for kind, text in UNUSUAL_TEXTS.items():
        changed = with_value(request, field.at.tokens, field.template.replace("{}", text))
        description = f"a text {kind}"
        if is_valid_body(operation, changed):
            expected = expect_undocumented(description, pointer)
        else:
            expected = expect_invalid(operation, description, pointer)
        yield make_case(
            operation,
            expected,
            target=target.name,
            request=changed,
            text_characters=text_characters(operation, changed),
        )


def _body_case(
    operation: Operation,
    request: RequestParts,
    description: str,
    pointer: str,
    target: Target | None,
    *,
    is_valid: bool,
) -> ConformanceCase:
    expected = expect_accepted(description, pointer) if is_valid else expect_invalid(operation, description, pointer)
    return make_case(
        operation,
        expected,
        target=target.name if target else None,
        request=request,
        text_characters=text_characters(operation, request),
    )
