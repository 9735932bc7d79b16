"""Pairs that differ in one part of a document other than a schema: an operation, a parameter, a response, security."""

from __future__ import annotations

from typing import Any

from drift_agreement.pair import REMOVED, DocumentPair, Edit, apply_edits, put

SPEAK = "/paths/~1speak/post"
OLD = "/paths/~1old/get"
VOICES = "/paths/~1voices/get"
TEXT = {"type": "string"}
JSON = {"application/json": {"schema": TEXT}}
_FLOW = "/components/securitySchemes/login/flows/implicit"
_ANSWER = f"{SPEAK}/responses/200"
_FUTURE, _PAST = "2999-01-31", "2001-01-31"

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1.0.0"},
    "security": [{"key": []}, {"login": ["speak"]}],
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speak",
                "tags": ["speech"],
                "x-stability-level": "beta",
                "parameters": [
                    {"in": "query", "name": "model", "schema": TEXT},
                    {"in": "query", "name": "style", "deprecated": True, "x-sunset": _FUTURE, "schema": TEXT},
                    {"in": "query", "name": "tone", "deprecated": True, "schema": TEXT},
                ],
                "requestBody": {"required": True, "content": {**JSON, "text/plain": {}}},
                "responses": {
                    "200": {
                        "description": "Audio",
                        "headers": {"X-Cost": {"required": True, "schema": TEXT}, "X-Left": {"schema": TEXT}},
                        "content": {**JSON, "text/plain": {}},
                    },
                    "202": {"description": "Queued"},
                    "429": {"description": "Too many"},
                },
            }
        },
        "/voices": {
            "get": {
                "security": [{"key": []}, {"login": ["speak"]}],
                "responses": {"200": {"description": "Voices"}},
            },
            "delete": {"deprecated": True, "responses": {"204": {"description": "Gone"}}},
            "put": {"deprecated": True, "x-sunset": _FUTURE, "responses": {"204": {"description": "Put"}}},
            "patch": {"responses": {"204": {"description": "Patched"}}},
        },
        "/old": {"get": {"deprecated": True, "responses": {"200": {"description": "Old"}}}},
        "/late": {"get": {"deprecated": True, "x-sunset": _FUTURE, "responses": {"200": {"description": "Late"}}}},
        "/odd": {"get": {"deprecated": True, "x-sunset": "soon", "responses": {"200": {"description": "Odd"}}}},
        "/new": {"get": {"responses": {"200": {"description": "New"}}}},
    },
    "webhooks": {"balance": {"post": {"requestBody": {"content": JSON}}}},
    "components": {
        "schemas": {"Unused": TEXT},
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "login": {
                "type": "oauth2",
                "flows": {
                    "implicit": {
                        "authorizationUrl": "https://acme.test/in",
                        "tokenUrl": "https://acme.test/token",
                        "scopes": {"speak": "Speak", "read": "Read"},
                    }
                },
            },
        },
    },
}

