"""Prices the requests of a check before they are sent, and counts what was spent: money and billable requests."""

from __future__ import annotations

import contextlib
import json
import math
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from voicegauge.cases.case import CaseKind, ConformanceCase
from voicegauge.cases.valid_requests import count_charged_characters
from voicegauge.client.ledger import classify_billing_status
from voicegauge.client.speech_request import RequestParts
from voicegauge.contract.contract import BaseTarget, Contract
from voicegauge.contract.operation import Operation
from voicegauge.contract.price_computation import is_billable, quote_price
from voicegauge.errors import UsageError
from voicegauge.formats.locations import Location
from voicegauge.model.base import Record, sum_usd
from voicegauge.model.exchange import Exchange, Request, Response
from voicegauge.printable_text import format_count
from voicegauge.rules.registry import Rule

if TYPE_CHECKING:
    from voicegauge.conformance._resource_lifecycle import CallingAccount

# Finds out which requests the lifecycle of a resource sends if all are accepted, without sending any.
#
# The lifecycle itself is carried out, with made-up responses. So the plan that a user sees before paying is that of the
# check, whatever a contract says about the resource.


_RESOURCE_ID_FOR_PRICING = "planned"
"""The id that the resource of a lifecycle has while the requests of the lifecycle are priced."""


class LifecycleStep(NamedTuple):
    """One request that the lifecycle of a resource is going to send, and the operation that it calls."""

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
    # Imported here because it needs the HTTP client, which reading a saved report should not load.
    from voicegauge.conformance._resource_lifecycle import ResourceLifecycle

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
    # A required value that no document states ends the lifecycle of a check with this error, so it ends the plan too.
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
    """Return a JSON body with only the made-up id at `location`; an empty object if the id is not in the body."""
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
            continue  # the coroutine has returned the next subject: nothing in it waits, so that no loop must resume it
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
        # Rounded up, because a price reserved too low could let a check exceed its budget.
        math.ceil(character_count / request_count),
        audio_s=audio_duration_s or None,
        user_usd_per_request=price_usd_by_name.get(build_price_name(priced_item)),
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
    return _compute_highest_price_of_operation_usd(
        operation, price_usd_by_name, count_charged_characters(operation, request)
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
            _compute_highest_price_of_operation_usd(operation, price_usd_by_name, 0)


def _compute_highest_price_of_operation_usd(
    operation: Operation, price_usd_by_name: Mapping[str, float], character_count: int
) -> float:
    """Return the price of a request whose target is not known, in dollars: that of the most expensive target."""
    return _compute_highest_price_usd(list(operation.targets) or [operation], price_usd_by_name, character_count)


def _compute_highest_price_usd(
    priced_items: Sequence[PricedItem],
    price_usd_by_name: Mapping[str, float],
    character_count: int,
    audio_duration_s: float = 0.0,
    request_count: int = 1,
) -> float:
    """Return the price of the most expensive of `priced_items`, of those whose price is known, in dollars.

    Raises:
        UsageError: no price is known. The message names the options that state one.
    """
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


# Adds up what was spent by target, operation, kind of case and rule, and limits the number of billable requests.


class SpendingTotal(Record, frozen=True, kw_only=True):
    """How many requests were sent, how many of them were billable, and what they cost."""

    request_count: int = 0
    """Number of requests with a response, including free ones."""
    billable_request_count: int = 0
    """Number of requests to operations with a price that were accepted, or may have been charged without that, such as
    after a server error or a lost connection; 0 at a live service whose price is 0."""
    spent_usd: float = 0.0
    """Dollars charged to the budget; 0 at the emulator."""

    def __add__(self, other: SpendingTotal) -> SpendingTotal:
        """Return the sum of two totals, with dollars rounded to a millionth, as in the ledger."""
        is_free = not self.spent_usd and not other.spent_usd  # as each of the thousands of cases at the emulator
        return SpendingTotal(
            request_count=self.request_count + other.request_count,
            billable_request_count=self.billable_request_count + other.billable_request_count,
            spent_usd=0.0 if is_free else sum_usd((self.spent_usd, other.spent_usd)),
        )


class Spending(Record, frozen=True, kw_only=True):
    """The requests and money of a check, grouped by purpose."""

    total: SpendingTotal = SpendingTotal()
    """Spending of all cases together."""
    total_by_target: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each target, by target id. Requests that belong to no target are left out."""
    total_by_operation: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each operation that a case tests. The polls of a delivery count for its submit operation."""
    total_by_case_kind: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending for each kind of case: delivery, valid, invalid, authentication, unknown-id, rejection-reason,
    undocumented, plain-http, fuzzing, lifecycle, conversation."""
    total_by_rule: dict[str, SpendingTotal] = msgspec.field(default_factory=dict)
    """Spending, by rule id, for all cases in which the rule judged something. Many rules judge each case, so the sum of
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
        self._judged_class_by_rule_id: dict[str, type[Any]] = {}

    def register_rules(self, rules: Iterable[Rule]) -> None:
        """Add rules whose spending is reported: for each rule, the cost of all cases in which it judged something."""
        self._judged_class_by_rule_id |= {rule.id: rule.subject_class for rule in rules}

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
            total_by_target=self._sum_by_name(
                lambda one: f"{one.provider}/{one.target_name}" if one.target_name else None
            ),
            total_by_operation=self._sum_by_name(lambda one: f"{one.provider}/{one.operation}"),
            total_by_case_kind=self._sum_by_name(lambda one: one.case_kind),
            total_by_rule=self._sum_spending_by_rule(),
        )

    def _sum_by_name(self, get_name: Callable[[_Purpose], str | None]) -> dict[str, SpendingTotal]:
        """Return the sum of the spending of all purposes to which `get_name` gives one name, by that name.

        Purposes for which `get_name` returns `None` are left out.
        """
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
        for rule_id, judged_class in self._judged_class_by_rule_id.items():
            for purpose, total in self._total_by_purpose.items():
                if any(issubclass(subject_class, judged_class) for subject_class in purpose.subject_classes):
                    totals[rule_id] = totals.get(rule_id, SpendingTotal()) + total
        return totals


