"""The comparison table: which numbers it has, how each is written, and which cells stand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from voicegauge.bench.analysis import ErrorRate, Estimate, IntervalEstimate, TargetSummary
from voicegauge.report.text import DASH, NONE, interval, milliseconds, number, percent, usd


class TableCell(NamedTuple):
    """One number as it is shown."""

    text: str
    sort: float | None
    """What the column is sorted by; `None` goes last."""
    detail: str = ""
    """The interval, or another line below the number."""
    note: str = ""
    """Shown as a tooltip: why an end is missing."""
    low: float | None = None
    high: float | None = None


EMPTY = TableCell(NONE, None)


class TableColumn(NamedTuple):
    """One column: less is better where `better` is -1, more where it is 1; 0 where neither is."""

    key: str
    group: str
    label: str
    unit: str
    better: int
    read: Callable[[TargetSummary], TableCell]
    starts: bool = False
    """The first one of its group."""


class TableRow(NamedTuple):
    """One target of one run."""

    summary: TargetSummary
    cells: tuple[TableCell, ...]
    best: tuple[bool, ...]
    """By cell: best of its run in the column, or not told apart from it by the intervals."""


def columns(targets: Sequence[TargetSummary], characters: int) -> tuple[TableColumn, ...]:
    """The columns that at least one of `targets` has a number for; failures always."""
    every = (
        TableColumn("wer", "Errors", "WER", "%", -1, lambda t: _rate(t.wer)),
        TableColumn("cer", "Errors", "CER", "%", -1, lambda t: _rate(t.cer)),
        TableColumn("file", "Time to file", "p50", "ms", -1, lambda t: _time(t.total_latency_ms)),
        TableColumn("file95", "Time to file", "p95", "ms", -1, lambda t: _time(t.total_latency_p95_ms)),
        TableColumn("ttfb", "Parts of it, p50", "TTFB", "ms", -1, lambda t: _time(t.ttfb_ms)),
        TableColumn("ttfa", "Parts of it, p50", "TTFA", "ms", -1, lambda t: _time(t.ttfa_ms)),
        TableColumn("accept", "Parts of it, p50", "Accept", "ms", -1, lambda t: _time(t.submit_latency_ms)),
        TableColumn("processing", "Parts of it, p50", "Processing", "ms, bounds", 0, _processing),
        TableColumn("speech", "Streams", "First speech", "ms", -1, lambda t: _stream(t, "first_speech_ms")),
        TableColumn("gap", "Streams", "Gap", "ms", -1, lambda t: _stream(t, "gap_p50_ms")),
        TableColumn("gapmax", "Streams", "Longest gap", "ms", -1, lambda t: _stream(t, "gap_max_ms")),
        TableColumn("underrun", "Streams", "Underruns", "mean", -1, _underruns),
        TableColumn("rtf", "Speed", "RTF", "", -1, lambda t: _plain(t.rtf, 2)),
        TableColumn("speed", "Speed", "Rate", "chars/s", 1, lambda t: _plain(t.characters_per_s, 1)),
        TableColumn("request", "Price", "Request", "mean", -1, _price),
        TableColumn("minute", "Price", "Minute", "of audio", -1, _minute),
        TableColumn("million", "Price", "1M chars", f"at {characters:,}", -1, _million),
    )
    failures = TableColumn("failures", "", "Failed", "of all", 0, _failures)
    kept = [c for c in every if any(c.read(t) != EMPTY for t in targets)]
    shown = [*kept, failures]
    before = ["", *(column.group for column in shown)]
    return tuple(c._replace(starts=c.group != group) for c, group in zip(shown, before, strict=False))


def groups(shown: Sequence[TableColumn]) -> tuple[tuple[str, int], ...]:
    """The names over the columns, each with how many it spans."""
    return tuple((name, len(list(members))) for name, members in groupby(shown, key=lambda c: c.group))


def rows(targets: Sequence[TargetSummary], shown: Sequence[TableColumn]) -> tuple[TableRow, ...]:
    """One row a target of one run, in `order`."""
    table = [(target, tuple(column.read(target) for column in shown)) for target in targets]
    stand_out = [_best([cells[i] for _, cells in table], column.better) for i, column in enumerate(shown)]
    made = [
        TableRow(target, cells, tuple(column[i] for column in stand_out)) for i, (target, cells) in enumerate(table)
    ]
    return tuple(sorted(made, key=order))


SORT_KEYS = ("wer", "cer", "file")
"""The columns that rows are sorted by, the first that is shown first; missing numbers go last."""


def order(row: TableRow) -> tuple[float, float, float, str]:
    """Sorts rows, those of several runs together, by `SORT_KEYS`, then by name."""
    target = row.summary
    last = float("inf")
    return (
        target.wer.corpus.value if target.wer else last,
        target.cer.corpus.value if target.cer else last,
        target.total_latency_ms.value if target.total_latency_ms else last,
        target.target,
    )


def _best(cells: Sequence[TableCell], better: int) -> list[bool]:
    """The best cell and those whose interval reaches its; none where that is all of them."""
    known = [cell for cell in cells if cell.sort is not None]
    if not better or len(known) < 2:
        return [False] * len(cells)
    first = min(known, key=lambda cell: -better * (cell.sort or 0.0))
    marked = [cell.sort is not None and (cell.sort == first.sort or _reaches(cell, first)) for cell in cells]
    return marked if sum(marked) < len(known) else [False] * len(cells)


def _reaches(cell: TableCell, best: TableCell) -> bool:
    if cell.low is None or cell.high is None or best.low is None or best.high is None:
        return False
    return cell.low <= best.high and best.low <= cell.high


def _rate(rate: ErrorRate | None) -> TableCell:
    if rate is None:
        return EMPTY
    e = rate.corpus
    return TableCell(percent(e.value), e.value, interval(e, 100, 1), _note(e), e.low, e.high)


def _time(e: Estimate | None) -> TableCell:
    if e is None:
        return EMPTY
    return TableCell(milliseconds(e.value), e.value, interval(e), _note(e), e.low, e.high)


def _stream(target: TargetSummary, name: str) -> TableCell:
    return EMPTY if target.streaming is None else _time(getattr(target.streaming, name))


def _underruns(target: TargetSummary) -> TableCell:
    if target.streaming is None or target.streaming.underruns is None:
        return EMPTY
    waited = target.streaming.stalled_ms
    cell = _plain(target.streaming.underruns, 2)
    return cell._replace(detail=f"{milliseconds(waited.value)} ms waited") if waited and waited.value else cell


def _plain(e: Estimate | None, decimals: int) -> TableCell:
    if e is None:
        return EMPTY
    return TableCell(number(e.value, decimals), e.value, interval(e, 1, decimals), _note(e), e.low, e.high)


def _note(e: Estimate) -> str:
    return f"{e.n} samples" + (f"; {e.note}" if e.note else "")


def bounds(between: IntervalEstimate | None) -> str:
    """A time known between two polls, as its two ends."""
    if between is None:
        return NONE
    return f"{milliseconds(between.low.value)}{DASH}{milliseconds(between.high.value)}"


def _processing(target: TargetSummary) -> TableCell:
    between = target.processing_ms
    if between is None:
        return EMPTY
    return TableCell(bounds(between), between.high.value, "", f"{between.low.n} samples; known only between two polls")


def _price(target: TargetSummary) -> TableCell:
    cost = target.cost
    if cost.usd_per_request is None:
        credits = cost.credits_per_request
        return EMPTY if credits is None else TableCell(number(credits, 1), None, "credits")
    charged = cost.charged_usd_per_request
    detail = f"charged {usd(charged)}" if cost.charge_differs and charged is not None else ""
    return TableCell(usd(cost.usd_per_request), cost.usd_per_request, detail or _disputed(target))


def _million(target: TargetSummary) -> TableCell:
    price = target.cost.usd_per_1m_characters
    return EMPTY if price is None else TableCell(usd(price), price, _disputed(target))


def _minute(target: TargetSummary) -> TableCell:
    cost = target.cost
    if cost.usd_per_audio_minute is not None:
        return TableCell(usd(cost.usd_per_audio_minute), cost.usd_per_audio_minute, _disputed(target))
    credits = cost.credits_per_audio_minute
    return EMPTY if credits is None else TableCell(number(credits, 1), None, "credits")


def _disputed(target: TargetSummary) -> str:
    return "disputed" if target.cost.disputed else ""


def _failures(target: TargetSummary) -> TableCell:
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in target.failure_kinds.items())
    share = target.failures / target.samples if target.samples else 0.0
    return TableCell(f"{target.failures}/{target.samples}", share, "", kinds)
