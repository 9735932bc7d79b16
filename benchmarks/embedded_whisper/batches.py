"""Makes the batches of the training: tensors of clips of about the same length."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import whisper.audio
from torch import Tensor, nn

from embedded_whisper.aligning import align
from embedded_whisper.clips import FRAME, Clip, shard, silence
from embedded_whisper.corpus import KINDS, RATE, SEED
from embedded_whisper.phonemes import transcribe
from embedded_whisper.spelling import IGNORED, spell

FULL_FRAMES = 1500
"""Number of encoder frames in 30 s."""
EMPTY_SHARE = 0.02
"""Share of clips of silence or noise alone, with an empty transcript. Without them, silence is transcribed as words."""
CANDIDATES = 192
"""Number of random clips from which those of a batch are chosen by their length, so that little of its context is
empty."""
LEAD_S = 0.2
"""Mean duration of the silence before a clip, in seconds."""


class Stage(NamedTuple):
    """A part of the training, with clips of certain lengths."""

    kinds: tuple[str, ...]
    frames: int
    """Largest number of encoder frames of a clip; longer clips are left out."""
    budget: int
    """Number of encoder frames of all clips of a batch together."""
    steps: int
    padding: int = 0
    """Number of frames that represent all frames from the end of the clips to the end of the full context; 0 if the
    context ends with the clips."""


def pick(folder: Path, stage: Stage, random: np.random.Generator) -> Clip:
    """Return a random clip of the stage."""
    kind = stage.kinds[random.integers(len(stage.kinds))]
    source = shard(folder, kind, int(random.integers(KINDS[kind].shards)))
    lead = int(random.exponential(LEAD_S) * RATE)
    return Clip(source, int(random.integers(len(source.texts))), lead)


def draw(folder: Path, stage: Stage, place: float, random: np.random.Generator) -> tuple[list[Clip], int]:
    """Return clips of about the same length, and the number of encoder frames of their batch.

    Args:
        folder: folder of the shards.
        stage: the stage of the training.
        place: how long the clips are among those of the stage, from 0 for the shortest to 1 for the longest.
        random: source of random numbers.
    """
    candidates = (pick(folder, stage, random) for _ in range(CANDIDATES))
    found = sorted((clip for clip in candidates if clip.frames <= stage.frames), key=lambda clip: clip.frames)
    first = int(place * max(1, len(found) - stage.budget // stage.frames))
    spare = random.uniform(1.0, 1.3)
    for last in range(first + 1, len(found) + 1):
        frames = min(stage.frames, int(found[last - 1].frames * spare))
        if (last + 1 - first) * frames > stage.budget:
            break
    return found[first:last], frames


class Batch(NamedTuple):
    """The clips that one rank (process) learns from in one step."""

    mel: Tensor
    padding: Tensor | None
    """Positions of the full context that represent the silence after the clips."""
    tokens: Tensor
    """Tokens of shape (batch, length): start, no-timestamps, words, end; then padding."""
    targets: Tensor
    """The token that follows each token except the last one."""
    centres: Tensor
    """Estimated encoder frame at the middle of the word of each target; negative if the target is not part of a word.
    """
    spans: Tensor
    """Indices of the first and the last phoneme of each target's word, of shape (batch, length, 2); negative if the
    target is not part of a word."""
    phonemes: Tensor
    phoneme_counts: Tensor
    frames: Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on `device`, where the network is."""
        return Batch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]  # by place

    def middles(self, spoken: Tensor) -> Tensor:
        """Return what `centres` estimates, as found by aligning the phonemes.

        `spoken` has the log probabilities of the phonemes, of shape (frames, batch, symbols).
        """
        targets = [part.tolist() for part in self.phonemes.split(self.phoneme_counts.tolist())]
        begins = [torch.from_numpy(each) for each in align(spoken.detach().cpu().numpy(), targets)]
        padded = nn.utils.rnn.pad_sequence([*begins], batch_first=True).to(self.spans.device)
        ends = padded.gather(1, self.spans.clamp(min=0).flatten(1)).view(self.spans.shape)
        return torch.where(self.spans[..., 0] < 0, IGNORED, ends.float().mean(dim=-1))


def make_batch(folder: Path, stage: Stage, step: int, rank: int) -> Batch:
    """Return the batch of one rank in one step, which depends on the seed, the step and the rank only.

    All ranks get clips of about the same length, so that none waits for the others.
    """
    random = np.random.default_rng([SEED, step, rank])
    drawn, frames = draw(folder, stage, np.random.default_rng([SEED, step]).random(), random)
    clips = [silence(frames, random) if random.random() < EMPTY_SHARE else clip.audible(random) for clip in drawn]
    audio = torch.zeros(len(clips), frames * FRAME)
    for row, clip in zip(audio, clips, strict=True):
        row[: len(clip.samples)] = torch.from_numpy(clip.samples[: len(row)])
    spelled = [spell(clip) for clip in clips]
    spoken = [transcribe(" ".join(clip.words)) for clip in clips]
    padding = None
    if stage.padding:
        padding = torch.from_numpy(np.sort(random.choice(np.arange(frames, FULL_FRAMES), stage.padding, replace=False)))
    return Batch(
        mel=log_mel(audio),
        padding=padding,
        tokens=stacked([each.tokens for each in spelled], 0, torch.long),
        targets=stacked([each.targets for each in spelled], IGNORED, torch.long),
        centres=stacked([each.centres for each in spelled], IGNORED, torch.float),
        spans=torch.stack([stacked([each.spans[end] for each in spelled], IGNORED, torch.long) for end in (0, 1)], -1),
        phonemes=torch.tensor([symbol for target in spoken for symbol in target], dtype=torch.long),
        phoneme_counts=torch.tensor([len(target) for target in spoken]),
        frames=torch.full((len(clips),), frames),
    )


def stacked(rows: Sequence[Sequence[float]], filler: float, dtype: torch.dtype) -> Tensor:
    """Return rows of different lengths as one tensor, filled with `filler`."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows], dtype=dtype)


@cache
def _filters() -> Tensor:
    return whisper.audio.mel_filters("cpu", 80)


def log_mel(audio: Tensor) -> Tensor:
    """Return Whisper's log mel spectrum of each clip: (batch, samples) becomes (batch, 80, frames)."""
    window = torch.hann_window(whisper.audio.N_FFT)
    stft = torch.stft(
        audio,
        whisper.audio.N_FFT,
        whisper.audio.HOP_LENGTH,
        window=window,
        return_complex=True,
    )
    mel = (_filters() @ stft[..., :-1].abs() ** 2).clamp(min=1e-10).log10()
    return (torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - 8.0) + 4.0) / 4.0
