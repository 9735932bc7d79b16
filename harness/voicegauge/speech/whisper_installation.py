"""Finds, downloads, checks, unpacks and converts weights of Whisper.

`embedded/weights.npz` contains the weights of the embedded Whisper in half precision. All tokens that never occur share
one embedding row. The weights are unpacked once to the user's cache folder, in the format that openai-whisper or
faster-whisper loads. `embedded/card.md` describes training and accuracy.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import json
import os
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError, UnknownNameError, UsageError
from voicegauge.files import find_or_create_in_cache, open_file
from voicegauge.speech.transcripts import compute_short_sha256

# Converts Whisper's weights to a CTranslate2 model folder, which faster-whisper can load without torch.


WeightArrays = Mapping[str, NDArray[np.float32]]
"""Weights by the names that openai-whisper gives to parameters."""


class TransformerShape(NamedTuple):
    """Numbers of layers and attention heads, which cannot be derived from the weights."""

    encoder_layers: int
    decoder_layers: int
    attention_heads: int


def convert_to_ctranslate2(
    weights: WeightArrays,
    shape: TransformerShape,
    tokens: Sequence[str],
    suppressed_token_ids: Sequence[int],
    folder: Path,
) -> None:
    """Write the model and its tokenizer to `folder`, which must not exist.

    Args:
        weights: weights of an English-only Whisper model.
        shape: numbers of layers and attention heads of the model.
        tokens: all tokens of the vocabulary in the order of their ids. Each byte of a token is written as the printable
            character that `build_byte_to_character_map` assigns to it.
        suppressed_token_ids: ids of the tokens with which no transcript may start.
        folder: the folder to create. It receives model.bin, config.json, the vocabulary and tokenizer.json.
    """
    from ctranslate2.specs import whisper_spec

    spec: Any = whisper_spec.WhisperSpec(
        shape.encoder_layers, shape.attention_heads, shape.decoder_layers, shape.attention_heads
    )
    _set_encoder(spec.encoder, weights)
    _set_decoder(spec.decoder, weights)
    spec.register_vocabulary(list(tokens))
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], list(suppressed_token_ids)
    spec.config.lang_ids, spec.config.alignment_heads = [], [(0, 0)]
    spec.validate()
    spec.optimize()
    folder.mkdir()
    spec.save(str(folder))
    _write_tokenizer(tokens, folder / "tokenizer.json")


def _set_linear_layer(layer_spec: Any, weights: WeightArrays, *weight_prefixes: str) -> None:
    # CTranslate2 stacks the projections of one attention layer in one matrix. Whisper's key projections have no bias.
    layer_spec.weight = np.concatenate([weights[f"{prefix}.weight"] for prefix in weight_prefixes])
    layer_spec.bias = np.concatenate(
        [
            weights.get(f"{prefix}.bias", np.zeros(len(weights[f"{prefix}.weight"]), np.float32))
            for prefix in weight_prefixes
        ]
    )


def _set_normalization(layer_spec: Any, weights: WeightArrays, weight_prefix: str) -> None:
    layer_spec.gamma, layer_spec.beta = weights[f"{weight_prefix}.weight"], weights[f"{weight_prefix}.bias"]


def _set_attention(layer_spec: Any, weights: WeightArrays, weight_prefix: str, *, is_self_attention: bool) -> None:
    _set_normalization(layer_spec.layer_norm, weights, f"{weight_prefix}_ln")
    if is_self_attention:
        _set_linear_layer(
            layer_spec.linear[0], weights, f"{weight_prefix}.query", f"{weight_prefix}.key", f"{weight_prefix}.value"
        )
    else:
        _set_linear_layer(layer_spec.linear[0], weights, f"{weight_prefix}.query")
        _set_linear_layer(layer_spec.linear[1], weights, f"{weight_prefix}.key", f"{weight_prefix}.value")
    _set_linear_layer(layer_spec.linear[-1], weights, f"{weight_prefix}.out")


def _set_feed_forward(layer_spec: Any, weights: WeightArrays, weight_prefix: str) -> None:
    _set_normalization(layer_spec.layer_norm, weights, f"{weight_prefix}.mlp_ln")
    _set_linear_layer(layer_spec.linear_0, weights, f"{weight_prefix}.mlp.0")
    _set_linear_layer(layer_spec.linear_1, weights, f"{weight_prefix}.mlp.2")


def _set_encoder(layer_spec: Any, weights: WeightArrays) -> None:
    for conv, name in ((layer_spec.conv1, "conv1"), (layer_spec.conv2, "conv2")):
        conv.weight, conv.bias = weights[f"encoder.{name}.weight"], weights[f"encoder.{name}.bias"]
    layer_spec.position_encodings.encodings = weights["encoder.positional_embedding"]
    _set_normalization(layer_spec.layer_norm, weights, "encoder.ln_post")
    for index, layer in enumerate(layer_spec.layer):
        _set_attention(layer.self_attention, weights, f"encoder.blocks.{index}.attn", is_self_attention=True)
        _set_feed_forward(layer.ffn, weights, f"encoder.blocks.{index}")


def _set_decoder(layer_spec: Any, weights: WeightArrays) -> None:
    layer_spec.embeddings.weight = layer_spec.projection.weight = weights["decoder.token_embedding.weight"]
    layer_spec.position_encodings.encodings = weights["decoder.positional_embedding"]
    _set_normalization(layer_spec.layer_norm, weights, "decoder.ln")
    for index, layer in enumerate(layer_spec.layer):
        _set_attention(layer.self_attention, weights, f"decoder.blocks.{index}.attn", is_self_attention=True)
        _set_attention(layer.attention, weights, f"decoder.blocks.{index}.cross_attn", is_self_attention=False)
        _set_feed_forward(layer.ffn, weights, f"decoder.blocks.{index}")


def _write_tokenizer(tokens: Sequence[str], path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    plain = {token: index for index, token in enumerate(tokens) if not token.startswith("<|")}
    # The tokenizer has no merges, because it is only used to decode.
    tokenizer = Tokenizer(models.BPE(vocab=plain, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # Special tokens are added to the document, because `add_special_tokens` chooses ids of its own.
    document = json.loads(tokenizer.to_str())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    document["added_tokens"] = [
        {"id": index, "content": token, "special": True, **flags}
        for index, token in enumerate(tokens)
        if token.startswith("<|")
    ]
    path.write_text(json.dumps(document), encoding="utf-8")


def build_byte_to_character_map() -> dict[int, str]:
    """Return GPT-2's mapping of bytes to printable characters.

    Printable bytes are mapped to themselves, and all other bytes to code points from 256 upward.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}


