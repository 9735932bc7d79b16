"""A Whisper checkpoint of our own, fitted in seconds to tell two sounds apart, and its CTranslate2 twin.

It is a real one: openai-whisper's own classes, vocabulary and file format, with small widths.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from voicegauge.bench.run_store import save_audio
from voicegauge.model.run import Run
from voicegauge.speech import whisper_installation
from voicegauge.speech.audio_measurement import EncodedAudio
from voicegauge.speech.encoding import encode

from ..builders.runs import build_run, build_sample

RATE_HZ = 16_000
TEXTS = {"low": " The kettle is on the stove.", "high": " Nobody answered the phone."}
WIDTH, HEADS, CONTEXT = 32, 2, 448


def sound(name: str, *, seed: int = 0, seconds: float = 2.0) -> NDArray[np.float32]:
    """A tone in syllables with a little noise: what the checkpoint was fitted to. A steady tone is not transcribed."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    syllables = 0.2 * (np.sin(2 * math.pi * 3 * time) > -0.5)
    tone = syllables * np.sin(2 * math.pi * {"low": 220.0, "high": 1800.0}[name] * time)
    return (tone + 0.002 * np.random.default_rng(seed).standard_normal(len(time))).astype(np.float32)


def save_run_of_sounds(folder: Path, names: Sequence[str]) -> Run:
    """Save the audio of a run in which each text is spoken as its sound."""
    samples = []
    for index, name in enumerate(names):
        audio, media_type = encode(sound(name, seed=index), RATE_HZ, "wav")
        _, file = save_audio(folder, audio)
        facts = EncodedAudio(audio, media_type=media_type).measure_facts(file)
        samples.append(msgspec.structs.replace(build_sample(f"{name}-{index}", words=TEXTS[name]), audio=facts))
    return build_run(tuple(samples))


def make_checkpoint(path: Path, *, vocabulary: int = 51864) -> Path:
    """Fit a checkpoint to `TEXTS` and save it as openai-whisper's `load_model` reads it."""
    model = _create_model(vocabulary)
    _fit_decoder(model)
    return _save(model, path)


def make_random_checkpoint(path: Path) -> Path:
    """Save a model with random weights, whose words depend on the sound and on all earlier words."""
    import torch

    model = _create_model(51864)
    with torch.no_grad():
        # Otherwise the tied embedding repeats the last word, whatever the sound is.
        model.decoder.positional_embedding.mul_(10)
        model.decoder.token_embedding.weight.mul_(0.1)
        for block in model.decoder.blocks:
            for weight in block.cross_attn.parameters():
                weight.mul_(10)
    return _save(model, path)


def _create_model(vocabulary: int) -> Any:
    import torch
    from whisper.model import ModelDimensions, Whisper

    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Whisper(ModelDimensions(80, 1500, WIDTH, HEADS, 1, vocabulary, CONTEXT, WIDTH, HEADS, 1))
    with torch.no_grad():
        model.decoder.positional_embedding.normal_(std=0.1)  # whisper leaves it uninitialised
        # A random encoder hears well enough once the sound outweighs the positions.
        model.encoder.conv1.weight.mul_(8)
        model.encoder.conv2.weight.mul_(8)
    return model


def _save(model: Any, path: Path) -> Path:
    import torch

    torch.save({"dims": vars(model.dims), "model_state_dict": model.state_dict()}, path)
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
        encoded = model.encoder(torch.stack([whisper.pad_or_trim(mel, 3000) for mel in mels]))
    model.decoder.token_embedding.weight.requires_grad_(False)
    fitted = [weight for weight in model.decoder.parameters() if weight.requires_grad]
    optimiser = torch.optim.Adam(fitted, lr=1e-2)
    for _ in range(steps):
        logits = model.decoder(tokens[:, :-1], encoded)[:, len(start) - 1 :]
        losses = torch.nn.functional.cross_entropy(logits.transpose(1, 2), tokens[:, len(start) :], reduction="none")
        loss = losses.mean() + 3 * losses[:, 0].mean()  # the first word alone depends on the sound
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()


def convert(checkpoint: Path, folder: Path) -> Path:
    """Write the checkpoint as a CTranslate2 model with a tokenizer, as faster-whisper loads it."""
    import torch

    state = torch.load(checkpoint, weights_only=True)["model_state_dict"]
    weights = {name: value.numpy().astype(np.float32) for name, value in state.items()}
    tokens = _tokens()
    whisper_installation.convert_to_ctranslate2(
        weights,
        whisper_installation.TransformerShape(1, 1, HEADS),
        tokens,
        (220, tokens.index("<|endoftext|>")),
        folder,
    )
    return folder


def _tokens() -> list[str]:
    # The vocabulary as the converters write it: bytes as printable characters, then the special tokens.
    from whisper.tokenizer import get_tokenizer

    tokenizer = get_tokenizer(False)
    encoding = tokenizer.encoding
    printable = whisper_installation.build_byte_to_character_map()
    special = {index: text for text, index in tokenizer.special_tokens.items()}
    return [
        special.get(index) or "".join(printable[byte] for byte in encoding.decode_single_token_bytes(index))
        for index in range(encoding.n_vocab)
    ]
