"""Plans what a check does on WebSockets: turns whose speech can be compared, interruptions, and wrong keys."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.cases.case import (
    ApiKeyValidity,
    ConformanceCase,
    SocketScenario,
    expect_acceptance,
    find_rejection_statuses,
)
from voicegauge.cases.valid_requests import load_spoken_sentence
from voicegauge.contract.targets import BaseSocketTarget, SocketTarget, TranscriptionSocketTarget
from voicegauge.model.socket import TRAILING_SILENCE_S
from voicegauge.rules.call import ExpectedResponse

TURN_TEXT = "Good morning. This is a short test of a long story. We will begin with seven small boats."
"""The text of most turns: three sentences, so that a service begins before the end."""
OTHER_TEXT = "Please remember the yellow umbrella. Nobody saw where the old piano went."
"""Text of a turn that is spoken at the same time."""
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
    yield _build_case(target, SocketScenario(kind="turns", turn_count=turns), "turns", TURN_TEXT * turns)
    if not include_all_billable_cases:
        return
    if spec.has_contexts:
        text = (TURN_TEXT + OTHER_TEXT) * 2
        yield _build_case(target, SocketScenario(kind="parallel", turn_count=4), "two turns at once", text)
    default = next(iter(target.target_spec.formats))
    for name in target.target_spec.formats:
        if name != default:
            scenario = SocketScenario(kind="format", format_name=name, turn_count=2)
            yield _build_case(target, scenario, f"a turn as {name}", TURN_TEXT * 2)
    if target.can_be_interrupted:
        count = INTERRUPTION_COUNT if is_emulated else _LIVE_INTERRUPTION_COUNT
        scenario = SocketScenario(kind="interruptions", interruption_count=count, turn_count=1 + 2 * count)
        text = ANSWER_TEXT + (LONG_TEXT + ANSWER_TEXT) * count
        yield _build_case(target, scenario, f"{count} interruptions", text)
    if spec.limits.contexts is not None and spec.limits.contexts.close_code is not None and is_emulated:
        yield _build_case(target, SocketScenario(kind="contexts"), "more contexts than allowed", "")


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


def _build_case(target: SocketTarget, scenario: SocketScenario, description: str, text: str) -> ConformanceCase:
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
