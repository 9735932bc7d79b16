"""Plans requests that name a webhook URL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from voicegauge.cases.case import (
    CallbackUrlParameter,
    ConformanceCase,
    SkippedCase,
    expect_acceptance,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import add_headers, set_body_value
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import Contract
from voicegauge.contract.extension.jobs import CallbackTiming, WebhookUrlField
from voicegauge.contract.operation import Operation
from voicegauge.formats.locations import Location
from voicegauge.rules.call import ExpectedResponse

UNENCRYPTED_CALLBACK_URL = "http://webhook.invalid/plain"
"""A webhook URL without TLS. Names in .invalid never resolve (RFC 6761), so no callback is delivered if a service
accepts the URL by mistake."""


def add_webhook_cases(
    cases: Iterable[ConformanceCase | SkippedCase], contracts: Mapping[str, Contract]
) -> Iterator[ConformanceCase | SkippedCase]:
    """Yield `cases`, and for each operation with `x-webhook` further cases that contain a webhook URL.

    The further cases follow the first delivery, or representative case, of the operation and differ only in the URL.

    Args:
        cases: the planned cases.
        contracts: the contracts of the providers of `cases`, by provider id.
    """
    seen: set[tuple[str, str]] = set()
    for case in cases:
        yield case
        if isinstance(case, SkippedCase) or case.expects_job_failure:
            continue
        if case.speech_request is None and not case.is_in_every_plan:
            continue
        operation = contracts[case.provider].find_operation(case.operation)
        if operation.webhook is not None and (case.provider, case.operation) not in seen:
            seen.add((case.provider, case.operation))
            yield from _iterate_webhook_cases(case, operation)


def _iterate_webhook_cases(base_case: ConformanceCase, operation: Operation) -> Iterator[ConformanceCase]:
    """Yield `base_case` with a webhook URL in each documented mode, and with an http URL if https is required."""
    assert operation.webhook is not None
    name = base_case.id.partition(":")[0]
    for index, url in enumerate(operation.webhook.url_fields):
        for mode, posts in _iterate_callback_modes(url):
            description = f"a webhook at {url.location}{f' in mode {mode}' if mode else ''}"
            expected = expect_acceptance(description, f"{operation.pointer}/x-webhook/url_fields/{index}")
            case = (
                base_case
                if url.mode_field is None or mode is None
                else set_value_in_case_request(base_case, url.mode_field.location, mode)
            )
            yield msgspec.structs.replace(
                case,
                id=f"{name}: {description}",
                expected_response=expected,
                callback_url_parameter=CallbackUrlParameter(location=url.location, callback_timing=posts),
                is_in_every_plan=False,
            )
        if operation.webhook.requires_https:
            yield _build_plain_http_case(base_case, operation, name, url.location)


def _build_plain_http_case(
    base_case: ConformanceCase, operation: Operation, case_name: str, location: Location
) -> ConformanceCase:
    expected = ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(operation, "invalid"),
        case_kind="plain-http",
        description=f"a webhook with plain http at {location}",
        contract_pointer=f"{operation.pointer}/x-webhook/requires_https",
    )
    return msgspec.structs.replace(
        base_case,
        id=f"{case_name}: {expected.description}",
        expected_response=expected,
        request=_build_request_of_case(
            set_value_in_case_request(base_case, location, UNENCRYPTED_CALLBACK_URL), operation
        ),
        speech_request=None,
        is_in_every_plan=False,
    )


def _iterate_callback_modes(url_field: WebhookUrlField) -> Iterator[tuple[str | None, CallbackTiming]]:
    """Yield each value of the mode field with the callbacks that the value asks for.

    Without a mode field, the only value is `None`, and the callback about the end is expected.
    """
    if url_field.mode_field is None:
        yield None, "terminal"
    else:
        yield from url_field.mode_field.timing_by_value.items()


def set_value_in_case_request(case: ConformanceCase, location: Location, value: str) -> ConformanceCase:
    """Return `case` with `value` at a location of its request."""
    if case.speech_request is not None:
        speech = msgspec.structs.replace(case.speech_request, extra={**case.speech_request.extra, str(location): value})
        return msgspec.structs.replace(case, speech_request=speech)
    assert case.request is not None, "a case has speech or a request"
    if location.message_part == "header":
        request = add_headers(case.request, {location.name: value})
    elif location.message_part == "body":
        request = set_body_value(case.request, location.pointer_tokens, value)
    else:
        request = msgspec.structs.replace(
            case.request, query_parameters={**case.request.query_parameters, location.name: value}
        )
    return msgspec.structs.replace(case, request=request)


def _build_request_of_case(case: ConformanceCase, operation: Operation) -> RequestParts | None:
    """Return the request of a case; for a delivery, the request that asks for its speech."""
    if case.speech_request is None:
        return case.request
    assert case.target_name is not None, "a delivery has a target"
    return map_speech_request(operation.contract.find_target_by_name(case.target_name), case.speech_request)
