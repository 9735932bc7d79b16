"""`voicegauge rules`: every check, what it proves and how bad it is."""

from __future__ import annotations

import click

from voicegauge.cli.options import json_option
from voicegauge.cli.output import console, table, write_json
from voicegauge.model import Record, Severity


class RuleRow(Record, frozen=True, kw_only=True):
    """One rule as `--json` shows it."""

    id: str
    severity: Severity
    proves: str
    """One sentence: what holds where the rule finds nothing."""
    basis: str
    """The statements of a contract that it rests on."""
    subject: str
    """What it looks at: "call", "callback", "trail" (a job), "delivered" (audio) or "outcome" (a planned case)."""


class RuleList(Record, frozen=True, kw_only=True):
    """All that `voicegauge rules --json` writes."""

    schema: str = "voicegauge/rules/1"
    rules: tuple[RuleRow, ...]


@click.command("rules")
@json_option
def command(json_to: str | None) -> None:
    """Every check: what it proves and how bad it is."""
    from voicegauge.checks import RULES

    result = RuleList(
        rules=tuple(
            RuleRow(
                id=rule.id,
                severity=rule.severity,
                proves=rule.proves,
                basis=rule.basis,
                subject=rule.subject.__name__.lower(),
            )
            for rule in RULES.values()
        )
    )
    if json_to:
        write_json(result, json_to)
    if json_to != "-":
        shown = table("rule", "severity", "what it proves")
        for rule in result.rules:
            shown.add_row(rule.id, rule.severity.value, rule.proves)
        console().print(shown)
