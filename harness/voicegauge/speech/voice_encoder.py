"""Computes vectors of voices, and compares clips with a voice sample on a scale that is measured for each sample.

The network is that of L. Wan et al., "Generalized end-to-end loss for speaker verification", ICASSP 2018: three LSTM
layers over mel bands of 1.6 s. Its weights are the file `pretrained.pt` of the package Resemblyzer (Resemble AI,
Apache-2.0), which is never imported: it needs PyTorch, librosa and a compiler. `pip install --no-deps resemblyzer`
installs the file alone.

A cosine of two vectors of voices means nothing by itself: it depends on the encoder, the texts, the codec and the
length of the clips. So cosines are converted to similarities on a scale for each voice sample. A similarity is 1 if a
clip is as similar to the sample as the parts of the sample are to each other, and 0 if it is as similar as other
speakers of the same texts are on average.
"""

from __future__ import annotations

import collections
import functools
import hashlib
import importlib.util
import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import DataError, UsageError
from voicegauge.files import read_file
from voicegauge.speech.audio_measurement import compute_frame_levels
from voicegauge.speech.decoding import Samples
from voicegauge.speech.encoding import resample
from voicegauge.speech.phoneme_network import build_mel_weights

# Reads arrays from files that PyTorch's `torch.save` wrote, without PyTorch and without running their code.
#
# Such a file contains pickles. The reader here allows only the few names that tensors need: any other name in a file is
# an error, so a hostile file cannot run anything. Both layouts are read: pickles one after the other (before PyTorch
# 1.6), and a zip file.


_LEGACY_MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
"""Number at the start of a file in PyTorch's format before 1.6."""
_DTYPE_BY_STORAGE_CLASS: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ByteStorage": np.dtype("u1"),
}
"""Types of numbers by the names of PyTorch's classes of storages."""
MAX_TENSOR_ELEMENTS = 64 * 2**20
"""Largest number of elements of all arrays in a file together."""
_MAX_MEMO_INDEX = 100_000
"""Largest index under which a pickle may remember an object: Python allocates memory up to this index."""


class _Storage(NamedTuple):
    """The array of numbers that one or several tensors are views of. Its numbers are read later."""

    key: str
    dtype: np.dtype[Any]
    length: int


class _Tensor(NamedTuple):
    """A tensor as a view of a storage."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _StorageType(NamedTuple):
    """Stands for one of PyTorch's classes of storages, of which only the type of the numbers is needed."""

    dtype: np.dtype[Any]


def read_torch_weights(content: bytes, key: str) -> dict[str, NDArray[np.generic]]:
    """Return the tensors, by name, in the mapping under `key` of a saved mapping.

    Raises:
        ValueError: the file has another format, is damaged, or contains anything else than numbers and tensors.
        KeyError: there is no such mapping.
    """
    try:
        saved, storages = _read_zip_file(content) if content[:2] == b"PK" else _read_legacy_file(content)
    except (
        *(pickle.UnpicklingError, zipfile.BadZipFile, EOFError, AttributeError, IndexError, TypeError),
        *(KeyError, struct.error, RecursionError, MemoryError, OverflowError, NotImplementedError),
    ) as error:
        raise ValueError(f"it is not a file of PyTorch: {error}") from error
    tensors = saved[key] if isinstance(saved, Mapping) else None
    if not isinstance(tensors, Mapping):
        raise ValueError(f"it contains no mapping {key}")  # noqa: TRY004 - of a file, not of an argument
    return {
        name: _build_array(tensor, storages)
        for name, tensor in tensors.items()
        if isinstance(name, str) and isinstance(tensor, _Tensor)
    }


def _build_array(tensor: _Tensor, storages: Mapping[str, bytes]) -> NDArray[np.generic]:
    numbers = np.frombuffer(storages[tensor.storage.key], tensor.storage.dtype)
    if tensor.offset < 0 or any(one < 0 for one in (*tensor.shape, *tensor.strides)):
        raise ValueError("a tensor has negative dimensions")
    last = tensor.offset + sum(max(size - 1, 0) * step for size, step in zip(tensor.shape, tensor.strides, strict=True))
    if last >= len(numbers) or np.prod(tensor.shape, dtype=float) > MAX_TENSOR_ELEMENTS:
        raise ValueError("a tensor is larger than its storage")
    view = np.lib.stride_tricks.as_strided(
        numbers[tensor.offset :], tensor.shape, [step * numbers.itemsize for step in tensor.strides]
    )
    return np.array(view)


