"""Listens to a clip: whether it is speech, says its text, all of it and once, and at the usual pace of its voice.

It combines the measures of `speech_signal`, which need no model and hold in every language, with the comparison of
`spoken_text`, which is for English. A defect is named by the id of the rule that a check reports.
"""

from __future__ import annotations

import functools
import hashlib
import re
import statistics
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from voicegauge.model.sample import ListeningOutcome
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.clip_steadiness import find_sound_changes
from voicegauge.speech.decoding import DecodedAudio, Samples
from voicegauge.speech.phoneme_network import WEIGHTS_PATH
from voicegauge.speech.speech_signal import (
    MAX_CLIPPED_SHARE,
    Silence,
    compute_sample_digest,
    find_silences,
    is_steady_sound,
    measure_clipped_share,
    search_dropout,
)
from voicegauge.speech.spoken_text import (
    SpokenTextJudgement,
    SpokenTextVerdict,
    explain_why_not_judged,
    is_ordinary_text,
    judge_spoken_text,
)

LISTENING_VERSION = 7
"""Version of the listening method. It is increased when the verdict on any clip may change."""
MAX_SILENCE_S = 3.0
"""The longest silence before, within or after speech at the usual speed, in seconds. Pauses between paragraphs last one
to two seconds."""
MIN_FITTING_DELIVERIES, MIN_UNFITTING_DELIVERIES = 2, 2
"""Numbers of deliveries by a target from which a delivery that does not fit its text is reported. With the first number
of deliveries that fit, the voice is recognized well enough to report any other. With fewer, the second number must not
fit: either the voice is recognized far worse than any that was tried, or it never says its text."""
MIN_COMPARED_PACES = 6
"""Number of other deliveries by the same voice from which a pace is judged."""
MAX_RELATIVE_SPREAD_OF_OTHER_PACES = 0.12
"""Largest relative spread of the other deliveries' paces with which a pace is compared. The pace of a voice that varies
more is not judged."""
UNUSUAL_PACE_FACTOR = 1.45
"""Factor from which a pace differs from the usual one of the same voice. A third of the text that is missing makes the
pace 1.5 times as fast."""
MIN_LETTERS_FOR_PACE = 25
"""Smallest number of letters of a text whose pace is measured: in shorter texts, pauses matter too much."""
LETTERS_PER_DIGIT = 5
"""Number of letters that a digit counts as, because it is read as a word."""
_UNSPOKEN_PATTERN = re.compile(r"\([^)]*\)|\[[^\]]*\]|<[^>]*>")
"""Matches what some voices do not speak: directions in parentheses or brackets, and tags."""

TOO_FEW_COMPARED_CLIPS_REASON = (
    "the text fits no better than other texts, and too few other clips were compared to tell why"
)
"""Why a clip is not judged whose text fits no better than others, without enough other clips."""
OTHER_TEXT_RULE = "audio-of-other-text"
"""Id of the rule about audio that an earlier clip has for another text."""
UNUSUAL_PACE_RULE = "audio-unusual-pace"
"""Id of the rule about a pace that differs from the usual one of the voice."""
UNSTEADY_RULE = "audio-unsteady"
"""Id of the rule about a change of level, pitch or pace within a clip."""
UNFITTING_RULE = "spoken-text-doubtful"
"""Id of the rule about a clip that does not fit its text."""
RULE_BY_VERDICT: dict[SpokenTextVerdict, str] = {
    "other text": "spoken-text-other",
    "does not fit": UNFITTING_RULE,
    "end missing": "spoken-text-incomplete",
    "start missing": "spoken-text-incomplete",
    "part missing": "spoken-text-incomplete",
    "said twice": "spoken-text-repeated",
    "other words": "spoken-words-differ",
    "other rate": "audio-rate-untrue",
}
"""Ids of the rules that report a verdict. A text that is right, that fits or that is unclear has none."""


class ClipJudgement(NamedTuple):
    """What listening to one clip has shown, before it is compared with other clips of its run."""

    outcome: ListeningOutcome
    explanation: str
    """What was found, with times, or why nothing was judged."""
    rule: str | None = None
    """Id of the rule that the clip breaks; `None` if it breaks none."""
    start_s: float | None = None
    """Time at which the defect is audible, in seconds; `None` if it has no particular time."""
    digest: str | None = None
    """`compute_sample_digest` of the samples; `None` if nothing is audible."""
    pace: float | None = None
    """Letters per second; `None` if the text is too short for a pace."""
    fits_text: bool = False
    """Whether the text explains the clip better than all other texts that were tried."""


