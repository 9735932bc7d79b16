"""Compares the balance that a response reports with that of an earlier response: it falls by what was charged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from voicegauge.model.base import Severity
from voicegauge.rules._charges import RELATIVE_AMOUNT_TOLERANCE, read_amount
from voicegauge.rules.call import Call, CallSubject, CheckSubject
from voicegauge.rules.registry import Explanation, Violation, register_rule


class _ReportedBalance(NamedTuple):
    """A balance, and when the response that reports it had arrived, on the monotonic clock."""

    amount: float
    received_ms: float


@dataclass(frozen=True, eq=False)
class BalanceChange(CallSubject):
    """A charged call that was sent after the response that reported an earlier balance."""

    earlier_balance: float
    charge: float
    balance: float


class BalancesOfRun:
    """The balances that the responses of a run have reported so far, by provider and key."""

    def __init__(self) -> None:
        """Begin without a balance."""
        self._latest_by_account: dict[tuple[str | None, ...], _ReportedBalance] = {}

    def add_changes(self, subjects: Iterable[CheckSubject]) -> list[CheckSubject]:
        """Return `subjects`, and for each charged call the change of the balance, if an earlier one is known.

        Calls in flight at the same time can only make a balance lower: one that is too high is a mistake.
        """
        extended: list[CheckSubject] = []
        for subject in subjects:
            extended.append(subject)
            if isinstance(subject, Call) and subject.is_accepted:
                change = self._note_balance(subject)
                extended += [change] if change is not None else []
        return extended

    def _note_balance(self, call: Call) -> BalanceChange | None:
        response = call.operation.speech.response if call.operation.speech is not None else None
        timing = call.exchange.timing
        if response is None or response.balance_location is None or response.charge_location is None or timing is None:
            return None
        balance = read_amount(call.read_response_value(response.balance_location))
        charge = read_amount(call.read_response_value(response.charge_location))
        if balance is None or charge is None:
            return None
        request = call.exchange.request
        account = (call.contract.id, request.find_header("authorization"), request.find_header("x-api-key"))
        earlier = self._latest_by_account.get(account)
        received_ms = timing.started_ms + timing.total_ms
        if earlier is None or received_ms > earlier.received_ms:
            self._latest_by_account[account] = _ReportedBalance(balance, received_ms)
        if earlier is None or timing.started_ms < earlier.received_ms:
            return None
        return BalanceChange(call, earlier_balance=earlier.amount, charge=charge, balance=balance)


@register_rule(
    "balance-wrong",
    subject_class=BalanceChange,
    severity=Severity.WARNING,
    description="The balance falls by what a request was charged. Other requests may lower it further.",
    contract_condition="x-speech.response.balance_location, x-speech.response.charge_location",
    explanation=Explanation(
        consequence="A client that watches its balance is cut off without warning, or was charged something else.",
        conforming_example="credits_remaining: 100, then credits_used: 4 with credits_remaining: 96",
        violating_example="credits_remaining: 100, then credits_used: 4 with credits_remaining: 100",
    ),
    unshown_reason="No fault leaves a balance as it was. A refund of a failed job raises it too, so this is a warning.",
)
def _check_balance(balance_change: BalanceChange) -> Iterator[Violation]:
    highest = balance_change.earlier_balance - balance_change.charge
    tolerance = RELATIVE_AMOUNT_TOLERANCE * max(abs(balance_change.earlier_balance), 1.0)
    if balance_change.balance <= highest + tolerance:
        return
    speech = balance_change.operation.speech
    location = speech.response.balance_location if speech is not None else None
    yield Violation(
        f"charged {balance_change.charge:g}, but the balance is {balance_change.balance:g} after "
        f"{balance_change.earlier_balance:g}",
        f"{balance_change.operation.pointer}/x-speech/response/balance_location",
        location.json_pointer if location is not None else None,
    )