class BillableRequestLimit:
    """Limits the number of billable requests of a plan."""

    def __init__(
        self,
        max_billable_requests: int | None,
        *,
        count_of_earlier_runs: int = 0,
        lost_count_of_earlier_runs: int = 0,
        is_forecast: bool = False,
    ) -> None:
        """Create a limit; earlier runs count towards it.

        Args:
            max_billable_requests: the limit; `None` for no limit.
            count_of_earlier_runs: number of billable requests of earlier checks that ended early or lost requests.
            lost_count_of_earlier_runs: number of the requests in `count_of_earlier_runs` without a known result, which
                are only sent again on demand.
            is_forecast: whether the requests that are counted are only planned.
        """
        self._is_forecast = is_forecast
        self._limit, self._count = max_billable_requests, count_of_earlier_runs
        self._earlier_count, self._lost_count = count_of_earlier_runs, lost_count_of_earlier_runs

    @property
    def is_limited(self) -> bool:
        """Whether the number of billable requests is limited."""
        return self._limit is not None

    def count_case(self, case_spending: SpendingTotal) -> None:
        """Count the billable requests in `case_spending`, the spending of one case, towards the limit."""
        self._count += case_spending.billable_request_count

    def find_skip_reason(self, contract: Contract, case: ConformanceCase) -> str | None:
        """Return why `case` must not be sent any more; `None` if it may be sent.

        A request that should be rejected is free, but is charged and counted if the service accepts it. Such requests
        follow the planned ones, and are sent until the limit is exceeded by the first that is accepted. A lifecycle may
        exceed the limit too, because stopping it early would leave its resource behind. A delivery with a companion is
        not sent if only one of its two requests is left.
        """
        limit = self._limit
        # At the limit exactly, what should be rejected may still be sent: it adds nothing unless the service is faulty.
        billable_count = case.first_request_count if case.is_billable else 0
        if limit is None or self._count + billable_count <= limit:
            return None
        if not case.is_billable and not _is_billable_operation(contract, case.operation):
            return None
        reason = f"not sent: {format_count(self._count, 'billable request')} "
        if self._is_forecast:
            reason += "comes before it" if self._count == 1 else "come before it"
        else:
            reason += f"{'was' if self._count == 1 else 'were'} accepted or may have been charged"
        if self._earlier_count:
            reason += f", {self._earlier_count} of them in earlier checks"
        reason += f"; the limit is --max-calls {limit}"
        if self._count < limit:
            reason += f", and the case needs {billable_count} at once"
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
        classify_billing_status(one.response.status, policy).may_be_charged
        and _is_billable_operation(contract, one.operation)
        for one in exchanges
    )
    return SpendingTotal(
        request_count=len(exchanges), billable_request_count=billable + lost_request_count, spent_usd=spent_usd
    )


def _is_billable_operation(contract: Contract, operation_id: str) -> bool:
    operation = contract.operations.get(operation_id)  # `None` for a download from another host
    return operation is not None and is_billable(operation)
