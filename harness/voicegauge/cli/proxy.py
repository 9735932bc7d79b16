"""`voicegauge proxy`: judge and record what passes between a client and the service."""

from __future__ import annotations

import dataclasses
import gc
import shlex
import signal
import threading
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import ProxyRequest, port_option
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, print_escaped, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.errors import EXIT_FINDINGS, EXIT_OK, NothingMeasuredError
from voicegauge.options import Trust, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from voicegauge.api.local_servers import RunningProxy
    from voicegauge.relay.relayed_exchange import ProxyReport


MAX_REASONS_SHOWN = 5
"""Largest number of reasons, and of paths, that are printed for requests that were not judged; --json has all."""
DEFAULT_PROXY_PORT = 8070


@request
class ProxyCommandRequest(ProxyRequest):
    """A proxy with a port that does not change, for the settings of a client."""

    port: int = port_option(DEFAULT_PROXY_PORT)


@request
class ProxyOptions(JsonOutput):
    """What the command writes, and when it fails."""

    strict: bool = option(default=False, help="Fail on warnings too.", found_file=Trust.ANY_VALUE)


@command_of("proxy", ProxyCommandRequest, ProxyOptions)
def command(request: ProxyCommandRequest, options: ProxyOptions) -> int:
    """Judge and record what passes between your own client and the service.

    Set the URL that is printed first as the base URL of your client. Requests and responses
    pass unchanged and part by part, and WebSockets message by message. Findings are printed as
    they occur, and a summary at the end (Ctrl-C). The exit status is 1 if there are errors
    (with --strict, also warnings), and 3 if nothing was judged or something could not be, such
    as a request that the contract does not have.
    """
    from voicegauge.api.local_servers import run_proxy
    from voicegauge.cli._check_tables import NewFindingPrinter

    out = create_console(to_stderr=options.json_path == "-")
    server = run_proxy(
        dataclasses.replace(
            request,
            on_finding=NewFindingPrinter(out).print_finding,
            on_missing_response=lambda reason: print_escaped(f"no response of the service: {reason}", to_stderr=True),
            on_notice=lambda message: print_escaped(message, to_stderr=True),
        )
    )
    with server as running_proxy:
        _print_running_proxy(out, running_proxy)
        gc.freeze()  # or a collection of all that was loaded could stop the traffic for tens of milliseconds
        _wait_until_stopped()
        if running_proxy.unjudged_count:
            print_escaped(f"judging {running_proxy.unjudged_count} more (Ctrl-C leaves them out)", to_stderr=True)
    report = running_proxy.report
    show_result(report, options.json_path, lambda: _print_report(out, report))
    return _determine_exit_status(report, fail_on_warnings=options.strict)


def _print_running_proxy(terminal: Console, running_proxy: RunningProxy) -> None:
    terminal.print(f"proxy at {running_proxy.url} (Ctrl-C to stop)\n", soft_wrap=True)
    for server_url, url in (*running_proxy.base_urls.items(), *running_proxy.socket_base_urls.items()):
        terminal.print(f"  {url} in place of {server_url}", soft_wrap=True)
    for url in running_proxy.upstream_urls:
        terminal.print(f"  requests with their keys are forwarded to {url}", soft_wrap=True)
    terminal.print("  URLs in responses are not changed: a client that follows one leaves the proxy", soft_wrap=True)
    if running_proxy.recording is not None:
        terminal.print(f"  recording to {running_proxy.recording}", soft_wrap=True)


def _wait_until_stopped() -> None:
    """Wait for Ctrl-C or SIGTERM, which are the regular end of the command."""
    stopped = threading.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in handlers:
        signal.signal(number, lambda _number, _frame: stopped.set())
    try:
        stopped.wait()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _print_report(terminal: Console, report: ProxyReport) -> None:
    from voicegauge.cli._check_tables import format_coverage, print_finding_counts
    from voicegauge.conformance.report import describe_result

    terminal.print()
    print_finding_counts(terminal, report.report.findings)
    for label, counts in (
        ("no response of the service", report.failure_count_by_reason),
        ("passed, not judged", report.unjudged_count_by_reason),
        ("passed, not in the contract", report.undocumented_count_by_request),
        ("not recorded", report.unrecorded_count_by_reason),
    ):
        _print_counts(terminal, label, counts)
    for name, reason in report.report.unmatched_request_reason_by_name.items():
        terminal.print(f"passed, not judged: {name}: {reason}", style="yellow", soft_wrap=True)
    if report.recording_path is not None:
        command = shlex.join(["voicegauge", "check", report.provider, "--recordings", report.recording_path])
        terminal.print(
            f"recorded {format_count(report.recorded_count, 'exchange')}: {report.recording_path}", soft_wrap=True
        )
        terminal.print(f"judge them again: {command}", soft_wrap=True)
    if report.report.coverage_percent is not None:
        terminal.print(format_coverage(report.report), soft_wrap=True)
    requests = format_count(report.request_count, "request")
    terminal.print(f"{requests}; {describe_result(report.report)}", style="bold", soft_wrap=True)


def _print_counts(terminal: Console, label: str, counts: Mapping[str, int]) -> None:
    shown = list(counts.items())[:MAX_REASONS_SHOWN]
    for reason, count in shown:
        terminal.print(f"{label}: {count} x {reason}", style="yellow", soft_wrap=True)
    if len(counts) > len(shown):
        terminal.print(
            f"{label}: {len(counts) - len(shown)} more reasons (--json has all)", style="yellow", soft_wrap=True
        )


def _determine_exit_status(report: ProxyReport, *, fail_on_warnings: bool) -> int:
    from voicegauge.model.base import Severity

    failing = (Severity.ERROR, Severity.WARNING) if fail_on_warnings else (Severity.ERROR,)
    if report.report.count_findings(*failing):
        return EXIT_FINDINGS
    if not report.report.exchange_count_by_provenance:
        raise NothingMeasuredError(
            f"none of {format_count(report.request_count, 'request')} was judged"
            if report.request_count
            else "no request passed"
        )
    reason = next(iter(report.unjudged_count_by_reason), None) or report.report.no_verdict_reason
    if reason is None and report.undocumented_count_by_request:
        reason = f"{next(iter(report.undocumented_count_by_request))} is not in the contract"
    if reason is not None:
        raise NothingMeasuredError(f"not everything was judged: {reason}")
    return EXIT_OK
