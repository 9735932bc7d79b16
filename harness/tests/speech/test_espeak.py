"""espeak-ng gives equal samples for equal arguments, in the requested languages and rates."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.speech import espeak
from voicegauge.speech.audio_measurement import compute_rms_dbfs, is_silent
from voicegauge.speech.espeak import guess_language, has_voice_for, list_voice_variants, synthesize

TEXT = "The quick brown fox jumps over the lazy dog."
PLAIN: dict[str, Any] = {
    "language": "en",
    "voice_variant": "f2",
    "words_per_minute": 165,
    "pitch": 50,
    "sample_rate_hz": 16000,
    "seed": 0,
}


@pytest.fixture(autouse=True)
def speech_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "MAX_CACHED_REPLIES", 0)
    espeak._get_espeak_process()._replies.clear()


def test_equal_texts_are_spoken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(espeak, "MAX_CACHED_REPLIES", 100)
    before = _speak(sample_rate_hz=8000)
    for pid in _list_espeak_processes():
        os.kill(pid, signal.SIGKILL)
    again = _speak(sample_rate_hz=8000)
    assert np.array_equal(before, again)
    assert again is not before
    assert len(_speak(sample_rate_hz=16000)) == pytest.approx(2 * len(again), abs=4)
    assert _list_espeak_processes(at_least=0) == []
    monkeypatch.setattr(espeak, "MAX_CACHED_SAMPLES_BYTES", 2**17)
    for text in ("Another sentence", "A third one"):
        _speak(text)
    assert sum(len(samples) for _, samples in espeak._get_espeak_process()._replies.values()) <= 2**17


def _speak(text: str = TEXT, **changes: Any) -> Any:
    return synthesize(text, **{**PLAIN, **changes})


def test_synthesis_needs_little_more_memory_than_its_samples() -> None:
    tracemalloc.start()
    try:
        samples = _speak(f"{TEXT} " * 30, sample_rate_hz=24000)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * samples.nbytes


def test_speech_is_mono_float_and_audible() -> None:
    samples = _speak()
    assert (samples.dtype, samples.ndim) == (np.float32, 1)
    assert 1.5 < len(samples) / 16000 < 4
    assert -40 < compute_rms_dbfs(samples) < -5
    assert float(np.abs(samples).max()) <= 1.01


def test_equal_words_give_equal_samples_after_any_others() -> None:
    first = _speak()
    _speak("Something else in between.", language="de", voice_variant="m3", words_per_minute=300)
    assert np.array_equal(first, _speak())
    script = f"""
import sys
from voicegauge.speech.espeak import synthesize
sys.stdout.buffer.write(synthesize({TEXT!r}, **{PLAIN!r}).tobytes())
"""
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == first.tobytes()


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"voice_variant": "m3"}, {"voice_variant": None}, {"pitch": 80}, {"language": "fr"}]
)
def test_every_argument_changes_the_audio(change: dict[str, Any]) -> None:
    assert not np.array_equal(_speak(), _speak(**change))


def test_the_seed_changes_only_the_added_noise() -> None:
    one, two = _speak(seed=1), _speak(seed=2)
    assert len(one) == len(two)
    assert compute_rms_dbfs(one - two) < compute_rms_dbfs(one) - 40


@pytest.mark.parametrize(("slow", "fast"), [(20, 40), (40, 80), (80, 160), (160, 320), (320, 640)])
def test_twice_the_rate_is_about_half_the_duration(slow: int, fast: int) -> None:
    ratio = len(_speak(words_per_minute=slow)) / len(_speak(words_per_minute=fast))
    assert 1.4 < ratio < 2.7


@pytest.mark.parametrize("rate", [8000, 22050, 24000, 48000])
def test_the_sample_rate_does_not_change_the_duration(rate: int) -> None:
    assert len(_speak(sample_rate_hz=rate)) / rate == pytest.approx(len(_speak()) / 16000, abs=0.01)


@pytest.mark.parametrize(
    "language", ["en", "en-US", "en-GB", "zh", "zh-CN", "zh-TW", "pt", "pt-BR", "no", "ja", "ko", "ar", "hi", "de_DE"]
)
def test_common_language_codes_are_known(language: str) -> None:
    assert has_voice_for(language)
    assert not is_silent(_speak("Hello", language=language), 16000)


def test_breathy_voices_are_equal_in_every_process() -> None:
    voices = ("f2", "f3", "f5", "whisper")
    samples = b"".join(_speak(voice_variant=voice).tobytes() for voice in voices)
    script = f"""
