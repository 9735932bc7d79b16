"""Loudness agrees with FFmpeg's meter; upsampled audio, clipping, offsets, noise and clicks are measured."""

from __future__ import annotations

import av
import numpy as np
import pytest

from voicegauge.speech.decoding import Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.espeak import synthesize
from voicegauge.speech.speech_signal import find_clicks, measure_bandwidth_hz, measure_loudness_lufs, measure_quality

RATE = 22_050
TEXTS = ("Good morning, and thank you for calling us today.", "The parcel with the seven stamps has not arrived yet.")


def _speak(text: str, variant: str = "klatt3") -> Samples:
    return synthesize(
        text, language="en", voice_variant=variant, words_per_minute=165, pitch=50, sample_rate_hz=RATE, seed=0
    )


def _measure_with_ffmpeg(samples: Samples, sample_rate_hz: int) -> float:
    """Return the integrated loudness by libavfilter's `ebur128`."""
    graph = av.filter.Graph()
    source = graph.add_abuffer(sample_rate=sample_rate_hz, format="flt", layout="mono")
    meter, sink = graph.add("ebur128", "metadata=1:framelog=quiet"), graph.add("abuffersink")
    source.link_to(meter)
    meter.link_to(sink)
    graph.configure()
    found = ""
    for start in range(0, len(samples), sample_rate_hz // 10):
        part = np.ascontiguousarray(samples[None, start : start + sample_rate_hz // 10])
        frame = av.AudioFrame.from_ndarray(part, format="flt", layout="mono")
        frame.sample_rate, frame.pts = sample_rate_hz, start
        graph.push(frame)
        while True:
            try:
                found = graph.pull().metadata.get("lavfi.r128.I", found)
            except (av.BlockingIOError, av.EOFError):
                break
    return float(found)


@pytest.mark.parametrize("sample_rate_hz", [8_000, 16_000, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("gain", [1.0, 0.1])
def test_loudness_agrees_with_another_meter(sample_rate_hz, gain) -> None:
    speech = np.concatenate([_speak(text) for text in TEXTS] + [np.zeros(RATE, np.float32), _speak(TEXTS[0]) * 0.1])
    samples = (resample(speech, RATE, sample_rate_hz) * gain).astype(np.float32)
    found = measure_loudness_lufs(samples, sample_rate_hz)
    assert found == pytest.approx(_measure_with_ffmpeg(samples, sample_rate_hz), abs=0.1)


def test_a_tone_has_the_loudness_of_the_standard() -> None:
    tone = np.sin(2 * np.pi * 997 * np.arange(20 * 48_000) / 48_000).astype(np.float32) * 0.1
    assert measure_loudness_lufs(tone, 48_000) == pytest.approx(-20 - 3.01, abs=0.05)
    assert measure_loudness_lufs(np.zeros(48_000, np.float32), 48_000) is None
    assert measure_loudness_lufs(tone[:10_000], 48_000) is None


@pytest.mark.parametrize("lower_rate_hz", [8_000, 11_025, 16_000])
@pytest.mark.parametrize("variant", ["klatt3", "f2", "m1"])
def test_upsampled_audio_is_found(lower_rate_hz, variant) -> None:
    speech = _speak(TEXTS[0], variant)
    raised = resample(resample(speech, RATE, lower_rate_hz), lower_rate_hz, 48_000)
    rounded = (np.round(raised * 32767) / 32767).astype(np.float32)
    found = measure_quality(rounded, 48_000, "pcm_16")
    assert found.is_upsampled
    assert found.bandwidth_hz is not None
    assert 0.75 * lower_rate_hz / 2 <= found.bandwidth_hz <= 1.1 * lower_rate_hz / 2
    assert not measure_quality(speech, RATE, "pcm_16").is_upsampled
    assert not measure_quality(rounded, 48_000, "mpeg_layer_iii").is_upsampled, "lossy codecs cut off high frequencies"


def test_noise_of_all_frequencies_has_the_whole_bandwidth() -> None:
    noise = (0.1 * np.random.default_rng(0).standard_normal(RATE)).astype(np.float32)
    assert measure_bandwidth_hz(noise, RATE) == RATE / 2
    assert measure_bandwidth_hz(np.zeros(RATE, np.float32), RATE) is None


def test_jumps_are_clicks_and_speech_has_none() -> None:
    speech = _speak(TEXTS[0])
    assert find_clicks(speech, RATE) == []
    place = int(np.argmax(np.abs(speech[RATE:]))) + RATE
    broken = np.concatenate([speech[:place], np.zeros(200, np.float32), speech[place:]])
    assert find_clicks(broken, RATE)[0] == pytest.approx(place / RATE, abs=0.01)


def test_offset_clipping_and_noise_floor() -> None:
    speech = _speak(TEXTS[0])
    noise = (0.001 * np.random.default_rng(0).standard_normal(len(speech))).astype(np.float32)
    found = measure_quality((speech + 0.05 + noise).astype(np.float32), RATE, "pcm_16")
    assert found.dc_offset == pytest.approx(0.05, abs=0.005)
    silent_end = measure_quality(np.concatenate([speech, np.zeros(RATE, np.float32)]), RATE, "pcm_16")
    assert silent_end.noise_floor_dbfs is None
    assert measure_quality(np.concatenate([speech, noise]), RATE, "pcm_16").noise_floor_dbfs == pytest.approx(
        -60, abs=2
    )
    assert measure_quality(np.clip(10 * speech, -1, 1), RATE, "pcm_16").clipped_share > 0.1
