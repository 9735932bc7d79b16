"""`voicegauge convert`: convert recordings of other tools, and write VCR cassettes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.cli.console import create_console, write_json
from voicegauge.cli.options import OutputFolder, add_base_url_option, add_contracts_option, add_json_option
from voicegauge.errors import DataError
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.api import Conversion, ConvertedFile


@click.command("convert")
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
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
    tapes of huggingface.js, or recordings of voicegauge, and folders of such files. Keys are
    masked. What cannot be converted is listed by host and reason, and does not stop the rest.
    The exit status is 2 if nothing was converted of a file that is named.
    """
    from voicegauge import api

    prints = json_path != "-"
    conversion = api.convert_all(
        files,
        provider=provider,
        to=to_format,
        out=out,
        names_to_mask=mask,
        base_urls=base_url,
        contracts=contracts,
        on_file=_print_converted_file if prints else None,
    )
    if prints:
        _print_summary(conversion)
    if json_path:
        write_json(conversion, json_path)
    named = {str(file) for file in files}
    failed = [one for one in conversion.unconverted if one.file in named or not conversion.files]
    if failed:
        raise DataError(f"{format_count(len(failed), 'file')} not converted; {failed[0].file}: {failed[0].reason}")


def _print_converted_file(converted_file: ConvertedFile) -> None:
    out = create_console()
    for remark in converted_file.remarks:
        if remark.is_imported:
            position = remark.method_and_url
            if remark.interaction_number:
                position = f"{remark.interaction_number} ({position})"
            out.print(f"{converted_file.file}: {position}: {remark.message}", soft_wrap=True)
    for group in converted_file.group_rejected_requests():
        position = group.first.removeprefix(f"{converted_file.file}: ")
        more = f" and {group.count - 1} more" if group.count > 1 else ""
        out.print(f"{converted_file.file}: {position}{more}: left out: {group.reason}", soft_wrap=True)
    masked = ", ".join(f"{location} ({count})" for location, count in converted_file.redactions.items())
    lost = f", {converted_file.left_out_count} left out" if converted_file.left_out_count else ""
    counts = f"{format_count(converted_file.exchange_count, 'exchange')}{lost}"
    out.print(
        f"{converted_file.file}: {converted_file.format}: {counts} -> {converted_file.output_path}", soft_wrap=True
    )
    if masked:
        out.print(f"{converted_file.file}: masked: {masked}", soft_wrap=True)


def _print_summary(conversion: Conversion) -> None:
    """Print what was left out of several files, by host and reason."""
    if len(conversion.files) + len(conversion.unconverted) < 2:
        return
    out = create_console()
    for one in conversion.unconverted:
        if not one.left_out_count:
            out.print(f"{one.file}: not converted: {one.reason}", soft_wrap=True)
    for group in conversion.rejected:
        host = group.host or "unknown host"
        out.print(f"left out: {host} ({group.count}): {group.reason}; first {group.first}", soft_wrap=True)
    exchanges = sum(file.exchange_count for file in conversion.files)
    left_out = sum(group.count for group in conversion.rejected)
    unconverted = f", {len(conversion.unconverted)} not" if conversion.unconverted else ""
    files = format_count(len(conversion.files), "file")
    summary = f"{files} converted{unconverted}: {format_count(exchanges, 'exchange')}, {left_out} left out"
    out.print(summary, style="bold", soft_wrap=True)
