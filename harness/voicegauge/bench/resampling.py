"""Resamples and permutes the measurements of texts, to find how far results would differ by chance.

The texts of a suite are a sample of all texts that a target could synthesize, and the samples
of one text resemble each other. Therefore whole texts are resampled, each with all its samples
(cluster bootstrap: Davison and Hinkley 1997, section 3.8; percentile interval: Efron and
Tibshirani 1993, section 13.3).

A resample is described by the number of times that it contains each text. A statistic is then
computed from these weights without copying or sorting values again, and a quantile without
reading every value for every resample, which makes 100,000 samples affordable.

SciPy's `bootstrap` does not resample groups: a statistic of whole texts would be computed from text numbers, once for
each resample, in 1.8 s instead of 0.05 s of CPU time for the median of 100,000 samples of 1,000 texts. With a statistic
that converts text numbers to weights it is as fast, but then only the loop over batches is SciPy's. Reports also have
intervals where SciPy is not installed, because only the extra `bench` installs it.

All targets of a run are measured with the same texts, and a text that is slow or hard to recognize is so for all of
them, so that they are compared text by text. A report says for many pairs that one is faster or makes fewer errors. If
its statements were tested one by one, most runs of ten identical services would have a false one. They are therefore
tested together: a difference, divided by its standard error, must exceed what the largest of all pairs reaches in 97.5%
of permutations. A permutation exchanges the values of the targets within each text, which changes nothing if the
targets are equal (max-T: Westfall and Young 1993, "Resampling-based multiple testing", chapter 2). Speed and errors
share the 5%: the probability that a run of equal targets has any false statement about either is 5% at most.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import cache, cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.errors import MissingExtraError

FloatArray = NDArray[np.float64]
IntegerArray = NDArray[np.int64]
ValuesWithTextIds = Sequence[tuple[Hashable, float]]
"""Pairs of a text id and a value measured on a sample of that text."""

CONFIDENCE_LEVEL = 0.95
"""Level of all intervals of estimates of one run."""
RESAMPLE_COUNT = 2000
"""Number of resamples. With it, the ends of a 95% interval differ by less than 2% of its width between seeds."""
MIN_RESAMPLE_COUNT = 400
"""Smallest number of resamples, used for many texts; the standard error then differs by 4% between seeds."""
MAX_RESAMPLED_TEXTS = 8_000_000
"""Largest product of the number of texts and the number of resamples. If a suite has many texts, fewer resamples are
drawn, but at least `MIN_RESAMPLE_COUNT`."""
MAX_RESAMPLED_TEXTS_PER_BATCH = 1_000_000
"""Largest product of the number of texts and the number of resamples drawn at a time, which limits memory to about
30 MB."""
MAX_EXACT_FLOAT32_INTEGER = 2**24
"""Largest number up to which a 32-bit floating-point number represents every whole number exactly."""
MAX_QUANTILE_SEARCH_BLOCKS = 1000
"""Largest number of blocks into which the sorted values are divided to find a quantile."""
MIN_TIME_FOR_LOGARITHM_MS = 1e-3
"""A smaller time is replaced by this value before its logarithm is taken, which is undefined for 0."""


class ResampledSpread(NamedTuple):
    """Percentile interval at `CONFIDENCE_LEVEL` and standard error of a statistic over resampled texts."""

    low: float
    """Lower end of the interval."""
    high: float
    """Upper end of the interval."""
    standard_error: float


class SampledValues:
    """Values of samples in ascending order, each with the number of its text."""

    def __init__(self, values: ValuesWithTextIds, text_ids: Sequence[Hashable] | None = None) -> None:
        """Sort `values`.

        Args:
            values: pairs of a text id and a value.
            text_ids: ids of all texts, in the order in which they are numbered; `None` numbers the texts of `values` in
                order of appearance.
        """
        text_id_by_value = [text_id for text_id, _ in values]
        numbers = {text: number for number, text in enumerate(dict.fromkeys(text_ids or text_id_by_value))}
        unsorted = np.array([value for _, value in values], dtype=np.float64)
        order = np.argsort(unsorted, kind="stable")
        self.values: FloatArray = unsorted[order]
        text_indexes = np.fromiter(map(numbers.__getitem__, text_id_by_value), np.int64, len(values))
        self.text_indexes: IntegerArray = text_indexes[order]
        self.text_count = len(numbers)

    def __len__(self) -> int:
        """Return the number of sampled values."""
        return len(self.values)

    def compute_quantile(self, fraction: float) -> float:
        """Return the linearly interpolated quantile (Hyndman and Fan 1996, type 7)."""
        return float(np.quantile(self.values, fraction))

    def compute_weighted_quantiles(self, text_weights: FloatArray, fraction: float) -> FloatArray:
        """Return the quantile of each resample; NaN for a resample that contains none of the values.

        Args:
            text_weights: one row per resample with the number of times that it contains each text.
            fraction: 0.5 for the median.
        """
        # Counts are whole numbers, which 32 bits hold exactly up to this limit, in half of the time.
        is_small = len(self.values) * text_weights.max(initial=0.0) < MAX_EXACT_FLOAT32_INTEGER
        text_weights = text_weights.astype(np.float32 if is_small else np.float64)
        counts_to_block_end = text_weights @ self._cumulative_counts_by_text_and_block.astype(text_weights.dtype)
        total = counts_to_block_end[:, -1].astype(np.float64)
        position = np.maximum(total - 1, 0.0) * fraction
        rank = np.floor(position)
        below, count_to_below = self._find_values_at_ranks(text_weights, counts_to_block_end, rank)
        share = position - rank
        # The next value is another one only where the resample contains no more values equal to this one.
        is_between = (share > 0) & (count_to_below <= rank + 1)
        above = below.copy()
        if is_between.any():
            rows = np.flatnonzero(is_between)
            above[rows], _ = self._find_values_at_ranks(text_weights[rows], counts_to_block_end[rows], rank[rows] + 1)
        return np.where(total > 0, below + (above - below) * share, np.nan)

    @cached_property
    def _values_per_block(self) -> int:
        """Number of values per block, chosen so that finding a block takes about as long as finding a value in it."""
        block_count = min(max(math.isqrt(800 * len(self.values) // self.text_count), 1), MAX_QUANTILE_SEARCH_BLOCKS)
        return math.ceil(len(self.values) / block_count)

    @cached_property
    def _cumulative_counts_by_text_and_block(self) -> FloatArray:
        """For each text (rows), the number of its values up to the end of each block (columns)."""
        size = self._values_per_block
        block_count = math.ceil(len(self.values) / size)
        cells = self.text_indexes * block_count + np.arange(len(self.values)) // size
        counts = np.bincount(cells, minlength=self.text_count * block_count)
        return np.cumsum(counts.reshape(self.text_count, block_count), axis=1).astype(np.float64)

    def _find_values_at_ranks(
        self, text_weights: FloatArray, cumulative_counts_by_block: FloatArray, ranks: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the value at the given rank of each resample, and how many values of the resample are not above it."""
        # First the block of each rank, then the value in it: two short searches instead of one through all values.
        size, last = self._values_per_block, len(self.values) - 1
        block_count = cumulative_counts_by_block.shape[1]
        blocks = np.minimum((cumulative_counts_by_block <= ranks[:, None]).sum(axis=1), block_count - 1)
        rows = np.arange(len(ranks))
        counts_before = np.where(blocks > 0, cumulative_counts_by_block[rows, blocks - 1], 0.0)
        indexes = blocks[:, None] * size + np.arange(size)
        weights = np.where(
            indexes <= last, text_weights[rows[:, None], self.text_indexes[np.minimum(indexes, last)]], 0
        )
        counts = counts_before[:, None] + np.cumsum(weights, axis=1)
        offsets = np.minimum((counts <= ranks[:, None]).sum(axis=1), size - 1)
        return self.values[np.minimum(blocks * size + offsets, last)], counts[rows, offsets]

    def compute_sum_and_count_by_text(self) -> FloatArray:
        """Return, for each text, the sum of its values and their number."""
        sums = np.bincount(self.text_indexes, weights=self.values, minlength=self.text_count)
        return np.stack((sums, np.bincount(self.text_indexes, minlength=self.text_count)), axis=1)


