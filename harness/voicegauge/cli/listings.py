"""`voicegauge providers`, `cost`, `asr`, `rules` and `explain`: list targets, prices, speech recognizers and rules."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import click

from voicegauge.api.local_requests import CostRequest, ProvidersRequest
from voicegauge.cli import create_command_of_requests
from voicegauge.cli._console import (
    MIN_WIDE_TERMINAL_WIDTH,
    create_console,
    create_table,
    print_escaped,
    print_table,
    show_result,
)
from voicegauge.cli._options import JsonOutput
from voicegauge.model.price import PriceClaim, explain_price_remarks, format_price_usd
from voicegauge.options import Completion, PathKind, Trust, argument, option, request
from voicegauge.outputs.finding_exports import escape_markdown
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from voicegauge.api.cost_estimation import CostEstimate, MonthlyCost
    from voicegauge.api.listings import AsrEngineList, ProviderList, RuleExplanation, RuleList


@create_command_of_requests("providers", ProvidersRequest, JsonOutput, has_time_limit=True)
def providers_command(request: ProvidersRequest, output: JsonOutput) -> None:
    """List providers and which keys are set; with PROVIDER, its targets, prices and operations.

    With --contracts and without PROVIDER, only the providers in these folders are listed.
    """
    from voicegauge.api.listings import run_list_providers

    result = run_list_providers(request)
    show_result(result, output.json_path, lambda: _print_providers(result, is_detailed=bool(request.providers)))


_HEADING_BY_INPUT_KIND = {"text": "target", "audio": "target that takes audio"}
"""Headings of the tables of targets, by what the targets take."""
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


@create_command_of_requests("list", JsonOutput)
def list_engines_command(output: JsonOutput) -> None:
    """List recognizers that work without a download."""
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


@create_command_of_requests("install", InstallOptions, has_time_limit=True)
def install_command(options: InstallOptions) -> None:
    """Install the official weights of MODEL.

    MODEL is a name such as base.en. The weights are verified by their SHA-256 and saved in
    ~/.cache/whisper, where openai-whisper looks for them.
    """
    from voicegauge.api.listings import install_weights
    from voicegauge.cli._progress import TerminalProgress

    path = install_weights(options.model, options.weights_path, progress=TerminalProgress())
    print_escaped(f"{path}: ready; --asr auto uses it, --asr whisper:{options.model} names it")


asr_command.add_command(list_engines_command)
asr_command.add_command(install_command)


@request
class RulesOptions(JsonOutput):
    """Which rules to list."""

    words: Sequence[str] = argument(
        kw_only=False, default=(), help="Words that the ids of rules contain.", metavar="[WORD]..."
    )


@create_command_of_requests("rules", RulesOptions)
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
    """Which rule, or which fault of the emulator, to explain."""

    rule: str | None = argument(
        kw_only=False, default=None, help="Id of a rule, or of a fault.", completion=Completion.RULE
    )


@create_command_of_requests("explain", ExplainOptions)
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


MAX_NARROW_COST_TARGET_WIDTH = 41
"""Largest width, in columns, of a cell with the name of a target and remarks about it in a narrow terminal."""
MAX_WIDE_COST_TARGET_WIDTH = 60
"""Largest width, in columns, of a cell with the names of targets in a wide terminal."""
_REMARK_BY_USAGE_BASIS = {
    "exact": "",
    "estimated_duration": "length of the audio estimated",
    "typical": "typical usage",
    "upper_bound": "",
}
"""Remarks beside a price, by how the charged usage is known."""


@request
class CostOutputs(JsonOutput):
    """Which costs `voicegauge cost` prints, and in which format."""

    all_plans: bool = option(
        default=False, help="Print every plan of a target, not only the cheapest.", found_file=Trust.ANY_VALUE
    )
    format_name: Literal["text", "csv", "markdown"] = option(
        default="text",
        flag="--format",
        other_command_flag="--markdown",
        help="Print a table, or CSV or Markdown with the document of each claim about a price.",
        found_file=Trust.ANY_VALUE,
    )


@create_command_of_requests("cost", CostRequest, CostOutputs, has_time_limit=True)
def cost_command(request: CostRequest, outputs: CostOutputs) -> None:
    """Show what TARGETs cost in a month at your volume; nothing is sent.

    Prices, fees and quotas of plans, rounding and the counting of characters are those of the
    contracts. Of several plans, the cheapest one is printed. JSON has all of them. A free quota
    makes no price lower: the month with it is a line below the table. Servers that you run
    yourself are left out unless you name them.
    """
    from voicegauge.api.cost_estimation import run_estimate_cost

    estimate = run_estimate_cost(request)
    shown = [cost for cost in estimate.costs if outputs.all_plans or cost.is_cheapest_plan or cost.is_free_quota]
    shown = _sort_costs(shown)
    if outputs.format_name == "csv":
        show_result(estimate, outputs.json_path, lambda: print_escaped(_render_csv(shown), with_newline=False))
    elif outputs.format_name == "markdown":
        show_result(
            estimate, outputs.json_path, lambda: print_escaped(_render_markdown(estimate, shown), with_newline=False)
        )
    else:
        show_result(
            estimate,
            outputs.json_path,
            lambda: _print_estimate(estimate, shown, has_own_texts=request.texts is not None),
        )


def _sort_costs(costs: Sequence[MonthlyCost]) -> list[MonthlyCost]:
    """Order targets by the price of their cheapest plan, and the plans of each by price. Free quotas come last."""
    price_by_target: dict[str, tuple[bool, float]] = {}
    for cost in costs:
        if not cost.is_free_quota:
            # A target stands where its cheapest plan belongs, with its other plans below it.
            price_by_target[cost.target] = min(
                _get_price_sort_key(cost), price_by_target.get(cost.target, (True, math.inf))
            )
    return sorted(
        costs,
        key=lambda cost: (
            cost.is_free_quota,
            price_by_target.get(cost.target, (True, math.inf)),
            cost.target,
            _get_price_sort_key(cost),
            cost.account_plan or "",
        ),
    )


def _get_price_sort_key(cost: MonthlyCost) -> tuple[bool, float]:
    """Return a key that sorts by price. Costs that only others than the provider state, and unknown ones, come last."""
    usd = cost.price.usd
    known = (amount for amount in (usd, cost.price.low_usd, cost.price.high_usd) if amount is not None)
    return usd is None, next(known, math.inf)


def _print_estimate(estimate: CostEstimate, shown_costs: Sequence[MonthlyCost], *, has_own_texts: bool) -> None:
    out = create_console()
    is_wide = out.width >= MIN_WIDE_TERMINAL_WIDTH
    amount_headings = ("per month", "per 1M characters")
    headings = ("target", "plan", *amount_headings, "remarks") if is_wide else ("target", "plan", *amount_headings)
    table = create_table(*headings, right_aligned_columns=amount_headings)
    table.columns[0].no_wrap = False
    table.columns[0].max_width = MAX_WIDE_COST_TARGET_WIDTH if is_wide else MAX_NARROW_COST_TARGET_WIDTH
    for row in _group_equal_rows(shown_costs, has_own_texts=has_own_texts):
        if is_wide:
            table.add_row(row.targets, *row.amounts, row.remark)
        else:
            table.add_row(f"{row.targets}\n  {row.remark}" if row.remark else row.targets, *row.amounts)
    print_table(out, table)
    out.print(
        f"{_format_character_count(estimate.characters_per_month)} per month, "
        f"in texts of {_format_character_count(estimate.text_length)}"
    )
    for line in _build_table_notes(estimate, shown_costs):
        out.print(line)
    providers_without_rate = {
        cost.target.partition("/")[0]
        for cost in shown_costs
        if cost.price.usd is None and cost.used_credits is not None and not cost.exceeds_plan
    }
    for provider in sorted(providers_without_rate):
        out.print(f"{provider} charges credits: state what one costs you with --credit-rate {provider}=USD")


class _CostTableRow(NamedTuple):
    """One row of the table of costs."""

    targets: str
    """The targets of one provider that cost the same, such as "acme/voice-1, voice-2"."""
    amounts: tuple[str, str, str]
    """The plan, the price of the month and that of a million characters."""
    remark: str
    """What limits the price, or how it was computed; empty for nothing."""


def _group_equal_rows(costs: Sequence[MonthlyCost], *, has_own_texts: bool) -> list[_CostTableRow]:
    """Return the rows of the table, in order. Models and modes of a provider often cost the same: they are one row."""
    names: dict[tuple[str, tuple[str, str, str], str], list[str]] = {}
    for cost in costs:
        # It makes no price lower: a line below the table says what it pays for.
        if cost.is_free_quota:
            continue
        provider, _, name = cost.target.partition("/")
        month, million = cost.price.describe() or "-", cost.price_per_1m_characters.describe() or "-"
        remark = _describe_remarks(cost, has_own_texts=has_own_texts)
        names.setdefault((provider, (cost.account_plan or "", month, million), remark), []).append(name)
    return [
        _CostTableRow(f"{provider}/{', '.join(found)}", amounts, remark)
        for (provider, amounts, remark), found in names.items()
    ]


def _describe_free_quotas(costs: Sequence[MonthlyCost]) -> list[str]:
    """Return a line for each free quota, with what the month costs within it at each target that has it."""
    targets: dict[tuple[str, float, str], dict[str, list[str]]] = {}
    for cost in costs:
        if cost.free_units_per_month is not None:
            provider, _, name = cost.target.partition("/")
            key = (provider, cost.free_units_per_month, cost.account_plan or "")
            targets.setdefault(key, {}).setdefault(_describe_month_with_quota(cost), []).append(name)
    return [
        f"free quota of {provider}: {_format_character_count(units)} per month on its plan {plan}; "
        + "; ".join(f"{outcome} {', '.join(names)}" for outcome, names in names_by_outcome.items())
        for (provider, units, plan), names_by_outcome in targets.items()
    ]


def _describe_month_with_quota(cost: MonthlyCost) -> str:
    """Return what a free quota leaves to pay, as words before the names of targets."""
    if cost.exceeds_plan:
        return "that plan has no more, which is too little for this month of"
    amount = cost.price.describe()
    return f"with it, this month costs {amount} for" if amount else "with it, nobody states the price in dollars of"


_CSV_COLUMNS = (
    "target",
    "plan",
    "is_free_quota",
    "usd_per_month",
    "month_price_text",
    "usd_per_1m_characters",
    "low_usd_per_1m_characters",
    "high_usd_per_1m_characters",
    "price_text",
    "credits_per_month",
    "fee_usd",
    "usage_basis",
    "documented_price",
    "claims",
)


def _render_csv(costs: Sequence[MonthlyCost]) -> str:
    """Return one line for each cost, with the documents of its claims. Missing values are empty."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for cost in costs:
        price = cost.price_per_1m_characters
        writer.writerow(
            [
                cost.target,
                cost.account_plan or "",
                int(cost.is_free_quota),
                cost.price.usd,
                cost.price.describe(),
                price.usd,
                price.low_usd,
                price.high_usd,
                price.describe(),
                cost.used_credits,
                cost.fee_usd,
                cost.usage_basis,
                cost.price_description,
                "; ".join(map(_describe_claim, cost.claims)),
            ]
        )
    return out.getvalue()


