"""Selects what was measured of one target from the samples of a run, and compares every target with every other one.

All targets are measured with the same texts, and a text that is slow or hard to recognize is so for all of them, so
that they are compared text by text. A report says for many pairs that one is faster or makes fewer errors. If its
statements were tested one by one, most runs of ten identical services would have a false one. They are therefore tested
together: a difference, divided by its standard error, must exceed what the largest of all pairs reaches in 97.5% of
permutations. A permutation exchanges the values of the targets within each text, which changes nothing if the targets
are equal (max-T: Westfall and Young 1993, "Resampling-based multiple testing", chapter 2). Speed and errors share the
5%: the probability that a run of equal targets has any false statement about either is 5% at most.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from voicegauge.bench._change_estimates import MIN_TIME_FOR_LOGARITHM_MS, ErrorCount, TimeInSession
from voicegauge.bench.resampling import FloatArray, IntegerArray, ValuesWithTextIds
from voicegauge.errors import DataError
from voicegauge.model.base import Count, Record
from voicegauge.model.run import ListeningSet, QualitySet, Run, ScoreSet, VoiceSet
from voicegauge.model.sample import AudioFacts, Interval, Latency, QualityPrediction, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.listening import count_spoken_letters

# Pairs samples with their scores.


ScoredSamples = Sequence[tuple[Sample, Score]]
"""Samples of one target, each with its score."""


class ScoresBySample:
    """Finds the scores of samples in a score set."""

    def __init__(self, score_set: ScoreSet) -> None:
        self._left_out = frozenset(score_set.unsupported_languages)
        self._scores = {score.sample_id: score for score in score_set.scores}

    def pair_with(self, samples: Sequence[Sample]) -> ScoredSamples:
        """Pair each sample of one target with its score; leave out samples in languages that the ASR does not support.

        Returns:
            The pairs; none if every sample failed, because an error rate of 100% would not measure any speech.

        Raises:
            DataError: the score set does not contain every sample in a supported language.
        """
        samples = [sample for sample in samples if sample.language not in self._left_out]
        missing = [sample.id for sample in samples if sample.id not in self._scores]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise DataError(f"no score for the sample {missing[0]}{more}: score the run again with `voicegauge score`")
        scored = [(sample, self._scores[sample.id]) for sample in samples]
        return [] if all(sample.failure is not None for sample, _ in scored) else scored


def group_counted_samples_by_target(run: Run) -> dict[str, list[Sample]]:
    """Return the samples of each target from which results are computed; see `Run.select_counted_samples`.

    Returns:
        The samples by target id; an empty list for a target without samples.
    """
    samples: dict[str, list[Sample]] = {target.id: [] for target in run.manifest.targets}
    for sample in run.select_counted_samples():
        if sample.target in samples:
            samples[sample.target].append(sample)
    return samples


# Selects what a comparison needs from the samples of one target in one run: times, errors, failures, charges.


def find_audio_ready_bounds(latency: Latency) -> Interval | None:
    """Return the bounds, in ms, of the time at which the audio could have been complete; `None` without audio.

    For a job, it is the completion time plus the duration of the download. The wait for the next poll is left out.
    """
    total_ms, completion, download_ms = latency.total_latency_ms, latency.completion_ms, latency.download_ms or 0.0
    if total_ms is None or completion is None:
        return None if total_ms is None else Interval(low_ms=total_ms, high_ms=total_ms)
    low_ms, high_ms = (min(bound_ms + download_ms, total_ms) for bound_ms in (completion.low_ms, completion.high_ms))
    return Interval(low_ms=low_ms, high_ms=high_ms)


class LeftOutClips(Record, frozen=True, kw_only=True):
    """Clips of one target that do not count in measures of its voice: pace, pitch, ratings, similarity."""

    wrong_count: Count = 0
    """Number of clips that are known to be wrong: not speech, another text, or only a part of the text."""
    copy_count: Count = 0
    """Number of clips that are the same file as an earlier clip of the target. They say nothing new about it."""

    def __bool__(self) -> bool:
        """Whether any clip is left out."""
        return bool(self.wrong_count or self.copy_count)

    def __str__(self) -> str:
        """Return the numbers in words, such as "3 wrong clips and 1 copy"; empty if no clip is left out."""
        wrong = format_count(self.wrong_count, "wrong clip") if self.wrong_count else ""
        copies = ("1 copy" if self.copy_count == 1 else f"{self.copy_count:,} copies") if self.copy_count else ""
        return " and ".join(filter(None, (wrong, copies)))

    def describe(self) -> str:
        """Return a remark for after a number of clips: " (without 3 wrong clips and 1 copy)"; empty if all count."""
        return f" (without {self})" if self else ""


def list_wrong_sample_ids(listening: ListeningSet | None) -> frozenset[str]:
    """Return the ids of the samples whose audio is known to be wrong; none if nobody listened (`None`)."""
    verdicts = listening.verdicts if listening is not None else ()
    return frozenset(one.sample_id for one in verdicts if one.outcome == "wrong")


class VoiceSamples(NamedTuple):
    """The samples of one target from which its voice is measured."""

    samples: tuple[Sample, ...]
    left_out: LeftOutClips


def select_voice_samples(samples: Iterable[Sample], listening: ListeningSet | None) -> VoiceSamples:
    """Select the samples of one target from which its voice is measured: each different clip that is not wrong, once.

    Args:
        samples: samples of one target, without warm-up. Failed ones, and those without audio, are not among the result.
        listening: what the audio of the run says; `None` if that was not judged.
    """
    wrong_ids = list_wrong_sample_ids(listening)
    delivered = [(one, one.audio.sha256) for one in samples if one.failure is None and one.audio is not None]
    right_clips = [(one, digest) for one, digest in delivered if one.id not in wrong_ids]
    first_by_digest: dict[str, Sample] = {}
    for sample, digest in right_clips:
        first_by_digest.setdefault(digest, sample)
    return VoiceSamples(
        tuple(first_by_digest.values()),
        LeftOutClips(wrong_count=len(delivered) - len(right_clips), copy_count=len(right_clips) - len(first_by_digest)),
    )


class TargetSamples:
    """The samples of one target in one run, without warm-up."""

    def __init__(
        self,
        samples: Sequence[Sample],
        scores_by_sample: ScoresBySample | None,
        listening: ListeningSet | None = None,
        predicted_quality: QualitySet | None = None,
        voices: VoiceSet | None = None,
    ) -> None:
        self.samples = samples
        self._listening = listening
        self._predicted_quality = predicted_quality
        self._voices = voices
        self.scored = scores_by_sample.pair_with(samples) if scores_by_sample else []
        """The samples with their scores, without languages that the ASR engine does not support."""

    @property
    def has_delivered(self) -> bool:
        """Whether any sample has usable audio, or a transcript in a run of speech to text."""
        return any(sample.failure is None for sample in self.samples)

    @cached_property
    def text_ids(self) -> frozenset[str]:
        """Ids of the texts of all samples, also of failed ones."""
        return frozenset(sample.text_id for sample in self.samples)

    @cached_property
    def _latencies_with_text_and_session(self) -> list[tuple[str, int, Latency]]:
        """Text id, session and latency of each successful sample."""
        return [(s.text_id, s.session, s.latency) for s in self.samples if s.failure is None and s.latency]

    @cached_property
    def total_latencies(self) -> list[TimeInSession]:
        """The total latency of each successful sample that has one."""
        return self.collect_times(lambda latency: latency.total_latency_ms)

    def collect_times(self, select_time: Callable[[Latency], float | None]) -> list[TimeInSession]:
        """Return the time that `select_time` selects from the latency of each successful sample, without `None`."""
        return [
            TimeInSession(text, session, ms)
            for text, session, latency in self._latencies_with_text_and_session
            if (ms := select_time(latency)) is not None
        ]

    def collect_completion_times(self, select_bound: Callable[[Interval], float]) -> list[TimeInSession]:
        """Return a time for each job, which `select_bound` computes from the bounds of the completion time.

        The lower bound is at least the time of the response to the submit, because a client cannot know earlier that a
        job is complete. Otherwise the bound could be 0, which has no logarithm.
        """
        return [
            TimeInSession(text, session, max(select_bound(latency.completion_ms), latency.submit_latency_ms))
            for text, session, latency in self._latencies_with_text_and_session
            if latency.completion_ms
        ]

    def count_errors_by_sample(self, unit: Literal["word", "character"]) -> list[ErrorCount]:
        """Return the errors of the samples counted in `unit`, including failed ones; empty if every sample failed."""
        return [
            ErrorCount(sample.text_id, score.errors, score.reference_unit_count, sample.failure is not None)
            for sample, score in self.scored
            if score.unit == unit
        ]

    def count_failures_and_samples(self) -> tuple[int, int]:
        """Return the number of failures and of samples."""
        return sum(s.failure is not None for s in self.samples), len(self.samples)

    def count_wrong_and_judged(self) -> tuple[int, int]:
        """Return the number of samples whose audio is known to be wrong, and of those with a verdict on it."""
        ids = {sample.id for sample in self.samples}
        verdicts = self._listening.verdicts if self._listening is not None else ()
        outcomes = [one.outcome for one in verdicts if one.sample_id in ids]
        return outcomes.count("wrong"), len(outcomes) - outcomes.count("not judged")

    @cached_property
    def wrong_ids(self) -> frozenset[str]:
        """Ids of the samples of the run whose audio is known to be wrong."""
        return list_wrong_sample_ids(self._listening)

    @cached_property
    def voice(self) -> VoiceSamples:
        """The samples from which the voice is measured, and the number of those that are left out."""
        return select_voice_samples(self.samples, self._listening)

    def collect_ratings(self, select_rating: Callable[[QualityPrediction], float]) -> list[tuple[str, float]]:
        """Return the text id and the selected rating, of each sample of `voice` with predicted ratings."""
        text_ids = {sample.id: sample.text_id for sample in self.voice.samples}
        predictions = self._predicted_quality.predictions if self._predicted_quality is not None else ()
        return [(text_ids[one.sample_id], select_rating(one)) for one in predictions if one.sample_id in text_ids]

    def collect_audio_facts(self, select_fact: Callable[[AudioFacts], float | None]) -> list[tuple[str, float]]:
        """Return the text id and the selected measure, of each sample of `voice` where it is above 0."""
        facts = [(sample.text_id, sample.audio) for sample in self.voice.samples if sample.audio]
        return [(text_id, value) for text_id, one in facts if (value := select_fact(one))]

    def collect_paces(self) -> list[tuple[str, float]]:
        """Return the text id and the letters per second, of each sample of `voice` with speech."""
        spoken = [(one, one.audio.spoken_s) for one in self.voice.samples if one.audio]
        return [
            (one.text_id, letters / spoken_s)
            for one, spoken_s in spoken
            if spoken_s and (letters := count_spoken_letters(one.text))
        ]

    def collect_similarities(self) -> list[tuple[str, float]]:
        """Return the text id and the similarity, of each sample of `voice` that was compared with the voice sample."""
        text_ids = {sample.id: sample.text_id for sample in self.voice.samples}
        voices = self._voices.voices if self._voices is not None else ()
        return [
            (text_ids[one.sample_id], one.similarity)
            for one in voices
            if one.sample_id in text_ids and one.similarity is not None
        ]

    def compute_mean_charges(self, select_charge: Callable[[Sample], float | None]) -> dict[str, float]:
        """Return the mean charge by text id, for texts for which the provider reported a charge."""
        charges: dict[str, list[float]] = {}
        for sample in self.samples:
            if (charge := select_charge(sample)) is not None:
                charges.setdefault(sample.text_id, []).append(charge)
        return {text: sum(charged) / len(charged) for text, charged in charges.items()}


def group_target_samples(
    run: Run,
    score_set: ScoreSet | None,
    listening: ListeningSet | None = None,
    predicted_quality: QualitySet | None = None,
    voices: VoiceSet | None = None,
) -> dict[str, TargetSamples]:
    """Return the samples of each target of a run, by target id, with their scores in one of its score sets.

    Args:
        run: the run whose samples are grouped.
        score_set: one of its score sets; `None` for no scores.
        listening: what its audio says; `None` if that is not compared.
        predicted_quality: how listeners would rate its audio; `None` if that is not compared.
        voices: how similar its voices are to the voice sample; `None` if that is not compared.

    Raises:
        DataError: the score set does not contain every sample of the run.
    """
    scores = ScoresBySample(score_set) if score_set else None
    return {
        target: TargetSamples(samples, scores, listening, predicted_quality, voices)
        for target, samples in group_counted_samples_by_target(run).items()
    }


def measure_target_differences(run: Run, score_set: ScoreSet | None) -> TargetDifferences:
    """Compare all targets of a run with each other, as `collect_target_measurements` returns what was measured of them.

    Raises:
        DataError: the score set does not contain every sample of the run.
    """
    return compare_all_targets(collect_target_measurements(run, score_set))


def collect_target_measurements(run: Run, score_set: ScoreSet | None) -> list[TargetMeasurements]:
    """Return what is compared of each target of a run, in the order of the manifest.

    Error rates are in words if any target was scored in words, else in characters. If the scores say that their error
    rates must not be interpreted, they are not compared.

    Args:
        run: the run; warm-up samples are left out.
        score_set: one of the run's score sets.

    Raises:
        DataError: the score set does not contain every sample of the run.
    """
    targets = list(group_target_samples(run, score_set).values())
    errors = [target.count_errors_by_sample("word") for target in targets]
    if not any(errors):
        errors = [target.count_errors_by_sample("character") for target in targets]
    is_interpretable = score_set is not None and score_set.is_interpretable
    return [
        TargetMeasurements(
            latencies_ms=[(time.text_id, time.time_ms) for time in target.total_latencies],
            error_counts=[(count.text_id, count.errors, count.reference_units) for count in counts]
            if is_interpretable
            else [],
        )
        for target, counts in zip(targets, errors, strict=True)
    ]


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
        compare_pairs(table, tables.false_statement_probability) for table in (tables.log_latency, tables.error_rate)
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
    """Return the tables that are compared, and at which level."""
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
        point_estimates: the value of each target, as tables show it.
        differences: the differences between the targets.
    """
    known = [i for i, value in enumerate(point_estimates) if value is not None]
    if not known:
        return [False] * len(point_estimates)
    lowest = min(known, key=lambda i: point_estimates[i] or 0.0)
    is_lower = differences.is_clearly_lower[lowest]
    return [value is not None and not is_lower[i] for i, value in enumerate(point_estimates)]


def compare_pairs(table: FloatArray, false_statement_probability: float, *, seed: int = 0) -> PairwiseDifferences:
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
        critical = float(ordered[math.ceil((1 - false_statement_probability) * len(ordered)) - 1])
    known = np.where(counts >= MIN_SHARED_TEXTS, 1.0, np.nan)
    return PairwiseDifferences(means[0] * known, errors[0] * known, critical)


def draw_largest_differences(
    table: FloatArray, *, seed: int = 0, max_permuted_values_per_batch: int = MAX_PERMUTED_VALUES_PER_BATCH
) -> Iterator[FloatArray]:
    """Yield the largest difference of any pair of columns in standard errors: that of the table, then of permutations.

    Args:
        table: as for `compare_pairs`. If no two columns have enough common texts, nothing is yielded.
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
