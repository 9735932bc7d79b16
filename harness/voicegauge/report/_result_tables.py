"""Builds the tables that compare targets: columns with formatted numbers and the best cells, and shaded error rates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, NamedTuple

from voicegauge.bench import DEFAULT_CHARACTERS_PER_MONTH
from voicegauge.bench.estimates import BoundEstimates, Estimate
from voicegauge.bench.speech_summaries import ErrorRate, InterruptionSummary, TranscriptTimingSummary
from voicegauge.bench.target_summaries import TargetSummary
from voicegauge.model.price import PriceRange
from voicegauge.report.text_format import (
    MISSING_TEXT,
    RANGE_DASH,
    format_interval,
    format_ms,
    format_number,
    format_percent,
    format_usd,
)

PriceUnit = Literal["million", "month"]
"""What a price is for: a million characters, or all characters of a month."""

INITIAL_COLUMN_KEYS = ("wer", "cer", "latency", "million", "failures", "says", "delivered", "month", "latency95")
"""Keys of the columns that the page shows at first, most important first; at most `MAX_INITIAL_COLUMNS` of them are
shown. For targets that take audio, "minute" comes before "million". If a target speaks over a WebSocket, "ttfa" comes
after "latency"."""
MAX_INITIAL_COLUMNS = 6
"""Number of columns that the page shows at first; the others are shown on demand, and in print."""


class TableCell(NamedTuple):
    """One formatted number of the table."""

    text: str
    sort_value: float | None
    """Number by which the cell is sorted; `None` is sorted last."""
    second_line: str = ""
    """Second line of the cell: the interval, or a remark."""
    tooltip: str = ""
    """Number of samples, and why an end of the interval is missing."""
    price_unit: PriceUnit | None = None
    """What a price is for if it depends on the length of the text, so that the page can compute it again for another
    length; `None` for any other cell."""
    account_plan: str = ""
    """Name of the account plan with which the price is computed; empty if the price does not depend on one."""


EMPTY_CELL = TableCell(MISSING_TEXT, None)
"""Cell of a target without the number of the column."""


class TableColumn(NamedTuple):
    """One column of the table."""

    key: str
    """Id of the column, by which the page's script and `INITIAL_COLUMN_KEYS` name it."""
    group_heading: str
    """Heading above several columns."""
    heading: str
    unit: str
    """Second line of the heading: the unit of the numbers, or what they are a share of."""
    better_direction: int
    """-1 if less is better, 1 if more is better, 0 if neither is better."""
    build_cell: Callable[[TargetSummary], TableCell]
    standalone_heading: str = ""
    """Heading of the column where it has no group above it; by default `heading`."""
    is_shown_initially: bool = False
    """Whether the page shows the column at first."""


class TableRow(NamedTuple):
    """One target of one run."""

    summary: TargetSummary
    cells: tuple[TableCell, ...]
    best_cell_flags: tuple[bool, ...]
    """For each cell, whether it is the best of its run or is indistinguishable from the best."""


def build_comparison_columns(
    targets: Sequence[TargetSummary], text_length: int, characters_per_month: int = DEFAULT_CHARACTERS_PER_MONTH
) -> tuple[TableColumn, ...]:
    """Return the columns for which at least one of `targets` has a number, and the column of failures.

    Args:
        targets: the targets of all runs in the table.
        text_length: text length at which prices are stated.
        characters_per_month: number of characters of a month at which prices are stated.
    """
    candidates = (
        *_build_content_columns(),
        *_build_latency_columns(),
        *_build_socket_columns(),
        *_build_stream_and_speed_columns(),
        *_build_price_columns(text_length, characters_per_month),
    )
    failures = TableColumn("failures", "", "Failed", "of all", 0, _build_failures_cell)
    columns = [c for c in candidates if any(c.build_cell(t) != EMPTY_CELL for t in targets)]
    # Always, because without the column nobody could tell whether failures were counted.
    columns.append(failures)
    order = list(INITIAL_COLUMN_KEYS)
    if any(target.cost.takes_audio for target in targets):
        order.insert(order.index("million"), "minute")
    if any(target.socket is not None and target.ttfa_ms is not None for target in targets):
        order.insert(order.index("latency") + 1, "ttfa")  # the number by which voice agents choose
    keys = [key for key in order if key in {column.key for column in columns}][:MAX_INITIAL_COLUMNS]
    return tuple(column._replace(is_shown_initially=column.key in keys) for column in columns)


