"""Scores, compares and reports saved benchmark runs."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from voicegauge.api.options import PathLike
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.target_selection import to_paths
from voicegauge.bench import running
from voicegauge.bench.analysis import (
    DEFAULT_MONTHLY_CHARACTERS,
    DEFAULT_TEXT_LENGTH_CHARACTERS,
    ChangeThreshold,
    CompareSettings,
    RunComparison,
    compare_runs,
    convert_credits,
)
from voicegauge.bench.analysis import compare_targets as compare_targets_of_run
from voicegauge.bench.running import find_run_folder, save_run
from voicegauge.bench.scoring import choose_scoring_asr, score_run
from voicegauge.contract import check_credit_price
from voicegauge.errors import UnknownNameError, UsageError
from voicegauge.files import write_file
from voicegauge.model import Provenance, Record, Run, ScoreSet, write_parquet
from voicegauge.report import (
    MAX_CLIPS,
    BenchReport,
    load_results,
    render_csv,
    render_markdown,
    render_page,
    summarize_runs,
)
from voicegauge.report import write_site as write_site_of_runs

TextFormat = Literal["html", "csv", "markdown"]
ReportFormat = Literal["html", "csv", "markdown", "parquet"]

REQUIRED_DETECTABLE_SLOWDOWN = 0.30
"""Slowdown that a comparison must be able to detect (0.3 is 30%); otherwise the verdict is "underpowered"."""
REQUIRED_DETECTABLE_ERROR_RATE = 0.05
"""Difference of error rates that a comparison must be able to detect; otherwise the verdict is "underpowered"."""


class ScoreResult(Record, frozen=True, kw_only=True):
    """The JSON that `voicegauge score --json` writes."""

    schema: str = "voicegauge/score/2"
    run: str
    """Path of the run's folder."""
    provenance: Provenance
    scores: ScoreSet


def load_run(path: PathLike) -> Run:
    """Load a saved run.

    >>> run = voicegauge.load_run(saved_run)
    >>> run.manifest.provenance.value
    'emulated'

    Args:
        path: the run's folder, or its run.json.

    Returns:
        The manifest, the samples and the scores; its `to_data_frame()` returns a row per sample. If the process that
        measured the run was killed, the samples are read from the run's journal.

    Raises:
        DataError: the run is missing, is damaged, or has another version of the format.
    """
    return running.load_run(Path(path))


def score(
    run: PathLike,
    *,
    asr: str = "auto",
    workers: int | None = None,
    cluster: str | None = None,
    progress: ProgressListener | None = None,
) -> ScoreResult:
    """Transcribe a saved run and count the errors; the scores are saved in the run.

    Args:
        run: the run's folder, or its run.json.
        asr: "auto", "whisper[:MODEL|FILE]", "faster-whisper[:MODEL|FOLDER]", "embedded" or "none". "auto" takes
            Whisper if its official weights are installed, otherwise faster-whisper if that is installed, otherwise,
            for emulated runs only, the small bundled model.
        workers: number of processes that transcribe; by default one per processor, at most 4.
        cluster: address of a Dask scheduler whose workers transcribe instead.
        progress: receives progress.

    Returns:
        The scores of every sample.

    Raises:
        UsageError: no engine can transcribe the run.
        DataError: the run cannot be read, or an audio file of the run is missing or was changed.
        UnreachableError: no scheduler responds at `cluster`.
    """
    path = Path(run)
    saved, folder = load_run(path), find_run_folder(path)
    with report_phase(progress or ProgressListener(), "transcribing") as transcribing:
        scores = score_run(folder, saved, asr, workers=workers, cluster=cluster, progress=transcribing.update)
    if scores is None:
        raise UsageError(f"nothing was transcribed: {choose_scoring_asr(asr, saved.manifest.provenance, ()).reason}")
    if not scores.scores:
        raise UsageError(f"{folder}: {_explain_unscored_run(saved, scores)}")
    # Scores of the same engine are replaced; the latest scores come last, where summaries look for them.
    others = tuple(one for one in saved.score_sets if (one.asr, one.normalizer) != (scores.asr, scores.normalizer))
    save_run(folder, msgspec.structs.replace(saved, score_sets=(*others, scores)))
    return ScoreResult(run=str(folder), provenance=saved.manifest.provenance, scores=scores)


def _explain_unscored_run(run: Run, scores: ScoreSet) -> str:
    if scores.left_out:
        return f"{scores.asr} knows none of its languages ({', '.join(scores.left_out)}): choose another --asr"
    return "it has no samples to score" + ("" if run.samples else ": it was stopped before the first one")


