"""Coverage of the intervals of a run: `PYTHONPATH=benchmarks python -m interval_coverage`.

Samples of 8, 24 and 100 texts are drawn from distributions whose true median, percentile, rate or share is known.
Prints how often the interval contains it, and beside it how often the percentile bootstrap interval over texts does,
which is what many benchmarks state. Ends with exit status 1 if the coverage of an interval is below 93%, or if the mean
over the shapes of one number is above 97%, except for polled times: there, every distribution between two polls is
possible.
"""

from __future__ import annotations

import argparse
import functools
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from voicegauge.bench.estimates import (
    CensoredTime,
    Estimate,
    estimate_censored_quantile,
    estimate_mean,
    estimate_quantile,
    estimate_ratio_of_sums,
    estimate_share,
)
from voicegauge.bench.resampling import FloatArray, SampledValues, resample_texts

TEXT_COUNTS = (8, 24, 100)
LOWEST_COVERAGE = 0.93
HIGHEST_MEAN_COVERAGE = 0.97
TRUTH_SAMPLE_COUNT = 400_000
POLL_MS = 1000.0

Interval = tuple[float | None, float | None]


class Draw(NamedTuple):
    """The samples of one simulated run."""

    texts: FloatArray
    """Number of the text of each sample."""
    values: FloatArray
    weights: FloatArray
    """Number of words of each sample; 1 where there are none."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A distribution, with the number that is estimated."""

    number: str
    title: str
    draw: Callable[[np.random.Generator, int], Draw]
    """Draws the samples of so many texts."""
    estimate: Callable[[Draw], Estimate | None]
    bootstrap: Callable[[Draw], Interval]
    truth: float


def draw_times(rng: np.random.Generator, texts: int, *, kind: str, repetitions: int) -> Draw:
    """Draw latencies: the logarithm has a part of the text and a part of the request."""
    numbers = np.repeat(np.arange(texts, dtype=np.float64), repetitions)
    count = len(numbers)
    if kind == "two modes":
        slow = np.repeat(rng.random(texts) < 0.3, repetitions)
        logs = rng.normal(0, 0.1, count) + np.where(slow, 1.2, 0.0)
    else:
        logs = np.repeat(rng.normal(0, 0.43, texts), repetitions) + rng.normal(0, 0.25, count)
        if kind == "outliers":
            logs += np.where(rng.random(count) < 0.02, math.log(4), 0.0)
    return Draw(numbers, 400 * np.exp(logs), np.ones(count))


def draw_errors(rng: np.random.Generator, texts: int, *, rate: float, spread: float, repetitions: int = 1) -> Draw:
    """Draw recognition errors: texts of different lengths, each with a rate of its own."""
    words = np.maximum(3, rng.lognormal(2.4, 0.5, texts).round())
    factors = rng.gamma(1 / spread, spread, texts) if spread else np.ones(texts)
    numbers = np.repeat(np.arange(texts, dtype=np.float64), repetitions)
    words, factors = np.repeat(words, repetitions), np.repeat(factors, repetitions)
    return Draw(numbers, rng.poisson(rate * factors * words).astype(np.float64), words)


def draw_events(rng: np.random.Generator, texts: int, *, share: float, repetitions: int, spread: float) -> Draw:
    """Draw failures: each text fails with a probability of its own."""
    own = np.repeat(
        rng.beta(share / spread, (1 - share) / spread, texts) if spread else np.full(texts, share), repetitions
    )
    numbers = np.repeat(np.arange(texts, dtype=np.float64), repetitions)
    return Draw(numbers, (rng.random(len(own)) < own).astype(np.float64), np.ones(len(own)))


def draw_counts(rng: np.random.Generator, texts: int, *, mean: float) -> Draw:
    """Draw numbers of buffer underruns: most streams have none, some have many."""
    values = rng.poisson(mean * rng.gamma(0.7, 1 / 0.7, texts)).astype(np.float64)
    return Draw(np.arange(texts, dtype=np.float64), values, np.ones(texts))


