"""`voicegauge providers`: list contracts, targets and prices, and which keys are set."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicegauge.api.local_requests import ProvidersRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import MIN_WIDE_TERMINAL_WIDTH, create_console, create_table, print_table, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.table import Table

    from voicegauge.api.listings import ProviderList


@command_of("providers", ProvidersRequest, JsonOutput, has_time_limit=True)
def command(request: ProvidersRequest, output: JsonOutput) -> None:
    """List providers and which keys are set; with PROVIDER, its targets, prices and operations.

    With --contracts and without PROVIDER, only the providers in these folders are listed.
    """
    from voicegauge.api.listings import run_list_providers

    result = run_list_providers(request)
    show_result(result, output.json_path, lambda: _print_providers(result, is_detailed=bool(request.providers)))


_HEADING_BY_INPUT = {"text": "target", "audio": "target that takes audio"}
MAX_NARROW_TARGET_WIDTH = 44
"""Largest width of the names of targets in a narrow terminal, in columns, so that prices have at least the same
width."""


def _print_providers(result: ProviderList, *, is_detailed: bool) -> None:
    out = create_console()
    is_wide = out.width >= MIN_WIDE_TERMINAL_WIDTH
    if is_detailed or len(result.providers) == 1:
        for takes in ("text", "audio"):
            table = _build_target_table(result, takes, is_wide=is_wide)
            if table.row_count:
                print_table(out, table)
        print_table(out, _build_operation_table(result, is_wide=is_wide))
        print_table(out, _build_key_table(result))
        return
    print_table(out, _build_provider_table(result, is_wide=is_wide))
    target_count = sum(len(provider.targets) for provider in result.providers)
    counts = f"{format_count(len(result.providers), 'provider')}, {format_count(target_count, 'target')}"
    out.print(f"{counts}; targets, prices and operations of one: voicegauge providers NAME", soft_wrap=True)


def _build_provider_table(result: ProviderList, *, is_wide: bool) -> Table:
    """Return a table with one line per provider, also in a narrow terminal."""
    from rich.text import Text

    titles = ("what it is",) if is_wide else ()
    table = create_table("provider", *titles, "targets", "key", "set", right_aligned_columns=("targets",))
    for provider in result.providers:
        state = Text("yes", style="green") if provider.is_key_set else "no"
        about = (provider.title,) if is_wide else ()
        table.add_row(provider.id, *about, str(len(provider.targets)), provider.key_variable, state)
    return table


def _build_target_table(result: ProviderList, input_kind: str, *, is_wide: bool) -> Table:
    heading = _HEADING_BY_INPUT[input_kind]
    if is_wide:
        table = create_table(
            heading, "what it is", "responds with", "price", "languages", right_aligned_columns=("languages",)
        )
    else:
        table = create_table(heading, "price")
        table.columns[0].max_width = MAX_NARROW_TARGET_WIDTH
    for row in (row for provider in result.providers for row in provider.targets if row.input_kind == input_kind):
        languages = str(len(row.languages)) if row.languages else "not documented"
        if is_wide:
            table.add_row(row.id, row.title, row.response_kind, row.price, languages)
        else:
            table.add_row(f"{row.id}\n  {row.title}\n  languages: {languages}", row.price)
    return table


def _build_operation_table(result: ProviderList, *, is_wide: bool) -> Table:
    headings = ("operation", "", "the emulator", "rules") if is_wide else ("operation", "the emulator", "rules")
    table = create_table(*headings, right_aligned_columns=("rules",))
    for provider in result.providers:
        for operation in provider.operations:
            name = f"{provider.id}/{operation.id}"
            path = f"{operation.method} {operation.path}{' (inferred)' if operation.is_inferred else ''}"
            about = (name, path) if is_wide else (f"{name}\n  {path}",)
            table.add_row(*about, operation.emulation_description, str(len(operation.rule_ids)))
    return table


def _build_key_table(result: ProviderList) -> Table:
    from rich.text import Text

    table = create_table("provider", "contract of", "operations", "key", "", right_aligned_columns=("operations",))
    for provider in result.providers:
        state = Text("set", style="green") if provider.is_key_set else "not set"
        table.add_row(
            provider.id, provider.contract_version, str(len(provider.operations)), provider.key_variable, state
        )
    return table
