"""Compares two OpenAPI 3 documents, including their `x-` extensions if both are voicegauge contracts."""

from voicegauge.drift.contracts import extension_rules, operation_rules, schema_rules
from voicegauge.drift.contracts.document_comparison import compare_contracts, compare_operations_with_official_document
from voicegauge.drift.contracts.operations import HTTP_METHODS, OperationKey, build_operation_key
from voicegauge.drift.rule_registry import register_rules

__all__ = [
    "HTTP_METHODS",
    "OperationKey",
    "build_operation_key",
    "compare_contracts",
    "compare_operations_with_official_document",
]

for module in (operation_rules, schema_rules, extension_rules):
    register_rules(module.build_rules())
