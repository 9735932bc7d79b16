from __future__ import annotations

import asyncio
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.client.ledger import Ledger, LedgerShare
from voicegauge.errors import BudgetError
from voicegauge.model.base import convert_budget_to_micro_usd, convert_to_micro_usd, sum_usd


def test_what_is_reserved_is_settled_or_released_once():
    ledger = Ledger(1.0)
    first, second = ledger.reserve(0.4), ledger.reserve(0.6)
    assert (ledger.spent_usd, ledger.reserved_usd, ledger.remaining_usd) == (0, 1.0, 0)
    first.settle(may_be_charged=True, charged_usd=0.1)
    first.settle(may_be_charged=True, charged_usd=0.1)
    first.settle(may_be_charged=False)
    second.settle(may_be_charged=False)
    assert (ledger.spent_usd, ledger.reserved_usd, ledger.remaining_usd) == (0.1, 0, 0.9)


def test_a_reservation_without_a_reported_charge_costs_its_price():
    ledger = Ledger(1.0, spent_usd=0.5)
    ledger.reserve(0.25).settle(may_be_charged=True)
    assert ledger.spent_usd == 0.75


def test_a_hundred_cents_are_a_dollar():
    ledger = Ledger(1.0)
    for _ in range(100):
        ledger.reserve(0.01).settle(may_be_charged=True)
    assert ledger.remaining_usd == 0
    with pytest.raises(
        BudgetError, match=r"costs \$0\.01, but of the budget of \$1\.00 \$1\.00 are spent: raise --max-cost"
    ):
        ledger.reserve(0.01)


@pytest.mark.parametrize(
    ("usd", "reserved_usd"), [(0.000123, 0.000123), (4e-7, 1e-6), (1.1e-6, 2e-6), (4.9e-10, 0.0), (5.1e-10, 1e-6)]
)
def test_a_price_is_rounded_up_to_a_millionth_of_a_dollar(usd, reserved_usd):
    ledger = Ledger()
    ledger.reserve(usd)
    assert ledger.reserved_usd == reserved_usd


@pytest.mark.parametrize(
    ("budget_usd", "remaining_usd"),
    [(0.000123, 0.000123), (1.9e-6, 1e-6), (4e-7, 0.0), (0.9994e-6, 0.0), (0.9996e-6, 1e-6)],
)
def test_a_budget_is_rounded_down_to_a_millionth_of_a_dollar(budget_usd, remaining_usd):
    assert Ledger(budget_usd).remaining_usd == remaining_usd


def test_what_is_reserved_is_named_if_the_budget_is_not_enough():
    ledger = Ledger(1.0, spent_usd=0.25)
    ledger.reserve(0.5)
    with pytest.raises(BudgetError) as caught:
        ledger.reserve(0.375)
    assert str(caught.value) == (
        "the next request costs $0.375, but of the budget of $1.00 $0.25 are spent, "
        "$0.50 reserved for requests in progress: raise --max-cost"
    )


def test_free_requests_pass_an_empty_budget():
    Ledger(0.0).reserve(0.0).settle(may_be_charged=True)


def test_a_bill_beyond_the_reservation_is_spent_and_stops_the_next():
    ledger = Ledger(1.0)
    ledger.reserve(0.5).settle(may_be_charged=True, charged_usd=5.0)
    assert ledger.spent_usd == 5.0
    with pytest.raises(BudgetError):
        ledger.reserve(0.0000001)


def test_without_a_budget_nothing_is_rejected():
    ledger = Ledger()
    ledger.reserve(1e6).settle(may_be_charged=True)
    assert ledger.spent_usd == 1e6
    assert ledger.remaining_usd == math.inf


@pytest.mark.parametrize("usd", [-1.0, math.nan, math.inf])
def test_an_invalid_price_is_rejected(usd):
    with pytest.raises(ValueError, match="not a valid price"):
        Ledger(1.0).reserve(usd)


