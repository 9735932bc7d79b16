"""`voicegauge convert`: convert recordings of other tools, and write VCR cassettes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.cli.console import create_console, write_json
from voicegauge.cli.options import OutputFolder, add_base_url_option, add_contracts_option, add_json_option

if TYPE_CHECKING:
    from voicegauge.api import ConvertedFile


@click.command("convert")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--provider", metavar="ID", help="Provider that was recorded; needed for files of other tools.")
@click.option(
    "--to",
    "to_format",
    type=click.Choice(["har", "vcr"]),
    default="har",
    show_default=True,
    help="A recording of voicegauge, or a VCR cassette that vcrpy reads.",
)
@click.option(
    "--out",
    type=OutputFolder(),
    default=Path(),
    metavar="DIR",
    help="Folder to write to; files keep their names with another suffix. Default: the working directory.",
)
@click.option(
    "--mask", multiple=True, metavar="NAME", help="Mask this field, parameter or header too. May be repeated."
)
@functools.partial(
    add_base_url_option, help="Where the provider was reached, if not at its own servers. May be repeated."
)
@add_contracts_option
@add_json_option
def command(
    *,
    files: tuple[Path, ...],
    provider: str | None,
    to_format: Literal["har", "vcr"],
    out: Path,
    mask: tuple[str, ...],
    base_url: dict[str, str],
    contracts: tuple[Path, ...],
    json_path: str | None,
) -> None:
    """Convert recordings of other tools, and write VCR cassettes.

    FILES are cassettes of vcrpy, Ruby VCR or betamax, HAR files of browsers and proxies,
    tapes of huggingface.js, or recordings of voicegauge. Keys are masked. One line is
    printed for everything that cannot be converted.
    """
    from voicegauge import api

    catalogue = api.load_contracts(contracts)
    converted = []
    for file in files:
        one = api.convert(
            file, provider=provider, to=to_format, out=out, mask=mask, base_urls=base_url, contracts=catalogue
        )
        converted.append(one)
        if json_path != "-":
            _print_converted_file(one)
    if json_path:
        write_json(api.Conversion(files=tuple(converted)), json_path)


def _print_converted_file(converted: ConvertedFile) -> None:
    out = create_console()
    for remark in converted.remarks:
        verb = "" if remark.imported else "left out: "
        position = f"{remark.number} ({remark.request})" if remark.number else remark.request
        out.print(f"{converted.file}: {position}: {verb}{remark.message}", soft_wrap=True)
    masked = ", ".join(f"{location} ({count})" for location, count in converted.redactions.items())
    lost = f", {converted.left_out} left out" if converted.left_out else ""
    counts = f"{converted.exchanges} exchanges{lost}"
    out.print(f"{converted.file}: {converted.format}: {counts} -> {converted.written}", soft_wrap=True)
    if masked:
        out.print(f"{converted.file}: masked: {masked}", soft_wrap=True)
