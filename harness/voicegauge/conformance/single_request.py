"""Makes the case of a single request that is sent outside of a plan: a random request, or one from a test."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from voicegauge.client import RequestParts, map_speech_request
from voicegauge.conformance.cases import (
    ConformanceCase,
    build_case,
    build_valid_speech_request,
    count_charged_characters,
    expect_acceptance,
    expect_rejection_as_invalid,
    set_body_value,
)
from voicegauge.contract import MISSING, Target

ExpectedAcceptance = Literal["accepted", "rejected"]


def build_request_case(
    target: Target, request: RequestParts, expected_acceptance: ExpectedAcceptance, description: str
) -> ConformanceCase:
    """Return the case of a random request, or of a request that a test sends.

    Args:
        target: the target of the request.
        request: the request.
        expected_acceptance: whether it should be accepted or rejected.
        description: what is special about the request.
    """
    operation = target.operation
    pointer = f"{operation.pointer}/requestBody"
    if expected_acceptance == "accepted":
        expected = expect_acceptance(description, pointer)
    else:
        expected = expect_rejection_as_invalid(operation, description, pointer)
    case = build_case(
        operation,
        expected,
        target_name=target.name,
        request=request,
        text_character_count=count_charged_characters(operation, request),
        is_fuzzed=True,
    )
    # A planned case may have the same description.
    return msgspec.structs.replace(case, id=f"{operation.contract.id}/{operation.id}: fuzzing, {description}")


def build_modified_request(
    target: Target, changed_fields: Mapping[str, Any], removed_fields: Iterable[str]
) -> RequestParts:
    """Return a plain valid request to `target`, with fields of its body changed or removed.

    Raises:
        UsageError: no valid request to the target is known.
    """
    request = map_speech_request(target, build_valid_speech_request(target))
    for name, value in changed_fields.items():
        request = set_body_value(request, (name,), value)
    for name in removed_fields:
        request = set_body_value(request, (name,), MISSING)
    return request
