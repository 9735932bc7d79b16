"""Estimates the change of every metric of one target.

Each function takes the two sides of the comparison: the runs of the baseline, and the new run.

Targets of one run are measured in the same minutes, so that much of what makes a night slow (the network, this
machine, a cloud that several providers use) is common to them. The difference between the change of a target and the
median change of the others varies less from night to night than the target's own speed, so that smaller changes are
found in it. How much it varies is measured in the nights of the baseline. A change that all targets share is found only
in the target's own speed, which is tested too.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Literal, NamedTuple

import numpy as np

from voicegauge.bench._change_estimates import (
    MIN_RUNS_TO_MEASURE_VARIATION,
    ComparedTimes,
    EstimatedVariance,
    MeasuredVariation,
    ValueWithTextId,
    estimate_error_rate_change,
    estimate_mean_change,
    estimate_p95_time_change,
    estimate_time_change_between_targets,
    estimate_typical_time_change,
    estimate_variation_variance,
    estimate_voice_change,
    find_common_texts,
    measure_night_levels,
    measure_variation,
)
from voicegauge.bench._metric_changes import (
    BoundedChange,
    EstimatedChange,
    FailureRateChange,
    MetricChange,
    PolledTimeChange,
    TwiceTestedChange,
)
from voicegauge.bench.estimates import MIN_TEXTS_FOR_INTERVAL
from voicegauge.bench.resampling import FloatArray
from voicegauge.bench.target_cost import build_exact_change, compare_prices
from voicegauge.bench.target_samples import LeftOutClips, MeasuredTime, TargetSamples
from voicegauge.bench.voice_quality import DELIVERY_MEASURES, DeliveryMeasure, measure_differences
from voicegauge.model.price import PriceClaim, format_price_usd
from voicegauge.model.run import MeasuredTarget
from voicegauge.model.sample import AudioFacts, Interval, QualityPrediction, Sample

# Tests the change of one target relative to the other targets of the same runs.


MIN_OTHER_TARGETS_AS_REFERENCE = 3
"""Smallest number of other targets: the median change of only two would depend too much on either of them."""


class TargetTimes(NamedTuple):
    """The total latencies of one target in the runs of a comparison."""

    target: str
    baseline: Sequence[Sequence[MeasuredTime]]
    """The times of each run of the baseline."""
    run: Sequence[MeasuredTime]
    """The times of the new run."""

    @property
    def all_runs(self) -> list[Sequence[MeasuredTime]]:
        """The times of each run of the baseline, then of the new run."""
        return [*self.baseline, self.run]


class SharedVariation:
    """Separates the change of each target's total latency from the variation that it shares with the other targets."""

    def __init__(self, targets: Sequence[TargetTimes]) -> None:
        """Measure how the targets varied relative to each other in the runs of the baseline.

        Args:
            targets: the targets that were measured in every run of the baseline and in the new run.
        """
        run_count = max((len(one.baseline) for one in targets), default=0)
        complete = [
            one
            for one in targets
            if len(one.baseline) == run_count and len(find_common_texts(one.all_runs)) >= MIN_TEXTS_FOR_INTERVAL
        ]
        self._run_count = run_count
        self._contrasts: dict[str, FloatArray] = {}
        """For each target, its level relative to the median of the others, in each run of the baseline and the new one.
        """
        self._common_change: dict[str, float] = {}
        self._text_errors: dict[str, float] = {}
        if run_count < MIN_RUNS_TO_MEASURE_VARIATION or len(complete) <= MIN_OTHER_TARGETS_AS_REFERENCE:
            return
        nights = {
            one.target: measure_night_levels(
                one.all_runs, find_common_texts(one.all_runs), night_count_of_typical_level=run_count
            )
            for one in complete
        }
        levels = {target: np.array([night.center for night in row]) for target, row in nights.items()}
        for target, own in levels.items():
            # The median, because a target that changed too must not move what the others are compared with.
            others = np.median([other for name, other in levels.items() if name != target], axis=0)
            contrast = own - others
            # The new run is left out of the mean, so that its change stays whole in the contrast.
            self._contrasts[target] = contrast - contrast[:-1].mean()
            self._common_change[target] = math.expm1(float(others[-1] - others[:-1].mean()))
            self._text_errors[target] = nights[target][-1].standard_error

    def add_test_against_other_targets(
        self, target: str, change: EstimatedChange
    ) -> EstimatedChange | TwiceTestedChange:
        """Return `change` with a second test, which compares the target's change with that of the other targets.

        `change` is returned unchanged if the other targets provide no reference, or if it has no standard error.
        """
        contrast = self._contrasts.get(target)
        if contrast is None or change.standard_error is None:
            return change
        variance = self._estimate_variance(target)
        # The nights may be alike by chance, but never know the level better than the texts of one night do.
        error = math.sqrt(max(variance.variance * (1 + 1 / self._run_count), self._text_errors[target] ** 2))
        difference = float(contrast[-1])
        common = f"{self._common_change[target]:+.0%}"
        beside_others = dataclasses.replace(
            change,
            change=math.expm1(difference),
            note=f"beside the other targets of the runs, whose times changed by {common}",
            difference=difference,
            standard_error=error,
            degrees_of_freedom=variance.degrees_of_freedom,
        )
        return TwiceTestedChange.combine(change, beside_others)

    def _estimate_variance(self, target: str) -> EstimatedVariance:
        varies = {
            name: MeasuredVariation(float(np.sum(row[:-1] ** 2)) / (self._run_count - 1), self._run_count, 0.0, 0)
            for name, row in self._contrasts.items()
        }
        own = varies.pop(target)
        # There are enough nights to measure the spread, or this test is not made: nothing has to be assumed.
        return estimate_variation_variance(own, list(varies.values()), 0.0)


