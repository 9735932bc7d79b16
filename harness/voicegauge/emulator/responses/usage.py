"""Writes the tokens and seconds that a request used, on which its price depends, into responses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from voicegauge.contract import Target, compute_usage_bound
from voicegauge.contract.extension import UsageSpec
from voicegauge.emulator.responses.response import EmulatedResponse
from voicegauge.emulator.responses.value_writing import write_charges_and_balances
from voicegauge.formats import EventLocation, Location

_USED_SHARE_OF_MAX_USAGE = 0.5
"""Share of the documented maximum of tokens or seconds that every emulated request uses. The number is invented."""


def write_usage(response: EmulatedResponse, target: Target, character_count: int) -> None:
    """Write the usage at the documented locations of a JSON response."""
    if response.is_body_text_or_json:
        usages = _iterate_usages(target, character_count)
        amounts: dict[Location | None, float | None] = {usage.reported_usage_location: used for usage, used in usages}
        write_charges_and_balances(response, amounts)


def compute_final_event_usage(target: Target, character_count: int) -> Mapping[EventLocation, float]:
    """Return the usage that the last event of a stream reports, by location in the event."""
    usages = _iterate_usages(target, character_count)
    return {usage.event_usage_location: used for usage, used in usages if usage.event_usage_location is not None}


def _iterate_usages(target: Target, character_count: int) -> Iterator[tuple[UsageSpec, float]]:
    """Yield a pair for each usage on which the target's price depends: its specification, and the amount used.

    The amount is a whole number of tokens, or a number of seconds.
    """
    for part in target.pricing.parts if target.pricing is not None else ():
        if part.usage is not None:
            used = compute_usage_bound(part.usage, character_count) * _USED_SHARE_OF_MAX_USAGE
            yield part.usage, max(round(used), 1) if part.unit == "1m_tokens" else round(used, 6)
