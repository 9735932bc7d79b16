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
    "output_format",
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
    "--mask",
    "names_to_mask",
    multiple=True,
    metavar="NAME",
    help="Mask this field, parameter or header too. May be repeated.",
)
@functools.partial(
    add_base_url_option, help_text="Where the provider was reached, if not at its own servers. May be repeated."
)
@add_contracts_option
@add_json_option
def command(
    *,
    files: tuple[Path, ...],
    provider: str | None,
    output_format: Literal["har", "vcr"],
    out: Path,
    names_to_mask: tuple[str, ...],
    base_urls: dict[str, str],
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
        output_format=output_format,
        out=out,
        names_to_mask=names_to_mask,
        base_urls=base_urls,
        contracts=contracts,
        on_file_converted=_print_converted_file if prints else None,
    )
    if prints:
        _print_rejected_requests(conversion)
    if json_path:
        write_json(conversion, json_path)
    named = {str(file) for file in files}
    failed = [one for one in conversion.unconverted_files if one.path in named or not conversion.converted_files]
    if failed:
        raise DataError(f"{format_count(len(failed), 'file')} not converted; {failed[0].path}: {failed[0].reason}")


def _print_converted_file(converted_file: ConvertedFile) -> None:
    out = create_console()
    for remark in converted_file.remarks:
        if remark.is_imported:
            position = remark.method_and_url
            if remark.interaction_number:
                position = f"{remark.interaction_number} ({position})"
            out.print(f"{converted_file.input_path}: {position}: {remark.message}", soft_wrap=True)
    for group in converted_file.group_rejected_requests():
        position = group.first_request.removeprefix(f"{converted_file.input_path}: ")
        more = f" and {group.request_count - 1} more" if group.request_count > 1 else ""
        out.print(f"{converted_file.input_path}: {position}{more}: left out: {group.reason}", soft_wrap=True)
    masked = ", ".join(f"{location} ({count})" for location, count in converted_file.redaction_counts.items())
    lost = f", {converted_file.rejected_request_count} left out" if converted_file.rejected_request_count else ""
    counts = f"{format_count(converted_file.exchange_count, 'exchange')}{lost}"
    out.print(
        f"{converted_file.input_path}: {converted_file.original_format}: {counts} -> {converted_file.output_path}",
        soft_wrap=True,
    )
    if masked:
        out.print(f"{converted_file.input_path}: masked: {masked}", soft_wrap=True)


def _print_rejected_requests(conversion: Conversion) -> None:
    """Print what was left out of several files, by host and reason."""
    if len(conversion.converted_files) + len(conversion.unconverted_files) < 2:
        return
    out = create_console()
    for one in conversion.unconverted_files:
        if not one.rejected_request_count:
            out.print(f"{one.path}: not converted: {one.reason}", soft_wrap=True)
    for group in conversion.rejected_requests:
        host = group.host or "unknown host"
        out.print(
            f"left out: {host} ({group.request_count}): {group.reason}; first {group.first_request}", soft_wrap=True
        )
    exchanges = sum(file.exchange_count for file in conversion.converted_files)
    left_out = sum(group.request_count for group in conversion.rejected_requests)
    unconverted = f", {len(conversion.unconverted_files)} not" if conversion.unconverted_files else ""
    files = format_count(len(conversion.converted_files), "file")
    summary = f"{files} converted{unconverted}: {format_count(exchanges, 'exchange')}, {left_out} left out"
    out.print(summary, style="bold", soft_wrap=True)
