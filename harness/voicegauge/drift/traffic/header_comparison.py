"""Compares the headers of responses in two recordings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from voicegauge.drift.general_headers import is_infrastructure_header
from voicegauge.drift.report import DriftChange, FilePosition, build_change
from voicegauge.drift.traffic.preparation import (
    JsonScalar,
    MatchKey,
    PairedResponses,
    RecordedExchange,
    ResponseGroupKey,
    compare_values,
)

CONNECTION_HEADERS = frozenset({"connection", "content-length", "date", "keep-alive", "transfer-encoding"})
"""Names of headers about a single connection or response, which are not part of an API."""


def compare_headers(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses]
) -> Iterator[DriftChange]:
    """Yield a change for each header that was added or removed, or whose values changed."""
    responses = [
        recorded_exchange for pair in response_pairs for recorded_exchange in (*pair.old_exchanges, *pair.new_exchanges)
    ]
    names = {name for recorded_exchange in responses for name in _list_header_names(recorded_exchange)}
    for name in sorted(names - CONNECTION_HEADERS):
        if is_infrastructure_header(name):
            continue
        yield from _compare_header_presence(response_group_key, response_pairs, name)
        yield from _compare_header_values(response_group_key, response_pairs, name)


def _list_header_names(recorded_exchange: RecordedExchange) -> set[str]:
    return {name.lower() for name, _ in recorded_exchange.exchange.response.headers}


def _compare_header_presence(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses], header_name: str
) -> Iterator[DriftChange]:
    old = [
        header_name in _list_header_names(recorded_exchange)
        for pair in response_pairs
        for recorded_exchange in pair.old_exchanges
    ]
    new = [
        header_name in _list_header_names(recorded_exchange)
        for pair in response_pairs
        for recorded_exchange in pair.new_exchanges
    ]
    if all(old) and not any(new):
        yield _build_header_change("recorded-header-gone", response_group_key, response_pairs, header_name)
    elif any(new) and not any(old):
        yield _build_header_change("recorded-header-new", response_group_key, response_pairs, header_name)


def _compare_header_values(
    response_group_key: ResponseGroupKey, response_pairs: Sequence[PairedResponses], header_name: str
) -> Iterator[DriftChange]:
    if header_name == "content-type" and any(
        _list_media_types(pair.old_exchanges) != _list_media_types(pair.new_exchanges) for pair in response_pairs
    ):
        return  # recorded-media-type-changed reports it
    old = {
        MatchKey((pair.conversation_pair_id,)): values
        for pair in response_pairs
        if (values := _list_header_values(pair.old_exchanges, header_name))
    }
    new = {
        MatchKey((pair.conversation_pair_id,)): values
        for pair in response_pairs
        if (values := _list_header_values(pair.new_exchanges, header_name))
    }
    difference = compare_values(old, new)
    if difference is not None and difference.added_values:
        shown = {"old": list(difference.removed_values), "new": list(difference.added_values)}
        yield _build_header_change("recorded-header-value-new", response_group_key, response_pairs, header_name, shown)


def _list_media_types(exchanges: Sequence[RecordedExchange]) -> set[str]:
    return {recorded_exchange.exchange.response.media_type for recorded_exchange in exchanges}


def _list_header_values(exchanges: Sequence[RecordedExchange], header_name: str) -> frozenset[JsonScalar]:
    return frozenset(
        _parse_number_or_text(value)
        for recorded_exchange in exchanges
        for key, value in recorded_exchange.exchange.response.headers
        if key.lower() == header_name
    )


def _parse_number_or_text(text: str) -> JsonScalar:
    """Return the number that `text` contains, or else `text`. Only numbers can be recognized as values of a counter."""
    try:
        return float(text)
    except ValueError:
        return text


def _build_header_change(
    rule_id: str,
    response_group_key: ResponseGroupKey,
    response_pairs: Sequence[PairedResponses],
    header_name: str,
    message_values: dict[str, list[JsonScalar]] | None = None,
) -> DriftChange:
    def find_header_position(recorded_exchange: RecordedExchange) -> FilePosition:
        return recorded_exchange.find_position(f"/response/headers#{header_name}")

    shown = {side: found[0] if len(found) == 1 else found for side, found in (message_values or {}).items() if found}
    return build_change(
        rule_id,
        location=f"{response_group_key.status} header.{header_name}",
        operation_id=response_group_key.operation_id,
        old_position=find_header_position(response_pairs[0].old_exchanges[0]),
        new_position=find_header_position(response_pairs[0].new_exchanges[0]),
        message_values=shown or None,
    )