def draw_polled(rng: np.random.Generator, texts: int, *, median_ms: float, spread: float) -> Draw:
    """Draw completion times of jobs, which `estimate_polled` sees between two polls."""
    values = median_ms * np.exp(rng.normal(0, spread, texts))
    return Draw(np.arange(texts, dtype=np.float64), values, rng.random(texts))


def estimate_polled(drawn: Draw) -> Estimate | None:
    """Estimate the median of times that are seen by polls every second, which begin at different times."""
    times = [
        CensoredTime(int(text), *bounds) for text, *bounds in zip(drawn.texts, *bound_by_polls(drawn), strict=True)
    ]
    return estimate_censored_quantile(times, 0.5)


def bound_by_polls(drawn: Draw) -> tuple[FloatArray, FloatArray]:
    """Return the last poll before each time, or 0, and the first one after it."""
    phases = drawn.weights * POLL_MS
    high = phases + np.ceil((drawn.values - phases) / POLL_MS).clip(0) * POLL_MS
    return np.where(high > phases, high - POLL_MS, 0.0), high


def pair(drawn: Draw) -> list[tuple[int, float]]:
    """Return pairs of a text and a value."""
    return [(int(text), float(value)) for text, value in zip(drawn.texts, drawn.values, strict=True)]


def bootstrap_quantile(drawn: Draw, fraction: float) -> Interval:
    """Return the percentile interval of a quantile over resampled texts."""
    sampled = SampledValues(pair(drawn))
    spread = resample_texts(sampled.text_count, lambda weights: sampled.compute_weighted_quantiles(weights, fraction))
    return (spread.low, spread.high) if spread else (None, None)


def bootstrap_ratio(drawn: Draw) -> Interval:
    """Return the percentile interval of a ratio of sums over resampled texts."""
    count = int(drawn.texts.max()) + 1
    table = np.stack(
        [np.bincount(drawn.texts.astype(int), weights=one, minlength=count) for one in (drawn.values, drawn.weights)],
        axis=1,
    )

    def divide(weights: FloatArray) -> FloatArray:
        sums = weights @ table
        quotients: FloatArray = sums[:, 0] / np.maximum(sums[:, 1], 1.0)
        return quotients

    spread = resample_texts(count, divide)
    return (spread.low, spread.high) if spread else (None, None)


def bootstrap_polled(drawn: Draw) -> Interval:
    """Return the percentile interval of the median of the middles between two polls."""
    low, high = bound_by_polls(drawn)
    return bootstrap_quantile(drawn._replace(values=(low + high) / 2), 0.5)


def list_shapes() -> list[Shape]:
    """Return the distributions that are simulated."""
    return [
        *(
            _build_time_shape(fraction, number, kind, repetitions)
            for fraction, number in ((0.5, "median of times"), (0.95, "95th percentile of times"))
            for kind in ("lognormal", "outliers", "two modes")
            for repetitions in (1, 3)
        ),
        *(_build_error_shape(rate, spread) for rate in (0.005, 0.02, 0.06, 0.2) for spread in (0.0, 0.5)),
        *(_build_failure_shape(share, repetitions) for share in (0.02, 0.1, 0.3) for repetitions in (1, 3)),
        *(_build_underrun_shape(mean) for mean in (0.1, 0.5, 3.0)),
        *(_build_polled_shape(median_ms) for median_ms in (200.0, 1500.0, 8000.0)),
    ]


def _build_time_shape(fraction: float, number: str, kind: str, repetitions: int) -> Shape:
    return Shape(
        number=number,
        title=f"{kind}, {repetitions} per text",
        draw=lambda rng, texts: draw_times(rng, texts, kind=kind, repetitions=repetitions),
        estimate=lambda drawn: estimate_quantile(pair(drawn), fraction),
        bootstrap=lambda drawn: bootstrap_quantile(drawn, fraction),
        truth=float(np.quantile(_draw_true_times(kind), fraction)),
    )


@functools.cache
def _draw_true_times(kind: str) -> FloatArray:
    return draw_times(np.random.default_rng(0), TRUTH_SAMPLE_COUNT, kind=kind, repetitions=1).values


