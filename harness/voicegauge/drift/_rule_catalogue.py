"""Defines the drift rules for documents and traffic, except those of `x-` keys, and registers them.

The level of a change of a schema depends on two facts: whether the change makes fewer or more values valid, and whether
the client sends or receives the value. A client that sends the value breaks if fewer values are valid. A client that
receives the value breaks if more values are valid. `_OASDIFF_LEVEL_EXCEPTIONS` lists the rules
for which oasdiff has another level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from voicegauge.drift.drift_report import DriftLevel, DriftRule, register_rules

# Defines the rules for changes of JSON Schemas, for each keyword and each role of a schema in a document.


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


_SENT, _RECEIVED = True, False
"""Whether the client sends the values of a role, under short names for the table of roles."""

SCHEMA_ROLE_BY_RULE_ID_PREFIX = {
    prefix: SchemaRole(prefix, subject, is_sent, property_prefix)
    for prefix, subject, is_sent, property_prefix in (
        ("request-body", "Request body", _SENT, "request-property"),
        ("request-property", "Request property", _SENT, "request-property"),
        ("request-parameter", "Request parameter", _SENT, "request-parameter-property"),
        ("request-parameter-property", "Property of a request parameter", _SENT, "request-parameter-property"),
        ("response-body", "Response body", _RECEIVED, "response-property"),
        ("response-property", "Response property", _RECEIVED, "response-property"),
        ("response-header", "Response header", _RECEIVED, "response-property"),
        ("callback-body", "Callback body", _RECEIVED, "callback-property"),
        ("callback-property", "Callback property", _RECEIVED, "callback-property"),
        ("callback-parameter", "Callback parameter", _RECEIVED, "callback-property"),
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
    """End of the ids of the rules, such as "max-increased"."""
    effect: SchemaChangeEffect
    """What the change does to the set of valid values."""
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
_OASDIFF_LEVEL_EXCEPTIONS = (
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
    for role in SCHEMA_ROLE_BY_RULE_ID_PREFIX.values():
        for suffix, effect, description in _iterate_schema_changes():
            if _does_rule_exist(role, suffix):
                rule_id = build_rule_id(role, suffix)
                level = _determine_level(rule_id, role, effect)
                yield _build_rule(rule_id, level, f"{role.description_subject}: {description}")


def _does_rule_exist(schema_role: SchemaRole, rule_id_suffix: str) -> bool:
    """Whether a rule id exists for a kind of change in schemas of a role: some do not exist in oasdiff either."""
    if rule_id_suffix == "type-specialized":
        return schema_role.rule_id_prefix not in _SCHEMA_ROLES_WITHOUT_TYPE_SPECIALIZED_RULE
    if rule_id_suffix == "type-compatible":
        return not schema_role.rule_id_prefix.startswith("request-parameter")
    if rule_id_suffix == "deprecated-with-sunset":
        return schema_role.rule_id_prefix in SCHEMA_ROLES_WITH_SUNSET_RULE
    return rule_id_suffix != "pattern-generalized" or schema_role.is_sent_by_client


def _determine_level(rule_id: str, schema_role: SchemaRole, effect: SchemaChangeEffect) -> DriftLevel:
    for pattern, level in _OASDIFF_LEVEL_EXCEPTIONS:
        if re.fullmatch(pattern, rule_id):
            return level
    if effect is SchemaChangeEffect.NONE:
        return DriftLevel.COMPATIBLE
    return _LEVEL_BY_EFFECT[schema_role.is_sent_by_client].get(effect, DriftLevel.BREAKING)


def _build_rule(rule_id: str, level: DriftLevel, description: str) -> DriftRule:
    return DriftRule(rule_id, level, description, "contracts")


_BREAKING, _POSSIBLY_BREAKING, _COMPATIBLE = DriftLevel
"""The levels, under short names for the tables of rules."""

_RULES_OF_SENT_PROPERTIES = (
    ("new-required-{prefix}", _BREAKING, "A required {noun} was added"),
    ("new-required-{prefix}-with-default", _BREAKING, "A required {noun} with a default value was added"),
    ("new-optional-{prefix}", _COMPATIBLE, "An optional {noun} was added"),
    ("{prefix}-removed", _POSSIBLY_BREAKING, "A {noun} was removed"),
    ("{prefix}-became-required-with-default", _BREAKING, "A {noun} with a default value became required"),
    ("{prefix}-became-required", _BREAKING, "A {noun} became required"),
    ("{prefix}-became-optional", _COMPATIBLE, "A {noun} became optional"),
)
"""Rules for properties that clients send: ids, levels and descriptions, with the role of the property in braces."""
_RULES_OF_RECEIVED_PROPERTIES = (
    ("{message}-required-property-removed", _BREAKING, "A required {noun} was removed"),
    ("{message}-optional-property-removed", _POSSIBLY_BREAKING, "An optional {noun} was removed"),
    ("{message}-required-property-added", _COMPATIBLE, "A required {noun} was added"),
    ("{message}-optional-property-added", _COMPATIBLE, "An optional {noun} was added"),
    ("{prefix}-became-required", _COMPATIBLE, "A {noun} became required"),
    ("{prefix}-became-optional", _BREAKING, "A {noun} became optional"),
)
"""Rules for properties that clients receive."""


def _build_property_rules() -> Iterator[DriftRule]:
    """Yield the rules for properties that are added, removed, or become required or optional."""
    for role in SCHEMA_ROLE_BY_RULE_ID_PREFIX.values():
        if role.rule_id_prefix.endswith("-property"):
            values = {
                "prefix": role.rule_id_prefix,
                "message": role.message_type,
                "noun": role.description_subject.lower(),
            }
            rows = _RULES_OF_SENT_PROPERTIES if role.is_sent_by_client else _RULES_OF_RECEIVED_PROPERTIES
            for rule_id, level, description in rows:
                yield _build_rule(rule_id.format_map(values), level, description.format_map(values))


def _build_read_write_access_rules() -> Iterator[DriftRule]:
    """Yield the rules for properties that become or stop being read-only or write-only."""
    for message in ("request", "response", "callback"):
        for need in ("required", "optional"):
            for access in ("read", "write"):
                prefix = f"{message}-{need}-property"
                subject = f"{'A' if need == 'required' else 'An'} {need} {message} property"
                # A required property that is no longer write-only newly appears in what the client receives.
                appears = message != "request" and need == "required" and access == "write"
                level = _POSSIBLY_BREAKING if appears else _COMPATIBLE
                yield _build_rule(f"{prefix}-became-{access}-only", _COMPATIBLE, f"{subject} became {access}-only")
                yield _build_rule(f"{prefix}-became-not-{access}-only", level, f"{subject} is no longer {access}-only")


# Defines the rules for all parts of an OpenAPI document except JSON Schemas and extensions.


_BREAKING_RULES = {
    "api-path-removed-without-deprecation": "A path was removed that was not deprecated before",
    "api-removed-without-deprecation": "An operation was removed that was not deprecated before",
    "request-body-added-required": "A required request body was added",
    "request-body-removed": "The request body was removed",
    "request-body-became-required": "The request body became required",
    "request-body-media-type-removed": "A media type of the request body was removed",
    "request-body-media-type-schema-added": "A schema was added to a media type of the request body",
    "new-required-request-parameter": "A required parameter was added",
    "new-request-path-parameter": "A path parameter was added",
    "new-required-request-default-parameter-to-existing-path": "A required parameter was added to the whole path",
    "request-parameter-became-required": "A parameter became required",
    "request-parameter-style-changed": "The serialization of a parameter was changed (style, explode)",
    "response-success-status-removed": "A success status was removed",
    "response-media-type-removed": "A media type of the response was removed",
    "response-media-type-name-generalized": "A media type of the response was replaced by a range of media types",
    "required-response-header-removed": "A required response header was removed",
    "response-header-became-optional": "A response header became optional",
    "security-became-required": "The operation now requires authentication",
    "security-methods-replaced": "All authentication methods were replaced",
    "api-security-component-location-changed": "The key of a security scheme is sent in another location or form",
    "webhook-removed": "A webhook was removed",
    "callback-removed": "A callback was removed",
    "callback-payload-removed": "The body of a callback was removed",
    "callback-media-type-removed": "A media type of a callback body was removed",
    "callback-parameter-removed": "A parameter or header of a callback was removed",
    "socket-channel-removed": "A WebSocket was removed",
    "socket-client-message-removed": "A message that clients of a WebSocket send was removed",
    "socket-message-encoding-changed": "A message of a WebSocket is binary now, or no longer",
}
"""Descriptions of the rules for breaking changes of operations, by id."""
_POSSIBLY_BREAKING_RULES = {
    "request-parameter-removed": "A parameter was removed",
    "response-body-media-type-schema-removed": "The schema of a media type of the response was removed",
    "optional-response-header-removed": "An optional response header was removed",
    "response-link-removed": "A link was removed from the response",
    "response-link-changed": "A link of the response points to another operation or passes other parameters",
    "server-removed": "A server was removed",
    "callback-payload-became-optional": "The body of a callback became optional",
    "callback-response-status-removed": "A status with which clients respond to a callback was removed",
    "callback-response-status-added": "A status with which clients respond to a callback was added",
    "socket-server-message-added": "The service sends a further message over a WebSocket",
    "socket-server-message-removed": "A message of the service over a WebSocket was removed",
}
"""Descriptions of the rules for possibly breaking changes of operations, by id."""
_COMPATIBLE_RULES = {
    "endpoint-added": "An operation was added",
    "endpoint-deprecated": "The operation was deprecated",
    "endpoint-deprecated-with-sunset": "The operation was deprecated, with a date of removal",
    "endpoint-reactivated": "The operation is no longer deprecated",
    "api-path-removed-with-deprecation": "A deprecated path was removed",
    "api-removed-with-deprecation": "A deprecated operation was removed",
    "api-operation-id-added": "An operationId was added",
    "api-operation-id-removed": "The operationId was changed or removed",
    "api-tag-added": "A tag was added to the operation",
    "api-tag-removed": "A tag was removed from the operation",
    "request-body-added-optional": "An optional request body was added",
    "request-body-became-optional": "The request body became optional",
    "request-body-media-type-added": "A media type of the request body was added",
    "request-body-media-type-schema-removed": "The schema of a media type of the request body was removed",
    "new-optional-request-parameter": "An optional parameter was added",
    "new-optional-request-default-parameter-to-existing-path": "An optional parameter was added to the whole path",
    "request-parameter-removed-with-deprecation": "A deprecated parameter was removed",
    "request-parameter-became-optional": "A parameter became optional",
    "response-success-status-added": "A success status was added",
    "response-non-success-status-added": "An error status was added",
    "response-non-success-status-removed": "An error status was removed",
    "response-media-type-added": "A media type of the response was added",
    "response-media-type-name-changed": "The parameters of a media type of the response were changed",
    "response-media-type-name-specialized": "A range of media types of the response was replaced by one of them",
    "response-body-media-type-schema-added": "A schema was added to a media type of the response",
    "response-header-added": "A response header was added",
    "response-header-became-required": "A response header became required",
    "response-link-added": "A link was added to the response",
    "server-added": "A server was added",
    "security-became-optional": "The operation no longer requires authentication",
    "api-security-added": "An authentication method was added",
    "api-security-removed": "An authentication method was removed; others remain",
    "api-security-scope-added": "An authentication method requires an additional scope",
    "api-security-scope-removed": "An authentication method no longer requires a scope",
    "api-global-security-added": "A global authentication method was added",
    "api-global-security-removed": "A global authentication method was removed; others remain",
    "api-global-security-scope-added": "A global authentication method requires an additional scope",
    "api-global-security-scope-removed": "A global authentication method no longer requires a scope",
    "api-security-component-added": "A security scheme was added",
    "api-security-component-removed": "A security scheme was removed",
    "api-security-component-type-changed": "The type of a security scheme was changed",
    "api-security-component-oauth-url-changed": "The authorization URL of a security scheme was changed",
    "api-security-component-oauth-token-url-changed": "The token URL of a security scheme was changed",
    "api-security-component-oauth-scope-added": "A scope was added to a security scheme",
    "api-security-component-oauth-scope-removed": "A scope was removed from a security scheme",
    "webhook-added": "A webhook was added",
    "callback-added": "A callback was added",
    "callback-payload-added": "A body was added to a callback",
    "callback-payload-became-required": "The body of a callback became required",
    "callback-media-type-added": "A media type of a callback body was added",
    "callback-parameter-added": "A parameter or header was added to a callback",
    "socket-channel-added": "A WebSocket was added",
    "socket-client-message-added": "Clients of a WebSocket may send a further message",
}
"""Descriptions of the rules for compatible changes of operations, by id."""
# Defines the rules for recorded traffic that is compared with a contract or with older traffic.


TRAFFIC_VS_CONTRACT_RULES = {
    "observed-operation-undocumented": (_COMPATIBLE, "A request was sent to an operation that the contract lacks"),
    "observed-status-undocumented": (_POSSIBLY_BREAKING, "A response has an undocumented status"),
    "observed-media-type-undocumented": (_BREAKING, "A response has an undocumented media type"),
    "observed-header-undocumented": (_COMPATIBLE, "A response has an undocumented header"),
    "observed-infrastructure-headers": (_COMPATIBLE, "Responses have headers of proxies, CDNs or web servers"),
    "observed-header-value-undocumented": (
        _POSSIBLY_BREAKING,
        "A header has a value that its documented schema rejects",
    ),
    "observed-field-undocumented": (_COMPATIBLE, "A response has an undocumented field"),
    "observed-field-missing": (_BREAKING, "A field that is documented as required is missing"),
    "observed-type-undocumented": (_BREAKING, "A field has another type than documented"),
    "observed-value-undocumented": (_POSSIBLY_BREAKING, "A field has a value that is not among the documented ones"),
    "observed-value-out-of-bounds": (
        _POSSIBLY_BREAKING,
        "A field has a value outside of its documented range or format",
    ),
    "observed-state-undocumented": (_BREAKING, "A job is in an undocumented state"),
    "observed-transition-undocumented": (_POSSIBLY_BREAKING, "A job made an undocumented transition between states"),
    "observed-request-field-undocumented": (_COMPATIBLE, "A request with an undocumented field was accepted"),
    "observed-message-undocumented": (_BREAKING, "A message of a WebSocket does not have its documented form"),
    "observed-disputed-reading": (_COMPATIBLE, "Traffic agrees with a document that the contract records as disputed"),
    "documented-operation-not-recorded": (_COMPATIBLE, "A documented operation is in no recording"),
    "documented-status-not-recorded": (_COMPATIBLE, "A documented status is in no recording"),
    "documented-media-type-not-recorded": (_COMPATIBLE, "A documented media type is in no recording"),
    "documented-header-not-recorded": (_COMPATIBLE, "A documented header is in no recording"),
    "documented-field-not-recorded": (_COMPATIBLE, "A documented field is in no recording"),
    "documented-value-not-recorded": (_COMPATIBLE, "A documented value is in no recording"),
    "documented-state-not-recorded": (_COMPATIBLE, "A documented job state is in no recording"),
    "documented-message-not-recorded": (_COMPATIBLE, "A documented message of a WebSocket is in no recording"),
}
"""The rules for traffic that is compared with a contract: the level and the description, by rule id."""
TRAFFIC_VS_TRAFFIC_RULES = {
    "recorded-field-gone": (_BREAKING, "A field was removed"),
    "recorded-field-sometimes-gone": (_POSSIBLY_BREAKING, "A field that was always present is sometimes missing"),
    "recorded-field-new": (_COMPATIBLE, "A field was added"),
    "recorded-type-changed": (_BREAKING, "A field has another type"),
    "recorded-value-new": (_POSSIBLY_BREAKING, "A field has values that it did not have before"),
    "recorded-value-gone": (_POSSIBLY_BREAKING, "A list lost entries"),
    "recorded-state-new": (_BREAKING, "Jobs are in a new state that is not documented"),
    "recorded-state-order-changed": (_POSSIBLY_BREAKING, "The order of job states was changed"),
    "recorded-outcome-changed": (_POSSIBLY_BREAKING, "The job of the same request ends in another state"),
    "recorded-header-gone": (_POSSIBLY_BREAKING, "A header was removed"),
    "recorded-header-new": (_COMPATIBLE, "A header was added"),
    "recorded-header-value-new": (_POSSIBLY_BREAKING, "A header has a value that it did not have before"),
    "recorded-status-changed": (_BREAKING, "The response to the same request has another status"),
    "recorded-temporary-rejection": (_COMPATIBLE, "The same request is temporarily rejected"),
    "recorded-media-type-changed": (_BREAKING, "The response to the same request has another media type"),
    "recorded-body-unreadable": (_BREAKING, "A JSON body is now empty or not valid JSON"),
    "recorded-audio-container-changed": (_BREAKING, "Audio has another container format"),
    "recorded-audio-format-changed": (_POSSIBLY_BREAKING, "Audio has another sample rate or number of channels"),
    "recorded-charge-changed": (_POSSIBLY_BREAKING, "The charge for the same request was changed"),
    "recorded-message-gone": (_BREAKING, "A message of a WebSocket is not sent any more"),
    "recorded-message-new": (_POSSIBLY_BREAKING, "A message of a WebSocket was not sent before"),
    "recorded-message-order-changed": (_POSSIBLY_BREAKING, "The order of the messages of a WebSocket was changed"),
    "recorded-close-changed": (_POSSIBLY_BREAKING, "A WebSocket is closed with another code"),
    "recorded-request-not-repeated": (_COMPATIBLE, "A request of the older recording is not in the newer one"),
}
"""The rules for traffic that is compared with older traffic: the level and the description, by rule id."""


register_rules(
    DriftRule(rule_id, level, description, "contracts")
    for level, descriptions in zip(
        DriftLevel, (_BREAKING_RULES, _POSSIBLY_BREAKING_RULES, _COMPATIBLE_RULES), strict=True
    )
    for rule_id, description in descriptions.items()
)
register_rules((*_build_keyword_rules(), *_build_property_rules(), *_build_read_write_access_rules()))
register_rules(DriftRule(name, *found, "recording-contract") for name, found in TRAFFIC_VS_CONTRACT_RULES.items())
register_rules(DriftRule(name, *found, "recordings") for name, found in TRAFFIC_VS_TRAFFIC_RULES.items())
