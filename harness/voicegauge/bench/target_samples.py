"""Selects what was measured of each target, and from each place, with scores and verdicts, from a run's samples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeVar

import msgspec

from voicegauge.bench.estimates import Estimate, estimate_median, estimate_quantile
from voicegauge.bench.resampling import (
    TargetDifferences,
    TargetMeasurements,
    compare_all_targets,
)
from voicegauge.errors import DataError
from voicegauge.model.base import Count, Record
from voicegauge.model.run import ListeningSet, QualitySet, Run, ScoreSet, VoiceSet
from voicegauge.model.sample import AudioFacts, Interval, Latency, QualityPrediction, Sample, Score
from voicegauge.printable_text import format_count
from voicegauge.speech.listening import count_spoken_letters


class ErrorCount(NamedTuple):
    """Number of recognition errors and of reference units (words or characters) of one sample."""

    text_id: str
    errors: int
    reference_units: int
    """Number of words or characters of the text."""
    is_failure: bool = False
    """Whether the request delivered nothing, so that all reference units count as errors."""


class MeasuredTime(NamedTuple):
    """One measured time, with the text and the session in which it was measured."""

    text_id: str
    session_number: int
    time_ms: float


# Pairs samples with their scores.


ValueT = TypeVar("ValueT")

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
            The pairs; empty if every sample failed, because an error rate of 100% would not measure any speech.

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


def select_values_by_text(
    samples: Iterable[Sample], select_value: Callable[[Sample], ValueT | None]
) -> list[tuple[str, ValueT]]:
    """Return the text id and the value of each sample that has one."""
    return [(sample.text_id, found) for sample in samples if (found := select_value(sample)) is not None]


def select_times_by_text(
    samples: Iterable[Sample], select_time: Callable[[Latency], ValueT | None]
) -> list[tuple[str, ValueT]]:
    """Return the text id and the selected time of each successful sample that has it."""
    return [
        (sample.text_id, found)
        for sample in samples
        if sample.failure is None and sample.latency is not None and (found := select_time(sample.latency)) is not None
    ]


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
        """Whether any clip of the target is left out."""
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
    """How many clips are left out, by reason."""


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
    def total_latencies(self) -> list[MeasuredTime]:
        """The total latency of each successful sample that has one."""
        return self.collect_times(lambda latency: latency.total_latency_ms)

    def collect_times(self, select_time: Callable[[Latency], float | None]) -> list[MeasuredTime]:
        """Return the time that `select_time` selects from the latency of each successful sample, without `None`."""
        return [
            MeasuredTime(text, session, ms)
            for text, session, latency in self._latencies_with_text_and_session
            if (ms := select_time(latency)) is not None
        ]

    def collect_completion_times(self, select_bound: Callable[[Interval], float]) -> list[MeasuredTime]:
        """Return a time for each job, which `select_bound` computes from the bounds of the completion time.

        The lower bound is at least the time of the response to the submit, because a client cannot know earlier that a
        job is complete. Otherwise the bound could be 0, which has no logarithm.
        """
        return [
            MeasuredTime(text, session, max(select_bound(latency.completion_ms), latency.submit_latency_ms))
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
        """Return the number of failed samples, and of all samples of the target."""
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
        # A frequency is 0 where none was found.
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
    """Compare all targets of a run with each other, by what `collect_target_measurements` returns.

    Without a score set (`None`), error rates are not compared.

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
        score_set: one of the run's score sets; `None` if error rates are not compared.

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


# Selects and summarizes the samples from each place, if workers of a cluster measured the run.


class PlaceSummary(Record, frozen=True, kw_only=True):
    """Times of one target, measured from one place: medians with 95% intervals, unless the name says otherwise."""

    place: str
    target: str
    """Id of the target."""
    sample_count: int
    """Number of samples from this place, including failures and excluding warm-up."""
    failure_count: int
    """Number of samples from the place that failed."""
    lost_count: Count = 0
    """Number of further samples from the place that were sent, but have no saved result."""
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

    @property
    def requested_count(self) -> int:
        """Number of samples that were sent from this place, without warm-up: delivered, failed and lost ones."""
        return self.sample_count + self.lost_count

    def describe_deliveries(self, separator: str) -> str:
        """Return how many of the samples were delivered, and how many were lost: "2 of 5, 1 lost"."""
        lost = f", {self.lost_count} lost" if self.lost_count else ""
        return f"{self.sample_count - self.failure_count}{separator}{self.requested_count}{lost}"


def summarize_places(run: Run) -> tuple[PlaceSummary, ...]:
    """Summarize each target from each place, in the order of the manifest and of the names of places.

    Returns:
        The summaries; empty if no worker of a cluster measured the run.
    """
    summaries = []
    lost_counts = Counter((one.target, one.place) for one in run.select_lost_samples())
    for target, samples in group_counted_samples_by_target(run).items():
        # A place that has lost all of its samples has a summary, too.
        by_place: dict[str, list[Sample]] = {
            place: [] for name, place in lost_counts if name == target and place is not None
        }
        for sample in samples:
            if sample.place is not None:
                by_place.setdefault(sample.place, []).append(sample)
        summaries += [
            _summarize_place(place, target, by_place[place], lost_counts[target, place]) for place in sorted(by_place)
        ]
    return tuple(summaries)


def _summarize_place(place: str, target: str, samples: Sequence[Sample], lost_count: int) -> PlaceSummary:
    totals = select_times_by_text(samples, lambda latency: latency.total_latency_ms)
    return PlaceSummary(
        place=place,
        target=target,
        sample_count=len(samples),
        failure_count=sum(one.failure is not None for one in samples),
        lost_count=lost_count,
        ttfb_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfb_ms)),
        ttfa_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfa_ms)),
        ttfs_ms=estimate_median(select_times_by_text(samples, lambda latency: latency.ttfs_ms)),
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

    def compute_place_shares(runs: Sequence[Run]) -> dict[tuple[str, str], dict[str | None, float]]:
        counts: dict[tuple[str, str], Counter[str | None]] = {}
        for sample in (sample for one in runs for sample in one.select_counted_samples()):
            counts.setdefault((sample.target, sample.text_id), Counter())[sample.place] += 1
        return {key: {place: n / one.total() for place, n in one.items()} for key, one in counts.items()}

    before, after = compute_place_shares(baselines), compute_place_shares([run])
    return len({key[1] for key in before.keys() & after.keys() if before[key] != after[key]})


def restrict_run_to_place(run: Run, place: str) -> Run:
    """Return a run with the samples from one place only.

    Raises:
        DataError: the run has no sample from there.
    """
    samples = tuple(one for one in run.samples if one.place == place)
    if not samples:
        known = ", ".join(list_places(run)) or "none: no worker of a cluster measured it"
        raise DataError(f"{run.manifest.run_id} has no sample from {place!r}; its places: {known}")
    return msgspec.structs.replace(run, samples=samples)