# Estimates the change of each metric from the samples of both sides.


MetricUnit = Literal["ms", "rate", "rating", "letters/s", "hz", "similarity", "db", "usd", "credits"]
"""Units of metrics. "rate": an error rate or a share; "rating": from 1 to 5; "db": decibels."""
MetricId = Literal[
    "submit_latency_ms",
    "ttfa_ms",
    "completion_ms",
    "total_latency_ms",
    "total_latency_p95_ms",
    "wer",
    "cer",
    "failures",
    "wrong_audio",
    "overall_rating",
    "background_rating",
    "letters_per_s",
    "pitch_hz",
    "spectral_centroid_hz",
    "voice_similarity",
    "duration_difference",
    "pace_difference",
    "pitch_difference",
    "level_difference_db",
    "word_difference",
    "price",
    "charged",
]
"""Ids of the metrics that are compared."""

VOICE_MEASURES: tuple[MetricId, ...] = ("letters_per_s", "pitch_hz", "spectral_centroid_hz")
"""Measures of a voice of which neither higher nor lower values are better: a change in either direction can be a
regression."""
_METRIC_BY_DELIVERY_MEASURE: dict[DeliveryMeasure, MetricId] = {
    "duration": "duration_difference",
    "pace": "pace_difference",
    "pitch": "pitch_difference",
    "level": "level_difference_db",
    "words": "word_difference",
}
"""The metric of each measure of the difference between two deliveries of one text."""
STEADINESS_METRICS: tuple[MetricId, ...] = tuple(_METRIC_BY_DELIVERY_MEASURE.values())
"""Metrics that say how much two deliveries of one text in the same run differ."""
UNITS_BETTER_IF_HIGHER: tuple[MetricUnit, ...] = ("rating", "similarity")
"""Units of metrics that are better if they are higher. The change of such a metric is estimated as its fall."""


class ComparedTarget(NamedTuple):
    """One target on both sides of a comparison."""

    target_in_baseline: MeasuredTarget
    """The target as the manifest of the baseline describes it, with its price."""
    target_in_run: MeasuredTarget
    baseline_samples: Sequence[TargetSamples]
    """The target's samples in each run of the baseline."""
    run_samples: TargetSamples
    sides_share_sessions: bool = False
    """Whether both sides were measured in the same sessions of one run."""
    compares_voice: bool = False
    """Whether the voices of both sides are compared, because they should be the same."""
    compares_wrong_audio: bool = True
    """Whether the shares of wrong audio are compared, because the audio of both sides was judged in the same way."""
    compares_steadiness: bool = False
    """Whether differences between deliveries of one text are compared, because both sides speak texts."""

    @property
    def has_delivered_in_baseline(self) -> bool:
        """Whether any sample of the baseline has usable audio, or a transcript in a run of speech to text."""
        return any(samples.has_delivered for samples in self.baseline_samples)

    def describe_clips_left_out(self) -> str:
        """Return a sentence: how many clips of each side do not count in the comparison of ratings and voice; or ""."""
        before = [one.voice.left_out for one in self.baseline_samples]
        baseline = LeftOutClips(
            wrong_count=sum(one.wrong_count for one in before), copy_count=sum(one.copy_count for one in before)
        )
        left_out_by_side = {"baseline": baseline, "run": self.run_samples.voice.left_out}
        sides = [f"{left_out} in the {name}" for name, left_out in left_out_by_side.items() if left_out]
        has_copies = any(left_out.copy_count for left_out in left_out_by_side.values())
        explanation = " (a copy is the same file as an earlier clip)" if has_copies else ""
        lead = f"{self.target_in_run.id}: left out of the comparison of ratings and voice"
        return f"{lead}: {', '.join(sides)}{explanation}" if sides else ""


