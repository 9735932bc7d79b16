"""Rules about when each character or word of speech is spoken, as responses state it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from voicegauge.contract.extension.speech import EventTimestamps, SpeechTimestamps
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.formats.locations import read_pointer_values
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import SpeechDelivery

MAX_STATED_TIME_S = 1e6
"""Maximum stated time in seconds: eleven days. A larger time, which JSON allows, is read as this one."""


class TimestampLists(NamedTuple):
    """The timestamps of characters or words in a response, in three lists whose lengths and types are not checked."""

    timestamps_spec: SpeechTimestamps | EventTimestamps
    timestamps_pointer: str
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
        highest = MAX_STATED_TIME_S * scale
        return [
            max(min(value, highest), -highest) / scale
            for value in values
            if isinstance(value, int | float) and not isinstance(value, bool)
        ]


def read_timestamps(speech_delivery: SpeechDelivery) -> Iterator[TimestampLists]:
    """Yield the timestamps in the response with the audio, separately for each documented kind (characters, words)."""
    target, audio = speech_delivery.target, speech_delivery.audio_spec
    if audio is None or speech_delivery.delivery.audio is None:
        return
    stream_spec = target.stream
    specs: tuple[SpeechTimestamps | EventTimestamps, ...] = audio.timestamps
    pointer = f"{target.operation.pointer}/x-speech/response/audio/timestamps"
    if target.target_spec.response_audio is not None:
        pointer = f"{target.pointer}/response_audio/timestamps"
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


TIMESTAMP_TOLERANCE_S = 0.1
"""Number of seconds by which the last timestamp may be after the end of the audio, because encoders trim up to two
frames of 1152 samples."""
_TIMESTAMP_CONTRACT_KEYS = (
    "x-speech.response.audio.timestamps, x-speech.targets.*.response_audio.timestamps, x-stream.audio.timestamps"
)


@register_rule(
    "timestamps-count",
    subject_class=SpeechDelivery,
    description="There are as many times as there are characters or words.",
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
    explanation=Explanation(
        consequence="Subtitles and lip movements are assigned to the wrong words.",
        conforming_example='"Hi" with the starts 0, 0.1 and the ends 0.1, 0.3',
        violating_example='"Hi" with the starts 0, 0.1 and the ends 0.1',
    ),
    shown_by=(FaultExample("timestamps-incomplete", target_id="inworld/tts-2-timestamps"),),
)
def _check_timestamps_count(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    for lists in read_timestamps(speech_delivery):
        counts = {
            "starts": len(lists.starts),
            **({"ends": len(lists.ends)} if lists.timestamps_spec.ends_location is not None else {}),
        }
        for name, count in counts.items():
            if count != len(lists.texts):
                yield Violation(
                    f"{count} {name} for {len(lists.texts)} {lists.timestamps_spec.text_unit}s",
                    lists.timestamps_pointer,
                )


@register_rule(
    "timestamps-order",
    subject_class=SpeechDelivery,
    description="No start is negative or before an earlier one, and nothing ends before it starts.",
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
    explanation=Explanation(
        consequence="Subtitles jump back, or have a negative duration.",
        conforming_example="starts: 0, 0.1, 0.3",
        violating_example="starts: 0.3, 0.1, 0",
    ),
    shown_by=(FaultExample("timestamps-unordered", target_id="inworld/tts-2-timestamps"),),
)
def _check_timestamps_order(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    for lists in read_timestamps(speech_delivery):
        problem = _describe_first_time_out_of_order(lists)
        if problem is not None:
            yield Violation(problem, lists.timestamps_pointer)


def _describe_first_time_out_of_order(timestamp_lists: TimestampLists) -> str | None:
    """Return the first time that is out of order, in words; `None` if there is none."""
    unit, starts_s, ends_s = (
        timestamp_lists.timestamps_spec.text_unit,
        timestamp_lists.starts_s,
        timestamp_lists.ends_s,
    )
    if starts_s and starts_s[0] < 0:
        return f"the first {unit} starts at {starts_s[0]:.3f} s"
    for index, (before, after) in enumerate(pairwise(starts_s)):
        if after < before:
            return f"{unit} {index + 1} starts at {after:.3f} s, before {unit} {index} at {before:.3f} s"
    if len(starts_s) == len(ends_s):
        for index, (start, end) in enumerate(zip(starts_s, ends_s, strict=True)):
            if end < start:
                return f"{unit} {index} starts at {start:.3f} s and ends at {end:.3f} s"
    return None


@register_rule(
    "timestamps-duration",
    subject_class=SpeechDelivery,
    description="No character or word is spoken after the end of the audio.",
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
    explanation=Explanation(
        consequence="Subtitles are late from the beginning, and go on after the end.",
        conforming_example="The last word ends at 2.9 s, the audio at 3.0 s.",
        violating_example="The last word ends at 6.0 s, the audio at 3.0 s.",
    ),
    shown_by=(
        FaultExample("timestamps-too-late", target_id="inworld/tts-2-timestamps", also_found_by=("timestamps-untrue",)),
    ),
)
def _check_timestamps_duration(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded = speech_delivery.decoded_audio
    if decoded is None or decoded.is_truncated:
        return
    for lists in read_timestamps(speech_delivery):
        last_s = max((*lists.starts_s, *lists.ends_s), default=0.0)
        if last_s > decoded.duration_s + TIMESTAMP_TOLERANCE_S:
            yield Violation(
                f"the last {lists.timestamps_spec.text_unit} is spoken until {last_s:.2f} s, "
                f"the audio has {decoded.duration_s:.2f} s",
                lists.timestamps_pointer,
            )


@register_rule(
    "timestamps-text",
    subject_class=SpeechDelivery,
    description="The characters or words are those of the text, if a document promises that.",
    contract_condition=(
        "x-speech.response.audio.timestamps.*.spells_request_text, "
        "x-speech.targets.*.response_audio.timestamps.*.spells_request_text, "
        "x-stream.audio.timestamps.*.spells_request_text"
    ),
    explanation=Explanation(
        consequence="A client cannot find its own words in the times.",
        conforming_example='Text "Hi", characters ["H", "i"]',
        violating_example='Text "Hi", characters ["H", "I"]',
    ),
    shown_by=(FaultExample("timestamps-of-other-text", target_id="elevenlabs/flash-v2-5-timestamps"),),
)
def _check_timestamps_text(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    text = speech_delivery.speech_request.text
    for lists in read_timestamps(speech_delivery):
        if not lists.timestamps_spec.spells_request_text:
            continue
        is_character = lists.timestamps_spec.text_unit == "character"
        expected = list(text) if is_character else text.split()
        if "".join(map(str, lists.texts)) != "".join(expected):
            shown = ("" if is_character else " ").join(map(str, lists.texts))
            yield Violation(
                f"the {lists.timestamps_spec.text_unit}s are not those of the text",
                lists.timestamps_pointer,
                evidence=shown[:200],
            )


@register_rule(
    "timestamps-untrue",
    subject_class=SpeechDelivery,
    description=(
        "The stated times are those at which the words are spoken: not shifted, stretched, invented from the number of "
        "characters, or frozen (English)."
    ),
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
    explanation=Explanation(
        consequence="Subtitles, marked words and lip movements do not fit the voice.",
        conforming_example='"world" is stated at 0.52 s, and spoken at 0.50 s.',
        violating_example='"world" is stated at 0.67 s, and spoken at 0.50 s; so are all other words.',
    ),
    shown_by=(
        FaultExample(
            "timestamps-shifted", target_id="inworld/tts-2-timestamps", also_found_by=("timestamps-duration",)
        ),
        FaultExample(
            "timestamps-stretched", target_id="inworld/tts-2-timestamps", also_found_by=("timestamps-duration",)
        ),
        FaultExample("timestamps-uniform", target_id="inworld/tts-2-timestamps"),
        FaultExample("timestamps-frozen", target_id="inworld/tts-2-timestamps"),
    ),
)
def _check_timestamps_untrue(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.listening import judge_stated_times, split_into_words

    decoded, spoken = speech_delivery.decoded_audio, speech_delivery.spoken_text
    if decoded is None or spoken is None or spoken.verdict not in ("right", "fits"):
        return
    for lists in read_timestamps(speech_delivery):
        starts_s = lists.starts_s
        if len(starts_s) != len(lists.texts) or len(starts_s) != len(lists.starts):
            continue  # `timestamps-count` reports it
        words = split_into_words([str(text) for text in lists.texts], starts_s, lists.timestamps_spec.text_unit)
        found = judge_stated_times(
            decoded.samples, decoded.sample_rate_hz, words, is_recognized_clearly=spoken.verdict == "right"
        )
        if found.verdict not in ("true", "unclear"):
            yield Violation(
                f"the stated times are {found.verdict}: {found.explanation}",
                lists.timestamps_pointer,
                evidence=speech_delivery.audio_evidence,
                audio_start_s=found.start_s,
            )
