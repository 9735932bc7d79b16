"""`voicegauge init`, `drift`, `record` and `convert`: write and compare contracts and recordings."""

from __future__ import annotations

import dataclasses
import re
import shlex
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.api.calls import CommandDeadline
from voicegauge.api.local_requests import ConvertRequest, DriftRequest, OfficialDriftRequest
from voicegauge.api.requests import RecordRequest
from voicegauge.cli import EXIT_STATUS_BY_STOP_REASON, create_command_of_requests
from voicegauge.cli._console import create_console, print_escaped, show_result, write_json
from voicegauge.cli._options import FailedWriteCollector, JsonOutput, OutputOptions, output_file_option
from voicegauge.errors import (
    EXIT_FINDINGS,
    EXIT_NOTHING_MEASURED,
    EXIT_OK,
    ContractError,
    DataError,
    NothingMeasuredError,
    PartlyMeasuredError,
    UsageError,
)
from voicegauge.files import open_file, write_file
from voicegauge.model.exchange import describe_unresolved_requests
from voicegauge.model.price import format_price_usd
from voicegauge.options import Trust, argument, option, request
from voicegauge.printable_text import format_count, format_names

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.conformance.recording_updates import FileToOverwrite, RecordResult
    from voicegauge.contract.overlay_proposal import OverlayProposal
    from voicegauge.drift.contract_patch import ContractPatch
    from voicegauge.drift.drift_report import DriftChange, DriftReport, OfficialComparison
    from voicegauge.recording.foreign_recordings import Conversion, ConvertedFile
    from voicegauge.recording.har_files import RecordingChanges


_MAX_BYTES_SEARCHED_FOR_RECORDING_KEY = 4096
"""Number of bytes at the start of a file in which `_RECORDING_KEY_PATTERN` is searched."""
_MAX_OMISSIONS_SHOWN = 20
"""Largest number of recorded requests that are listed as left out of the contract; --json has all."""
_RECORDING_KEY_PATTERN = re.compile(
    rb"""^[\s{[]*["']?(?:interactions|http_interactions|log|recorded_with)["']?\s*:""", re.MULTILINE
)
"""Matches the JSON or YAML key with which a HAR file or a cassette begins, to recognize it whatever its suffix is."""


@request
class InitOptions(JsonOutput):
    """What a contract is proposed from, which part of it, and the file to which it is written."""

    document_or_recording: str = argument(
        kw_only=False,
        help="An OpenAPI or AsyncAPI document, its https URL, or recordings.",
        metavar="DOCUMENT|URL|RECORDING",
    )
    provider: str = option(
        default="",
        help="Id of the provider.",
        default_text="from the document's server",
        metavar="ID",
        found_file=Trust.ANY_VALUE,
    )
    operations: Sequence[str] = option(
        default=(),
        flag="--operation",
        help='Propose this operation of a document: "POST /v1/speech", its path alone, or its operationId.',
        default_text="all that turn a text into audio or a job",
        metavar="OPERATION",
        found_file=Trust.ANY_VALUE,
    )
    host: str = option(
        default="",
        help="Propose this host of recordings, such as api.acme.test.",
        default_text="that of the first speech request",
        metavar="HOST",
        found_file=Trust.ANY_VALUE,
    )
    out: Path | None = output_file_option(
        "File to write.",
        flag="--out",
        default_text="overlay.yaml or asyncapi-overlay.yaml in the folder of the document; openapi.yaml for recordings",
    )


@create_command_of_requests("init", InitOptions, has_time_limit=True)
def init_command(options: InitOptions) -> None:
    """Propose a contract for a provider's OpenAPI or AsyncAPI document, or from recordings.

    The document stays as it is; one at an https URL is saved in the current folder first.
    An OpenAPI Overlay beside it adds what OpenAPI cannot say: which operation speaks, and
    where its request and response have text, voice and audio. What the document does not
    state is marked TODO. Prices are never guessed.

    RECORDING is a HAR file, a VCR cassette, or a folder of them. The contract that is
    written describes the requests in it that produce speech; everything in it is inferred.

    The exit status is 0 if a proposal was written, whether or not anything has to be completed.
    """
    from voicegauge.api.documents import propose_contract, propose_overlay
    from voicegauge.contract.document_assembly import is_asyncapi_file

    document_or_recording, provider, operations = options.document_or_recording, options.provider, options.operations
    out, host = options.out, options.host
    if _is_recording(Path(document_or_recording)):
        if operations:
            raise UsageError("--operation is for documents: all recorded speech requests are proposed")
        out = out or Path("openapi.yaml")
        proposal = propose_contract(document_or_recording, provider=provider, host=host)
        _reject_existing_file(out, "--out")
    elif host:
        raise UsageError("--host is for recordings: a document names its servers itself")
    else:
        document = _get_or_download_document(document_or_recording, out.parent if out else Path())
        out = out or document.with_name("asyncapi-overlay.yaml" if is_asyncapi_file(document) else "overlay.yaml")
        if out.resolve().parent != document.resolve().parent:
            raise UsageError(f"--out: {out} must be in the folder of {document}, which it extends")
        proposal = propose_overlay(document, provider=provider, operations=operations)
        _reject_existing_file(out, "--out")
    write_file(out, proposal.overlay.encode())
    show_result(proposal, options.json_path, lambda: _print_proposal(proposal, out))