def _build_content_columns() -> tuple[TableColumn, ...]:
    """Return the columns about what the audio says."""

    def build_rate_column(
        key: str, heading: str, build_cell: Callable[[TargetSummary], TableCell], standalone_heading: str
    ) -> TableColumn:
        return TableColumn(key, "Errors", heading, "%", -1, build_cell, standalone_heading)

    return (
        build_rate_column("wer", "WER", lambda t: _build_error_rate_cell(t.wer), "Word errors"),
        build_rate_column("cer", "CER", lambda t: _build_error_rate_cell(t.cer), "Character errors"),
        build_rate_column("delivered", "of delivered audio", _build_delivered_rate_cell, "Errors of delivered audio"),
        build_rate_column(
            "readings",
            "by accepted readings",
            lambda t: _build_error_rate_cell((t.readings.wer or t.readings.cer) if t.readings else None),
            "Errors by accepted readings",
        ),
        TableColumn("entities", "", "Numbers and names", "right", 1, _build_entities_cell),
        TableColumn("says", "", "Says its text", "of judged", 0, _build_listening_cell),
    )


def _build_time_column(
    key: str,
    group_heading: str,
    heading: str,
    get_time: Callable[[TargetSummary], Estimate | None],
    standalone_heading: str = "",
) -> TableColumn:
    """Return a column of the times that `get_time` gives, in ms, of which less is better."""
    return TableColumn(
        key, group_heading, heading, "ms", -1, lambda target: _build_time_cell(get_time(target)), standalone_heading
    )


def _build_latency_columns() -> tuple[TableColumn, ...]:
    """Return the columns of latencies and their phases."""
    time, phases = _build_time_column, "Phases, p50"
    return (
        time("latency", "Total latency", "p50", lambda t: t.total_latency_ms, "Total latency"),
        time("latency95", "Total latency", "p95", lambda t: t.total_latency_p95_ms, "Slow requests"),
        time("ttfb", phases, "TTFB", lambda t: t.ttfb_ms),
        time("ttfa", phases, "TTFA", lambda t: t.ttfa_ms),
        time("ttfa-after-text", phases, "TTFA after text", lambda t: t.ttfa_after_text_ms),
        time(
            "ttfa-after-flush", phases, "TTFA after flush", lambda t: t.socket.ttfa_after_flush_ms if t.socket else None
        ),
        time("handshake", phases, "Handshake", lambda t: t.socket.handshake_ms if t.socket else None),
        # A turn over a WebSocket has no answer to its submit: sending its text is the time that is comparable.
        time("submit", phases, "Submit", lambda t: t.socket.text_ms if t.socket else t.submit_latency_ms),
        TableColumn("processing", phases, "Processing", "ms, bounds", 0, _build_processing_time_cell),
    )


_TranscriptTimingGetter = Callable[[TranscriptTimingSummary], Estimate | None]
"""Function that returns a number of a target about streamed recordings."""
_InterruptionGetter = Callable[[InterruptionSummary], Estimate | None]
"""Function that returns a number of a target about interruptions."""


