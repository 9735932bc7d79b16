"""`init` proposes a skeleton for every operation that is named, and for texts in lists of objects."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voicegauge import cli


def build_document(properties: dict[str, Any], required: list[str], response: dict[str, Any]) -> dict[str, Any]:
    body = {"type": "object", "required": required, "properties": properties}
    success = {"description": "Speech", "content": {"application/json": {"schema": response}}}
    operation = {
        "operationId": "synthesize",
        "requestBody": {"required": True, "content": {"application/json": {"schema": body}}},
        "responses": {"200": success},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Acme", "version": "1"},
        "servers": [{"url": "https://api.acme.test"}, {"url": "http://api.acme.test"}],
        "paths": {"/v0/say": {"post": operation}},
    }


UTTERANCE = {
    "type": "object",
    "required": ["text"],
    "properties": {"text": {"type": "string", "maxLength": 500}, "speed": {"type": "number", "minimum": 0.5}},
}
GENERATION = {
    "type": "object",
    "required": ["audio"],
    "properties": {"audio": {"type": "string", "contentEncoding": "base64"}},
}
IN_A_LIST = build_document(
    {"utterances": {"type": "array", "minItems": 1, "items": UTTERANCE}},
    ["utterances"],
    {
        "type": "object",
        "required": ["generations"],
        "properties": {"generations": {"type": "array", "items": GENERATION}},
    },
)
OTHER_NAME = build_document(
    {
        "voice_uuid": {"type": "string", "maxLength": 40},
        "data": {"type": "string", "maxLength": 3000},
        "output": {
            "type": "object",
            "properties": {
                "container": {"type": "string", "enum": ["wav", "raw"]},
                "encoding": {"type": "string", "enum": ["pcm_s16le", "pcm_f32le"]},
            },
        },
    },
    ["voice_uuid", "data"],
    {"type": "object", "required": ["audio_content"], "properties": {"audio_content": {"type": "string"}}},
)


@pytest.mark.parametrize(
    ("document", "location"), [(IN_A_LIST, "body#/utterances/0/text"), (OTHER_NAME, "body#/data")], ids=["list", "name"]
)
def test_the_first_check_after_init_has_no_finding(document, location, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(document))
    assert cli.run(["init", "openapi.json", "--operation", "synthesize", "--out", "overlay.yaml"]) == 0
    overlay = Path("overlay.yaml").read_text()
    assert location in overlay
    assert "format:" not in overlay  # an encoding beside a container is none
    capsys.readouterr()
    assert cli.run(["check", "acme", "--contracts", "overlay.yaml", "--emulated"]) == 0, capsys.readouterr()
    assert "no findings" in capsys.readouterr().out


def test_a_guessed_text_is_marked(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(OTHER_NAME))
    assert cli.run(["init", "openapi.json"]) == 2
    assert "name one with --operation" in capsys.readouterr().err
    assert cli.run(["init", "openapi.json", "--operation", "/v0/say"]) == 0
    assert "the field of /v0/say that has the text to speak" in capsys.readouterr().out
    assert "text: body#/data  # TODO" in Path("overlay.yaml").read_text()


def test_a_folder_named_like_a_provider_does_not_hide_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pixelapi").mkdir()
    assert cli.run(["drift", "pixelapi", "pixelapi"]) == 0
    assert "nothing has changed" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["drift", "pixelapi"], ["check", "pixelapi", "--recordings"]])
def test_a_cassette_is_recognized(command, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("cassette.yaml").write_text("interactions: []\nversion: 1\n")
    assert cli.run([*command, "cassette.yaml"]) == 2
    assert "voicegauge convert" in capsys.readouterr().err
