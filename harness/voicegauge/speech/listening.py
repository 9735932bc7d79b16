"""Listens to a clip: whether it is speech, says its text, all of it and once, and at the usual pace of its voice.

It combines the measures of `speech_signal`, which need no model and hold in every language, with the comparison of
`spoken_text`, which is for English. A defect is named by the id of the rule that a check reports.

The times that a service states for words are compared with the times at which the alignment of `phoneme_network` finds
the words in the audio. True times differ from the alignment only a little and without a trend. Times that are shifted,
stretched, invented from the number of characters ("uniform") or no longer advance ("frozen") differ more.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import itertools
import re
import statistics
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model.sample import ListeningOutcome
from voicegauge.speech.audio_measurement import EncodedAudio, Silence, find_silences
from voicegauge.speech.decoding import DecodedAudio, Samples
from voicegauge.speech.phoneme_network import (
    WEIGHTS_PATH,
    compute_phoneme_log_probabilities,
    find_phoneme_starts,
    pronounce,
)
from voicegauge.speech.sound_quality import find_sound_changes
from voicegauge.speech.speech_signal import (
    MAX_CLIPPED_SHARE,
    compute_sample_digest,
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
_UNSPOKEN_TEXT_PATTERN = re.compile(r"\([^)]*\)|\[[^\]]*\]|<[^>]*>")
"""Matches what some voices do not speak: directions in parentheses or brackets, and tags."""

TOO_FEW_COMPARED_CLIPS_REASON = (
    "the text fits no better than other texts, and too few other clips were compared to tell why"
)
"""Why a clip is not judged whose text fits no better than others, without enough other clips."""
OTHER_TEXT_RULE = "audio-of-other-text"
"""Id of the rule about audio that an earlier clip has for another text."""
UNUSUAL_PACE_RULE = "audio-unusual-pace"
"""Id of the rule about a pace that differs from the usual one of the voice."""
UNSTEADY_SOUND_RULE = "audio-unsteady"
"""Id of the rule about a change of level, pitch or pace within a clip."""
UNFITTING_TEXT_RULE = "spoken-text-doubtful"
"""Id of the rule about a clip that does not fit its text."""
RULE_BY_VERDICT: dict[SpokenTextVerdict, str] = {
    "other text": "spoken-text-other",
    "does not fit": UNFITTING_TEXT_RULE,
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
    """Whether the clip is right, wrong, doubtful or not judged."""
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
    """Letters per second of the delivery."""
    usual_pace: float
    """Median pace of the other deliveries, in letters per second."""
    compared_count: int
    """Number of the other deliveries."""

    @property
    def is_unusual(self) -> bool:
        """Whether the text is spoken far faster or slower than usual."""
        return not 1 / UNUSUAL_PACE_FACTOR <= self.pace / self.usual_pace <= UNUSUAL_PACE_FACTOR

    def describe(self) -> str:
        """Return the pace and the usual one in words, in letters per second."""
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
    # The sound first: it is judged in every language without the network, and what is not speech has no words.
    judgement = _judge_sound(decoded, search.dropout) or _judge_text(decoded, text, language)
    if judgement.outcome == "right" and search.unjudged_reason is not None:
        judgement = judgement._replace(
            explanation=f"{judgement.explanation} (dropouts were not judged: {search.unjudged_reason})"
        )
    digest = compute_sample_digest(decoded.samples, decoded.sample_rate_hz)
    return judgement._replace(digest=digest, pace=measure_pace(decoded.samples, decoded.sample_rate_hz, text))


def _judge_sound(decoded_audio: DecodedAudio, dropout: Silence | None) -> ClipJudgement | None:
    """Return the verdict on a clip that is not speech, is interrupted or is too loud; `None` for any other clip.

    `dropout` is the interruption; `None` if none was found.
    """
    if is_steady_sound(decoded_audio.samples, decoded_audio.sample_rate_hz):
        return ClipJudgement("wrong", f"{decoded_audio.duration_s:.2f} s of a steady sound", "audio-not-speech", 0.0)
    share = measure_clipped_share(decoded_audio.samples)
    if share > MAX_CLIPPED_SHARE:
        return ClipJudgement("wrong", f"{share:.0%} of the samples are at full scale", "audio-clipped")
    if dropout is not None:
        return ClipJudgement("wrong", describe_dropout(dropout), "audio-dropout", dropout.start_s)
    return None


def _judge_text(decoded_audio: DecodedAudio, text: str, language: str | None) -> ClipJudgement:
    """Return the verdict on the words of a clip and its silences.

    `language` is the code of the text's language; with `None` or "auto", the language is recognized by the words.
    """
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
        return ClipJudgement("doubtful", described, UNSTEADY_SOUND_RULE, changes[0].start_s, fits_text=is_fitting)
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
    # Pauses grow with slower speech, but a fast voice may still make usual ones.
    longest_s = MAX_SILENCE_S / min(speed or 1.0, 1.0)
    silence_by_position = {"before": leading, "within": silences.longest_inner, "after": silences.trailing}
    # A voice may make a long pause for paragraphs, an ellipsis, a dash or tags.
    may_ask_for_pause = any(mark in text for mark in ("\n", "...", "\u2026", "--", "\u2013", "\u2014", "<", "["))
    for place, silence in silence_by_position.items():
        if silence.duration_s > longest_s and not (place == "within" and may_ask_for_pause):
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


# Compares clips of one run.


def list_spoken_letters(text: str) -> str:
    """Return the letters and digits of a text that every voice speaks."""
    return "".join(filter(str.isalnum, _UNSPOKEN_TEXT_PATTERN.sub("", text).casefold()))


def count_spoken_letters(text: str) -> int:
    """Return the number of letters that every voice speaks; a digit counts as several."""
    spoken = _UNSPOKEN_TEXT_PATTERN.sub("", text)
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
    # The longest pause is left out, because punctuation decides on it more than the pace does.
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
    # By medians, because a few of the other deliveries may lack a part of their text themselves.
    spread = statistics.median(abs(other / usual - 1) for other in other_paces)
    return PaceComparison(pace, usual, len(other_paces)) if spread <= MAX_RELATIVE_SPREAD_OF_OTHER_PACES else None


# Compares the times that a service states for the words of a text with its audio (English).


StatedTimesVerdict = Literal["true", "shifted", "stretched", "uniform", "frozen", "untrue", "unclear"]
"""What the stated times are. "untrue": they deviate from the speech in some other way. "unclear": they cannot be
judged."""

MIN_WORDS_WITH_STATED_TIMES = 5
"""Number of words from which stated times are judged."""
ALIGNMENT_DELAY_S = 0.034
"""Time between the start of a word and its start by the alignment, which is later: the median of 120 clean clips of
espeak-ng, in which the offsets were 0.022 to 0.060 s."""
MAX_OFFSET_OF_TRUE_TIMES_S = 0.08
"""Largest difference between the offset of true times and `ALIGNMENT_DELAY_S`."""
MAX_SLOPE_ERROR_OF_TRUE_TIMES = 0.055
"""Largest difference of a slope from 1. In the clean clips it was at most 0.030."""
MAX_SPREAD_OF_TRUE_TIMES_S = 0.045
"""Largest spread of stated times around the alignment. In the clean clips it was at most 0.023 s."""
BOUND_FACTOR_FOR_UNCLEAR_VOICE = 1.5
"""Factor by which the bounds are wider for a voice that is not recognized clearly."""
MAX_ERROR_OF_UNIFORM_TIMES_S = 0.006
"""Largest difference between a time and the one that follows from the number of characters before it, if times are
invented from that number. Services round to a millisecond or to a hundredth of a second; the words of speech are never
so regular."""
MIN_WORDS_WITH_FROZEN_TIME = 3
"""Number of words in a row with the same time from which stated times count as frozen."""


class StatedWord(NamedTuple):
    """A word and when it starts, as a service states it."""

    text: str
    start_index: int
    """Index of its first character in the text."""
    start_s: float


class TimeDifferences(NamedTuple):
    """How stated times differ from those of the alignment."""

    offset_s: float
    """Median of stated minus aligned times, in seconds."""
    slope: float
    """Factor by which stated times advance faster than aligned ones, by the median of all pairs (Theil and Sen)."""
    spread_s: float
    """Median distance of a stated time from the line with this offset and slope, in seconds."""
    uniform_error_s: float
    """Largest distance of a stated time from the one that follows from the number of characters before it, in
    seconds."""


class StatedTimesJudgement(NamedTuple):
    """Whether stated times are those of the audio."""

    verdict: StatedTimesVerdict
    explanation: str
    """The verdict with its figures."""
    start_s: float | None = None
    """Time of the first word whose time is wrong, in seconds; `None` if no particular word is wrong."""


def judge_stated_times(
    samples: Samples, sample_rate_hz: int, words: Sequence[StatedWord], *, is_recognized_clearly: bool
) -> StatedTimesJudgement:
    """Return whether the stated times of the words are those of the audio, which must say the text.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        words: the words, in English.
        is_recognized_clearly: whether the voice is one that the phoneme network recognizes clearly.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot pronounce the text.
    """
    if len(words) < MIN_WORDS_WITH_STATED_TIMES:
        return StatedTimesJudgement("unclear", f"fewer than {MIN_WORDS_WITH_STATED_TIMES} words have times")
    # Before the alignment, which this verdict does not need and which takes most of the time.
    frozen = _find_frozen_words(words)
    if frozen is not None:
        count, start_s = frozen
        return StatedTimesJudgement("frozen", f"{count} words in a row start at {start_s:.2f} s", start_s)
    aligned = find_word_times(samples, sample_rate_hz, [word.text for word in words])
    if aligned is None:
        return StatedTimesJudgement("unclear", "the words do not fit into the audio")
    differences = measure_differences(words, aligned)
    if differences.uniform_error_s <= MAX_ERROR_OF_UNIFORM_TIMES_S:
        return StatedTimesJudgement("uniform", "every character has the same duration, so the times are invented")
    factor = 1.0 if is_recognized_clearly else BOUND_FACTOR_FOR_UNCLEAR_VOICE
    return _judge_differences(differences, factor)


def _judge_differences(differences: TimeDifferences, bound_factor: float) -> StatedTimesJudgement:
    """Return the verdict on times that are neither frozen nor uniform."""
    offset_s = differences.offset_s + ALIGNMENT_DELAY_S
    if differences.spread_s > MAX_SPREAD_OF_TRUE_TIMES_S * bound_factor:
        return StatedTimesJudgement(
            "untrue", f"half of the words start more than {differences.spread_s:.2f} s off", 0.0
        )
    if abs(differences.slope - 1) > MAX_SLOPE_ERROR_OF_TRUE_TIMES * bound_factor:
        return StatedTimesJudgement(
            "stretched", f"the times advance {differences.slope:.2f} times as fast as the speech", 0.0
        )
    if abs(offset_s) > MAX_OFFSET_OF_TRUE_TIMES_S * bound_factor:
        late = "after" if offset_s > 0 else "before"
        return StatedTimesJudgement("shifted", f"words are stated {abs(offset_s):.2f} s {late} they are spoken", 0.0)
    return StatedTimesJudgement("true", f"at the median {abs(offset_s):.2f} s from the alignment")


def _find_frozen_words(words: Sequence[StatedWord]) -> tuple[int, float] | None:
    """Return the number of words of the first series with one time, and that time; `None` without a series."""
    for _, group in itertools.groupby(words, key=lambda word: word.start_s):
        run = list(group)
        if len(run) >= MIN_WORDS_WITH_FROZEN_TIME:
            return len(run), run[0].start_s
    return None


def find_word_times(samples: Samples, sample_rate_hz: int, words: Sequence[str]) -> NDArray[np.float64] | None:
    """Return when each word starts in the audio, in seconds; `None` if the words do not fit into it.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        words: the words of an English text, as they are written.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot pronounce the text.
    """
    phonemes = pronounce(" ".join(words)).phonemes
    starts = find_phoneme_starts(compute_phoneme_log_probabilities(samples, sample_rate_hz), phonemes)
    if starts is None:
        return None
    return np.asarray(starts[_find_first_phonemes(words, phonemes)])


def _find_first_phonemes(words: Sequence[str], whole_phonemes: Sequence[int]) -> NDArray[np.int64]:
    """Return the position of the first phoneme of each word in the pronunciation of the whole text.

    Words sound different within a sentence, so the phonemes of single words are aligned with those of the text.
    """
    word_phonemes: list[int] = []
    first_phonemes: list[int] = []
    for word in words:
        first_phonemes.append(len(word_phonemes))
        word_phonemes += pronounce(word).phonemes
    matched, positions_in_text = [0], [0]
    for block in difflib.SequenceMatcher(
        None, word_phonemes, list(whole_phonemes), autojunk=False
    ).get_matching_blocks():
        matched += range(block.a, block.a + block.size)
        positions_in_text += range(block.b, block.b + block.size)
    positions = np.interp(first_phonemes, matched, positions_in_text)
    return np.minimum(np.rint(positions).astype(np.int64), len(whole_phonemes) - 1)


def measure_differences(words: Sequence[StatedWord], aligned_s: NDArray[np.float64]) -> TimeDifferences:
    """Compare the stated start times of words with those of the alignment, `aligned_s`, in seconds."""
    stated = np.array([word.start_s for word in words])
    slope = _estimate_slope(aligned_s, stated)
    rest = stated - slope * aligned_s
    indices = np.array([word.start_index for word in words], float)
    uniform = stated - np.polyval(np.polyfit(indices, stated, 1), indices)
    return TimeDifferences(
        offset_s=float(np.median(stated - aligned_s)),
        slope=slope,
        spread_s=float(np.median(np.abs(rest - np.median(rest)))),
        uniform_error_s=float(np.abs(uniform).max()),
    )


def _estimate_slope(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the median slope of the lines through every two points; 0 if all `x` are equal."""
    left, right = np.triu_indices(len(x), 1)
    distance = x[right] - x[left]
    usable = np.abs(distance) > 0
    if not usable.any():
        return 0.0
    return float(np.median((y[right] - y[left])[usable] / distance[usable]))


def split_into_words(
    texts: Sequence[str], starts_s: Sequence[float], unit: Literal["character", "word"]
) -> list[StatedWord]:
    """Return the words of stated characters or words, with the times of their first characters.

    Args:
        texts: the characters or words.
        starts_s: when each starts, in seconds.
        unit: whether `texts` are characters or words.
    """
    pairs = list(zip(texts, starts_s, strict=False))
    if unit == "word":
        index, words = 0, []
        for text, start_s in pairs:
            if re.search(r"\w", text):
                words.append(StatedWord(text, index, start_s))
            index += len(text) + 1
        return words
    whole_text = "".join(text if len(text) == 1 else " " for text, _ in pairs)
    return [
        StatedWord(match[0], match.start(), pairs[match.start()][1]) for match in re.finditer(r"\S*\w\S*", whole_text)
    ]
