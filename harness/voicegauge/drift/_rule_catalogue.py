"""Defines the drift rules for documents and traffic, and registers all drift rules."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.drift._extension_comparison import build_extension_rules
from voicegauge.drift._schema_rules import build_schema_rules
from voicegauge.drift.drift_report import DriftLevel, DriftRule, register_rules

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
_RULES_BY_LEVEL = (
    (DriftLevel.BREAKING, _BREAKING_RULES),
    (DriftLevel.POSSIBLY_BREAKING, _POSSIBLY_BREAKING_RULES),
    (DriftLevel.COMPATIBLE, _COMPATIBLE_RULES),
)


def build_operation_rules() -> Iterator[DriftRule]:
    """Yield the rules for changes of operations, parameters, requests, responses, callbacks, servers and security."""
    for level, descriptions in _RULES_BY_LEVEL:
        yield from (DriftRule(name, level, description, "contracts") for name, description in descriptions.items())


# Defines the rules for recorded traffic that is compared with a contract or with older traffic.


_BREAKING, _POSSIBLY_BREAKING, _COMPATIBLE = DriftLevel
"""The levels, under short names for the tables of rules."""

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


def build_traffic_rules() -> list[DriftRule]:
    """Return all rules for recorded traffic."""
    return [
        *(DriftRule(id, level, text, "recording-contract") for id, (level, text) in TRAFFIC_VS_CONTRACT_RULES.items()),
        *(DriftRule(id, level, text, "recordings") for id, (level, text) in TRAFFIC_VS_TRAFFIC_RULES.items()),
    ]


for rules in (build_operation_rules(), build_schema_rules(), build_extension_rules(), build_traffic_rules()):
    register_rules(rules)
