"""What is learned from at once: clips of about one length, as tensors."""

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
"""Encoder frames of 30 s."""
EMPTY_SHARE = 0.02
"""Clips of silence or noise alone, whose transcript is empty: without them silence is transcribed as words."""
CANDIDATES = 192
"""Clips that a batch chooses neighbours in length from, so that little of its context is empty."""
LEAD_S = 0.2
"""Seconds of silence before a clip, on average."""


class Stage(NamedTuple):
    """A part of the training."""

    kinds: tuple[str, ...]
    frames: int
    """Encoder frames at most; longer clips are left out."""
    budget: int
    """Encoder frames a batch, over all its clips."""
    steps: int
    padding: int = 0
    """Frames that stand for all those between the clips' end and the end of the full context; none where 0."""


def pick(folder: Path, stage: Stage, random: np.random.Generator) -> Clip:
    """One clip of the stage."""
    kind = stage.kinds[random.integers(len(stage.kinds))]
    source = shard(folder, kind, int(random.integers(KINDS[kind].shards)))
    lead = int(random.exponential(LEAD_S) * RATE)
    return Clip(source, int(random.integers(len(source.texts))), lead)


def draw(folder: Path, stage: Stage, place: float, random: np.random.Generator) -> tuple[list[Clip], int]:
    """Clips of about one length, and the encoder frames of the batch that holds them.

    `place` from 0 to 1 says how long they are among the stage's clips.
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
    """What one rank learns from in a step."""

    mel: Tensor
    padding: Tensor | None
    """Positions of the full context that stand for the silence behind the clips."""
    tokens: Tensor
    """Of shape (batch, length): start, no-timestamps, words, end; then padding."""
    targets: Tensor
    """What follows each token but the last."""
    centres: Tensor
    """Encoder frame about which each target is said, guessed; negative where the target is not a word."""
    spans: Tensor
    """The first and the last phoneme of each target's word, of shape (batch, length, 2); negative where it is none."""
    phonemes: Tensor
    phoneme_counts: Tensor
    frames: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same where the network is."""
        return Batch(*(None if part is None else part.to(device) for part in self))  # type: ignore[arg-type]  # by place

    def middles(self, spoken: Tensor) -> Tensor:
        """As `centres`, by the log probabilities of the phonemes: (frames, batch, symbols)."""
        targets = [part.tolist() for part in self.phonemes.split(self.phoneme_counts.tolist())]
        begins = [torch.from_numpy(each) for each in align(spoken.detach().cpu().numpy(), targets)]
        padded = nn.utils.rnn.pad_sequence([*begins], batch_first=True).to(self.spans.device)
        ends = padded.gather(1, self.spans.clamp(min=0).flatten(1)).view(self.spans.shape)
        return torch.where(self.spans[..., 0] < 0, IGNORED, ends.float().mean(dim=-1))


def make_batch(folder: Path, stage: Stage, step: int, rank: int) -> Batch:
    """A rank's batch of a step: a function of the seed, the step and the rank alone.

    All ranks hear clips of about one length, so that none waits for the others.
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
    """Rows of unlike length as one tensor."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows], dtype=dtype)


@cache
def _filters() -> Tensor:
    return whisper.audio.mel_filters("cpu", 80)


def log_mel(audio: Tensor) -> Tensor:
    """Whisper's log mel of each clip on its own: (batch, samples) to (batch, 80, frames)."""
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
