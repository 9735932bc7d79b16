"""Counts the requests and money of a check by target, operation, kind of case, and rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from voicegauge.checks import Rule
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract, is_billable
from voicegauge.model import Exchange, Record


class SpendingTotal(Record, frozen=True, kw_only=True):
    """The number and the cost of some requests."""

    request_count: int = msgspec.field(name="requests", default=0)
    """Number of requests with a response, including free ones."""
    billable_request_count: int = msgspec.field(name="billable", default=0)
    """Number of accepted requests to operations with a price; 0 at a live service whose price is 0."""
    spent_usd: float = msgspec.field(name="usd", default=0.0)
    """Dollars charged to the budget; 0 at the emulator."""


class Spending(Record, frozen=True, kw_only=True):
    """The requests and money of a check, grouped by purpose."""

    total: SpendingTotal = SpendingTotal()
    total_by_target: dict[str, SpendingTotal] = msgspec.field(name="by_target", default_factory=dict)
    """Spending for each target, by target id. Requests that belong to no target are left out."""
    total_by_operation: dict[str, SpendingTotal] = msgspec.field(name="by_operation", default_factory=dict)
    """Spending for each operation that a case tests. The polls of a delivery count for its submit operation."""
    total_by_case_kind: dict[str, SpendingTotal] = msgspec.field(name="by_kind", default_factory=dict)
    """Spending for each kind of case: delivery, valid, invalid, authentication, unknown-id, rejection-reason,
    undocumented, plain-http, fuzzing, lifecycle."""
    total_by_rule: dict[str, SpendingTotal] = msgspec.field(name="by_rule", default_factory=dict)
    """By rule id: spending for all cases in which the rule judged something. Many rules judge each case, so the sum of
    the values is more than was spent."""


@dataclass
class _RunningTotal:
    """The number and the cost of requests, to which more are added; for its fields see `SpendingTotal`."""

    request_count: int = 0
    billable_request_count: int = 0
    spent_usd: float = 0.0

    def add_spending(self, added_spending: SpendingTotal | _RunningTotal) -> None:
        self.request_count += added_spending.request_count
        self.billable_request_count += added_spending.billable_request_count
        self.spent_usd += added_spending.spent_usd

    @property
    def rounded_total(self) -> SpendingTotal:
        """The total so far, with dollars rounded to a millionth, as in the ledger."""
        return SpendingTotal(
            request_count=self.request_count,
            billable_request_count=self.billable_request_count,
            spent_usd=round(self.spent_usd, 6),
        )


_RunningTotalsByName = defaultdict[str, _RunningTotal]


class SpendingAccount:
    """Adds up the spending of cases by purpose."""

    def __init__(self) -> None:
        """Begin without any spending."""
        self._total = _RunningTotal()
        self._targets, self._operations, self._kinds = (_RunningTotalsByName(_RunningTotal) for _ in range(3))
        self._subject_classes: defaultdict[frozenset[type[Any]], _RunningTotal] = defaultdict(_RunningTotal)
        """Spending for all cases with the same set of classes of judged subjects, by this set."""
        self._rules: dict[str, type[Any]] = {}

    def register_rules(self, rules: Iterable[Rule]) -> None:
        """Add rules whose spending is reported: for each rule, the cost of all cases in which it judged something."""
        self._rules |= {rule.id: rule.subject_class for rule in rules}

    def add_case(
        self, case: ConformanceCase, case_spending: SpendingTotal, subject_classes: Iterable[type[Any]] = ()
    ) -> None:
        """Add the spending of a case.

        Args:
            case: the case.
            case_spending: the requests and money of the case.
            subject_classes: classes of the subjects that rules could judge in the case.
        """
        totals = [self._total, self._operations[f"{case.provider}/{case.operation}"], self._kinds[case.kind]]
        totals.append(self._subject_classes[frozenset(subject_classes)])
        if case.target_name:
            totals.append(self._targets[f"{case.provider}/{case.target_name}"])
        for total in totals:
            total.add_spending(case_spending)

    def build_spending(self) -> Spending:
        """Return the spending for all cases that were added so far, in total and by purpose."""
        return Spending(
            total=self._total.rounded_total,
            total_by_target=_build_totals(self._targets),
            total_by_operation=_build_totals(self._operations),
            total_by_case_kind=_build_totals(self._kinds),
            total_by_rule=_build_totals(self._sum_spending_by_rule()),
        )

    def _sum_spending_by_rule(self) -> _RunningTotalsByName:
        """Return, by rule id, the spending for all cases in which the rule judged something.

        A rule judges the subjects of one class and of the classes derived from it.
        """
        totals = _RunningTotalsByName(_RunningTotal)
        for rule, judged_class in self._rules.items():
            for subject_classes, running in self._subject_classes.items():
                if any(issubclass(subject_class, judged_class) for subject_class in subject_classes):
                    totals[rule].add_spending(running)
        return totals


def _build_totals(running_totals: _RunningTotalsByName) -> dict[str, SpendingTotal]:
    return {name: total.rounded_total for name, total in running_totals.items()}


class BillableRequestLimit:
    """Limits the number of billable requests of a plan."""

    def __init__(self, max_billable_requests: int | None) -> None:
        """Begin with no request sent; `max_billable_requests` is `None` for no limit."""
        self._limit, self._accepted = max_billable_requests, 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._limit is not None

    def count_case(self, case_spending: SpendingTotal) -> None:
        """Count the billable requests of a case."""
        self._accepted += case_spending.billable_request_count

    def find_skip_reason(self, contract: Contract, case: ConformanceCase) -> str | None:
        """Return why `case` must not be sent any more; `None` if it may be sent.

        A request that should be rejected is free, but is charged and counted if the service accepts it, so it is not
        sent either when the limit is reached. With a limit of 0, such requests are sent until one has been accepted.
        A lifecycle may exceed the limit, because stopping it early would leave its resource behind.
        """
        limit = self._limit
        if limit is None or self._accepted < max(limit, 1):
            return None
        if not case.is_billable and not _is_billable(contract, case.operation):
            return None
        return f"not sent: {self._accepted} billable requests were accepted, the limit is {limit}"


def count_spending(contract: Contract, exchanges: Sequence[Exchange], spent_usd: float) -> SpendingTotal:
    """Return the number of requests in `exchanges`, and of billable ones, with their cost.

    Args:
        contract: the contract of the provider that was called.
        exchanges: the exchanges to count.
        spent_usd: dollars that all `exchanges` together cost.
    """
    billable = sum(200 <= e.response.status < 300 and _is_billable(contract, e.operation) for e in exchanges)
    return SpendingTotal(request_count=len(exchanges), billable_request_count=billable, spent_usd=spent_usd)


def _is_billable(contract: Contract, operation_id: str) -> bool:
    operation = contract.operations.get(operation_id)
    return operation is not None and is_billable(operation)
