"""The rules over everything in an OpenAPI document that is no schema."""

from __future__ import annotations

from collections.abc import Iterator

from voicegauge.drift.registry import DriftLevel, DriftRule

_BREAKING = {
    "api-path-removed-without-deprecation": "The path was removed; it was not deprecated before",
    "api-removed-without-deprecation": "The operation was removed from its path; it was not deprecated before",
    "request-body-added-required": "The operation takes a request body now, and needs it",
    "request-body-removed": "The operation takes a request body no longer",
    "request-body-became-required": "The request body became required",
    "request-body-media-type-removed": "The request body may no longer be of this media type",
    "request-body-media-type-schema-added": "The request body of a media type has a schema now",
    "new-required-request-parameter": "A parameter is new and required",
    "new-request-path-parameter": "A path parameter is new",
    "new-required-request-default-parameter-to-existing-path": "A parameter of the whole path is new and required",
    "request-parameter-became-required": "The parameter became required",
    "request-parameter-style-changed": "The parameter is written in another way (style, explode)",
    "response-success-status-removed": "A status of success is no longer documented",
    "response-media-type-removed": "The answer is no longer of this media type",
    "response-media-type-name-generalized": "The answer's media type may be any of several now",
    "required-response-header-removed": "A header that was always there was removed",
    "response-header-became-optional": "A header may be missing now",
    "security-became-required": "The operation answered without a key and no longer does",
    "security-ways-in-replaced": "None of the documented ways in is one that there was before",
    "api-security-component-place-changed": "The key is sent elsewhere or in another form",
    "webhook-removed": "A webhook is no longer sent",
    "callback-removed": "A callback is no longer sent",
    "callback-payload-removed": "A callback carries a body no longer",
    "callback-media-type-removed": "A callback's body is no longer of this media type",
    "callback-parameter-removed": "A callback no longer has this parameter or header",
}
_POSSIBLY = {
    "request-parameter-removed": "The parameter was removed",
    "response-body-media-type-schema-removed": "The answer of a media type has a schema no longer",
    "optional-response-header-removed": "A header that was sometimes there was removed",
    "response-link-removed": "A link from the answer was removed",
    "response-link-changed": "A link from the answer leads elsewhere",
    "server-removed": "A server is no longer documented",
    "callback-payload-became-optional": "A callback may come without its body now",
    "callback-response-status-removed": "A status that the client answers a callback with is no longer documented",
    "callback-response-status-added": "A callback is to be answered with a status that was not documented before",
}
_SAFE = {
    "endpoint-added": "An operation is new",
    "endpoint-deprecated": "The operation is deprecated now",
    "endpoint-deprecated-with-sunset": "The operation is deprecated now, with the day on which it ends",
    "endpoint-reactivated": "The operation is no longer deprecated",
    "api-path-removed-with-deprecation": "The path was removed, having been deprecated",
    "api-removed-with-deprecation": "The operation was removed from its path, having been deprecated",
    "api-operation-id-added": "The operation has an operationId now",
    "api-operation-id-removed": "The operationId was changed or removed",
    "api-tag-added": "The operation has a tag more",
    "api-tag-removed": "The operation has a tag less",
    "request-body-added-optional": "The operation takes a request body now, if one is sent",
    "request-body-became-optional": "The request body became optional",
    "request-body-media-type-added": "The request body may be of this media type too",
    "request-body-media-type-schema-removed": "The request body of a media type has a schema no longer",
    "new-optional-request-parameter": "A parameter is new and optional",
    "new-optional-request-default-parameter-to-existing-path": "A parameter of the whole path is new and optional",
    "request-parameter-removed-with-deprecation": "The parameter was removed, having been deprecated",
    "request-parameter-became-optional": "The parameter became optional",
    "response-success-status-added": "A status of success is new",
    "response-non-success-status-added": "A status that is no success is new",
    "response-non-success-status-removed": "A status that is no success is no longer documented",
    "response-media-type-added": "The answer may be of this media type too",
    "response-media-type-name-changed": "The answer's media type has other parameters",
    "response-media-type-name-specialized": "The answer's media type is one of those it could be before",
    "response-body-media-type-schema-added": "The answer of a media type has a schema now",
    "response-header-added": "A header is new",
    "response-header-became-required": "A header is always there now",
    "response-link-added": "The answer has a link more",
    "server-added": "A server is new",
    "security-became-optional": "The operation answers without a key now",
    "api-security-added": "There is another way in",
    "api-security-removed": "There is a way in less",
    "api-security-scope-added": "A way in needs a scope more",
    "api-security-scope-removed": "A way in needs a scope less",
    "api-global-security-added": "There is another way into all operations",
    "api-global-security-removed": "There is a way less into all operations",
    "api-global-security-scope-added": "A way into all operations needs a scope more",
    "api-global-security-scope-removed": "A way into all operations needs a scope less",
    "api-security-component-added": "A security scheme is new",
    "api-security-component-removed": "A security scheme was removed",
    "api-security-component-type-changed": "A security scheme is of another type",
    "api-security-component-oauth-url-changed": "The authorization URL of a security scheme was changed",
    "api-security-component-oauth-token-url-changed": "The token URL of a security scheme was changed",
    "api-security-component-oauth-scope-added": "A security scheme has a scope more",
    "api-security-component-oauth-scope-removed": "A security scheme has a scope less",
    "webhook-added": "A webhook is new",
    "callback-added": "A callback is new",
    "callback-payload-added": "A callback carries a body now",
    "callback-payload-became-required": "A callback always carries its body now",
    "callback-media-type-added": "A callback's body may be of this media type too",
    "callback-parameter-added": "A callback has this parameter or header now",
}


def rules() -> Iterator[DriftRule]:
    """All rules over what is no schema."""
    for level, means_by_id in (
        (DriftLevel.BREAKING, _BREAKING),
        (DriftLevel.POSSIBLY_BREAKING, _POSSIBLY),
        (DriftLevel.COMPATIBLE, _SAFE),
    ):
        yield from (DriftRule(name, level, description, "contracts") for name, description in means_by_id.items())