# Installs Whisper's official weights and verifies their SHA-256.


ProgressCallback = Callable[[int, int], None]
"""Function (number of bytes received so far, total number of bytes). The total is 0 if it is not known."""
_COPY_BLOCK_BYTES = 1 << 20
"""Number of bytes that are copied at a time."""
_DOWNLOAD_TIMEOUT_S = 30.0
"""Time in which the server must respond, and send each further block, in seconds."""
_MODEL_NAME_BY_ALIAS = {"large": "large-v3", "turbo": "large-v3-turbo"}
"""For each alias of a model, the model name under which the weights are saved."""


class OfficialWeights(NamedTuple):
    """An official checkpoint of openai-whisper."""

    model_name: str
    url: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the checkpoint file, which is the last part of its URL."""
        return self.url.rpartition("/")[2]


def require_whisper() -> None:
    """Check that openai-whisper is installed.

    Raises:
        MissingExtraError: openai-whisper is not installed.
    """
    if importlib.util.find_spec("whisper") is None:
        raise MissingExtraError("openai-whisper", "whisper")


def get_weights_cache_path(model_name: str) -> Path:
    """Return the path of the weights of an official model in openai-whisper's cache. The file may be missing."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "whisper"
    return folder / f"{_MODEL_NAME_BY_ALIAS.get(model_name, model_name)}.pt"


def find_official_weights(model_name: str) -> OfficialWeights:
    """Look up the URL and the digest of the weights of an official model of openai-whisper.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: `model_name` is not an official model.
    """
    require_whisper()
    import whisper

    known: dict[str, str] = whisper._MODELS  # noqa: SLF001 - the only place with the digests
    if model_name not in known:
        raise UnknownNameError("Whisper model", model_name, known)
    url = known[model_name]
    return OfficialWeights(model_name, url, url.split("/")[-2])  # the digest is part of the URL


