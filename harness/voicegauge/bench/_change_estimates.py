"""Estimates the difference of one metric between two sides, and the variation that occurs without any change.

Services are faster or slower for hours at a time. The sessions of a run follow one another and
are mostly equally fast or slow; only several runs, such as those of several nights, show how much
the speed varies. With fewer than `MIN_RUNS_TO_MEASURE_VARIATION` runs, a spread is assumed, as a scaled inverse
chi-squared prior (Gelman et al., Bayesian Data Analysis, 3rd ed., section 2.6), and the runs can only make it
larger. From `MIN_RUNS_TO_MEASURE_VARIATION` runs on, the spread of the runs replaces the assumed one. It is moderated
by the spread of the other targets (Smyth 2004), so that five nights of one target need not carry the estimate alone.

The sides are a baseline of one or several runs and a new run, or two targets of one run. Texts are paired, so that each
text is compared with itself. Two things make the paired difference uncertain: the choice of texts in the suite, and
variation. Two targets of one run are measured in the same minutes; variation that they share cancels out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from voicegauge.bench._metric_changes import EstimatedChange
from voicegauge.bench.estimates import MIN_TEXTS_FOR_INTERVAL
from voicegauge.bench.resampling import MIN_TIME_FOR_LOGARITHM_MS, FloatArray, SampledValues, load_scipy, resample_texts
from voicegauge.bench.target_samples import ErrorCount, MeasuredTime

# Estimates how much the speed of a service differs from one run to another without any change.


DEFAULT_LATENCY_VARIATION = 0.10
"""Spread of a service's latency between runs that is assumed by default: standard deviation of log latency."""
PRIOR_DEGREES_OF_FREEDOM = 10.0
"""Weight of the assumed spread, in degrees of freedom; also the largest weight of the spread of other targets."""
MIN_RUNS_TO_MEASURE_VARIATION = 5
"""Smallest number of baseline runs whose measured spread replaces the assumed one."""


class EstimatedVariance(NamedTuple):
    """An estimated variance, with the degrees of freedom of the estimate."""

    variance: float
    degrees_of_freedom: float


class MeasuredVariation(NamedTuple):
    """How much the speed of one target varies without a change of the service, as variances of log times."""

    variance_between_runs: float
    """Variance of the mean log time between runs; 0 for a single run."""
    run_count: int
    variance_between_sessions: float
    """Variance of the mean log time between the sessions of a run; 0 if every run has a single session."""
    session_degrees_of_freedom: int
    """Degrees of freedom of `variance_between_sessions`."""


def measure_variation(times_by_run: Sequence[Sequence[MeasuredTime]]) -> MeasuredVariation:
    """Measure how much a target varies between runs and between sessions; both are 0 if no text is in every run."""
    times_by_run = [run for run in times_by_run if run]
    texts = find_common_texts(times_by_run)
    if not texts:
        return MeasuredVariation(0.0, len(times_by_run), 0.0, 0)
    levels = np.array([compute_mean_log_median_times([run], texts) for run in times_by_run])
    # The median over texts: one text that a night measured far too slow must not look like a slow night.
    deviations = np.nanmedian(levels - np.nanmean(levels, axis=0), axis=1)
    run_variance = float(np.sum(deviations**2)) / (len(times_by_run) - 1) if len(times_by_run) > 1 else 0.0
    # Each run is centered on itself, so that what nights differ by does not count as variation between sessions.
    squares, freedom = 0.0, 0
    for run in times_by_run:
        table = compute_log_median_times_by_session(run, texts)
        if len(table) > 1:
            squares += float(np.sum(np.nanmedian(table - np.nanmean(table, axis=0), axis=1) ** 2))
            freedom += len(table) - 1
    return MeasuredVariation(run_variance, len(times_by_run), squares / freedom if freedom else 0.0, freedom)


