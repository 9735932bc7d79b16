"""Writes runs as CSV with one row per sample, as Markdown tables for a pull request, and as a static site."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from voicegauge.bench import DEFAULT_TEXT_LENGTH
from voicegauge.bench.part_summaries import describe_sockets, list_places
from voicegauge.bench.speech_summaries import describe_readings, describe_steadiness
from voicegauge.bench.target_cost import compute_target_cost
from voicegauge.bench.target_samples import group_counted_samples_by_target
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_voice
from voicegauge.files import MARKDOWN_MARK, PAGE_MARK, check_replaceable, write_file
from voicegauge.model.base import Provenance
from voicegauge.model.exchange import describe_unresolved_requests
from voicegauge.model.price import explain_price_remarks
from voicegauge.model.run import Run
from voicegauge.model.sample import SAMPLE_COLUMNS, ColumnValue
from voicegauge.printable_text import escape_unprintable
from voicegauge.report._result_tables import TableCell, build_comparison_columns, build_comparison_rows
from voicegauge.report._run_comparison import choose_run_letters, compare_with_earlier_run
from voicegauge.report.html_page import SiteLinks, render_page
from voicegauge.report.report_data import AnalyzedRuns, BenchReport, RunReport, analyze_runs
from voicegauge.report.scored_clips import DEFAULT_MAX_CLIPS
from voicegauge.report.text_format import capitalize_sentence, format_ms, format_percent, render_template

_SPREADSHEET_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
"""Characters that make a spreadsheet evaluate a cell that starts with one of them (OWASP, "CSV injection")."""


PRICE_COLUMNS = ("target_usd", "target_low_usd", "target_high_usd", "target_price_unit", "target_price_text")
"""Columns with the price of a sample's target: by the claim that counts, the lowest and the highest one, what it is
for, and as other reports show it."""


def render_csv(runs: Sequence[tuple[Path, Run]]) -> str:
    """Render one row per sample with the latest scores of its run; warm-up samples are included and marked.

    The columns are `SAMPLE_COLUMNS` and `PRICE_COLUMNS`. Booleans are 0 and 1. Texts that a spreadsheet would evaluate
    as a formula are prefixed with an apostrophe.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*(column.name for column in SAMPLE_COLUMNS), *PRICE_COLUMNS])
    for _, run in runs:
        prices = _compute_price_values(run)
        for row in run.iterate_sample_rows():
            # A run that was not written by voicegauge may have samples of a target that it does not list.
            price = prices.get(row.sample.target, [None] * len(PRICE_COLUMNS))
            values = [*(column.read_value(row) for column in SAMPLE_COLUMNS), *price]
            writer.writerow(map(_format_csv_value, values))
    return out.getvalue()


def _compute_price_values(run: Run) -> dict[str, list[ColumnValue]]:
    """Return the values of `PRICE_COLUMNS` by target id."""
    samples = group_counted_samples_by_target(run)
    values: dict[str, list[ColumnValue]] = {}
    for target in run.manifest.targets:
        cost = compute_target_cost(
            target,
            samples[target.id],
            DEFAULT_TEXT_LENGTH,
            takes_audio=run.manifest.kind != "speech",
            uses_measurements=run.manifest.provenance is Provenance.LIVE,
        )
        price = cost.comparison_price
        unit = "minute of audio" if cost.takes_audio else f"1M characters in texts of {cost.text_length}"
        values[target.id] = [price.usd, price.low_usd, price.high_usd, unit, price.describe()]
    return values


def _format_csv_value(value: ColumnValue) -> str | int | float | None:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if not isinstance(value, str):
        return value
    text = escape_unprintable(value)
    return f"'{text}" if text.startswith(_SPREADSHEET_FORMULA_STARTS) else text


def render_markdown(analyzed_runs: AnalyzedRuns) -> str:
    """Render each run as a table of its targets, preceded by its suite, date and ASR engine.

    Of several runs, the differences of the others from the first one are stated before the tables.
    """
    report = analyzed_runs.report
    tables = [line for run in report.runs for line in _format_run_as_markdown(run, report)]
    return "\n".join([*_format_run_differences([run for _, run in analyzed_runs.runs]), *tables])


def _format_run_differences(runs: Sequence[Run]) -> list[str]:
    """Return a Markdown list of the differences between runs, which are named A, B and so on; empty for one run."""
    if len(runs) == 1:
        return []
    names = choose_run_letters(len(runs))
    marks = [f" ({run.manifest.rehearsal_mark})" if run.manifest.is_rehearsal else "" for run in runs]
    lettered = ", ".join(
        f"{name}: {run.manifest.run_id}{mark}" for name, run, mark in zip(names, runs, marks, strict=True)
    )
    differences = compare_with_earlier_run(runs, names)
    return [_escape_markdown(lettered), "", *(f"- {_escape_markdown(one.headline)}" for one in differences), ""]


