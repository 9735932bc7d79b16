"""Plans cases beyond single responses: webhooks, and turns, interruptions and wrong keys on WebSockets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from voicegauge.cases.case import (
    ApiKeyValidity,
    CallbackUrlParameter,
    ConformanceCase,
    SkippedCase,
    SocketScenario,
    expect_acceptance,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import add_headers, load_spoken_sentence, set_body_value
from voicegauge.client.speech_request import RequestParts, map_speech_request
from voicegauge.contract.contract import BaseSocketTarget, Contract, SocketTarget, TranscriptionSocketTarget
from voicegauge.contract.extension.jobs import CallbackTiming, WebhookUrlField
from voicegauge.contract.operation import Operation
from voicegauge.formats.locations import Location
from voicegauge.model.exchange import TRAILING_SILENCE_S
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
    """Return the request of a case: of a delivery, the submit; `None` if the case has none."""
    if case.speech_request is None:
        return case.request
    assert case.target_name is not None, "a delivery has a target"
    return map_speech_request(operation.contract.find_target_by_name(case.target_name), case.speech_request)


TEXT_LANGUAGE = "en"
"""Language of the texts of all turns."""
TURN_TEXT = "Good morning. This is a short test of a long story. We will begin with seven small boats."
"""The text of most turns: three sentences, so that a service begins before the end."""
SIMULTANEOUS_TURN_TEXT = "Please remember the yellow umbrella. Nobody saw where the old piano went."
"""Text of a turn that is spoken at the same time as another turn."""
LONG_TEXT = (
    "The train to the coast leaves from platform nine every morning. It stops in four villages on the way. "
    "Passengers with bicycles should board the last carriage. The journey takes about two hours in good weather."
)
"""Text of a turn that is interrupted."""
ANSWER_TEXT = "Of course, I will wait here."
"""Text of the turn after an interruption."""
INTERRUPTION_COUNT = 20
"""Number of interruptions in a row."""
STREAMED_TURN_COUNT = 2
"""Number of recordings that are streamed one after the other on one connection."""
_LIVE_INTERRUPTION_COUNT = 3
"""Number of interrupted turns at a live service that charges for each turn, unless the user requests all valid
requests."""


def plan_socket_cases(
    target: SocketTarget, *, is_emulated: bool, include_all_billable_cases: bool
) -> Iterator[ConformanceCase]:
    """Yield the cases of a target.

    Args:
        target: the target.
        is_emulated: whether the emulator responds, at which nothing is charged.
        include_all_billable_cases: whether more than the turns of one connection are planned.
    """
    spec = target.spec
    if target.needs_key or spec.sends_key_in_message:
        yield _build_key_case(target, "missing")
        yield _build_key_case(target, "wrong")
    turns = 2 + ("flush" in spec.client_messages and spec.turn.ends_with != "flush-end")
    yield _build_socket_case(target, SocketScenario(kind="turns", turn_count=turns), "turns", TURN_TEXT * turns)
    if not include_all_billable_cases:
        return
    if spec.has_contexts:
        text = (TURN_TEXT + SIMULTANEOUS_TURN_TEXT) * 2
        yield _build_socket_case(target, SocketScenario(kind="parallel", turn_count=4), "two turns at once", text)
    default = next(iter(target.target_spec.formats))
    for name in target.target_spec.formats:
        if name != default:
            scenario = SocketScenario(kind="format", format_name=name, turn_count=2)
            yield _build_socket_case(target, scenario, f"a turn as {name}", TURN_TEXT * 2)
    if target.can_be_interrupted:
        count = INTERRUPTION_COUNT if is_emulated else _LIVE_INTERRUPTION_COUNT
        scenario = SocketScenario(kind="interruptions", interruption_count=count, turn_count=1 + 2 * count)
        text = ANSWER_TEXT + (LONG_TEXT + ANSWER_TEXT) * count
        yield _build_socket_case(target, scenario, f"{count} interruptions", text)
    if spec.limits.contexts is not None and spec.limits.contexts.close_code is not None and is_emulated:
        yield _build_socket_case(target, SocketScenario(kind="contexts"), "more contexts than allowed", "")


def plan_transcription_cases(
    target: TranscriptionSocketTarget, *, include_all_billable_cases: bool
) -> Iterator[ConformanceCase]:
    """Yield the cases of a target that transcribes.

    Args:
        target: the target.
        include_all_billable_cases: whether every documented format is streamed, not only the first.
    """
    if target.needs_key or target.spec.sends_key_in_message:
        yield _build_key_case(target, "missing")
        yield _build_key_case(target, "wrong")
    sentence = load_spoken_sentence()
    for number, name in enumerate(target.target_spec.formats):
        if number and not include_all_billable_cases:
            break
        turns = 1 if number else STREAMED_TURN_COUNT
        description = f"a recording as {name}" if number else "recordings"
        yield ConformanceCase(
            id=f"{target.id}: {description}",
            provider=target.contract.id,
            operation=target.operation.id,
            target_name=target.name,
            expected_response=expect_acceptance(description, f"{target.operation.pointer}/x-socket"),
            socket_scenario=SocketScenario(kind="transcription", format_name=name, turn_count=turns),
            audio_duration_s=turns * (sentence.audio_duration_s + TRAILING_SILENCE_S),
            is_in_every_plan=not number,
        )


def _build_socket_case(target: SocketTarget, scenario: SocketScenario, description: str, text: str) -> ConformanceCase:
    expected = expect_acceptance(description, f"{target.operation.pointer}/x-socket")
    return ConformanceCase(
        id=f"{target.id}: {description}",
        provider=target.contract.id,
        operation=target.operation.id,
        target_name=target.name,
        expected_response=expected,
        socket_scenario=scenario,
        text_character_count=target.count_charged_characters(text),
        is_in_every_plan=scenario.kind == "turns",
    )


def _build_key_case(target: BaseSocketTarget, validity: ApiKeyValidity) -> ConformanceCase:
    description = "no API key" if validity == "missing" else "a wrong API key"
    expected = ExpectedResponse(
        acceptance="rejected",
        statuses=find_rejection_statuses(target.operation, "unauthorized"),
        case_kind="authentication",
        description=description,
        contract_pointer=target.operation.pointer,
    )
    return ConformanceCase(
        id=f"{target.id}: {description}",
        provider=target.contract.id,
        operation=target.operation.id,
        target_name=target.name,
        expected_response=expected,
        api_key_validity=validity,
        socket_scenario=SocketScenario(kind="key"),
    )
