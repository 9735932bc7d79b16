"""Judges whether a clip says its text: all of it, once, and nothing else.

The phoneme network recognizes the voices that it was trained with clearly: with them, single words are judged. It was
trained with synthesized English only, so it recognizes other voices less well. With them it is only judged which of
several texts explains the clip best, and whether a shorter or a repeated text explains it better. What is in doubt is
"unclear".

The bounds were chosen with planted defects (`benchmarks/listening`) and checked with clips of six services that
public repositories contain. There the text itself explained the clip better than 40 other texts in 9 of 9 clips.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
import re
import unicodedata
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.decoding import Samples
from voicegauge.speech.espeak import guess_language
from voicegauge.speech.long_text import (
    MAX_AGREEING_PHONEME_SHARE_OF_OTHER_TEXT,
    LongTextDifference,
    PhonemeInterval,
    compare_long_text,
)
from voicegauge.speech.phoneme_network import (
    BLANK,
    FRAME_S,
    LogProbabilities,
    Pronunciation,
    TextAlignment,
    align_text,
    compute_best_log_probability,
    compute_deficit,
    compute_phoneme_log_probabilities,
    pronounce,
    score_prefixes,
    score_word_edits,
    supports_language,
)

SpokenTextVerdict = Literal[
    "right",
    "end missing",
    "start missing",
    "part missing",
    "said twice",
    "other words",
    "other text",
    "other rate",
    "fits",
    "does not fit",
    "unclear",
]
"""What a clip says. If the voice is recognized clearly: the text ("right"), a part of it, some or all of it twice,
other words, another text, or the text at another sample rate than the stated one. Otherwise: it fits the text better
than all others that were tried ("fits"), it does not ("does not fit"), or nothing can be said ("unclear")."""

MIN_CLEAR_LOG_PROBABILITY = -0.125
"""Mean logarithm of the probability of the best symbol in a frame, from which a voice may be recognized clearly. With
the emulator's voices it is -0.05 to -0.14, with those of real services -0.14 to -0.19."""
MAX_EXPLAINED_DEFICIT = 0.9
"""Largest deficit per phoneme of a text that explains a clip. Of 240 clean clips of espeak-ng it was at most 0.53, of
clips of real services at least 1.8."""
MAX_RIGHT_DEFICIT = 1.5
"""Largest deficit per phoneme of a text that counts as said if no single word stands out. It was at most 1.3 in 300
clean clips, two thirds of them by voices that do not occur in the training."""
MAX_MEDIAN_WORD_DEFICIT = 4.0
"""Largest median deficit of the words of a text that a clip mostly says. In clean clips it was 0 with the emulator's
voices, and at most 5 with other voices."""
MIN_OTHER_TEXT_DEFICIT = 4.0
"""Smallest deficit per phoneme of a text that a clearly recognized voice does not say at all. In thirty clips of other
texts it was at least 8.4."""
MIN_DEFICIT_OF_ABSURD_TEXT = 7.0
"""Deficit from which a text is another one even if it explains the clip better than the texts that were tried. Of the
right texts of clips of real services it was at most 5.9."""
MAX_DEFICIT_OF_FITTING_TEXT = 6.2
"""Largest deficit per phoneme of a text that fits a clip of an unknown voice."""
MIN_MISSING_PHONEME_SHARE = 0.07
"""Smallest share of the phonemes whose absence is reported as a missing start or end."""
MIN_EDIT_EVIDENCE = 15.0
"""Logarithm of how much better a shorter or a repeated text must explain a clip than the text itself."""
MIN_DEFICIT_OF_SPOKEN_GAP = 8.0
"""Deficit from which something else is said before or after a part of the text."""
MIN_WORD_DEFICIT, MAX_REQUIRED_WORD_DEFICIT = 14.0, 32.0
"""Deficit of a word, with the gaps beside it, from which another word is said. It is the first bound, plus, for voices
that are recognized less well, `TYPICAL_WORD_WEIGHT` times the square root of the typical deficit of the clip's words,
but at most the second bound. The highest deficit in 500 clean clips of the emulator's voices was below 14, in 500 of
unseen voices 30; with a word replaced it was at least 23 in 98 of 100 clips."""
TYPICAL_WORD_WEIGHT = 8.0
"""Weight of the square root of the typical deficit in the deficit from which another word is said."""
_TYPICAL_WORD_PERCENTILE = 70
"""Percentile of the deficits of a clip's words that is their typical deficit."""
MIN_EVIDENCE_OF_OMISSION, MIN_EVIDENCE_OF_REPETITION = 13.0, 3.0
"""Logarithm of how much likelier a clip must be if a word is left out, and if it is said twice; plus
`MEDIAN_WORD_WEIGHT` times the median deficit of a word, for voices that are recognized less well. The highest
logarithms in 200 clean clips of the emulator's and of unseen voices were 11.2 and -1.8. With a word left out it was at
least 12.6; with a word said twice at least 7 with the emulator's voices, and above 3 in 98 of 100 clips of others."""
MEDIAN_WORD_WEIGHT = 1.0
"""Weight of the median deficit in the logarithm from which a word is left out or said twice. In a whole clip of a real
service, with a median of 4.8, leaving out a word was 16.5 likelier: with a weight of 0.7 it was accused."""
MAX_MEDIAN_OF_EDITED_TEXT = 5.5
"""Largest median deficit of the words of a clip in which a word left out or said twice is looked for, as
`MAX_MEDIAN_WORD_DEFICIT` for the text as it is. With voices of real services, the median is higher."""
MIN_SHARE_EXPLAINED_BY_EDIT = 0.5
"""Smallest evidence for a word that is left out or said twice, as a share of the highest deficit of a word. With less
evidence, another word is said, unless the edit is within that word. Of 300 words that were left out or said twice the
share was at least 0.43, of other digits at most 0.46."""
PROBABILITY_SOFTENING_FACTOR = 5.0
"""Factor by which the logarithms of the probabilities of an unknown voice are divided, because they are too sure."""
MIN_SOFTENED_EVIDENCE = 0.25
"""Logarithm per phoneme of how much better a shorter text must explain a clip of an unknown voice. In eight whole clips
of real services it was at most 0.06, in their first two thirds at least 0.29."""
MAX_SHARE_OF_SHORTER_TEXT = 0.85
"""Largest share of the phonemes of a text that a shorter text has, for a clip of an unknown voice."""
MIN_TEXT_PREFERENCE = 0.5
"""Difference of the deficits per phoneme from which a part of a text, or the text said twice, is preferred to
others."""
MIN_FITTING_DISTANCE, MAX_UNFITTING_DISTANCE = 4.0, 3.5
"""Distance from the other texts from which a text fits a clip of an unknown voice, and below which it does not. The
distance is how much lower the deficit of the text is than the mean of the other texts, divided by the standard
deviation of their deficits. Of right texts it was at least 8.1 in 225 clips of 24 voices that do not occur in the
training, and 7.3 in six clips of real services (4.6 in a seventh, of 15 phonemes); of wrong texts at most 3.3, except
in three clips whose deficit is absurd."""
MIN_SPREAD_OF_OTHER_DEFICITS = 0.3
"""Smallest standard deviation of the deficits of the other texts by which a distance is divided."""
MIN_JUDGED_PHONEMES = 12
"""Smallest number of phonemes of a text with which a clip is compared."""
MAX_JUDGED_S = 60.0
"""Duration of the longest clip that is compared with its text word by word, in seconds; longer ones are compared in
parts (`long_text`)."""
MAX_LONG_TEXT_S = 900.0
"""Duration of the longest clip that is compared with its text at all, in seconds."""
_MAX_SHOWN_DIFFERENCES = 5
"""Largest number of differences that an explanation names."""
JUDGED_SPEED_RANGE = (0.75, 1.4)
"""Requested speeds at which speech is compared with its text."""
TRIED_SAMPLE_RATE_FACTORS = (0.5, 2.0)
"""Factors between the true and the stated sample rate that are tried."""
MIN_COMMON_WORDS, MIN_SHARE_OF_COMMON_WORDS = 2, 0.15
"""Number and share of common English words from which a text counts as English. At least one of the words must not
occur in other languages."""
_ENGLISH_WORDS_TEXT = (
    "about after again and another are because before both could did does each every first friday from good hello "
    "here his how into its just know like many monday morning much my never not now once only other our please "
    "right saturday shall she should since such sunday than thank thanks that the their them then there these they "
    "this those through thursday today tomorrow tuesday until very wednesday were what when where which while who "
    "why with without would yes yesterday you your"
)
_ENGLISH_WORDS = frozenset(_ENGLISH_WORDS_TEXT.split())
"""Common words that hardly any other language has."""
_SHARED_WORDS_TEXT = "a an as at be but by can do for has have he i if in is it me no of on or so to up us was we will"
_SHARED_WORDS = frozenset(_SHARED_WORDS_TEXT.split())
"""Common English words that other languages have too, such as "of", "is" and "we" in Dutch, "for", "at" and "have" in
Danish."""
_FOREIGN_WORDS_TEXT = (
    "ale att auf av avec bir che con da das dat de deg dei del der des det di dla ein eine el en er est et het ich "
    "ikke il inte je jest kan le les los met mit na naar nao nem nie niet nicht non och og om para pas per por que "
    "se sie sind sono som sur un una und une van ve voor wir zijn zu"
)
_FOREIGN_WORDS = frozenset(_FOREIGN_WORDS_TEXT.split())
"""Common words of other languages, which a text with English names may have."""
_TYPOGRAPHIC_MARKS = str.maketrans(dict.fromkeys("\u2018\u2019\u201c\u201d\u2013\u2014\u2026\u00a0", " "))
"""Translation table that replaces quotation marks, dashes, ellipses and fixed spaces by spaces."""
_UNJUDGED_TEXT_PATTERN = re.compile(r"[<>\[\](){}*_#|~^\\]|\bspeaker \w+:", re.IGNORECASE)
"""Matches markup, directions and names of speakers in a dialogue, which some voices speak and others do not."""
_WORD_PATTERN = re.compile(r"[^\W\d_]{1,15}")
"""Matches an ordinary word: at most 15 letters. Each part of a longer run of letters counts as a word."""
_MIN_ORDINARY_WORDS = 3
"""Smallest number of words in a text whose spoken duration can be estimated. Fewer words may be spelled out, or spoken
very slowly."""
_MIN_SHARE_OF_CHARACTERS_IN_WORDS = 0.7
"""The duration of a text is only estimated if at least this share of its characters is in ordinary words. Some voices
read digits, markup and emoji aloud, and others leave them out."""
_OTHER_TEXTS = (
    "Every spring the river carries cold water from the mountains past our village.",
    "Could you tell me where I should change trains for the airport this evening?",
    "She packed four boxes of books and left them beside the kitchen door.",
    "Nobody remembered who had painted the small yellow boat in the harbour.",
    "Most people prefer a quiet street with large trees and wide pavements.",
    "After lunch we walked up the hill and watched the clouds move across the valley.",
    "His brother repairs old clocks, cameras and anything else with tiny wheels.",
    "A sudden storm kept the fishermen at home for almost a whole week.",
    "Please switch off the lights before you go, and leave the window open.",
    "The museum shows glass, jewels and curious maps from every part of the world.",
)
"""Texts with which a clip is compared in addition to its own text: as many of their phonemes as its text has, repeated
if necessary."""