def install_weights(model_name: str, source_path: Path | None = None, progress: ProgressCallback | None = None) -> Path:
    """Install the official weights of a model into openai-whisper's cache.

    Args:
        model_name: name of an official model, such as "base.en".
        source_path: folder or file to copy from. If `None`, the weights are downloaded.
        progress: function that is called while copying or downloading; `None` for no calls.

    Returns:
        The path of the weights. Nothing is copied or downloaded if they were already installed.

    Raises:
        MissingExtraError: openai-whisper is not installed.
        UnknownNameError: `model_name` is not an official model.
        UsageError: the weights could not be read or downloaded, or differ from the official weights.
    """
    weights, path = find_official_weights(model_name), get_weights_cache_path(model_name)
    if path.is_file() and _compute_sha256(path) == weights.sha256:
        return path
    if source_path is None:
        return download_weights(weights, path, progress)
    return copy_weights(
        weights, source_path / weights.file_name if source_path.is_dir() else source_path, path, progress
    )


def download_weights(weights: OfficialWeights, path: Path, progress: ProgressCallback | None = None) -> Path:
    """Download `weights` to `path`. The file does not appear before it is complete and verified.

    `progress` is called as bytes arrive, unless it is `None`.

    Raises:
        UsageError: the download failed, or the received bytes differ from the official weights.
    """
    try:
        with urllib.request.urlopen(weights.url, timeout=_DOWNLOAD_TIMEOUT_S) as response:  # noqa: S310 - a URL of openai-whisper
            total_bytes = int(response.headers.get("Content-Length") or 0)
            return _save_verified_weights(weights, response, weights.url, total_bytes, path, progress)
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or error
        raise UsageError(
            f"whisper:{weights.model_name}: the weights are not installed and could not be downloaded ({reason}): "
            f"download {weights.url} on another machine, then "
            f"`voicegauge asr install {weights.model_name} --from FOLDER` or --asr whisper:/path/{weights.file_name}"
        ) from error


def copy_weights(
    weights: OfficialWeights, source_path: Path, path: Path, progress: ProgressCallback | None = None
) -> Path:
    """Copy the file `source_path` to `path`. The copy does not appear before it is complete and verified.

    `progress` is called as bytes are copied, unless it is `None`.

    Raises:
        UsageError: the file cannot be read, or differs from the official weights.
    """
    try:
        with open_file(source_path) as file:
            return _save_verified_weights(weights, file, str(source_path), source_path.stat().st_size, path, progress)
    except OSError as error:
        raise UsageError(f"{error.filename or source_path}: {error.strerror}") from error


def _save_verified_weights(
    weights: OfficialWeights,
    input_stream: BinaryIO,
    source_name: str,
    total_bytes: int,
    path: Path,
    progress: ProgressCallback | None,
) -> Path:
    sha256, received = hashlib.sha256(), 0
    with _choose_temporary_path(path) as partial:
        with partial.open("wb") as file:
            while block := input_stream.read(_COPY_BLOCK_BYTES):
                file.write(block)
                sha256.update(block)
                received += len(block)
                if progress is not None:
                    progress(received, total_bytes)
        if sha256.hexdigest() != weights.sha256:
            raise UsageError(
                f"{source_name}: these {received} bytes are not the official weights of {weights.model_name}: "
                f"their SHA-256 is {sha256.hexdigest()[:16]}..., not {weights.sha256[:16]}..."
            )
        partial.replace(path)
    return path


@contextlib.contextmanager
def _choose_temporary_path(path: Path) -> Iterator[Path]:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    try:
        yield partial
    finally:
        partial.unlink(missing_ok=True)


def _compute_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# Finds and downloads the models of faster-whisper.


MODEL_FILE_NAME = "model.bin"
"""Name of the weights in the folder of a model in CTranslate2's format."""


def require_faster_whisper() -> None:
    """Check that faster-whisper is installed.

    Raises:
        MissingExtraError: faster-whisper is not installed.
    """
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingExtraError("faster-whisper", "faster-whisper")


def list_cached_models() -> dict[str, Path]:
    """Return the folders of the models in the Hugging Face cache, by model name."""
    home = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    hub = Path(os.environ.get("HF_HUB_CACHE") or home / "hub")
    folders = {}
    for weights in sorted(hub.glob(f"models--Systran--faster-whisper-*/snapshots/*/{MODEL_FILE_NAME}")):
        folders[weights.parents[2].name.removeprefix("models--Systran--faster-whisper-")] = weights.parent
    return folders


