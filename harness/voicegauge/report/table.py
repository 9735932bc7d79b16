"""The comparison table: which numbers it has, how each is written, and which cells stand out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from voicegauge.bench.analysis import ErrorRate, Estimate, IntervalEstimate, TargetSummary
from voicegauge.report.text import DASH, NONE, interval, milliseconds, number, percent, usd


class Cell(NamedTuple):
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


EMPTY = Cell(NONE, None)


class Column(NamedTuple):
    """One column: less is better where `better` is -1, more where it is 1; 0 where neither is."""

    key: str
    group: str
    label: str
    unit: str
    better: int
    read: Callable[[TargetSummary], Cell]
    starts: bool = False
    """The first one of its group."""


class Row(NamedTuple):
    """One target of one run."""

    summary: TargetSummary
    cells: tuple[Cell, ...]
    best: tuple[bool, ...]
    """By cell: best of its run in the column, or not told apart from it by the intervals."""


def columns(targets: Sequence[TargetSummary], characters: int) -> tuple[Column, ...]:
    """The columns that at least one of `targets` has a number for; failures always."""
    every = (
        Column("wer", "Errors", "WER", "%", -1, lambda t: _rate(t.wer)),
        Column("cer", "Errors", "CER", "%", -1, lambda t: _rate(t.cer)),
        Column("file", "Time to file", "p50", "ms", -1, lambda t: _time(t.file_ms)),
        Column("file95", "Time to file", "p95", "ms", -1, lambda t: _time(t.file_p95_ms)),
        Column("ttfb", "Parts of it, p50", "TTFB", "ms", -1, lambda t: _time(t.ttfb_ms)),
        Column("ttfa", "Parts of it, p50", "TTFA", "ms", -1, lambda t: _time(t.ttfa_ms)),
        Column("accept", "Parts of it, p50", "Accept", "ms", -1, lambda t: _time(t.accept_ms)),
        Column("processing", "Parts of it, p50", "Processing", "ms, bounds", 0, _processing),
        Column("speech", "Streams", "First speech", "ms", -1, lambda t: _stream(t, "speech_ms")),
        Column("gap", "Streams", "Gap", "ms", -1, lambda t: _stream(t, "gap_p50_ms")),
        Column("gapmax", "Streams", "Longest gap", "ms", -1, lambda t: _stream(t, "gap_max_ms")),
        Column("underrun", "Streams", "Underruns", "mean", -1, _underruns),
        Column("rtf", "Speed", "RTF", "", -1, lambda t: _plain(t.rtf, 2)),
        Column("speed", "Speed", "Rate", "chars/s", 1, lambda t: _plain(t.characters_per_s, 1)),
        Column("request", "Price", "Request", "mean", -1, _price),
        Column("minute", "Price", "Minute", "of audio", -1, _minute),
        Column("million", "Price", "1M chars", f"at {characters:,}", -1, _million),
    )
    failures = Column("failures", "", "Failed", "of all", 0, _failures)
    kept = [c for c in every if any(c.read(t) != EMPTY for t in targets)]
    shown = [*kept, failures]
    before = ["", *(column.group for column in shown)]
    return tuple(c._replace(starts=c.group != group) for c, group in zip(shown, before, strict=False))


def groups(shown: Sequence[Column]) -> tuple[tuple[str, int], ...]:
    """The names over the columns, each with how many it spans."""
    return tuple((name, len(list(members))) for name, members in groupby(shown, key=lambda c: c.group))


def rows(targets: Sequence[TargetSummary], shown: Sequence[Column]) -> tuple[Row, ...]:
    """One row a target of one run, in `order`."""
    table = [(target, tuple(column.read(target) for column in shown)) for target in targets]
    stand_out = [_best([cells[i] for _, cells in table], column.better) for i, column in enumerate(shown)]
    made = [Row(target, cells, tuple(column[i] for column in stand_out)) for i, (target, cells) in enumerate(table)]
    return tuple(sorted(made, key=order))


SORT_KEYS = ("wer", "cer", "file")
"""The columns that rows are sorted by, the first that is shown first; missing numbers go last."""


def order(row: Row) -> tuple[float, float, float, str]:
    """Sorts rows, those of several runs together, by `SORT_KEYS`, then by name."""
    target = row.summary
    last = float("inf")
    return (
        target.wer.corpus.value if target.wer else last,
        target.cer.corpus.value if target.cer else last,
        target.file_ms.value if target.file_ms else last,
        target.target,
    )


def _best(cells: Sequence[Cell], better: int) -> list[bool]:
    """The best cell and those whose interval reaches its; none where that is all of them."""
    known = [cell for cell in cells if cell.sort is not None]
    if not better or len(known) < 2:
        return [False] * len(cells)
    first = min(known, key=lambda cell: -better * (cell.sort or 0.0))
    marked = [cell.sort is not None and (cell.sort == first.sort or _reaches(cell, first)) for cell in cells]
    return marked if sum(marked) < len(known) else [False] * len(cells)


def _reaches(cell: Cell, best: Cell) -> bool:
    if cell.low is None or cell.high is None or best.low is None or best.high is None:
        return False
    return cell.low <= best.high and best.low <= cell.high


def _rate(rate: ErrorRate | None) -> Cell:
    if rate is None:
        return EMPTY
    e = rate.corpus
    return Cell(percent(e.value), e.value, interval(e, 100, 1), _note(e), e.low, e.high)


def _time(e: Estimate | None) -> Cell:
    if e is None:
        return EMPTY
    return Cell(milliseconds(e.value), e.value, interval(e), _note(e), e.low, e.high)


def _stream(target: TargetSummary, name: str) -> Cell:
    return EMPTY if target.streaming is None else _time(getattr(target.streaming, name))


def _underruns(target: TargetSummary) -> Cell:
    if target.streaming is None or target.streaming.underruns is None:
        return EMPTY
    waited = target.streaming.underrun_ms
    cell = _plain(target.streaming.underruns, 2)
    return cell._replace(detail=f"{milliseconds(waited.value)} ms waited") if waited and waited.value else cell


def _plain(e: Estimate | None, decimals: int) -> Cell:
    if e is None:
        return EMPTY
    return Cell(number(e.value, decimals), e.value, interval(e, 1, decimals), _note(e), e.low, e.high)


def _note(e: Estimate) -> str:
    return f"{e.n} samples" + (f"; {e.note}" if e.note else "")


def bounds(between: IntervalEstimate | None) -> str:
    """A time known between two polls, as its two ends."""
    if between is None:
        return NONE
    return f"{milliseconds(between.low.value)}{DASH}{milliseconds(between.high.value)}"


def _processing(target: TargetSummary) -> Cell:
    between = target.processing_ms
    if between is None:
        return EMPTY
    return Cell(bounds(between), between.high.value, "", f"{between.low.n} samples; known only between two polls")


def _price(target: TargetSummary) -> Cell:
    cost = target.cost
    if cost.usd_per_request is None:
        credits = cost.credits_per_request
        return EMPTY if credits is None else Cell(number(credits, 1), None, "credits")
    charged = cost.charged_usd_per_request
    detail = f"charged {usd(charged)}" if cost.charge_differs and charged is not None else ""
    return Cell(usd(cost.usd_per_request), cost.usd_per_request, detail or _disputed(target))


def _million(target: TargetSummary) -> Cell:
    price = target.cost.usd_per_1m_characters
    return EMPTY if price is None else Cell(usd(price), price, _disputed(target))


def _minute(target: TargetSummary) -> Cell:
    cost = target.cost
    if cost.usd_per_audio_minute is not None:
        return Cell(usd(cost.usd_per_audio_minute), cost.usd_per_audio_minute, _disputed(target))
    credits = cost.credits_per_audio_minute
    return EMPTY if credits is None else Cell(number(credits, 1), None, "credits")


def _disputed(target: TargetSummary) -> str:
    return "disputed" if target.cost.disputed else ""


def _failures(target: TargetSummary) -> Cell:
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in target.failure_kinds.items())
    share = target.failures / target.samples if target.samples else 0.0
    return Cell(f"{target.failures}/{target.samples}", share, "", kinds)
