"""`voicegauge asr`: list speech recognizers, and install Whisper's official weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli._commands import command_of
from voicegauge.cli._console import print_escaped, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.options import PathKind, argument, option, request

if TYPE_CHECKING:
    from voicegauge.api.listings import AsrEngineList


@click.group("asr")
def command() -> None:
    """List installed speech recognizers, and install Whisper's official weights."""


@command_of("list", JsonOutput)
def list_installed(output: JsonOutput) -> None:
    """List the speech recognizers that can transcribe on this machine without a download."""
    from voicegauge.api.listings import list_asr_engines

    result = list_asr_engines()
    show_result(result, output.json_path, lambda: _print_engines(result))


def _print_engines(result: AsrEngineList) -> None:
    from voicegauge.cli._console import create_console, create_table, print_table

    rows = create_table("--asr", "what it is", "used for live services")
    for one in result.installed_engines:
        rows.add_row(one.spec, one.description, "yes" if one.is_chosen_for_live_runs else "only if named")
    print_table(create_console(), rows)
    for extra in result.missing_extras:
        create_console().print(f"not installed: {extra}", soft_wrap=True)


@request
class InstallOptions:
    """Which weights to install, and from where."""

    model: str = argument(kw_only=False, help="Name of an official model, such as base.en.", metavar="MODEL")
    weights_path: Path | None = option(
        default=None,
        flag="--from",
        help="File with the weights, or its folder; nothing is downloaded.",
        metavar="PATH",
        path=PathKind.EXISTING,
        refusal_reason="it decides which weights are loaded",
    )


@command_of("install", InstallOptions, has_time_limit=True)
def install(options: InstallOptions) -> None:
    """Install the official weights of MODEL, such as base.en, verified by their SHA-256.

    The weights are saved in ~/.cache/whisper, where openai-whisper looks for them.
    """
    from voicegauge.api.listings import install_weights
    from voicegauge.cli._progress import TerminalProgress

    path = install_weights(options.model, options.weights_path, progress=TerminalProgress())
    print_escaped(f"{path}: ready; --asr auto uses it, --asr whisper:{options.model} names it")


command.add_command(list_installed)
command.add_command(install)