class PaceComparison(NamedTuple):
    """The pace of a delivery, compared with that of the other deliveries by the same voice."""

    pace: float
    usual_pace: float
    """Median pace of the other deliveries, in letters per second."""
    compared_count: int

    @property
    def is_unusual(self) -> bool:
        """Whether the text is spoken far faster or slower than usual."""
        return not 1 / UNUSUAL_PACE_FACTOR <= self.pace / self.usual_pace <= UNUSUAL_PACE_FACTOR

    def describe(self) -> str:
        """Return both paces in words."""
        others = f"{self.usual_pace:.1f} in {self.compared_count} other deliveries with the same settings"
        return f"{self.pace:.1f} letters per second; {others}"


@functools.cache
def get_listening_method() -> str:
    """Return the name of the listening method, with its version and the start of the hash of the network's weights."""
    return f"listening/{LISTENING_VERSION} phonemes@{hashlib.sha256(WEIGHTS_PATH.read_bytes()).hexdigest()[:8]}"


def listen_to_clip(audio: EncodedAudio, text: str, language: str | None) -> ClipJudgement:
    """Return what a clip says, compared with `text`, which was requested at the usual speed.

    Args:
        audio: the clip as it was delivered.
        text: the text that should be spoken.
        language: language code of the text; with `None` or "auto", the language is recognized by the words.
    """
    decoded = audio.decoded_audio
    if decoded is None:
        return ClipJudgement("not judged", f"the audio cannot be decoded: {audio.decode_error}")
    if not any(map(str.isalnum, text)):
        return ClipJudgement("not judged", "the text has no letters and no digits")
    if audio.is_silent:
        return ClipJudgement("wrong", f"{decoded.duration_s:.2f} s of silence", "audio-silent", 0.0)
    search = search_dropout(decoded.samples, decoded.sample_rate_hz)
    judgement = _judge_sound(decoded, search.dropout) or _judge_text(decoded, text, language)
    if judgement.outcome == "right" and search.unjudged_reason is not None:
        judgement = judgement._replace(
            explanation=f"{judgement.explanation} (dropouts were not judged: {search.unjudged_reason})"
        )
    digest = compute_sample_digest(decoded.samples, decoded.sample_rate_hz)
    return judgement._replace(digest=digest, pace=measure_pace(decoded.samples, decoded.sample_rate_hz, text))


def _judge_sound(decoded_audio: DecodedAudio, dropout: Silence | None) -> ClipJudgement | None:
    """Return the verdict on a clip that is not speech, is interrupted or is too loud; `None` for any other clip."""
    if is_steady_sound(decoded_audio.samples, decoded_audio.sample_rate_hz):
        return ClipJudgement("wrong", f"{decoded_audio.duration_s:.2f} s of a steady sound", "audio-not-speech", 0.0)
    share = measure_clipped_share(decoded_audio.samples)
    if share > MAX_CLIPPED_SHARE:
        return ClipJudgement("wrong", f"{share:.0%} of the samples are at full scale", "audio-clipped")
    if dropout is not None:
        return ClipJudgement("wrong", describe_dropout(dropout), "audio-dropout", dropout.start_s)
    return None


def _judge_text(decoded_audio: DecodedAudio, text: str, language: str | None) -> ClipJudgement:
    """Return the verdict on the words of a clip and its silences."""
    is_ordinary = is_ordinary_text(text)
    reason = explain_why_not_judged(text, language, None) if is_ordinary else "the text consists of few or no words"
    spoken_judgement = None
    if reason is None:
        is_automatic = language is None or language.lower() == "auto"
        spoken_judgement = judge_spoken_text(
            decoded_audio.samples,
            decoded_audio.sample_rate_hz,
            text,
            "en" if language is None or is_automatic else language,
        )
        rule = RULE_BY_VERDICT.get(spoken_judgement.verdict)
        if rule is not None:
            is_doubtful = spoken_judgement.verdict == "does not fit"
            return ClipJudgement(
                "doubtful" if is_doubtful else "wrong", spoken_judgement.explanation, rule, spoken_judgement.start_s
            )
    for position, silence in list_long_silences(
        decoded_audio.samples, decoded_audio.sample_rate_hz, text, None, spoken_judgement
    ):
        return ClipJudgement("wrong", describe_long_silence(position, silence), "audio-long-silence", silence.start_s)
    phoneme_intervals = spoken_judgement.phoneme_intervals if spoken_judgement is not None else ()
    changes = find_sound_changes(decoded_audio.samples, decoded_audio.sample_rate_hz, phoneme_intervals)
    if changes:
        described = "; ".join(one.describe() for one in changes)
        is_fitting = spoken_judgement is not None and spoken_judgement.verdict in ("right", "fits")
        return ClipJudgement("doubtful", described, UNSTEADY_RULE, changes[0].start_s, fits_text=is_fitting)
    if spoken_judgement is None or spoken_judgement.verdict == "unclear":
        return ClipJudgement(
            "not judged", reason or (spoken_judgement.explanation if spoken_judgement is not None else "")
        )
    words = " (single words were not judged)" if spoken_judgement.verdict == "fits" else ""
    return ClipJudgement("right", f"{spoken_judgement.explanation}{words}", fits_text=True)


