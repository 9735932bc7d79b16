"""`voicegauge check`: check whether the API behaves as its contract says, or judge a server by a profile."""

from __future__ import annotations

import dataclasses
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from voicegauge.api.calls import CommandDeadline
from voicegauge.api.options import LiveOptions
from voicegauge.api.requests import CheckRequest, ProfileRequest
from voicegauge.cli import EXIT_STATUS_BY_STOP_REASON, create_command_of_requests
from voicegauge.cli._console import create_console, create_table, print_escaped, print_table, show_result
from voicegauge.cli._options import FailedWriteCollector, OutputOptions, output_file_option, reject_outputs_to_same_file
from voicegauge.errors import (
    EXIT_FINDINGS,
    EXIT_NOTHING_MEASURED,
    EXIT_OK,
    NothingMeasuredError,
    PartlyMeasuredError,
    UsageError,
)
from voicegauge.files import write_file
from voicegauge.model.price import format_price_usd
from voicegauge.options import PathKind, Trust, list_own_options, option, request
from voicegauge.printable_text import format_count, format_names

if TYPE_CHECKING:
    from voicegauge.conformance.check_report import CheckReport
    from voicegauge.profiles.judging import ProfileReport, ProfileVerdict, RequirementVerdict


@request
class CheckOutputs(OutputOptions):
    """What `voicegauge check` prints and writes, and when it fails."""

    dry_run: bool = option(
        default=False,
        help="Print the priced plan and send nothing.",
        requires=("emulated", "live"),
        found_file=Trust.ANY_VALUE,
        hides_live_run=True,
    )
    strict: bool = option(default=False, help="Fail on warnings too.", found_file=Trust.ANY_VALUE)
    fail_under: float | None = option(
        default=None,
        help="Fail if less than this share of the contract was tried: operations, statuses, states, constraints and "
        "rules.",
        metavar="SHARE",
        minimum=0,
        maximum=1,
        found_file=Trust.ANY_VALUE,
    )
    strict_baseline: bool = option(
        default=False,
        help="Fail if an entry of the baseline is not found any more.",
        requires=("baseline_file",),
        found_file=Trust.ANY_VALUE,
    )
    tests_folder: Path | None = option(
        default=None,
        flag="--write-tests",
        help="Write each finding to DIR as a pytest test that sends the request again.",
        metavar="DIR",
        path=PathKind.OUTPUT_FOLDER,
        requires=("fuzz_request_count",),
        refusal_reason="it decides where tests are written, which are run",
    )
    badge_file: Path | None = output_file_option(
        "Write the number of findings as an SVG badge to FILE; for a profile, the score.", flag="--badge"
    )


# Judges a server by a profile for `check --profile`: adds the options, runs the check and prints its result.


_PROFILE_CHECK_OPTIONS = frozenset(
    {field.name for field in list_own_options(ProfileRequest)}
    | {"base_urls", "allow_insecure_http", "own_server_models", "own_server_voices"}
    | {"json_path", "html_file", "badge_file"}
)
"""Names of the options of `check` that have an effect together with `--profile`."""
_EXIT_STATUS_BY_VERDICT: dict[ProfileVerdict, int] = {
    "passed": EXIT_OK,
    "failed": EXIT_FINDINGS,
    "not-judged": EXIT_NOTHING_MEASURED,
}
"""Exit statuses by the verdict about the server."""
_STYLE_BY_VERDICT: dict[RequirementVerdict, str] = {
    "failed": "bold red",
    "not-judged": "yellow",
    "more-permissive": "yellow",
    "not-offered": "cyan",
    "passed": "green",
    "not-scored": "dim",
}
"""Styles of the verdicts, in the order in which requirements are printed."""


