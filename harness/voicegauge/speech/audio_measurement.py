"""Measures audio: levels, similarity and playback.

Samples are mono float32 arrays of shape (frames,), full scale at 1.0. A full-scale sine has an RMS of -3.01 dBFS.

The words of two recordings are compared without recognizing them. Their spectra are aligned in time (dynamic time
warping), so that another speaking rate does not matter. How well they fit depends on voices and codecs too,
so the fit is compared with that of
the second recording played backwards, which has the same voice and codec but no common words.
"""

from __future__ import annotations

import bisect
import functools
import hashlib
import io
import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.model.sample import AudioFacts
from voicegauge.speech.containers import find_wav_data, load_av, sniff_container
from voicegauge.speech.decoding import DecodedAudio, RawAudioFormat, Samples, UndecodableAudioError, decode
from voicegauge.speech.encoding import resample

# Measures the level of speech and the silence before it, and detects silent audio.


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
    """Return the RMS level of all samples in dB relative to full scale; -inf for digital silence."""
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
    """Return the total duration of the frames above `SILENCE_DBFS`, in seconds."""
    return float(np.count_nonzero(compute_frame_levels(samples, sample_rate_hz) > SILENCE_DBFS)) * FRAME_DURATION_S


class Silence(NamedTuple):
    """A part of a clip without audible sound, in seconds from the start of the clip."""

    start_s: float
    end_s: float

    @property
    def duration_s(self) -> float:
        """Duration of the silence in seconds."""
        return self.end_s - self.start_s


class Silences(NamedTuple):
    """The silences of a clip."""

    leading: Silence
    trailing: Silence
    longest_inner: Silence
    """The longest silence between two sounds; of duration 0 if there is none."""


