"""Simulated runs: retries, broken connections, bills and tasks at once never overspend."""

from __future__ import annotations

import asyncio
import random

import pytest

from voicegauge.client.ledger import Ledger
from voicegauge.errors import BudgetError
from voicegauge.transport.timing import VirtualClock


class Provider:
    """Takes time, rejects, loses connections before and after charging, and charges at most its price."""

    def __init__(self, dice: random.Random, clock: VirtualClock) -> None:
        self.dice, self.clock, self.paid_micro = dice, clock, 0

    async def answer(self, price_micro: int) -> tuple[str, int | None]:
        await self.clock.sleep(self.dice.random())
        fate = self.dice.choice(["later", "refused", "lost before", "lost after", "billed", "unbilled"])
        if fate == "billed":
            bill = self.dice.randint(0, price_micro)
            self.paid_micro += bill
            return fate, bill
        self.paid_micro += price_micro if fate in ("lost after", "unbilled") else 0
        return fate, None


async def ask(provider: Provider, ledger: Ledger, price_micro: int) -> bool:
    """One request with up to three retries, each under a reservation of its own; False once the budget says no."""
    for _ in range(4):
        try:
            reservation = ledger.reserve(price_micro / 1e6)
        except BudgetError:
            return False
        fate, bill = await provider.answer(price_micro)
        if fate in ("later", "lost before", "refused"):
            reservation.settle(may_be_charged=False)
        else:
            reservation.settle(may_be_charged=True, charged_usd=None if bill is None else bill / 1e6)
        if fate != "later":
            break
        await provider.clock.sleep(provider.dice.random())
    return True


async def run(seed: int) -> tuple[Provider, Ledger, int, int]:
    dice = random.Random(seed)
    budget_micro = dice.randint(0, 200_000)
    provider, ledger = Provider(dice, VirtualClock()), Ledger(budget_micro / 1e6)
    prices = [dice.randint(1, 9_000) for _ in range(20)]
    done = await asyncio.gather(*(ask(provider, ledger, price) for price in prices))
    return provider, ledger, budget_micro, done.count(False)


@pytest.mark.parametrize("runs", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_random_runs_overspend_by_nothing(runs: int) -> None:
    stopped = 0
    for seed in range(runs):
        provider, ledger, budget_micro, refused = asyncio.run(run(seed))
        assert provider.paid_micro <= budget_micro, seed
        assert ledger.spent_usd * 1e6 == pytest.approx(provider.paid_micro, abs=1e-3), seed
        assert ledger.reserved_usd == 0
        stopped += refused > 0
    assert runs / 10 < stopped < runs  # some budgets end a run, others bear it
