"""`voicegauge score`: transcribe a saved run again, with another ASR engine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import show_result
from voicegauge.cli.options import add_asr_option, add_json_option

if TYPE_CHECKING:
    from voicegauge.api import ScoreResult
    from voicegauge.model import AsrErrorFloor


@click.command("score")
@click.argument("run", type=click.Path(path_type=Path), metavar="RUN")
@add_asr_option
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Processes that transcribe, without --dask.  [default: one per processor, at most 4; one with a GPU]",
)
@click.option(
    "--dask",
    "dask_scheduler",
    envvar="VOICEGAUGE_DASK",
    show_envvar=True,
    metavar="ADDRESS",
    help="Transcribe on a Dask cluster, such as tcp://HOST:8786, whose workers have voicegauge and the weights. "
    "Official Whisper models use only workers with a GPU, if there are any.",
)
@add_json_option
def command(run: Path, asr: str, workers: int | None, dask_scheduler: str | None, json_path: str | None) -> None:
    """Transcribe the saved RUN (its folder or its run.json) and count the errors.

    "auto" uses Whisper if its official weights are installed, otherwise faster-whisper if
    that is installed. Otherwise it uses, for emulated runs only, the small bundled Whisper,
    which is made for the bundled suites. A live run is not transcribed without official
    weights. The scores are saved in the run together with the scores of other engines.
    """
    from voicegauge import api
    from voicegauge.cli.progress import TerminalProgress

    result = api.score(run, asr=asr, workers=workers, dask_scheduler=dask_scheduler, progress=TerminalProgress())
    show_result(result, json_path, lambda: _print_scores(result))


def _print_scores(result: ScoreResult) -> None:
    from voicegauge.api import load_run
    from voicegauge.bench.analysis import summarize_targets
    from voicegauge.cli.bench_tables import print_summaries
    from voicegauge.cli.console import create_console

    scores = result.scores
    run = load_run(result.run_folder)
    print_summaries(summarize_targets(run, scores), scores, run.manifest, run.describe_ramp_numbers())
    out = create_console()
    for floor in scores.error_floors:
        out.print(f"error floor: {_format_error_floor(floor)}", soft_wrap=True)


def _format_error_floor(floor: AsrErrorFloor) -> str:
    rate = floor.error_count / max(floor.reference_unit_count, 1)
    return (
        f"{floor.language}: {rate:.1%} of {floor.reference_unit_count} {floor.unit}s are wrong in reference speech "
        f"of the same {floor.text_count} texts"
    )
