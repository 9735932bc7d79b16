"""Renders a report as one HTML page, readable without JavaScript, and runs as a site of such pages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from voicegauge.bench import DEFAULT_TEXT_LENGTH
from voicegauge.bench.comparison_result import PAIRED_CHANGE_NOTE
from voicegauge.bench.speech_summaries import describe_readings, describe_sockets
from voicegauge.bench.target_samples import list_places
from voicegauge.bench.target_summaries import TargetSummary, describe_wrong_charges
from voicegauge.bench.voice_quality import describe_predicted_quality, describe_steadiness, describe_voice
from voicegauge.files import PAGE_MARK, check_replaceable, write_file
from voicegauge.model.base import Provenance
from voicegauge.model.ramp import format_load_number
from voicegauge.model.run import Run
from voicegauge.printable_text import escape_unprintable
from voicegauge.report._plot_geometry import (
    NARROW_PLOT_SIZE_PX,
    WIDE_PLOT_SIZE_PX,
    AxisScale,
    ScatterAxes,
    ScatterPlot,
    build_scatter_plot,
    choose_shared_axes,
    filter_plottable_targets,
)
from voicegauge.report._ranking import (
    CertainLeads,
    RankedRow,
    build_anchors,
    build_ranked_rows,
    compute_certain_leads,
    describe_weights,
)
from voicegauge.report._result_tables import (
    ERROR_RATE_SHADE_THRESHOLDS,
    SORT_COLUMN_KEYS,
    HeatTable,
    TableColumn,
    TableRow,
    build_comparison_columns,
    build_comparison_rows,
    build_heat_tables,
    build_row_sort_key,
    format_time_bounds,
)
from voicegauge.report.findings_page import NO_CHECK_AND_DRIFT_REPORTS, CheckAndDriftReports
from voicegauge.report.report_data import AnalyzedRuns, BenchReport, RunReport, analyze_runs
from voicegauge.report.run_comparison import (
    RunDifference,
    RunFact,
    choose_run_letters,
    compare_with_earlier_run,
    list_differing_facts,
    list_environment_facts,
    list_incomparable_facts,
    list_main_facts,
)
from voicegauge.report.scored_clips import DEFAULT_MAX_CLIPS, ClipPlayer, load_excerpts, load_players
from voicegauge.report.target_sections import (
    LATENCY_CURVE_HEIGHT_PX,
    LATENCY_CURVE_WIDTH_PX,
    PHASE_LABELS,
    LatencyChart,
    TargetSection,
    build_latency_chart,
    build_target_sections,
    choose_shared_time_axis,
)
from voicegauge.report.text_format import (
    capitalize_sentence,
    create_template_environment,
    format_interval,
    format_ms,
    format_number,
    format_percent,
    format_usd,
    render_template,
)

if TYPE_CHECKING:
    from markupsafe import Markup


ADDITIONAL_TEXT_LENGTHS = (100, 1_000, 5_000)
"""Text lengths shown in addition to the chosen one: a sentence or two, a paragraph, an article."""
MAX_FAILURES_SHOWN = 30
"""Largest number of groups of failures that the page lists."""
MAX_TARGETS_PRINTED_OPEN = 5
"""Up to this number of targets, the sections of all are printed, also of those that are closed on the screen."""
_UNNAMED_TARGETS_PATTERN = re.compile(r"(?<= and )(\d[\d,]* others?)\b")
"""Matches the count of targets that a sentence does not name, such as "66 others"."""

STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "charts.css", "targets.css", "clips.css", "media.css")
"""Files of the style sheet of the page of a report, in order."""
SCRIPT_FILES = ("start.js", "fragment.js", "table.js", "prices.js", "ranking.js", "players.js", "end.js")
"""Files of the page's only script, in order; all of them share one scope."""


class SiteLinks(NamedTuple):
    """File names of other pages of a site, to which the page of a run links."""

    index_file: str
    """Page that lists all runs."""
    earlier_run_file: str
    """Page of the run before this one; empty if there is none."""
    later_run_file: str
    """Page of the run after this one; empty if there is none."""


