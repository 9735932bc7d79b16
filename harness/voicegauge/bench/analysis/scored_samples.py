"""Pairs samples with their scores."""

from __future__ import annotations

from collections.abc import Sequence

from voicegauge.errors import DataError
from voicegauge.model import Sample, Score, ScoreSet

ScoredSamples = Sequence[tuple[Sample, Score]]


def pair_samples_with_scores(samples: Sequence[Sample], score_set: ScoreSet) -> ScoredSamples:
    """Pair each sample of one target with its score; leave out samples in languages that the ASR does not support.

    Returns:
        The pairs; none if every sample failed, because an error rate of 100% would not measure any speech.

    Raises:
        DataError: the score set does not contain every sample in a supported language.
    """
    scores = {score.sample_id: score for score in score_set.scores}
    samples = [sample for sample in samples if sample.language not in score_set.left_out]
    missing = [sample.id for sample in samples if sample.id not in scores]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"no score for the sample {missing[0]}{more}: score the run again with `voicegauge score`")
    scored = [(sample, scores[sample.id]) for sample in samples]
    return [] if all(sample.failure is not None for sample, _ in scored) else scored