class SpokenTextJudgement(NamedTuple):
    """What a clip says, compared with its text."""

    verdict: SpokenTextVerdict
    explanation: str
    """The verdict with its figures and times, as the end of a sentence."""
    start_s: float | None = None
    """Time at which the difference is audible, in seconds; `None` if it has no particular time."""
    alignment: TextAlignment | None = None
    """Where the words are; `None` if the clip does not say the text, and for long clips."""
    phoneme_intervals: tuple[PhonemeInterval, ...] = ()
    """The intervals between phonemes of a long clip that its text has too; empty for a shorter clip."""


_UNCLEAR_JUDGEMENT = SpokenTextJudgement("unclear", "the voice is not recognized clearly")
"""Judgement on a clip of a voice that is not recognized clearly."""


def explain_why_not_judged(text: str, language: str | None, speed: float | None) -> str | None:
    """Return why speech of `text` cannot be compared with it; `None` if it can.

    Args:
        text: the text that was requested.
        language: language code of the text; with `None` or "auto", the language is recognized by the words.
        speed: requested speed factor; `None` for the usual one.
    """
    if importlib.util.find_spec("espeakng_loader") is None:
        return "espeak-ng is not installed, which pronounces the text: install voicegauge[emulator]"
    reason = _explain_why_not_english(text, language)
    if reason is not None:
        return reason
    if _UNJUDGED_TEXT_PATTERN.search(text):
        return "the text has markup, directions or names of speakers"
    if not JUDGED_SPEED_RANGE[0] <= (speed or 1.0) <= JUDGED_SPEED_RANGE[1]:
        return f"the requested speed is {speed:g}"
    return None


