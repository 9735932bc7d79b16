"""Parses requests as the contract documents them, and provides helpers for ids, timestamps and schema values."""

from voicegauge.emulator.http.aws_signatures import has_valid_signature
from voicegauge.emulator.http.body_values import (
    can_have_value_at,
    is_location_documented,
    read_value_at,
    write_value_at,
)
from voicegauge.emulator.http.documented_values import find_default_value, has_default_value, is_documented_value
from voicegauge.emulator.http.ids_and_times import (
    DEFAULT_ID_TEMPLATE,
    create_seeded_random,
    fill_random_hex,
    format_time_like_example,
)
from voicegauge.emulator.http.request import IncomingRequest, ParsedRequest, Rejection
from voicegauge.emulator.http.request_validation import iterate_uploaded_files, parse_request
from voicegauge.emulator.http.schema_values import PLACEHOLDER_URL, SchemaValueBuilder, iterate_schemas_at

__all__ = [
    "DEFAULT_ID_TEMPLATE",
    "PLACEHOLDER_URL",
    "IncomingRequest",
    "ParsedRequest",
    "Rejection",
    "SchemaValueBuilder",
    "can_have_value_at",
    "create_seeded_random",
    "fill_random_hex",
    "find_default_value",
    "format_time_like_example",
    "has_default_value",
    "has_valid_signature",
    "is_documented_value",
    "is_location_documented",
    "iterate_schemas_at",
    "iterate_uploaded_files",
    "parse_request",
    "read_value_at",
    "write_value_at",
]
