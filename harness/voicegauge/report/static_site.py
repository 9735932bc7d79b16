"""Writes many runs as a static site: an index, a page for each run, and a comparison of consecutive runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from voicegauge.bench.defaults import DEFAULT_TEXT_LENGTH
from voicegauge.bench.place_summaries import list_places
from voicegauge.files import write_file
from voicegauge.model.base import Provenance
from voicegauge.model.run import Run
from voicegauge.report._page_assets import create_template_environment, load_assets
from voicegauge.report._run_comparison import choose_run_letters, compare_with_first_run
from voicegauge.report._text_format import capitalize_sentence
from voicegauge.report.html_page import SiteLinks, render_page
from voicegauge.report.report_data import RunReport, analyze_runs
from voicegauge.report.scored_clips import DEFAULT_MAX_CLIPS

INDEX_FILE_NAME = "index.html"
HISTORY_FILE_NAME = "history.html"
"""File name of the page of a history; the index links to it if it is in the folder of the site."""
STYLE_SHEET_FILES = ("base.css", "verdict.css", "tables.css", "site.css", "media.css")
MAX_TARGETS_SHOWN = 6
"""Largest number of targets that the entry of a run in the index names."""
MAX_NAME_CHARACTERS = 80
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
        UsageError: a file cannot be written.
    """
    ordered = sorted(runs, key=lambda one: (one[1].manifest.created_at, one[1].manifest.run_id))
    names = list(_choose_page_names([run for _, run in ordered]))
    has_history = (folder / HISTORY_FILE_NAME).is_file()
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
        slug = re.sub(r"[^A-Za-z0-9]+", "-", run.manifest.run_id).strip("-")[:MAX_NAME_CHARACTERS] or "run"
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
    difference = compare_with_first_run([run for _, run in run_pair], choose_run_letters(2))[0]
    return ComparisonLink(file, difference.headline)


def _render_index(entries: Sequence[SiteEntry], *, has_history: bool) -> str:
    assets = load_assets(STYLE_SHEET_FILES, ())
    template = create_template_environment().get_template("site.html.j2")
    return template.render(
        entries=entries,
        history=HISTORY_FILE_NAME if has_history else "",
        is_all_emulated=not any(entry.is_live for entry in entries),
        style=assets.style,
        policy=assets.content_security_policy,
    )
