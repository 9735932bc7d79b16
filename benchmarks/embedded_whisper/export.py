"""Writes a trained checkpoint as the file of the package: `python -m embedded_whisper.export WORK [FILE]`.

Weights are in half precision. Of the token embedding, the rows of tokens that can occur are saved, and one row that
represents all others.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from whisper.tokenizer import get_tokenizer

from embedded_whisper.batches import FULL_FRAMES
from embedded_whisper.network import DECODER_LAYERS, ENCODER_LAYERS, HEADS, VOCABULARY, WIDTH
from embedded_whisper.spelling import tokens
from embedded_whisper.words import vocabulary
from voicegauge.speech.whisper_installation import WEIGHTS_PATH, build_byte_to_character_map

CONTEXT = 448
"""Number of tokens in Whisper's text context."""


def dims() -> dict[str, int]:
    """Return the dimensions of the whole model by openai-whisper's names."""
    audio = {"n_mels": 80, "n_audio_ctx": FULL_FRAMES, "n_audio_state": WIDTH}
    text = {"n_vocab": VOCABULARY, "n_text_ctx": CONTEXT, "n_text_state": WIDTH}
    heads = {"n_audio_head": HEADS, "n_text_head": HEADS}
    return {**audio, **text, **heads, "n_audio_layer": ENCODER_LAYERS, "n_text_layer": DECODER_LAYERS}


def token_names() -> dict[int, str]:
    """Return the names of the tokens that a tokenizer needs: those that can occur, single bytes, and special ones."""
    tokenizer = get_tokenizer(multilingual=False)
    printable = build_byte_to_character_map()
    special = {index: text for text, index in tokenizer.special_tokens.items()}
    plain = sorted({*range(256), *tokens()} - set(special))
    encoding = tokenizer.encoding
    named = {token: "".join(printable[byte] for byte in encoding.decode_single_token_bytes(token)) for token in plain}
    return named | special


def main() -> None:
    """Write the averaged weights of WORK/last.pt."""
    saved = torch.load(Path(sys.argv[1]) / "last.pt", weights_only=True)
    average = {name: value.numpy() for name, value in saved["average"].items()}
    weights = {
        name.removeprefix("whisper."): value.astype(np.float16)
        for name, value in average.items()
        if name.startswith("whisper.")
    }
    destination = Path(sys.argv[2]) if len(sys.argv) > 2 else WEIGHTS_PATH
    np.savez_compressed(
        destination,
        dims=json.dumps(dims()),
        tokens=json.dumps(token_names()),
        occurring=np.array(tokens(), np.int32),
        unused=average["unused"].astype(np.float16),
        words=" ".join(vocabulary()),
        **weights,
    )
    print(f"{destination}: step {saved['step']}, {destination.stat().st_size / 2**20:.2f} MiB")


if __name__ == "__main__":
    main()
