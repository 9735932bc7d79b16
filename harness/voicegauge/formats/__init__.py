"""Wire and file formats, independent of contracts: bodies, locations in them, SSE, YAML with line numbers."""

from voicegauge.formats.bodies import Form, UnreadableBodyError, is_form, is_json, read_form, read_json
from voicegauge.formats.located_yaml import LOADER, Document, escape, read_document, unescape
from voicegauge.formats.locations import MISSING, Location, LocationKind, parse_location, read_pointer, write_pointer
from voicegauge.formats.sse import MEDIA_TYPE, Message, MessageParser

__all__ = [
    "LOADER",
    "MEDIA_TYPE",
    "MISSING",
    "Document",
    "Form",
    "Location",
    "LocationKind",
    "Message",
    "MessageParser",
    "UnreadableBodyError",
    "escape",
    "is_form",
    "is_json",
    "parse_location",
    "read_document",
    "read_form",
    "read_json",
    "read_pointer",
    "unescape",
    "write_pointer",
]