def find_silences(samples: Samples, sample_rate_hz: int) -> Silences | None:
    """Return the silences of a clip; `None` if nothing in it is audible.

    A frame of 10 ms is audible if it and a neighbour are above `SILENCE_DBFS`, and at most
    `MAX_SPEECH_BELOW_LOUDEST_FRAME_DB` below the loudest frame. So noise between words can hide a silence, but
    never makes one.

    Args:
        samples: mono samples of shape (frames,), full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    levels, duration_s = compute_frame_levels(samples, sample_rate_hz), len(samples) / sample_rate_hz
    if not len(levels):
        return None
    audible = levels > max(SILENCE_DBFS, float(levels.max()) - MAX_SPEECH_BELOW_LOUDEST_FRAME_DB)
    sustained = np.flatnonzero(audible[:-1] & audible[1:])
    if not len(sustained):
        return None
    # An index in `sustained` is that of the first of two frames, so that a sound ends two frames after its last one.
    first_s, last_s = int(sustained[0]) * FRAME_DURATION_S, (int(sustained[-1]) + 2) * FRAME_DURATION_S
    gaps = np.diff(sustained)
    widest = int(np.argmax(gaps)) if len(gaps) else 0
    inner = Silence(first_s, first_s)
    if len(gaps) and gaps[widest] > 2:
        start = (int(sustained[widest]) + 2) * FRAME_DURATION_S
        inner = Silence(start, float(sustained[widest + 1]) * FRAME_DURATION_S)
    return Silences(Silence(0.0, first_s), Silence(min(last_s, duration_s), duration_s), inner)


def measure_leading_silence_s(samples: Samples, sample_rate_hz: int) -> float:
    """Return the seconds before the first audible frame, to 10 ms; the whole duration if no frame is audible.

    Neither a click nor background noise counts as the start of speech.
    """
    silences = find_silences(samples, sample_rate_hz)
    return len(samples) / sample_rate_hz if silences is None else silences.leading.duration_s


def measure_speech_onset_s(samples: Samples, sample_rate_hz: int) -> float | None:
    """Return the seconds before the first frame of 10 ms whose RMS is above 0.01; `None` if there is no such frame.

    The benchmarks of coval (https://github.com/coval-ai/benchmarks) use this definition, so figures can be compared.
    """
    length = round(sample_rate_hz * FRAME_DURATION_S)
    complete_frames = samples[: len(samples) // length * length]
    block_size = _SAMPLES_PER_BLOCK // length * length
    for number, block in enumerate(_split_into_blocks(complete_frames, block_size)):
        loud = _compute_frame_powers(block, length, 0.0) > SPEECH_ONSET_RMS**2
        if loud.any():
            return (number * block_size / length + float(np.argmax(loud))) * FRAME_DURATION_S
    return None


def compute_frame_levels(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return the RMS level in dBFS, at least -200, of each complete frame of 10 ms without the constant offset."""
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


# Computes how many seconds of an encoded file can be played after its first bytes have been received.


_UNCOMPRESSED_CONTAINERS = {"wav", "pcm"}
"""Containers whose samples all have the same size, so that playable time is proportional to received bytes."""

_MAX_PACKETS = 200_000
"""Maximum number of packets that are examined: half an hour of packets of 9 ms. Codecs for speech use packets of at
least 20 ms."""


class PlaybackTimeline:
    """Seconds of playable audio as a non-decreasing function of the bytes received."""

    def __init__(
        self, playback_points: Sequence[tuple[int, float]], size_bytes: int, duration_s: float, *, is_interpolated: bool
    ) -> None:
        """Build the timeline from points between which the playable time is computed.

        Args:
            playback_points: pairs (number of received bytes, number of seconds that can then be played), in ascending
                order.
            size_bytes: size of the whole file in bytes. When the whole file is received, all of its audio can be
                played.
            duration_s: duration of the audio, in seconds.
            is_interpolated: whether values between two points are interpolated linearly. Otherwise they are constant.
        """
        self._bytes, self._seconds = [at for at, _ in playback_points], [seconds for _, seconds in playback_points]
        self._size_bytes, self._audio_s, self._is_interpolated = size_bytes, duration_s, is_interpolated

    @property
    def header_bytes(self) -> int:
        """Size of the header before the audio itself, in bytes; 0 if it is not known."""
        return self._bytes[0]

    def compute_playable_s(self, received_bytes: int) -> float:
        """Return the number of seconds that can be played after the first `received_bytes` bytes."""
        if received_bytes >= self._size_bytes:
            return self._audio_s
        index = bisect.bisect_right(self._bytes, received_bytes) - 1
        if index < 0:
            return 0.0
        seconds = self._seconds[index]
        if self._is_interpolated and index + 1 < len(self._bytes):
            share = (received_bytes - self._bytes[index]) / (self._bytes[index + 1] - self._bytes[index])
            seconds += share * (self._seconds[index + 1] - seconds)
        return min(seconds, self._audio_s)


def build_playback_timeline(audio_bytes: bytes, decoded_audio: DecodedAudio) -> PlaybackTimeline:
    """Compute the timeline of the encoded file `audio_bytes`, from which `decoded_audio` was decoded.

    Compressed audio is played packet by packet. FFmpeg finds the packets. If it finds fewer than two, or more than
    `_MAX_PACKETS`, playable time is assumed to be proportional to received bytes.
    """
    size_bytes, audio_s = len(audio_bytes), decoded_audio.duration_s
    if decoded_audio.container in _UNCOMPRESSED_CONTAINERS:
        wav_data = find_wav_data(audio_bytes)
        return PlaybackTimeline(
            [(wav_data.size_field_offset + 4 if wav_data else 0, 0.0), (size_bytes, audio_s)],
            size_bytes,
            audio_s,
            is_interpolated=True,
        )
    packets = _find_packet_points(audio_bytes)
    if len(packets) < 2:
        return PlaybackTimeline([(0, 0.0), (size_bytes, audio_s)], size_bytes, audio_s, is_interpolated=True)
    return PlaybackTimeline(packets, size_bytes, audio_s, is_interpolated=False)


def _find_packet_points(audio_bytes: bytes) -> list[tuple[int, float]]:
    """Return a pair (offset, seconds) for each packet.

    When the bytes before the offset have been received, this number of seconds can be played. The list is empty if
    there are more than `_MAX_PACKETS`.
    """
    av = load_av()
    starts: dict[int, float] = {}
    packets = 0
    try:
        with av.open(io.BytesIO(audio_bytes), "r") as file:
            if not file.streams.audio:
                return []
            for packet in file.demux(file.streams.audio[0]):
                packets += 1
                if packets > _MAX_PACKETS:
                    return []
                if packet.pos is not None and packet.pos >= 0 and packet.pts is not None and packet.time_base:
                    # Packets of one Ogg page have its position; the first tells what is playable before.
                    starts.setdefault(packet.pos, max(float(packet.pts * packet.time_base), 0.0))
    except (av.error.FFmpegError, AttributeError, OverflowError, ValueError):
        pass  # damaged from here on, so only the packets before are used
    # Packets may be stored in another order than they are played in; what is playable never shrinks.
    points, reached = [], 0.0
    for at in sorted(starts):
        reached = max(reached, starts[at])
        points.append((at, reached))
    return points


# Defines `EncodedAudio`, a piece of encoded audio that is decoded at most once.


class EncodedAudio:
    """Encoded audio as it was received. Samples, digest and measurements are computed on first use and then cached."""

    def __init__(
        self, audio_bytes: bytes, *, media_type: str | None = None, raw_format: RawAudioFormat | None = None
    ) -> None:
        """Wrap `audio_bytes` without decoding it.

        Args:
            audio_bytes: the encoded audio as it was received.
            media_type: media type that the provider declares for the audio; `None` if it declares none.
            raw_format: format of the samples if they have no header; `None` if it is not known.
        """
        self.data, self.media_type, self.raw_format = audio_bytes, media_type, raw_format

    @classmethod
    def from_facts(cls, audio_bytes: bytes, facts: AudioFacts) -> EncodedAudio:
        """Wrap the audio of a sample in a saved run. The media type and the raw format are those in `facts`."""
        raw = None
        if facts.raw_format and facts.sample_rate_hz:
            raw = RawAudioFormat(
                format=facts.raw_format, sample_rate_hz=facts.sample_rate_hz, channels=facts.channels or 1
            )
        return cls(audio_bytes, media_type=facts.media_type, raw_format=raw)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the encoded bytes, in hexadecimal digits."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def _decoding_result(self) -> DecodedAudio | UndecodableAudioError:
        try:
            return decode(self.data, declared_format=self.raw_format)
        except UndecodableAudioError as error:
            return error

    @property
    def decoded_audio(self) -> DecodedAudio | None:
        """The decoded samples; `None` if the audio cannot be decoded."""
        return None if isinstance(self._decoding_result, UndecodableAudioError) else self._decoding_result

    @property
    def decode_error(self) -> str | None:
        """The reason why the audio cannot be decoded; `None` if it can be decoded."""
        return str(self._decoding_result) if isinstance(self._decoding_result, UndecodableAudioError) else None

    @property
    def size_in_memory_bytes(self) -> int:
        """Size of the encoded bytes, and of the samples if they are decoded already."""
        result = self.__dict__.get("_decoding_result")  # without decoding it
        return len(self.data) + (result.samples.nbytes if isinstance(result, DecodedAudio) else 0)

    @cached_property
    def active_duration_s(self) -> float | None:
        """Total duration of the frames that are not silent, in seconds; `None` if the audio cannot be decoded."""
        decoded = self.decoded_audio
        return None if decoded is None else measure_active_duration_s(decoded.samples, decoded.sample_rate_hz)

    @property
    def is_silent(self) -> bool:
        """Whether the audio can be decoded and is silent."""
        return self.active_duration_s is not None and self.active_duration_s < MIN_SPEECH_S

    @cached_property
    def playback_timeline(self) -> PlaybackTimeline | None:
        """Seconds of playable audio by number of received bytes; `None` if the audio cannot be decoded."""
        return None if self.decoded_audio is None else build_playback_timeline(self.data, self.decoded_audio)

    def measure_facts(self, relative_path: str) -> AudioFacts:
        """Return facts about the audio: if it cannot be decoded, only its digest, size, media type and container.

        Args:
            relative_path: path of the saved audio, relative to the folder of the run.
        """
        decoded = self.decoded_audio
        if decoded is None:
            return AudioFacts(
                sha256=self.sha256,
                file_path=relative_path,
                size_bytes=len(self.data),
                media_type=self.media_type,
                container=sniff_container(self.data),
            )
        level_dbfs = compute_rms_dbfs(decoded.samples)
        return AudioFacts(
            sha256=self.sha256,
            file_path=relative_path,
            size_bytes=len(self.data),
            media_type=self.media_type,
            container=decoded.container,
            sample_rate_hz=decoded.sample_rate_hz,
            channels=decoded.source_channels,
            raw_format=self.raw_format.format if self.raw_format and decoded.container == "pcm" else None,
            audio_duration_s=decoded.duration_s,
            leading_silence_s=measure_leading_silence_s(decoded.samples, decoded.sample_rate_hz),
            speech_onset_s=measure_speech_onset_s(decoded.samples, decoded.sample_rate_hz),
            rms_dbfs=level_dbfs if math.isfinite(level_dbfs) else None,  # JSON has no -Infinity
        )


# Compares two recordings of speech: whether they are the same waveform, and whether the same words are spoken.


MAX_COMPARED_DURATION_S = 20.0
"""Maximum duration of speech that is compared, in seconds. The time for the alignment grows with the square of the
duration, and the texts of checks last only a few seconds."""
_ANALYSIS_RATE_HZ = 16_000
"""Sample rate at which recordings are compared."""
_WINDOW_SIZE, _HOP_SIZE, _FFT_SIZE = 400, 320, 512
"""Samples in a frame, between frames and in a transform: 25 ms every 20 ms, as in speech recognizers."""
_FREQUENCY_BAND_COUNT = 20
"""Number of frequency bands whose energies are compared."""
_FREQUENCY_RANGE_HZ = (100.0, 3800.0)
"""Lowest and highest frequency that is compared: the range of telephone speech, which every codec transmits."""
_MIN_RELATIVE_SPEECH_ENERGY = 1e-3
"""Speech begins with the first frame, and ends with the last frame, whose energy exceeds this fraction of the energy of
the loudest frame."""
_RELATIVE_ENERGY_FLOOR = 1e-5
"""Constant that is added to every energy before its logarithm is taken, so that noise does not count. It is a fraction
of the largest energy of any band and frame."""

_MIN_WAVEFORM_CORRELATION = 0.9
"""Smallest correlation of two recordings that count as one waveform that was encoded twice. Codecs alone do not make it
smaller."""
_MAX_DURATION_DIFFERENCE_S = 0.1
"""Largest difference in duration of two recordings of one waveform, as encoders pad their last block."""

SpectralFeatures = NDArray[np.float64]
"""Logarithmic energies of shape (frames, bands), with mean 0 in each band and standard deviation 1 overall."""


def measure_speech_mismatch(
    first_samples: Samples, first_sample_rate_hz: int, second_samples: Samples, second_sample_rate_hz: int
) -> float | None:
    """Return how much the spoken words of two recordings differ, whatever the speaking rate.

    Recordings of one waveform are recognized first, without an alignment of their spectra. For them the result is 0,
    whatever the codec. With synthesized voices it was at most 0.6 for the same words, even by another
    voice, and at least 0.8 for other words, even if they were the same words in reverse order.

    Args:
        first_samples: mono samples.
        first_sample_rate_hz: their sample rate.
        second_samples: mono samples.
        second_sample_rate_hz: their sample rate.

    Returns:
        The mismatch; `None` if a recording is silent or longer than `MAX_COMPARED_DURATION_S`.
    """
    durations_s = len(first_samples) / first_sample_rate_hz, len(second_samples) / second_sample_rate_hz
    if max(durations_s) > MAX_COMPARED_DURATION_S:
        return None
    first_resampled = resample(first_samples, first_sample_rate_hz, _ANALYSIS_RATE_HZ)
    second_resampled = resample(second_samples, second_sample_rate_hz, _ANALYSIS_RATE_HZ)
    if _are_same_waveform(first_resampled, second_resampled):
        return 0.0
    one, other = _compute_spectral_features(first_resampled), _compute_spectral_features(second_resampled)
    if one is None or other is None:
        return None
    distances = _compute_distances(one, other)
    # Both alignments share voices and codec, so that their ratio shows the words alone.
    forwards, backwards = _compute_alignment_costs(np.stack([distances, distances[:, ::-1]]))
    return forwards / backwards if backwards > 0 else None


def correlate_waveforms(first_samples: Samples, second_samples: Samples) -> float:
    """Return the correlation of two recordings with the same sample rate, from -1 to 1; 1 also if one is constant.

    If one recording is longer, it is compared up to the end of the other one.
    """
    length = min(len(first_samples), len(second_samples))
    one, other = (x[:length] - np.mean(x[:length]) for x in (first_samples, second_samples))
    power = float(one @ one) * float(other @ other)
    return float(one @ other) / power**0.5 if power > 0 else 1.0


def correlate_shifted_waveforms(first_samples: Samples, second_samples: Samples) -> float:
    """Return the largest correlation of two recordings with the same sample rate over all shifts, from -1 to 1.

    Encoders delay audio by up to a tenth of a second. The result is 0 if a recording is silent.
    """
    # A transform is an order of magnitude slower if the length has a large prime factor; more padding changes nothing.
    length = 1 << (len(first_samples) + len(second_samples) - 1).bit_length()
    power = float(first_samples @ first_samples) * float(second_samples @ second_samples)
    if not power > 0:
        return 0.0
    spectrum = np.fft.rfft(first_samples, length) * np.conj(np.fft.rfft(second_samples, length))
    return float(np.fft.irfft(spectrum, length).max()) / math.sqrt(power)


def _are_same_waveform(first_samples: Samples, second_samples: Samples) -> bool:
    """Whether two recordings at `_ANALYSIS_RATE_HZ` have the same waveform, apart from what codecs change."""
    if abs(len(first_samples) - len(second_samples)) > _MAX_DURATION_DIFFERENCE_S * _ANALYSIS_RATE_HZ:
        return False
    is_audible = bool(first_samples.any() and second_samples.any())
    return is_audible and correlate_waveforms(first_samples, second_samples) >= _MIN_WAVEFORM_CORRELATION


def _compute_spectral_features(samples: Samples) -> SpectralFeatures | None:
    if len(samples) < _WINDOW_SIZE:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, _WINDOW_SIZE)[::_HOP_SIZE]
    power = np.abs(np.fft.rfft(frames * np.hanning(_WINDOW_SIZE), _FFT_SIZE)) ** 2
    energies = power @ _build_mel_band_weights()
    totals = energies.sum(axis=1)
    spoken = np.flatnonzero(totals > _MIN_RELATIVE_SPEECH_ENERGY * totals.max())
    if not len(spoken):
        return None
    levels = np.log(energies + _RELATIVE_ENERGY_FLOOR * energies.max())[spoken[0] : spoken[-1] + 1]
    # The mean of a band is the voice, the microphone and the codec; what varies around it are the words.
    levels = levels - levels.mean(axis=0)
    spread = float(levels.std())
    return levels / spread if spread > 0 else None