class RunView(NamedTuple):
    """One run as the template shows it."""

    run_letter: str
    """Letter of the run; empty if the report has a single run."""
    run_report: RunReport
    table_rows: tuple[TableRow, ...]
    scatter_plots: tuple[ScatterPlot, ...]
    """The scatter plot for a wide and for a narrow screen; empty if no target has both a latency and an error rate."""
    latency_chart: LatencyChart
    heat_tables: tuple[HeatTable, ...]
    target_sections: tuple[TargetSection, ...]
    ranked_rows: tuple[RankedRow, ...]
    anchor_by_target: dict[str, str]
    """HTML id of each target's section in the page, by target id."""

    @property
    def id_suffix(self) -> str:
        """Suffix of HTML ids that belong to the run; empty if the report has a single run."""
        return f"-{self.run_letter.lower()}" if self.run_letter else ""

    @property
    def topic_labels(self) -> dict[str, str]:
        """Displayed name of each topic of a verdict, by the topic's id."""
        return {
            "rehearsal": "Rehearsal",
            "speed": "Speed",
            "intelligibility": self.quality_name,
            "price": "Price",
            "reliability": "Reliability",
        }

    @property
    def quality_name(self) -> str:
        """Word for what error rates measure: "Accuracy" if the target itself transcribes, else "Intelligibility"."""
        return self.run_report.manifest.quality_name.capitalize()

    @property
    def ranking_note(self) -> str:
        """The criteria of the default ranking of the targets, in words."""
        return describe_weights(self.run_report.ranking).replace("intelligibility", self.quality_name.lower())

    @property
    def tied_error_rates_note(self) -> str:
        """Why error rates give all targets the same points, whatever their weight; empty if they do not."""
        if not self.run_report.ranking.has_tied_errors:
            return ""
        return (
            f"{self.quality_name} does not separate these targets: the ASR engine's own error rate is at least as "
            "large as every difference between them, so all of them have 100 points for it."
        )

    @property
    def is_emulated(self) -> bool:
        """Whether the emulator sent the responses."""
        return self.run_report.manifest.provenance is not Provenance.LIVE

    @property
    def rehearsal_mark(self) -> str:
        """Word beside every name and chart of a rehearsal, such as "EMULATED"; empty for any other run."""
        return self.run_report.manifest.rehearsal_mark

    @property
    def wrong_charges(self) -> str:
        """How far charges are from documented prices, for the headline; empty if they agree."""
        return describe_wrong_charges(self.run_report.targets)

    @property
    def no_clips_reason(self) -> str:
        """Why the report has no clips of the run; empty if it has some."""
        if self.run_report.random_clips or self.run_report.worst_clips:
            return ""
        if self.run_report.manifest.kind == "transcription":
            return "Speech to text delivers no audio, so there is nothing to play."
        if not any(target.sample_count for target in self.run_report.targets):
            return "No request was measured, so there is nothing to play."
        if all(target.failure_count == target.sample_count for target in self.run_report.targets):
            return "No request delivered audio, so there is nothing to play."
        return "Nothing was scored, so there are no clips to listen to."

    @property
    def targets_in_table_order(self) -> tuple[TargetSummary, ...]:
        """The targets in the order of the comparison table."""
        return tuple(row.summary for row in self.table_rows)


def write_report(runs: Sequence[tuple[Path, Run]], out_path: Path, *, text_length: int = DEFAULT_TEXT_LENGTH) -> Path:
    """Write `runs` as one HTML page that needs no other file and no network.

    Args:
        runs: each run with its folder; at least one.
        out_path: the file to write, completely or not at all.
        text_length: text length at which prices are stated.

    Returns:
        The path of the file.

    Raises:
        DataError: a run's scores do not contain every sample.
        UsageError: the file cannot be written.
    """
    write_file(out_path, render_page(analyze_runs(runs, text_length=text_length)).encode())
    return out_path


def render_page(
    analyzed_runs: AnalyzedRuns,
    *,
    check_and_drift_reports: CheckAndDriftReports = NO_CHECK_AND_DRIFT_REPORTS,
    site_links: SiteLinks | None = None,
) -> str:
    """Render the HTML page of a report.

    Args:
        analyzed_runs: the runs and the data of the report; audio is read from the folders of the runs.
        check_and_drift_reports: saved results of `check` and `drift`, shown with the targets that they concern.
        site_links: links to the other pages of the site that the page is part of; `None` for a page on its own.
    """
    report = analyzed_runs.report
    targets = [target for run in report.runs for target in run.targets]
    columns = build_comparison_columns(targets, report.text_length, report.characters_per_month)
    # The audio of all runs together is limited: the players of one run follow those of the run before.
    runs = list(zip(analyzed_runs.runs, report.runs, strict=True))
    players = iter(
        load_players((folder, clip) for (folder, _), run in runs for clip in (*run.worst_clips, *run.random_clips))
    )
    excerpts = iter(load_excerpts((folder, clip) for (folder, _), run in runs for clip in run.wrong_clips))
    # Shared by all runs, so that their plots and bars can be compared by eye.
    axes, time_axis = choose_shared_axes(targets), choose_shared_time_axis(targets)
    run_letters = choose_run_letters(len(runs)) if len(runs) > 1 else [""]
    views = [
        _build_run_view(
            run,
            run_letter,
            columns,
            axes,
            time_axis,
            players,
            excerpts=excerpts,
            saved_run=saved,
            leads=compute_certain_leads(run.targets, compared, has_tied_errors=run.ranking.has_tied_errors),
            check_and_drift_reports=check_and_drift_reports,
        )
        for run_letter, ((_, saved), run), compared in zip(run_letters, runs, analyzed_runs.differences, strict=True)
    ]
    differences = compare_with_earlier_run([run for _, run in analyzed_runs.runs], run_letters)
    return _render_template(report, views, columns, differences, site_links)


