"""Measures of a signal that need no model: whether it changes as speech does, its silences, and how clean it is.

The bounds of speech were chosen with speech of sixty voices of espeak-ng in which noise was added: 150 clips at a
signal-to-noise ratio of 10 to 100 dB had a spectrum variation of at least 3.3 dB. White, pink, brown and band-limited
noise had 1.2 to 1.4 dB, and a tone and a hum less than 0.3 dB. A sound whose level alone changes, such as a tone of a
changing volume, differs in the shape of its spectrum: that of 240 clips of speech at 5 to 100 dB varied by at
least 4.2 dB, that of modulated and interrupted tones, hums and noise by at most 1.9 dB.
"""

from __future__ import annotations

import functools
import hashlib
import math
import threading
from collections import OrderedDict
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.speech.audio_measurement import (
    FRAME_DURATION_S,
    EncodedAudio,
    Silence,
)
from voicegauge.speech.decoding import RawAudioFormat, Samples, measure_bitrate_kbps
from voicegauge.speech.encoding import resample
from voicegauge.speech.phoneme_network import ANALYSIS_RATE_HZ, Array, compute_mel_power

MIN_SPEECH_SPECTRUM_VARIATION_DB = 2.0
"""Smallest variation of the levels of frequency bands in speech. Steady noise, tones and hum have less."""
MIN_JUDGED_SOUND_S = 0.5
"""Duration in seconds below which no sound is called anything but speech."""
MIN_CLIPPED_SAMPLE_MAGNITUDE = 0.999
"""Absolute value from which a sample counts as clipped: 16-bit samples reach 0.99997."""
MAX_CLIPPED_SHARE = 0.01
"""Largest share of samples at full scale in speech. Even speech that a limiter has made as loud as possible has far
fewer."""
MIN_DROPOUT_S, MAX_DROPOUT_S = 0.02, 3.0
"""Durations of digital silence within speech that is reported as a dropout, in seconds: shorter gaps sound like clicks,
and longer ones are reported as silence."""
MIN_LEVEL_BESIDE_DROPOUT = 0.1
"""Smallest peak in the millisecond before and after a dropout, relative to the root mean square of the clip: -20 dB."""
MAX_PEAK_OF_NOISE_FLOOR = 0.02
"""Largest peak of a quiet part that shows a noise floor, relative to the root mean square of the clip: -34 dB."""
_DROPOUT_SURROUNDINGS_S = 0.001
"""Time before and after a dropout whose peak is compared with `MIN_LEVEL_BESIDE_DROPOUT`, in seconds."""
_MIN_DIGITAL_SILENCE_S = 0.001
"""Duration of zeros from which they are digital silence and not samples that are zero by chance, in seconds."""
_MIN_NOISE_FLOOR_FRAMES = 5
"""Number of successive frames of 10 ms that a quiet part has at least."""
MIN_SPEECH_SHAPE_VARIATION_DB = 3.0
"""Smallest variation of the shape of the spectrum of speech, whatever its level."""
_FRAMES_PER_BLOCK, _MERGED_BAND_COUNT = 5, 16
"""Number of frames of 10 ms in a block, and number of bands, each of several neighbouring mel bands."""
_BLOCK_SAMPLES = 1 << 20
"""Number of samples that are computed with at a time, because half an hour of audio has 170 MB of samples."""
_MIN_RELATIVE_POWER_OF_SOUND = 1e-3
"""Power, relative to the loudest block, from which a block belongs to the sound: -30 dB."""
_POWER_FLOOR = 1e-7
"""Power that is added to each band, relative to the loudest one, so that digital silence has a level: -70 dB."""
_MIN_RELATIVE_POWER_OF_SHAPE = 1e-2
"""Power, relative to the loudest block, from which the spectrum of a block has a shape: -20 dB."""
_SHAPE_POWER_FLOOR = 1e-4
"""Power that is added to each band of a block, relative to the whole block: -40 dB."""
_VARYING_BANDS_PERCENTILE = 80
"""Percentile of the variations of the bands that is the variation of a clip: a fifth of the bands varies more."""
_MAX_ANALYZED_S = 60.0
"""Duration of audio of which the spectrum is measured, in seconds; it is cut from the middle of longer audio."""


