"""`voicegauge asr`: list speech recognizers, and install Whisper's official weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import print_escaped, show_result
from voicegauge.cli.options import add_json_option

if TYPE_CHECKING:
    from voicegauge.api import AsrEngineList


@click.group("asr")
def command() -> None:
    """List installed speech recognizers, and install Whisper's official weights."""


@command.command("list")
@add_json_option
def list_installed(json_path: str | None) -> None:
    """List the speech recognizers that can transcribe on this machine without a download."""
    from voicegauge import api

    result = api.list_asr_engines()
    show_result(result, json_path, lambda: _print_engines(result))


def _print_engines(result: AsrEngineList) -> None:
    from voicegauge.cli.console import create_console, create_table

    rows = create_table("--asr", "what it is", "used for live services")
    for one in result.installed_engines:
        rows.add_row(one.spec, one.description, "yes" if one.is_chosen_for_live_runs else "only if named")
    create_console().print(rows)
    for extra in result.missing_extras:
        create_console().print(f"not installed: {extra}", soft_wrap=True)


@command.command("install")
@click.argument("model", metavar="MODEL")
@click.option(
    "--from",
    "weights_path",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="File with the weights, or its folder; nothing is downloaded.",
)
def install(model: str, weights_path: Path | None) -> None:
    """Install the official weights of MODEL, such as base.en, verified by their SHA-256.

    The weights are saved in ~/.cache/whisper, where openai-whisper looks for them.
    """
    from voicegauge import api
    from voicegauge.cli.progress import TerminalProgress

    path = api.install_weights(model, weights_path, progress=TerminalProgress())
    print_escaped(f"{path}: ready; --asr auto uses it, --asr whisper:{model} names it")
