"""Two schemas for each action of the schema rules, with the levels for sent and for received values."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

B, P, C = "breaking", "possibly-breaking", "compatible"
TEXT: dict[str, Any] = {"type": "string"}
NUMBER: dict[str, Any] = {"type": "number"}
LIST: dict[str, Any] = {"type": "array", "items": TEXT}
OBJECT: dict[str, Any] = {"type": "object"}
CAT = {"type": "object", "required": ["claw"], "properties": {"claw": TEXT}}
DOG = {"type": "object", "required": ["tail"], "properties": {"tail": TEXT}}
COW = {"type": "object", "required": ["horn"], "properties": {"horn": TEXT}}

POSITIONS = {
    "request-body": lambda schema: {"requestBody": _content(schema)},
    "request-property": lambda schema: {"requestBody": _content(_holding(schema))},
    "request-parameter": lambda schema: {"parameters": [{"in": "query", "name": "q", "schema": schema}]},
    "request-parameter-property": lambda schema: {
        "parameters": [{"in": "query", "name": "q", "schema": _holding(schema)}]
    },
    "response-body": lambda schema: {"responses": {"200": _content(schema)}},
    "response-property": lambda schema: {"responses": {"200": _content(_holding(schema))}},
    "response-header": lambda schema: {"responses": {"200": {"headers": {"X-Rate": {"schema": schema}}}}},
    "callback-body": lambda schema: _callback({"requestBody": _content(schema)}),
    "callback-property": lambda schema: _callback({"requestBody": _content(_holding(schema))}),
    "callback-parameter": lambda schema: _callback({"parameters": [{"in": "header", "name": "X", "schema": schema}]}),
}
"""Builders of an operation with a schema, by the start of the rule ids for that position."""
HOLDERS = {
    "request-property": "request-body",
    "request-parameter-property": "request-parameter",
    "response-property": "response-body",
    "callback-property": "callback-body",
}
"""The position of an object whose properties are of the kind in the key."""


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _holding(schema: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {"p": schema}}


def _callback(operation: dict[str, Any]) -> dict[str, Any]:
    return {"callbacks": {"done": {"{$request.body#/url}": {"post": operation}}}}


def document(place: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Return a document with `schema` at one of `POSITIONS`."""
    operation = {"operationId": "speak", **POSITIONS[place](schema)}
    return {"openapi": "3.1.0", "info": {"title": "Acme", "version": "1"}, "paths": {"/speak": {"post": operation}}}


def document_of(schemas: dict[str, dict[str, Any]], media_type: str = "application/json") -> dict[str, Any]:
    """Return a document with a schema at several positions, one operation each, and bodies of `media_type`."""
    operations = {place: {"operationId": place, **POSITIONS[place](schema)} for place, schema in schemas.items()}
    paths = {f"/{place}": {"post": operation} for place, operation in operations.items()}
    document = {"openapi": "3.1.0", "info": {"title": "Acme", "version": "1"}, "paths": paths}
    changed: dict[str, Any] = json.loads(json.dumps(document).replace("application/json", media_type))
    return changed


def is_sent(place: str) -> bool:
    """Whether the client sends the value at this position."""
    return place.startswith("request")


class SchemaEdit(NamedTuple):
    """A schema before and after."""

    action: str
    """The end of the rule's id."""
    sent: str
    """The level where the client sends the value."""
    read: str
    """The level where the client reads it."""
    old: dict[str, Any]
    new: dict[str, Any]
    places: tuple[str, ...] = ()
    """The positions that have this rule; empty if all have it."""
    media_type: str = "application/json"


def _bound(name: str, keyword: str, base: dict[str, Any], *, upper: bool) -> list[SchemaEdit]:
    """A bound at 8 and at 9; raising an upper one lets more values through, raising a lower one fewer."""
    more, fewer = (C, B), (B, C)
    low, high = {**base, keyword: 8}, {**base, keyword: 9}
    return [
        SchemaEdit(f"{name}-increased", *(more if upper else fewer), low, high),
        SchemaEdit(f"{name}-decreased", *(fewer if upper else more), high, low),
        SchemaEdit(f"{name}-set", P, C, base, low),
        SchemaEdit(f"{name}-unset", *more, low, base),
    ]


