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
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from batches import Stage, make_batch
from corpus import SEED
from network import Network
from torch import nn

PEAK_RATE, WARM_UP_STEPS, STRAIGHT_FROM = 2e-3, 200, 3200
"""Highest learning rate, the steps until it is reached, and the step from which it falls in a straight line."""
CTC_WEIGHT, GUIDE_WEIGHT = 0.5, 0.5
ALIGNED_FROM = 2900
"""Step from which the CTC head says where each word is. Until it hears well, all phonemes are taken to be as long."""
EMA = 0.99
STAGES = (
    Stage(("short",), 6, 110, 6400, 400),
    Stage(("short", "medium", "medium", "medium"), 10, 240, 6400, 900),
    Stage(("medium", "long", "long"), 8, 400, 6400, 1000, padding=48),
    Stage(("medium", "long", "long"), 8, 700, 6400, 2300, padding=48, parts=4),
)
TOTAL_STEPS = sum(stage.steps for stage in STAGES)


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
