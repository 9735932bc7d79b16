"""Rules about what is audible: speech at all, no long silence, a usual pace, and the requested text, whole and once.

The rules about the sound need no model and judge every language.

The rules about the spoken words judge English only. Their verdicts are those of `voicegauge.speech.spoken_text`, which
compares texts by likelihood and never transcribes: what it cannot tell is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.model.base import Severity
from voicegauge.rules.delivery_groups import DeliveryAmongOthers
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.spoken_text import SpokenTextVerdict


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
        yield Violation(
            f"{decoded.duration_s:.2f} s of a steady sound that is not speech",
            _get_speech_pointer(speech_delivery),
            evidence=speech_delivery.audio_evidence,
        )


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
        yield Violation(
            describe_long_silence(position, silence),
            _get_speech_pointer(speech_delivery),
            evidence=speech_delivery.audio_evidence,
            audio_start_s=silence.start_s,
        )


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
        yield Violation(
            describe_dropout(search.dropout),
            _get_speech_pointer(speech_delivery),
            evidence=speech_delivery.audio_evidence,
            audio_start_s=search.dropout.start_s,
        )


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
        yield Violation(
            change.describe(),
            _get_speech_pointer(speech_delivery),
            evidence=speech_delivery.audio_evidence,
            audio_start_s=change.start_s,
        )


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
            _get_speech_pointer(speech_delivery),
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
            _get_speech_pointer(speech_delivery),
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
        yield Violation(
            compared.describe(),
            _get_speech_pointer(delivery_among_others.speech_delivery),
            evidence=delivery_among_others.speech_delivery.audio_evidence,
        )


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


def _get_speech_pointer(speech_delivery: SpeechDelivery) -> str:
    return f"{speech_delivery.operation.pointer}/x-speech"


_TEXT_CONTRACT_CONDITION = "x-speech.request_fields.text"


def _report_spoken_text_verdict(speech_delivery: SpeechDelivery, *verdicts: SpokenTextVerdict) -> Iterator[Violation]:
    """Yield a violation if the verdict on a delivery is one of `verdicts`."""
    spoken = speech_delivery.spoken_text
    if spoken is not None and spoken.verdict in verdicts:
        yield Violation(
            spoken.explanation,
            f"{speech_delivery.operation.pointer}/x-speech",
            evidence=speech_delivery.audio_evidence,
            audio_start_s=spoken.start_s,
        )


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
