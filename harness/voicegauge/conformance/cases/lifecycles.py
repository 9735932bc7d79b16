"""Cases that follow a resource or a batch from its creation to its end.

Only their first request is planned: the later ones need ids that the service hands out.
"""

from __future__ import annotations

from voicegauge.client import RequestParts
from voicegauge.conformance.cases.case import ConformanceCase, expect_accepted, make_case
from voicegauge.conformance.cases.valid_requests import minimal_request, text_characters, with_value
from voicegauge.contract import Operation, Target

BATCH_ITEMS = 3
"""Enough that some items have ended while others are still being processed."""


def resource_case(operation: Operation, *, vary_other_fields: bool) -> ConformanceCase | None:
    """Return the case that follows the resource that `operation` creates; `None` if it creates none.

    `None` also where no valid request to the operation is known.

    Args:
        operation: the operation that may create a resource.
        vary_other_fields: as in `ConformanceCase`.
    """
    resource, request = operation.resource, minimal_request(operation)
    if resource is None or request is None:
        return None
    expected = expect_accepted(f"the lifecycle of a {resource.name}", f"{operation.pointer}/x-resource")
    return make_case(operation, expected, request=request, is_lifecycle=True, vary_other_fields=vary_other_fields)


def batch_case(target: Target, request: RequestParts) -> ConformanceCase | None:
    """Return the case that repeats the one item of `request`; `None` if the operation takes no batches."""
    operation = target.operation
    if operation.batch is None:
        return None
    items = operation.batch.items
    batch = with_value(request, items.tokens, [items.child("0").read_body(request.body)] * BATCH_ITEMS)
    return make_case(
        operation,
        expect_accepted(f"a batch of {BATCH_ITEMS}, polled to its end", f"{operation.pointer}/x-batch"),
        target=target.name,
        request=batch,
        text_characters=text_characters(operation, batch),
        is_lifecycle=True,
    )
