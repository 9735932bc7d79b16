"""Pairs of documents that are written differently but mean the same, so that no change may be reported."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from drift_agreement.pair import DocumentPair, build_document

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
CAT: Schema = {"type": "object", "required": ["claw"], "properties": {"claw": TEXT, "name": TEXT}}
DOG: Schema = {"type": "object", "required": ["tail"], "properties": {"tail": TEXT}}

EQUIVALENT_SCHEMAS: list[tuple[Schema, Schema]] = [
    (TEXT, {**TEXT, "title": "Text", "description": "What is spoken", "examples": ["Hello"]}),
    (TEXT, {**TEXT, "minLength": 0}),
    (TEXT, {**TEXT, "pattern": ".*"}),
    (TEXT, {"type": ["string"]}),
    (TEXT, {"allOf": [TEXT]}),
    (TEXT, {"oneOf": [TEXT]}),
    (TEXT, {"anyOf": [TEXT]}),
    (TEXT, {"allOf": [TEXT, {"description": "Nothing else"}]}),
    (TEXT, {**TEXT, "deprecated": False, "readOnly": False}),
    ({**TEXT, "enum": ["a", "b"]}, {**TEXT, "enum": ["b", "a"]}),
    ({**TEXT, "const": "a"}, {**TEXT, "enum": ["a"]}),
    ({"type": ["string", "null"]}, {"anyOf": [TEXT, {"type": "null"}]}),
    ({"type": ["string", "null"]}, {"oneOf": [{"type": "null"}, TEXT]}),
    ({"type": ["string", "boolean"]}, {"type": ["boolean", "string"]}),
    ({"type": ["string", "boolean"]}, {"oneOf": [TEXT, {"type": "boolean"}]}),
    ({"type": "number", "maximum": 4}, {"type": "number", "maximum": 4.0}),
    ({"type": "array", "items": TEXT}, {"type": "array", "items": TEXT, "minItems": 0, "uniqueItems": False}),
    ({"type": "array", "contains": TEXT}, {"type": "array", "contains": TEXT, "minContains": 1}),
    ({"type": "array", "items": TEXT}, {"type": "array", "items": TEXT, "minContains": 3}),
    (CAT, {**CAT, "additionalProperties": True}),
    (CAT, {**CAT, "properties": {"name": TEXT, "claw": TEXT}}),
    (CAT, {"allOf": [{"type": "object", "required": ["claw"]}, {"properties": CAT["properties"]}]}),
    ({"oneOf": [CAT, DOG]}, {"oneOf": [DOG, CAT]}),
    ({"anyOf": [CAT, DOG]}, {"anyOf": [DOG, {**CAT, "title": "Cat"}]}),
    ({"oneOf": [CAT, DOG]}, {"oneOf": [CAT, {"allOf": [DOG]}]}),
    ({"allOf": [CAT, DOG]}, {"allOf": [DOG, CAT]}),
]
"""Two schemas that allow the same values."""


def build_equivalent_pairs() -> Iterator[DocumentPair]:
    """Yield pairs of documents in which equivalent schemas are sent, received, and used by a parameter."""
    for old, new in EQUIVALENT_SCHEMAS:
        yield DocumentPair("", _build_everywhere(old), _build_everywhere(new))
        yield DocumentPair("", _build_everywhere(new), _build_everywhere(old))


def _build_everywhere(schema: Schema) -> dict[str, Any]:
    content = {"content": {"application/json": {"schema": {"type": "object", "properties": {"p": schema}}}}}
    return build_document(
        {
            "parameters": [{"in": "query", "name": "q", "schema": schema}],
            "requestBody": content,
            "responses": {"200": {"description": "A", "headers": {"X-H": {"schema": schema}}, **content}},
        }
    )
