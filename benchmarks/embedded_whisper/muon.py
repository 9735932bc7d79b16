"""Muon (Jordan et al., 2024): steps of like size in all directions of a weight matrix.

torch.optim.Muon works in bfloat16, which most CPUs only imitate, and matrix by matrix: on one core it took 0.3 s a step
for this network where a batch of 4,800 frames takes 0.8 s. This one takes 0.1 s.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, nn

MOMENTUM, ITERATIONS, DECAY = 0.95, 5, 0.01
COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""Of the quintic Newton-Schulz iteration, by Jordan."""


class Muon(torch.optim.Optimizer):
    """For matrices alone; a learning rate that suits AdamW suits it (Liu et al., 2025, section 2.2)."""

    def __init__(self, matrices: Iterable[nn.Parameter]) -> None:
        super().__init__(matrices, {"lr": 0.0})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]  # no closure is ever given
        """One step down; matrices of one shape together."""
        for group in self.param_groups:
            alike: dict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for matrix in group["params"]:
                alike[tuple(matrix.shape)].append(matrix)
            for matrices in alike.values():
                self._move(matrices, group["lr"])

    def _move(self, matrices: list[nn.Parameter], rate: float) -> None:
        directions = orthogonal(torch.stack([self._momentum(matrix) for matrix in matrices]))
        size: float = 0.2 * max(matrices[0].shape) ** 0.5
        for matrix, direction in zip(matrices, directions, strict=True):
            matrix.mul_(1 - rate * DECAY).add_(direction, alpha=-rate * size)

    def _momentum(self, matrix: nn.Parameter) -> Tensor:
        """Nesterov's: the gradient and what it was so far."""
        assert matrix.grad is not None
        so_far: Tensor = self.state[matrix].setdefault("momentum", torch.zeros_like(matrix))
        so_far.lerp_(matrix.grad, 1 - MOMENTUM)
        return matrix.grad.lerp(so_far, MOMENTUM)


def orthogonal(matrices: Tensor) -> Tensor:
    """The nearest (half-)orthogonal matrix to each, about: singular values from 0.7 to 1.2."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    first, third, fifth = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = first * x + (third * gram + fifth * gram @ gram) @ x
    return x.mT if tall else x
