"""Prices a plan before anything is sent, and compares it with what is left of budgets and of the limit of requests."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from voicegauge.cases.case import CaseKind, ConformanceCase, SkippedCase
from voicegauge.cases.case_order import DESCRIPTION_BY_TURN, SendingTurn, list_turns
from voicegauge.cases.plan import CasePlan, list_speaking_targets, list_targets_with_delivery
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.conformance.spending import (
    BillableRequestLimit,
    Spending,
    SpendingAccount,
    SpendingTotal,
    build_price_name,
    compute_lifecycle_step_price_usd,
    compute_price_usd,
    find_priced_item,
    is_resource_lifecycle,
    plan_lifecycle,
)
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.errors import UsageError, VoicegaugeError
from voicegauge.model.base import (
    MICRO_USD_PER_USD,
    Provenance,
    Record,
    convert_budget_to_micro_usd,
    convert_to_micro_usd,
    sum_usd,
)
from voicegauge.model.price import BudgetForecast, RemainingBudget, UnaffordableCase, format_price_usd
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.printable_text import format_count


class PricedCase(Record, frozen=True, kw_only=True):
    """One case of a plan with its price."""

    id: str
    """Id of the case."""
    kind: CaseKind
    """The kind of request or sequence that the case consists of."""
    turn: SendingTurn
    """The part of the plan that the case belongs to, which decides when it is sent."""
    contract_pointer: str
    """JSON pointer to the part of the contract that the case tests."""
    expected_acceptance: str
    """The expected response: "accepted", "rejected", or "either" if the documents say neither."""
    is_billable: bool
    """Whether the case may be accepted, and costs money if it is."""
    request_count: int = 1
    """Number of requests of the lifecycle of a resource if all are accepted; 1 for other cases, without polls and
    downloads."""
    billable_request_count: int = 0
    """Number of the requests in `request_count` that cost money if they are accepted."""
    price_usd: float | None = None
    """Dollars if the response is as expected; `None` if the price is not known."""
    reserved_usd: float | None = None
    """Dollars that must be left of the budget before the case is sent: its price if the service accepts it, also if it
    should be rejected, because a faulty service may charge for it; `None` if the price is not known."""


class PlannedResource(Record, frozen=True, kw_only=True):
    """A kind of resource that the requests to one operation create."""

    operation: str
    """The operation that creates the resources: <provider>/<operation>."""
    resource_type: str
    """What the kind of resource is called: "voice embedding"."""
    request_count: int
    """Number of planned requests that may create such a resource."""


class PricedPlan(TabularResult, frozen=True, kw_only=True):
    """A plan with prices: the JSON that `voicegauge check --dry-run --json` writes."""

    schema: str = "voicegauge/check-plan/2"
    provenance: Provenance
    """Provenance that the responses would have."""
    target_ids: tuple[str, ...]
    """Ids of the planned targets."""
    cases: tuple[PricedCase, ...]
    """The cases of all providers; a limit of requests or of money keeps the first ones."""
    skipped_cases: tuple[SkippedCase, ...] = ()
    """Cases that cannot be planned."""
    targets_without_delivery: tuple[str, ...] = ()
    """Ids of the targets that cannot be judged because no delivery is sent: none can be planned, or the limit of
    billable requests leaves no room."""
    left_out_reason_by_target: dict[str, str] = msgspec.field(default_factory=dict)
    """Why targets were left out although others are checked, by target id."""
    is_short: bool = False
    """Whether the user asks for some billable requests only (`max_calls`)."""
    excluded_operations: tuple[str, ...] = ()
    """Operations that the targets do not need, to which nothing is sent: <provider>/<operation id>."""
    providers_with_credits: tuple[str, ...] = ()
    """Ids of the providers that charge credits, of which the user may state the value."""
    ids_without_price: tuple[str, ...] = ()
    """Targets, and billable operations without targets, whose price is not known. They are counted as free."""
    created_resources: tuple[PlannedResource, ...] = ()
    """Resources that the plan creates in the account, and deletes."""
    undeletable_resources: tuple[PlannedResource, ...] = ()
    """Resources that the plan leaves in the account, because no document says how to delete them."""
    spending: Spending
    """Spending at the live service if every response is as expected. Spending for each rule is not included."""
    worst_case_usd: float = 0.0
    """Upper bound of the price of the plan, in dollars: the service also accepts and charges the requests that it
    should reject. Only requests that are repeated after an interrupted response can increase the cost further."""
    largest_request_count: int = 0
    """Upper bound of the number of requests, without polls, downloads and repetitions: each turn on a
    WebSocket may need a connection of its own, for example because the one before was broken off."""
    budget_forecast: BudgetForecast | None = None
    """What becomes of the plan within the budgets that are left; `None` at the emulator."""

    def build_table(self) -> SummaryTable:
        """Return a table with a row for each case: its id, the expected response, and its price."""
        return SummaryTable(
            title=f"{format_count(len(self.cases), 'case')}, {format_price_usd(self.price_usd)} "
            f"if every response is as expected, at most {format_price_usd(self.worst_case_usd)}",
            headings=("case", "expected", "price"),
            rows=tuple(
                (
                    case.id,
                    case.expected_acceptance,
                    format_price_usd(case.price_usd or 0.0) if case.price_usd is not None else "not known",
                )
                if case.is_billable
                else (case.id, case.expected_acceptance, "")
                for case in self.cases_as_sent
            ),
        )

    @property
    def cases_as_sent(self) -> list[PricedCase]:
        """The cases in the order in which they are sent: one provider is checked after the other."""
        providers = list(dict.fromkeys(target_id.partition("/")[0] for target_id in self.target_ids))
        return sorted(self.cases, key=lambda case: providers.index(case.id.partition("/")[0]))

    def describe_order(self) -> list[str]:
        """Return a sentence for each turn: the numbers of its cases, as sent, from 1, and why they are sent then."""
        ranges_by_turn: dict[SendingTurn, list[str]] = {}
        numbered = enumerate(self.cases_as_sent, start=1)
        for turn, cases in itertools.groupby(numbered, lambda pair: pair[1].turn):
            numbers = [number for number, _ in cases]
            ranges = f"{numbers[0]} to {numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"
            ranges_by_turn.setdefault(turn, []).append(ranges)
        return [f"{', '.join(ranges)}: {DESCRIPTION_BY_TURN[turn]}" for turn, ranges in ranges_by_turn.items()]

    @property
    def price_usd(self) -> float:
        """The price of the plan in dollars, without the items in `ids_without_price`."""
        return self.spending.total.spent_usd

    def sum_price_usd_by_provider(self) -> dict[str, float]:
        """Return the price of the plan in dollars by provider id, without the items in `ids_without_price`."""
        totals: dict[str, float] = {}
        for case in self.cases:
            provider = case.id.partition("/")[0]
            totals[provider] = sum_usd((totals.get(provider, 0.0), case.price_usd or 0.0))
        return totals

    @property
    def case_with_largest_reservation(self) -> PricedCase | None:
        """The case that reserves most, if more than it costs when the response is as expected; otherwise `None`."""
        largest = max(self.cases, key=lambda case: case.reserved_usd or 0.0, default=None)
        return largest if largest is not None and (largest.reserved_usd or 0.0) > (largest.price_usd or 0.0) else None


def price_plan(
    plan: CasePlan, targets: Sequence[BaseTarget], price_usd_by_name: Mapping[str, float], *, provenance: Provenance
) -> PricedPlan:
    """Return `plan` with the price of each case.

    Args:
        plan: the plan.
        targets: the targets of the plan.
        price_usd_by_name: dollars per request by target id, as set by the user.
        provenance: the provenance that the responses would have.
    """
    contracts = {target.contract.id: target.contract for target in targets}
    account, cases = SpendingAccount(), []
    ids_without_price: dict[str, None] = {}
    turn_by_case_id: dict[str, SendingTurn] = {}
    for provider in contracts:
        of_provider = [case for case in plan.cases if case.provider == provider]
        turn_by_case_id |= {case.id: turn for case, turn in zip(of_provider, list_turns(of_provider), strict=True)}
    for case in plan.cases:
        contract, turn = contracts[case.provider], turn_by_case_id[case.id]
        if is_resource_lifecycle(contract, case):
            priced = _price_lifecycle(contract, case, turn, price_usd_by_name, provenance)
        else:
            priced = _price_case(contract, case, turn, price_usd_by_name, ids_without_price)
        account.add_case(
            case,
            SpendingTotal(
                request_count=priced.request_count,
                billable_request_count=priced.billable_request_count,
                spent_usd=priced.price_usd or 0.0,
            ),
        )
        cases.append(priced)
    return PricedPlan(
        provenance=provenance,
        target_ids=tuple(target.id for target in targets),
        cases=tuple(cases),
        skipped_cases=plan.skipped_cases,
        targets_without_delivery=plan.targets_without_delivery,
        left_out_reason_by_target=plan.left_out_reason_by_target,
        is_short=plan.limits_billable_requests,
        excluded_operations=plan.excluded_operations,
        providers_with_credits=tuple(one.id for one in contracts.values() if one.provider.credits is not None),
        ids_without_price=tuple(ids_without_price),
        created_resources=tuple(_iterate_resources(plan, contracts, are_deletable=True)),
        undeletable_resources=tuple(_iterate_resources(plan, contracts, are_deletable=False)),
        spending=account.build_spending(),
        worst_case_usd=sum_usd(max(one.price_usd or 0.0, one.reserved_usd or 0.0) for one in cases),
        largest_request_count=sum(
            max(one.request_count, case.charged_request_count) for case, one in zip(plan.cases, cases, strict=True)
        ),
    )


def _price_case(
    contract: Contract,
    case: ConformanceCase,
    turn: SendingTurn,
    price_usd_by_name: Mapping[str, float],
    ids_without_price: dict[str, None],
) -> PricedCase:
    """Return a case with its price; if it is unknown, add the id of its target or operation to `ids_without_price`."""
    item = find_priced_item(contract, case)
    usd = reserved_usd = (
        0.0
        if item is None
        else compute_price_usd(
            item, price_usd_by_name, case.text_character_count, case.audio_duration_s, case.charged_request_count
        )
    )
    if not case.is_billable:
        usd = 0.0  # a rejected request is free, but its price is reserved: a faulty service may accept it
    elif item is not None and usd is None:
        ids_without_price[build_price_name(item)] = None
    return PricedCase(
        id=case.id,
        kind=case.kind,
        turn=turn,
        contract_pointer=case.expected_response.contract_pointer,
        expected_acceptance=case.expected_response.acceptance,
        is_billable=case.is_billable,
        request_count=case.first_request_count,
        billable_request_count=case.first_request_count if case.is_billable and usd != 0 else 0,
        price_usd=usd,
        reserved_usd=reserved_usd,
    )


def _price_lifecycle(
    contract: Contract,
    case: ConformanceCase,
    turn: SendingTurn,
    price_usd_by_name: Mapping[str, float],
    provenance: Provenance,
) -> PricedCase:
    """Return the lifecycle of a resource with the price of all its requests.

    If a price is not known, a live check skips the lifecycle, so that none of its requests costs anything.
    """
    steps = plan_lifecycle(contract, case, is_emulated=provenance is Provenance.EMULATED)
    prices: list[float] | None = None
    with contextlib.suppress(UsageError):
        prices = [
            compute_lifecycle_step_price_usd(step.operation, step.request, price_usd_by_name) or 0.0 for step in steps
        ]
    return PricedCase(
        id=case.id,
        kind=case.kind,
        turn=turn,
        contract_pointer=case.expected_response.contract_pointer,
        expected_acceptance=case.expected_response.acceptance,
        is_billable=case.is_billable,
        request_count=len(steps),
        billable_request_count=sum(price > 0 for price in prices or ()),
        price_usd=None if prices is None else sum_usd(prices),
        reserved_usd=None if prices is None else sum_usd(prices),
    )


def _iterate_resources(
    plan: CasePlan, contracts: Mapping[str, Contract], *, are_deletable: bool
) -> Iterator[PlannedResource]:
    """Yield the kinds of resources that the plan creates, either those that it can delete or those that will stay."""
    accepted = Counter(
        (case.provider, case.operation) for case in plan.cases if case.expected_response.acceptance != "rejected"
    )
    for (provider, operation_id), count in accepted.items():
        resource = contracts[provider].find_operation(operation_id).resource
        if resource is not None and (resource.deletion is not None) == are_deletable:
            yield PlannedResource(
                operation=f"{provider}/{operation_id}", resource_type=resource.display_name, request_count=count
            )


def require_prices(plan: PricedPlan) -> None:
    """Require that the price of every request of a plan is known.

    Raises:
        UsageError: a price is not known.
    """
    if plan.ids_without_price:
        names = " ".join(f"--price {name}=USD" for name in _shorten_price_names(plan.ids_without_price))
        charged = dict.fromkeys(name.partition("/")[0] for name in plan.ids_without_price)
        rates = " ".join(f"--credit-rate {one}=USD" for one in charged if one in plan.providers_with_credits)
        credit = f", or the value of a credit with {rates}" if rates else ""
        own = f" (--price {next(iter(charged))}=0 for a server of your own)"
        raise UsageError(f"no document states the price of a request in dollars: set it with {names}{credit}{own}")


def _shorten_price_names(names: Sequence[str]) -> list[str]:
    """Return the names for which a price is missing.

    Several targets and operations of one provider are replaced by the provider, because one flag sets the price of all.
    """
    counts = Counter(name.partition("/")[0] for name in names)
    return list(
        dict.fromkeys(name if counts[name.partition("/")[0]] == 1 else name.partition("/")[0] for name in names)
    )


# Compares a plan with what is left of every budget: what fits, what will not be sent, and which budgets would do.


class _RemainingBudgets:
    """What is left of each budget while the cost of one case of a plan after another is deducted. Nothing is sent."""

    def __init__(self, budgets: Sequence[RemainingBudget]) -> None:
        # Integers, as in the ledger: sums of dollars as floats could differ from it by a fraction at the last case.
        self._budgets = [(budget, [budget.left_micro_usd]) for budget in budgets]

    def find_exceeded_budget(self, provider: str, reserved_micro_usd: int) -> RemainingBudget | None:
        """Return the first budget that has less left than a request to `provider` reserves; `None` if none has."""
        for budget, left in self._budgets:
            if budget.applies_to(provider) and reserved_micro_usd > left[0]:
                return budget
        return None

    def spend(self, provider: str, micro_usd: int) -> None:
        """Deduct an amount from each budget that applies to `provider`."""
        for budget, left in self._budgets:
            if budget.applies_to(provider):
                left[0] -= micro_usd


class PlannedPayment(NamedTuple):
    """What one case of a check, or one sample of a benchmark, costs and must reserve."""

    id: str
    """Id of the case or sample, which begins with the id of the provider."""
    expected_usd: float
    """Dollars that the case or sample costs if its response is as expected."""
    reserved_usd: float
    """Dollars that must be left of the budget before the case or sample is sent."""

    @property
    def provider(self) -> str:
        """Id of the provider to which the case or sample is sent."""
        return self.id.partition("/")[0]


def list_payments(plan: PricedPlan) -> list[PlannedPayment]:
    """Return what each case of a plan costs, in the order of sending. A price that is not known counts as zero."""
    return [
        PlannedPayment(case.id, case.price_usd or 0.0, case.reserved_usd or case.price_usd or 0.0)
        for case in plan.cases_as_sent
    ]


def forecast_budgets(
    payments: Iterable[PlannedPayment], budgets: Sequence[RemainingBudget], refusal_error: VoicegaugeError | None = None
) -> BudgetForecast:
    """Return which of `payments` fit into `budgets`.

    As when a plan is sent, each case or sample reserves the most that it may cost, and spends what it should cost when
    its response is as expected.

    Args:
        payments: the payments in the order in which their cases or samples are sent.
        budgets: what is left of each limit of the budget.
        refusal_error: the error with which the command would end before it sends anything; `None` if it would send.
    """
    all_payments = list(payments)
    return BudgetForecast(
        budgets=tuple(budgets),
        refusal_reason=None if refusal_error is None else str(refusal_error),
        refusal_exit_status=None if refusal_error is None else refusal_error.exit_code,
        unaffordable_cases=_find_unaffordable_cases(all_payments, budgets, spends_all_reserved=False),
        sufficient_limits=tuple(_iterate_sufficient_limits(all_payments, budgets)),
        unaffordable_cases_at_worst=_find_unaffordable_cases(all_payments, budgets, spends_all_reserved=True),
    )


def _find_unaffordable_cases(
    payments: Sequence[PlannedPayment], budgets: Sequence[RemainingBudget], *, spends_all_reserved: bool
) -> tuple[UnaffordableCase, ...]:
    """Return what will not be sent, because less is left of a budget than it reserves.

    Args:
        payments: the cases or samples in the order of sending.
        budgets: what is left of each budget.
        spends_all_reserved: whether each costs what it reserves, the worst case, instead of what is expected.
    """
    remaining, found = _RemainingBudgets(budgets), []
    for one in payments:
        budget = remaining.find_exceeded_budget(one.provider, convert_to_micro_usd(one.reserved_usd))
        if budget is not None:
            found.append(
                UnaffordableCase(
                    id=one.id,
                    expected_usd=one.expected_usd,
                    reserved_usd=one.reserved_usd,
                    flag=budget.flag,
                    budget_name=budget.name,
                )
            )
        else:
            remaining.spend(
                one.provider, convert_to_micro_usd(one.reserved_usd if spends_all_reserved else one.expected_usd)
            )
    return tuple(found)


def _iterate_sufficient_limits(payments: Sequence[PlannedPayment], budgets: Sequence[RemainingBudget]) -> Iterator[str]:
    """Yield, for each budget that is too small, the option with the smallest value that pays for its cases."""
    for budget in budgets:
        spent, needed = 0, 0  # in millionths of a dollar, rounded as those that are reserved and spent
        for one in payments:
            if budget.applies_to(one.provider):
                needed = max(needed, spent + convert_to_micro_usd(one.reserved_usd))
                spent += convert_to_micro_usd(one.expected_usd)
        if needed > budget.left_micro_usd:
            yield budget.describe_sufficient_budget(needed / MICRO_USD_PER_USD)


def count_affordable_requests(plan: PricedPlan, budgets: Sequence[RemainingBudget]) -> int:
    """Return how many billable requests `budgets` pay for if they are sent in order until the first that does not fit.

    A budget of one provider does not limit the requests to others.
    """
    remaining, count = _RemainingBudgets(budgets), 0
    for case in plan.cases:
        if case.is_billable:
            provider, micro_usd = case.id.partition("/")[0], _convert_price_to_micro_usd(case)
            if remaining.find_exceeded_budget(provider, micro_usd) is not None:
                break
            remaining.spend(provider, micro_usd)
            count += max(case.billable_request_count, 1)
    return count


def fit_plan_to_budgets(
    plan: CasePlan, priced_plan: PricedPlan, budgets: Sequence[RemainingBudget], known_case_ids: Collection[str] = ()
) -> CasePlan:
    """Return `plan`, in its order, without the billable cases that the rest of `budgets` does not pay for.

    If nothing that delivers audio would be left to judge, the plan is returned unchanged.

    Args:
        plan: the plan.
        priced_plan: the same plan with its prices.
        budgets: what is left of each budget.
        known_case_ids: ids of cases that an earlier command has paid for: they are kept, and cost nothing.
    """
    price_by_id = {case.id: case for case in priced_plan.cases}
    remaining = _RemainingBudgets(budgets)
    speaking = list_speaking_targets(plan.cases)
    kept: list[ConformanceCase] = []
    reasons: dict[str, str] = {}
    unpaid_case_count = 0
    for case in plan.cases:
        micro_usd = 0 if case.id in known_case_ids else _convert_price_to_micro_usd(price_by_id[case.id])
        budget = remaining.find_exceeded_budget(case.provider, micro_usd)
        if budget is None:
            kept.append(case)
            remaining.spend(case.provider, micro_usd)
            continue
        # What costs more than the whole limit is excluded by the user's choice, not by what was spent before.
        unpaid_case_count += micro_usd <= convert_budget_to_micro_usd(budget.limit_usd)
        for target_id in list_targets_with_delivery([case], speaking):
            reasons.setdefault(target_id, f"its delivery does not fit into {budget.describe()}")
    if not list_speaking_targets(kept):
        return plan  # whole, so that the user sees what it costs instead of a check that can judge nothing
    known = {*list_targets_with_delivery(kept, speaking), *plan.left_out_reason_by_target}
    left_out = {target: reason for target, reason in reasons.items() if target not in known}
    return msgspec.structs.replace(
        plan,
        cases=tuple(kept),
        left_out_reason_by_target={**plan.left_out_reason_by_target, **left_out},
        over_budget_case_count=plan.over_budget_case_count + unpaid_case_count,
    )


def _convert_price_to_micro_usd(case: PricedCase) -> int:
    """Return what a case costs if its response is as expected, in millionths of a dollar; 0 if free or not known."""
    return convert_to_micro_usd(case.price_usd or 0.0) if case.is_billable else 0


# Says what the limit of billable requests leaves of the rest of a plan that an earlier check has begun.


def create_request_limit(
    plan: CasePlan, journals: Iterable[CaseJournal], *, is_forecast: bool = False
) -> BillableRequestLimit:
    """Return the limit of the billable requests of a plan, from which those of earlier checks are taken.

    `is_forecast` says whether the requests that are counted are only planned.
    """
    journals = list(journals)
    return BillableRequestLimit(
        plan.max_billable_requests,
        count_of_earlier_runs=sum(one.billable_count_of_earlier_runs for one in journals),
        lost_count_of_earlier_runs=sum(one.lost_count_of_earlier_runs for one in journals),
        is_forecast=is_forecast,
    )


def forecast_request_limit(
    plan: CasePlan, remaining_plan: CasePlan, journal_by_provider: Mapping[str, CaseJournal]
) -> CasePlan:
    """Return the rest of a plan as it is sent if every response is as expected.

    Cases beyond the limit of billable requests are among its skipped cases. A target is without a delivery if none of
    its planned deliveries is sent, or was judged by an earlier check.

    Args:
        plan: the whole plan.
        remaining_plan: the cases that no earlier check has judged or lost.
        journal_by_provider: what earlier checks have sent, by provider id.
    """
    limit = create_request_limit(plan, journal_by_provider.values(), is_forecast=True)
    sent: list[ConformanceCase] = []
    skipped: list[SkippedCase] = []
    for case in remaining_plan.cases:
        reason = limit.find_skip_reason(journal_by_provider[case.provider].contract, case)
        if reason is not None:
            skipped.append(SkippedCase(id=case.id, skip_reason=reason))
            continue
        sent.append(case)
        # As `order_cases` and a check count: the turns on a WebSocket are one billable request.
        limit.count_case(SpendingTotal(billable_request_count=case.first_request_count if case.is_billable else 0))
    beyond = {one.id for one in skipped}
    # By target: whether each of its deliveries so far is skipped, or was lost by an earlier check.
    lacking: dict[str, bool] = {}
    for case in plan.cases:
        if case.speech_request is not None and not case.expects_job_failure:
            is_skipped = case.id in beyond or journal_by_provider[case.provider].find_skip_reason(case) is not None
            name = f"{case.provider}/{case.target_name}"
            lacking[name] = lacking.get(name, True) and is_skipped
    names = dict.fromkeys([*plan.targets_without_delivery, *(name for name, lacks in lacking.items() if lacks)])
    return msgspec.structs.replace(
        remaining_plan,
        cases=tuple(sent),
        skipped_cases=(*remaining_plan.skipped_cases, *skipped),
        targets_without_delivery=tuple(names),
    )
