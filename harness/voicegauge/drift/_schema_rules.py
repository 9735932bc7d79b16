"""Defines the rules for changes of JSON Schemas, for each keyword and each role of a schema in an OpenAPI document.

The level of a change depends on two facts: whether the change makes fewer or more values valid, and whether the client
sends or receives the value. A client that sends the value breaks if fewer values are valid. A client that receives the
value breaks if more values are valid. `_LEVEL_EXCEPTIONS` lists the rules for which oasdiff has another level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from voicegauge.drift.drift_report import DriftLevel, DriftRule


class SchemaChangeEffect(Enum):
    """The effect of a change on the set of valid values."""

    NARROWS = "fewer values are valid"
    WIDENS = "more values are valid"
    CHANGES = "other values are valid"
    NONE = "the same values are valid"


class SchemaRole(NamedTuple):
    """Where a schema is used in an OpenAPI document: for example as a request body, or as a property of a response.

    Each role has rules of its own.
    """

    rule_id_prefix: str
    """Start of the ids of the rules for schemas with this role."""
    description_subject: str
    """Subject of the sentences that describe the rules for schemas with this role, such as "Request body"."""
    is_sent_by_client: bool
    """Whether the client sends the value rather than receives it."""
    property_rule_id_prefix: str
    """The `rule_id_prefix` of another role: that of the properties and the items of a schema with this role."""

    @property
    def message_type(self) -> str:
        """The message that contains the schema: "request", "response" or "callback"."""
        return self.rule_id_prefix.partition("-")[0]


SCHEMA_ROLE_BY_RULE_ID_PREFIX = {
    kind.rule_id_prefix: kind
    for kind in (
        SchemaRole("request-body", "Request body", is_sent_by_client=True, property_rule_id_prefix="request-property"),
        SchemaRole(
            "request-property", "Request property", is_sent_by_client=True, property_rule_id_prefix="request-property"
        ),
        SchemaRole(
            "request-parameter",
            "Request parameter",
            is_sent_by_client=True,
            property_rule_id_prefix="request-parameter-property",
        ),
        SchemaRole(
            "request-parameter-property",
            "Property of a request parameter",
            is_sent_by_client=True,
            property_rule_id_prefix="request-parameter-property",
        ),
        SchemaRole(
            "response-body", "Response body", is_sent_by_client=False, property_rule_id_prefix="response-property"
        ),
        SchemaRole(
            "response-property",
            "Response property",
            is_sent_by_client=False,
            property_rule_id_prefix="response-property",
        ),
        SchemaRole(
            "response-header", "Response header", is_sent_by_client=False, property_rule_id_prefix="response-property"
        ),
        SchemaRole(
            "callback-body", "Callback body", is_sent_by_client=False, property_rule_id_prefix="callback-property"
        ),
        SchemaRole(
            "callback-property",
            "Callback property",
            is_sent_by_client=False,
            property_rule_id_prefix="callback-property",
        ),
        SchemaRole(
            "callback-parameter",
            "Callback parameter",
            is_sent_by_client=False,
            property_rule_id_prefix="callback-property",
        ),
    )
}
"""All roles of schemas by `rule_id_prefix`."""

RULE_ID_PART_BY_BOUND_KEYWORD = {
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
"""Keywords that set a limit, such as `maxLength`, each with the part of rule ids that stands for it."""
RULE_ID_PART_BY_RESTRICTION_KEYWORD = {
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
"""Other keywords that restrict values, each with the part of rule ids that stands for it. A change of such a keyword
may allow some values and forbid others."""
RULE_ID_PART_BY_BRANCH_KEYWORD = {
    "oneOf": "one-of",
    "anyOf": "any-of",
    "allOf": "all-of",
    "prefixItems": "prefix-items",
}
"""Keywords whose value is a list of schemas, each with the part of rule ids that stands for it."""


class _SchemaChange(NamedTuple):
    """A kind of change of a schema, for which each role of schemas has a rule."""

    rule_id_suffix: str
    effect: SchemaChangeEffect
    description: str
    """The part of the rule's description after the role of the schema: "a schema was added to allOf"."""


