"""Pairs that differ in one keyword of a schema, or in one property, for each kind of schema that oasdiff knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from drift_agreement.pair import DocumentPair, build_document

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
INTEGER: Schema = {"type": "integer"}
LIST: Schema = {"type": "array", "items": TEXT}
OBJECT: Schema = {"type": "object"}
CAT = {"type": "object", "required": ["claw"], "properties": {"claw": TEXT}}
DOG = {"type": "object", "required": ["tail"], "properties": {"tail": TEXT}}
COW = {"type": "object", "required": ["horn"], "properties": {"horn": TEXT}}


def _build_content(schema: Schema) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def _build_holder(schema: Schema) -> Schema:
    return {"type": "object", "properties": {"p": schema}}


_OPERATION_BUILDERS = {
    "request-parameter-property": lambda schema: {
        "parameters": [{"in": "query", "name": "q", "schema": _build_holder(schema)}]
    },
    "request-parameter": lambda schema: {"parameters": [{"in": "query", "name": "q", "schema": schema}]},
    "request-header-property": lambda schema: {
        "parameters": [{"in": "header", "name": "X-Q", "schema": _build_holder(schema)}]
    },
    "request-read-only-property": lambda schema: {
        "requestBody": _build_content(_build_holder({**schema, "readOnly": True}))
    },
    "request-property": lambda schema: {"requestBody": _build_content(_build_holder(schema))},
    "request-body": lambda schema: {"requestBody": _build_content(schema)},
    "response-write-only-property": lambda schema: {
        "responses": {"200": {"description": "A", **_build_content(_build_holder({**schema, "writeOnly": True}))}}
    },
    "response-property": lambda schema: {
        "responses": {"200": {"description": "A", **_build_content(_build_holder(schema))}}
    },
    "response-body": lambda schema: {"responses": {"200": {"description": "A", **_build_content(schema)}}},
    "response-header": lambda schema: {
        "responses": {"200": {"description": "A", "headers": {"X-H": {"schema": schema}}}}
    },
}
"""Functions that build an operation with a schema, by the start of the rule ids about such a schema."""


class SchemaEdit(NamedTuple):
    """A schema before and after the edit."""

    old: Schema
    new: Schema
    media_type: str = "application/json"


def _iterate_bound_edits() -> Iterator[tuple[str, SchemaEdit]]:
    for name, keyword, base in (
        ("max", "maximum", NUMBER),
        ("min", "minimum", NUMBER),
        ("exclusive-max", "exclusiveMaximum", NUMBER),
        ("exclusive-min", "exclusiveMinimum", NUMBER),
        ("max-length", "maxLength", TEXT),
        ("min-length", "minLength", TEXT),
        ("max-items", "maxItems", LIST),
        ("min-items", "minItems", LIST),
        ("max-contains", "maxContains", {**LIST, "contains": TEXT}),
        ("min-contains", "minContains", {**LIST, "contains": TEXT}),
        ("max-properties", "maxProperties", OBJECT),
        ("min-properties", "minProperties", OBJECT),
    ):
        low, high = {**base, keyword: 8}, {**base, keyword: 9}
        yield f"{name}-increased", SchemaEdit(low, high)
        yield f"{name}-decreased", SchemaEdit(high, low)
        yield f"{name}-set", SchemaEdit(base, low)
        yield f"{name}-unset", SchemaEdit(low, base)


def _iterate_assertion_edits() -> Iterator[tuple[str, SchemaEdit]]:
    condition = {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": {"required": ["c"]}}
    for name, base, one, other in (
        ("not", TEXT, {"not": {"const": "a"}}, {"not": {"const": "b"}}),
        ("contains", LIST, {"contains": {"const": "a"}}, {"contains": {"const": "b"}}),
        ("property-names", OBJECT, {"propertyNames": {"maxLength": 3}}, {"propertyNames": {"maxLength": 4}}),
        ("unevaluated-items", LIST, {"unevaluatedItems": NUMBER}, {"unevaluatedItems": TEXT}),
        ("unevaluated-properties", OBJECT, {"unevaluatedProperties": NUMBER}, {"unevaluatedProperties": TEXT}),
        ("content-schema", TEXT, {"contentSchema": TEXT}, {"contentSchema": NUMBER}),
        ("pattern-property", OBJECT, {"patternProperties": {"^a": TEXT}}, {"patternProperties": {"^a": NUMBER}}),
        ("dependent-schema", OBJECT, {"dependentSchemas": {"a": CAT}}, {"dependentSchemas": {"a": DOG}}),
        ("const", TEXT, {"const": "a"}, {"const": "b"}),
        ("dependent-required", OBJECT, {"dependentRequired": {"a": ["b"]}}, {"dependentRequired": {"a": ["c"]}}),
        ("pattern", TEXT, {"pattern": "^a"}, {"pattern": "^b"}),
        ("default-value", TEXT, {"default": "a"}, {"default": "b"}),
    ):
        yield f"{name}-added", SchemaEdit(base, {**base, **one})
        yield f"{name}-removed", SchemaEdit({**base, **one}, base)
        yield f"{name}-changed", SchemaEdit({**base, **one}, {**base, **other})
    for keyword in condition:
        without = {key: value for key, value in condition.items() if key != keyword}
        yield f"{keyword}-added", SchemaEdit({**OBJECT, **without}, {**OBJECT, **condition})
        yield f"{keyword}-removed", SchemaEdit({**OBJECT, **condition}, {**OBJECT, **without})


def _discriminator(name: str = "kind", **schema_by_value: str) -> Schema:
    mapping = {value: f"#/components/schemas/{schema}" for value, schema in schema_by_value.items()}
    return {"discriminator": {"propertyName": name, **({"mapping": mapping} if mapping else {})}}


_PETS = {"oneOf": [CAT, DOG]}
_NOTE = {"title": "Note", "description": "It restricts nothing."}
_WITH_PROPERTY = {"type": "object", "properties": {"claw": TEXT}}
SCHEMA_EDIT_BY_SUFFIX: dict[str, SchemaEdit] = {
    **dict(_iterate_bound_edits()),
    **dict(_iterate_assertion_edits()),
    "pattern-generalized": SchemaEdit({**TEXT, "pattern": "^a"}, {**TEXT, "pattern": ".*"}),
    "one-of-added": SchemaEdit(_PETS, {"oneOf": [CAT, DOG, COW]}),
    "one-of-removed": SchemaEdit({"oneOf": [CAT, DOG, COW]}, _PETS),
    "any-of-added": SchemaEdit({"anyOf": [CAT, DOG]}, {"anyOf": [CAT, DOG, COW]}),
    "any-of-removed": SchemaEdit({"anyOf": [CAT, DOG, COW]}, {"anyOf": [CAT, DOG]}),
    "all-of-added": SchemaEdit({"allOf": [_PETS]}, {"allOf": [_PETS, {"oneOf": [CAT, COW]}]}),
    "all-of-removed": SchemaEdit({"allOf": [_PETS, {"oneOf": [CAT, COW]}]}, {"allOf": [_PETS]}),
    "all-of-added-annotation-only": SchemaEdit(_WITH_PROPERTY, {**_WITH_PROPERTY, "allOf": [_NOTE]}),
    "all-of-removed-annotation-only": SchemaEdit({**_WITH_PROPERTY, "allOf": [_NOTE]}, _WITH_PROPERTY),
    "prefix-items-added": SchemaEdit(
        {"type": "array", "prefixItems": [TEXT]}, {"type": "array", "prefixItems": [TEXT, NUMBER]}
    ),
    "prefix-items-removed": SchemaEdit(
        {"type": "array", "prefixItems": [TEXT, NUMBER]}, {"type": "array", "prefixItems": [TEXT]}
    ),
    "wrapped-in-one-of": SchemaEdit(CAT, _PETS),
    "type-generalized": SchemaEdit(INTEGER, NUMBER),
    "type-specialized": SchemaEdit(NUMBER, INTEGER),
    "type-changed": SchemaEdit(TEXT, {"type": "boolean"}),
    "type-compatible": SchemaEdit(INTEGER, TEXT, "application/xml"),
    "list-of-types-widened": SchemaEdit(TEXT, {"oneOf": [TEXT, {"type": "boolean"}]}),
    "list-of-types-narrowed": SchemaEdit({"oneOf": [TEXT, {"type": "boolean"}]}, TEXT),
    "became-nullable": SchemaEdit(TEXT, {"type": ["string", "null"]}),
    "became-not-nullable": SchemaEdit({"type": ["string", "null"]}, TEXT),
    "enum-value-added": SchemaEdit({**TEXT, "enum": ["a"]}, {**TEXT, "enum": ["a", "b"]}),
    "enum-value-removed": SchemaEdit({**TEXT, "enum": ["a", "b"]}, {**TEXT, "enum": ["a"]}),
    "x-extensible-enum-value-removed": SchemaEdit(
        {**TEXT, "x-extensible-enum": ["a", "b"]}, {**TEXT, "x-extensible-enum": ["a"]}
    ),
    "became-enum": SchemaEdit(TEXT, {**TEXT, "enum": ["a", "b"]}),
    "content-media-type-changed": SchemaEdit(
        {**TEXT, "contentMediaType": "audio/wav"}, {**TEXT, "contentMediaType": "audio/mpeg"}
    ),
    "content-encoding-changed": SchemaEdit(
        {**TEXT, "contentEncoding": "base64"}, {**TEXT, "contentEncoding": "base32"}
    ),
    "discriminator-added": SchemaEdit(_PETS, {**_PETS, **_discriminator()}),
    "discriminator-removed": SchemaEdit({**_PETS, **_discriminator()}, _PETS),
    "discriminator-property-name-changed": SchemaEdit(
        {**_PETS, **_discriminator()}, {**_PETS, **_discriminator("sort")}
    ),
    "discriminator-mapping-added": SchemaEdit(
        {**_PETS, **_discriminator(c="Cat")}, {**_PETS, **_discriminator(c="Cat", d="Dog")}
    ),
    "discriminator-mapping-deleted": SchemaEdit(
        {**_PETS, **_discriminator(c="Cat", d="Dog")}, {**_PETS, **_discriminator(c="Cat")}
    ),
    "discriminator-mapping-changed": SchemaEdit(
        {**_PETS, **_discriminator(c="Cat")}, {**_PETS, **_discriminator(c="Dog")}
    ),
    "deprecated": SchemaEdit(TEXT, {**TEXT, "deprecated": True}),
    "reactivated": SchemaEdit({**TEXT, "deprecated": True}, TEXT),
    "deprecated-with-sunset": SchemaEdit(TEXT, {**TEXT, "deprecated": True, "x-sunset": "2999-01-31"}),
    "deprecated-sunset-invalid": SchemaEdit(TEXT, {**TEXT, "deprecated": True, "x-sunset": "next year"}),
    "sunset-date-too-small": SchemaEdit(TEXT, {**TEXT, "deprecated": True, "x-sunset": "2001-01-31"}),
    "stability-decreased": SchemaEdit({**TEXT, "x-stability-level": "stable"}, {**TEXT, "x-stability-level": "beta"}),
    "stability-increased": SchemaEdit({**TEXT, "x-stability-level": "beta"}, {**TEXT, "x-stability-level": "stable"}),
}
"""Edits by the end of the rule ids, which follows the kind of the schema."""
_EDIT_BY_RULE = {
    # A header is text, and so is a value in XML; whether that is compatible depends on who reads it.
    "response-header-type-changed": SchemaEdit(INTEGER, {"type": "boolean"}),
    "response-header-type-compatible": SchemaEdit(TEXT, INTEGER),
    "response-body-type-compatible": SchemaEdit(TEXT, INTEGER, "application/xml"),
    "response-property-type-compatible": SchemaEdit(TEXT, INTEGER, "application/xml"),
    "request-parameter-property-type-changed": SchemaEdit(INTEGER, TEXT),
    "request-parameter-property-type-specialized": SchemaEdit(TEXT, {"type": "boolean"}),
}
"""Edits of single rules, which take precedence over those by suffix."""
_RULE_OF_BODY_ENUM = "response-mediatype-enum-value-removed"


def iterate_schema_pairs(rules: list[str]) -> Iterator[DocumentPair]:
    """Yield a pair for each rule about schemas among `rules`."""
    for rule in rules:
        name = "response-body-enum-value-removed" if rule == _RULE_OF_BODY_ENUM else rule
        kind = next((kind for kind in _OPERATION_BUILDERS if name.startswith(f"{kind}-")), None)
        edit = _EDIT_BY_RULE.get(name) or SCHEMA_EDIT_BY_SUFFIX.get(name.removeprefix(f"{kind}-"))
        if kind is not None and edit is not None and not name.startswith("request-parameter-sunset"):
            yield DocumentPair(rule, *(_build_pair_document(kind, schema, edit.media_type) for schema in edit[:2]))
        elif rule in _OBJECT_EDIT_BY_RULE:
            object_kind, old, new = _OBJECT_EDIT_BY_RULE[rule]
            yield DocumentPair(
                rule,
                build_document(_OBJECT_HOLDERS[object_kind](old)),
                build_document(_OBJECT_HOLDERS[object_kind](new)),
            )


def _build_pair_document(kind: str, schema: Schema, media_type: str) -> dict[str, Any]:
    document = build_document(_OPERATION_BUILDERS[kind](schema))
    changed: dict[str, Any] = json.loads(json.dumps(document).replace("application/json", media_type))
    schemas = {"Cat": CAT, "Dog": DOG}
    return {**changed, "components": {"schemas": schemas}} if "discriminator" in json.dumps(schema) else changed


_OBJECT_HOLDERS = {
    "request": _OPERATION_BUILDERS["request-body"],
    "response": _OPERATION_BUILDERS["response-body"],
    "header": lambda schema: {"parameters": [{"in": "header", "name": "X-Q", "schema": schema}]},
}


def _object(need: str = "", **schema_by_name: Schema) -> Schema:
    return {"type": "object", "properties": schema_by_name, **({"required": [need]} if need else {})}


_HAS, _LACKS, _NEEDS = _object(a=TEXT, b=TEXT), _object(b=TEXT), _object("a", a=TEXT, b=TEXT)
_DEFAULT = {**TEXT, "default": "x"}
_WRITE_ONLY = {**TEXT, "writeOnly": True}
_OBJECT_EDIT_BY_RULE: dict[str, tuple[str, Schema, Schema]] = {
    "new-required-request-property": ("request", _LACKS, _NEEDS),
    "new-required-request-property-with-default": ("request", _LACKS, _object("a", a=_DEFAULT, b=TEXT)),
    "new-optional-request-property": ("request", _LACKS, _HAS),
    "request-property-removed": ("request", _HAS, _LACKS),
    "request-property-became-required": ("request", _HAS, _NEEDS),
    "request-property-became-required-with-default": ("request", _object(a=_DEFAULT), _object("a", a=_DEFAULT)),
    "request-property-became-optional": ("request", _NEEDS, _HAS),
    "new-required-request-header-property": ("header", _LACKS, _NEEDS),
    "request-header-property-became-required": ("header", _HAS, _NEEDS),
    "response-required-property-removed": ("response", _NEEDS, _LACKS),
    "response-optional-property-removed": ("response", _HAS, _LACKS),
    "response-required-property-added": ("response", _LACKS, _NEEDS),
    "response-optional-property-added": ("response", _LACKS, _HAS),
    "response-property-became-required": ("response", _HAS, _NEEDS),
    "response-property-became-optional": ("response", _NEEDS, _HAS),
    "response-required-write-only-property-removed": ("response", _object("a", a=_WRITE_ONLY, b=TEXT), _LACKS),
    "response-optional-write-only-property-removed": ("response", _object(a=_WRITE_ONLY, b=TEXT), _LACKS),
    "response-required-write-only-property-added": ("response", _LACKS, _object("a", a=_WRITE_ONLY, b=TEXT)),
    "response-optional-write-only-property-added": ("response", _LACKS, _object(a=_WRITE_ONLY, b=TEXT)),
    "response-write-only-property-became-required": ("response", _object(a=_WRITE_ONLY), _object("a", a=_WRITE_ONLY)),
    "response-write-only-property-became-optional": ("response", _object("a", a=_WRITE_ONLY), _object(a=_WRITE_ONLY)),
}
for _message in ("request", "response"):
    for _need, _required_name in (("optional", ""), ("required", "a")):
        for _access in ("read", "write"):
            _plain = _object(_required_name, a=TEXT)
            _limited = _object(_required_name, a={**TEXT, f"{_access}Only": True})
            _prefix = f"{_message}-{_need}-property-became"
            _OBJECT_EDIT_BY_RULE[f"{_prefix}-{_access}-only"] = (_message, _plain, _limited)
            _OBJECT_EDIT_BY_RULE[f"{_prefix}-not-{_access}-only"] = (_message, _limited, _plain)
"""Edits of an object's properties by rule: in which message the object is, and the object before and after."""