class _RestrictedUnpickler(pickle.Unpickler):
    """Reads pickles of tensors. A class or function that tensors do not need is an error."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        if (module_name, global_name) == ("collections", "OrderedDict"):
            return collections.OrderedDict
        if (module_name, global_name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module_name, global_name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module_name == "torch" and global_name in _DTYPE_BY_STORAGE_CLASS:
            return _StorageType(_DTYPE_BY_STORAGE_CLASS[global_name])
        raise pickle.UnpicklingError(f"it contains {module_name}.{global_name}, which is not a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, storage_type, key, _location, length, *_view = pid
        if kind != "storage" or not isinstance(storage_type, _StorageType):
            raise pickle.UnpicklingError("it refers to something else than numbers")
        return _Storage(str(key), storage_type.dtype, int(length))


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: Sequence[int], strides: Sequence[int], *_rest: object
) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _rebuild_parameter(tensor: _Tensor, *_rest: object) -> _Tensor:
    return tensor


def _load_pickle(file: io.BytesIO, unpickler: type[_RestrictedUnpickler]) -> Any:
    """Return the object of the pickle at the current position of a file, and move the position to its end."""
    start = file.tell()
    # Looked through before it is run, because the unpickler allocates memory for the index at once.
    for opcode, argument, _ in pickletools.genops(file):
        if opcode.name.endswith("PUT") and isinstance(argument, int) and argument > _MAX_MEMO_INDEX:
            raise pickle.UnpicklingError("it refers to more objects than tensors need")
    file.seek(start)
    return unpickler(file).load()


def _read_legacy_file(content: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the saved object and the bytes of its storages, from a file in PyTorch's format before 1.6."""
    file = io.BytesIO(content)
    dtypes: dict[str, np.dtype[Any]] = {}

    class Unpickler(_RestrictedUnpickler):
        def persistent_load(self, pid: Any) -> _Storage:
            storage = super().persistent_load(pid)
            dtypes[storage.key] = storage.dtype
            return storage

    if _load_pickle(file, Unpickler) != _LEGACY_MAGIC_NUMBER:
        raise ValueError("it is not a file of PyTorch")
    _load_pickle(file, Unpickler)  # version of the format
    _load_pickle(file, Unpickler)  # sizes and byte order of the machine
    saved, keys = _load_pickle(file, Unpickler), _load_pickle(file, Unpickler)
    storages: dict[str, bytes] = {}
    for key in keys:
        (length,) = struct.unpack("<q", file.read(8))
        storages[str(key)] = file.read(max(length, 0) * dtypes[str(key)].itemsize)
    return saved, storages


