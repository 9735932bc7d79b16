"""Converts Whisper's weights to a CTranslate2 model folder, which faster-whisper can load without torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

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
    document = json.loads(tokenizer.to_str())
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    document["added_tokens"] = [
        {"id": index, "content": token, "special": True, **flags}
        for index, token in enumerate(tokens)
        if token.startswith("<|")
    ]
    path.write_text(json.dumps(document), encoding="utf-8")


def build_byte_to_character_map() -> dict[int, str]:
    """GPT-2's mapping of bytes to printable characters.

    Printable bytes are mapped to themselves, and all other bytes to code points from 256 upward.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + index) for index, byte in enumerate(others)}
