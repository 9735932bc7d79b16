"""Loads, scores, compares and reports saved benchmark runs, and follows them over time."""

from __future__ import annotations

import gc
import io
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Sized
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from voicegauge.api.calls import CommandDeadline, create_keyword_function
from voicegauge.api.local_requests import (
    CompareRequest,
    CompareTargetsRequest,
    CompareThresholds,
    HistoryRequest,
    ReportRequest,
    ScoreRequest,
)
from voicegauge.api.progress import ProgressListener, choose_progress_listener, report_phase, report_phase_until
from voicegauge.api.target_selection import to_path_tuple
from voicegauge.bench import DEFAULT_CHARACTERS_PER_MONTH, DEFAULT_TEXT_LENGTH, run_store
from voicegauge.bench.audio_measurement import describe_damaged_audio
from voicegauge.bench.comparison import compare_runs
from voicegauge.bench.comparison import compare_targets as compare_targets_of_run
from voicegauge.bench.comparison_result import ChangeThreshold, CompareSettings, RunComparison
from voicegauge.bench.run_history import HistorySettings, RunHistory, read_run_history
from voicegauge.bench.run_store import find_run_folder, save_run
from voicegauge.bench.scoring import choose_scoring_asr, listen_to_run, score_run
from voicegauge.bench.target_cost import convert_credits_to_usd
from voicegauge.bench.target_samples import restrict_run_to_place
from voicegauge.bench.target_summaries import BenchResult
from voicegauge.bench.voice_quality import compare_run_voices, predict_run_quality
from voicegauge.contract.price_computation import check_credit_price
from voicegauge.errors import DataError, UnknownNameError, UsageError
from voicegauge.files import MARKDOWN_MARK, PAGE_MARK, PARQUET_MARK, check_replaceable, write_file
from voicegauge.model.base import Provenance
from voicegauge.model.run import ListeningSet, QualitySet, Run, ScoreSet, VoiceSet
from voicegauge.model.sample import write_parquet
from voicegauge.options import PathLike, with_checked_arguments
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.report.findings_page import load_check_and_drift_reports
from voicegauge.report.html_page import render_page
from voicegauge.report.html_page import write_site as write_site_of_runs
from voicegauge.report.report_data import AnalyzedRuns, BenchReport
from voicegauge.report.report_data import analyze_runs as analyze_saved_runs
from voicegauge.report.result_summaries import render_csv
from voicegauge.report.run_comparison import render_markdown
from voicegauge.report.scored_clips import DEFAULT_MAX_CLIPS
from voicegauge.speech.listening import get_listening_method
from voicegauge.speech.sound_quality import get_quality_method, require_quality_models
from voicegauge.speech.voice_encoder import load_voice_encoder

# Reads the history of a folder of saved runs, and writes it as a page.


def run_read_history(request: HistoryRequest) -> RunHistory:
    """Follow the metrics of each target over the saved runs of a folder, night by night.

    A night is a calendar day in UTC; its runs are pooled. Runs that differ in provenance, region, suite, load or base
    URL are never mixed, nor is what the workers of different places measured. A regression is reported when two nights
    in a row have shown it. What was read of a run is kept in `.voicegauge-history.sqlite` in the folder; the file may
    be deleted at any time.

    >>> history = voicegauge.read_history(saved_run)
    >>> history.run_count, [series.key.metric for series in history.series][:2], history.new_regressions
    (1, ['total_latency_ms', 'failures'], ())

    Returns:
        Series of values by night, changes of levels, changes of prices and contracts, and the runs that were left out.

    Raises:
        DataError: the folder cannot be read, or contains no finished run.
    """
    settings = HistorySettings(
        alpha=request.alpha, min_slowdown=request.min_slowdown, min_rate_change=request.min_error_rate_change
    )
    with report_phase(choose_progress_listener(request.progress), "reading runs") as reading:
        return read_run_history(Path(request.folder), settings, reading.update)


read_history = create_keyword_function(HistoryRequest, run_read_history, name="read_history")


# Loads saved runs.


@contextmanager
def pause_garbage_collection() -> Iterator[None]:
    """Switch the garbage collector off while the context lasts.

    The records of a run form no reference cycles, and the search for cycles takes a sixth of the time of loading.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


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
        UsageError: `path` is not a path.
    """
    if not isinstance(path, (str, os.PathLike)):
        raise UsageError(f"load_run takes the path of a run's folder or of its run.json, not {type(path).__name__}")
    return run_store.load_run(Path(path))


# Compares saved runs, or the targets of one.


