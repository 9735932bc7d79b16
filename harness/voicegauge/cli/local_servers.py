"""`voicegauge serve`, `proxy` and `listen`: servers on this machine, until Ctrl-C."""

from __future__ import annotations

import dataclasses
import gc
import shlex
import signal
import threading
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import EmulateRequest, ListenRequest, ProxyRequest, port_option
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import create_console, create_table, print_escaped, print_table, show_result, write_json
from voicegauge.cli._options import JsonOutput
from voicegauge.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_OK, NothingMeasuredError
from voicegauge.hosts import EMULATOR_PORT, to_socket_url
from voicegauge.options import PathKind, Trust, build_arguments, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from voicegauge.api.local_servers import RunningProxy, RunningReplay
    from voicegauge.conformance.received_callbacks import JudgedCallback
    from voicegauge.contract.contract import Contract
    from voicegauge.emulator.client_findings import ClientFinding
    from voicegauge.emulator.process import RunningEmulator
    from voicegauge.recording.recorded_exchanges import Recording
    from voicegauge.recording.replay import Replay
    from voicegauge.relay.traffic_monitor import ProxyReport


MAX_UNUSED_REQUESTS_SHOWN = 10
"""Maximum number of recorded requests that are listed at the end because they were not sent."""


@request
class ServeRequest(EmulateRequest):
    """Options of `serve`: those of the emulator, with a fixed default port, so that clients can be configured once."""

    port: int = port_option(EMULATOR_PORT)


@request
class ReplayOptions:
    """Recordings that are served instead of the emulator."""

    recordings_to_replay: Sequence[Path] = option(
        default=(),
        flag="--replay",
        help="Serve recordings instead: a .har file or a folder of them, as they are.",
        metavar="PATH",
        path=PathKind.EXISTING,
        excludes=(
            "faults",
            "clock",
            "tls",
            "time_scale",
            "allow_webhook_http",
            "webhook_hosts",
            "account_plan",
            "account_credits",
        ),
        found_file=Trust.PATH_IN_FOLDER,
    )
    pause_factor: float = option(
        default=1.0,
        flag="--pace",
        help="Factor for the recorded pauses; 0 leaves them out.",
        minimum=0,
        maximum=1000,
        requires=("recordings_to_replay",),
        found_file=Trust.ANY_VALUE,
    )


@create_command_of_requests("serve", ServeRequest, ReplayOptions)
def serve_command(request: ServeRequest, replay_options: ReplayOptions) -> int | None:
    """Respond as the providers' contracts say, on a local port, with real speech.

    The responses do not come from a provider, so all measurements are EMULATED. What a
    client does wrong on a WebSocket is printed, and the exit status is then 1. With
    --replay, a request that equals a recorded one gets the recorded response; the exit
    status is then 1 if any other request was received.
    """
    from voicegauge.api.local_servers import serve_emulator, serve_replay
    from voicegauge.api.target_selection import select_providers, to_catalogue

    chosen = select_providers(to_catalogue(request.contracts), request.providers)
    errors = create_console(to_stderr=True)
    if not replay_options.recordings_to_replay:
        findings: list[ClientFinding] = []

        def print_finding(finding: ClientFinding) -> None:
            findings.append(finding)
            errors.print(finding.describe(), style="yellow")

        serve_emulator(
            request,
            chosen,
            on_ready=lambda emulator: _announce_emulator(request, chosen, emulator),
            on_client_finding=print_finding,
        )
        return EXIT_FINDINGS if findings else None
    replayed = serve_replay(
        replay_options.recordings_to_replay,
        chosen,
        host=request.host,
        port=request.port,
        pause_factor=replay_options.pause_factor,
        on_ready=_announce_replay,
        on_unmatched_request=lambda text: errors.print(text, style="yellow"),
    )
    _print_unused_requests(replayed)
    return EXIT_FINDINGS if replayed.unmatched_request_descriptions else None