def _build_socket_columns() -> tuple[TableColumn, ...]:
    """Return the columns of recordings that are streamed over WebSockets, and of turns that are cancelled."""

    def build_transcript_column(
        key: str, heading: str, get_estimate: _TranscriptTimingGetter, standalone_heading: str = ""
    ) -> TableColumn:
        def get_time(target: TargetSummary) -> Estimate | None:
            timing = target.socket.transcript_timing if target.socket else None
            return get_estimate(timing) if timing else None

        return _build_time_column(key, "Streamed recordings, p50", heading, get_time, standalone_heading)

    def build_share_column(
        key: str, heading: str, get_share: Callable[[TranscriptTimingSummary], float | None]
    ) -> TableColumn:
        def build_cell(target: TargetSummary) -> TableCell:
            timing = target.socket.transcript_timing if target.socket else None
            value = get_share(timing) if timing else None
            if timing is None or value is None:
                return EMPTY_CELL
            return TableCell(f"{value:.1%}", value, "", f"{timing.recording_count} recordings")

        return TableColumn(key, "Streamed recordings, p50", heading, "", -1, build_cell)

    def build_interruption_column(
        key: str, heading: str, unit: str, get_estimate: _InterruptionGetter, standalone_heading: str
    ) -> TableColumn:
        def build_cell(target: TargetSummary) -> TableCell:
            found = target.socket.interruptions if target.socket else None
            estimate = get_estimate(found) if found else None
            return _build_time_cell(estimate) if unit == "ms" else _build_number_cell(estimate, 2)

        return TableColumn(key, "After a cancellation, p50", heading, unit, -1, build_cell, standalone_heading)

    return (
        build_transcript_column("first-text", "First text", lambda one: one.first_text_ms),
        build_transcript_column(
            "final-delay", "Turn ends", lambda one: one.final_delay_ms, "Turn ends after the speech"
        ),
        build_share_column("cut-early", "Cut early", lambda one: one.cut_early_count / one.recording_count),
        build_share_column("flips", "Words taken back", lambda one: one.flip_share),
        build_interruption_column(
            "cancel-last", "Last audio", "ms", lambda one: one.last_audio_ms, "Last audio after a cancellation"
        ),
        build_interruption_column(
            "cancel-late", "Late speech", "s", lambda one: one.late_audio_s, "Speech after a cancellation"
        ),
        build_interruption_column(
            "cancel-next", "Next turn speaks", "ms", lambda one: one.next_audio_ms, "Next turn after a cancellation"
        ),
    )


def _build_stream_and_speed_columns() -> tuple[TableColumn, ...]:
    """Return the columns of streams, and of how fast speech is made and spoken."""
    time, streams = _build_time_column, "Streams"
    return (
        time("speech", streams, "Speech arrives", lambda t: t.streaming.first_speech_ms if t.streaming else None),
        time("gap", streams, "Gap", lambda t: t.streaming.gap_p50_ms if t.streaming else None, "Gap in stream"),
        time("gapmax", streams, "Longest gap, median", lambda t: t.streaming.gap_max_ms if t.streaming else None),
        TableColumn("underrun", streams, "Underruns", "per sample", -1, _build_underruns_cell),
        TableColumn("rtf", "Speed", "RTF", "", -1, lambda t: _build_number_cell(t.rtf, 2)),
        TableColumn("speed", "Speed", "Rate", "chars/s", 1, lambda t: _build_number_cell(t.characters_per_s, 1)),
    )


def _build_price_columns(text_length: int, characters_per_month: int) -> tuple[TableColumn, ...]:
    """Return the columns of prices: for texts of `text_length`, and for `characters_per_month`."""

    def build_price_column(
        key: str, heading: str, unit: str, build_cell: Callable[[TargetSummary], TableCell], standalone_heading: str
    ) -> TableColumn:
        return TableColumn(key, "Price", heading, unit, -1, build_cell, standalone_heading)

    month = f"{characters_per_month:,} characters"
    return (
        build_price_column("request", "per request", "mean", _build_price_per_request_cell, "Price per request"),
        build_price_column("minute", "per minute", "of audio", _build_price_per_minute_cell, "Price per minute"),
        build_price_column("million", "1M chars", f"at {text_length:,}", _build_price_per_million_cell, "Price"),
        build_price_column("month", "per month", month, _build_price_per_month_cell, "Per month"),
    )


def build_comparison_rows(
    targets: Sequence[TargetSummary], columns: Sequence[TableColumn], *, is_rehearsal: bool = False
) -> tuple[TableRow, ...]:
    """Return one row per target of one run, sorted by `build_row_sort_key`.

    The rows of a rehearsal (`Manifest.is_rehearsal`) are sorted by name, and none of their cells is the best.
    """
    table = [(target, tuple(column.build_cell(target) for column in columns)) for target in targets]
    if is_rehearsal:
        plain = [TableRow(target, cells, (False,) * len(columns)) for target, cells in table]
        return tuple(sorted(plain, key=lambda row: row.summary.target))
    best = [_flag_best_targets(targets, column.key) or _flag_lowest_prices(targets, column.key) for column in columns]
    # By the order of `targets`, before the rows are sorted.
    rows = [TableRow(target, cells, tuple(column[i] for column in best)) for i, (target, cells) in enumerate(table)]
    return tuple(sorted(rows, key=build_row_sort_key))


SORT_COLUMN_KEYS = ("wer", "cer", "latency")
"""Keys of the columns by which rows are sorted, most important first; columns that are not shown are skipped."""