def _read_zip_file(content: bytes) -> tuple[Any, dict[str, bytes]]:
    """Return the saved object and the bytes of its storages, from a zip file, PyTorch's format since 1.6."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        names = archive.namelist()
        if sum(one.file_size for one in archive.infolist()) > 8 * MAX_TENSOR_ELEMENTS:
            raise ValueError("it is too large")
        (pickled,) = (name for name in names if name.endswith("/data.pkl"))
        prefix = pickled.removesuffix("data.pkl") + "data/"
        saved = _load_pickle(io.BytesIO(archive.read(pickled)), _RestrictedUnpickler)
        return saved, {name.removeprefix(prefix): archive.read(name) for name in names if name.startswith(prefix)}


# Turns speech into a vector that describes the voice: the encoder of the package Resemblyzer, computed with NumPy.


FloatArray = NDArray[np.float32]
"""Array of numbers of 32 bits, such as weights and vectors of voices."""
PACKAGE_NAME = "resemblyzer"
"""Name of the package that has the weights."""
ANALYSIS_RATE_HZ = 16_000
"""Sample rate that the network was trained with."""
MAX_ENCODED_S = 60.0
"""Duration of the part of a clip that is encoded, from its start, in seconds."""
MIN_SPEECH_S = 0.6
"""Shortest speech from which a vector is computed, in seconds: shorter speech says little about a voice."""
MAX_WEIGHTS_BYTES = 256 * 2**20
"""Size of the largest file that is read as weights."""
_FFT_SIZE, _HOP_SIZE, _MEL_BAND_COUNT = 400, 160, 40
"""Samples of a frame, samples from one frame to the next, and number of mel bands."""
_FRAMES_PER_PART, _FRAMES_BETWEEN_PART_STARTS = 160, 77
"""Frames of a part of a clip, and from one part to the next: 1.6 s, and 1.3 parts a second."""
_MIN_SPEECH_SHARE_OF_LAST_PART = 0.75
"""Share of the last part that must be speech, so that it counts."""
_AMPLIFIED_SPEECH_LEVEL_DBFS = -30.0
"""Quieter speech is amplified to this level."""
_MAX_SILENCE_S, _FRAME_S = 0.2, 0.01
"""Longest silence that remains within speech, and duration of a frame, in seconds."""
_MIN_SILENCE_BELOW_LOUDEST_FRAME_DB = 35.0
"""Frames that are more than this number of decibels below the loudest frame are silent."""
_MIN_LOUDEST_FRAME_DBFS = -80.0
"""Level of the loudest frame below which a clip counts as silent: it contains only the rounding errors of 16-bit
samples."""


class VoiceEncoderWeights(NamedTuple):
    """The weights of the network, each of type float32."""

    layers: tuple[tuple[FloatArray, FloatArray, FloatArray], ...]
    """For each LSTM layer: input weights of shape (4 * hidden, inputs), recurrent weights of shape
    (4 * hidden, hidden), and the sum of both biases. Rows are input gate, forget gate, cell and output gate."""
    projection: FloatArray
    """Weights of shape (embedding, hidden)."""
    projection_bias: FloatArray

    @classmethod
    def from_pytorch_state(cls, state: dict[str, NDArray[np.generic]]) -> Self:
        """Return the weights of a mapping in which they have the names that PyTorch gives them.

        Raises:
            KeyError: a weight is missing.
            ValueError: shapes do not fit together.
        """
        arrays = {name: np.ascontiguousarray(value, np.float32) for name, value in state.items()}
        count = sum(name.startswith("lstm.weight_ih_l") for name in arrays)
        layers = tuple(
            (
                arrays[f"lstm.weight_ih_l{index}"],
                arrays[f"lstm.weight_hh_l{index}"],
                arrays[f"lstm.bias_ih_l{index}"] + arrays[f"lstm.bias_hh_l{index}"],
            )
            for index in range(count)
        )
        weights = cls(layers, arrays["linear.weight"], arrays["linear.bias"])
        weights._check_shapes()
        return weights

    def _check_shapes(self) -> None:
        width = _MEL_BAND_COUNT
        for inputs, recurrent, bias in self.layers:
            hidden = recurrent.shape[-1]
            if inputs.shape != (4 * hidden, width) or recurrent.shape != (4 * hidden, hidden):
                raise ValueError("weights of an LSTM layer have other shapes")
            if bias.shape != (4 * hidden,):
                raise ValueError("biases of an LSTM layer have another shape")
            width = hidden
        if not self.layers or self.projection.shape[1:] != (width,):
            raise ValueError("the weights of the projection have another shape")


class VoiceEncoder:
    """Computes vectors of voices."""

    def __init__(self, weights: VoiceEncoderWeights, method: str) -> None:
        """Create an encoder with `weights`; `method` is their name with the start of their hash."""
        self._weights = weights
        self.method = method

    def encode(self, samples: Samples, sample_rate_hz: int) -> FloatArray | None:
        """Return the vector of a clip: of length 1, of shape (embedding,).

        Args:
            samples: mono samples of shape (frames,), full scale at 1.0.
            sample_rate_hz: their sample rate.

        Returns:
            The vector; `None` if the clip has less than `MIN_SPEECH_S` of speech.
        """
        parts = self.encode_parts(samples, sample_rate_hz)
        return None if parts is None else normalize_vector(parts.mean(axis=0))

    def encode_parts(self, samples: Samples, sample_rate_hz: int) -> FloatArray | None:
        """Return the vectors of the parts of a clip, of shape (parts, embedding); `None` with too little speech."""
        beginning = samples[: round(MAX_ENCODED_S * sample_rate_hz)]
        speech = shorten_silences(resample(beginning, sample_rate_hz, ANALYSIS_RATE_HZ))
        if len(speech) < MIN_SPEECH_S * ANALYSIS_RATE_HZ:
            return None
        bands = compute_mel_powers(_amplify_quiet_speech(speech))
        starts = _list_part_starts(len(speech))
        padded = np.pad(bands, ((0, max(0, starts[-1] + _FRAMES_PER_PART - len(bands))), (0, 0)))
        return self._compute_voice_vectors(np.stack([padded[start : start + _FRAMES_PER_PART] for start in starts]))

    def _compute_voice_vectors(self, values: FloatArray) -> FloatArray:
        """Return a voice vector for each sequence of mel powers, from `values` of shape (sequences, frames, bands)."""
        for inputs, recurrent, bias in self._weights.layers:
            values = _run_lstm_layer(values, inputs, recurrent, bias)
        projected = np.maximum(values[:, -1] @ self._weights.projection.T + self._weights.projection_bias, 0)
        lengths = np.linalg.norm(projected, axis=1, keepdims=True)
        return np.asarray(projected / np.maximum(lengths, 1e-9), np.float32)


def _run_lstm_layer(
    values: FloatArray, input_weights: FloatArray, recurrent_weights: FloatArray, bias: FloatArray
) -> FloatArray:
    """Return the hidden states of one layer, of shape (sequences, frames, hidden)."""
    hidden_size = recurrent_weights.shape[1]
    driven = values @ input_weights.T + bias
    hidden = np.zeros((len(values), hidden_size), np.float32)
    cell = np.zeros_like(hidden)
    states = np.empty((*values.shape[:2], hidden_size), np.float32)
    transposed = np.ascontiguousarray(recurrent_weights.T)
    for frame in range(values.shape[1]):
        # The part of the inputs was computed for all frames at once, that of the state depends on the frame before.
        gates = driven[:, frame] + hidden @ transposed
        opened = _sigmoid(gates[:, : 2 * hidden_size])
        cell = opened[:, hidden_size:] * cell + opened[:, :hidden_size] * np.tanh(
            gates[:, 2 * hidden_size : 3 * hidden_size]
        )
        hidden = _sigmoid(gates[:, 3 * hidden_size :]) * np.tanh(cell)
        states[:, frame] = hidden
    return states


def _sigmoid(values: FloatArray) -> FloatArray:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), np.float32)


def normalize_vector(vector: FloatArray) -> FloatArray:
    """Return a vector of length 1 with the same direction."""
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)


def _list_part_starts(sample_count: int) -> list[int]:
    """Return the first frame of each part; the last part is left out if too little of it is speech."""
    frame_count = math.ceil((sample_count + 1) / _HOP_SIZE)
    starts = list(
        range(0, max(1, frame_count - _FRAMES_PER_PART + _FRAMES_BETWEEN_PART_STARTS + 1), _FRAMES_BETWEEN_PART_STARTS)
    )
    coverage = (sample_count - starts[-1] * _HOP_SIZE) / (_FRAMES_PER_PART * _HOP_SIZE)
    return starts[:-1] if coverage < _MIN_SPEECH_SHARE_OF_LAST_PART and len(starts) > 1 else starts


def shorten_silences(samples: Samples) -> Samples:
    """Return speech at `ANALYSIS_RATE_HZ` without silence at its ends, and with silences of `_MAX_SILENCE_S` at most.

    A frame far below the loudest one counts as silent. Resemblyzer detects speech in another way, with code in C.
    """
    levels = compute_frame_levels(samples, ANALYSIS_RATE_HZ)
    if levels.max(initial=-math.inf) < _MIN_LOUDEST_FRAME_DBFS:
        return samples[:0]
    spoken = np.flatnonzero(levels > levels.max() - _MIN_SILENCE_BELOW_LOUDEST_FRAME_DB)
    margin = round(_MAX_SILENCE_S / 2 / _FRAME_S)
    # One more where the surroundings of a spoken frame begin, one less after they end: a sum above 0 is within some.
    changes = np.zeros(len(levels) + 1, int)
    np.add.at(changes, np.maximum(spoken - margin, 0), 1)
    np.add.at(changes, np.minimum(spoken + margin + 1, len(levels)), -1)
    is_kept = np.repeat(np.cumsum(changes[:-1]) > 0, round(_FRAME_S * ANALYSIS_RATE_HZ))
    length = min(len(is_kept), len(samples))
    return samples[:length][is_kept[:length]]


def _amplify_quiet_speech(samples: Samples) -> Samples:
    """Return quiet speech at the level `_AMPLIFIED_SPEECH_LEVEL_DBFS`; louder speech is unchanged."""
    level_db = 10 * math.log10(max(float(np.mean(np.square(samples, dtype=np.float64))), 1e-12))
    gain_db = max(0.0, _AMPLIFIED_SPEECH_LEVEL_DBFS - level_db)
    return np.asarray(samples * np.float32(10 ** (gain_db / 20)), np.float32)


def compute_mel_powers(samples: Samples) -> FloatArray:
    """Return the linear powers in mel bands, of shape (frames, bands): a frame of 25 ms every 10 ms.

    `samples` are mono, at `ANALYSIS_RATE_HZ`.
    """
    padded = np.pad(samples, _FFT_SIZE // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FFT_SIZE)[::_HOP_SIZE]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(_FFT_SIZE) / _FFT_SIZE)
    power = np.abs(np.fft.rfft(frames * hann, axis=1)) ** 2
    return np.asarray(power @ build_mel_weights(_FFT_SIZE, _MEL_BAND_COUNT, ANALYSIS_RATE_HZ), np.float32)


@functools.cache
def load_voice_encoder(source: str) -> VoiceEncoder:
    """Return the encoder with the weights of `source`: "resemblyzer" for the package, or the path of such a file.

    Raises:
        UsageError: the package is not installed.
        DataError: the file cannot be read, or has other contents.
    """
    path = _find_packaged_weights() if source == PACKAGE_NAME else Path(source).expanduser()
    try:
        if path.stat().st_size > MAX_WEIGHTS_BYTES:
            raise DataError(f"{path}: is too large for a voice encoder (limit: {MAX_WEIGHTS_BYTES} bytes)")
        content = read_file(path)
    except OSError as error:
        raise DataError(f"{path}: the voice encoder cannot be read: {error.strerror}") from error
    try:
        state = read_torch_weights(content, "model_state")
        weights = VoiceEncoderWeights.from_pytorch_state(state)
    except (KeyError, ValueError) as error:
        raise DataError(
            f"{path}: is not a voice encoder like pretrained.pt of Resemblyzer: {error}; "
            "name such a file, or resemblyzer for the installed package"
        ) from error
    return VoiceEncoder(weights, f"ge2e/1@{hashlib.sha256(content).hexdigest()[:8]}")


def _find_packaged_weights() -> Path:
    spec = importlib.util.find_spec(PACKAGE_NAME)
    if spec is None or spec.origin is None:
        raise UsageError(
            "the voice encoder of Resemblyzer is not installed: pip install --no-deps resemblyzer "
            "(16 MB; voicegauge reads only its weights), or name a file like its pretrained.pt"
        )
    return Path(spec.origin).parent / "pretrained.pt"


VoiceVerdict = Literal["same voice", "another voice", "not separable"]
"""Whether clips have the voice of the sample. "not separable": it cannot be decided."""

MIN_VOICE_SAMPLE_PART_S, MAX_VOICE_SAMPLE_PARTS = 2.5, 8
"""Shortest duration of a part of the voice sample, and the largest number of parts that are compared with the rest."""
MIN_OTHER_SPEAKERS = 3
"""Smallest number of other speakers from which a scale is measured."""
MIN_TEXTS_FOR_VOICE_VERDICT = 3
"""Smallest number of texts from whose clips a voice is judged."""
MIN_COSINE_RANGE_OF_SCALE = 0.08
"""Smallest difference of the cosines at both ends of the scale. On a shorter scale, chance determines the
similarities."""
SAME_VOICE_SIMILARITY = 0.7
"""Similarity from which a voice counts as that of the sample. In `benchmarks/voice_similarity`, clips of the same voice
are above 0.9, and four fifths of the pairs of other voices below 0.5."""
STUDENT_QUANTILES = {2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}
"""Quantiles of Student's t for a two-sided interval of 95%, by degrees of freedom."""