def check_by_profile(request: CheckRequest, profile_request: ProfileRequest, outputs: CheckOutputs) -> int:
    """Judge a server by the profile that the user named, print and write the result, and return the exit status.

    Raises:
        UsageError: an option has no effect together with `--profile`.
    """
    if request.targets:
        raise UsageError("--profile judges a server by its base URL: leave out the targets")
    ctx = click.get_current_context()
    for parameter in ctx.command.params:
        is_given = ctx.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if is_given and parameter.name not in _PROFILE_CHECK_OPTIONS:
            raise UsageError(f"{parameter.opts[0]} has no effect with --profile, whose plan is published: leave it out")
    reject_outputs_to_same_file(json=outputs.json_path, html=outputs.html_file, badge=outputs.badge_file)
    from voicegauge.api import checking
    from voicegauge.cli._progress import TerminalProgress

    report = checking.run_profile_check(dataclasses.replace(profile_request, progress=TerminalProgress()))
    _write_profile_outputs(report, outputs.json_path, outputs.html_file, outputs.badge_file)
    stop_reason = report.check_report.stop_reason
    if stop_reason is not None:
        return EXIT_STATUS_BY_STOP_REASON[stop_reason]
    return _EXIT_STATUS_BY_VERDICT[report.verdict]


def _write_profile_outputs(
    report: ProfileReport, json_path: str | None, html_file: Path | None, badge_file: Path | None
) -> None:
    from voicegauge.profiles.judging import render_profile_badge, render_profile_page

    failed_writes = FailedWriteCollector()
    with failed_writes.collect_write_error():
        show_result(report, json_path, lambda: _print_profile_report(report))
    for path, render in ((html_file, render_profile_page), (badge_file, render_profile_badge)):
        if path is not None:
            with failed_writes.collect_write_error():
                write_file(path, render(report).encode())
                print_escaped(f"wrote {path}", to_stderr=True)
    failed_writes.raise_collected_errors()


def _print_profile_report(report: ProfileReport) -> None:
    from voicegauge.profiles.judging import LABEL_BY_REQUIREMENT_VERDICT, describe_all_verdicts

    terminal = create_console()
    if report.check_report.doubt_reason is not None:
        terminal.print(report.check_report.doubt_reason, style="bold red")
    rows = create_table("result", "level", "requirement", "why")
    order = list(_STYLE_BY_VERDICT)
    for one in sorted(report.requirement_results, key=lambda result: order.index(result.verdict)):
        if one.verdict != "not-scored":
            rows.add_row(
                LABEL_BY_REQUIREMENT_VERDICT[one.verdict],
                one.level,
                f"{one.id}: {one.sentence}",
                one.verdict_reason or "",
            )
    print_table(terminal, rows)
    not_scored = ", ".join(one.id for one in report.requirement_results if one.verdict == "not-scored")
    if not_scored:
        reasons = "reasons in --html and --json"
        terminal.print(f"not scored ({reasons}): {not_scored}", style="dim")
    line = f"{report.profile_id}: {describe_all_verdicts(report)}"
    line += f". Incomplete: {report.check_report.stop_message}" if report.check_report.stop_message else ""
    terminal.print(line, style="bold")


# `voicegauge check`: check whether the API behaves as its contract says.


