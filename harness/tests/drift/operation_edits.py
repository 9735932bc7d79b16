"""One document, and an edit of it for each rule over what is no schema."""

from __future__ import annotations

from typing import Any, NamedTuple

from .made import GONE, Edit, put

B, P, S = "breaking", "possibly-breaking", "compatible"
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
    *_both({"api-path-removed-without-deprecation": B}, {"endpoint-added": S}, put("/paths/~1speak", GONE)),
    *_one({"api-path-removed-with-deprecation": S}, put("/paths/~1old", GONE), where="old"),
    *_one({"api-removed-without-deprecation": B}, put("/paths/~1jobs~1{id}/delete", GONE), where="cancel"),
    *_one({"api-removed-with-deprecation": S}, put("/paths/~1new/put", GONE), where="replace"),
    *_both({"endpoint-deprecated": S}, {"endpoint-reactivated": S}, put(f"{SPEAK}/deprecated", True)),
    *_one(
        {"endpoint-deprecated-with-sunset": S},
        put(f"{SPEAK}/deprecated", True),
        put(f"{SPEAK}/x-sunset", "2027-01-01"),
    ),
    *_one({"api-operation-id-added": S}, put("/paths/~1new/get/operationId", "fresh"), where="GET /new"),
    *_one({"api-operation-id-removed": S}, put(f"{SPEAK}/operationId", GONE)),
    *_both({"api-tag-added": S}, {"api-tag-removed": S}, put(f"{SPEAK}/tags/-", "beta")),
    *_both({"server-added": S}, {"server-removed": P}, put("/servers/-", {"url": "https://eu.acme.test"}), None),
    # parameters
    *_both(
        {"new-optional-request-parameter": S},
        {"request-parameter-removed": P},
        put(f"{SPEAK}/parameters/-", {"in": "query", "name": "seed", "schema": TEXT}),
    ),
    *_one(
        {"new-required-request-parameter": B},
        put(f"{SPEAK}/parameters/-", {"in": "query", "name": "seed", "required": True, "schema": TEXT}),
    ),
    *_one({"request-parameter-removed-with-deprecation": S}, put(f"{SPEAK}/parameters/1", GONE)),
    *_one(
        {"new-request-path-parameter": B},
        put(f"{SPEAK}/parameters/-", {"in": "path", "name": "v", "required": True, "schema": TEXT}),
    ),
    *_one(
        {"new-optional-request-default-parameter-to-existing-path": S},
        put("/paths/~1speak/parameters", [{"in": "query", "name": "seed", "schema": TEXT}]),
    ),
    *_one(
        {"new-required-request-default-parameter-to-existing-path": B},
        put("/paths/~1speak/parameters", [{"in": "query", "name": "seed", "required": True, "schema": TEXT}]),
    ),
    *_both(
        {"request-parameter-became-required": B},
        {"request-parameter-became-optional": S},
        put(f"{SPEAK}/parameters/0/required", True),
    ),
    *_one({"request-parameter-style-changed": B}, put(f"{SPEAK}/parameters/0/style", "pipeDelimited")),
    # request bodies
    *_both(
        {"request-body-added-required": B},
        {"request-body-removed": B},
        put(f"{JOB}/requestBody", {"required": True, "content": JSON}),
        "job",
    ),
    *_one({"request-body-added-optional": S}, put(f"{JOB}/requestBody", {"content": JSON}), where="job"),
    *_both(
        {"request-body-became-optional": S},
        {"request-body-became-required": B},
        put(f"{SPEAK}/requestBody/required", GONE),
    ),
    *_both(
        {"request-body-media-type-added": S},
        {"request-body-media-type-removed": B},
        put(f"{SPEAK}/requestBody/content/application~1xml", {}),
    ),
    *_both(
        {"request-body-media-type-schema-added": B},
        {"request-body-media-type-schema-removed": S},
        put(f"{SPEAK}/requestBody/content/text~1plain/schema", TEXT),
    ),
    # answers
    *_both(
        {"response-success-status-added": S},
        {"response-success-status-removed": B},
        put(f"{SPEAK}/responses/201", {"description": "Made"}),
    ),
    *_both(
        {"response-non-success-status-added": S},
        {"response-non-success-status-removed": S},
        put(f"{SPEAK}/responses/5XX", {"description": "Broken"}),
    ),
    *_both(
        {"response-media-type-added": S},
        {"response-media-type-removed": B},
        put(f"{_ANSWER}/content/text~1plain", {}),
    ),
    *_one(
        {"response-media-type-name-changed": S},
        put(f"{_ANSWER}/content/application~1json", GONE),
        put(f"{_ANSWER}/content/application~1json; charset=utf-8", {"schema": TEXT}),
    ),
    *_both(
        {"response-media-type-name-specialized": S},
        {"response-media-type-name-generalized": B},
        put(f"{_ANSWER}/content", {**JSON, "audio/wav": {}}),
    ),
    *_both(
        {"response-body-media-type-schema-added": S},
        {"response-body-media-type-schema-removed": P},
        put(f"{_ANSWER}/content/audio~1*/schema", TEXT),
    ),
    *_both(
        {"response-header-added": S},
        {"optional-response-header-removed": P},
        put(f"{_ANSWER}/headers/X-Voice", {"schema": TEXT}),
    ),
    *_one({"required-response-header-removed": B}, put(f"{_ANSWER}/headers/X-Cost", GONE)),
    *_both(
        {"response-header-became-required": S},
        {"response-header-became-optional": B},
        put(f"{_ANSWER}/headers/X-Left/required", True),
    ),
    *_both(
        {"response-link-added": S},
        {"response-link-removed": P},
        put(f"{_ANSWER}/links/again", {"operationId": "speak"}),
    ),
    *_one({"response-link-changed": P}, put(f"{_ANSWER}/links/job/parameters/id", "$response.body#/job")),
    # security
    *_both({"security-became-optional": S}, {"security-became-required": B}, put(f"{SPEAK}/security/-", {})),
    *_both({"api-security-added": S}, {"api-security-removed": S}, put(f"{SPEAK}/security/-", {"other": []})),
    *_one(
        {"security-ways-in-replaced": B, "api-security-added": S, "api-security-removed": S},
        put("/paths/~1jobs~1{id}/delete/security", [{"other": []}]),
        where="cancel",
    ),
    *_both(
        {"api-security-scope-added": S},
        {"api-security-scope-removed": S},
        put(f"{SPEAK}/security/1/login/-", "read"),
    ),
    *_both(
        {"api-global-security-added": S},
        {"api-global-security-removed": S},
        put("/security/-", {"other": []}),
        "job",
    ),
    *_both(
        {"api-global-security-scope-added": S},
        {"api-global-security-scope-removed": S},
        put("/security/1/login/-", "read"),
        "job",
    ),
    *_both(
        {"api-security-component-added": S},
        {"api-security-component-removed": S},
        put("/components/securitySchemes/basic", {"type": "http", "scheme": "basic"}),
        None,
    ),
    *_one(
        {"api-security-component-place-changed": B}, put("/components/securitySchemes/key/name", "Api-Key"), where=None
    ),
    *_one(
        {"api-security-component-type-changed": S}, put("/components/securitySchemes/login/type", "http"), where=None
    ),
    *_one(
        {"api-security-component-oauth-url-changed": S}, put(f"{_FLOW}/authorizationUrl", "https://b.test"), where=None
    ),
    *_one(
        {"api-security-component-oauth-token-url-changed": S}, put(f"{_FLOW}/tokenUrl", "https://b.test"), where=None
    ),
    *_both(
        {"api-security-component-oauth-scope-added": S},
        {"api-security-component-oauth-scope-removed": S},
        put(f"{_FLOW}/scopes/all", "All"),
        None,
    ),
    # callbacks and webhooks
    *_both({"webhook-added": S}, {"webhook-removed": B}, put("/webhooks/refund", {"post": {"requestBody": {}}}), None),
    *_both(
        {"callback-added": S},
        {"callback-removed": B},
        put(f"{SPEAK}/callbacks/failed", {"{$request.query.failed}": {"post": {"requestBody": {"content": JSON}}}}),
    ),
    *_both({"callback-payload-removed": B}, {"callback-payload-added": S}, put(f"{DONE}/requestBody", GONE)),
    *_both(
        {"callback-payload-became-optional": P},
        {"callback-payload-became-required": S},
        put(f"{DONE}/requestBody/required", GONE),
    ),
    *_both(
        {"callback-media-type-added": S},
        {"callback-media-type-removed": B},
        put(f"{DONE}/requestBody/content/application~1xml", {}),
    ),
    *_both(
        {"callback-parameter-added": S},
        {"callback-parameter-removed": B},
        put(f"{DONE}/parameters/-", {"in": "header", "name": "X-Signature", "schema": TEXT}),
    ),
    *_both(
        {"callback-response-status-added": P},
        {"callback-response-status-removed": P},
        put(f"{DONE}/responses/204", {"description": "Taken"}),
    ),
]
