"""`voicegauge report`: saved runs as a page, or as data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.options import OutputFile, json_option, refuse_same_file
from voicegauge.errors import UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.model import Run
    from voicegauge.report import Report

SUFFIXES = {".html": "html", ".htm": "html", ".csv": "csv", ".md": "markdown"}
"""They tell the format where `--format` does not."""
PAGE = "report.html"


@click.command("report")
@click.argument("runs", nargs=-1, required=True, metavar="RUN...", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=OutputFile(),
    metavar="FILE",
    help=f"Where to write; - for standard output.  [default: a page goes to {PAGE} in the first "
    "run's folder, the rest to standard output]",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["html", "csv", "markdown"]),
    help="A page, one row a sample, or a table.  [default: by the suffix of FILE, else html]",
)
@click.option(
    "--text-length",
    type=click.IntRange(1, 1_000_000),
    metavar="N",
    help="Characters of the text at which prices for a million characters are stated.  [default: 500]",
)
@click.option(
    "--clips",
    type=click.IntRange(min=1),
    metavar="N",
    help="Worst clips of each run, which make up most of a page's size.  [default: 24]",
)
@json_option
@click.option("--open", "show", is_flag=True, help="Show the page in the browser.")
def command(
    *,
    runs: tuple[Path, ...],
    out: str | None,
    form: str | None,
    text_length: int | None,
    clips: int | None,
    json_to: str | None,
    show: bool,
) -> None:
    """Write one or several RUNs, each a folder or its run.json, as one self-contained HTML page."""
    from voicegauge.bench.analysis import TEXT_LENGTH
    from voicegauge.bench.running import load_run, run_folder
    from voicegauge.cli.console import write_json
    from voicegauge.report import CLIPS, gather

    only_json = json_to == "-" and not (out or form or show)
    form = form or SUFFIXES.get(Path(out or "").suffix.lower(), "html")
    to_stdout = out == "-" or (out is None and form != "html")
    if show and (form != "html" or out == "-"):
        raise UsageError("--open shows a page: name no other --format, and a file with --out")
    if json_to == "-" and to_stdout:
        raise UsageError("--json - and the report both write to standard output: give one of them a file")
    refuse_same_file(json=json_to, out=out)
    loaded = [(run_folder(path), load_run(path)) for path in runs]
    report = gather(loaded, characters=text_length or TEXT_LENGTH, clips=clips or CLIPS)
    if json_to:
        write_json(report, json_to)
    if only_json:
        return
    text = _render(form, report, loaded)
    if to_stdout:
        click.echo(text.encode(), nl=False)
        return
    page = Path(out) if out else loaded[0][0] / PAGE
    write_file(page, text.encode())
    click.echo(f"wrote {page}", err=json_to == "-")
    if show:
        click.launch(page.resolve().as_uri())


def _render(form: str, report: Report, runs: Sequence[tuple[Path, Run]]) -> str:
    from voicegauge.report import render_csv, render_markdown, render_page

    if form == "csv":
        return render_csv(runs)
    return render_markdown(report) if form == "markdown" else render_page(report, runs)