def estimate_variation_variance(
    target_variation: MeasuredVariation, other_target_variations: Sequence[MeasuredVariation], assumed_variation: float
) -> EstimatedVariance:
    """Estimate the variance that variation adds to the mean log time of one run of a target.

    Args:
        target_variation: the measured variation of the target.
        other_target_variations: the measured variation of each other target of the comparison.
        assumed_variation: spread that is assumed with fewer than `MIN_RUNS_TO_MEASURE_VARIATION` runs.
    """
    freedom = float(max(target_variation.run_count - 1, 0))
    if target_variation.run_count < MIN_RUNS_TO_MEASURE_VARIATION:
        squares = PRIOR_DEGREES_OF_FREEDOM * assumed_variation**2 + freedom * target_variation.variance_between_runs
        freedom += PRIOR_DEGREES_OF_FREEDOM
        if target_variation.variance_between_sessions > squares / freedom:
            # Sessions can show that a service varies more than assumed, not that it varies less.
            squares += target_variation.session_degrees_of_freedom * target_variation.variance_between_sessions
            freedom += target_variation.session_degrees_of_freedom
        return EstimatedVariance(squares / freedom, freedom)
    informative = [other for other in other_target_variations if other.run_count >= MIN_RUNS_TO_MEASURE_VARIATION]
    # The other targets say how much services vary in general. Their weight is limited to that of the assumption that
    # they replace, so that a target that varies more than the others is soon judged by its own nights.
    weight = min(PRIOR_DEGREES_OF_FREEDOM, float(sum(other.run_count - 1 for other in informative)))
    typical = float(np.mean([other.variance_between_runs for other in informative])) if informative else 0.0
    variance = (weight * typical + freedom * target_variation.variance_between_runs) / (weight + freedom)
    return EstimatedVariance(variance, weight + freedom)


def find_common_texts(times_by_run: Sequence[Sequence[MeasuredTime]]) -> list[str]:
    """Return the ids, sorted, of the texts that were timed in every run; an empty list without runs."""
    return sorted(set.intersection(*({timed.text_id for timed in run} for run in times_by_run))) if times_by_run else []


class NightLevel(NamedTuple):
    """How much slower a target was in one run than it typically is, as a difference of log times."""

    center: float
    """Typical difference of log times over the texts."""
    standard_error: float
    """Standard error of `center`."""


def measure_night_levels(
    times_by_run: Sequence[Sequence[MeasuredTime]], text_ids: Sequence[str], *, night_count_of_typical_level: int
) -> list[NightLevel]:
    """Return how slow a target was in each run, compared text by text with the mean of the first few runs.

    Args:
        times_by_run: the times of each run, which is one night.
        text_ids: texts that every run has.
        night_count_of_typical_level: number of runs whose mean is the typical level.
    """
    levels = np.array([compute_mean_log_median_times([run], text_ids) for run in times_by_run])
    typical = levels[:night_count_of_typical_level].mean(axis=0)
    return [NightLevel(*estimate_center_of_differences(row - typical)) for row in levels]


def add_variances(first_variance: EstimatedVariance, second_variance: EstimatedVariance) -> EstimatedVariance:
    """Return the sum of two independent estimated variances, with its degrees of freedom (Satterthwaite 1946)."""
    variances = first_variance, second_variance
    total = first_variance.variance + second_variance.variance
    weights = sum(variance**2 / freedom for variance, freedom in variances)
    freedom = total**2 / weights if weights > 0 else min(freedom for _, freedom in variances)
    return EstimatedVariance(total, freedom)


def compute_mean_log_median_times(
    times_by_run: Sequence[Sequence[MeasuredTime]], text_ids: Sequence[str]
) -> FloatArray:
    """Return each text's log median time, averaged over sessions, then over runs; NaN if it was never timed."""
    run_levels = [
        _average_columns_ignoring_nan(compute_log_median_times_by_session(run, text_ids)) for run in times_by_run
    ]
    return _average_columns_ignoring_nan(np.array(run_levels).reshape(len(times_by_run), len(text_ids)))


