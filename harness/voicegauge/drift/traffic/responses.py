"""Whole answers from one recording to another: status, media type, readable bodies, audio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, make_change
from voicegauge.drift.traffic.reading import ConversationPair, ObservedExchange
from voicegauge.formats import is_json
from voicegauge.speech.audio import EncodedAudio, sniff_container

FOR_NOW = (429, 502, 503, 504)
"""Refusals that a later try does not meet."""


def response_changes(pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """What differs between two answers as a whole, operation by operation."""
    for pair in pairs:
        old, new = _by_operation(pair.old), _by_operation(pair.new)
        for operation in old:  # in the order of the conversation
            if operation in new:
                yield from _compare(old[operation], new[operation])


def _by_operation(conversation: Sequence[ObservedExchange]) -> dict[str, list[ObservedExchange]]:
    found: dict[str, list[ObservedExchange]] = defaultdict(list)
    for seen in conversation:
        found[seen.name].append(seen)
    return found


def _compare(old: Sequence[ObservedExchange], new: Sequence[ObservedExchange]) -> Iterator[DriftChange]:
    before, after = {seen.status: seen for seen in reversed(old)}, {seen.status: seen for seen in reversed(new)}
    shared = before.keys() & after.keys()
    if not shared:
        refused = all(status in FOR_NOW for status in after) and not any(status in FOR_NOW for status in before)
        rule = "recorded-refused-for-now" if refused else "recorded-status-changed"
        values = {"old": next(iter(before)), "new": next(iter(after))}
        yield _change(rule, old[0], new[0], "status", values)
    for status in sorted(shared):
        yield from _bodies(before[status], after[status])


def _bodies(old: ObservedExchange, new: ObservedExchange) -> Iterator[DriftChange]:
    before, after = old.exchange.response, new.exchange.response
    if before.media_type != after.media_type:
        values = {"old": before.media_type, "new": after.media_type}
        yield _change("recorded-media-type-changed", old, new, f"{new.status} content-type", values)
    elif is_json(after.media_type) and old.value is not MISSING and new.value is MISSING:
        yield _change("recorded-body-unreadable", old, new, f"{new.status} body", {})
    yield from _audio(old, new)


def _audio(old: ObservedExchange, new: ObservedExchange) -> Iterator[DriftChange]:
    before, after = old.exchange.response.body, new.exchange.response.body
    containers = sniff_container(before), sniff_container(after)
    if before == after or containers[0] is None:
        return
    if containers[0] != containers[1]:
        values = {"old": containers[0], "new": containers[1] or "not known"}
        yield _change("recorded-audio-container-changed", old, new, f"{new.status} body", values)
        return
    forms = _form(before), _form(after)
    if None not in forms and forms[0] != forms[1]:
        yield _change(
            "recorded-audio-format-changed", old, new, f"{new.status} body", {"old": forms[0], "new": forms[1]}
        )


def _form(body: bytes) -> str | None:
    """Sample rate and channels; `None` where it cannot be decoded."""
    decoded = EncodedAudio(body).decoded
    return None if decoded is None else f"{decoded.sample_rate_hz} Hz, {decoded.channels} channels"


def _change(
    rule: str, old: ObservedExchange, new: ObservedExchange, location: str, values: Mapping[str, object]
) -> DriftChange:
    return make_change(
        rule,
        location=location,
        operation=new.name,
        old=old.position("/response"),
        new=new.position("/response"),
        values=values or None,
    )
