"""`voicegauge serve`: run the emulator, or serve recordings, on a local port."""

from __future__ import annotations

import ipaddress
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import click
from click.core import ParameterSource

from voicegauge.cli.console import create_console, create_table
from voicegauge.cli.options import FiniteRange, add_contracts_option, add_seed_option
from voicegauge.errors import EXIT_FINDINGS, UsageError
from voicegauge.hosts import EMULATOR_PORT

if TYPE_CHECKING:
    from voicegauge.api import RunningReplay
    from voicegauge.contract import Contract
    from voicegauge.recording import Recording, Replay

_EMULATOR_OPTIONS = (
    "faults",
    "clock",
    "time_scale",
    "allow_webhook_http",
    "webhook_hosts",
    "account_plan",
    "account_credits",
)
"""Options that affect only the emulator, not the replay of recordings."""
MAX_UNUSED_REQUESTS_SHOWN = 10
"""Maximum number of recorded requests that are listed at the end because they were not sent."""


@click.command("serve")
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=EMULATOR_PORT, show_default=True, help="0 chooses a free port."
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=lambda _ctx, _param, value: parse_loopback_host(value),
    help="A loopback address; other machines are not allowed, because the emulator does not protect itself.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT[@PROVIDER[/TARGET]]",
    help="Inject a fault; --fault list lists them. May be repeated.",
)
@click.option(
    "--clock",
    type=click.Choice(["real", "virtual", "per-poll"]),
    default="real",
    show_default=True,
    help="Jobs take invented times, wait for /_emulator/clock, or move to the next state with every poll.",
)
@click.option(
    "--time-scale",
    type=FiniteRange(0, 1000),
    default=1.0,
    show_default=True,
    help="Factor for the invented times.",
)
@click.option(
    "--replay",
    "recordings_to_replay",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Serve recordings instead: a .har file or a folder of them. May be repeated.",
)
@click.option(
    "--pace",
    "pause_factor",
    type=FiniteRange(0, 1000),
    default=1.0,
    show_default=True,
    help="With --replay: factor for the recorded pauses; 0 leaves them out.",
)
@click.option(
    "--webhook-http",
    "allow_webhook_http",
    is_flag=True,
    help="Accept webhook URLs with plain http that lead to this machine.",
)
@click.option(
    "--webhook-host",
    "webhook_hosts",
    multiple=True,
    metavar="HOST",
    help="Send webhooks to this host too; by default only to this machine. May be repeated.",
)
@click.option(
    "--plan",
    "account_plan",
    metavar="NAME",
    help="Plan of every account, for rate limits and prices. Default: the highest of both.",
)
@click.option(
    "--credits", "account_credits", type=FiniteRange(min=0), help="Balance of a new account. Default: as documented."
)
@add_seed_option
@add_contracts_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    *,
    providers: tuple[str, ...],
    port: int,
    host: str,
    faults: tuple[str, ...],
    clock: Literal["real", "virtual", "per-poll"],
    time_scale: float,
    recordings_to_replay: tuple[Path, ...],
    pause_factor: float,
    allow_webhook_http: bool,
    webhook_hosts: tuple[str, ...],
    account_plan: str | None,
    account_credits: float | None,
    seed: int,
    contracts: tuple[Path, ...],
) -> None:
    """Respond as the providers' contracts say, on a local port, with real speech.

    The responses do not come from a provider, so all measurements are EMULATED. With
    --replay, a request that equals a recorded one gets the recorded response; the exit
    status is then 1 if any other request was received.
    """
    if "list" in faults:
        _print_faults()
        return
    _validate_flags(ctx, serves_recordings=bool(recordings_to_replay))
    from voicegauge import api

    chosen = api.select_providers(api.load_contracts(contracts), providers)
    if recordings_to_replay:
        errors = create_console(to_stderr=True)
        replayed = api.serve_replay(
            recordings_to_replay,
            chosen,
            host=host,
            port=port,
            pause_factor=pause_factor,
            on_ready=_announce_replay,
            on_unmatched_request=lambda text: errors.print(text, style="yellow"),
        )
        _print_unused_requests(replayed)
        if replayed.unmatched_request_descriptions:
            ctx.exit(EXIT_FINDINGS)
        return
    from voicegauge.emulator import EmulatorSettings

    settings = EmulatorSettings(
        seed=seed,
        clock=clock,
        time_scale=time_scale,
        faults=faults,
        account_plan=account_plan,
        credits=account_credits,
        accepts_http_webhook_urls=allow_webhook_http,
        webhook_hosts=webhook_hosts,
    )
    api.serve_emulator(
        chosen, settings, host=host, port=port, on_ready=lambda url: _announce_emulator(chosen, url, contracts)
    )


