"""Compares the jobs of two recordings: their states, the order of the states, their outcome and their charge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import ConversationPair, ObservedExchange, job_states
from voicegauge.formats import Location

_StateOrder = dict[tuple[str, str], ObservedExchange]
"""Pairs of an earlier and a later state of one job, each with an exchange that reports the later state."""


def state_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield a change for each new job state, changed order of states, and job that ends in another state."""
    old_states = {state for pair in pairs for observed in pair.old if (state := observed.state)}
    reported: set[str] = set()
    for pair in pairs:
        for observed, state in job_states(pair.new):
            is_documented = observed.job is not None and state in observed.job.states
            if state not in old_states and not is_documented and state not in reported:
                reported.add(state)
                yield _change("recorded-state-new", pair.old[-1], observed, {"new": state})
        yield from _compare_outcomes(pair, reported)
    yield from _compare_orders(pairs)


def _compare_outcomes(pair: ConversationPair, reported: set[str]) -> Iterator[DriftChange]:
    old, new = _last_report(pair.old), _last_report(pair.new)
    if old is not None and new is not None and old.state != new.state and new.state not in reported:
        yield _change("recorded-outcome-changed", old, new, {"old": old.state, "new": new.state})


def _last_report(conversation: Sequence[ObservedExchange]) -> ObservedExchange | None:
    """Return the exchange that reports the last state of the job; `None` if the job was still in progress.

    An undocumented state counts as terminal, because nothing is known about it.
    """
    observed = next((one for one in reversed(conversation) if one.state is not None), None)
    if observed is None or observed.job is None or observed.state is None:
        return None
    state = observed.job.states.get(observed.state)
    return observed if state is None or state.end is not None else None


def _compare_orders(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    old, new = _state_orders(pair.old for pair in pairs), _state_orders(pair.new for pair in pairs)
    for (first, second), observed in new.items():
        if (second, first) in old and (first, second) not in old and (second, first) not in new:
            values = {"old": [second, first], "new": [first, second]}
            yield _change("recorded-state-order-changed", old[second, first], observed, values)


def _state_orders(conversations: Iterator[Sequence[ObservedExchange]]) -> _StateOrder:
    found: _StateOrder = {}
    for conversation in conversations:
        for (_, first), (observed, second) in combinations(job_states(conversation), 2):
            if first != second:
                found.setdefault((first, second), observed)
    return found


def _change(rule: str, old: ObservedExchange, new: ObservedExchange, values: Mapping[str, object]) -> DriftChange:
    return make_change(
        rule,
        location=f"{new.status} {new.state_location}",
        operation=new.operation_id,
        old=old.position("/response/content/text"),
        new=new.position("/response/content/text"),
        values=values,
    )


def charge_locations(observed: ObservedExchange) -> Iterator[Location]:
    """Yield the locations of charges in a response of a synthesis, audio input, job or chat operation."""
    operation = observed.operation
    if operation is None or observed.status >= 300:
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
            (observed.operation_id, location, observed.state): observed
            for observed in pair.old
            for location in charge_locations(observed)
        }
        for new in pair.new:
            for location in charge_locations(new):
                old = old_charges.get((new.operation_id, location, new.state))
                if old is not None:
                    yield from _compare_charges(old, new, location)


def _compare_charges(old: ObservedExchange, new: ObservedExchange, location: Location) -> Iterator[DriftChange]:
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
