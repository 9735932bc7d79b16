"""`voicegauge providers`: list contracts, targets and prices, and which keys are set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import console, show, table
from voicegauge.cli.options import contracts_option, json_option

if TYPE_CHECKING:
    from voicegauge.api import Providers


@click.command("providers")
@contracts_option
@json_option
def command(contracts: tuple[Path, ...], json_path: str | None) -> None:
    """List contracts, targets and prices, and which keys are set."""
    from voicegauge import api

    result = api.list_providers(contracts)
    show(result, json_path, lambda: _print(result))


def _print(result: Providers) -> None:
    from rich.text import Text

    out = console()
    targets = table("target", "what it is", "responds with", "price", "languages", right=("languages",))
    for provider in result.providers:
        for row in provider.targets:
            languages = str(len(row.languages)) if row.languages else "not documented"
            targets.add_row(row.id, row.title, row.response, row.price, languages)
    out.print(targets)
    operations = table("operation", "", "the emulator", "rules", right=("rules",))
    for provider in result.providers:
        for operation in provider.operations:
            path = f"{operation.method} {operation.path}{' (inferred)' if operation.inferred else ''}"
            operations.add_row(f"{provider.id}/{operation.id}", path, operation.emulation, str(len(operation.rules)))
    out.print(operations)
    keys = table("provider", "contract of", "operations", "key", "", right=("operations",))
    for provider in result.providers:
        state = Text("set", style="green") if provider.key_set else "not set"
        keys.add_row(provider.id, provider.version, str(len(provider.operations)), provider.key_env, state)
    out.print(keys)
