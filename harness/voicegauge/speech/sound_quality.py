"""Measures how a clip sounds: pitch and spectrum of its voice, where they, level or pace change, and ratings.

The measures are compared between nights of one target, never between voices of different services.

One stretch is compared with all of the rest, as in circular binary segmentation (A. Olshen et al., 2004): so a louder
sentence in the middle is found as well as a voice that changes for good. What varies from sentence to sentence anyway
is estimated from neighbouring parts of the same clip.

Ratings of listeners are predicted by DNSMOS P.835 and P.808, with the extra "quality". The models are those of the
package speechmos (Microsoft, MIT; C. Reddy et al., "DNSMOS P.835", ICASSP 2022, and "DNSMOS", ICASSP 2021). Its code
needs librosa; the features here are computed with NumPy, and agree with it (`benchmarks/dnsmos`). A prediction for one
clip is imprecise: only means over clips are shown.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError
from voicegauge.speech.audio_measurement import (
    FRAME_DURATION_S,
    compute_frame_levels,
    correlate_shifted_waveforms,
    find_silences,
)
from voicegauge.speech.decoding import DecodedAudio, Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.long_text import PhonemeInterval
from voicegauge.speech.phoneme_network import build_mel_weights

MAX_MEASURED_S = 60.0
"""Duration of the part of a clip whose pitch and spectrum are measured, from its start, in seconds."""
PITCH_RANGE_HZ = (60.0, 500.0)
"""Lowest and highest pitch that is looked for."""
MIN_PERIODICITY = 0.5
"""Smallest correlation of a frame with itself one period later, from which it is voiced."""
MIN_VOICED_FRAMES = 20
"""Smallest number of frames from which a pitch, or a spectrum, is measured."""
_ANALYSIS_RATE_HZ = 8_000
"""Telephone speech: every codec and sample rate of a service transmits it, so that another codec or rate does not look
like another voice."""
_FRAME_SIZE, _HOP_SIZE, _FFT_SIZE = 320, 80, 1024
"""Samples of a frame of 40 ms, two periods of the lowest pitch, from one frame to the next, and of a transform."""
_SPECTRUM_RANGE_HZ = (150.0, 3_600.0)
"""Lowest and highest frequency that count in the spectral centroid."""
_MAX_LOUD_BELOW_LOUDEST_DB = 25.0
"""Frames that are more than this number of decibels below the loudest frame are neither voiced nor part of the
spectrum."""


class VoiceMeasures(NamedTuple):
    """Measures of one clip; each is `None` if the clip has too little speech for it."""

    spoken_s: float | None
    """Seconds from the first to the last sound, without the longest pause."""
    pitch_hz: float | None
    """Median fundamental frequency of the voiced frames."""
    spectral_centroid_hz: float | None
    """Mean frequency of the mean spectrum of the loud frames, weighted by amplitude, between 150 and 3,600 Hz."""


def measure_voice(samples: Samples, sample_rate_hz: int) -> VoiceMeasures:
    """Measure the voice of a clip.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    silences = find_silences(samples, sample_rate_hz)
    if silences is None:
        return VoiceMeasures(None, None, None)
    spoken_s = silences.trailing.start_s - silences.leading.end_s - silences.longest_inner.duration_s
    measured_samples = resample(samples[: round(MAX_MEASURED_S * sample_rate_hz)], sample_rate_hz, _ANALYSIS_RATE_HZ)
    frames = _extract_loud_frames(measured_samples)
    return VoiceMeasures(
        spoken_s if spoken_s > 0 else None, _measure_pitch_hz(frames), _measure_spectral_centroid_hz(frames)
    )


