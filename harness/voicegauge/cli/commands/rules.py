"""`voicegauge rules`: every check and every rule of drift."""

from __future__ import annotations

import click

from voicegauge.cli.console import console, table, write_json
from voicegauge.cli.options import json_option
from voicegauge.drift import DriftComparison, DriftLevel
from voicegauge.model import Record, Severity


class RuleRow(Record, frozen=True, kw_only=True):
    """One check as `--json` shows it."""

    id: str
    severity: Severity
    proves: str
    """One sentence: what holds where the rule finds nothing."""
    basis: str
    """The statements of a contract that it rests on."""
    subject: str
    """What it looks at: "call", "trail" (a job), "delivered" (audio) or "outcome" (a planned case)."""


class DriftRow(Record, frozen=True, kw_only=True):
    """One rule of drift as `--json` shows it."""

    id: str
    level: DriftLevel
    description: str
    """One sentence about the newer side."""
    comparison: DriftComparison


class RuleList(Record, frozen=True, kw_only=True):
    """All that `voicegauge rules --json` writes."""

    schema: str = "voicegauge/rules/2"
    rules: tuple[RuleRow, ...]
    drift: tuple[DriftRow, ...]


@click.command("rules")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@json_option
def command(words: tuple[str, ...], json_to: str | None) -> None:
    """Every check: what it proves and how bad it is.

    With WORDs, the checks and the rules of drift whose ids contain them all; "drift" alone
    stands for every rule of drift.
    """
    checks = tuple(row for row in _checks() if _has(row.id, words))
    drift = tuple(row for row in _drift() if _has(f"drift {row.id}", words))
    result = RuleList(rules=checks, drift=drift)
    if json_to:
        write_json(result, json_to)
    if json_to != "-":
        _print(result, with_drift=bool(words))


def _has(text: str, words: tuple[str, ...]) -> bool:
    return all(word in text for word in words)


def _checks() -> tuple[RuleRow, ...]:
    from voicegauge.checks import RULES

    return tuple(
        RuleRow(
            id=rule.id,
            severity=rule.severity,
            proves=rule.proves,
            basis=rule.basis,
            subject=rule.subject.__name__.lower(),
        )
        for rule in RULES.values()
    )


def _drift() -> tuple[DriftRow, ...]:
    from voicegauge.drift import DRIFT_RULES

    rules = DRIFT_RULES.values()
    return tuple(DriftRow(id=r.id, level=r.level, description=r.description, comparison=r.comparison) for r in rules)


def _print(result: RuleList, *, with_drift: bool) -> None:
    out = console()
    if result.rules:
        shown = table("rule", "severity", "what it proves")
        for rule in result.rules:
            shown.add_row(rule.id, rule.severity.value, rule.proves)
        out.print(shown)
    if not with_drift:
        out.print(f"and {len(result.drift):,} rules of drift: voicegauge rules drift, or words of their ids")
    elif result.drift:
        shown = table("rule of drift", "level", "what is different")
        for row in result.drift:
            shown.add_row(row.id, row.level.value, row.description)
        out.print(shown)
    if not result.rules and not result.drift:
        out.print("no rule has these words in its id")
