"""Makes the corpus: speech of many espeak-ng voices, changed as services and transmissions change it.

A shard is a function of the seed and its number, so any machine makes the same one. It holds mel spectra and phonemes
rather than samples: noise and equalization can be added to spectra, and are, by `batches`.
"""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from random import Random
from typing import NamedTuple

import numpy as np

from phoneme_network.texts import choose_text
from voicegauge.speech.decoding import Samples, decode
from voicegauge.speech.encoding import encode, resample
from voicegauge.speech.espeak import synthesize, transcribe_phonemes
from voicegauge.speech.phoneme_network import ANALYSIS_RATE_HZ, compute_mel_power, encode_phonemes

SHARDS, CLIPS_PER_SHARD, SEED = 24, 250, 20261124
EMULATOR_VARIANTS = ("f2", "klatt", "klatt3", "klatt3", "klatt4", "klatt5", "klatt6")
_OTHER_VARIANTS_TEXT = """
Alex Alicia Andrea Andy Annie Denis Gene Henrique Hugo Jacky Lee Marco Mario Michael Mike Nguyen Reed Storm
Tweaky adam announcer antonio aunty belinda benjamin boris caleb david ed edward f1 f3 f4 f5 grandma grandpa ian
iven iven2 john kaukovalta klatt2 linda m1 m2 m3 m4 m5 m6 m7 m8 max michel norbert pablo paul pedro quincy rob
robert shelby steph steph2 steph3 travis victor whisper zac
"""
OTHER_VARIANTS = _OTHER_VARIANTS_TEXT.split()
EMULATOR_SHARE = 0.35


class Voice(NamedTuple):
    """How one clip is spoken."""

    language: str
    variant: str
    words_per_minute: int
    pitch: int
    formant_factor: float
    """Factor by which all frequencies of the voice are multiplied, by playing it faster or slower."""


def choose_voice(random: Random) -> Voice:
    """Return one of the emulator's voices as it is, or another one with other formants, pitch and speed."""
    if random.random() < EMULATOR_SHARE:
        return Voice("en", random.choice(EMULATOR_VARIANTS), random.randint(125, 200), random.randint(28, 75), 1.0)
    return Voice(
        language="en-gb" if random.random() < 0.12 else "en",
        variant=random.choice(OTHER_VARIANTS),
        words_per_minute=random.randint(110, 220),
        pitch=random.randint(15, 85),
        formant_factor=random.uniform(0.85, 1.18),
    )


def speak(text: str, voice: Voice, random: Random) -> Samples:
    """Return `text` spoken by `voice`, at the analysis rate."""
    rate = round(ANALYSIS_RATE_HZ / voice.formant_factor)
    samples = synthesize(
        text,
        language=voice.language,
        voice_variant=voice.variant,
        words_per_minute=round(voice.words_per_minute / voice.formant_factor),
        pitch=voice.pitch,
        sample_rate_hz=rate,
        seed=random.getrandbits(31),
    )
    changes = (
        (0.18, lambda one: pass_through_vocoder(one, random)),
        (0.18, lambda one: add_reverberation(one, random)),
        (0.12, compress_as_mp3),
    )
    for share, change in changes:
        if random.random() < share:
            samples = change(samples)
    return samples


def pass_through_vocoder(samples: Samples, random: Random) -> Samples:
    """Keep the magnitudes of the spectrum and blur its phases, as vocoders of neural voices do."""
    from scipy.signal import istft, stft

    _, _, spectrum = stft(samples, nperseg=512, noverlap=384)
    noise = np.random.default_rng(random.getrandbits(32)).normal(0, random.uniform(0.3, 1.5), spectrum.shape)
    _, changed = istft(spectrum * np.exp(1j * noise), nperseg=512, noverlap=384)
    return changed[: len(samples)].astype(np.float32)


def add_reverberation(samples: Samples, random: Random) -> Samples:
    """Convolve with decaying noise: a room of 0.1 to 0.5 s."""
    from scipy.signal import fftconvolve

    generator = np.random.default_rng(random.getrandbits(32))
    length = int(random.uniform(0.1, 0.5) * ANALYSIS_RATE_HZ)
    tail = generator.standard_normal(length) * np.exp(-6.9 * np.arange(length) / length)
    tail *= random.uniform(0.1, 0.6) / np.linalg.norm(tail)
    return (samples + fftconvolve(samples, tail)[: len(samples)]).astype(np.float32)


def compress_as_mp3(samples: Samples) -> Samples:
    """Encode as MP3, and decode again."""
    coded, _ = encode(resample(samples, ANALYSIS_RATE_HZ, 32_000), 32_000, "mp3")
    decoded = decode(coded)
    return resample(decoded.samples, decoded.sample_rate_hz, ANALYSIS_RATE_HZ)


def make_shard(number: int, path: Path) -> None:
    """Write one shard: mel spectra end to end, and the bounds, phonemes and texts of its clips."""
    random = Random(f"{SEED}/{number}")  # noqa: S311 - chosen words, no secrets
    spectra, targets, texts = [], [], []
    for _ in range(CLIPS_PER_SHARD):
        text, voice = choose_text(random), choose_voice(random)
        samples = speak(text, voice, random)
        power = compute_mel_power(samples)
        if not 40 <= len(power) <= 1200:
            continue
        spectra.append(np.log10(np.maximum(power, 1e-10)).astype(np.float16))
        targets.append(encode_phonemes(transcribe_phonemes(text, language=voice.language)))
        texts.append(text)
    partial = path.with_suffix(".partial.npz")
    np.savez(
        partial,
        spectra=np.concatenate(spectra),
        spectrum_bounds=np.cumsum([0, *map(len, spectra)]),
        targets=np.concatenate([np.array(each, np.int16) for each in targets]),
        target_bounds=np.cumsum([0, *map(len, targets)]),
        texts=np.array(texts),
    )
    partial.replace(path)


def main() -> None:
    """Make the shards that are missing: python -m phoneme_network.corpus FOLDER."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    missing = {n: folder / f"{n:03d}.npz" for n in range(SHARDS) if not (folder / f"{n:03d}.npz").exists()}
    with ProcessPoolExecutor(2) as pool:
        making = {pool.submit(make_shard, number, path): number for number, path in missing.items()}
        for done in as_completed(making):
            done.result()
            print(making[done], flush=True)


if __name__ == "__main__":
    main()
