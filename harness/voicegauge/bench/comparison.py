"""Compares a run with a baseline, or the targets of one run, and says what such comparisons would find.

A metric has regressed if it became worse by enough to matter *and* by more than chance explains. The changes of all
metrics are judged together (`comparison_result.py`). Runs can be compared only if both were measured in the same way.

For plans, the same smallest detectable change is computed that a comparison states for runs: how many nights, targets
and texts it takes to find a slowdown of the total latency. It follows from the spread of requests, of nights, and of a
target beside the other targets, as runs show them or as they are assumed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from voicegauge.bench._change_estimates import (
    DEFAULT_LATENCY_VARIATION,
    MIN_RUNS_TO_MEASURE_VARIATION,
    PRIOR_DEGREES_OF_FREEDOM,
    EstimatedVariance,
    add_variances,
    compute_log_median_times_by_session,
    estimate_center_of_differences,
    find_common_texts,
    measure_night_levels,
    measure_variation,
)
from voicegauge.bench._metric_changes import EstimatedChange
from voicegauge.bench._target_comparison import (
    MIN_OTHER_TARGETS_AS_REFERENCE,
    UNITS_BETTER_IF_HIGHER,
    VOICE_MEASURES,
    ComparedMetric,
    ComparedTarget,
    VariationEstimator,
    estimate_metric_changes,
)
from voicegauge.bench.comparison_result import (
    ALPHA_SHARE_OF_LATENCY_PARTS,
    ChangeThreshold,
    ComparedRun,
    CompareSettings,
    MetricComparison,
    RunComparison,
    compute_false_discovery_significance_levels,
    compute_family_significance_levels,
    decide_verdict,
)
from voicegauge.bench.target_samples import (
    MeasuredTime,
    count_texts_from_other_places,
    group_target_samples,
    list_places,
)
from voicegauge.errors import DataError
from voicegauge.model.run import ListeningSet, QualitySet, Run, ScoreSet, VoiceSet, describe_rehearsal

# Decides whether runs can be compared, and which of their results.


def check_runs_are_comparable(baseline: Run, run: Run) -> None:
    """Raise an error if two runs measured different things.

    Raises:
        DataError: they differ in suite, provenance or load, or one has no sample.
    """
    old, new = baseline.manifest, run.manifest
    for side in (baseline, run):
        check_run_has_samples(side)
    # By digest, because a user may change the texts of a suite and leave its id and version as they are.
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
    """Raise a `DataError` if the same run is given twice.

    A run that is compared with itself shows no change. A run that stands for several nights makes the spread between
    nights too small. A copy counts as the same run, even if it was scored again. Equal run ids are not enough, because
    two machines may give the same id to different runs.
    """
    for number, run in enumerate(runs):
        for other in runs[:number]:
            if other.manifest.run_id == run.manifest.run_id and other.samples == run.samples:
                raise DataError(f"not comparable: the run {run.manifest.run_id} is given twice: name different runs")


def check_run_has_samples(run: Run) -> None:
    """Raise a `DataError` if a run has no sample that counts (`Sample.is_counted`)."""
    if not any(sample.is_counted for sample in run.samples):
        reason = "nothing succeeded" if any(sample.failure for sample in run.samples) else "it was stopped too early"
        raise DataError(f"not comparable: the run {run.manifest.run_id} has no sample: {reason}")


def find_reason_not_to_compare_audio(runs: Sequence[Run]) -> str:
    """Return why the runs are not compared by what their audio says.

    The result is empty if they are compared, or if their targets do not speak texts.
    """
    if runs[-1].manifest.kind != "speech":
        return ""
    unheard, methods = _list_runs_without_result_and_methods(runs, [run.listening for run in runs])
    if unheard:
        return f"nobody listened to {unheard[0]}, so wrong audio is not compared: voicegauge score does"
    if len(methods) > 1:
        named = " and ".join(methods)
        return (
            f"the audio was judged in different ways, which are not compared ({named}): voicegauge score does it again"
        )
    return ""


def _list_runs_without_result_and_methods(
    runs: Sequence[Run], results: Sequence[ListeningSet | QualitySet | VoiceSet | None]
) -> tuple[list[str], list[str]]:
    """Return the ids of the runs whose result is `None`, and the methods of the other results, sorted."""
    without = [run.manifest.run_id for run, result in zip(runs, results, strict=True) if result is None]
    return without, sorted({result.method for result in results if result is not None})


def find_reason_not_to_compare_ratings(runs: Sequence[Run]) -> str:
    """Return why predicted ratings are not compared; empty if they are, or if no run has any."""
    unrated, methods = _list_runs_without_result_and_methods(runs, [run.predicted_quality for run in runs])
    if unrated and len(unrated) < len(runs):
        return f"no ratings were predicted for {unrated[0]}, so none are compared: voicegauge score --quality does"
    if len(methods) > 1:
        named = " and ".join(methods)
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
    unknown, methods = _list_runs_without_result_and_methods(runs, [run.voices for run in runs])
    if unknown and len(unknown) < len(runs):
        return (
            f"the voices of {unknown[0]} were not compared with the voice sample, so their similarity is not compared: "
            "voicegauge score --similarity does it"
        )
    if len(methods) > 1:
        named = " and ".join(methods)
        return f"the voices were encoded in different ways, so their similarity is not compared ({named})"
    return ""


def find_comparable_score_sets(runs: Sequence[Run]) -> list[ScoreSet] | None:
    """Return the newest score set of each run, all with the same ASR engine and settings; `None` if a run has none.

    Raises:
        DataError: no engine has scored all runs with the same settings.
    """
    if not all(run.score_sets for run in runs):
        return None
    # Scores of any engine that scored all runs can be compared; the one that was used last is preferred.
    for newest in reversed(runs[-1].score_sets):
        score_sets = [scores for run in runs if (scores := _find_score_set_with_same_settings(run, newest)) is not None]
        if len(score_sets) == len(runs):
            return score_sets
    newest = runs[-1].score_sets[-1]
    other = next(run for run in runs if _find_score_set_with_same_settings(run, newest) is None).score_sets[-1]
    raise DataError(
        f"not comparable: the baseline was scored by {other.asr} with {other.normalizer}, the run by {newest.asr} "
        f"with {newest.normalizer}: score one again with `voicegauge score`"
    )


def _find_score_set_with_same_settings(run: Run, reference_score_set: ScoreSet) -> ScoreSet | None:
    """Return the newest score set of `run` with the engine and settings of `reference_score_set`, or `None`."""
    key = _build_key_of_scoring_settings(reference_score_set)
    return next((own for own in reversed(run.score_sets) if _build_key_of_scoring_settings(own) == key), None)


def _build_key_of_scoring_settings(score_set: ScoreSet) -> tuple[object, ...]:
    return score_set.asr, score_set.normalizer, score_set.settings, score_set.has_closed_vocabulary


# Compares a run with a baseline, or the targets of one run, and judges the change of each metric.


def compare_runs(baseline: Run | Sequence[Run], run: Run, settings: CompareSettings | None = None) -> RunComparison:
    """Compare `run` with a baseline.

    Args:
        baseline: one run or several. Several runs, such as those of several nights, show how much the metrics differ
            without a change.
        run: the new run.
        settings: statistical settings; `None` for the defaults.

    Raises:
        DataError: the runs are not comparable: they differ in suite, provenance, ASR engine, normalizer
            or load, have no target or no text in common, or a run is given twice.
    """
    settings = settings or CompareSettings()
    # Oldest first: charges are compared with those of the last one, and its description of a target counts.
    baselines = sorted([baseline] if isinstance(baseline, Run) else baseline, key=lambda one: one.manifest.created_at)
    check_no_run_is_repeated([*baselines, run])
    for one in baselines:
        check_runs_are_comparable(one, run)
    scores = find_comparable_score_sets([*baselines, run])
    before = {target.id: target for one in baselines for target in one.manifest.targets}
    after = {target.id: target for target in run.manifest.targets}
    common_targets = [target for target in after if target in before]
    if not common_targets:
        raise DataError("not comparable: the runs have no target in common")
    listening_note = find_reason_not_to_compare_audio([*baselines, run])
    quality_note = find_reason_not_to_compare_ratings([*baselines, run])
    is_speech, has_one_sample = run.manifest.kind == "speech", have_one_voice_sample([*baselines, run])
    voice_note = find_reason_not_to_compare_voices([*baselines, run])
    is_interpretable = all(one.is_interpretable for one in scores or ())
    *samples_before, samples_after = (
        group_target_samples(
            one,
            scores[index] if scores and is_interpretable else None,
            one.listening,
            one.predicted_quality if quality_note == "" else None,
            one.voices if voice_note == "" else None,
        )
        for index, one in enumerate([*baselines, run])
    )
    targets = [
        ComparedTarget(
            target_in_baseline=before[target],
            target_in_run=after[target],
            baseline_samples=[samples[target] for samples in samples_before if target in samples],
            run_samples=samples_after[target],
            compares_voice=is_speech and has_one_sample,
            compares_wrong_audio=listening_note == "",
            compares_steadiness=is_speech,
        )
        for target in common_targets
    ]
    return msgspec.structs.replace(
        _build_comparison(baselines, run, targets, settings, scores[-1] if scores else None, listening_note),
        quality_note=quality_note,
        voice_note=voice_note,
        targets_only_in_baseline=tuple(target for target in before if target not in after),
        targets_only_in_run=tuple(target for target in after if target not in before),
    )


def compare_targets(run: Run, baseline_target: str, settings: CompareSettings | None = None) -> RunComparison:
    """Compare the other targets of a run with one of its targets, paired by text and session.

    The targets of a run are measured in turn, so variation that they share cancels out.

    Args:
        run: a run of at least two targets.
        baseline_target: id of the target that the others are compared with.
        settings: statistical settings, `None` for the defaults; `assumed_variation` is not used.

    Raises:
        DataError: the run has no such target, no other target, or no sample.
    """
    settings = settings or CompareSettings()
    refs = {target.id: target for target in run.manifest.targets}
    if baseline_target not in refs:
        raise DataError(f"the run {run.manifest.run_id} has no target {baseline_target!r}; it has {', '.join(refs)}")
    if len(refs) == 1:
        raise DataError(f"the run {run.manifest.run_id} has no other target to compare with {baseline_target}")
    check_run_has_samples(run)
    scores = run.score_sets[-1] if run.score_sets else None
    samples = group_target_samples(
        run, scores if scores and scores.is_interpretable else None, run.listening, run.predicted_quality
    )
    targets = [
        ComparedTarget(
            target_in_baseline=refs[baseline_target],
            target_in_run=refs[target],
            baseline_samples=[samples[baseline_target]],
            run_samples=samples[target],
            sides_share_sessions=True,
            compares_steadiness=run.manifest.kind == "speech",
        )
        for target in refs
        if target != baseline_target
    ]
    return _build_comparison([run], run, targets, settings, scores, find_reason_not_to_compare_audio([run]))


def _build_comparison(
    baselines: Sequence[Run],
    run: Run,
    targets: Sequence[ComparedTarget],
    settings: CompareSettings,
    scores: ScoreSet | None,
    listening_note: str,
) -> RunComparison:
    """Return the result of a comparison in which all targets are on both sides, and nothing else is left out.

    `scores` are those of `run`; `None` if it was not scored.
    """
    old_texts = {text for target in targets for one in target.baseline_samples for text in one.text_ids}
    new_texts = {text for target in targets for text in target.run_samples.text_ids}
    if not old_texts & new_texts:
        raise DataError(
            "not comparable: the runs have no text in common: give both the same --limit, --language and --category"
        )
    has_other_places = any(list_places(one) != list_places(run) for one in baselines)
    return RunComparison(
        provenance=run.manifest.provenance,
        rehearsal_label=describe_rehearsal([one.manifest for one in (*baselines, run)]),
        run_kind=run.manifest.kind,
        suite=f"{run.manifest.suite.id}/{run.manifest.suite.version}",
        baseline=tuple(_build_compared_run(one) for one in baselines),
        run=_build_compared_run(run),
        settings=settings,
        asr=scores.asr if scores is not None else None,
        known_words=scores.known_words if scores is not None else None,
        listening_method=run.listening.method if run.listening is not None and not listening_note else None,
        listening_note=listening_note,
        clips_left_out=tuple(
            filter(None, (target.describe_clips_left_out() for target in targets if run.manifest.kind == "speech"))
        ),
        metrics=tuple(_compare_metrics(targets, settings)),
        targets_only_in_baseline=(),
        targets_only_in_run=(),
        common_text_count=len(old_texts & new_texts),
        text_count_only_in_baseline=len(old_texts - new_texts),
        text_count_only_in_run=len(new_texts - old_texts),
        text_count_from_other_places=0 if has_other_places else count_texts_from_other_places(baselines, run),
        targets_without_audio_in_baseline=tuple(
            dict.fromkeys(target.target_in_baseline.id for target in targets if not target.has_delivered_in_baseline)
        ),
        targets_without_audio_in_run=tuple(
            target.target_in_run.id for target in targets if not target.run_samples.has_delivered
        ),
    )


def _compare_metrics(targets: Sequence[ComparedTarget], settings: CompareSettings) -> list[MetricComparison]:
    """Judge the changes of all metrics of all targets together, because Holm's procedure needs all their p-values."""
    variation = VariationEstimator(targets, settings.assumed_variation)
    changed = [
        (target, metric)
        for target in targets
        for metric in estimate_metric_changes(target, variation, seed=settings.seed)
    ]
    p_values = [metric.change.compute_p_value() for _, metric in changed]
    if settings.error_control == "discoveries":
        levels = compute_false_discovery_significance_levels(p_values, settings.alpha)
        first_levels = [settings.alpha / max(sum(p_value is not None for p_value in p_values), 1)] * len(levels)
    else:
        levels, first_levels = compute_family_significance_levels(
            [metric.id for _, metric in changed], p_values, settings.alpha
        )
    return [
        _judge_metric(target, metric, settings.get_threshold(metric.id), p_value, level, first_level)
        for (target, metric), p_value, level, first_level in zip(changed, p_values, levels, first_levels, strict=True)
    ]