_NARROWS, _WIDENS = SchemaChangeEffect.NARROWS, SchemaChangeEffect.WIDENS
"""The effects, under short names for the table of changes."""
_CHANGES, _NONE = SchemaChangeEffect.CHANGES, SchemaChangeEffect.NONE

_STRUCTURE_AND_TYPE_CHANGES = (
    _SchemaChange("all-of-added", _NARROWS, "a schema was added to allOf"),
    _SchemaChange("all-of-removed", _WIDENS, "a schema was removed from allOf"),
    _SchemaChange("prefix-items-added", _WIDENS, "an item was added to prefixItems"),
    _SchemaChange("prefix-items-removed", _NARROWS, "an item was removed from prefixItems"),
    _SchemaChange("wrapped-in-one-of", _CHANGES, "the schema was replaced by a oneOf that contains it"),
    _SchemaChange("unwrapped-from-one-of", _CHANGES, "oneOf was replaced by a single schema"),
    _SchemaChange("type-generalized", _WIDENS, "the type or format allows more values"),
    _SchemaChange("type-specialized", _NARROWS, "the type or format allows fewer values"),
    _SchemaChange("type-changed", _CHANGES, "the type or format was changed"),
    _SchemaChange("type-compatible", _NONE, "the type was changed, but every value is sent as text"),
    _SchemaChange("list-of-types-widened", _WIDENS, "a type was added to the allowed types"),
    _SchemaChange("list-of-types-narrowed", _NARROWS, "a type was removed from the allowed types"),
    _SchemaChange("became-nullable", _WIDENS, "null is now allowed"),
    _SchemaChange("became-not-nullable", _NARROWS, "null is no longer allowed"),
    _SchemaChange("enum-value-added", _WIDENS, "values were added to the enum"),
    _SchemaChange("enum-value-removed", _NARROWS, "values were removed from the enum"),
    _SchemaChange("became-enum", _NARROWS, "the values were restricted to an enum"),
    _SchemaChange("enum-unset", _WIDENS, "the values are no longer restricted to an enum"),
    _SchemaChange("pattern-generalized", _WIDENS, "the pattern now matches every value"),
    _SchemaChange("unique-items-set", _NARROWS, "items must now be unique"),
    _SchemaChange("unique-items-unset", _WIDENS, "items no longer have to be unique"),
    _SchemaChange("additional-properties-forbidden", _NARROWS, "additional properties are no longer allowed"),
    _SchemaChange("additional-properties-allowed", _WIDENS, "additional properties are now allowed"),
    _SchemaChange("content-media-type-changed", _CHANGES, "contentMediaType was changed"),
    _SchemaChange("content-encoding-changed", _CHANGES, "contentEncoding was changed"),
    _SchemaChange("default-value-added", _NONE, "a default value was added"),
    _SchemaChange("default-value-removed", _NONE, "the default value was removed"),
    _SchemaChange("default-value-changed", _NONE, "the default value was changed"),
    _SchemaChange("discriminator-added", _NONE, "a discriminator was added"),
    _SchemaChange("discriminator-removed", _NONE, "the discriminator was removed"),
    _SchemaChange("discriminator-property-name-changed", _NONE, "the discriminator uses another property"),
    _SchemaChange("discriminator-mapping-added", _NONE, "a value was added to the mapping of the discriminator"),
    _SchemaChange("discriminator-mapping-deleted", _NONE, "a value was removed from the mapping of the discriminator"),
    _SchemaChange("discriminator-mapping-changed", _NONE, "the discriminator maps a value to another schema"),
    _SchemaChange("deprecated", _NONE, "it was deprecated"),
    _SchemaChange("deprecated-with-sunset", _NONE, "it was deprecated, with a date of removal"),
    _SchemaChange("reactivated", _NONE, "it is no longer deprecated"),
    _SchemaChange("advice-changed", _NONE, "the documented advice (x-advice) was changed"),
)
"""The changes of the structure and the type of a schema, each with its effect and its description."""


