"""What `check` and `record` share: a plan that is priced, then sent."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from voicegauge.cli import EXIT_INTERRUPTED
from voicegauge.data import cache_folder
from voicegauge.errors import EXIT_BUDGET, EXIT_NOTHING_MEASURED, EXIT_OK, BudgetError, TransportError

if TYPE_CHECKING:
    from voicegauge.conformance import CasePlan, CheckSettings, Collector, PricedPlan
    from voicegauge.contract import Contract, Target


def live_settings(plan: PricedPlan, contracts: Sequence[Contract], options: dict[str, Any]) -> CheckSettings:
    """How the services themselves are asked: keys from the environment, a budget for `plan`.

    Says on standard error what it will cost.

    Args:
        plan: what will be sent.
        contracts: of its targets.
        options: `prices`, `max_cost`, `base_url`, `plans` and `seed` of the command line.

    Raises:
        MissingKeyError: the key of a provider is not set.
        UnknownNameError: no document has a plan of that name.
        UsageError: nobody says what a target costs.
        BudgetError: the plan costs more than the budget.
    """
    from voicegauge.cli.money import echo_pace, plan_line
    from voicegauge.client import Ledger, account_plans, client_key, rate_limiter_for
    from voicegauge.conformance import CheckSettings, require_prices
    from voicegauge.model import Provenance

    plans = account_plans(contracts, options["plans"])
    keys = {contract.id: client_key(contract) for contract in contracts}
    require_prices(plan)
    budget = options["max_cost"]
    click.echo(f"{plan_line(plan)}; at most ${budget:.4g}", err=True)
    if plan.usd > budget:
        fits = f"; --max-calls {plan.fitting(budget)} fits" if "max_calls" in options else ""
        raise BudgetError(f"the plan costs about ${plan.usd:.4g}, more than --max-cost {budget:g}{fits}")
    pacers = {provider: rate_limiter_for(plan, options["base_url"]) for provider, plan in plans.items()}
    echo_pace(pacers)
    return CheckSettings(
        provenance=Provenance.RECORDED,
        base_urls={contract.id: options["base_url"] for contract in contracts},
        keys=keys,
        ledger=Ledger(budget),
        prices=options["prices"],
        pacers=pacers,
        seed=options["seed"],
    )


def send(targets: Sequence[Target], plan: CasePlan, settings: CheckSettings, collector: Collector) -> int:
    """Run the plan; the status says what stopped it before its end.

    Raises:
        TransportError: not even one answer could be had.
    """
    from voicegauge.cli.progress import progress
    from voicegauge.conformance import check_service, run_check

    if settings.fuzz:
        # Hypothesis keeps tables that are slow to make; not in the folder that the user stands in.
        os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", str(cache_folder() / "hypothesis"))
    try:
        with progress("asking", len(plan.cases)) as bar:
            run_check(collector, check_service(targets, plan, settings, collector, bar.advance))
    except TransportError as error:
        if not collector.exchanges:
            raise
        collector.stopped_by = str(error)
        return EXIT_NOTHING_MEASURED
    if collector.interrupted:
        return EXIT_INTERRUPTED
    return EXIT_BUDGET if collector.stopped_by else EXIT_OK
