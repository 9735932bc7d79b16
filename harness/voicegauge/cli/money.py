"""Money on a terminal: what a plan would cost, and what a check spent."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import console, table
from voicegauge.model import Provenance

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from voicegauge.client import RateLimiter
    from voicegauge.conformance import CheckReport, PricedPlan, SpendingTotal

RULES_NAMED = 3
"""Rules that look at the same things have spent the same: so many of them are named."""


def print_plan(plan: PricedPlan) -> None:
    """What would be sent, and what it would cost."""
    out = console()
    rows = table("case", "expected", "cost", right=("cost",))
    for case in plan.cases:
        rows.add_row(case.id, case.expects, _cost(case.usd) if case.is_billable else "free")
    out.print(rows)
    for one in plan.skipped:
        out.print(f"not planned: {one.id}: {one.reason}", style="dim", soft_wrap=True)
    _print_parts(out, "by kind", plan.spending.by_kind)
    _print_parts(out, "by target", plan.spending.by_target)
    out.print(plan_line(plan), style="bold", soft_wrap=True)


def plan_line(plan: PricedPlan) -> str:
    """How many requests a plan has and what they cost, in one line."""
    who, free = ("emulated", " (nothing is paid)") if plan.provenance is Provenance.EMULATED else ("live", "")
    total = plan.spending.total
    unknown = f", and {', '.join(plan.unpriced)}, whose price nobody says" if plan.unpriced else ""
    line = f"{who}: {total.requests} requests, {total.billable} that may be paid for"
    return f"{line}, about ${total.usd:.4g} if all goes well{unknown}{free}"


def print_spending(out: Console, report: CheckReport) -> None:
    """What requests and money went to; nothing where nothing was sent."""
    spending = report.spending
    if not spending.total.requests:
        return
    _print_parts(out, "spent by kind", spending.by_kind)
    _print_parts(out, "by target", spending.by_target)
    alike: dict[SpendingTotal, list[str]] = {}
    for rule, spent in spending.by_rule.items():
        alike.setdefault(spent, []).append(rule)
    named = {_together(rules): spent for spent, rules in alike.items()}
    _print_parts(out, "by rule", named)


def _together(rules: list[str]) -> str:
    more = len(rules) - RULES_NAMED
    return " ".join(rules[:RULES_NAMED]) + (f" and {more} more" if more > 0 else "")


def _print_parts(out: Console, label: str, parts: Mapping[str, SpendingTotal]) -> None:
    told = [f"{name} {_spent(spent)}" for name, spent in parts.items()]
    if told:
        out.print(f"{label}: {'; '.join(told)}", style="dim", soft_wrap=True)


def _spent(spent: SpendingTotal) -> str:
    dollars = f" {_cost(spent.usd)}" if spent.usd else ""
    return f"{spent.requests} ({spent.billable} paid{dollars})"


def _cost(usd: float | None) -> str:
    return "not known" if usd is None else f"${usd:.4g}"


def echo_pace(pacers: Mapping[str, RateLimiter | None]) -> None:
    """Say on standard error what a live run keeps to: it may be what it waits for."""
    for provider, rate_limiter in pacers.items():
        if rate_limiter is not None:
            rate = f"at most {rate_limiter.requests_per_minute} requests a minute, polls left out"
            click.echo(f"{provider}: {rate}; --plan names the plan of an account that may send more", err=True)
