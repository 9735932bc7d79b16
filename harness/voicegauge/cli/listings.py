"""`voicegauge providers`, `asr`, `rules` and `explain`: list what is described, installed and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voicegauge.api.local_requests import ProvidersRequest
from voicegauge.cli._commands import command_of_requests
from voicegauge.cli._console import (
    MIN_WIDE_TERMINAL_WIDTH,
    create_console,
    create_table,
    print_escaped,
    print_table,
    show_result,
)
from voicegauge.cli._output_options import JsonOutput
from voicegauge.options import Completion, PathKind, argument, option, request
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voicegauge.api.listings import AsrEngineList, ProviderList, RuleExplanation, RuleList


@command_of_requests("providers", ProvidersRequest, JsonOutput, has_time_limit=True)
def providers_command(request: ProvidersRequest, output: JsonOutput) -> None:
    """List providers and which keys are set; with PROVIDER, its targets, prices and operations.

    With --contracts and without PROVIDER, only the providers in these folders are listed.
    """
    from voicegauge.api.listings import run_list_providers

    result = run_list_providers(request)
    show_result(result, output.json_path, lambda: _print_providers(result, is_detailed=bool(request.providers)))


_HEADING_BY_INPUT_KIND = {"text": "target", "audio": "target that takes audio"}
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
        _print_socket_targets(out, result, is_wrapped=True)
        return
    print_table(out, _build_provider_table(result, is_wide=is_wide))
    target_count = sum(len(provider.targets) for provider in result.providers)
    counts = f"{format_count(len(result.providers), 'provider')}, {format_count(target_count, 'target')}"
    _print_socket_targets(out, result, is_wrapped=False)
    out.print(f"{counts}; targets, prices and operations of one: voicegauge providers NAME")


def _print_socket_targets(out: Console, result: ProviderList, *, is_wrapped: bool) -> None:
    """Print which targets respond with a conversation: turns over a WebSocket."""
    rows = [row for provider in result.providers for row in provider.targets if row.response_kind == "conversation"]
    if rows:
        ids = ", ".join(row.id for row in rows)
        out.print(f"over WebSockets (they respond with a conversation): {ids}", soft_wrap=not is_wrapped)


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
    heading = _HEADING_BY_INPUT_KIND[input_kind]
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


@click.group("asr")
def asr_command() -> None:
    """List installed speech recognizers, and install Whisper's official weights."""


@command_of_requests("list", JsonOutput)
def list_installed(output: JsonOutput) -> None:
    """List the speech recognizers that can transcribe on this machine without a download."""
    from voicegauge.api.listings import list_asr_engines

    result = list_asr_engines()
    show_result(result, output.json_path, lambda: _print_engines(result))


def _print_engines(result: AsrEngineList) -> None:
    rows = create_table("--asr", "what it is", "used for live services")
    for one in result.installed_engines:
        rows.add_row(one.spec, one.description, "yes" if one.is_chosen_for_live_runs else "only if named")
    print_table(create_console(), rows)
    for extra in result.missing_extras:
        create_console().print(f"not installed: {extra}")


@request
class InstallOptions:
    """Which weights to install, and from where."""

    model: str = argument(kw_only=False, help="Name of an official model, such as base.en.", metavar="MODEL")
    weights_path: Path | None = option(
        default=None,
        flag="--from",
        help="File with the weights, or its folder; nothing is downloaded.",
        metavar="PATH",
        path=PathKind.EXISTING,
        refusal_reason="it decides which weights are loaded",
    )


@command_of_requests("install", InstallOptions, has_time_limit=True)
def install(options: InstallOptions) -> None:
    """Install the official weights of MODEL, such as base.en, verified by their SHA-256.

    The weights are saved in ~/.cache/whisper, where openai-whisper looks for them.
    """
    from voicegauge.api.listings import install_weights
    from voicegauge.cli._progress import TerminalProgress

    path = install_weights(options.model, options.weights_path, progress=TerminalProgress())
    print_escaped(f"{path}: ready; --asr auto uses it, --asr whisper:{options.model} names it")


asr_command.add_command(list_installed)
asr_command.add_command(install)


@request
class RulesOptions(JsonOutput):
    """Which rules to list."""

    words: Sequence[str] = argument(
        kw_only=False, default=(), help="Words that the ids of rules contain.", metavar="[WORD]..."
    )


@command_of_requests("rules", RulesOptions)
def rules_command(options: RulesOptions) -> None:
    """List every rule: what it proves and how severe it is.

    With WORDs, only rules whose ids contain all of the WORDs are listed. The WORD "drift"
    alone lists every rule of `voicegauge drift`.
    """
    from voicegauge.api.listings import list_rules

    result = list_rules(options.words)
    show_result(result, options.json_path, lambda: print_rules(result, includes_drift_rules=bool(options.words)))


def print_rules(result: RuleList, *, includes_drift_rules: bool) -> None:
    """Print the rules as tables; without `includes_drift_rules`, only the number of the rules of `drift`."""
    out = create_console()
    if result.check_rules:
        rows = create_table("rule", "severity", "what it proves")
        for rule in result.check_rules:
            rows.add_row(rule.id, rule.severity.value, rule.description)
        print_table(out, rows)
    if not includes_drift_rules:
        out.print(f"and {len(result.drift_rules):,} rules of drift: voicegauge rules drift, or words of their ids")
    elif result.drift_rules:
        rows = create_table("rule of drift", "level", "what changed")
        for row in result.drift_rules:
            rows.add_row(row.id, row.level.value, row.description)
        print_table(out, rows)
    if result.client_rules:
        rows = create_table("rule about clients of WebSockets (serve)", "what must hold")
        for client_rule in result.client_rules:
            rows.add_row(client_rule.id, client_rule.description)
        print_table(out, rows)
    if not result.check_rules and not result.drift_rules and not result.client_rules:
        out.print("no rule id contains these words")


@request
class ExplainOptions(JsonOutput):
    """What to explain."""

    rule: str | None = argument(
        kw_only=False, default=None, help="Id of a rule, or of a fault.", completion=Completion.RULE
    )


@command_of_requests("explain", ExplainOptions)
def explain_command(options: ExplainOptions) -> None:
    """Explain a rule: what it proves, why it matters, what keeps and what breaks it.

    RULE is the id of a rule, as findings name it (rules of `check`, of `drift`, and for clients
    of WebSockets), or the id of a fault of the emulator. Without RULE, all rules are listed, as by `voicegauge rules`.
    """
    from voicegauge.api.listings import explain_rule, list_rules

    if options.rule is None:
        listed = list_rules()
        show_result(listed, options.json_path, lambda: print_rules(listed, includes_drift_rules=False))
        return
    explanation = explain_rule(options.rule)
    show_result(explanation, options.json_path, lambda: _print_explanation(explanation))


def _print_explanation(explanation: RuleExplanation) -> None:
    from rich.table import Table
    from rich.text import Text

    out = create_console()
    out.print(Text.assemble((explanation.id, "bold"), f" ({explanation.severity})"))
    out.print(explanation.description)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    lines = {
        "found" if explanation.severity == "fault" else "why": explanation.consequence,
        "keeps it": explanation.conforming_example,
        "breaks it": explanation.violating_example,
        "reads": explanation.contract_condition,
    }
    for label, text in lines.items():
        if text is not None:
            rows.add_row(label, text)
    out.print()
    out.print(rows)
    if explanation.violation_command is not None:
        out.print(f"\nsee it found: {explanation.violation_command}")
    if explanation.fault_of_same_id is not None:
        out.print()
        _print_explanation(explanation.fault_of_same_id)