def build_row_sort_key(row: TableRow) -> tuple[float, float, float, str]:
    """Return the key that sorts rows of one or several runs by `SORT_COLUMN_KEYS`, then by name.

    Rows with a missing number are last.
    """
    target = row.summary
    last = float("inf")
    return (
        target.wer.corpus_rate.value if target.wer else last,
        target.cer.corpus_rate.value if target.cer else last,
        target.total_latency_ms.value if target.total_latency_ms else last,
        target.target,
    )


def _flag_best_targets(targets: Sequence[TargetSummary], column_key: str) -> list[bool]:
    """Return for each target whether it is marked as one of the best by error rate or latency.

    The targets were compared text by text. No target is marked if all would be. The result is empty if `column_key` is
    neither the latency nor an error rate.
    """
    if column_key == "latency":
        marked, has_value = [t.is_among_fastest for t in targets], [t.total_latency_ms is not None for t in targets]
    elif column_key in ("wer", "cer"):
        has_value = [(t.wer if column_key == "wer" else t.cer) is not None for t in targets]
        marked = [t.is_among_most_intelligible and has_rate for t, has_rate in zip(targets, has_value, strict=True)]
    else:
        return []
    return marked if sum(marked) < sum(has_value) else [False] * len(targets)


def _flag_lowest_prices(targets: Sequence[TargetSummary], column_key: str) -> list[bool]:
    """Return for each target whether its price is marked: the lowest one, and those whose range overlaps with it.

    No price is marked if all would be. The numbers of columns without prices are not compared with each other, so none
    of them is marked.
    """
    if column_key not in _PRICE_GETTER_BY_COLUMN_KEY:
        return [False] * len(targets)
    prices = [_PRICE_GETTER_BY_COLUMN_KEY[column_key](target) for target in targets]
    known_prices = [price for price in prices if price.usd is not None]
    if len(known_prices) < 2:
        return [False] * len(targets)
    lowest = min(known_prices, key=lambda price: price.usd or 0.0)
    marked = [price.usd is not None and not lowest.is_surely_below(price) for price in prices]
    return marked if sum(marked) < len(known_prices) else [False] * len(targets)


_PRICE_GETTER_BY_COLUMN_KEY: dict[str, Callable[[TargetSummary], PriceRange]] = {
    "request": lambda target: target.cost.price_per_request,
    "minute": lambda target: target.cost.price_per_audio_minute,
    "million": lambda target: target.cost.price_per_1m_characters,
    "month": lambda target: target.cost.price_per_month,
}
"""Functions that return the price of a target, by the key of the column that shows it."""


def _build_rate_cell(rate: Estimate | None) -> TableCell:
    if rate is None:
        return EMPTY_CELL
    return TableCell(
        format_percent(rate.value), rate.value, format_interval(rate, 100, 1), _describe_sample_count(rate)
    )


def _build_error_rate_cell(error_rate: ErrorRate | None) -> TableCell:
    return _build_rate_cell(error_rate.corpus_rate if error_rate else None)


def _build_delivered_rate_cell(target: TargetSummary) -> TableCell:
    """Return the error rate of the audio that was delivered; empty unless requests failed."""
    rate = target.wer or target.cer
    return _build_rate_cell(rate.delivered_rate if rate and target.failure_count else None)


def _build_entities_cell(target: TargetSummary) -> TableCell:
    readings = target.readings
    if readings is None or not readings.entity_count:
        return EMPTY_CELL
    kinds = ", ".join(
        f"{kind} {readings.right_entity_count_by_kind[kind]}/{count}"
        for kind, count in readings.entity_count_by_kind.items()
    )
    sentences = f"{readings.right_sentence_count}/{readings.sentence_count} texts"
    share = readings.right_entity_count / readings.entity_count
    return TableCell(f"{readings.right_entity_count}/{readings.entity_count}", share, sentences, kinds)


def _build_time_cell(estimate: Estimate | None) -> TableCell:
    if estimate is None:
        return EMPTY_CELL
    return TableCell(
        format_ms(estimate.value), estimate.value, format_interval(estimate), _describe_sample_count(estimate)
    )


