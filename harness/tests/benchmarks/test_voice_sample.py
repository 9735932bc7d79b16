"""The reference voice sample: it respects the upload limits of every provider, and its script reproduces it."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

from voicegauge.contract.loading import load_catalogue
from voicegauge.files import find_bundled_folder
from voicegauge.speech.audio_measurement import is_silent
from voicegauge.speech.decoding import DecodedAudio, decode

SAMPLE = find_bundled_folder("benchmarks") / "suites" / "voice" / "reference.mp3"
SCRIPT = Path(__file__).parents[3] / "benchmarks" / "make_voice_sample.py"


@pytest.fixture(scope="module")
def sample() -> DecodedAudio:
    return decode(SAMPLE.read_bytes())


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_voice_sample", SCRIPT)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_it_is_small_speech_of_ten_to_thirty_seconds(sample: DecodedAudio) -> None:
    assert SAMPLE.stat().st_size <= 100_000
    assert 10 <= sample.duration_s <= 30
    assert sample.source_channels == 1
    assert not is_silent(sample.samples, sample.sample_rate_hz)


def test_it_respects_every_documented_upload_limit(sample: DecodedAudio) -> None:
    limits = [
        upload
        for contract in load_catalogue()
        for operation in contract.operations.values()
        if operation.audio_input is None  # what is transcribed or converted is synthesized for each request
        for upload in operation.limits.upload_limits.values()
    ]
    assert limits
    for upload in limits:
        assert SAMPLE.stat().st_size <= (upload.max_bytes or 100_000)
        assert sample.duration_s >= (upload.min_duration_s or 0)
        assert sample.sample_rate_hz >= (upload.min_sample_rate_hz or 0)
        assert not upload.accepted_formats or sample.container in upload.accepted_formats


def test_the_script_reproduces_the_recording(sample: DecodedAudio, script: ModuleType) -> None:
    import numpy as np

    generated = script.synthesize_sample()
    assert script.SAMPLE.resolve() == SAMPLE.resolve()
    assert sample.sample_rate_hz == script.SAMPLE_RATE_HZ
    assert len(generated) == pytest.approx(len(sample.samples), rel=0.01)
    length = min(len(generated), len(sample.samples))
    # MP3 changes the waveform slightly, and may delay it by a few frames.
    spectra = [np.abs(np.fft.rfft(x[:length])) for x in (generated, sample.samples)]
    assert np.corrcoef(*spectra)[0, 1] > 0.9
