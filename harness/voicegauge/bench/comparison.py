"""Compares a run with a baseline, or the targets of one run, and decides for each metric whether it has regressed.

A metric has regressed if it became worse by enough to matter *and* by more than chance explains.
Many metrics are tested at once, so the p-values are corrected (Holm 1979): `alpha` is the
probability that any metric of any target is falsely called a regression. Intervals are computed
at the level at which Holm's procedure tested their metric, so that an interval excludes 0 exactly
if the change is significant. Parts of the latency are a family of their own with a fifth of `alpha`:
they say what a slowdown consists of, and must not make it harder to find. Voices and their steadiness are another
family, with a twentieth.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from voicegauge.bench._comparable_runs import (
    check_comparable,
    check_has_samples,
    check_no_run_is_repeated,
    find_comparable_score_sets,
    find_reason_not_to_compare_audio,
    find_reason_not_to_compare_ratings,
    find_reason_not_to_compare_voices,
    have_one_voice_sample,
)
from voicegauge.bench._target_comparison import (
    STEADINESS_METRICS,
    UNITS_BETTER_IF_HIGHER,
    VOICE_MEASURES,
    ComparedMetric,
    ComparedTarget,
    MetricId,
    VariationEstimator,
    estimate_metric_changes,
)
from voicegauge.bench.comparison_result import (
    METRICS_THAT_EXPLAIN_TOTAL_LATENCY,
    ChangeThreshold,
    ChangeVerdict,
    ComparedRun,
    CompareSettings,
    MetricComparison,
    RunComparison,
)
from voicegauge.bench.part_summaries import count_texts_from_other_places, list_places
from voicegauge.bench.target_samples import group_target_samples
from voicegauge.errors import DataError
from voicegauge.model.run import Run, ScoreSet, describe_rehearsal


def compute_holm_levels(p_values: Sequence[float | None], alpha: float) -> list[float]:
    """Return the one-sided significance level at which Holm's procedure tests each two-sided p-value.

    The smallest of m p-values is tested at alpha / m, the next at alpha / (m - 1), and so on. All p-values after the
    first one that is not significant are tested at the level of that one.
    """
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    levels, level = [alpha] * len(p_values), alpha
    is_rejecting = True
    for rank, (p_value, index) in enumerate(tested):
        if is_rejecting:
            level = alpha / (len(tested) - rank)
            is_rejecting = p_value / 2 < level
        levels[index] = level
    return levels


def compute_discovery_levels(p_values: Sequence[float | None], alpha: float) -> list[float]:
    """Return the significance level of each test by the procedure of Benjamini and Hochberg (1995).

    A change is found if half its two-sided p-value is below its level, which is the same for all. Of the changes found
    in each direction, a share of at most `alpha` is false on average.
    """
    tested = sorted(p for p in p_values if p is not None)
    found = [rank for rank, p in enumerate(tested, 1) if p / 2 < rank * alpha / len(tested)]
    return [alpha * max(found, default=1) / max(len(tested), 1)] * len(p_values)


VOICE_METRICS: tuple[MetricId, ...] = (*VOICE_MEASURES, "voice_similarity", *STEADINESS_METRICS)
"""Metrics of the voice of a target, and of how little its deliveries of one text differ."""
ALPHA_SHARE_OF_PARTS, ALPHA_SHARE_OF_VOICES = 0.2, 0.05
"""Shares of `alpha` for the family of voices, and of the rest for that of the parts of the latency. The share of voices
is small, because another voice differs by far more than chance does."""


def compute_family_levels(
    metrics: Sequence[MetricId], p_values: Sequence[float | None], alpha: float
) -> tuple[list[float], list[float]]:
    """Return two significance levels for each p-value: that of Holm's procedure in its family, and the strictest one.

    The strictest level of a family is the one at which the procedure tests the smallest p-value.
    """
    families: dict[str, list[int]] = {}
    for index, metric in enumerate(metrics):
        family = (
            "parts" if metric in METRICS_THAT_EXPLAIN_TOTAL_LATENCY else "voices" if metric in VOICE_METRICS else "main"
        )
        families.setdefault(family, []).append(index)
    levels, strictest = [alpha] * len(metrics), [alpha] * len(metrics)
    for family, members in families.items():
        own_alpha = alpha * _compute_share_of_family(family, families)
        tested_count = sum(p_values[index] is not None for index in members)
        own_levels = compute_holm_levels([p_values[index] for index in members], own_alpha)
        for index, level in zip(members, own_levels, strict=True):
            levels[index], strictest[index] = level, own_alpha / max(tested_count, 1)
    return levels, strictest


def _compute_share_of_family(family: str, families: Collection[str]) -> float:
    """Return the share of `alpha` of a family, beside the other families of a comparison."""
    of_voices = ALPHA_SHARE_OF_VOICES if "voices" in families else 0.0
    if len(families) == 1:
        return 1.0
    if family == "voices":
        return of_voices
    has_both = "main" in families and "parts" in families
    own = {"main": 1 - ALPHA_SHARE_OF_PARTS, "parts": ALPHA_SHARE_OF_PARTS}[family] if has_both else 1.0
    return (1 - of_voices) * own


def decide_verdict(
    change: float,
    interval: tuple[float, float] | None,
    threshold: ChangeThreshold,
    *,
    is_worse_either_way: bool = False,
) -> ChangeVerdict:
    """Return the verdict on a change.

    Args:
        change: the estimated change.
        interval: lower and upper end of its confidence interval; `None` if there are too few data.
        threshold: the smallest changes that matter.
        is_worse_either_way: whether a fall is a regression too, as of the pitch of a voice.
    """
    if interval is None:
        return "underpowered"
    low, high = interval
    if is_worse_either_way:
        if abs(change) >= threshold.min_change and (low > 0 or high < 0):
            return "regression"
        return "no evidence" if max(-low, high) < threshold.required_detectable_change else "underpowered"
    if change >= threshold.min_change and low > 0:
        return "regression"
    if change <= -threshold.min_change and high < 0:
        return "improvement"
    return "no evidence" if high < threshold.required_detectable_change else "underpowered"


# Compares a run with a baseline, or the targets of one run, and judges the change of each metric.


def compare_runs(baseline: Run | Sequence[Run], run: Run, settings: CompareSettings | None = None) -> RunComparison:
    """Compare `run` with a baseline.

    Args:
        baseline: one run or several. Several runs, such as those of several nights, show how much the metrics differ
            without a change.
        run: the new run.
        settings: statistical settings.

    Raises:
        DataError: the runs are not comparable: they differ in suite, provenance, ASR engine, normalizer
            or load, have no target or no text in common, or a run is given twice.
    """
    settings = settings or CompareSettings()
    baselines = sorted([baseline] if isinstance(baseline, Run) else baseline, key=lambda one: one.manifest.created_at)
    check_no_run_is_repeated([*baselines, run])
    for one in baselines:
        check_comparable(one, run)
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
    return _build_comparison(
        baselines,
        run,
        targets,
        settings,
        scores=scores[-1] if scores else None,
        listening_note=listening_note,
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
        settings: statistical settings; `assumed_variation` is not used.

    Raises:
        DataError: the run has no such target, no other target, or no sample.
    """
    settings = settings or CompareSettings()
    refs = {target.id: target for target in run.manifest.targets}
    if baseline_target not in refs:
        raise DataError(f"the run {run.manifest.run_id} has no target {baseline_target!r}; it has {', '.join(refs)}")
    if len(refs) == 1:
        raise DataError(f"the run {run.manifest.run_id} has no other target to compare with {baseline_target}")
    check_has_samples(run)
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
    return _build_comparison(
        [run],
        run,
        targets,
        settings,
        scores=scores,
        listening_note=find_reason_not_to_compare_audio([run]),
        quality_note="",
        voice_note="",
        targets_only_in_baseline=(),
        targets_only_in_run=(),
    )


def _build_comparison(
    baselines: Sequence[Run],
    run: Run,
    targets: Sequence[ComparedTarget],
    settings: CompareSettings,
    *,
    scores: ScoreSet | None,
    listening_note: str,
    quality_note: str,
    voice_note: str,
    targets_only_in_baseline: tuple[str, ...],
    targets_only_in_run: tuple[str, ...],
) -> RunComparison:
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
        quality_note=quality_note,
        voice_note=voice_note,
        clips_left_out=tuple(
            filter(None, (target.describe_clips_left_out() for target in targets if run.manifest.kind == "speech"))
        ),
        metrics=tuple(_compare_metrics(targets, settings)),
        targets_only_in_baseline=targets_only_in_baseline,
        targets_only_in_run=targets_only_in_run,
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
        levels = compute_discovery_levels(p_values, settings.alpha)
        first_levels = [settings.alpha / max(sum(p_value is not None for p_value in p_values), 1)] * len(levels)
    else:
        levels, first_levels = compute_family_levels([metric.id for _, metric in changed], p_values, settings.alpha)
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
    detectable = change.compute_detectable_change(strictest_significance_level, threshold.min_change)
    shown: tuple[float | None, float | None] = (None, None)
    if interval is not None:
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