def _render_markdown(estimate: CostEstimate, costs: Sequence[MonthlyCost]) -> str:
    """Return a table of the costs, followed by the documents of their claims."""
    volume = _format_character_count(estimate.characters_per_month)
    lines = [
        f"{volume} per month, in texts of {_format_character_count(estimate.text_length)}.",
        "",
        "| Target | Plan | Per month | Per 1M characters | Claims |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for cost in costs:
        if cost.is_free_quota:
            continue
        cells = (
            cost.target,
            cost.account_plan or "",
            cost.price.describe() or "-",
            cost.price_per_1m_characters.describe() or "-",
            "; ".join(map(_describe_claim, cost.claims)),
        )
        lines.append(f"| {' | '.join(escape_markdown(cell) for cell in cells)} |")
    return "\n".join([*lines, "", *(f"- {note}" for note in _build_table_notes(estimate, costs)), ""])


def _build_table_notes(estimate: CostEstimate, costs: Sequence[MonthlyCost]) -> list[str]:
    """Return the lines below the table: targets that it lacks, free quotas, and what the remarks mean."""
    names = ", ".join(estimate.targets_without_price)
    missing = [f"no document states a price of {names}"] if names else []
    return [*missing, *_describe_free_quotas(costs), *explain_price_remarks([cost.price for cost in costs])]


def _describe_claim(claim: PriceClaim) -> str:
    """Return who made a claim, when and where: "price_page, 2026-11-22, Pricing, https://..."."""
    return ", ".join(filter(None, (claim.claimant.replace("_", " "), claim.date, claim.title, claim.url or "")))


def _format_character_count(count: float) -> str:
    number = f"{count:,.1f}".removesuffix(".0")
    return f"{number} character{'' if number == '1' else 's'}"


def _describe_remarks(cost: MonthlyCost, *, has_own_texts: bool) -> str:
    remarks = [
        f"counts {_format_character_count(round(cost.charged_characters))}" if has_own_texts else "",
        "more than the plan allows" if cost.exceeds_plan else "",
        f"{cost.used_credits:,.0f} credits" if cost.used_credits is not None else "",
        f"fee {format_price_usd(cost.fee_usd)}" if cost.fee_usd else "",
        _REMARK_BY_USAGE_BASIS[cost.usage_basis],
    ]
    return ", ".join(filter(None, remarks))
