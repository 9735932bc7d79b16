from __future__ import annotations

import numpy as np
import pytest

from voicegauge.files import find_bundled_folder
from voicegauge.speech.audio_measurement import compute_rms_dbfs
from voicegauge.speech.decoding import UndecodableAudioError, decode
from voicegauge.speech.encoding import (
    TranscodingSettings,
    apply_filters,
    decode_without_mixing,
    encode_at_bitrate,
    transcode,
)

RATE_HZ = 32_000


def stereo(seconds: float = 0.5) -> np.ndarray:
    """A low tone on the left, a high one on the right."""
    times = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    return np.stack([np.sin(2 * np.pi * tone * times) for tone in (300, 2000)], axis=1).astype(np.float32) / 2


def peak_hz(samples: np.ndarray, rate: int) -> float:
    return float(np.argmax(np.abs(np.fft.rfft(samples))) * rate / len(samples))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    "rate", [pytest.param(22_050, marks=pytest.mark.slow), 44_100, pytest.param(48_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("name", ["mp3", "wav", "flac", "ogg", "m4a", "aac"])
def test_format_rate_and_channels_are_those_of_the_target(name, rate, channels) -> None:
    source = encode_at_bitrate(stereo(), RATE_HZ, "wav")
    made = decode(transcode(source, TranscodingSettings(name, rate, channels, 64)))
    assert (made.container, made.sample_rate_hz, made.source_channels) == (name, rate, channels)
    assert made.duration_s == pytest.approx(0.5, abs=0.1)
    assert compute_rms_dbfs(made.samples) > -20


@pytest.mark.parametrize("channels", [1, 2])
def test_webm_holds_opus_and_equal_samples_give_equal_bytes(channels) -> None:
    samples = stereo()[:, :channels]
    data = encode_at_bitrate(samples, RATE_HZ, "webm")
    made = decode(data)
    assert (made.container, made.sample_rate_hz, made.source_channels) == ("webm", 48_000, channels)
    assert made.duration_s == pytest.approx(0.5, abs=0.1)
    assert compute_rms_dbfs(made.samples) > -20
    assert encode_at_bitrate(samples, RATE_HZ, "webm") == data


def test_channels_stay_apart() -> None:
    samples, rate = decode_without_mixing(
        transcode(encode_at_bitrate(stereo(), RATE_HZ, "wav"), TranscodingSettings("flac", 44_100, 2))
    )
    assert [peak_hz(samples[:, side], rate) for side in (0, 1)] == pytest.approx([300, 2000], abs=5)


def test_unspecified_properties_are_unchanged() -> None:
    made = decode(transcode(encode_at_bitrate(stereo(), RATE_HZ, "wav"), TranscodingSettings("flac")))
    assert (made.sample_rate_hz, made.source_channels) == (RATE_HZ, 2)


@pytest.mark.parametrize("name", ["mp3", "m4a"])
def test_a_higher_bit_rate_makes_a_larger_file(name) -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, RATE_HZ).astype(np.float32)
    sizes = [len(encode_at_bitrate(noise, RATE_HZ, name, kbps)) for kbps in (64, 128)]
    assert sizes[1] > 1.5 * sizes[0]


@pytest.mark.parametrize("data", [b"", b"no audio at all", b"RIFF" + bytes(100), bytes(5000)])
def test_bytes_that_are_not_audio_are_rejected(data) -> None:
    with pytest.raises(UndecodableAudioError):
        decode_without_mixing(data)


@pytest.mark.parametrize("cut", [100, 1000, 4000])
def test_a_truncated_recording_is_decoded_to_its_end_or_rejected(cut) -> None:
    data = (find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3").read_bytes()
    try:
        samples, _ = decode_without_mixing(data[:cut])
    except UndecodableAudioError:
        return
    assert len(samples)


def test_an_unknown_format_is_rejected() -> None:
    with pytest.raises(ValueError, match="unknown audio format 'mp5'"):
        encode_at_bitrate(stereo(), RATE_HZ, "mp5")


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.5, 2.0])
def test_tempo_changes_the_length_and_not_the_pitch(factor) -> None:
    tone = stereo(2.0)[:, 0]
    made = apply_filters(tone, RATE_HZ, [("atempo", str(factor))])
    assert len(made) / RATE_HZ == pytest.approx(2.0 / factor, abs=0.1)
    assert peak_hz(made, RATE_HZ) == pytest.approx(300, abs=10)


def test_mp3_has_the_next_rate_that_mp3_supports() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 4001).astype(np.float32)
    assert decode(encode_at_bitrate(noise, 4001, "mp3", 64)).sample_rate_hz == 8000
