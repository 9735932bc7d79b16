"""Long texts: what is left out, said again or added, and changes of the sound, with their places."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.listening import ClipJudgement, listen_to_clip
from voicegauge.speech.long_text import PhonemeInterval, compare_long_text, recognize_phonemes
from voicegauge.speech.phoneme_network import BLANK, Pronunciation, pronounce
from voicegauge.speech.sound_quality import find_sound_changes
from voicegauge.speech.spoken_text import judge_spoken_text

SUBJECTS = ("The baker", "My neighbour", "A young sailor", "Our teacher", "The old farmer", "Her sister")
VERBS = {"carried": "basket", "painted": "window", "repaired": "engine", "described": "garden"}
ENDINGS = ("before noon", "on Friday", "for a friend", "with great care", "last winter", "in silence", "near the lake")
PAIRS = [(one, verb, thing) for verb, thing in VERBS.items() for one in SUBJECTS]
SENTENCES = [
    f"{one} {verb} the {thing} {ENDINGS[index % len(ENDINGS)]}." for index, (one, verb, thing) in enumerate(PAIRS)
]
RATE_HZ = 16_000


def _speak(text: str, variant: str = "klatt3") -> np.ndarray:
    return synthesize(
        text, language="en", voice_variant=variant, words_per_minute=120, pitch=50, sample_rate_hz=RATE_HZ, seed=1
    )


@pytest.fixture(scope="module")
def spoken() -> list[np.ndarray]:
    """Sentences, slower than usual so that all of them are longer than a minute."""
    return [_speak(sentence) for sentence in SENTENCES]


def _listen(parts: list[np.ndarray]) -> ClipJudgement:
    data, media_type = encode(np.concatenate(parts), RATE_HZ, "wav")
    return listen_to_clip(EncodedAudio(data, media_type=media_type), " ".join(SENTENCES), "en")


def _start_s(parts: list[np.ndarray], index: int) -> float:
    return sum(map(len, parts[:index])) / RATE_HZ


def test_a_long_text_that_is_said_fits(spoken: list[np.ndarray]) -> None:
    assert _start_s(spoken, len(spoken)) > 60
    found = _listen(spoken)
    assert (found.outcome, found.rule) == ("right", None)
    assert "of the phonemes agree" in found.explanation


@pytest.mark.parametrize(
    ("order", "rule", "at", "words"),
    [
        ([*range(8), *range(9, 24)], "spoken-text-incomplete", 8, "of the text on are not said at"),
        pytest.param([*range(20)], "spoken-text-incomplete", 20, "are not said", marks=pytest.mark.slow),
        pytest.param(
            [*range(4, 24)],
            "spoken-text-incomplete",
            0,
            "from word 1 of the text on are not said",
            marks=pytest.mark.slow,
        ),
        ([*range(9), *range(8, 24)], "spoken-text-repeated", 9, "are said again from"),
        pytest.param(
            [*range(12), 3, *range(12, 24)], "spoken-text-repeated", 12, "are said again from", marks=pytest.mark.slow
        ),
    ],
)
def test_what_is_left_out_or_said_again_has_its_place(
    spoken: list[np.ndarray], order: list[int], rule: str, at: int, words: str
) -> None:
    parts = [spoken[index] for index in order]
    found = _listen(parts)
    assert (found.outcome, found.rule) == ("wrong", rule)
    assert words in found.explanation
    assert found.start_s == pytest.approx(_start_s(parts, at), abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "rule", "words"),
    [
        (29, "spoken-text-incomplete", "words of the text are not said"),
        (31, "spoken-text-repeated", "said again"),
    ],
)
def test_a_text_that_repeats_itself_has_no_place(count: int, rule: str, words: str) -> None:
    sentence = _speak("The quick brown fox jumps over the lazy dog.")
    data, media_type = encode(np.concatenate([sentence] * count), RATE_HZ, "wav")
    text = " ".join(["The quick brown fox jumps over the lazy dog."] * 30)
    found = listen_to_clip(EncodedAudio(data, media_type=media_type), text, "en")
    assert (found.outcome, found.rule, found.start_s) == ("wrong", rule, None)
    assert words in found.explanation
    assert found.explanation.endswith("the text repeats itself, so that the audio does not show where")


@pytest.mark.slow
@pytest.mark.parametrize("at", [9, 18])
def test_a_sentence_said_again_is_located_in_a_voice_that_is_recognized_badly(at: int) -> None:
    """The recognized phonemes of the two equal sentences agree too little."""
    said = [_speak(sentence, "anika") for sentence in SENTENCES]
    parts = [*said[:at], said[at - 1], *said[at:]]
    samples = np.concatenate(parts)
    noise = np.random.default_rng(at).standard_normal(len(samples)) * np.sqrt(np.mean(samples**2)) * 10 ** (-25 / 20)
    spoken = judge_spoken_text((samples + noise).astype(np.float32), RATE_HZ, " ".join(SENTENCES))
    assert spoken.verdict == "said twice"
    assert spoken.start_s == pytest.approx(_start_s(parts, at), abs=0.5)


@pytest.mark.slow
def test_an_added_sentence_is_found(spoken: list[np.ndarray]) -> None:
    added = _speak("Seven green umbrellas vanished during the concert.")
    parts = [*spoken[:6], added, *spoken[6:]]
    found = _listen(parts)
    assert (found.outcome, found.rule) == ("wrong", "spoken-words-differ")
    assert found.start_s == pytest.approx(_start_s(parts, 6), abs=0.5)


@pytest.mark.slow
def test_another_text_is_found(spoken: list[np.ndarray]) -> None:
    other = "Every spring the river carries cold water from the mountains past our village. " * 12
    assert judge_spoken_text(np.concatenate(spoken), RATE_HZ, other).verdict == "other text"


@pytest.mark.slow
def test_a_quieter_stretch_is_in_doubt_at_its_start(spoken: list[np.ndarray]) -> None:
    quieter = [part * np.float32(0.35) if 7 <= index < 12 else part for index, part in enumerate(spoken)]
    found = _listen(quieter)
    assert (found.outcome, found.rule) == ("doubtful", "audio-unsteady")
    assert "the level changes by -9" in found.explanation
    assert found.start_s == pytest.approx(_start_s(spoken, 7), abs=4)


def test_pitch_and_pace_of_a_known_sound() -> None:
    def hum(pitch_hz: float, duration_s: float) -> np.ndarray:
        seconds = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
        return sum(0.1 * np.sin(2 * np.pi * pitch_hz * n * seconds) / n for n in range(1, 6)).astype(np.float32)

    (change,) = find_sound_changes(np.concatenate([hum(120, 40), hum(160, 40)]), RATE_HZ)
    assert (change.sound_property, change.start_s) == ("pitch", pytest.approx(40, abs=3))
    assert change.change == pytest.approx(1 / 3, abs=0.02)
    assert "the pitch changes by +33% at about" in change.describe()
    steady = hum(120, 80)
    assert find_sound_changes(steady, RATE_HZ) == ()
    random = np.random.default_rng(1)
    steps_s = np.where(np.arange(900) < 450, 0.1, 0.07) * random.uniform(0.7, 1.3, 900)
    starts_s = np.cumsum(steps_s) - steps_s
    steps = [
        PhonemeInterval(1, 2, start_s, duration_s)
        for start_s, duration_s in zip(starts_s.tolist(), steps_s.tolist(), strict=True)
    ]
    (change,) = find_sound_changes(steady, RATE_HZ, steps)
    assert (change.sound_property, change.start_s) == ("pace", pytest.approx(45, abs=5))
    assert find_sound_changes(steady[: 20 * RATE_HZ], RATE_HZ) == ()
    assert find_sound_changes(np.zeros(0, np.float32), RATE_HZ) == ()


def _certain(phonemes: list[int]) -> np.ndarray:
    frames = [symbol for phoneme in phonemes for symbol in (phoneme, phoneme, BLANK)]
    found = np.full((len(frames), 42), -10.0, np.float32)
    found[np.arange(len(frames)), frames] = 0.0
    return found


def test_nothing_and_too_much_are_not_compared() -> None:
    phonemes = pronounce(" ".join(SENTENCES), "en")
    empty = compare_long_text(np.zeros((0, 42), np.float32), phonemes)
    assert empty is not None
    assert not empty.is_recognized
    assert compare_long_text(_certain([1, 2] * 6_000), Pronunciation((1, 2) * 6_000, (0,))) is None
    recognized, times_s = recognize_phonemes(_certain([5, 5, 9]))
    assert (recognized.tolist(), times_s.tolist()) == ([5, 5, 9], pytest.approx([0.0, 0.06, 0.12]))


@pytest.mark.slow
def test_a_long_added_part_takes_little_memory() -> None:
    """A service that reads minutes of something else must not exhaust this machine."""
    draw = np.random.default_rng(0)
    text, added = ((1 + draw.permutation(40))[draw.integers(0, 40, count)].tolist() for count in (1200, 400))
    clip = _certain([*text[:600], *added, *text[600:]])
    tracemalloc.start()
    try:
        compared = compare_long_text(clip, Pronunciation(tuple(text), tuple(range(0, len(text), 4))))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert compared is not None
    assert [(one.kind, round(one.phoneme_count, -2)) for one in compared.differences] == [("not in the text", 400)]
    assert peak_bytes < 32 * 2**20


def test_sentences_of_longer_sounds_are_no_slower_pace() -> None:
    """Some phonemes take longer than others in every voice, and a stretch may have more of them."""
    random = np.random.default_rng(2)
    phonemes = np.where(np.arange(900) % 2 == 0, 1, np.where((np.arange(900) > 300) & (np.arange(900) < 500), 3, 2))
    durations_s = np.where(phonemes == 3, 0.14, 0.08) * random.uniform(0.8, 1.2, 900)
    starts_s = np.cumsum(durations_s) - durations_s

    def list_steps(factor: float) -> list[PhonemeInterval]:
        scaled_s = durations_s * np.where(np.arange(900) > 600, factor, 1.0)
        return [
            PhonemeInterval(
                int(phonemes[index]), int(phonemes[(index + 1) % 900]), float(starts_s[index]), float(scaled_s[index])
            )
            for index in range(900)
        ]

    silence = np.zeros(60 * RATE_HZ, np.float32)
    assert find_sound_changes(silence, RATE_HZ, list_steps(1.0)) == ()
    (change,) = find_sound_changes(silence, RATE_HZ, list_steps(0.8))
    assert (change.sound_property, change.start_s) == ("pace", pytest.approx(starts_s[600], abs=5))
