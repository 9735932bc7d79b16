"""A Whisper checkpoint of our own, fitted in seconds to tell two sounds apart, and its CTranslate2 twin.

It is a real one: openai-whisper's own classes, vocabulary and file format, with small widths.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
TEXTS = {"low": " The kettle is on the stove.", "high": " Nobody answered the phone."}
WIDTH, HEADS, CONTEXT = 32, 2, 448


def sound(name: str, *, seed: int = 0, seconds: float = 2.0) -> NDArray[np.float32]:
    """A tone with a little noise: what the checkpoint was fitted to."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = 0.2 * np.sin(2 * math.pi * {"low": 220.0, "high": 1800.0}[name] * time)
    return (tone + 0.002 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def make_checkpoint(path: Path, *, vocabulary: int = 51864) -> Path:
    """Fit a checkpoint to `TEXTS` and save it as openai-whisper's `load_model` reads it."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    torch.set_num_threads(1)
    dims = ModelDimensions(80, 1500, WIDTH, HEADS, 1, vocabulary, CONTEXT, WIDTH, HEADS, 1)
    model = Whisper(dims)
    with torch.no_grad():
        model.decoder.positional_embedding.normal_(std=0.1)  # whisper leaves it uninitialised
        # A random encoder hears well enough once the sound outweighs the positions.
        model.encoder.conv1.weight.mul_(8)
        model.encoder.conv2.weight.mul_(8)
    _fit_decoder(model)
    torch.save({"dims": vars(dims), "model_state_dict": model.state_dict()}, path)
    return path


def _fit_decoder(model: Any, steps: int = 60) -> None:
    import torch
    import whisper
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(
        model.is_multilingual, num_languages=model.num_languages, language="en", task="transcribe"
    )
    start = [*tokenizer.sot_sequence_including_notimestamps]
    rows = [[*start, *tokenizer.encode(text), tokenizer.eot] for text in TEXTS.values()]
    longest = max(map(len, rows))
    tokens = torch.tensor([row + [tokenizer.eot] * (longest - len(row)) for row in rows])
    with torch.no_grad():
        # As whisper.transcribe does: the spectrogram is cut to the sound, then filled with zeros.
        mels = [whisper.log_mel_spectrogram(sound(name)) for name in TEXTS]
        heard = model.encoder(torch.stack([whisper.pad_or_trim(mel, 3000) for mel in mels]))
    model.decoder.token_embedding.weight.requires_grad_(False)
    fitted = [weight for weight in model.decoder.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(fitted, lr=1e-2)
    for _ in range(steps):
        logits = model.decoder(tokens[:, :-1], heard)[:, len(start) - 1 :]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, len(start) :], reduction="none")
        loss = losses.mean() + 3 * losses[:, 0].mean()  # the first word alone depends on the sound
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def convert(checkpoint: Path, folder: Path) -> Path:
    """Write the checkpoint as a CTranslate2 model with a tokenizer, as faster-whisper loads it."""
    import torch
    from ctranslate2.specs import whisper_spec

    weights = {
        name: value.numpy().astype(np.float32)
        for name, value in torch.load(checkpoint, weights_only=True)["model_state_dict"].items()
    }
    spec = whisper_spec.WhisperSpec(1, HEADS, 1, HEADS)
    _set_encoder(spec.encoder, weights)
    _set_decoder(spec.decoder, weights)
    tokens = _tokens()
    spec.register_vocabulary(tokens)
    spec.config.suppress_ids, spec.config.suppress_ids_begin = [], [220, tokens.index("<|endoftext|>")]
    spec.config.lang_ids, spec.config.alignment_heads = [], [(0, 0)]
    spec.validate()
    spec.optimize()
    spec.save(str(folder))
    _write_tokenizer(tokens, folder / "tokenizer.json")
    return folder


def _set_linear(spec: Any, weights: dict[str, Any], *names: str) -> None:
    # Several projections of one attention are stacked; Whisper's keys have no bias.
    spec.weight = np.concatenate([weights[f"{name}.weight"] for name in names])
    spec.bias = np.concatenate(
        [weights.get(f"{name}.bias", np.zeros(len(weights[f"{name}.weight"]), np.float32)) for name in names]
    )


def _set_norm(spec: Any, weights: dict[str, Any], name: str) -> None:
    spec.gamma, spec.beta = weights[f"{name}.weight"], weights[f"{name}.bias"]


def _set_attention(spec: Any, weights: dict[str, Any], name: str, *, own: bool) -> None:
    _set_norm(spec.layer_norm, weights, f"{name}_ln")
    if own:
        _set_linear(spec.linear[0], weights, f"{name}.query", f"{name}.key", f"{name}.value")
    else:
        _set_linear(spec.linear[0], weights, f"{name}.query")
        _set_linear(spec.linear[1], weights, f"{name}.key", f"{name}.value")
    _set_linear(spec.linear[-1], weights, f"{name}.out")


def _set_feed_forward(spec: Any, weights: dict[str, Any], name: str) -> None:
    _set_norm(spec.layer_norm, weights, f"{name}.mlp_ln")
    _set_linear(spec.linear_0, weights, f"{name}.mlp.0")
    _set_linear(spec.linear_1, weights, f"{name}.mlp.2")


def _set_encoder(spec: Any, weights: dict[str, Any]) -> None:
    for conv, name in ((spec.conv1, "conv1"), (spec.conv2, "conv2")):
        conv.weight, conv.bias = weights[f"encoder.{name}.weight"], weights[f"encoder.{name}.bias"]
    spec.position_encodings.encodings = weights["encoder.positional_embedding"]
    _set_norm(spec.layer_norm, weights, "encoder.ln_post")
    for index, layer in enumerate(spec.layer):
        _set_attention(layer.self_attention, weights, f"encoder.blocks.{index}.attn", own=True)
        _set_feed_forward(layer.ffn, weights, f"encoder.blocks.{index}")


def _set_decoder(spec: Any, weights: dict[str, Any]) -> None:
    spec.embeddings.weight = spec.projection.weight = weights["decoder.token_embedding.weight"]
    spec.position_encodings.encodings = weights["decoder.positional_embedding"]
    _set_norm(spec.layer_norm, weights, "decoder.ln")
    for index, layer in enumerate(spec.layer):
        _set_attention(layer.self_attention, weights, f"decoder.blocks.{index}.attn", own=True)
        _set_attention(layer.attention, weights, f"decoder.blocks.{index}.cross_attn", own=False)
        _set_feed_forward(layer.ffn, weights, f"decoder.blocks.{index}")


def _tokens() -> list[str]:
    # The vocabulary as the converters write it: bytes as printable characters, then the special tokens.
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(False)
    encoding = tokenizer.encoding
    printable = _printable_bytes()
    special = {index: text for text, index in tokenizer.special_tokens.items()}
    return [
        special.get(index) or "".join(printable[byte] for byte in encoding.decode_single_token_bytes(index))
        for index in range(encoding.n_vocab)
    ]


def _printable_bytes() -> dict[int, str]:
    # GPT-2's table: printable bytes stand for themselves, the others for characters from 256 on.
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    moved = [byte for byte in range(256) if byte not in kept]
    return {byte: chr(byte) for byte in kept} | {byte: chr(256 + at) for at, byte in enumerate(moved)}


def _write_tokenizer(tokens: list[str], path: Path) -> None:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    plain = {token: index for index, token in enumerate(tokens) if not token.startswith("<|")}
    made = Tokenizer(models.BPE(vocab=plain, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    written = json.loads(made.to_str())
    written["added_tokens"] = [
        {
            "id": index,
            "content": token,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for index, token in enumerate(tokens)
        if token.startswith("<|")
    ]
    path.write_text(json.dumps(written), encoding="utf-8")
