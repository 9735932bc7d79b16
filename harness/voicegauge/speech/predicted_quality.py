"""Predicts how listeners would rate the quality of a clip: DNSMOS P.835 and P.808, of the extra "quality".

The models are those of the package speechmos (Microsoft, MIT; C. Reddy et al., "DNSMOS P.835", ICASSP 2022, and
"DNSMOS", ICASSP 2021). Its code needs librosa; the features here are computed with NumPy, and agree with it
(`benchmarks/dnsmos`).

A prediction for one clip is imprecise: only means over clips are shown.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError
from voicegauge.speech.decoding import Samples
from voicegauge.speech.speech_signal import build_mel_weights

ANALYSIS_RATE_HZ = 16_000
WINDOW_S = 9.01
"""Duration of the windows that the models rate, in seconds. They start every second; shorter clips are repeated."""
MAX_RATED_S = 120.0
"""Duration of the part of a clip that is rated, from its start, in seconds."""
_P835_MODEL, _P808_MODEL = "sig_bak_ovr.onnx", "model_v8.onnx"
_FFT_SIZE, _HOP_SIZE, _MEL_BAND_COUNT = 321, 160, 120
"""Samples of a frame, samples from one frame to the next, and number of mel bands."""
_DYNAMIC_RANGE_DB = 80.0
"""Largest difference of levels, in decibels, from the loudest band: lower ones are raised to it."""
_P835_CALIBRATION = {
    "speech": (-0.08397278, 1.22083953, 0.0052439),
    "background": (-0.13166888, 1.60915514, -0.39604546),
    "overall": (-0.06766283, 1.11546468, 0.04602535),
}
"""Coefficients of the polynomials that map the outputs of the P.835 model to ratings, highest power first."""


class PredictedQuality(NamedTuple):
    """Predicted mean opinions of listeners about a clip, from 1 (bad) to 5 (excellent)."""

    speech: float
    """Rating of the speech itself (SIG of ITU-T P.835)."""
    background: float
    """Rating of the background: 5 for none that disturbs (BAK of P.835)."""
    overall: float
    """Overall rating (OVRL of P.835)."""
    p808: float
    """Overall rating by the older model (ITU-T P.808)."""


def require_quality_models() -> None:
    """Check that the models can be used.

    Raises:
        MissingExtraError: speechmos or onnxruntime is not installed.
    """
    for name in ("speechmos", "onnxruntime"):
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"{name}, which predicts ratings of listeners,", "quality")


@functools.cache
def get_quality_method() -> str:
    """Return the name of the method with the start of the hash of its models.

    Raises:
        MissingExtraError: speechmos or onnxruntime is not installed.
    """
    digest = hashlib.sha256(
        b"".join((_find_models_folder() / name).read_bytes() for name in (_P835_MODEL, _P808_MODEL))
    )
    return f"dnsmos/1@{digest.hexdigest()[:8]}"


def predict_quality(samples: Samples, sample_rate_hz: int) -> PredictedQuality:
    """Return the predicted ratings of a clip: means over windows that start every second.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0; at least one.
        sample_rate_hz: their sample rate.

    Raises:
        MissingExtraError: speechmos or onnxruntime is not installed.
        ValueError: there are no samples.
    """
    from voicegauge.speech.encoding import resample

    if not len(samples):
        raise ValueError("a clip without samples has no quality")
    kept = samples[: round(MAX_RATED_S * sample_rate_hz)]
    audio = np.clip(resample(kept, sample_rate_hz, ANALYSIS_RATE_HZ), -1.0, 1.0).astype(np.float32)
    return predict_quality_at_analysis_rate(audio)


def predict_quality_at_analysis_rate(audio: Samples) -> PredictedQuality:
    """Return the predicted ratings of samples of shape (frames,) at `ANALYSIS_RATE_HZ`."""
    size = int(WINDOW_S * ANALYSIS_RATE_HZ)
    while len(audio) < size:
        audio = np.concatenate([audio, audio])
    window_count = int(math.floor(len(audio) / ANALYSIS_RATE_HZ) - WINDOW_S) + 1
    # As in the reference, the end is rounded down after floating-point arithmetic: windows from the eighth on lack a
    # sample, and are left out.
    ends = [int((number + WINDOW_S) * ANALYSIS_RATE_HZ) for number in range(window_count)]
    starts = [
        number * ANALYSIS_RATE_HZ
        for number, end in enumerate(ends)
        if min(end, len(audio)) - number * ANALYSIS_RATE_HZ >= size
    ]
    ratings = np.array([_rate_window(audio[start : start + size]) for start in starts])
    return PredictedQuality(*(float(value) for value in ratings.mean(axis=0)))


def _rate_window(window: Samples) -> tuple[float, ...]:
    p835, p808 = _load_models()
    outputs = p835.run(None, {"input_1": window[None]})[0][0]
    features = compute_mel_features(window[:-_HOP_SIZE])[None]
    ratings = (
        np.polyval(coefficients, value) for coefficients, value in zip(_P835_CALIBRATION.values(), outputs, strict=True)
    )
    return (*map(float, ratings), float(p808.run(None, {"input_1": features})[0][0][0]))


def compute_mel_features(window: Samples) -> NDArray[np.float32]:
    """Return the input of the P.808 model: powers in mel bands relative to the loudest one, of shape (frames, 120)."""
    padded = np.pad(window, _FFT_SIZE // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[::_HOP_SIZE]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SIZE) / _FFT_SIZE)
    weights = build_mel_weights(_FFT_SIZE, _MEL_BAND_COUNT, ANALYSIS_RATE_HZ)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2 @ weights
    level_db = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(float(power.max()), 1e-10))
    scaled = (np.maximum(level_db, level_db.max() - _DYNAMIC_RANGE_DB) + 40) / 40
    return np.asarray(scaled, np.float32)


@functools.cache
def _load_models() -> tuple[Any, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # clips are rated in several processes or threads
    options.log_severity_level = 3
    paths = (_find_models_folder() / name for name in (_P835_MODEL, _P808_MODEL))
    p835, p808 = (
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"]) for path in paths
    )
    return p835, p808


def _find_models_folder() -> Path:
    """Return the folder of the models, without importing speechmos, whose code needs packages that it does not name."""
    require_quality_models()
    spec = importlib.util.find_spec("speechmos")
    assert spec is not None, "it is installed"
    assert spec.origin is not None, "it is a package"
    return Path(spec.origin).parent / "dnsmos_models"
