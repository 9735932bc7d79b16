"""Compares the runs of a report in sentences and table rows, and renders runs as Markdown."""

from __future__ import annotations

import math
import re
import statistics
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.comparison_result import ChangeVerdict, MetricComparison, RunComparison
from voicegauge.bench.speech_summaries import describe_readings, describe_sockets
from voicegauge.bench.target_summaries import describe_disturbed_samples
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_steadiness, describe_voice
from voicegauge.errors import DataError
from voicegauge.files import MARKDOWN_MARK
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import describe_unresolved_requests
from voicegauge.model.price import explain_price_remarks
from voicegauge.model.ramp import format_load_number
from voicegauge.model.run import Run, RunKind, describe_rehearsal, describe_timing_error
from voicegauge.printable_text import escape_unprintable, format_count, format_names
from voicegauge.report._result_tables import TableCell, build_comparison_columns, build_comparison_rows
from voicegauge.report.report_data import AnalyzedRuns, BenchReport, RunReport, list_differing_facts_of_runs
from voicegauge.report.text_format import (
    format_change,
    format_change_interval,
    format_ms,
    format_percent,
    format_usd,
    format_value,
    join_words,
    shorten_to_one_line,
)

# Collects facts about the runs of a report as table rows.


class RunFact(NamedTuple):
    """One row of a table: a name, and a value for each run, which is empty if the fact does not apply to the run."""

    name: str
    """What the fact is about, such as "Suite"; heading of the row."""
    run_values: tuple[str, ...]


_NOTE_BY_RUN_KIND: dict[RunKind, str] = {
    "speech": "",
    "transcription": "speech to text: the texts of the suite were synthesized with espeak-ng and uploaded; "
    "WER is of each target's own transcript",
    "conversion": "audio conversion: the texts of the suite were synthesized with espeak-ng and uploaded; "
    "WER is of the transcript of the converted audio",
}
"""What was measured, by kind of run; empty for speech, which needs no note."""


def list_main_facts(report: BenchReport) -> tuple[RunFact, ...]:
    """Return the facts about what was run and how it was scored."""
    value_getters: dict[str, Callable[[RunReport], str]] = {
        "Provenance": lambda r: (
            "live service" if r.manifest.provenance is Provenance.LIVE else r.manifest.provenance.upper()
        ),
        "Run": lambda r: r.manifest.run_id,
        "Started": lambda r: r.manifest.created_at,
        "Finished": lambda r: "yes" if r.manifest.is_finished else "no: interrupted; the samples so far are shown",
        "Measured": lambda r: _NOTE_BY_RUN_KIND[r.manifest.kind],
        "Suite": lambda r: (
            f"{r.manifest.suite.id}, version {r.manifest.suite.version}, "
            f"{format_count(r.manifest.suite.text_count, 'text')}"
        ),
        "Targets": lambda r: str(len(r.manifest.targets)),
        "Requests": lambda r: f"{sum(t.sample_count for t in r.targets):,}",
        "Sessions": lambda r: str(r.manifest.sessions),
        "Repetitions": _format_repetitions,
        "Concurrency": lambda r: "" if r.ramp or r.manifest.requests_per_s is not None else str(r.manifest.concurrency),
        "Ramp": lambda r: f"{r.ramp.load_type}, in {format_count(len(r.ramp.steps), 'step')}" if r.ramp else "",
        "Rate": lambda r: (
            ""
            if r.manifest.requests_per_s is None
            else f"{r.manifest.requests_per_s:g} requests/s to each target, {r.manifest.arrival_process} arrivals"
        ),
        "Text over WebSockets": lambda r: r.manifest.text_pacing.describe() if r.manifest.text_pacing else "",
        "HTTP": lambda r: "HTTP/2 with servers that support it" if r.manifest.uses_http2 else "HTTP/1.1",
        "Error of times": _format_timing_error,
        "Seed": lambda r: str(r.manifest.seed),
        "ASR engine": _format_asr,
        "Reason for this engine": lambda r: r.scoring.asr_reason if r.scoring else "",
        "Vocabulary": _describe_vocabulary,
        "Engine settings": lambda r: ", ".join(f"{k} {v}" for k, v in r.scoring.settings.items()) if r.scoring else "",
        "Normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
        "Listening": lambda r: r.listening_method or "",
        "Not scored": _format_unscored_languages,
        "Scored earlier by": lambda r: ", ".join(r.earlier_asr_engines),
        "Injected faults": lambda r: ", ".join(r.manifest.fault_ids),
        "Region": lambda r: r.manifest.region or "",
        "Places": lambda r: ", ".join(dict.fromkeys(one.place for one in r.places)),
        "Base URLs": lambda r: ", ".join(f"{k}: {v}" for k, v in r.manifest.base_urls.items()),
        "Spent": _format_spending,
    }
    return tuple(RunFact(name, tuple(value(run) for run in report.runs)) for name, value in value_getters.items())


