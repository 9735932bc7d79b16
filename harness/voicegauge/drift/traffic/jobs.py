"""Jobs from one recording to another: their states, their order, how they end, what they cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import ConversationPair, ObservedExchange, job_states
from voicegauge.formats import Location

_Before = dict[tuple[str, str], ObservedExchange]
"""Of each two states the earlier one first, with an answer that shows the later one."""


def state_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """States that are new, another order of states, and requests that end in another state."""
    before = {state for pair in pairs for seen in pair.old if (state := seen.state)}
    told: set[str] = set()
    for pair in pairs:
        for seen, state in job_states(pair.new):
            documented = seen.job is not None and state in seen.job.states
            if state not in before and not documented and state not in told:
                told.add(state)
                yield _change("recorded-state-new", pair.old[-1], seen, {"new": state})
        yield from _outcome(pair, told)
    yield from _order(pairs)


def _outcome(pair: ConversationPair, told: set[str]) -> Iterator[DriftChange]:
    old, new = _end(pair.old), _end(pair.new)
    if old is not None and new is not None and old.state != new.state and new.state not in told:
        yield _change("recorded-outcome-changed", old, new, {"old": old.state, "new": new.state})


def _end(conversation: Sequence[ObservedExchange]) -> ObservedExchange | None:
    """The answer that shows the job's last state, if it is one in which jobs end, or an unknown one."""
    seen = next((seen for seen in reversed(conversation) if seen.state is not None), None)
    if seen is None or seen.job is None or seen.state is None:
        return None
    state = seen.job.states.get(seen.state)
    return seen if state is None or state.end is not None else None


def _order(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    old, new = _orders(pair.old for pair in pairs), _orders(pair.new for pair in pairs)
    for (first, second), seen in new.items():
        if (second, first) in old and (first, second) not in old and (second, first) not in new:
            values = {"old": [second, first], "new": [first, second]}
            yield _change("recorded-state-order-changed", old[second, first], seen, values)


def _orders(conversations: Iterator[Sequence[ObservedExchange]]) -> _Before:
    found: _Before = {}
    for conversation in conversations:
        for (_, first), (seen, second) in combinations(job_states(conversation), 2):
            if first != second:
                found.setdefault((first, second), seen)
    return found


def _change(rule: str, old: ObservedExchange, new: ObservedExchange, values: Mapping[str, object]) -> DriftChange:
    location = f"{new.status} {new.state_place}"
    return make_change(
        rule,
        location=location,
        operation=new.name,
        old=old.position("/response/content/text"),
        new=new.position("/response/content/text"),
        values=values,
    )


def charge_locations(seen: ObservedExchange) -> Iterator[Location]:
    """Where an answer says what was charged: for speech, for audio that was sent, for a job or for a turn of a chat."""
    operation = seen.operation
    if operation is None or seen.status >= 300:
        return
    answers = [use.answer.charged for use in (operation.speech, operation.intake) if use is not None]
    whole = [told.charged for told in (operation.job, operation.chat) if told is not None]
    yield from (location for location in (*answers, *whole) if location is not None)


def charge_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """What the very same request costs, where answers say it."""
    for pair in pairs:
        if not pair.same:
            continue
        before = {(seen.name, place, seen.state): seen for seen in pair.old for place in charge_locations(seen)}
        for new in pair.new:
            for place in charge_locations(new):
                old = before.get((new.name, place, new.state))
                if old is None:
                    continue
                was, now = old.read(place), new.read(place)
                if MISSING not in (was, now) and was != now:
                    yield make_change(
                        "recorded-charge-changed",
                        location=f"{new.status} {place}",
                        operation=new.name,
                        old=old.position("/response/content/text"),
                        new=new.position("/response/content/text"),
                        values={"old": was, "new": now},
                    )
