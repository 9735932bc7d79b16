"""One document, and an edit of it for each rule outside of schemas."""

from __future__ import annotations

from typing import Any, NamedTuple

from ..builders.documents import REMOVED, Edit, put

B, P, C = "breaking", "possibly-breaking", "compatible"
SPEAK = "/paths/~1speak/post"
JOB = "/paths/~1jobs~1{id}/get"
DONE = "/paths/~1speak/post/callbacks/done/{$request.body#~1url}/post"
TEXT = {"type": "string"}
JSON = {"application/json": {"schema": TEXT}}
KEY = {"key": []}

BASE: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "security": [{"key": []}, {"login": ["speak"]}],
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speak",
                "tags": ["speech"],
                "security": [{"key": []}, {"login": ["speak"]}],
                "parameters": [
                    {"in": "query", "name": "model", "schema": TEXT},
                    {"in": "query", "name": "style", "deprecated": True, "schema": TEXT},
                    {"in": "header", "name": "X-Trace", "required": True, "schema": TEXT},
                ],
                "requestBody": {"required": True, "content": {**JSON, "text/plain": {}}},
                "responses": {
                    "200": {
                        "description": "Audio",
                        "headers": {"X-Cost": {"required": True, "schema": TEXT}, "X-Left": {"schema": TEXT}},
                        "content": {**JSON, "audio/*": {}},
                        "links": {"job": {"operationId": "job", "parameters": {"id": "$response.body#/id"}}},
                    },
                    "202": {"description": "Queued"},
                    "429": {"description": "Too many"},
                },
                "callbacks": {
                    "done": {
                        "{$request.body#/url}": {
                            "post": {
                                "parameters": [{"in": "header", "name": "X-Event", "schema": TEXT}],
                                "requestBody": {"required": True, "content": {**JSON, "text/plain": {}}},
                                "responses": {"200": {"description": "Taken"}},
                            }
                        }
                    }
                },
            }
        },
        "/jobs/{id}": {
            "parameters": [{"in": "path", "name": "id", "required": True, "schema": TEXT}],
            "get": {"operationId": "job", "responses": {"200": {"description": "State", "content": JSON}}},
            "delete": {"operationId": "cancel", "security": [KEY], "responses": {"204": {"description": "Gone"}}},
        },
        "/old": {"get": {"deprecated": True, "operationId": "old", "responses": {"200": {"description": "Old"}}}},
        "/new": {
            "get": {"responses": {"200": {"description": "New"}}},
            "put": {"deprecated": True, "operationId": "replace", "responses": {"200": {"description": "Put"}}},
        },
    },
    "webhooks": {"balance": {"post": {"requestBody": {"content": JSON}}}},
    "components": {
        "securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "login": {
                "type": "oauth2",
                "flows": {
                    "authorizationCode": {
                        "authorizationUrl": "https://acme.test/in",
                        "tokenUrl": "https://acme.test/token",
                        "scopes": {"speak": "Speak", "read": "Read"},
                    }
                },
            },
        }
    },
}


class OperationEdit(NamedTuple):
    """An edit of `BASE`, and all that must be found."""

    rules: dict[str, str]
    """Level by id."""
    edits: tuple[Edit, ...]
    where: str | None = "speak"
    """The operation."""


def _both(
    forth: dict[str, str], back: dict[str, str], edit: Edit, where: str | None = "speak"
) -> list[tuple[OperationEdit, bool]]:
    """An edit that is found under one rule, and under another when it is undone."""
    return [(OperationEdit(forth, (edit,), where), False), (OperationEdit(back, (edit,), where), True)]


def _one(rules: dict[str, str], *edits: Edit, where: str | None = "speak") -> list[tuple[OperationEdit, bool]]:
    return [(OperationEdit(rules, edits, where), False)]


_ANSWER = f"{SPEAK}/responses/200"
_FLOW = "/components/securitySchemes/login/flows/authorizationCode"