class ComparedMetric(NamedTuple):
    """A metric of one target, with its change from the baseline to the run."""

    id: MetricId
    unit: MetricUnit
    change: MetricChange
    """The change: positive if the value rose, or of a rating or a similarity, if it fell."""


class VariationEstimator:
    """Estimates the variation of each target from the runs of the baseline, moderated by that of the other targets."""

    def __init__(self, targets: Sequence[ComparedTarget], assumed_variation: float) -> None:
        """Measure how much the total latency of every target varies between the runs of the baseline.

        Args:
            targets: all targets of the comparison.
            assumed_variation: spread that is assumed if the baseline has few runs.
        """
        self._assumed_variation = assumed_variation
        self._variation_by_target: dict[str, MeasuredVariation] = {
            target.target_in_run.id: measure_variation([run.total_latencies for run in target.baseline_samples])
            for target in targets
            if not target.sides_share_sessions
        }

        self.shared = SharedVariation(
            [
                TargetTimes(
                    target.target_in_run.id,
                    [run.total_latencies for run in target.baseline_samples],
                    target.run_samples.total_latencies,
                )
                for target in targets
                if not target.sides_share_sessions and target.run_samples.total_latencies
            ]
        )

    def estimate_variance(self, target: ComparedTarget) -> EstimatedVariance:
        """Return the variance that variation adds to the mean log time of one run of `target`.

        The two sides of the target must be different runs.
        """
        own = self._variation_by_target[target.target_in_run.id]
        others = [variation for name, variation in self._variation_by_target.items() if name != target.target_in_run.id]
        return estimate_variation_variance(own, others, self._assumed_variation)


def estimate_metric_changes(
    target: ComparedTarget, variation_estimator: VariationEstimator, *, seed: int
) -> list[ComparedMetric]:
    """Estimate the change of every metric for which both sides have data.

    Args:
        target: the target on both sides.
        variation_estimator: estimates how much the runs of a target differ without a change.
        seed: seed of the resampling.
    """
    return [
        *_estimate_latency_changes(target, variation_estimator, seed),
        *_estimate_rate_changes(target),
        *_estimate_rating_changes(target),
        *_estimate_voice_changes(target),
        *_estimate_steadiness_changes(target),
        *_compare_prices_and_charges(target),
    ]


def _estimate_latency_changes(
    target: ComparedTarget, variation_estimator: VariationEstimator, seed: int
) -> list[ComparedMetric]:
    # Sides of one run met the same minutes: what they share of the variation cancels out, and sessions show the rest.
    spread = None if target.sides_share_sessions else variation_estimator.estimate_variance(target)

    def collect_times_of_both_sides(
        collect_times: Callable[[TargetSamples], list[MeasuredTime]],
    ) -> tuple[ComparedTimes, ComparedTimes]:
        baseline = ComparedTimes([collect_times(run) for run in target.baseline_samples])
        return baseline, ComparedTimes([collect_times(target.run_samples)])

    def estimate_typical_change(baseline_times: ComparedTimes, run_times: ComparedTimes) -> EstimatedChange | None:
        if spread is None:
            return estimate_time_change_between_targets(baseline_times.all_times, run_times.all_times)
        return estimate_typical_time_change(baseline_times, run_times, spread)

    submits = collect_times_of_both_sides(
        lambda samples: samples.collect_times(lambda latency: latency.submit_latency_ms)
    )
    first_audio = collect_times_of_both_sides(lambda samples: samples.collect_times(lambda latency: latency.ttfa_ms))
    totals = collect_times_of_both_sides(lambda samples: samples.total_latencies)
    total: MetricChange | None = estimate_typical_change(*totals)
    if isinstance(total, EstimatedChange):
        total = variation_estimator.shared.add_test_against_other_targets(target.target_in_run.id, total)
    changes: list[tuple[MetricId, MetricChange | None]] = [
        ("submit_latency_ms", estimate_typical_change(*submits)),
        ("ttfa_ms", estimate_typical_change(*first_audio)),
        ("completion_ms", _estimate_completion_time_change(target, estimate_typical_change)),
        ("total_latency_ms", total),
        ("total_latency_p95_ms", estimate_p95_time_change(*totals, spread, seed=seed)),
    ]
    return [ComparedMetric(metric, "ms", change) for metric, change in changes if change is not None]