def print_faults() -> None:
    """Print the faults of the emulator, as `--fault list` of every command does."""
    from voicegauge.emulator.fault_injection import FAULTS

    rows = create_table("fault", "what the emulator then does wrong")
    for fault in FAULTS.values():
        rows.add_row(fault.id, fault.description)
    print_table(create_console(), rows)


def _announce_emulator(request: ServeRequest, contracts: Sequence[Contract], emulator: RunningEmulator) -> None:
    """Print how the emulator of `contracts` is reached."""
    from voicegauge.contract.loading import is_bundled
    from voicegauge.contract.price_computation import quote_price

    out, url = create_console(), emulator.url
    own = shlex.join(build_arguments(request, names=("contracts",)))
    out.print(f"EMULATED providers at {url} (Ctrl-C to stop)\n")
    for contract in contracts:
        out.print(f"  {contract.provider.title}")
        options = "" if is_bundled(contract.document.path) else f" {own}"
        targets = (*contract.targets.values(), *contract.audio_input_targets.values())
        # Without a price, a check with --live refuses to send, although the emulator charges nothing.
        if any(quote_price(target, 1).reserved_usd is None for target in targets):
            options += f" --price {contract.id}=0"
        out.print(f"    voicegauge check {contract.id} --live --base-url {url}/{contract.id}{options}")
        for server in contract.servers.values() if len(contracts) == 1 else ():
            out.print(f"    {url}{server.path_prefix} in place of {server.url}")
        if contract.socket_targets:
            socket_url = to_socket_url(url)
            out.print(f"    {socket_url}/{contract.id} in place of the address of its WebSockets")
        for variable in contract.key_variables:
            out.print(f"    export {variable}=any-key")
    if emulator.authority_file is not None:
        out.print(f"\n  TLS: export SSL_CERT_FILE={emulator.authority_file}")
    out.print(f"\n  Control: {url}/_emulator/health  reset  clock  state  journal  faults  client-findings")


def _announce_replay(server: RunningReplay, recordings: Sequence[Recording]) -> None:
    out = create_console()
    out.print(f"REPLAYED providers at {server.url} (Ctrl-C to stop)\n")
    providers = dict.fromkeys(recording.provider for recording in recordings)
    for provider in providers:
        kinds = {r.provenance.value.upper() for r in recordings if r.provider == provider}
        count = sum(one.comparable_request.provider == provider for one in server.replay.recorded_requests)
        line = f"  {server.base_url(provider)}  {count} recorded requests, {', '.join(sorted(kinds))}"
        out.print(line)
        for documented in server.replay.contracts[provider].servers.values() if len(providers) == 1 else ():
            out.print(f"  {server.url}{documented.path_prefix} in place of {documented.url}")
        of_provider = [one for r in recordings if r.provider == provider for one in r.exchanges]
        if any(one.socket is not None for one in of_provider):
            out.print(f"  {to_socket_url(server.base_url(provider))} for its WebSockets")


def _print_unused_requests(replay: Replay) -> None:
    out = create_console()
    total, unused = len(replay.recorded_requests), replay.unused_request_names
    other_count = len(replay.unmatched_request_descriptions)
    out.print(f"{total - len(unused)} of {total} recorded requests were sent, and {other_count} others")
    for name in unused[:MAX_UNUSED_REQUESTS_SHOWN]:
        out.print(f"  not sent: {name}", style="dim")
    if len(unused) > MAX_UNUSED_REQUESTS_SHOWN:
        out.print(f"  ... and {len(unused) - MAX_UNUSED_REQUESTS_SHOWN} more", style="dim")


MAX_REASONS_SHOWN = 5
"""Largest number of reasons, and of paths, that are printed for requests that were not judged; --json has all."""
DEFAULT_PROXY_PORT = 8070
"""Port of `proxy`. It does not change, so that clients can be configured once."""


@request
class ProxyCommandRequest(ProxyRequest):
    """A proxy with a port that does not change, for the settings of a client."""

    port: int = port_option(DEFAULT_PROXY_PORT)


