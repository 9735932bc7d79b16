"""Unpacks the embedded Whisper and creates engines that run it.

`weights.npz` contains the trained weights in half precision. All tokens that never occur share one embedding row. The
weights are unpacked once to the user's cache folder, in the format that openai-whisper or faster-whisper loads.
`card.md` describes training and accuracy.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from voicegauge.errors import MissingExtraError
from voicegauge.speech.asr_interface import compute_short_sha256
from voicegauge.speech.faster_whisper import FasterWhisperAsr
from voicegauge.speech.model_cache import find_or_create_in_cache
from voicegauge.speech.whisper import WhisperAsr
from voicegauge.speech.whisper_installation import TransformerShape, WeightArrays, convert_to_ctranslate2

WEIGHTS_PATH = Path(__file__).parent / "embedded" / "weights.npz"
EMBEDDED_ENGINE = "embedded"
"""Value of `--asr` that requests the embedded Whisper."""
NO_SPEECH_THRESHOLD = 0.6
"""Probability of silence above which a window is not transcribed. This is Whisper's default."""
MAX_TOKENS_PER_S = 8.0
"""Maximum number of tokens per second in a transcript, more than the fastest voice speaks. The limit ends the
repetitions that a small model tends to produce."""
_EMBEDDED_WHISPER_OPTIONS: dict[str, Any] = {
    "has_closed_vocabulary": True,
    "no_speech_threshold": NO_SPEECH_THRESHOLD,
    "max_tokens_per_s": MAX_TOKENS_PER_S,
    "pads_to_whole_windows": True,
}
_EMBEDDING_WEIGHT_NAME = "decoder.token_embedding.weight"
_TOKEN_IDS_SUPPRESSED_AT_START = (220, 50256)
"""Ids of the tokens for a blank and for the end of text. Whisper's option `suppress_blank` suppresses them at the start
of a transcript."""


class WhisperCheckpoint(NamedTuple):
    """Dimensions, weights and vocabulary of a Whisper model."""

    dimensions: dict[str, int]
    """Dimensions of the model by the field names of openai-whisper's `ModelDimensions`."""
    weights: WeightArrays
    tokens: list[str]
    """The tokens in the order of their ids. Unused tokens have names that cannot occur in text."""


def create_embedded_asr(*, saves_memory: bool = False) -> WhisperAsr | FasterWhisperAsr:
    """Create the embedded engine on openai-whisper if it is installed, otherwise on faster-whisper.

    Args:
        saves_memory: whether faster-whisper is preferred, which takes half of the memory.

    Raises:
        MissingExtraError: neither openai-whisper nor faster-whisper is installed.
        UsageError: the cache folder cannot be written.
    """
    creators: list[tuple[str, Callable[[], WhisperAsr | FasterWhisperAsr]]] = [
        ("whisper", create_embedded_whisper),
        ("faster_whisper", create_embedded_faster_whisper),
    ]
    for module, create in reversed(creators) if saves_memory else creators:
        if importlib.util.find_spec(module):
            return create()
    raise MissingExtraError("faster-whisper, which the embedded Whisper runs on,", "bench")


def create_embedded_whisper() -> WhisperAsr:
    """Create the embedded engine on openai-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    path = _find_or_create(f"{_compute_weights_sha256()}.pt", _save_checkpoint)
    return WhisperAsr(
        EMBEDDED_ENGINE, path, _compute_weights_sha256(), is_english_only=True, **_EMBEDDED_WHISPER_OPTIONS
    )


def create_embedded_faster_whisper() -> FasterWhisperAsr:
    """Create the embedded engine on faster-whisper.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    folder = _find_or_create(_compute_weights_sha256(), _save_ctranslate2_folder)
    return FasterWhisperAsr(EMBEDDED_ENGINE, folder, _compute_weights_sha256(), **_EMBEDDED_WHISPER_OPTIONS)


def list_known_words() -> frozenset[str]:
    """The words with which the model was trained, in lower case."""
    with np.load(WEIGHTS_PATH) as packed:
        return frozenset(str(packed["words"]).split())


def load_embedded_checkpoint(path: Path = WEIGHTS_PATH) -> WhisperCheckpoint:
    """Read `weights.npz`.

    In the file, all unused tokens share one row of the embedding. In the result, each token has a row.
    """
    with np.load(path) as packed:
        stored = {name: packed[name] for name in packed.files}
    dims = json.loads(str(stored.pop("dims")))
    named = {int(token): name for token, name in json.loads(str(stored.pop("tokens"))).items()}
    rows = np.tile(stored.pop("unused").astype(np.float32), (dims["n_vocab"], 1))
    rows[stored.pop("occurring")] = stored.pop(_EMBEDDING_WEIGHT_NAME).astype(np.float32)
    stored.pop("words")
    weights = {name: value.astype(np.float32) for name, value in stored.items()}
    tokens = [named.get(token, f"\x00{token}") for token in range(dims["n_vocab"])]
    return WhisperCheckpoint(dims, {**weights, _EMBEDDING_WEIGHT_NAME: rows}, tokens)


def _compute_weights_sha256() -> str:
    return compute_short_sha256(WEIGHTS_PATH)


def _save_checkpoint(checkpoint: WhisperCheckpoint, path: Path) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in checkpoint.weights.items()}
    torch.save({"dims": checkpoint.dimensions, "model_state_dict": state}, path)


def _save_ctranslate2_folder(checkpoint: WhisperCheckpoint, path: Path) -> None:
    dims = checkpoint.dimensions
    shape = TransformerShape(dims["n_audio_layer"], dims["n_text_layer"], dims["n_audio_head"])
    convert_to_ctranslate2(checkpoint.weights, shape, checkpoint.tokens, _TOKEN_IDS_SUPPRESSED_AT_START, path)


def _find_or_create(name: str, save_checkpoint: Callable[[WhisperCheckpoint, Path], None]) -> Path:
    return find_or_create_in_cache(
        EMBEDDED_ENGINE, name, lambda path: save_checkpoint(load_embedded_checkpoint(), path)
    )
