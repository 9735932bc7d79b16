"""Finds out which requests the lifecycle of a resource sends if all are accepted, without sending any.

The lifecycle itself is carried out, with made-up responses. So the plan that a user sees before paying is that of the
check, whatever a contract says about the resource.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

from voicegauge.cases.case import ConformanceCase
from voicegauge.client.speech_request import RequestParts
from voicegauge.conformance._resource_lifecycle import CallingAccount, ResourceLifecycle
from voicegauge.contract.contract import Contract
from voicegauge.contract.operation import Operation
from voicegauge.errors import UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import Exchange, Request, Response

_RESOURCE_ID = "planned"


class LifecycleStep(NamedTuple):
    """One request of a lifecycle."""

    operation: Operation
    request: RequestParts


def is_resource_lifecycle(contract: Contract, case: ConformanceCase) -> bool:
    """Whether `case` follows a resource, such as a saved voice, and not a job or a batch."""
    operation = contract.find_operation(case.operation)
    return (
        case.is_lifecycle and case.target_name is None and operation.resource is not None and operation.submit is None
    )


def plan_lifecycle(contract: Contract, case: ConformanceCase, *, is_emulated: bool) -> list[LifecycleStep]:
    """Return what a case for which `is_resource_lifecycle` is true sends if all of it is accepted.

    The list ends where no request is known, which is where the lifecycle ends too.

    Args:
        contract: the contract of the case.
        case: the case.
        is_emulated: whether the emulator responds, which has a second account.
    """
    steps: list[LifecycleStep] = []

    async def note_step(
        operation: Operation, request: RequestParts, calling_account: CallingAccount, server_name: str | None
    ) -> Exchange:
        del calling_account, server_name
        steps.append(LifecycleStep(operation, request))
        return _accept(operation, creating_operation)

    creating_operation = contract.find_operation(case.operation)
    assert case.request is not None, "a lifecycle begins with a request"
    lifecycle = ResourceLifecycle(
        creating_operation,
        note_step,
        can_use_other_account=is_emulated,
        varies_requests_that_use_resource=case.varies_requests_that_use_resource,
    )
    with contextlib.suppress(UsageError):
        _run_to_end(lifecycle.iterate_subjects(case.request))
    return steps


def _accept(operation: Operation, creating_operation: Operation) -> Exchange:
    """Return an exchange with an accepted request, whose response has the id of the resource."""
    assert creating_operation.resource is not None, "only called for operations with x-resource"
    location = creating_operation.resource.id_location
    status = next((int(status) for status in operation.responses if status.startswith("2") and status.isdecimal()), 200)
    headers = [("Content-Type", "application/json")]
    if not location.is_in_body:
        headers.append((location.name, _RESOURCE_ID))
    return Exchange(
        provider=operation.contract.id,
        operation=operation.id,
        request=Request(method=operation.method, url=f"https://planned.invalid{operation.path}"),
        response=Response(status=status, headers=tuple(headers), body=json.dumps(_build_body(location)).encode()),
    )


def _build_body(location: Location) -> Any:
    body: Any = _RESOURCE_ID
    for token in reversed(location.pointer_tokens if location.is_in_body else ()):
        body = [body] if token.isdecimal() else {token: body}
    return body if isinstance(body, dict | list) else {}


def _run_to_end(subjects: AsyncIterator[Any]) -> None:
    """Run an asynchronous iterator that never waits, without an event loop."""
    while True:
        try:
            subjects.__anext__().__await__().__next__()
        except StopIteration:
            continue
        except StopAsyncIteration:
            return