@request
class ProxyOptions(JsonOutput):
    """When `voicegauge proxy` fails."""

    strict: bool = option(default=False, help="Fail on warnings too.", found_file=Trust.ANY_VALUE)


@create_command_of_requests("proxy", ProxyCommandRequest, ProxyOptions)
def proxy_command(request: ProxyCommandRequest, options: ProxyOptions) -> int:
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
    show_result(report, options.json_path, lambda: _print_proxy_report(out, report, running_proxy.recording))
    return _determine_exit_status_of_proxy(report, fail_on_warnings=options.strict)


def _print_running_proxy(terminal: Console, running_proxy: RunningProxy) -> None:
    terminal.print(f"proxy at {running_proxy.url} (Ctrl-C to stop)\n")
    for server_url, url in (*running_proxy.base_urls.items(), *running_proxy.socket_base_urls.items()):
        terminal.print(f"  {url} in place of {server_url}")
    for url in running_proxy.upstream_urls:
        terminal.print(f"  requests with their keys are forwarded to {url}")
    terminal.print("  URLs in responses are not changed: a client that follows one leaves the proxy")
    if running_proxy.recording is not None:
        terminal.print(f"  recording to {running_proxy.recording}")


def _wait_until_stopped() -> None:
    """Wait for Ctrl-C, which is the regular end of the command."""
    stopped = threading.Event()
    # No exception: what follows, such as judging the rest, runs as after any other end.
    handler = signal.signal(signal.SIGINT, lambda _number, _frame: stopped.set())
    try:
        stopped.wait()
    finally:
        signal.signal(signal.SIGINT, handler)


def _print_proxy_report(terminal: Console, report: ProxyReport, named_recording: Path | None) -> None:
    from voicegauge.cli._check_tables import format_coverage, print_finding_counts, print_unjudged_speech
    from voicegauge.conformance.check_report import describe_result

    terminal.print()
    print_finding_counts(terminal, report.report.findings)
    print_unjudged_speech(terminal, report.report)
    for label, counts in (
        ("no response of the service", report.failure_count_by_reason),
        ("passed, not judged", report.unjudged_count_by_reason),
        ("passed, not in the contract", report.undocumented_request_count_by_operation),
        ("not recorded", report.unrecorded_count_by_reason),
    ):
        _print_counts_by_reason(terminal, label, counts)
    for name, reason in report.report.unmatched_request_reason_by_name.items():
        terminal.print(f"passed, not judged: {name}: {reason}", style="yellow")
    if report.recording_path is not None:
        options = ["--recordings", report.recording_path]
        options += ["--contracts", report.contract_path] if report.contract_path is not None else []
        command = shlex.join(["voicegauge", "check", report.provider, *options])
        terminal.print(f"recorded {format_count(report.recorded_count, 'exchange')}: {report.recording_path}")
        terminal.print(f"judge them again: {command}")
    elif named_recording is not None:
        reason = "no response to a request in the contract could be recorded"
        line = f"nothing recorded: {reason}, so {named_recording} is not written"
        terminal.print(line, style="yellow")
    if report.report.coverage_percent is not None:
        terminal.print(format_coverage(report.report))
    requests = format_count(report.request_count, "request")
    terminal.print(f"{requests}; {describe_result(report.report)}", style="bold")


def _print_counts_by_reason(terminal: Console, label: str, counts: Mapping[str, int]) -> None:
    shown = list(counts.items())[:MAX_REASONS_SHOWN]
    for reason, count in shown:
        terminal.print(f"{label}: {count} x {reason}", style="yellow")
    if len(counts) > len(shown):
        terminal.print(f"{label}: {len(counts) - len(shown)} more reasons (--json has all)", style="yellow")