def compare(
    baseline: PathLike | Run | Sequence[PathLike | Run],
    run: PathLike | Run,
    *,
    alpha: float = 0.01,
    min_slowdown: float = 0.05,
    min_wer: float = 0.02,
    drift: float = 0.10,
    seed: int = 0,
) -> RunComparison:
    """Tell regressions from noise by comparing a run with one or several earlier runs.

    >>> comparison = voicegauge.compare(saved_run, saved_run)
    >>> comparison.regressions
    ()

    Args:
        baseline: an earlier run or its folder, or several. Five or more, such as those of several nights, replace the
            assumed `drift` by their own.
        run: the new run, or the path of its folder.
        alpha: probability that any metric of any target is falsely called a regression.
        min_slowdown: relative slowdowns smaller than this are ignored, even if statistically significant.
        min_wer: differences of error rates smaller than this are ignored (0.02 is two percentage points).
        drift: relative spread of times between runs that is assumed until five runs of the baseline show it.
        seed: seed of the resampling.

    Returns:
        A verdict for each metric of each target.

    Raises:
        DataError: a run cannot be read, or the runs are not comparable because they differ in suite, provenance, ASR
            engine, normalizer or concurrency, or have no target in common.
        UsageError: the baseline has no run.
    """
    settings = _build_compare_settings(alpha, min_slowdown, min_wer, drift, seed)
    baselines = [baseline] if isinstance(baseline, (Run, str, os.PathLike)) else list(baseline)
    if not baselines:
        raise UsageError("the baseline has no run: name at least one")
    return compare_runs([_load_run_if_path(one) for one in baselines], _load_run_if_path(run), settings)


def compare_targets(
    run: PathLike | Run,
    baseline_target: str,
    *,
    alpha: float = 0.01,
    min_slowdown: float = 0.05,
    min_wer: float = 0.02,
    seed: int = 0,
) -> RunComparison:
    """Compare the other targets of a run with one of its targets, paired by text and session.

    The targets of a run are measured in turn, so drift that they share cancels out: much smaller differences are found
    than between runs of different days.

    Args:
        run: a run of at least two targets, or the path of its folder.
        baseline_target: id of the target that the others are compared with.
        alpha: probability that any metric of any target is falsely called a regression.
        min_slowdown: relative slowdowns smaller than this are ignored, even if statistically significant.
        min_wer: differences of error rates smaller than this are ignored (0.02 is two percentage points).
        seed: seed of the resampling.

    Returns:
        A verdict for each metric of each other target; "regression" means worse than `baseline_target`.

    Raises:
        DataError: the run cannot be read, has no such target, or no other one.
    """
    settings = _build_compare_settings(alpha, min_slowdown, min_wer, 0.0, seed)
    return compare_targets_of_run(_load_run_if_path(run), baseline_target, settings)


def _load_run_if_path(run: PathLike | Run) -> Run:
    return run if isinstance(run, Run) else load_run(run)


def _build_compare_settings(
    alpha: float, min_slowdown: float, min_wer: float, drift: float, seed: int
) -> CompareSettings:
    return CompareSettings(
        alpha=alpha,
        drift=drift,
        # The detectable effect must stay well above the ignored one, or every verdict would be "underpowered".
        latency=ChangeThreshold(
            min_change=min_slowdown, detectable_change=max(REQUIRED_DETECTABLE_SLOWDOWN, 3 * min_slowdown)
        ),
        error_rate=ChangeThreshold(
            min_change=min_wer, detectable_change=max(REQUIRED_DETECTABLE_ERROR_RATE, 2.5 * min_wer)
        ),
        seed=seed,
    )


def build_report(
    runs: PathLike | Sequence[PathLike],
    *,
    text_length: int | None = None,
    characters_per_month: int | None = None,
    credit_rates: Mapping[str, float] | None = None,
    max_clips: int | None = None,
) -> BenchReport:
    """Summarize one or several saved runs.

    >>> report = voicegauge.build_report(saved_run)
    >>> [target.target for target in report.runs[0].targets]
    ['pixelapi/voice-design']

    Args:
        runs: folders of runs.
        text_length: number of characters of the text for which prices per million characters are stated; by default
            500.
        characters_per_month: number of characters of the month for which prices are stated, with the cheapest account
            plan for them; by default 10 million.
        credit_rates: price of one credit in dollars by provider, for prices that are documented in credits alone.
        max_clips: number of clips with the highest error rates to list for each run; by default 24.

    Returns:
        All numbers that a report shows.

    Raises:
        DataError: a run cannot be read.
        UnknownNameError: no run has a target of a provider in `credit_rates`.
        UsageError: the price of a credit is out of range.
    """
    for provider, usd in (credit_rates or {}).items():
        check_credit_price(provider, usd)
    loaded = [(find_run_folder(path), convert_credits(load_run(path), credit_rates or {})) for path in to_paths(runs)]
    known = {target.id.partition("/")[0] for _, run in loaded for target in run.manifest.targets}
    for provider in credit_rates or {}:
        if provider not in known:
            raise UnknownNameError("provider in the runs", provider, known)
    return summarize_runs(
        loaded,
        characters=text_length or DEFAULT_TEXT_LENGTH_CHARACTERS,
        monthly_characters=characters_per_month or DEFAULT_MONTHLY_CHARACTERS,
        clips=max_clips or MAX_CLIPS,
    )