OPERATION_EDITS: list[tuple[OperationEdit, bool]] = [
    # paths and operations
    *_both({"api-path-removed-without-deprecation": B}, {"endpoint-added": C}, put("/paths/~1speak", REMOVED)),
    *_one({"api-path-removed-with-deprecation": C}, put("/paths/~1old", REMOVED), where="old"),
    *_one({"api-removed-without-deprecation": B}, put("/paths/~1jobs~1{id}/delete", REMOVED), where="cancel"),
    *_one({"api-removed-with-deprecation": C}, put("/paths/~1new/put", REMOVED), where="replace"),
    *_both({"endpoint-deprecated": C}, {"endpoint-reactivated": C}, put(f"{SPEAK}/deprecated", True)),
    *_one(
        {"endpoint-deprecated-with-sunset": C},
        put(f"{SPEAK}/deprecated", True),
        put(f"{SPEAK}/x-sunset", "2027-01-01"),
    ),
    *_one({"api-operation-id-added": C}, put("/paths/~1new/get/operationId", "fresh"), where="GET /new"),
    *_one({"api-operation-id-removed": C}, put(f"{SPEAK}/operationId", REMOVED)),
    *_both({"api-tag-added": C}, {"api-tag-removed": C}, put(f"{SPEAK}/tags/-", "beta")),
    *_both({"server-added": C}, {"server-removed": P}, put("/servers/-", {"url": "https://eu.acme.test"}), None),
    # parameters
    *_both(
        {"new-optional-request-parameter": C},
        {"request-parameter-removed": P},
        put(f"{SPEAK}/parameters/-", {"in": "query", "name": "seed", "schema": TEXT}),
    ),
    *_one(
        {"new-required-request-parameter": B},
        put(f"{SPEAK}/parameters/-", {"in": "query", "name": "seed", "required": True, "schema": TEXT}),
    ),
    *_one({"request-parameter-removed-with-deprecation": C}, put(f"{SPEAK}/parameters/1", REMOVED)),
    *_one(
        {"new-request-path-parameter": B},
        put(f"{SPEAK}/parameters/-", {"in": "path", "name": "v", "required": True, "schema": TEXT}),
    ),
    *_one(
        {"new-optional-request-default-parameter-to-existing-path": C},
        put("/paths/~1speak/parameters", [{"in": "query", "name": "seed", "schema": TEXT}]),
    ),
    *_one(
        {"new-required-request-default-parameter-to-existing-path": B},
        put("/paths/~1speak/parameters", [{"in": "query", "name": "seed", "required": True, "schema": TEXT}]),
    ),
    *_both(
        {"request-parameter-became-required": B},
        {"request-parameter-became-optional": C},
        put(f"{SPEAK}/parameters/0/required", True),
    ),
    # A single value is sent like a list of one, as `model=a`.
    *_one(
        {"request-parameter-type-generalized": C},
        put(f"{SPEAK}/parameters/0/schema", {"type": "array", "items": TEXT}),
    ),
    *_one(
        {"request-parameter-type-changed": B},
        put(f"{SPEAK}/parameters/0/schema", {"type": "array", "items": {"type": "integer"}}),
    ),
    *_one(
        {"request-parameter-type-changed": B, "request-parameter-style-changed": B},
        put(f"{SPEAK}/parameters/0/schema", {"type": "array", "items": TEXT}),
        put(f"{SPEAK}/parameters/0/explode", False),
    ),
    # A required parameter is always sent, so that its default value has no effect.
    *_one({}, put(f"{SPEAK}/parameters/2/schema", {**TEXT, "default": "a"})),
    *_one({"request-parameter-default-value-added": B}, put(f"{SPEAK}/parameters/0/schema", {**TEXT, "default": "a"})),
    *_one({"request-parameter-style-changed": B}, put(f"{SPEAK}/parameters/0/style", "pipeDelimited")),
    # request bodies
    *_both(
        {"request-body-added-required": B},
        {"request-body-removed": B},
        put(f"{JOB}/requestBody", {"required": True, "content": JSON}),
        "job",
    ),
    *_one({"request-body-added-optional": C}, put(f"{JOB}/requestBody", {"content": JSON}), where="job"),
    *_both(
        {"request-body-became-optional": C},
        {"request-body-became-required": B},
        put(f"{SPEAK}/requestBody/required", REMOVED),
    ),
    *_both(
        {"request-body-media-type-added": C},
        {"request-body-media-type-removed": B},
        put(f"{SPEAK}/requestBody/content/application~1xml", {}),
    ),
    *_both(
        {"request-body-media-type-schema-added": B},
        {"request-body-media-type-schema-removed": C},
        put(f"{SPEAK}/requestBody/content/text~1plain/schema", TEXT),
    ),
    # responses
    *_both(
        {"response-success-status-added": C},
        {"response-success-status-removed": B},
        put(f"{SPEAK}/responses/201", {"description": "Made"}),
    ),
    *_both(
        {"response-non-success-status-added": C},
        {"response-non-success-status-removed": C},
        put(f"{SPEAK}/responses/5XX", {"description": "Broken"}),
    ),
    *_both(
        {"response-media-type-added": C},
        {"response-media-type-removed": B},
        put(f"{_ANSWER}/content/text~1plain", {}),
    ),
    *_one(
        {"response-media-type-name-changed": C},
        put(f"{_ANSWER}/content/application~1json", REMOVED),
        put(f"{_ANSWER}/content/application~1json; charset=utf-8", {"schema": TEXT}),
    ),
    *_both(
        {"response-media-type-name-specialized": C},
        {"response-media-type-name-generalized": B},
        put(f"{_ANSWER}/content", {**JSON, "audio/wav": {}}),
    ),
    *_one(
        {"response-media-type-name-specialized": C},
        put(f"{_ANSWER}/content/application~1json", REMOVED),
        put(f"{_ANSWER}/content/application~1problem+json", {"schema": TEXT}),
    ),
    *_both(
        {"response-body-media-type-schema-added": C},
        {"response-body-media-type-schema-removed": P},
        put(f"{_ANSWER}/content/audio~1*/schema", TEXT),
    ),
    *_both(
        {"response-header-added": C},
        {"optional-response-header-removed": P},
        put(f"{_ANSWER}/headers/X-Voice", {"schema": TEXT}),
    ),
    *_one({"required-response-header-removed": B}, put(f"{_ANSWER}/headers/X-Cost", REMOVED)),
    *_both(
        {"response-header-became-required": C},
        {"response-header-became-optional": B},
        put(f"{_ANSWER}/headers/X-Left/required", True),
    ),
    *_both(
        {"response-link-added": C},
        {"response-link-removed": P},
        put(f"{_ANSWER}/links/again", {"operationId": "speak"}),
    ),
    *_one({"response-link-changed": P}, put(f"{_ANSWER}/links/job/parameters/id", "$response.body#/job")),
    # security
    *_both({"security-became-optional": C}, {"security-became-required": B}, put(f"{SPEAK}/security/-", {})),
    *_both({"api-security-added": C}, {"api-security-removed": C}, put(f"{SPEAK}/security/-", {"other": []})),
    *_one(
        {"security-methods-replaced": B, "api-security-added": C, "api-security-removed": C},
        put("/paths/~1jobs~1{id}/delete/security", [{"other": []}]),
        where="cancel",
    ),
    *_both(
        {"api-security-scope-added": C},
        {"api-security-scope-removed": C},
        put(f"{SPEAK}/security/1/login/-", "read"),
    ),
    *_both(
        {"api-global-security-added": C},
        {"api-global-security-removed": C},
        put("/security/-", {"other": []}),
        "job",
    ),
    *_both(
        {"api-global-security-scope-added": C},
        {"api-global-security-scope-removed": C},
        put("/security/1/login/-", "read"),
        "job",
    ),
    *_both(
        {"api-security-component-added": C},
        {"api-security-component-removed": C},
        put("/components/securitySchemes/basic", {"type": "http", "scheme": "basic"}),
        None,
    ),
    *_one(
        {"api-security-component-location-changed": B},
        put("/components/securitySchemes/key/name", "Api-Key"),
        where=None,
    ),
    *_one(
        {"api-security-component-type-changed": C}, put("/components/securitySchemes/login/type", "http"), where=None
    ),
    *_one(
        {"api-security-component-oauth-url-changed": C}, put(f"{_FLOW}/authorizationUrl", "https://b.test"), where=None
    ),
    *_one(
        {"api-security-component-oauth-token-url-changed": C}, put(f"{_FLOW}/tokenUrl", "https://b.test"), where=None
    ),
    *_one({"api-security-component-oauth-token-url-changed": C}, put(f"{_FLOW}/tokenUrl", REMOVED), where=None),
    *_both(
        {"api-security-component-oauth-scope-added": C},
        {"api-security-component-oauth-scope-removed": C},
        put(f"{_FLOW}/scopes/all", "All"),
        None,
    ),
    # callbacks and webhooks
    *_both({"webhook-added": C}, {"webhook-removed": B}, put("/webhooks/refund", {"post": {"requestBody": {}}}), None),
    *_both(
        {"callback-added": C},
        {"callback-removed": B},
        put(f"{SPEAK}/callbacks/failed", {"{$request.query.failed}": {"post": {"requestBody": {"content": JSON}}}}),
    ),
    *_both({"callback-payload-removed": B}, {"callback-payload-added": C}, put(f"{DONE}/requestBody", REMOVED)),
    *_both(
        {"callback-payload-became-optional": P},
        {"callback-payload-became-required": C},
        put(f"{DONE}/requestBody/required", REMOVED),
    ),
    *_both(
        {"callback-media-type-added": C},
        {"callback-media-type-removed": B},
        put(f"{DONE}/requestBody/content/application~1xml", {}),
    ),
    *_both(
        {"callback-parameter-added": C},
        {"callback-parameter-removed": B},
        put(f"{DONE}/parameters/-", {"in": "header", "name": "X-Signature", "schema": TEXT}),
    ),
    *_both(
        {"callback-response-status-added": P},
        {"callback-response-status-removed": P},
        put(f"{DONE}/responses/204", {"description": "Taken"}),
    ),
]
