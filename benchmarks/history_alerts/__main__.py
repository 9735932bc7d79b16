"""False alerts and found changes of `voicegauge history`: `PYTHONPATH=benchmarks python -m history_alerts`.

Each simulated history has 60 nights of eight targets (`change_detection.simulation`: lognormal latencies, sigma 0.5,
2% outliers, 10% variation between sessions). Prints how many nights without a change report any change, and how soon
three planted changes are found: a slowdown, more word errors and more failures. Ends with exit status 1 if a share
misses its bound.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import msgspec
import numpy as np
from change_detection.simulation import Design, Service, simulate_run
from scipy.stats import binomtest

from voicegauge.bench.history_store import HistoryMetric, HistoryRun, compute_run_metrics
from voicegauge.bench.run_history import (
    MIN_NIGHTS_SINCE_SHIFT,
    HistorySettings,
    LevelChange,
    build_series,
    find_level_changes,
)

NIGHTS = 60
FIRST_DAY = dt.date(2026, 1, 1)
TARGETS = tuple(f"acme/voice-{number}" for number in range(8))
MAX_FALSE_NIGHTS = 0.01
MIN_FOUND = 0.95
MAX_DELAY_NIGHTS = 2
THREE_SESSIONS = Design(texts=40, sessions=3)
ONE_SESSION = Design(texts=40, sessions=1)
DESIGN_TITLES = {THREE_SESSIONS: "3 sessions a night", ONE_SESSION: "1 session a night"}


class PlantedChange(NamedTuple):
    """A change of one target from a random night on."""

    target: str
    metric: HistoryMetric
    size: float
    nights: range
    """The nights from which the first one with the change is drawn."""

    def change_service(self) -> Service:
        """Return the service after the change."""
        truth = Service()
        match self.metric:
            case "wer":
                return replace(truth, error_rate=truth.error_rate + self.size)
            case "failures":
                return replace(truth, failure_rate=truth.failure_rate + self.size)
            case _:
                return replace(truth, slowdown=self.size)

    @property
    def title(self) -> str:
        """The change in words."""
        if self.metric == "total_latency_ms":
            return f"latency +{self.size:.0%}"
        return f"{'WER' if self.metric == 'wer' else 'failures'} +{100 * self.size:g} points"


@dataclass(frozen=True)
class SimulatedHistory:
    """What was found in one history, and when each planted change began."""

    changes: Sequence[LevelChange]
    first_nights: Mapping[PlantedChange, int]

    def find_delay(self, planted: PlantedChange) -> int | None:
        """Return the number of nights after the first changed one until the change was found."""
        first = self.first_nights[planted]
        confirmed = [
            get_night_index(change.confirmation_night)
            for change in self.changes
            if (change.series_key.target, change.series_key.metric, change.direction)
            == (planted.target, planted.metric, "regression")
        ]
        return next((night - first for night in confirmed if night >= first), None)

    def count_false_nights(self, *, alerts_only: bool = False) -> int:
        """Return the number of nights with a change that was not planted, in either direction or for the worse."""
        truth = {(planted.target, planted.metric) for planted in self.first_nights}
        return len(
            {
                change.confirmation_night
                for change in self.changes
                if (change.series_key.target, change.series_key.metric) not in truth
                and (change.direction == "regression" or not alerts_only)
            }
        )


def get_night_index(night: str) -> int:
    """Return the index of a night in its history."""
    return (dt.date.fromisoformat(night) - FIRST_DAY).days


def simulate_history(design: Design, planted: Sequence[PlantedChange], seed: int) -> SimulatedHistory:
    """Simulate 60 nights, and judge them as `voicegauge history` does."""
    rng = np.random.default_rng(seed)
    first_nights = {change: int(rng.integers(change.nights.start, change.nights.stop)) for change in planted}
    runs = [
        simulate_night(
            design,
            {change.target: change.change_service() for change, first in first_nights.items() if night >= first},
            rng,
            night,
        )
        for night in range(NIGHTS)
    ]
    return SimulatedHistory(find_level_changes(build_series(runs), HistorySettings()), first_nights)


def simulate_night(design: Design, changed: Mapping[str, Service], rng: np.random.Generator, night: int) -> HistoryRun:
    """Simulate the run of one night, and measure it."""
    run = simulate_run({target: changed.get(target, Service()) for target in TARGETS}, design, rng)
    started = f"{FIRST_DAY + dt.timedelta(days=night)}T02:00:00+00:00"
    return compute_run_metrics(
        msgspec.structs.replace(run, manifest=msgspec.structs.replace(run.manifest, created_at=started)), ""
    )


PLANTED = (
    PlantedChange(TARGETS[0], "total_latency_ms", 0.50, range(15, 25)),
    PlantedChange(TARGETS[1], "wer", 0.05, range(25, 40)),
    PlantedChange(TARGETS[2], "failures", 0.08, range(40, 55)),
)
SIZES = {
    THREE_SESSIONS: (
        *(PlantedChange(TARGETS[i], "total_latency_ms", size, range(15, 40)) for i, size in enumerate((0.2, 0.3, 0.4))),
        *(PlantedChange(TARGETS[3 + i], "wer", size, range(15, 40)) for i, size in enumerate((0.02, 0.03))),
        *(PlantedChange(TARGETS[5 + i], "failures", size, range(15, 40)) for i, size in enumerate((0.03, 0.05))),
    ),
    ONE_SESSION: (
        *(
            PlantedChange(TARGETS[i], "total_latency_ms", size, range(15, 40))
            for i, size in enumerate((0.2, 0.4, 0.6, 0.8))
        ),
        *(PlantedChange(TARGETS[4 + i], "wer", size, range(15, 40)) for i, size in enumerate((0.05, 0.08))),
        *(PlantedChange(TARGETS[6 + i], "failures", size, range(15, 40)) for i, size in enumerate((0.08, 0.15))),
    ),
}
"""Smaller changes, of different targets of one history."""


def main() -> int:
    """Simulate, print the tables, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m history_alerts", description=__doc__.partition("\n")[0])
    parser.add_argument("--unchanged", type=int, default=60, help="unchanged histories for each design; 0 for none")
    parser.add_argument("--changed", type=int, default=100, help="histories with planted changes; 0 for none")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: one per core)")
    options = parser.parse_args()
    within_bounds: list[bool] = []
    with ProcessPoolExecutor(options.jobs) as pool:
        if options.changed:
            print_found_heading()
            histories = list(pool.map(partial(simulate_history, THREE_SESSIONS, PLANTED), range(options.changed)))
            within_bounds += [print_found(THREE_SESSIONS, histories, planted) >= MIN_FOUND for planted in PLANTED]
            for design, smaller in SIZES.items():
                seeds = range(1_000_000, 1_000_000 + options.changed // 2)
                histories = list(pool.map(partial(simulate_history, design, smaller), seeds))
                for planted in smaller:
                    print_found(design, histories, planted)
        if options.unchanged:
            title = "8 targets, 24 series, nothing changed"
            print(f"\n{title:40} {'nights':>7} {'any change':>11} {'alert':>7} {'histories':>10}")
            for design in DESIGN_TITLES:
                seeds = range(2_000_000, 2_000_000 + options.unchanged)
                within_bounds.append(print_false_nights(design, pool.map(partial(simulate_history, design, ()), seeds)))
    return 0 if all(within_bounds) else 1


def print_found_heading() -> None:
    """Print the heading of the rows of `print_found`."""
    print(f"{'planted change':40} {'of':>5} {'2nd night':>10} {'3rd night':>10} {'7th night':>10} {'ever':>7}")


def print_found(design: Design, histories: Sequence[SimulatedHistory], planted: PlantedChange) -> float:
    """Print how soon a planted change was found, and return the share found within two nights of its first night."""
    delays = [history.find_delay(planted) for history in histories]

    def compute_share(max_delay: int) -> float:
        return sum(delay is not None and delay <= max_delay for delay in delays) / len(delays)

    shares = [compute_share(delay) for delay in (1, MAX_DELAY_NIGHTS, 6, NIGHTS)]
    columns = " ".join(f"{share:{width}.1%}" for share, width in zip(shares, (10, 10, 10, 7), strict=True))
    print(f"{f'{planted.title}, {DESIGN_TITLES[design]}':40} {len(delays):5} {columns}", flush=True)
    return shares[1]


def print_false_nights(design: Design, histories: Iterable[SimulatedHistory]) -> bool:
    """Print the share of nights with a false change, and return whether it may be within its bound."""
    simulated = list(histories)
    nights = len(simulated) * (NIGHTS - MIN_NIGHTS_SINCE_SHIFT + 1)  # no alert is possible on the first nights
    false = sum(history.count_false_nights() for history in simulated)
    alerts = sum(history.count_false_nights(alerts_only=True) for history in simulated)
    touched = sum(history.count_false_nights() > 0 for history in simulated)
    print(
        f"{DESIGN_TITLES[design]:40} {nights:7} {false / nights:11.2%} {alerts / nights:7.2%} "
        f"{f'{touched} of {len(simulated)}':>10}",
        flush=True,
    )
    # A share just above the limit may be chance: only a count that 1% would hardly produce counts against it.
    return bool(binomtest(false, nights, MAX_FALSE_NIGHTS, alternative="greater").pvalue > 0.01)


if __name__ == "__main__":
    sys.exit(main())
