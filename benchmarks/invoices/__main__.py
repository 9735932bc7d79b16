"""Prints invoices and prices worked by hand beside what voicegauge computes. Fails if one differs by a cent."""

from __future__ import annotations

import sys

from rich.table import Table

from invoices import load_cases, load_price_cases
from voicegauge.cli._console import create_console
from voicegauge.contract.loading import load_catalogue


def main() -> int:
    """Print the table, and return the exit status."""
    catalogue = load_catalogue()
    table = Table("invoice", "by hand", "computed", "price pages")
    wrong = 0
    for case in load_cases():
        computed_usd = case.compute_invoice_usd(catalogue)
        wrong += computed_usd != case.invoice_usd
        pages = "of the provider" if case.is_normative else "also of third parties"
        shown = "unknown" if computed_usd is None else f"${computed_usd:,.2f}"
        table.add_row(case.name, f"${case.invoice_usd:,.2f}", shown, pages)
    create_console().print(table)
    prices = Table("target", "100 characters", "500 characters", "2,000 characters", "found independently")
    for price in load_price_cases():
        computed = price.compute_prices(catalogue)
        wrong += computed != price.prices
        found = "\n".join(f"${one.usd:g} ({one.date}, {one.source})" for one in price.found)
        prices.add_row(price.target, *computed.values(), found)
    create_console().print(prices)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