def _iterate_schema_changes() -> Iterator[_SchemaChange]:
    for keyword, name in RULE_ID_PART_BY_BOUND_KEYWORD.items():
        is_upper = keyword.lower().startswith(("max", "exclusivemax"))
        raising, lowering = (_WIDENS, _NARROWS) if is_upper else (_NARROWS, _WIDENS)
        yield _SchemaChange(f"{name}-increased", raising, f"{keyword} was increased")
        yield _SchemaChange(f"{name}-decreased", lowering, f"{keyword} was decreased")
        if keyword != "minContains":  # it has a default, so that it is never without a value
            yield _SchemaChange(f"{name}-set", _NARROWS, f"{keyword} was added")
            yield _SchemaChange(f"{name}-unset", _WIDENS, f"{keyword} was removed")
    for keyword, name in RULE_ID_PART_BY_RESTRICTION_KEYWORD.items():
        yield _SchemaChange(f"{name}-added", _NARROWS, f"the {keyword!r} keyword was added")
        yield _SchemaChange(f"{name}-removed", _WIDENS, f"the {keyword!r} keyword was removed")
        yield _SchemaChange(f"{name}-changed", _CHANGES, f"the {keyword!r} keyword was changed")
    for keyword, name in (("oneOf", "one-of"), ("anyOf", "any-of")):
        yield _SchemaChange(f"{name}-added", _WIDENS, f"a schema was added to {keyword}")
        yield _SchemaChange(f"{name}-removed", _NARROWS, f"a schema was removed from {keyword}")
        yield _SchemaChange(f"{name}-set", _NARROWS, f"the {keyword!r} keyword was added")
        yield _SchemaChange(f"{name}-unset", _WIDENS, f"the {keyword!r} keyword was removed")
    yield from _STRUCTURE_AND_TYPE_CHANGES


