"""Rules about what a request is charged, and whether the balance falls by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from voicegauge.contract.contract import Target
from voicegauge.contract.extension.jobs import ChatSpec, JobSpec, JobState
from voicegauge.contract.extension.pricing import PriceSpec
from voicegauge.contract.price_computation import is_rounded_amount
from voicegauge.formats.locations import MISSING, Location
from voicegauge.model.base import Severity
from voicegauge.rules.call import Call, CallSubject, CheckSubject
from voicegauge.rules.registry import Explanation, FaultExample, Violation, register_rule

RELATIVE_AMOUNT_TOLERANCE = 1e-6
"""Relative tolerance for amounts, because sums of decimal fractions are not exact in binary floating point."""


@register_rule(
    "charge-wrong",
    subject_class=Call,
    description="The charge is the documented price, and a job documented as free costs nothing.",
    contract_condition="x-speech.response.charge_location, x-job.charge_location, x-chat.charge_location and x-pricing",
    explanation=Explanation(
        consequence="The bill is higher than the price list.",
        conforming_example="$0.01 per request is documented, and the response reports 0.01.",
        violating_example="$0.01 per request is documented, and the response reports 0.02.",
    ),
    shown_by=(FaultExample("wrong-charge"),),
)
def _check_charge_wrong(call: Call) -> Iterator[Violation]:
    if call.operation.chat is not None:
        yield from _check_chat_charge(call, call.operation.chat)
        return
    submit = call.submit_call or call
    location = _find_charge_location(call)
    if not call.is_accepted or location is None or submit.target is None:
        return
    charged = read_amount(call.read_response_value(location))
    if charged is None:
        return
    target, pointer = submit.target, location.json_pointer or None
    if _is_job_state_free_of_charge(call):
        if charged > 0:
            status = call.operation if call.operation.job is not None else target.job_operation
            at = f"{status.pointer if status is not None else call.operation.pointer}/x-job/states"
            message = f"charged {charged:g} for a job that is documented as free"
            yield Violation(message, at, pointer, str(location), common_cause="charged although free")
        return
    amounts: list[tuple[str, float, float]] = []
    for at, low, high in _iterate_documented_amounts(submit, target):  # those of the usual price come first
        if at == _build_pricing_pointer(target) and _is_documented_amount(charged, low, high):
            return  # whatever other claims say, so that a right charge is not reported as disputed
        amounts.append((at, low, high))
    if not amounts:
        return
    matching = [at for at, low, high in amounts if _is_documented_amount(charged, low, high)]
    # An alternative price has its own pointer, at which the contract documents the dispute.
    at = matching[0] if matching else _build_pricing_pointer(target)
    unit = "USD" if target.contract.provider.credits is None else target.contract.provider.credits.name
    documented = " or ".join(dict.fromkeys(f"{low:g}" for at, low, _ in amounts if at == amounts[0][0]))
    yield Violation(
        f"charged {charged:g} {unit}; documented: {documented}",
        at,
        pointer,
        f"{location}: {charged:g}",
        common_cause=_describe_charge_deviation(charged, min(low for _, low, _ in amounts)),
    )


@register_rule(
    "usage-above-bound",
    subject_class=Call,
    description="The tokens or seconds that a response reports do not exceed the documented upper bound.",
    contract_condition="x-pricing.usage.reported_usage_location, x-pricing.usage.event_usage_location, "
    "x-pricing.added_parts.usage.reported_usage_location, x-pricing.added_parts.usage.event_usage_location",
    severity=Severity.WARNING,
    explanation=Explanation(
        consequence="A budget that was computed from the documents is exceeded.",
        conforming_example="At most 40 tokens follow from the text, and the response reports 31.",
        violating_example="At most 40 tokens follow from the text, and the response reports 90.",
    ),
    shown_by=(FaultExample("excess-usage", target_id="replicate/kokoro"),),
)
def _check_usage_above_bound(call: Call) -> Iterator[Violation]:
    submit = call.submit_call or call
    price = submit.target.pricing if submit.target is not None else None
    if not call.is_accepted or submit.target is None or price is None:
        return
    text = submit.read_request(submit.target.speech.request_fields["text"].location)
    for pointer, part in _iterate_price_parts(price, _build_pricing_pointer(submit.target)):
        usage = part.usage
        reported = call.parsed_exchange.read_usage(usage, call.operation.stream) if usage is not None else None
        if usage is None or reported is None or not isinstance(text, str):
            continue
        # Usage is reported after the work, so a bound is all that documents can promise for a text.
        bound = usage.compute_upper_bound(len(text))
        if reported > bound * (1 + RELATIVE_AMOUNT_TOLERANCE):
            unit = "tokens" if part.unit == "1m_tokens" else "s"
            message = f"{reported:g} {unit} reported for {len(text)} characters; at most {bound:g} {unit} documented"
            location = usage.reported_usage_location  # `None` for usage in an event, which has no place in the body
            value_pointer = location.json_pointer or None if location is not None else None
            yield Violation(message, f"{pointer}/usage", value_pointer, f"{reported:g} {unit}")


def _iterate_price_parts(price: PriceSpec, price_pointer: str) -> Iterator[tuple[str, PriceSpec]]:
    """Yield the JSON pointer to a price and the price, then the same for each of its `added_parts`."""
    yield price_pointer, price
    yield from ((f"{price_pointer}/added_parts/{index}", part) for index, part in enumerate(price.added_parts))


def _describe_charge_deviation(charged_amount: float, documented_amount: float) -> str:
    """Return the deviation of a charge from its price in words that fit every operation and target of a provider."""
    return (
        "nothing charged"
        if charged_amount == 0
        else "less than documented"
        if charged_amount < documented_amount
        else "more than documented"
    )


def _check_chat_charge(call: Call, chat_spec: ChatSpec) -> Iterator[Violation]:
    """Yield a violation if the charge for one message of a chat is not the documented price.

    This price is the same for every message, whatever its text is.
    """
    price, credits = call.operation.pricing, call.contract.provider.credits
    documented = (price.usd_per_unit if credits is None else price.credits_per_unit) if price is not None else None
    charged = read_amount(call.read_response_value(chat_spec.charge_location)) if call.is_accepted else None
    if documented is None or charged is None or _is_documented_amount(charged, documented, documented):
        return
    unit = "USD" if credits is None else credits.name
    message = f"charged {charged:g} {unit} for a turn; documented: {documented:g}"
    yield Violation(
        message, f"{call.operation.pointer}/x-pricing", evidence=f"{chat_spec.charge_location}: {charged:g}"
    )


def _find_charge_location(call: Call) -> Location | None:
    """Return where the response of a call states the charge; `None` if nothing is documented.

    For the response to a submit, this is the documented location. If none is documented, and the job is complete
    already, so that its status is not requested, it is the location in a status response.
    """
    if call.operation.job is not None:
        return call.operation.job.charge_location
    if call.operation.speech is None:
        return None
    documented = call.operation.speech.response.charge_location
    if documented is not None:
        return documented
    job, state = _find_job_of_submit(call)
    return job.charge_location if job is not None and state is not None and state.terminal_outcome is not None else None


def _find_job_of_submit(call: Call) -> tuple[JobSpec | None, JobState | None]:
    """Return the job that a submit started, and the documented state in the response; each may be `None`."""
    status = call.target.job_operation if call.target is not None else None
    if status is None or status.job is None:
        return None, None
    return status.job, status.job.states.get(str(status.job.read_submit_state(call.read_response_value)))


def read_amount(json_value: object) -> float | None:
    """Return `json_value` as a finite number, converted from text if necessary; `None` if it is not such a number."""
    if json_value is MISSING or isinstance(json_value, bool):
        return None
    try:
        amount = float(json_value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return amount if math.isfinite(amount) else None


def _is_job_state_free_of_charge(call: Call) -> bool:
    """Whether the job of a call is in a state that is documented as not charged."""
    job = call.operation.job
    state = _find_job_of_submit(call)[1] if job is None else job.find_state(call.read_response_value)
    return state is not None and state.is_charged is False


def _iterate_documented_amounts(submit_call: Call, target: Target) -> Iterator[tuple[str, float, float]]:
    """Yield each documented charge: the JSON pointer to its price, the exact amount, and the amount rounded up.

    Providers round up to a whole credit or cent. A provider may count the characters of the text as it was sent, or
    those without the parts that the contract's template adds, so there is an amount for each.
    """
    price, pointer = target.pricing, _build_pricing_pointer(target)
    slot = target.speech.request_fields["text"]
    text = submit_call.read_request(slot.location)
    if price is None or not isinstance(text, str):
        return
    counts = {
        target.count_charged_characters(text, includes_template=True),
        price.character_counting.count_characters(slot.remove_template(text)),
    }
    least = 1.0 if target.contract.provider.credits is not None else 0.01
    prices = [(price, pointer), *((price.select_plan([plan]), pointer) for plan in price.plan_prices)]
    prices += [(reading, f"{pointer}/alternatives/{i}") for i, reading in enumerate(price.alternatives)]
    for reading, at in prices:
        for characters in sorted(counts, reverse=True):
            amount = _compute_documented_price(target, reading, characters)
            if amount is not None:
                whole = (
                    amount
                    if reading.unit == "request"
                    else max(math.ceil(amount / least - RELATIVE_AMOUNT_TOLERANCE), 1) * least
                )
                yield at, amount, whole


def _compute_documented_price(target: Target, price: PriceSpec, character_count: int) -> float | None:
    """Return the documented price of a text with `character_count` characters, in dollars or the provider's credits.

    Return `None` if the price does not depend on the text alone, or is not documented.
    """
    if not price.depends_only_on_text:
        return None  # tokens and seconds are not known from the request
    cost = price.compute_cost(target.contract.provider.credit_usd, lambda part: part.count_units(character_count))
    return cost.usd if target.contract.provider.credits is None else cost.credits


def _is_documented_amount(charged_amount: float, exact_amount: float, rounded_up_amount: float) -> bool:
    """Whether a charge is a documented amount, that amount rounded up, or between them."""
    return (
        is_rounded_amount(charged_amount, exact_amount)
        or is_rounded_amount(charged_amount, rounded_up_amount)
        or exact_amount < charged_amount < rounded_up_amount
    )


def _build_pricing_pointer(target: Target) -> str:
    """Return the JSON pointer to the price of a target: its own, or that of its operation."""
    if target.target_spec.pricing is not None:
        return f"{target.pointer}/pricing"
    return f"{target.operation.pointer}/x-pricing"


class _ReportedBalance(NamedTuple):
    """A reported balance, and the time on the monotonic clock at which the response with it had arrived."""

    amount: float
    """The balance, in dollars or the provider's credits."""
    received_ms: float
    """Milliseconds on the monotonic clock."""