REQUIRED_DETECTABLE_SLOWDOWN = 0.30
"""Slowdown that a comparison must be able to detect (0.3 is 30%); otherwise the verdict is "underpowered"."""
REQUIRED_DETECTABLE_ERROR_RATE = 0.05
"""Difference of error rates that a comparison must be able to detect; otherwise the verdict is "underpowered"."""


@pause_garbage_collection()
def run_compare(request: CompareRequest) -> RunComparison:
    """Tell regressions from noise by comparing a run with one or several earlier runs.

    >>> comparison = voicegauge.compare(saved_run, later_run)
    >>> comparison.regressions
    ()

    Returns:
        A verdict for each metric of each target.

    Raises:
        DataError: a run cannot be read, or the runs are not comparable because they differ in suite, provenance, ASR
            engine, normalizer or load, have no target or no text in common, or because one is given twice.
        UsageError: the baseline has no run.
    """
    settings = build_compare_settings(request, request.assumed_speed_variation, request.seed)
    baseline = request.baseline
    baselines = list(baseline) if isinstance(baseline, Collection) and not isinstance(baseline, str) else [baseline]
    if not baselines:
        raise UsageError("the baseline has no run: name at least one")
    return compare_runs(
        [load_run_to_compare(one, request.place) for one in baselines],
        load_run_to_compare(request.run, request.place),
        settings,
    )


compare = create_keyword_function(CompareRequest, run_compare, name="compare")


@pause_garbage_collection()
def run_compare_targets(request: CompareTargetsRequest) -> RunComparison:
    """Compare the other targets of a run with one of its targets, paired by text and session.

    The targets of a run are measured in turn, so variation that they share cancels out: much smaller differences are
    found than between runs of different days.

    Returns:
        A verdict for each metric of each other target; "regression" means worse than `baseline_target`.

    Raises:
        DataError: the run cannot be read, has no such target, or no other one.
    """
    settings = build_compare_settings(request, 0.0, request.seed)
    return compare_targets_of_run(load_run_to_compare(request.run, request.place), request.baseline_target, settings)


compare_targets = create_keyword_function(CompareTargetsRequest, run_compare_targets, name="compare_targets")


def load_run_to_compare(run: PathLike | Run | BenchResult, place: str | None) -> Run:
    """Return a run with only the samples from `place`, or with all samples if `place` is `None`.

    Raises:
        DataError: the run cannot be read, or has no sample from that place.
    """
    loaded = run if isinstance(run, Run) else load_run(run.folder if isinstance(run, BenchResult) else run)
    return loaded if place is None else restrict_run_to_place(loaded, place)


def build_compare_settings(thresholds: CompareThresholds, assumed_speed_variation: float, seed: int) -> CompareSettings:
    """Return the statistical settings of a comparison with the user's thresholds."""
    return CompareSettings(
        alpha=thresholds.alpha,
        error_control=thresholds.error_control,
        assumed_variation=assumed_speed_variation,
        # The detectable effect must stay well above the ignored one, or every verdict would be "underpowered".
        latency_threshold=ChangeThreshold(
            min_change=thresholds.min_slowdown,
            required_detectable_change=max(REQUIRED_DETECTABLE_SLOWDOWN, 3 * thresholds.min_slowdown),
        ),
        error_rate_threshold=ChangeThreshold(
            min_change=thresholds.min_error_rate_change,
            required_detectable_change=max(REQUIRED_DETECTABLE_ERROR_RATE, 2.5 * thresholds.min_error_rate_change),
        ),
        seed=seed,
    )


# Summarizes saved runs, and writes them as reports and static sites.


TextReportFormat = Literal["html", "csv", "markdown"]
ReportFormat = Literal["html", "csv", "markdown", "parquet"]


@pause_garbage_collection()
def run_analyze_runs(request: ReportRequest) -> AnalyzedRuns:
    """Load and summarize one or several saved runs, so that reports in several formats can be written from the result.

    >>> analyzed = voicegauge.analyze_runs(saved_run, text_length=200)
    >>> voicegauge.write_report(analyzed, f"{folder}/short-texts.html").name
    'short-texts.html'

    Returns:
        The runs, with prices in dollars where `credit_prices_usd` has the price of a credit. The attribute `report` has
        all numbers that a report shows.

    Raises:
        DataError: a run cannot be read, or is given twice.
        UnknownNameError: no run has a target of a provider in `credit_prices_usd`.
        UsageError: the price of a credit is out of range.
    """
    for provider, usd in request.credit_prices_usd.items():
        check_credit_price(provider, usd)
    loaded = [
        (folder, convert_credits_to_usd(run, request.credit_prices_usd)) for folder, run in _load_runs(request.runs)
    ]
    known = {target.id.partition("/")[0] for _, run in loaded for target in run.manifest.targets}
    for provider in request.credit_prices_usd:
        if provider not in known:
            raise UnknownNameError("provider in the runs", provider, known)
    return analyze_saved_runs(
        loaded,
        text_length=request.text_length or DEFAULT_TEXT_LENGTH,
        characters_per_month=request.characters_per_month or DEFAULT_CHARACTERS_PER_MONTH,
        max_clips=request.max_clips or DEFAULT_MAX_CLIPS,
    )


