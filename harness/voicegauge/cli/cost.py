"""`voicegauge cost`: show what targets cost in a month, with each account plan."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from voicegauge.api.local_requests import CostRequest
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
from voicegauge.model.price import PriceClaim, explain_price_remarks, format_price_usd
from voicegauge.options import Trust, option, request
from voicegauge.outputs.finding_exports import escape_markdown

if TYPE_CHECKING:
    from voicegauge.api.cost_estimation import CostEstimate, MonthlyCost


MAX_NARROW_TARGET_WIDTH = 41
"""Largest width, in columns, of a cell with the name of a target and remarks about it in a narrow terminal."""
MAX_WIDE_TARGET_WIDTH = 60
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
    """What the command prints and writes."""

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


@command_of_requests("cost", CostRequest, CostOutputs, has_time_limit=True)
def command(request: CostRequest, outputs: CostOutputs) -> None:
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
    table.columns[0].max_width = MAX_WIDE_TARGET_WIDTH if is_wide else MAX_NARROW_TARGET_WIDTH
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
    for line in _list_notes(estimate, shown_costs):
        out.print(line)
    _print_missing_credit_prices(shown_costs)


class _CostTableRow(NamedTuple):
    """One row of the table."""

    targets: str
    """The targets of one provider that cost the same, such as "acme/voice-1, voice-2"."""
    amounts: tuple[str, str, str]
    """The plan, the price of the month and that of a million characters."""
    remark: str


def _group_equal_rows(costs: Sequence[MonthlyCost], *, has_own_texts: bool) -> list[_CostTableRow]:
    """Return the rows of the table, in order. Models and modes of a provider often cost the same: they are one row."""
    names: dict[tuple[str, tuple[str, str, str], str], list[str]] = {}
    for cost in costs:
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
    return "\n".join([*lines, "", *(f"- {note}" for note in _list_notes(estimate, costs)), ""])


def _list_notes(estimate: CostEstimate, costs: Sequence[MonthlyCost]) -> list[str]:
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


def _print_missing_credit_prices(costs: Sequence[MonthlyCost]) -> None:
    providers = {
        cost.target.partition("/")[0]
        for cost in costs
        if cost.price.usd is None and cost.used_credits is not None and not cost.exceeds_plan
    }
    for provider in sorted(providers):
        create_console().print(
            f"{provider} charges credits: state what one costs you with --credit-rate {provider}=USD"
        )


def _describe_remarks(cost: MonthlyCost, *, has_own_texts: bool) -> str:
    remarks = [
        f"counts {_format_character_count(round(cost.charged_characters))}" if has_own_texts else "",
        "more than the plan allows" if cost.exceeds_plan else "",
        f"{cost.used_credits:,.0f} credits" if cost.used_credits is not None else "",
        f"fee {format_price_usd(cost.fee_usd)}" if cost.fee_usd else "",
        _REMARK_BY_USAGE_BASIS[cost.usage_basis],
    ]
    return ", ".join(filter(None, remarks))
