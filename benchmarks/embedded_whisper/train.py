"""Trains the embedded Whisper: openai-whisper's own architecture, small, on the emulator's voices.

`make whisper` makes the corpus, trains, exports and measures; what was interrupted goes on where it stood.

Why it learns: first short clips on a short encoder context, until attention finds the words; a CTC
loss over phonemes on the encoder beside the decoder's own; the full 30 s context only at the end.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
import whisper.audio
from corpus import RATE, SEED, shard_path
from numpy.typing import NDArray
from phonemes import symbols, transcribe
from torch import Tensor, nn
from whisper.model import ModelDimensions, Whisper
from whisper.tokenizer import get_tokenizer
from words import vocabulary

WIDTH, HEADS, ENCODER_LAYERS, DECODER_LAYERS = 128, 4, 4, 3
VOCABULARY = 51_864
"""Whisper's English vocabulary; it cannot be smaller."""
FULL_FRAMES = 1500
"""Encoder frames of 30 s."""
CYCLES, WARM_UP_STEPS = ((2700, 2e-3), (1200, 8e-4), (600, 4e-4), (260, 4e-4)), 200
"""Steps and highest learning rate of each: the first learns to listen, the others the full context (SGDR, 2017)."""
EMA = 0.99
EMPTY_SHARE = 0.02
"""Clips of silence or noise alone, whose transcript is empty: without them silence is heard as words."""
FRAME = 320
"""Samples an encoder frame."""
SILENT_END = 6
"""Encoder frames of silence behind each clip at least."""
IGNORED = -100


class Stage(NamedTuple):
    """A part of the training."""

    kinds: tuple[str, ...]
    shards: int
    """How many shards of each kind are drawn from."""
    frames: int
    """Encoder frames at most; longer clips are left out."""
    budget: int
    """Encoder frames a step, over all its clips."""
    steps: int
    padding: int = 0
    """Frames that stand for all those between the clips' end and the end of the full context; none where 0."""
    joined: float = 0.0
    """Share of clips that are two of them, one after the other."""


STAGES = (
    Stage(("short",), 6, 110, 6400, 500),
    Stage(("short", "medium", "medium", "medium"), 10, 240, 8800, 1400),
    Stage(("medium", "long"), 8, 560, 9600, 800),
    Stage(("medium", "long", "long"), 8, 560, 5000, 1800, padding=96),
    Stage(("medium", "long", "long"), 8, 1000, 7000, 260, padding=96, joined=0.6),
)
TOTAL_STEPS = sum(stage.steps for stage in STAGES)
CANDIDATES = 192
"""Clips that a step chooses neighbours in length from, so that little of its context is empty."""


@cache
def tokens() -> tuple[int, ...]:
    """The tokens that occur: end, start, no-timestamps, and those of every word."""
    tokenizer = get_tokenizer(multilingual=False)
    used = {token for word in vocabulary() for token in tokenizer.encode(" " + word)}
    return (
        tokenizer.eot,
        tokenizer.sot,
        tokenizer.no_timestamps,
        tokenizer.no_speech,
        *sorted(used),
    )


