"""`voicegauge record` and `convert`: save what a provider answers, without secrets, and convert such recordings."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from typing import TYPE_CHECKING

import click

from voicegauge.api.calls import CommandDeadline
from voicegauge.api.local_requests import ConvertRequest
from voicegauge.api.requests import RecordRequest
from voicegauge.cli import EXIT_STATUS_BY_STOP_REASON, create_command_of_requests
from voicegauge.cli._console import create_console, print_escaped, show_result, write_json
from voicegauge.cli._options import JsonOutput
from voicegauge.errors import DataError, NothingMeasuredError, PartlyMeasuredError
from voicegauge.model.exchange import describe_unresolved_requests
from voicegauge.model.price import format_price_usd
from voicegauge.options import Trust, option, request
from voicegauge.printable_text import format_count, format_names

if TYPE_CHECKING:
    from voicegauge.conformance.recording_updates import FileToOverwrite, RecordResult
    from voicegauge.recording.foreign_recordings import Conversion, ConvertedFile
    from voicegauge.recording.har_files import RecordingChanges


MAX_CHANGED_FIELDS_SHOWN = 4
"""Largest number of changed fields printed for each recording file; --json has all."""


@request
class RecordOutputs(JsonOutput):
    """What `voicegauge record` prints."""

    dry_run: bool = option(
        default=False, help="Print the priced plan and send nothing.", found_file=Trust.ANY_VALUE, hides_live_run=True
    )


@create_command_of_requests("record", RecordRequest, RecordOutputs)
def record_command(request: RecordRequest, output: RecordOutputs) -> int | None:
    """Save what a provider answers as recordings, without secrets.

    TARGET is a provider or PROVIDER/TARGET. The planned cases are sent one after another.
    Cases with a recording that is not stale are left out. Before a file is overwritten, the
    differences are shown. The same command resumes a live recording that ended early,
    because responses are saved in DIR/.unfinished until their file is complete.
    """
    with CommandDeadline(None).interrupt_preparation_when_time_is_over():  # importing takes long enough for Ctrl-C
        from voicegauge.api.recording import run_plan_record, run_record
        from voicegauge.cli._progress import TerminalProgress

    if output.dry_run:
        from voicegauge.cli._check_tables import print_plan
        from voicegauge.cli._console import raise_error_of_refused_plan

        with CommandDeadline(request.max_time_s).interrupt_preparation_when_time_is_over():
            plan = run_plan_record(dataclasses.replace(request, progress=TerminalProgress()))
        show_result(plan, output.json_path, lambda: print_plan(plan))
        raise_error_of_refused_plan(plan.budget_forecast)
        return None
    asks = not request.overwrite and sys.stdin.isatty()

    def show(result: RecordResult) -> None:
        show_result(result, output.json_path, lambda: _print_record_result(result, request))

    result = run_record(
        dataclasses.replace(
            request,
            overwrite=_confirm_overwrite if asks else request.overwrite,
            # Before the recording counts as ended, so that what it has spent is not forgotten if it is killed earlier.
            on_result=show,
            progress=TerminalProgress(),
        )
    )
    if result.stop_reason == "time" and not result.files and not result.unfinished_case_count:
        raise NothingMeasuredError(f"nothing was recorded: {result.stop_message}")
    if result.stop_reason is not None:
        return EXIT_STATUS_BY_STOP_REASON[result.stop_reason]
    if result.skip_reason_by_case and not result.files:
        case, reason = next(iter(result.skip_reason_by_case.items()))
        raise NothingMeasuredError(f"nothing was recorded; the first case: {case}: {reason}")
    for target, failure in result.first_failure_by_target.items():
        error = f"no accepted response of {target} was recorded: {failure}"
        raise (PartlyMeasuredError if result.has_accepted_case else NothingMeasuredError)(error)
    if result.over_budget_case_count:
        cases = format_count(result.over_budget_case_count, "case")
        raise PartlyMeasuredError(f"only a part was recorded: {cases} not sent for lack of budget (--max-cost)")
    return None


def _confirm_overwrite(file_to_overwrite: FileToOverwrite) -> bool:
    old, new = file_to_overwrite.old_provenance, file_to_overwrite.new_provenance
    provenance = "" if old is new else f" ({old.value}, to be replaced by {new.value})"
    print_escaped(
        f"{file_to_overwrite.path}{provenance}: {_describe_recording_changes(file_to_overwrite.changes)}",
        to_stderr=True,
    )
    return click.confirm("Overwrite it?", default=True, err=True)


def _describe_recording_changes(changes: RecordingChanges) -> str:
    counts = (
        f"{changes.added_count} added, {changes.removed_count} removed, {changes.changed_count} changed, "
        f"{changes.unchanged_count} the same"
    )
    if not changes.differing_fields:
        return counts
    return f"{counts}; changed: {format_names(changes.differing_fields, MAX_CHANGED_FIELDS_SHOWN)}"


def _print_record_result(result: RecordResult, request: RecordRequest) -> None:
    from voicegauge.cli._check_tables import print_resources

    out = create_console()
    for file in result.files:
        verb = "wrote" if file.is_written else "left"
        provenance = file.provenance.value.upper()
        exchanges = format_count(file.exchange_count, "exchange")
        line = f"{verb} {file.path}  {provenance}  {exchanges}: {_describe_recording_changes(file.changes)}"
        out.print(line)
    for case, reason in result.skip_reason_by_case.items():
        out.print(f"not recorded: {case}: {reason}", style="dim")
    if result.redaction_counts:
        locations = ", ".join(f"{location} ({count})" for location, count in result.redaction_counts.items())
        out.print(f"masked: {locations}")
    elif result.files:
        out.print("masked: nothing")
    print_resources(out, result.resource_summary)
    if result.finding_count:
        rules = ", ".join(f"{count} {rule}" for rule, count in result.finding_count_by_rule.items())
        command = shlex.join(["voicegauge", "check", *request.targets, "--recordings", str(request.out)])
        count = format_count(result.finding_count, "finding")
        out.print(f"{count} in what was recorded ({rules}): {command} shows them", style="yellow")
    if result.spent_usd:
        out.print(f"{format_price_usd(result.spent_usd)} spent")
    if result.spent_by_earlier_runs_usd:
        out.print(f"{format_price_usd(result.spent_by_earlier_runs_usd)} spent by earlier recordings")
    for line in describe_unresolved_requests(result.ambiguous_requests):
        out.print(line)
    if result.stop_message:
        out.print(f"Stopped early: {result.stop_message}{_describe_unfinished_cases(result)}")


def _describe_unfinished_cases(result: RecordResult) -> str:
    if not result.unfinished_case_count:
        return ""
    kept = format_count(result.unfinished_case_count, "case")
    return f"; the responses of {kept} are kept: the same command goes on with them"


@create_command_of_requests("convert", ConvertRequest, JsonOutput, has_time_limit=True)
def convert_command(request: ConvertRequest, output: JsonOutput) -> None:
    """Convert recordings of other tools, and write VCR cassettes.

    FILES are cassettes of vcrpy, Ruby VCR or betamax, HAR files of browsers and proxies,
    tapes of huggingface.js, or recordings of voicegauge, and folders of such files. Keys are
    masked. What cannot be converted is listed by host and reason, and does not stop the rest.
    The exit status is 2 if nothing was converted of a file that is named.
    """
    from voicegauge.api.documents import run_convert

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
            out.print(f"{converted_file.input_path}: {position}: {remark.message}")
    for group in converted_file.group_rejected_requests():
        position = group.first_request.removeprefix(f"{converted_file.input_path}: ")
        more = f" and {group.request_count - 1} more" if group.request_count > 1 else ""
        out.print(f"{converted_file.input_path}: {position}{more}: left out: {group.reason}")
    masked = ", ".join(f"{location} ({count})" for location, count in converted_file.redaction_counts.items())
    lost = f", {converted_file.rejected_request_count} left out" if converted_file.rejected_request_count else ""
    counts = f"{format_count(converted_file.exchange_count, 'exchange')}{lost}"
    out.print(
        f"{converted_file.input_path}: {converted_file.original_format}: {counts} -> {converted_file.output_path}"
    )
    if masked:
        out.print(f"{converted_file.input_path}: masked: {masked}")


def _print_rejected_requests(conversion: Conversion) -> None:
    """Print what was left out of several files, by host and reason."""
    if len(conversion.converted_files) + len(conversion.unconverted_files) < 2:
        return
    out = create_console()
    for one in conversion.unconverted_files:
        if not one.rejected_request_count:
            out.print(f"{one.path}: not converted: {one.reason}")
    for group in conversion.rejected_requests:
        host = group.host or "unknown host"
        out.print(f"left out: {host} ({group.request_count}): {group.reason}; first {group.first_request}")
    exchanges = sum(file.exchange_count for file in conversion.converted_files)
    left_out = sum(group.request_count for group in conversion.rejected_requests)
    unconverted = f", {len(conversion.unconverted_files)} not" if conversion.unconverted_files else ""
    files = format_count(len(conversion.converted_files), "file")
    summary = f"{files} converted{unconverted}: {format_count(exchanges, 'exchange')}, {left_out} left out"
    out.print(summary, style="bold")
