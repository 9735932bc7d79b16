"""Parses requests as the contract documents them, and provides helpers for ids, timestamps and schema values."""

from voicegauge.emulator.http.body_values import has_location, is_location_documented, read_at, write_at
from voicegauge.emulator.http.documented_values import default_value_at, is_documented_value
from voicegauge.emulator.http.id_formats import DEFAULT_ID, fill_random_hex, format_timestamp, seeded_random
from voicegauge.emulator.http.request import IncomingRequest, ParsedRequest, Rejection
from voicegauge.emulator.http.request_validation import parse_request, uploaded_files
from voicegauge.emulator.http.schema_values import PLACEHOLDER_URL, SchemaValueBuilder, schemas_at

__all__ = [
    "DEFAULT_ID",
    "PLACEHOLDER_URL",
    "IncomingRequest",
    "ParsedRequest",
    "Rejection",
    "SchemaValueBuilder",
    "default_value_at",
    "fill_random_hex",
    "format_timestamp",
    "has_location",
    "is_documented_value",
    "is_location_documented",
    "parse_request",
    "read_at",
    "schemas_at",
    "seeded_random",
    "uploaded_files",
    "write_at",
]
