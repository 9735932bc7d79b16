"""A result in a few lines and tables, for readers elsewhere: a pull request, a chat, a notebook, a dashboard.

Texts of a summary come from contracts and services, so each format escapes them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Literal

from voicegauge.model.base import Record
from voicegauge.outputs.finding_exports import (
    escape_markdown,
    escape_workflow_command_message,
    escape_workflow_command_property,
)
from voicegauge.printable_text import escape_unprintable

SummaryVerdict = Literal["passed", "passed with findings", "failed", "partly judged", "not judged"]
"""The verdict of a result. `passed with findings`: there are findings that fail the command by default, but the options
of this command say otherwise."""

MAX_TABLE_ROWS = 200
"""Largest number of rows of a table. GitHub rejects summaries above 1 MiB, and a row can have some kilobytes."""
MAX_SLACK_TABLE_ROWS = 20
"""Largest number of rows of a table in a message to Slack."""
MAX_SLACK_TEXT_CHARACTERS = 2_900
"""Largest number of characters of a text in a message. Slack rejects a section of more than 3,000."""
MAX_SLACK_HEADER_CHARACTERS = 140
"""Largest number of characters of a title in a message. Slack rejects a header of more than 150."""
_SLACK_SYMBOL_BY_VERDICT: dict[SummaryVerdict, str] = {
    "passed": ":white_check_mark:",
    "passed with findings": ":warning:",
    "failed": ":x:",
    "partly judged": ":warning:",
    "not judged": ":grey_question:",
}
_WORKFLOW_COMMAND_BY_VERDICT: dict[SummaryVerdict, str] = {
    "passed": "notice",
    "passed with findings": "warning",
    "failed": "error",
    "partly judged": "warning",
    "not judged": "warning",
}


class SummaryTable(Record, frozen=True, kw_only=True):
    """A table of a summary."""

    title: str = ""
    """What the table shows; empty if the text before it says so."""
    headings: tuple[str, ...]
    """The headings of the columns."""
    rows: tuple[tuple[str, ...], ...]
    """The cells of each row, as many as headings."""
    code_columns: tuple[int, ...] = ()
    """Positions of the columns that contain commands, from 0."""


class MetricValue(Record, frozen=True, kw_only=True):
    """One number of a result for a dashboard, as Prometheus stores it."""

    name: str
    """Name with its unit, as Prometheus recommends it: `voicegauge_total_latency_seconds`."""
    help: str
    """What the metric measures, in a sentence; the same for all numbers with this name."""
    labels: Mapping[str, str]
    """What the number is about, such as a provider and a target, by the name of the label."""
    value: float
    """The number, in the unit that `name` ends with."""


class ResultSummary(Record, frozen=True, kw_only=True):
    """The result of one command, as a person reads it: a verdict, a sentence, tables and metrics."""

    title: str
    """The command, and what it was about: "voicegauge check pixelapi"."""
    verdict: SummaryVerdict
    headline: str
    """The result in one sentence; that of an emulated run begins with EMULATED."""
    notes: tuple[str, ...] = ()
    """Further sentences, each of which qualifies the numbers."""
    tables: tuple[SummaryTable, ...] = ()
    metrics: tuple[MetricValue, ...] = ()


# What a notebook shows of a result.


class SummarizedResult(Record, frozen=True):
    """A record that a notebook shows as its summary instead of as all of its fields.

    Summaries are built by `voicegauge.report`, which is above the packages that define results. `voicegauge.api` sets
    `summarize` when a function that returns such a result is imported.
    """

    summarize: ClassVar[Callable[[Any], ResultSummary] | None] = None
    """Function that builds the summary of a result of any command; `None` until `voicegauge.api` sets it."""

    def _repr_html_(self) -> str | None:
        build = SummarizedResult.summarize
        return None if build is None else format_summary_html(build(self))

    def __repr__(self) -> str:
        build = SummarizedResult.summarize
        if build is None:
            return f"<{type(self).__name__}>"
        return f"<{type(self).__name__}: {escape_unprintable(build(self).headline)}>"


class TabularResult(Record, frozen=True):
    """A record that a notebook shows as a sentence and a table instead of as all of its fields."""

    def build_table(self) -> SummaryTable:
        """Return the table that a notebook shows. Its title is the summary sentence."""
        raise NotImplementedError

    def _repr_html_(self) -> str:
        table = self.build_table()
        return "\n".join([f"<p>{escape_html(table.title)}</p>", *_format_table_html(table)])

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {escape_unprintable(self.build_table().title)}>"


# Formats.


def format_summary_html(summary: ResultSummary) -> str:
    """Return an HTML fragment without scripts or styles of its own, which a notebook shows in its own style."""
    parts = [f"<p><strong>{escape_html(summary.title)}</strong>: {escape_html(summary.headline)}</p>"]
    parts += [f"<p>{escape_html(note)}</p>" for note in summary.notes]
    for table in summary.tables:
        caption = [f"<p>{escape_html(table.title)}</p>"] if table.title else []
        parts += [*caption, *_format_table_html(table)]
    return "\n".join(parts)


def _format_table_html(table: SummaryTable) -> Iterator[str]:
    """Yield the lines of an HTML table, without its title."""
    yield "<table>"
    yield f"<tr>{''.join(f'<th>{escape_html(heading)}</th>' for heading in table.headings)}</tr>"
    for row in table.rows[:MAX_TABLE_ROWS]:
        cells = (
            f"<td><code>{escape_html(cell)}</code></td>"
            if index in table.code_columns
            else f"<td>{escape_html(cell)}</td>"
            for index, cell in enumerate(row)
        )
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</table>"
    for line in _describe_left_out_rows(table):
        yield f"<p>{escape_html(line)}</p>"


def escape_html(text: str) -> str:
    """Escape untrusted text for HTML, with its control characters made visible."""
    return html.escape(escape_unprintable(text))


def format_summary_markdown(summary: ResultSummary) -> str:
    """Return the summary in GitHub's Markdown, for a job summary or a comment on a pull request."""
    lines = [f"## {escape_markdown(summary.title)}", "", escape_markdown(summary.headline), ""]
    for note in summary.notes:
        lines += [escape_markdown(note), ""]
    for table in summary.tables:
        if table.rows:
            lines += [*_format_markdown_table(table), ""]
    return "\n".join(lines)