def list_environment_facts(report: BenchReport) -> tuple[RunFact, ...]:
    """Return the facts about where the runs were measured, and digests that show whether two runs are comparable."""
    manifests = [run.manifest for run in report.runs]
    names = dict.fromkeys(name for manifest in manifests for name in manifest.environment)
    return (
        RunFact("voicegauge", tuple(one.voicegauge_version for one in manifests)),
        *(RunFact(name, tuple(one.environment.get(name, "") for one in manifests)) for name in names),
        RunFact("Suite, SHA-256", tuple(one.suite.sha256 for one in manifests)),
        RunFact("Plan, SHA-256", tuple(one.plan_sha256 for one in manifests)),
    )


def list_incomparable_facts(report: BenchReport) -> tuple[str, ...]:
    """Return the names of facts that influence error rates and differ between the runs.

    The result is empty if the error rates of the runs can be compared.
    """
    value_getters: dict[str, Callable[[RunReport], str]] = {
        "kind of target": lambda r: r.manifest.kind,
        "suite": lambda r: r.manifest.suite.sha256,
        "ASR engine": _format_asr,
        "normalizer": lambda r: r.scoring.normalizer if r.scoring else "",
        "provenance": lambda r: r.manifest.provenance,
    }
    return tuple(name for name, value in value_getters.items() if len({value(run) for run in report.runs}) > 1)


def _format_timing_error(run: RunReport) -> str:
    error = run.manifest.timing_error
    busy = describe_disturbed_samples(run.targets)
    note = f"; {busy}" if busy else ""
    return f"{'not measured' if error is None else describe_timing_error(error)}{note}"


def _format_repetitions(run: RunReport) -> str:
    count = "as many as the ramp needed" if run.ramp else str(run.manifest.repetitions)
    return f"{count}, after {run.manifest.warmup_request_count} for warm-up"


def _format_asr(run: RunReport) -> str:
    return run.scoring.asr if run.scoring else "not scored"


def _describe_vocabulary(run: RunReport) -> str:
    if run.scoring is None:
        return ""
    known = run.scoring.known_words or "small-vocabulary ASR made for the bundled suites"
    return f"CLOSED: {known}" if run.scoring.has_closed_vocabulary else "open"


def _format_unscored_languages(run: RunReport) -> str:
    if run.scoring is None or not run.scoring.unsupported_languages:
        return ""
    return f"{', '.join(run.scoring.unsupported_languages)}: languages that the ASR engine does not support"


def _format_spending(run: RunReport) -> str:
    manifest = run.manifest
    if manifest.provenance is not Provenance.LIVE:
        return "nothing: emulated"
    if not manifest.spent_usd:
        return "nothing in dollars"
    limit = f" of at most {format_usd(manifest.max_cost_usd)}" if manifest.max_cost_usd is not None else ""
    return f"{format_usd(manifest.spent_usd)}{limit}"


# Compares the runs of a report with earlier ones: verdicts, differences of single texts, and differing facts.