import sys
from voicegauge.speech.espeak import synthesize
for voice in {voices}:
    sys.stdout.buffer.write(synthesize({TEXT!r}, **({PLAIN!r} | {{"voice_variant": voice}})).tobytes())
"""
    started_at = int(time.time())
    while int(time.time()) == started_at:  # the library seeds its noise with the time in seconds
        time.sleep(0.01)
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout == samples


def test_unknown_languages_and_variants_are_rejected() -> None:
    assert not has_voice_for("tlh")
    with pytest.raises(ValueError, match="does not speak 'tlh'"):
        _speak(language="tlh")
    with pytest.raises(ValueError, match="no variant 'nobody'; it has "):
        _speak(voice_variant="nobody")
    with pytest.raises(ValueError, match="at most"):
        _speak("x" * 200_000)
    assert "klatt4" in list_voice_variants()


@pytest.mark.parametrize(
    ("text", "default", "language"),
    [
        ("Hello", "en", "en"),
        ("Hallo", "de", "de"),
        ("Привет", "en", "ru"),
        ("Привіт", "uk", "uk"),
        ("你好", "en", "zh"),
        ("今日は天気がいい", "en", "ja"),
        ("안녕하세요", "en", "ko"),
        ("नमस्ते", "mr", "mr"),
        ("Hello 你", "en", "en"),
        ("12 + 3", "fr", "fr"),
    ],
)
def test_the_language_is_guessed_from_the_script(text: str, default: str, language: str) -> None:
    assert guess_language(text, default) == language


def test_threads_may_speak_at_once() -> None:
    texts = [f"Number {number}." for number in range(6)]
    alone = [_speak(text) for text in texts]
    together: list[Any] = [None] * len(texts)

    def run(index: int) -> None:
        together[index] = _speak(texts[index])

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(texts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def _list_processes(*selection: str) -> dict[int, str]:
    """Return the command lines of running processes by their ids."""
    listed = subprocess.run(
        ["ps", "-ww", "-o", "pid=,stat=,args=", *selection], capture_output=True, text=True, check=False
    )
    rows = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    return {int(pid): arguments for pid, state, arguments in rows if not state.startswith("Z")}


def _list_espeak_processes(at_least: int = 1) -> list[int]:
    found = [pid for pid, arguments in _list_processes("--ppid", str(os.getpid())).items() if "espeak_w" in arguments]
    assert len(found) >= at_least
    return found


def test_a_died_espeak_process_is_restarted() -> None:
    first = _speak()
    for pid in _list_espeak_processes():
        os.kill(pid, signal.SIGKILL)
    assert np.array_equal(first, _speak())


def test_after_ctrl_c_a_text_does_not_get_the_speech_of_the_interrupted_one() -> None:
    first = _speak()
    sessions = ",".join(map(str, _list_espeak_processes()))
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            _speak(TEXT * 2000)  # takes half a minute
    finally:
        signal.signal(signal.SIGINT, before)
    assert np.array_equal(first, _speak())
    for _ in range(1200):  # what was killed may need a moment to end, and does not speak to the end
        if not (speaking := _list_processes("-s", sessions)):
            break
        time.sleep(0.05)
    assert not speaking


@settings(max_examples=20, deadline=None)
@given(text=st.text(max_size=60), rate=st.integers(1, 900), pitch=st.integers(-5, 200))
def test_any_text_is_spoken_without_an_error(text: str, rate: int, pitch: int) -> None:
    samples = _speak(text, words_per_minute=max(rate, 40), pitch=pitch)
    assert np.isfinite(samples).all()