def _reject_existing_file(path: Path, flag: str) -> None:
    if path.exists():
        raise UsageError(f"{path} exists: name another file with {flag}, or delete it")


def _is_recording(path: Path) -> bool:
    """Whether the user names a folder, a HAR file or a cassette, not an OpenAPI document."""
    if path.is_dir():
        return True
    if not path.is_file():
        return False
    with open_file(path) as file:
        # Only the beginning: a recording may have hundreds of megabytes.
        head = file.read(_MAX_BYTES_SEARCHED_FOR_RECORDING_KEY)
    return path.suffix.lower() == ".har" or _RECORDING_KEY_PATTERN.search(head) is not None


def _get_or_download_document(path_or_url: str, folder: Path) -> Path:
    """Return the document that the user names; one at a URL is saved in `folder` first."""
    from voicegauge.api.documents import download_document

    if path_or_url.lower().startswith(("http://", "https://")):
        path = download_document(path_or_url, folder)
        create_console(to_stderr=True).print(f"saved {path}")
        return path
    if not Path(path_or_url).is_file():
        raise UsageError(f"{path_or_url}: is not a file: name an OpenAPI document, or the https URL of one")
    return Path(path_or_url)


def _print_proposal(proposal: OverlayProposal, path: Path) -> None:
    from voicegauge.api.target_selection import load_contracts

    out = create_console()
    for operation in proposal.operations:
        out.print(f"{operation.request}: {', '.join(operation.targets)}")
    out.print(f"wrote {path}; still to complete in it:" if proposal.todo else f"wrote {path}")
    for item in proposal.todo:
        out.print(f"  {item}")
    if proposal.left_out:
        out.print("left out:")
    for item in proposal.left_out[:_MAX_OMISSIONS_SHOWN]:
        out.print(f"  {item}")
    if len(proposal.left_out) > _MAX_OMISSIONS_SHOWN:
        out.print(f"  and {len(proposal.left_out) - _MAX_OMISSIONS_SHOWN} more: --json has all")
    try:
        load_contracts([path])
    except ContractError as error:
        out.print(f"it cannot be used before this is completed: {error}")
        first = "complete it, then "
    else:
        first = ""
    file = shlex.quote(str(path))
    out.print(f"next: {first}voicegauge check {proposal.provider} --emulated --contracts {file}")


_STYLE_BY_DRIFT_LEVEL = {"breaking": "bold red", "possibly-breaking": "yellow", "compatible": "dim"}
"""Styles of the levels of changes."""


@request
class DriftOptions:
    """What `drift` compares, how it prints changes, and for which it fails."""

    inputs: Sequence[str] = argument(
        kw_only=False,
        default=(),
        help="Two descriptions or recordings, or providers.",
        metavar="OLD NEW | --official [PROVIDER]...",
    )
    compares_official_documents: bool = option(
        default=False,
        flag="--official",
        help="Compare the contracts of the named providers, or of all, with the providers' own OpenAPI documents.",
        found_file=Trust.ANY_VALUE,
    )
    fail_on: Literal["breaking", "possibly-breaking", "compatible"] = option(
        default="breaking", help="The mildest change for which the exit status is 1.", found_file=Trust.ANY_VALUE
    )
    format_name: Literal["text", "markdown"] = option(
        default="text",
        flag="--format",
        help="Lines for a terminal, or tables for a pull request.",
        found_file=Trust.ANY_VALUE,
    )
    patch_file: Path | None = output_file_option(
        "If OLD is a contract and NEW is traffic: write a patch that adds what the contract lacks, for `patch -p0`.",
        flag="--propose",
    )