def _format_run_as_markdown(run: RunReport, report: BenchReport) -> list[str]:
    columns = build_comparison_columns(run.targets, report.text_length, report.characters_per_month)
    heads = [
        run.manifest.mark_heading("Target"),
        *(" ".join(filter(None, (_join_column_headings(c.group_heading, c.heading), c.unit))) for c in columns),
    ]
    rows = [
        [_escape_markdown(row.summary.target), *(_format_cell(cell) for cell in row.cells)]
        for row in build_comparison_rows(run.targets, columns, is_rehearsal=run.manifest.is_rehearsal)
    ]
    return [
        f"### {_format_run_heading(run)}",
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
        *_format_audio(run),
        *_format_price_notes(run, report.characters_per_month),
        *_format_ramp(run),
        *_format_places(run),
        *_format_unresolved_requests(run),
    ]


def _format_audio(run: RunReport) -> list[str]:
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
    mark = f" ({_escape_markdown(run.manifest.rehearsal_label)})" if run.manifest.is_rehearsal else ""
    return [f"Audio{mark}:", "", *lines, ""]


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
            f"{step.load:g}",
            str(step.request_count),
            f"{format_percent(step.success_rate)}%",
            format_ms(step.ttfa_p95_ms),
            format_ms(step.total_latency_p95_ms),
            f"{step.goodput_per_s:.3g}",
            step.verdict,
        ]
        for step in run.ramp.steps
    ]
    mark = f"{_escape_markdown(run.manifest.rehearsal_label)}: " if run.manifest.is_rehearsal else ""
    return [
        f"{mark}Ramp: {_escape_markdown(run.ramp.describe())}",
        "",
        *(_format_table(heads, rows, text_columns={len(heads) - 1}) if rows else []),
    ]


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
    mark = f"{_escape_markdown(run.manifest.rehearsal_label)}: " if run.manifest.is_rehearsal else ""
    return [
        f"{mark}By place (medians):",
        "",
        *_format_table(heads, rows, text_columns={0, 1}),
    ]


def _format_unresolved_requests(run: RunReport) -> list[str]:
    """Return a Markdown list of the requests that were paid for without a result; empty if there are none."""
    lines = describe_unresolved_requests(
        run.ambiguous_requests, run.open_jobs, is_emulated=run.manifest.provenance is not Provenance.LIVE
    )
    return [*(f"- {_escape_markdown(line)}" for line in lines), ""] if lines else []


def _join_column_headings(group: str, label: str) -> str:
    # Markdown has no spanning heads: "p50" or "Request" would not be clear without the group.
    return f"{group} {label}" if group in {"Errors", "Total latency", "Price"} else label


def _format_run_heading(run: RunReport) -> str:
    manifest = run.manifest
    prefix = f"{_escape_markdown(manifest.rehearsal_label)}: " if manifest.is_rehearsal else ""
    return f"{prefix}voicegauge {_escape_markdown(manifest.suite.id)}, {_escape_markdown(manifest.created_at)}"


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


INDEX_FILE_NAME = "index.html"
HISTORY_FILE_NAME = "history.html"
"""File name of the page of a history; the index links to it if it is in the folder of the site."""
STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "site.css", "media.css")
MAX_TARGETS_SHOWN = 6
"""Largest number of targets that the entry of a run in the index names."""
MAX_RUN_ID_CHARACTERS_IN_FILE_NAME = 80
"""Maximum number of characters of a run's id that are used in the file name of its page."""

SavedRun = tuple[Path, Run]
"""A run with its folder."""


class ComparisonLink(NamedTuple):
    """A link to the page that compares a run with the one before it."""

    file: str
    headline: str
    """The differences between the two runs in one sentence."""


class SiteEntry(NamedTuple):
    """The entry of one run in the index."""

    page_file: str
    run_report: RunReport
    comparison_link: ComparisonLink | None
    """Link to the comparison with an earlier run; `None` without a comparable earlier run, or if this run has no
    results."""

    @property
    def headline(self) -> str:
        """The results of the run in one sentence."""
        return capitalize_sentence(self.run_report.verdict.headline)

    @property
    def is_live(self) -> bool:
        """Whether live services were measured."""
        return self.run_report.manifest.provenance is Provenance.LIVE

    @property
    def shown_targets(self) -> tuple[str, ...]:
        """Ids of the targets that the entry names."""
        return tuple(target.target for target in self.run_report.targets[:MAX_TARGETS_SHOWN])

    @property
    def hidden_target_count(self) -> int:
        """Number of targets that the entry does not name."""
        return max(len(self.run_report.targets) - MAX_TARGETS_SHOWN, 0)

    @property
    def request_count(self) -> int:
        """Number of measured requests."""
        return sum(target.sample_count for target in self.run_report.targets)

    @property
    def has_results(self) -> bool:
        """Whether any measured request succeeded."""
        return self.request_count > self.failure_count

    @property
    def failure_count(self) -> int:
        """Number of measured requests that failed."""
        return sum(target.failure_count for target in self.run_report.targets)

    @property
    def lost_count(self) -> int:
        """Number of further requests that were sent, but have no saved result."""
        return sum(target.lost_count for target in self.run_report.targets)


