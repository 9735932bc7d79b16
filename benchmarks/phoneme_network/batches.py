"""Batches of clips of about one length, with noise, equalization and masks that are drawn again each time."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from voicegauge.speech.phoneme_network import normalize_mel_power

FLOOR = -10.0
"""Log power of digital silence."""
EMPTY_SHARE = 0.03
"""Share of clips whose speech is replaced by noise alone, which has no phonemes."""
CANDIDATE_COUNT = 160
MAX_FRAMES = 500
"""Largest number of output frames of a clip, 10 s; longer clips are left out."""


class Clips(NamedTuple):
    """All clips of a corpus."""

    spectra: list[NDArray[np.float16]]
    targets: list[NDArray[np.int16]]


def load_clips(folder: Path, shard_numbers: range) -> Clips:
    """Read shards that `corpus` made."""
    clips = Clips([], [])
    for number in shard_numbers:
        with np.load(folder / f"{number:03d}.npz") as shard:
            spectra, targets = shard["spectra"], shard["targets"]
            clips.spectra.extend(np.split(spectra, shard["spectrum_bounds"][1:-1]))
            clips.targets.extend(np.split(targets, shard["target_bounds"][1:-1]))
    return clips


class Batch(NamedTuple):
    """The clips from which the network learns in one step."""

    mel: Tensor
    """Mel spectra of shape (clips, 80, 2 * frames)."""
    targets: Tensor
    target_counts: Tensor
    frames: Tensor


def make_batch(clips: Clips, frame_budget: int, random: np.random.Generator) -> Batch:
    """Return clips of about one length that together have at most `frame_budget` output frames."""
    drawn = sorted(random.integers(len(clips.spectra), size=CANDIDATE_COUNT), key=lambda i: len(clips.spectra[i]))
    drawn = [index for index in drawn if len(clips.spectra[index]) <= 2 * MAX_FRAMES - 120]
    first = int(random.random() * len(drawn) * 0.9)
    chosen: list[int] = []
    for index in drawn[first:]:
        if (len(chosen) + 1) * (len(clips.spectra[index]) // 2 + 60) > frame_budget:
            break
        chosen.append(index)
    length = 2 * min(MAX_FRAMES, max(len(clips.spectra[index]) for index in chosen) // 2 + 50)
    mel = np.zeros((len(chosen), length, 80), np.float32)
    targets = []
    for row, index in zip(mel, chosen, strict=True):
        spectrum = np.full((length, 80), FLOOR, np.float32)
        speech = clips.spectra[index].astype(np.float32)
        lead = int(random.integers(0, length - len(speech) + 1))
        is_empty = random.random() < EMPTY_SHARE
        if not is_empty:
            spectrum[lead : lead + len(speech)] = speech
        row[:] = normalize_mel_power(distort(spectrum, float(speech.max()), random))
        targets.append(np.zeros(0, np.int16) if is_empty else clips.targets[index])
    return Batch(
        mel=torch.from_numpy(mel).transpose(1, 2).contiguous(),
        targets=torch.from_numpy(np.concatenate(targets).astype(np.int64)),
        target_counts=torch.tensor([len(one) for one in targets]),
        frames=torch.full((len(chosen),), length // 2),
    )


def distort(log_power: NDArray[np.float32], peak: float, random: np.random.Generator) -> NDArray[np.float32]:
    """Return the spectrum with another gain and equalization, noise, a narrower band, and masked bands."""
    bands = np.linspace(-1, 1, 80, dtype=np.float32)
    changed = log_power + np.float32(random.uniform(-2.5, 0.6))
    if random.random() < 0.6:
        tilt, bend, ripple = random.normal(0, 0.5), random.normal(0, 0.3), random.normal(0, 0.2)
        phase = random.uniform(0, 6.3)
        changed = changed + (tilt * bands + bend * bands**2 + ripple * np.sin(4 * bands + phase)).astype(np.float32)
    if random.random() < 0.6:
        level = peak - random.uniform(1.0, 5.0) + random.normal(0, 0.5) * bands
        noise = random.gamma(2.0, 0.5, changed.shape).astype(np.float32) * np.float32(10) ** level.astype(np.float32)
        changed = np.log10(np.float32(10) ** changed + noise)
    if random.random() < 0.12:
        changed[:, int(random.integers(48, 76)) :] = FLOOR
    if random.random() < 0.3:
        begin = int(random.integers(0, 70))
        changed[:, begin : begin + int(random.integers(1, 10))] = changed.mean()
    masked: NDArray[np.float32] = np.maximum(changed, np.float32(FLOOR))
    return masked