analyze_runs = create_keyword_function(ReportRequest, run_analyze_runs, name="analyze_runs")


def run_build_report(request: ReportRequest) -> BenchReport:
    """Summarize one or several saved runs.

    >>> report = voicegauge.build_report(saved_run)
    >>> [target.target for target in report.runs[0].targets]
    ['pixelapi/voice-design']

    Returns:
        All numbers that a report shows.

    Raises:
        DataError: a run cannot be read, or is given twice.
        UnknownNameError: no run has a target of a provider in `credit_prices_usd`.
        UsageError: the price of a credit is out of range.
    """
    return run_analyze_runs(request).report


build_report = create_keyword_function(ReportRequest, run_build_report, name="build_report")


@with_checked_arguments
@pause_garbage_collection()
def render_report(
    runs: PathLike | Sequence[PathLike] | AnalyzedRuns,
    *,
    format: TextReportFormat = "html",
    check_result_files: Sequence[PathLike] = (),
    drift_result_files: Sequence[PathLike] = (),
) -> str:
    """Render saved runs as a self-contained HTML page, as CSV or as Markdown.

    Args:
        runs: folders of runs, which are analyzed with default settings; or the result of `analyze_runs`.
        format: "html" for a page with players, "csv" for one row per sample, "markdown" for a table.
        check_result_files: files that `check --json` has written; an HTML page shows each finding with the targets that
            it concerns.
        drift_result_files: files that `drift --json` has written; an HTML page shows the changes with the targets of
            the provider.

    Returns:
        The content of the page, CSV file or Markdown file.

    Raises:
        DataError: a run or a result cannot be read.
        UnknownNameError: no text has this format.
    """
    reports = load_check_and_drift_reports(to_path_tuple(check_result_files), to_path_tuple(drift_result_files))
    if format == "csv":
        return render_csv(_load_runs(runs))
    analyzed = runs if isinstance(runs, AnalyzedRuns) else analyze_runs(runs)
    return render_markdown(analyzed) if format == "markdown" else render_page(analyzed, check_and_drift_reports=reports)


def _load_runs(runs: PathLike | Sequence[PathLike] | AnalyzedRuns) -> Sequence[tuple[Path, Run]]:
    """Return each run with its folder.

    Raises:
        DataError: there is none, one is given twice, or one cannot be read.
    """
    if isinstance(runs, AnalyzedRuns):
        return runs.runs
    loaded = [(find_run_folder(path), load_run(path)) for path in to_path_tuple(runs)]
    if not loaded:
        raise DataError("there is no run to report: give a run's folder or its run.json")
    for number, (folder, run) in enumerate(loaded):
        # The manifests first: comparing all samples of two runs takes long.
        first = next((other for other, same in loaded[:number] if same.manifest == run.manifest and same == run), None)
        if first is not None:
            copied = "is given twice" if first.resolve() == folder.resolve() else f"is a copy of {first}"
            raise DataError(f"{folder}: {copied}: name each run once")
    return loaded


_FILE_MARK_BY_REPORT_FORMAT: Mapping[ReportFormat, bytes] = {
    "html": PAGE_MARK,
    "csv": b"run_id,provenance,",
    "markdown": MARKDOWN_MARK,
    "parquet": PARQUET_MARK,
}
"""What a report has near its start or end, by its format, so that other files are not replaced by one."""


