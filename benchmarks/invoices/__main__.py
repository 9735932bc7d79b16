"""Prints invoices worked by hand beside what voicegauge computes. Fails if one differs by a cent."""

from __future__ import annotations

import sys

from rich.table import Table

from invoices import load_cases
from voicegauge.cli._console import create_console
from voicegauge.contract.catalogue import load_catalogue


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
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
