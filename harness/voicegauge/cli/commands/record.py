"""`voicegauge record`: save what a provider answers as recordings, without secrets."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from voicegauge.cli.console import create_console, print_escaped, show_result
from voicegauge.cli.exit_status import EXIT_STATUS_BY_STOP_REASON
from voicegauge.cli.options import (
    OutputFolder,
    add_account_plan_option,
    add_base_url_option,
    add_contracts_option,
    add_credit_rate_option,
    add_insecure_http_option,
    add_json_option,
    add_mask_option,
    add_max_cost_option,
    add_max_wait_option,
    add_price_option,
    add_seed_option,
    build_live_options,
    require_flags,
)
from voicegauge.data_folders import RECORDINGS_FOLDER_NAME
from voicegauge.model import describe_unresolved_requests
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from voicegauge.api import FileToOverwrite, RecordResult
    from voicegauge.recording import RecordingChanges

MAX_FIELDS_SHOWN = 4
"""Largest number of changed fields printed for each recording file; --json has all."""


@click.command("record")
@click.argument("target_names", nargs=-1, required=True, metavar="TARGET...")
@click.option("--live", is_flag=True, help="Record the service itself, with your key; this costs money.")
@click.option("--emulated", is_flag=True, help="Record the emulator.")
@click.option(
    "--out",
    type=OutputFolder(),
    default=Path(RECORDINGS_FOLDER_NAME),
    show_default=True,
    metavar="DIR",
    help="Folder of recordings; files are DIR/PROVIDER/TARGET.har.",
)
@click.option(
    "--refresh",
    type=click.Choice(["stale", "all"]),
    default="stale",
    show_default=True,
    help="Record what is missing or stale, or everything.",
)
@click.option(
    "--full",
    "record_every_rejection",
    is_flag=True,
    help="Record every rejection that a check plans, not one of each kind.",
)
@add_mask_option
@click.option(
    "--retry-ambiguous",
    "retry_ambiguous_requests",
    is_flag=True,
    help="With --live: pay again for requests of earlier recordings into DIR that were sent without a result.",
)
@click.option("--yes", "overwrite_without_asking", is_flag=True, help="Overwrite recordings without asking.")
@add_base_url_option
@add_insecure_http_option
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
    live: bool,
    emulated: bool,
    out: Path,
    refresh: Literal["stale", "all"],
    record_every_rejection: bool,
    names_to_mask: tuple[str, ...],
    retry_ambiguous_requests: bool,
    overwrite_without_asking: bool,
    base_urls: dict[str, str],
    allow_insecure_http: bool,
    account_plans: tuple[str, ...],
    credit_prices_usd: dict[str, float],
    max_cost_usd: float,
    max_wait_s: float | None,
    prices: dict[str, float],
    seed: int,
    contracts: tuple[Path, ...],
    json_path: str | None,
) -> None:
    """Save what a provider answers as recordings, without secrets.

    TARGET is a provider or PROVIDER/TARGET. The planned cases are sent one after another.
    Cases with a recording that is not stale are left out. Before a file is overwritten, the
    differences are shown. The same command resumes a live recording that was interrupted,
    because responses are saved in DIR/.unfinished until their file is written.
    """
    if not (live and emulated):
        require_flags(
            ctx,
            (
                "retry_ambiguous_requests",
                "base_urls",
                "allow_insecure_http",
                "prices",
                "account_plans",
                "credit_prices_usd",
            ),
            "live",
        )
    from voicegauge import api
    from voicegauge.cli.progress import TerminalProgress

    result = api.record(
        target_names,
        emulated=emulated,
        live=build_live_options(
            live=live,
            max_cost_usd=max_cost_usd,
            base_urls=base_urls,
            account_plans=account_plans,
            allow_insecure_http=allow_insecure_http,
            credit_prices_usd=credit_prices_usd,
        ),
        contracts=contracts,
        out=out,
        refresh=refresh,
        record_every_rejection=record_every_rejection,
        names_to_mask=names_to_mask,
        overwrite=True if overwrite_without_asking else _confirm_overwrite if sys.stdin.isatty() else False,
        prices=prices,
        seed=seed,
        retry_ambiguous_requests=retry_ambiguous_requests,
        # Before the recording counts as ended, so that what it has spent is not forgotten if it is killed earlier.
        on_result=lambda result: show_result(result, json_path, lambda: _print_record_result(result)),
        max_wait_s=max_wait_s,
        progress=TerminalProgress(),
    )
    if result.stop_reason is not None:
        ctx.exit(EXIT_STATUS_BY_STOP_REASON[result.stop_reason])


def _confirm_overwrite(file_to_overwrite: FileToOverwrite) -> bool:
    old, new = file_to_overwrite.old_provenance, file_to_overwrite.new_provenance
    provenance = "" if old is new else f" ({old.value}, to be replaced by {new.value})"
    print_escaped(
        f"{file_to_overwrite.path}{provenance}: {_describe_changes(file_to_overwrite.changes)}", to_stderr=True
    )
    return click.confirm("Overwrite it?", default=True, err=True)


def _describe_changes(changes: RecordingChanges) -> str:
    counts = (
        f"{changes.added_count} added, {changes.removed_count} removed, {changes.changed_count} changed, "
        f"{changes.unchanged_count} the same"
    )
    if not changes.differing_fields:
        return counts
    more = len(changes.differing_fields) - MAX_FIELDS_SHOWN
    shown = ", ".join(changes.differing_fields[:MAX_FIELDS_SHOWN])
    return f"{counts}; changed: {shown}{f' and {more} more' if more > 0 else ''}"


def _print_record_result(result: RecordResult) -> None:
    from voicegauge.cli.check_tables import print_resources

    out = create_console()
    for file in result.files:
        verb = "wrote" if file.is_written else "left"
        provenance = file.provenance.value.upper()
        exchanges = format_count(file.exchange_count, "exchange")
        line = f"{verb} {file.path}  {provenance}  {exchanges}: {_describe_changes(file.changes)}"
        out.print(line, soft_wrap=True)
    for case, reason in result.skip_reason_by_case.items():
        out.print(f"not recorded: {case}: {reason}", style="dim", soft_wrap=True)
    if result.redaction_counts:
        locations = ", ".join(f"{location} ({count})" for location, count in result.redaction_counts.items())
        out.print(f"masked: {locations}", soft_wrap=True)
    elif result.files:
        out.print("masked: nothing")
    print_resources(out, result.resource_summary)
    if result.finding_count:
        out.print(
            f"{format_count(result.finding_count, 'finding')} in what was recorded: voicegauge check shows them",
            style="yellow",
        )
    if result.spent_usd:
        out.print(f"${result.spent_usd:.4g} spent")
    if result.spent_by_earlier_runs_usd:
        out.print(f"${result.spent_by_earlier_runs_usd:.4g} spent before by recordings that were stopped")
    for line in describe_unresolved_requests(result.ambiguous_requests):
        out.print(line, soft_wrap=True, markup=False)
    if result.stop_message:
        out.print(f"Stopped early: {result.stop_message}", soft_wrap=True)