class VoiceScale(NamedTuple):
    """The similarity scale for one voice sample, with its ends as cosines."""

    reference: FloatArray
    """Vector of the whole sample."""
    ceiling: tuple[float, ...]
    """Cosine of each part of the sample to the rest of it; the mean is the upper end of the scale."""
    floor_by_speaker: dict[str, float]
    """Mean cosine of each other speaker to the sample, by name; the mean is the lower end of the scale."""

    @property
    def upper_cosine(self) -> float:
        """The cosine to the voice sample that corresponds to the similarity 1."""
        return float(np.mean(self.ceiling))

    @property
    def lower_cosine(self) -> float:
        """The cosine to the voice sample that corresponds to the similarity 0."""
        return float(np.mean(list(self.floor_by_speaker.values())))

    def explain_why_unusable(self) -> str | None:
        """Return why nothing can be measured on this scale; `None` if it is usable."""
        if len(self.ceiling) < 2:
            return f"the voice sample has less than two parts of {MIN_VOICE_SAMPLE_PART_S:g} s of speech"
        if len(self.floor_by_speaker) < MIN_OTHER_SPEAKERS:
            return f"less than {MIN_OTHER_SPEAKERS} other speakers of the same texts"
        if self.upper_cosine - self.lower_cosine < MIN_COSINE_RANGE_OF_SCALE:
            return "other speakers are as similar to the voice sample as its own parts"
        return None

    def compute_similarity(self, cosine: float) -> float:
        """Return the similarity that corresponds to a cosine: 0 and 1 are the ends of the scale."""
        return (cosine - self.lower_cosine) / (self.upper_cosine - self.lower_cosine)


