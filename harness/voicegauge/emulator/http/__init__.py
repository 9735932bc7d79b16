"""Requests as received and as parsed by the contract, with helpers for ids, timestamps and schema values."""

from voicegauge.emulator.http.body_values import has_location, read_at, write_at
from voicegauge.emulator.http.id_formats import DEFAULT_ID, fill_random_hex, format_timestamp, seeded_random
from voicegauge.emulator.http.request import IncomingRequest, ParsedRequest, Rejection
from voicegauge.emulator.http.request_validation import parse_request, uploaded_files
from voicegauge.emulator.http.schema_values import SchemaValueBuilder, schemas_at

__all__ = [
    "DEFAULT_ID",
    "IncomingRequest",
    "ParsedRequest",
    "Rejection",
    "SchemaValueBuilder",
    "fill_random_hex",
    "format_timestamp",
    "has_location",
    "parse_request",
    "read_at",
    "schemas_at",
    "seeded_random",
    "uploaded_files",
    "write_at",
]
