"""The tables that `voicegauge bench` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from voicegauge.bench.analysis import ErrorRate, Estimate, IntervalEstimate, StreamSummary, TargetCost, TargetSummary
from voicegauge.cli.console import console, emulated_label, table
from voicegauge.model import Provenance, ScoreSet

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from voicegauge.bench import BenchPlanResult

_NONE = "-"


def print_plan(plan: BenchPlanResult) -> None:
    """Print requests, characters and cost per target."""
    out = console()
    rows = table("target", "requests", "characters", "price", "cost", right=("requests", "characters", "cost"))
    for line in plan.targets:
        cost = f"${line.usd:.4f}" if line.usd is not None else "not known in dollars"
        rows.add_row(line.target, str(line.requests), str(line.characters), line.price, cost)
    out.print(rows)
    free = " (EMULATED: nothing is charged)" if plan.provenance is Provenance.EMULATED else ""
    out.print(f"{plan.requests} requests of the suite {plan.suite.id}, ${plan.usd:.4f} in all{free}")


class _Column(NamedTuple):
    """A column of the results; a line break in a cell or heading marks where a narrow table may break it."""

    heading: str
    cell: Callable[[TargetSummary], str]
    joint: str = " "
    """What replaces the line break in a wide table."""
    text: bool = False


_FILE = _Column("total\nms", lambda one: _number(one.total_latency_ms))
_P95 = _Column("p95\nms", lambda one: _number(one.total_latency_p95_ms, interval=False))
_DONE = _Column("job done\nms", lambda one: _between(one.completion_ms))
_MINUTE = _Column("per\nminute", lambda one: _minute(one.cost))
_MILLION = _Column("$/1M\nchars", lambda one: _million(one.cost))
_COLUMNS = (
    _Column("", lambda one: "*" if one.pareto else " ", text=True),
    _Column("target", lambda one: one.target.replace("/", "/\n", 1), joint="", text=True),
    _Column("ok", lambda one: f"{one.samples - one.failures}/{one.samples}"),
    _FILE,
    _P95,
    _DONE,
    _Column("RTF", lambda one: _number(one.rtf, digits=2, interval=False)),
    _Column("WER", lambda one: _rate(one.wer or one.cer)),
    _Column("per\nrequest", lambda one: _price(one.cost)),
    _MINUTE,
    _MILLION,
)
_SPARE = (_DONE, _MILLION, _P95)
"""Columns that a narrow terminal hides, in the order in which they are hidden."""
_SHORT = 12
"""Texts of up to this many characters are not broken, so that they can be searched for and copied."""


def print_summaries(summaries: Sequence[TargetSummary], scores: ScoreSet | None, provenance: Provenance) -> None:
    """Print the results of a run: medians with 95% confidence intervals."""
    out = console()
    if provenance is Provenance.EMULATED:
        out.print(emulated_label("the numbers show that the tool works, not how fast a provider is"))
    by_minute = any(_minute(one.cost) != _NONE for one in summaries)
    columns = [column for column in _COLUMNS if column is not _MINUTE or by_minute]
    rows, left_out = _fitted(columns, summaries, out)
    out.print(rows)
    for line in _legend(summaries, scores, left_out):
        out.print(line, soft_wrap=True)


def _fitted(
    columns: Sequence[_Column], summaries: Sequence[TargetSummary], out: Console
) -> tuple[Table, Sequence[_Column]]:
    """Return the table that fits into `out`, and the columns that it hides."""
    whole = _rows(columns, summaries, narrow=False)
    if _width(whole, out) <= out.width:
        return whole, ()
    for count in range(len(_SPARE) + 1):
        left_out = [column for column in _SPARE[:count] if column in columns]
        rows = _rows([column for column in columns if column not in left_out], summaries, narrow=True)
        if _width(rows, out) <= out.width:
            break
    return rows, left_out


def _rows(columns: Sequence[_Column], summaries: Sequence[TargetSummary], *, narrow: bool) -> Table:
    headings = [column.heading if narrow else column.heading.replace("\n", " ") for column in columns]
    numbers = [heading for heading, column in zip(headings, columns, strict=True) if not column.text]
    rows = table(*headings, right=tuple(numbers))
    for row in zip(*(_cells(column, summaries, narrow=narrow) for column in columns), strict=True):
        rows.add_row(*row)
    return rows


def _cells(column: _Column, summaries: Sequence[TargetSummary], *, narrow: bool) -> list[str]:
    """Return the cells of a column; in a narrow table, texts are broken only if that makes the column narrower."""
    cells = [column.cell(one) for one in summaries]
    whole = [cell.replace("\n", column.joint) for cell in cells]
    if not narrow:
        return whole
    if not column.text:
        return cells
    room = max((len(line) for cell in cells for line in cell.split("\n")), default=0)
    return [one if len(one) <= max(room, _SHORT) else cell for one, cell in zip(whole, cells, strict=True)]


def _width(rows: Table, out: Console) -> int:
    """Return the number of terminal columns in which no cell is folded."""
    from rich.measure import Measurement

    return Measurement.get(out, out.options.update(max_width=10_000), rows).maximum


def _legend(
    summaries: Sequence[TargetSummary], scores: ScoreSet | None, left_out: Sequence[_Column]
) -> list[str | Text]:
    from rich.text import Text

    lines: list[str | Text] = ["medians, 95% intervals in brackets"]
    if any(one.pareto for one in summaries):
        lines.append("* no other target of this run is both faster and more intelligible")
    if summaries and _MILLION not in left_out:
        lines.append(f"$/1M chars is for texts of {summaries[0].cost.characters} characters")
    if any(one.completion_ms for one in summaries) and _DONE not in left_out:
        lines.append(
            "job done: lower and upper bound, because status is only seen when polled; total latency includes polling"
        )
    if scores:
        closed = ", a small-vocabulary ASR made for the bundled suites" if scores.closed_vocabulary else ""
        lines.append(f"WER by {scores.asr}{closed} ({scores.asr_reason}); normalizer {scores.normalizer}")
    if left_out:
        names = ", ".join(column.heading.replace("\n", " ") for column in left_out)
        lines.append(f"hidden columns: {names}; a wider terminal or --json shows them")
    lines += [_streamed(one.target, one.streaming) for one in summaries if one.streaming]
    for one in summaries:
        if one.failures:
            kinds = ", ".join(f"{count} {kind}" for kind, count in one.failure_kinds.items())
            lines.append(Text.assemble((one.target, "red"), f": {one.failures} of {one.samples} failed ({kinds})"))
    return lines


def _streamed(target: str, stream: StreamSummary) -> str:
    times = (stream.first_speech_ms, stream.gap_p50_ms, stream.gap_max_ms, stream.stalled_ms)
    speech, gap, longest, stalled = (_number(time, interval=False) for time in times)
    underruns = _number(stream.underruns, digits=2, interval=False)
    return (
        f"{target} streams: first speech after {speech} ms, inter-chunk gaps of {gap} ms (longest {longest} ms), "
        f"{underruns} buffer underruns per sample, {stalled} ms stalled"
    )


def _number(estimate: Estimate | None, *, digits: int = 0, interval: bool = True) -> str:
    if estimate is None:
        return _NONE
    value = f"{estimate.value:.{digits}f}"
    if not interval or estimate.low is None or estimate.high is None:
        return value
    return f"{value}\n({estimate.low:.{digits}f}-{estimate.high:.{digits}f})"


def _between(interval: IntervalEstimate | None) -> str:
    return _NONE if interval is None else f"{interval.low.value:.0f}..{interval.high.value:.0f}"


def _price(cost: TargetCost) -> str:
    if cost.usd_per_request is not None:
        return f"${cost.usd_per_request:.4f}"
    return _NONE if cost.credits_per_request is None else f"{cost.credits_per_request:.0f}\ncredits"


def _minute(cost: TargetCost) -> str:
    """Return the price per minute of audio, if that is how the target is priced."""
    if cost.usd_per_audio_minute is not None:
        return f"${cost.usd_per_audio_minute:.4f}"
    return _NONE if cost.credits_per_audio_minute is None else f"{cost.credits_per_audio_minute:.0f}\ncredits"


def _million(cost: TargetCost) -> str:
    return _NONE if cost.usd_per_1m_characters is None else f"{cost.usd_per_1m_characters:.2f}"


def _rate(rate: ErrorRate | None) -> str:
    if rate is None:
        return _NONE
    corpus, unit = rate.corpus, "\n(characters)" if rate.unit == "character" else ""
    if corpus.low is None or corpus.high is None:
        return f"{corpus.value:.1%}{unit}"
    return f"{corpus.value:.1%}\n({corpus.low:.1%}-{corpus.high:.1%}){unit}"
