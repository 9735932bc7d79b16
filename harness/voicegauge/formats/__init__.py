"""Reads data formats independently of contracts: JSON and form bodies, locations, SSE, YAML with line numbers."""

from voicegauge.formats.bodies import (
    MAX_JSON_NODES,
    Form,
    UnreadableBodyError,
    count_json_nodes,
    decode_base64,
    is_form,
    is_json,
    is_utf8,
    read_form,
    read_json,
)
from voicegauge.formats.json_excerpts import quote_json
from voicegauge.formats.json_lines import JSON_LINES_MEDIA_TYPE, JsonLinesParser
from voicegauge.formats.located_yaml import (
    YAML_LOADER,
    Document,
    SourcePosition,
    escape_pointer_token,
    read_document,
    unescape_pointer_token,
)
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
from voicegauge.formats.sse import EVENT_STREAM_MEDIA_TYPE, Message, MessageParser
from voicegauge.formats.type_errors import describe_type, explain_type_error

__all__ = [
    "EVENT_STREAM_MEDIA_TYPE",
    "JSON_LINES_MEDIA_TYPE",
    "MAX_JSON_NODES",
    "MISSING",
    "YAML_LOADER",
    "Document",
    "EventLocation",
    "Form",
    "JsonLinesParser",
    "Location",
    "LocationKind",
    "LocationValues",
    "Message",
    "MessageParser",
    "RequestValues",
    "SourcePosition",
    "UnreadableBodyError",
    "count_json_nodes",
    "decode_base64",
    "decode_location",
    "describe_type",
    "encode_location",
    "escape_pointer_token",
    "explain_type_error",
    "is_form",
    "is_json",
    "is_utf8",
    "parse_event_location",
    "parse_location",
    "quote_json",
    "read_document",
    "read_form",
    "read_json",
    "read_pointer",
    "unescape_pointer_token",
    "write_pointer",
]