def _build_underruns_cell(target: TargetSummary) -> TableCell:
    if target.streaming is None or target.streaming.underruns_per_sample is None:
        return EMPTY_CELL
    stalled = target.streaming.stall_time_ms
    cell = _build_number_cell(target.streaming.underruns_per_sample, 2)
    if not stalled or not stalled.value:
        return cell
    return cell._replace(second_line=f"{cell.second_line}, {format_ms(stalled.value)} ms stalled")


def _build_number_cell(estimate: Estimate | None, decimals: int) -> TableCell:
    if estimate is None:
        return EMPTY_CELL
    interval = format_interval(estimate, 1, decimals)
    if estimate.is_range:
        # The polls do not show where in the interval the value lies.
        return TableCell(interval, estimate.value, "between polls", _describe_sample_count(estimate))
    return TableCell(
        format_number(estimate.value, decimals), estimate.value, interval, _describe_sample_count(estimate)
    )


def _describe_sample_count(estimate: Estimate) -> str:
    return f"{estimate.sample_count} samples" + (f"; {estimate.note}" if estimate.note else "")


def format_time_bounds(bounds: BoundEstimates | None) -> str:
    """Format the lower and upper bound, in ms, of a time that is known only to lie between polls; a dash for `None`."""
    if bounds is None:
        return MISSING_TEXT
    return f"{format_ms(bounds.low.value)}{RANGE_DASH}{format_ms(bounds.high.value)}"


def _build_processing_time_cell(target: TargetSummary) -> TableCell:
    bounds = target.processing_ms
    if bounds is None:
        return EMPTY_CELL
    note = f"{bounds.low.sample_count} samples; lower and upper bound: status is only seen when polled"
    return TableCell(format_time_bounds(bounds), bounds.high.value, "", note)


def _build_price_per_request_cell(target: TargetSummary) -> TableCell:
    cost = target.cost
    price = cost.price_per_request
    if not price.format_amount():
        return _build_credits_cell(cost.credits_per_request)
    charged = cost.charged_usd_per_request
    if cost.charge_differs_from_price and charged is not None:
        return TableCell(price.format_amount(), price.usd, f"charged {format_usd(charged)}")
    return _build_price_cell(price)


def _build_price_cell(price: PriceRange, unit: PriceUnit | None = None, account_plan: str | None = None) -> TableCell:
    """Return a cell with a price and its remark. A price that cannot be compared has no number to sort by.

    Args:
        price: the price, which may be a range.
        unit: as `TableCell.price_unit`; `None` if the price does not depend on the length of the text.
        account_plan: name of the plan that the price is of; `None` if it is of none.
    """
    return TableCell(
        price.format_amount(), price.usd, price.format_remark(), price_unit=unit, account_plan=account_plan or ""
    )


def _build_price_per_million_cell(target: TargetSummary) -> TableCell:
    price = target.cost.price_per_1m_characters
    if not price.format_amount():
        return _explain_missing_price(target)
    return _build_price_cell(price, "million", target.cost.account_plan_name)


def _explain_missing_price(target: TargetSummary) -> TableCell:
    cost = target.cost
    if not target.sample_count or cost.takes_audio:
        return EMPTY_CELL
    if cost.credits_per_request is not None:
        return TableCell(MISSING_TEXT, None, "charges credits")
    return TableCell(MISSING_TEXT, None, "no price documented")


def _build_price_per_month_cell(target: TargetSummary) -> TableCell:
    price = target.cost.price_per_month
    return _build_price_cell(price, "month", target.cost.account_plan_name) if price.format_amount() else EMPTY_CELL


def _build_price_per_minute_cell(target: TargetSummary) -> TableCell:
    price = target.cost.price_per_audio_minute
    if not price.format_amount():
        return _build_credits_cell(target.cost.credits_per_audio_minute)
    return _build_price_cell(price)


def _build_credits_cell(amount: float | None) -> TableCell:
    # No sort key: credits of different providers are not comparable.
    return EMPTY_CELL if amount is None else TableCell(format_number(amount, 1), None, "credits")


