from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from voicegauge.model import Provenance
from voicegauge.speech.asr import RATE_HZ, Asr, Spoken, choose_asr
from voicegauge.speech.asr.english import cardinal, count_spoken_words, guess_sounds
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.metrics import score

TEXTS = (
    "The kettle is on the stove and the cups are on the table.",
    "We left the house early because the road was covered with snow.",
    "Please close the window before you go, it is going to rain.",
    "The box was thrown beside the parked truck.",
)
Samples = NDArray[np.float32]


def embedded(texts: Iterable[str] = TEXTS) -> Asr:
    spoken = [Spoken("en", text) for text in texts]
    found = choose_asr("pocketsphinx", provenance=Provenance.EMULATED, texts=spoken).asr
    assert found is not None
    return found


def speech(text: str) -> Samples:
    return synthesize(
        text, language="en", voice="klatt5", words_per_minute=175, pitch=50, sample_rate_hz=RATE_HZ, seed=0
    )


def error_rate(asr: Asr, texts: Iterable[str], worsen: Callable[[Samples], Samples] = lambda samples: samples) -> float:
    scored = [
        score(sample_id=text, reference=text, transcript=asr.transcribe(worsen(speech(text)), "en"), language="en")
        for text in texts
    ]
    return sum(one.errors for one in scored) / sum(one.units for one in scored)


def with_noise(snr_db: float) -> Callable[[Samples], Samples]:
    def worsen(samples: Samples) -> Samples:
        level = float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-snr_db / 20)
        noise = np.random.default_rng(1).standard_normal(len(samples), dtype=np.float32)
        return samples + noise * np.float32(level)

    return worsen


def kept(share: float) -> Callable[[Samples], Samples]:
    return lambda samples: samples[: int(len(samples) * share)]


def with_lost_frames(share: float) -> Callable[[Samples], Samples]:
    def worsen(samples: Samples) -> Samples:
        frame = RATE_HZ // 50
        frames = samples[: len(samples) // frame * frame].reshape(-1, frame).copy()
        frames[np.random.default_rng(1).random(len(frames)) < share] = 0
        return frames.reshape(-1)

    return worsen


def test_a_clear_voice_is_mostly_understood() -> None:
    assert error_rate(embedded(), TEXTS[:2]) <= 0.2


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        [with_noise(snr) for snr in (40, 20, 10, 0)],
        [kept(share) for share in (1.0, 0.75, 0.5, 0.25)],
        [with_lost_frames(share) for share in (0.0, 0.2, 0.4, 0.7)],
    ],
    ids=["noise", "truncation", "lost frames"],
)
def test_the_error_rises_with_the_damage(steps: list[Callable[[Samples], Samples]]) -> None:
    asr = embedded()
    rates = [error_rate(asr, TEXTS, worsen) for worsen in steps]
    # Four sentences have 42 words: one of them may go the other way.
    assert all(after >= before - 1 / 42 for before, after in pairwise(rates)), rates
    assert rates[0] < 0.3
    assert rates[-1] > 0.6


def test_what_was_heard_before_does_not_matter() -> None:
    asr, samples = embedded(), speech(TEXTS[3])
    first = asr.transcribe(samples, "en")
    asr.transcribe(with_noise(0)(speech(TEXTS[0])), "en")
    assert asr.transcribe(samples, "en") == first == embedded().transcribe(samples, "en")


def test_no_word_is_heard_that_was_not_told() -> None:
    asr = embedded([TEXTS[3]])
    said = asr.transcribe(speech(TEXTS[1]), "en").split()
    assert said
    assert set(said) <= set(count_spoken_words([TEXTS[3]]))


def test_words_that_no_dictionary_has_are_sounded_out() -> None:
    text = "The zorbulak drank a yellow morning."
    asr = embedded([text, TEXTS[3]])
    assert asr.settings["words_sounded_out"] == "1"
    assert "zorbulak" in asr.transcribe(speech(text), "en")


def test_numbers_are_heard_as_they_are_read() -> None:
    text = "Room 417 costs $30."
    assert error_rate(embedded([text]), [text]) <= 0.5
    assert {"four", "hundred", "seventeen", "thirty", "dollars"} <= set(count_spoken_words([text]))


def test_it_says_that_it_is_flattered_and_by_which_words() -> None:
    asr = embedded()
    assert asr.closed_vocabulary
    assert asr.id.startswith("pocketsphinx:en-us@")
    assert asr.id == embedded(reversed(TEXTS)).id
    assert asr.id != embedded(TEXTS[:3]).id
    assert [asr.knows(language) for language in ("en-GB", "de")] == [True, False]


def test_it_can_be_sent_to_another_process_after_use() -> None:
    asr, samples = embedded(), speech(TEXTS[3])
    said = asr.transcribe(samples, "en")
    assert pickle.loads(pickle.dumps(asr)).transcribe(samples, "en") == said  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("In 1987 it rained.", {"nineteen", "eighty", "seven", "thousand", "hundred"}),
        ("March 14th, 10:30 a.m.", {"fourteenth", "ten", "thirty", "a", "m"}),
        ("$2.6 million, 20%", {"two", "point", "six", "dollars", "million", "twenty", "percent"}),
        ("Dr. O'Neil's café", {"doctor", "o'neil's", "cafe"}),
        ("7" * 40, {"seven"}),
    ],
)
def test_spoken_words_of_written_ones(text: str, expected: set[str]) -> None:
    assert expected <= set(count_spoken_words([text]))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "zero"),
        (13, "thirteen"),
        (212, "two hundred twelve"),
        (40_005, "forty thousand five"),
        (1_000_000, "one million"),
    ],
)
def test_cardinals(value: int, words: str) -> None:
    assert " ".join(cardinal(value)) == words


@pytest.mark.parametrize("word", ["xyzzy", "o'q", "schnitzel", "aa"])
def test_every_word_gets_sounds(word: str) -> None:
    assert guess_sounds(word)