def _format_markdown_table(table: SummaryTable) -> Iterator[str]:
    if table.title:
        yield f"**{escape_markdown(table.title)}**"
        yield ""
    yield f"| {' | '.join(map(escape_markdown, table.headings))} |"
    yield f"|{'---|' * len(table.headings)}"
    for row in table.rows[:MAX_TABLE_ROWS]:
        cells = (
            _format_markdown_code(cell) if index in table.code_columns else escape_markdown(cell)
            for index, cell in enumerate(row)
        )
        yield f"| {' | '.join(cells)} |"
    for line in _describe_left_out_rows(table):
        yield ""
        yield line


def _format_markdown_code(text: str) -> str:
    """Return a command that can be copied from the cell of a table; an empty cell if there is none."""
    if not text:
        return ""
    # Backticks cannot contain a line break or a vertical bar in a table; HTML can.
    lines = (
        html.escape(escape_unprintable(line)).replace("|", "&#124;").replace("\\", "&#92;").replace("`", "&#96;")
        for line in text.splitlines()
    )
    return f"<code>{'<br>'.join(lines).replace('*', '&#42;').replace('_', '&#95;').replace('$', '&#36;')}</code>"


def format_summary_slack(summary: ResultSummary) -> str:
    """Return the JSON of a message in Slack's Block Kit, to be sent to an incoming webhook.

    It has at most ten notes and eight tables, because Slack limits the number of blocks.
    """
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": summary.title[:MAX_SLACK_HEADER_CHARACTERS]}},
        _build_slack_section(f"{_SLACK_SYMBOL_BY_VERDICT[summary.verdict]} {_escape_slack(summary.headline)}"),
    ]
    # Slack rejects a message of more than 50 blocks.
    blocks += [_build_slack_section(_escape_slack(note)) for note in summary.notes[:10]]
    for table in summary.tables[:8]:
        lines = [" | ".join(row) for row in (table.headings, *table.rows[:MAX_SLACK_TABLE_ROWS])]
        if not table.rows:
            continue
        hidden = len(table.rows) - MAX_SLACK_TABLE_ROWS
        text = "\n".join([*(" ".join(line.split()) for line in lines), *([f"and {hidden} more"] if hidden > 0 else [])])
        # Cut after escaping, which makes the text longer, and with room for the six backticks around it.
        shown = _escape_slack(text)[: MAX_SLACK_TEXT_CHARACTERS - 10].replace("```", "'''")
        blocks.append(_build_slack_section(f"```{shown}```"))
    # The text is what a notification shows.
    return json.dumps({"text": f"{summary.title}: {summary.headline}"[:MAX_SLACK_TEXT_CHARACTERS], "blocks": blocks})


def _build_slack_section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text[:MAX_SLACK_TEXT_CHARACTERS]}}


def _escape_slack(text: str) -> str:
    # Slack reads only these three characters specially, and <!channel> notifies everybody.
    return escape_unprintable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def format_summary_annotation(summary: ResultSummary) -> str:
    """Return one workflow command of GitHub Actions: an error if it failed, a notice if it passed, else a warning."""
    message = escape_workflow_command_message("\n".join((summary.headline, *summary.notes)))
    title = escape_workflow_command_property(summary.title)
    return f"::{_WORKFLOW_COMMAND_BY_VERDICT[summary.verdict]} title={title}::{message}\n"


def format_prometheus_text(summary: ResultSummary) -> str:
    """Return the metrics in Prometheus's text format, for a textfile collector or a push gateway.

    Raises:
        MissingExtraError: the extra `prometheus` is not installed.
    """
    from voicegauge.errors import MissingExtraError

    try:
        from prometheus_client import CollectorRegistry, Gauge, generate_latest
    except ImportError as error:
        raise MissingExtraError("metrics for Prometheus", "prometheus") from error
    registry = CollectorRegistry()
    gauges: dict[str, Gauge] = {}
    for metric in summary.metrics:
        if metric.name not in gauges:
            gauges[metric.name] = Gauge(metric.name, metric.help, sorted(metric.labels), registry=registry)
        gauge = gauges[metric.name]
        (gauge.labels(**metric.labels) if metric.labels else gauge).set(metric.value)
    text: bytes = generate_latest(registry)
    return text.decode()


def _describe_left_out_rows(table: SummaryTable) -> list[str]:
    hidden = len(table.rows) - MAX_TABLE_ROWS
    return [f"and {hidden} more"] if hidden > 0 else []