def _judge_metric(
    target: ComparedTarget,
    metric: ComparedMetric,
    threshold: ChangeThreshold,
    p_value: float | None,
    significance_level: float,
    strictest_significance_level: float,
) -> MetricComparison:
    change = metric.change
    interval = change.compute_interval(significance_level)
    # At the strictest level: a change of this metric alone does not lower the p-values on which a better level depends.
    detectable = change.compute_detectable_change(strictest_significance_level, threshold.min_change)
    shown: tuple[float | None, float | None] = (None, None)
    if interval is not None:
        # JSON has no infinity, which is the end of an interval that nothing bounds.
        shown = interval[0], interval[1] if math.isfinite(interval[1]) else None
    if metric.unit in UNITS_BETTER_IF_HIGHER:
        shown = (-interval[1], -interval[0]) if interval is not None else shown
        detectable = None if detectable is None else -detectable
    return MetricComparison(
        target=target.target_in_run.id,
        baseline_target=target.target_in_baseline.id,
        metric=metric.id,
        unit=metric.unit,
        verdict=decide_verdict(change.change, interval, threshold, is_worse_either_way=metric.id in VOICE_MEASURES),
        baseline_value=change.baseline_value,
        run_value=change.run_value,
        change=-change.change if metric.unit in UNITS_BETTER_IF_HIGHER else change.change,
        interval_low=shown[0],
        interval_high=shown[1],
        interval_level=None if interval is None else 1 - 2 * significance_level,
        p_value=p_value,
        detectable_change=detectable,
        baseline_sample_count=change.baseline_sample_count,
        run_sample_count=change.run_sample_count,
        note=change.note,
    )


