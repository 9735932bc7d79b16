"""`voicegauge rules`: list the rules of `check` and `drift`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, create_table, print_table, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.options import argument, request

if TYPE_CHECKING:
    from voicegauge.api.listings import RuleList


@request
class RulesOptions(JsonOutput):
    """Which rules to list."""

    words: Sequence[str] = argument(
        kw_only=False, default=(), help="Words that the ids of rules contain.", metavar="[WORD]..."
    )


@command_of("rules", RulesOptions)
def command(options: RulesOptions) -> None:
    """List every rule: what it proves and how severe it is.

    With WORDs, only rules whose ids contain all of the WORDs are listed. The WORD "drift"
    alone lists every rule of `voicegauge drift`.
    """
    from voicegauge.api.listings import list_rules

    result = list_rules(options.words)
    show_result(result, options.json_path, lambda: print_rules(result, includes_drift_rules=bool(options.words)))


def print_rules(result: RuleList, *, includes_drift_rules: bool) -> None:
    """Print the rules as tables; without `includes_drift_rules`, only the number of the rules of `drift`."""
    out = create_console()
    if result.check_rules:
        rows = create_table("rule", "severity", "what it proves")
        for rule in result.check_rules:
            rows.add_row(rule.id, rule.severity.value, rule.description)
        print_table(out, rows)
    if not includes_drift_rules:
        out.print(f"and {len(result.drift_rules):,} rules of drift: voicegauge rules drift, or words of their ids")
    elif result.drift_rules:
        rows = create_table("rule of drift", "level", "what changed")
        for row in result.drift_rules:
            rows.add_row(row.id, row.level.value, row.description)
        print_table(out, rows)
    if not result.check_rules and not result.drift_rules:
        out.print("no rule id contains these words")