def write_site(
    runs: Sequence[SavedRun],
    folder: Path,
    *,
    text_length: int = DEFAULT_TEXT_LENGTH,
    max_clips: int = DEFAULT_MAX_CLIPS,
    on_page_written: Callable[[int, int], None] = lambda _done, _total: None,
) -> Path:
    """Write `runs` as pages that link to each other and need no network.

    A run with results is compared with the latest earlier run that has results and the same kind, suite, provenance,
    region, places and faults.

    Args:
        runs: each run with its folder.
        folder: the folder of the site, which is created if needed; other files in it are kept.
        text_length: text length at which prices are stated.
        max_clips: number of the worst clips on the page of each run.
        on_page_written: called after each page with the number of runs that are written so far and the number of all
            runs.

    Returns:
        The path of the index.

    Raises:
        DataError: a run's scores do not contain every sample.
        UsageError: a file cannot be written, or would replace one that voicegauge has not written.
    """
    ordered = sorted(runs, key=lambda one: (one[1].manifest.created_at, one[1].manifest.run_id))
    names = list(_choose_page_names([run for _, run in ordered]))
    has_history = (folder / HISTORY_FILE_NAME).is_file()
    for name in (INDEX_FILE_NAME, *(f"{name}.html" for name in names)):
        check_replaceable(folder / name, PAGE_MARK)
    latest: dict[tuple[str, ...], int] = {}
    entries: list[SiteEntry] = []
    for number, one in enumerate(ordered):
        links = SiteLinks(
            index_file=INDEX_FILE_NAME,
            earlier_run_file=f"{names[number - 1]}.html" if number else "",
            later_run_file=f"{names[number + 1]}.html" if number + 1 < len(names) else "",
        )
        analyzed = analyze_runs([one], text_length=text_length, max_clips=max_clips)
        write_file(folder / f"{names[number]}.html", render_page(analyzed, site_links=links).encode())
        entry = SiteEntry(f"{names[number]}.html", analyzed.report.runs[0], None)
        if entry.has_results:
            before = latest.get(_get_comparison_key(one[1]))
            if before is not None:
                run_pair = (ordered[before], one)
                comparison = _write_comparison_page(folder, run_pair, (names[before], names[number]), text_length)
                entry = entry._replace(comparison_link=comparison)
            latest[_get_comparison_key(one[1])] = number
        entries.append(entry)
        on_page_written(number + 1, len(ordered))
    write_file(folder / INDEX_FILE_NAME, _render_index(entries[::-1], has_history=has_history).encode())
    return folder / INDEX_FILE_NAME


def _get_comparison_key(run: Run) -> tuple[str, ...]:
    """Return the properties in which two runs must be equal to be compared."""
    manifest = run.manifest
    conditions = (manifest.kind, manifest.suite.sha256, manifest.provenance.value, manifest.region or "")
    return (*conditions, " + ".join(list_places(run)), *manifest.fault_ids)


def _choose_page_names(runs: Sequence[Run]) -> Iterator[str]:
    """Yield a different file name, without its suffix, for the page of each run.

    The name contains only letters, digits and hyphens, whatever the id of the run contains.
    """
    used: Counter[str] = Counter()
    for run in runs:
        slug = (
            re.sub(r"[^A-Za-z0-9]+", "-", run.manifest.run_id).strip("-")[:MAX_RUN_ID_CHARACTERS_IN_FILE_NAME] or "run"
        )
        used[slug.lower()] += 1
        yield f"run-{slug}" if used[slug.lower()] == 1 else f"run-{slug}--{used[slug.lower()]}"


def _write_comparison_page(
    folder: Path, run_pair: tuple[SavedRun, SavedRun], page_names: tuple[str, str], text_length: int
) -> ComparisonLink:
    """Write the page that compares two runs; the clips are on the pages of the runs."""
    file = f"{page_names[1]}-compared.html"
    analyzed = analyze_runs(run_pair, text_length=text_length, max_clips=0)
    links = SiteLinks(
        index_file=INDEX_FILE_NAME, earlier_run_file=f"{page_names[0]}.html", later_run_file=f"{page_names[1]}.html"
    )
    write_file(folder / file, render_page(analyzed, site_links=links).encode())
    difference = compare_with_earlier_run([run for _, run in run_pair], choose_run_letters(2))[0]
    return ComparisonLink(file, difference.headline)


def _render_index(entries: Sequence[SiteEntry], *, has_history: bool) -> str:
    return render_template(
        "site.html.j2",
        STYLE_SHEET_FILES,
        entries=entries,
        history=HISTORY_FILE_NAME if has_history else "",
        is_all_emulated=not any(entry.is_live for entry in entries),
    )
