"""`voicegauge rules`: list the rules of `check` and `drift`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import create_console, create_table, show_result
from voicegauge.cli.options import add_json_option

if TYPE_CHECKING:
    from voicegauge.api import RuleList


@click.command("rules")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@add_json_option
def command(words: tuple[str, ...], json_path: str | None) -> None:
    """List every rule: what it proves and how severe it is.

    With WORDs, only rules whose ids contain all of the WORDs are listed. The WORD "drift"
    alone lists every rule of `voicegauge drift`.
    """
    from voicegauge import api

    result = api.list_rules(words)
    show_result(result, json_path, lambda: print_rules(result, includes_drift_rules=bool(words)))


def print_rules(result: RuleList, *, includes_drift_rules: bool) -> None:
    """Print the rules as tables; without `includes_drift_rules`, only the number of the rules of `drift`."""
    out = create_console()
    if result.check_rules:
        rows = create_table("rule", "severity", "what it proves")
        for rule in result.check_rules:
            rows.add_row(rule.id, rule.severity.value, rule.description)
        out.print(rows)
    if not includes_drift_rules:
        out.print(f"and {len(result.drift_rules):,} rules of drift: voicegauge rules drift, or words of their ids")
    elif result.drift_rules:
        rows = create_table("rule of drift", "level", "what changed")
        for row in result.drift_rules:
            rows.add_row(row.id, row.level.value, row.description)
        out.print(rows)
    if not result.check_rules and not result.drift_rules:
        out.print("no rule id contains these words")