def list_long_silences(
    samples: Samples, sample_rate_hz: int, text: str, speed: float | None, spoken_judgement: SpokenTextJudgement | None
) -> Iterator[tuple[str, Silence]]:
    """Yield each silence that is too long for speech, with its position in the speech: "before", "within" or "after".

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        text: the spoken text, which may ask for a pause.
        speed: requested speed factor; `None` for the usual one.
        spoken_judgement: judgement on the words of the clip; `None` if it was not compared with the text.
    """
    silences = find_silences(samples, sample_rate_hz)
    if silences is None:
        return
    leading = silences.leading
    if spoken_judgement is not None and spoken_judgement.alignment is not None:
        # Noise may hide the silence before the first word.
        leading = Silence(0.0, max(leading.end_s, spoken_judgement.alignment.words[0].start_s))
    longest_s = MAX_SILENCE_S / min(speed or 1.0, 1.0)
    silence_by_position = {"before": leading, "within": silences.longest_inner, "after": silences.trailing}
    for place, silence in silence_by_position.items():
        if silence.duration_s > longest_s and not (place == "within" and _may_ask_for_pause(text)):
            yield place, silence


def describe_long_silence(position: str, silence: Silence) -> str:
    """Return the duration and the position of a silence in words."""
    times = f"from {silence.start_s:.2f} to {silence.end_s:.2f} s"
    return f"{silence.duration_s:.2f} s of silence {position} the speech, {times}"


def describe_dropout(dropout: Silence) -> str:
    """Return the duration and the times of a dropout in words."""
    return (
        f"{1000 * dropout.duration_s:.0f} ms of the speech are missing, and silent, from {dropout.start_s:.2f} to "
        f"{dropout.end_s:.2f} s"
    )


def _may_ask_for_pause(text: str) -> bool:
    """Whether a text has paragraphs, an ellipsis, a dash or tags, for which a voice may make a long pause."""
    return any(mark in text for mark in ("\n", "...", "\u2026", "--", "\u2013", "\u2014", "<", "["))


# Compares clips of one run.


def list_spoken_letters(text: str) -> str:
    """Return the letters and digits of a text that every voice speaks."""
    return "".join(filter(str.isalnum, _UNSPOKEN_PATTERN.sub("", text).casefold()))


def count_spoken_letters(text: str) -> int:
    """Return the number of letters that every voice speaks; a digit counts as several."""
    spoken = _UNSPOKEN_PATTERN.sub("", text)
    return sum(LETTERS_PER_DIGIT if character.isdecimal() else character.isalpha() for character in spoken)


def measure_pace(samples: Samples, sample_rate_hz: int, text: str) -> float | None:
    """Return the letters per second between the first and the last sound; `None` if the text is too short.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        text: the spoken text.
    """
    letters = count_spoken_letters(text)
    silences = find_silences(samples, sample_rate_hz) if letters >= MIN_LETTERS_FOR_PACE else None
    if silences is None:
        return None
    spoken_s = silences.trailing.start_s - silences.leading.end_s - silences.longest_inner.duration_s
    return letters / spoken_s if spoken_s > 0 else None


def can_report_unfitting_text(fitting_count: int, unfitting_count: int) -> bool:
    """Whether enough deliveries by a target were compared with their text to report those that do not fit it."""
    return fitting_count >= MIN_FITTING_DELIVERIES or unfitting_count >= MIN_UNFITTING_DELIVERIES


def compare_pace(pace: float, other_paces: Sequence[float]) -> PaceComparison | None:
    """Compare a pace with those of other deliveries by the same voice; `None` if they are too few or vary too much."""
    if len(other_paces) < MIN_COMPARED_PACES:
        return None
    usual = statistics.median(other_paces)
    spread = statistics.median(abs(other / usual - 1) for other in other_paces)
    return PaceComparison(pace, usual, len(other_paces)) if spread <= MAX_RELATIVE_SPREAD_OF_OTHER_PACES else None