MAX_TEXTS_SHOWN = 10
"""Number of texts with the largest differences that are shown for two runs."""
_NAME_BY_METRIC = {
    "submit_latency_ms": "submit latency",
    "ttfa_ms": "time to first audio",
    "completion_ms": "job completion",
    "total_latency_ms": "total latency",
    "total_latency_p95_ms": "95th percentile of latency",
    "wer": "word errors",
    "cer": "character errors",
    "failures": "failures",
    "wrong_audio": "wrong audio",
    "overall_rating": "predicted overall rating",
    "background_rating": "predicted rating of the background",
    "letters_per_s": "pace of the voice",
    "pitch_hz": "pitch of the voice",
    "spectral_centroid_hz": "spectrum of the voice",
    "voice_similarity": "similarity to the voice sample",
    "duration_difference": "difference of durations of one text",
    "pace_difference": "difference of paces of one text",
    "pitch_difference": "difference of pitches of one text",
    "level_difference_db": "difference of levels of one text",
    "word_difference": "difference of transcripts of one text",
    "price": "price",
    "charged": "charge",
}
"""Names of the metrics in tables and sentences."""
_DISPLAY_ORDER_OF_VERDICTS: tuple[ChangeVerdict, ...] = ("regression", "improvement", "underpowered", "no evidence")
_UNINFORMATIVE_FACT_NAMES = frozenset({"Run", "Started", "Finished", "Plan, SHA-256", "Requests"})
"""Facts that differ between any two runs, or that say nothing about their numbers."""


class MetricRow(NamedTuple):
    """One metric of one target in two runs, formatted for a table."""

    comparison: MetricComparison
    metric_name: str
    value_before: str
    """Value in the earlier run, with its unit."""
    value_after: str
    """Value in the later run, with its unit."""
    change: str
    """The change from the earlier run, with its interval, as text."""


class TextDifference(NamedTuple):
    """One text of one target, with its median total latency in both runs, in milliseconds."""

    target: str
    text: str
    """The text, shortened to one line."""
    latency_before_ms: float
    latency_after_ms: float

    @property
    def change(self) -> str:
        """The relative change of the latency, such as "+12%"."""
        return f"{(self.latency_after_ms / self.latency_before_ms - 1) * 100:+.0f}%"


class RunDifference(NamedTuple):
    """The differences of one run from an earlier run of the report."""

    run_letter: str
    baseline_letter: str
    """The letter of the earlier run."""
    rehearsal_mark: str
    """The mark of a rehearsal among the two runs, such as "EMULATED"; empty if both are of services themselves."""
    headline: str
    """The changes in one sentence; or the reason why the runs are not comparable."""
    metric_rows: tuple[MetricRow, ...]
    """Metrics with a verdict other than "no evidence" first."""
    text_differences: tuple[TextDifference, ...]
    """The texts with the largest relative differences in latency."""


def choose_run_letters(run_count: int) -> list[str]:
    """Return a letter from A to Z for the first 26 runs of a report, and a number for later runs."""
    return [chr(ord("A") + index) if index < 26 else str(index + 1) for index in range(run_count)]


def compare_with_earlier_run(runs: Sequence[Run], run_letters: Sequence[str]) -> tuple[RunDifference, ...]:
    """Return the differences of each run, except the first, from an earlier one.

    That is the first earlier run with a target of the same id, both or neither of them a rehearsal, so that live runs
    are compared with each other whatever stands before them; if there is none, it is the first run of all.

    Args:
        runs: the runs of a report.
        run_letters: the letter of each run, in the same order.
    """
    return tuple(_compare_with_baseline(runs, run_letters, number) for number in range(1, len(runs)))


def _is_comparable_with(run: Run, other: Run) -> bool:
    """Whether two runs share a target, and are both rehearsals of the same kind or both none."""
    has_same_mark = run.manifest.rehearsal_mark == other.manifest.rehearsal_mark
    return has_same_mark and bool(_list_target_ids(run) & _list_target_ids(other))


def _list_target_ids(run: Run) -> set[str]:
    return {target.id for target in run.manifest.targets}


