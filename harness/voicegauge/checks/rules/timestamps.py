"""Rules about the times of characters or words in responses with speech."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from voicegauge.checks.registry import Violation, register_rule
from voicegauge.checks.subjects import SpeechDelivery, TimestampLists, read_timestamps

TIMESTAMP_TOLERANCE_S = 0.1
"""Number of seconds by which the last timestamp may be after the end of the audio, because encoders trim up to two
frames of 1152 samples."""
_TIMESTAMP_CONTRACT_KEYS = (
    "x-speech.response.audio.timestamps, x-speech.targets.*.audio.timestamps, x-stream.audio.timestamps"
)


@register_rule(
    "timestamps-count",
    subject_class=SpeechDelivery,
    description="There are as many times as there are characters or words.",
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
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
                    lists.description_pointer,
                )


@register_rule(
    "timestamps-order",
    subject_class=SpeechDelivery,
    description="No start is negative or before an earlier one, and nothing ends before it starts.",
    contract_condition=_TIMESTAMP_CONTRACT_KEYS,
)
def _check_timestamps_order(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    for lists in read_timestamps(speech_delivery):
        problem = _describe_first_time_out_of_order(lists)
        if problem is not None:
            yield Violation(problem, lists.description_pointer)


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
                lists.description_pointer,
            )


@register_rule(
    "timestamps-text",
    subject_class=SpeechDelivery,
    description="The characters or words are those of the text, if a document promises that.",
    contract_condition=(
        "x-speech.response.audio.timestamps.*.spells_text, x-speech.targets.*.audio.timestamps.*.spells_text, "
        "x-stream.audio.timestamps.*.spells_text"
    ),
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
                lists.description_pointer,
                evidence=shown[:200],
            )
