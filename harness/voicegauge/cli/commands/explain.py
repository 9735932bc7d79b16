"""`voicegauge explain`: explain a rule, with examples of traffic that conforms to it and that violates it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from voicegauge.cli.console import create_console, show_result
from voicegauge.cli.options import add_json_option

if TYPE_CHECKING:
    from voicegauge.api import RuleExplanation


@click.command("explain")
@click.argument("rule", required=False)
@add_json_option
def command(rule: str | None, json_path: str | None) -> None:
    """Explain a rule: what it proves, why it matters, what keeps and what breaks it.

    RULE is the id of a rule of `check` or `drift`, as findings name it. Without RULE, all rules
    are listed, as by `voicegauge rules`.
    """
    from voicegauge import api

    if rule is None:
        from voicegauge.cli.commands.rules import print_rules

        listed = api.list_rules()
        show_result(listed, json_path, lambda: print_rules(listed, includes_drift_rules=False))
        return
    explanation = api.explain_rule(rule)
    show_result(explanation, json_path, lambda: _print_explanation(explanation))


def _print_explanation(explanation: RuleExplanation) -> None:
    from rich.table import Table
    from rich.text import Text

    out = create_console()
    out.print(Text.assemble((explanation.id, "bold"), f" ({explanation.severity})"))
    out.print(explanation.description, soft_wrap=True)
    rows = Table.grid(padding=(0, 2))
    rows.add_column(no_wrap=True, style="bold")
    rows.add_column(overflow="fold")
    lines = {
        "why": explanation.consequence,
        "keeps it": explanation.conforming_example,
        "breaks it": explanation.violating_example,
        "reads": explanation.contract_condition,
    }
    for label, text in lines.items():
        if text is not None:
            rows.add_row(label, text)
    out.print()
    out.print(rows)
    if explanation.violation_command is not None:
        out.print(f"\nsee it found: {explanation.violation_command}", soft_wrap=True)
