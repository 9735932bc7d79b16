"""Compares the headers of responses in two recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.drift.report import DriftChange, FilePosition, make_change
from voicegauge.drift.traffic.reading import (
    CaseKey,
    JsonScalar,
    PairedResponses,
    RecordedExchange,
    ResponseContext,
    compare_values,
)

CONNECTION_HEADERS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
"""Names of headers about a single connection or response, which are not part of an API."""


def header_changes(context: ResponseContext, pairs: Sequence[PairedResponses]) -> Iterator[DriftChange]:
    """Yield a change for each header that was removed, was added, or has another value."""
    responses = [recorded_exchange for pair in pairs for recorded_exchange in (*pair.old, *pair.new)]
    for name in sorted(
        {name for recorded_exchange in responses for name in _header_names(recorded_exchange)} - CONNECTION_HEADERS
    ):
        yield from _compare_presence(context, pairs, name)
        yield from _compare_values(context, pairs, name)


def _header_names(recorded_exchange: RecordedExchange) -> set[str]:
    return {name.lower() for name, _ in recorded_exchange.exchange.response.headers}


def _compare_presence(context: ResponseContext, pairs: Sequence[PairedResponses], name: str) -> Iterator[DriftChange]:
    old = [name in _header_names(recorded_exchange) for pair in pairs for recorded_exchange in pair.old]
    new = [name in _header_names(recorded_exchange) for pair in pairs for recorded_exchange in pair.new]
    if all(old) and not any(new):
        yield _make_change("recorded-header-gone", context, pairs, name)
    elif any(new) and not any(old):
        yield _make_change("recorded-header-new", context, pairs, name)


def _compare_values(context: ResponseContext, pairs: Sequence[PairedResponses], name: str) -> Iterator[DriftChange]:
    if name == "content-type" and any(_media_types(pair.old) != _media_types(pair.new) for pair in pairs):
        return  # recorded-media-type-changed reports it
    old = {CaseKey((pair.case,)): values for pair in pairs if (values := _header_values(pair.old, name))}
    new = {CaseKey((pair.case,)): values for pair in pairs if (values := _header_values(pair.new, name))}
    difference = compare_values(old, new)
    if difference is not None and difference.added:
        shown = {"old": list(difference.removed), "new": list(difference.added)}
        yield _make_change("recorded-header-value-new", context, pairs, name, shown)


def _media_types(exchanges: Sequence[RecordedExchange]) -> set[str]:
    return {recorded_exchange.exchange.response.media_type for recorded_exchange in exchanges}


def _header_values(exchanges: Sequence[RecordedExchange], name: str) -> frozenset[JsonScalar]:
    return frozenset(
        _number_or_text(value)
        for recorded_exchange in exchanges
        for key, value in recorded_exchange.exchange.response.headers
        if key.lower() == name
    )


def _number_or_text(text: str) -> JsonScalar:
    """Return `text` as a number if it is one, so that a counter is recognized because its values increase."""
    try:
        return float(text)
    except ValueError:
        return text


def _make_change(
    rule: str,
    context: ResponseContext,
    pairs: Sequence[PairedResponses],
    name: str,
    values: dict[str, list[JsonScalar]] | None = None,
) -> DriftChange:
    def position(recorded_exchange: RecordedExchange) -> FilePosition:
        return recorded_exchange.position(f"/response/headers#{name}")

    shown = {side: found[0] if len(found) == 1 else found for side, found in (values or {}).items() if found}
    return make_change(
        rule,
        location=f"{context.status} header.{name}",
        operation=context.operation,
        old=position(pairs[0].old[0]),
        new=position(pairs[0].new[0]),
        values=shown or None,
    )
