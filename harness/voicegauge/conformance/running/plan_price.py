"""Computes the price of a plan before anything is sent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from voicegauge.conformance.cases import CaseKind, CasePlan, SkippedCase
from voicegauge.conformance.reporting import Spending, SpendingAccount, SpendingTotal
from voicegauge.conformance.running.call_prices import build_price_name, compute_price_usd, find_priced_item
from voicegauge.contract import BaseTarget, Contract
from voicegauge.errors import UsageError
from voicegauge.model import Provenance, Record


class PricedCase(Record, frozen=True, kw_only=True):
    """One case of a plan with its price."""

    id: str
    kind: CaseKind
    expected_acceptance: str = msgspec.field(name="expects")
    """The expected response: "accepted", "rejected", or "either" if the documents say neither."""
    is_billable: bool
    """Whether the case may be accepted, and costs money if it is."""
    price_usd: float | None = msgspec.field(name="usd", default=None)
    """Dollars if the response is as expected; `None` if the price is not known."""


class UndeletableResource(Record, frozen=True, kw_only=True):
    """A kind of resource that the requests to one operation create, and that cannot be deleted."""

    operation: str
    """The operation that creates them: <provider>/<operation>."""
    resource_type: str = msgspec.field(name="name")
    """What such a resource is called: "voice embedding"."""
    request_count: int = msgspec.field(name="requests")
    """Number of planned requests that may create one."""


class PricedPlan(Record, frozen=True, kw_only=True):
    """A plan with prices: the JSON that `voicegauge check --dry-run --json` writes."""

    schema: str = "voicegauge/check-plan/2"
    provenance: Provenance
    """Provenance that the responses would have."""
    targets: tuple[str, ...]
    """Ids of the planned targets."""
    cases: tuple[PricedCase, ...]
    """The cases in the order in which they are sent."""
    skipped_cases: tuple[SkippedCase, ...] = msgspec.field(name="skipped", default=())
    """Cases that cannot be planned."""
    targets_without_delivery: tuple[str, ...] = ()
    """Ids of the targets that cannot be judged, because no delivery can be planned, or because the limit of billable
    requests allows none."""
    excluded_operations: tuple[str, ...] = msgspec.field(name="left_out_operations", default=())
    """Operations that the targets do not need, to which nothing is sent: <provider>/<operation id>."""
    unpriced_names: tuple[str, ...] = msgspec.field(name="unpriced", default=())
    """Targets, and billable operations without targets, whose price is not known. They are counted as free."""
    undeletable_resources: tuple[UndeletableResource, ...] = msgspec.field(name="undeletable", default=())
    """Resources that the plan leaves in the account, because no document says how to delete them."""
    spending: Spending
    """Spending at the live service if every response is as expected. Spending for each rule is not included."""

    @property
    def price_usd(self) -> float:
        """The price of the plan in dollars, without the items in `unpriced_names`."""
        return self.spending.total.spent_usd

    def count_affordable_requests(self, budget_usd: float) -> int:
        """Return how many billable requests a budget of `budget_usd` dollars pays for if they are sent in order."""
        remaining_usd, count = budget_usd, 0
        for case in self.cases:
            if case.is_billable:
                remaining_usd -= case.price_usd or 0.0
                # Rounding errors may add up to less than 1e-9, a thousandth of the smallest amount in the ledger.
                if remaining_usd < -1e-9:
                    break
                count += 1
        return count


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
    unpriced: dict[str, None] = {}
    for case in plan.cases:
        item = find_priced_item(contracts[case.provider], case)
        usd = (
            0.0
            if item is None
            else compute_price_usd(item, price_usd_by_name, case.text_character_count, case.audio_duration_s)
        )
        if not case.is_billable:
            usd = 0.0  # a rejected request is free
        elif item is not None and usd is None:
            unpriced[build_price_name(item)] = None
        is_charged = case.is_billable and usd != 0
        account.add_case(
            case, SpendingTotal(request_count=1, billable_request_count=int(is_charged), spent_usd=usd or 0.0)
        )
        expects = case.expected_response.acceptance
        cases.append(
            PricedCase(
                id=case.id, kind=case.kind, expected_acceptance=expects, is_billable=case.is_billable, price_usd=usd
            )
        )
    return PricedPlan(
        provenance=provenance,
        targets=tuple(target.id for target in targets),
        cases=tuple(cases),
        skipped_cases=plan.skipped_cases,
        targets_without_delivery=plan.targets_without_delivery,
        excluded_operations=plan.excluded_operations,
        unpriced_names=tuple(unpriced),
        undeletable_resources=tuple(_iterate_undeletable_resources(plan, contracts)),
        spending=account.build_spending(),
    )


def _iterate_undeletable_resources(plan: CasePlan, contracts: Mapping[str, Contract]) -> Iterator[UndeletableResource]:
    accepted = Counter(
        (case.provider, case.operation) for case in plan.cases if case.expected_response.acceptance != "rejected"
    )
    for (provider, operation_id), count in accepted.items():
        resource = contracts[provider].find_operation(operation_id).resource
        if resource is not None and resource.deletion is None:
            yield UndeletableResource(
                operation=f"{provider}/{operation_id}", resource_type=resource.display_name, request_count=count
            )


def compute_total_price_usd(
    plan: CasePlan, targets: Sequence[BaseTarget], price_usd_by_name: Mapping[str, float]
) -> float:
    """Return the price of a plan in dollars if every response is as expected.

    Raises:
        UsageError: a price is not known.
    """
    priced = price_plan(plan, targets, price_usd_by_name, provenance=Provenance.LIVE)
    require_prices(priced)
    return priced.price_usd


def require_prices(plan: PricedPlan) -> None:
    """Require that the price of every request of a plan is known.

    Raises:
        UsageError: a price is not known.
    """
    if plan.unpriced_names:
        names = " ".join(f"--price {name}=USD" for name in plan.unpriced_names)
        raise UsageError(f"no document states the price of a request in dollars: set it with {names}")
