"""Writes the times of characters or words into responses with speech."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from voicegauge.contract.extension import EventTimestamps, SpeechTimestamps
from voicegauge.emulator.audio import SpeechTiming
from voicegauge.emulator.http import write_value_at
from voicegauge.formats import EVERY_ITEM, Location

SpeechTimingsGetter = Callable[[Literal["character", "word"]], Sequence[SpeechTiming]]
"""Function that returns when each character or word of the text is spoken."""


def write_timestamps(
    body: Any, timestamps_spec: SpeechTimestamps | EventTimestamps, timings: Sequence[SpeechTiming]
) -> Any:
    """Return `body` with the times at the locations that the contract documents."""
    scale = 1000 if timestamps_spec.time_unit == "ms" else 1
    body = _write_values(body, timestamps_spec.texts_location.pointer_tokens, [timing.text for timing in timings])
    body = _write_values(
        body,
        timestamps_spec.starts_location.pointer_tokens,
        [_round_time(timing.start_s * scale) for timing in timings],
    )
    if timestamps_spec.ends_location is not None:
        body = _write_values(
            body,
            timestamps_spec.ends_location.pointer_tokens,
            [
                _round_time((timing.end_s - (timing.start_s if timestamps_spec.ends_are_durations else 0)) * scale)
                for timing in timings
                if timing.end_s is not None
            ],
        )
    return body


def _round_time(time_s: float) -> float:
    return round(time_s, 3)


def _write_values(body: Any, path_tokens: Sequence[str], values: Sequence[Any]) -> Any:
    """Return `body` with each value at `path_tokens`, whose "*" stands for the index of the value."""
    at = path_tokens.index(EVERY_ITEM)
    list_location = Location("body", pointer_tokens=path_tokens[:at])
    existing = list_location.read_body(body)
    items = existing if isinstance(existing, list) else []
    rest = Location("body", pointer_tokens=path_tokens[at + 1 :])
    filled = [write_value_at(items[i] if i < len(items) else None, rest, value) for i, value in enumerate(values)]
    return write_value_at(body, list_location, filled)
