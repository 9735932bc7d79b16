"""Makes the corpus: speech in the emulator's voices, saved in files called shards.

The content of a shard depends on its kind and number only, so that every machine makes the same one.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from embedded_whisper import sentences
from voicegauge.emulator._speech_synthesis import MAX_VOICE_PITCH_OFFSET
from voicegauge.speech.decoding import decode
from voicegauge.speech.encoding import encode, resample
from voicegauge.speech.espeak import synthesize

RATE = 16_000
CLIPS = 2_000
SEED = 20261121
MP3_SHARE = 0.1
"""Share of clips that are encoded as MP3 and decoded, as responses of the emulator are."""


class Kind(NamedTuple):
    """Clips with texts of similar length."""

    shards: int
    words: tuple[int, int]
    """Smallest and largest number of words of a text; a generated sentence may have any number."""


KINDS = {
    "short": Kind(6, (1, 2)),
    "medium": Kind(10, (3, 8)),
    "long": Kind(8, (6, 20)),
    "longest": Kind(4, (14, 40)),
}
COMMA_SHARE = 0.07
"""Share of words that are followed by a comma, and so by a pause."""


class Voice(NamedTuple):
    """A voice variant of espeak-ng with its rate and its pitch."""

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
"""The emulator's voices; a voice of several targets occurs as often as they do. Another list makes another corpus."""


def say(texts: list[str], random: Random) -> NDArray[np.float32]:
    """Return `texts` spoken by a random voice of the emulator, a little faster or slower, higher or lower."""
    voice = random.choice(VOICES)
    samples = synthesize(
        " ".join(punctuate(text, random) for text in texts),
        language="en",
        voice_variant=voice.variant,
        words_per_minute=round(voice.words_per_minute * random.uniform(0.9, 1.12)),
        pitch=round(voice.pitch + random.uniform(-MAX_VOICE_PITCH_OFFSET, MAX_VOICE_PITCH_OFFSET)),
        sample_rate_hz=RATE,
        seed=random.getrandbits(31),
    )
    if random.random() < MP3_SHARE:
        coded, _ = encode(resample(samples, RATE, 32_000), 32_000, "mp3")
        decoded = decode(coded)
        samples = resample(decoded.samples, decoded.sample_rate_hz, RATE)
    return samples


def punctuate(text: str, random: Random) -> str:
    """Return `text` with random commas and a random final mark, which change how espeak-ng speaks it."""
    words = [f"{word}," if random.random() < COMMA_SHARE else word for word in text.split()]
    return " ".join(words).rstrip(",") + random.choice((".", ".", ".", "?", "!", ""))


def texts_of(kind: str, random: Random) -> list[str]:
    """Return the texts of a clip: one sentence or sequence of words, or several for the kind "longest"."""
    if kind == "longest":
        return _paragraph(random.randint(*KINDS[kind].words), random)
    if kind != "short" and random.random() < 0.4:
        return [sentences.sentence(random)]
    return [sentences.sequence(random, *KINDS[kind].words)]


def _paragraph(words: int, random: Random) -> list[str]:
    """Return sentences and sequences that have about `words` words together."""
    texts: list[str] = []
    while (left := words - sum(len(text.split()) for text in texts)) > 0:
        sequence = random.random() < 0.5
        texts.append(sentences.sequence(random, 1, min(left, 12)) if sequence else sentences.sentence(random))
    return texts


def make_shard(kind: str, number: int, path: Path) -> None:
    """Write a shard: one file with the 16-bit samples of all clips, and one with the bounds and texts of the clips."""
    random = Random(f"{SEED}/{kind}/{number}")  # noqa: S311 - chosen words, no secrets
    texts = [texts_of(kind, random) for _ in range(CLIPS)]
    clips = [np.clip(say(text, random) * 32767, -32768, 32767).astype(np.int16) for text in texts]
    partial = path.with_suffix(".partial.npy")
    np.save(partial, np.concatenate(clips))
    np.savez(path.with_suffix(".npz"), bounds=np.cumsum([0, *map(len, clips)]), texts=np.array([*map(" ".join, texts)]))
    partial.replace(path)


def shard_path(folder: Path, kind: str, number: int) -> Path:
    """Return the path of the samples of a shard."""
    return folder / f"{kind}-{number:03d}.npy"


def main() -> None:
    """Make the missing shards, one process per core: `python -m embedded_whisper.corpus FOLDER`."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [(name, number) for name, kind in KINDS.items() for number in range(kind.shards)]
    missing = [each for each in wanted if not shard_path(folder, *each).exists()]
    with ProcessPoolExecutor() as pool:
        making = {pool.submit(make_shard, *each, shard_path(folder, *each)): each for each in missing}
        for done in as_completed(making):
            done.result()
            print(*making[done], flush=True)


if __name__ == "__main__":
    main()
