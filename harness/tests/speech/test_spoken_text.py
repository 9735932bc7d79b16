"""A small sample of `benchmarks/listening`: planted defects are found and located, and clean clips are not accused."""

from __future__ import annotations

from itertools import pairwise
from random import Random

import numpy as np
import pytest
from listening import defects
from listening.__main__ import UNSEEN_VARIANTS, listen
from listening.clips import EMULATOR_VARIANTS, Voice, make_clip, speak
from listening.defects import DEFECTS, DROPOUT, LOSSY_DROPOUT, make_defective_clip

from voicegauge.speech.phoneme_network import (
    SYMBOL_COUNT,
    Pronunciation,
    compute_mel_power,
    normalize_mel_power,
    pronounce,
    score_phonemes,
    score_word_edits,
)
from voicegauge.speech.spoken_text import explain_why_not_judged, is_english_text, judge_spoken_text

TEXT = "The committee met on Tuesday and agreed to repair the old bridge."
VOICE = Voice("klatt3", 160, 45)


SENTENCES = (
    "The old bridge across the river was closed after the storm last winter.",
    "Every morning the baker carries warm bread to the small market square.",
    "Our teacher explained why the moon looks larger near the horizon.",
    "A quiet village at the end of the valley has its own railway station.",
    "She wrote a long letter to her brother and never sent it.",
    "The doctor asked the patient to breathe slowly and count the steps.",
    "Three young engineers repaired the water pump before the evening.",
    "Nobody in the office noticed that the clock had stopped.",
)
"""Not those of the benchmark, which change whenever the documentation does."""


@pytest.fixture(autouse=True)
def _fixed_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(defects, "list_sentences", lambda: SENTENCES)


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(kind, marks=pytest.mark.slow if number % 3 else ())
        for number, kind in enumerate(kind for kind in DEFECTS if kind not in (DROPOUT, LOSSY_DROPOUT))
    ],
)
def test_a_planted_defect_is_found_and_located(kind: str) -> None:
    """Dropouts are found in some clips only; `test_speech_signal.py` tests in which."""
    random = Random(f"test/{kind}")
    for _ in range(2):
        defective = make_defective_clip(kind, random)
        found = listen(defective.clip)
        assert found.outcome == "wrong", defective.clip.text
        if defective.place_s is not None:
            start_s, end_s = defective.place_s
            assert start_s - 0.3 <= found.start_s <= end_s + 0.3


@pytest.mark.parametrize("duration_s", [1.0, 3.0])
def test_a_tone_is_described_without_a_number(duration_s: float) -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(int(16_000 * duration_s)) / 16_000)
    judgement = judge_spoken_text(tone.astype(np.float32), 16_000, TEXT)
    assert judgement.verdict in ("other text", "does not fit")
    assert judgement.explanation == "no speech was recognized"


@pytest.mark.parametrize("variants", [EMULATOR_VARIANTS, UNSEEN_VARIANTS])
def test_a_clean_clip_is_not_accused(variants: tuple[str, ...]) -> None:
    random = Random(f"test/{variants}")
    for _ in range(8):
        clip = make_clip(random.choice(SENTENCES), random, variants)
        assert listen(clip).outcome == "right", clip.text


def test_words_are_located() -> None:
    samples = speak(TEXT, VOICE, 24_000, 1)
    spoken = judge_spoken_text(np.concatenate([np.zeros(24_000, np.float32), samples]), 24_000, TEXT)
    assert spoken.verdict == "right"
    assert spoken.alignment is not None
    words = spoken.alignment.words
    assert len(words) == len(pronounce(TEXT).word_starts)
    assert words[0].start_s == pytest.approx(1.0, abs=0.15)
    assert words[-1].end_s <= 1 + len(samples) / 24_000
    assert all(one.end_s <= other.start_s + 0.05 for one, other in pairwise(words))


def test_silence_before_the_speech_moves_its_words_alone() -> None:
    """A service may send the same speech twice, once after a silence."""
    samples = speak(TEXT, VOICE, 24_000, 1)
    starts_s = []
    for silence in (3 * 24_000, 0):
        alignment = judge_spoken_text(np.concatenate([np.zeros(silence, np.float32), samples]), 24_000, TEXT).alignment
        assert alignment is not None
        starts_s.append(alignment.words[0].start_s)
    assert starts_s == pytest.approx([3.0, 0.0], abs=0.15)


def test_another_word_is_named_with_its_time() -> None:
    spoken = judge_spoken_text(speak(TEXT.replace("bridge", "tower"), VOICE, 24_000, 1), 24_000, TEXT)
    assert spoken.verdict == "other words"
    assert spoken.start_s is not None
    assert spoken.start_s > 2
    assert "another word at" in spoken.explanation


