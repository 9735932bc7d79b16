"""Recognizes phonemes in audio, and compares a text with them: is it this text, all of it, and where is each word?

The network has no vocabulary. For each 20 ms it gives the probability of every phoneme and of none, which is what
aligning a text with its audio needs. It was trained on synthesized English only (`embedded/phonemes.md`): speech of
other voices can be compared with texts, but not transcribed.

espeak-ng converts a text to phonemes, so numbers and abbreviations are read as its voices read them.

How well a sequence of phonemes explains a clip is the probability that connectionist temporal classification gives it
(CTC; Graves et al., 2006). The deficit of a sequence is how much its log probability is below that of the best sequence
of all. The deficit of the right text is small even with a voice that the network was not trained with; that of another
text is large. So the text of a clip is judged by comparing deficits, not by transcribing the clip.
"""

from __future__ import annotations

import collections
import functools
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from voicegauge.speech.espeak import transcribe_phonemes

Array = NDArray[np.float32]
"""Array of numbers of 32 bits, such as weights, spectra and the values of a layer."""

WEIGHTS_PATH = Path(__file__).parent / "embedded" / "phonemes.npz"
"""File with the weights of the network, in half precision."""
ANALYSIS_RATE_HZ = 16_000
"""Sample rate that the network hears, in hertz."""
FRAME_S = 0.02
"""Duration of an output frame, in seconds."""
ATTENTION_HEAD_COUNT = 4
"""Attention heads of each layer."""
_FFT_SIZE, _HOP_SIZE, _MEL_BAND_COUNT = 400, 160, 80
"""Samples of a frame, samples from one frame to the next, and number of mel bands."""
_FRAMES_PER_SPECTRUM_BLOCK = 1_000
"""Frames of `_HOP_SIZE` samples whose spectra are in memory at a time: 10 s."""
_MAX_WINDOW_FRAMES = 500
"""Frames that are processed at a time: 10 s, about the longest clips of the training."""
_CONTEXT_FRAMES = 40
"""Frames at each end of a window whose results are taken from the neighbouring window instead."""


