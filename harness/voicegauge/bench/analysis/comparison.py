"""Compares a run with a baseline and decides for each metric of each target whether it has regressed.

A metric has regressed if its change is large enough to matter *and* the interval of the
change excludes zero. If it has not regressed and the interval excludes every change that must
not be missed, there is no evidence of a regression. Otherwise the runs are underpowered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from voicegauge.bench.analysis.cost import DEFAULT_TEXT_LENGTH_CHARACTERS
from voicegauge.bench.analysis.metric_changes import (
    DEFAULT_SESSION_DRIFT,
    ErrorCount,
    IntervalSettings,
    MetricChange,
    TimedSample,
    estimate_error_rate_change,
    estimate_failure_rate_change,
    estimate_slow_time_change,
    estimate_typical_time_change,
)
from voicegauge.bench.analysis.summary import pair_samples_with_scores
from voicegauge.contract import ASSUMED_SPEECH_CHARACTERS_PER_S
from voicegauge.errors import DataError
from voicegauge.model import (
    AmountPerUnit,
    Interval,
    Latency,
    Provenance,
    Record,
    Run,
    RunKind,
    Sample,
    ScoreSet,
    TargetRef,
)

ChangeVerdict = Literal["regression", "improvement", "no evidence", "underpowered"]
MetricUnit = Literal["ms", "rate", "usd", "credits"]
MetricId = Literal[
    "submit_latency_ms",
    "ttfa_ms",
    "completion_ms",
    "total_latency_ms",
    "total_latency_p95_ms",
    "wer",
    "cer",
    "failures",
    "price",
    "charged",
]


class ChangeThreshold(Record, frozen=True, kw_only=True):
    """Sizes of a change that matter.

    They are relative for times and prices, and differences for rates (0.02 is two percentage points).
    """

    min_change: float
    """A smaller change is never a regression, even if statistically significant."""
    detectable_change: float
    """Runs whose interval cannot exclude a change of this size are underpowered."""


class CompareSettings(Record, frozen=True, kw_only=True):
    """Statistical settings of a comparison, and the sizes of a change that matter."""

    alpha: float = 0.01
    """Probability of a false alarm for each metric of each target, in both directions together."""
    session_drift: float = DEFAULT_SESSION_DRIFT
    """Relative spread of latency between sessions that is assumed until the runs' own sessions show it; 0.1 is 10%."""
    latency: ChangeThreshold = ChangeThreshold(min_change=0.10, detectable_change=0.30)
    error_rate: ChangeThreshold = ChangeThreshold(min_change=0.02, detectable_change=0.05)
    failures: ChangeThreshold = ChangeThreshold(min_change=0.02, detectable_change=0.10)
    # A price is known, not estimated: any change beyond rounding counts.
    price: ChangeThreshold = ChangeThreshold(min_change=0.001, detectable_change=0.001)
    seed: int = 0

    @property
    def interval_settings(self) -> IntervalSettings:
        """Settings with which every interval of the comparison is computed."""
        return IntervalSettings(self.alpha, self.session_drift, self.seed)


class ComparedRun(Record, frozen=True, kw_only=True):
    """One of the two compared runs."""

    run_id: str
    created_at: str
    finished: bool
    sessions: int
    samples: int
    """Number of samples, not counting warm-up samples."""


class MetricComparison(Record, frozen=True, kw_only=True):
    """Verdict on one metric of one target."""

    target: str
    metric: MetricId
    unit: MetricUnit
    verdict: ChangeVerdict
    baseline: float
    """The metric of the baseline, in `unit`."""
    run: float
    """The metric of the compared run, in `unit`."""
    change: float
    """Change from the baseline to the run.

    It is relative for times and prices, and a difference for rates (0.02 is two percentage points).
    """
    low: float | None
    """Lower end of the interval of `change` at confidence 1 - alpha; `None` if there are too few data."""
    high: float | None
    n_baseline: int
    """Number of samples of the baseline from which the value was computed."""
    n_run: int
    note: str = ""