def compute_log_median_times_by_session(run_times: Sequence[MeasuredTime], text_ids: Sequence[str]) -> FloatArray:
    """Return the logarithm of the median time of each text in each session of one run.

    Returns:
        One row per session and one column per text; NaN for a text that a session lacks.
    """
    columns = {text: column for column, text in enumerate(text_ids)}
    timed = [(one.session_number, columns[one.text_id], one.time_ms) for one in run_times if one.text_id in columns]
    if not timed:
        return np.full((0, len(text_ids)), math.nan)
    sessions, text_indexes, times_ms = np.array(timed).T
    session_ids, rows = np.unique(sessions, return_inverse=True)
    cells = rows * len(text_ids) + text_indexes.astype(np.int64)
    order = np.lexsort((times_ms, cells))
    logs = np.log(np.maximum(times_ms[order], MIN_TIME_FOR_LOGARITHM_MS))
    filled, starts, counts = np.unique(cells[order], return_index=True, return_counts=True)
    levels = np.full(len(session_ids) * len(text_ids), math.nan)
    levels[filled] = (logs[starts + (counts - 1) // 2] + logs[starts + counts // 2]) / 2
    return levels.reshape(len(session_ids), len(text_ids))


def _average_columns_ignoring_nan(log_times: FloatArray) -> FloatArray:
    """Return the mean of each column, ignoring NaN; NaN for a column that contains only NaN."""
    is_known = np.isfinite(log_times)
    counts = is_known.sum(axis=0)
    sums = np.where(is_known, log_times, 0.0).sum(axis=0)
    return np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)


# Estimates the difference of one metric between the two sides of a comparison.


MIN_SAMPLES_TO_COMPARE_P95 = 200
"""Number of samples that each side needs for a comparison of 95th percentiles: of 200 samples, ten lie above the 95th
percentile."""
MAX_DIFFERENCES_AVERAGED_IN_PAIRS = 1000
"""`estimate_center_of_differences` splits the differences into parts of at most this number, because it averages every
pair of differences in a part."""
VARIATION_SIGNIFICANCE_LEVEL = 0.01
"""Significance level of the F test: probability that sessions are found to differ by variation although none exists."""


class ComparedTimes(NamedTuple):
    """The measured times of one metric on one side of a comparison."""

    times_by_run: Sequence[Sequence[MeasuredTime]]
    """For each run of the side, the times of its samples."""

    @property
    def all_times(self) -> list[MeasuredTime]:
        """The times of the samples of all runs of this side of the comparison."""
        return [timed for times in self.times_by_run for timed in times]

    def select_texts(self, text_ids: set[str]) -> ComparedTimes:
        """Return the times of the samples whose text is in `text_ids`."""
        return ComparedTimes([[timed for timed in times if timed.text_id in text_ids] for times in self.times_by_run])


def estimate_typical_time_change(
    baseline_times: ComparedTimes, run_times: ComparedTimes, variation_variance: EstimatedVariance
) -> EstimatedChange | None:
    """Estimate the relative change of the time of a typical text.

    The change is the Hodges-Lehmann estimate over texts of the difference of log times, converted to a ratio.

    Args:
        baseline_times: times of the runs of the baseline.
        run_times: times of the new run.
        variation_variance: variance that variation adds to the mean log time of one run.

    Returns:
        The change; `None` if no text was timed on both sides.
    """
    selected = _select_common_texts(baseline_times, run_times)
    if selected is None:
        return None
    texts, old, new = selected
    shift = compute_mean_log_median_times(new.times_by_run, texts) - compute_mean_log_median_times(
        old.times_by_run, texts
    )
    variation = _sum_side_variances(variation_variance, old)
    return _build_time_change(old, new, estimate_center_of_differences(shift), variation, text_count=len(texts))


def estimate_time_change_between_targets(
    baseline_times: Sequence[MeasuredTime], run_times: Sequence[MeasuredTime]
) -> EstimatedChange | None:
    """Estimate the relative change of a time between two targets of one run, paired by text and session.

    `None` if no text was measured with both targets in one session.

    Variation that only one of the targets has is found if there are several sessions: it makes the sessions differ by
    more than their texts explain, and increases the standard error.
    """
    pairs = {(t.session_number, t.text_id) for t in baseline_times} & {(t.session_number, t.text_id) for t in run_times}
    if not pairs:
        return None
    old, new = ([t for t in side if (t.session_number, t.text_id) in pairs] for side in (baseline_times, run_times))
    texts = sorted({text for _, text in pairs})
    table = compute_log_median_times_by_session(new, texts) - compute_log_median_times_by_session(old, texts)
    variation = (
        _estimate_session_variation_variance(table - np.nanmean(table, axis=0))
        if len(table) > 1
        else EstimatedVariance(0.0, 1.0)
    )
    center, error = estimate_center_of_differences(table[np.isfinite(table)])
    center_of_pairs = center, error * math.sqrt(_compute_design_effect(table))
    return _build_time_change(
        ComparedTimes([old]), ComparedTimes([new]), center_of_pairs, variation, text_count=len(texts)
    )


def _compute_design_effect(difference_by_session_and_text: FloatArray) -> float:
    """Return the design effect: the factor by which the similarity of differences of one text increases a variance.

    It is 1 + (m - 1) r for m sessions, with the intraclass correlation r of ranks (Kish 1965), and 1 if the
    differences of one text are not similar.

    Args:
        difference_by_session_and_text: one row per session and one column per text; NaN if a session lacks a text.
    """
    rankdata = load_scipy("stats").rankdata
    counts = np.isfinite(difference_by_session_and_text).sum(axis=0)
    size = float(counts.mean())
    if len(difference_by_session_and_text) < 2 or len(counts) < 2 or counts.sum() <= len(counts):
        return 1.0
    ranks = rankdata(difference_by_session_and_text, axis=None, nan_policy="omit").reshape(
        difference_by_session_and_text.shape
    )
    means = np.nanmean(ranks, axis=0)
    between = float(np.sum(counts * (means - np.nanmean(ranks)) ** 2)) / (len(counts) - 1)
    within = float(np.nansum((ranks - means) ** 2)) / float(counts.sum() - len(counts))
    correlation = (between - within) / (between + (size - 1) * within) if between + within > 0 else 0.0
    return 1 + (size - 1) * max(correlation, 0.0)


def _estimate_session_variation_variance(deviations: FloatArray) -> EstimatedVariance:
    """Return the variance that variation between sessions adds to a mean over sessions, and its degrees of freedom.

    It is 0 unless the sessions differ by more than their texts explain (F test at `VARIATION_SIGNIFICANCE_LEVEL`): a
    few sessions would otherwise seem to differ in every other run.

    Args:
        deviations: deviation of each session's difference from the text's mean; one row per session.
    """
    f = load_scipy("stats").f
    session_count, text_count = deviations.shape
    between = float(np.sum(np.nanmean(deviations, axis=1) ** 2)) / (session_count - 1)
    counts = np.isfinite(deviations).sum(axis=1)
    within = float(np.mean(np.nanvar(deviations, axis=1) / np.maximum(counts, 1)))
    limit = float(f.isf(VARIATION_SIGNIFICANCE_LEVEL, session_count - 1, (session_count - 1) * max(text_count - 1, 1)))
    is_unshared = between > within * limit
    return EstimatedVariance((between - within) / session_count if is_unshared else 0.0, session_count - 1.0)


def _build_time_change(
    baseline_times: ComparedTimes,
    run_times: ComparedTimes,
    center_and_standard_error: tuple[float, float],
    variation_variance: EstimatedVariance,
    *,
    text_count: int,
) -> EstimatedChange:
    """Return the change of a time, with the standard error that results from the texts and from variation.

    Args:
        baseline_times: times of the baseline.
        run_times: times of the new run.
        center_and_standard_error: center of the differences of log times, and the standard error of the center.
        variation_variance: variance that variation adds to the center.
        text_count: number of texts that both sides have.
    """
    medians = [float(np.median([timed.time_ms for timed in side.all_times])) for side in (baseline_times, run_times)]
    difference, standard_error = center_and_standard_error
    return EstimatedChange.of_difference(
        (medians[0], medians[1]),
        (len(baseline_times.all_times), len(run_times.all_times)),
        difference,
        *_add_variation_to_standard_error(standard_error, text_count, variation_variance),
        is_logarithmic=True,
    )


def _add_variation_to_standard_error(
    standard_error: float, text_count: int, variation_variance: EstimatedVariance
) -> tuple[float | None, float]:
    """Return the standard error of a difference with the variation of the service, and its degrees of freedom.

    The error is `None` if there are too few texts to estimate `standard_error` from them.
    """
    if text_count < MIN_TEXTS_FOR_INTERVAL:
        return None, 1.0
    variance, freedom = add_variances(EstimatedVariance(standard_error**2, text_count - 1.0), variation_variance)
    return math.sqrt(variance), freedom


def _sum_side_variances(variation_variance: EstimatedVariance, baseline_times: ComparedTimes) -> EstimatedVariance:
    """Return the variance that variation adds to the difference of a new run from the mean of the baseline's runs."""
    run_count = sum(bool(times) for times in baseline_times.times_by_run)
    return variation_variance._replace(variance=variation_variance.variance * (1 + 1 / run_count))


def estimate_center_of_differences(differences: FloatArray) -> tuple[float, float]:
    """Return the Hodges-Lehmann estimate of the center of paired differences, and its standard error.

    The estimate is the median of the averages of all pairs (Walsh averages), which outliers hardly change. The standard
    error is half the width of the Wilcoxon interval at one standard error of a normal distribution (Hodges and Lehmann
    1963). More than `MAX_DIFFERENCES_AVERAGED_IN_PAIRS` differences are split into parts; the result is then the mean
    of the estimates of the parts.
    """
    if len(differences) > MAX_DIFFERENCES_AVERAGED_IN_PAIRS:
        # Pairs grow with the square: 1,000 differences have 500,500 averages, of which 4 MB are sorted.
        parts = np.array_split(
            np.random.default_rng(0).permutation(differences),
            math.ceil(len(differences) / MAX_DIFFERENCES_AVERAGED_IN_PAIRS),
        )
        centers, errors = np.array([estimate_center_of_differences(part) for part in parts]).T
        return float(centers.mean()), float(np.sqrt(np.sum(errors**2)) / len(parts))
    count = len(differences)
    rows, columns = np.triu_indices(count)
    averages = np.sort((differences[rows] + differences[columns]) / 2)
    # Standard deviation of Wilcoxon's signed rank sum: as many averages lie between the middle and either end.
    reach = math.sqrt(count * (count + 1) * (2 * count + 1) / 24)
    low = max(math.floor(len(averages) / 2 - reach), 0)
    return float(np.median(averages)), float(averages[len(averages) - 1 - low] - averages[low]) / 2


def estimate_p95_time_change(
    baseline_times: ComparedTimes, run_times: ComparedTimes, variation_variance: EstimatedVariance | None, *, seed: int
) -> EstimatedChange | None:
    """Estimate the relative change of the 95th percentile over all samples of the texts that both sides have.

    Args:
        baseline_times: times of the runs of the baseline.
        run_times: times of the new run.
        variation_variance: variance that variation adds to the mean log time of a run; `None` for targets of one run.
        seed: seed of the resampling.

    Returns:
        The change; `None` if no text was timed on both sides. The change has no interval if a side has fewer than
        `MIN_SAMPLES_TO_COMPARE_P95` samples.
    """
    selected = _select_common_texts(baseline_times, run_times)
    if selected is None:
        return None
    texts, old, new = selected
    sides = [SampledValues([(timed.text_id, timed.time_ms) for timed in side.all_times], texts) for side in (old, new)]

    def compute_log_ratios(text_weights: FloatArray) -> FloatArray:
        before, after = (side.compute_weighted_quantiles(text_weights, 0.95) for side in sides)
        least = MIN_TIME_FOR_LOGARITHM_MS
        return np.asarray(np.log(np.maximum(after, least) / np.maximum(before, least)))

    before, after = (side.compute_quantile(0.95) for side in sides)
    difference = math.log(max(after, MIN_TIME_FOR_LOGARITHM_MS) / max(before, MIN_TIME_FOR_LOGARITHM_MS))
    counts = len(old.all_times), len(new.all_times)
    error, freedom, note = None, 1.0, ""
    if min(counts) < MIN_SAMPLES_TO_COMPARE_P95:
        note = f"a 95th percentile needs {MIN_SAMPLES_TO_COMPARE_P95} samples on each side"
    elif len(texts) >= MIN_TEXTS_FOR_INTERVAL and (spread := resample_texts(len(texts), compute_log_ratios, seed=seed)):
        variation = _sum_side_variances(variation_variance, old) if variation_variance else EstimatedVariance(0.0, 1.0)
        error, freedom = _add_variation_to_standard_error(spread.standard_error, len(texts), variation)
    return EstimatedChange.of_difference(
        (before, after), counts, difference, error, freedom, is_logarithmic=True, note=note
    )


def _select_common_texts(
    baseline_times: ComparedTimes, run_times: ComparedTimes
) -> tuple[list[str], ComparedTimes, ComparedTimes] | None:
    """Return the ids of the texts on both sides, and the times of both sides with these texts.

    `None` if the sides have no text in common.
    """
    texts = {timed.text_id for timed in baseline_times.all_times} & {timed.text_id for timed in run_times.all_times}
    return (sorted(texts), baseline_times.select_texts(texts), run_times.select_texts(texts)) if texts else None


MIN_STANDARD_ERROR_OF_MEAN_CHANGE = 0.001
"""Smallest standard error of a change of a mean: equal audio on both sides does not prove that nothing changed."""
ASSUMED_VOICE_VARIATION = 0.003
"""How much the mean pace, pitch or spectrum of a voice is assumed to differ between runs without a change: standard
deviation of its logarithm."""

ValueWithTextId = tuple[str, float]
"""Id of a text, and a value measured for one sample of it."""


def estimate_error_rate_change(
    baseline_counts: Sequence[ErrorCount], run_counts: Sequence[ErrorCount]
) -> EstimatedChange | None:
    """Estimate the change of the corpus error rate over the texts that both sides have.

    The standard error is that of the linearized difference of two ratios of sums over the same texts (Cochran 1977,
    section 6.5), at least that of one error on each side.

    Returns:
        The change; `None` if the sides have no text in common.
    """
    texts = sorted({c.text_id for c in baseline_counts} & {c.text_id for c in run_counts})
    if not texts:
        return None
    row = {text: index for index, text in enumerate(texts)}
    table = np.zeros((2, len(texts), 3))  # by side, text, and errors of deliveries, errors of failures, or units
    counts = [0, 0]
    for side, error_counts in enumerate((baseline_counts, run_counts)):
        for count in error_counts:
            if count.text_id in row:
                table[side, row[count.text_id]] += (
                    0 if count.is_failure else count.errors,
                    count.errors if count.is_failure else 0,
                    count.reference_units,
                )
                counts[side] += 1
    units_by_side = np.maximum(table[:, :, 2].sum(axis=1), 1.0)
    # The influence of each text on the rate of each side, by the errors of deliveries and by those of failures.
    errors, units = table[:, :, :2], table[:, :, 2:]
    rates_by_cause = errors.sum(axis=1) / units_by_side[:, None]
    influence = (errors - rates_by_cause[:, None, :] * units) / units_by_side[:, None, None]
    before, after = (float(rate) for rate in errors.sum(axis=(1, 2)) / units_by_side)
    error = None
    if len(texts) >= MIN_TEXTS_FOR_INTERVAL:
        variance = float(np.sum((influence[1].sum(axis=1) - influence[0].sum(axis=1)) ** 2))
        variance *= len(texts) / (len(texts) - 1)
        # At least that of one error on each side: two runs without any error would otherwise prove that none will come.
        error = math.sqrt(max(variance, float(np.sum(1 / units_by_side**2))))
    return EstimatedChange.of_difference(
        (before, after),
        (counts[0], counts[1]),
        after - before,
        error,
        len(texts) - 1.0,
        predict_standard_error=_create_standard_error_predictor(table, units_by_side, influence),
    )


def estimate_mean_change(
    baseline_values: Sequence[ValueWithTextId],
    run_values: Sequence[ValueWithTextId],
    *,
    is_worse_if_lower: bool = False,
) -> EstimatedChange | None:
    """Estimate the change of a mean, such as a predicted rating, over the texts that both sides have.

    The means of a text on both sides are compared by Student's t test of the paired differences.

    Args:
        baseline_values: id of the text and value, for each sample of the baseline.
        run_values: id of the text and value, for each sample of the new run.
        is_worse_if_lower: whether the change is the decrease of the mean, so that it is positive if the run is worse.

    Returns:
        The change; `None` if the sides have no text in common.
    """
    before, after = _group_by_common_text(baseline_values, run_values)
    if not before:
        return None
    means = np.array([[np.mean(values) for values in side.values()] for side in (before, after)])
    changes = means[0] - means[1] if is_worse_if_lower else means[1] - means[0]
    error = None
    if len(before) >= MIN_TEXTS_FOR_INTERVAL:
        error = max(float(np.std(changes, ddof=1)) / math.sqrt(len(before)), MIN_STANDARD_ERROR_OF_MEAN_CHANGE)
    return EstimatedChange.of_difference(
        (float(means[0].mean()), float(means[1].mean())),
        (sum(map(len, before.values())), sum(map(len, after.values()))),
        float(changes.mean()),
        error,
        len(before) - 1.0,
    )


def estimate_voice_change(
    baseline_values: Sequence[ValueWithTextId], run_values: Sequence[ValueWithTextId]
) -> EstimatedChange | None:
    """Estimate the relative change of a measure of a voice, such as its pace, over the texts that both sides have.

    It is the center of the differences of the mean logarithms of each text, so that a clip whose pitch was measured
    an octave too high hardly counts. A voice is assumed to differ by `ASSUMED_VOICE_VARIATION` between runs without a
    change.

    Args:
        baseline_values: id of the text and value above 0, for each sample of the baseline.
        run_values: id of the text and value above 0, for each sample of the new run.

    Returns:
        The change; `None` if the sides have no text in common.
    """
    before, after = _group_by_common_text(baseline_values, run_values)
    if not before:
        return None
    shifts = np.array([np.mean(np.log(after[text])) - np.mean(np.log(before[text])) for text in before])
    difference, standard_error = estimate_center_of_differences(shifts)
    # Both sides vary, so that the variance of their difference is twice that of one.
    variation = EstimatedVariance(2 * ASSUMED_VOICE_VARIATION**2, PRIOR_DEGREES_OF_FREEDOM)
    old, new = ([value for values in side.values() for value in values] for side in (before, after))
    return EstimatedChange.of_difference(
        (float(np.median(old)), float(np.median(new))),
        (len(old), len(new)),
        difference,
        *_add_variation_to_standard_error(standard_error, len(before), variation),
        is_logarithmic=True,
    )


def _group_by_common_text(
    baseline_values: Sequence[ValueWithTextId], run_values: Sequence[ValueWithTextId]
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the values of each side by text id, in the order of the ids, of the texts that both sides have."""
    sides: tuple[dict[str, list[float]], dict[str, list[float]]] = {}, {}
    for grouped, values in zip(sides, (baseline_values, run_values), strict=True):
        for text, value in values:
            grouped.setdefault(text, []).append(value)
    texts = sorted(sides[0].keys() & sides[1].keys())
    return {text: sides[0][text] for text in texts}, {text: sides[1][text] for text in texts}


def _create_standard_error_predictor(
    counts_by_side_and_text: FloatArray, reference_units_by_side: FloatArray, influence_by_side_and_text: FloatArray
) -> Callable[[float], float]:
    """Return a function that predicts the standard error of the difference of two error rates from the true difference.

    The more errors there are, the less certain the difference is. The errors in delivered texts are assumed to grow in
    proportion to the error rate, and to vary like Poisson counts. The failures are assumed not to change. Instead of
    the errors that its delivery would have had, a failed text has all its words as errors; the higher the error rate
    is, the smaller is this difference. The part of the variance that is due to the texts and not to chance is the
    covariance of the two sides.
    """
    factor = influence_by_side_and_text.shape[1] / max(influence_by_side_and_text.shape[1] - 1, 1)
    delivered_before, delivered_after = influence_by_side_and_text[0, :, 0], influence_by_side_and_text[1, :, 0]
    # Half an error more, so that the growth of a rate can be computed for a side without errors.
    rates = (counts_by_side_and_text[:, :, 0].sum(axis=1) + 0.5) / reference_units_by_side
    failures = float(np.sum(influence_by_side_and_text[0, :, 1] ** 2)) * factor
    total = float(np.sum(delivered_before**2)) * factor
    covariance = float(np.sum(delivered_before * delivered_after)) * factor
    of_texts = min(max(covariance * rates[0] / rates[1], 0.0), total)
    chance = max(total - of_texts, float(rates[0] / reference_units_by_side[0]))
    size_ratio = float(reference_units_by_side[0] / reference_units_by_side[1])

    def predict_standard_error(difference: float) -> float:
        rate = float(rates[0])
        growth = 1 + difference / rate
        failures_before, failures_after = (max(1 - one, 0.0) ** 2 * failures for one in (rate, rate + difference))
        variance_before, variance_after = chance + failures_before, growth * chance + failures_after
        return math.sqrt(variance_before + variance_after * size_ratio + (growth - 1) ** 2 * of_texts)

    return predict_standard_error
