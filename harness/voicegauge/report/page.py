"""The report as one HTML page: everything inline, nothing fetched, readable without JavaScript."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from voicegauge.bench.analysis import TargetSummary
from voicegauge.model import Provenance, Run
from voicegauge.report import text
from voicegauge.report.clips import ClipPlayer, WorstClip, players
from voicegauge.report.facts import RunFact, RunHighlight, environment, highlights, incomparable, is_uneven, key_facts
from voicegauge.report.gather import Report, RunReport
from voicegauge.report.heat import STEPS, HeatTable, heat_tables
from voicegauge.report.scales import AxisScale
from voicegauge.report.scatter import NARROW, WIDE, Scatter, ScatterAxes, measured, scatter, shared_axes
from voicegauge.report.table import SORT_KEYS, TableColumn, TableRow, bounds, columns, groups, order, rows
from voicegauge.report.timeline import PARTS, LatencyChart, shared_axis, timeline

if TYPE_CHECKING:
    from jinja2 import Environment

COST_LENGTHS = (100, 1_000, 5_000)
"""Characters of a sentence or two, a paragraph and an article, beside the length that was chosen."""
CLIPS_SHOWN = 6
"""The others are folded away."""
FAILURES_SHOWN = 30

_LANGUAGE = re.compile(r"[a-z]{2}(-[A-Za-z]{2,4})?")


class RunView(NamedTuple):
    """One run as the template prints it."""

    name: str
    """A letter where there are several runs, else empty."""
    mixed: bool
    """Some of the page's runs are emulated and some are not, so each row says it."""
    report: RunReport
    highlights: tuple[RunHighlight, ...]
    rows: tuple[TableRow, ...]
    scatters: tuple[Scatter, ...]
    """For a wide and for a narrow screen; empty where nothing has both a time and an error rate."""
    timeline: LatencyChart
    heat: tuple[HeatTable, ...]
    clips: tuple[tuple[WorstClip, ClipPlayer], ...]

    @property
    def emulated(self) -> bool:
        """Whether the emulator answered."""
        return self.report.manifest.provenance is not Provenance.RECORDED

    @property
    def uneven(self) -> bool:
        """Whether its targets did not all speak the same languages."""
        return is_uneven(self.report)

    @property
    def no_clips(self) -> str:
        """Why there is no clip to show, where there is none."""
        rates = [rate.corpus.value for target in self.report.targets for rate in (target.wer, target.cer) if rate]
        if not rates:
            return "Nothing was scored, so there is no worst clip."
        if any(rates):
            return "No audio came of what was not understood, so there is nothing to play."
        return "Every scored clip was understood without error."

    @property
    def ordered(self) -> tuple[TargetSummary, ...]:
        """The targets in the order of the comparison table."""
        return tuple(row.summary for row in self.rows)


def render_page(report: Report, runs: Sequence[tuple[Path, Run]]) -> str:
    """The page for `report`, with audio read from the folders of the `runs` that it was gathered from."""
    targets = [target for run in report.runs for target in run.targets]
    shown = columns(targets, report.characters)
    sounds = _sounds(report, [folder for folder, _ in runs])
    axes, axis = shared_axes(targets), shared_axis(targets)
    mixed = len({run.manifest.provenance for run in report.runs}) > 1
    views = [
        _view(run, _letter(i, len(report.runs)), shown, axes, axis, sound, mixed=mixed)
        for i, (run, sound) in enumerate(zip(report.runs, sounds, strict=True))
    ]
    return _render(report, views, shown)


def _letter(index: int, runs: int) -> str:
    """Letters from A to Z, then numbers from 27 on; a single run needs none."""
    if runs == 1:
        return ""
    return chr(ord("A") + index) if index < 26 else str(index + 1)


def _sounds(report: Report, folders: Sequence[Path]) -> list[list[ClipPlayer]]:
    """The players of each run; all runs share one allowance."""
    flat = [(folder, clip) for run, folder in zip(report.runs, folders, strict=True) for clip in run.worst]
    made = iter(players(flat))
    return [[next(made) for _ in run.worst] for run in report.runs]


def _view(
    run: RunReport,
    name: str,
    shown: Sequence[TableColumn],
    axes: ScatterAxes,
    axis: AxisScale,
    sounds: Sequence[ClipPlayer],
    *,
    mixed: bool,
) -> RunView:
    drawn = measured(run.targets)
    sorted_rows = rows(run.targets, shown)
    ordered = [row.summary for row in sorted_rows]
    return RunView(
        name=name,
        mixed=mixed,
        report=run,
        highlights=highlights(run),
        rows=sorted_rows,
        scatters=tuple(scatter(run.targets, axes, size) for size in (WIDE, NARROW)) if drawn else (),
        timeline=timeline(ordered, axis),
        heat=heat_tables(ordered),
        clips=tuple(zip(run.worst, sounds, strict=True)),
    )


def _render(report: Report, views: Sequence[RunView], shown: Sequence[TableColumn]) -> str:
    from markupsafe import Markup

    style, script = (_asset(name) for name in ("style.css", "script.js"))
    return (
        _jinja()
        .get_template("page.html.j2")
        .render(
            report=report,
            views=views,
            table=sorted(((view, row) for view in views for row in view.rows), key=lambda pair: order(pair[1])),
            sorted_by=next((key for key in SORT_KEYS if key in {column.key for column in shown}), ""),
            columns=shown,
            groups=groups(shown),
            incomparable=incomparable(report),
            facts=_facts(key_facts(report)),
            environment=_facts(environment(report)),
            lengths=[length for length in COST_LENGTHS if length != report.characters],
            parts=PARTS,
            steps=STEPS,
            style=Markup(style),  # noqa: S704 - our own file
            script=Markup(script),  # noqa: S704 - our own file
            policy=_policy(style, script),
            clips_shown=CLIPS_SHOWN,
            failures_shown=FAILURES_SHOWN,
        )
    )


@cache
def _jinja() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("voicegauge.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    made.filters |= {
        "bounds": bounds,
        "ms": text.milliseconds,
        "number": text.number,
        "percent": text.percent,
        "usd": text.usd,
    }
    made.tests["language"] = lambda value: bool(_LANGUAGE.fullmatch(value))
    return made


def _facts(found: Sequence[RunFact]) -> list[RunFact]:
    """Those that say anything for at least one run."""
    return [fact for fact in found if any(fact.values)]


def _finalize(value: Any) -> Any:
    """Applied to whatever the template prints: no character of it hides or reorders others."""
    return text.visible(value) if type(value) is str else value


def _asset(name: str) -> str:
    return (files("voicegauge.report") / "templates" / name).read_text(encoding="utf-8")


def _policy(style: str, script: str) -> str:
    """A content security policy: our own style and script by their digest, audio within the page, no more."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; media-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(content: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