class VoiceComparison(NamedTuple):
    """Whether the clips of some texts have the voice of the sample."""

    verdict: VoiceVerdict
    similarity: float | None
    """Mean similarity of the texts: 0 for other speakers, 1 for the sample itself; `None` without a usable scale."""
    low: float | None
    """Lower end of the 95% confidence interval of `similarity`; `None` if there are too few texts."""
    high: float | None
    """Upper end of the same interval; `None` if there are too few texts."""
    explanation: str
    """Why the voices are not separable; empty for another verdict."""


def encode_voice_sample(
    encoder: VoiceEncoder, samples: Samples, sample_rate_hz: int
) -> tuple[FloatArray, tuple[float, ...]] | None:
    """Return the vector of a voice sample, and how similar each of its parts is to the rest.

    Returns:
        The vector and the cosines; `None` if the sample has too little speech.
    """
    sample_vector = encoder.encode(samples, sample_rate_hz)
    if sample_vector is None:
        return None
    count = min(MAX_VOICE_SAMPLE_PARTS, int(len(samples) / sample_rate_hz / MIN_VOICE_SAMPLE_PART_S))
    vectors = [encoder.encode(part, sample_rate_hz) for part in np.array_split(samples, max(count, 1))]
    parts = [one for one in vectors if one is not None]
    cosines = [
        float(part @ normalize_vector(np.sum([other for other in parts if other is not part], axis=0)))
        for part in parts
        if len(parts) > 1
    ]
    return sample_vector, tuple(cosines)


