"""Exact sums of dollars: amounts are counted in whole millionths of a dollar, as plans and the ledger reserve them.

Binary fractions do not add up: forty requests at $0.01 are more than $0.40 as a sum of floats. A plan that is
compared with a budget and the ledger that reserves from it must agree to the last digit, so both count in this unit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

MICRO_USD_PER_USD = 1_000_000
"""Number of millionths in a dollar."""


def convert_to_micro_usd(amount_usd: float) -> int:
    """Convert dollars to millionths and round up, so that a reservation is never smaller than the price.

    Raises:
        ValueError: the amount is negative or not finite.
    """
    if not math.isfinite(amount_usd) or amount_usd < 0:
        raise ValueError(f"{amount_usd} is not a valid price: it must be a finite number of dollars, zero or more")
    # Rounded to thousandths first: 0.000123 * 1e6 is 123.00000000000001, which must not become 124.
    return math.ceil(round(amount_usd * MICRO_USD_PER_USD, 3))


def convert_budget_to_micro_usd(budget_usd: float) -> int | float:
    """Convert a budget to millionths of a dollar and round down; an infinite budget stays infinite."""
    return budget_usd if math.isinf(budget_usd) else math.floor(round(budget_usd * MICRO_USD_PER_USD, 3))


def sum_usd(amounts_usd: Iterable[float]) -> float:
    """Return the sum in dollars of amounts that are each rounded up to a millionth, as the ledger reserves them."""
    return sum(map(convert_to_micro_usd, amounts_usd)) / MICRO_USD_PER_USD
