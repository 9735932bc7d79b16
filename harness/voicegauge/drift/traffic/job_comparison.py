"""Compares the jobs of two recordings: their states, the order of the states, their outcome and their charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, build_change
from voicegauge.drift.traffic.preparation import ConversationPair, RecordedExchange, iterate_job_states
from voicegauge.formats import Location

_ExchangeByStatePair = dict[tuple[str, str], RecordedExchange]
"""By two states that a job had one after the other: an exchange that reports the second state."""


def compare_job_states(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each new job state, changed order of states, and job that ends in another state."""
    old_states = {
        state
        for pair in conversation_pairs
        for recorded_exchange in pair.old_conversation
        if (state := recorded_exchange.job_state)
    }
    reported: set[str] = set()
    for pair in conversation_pairs:
        for recorded_exchange, state in iterate_job_states(pair.new_conversation):
            is_documented = recorded_exchange.job_spec is not None and state in recorded_exchange.job_spec.states
            if state not in old_states and not is_documented and state not in reported:
                reported.add(state)
                yield _build_job_change(
                    "recorded-state-new", pair.old_conversation[-1], recorded_exchange, {"new": state}
                )
        yield from _compare_final_states(pair, reported)
    yield from _compare_state_orders(conversation_pairs)


def _compare_final_states(
    conversation_pair: ConversationPair, states_already_reported: set[str]
) -> Iterator[DriftChange]:
    old, new = (
        _find_exchange_with_final_state(conversation_pair.old_conversation),
        _find_exchange_with_final_state(conversation_pair.new_conversation),
    )
    if (
        old is not None
        and new is not None
        and old.job_state != new.job_state
        and new.job_state not in states_already_reported
    ):
        yield _build_job_change("recorded-outcome-changed", old, new, {"old": old.job_state, "new": new.job_state})


def _find_exchange_with_final_state(conversation: Sequence[RecordedExchange]) -> RecordedExchange | None:
    """Return the exchange that reports the terminal state of a job; `None` if the recording ends before the job.

    An undocumented state counts as terminal, because nothing is known about it.
    """
    recorded_exchange = next((one for one in reversed(conversation) if one.job_state is not None), None)
    if recorded_exchange is None or recorded_exchange.job_spec is None or recorded_exchange.job_state is None:
        return None
    state = recorded_exchange.job_spec.states.get(recorded_exchange.job_state)
    return recorded_exchange if state is None or state.terminal_outcome is not None else None


def _compare_state_orders(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    old, new = (
        _collect_state_orders(pair.old_conversation for pair in conversation_pairs),
        _collect_state_orders(pair.new_conversation for pair in conversation_pairs),
    )
    for (first, second), recorded_exchange in new.items():
        if (second, first) in old and (first, second) not in old and (second, first) not in new:
            values = {"old": [second, first], "new": [first, second]}
            yield _build_job_change("recorded-state-order-changed", old[second, first], recorded_exchange, values)


def _collect_state_orders(conversations: Iterator[Sequence[RecordedExchange]]) -> _ExchangeByStatePair:
    found: _ExchangeByStatePair = {}
    for conversation in conversations:
        for (_, first), (recorded_exchange, second) in combinations(iterate_job_states(conversation), 2):
            if first != second:
                found.setdefault((first, second), recorded_exchange)
    return found


def _build_job_change(
    rule_id: str, old_exchange: RecordedExchange, new_exchange: RecordedExchange, message_values: Mapping[str, object]
) -> DriftChange:
    return build_change(
        rule_id,
        location=f"{new_exchange.status} {new_exchange.state_location}",
        operation_id=new_exchange.operation_id,
        old_position=old_exchange.find_position("/response/content/text"),
        new_position=new_exchange.find_position("/response/content/text"),
        message_values=message_values,
    )


def find_charge_locations(recorded_exchange: RecordedExchange) -> Iterator[Location]:
    """Yield the locations of charges in a response of a synthesis, audio input, job or chat operation."""
    operation = recorded_exchange.operation
    if operation is None or recorded_exchange.status >= 300:
        return
    uses = [use.response.charge_location for use in (operation.speech, operation.audio_input) if use is not None]
    whole = [spec.charge_location for spec in (operation.job, operation.chat) if spec is not None]
    yield from (location for location in (*uses, *whole) if location is not None)


def compare_charges(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each response to an identical request that reports another charge."""
    for pair in conversation_pairs:
        if not pair.has_identical_requests:
            continue
        old_charges = {
            (recorded_exchange.operation_id, location, recorded_exchange.job_state): recorded_exchange
            for recorded_exchange in pair.old_conversation
            for location in find_charge_locations(recorded_exchange)
        }
        for new in pair.new_conversation:
            for location in find_charge_locations(new):
                old = old_charges.get((new.operation_id, location, new.job_state))
                if old is not None:
                    yield from _compare_charge_at(old, new, location)


def _compare_charge_at(
    old_exchange: RecordedExchange, new_exchange: RecordedExchange, location: Location
) -> Iterator[DriftChange]:
    before, after = old_exchange.read_response_value(location), new_exchange.read_response_value(location)
    if MISSING not in (before, after) and before != after:
        yield build_change(
            "recorded-charge-changed",
            location=f"{new_exchange.status} {location}",
            operation_id=new_exchange.operation_id,
            old_position=old_exchange.find_position("/response/content/text"),
            new_position=new_exchange.find_position("/response/content/text"),
            message_values={"old": before, "new": after},
        )