def test_the_mel_spectrum_is_that_of_whisper() -> None:
    from faster_whisper.feature_extractor import FeatureExtractor

    samples = np.random.default_rng(0).standard_normal(32_000).astype(np.float32) * 0.1
    ours = normalize_mel_power(np.log10(np.maximum(compute_mel_power(samples), 1e-10)))
    theirs = FeatureExtractor()(samples, padding=0).T
    assert ours[:190] == pytest.approx(theirs[:190], abs=1e-3)


@pytest.mark.parametrize(
    ("text", "language", "speed", "reason"),
    [
        (TEXT, "en", None, None),
        (TEXT, "en-GB", 1.2, None),
        (TEXT, None, None, None),
        (TEXT, "de", None, "only English"),
        ("Αύριο το πρωί το τρένο φεύγει από την τρίτη αποβάθρα.", "en", None, "its script is not that of English"),
        ("The café in Malmö sells naïve résumés for £3.", "en-GB", None, None),
        (TEXT, "en", 2.0, "speed"),
        ("Der Ausschuss traf sich am Dienstag.", None, None, "whether the text is English"),
        ("The end <break/> of it.", "en", None, "markup"),
        ("(whispering) The end of it.", "en", None, "directions"),
    ],
)
def test_what_cannot_be_compared_is_named(text: str, language: str | None, speed: float | None, reason: str) -> None:
    explained = explain_why_not_judged(text, language, speed)
    assert (explained is None) if reason is None else (explained is not None and reason in explained)


@pytest.mark.parametrize(
    "text",
    [
        "La fin de la semaine est belle.",
        "Hello world",
        "Das ist ein Test in German.",
        "We zijn blij dat het is gelukt of niet.",
        "We kijken naar The Voice of Holland, is dat goed?",
        "Tak for at du kunne komme i dag.",
        "To jest test, a to nie jest to.",
    ],
)
def test_a_text_is_not_called_english_in_doubt(text: str) -> None:
    assert not is_english_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "Your order 4417 was shipped on Monday.",
        "Hello, how can I help you?",
        "I\u2019m sorry \u2014 that\u2019s not what we said to you.",
        "Good morning. This is a short test.",
    ],
)
def test_ordinary_english_is_recognized(text: str) -> None:
    assert is_english_text(text)


def test_edited_words_are_as_likely_as_the_edited_texts() -> None:
    """One pass over the clip gives what scoring each edited text by itself gives."""
    found = np.log(np.random.default_rng(0).dirichlet(np.ones(SYMBOL_COUNT), 60)).astype(np.float32)
    phonemes, starts = (5, 5, 8, 3, 3, 11, 8), (0, 1, 3, 5)
    edits = score_word_edits(found, Pronunciation(phonemes, starts))
    assert edits is not None
    own, ends = score_phonemes(found, phonemes), (*starts[1:], len(phonemes))
    for word, (start, end) in enumerate(zip(starts, ends, strict=True)):
        omitted = score_phonemes(found, phonemes[:start] + phonemes[end:])
        again = [
            score_phonemes(found, phonemes[:said] + phonemes[start:]) for said in range(min(start + 2, end), end + 1)
        ]
        assert edits.omissions[word] == pytest.approx(omitted - own)
        assert edits.repetitions[word] == pytest.approx(max(again) - own)
    assert score_word_edits(found[:3], Pronunciation(phonemes, starts)) is None
    assert score_word_edits(found, Pronunciation((), ())) is None


@pytest.mark.parametrize("variant", ["klatt3", "AnxiousAndy", "gustave"])
def test_a_word_that_is_left_out_or_said_again_is_named_with_its_time(variant: str) -> None:
    """Two of the voices do not occur in the training."""
    voice = Voice(variant, 160, 50)
    text = "With the old key nobody can open the garden gate before seven."
    whole = judge_spoken_text(speak(text, voice, 24_000, 1), 24_000, text)
    assert whole.verdict == "right"
    assert whole.alignment is not None
    for spoken_text, says in (
        (text.replace("garden ", ""), "a word is missing at"),
        (text.replace("nobody", "nobody nobody"), "a word is said again at"),
        (text.replace("With the", "With with the"), "a word is said again at"),  # espeak-ng joins "with the"
    ):
        found = judge_spoken_text(speak(spoken_text, voice, 24_000, 1), 24_000, text)
        assert found.verdict == "other words", found.explanation
        assert says in found.explanation
        assert found.start_s is not None
    garden = pronounce(text.partition(" garden")[0]).word_starts
    garden_s = whole.alignment.words[len(garden)].start_s
    missing = judge_spoken_text(speak(text.replace("garden ", ""), voice, 24_000, 1), 24_000, text)
    assert missing.start_s == pytest.approx(garden_s, abs=0.4)
