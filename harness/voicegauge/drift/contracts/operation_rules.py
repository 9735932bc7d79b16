"""Defines the rules for all parts of an OpenAPI document except JSON Schemas and extensions."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.drift.rule_registry import DriftLevel, DriftRule

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
}
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
}
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
}
_RULES_BY_LEVEL = (
    (DriftLevel.BREAKING, _BREAKING_RULES),
    (DriftLevel.POSSIBLY_BREAKING, _POSSIBLY_BREAKING_RULES),
    (DriftLevel.COMPATIBLE, _COMPATIBLE_RULES),
)


def build_rules() -> Iterator[DriftRule]:
    """Yield the rules for changes of operations, parameters, requests, responses, callbacks, servers and security."""
    for level, descriptions in _RULES_BY_LEVEL:
        yield from (DriftRule(name, level, description, "contracts") for name, description in descriptions.items())
