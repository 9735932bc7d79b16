"""Rules about what is audible: speech, no long silence, a usual pace, the requested text, at the stated times.

The rules about the sound need no model and judge every language.

The rules about the spoken words judge English only. Their verdicts are those of `voicegauge.speech.spoken_text`, which
compares texts by likelihood and never transcribes: what it cannot tell is not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from voicegauge.contract.extension.speech import EventTimestamps, SpeechTimestamps
from voicegauge.contract.parsed_exchange import parse_exchange
from voicegauge.formats.locations import read_values_at_pointer
from voicegauge.model.base import Severity
from voicegauge.rules.delivery_groups import DeliveryAmongOthers
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.spoken_text import SpokenTextVerdict


def _build_sound_violation(speech_delivery: SpeechDelivery, message: str, start_s: float | None = None) -> Violation:
    """Return a violation that is audible from `start_s` seconds of the audio on; `None` for no particular time."""
    pointer = _get_x_speech_pointer(speech_delivery)
    return Violation(message, pointer, evidence=speech_delivery.audio_evidence, audio_start_s=start_s)


def _get_x_speech_pointer(speech_delivery: SpeechDelivery) -> str:
    return f"{speech_delivery.operation.pointer}/x-speech"


@register_rule(
    "audio-not-speech",
    subject_class=SpeechDelivery,
    description="The audio is not steady noise, a tone or a hum.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="The file plays, the request was charged, and users hear noise.",
        conforming_example="Speech, with or without noise behind it",
        violating_example="4 s of white noise for a sentence",
    ),
    shown_by=(FaultExample("noise-as-speech", also_found_by=("format-changes-speech",)),),
)
def _check_audio_not_speech(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded = speech_delivery.decoded_audio
    if decoded is None or not speech_delivery.has_ordinary_text or speech_delivery.is_silent:
        return
    if speech_delivery.measured_audio is not None and speech_delivery.measured_audio.is_steady_sound:
        message = f"{decoded.duration_s:.2f} s of a steady sound that is not speech"
        yield _build_sound_violation(speech_delivery, message)


@register_rule(
    "audio-long-silence",
    subject_class=SpeechDelivery,
    description="There is no long silence before, within or after the speech, unless the text asks for a pause.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="A caller hangs up before the first word, or takes the pause for the end.",
        conforming_example="0.2 s of silence, 4 s of speech, 0.4 s of silence",
        violating_example="5 s of silence, 4 s of speech",
    ),
    shown_by=(FaultExample("long-silence", also_found_by=("audio-length",)),),
)
def _check_audio_long_silence(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.listening import describe_long_silence, list_long_silences

    decoded, request = speech_delivery.decoded_audio, speech_delivery.speech_request
    if decoded is None or not speech_delivery.has_ordinary_text or speech_delivery.is_silent:
        return
    for position, silence in list_long_silences(
        decoded.samples, decoded.sample_rate_hz, request.text, request.speed, speech_delivery.spoken_text
    ):
        yield _build_sound_violation(speech_delivery, describe_long_silence(position, silence), silence.start_s)


@register_rule(
    "audio-dropout",
    subject_class=SpeechDelivery,
    description=(
        "No part of the speech is replaced by digital silence. MP3, Ogg and AAC fill such gaps, so that they are not "
        "found there; in PCM, WAV and FLAC without a noise floor they are not judged."
    ),
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="Listeners hear the voice break off within a word.",
        conforming_example="Speech that fades out before each pause",
        violating_example="Speech, 80 ms of zeros from one sample to the next, and the rest of the word",
    ),
    shown_by=(
        FaultExample(
            "speech-interrupted",
            target_id="ttsai/kokoro-sync",
            also_found_by=("spoken-words-differ", "format-changes-speech"),
        ),
    ),
)
def _check_audio_dropout(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.listening import describe_dropout

    search = speech_delivery.dropout_search
    if search is not None and search.dropout is not None:
        yield _build_sound_violation(speech_delivery, describe_dropout(search.dropout), search.dropout.start_s)


@register_rule(
    "audio-unsteady",
    subject_class=SpeechDelivery,
    description="Level, pitch and pace of speech of half a minute or more do not change from one place on.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="Listeners of a long text notice another voice, or reach for the volume.",
        conforming_example="Five minutes in one voice, each part within 2 dB of the others.",
        violating_example="From 2:10 on the voice is 8 dB quieter.",
    ),
    unshown_reason="No fault changes the speech of a long text in its middle: `benchmarks/long_texts` does.",
    severity=Severity.WARNING,
)
def _check_audio_unsteady(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.sound_quality import find_sound_changes

    decoded, spoken = speech_delivery.decoded_audio, speech_delivery.spoken_text
    if decoded is None or not speech_delivery.has_ordinary_text or speech_delivery.is_silent:
        return
    steps = spoken.phoneme_intervals if spoken is not None else ()
    for change in find_sound_changes(decoded.samples, decoded.sample_rate_hz, steps):
        yield _build_sound_violation(speech_delivery, change.describe(), change.start_s)


@register_rule(
    "audio-clipped",
    subject_class=SpeechDelivery,
    description="The speech is not so loud that its peaks are cut off.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="The voice sounds harsh, and no player can repair it.",
        conforming_example="Speech with a few samples at full scale",
        violating_example="Speech of which every tenth sample is at full scale",
    ),
    shown_by=(FaultExample("clipped-audio", also_found_by=("spoken-words-differ",)),),
)
def _check_audio_clipped(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    from voicegauge.speech.speech_signal import MAX_CLIPPED_SHARE

    audio = speech_delivery.measured_audio
    if audio is None or not speech_delivery.has_ordinary_text:
        return
    if audio.clipped_share > MAX_CLIPPED_SHARE:
        yield Violation(
            f"{audio.clipped_share:.0%} of the samples are at full scale, with neighbours at full scale",
            _get_x_speech_pointer(speech_delivery),
        )


@register_rule(
    "audio-of-other-text",
    subject_class=DeliveryAmongOthers,
    description="Different texts do not get the same audio, sample by sample, anywhere in a run.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="A user hears what another one asked for, or always the same sentence.",
        conforming_example="Two texts get two files.",
        violating_example="Two texts get the same samples, in files with different names.",
    ),
    shown_by=(
        FaultExample(
            "same-audio-for-all-texts",
            also_found_by=(
                "audio-length",
                "audio-swapped",
                "long-text-cut",
                "spoken-text-other",
                "spoken-text-incomplete",
            ),
        ),
    ),
)
def _check_audio_of_other_text(delivery_among_others: DeliveryAmongOthers) -> Iterator[Violation]:
    other = delivery_among_others.other_text_with_same_audio
    if other is not None:
        speech_delivery = delivery_among_others.speech_delivery
        yield Violation(
            "the same samples as for another text of this run",
            _get_x_speech_pointer(speech_delivery),
            evidence=f"requested: {speech_delivery.speech_request.text[:80]} | before: {other[:80]}",
        )


@register_rule(
    "audio-unusual-pace",
    subject_class=DeliveryAmongOthers,
    description=(
        "A text is spoken about as fast as the other texts of the run, with the same voice and the same settings."
    ),
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="Words are missing or repeated, or the speech is too fast to follow.",
        conforming_example="16 letters per second, and 15 in the other deliveries",
        violating_example="27 letters per second, and 15 in the other deliveries",
    ),
    unshown_reason="The faults of the emulator change every delivery, so that none is unusual.",
    severity=Severity.WARNING,
)
def _check_audio_unusual_pace(delivery_among_others: DeliveryAmongOthers) -> Iterator[Violation]:
    compared = delivery_among_others.pace_comparison
    if compared is not None and compared.is_unusual:
        yield _build_sound_violation(delivery_among_others.speech_delivery, compared.describe())


@register_rule(
    "speed-without-effect",
    subject_class=DeliveryAmongOthers,
    description=(
        "If the speed has an effect at all, it has one over the whole documented range: between any two speeds at "
        "which a text was delivered."
    ),
    contract_condition="x-speech.request_fields.speed",
    explanation=Explanation(
        consequence="A user who asks for more speed, or less, gets what others get, and no error.",
        conforming_example="Speed 1: 14 letters per second. Speed 2: 27. Speed 4: 53.",
        violating_example="Speed 1: 14 letters per second. Speed 2: 27. Speed 4: 27.",
    ),
    shown_by=(FaultExample("speed-limited", target_id="openai/tts-1", found_in="speeds"),),
)
def _check_speed_without_effect(delivery_among_others: DeliveryAmongOthers) -> Iterator[Violation]:
    for step in delivery_among_others.flat_speed_steps:
        yield Violation(
            f"at speed {step.faster.speed:g} the text is spoken with {step.faster.pace:.1f} letters per second, at "
            f"speed {step.slower.speed:g} with {step.slower.pace:.1f}",
            f"{delivery_among_others.operation.pointer}/x-speech/request_fields/speed",
            evidence=delivery_among_others.speech_delivery.audio_evidence,
        )


_TEXT_CONTRACT_CONDITION = "x-speech.request_fields.text"


def _report_spoken_text_verdict(speech_delivery: SpeechDelivery, *verdicts: SpokenTextVerdict) -> Iterator[Violation]:
    """Yield a violation if the verdict on a delivery is one of `verdicts`."""
    spoken = speech_delivery.spoken_text
    if spoken is not None and spoken.verdict in verdicts:
        yield _build_sound_violation(speech_delivery, spoken.explanation, spoken.start_s)


@register_rule(
    "spoken-text-other",
    subject_class=SpeechDelivery,
    description="The text that is spoken is the requested one (English).",
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="Users hear something else than they asked for, perhaps what another customer asked for.",
        conforming_example="Requested and spoken: Good morning, this is a test.",
        violating_example="Requested: Good morning, this is a test. Spoken: The weather will stay mild.",
    ),
    shown_by=(
        FaultExample("other-sentence", also_found_by=("audio-of-other-text", "audio-swapped", "format-changes-speech")),
    ),
)
def _check_spoken_text_other(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_spoken_text_verdict(speech_delivery, "other text")


@register_rule(
    "spoken-text-doubtful",
    subject_class=DeliveryAmongOthers,
    description=(
        "The requested text explains the audio far better than other texts do (English), with a voice that is not "
        "recognized clearly."
    ),
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="Something else may be spoken than what was asked for: listen to the audio.",
        conforming_example="The requested text is far likelier than ten others, as in all deliveries by this voice.",
        violating_example="The requested text is as likely as ten others, although it was not in two other deliveries.",
    ),
    unshown_reason="It judges voices that are recognized less well than those of the emulator.",
    severity=Severity.WARNING,
)
def _check_spoken_text_doubtful(delivery_among_others: DeliveryAmongOthers) -> Iterator[Violation]:
    if delivery_among_others.can_doubt_text:
        yield from _report_spoken_text_verdict(delivery_among_others.speech_delivery, "does not fit")


@register_rule(
    "spoken-text-incomplete",
    subject_class=SpeechDelivery,
    description="All of the text is spoken (English): its start, its end and parts of a long text are not missing.",
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="The end of a message is missing, although all of it was paid for.",
        conforming_example="The last word of the text is the last word of the audio.",
        violating_example="The last third of the text is not spoken.",
    ),
    shown_by=(
        FaultExample("speech-cut", also_found_by=("spoken-words-differ", "audio-length", "format-changes-speech")),
    ),
)
def _check_spoken_text_incomplete(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    decoded = speech_delivery.decoded_audio
    if decoded is not None and not decoded.is_truncated:
        yield from _report_spoken_text_verdict(speech_delivery, "end missing", "start missing", "part missing")


@register_rule(
    "spoken-text-repeated",
    subject_class=SpeechDelivery,
    description="The text is spoken once (English), and no part of a long text again.",
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="A caller is greeted twice, and the audio takes twice as long.",
        conforming_example="Good morning.",
        violating_example="Good morning. Good morning.",
    ),
    shown_by=(FaultExample("speech-repeated", also_found_by=("audio-length", "format-changes-speech")),),
)
def _check_spoken_text_repeated(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_spoken_text_verdict(speech_delivery, "said twice")


@register_rule(
    "spoken-words-differ",
    subject_class=SpeechDelivery,
    description=(
        "No word is replaced, left out or inserted (English, with voices that are recognized clearly, such as those of "
        "the emulator)."
    ),
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="A number, a name or a negation is wrong.",
        conforming_example="Requested and spoken: at 10:30",
        violating_example="Requested: at 10:30. Spoken: at 10:40.",
    ),
    shown_by=(FaultExample("word-replaced", also_found_by=("spoken-text-incomplete", "format-changes-speech")),),
)
def _check_spoken_words_differ(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_spoken_text_verdict(speech_delivery, "other words")


@register_rule(
    "audio-rate-untrue",
    subject_class=SpeechDelivery,
    description="The speech is understandable at the stated sample rate, not at half or twice the rate (English).",
    contract_condition=_TEXT_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="The voice is played too fast and too high, or too slowly and too low.",
        conforming_example="The header states 24,000 Hz, and the samples were made at 24,000 Hz.",
        violating_example="The header states 24,000 Hz, and the samples were made at 12,000 Hz.",
    ),
    shown_by=(FaultExample("speech-too-fast", also_found_by=("audio-length", "format-changes-speech")),),
)
def _check_audio_rate_untrue(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_spoken_text_verdict(speech_delivery, "other rate")


# Rules about when each character or word is spoken, as responses state it.


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
            [value for root in roots for value in read_values_at_pointer(root, location.pointer_tokens)]
            if location
            else []
            for location in (spec.texts_location, spec.starts_location, spec.ends_location)
        )
        if texts or starts or ends:
            yield TimestampLists(spec, f"{pointer}/{index}", texts, starts, ends)


TIMESTAMP_TOLERANCE_S = 0.1
"""Number of seconds by which the last timestamp may be after the end of the audio, because encoders trim up to two
frames of 1152 samples."""
_TIMESTAMP_CONTRACT_CONDITION = (
    "x-speech.response.audio.timestamps, x-speech.targets.*.response_audio.timestamps, x-stream.audio.timestamps"
)
"""`contract_condition` of the rules about timestamps."""


@register_rule(
    "timestamps-count",
    subject_class=SpeechDelivery,
    description="There are as many times as there are characters or words.",
    contract_condition=_TIMESTAMP_CONTRACT_CONDITION,
    explanation=Explanation(
        consequence="Subtitles and lip movements are assigned to the wrong words.",
        conforming_example='"Hi" with the starts 0, 0.1 and the ends 0.1, 0.3',
        violating_example='"Hi" with the starts 0, 0.1 and the ends 0.1',
    ),
    shown_by=(FaultExample("timestamps-incomplete", target_id="inworld/tts-2-timestamps"),),
)
def _check_timestamps_count(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    for lists in read_timestamps(speech_delivery):
        ends = [("ends", lists.ends)] if lists.timestamps_spec.ends_location is not None else []
        for name, times in [("starts", lists.starts), *ends]:
            if len(times) != len(lists.texts):
                message = f"{len(times)} {name} for {len(lists.texts)} {lists.timestamps_spec.text_unit}s"
                yield Violation(message, lists.timestamps_pointer)


@register_rule(
    "timestamps-order",
    subject_class=SpeechDelivery,
    description="No start is negative or before an earlier one, and nothing ends before it starts.",
    contract_condition=_TIMESTAMP_CONTRACT_CONDITION,
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
    unit, starts_s = timestamp_lists.timestamps_spec.text_unit, timestamp_lists.starts_s
    ends_s = timestamp_lists.ends_s
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
    contract_condition=_TIMESTAMP_CONTRACT_CONDITION,
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
    contract_condition=_TIMESTAMP_CONTRACT_CONDITION,
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