_SEED = {"in": "query", "name": "seed", "schema": TEXT}
_BODY = {"content": JSON}
_EDITS_BY_RULE: dict[str, tuple[Edit, ...]] = {
    "endpoint-added": (put("/paths/~1fresh", {"get": {"responses": {"200": {"description": "Fresh"}}}}),),
    "endpoint-deprecated": (put(f"{SPEAK}/deprecated", True),),
    "endpoint-deprecated-with-sunset": (put(f"{SPEAK}/deprecated", True), put(f"{SPEAK}/x-sunset", _FUTURE)),
    "endpoint-reactivated": (put("/paths/~1voices/delete/deprecated", False),),
    "api-path-removed-without-deprecation": (put("/paths/~1new", REMOVED),),
    "api-path-removed-with-deprecation": (put("/paths/~1old", REMOVED),),
    "api-path-removed-before-sunset": (put("/paths/~1late", REMOVED),),
    "api-path-sunset-parse": (put("/paths/~1odd", REMOVED),),
    "api-removed-without-deprecation": (put("/paths/~1voices/patch", REMOVED),),
    "api-removed-with-deprecation": (put("/paths/~1voices/delete", REMOVED),),
    "api-removed-before-sunset": (put("/paths/~1voices/put", REMOVED),),
    "api-deprecated-sunset-parse": (put(f"{SPEAK}/deprecated", True), put(f"{SPEAK}/x-sunset", "soon")),
    "api-sunset-date-too-small": (put(f"{SPEAK}/deprecated", True), put(f"{SPEAK}/x-sunset", _PAST)),
    "api-sunset-date-changed-too-small": (put("/paths/~1voices/put/x-sunset", _PAST),),
    "sunset-deleted": (put("/paths/~1voices/put/x-sunset", REMOVED),),
    "api-stability-decreased": (put(f"{SPEAK}/x-stability-level", "alpha"),),
    "api-stability-increased": (put(f"{SPEAK}/x-stability-level", "stable"),),
    "api-invalid-stability-level": (put(f"{SPEAK}/x-stability-level", "mature"),),
    "api-operation-id-added": (put(f"{VOICES}/operationId", "voices"),),
    "api-operation-id-removed": (put(f"{SPEAK}/operationId", REMOVED),),
    "api-tag-added": (put(f"{SPEAK}/tags/-", "beta"),),
    "api-tag-removed": (put(f"{SPEAK}/tags", []),),
    "api-schema-removed": (put("/components/schemas/Unused", REMOVED),),
    "webhook-added": (put("/webhooks/ready", {"post": {"requestBody": _BODY}}),),
    "webhook-removed": (put("/webhooks/balance", REMOVED),),
    # parameters
    "new-optional-request-parameter": (put(f"{SPEAK}/parameters/-", _SEED),),
    "new-required-request-parameter": (put(f"{SPEAK}/parameters/-", {**_SEED, "required": True}),),
    "new-request-path-parameter": (
        put(f"{SPEAK}/parameters/-", {"in": "path", "name": "v", "required": True, "schema": TEXT}),
    ),
    "new-optional-request-default-parameter-to-existing-path": (put("/paths/~1speak/parameters", [_SEED]),),
    "new-required-request-default-parameter-to-existing-path": (
        put("/paths/~1speak/parameters", [{**_SEED, "required": True}]),
    ),
    "request-parameter-removed": (put(f"{SPEAK}/parameters/0", REMOVED),),
    "request-parameter-removed-with-deprecation": (put(f"{SPEAK}/parameters/2", REMOVED),),
    "request-parameter-removed-before-sunset": (put(f"{SPEAK}/parameters/1", REMOVED),),
    "request-parameter-became-required": (put(f"{SPEAK}/parameters/0/required", True),),
    "request-parameter-deprecated": (put(f"{SPEAK}/parameters/0/deprecated", True),),
    "request-parameter-reactivated": (put(f"{SPEAK}/parameters/2/deprecated", False),),
    "request-parameter-sunset-deleted": (put(f"{SPEAK}/parameters/1/x-sunset", REMOVED),),
    "request-parameter-sunset-parse": (put(f"{SPEAK}/parameters/1/x-sunset", "soon"),),
    "request-parameter-sunset-date-changed-too-small": (put(f"{SPEAK}/parameters/1/x-sunset", _PAST),),
    "request-parameter-sunset-date-too-small": (
        put(f"{SPEAK}/parameters/0/deprecated", True),
        put(f"{SPEAK}/parameters/0/x-sunset", _PAST),
    ),
    # request bodies
    "request-body-added-required": (put("/paths/~1new/get/requestBody", {"required": True, "content": JSON}),),
    "request-body-added-optional": (put("/paths/~1new/get/requestBody", _BODY),),
    "request-body-removed": (put(f"{SPEAK}/requestBody", REMOVED),),
    "request-body-became-optional": (put(f"{SPEAK}/requestBody/required", False),),
    "request-body-media-type-added": (put(f"{SPEAK}/requestBody/content/text~1html", {"schema": TEXT}),),
    "request-body-media-type-removed": (put(f"{SPEAK}/requestBody/content/text~1plain", REMOVED),),
    "request-body-media-type-schema-added": (put(f"{SPEAK}/requestBody/content/text~1plain/schema", TEXT),),
    "request-body-media-type-schema-removed": (put(f"{SPEAK}/requestBody/content/application~1json", {}),),
    # responses
    "response-success-status-added": (put(f"{SPEAK}/responses/201", {"description": "Made"}),),
    "response-success-status-removed": (put(f"{SPEAK}/responses/202", REMOVED),),
    "response-non-success-status-added": (put(f"{SPEAK}/responses/500", {"description": "Error"}),),
    "response-non-success-status-removed": (put(f"{SPEAK}/responses/429", REMOVED),),
    "response-media-type-added": (put(f"{_ANSWER}/content/text~1html", {"schema": TEXT}),),
    "response-media-type-removed": (put(f"{_ANSWER}/content/text~1plain", REMOVED),),
    "response-media-type-name-changed": (
        put(f"{_ANSWER}/content/application~1json", REMOVED),
        put(f"{_ANSWER}/content/application~1json; charset=utf-8", {"schema": TEXT}),
    ),
    "response-media-type-name-specialized": (
        put(f"{_ANSWER}/content/application~1json", REMOVED),
        put(f"{_ANSWER}/content/application~1problem+json", {"schema": TEXT}),
    ),
    "response-body-media-type-schema-added": (put(f"{_ANSWER}/content/text~1plain/schema", TEXT),),
    "response-body-media-type-schema-removed": (put(f"{_ANSWER}/content/application~1json", {}),),
    "response-header-added": (put(f"{_ANSWER}/headers/X-New", {"schema": TEXT}),),
    "response-header-became-optional": (put(f"{_ANSWER}/headers/X-Cost/required", False),),
    "required-response-header-removed": (put(f"{_ANSWER}/headers/X-Cost", REMOVED),),
    "optional-response-header-removed": (put(f"{_ANSWER}/headers/X-Left", REMOVED),),
    # security
    "api-security-added": (put(f"{VOICES}/security/-", {"other": []}),),
    "api-security-removed": (put(f"{VOICES}/security/0", REMOVED),),
    "api-security-scope-added": (put(f"{VOICES}/security/1/login", ["speak", "read"]),),
    "api-security-scope-removed": (put(f"{VOICES}/security/1/login", []),),
    "api-global-security-added": (put("/security/-", {"other": []}),),
    "api-global-security-removed": (put("/security/0", REMOVED),),
    "api-global-security-scope-added": (put("/security/1/login", ["speak", "read"]),),
    "api-global-security-scope-removed": (put("/security/1/login", []),),
    "api-security-component-added": (put("/components/securitySchemes/other", {"type": "http", "scheme": "basic"}),),
    "api-security-component-removed": (put("/components/securitySchemes/key", REMOVED),),
    "api-security-component-type-changed": (
        put("/components/securitySchemes/key", {"type": "http", "scheme": "basic"}),
    ),
    "api-security-component-oauth-url-changed": (put(f"{_FLOW}/authorizationUrl", "https://b.test/in"),),
    "api-security-component-oauth-token-url-changed": (put(f"{_FLOW}/tokenUrl", "https://b.test/token"),),
    "api-security-component-oauth-scope-added": (put(f"{_FLOW}/scopes/all", "All"),),
    "api-security-component-oauth-scope-removed": (put(f"{_FLOW}/scopes/read", REMOVED),),
    "api-security-component-oauth-scope-changed": (put(f"{_FLOW}/scopes/read", "Read everything"),),
}
_UNDONE_RULES = {
    "request-body-became-required": "request-body-became-optional",
    "request-parameter-became-optional": "request-parameter-became-required",
    "response-media-type-name-generalized": "response-media-type-name-specialized",
}
"""Rules whose pair is that of another rule, with the two documents swapped."""


def build_document_pair(rule: str) -> DocumentPair | None:
    """Return the pair for a rule; `None` if the rule is about schemas, or none of oasdiff's defaults."""
    if rule in _UNDONE_RULES:
        return DocumentPair(rule, apply_edits(BASE, *_EDITS_BY_RULE[_UNDONE_RULES[rule]]), BASE)
    if rule in _EDITS_BY_RULE:
        return DocumentPair(rule, BASE, apply_edits(BASE, *_EDITS_BY_RULE[rule]))
    return None
