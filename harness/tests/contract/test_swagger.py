"""Documents in Swagger 2.0 are read like OpenAPI, also by `init`, `check` and `drift`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from voicegauge import cli
from voicegauge.contract.document_assembly import read_openapi_document

SWAGGER: dict[str, Any] = {
    "swagger": "2.0",
    "info": {"title": "Old Speech", "version": "1"},
    "host": "speech.example",
    "basePath": "/v1/",
    "schemes": ["http", "https"],
    "produces": ["application/json"],
    "securityDefinitions": {"key": {"type": "apiKey", "name": "X-API-Key", "in": "header"}},
    "security": [{"key": []}],
    "parameters": {
        "Body": {"name": "body", "in": "body", "required": True, "schema": {"$ref": "#/definitions/Speech"}},
        "Trace": {"name": "X-Trace", "in": "header", "type": "string", "maxLength": 20},
    },
    "definitions": {
        "Speech": {
            "type": "object",
            "required": ["text", "voice"],
            "properties": {
                "text": {"type": "string", "minLength": 1, "maxLength": 300},
                "voice": {"type": "string", "enum": ["amy", "bob"]},
                "speed": {"type": "number", "minimum": 0.5, "maximum": 2, "default": 1},
            },
        },
        "Error": {"type": "object", "required": ["message"], "properties": {"message": {"type": "string"}}},
    },
    "paths": {
        "/speech": {
            "parameters": [{"$ref": "#/parameters/Trace"}],
            "post": {
                "operationId": "speak",
                "consumes": ["application/json"],
                "produces": ["audio/wav"],
                "parameters": [{"$ref": "#/parameters/Body"}],
                "responses": {
                    "200": {"description": "Speech", "schema": {"type": "file"}},
                    "400": {"description": "Rejected", "schema": {"$ref": "#/definitions/Error"}},
                    "401": {"description": "No key", "schema": {"$ref": "#/definitions/Error"}},
                },
            },
        },
        "/voices": {
            "post": {
                "operationId": "clone",
                "consumes": ["multipart/form-data"],
                "parameters": [
                    {"name": "name", "in": "formData", "type": "string", "required": True},
                    {"name": "sample", "in": "formData", "type": "file", "required": True},
                ],
                "responses": {"200": {"description": "Saved", "schema": {"$ref": "#/definitions/Speech"}}},
            }
        },
    },
}


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "swagger.json"
    path.write_text(json.dumps(SWAGGER))
    return path


def test_parts_of_swagger_are_at_their_places_of_openapi(file) -> None:
    document = read_openapi_document(file).data
    assert document["openapi"] == "3.0.3"
    assert document["servers"] == [{"url": "https://speech.example/v1"}]
    speak = document["paths"]["/speech"]["post"]
    schema = {"$ref": "#/components/schemas/Speech"}
    assert speak["requestBody"] == {"required": True, "content": {"application/json": {"schema": schema}}}
    assert speak["responses"]["200"]["content"] == {"audio/wav": {"schema": {"type": "string", "format": "binary"}}}
    # An error is JSON, though the operation says that it produces audio.
    assert list(speak["responses"]["400"]["content"]) == ["application/json"]
    trace = {"name": "X-Trace", "in": "header", "schema": {"type": "string", "maxLength": 20}}
    assert document["paths"]["/speech"]["parameters"] == [trace]
    assert document["components"]["parameters"] == {"Trace": trace}
    form = document["paths"]["/voices"]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]
    assert form["properties"]["sample"] == {"type": "string", "format": "binary"}
    assert form["required"] == ["name", "sample"]


@pytest.mark.slow
def test_init_proposes_an_overlay_whose_check_has_no_finding(file, capsys) -> None:
    assert cli.run(["init", str(file), "--out", "overlay.yaml"]) == 0
    assert cli.run(["check", "speech", "--contracts", "overlay.yaml", "--emulated"]) == 0, capsys.readouterr()
    assert "no findings" in capsys.readouterr().out


def test_a_change_of_a_swagger_document_is_found(file, capsys) -> None:
    newer = copy.deepcopy(SWAGGER)
    newer["definitions"]["Speech"]["properties"]["text"]["maxLength"] = 200
    Path("newer.json").write_text(json.dumps(newer))
    assert cli.run(["drift", str(file), "newer.json"]) == 1
    assert "300" in (out := capsys.readouterr().out)
    assert "200" in out


def test_keywords_of_openapi_3_and_flaws_of_unused_definitions_are_accepted(tmp_path) -> None:
    document = {
        "swagger": "2.0",
        "info": {"title": "Acme", "version": "1"},
        "host": "api.acme.test",
        "paths": {},
        "definitions": {
            "Used": {"type": "object", "properties": {"old": {"$ref": "#/definitions/Other", "deprecated": True}}},
            "Other": {"type": "string", "nullable": True},
            "Flawed": {"type": "number,"},
        },
    }
    path = tmp_path / "swagger.json"
    path.write_text(json.dumps(document, indent=1))
    converted = read_openapi_document(path)
    assert converted.data["components"]["schemas"]["Other"]["nullable"] is True
    line = converted.find_line("/components/schemas/Flawed/type")
    assert line is not None
    assert "number," in path.read_text().splitlines()[line - 1]
