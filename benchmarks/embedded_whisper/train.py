"""Trains the embedded Whisper, a small network of openai-whisper's architecture, on the emulator's voices.

`make whisper` makes the corpus, trains, exports and measures; an interrupted training continues from the last save.

Such a small network learns only if it is guided. It begins with short clips on a short encoder context, until a CTC
loss of phonemes has taught the encoder to recognize sounds. After that, the decoder's attention is guided to the
position of each word in the clip, and the context is the full 30 s.

Two processes (ranks) of one thread learn from one batch each in every step, and use the mean of their gradients. So the
weights do not depend on the number of cores. A GPU is used if there is one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.distributed
import torch.multiprocessing
from torch import Tensor, nn

from embedded_whisper.batches import Stage, make_batch
from embedded_whisper.corpus import SEED
from embedded_whisper.muon import Muon
from embedded_whisper.network import Network

RANKS = 2
RATES = {-1: 0.0, 149: 2e-3, 1610: 2e-3, 2600: 1.33779e-3, 4000: 0.0}
"""Learning rates at some steps; between them, the rate is interpolated linearly."""
CTC_WEIGHT, GUIDE_WEIGHT = 0.5, 0.5
ALIGNED_FROM = 300
"""Step from which the CTC head finds where each word is. Before, all phonemes are assumed to be equally long."""
EMA = 0.99
BUDGET = 4800
"""Number of encoder frames from which a rank learns in a step."""
STAGES = (
    Stage(("short",), 110, BUDGET, 300),
    Stage(("short", "medium", "medium", "medium"), 240, BUDGET, 500, padding=24),
    Stage(("medium", "long", "long"), 400, BUDGET, 1200, padding=48),
    Stage(("medium", "long", "longest", "longest"), 720, BUDGET, 2000, padding=48),
)
TOTAL_STEPS = sum(stage.steps for stage in STAGES)


def plan() -> Iterator[Stage]:
    """Yield the stage of each step."""
    for stage in STAGES:
        yield from (stage for _ in range(stage.steps))


def learning_rate(step: int) -> float:
    """Return the learning rate of a step: it rises, stays constant, and falls to 0."""
    return float(np.interp(step, [*RATES], [*RATES.values()]))


class Training:
    """The state of the training of one rank: network, optimizers, and the moving average of the weights."""

    def __init__(self, work: Path) -> None:
        torch.manual_seed(SEED)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = Network().to(self.device)
        self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        matrices = [value for name, value in self.network.named_parameters() if "blocks" in name and value.ndim == 2]
        held = set(map(id, matrices))
        others = [value for value in self.network.parameters() if id(value) not in held]
        adam = torch.optim.AdamW(others, weight_decay=0.01, betas=(0.9, 0.98))
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (Muon(matrices), adam)
        self.step, self.last = 0, work / "last.pt"
        if self.last.exists():
            self._load()

    def learn(self, folder: Path, stage: Stage, rank: int) -> Tensor:
        """Learn from the next batch, and return the three losses of `Network.losses`."""
        batch = make_batch(folder, stage, self.step, rank).to(self.device)
        decoder, ctc, guide = self.network.losses(batch, aligned=self.step >= ALIGNED_FROM)
        self.network.zero_grad(set_to_none=False)
        (decoder + CTC_WEIGHT * ctc + GUIDE_WEIGHT * guide).backward()
        self._share_gradients()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(self.step)
            optimizer.step()
        keep = min(EMA, (self.step + 1) / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.average[name].lerp_(value, 1 - keep)
        self.step += 1
        return torch.stack([decoder, ctc, guide]).detach().cpu()

    def _share_gradients(self) -> None:
        """Replace the gradients of all ranks by their mean."""
        gradients = [value.grad for value in self.network.parameters() if value.grad is not None]
        flat = torch.cat([gradient.flatten() for gradient in gradients]).cpu() / RANKS
        torch.distributed.all_reduce(flat)
        for gradient, mean in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))

    def save(self) -> None:
        """Save everything that the next step needs."""
        optimizers = [optimizer.state_dict() for optimizer in self.optimizers]
        state = {"network": self.network.state_dict(), "average": self.average, "optimizers": optimizers}
        partial = self.last.with_suffix(".partial")
        torch.save({**state, "step": self.step}, partial)
        partial.replace(self.last)

    def _load(self) -> None:
        saved = torch.load(self.last, map_location=self.device, weights_only=True)
        self.network.load_state_dict(saved["network"])
        self.step, self.average = saved["step"], saved["average"]
        for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(state)


def train(rank: int, folder: Path, work: Path, meeting: str) -> None:
    """Train one rank in all steps of the plan that remain. The first rank prints the losses and saves."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{meeting}", rank=rank, world_size=RANKS)
    training = Training(work)
    first, started, losses = training.step, time.perf_counter(), torch.zeros(3)
    for step, stage in enumerate(plan()):
        if step < first:
            continue
        losses += training.learn(folder, stage, rank)
        if rank == 0 and training.step % 50 == 0:
            spent = (time.perf_counter() - started) / (training.step - first)
            shown = " ".join(f"{value:.3f}" for value in np.asarray(losses / 50))
            print(f"{training.step} decoder, ctc, guide {shown}; {spent:.2f} s per step", flush=True)
            losses.zero_()
        if rank == 0 and (training.step % 100 == 0 or training.step == TOTAL_STEPS):
            training.save()
    torch.distributed.destroy_process_group()


def main() -> None:
    """Train from the last save on, and save every 100 steps: `python -m embedded_whisper.train SHARDS WORK`."""
    folder, work = Path(sys.argv[1]), Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as meeting:
        torch.multiprocessing.spawn(train, (folder, work, f"{meeting}/ranks"), RANKS)


if __name__ == "__main__":
    main()
