"""Regression verdicts: a run held against a baseline, target by target and metric by metric.

A metric has regressed where the change is large enough to matter *and* its interval
excludes no change. Otherwise there is no evidence of a regression, if the interval
also excludes a change that must not be missed; else the runs are underpowered.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

from voicegauge.bench.analysis.cost import TEXT_LENGTH
from voicegauge.bench.analysis.differences import (
    SESSION_DRIFT,
    ErrorCount,
    IntervalSettings,
    MetricChange,
    TimedSample,
    error_rate,
    failure_rate,
    slow_time,
    typical_time,
)
from voicegauge.bench.analysis.summary import scored_samples
from voicegauge.contract import SPEECH_CHARACTERS_PER_S
from voicegauge.errors import DataError
from voicegauge.model import Interval, Latency, Provenance, Record, Run, Sample, ScoreSet, TargetRef

ChangeVerdict = Literal["regression", "improvement", "no evidence", "underpowered"]
Unit = Literal["ms", "rate", "usd", "credits"]
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
    """When a change matters, relative for times and prices, in points (0.02 is two) for rates."""

    least: float
    """A smaller change is no regression, however sure."""
    missed: float
    """Runs that cannot exclude a change this large are underpowered."""


class CompareSettings(Record, frozen=True, kw_only=True):
    """How sure a verdict must be, and how large a change matters."""

    alpha: float = 0.01
    """Chance of a false alarm for each metric of each target, both directions together."""
    session_drift: float = SESSION_DRIFT
    """Spread of latency from session to session that is assumed until sessions show it; 0.1 is 10%."""
    latency: ChangeThreshold = ChangeThreshold(least=0.10, missed=0.30)
    error_rate: ChangeThreshold = ChangeThreshold(least=0.02, missed=0.05)
    failures: ChangeThreshold = ChangeThreshold(least=0.02, missed=0.10)
    price: ChangeThreshold = ChangeThreshold(least=0.001, missed=0.001)
    seed: int = 0

    @property
    def allowance(self) -> IntervalSettings:
        """What every interval allows for."""
        return IntervalSettings(self.alpha, self.session_drift, self.seed)


class ComparedRun(Record, frozen=True, kw_only=True):
    """One of the two runs."""

    run_id: str
    created_at: str
    finished: bool
    sessions: int
    samples: int
    """Without warm-up."""


class MetricComparison(Record, frozen=True, kw_only=True):
    """What became of one metric of one target."""

    target: str
    metric: MetricId
    unit: Unit
    verdict: ChangeVerdict
    baseline: float
    run: float
    change: float
    """Run against baseline: relative for times and prices, in points (0.02 is two) for rates."""
    low: float | None
    """Lower end of the interval of `change` at the level 1 - alpha; `None` where there is too little."""
    high: float | None
    n_baseline: int
    n_run: int
    note: str = ""


class RunComparison(Record, frozen=True, kw_only=True):
    """All that `voicegauge compare --json` writes."""

    schema: str = "voicegauge/compare/1"
    provenance: Provenance
    suite: str
    baseline: ComparedRun
    run: ComparedRun
    settings: CompareSettings
    asr: str | None
    """The engine whose scores were compared; `None` where a run has none."""
    metrics: tuple[MetricComparison, ...]
    only_in_baseline: tuple[str, ...]
    """Targets that the run did not measure."""
    only_in_run: tuple[str, ...]

    @property
    def regressions(self) -> tuple[MetricComparison, ...]:
        """The verdicts that should fail a build."""
        return tuple(verdict for verdict in self.metrics if verdict.verdict == "regression")


def compare_runs(baseline: Run, run: Run, settings: CompareSettings | None = None) -> RunComparison:
    """Hold `run` against `baseline`.

    Raises:
        DataError: the runs are not comparable: another suite, provenance, ASR, normalizer
            or concurrency, or no target in common.
    """
    settings = settings or CompareSettings()
    _check_comparable(baseline, run)
    scores = _common_scores(baseline, run)
    before = {target.id: target for target in baseline.manifest.targets}
    after = {target.id: target for target in run.manifest.targets}
    both = [target for target in after if target in before]
    if not both:
        raise DataError("not comparable: the runs have no target in common")
    metrics = [
        verdict
        for target in both
        for verdict in _verdicts(
            (before[target], after[target]),
            _Measured(baseline, target, scores and scores[0]),
            _Measured(run, target, scores and scores[1]),
            settings,
        )
    ]
    return RunComparison(
        provenance=run.manifest.provenance,
        suite=f"{run.manifest.suite.id}/{run.manifest.suite.version}",
        baseline=_side(baseline),
        run=_side(run),
        settings=settings,
        asr=scores[1].asr if scores else None,
        metrics=tuple(metrics),
        only_in_baseline=tuple(target for target in before if target not in after),
        only_in_run=tuple(target for target in after if target not in before),
    )


def _side(run: Run) -> ComparedRun:
    return ComparedRun(
        run_id=run.manifest.run_id,
        created_at=run.manifest.created_at,
        finished=run.manifest.finished,
        sessions=run.manifest.sessions,
        samples=sum(not sample.warmup for sample in run.samples),
    )


def _check_comparable(baseline: Run, run: Run) -> None:
    old, new = baseline.manifest, run.manifest
    for side in (baseline, run):
        if all(sample.warmup for sample in side.samples):
            raise DataError(f"not comparable: the run {side.manifest.run_id} has no sample: it was stopped too early")
    if old.suite.sha256 != new.suite.sha256:
        raise DataError(
            f"not comparable: the baseline spoke the suite {old.suite.id}/{old.suite.version} "
            f"({old.suite.sha256[:8]}), the run {new.suite.id}/{new.suite.version} ({new.suite.sha256[:8]})"
        )
    if old.provenance != new.provenance:
        raise DataError(f"not comparable: the baseline is {old.provenance}, the run is {new.provenance}")
    if old.concurrency != new.concurrency:
        raise DataError(
            f"not comparable: the baseline had up to {old.concurrency} requests in flight, "
            f"the run {new.concurrency}: give both the same --concurrency"
        )


def _common_scores(baseline: Run, run: Run) -> tuple[ScoreSet, ScoreSet] | None:
    """The newest scores that both runs have of one engine, set one way; `None` where a run has none."""
    if not baseline.score_sets or not run.score_sets:
        return None
    for new in reversed(run.score_sets):
        for old in reversed(baseline.score_sets):
            if _pinned(old) == _pinned(new):
                return old, new
    old, new = baseline.score_sets[-1], run.score_sets[-1]
    raise DataError(
        f"not comparable: the baseline was scored by {old.asr} with {old.normalizer}, the run by {new.asr} "
        f"with {new.normalizer}: score one again with `voicegauge score`"
    )


def _pinned(scores: ScoreSet) -> tuple[object, ...]:
    return scores.asr, scores.normalizer, scores.settings, scores.closed_vocabulary


class _Measured:
    """The samples of one target in one run, warm-up left out."""

    def __init__(self, run: Run, target: str, scores: ScoreSet | None) -> None:
        self.samples = [s for s in run.samples if s.target == target and not s.warmup]
        self._scored = scored_samples(self.samples, scores) if scores else []

    def times(self, value: Callable[[Latency], float | None]) -> list[TimedSample]:
        """The times of the samples that succeeded."""
        return [
            TimedSample(sample.text_id, sample.session, ms)
            for sample in self.samples
            if sample.failure is None and sample.latency and (ms := value(sample.latency)) is not None
        ]

    def ends(self, value: Callable[[Interval], float]) -> list[TimedSample]:
        """An end of the time at which jobs were done."""
        return self.times(lambda latency: value(latency.completion_ms) if latency.completion_ms else None)

    def errors(self, unit: Literal["word", "character"]) -> list[ErrorCount]:
        """Errors of the samples counted in `unit`, failed ones included; nothing without scores."""
        return [ErrorCount(s.text_id, score.errors, score.units) for s, score in self._scored if score.unit == unit]

    def failures(self) -> tuple[int, int]:
        """Failures and samples."""
        return sum(s.failure is not None for s in self.samples), len(self.samples)

    def charges(self, value: Callable[[Sample], float | None]) -> dict[str, float]:
        """What a text was charged on the average, for the texts that were."""
        charges: dict[str, list[float]] = {}
        for sample in self.samples:
            if (charge := value(sample)) is not None:
                charges.setdefault(sample.text_id, []).append(charge)
        return {text: sum(charged) / len(charged) for text, charged in charges.items()}


class _Metric(NamedTuple):
    id: MetricId
    unit: Unit
    contrast: MetricChange | None
    threshold: ChangeThreshold


def _verdicts(
    refs: tuple[TargetRef, TargetRef], old: _Measured, new: _Measured, settings: CompareSettings
) -> list[MetricComparison]:
    metrics = [*_latencies(old, new, settings), *_rates(old, new, settings), *_costs(refs, old, new, settings.price)]
    return [
        MetricComparison(
            target=refs[1].id,
            metric=metric.id,
            unit=metric.unit,
            verdict=decide_verdict(metric.contrast, metric.threshold),
            **metric.contrast._asdict(),
        )
        for metric in metrics
        if metric.contrast is not None
    ]


def _latencies(old: _Measured, new: _Measured, settings: CompareSettings) -> list[_Metric]:
    allowance = settings.allowance

    def typical(metric: MetricId, value: Callable[[Latency], float | None]) -> _Metric:
        contrast = typical_time(old.times(value), new.times(value), allowance)
        return _Metric(metric, "ms", contrast, settings.latency)

    slow = slow_time(old.times(_total_latency_ms), new.times(_total_latency_ms), allowance)
    return [
        typical("submit_latency_ms", lambda latency: latency.submit_latency_ms),
        typical("ttfa_ms", lambda latency: latency.ttfa_ms),
        _Metric("completion_ms", "ms", _done(old, new, allowance), settings.latency),
        typical("total_latency_ms", _total_latency_ms),
        _Metric("total_latency_p95_ms", "ms", slow, settings.latency),
    ]


def _total_latency_ms(latency: Latency) -> float | None:
    return latency.total_latency_ms


def _rates(old: _Measured, new: _Measured, settings: CompareSettings) -> list[_Metric]:
    allowance = settings.allowance
    words = error_rate(old.errors("word"), new.errors("word"), allowance)
    characters = error_rate(old.errors("character"), new.errors("character"), allowance)
    failures = failure_rate(old.failures(), new.failures(), allowance)
    return [
        _Metric("wer", "rate", words, settings.error_rate),
        _Metric("cer", "rate", characters, settings.error_rate),
        _Metric("failures", "rate", failures, settings.failures),
    ]


def decide_verdict(contrast: MetricChange, threshold: ChangeThreshold) -> ChangeVerdict:
    """The verdict on one metric of which less is better."""
    change, low, high = contrast.change, contrast.low, contrast.high
    if low is None or high is None:
        return "underpowered"
    if change >= threshold.least and low > 0:
        return "regression"
    if change <= -threshold.least and high < 0:
        return "improvement"
    return "no evidence" if high < threshold.missed else "underpowered"


def _done(old: _Measured, new: _Measured, allowance: IntervalSettings) -> MetricChange | None:
    """When jobs were done, known only between two polls: the interval spans every truth that fits."""
    (old_low, new_low), (old_high, new_high), (old_middle, new_middle) = (
        (old.ends(end), new.ends(end)) for end in (_low, _high, _middle)
    )
    middle = typical_time(old_middle, new_middle, allowance)
    least = typical_time(old_high, new_low, allowance)
    most = typical_time(old_low, new_high, allowance)
    if middle is None or least is None or most is None:
        return None
    return middle._replace(low=least.low, high=most.high, note=middle.note or "known only between two polls")


def _low(done: Interval) -> float:
    return done.low_ms


def _high(done: Interval) -> float:
    return done.high_ms


def _middle(done: Interval) -> float:
    return (done.low_ms + done.high_ms) / 2


def _costs(
    refs: tuple[TargetRef, TargetRef], old: _Measured, new: _Measured, threshold: ChangeThreshold
) -> list[_Metric]:
    usd = _request_usd(refs[0]), _request_usd(refs[1])
    in_credits = _request_credits(refs[0]), _request_credits(refs[1])
    note = f"a text of {TEXT_LENGTH} characters"
    price = _Metric("price", "usd", _exact(*usd, note), threshold)
    if price.contrast is None:
        price = _Metric("price", "credits", _exact(*in_credits, note), threshold)
    charged = _Metric("charged", "credits", _charged(old, new, lambda s: s.cost.charged_credits), threshold)
    if charged.contrast is None:
        charged = _Metric("charged", "usd", _charged(old, new, lambda s: s.cost.charged_usd), threshold)
    return [price, charged]


def _request_usd(ref: TargetRef) -> float | None:
    return _price(ref.usd_per_request, ref.usd_per_character, ref.usd_per_minute)


def _request_credits(ref: TargetRef) -> float | None:
    return _price(ref.credits_per_request, ref.credits_per_character, ref.credits_per_minute)


def _price(a_request: float | None, a_character: float | None, a_minute: float | None) -> float | None:
    minutes = TEXT_LENGTH / SPEECH_CHARACTERS_PER_S / 60
    parts = [(a_request, 1.0), (a_character, TEXT_LENGTH), (a_minute, minutes)]
    known = [price * units for price, units in parts if price is not None]
    return sum(known) if known else None


def _charged(old: _Measured, new: _Measured, value: Callable[[Sample], float | None]) -> MetricChange | None:
    """Mean charge of the texts that both runs were charged for."""
    before, after = old.charges(value), new.charges(value)
    common = before.keys() & after.keys()
    if not common:
        return None
    old_mean, new_mean = (math.fsum(side[text] for text in common) / len(common) for side in (before, after))
    return _exact(old_mean, new_mean, f"mean of {len(common)} texts")


def _exact(before: float | None, after: float | None, note: str) -> MetricChange | None:
    """A change that is known, not estimated."""
    if before is None or after is None:
        return None
    change = after / before - 1 if before else float(after > 0)
    return MetricChange(before, after, change, change, change, 1, 1, note)