def compute_mel_power(samples: Array) -> Array:
    """Return the power in 80 mel bands every 10 ms, of shape (frames, 80), as Whisper computes it.

    Args:
        samples: mono samples of shape (frames,) at `ANALYSIS_RATE_HZ`.
    """
    # As Whisper pads; numpy cannot reflect more samples than there are.
    padded = np.pad(samples, _FFT_SIZE // 2, mode="reflect" if len(samples) > _FFT_SIZE else "constant")
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[::_HOP_SIZE][: len(samples) // _HOP_SIZE]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SIZE) / _FFT_SIZE)).astype(np.float32)
    weights = build_mel_weights(_FFT_SIZE, _MEL_BAND_COUNT, ANALYSIS_RATE_HZ).astype(np.float32)
    mel = np.empty((len(frames), _MEL_BAND_COUNT), np.float32)
    with _use_one_linear_algebra_thread():
        # The spectra of all frames of five minutes of speech at once would take 200 MB.
        for start in range(0, len(frames), _FRAMES_PER_SPECTRUM_BLOCK):
            block = slice(start, start + _FRAMES_PER_SPECTRUM_BLOCK)
            spectrum = np.fft.rfft(frames[block] * window, axis=1)
            mel[block] = (spectrum.real**2 + spectrum.imag**2).astype(np.float32) @ weights
    return mel


def normalize_mel_power(log_power: Array) -> Array:
    """Return log10 powers as Whisper normalizes them: at most 8 below the loudest one, then shifted and scaled."""
    normalized: Array = (np.maximum(log_power, np.float32(log_power.max() - 8.0)) + np.float32(4.0)) / np.float32(4.0)
    return normalized


@functools.cache
def build_mel_weights(fft_size: int, band_count: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Return triangular weights of shape (frequencies, bands), each of unit area, up to half of the sample rate.

    The scale is linear below 1 kHz and logarithmic above it (M. Slaney, "Auditory Toolbox", 1998), as librosa has it.
    """
    low_hz_per_mel, break_hz, log_step = 200.0 / 3, 1000.0, math.log(6.4) / 27
    break_mel = break_hz / low_hz_per_mel
    highest_mel = break_mel + math.log(sample_rate_hz / 2 / break_hz) / log_step
    mels = np.linspace(0.0, highest_mel, band_count + 2)
    edges = np.where(mels < break_mel, mels * low_hz_per_mel, break_hz * np.exp(log_step * (mels - break_mel)))
    frequencies = np.fft.rfftfreq(fft_size, 1 / sample_rate_hz)[:, None]
    rising = (frequencies - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - frequencies) / (edges[2:] - edges[1:-1])
    return np.asarray(np.maximum(0, np.minimum(rising, falling)) * (2.0 / (edges[2:] - edges[:-2])))


@functools.cache
def _load_weights() -> dict[str, Array]:
    with np.load(WEIGHTS_PATH) as packed:
        return {name: packed[name].astype(np.float32) for name in packed.files}


def compute_phoneme_log_probabilities(samples: Array, sample_rate_hz: int) -> Array:
    """Return the natural log probability of each symbol in each frame of 20 ms, of shape (frames, symbols).

    Args:
        samples: mono samples in one dimension, full scale at 1.0.
        sample_rate_hz: their sample rate.
    """
    with _use_one_linear_algebra_thread():
        return _compute_log_probabilities(samples, sample_rate_hz)


def _use_one_linear_algebra_thread() -> AbstractContextManager[object]:
    # The products are so small that further threads, which spin while they wait, cost several times what they save.
    limit: AbstractContextManager[object] = _find_linear_algebra_libraries().limit(limits=1)
    return limit


_find_linear_algebra_libraries = functools.cache(ThreadpoolController)


def _compute_log_probabilities(samples: Array, sample_rate_hz: int) -> Array:
    from voicegauge.speech.encoding import resample

    log_power = np.log10(np.maximum(compute_mel_power(resample(samples, sample_rate_hz, ANALYSIS_RATE_HZ)), 1e-10))
    frame_count = len(log_power) // 2
    if not frame_count:
        return np.zeros((0, len(_load_weights()["head.bias"])), np.float32)
    parts, start = [], 0
    while start < frame_count:
        begin, end = max(0, start - _CONTEXT_FRAMES), min(frame_count, start + _MAX_WINDOW_FRAMES - _CONTEXT_FRAMES)
        window = _compute_window_log_probabilities(normalize_mel_power(log_power[2 * begin : 2 * end]))
        stop = frame_count if end == frame_count else end - _CONTEXT_FRAMES
        parts.append(window[start - begin : stop - begin])
        start = stop
    return np.concatenate(parts)


def _compute_window_log_probabilities(mel: Array) -> Array:
    """Return log probabilities of shape (frames, symbols) for normalized mel powers of shape (2 * frames, 80)."""
    weights = _load_weights()
    x = _apply_gelu(_apply_convolution(mel, weights["conv1.weight"], weights["conv1.bias"], stride=1))
    x = _apply_gelu(_apply_convolution(x, weights["conv2.weight"], weights["conv2.bias"], stride=2))
    x = x + _build_position_vectors(len(x), x.shape[1])
    layer = 0
    while f"blocks.{layer}.attn.query.weight" in weights:
        x = x + _apply_attention(_apply_layer_norm(x, f"blocks.{layer}.attn_ln"), f"blocks.{layer}.attn")
        inner = _apply_gelu(
            _apply_linear_layer(_apply_layer_norm(x, f"blocks.{layer}.mlp_ln"), f"blocks.{layer}.mlp.0")
        )
        x = x + _apply_linear_layer(inner, f"blocks.{layer}.mlp.2")
        layer += 1
    scores = _apply_linear_layer(_apply_layer_norm(x, "ln_post"), "head")
    scores = scores - scores.max(axis=1, keepdims=True)
    normalized: Array = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    return normalized


def _apply_convolution(x: Array, weight: Array, bias: Array, stride: int) -> Array:
    """Convolve (frames, inputs) with a weight of shape (outputs, inputs, 3)."""
    padded = np.pad(x, ((1, 1), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 3, axis=0)[::stride]
    convolved: Array = windows.reshape(len(windows), -1) @ weight.reshape(len(weight), -1).T + bias
    return convolved


def _apply_linear_layer(x: Array, layer_name: str) -> Array:
    """Return the result of a linear layer; `layer_name` is the start of the names of its weights."""
    weights = _load_weights()
    projected: Array = x @ weights[f"{layer_name}.weight"].T
    return projected + weights[f"{layer_name}.bias"] if f"{layer_name}.bias" in weights else projected


def _apply_layer_norm(x: Array, layer_name: str) -> Array:
    """Return the result of a layer normalization; `layer_name` is the start of the names of its weights."""
    weights = _load_weights()
    centred = x - x.mean(axis=1, keepdims=True)
    scaled: Array = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + np.float32(1e-5))
    return scaled * weights[f"{layer_name}.weight"] + weights[f"{layer_name}.bias"]


def _apply_attention(x: Array, layer_name: str) -> Array:
    """Return the result of multi-head self-attention; `layer_name` is the start of the names of its weights."""
    query, key, value = (
        _apply_linear_layer(x, f"{layer_name}.{part}").reshape(len(x), ATTENTION_HEAD_COUNT, -1).transpose(1, 0, 2)
        for part in ("query", "key", "value")
    )
    scores = query @ key.transpose(0, 2, 1) / np.float32(math.sqrt(query.shape[-1]))
    # Without the largest score, so that no exponential overflows.
    scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
    mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ value
    return _apply_linear_layer(mixed.transpose(1, 0, 2).reshape(len(x), -1), f"{layer_name}.out")


def _apply_gelu(x: Array) -> Array:
    """Apply the Gaussian error linear unit.

    Its error function is accurate to 1.5e-7 (Abramowitz and Stegun, 7.1.26).
    """
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
def _build_position_vectors(frame_count: int, width: int) -> Array:
    """Return the sinusoids by which Whisper encodes positions, of shape (frames, width)."""
    scales = np.exp(-math.log(10_000) / (width // 2 - 1) * np.arange(width // 2))
    angles = np.arange(frame_count)[:, None] * scales[None]
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)


PHONEMES = tuple("abdefhijklmnopstuvwzæðŋɐɑɒɔəɚɛɜɡɪɹɾʃʊʌʒʔθᵻ")  # noqa: RUF001
"""The phonemes that the network distinguishes: letters of the International Phonetic Alphabet as espeak-ng uses them
for English. Marks of stress, length and syllables are left out."""
BLANK = 0
"""Index of the symbol that stands for no phoneme (Graves et al., "Connectionist Temporal Classification", 2006). The
index of a phoneme is one more than its position in `PHONEMES`."""
SYMBOL_COUNT = len(PHONEMES) + 1
"""Number of symbols: the phonemes, and `BLANK`."""
_INDEX_BY_PHONEME = {phoneme: index for index, phoneme in enumerate(PHONEMES, start=1)}
"""Index of the symbol of each phoneme."""
SUPPORTED_LANGUAGES = ("en",)
"""Codes of the languages whose speech can be aligned with its text."""


class Pronunciation(NamedTuple):
    """The phonemes of a text."""

    phonemes: tuple[int, ...]
    """Indices of the phonemes, in the order of speech."""
    word_starts: tuple[int, ...]
    """For each word, as espeak-ng divides the text, the position of its first phoneme in `phonemes`."""

    @property
    def word_ends(self) -> tuple[int, ...]:
        """For each word, the position after its last phoneme in `phonemes`."""
        return (*self.word_starts[1:], len(self.phonemes))

    def select_words(self, indices: Iterable[int]) -> Pronunciation:
        """Return the pronunciation of the words with these indices, in this order; a word may occur several times."""
        ends = self.word_ends
        words = [self.phonemes[self.word_starts[index] : ends[index]] for index in indices]
        starts = itertools.accumulate(map(len, words[:-1]), initial=0) if words else ()
        return Pronunciation(tuple(itertools.chain.from_iterable(words)), tuple(starts))


@functools.lru_cache(maxsize=1024)
def pronounce(text: str, language: str = "en") -> Pronunciation:
    """Return how `text` is pronounced.

    Raises:
        MissingExtraError: espeakng-loader is not installed.
        ValueError: espeak-ng cannot convert the text, or does not speak the language.
    """
    phonemes: list[int] = []
    starts: list[int] = []
    for clause in transcribe_phonemes(text, language=language):
        for word in clause.split():
            encoded = encode_phonemes([word])
            if encoded:
                starts.append(len(phonemes))
                phonemes += encoded
    return Pronunciation(tuple(phonemes), tuple(starts))


def encode_phonemes(clauses: Iterable[str]) -> list[int]:
    """Return the indices of the phonemes in a transcription of espeak-ng, without stress and word boundaries."""
    text = re.sub(r"\(.*?\)", "", " ".join(clauses))  # "(en)" marks a change of language
    return [_INDEX_BY_PHONEME[letter] for letter in text if letter in _INDEX_BY_PHONEME]


def supports_language(language: str | None) -> bool:
    """Whether speech in `language` can be aligned with its text; `None` stands for an unknown language."""
    return language is not None and language.lower().replace("_", "-").partition("-")[0] in SUPPORTED_LANGUAGES


LogProbabilities = NDArray[np.float32]
"""Log probability of each symbol in each frame, of shape (frames, symbols), from
`compute_phoneme_log_probabilities`."""
MIN_REPEATED_PHONEMES = 2
"""Smallest number of phonemes that count as the beginning of a word."""


class WordSpan(NamedTuple):
    """Where a word is spoken, in seconds from the start of the audio."""

    start_s: float
    end_s: float


class TextAlignment(NamedTuple):
    """The most probable times of the words of a text in a clip."""

    words: tuple[WordSpan, ...]
    """The time span of each word of the pronunciation."""
    word_deficits: tuple[float, ...]
    """How much less probable each word is than the best explanation of its audio: the logarithm of the ratio."""
    gap_deficits: tuple[float, ...]
    """The deficit of the silence before each word, and of that after the last word: high if something else is said
    there."""


def compute_best_log_probability(log_probabilities: LogProbabilities) -> float:
    """Return the log probability of the best explanation of a clip, whatever it says."""
    return float(log_probabilities.max(axis=1).sum())


def score_prefixes(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> NDArray[np.float64]:
    """Return how well each beginning of `phonemes` explains the whole clip: at index n, the log probability of n."""
    if not len(log_probabilities):
        return np.array([0.0, *([-np.inf] * len(phonemes))])
    (ends,) = collections.deque(_iterate_path_sums(log_probabilities, phonemes), maxlen=1)
    return np.concatenate([ends[:1], np.logaddexp(ends[1::2], ends[2::2])])


def _iterate_path_sums(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> Iterator[NDArray[np.float64]]:
    """Yield for each frame the log probability of all paths up to each state. The next frame overwrites the array."""
    states, can_skip = _build_ctc_states(phonemes)
    emitted = log_probabilities[:, states].astype(np.float64)
    sums = np.full(len(states) + 2, -np.inf)  # two states that are never reached stand before the first one
    sums[2:4] = emitted[0, :2]
    yield sums[2:]
    for row in emitted[1:]:
        skipping = np.where(can_skip, sums[:-2], -np.inf)
        sums[2:] = np.logaddexp(np.logaddexp(sums[2:], sums[1:-1]), skipping) + row
        yield sums[2:]


def score_phonemes(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> float:
    """Return the natural log probability that a clip consists of `phonemes`, which are column indexes."""
    return float(score_prefixes(log_probabilities, phonemes)[-1])


def compute_deficit(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> float:
    """Return how much less probable `phonemes` are than the best explanation, as the logarithm per phoneme.

    The result is infinite for a sequence that does not fit into the clip.
    """
    lacking = compute_best_log_probability(log_probabilities) - score_phonemes(log_probabilities, phonemes)
    return lacking / max(len(phonemes), 1)


def align_text(log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> TextAlignment | None:
    """Return where the words of a text are in a clip, by the most probable path; `None` if they do not fit into it."""
    path = _find_best_path(log_probabilities, pronunciation.phonemes)
    if path is None:
        return None
    states, _ = _build_ctc_states(pronunciation.phonemes)
    lacking = log_probabilities.max(axis=1) - log_probabilities[np.arange(len(path)), states[path]]
    starts = np.array(pronunciation.word_starts)
    word_by_phoneme = np.searchsorted(starts, np.arange(len(pronunciation.phonemes)), side="right") - 1
    # Blanks within a word count to the word, and those between two words to the gap before the second one.
    phoneme_before, is_blank = (path - 1) // 2, path % 2 == 0
    word_before = np.where(phoneme_before >= 0, word_by_phoneme[np.maximum(phoneme_before, 0)], -1)
    next_phoneme = np.minimum(path // 2, len(word_by_phoneme) - 1)
    word_after = np.where(path // 2 < len(word_by_phoneme), word_by_phoneme[next_phoneme], len(starts))
    is_gap = is_blank & (word_before != word_after)
    words, word_deficits = [], []
    gap_deficits = [float(lacking[is_gap & (word_after == index)].sum()) for index in range(len(starts) + 1)]
    for index in range(len(starts)):
        frames = np.flatnonzero(~is_gap & (np.where(is_blank, word_after, word_by_phoneme[next_phoneme]) == index))
        words.append(WordSpan(float(frames[0]) * FRAME_S, float(frames[-1] + 1) * FRAME_S))
        word_deficits.append(float(lacking[frames].sum()))
    return TextAlignment(tuple(words), tuple(word_deficits), tuple(gap_deficits))


def find_phoneme_starts(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> NDArray[np.float64] | None:
    """Return when each phoneme starts, in seconds, by the most probable path; `None` if they do not fit into the clip.

    A network that was trained with CTC reports a phoneme some hundredths of a second after the phoneme has started.
    """
    path = _find_best_path(log_probabilities, phonemes)
    if path is None:
        return None
    starts = np.searchsorted(path, 2 * np.arange(len(phonemes)) + 1)
    return np.asarray(starts * FRAME_S)


class WordEdits(NamedTuple):
    """How much likelier a clip becomes if one word of its text is changed: logarithms of ratios, one for each word.

    Both texts are compared with the same probabilities, so that what is recognized badly throughout, as with an unknown
    voice, hardly matters. A negative logarithm speaks for the text as it is.
    """

    omissions: tuple[float, ...]
    """The logarithm for each word if that word is left out."""
    repetitions: tuple[float, ...]
    """The logarithm for each word if that word, or its beginning, is said twice. The beginning counts because espeak-ng
    joins some words, such as "of the"."""


def score_word_edits(log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> WordEdits | None:
    """Return how much likelier a clip becomes if a word is left out or said twice; `None` if the text does not fit."""
    phonemes, starts = pronunciation.phonemes, pronunciation.word_starts
    if not len(log_probabilities) or not phonemes:
        return None
    jumps = _JumpScores(log_probabilities, pronunciation)
    if not np.isfinite(jumps.without_jump):
        return None
    return WordEdits(
        tuple(jumps.score(start, word + 1) - jumps.without_jump for word, start in enumerate(starts)),
        tuple(
            max(jumps.score(said, word) for said in range(min(start + MIN_REPEATED_PHONEMES, end), end + 1))
            - jumps.without_jump
            for word, (start, end) in enumerate(zip(starts, pronunciation.word_ends, strict=True))
        ),
    )


def find_repeated_words(
    log_probabilities: LogProbabilities, pronunciation: Pronunciation, allowed_phoneme_counts: range
) -> range | None:
    """Return the words that a clip most probably says twice in a row; `None` if none have as many phonemes as given.

    Args:
        log_probabilities: what the network recognizes in the clip.
        pronunciation: the phonemes of the text.
        allowed_phoneme_counts: how many phonemes the repeated words may have.
    """
    ends = pronunciation.word_ends
    places = [
        range(first, last + 1)
        for first, start in enumerate(pronunciation.word_starts)
        for last, end in enumerate(ends)
        if end - start in allowed_phoneme_counts
    ]
    if not places or not len(log_probabilities):
        return None
    jumps = _JumpScores(log_probabilities, pronunciation)
    return max(places, key=lambda words: jumps.score(ends[words[-1]], words[0]))


class _JumpScores:
    """The log probabilities of a clip if its text jumps once: from the end of a phoneme to the start of a word.

    A jump forward leaves out the phonemes in between, a jump backward repeats them. The paths are summed over the frame
    of the jump, so that one pass from each end of the clip is enough for all jumps.
    """

    def __init__(self, log_probabilities: LogProbabilities, pronunciation: Pronunciation) -> None:
        """Compute the log probabilities of the paths up to each phoneme, and of those from the start of each word."""
        phonemes, starts = pronunciation.phonemes, pronunciation.word_starts
        self._pronunciation = pronunciation
        self._after = np.array([sums.copy() for sums in _iterate_path_sums(log_probabilities, phonemes)])
        states_of_starts = [2 * (len(phonemes) - start) - 1 for start in starts]
        reversed_sums = _iterate_path_sums(log_probabilities[::-1], phonemes[::-1])
        self._from_start_on = np.array([sums[states_of_starts] for sums in reversed_sums])[::-1]
        self.without_jump = float(np.logaddexp(self._after[-1, -1], self._after[-1, -2]))
        """Log probability of the text as it is."""

    def score(self, said_count: int, word: int) -> float:
        """Return the log probability of the text in which a word follows the first `said_count` phonemes.

        Args:
            said_count: number of phonemes before the jump.
            word: index of the word after the jump; the number of words if the text ends there.
        """
        phonemes, starts = self._pronunciation.phonemes, self._pronunciation.word_starts
        if word == len(starts):
            ends = self._after[-1, [2 * said_count, max(2 * said_count - 1, 0)]]
            return float(np.logaddexp(*ends)) if said_count else float(ends[0])
        left = self._after[:, 2 * said_count]
        if said_count and phonemes[said_count - 1] != phonemes[starts[word]]:
            left = np.logaddexp(left, self._after[:, 2 * said_count - 1])
        # At the start of the clip, the first word need not follow anything.
        moments = np.concatenate([[-np.inf if said_count else 0.0], left[:-1]]) + self._from_start_on[:, word]
        return float(np.logaddexp.reduce(moments))


def _build_ctc_states(phonemes: Sequence[int]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the CTC states of phonemes, with a blank before, between and after them, and which may skip one.

    A path may skip the blank between two different phonemes. Between equal ones, the blank is what separates them.
    """
    states = np.full(2 * len(phonemes) + 1, BLANK, np.int64)
    states[1::2] = phonemes
    can_skip = np.zeros(len(states), bool)
    can_skip[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    return states, can_skip


def _find_best_path(log_probabilities: LogProbabilities, phonemes: Sequence[int]) -> NDArray[np.int64] | None:
    """Return the state of each frame along the most probable path; `None` if there is none."""
    frame_count = len(log_probabilities)
    if not frame_count or not len(phonemes):
        return None
    states, can_skip = _build_ctc_states(phonemes)
    emitted = log_probabilities[:, states]
    before = np.full(len(states) + 2, -np.inf, np.float32)
    before[2:4] = emitted[0, :2]
    # A byte for each state and frame: a minute of speech has about 3,000 frames and 1,800 states.
    steps = np.zeros(emitted.shape, np.int8)
    for frame in range(1, frame_count):
        stay, step, skip = before[2:], before[1:-1], np.where(can_skip, before[:-2], -np.inf)
        best = np.maximum(stay, step)
        steps[frame] = np.where(skip > best, 2, step > stay)
        before[2:] = np.maximum(best, skip) + emitted[frame]
    # A clip ends with the last phoneme or with the blank after it.
    last = len(states) - 1 if before[-1] >= before[-2] else len(states) - 2
    if not np.isfinite(before[2 + last]):
        return None
    path = np.zeros(frame_count, np.int64)
    for frame in range(frame_count - 1, -1, -1):
        path[frame] = last
        last -= int(steps[frame, last])
    return path
