"""How good a clip sounds, whatever its words: measures that need no model, and predicted ratings of listeners.

Loudness, clipping, offset, noise floor, bandwidth and clicks are measured on the mono mix of a clip.

Ratings are predicted by DNSMOS P.835 and P.808, with the extra "quality". The models are those of the package speechmos
(Microsoft, MIT; C. Reddy et al., "DNSMOS P.835", ICASSP 2022, and "DNSMOS", ICASSP 2021). Its code needs librosa; the
features here are computed with NumPy, and agree with it (`benchmarks/dnsmos`). A prediction for one clip is imprecise:
only means over clips are shown.
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
from voicegauge.speech.audio_measurement import FRAME_DURATION_S
from voicegauge.speech.decoding import Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.phoneme_network import build_mel_weights
from voicegauge.speech.speech_signal import measure_clipped_share

ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
"""Gates of ITU-R BS.1770-5: quieter blocks, and blocks far below the mean of the others, do not count."""
_BLOCK_S, _BLOCK_STEP_S = 0.4, 0.1
"""Duration of a block whose loudness is measured, and from one block to the next, in seconds (BS.1770)."""
_LOUDNESS_OFFSET_LU = -0.691
"""Constant that BS.1770 adds to the logarithm of the power."""
_SETTLING_S = 0.3
"""Time in which the filters settle: the response of the lower one falls by 60 dB within 0.1 s."""
_SHELF_GAIN_DB, _SHELF_Q, _SHELF_HZ = 3.99984385397, 0.7071752369554193, 1681.9744509555319
_SHELF_BAND_EXPONENT = 0.4996667741545416
_HIGH_PASS_Q, _HIGH_PASS_HZ = 0.5003270373253953, 38.13547087613982
"""Parameters that give the coefficients of BS.1770 at 48 kHz (Brecht De Man, "Evaluation of implementations of the EBU
R128 loudness measurement", 2018), and so those of any other rate."""

NOISE_FLOOR_PERCENTILE = 10
"""Percentile of the levels of frames that is the noise floor."""
_SPECTRUM_SIZE = 2048
"""Number of samples from which a spectrum is computed."""
_LOUD_FRAMES_PERCENTILE = 99
"""Percentile, over the frames, of the power at each frequency that counts as the spectrum of a clip."""
_EDGE_WIDTH, _MIN_EDGE_DROP_DB = 0.05, 20.0
"""Relative width within which the spectrum of resampled audio ends, and how far it falls at least. Speech itself fades
out far more slowly."""
_MAX_LEVEL_ABOVE_EDGE_DB = -70.0
"""Highest level above the edge, relative to the loudest frequency."""
MAX_UPSAMPLED_SHARE = 0.85
"""Largest bandwidth of upsampled audio as a share of half of the sample rate. The filters of converters reach 0.9."""
_LOSSLESS_CODECS = ("pcm", "float", "double", "flac", "alac")
"""First letters of the names of codecs that keep all frequencies. Other codecs remove high frequencies on purpose."""

MIN_CLICK_JUMP = 0.05
"""Smallest jump of a click, relative to full scale."""
MIN_CLICK_RATIO = 16.0
"""Smallest ratio of a click's jump to the usual jumps around it. In 300 clips of espeak-ng the ratio was at most 11."""
_CLICK_NEIGHBOURHOOD_S = 0.004
"""Duration, in seconds, of the audio on each side of a jump with whose changes the jump is compared."""
_MIN_CLICK_DISTANCE_S = 0.01
"""Shortest time between two clicks, in seconds; nearer jumps are one click."""


class AudioQuality(NamedTuple):
    """Measures of one clip."""

    loudness_lufs: float | None
    """Integrated loudness; `None` for silence and for less than 0.4 s."""
    clipped_share: float
    """Share of samples at full scale that have a neighbour at full scale, from 0 to 1."""
    dc_offset: float
    """Mean of the samples, relative to full scale."""
    noise_floor_dbfs: float | None
    """Level that a tenth of the frames of 10 ms do not exceed; `None` if they are digitally silent."""
    bandwidth_hz: float | None
    """Frequency above which the spectrum ends abruptly; half of the sample rate if it does not; `None` for silence and
    very short audio."""
    is_upsampled: bool
    """Whether lossless audio was made at a lower sample rate than it states."""
    click_count: int
    """Number of jumps between two samples that are far larger than the changes around them."""


def measure_quality(samples: Samples, sample_rate_hz: int, codec: str) -> AudioQuality:
    """Measure loudness, clipping, offset, noise floor, bandwidth and clicks of a clip.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        codec: name of the codec, as `DecodedAudio.codec` has it.
    """
    bandwidth_hz = measure_bandwidth_hz(samples, sample_rate_hz)
    is_lossless = codec.lower().startswith(_LOSSLESS_CODECS)
    return AudioQuality(
        loudness_lufs=measure_loudness_lufs(samples, sample_rate_hz),
        clipped_share=measure_clipped_share(samples),
        dc_offset=float(samples.mean(dtype=np.float64)) if len(samples) else 0.0,
        noise_floor_dbfs=_measure_noise_floor_dbfs(samples, sample_rate_hz),
        bandwidth_hz=bandwidth_hz,
        is_upsampled=is_lossless
        and bandwidth_hz is not None
        and bandwidth_hz <= MAX_UPSAMPLED_SHARE * sample_rate_hz / 2,
        click_count=len(find_clicks(samples, sample_rate_hz)),
    )


def measure_loudness_lufs(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the integrated loudness of ITU-R BS.1770-5 of one channel; `None` if no block is above the gate.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    block, step = round(_BLOCK_S * sample_rate_hz), round(_BLOCK_STEP_S * sample_rate_hz)
    if len(samples) < block:
        return None
    energy = np.concatenate([[0.0], np.cumsum(_apply_loudness_filters(samples, sample_rate_hz) ** 2)])
    starts = np.arange(0, len(samples) - block + 1, step)
    powers = (energy[starts + block] - energy[starts]) / block
    powers = powers[powers > 10 ** ((ABSOLUTE_GATE_LUFS - _LOUDNESS_OFFSET_LU) / 10)]
    if not len(powers):
        return None
    loud = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return float(_LOUDNESS_OFFSET_LU + 10 * math.log10(loud.mean()))


def _apply_loudness_filters(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return the samples after the filters of BS.1770, which are applied in the frequency domain (overlap-save)."""
    settling = round(_SETTLING_S * sample_rate_hz)
    size = 2 ** math.ceil(math.log2(3 * settling))
    hop, response = size - settling, _compute_weighting(size, sample_rate_hz)
    padded = np.concatenate([np.zeros(settling), samples, np.zeros(hop)])
    parts = [
        np.fft.irfft(np.fft.rfft(padded[start : start + size]) * response, size)[settling:]
        for start in range(0, len(samples), hop)
    ]
    return np.concatenate(parts)[: len(samples)]


@functools.lru_cache(maxsize=8)
def _compute_weighting(size: int, sample_rate_hz: int) -> NDArray[np.complex128]:
    """Return the response of both filters at the frequencies of a real transform of `size` samples."""
    z = np.exp(-2j * np.pi * np.arange(size // 2 + 1) / size)
    k = math.tan(math.pi * _SHELF_HZ / sample_rate_hz)
    high, band = 10 ** (_SHELF_GAIN_DB / 20), 10 ** (_SHELF_GAIN_DB / 20 * _SHELF_BAND_EXPONENT)
    shelf = _evaluate_biquad(
        z,
        (high + band * k / _SHELF_Q + k * k, 2 * (k * k - high), high - band * k / _SHELF_Q + k * k),
        (1 + k / _SHELF_Q + k * k, 2 * (k * k - 1), 1 - k / _SHELF_Q + k * k),
    )
    k = math.tan(math.pi * _HIGH_PASS_HZ / sample_rate_hz)
    scale = 1 + k / _HIGH_PASS_Q + k * k
    poles = (1.0, 2 * (k * k - 1) / scale, (1 - k / _HIGH_PASS_Q + k * k) / scale)
    return shelf * _evaluate_biquad(z, (1.0, -2.0, 1.0), poles)


def _evaluate_biquad(
    z: NDArray[np.complex128], zeros: tuple[float, float, float], poles: tuple[float, float, float]
) -> NDArray[np.complex128]:
    """Return the response of a filter of second order; `z` has a delay of one sample at each frequency."""
    response: NDArray[np.complex128] = (zeros[0] + zeros[1] * z + zeros[2] * z**2) / (
        poles[0] + poles[1] * z + poles[2] * z**2
    )
    return response


def _measure_noise_floor_dbfs(samples: Samples, sample_rate_hz: int) -> float | None:
    length = max(1, round(FRAME_DURATION_S * sample_rate_hz))
    frames = samples[: len(samples) // length * length].reshape(-1, length)
    if not len(frames):
        return None
    # Without the mean of each frame, because an offset is not noise.
    floor = float(np.percentile(frames.std(axis=1, dtype=np.float64), NOISE_FLOOR_PERCENTILE, method="lower"))
    return 20 * math.log10(floor) if floor > 0 else None


def measure_bandwidth_hz(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the frequency above which the spectrum ends abruptly, or half of the sample rate if it does not.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.

    Returns:
        The bandwidth; `None` for silence and for audio shorter than a spectrum.
    """
    if len(samples) < _SPECTRUM_SIZE or not np.any(samples):
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, _SPECTRUM_SIZE)[:: _SPECTRUM_SIZE // 2]
    power = np.abs(np.fft.rfft(frames * np.hanning(_SPECTRUM_SIZE).astype(np.float32), axis=1)) ** 2
    loud = np.percentile(power, _LOUD_FRAMES_PERCENTILE, axis=0)
    levels = 10 * np.log10(np.convolve(loud, np.ones(5) / 5, mode="same") + 1e-20)
    levels -= levels.max()
    width = max(3, round(_EDGE_WIDTH * len(levels)))
    edges = np.arange(width, len(levels) - width // 2)
    sums = np.concatenate([[0.0], np.cumsum(levels)])
    below = (sums[edges] - sums[edges - width]) / width
    above = np.maximum.accumulate(levels[::-1])[::-1][edges + width // 2]
    ends = edges[(above <= _MAX_LEVEL_ABOVE_EDGE_DB) & (below - above >= _MIN_EDGE_DROP_DB)]
    return float(ends[0] if len(ends) else _SPECTRUM_SIZE / 2) * sample_rate_hz / _SPECTRUM_SIZE


def find_clicks(samples: Samples, sample_rate_hz: int) -> list[float]:
    """Return the times of jumps that are far larger than the changes around them, in seconds.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    changes = np.abs(np.diff(samples.astype(np.float64), n=2))
    width = max(8, round(_CLICK_NEIGHBOURHOOD_S * sample_rate_hz))
    if len(changes) <= 2 * width:
        return []
    places = np.flatnonzero(changes >= MIN_CLICK_JUMP)
    energy = np.concatenate([[0.0], np.cumsum(changes**2)])
    outer = np.clip([places - width, places + width], 0, len(changes))
    inner = np.clip([places - 2, places + 3], 0, len(changes))
    around = energy[outer[1]] - energy[outer[0]] - (energy[inner[1]] - energy[inner[0]])
    count = outer[1] - outer[0] - (inner[1] - inner[0])
    usual = np.sqrt(np.maximum(around, 0.0) / count)
    times_s = (places[changes[places] >= MIN_CLICK_RATIO * usual] + 1) / sample_rate_hz
    is_first = np.diff(times_s, prepend=-np.inf) > _MIN_CLICK_DISTANCE_S
    return [float(time_s) for time_s in times_s[is_first]]


# Predicts how listeners would rate a clip.


ANALYSIS_RATE_HZ = 16_000
"""Sample rate at which clips are rated, in hertz."""
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
    """Return the name of the method that predicts ratings, with the start of the hash of its models.

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