_LEVEL_BY_EFFECT = {
    True: {_NARROWS: DriftLevel.BREAKING, _WIDENS: DriftLevel.COMPATIBLE},
    False: {_NARROWS: DriftLevel.COMPATIBLE, _WIDENS: DriftLevel.BREAKING},
}
"""Levels of changes, by whether the client sends the value and then by the effect of the change."""
_LEVEL_EXCEPTIONS = (
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
"""Patterns of rule ids whose level differs from `_LEVEL_BY_EFFECT`, each with the level that oasdiff gives such rules.
A pattern matches a whole rule id."""
_OASDIFF_ID_BY_RULE_ID = {"response-body-enum-value-removed": "response-mediatype-enum-value-removed"}
"""Ids of rules for which oasdiff does not combine a prefix for the role with a suffix for the change. Each is under the
id that the rule would have otherwise."""
SCHEMA_ROLES_WITH_SUNSET_RULE = ("request-property", "response-property")
"""Roles of schemas that have a rule for a deprecation with a date of removal (`x-sunset`)."""
_SCHEMA_ROLES_WITHOUT_TYPE_SPECIALIZED_RULE = ("request-body", "request-property", "request-parameter")
"""Roles of schemas that have no rule of their own for a change to fewer types. As in oasdiff, the rule `type-changed`
reports such a change."""


def build_rule_id(schema_role: SchemaRole, rule_id_suffix: str) -> str:
    """Return the id of the rule for a change of a schema.

    Args:
        schema_role: the role of the schema.
        rule_id_suffix: the end of the rule id that describes the change, such as "max-increased".
    """
    name = f"{schema_role.rule_id_prefix}-{rule_id_suffix}"
    return _OASDIFF_ID_BY_RULE_ID.get(name, name)


def _build_keyword_rules() -> Iterator[DriftRule]:
    for kind in SCHEMA_ROLE_BY_RULE_ID_PREFIX.values():
        for action in _iterate_schema_changes():
            if _has_own_rule(kind, action.rule_id_suffix):
                name = build_rule_id(kind, action.rule_id_suffix)
                level = _determine_level(name, kind, action.effect)
                yield _build_rule(name, level, f"{kind.description_subject}: {action.description}")


def _has_own_rule(schema_role: SchemaRole, rule_id_suffix: str) -> bool:
    """Whether a rule id exists for a kind of change in schemas of a role: some do not exist in oasdiff either."""
    if rule_id_suffix == "type-specialized":
        return schema_role.rule_id_prefix not in _SCHEMA_ROLES_WITHOUT_TYPE_SPECIALIZED_RULE
    if rule_id_suffix == "type-compatible":
        return not schema_role.rule_id_prefix.startswith("request-parameter")
    if rule_id_suffix == "deprecated-with-sunset":
        return schema_role.rule_id_prefix in SCHEMA_ROLES_WITH_SUNSET_RULE
    return rule_id_suffix != "pattern-generalized" or schema_role.is_sent_by_client


def _determine_level(rule_id: str, schema_role: SchemaRole, effect: SchemaChangeEffect) -> DriftLevel:
    for pattern, level in _LEVEL_EXCEPTIONS:
        if re.fullmatch(pattern, rule_id):
            return level
    if effect is SchemaChangeEffect.NONE:
        return DriftLevel.COMPATIBLE
    return _LEVEL_BY_EFFECT[schema_role.is_sent_by_client].get(effect, DriftLevel.BREAKING)


def _build_rule(rule_id: str, level: DriftLevel, description: str) -> DriftRule:
    return DriftRule(rule_id, level, description, "contracts")


def _build_property_rules() -> Iterator[DriftRule]:
    """Yield the rules for properties that are added, removed, or become required or optional."""
    for kind in (kind for kind in SCHEMA_ROLE_BY_RULE_ID_PREFIX.values() if kind.rule_id_prefix.endswith("-property")):
        prefix, noun = kind.rule_id_prefix, kind.description_subject.lower()
        yield from (
            _build_sent_property_rules(prefix, noun)
            if kind.is_sent_by_client
            else _build_received_property_rules(kind.message_type, noun)
        )
        required, optional = DriftLevel.BREAKING, DriftLevel.COMPATIBLE
        if not kind.is_sent_by_client:
            required, optional = optional, required
        yield _build_rule(f"{prefix}-became-required", required, f"A {noun} became required")
        yield _build_rule(f"{prefix}-became-optional", optional, f"A {noun} became optional")


def _build_sent_property_rules(rule_id_prefix: str, property_noun: str) -> Iterator[DriftRule]:
    breaking, possibly, compatible = DriftLevel
    yield _build_rule(f"new-required-{rule_id_prefix}", breaking, f"A required {property_noun} was added")
    description = f"A required {property_noun} with a default value was added"
    yield _build_rule(f"new-required-{rule_id_prefix}-with-default", breaking, description)
    yield _build_rule(f"new-optional-{rule_id_prefix}", compatible, f"An optional {property_noun} was added")
    yield _build_rule(f"{rule_id_prefix}-removed", possibly, f"A {property_noun} was removed")
    description = f"A {property_noun} with a default value became required"
    yield _build_rule(f"{rule_id_prefix}-became-required-with-default", breaking, description)


def _build_received_property_rules(message_type: str, property_noun: str) -> Iterator[DriftRule]:
    breaking, possibly, compatible = DriftLevel
    yield _build_rule(f"{message_type}-required-property-removed", breaking, f"A required {property_noun} was removed")
    yield _build_rule(f"{message_type}-optional-property-removed", possibly, f"An optional {property_noun} was removed")
    yield _build_rule(f"{message_type}-required-property-added", compatible, f"A required {property_noun} was added")
    yield _build_rule(f"{message_type}-optional-property-added", compatible, f"An optional {property_noun} was added")


def _build_read_write_access_rules() -> Iterator[DriftRule]:
    """Yield the rules for properties that become or stop being read-only or write-only."""
    for message in ("request", "response", "callback"):
        for need in ("required", "optional"):
            for access in ("read", "write"):
                prefix = f"{message}-{need}-property"
                subject = f"{'A' if need == 'required' else 'An'} {need} {message} property"
                # A required property that is no longer write-only newly appears in what the client receives.
                appears = message != "request" and need == "required" and access == "write"
                level = DriftLevel.POSSIBLY_BREAKING if appears else DriftLevel.COMPATIBLE
                yield _build_rule(
                    f"{prefix}-became-{access}-only", DriftLevel.COMPATIBLE, f"{subject} became {access}-only"
                )
                yield _build_rule(f"{prefix}-became-not-{access}-only", level, f"{subject} is no longer {access}-only")


def build_schema_rules() -> Iterator[DriftRule]:
    """Yield all rules for schemas."""
    yield from _build_keyword_rules()
    yield from _build_property_rules()
    yield from _build_read_write_access_rules()