@dataclass(frozen=True, eq=False)
class BalanceChange(CallSubject):
    """A charged call that was sent after the response that reported an earlier balance."""

    earlier_balance: float
    """The balance that an earlier response to the same account reported."""
    charge: float
    """What the call was charged, as its response states."""
    balance: float
    """The balance that the response to the call reports."""


class BalancesOfRun:
    """The balances that the responses of a run have reported so far, by provider and key."""

    def __init__(self) -> None:
        """Create an object in which no balance is known."""
        self._latest_by_account: dict[tuple[str | None, ...], _ReportedBalance] = {}

    def add_changes(self, subjects: Iterable[CheckSubject]) -> list[CheckSubject]:
        """Return `subjects` and, for each charged call, the change of the balance if an earlier balance is known.

        Other calls in flight can only make the balance lower, so a balance that is too high is a mistake of the
        service.
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
        # By key, because a check also sends wrong keys and those of a second account.
        request = call.exchange.request
        account = (call.contract.id, request.find_header("authorization"), request.find_header("x-api-key"))
        earlier = self._latest_by_account.get(account)
        received_ms = timing.started_ms + timing.total_ms
        if earlier is None or received_ms > earlier.received_ms:
            self._latest_by_account[account] = _ReportedBalance(balance, received_ms)
        if earlier is None or timing.started_ms < earlier.received_ms:
            return None  # the earlier balance may include this call already, which was in flight with the other
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
