"""Measures the level of speech and the silence before it, and detects silent audio.

Samples are mono float32 arrays of shape (frames,), full scale at 1.0. A full-scale sine has an RMS of -3.01 dBFS.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.audio.limits import Samples

SILENCE_DBFS = -50.0
"""Level in dBFS below which a frame is silent. Active speech is commonly at -26 dBov (ITU-T P.56, as used with P.800),
the weak parts of speech are about 20 dB lower, and the noise floor of 16-bit audio is near -96 dBFS."""
MAX_SPEECH_BELOW_LOUDEST_FRAME_DB = 30.0
"""Largest difference, in decibels, between the loudest frame and a frame of speech. A quieter frame is background
noise."""
MIN_SPEECH_S = 0.1
"""Minimum duration of speech in seconds. Even the shortest word is longer than this, and shorter sounds are clicks."""
SPEECH_ONSET_RMS = 0.01
"""RMS above which the benchmarks of coval (https://github.com/coval-ai/benchmarks) count a frame as speech: -40
dBFS."""
_SAMPLES_PER_BLOCK = 2**16
"""Number of samples that are measured at a time. Larger temporary arrays take several times as long, because the
operating system provides new memory for each of them."""
FRAME_DURATION_S = 0.01
"""Duration of a frame, over which a level is computed, in seconds: the usual frame step of speech recognizers."""


def compute_rms_dbfs(samples: Samples) -> float:
    """RMS level of all samples in dB relative to full scale; -inf for digital silence."""
    if not len(samples):
        return -math.inf
    # In blocks, because squares need more precision and therefore twice as much memory as the samples.
    squares = (
        float(np.sum(np.square(block, dtype=np.float64))) for block in _split_into_blocks(samples, _SAMPLES_PER_BLOCK)
    )
    power = sum(squares) / len(samples)
    return 10 * math.log10(power) if power > 0 else -math.inf


def is_silent(samples: Samples, sample_rate_hz: int) -> bool:
    """Whether less than `MIN_SPEECH_S` of the audio is above `SILENCE_DBFS`, ignoring a constant offset."""
    return measure_active_duration_s(samples, sample_rate_hz) < MIN_SPEECH_S


def measure_active_duration_s(samples: Samples, sample_rate_hz: int) -> float:
    """Total duration of the frames above `SILENCE_DBFS`, in seconds."""
    return float(np.count_nonzero(_compute_frame_levels(samples, sample_rate_hz) > SILENCE_DBFS)) * FRAME_DURATION_S


def measure_leading_silence_s(samples: Samples, sample_rate_hz: int) -> float:
    """Seconds before the first audible frame, with a resolution of 10 ms; the whole duration if no frame is audible.

    A frame is audible if it and the next one are above `SILENCE_DBFS`, and at most
    `MAX_SPEECH_BELOW_LOUDEST_FRAME_DB` below the loudest frame. So neither a click nor background noise counts as the
    start of speech.
    """
    levels = _compute_frame_levels(samples, sample_rate_hz)
    if not len(levels):
        return len(samples) / sample_rate_hz
    audible = levels > max(SILENCE_DBFS, float(levels.max()) - MAX_SPEECH_BELOW_LOUDEST_FRAME_DB)
    sustained = audible[:-1] & audible[1:]
    if not sustained.any():
        return len(samples) / sample_rate_hz
    return float(np.argmax(sustained)) * FRAME_DURATION_S


def measure_speech_onset_s(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the seconds before the first frame of 10 ms whose RMS is above 0.01; `None` if there is no such frame.

    The benchmarks of coval (https://github.com/coval-ai/benchmarks) use this definition, so figures can be compared.
    """
    length = round(sample_rate_hz * FRAME_DURATION_S)
    whole = samples[: len(samples) // length * length]
    block_size = _SAMPLES_PER_BLOCK // length * length
    for number, block in enumerate(_split_into_blocks(whole, block_size)):
        loud = _compute_frame_powers(block, length, 0.0) > SPEECH_ONSET_RMS**2
        if loud.any():
            return (number * block_size / length + float(np.argmax(loud))) * FRAME_DURATION_S
    return None


def _compute_frame_levels(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """RMS level of each complete frame in dBFS, after removing the constant offset."""
    length = round(sample_rate_hz * FRAME_DURATION_S)
    count = len(samples) // length
    if not count:
        return np.zeros(0)
    offset = float(np.mean(samples))
    block_size = _SAMPLES_PER_BLOCK // length * length  # sample rates are within `SAMPLE_RATE_RANGE_HZ`
    powers = [
        _compute_frame_powers(block, length, offset)
        for block in _split_into_blocks(samples[: count * length], block_size)
    ]
    power = np.maximum(np.concatenate(powers), 1e-20)  # avoids log(0); -200 dB is below any noise floor
    levels: NDArray[np.float64] = 10 * np.log10(power)
    return levels


def _compute_frame_powers(samples: Samples, frame_length: int, offset: float) -> NDArray[np.float64]:
    """Return the mean square of each frame of `frame_length` samples, after subtracting `offset`.

    32 bits suffice for a frame of 10 ms: the error of its level is below 0.001 dB.
    """
    frames = samples.reshape(-1, frame_length) - np.float32(offset)
    energies: NDArray[np.float32] = np.vecdot(frames, frames)  # without an array of squares
    return energies.astype(np.float64) / frame_length


def _split_into_blocks(samples: Samples, block_size: int) -> Iterator[Samples]:
    return (samples[start : start + block_size] for start in range(0, len(samples), block_size))
