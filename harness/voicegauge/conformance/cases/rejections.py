"""Plans cases that a service should reject for a reason other than an invalid request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import get_args

from voicegauge.checks import ExpectedResponse
from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase, build_case, find_rejection_statuses
from voicegauge.conformance.cases.valid_requests import add_headers
from voicegauge.contract import Operation, Target
from voicegauge.contract.extension import RejectionReason
from voicegauge.emulator import SCENARIO_HEADER

EMULATED_REJECTION_REASONS: tuple[RejectionReason, ...] = get_args(RejectionReason)
"""The reasons for which the emulator rejects a request on demand."""
_CASE_KIND_BY_REJECTION_REASON: dict[RejectionReason, str] = {"invalid": "invalid", "unauthorized": "authentication"}
"""For a rejection reason, the kind of cases that test it with a request that really is invalid or unauthorized."""


def plan_authentication_cases(
    operation: Operation, request: RequestParts, target: Target | None
) -> Iterator[ConformanceCase]:
    """Yield a request without a key and one with a wrong key."""
    pointer = f"{operation.pointer}/security" if "security" in operation.part_data else "/security"
    statuses = find_rejection_statuses(operation, "unauthorized")
    for key, description in (("missing", "a request without a key"), ("wrong", "a request with a wrong key")):
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
        target: the target of the request.
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
