"""Pairs samples with their scores."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.errors import DataError
from voicegauge.model import Run, Sample, Score, ScoreSet

ScoredSamples = Sequence[tuple[Sample, Score]]


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
