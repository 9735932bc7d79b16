"""What a check sent and spent: by target, operation, kind of case, and rule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from voicegauge.checks import Rule
from voicegauge.conformance.cases import ConformanceCase
from voicegauge.contract import Contract, is_billable
from voicegauge.model import Exchange, Record


class SpendingTotal(Record, frozen=True, kw_only=True):
    """What some requests came to."""

    requests: int = 0
    """Answered, those that cost nothing among them."""
    billable: int = 0
    """Requests that were accepted and have a price: what a service asks money for."""
    usd: float = 0.0
    """Dollars, as the budget was charged; nothing at the emulator."""


class Spending(Record, frozen=True, kw_only=True):
    """Where requests and money went."""

    total: SpendingTotal = SpendingTotal()
    by_target: dict[str, SpendingTotal] = {}
    """By target id; requests that belong to no target are left out."""
    by_operation: dict[str, SpendingTotal] = {}
    """By the operation that a case is about; the polls of a delivery count for its submit."""
    by_kind: dict[str, SpendingTotal] = {}
    """By the kind of case: delivery, valid, invalid, key, unknown, situation, unsaid, fuzzing."""
    by_rule: dict[str, SpendingTotal] = {}
    """By rule: all cases that it judged something of. One case serves many rules, so these do not add up."""


@dataclass
class _Sum:
    requests: int = 0
    billable: int = 0
    usd: float = 0.0

    def add(self, spent: SpendingTotal) -> None:
        self.requests += spent.requests
        self.billable += spent.billable
        self.usd += spent.usd

    @property
    def spent(self) -> SpendingTotal:
        """What was added up; dollars to a millionth, as the ledger keeps them."""
        return SpendingTotal(requests=self.requests, billable=self.billable, usd=round(self.usd, 6))


_Sums = defaultdict[str, _Sum]


class Account:
    """Adds up what cases come to."""

    def __init__(self) -> None:
        """Nothing is spent yet."""
        self._total = _Sum()
        self._targets, self._operations, self._kinds = _Sums(_Sum), _Sums(_Sum), _Sums(_Sum)
        self._subjects: defaultdict[type[Any], _Sum] = defaultdict(_Sum)
        self._rules: dict[str, type[Any]] = {}

    def judging(self, rules: Iterable[Rule]) -> None:
        """From now on these rules judge."""
        self._rules |= {rule.id: rule.subject for rule in rules}

    def book(self, case: ConformanceCase, spent: SpendingTotal, judged: Iterable[type[Any]] = ()) -> None:
        """Add what `case` came to; `judged` are the kinds of subject that rules could look at in it."""
        sums = [self._total, self._operations[f"{case.provider}/{case.operation}"], self._kinds[case.kind]]
        sums += [self._subjects[kind] for kind in judged]
        if case.target:
            sums.append(self._targets[f"{case.provider}/{case.target}"])
        for one in sums:
            one.add(spent)

    def spending(self) -> Spending:
        """What was added up so far."""
        by_rule = {rule: self._subjects[kind].spent for rule, kind in self._rules.items() if kind in self._subjects}
        return Spending(
            total=self._total.spent,
            by_target=_spent(self._targets),
            by_operation=_spent(self._operations),
            by_kind=_spent(self._kinds),
            by_rule=by_rule,
        )


def _spent(sums: _Sums) -> dict[str, SpendingTotal]:
    return {name: one.spent for name, one in sums.items()}


class BillableLimit:
    """How many requests of a plan may be paid for, whoever sends them."""

    def __init__(self, most: int | None) -> None:
        """`None` sets no bound."""
        self._most, self._paid = most, 0

    def note(self, spent: SpendingTotal) -> None:
        """Count what a case came to."""
        self._paid += spent.billable

    def refusal(self, contract: Contract, case: ConformanceCase) -> str | None:
        """Why `case` must not be sent any more; `None` where it may be.

        What should be refused is free, and is paid for where a service accepts it all the same: it takes the place
        of a valid request, and is not sent either where there is none left. A bound of 0 sends it until one was. A case
        that follows something to its end (`ConformanceCase.life`) may ask more than once; it is not broken off.
        """
        most = self._most
        if most is None or self._paid < max(most, 1) or not (case.is_billable or _paid_for(contract, case.operation)):
            return None
        return f"not sent: of {most} requests to be paid for, {self._paid} were accepted"


def count(contract: Contract, exchanges: Sequence[Exchange], usd: float) -> SpendingTotal:
    """What `exchanges` with the services of `contract` came to."""
    paid = sum(200 <= e.response.status < 300 and _paid_for(contract, e.operation) for e in exchanges)
    return SpendingTotal(requests=len(exchanges), billable=paid, usd=usd)


def _paid_for(contract: Contract, name: str) -> bool:
    operation = contract.operations.get(name)
    return operation is not None and is_billable(operation)
