"""Compares the JSON Schemas of two OpenAPI documents."""

from voicegauge.drift.contracts.schemas.schema_comparison import compare_schemas

__all__ = ["compare_schemas"]
