"""`voicegauge cost`: show what targets cost in a month, with each account plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from voicegauge.api.local_requests import CostRequest
from voicegauge.cli._commands import command_of
from voicegauge.cli._console import MIN_WIDE_TERMINAL_WIDTH, create_console, create_table, print_table, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.options import Trust, option, request

if TYPE_CHECKING:
    from voicegauge.api.cost_estimation import CostEstimate, MonthlyCost


MAX_NARROW_TARGET_WIDTH = 41
"""Largest width, in columns, of a cell with the name of a target and remarks about it in a narrow terminal."""
_REMARK_BY_USAGE_BASIS = {"exact": "", "estimated_duration": "length of the audio estimated", "upper_bound": "at most"}


@request
class CostOutputs(JsonOutput):
    """What the command prints and writes."""

    all_plans: bool = option(
        default=False, help="Print every plan of a target, not only the cheapest.", found_file=Trust.ANY_VALUE
    )


@command_of("cost", CostRequest, CostOutputs)
def command(request: CostRequest, outputs: CostOutputs) -> None:
    """Show what TARGETs cost in a month at your volume; nothing is sent.

    Prices, fees and quotas of plans, rounding and the counting of characters are those of the
    contracts. Of several plans, the cheapest one is printed. JSON has all of them.
    """
    from voicegauge.api.cost_estimation import run_estimate_cost

    estimate = run_estimate_cost(request)
    show_result(
        estimate,
        outputs.json_path,
        lambda: _print_estimate(estimate, all_plans=outputs.all_plans, has_own_texts=request.texts is not None),
    )


def _print_estimate(estimate: CostEstimate, *, all_plans: bool, has_own_texts: bool) -> None:
    out = create_console()
    shown = [cost for cost in estimate.costs if all_plans or cost.is_cheapest_plan]
    is_wide = out.width >= MIN_WIDE_TERMINAL_WIDTH
    amount_headings = ("per month", "per 1M characters")
    headings = ("target", "plan", *amount_headings, "") if is_wide else ("target", "plan", *amount_headings)
    table = create_table(*headings, right_aligned_columns=amount_headings)
    if not is_wide:
        table.columns[0].no_wrap, table.columns[0].max_width = False, MAX_NARROW_TARGET_WIDTH
    for cost in sorted(shown, key=lambda one: math.inf if one.cost_usd is None else one.cost_usd):
        amounts = (_format_usd(cost.cost_usd), _format_usd(cost.usd_per_1m_characters))
        remark = _describe_remarks(cost, has_own_texts=has_own_texts)
        if is_wide:
            table.add_row(cost.target, cost.account_plan or "", *amounts, remark)
        else:
            table.add_row(f"{cost.target}\n  {remark}" if remark else cost.target, cost.account_plan or "", *amounts)
    print_table(out, table)
    out.print(
        f"{_format_character_count(estimate.characters_per_month)} per month, "
        f"in texts of {_format_character_count(estimate.text_length)}"
    )
    _print_missing_credit_prices(shown)


def _format_character_count(count: float) -> str:
    number = f"{count:,.1f}".removesuffix(".0")
    return f"{number} character{'' if number == '1' else 's'}"


def _print_missing_credit_prices(costs: Sequence[MonthlyCost]) -> None:
    providers = sorted({cost.target.partition("/")[0] for cost in costs if _needs_credit_price(cost)})
    for provider in providers:
        create_console().print(
            f"{provider} charges credits: state what one costs you with --credit-rate {provider}=USD"
        )


def _needs_credit_price(cost: MonthlyCost) -> bool:
    return cost.cost_usd is None and cost.used_credits is not None and not cost.exceeds_plan


def _format_usd(amount_usd: float | None) -> str:
    return "-" if amount_usd is None else f"${amount_usd:,.2f}"


def _describe_remarks(cost: MonthlyCost, *, has_own_texts: bool) -> str:
    remarks = [
        f"counts {_format_character_count(round(cost.charged_characters))}" if has_own_texts else "",
        "more than the plan allows" if cost.exceeds_plan else "",
        f"{cost.used_credits:,.0f} credits" if cost.used_credits is not None else "",
        f"fee ${cost.fee_usd:,.2f}" if cost.fee_usd else "",
        _REMARK_BY_USAGE_BASIS[cost.usage_basis],
        "disputed" if cost.is_disputed else "",
    ]
    return ", ".join(filter(None, remarks))