def _explain_why_not_english(text: str, language: str | None) -> str | None:
    if language is None or language.lower() == "auto":
        return None if is_english_text(text) else "it is not known whether the text is English"
    if not supports_language(language):
        return f"the language is {language}, and only English is compared with its text"
    if guess_language(text, language) != language:  # "en" is also the language of texts that state none
        return "the language of the text is not stated, and its script is not that of English"
    return None


def is_english_text(text: str) -> bool:
    """Whether a text is English beyond doubt, by its common words."""
    plain = text.translate(_TYPOGRAPHIC_MARKS)
    words = re.findall(r"[^\W\d_]+", plain.lower())
    english, shared, foreign = (
        sum(word in known for word in words) for known in (_ENGLISH_WORDS, _SHARED_WORDS, _FOREIGN_WORDS)
    )
    is_common = english + shared >= max(MIN_COMMON_WORDS, MIN_SHARE_OF_COMMON_WORDS * len(words))
    return plain.isascii() and english > foreign and is_common


def is_ordinary_text(text: str) -> bool:
    """Whether `text` consists mostly of words, so that the duration of its speech can be estimated."""
    if "<" in text or not unicodedata.is_normalized("NFKC", text):  # markup, or mathematical letters
        return False
    words = _WORD_PATTERN.findall(text)
    return len(words) >= _MIN_ORDINARY_WORDS and sum(map(len, words)) >= _MIN_SHARE_OF_CHARACTERS_IN_WORDS * len(
        text.replace(" ", "")
    )


