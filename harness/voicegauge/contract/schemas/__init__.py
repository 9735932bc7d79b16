"""Validates values against the JSON Schemas of a document, and answers what a schema allows."""

from voicegauge.contract.schemas.document_schemas import (
    MAX_REASON_CHARACTERS,
    Schemas,
    describe_unusable_reference,
    format_json_pointer,
)
from voicegauge.contract.schemas.schema_values import (
    allows_location,
    find_matching_branch,
    find_max_length,
    list_choices,
    parse_text_value,
)
from voicegauge.contract.schemas.schema_violations import SchemaViolation

__all__ = [
    "MAX_REASON_CHARACTERS",
    "SchemaViolation",
    "Schemas",
    "allows_location",
    "describe_unusable_reference",
    "find_matching_branch",
    "find_max_length",
    "format_json_pointer",
    "list_choices",
    "parse_text_value",
]
