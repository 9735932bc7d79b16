"""Summarizes the times of a run by the place from which they were measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import msgspec

from voicegauge.bench.estimates import Estimate, estimate_median, estimate_quantile
from voicegauge.bench.target_samples import group_counted_samples_by_target
from voicegauge.errors import DataError
from voicegauge.model.base import Record
from voicegauge.model.run import Run
from voicegauge.model.sample import Latency, Sample


class PlaceSummary(Record, frozen=True, kw_only=True):
    """Times of one target, measured from one place: medians with 95% intervals, unless the name says otherwise."""

    place: str
    target: str
    sample_count: int
    """Number of samples from this place, including failures and excluding warm-up."""
    failure_count: int
    ttfb_ms: Estimate | None
    """Median time to first byte of the response that carries the audio."""
    ttfa_ms: Estimate | None
    """Median time to first byte of audio data."""
    ttfs_ms: Estimate | None
    """Median time until a player plays the first speech."""
    total_latency_ms: Estimate | None
    """Median time until the last byte of audio."""
    total_latency_p95_ms: Estimate | None
    """95th percentile of the total latency."""


def summarize_places(run: Run) -> tuple[PlaceSummary, ...]:
    """Summarize each target from each place, in the order of the manifest and of the names of places.

    Returns:
        The summaries; empty if no worker of a cluster measured the run.
    """
    summaries = []
    for target, samples in group_counted_samples_by_target(run).items():
        by_place: dict[str, list[Sample]] = {}
        for sample in samples:
            if sample.place is not None:
                by_place.setdefault(sample.place, []).append(sample)
        summaries += [_summarize_place(place, target, by_place[place]) for place in sorted(by_place)]
    return tuple(summaries)


def _summarize_place(place: str, target: str, samples: Sequence[Sample]) -> PlaceSummary:
    def select_times(select_time: Callable[[Latency], float | None]) -> list[tuple[str, float]]:
        return [
            (one.text_id, found)
            for one in samples
            if one.failure is None and one.latency is not None and (found := select_time(one.latency)) is not None
        ]

    totals = select_times(lambda latency: latency.total_latency_ms)
    return PlaceSummary(
        place=place,
        target=target,
        sample_count=len(samples),
        failure_count=sum(one.failure is not None for one in samples),
        ttfb_ms=estimate_median(select_times(lambda latency: latency.ttfb_ms)),
        ttfa_ms=estimate_median(select_times(lambda latency: latency.ttfa_ms)),
        ttfs_ms=estimate_median(select_times(lambda latency: latency.ttfs_ms)),
        total_latency_ms=estimate_median(totals),
        total_latency_p95_ms=estimate_quantile(totals, 0.95),
    )


def list_places(run: Run) -> tuple[str, ...]:
    """Return the places from which a run was measured, sorted; empty if no worker of a cluster measured it."""
    return tuple(sorted({one.place for one in run.samples if one.place is not None}))


def count_texts_from_other_places(baselines: Sequence[Run], run: Run) -> int:
    """Return how many texts of a target `run` measured from other places, or in other shares, than the baseline.

    Texts that only one side has are not counted. A text that differs for several targets is counted once.
    """

    def share_places(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str | None, float]]:
        counts: dict[tuple[str, str], Counter[str | None]] = {}
        for sample in (sample for one in runs for sample in one.select_counted_samples()):
            counts.setdefault((sample.target, sample.text_id), Counter())[sample.place] += 1
        return {key: {place: n / one.total() for place, n in one.items()} for key, one in counts.items()}

    before, after = share_places(baselines), share_places([run])
    return len({key[1] for key in before.keys() & after.keys() if before[key] != after[key]})


def select_place(run: Run, place: str) -> Run:
    """Return a run with the samples from one place only.

    Raises:
        DataError: the run has no sample from there.
    """
    samples = tuple(one for one in run.samples if one.place == place)
    if not samples:
        known = ", ".join(list_places(run)) or "none: no worker of a cluster measured it"
        raise DataError(f"{run.manifest.run_id} has no sample from {place!r}; its places: {known}")
    return msgspec.structs.replace(run, samples=samples)
