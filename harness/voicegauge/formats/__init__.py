"""Data formats, independent of contracts: JSON and form bodies, locations in them, SSE, YAML with line numbers."""

from voicegauge.formats.bodies import Form, UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.formats.located_yaml import LOADER, Document, escape, read_document, unescape
from voicegauge.formats.locations import (
    MISSING,
    EventLocation,
    Location,
    LocationKind,
    LocationValues,
    RequestValues,
    decode_location,
    encode_location,
    parse_event_location,
    parse_location,
    read_pointer,
    write_pointer,
)
from voicegauge.formats.sse import MEDIA_TYPE, Message, MessageParser

__all__ = [
    "LOADER",
    "MEDIA_TYPE",
    "MISSING",
    "Document",
    "EventLocation",
    "Form",
    "Location",
    "LocationKind",
    "LocationValues",
    "Message",
    "MessageParser",
    "RequestValues",
    "UnreadableBodyError",
    "decode_location",
    "encode_location",
    "escape",
    "is_form",
    "is_json",
    "parse_event_location",
    "parse_location",
    "read_document",
    "read_form",
    "read_json",
    "read_pointer",
    "unescape",
    "write_pointer",
]
