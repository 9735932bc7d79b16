"""Headers of answers from one recording to another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.drift.report import DriftChange, FilePosition, make_change
from voicegauge.drift.traffic.reading import (
    CaseKey,
    JsonScalar,
    ObservedExchange,
    PairedResponses,
    ResponseContext,
    compare_values,
)

FRAMING = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
"""How the bytes came, and when; they say nothing of the API."""
_PART = "/response/headers"


def header_changes(context: ResponseContext, cases: Sequence[PairedResponses]) -> Iterator[DriftChange]:
    """Headers that are gone, new, or have another value."""
    names = sorted({name for both in cases for seen in (*both.old, *both.new) for name in _names(seen)} - FRAMING)
    for name in names:
        yield from _presence(context, cases, name)
        yield from _value(context, cases, name)


def _names(seen: ObservedExchange) -> set[str]:
    return {name.lower() for name, _ in seen.exchange.response.headers}


def _presence(context: ResponseContext, cases: Sequence[PairedResponses], name: str) -> Iterator[DriftChange]:
    old = [name in _names(seen) for both in cases for seen in both.old]
    new = [name in _names(seen) for both in cases for seen in both.new]
    if all(old) and not any(new):
        yield _change("recorded-header-gone", context, cases, name)
    elif any(new) and not any(old):
        yield _change("recorded-header-new", context, cases, name)


def _value(context: ResponseContext, cases: Sequence[PairedResponses], name: str) -> Iterator[DriftChange]:
    if name == "content-type" and any(_media_types(both.old) != _media_types(both.new) for both in cases):
        return
    old, new = ({CaseKey((both.case,)): _values(side, name) for both, side in _sides(cases, newer)} for newer in (0, 1))
    found = compare_values({c: v for c, v in old.items() if v}, {c: v for c, v in new.items() if v})
    if found is not None and found.new:
        values = {"old": list(found.gone), "new": list(found.new)}
        yield _change("recorded-header-value-new", context, cases, name, values)


def _sides(
    cases: Sequence[PairedResponses], newer: int
) -> Iterator[tuple[PairedResponses, tuple[ObservedExchange, ...]]]:
    return ((both, both.new if newer else both.old) for both in cases)


def _media_types(side: Sequence[ObservedExchange]) -> set[str]:
    return {seen.exchange.response.media_type for seen in side}


def _values(side: Sequence[ObservedExchange], name: str) -> frozenset[JsonScalar]:
    found: set[JsonScalar] = set()
    for seen in side:
        found |= {_number(value) for key, value in seen.exchange.response.headers if key.lower() == name}
    return frozenset(found)


def _number(text: str) -> JsonScalar:
    """A header that is a number is compared as one: counters show by counting."""
    try:
        return float(text)
    except ValueError:
        return text


def _change(
    rule: str,
    context: ResponseContext,
    cases: Sequence[PairedResponses],
    name: str,
    values: dict[str, list[JsonScalar]] | None = None,
) -> DriftChange:
    def position(seen: ObservedExchange) -> FilePosition:
        return seen.position(f"{_PART}#{name}")

    shown = {side: held[0] if len(held) == 1 else held for side, held in (values or {}).items() if held}
    return make_change(
        rule,
        location=f"{context.status} header.{name}",
        operation=context.operation,
        old=position(cases[0].old[0]),
        new=position(cases[0].new[0]),
        values=shown or None,
    )
