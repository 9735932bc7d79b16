"""`voicegauge listen`: receive webhooks and validate them."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import ListenRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, print_escaped, write_json
from voicegauge.cli._output_options import JsonOutput
from voicegauge.errors import EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_OK, NothingMeasuredError

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.conformance.callbacks import JudgedCallback


MAX_CHARACTERS_PER_VALUE_SHOWN = 80
"""Largest number of characters printed of an id or a state. A value of an unknown sender could fill the terminal."""


@command_of("listen", ListenRequest, JsonOutput)
def command(request: ListenRequest, output: JsonOutput) -> int:
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
            on_ready=lambda url: _print_url(out, url),
            on_webhook=lambda webhook: _print_webhook(out, webhook),
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


def _print_url(terminal: Console, url: str) -> None:
    terminal.print(f"listening for webhooks at {url} (Ctrl-C to stop)", soft_wrap=True)
    terminal.print(
        "a sender without a documented signature is unverified: anyone who knows this URL can send webhooks to it",
        soft_wrap=True,
    )


def _describe_missing_webhooks(max_webhooks: int, timeout_s: float | None) -> str:
    within = "" if timeout_s is None else f" within {timeout_s:g} s"
    if not max_webhooks:
        return f"no webhook was received{within}"
    others = "1 other body" if max_webhooks == 1 else f"{max_webhooks} other bodies"
    return f"no webhook that fits a contract was received{within}, only {others}"


def _print_webhook(terminal: Console, webhook: JudgedCallback) -> None:
    time = datetime.fromtimestamp(webhook.received_at).astimezone().strftime("%H:%M:%S")
    operation = f"{webhook.provider}/{webhook.operation}" if webhook.operation else "matches no contract"
    id_, state = _remove_control_characters(webhook.job_id), _remove_control_characters(webhook.state)
    verdict = f"{webhook.verdict}  {webhook.sender_verification}"
    terminal.print(f"{time}  {webhook.provenance.upper()}  {operation}  {id_}  {state}  {verdict}", soft_wrap=True)
    for finding in webhook.findings:
        terminal.print(f"    {finding.severity} {finding.rule}: {finding.message}", soft_wrap=True)


def _remove_control_characters(text: str | None) -> str:
    """Return a text from outside without control characters, which could move the cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in (text or "-")[:MAX_CHARACTERS_PER_VALUE_SHOWN])
