"""Computes what targets cost in a month, with each account plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from voicegauge.api.calls import create_keyword_function
from voicegauge.api.local_requests import CostRequest
from voicegauge.api.target_selection import collect_contracts, select_targets, to_catalogue, to_name_tuple
from voicegauge.bench.suites import load_own_texts
from voicegauge.client.connection import find_account_plan_limits
from voicegauge.contract.contract import BaseTarget, SocketTarget, Target, TranscriptionSocketTarget
from voicegauge.contract.price_computation import (
    MonthlyBill,
    RequestGroup,
    UsageBasis,
    build_request_groups,
    compute_bill_without_plan,
    compute_monthly_bills,
    describe_price,
    list_all_claims,
    list_price_sources,
    list_priced_claims,
)
from voicegauge.errors import UsageError
from voicegauge.model.base import Record
from voicegauge.model.price import PriceClaim, PriceRange
from voicegauge.outputs.result_summary import SummaryTable, TabularResult


class MonthlyCost(Record, frozen=True, kw_only=True):
    """The cost of one target in a month with one account plan."""

    target: str
    """Id of the target."""
    account_plan: str | None
    """Name of the account plan; `None` if the price has no plans."""
    is_cheapest_plan: bool
    """Whether no other plan of the target costs less, free quotas aside."""
    is_free_quota: bool
    """Whether this is what accounts get without a fee. It is stated on its own, and makes no other price lower."""
    price: PriceRange
    """The fee of the plan, plus the price of the usage that the fee does not include, in dollars rounded to the cent,
    by each claim that counts. Without amounts if no price is known in dollars or the plan does not allow as much."""
    fee_usd: float | None
    """The monthly fee of the plan; `None` if there is no plan, or no document states the fee."""
    used_credits: float | None
    """Credits that the requests use, including those that the fee covers; `None` if no document states a price in
    credits."""
    price_per_1m_characters: PriceRange
    """`price` for each million characters of the texts, in dollars."""
    request_count: float
    """Number of requests. A text takes several requests if it is longer than the documented maximum length."""
    charged_characters: float
    """Number of characters as the provider counts them."""
    exceeds_plan: bool
    """Whether the texts of the month need more usage than the plan includes, and the plan sells no additional usage."""
    usage_basis: UsageBasis
    """How the charged usage is known: exactly, from an estimated duration, as a typical number or as a maximum."""
    price_description: str
    """The documented price with the account plan, in words."""
    free_units_per_month: float | None
    """For a free quota, how many characters or requests it is per month; otherwise `None`."""
    claims: tuple[PriceClaim, ...]
    """What each document states about the price, with its date and address."""
    sources: tuple[str, ...]
    """Titles, dates and addresses of the documents that state the price."""


class CostEstimate(TabularResult, frozen=True, kw_only=True):
    """The result of `estimate_cost`, which `voicegauge cost --json` writes as JSON."""

    schema: str = "voicegauge/cost/2"
    characters_per_month: int
    """Number of characters of all texts of the month."""
    text_length: float
    """Number of characters of a text; with own texts, their mean length."""
    costs: tuple[MonthlyCost, ...]
    """The cost of each target with each account plan; the costs of one target are next to each other."""
    targets_without_price: tuple[str, ...] = ()
    """Ids of the targets of which no document states a price."""

    def build_table(self) -> SummaryTable:
        """Return the cheapest plan of each target, and free quotas."""
        rows = [
            (
                cost.target,
                cost.account_plan or "",
                "free quota" if cost.is_free_quota else cost.price.format_amount() or "not known in dollars",
                "" if cost.is_free_quota else cost.price_per_1m_characters.describe() or "",
            )
            for cost in self.costs
            if cost.is_cheapest_plan or cost.is_free_quota
        ]
        return SummaryTable(
            title=f"Cost of {self.characters_per_month:,} characters per month, in texts of {self.text_length:,.0f}",
            headings=("target", "plan", "per month", "per 1M characters"),
            rows=tuple(rows),
        )


def run_estimate_cost(request: CostRequest) -> CostEstimate:
    """Compute what targets cost in a month, with each account plan. Nothing is sent.

    Self-hosted servers are left out unless they are named.

    >>> estimate = voicegauge.estimate_cost("openai/tts-1", characters_per_month=2_000_000)
    >>> estimate.costs[0].price.usd
    30.0

    Returns:
        The cost of each target with each plan.

    Raises:
        UnknownNameError: a name is not a provider, a target or an account plan.
        UsageError: a number is out of range, or `credit_prices_usd` has a provider that does not charge credits.
        DataError: the texts cannot be read.
        ContractError: a document is not a usable contract.
    """
    catalogue = to_catalogue(request.contracts).replace_credit_prices(request.credit_prices_usd)
    chosen = select_targets(catalogue, request.targets, None, with_sockets=True)
    named = to_name_tuple(request.targets)
    # A provider stands for its targets that speak; a target that transcribes has to be named.
    chosen = [one for one in chosen if not isinstance(one, TranscriptionSocketTarget) or one.id in named]
    if not request.targets:  # what a server of one's own costs is not in its contract, so that it would seem to be free
        chosen = [target for target in chosen if target.contract.provider.self_hosted is None]
    find_account_plan_limits(collect_contracts(chosen), request.account_plans)  # raises for unknown names
    own_texts = [] if request.texts is None else [one.text for one in load_own_texts(Path(request.texts)).texts]
    costs_by_target = {target.id: _compute_target_costs(target, request, own_texts) for target in chosen}
    return CostEstimate(
        characters_per_month=request.characters_per_month,
        text_length=request.text_length if not own_texts else sum(map(len, own_texts)) / len(own_texts),
        costs=tuple(cost for costs in costs_by_target.values() for cost in costs),
        targets_without_price=tuple(target for target, costs in costs_by_target.items() if not costs),
    )


estimate_cost = create_keyword_function(CostRequest, run_estimate_cost, name="estimate_cost")


def _compute_target_costs(target: BaseTarget, request: CostRequest, own_texts: Sequence[str]) -> list[MonthlyCost]:
    plan_names = request.account_plans
    if not isinstance(target, Target | SocketTarget):
        raise UsageError(f"{target.id} takes audio: name targets that speak")
    price = target.pricing
    documented_plans = list(price.plan_names) if price is not None else []
    named: list[str | None] = [*([name for name in documented_plans if name in plan_names] or documented_plans)]
    bills: list[_AccountPlanBill] = []
    for name in named or [None]:
        limits = plan_names if name is None else [name]
        groups = _build_request_groups(target, request, own_texts, limits)
        bills += [
            _AccountPlanBill(bill, groups, _find_free_units_of_plan(target, bill.plan_name))
            for bill in compute_monthly_bills(target, groups)
            if bill.plan_name == name
        ]
    # What the month costs beyond a free quota is what it costs without a plan.
    if bills and all(one.free_units is not None for one in bills):
        groups = _build_request_groups(target, request, own_texts, plan_names)
        usual = compute_bill_without_plan(target, groups)
        if usual is not None:
            bills.insert(0, _AccountPlanBill(usual, groups, None))
    paid = [one for one in bills if one.free_units is None]
    # A plan whose fee is not known may cost more than it saves.
    with_fee = [one for one in paid if one.bill.plan_name is None or one.bill.fee_usd is not None]
    cheapest = min(with_fee, key=lambda one: _get_usd_for_plan_comparison(one.bill), default=None) or max(
        paid, key=lambda one: _get_usd_for_plan_comparison(one.bill), default=None
    )
    return [
        _build_monthly_cost(target, one, request.characters_per_month, is_cheapest_plan=one is cheapest)
        for one in bills
    ]


class _AccountPlanBill(NamedTuple):
    """The bill of a month with one account plan, and the requests that are billed."""

    bill: MonthlyBill
    """What the requests cost."""
    request_groups: Sequence[RequestGroup]
    """The requests of the month."""
    free_units: float | None
    """Units per month of a free quota; `None` if the plan is not a free quota."""


def _get_usd_for_plan_comparison(bill: MonthlyBill) -> float:
    """Return the amount by which plans are compared; infinite if it is unknown or the plan does not allow as much."""
    if bill.exceeds_plan:
        return math.inf
    amounts = (bill.price.usd, bill.price.low_usd, bill.price.high_usd)
    return next((amount for amount in amounts if amount is not None), math.inf)


def _find_free_units_of_plan(target: Target | SocketTarget, plan_name: str | None) -> float | None:
    """Return how many units a plan includes without a fee; `None` if it has a fee or includes none.

    `plan_name` is `None` without a plan, which includes none.
    """
    plans = [plan for one in list_priced_claims(target) for plan in one.claim.plans if plan.name == plan_name]
    free = [plan.included_units_per_month for plan in plans if plan.is_free_quota]
    return free[0] if free else None


def _build_request_groups(
    target: Target | SocketTarget, request: CostRequest, own_texts: Sequence[str], plan_names: Sequence[str]
) -> tuple[RequestGroup, ...]:
    characters_per_month, text_length = request.characters_per_month, request.text_length
    if own_texts:
        times = characters_per_month / sum(map(len, own_texts))
        return build_request_groups(target, own_texts, times, plan_names)
    number, rest = divmod(characters_per_month, text_length)
    # The letters stand for any characters: how many of them are white space or Chinese is not known.
    whole = build_request_groups(target, ["a" * text_length], number, plan_names)
    return whole + build_request_groups(target, ["a" * rest], 1, plan_names)


def _build_monthly_cost(
    target: Target | SocketTarget,
    account_plan_bill: _AccountPlanBill,
    characters_per_month: int,
    *,
    is_cheapest_plan: bool,
) -> MonthlyCost:
    bill, request_groups, free_units = account_plan_bill
    return MonthlyCost(
        target=target.id,
        account_plan=bill.plan_name,
        is_cheapest_plan=is_cheapest_plan,
        is_free_quota=free_units is not None,
        price=bill.price,
        fee_usd=bill.fee_usd,
        used_credits=bill.total_credits,
        price_per_1m_characters=bill.price.scale(1_000_000 / characters_per_month),
        request_count=math.fsum(group.request_count for group in request_groups),
        charged_characters=math.fsum(group.request_count * group.characters_per_request for group in request_groups),
        exceeds_plan=bill.exceeds_plan,
        usage_basis=bill.usage_basis,
        price_description=describe_price(target, () if bill.plan_name is None else (bill.plan_name,)),
        free_units_per_month=free_units,
        claims=tuple(one.claim for one in list_all_claims(target)),
        sources=list_price_sources(target),
    )
