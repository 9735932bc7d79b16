"""Transcribes saved runs and counts the errors."""

from __future__ import annotations

from pathlib import Path

import msgspec

from voicegauge.api.options import PathLike
from voicegauge.api.progress import ProgressListener, report_phase
from voicegauge.api.saved_runs.loading import load_run
from voicegauge.bench.running import find_run_folder, save_run
from voicegauge.bench.scoring import choose_scoring_asr, score_run
from voicegauge.errors import UsageError
from voicegauge.model import Provenance, Record, Run, ScoreSet


class ScoreResult(Record, frozen=True, kw_only=True):
    """The result of `score`, which `voicegauge score --json` writes as JSON."""

    schema: str = "voicegauge/score/2"
    run_folder: str = msgspec.field(name="run")
    """Path of the run's folder."""
    provenance: Provenance
    scores: ScoreSet


def score(
    run: PathLike,
    *,
    asr: str = "auto",
    workers: int | None = None,
    dask_scheduler: str | None = None,
    progress: ProgressListener | None = None,
) -> ScoreResult:
    """Transcribe a saved run and count the errors; the scores are saved in the run.

    Args:
        run: the run's folder, or its run.json.
        asr: "auto", "whisper[:MODEL|FILE]", "faster-whisper[:MODEL|FOLDER]", "embedded" or "none". "auto" takes
            Whisper if its official weights are installed, otherwise faster-whisper if that is installed, otherwise,
            for emulated runs only, the small bundled model.
        workers: number of processes that transcribe; by default one per processor, at most 4, and one with a GPU.
        dask_scheduler: address of a Dask scheduler whose workers transcribe instead of local processes. Official
            Whisper models use only workers with a GPU, if there are any.
        progress: receives progress.

    Returns:
        The scores of every sample.

    Raises:
        UsageError: no engine can transcribe the run.
        DataError: the run cannot be read, or an audio file of the run is missing or was changed.
        UnreachableError: no scheduler responds at `dask_scheduler`, or its workers disappeared. What was transcribed is
            cached: the same call goes on with the rest.
    """
    path = Path(run)
    saved, folder = load_run(path), find_run_folder(path)
    with report_phase(progress or ProgressListener(), "transcribing") as transcribing:
        scores = score_run(
            folder, saved, asr, workers=workers, cluster=dask_scheduler, report_progress=transcribing.update
        )
    if scores is None:
        raise UsageError(f"nothing was transcribed: {choose_scoring_asr(asr, saved.manifest.provenance, ()).reason}")
    if not scores.scores:
        raise UsageError(f"{folder}: {_explain_unscored_run(saved, scores)}")
    # Scores of the same engine are replaced; the latest scores come last, where summaries look for them.
    others = tuple(one for one in saved.score_sets if (one.asr, one.normalizer) != (scores.asr, scores.normalizer))
    save_run(folder, msgspec.structs.replace(saved, score_sets=(*others, scores)))
    return ScoreResult(run_folder=str(folder), provenance=saved.manifest.provenance, scores=scores)


def _explain_unscored_run(run: Run, scores: ScoreSet) -> str:
    if scores.unsupported_languages:
        languages = ", ".join(scores.unsupported_languages)
        return f"{scores.asr} knows none of its languages ({languages}): choose another --asr"
    return "it has no samples to score" + ("" if run.samples else ": it was stopped before the first one")
