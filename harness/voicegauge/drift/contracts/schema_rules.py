"""The rules over schemas: every way in which a keyword can change, in every place where a schema can stand.

What a change does to a client follows from two things: whether more or fewer values fit
after it, and whether the client sends the value or reads it. A sender breaks where fewer
values fit, a reader where more do. `_EXCEPTIONS` are the levels that oasdiff gives otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from voicegauge.drift.registry import DriftLevel, DriftRule


class SchemaChangeEffect(Enum):
    """What a change does to the values that fit."""

    NARROWS = "fewer fit"
    WIDENS = "more fit"
    CHANGES = "others fit"
    NOTES = "the same fit; something is said of them"


class SchemaKind(NamedTuple):
    """A place where a schema can stand."""

    stem: str
    """What the ids of its rules begin with."""
    words: str
    sent: bool
    """Whether the client sends the value, and does not read it."""
    inner: str
    """The kind of the schemas inside, by its stem."""

    @property
    def message(self) -> str:
        """What holds its properties: "request", "response", "callback"."""
        return self.stem.partition("-")[0]


SCHEMA_KINDS = {
    kind.stem: kind
    for kind in (
        SchemaKind("request-body", "A request body", sent=True, inner="request-property"),
        SchemaKind("request-property", "A property of a request body", sent=True, inner="request-property"),
        SchemaKind("request-parameter", "A request parameter", sent=True, inner="request-parameter-property"),
        SchemaKind(
            "request-parameter-property", "A part of a request parameter", sent=True, inner="request-parameter-property"
        ),
        SchemaKind("response-body", "A response body", sent=False, inner="response-property"),
        SchemaKind("response-property", "A property of a response body", sent=False, inner="response-property"),
        SchemaKind("response-header", "A response header", sent=False, inner="response-property"),
        SchemaKind("callback-body", "A callback's body", sent=False, inner="callback-property"),
        SchemaKind("callback-property", "A property of a callback's body", sent=False, inner="callback-property"),
        SchemaKind("callback-parameter", "A callback's parameter", sent=False, inner="callback-property"),
    )
}

BOUNDS = {
    "maximum": "max",
    "minimum": "min",
    "exclusiveMaximum": "exclusive-max",
    "exclusiveMinimum": "exclusive-min",
    "maxLength": "max-length",
    "minLength": "min-length",
    "maxItems": "max-items",
    "minItems": "min-items",
    "maxProperties": "max-properties",
    "minProperties": "min-properties",
    "maxContains": "max-contains",
    "minContains": "min-contains",
}
"""Keyword and its name in ids."""
ASSERTIONS = {
    "not": "not",
    "if": "if",
    "then": "then",
    "else": "else",
    "contains": "contains",
    "propertyNames": "property-names",
    "unevaluatedItems": "unevaluated-items",
    "unevaluatedProperties": "unevaluated-properties",
    "contentSchema": "content-schema",
    "patternProperties": "pattern-property",
    "dependentSchemas": "dependent-schema",
    "pattern": "pattern",
    "const": "const",
    "multipleOf": "multiple-of",
    "dependentRequired": "dependent-required",
}
"""Keywords that narrow when they come, widen when they go and do either when they change."""
BRANCHES = {"oneOf": "one-of", "anyOf": "any-of", "allOf": "all-of", "prefixItems": "prefix-items"}


def _actions() -> Iterator[tuple[str, SchemaChangeEffect, str]]:
    """The end of an id, what the change does, and what it is."""
    for keyword, name in BOUNDS.items():
        raised = (
            SchemaChangeEffect.WIDENS
            if keyword.lower().startswith(("max", "exclusivemax"))
            else SchemaChangeEffect.NARROWS
        )
        lowered = SchemaChangeEffect.NARROWS if raised is SchemaChangeEffect.WIDENS else SchemaChangeEffect.WIDENS
        yield f"{name}-increased", raised, f"{keyword} was raised"
        yield f"{name}-decreased", lowered, f"{keyword} was lowered"
        yield f"{name}-set", SchemaChangeEffect.NARROWS, f"{keyword} was set where there was none"
        yield f"{name}-unset", SchemaChangeEffect.WIDENS, f"{keyword} was taken away"
    for keyword, name in ASSERTIONS.items():
        yield f"{name}-added", SchemaChangeEffect.NARROWS, f"{keyword} was added"
        yield f"{name}-removed", SchemaChangeEffect.WIDENS, f"{keyword} was removed"
        yield f"{name}-changed", SchemaChangeEffect.CHANGES, f"{keyword} was changed"
    for keyword, name in (("oneOf", "one-of"), ("anyOf", "any-of")):
        yield f"{name}-added", SchemaChangeEffect.WIDENS, f"{keyword} has a branch more"
        yield f"{name}-removed", SchemaChangeEffect.NARROWS, f"{keyword} has a branch less"
        yield f"{name}-set", SchemaChangeEffect.NARROWS, f"{keyword} was added to a schema without"
        yield f"{name}-unset", SchemaChangeEffect.WIDENS, f"{keyword} was taken away"
    yield "all-of-added", SchemaChangeEffect.NARROWS, "allOf has a part more"
    yield "all-of-removed", SchemaChangeEffect.WIDENS, "allOf has a part less"
    yield "prefix-items-added", SchemaChangeEffect.WIDENS, "prefixItems has an item more"
    yield "prefix-items-removed", SchemaChangeEffect.NARROWS, "prefixItems has an item less"
    yield "wrapped-in-one-of", SchemaChangeEffect.CHANGES, "the schema became a branch of a oneOf"
    yield "unwrapped-from-one-of", SchemaChangeEffect.CHANGES, "a oneOf became a single schema"
    yield "type-generalized", SchemaChangeEffect.WIDENS, "the type or format takes more values"
    yield "type-specialized", SchemaChangeEffect.NARROWS, "the type or format takes fewer values"
    yield "type-changed", SchemaChangeEffect.CHANGES, "the type or format was changed"
    yield "list-of-types-widened", SchemaChangeEffect.WIDENS, "a type was added to those that fit"
    yield "list-of-types-narrowed", SchemaChangeEffect.NARROWS, "a type was removed from those that fit"
    yield "became-nullable", SchemaChangeEffect.WIDENS, "null fits now"
    yield "became-not-nullable", SchemaChangeEffect.NARROWS, "null fits no longer"
    yield "enum-value-added", SchemaChangeEffect.WIDENS, "values were added to the enumeration"
    yield "enum-value-removed", SchemaChangeEffect.NARROWS, "values were removed from the enumeration"
    yield "became-enum", SchemaChangeEffect.NARROWS, "the values that fit are now listed"
    yield "enum-unset", SchemaChangeEffect.WIDENS, "the values that fit are no longer listed"
    yield "unique-items-set", SchemaChangeEffect.NARROWS, "items must now differ"
    yield "unique-items-unset", SchemaChangeEffect.WIDENS, "items may now be equal"
    yield (
        "additional-properties-forbidden",
        SchemaChangeEffect.NARROWS,
        "properties that are not listed are no longer allowed",
    )
    yield "additional-properties-allowed", SchemaChangeEffect.WIDENS, "properties that are not listed are now allowed"
    yield "content-media-type-changed", SchemaChangeEffect.CHANGES, "contentMediaType was changed"
    yield "content-encoding-changed", SchemaChangeEffect.CHANGES, "contentEncoding was changed"
    yield "default-value-added", SchemaChangeEffect.NOTES, "a default was added"
    yield "default-value-removed", SchemaChangeEffect.NOTES, "the default was removed"
    yield "default-value-changed", SchemaChangeEffect.NOTES, "the default was changed"
    yield "discriminator-added", SchemaChangeEffect.NOTES, "a discriminator was added"
    yield "discriminator-removed", SchemaChangeEffect.NOTES, "the discriminator was removed"
    yield "discriminator-property-name-changed", SchemaChangeEffect.NOTES, "the discriminator is another property"
    yield "discriminator-mapping-added", SchemaChangeEffect.NOTES, "the discriminator maps a value more"
    yield "discriminator-mapping-deleted", SchemaChangeEffect.NOTES, "the discriminator maps a value less"
    yield "discriminator-mapping-changed", SchemaChangeEffect.NOTES, "the discriminator maps a value elsewhere"
    yield "deprecated", SchemaChangeEffect.NOTES, "it is now deprecated"
    yield "reactivated", SchemaChangeEffect.NOTES, "it is no longer deprecated"
    yield "advice-changed", SchemaChangeEffect.NOTES, "what the document advises was changed"


_LEVELS = {
    True: {SchemaChangeEffect.NARROWS: DriftLevel.BREAKING, SchemaChangeEffect.WIDENS: DriftLevel.COMPATIBLE},
    False: {SchemaChangeEffect.NARROWS: DriftLevel.COMPATIBLE, SchemaChangeEffect.WIDENS: DriftLevel.BREAKING},
}
_EXCEPTIONS = (
    (r"request-.*-(max|min)(-length|-items|-properties|-contains)?-set", DriftLevel.POSSIBLY_BREAKING),
    (r"request-.*-pattern-changed", DriftLevel.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-pattern-(added|removed|changed)", DriftLevel.COMPATIBLE),
    (r"request-.*-all-of-removed", DriftLevel.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-(all-of-removed|any-of-added)", DriftLevel.COMPATIBLE),
    (r"(response|callback)-.*-enum-(value-added|unset)", DriftLevel.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-additional-properties-allowed", DriftLevel.POSSIBLY_BREAKING),
    (r"request-parameter-default-value-.*", DriftLevel.BREAKING),
    (r"request-parameter-property-type-changed", DriftLevel.POSSIBLY_BREAKING),
)
"""Where the level is oasdiff's own, or follows one of those; the whole id must fit."""
_NAMES = {"response-body-enum-value-removed": "response-mediatype-enum-value-removed"}
"""Where oasdiff's id has another pattern."""


