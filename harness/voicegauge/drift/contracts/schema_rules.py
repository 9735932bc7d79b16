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

from voicegauge.drift.registry import Level, Rule


class Effect(Enum):
    """What a change does to the values that fit."""

    NARROWS = "fewer fit"
    WIDENS = "more fit"
    CHANGES = "others fit"
    NOTES = "the same fit; something is said of them"


class Kind(NamedTuple):
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


KINDS = {
    kind.stem: kind
    for kind in (
        Kind("request-body", "A request body", sent=True, inner="request-property"),
        Kind("request-property", "A property of a request body", sent=True, inner="request-property"),
        Kind("request-parameter", "A request parameter", sent=True, inner="request-parameter-property"),
        Kind(
            "request-parameter-property", "A part of a request parameter", sent=True, inner="request-parameter-property"
        ),
        Kind("response-body", "A response body", sent=False, inner="response-property"),
        Kind("response-property", "A property of a response body", sent=False, inner="response-property"),
        Kind("response-header", "A response header", sent=False, inner="response-property"),
        Kind("callback-body", "A callback's body", sent=False, inner="callback-property"),
        Kind("callback-property", "A property of a callback's body", sent=False, inner="callback-property"),
        Kind("callback-parameter", "A callback's parameter", sent=False, inner="callback-property"),
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


def _actions() -> Iterator[tuple[str, Effect, str]]:
    """The end of an id, what the change does, and what it is."""
    for keyword, name in BOUNDS.items():
        raised = Effect.WIDENS if keyword.lower().startswith(("max", "exclusivemax")) else Effect.NARROWS
        lowered = Effect.NARROWS if raised is Effect.WIDENS else Effect.WIDENS
        yield f"{name}-increased", raised, f"{keyword} was raised"
        yield f"{name}-decreased", lowered, f"{keyword} was lowered"
        yield f"{name}-set", Effect.NARROWS, f"{keyword} was set where there was none"
        yield f"{name}-unset", Effect.WIDENS, f"{keyword} was taken away"
    for keyword, name in ASSERTIONS.items():
        yield f"{name}-added", Effect.NARROWS, f"{keyword} was added"
        yield f"{name}-removed", Effect.WIDENS, f"{keyword} was removed"
        yield f"{name}-changed", Effect.CHANGES, f"{keyword} was changed"
    for keyword, name in (("oneOf", "one-of"), ("anyOf", "any-of")):
        yield f"{name}-added", Effect.WIDENS, f"{keyword} has a branch more"
        yield f"{name}-removed", Effect.NARROWS, f"{keyword} has a branch less"
        yield f"{name}-set", Effect.NARROWS, f"{keyword} was added to a schema without"
        yield f"{name}-unset", Effect.WIDENS, f"{keyword} was taken away"
    yield "all-of-added", Effect.NARROWS, "allOf has a part more"
    yield "all-of-removed", Effect.WIDENS, "allOf has a part less"
    yield "prefix-items-added", Effect.WIDENS, "prefixItems has an item more"
    yield "prefix-items-removed", Effect.NARROWS, "prefixItems has an item less"
    yield "wrapped-in-one-of", Effect.CHANGES, "the schema became a branch of a oneOf"
    yield "unwrapped-from-one-of", Effect.CHANGES, "a oneOf became a single schema"
    yield "type-generalized", Effect.WIDENS, "the type or format takes more values"
    yield "type-specialized", Effect.NARROWS, "the type or format takes fewer values"
    yield "type-changed", Effect.CHANGES, "the type or format was changed"
    yield "list-of-types-widened", Effect.WIDENS, "a type was added to those that fit"
    yield "list-of-types-narrowed", Effect.NARROWS, "a type was removed from those that fit"
    yield "became-nullable", Effect.WIDENS, "null fits now"
    yield "became-not-nullable", Effect.NARROWS, "null fits no longer"
    yield "enum-value-added", Effect.WIDENS, "values were added to the enumeration"
    yield "enum-value-removed", Effect.NARROWS, "values were removed from the enumeration"
    yield "became-enum", Effect.NARROWS, "the values that fit are now listed"
    yield "enum-unset", Effect.WIDENS, "the values that fit are no longer listed"
    yield "unique-items-set", Effect.NARROWS, "items must now differ"
    yield "unique-items-unset", Effect.WIDENS, "items may now be equal"
    yield "additional-properties-forbidden", Effect.NARROWS, "properties that are not listed are no longer allowed"
    yield "additional-properties-allowed", Effect.WIDENS, "properties that are not listed are now allowed"
    yield "content-media-type-changed", Effect.CHANGES, "contentMediaType was changed"
    yield "content-encoding-changed", Effect.CHANGES, "contentEncoding was changed"
    yield "default-value-added", Effect.NOTES, "a default was added"
    yield "default-value-removed", Effect.NOTES, "the default was removed"
    yield "default-value-changed", Effect.NOTES, "the default was changed"
    yield "discriminator-added", Effect.NOTES, "a discriminator was added"
    yield "discriminator-removed", Effect.NOTES, "the discriminator was removed"
    yield "discriminator-property-name-changed", Effect.NOTES, "the discriminator is another property"
    yield "discriminator-mapping-added", Effect.NOTES, "the discriminator maps a value more"
    yield "discriminator-mapping-deleted", Effect.NOTES, "the discriminator maps a value less"
    yield "discriminator-mapping-changed", Effect.NOTES, "the discriminator maps a value elsewhere"
    yield "deprecated", Effect.NOTES, "it is now deprecated"
    yield "reactivated", Effect.NOTES, "it is no longer deprecated"
    yield "advice-changed", Effect.NOTES, "what the document advises was changed"


_LEVELS = {
    True: {Effect.NARROWS: Level.BREAKING, Effect.WIDENS: Level.SAFE},
    False: {Effect.NARROWS: Level.SAFE, Effect.WIDENS: Level.BREAKING},
}
_EXCEPTIONS = (
    (r"request-.*-(max|min)(-length|-items|-properties|-contains)?-set", Level.POSSIBLY_BREAKING),
    (r"request-.*-pattern-changed", Level.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-pattern-(added|removed|changed)", Level.SAFE),
    (r"request-.*-all-of-removed", Level.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-(all-of-removed|any-of-added)", Level.SAFE),
    (r"(response|callback)-.*-enum-(value-added|unset)", Level.POSSIBLY_BREAKING),
    (r"(response|callback)-.*-additional-properties-allowed", Level.POSSIBLY_BREAKING),
    (r"request-parameter-default-value-.*", Level.BREAKING),
    (r"request-parameter-property-type-changed", Level.POSSIBLY_BREAKING),
)
"""Where the level is oasdiff's own, or follows one of those; the whole id must fit."""
_NAMES = {"response-body-enum-value-removed": "response-mediatype-enum-value-removed"}
"""Where oasdiff's id has another pattern."""


def rule_id(kind: Kind, action: str) -> str:
    """The id of the rule that says `action` of a schema of `kind`."""
    if action == "type-specialized" and kind.stem in ("request-body", "request-property", "request-parameter"):
        action = "type-changed"  # oasdiff tells these two apart in what is read alone
    name = f"{kind.stem}-{action}"
    return _NAMES.get(name, name)


def _schema_rules() -> Iterator[Rule]:
    for kind in KINDS.values():
        for action, effect, says in _actions():
            name = rule_id(kind, action)
            if action != "type-specialized" or name.endswith(action):
                yield _rule(name, _level(name, kind, effect), f"{kind.words}: {says}")


def _level(name: str, kind: Kind, effect: Effect) -> Level:
    for pattern, level in _EXCEPTIONS:
        if re.fullmatch(pattern, name):
            return level
    return _LEVELS[kind.sent].get(effect, Level.SAFE if effect is Effect.NOTES else Level.BREAKING)


def _rule(name: str, level: Level, means: str) -> Rule:
    return Rule(name, level, means, "contracts")


def _property_rules() -> Iterator[Rule]:
    """Properties that come, go, or become required or optional."""
    for kind in (kind for kind in KINDS.values() if kind.stem.endswith("-property")):
        stem, words = kind.stem, kind.words
        if kind.sent:
            yield _rule(f"new-required-{stem}", Level.BREAKING, f"{words} is new and required")
            with_default = f"{words} is new and required, with a default"
            yield _rule(f"new-required-{stem}-with-default", Level.BREAKING, with_default)
            yield _rule(f"new-optional-{stem}", Level.SAFE, f"{words} is new and optional")
            yield _rule(f"{stem}-removed", Level.POSSIBLY_BREAKING, f"{words} was removed")
            with_default = f"{words} became required, with a default"
            yield _rule(f"{stem}-became-required-with-default", Level.BREAKING, with_default)
        else:
            of = f"{kind.message}-{{}}-property"
            yield _rule(f"{of.format('required')}-removed", Level.BREAKING, f"{words} was removed, a required one")
            optional = f"{words} was removed, an optional one"
            yield _rule(f"{of.format('optional')}-removed", Level.POSSIBLY_BREAKING, optional)
            yield _rule(f"{of.format('required')}-added", Level.SAFE, f"{words} is new and always there")
            yield _rule(f"{of.format('optional')}-added", Level.SAFE, f"{words} is new and may be there")
        required, optional = Level.BREAKING, Level.SAFE
        if not kind.sent:
            required, optional = optional, required
        yield _rule(f"{stem}-became-required", required, f"{words} became required")
        yield _rule(f"{stem}-became-optional", optional, f"{words} became optional")


def _access_rules() -> Iterator[Rule]:
    """Properties that are only read, or only written."""
    for message in ("request", "response", "callback"):
        for need in ("required", "optional"):
            for way in ("read", "write"):
                stem, words = f"{message}-{need}-property", f"A property of a {message}, {need} there,"
                appears = message != "request" and need == "required" and way == "write"
                not_level = Level.POSSIBLY_BREAKING if appears else Level.SAFE
                yield _rule(f"{stem}-became-{way}-only", Level.SAFE, f"{words} became {way}-only")
                yield _rule(f"{stem}-became-not-{way}-only", not_level, f"{words} is no longer {way}-only")


def rules() -> Iterator[Rule]:
    """All rules over schemas."""
    yield from _schema_rules()
    yield from _property_rules()
    yield from _access_rules()