def _build_listening_cell(target: TargetSummary) -> TableCell:
    listening = target.listening
    if listening is None or not listening.judged_count + listening.not_judged_count:
        return EMPTY_CELL
    unjudged = f"{listening.not_judged_count} not judged" if listening.not_judged_count else ""
    defects = ", ".join(f"{count} {rule}" for rule, count in listening.defect_count_by_rule.items())
    reasons = "; ".join(f"{count}: {reason}" for reason, count in listening.not_judged_count_by_reason.items())
    tooltip = "; ".join(filter(None, (defects, f"not judged: {reasons}" if reasons else "")))
    if not listening.judged_count:
        return TableCell(MISSING_TEXT, None, unjudged, tooltip)
    share = listening.right_count / listening.judged_count
    return TableCell(f"{listening.right_count}/{listening.judged_count}", share, unjudged, tooltip)


def _build_failures_cell(target: TargetSummary) -> TableCell:
    kinds = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in target.failure_count_by_kind.items())
    if not target.sample_count:
        return EMPTY_CELL
    lost = f"{target.lost_count} more lost" if target.lost_count else ""
    rate = target.failure_rate
    interval = f"{format_interval(rate, 100, 0)}%" if rate else ""
    share = target.failure_count / target.sample_count
    second_line = "; ".join(filter(None, (interval, lost)))
    return TableCell(f"{target.failure_count}/{target.sample_count}", share, second_line, kinds)


# Builds tables of error rates by language and category, with darker cells for more errors.


ERROR_RATE_SHADE_THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.4)
"""Error rates from which a cell has the next darker shade, from barely noticeable to unintelligible."""


class HeatCell(NamedTuple):
    """The error rate of one target in one column, formatted."""

    rate_text: str
    """The error rate as text; a dash if nothing was scored."""
    interval_text: str
    """The interval of the error rate as text; empty if there is none."""
    shade: int | None
    """Number of the shade, from 0 to `len(ERROR_RATE_SHADE_THRESHOLDS)`; `None` if nothing was scored."""
    tooltip: str
    """The number of words or characters, and of texts, from which the error rate was computed; "not scored" if there is
    no error rate."""


class HeatTable(NamedTuple):
    """Error rates with targets as rows and categories or languages as columns."""

    title: str
    column_labels: tuple[str, ...]
    rate_names: tuple[str, ...]
    """"WER" or "CER" for each column."""
    rows: tuple[tuple[TargetSummary, tuple[HeatCell, ...]], ...]


def build_heat_tables(targets: Sequence[TargetSummary]) -> tuple[HeatTable, ...]:
    """Return a table by language if there are several languages, and tables by category.

    There is a table by category for each language with several categories, and for a single language in any case.
    """
    languages = list(dict.fromkeys(one.language for t in targets for one in t.error_rates_by_category))
    tables = []
    if len(languages) > 1:
        by_language = [{one.language: one.error_rate for one in t.error_rates_by_language} for t in targets]
        tables.append(_build_heat_table("By language", targets, languages, by_language))
    for language in languages:
        by_category = [
            {one.category: one.error_rate for one in t.error_rates_by_category if one.language == language}
            for t in targets
        ]
        categories = list(dict.fromkeys(category for rates in by_category for category in rates))
        if len(categories) > 1 or len(languages) == 1:
            tables.append(_build_heat_table(f"By category, {language}", targets, categories, by_category))
    return tuple(tables)


def _build_heat_table(
    title: str,
    targets: Sequence[TargetSummary],
    column_labels: Sequence[str],
    error_rates: Sequence[Mapping[str, ErrorRate]],
) -> HeatTable:
    """Return a table; `error_rates` has for each target the error rate of each column that it was measured for."""
    in_characters = {column for rates in error_rates for column in rates if rates[column].unit == "character"}
    return HeatTable(
        title=title,
        column_labels=tuple(column_labels),
        rate_names=tuple("CER" if column in in_characters else "WER" for column in column_labels),
        rows=tuple(
            (target, tuple(_build_heat_cell(rates.get(column)) for column in column_labels))
            for target, rates in zip(targets, error_rates, strict=True)
        ),
    )


def _build_heat_cell(error_rate: ErrorRate | None) -> HeatCell:
    if error_rate is None:
        return HeatCell(MISSING_TEXT, "", None, "not scored")
    shade = sum(error_rate.corpus_rate.value >= step for step in ERROR_RATE_SHADE_THRESHOLDS)
    note = f"{error_rate.reference_units} {error_rate.unit}s in {error_rate.text_count} texts"
    return HeatCell(
        format_percent(error_rate.corpus_rate.value), format_interval(error_rate.corpus_rate, 100, 1), shade, note
    )
