"""Prints what `--dry-run` says about budgets, and ends as the command would that is refused because of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicegauge.errors import EXIT_BUDGET_EXCEEDED, BudgetError, UsageError
from voicegauge.model.base import MICRO_USD_PER_USD
from voicegauge.model.price import format_price_usd
from voicegauge.printable_text import format_count

if TYPE_CHECKING:
    from rich.console import Console

    from voicegauge.model.budget import BudgetForecast

MAX_CASES_SHOWN = 3
"""Largest number of cases named that will not be sent; --json has all."""


def raise_refusal(forecast: BudgetForecast | None) -> None:
    """Raise the error with which the command would refuse a plan. Call this when the plan was printed.

    Raises:
        BudgetError: the plan costs more than is left of a budget.
        UsageError: something else is missing, such as a price.
    """
    if forecast is not None and forecast.refusal_reason is not None:
        is_over_budget = forecast.refusal_exit_status == EXIT_BUDGET_EXCEEDED
        raise (BudgetError if is_over_budget else UsageError)(f"this would be refused: {forecast.refusal_reason}")


def print_budget_forecast(terminal: Console, forecast: BudgetForecast) -> None:
    """Print what is left of each budget, and what will not be sent because of it.

    The reason for a refusal is not printed, but raised by `raise_refusal`.
    """
    for budget in forecast.budgets:
        if budget.spent_usd:
            left_usd = format_price_usd(budget.left_micro_usd / MICRO_USD_PER_USD, is_exact=True)
            terminal.print(f"{left_usd} left of {budget.describe()}", soft_wrap=True)
    if forecast.refusal_reason is not None:
        return
    expected = forecast.unaffordable_cases
    for case in expected[:MAX_CASES_SHOWN]:
        left = f"more than is left of {case.budget_name}"
        reserved = format_price_usd(case.reserved_usd, is_exact=True)
        line = f"will not be sent: {case.id}: it reserves {reserved}, {left}"
        terminal.print(line, style="yellow", soft_wrap=True)
    if len(expected) > MAX_CASES_SHOWN:
        more = len(expected) - MAX_CASES_SHOWN
        terminal.print(f"will not be sent: {more} more (--json has all)", style="yellow", soft_wrap=True)
    if expected:
        enough = " ".join(forecast.sufficient_limits)
        line = f"what is not sent is not judged, so the exit status will not be 0; {enough} pays for all of it"
        terminal.print(line, soft_wrap=True)
    names = {case.id for case in expected}
    at_worst = [case for case in forecast.unaffordable_cases_at_worst if case.id not in names]
    if at_worst:
        requests = format_count(len(at_worst), "more request" if expected else "request")
        line = f"if the service charges all that it may, {requests} will not be sent, the first: {at_worst[0].id}"
        terminal.print(line, style="yellow", soft_wrap=True)
