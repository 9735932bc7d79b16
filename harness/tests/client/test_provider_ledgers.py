"""The ledger of each provider has its own part of the budget, beside the total of all."""

from __future__ import annotations

import pytest

from voicegauge.client.daily_spending import open_provider_ledgers
from voicegauge.client.ledger import Ledger
from voicegauge.errors import BudgetError


def test_a_provider_spends_no_more_than_its_part() -> None:
    total = Ledger(1.0, spent_usd=0.2)
    ledgers = open_provider_ledgers(
        total, ["acme", "other"], max_cost_usd_by_provider={"acme": 0.5}, spent_usd_by_provider={"acme": 0.2}
    )
    ledgers["acme"].reserve(0.3).settle(may_be_charged=True)
    with pytest.raises(BudgetError, match=r"of \$0\.50 \$0\.50 are spent: raise --max-cost acme=USD"):
        ledgers["acme"].reserve(0.01)
    ledgers["other"].reserve(0.5).settle(may_be_charged=True)
    with pytest.raises(BudgetError, match=r"raise --max-cost$"):
        ledgers["other"].reserve(0.01)
    assert total.spent_usd == 1.0


def test_two_versions_of_a_provider_share_its_part() -> None:
    ledgers = open_provider_ledgers(Ledger(1.0), ["acme", "acme@staging"], max_cost_usd_by_provider={"acme": 0.5})
    ledgers["acme@staging"].reserve(0.4).settle(may_be_charged=True)
    with pytest.raises(BudgetError, match="raise --max-cost acme=USD"):
        ledgers["acme"].reserve(0.2)
    assert ledgers["acme"].remaining_usd == pytest.approx(0.1)
