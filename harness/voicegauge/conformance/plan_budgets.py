"""Compares a plan with what is left of every budget and of the limit of requests: what fits, what will not be sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from voicegauge.cases.case import ConformanceCase, SkippedCase
from voicegauge.cases.plan import CasePlan, list_speaking_targets, list_targets_with_delivery
from voicegauge.conformance.case_journal import CaseJournal
from voicegauge.conformance.plan_prices import PricedCase, PricedPlan
from voicegauge.conformance.spending import BillableRequestLimit, SpendingTotal
from voicegauge.errors import VoicegaugeError
from voicegauge.model.base import MICRO_USD_PER_USD, convert_budget_to_micro_usd, convert_to_micro_usd
from voicegauge.model.price import BudgetForecast, RemainingBudget, UnaffordableCase


class _RemainingBudgets:
    """What is left of each budget while the cost of one case of a plan after another is deducted. Nothing is sent."""

    def __init__(self, budgets: Sequence[RemainingBudget]) -> None:
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
    """What one case or sample of a plan costs."""

    id: str
    """Id of the case or sample, which begins with the id of the provider."""
    expected_usd: float
    """Dollars that the case or sample costs if its response is as expected."""
    reserved_usd: float
    """Dollars that must be left of the budget before the case or sample is sent."""

    @property
    def provider(self) -> str:
        """Id of the provider."""
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
    its response is as expected. `refusal_error` is the error with which the command would end before it sends anything.
    """
    all_payments = list(payments)
    return BudgetForecast(
        budgets=tuple(budgets),
        refusal_reason=None if refusal_error is None else str(refusal_error),
        refusal_exit_status=None if refusal_error is None else refusal_error.exit_code,
        unaffordable_cases=_find_unaffordable_cases(all_payments, budgets, at_worst=False),
        sufficient_limits=tuple(_iterate_sufficient_limits(all_payments, budgets)),
        unaffordable_cases_at_worst=_find_unaffordable_cases(all_payments, budgets, at_worst=True),
    )


def _find_unaffordable_cases(
    payments: Sequence[PlannedPayment], budgets: Sequence[RemainingBudget], *, at_worst: bool
) -> tuple[UnaffordableCase, ...]:
    """Return what will not be sent; `at_worst` assumes that everything that is reserved is spent."""
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
            remaining.spend(one.provider, convert_to_micro_usd(one.reserved_usd if at_worst else one.expected_usd))
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
            provider, micro_usd = case.id.partition("/")[0], _get_planned_micro_usd(case)
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
        micro_usd = 0 if case.id in known_case_ids else _get_planned_micro_usd(price_by_id[case.id])
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
        return plan
    known = {*list_targets_with_delivery(kept, speaking), *plan.left_out_reason_by_target}
    left_out = {target: reason for target, reason in reasons.items() if target not in known}
    return msgspec.structs.replace(
        plan,
        cases=tuple(kept),
        left_out_reason_by_target={**plan.left_out_reason_by_target, **left_out},
        over_budget_case_count=plan.over_budget_case_count + unpaid_case_count,
    )


def _get_planned_micro_usd(case: PricedCase) -> int:
    return convert_to_micro_usd(case.price_usd or 0.0) if case.is_billable else 0


# Says what the limit of billable requests leaves of the rest of a plan that an earlier check has begun.


def create_request_limit(plan: CasePlan, journals: Iterable[CaseJournal]) -> BillableRequestLimit:
    """Return the limit of the billable requests of a plan, from which those of earlier checks are taken."""
    journals = list(journals)
    return BillableRequestLimit(
        plan.max_billable_requests,
        count_of_earlier_runs=sum(one.billable_count_of_earlier_runs for one in journals),
        lost_count_of_earlier_runs=sum(one.lost_count_of_earlier_runs for one in journals),
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
    limit = create_request_limit(plan, journal_by_provider.values())
    sent: list[ConformanceCase] = []
    skipped: list[SkippedCase] = []
    for case in remaining_plan.cases:
        reason = limit.find_skip_reason(journal_by_provider[case.provider].contract, case)
        if reason is not None:
            skipped.append(SkippedCase(id=case.id, skip_reason=reason))
            continue
        sent.append(case)
        limit.count_case(SpendingTotal(billable_request_count=case.charged_request_count if case.is_billable else 0))
    beyond = {one.id for one in skipped}
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