def render_report(
    runs: PathLike | Sequence[PathLike],
    *,
    format: TextFormat = "html",
    report: BenchReport | None = None,
    findings: Sequence[PathLike] = (),
    changes: Sequence[PathLike] = (),
) -> str:
    """Render saved runs as a self-contained HTML page, as CSV or as Markdown.

    Args:
        runs: folders of runs.
        format: "html" for a page with players, "csv" for one row per sample, "markdown" for a table.
        report: the report returned by `build_report` for the same runs; needed only if `build_report` was called with
            arguments other than its defaults.
        findings: files that `check --json` has written; a page shows each finding with the targets that it concerns.
        changes: files that `drift --json` has written; a page shows the changes with the targets of the provider.

    Returns:
        The content of the page, CSV file or Markdown file.

    Raises:
        DataError: a run or a result cannot be read.
    """
    results = load_results(to_paths(findings), to_paths(changes))
    loaded = [(find_run_folder(path), load_run(path)) for path in to_paths(runs)]
    if format == "csv":
        return render_csv(loaded)
    gathered = report or build_report(runs)
    return render_markdown(gathered) if format == "markdown" else render_page(gathered, loaded, results=results)


def write_report(
    runs: PathLike | Sequence[PathLike],
    file: PathLike,
    *,
    format: ReportFormat = "html",
    report: BenchReport | None = None,
    findings: Sequence[PathLike] = (),
    changes: Sequence[PathLike] = (),
) -> Path:
    """Write a report of saved runs to a file.

    >>> page = voicegauge.write_report(saved_run, f"{folder}/page.html")
    >>> page.suffix
    '.html'

    Args:
        runs: folders of runs.
        file: the file to write.
        format: see `render_report`; "parquet" for one row per sample as a Parquet file, which needs the extra `data`.
        report: see `render_report`.
        findings: see `render_report`.
        changes: see `render_report`.

    Returns:
        The path of the file.

    Raises:
        DataError: a run cannot be read.
        UsageError: the file cannot be written.
        MissingExtraError: the extra `data` is not installed.
    """
    path = Path(file)
    if format == "parquet":
        content = io.BytesIO()
        write_parquet((row for run in to_paths(runs) for row in load_run(run).iterate_sample_rows()), content)
        write_file(path, content.getvalue())
    else:
        text = render_report(runs, format=format, report=report, findings=findings, changes=changes)
        write_file(path, text.encode())
    return path


def write_site(
    runs: PathLike | Sequence[PathLike],
    folder: PathLike,
    *,
    text_length: int | None = None,
    max_clips: int | None = None,
    progress: ProgressListener | None = None,
) -> Path:
    """Write saved runs as a static site: an index, a page for each run, and comparisons of consecutive runs.

    >>> voicegauge.write_site(saved_run, f"{folder}/site").name
    'index.html'

    Args:
        runs: folders of runs; one that is named twice is written once.
        folder: the folder of the site. If it contains `history.html`, the index links to it.
        text_length: number of characters of the text for which prices are stated; by default 500.
        max_clips: number of the worst clips on the page of each run; by default 24.
        progress: receives progress.

    Returns:
        The path of the index.

    Raises:
        DataError: a run cannot be read.
        UsageError: a file cannot be written.
    """
    folders = dict.fromkeys(find_run_folder(path).resolve() for path in to_paths(runs))
    loaded = [(path, load_run(path)) for path in folders]
    with report_phase(progress or ProgressListener(), "writing pages", len(loaded)) as writing:
        return write_site_of_runs(
            loaded,
            Path(folder),
            characters=text_length or DEFAULT_TEXT_LENGTH_CHARACTERS,
            clips=max_clips or MAX_CLIPS,
            on_page=writing.update,
        )
