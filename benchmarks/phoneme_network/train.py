"""Trains the phoneme network, and writes it as the file of the package.

`make phonemes` makes the corpus and trains; an interrupted training continues from the last save. Weights are averaged
over the last steps, and stored in half precision.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention

from phoneme_network.batches import Batch, load_clips, make_batch
from phoneme_network.corpus import SEED, SHARDS
from phoneme_network.network import PhonemeNetwork
from voicegauge.speech.phoneme_network import WEIGHTS_PATH

STEPS = 1800
HEAD_STEPS = 200
"""Steps at the start in which only the head learns. The gradients of a random head would spoil the encoder."""
FRAME_BUDGET = 3000
ENCODER_RATE, HEAD_RATE = 4e-4, 4e-3
WARM_UP_STEPS = 40
AVERAGING = 0.985
HELD_OUT_SHARDS = 1


def compute_rate_factor(step: int, first_step: int) -> float:
    """Return the factor of the learning rate at a step: 0 at first, then a linear warm-up, then half a cosine."""
    warm_up = min(1.0, max(0, step + 1 - first_step) / WARM_UP_STEPS)
    return warm_up * 0.5 * (1 + math.cos(math.pi * step / STEPS))


def compute_loss(network: PhonemeNetwork, batch: Batch) -> torch.Tensor:
    """Return the CTC loss, per phoneme."""
    scores = network(batch.mel)
    loss = F.ctc_loss(scores, batch.targets, batch.frames, batch.target_counts, reduction="sum", zero_infinity=True)
    return loss / batch.target_counts.sum()


def save_weights(average: dict[str, torch.Tensor], path: Path) -> None:
    """Write the weights by the names that the package uses, without the fixed positions."""
    packed = {
        name.removeprefix("encoder."): value.numpy().astype(np.float16)
        for name, value in average.items()
        if name != "encoder.positional_embedding"
    }
    np.savez_compressed(path, **packed)


def main() -> None:
    """Train, saving every 100 steps: python -m phoneme_network.train CORPUS WORK [SECONDS]."""
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    limit_s = float(sys.argv[3]) if len(sys.argv) > 3 else math.inf
    work.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # a second one waits for the first wherever other work shares the cores
    torch.manual_seed(SEED)
    network, last = PhonemeNetwork(), work / "last.pt"
    optimizer = torch.optim.AdamW(
        [
            {"params": network.encoder.parameters(), "lr": ENCODER_RATE},
            {"params": network.head.parameters(), "lr": HEAD_RATE},
        ],
        weight_decay=0.01,
        betas=(0.9, 0.98),
    )
    factors = [functools.partial(compute_rate_factor, first_step=first) for first in (HEAD_STEPS, 0)]
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factors)
    average = {name: value.clone() for name, value in network.state_dict().items()}
    step = 0
    if last.exists():
        saved = torch.load(last, weights_only=True)
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        scheduler.load_state_dict(saved["scheduler"])
        step, average = saved["step"], saved["average"]
    clips = load_clips(folder, range(HELD_OUT_SHARDS, SHARDS))
    started_s, first_step, losses = time.perf_counter(), step, []
    while step < STEPS and time.perf_counter() - started_s < limit_s:
        network.encoder.requires_grad_(step >= HEAD_STEPS)
        loss = compute_loss(network, make_batch(clips, FRAME_BUDGET, np.random.default_rng([SEED, step])))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        keep = min(AVERAGING, (step + 1) / (step + 20))
        for name, value in network.state_dict().items():
            average[name].lerp_(value, 1 - keep)
        step += 1
        losses.append(loss.item())
        if step % 50 == 0:
            spent_s = (time.perf_counter() - started_s) / (step - first_step)
            print(f"{step}: loss per phoneme {np.mean(losses[-50:]):.3f}, {spent_s:.2f} s per step", flush=True)
        if step % 100 == 0 or step == STEPS:
            state = {"network": network.state_dict(), "optimizer": optimizer.state_dict(), "average": average}
            torch.save({**state, "scheduler": scheduler.state_dict(), "step": step}, last)
            save_weights(average, work / WEIGHTS_PATH.name)
    save_weights(average, WEIGHTS_PATH if step == STEPS else work / WEIGHTS_PATH.name)


if __name__ == "__main__":
    main()
