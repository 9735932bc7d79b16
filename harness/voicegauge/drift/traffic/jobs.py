"""Compares the jobs of two recordings: their states, the order of the states, their outcome and their charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import ConversationPair, RecordedExchange, job_states
from voicegauge.formats import Location

_StateOrder = dict[tuple[str, str], RecordedExchange]
"""Pairs of an earlier and a later state of one job, each with an exchange that reports the later state."""


def state_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each new job state, changed order of states, and job that ends in another state."""
    old_states = {state for pair in pairs for recorded_exchange in pair.old if (state := recorded_exchange.state)}
    reported: set[str] = set()
    for pair in pairs:
        for recorded_exchange, state in job_states(pair.new):
            is_documented = recorded_exchange.job is not None and state in recorded_exchange.job.states
            if state not in old_states and not is_documented and state not in reported:
                reported.add(state)
                yield _make_change("recorded-state-new", pair.old[-1], recorded_exchange, {"new": state})
        yield from _compare_outcomes(pair, reported)
    yield from _compare_orders(pairs)


def _compare_outcomes(pair: ConversationPair, reported: set[str]) -> Iterator[DriftChange]:
    old, new = _last_report(pair.old), _last_report(pair.new)
    if old is not None and new is not None and old.state != new.state and new.state not in reported:
        yield _make_change("recorded-outcome-changed", old, new, {"old": old.state, "new": new.state})


def _last_report(conversation: Sequence[RecordedExchange]) -> RecordedExchange | None:
    """Return the exchange that reports the last state of the job; `None` if the job was still in progress.

    An undocumented state counts as terminal, because nothing is known about it.
    """
    recorded_exchange = next((one for one in reversed(conversation) if one.state is not None), None)
    if recorded_exchange is None or recorded_exchange.job is None or recorded_exchange.state is None:
        return None
    state = recorded_exchange.job.states.get(recorded_exchange.state)
    return recorded_exchange if state is None or state.end is not None else None


def _compare_orders(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    old, new = _state_orders(pair.old for pair in pairs), _state_orders(pair.new for pair in pairs)
    for (first, second), recorded_exchange in new.items():
        if (second, first) in old and (first, second) not in old and (second, first) not in new:
            values = {"old": [second, first], "new": [first, second]}
            yield _make_change("recorded-state-order-changed", old[second, first], recorded_exchange, values)


def _state_orders(conversations: Iterator[Sequence[RecordedExchange]]) -> _StateOrder:
    found: _StateOrder = {}
    for conversation in conversations:
        for (_, first), (recorded_exchange, second) in combinations(job_states(conversation), 2):
            if first != second:
                found.setdefault((first, second), recorded_exchange)
    return found


def _make_change(rule: str, old: RecordedExchange, new: RecordedExchange, values: Mapping[str, object]) -> DriftChange:
    return make_change(
        rule,
        location=f"{new.status} {new.state_location}",
        operation=new.operation_id,
        old=old.position("/response/content/text"),
        new=new.position("/response/content/text"),
        values=values,
    )


def charge_locations(recorded_exchange: RecordedExchange) -> Iterator[Location]:
    """Yield the locations of charges in a response of a synthesis, audio input, job or chat operation."""
    operation = recorded_exchange.operation
    if operation is None or recorded_exchange.status >= 300:
        return
    uses = [use.response.charged for use in (operation.speech, operation.audio_input) if use is not None]
    whole = [spec.charged for spec in (operation.job, operation.chat) if spec is not None]
    yield from (location for location in (*uses, *whole) if location is not None)


def charge_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each response to an identical request that reports another charge."""
    for pair in pairs:
        if not pair.is_identical_request:
            continue
        old_charges = {
            (recorded_exchange.operation_id, location, recorded_exchange.state): recorded_exchange
            for recorded_exchange in pair.old
            for location in charge_locations(recorded_exchange)
        }
        for new in pair.new:
            for location in charge_locations(new):
                old = old_charges.get((new.operation_id, location, new.state))
                if old is not None:
                    yield from _compare_charges(old, new, location)


def _compare_charges(old: RecordedExchange, new: RecordedExchange, location: Location) -> Iterator[DriftChange]:
    before, after = old.read(location), new.read(location)
    if MISSING not in (before, after) and before != after:
        yield make_change(
            "recorded-charge-changed",
            location=f"{new.status} {location}",
            operation=new.operation_id,
            old=old.position("/response/content/text"),
            new=new.position("/response/content/text"),
            values={"old": before, "new": after},
        )
