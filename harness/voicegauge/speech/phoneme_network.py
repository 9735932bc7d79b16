"""Hears phonemes: the encoder of the embedded Whisper, trained further, with a CTC head, computed with NumPy.

The network has no vocabulary. For each 20 ms it gives the probability of every phoneme and of none, which is what
aligning a text with its audio needs. It was trained on synthesized English only (`embedded/phonemes.md`): speech of
other voices can be compared with texts, but not transcribed.
"""

from __future__ import annotations

import functools
import math
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Array = NDArray[np.float32]

WEIGHTS_PATH = Path(__file__).parent / "embedded" / "phonemes.npz"
ANALYSIS_RATE_HZ = 16_000
"""Sample rate that the network hears, in hertz."""
FRAME_S = 0.02
"""Duration of an output frame, in seconds."""
HEAD_COUNT = 4
"""Attention heads of each layer."""
_FFT_SIZE, _HOP_SIZE, _MEL_BAND_COUNT = 400, 160, 80
_MAX_WINDOW_FRAMES = 500
"""Frames that are processed at a time: 10 s, about the longest clips of the training."""
_CONTEXT_FRAMES = 40
"""Frames at each end of a window whose results are taken from the neighbouring window instead."""


def compute_mel_power(samples: Array) -> Array:
    """Return the power in 80 mel bands every 10 ms, of shape (frames, 80), as Whisper computes it.

    Args:
        samples: mono samples of shape (frames,) at `ANALYSIS_RATE_HZ`.
    """
    padded = np.pad(samples, _FFT_SIZE // 2, mode="reflect" if len(samples) > _FFT_SIZE else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[::_HOP_SIZE][: len(samples) // _HOP_SIZE]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SIZE) / _FFT_SIZE)).astype(np.float32)
    spectrum = np.fft.rfft(frames * window, axis=1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    with _use_one_linear_algebra_thread():
        mel = power @ _build_mel_weights()
    return np.asarray(mel, np.float32)


def normalize_mel_power(log_power: Array) -> Array:
    """Return log10 powers as Whisper normalizes them: at most 8 below the loudest one, then shifted and scaled."""
    normalized: Array = (np.maximum(log_power, np.float32(log_power.max() - 8.0)) + np.float32(4.0)) / np.float32(4.0)
    return normalized


@functools.cache
def _build_mel_weights() -> Array:
    """Return triangular weights of shape (frequencies, bands) on Slaney's mel scale, each of unit area."""
    low_hz_per_mel, break_hz, log_step = 200.0 / 3, 1000.0, math.log(6.4) / 27
    break_mel = break_hz / low_hz_per_mel
    highest_mel = break_mel + math.log(ANALYSIS_RATE_HZ / 2 / break_hz) / log_step
    mels = np.linspace(0.0, highest_mel, _MEL_BAND_COUNT + 2)
    edges = np.where(mels < break_mel, mels * low_hz_per_mel, break_hz * np.exp(log_step * (mels - break_mel)))
    frequencies = np.fft.rfftfreq(_FFT_SIZE, 1 / ANALYSIS_RATE_HZ)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    weights = np.maximum(0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2]))
    return np.asarray(weights, np.float32)


@functools.cache
def _load_weights() -> dict[str, Array]:
    with np.load(WEIGHTS_PATH) as packed:
        return {name: packed[name].astype(np.float32) for name in packed.files}


def compute_phoneme_log_probabilities(samples: Array, sample_rate_hz: int) -> Array:
    """Return the log probability of each symbol in each frame of `FRAME_S`, of shape (frames, symbols).

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    with _use_one_linear_algebra_thread():
        return _compute_log_probabilities(samples, sample_rate_hz)


def _use_one_linear_algebra_thread() -> AbstractContextManager[object]:
    # The products are so small that further threads, which spin while they wait, cost several times what they save.
    limit: AbstractContextManager[object] = _find_linear_algebra_threads().limit(limits=1)
    return limit


@functools.cache
def _find_linear_algebra_threads() -> ThreadpoolController:
    return ThreadpoolController()


def _compute_log_probabilities(samples: Array, sample_rate_hz: int) -> Array:
    from voicegauge.speech.encoding import resample

    log_power = np.log10(np.maximum(compute_mel_power(resample(samples, sample_rate_hz, ANALYSIS_RATE_HZ)), 1e-10))
    frame_count = len(log_power) // 2
    if not frame_count:
        return np.zeros((0, len(_load_weights()["head.bias"])), np.float32)
    parts, start = [], 0
    while start < frame_count:
        begin, end = max(0, start - _CONTEXT_FRAMES), min(frame_count, start + _MAX_WINDOW_FRAMES - _CONTEXT_FRAMES)
        window = _recognize(normalize_mel_power(log_power[2 * begin : 2 * end]))
        stop = frame_count if end == frame_count else end - _CONTEXT_FRAMES
        parts.append(window[start - begin : stop - begin])
        start = stop
    return np.concatenate(parts)


def _recognize(mel: Array) -> Array:
    """Return log probabilities of shape (frames, symbols) for normalized mel powers of shape (2 * frames, 80)."""
    weights = _load_weights()
    x = _gelu(_convolve(mel, weights["conv1.weight"], weights["conv1.bias"], stride=1))
    x = _gelu(_convolve(x, weights["conv2.weight"], weights["conv2.bias"], stride=2))
    x = x + _build_positions(len(x), x.shape[1])
    layer = 0
    while f"blocks.{layer}.attn.query.weight" in weights:
        x = x + _attend(_normalize(x, f"blocks.{layer}.attn_ln"), f"blocks.{layer}.attn")
        inner = _gelu(_project(_normalize(x, f"blocks.{layer}.mlp_ln"), f"blocks.{layer}.mlp.0"))
        x = x + _project(inner, f"blocks.{layer}.mlp.2")
        layer += 1
    scores = _project(_normalize(x, "ln_post"), "head")
    scores = scores - scores.max(axis=1, keepdims=True)
    normalized: Array = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return normalized


def _convolve(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    """Convolve (frames, inputs) with a weight of shape (outputs, inputs, 3)."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]
    convolved: Array = windows.reshape(len(windows), -1) @ weight.reshape(len(weight), -1).T + bias
    return convolved


def _project(x: Array, name: str) -> Array:
    weights = _load_weights()
    projected: Array = x @ weights[f"{name}.weight"].T
    return projected + weights[f"{name}.bias"] if f"{name}.bias" in weights else projected


def _normalize(x: Array, name: str) -> Array:
    weights = _load_weights()
    centred = x - x.mean(axis=1, keepdims=True)
    scaled: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _attend(x: Array, name: str) -> Array:
    query, key, value = (
        _project(x, f"{name}.{part}").reshape(len(x), HEAD_COUNT, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
    return _project(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{name}.out")


def _gelu(x: Array) -> Array:
    """Gaussian error linear unit, with an error function accurate to 1.5e-7 (Abramowitz and Stegun, 7.1.26)."""
    z = np.abs(x)
    z *= np.float32(1 / math.sqrt(2))
    t = 1 / (1 + np.float32(0.3275911) * z)
    polynomial = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        polynomial += np.float32(coefficient)  # in place: a new array for each step would cost half as much again
        polynomial *= t
    z *= -z
    polynomial *= np.exp(z, out=z)
    error = np.copysign(1 - polynomial, x, out=polynomial)
    error += 1
    error *= x
    error *= np.float32(0.5)
    return error


@functools.cache
def _build_positions(frame_count: int, width: int) -> Array:
    """Return Whisper's sinusoids of shape (frames, width)."""
    scales = np.exp(-math.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(frame_count)[:, None] * scales[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