def download_cached_model(model_name: str) -> Path:
    """Download a model of faster-whisper to the Hugging Face cache, and return its folder.

    Raises:
        UnknownNameError: there is no model of this name.
        UsageError: the download failed.
    """
    from faster_whisper.utils import available_models, download_model

    if model_name not in available_models() and "/" not in model_name:
        raise UnknownNameError("faster-whisper model", model_name, available_models())
    try:
        return Path(download_model(model_name))
    except (OSError, ValueError, RuntimeError) as error:  # base classes of all errors of huggingface_hub
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(
            f"faster-whisper:{model_name}: the weights are not installed and could not be downloaded ({reason}): "
            "give the folder of a converted model, such as --asr faster-whisper:/path/model"
        ) from error


# Unpacks the embedded Whisper.


WEIGHTS_PATH = Path(__file__).parent / "embedded" / "weights.npz"
"""File with the weights, the tokens and the words of the embedded Whisper."""
EMBEDDED_ENGINE = "embedded"
"""Value of `--asr` that requests the embedded Whisper."""
_EMBEDDING_WEIGHT_NAME = "decoder.token_embedding.weight"
"""Name of the weights that turn tokens into vectors."""
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


def list_known_words() -> frozenset[str]:
    """Return the words with which the model was trained, in lower case."""
    with np.load(WEIGHTS_PATH) as packed:
        return frozenset(str(packed["words"]).split())


def load_embedded_checkpoint() -> WhisperCheckpoint:
    """Return the embedded Whisper, as `weights.npz` has it.

    In the file, all unused tokens share one row of the embedding. In the result, each token has a row.
    """
    with np.load(WEIGHTS_PATH) as packed:
        stored = {name: packed[name] for name in packed.files}
    dims = json.loads(str(stored.pop("dims")))
    named = {int(token): name for token, name in json.loads(str(stored.pop("tokens"))).items()}
    rows = np.tile(stored.pop("unused").astype(np.float32), (dims["n_vocab"], 1))
    rows[stored.pop("occurring")] = stored.pop(_EMBEDDING_WEIGHT_NAME).astype(np.float32)
    stored.pop("words")
    weights = {name: value.astype(np.float32) for name, value in stored.items()}
    tokens = [named.get(token, f"\x00{token}") for token in range(dims["n_vocab"])]
    return WhisperCheckpoint(dims, {**weights, _EMBEDDING_WEIGHT_NAME: rows}, tokens)


def unpack_embedded_checkpoint() -> tuple[Path, str]:
    """Return the checkpoint of the embedded Whisper for openai-whisper, and the first hex digits of its weights' hash.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    sha256 = compute_short_sha256(WEIGHTS_PATH)
    return _find_or_create_model_path(f"{sha256}.pt", _save_checkpoint), sha256


def unpack_embedded_ctranslate2_folder() -> tuple[Path, str]:
    """Return the folder of the embedded Whisper for faster-whisper, and the first hex digits of its weights' hash.

    Raises:
        UsageError: the cache folder cannot be written.
    """
    sha256 = compute_short_sha256(WEIGHTS_PATH)
    return _find_or_create_model_path(sha256, _save_ctranslate2_folder), sha256


def _save_checkpoint(checkpoint: WhisperCheckpoint, path: Path) -> None:
    import torch

    state = {name: torch.from_numpy(value) for name, value in checkpoint.weights.items()}
    torch.save({"dims": checkpoint.dimensions, "model_state_dict": state}, path)


def _save_ctranslate2_folder(checkpoint: WhisperCheckpoint, path: Path) -> None:
    dims = checkpoint.dimensions
    shape = TransformerShape(dims["n_audio_layer"], dims["n_text_layer"], dims["n_audio_head"])
    convert_to_ctranslate2(checkpoint.weights, shape, checkpoint.tokens, _TOKEN_IDS_SUPPRESSED_AT_START, path)


def _find_or_create_model_path(name: str, save_checkpoint: Callable[[WhisperCheckpoint, Path], None]) -> Path:
    return find_or_create_in_cache(
        EMBEDDED_ENGINE, name, lambda path: save_checkpoint(load_embedded_checkpoint(), path)
    )
