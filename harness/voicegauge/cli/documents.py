"""`voicegauge init` and `drift`: propose a contract, and find what changed between two contracts or recordings."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.api.local_requests import DriftRequest, OfficialDriftRequest
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import create_console, print_escaped, show_result
from voicegauge.cli._options import FailedWriteCollector, JsonOutput, OutputOptions, output_file_option
from voicegauge.errors import EXIT_FINDINGS, EXIT_NOTHING_MEASURED, EXIT_OK, ContractError, UsageError
from voicegauge.files import open_file, write_file
from voicegauge.options import Trust, argument, option, request

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.contract.overlay_proposal import OverlayProposal
    from voicegauge.drift.contract_patch import ContractPatch
    from voicegauge.drift.drift_report import DriftChange, DriftReport, OfficialComparison


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
    """The inputs from which a contract is proposed, and the folder to which it is written."""

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
    """Compare contracts with official documents, print the result, and return the exit status."""
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
