"""Trains the embedded Whisper: openai-whisper's own architecture, small, on the emulator's voices.

`make whisper` makes the corpus, trains, exports and measures; what was interrupted goes on where it stood.

Why it learns: short clips on a short encoder context first, until attention finds the words; a CTC
loss over phonemes on the encoder beside the decoder's own; attention that is shown where in the
clip each word is; the full 30 s context once all that stands.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
import whisper.audio
from aligning import align
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
PEAK_RATE, WARM_UP_STEPS, STRAIGHT_FROM = 2e-3, 200, 3200
"""Highest learning rate, the steps until it is reached, and the step from which it falls in a straight line."""
CTC_WEIGHT, GUIDE_WEIGHT = 0.5, 0.5
GUIDED_HEADS, FIRST_GUIDED_LAYER = 2, 1
"""Heads of each cross attention, from this decoder layer on, that are shown where the words are."""
ALIGNED_FROM = 2900
"""Step from which the CTC head says where each word is. Until it hears well, all phonemes are taken to be as long."""
NEAR_GUESSED, NEAR_ALIGNED = 15, 8
"""Encoder frames about a word's middle that guided attention may look at: standard deviations."""
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
    parts: int = 1
    """How many recorded texts may follow one another in a clip."""


STAGES = (
    Stage(("short",), 6, 110, 6400, 400),
    Stage(("short", "medium", "medium", "medium"), 10, 240, 6400, 900),
    Stage(("medium", "long", "long"), 8, 400, 6400, 1000, padding=48),
    Stage(("medium", "long", "long"), 8, 700, 6400, 2300, padding=48, parts=4),
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

    def decode(self, sequences: Tensor, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
        """Logits of shape (batch, length, occurring tokens + 1): the last stands for all tokens that never occur.

        And where the guided heads looked: (batch, heads, length, frames + padding).
        """
        decoder = self.whisper.decoder
        x = decoder.token_embedding(sequences) + decoder.positional_embedding[: sequences.shape[1]]
        guided = []
        for number, block in enumerate(decoder.blocks):
            x = x + attend(block.attn, block.attn_ln(x), causal=True)
            heard, looks = look(block.cross_attn, block.cross_attn_ln(x), features, bias)
            x = x + heard
            x = x + block.mlp(block.mlp_ln(x))
            if number >= FIRST_GUIDED_LAYER:
                guided.append(looks[:, :GUIDED_HEADS])
        rows = torch.cat([decoder.token_embedding.weight, self.unused[None]])
        logits = decoder.ln(x) @ rows.T
        # One row, shared by every token that never occurs, is learned once and compresses to nothing.
        rare = logits[..., -1:] + math.log(VOCABULARY - len(tokens()))
        return torch.cat([logits[..., :-1], rare], dim=-1), torch.cat(guided, dim=1)

    def losses(self, batch: Batch, *, aligned: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Cross entropy of the decoder, CTC loss of the encoder, and how far guided attention looks from the words.

        Where the words are is what the CTC head says if `aligned`, else the batch's guess.
        """
        features, bias = self.encode(batch.mel, batch.padding)
        scores, looks = self.decode(batch.tokens[:, :-1], features, bias)
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
        if aligned:
            # The logarithm pulls a look from afar too; a mere guess must not pull so hard.
            guide = -torch.log(1 + 1e-6 - stray(looks, batch.middles(spoken), NEAR_ALIGNED)).mean()
        else:
            guide = stray(looks, batch.centres, NEAR_GUESSED).mean()
        return decoder, ctc, guide


def attend(layer: Any, x: Tensor, bias: Tensor | None = None, *, causal: bool = False) -> Tensor:
    """Whisper's self attention, which by itself takes no bias."""
    mixed = F.scaled_dot_product_attention(*split(layer, x, x), attn_mask=bias, is_causal=causal)
    return layer.out(mixed.transpose(1, 2).flatten(2))


def look(layer: Any, x: Tensor, features: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """Whisper's cross attention, and its weights: (batch, heads, length, frames + padding)."""
    query, key, value = split(layer, x, features)
    scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
    weights = (scores if bias is None else scores + bias).softmax(dim=-1)
    return layer.out((weights @ value).transpose(1, 2).flatten(2)), weights


def split(layer: Any, x: Tensor, source: Tensor) -> list[Tensor]:
    """Queries, keys and values by head: (batch, heads, length, width / heads)."""
    projected = (layer.query(x), layer.key(source), layer.value(source))
    return [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in projected]


def stray(looks: Tensor, centres: Tensor, near: float) -> Tensor:
    """The share of each look that goes elsewhere than to the word being said (Tachibana et al., 2018, about words).

    Of shape (looks,): of each head at each token that is part of a word.
    """
    frames = torch.arange(looks.shape[-1])
    close = torch.exp(-(((frames - centres[..., None]) / near) ** 2) / 2)
    lost = 1 - (looks * close[:, None]).sum(dim=-1)
    return lost.transpose(1, 2)[centres >= 0].flatten()


class Batch(NamedTuple):
    """What one step learns from."""

    mel: Tensor
    padding: Tensor | None
    """Positions of the full context that stand for the silence behind the clips."""
    tokens: Tensor
    """Of shape (batch, length): start, no-timestamps, words, end; then padding."""
    targets: Tensor
    """What follows each token but the last."""
    centres: Tensor
    """Encoder frame about which each target is said, guessed; negative where it is no word."""
    spans: Tensor
    """The first and the last phoneme of each target's word, of shape (batch, length, 2); negative where it is none."""
    phonemes: Tensor
    phoneme_counts: Tensor
    frames: Tensor

    def middles(self, spoken: Tensor) -> Tensor:
        """As `centres`, by the log probabilities of the phonemes: (frames, batch, symbols)."""
        targets = [part.tolist() for part in self.phonemes.split(self.phoneme_counts.tolist())]
        begins = [torch.from_numpy(each) for each in align(spoken.detach().numpy(), targets)]
        padded = nn.utils.rnn.pad_sequence([*begins], batch_first=True)
        ends = padded.gather(1, self.spans.clamp(min=0).flatten(1)).view(self.spans.shape)
        return torch.where(self.spans[..., 0] < 0, IGNORED, ends.float().mean(dim=-1))


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


class Heard(NamedTuple):
    """What a step hears of a clip."""

    samples: NDArray[np.float32]
    words: tuple[str, ...] = ()
    centres: tuple[float, ...] = ()
    """Encoder frame about which each word is said."""


class Clip(NamedTuple):
    """What a step may hear."""

    parts: tuple[Part, ...]

    @property
    def frames(self) -> int:
        """Encoder frames that it fills."""
        return math.ceil(sum(part.samples for part in self.parts) / FRAME) + SILENT_END

    def heard(self, random: np.random.Generator) -> Heard:
        """The clip as a line would carry it."""
        pieces, words, centres = [], [], []
        first = 0
        for part in self.parts:
            said, text = part.source.clip(part.index)
            pieces += [np.zeros(part.lead, np.float32), said]
            words += text.split()
            centres += middles(text.split(), first + part.lead, len(said))
            first += part.lead + len(said)
        return Heard(worsen(np.concatenate(pieces), random), tuple(words), tuple(centres))


def middles(words: list[str], first: int, samples: int) -> list[float]:
    """Encoder frame about which each word is said, were each phoneme as long as the others."""
    counts = np.array([len(transcribe(word)) + 1 for word in words])
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = (first + samples * (ends - counts / 2) / ends[-1]) / FRAME
    return list(middle)


def pick(folder: Path, stage: Stage, random: np.random.Generator) -> Part:
    """One recorded text of the stage."""
    kind = stage.kinds[random.integers(len(stage.kinds))]
    source = shard(folder, kind, int(random.integers(min(stage.shards, 6) if kind == "short" else stage.shards)))
    return Part(source, int(random.integers(len(source.texts))), int(random.uniform(0, 0.35) * RATE))


def draw(folder: Path, stage: Stage, random: np.random.Generator) -> tuple[list[Clip], int]:
    """Clips of about one length, and the encoder frames of the step that hears them."""
    found = []
    for _ in range(CANDIDATES):
        count = int(random.integers(stage.parts)) + 1
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


def silence(frames: int, random: np.random.Generator) -> Heard:
    """Silence or noise alone."""
    noise = random.standard_normal(frames * FRAME // 2).astype(np.float32)
    return Heard(noise * np.float32(10 ** random.uniform(-6, -1)))


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
    clips = [silence(frames, random) if random.random() < EMPTY_SHARE else clip.heard(random) for clip in drawn]
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


class Spelled(NamedTuple):
    """A clip as the decoder sees it."""

    tokens: list[int]
    targets: list[int]
    """What follows each token but the last."""
    centres: list[float]
    """Encoder frame about which each target is said, guessed; negative where it is no word."""
    spans: tuple[list[int], list[int]]
    """The first and the last phoneme of each target's word."""


def spell(clip: Heard) -> Spelled:
    """The tokens of a clip, by their place among those that occur."""
    tokenizer, index = get_tokenizer(multilingual=False), places()
    start, end = [index[tokenizer.sot], index[tokenizer.no_timestamps]], index[tokenizer.eot]
    words = [[index[token] for token in tokenizer.encode(" " + word)] for word in clip.words]
    said = [token for word in words for token in word]
    about = [centre for word, centre in zip(words, clip.centres, strict=True) for _ in word]
    counts = [len(transcribe(word)) for word in clip.words]
    # A gap stands between the phonemes of one word and the next.
    firsts = np.cumsum([0, *(count + 1 for count in counts)]).tolist()
    begins = [first for word, first in zip(words, firsts, strict=False) for _ in word]
    ends = [first + count - 1 for word, first, count in zip(words, firsts, counts, strict=False) for _ in word]
    # As in Whisper's own training, what follows the start says whether there is speech.
    after_start = start[1] if said else index[tokenizer.no_speech]
    around = [[IGNORED, *values, IGNORED] for values in (about, begins, ends)]
    return Spelled([*start, *said, end], [after_start, *said, end], around[0], (around[1], around[2]))


@cache
def places() -> dict[int, int]:
    """The place of each token among those that occur."""
    return {token: number for number, token in enumerate(tokens())}


def stacked(rows: Sequence[Sequence[float]], filler: float, dtype: torch.dtype) -> Tensor:
    """Rows of unlike length as one tensor."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[filler] * (longest - len(row))] for row in rows], dtype=dtype)


def plan() -> Iterator[Stage]:
    """The stage of each step."""
    for stage in STAGES:
        yield from (stage for _ in range(stage.steps))


def learning_rate(step: int) -> float:
    """Warm-up, then a cosine, then a straight line down to nothing."""
    warm = min(1.0, (step + 1) / WARM_UP_STEPS)
    curve = 0.5 * (1 + math.cos(math.pi * min(step, STRAIGHT_FROM) / TOTAL_STEPS))
    return PEAK_RATE * warm * curve * min(1.0, (TOTAL_STEPS - step) / (TOTAL_STEPS - STRAIGHT_FROM))


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
    sums = np.zeros(3)
    for step, stage in enumerate(plan()):
        if step < first:
            continue
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        decoder, ctc, guide = network.losses(make_batch(folder, stage, step), aligned=step >= ALIGNED_FROM)
        optimizer.zero_grad(set_to_none=True)
        (decoder + CTC_WEIGHT * ctc + GUIDE_WEIGHT * guide).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        keep = min(EMA, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            average[name].mul_(keep).add_(value, alpha=1 - keep)
        sums += decoder.item(), ctc.item(), guide.item()
        if (step + 1) % 50 == 0:
            spent = (time.perf_counter() - started) / (step + 1 - first)
            losses = " ".join(f"{value:.3f}" for value in sums / 50)
            print(f"{step + 1} decoder, ctc, guide {losses}; {spent:.2f} s a step", flush=True)
            sums[:] = 0
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