def _build_error_shape(rate: float, spread: float) -> Shape:
    return Shape(
        number="WER",
        title=f"{rate:.1%} of words, spread {spread:g} between texts",
        draw=lambda rng, texts: draw_errors(rng, texts, rate=rate, spread=spread),
        estimate=lambda drawn: estimate_ratio_of_sums(
            (int(text), float(value), float(words)) for text, value, words in zip(*drawn, strict=True)
        ),
        bootstrap=bootstrap_ratio,
        truth=rate,
    )


def _build_failure_shape(share: float, repetitions: int) -> Shape:
    spread = 0.1 if repetitions > 1 else 0.0
    return Shape(
        number="failures",
        title=f"{share:.0%}, {repetitions} per text",
        draw=lambda rng, texts: draw_events(rng, texts, share=share, repetitions=repetitions, spread=spread),
        estimate=lambda drawn: estimate_share((text, value > 0) for text, value in pair(drawn)),
        bootstrap=bootstrap_ratio,
        truth=share,
    )


def _build_underrun_shape(mean: float) -> Shape:
    return Shape(
        number="underruns per stream",
        title=f"mean {mean:g}",
        draw=lambda rng, texts: draw_counts(rng, texts, mean=mean),
        estimate=lambda drawn: estimate_mean(pair(drawn), smallest_positive_value=1.0),
        bootstrap=bootstrap_ratio,
        truth=mean,
    )


def _build_polled_shape(median_ms: float) -> Shape:
    return Shape(
        number="completion of jobs, polled every second",
        title=f"median {median_ms / 1000:g} s",
        draw=lambda rng, texts: draw_polled(rng, texts, median_ms=median_ms, spread=0.3),
        estimate=estimate_polled,
        bootstrap=bootstrap_polled,
        truth=median_ms,
    )


class Coverage(NamedTuple):
    """Shares of simulated runs."""

    covered: float
    """Share of the runs with an interval in which it contains the true number; a missing end limits nothing."""
    without_interval: float
    bootstrap_covered: float


def measure_coverage(shape: Shape, text_count: int, run_count: int, seed: int = 0) -> Coverage:
    """Simulate runs of one shape, and return how often their intervals contain the true number."""
    rng = np.random.default_rng([seed, text_count])
    covered = missing = bootstrapped = 0
    for _ in range(run_count):
        drawn = shape.draw(rng, text_count)
        estimate = shape.estimate(drawn)
        if estimate is None or estimate.low is None:
            missing += 1
        else:
            covered += contains((estimate.low, estimate.high), shape.truth)
        bootstrapped += contains(shape.bootstrap(drawn), shape.truth)
    shown = run_count - missing
    return Coverage(covered / shown if shown else math.nan, missing / run_count, bootstrapped / run_count)


def contains(interval: Interval, truth: float) -> bool:
    """Return whether an interval contains a number; a missing end limits nothing."""
    low, high = interval
    return (low is None or low <= truth) and (high is None or truth <= high)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m interval_coverage", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000, help="simulated runs for each shape and number of texts")
    options = parser.parse_args(arguments)
    print("| number | shape | " + " | ".join(f"{count} texts" for count in TEXT_COUNTS) + " | bootstrap |")
    print("|---|---|" + "--:|" * (len(TEXT_COUNTS) + 1))
    is_good = True
    means: dict[str, list[float]] = {}
    for shape in list_shapes():
        found = [measure_coverage(shape, count, options.runs) for count in TEXT_COUNTS]
        cells = [f"{one.covered:.1%}" if one.without_interval < 1 else "no interval" for one in found]
        before = " / ".join(f"{one.bootstrap_covered:.0%}" for one in found)
        print(f"| {shape.number} | {shape.title} | {' | '.join(cells)} | {before} |", flush=True)
        known = [one.covered for one in found if one.without_interval < 1]
        means.setdefault(shape.number, []).extend(known)
        # A share just below the limit may be chance of the simulation.
        tolerance = 2 * math.sqrt(0.05 * 0.95 / options.runs)
        is_good &= all(one >= LOWEST_COVERAGE - tolerance for one in known)
    for number, shares in means.items():
        mean = sum(shares) / len(shares)
        print(f"mean of {number}: {mean:.1%}")
        is_good &= "polled" in number or mean <= HIGHEST_MEAN_COVERAGE
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