def _estimate_completion_time_change(
    target: ComparedTarget, estimate_typical_change: Callable[[ComparedTimes, ComparedTimes], EstimatedChange | None]
) -> MetricChange | None:
    """Return the change of the completion time of jobs; `None` if it cannot be estimated.

    Its interval allows for the imprecision of polling.
    """

    def estimate_change_between_bounds(
        select_baseline_bound: Callable[[Interval], float], select_run_bound: Callable[[Interval], float]
    ) -> EstimatedChange | None:
        return estimate_typical_change(
            ComparedTimes([run.collect_completion_times(select_baseline_bound) for run in target.baseline_samples]),
            ComparedTimes([target.run_samples.collect_completion_times(select_run_bound)]),
        )

    select_low, select_high = attrgetter("low_ms"), attrgetter("high_ms")
    middle = estimate_change_between_bounds(_compute_midpoint_ms, _compute_midpoint_ms)
    smallest = estimate_change_between_bounds(select_high, select_low)
    largest = estimate_change_between_bounds(select_low, select_high)
    if middle is None or smallest is None or largest is None:
        return None
    common = middle.get_common_fields()
    common["note"] = common["note"] or "lower and upper bound: status is only seen when polled"
    return PolledTimeChange(**common, smallest_change=smallest, largest_change=largest)


def _compute_midpoint_ms(bounds: Interval) -> float:
    return (bounds.low_ms + bounds.high_ms) / 2


def _estimate_rate_changes(target: ComparedTarget) -> list[ComparedMetric]:
    def estimate_change_of_error_rate(unit: Literal["word", "character"]) -> EstimatedChange | None:
        before = [count for run in target.baseline_samples for count in run.count_errors_by_sample(unit)]
        return estimate_error_rate_change(before, target.run_samples.count_errors_by_sample(unit))

    def estimate_change_of_share(count: Callable[[TargetSamples], tuple[int, int]]) -> FailureRateChange | None:
        before = [count(run) for run in target.baseline_samples]
        baseline = sum(part for part, _ in before), sum(whole for _, whole in before)
        return FailureRateChange.of_counts(baseline, count(target.run_samples))

    changes: list[tuple[MetricId, MetricChange | None]] = [
        ("wer", estimate_change_of_error_rate("word")),
        ("cer", estimate_change_of_error_rate("character")),
        ("failures", estimate_change_of_share(TargetSamples.count_failures_and_samples)),
    ]
    if target.compares_wrong_audio:
        changes.append(("wrong_audio", estimate_change_of_share(TargetSamples.count_wrong_and_judged)))
    return [ComparedMetric(metric, "rate", change) for metric, change in changes if change is not None]


def _estimate_rating_changes(target: ComparedTarget) -> list[ComparedMetric]:
    """Return the changes of the two predicted ratings that are compared.

    The other two ratings of a clip are left out, because they correlate strongly with the overall rating.
    """

    def estimate_change(select_rating: Callable[[QualityPrediction], float]) -> EstimatedChange | None:
        before = [rating for run in target.baseline_samples for rating in run.collect_ratings(select_rating)]
        return estimate_mean_change(before, target.run_samples.collect_ratings(select_rating), is_worse_if_lower=True)

    changes: list[tuple[MetricId, EstimatedChange | None]] = [
        ("overall_rating", estimate_change(lambda rated: rated.overall)),
        ("background_rating", estimate_change(lambda rated: rated.background)),
    ]
    return [ComparedMetric(metric, "rating", change) for metric, change in changes if change is not None]