@with_checked_arguments
def write_report(
    runs: PathLike | Sequence[PathLike] | AnalyzedRuns,
    file: PathLike,
    *,
    format: ReportFormat = "html",
    check_result_files: Sequence[PathLike] = (),
    drift_result_files: Sequence[PathLike] = (),
) -> Path:
    """Write a report of saved runs to a file.

    >>> page = voicegauge.write_report(saved_run, f"{folder}/page.html")
    >>> page.suffix
    '.html'

    Args:
        runs: see `render_report`.
        file: the file to write.
        format: see `render_report`; "parquet" for one row per sample as a Parquet file, which needs the extra `data`.
        check_result_files: see `render_report`.
        drift_result_files: see `render_report`.

    Returns:
        The path of the file.

    Raises:
        DataError: a run cannot be read.
        UsageError: the format is not known; or the file cannot be written, or exists and is not a report.
        MissingExtraError: the extra `data` is not installed.
    """
    path = Path(file)
    check_replaceable(path, _FILE_MARK_BY_REPORT_FORMAT[format])
    if format == "parquet":
        content = io.BytesIO()
        write_parquet((row for _, run in _load_runs(runs) for row in run.iterate_sample_rows()), content)
        write_file(path, content.getvalue())
    else:
        text = render_report(
            runs, format=format, check_result_files=check_result_files, drift_result_files=drift_result_files
        )
        write_file(path, text.encode())
    return path


@with_checked_arguments
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
        text_length: number of characters of the text for which prices are stated; `None` for 500.
        max_clips: number of the worst clips on the page of each run; `None` for 24.
        progress: receives progress; `None` shows it in notebooks only.

    Returns:
        The path of the index.

    Raises:
        DataError: there is no run, or a run cannot be read.
        UsageError: a file cannot be written.
    """
    folders = dict.fromkeys(find_run_folder(path).resolve() for path in to_path_tuple(runs))
    loaded = _load_runs(list(folders))
    with report_phase(choose_progress_listener(progress), "writing pages", len(loaded)) as writing:
        return write_site_of_runs(
            loaded,
            Path(folder),
            text_length=text_length or DEFAULT_TEXT_LENGTH,
            max_clips=max_clips or DEFAULT_MAX_CLIPS,
            on_page_written=writing.update,
        )


# Listens to saved runs, transcribes them and counts the errors.


class ScoreResult(TabularResult, frozen=True, kw_only=True):
    """The result of `score`, which `voicegauge score --json` writes as JSON."""

    schema: str = "voicegauge/score/3"
    run_folder: str
    """Path of the run's folder."""
    provenance: Provenance
    scores: ScoreSet | None
    """The scores; `None` if the audio was only listened to."""
    listening: ListeningSet | None = None
    """The verdicts on what the audio says; `None` if the targets of the run do not produce speech from texts."""
    predicted_quality: QualitySet | None = None
    """How listeners would rate the audio; `None` if it was not predicted."""
    voices: VoiceSet | None = None
    """The voices of the samples; `None` if they were not compared."""

    def build_table(self) -> SummaryTable:
        """Return a row for each thing that was done with the clips, with its method and its number of clips."""
        judged: list[tuple[str, str, Sized]] = []
        if self.scores is not None:
            judged.append(("transcribed", self.scores.asr, self.scores.scores))
        if self.listening is not None:
            judged.append(("listened to", self.listening.method, self.listening.verdicts))
        if self.predicted_quality is not None:
            judged.append(("quality predicted", self.predicted_quality.method, self.predicted_quality.predictions))
        if self.voices is not None:
            judged.append(("compared by voice", self.voices.method, self.voices.voices))
        rows = tuple((what, method, str(len(clips))) for what, method, clips in judged)
        label = "EMULATED: " if self.provenance is Provenance.EMULATED else ""
        counts = ", ".join(f"{what} {count}" for what, _, count in rows)
        return SummaryTable(
            title=f"{label}{self.run_folder}: {f'clips {counts}' if counts else 'nothing was judged'}",
            headings=("what was done", "method", "clips"),
            rows=rows,
        )


class JudgingMethod(NamedTuple):
    """One way to judge every clip of a run: a function, its method, and the field of `Run` for the result."""

    phase_name: str
    """What is done, for progress: "predicting quality"."""
    run_field: str
    """Field of `Run` that has the result."""
    method: str
    """Name and version of the method, which the result has too."""
    judge: Callable[..., Any]
    """Called with the run's folder, the run and `report_progress`. It returns the result; `None` if the targets of the
    run do not speak texts."""
    score_options: str
    """Options with which `voicegauge score` applies the method, with a space before each."""


