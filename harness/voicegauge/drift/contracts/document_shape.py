"""Checks that those parts of an OpenAPI document that a comparison reads are mappings or lists, as OpenAPI requires.

Nothing else is checked, because few published documents are valid in every detail.
"""

from __future__ import annotations

from typing import Any

from voicegauge.drift.contracts.operations import HTTP_METHODS
from voicegauge.errors import ContractError
from voicegauge.formats import Document, escape_pointer_token

_Shape = dict[str, Any] | list[Any]
"""The structure that a value must have. If the shape is a dictionary, the value must be a mapping; the dictionary has
the shape of the value of each key, and "*" stands for all other keys. If the shape is a list, the value must be a list;
the shape has one item, which is the shape of all items of the value."""
_ANY_MAPPING_SHAPE: _Shape = {}
_CONTENT_SHAPE: _Shape = {"*": _ANY_MAPPING_SHAPE}
_RESPONSE_SHAPE: _Shape = {
    "headers": {"*": _ANY_MAPPING_SHAPE},
    "content": _CONTENT_SHAPE,
    "links": {"*": _ANY_MAPPING_SHAPE},
}
_OPERATION_SHAPE: _Shape = {
    "parameters": [_ANY_MAPPING_SHAPE],
    "requestBody": {"content": _CONTENT_SHAPE},
    "responses": {"*": _RESPONSE_SHAPE},
    "callbacks": {"*": _ANY_MAPPING_SHAPE},
    "servers": [_ANY_MAPPING_SHAPE],
    "security": [_ANY_MAPPING_SHAPE],
}
_PATH_ITEM_SHAPE: _Shape = {
    "parameters": [_ANY_MAPPING_SHAPE],
    "servers": [_ANY_MAPPING_SHAPE],
    **dict.fromkeys(HTTP_METHODS, _OPERATION_SHAPE),
}
_DOCUMENT_SHAPE: _Shape = {
    "info": _ANY_MAPPING_SHAPE,
    "servers": [_ANY_MAPPING_SHAPE],
    "security": [_ANY_MAPPING_SHAPE],
    "paths": {"*": _PATH_ITEM_SHAPE},
    "webhooks": {"*": _PATH_ITEM_SHAPE},
    "components": {"*": _ANY_MAPPING_SHAPE, "securitySchemes": {"*": _ANY_MAPPING_SHAPE}},
}


def check_document_shape(document: Document) -> None:
    """Check that the parts of an OpenAPI 3 document are mappings or lists where OpenAPI requires them.

    `null` counts as absent. References are not followed.

    Raises:
        ContractError: a part has another type, or the document has neither paths nor webhooks nor components.
    """
    if all(document.data.get(key) is None for key in ("paths", "webhooks", "components")):
        raise document.build_error("", "describes no API: it has neither 'paths' nor 'webhooks' nor 'components'")
    _check_shape(document, "", document.data, _DOCUMENT_SHAPE)


def _check_shape(document: Document, pointer: str, value: Any, required_shape: _Shape) -> None:
    if value is None:
        return
    if isinstance(required_shape, list):
        if not isinstance(value, list):
            raise _build_shape_error(document, pointer, value, "a list")
        for index, item in enumerate(value):
            _check_shape(document, f"{pointer}/{index}", item, required_shape[0])
        return
    if not isinstance(value, dict):
        raise _build_shape_error(document, pointer, value, "a mapping")
    for key, item in value.items() if required_shape else ():
        nested = required_shape.get(key, None if key.startswith("x-") else required_shape.get("*"))
        if nested is not None:
            _check_shape(document, f"{pointer}/{escape_pointer_token(key)}", item, nested)


def _build_shape_error(document: Document, pointer: str, value: Any, expected_type: str) -> ContractError:
    kind = {bool: "a boolean", str: "a text", dict: "a mapping", list: "a list"}.get(type(value), "a number")
    return document.build_error(pointer, f"is not valid OpenAPI: {pointer} must be {expected_type}, not {kind}")
