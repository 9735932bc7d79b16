"""Prints the tables of `voicegauge bench`, and the summaries of `voicegauge score`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from voicegauge.bench.audio_measurement import StreamSummary
from voicegauge.bench.estimates import Estimate
from voicegauge.bench.scoring import ListeningSummary, describe_unjudged_clips
from voicegauge.bench.speech_summaries import ErrorRate, describe_sockets, list_reading_normalizers
from voicegauge.bench.target_cost import TargetCost
from voicegauge.bench.target_samples import PlaceSummary
from voicegauge.bench.target_summaries import (
    TargetSummary,
    describe_disturbed_samples,
    describe_lost_samples,
    describe_repeated_submits,
    describe_wrong_audio,
    describe_wrong_charges,
)
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_steadiness, describe_voice
from voicegauge.cli._console import (
    build_rehearsal_label,
    create_console,
    create_table,
    has_unlimited_width,
    print_budget_forecast,
    print_table,
)
from voicegauge.model.base import Provenance
from voicegauge.model.price import PriceRange, explain_price_remarks, format_price_usd
from voicegauge.model.ramp import RampResult, format_load_number
from voicegauge.model.run import Manifest, ScoreSet, describe_timing_error
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from voicegauge.bench.benchmark_plan import BenchPlanResult


_NO_VALUE_TEXT = "-"
"""Content of a cell without a value."""


def print_plan(plan: BenchPlanResult) -> None:
    """Print the number of requests and characters and the cost of each target."""
    terminal = create_console()
    rows = create_table(
        "target", "requests", "characters", "price", "cost", right_aligned_columns=("requests", "characters", "cost")
    )
    for line in plan.targets:
        cost = _format_planned_cost(line.usd, line.reserved_usd)
        rows.add_row(line.target, str(line.request_count), str(line.character_count), line.price_text, cost)
    print_table(terminal, rows)
    free = " (EMULATED: nothing is charged)" if plan.provenance is Provenance.EMULATED else ""
    requests = f"{format_count(plan.request_count, 'request')} of the suite {plan.suite.id}"
    terminal.print(f"{requests}, {_format_plan_price(plan)}{free}")
    for provider, variables in plan.missing_key_variables.items():
        names = ", ".join(line.target for line in plan.targets if line.target.startswith(f"{provider}/"))
        terminal.print(f"no key for {names}: set {' and '.join(variables)}")
    if plan.budget_forecast is not None:
        print_budget_forecast(terminal, plan.budget_forecast)


def _format_plan_price(plan: BenchPlanResult) -> str:
    unpriced = sum(line.reserved_usd is None for line in plan.targets)
    if unpriced == len(plan.targets):
        return "price not known in dollars"
    without = f", without {format_count(unpriced, 'target')} whose price is not known in dollars" if unpriced else ""
    is_foreseen = any(line.usd is not None for line in plan.targets)
    return f"{_format_planned_cost(plan.cost_usd if is_foreseen else None, plan.reserved_usd)} in all{without}"


def _format_planned_cost(usd: float | None, reserved_usd: float | None) -> str:
    """Return an expected cost as text: "$0.042", or with what it may be at most: "$0.042 (at most $0.19)".

    Args:
        usd: expected cost in dollars; `None` if it is not known.
        reserved_usd: the most that it may be in dollars; `None` if the price is not known in dollars.
    """
    if reserved_usd is None:
        return "not known in dollars"
    if usd is None:
        return f"at most {format_price_usd(reserved_usd)}"
    expected, at_most = format_price_usd(usd), format_price_usd(reserved_usd)
    return expected if at_most == expected else f"{expected} (at most {at_most})"


class _ResultColumn(NamedTuple):
    """A column of the results. A line break in a cell or heading marks where a narrow table may wrap the text."""

    heading: str
    format_cell: Callable[[TargetSummary], str]
    unwrapped_separator: str = " "
    """Text that replaces the line break in a wide table."""
    is_text: bool = False


_TOTAL_LATENCY_COLUMN = _ResultColumn("total\nms", lambda one: _format_estimate(one.total_latency_ms))
_TOTAL_LATENCY_P95_COLUMN = _ResultColumn(
    "p95\nms", lambda one: _format_estimate(one.total_latency_p95_ms, shows_interval=False)
)
_COMPLETION_TIME_COLUMN = _ResultColumn(
    "job done\nms",
    lambda one: (
        _NO_VALUE_TEXT
        if one.completion_ms is None
        else f"{one.completion_ms.low.value:.0f}..{one.completion_ms.high.value:.0f}"
    ),
)
_LISTENING_COLUMN = _ResultColumn("says its\ntext", lambda one: _format_listening(one.listening))
_PRICE_PER_MINUTE_COLUMN = _ResultColumn("cost per\nminute", lambda one: _format_price_per_minute(one.cost))
_PRICE_PER_MILLION_CHARACTERS_COLUMN = _ResultColumn(
    "$/1M\nchars",
    lambda one: (
        _format_price(one.cost.price_per_1m_characters, _ACCOUNT_PLAN_MARK if one.cost.account_plan_name else "")
        or _NO_VALUE_TEXT
    ),
)
_TARGET_COLUMN = _ResultColumn(
    "target", lambda one: one.target.replace("/", "/\n", 1), unwrapped_separator="", is_text=True
)
_PARETO_MARK_COLUMN = _ResultColumn("", lambda one: "*" if one.is_pareto_optimal else " ", is_text=True)
_ENTITIES_COLUMN = _ResultColumn(
    "numbers,\nnames",
    lambda one: (
        f"{one.readings.right_entity_count}/{one.readings.entity_count}"
        if one.readings is not None and one.readings.entity_count
        else _NO_VALUE_TEXT
    ),
)
_RESULT_COLUMNS = (
    _PARETO_MARK_COLUMN,
    _TARGET_COLUMN,
    _ResultColumn("ok", lambda one: f"{one.success_count}/{one.requested_count}"),
    _LISTENING_COLUMN,
    _TOTAL_LATENCY_COLUMN,
    _TOTAL_LATENCY_P95_COLUMN,
    _COMPLETION_TIME_COLUMN,
    _ResultColumn("RTF", lambda one: _format_estimate(one.rtf, decimals=2, shows_interval=False), ""),
    _ResultColumn("WER", lambda one: _format_error_rate(one.wer or one.cer, one.unscored_languages)),
    _ENTITIES_COLUMN,
    _ResultColumn(
        "cost per\nrequest",
        lambda one: _format_price(one.cost.price_per_request) or _format_credits(one.cost.credits_per_request),
    ),
    _PRICE_PER_MINUTE_COLUMN,
    _PRICE_PER_MILLION_CHARACTERS_COLUMN,
)
_HIDEABLE_COLUMNS = (
    _ENTITIES_COLUMN,
    _COMPLETION_TIME_COLUMN,
    _PRICE_PER_MILLION_CHARACTERS_COLUMN,
    _TOTAL_LATENCY_P95_COLUMN,
)
"""Columns that a narrow terminal hides, in the order in which they are hidden."""
_MAX_UNWRAPPED_CHARACTERS = 12
"""Texts of at most this many characters are never wrapped, so that they can be searched for and copied."""


def print_summaries(
    summaries: Sequence[TargetSummary], score_set: ScoreSet | None, manifest: Manifest, ramp_samples_note: str = ""
) -> None:
    """Print the results of a run: medians with 95% confidence intervals.

    Args:
        summaries: the results of each target.
        score_set: the scores from which the error rates are computed; `None` if nothing was scored.
        manifest: the manifest of the run.
        ramp_samples_note: says under which loads of a ramp the counted samples were sent; empty without a ramp.
    """
    terminal = create_console()
    if manifest.is_rehearsal:
        terminal.print(
            build_rehearsal_label(
                manifest.rehearsal_label, "the numbers show that the tool works, not how fast a provider is"
            )
        )
    by_minute = any(_format_price_per_minute(one.cost) != _NO_VALUE_TEXT for one in summaries)
    absent = [
        *([] if by_minute else [_PRICE_PER_MINUTE_COLUMN]),
        *([] if any(one.listening is not None for one in summaries) else [_LISTENING_COLUMN]),
        *(
            []
            if any(one.readings is not None and one.readings.entity_count for one in summaries)
            else [_ENTITIES_COLUMN]
        ),
        *([] if len(summaries) > 1 and not manifest.is_rehearsal else [_PARETO_MARK_COLUMN]),
        *(
            [_PRICE_PER_MILLION_CHARACTERS_COLUMN]
            if summaries and all(one.cost.takes_audio for one in summaries)
            else []
        ),
    ]
    columns = [
        column._replace(heading=manifest.mark_heading(column.heading).replace(" ", "\n"))
        if column is _TARGET_COLUMN
        else column
        for column in _RESULT_COLUMNS
        if column not in absent
    ]
    rows, hidden = _build_table_that_fits(columns, summaries, terminal)
    print_table(terminal, rows)
    if not manifest.is_finished:
        terminal.print("the run is not complete: the numbers are of the samples so far")
    if ramp_samples_note:
        terminal.print(ramp_samples_note)
    for line in (
        *_build_legend(summaries, score_set, hidden, manifest.rehearsal_label),
        *_describe_precision(summaries, manifest),
    ):
        terminal.print(line)


def print_ramp(ramp: RampResult) -> None:
    """Print the steps of a ramp, if there are any, and its result."""
    terminal = create_console()
    names = [name for name in (ramp.steps[0].value_by_condition if ramp.steps else ()) if name != "success"]
    headings = (ramp.load_unit, "requests", "throughput/s", "goodput/s", "success", "total p95 ms", *names)
    rows = create_table(*headings, "goal", right_aligned_columns=headings)
    for step in ramp.steps:
        rows.add_row(
            format_load_number(step.load),
            str(step.request_count),
            f"{step.requests_per_s:.3g}",
            f"{step.goodput_per_s:.3g}",
            _NO_VALUE_TEXT if step.success_rate is None else f"{step.success_rate:.1%}",
            _NO_VALUE_TEXT if step.total_latency_p95_ms is None else f"{step.total_latency_p95_ms:.0f}",
            *(_NO_VALUE_TEXT if (value := step.value_by_condition[name]) is None else f"{value:.4g}" for name in names),
            step.verdict,
        )
    if ramp.steps:
        print_table(terminal, rows)
    terminal.print(ramp.describe())


def print_places(places: Sequence[PlaceSummary], manifest: Manifest) -> None:
    """Print the times of each target from each place, and how far the clocks of its workers agree."""
    terminal = create_console()
    numbers = ("ok", "ttfa ms", "ttfs ms", "total ms", "p95 ms")
    rows = create_table("place", manifest.mark_heading("target"), *numbers, right_aligned_columns=numbers)
    for one in places:
        rows.add_row(
            one.place,
            one.target,
            one.describe_deliveries("/"),
            *(
                _format_estimate(estimate, shows_interval=False)
                for estimate in (one.ttfa_ms, one.ttfs_ms, one.total_latency_ms, one.total_latency_p95_ms)
            ),
        )
    label = f"{manifest.rehearsal_label}: " if manifest.is_rehearsal else ""
    terminal.print(f"{label}medians by place:")
    print_table(terminal, rows)
    for worker in manifest.workers:
        error = worker.timing_error
        times = (
            "its error of times is not known"
            if error is None
            else f"its error of times is {error.median_error_ms:.2f} ms (median), {error.p99_error_ms:.2f} ms (p99)"
        )
        direction = "behind" if worker.clock_offset_ms < 0 else "ahead"
        terminal.print(
            f"worker {worker.name} ({worker.place}): its clock is {abs(worker.clock_offset_ms):.1f} ms {direction}, "
            f"± {worker.clock_error_ms:.1f} ms; {times}"
        )


def _describe_precision(summaries: Sequence[TargetSummary], manifest: Manifest) -> list[str]:
    """Return sentences about what limits the precision of the times, and about samples that have none."""
    lines, error = [], manifest.timing_error
    mark = f"{manifest.rehearsal_label}: " if manifest.rehearsal_label else ""
    if manifest.early_stop is not None:
        lines.append(f"{mark}{manifest.early_stop.describe()}")
    if manifest.requests_per_s is not None:
        lines.append(
            f"sent at {manifest.requests_per_s:g} requests/s to each target, {manifest.arrival_process} arrivals"
        )
    if manifest.text_pacing is not None:
        lines.append(f"texts over WebSockets: {manifest.text_pacing.describe()}")
        lines += [
            f"{mark}{one.target}: first audio {_format_estimate(one.ttfa_ms, shows_interval=False)} ms after the first "
            f"text, {_format_estimate(one.ttfa_after_text_ms, shows_interval=False)} ms after the last"
            for one in summaries
            if one.ttfa_after_text_ms is not None
        ]
    lines += [f"{mark}{one.target}: {text}" for one in summaries if one.socket for text in describe_sockets(one.socket)]
    if error is not None:
        whose = " of the worker with the largest one" if manifest.workers else ""
        lines.append(f"error of times{whose}: {describe_timing_error(error)}")
    lines += describe_repeated_submits(summaries)
    lines += filter(None, (describe_disturbed_samples(summaries), describe_lost_samples(summaries)))
    return lines


def _build_table_that_fits(
    columns: Sequence[_ResultColumn], summaries: Sequence[TargetSummary], terminal: Console
) -> tuple[Table, Sequence[_ResultColumn]]:
    """Return a table that fits the width of `terminal`, and the columns that had to be hidden."""
    whole = _build_table(columns, summaries, wrap_cells=False)
    if has_unlimited_width(terminal) or _measure_unwrapped_width(whole, terminal) <= terminal.width:
        return whole, ()
    # First the cells are wrapped, and columns are hidden only if that is not enough.
    for count in range(len(_HIDEABLE_COLUMNS) + 1):
        hidden = [column for column in _HIDEABLE_COLUMNS[:count] if column in columns]
        rows = _build_table([column for column in columns if column not in hidden], summaries, wrap_cells=True)
        if _measure_unwrapped_width(rows, terminal) <= terminal.width:
            break
    return rows, hidden


def _build_table(columns: Sequence[_ResultColumn], summaries: Sequence[TargetSummary], *, wrap_cells: bool) -> Table:
    headings = [column.heading if wrap_cells else column.heading.replace("\n", " ") for column in columns]
    numbers = [heading for heading, column in zip(headings, columns, strict=True) if not column.is_text]
    rows = create_table(*headings, right_aligned_columns=tuple(numbers))
    for row in zip(*(_build_column_cells(column, summaries, wrap_cells=wrap_cells) for column in columns), strict=True):
        rows.add_row(*row)
    return rows


def _build_column_cells(column: _ResultColumn, summaries: Sequence[TargetSummary], *, wrap_cells: bool) -> list[str]:
    """Return the cells of a column.

    If `wrap_cells` is true, for a narrow table, a text is wrapped only if that makes the column narrower.
    """
    cells = [column.format_cell(one) for one in summaries]
    whole = [cell.replace("\n", column.unwrapped_separator) for cell in cells]
    if not wrap_cells:
        return whole
    if not column.is_text:
        return cells
    room = max((len(line) for cell in cells for line in cell.split("\n")), default=0)
    return [
        one if len(one) <= max(room, _MAX_UNWRAPPED_CHARACTERS) else cell
        for one, cell in zip(whole, cells, strict=True)
    ]


def _measure_unwrapped_width(table: Table, terminal: Console) -> int:
    """Return the width, in terminal columns, at which no cell of `table` is wrapped."""
    from rich.measure import Measurement

    return Measurement.get(terminal, terminal.options.update(max_width=10_000), table).maximum


def _build_legend(
    summaries: Sequence[TargetSummary],
    score_set: ScoreSet | None,
    hidden_columns: Sequence[_ResultColumn],
    rehearsal_label: str | None,
) -> list[str | Text]:
    from rich.text import Text

    mark = f"{rehearsal_label}: " if rehearsal_label else ""
    lines: list[str | Text] = [
        "medians, 95% intervals in brackets"
        if any(map(_shows_confidence_interval, summaries))
        else "medians, without intervals: too few texts"
    ]
    if len(summaries) > 1 and any(one.is_pareto_optimal for one in summaries):
        lines.append(
            "* no other target is clearly faster or more intelligible without being clearly worse in the other; of "
            "runs of equal targets, 5% at most lack a mark"
        )
    shows_million = _PRICE_PER_MILLION_CHARACTERS_COLUMN not in hidden_columns and not all(
        one.cost.takes_audio for one in summaries
    )
    if shows_million:
        cost = summaries[0].cost
        lines.append(f"$/1M chars is for texts of {cost.text_length} characters")
        if any(one.cost.has_account_plans for one in summaries):
            lines[-1] = (
                f"{lines[-1]} and {cost.characters_per_month:,} characters per month, with the cheapest account plan "
                "for them; one request is priced without a plan"
            )
    lines += _build_price_notes(summaries, names_account_plans=shows_million)
    if any(one.completion_ms for one in summaries) and _COMPLETION_TIME_COLUMN not in hidden_columns:
        lines.append(
            "job done: lower and upper bound, because status is only seen when polled; total latency includes polling"
        )
    lines += _describe_scoring(score_set, summaries) if score_set else []
    lines += _describe_wrong_audio(summaries)
    lines += [
        f"{mark}{one.target}: {describe_predicted_quality(one.predicted_quality)}"
        for one in summaries
        if one.predicted_quality is not None
    ]
    lines += [f"{mark}{one.target}: {describe_voice(one.voice)}" for one in summaries if one.voice is not None]
    lines += [
        f"{mark}{one.target}: {describe_steadiness(one.steadiness)}" for one in summaries if one.steadiness is not None
    ]
    if charges := describe_wrong_charges(summaries):
        lines.append(Text(charges, style="red"))
    if hidden_columns:
        names = ", ".join(column.heading.replace("\n", " ") for column in hidden_columns)
        lines.append(f"hidden columns: {names}; a wider terminal or --json shows them")
    lines += [f"{mark}{_describe_stream(one.target, one.streaming)}" for one in summaries if one.streaming]
    return [*lines, *_describe_failures(summaries)]


def _describe_scoring(score_set: ScoreSet, summaries: Sequence[TargetSummary]) -> list[str | Text]:
    """Return lines that name the ASR engine and the normalizer, and the languages that were not scored."""
    lines: list[str | Text] = []
    if score_set.scores:
        lines.append(f"WER by {score_set.asr} ({score_set.asr_reason}); normalizer {score_set.normalizer}")
        lines += [_warn_of_closed_vocabulary(score_set)] if score_set.has_closed_vocabulary else []
    if normalizers := list_reading_normalizers(one.readings for one in summaries):
        lines.append(
            f"numbers, names: those of which {score_set.asr} recognized an accepted reading, of all ({normalizers})"
        )
    if score_set.unsupported_languages:
        lines.append(f"not scored: {', '.join(score_set.unsupported_languages)}, which {score_set.asr} does not know")
    return lines


def _describe_wrong_audio(summaries: Sequence[TargetSummary]) -> list[str | Text]:
    """Return a line for each target with wrong or doubtful audio, and why audio was not judged."""
    from rich.text import Text

    wrong = [(one.target, found) for one in summaries if (found := describe_wrong_audio(one))]
    lines: list[str | Text] = [Text.assemble((target, "red"), f": {found}") for target, found in wrong]
    if wrong:
        lines.append("voicegauge explain RULE says what a rule means")
    if unjudged := describe_unjudged_clips(one.listening for one in summaries):
        lines.append(unjudged)
    return lines


def _describe_failures(summaries: Sequence[TargetSummary]) -> list[str | Text]:
    """Return a line for each target of which requests failed."""
    from rich.text import Text

    lines: list[str | Text] = []
    for one in summaries:
        if one.failure_count:
            kinds = ", ".join(f"{count} {kind}" for kind, count in one.failure_count_by_kind.items())
            lines.append(
                Text.assemble(
                    (one.target, "red"),
                    f": {one.failure_count} of {one.sample_count} failed ({kinds}){_describe_failure_rate(one)}",
                )
            )
    return lines


def _describe_failure_rate(summary: TargetSummary) -> str:
    """Return the interval of the share of failures, and the error rate of the delivered audio; empty if not known."""
    failed, rate = summary.failure_rate, summary.wer or summary.cer
    text = f": {failed.low:.0%} to {failed.high:.0%}" if failed and failed.low is not None and failed.high else ""
    if rate is None or rate.delivered_rate is None:
        return text
    name = "WER" if rate.unit == "word" else "CER"
    rates = f"{rate.delivered_rate.value:.1%}, with failures {rate.corpus_rate.value:.1%}"
    return f"{text}; {name} of the delivered audio {rates}"


def _shows_confidence_interval(summary: TargetSummary) -> bool:
    """Whether the table shows a confidence interval in the row of the target."""
    rate = summary.wer or summary.cer
    shown = [summary.total_latency_ms, rate.corpus_rate if rate is not None else None]
    return any(one is not None and one.low is not None for one in shown)


_ACCOUNT_PLAN_MARK = "‡"
"""Mark of prices that depend on the account plan, which a note below the table names."""


def _build_price_notes(summaries: Sequence[TargetSummary], *, names_account_plans: bool) -> list[str]:
    """Return an explanation of each remark that occurs beside a price, and the free quotas."""
    notes = []
    notes += explain_price_remarks([one.cost.comparison_price for one in summaries])
    notes += [f"free quota of {one.target}: {quota}" for one in summaries for quota in one.cost.free_quotas]
    plans = (
        [f"{one.target} {one.cost.account_plan_text}" for one in summaries if one.cost.account_plan_name]
        if names_account_plans
        else []
    )
    if plans:
        volume = summaries[0].cost.characters_per_month
        notes.append(
            f"{_ACCOUNT_PLAN_MARK} with the cheapest account plan for {volume:,} characters per month: "
            f"{'; '.join(plans)}"
        )
    return notes


def _warn_of_closed_vocabulary(score_set: ScoreSet) -> str | Text:
    from rich.text import Text

    known = score_set.known_words
    if known is None:
        return f"{score_set.asr}: small-vocabulary ASR made for the bundled suites; unusable on your own texts"
    return Text(f"{score_set.asr}: closed vocabulary; {known}", style="" if known.has_few_unknown_words else "red")


def _describe_stream(target_id: str, stream_summary: StreamSummary) -> str:
    times = (
        stream_summary.first_speech_ms,
        stream_summary.gap_p50_ms,
        stream_summary.gap_max_ms,
        stream_summary.stall_time_ms,
    )
    speech, gap, longest, stalled = (_format_estimate(time, shows_interval=False) for time in times)
    underruns = _format_estimate(stream_summary.underruns_per_sample, decimals=2, shows_interval=False)
    return (
        f"{target_id} streams: speech arrives after {speech} ms, inter-chunk gaps of {gap} ms (longest gap of a sample "
        f"{longest} ms, the median of all samples), {underruns} buffer underruns per sample, {stalled} ms stalled"
    )


def _format_estimate(estimate: Estimate | None, *, decimals: int = 0, shows_interval: bool = True) -> str:
    if estimate is None:
        return _NO_VALUE_TEXT
    if estimate.is_range and estimate.low is not None and estimate.high is not None:
        return f"{estimate.low:.{decimals}f}..\n{estimate.high:.{decimals}f}"
    value = f"{estimate.value:.{decimals}f}"
    if not shows_interval or estimate.low is None or estimate.high is None:
        return value
    return f"{value}\n({estimate.low:.{decimals}f}-{estimate.high:.{decimals}f})"


def _format_listening(summary: ListeningSummary | None) -> str:
    """Return how many of the judged clips say their text, and in a second line how many were not judged.

    Return `_NO_VALUE_TEXT` if `summary` is `None`, or if it counts no clip.
    """
    if summary is None or not summary.judged_count + summary.not_judged_count:
        return _NO_VALUE_TEXT
    right = f"{summary.right_count}/{summary.judged_count}" if summary.judged_count else ""
    unjudged = f"({summary.not_judged_count} not judged)" if summary.not_judged_count else ""
    return "\n".join(filter(None, (right, unjudged)))


def _format_price_per_minute(cost: TargetCost) -> str:
    """Return the price per minute of audio as text; `_NO_VALUE_TEXT` if the target is not priced by duration."""
    return _format_price(cost.price_per_audio_minute) or _format_credits(cost.credits_per_audio_minute)


def _format_price(price: PriceRange, mark: str = "") -> str:
    """Return a price with what limits it, a long remark in the next line; an empty text without a price in dollars."""
    if price.usd is None:
        return f"{price.describe()}{mark}" if price.format_amount() else ""
    remark = price.format_remark()
    return "\n".join(filter(None, (f"{price.format_amount()}{mark}", f"({remark})" if remark else "")))


def _format_credits(credits: float | None) -> str:
    return _NO_VALUE_TEXT if credits is None else f"{credits:.0f}\ncredits"


def _format_error_rate(error_rate: ErrorRate | None, unscored_languages: Sequence[str]) -> str:
    if error_rate is None:
        return f"{_NO_VALUE_TEXT}\n({', '.join(unscored_languages)})" if unscored_languages else _NO_VALUE_TEXT
    corpus, unit = error_rate.corpus_rate, "\n(characters)" if error_rate.unit == "character" else ""
    if corpus.low is None or corpus.high is None:
        return f"{corpus.value:.1%}{unit}"
    return f"{corpus.value:.1%}\n({corpus.low:.1%}-{corpus.high:.1%}){unit}"
