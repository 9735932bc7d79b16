"""Compares whole responses of two recordings: status, media type, whether the body is readable, and audio."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from voicegauge.contract import MISSING
from voicegauge.drift.report import DriftChange, build_change
from voicegauge.drift.traffic.preparation import ConversationPair, RecordedExchange
from voicegauge.formats import is_json
from voicegauge.speech.audio import EncodedAudio, sniff_container

TEMPORARY_ERROR_STATUSES = (429, 502, 503, 504)
"""Statuses of an overloaded service. They do not count as changes of the API, because the same request works later."""


def compare_whole_responses(conversation_pairs: Sequence[ConversationPair]) -> Iterator[DriftChange]:
    """Yield the changes of whole responses for each operation in each conversation."""
    for pair in conversation_pairs:
        old, new = (
            _group_exchanges_by_operation(pair.old_conversation),
            _group_exchanges_by_operation(pair.new_conversation),
        )
        for operation in old:  # not a set, so that changes come in the order of the conversation
            if operation in new:
                yield from _compare_operation(old[operation], new[operation])


def _group_exchanges_by_operation(conversation: Sequence[RecordedExchange]) -> dict[str, list[RecordedExchange]]:
    found: dict[str, list[RecordedExchange]] = defaultdict(list)
    for recorded_exchange in conversation:
        found[recorded_exchange.operation_id].append(recorded_exchange)
    return found


def _compare_operation(
    old_exchanges: Sequence[RecordedExchange], new_exchanges: Sequence[RecordedExchange]
) -> Iterator[DriftChange]:
    # The order is reversed, so that the first of several responses with the same status is compared.
    before, after = (
        {recorded_exchange.status: recorded_exchange for recorded_exchange in reversed(side)}
        for side in (old_exchanges, new_exchanges)
    )
    shared = before.keys() & after.keys()
    if not shared:
        is_overload = all(status in TEMPORARY_ERROR_STATUSES for status in after)
        was_overload = any(status in TEMPORARY_ERROR_STATUSES for status in before)
        rule = "recorded-temporary-rejection" if is_overload and not was_overload else "recorded-status-changed"
        values = {"old": next(iter(before)), "new": next(iter(after))}
        yield _build_response_change(rule, old_exchanges[0], new_exchanges[0], "status", values)
    for status in sorted(shared):
        yield from _compare_bodies(before[status], after[status])


def _compare_bodies(old_exchange: RecordedExchange, new_exchange: RecordedExchange) -> Iterator[DriftChange]:
    before, after = old_exchange.exchange.response, new_exchange.exchange.response
    if before.media_type != after.media_type:
        values = {"old": before.media_type, "new": after.media_type}
        yield _build_response_change(
            "recorded-media-type-changed", old_exchange, new_exchange, f"{new_exchange.status} content-type", values
        )
    elif is_json(after.media_type) and old_exchange.json_body is not MISSING and new_exchange.json_body is MISSING:
        yield _build_response_change(
            "recorded-body-unreadable", old_exchange, new_exchange, f"{new_exchange.status} body", {}
        )
    yield from _compare_audio(old_exchange, new_exchange)


def _compare_audio(old_exchange: RecordedExchange, new_exchange: RecordedExchange) -> Iterator[DriftChange]:
    before, after = old_exchange.exchange.response.body, new_exchange.exchange.response.body
    old_container, new_container = sniff_container(before), sniff_container(after)
    if before == after or old_container is None:
        return
    location = f"{new_exchange.status} body"
    if old_container != new_container:
        values = {"old": old_container, "new": new_container or "unknown"}
        yield _build_response_change("recorded-audio-container-changed", old_exchange, new_exchange, location, values)
        return
    old_format, new_format = _describe_audio_format(before), _describe_audio_format(after)
    if old_format is not None and new_format is not None and old_format != new_format:
        yield _build_response_change(
            "recorded-audio-format-changed",
            old_exchange,
            new_exchange,
            location,
            {"old": old_format, "new": new_format},
        )


def _describe_audio_format(body: bytes) -> str | None:
    """Return the sample rate and the number of channels as text; `None` if the audio cannot be decoded."""
    decoded = EncodedAudio(body).decoded_audio
    return None if decoded is None else f"{decoded.sample_rate_hz} Hz, {decoded.source_channels} channels"


def _build_response_change(
    rule_id: str,
    old_exchange: RecordedExchange,
    new_exchange: RecordedExchange,
    location: str,
    message_values: Mapping[str, object],
) -> DriftChange:
    return build_change(
        rule_id,
        location=location,
        operation_id=new_exchange.operation_id,
        old_position=old_exchange.find_position("/response"),
        new_position=new_exchange.find_position("/response"),
        message_values=message_values or None,
    )
