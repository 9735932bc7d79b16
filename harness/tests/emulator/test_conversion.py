from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voicegauge.contract.extension.speech import TranscriptionResponse, TranscriptSegmentFields
from voicegauge.emulator._output_audio import (
    MAX_PITCH_SHIFT_SEMITONES,
    STEM_NAMES_BY_COUNT,
    AudioEffect,
    analyze_music,
    apply_effect,
    choose_pitch_shift_semitones,
    split_into_stems,
)
from voicegauge.emulator._transcription import build_transcript_values, split_transcript_into_timed_phrases

RATE_HZ = 16_000


def chord(*tones: float, beats_per_s: float = 2.0, seconds: float = 8.0) -> np.ndarray:
    times = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    sound = sum(np.sin(2 * np.pi * tone * times) for tone in tones) / len(tones)
    return (sound * ((times * beats_per_s) % 1 < 0.3)).astype(np.float32)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(RATE_HZ * seconds)).astype(np.float32)


@pytest.mark.parametrize("count", [2, 4, 5, 6])
def test_stems_sum_to_the_input(count) -> None:
    mix = noise(1.0)
    parts = split_into_stems(mix, RATE_HZ, count)
    assert tuple(parts) == STEM_NAMES_BY_COUNT[count]
    assert np.sum(list(parts.values()), axis=0) == pytest.approx(mix, abs=1e-5)
    assert all(np.abs(part).max() > 1e-3 for part in parts.values())


@pytest.mark.parametrize(
    ("tones", "key", "scale", "camelot"),
    [
        ((261.63, 329.63, 392.00), "C", "Major", "8B"),
        ((220.00, 261.63, 329.63), "A", "Minor", "8A"),
        ((392.00, 493.88, 587.33), "G", "Major", "9B"),
    ],
)
def test_key_and_tempo_of_a_chord_at_120_bpm(tones, key, scale, camelot) -> None:
    found = analyze_music(chord(*tones), RATE_HZ)
    assert (found["key"], found["scale"], found["camelot"]) == (key, scale, camelot)
    assert found["bpm"] == pytest.approx(120, abs=2)
    assert found["compatible_keys"][0] == f"{key} {scale}"


def test_c_major_gives_the_documented_example() -> None:
    found = analyze_music(chord(261.63, 329.63, 392.00), RATE_HZ)
    assert found["compatible_keys"] == ["C Major", "G Major", "F Major", "A Minor"]


@pytest.mark.parametrize("does", ["voice", "style", "enhance", "dereverb"])
def test_an_effect_preserves_the_duration(does) -> None:
    made = apply_effect(noise(1.0), RATE_HZ, AudioEffect(does, voice_name="af_bella"))
    assert len(made) / RATE_HZ == pytest.approx(1.0, abs=0.05)


def test_the_voice_name_determines_the_pitch_shift() -> None:
    tone = chord(440.0, beats_per_s=0.01, seconds=2.0)
    made = apply_effect(tone, RATE_HZ, AudioEffect("voice", voice_name="af_bella"))
    peak = float(np.argmax(np.abs(np.fft.rfft(made))) * RATE_HZ / len(made))
    assert peak == pytest.approx(440 * 2 ** (choose_pitch_shift_semitones("af_bella") / 12), rel=0.02)


@given(st.text())
def test_every_voice_is_shifted_a_little(name) -> None:
    assert 0 < abs(choose_pitch_shift_semitones(name)) <= MAX_PITCH_SHIFT_SEMITONES


@given(
    words=st.lists(st.text("abc", min_size=1), max_size=30),
    pauses=st.lists(st.floats(0.3, 1.0), min_size=1, max_size=5),
)
def test_words_are_timed_in_order(words, pauses) -> None:
    sound = np.concatenate([part for pause in pauses for part in (noise(0.5), np.zeros(int(RATE_HZ * pause)))])
    phrases = split_transcript_into_timed_phrases(sound.astype(np.float32), RATE_HZ, " ".join(words))
    assert [word for phrase in phrases for word in phrase.words] == words
    ends = [time for phrase in phrases for time in (phrase.start_s, phrase.end_s)]
    assert ends == sorted(ends)
    assert not ends or ends[-1] <= len(sound) / RATE_HZ


def test_a_pause_ends_a_phrase() -> None:
    sound = np.concatenate([noise(1.0), np.zeros(RATE_HZ, np.float32), noise(1.0)])
    phrases = split_transcript_into_timed_phrases(sound, RATE_HZ, "one two three four")
    assert [phrase.words for phrase in phrases] == [("one", "two"), ("three", "four")]
    assert phrases[1].start_s == pytest.approx(2.0, abs=0.05)


def test_word_timestamps_and_speakers_are_returned_if_requested() -> None:
    response = TranscriptionResponse(
        text_location="body#/text",
        segments_location="body#/segments",
        segment_field_names=TranscriptSegmentFields(speaker_field="speaker", words_field="words"),
    )
    phrases = split_transcript_into_timed_phrases(noise(1.0), RATE_HZ, "one three")
    plain = build_transcript_values(
        response, phrases, language="en", audio_duration_s=1.0, include_word_times=False, include_speaker_labels=False
    )
    full = build_transcript_values(
        response, phrases, language="en", audio_duration_s=1.0, include_word_times=True, include_speaker_labels=True
    )
    assert plain["body#/segments"] == [{"start": 0.0, "end": 1.0, "text": "one three"}]
    (segment,) = full["body#/segments"]
    assert segment["speaker"] == "SPEAKER_00"
    assert [word["word"] for word in segment["words"]] == ["one", "three"]
    assert segment["words"][0]["end"] == segment["words"][1]["start"] == pytest.approx(3 / 8, abs=0.01)