class RunComparison(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge compare --json` writes."""

    schema: str = "voicegauge/compare/2"
    provenance: Provenance
    kind: RunKind
    """What both runs measured: speech, transcription or conversion."""
    suite: str
    baseline: ComparedRun
    run: ComparedRun
    settings: CompareSettings
    asr: str | None
    """ASR engine whose scores were compared; `None` if one of the runs has no scores."""
    metrics: tuple[MetricComparison, ...]
    only_in_baseline: tuple[str, ...]
    """Targets that only the baseline measured."""
    only_in_run: tuple[str, ...]
    """Targets that only the run measured."""
    no_audio_in_baseline: tuple[str, ...]
    """Targets in both runs without usable audio in the baseline, or without a transcript in a run of speech to text.

    They have no error rate there, so none is compared.
    """
    no_audio_in_run: tuple[str, ...]
    """Targets in both runs without usable audio, or without a transcript, in the run; no error rate is compared."""

    @property
    def regressions(self) -> tuple[MetricComparison, ...]:
        """The metrics that regressed."""
        return tuple(metric for metric in self.metrics if metric.verdict == "regression")


def compare_runs(baseline: Run, run: Run, settings: CompareSettings | None = None) -> RunComparison:
    """Compare `run` with `baseline`.

    Raises:
        DataError: the runs are not comparable: they differ in suite, provenance, ASR engine, normalizer
            or concurrency, or have no target in common.
    """
    settings = settings or CompareSettings()
    _check_comparable(baseline, run)
    scores = _find_common_scores(baseline, run)
    before = {target.id: target for target in baseline.manifest.targets}
    after = {target.id: target for target in run.manifest.targets}
    both = [target for target in after if target in before]
    if not both:
        raise DataError("not comparable: the runs have no target in common")
    old = {target: _TargetSamples(baseline, target, scores and scores[0]) for target in both}
    new = {target: _TargetSamples(run, target, scores and scores[1]) for target in both}
    metrics = [
        metric
        for target in both
        for metric in _compare_target((before[target], after[target]), old[target], new[target], settings)
    ]
    return RunComparison(
        provenance=run.manifest.provenance,
        kind=run.manifest.kind,
        suite=f"{run.manifest.suite.id}/{run.manifest.suite.version}",
        baseline=_build_compared_run(baseline),
        run=_build_compared_run(run),
        settings=settings,
        asr=scores[1].asr if scores else None,
        metrics=tuple(metrics),
        only_in_baseline=tuple(target for target in before if target not in after),
        only_in_run=tuple(target for target in after if target not in before),
        no_audio_in_baseline=tuple(target for target in both if not old[target].has_delivered),
        no_audio_in_run=tuple(target for target in both if not new[target].has_delivered),
    )


def _build_compared_run(run: Run) -> ComparedRun:
    return ComparedRun(
        run_id=run.manifest.run_id,
        created_at=run.manifest.created_at,
        finished=run.manifest.finished,
        sessions=run.manifest.sessions,
        samples=sum(sample.is_measured for sample in run.samples),
    )


def _check_comparable(baseline: Run, run: Run) -> None:
    old, new = baseline.manifest, run.manifest
    for side in (baseline, run):
        if not any(sample.is_measured for sample in side.samples):
            raise DataError(f"not comparable: the run {side.manifest.run_id} has no sample: it was stopped too early")
    if old.suite.sha256 != new.suite.sha256:
        raise DataError(
            f"not comparable: the baseline measured the suite {old.suite.id}/{old.suite.version} "
            f"({old.suite.sha256[:8]}), the run {new.suite.id}/{new.suite.version} ({new.suite.sha256[:8]})"
        )
    if old.provenance != new.provenance:
        raise DataError(f"not comparable: the baseline is {old.provenance}, the run is {new.provenance}")
    if old.concurrency != new.concurrency:
        raise DataError(
            f"not comparable: the baseline had up to {old.concurrency} requests in flight, "
            f"the run {new.concurrency}: give both the same --concurrency"
        )


def _find_common_scores(baseline: Run, run: Run) -> tuple[ScoreSet, ScoreSet] | None:
    """Return the newest scores of both runs with the same engine and settings; `None` if a run has no scores."""
    if not baseline.score_sets or not run.score_sets:
        return None
    for new in reversed(run.score_sets):
        for old in reversed(baseline.score_sets):
            if _build_scoring_key(old) == _build_scoring_key(new):
                return old, new
    old, new = baseline.score_sets[-1], run.score_sets[-1]
    raise DataError(
        f"not comparable: the baseline was scored by {old.asr} with {old.normalizer}, the run by {new.asr} "
        f"with {new.normalizer}: score one again with `voicegauge score`"
    )


def _build_scoring_key(scores: ScoreSet) -> tuple[object, ...]:
    return scores.asr, scores.normalizer, scores.settings, scores.closed_vocabulary


class _TargetSamples:
    """The samples of one target in one run, without warm-up."""

    def __init__(self, run: Run, target: str, scores: ScoreSet | None) -> None:
        self.samples = [s for s in run.samples if s.target == target and s.is_measured]
        self._scored = pair_samples_with_scores(self.samples, scores) if scores else []

    @property
    def has_delivered(self) -> bool:
        """Whether any sample has usable audio, or a transcript in a run of speech to text."""
        return any(sample.failure is None for sample in self.samples)

    def collect_times(self, select_time: Callable[[Latency], float | None]) -> list[TimedSample]:
        """Return the time that `select_time` selects, for each successful sample that has this time."""
        return [
            TimedSample(sample.text_id, sample.session, ms)
            for sample in self.samples
            if sample.failure is None and sample.latency and (ms := select_time(sample.latency)) is not None
        ]

    def collect_completion_times(self, select_bound: Callable[[Interval], float]) -> list[TimedSample]:
        """Return the bound that `select_bound` selects of the completion time of each job."""
        return self.collect_times(
            lambda latency: select_bound(latency.completion_ms) if latency.completion_ms else None
        )

    def count_errors(self, unit: Literal["word", "character"]) -> list[ErrorCount]:
        """Return the errors of samples counted in `unit`, including failed samples; empty if every sample failed."""
        return [ErrorCount(s.text_id, score.errors, score.units) for s, score in self._scored if score.unit == unit]

    def count_failures_and_samples(self) -> tuple[int, int]:
        """Return the number of failures and of samples."""
        return sum(s.failure is not None for s in self.samples), len(self.samples)

    def compute_mean_charges(self, select_charge: Callable[[Sample], float | None]) -> dict[str, float]:
        """Return the mean charge by text id, for texts for which the provider reported a charge."""
        charges: dict[str, list[float]] = {}
        for sample in self.samples:
            if (charge := select_charge(sample)) is not None:
                charges.setdefault(sample.text_id, []).append(charge)
        return {text: sum(charged) / len(charged) for text, charged in charges.items()}


class _Metric(NamedTuple):
    id: MetricId
    unit: MetricUnit
    change: MetricChange | None
    """Change of the metric; `None` if one of the runs has no data."""
    threshold: ChangeThreshold


def _compare_target(
    target_refs: tuple[TargetRef, TargetRef],
    baseline_samples: _TargetSamples,
    run_samples: _TargetSamples,
    settings: CompareSettings,
) -> list[MetricComparison]:
    metrics = [
        *_compare_latencies(baseline_samples, run_samples, settings),
        *_compare_error_and_failure_rates(baseline_samples, run_samples, settings),
        *_compare_prices_and_charges(target_refs, baseline_samples, run_samples, settings.price),
    ]
    return [
        MetricComparison(
            target=target_refs[1].id,
            metric=metric.id,
            unit=metric.unit,
            verdict=decide_verdict(metric.change, metric.threshold),
            baseline=metric.change.baseline_value,
            run=metric.change.run_value,
            change=metric.change.change,
            low=metric.change.low,
            high=metric.change.high,
            n_baseline=metric.change.n_baseline,
            n_run=metric.change.n_run,
            note=metric.change.note,
        )
        for metric in metrics
        if metric.change is not None
    ]


def _compare_latencies(
    baseline_samples: _TargetSamples, run_samples: _TargetSamples, settings: CompareSettings
) -> list[_Metric]:
    interval = settings.interval_settings

    def compare_typical_time(metric: MetricId, select_time: Callable[[Latency], float | None]) -> _Metric:
        change = estimate_typical_time_change(
            baseline_samples.collect_times(select_time), run_samples.collect_times(select_time), interval
        )
        return _Metric(metric, "ms", change, settings.latency)

    p95 = estimate_slow_time_change(
        baseline_samples.collect_times(_get_total_latency_ms),
        run_samples.collect_times(_get_total_latency_ms),
        interval,
    )
    return [
        compare_typical_time("submit_latency_ms", lambda latency: latency.submit_latency_ms),
        compare_typical_time("ttfa_ms", lambda latency: latency.ttfa_ms),
        _Metric(
            "completion_ms",
            "ms",
            _estimate_completion_time_change(baseline_samples, run_samples, interval),
            settings.latency,
        ),
        compare_typical_time("total_latency_ms", _get_total_latency_ms),
        _Metric("total_latency_p95_ms", "ms", p95, settings.latency),
    ]


def _get_total_latency_ms(latency: Latency) -> float | None:
    return latency.total_latency_ms


def _compare_error_and_failure_rates(
    baseline_samples: _TargetSamples, run_samples: _TargetSamples, settings: CompareSettings
) -> list[_Metric]:
    interval = settings.interval_settings
    words = estimate_error_rate_change(
        baseline_samples.count_errors("word"), run_samples.count_errors("word"), interval
    )
    characters = estimate_error_rate_change(
        baseline_samples.count_errors("character"), run_samples.count_errors("character"), interval
    )
    failures = estimate_failure_rate_change(
        baseline_samples.count_failures_and_samples(), run_samples.count_failures_and_samples(), interval
    )
    return [
        _Metric("wer", "rate", words, settings.error_rate),
        _Metric("cer", "rate", characters, settings.error_rate),
        _Metric("failures", "rate", failures, settings.failures),
    ]


def decide_verdict(change: MetricChange, threshold: ChangeThreshold) -> ChangeVerdict:
    """Return the verdict on the change of a metric for which lower is better."""
    if change.low is None or change.high is None:
        return "underpowered"
    if change.change >= threshold.min_change and change.low > 0:
        return "regression"
    if change.change <= -threshold.min_change and change.high < 0:
        return "improvement"
    return "no evidence" if change.high < threshold.detectable_change else "underpowered"


def _estimate_completion_time_change(
    baseline_samples: _TargetSamples, run_samples: _TargetSamples, interval_settings: IntervalSettings
) -> MetricChange | None:
    """Return the change of the completion time of jobs, with an interval that allows for the imprecision of polling.

    The true completion lies anywhere between two polls. The smallest possible change is from the
    upper bounds of the baseline to the lower bounds of the run. The largest possible change is
    from the lower bounds of the baseline to the upper bounds of the run.
    """

    def estimate_change(
        old_bound: Callable[[Interval], float], new_bound: Callable[[Interval], float]
    ) -> MetricChange | None:
        return estimate_typical_time_change(
            baseline_samples.collect_completion_times(old_bound),
            run_samples.collect_completion_times(new_bound),
            interval_settings,
        )

    middle, smallest, largest = (
        estimate_change(_compute_midpoint, _compute_midpoint),
        estimate_change(_get_upper_bound, _get_lower_bound),
        estimate_change(_get_lower_bound, _get_upper_bound),
    )
    if middle is None or smallest is None or largest is None:
        return None
    note = middle.note or "lower and upper bound: status is only seen when polled"
    return middle._replace(low=smallest.low, high=largest.high, note=note)


def _get_lower_bound(bounds: Interval) -> float:
    return bounds.low_ms


def _get_upper_bound(bounds: Interval) -> float:
    return bounds.high_ms


def _compute_midpoint(bounds: Interval) -> float:
    return (bounds.low_ms + bounds.high_ms) / 2


def _compare_prices_and_charges(
    target_refs: tuple[TargetRef, TargetRef],
    baseline_samples: _TargetSamples,
    run_samples: _TargetSamples,
    threshold: ChangeThreshold,
) -> list[_Metric]:
    """Compare prices (in dollars, otherwise in credits) and reported charges (in credits, otherwise in dollars)."""
    before, after = target_refs[0].price, target_refs[1].price
    note = f"price of a text of {DEFAULT_TEXT_LENGTH_CHARACTERS} characters"
    price = _Metric(
        "price",
        "usd",
        _build_exact_change(_estimate_text_price(before.usd), _estimate_text_price(after.usd), note),
        threshold,
    )
    if price.change is None:
        credits = _build_exact_change(_estimate_text_price(before.credits), _estimate_text_price(after.credits), note)
        price = _Metric("price", "credits", credits, threshold)
    charged = _Metric(
        "charged",
        "credits",
        _compare_mean_charges(baseline_samples, run_samples, lambda s: s.cost.charged_credits),
        threshold,
    )
    if charged.change is None:
        charged = _Metric(
            "charged",
            "usd",
            _compare_mean_charges(baseline_samples, run_samples, lambda s: s.cost.charged_usd),
            threshold,
        )
    return [price, charged]


def _estimate_text_price(amount_per_unit: AmountPerUnit | None) -> float | None:
    """Return the price of a text of default length; the duration of its audio is estimated."""
    if amount_per_unit is None:
        return None
    minutes = DEFAULT_TEXT_LENGTH_CHARACTERS / ASSUMED_SPEECH_CHARACTERS_PER_S / 60
    factor = {"request": 1.0, "minute": minutes}.get(amount_per_unit.unit, DEFAULT_TEXT_LENGTH_CHARACTERS)
    return amount_per_unit.amount * factor


def _compare_mean_charges(
    baseline_samples: _TargetSamples, run_samples: _TargetSamples, select_charge: Callable[[Sample], float | None]
) -> MetricChange | None:
    """Return the change of the mean charge, for the texts that have a reported charge in both runs."""
    before, after = (
        baseline_samples.compute_mean_charges(select_charge),
        run_samples.compute_mean_charges(select_charge),
    )
    common = before.keys() & after.keys()
    if not common:
        return None
    old_mean, new_mean = (math.fsum(side[text] for text in common) / len(common) for side in (before, after))
    return _build_exact_change(old_mean, new_mean, f"mean of {len(common)} texts")


def _build_exact_change(baseline_value: float | None, run_value: float | None, note: str) -> MetricChange | None:
    """Return a change that is known exactly; both ends of its interval equal the change."""
    if baseline_value is None or run_value is None:
        return None
    # From 0 there is no ratio: any price above it counts as an increase of 100%.
    change = run_value / baseline_value - 1 if baseline_value else float(run_value > 0)
    return MetricChange(baseline_value, run_value, change, change, change, 1, 1, note)
