"""Folders of runs of consecutive nights."""

from __future__ import annotations

import math
from datetime import date, timedelta
from pathlib import Path

from voicegauge.bench.run_store import save_run
from voicegauge.model.run import Run

from .runs import build_run, build_sample, build_score_set

NIGHTS = 16
CHANGED_NIGHT = 12


def night(index: int) -> str:
    return (date(2026, 11, 1) + timedelta(days=index)).isoformat()


def made_run(index: int, total_latency_ms: float = 500.0, **changes: object) -> Run:
    """A run of eight samples; times differ from night to night by a few percent."""
    jitter = 1 + 0.03 * math.sin(7 * index)
    samples = tuple(build_sample(text, total_latency_ms=total_latency_ms * jitter) for text in range(8))
    scores = build_score_set(samples, lambda _: 1)
    named: dict[str, object] = {"run_id": f"run-{index}", "created_at": f"{night(index)}T02:00:00+00:00"}
    return build_run(samples, score_sets=(scores,), **{**named, **changes})


def save(folder: Path, run: Run) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return save_run(folder, run)


def save_nights(folder: Path, count: int = NIGHTS, **changes: object) -> None:
    """Nights of which the latest are 60% slower."""
    for index in range(count):
        save(folder / f"{index:02}", made_run(index, 800.0 if index >= CHANGED_NIGHT else 500.0, **changes))
