"""Builds the verdict of a run from the statements on speed, intelligibility, price and reliability."""

from __future__ import annotations

from voicegauge.bench.analysis import describe_disturbed_samples
from voicegauge.report.verdict.intelligibility import build_intelligibility_statement
from voicegauge.report.verdict.price import build_price_statement
from voicegauge.report.verdict.reliability import build_reliability_statement, describe_total_failure
from voicegauge.report.verdict.speed import build_speed_statement
from voicegauge.report.verdict.statements import MeasuredRun, RunVerdict, VerdictStatement


def build_run_verdict(run: MeasuredRun) -> RunVerdict:
    """Return the verdict of `run`: sentences about its numbers, each with the uncertainty of the numbers."""
    if not run.targets_with_deliveries:
        return RunVerdict(
            headline=describe_total_failure(run),
            statements=(build_reliability_statement(run),),
            cautions=_list_cautions(run),
        )
    found = (
        build_speed_statement(run),
        build_intelligibility_statement(run),
        build_price_statement(run),
        build_reliability_statement(run),
    )
    statements = tuple(statement for statement in found if statement)
    return RunVerdict(headline=join_headline(statements), statements=statements, cautions=_list_cautions(run))


def join_headline(statements: tuple[VerdictStatement, ...]) -> str:
    """Join the summaries of `statements` into one sentence."""
    return "; ".join(statement.summary for statement in statements if statement.summary) + "."


def _list_cautions(run: MeasuredRun) -> tuple[str, ...]:
    cautions = []
    if run.targets_with_deliveries and run.scores and run.scores.has_closed_vocabulary:
        known = run.scores.known_words or "unusable on your own texts"
        cautions.append(
            f"Closed vocabulary: a small ASR made for the bundled suites counted the errors; {known}. "
            "Compare its error rates with each other, not with published ones."
        )
    if run.targets_with_deliveries and (busy := describe_disturbed_samples(run.targets)):
        cautions.append(f"Busy machine: {busy}.")
    if run.ramp_samples_note:
        cautions.append(f"Ramp: {run.ramp_samples_note}.")
    if run.manifest.early_stop is not None:
        cautions.append(
            f"Early stop: {run.manifest.early_stop.describe()}. The 95% intervals of a run that stopped early do not "
            "allow for that."
        )
    if not run.manifest.is_finished:
        cautions.append(
            "Interrupted: the run is not complete, because it was stopped or a job is still open. "
            "The samples so far are shown."
        )
    if run.scores and run.scores.unsupported_languages:
        cautions.append(
            f"Not scored: {', '.join(run.scores.unsupported_languages)}. "
            "The ASR engine does not support these languages."
        )
    return tuple(cautions)
