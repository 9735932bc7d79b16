"""Speech to train on, made in the emulator's voices and kept in shards.

A shard is a function of its number and kind alone, so that any machine makes the same one.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
import sentences
from numpy.typing import NDArray

from voicegauge.emulator.spoken import PITCH_SPREAD
from voicegauge.speech.audio import decode, encode, resample
from voicegauge.speech.espeak import synthesize

RATE = 16_000
CLIPS = 2_000
SEED = 20261121
MP3_SHARE = 0.1
"""Clips that went through an MP3 encoder, as the emulator's answers do."""
KINDS = {"short": (1, 2), "medium": (3, 8), "long": (6, 20)}
"""Words a clip."""
COMMA_SHARE = 0.07
"""Words that a pause follows."""


class Voice(NamedTuple):
    """An espeak-ng variant, its rate and its pitch."""

    variant: str
    words_per_minute: int
    pitch: int


VOICES = (
    Voice("f2", 155, 60),
    Voice("klatt", 160, 50),
    Voice("klatt3", 160, 45),
    Voice("klatt3", 165, 40),
    Voice("klatt3", 170, 50),
    Voice("klatt3", 170, 62),
    Voice("klatt4", 165, 64),
    Voice("klatt4", 165, 64),
    Voice("klatt4", 170, 40),
    Voice("klatt4", 170, 55),
    Voice("klatt4", 170, 55),
    Voice("klatt5", 165, 38),
    Voice("klatt5", 170, 34),
    Voice("klatt5", 175, 45),
    Voice("klatt5", 175, 58),
    Voice("klatt6", 155, 40),
    Voice("klatt6", 180, 60),
)
"""The emulator's; one that several targets have stands as often. Another list makes another corpus."""


def say(text: str, random: Random) -> NDArray[np.float32]:
    """`text` in one of the emulator's voices, a little faster or slower, higher or lower."""
    voice = random.choice(VOICES)
    samples = synthesize(
        punctuate(text, random),
        language="en",
        voice=voice.variant,
        words_per_minute=round(voice.words_per_minute * random.uniform(0.9, 1.12)),
        pitch=round(voice.pitch + random.uniform(-PITCH_SPREAD, PITCH_SPREAD)),
        sample_rate_hz=RATE,
        seed=random.getrandbits(31),
    )
    if random.random() < MP3_SHARE:
        coded, _ = encode(resample(samples, RATE, 32_000), 32_000, "mp3")
        heard = decode(coded)
        samples = resample(heard.samples, heard.sample_rate_hz, RATE)
    return samples


def punctuate(text: str, random: Random) -> str:
    """`text` with pauses and an ending, which change how espeak-ng says it."""
    words = [f"{word}," if random.random() < COMMA_SHARE else word for word in text.split()]
    return " ".join(words).rstrip(",") + random.choice((".", ".", ".", "?", "!", ""))


def text_of(kind: str, random: Random) -> str:
    """What a clip of this kind says."""
    if kind != "short" and random.random() < 0.4:
        return sentences.sentence(random)
    return sentences.sequence(random, *KINDS[kind])


def make_shard(kind: str, number: int, path: Path) -> None:
    """Write shard `number` of `kind`: clips as 16-bit samples end to end, their bounds, their texts."""
    random = Random(f"{SEED}/{kind}/{number}")  # noqa: S311 - chosen words, no secrets
    texts = [text_of(kind, random) for _ in range(CLIPS)]
    clips = [np.clip(say(text, random) * 32767, -32768, 32767).astype(np.int16) for text in texts]
    bounds = np.cumsum([0, *map(len, clips)])
    partial = path.with_suffix(".partial.npz")
    np.savez(partial, audio=np.concatenate(clips), bounds=bounds, texts=np.array(texts))
    partial.replace(path)


def shard_path(folder: Path, kind: str, number: int) -> Path:
    """Where a shard lies."""
    return folder / f"{kind}-{number:03d}.npz"


def main() -> None:
    """Make the shards that are missing: corpus.py FOLDER KIND:FIRST-LAST ..."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for part in sys.argv[2:]:
        kind, _, span = part.partition(":")
        first, _, last = span.partition("-")
        for number in range(int(first), int(last) + 1):
            path = shard_path(folder, kind, number)
            if not path.exists():
                started = time.perf_counter()
                make_shard(kind, number, path)
                print(f"{path.name} {time.perf_counter() - started:.0f} s", flush=True)


if __name__ == "__main__":
    main()
