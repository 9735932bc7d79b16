"""Creates the rules for the `x-` extensions of contracts from the tables of facts."""

from __future__ import annotations

from collections.abc import Iterable

from voicegauge.drift.contracts.extension_facts import (
    BATCH_FACTS,
    CHAT_FACTS,
    CONVERSION_FACTS,
    IDEMPOTENCY_FACTS,
    JOB_FACTS,
    KEY_FACTS,
    LIMITS_FACTS,
    PRICING_FACTS,
    PROVIDER_FACTS,
    RESOURCE_FACTS,
    SPEECH_FACTS,
    STREAM_FACTS,
    SUBMIT_FACTS,
    TRANSCRIPTION_FACTS,
    WEBHOOK_FACTS,
)
from voicegauge.drift.registry import DriftRule

_FACT_TABLES = (
    PROVIDER_FACTS,
    KEY_FACTS,
    LIMITS_FACTS,
    JOB_FACTS,
    SPEECH_FACTS,
    STREAM_FACTS,
    WEBHOOK_FACTS,
    IDEMPOTENCY_FACTS,
    SUBMIT_FACTS,
    RESOURCE_FACTS,
    BATCH_FACTS,
    CHAT_FACTS,
    TRANSCRIPTION_FACTS,
    CONVERSION_FACTS,
    PRICING_FACTS,
)


def build_rules() -> Iterable[DriftRule]:
    """Return all rules about extensions. Facts with the same `rule_id_prefix` share their rules."""
    found = {}
    for fact in (fact for table in _FACT_TABLES for fact in table):
        for difference, level in fact.level_by_difference.items():
            rule_id = f"{fact.rule_id_prefix}-{difference}"
            found[rule_id] = DriftRule(rule_id, level, fact.describe_difference(difference), "contracts")
    return found.values()