def build_voice_scale(
    reference: FloatArray, ceiling: Sequence[float], clip_vectors_by_speaker: Mapping[str, Sequence[FloatArray]]
) -> VoiceScale:
    """Return the scale of a voice sample, from vectors of clips of other speakers."""
    floor = {
        name: float(np.mean([reference @ clip for clip in clips]))
        for name, clips in clip_vectors_by_speaker.items()
        if clips
    }
    return VoiceScale(reference, tuple(ceiling), floor)


def judge_similarities(similarities: Sequence[float], unusable_reason: str | None = None) -> VoiceComparison:
    """Return whether the clips of several texts have the voice of the sample.

    Clips of one text resemble each other, and may be one recording in several files, so that they count as one value.
    The verdict is "another voice" only if the whole confidence interval of the mean is below `SAME_VOICE_SIMILARITY`,
    and "same voice" only if the whole interval is above it.

    Args:
        similarities: for each text, the mean similarity of its clips to the voice sample.
        unusable_reason: why the scale cannot be used; `None` if it can.
    """
    if unusable_reason is not None:
        return VoiceComparison("not separable", None, None, None, unusable_reason)
    values = np.array(similarities)
    if len(values) < MIN_TEXTS_FOR_VOICE_VERDICT:
        mean = float(values.mean()) if len(values) else None
        return VoiceComparison(
            "not separable", mean, None, None, f"less than {MIN_TEXTS_FOR_VOICE_VERDICT} texts with enough speech"
        )
    mean = float(values.mean())
    quantile = STUDENT_QUANTILES.get(len(values) - 1, 2.26)
    margin = quantile * float(values.std(ddof=1)) / math.sqrt(len(values))
    low, high = mean - margin, mean + margin
    if high < SAME_VOICE_SIMILARITY:
        return VoiceComparison("another voice", mean, low, high, "")
    if low > SAME_VOICE_SIMILARITY:
        return VoiceComparison("same voice", mean, low, high, "")
    return VoiceComparison("not separable", mean, low, high, f"its interval contains {SAME_VOICE_SIMILARITY:g}")