def list_judging_methods(*, listens: bool, predicts_quality: bool, voice_encoder: str | None) -> list[JudgingMethod]:
    """Return how the clips of a run are judged as a user asks, in the order in which it is done.

    Args:
        listens: whether to judge what the audio says.
        predicts_quality: whether to predict how listeners would rate it.
        voice_encoder: name or file of the encoder that compares voices; `None` to compare none.

    Raises:
        MissingExtraError: the prediction of quality is not installed.
        UsageError: the voice encoder is not installed.
        DataError: the file of the voice encoder cannot be read.
    """
    judging_methods = []
    if listens:
        judging_methods.append(JudgingMethod("listening", "listening", get_listening_method(), listen_to_run, ""))
    if predicts_quality:
        require_quality_models()
        method = get_quality_method()
        judging_methods.append(
            JudgingMethod("predicting quality", "predicted_quality", method, predict_run_quality, " --quality")
        )
    if voice_encoder is not None:
        encoder = load_voice_encoder(voice_encoder)
        compare_voices, options = partial(compare_run_voices, encoder=encoder), f" --similarity {voice_encoder}"
        judging_methods.append(JudgingMethod("comparing voices", "voices", encoder.method, compare_voices, options))
    return judging_methods


def judge_clips(
    folder: Path, run: Run, judging_method: JudgingMethod, listener: ProgressListener, deadline: CommandDeadline
) -> Run:
    """Return a saved run with a judgement of its clips, and save it, unless the same method has judged them already.

    Raises:
        TimeLimitError: the time of the command is over. Nothing was saved.
    """
    earlier = getattr(run, judging_method.run_field)
    if earlier is not None and earlier.method == judging_method.method:
        return run
    with report_phase_until(deadline, listener, judging_method.phase_name) as report_progress:
        result = judging_method.judge(folder, run, report_progress=report_progress)
    if result is None:
        return run
    judged = msgspec.structs.replace(run, **{judging_method.run_field: result})
    save_run(folder, judged)
    return judged


def run_score(request: ScoreRequest) -> ScoreResult:
    """Listen to a saved run, transcribe it and count the errors; both results are saved in the run.

    A run that the current listening method has judged is not judged again. With `asr="none"`, nothing is transcribed.

    Returns:
        The scores of every sample, and what its audio says.

    Raises:
        UsageError: no engine can transcribe the run, or the voice encoder is not installed.
        MissingExtraError: `predicts_quality` is true, and the extra "quality" is not installed.
        DataError: the run or the voice encoder cannot be read, or an audio file of the run is missing or was changed.
        UnreachableError: no scheduler responds at `dask_scheduler`, or its workers disappeared. What was transcribed is
            cached: the same call goes on with the rest.
    """
    path = Path(request.run)
    saved, folder = load_run(path), find_run_folder(path)
    # What was transcribed before is cached by digest, so that a changed file would not be noticed.
    if damaged := describe_damaged_audio(folder, saved.samples):
        raise DataError(f"{folder}: {damaged}: restore the files, or measure the run again")
    listener, deadline = choose_progress_listener(request.progress), CommandDeadline(None)
    for judging_method in list_judging_methods(
        listens=True, predicts_quality=request.predicts_quality, voice_encoder=request.voice_encoder
    ):
        saved = judge_clips(folder, saved, judging_method, listener, deadline)
    result = ScoreResult(
        run_folder=str(folder),
        provenance=saved.manifest.provenance,
        scores=None,
        listening=saved.listening,
        predicted_quality=saved.predicted_quality,
        voices=saved.voices,
    )
    if request.asr == "none" and saved.listening is not None:
        return result
    with report_phase(listener, "transcribing") as transcribing:
        scores = score_run(
            folder,
            saved,
            request.asr,
            workers=request.workers,
            cluster=request.dask_scheduler,
            report_progress=transcribing.update,
        )
    if scores is None:
        raise UsageError(
            f"nothing was transcribed: {choose_scoring_asr(request.asr, saved.manifest.provenance, ()).reason}"
        )
    if not scores.scores:
        raise UsageError(f"{folder}: {_explain_unscored_run(saved, scores)}")
    # Scores of the same engine are replaced; the latest scores come last, where summaries look for them.
    others = tuple(one for one in saved.score_sets if (one.asr, one.normalizer) != (scores.asr, scores.normalizer))
    save_run(folder, msgspec.structs.replace(saved, score_sets=(*others, scores)))
    return msgspec.structs.replace(result, scores=scores)


score = create_keyword_function(ScoreRequest, run_score, name="score")


def _explain_unscored_run(run: Run, scores: ScoreSet) -> str:
    if scores.unsupported_languages:
        languages = ", ".join(scores.unsupported_languages)
        return f"{scores.asr} knows none of its languages ({languages}): choose another --asr"
    return "it has no samples to score" + ("" if run.samples else ": it was stopped before the first one")