def list_differing_facts(report: BenchReport) -> tuple[RunFact, ...]:
    """Return the facts that differ between the runs and may explain why their numbers differ."""
    facts = (*list_main_facts(report), *list_environment_facts(report))
    return tuple(fact for fact in facts if fact.name not in _UNINFORMATIVE_FACT_NAMES and len(set(fact.run_values)) > 1)


def _compare_with_baseline(runs: Sequence[Run], run_letters: Sequence[str], run_number: int) -> RunDifference:
    """Return the differences of the run `run_number`, counted from 0, from the earlier one that it is compared with."""
    run = runs[run_number]
    baseline_number = next((i for i, other in enumerate(runs[:run_number]) if _is_comparable_with(run, other)), 0)
    baseline = runs[baseline_number]
    letters = (run_letters[run_number], run_letters[baseline_number])
    marks = dict.fromkeys(one.manifest.rehearsal_mark for one in (baseline, run) if one.manifest.is_rehearsal)

    def build_difference(headline: str) -> RunDifference:
        return RunDifference(*letters, " and ".join(marks), headline, (), ())

    # Runs without a common target have nothing to compare; what keeps them from being joined says why.
    has_shared_target = bool(_list_target_ids(run) & _list_target_ids(baseline))
    if not has_shared_target and (facts := list_differing_facts_of_runs([baseline, run])):
        pair = _name_compared_runs(run, baseline, letters)
        return build_difference(f"{pair} are not ranked together: they differ in {join_words(facts)}.")
    try:
        comparison = compare_runs(baseline, run)
    except DataError as error:
        # The rest of the report does not depend on the comparison.
        return build_difference(f"{_name_compared_runs(run, baseline, letters)}: {error}.")
    ordered = sorted(comparison.metrics, key=lambda metric: _DISPLAY_ORDER_OF_VERDICTS.index(metric.verdict))
    return build_difference(_describe_comparison(comparison, letters[1], letters[0]))._replace(
        metric_rows=tuple(_build_metric_row(metric) for metric in ordered),
        text_differences=_find_texts_with_largest_latency_change(baseline, run),
    )


def _name_compared_runs(run: Run, baseline: Run, run_letters: tuple[str, str]) -> str:
    """Return the names of two runs as the beginning of a sentence: "EMULATED: Run B and run A".

    If only one of them is a rehearsal, the label stands beside it: "Run B and run A (EMULATED)".
    """
    marks = [one.manifest.rehearsal_mark for one in (run, baseline)]
    if marks[0] == marks[1]:
        label = describe_rehearsal([run.manifest, baseline.manifest])
        return f"{f'{label}: ' if label else ''}Run {run_letters[0]} and run {run_letters[1]}"
    names = [f"{letter} ({mark})" if mark else letter for letter, mark in zip(run_letters, marks, strict=True)]
    return f"Run {names[0]} and run {names[1]}"


def _describe_comparison(comparison: RunComparison, baseline_letter: str, run_letter: str) -> str:
    groups_by_verdict = [comparison.group_metrics_by_cause(verdict) for verdict in ("regression", "improvement")]
    lead = f"Run {run_letter} against run {baseline_letter}"
    lead = f"{comparison.rehearsal_label}: {lead}" if comparison.rehearsal_label else lead
    runs, warning = (comparison.baseline[0], comparison.run), ""
    for noun, (before, after) in (
        ("region", [one.region or "no named region" for one in runs]),
        ("place", [", ".join(one.places) or "no named place" for one in runs]),
    ):
        if before != after:
            warning += f" They were measured from different {noun}s: {before} and {after}."
    if moved := comparison.describe_texts_from_other_places():
        warning += f" {moved}."
    if overlap := comparison.describe_text_overlap():
        warning += f" They have {overlap}."
    unjudged = sum(metric.verdict == "underpowered" for metric in comparison.metrics)
    if unjudged:
        warning = f" {unjudged} of {format_count(len(comparison.metrics), 'metric')} could not be judged.{warning}"
    if not any(groups_by_verdict):
        return f"{lead}: {_describe_unjudged_latencies(comparison) or 'no clear change'}.{warning}"

    def is_without_total_latency(group: Sequence[MetricComparison]) -> bool:
        return group[0].metric != "total_latency_ms"

    # At most three changes of each verdict: the table below has all of them.
    shown = [group for groups in groups_by_verdict for group in sorted(groups, key=is_without_total_latency)[:3]]
    # Total latencies first, whether they are regressions or improvements.
    parts = [_describe_change(*group) for group in sorted(shown, key=is_without_total_latency)]
    more = sum(len(groups) - 3 for groups in groups_by_verdict if len(groups) > 3)
    if more:
        parts.append(f"and {format_count(more, 'more change')}")
    return f"{lead}: {'; '.join(parts)}.{warning}"


