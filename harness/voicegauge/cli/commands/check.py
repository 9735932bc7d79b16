"""`voicegauge check`: check whether the API behaves as its contract says."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from voicegauge.cli.console import print_escaped, show_result
from voicegauge.cli.exit_status import EXIT_STATUS_BY_STOP_REASON
from voicegauge.cli.options import (
    OutputFolder,
    add_account_plan_option,
    add_base_url_option,
    add_contracts_option,
    add_credit_rate_option,
    add_insecure_http_option,
    add_json_option,
    add_max_cost_option,
    add_max_wait_option,
    add_price_option,
    add_public_url_option,
    add_seed_option,
    add_server_name_options,
    build_live_options,
    require_flags,
)
from voicegauge.cli.output_options import FailedWriteCollector, OutputOptions, add_output_options, add_severity_option
from voicegauge.cli.profile_check import add_profile_options, run_profile_check
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, NothingMeasuredError, UsageError
from voicegauge.files import write_file

if TYPE_CHECKING:
    from voicegauge.conformance import CheckReport
    from voicegauge.model import Severity


@click.command("check")
@click.argument("target_names", nargs=-1, metavar="[TARGET...]")
@add_profile_options
@click.option("--emulated", is_flag=True, help="Send planned requests to the emulator.")
@click.option("--live", is_flag=True, help="Send planned requests to the service itself, with your key.")
@click.option(
    "--full",
    "every_valid_request",
    is_flag=True,
    help="With --live: send every valid request of the plan; each one is charged. Always done if they are free.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(min=0),
    metavar="N",
    help="Send at most N billable requests, most informative first. Requests expected to be rejected are free.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 64),
    metavar="N",
    help="Cases in flight; the results are the same.  [default: 4 with --emulated, 1 with --fault or --live]",
)
@click.option(
    "--large-uploads", is_flag=True, help="With --live: upload tens of megabytes, just below and above each limit."
)
@click.option("--dry-run", is_flag=True, help="Print the priced plan and send nothing.")
@click.option(
    "--fuzz",
    "fuzz_request_count",
    type=click.IntRange(0, 100_000),
    default=0,
    metavar="N",
    help="Send N random requests per operation, in addition to the plan and not limited by --max-calls.",
)
@click.option(
    "--failures",
    "failures_folder_name",
    metavar="DIR",
    help="With --fuzz: save failing requests in DIR and try them first the next time; none saves nothing.  "
    "[default: a folder of the user's cache; none if CI is set]",
)
@click.option(
    "--write-tests",
    "tests_folder",
    type=OutputFolder(),
    metavar="DIR",
    help="With --fuzz: write each finding to DIR as a pytest test that sends the request again.",
)
@click.option("--fault", "faults", multiple=True, metavar="FAULT", help="With --emulated: inject a fault to be found.")
@click.option(
    "--case",
    "case_ids",
    multiple=True,
    metavar="ID",
    help="Send only this case, as a finding names it. May be repeated. --dry-run lists all cases.",
)
@click.option("--select", multiple=True, metavar="RULE", help="Apply only this rule. May be repeated.")
@click.option("--ignore", multiple=True, metavar="RULE", help="Do not apply this rule. May be repeated.")
@add_severity_option
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
@click.option(
    "--fail-under",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    help="Fail if less of the contract was tried: operations, statuses, states, constraints and rules.",
)
@click.option("--strict-baseline", is_flag=True, help="With --baseline: fail if an entry of it is not found any more.")
@add_output_options
@click.option(
    "--retry-ambiguous",
    "retry_ambiguous_requests",
    is_flag=True,
    help="With --live: pay again for requests that a killed check of these targets sent without a result.",
)
@click.option(
    "--recordings",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="HAR file, or folder of them, to check instead of ./fixtures/PROVIDER and the bundled ones. May be repeated.",
)
@add_base_url_option
@add_insecure_http_option
@add_public_url_option
@click.option(
    "--listen-port",
    type=click.IntRange(0, 65535),
    default=8090,
    show_default=True,
    help="With --public-url: local port that the tunnel leads to.",
)
@add_server_name_options
@add_account_plan_option
@add_credit_rate_option
@add_max_cost_option
@add_max_wait_option
@add_price_option
@add_seed_option
@add_contracts_option
@add_json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    target_names: tuple[str, ...],
    profile: str | None,
    key_env: str | None,
    capabilities: tuple[str, ...],
    badge_file: Path | None,
    emulated: bool,
    live: bool,
    every_valid_request: bool,
    max_calls: int | None,
    concurrency: int | None,
    large_uploads: bool,
    dry_run: bool,
    fuzz_request_count: int,
    failures_folder_name: str | None,
    tests_folder: Path | None,
    faults: tuple[str, ...],
    case_ids: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    severities: dict[str, Severity],
    strict: bool,
    fail_under: float | None,
    strict_baseline: bool,
    recordings: tuple[Path, ...],
    base_urls: dict[str, str],
    allow_insecure_http: bool,
    public_url: str | None,
    listen_port: int,
    models: tuple[str, ...],
    voices: tuple[str, ...],
    account_plans: tuple[str, ...],
    credit_prices_usd: dict[str, float],
    max_cost_usd: float,
    max_wait_s: float | None,
    prices: dict[str, float],
    seed: int,
    retry_ambiguous_requests: bool,
    contracts: tuple[Path, ...],
    json_path: str | None,
    **output_option_values: Any,
) -> None:
    """Check whether the API behaves as its contract says.

    Without --emulated or --live, nothing is sent: the examples in the documents and the
    recordings are checked. A finding is disputed if the documents contradict each other.
    The check fails if there are errors; with --strict, also if there are warnings. Disputed
    and info findings never make it fail. On a terminal, the command offers to record stale
    recordings again.
    """
    del key_env, capabilities  # they go with --profile, and are read there
    if profile is not None:
        ctx.exit(run_profile_check(ctx))
    _validate_flags(ctx)
    files = OutputOptions(json_path=json_path, **output_option_values)
    files.validate(badge=badge_file)
    from voicegauge import api
    from voicegauge.cli.progress import TerminalProgress

    catalogue = api.load_contracts(contracts)
    permission = build_live_options(
        live=live,
        max_cost_usd=max_cost_usd,
        base_urls=base_urls,
        account_plans=account_plans,
        credit_prices_usd=credit_prices_usd,
        allow_insecure_http=allow_insecure_http,
        models=models,
        voices=voices,
    )
    plan_options: dict[str, Any] = {
        "emulated": emulated,
        "live": permission,
        "contracts": catalogue,
        "max_calls": max_calls,
        "every_valid_request": every_valid_request,
        "large_uploads": large_uploads,
        "case_ids": case_ids,
        "prices": prices,
        "progress": TerminalProgress(),
    }
    if dry_run:
        from voicegauge.cli.check_tables import print_plan

        plan = api.plan_check(target_names, include_webhooks=public_url is not None, **plan_options)
        show_result(plan, json_path, lambda: print_plan(plan))
        return
    printer = _ReportPrinter(files, tests_folder, badge_file, strict=strict)
    check = functools.partial(
        api.check,
        target_names,
        select=select,
        ignore=ignore,
        severities=severities,
        recordings=recordings,
        stale_recordings_fail=bool(os.environ.get("CI")),
        fuzz_request_count=fuzz_request_count,
        failures_folder=_choose_failures_folder(failures_folder_name),
        faults=faults,
        public_url=public_url,
        listen_port=listen_port,
        seed=seed,
        concurrency=concurrency,
        retry_ambiguous_requests=retry_ambiguous_requests,
        # Before a live check counts as ended, so that what it has spent is not forgotten if it is killed earlier.
        on_report=printer.print_report if live else None,
        max_wait_s=max_wait_s,
        **plan_options,
    )
    report = check()
    if not emulated and not live and json_path != "-":
        from voicegauge.cli.stale_recordings import offer_to_record_again

        offered_commands: set[str] = set()
        while offer_to_record_again(report, offered_commands, max_cost_usd=max_cost_usd):
            report = check()
    report = printer.print_if_not_printed(report)
    status = _determine_exit_status(report, fail_on_warnings=strict)
    ctx.exit(status or _determine_exit_status_by_limits(report, fail_under, strict_baseline=strict_baseline))


def _validate_flags(ctx: click.Context) -> None:
    if ctx.params["emulated"] and ctx.params["live"]:
        raise UsageError("--emulated and --live exclude each other")
    require_flags(ctx, ("key_env", "capabilities"), "profile")
    require_flags(ctx, ("fuzz_request_count", "max_calls", "concurrency", "dry_run", "case_ids"), "emulated", "live")
    require_flags(
        ctx,
        (
            "base_urls",
            "allow_insecure_http",
            "prices",
            "account_plans",
            "credit_prices_usd",
            "every_valid_request",
            "public_url",
            "large_uploads",
            "models",
            "voices",
        ),
        "live",
    )
    require_flags(ctx, ("retry_ambiguous_requests", "models", "voices"), "live")
    require_flags(ctx, ("faults",), "emulated")
    require_flags(ctx, ("strict_baseline",), "baseline_file")
    require_flags(ctx, ("failures_folder_name", "tests_folder"), "fuzz_request_count")
    if ctx.params["recordings"] and (ctx.params["emulated"] or ctx.params["live"]):
        raise UsageError("--recordings excludes --emulated and --live: recordings are checked if nothing is sent")


def _choose_failures_folder(folder_name: str | None) -> Path | None:
    """Return the folder in which failing requests are saved; `None` if they are not saved.

    The default is a folder in the cache. In CI, where the cache starts empty, the default is not to save them.
    """
    from voicegauge.data_folders import get_cache_folder

    if folder_name is None:
        return None if os.environ.get("CI") else get_cache_folder() / "failures"
    return None if folder_name == "none" else Path(folder_name)


class _ReportPrinter:
    """Prints the report of a check once, and writes the files that the user asked for."""

    def __init__(
        self, output_options: OutputOptions, tests_folder: Path | None, badge_file: Path | None, *, strict: bool
    ) -> None:
        self._flags, self._tests_folder, self._badge, self._strict = output_options, tests_folder, badge_file, strict
        self._failed_writes = FailedWriteCollector()
        self._printed_report: CheckReport | None = None

    def print_report(self, report: CheckReport) -> None:
        """Print a report without the findings of the baseline, and write the files."""
        self._printed_report = self._flags.apply_baselines(report, self._failed_writes)
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
        from voicegauge.api import to_exported_report, write_badge
        from voicegauge.cli.check_tables import format_summary, print_report
        from voicegauge.outputs import format_step_summary

        with self._failed_writes.collect_write_error():
            show_result(report, self._flags.json_path, lambda: print_report(report))
        if self._tests_folder is not None:
            with self._failed_writes.collect_write_error():
                _write_reproduction_tests(report, self._tests_folder)
        if self._badge is not None:
            with self._failed_writes.collect_write_error():
                write_badge(report, self._badge, strict=self._strict)
        self._flags.write_files(
            report,
            lambda: format_step_summary(to_exported_report(report, strict=self._strict), format_summary(report)),
            self._failed_writes,
            strict=self._strict,
        )


def _write_reproduction_tests(report: CheckReport, folder: Path) -> None:
    files = {
        f"test_{f.rule.replace('-', '_')}_{f.fingerprint[:8]}.py": f.reproduction_test
        for f in report.findings
        if f.reproduction_test
    }
    for name, text in files.items():
        write_file(folder / name, text.encode())
    print_escaped(f"wrote {len(files)} test{'' if len(files) == 1 else 's'} to {folder}", to_stderr=True)


def _determine_exit_status(report: CheckReport, *, fail_on_warnings: bool) -> int:
    from voicegauge.model import Severity

    if report.stop_reason is not None:
        return EXIT_STATUS_BY_STOP_REASON[report.stop_reason]
    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    if report.count_findings(*failing):
        return EXIT_FINDINGS
    if report.no_verdict_reason is not None:
        raise NothingMeasuredError(report.no_verdict_reason)
    return EXIT_OK


def _determine_exit_status_by_limits(report: CheckReport, fail_under: float | None, *, strict_baseline: bool) -> int:
    """Return the exit status of a check without failing findings, by `--fail-under` and `--strict-baseline`."""
    problems = []
    percent = report.coverage_percent or 0.0
    if fail_under is not None and percent < fail_under:
        problems.append(f"tried {percent:g}% of the contract, less than --fail-under {fail_under:g}")
    if strict_baseline and report.unused_baseline_entries:
        count = len(report.unused_baseline_entries)
        entries = "1 entry" if count == 1 else f"{count} entries"
        problems.append(f"{entries} of the baseline no longer found: write it again with --write-baseline")
    for problem in problems:
        print_escaped(f"voicegauge: {problem}", to_stderr=True)
    return EXIT_FINDINGS if problems else EXIT_OK