def judge_spoken_text(samples: Samples, sample_rate_hz: int, text: str, language: str = "en") -> SpokenTextJudgement:
    """Return what a clip says, compared with `text`.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        text: the text that should be spoken.
        language: language code of the text, such as "en" or "en-GB".

    Raises:
        MissingExtraError: espeakng-loader is not installed.
    """
    if len(samples) > MAX_LONG_TEXT_S * sample_rate_hz:
        return SpokenTextJudgement("unclear", f"the clip is longer than {MAX_LONG_TEXT_S:g} s")
    # All samples count, also silence at the ends: a judgement has times from the first sample.
    key = (hashlib.sha256(np.ascontiguousarray(samples).data).digest(), sample_rate_hz, text, language)
    if key not in _CACHED_JUDGEMENTS:
        if len(_CACHED_JUDGEMENTS) >= _MAX_CACHED_JUDGEMENTS:
            _CACHED_JUDGEMENTS.pop(next(iter(_CACHED_JUDGEMENTS)))
        is_long = len(samples) > MAX_JUDGED_S * sample_rate_hz
        _CACHED_JUDGEMENTS[key] = (_judge_long_text if is_long else _judge_pronunciation)(
            samples, sample_rate_hz, pronounce(text, language)
        )
    return _CACHED_JUDGEMENTS[key]


_MAX_CACHED_JUDGEMENTS = 256
_CACHED_JUDGEMENTS: dict[tuple[bytes, int, str, str], SpokenTextJudgement] = {}
"""Cache of judgements, because several cases of a check may get the same audio for the same text."""


def forget_judgements() -> None:
    """Forget all judgements, so that the next clip is judged again."""
    _CACHED_JUDGEMENTS.clear()


