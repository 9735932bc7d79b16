"""Requests and responses of the emulator, built from contracts."""

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
    "parse_request",
    "schemas_at",
    "seeded_random",
    "uploaded_files",
]