@create_command_of_requests("check", CheckRequest, ProfileRequest, CheckOutputs)
def check_command(request: CheckRequest, profile_request: ProfileRequest, outputs: CheckOutputs) -> int:
    """Check whether the API behaves as its contract says.

    Without --emulated or --live, nothing is sent: the examples in the documents and the
    recordings are checked. A finding is disputed if the documents contradict each other.
    The check fails if there are errors; with --strict, also if there are warnings. Disputed
    and info findings never make it fail. On a terminal, the command offers to record stale
    recordings again.
    """
    if profile_request.profile:
        return check_by_profile(request, profile_request, outputs)
    outputs.validate(badge=outputs.badge_file)
    with CommandDeadline(None).interrupt_preparation_when_time_is_over():  # importing takes long enough for Ctrl-C
        from voicegauge.api import checking
        from voicegauge.api.check_setup import run_plan_check
        from voicegauge.cli._progress import TerminalProgress

    request = dataclasses.replace(
        request,
        failures_folder=_choose_failures_folder(request) if request.fuzz_request_count else None,
        # On a terminal, the command offers to record them again; in CI nobody would answer.
        stale_recordings_fail=bool(os.environ.get("CI")),
        progress=TerminalProgress(),
    )
    if outputs.dry_run:
        from voicegauge.cli._check_tables import print_plan
        from voicegauge.cli._console import raise_error_of_refused_plan

        with CommandDeadline(request.max_time_s).interrupt_preparation_when_time_is_over():
            plan = run_plan_check(request)
        show_result(plan, outputs.json_path, lambda: print_plan(plan))
        raise_error_of_refused_plan(plan.budget_forecast)
        return EXIT_OK
    printer = _ReportPrinter(outputs)
    if request.live is not None:
        # Before a live check counts as ended, so that what it has spent is not forgotten if it is killed earlier.
        request = dataclasses.replace(request, on_report=printer.print_report)
    report = checking.run_check(request)
    if not request.emulated and request.live is None and outputs.json_path != "-":
        # Each recording is offered once: one that stays stale would be offered for ever.
        offered_commands: set[str] = set()
        while offer_to_record_again(report, offered_commands):
            report = checking.run_check(request)
    report = printer.print_if_not_printed(report)
    status = _determine_exit_status(report, fail_on_warnings=outputs.strict)
    status = status or _print_unmet_limits(report, outputs)
    if status == EXIT_OK and report.partly_judged_reason is not None:
        # Only without findings: the status of a finding says more.
        raise PartlyMeasuredError(report.partly_judged_reason)
    return status


def _choose_failures_folder(request: CheckRequest) -> Path | None:
    """Return the folder in which failing requests are saved; `None` if they are not saved.

    The default is a folder in the cache. In CI, where the cache starts empty, the default is not to save them.
    """
    from voicegauge.files import get_cache_folder

    named_folder = request.failures_folder
    if named_folder is None:
        return None if os.environ.get("CI") else get_cache_folder() / "failures"
    return None if str(named_folder) == "none" else Path(named_folder)


class _ReportPrinter:
    """Prints the report of a check once, and writes the files that the user asked for."""

    def __init__(self, outputs: CheckOutputs) -> None:
        self._outputs = outputs
        self._failed_writes = FailedWriteCollector()
        self._printed_report: CheckReport | None = None

    def print_report(self, report: CheckReport) -> None:
        """Print a report without the findings of the baseline, and write the files."""
        self._printed_report = self._outputs.apply_baselines(report, self._failed_writes)
        self._write_outputs(self._printed_report)

    def print_if_not_printed(self, report: CheckReport) -> CheckReport:
        """Print the report unless it is printed already, and return it without the findings of the baseline.

        Raises:
            VoicegaugeError: a file could not be written.
        """
        if self._printed_report is None:
            self.print_report(report)
        self._failed_writes.raise_collected_errors()
        assert self._printed_report is not None
        return self._printed_report

    def _write_outputs(self, report: CheckReport) -> None:
        from voicegauge.api.result_files import write_badge
        from voicegauge.cli._check_tables import print_report
        from voicegauge.report.result_summaries import summarize_check

        unmet_limits = _find_unmet_limits(report, self._outputs)
        with self._failed_writes.collect_write_error():
            show_result(report, self._outputs.json_path, lambda: print_report(report))
        if self._outputs.tests_folder is not None:
            with self._failed_writes.collect_write_error():
                _write_reproduction_tests(report, self._outputs.tests_folder)
        if self._outputs.badge_file is not None:
            with self._failed_writes.collect_write_error():
                write_badge(report, self._outputs.badge_file, strict=self._outputs.strict, unmet_limits=unmet_limits)
        summary = summarize_check(report, fail_on_warnings=self._outputs.strict, unmet_limits=unmet_limits)
        self._outputs.write_files(
            report, summary, self._failed_writes, strict=self._outputs.strict, unmet_limits=unmet_limits
        )


def _write_reproduction_tests(report: CheckReport, folder: Path) -> None:
    files = {
        f"test_{f.rule.replace('-', '_')}_{f.fingerprint[:8]}.py": f.reproduction_test
        for f in report.findings
        if f.reproduction_test
    }
    for name, text in files.items():
        write_file(folder / name, text.encode())
    if files:
        print_escaped(f"wrote {format_count(len(files), 'test')} to {folder}", to_stderr=True)
    else:
        print_escaped(f"no test to write to {folder}: random requests found nothing", to_stderr=True)


