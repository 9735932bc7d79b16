"""`voicegauge providers`: what can be tested, at what price, and which keys are set."""

from __future__ import annotations

import os
from pathlib import Path

import click

from voicegauge.cli.console import console, table, write_json
from voicegauge.cli.options import contracts_option, json_option
from voicegauge.contract import Contract, Operation, Target, describe_price, load_catalogue
from voicegauge.model import Record


class TargetRow(Record, frozen=True, kw_only=True):
    """One target as `--json` shows it."""

    id: str
    title: str
    operation: str
    answer: str
    """"job" or "audio"."""
    price: str
    languages: tuple[str, ...]
    formats: tuple[str, ...]
    needs: tuple[str, ...]


class OperationRow(Record, frozen=True, kw_only=True):
    """One documented operation as `--json` shows it."""

    id: str
    method: str
    path: str
    server: str
    """The URL that the path is appended to."""
    title: str
    document: str | None
    """The source that describes it."""
    inferred: bool
    """Whether that source does not name its method and path outright."""
    disputed: tuple[str, ...]
    """Other readings of the operation, its requests and its answers, each in a sentence."""
    emulation: str
    """How the emulator plays it."""
    checks: tuple[str, ...]
    """The rules that have something to look at in it."""


class ProviderRow(Record, frozen=True, kw_only=True):
    """One provider as `--json` shows it."""

    id: str
    title: str
    version: str
    file: str
    servers: dict[str, str]
    key_env: str
    key_set: bool
    operations: tuple[OperationRow, ...]
    targets: tuple[TargetRow, ...]


class Providers(Record, frozen=True, kw_only=True):
    """All that `voicegauge providers --json` writes."""

    schema: str = "voicegauge/providers/1"
    providers: tuple[ProviderRow, ...]


def _target_row(target: Target) -> TargetRow:
    return TargetRow(
        id=target.id,
        title=target.spec.title,
        operation=target.operation.id,
        answer="job" if target.response.job else "audio",
        price=describe_price(target),
        languages=target.spec.languages,
        formats=target.spec.formats,
        needs=target.spec.required_fields,
    )


def _operation_row(operation: Operation) -> OperationRow:
    from voicegauge.checks import applicable_rules
    from voicegauge.contract import walk
    from voicegauge.emulator.endpoints import describe_emulation

    source = operation.data.get("x-source", {})
    said = [d["claim"] for _, node in walk(operation.data) for d in node.get("x-source", {}).get("disputed", ())]
    return OperationRow(
        id=operation.id,
        method=operation.method,
        path=operation.path,
        server=operation.server.url,
        title=str(operation.data.get("summary", "")),
        document=source.get("document"),
        inferred=bool(source.get("inferred", False)),
        disputed=tuple(said),
        emulation=describe_emulation(operation),
        checks=tuple(rule.id for rule in applicable_rules(operation)),
    )


def _provider_row(contract: Contract) -> ProviderRow:
    return ProviderRow(
        id=contract.id,
        title=contract.provider.title,
        version=contract.version,
        file=str(contract.document.path),
        servers={server.name: server.url for server in contract.servers.values()},
        key_env=contract.provider.key_env,
        key_set=bool(os.environ.get(contract.provider.key_env)),
        operations=tuple(_operation_row(operation) for operation in contract.operations.values()),
        targets=tuple(_target_row(target) for target in contract.targets.values()),
    )


@click.command("providers")
@contracts_option
@json_option
def command(contracts: tuple[Path, ...], json_to: str | None) -> None:
    """Contracts, targets and prices, and which keys are set."""
    result = Providers(providers=tuple(_provider_row(contract) for contract in load_catalogue(contracts)))
    if json_to:
        write_json(result, json_to)
    if json_to != "-":
        _print(result)


def _print(result: Providers) -> None:
    from rich.text import Text

    out = console()
    targets = table("target", "what it is", "answers with", "price", "languages", right=("languages",))
    for provider in result.providers:
        for row in provider.targets:
            targets.add_row(
                row.id, row.title, row.answer, row.price, str(len(row.languages)) if row.languages else "not said"
            )
    out.print(targets)
    operations = table("operation", "", "the emulator", "checks", right=("checks",))
    for provider in result.providers:
        for operation in provider.operations:
            where = f"{operation.method} {operation.path}{' (inferred)' if operation.inferred else ''}"
            name = f"{provider.id}/{operation.id}"
            operations.add_row(name, where, operation.emulation, str(len(operation.checks)))
    out.print(operations)
    keys = table("provider", "contract of", "operations", "key", "", right=("operations",))
    for provider in result.providers:
        state = Text("set", style="green") if provider.key_set else "not set"
        keys.add_row(provider.id, provider.version, str(len(provider.operations)), provider.key_env, state)
    out.print(keys)
