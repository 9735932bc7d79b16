"""`voicegauge explain`: explain a rule, with examples of traffic that conforms to it and that violates it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from voicegauge.cli._commands import command_of
from voicegauge.cli._console import create_console, show_result
from voicegauge.cli._output_options import JsonOutput
from voicegauge.options import Completion, argument, request

if TYPE_CHECKING:
    from voicegauge.api.listings import RuleExplanation


@request
class ExplainOptions(JsonOutput):
    """Which rule to explain."""

    rule: str | None = argument(kw_only=False, default=None, help="Id of a rule.", completion=Completion.RULE)


@command_of("explain", ExplainOptions)
def command(options: ExplainOptions) -> None:
    """Explain a rule: what it proves, why it matters, what keeps and what breaks it.

    RULE is the id of a rule of `check` or `drift`, as findings name it. Without RULE, all rules
    are listed, as by `voicegauge rules`.
    """
    from voicegauge.api.listings import explain_rule, list_rules

    if options.rule is None:
        from voicegauge.cli.rules import print_rules

        listed = list_rules()
        show_result(listed, options.json_path, lambda: print_rules(listed, includes_drift_rules=False))
        return
    explanation = explain_rule(options.rule)
    show_result(explanation, options.json_path, lambda: _print_explanation(explanation))


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