def _extract_loud_frames(samples: Samples) -> NDArray[np.float32]:
    """Return the loud frames of a clip, of shape (frames, samples), each with its mean (DC offset) subtracted.

    `samples` must have the rate `_ANALYSIS_RATE_HZ`.
    """
    if len(samples) < _FRAME_SIZE:
        return np.zeros((0, _FRAME_SIZE), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(samples, _FRAME_SIZE)[::_HOP_SIZE]
    frames = frames - frames.mean(axis=1, keepdims=True)
    energy = np.vecdot(frames, frames)
    return np.asarray(frames[energy > energy.max() * 10 ** (-_MAX_LOUD_BELOW_LOUDEST_DB / 10)], np.float32)


def _measure_pitch_hz(frames: NDArray[np.float32]) -> float | None:
    """Return the median pitch of the voiced frames; `None` if there are too few.

    The pitch of a frame is at the highest peak of its autocorrelation.

    The autocorrelation is divided by that of the window (P. Boersma, "Accurate short-term analysis of the fundamental
    frequency", 1993), so that long periods count as much as short ones; of nearly equal peaks the first one counts.
    """
    window = np.hanning(_FRAME_SIZE).astype(np.float32)
    power = np.abs(np.fft.rfft(frames * window, _FFT_SIZE, axis=1)) ** 2
    correlation = np.fft.irfft(power, axis=1)
    of_window = np.fft.irfft(np.abs(np.fft.rfft(window, _FFT_SIZE)) ** 2)
    shortest, longest = (round(_ANALYSIS_RATE_HZ / pitch_hz) for pitch_hz in reversed(PITCH_RANGE_HZ))
    longest = min(longest, _FRAME_SIZE // 2 - 2)
    scaled = correlation[:, : longest + 2] / np.maximum(correlation[:, :1], 1e-12)
    scaled = scaled / np.maximum(of_window[: longest + 2] / of_window[0], 1e-3)
    within = scaled[:, shortest : longest + 1]
    is_peak = (within >= scaled[:, shortest - 1 : longest]) & (within > scaled[:, shortest + 1 : longest + 2])
    peaks = np.where(is_peak, within, -1.0)
    best = peaks.max(axis=1, initial=-1.0)
    voiced = best > MIN_PERIODICITY
    if np.count_nonzero(voiced) < MIN_VOICED_FRAMES:
        return None
    # The first of nearly equal peaks: two periods fit as well as one, and would halve the pitch.
    lags = shortest + np.argmax(peaks[voiced] > 0.9 * best[voiced, None], axis=1)
    return float(np.median(_ANALYSIS_RATE_HZ / _interpolate_peak_lags(scaled[voiced], lags)))


def _interpolate_peak_lags(correlation: NDArray[np.float64], lags: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return lags between samples: the vertices of the parabolas through three values around each peak."""
    rows = np.arange(len(lags))
    before, at, after = (correlation[rows, lags + step] for step in (-1, 0, 1))
    curvature = before - 2 * at + after
    return np.asarray(lags + 0.5 * (before - after) / np.minimum(curvature, -1e-9), np.float64)  # of a peak: below 0


def _measure_spectral_centroid_hz(frames: NDArray[np.float32]) -> float | None:
    if len(frames) < MIN_VOICED_FRAMES:
        return None
    amplitude = np.abs(np.fft.rfft(frames * np.hanning(_FRAME_SIZE), _FFT_SIZE, axis=1)).mean(axis=0)
    frequencies = np.fft.rfftfreq(_FFT_SIZE, 1 / _ANALYSIS_RATE_HZ)
    is_in_range = (frequencies >= _SPECTRUM_RANGE_HZ[0]) & (frequencies <= _SPECTRUM_RANGE_HZ[1])
    total = float(amplitude[is_in_range].sum())
    return float(amplitude[is_in_range] @ frequencies[is_in_range]) / total if total > 0 else None


MIN_JUDGED_S = 30.0
"""Shortest clip that is judged, in seconds: a shorter clip has too few parts."""
MIN_LEVEL_CHANGE_DB, MIN_PITCH_CHANGE, MIN_PACE_CHANGE = 5.0, 0.15, 0.12
"""Smallest changes that are reported: of the level in dB, of pitch and pace as a fraction. Expressive speech varies
less for several seconds in a row."""
MIN_STANDARD_ERRORS_OF_SOUND_CHANGE = 7.0
"""Number of standard errors by which a stretch must differ from the rest. It is high, since every stretch is tried and
neighbouring parts of speech are alike."""
_LEVEL_PART_S, _PITCH_PART_S, _PACE_PART_S = 2.0, 3.0, 3.0
"""Durations, in seconds, of the parts of a clip whose levels, pitches and paces are compared."""
_MIN_PARTS_OF_STRETCH, _MIN_PARTS_OF_REST = 3, 4
"""Smallest numbers of parts of a stretch, and of the rest of the clip."""
_MAX_SPEECH_BELOW_LOUDEST_DB = 45.0
"""Frames that are more than this number of decibels below the loudest frame do not count in the level."""
_MIN_LEVEL_SPREAD_DB, _MIN_LOG_SPREAD = 1.0, 0.03
"""Smallest standard deviations that are assumed between parts: of the level in dB, of the logarithms of pitch and
pace."""
_MIN_PAUSE_S = 0.3
"""Shortest interval between two phonemes, in seconds, that counts as a pause."""
_MIN_PHONEME_INTERVALS_OF_PART = 6
"""Smallest number of intervals between phonemes from which the pace of a part is known."""
_PRIOR_INTERVAL_COUNT = 3
"""Number of intervals of mean duration that are added to those of each phoneme, so that the estimate for a rare phoneme
is near the mean."""
_DURATION_ESTIMATION_ITERATIONS = 3
"""Number of iterations in which the durations of phonemes are estimated."""


SoundProperty = Literal["level", "pitch", "pace"]
"""What may change within a clip."""
_MIN_CHANGE_AND_SPREAD: dict[SoundProperty, tuple[float, float]] = {
    "level": (MIN_LEVEL_CHANGE_DB, _MIN_LEVEL_SPREAD_DB),
    "pitch": (math.log1p(MIN_PITCH_CHANGE), _MIN_LOG_SPREAD),
    "pace": (math.log1p(MIN_PACE_CHANGE), _MIN_LOG_SPREAD),
}
"""For each property, the smallest change and the smallest spread between parts, on the scale of its measure: decibels,
or logarithms."""


class SoundChange(NamedTuple):
    """A stretch of a clip that sounds different from the rest."""

    sound_property: SoundProperty
    start_s: float
    """Time at which the change begins, in seconds."""
    change: float
    """Size of the change: in dB for the level, as a fraction for pitch and pace."""

    def describe(self) -> str:
        """Return the size and the time of the change in words."""
        amount = f"{self.change:+.1f} dB" if self.sound_property == "level" else f"{self.change:+.0%}"
        return f"the {self.sound_property} changes by {amount} at about {self.start_s:.1f} s"


def find_sound_changes(
    samples: Samples, sample_rate_hz: int, phoneme_intervals: Sequence[PhonemeInterval] = ()
) -> tuple[SoundChange, ...]:
    """Return the largest change of level, of pitch and of pace in a clip, if there are any, in their order in time.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
        phoneme_intervals: the intervals between phonemes; if empty, the pace is not judged.
    """
    if len(samples) < MIN_JUDGED_S * sample_rate_hz:
        return ()
    levels, pitches = _measure_levels_db(samples, sample_rate_hz), _measure_log_pitch(samples, sample_rate_hz)
    measures: tuple[tuple[SoundProperty, NDArray[np.float64], float], ...] = (
        ("level", levels, _LEVEL_PART_S),
        ("pitch", pitches, _PITCH_PART_S),
        ("pace", _measure_log_pace(phoneme_intervals), _PACE_PART_S),
    )
    changes = []
    for sound_property, values, part_s in measures:
        stretch = _find_deviating_stretch(values, *_MIN_CHANGE_AND_SPREAD[sound_property])
        if stretch is not None:
            part, change = stretch
            is_level = sound_property == "level"
            changes.append(SoundChange(sound_property, part * part_s, change if is_level else math.expm1(change)))
    return tuple(sorted(changes, key=lambda one: one.start_s))


def _find_deviating_stretch(
    values: NDArray[np.float64], min_change: float, min_spread: float
) -> tuple[int, float] | None:
    """Return the first part of the stretch that differs most from the rest, and the difference; `None` without one.

    Args:
        values: one value for each part; NaN is ignored.
        min_change: smallest difference of the means that counts.
        min_spread: smallest standard deviation that is assumed between parts.
    """
    places = np.flatnonzero(np.isfinite(values))
    known = values[places]
    count = len(known)
    if count < _MIN_PARTS_OF_STRETCH + _MIN_PARTS_OF_REST:
        return None
    # Differences of neighbours are hardly influenced by a change.
    spread = max(1.4826 * float(np.median(np.abs(np.diff(known)))) / math.sqrt(2), min_spread)
    sums = np.concatenate([[0.0], np.cumsum(known)])
    # Every stretch at once: half an hour of audio, which is the longest, has 900 parts and so 810,000 stretches.
    starts, ends = np.arange(count + 1)[:, None], np.arange(count + 1)[None, :]
    sizes = ends - starts
    is_allowed = (sizes >= _MIN_PARTS_OF_STRETCH) & (count - sizes >= _MIN_PARTS_OF_REST)
    sizes = np.where(is_allowed, sizes, 1)
    inside = (sums[None, :] - sums[:, None]) / sizes
    outside = (sums[-1] - sums[None, :] + sums[:, None]) / (count - sizes)
    change = inside - outside
    significance = np.where(is_allowed, np.abs(change) / (spread * np.sqrt(1 / sizes + 1 / (count - sizes))), 0.0)
    start, end = np.unravel_index(int(np.argmax(significance)), significance.shape)
    largest_change = float(change[start, end])
    if significance[start, end] < MIN_STANDARD_ERRORS_OF_SOUND_CHANGE or abs(largest_change) < min_change:
        return None
    # A stretch at the start of the clip is what it sounds like before the change.
    return (int(places[end]), -largest_change) if start == 0 else (int(places[start]), largest_change)


def _measure_levels_db(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return the mean level of speech in each part of `_LEVEL_PART_S`; NaN for a part with little speech."""
    levels = compute_frame_levels(samples, sample_rate_hz)
    size = round(_LEVEL_PART_S / FRAME_DURATION_S)
    frames = levels[: len(levels) // size * size].reshape(-1, size)
    is_speech = frames > levels.max(initial=-200.0) - _MAX_SPEECH_BELOW_LOUDEST_DB
    powers = np.where(is_speech, 10 ** (frames / 10), 0.0).sum(axis=1) / np.maximum(is_speech.sum(axis=1), 1)
    return np.where(is_speech.mean(axis=1) >= 0.3, 10 * np.log10(np.maximum(powers, 1e-20)), np.nan)


def _measure_log_pitch(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    resampled = resample(samples, sample_rate_hz, _ANALYSIS_RATE_HZ)
    size = round(_PITCH_PART_S * _ANALYSIS_RATE_HZ)
    parts = (resampled[start : start + size] for start in range(0, len(resampled) - size + 1, size))
    pitches = [_measure_pitch_hz(_extract_loud_frames(part)) for part in parts]
    return np.array([math.nan if pitch_hz is None else math.log(pitch_hz) for pitch_hz in pitches])


def _measure_log_pace(phoneme_intervals: Sequence[PhonemeInterval]) -> NDArray[np.float64]:
    """Return the logarithm of the pace in each part, without pauses: the expected duration divided by the true one.

    The expected duration is that of the same phonemes in the rest of the clip, because the phonemes of a sentence
    change its number of phonemes per second far more than a voice does.
    """
    spoken = [interval for interval in phoneme_intervals if 0 < interval.duration_s < _MIN_PAUSE_S]
    if not spoken:
        return np.zeros(0)
    durations_s = np.array([interval.duration_s for interval in spoken])
    expected_s = _estimate_expected_durations_s(spoken, durations_s)
    parts = np.array([int(interval.start_s / _PACE_PART_S) for interval in spoken])
    spoken_s, usual_s = np.bincount(parts, durations_s), np.bincount(parts, expected_s)
    is_known = np.bincount(parts) >= _MIN_PHONEME_INTERVALS_OF_PART
    return np.where(is_known, np.log(np.maximum(usual_s, 1e-9) / np.maximum(spoken_s, 1e-9)), np.nan)


def _estimate_expected_durations_s(
    intervals: Sequence[PhonemeInterval], durations_s: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the expected duration of each interval: the mean, plus an addition for each of its two phonemes."""
    phonemes = np.array([(interval.phoneme, interval.next_phoneme) for interval in intervals])
    additions_s, mean_s = np.zeros((2, phonemes.max() + 1)), durations_s.mean()
    for _ in range(_DURATION_ESTIMATION_ITERATIONS):
        for position in (0, 1):
            rest_s = durations_s - mean_s - additions_s[1 - position][phonemes[:, 1 - position]]
            counts = np.bincount(phonemes[:, position], minlength=additions_s.shape[1])
            sums_s = np.bincount(phonemes[:, position], rest_s, minlength=additions_s.shape[1])
            additions_s[position] = sums_s / (counts + _PRIOR_INTERVAL_COUNT)
    expected_s = mean_s + additions_s[0][phonemes[:, 0]] + additions_s[1][phonemes[:, 1]]
    # Additions to the mean may make the expectation for two short phonemes negative.
    return np.asarray(np.maximum(expected_s, 0.25 * mean_s))


# Finds the sample rate of raw samples, by a file with the same text and voice.


USUAL_SAMPLE_RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
"""The sample rates that speech usually has."""
MAX_COMPARED_RAW_S = 20.0
"""Maximum duration, in seconds, of speech whose raw samples are compared with a file. Speech in checks lasts a few
seconds."""
MIN_SAME_WAVEFORM_CORRELATION = 0.9
"""Smallest correlation of raw samples with the file of the same synthesis."""
MAX_SAME_RATE_DEVIATION = 0.04
"""Largest deviation of both pace and pitch, as a logarithm, of two syntheses at the same rate. It is less than half of
the distance between 22,050 and 24,000 Hz, which are the nearest of the usual rates."""
MAX_RATE_DEVIATION = 0.05
"""Largest deviation of both pace and pitch, as a logarithm, from the ratio of two rates."""


class RateComparison(NamedTuple):
    """The sample rate of raw samples, compared with a file."""

    rate_hz: int | None
    """The rate at which the samples are the speech of the file; `None` if it could not be determined."""
    explanation: str
    """How the rate was determined, as the end of a sentence, or why it was not."""
    is_same_synthesis: bool = False
    """Whether raw samples and file have the same waveform; otherwise pace and pitch were compared."""


def find_raw_sample_rate(file_audio: DecodedAudio, raw_audio: DecodedAudio) -> RateComparison:
    """Return the sample rate of raw samples, compared with a file of the same text in the same voice.

    If both come from one synthesis, the waveforms show the rate. If not, pace and pitch do, which a wrong rate changes
    by the same factor.

    Args:
        file_audio: the audio of a file that states its rate.
        raw_audio: the raw samples, at the rate that is documented for them.
    """
    if max(file_audio.duration_s, raw_audio.duration_s) > MAX_COMPARED_RAW_S:
        return RateComparison(None, f"the speech is longer than {MAX_COMPARED_RAW_S:g} s")

    def correlate_at(sample_rate_hz: int) -> float:
        return correlate_shifted_waveforms(
            resample(file_audio.samples, file_audio.sample_rate_hz, sample_rate_hz), raw_audio.samples
        )

    declared_hz = raw_audio.sample_rate_hz
    # The documented rate is nearly always right, and each correlation takes two transforms of the whole clip.
    correlations = {declared_hz: correlate_at(declared_hz)}
    if correlations[declared_hz] < MIN_SAME_WAVEFORM_CORRELATION:
        correlations |= {rate: correlate_at(rate) for rate in USUAL_SAMPLE_RATES_HZ if rate != declared_hz}
    likeliest = max(correlations, key=lambda rate: correlations[rate])
    if correlations[likeliest] >= MIN_SAME_WAVEFORM_CORRELATION:
        explanation = f"at that rate, they have the waveform of the same text as {file_audio.container}"
        return RateComparison(likeliest, explanation, is_same_synthesis=True)
    return _compare_pace_and_pitch(
        measure_voice(file_audio.samples, file_audio.sample_rate_hz),
        measure_voice(raw_audio.samples, declared_hz),
        declared_hz,
    )


def _compare_pace_and_pitch(
    file_measures: VoiceMeasures, raw_measures: VoiceMeasures, declared_rate_hz: int
) -> RateComparison:
    another = "the waveform is that of another synthesis than the file"
    if not (file_measures.spoken_s and raw_measures.spoken_s and file_measures.pitch_hz and raw_measures.pitch_hz):
        return RateComparison(None, f"{another}, and the pitch cannot be measured")
    faster, higher = file_measures.spoken_s / raw_measures.spoken_s, raw_measures.pitch_hz / file_measures.pitch_hz
    logs = math.log(faster), math.log(higher)
    explanation = f"read at {declared_rate_hz} Hz, they are {faster:.2f} times as fast and {higher:.2f} times as high"
    if max(map(abs, logs)) <= MAX_SAME_RATE_DEVIATION:
        return RateComparison(declared_rate_hz, explanation)

    def deviate_at(sample_rate_hz: int) -> float:
        return max(abs(one - math.log(declared_rate_hz / sample_rate_hz)) for one in logs)

    likeliest = min(USUAL_SAMPLE_RATES_HZ, key=deviate_at)
    is_other = min(map(abs, logs)) > MAX_RATE_DEVIATION and deviate_at(likeliest) <= MAX_RATE_DEVIATION
    if likeliest != declared_rate_hz and is_other:
        return RateComparison(likeliest, explanation)
    return RateComparison(None, f"{another}, {faster:.2f} times as fast and {higher:.2f} times as high")


# Predicts how listeners would rate a clip.


RATED_SAMPLE_RATE_HZ = 16_000
"""Sample rate at which clips are rated, in hertz."""
RATED_WINDOW_S = 9.01
"""Duration of the windows that the models rate, in seconds. They start every second; shorter clips are repeated."""
MAX_RATED_S = 120.0
"""Duration of the part of a clip that is rated, from its start, in seconds."""
_P835_MODEL, _P808_MODEL = "sig_bak_ovr.onnx", "model_v8.onnx"
"""Names of the files of the models."""
_RATED_FFT_SIZE, _RATED_HOP_SIZE, _RATED_MEL_BAND_COUNT = 321, 160, 120
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
    audio = np.clip(resample(kept, sample_rate_hz, RATED_SAMPLE_RATE_HZ), -1.0, 1.0).astype(np.float32)
    return predict_quality_at_analysis_rate(audio)


def predict_quality_at_analysis_rate(audio: Samples) -> PredictedQuality:
    """Return the predicted ratings of samples of shape (frames,) at `RATED_SAMPLE_RATE_HZ`."""
    size = int(RATED_WINDOW_S * RATED_SAMPLE_RATE_HZ)
    # As the reference does it: the models were trained with windows of one length.
    while len(audio) < size:
        audio = np.concatenate([audio, audio])
    window_count = int(math.floor(len(audio) / RATED_SAMPLE_RATE_HZ) - RATED_WINDOW_S) + 1
    # As in the reference, the end is rounded down after floating-point arithmetic: windows from the eighth on lack a
    # sample, and are left out.
    ends = [int((number + RATED_WINDOW_S) * RATED_SAMPLE_RATE_HZ) for number in range(window_count)]
    starts = [
        number * RATED_SAMPLE_RATE_HZ
        for number, end in enumerate(ends)
        if min(end, len(audio)) - number * RATED_SAMPLE_RATE_HZ >= size
    ]
    ratings = np.array([_predict_window_ratings(audio[start : start + size]) for start in starts])
    return PredictedQuality(*(float(value) for value in ratings.mean(axis=0)))


def _predict_window_ratings(window: Samples) -> tuple[float, ...]:
    p835, p808 = _load_models()
    outputs = p835.run(None, {"input_1": window[None]})[0][0]
    features = compute_mel_features(window[:-_RATED_HOP_SIZE])[None]
    ratings = (
        np.polyval(coefficients, value) for coefficients, value in zip(_P835_CALIBRATION.values(), outputs, strict=True)
    )
    return (*map(float, ratings), float(p808.run(None, {"input_1": features})[0][0][0]))


def compute_mel_features(window: Samples) -> NDArray[np.float32]:
    """Return the input of the P.808 model: powers in mel bands relative to the loudest one, of shape (frames, 120)."""
    padded = np.pad(window, _RATED_FFT_SIZE // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _RATED_FFT_SIZE)[::_RATED_HOP_SIZE]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_RATED_FFT_SIZE) / _RATED_FFT_SIZE)
    weights = build_mel_weights(_RATED_FFT_SIZE, _RATED_MEL_BAND_COUNT, RATED_SAMPLE_RATE_HZ)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2 @ weights
    level_db = 10 * np.log10(np.maximum(power, 1e-10)) - 10 * np.log10(max(float(power.max()), 1e-10))
    scaled = (np.maximum(level_db, level_db.max() - _DYNAMIC_RANGE_DB) + 40) / 40
    return np.asarray(scaled, np.float32)


@functools.cache
def _load_models() -> tuple[Any, Any]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # clips are rated in several processes or threads
    # Warnings about the models are nothing that the user can change.
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
