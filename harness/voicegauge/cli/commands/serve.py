"""`voicegauge serve`: the emulator on a port of this machine."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import click
from click.core import ParameterSource

from voicegauge.cli.options import FiniteRange, contracts_option, seed_option
from voicegauge.contract import Contract, load_catalogue
from voicegauge.errors import EXIT_OK, UnknownNameError, UsageError
from voicegauge.hosts import url_of

_OF_THE_EMULATOR = ("faults", "clock", "time_scale", "webhook_http", "webhook_hosts", "plan", "credits")
"""What recordings know nothing of."""


@click.command("serve")
@click.argument("providers", nargs=-1, metavar="[PROVIDER...]")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    callback=lambda _ctx, _param, value: _read_loopback(value),
    help="A loopback address: the emulator has no secrets to keep and no door to lock.",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT[@PROVIDER[/TARGET]]",
    help="Plant a fault; --fault list names them. May be repeated.",
)
@click.option(
    "--clock",
    type=click.Choice(["real", "virtual", "per-poll"]),
    default="real",
    show_default=True,
    help="Jobs take made-up times, wait for /_emulator/clock, or move on with every poll.",
)
@click.option(
    "--time-scale",
    type=FiniteRange(0, 1000),
    default=1.0,
    show_default=True,
    help="Multiplies the made-up times.",
)
@click.option(
    "--replay",
    multiple=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="Answer from recordings instead: a .har file or a folder of them. May be repeated.",
)
@click.option(
    "--pace",
    type=FiniteRange(0, 1000),
    default=1.0,
    show_default=True,
    help="With --replay: multiplies the recorded pauses; 0 leaves them out.",
)
@click.option("--webhook-http", is_flag=True, help="Take webhook URLs with plain http that lead to this machine.")
@click.option(
    "--webhook-host",
    "webhook_hosts",
    multiple=True,
    metavar="HOST",
    help="Send webhooks to this host, too; without, to this machine alone. May be repeated.",
)
@click.option("--plan", metavar="NAME", help="The plan of every account; by default the one with the highest rate.")
@click.option("--credits", type=FiniteRange(min=0), help="What a new account has; by default as documented.")
@seed_option
@contracts_option
def command(  # noqa: PLR0917 - click passes options by name
    providers: tuple[str, ...],
    port: int,
    host: str,
    faults: tuple[str, ...],
    clock: str,
    time_scale: float,
    replay: tuple[Path, ...],
    pace: float,
    webhook_http: bool,
    webhook_hosts: tuple[str, ...],
    plan: str | None,
    credits: float | None,
    seed: int,
    contracts: tuple[Path, ...],
) -> int:
    """Answer as the providers' contracts say, on a port of this machine, with real speech.

    Nothing here comes from a provider: whatever is measured against it is EMULATED.
    With --replay, recorded answers are given to whoever asks the same; the exit status
    is 1 if anything else was asked for.
    """
    from voicegauge.emulator import EmulatorSettings
    from voicegauge.emulator.server import bind, serve

    if "list" in faults:
        return _list_faults()
    _check_flags(click.get_current_context(), replayed=bool(replay))
    chosen = _choose(providers, contracts)
    if replay:
        from voicegauge.cli.replaying import serve_recordings

        return serve_recordings(replay, chosen, host=host, port=port, pace=pace)
    plans = {name for contract in chosen for name in contract.limits.plans}
    if plan is not None and plan not in plans:
        raise UnknownNameError("plan", plan, plans)
    settings = EmulatorSettings(
        seed=seed,
        clock=clock,  # type: ignore[arg-type]  # click has checked it
        time_scale=time_scale,
        faults=faults,
        plan=plan,
        credits=credits,
        webhook_http=webhook_http,
        webhook_hosts=webhook_hosts,
    )
    bound = bind(host, port)
    url = url_of(host, bound.getsockname()[1])
    try:
        serve(chosen, settings, bound, ready=lambda _stop: _announce(chosen, url))
    except KeyboardInterrupt:
        pass
    finally:
        bound.close()
    return EXIT_OK


def _check_flags(ctx: click.Context, *, replayed: bool) -> None:
    """Refuse what was asked for on the command line and would have no effect."""
    idle = _OF_THE_EMULATOR if replayed else ("pace",)
    for option in ctx.command.params:
        if option.name in idle and ctx.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            says = "goes without --replay: recordings answer as they are" if replayed else "goes with --replay"
            raise UsageError(f"{option.opts[0]} {says}")


def _read_loopback(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise click.BadParameter(f"{host!r} is no loopback address, such as 127.0.0.1 or ::1")
    return host


def _choose(providers: tuple[str, ...], contracts: tuple[Path, ...]) -> list[Contract]:
    catalogue = load_catalogue(contracts)
    return [catalogue.provider(name) for name in providers] or list(catalogue)


def _list_faults() -> int:
    from voicegauge.cli.console import console, table
    from voicegauge.emulator import FAULTS

    shown = table("fault", "what the provider then does wrong")
    for fault in FAULTS.values():
        shown.add_row(fault.id, fault.description)
    console().print(shown)
    return EXIT_OK


def _announce(contracts: list[Contract], url: str) -> None:
    from voicegauge.cli.console import console

    out = console()
    out.print(f"EMULATED providers at {url} (Ctrl-C ends it)\n", soft_wrap=True)
    for contract in contracts:
        out.print(f"  {contract.provider.title}", soft_wrap=True)
        out.print(f"    voicegauge check {contract.id} --live --base-url {url}/{contract.id}", soft_wrap=True)
        out.print(f"    export {contract.provider.key_env}=any-key", soft_wrap=True)
    out.print(f"\n  Control: {url}/_emulator/health  reset  clock  state  journal  faults", soft_wrap=True)