def _build_run_view(
    run_report: RunReport,
    run_letter: str,
    columns: Sequence[TableColumn],
    axes: ScatterAxes,
    time_axis: AxisScale,
    players: Iterator[ClipPlayer],
    *,
    excerpts: Iterator[ClipPlayer],
    saved_run: Run,
    leads: CertainLeads,
    check_and_drift_reports: CheckAndDriftReports,
) -> RunView:
    sizes = (WIDE_PLOT_SIZE_PX, NARROW_PLOT_SIZE_PX) if filter_plottable_targets(run_report.targets) else ()
    rows = build_comparison_rows(run_report.targets, columns, is_rehearsal=run_report.manifest.is_rehearsal)
    anchors = build_anchors([target.target for target in run_report.targets], run_letter)
    ranked = build_ranked_rows(run_report.ranking, run_report.targets, leads, anchors)
    summaries = {target.target: target for target in run_report.targets}
    numbered = [summaries[row.target] for row in ranked]  # only those that delivered something
    ordered = [row.summary for row in rows]
    return RunView(
        run_letter=run_letter,
        run_report=run_report,
        table_rows=rows,
        scatter_plots=tuple(build_scatter_plot(numbered, axes, size) for size in sizes),
        latency_chart=build_latency_chart(ordered, time_axis),
        heat_tables=build_heat_tables(ordered),
        target_sections=build_target_sections(
            run_report,
            saved_run,
            ordered,
            anchors,
            check_and_drift_reports,
            worst_clips=[(clip, next(players)) for clip in run_report.worst_clips],
            random_clips=[(clip, next(players)) for clip in run_report.random_clips],
            wrong_clips=[(clip, next(excerpts)) for clip in run_report.wrong_clips],
        ),
        ranked_rows=ranked,
        anchor_by_target=anchors,
    )


def _render_template(
    report: BenchReport,
    run_views: Sequence[RunView],
    columns: Sequence[TableColumn],
    differences: Sequence[RunDifference],
    site_links: SiteLinks | None,
) -> str:
    rows = [(view, row) for view in run_views for row in view.table_rows]
    has_rehearsal = any(run.manifest.is_rehearsal for run in report.runs)
    # A position in a table is a rank, too.
    rows.sort(key=lambda pair: pair[1].summary.target if has_rehearsal else build_row_sort_key(pair[1]))
    keys = set() if has_rehearsal else {column.key for column in columns}
    # At first the page shows the weights of the first run whose headline says what to choose.
    shown = next((run for run in report.runs if run.ranking.decision), report.runs[0])
    _add_template_filters()
    # In the headings that all runs share; empty if the services themselves answered in any of them.
    marks = dict.fromkeys(view.rehearsal_mark for view in run_views)
    return render_template(
        "page.html.j2",
        STYLE_SHEET_FILES,
        SCRIPT_FILES,
        report=report,
        views=run_views,
        site=site_links,
        shared_mark="" if "" in marks else " AND ".join(marks),
        table=rows,
        has_best=any(any(row.best_cell_flags) for _, row in rows),
        sorted_by=next((key for key in SORT_COLUMN_KEYS if key in keys), ""),
        columns=columns,
        characters_per_month=report.characters_per_month,
        weights=msgspec.structs.asdict(shown.ranking.weights),
        differences=differences,
        paired_change_note=PAIRED_CHANGE_NOTE,
        differing_facts=list_differing_facts(report) if differences else (),
        incomparable=list_incomparable_facts(report),
        facts=_remove_empty_facts(list_main_facts(report)),
        environment=_remove_empty_facts(list_environment_facts(report)),
        lengths=[length for length in ADDITIONAL_TEXT_LENGTHS if length != report.text_length],
        phase_labels=PHASE_LABELS,
        shade_thresholds=ERROR_RATE_SHADE_THRESHOLDS,
        curve_size=(LATENCY_CURVE_WIDTH_PX, LATENCY_CURVE_HEIGHT_PX),
        failures_shown=MAX_FAILURES_SHOWN,
        targets_printed_open=MAX_TARGETS_PRINTED_OPEN,
    )


