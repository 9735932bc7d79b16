"""Plans the cases of one operation: parameters and documented rejections."""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from typing import Any, get_args

import msgspec

from voicegauge.cases.audio_input_cases import plan_upload_cases
from voicegauge.cases.body_cases import plan_body_cases
from voicegauge.cases.boundary_values import BoundaryValue, find_fitting_value, list_boundary_values
from voicegauge.cases.case import (
    ConformanceCase,
    SkippedCase,
    build_case,
    build_operation_name,
    expect_acceptance,
    expect_outcome_by_validity,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import add_headers, build_minimal_request, count_charged_characters, set_body_value
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import AudioInputTarget, BaseTarget, Target
from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.extension.provider import RejectionReason
from voicegauge.contract.operation import Operation, generate_parameter_text
from voicegauge.contract.price_computation import is_billable
from voicegauge.emulator.process import SCENARIO_HEADER
from voicegauge.formats.bodies import is_form, is_json
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.exchange import UploadedFile
from voicegauge.rules.call import ExpectedResponse

# Plans cases for query and header parameters, and makes requests to operations that have no target.


_CANDIDATE_UNKNOWN_IDS = ("no-such-id", "0" * 32, "00000000-0000-4000-8000-000000000000", "0")
"""Ids that do not exist. The first one that fits the schema is sent, so that its form is not a reason to reject it."""


def plan_parameter_cases(
    operation: Operation, request: RequestParts, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a case for each boundary value of a query or header parameter, and for its documented example.

    Args:
        operation: the operation that is called.
        request: a valid request to it, in which one parameter is replaced.
        target: the speech target of the request; `None` for an operation without speech targets.
    """
    for parameter in operation.parameters:
        if parameter.message_part not in ("query", "header"):
            continue
        pointer = f"{parameter.pointer}/schema"
        schema = parameter.part_data.get("schema", {})
        for boundary_value in list_boundary_values(operation.contract.schemas, schema, pointer, (parameter.name,)):
            text = convert_to_parameter_text(boundary_value.value)
            # A valid text that no enum lists may have to name an existing resource or a reachable URL.
            is_free_text = isinstance(boundary_value.value, str) and boundary_value.keyword not in ("enum", "const")
            if text is None or (boundary_value.is_valid and is_free_text):
                continue
            # The schema decides how the text is read: the text "1.5" may be a valid string.
            if not _has_same_validity_as_text(parameter, text, boundary_value):
                continue
            yield _build_parameter_case(operation, _set_parameter(request, parameter, text), boundary_value, target)
        example = convert_to_parameter_text(parameter.part_data.get("example"))
        if example is not None and not parameter.is_required and not takes_webhook_url(operation, parameter):
            description = f"{parameter.name} {example!r}, as documented"
            boundary_value = BoundaryValue((parameter.name,), example, description, pointer, is_valid=True)
            yield _build_parameter_case(operation, _set_parameter(request, parameter, example), boundary_value, target)


def takes_webhook_url(operation: Operation, parameter: Parameter) -> bool:
    """Whether the parameter takes a webhook URL. Its documented example is not sent: the URL is somebody else's."""
    urls = operation.webhook.url_fields if operation.webhook is not None else ()
    return any(
        (url.location.message_part, url.location.name) == (parameter.message_part, parameter.name) for url in urls
    )


def convert_to_parameter_text(value: Any) -> str | None:
    """Return the text that is sent for the value of a parameter; `None` if the value cannot be sent as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    # Others may be changed on the way: servers trim spaces, and read the bytes of other characters in their own way.
    is_printable = isinstance(value, str) and value.isascii() and value.isprintable() and value.strip() == value != ""
    return value if is_printable else None


def fits_parameter_schema(parameter: Parameter, text: str) -> bool:
    """Whether `text` fits the schema of the parameter after conversion to the type of the parameter."""
    return not parameter.parse_text(text).violations


def _has_same_validity_as_text(parameter: Parameter, text: str, boundary_value: BoundaryValue) -> bool:
    """Whether a boundary value that is sent as text is still valid, or still invalid for the same reason."""
    if boundary_value.is_valid or boundary_value.keyword != "type":
        return fits_parameter_schema(parameter, text) is boundary_value.is_valid
    return any(
        error.keyword_pointer == boundary_value.keyword_pointer for error in parameter.parse_text(text).violations
    )


def _set_parameter(request: RequestParts, parameter: Parameter, parameter_text: str) -> RequestParts:
    """Return `request` with `parameter_text` as the value of a query or header parameter."""
    query = (
        {**request.query_parameters, parameter.name: parameter_text}
        if parameter.message_part == "query"
        else request.query_parameters
    )
    headers = (
        {**request.headers, parameter.name: parameter_text} if parameter.message_part == "header" else request.headers
    )
    return RequestParts(
        path_parameters=request.path_parameters,
        query_parameters=query,
        headers=headers,
        body=request.body,
        media_type=request.media_type,
    )


def _build_parameter_case(
    operation: Operation, request: RequestParts, boundary_value: BoundaryValue, target: Target | None
) -> ConformanceCase:
    return build_case(
        operation,
        expect_outcome_by_validity(
            operation, boundary_value.description, boundary_value.keyword_pointer, is_valid=boundary_value.is_valid
        ),
        target_name=target.name if target else None,
        request=request,
        text_character_count=count_charged_characters(operation, request),
    )


def build_operation_request(operation: Operation) -> tuple[RequestParts | None, bool]:
    """Return a request to an operation without targets, and whether everything that the request names exists.

    An id of a resource is invented, so it does not exist. The request is `None` if no value is known for a required
    parameter or field.
    """
    body = build_minimal_request(operation)
    if body is None:
        return None, False
    path: dict[str, Any] = {}
    query: dict[str, Any] = {}
    all_exist = True
    for parameter in operation.parameters:
        if not parameter.is_required or parameter.name in operation.required_headers:
            continue
        value, exists = _find_required_parameter_value(operation, parameter)
        if value is MISSING or parameter.message_part not in ("path", "query"):
            return None, False
        all_exist = all_exist and exists
        (path if parameter.message_part == "path" else query)[parameter.name] = value
    return msgspec.structs.replace(body, path_parameters=path, query_parameters=query), all_exist


def _find_required_parameter_value(operation: Operation, parameter: Parameter) -> tuple[Any, bool]:
    """Return a value for a required parameter, and whether the resource that the value names exists.

    The value is `MISSING` if none is known.
    """
    if "enum" in parameter.schema or "default" in parameter.schema:
        return find_fitting_value(operation.contract.schemas, parameter.schema), True
    # The documented id with zeros as digits, for services whose ids have a prefix or a length that no schema states.
    parents, slash, last = str(parameter.part_data.get("example", "")).rpartition("/")
    zeros = parents + slash + re.sub("[0-9a-f]", "0", last)
    for text in (*_CANDIDATE_UNKNOWN_IDS, zeros):
        if text and fits_parameter_schema(parameter, text):
            return text, False
    # A random text that fits a pattern is too long to exist by chance. The seed makes plans reproducible.
    generated = generate_parameter_text(parameter, random.Random(parameter.name))  # noqa: S311 - not a secret
    return MISSING if generated is None else generated, False


def _describe_missing_value(operation: Operation) -> str:
    """Return why no request to `operation` can be built, and how to change that."""
    for parameter in operation.parameters:
        if not parameter.is_required or parameter.name in operation.required_headers:
            continue
        if parameter.message_part not in ("path", "query"):
            return f"no value is known for the required {parameter.message_part} {parameter.name}"
        if _find_required_parameter_value(operation, parameter)[0] is MISSING:
            return (
                f"no value is known for the required {parameter.message_part} parameter {parameter.name}: "
                "add an `example` that fits its schema to the parameter"
            )
    return "no value is known for a required field of the body: add an `example` of the body that fits its schema"


# Plans cases that a service should reject for a reason other than an invalid request.


EMULATED_REJECTION_REASONS: tuple[RejectionReason, ...] = get_args(RejectionReason)
"""The reasons for which the emulator rejects a request on demand."""
_CASE_KIND_BY_REJECTION_REASON: dict[RejectionReason, str] = {"invalid": "invalid", "unauthorized": "authentication"}
"""For a rejection reason, the kind of cases that test it with a request that really is invalid or unauthorized."""


def plan_authentication_cases(
    operation: Operation, request: RequestParts, target: BaseTarget | None, *, is_key_optional: bool = False
) -> Iterator[ConformanceCase]:
    """Yield a request without a key and one with a wrong key.

    Args:
        operation: the operation that is called.
        request: a valid request to it.
        target: the target of the request; `None` if it has none.
        is_key_optional: whether a request without a key may be accepted, so that only the wrong key is sent.
    """
    pointer = f"{operation.pointer}/security" if "security" in operation.part_data else "/security"
    statuses = find_rejection_statuses(operation, "unauthorized")
    keys = {"missing": "a request without a key", "wrong": "a request with a wrong key"}
    for key, description in keys.items():
        if is_key_optional and key == "missing":
            continue  # the documents do not say that it is rejected
        expected = ExpectedResponse(
            acceptance="rejected",
            statuses=statuses,
            case_kind="authentication",
            description=description,
            contract_pointer=pointer,
        )
        yield build_case(
            operation,
            expected,
            target_name=target.name if target else None,
            id_prefix=target.id if target else None,
            request=request,
            api_key_validity=key,
        )


UNKNOWN_MODEL = "no-such-model"
"""A model that no service has."""


def plan_unknown_model_cases(
    target: BaseTarget, request: RequestParts, other_cases: Iterable[ConformanceCase]
) -> Iterator[ConformanceCase]:
    """Yield a request for a model that does not exist, if the schema allows any name.

    Some services silently use another model, so that nobody notices a mistake in the name.

    Args:
        target: the target whose request is changed.
        request: a valid request to the target.
        other_cases: the other cases of the operation. A field is left out if one of them tests an unlisted value of it.
    """
    descriptions = [case.expected_response.description for case in other_cases]
    for location in _find_model_locations(target.operation):
        name = location.pointer_tokens[-1]
        if any(one.startswith(f"{name} ") and one.endswith("not one of its values") for one in descriptions):
            continue
        statuses = {
            *find_rejection_statuses(target.operation, "not-found"),
            *find_rejection_statuses(target.operation, "invalid"),
        }
        expected = ExpectedResponse(
            acceptance="rejected",
            statuses=tuple(sorted(statuses)),
            case_kind="unknown-id",
            description=f"{name} {UNKNOWN_MODEL!r}, which does not exist",
            contract_pointer=target.pointer.rpartition("/")[0],
        )
        yield build_case(
            target.operation,
            expected,
            target_name=target.name,
            request=set_body_value(request, location.pointer_tokens, UNKNOWN_MODEL),
        )


def _find_model_locations(operation: Operation) -> list[Location]:
    """Return the body fields that select a target of an operation, by its patterns or by constants of all targets."""
    targets = [target.target_spec for target in operation.targets]
    patterns = {location: pattern for target in targets for location, pattern in target.request_patterns.items()}
    takes_any_name = operation.contract.provider.self_hosted is not None  # as long as its models are not known
    found = [
        location for location, pattern in patterns.items() if takes_any_name or not re.fullmatch(pattern, UNKNOWN_MODEL)
    ]
    for location in targets[0].request_constants if targets else ():
        values = [target.request_constants.get(location) for target in targets]
        if location not in patterns and len(set(map(str, values))) > 1 and all(isinstance(one, str) for one in values):
            found.append(location)
    return [location for location in found if location.message_part == "body" and location.pointer_tokens]


def plan_rejection_reason_cases(
    operation: Operation,
    request: RequestParts,
    target: Target | None,
    other_cases: Iterable[ConformanceCase],
) -> Iterator[ConformanceCase]:
    """Yield a request for each documented rejection reason, such as a full queue. The emulator rejects it on demand.

    Args:
        operation: the operation that is called.
        request: a valid request to it.
        target: the speech target of the request; `None` for an operation without speech targets.
        other_cases: the other cases of the operation. Reasons that they test are left out.
    """
    kinds = {case.expected_response.case_kind for case in other_cases}
    for reason in EMULATED_REJECTION_REASONS:
        statuses = find_rejection_statuses(operation, reason)
        if not statuses or _CASE_KIND_BY_REJECTION_REASON.get(reason) in kinds:
            continue
        expected = ExpectedResponse(
            acceptance="rejected",
            statuses=statuses,
            case_kind="rejection-reason",
            description=f"rejected as {reason}",
            contract_pointer=f"{operation.pointer}/responses/{statuses[0]}",
        )
        yield build_case(
            operation,
            expected,
            target_name=target.name if target else None,
            request=add_headers(request, {SCENARIO_HEADER: reason}),
        )


# Plans cases of operations without speech targets: status, lists, health, downloads, chat, creation of resources.


def plan_operation_cases(
    operation: Operation, target: AudioInputTarget | None = None, *, is_emulated: bool, include_billable_cases: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of an operation without speech targets.

    Args:
        operation: the operation that is called.
        target: the audio input target whose constants requests contain; `None` for requests as the schema alone
            requires them.
        is_emulated: whether the emulator responds, which rejects a request for a given reason on demand.
        include_billable_cases: whether a lifecycle sends variants of billable requests.
    """
    request, all_exist = build_operation_request(operation)
    request = _set_target_constants(request, target)
    if request is None:
        yield SkippedCase(id=build_operation_name(operation), skip_reason=_describe_missing_value(operation))
        return
    cases: list[ConformanceCase] = []
    if all_exist:
        cases += _iterate_valid_and_invalid_cases(
            operation, request, target, is_emulated=is_emulated, include_billable_cases=include_billable_cases
        )
    cases += plan_authentication_cases(operation, request, None) if operation.needs_key else []
    yield from cases
    if is_emulated:
        yield from plan_rejection_reason_cases(operation, request, None, cases)
    if not all_exist:
        yield _build_unknown_id_case(operation, request)


def _set_target_constants(request: RequestParts | None, target: AudioInputTarget | None) -> RequestParts | None:
    """Return `request` with the constants of `target`, if there is one, in its body; `None` without a request."""
    if request is None or target is None:
        return request
    for location, value in target.target_spec.request_constants.items():
        if location.is_in_body:
            request = set_body_value(request, location.pointer_tokens, value)
    return request


def _build_unknown_id_case(operation: Operation, request: RequestParts) -> ConformanceCase | SkippedCase:
    """Return the case of a request for something that does not exist; skipped if no document states the response."""
    statuses = find_rejection_statuses(operation, "not-found")
    if not statuses:
        reason = "the document does not state the response to an unknown id"
        return SkippedCase(id=build_operation_name(operation), skip_reason=reason)
    expected = ExpectedResponse(
        acceptance="rejected",
        statuses=statuses,
        case_kind="unknown-id",
        description="an id that does not exist",
        contract_pointer=operation.pointer,
    )
    return build_case(operation, expected, request=request)


def _iterate_valid_and_invalid_cases(
    operation: Operation,
    request: RequestParts,
    target: AudioInputTarget | None,
    *,
    is_emulated: bool,
    include_billable_cases: bool,
) -> Iterator[ConformanceCase]:
    """Yield the cases of an operation whose requests need no existing id: a valid request, boundary values, uploads.

    `request` is a valid request to it. See `plan_operation_cases` for the other arguments; `target` is `None` for
    requests as the schema alone requires them.
    """
    yield build_case(operation, expect_acceptance("a plain request", operation.pointer), request=request)
    yield from plan_parameter_cases(operation, request, None)
    yield from plan_body_cases(operation, request, None)
    for media in list(operation.request_media.values())[1:]:
        if operation.audio_input is not None and not (is_json(media.name) or is_form(media.name)):
            continue  # the audio alone: the cases of recordings send it
        other = _set_target_constants(build_minimal_request(operation, media), target)
        if other is not None:
            expected = expect_acceptance(f"a plain request as {media.name}", media.pointer)
            yield build_case(operation, expected, request=other)
            for case in plan_body_cases(operation, other, None):
                yield msgspec.structs.replace(case, id=f"{case.id} ({media.name})")
    body = request.body if isinstance(request.body, dict) else {}
    for field in operation.limits.upload_limits:
        if isinstance(body.get(field), UploadedFile):
            yield from plan_upload_cases(operation, request, field, None, is_emulated=is_emulated)
    lifecycle = _build_lifecycle_case(operation, varies_requests_that_use_resource=include_billable_cases)
    yield from [lifecycle] if lifecycle is not None else []


def build_resource_pointer(operation: Operation) -> str:
    """Return the JSON pointer to the `x-resource` of `operation`, on which its lifecycle case is based."""
    return f"{operation.pointer}/x-resource"


def _build_lifecycle_case(operation: Operation, *, varies_requests_that_use_resource: bool) -> ConformanceCase | None:
    """Return the case that follows the resource that `operation` creates, or the job without audio that it starts.

    The result is `None` if the operation does neither, or if no valid request to it is known. Only the first
    request is planned, because the later requests need the id that the service returns.

    Args:
        operation: the operation that may create a resource.
        varies_requests_that_use_resource: value of `ConformanceCase.varies_requests_that_use_resource`.
    """
    resource, request = operation.resource, build_minimal_request(operation)
    if operation.submit is not None:
        request, _ = build_operation_request(operation)
    if request is not None and operation.submit is not None:
        expected = expect_acceptance("a job, polled to its end", f"{operation.pointer}/x-submit")
        return build_case(operation, expected, request=request, is_lifecycle=True)
    if resource is None or request is None:
        return None
    expected = expect_acceptance(f"the lifecycle of a {resource.display_name}", build_resource_pointer(operation))
    return build_case(
        operation,
        expected,
        request=request,
        is_lifecycle=True,
        varies_requests_that_use_resource=varies_requests_that_use_resource,
        # It costs nothing: what is charged is only sent after the deletion, and then rejected.
        is_in_every_plan=resource.deletion is not None and not is_billable(operation),
    )


def mark_billable_cases(cases: Iterable[ConformanceCase | SkippedCase]) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the `cases` of a billable operation, with `calls_billable_operation` set.

    The case of the first valid request in each media type also gets `is_in_every_plan`.
    """
    shown: set[str | None] = set()
    for case in cases:
        if isinstance(case, SkippedCase):
            yield case
            continue
        media_type = case.request.media_type if case.request is not None else None
        is_first = case.expected_response.case_kind == "valid" and media_type not in shown
        shown |= {media_type} if is_first else set()
        yield msgspec.structs.replace(case, calls_billable_operation=True, is_in_every_plan=is_first)