def resample_texts(
    text_count: int,
    compute_statistic: Callable[[FloatArray], FloatArray],
    *,
    seed: int = 0,
) -> ResampledSpread | None:
    """Compute the spread of a statistic over resampled texts.

    Args:
        text_count: number of texts.
        compute_statistic: computes one number for each row of weights; a row has the number of times that the resample
            contains each text.
        seed: seed of the resampling.

    Returns:
        The interval and the standard error; `None` for fewer than two texts.
    """
    if text_count < 2:
        return None
    resamples = np.concatenate([compute_statistic(weights) for weights in draw_text_weights(text_count, seed)])
    tail = (1 - CONFIDENCE_LEVEL) / 2
    low, high = np.quantile(resamples, (tail, 1 - tail))
    return ResampledSpread(float(low), float(high), float(np.std(resamples, ddof=1)))


def draw_text_weights(text_count: int, seed: int) -> Iterator[FloatArray]:
    """Yield resamples in batches: one row per resample with the number of times that it contains each text.

    The resamples do not depend on the size of the batches.
    """
    count = max(MIN_RESAMPLE_COUNT, min(RESAMPLE_COUNT, MAX_RESAMPLED_TEXTS // text_count))
    batch = max(1, MAX_RESAMPLED_TEXTS_PER_BATCH // text_count)
    if count <= batch:
        yield _draw_all_text_weights(text_count, count, seed)
        return
    rng = np.random.default_rng(seed)
    for start in range(0, count, batch):
        yield _draw_batch_of_text_weights(rng, text_count, min(batch, count - start))


@lru_cache(maxsize=4)  # every metric of a run resamples the same texts
def _draw_all_text_weights(text_count: int, resample_count: int, seed: int) -> FloatArray:
    weights = _draw_batch_of_text_weights(np.random.default_rng(seed), text_count, resample_count)
    # All callers share it.
    weights.setflags(write=False)
    return weights


def _draw_batch_of_text_weights(rng: np.random.Generator, text_count: int, resample_count: int) -> FloatArray:
    drawn = rng.integers(0, text_count, (resample_count, text_count)) + text_count * np.arange(resample_count)[:, None]
    weights = np.bincount(drawn.ravel(), minlength=resample_count * text_count)
    return weights.reshape(resample_count, text_count).astype(np.float64)


# Loads SciPy and ruptures, which only comparisons and histories of runs need.


def load_scipy(submodule: str) -> Any:
    """Import a submodule of SciPy, such as "stats".

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    try:
        return importlib.import_module(f"scipy.{submodule}")
    except ModuleNotFoundError as error:
        raise MissingExtraError("SciPy, which compares runs,", "bench") from error


@cache
def load_ruptures() -> Any:
    """Import and return the module ruptures.

    Raises:
        MissingExtraError: ruptures is not installed.
    """
    try:
        return importlib.import_module("ruptures")
    except ModuleNotFoundError as error:
        raise MissingExtraError("ruptures, which finds changes of a history,", "bench") from error


# Compares every target of a run with every other one, by permutations.


FALSE_STATEMENT_PROBABILITY = 0.05
"""Largest probability that a run has any false statement about a difference between its targets."""
MIN_SHARED_TEXTS = 5
"""Smallest number of texts from which a difference between two targets is estimated."""
MAX_PERMUTATION_COUNT = 2000
"""Largest number of permutations from which the limit of differences is estimated."""
MIN_PERMUTATION_COUNT = 500
"""Smallest number of permutations, used for many targets; the limit then varies by 2% between seeds."""
MAX_PERMUTED_PAIRS = 200_000_000
"""Largest product of the numbers of permutations, texts and pairs. If a run has more, fewer permutations are drawn."""
MAX_PERMUTED_VALUES_PER_BATCH = 500_000
"""Number of values that are permuted at a time, which limits memory to about 50 MB."""
VARIANCE_PRIOR_DEGREES_OF_FREEDOM = 10.0
"""Weight of the typical variance of all pairs in the variance of one pair, in degrees of freedom (Smyth 2004). The
variance of eight differences alone is often far too small by chance, in some of the many pairs."""
ROUNDING_TOLERANCE = 1e-9
"""Differences and relative differences below this are due to rounding."""

SampleErrorCounts = Sequence[tuple[str, float, float]]
"""One tuple for each sample: a text id, a number of errors, and a number of reference words or characters."""


class DifferenceInterval(NamedTuple):
    """Lower and upper end of the interval of a difference or a ratio. All intervals of a run hold together."""

    low: float
    high: float


class TargetMeasurements(NamedTuple):
    """Total latencies and error counts of one target, each with the id of its text."""

    latencies_ms: ValuesWithTextIds
    error_counts: SampleErrorCounts


class PairwiseDifferences(NamedTuple):
    """Differences of one measure between all targets. Matrices have a row and a column per target."""

    means: FloatArray
    """Mean difference over texts, of the target of the row from that of the column; NaN with too few common texts."""
    standard_errors: FloatArray
    """Standard error of each mean difference."""
    critical_value: float
    """Number of standard errors that the largest difference of equal targets reaches by chance; infinite if nothing can
    be distinguished."""

    @property
    def is_clearly_lower(self) -> NDArray[np.bool_]:
        """Matrix whose element (i, j) is true if target i has a clearly lower value than target j."""
        with np.errstate(invalid="ignore"):
            lower: NDArray[np.bool_] = -self.means > self._interval_half_widths * (1 + ROUNDING_TOLERANCE)
        return lower & (np.abs(self.means) > ROUNDING_TOLERANCE)

    @property
    def lower_bounds(self) -> FloatArray:
        """Lower ends of the intervals of the differences; minus infinity where there is none."""
        return np.where(np.isnan(self.means), -np.inf, self.means - self._interval_half_widths)

    def find_interval(self, index: int, other_index: int) -> DifferenceInterval | None:
        """Return the interval of the difference of one target from another; `None` if it has no finite ends."""
        mean, margin = float(self.means[index, other_index]), float(self._interval_half_widths[index, other_index])
        return DifferenceInterval(mean - margin, mean + margin) if math.isfinite(mean + margin) else None

    @property
    def _interval_half_widths(self) -> FloatArray:
        """Half the widths of the intervals of the differences; infinite if nothing can be distinguished."""
        if math.isinf(self.critical_value):
            return np.full_like(self.means, np.inf)
        margins: FloatArray = self.critical_value * self.standard_errors
        return margins


class TargetDifferences(NamedTuple):
    """Differences between the targets of a run, in the order of its manifest."""

    log_latency: PairwiseDifferences
    """Differences of the logarithm of the median total latency of a text."""
    error_rate: PairwiseDifferences
    """Differences of the error rate, weighted by the length of the texts."""
    text_count: int
    """Number of texts of the run."""

    @property
    def has_enough_texts(self) -> bool:
        """Whether there are enough texts to estimate differences between targets."""
        return self.text_count >= MIN_SHARED_TEXTS

    def estimate_latency_ratio(self, slower_index: int, faster_index: int) -> DifferenceInterval | None:
        """Return the interval of a ratio: the latency of a typical text of one target, divided by that of another.

        `None` if the two targets could not be compared.
        """
        interval = self.log_latency.find_interval(slower_index, faster_index)
        return interval and DifferenceInterval(*(math.exp(min(end, 700.0)) for end in interval))


def compare_all_targets(targets: Sequence[TargetMeasurements]) -> TargetDifferences:
    """Compare every target with every other one, by latency and by error rate."""
    tables = build_comparison_tables(targets)
    latency, errors = (
        compare_column_pairs(table, tables.false_statement_probability)
        for table in (tables.log_latency, tables.error_rate)
    )
    return TargetDifferences(latency, errors, len(tables.log_latency))


class ComparisonTables(NamedTuple):
    """What is compared of all targets: tables with a row per text and a column per target; NaN for no value."""

    log_latency: FloatArray
    """Logarithms of the median latencies of the texts."""
    error_rate: FloatArray
    """Error rates of the texts, weighted so that long texts count for more."""
    false_statement_probability: float
    """Probability with which each table may have a false statement: half of all if both are compared."""


def build_comparison_tables(targets: Sequence[TargetMeasurements]) -> ComparisonTables:
    """Return the tables of latencies and error rates that are compared, and the level of their statements."""
    texts = list(
        dict.fromkeys(str(one[0]) for target in targets for one in (*target.latencies_ms, *target.error_counts))
    )
    latency, errors = _build_log_latency_table(targets, texts), _build_error_rate_table(targets, texts)
    is_compared = [int(np.isfinite(table).any(axis=0).sum()) > 1 for table in (latency, errors)]
    return ComparisonTables(latency, errors, FALSE_STATEMENT_PROBABILITY / max(sum(is_compared), 1))


def flag_undominated_targets(differences: Sequence[PairwiseDifferences]) -> list[bool]:
    """Return for each target whether no other one is clearly better in one measure and clearly worse in none."""
    is_better = np.any([one.is_clearly_lower for one in differences], axis=0)
    return [not column.any() for column in (is_better & ~is_better.T).T]


def flag_targets_not_clearly_higher(
    point_estimates: Sequence[float | None], differences: PairwiseDifferences
) -> list[bool]:
    """Return for each target whether its value is the lowest, or not significantly higher than the lowest.

    The result is `False` for a target without a value.

    Args:
        point_estimates: the value of each target, as tables show it; `None` if it has none.
        differences: the differences between the targets.
    """
    known = [i for i, value in enumerate(point_estimates) if value is not None]
    if not known:
        return [False] * len(point_estimates)
    lowest = min(known, key=lambda i: point_estimates[i] or 0.0)
    is_lower = differences.is_clearly_lower[lowest]
    return [value is not None and not is_lower[i] for i, value in enumerate(point_estimates)]


def compare_column_pairs(
    table: FloatArray, false_statement_probability: float, *, seed: int = 0
) -> PairwiseDifferences:
    """Compare the columns of a table with each other.

    Args:
        table: one row per text and one column per target; NaN for a target that has no value of a text.
        false_statement_probability: probability that any of the differences is called clear if all columns are equal.
        seed: seed of the permutations.
    """
    values, weights, counts = _center_rows(table)
    means, errors = _compute_column_differences(values[None], weights, counts)
    critical = math.inf
    if largest := list(draw_largest_differences(table, seed=seed)):
        ordered = np.sort(np.concatenate(largest))
        # The table itself is one of the permutations, so that the probability holds for any number of them.
        critical = float(ordered[math.ceil((1 - false_statement_probability) * len(ordered)) - 1])
    known = np.where(counts >= MIN_SHARED_TEXTS, 1.0, np.nan)
    return PairwiseDifferences(means[0] * known, errors[0] * known, critical)


def draw_largest_differences(
    table: FloatArray, *, seed: int = 0, max_permuted_values_per_batch: int = MAX_PERMUTED_VALUES_PER_BATCH
) -> Iterator[FloatArray]:
    """Yield the largest difference of any pair of columns in standard errors: that of the table, then of permutations.

    Args:
        table: as for `compare_column_pairs`. If no two columns have enough common texts, nothing is yielded.
        seed: seed of the permutations, which do not depend on the size of the batches.
        max_permuted_values_per_batch: number of values that are permuted at a time.
    """
    values, weights, counts = _center_rows(table)
    is_compared = (counts >= MIN_SHARED_TEXTS) & ~np.eye(table.shape[1], dtype=np.bool_)
    if not is_compared.any():
        return
    yield _find_largest_differences(*_compute_column_differences(values[None], weights, counts), is_compared)
    for permuted in _permute_within_rows(values, weights > 0, seed, max_permuted_values_per_batch):
        yield _find_largest_differences(*_compute_column_differences(permuted, weights, counts), is_compared)


def _center_rows(table: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return the values without the mean of their row, 0 for missing ones; the weights of values; and pairwise counts.

    A weight is 1 where there is a value, else 0. A count is the number of rows in which both columns have a value.
    """
    # Differences of columns do not depend on the means of rows, and without them squares lose fewer digits.
    is_known = np.isfinite(table)
    with np.errstate(invalid="ignore", divide="ignore"):
        centers = np.where(is_known, table, 0.0).sum(axis=1) / np.maximum(is_known.sum(axis=1), 1)
    weights = is_known.astype(np.float64)
    return np.where(is_known, table - centers[:, None], 0.0), weights, weights.T @ weights


def _compute_column_differences(
    tables: FloatArray, weights: FloatArray, counts: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the means of the differences of columns, and their standard errors, for each of several tables.

    Args:
        tables: the values; the first axis numbers the tables. A missing value is 0.
        weights: 1 where a table has a value, else 0.
        counts: number of rows in which both columns of a pair have a value.
    """
    transposed = tables.transpose(0, 2, 1)
    sums = transposed @ weights - weights.T @ tables
    # (a - b)² is a² + b² - 2ab: three products of matrices give the sums of squares of all pairs.
    squares_of_rows = (transposed**2) @ weights
    squares = squares_of_rows + squares_of_rows.transpose(0, 2, 1) - 2 * (transposed @ tables)
    means = sums / np.maximum(counts, 1)
    variances = np.maximum(squares / np.maximum(counts, 1) - means**2, 0.0) / np.maximum(counts - 1, 1)
    # Differences of sums leave rounding errors where every difference is the same.
    variances[variances < ROUNDING_TOLERANCE**2 * (1 + means**2)] = 0.0
    is_pair = (counts >= MIN_SHARED_TEXTS) & ~np.eye(len(counts), dtype=np.bool_)
    typical = (variances * is_pair).sum(axis=(1, 2), keepdims=True) / max(int(is_pair.sum()), 1)
    freedom = np.maximum(counts - 1, 1)
    moderated = (freedom * variances + VARIANCE_PRIOR_DEGREES_OF_FREEDOM * typical) / (
        freedom + VARIANCE_PRIOR_DEGREES_OF_FREEDOM
    )
    return means, np.sqrt(moderated)


def _find_largest_differences(means: FloatArray, errors: FloatArray, is_compared: NDArray[np.bool_]) -> FloatArray:
    """Return the absolute difference of the pair that differs most, in standard errors, for each of several tables.

    Args:
        means: means of the differences of columns, of shape (tables, columns, columns).
        errors: their standard errors.
        is_compared: true for the pairs that count.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(np.abs(means) > ROUNDING_TOLERANCE, np.abs(means) / errors, 0.0)
    largest: FloatArray = np.where(is_compared, ratios, 0.0).max(axis=(1, 2))
    return largest


def _permute_within_rows(
    values: FloatArray, is_known: NDArray[np.bool_], seed: int, max_permuted_values_per_batch: int
) -> Iterator[FloatArray]:
    """Yield tables, in batches, in which the known values of each row are exchanged at random."""
    row_count, column_count = values.shape
    affordable = MAX_PERMUTED_PAIRS // max(row_count * column_count**2, 1)
    remaining = min(max(affordable, MIN_PERMUTATION_COUNT), MAX_PERMUTATION_COUNT)
    batch = max(1, max_permuted_values_per_batch // max(row_count * column_count, 1))
    # Places of the known values, then those of the missing ones, which stay where they are.
    places: IntegerArray = np.argsort(~is_known, axis=1, kind="stable")
    rng = np.random.default_rng(seed)
    while remaining:
        count = min(batch, remaining)
        remaining -= count
        # Above all random numbers, so that sorting leaves the missing values at the end.
        keys = np.where(is_known, rng.random((count, row_count, column_count)), 2.0)
        chosen = np.take_along_axis(values[None], np.argsort(keys, axis=2), axis=2)
        permuted = np.zeros_like(chosen)
        np.put_along_axis(permuted, np.broadcast_to(places, chosen.shape), chosen, axis=2)
        yield np.where(is_known, permuted, 0.0)


def _build_log_latency_table(targets: Sequence[TargetMeasurements], text_ids: Sequence[str]) -> FloatArray:
    """Return the logarithm of the median latency of each text (rows) and target (columns); NaN if there is none."""
    table = np.full((len(text_ids), len(targets)), math.nan)
    rows = {text: row for row, text in enumerate(text_ids)}
    for column, target in enumerate(targets):
        times_by_text: dict[int, list[float]] = {}
        for text, time_ms in target.latencies_ms:
            times_by_text.setdefault(rows[str(text)], []).append(time_ms)
        for row, times_ms in times_by_text.items():
            table[row, column] = math.log(max(float(np.median(times_ms)), MIN_TIME_FOR_LOGARITHM_MS))
    return table


def _build_error_rate_table(targets: Sequence[TargetMeasurements], text_ids: Sequence[str]) -> FloatArray:
    """Return the error rate of each text (rows) and target (columns), weighted so that long texts count for more.

    The mean of a column is the corpus rate if all targets have the same number of samples of each text.
    """
    errors, units = np.zeros((2, len(text_ids), len(targets)))
    rows = {text: row for row, text in enumerate(text_ids)}
    for column, target in enumerate(targets):
        for text, count, unit_count in target.error_counts:
            errors[rows[text], column] += count
            units[rows[text], column] += max(unit_count, 0.0)
    is_known = units > 0
    rates = np.where(is_known, errors / np.maximum(units, 1.0), math.nan)
    lengths = units.sum(axis=1) / np.maximum(is_known.sum(axis=1), 1)
    scored = lengths[lengths > 0]
    weighted: FloatArray = rates * lengths[:, None] / (scored.mean() if len(scored) else 1.0)
    return weighted