def _judge_pronunciation(samples: Samples, sample_rate_hz: int, pronunciation: Pronunciation) -> SpokenTextJudgement:
    """Return what a clip says, compared with a text that is given by its pronunciation."""
    phonemes = pronunciation.phonemes
    count = len(phonemes)
    if count < MIN_JUDGED_PHONEMES:
        return SpokenTextJudgement("unclear", f"the text has fewer than {MIN_JUDGED_PHONEMES} phonemes")
    log_probabilities = compute_phoneme_log_probabilities(samples, sample_rate_hz)
    if not len(log_probabilities):
        return _UNCLEAR_JUDGEMENT
    # One pass over the text twice scores each part of it, all of it, and the text with its beginning said again.
    scores = score_prefixes(log_probabilities, phonemes * 2)
    deficit = (compute_best_log_probability(log_probabilities) - float(scores[count])) / count
    # Parts before single words: where the end is cut off, each of its words would be reported as another word. Other
    # rates come last, because the network has to run again for each.
    judgement = (
        _judge_partial_or_repeated_text(log_probabilities, scores, phonemes)
        or _judge_words(log_probabilities, pronunciation, deficit)
        or _judge_at_other_sample_rates(samples, sample_rate_hz, phonemes, deficit)
    )
    if judgement is not None:
        return judgement
    other_deficits = (compute_deficit(log_probabilities, other) for other in _list_other_phonemes(count))
    has_phonemes = bool((log_probabilities.argmax(axis=1) != BLANK).any())
    comparison = _TextComparison(deficit, tuple(filter(math.isfinite, other_deficits)), has_phonemes)
    is_other = deficit >= MIN_OTHER_TEXT_DEFICIT and comparison.distance < MAX_UNFITTING_DISTANCE
    if _is_voice_clear(log_probabilities) and (deficit >= MIN_DEFICIT_OF_ABSURD_TEXT or is_other):
        figures = comparison.describe()
        explanation = f"the text does not explain what is said ({figures})" if comparison.has_phonemes else figures
        return SpokenTextJudgement("other text", explanation)
    return _judge_unknown_voice(log_probabilities, phonemes, comparison)


class _TextComparison(NamedTuple):
    """How well a text explains a clip, beside other texts with as many phonemes."""

    deficit: float
    other_deficits: tuple[float, ...]
    """Deficits of the other texts that fit into the clip; empty if none does."""
    has_phonemes: bool
    """Whether a phoneme is the most probable sound anywhere in the clip; a tone or noise may have none."""

    @property
    def distance(self) -> float:
        """How far the text is from the others, in standard deviations of their deficits: high for the right text."""
        if not self.other_deficits or not math.isfinite(self.deficit):
            return 0.0
        spread = max(float(np.std(self.other_deficits)), MIN_SPREAD_OF_OTHER_DEFICITS)
        return (float(np.mean(self.other_deficits)) - self.deficit) / spread

    def describe(self) -> str:
        """Return in words the deficit of the text, and the smallest of unrelated texts; or why there is none."""
        if not self.has_phonemes:
            return "no speech was recognized"
        if not math.isfinite(self.deficit):
            return "the text has more phonemes than fit into the clip"
        own = f"deficit {self.deficit:.1f} per phoneme"
        if not self.other_deficits:
            return own
        return f"{own}, {min(self.other_deficits):.1f} of the best of {len(_OTHER_TEXTS)} other texts"


def _judge_long_text(samples: Samples, sample_rate_hz: int, pronunciation: Pronunciation) -> SpokenTextJudgement:
    """Return which parts of a long text a clip leaves out, says again or adds."""
    log_probabilities = compute_phoneme_log_probabilities(samples, sample_rate_hz)
    compared = compare_long_text(log_probabilities, pronunciation)
    if compared is None:
        return SpokenTextJudgement("unclear", "the text is too long to be compared")
    agreement = f"{compared.agreeing_phoneme_share:.0%} of the phonemes agree"
    if not compared.is_recognized:
        says_other_text = compared.agreeing_phoneme_share < MAX_AGREEING_PHONEME_SHARE_OF_OTHER_TEXT
        if says_other_text and _is_voice_clear(log_probabilities):
            return SpokenTextJudgement("other text", f"the text does not explain what is said ({agreement})")
        return _UNCLEAR_JUDGEMENT
    differences = compared.differences
    if not differences:
        return SpokenTextJudgement("fits", agreement, phoneme_intervals=compared.phoneme_intervals)
    shown = [one.describe() for one in differences[:_MAX_SHOWN_DIFFERENCES]]
    if len(differences) > _MAX_SHOWN_DIFFERENCES:
        shown.append(f"{len(differences) - _MAX_SHOWN_DIFFERENCES} more")
    largest = max(differences, key=lambda one: one.phoneme_count)
    start_s = largest.start_s if largest.is_place_known else None
    verdict = _choose_verdict_on_long_text(largest, len(pronunciation.word_starts))
    return SpokenTextJudgement(verdict, "; ".join(shown), start_s)


