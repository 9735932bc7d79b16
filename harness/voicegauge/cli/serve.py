"""`voicegauge serve`: run the emulator, or serve recordings, on a local port."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from voicegauge.api.local_requests import EmulateRequest, port_option
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, create_table, print_table
from voicegauge.errors import EXIT_FINDINGS
from voicegauge.hosts import EMULATOR_PORT, to_socket_url
from voicegauge.options import PathKind, Trust, build_arguments, option, request

if TYPE_CHECKING:
    from voicegauge.api.local_servers import RunningReplay
    from voicegauge.contract.contract import Contract
    from voicegauge.emulator.client_findings import ClientFinding
    from voicegauge.emulator.process import RunningEmulator
    from voicegauge.recording.conversations import Recording
    from voicegauge.recording.replay import Replay


MAX_UNUSED_REQUESTS_SHOWN = 10
"""Maximum number of recorded requests that are listed at the end because they were not sent."""


@request
class ServeRequest(EmulateRequest):
    """An emulator with a port that does not change, for the settings of a client."""

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


@command_of("serve", ServeRequest, ReplayOptions)
def command(request: ServeRequest, replay_options: ReplayOptions) -> int | None:
    """Respond as the providers' contracts say, on a local port, with real speech.

    The responses do not come from a provider, so all measurements are EMULATED. What a
    client does wrong on a WebSocket is printed, and the exit status is then 1. With
    --replay, a request that equals a recorded one gets the recorded response; the exit
    status is then 1 if any other request was received.
    """
    if "list" in request.faults:
        _print_faults()
        return None
    from voicegauge.api.local_servers import serve_emulator, serve_replay
    from voicegauge.api.target_selection import select_providers, to_catalogue

    chosen = select_providers(to_catalogue(request.contracts), request.providers)
    errors = create_console(to_stderr=True)
    if not replay_options.recordings_to_replay:
        findings: list[ClientFinding] = []

        def print_finding(finding: ClientFinding) -> None:
            findings.append(finding)
            errors.print(finding.describe(), style="yellow", soft_wrap=True, markup=False)

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


def _print_faults() -> None:
    from voicegauge.emulator.fault_injection import FAULTS

    rows = create_table("fault", "what the emulator then does wrong")
    for fault in FAULTS.values():
        rows.add_row(fault.id, fault.description)
    print_table(create_console(), rows)


def _announce_emulator(request: ServeRequest, contracts: Sequence[Contract], emulator: RunningEmulator) -> None:
    """Print how the emulator of `contracts` is reached."""
    from voicegauge.contract.loading import is_bundled
    from voicegauge.contract.pricing import quote_price

    out, url = create_console(), emulator.url
    own = shlex.join(build_arguments(request, names=("contracts",)))
    out.print(f"EMULATED providers at {url} (Ctrl-C to stop)\n", soft_wrap=True)
    for contract in contracts:
        out.print(f"  {contract.provider.title}", soft_wrap=True)
        options = "" if is_bundled(contract.document.path) else f" {own}"
        targets = (*contract.targets.values(), *contract.audio_input_targets.values())
        if any(quote_price(target, 1).reserved_usd is None for target in targets):
            options += f" --price {contract.id}=0"
        out.print(f"    voicegauge check {contract.id} --live --base-url {url}/{contract.id}{options}", soft_wrap=True)
        for server in contract.servers.values() if len(contracts) == 1 else ():
            out.print(f"    {url}{urlsplit(server.url).path} in place of {server.url}", soft_wrap=True)
        if contract.socket_targets:
            socket_url = to_socket_url(url)
            out.print(f"    {socket_url}/{contract.id} in place of the address of its WebSockets", soft_wrap=True)
        for variable in contract.key_variables:
            out.print(f"    export {variable}=any-key", soft_wrap=True)
    if emulator.authority_file is not None:
        out.print(f"\n  TLS: export SSL_CERT_FILE={emulator.authority_file}", soft_wrap=True)
    out.print(
        f"\n  Control: {url}/_emulator/health  reset  clock  state  journal  faults  client-findings", soft_wrap=True
    )


def _announce_replay(server: RunningReplay, recordings: Sequence[Recording]) -> None:
    out = create_console()
    out.print(f"REPLAYED providers at {server.url} (Ctrl-C to stop)\n", soft_wrap=True)
    for provider in dict.fromkeys(recording.provider for recording in recordings):
        kinds = {r.provenance.value.upper() for r in recordings if r.provider == provider}
        count = sum(one.comparable_request.provider == provider for one in server.replay.recorded_requests)
        line = f"  {server.base_url(provider)}  {count} recorded requests, {', '.join(sorted(kinds))}"
        out.print(line, soft_wrap=True)
        of_provider = [one for r in recordings if r.provider == provider for one in r.exchanges]
        if any(one.socket is not None for one in of_provider):
            out.print(f"  {to_socket_url(server.base_url(provider))} for its WebSockets", soft_wrap=True)


def _print_unused_requests(replay: Replay) -> None:
    out = create_console()
    total, unused = len(replay.recorded_requests), replay.unused_request_names
    other_count = len(replay.unmatched_request_descriptions)
    out.print(f"{total - len(unused)} of {total} recorded requests were sent, and {other_count} others")
    for name in unused[:MAX_UNUSED_REQUESTS_SHOWN]:
        out.print(f"  not sent: {name}", style="dim", soft_wrap=True)
    if len(unused) > MAX_UNUSED_REQUESTS_SHOWN:
        out.print(f"  ... and {len(unused) - MAX_UNUSED_REQUESTS_SHOWN} more", style="dim")