def _describe_unjudged_latencies(comparison: RunComparison) -> str:
    """Return the changes of total latencies that cannot be judged; empty for none."""
    unjudged = [one for one in comparison.metrics if one.metric == "total_latency_ms" and one.verdict == "underpowered"]
    if not unjudged:
        return ""
    changes = [f"{one.target} ({_format_change_with_interval(one)})" for one in unjudged]
    return f"the change of the total latency cannot be judged: {format_names(changes, 3)}"


def _describe_change(metric: MetricComparison, *parts: MetricComparison) -> str:
    direction = "worse" if metric.verdict == "regression" else "better"
    of_parts = f", with {join_words([_NAME_BY_METRIC[part.metric] for part in parts])}" if parts else ""
    change = f"{_NAME_BY_METRIC[metric.metric]} ({_format_change_with_interval(metric)})"
    return f"{metric.target} {direction} in {change}{of_parts}"


def _build_metric_row(metric: MetricComparison) -> MetricRow:
    return MetricRow(
        metric,
        _NAME_BY_METRIC[metric.metric],
        format_value(metric.unit, metric.baseline_value),
        format_value(metric.unit, metric.run_value),
        _format_change_with_interval(metric),
    )


def _format_change_with_interval(metric: MetricComparison) -> str:
    """Return the change with its confidence interval: "+5.2%, +2.1% to +9.8%"."""
    interval = format_change_interval(metric)
    return ", ".join(filter(None, (format_change(metric.unit, metric.change), interval)))


def _find_texts_with_largest_latency_change(baseline: Run, run: Run) -> tuple[TextDifference, ...]:
    before, after = _compute_latency_by_target_and_text(baseline), _compute_latency_by_target_and_text(run)
    texts = {sample.text_id: sample.text for sample in run.samples}
    differences = [
        TextDifference(target, shorten_to_one_line(texts[text], 80), before[target, text], after[target, text])
        for target, text in before.keys() & after.keys()
        if before[target, text] > 0 and after[target, text] > 0
    ]
    # By the logarithm: half and twice the latency are changes of the same size.
    differences.sort(
        key=lambda text: (-abs(math.log(text.latency_after_ms / text.latency_before_ms)), text.target, text.text)
    )
    return tuple(differences[:MAX_TEXTS_SHOWN])


def _compute_latency_by_target_and_text(run: Run) -> dict[tuple[str, str], float]:
    """Return the median total latency in ms, by target and text."""
    times: dict[tuple[str, str], list[float]] = defaultdict(list)
    for sample in run.select_counted_samples():
        latency = sample.latency
        if sample.failure is None and latency and latency.total_latency_ms is not None:
            times[sample.target, sample.text_id].append(latency.total_latency_ms)
    return {key: statistics.median(values) for key, values in times.items()}


# Renders runs as Markdown for a pull request.


def render_markdown(analyzed_runs: AnalyzedRuns) -> str:
    """Render each run as a table of its targets, preceded by its suite, date and ASR engine.

    Of several runs, the differences of each from an earlier one are stated before the tables.
    """
    report = analyzed_runs.report
    tables = [line for run in report.runs for line in _format_run_as_markdown(run, report)]
    return "\n".join([*_format_run_differences([run for _, run in analyzed_runs.runs]), *tables])


