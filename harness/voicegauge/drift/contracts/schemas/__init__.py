"""Comparing the JSON Schemas of two contracts."""

from voicegauge.drift.contracts.schemas.schema_comparison import compare_schemas

__all__ = ["compare_schemas"]
