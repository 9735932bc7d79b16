"""Contract against contract: any two OpenAPI documents, and what the `x-` keys add to them."""

from voicegauge.drift.contracts import key_rules, operation_rules, schema_rules
from voicegauge.drift.contracts.comparing import compare_contracts
from voicegauge.drift.registry import register

__all__ = ["compare_contracts"]

for module in (operation_rules, schema_rules, key_rules):
    register(module.rules())