@create_command_of_requests(
    "drift", DriftOptions, OfficialDriftRequest, DriftRequest, OutputOptions, has_time_limit=True
)
def drift_command(
    options: DriftOptions, official_request: OfficialDriftRequest, request: DriftRequest, files: OutputOptions
) -> int:
    """Find what changed from OLD to NEW, and whether it breaks clients.

    OLD and NEW are each an OpenAPI document, a recording (a .har file or a folder of such
    files), or the id of a provider. `voicegauge rules drift` lists the rules. In JUnit XML,
    SARIF and annotations, a breaking change is an error, a possibly breaking one a warning,
    and a compatible one a note. In JUnit XML, changes at the level of --fail-on or above are
    failures.

    With --official, each contract is compared with the document that it was written from,
    in the operations that it describes: what is new, gone or different there. What a contract
    has from other sources is listed apart. The exit status is 3 if a document that a contract
    names cannot be used; a document of --from that cannot be used is an error. With --max-time
    or Ctrl-C, what was compared until then is printed.
    """
    if options.compares_official_documents or official_request.official_document is not None:
        _reject_options_of_other_comparisons(options, request, files)
        official_request = dataclasses.replace(official_request, providers=options.inputs)
        return _compare_official_documents(official_request, options, files.json_path)
    if len(options.inputs) != 2:
        raise click.UsageError("name two inputs, OLD and NEW, or providers with --official")
    old, new = options.inputs
    patch_file, format_name = options.patch_file, options.format_name
    if patch_file is not None and request.client_use_paths:
        raise click.UsageError("--uses and --propose cannot be combined: --uses is for two documents.")
    # Before the comparison, which may take a minute: an output that cannot be written is reported at once.
    files.validate(propose=patch_file)
    if patch_file is not None:
        _reject_existing_file(patch_file, "--propose")
    from voicegauge.api.documents import propose_contract_patch, run_find_drift
    from voicegauge.drift.drift_report import DriftLevel, render_markdown
    from voicegauge.report.result_summaries import summarize

    patch: ContractPatch | None = None
    diff = ""
    if patch_file is None:
        report = run_find_drift(dataclasses.replace(request, old=old, new=new))
    else:
        report, patch = propose_contract_patch(old, new, contracts=request.contracts)
        diff = patch.build_unified_diff()
        if diff:
            write_file(patch_file, diff.encode())
    failed_writes = FailedWriteCollector()
    report = files.apply_baselines(report, failed_writes)

    def print_report() -> None:
        if format_name == "markdown":
            print_escaped(render_markdown(report), with_newline=False)
            return
        unpatched = patch.unpatched_changes if patch is not None else ()
        manual_changes = [change for change in report.changes if change in unpatched]  # without those of the baseline
        _print_drift_report(report, manual_changes)
        if patch_file is not None:
            _print_patch(patch_file, len(manual_changes), is_written=bool(diff))

    with failed_writes.collect_write_error():
        show_result(report, files.json_path, print_report)
    level = DriftLevel(options.fail_on)
    fails = report.has_change_at_least(level)
    summary = summarize(report, fails=fails)
    files.write_files(report, summary, failed_writes, fail_on=level, markdown=render_markdown(report))
    failed_writes.raise_collected_errors()
    return EXIT_FINDINGS if fails else EXIT_OK


def _reject_options_of_other_comparisons(options: DriftOptions, request: DriftRequest, files: OutputOptions) -> None:
    """Reject options that have no effect on a comparison with official documents, and such a comparison by --from."""
    has_other_option = options.patch_file is not None or request.client_use_paths
    if (
        not options.compares_official_documents
        or has_other_option
        or dataclasses.replace(files, json_path=None) != OutputOptions()
    ):
        raise click.UsageError(
            "--official is combined with --from, --fail-on, --format, --contracts and --json only; --from needs it."
        )


def _compare_official_documents(request: OfficialDriftRequest, options: DriftOptions, json_path: str | None) -> int:
    """Compare contracts with official documents, show the result, write it to `json_path` if given; return status."""
    from voicegauge.api.documents import run_find_official_drift
    from voicegauge.drift.drift_report import DriftLevel, OfficialDriftReport, render_official_markdown

    comparisons: list[OfficialComparison] = []

    def print_report() -> None:
        if options.format_name == "markdown":
            print_escaped(render_official_markdown(report), with_newline=False)
            return
        for comparison in report.comparisons:
            _print_official_comparison(create_console(), comparison)

    try:
        report = run_find_official_drift(dataclasses.replace(request, on_comparison=comparisons.append))
    except KeyboardInterrupt:  # Ctrl-C or --max-time
        report = OfficialDriftReport(comparisons=tuple(comparisons))
        show_result(report, json_path, print_report)
        raise
    show_result(report, json_path, print_report)
    if report.has_difference_at_least(DriftLevel(options.fail_on)):
        return EXIT_FINDINGS
    return EXIT_NOTHING_MEASURED if report.has_unread_document else EXIT_OK