def _choose_verdict_on_long_text(difference: LongTextDifference, word_count: int) -> SpokenTextVerdict:
    """Return the verdict on a long clip whose largest difference from its text is `difference`."""
    if difference.kind == "said again":
        return "said twice"
    if difference.kind == "not in the text":
        return "other words"
    if not difference.is_place_known:
        return "part missing"
    if difference.first_word == 0:
        return "start missing"
    return "end missing" if difference.first_word + difference.word_count >= word_count else "part missing"


def _is_voice_clear(log_probabilities: LogProbabilities) -> bool:
    """Whether the network may recognize the voice of a clip clearly, by how sure it is of its best symbols."""
    return float(log_probabilities.max(axis=1).mean()) >= MIN_CLEAR_LOG_PROBABILITY


def _judge_partial_or_repeated_text(
    log_probabilities: LogProbabilities, scores: NDArray[np.float64], phonemes: tuple[int, ...]
) -> SpokenTextJudgement | None:
    """Return the verdict on a clip that clearly says a part of the text, or all of it twice; `None` for any other."""
    count, best_log_probability = len(phonemes), compute_best_log_probability(log_probabilities)
    text_log_probability, kept_count = float(scores[count]), int(np.argmax(scores))
    duration_s = len(log_probabilities) * FRAME_S
    if _is_explained_by(scores, kept_count, text_log_probability, best_log_probability):
        if kept_count >= 1.5 * count:
            repeated = align_text(log_probabilities, Pronunciation((phonemes * 2)[:kept_count], (0, count)))
            again_s = repeated.words[1].start_s if repeated is not None else duration_s / 2
            return SpokenTextJudgement("said twice", f"the text is said again from {again_s:.2f} s on", again_s)
        if kept_count <= (1 - MIN_MISSING_PHONEME_SHARE) * count and _is_silent_beside(
            log_probabilities, phonemes[:kept_count], gap_index=-1
        ):
            missing = f"the last {1 - kept_count / count:.0%} of the text is not said"
            return SpokenTextJudgement("end missing", f"{missing}; the audio ends at {duration_s:.2f} s", duration_s)
    suffixes = score_prefixes(log_probabilities[::-1], phonemes[::-1])  # at index n, those of the last n phonemes
    kept_count = int(np.argmax(suffixes))
    if (
        _is_explained_by(suffixes, kept_count, text_log_probability, best_log_probability)
        and kept_count <= (1 - MIN_MISSING_PHONEME_SHARE) * count
        and _is_silent_beside(log_probabilities, phonemes[count - kept_count :], gap_index=0)
    ):
        rest = align_text(log_probabilities, Pronunciation(phonemes[count - kept_count :], (0,)))
        start_s = rest.words[0].start_s if rest is not None else 0.0  # what is said before may be short words
        return SpokenTextJudgement(
            "start missing", f"the first {1 - kept_count / count:.0%} of the text is not said", start_s
        )
    return None


def _is_explained_by(
    scores: NDArray[np.float64], kept_count: int, text_log_probability: float, best_log_probability: float
) -> bool:
    """Whether the first `kept_count` phonemes explain a clip, and much better than the whole text does."""
    log_probability = float(scores[kept_count])
    lacking = (best_log_probability - log_probability) / max(kept_count, 1)
    return log_probability - text_log_probability >= MIN_EDIT_EVIDENCE and lacking <= MAX_EXPLAINED_DEFICIT


def _is_silent_beside(log_probabilities: LogProbabilities, phonemes: tuple[int, ...], *, gap_index: int) -> bool:
    """Whether nothing else is said before the first (gap 0) or after the last of `phonemes` (gap -1)."""
    alignment = align_text(log_probabilities, Pronunciation(phonemes, (0,)))
    return alignment is not None and alignment.gap_deficits[gap_index] < MIN_DEFICIT_OF_SPOKEN_GAP


def _judge_words(
    log_probabilities: LogProbabilities, pronunciation: Pronunciation, deficit: float
) -> SpokenTextJudgement | None:
    """Return the verdict on the single words of a clip that clearly says most of them; `None` for any other clip."""
    edited = _find_edited_word(log_probabilities, pronunciation)
    aligned = _judge_aligned_words(log_probabilities, pronunciation, deficit)
    if edited is None or aligned is None or aligned.verdict != "other words" or aligned.alignment is None:
        return aligned if edited is None else edited.judgement
    return edited.judgement if _explains_difference(edited, aligned.alignment) else aligned


class _EditedWord(NamedTuple):
    """A word that is left out or said twice, and how likely that is."""

    judgement: SpokenTextJudgement
    evidence: float
    """Logarithm of how much likelier the clip is with the edited text."""


