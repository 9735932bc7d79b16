"""What a plan costs, before anything is sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voicegauge.conformance.cases import CaseKind, CasePlan, SkippedCase
from voicegauge.conformance.reporting import Account, Spending, SpendingTotal
from voicegauge.conformance.running.call_prices import price_name, price_usd, priced_item
from voicegauge.contract import Target
from voicegauge.errors import UsageError
from voicegauge.model import Provenance, Record


class PricedCase(Record, frozen=True, kw_only=True):
    """One case of a plan."""

    id: str
    kind: CaseKind
    expects: str
    """accepted, refused, or either where no document says."""
    is_billable: bool
    """Whether it costs money where it is accepted, as it may be."""
    usd: float | None = None
    """Dollars if it is answered as expected; `None` where nobody says what it costs."""


class PricedPlan(Record, frozen=True, kw_only=True):
    """A check that would be carried out (`voicegauge check --dry-run --json`)."""

    schema: str = "voicegauge/check-plan/2"
    provenance: Provenance
    targets: tuple[str, ...]
    cases: tuple[PricedCase, ...]
    """In the order of sending."""
    skipped: tuple[SkippedCase, ...] = ()
    """What cannot be planned."""
    unpriced: tuple[str, ...] = ()
    """Targets, and operations without one, of which nobody says what a request costs; they count as nothing."""
    spending: Spending
    """What it would come to at the service, if all is answered as expected; not by rule."""

    @property
    def usd(self) -> float:
        """The price of it all, in dollars, without the targets that have none."""
        return self.spending.total.usd

    def fitting(self, budget_usd: float) -> int:
        """How many of the requests that may be paid the budget reaches for, from the first one on."""
        left, count = budget_usd, 0
        for case in self.cases:
            if case.is_billable:
                left -= case.usd or 0.0
                if left < -1e-9:  # less than a thousandth of the smallest amount that is kept
                    break
                count += 1
        return count


def price_plan(
    plan: CasePlan, targets: Sequence[Target], prices: Mapping[str, float], *, provenance: Provenance
) -> PricedPlan:
    """What `plan` costs.

    Args:
        plan: what would be sent.
        targets: of the plan.
        prices: dollars a request by target id, as the user named them.
        provenance: who would be asked.
    """
    contracts = {target.contract.id: target.contract for target in targets}
    account, cases = Account(), []
    unpriced: dict[str, None] = {}
    for case in plan.cases:
        item = priced_item(contracts[case.provider], case)
        usd = 0.0 if item is None else price_usd(item, prices, case.text_characters, case.audio_s)
        if item is not None and usd is None:
            unpriced[price_name(item)] = None
        elif not case.is_billable:
            usd = 0.0  # it should be refused
        account.book(case, SpendingTotal(requests=1, billable=int(case.is_billable), usd=usd or 0.0))
        expects = case.expected.verdict
        cases.append(PricedCase(id=case.id, kind=case.kind, expects=expects, is_billable=case.is_billable, usd=usd))
    return PricedPlan(
        provenance=provenance,
        targets=tuple(target.id for target in targets),
        cases=tuple(cases),
        skipped=plan.skipped,
        unpriced=tuple(unpriced),
        spending=account.spending(),
    )


def total_price_usd(plan: CasePlan, targets: Sequence[Target], prices: Mapping[str, float]) -> float:
    """What the plan costs if every case is answered as expected, in dollars.

    Raises:
        UsageError: nobody says what a target costs.
    """
    found = price_plan(plan, targets, prices, provenance=Provenance.RECORDED)
    require_prices(found)
    return found.usd


def require_prices(plan: PricedPlan) -> None:
    """Refuse to send what nobody knows the price of.

    Raises:
        UsageError: nobody says what a target costs.
    """
    if plan.unpriced:
        names = " ".join(f"--price {name}=USD" for name in plan.unpriced)
        raise UsageError(f"no document says what a request costs: name it with {names}")
