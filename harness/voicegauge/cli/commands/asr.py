"""`voicegauge asr`: which recognisers are here, and Whisper's weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import click

from voicegauge.cli.options import json_option
from voicegauge.model import Record


class Recogniser(Record, frozen=True, kw_only=True):
    """One that a run can be scored with now."""

    spec: str
    """What `--asr` takes."""
    what: str
    judges_live: bool
    """Whether `--asr auto` lets it judge a live service."""


class Recognisers(Record, frozen=True, kw_only=True):
    """All that `voicegauge asr list --json` writes."""

    schema: str = "voicegauge/asr/1"
    here: tuple[Recogniser, ...]
    missing: tuple[str, ...]
    """Extras that would bring more."""


@click.group("asr")
def command() -> None:
    """Recognisers: what can transcribe here, and how to get Whisper's official weights."""


@command.command("list")
@json_option
def list_here(json_to: str | None) -> None:
    """What can transcribe on this machine, without any download."""
    from voicegauge.cli.console import console, table, write_json

    found = _recognisers()
    if json_to:
        write_json(found, json_to)
    if json_to == "-":
        return
    shown = table("--asr", "what it is", "judges live services")
    for one in found.here:
        shown.add_row(one.spec, one.what, "yes" if one.judges_live else "only if named")
    console().print(shown)
    for extra in found.missing:
        console().print(f"not installed: {extra}", soft_wrap=True)


def _recognisers() -> Recognisers:
    from voicegauge.speech.asr import PREFERRED_MODELS, cached_models, cached_weights
    from voicegauge.speech.asr.embedded import EMBEDDED

    here, missing = [], []
    if find_spec("whisper"):
        here += [_official(f"whisper:{name}") for name in PREFERRED_MODELS if cached_weights(name).is_file()]
    else:
        missing.append("openai-whisper: pip install 'voicegauge[whisper]'")
    if find_spec("faster_whisper"):
        here += [_official(f"faster-whisper:{name}") for name in cached_models()]
    else:
        missing.append("faster-whisper: pip install 'voicegauge[faster-whisper]'")
    if len(missing) < 2:
        what = "a small Whisper of the package's own, for emulated English speech"
        here.append(Recogniser(spec=EMBEDDED, what=what, judges_live=False))
    return Recognisers(here=tuple(here), missing=tuple(missing))


def _official(spec: str) -> Recogniser:
    return Recogniser(spec=spec, what="Whisper, official weights", judges_live=True)


@command.command("install")
@click.argument("model", metavar="MODEL")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, exists=True),
    metavar="PATH",
    help="A folder that holds the file, or the file: nothing is downloaded.",
)
def install(model: str, source: Path | None) -> None:
    """Get the official weights of MODEL, such as base.en, checked by their SHA-256.

    They go where openai-whisper looks for them, ~/.cache/whisper.
    """
    from voicegauge.cli.progress import progress
    from voicegauge.speech.asr import install_weights as get

    with progress(f"getting {model}") as bar:
        path = get(model, source, bar.at)
    click.echo(f"{path}: ready; --asr auto takes it, --asr whisper:{model} names it")
