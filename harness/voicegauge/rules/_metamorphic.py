"""Rules that compare two related deliveries.

Such metamorphic rules need no reference audio. Synthesis is not deterministic in general, so no rule requires equal
audio, unless a document promises it. Durations are compared with wide bounds: repeated syntheses of one text by a
neural voice differ in duration by a few percent, and rarely by a fifth. The difference between an ignored parameter and
a working one is much larger.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterator
from typing import NamedTuple

from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import DeliveryPair, SpeechDelivery

MIN_JUDGED_SPEED_CHANGE = 1.4
"""Smallest change of speed that is judged, as a factor. A smaller change is hidden by the variation between two
syntheses of the same text."""
REQUESTED_SPEED_CHANGE_EXPONENT_RANGE = (1 / 3, 2.0)
"""The measured change of speed must be the requested change raised to an exponent in this range. At twice the speed,
the speech must be at least 1.26 and at most 4 times as fast. The bounds are wide because pauses are often not
shortened, and some engines scale phonemes unevenly."""
MAX_SAME_WORDS_DURATION_RATIO = 1.6
"""Largest ratio between the durations of the same words in two formats, or with and without markup. Encoders add less
than a tenth of a second."""
MAX_SAME_WORDS_MISMATCH = 0.7
"""Largest result of `measure_speech_mismatch` for recordings of the same words. It is below 0.6 for the same words even
if another voice speaks them, and above 0.8 for other words."""
MIN_SAME_SEED_CORRELATION = 0.9
"""Smallest correlation of two waveforms from the same seed. Rounding on different processors and encoding change it far
less; two syntheses with different random numbers are not correlated."""
SAME_SEED_DURATION_TOLERANCE_S = 0.05
"""Tolerance in seconds for the durations of audio from the same seed, because encoders may pad by a frame."""
MIN_REPEATED_TEXT_DURATION_RATIO = 1.3
"""Smallest ratio between the durations of a text sent twice in one request and the same text sent once. The ratio is
about 2 if everything is spoken."""
MIN_COMPARED_SPEECH_S = 0.5
"""Minimum duration of audible speech that is compared, in seconds. In shorter speech, pauses and the silence at both
ends matter too much."""


class _AudibleDurations(NamedTuple):
    """Durations of the audible speech in both deliveries, in seconds."""

    base_duration_s: float
    changed_duration_s: float


def _measure_audible_durations(delivery_pair: DeliveryPair) -> _AudibleDurations | None:
    """Return the durations of the audible speech in both deliveries; `None` if a duration cannot be measured."""
    durations = []
    for speech_delivery in (delivery_pair.base_delivery, delivery_pair.changed_delivery):
        decoded = speech_delivery.decoded_audio
        if not _has_comparable_audio(speech_delivery) or decoded is None or decoded.is_truncated:
            return None
        # Without the silence around the speech, which voices add whatever speed is requested.
        duration_s = speech_delivery.active_duration_s
        if duration_s is None or duration_s < MIN_COMPARED_SPEECH_S:
            return None
        durations.append(duration_s)
    return _AudibleDurations(*durations)


def _has_comparable_audio(speech_delivery: SpeechDelivery) -> bool:
    """Whether the provider reports success, and the text is one whose audio can be compared."""
    return (
        speech_delivery.is_successful and speech_delivery.delivery.failure is None and speech_delivery.has_ordinary_text
    )


def _has_same_audio(delivery_pair: DeliveryPair) -> bool:
    """Whether both deliveries have exactly the same samples, and are not silent.

    Independent syntheses never have the same samples unless they are silent.
    """
    import numpy as np

    one, other = delivery_pair.base_delivery.decoded_audio, delivery_pair.changed_delivery.decoded_audio
    if (
        one is None
        or other is None
        or not (
            _has_comparable_audio(delivery_pair.base_delivery) and _has_comparable_audio(delivery_pair.changed_delivery)
        )
    ):
        return False
    is_same = one.sample_rate_hz == other.sample_rate_hz and np.array_equal(one.samples, other.samples)
    return is_same and not delivery_pair.base_delivery.is_silent


@register_rule(
    "speed-ignored",
    subject_class=DeliveryPair,
    description="The speed parameter changes the duration of the speech, roughly in proportion.",
    contract_condition="x-speech.request_fields.speed",
    explanation=Explanation(
        consequence="A setting that is documented, and offered to users, does nothing.",
        conforming_example="Speed 1: 4.0 s. Speed 2: 2.1 s.",
        violating_example="Speed 1: 4.0 s. Speed 2: 4.0 s.",
    ),
    shown_by=(FaultExample("speed-ignored", target_id="ttsai/kokoro-sync"),),
)
def _check_speed_ignored(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    if delivery_pair.compared_parameter != "speed":
        return
    durations, factor = (
        _measure_audible_durations(delivery_pair),
        delivery_pair.changed_value / delivery_pair.base_value,
    )
    if durations is None or abs(math.log(factor)) < math.log(MIN_JUDGED_SPEED_CHANGE):
        return
    measured = durations.base_duration_s / durations.changed_duration_s
    # By exponent, so that the tolerance grows with the requested change, and is the same for faster and slower speech.
    exponent = math.log(measured) / math.log(factor)
    if not REQUESTED_SPEED_CHANGE_EXPONENT_RANGE[0] <= exponent <= REQUESTED_SPEED_CHANGE_EXPONENT_RANGE[1]:
        yield Violation(
            f"at speed {delivery_pair.changed_value:g} the text takes {durations.changed_duration_s:.2f} s, "
            f"at speed {delivery_pair.base_value:g} {durations.base_duration_s:.2f} s: {measured:.2f} times as fast "
            f"instead of {factor:g} times",
            delivery_pair.compared_parameter_pointer,
        )


def _report_same_audio(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    """Yield a violation if both deliveries have the same samples although the parameter differs."""
    if _has_same_audio(delivery_pair):
        one = (
            json.dumps(delivery_pair.base_value, ensure_ascii=False)
            if delivery_pair.base_value is not None
            else "the default"
        )
        other = json.dumps(delivery_pair.changed_value, ensure_ascii=False)
        yield Violation(
            f"{delivery_pair.compared_parameter} {other} gives the same audio as {one}, sample by sample",
            delivery_pair.compared_parameter_pointer,
        )


@register_rule(
    "voice-ignored",
    subject_class=DeliveryPair,
    description="Another voice gives other audio.",
    contract_condition="x-speech.request_fields.voice",
    explanation=Explanation(
        consequence="Users hear another voice than they chose, and may pay for a better one.",
        conforming_example="The voices anna and ben give different files.",
        violating_example="The voices anna and ben give the same samples.",
    ),
    shown_by=(FaultExample("voice-ignored", target_id="pixazo/vibevoice"),),
)
def _check_voice_ignored(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    if delivery_pair.compared_parameter == "voice":
        yield from _report_same_audio(delivery_pair)


@register_rule(
    "language-ignored",
    subject_class=DeliveryPair,
    description="The same text in another language gives other audio.",
    contract_condition="x-speech.request_fields.language",
    explanation=Explanation(
        consequence="Texts are read with the pronunciation of another language.",
        conforming_example="The same text with de and with fr gives different files.",
        violating_example="The same text with de and with fr gives the same samples.",
    ),
    shown_by=(FaultExample("language-ignored"),),
)
def _check_language_ignored(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    if delivery_pair.compared_parameter == "language":
        yield from _report_same_audio(delivery_pair)


@register_rule(
    "seed-ignored",
    subject_class=DeliveryPair,
    description="Another seed gives other audio.",
    contract_condition="x-speech.request_fields.seed",
    explanation=Explanation(
        consequence="A user who wants another take gets the same one, and pays for it.",
        conforming_example="The seeds 1 and 2 give different files.",
        violating_example="The seeds 1 and 2 give the same samples.",
    ),
    shown_by=(FaultExample("seed-ignored", target_id="pixazo/vibevoice"),),
)
def _check_seed_ignored(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    if delivery_pair.compared_parameter == "seed":
        yield from _report_same_audio(delivery_pair)


@register_rule(
    "seed-not-reproducible",
    subject_class=DeliveryPair,
    description="The same seed gives the same audio again, if a document promises that.",
    contract_condition="x-speech.request_fields.seed.is_seed_reproducible",
    explanation=Explanation(
        consequence="Tests, caches and corrected recordings rely on getting the same take again.",
        conforming_example="Seed 1 twice gives the same samples.",
        violating_example="Seed 1 twice gives different samples, although a document promises the same.",
    ),
    shown_by=(FaultExample("seed-not-kept", target_id="pixazo/vibevoice"),),
)
def _check_seed_not_reproducible(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    from voicegauge.speech.audio_measurement import correlate_waveforms

    durations = _measure_audible_durations(delivery_pair) if delivery_pair.compared_parameter == "repetition" else None
    one, other = delivery_pair.base_delivery.decoded_audio, delivery_pair.changed_delivery.decoded_audio
    if durations is None or one is None or other is None:
        return
    if abs(one.duration_s - other.duration_s) > SAME_SEED_DURATION_TOLERANCE_S:
        difference = f"the audio takes {other.duration_s:.2f} s, and {one.duration_s:.2f} s the first time"
    elif one.sample_rate_hz != other.sample_rate_hz:
        difference = f"the audio has {other.sample_rate_hz} Hz, and {one.sample_rate_hz} Hz the first time"
    elif correlate_waveforms(one.samples, other.samples) < MIN_SAME_SEED_CORRELATION:
        difference = "the waveform is another one"
    else:
        return
    yield Violation(
        f"when the seed {delivery_pair.changed_value} is sent again, {difference}",
        delivery_pair.compared_parameter_pointer,
    )


@register_rule(
    "format-changes-speech",
    subject_class=DeliveryPair,
    description=(
        "The same speech is delivered in every format: its duration is similar, and its spectrum can be aligned in "
        "time. Words are not recognized, so a few changed words can be missed."
    ),
    contract_condition="x-speech.request_fields.format",
    explanation=Explanation(
        consequence="What was approved in one format is not what users of another format hear.",
        conforming_example="wav takes 4.0 s, mp3 takes 4.05 s, and their sounds can be aligned.",
        violating_example="wav takes 4.0 s, mp3 takes 8.1 s.",
    ),
    shown_by=(
        FaultExample("format-changes-text", also_found_by=("spoken-text-repeated",)),
        FaultExample("format-changes-words", also_found_by=("spoken-text-other", "spoken-words-differ")),
    ),
)
def _check_format_changes_speech(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    durations = _measure_audible_durations(delivery_pair) if delivery_pair.compared_parameter == "format" else None
    if durations is None:
        return
    one = f"as {delivery_pair.base_value}" if delivery_pair.base_value is not None else "without a format"
    if max(durations) / min(durations) > MAX_SAME_WORDS_DURATION_RATIO:
        yield Violation(
            f"the text takes {durations.changed_duration_s:.2f} s as {delivery_pair.changed_value}, "
            f"but {durations.base_duration_s:.2f} s {one}",
            delivery_pair.compared_parameter_pointer,
        )
        return
    mismatch = _measure_speech_mismatch(delivery_pair)
    if mismatch is not None and mismatch > MAX_SAME_WORDS_MISMATCH:
        yield Violation(
            f"the sound as {delivery_pair.changed_value} is another one than {one}: their spectra cannot be aligned "
            f"(mismatch {mismatch:.2f}, at most {MAX_SAME_WORDS_MISMATCH:g} for the same words)",
            delivery_pair.compared_parameter_pointer,
        )


@register_rule(
    "audio-swapped",
    subject_class=DeliveryPair,
    description=(
        "A request gets the audio of its own text while another one is in flight: not that of the other, and the same "
        "words as alone."
    ),
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="Under load, users hear what others have written.",
        conforming_example="Two texts at the same moment give two files, each with its own words.",
        violating_example="Two texts at the same moment give the same samples.",
    ),
    shown_by=(
        FaultExample(
            "audio-swapped", also_found_by=("spoken-text-other", "spoken-words-differ", "audio-of-other-text")
        ),
    ),
)
def _check_audio_swapped(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    companion = delivery_pair.companion_delivery
    if companion is None:
        return
    in_flight = delivery_pair.changed_delivery
    if _has_same_audio(dataclasses.replace(delivery_pair, base_delivery=companion)):
        yield Violation(
            "two requests with different texts at the same moment give the same audio, sample by sample",
            delivery_pair.compared_parameter_pointer,
            evidence=f"{in_flight.speech_request.text} / {companion.speech_request.text}",
        )
        return
    # The companion must have the words of this one too: otherwise the voice may just have spoken differently.
    mismatch = _measure_speech_mismatch(delivery_pair)
    with_companion = _measure_speech_mismatch(dataclasses.replace(delivery_pair, changed_delivery=companion))
    if mismatch is None or with_companion is None:
        return
    if mismatch > MAX_SAME_WORDS_MISMATCH >= with_companion:
        yield Violation(
            "other words are spoken while another request is in flight, and the other request gets the words of this "
            f"one (mismatch {mismatch:.2f}, at most {MAX_SAME_WORDS_MISMATCH:g} for the same words)",
            delivery_pair.compared_parameter_pointer,
            evidence=in_flight.audio_evidence,
        )


@register_rule(
    "pcm-sample-rate",
    subject_class=DeliveryPair,
    description=(
        "Raw samples have the documented sample rate: at this rate, they have the waveform of the same text in a file, "
        "or, if it is synthesized again, its pace and pitch. If these disagree, the rate is not judged."
    ),
    contract_condition="x-speech.formats.*.sample_rate_hz",
    explanation=Explanation(
        consequence="A client plays the speech too fast and too high, or too slowly and too low.",
        conforming_example="pcm is documented as 24,000 Hz. Read at 24,000 Hz, it has the waveform of the mp3.",
        violating_example="pcm is documented as 24,000 Hz. Only read at 22,050 Hz, it has the waveform of the mp3.",
    ),
    shown_by=(FaultExample("other-pcm-rate", target_id="openai-compatible/speech"),),
)
def _check_pcm_sample_rate(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    found, raw = delivery_pair.raw_rate_comparison, delivery_pair.raw_audio
    if found is None or raw is None or found.rate_hz in (None, raw.sample_rate_hz):
        return
    probably = "" if found.is_same_synthesis else "probably "
    yield Violation(
        f"expected {raw.sample_rate_hz} Hz, but the samples are {probably}those of {found.rate_hz} Hz: "
        f"{found.explanation}",
        delivery_pair.compared_parameter_pointer,
        is_warning=not found.is_same_synthesis,
    )


def _measure_speech_mismatch(delivery_pair: DeliveryPair) -> float | None:
    """Return how badly the spectra of both deliveries can be aligned in time; `None` if that cannot be measured."""
    from voicegauge.speech.audio_measurement import measure_speech_mismatch

    one, other = delivery_pair.base_delivery.decoded_audio, delivery_pair.changed_delivery.decoded_audio
    if one is None or other is None:
        return None
    return measure_speech_mismatch(one.samples, one.sample_rate_hz, other.samples, other.sample_rate_hz)


@register_rule(
    "markup-spoken",
    subject_class=DeliveryPair,
    description="The tags in a text with markup are not spoken: tags that change nothing do not make it longer.",
    contract_condition="x-speech.request_fields.text.markup_language",
    explanation=Explanation(
        consequence='Users hear "less than break time equals".',
        conforming_example='"<emphasis>Hi</emphasis>" takes as long as "Hi".',
        violating_example='"<emphasis>Hi</emphasis>" takes four times as long as "Hi".',
    ),
    shown_by=(
        FaultExample(
            "markup-spoken",
            target_id="google/standard-ssml",
            also_found_by=("audio-long-silence", "spoken-words-differ"),
        ),
    ),
)
def _check_markup_spoken(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    durations = _measure_audible_durations(delivery_pair) if delivery_pair.compared_parameter == "markup" else None
    if (
        durations is not None
        and durations.changed_duration_s > MAX_SAME_WORDS_DURATION_RATIO * durations.base_duration_s
    ):
        yield Violation(
            f"the text takes {durations.base_duration_s:.2f} s, "
            f"but {durations.changed_duration_s:.2f} s within {delivery_pair.changed_value}",
            delivery_pair.compared_parameter_pointer,
        )


@register_rule(
    "long-text-cut",
    subject_class=DeliveryPair,
    description="The same text twice takes longer than once.",
    contract_condition="x-speech.request_fields.text",
    explanation=Explanation(
        consequence="The end of articles and books is missing, which nobody notices before listening to all of it.",
        conforming_example="A text takes 20 s, the same text twice takes 40 s.",
        violating_example="A text takes 20 s, the same text twice takes 20 s.",
    ),
    shown_by=(
        FaultExample("long-text-cut", also_found_by=("spoken-text-incomplete", "audio-of-other-text", "audio-length")),
    ),
)
def _check_long_text_cut(delivery_pair: DeliveryPair) -> Iterator[Violation]:
    durations = _measure_audible_durations(delivery_pair) if delivery_pair.compared_parameter == "text" else None
    if (
        durations is not None
        and durations.changed_duration_s < MIN_REPEATED_TEXT_DURATION_RATIO * durations.base_duration_s
    ):
        yield Violation(
            f"the text takes {durations.base_duration_s:.2f} s, but only {durations.changed_duration_s:.2f} s when "
            "it is sent twice",
            delivery_pair.compared_parameter_pointer,
            evidence=delivery_pair.changed_delivery.audio_evidence,
        )
