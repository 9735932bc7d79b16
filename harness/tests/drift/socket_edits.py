"""One AsyncAPI document, and an edit of it for each rule about WebSockets."""

from __future__ import annotations

from typing import Any

from ..builders.documents import REMOVED, Edit, put
from .operation_edits import B, C, OperationEdit, P

CHANNEL = "/channels/~1speak"
TEXT = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}, "speed": {"type": "number"}}}
DONE = {"type": "object", "required": ["done"], "properties": {"done": {"type": "boolean"}}}

BASE: dict[str, Any] = {
    "asyncapi": "2.6.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": {"main": {"url": "wss://api.acme.test", "protocol": "wss"}},
    "channels": {
        "/speak": {
            "bindings": {"ws": {"query": {"type": "object", "properties": {"model": {"type": "string"}}}}},
            "publish": {"message": {"oneOf": [{"name": "Text", "payload": TEXT}, {"name": "Stop", "payload": {}}]}},
            "subscribe": {
                "message": {
                    "oneOf": [
                        {"name": "Done", "payload": DONE},
                        {"name": "Audio", "payload": {"type": "string", "format": "binary"}},
                    ]
                }
            },
        },
        "/listen": {"publish": {"message": {"name": "Sound", "payload": {"type": "string", "format": "binary"}}}},
    },
}
CLIENT, SERVER = f"{CHANNEL}/publish/message/oneOf", f"{CHANNEL}/subscribe/message/oneOf"
DONE_FIELD = f"{SERVER}/0/payload/properties/done"
"""Places of the messages, and of a field."""


def _edit(where: str, rules: dict[str, str], *edits: Edit) -> OperationEdit:
    return OperationEdit(rules=rules, edits=edits, where=where)


SOCKET_EDITS: tuple[tuple[OperationEdit, bool], ...] = (
    (_edit("/listen", {"socket-channel-removed": B}, put("/channels/~1listen", REMOVED)), False),
    (_edit("/listen", {"socket-channel-added": C}, put("/channels/~1listen", REMOVED)), True),
    (_edit("/speak", {"socket-client-message-removed": B}, put(f"{CLIENT}/1", REMOVED)), False),
    (_edit("/speak", {"socket-client-message-added": C}, put(f"{CLIENT}/1", REMOVED)), True),
    (_edit("/speak", {"socket-server-message-removed": P}, put(f"{SERVER}/0", REMOVED)), False),
    (_edit("/speak", {"socket-server-message-added": P}, put(f"{SERVER}/0", REMOVED)), True),
    (_edit("/speak", {"socket-message-encoding-changed": B}, put(f"{SERVER}/1/payload", DONE)), False),
    (_edit("/speak", {"request-property-removed": P}, put(f"{CLIENT}/0/payload/properties/speed", REMOVED)), False),
    (_edit("/speak", {"new-optional-request-property": C}, put(f"{CLIENT}/0/payload/properties/speed", REMOVED)), True),
    (_edit("/speak", {"response-property-became-optional": B}, put(f"{SERVER}/0/payload/required", [])), False),
    (
        _edit(
            "/speak", {"response-property-type-changed": B}, put(f"{SERVER}/0/payload/properties/done/type", "string")
        ),
        False,
    ),
)