def _explains_difference(edited_word: _EditedWord, alignment: TextAlignment) -> bool:
    """Whether an edit is within the word with the highest deficit, or explains much of that deficit."""
    worst = int(np.argmax(alignment.word_deficits))
    lacking = max(*alignment.word_deficits, *alignment.gap_deficits)
    start_s, word = edited_word.judgement.start_s, alignment.words[worst]
    is_within = start_s is not None and word.start_s <= start_s < word.end_s
    is_largest = alignment.word_deficits[worst] == lacking
    return edited_word.evidence >= MIN_SHARE_EXPLAINED_BY_EDIT * lacking or (is_within and is_largest)


def _judge_aligned_words(
    log_probabilities: LogProbabilities, pronunciation: Pronunciation, deficit: float
) -> SpokenTextJudgement | None:
    """Return the verdict on a clip by the deficit of each word of its alignment; `None` if too much differs."""
    alignment = align_text(log_probabilities, pronunciation)
    if alignment is None or float(np.median(alignment.word_deficits)) > MAX_MEDIAN_WORD_DEFICIT:
        return None
    gaps = alignment.gap_deficits  # a longer word in the place of another fills the gaps beside it too
    lacking = [one + gaps[index] + gaps[index + 1] for index, one in enumerate(alignment.word_deficits)]
    typical = float(np.percentile(alignment.word_deficits, _TYPICAL_WORD_PERCENTILE))
    required = min(MIN_WORD_DEFICIT + TYPICAL_WORD_WEIGHT * math.sqrt(typical), MAX_REQUIRED_WORD_DEFICIT)
    others = [(one, word) for one, word in zip(lacking, alignment.words, strict=True) if one >= required]
    if not others:
        if deficit > MAX_RIGHT_DEFICIT:
            return None
        return SpokenTextJudgement("right", f"deficit {deficit:.2f} per phoneme", alignment=alignment)
    if len(others) > max(2, len(alignment.words) // 3):
        return None  # too much is different to say where
    places = ", ".join(f"{word.start_s:.2f} to {word.end_s:.2f} s" for _, word in others[:_MAX_SHOWN_DIFFERENCES])
    word, gap = int(np.argmax(alignment.word_deficits)), int(np.argmax(alignment.gap_deficits))
    start_s = alignment.words[word].start_s
    if alignment.gap_deficits[gap] > alignment.word_deficits[word]:
        start_s = alignment.words[gap - 1].end_s if gap else 0.0
    return SpokenTextJudgement("other words", f"not as in the text: another word at {places}", start_s, alignment)


def _find_edited_word(log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> _EditedWord | None:
    """Return the word that a clip clearly leaves out, or says twice; `None` without one."""
    edits = score_word_edits(log_probabilities, pronunciation)
    if edits is None or len(pronunciation.word_starts) < 2:
        return None
    omitted, repeated = int(np.argmax(edits.omissions)), int(np.argmax(edits.repetitions))
    excess_of_omission = edits.omissions[omitted] - MIN_EVIDENCE_OF_OMISSION
    excess_of_repetition = edits.repetitions[repeated] - MIN_EVIDENCE_OF_REPETITION
    excess, is_omission = max(excess_of_omission, excess_of_repetition), excess_of_omission >= excess_of_repetition
    if excess < 0:
        return None
    place, times = (omitted, 0) if is_omission else (repeated, 2)
    words = range(len(pronunciation.word_starts))
    edited = pronunciation.select_words([*words[:place], *[place] * times, *words[place + 1 :]])
    alignment = align_text(log_probabilities, edited)
    if alignment is None:
        return None
    typical = float(np.median(alignment.word_deficits))
    if typical > MAX_MEDIAN_OF_EDITED_TEXT or excess < MEDIAN_WORD_WEIGHT * typical:
        return None
    if is_omission:
        start_s = alignment.words[place - 1].end_s if place else 0.0
        end_s = alignment.words[place].start_s if place < len(alignment.words) else len(log_probabilities) * FRAME_S
        explanation = f"a word is missing at {start_s:.2f} s"
        if alignment.gap_deficits[place] >= MIN_DEFICIT_OF_SPOKEN_GAP:  # something else is said in its place
            explanation = f"another word at {start_s:.2f} to {end_s:.2f} s"
    else:
        start_s = alignment.words[place + 1].start_s
        explanation = f"a word is said again at {start_s:.2f} s"
    evidence = edits.omissions[omitted] if is_omission else edits.repetitions[repeated]
    judgement = SpokenTextJudgement("other words", f"not as in the text: {explanation}", start_s, alignment)
    return _EditedWord(judgement, evidence)


def _judge_at_other_sample_rates(
    samples: Samples, sample_rate_hz: int, phonemes: tuple[int, ...], deficit: float
) -> SpokenTextJudgement | None:
    """Return the verdict on a clip that says the text only at another sample rate; `None` for any other clip."""
    for factor in TRIED_SAMPLE_RATE_FACTORS:
        played = compute_phoneme_log_probabilities(samples, round(sample_rate_hz * factor))
        lacking = compute_deficit(played, phonemes)
        if lacking <= MAX_EXPLAINED_DEFICIT and deficit > lacking + MAX_EXPLAINED_DEFICIT:
            rate_hz = sample_rate_hz * factor
            explanation = f"at {rate_hz:g} Hz the audio says the text, at the stated {sample_rate_hz} Hz it does not"
            return SpokenTextJudgement("other rate", explanation, 0.0)
    return None


def _judge_unknown_voice(
    log_probabilities: LogProbabilities, phonemes: tuple[int, ...], comparison: _TextComparison
) -> SpokenTextJudgement:
    """Return the verdict on a clip of a voice that the network does not recognize clearly."""
    count, duration_s, deficit = len(phonemes), len(log_probabilities) * FRAME_S, comparison.deficit
    twice = phonemes * 2
    log_probability_by_count = score_prefixes(_soften_probabilities(log_probabilities), twice)
    kept_count = int(np.argmax(log_probability_by_count))
    others_twice = (compute_deficit(log_probabilities, other * 2) for other in _list_other_phonemes(count))
    if (
        log_probability_by_count[2 * count] > log_probability_by_count[count]
        and compute_deficit(log_probabilities, twice) < min(others_twice) - MIN_TEXT_PREFERENCE
    ):
        return SpokenTextJudgement(
            "said twice", f"the text is said again from about {duration_s / 2:.1f} s on", duration_s / 2
        )
    is_other = deficit >= MIN_DEFICIT_OF_ABSURD_TEXT or comparison.distance < MAX_UNFITTING_DISTANCE
    evidence = (float(log_probability_by_count[kept_count]) - float(log_probability_by_count[count])) / count
    if evidence >= MIN_SOFTENED_EVIDENCE and kept_count <= MAX_SHARE_OF_SHORTER_TEXT * count:
        others = [compute_deficit(log_probabilities, other[:kept_count]) for other in _list_other_phonemes(count)]
        if kept_count and compute_deficit(log_probabilities, phonemes[:kept_count]) < min(others) - MIN_TEXT_PREFERENCE:
            missing = f"about the last {1 - kept_count / count:.0%} of the text is not said"
            return SpokenTextJudgement("end missing", f"{missing}; the audio ends at {duration_s:.2f} s", duration_s)
        if not is_other:
            return _UNCLEAR_JUDGEMENT
    if is_other:
        return SpokenTextJudgement("does not fit", comparison.describe())
    if comparison.distance >= MIN_FITTING_DISTANCE and deficit <= MAX_DEFICIT_OF_FITTING_TEXT:
        return SpokenTextJudgement("fits", comparison.describe())
    return _UNCLEAR_JUDGEMENT


def _soften_probabilities(log_probabilities: LogProbabilities) -> LogProbabilities:
    """Return less extreme probabilities: logarithms divided by `PROBABILITY_SOFTENING_FACTOR`, normalized again."""
    scaled = log_probabilities / np.float32(PROBABILITY_SOFTENING_FACTOR)
    scaled = scaled - scaled.max(axis=1, keepdims=True)
    return np.asarray(scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True)), np.float32)


@functools.lru_cache(maxsize=64)
def _list_other_phonemes(count: int) -> tuple[tuple[int, ...], ...]:
    """Return `count` phonemes of each of `_OTHER_TEXTS`, which is repeated as needed."""
    spoken = (pronounce(text).phonemes for text in _OTHER_TEXTS)
    return tuple((one * (count // len(one) + 1))[:count] for one in spoken)
