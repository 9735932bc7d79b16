"""Finds where in a clip each phoneme begins: the most probable path by the CTC head's scores (Graves et al., 2006)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLANK = 0


def align(scores: NDArray[np.float32], targets: list[list[int]]) -> list[NDArray[np.int64]]:
    """Return the frame at which each phoneme of each clip begins.

    Args:
        scores: log probabilities of shape (frames, clips, symbols).
        targets: the symbols of each clip. There must be more than twice as many frames as symbols.
    """
    states = _states(targets)
    emitted = scores[:, np.arange(len(targets))[:, None], states]
    # A blank may be left out between two unlike symbols.
    skipping = np.where((states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2]), 0, -np.inf).astype(np.float32)
    # Two columns that are never reached stand before the first state.
    best = np.full((len(states), states.shape[1] + 2), -np.inf, np.float32)
    best[:, 2:4] = emitted[0, :, :2]
    steps = np.zeros(emitted.shape, np.int8)
    for frame in range(1, len(emitted)):
        stay, step, skip = best[:, 2:], best[:, 1:-1], best[:, :-2].copy()
        skip[:, 2:] += skipping
        way = np.maximum(stay, step)
        steps[frame] = np.where(skip > way, 2, step > stay)
        best[:, 2:] = np.maximum(way, skip) + emitted[frame]
    return [_begins(steps[:, row], _last(best[row, 2:], len(target))) for row, target in enumerate(targets)]


def _states(targets: list[list[int]]) -> NDArray[np.int64]:
    """Return the states of each clip: its symbols with a blank before, between and after them; filled with blanks."""
    states = np.full((len(targets), 2 * max(map(len, targets)) + 1), BLANK, np.int64)
    for row, target in zip(states, targets, strict=True):
        row[1 : 2 * len(target) : 2] = target
    return states


def _last(best: NDArray[np.float32], count: int) -> int:
    """Return the state in which the most probable path ends: the last symbol, or the blank after it."""
    ends = (2 * count, max(0, 2 * count - 1))
    return max(ends, key=lambda state: float(best[state]))


def _begins(steps: NDArray[np.int8], state: int) -> NDArray[np.int64]:
    """Return the first frame of each symbol, by following the path that ends in `state` backwards."""
    begins = np.zeros((state + 1) // 2, np.int64)
    for frame in range(len(steps) - 1, -1, -1):
        if state % 2:
            begins[state // 2] = frame
        state -= int(steps[frame, state])
    return begins