def _format_run_differences(runs: Sequence[Run]) -> list[str]:
    """Return a Markdown list of the differences between runs, which are named A, B and so on; empty for one run."""
    if len(runs) == 1:
        return []
    names = choose_run_letters(len(runs))
    lettered = ", ".join(
        f"{name}: {run.manifest.run_id}{f' ({mark})' if (mark := run.manifest.rehearsal_mark) else ''}"
        for name, run in zip(names, runs, strict=True)
    )
    differences = compare_with_earlier_run(runs, names)
    return [_escape_markdown(lettered), "", *(f"- {_escape_markdown(one.headline)}" for one in differences), ""]


def _format_run_as_markdown(run: RunReport, report: BenchReport) -> list[str]:
    columns = build_comparison_columns(run.targets, report.text_length, report.characters_per_month)
    clarifying_groups = {"Errors", "Total latency", "Price"}
    heads = [
        run.manifest.mark_heading("Target"),
        # Markdown has no spanning heads: "p50" or "Request" would not be clear without the group.
        *(
            " ".join(filter(None, (c.group_heading if c.group_heading in clarifying_groups else "", c.heading, c.unit)))
            for c in columns
        ),
    ]
    rows = [
        [_escape_markdown(row.summary.target), *(_format_cell(cell) for cell in row.cells)]
        for row in build_comparison_rows(run.targets, columns, is_rehearsal=run.manifest.is_rehearsal)
    ]
    return [
        f"### {_mark_rehearsal(run, f'voicegauge {run.manifest.suite.id}, {run.manifest.created_at}')}",
        "",
        MARKDOWN_MARK.decode(),
        "",
        f"**{_escape_markdown(run.verdict.headline)}**",
        "",
        *(f"- {_escape_markdown(statement.detail)}" for statement in run.verdict.statements),
        *(f"- {_escape_markdown(caution)}" for caution in run.verdict.cautions),
        "",
        _escape_markdown(_format_scoring_method(run)),
        "",
        *_format_table(heads, rows, text_columns={0}),
        *_format_audio_sentences(run),
        *_format_price_notes(run, report.characters_per_month),
        *_format_ramp(run),
        *_format_places(run),
        *_format_unresolved_requests(run),
    ]


def _format_audio_sentences(run: RunReport) -> list[str]:
    """Return a Markdown list of what the page says about entities, audio, voice and turns of each target."""
    lines = []
    for one in run.targets:
        sentences = [
            describe_readings(one.readings, run.scoring.asr)
            if one.readings is not None and one.readings.entity_count and run.scoring is not None
            else "",
            describe_predicted_quality(one.predicted_quality) if one.predicted_quality is not None else "",
            describe_voice(one.voice) if one.voice is not None else "",
            describe_steadiness(one.steadiness) if one.steadiness is not None else "",
            *(describe_sockets(one.socket) if one.socket is not None else ()),
        ]
        lines += [f"- {_escape_markdown(f'{one.target}: {text}')}" for text in sentences if text]
    if not lines:
        return []
    label = run.manifest.rehearsal_label
    return [f"Audio{f' ({_escape_markdown(label)})' if label else ''}:", "", *lines, ""]


def _format_price_notes(run: RunReport, characters_per_month: int) -> list[str]:
    """Return Markdown paragraphs that explain the remarks beside prices; empty if no price has a remark."""
    notes = []
    for note in explain_price_remarks([target.cost.comparison_price for target in run.targets]):
        notes += [f"{_escape_markdown(note)}.", ""]
    for target in run.targets:
        for quota in target.cost.free_quotas:
            notes += [f"Free quota of {_escape_markdown(target.target)}: {_escape_markdown(quota)}.", ""]
    if any(target.cost.has_account_plans for target in run.targets):
        plans = f"with the cheapest account plan for {characters_per_month:,} characters per month"
        naming_clause = ", which is named" if any(target.cost.account_plan_name for target in run.targets) else ""
        per_request = "one request is priced without a plan"
        notes += [f"Prices per 1M characters and per month are {plans}{naming_clause}; {per_request}.", ""]
    return notes