def _narrowing(name: str, base: dict[str, Any], one: dict[str, Any], other: dict[str, Any]) -> list[SchemaEdit]:
    """A keyword that refuses values: added, removed, changed."""
    return [
        SchemaEdit(f"{name}-added", B, C, base, {**base, **one}),
        SchemaEdit(f"{name}-removed", C, B, {**base, **one}, base),
        SchemaEdit(f"{name}-changed", B, B, {**base, **one}, {**base, **other}),
    ]


def _inside_subschemas() -> list[SchemaEdit]:
    """A shorter text below each keyword whose subschema is compared inside, for the value itself or one in it."""
    long, short = {"maxLength": 9}, {"maxLength": 8}
    edits = [("then", TEXT, long, short), ("else", TEXT, long, short)]
    names = {"a": long}, {"a": short}
    edits += [("dependentSchemas", TEXT, *names), ("patternProperties", OBJECT, *names)]
    edits += [(keyword, OBJECT, long, short) for keyword in ("propertyNames", "unevaluatedProperties")]
    edits += [
        ("contentSchema", TEXT, long, short),
        ("contains", LIST, long, short),
        ("unevaluatedItems", LIST, long, short),
    ]
    same_value = ("then", "else", "dependentSchemas")
    return [
        SchemaEdit(
            "max-length-decreased",
            B,
            C,
            {**base, keyword: one},
            {**base, keyword: other},
            () if keyword in same_value else tuple(HOLDERS),
        )
        for keyword, base, one, other in edits
    ]


def _noted(name: str, base: dict[str, Any], one: dict[str, Any], other: dict[str, Any]) -> list[SchemaEdit]:
    """A keyword that refuses nothing."""
    both = {**base, **one}
    return [
        SchemaEdit(f"{name}-added", C, C, base, both),
        SchemaEdit(f"{name}-removed", C, C, both, base),
        SchemaEdit(f"{name}-changed", C, C, both, {**base, **other}),
    ]


def _mapping(**named: str) -> dict[str, Any]:
    mapping = {"mapping": {key: f"#/{value}" for key, value in named.items()}} if named else {}
    return {"discriminator": {"propertyName": "kind", **mapping}}


_SENT = ("request-body", "request-property", "request-parameter", "request-parameter-property")
_RECEIVED = ("response-body", "response-property", "callback-body", "callback-property")
_IN_JSON = ("request-body", "request-property", "request-parameter", *_RECEIVED)
_TEXT_OR_JSON = (*_IN_JSON, "response-header", "callback-parameter")
_SUNSET = ("request-property", "response-property")
_CONTAINS = {"type": "array", "contains": {"type": "string"}}
_BOTH = {"oneOf": [CAT, DOG]}
_ANY = {"anyOf": [CAT, DOG]}

