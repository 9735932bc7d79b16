"""Decides whether runs can be compared, and which of their results: only what was measured in the same way is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from voicegauge.errors import DataError
from voicegauge.model.run import Run, ScoreSet


def check_comparable(baseline: Run, run: Run) -> None:
    """Raise an error if two runs measured different things.

    Raises:
        DataError: they differ in suite, provenance or load, or one has no sample.
    """
    old, new = baseline.manifest, run.manifest
    for side in (baseline, run):
        check_has_samples(side)
    if old.suite.sha256 != new.suite.sha256:
        raise DataError(
            f"not comparable: the baseline measured the suite {old.suite.id}/{old.suite.version} "
            f"({old.suite.sha256[:8]}), the run {new.suite.id}/{new.suite.version} ({new.suite.sha256[:8]})"
        )
    if old.provenance != new.provenance:
        raise DataError(f"not comparable: the baseline is {old.provenance}, the run is {new.provenance}")
    if old.rehearsal_mark != new.rehearsal_mark:
        stand_in, service = ("baseline", "run") if old.is_rehearsal else ("run", "baseline")
        raise DataError(
            f"not comparable: a server on this machine answered the {stand_in}, the service itself the {service}"
        )
    old_load, new_load = baseline.describe_load(), run.describe_load()
    if old_load != new_load:
        raise DataError(
            f"not comparable: the baseline had {old_load}, the run {new_load}: "
            "give both the same --concurrency, or the same --rate and --arrivals"
        )


def check_no_run_is_repeated(runs: Sequence[Run]) -> None:
    """Raise an error if the same run is given twice.

    A run that is compared with itself shows no change. A run that stands for several nights makes the spread between
    nights too small. A copy counts as the same run, even if it was scored again. Equal run ids are not enough, because
    two machines may give the same id to different runs.
    """
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if other.manifest.run_id == run.manifest.run_id and other.samples == run.samples:
                raise DataError(f"not comparable: the run {run.manifest.run_id} is given twice: name different runs")


def check_has_samples(run: Run) -> None:
    """Raise an error if a run has no sample that counts."""
    if not any(sample.is_counted for sample in run.samples):
        reason = "nothing succeeded" if any(sample.failure for sample in run.samples) else "it was stopped too early"
        raise DataError(f"not comparable: the run {run.manifest.run_id} has no sample: {reason}")


def find_reason_not_to_compare_audio(runs: Sequence[Run]) -> str:
    """Return why the runs are not compared by what their audio says.

    The result is empty if they are compared, or if their targets do not speak texts.
    """
    if runs[-1].manifest.kind != "speech":
        return ""
    unheard = [run.manifest.run_id for run in runs if run.listening is None]
    if unheard:
        return f"nobody listened to {unheard[0]}, so wrong audio is not compared: voicegauge score does"
    methods = {run.listening.method for run in runs if run.listening is not None}
    if len(methods) > 1:
        named = " and ".join(sorted(methods))
        return (
            f"the audio was judged in different ways, which are not compared ({named}): voicegauge score does it again"
        )
    return ""


def find_reason_not_to_compare_ratings(runs: Sequence[Run]) -> str:
    """Return why predicted ratings are not compared; empty if they are, or if no run has any."""
    unrated = [run.manifest.run_id for run in runs if run.predicted_quality is None]
    if unrated and len(unrated) < len(runs):
        return f"no ratings were predicted for {unrated[0]}, so none are compared: voicegauge score --quality does"
    methods = {run.predicted_quality.method for run in runs if run.predicted_quality is not None}
    if len(methods) > 1:
        named = " and ".join(sorted(methods))
        return f"ratings were predicted in different ways, which are not compared ({named}): voicegauge score --quality"
    return ""


def have_one_voice_sample(runs: Sequence[Run]) -> bool:
    """Whether all runs sent the same voice sample, or all sent none."""
    paths = {run.manifest.voice_sample_path for run in runs}
    return len({None if path is None else Path(path).stem for path in paths}) == 1  # whose name is its digest


def find_reason_not_to_compare_voices(runs: Sequence[Run]) -> str:
    """Return why voices, or their similarity to the voice sample, are not compared; empty if they all are."""
    if runs[-1].manifest.kind != "speech":
        return ""
    if not have_one_voice_sample(runs):
        return "the runs had different voice samples, so their voices are not compared"
    unknown = [run.manifest.run_id for run in runs if run.voices is None]
    if unknown and len(unknown) < len(runs):
        return (
            f"the voices of {unknown[0]} were not compared with the voice sample, so their similarity is not compared: "
            "voicegauge score --similarity does it"
        )
    methods = {run.voices.method for run in runs if run.voices is not None}
    if len(methods) > 1:
        named = " and ".join(sorted(methods))
        return f"the voices were encoded in different ways, so their similarity is not compared ({named})"
    return ""


def find_comparable_score_sets(runs: Sequence[Run]) -> list[ScoreSet] | None:
    """Return the newest score set of each run, all with the same ASR engine and settings; `None` if a run has none."""
    if not all(run.score_sets for run in runs):
        return None
    for newest in reversed(runs[-1].score_sets):
        score_sets = [_find_score_set_with_same_settings(run, newest) for run in runs]
        if None not in score_sets:
            return [scores for scores in score_sets if scores is not None]
    newest = runs[-1].score_sets[-1]
    other = next(run for run in runs if _find_score_set_with_same_settings(run, newest) is None).score_sets[-1]
    raise DataError(
        f"not comparable: the baseline was scored by {other.asr} with {other.normalizer}, the run by {newest.asr} "
        f"with {newest.normalizer}: score one again with `voicegauge score`"
    )


def _find_score_set_with_same_settings(run: Run, reference_score_set: ScoreSet) -> ScoreSet | None:
    """Return the newest score set of `run` with the engine and settings of `reference_score_set`, or `None`."""
    key = _build_scoring_key(reference_score_set)
    return next((own for own in reversed(run.score_sets) if _build_scoring_key(own) == key), None)


def _build_scoring_key(score_set: ScoreSet) -> tuple[object, ...]:
    return score_set.asr, score_set.normalizer, score_set.settings, score_set.has_closed_vocabulary
