"""The Whisper that comes with the package: small, and an instrument for emulated speech only.

`weights.npz` holds what was trained, in half precision, without the rows of the tokens that
never occur: those share one row. It is spread out once, into the user's cache folder, in the
form that openai-whisper or faster-whisper loads. `card.md` says how it was made and how well it hears.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any, NamedTuple

import numpy as np

from voicegauge.data import CACHE_VARIABLE, cache_folder
from voicegauge.errors import MissingExtraError, UsageError
from voicegauge.speech.asr.base import short_sha256
from voicegauge.speech.asr.ctranslate2_conversion import TransformerShape, WeightArrays, convert
from voicegauge.speech.asr.faster_whisper import FasterWhisperAsr
from voicegauge.speech.asr.whisper import WhisperAsr

WEIGHTS = Path(__file__).parent / "weights.npz"
EMBEDDED = "embedded"
"""Its name, as `--asr` takes it."""
NO_SPEECH_THRESHOLD = 0.6
"""Whisper's own default: above it a window is silence, and has no transcript."""
TOKENS_PER_S = 8.0
"""More than the fastest voice says, in words of several tokens too; a small model may repeat itself without end."""
_WHAT_IT_IS: dict[str, Any] = {
    "closed_vocabulary": True,
    "no_speech_threshold": NO_SPEECH_THRESHOLD,
    "tokens_per_s": TOKENS_PER_S,
    "whole_windows": True,
}
_EMBEDDING = "decoder.token_embedding.weight"
_BEGIN_SUPPRESSED = (220, 50256)
"""A blank and the end, as Whisper's `suppress_blank` has it."""


class WhisperCheckpoint(NamedTuple):
    """The whole of a Whisper."""

    dims: dict[str, int]
    """As openai-whisper's `ModelDimensions` names them."""
    weights: WeightArrays
    tokens: list[str]
    """Every token of the vocabulary; one that never occurs has a name that no text holds."""


def embedded_asr() -> WhisperAsr | FasterWhisperAsr:
    """Make the recogniser, by openai-whisper where it is installed, else by faster-whisper.

    Raises:
        MissingExtraError: neither is installed.
        UsageError: the cache folder cannot be written.
    """
    if importlib.util.find_spec("whisper"):
        return embedded_whisper()
    if importlib.util.find_spec("faster_whisper"):
        return embedded_faster_whisper()
    raise MissingExtraError("faster-whisper, which the embedded Whisper runs on,", "faster-whisper")


def embedded_whisper() -> WhisperAsr:
    """Make the recogniser by openai-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    path = _cached(f"{_sha256()}.pt", _save_checkpoint)
    return WhisperAsr(EMBEDDED, path, _sha256(), english_only=True, **_WHAT_IT_IS)


def embedded_faster_whisper() -> FasterWhisperAsr:
    """Make the recogniser by faster-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    folder = _cached(_sha256(), _save_folder)
    return FasterWhisperAsr(EMBEDDED, folder, _sha256(), **_WHAT_IT_IS)


def known_words() -> frozenset[str]:
    """The words it was trained on, in lower case."""
    with np.load(WEIGHTS) as packed:
        return frozenset(str(packed["words"]).split())


def unpack(path: Path = WEIGHTS) -> WhisperCheckpoint:
    """Read the weights and give every token its row again."""
    with np.load(path) as packed:
        stored = {name: packed[name] for name in packed.files}
    dims = json.loads(str(stored.pop("dims")))
    named = {int(token): name for token, name in json.loads(str(stored.pop("tokens"))).items()}
    rows = np.tile(stored.pop("unused").astype(np.float32), (dims["n_vocab"], 1))
    rows[stored.pop("occurring")] = stored.pop(_EMBEDDING).astype(np.float32)
    stored.pop("words")
    weights = {name: value.astype(np.float32) for name, value in stored.items()}
    tokens = [named.get(token, f"\x00{token}") for token in range(dims["n_vocab"])]
    return WhisperCheckpoint(dims, {**weights, _EMBEDDING: rows}, tokens)


def _sha256() -> str:
    return short_sha256(WEIGHTS)


def _save_checkpoint(network: WhisperCheckpoint, path: Path) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in network.weights.items()}
    torch.save({"dims": network.dims, "model_state_dict": state}, path)


def _save_folder(network: WhisperCheckpoint, path: Path) -> None:
    dims = network.dims
    shape = TransformerShape(dims["n_audio_layer"], dims["n_text_layer"], dims["n_audio_head"])
    convert(network.weights, shape, network.tokens, _BEGIN_SUPPRESSED, path)


def _cached(name: str, save: Callable[[WhisperCheckpoint, Path], None]) -> Path:
    """The file or folder `name` of the cache, made by `save` where it is not there; whole or not at all."""
    home = cache_folder() / EMBEDDED
    path = home / name
    if path.exists():
        return path
    try:
        home.mkdir(parents=True, exist_ok=True)
        with _scratch(home) as scratch:
            save(unpack(), scratch / name)
            (scratch / name).replace(path)
    except OSError as error:
        if path.exists():  # another process was faster
            return path
        raise UsageError(f"{home}: cannot be written ({error.strerror}): set {CACHE_VARIABLE}") from error
    return path


@contextlib.contextmanager
def _scratch(home: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=home))
    try:
        yield folder
    finally:
        rmtree(folder, ignore_errors=True)
