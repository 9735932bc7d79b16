"""Contract against contract: any two OpenAPI documents, and what the `x-` keys add to them."""

from voicegauge.drift.contracts import extension_rules, operation_rules, schema_rules
from voicegauge.drift.contracts.document_comparison import compare_contracts
from voicegauge.drift.registry import register

__all__ = ["compare_contracts"]

for module in (operation_rules, schema_rules, extension_rules):
    register(module.rules())