def rule_id(kind: SchemaKind, action: str) -> str:
    """The id of the rule that says `action` of a schema of `kind`."""
    if action == "type-specialized" and kind.stem in ("request-body", "request-property", "request-parameter"):
        action = "type-changed"  # oasdiff tells these two apart in what is read alone
    name = f"{kind.stem}-{action}"
    return _NAMES.get(name, name)


def _schema_rules() -> Iterator[DriftRule]:
    for kind in SCHEMA_KINDS.values():
        for action, effect, says in _actions():
            name = rule_id(kind, action)
            if action != "type-specialized" or name.endswith(action):
                yield _rule(name, _level(name, kind, effect), f"{kind.words}: {says}")


def _level(name: str, kind: SchemaKind, effect: SchemaChangeEffect) -> DriftLevel:
    for pattern, level in _EXCEPTIONS:
        if re.fullmatch(pattern, name):
            return level
    return _LEVELS[kind.sent].get(
        effect, DriftLevel.COMPATIBLE if effect is SchemaChangeEffect.NOTES else DriftLevel.BREAKING
    )


def _rule(name: str, level: DriftLevel, description: str) -> DriftRule:
    return DriftRule(name, level, description, "contracts")


def _property_rules() -> Iterator[DriftRule]:
    """Properties that come, go, or become required or optional."""
    for kind in (kind for kind in SCHEMA_KINDS.values() if kind.stem.endswith("-property")):
        stem, words = kind.stem, kind.words
        if kind.sent:
            yield _rule(f"new-required-{stem}", DriftLevel.BREAKING, f"{words} is new and required")
            with_default = f"{words} is new and required, with a default"
            yield _rule(f"new-required-{stem}-with-default", DriftLevel.BREAKING, with_default)
            yield _rule(f"new-optional-{stem}", DriftLevel.COMPATIBLE, f"{words} is new and optional")
            yield _rule(f"{stem}-removed", DriftLevel.POSSIBLY_BREAKING, f"{words} was removed")
            with_default = f"{words} became required, with a default"
            yield _rule(f"{stem}-became-required-with-default", DriftLevel.BREAKING, with_default)
        else:
            of = f"{kind.message}-{{}}-property"
            yield _rule(f"{of.format('required')}-removed", DriftLevel.BREAKING, f"{words} was removed, a required one")
            optional = f"{words} was removed, an optional one"
            yield _rule(f"{of.format('optional')}-removed", DriftLevel.POSSIBLY_BREAKING, optional)
            yield _rule(f"{of.format('required')}-added", DriftLevel.COMPATIBLE, f"{words} is new and always there")
            yield _rule(f"{of.format('optional')}-added", DriftLevel.COMPATIBLE, f"{words} is new and may be there")
        required, optional = DriftLevel.BREAKING, DriftLevel.COMPATIBLE
        if not kind.sent:
            required, optional = optional, required
        yield _rule(f"{stem}-became-required", required, f"{words} became required")
        yield _rule(f"{stem}-became-optional", optional, f"{words} became optional")


def _access_rules() -> Iterator[DriftRule]:
    """Properties that are only read, or only written."""
    for message in ("request", "response", "callback"):
        for need in ("required", "optional"):
            for way in ("read", "write"):
                stem, words = f"{message}-{need}-property", f"A property of a {message}, {need} there,"
                appears = message != "request" and need == "required" and way == "write"
                not_level = DriftLevel.POSSIBLY_BREAKING if appears else DriftLevel.COMPATIBLE
                yield _rule(f"{stem}-became-{way}-only", DriftLevel.COMPATIBLE, f"{words} became {way}-only")
                yield _rule(f"{stem}-became-not-{way}-only", not_level, f"{words} is no longer {way}-only")


def rules() -> Iterator[DriftRule]:
    """All rules over schemas."""
    yield from _schema_rules()
    yield from _property_rules()
    yield from _access_rules()
