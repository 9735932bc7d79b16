"""States whether the targets differ in recognition errors, and whether the ASR engine is accurate enough to show it."""

from __future__ import annotations

from typing import Literal, NamedTuple

from voicegauge.bench.analysis import ErrorRate, TargetSummary
from voicegauge.report.verdict.phrases import (
    format_error_rate,
    format_percentage_points,
    format_target_names,
)
from voicegauge.report.verdict.statements import MeasuredRun, VerdictStatement


class _RatedTarget(NamedTuple):
    summary: TargetSummary
    error_rate: ErrorRate


def build_intelligibility_statement(run: MeasuredRun) -> VerdictStatement | None:
    """Return what the verdict says about error rates; `None` if nothing was delivered that could be scored."""
    if not run.targets_with_deliveries:
        return None
    rated_targets = _select_rated_targets(run)
    if not rated_targets:
        return _build_statement(
            "errors were not counted", "No ASR engine transcribed the audio: `voicegauge score` does."
        )
    if run.has_uneven_languages:
        return _build_statement(
            f"{_choose_quality_word(run)} not comparable",
            "The targets were not measured in the same languages, so not with the same texts.",
        )
    best, worst = rated_targets[0], rated_targets[-1]
    rate_name, rate_text = _format_rate_name(best.error_rate), format_error_rate(best.error_rate.corpus_rate)
    rates_text = f"{rate_name} of {best.summary.target}: {rate_text}"
    if best is worst:
        return _build_statement(
            f"{_format_rate_name(best.error_rate).lower()} {format_error_rate(best.error_rate.corpus_rate)}",
            f"{rates_text}.",
        )
    rates_text += f"; of {worst.summary.target}: {format_error_rate(worst.error_rate.corpus_rate)}"
    if not run.resamples.has_enough_texts:
        return _build_statement(
            f"too few texts to compare {_choose_quality_word(run)}",
            f"{rates_text}. Differences have an interval from 5 texts on.",
        )
    return _compare_targets(run, rated_targets, rates_text)


def _compare_targets(run: MeasuredRun, rated_targets: list[_RatedTarget], rates_text: str) -> VerdictStatement:
    best, worst = rated_targets[0], rated_targets[-1]
    difference = run.resamples.estimate_error_rate_difference(
        run.find_resample_column(worst.summary), run.find_resample_column(best.summary)
    )
    interval = f" The difference is {format_percentage_points(difference)}." if difference else ""
    if difference and round(difference.low, 3) == 0 == round(difference.high, 3):
        interval = " There is no difference."
    doubt = describe_insufficient_asr_accuracy(run)
    equal = [one.summary.target for one in rated_targets if one.summary.is_among_most_intelligible]
    if len(equal) == len(rated_targets):
        return _build_statement(
            f"no clear difference in {_choose_quality_word(run)}",
            " ".join(filter(None, (f"{rates_text}.{interval}", doubt))),
        )
    verb = "makes" if len(equal) == 1 else "make"
    claim = f"{format_target_names(equal, best.summary.target)} {verb} the fewest errors"
    if doubt:
        claim += ", by less than the ASR's own error"
    return _build_statement(claim, " ".join(filter(None, (f"{rates_text}.{interval}", doubt))))


def has_errors_within_asr_floor(run: MeasuredRun) -> bool:
    """Whether the ASR engine's own error rate is at least as large as every difference between targets."""
    return bool(describe_insufficient_asr_accuracy(run))


def describe_insufficient_asr_accuracy(run: MeasuredRun) -> str:
    """Return a sentence if the ASR engine's errors exceed the differences between targets; otherwise an empty text."""
    rated_targets = _select_rated_targets(run)
    floor = compute_asr_error_floor(run, rated_targets[0].error_rate.unit) if rated_targets else None
    if floor is None or len(rated_targets) < 2:
        return ""
    spread = rated_targets[-1].error_rate.corpus_rate.value - rated_targets[0].error_rate.corpus_rate.value
    if spread > floor or round(spread, 3) == 0:
        return ""
    return (
        f"The ASR engine's own error rate on clean speech of these texts is {floor * 100:.1f}%, at least as much as "
        f"the largest difference between targets ({spread * 100:.1f} percentage points): it swallows such differences."
    )


def compute_asr_error_floor(run: MeasuredRun, unit: Literal["word", "character"]) -> float | None:
    """Return the ASR engine's own error rate on reference speech; `None` if it was not measured."""
    floors = [floor for floor in run.scores.error_floors if floor.unit == unit] if run.scores else []
    units = sum(floor.reference_unit_count for floor in floors)
    return sum(floor.error_count for floor in floors) / units if units else None


def _select_rated_targets(run: MeasuredRun) -> list[_RatedTarget]:
    """Return the targets with a word error rate, or if there are none, with a character error rate; lowest first."""
    words = [_RatedTarget(target, target.wer) for target in run.targets if target.wer]
    rated_targets = words or [_RatedTarget(target, target.cer) for target in run.targets if target.cer]
    return sorted(rated_targets, key=lambda one: one.error_rate.corpus_rate.value)


def _choose_quality_word(run: MeasuredRun) -> str:
    return "accuracy" if run.manifest.kind == "transcription" else "intelligibility"


def _format_rate_name(error_rate: ErrorRate) -> str:
    return f"{error_rate.unit.capitalize()} error rate"


def _build_statement(summary: str, detail: str) -> VerdictStatement:
    return VerdictStatement(topic="intelligibility", summary=summary, detail=detail)