def _estimate_voice_changes(target: ComparedTarget) -> list[ComparedMetric]:
    """Return the changes of the voice of a target; none if it need not be the same on both sides."""
    if not target.compares_voice:
        return []

    def collect_values_of_both_sides(
        select_values: Callable[[TargetSamples], list[ValueWithTextId]],
    ) -> tuple[list[ValueWithTextId], list[ValueWithTextId]]:
        return [one for run in target.baseline_samples for one in select_values(run)], select_values(target.run_samples)

    def collect_facts_of_both_sides(
        select_fact: Callable[[AudioFacts], float | None],
    ) -> tuple[list[ValueWithTextId], list[ValueWithTextId]]:
        return collect_values_of_both_sides(lambda samples: samples.collect_audio_facts(select_fact))

    spectra = collect_facts_of_both_sides(lambda facts: facts.spectral_centroid_hz)
    similarities = collect_values_of_both_sides(TargetSamples.collect_similarities)
    changes: list[tuple[MetricId, MetricUnit, EstimatedChange | None]] = [
        (
            "letters_per_s",
            "letters/s",
            estimate_voice_change(*collect_values_of_both_sides(TargetSamples.collect_paces)),
        ),
        ("pitch_hz", "hz", estimate_voice_change(*collect_facts_of_both_sides(lambda facts: facts.pitch_hz))),
        ("spectral_centroid_hz", "hz", estimate_voice_change(*spectra)),
        ("voice_similarity", "similarity", estimate_mean_change(*similarities, is_worse_if_lower=True)),
    ]
    return [ComparedMetric(metric, unit, change) for metric, unit, change in changes if change is not None]


def _estimate_steadiness_changes(target: ComparedTarget) -> list[ComparedMetric]:
    """Return the changes of how much deliveries of one text differ; only texts that both sides repeat count."""
    if not target.compares_steadiness:
        return []
    *before, after = (
        measure_differences(run.samples, run.scored, run.wrong_ids)
        for run in (*target.baseline_samples, target.run_samples)
    )
    changes = {
        measure: estimate_mean_change([one for run in before for one in run[measure]], after[measure])
        for measure in DELIVERY_MEASURES
    }
    return [
        ComparedMetric(_METRIC_BY_DELIVERY_MEASURE[measure], "db" if measure == "level" else "rate", change)
        for measure, change in changes.items()
        if change is not None
    ]


def _compare_prices_and_charges(target: ComparedTarget) -> list[ComparedMetric]:
    """Return the changes of the documented price and of the mean reported charge, each only if both sides have it.

    Prices are compared in dollars if both sides have prices in dollars, otherwise in credits. Charges are compared in
    credits if both sides have charges in credits, otherwise in dollars.
    """
    sides = target.target_in_baseline, target.target_in_run
    candidates: list[tuple[MetricId, MetricUnit, MetricChange | None]] = [
        ("price", "usd", compare_prices(sides, PriceClaim.compute_usd, format_price_usd)),
        ("price", "credits", compare_prices(sides, PriceClaim.compute_credits, "{:g} credits".format)),
        ("charged", "credits", _compare_mean_charges(target, lambda sample: sample.cost.charged_credits)),
        ("charged", "usd", _compare_mean_charges(target, lambda sample: sample.cost.charged_usd)),
    ]
    providers = {one.id.partition("/")[0] for one in sides}
    # A later entry replaces an earlier one with its key: the first candidate that both sides have is what remains.
    found = {
        metric: ComparedMetric(metric, unit, change)
        for metric, unit, change in reversed(candidates)
        # A credit of one provider is not worth one of another.
        if change is not None and (unit != "credits" or len(providers) == 1)
    }
    return [found[metric] for metric in ("price", "charged") if metric in found]


def _compare_mean_charges(
    target: ComparedTarget, select_charge: Callable[[Sample], float | None]
) -> BoundedChange | None:
    """Return the change of the mean charge per text from the newest run of the baseline to the new run.

    Only texts for which both runs have a charge are compared; `None` if there are none.
    """
    # A mean over all nights of the baseline would blend the prices before and after a change of the price list.
    before = target.baseline_samples[-1].compute_mean_charges(select_charge)
    after = target.run_samples.compute_mean_charges(select_charge)
    common = before.keys() & after.keys()
    if not common:
        return None
    old_mean, new_mean = (math.fsum(side[text] for text in common) / len(common) for side in (before, after))
    return build_exact_change(old_mean, new_mean, f"mean of {len(common)} texts")