class Network(nn.Module):
    """Whisper over the tokens that occur, with a CTC head on its encoder that is thrown away afterwards."""

    def __init__(self) -> None:
        super().__init__()
        dims = ModelDimensions(
            80,
            FULL_FRAMES,
            WIDTH,
            HEADS,
            ENCODER_LAYERS,
            len(tokens()),
            448,
            WIDTH,
            HEADS,
            DECODER_LAYERS,
        )
        self.whisper = Whisper(dims)
        nn.init.normal_(self.whisper.decoder.positional_embedding, std=0.02)
        nn.init.normal_(self.whisper.decoder.token_embedding.weight, std=WIDTH**-0.5)
        self.unused = nn.Parameter(torch.zeros(WIDTH))
        self.phonemes = nn.Linear(WIDTH, len(symbols()))

    def encode(self, mel: Tensor, padding: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Mel of shape (batch, 80, 2 * frames) as features (batch, frames + padding, width), and the bias of attention.

        `padding` are positions behind the clips. Silence sounds the same at each of them, so that a few stand
        for all: each weighs as many times as there are positions to one of them.
        """
        encoder = self.whisper.encoder
        x = F.gelu(encoder.conv1(mel))
        x = F.gelu(encoder.conv2(x)).permute(0, 2, 1)
        frames = x.shape[1]
        positions, bias = torch.arange(frames), None
        if padding is not None:
            x = torch.cat([x, x[:, -3:-2].expand(-1, len(padding), -1)], dim=1)
            positions = torch.cat([positions, padding])
            bias = torch.zeros(1, len(positions))
            bias[:, frames:] = math.log((FULL_FRAMES - frames) / len(padding))
        x = x + encoder.positional_embedding[positions]
        for block in encoder.blocks:
            x = x + attend(block.attn, block.attn_ln(x), bias=bias)
            x = x + block.mlp(block.mlp_ln(x))
        return encoder.ln_post(x), bias

    def decode(self, sequences: Tensor, features: Tensor, bias: Tensor | None) -> Tensor:
        """Logits of shape (batch, length, occurring tokens + 1): the last stands for all tokens that never occur."""
        decoder = self.whisper.decoder
        x = decoder.token_embedding(sequences) + decoder.positional_embedding[: sequences.shape[1]]
        for block in decoder.blocks:
            x = x + attend(block.attn, block.attn_ln(x), causal=True)
            x = x + attend(block.cross_attn, block.cross_attn_ln(x), features, bias)
            x = x + block.mlp(block.mlp_ln(x))
        rows = torch.cat([decoder.token_embedding.weight, self.unused[None]])
        logits = decoder.ln(x) @ rows.T
        # One row, shared by every token that never occurs, is learned once and compresses to nothing.
        return torch.cat(
            [logits[..., :-1], logits[..., -1:] + math.log(VOCABULARY - len(tokens()))],
            dim=-1,
        )

    def losses(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Cross entropy of the decoder and CTC loss of the encoder."""
        features, bias = self.encode(batch.mel, batch.padding)
        scores = self.decode(batch.tokens[:, :-1], features, bias)
        decoder = F.cross_entropy(scores.flatten(0, 1), batch.targets.flatten(), ignore_index=IGNORED)
        heard = features[:, : int(batch.frames[0])]
        spoken = F.log_softmax(self.phonemes(heard), dim=-1).transpose(0, 1)
        ctc = F.ctc_loss(
            spoken,
            batch.phonemes,
            batch.frames,
            batch.phoneme_counts,
            zero_infinity=True,
        )
        return decoder, ctc


def attend(
    layer: Any,
    x: Tensor,
    others: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    causal: bool = False,
) -> Tensor:
    """Whisper's attention, which by itself takes no bias: `x` looks at `others`, or at itself."""
    source = x if others is None else others
    heads = [
        part.unflatten(-1, (HEADS, -1)).transpose(1, 2)
        for part in (layer.query(x), layer.key(source), layer.value(source))
    ]
    mixed = F.scaled_dot_product_attention(*heads, attn_mask=bias, is_causal=causal)
    return layer.out(mixed.transpose(1, 2).flatten(2))


class Batch(NamedTuple):
    """What one step learns from."""

    mel: Tensor
    padding: Tensor | None
    """Positions of the full context that stand for the silence behind the clips."""
    tokens: Tensor
    """Of shape (batch, length): start, no-timestamps, words, end; then padding."""
    targets: Tensor
    """What follows each token but the last."""
    phonemes: Tensor
    phoneme_counts: Tensor
    frames: Tensor


class Shard:
    """Clips of one file."""

    def __init__(self, path: Path) -> None:
        with np.load(path) as data:
            self.audio, self.bounds, self.texts = (
                data["audio"],
                data["bounds"],
                data["texts"],
            )

    def clip(self, index: int) -> tuple[NDArray[np.float32], str]:
        """Samples at 16 kHz and their text."""
        samples = self.audio[self.bounds[index] : self.bounds[index + 1]]
        return samples.astype(np.float32) / 32768, str(self.texts[index])


@cache
def shard(folder: Path, kind: str, number: int) -> Shard:
    """A shard, waited for where it is still being made."""
    path = shard_path(folder, kind, number)
    while not path.exists():
        time.sleep(2)
    return Shard(path)


def worsen(samples: NDArray[np.float32], random: np.random.Generator) -> NDArray[np.float32]:
    """What a line does to speech: gain, noise of some colour, a narrow band, lost packets."""
    samples = samples * 10 ** random.uniform(-1.0, 0.3)
    level = float(np.sqrt(np.mean(samples**2))) + 1e-6
    if random.random() < 0.08:
        spectrum = np.fft.rfft(samples)
        spectrum[int(len(spectrum) * random.uniform(0.4, 0.9)) :] = 0
        samples = np.fft.irfft(spectrum, len(samples)).astype(np.float32)
    if random.random() < 0.6:
        noise = random.standard_normal(len(samples)).astype(np.float32)
        if random.random() < 0.3:
            noise = np.convolve(noise, np.ones(8, np.float32) / 8**0.5, "same")
        samples = samples + noise * np.float32(level * 10 ** (-random.uniform(8, 50) / 20))
    if random.random() < 0.05:
        lost = random.random(len(samples) // 320 + 1) < 0.05
        samples = samples * ~np.repeat(lost, 320)[: len(samples)]
    return samples.astype(np.float32)


class Part(NamedTuple):
    """A recorded text and the samples of silence before it."""

    source: Shard
    index: int
    lead: int

    @property
    def samples(self) -> int:
        """How many there are, the silence included."""
        return int(self.lead + self.source.bounds[self.index + 1] - self.source.bounds[self.index])


class Clip(NamedTuple):
    """What a step may hear."""

    parts: tuple[Part, ...]

    @property
    def frames(self) -> int:
        """Encoder frames that it fills."""
        return math.ceil(sum(part.samples for part in self.parts) / FRAME) + SILENT_END

    def heard(self, random: np.random.Generator) -> tuple[NDArray[np.float32], str]:
        """Samples as a line would carry them, and their text."""
        spoken = [(part.lead, *part.source.clip(part.index)) for part in self.parts]
        samples = [piece for lead, said, _ in spoken for piece in (np.zeros(lead, np.float32), said)]
        return worsen(np.concatenate(samples), random), " ".join(text for _, _, text in spoken)


def pick(folder: Path, stage: Stage, random: np.random.Generator) -> Part:
    """One recorded text of the stage."""
    kind = stage.kinds[random.integers(len(stage.kinds))]
    source = shard(folder, kind, int(random.integers(min(stage.shards, 6) if kind == "short" else stage.shards)))
    return Part(source, int(random.integers(len(source.texts))), int(random.uniform(0, 0.35) * RATE))


def draw(folder: Path, stage: Stage, random: np.random.Generator) -> tuple[list[Clip], int]:
    """Clips of about one length, and the encoder frames of the step that hears them."""
    found = []
    for _ in range(CANDIDATES):
        count = 2 if stage.joined and random.random() < stage.joined else 1
        clip = Clip(tuple(pick(folder, stage, random) for _ in range(count)))
        if clip.frames <= stage.frames:
            found.append(clip)
    found.sort(key=lambda clip: clip.frames)
    first = int(random.integers(max(1, len(found) - stage.budget // stage.frames)))
    spare = random.uniform(1.0, 1.3)
    for last in range(first + 1, len(found) + 1):
        frames = min(stage.frames, int(found[last - 1].frames * spare))
        if (last + 1 - first) * frames > stage.budget:
            break
    return found[first:last], frames


def silence(frames: int, random: np.random.Generator) -> NDArray[np.float32]:
    """Silence or noise alone."""
    noise = random.standard_normal(frames * FRAME // 2).astype(np.float32)
    return noise * np.float32(10 ** random.uniform(-6, -1))


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


def make_batch(folder: Path, stage: Stage, step: int) -> Batch:
    """The batch of a step: a function of the seed and the step's number alone."""
    random = np.random.default_rng([SEED, step])
    drawn, frames = draw(folder, stage, random)
    clips = [(silence(frames, random), "") if random.random() < EMPTY_SHARE else clip.heard(random) for clip in drawn]
    audio = torch.zeros(len(clips), frames * FRAME)
    for row, (samples, _) in zip(audio, clips, strict=True):
        row[: len(samples)] = torch.from_numpy(samples[: len(row)])
    tokenizer, index = (
        get_tokenizer(multilingual=False),
        {token: number for number, token in enumerate(tokens())},
    )
    rows, wanted = [], []
    for _, text in clips:
        spelled = tokenizer.encode(" " + text) if text else []
        rows.append(
            [
                index[token]
                for token in (
                    tokenizer.sot,
                    tokenizer.no_timestamps,
                    *spelled,
                    tokenizer.eot,
                )
            ]
        )
        # As in Whisper's own training, what follows the start says whether there is speech.
        wanted.append([rows[-1][1] if text else index[tokenizer.no_speech], *rows[-1][2:]])
    longest = max(map(len, rows))
    targets = [transcribe(text) or [0] for _, text in clips]
    counts = [len(transcribe(text)) for _, text in clips]
    padding = None
    if stage.padding:
        padding = torch.from_numpy(np.sort(random.choice(np.arange(frames, FULL_FRAMES), stage.padding, replace=False)))
    return Batch(
        mel=log_mel(audio),
        padding=padding,
        tokens=torch.tensor([row + [0] * (longest - len(row)) for row in rows]),
        targets=torch.tensor([row + [IGNORED] * (longest - 1 - len(row)) for row in wanted]),
        phonemes=torch.tensor(
            [symbol for target, count in zip(targets, counts, strict=True) for symbol in target[:count]]
        ),
        phoneme_counts=torch.tensor(counts),
        frames=torch.full((len(clips),), frames),
    )


def plan() -> Iterator[Stage]:
    """The stage of each step."""
    for stage in STAGES:
        yield from (stage for _ in range(stage.steps))


def learning_rate(step: int) -> float:
    """Warm-up, then a cosine down to a fiftieth, begun anew and lower with each cycle."""
    first = 0
    for steps, peak in CYCLES:
        if step < first + steps:
            return peak * min(1.0, (step + 1) / WARM_UP_STEPS) * cosine((step - first) / steps)
        first += steps
    raise ValueError(f"no cycle holds step {step}")


def cosine(progress: float) -> float:
    """From 1 down to a fiftieth."""
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))


def main() -> None:
    """Train, saving every 100 steps; start again where the last save stands: train.py SHARDS WORK."""
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    network = Network()
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01, betas=(0.9, 0.98))
    first, last = 0, work / "last.pt"
    if last.exists():
        saved = torch.load(last, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        first, average = saved["step"], saved["average"]
    started = time.perf_counter()
    sums = [0.0, 0.0]
    for step, stage in enumerate(plan()):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        decoder, ctc = network.losses(make_batch(folder, stage, step))
        optimizer.zero_grad(set_to_none=True)
        (decoder + 0.5 * ctc).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        keep = min(EMA, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            average[name].mul_(keep).add_(value, alpha=1 - keep)
        sums = [sums[0] + decoder.item(), sums[1] + ctc.item()]
        if (step + 1) % 50 == 0:
            spent = (time.perf_counter() - started) / (step + 1 - first)
            print(
                f"{step + 1} decoder {sums[0] / 50:.3f} ctc {sums[1] / 50:.3f} {spent:.2f} s a step",
                flush=True,
            )
            sums = [0.0, 0.0]
        if (step + 1) % 100 == 0 or step + 1 == TOTAL_STEPS:
            state = {
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "average": average,
            }
            torch.save({**state, "step": step + 1}, work / "partial.pt")
            (work / "partial.pt").replace(last)


if __name__ == "__main__":
    main()