def _build_compared_run(run: Run) -> ComparedRun:
    return ComparedRun(
        run_id=run.manifest.run_id,
        created_at=run.manifest.created_at,
        is_finished=run.manifest.is_finished,
        fault_ids=run.manifest.fault_ids,
        region=run.manifest.region,
        places=list_places(run),
        uses_http2=run.manifest.uses_http2,
        base_urls=run.manifest.base_urls,
        session_count=run.manifest.sessions,
        load_description=run.describe_load(),
        sample_count=len(run.select_counted_samples()),
    )


# Computes how large a slowdown a planned comparison finds.


ASSUMED_REQUEST_SPREAD = 0.25
"""Standard deviation of the logarithm of the times of one text in one night, if the runs do not show it."""
METRIC_COUNT_OF_LATENCY_FAMILY = 3
"""Number of metrics of a target that are tested in the family of the total latency: this latency, errors, failures."""
PLANNED_NIGHT_COUNTS = (1, 5, 10, 20)
"""Numbers of runs of the baseline, each of another night, for which comparisons are planned."""
PLANNED_TEXT_COUNTS = (8, 24, 100, 400)
"""Numbers of texts for which comparisons are planned."""
PLANNED_TARGET_COUNTS = (1, 8)
"""Numbers of targets for which comparisons are planned."""
NIGHT_COUNT_NOTE = (
    f"with fewer than {MIN_RUNS_TO_MEASURE_VARIATION} nights `compare` assumes the spread between nights, from "
    f"{MIN_RUNS_TO_MEASURE_VARIATION} on it estimates it from the nights: {MIN_RUNS_TO_MEASURE_VARIATION} nights show "
    "it so roughly that the figure for them can be larger than for 1, whose assumption may be wrong"
)
"""Sentence below the plans: why a comparison with a few more nights can find less."""