@functools.cache
def _build_mel_band_weights() -> NDArray[np.float64]:
    """Return triangular weights of shape (frequencies, bands), equally spaced on the mel scale."""
    mels = 2595 * np.log10(1 + np.fft.rfftfreq(_FFT_SIZE, 1 / _ANALYSIS_RATE_HZ) / 700)
    low, high = (2595 * np.log10(1 + hz / 700) for hz in _FREQUENCY_RANGE_HZ)
    edges = np.linspace(low, high, _FREQUENCY_BAND_COUNT + 2)
    rising = (mels[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mels[:, None]) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)))


def _compute_distances(first_features: SpectralFeatures, second_features: SpectralFeatures) -> NDArray[np.float64]:
    """Return the distance between every frame of `first_features` and every frame of `second_features`."""
    # By one product of matrices, because all differences at once take 20 times more memory, and by rows more time.
    first_squares, second_squares = (np.sum(side * side, axis=1) for side in (first_features, second_features))
    squares = first_squares[:, None] + second_squares - 2 * (first_features @ second_features.T)
    return np.asarray(np.sqrt(np.maximum(squares, 0.0) / _FREQUENCY_BAND_COUNT))  # rounding may make them negative


def _compute_alignment_costs(distances: NDArray[np.float64]) -> list[float]:
    """Return, for each pair of recordings, the mean distance of their frames along the best alignment.

    All distances on one diagonal of a pair are processed at once, because their costs do not depend on each other.

    Args:
        distances: the distances between the frames, of shape (pairs, frames of the first, frames of the second).
    """
    pairs, rows, columns = distances.shape
    flat, step = distances.reshape(pairs, -1), max(columns - 1, 1)  # entries of a diagonal are `step` apart
    # The costs on two diagonals back, on the last one and on the current one, after an entry that no alignment reaches.
    before, last, current = (np.full((pairs, rows + 1), np.inf) for _ in range(3))
    before[:, 0] = 0.0  # the alignment begins with the first frames
    for diagonal in range(rows + columns - 1):
        low, high = max(0, diagonal - columns + 1), min(rows - 1, diagonal) + 1
        start = low * columns + diagonal - low
        on_diagonal = flat[:, start : start + (high - low - 1) * step + 1 : step]
        cheapest = np.minimum(np.minimum(last[:, low:high], last[:, low + 1 : high + 1]), before[:, low:high])
        current.fill(np.inf)
        np.add(cheapest, on_diagonal, out=current[:, low + 1 : high + 1])
        before, last, current = last, current, before
    return [float(cost) / (rows + columns) for cost in last[:, rows]]
