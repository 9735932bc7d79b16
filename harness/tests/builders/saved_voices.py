"""A contract of a provider that saves voices, which can be deleted, and voice prints, which cannot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

PLAIN = {"responses": {"200": {"description": "ok"}, "401": {"description": "no key"}}}
VOICE = {"type": "object", "properties": {"id": {"type": "string"}}, "required": ["id"]}
VOICES = {"value": {"voices": [{"id": "voice_1", "name": "long", "style": "calm", "gain": 1}]}}


def _created(id_text: str) -> dict[str, Any]:
    example = {"id": id_text, "name": "long", "style": "calm", "gain": 1}
    media = {"schema": VOICE, "examples": {"one": {"value": example}}}
    return {
        "200": {"description": "ok", "content": {"application/json": media}},
        "400": {"description": "invalid"},
        "401": {"description": "no key"},
    }


def _body(**properties: Any) -> dict[str, Any]:
    schema = {"type": "object", "required": list(properties)[:1], "properties": properties}
    return {"required": True, "content": {"application/json": {"schema": schema}}}


DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "security": [{"key": []}],
    "x-provider": {
        "id": "acme",
        "title": "Acme",
        "key_variable": "ACME_KEY",
        "sources": {"acme.txt": {"title": "Acme", "date": "2026-01-01"}},
    },
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speak",
                "x-speech": {
                    "request_fields": {"text": "body#/text"},
                    "response": {"audio": {"location": "body", "delivery_method": "bytes", "format": "wav"}},
                    "targets": {"one": {"title": "One"}},
                },
                "x-pricing": {"unit": "request", "usd_per_unit": 0.001, "source": {"document_name": "acme.txt"}},
                "requestBody": _body(text={"type": "string"}),
                "responses": {
                    "200": {"description": "audio", "content": {"audio/wav": {}}},
                    "400": {"description": "invalid"},
                    "401": {"description": "no key"},
                },
            }
        },
        "/voices": {
            "post": {
                "operationId": "createVoice",
                "x-resource": {
                    "display_name": "saved voice",
                    "id_location": "body#/id",
                    "id_format": "voice_{hex8}",
                    "listing": {"operation_id": "listVoices"},
                    "deletion": {"operation_id": "deleteVoice", "id_location": "path.id"},
                },
                "requestBody": _body(
                    name={"enum": ["short", "long"]},
                    style={"enum": ["calm", "lively", "warm"]},
                    gain={"type": "integer", "minimum": 1, "maximum": 9},
                ),
                "responses": _created("voice_1"),
            },
            "get": {
                "operationId": "listVoices",
                "responses": {
                    "200": {"description": "ok", "content": {"application/json": {"examples": {"one": VOICES}}}},
                    "401": {"description": "no key"},
                },
            },
        },
        "/voices/{id}": {
            "delete": {
                "operationId": "deleteVoice",
                "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
                **PLAIN,
            }
        },
        "/prints": {
            "post": {
                "operationId": "createPrint",
                "x-resource": {"display_name": "voice print", "id_location": "body#/id", "id_format": "print_{hex8}"},
                "requestBody": _body(name={"enum": ["short", "long"]}),
                "responses": _created("print_1"),
            }
        },
    },
}


def write_contract(folder: Path, document: dict[str, Any] = DOCUMENT) -> Path:
    """Write the contract into a folder, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "openapi.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder
