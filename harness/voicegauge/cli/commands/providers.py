"""`voicegauge providers`: list contracts, targets and prices, and which keys are set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import create_console, create_table, show_record
from voicegauge.cli.options import add_contracts_option, add_json_option

if TYPE_CHECKING:
    from voicegauge.api import Providers


@click.command("providers")
@add_contracts_option
@add_json_option
def command(contracts: tuple[Path, ...], json_path: str | None) -> None:
    """List contracts, targets and prices, and which keys are set.

    With --contracts, only the providers in these folders are listed.
    """
    from voicegauge import api

    result = api.list_providers(contracts)
    show_record(result, json_path, lambda: _print_providers(result))


def _print_providers(result: Providers) -> None:
    from rich.text import Text

    out = create_console()
    targets = create_table("target", "what it is", "responds with", "price", "languages", right_aligned=("languages",))
    for provider in result.providers:
        for row in provider.targets:
            languages = str(len(row.languages)) if row.languages else "not documented"
            targets.add_row(row.id, row.title, row.response, row.price, languages)
    out.print(targets)
    operations = create_table("operation", "", "the emulator", "rules", right_aligned=("rules",))
    for provider in result.providers:
        for operation in provider.operations:
            path = f"{operation.method} {operation.path}{' (inferred)' if operation.inferred else ''}"
            operations.add_row(f"{provider.id}/{operation.id}", path, operation.emulation, str(len(operation.rules)))
    out.print(operations)
    keys = create_table("provider", "contract of", "operations", "key", "", right_aligned=("operations",))
    for provider in result.providers:
        state = Text("set", style="green") if provider.key_set else "not set"
        keys.add_row(provider.id, provider.version, str(len(provider.operations)), provider.key_env, state)
    out.print(keys)