def _add_template_filters() -> None:
    """Add the filters of the page of a report to the environment of all templates."""
    filters: dict[str, Callable[..., str | list[str]]] = {
        "bounds": format_time_bounds,
        "interval": lambda estimate: format_interval(estimate, 100, 1),
        "interval_ms": format_interval,
        "link_others": _link_count_of_unnamed_targets,
        "load": format_load_number,
        "json": lambda records: msgspec.json.encode(records).decode(),
        "ms": format_ms,
        "number": format_number,
        "percent": format_percent,
        "rating": describe_predicted_quality,
        "readings": describe_readings,
        "sentence": capitalize_sentence,
        "sockets": describe_sockets,
        "usd": format_usd,
        "steadiness": describe_steadiness,
        "voice": describe_voice,
    }
    create_template_environment().filters |= filters


def _link_count_of_unnamed_targets(text: str) -> Markup:
    """Escape a sentence as HTML, and link a count such as "66 others" to the table that names these targets."""
    from markupsafe import Markup, escape

    before, *unnamed = _UNNAMED_TARGETS_PATTERN.split(escape_unprintable(text), maxsplit=1)
    if not unnamed:
        return escape(before)
    return escape(before) + Markup('<a href="#comparison">{}</a>').format(unnamed[0]) + unnamed[1]


def _remove_empty_facts(facts: Sequence[RunFact]) -> list[RunFact]:
    """Return `facts` without those that have no value for any run."""
    return [fact for fact in facts if any(fact.run_values)]


# Writes a page for each run, pages that compare a run with the one before, and an index of all.


INDEX_FILE_NAME = "index.html"
"""File name of the list of all runs."""
HISTORY_FILE_NAME = "history.html"
"""File name of the page of a history; the index links to it if it is in the folder of the site."""
COMPARISON_FILE_SUFFIX = "-compared.html"
"""What follows the name of a run in the file name of the page that compares it with the run before."""
SITE_STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "site.css", "media.css")
"""Files of the style sheet of the list of all runs, in order."""
MAX_TARGETS_SHOWN_PER_RUN = 6
"""Largest number of targets that the entry of a run in the index names."""
MAX_RUN_ID_CHARACTERS_IN_FILE_NAME = 80
"""Maximum number of characters of a run's id that are used in the file name of its page."""

SavedRun = tuple[Path, Run]
"""A run with its folder."""


class ComparisonLink(NamedTuple):
    """A link to the page that compares a run with the one before it."""

    file: str
    """File name of the page."""
    headline: str
    """The differences between the two runs in one sentence."""


class SiteEntry(NamedTuple):
    """The entry of one run in the index."""

    page_file: str
    """File name of the page of the run."""
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
        return tuple(target.target for target in self.run_report.targets[:MAX_TARGETS_SHOWN_PER_RUN])

    @property
    def hidden_target_count(self) -> int:
        """Number of targets that the entry does not name."""
        return max(len(self.run_report.targets) - MAX_TARGETS_SHOWN_PER_RUN, 0)

    @property
    def request_count(self) -> int:
        """Number of measured requests of all targets, with failed ones and without lost ones."""
        return sum(target.sample_count for target in self.run_report.targets)

    @property
    def has_results(self) -> bool:
        """Whether any measured request succeeded."""
        return self.request_count > self.failure_count

    @property
    def failure_count(self) -> int:
        """Number of measured requests of all targets that failed."""
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
    # All of them before the first one is written, so that a refusal leaves the folder as it was.
    page_files = [f"{name}{suffix}" for name in names for suffix in (".html", COMPARISON_FILE_SUFFIX)]
    for name in (INDEX_FILE_NAME, *page_files):
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
            before = latest.get(_build_comparison_key(one[1]))
            if before is not None:
                run_pair = (ordered[before], one)
                comparison = _write_comparison_page(folder, run_pair, (names[before], names[number]), text_length)
                entry = entry._replace(comparison_link=comparison)
            # After the comparison, and only with results: a run without any would hide the one before.
            latest[_build_comparison_key(one[1])] = number
        entries.append(entry)
        on_page_written(number + 1, len(ordered))
    write_file(folder / INDEX_FILE_NAME, _render_index(entries[::-1], has_history=has_history).encode())
    return folder / INDEX_FILE_NAME


def _build_comparison_key(run: Run) -> tuple[str, ...]:
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
        # In lower case, because file systems that ignore case would write "Run" and "run" to the same file.
        used[slug.lower()] += 1
        yield f"run-{slug}" if used[slug.lower()] == 1 else f"run-{slug}--{used[slug.lower()]}"


def _write_comparison_page(
    folder: Path, run_pair: tuple[SavedRun, SavedRun], page_names: tuple[str, str], text_length: int
) -> ComparisonLink:
    """Write the page that compares two runs; the clips are on the pages of the runs."""
    file = f"{page_names[1]}{COMPARISON_FILE_SUFFIX}"
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
        SITE_STYLE_SHEET_FILES,
        entries=entries,
        history=HISTORY_FILE_NAME if has_history else "",
        is_all_emulated=not any(entry.is_live for entry in entries),
    )