SCHEMA_EDITS = [
    *_bound("max", "maximum", NUMBER, upper=True),
    *_bound("min", "minimum", NUMBER, upper=False),
    *_bound("exclusive-max", "exclusiveMaximum", NUMBER, upper=True),
    *_bound("exclusive-min", "exclusiveMinimum", NUMBER, upper=False),
    *_bound("max-length", "maxLength", TEXT, upper=True),
    *_bound("min-length", "minLength", TEXT, upper=False),
    *_bound("max-items", "maxItems", LIST, upper=True),
    *_bound("min-items", "minItems", LIST, upper=False),
    *_bound("max-properties", "maxProperties", OBJECT, upper=True),
    *_bound("min-properties", "minProperties", OBJECT, upper=False),
    *_bound("max-contains", "maxContains", _CONTAINS, upper=True),
    SchemaEdit("min-contains-increased", B, C, {**_CONTAINS, "minContains": 1}, {**_CONTAINS, "minContains": 2}),
    SchemaEdit("min-contains-increased", B, C, _CONTAINS, {**_CONTAINS, "minContains": 2}),
    SchemaEdit("min-contains-decreased", C, B, {**_CONTAINS, "minContains": 2}, _CONTAINS),
    SchemaEdit("contains-added", B, C, LIST, {**LIST, "contains": TEXT, "minContains": 2, "maxContains": 3}),
    *_narrowing("not", TEXT, {"not": {"const": "a"}}, {"not": {"const": "b"}}),
    *_narrowing("if", OBJECT, {"if": {"required": ["a"]}}, {"if": {"required": ["b"]}}),
    *_narrowing("then", OBJECT, {"then": {"required": ["a"]}}, {"then": False}),
    *_narrowing("else", OBJECT, {"else": {"required": ["a"]}}, {"else": False}),
    *_narrowing("contains", LIST, {"contains": TEXT, "maxContains": 1}, {"contains": NUMBER, "maxContains": 1}),
    *_narrowing("property-names", OBJECT, {"propertyNames": {"maxLength": 3}}, {"propertyNames": False}),
    *_narrowing("unevaluated-items", LIST, {"unevaluatedItems": False}, {"unevaluatedItems": TEXT}),
    *_narrowing("unevaluated-properties", OBJECT, {"unevaluatedProperties": False}, {"unevaluatedProperties": TEXT}),
    *_narrowing("content-schema", TEXT, {"contentSchema": TEXT}, {"contentSchema": False}),
    *_narrowing("pattern-property", OBJECT, {"patternProperties": {"^a": TEXT}}, {"patternProperties": {"^a": False}}),
    *_narrowing("dependent-schema", OBJECT, {"dependentSchemas": {"a": CAT}}, {"dependentSchemas": {"a": False}}),
    *_inside_subschemas(),
    *_narrowing("const", TEXT, {"const": "a"}, {"const": "b"}),
    *_narrowing("multiple-of", NUMBER, {"multipleOf": 2}, {"multipleOf": 3}),
    *_narrowing("dependent-required", OBJECT, {"dependentRequired": {"a": ["b"]}}, {"dependentRequired": {"a": ["c"]}}),
    SchemaEdit("pattern-added", B, C, TEXT, {**TEXT, "pattern": "^a"}),
    SchemaEdit("pattern-removed", C, C, {**TEXT, "pattern": "^a"}, TEXT),
    SchemaEdit("pattern-generalized", C, C, {**TEXT, "pattern": "^a"}, {**TEXT, "pattern": ".*"}, _SENT),
    SchemaEdit("pattern-changed", P, C, {**TEXT, "pattern": "^a"}, {**TEXT, "pattern": ".*"}, _RECEIVED),
    SchemaEdit("pattern-added", B, C, {**TEXT, "pattern": ".*"}, {**TEXT, "pattern": "^a"}),
    SchemaEdit("pattern-changed", P, C, {**TEXT, "pattern": "^a"}, {**TEXT, "pattern": "^b"}),
    SchemaEdit("one-of-added", C, B, _BOTH, {"oneOf": [CAT, DOG, COW]}),
    SchemaEdit("one-of-removed", B, C, {"oneOf": [CAT, DOG, COW]}, _BOTH),
    SchemaEdit("one-of-set", B, C, OBJECT, {**OBJECT, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
    SchemaEdit("one-of-unset", C, B, {**OBJECT, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}, OBJECT),
    SchemaEdit("any-of-added", C, C, _ANY, {"anyOf": [CAT, DOG, COW]}),
    SchemaEdit("any-of-removed", B, C, {"anyOf": [CAT, DOG, COW]}, _ANY),
    SchemaEdit("any-of-set", B, C, OBJECT, {**OBJECT, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}),
    SchemaEdit("any-of-unset", C, B, {**OBJECT, "anyOf": [{"required": ["a"]}, {"required": ["b"]}]}, OBJECT),
    SchemaEdit("all-of-added", B, C, {"allOf": [_ANY]}, {"allOf": [_ANY, {"anyOf": [CAT, COW]}]}),
    SchemaEdit("all-of-removed", P, C, {"allOf": [_ANY, {"anyOf": [CAT, COW]}]}, {"allOf": [_ANY]}),
    SchemaEdit("prefix-items-added", C, B, {**LIST, "prefixItems": [TEXT]}, {**LIST, "prefixItems": [TEXT, NUMBER]}),
    SchemaEdit("prefix-items-removed", B, C, {**LIST, "prefixItems": [TEXT, NUMBER]}, {**LIST, "prefixItems": [TEXT]}),
    SchemaEdit("wrapped-in-one-of", B, B, CAT, _BOTH),
    SchemaEdit("unwrapped-from-one-of", B, B, _BOTH, CAT),
    SchemaEdit("type-generalized", C, B, {"type": "integer"}, NUMBER),
    SchemaEdit("type-specialized", B, C, NUMBER, {"type": "integer"}),
    SchemaEdit("type-changed", B, B, TEXT, {"type": "boolean"}, _IN_JSON),
    SchemaEdit("type-specialized", B, B, TEXT, {"type": "boolean"}, ("request-parameter-property",)),
    SchemaEdit("type-changed", B, B, {"type": "integer"}, {"type": "boolean"}, _TEXT_OR_JSON),
    SchemaEdit("type-generalized", C, B, TEXT, {"type": ["string", "boolean"]}, _IN_JSON),
    SchemaEdit("type-specialized", B, C, {"type": ["integer", "boolean"]}, {"type": "integer"}),
    SchemaEdit("type-changed", B, B, {**TEXT, "format": "uri"}, {**TEXT, "format": "uuid"}, _TEXT_OR_JSON),
    SchemaEdit("type-changed", C, B, {**TEXT, "format": "uri"}, TEXT, _RECEIVED),
    SchemaEdit("type-generalized", C, B, {"type": "integer", "format": "int32"}, {"type": "integer"}, _SENT),
    SchemaEdit("type-compatible", C, C, {"type": "integer"}, TEXT, ("request-body", "request-property"), "text/plain"),
    SchemaEdit("type-compatible", C, C, TEXT, {"type": "integer"}, _RECEIVED, "application/xml"),
    SchemaEdit("type-compatible", C, C, TEXT, {"type": "boolean"}, ("response-header", "callback-parameter")),
    SchemaEdit("type-generalized", C, C, {"type": "integer"}, TEXT, ("request-parameter",)),
    SchemaEdit("type-changed", P, C, {"type": "integer"}, TEXT, ("request-parameter-property",)),
    SchemaEdit("list-of-types-widened", C, B, TEXT, {"oneOf": [TEXT, {"type": "boolean"}]}),
    SchemaEdit("list-of-types-narrowed", B, C, {"anyOf": [TEXT, {"type": "boolean"}]}, TEXT),
    SchemaEdit("became-nullable", C, B, TEXT, {"type": ["string", "null"]}),
    SchemaEdit("became-not-nullable", B, C, {"anyOf": [TEXT, {"type": "null"}]}, TEXT),
    SchemaEdit("enum-value-added", C, P, {**TEXT, "enum": ["a"]}, {**TEXT, "enum": ["a", "b"]}),
    SchemaEdit("enum-value-removed", B, C, {**TEXT, "enum": ["a", "b"]}, {**TEXT, "enum": ["a"]}),
    SchemaEdit("became-enum", B, C, TEXT, {**TEXT, "enum": ["a", "b"]}),
    SchemaEdit("enum-unset", C, P, {**TEXT, "enum": ["a", "b"]}, TEXT),
    SchemaEdit("unique-items-set", B, C, LIST, {**LIST, "uniqueItems": True}),
    SchemaEdit("unique-items-unset", C, B, {**LIST, "uniqueItems": True}, LIST),
    SchemaEdit("additional-properties-forbidden", B, C, OBJECT, {**OBJECT, "additionalProperties": False}),
    SchemaEdit("additional-properties-allowed", C, P, {**OBJECT, "additionalProperties": False}, OBJECT),
    SchemaEdit("content-media-type-changed", B, B, {**TEXT, "contentMediaType": "audio/wav"}, TEXT),
    SchemaEdit("content-encoding-changed", B, B, {**TEXT, "contentEncoding": "base64"}, TEXT),
    *_noted("default-value", TEXT, {"default": "a"}, {"default": "b"}),
    SchemaEdit("discriminator-added", C, C, _BOTH, {**_BOTH, **_mapping()}),
    SchemaEdit("discriminator-removed", C, C, {**_BOTH, **_mapping()}, _BOTH),
    SchemaEdit("one-of-added", C, B, {"oneOf": [CAT]}, _BOTH),
    SchemaEdit("one-of-removed", B, C, _BOTH, {"oneOf": [CAT]}),
    SchemaEdit("discriminator-added", C, C, OBJECT, {**OBJECT, **_mapping()}),
    SchemaEdit("discriminator-removed", C, C, {**OBJECT, **_mapping()}, OBJECT),
    SchemaEdit(
        "discriminator-property-name-changed",
        *(C, C, {**OBJECT, **_mapping()}, {**OBJECT, "discriminator": {"propertyName": "sort"}}),
    ),
    SchemaEdit("discriminator-mapping-added", C, C, {**OBJECT, **_mapping()}, {**OBJECT, **_mapping(a="x")}),
    SchemaEdit("discriminator-mapping-deleted", C, C, {**OBJECT, **_mapping(a="x")}, {**OBJECT, **_mapping()}),
    SchemaEdit("discriminator-mapping-changed", C, C, {**OBJECT, **_mapping(a="x")}, {**OBJECT, **_mapping(a="y")}),
    SchemaEdit("deprecated", C, C, TEXT, {**TEXT, "deprecated": True}),
    SchemaEdit("deprecated-with-sunset", C, C, TEXT, {**TEXT, "deprecated": True, "x-sunset": "2027-01-31"}, _SUNSET),
    SchemaEdit("reactivated", C, C, {**TEXT, "deprecated": True}, TEXT),
    SchemaEdit("advice-changed", C, C, {**TEXT, "x-advice": {"maxLength": 5}}, {**TEXT, "x-advice": {"maxLength": 6}}),
]


def expected(place: str, edit: SchemaEdit) -> tuple[str, str]:
    """The id and the level of the rule that `edit` must be found under in `place`."""
    action, level = edit.action, edit.sent if is_sent(place) else edit.read
    if place == "request-parameter" and action.startswith("default-value"):
        level = B
    if place == "request-parameter-property" and action == "type-changed":
        level = P
    if action == "type-specialized" and place in ("request-body", "request-property", "request-parameter"):
        action = "type-changed"
    if (place, action) == ("response-body", "enum-value-removed"):
        return "response-mediatype-enum-value-removed", level
    return f"{place}-{action}", level


class PropertyEdit(NamedTuple):
    """An object before and after, and what is expected of its property."""

    rule: str
    """With {kind} for "request-property" and {message} for "request"."""
    level: str
    sent: bool
    old: dict[str, Any]
    new: dict[str, Any]
    besides: str = ""
    """A rule that tells what it comes to for the client."""


def _object(**properties: dict[str, Any]) -> dict[str, Any]:
    """An object; a property whose schema has "must" is required."""
    required = [name for name, schema in properties.items() if schema.get("must")]
    plain = {name: {k: v for k, v in schema.items() if k != "must"} for name, schema in properties.items()}
    return {"type": "object", "properties": plain, "required": required}


_MUST = {**TEXT, "must": True}
_HAS, _HAS_NOT, _NEEDS = _object(a=TEXT, b=TEXT), _object(b=TEXT), _object(a=_MUST, b=TEXT)
_DEFAULT = {**TEXT, "default": "x"}
PROPERTY_EDITS = [
    PropertyEdit("new-required-{kind}", B, True, _HAS_NOT, _NEEDS),
    PropertyEdit("new-required-{kind}-with-default", B, True, _HAS_NOT, _object(a={**_MUST, "default": "x"}, b=TEXT)),
    PropertyEdit("new-optional-{kind}", C, True, _HAS_NOT, _HAS),
    PropertyEdit("{kind}-removed", P, True, _NEEDS, _HAS_NOT),
    PropertyEdit("{kind}-became-required", B, True, _HAS, _NEEDS),
    PropertyEdit(
        "{kind}-became-required-with-default", B, True, _object(a=_DEFAULT), _object(a={**_DEFAULT, "must": True})
    ),
    PropertyEdit("{kind}-became-optional", C, True, _NEEDS, _HAS),
    PropertyEdit("{message}-required-property-removed", B, False, _NEEDS, _HAS_NOT),
    PropertyEdit("{message}-optional-property-removed", P, False, _HAS, _HAS_NOT),
    PropertyEdit("{message}-required-property-added", C, False, _HAS_NOT, _NEEDS),
    PropertyEdit("{message}-optional-property-added", C, False, _HAS_NOT, _HAS),
    PropertyEdit("{kind}-became-required", C, False, _HAS, _NEEDS),
    PropertyEdit("{kind}-became-optional", B, False, _NEEDS, _HAS),
]
for _way in ("read", "write"):
    for _need, _base in (("optional", TEXT), ("required", _MUST)):
        _only = _object(a={**_base, f"{_way}Only": True})
        for _sent in (True, False):
            _shows = P if (_way, _need, _sent) == ("write", "required", False) else C
            _rule = f"{{message}}-{_need}-property-became-{{not}}{_way}-only"
            _lost = f"{{message}}-{_need}-property-removed" if (_way, _sent) == ("write", False) else ""
            _due = "new-required-{kind}" if (_way, _need, _sent) == ("read", "required", True) else ""
            PROPERTY_EDITS += [
                PropertyEdit(_rule.replace("{not}", ""), C, _sent, _object(a=_base), _only, _lost),
                PropertyEdit(_rule.replace("{not}", "not-"), _shows, _sent, _only, _object(a=_base), _due),
            ]
