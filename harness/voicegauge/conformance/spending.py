"""Counts the requests and money of a check by target, operation, kind of case, and rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import CaseKind, ConformanceCase
from voicegauge.client.ledger import classify_billing_status
from voicegauge.contract.contract import Contract
from voicegauge.contract.price_computation import is_billable
from voicegauge.model.base import Record, sum_usd
from voicegauge.model.exchange import Exchange
from voicegauge.printable_text import format_count
from voicegauge.rules.registry import Rule


class SpendingTotal(Record, frozen=True, kw_only=True):
    """The number and the cost of some requests."""

    request_count: int = 0
    """Number of requests with a response, including free ones."""
    billable_request_count: int = 0
    """Number of requests to operations with a price that were accepted, or may have been charged without that, such as
    after a server error or a lost connection; 0 at a live service whose price is 0."""
    spent_usd: float = 0.0
    """Dollars charged to the budget; 0 at the emulator."""

    def __add__(self, other: SpendingTotal) -> SpendingTotal:
        """Return the sum of two totals, with dollars rounded to a millionth, as in the ledger."""
        return SpendingTotal(
            request_count=self.request_count + other.request_count,
            billable_request_count=self.billable_request_count + other.billable_request_count,
            spent_usd=sum_usd((self.spent_usd, other.spent_usd)),
        )


class Spending(Record, frozen=True, kw_only=True):
    """The requests and money of a check, grouped by purpose."""

    total: SpendingTotal = SpendingTotal()
    total_by_target: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each target, by target id. Requests that belong to no target are left out."""
    total_by_operation: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each operation that a case tests. The polls of a delivery count for its submit operation."""
    total_by_case_kind: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each kind of case: delivery, valid, invalid, authentication, unknown-id, rejection-reason,
    undocumented, plain-http, fuzzing, lifecycle."""
    total_by_rule: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """By rule id: spending for all cases in which the rule judged something. Many rules judge each case, so the sum of
    the values is more than was spent."""


class _Purpose(NamedTuple):
    """What cases have in common that are added up together."""

    provider: str
    operation: str
    target_name: str | None
    case_kind: CaseKind
    subject_classes: frozenset[type[Any]]
    """Classes of the subjects that rules could judge in the case."""


class SpendingAccount:
    """Adds up the spending of cases by purpose."""

    def __init__(self) -> None:
        """Create an account without any spending."""
        # Hundreds of cases have the same purpose: one addition for each, and the totals once at the end.
        self._total_by_purpose: defaultdict[_Purpose, SpendingTotal] = defaultdict(SpendingTotal)
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
        purpose = _Purpose(case.provider, case.operation, case.target_name, case.kind, frozenset(subject_classes))
        self._total_by_purpose[purpose] += case_spending

    def build_spending(self) -> Spending:
        """Return the spending for all cases that were added so far, in total and by purpose."""
        return Spending(
            total=sum(self._total_by_purpose.values(), start=SpendingTotal()),
            total_by_target=self._sum_by(lambda one: f"{one.provider}/{one.target_name}" if one.target_name else None),
            total_by_operation=self._sum_by(lambda one: f"{one.provider}/{one.operation}"),
            total_by_case_kind=self._sum_by(lambda one: one.case_kind),
            total_by_rule=self._sum_spending_by_rule(),
        )

    def _sum_by(self, get_name: Callable[[_Purpose], str | None]) -> dict[str, SpendingTotal]:
        """Return the spending by the name that `get_name` returns; purposes for which it is `None` are left out."""
        totals: defaultdict[str, SpendingTotal] = defaultdict(SpendingTotal)
        for purpose, total in self._total_by_purpose.items():
            name = get_name(purpose)
            if name is not None:
                totals[name] += total
        return dict(totals)

    def _sum_spending_by_rule(self) -> dict[str, SpendingTotal]:
        """Return, by rule id, the spending for all cases in which the rule judged something.

        A rule judges the subjects of one class and of the classes derived from it.
        """
        totals: dict[str, SpendingTotal] = {}
        for rule, judged_class in self._rules.items():
            for purpose, total in self._total_by_purpose.items():
                if any(issubclass(subject_class, judged_class) for subject_class in purpose.subject_classes):
                    totals[rule] = totals.get(rule, SpendingTotal()) + total
        return totals


class BillableRequestLimit:
    """Limits the number of billable requests of a plan."""

    def __init__(
        self, max_billable_requests: int | None, *, count_of_earlier_runs: int = 0, lost_count_of_earlier_runs: int = 0
    ) -> None:
        """Create a limit; earlier runs count towards it.

        Args:
            max_billable_requests: the limit; `None` for no limit.
            count_of_earlier_runs: number of billable requests of earlier checks that ended early or lost requests.
            lost_count_of_earlier_runs: number of the requests in `count_of_earlier_runs` without a known result, which
                are only sent again on demand.
        """
        self._limit, self._count = max_billable_requests, count_of_earlier_runs
        self._earlier_count, self._lost_count = count_of_earlier_runs, lost_count_of_earlier_runs

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit."""
        return self._limit is not None

    def count_case(self, case_spending: SpendingTotal) -> None:
        """Count the billable requests of a case."""
        self._count += case_spending.billable_request_count

    def find_skip_reason(self, contract: Contract, case: ConformanceCase) -> str | None:
        """Return why `case` must not be sent any more; `None` if it may be sent.

        A request that should be rejected is free, but is charged and counted if the service accepts it. Such requests
        follow the planned ones, and are sent until the limit is exceeded by the first that is accepted. A lifecycle may
        exceed the limit too, because stopping it early would leave its resource behind.
        """
        limit = self._limit
        if limit is None or self._count < limit or (self._count == limit and not case.is_billable):
            return None
        if not case.is_billable and not _is_billable(contract, case.operation):
            return None
        return self._describe_exceeded_limit(limit)

    def _describe_exceeded_limit(self, limit: int) -> str:
        """Return why nothing more is sent, and how to continue if earlier checks have used up the limit."""
        were = "was" if self._count == 1 else "were"
        reason = f"not sent: {format_count(self._count, 'billable request')} {were} accepted or may have been charged"
        if self._earlier_count:
            reason += f", {self._earlier_count} of them in earlier checks"
        reason += f"; the limit is --max-calls {limit}"
        if not self._earlier_count:
            return reason
        lost = (
            f"; --retry-ambiguous sends again what it lost ({format_count(self._lost_count, 'request')})"
            if self._lost_count
            else ""
        )
        return f"{reason}: raise it to go on{lost}; --new-run sends every case again"


def count_spending(
    contract: Contract, exchanges: Sequence[Exchange], spent_usd: float, *, lost_request_count: int = 0
) -> SpendingTotal:
    """Return the number of requests in `exchanges`, and of billable ones, with their cost.

    A request is billable by the same rule by which its price counts as spent, see `classify_billing_status`.

    Args:
        contract: the contract of the provider that was called.
        exchanges: the exchanges to count.
        spent_usd: dollars that all `exchanges` together cost.
        lost_request_count: number of other requests to an operation with a price, which were sent without a response.
    """
    policy = contract.provider.retry_policy
    billable = sum(
        classify_billing_status(one.response.status, policy).may_be_charged and _is_billable(contract, one.operation)
        for one in exchanges
    )
    return SpendingTotal(
        request_count=len(exchanges), billable_request_count=billable + lost_request_count, spent_usd=spent_usd
    )


def _is_billable(contract: Contract, operation_id: str) -> bool:
    operation = contract.operations.get(operation_id)
    return operation is not None and is_billable(operation)
