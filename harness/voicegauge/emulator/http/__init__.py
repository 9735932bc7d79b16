"""Requests and responses of the emulator, built from contracts."""

from voicegauge.emulator.http.id_formats import DEFAULT_ID, fill_hex, seeded, stamp
from voicegauge.emulator.http.request import Call, Incoming, Refusal
from voicegauge.emulator.http.request_validation import read_call, uploads
from voicegauge.emulator.http.schema_values import Shaper, schemas_at

__all__ = [
    "DEFAULT_ID",
    "Call",
    "Incoming",
    "Refusal",
    "Shaper",
    "fill_hex",
    "read_call",
    "schemas_at",
    "seeded",
    "stamp",
    "uploads",
]
