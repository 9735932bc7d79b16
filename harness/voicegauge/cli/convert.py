"""`voicegauge convert`: convert recordings of other tools, and write VCR cassettes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import ConvertRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, write_json
from voicegauge.cli._output_options import JsonOutput
from voicegauge.errors import DataError
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.api.results import Conversion, ConvertedFile


@command_of("convert", ConvertRequest, JsonOutput, has_time_limit=True)
def command(request: ConvertRequest, output: JsonOutput) -> None:
    """Convert recordings of other tools, and write VCR cassettes.

    FILES are cassettes of vcrpy, Ruby VCR or betamax, HAR files of browsers and proxies,
    tapes of huggingface.js, or recordings of voicegauge, and folders of such files. Keys are
    masked. What cannot be converted is listed by host and reason, and does not stop the rest.
    The exit status is 2 if nothing was converted of a file that is named.
    """
    from voicegauge.api.conversion import run_convert

    prints = output.json_path != "-"
    conversion = run_convert(dataclasses.replace(request, on_file_converted=_print_converted_file if prints else None))
    if prints:
        _print_rejected_requests(conversion)
    if output.json_path:
        write_json(conversion, output.json_path)
    named = {str(file) for file in request.paths}
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