def _determine_exit_status_of_proxy(report: ProxyReport, *, fail_on_warnings: bool) -> int:
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
    reason = next(iter(report.unjudged_count_by_reason), None)
    if reason is None and report.report.no_verdict_reason is not None:
        raise NothingMeasuredError(report.report.no_verdict_reason)
    if reason is None and report.undocumented_request_count_by_operation:
        reason = f"{next(iter(report.undocumented_request_count_by_operation))} is not in the contract"
    if reason is not None:
        raise NothingMeasuredError(f"not everything was judged: {reason}")
    return EXIT_OK


MAX_CHARACTERS_PER_VALUE_SHOWN = 80
"""Largest number of characters printed of an id or a state. A value of an unknown sender could fill the terminal."""


@create_command_of_requests("listen", ListenRequest, JsonOutput)
def listen_command(request: ListenRequest, output: JsonOutput) -> int:
    """Receive webhooks and validate them against the contracts; print one line for each.

    Webhooks are accepted only at the URL that is printed first; it is different each time.
    Providers require https, so let a tunnel forward to the port and pass the tunnel's URL
    with --public-url. The exit status is 1 if a webhook had an error, and 3 if none fitted a
    contract. Without --count and --timeout, Ctrl-C is the regular end of the command;
    otherwise, and before the first webhook that fits a contract, it is an interruption (130).
    """
    from voicegauge.api.local_servers import run_listen
    from voicegauge.model.base import Severity

    out = create_console(to_stderr=output.json_path == "-")
    result = run_listen(
        dataclasses.replace(
            request,
            on_ready=lambda url: _print_webhook_url(out, url),
            on_webhook=lambda webhook: _print_callback(out, webhook),
        )
    )
    if output.json_path:
        write_json(result, output.json_path)
    has_limit = bool(request.max_webhooks) or request.timeout_s is not None
    if result.stop_reason == "interrupted" and (has_limit or not result.assigned_webhooks):
        reason = " before --count or --timeout was reached"
        if not result.assigned_webhooks:
            reason = f": {_describe_missing_webhooks(len(result.webhooks), None)}"
        print_escaped(f"voicegauge: stopped{reason}", to_stderr=True)
        return EXIT_INTERRUPTED
    if not result.assigned_webhooks:
        raise NothingMeasuredError(_describe_missing_webhooks(len(result.webhooks), request.timeout_s))
    has_error = any(finding.severity is Severity.ERROR for webhook in result.webhooks for finding in webhook.findings)
    return EXIT_FINDINGS if has_error else EXIT_OK


def _print_webhook_url(terminal: Console, url: str) -> None:
    terminal.print(f"listening for webhooks at {url} (Ctrl-C to stop)")
    terminal.print(
        "a sender without a documented signature is unverified: anyone who knows this URL can send webhooks to it"
    )


def _describe_missing_webhooks(max_webhooks: int, timeout_s: float | None) -> str:
    within = "" if timeout_s is None else f" within {timeout_s:g} s"
    if not max_webhooks:
        return f"no webhook was received{within}"
    others = "1 other body" if max_webhooks == 1 else f"{max_webhooks} other bodies"
    return f"no webhook that fits a contract was received{within}, only {others}"


def _print_callback(terminal: Console, webhook: JudgedCallback) -> None:
    time = datetime.fromtimestamp(webhook.received_at).astimezone().strftime("%H:%M:%S")
    operation = f"{webhook.provider}/{webhook.operation}" if webhook.operation else "matches no contract"
    id_, state = _remove_control_characters(webhook.job_id), _remove_control_characters(webhook.state)
    verdict = f"{webhook.verdict}  {webhook.sender_verification}"
    terminal.print(f"{time}  {webhook.provenance.upper()}  {operation}  {id_}  {state}  {verdict}")
    for finding in webhook.findings:
        terminal.print(f"    {finding.severity} {finding.rule}: {finding.message}")


def _remove_control_characters(text: str | None) -> str:
    """Return the start of a text without control characters, which could move the cursor; "-" for `None` or no text."""
    return "".join(sign if sign.isprintable() else "?" for sign in (text or "-")[:MAX_CHARACTERS_PER_VALUE_SHOWN])
