"""`voicegauge score`: listen to a saved run, and transcribe it again, with another ASR engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import ScoreRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import show_result
from voicegauge.cli._output_options import JsonOutput

if TYPE_CHECKING:
    from voicegauge.api.saved_runs import ScoreResult
    from voicegauge.model.run import ReferenceSpeechErrors


@command_of("score", ScoreRequest, JsonOutput, has_time_limit=True)
def command(request: ScoreRequest, output: JsonOutput) -> None:
    """Listen to the saved RUN (its folder or its run.json), transcribe it and count the errors.

    "auto" uses Whisper if its official weights are installed, otherwise faster-whisper if
    that is installed. Otherwise it uses, for emulated runs only, the small bundled Whisper,
    which is made for the bundled suites. A live run is not transcribed without official
    weights; "none" only listens. The scores are saved in the run together with the scores of
    other engines. What was transcribed before --max-time or Ctrl-C is kept: the same command
    goes on.
    """
    from voicegauge.api.saved_runs import run_score
    from voicegauge.cli._progress import TerminalProgress

    result = run_score(dataclasses.replace(request, progress=TerminalProgress()))
    show_result(result, output.json_path, lambda: _print_scores(result))


def _print_scores(result: ScoreResult) -> None:
    from voicegauge.api.saved_runs import load_run
    from voicegauge.bench.target_summaries import summarize_targets
    from voicegauge.cli._bench_tables import print_summaries
    from voicegauge.cli._console import create_console

    scores = result.scores
    run = load_run(result.run_folder)
    print_summaries(summarize_targets(run, scores), scores, run.manifest, run.describe_ramp_numbers())
    out = create_console()
    for errors in scores.reference_speech_errors if scores is not None else ():
        out.print(f"ASR error on reference speech: {_format_reference_speech_errors(errors)}", soft_wrap=True)


def _format_reference_speech_errors(errors: ReferenceSpeechErrors) -> str:
    rate = errors.error_count / max(errors.reference_unit_count, 1)
    return (
        f"{errors.language}: {rate:.1%} of {errors.reference_unit_count} {errors.unit}s are wrong in reference speech "
        f"of the same {errors.text_count} texts"
    )