def _validate_flags(ctx: click.Context, *, serves_recordings: bool) -> None:
    """Reject options on the command line that would have no effect."""
    unused = _EMULATOR_OPTIONS if serves_recordings else ("pause_factor",)
    for option in ctx.command.params:
        if option.name in unused and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            reason = (
                "excludes --replay: recordings are served as they are" if serves_recordings else "goes with --replay"
            )
            raise UsageError(f"{option.opts[0]} {reason}")


def parse_loopback_host(host: str) -> str:
    """Return a loopback address.

    Raises:
        BadParameter: `host` is another address.
    """
    if host == "localhost":
        return "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise click.BadParameter(f"{host!r} is not a loopback address, such as 127.0.0.1 or ::1")
    return host


def _print_faults() -> None:
    from voicegauge.emulator import FAULTS

    rows = create_table("fault", "what the emulator then does wrong")
    for fault in FAULTS.values():
        rows.add_row(fault.id, fault.description)
    create_console().print(rows)


def _announce_emulator(contracts: Sequence[Contract], url: str, contract_folders: Sequence[Path]) -> None:
    """Print how the emulator is reached; `contract_folders` are those of the user's own contracts."""
    from voicegauge.contract import is_bundled, quote_price

    out = create_console()
    own = shlex.join(word for folder in contract_folders for word in ("--contracts", str(folder)))
    out.print(f"EMULATED providers at {url} (Ctrl-C to stop)\n", soft_wrap=True)
    for contract in contracts:
        out.print(f"  {contract.provider.title}", soft_wrap=True)
        options = "" if is_bundled(contract.document.path) else f" {own}"
        targets = (*contract.targets.values(), *contract.audio_input_targets.values())
        if any(quote_price(target, 1).price_usd is None for target in targets):
            options += f" --price {contract.id}=0"
        out.print(f"    voicegauge check {contract.id} --live --base-url {url}/{contract.id}{options}", soft_wrap=True)
        for server in contract.servers.values() if len(contracts) == 1 else ():
            out.print(f"    {url}{urlsplit(server.url).path} in place of {server.url}", soft_wrap=True)
        for variable in contract.key_variables:
            out.print(f"    export {variable}=any-key", soft_wrap=True)
    out.print(f"\n  Control: {url}/_emulator/health  reset  clock  state  journal  faults", soft_wrap=True)


def _announce_replay(server: RunningReplay, recordings: Sequence[Recording]) -> None:
    out = create_console()
    out.print(f"REPLAYED providers at {server.url} (Ctrl-C to stop)\n", soft_wrap=True)
    for provider in dict.fromkeys(recording.provider for recording in recordings):
        kinds = {r.provenance.value.upper() for r in recordings if r.provider == provider}
        count = sum(one.comparable_request.provider == provider for one in server.replay.recorded_requests)
        line = f"  {server.base_url(provider)}  {count} recorded requests, {', '.join(sorted(kinds))}"
        out.print(line, soft_wrap=True)


def _print_unused_requests(replay: Replay) -> None:
    out = create_console()
    total, unused = len(replay.recorded_requests), replay.unused_request_names
    other_count = len(replay.unmatched_request_descriptions)
    out.print(f"{total - len(unused)} of {total} recorded requests were sent, and {other_count} others")
    for name in unused[:MAX_UNUSED_REQUESTS_SHOWN]:
        out.print(f"  not sent: {name}", style="dim", soft_wrap=True)
    if len(unused) > MAX_UNUSED_REQUESTS_SHOWN:
        out.print(f"  ... and {len(unused) - MAX_UNUSED_REQUESTS_SHOWN} more", style="dim")
