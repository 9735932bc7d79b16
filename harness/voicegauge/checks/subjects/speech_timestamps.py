"""Reads from a response when each character or word of its speech is spoken."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from voicegauge.checks.subjects.delivery import SpeechDelivery
from voicegauge.contract import parse_exchange
from voicegauge.contract.extension import EventTimestamps, SpeechTimestamps
from voicegauge.formats import read_pointer_values


class TimestampLists(NamedTuple):
    """The timestamps of characters or words in a response, in three lists whose lengths and types are not checked."""

    timestamps_spec: SpeechTimestamps | EventTimestamps
    description_pointer: str
    """JSON pointer to the description of the timestamps in the contract."""
    texts: list[Any]
    """The characters or words."""
    starts: list[Any]
    """When each character or word starts, in the documented unit of time."""
    ends: list[Any]
    """When each character or word ends, or how long it lasts; empty if the contract documents neither."""

    @property
    def starts_s(self) -> list[float]:
        """The values in `starts`, converted to seconds; values that are not numbers are left out."""
        return self._convert_to_seconds(self.starts)

    @property
    def ends_s(self) -> list[float]:
        """When each character or word ends, in seconds; values that are not numbers are left out."""
        if not self.timestamps_spec.ends_are_durations:
            return self._convert_to_seconds(self.ends)
        starts_and_durations = zip(self.starts, self.ends, strict=False)
        return [sum(pair) for pair in map(self._convert_to_seconds, starts_and_durations) if len(pair) == 2]

    def _convert_to_seconds(self, values: Iterable[Any]) -> list[float]:
        scale = 1000 if self.timestamps_spec.time_unit == "ms" else 1
        return [value / scale for value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def read_timestamps(speech_delivery: SpeechDelivery) -> Iterator[TimestampLists]:
    """Yield the timestamps in the response with the audio, separately for each documented kind (characters, words)."""
    target, audio = speech_delivery.target, speech_delivery.documented_audio
    if audio is None or speech_delivery.delivery.audio is None:
        return
    stream_spec = target.stream
    specs: tuple[SpeechTimestamps | EventTimestamps, ...] = audio.timestamps
    pointer = f"{target.operation.pointer}/x-speech/response/audio/timestamps"
    if target.target_spec.response_audio is not None:
        pointer = f"{target.pointer}/audio/timestamps"
    if stream_spec is not None:
        specs, pointer = stream_spec.audio.timestamps, f"{target.operation.pointer}/x-stream/audio/timestamps"
    if not specs:
        return
    parsed = parse_exchange(speech_delivery.exchange)
    roots: list[Any] = [parsed.response_json]
    if stream_spec is not None:
        events = parsed.read_stream(stream_spec).events
        roots = [event.json_value for event in events if event.event_type == stream_spec.audio.event_type]
    for index, spec in enumerate(specs):
        texts, starts, ends = (
            [value for root in roots for value in read_pointer_values(root, location.pointer_tokens)]
            if location
            else []
            for location in (spec.texts_location, spec.starts_location, spec.ends_location)
        )
        if texts or starts or ends:
            yield TimestampLists(spec, f"{pointer}/{index}", texts, starts, ends)