def _determine_exit_status(report: CheckReport, *, fail_on_warnings: bool) -> int:
    from voicegauge.model.base import Severity

    if report.stop_reason == "time" and all(case.verdict == "skipped" for case in report.case_results):
        raise NothingMeasuredError(f"no case came to a verdict: {report.stop_message}")
    if report.stop_reason is not None:
        return EXIT_STATUS_BY_STOP_REASON[report.stop_reason]
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    if report.count_findings(*failing):
        return EXIT_FINDINGS
    if report.no_verdict_reason is not None:
        raise NothingMeasuredError(report.no_verdict_reason)
    return EXIT_OK


_MAX_UNUSED_BASELINE_ENTRIES_NAMED = 3
"""Largest number of entries of a baseline that the sentence about entries no longer found names."""


def _find_unmet_limits(report: CheckReport, outputs: CheckOutputs) -> dict[str, str]:
    """Return what makes a check fail besides findings, by option: `--fail-under` and `--strict-baseline`."""
    unmet = {}
    percent = report.coverage_percent or 0.0
    if outputs.fail_under is not None and percent < round(outputs.fail_under * 100, 6):
        unmet["--fail-under"] = f"tried {percent:g}% of the contract, less than --fail-under {outputs.fail_under:g}"
    if outputs.strict_baseline and report.unused_baseline_entries:
        count = len(report.unused_baseline_entries)
        named = format_names(report.unused_baseline_entries, _MAX_UNUSED_BASELINE_ENTRIES_NAMED, separator="; ")
        entries, them = ("1 entry", "it") if count == 1 else (f"{count} entries", "them")
        unmet["--strict-baseline"] = f"{entries} no longer found, take {them} out of the baseline: {named}"
    return unmet


def _print_unmet_limits(report: CheckReport, outputs: CheckOutputs) -> int:
    """Print what makes a check without failing findings fail, and return the exit status."""
    unmet = _find_unmet_limits(report, outputs)
    for problem in unmet.values():
        print_escaped(f"voicegauge: {problem}", to_stderr=True)
    return EXIT_FINDINGS if unmet else EXIT_OK


# Offers, after `voicegauge check`, to record stale recordings again.


def offer_to_record_again(report: CheckReport, offered_commands: set[str]) -> bool:
    """Offer to record stale recordings again, and record them if the user agrees.

    The offer is made only on a terminal, and never in CI.

    Args:
        report: the report of the check.
        offered_commands: commands that were offered before; commands that this call offers are added.

    Returns:
        Whether something was recorded and the check must therefore be repeated.
    """
    stale = (finding for finding in report.findings if finding.rule == "recording-stale")
    commands = [
        command
        for command in (finding.reproduction_command for finding in stale)
        if command and command not in offered_commands
    ]
    is_interactive = not os.environ.get("CI") and sys.stdin.isatty() and sys.stderr.isatty()
    if not commands or not is_interactive:
        return False
    offered_commands.update(commands)
    # The budget for recordings is that of --max-cost, VOICEGAUGE_MAX_COST or the settings, though nothing is sent now.
    given = dict(click.get_current_context().params["max_cost_usd"])
    max_cost_usd = (LiveOptions(max_cost_usd=given) if given else LiveOptions()).total_budget_usd
    listed = "".join(f"\n  {command}" for command in commands)
    print_escaped(f"some recordings are stale; these commands record them again:{listed}", to_stderr=True)
    limit = format_price_usd(max_cost_usd, is_exact=True)
    question = f"Run them now? They send requests to the services themselves, for at most {limit} each."
    if not click.confirm(question, default=False, err=True):
        return False
    from voicegauge.cli import run

    statuses = [run([*shlex.split(command)[1:], "--max-cost", str(max_cost_usd)]) for command in commands]
    return EXIT_OK in statuses
