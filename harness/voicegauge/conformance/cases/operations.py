"""Plans cases of operations without speech targets: status, lists, health, downloads, chat, creation of resources."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.bodies import plan_body_cases
from voicegauge.conformance.cases.case import (
    ConformanceCase,
    SkippedCase,
    build_case,
    build_operation_name,
    expect_acceptance,
    find_rejection_statuses,
)
from voicegauge.conformance.cases.parameters import build_operation_request, plan_parameter_cases
from voicegauge.conformance.cases.rejections import plan_authentication_cases, plan_rejection_reason_cases
from voicegauge.conformance.cases.uploads import plan_upload_cases
from voicegauge.conformance.cases.valid_requests import build_minimal_request, set_body_value
from voicegauge.contract import AudioInputTarget, Operation
from voicegauge.model import UploadedFile


def plan_operation_cases(
    operation: Operation, target: AudioInputTarget | None = None, *, is_emulated: bool, include_billable_cases: bool
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield the cases of an operation without speech targets.

    Args:
        operation: the operation that is called.
        target: the audio input target whose constants requests contain; `None` for requests as the schema alone
            requires them.
        is_emulated: whether the emulator responds, which rejects a request for a given reason on demand.
        include_billable_cases: whether further billable requests are planned.
    """
    request, all_exist = build_operation_request(operation)
    request = _set_target_constants(request, target)
    if request is None:
        yield SkippedCase(id=build_operation_name(operation), skip_reason="no value is known for a required parameter")
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
    """Return `request` with the constants of `target` in its body."""
    if request is None or target is None:
        return request
    for location, value in target.target_spec.request_constants.items():
        if location.is_in_body:
            request = set_body_value(request, location.pointer_tokens, value)
    return request


def _build_unknown_id_case(operation: Operation, request: RequestParts) -> ConformanceCase | SkippedCase:
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
    """Yield the cases of an operation whose requests need no existing id: a valid request, boundary values, uploads."""
    yield build_case(operation, expect_acceptance("a plain request", operation.pointer), request=request)
    yield from plan_parameter_cases(operation, request, None)
    yield from plan_body_cases(operation, request, None)
    for media in list(operation.request_media.values())[1:]:
        other = _set_target_constants(build_minimal_request(operation, media), target)
        if other is not None:
            expected = expect_acceptance(f"a plain request as {media.name}", media.pointer)
            yield build_case(operation, expected, request=other)
            for case in plan_body_cases(operation, other, None):
                yield msgspec.structs.replace(case, id=f"{case.id} ({media.name})")
    yield from _iterate_upload_limit_cases(operation, request, is_emulated=is_emulated)
    lifecycle = _build_lifecycle_case(operation, varies_requests_that_use_resource=include_billable_cases)
    yield from [lifecycle] if lifecycle is not None else []


def _build_lifecycle_case(operation: Operation, *, varies_requests_that_use_resource: bool) -> ConformanceCase | None:
    """Return the case that follows the resource that `operation` creates, or the job without audio that it starts.

    The result is `None` if the operation does neither, or if no valid request to it is known. Only the first
    request is planned, because the later requests need the id that the service returns.

    Args:
        operation: the operation that may create a resource.
        varies_requests_that_use_resource: value of `ConformanceCase.varies_requests_that_use_resource`.
    """
    resource, request = operation.resource, build_minimal_request(operation)
    if request is not None and operation.submit is not None:
        expected = expect_acceptance("a job, polled to its end", f"{operation.pointer}/x-submit")
        return build_case(operation, expected, request=request, is_lifecycle=True)
    if resource is None or request is None:
        return None
    expected = expect_acceptance(f"the lifecycle of a {resource.display_name}", f"{operation.pointer}/x-resource")
    return build_case(
        operation,
        expected,
        request=request,
        is_lifecycle=True,
        varies_requests_that_use_resource=varies_requests_that_use_resource,
    )


def _iterate_upload_limit_cases(
    operation: Operation, request: RequestParts, *, is_emulated: bool
) -> Iterator[ConformanceCase]:
    body = request.body if isinstance(request.body, dict) else {}
    for field in operation.limits.upload_limits:
        if isinstance(body.get(field), UploadedFile):
            yield from plan_upload_cases(operation, request, field, None, is_emulated=is_emulated)


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