def _format_ramp(run: RunReport) -> list[str]:
    """Return the result of a ramp in a sentence, and its steps as a Markdown table; empty without a ramp."""
    if run.ramp is None:
        return []
    heads = [run.ramp.load_unit, "Requests", "Success", "TTFA p95 ms", "Total p95 ms", "Goodput/s", "Goal"]
    rows = [
        [
            format_load_number(step.load),
            str(step.request_count),
            f"{format_percent(step.success_rate)}%",
            format_ms(step.ttfa_p95_ms),
            format_ms(step.total_latency_p95_ms),
            f"{step.goodput_per_s:.3g}",
            step.verdict,
        ]
        for step in run.ramp.steps
    ]
    table = _format_table(heads, rows, text_columns={len(heads) - 1}) if rows else []
    return [_mark_rehearsal(run, f"Ramp: {run.ramp.describe()}"), "", *table]


def _format_places(run: RunReport) -> list[str]:
    """Return the times by place as a Markdown table; empty if one machine sent all requests."""
    if not run.places:
        return []
    target_head = run.manifest.mark_heading("Target")
    heads = ["Place", target_head, "Delivered", "TTFA ms", "TTFS ms", "Total ms", "Total p95 ms"]
    rows = [
        [
            _escape_markdown(one.place),
            _escape_markdown(one.target),
            one.describe_deliveries(" of "),
            *(
                format_ms(None if estimate is None else estimate.value)
                for estimate in (one.ttfa_ms, one.ttfs_ms, one.total_latency_ms, one.total_latency_p95_ms)
            ),
        ]
        for one in run.places
    ]
    return [_mark_rehearsal(run, "By place (medians):"), "", *_format_table(heads, rows, text_columns={0, 1})]


def _format_unresolved_requests(run: RunReport) -> list[str]:
    """Return a Markdown list of the requests that were paid for without a result; empty if there are none."""
    lines = describe_unresolved_requests(
        run.ambiguous_requests, run.open_jobs, is_emulated=run.manifest.provenance is not Provenance.LIVE
    )
    return [*(f"- {_escape_markdown(line)}" for line in lines), ""] if lines else []


def _mark_rehearsal(run: RunReport, text: str) -> str:
    """Escape a text for Markdown, with the label of a rehearsal before it if the run is one."""
    label = run.manifest.rehearsal_label
    return _escape_markdown(f"{label}: {text}" if label else text)


def _format_scoring_method(run: RunReport) -> str:
    if run.scoring is None or not run.scoring.normalizer:  # without a normalizer, no language was scored
        return "Not scored."
    vocabulary = run.scoring.known_words or "made for the bundled suites"
    closed = f" (closed vocabulary: {vocabulary})" if run.scoring.has_closed_vocabulary else ""
    uneven = " The targets were not measured in the same languages." if run.has_uneven_languages else ""
    return f"ASR engine {run.scoring.asr}{closed}, normalizer {run.scoring.normalizer}; 95% intervals.{uneven}"


def _format_cell(cell: TableCell) -> str:
    remarks = ", ".join(filter(None, (_escape_markdown(cell.account_plan), cell.second_line)))
    text = f"{cell.text} ({remarks})" if remarks else cell.text
    if remarks and cell.text.startswith("("):  # a price that cannot be compared is in parentheses with its remark
        text = f"{cell.text[:-1]}, {remarks})"
    return text.replace("$", r"\$")  # GitHub renders text between two dollar signs as math


def _format_table(headings: Sequence[str], rows: Sequence[Sequence[str]], text_columns: Collection[int]) -> list[str]:
    """Return the lines of a Markdown table and an empty one; columns other than `text_columns` are right-aligned."""
    alignments = ["---" if index in text_columns else "---:" for index in range(len(headings))]
    return [*(f"| {' | '.join(cells)} |" for cells in (headings, alignments, *rows)), ""]


def _escape_markdown(text: str) -> str:
    """Escape `text` so that it renders as plain words, without HTML, links, mentions, code or table borders."""
    line = " ".join(escape_unprintable(text).split())
    return re.sub(r"[\\`*_\[\]<>#|~@&]", lambda match: f"&#{ord(match[0])};", line).replace("$", r"\$")
