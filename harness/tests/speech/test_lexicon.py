from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.model.base import Provenance
from voicegauge.model.run import KnownWords
from voicegauge.speech import asr_engines
from voicegauge.speech.asr_engines import SpokenText, choose_asr, count_unknown_words
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.lexicon_engine import Lexicon, LexiconAsr, create_lexicon_asr, decode_words, load_lexicon
from voicegauge.speech.phoneme_network import SYMBOL_COUNT, Array
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ, score_transcript

SENTENCES = (
    "The birch canoe slid on the smooth planks.",
    "A rusty bicycle leaned against the crumbling fence.",
    "Nobody noticed the violinist who slept beneath the staircase.",
)
PHONEMES_BY_WORD = {"one": (1, 2), "two": (1, 2, 2, 3), "three": (3,), "four": (2, 3, 1)}


def speech(text: str) -> Array:
    return synthesize(
        text,
        language="en",
        voice_variant="klatt4",
        words_per_minute=170,
        pitch=55,
        sample_rate_hz=ASR_SAMPLE_RATE_HZ,
        seed=0,
    )


@pytest.fixture(scope="module")
def asr() -> LexiconAsr:
    return create_lexicon_asr()


def test_words_that_the_network_was_never_trained_with_are_transcribed(asr: LexiconAsr) -> None:
    transcripts = {text: asr.transcribe(speech(text), "en") for text in SENTENCES}
    scores = [
        score_transcript(sample_id="one", reference=text, transcript=said, language="en")
        for text, said in transcripts.items()
    ]
    assert sum(one.errors for one in scores) <= 2, transcripts
    assert pickle.loads(pickle.dumps(asr)).transcribe(speech(SENTENCES[0]), "en") == transcripts[SENTENCES[0]]  # noqa: S301 - our own bytes
    other = score_transcript(
        sample_id="other", reference=SENTENCES[1], transcript=transcripts[SENTENCES[0]], language="en"
    )
    assert other.error_rate >= 0.8


def test_silence_and_noise_have_hardly_any_words(asr: LexiconAsr) -> None:
    silence = np.zeros(2 * ASR_SAMPLE_RATE_HZ, np.float32)
    noise = np.random.default_rng(1).standard_normal(len(silence), dtype=np.float32) * np.float32(0.1)
    said = asr.transcribe_batch([silence, noise, silence[:0]], "en")
    assert (said[0], said[2]) == ("", "")
    assert len(said[1].split()) <= 2


def test_it_names_what_determines_its_transcripts(asr: LexiconAsr) -> None:
    assert asr.id.startswith("lexicon/1 phonemes@")
    assert {"beam", "language_weight", "symspellpy", "espeakng-loader"} <= set(asr.settings)
    assert [asr.supports_language(language) for language in ("en-GB", "de")] == [True, False]


def test_words_that_it_does_not_know_are_counted(asr: LexiconAsr) -> None:
    assert count_unknown_words(asr, ["The kettle is on the stove, isn\u2019t it?"]) == KnownWords(
        word_count=8, unknown_word_count=0
    )
    few = count_unknown_words(asr, [f"{'word ' * 19} 45 Voicegauge."])
    assert str(few) == "1 of 21 words unknown, each of which counts as an error"


def test_emulated_runs_use_it_and_live_ones_do_not(
    asr: LexiconAsr, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    texts = [SpokenText("en", "Hello.")]
    assert choose_asr("auto", provenance=Provenance.EMULATED, texts=texts).asr == asr
    live = choose_asr("auto", provenance=Provenance.LIVE, texts=texts)
    assert live.asr is None
    assert "--asr lexicon" in live.reason


@pytest.mark.slow
def test_without_its_words_emulated_runs_use_the_embedded_whisper(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(asr_engines, "has_lexicon", lambda: False)
    without = choose_asr("auto", provenance=Provenance.EMULATED, texts=[SpokenText("en", "Hello.")]).asr
    assert without is not None
    assert "embedded" in without.id


def build_small_lexicon() -> Lexicon:
    children: dict[int, int] = {}
    nodes: dict[str, int] = {}
    for word, phonemes in PHONEMES_BY_WORD.items():
        node = 0
        for phoneme in phonemes:
            node = children.setdefault(node * SYMBOL_COUNT + phoneme, len(children) + 1)
        nodes[word] = node
    words = tuple(PHONEMES_BY_WORD)
    return Lexicon(
        words=words,
        children=children,
        words_by_node={node: (words.index(word),) for word, node in nodes.items()},
        best_log_probability_by_node=(0.0,) * (len(children) + 1),
        word_log_probabilities=(-1.0,) * len(words),
        pair_log_probabilities={},
        first_words=frozenset(),
    )


@given(st.lists(st.sampled_from(list(PHONEMES_BY_WORD)), max_size=6), st.integers(1, 3), st.integers(1, 2))
def test_phonemes_that_are_recognized_clearly_give_their_words(words: list[str], repeats: int, blanks: int) -> None:
    """After a blank, an equal phoneme is another one, within and between words."""
    symbols = [
        symbol
        for word in words
        for phoneme in PHONEMES_BY_WORD[word]
        for symbol in ([phoneme] * repeats + [0] * blanks)
    ]
    log_probabilities = np.full((len(symbols), SYMBOL_COUNT), -20.0, np.float32)
    log_probabilities[np.arange(len(symbols)), symbols] = 0.0
    found = decode_words(log_probabilities, build_small_lexicon())
    recognized = [phoneme for word in words for phoneme in PHONEMES_BY_WORD[word]]
    assert [phoneme for word in found for phoneme in PHONEMES_BY_WORD[word]] == recognized
    assert len(found) <= len(
        words
    )  # "two three" and "one four" may be recognized as other words with the same phonemes


def test_the_lexicon_has_each_word_and_keeps_its_most_frequent_ones_first() -> None:
    lexicon = load_lexicon()
    assert lexicon.words[0] == "the"
    assert len(lexicon.words) > 80_000
    spoken = {index for indices in lexicon.words_by_node.values() for index in indices}
    assert len(spoken) > 0.999 * len(lexicon.words)