class LatencySpreads(NamedTuple):
    """Standard deviations of the logarithm of times."""

    request: float
    """Standard deviation between nights of the median time of one text, without the spread of the nights' levels."""
    night: float
    """Standard deviation between nights of the level of a target, without the spread of its requests."""
    night_beside_others: float
    """Standard deviation between nights of the difference between a target's level and the median level of the other
    targets. Equal to `night` if the targets have no variation in common."""
    measured_names: tuple[str, ...] = ()
    """Names of the spreads above that were measured; the others are assumed."""


class PlannedComparison(NamedTuple):
    """A planned comparison, and the smallest slowdown that it finds in 80% of cases."""

    night_count: int
    target_count: int
    text_count: int
    detectable_slowdown: float | None
    """The smallest relative slowdown that the comparison can detect, such as 0.2 for 20%; `None` if not even a latency
    ten times as long would be detected."""


def measure_spreads(
    runs: Sequence[Run], assumed_night_spread: float = DEFAULT_LATENCY_VARIATION, *, compared_run: Run | None = None
) -> LatencySpreads:
    """Measure the spreads in runs of different nights; what they do not show is assumed.

    The spread of requests needs two runs or sessions. The spread of nights needs `MIN_RUNS_TO_MEASURE_VARIATION` runs,
    and the spread beside other targets needs this number of runs with at least `MIN_OTHER_TARGETS_AS_REFERENCE` + 1
    targets.

    Args:
        runs: runs of different nights without a change of the service.
        assumed_night_spread: spread of nights that is assumed if the runs do not show it.
        compared_run: the run that is compared with `runs`; `None` if there is none yet. It must be comparable, but
            shows no spread, because the service may have changed before it.

    Raises:
        DataError: the runs are not comparable, have no text in common, or one is given twice.
    """
    others = runs[1:] if compared_run is None else [*runs[1:], compared_run]
    check_no_run_is_repeated([runs[0], *others])
    for run in others:
        check_runs_are_comparable(runs[0], run)
    times: dict[str, list[list[MeasuredTime]]] = {}
    for run in runs:
        for target, samples in group_target_samples(run, None).items():
            times.setdefault(target, []).append(list(samples.total_latencies))
    complete = {target: nights for target, nights in times.items() if len(nights) == len(runs) and all(nights)}
    requests = [spread for nights in complete.values() if (spread := _measure_text_latency_spread(nights)) is not None]
    request = float(np.sqrt(np.mean(np.square(requests)))) if requests else ASSUMED_REQUEST_SPREAD
    measured = ("request",) if requests else ()
    if len(runs) < MIN_RUNS_TO_MEASURE_VARIATION or not complete:
        return LatencySpreads(request, assumed_night_spread, assumed_night_spread, measured)
    texts = [find_common_texts(nights) for nights in complete.values()]
    if not all(texts):
        raise DataError("not comparable: the runs have no text in common")
    # The texts of a night contribute this much to the variance of its level; the rest is the night's own.
    noise = request**2 / max(min(map(len, texts)), 1)
    variation = float(np.mean([measure_variation(nights).variance_between_runs for nights in complete.values()]))
    night = math.sqrt(max(variation - noise, 0.0))
    if len(complete) <= MIN_OTHER_TARGETS_AS_REFERENCE:
        return LatencySpreads(request, night, night, (*measured, "night"))
    levels = np.array(
        [
            [one.center for one in measure_night_levels(nights, own, night_count_of_typical_level=len(nights))]
            for nights, own in zip(complete.values(), texts, strict=True)
        ]
    )
    medians_of_others = [np.median(np.delete(levels, index, axis=0), axis=0) for index in range(len(levels))]
    contrasts = levels - np.array(medians_of_others)
    beside = math.sqrt(max(float(np.mean(np.var(contrasts, axis=1, ddof=1))) - noise, 0.0))
    # By chance the spread beside the others can come out larger, although what targets share only ever cancels out.
    return LatencySpreads(request, night, min(beside, night), (*measured, "night", "night beside others"))


