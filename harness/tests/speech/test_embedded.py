from __future__ import annotations

import functools
import pickle
import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from voicegauge.bench.suites import load_suite
from voicegauge.errors import UsageError
from voicegauge.speech.asr_engines import create_embedded_faster_whisper, create_embedded_whisper
from voicegauge.speech.decoding import Samples
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.transcripts import ASR_SAMPLE_RATE_HZ, Asr, score_transcript
from voicegauge.speech.whisper_installation import WEIGHTS_PATH, list_known_words

TEXTS = tuple(text.text for text in load_suite("smoke").texts if text.language == "en")
Worsen = Callable[[Samples], Samples]


@pytest.fixture(scope="module")
def get_engine() -> Callable[[str], Asr]:
    """Return engines by name, each loaded once: earlier transcriptions do not matter, as a test proves."""
    create = {"openai-whisper": create_embedded_whisper, "faster-whisper": create_embedded_faster_whisper}
    return functools.cache(lambda name: create[name]())


@pytest.fixture(params=[pytest.param("openai-whisper", marks=pytest.mark.slow), "faster-whisper"])
def asr(request: pytest.FixtureRequest, get_engine: Callable[[str], Asr]) -> Asr:
    return get_engine(request.param)


@functools.cache
def speech(text: str) -> Samples:
    return synthesize(
        text,
        language="en",
        voice_variant="klatt4",
        words_per_minute=170,
        pitch=55,
        sample_rate_hz=ASR_SAMPLE_RATE_HZ,
        seed=0,
    )


def error_rate(asr: Asr, texts: Iterable[str], worsen: Worsen = lambda samples: samples) -> float:
    scored = [
        score_transcript(
            sample_id=text, reference=text, transcript=asr.transcribe(worsen(speech(text)), "en"), language="en"
        )
        for text in texts
    ]
    return sum(one.errors for one in scored) / sum(one.reference_unit_count for one in scored)


def noise(samples: Samples, level: float, seed: int = 1) -> Samples:
    return np.random.default_rng(seed).standard_normal(len(samples), dtype=np.float32) * np.float32(level)


def with_noise(snr_db: float) -> Worsen:
    def worsen(samples: Samples) -> Samples:
        return samples + noise(samples, float(np.sqrt(np.mean(np.square(samples)))) * 10 ** (-snr_db / 20))

    return worsen


def truncated(share: float) -> Worsen:
    return lambda samples: samples[: int(len(samples) * share)]


def with_lost_frames(share: float) -> Worsen:
    def worsen(samples: Samples) -> Samples:
        frame = ASR_SAMPLE_RATE_HZ // 50
        frames = samples[: len(samples) // frame * frame].reshape(-1, frame).copy()
        frames[np.random.default_rng(1).random(len(frames)) < share] = 0
        return frames.reshape(-1)

    return worsen


@pytest.mark.slow
def test_a_clear_voice_is_mostly_understood_and_alike_by_both_engines(get_engine: Callable[[str], Asr]) -> None:
    engines = [get_engine("openai-whisper"), get_engine("faster-whisper")]
    first, second = ({text: asr.transcribe(speech(text), "en") for text in TEXTS[:2]} for asr in engines)
    assert first == second
    scored = [
        score_transcript(sample_id=text, reference=text, transcript=said, language="en") for text, said in first.items()
    ]
    assert sum(one.errors for one in scored) <= 0.1 * sum(one.reference_unit_count for one in scored)


@pytest.mark.slow
@pytest.mark.parametrize(
    "steps",
    [
        [with_noise(snr) for snr in (40, 20, 10, 0)],
        [truncated(share) for share in (1.0, 0.75, 0.5, 0.25)],
        [with_lost_frames(share) for share in (0.0, 0.05, 0.2, 0.5)],
    ],
    ids=["noise", "truncation", "lost frames"],
)
def test_the_error_rises_with_the_damage(steps: list[Worsen]) -> None:
    texts = [*TEXTS, *(text.text for text in load_suite("standard").texts[:20] if text.language == "en")]
    rates = [error_rate(create_embedded_whisper(), texts, worsen) for worsen in steps]
    assert all(after >= before - 0.01 for before, after in pairwise(rates)), rates  # little noise does it no harm
    assert rates[0] < 0.1
    assert rates[-1] > 0.5


@pytest.mark.slow
def test_silence_and_noise_have_no_words_of_a_suite(asr: Asr) -> None:
    silence = np.zeros(3 * ASR_SAMPLE_RATE_HZ, np.float32)
    assert asr.transcribe(silence, "en") == ""
    for level in (0.001, 0.1):
        assert len(asr.transcribe(noise(silence, level), "en").split()) <= 2


def test_another_sentence_is_not_taken_for_the_text(asr: Asr) -> None:
    said = asr.transcribe(speech(TEXTS[0]), "en")
    assert score_transcript(sample_id="other", reference=TEXTS[1], transcript=said, language="en").error_rate >= 0.8


@pytest.mark.slow
def test_earlier_transcriptions_do_not_matter(asr: Asr) -> None:
    samples = speech(TEXTS[3])
    first = asr.transcribe(samples, "en")
    asr.transcribe(with_noise(0)(speech(TEXTS[0])), "en")
    assert asr.transcribe(samples, "en") == first
    assert pickle.loads(pickle.dumps(asr)).transcribe(samples, "en") == first  # noqa: S301 - our own bytes


def test_it_declares_its_closed_vocabulary(asr: Asr) -> None:
    assert asr.has_closed_vocabulary
    assert asr.id.partition("@")[0].endswith(":embedded")
    assert [asr.supports_language(language) for language in ("en-GB", "de")] == [True, False]


def test_it_knows_the_words_of_the_suites() -> None:
    words = {word.strip(".,!?") for text in TEXTS for word in text.lower().split() if word.isalpha()}
    assert words <= list_known_words()


def test_the_package_carries_at_most_6_mb() -> None:
    assert WEIGHTS_PATH.stat().st_size <= 6_000_000


@pytest.mark.slow
@pytest.mark.parametrize("make", [create_embedded_whisper, create_embedded_faster_whisper])
def test_it_is_unpacked_once_by_concurrent_processes(
    make: Callable[[], Asr], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    made: list[str] = []
    threads = [threading.Thread(target=lambda: made.append(make().id)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [make().id] * 2
    assert len(list((tmp_path / "embedded").iterdir())) == 1


def test_an_unwritable_cache_is_reported_in_one_line_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path / "file" / "below"))
    with pytest.raises(UsageError, match=r"cannot be written .*: set VOICEGAUGE_CACHE"):
        create_embedded_whisper()