@settings(deadline=None)
@given(
    budget=st.floats(0, 2),
    requests=st.lists(
        st.tuples(st.floats(0, 0.7), st.sampled_from(["settle", "less", "release"]), st.integers(0, 3)), max_size=30
    ),
)
def test_concurrent_requests_never_overspend(budget, requests):
    async def run() -> None:
        ledger = Ledger(budget)
        held: list[float] = []

        async def request(usd: float, end: str, turns: int) -> None:
            try:
                reservation = ledger.reserve(usd)
            except BudgetError:
                return
            held.append(ledger.spent_usd + ledger.reserved_usd)
            for _ in range(turns):
                await asyncio.sleep(0)
            if end == "release":
                reservation.settle(may_be_charged=False)
            else:
                reservation.settle(may_be_charged=True, charged_usd=usd / 2 if end == "less" else None)
            held.append(ledger.spent_usd + ledger.reserved_usd)

        await asyncio.gather(*(request(*one) for one in requests))
        assert all(sum_usd <= budget + 1e-9 for sum_usd in held)
        assert ledger.reserved_usd == 0

    asyncio.run(run())


def test_a_charge_above_the_price_ends_further_requests_at_that_price():
    ledger = Ledger(10.0)
    ledger.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.25)
    message = r"acme/one was charged \$0\.25 for a request that should cost \$0\.10: .* --price acme/one=0\.25"
    with pytest.raises(BudgetError, match=message):
        ledger.reserve(0.1, "acme/one")
    with pytest.raises(BudgetError, match=message):
        LedgerShare(ledger).reserve(0.1, "acme/one")
    ledger.reserve(0.1, "acme/two")
    assert ledger.spent_usd == 0.25


def test_a_charge_above_the_price_is_known_without_a_further_request():
    ledger = Ledger(10.0)
    share = LedgerShare(ledger)
    share.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.1)
    assert ledger.first_overcharge_message is share.first_overcharge_message is None
    share.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.2)
    share.reserve(0.1, "acme/two").settle(may_be_charged=True, charged_usd=0.3)
    assert ledger.first_overcharge_message == share.first_overcharge_message
    assert (share.first_overcharge_message or "").startswith("acme/one was charged $0.20")


def test_a_charge_that_cannot_be_believed_ends_further_requests_at_that_price_and_counts_the_price():
    ledger = Ledger(10.0)
    stated = "states a charge of 1e+12 coins, which cannot be believed"
    LedgerShare(ledger).reserve(0.1, "acme/one").settle(may_be_charged=True, unreadable_charge=stated)
    message = re.escape(f"a response of acme/one {stated}: no more requests are sent to it")
    with pytest.raises(BudgetError, match=message):
        ledger.reserve(0.1, "acme/one")
    with pytest.raises(BudgetError, match=message):
        LedgerShare(ledger).reserve(0.1, "acme/one")
    ledger.reserve(0.1, "acme/two")
    assert ledger.spent_usd == 0.1


def test_beside_a_charge_that_cannot_be_believed_a_lower_one_does_not_count():
    ledger = Ledger(10.0)
    ledger.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.0, unreadable_charge="states nothing")
    assert ledger.spent_usd == 0.1


def test_an_overcharge_of_one_share_ends_the_requests_of_all():
    ledger = Ledger(10.0)
    LedgerShare(ledger).reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.2)
    with pytest.raises(BudgetError, match="acme/one was charged"):
        LedgerShare(ledger).reserve(0.1, "acme/one")


def test_a_charge_above_the_price_ends_further_requests_also_without_a_budget():
    counting = Ledger()
    counting.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.2)
    with pytest.raises(BudgetError, match="acme/one was charged"):
        counting.reserve(0.1, "acme/one")
    counting.reserve(0.1, "acme/two")


def test_a_charge_above_the_price_by_rounding_ends_nothing():
    ledger = Ledger(1.0)
    ledger.reserve(0.1, "acme/one").settle(may_be_charged=True, charged_usd=0.1000001)
    ledger.reserve(0.1, "acme/one")


@given(st.integers(1, 500), st.integers(1, 2_000_000))
def test_a_plan_of_equal_prices_fits_a_budget_of_their_exact_sum(count, price_micro_usd):
    price_usd, budget_usd = price_micro_usd / 1_000_000, count * price_micro_usd / 1_000_000
    assert convert_to_micro_usd(sum_usd([price_usd] * count)) == convert_budget_to_micro_usd(budget_usd)
    ledger = Ledger(budget_usd)
    for _ in range(count):
        ledger.reserve(price_usd)
    assert ledger.remaining_usd == 0
