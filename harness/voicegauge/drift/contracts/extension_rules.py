"""Creates the rules for the `x-` extensions of contracts from the tables of facts."""

from __future__ import annotations

from collections.abc import Iterable

from voicegauge.drift.contracts.extension_comparison import iterate_extension_facts
from voicegauge.drift.rule_registry import DriftRule


def build_rules() -> Iterable[DriftRule]:
    """Return all rules about extensions. Facts with the same `rule_id_prefix` share their rules."""
    found = {}
    for fact in iterate_extension_facts():
        for difference, level in fact.level_by_difference.items():
            rule_id = f"{fact.rule_id_prefix}-{difference}"
            found[rule_id] = DriftRule(rule_id, level, fact.describe_difference(difference), "contracts")
    return found.values()