def _print_official_comparison(terminal: Console, comparison: OfficialComparison) -> None:
    if comparison.official_document is None:
        terminal.print(f"{comparison.provider}: not compared: {comparison.unreadable_reason}", style="yellow")
        return
    for word, changes in (
        ("removed", comparison.removals),
        ("changed", comparison.changed_values),
        ("added", comparison.additions),
    ):
        for change in changes:
            terminal.print(f"{word} ({change.level.value})  {change.qualified_location}")
            terminal.print(f"  {change.message}")
            terminal.print(f"  {change.old_position or ''}", style="dim")
    for reason, count in Counter(one.reason for one in comparison.known_differences).items():
        terminal.print(f"explained ({count})  {reason}", style="dim")
    for reason in comparison.unused_explanations:
        terminal.print(f"explains nothing  {reason}", style="yellow")
    for reason, count in Counter(one.reason for one in comparison.left_out_operations).items():
        terminal.print(f"left out ({count})  {reason}", style="dim")
    for name in comparison.undescribed_operations:
        terminal.print(f"not in the contract  {name}", style="dim")
    official = f"{comparison.official_document.title} {comparison.official_document.version}".strip()
    counts = (
        f"{len(comparison.removals)} removed, {len(comparison.changed_values)} changed, "
        f"{len(comparison.additions)} added, {len(comparison.known_differences)} explained, "
        f"{len(comparison.differences_from_other_sources)} from other sources; "
        f"operations: {comparison.described_operation_count} in the contract, "
        f"{len(comparison.left_out_operations)} left out, {len(comparison.undescribed_operations)} without a reason"
    )
    before = f"; last compared on {comparison.compared_on}" if comparison.compared_on is not None else ""
    terminal.print(f"{comparison.provider} and {official} ({comparison.url}): {counts}{before}", style="bold")


def _print_drift_report(report: DriftReport, manual_changes: Sequence[DriftChange]) -> None:
    out = create_console()
    for change in report.changes:
        _print_change(out, change)
        if change in manual_changes:
            where = f" in {change.old_position}" if change.old_position else ""
            out.print(f"  must be made by hand{where}", style="yellow")
    for reason in report.unreadable_client_file_messages:
        out.print(f"not read for --uses: {reason}", style="yellow")
    for entry in report.unused_baseline_entries:
        out.print(f"no longer found, take it out of the baseline: {entry}", style="dim")
    counts = ", ".join(f"{count} {level}" for level, count in report.count_by_level.items() if count)
    sides = " to ".join(
        f"{side.title} {side.version}".strip() or side.file for side in (report.old_input, report.new_input)
    )
    accepted = f", {len(report.accepted_changes)} accepted by the baseline" if report.accepted_changes else ""
    nothing = "nothing else has changed" if accepted else "nothing has changed"
    out.print(f"{sides}: {counts or nothing}{accepted}", style="bold")


def _print_patch(file: Path, manual_change_count: int, *, is_written: bool) -> None:
    written = f"wrote {file}: review it, then patch -p0 < {file}"
    result = written if is_written else f"the recordings add nothing to the contract: {file} is not written"
    changes = "1 change" if manual_change_count == 1 else f"{manual_change_count} changes"
    left = f"; {changes} must be made by hand" if manual_change_count else ""
    create_console().print(f"{result}{left}")


def _print_change(terminal: Console, change: DriftChange) -> None:
    from rich.text import Text

    title = Text.assemble(
        (change.level.value, _STYLE_BY_DRIFT_LEVEL[change.level.value]),
        f" {change.rule}  ",
        (change.qualified_location, "bold"),
    )
    terminal.print(title)
    terminal.print(f"  {change.message}")
    terminal.print(f"  {change.formatted_positions}", style="dim")


# `voicegauge record` and `convert`: save what a provider answers, without secrets, and convert such recordings.


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
    # A script has nobody to ask: without --yes, a file that would be replaced is an error before anything is sent.
    asks = not request.overwrite and sys.stdin.isatty()
    result = run_record(
        dataclasses.replace(
            request,
            overwrite=_confirm_overwrite if asks else request.overwrite,
            # Before the recording counts as ended, so that what it has spent is not forgotten if it is killed earlier.
            on_result=lambda result: show_result(
                result, output.json_path, lambda: _print_record_result(result, request)
            ),
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

    # Otherwise standard output has the JSON alone.
    prints = output.json_path != "-"
    conversion = run_convert(dataclasses.replace(request, on_file_converted=_print_converted_file if prints else None))
    if prints:
        _print_rejected_requests(conversion)
    if output.json_path:
        write_json(conversion, output.json_path)
    named = {str(file) for file in request.paths}
    # A folder may have files of other kinds; a file that is named is meant to be a recording.
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