class DropoutSearch(NamedTuple):
    """A dropout in a clip, or why a gap may be one."""

    dropout: Silence | None
    """The longest dropout; `None` if none was found."""
    unjudged_reason: str | None = None
    """Why it is not known whether a gap is a dropout; `None` if it is known, or if there is no such gap."""


def search_dropout(samples: Samples, sample_rate_hz: int) -> DropoutSearch:
    """Look for gaps of digital silence that cut off a sound on both sides.

    Such a gap remains where samples are missing. A lossy codec fills it with noise and blurs its edges, so dropouts are
    found only in PCM, WAV and FLAC. Some synthesizers, such as espeak-ng, are digitally silent in the closure of a
    "t" and begin and end it as abruptly. So a gap is only judged if the other pauses of the clip have a noise floor:
    it has a quiet part, and no digital silence except between such edges.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    # Decoders of 24 bits and floats leave values that 16 bits round to 0.
    is_zero = (samples < 0.5 / 32768) & (samples > -0.5 / 32768)
    steps = np.diff(is_zero.astype(np.int8), prepend=0, append=0)
    starts, ends = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    is_silence = ends - starts >= _MIN_DIGITAL_SILENCE_S * sample_rate_hz
    silences = list(zip(starts[is_silence].tolist(), ends[is_silence].tolist(), strict=True))
    rms = math.sqrt(float(np.vecdot(samples, samples)) / max(len(samples), 1))
    edge = max(round(_DROPOUT_SURROUNDINGS_S * sample_rate_hz), 1)

    def cuts_off_sound(start: int, end: int) -> bool:
        if start == 0 or end == len(samples):
            return False
        beside = np.abs(samples[max(start - edge, 0) : start]).max(), np.abs(samples[end : end + edge]).max()
        return bool(min(beside) >= MIN_LEVEL_BESIDE_DROPOUT * rms)

    cutting = [(start, end) for start, end in silences if cuts_off_sound(start, end)]
    gaps = [Silence(start / sample_rate_hz, end / sample_rate_hz) for start, end in cutting]
    long_gaps = [gap for gap in gaps if MIN_DROPOUT_S <= gap.duration_s <= MAX_DROPOUT_S]
    if not long_gaps:
        return DropoutSearch(None)
    if len(gaps) < len(silences) or not _has_noise_floor(samples, sample_rate_hz, silences, rms):
        return DropoutSearch(None, "its pauses have no noise floor, so that a gap may be the closure of a consonant")
    return DropoutSearch(max(long_gaps, key=lambda gap: gap.duration_s))


def _has_noise_floor(samples: Samples, sample_rate_hz: int, silences: list[tuple[int, int]], rms: float) -> bool:
    """Whether a clip has a part that is quiet and not digitally silent.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        silences: the first sample of each digital silence, and the one after its last.
        rms: the root mean square of the samples.
    """
    size = max(round(FRAME_DURATION_S * sample_rate_hz), 1)
    frames = samples[: len(samples) // size * size].reshape(-1, size)
    is_quiet = np.maximum(frames.max(axis=1), -frames.min(axis=1)) <= MAX_PEAK_OF_NOISE_FLOOR * rms
    for start, end in silences:
        is_quiet[start // size : -(-end // size)] = False
    if len(is_quiet) < _MIN_NOISE_FLOOR_FRAMES:
        return False
    return bool(np.lib.stride_tricks.sliding_window_view(is_quiet, _MIN_NOISE_FLOOR_FRAMES).all(axis=1).any())


def _compute_band_powers(samples: Samples, sample_rate_hz: int) -> Array:
    """Return the power of each band in each block of the middle of a clip, of shape (blocks, bands)."""
    excess = len(samples) - int(_MAX_ANALYZED_S * sample_rate_hz)
    if excess > 0:
        samples = samples[excess // 2 : len(samples) - excess // 2]
    power = compute_mel_power(resample(samples, sample_rate_hz, ANALYSIS_RATE_HZ))
    count = len(power) // _FRAMES_PER_BLOCK
    blocks = power[: count * _FRAMES_PER_BLOCK].reshape(count, _FRAMES_PER_BLOCK, _MERGED_BAND_COUNT, -1)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _measure_level_variation_db(blocks: Array) -> float | None:
    """Return how much the spectrum changes between the first and the last sound of a clip, in decibels.

    For each frequency band, the standard deviation of its levels over time is computed. The result is the value that a
    fifth of the bands exceeds.

    Args:
        blocks: the power of each band in each block of 50 ms, as `_compute_band_powers` returns it.

    Returns:
        The variation; `None` if the sound is shorter than `MIN_JUDGED_SOUND_S`.
    """
    totals = blocks.sum(axis=1)
    if not len(blocks) or totals.max() <= 0:
        return None
    sounding = np.flatnonzero(totals > totals.max() * _MIN_RELATIVE_POWER_OF_SOUND)
    blocks = blocks[sounding[0] : sounding[-1] + 1][1:-1]  # the blocks at both ends may be partly silent
    if len(blocks) * _FRAMES_PER_BLOCK * FRAME_DURATION_S < MIN_JUDGED_SOUND_S:
        return None
    levels = 10 * np.log10(blocks + _POWER_FLOOR * blocks.max())
    return float(np.percentile(levels.std(axis=0), _VARYING_BANDS_PERCENTILE))


def is_steady_sound(samples: Samples, sample_rate_hz: int) -> bool:
    """Whether a clip is noise, a tone or a hum that does not change except for its level, which speech never is."""
    blocks = _compute_band_powers(samples, sample_rate_hz)
    variation_db, shape_db = _measure_level_variation_db(blocks), _measure_shape_variation_db(blocks)
    has_steady_level = variation_db is not None and variation_db < MIN_SPEECH_SPECTRUM_VARIATION_DB
    return has_steady_level or (shape_db is not None and shape_db < MIN_SPEECH_SHAPE_VARIATION_DB)


def _measure_shape_variation_db(blocks: Array) -> float | None:
    """Return how much the shape of the spectrum changes in the sounds of a clip, whatever their level, in decibels.

    It is computed as `_measure_level_variation_db`, with the levels of bands relative to that of the whole block;
    `None` if the sounds are shorter than `MIN_JUDGED_SOUND_S` in all.
    """
    totals = blocks.sum(axis=1, keepdims=True)
    if not len(blocks) or totals.max() <= 0:
        return None
    is_shaped = totals[:, 0] > totals.max() * _MIN_RELATIVE_POWER_OF_SHAPE
    if np.count_nonzero(is_shaped) * _FRAMES_PER_BLOCK * FRAME_DURATION_S < MIN_JUDGED_SOUND_S:
        return None
    levels = 10 * np.log10(blocks[is_shaped] / totals[is_shaped] + _SHAPE_POWER_FLOOR)
    return float(np.percentile(levels.std(axis=0), _VARYING_BANDS_PERCENTILE))


def measure_clipped_share(samples: Samples) -> float:
    """Return the share of samples at full scale that have a neighbour at full scale too, from 0 to 1."""
    clipped = 0
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        # With the first sample of the next block, which is the neighbour of the last one of this block.
        full = np.abs(samples[start : start + _BLOCK_SAMPLES + 1]) >= MIN_CLIPPED_SAMPLE_MAGNITUDE
        clipped += int(np.count_nonzero(full[1:] & full[:-1]))
    return clipped / max(len(samples), 1)


def compute_sample_digest(samples: Samples, sample_rate_hz: int) -> str:
    """Return a digest of the samples, without the digital silence at both ends: 32 hexadecimal digits.

    Samples are rounded to 16 bits.
    """
    digest = hashlib.sha256(f"{sample_rate_hz} ".encode())
    block_silence, silent_samples, has_begun = bytes(2 * _BLOCK_SAMPLES), 0, False
    for start in range(0, len(samples), _BLOCK_SAMPLES):
        rounded = np.round(samples[start : start + _BLOCK_SAMPLES] * 32767).astype("<i2")
        is_sounding = rounded != 0
        first_sounding = int(is_sounding.argmax())  # stops at the first one, unlike np.flatnonzero
        if not is_sounding[first_sounding]:
            silent_samples += len(rounded) if has_begun else 0
            continue
        while silent_samples:  # silence counts if a sound follows
            count = min(silent_samples, _BLOCK_SAMPLES)
            digest.update(block_silence[: 2 * count])
            silent_samples -= count
        first, after_last = 0 if has_begun else first_sounding, len(rounded) - int(is_sounding[::-1].argmax())
        digest.update(rounded[first:after_last].tobytes())
        silent_samples, has_begun = len(rounded) - after_last, True
    return digest.hexdigest()[:32]


# Measures how clean a clip is: loudness, clipping, offset, noise floor, bandwidth and clicks.


ABSOLUTE_GATE_LUFS, RELATIVE_GATE_LU = -70.0, -10.0
"""Gates of ITU-R BS.1770-5: quieter blocks, and blocks far below the mean of the others, do not count."""
_LOUDNESS_BLOCK_S, _LOUDNESS_BLOCK_STEP_S = 0.4, 0.1
"""Duration of a block whose loudness is measured, and from one block to the next, in seconds (BS.1770)."""
_LOUDNESS_OFFSET_LU = -0.691
"""Constant that BS.1770 adds to the logarithm of the power."""
_FILTER_SETTLING_S = 0.3
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
_RELATIVE_SPECTRUM_EDGE_WIDTH, _MIN_SPECTRUM_EDGE_DROP_DB = 0.05, 20.0
"""Relative width within which the spectrum of resampled audio ends, and how far it falls at least. Speech itself fades
out far more slowly."""
_MAX_LEVEL_ABOVE_EDGE_DB = -70.0
"""Highest level above the edge, relative to the loudest frequency."""
MAX_BANDWIDTH_SHARE_OF_UPSAMPLED_AUDIO = 0.85
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
    """Technical measures of the sound of one clip, whatever its text and voice."""

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
        and bandwidth_hz <= MAX_BANDWIDTH_SHARE_OF_UPSAMPLED_AUDIO * sample_rate_hz / 2,
        click_count=len(find_clicks(samples, sample_rate_hz)),
    )


def measure_loudness_lufs(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the integrated loudness of ITU-R BS.1770-5 of one channel; `None` if no block is above the gate.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    block, step = round(_LOUDNESS_BLOCK_S * sample_rate_hz), round(_LOUDNESS_BLOCK_STEP_S * sample_rate_hz)
    if len(samples) < block:
        return None
    energy = np.concatenate([[0.0], np.cumsum(_apply_loudness_filters(samples, sample_rate_hz) ** 2)])
    starts = np.arange(0, len(samples) - block + 1, step)
    powers = (energy[starts + block] - energy[starts]) / block
    # Two gates as in BS.1770: the second one is relative to what the first one leaves.
    powers = powers[powers > 10 ** ((ABSOLUTE_GATE_LUFS - _LOUDNESS_OFFSET_LU) / 10)]
    if not len(powers):
        return None
    loud = powers[powers > powers.mean() * 10 ** (RELATIVE_GATE_LU / 10)]
    return float(_LOUDNESS_OFFSET_LU + 10 * math.log10(loud.mean()))


def _apply_loudness_filters(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return the samples after the filters of BS.1770, which are applied in the frequency domain (overlap-save)."""
    settling = round(_FILTER_SETTLING_S * sample_rate_hz)
    size = 2 ** math.ceil(math.log2(3 * settling))
    hop, response = size - settling, _compute_loudness_filter_response(size, sample_rate_hz)
    padded = np.concatenate([np.zeros(settling), samples, np.zeros(hop)])
    parts = [
        np.fft.irfft(np.fft.rfft(padded[start : start + size]) * response, size)[settling:]
        for start in range(0, len(samples), hop)
    ]
    return np.concatenate(parts)[: len(samples)]


