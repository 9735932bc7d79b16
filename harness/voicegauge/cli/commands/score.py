"""`voicegauge score`: transcribe a run that was saved, with another speech recognizer."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from voicegauge.cli.options import asr_option, json_option
from voicegauge.errors import UsageError
from voicegauge.model import AsrErrorFloor, Provenance, Record, Run, ScoreSet


class Scored(Record, frozen=True, kw_only=True):
    """What `voicegauge score --json` writes."""

    schema: str = "voicegauge/score/2"
    run: str
    """The run's folder."""
    provenance: Provenance
    scores: ScoreSet


@click.command("score")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@asr_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes that transcribe, without --dask.  [default: one a processor, at most 4]",
)
@click.option(
    "--dask",
    "cluster",
    envvar="VOICEGAUGE_DASK",
    show_envvar=True,
    metavar="ADDRESS",
    help="Transcribe on a Dask cluster, such as tcp://HOST:8786, whose workers have voicegauge and the weights.",
)
@json_option
def command(run: Path, asr: str, workers: int | None, cluster: str | None, json_to: str | None) -> None:
    """Transcribe the saved RUN (its folder or its run.json) and count the errors.

    "auto" takes Whisper if its weights are here, else faster-whisper with weights that are
    here, else, for an emulated run, the small Whisper of the package, which knows the suites'
    words and few others; for a live run without weights it finds nobody to trust.
    The scores are kept in the run beside those of other speech recognizers.
    """
    from voicegauge.bench.running import load_run, run_folder, save_run
    from voicegauge.bench.scoring import choose_scoring_asr, score_run
    from voicegauge.cli.console import write_json
    from voicegauge.cli.progress import progress

    saved, folder = load_run(run), run_folder(run)
    with progress("transcribing") as bar:
        scores = score_run(folder, saved, asr, workers=workers, cluster=cluster, progress=bar.at)
    if scores is None:
        raise UsageError(f"nothing was transcribed: {choose_scoring_asr(asr, saved.manifest.provenance, ()).reason}")
    if not scores.scores:
        raise UsageError(f"{folder}: {_why_nothing(saved, scores)}")
    save_run(folder, _with_scores(saved, scores))
    if json_to:
        write_json(Scored(run=str(folder), provenance=saved.manifest.provenance, scores=scores), json_to)
    if json_to != "-":
        _print(saved, scores)


def _why_nothing(run: Run, scores: ScoreSet) -> str:
    if scores.left_out:
        return f"{scores.asr} knows none of its languages ({', '.join(scores.left_out)}): take another --asr"
    return "it has no samples to score" + ("" if run.samples else ": it was stopped before the first one")


def _with_scores(run: Run, scores: ScoreSet) -> Run:
    # The same speech recognizer scored again replaces its scores; the latest stand last.
    others = tuple(one for one in run.score_sets if (one.asr, one.normalizer) != (scores.asr, scores.normalizer))
    return msgspec.structs.replace(run, score_sets=(*others, scores))


def _print(run: Run, scores: ScoreSet) -> None:
    from voicegauge.bench.analysis import summarize
    from voicegauge.cli.bench_tables import print_summaries
    from voicegauge.cli.console import console

    print_summaries(summarize(run, scores), scores, run.manifest.provenance)
    out = console()
    for floor in scores.floor:
        out.print(f"floor: {_floor_line(floor)}", soft_wrap=True)
    if scores.left_out:
        out.print(f"not scored: {', '.join(scores.left_out)}, which {scores.asr} does not know", soft_wrap=True)


def _floor_line(floor: AsrErrorFloor) -> str:
    rate = floor.errors / max(floor.units, 1)
    return (
        f"{floor.language}: {rate:.1%} of {floor.units} {floor.unit}s of reference speech "
        f"of the same {floor.texts} texts are misheard"
    )
