"""Rules about the spoken text: it is the requested one, all of it, once, at the stated sample rate.

English only. The verdicts are those of `voicegauge.speech.spoken_text`, which compares texts by likelihood and never
transcribes: what it cannot tell is not reported.
"""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.model.base import Severity
from voicegauge.rules.deliveries_of_run import DeliveryAmongOthers
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule
from voicegauge.rules.subjects import SpeechDelivery
from voicegauge.speech.listening import MIN_FITTING_DELIVERIES
from voicegauge.speech.spoken_text import SpokenTextVerdict

_TEXT_CONDITION = "x-speech.request_fields.text"


def _report_verdict(speech_delivery: SpeechDelivery, *verdicts: SpokenTextVerdict) -> Iterator[Violation]:
    """Yield a violation if the verdict on a delivery is one of `verdicts`."""
    spoken = speech_delivery.spoken_text
    if spoken is not None and spoken.verdict in verdicts:
        yield Violation(
            spoken.explanation,
            f"{speech_delivery.operation.pointer}/x-speech",
            evidence=speech_delivery.speech_request.text,
            audio_start_s=spoken.start_s,
        )


@register_rule(
    "spoken-text-other",
    subject_class=SpeechDelivery,
    description="The text that is spoken is the requested one (English).",
    contract_condition=_TEXT_CONDITION,
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
    yield from _report_verdict(speech_delivery, "other text")


@register_rule(
    "spoken-text-doubtful",
    subject_class=DeliveryAmongOthers,
    description=(
        "The requested text explains the audio better than other texts do (English), with a voice for which it did so "
        "in the other deliveries of the run."
    ),
    contract_condition=_TEXT_CONDITION,
    explanation=Explanation(
        consequence="Something else may be spoken than what was asked for: listen to the audio.",
        conforming_example="The requested text is likelier than ten others, as in all deliveries by this voice.",
        violating_example="Five other texts are likelier, but none was in the other deliveries by this voice.",
    ),
    unshown_reason="It judges voices that are recognized less well than those of the emulator.",
    severity=Severity.WARNING,
)
def _check_spoken_text_doubtful(delivery_among_others: DeliveryAmongOthers) -> Iterator[Violation]:
    if delivery_among_others.fitting_count >= MIN_FITTING_DELIVERIES:
        yield from _report_verdict(delivery_among_others.speech_delivery, "does not fit")


@register_rule(
    "spoken-text-incomplete",
    subject_class=SpeechDelivery,
    description="All of the text is spoken (English): its start, its end and parts of a long text are not missing.",
    contract_condition=_TEXT_CONDITION,
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
        yield from _report_verdict(speech_delivery, "end missing", "start missing", "part missing")


@register_rule(
    "spoken-text-repeated",
    subject_class=SpeechDelivery,
    description="The text is spoken once (English), and no part of a long text again.",
    contract_condition=_TEXT_CONDITION,
    explanation=Explanation(
        consequence="A caller is greeted twice, and the audio takes twice as long.",
        conforming_example="Good morning.",
        violating_example="Good morning. Good morning.",
    ),
    shown_by=(FaultExample("speech-repeated", also_found_by=("audio-length", "format-changes-speech")),),
)
def _check_spoken_text_repeated(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_verdict(speech_delivery, "said twice")


@register_rule(
    "spoken-words-differ",
    subject_class=SpeechDelivery,
    description=(
        "No word is replaced, left out or inserted (English, with voices that are recognized clearly, such as those of "
        "the emulator)."
    ),
    contract_condition=_TEXT_CONDITION,
    explanation=Explanation(
        consequence="A number, a name or a negation is wrong.",
        conforming_example="Requested and spoken: at 10:30",
        violating_example="Requested: at 10:30. Spoken: at 10:40.",
    ),
    shown_by=(FaultExample("word-replaced", also_found_by=("spoken-text-incomplete", "format-changes-speech")),),
)
def _check_spoken_words_differ(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_verdict(speech_delivery, "other words")


@register_rule(
    "audio-rate-untrue",
    subject_class=SpeechDelivery,
    description="The speech is understandable at the stated sample rate, not at half or twice the rate (English).",
    contract_condition=_TEXT_CONDITION,
    explanation=Explanation(
        consequence="The voice is played too fast and too high, or too slowly and too low.",
        conforming_example="The header states 24,000 Hz, and the samples were made at 24,000 Hz.",
        violating_example="The header states 24,000 Hz, and the samples were made at 12,000 Hz.",
    ),
    shown_by=(FaultExample("speech-too-fast", also_found_by=("audio-length", "format-changes-speech")),),
)
def _check_audio_rate_untrue(speech_delivery: SpeechDelivery) -> Iterator[Violation]:
    yield from _report_verdict(speech_delivery, "other rate")