@functools.lru_cache(maxsize=8)
def _compute_loudness_filter_response(size: int, sample_rate_hz: int) -> NDArray[np.complex128]:
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
    # Smoothed over five frequencies, so that a single line of a hum does not look like an edge.
    levels = 10 * np.log10(np.convolve(loud, np.ones(5) / 5, mode="same") + 1e-20)
    levels -= levels.max()
    width = max(3, round(_RELATIVE_SPECTRUM_EDGE_WIDTH * len(levels)))
    edges = np.arange(width, len(levels) - width // 2)
    sums = np.concatenate([[0.0], np.cumsum(levels)])
    below = (sums[edges] - sums[edges - width]) / width
    # The highest level anywhere above, because an edge has nothing but noise above it.
    above = np.maximum.accumulate(levels[::-1])[::-1][edges + width // 2]
    ends = edges[(above <= _MAX_LEVEL_ABOVE_EDGE_DB) & (below - above >= _MIN_SPECTRUM_EDGE_DROP_DB)]
    return float(ends[0] if len(ends) else _SPECTRUM_SIZE / 2) * sample_rate_hz / _SPECTRUM_SIZE


def find_clicks(samples: Samples, sample_rate_hz: int) -> list[float]:
    """Return the times of jumps that are far larger than the changes around them, in seconds.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    # The second difference: a loud low tone has large first ones, but only a jump changes the slope at once.
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


# Measures encoded audio once that several deliveries have in common.
#
# Most cases of a plan speak the same text with the same voice, and a service that gives equal samples for equal
# requests sends the same file for all of them. What is measured depends on nothing but the bytes and their declared
# format.


MAX_REMEMBERED_AUDIO_BYTES = 16 * 2**20
"""Maximum size of the remembered audio, files and samples together. Above it, the audio that was used longest ago is
forgotten."""


class MeasuredAudio(EncodedAudio):
    """Encoded audio with the measures that rules need; each is computed on first use."""

    @cached_property
    def bitrate_kbps(self) -> float | None:
        """The mean bit rate, without headers and tags; `None` if it cannot be read."""
        return measure_bitrate_kbps(self.data)

    @cached_property
    def is_steady_sound(self) -> bool:
        """Whether the audio can be decoded and is noise, a tone or a hum that does not change."""
        decoded = self.decoded_audio
        return decoded is not None and is_steady_sound(decoded.samples, decoded.sample_rate_hz)

    @cached_property
    def clipped_share(self) -> float:
        """The share of samples at full scale with a neighbour at full scale, from 0 to 1; 0 without samples."""
        return 0.0 if self.decoded_audio is None else measure_clipped_share(self.decoded_audio.samples)

    @cached_property
    def sample_digest(self) -> str | None:
        """The digest of the samples by `compute_sample_digest`; `None` if the audio cannot be decoded."""
        decoded = self.decoded_audio
        return None if decoded is None else compute_sample_digest(decoded.samples, decoded.sample_rate_hz)


_recent_audio: OrderedDict[tuple[bytes, RawAudioFormat | None], MeasuredAudio] = OrderedDict()
"""The audio that was used last, by its bytes and declared format, up to `MAX_REMEMBERED_AUDIO_BYTES`."""
_recent_audio_lock = threading.Lock()
"""Lock for `_recent_audio`, because several threads measure audio."""


def find_measured_audio(audio_bytes: bytes, raw_format: RawAudioFormat | None = None) -> MeasuredAudio:
    """Return the audio with these bytes; equal arguments soon after each other give the same object.

    Args:
        audio_bytes: the encoded audio as it was received.
        raw_format: format of the samples if they have no header; `None` if it is not known.
    """
    key = audio_bytes, raw_format
    with _recent_audio_lock:
        if key not in _recent_audio:
            # Only now, because the size of what was added last was not known before it was decoded.
            excess = sum(one.size_in_memory_bytes for one in _recent_audio.values()) - MAX_REMEMBERED_AUDIO_BYTES
            while excess > 0:
                excess -= _recent_audio.popitem(last=False)[1].size_in_memory_bytes
            _recent_audio[key] = MeasuredAudio(audio_bytes, raw_format=raw_format)
        _recent_audio.move_to_end(key)
        return _recent_audio[key]


def forget_measured_audio() -> None:
    """Forget all audio, so that it is measured again when it is used next."""
    with _recent_audio_lock:
        _recent_audio.clear()
