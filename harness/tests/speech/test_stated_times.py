from __future__ import annotations

import itertools

import numpy as np
import pytest

from voicegauge.emulator._speech_faults import (
    SMALL_STRETCH_FACTOR,
    distribute_times_evenly,
    freeze_times,
    shift_times,
    stretch_times,
)
from voicegauge.emulator._speech_synthesis import (
    SpeechTiming,
    SynthesisRequest,
    SynthesizedSpeech,
    build_speech_timings,
    render_speech,
)
from voicegauge.speech.decoding import decode
from voicegauge.speech.espeak import synthesize_with_times
from voicegauge.speech.listening import StatedTimesJudgement, judge_stated_times, split_into_words

TEXT = "The ferry to the island leaves at half past nine, and it comes back before dinner."
DEFECTS = {
    "shifted": shift_times,
    "stretched": lambda timings: stretch_times(timings, SMALL_STRETCH_FACTOR),
    "uniform": distribute_times_evenly,
    "frozen": freeze_times,
}


@pytest.fixture(scope="module")
def speech() -> SynthesizedSpeech:
    return render_speech(
        SynthesisRequest(
            text=TEXT,
            language="en",
            espeak_variant="klatt3",
            words_per_minute=165,
            pitch=50,
            sample_rate_hz=24_000,
            leading_silence_s=0.2,
            audio_format="wav",
            seed=3,
        )
    )


def _judge(speech: SynthesizedSpeech, timings: list[SpeechTiming], unit: str) -> StatedTimesJudgement:
    audio = decode(speech.audio_bytes)
    texts, starts = [one.text for one in timings], [one.start_s for one in timings]
    words = split_into_words(texts, starts, "character" if unit == "character" else "word")
    return judge_stated_times(audio.samples, audio.sample_rate_hz, words, is_recognized_clearly=True)


@pytest.mark.parametrize("unit", ["character", "word"])
def test_the_times_of_the_synthesizer_are_true(speech: SynthesizedSpeech, unit: str) -> None:
    timings = build_speech_timings(TEXT, "character" if unit == "character" else "word", speech, leading_silence_s=0.2)
    assert "".join(one.text for one in timings) == (TEXT if unit == "character" else TEXT.replace(" ", ""))
    assert all(one.start_s <= other.start_s for one, other in itertools.pairwise(timings))
    found = _judge(speech, timings, unit)
    assert found.verdict == "true", found.explanation


@pytest.mark.parametrize("unit", ["character", "word"])
@pytest.mark.parametrize("verdict", DEFECTS)
def test_untrue_times_are_named(speech: SynthesizedSpeech, verdict: str, unit: str) -> None:
    timings = build_speech_timings(TEXT, "character" if unit == "character" else "word", speech, leading_silence_s=0.2)
    assert _judge(speech, DEFECTS[verdict](timings), unit).verdict == verdict


def test_times_of_another_sentence_do_not_follow_the_speech(speech: SynthesizedSpeech) -> None:
    timings = build_speech_timings(TEXT, "word", speech, leading_silence_s=0.2)
    random = np.random.default_rng(4)
    starts = sorted(random.uniform(0.2, 4.5, len(timings)))
    mixed = [one._replace(start_s=round(float(start), 3)) for one, start in zip(timings, starts, strict=True)]
    assert _judge(speech, mixed, "word").verdict in ("untrue", "stretched", "shifted")


def test_few_words_are_not_judged(speech: SynthesizedSpeech) -> None:
    timings = build_speech_timings(TEXT, "word", speech, leading_silence_s=0.2)[:4]
    assert _judge(speech, timings, "word").verdict == "unclear"


def test_words_end_before_the_pause_that_follows() -> None:
    speech = synthesize_with_times(
        "Hello there. It is late.",
        language="en",
        voice_variant=None,
        words_per_minute=160,
        pitch=50,
        sample_rate_hz=22_050,
        seed=0,
    )
    there, it = speech.words[1], speech.words[2]
    assert it.start_s - there.end_s > 0.15
    assert speech.words[0].end_s <= there.start_s