def _measure_text_latency_spread(nights: Sequence[Sequence[MeasuredTime]]) -> float | None:
    """Return the spread of the median times of a text between sessions; `None` for fewer than two sessions or texts."""
    texts = find_common_texts(nights)
    tables = np.vstack([compute_log_median_times_by_session(night, texts) for night in nights])
    complete = tables[:, np.isfinite(tables).all(axis=0)]
    if len(complete) < 2 or complete.shape[1] < 2:
        return None
    # Of a difference of two nights: twice the variance of one, divided by the number of texts.
    # The number of pairs grows with the square of the nights, and twenty of them show the spread well enough.
    errors = [
        estimate_center_of_differences(complete[first] - complete[second])[1]
        for first, second in list(combinations(range(len(complete)), 2))[:20]
    ]
    return math.sqrt(float(np.mean(np.square(errors))) * complete.shape[1] / 2)


def plan_comparison(
    spreads: LatencySpreads, baseline_night_count: int, target_count: int, text_count: int, settings: CompareSettings
) -> PlannedComparison:
    """Return the smallest slowdown of one target that a comparison finds in 80% of cases.

    Args:
        spreads: how much times vary between requests and between nights.
        baseline_night_count: runs of the baseline, each of another night; one further run is compared with them.
        target_count: targets of each run.
        text_count: texts of each run, each sent once to each target.
        settings: the statistical settings of the comparison.
    """
    scale = 1 + 1 / baseline_night_count
    noise = spreads.request**2 / text_count
    # The smallest of the p-values of all targets and metrics must be below this level, see Holm's procedure.
    family_alpha = settings.alpha * (1 - ALPHA_SHARE_OF_LATENCY_PARTS) / (METRIC_COUNT_OF_LATENCY_FAMILY * target_count)
    is_measured = baseline_night_count >= MIN_RUNS_TO_MEASURE_VARIATION
    others = min(PRIOR_DEGREES_OF_FREEDOM, (target_count - 1) * (baseline_night_count - 1))
    freedom = baseline_night_count - 1 + (others if is_measured else PRIOR_DEGREES_OF_FREEDOM)
    # Alone, the errors of the texts are estimated beside the variation, which contains them too if it was measured.
    variation = EstimatedVariance(scale * (spreads.night**2 + (noise if is_measured else 0.0)), freedom)
    tests = [add_variances(EstimatedVariance(scale * noise, text_count - 1.0), variation)]
    if is_measured and target_count > MIN_OTHER_TARGETS_AS_REFERENCE:
        # The median of the others varies by about pi / 2 times as much as their mean.
        reference = 1 + math.pi / 2 / (target_count - 1)
        tests.append(EstimatedVariance(scale * (spreads.night_beside_others**2 + noise * reference), freedom))
    sizes = [
        EstimatedChange.of_difference(
            (1.0, 1.0), (1, 1), 0.0, math.sqrt(variance), freedom_of_test, is_logarithmic=True
        ).compute_detectable_change(family_alpha / len(tests), settings.latency_threshold.min_change)
        for variance, freedom_of_test in tests
    ]
    found = min((size for size in sizes if size is not None), default=None)
    return PlannedComparison(baseline_night_count, target_count, text_count, found)


def plan_comparisons(spreads: LatencySpreads, settings: CompareSettings) -> list[PlannedComparison]:
    """Return what comparisons of usual numbers of nights, targets and texts find: the smallest slowdown of each."""
    return [
        plan_comparison(spreads, nights, targets, texts, settings)
        for targets in PLANNED_TARGET_COUNTS
        for nights in PLANNED_NIGHT_COUNTS
        for texts in PLANNED_TEXT_COUNTS
    ]
