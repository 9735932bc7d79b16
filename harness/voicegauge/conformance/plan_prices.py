"""Prices the requests of a plan, also those of a lifecycle, which depend on the responses."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from voicegauge.cases.case import CaseKind, ConformanceCase, SkippedCase
from voicegauge.cases.case_order import DESCRIPTION_BY_TURN, SendingTurn, list_turns
from voicegauge.cases.plan import CasePlan
from voicegauge.cases.valid_requests import count_charged_characters
from voicegauge.client.speech_request import RequestParts
from voicegauge.conformance._resource_lifecycle import CallingAccount, ResourceLifecycle
from voicegauge.conformance.spending import Spending, SpendingAccount, SpendingTotal
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import is_billable, quote_price
from voicegauge.errors import UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.base import Provenance, Record, sum_usd
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.model.price import BudgetForecast, format_price_usd
from voicegauge.outputs.result_summary import SummaryTable, TabularResult
from voicegauge.printable_text import format_count

# Finds out which requests the lifecycle of a resource sends if all are accepted, without sending any.
#
# The lifecycle itself is carried out, with made-up responses. So the plan that a user sees before paying is that of the
# check, whatever a contract says about the resource.


_RESOURCE_ID_FOR_PRICING = "planned"
"""The id that the resource of a lifecycle has while the requests of the lifecycle are priced."""


class LifecycleStep(NamedTuple):
    """One request of a lifecycle."""

    operation: Operation
    request: RequestParts


def is_resource_lifecycle(contract: Contract, case: ConformanceCase) -> bool:
    """Whether `case` follows a resource, such as a saved voice, and not a job or a batch."""
    operation = contract.find_operation(case.operation)
    return (
        case.is_lifecycle and case.target_name is None and operation.resource is not None and operation.submit is None
    )


def plan_lifecycle(contract: Contract, case: ConformanceCase, *, is_emulated: bool) -> list[LifecycleStep]:
    """Return the requests of a lifecycle of a resource, assuming that the service accepts each of them.

    The list ends where no request is known, which is where the lifecycle ends too.

    Args:
        contract: the contract of the case.
        case: a case for which `is_resource_lifecycle` is true.
        is_emulated: whether the emulator responds; it has a second account, so more requests are sent.
    """
    steps: list[LifecycleStep] = []

    async def note_step(
        operation: Operation, request: RequestParts, calling_account: CallingAccount, server_name: str | None
    ) -> Exchange:
        del calling_account, server_name
        steps.append(LifecycleStep(operation, request))
        return _build_accepted_exchange(operation, creating_operation)

    creating_operation = contract.find_operation(case.operation)
    assert case.request is not None, "a lifecycle begins with a request"
    lifecycle = ResourceLifecycle(
        creating_operation,
        note_step,
        can_use_other_account=is_emulated,
        varies_requests_that_use_resource=case.varies_requests_that_use_resource,
    )
    with contextlib.suppress(UsageError):
        _run_without_event_loop(lifecycle.iterate_subjects(case.request))
    return steps


def _build_accepted_exchange(operation: Operation, creating_operation: Operation) -> Exchange:
    """Return an exchange with an accepted request, whose response has the id of the resource."""
    assert creating_operation.resource is not None, "only called for operations with x-resource"
    location = creating_operation.resource.id_location
    status = next((int(status) for status in operation.responses if status.startswith("2") and status.isdecimal()), 200)
    headers = [("Content-Type", "application/json")]
    if not location.is_in_body:
        headers.append((location.name, _RESOURCE_ID_FOR_PRICING))
    return Exchange(
        provider=operation.contract.id,
        operation=operation.id,
        request=Request(method=operation.method, url=f"https://planned.invalid{operation.path}"),
        response=Response(
            status=status, headers=tuple(headers), body=json.dumps(_build_body_with_resource_id(location)).encode()
        ),
    )


def _build_body_with_resource_id(location: Location) -> Any:
    body: Any = _RESOURCE_ID_FOR_PRICING
    for token in reversed(location.pointer_tokens if location.is_in_body else ()):
        body = [body] if token.isdecimal() else {token: body}
    return body if isinstance(body, dict | list) else {}


def _run_without_event_loop(subjects: AsyncIterator[Any]) -> None:
    """Run an asynchronous iterator that never waits, without an event loop."""
    while True:
        try:
            subjects.__anext__().__await__().__next__()
        except StopIteration:
            continue
        except StopAsyncIteration:
            return


# Computes the prices of single requests. The client computes and reserves the prices of deliveries.


PricedItem = BaseTarget | Operation
"""A target that has a price, or an operation that has a price of its own."""


def find_priced_item(contract: Contract, case: ConformanceCase) -> PricedItem | None:
    """Return the target or operation that is charged if `case` is accepted; `None` if the case is free."""
    name = case.target_name or ""
    target = next((one for one in contract.iterate_targets() if one.name == name), None)
    return target or (contract.find_operation(case.operation) if case.calls_billable_operation else None)


def build_price_name(priced_item: PricedItem) -> str:
    """Return the name under which a user sets the price of a target or operation: <provider>/<target or operation>."""
    return f"{priced_item.contract.id}/{priced_item.name if isinstance(priced_item, BaseTarget) else priced_item.id}"


def compute_price_usd(
    priced_item: PricedItem,
    price_usd_by_name: Mapping[str, float],
    character_count: int,
    audio_duration_s: float = 0.0,
    request_count: int = 1,
) -> float | None:
    """Return the price in dollars of `request_count` requests that share one text; `None` if it is unknown.

    Args:
        priced_item: the target or operation that is charged.
        price_usd_by_name: prices that the user gave, in dollars per request, by the name that `build_price_name`
            returns. They replace prices in the contract.
        character_count: number of characters in the text, which is divided evenly among the requests.
        audio_duration_s: duration in seconds of the audio uploaded with each request; 0 if none is uploaded.
        request_count: number of requests that are charged one by one, such as the turns of a WebSocket.
    """
    price_usd = quote_price(
        priced_item,
        math.ceil(character_count / request_count),
        audio_s=audio_duration_s or None,
        user_price_usd=price_usd_by_name.get(build_price_name(priced_item)),
    ).reserved_usd
    return None if price_usd is None else price_usd * request_count


def compute_case_price_usd(
    contract: Contract, case: ConformanceCase, price_usd_by_name: Mapping[str, float]
) -> float | None:
    """Return the dollars to reserve for the request of `case`; `None` if nothing must be reserved.

    A request that should be rejected is free. If its price is known, it is reserved nevertheless, because a faulty
    service may accept the request.

    Raises:
        UsageError: the price of a request that may be accepted is unknown.
    """
    item = find_priced_item(contract, case)
    if item is None:
        return None
    if not case.is_billable:
        return compute_price_usd(item, price_usd_by_name, case.text_character_count, case.audio_duration_s)
    return _compute_highest_price_usd(
        [item], price_usd_by_name, case.text_character_count, case.audio_duration_s, case.charged_request_count
    )


def compute_lifecycle_step_price_usd(
    operation: Operation, request: RequestParts, price_usd_by_name: Mapping[str, float]
) -> float | None:
    """Return the price of one request in the lifecycle of a resource, in dollars; `None` if it is free.

    The model that a saved voice uses is unknown, so the price is that of the most expensive target of the operation.

    Raises:
        UsageError: the price is unknown.
    """
    if not is_billable(operation):
        return None
    return _compute_highest_price_usd(
        _list_priced_items(operation), price_usd_by_name, count_charged_characters(operation, request)
    )


def require_resource_use_prices(creating_operation: Operation, price_usd_by_name: Mapping[str, float]) -> None:
    """Require that every request that uses a created resource has a known price.

    Call this before the resource is created. A lifecycle with an unknown price would have to stop before the deletion.

    Raises:
        UsageError: the price of a use is unknown.
    """
    uses = creating_operation.resource.uses if creating_operation.resource is not None else ()
    for operation in (creating_operation.contract.find_operation(use.operation_id) for use in uses):
        if is_billable(operation):
            _compute_highest_price_usd(_list_priced_items(operation), price_usd_by_name, 0)


def _list_priced_items(operation: Operation) -> Sequence[PricedItem]:
    return list(operation.targets) or [operation]


def _compute_highest_price_usd(
    priced_items: Sequence[PricedItem],
    price_usd_by_name: Mapping[str, float],
    character_count: int,
    audio_duration_s: float = 0.0,
    request_count: int = 1,
) -> float:
    prices = (
        compute_price_usd(item, price_usd_by_name, character_count, audio_duration_s, request_count)
        for item in priced_items
    )
    known = [usd for usd in prices if usd is not None]
    if not known:
        name = build_price_name(priced_items[0])
        contract = priced_items[0].contract
        rate = f", or that of a credit with --credit-rate {contract.id}=USD" if contract.provider.credits else ""
        raise UsageError(f"no document states the price of {name} in dollars: give it with --price {name}=USD{rate}")
    return max(known)


# Computes the price of a plan before anything is sent.


class PricedCase(Record, frozen=True, kw_only=True):
    """One case of a plan with its price."""

    id: str
    """Id of the case."""
    kind: CaseKind
    """What the case tests."""
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
    """The cases, in the order in which a limit of requests or of money keeps them, whatever their provider."""
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
    budget_forecast: BudgetForecast | None = None
    """What becomes of the plan within the budgets that are left; `None` at the emulator."""

    def build_table(self) -> SummaryTable:
        """Return a row for each case."""
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
        usd = 0.0  # a rejected request is free
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
