"""Discovery documents of Google's interfaces are compared with contracts as OpenAPI documents are."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from voicegauge.cli import run

DISCOVERY = {
    "kind": "discovery#restDescription",
    "title": "Cloud Text-to-Speech API",
    "revision": "20990101",
    "rootUrl": "https://texttospeech.googleapis.com/",
    "servicePath": "",
    "schemas": {
        "Request": {
            "type": "object",
            "properties": {
                "input": {"type": "object", "description": "Required. The text."},
                "added": {"type": "boolean", "description": "Required. Something new."},
            },
        },
        "Empty": {"type": "object"},
    },
    "resources": {
        "text": {
            "methods": {
                "synthesize": {
                    "id": "texttospeech.text.synthesize",
                    "flatPath": "v1/text:synthesize",
                    "httpMethod": "POST",
                    "request": {"$ref": "Request"},
                    "response": {"$ref": "Empty"},
                }
            }
        },
        "projects": {
            "methods": {
                "speakLong": {
                    "id": "texttospeech.speakLong",
                    "path": "v1/{+parent}:speakLong",
                    "flatPath": "v1/projects/{projectsId}:speakLong",
                    "httpMethod": "POST",
                    "parameters": {"parent": {"location": "path", "type": "string", "required": True}},
                }
            }
        },
    },
}


def test_a_discovery_document_is_compared_with_its_contract(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "google.json"
    path.write_text(json.dumps(DISCOVERY), encoding="utf-8")
    status = run(["drift", "--official", "google", "--from", str(path)])
    out = capsys.readouterr().out
    assert status == 1
    assert "added (breaking)  synthesize: request body/added\n  A required request property was added" in out
    assert "synthesize: request body/input\n  A request property became optional" not in out
    assert "not in the contract  POST /v1/projects/{projectsId}:speakLong" in out
    assert "Cloud Text-to-Speech API 20990101" in out
