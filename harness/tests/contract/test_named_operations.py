"""`init` proposes a skeleton for every operation that is named, and for texts in lists of objects.

TODO is the mark that `init` writes where a person has to decide.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import voicegauge
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
        "voice_uuid": {"type": "string", "maxLength": 40, "examples": ["55592656"]},
        "data": {"type": "string", "maxLength": 300},
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
    ("document", "location"),
    [
        pytest.param(IN_A_LIST, "body#/utterances/0/text", id="list", marks=pytest.mark.slow),
        pytest.param(OTHER_NAME, "body#/data", id="name"),
    ],
)
def test_the_first_check_after_init_has_no_finding(document, location, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(document))
    assert cli.run(["init", "openapi.json", "--operation", "synthesize", "--out", "overlay.yaml"]) == 0
    overlay = Path("overlay.yaml").read_text()
    assert location in overlay
    assert "format:" not in overlay  # an encoding beside a container is none
    capsys.readouterr()
    command = ["check", "acme", "--contracts", "overlay.yaml", "--emulated", "--max-calls", "6"]
    assert cli.run(command) == 0, capsys.readouterr()
    assert "no findings" in capsys.readouterr().out


def test_a_guessed_text_is_marked(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(OTHER_NAME))
    assert cli.run(["init", "openapi.json"]) == 2
    assert "name one with --operation" in capsys.readouterr().err
    assert cli.run(["init", "openapi.json", "--operation", "/v0/say"]) == 0
    assert "the field of /v0/say that has the text to speak" in capsys.readouterr().out
    assert "text: body#/data  # TODO" in Path("overlay.yaml").read_text()


def test_an_operation_is_named_as_the_error_lists_it(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(OTHER_NAME))
    assert cli.run(["init", "openapi.json"]) == 2
    listed = re.search(r"--operation \((\S+ \S+)\)", capsys.readouterr().err)
    assert listed
    assert cli.run(["init", "openapi.json", "--operation", listed[1]]) == 0
    assert "$.paths['/v0/say'].post" in Path("overlay.yaml").read_text()
    assert cli.run(["init", "openapi.json", "--operation", "GET /v0/say", "--out", "b.yaml"]) == 2
    assert "POST /v0/say" in capsys.readouterr().err


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


def build_operation(operation_id: str, body: dict[str, Any] | None, response: dict[str, Any]) -> dict[str, Any]:
    success = {"description": "Success", "content": {"application/json": {"schema": response}}}
    operation = {
        "operationId": operation_id,
        "responses": {"200": success, "400": {"description": "Invalid"}, "401": {"description": "Unknown key"}},
    }
    if body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation


def propose(document: dict[str, Any], *options: str) -> str:
    Path("openapi.json").write_text(json.dumps(document))
    assert cli.run(["init", "openapi.json", "--provider", "acme", "--out", "overlay.yaml", *options]) == 0
    return Path("overlay.yaml").read_text()


def assert_no_findings(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    command = ["check", "acme", "--contracts", "overlay.yaml", "--emulated", "--max-calls", "6"]
    assert cli.run(command) == 0, capsys.readouterr()
    assert "no findings" in capsys.readouterr().out


TEXT_REQUEST = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string", "maxLength": 90}}}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
}


def test_the_audio_is_not_taken_for_its_encoding(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    response = {
        "type": "object",
        "required": ["audioContent"],
        "properties": {
            "audioConfig": {"type": "object", "properties": {"audioEncoding": {"type": "string", "enum": ["MP3"]}}},
            "audioContent": {"type": "string", "format": "byte"},
        },
    }
    user_only = {
        "oauth2": {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://a.test", "scopes": {}}}}
    }
    speak = build_operation("speak", TEXT_REQUEST, response) | {"security": [{"oauth2": []}]}
    document = DOCUMENT | {"paths": {"/speak": {"post": speak}}, "components": {"securitySchemes": user_only}}
    overlay = propose(document)
    assert "location: body#/audioContent" in overlay
    assert "how the key of /speak is sent" in capsys.readouterr().out
    assert_no_findings(capsys)


def test_requests_to_amazon_are_signed_and_regions_have_defaults(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    response = {"type": "object", "required": ["audio"], "properties": {"audio": {"type": "string"}}}
    scheme = {"type": "apiKey", "name": "Authorization", "in": "header", "x-amazon-apigateway-authtype": "awsSigv4"}
    regions = {"region": {"default": "eu-west-1"}}
    document = DOCUMENT | {
        "servers": [
            {"url": f"{s}://speech.{{region}}.amazonaws.test", "variables": regions} for s in ("http", "https")
        ],
        "security": [{"hmac": []}],
        "paths": {"/speak": {"post": build_operation("speak", TEXT_REQUEST, response)}},
        "components": {"securitySchemes": {"hmac": scheme}},
    }
    assert "aws_signature: {region: eu-west-1, service: speech}" in propose(document)
    assert "the server" not in capsys.readouterr().out
    assert_no_findings(capsys)


def test_flaws_elsewhere_in_a_document_do_not_matter(tmp_path, monkeypatch, capsys) -> None:
    """A default that does not fit, a link to nothing, a status in a branch, and several places of the audio."""
    monkeypatch.chdir(tmp_path)
    request = json.loads(json.dumps(TEXT_REQUEST))
    request["properties"]["settings"] = {"type": "string", "default": {}}
    part = {
        "type": "object",
        "required": ["status", "audio"],
        "properties": {"status": {"allOf": [{"enum": ["success", "fail"]}]}, "audio": {"type": "string"}},
    }
    response = {"type": "object", "required": ["one"], "properties": {"one": part, "other": part}}
    speak = build_operation("speak", request, response)
    speak["responses"]["200"]["links"] = {"Result": {"$ref": "#/components/links/Result"}}
    document = DOCUMENT | {
        "paths": {"/speak": {"post": speak}},
        "components": {
            "links": {"Result": {"operationId": "getNothing"}},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"key": []}],
    }
    overlay = propose(document)
    assert "['settings']['default']\"\n    remove: true" in overlay
    assert "{location: body#/one/audio, delivery_method: base64}}  # TODO" in overlay
    assert "maybe body#/other/audio" in capsys.readouterr().out
    assert_no_findings(capsys)


def test_a_default_that_does_not_fit_the_response_of_a_job_is_removed(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    started = {"type": "object", "required": ["job_id"], "properties": {"job_id": {"type": "string"}}}
    done = {
        "type": "object",
        "required": ["status"],
        "properties": {
            "status": {"type": "string", "enum": ["queued", "completed"]},
            "audio_url": {"type": "string", "format": "uri"},
            "error": {"type": "object", "default": None},
        },
    }
    status = build_operation("getSpeech", None, done)
    status["parameters"] = [{"name": "job_id", "in": "path", "required": True, "schema": {"type": "string"}}]
    speak = build_operation("speak", TEXT_REQUEST, started)
    overlay = propose(DOCUMENT | {"paths": {"/speak": {"post": speak}, "/speak/{job_id}": {"get": status}}})
    assert "status_operation_id: getSpeech" in overlay
    assert "['properties']['error']['default']" in overlay
    voicegauge.load_contracts("overlay.yaml")


def test_a_list_of_texts_is_found(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    texts = {"type": "array", "minItems": 1, "items": {"type": "string", "maxLength": 90}}
    request = {"type": "object", "required": ["ssml"], "properties": {"ssml": texts}}
    response = {"type": "object", "required": ["audio"], "properties": {"audio": {"type": "string"}}}
    document = DOCUMENT | {"paths": {"/speak": {"post": build_operation("speak", request, response)}}}
    assert "text: body#/ssml/0" in propose(document)
    assert_no_findings(capsys)


def test_the_emulator_fills_in_what_a_list_item_requires(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    item = {
        "type": "object",
        "required": ["audio", "generation_id", "duration"],
        "properties": {
            "audio": {"type": "string"},
            "generation_id": {"type": "string"},
            "duration": {"type": "number", "minimum": 0},
        },
    }
    listed = {"type": "array", "items": item}
    response = {"type": "object", "required": ["generations"], "properties": {"generations": listed}}
    propose(DOCUMENT | {"paths": {"/speak": {"post": build_operation("speak", TEXT_REQUEST, response)}}})
    assert_no_findings(capsys)


def test_speech_to_text_is_proposed_where_it_is_named(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    upload = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    transcript = {"type": "object", "required": ["text"], "properties": {"text": {"type": "string"}}}
    listen = build_operation("listen", upload, transcript)
    listen["requestBody"]["content"] = {"multipart/form-data": {"schema": upload}}
    document = DOCUMENT | {"paths": {"/listen": {"post": listen}}}
    overlay = propose(document, "--operation", "/listen")
    assert "x-transcription:" in overlay
    assert "request_fields: {audio: body#/file}" in overlay
    assert "response: {text_location: body#/text}" in overlay
    assert_no_findings(capsys)


@pytest.mark.parametrize("location", ["body", "body#/text"])
def test_a_transcript_whose_place_is_completed_by_hand_is_emulated_as_documented(
    location, tmp_path, monkeypatch, capsys
) -> None:
    """FastAPI documents `{}` as the schema of a response that has no model, with JSON as its media type."""
    monkeypatch.chdir(tmp_path)
    upload = {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}
    listen = build_operation("listen", upload, {})
    listen["requestBody"]["content"] = {"multipart/form-data": {"schema": upload}}
    overlay = propose(DOCUMENT | {"paths": {"/listen": {"post": listen}}}, "--operation", "/listen")
    assert "response: {text_location: TODO}" in overlay
    Path("overlay.yaml").write_text(overlay.replace("text_location: TODO", f"text_location: {location}"))
    assert_no_findings(capsys)


def test_a_job_of_speech_to_text_is_proposed_as_one(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    states = {"type": "string", "enum": ["queued", "completed", "error"]}
    job = {
        "type": "object",
        "required": ["id", "status"],
        "properties": {"id": {"type": "string"}, "status": states, "audio_url": {"type": "string"}},
    }
    request = {"type": "object", "required": ["audio_url"], "properties": {"audio_url": {"type": "string"}}}
    status = build_operation("getTranscript", None, job)
    status["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    listed = build_operation("listTranscripts", None, {"type": "object"})
    submit = build_operation("createTranscript", request, job)
    paths = {"/transcripts": {"post": submit, "get": listed}, "/transcripts/{id}": {"get": status}}
    overlay = propose(DOCUMENT | {"paths": paths}, "--operation", "/transcripts")
    assert "x-submit: {status_operation_id: getTranscript}" in overlay
    assert "completed: {terminal_outcome: success}" in overlay
    capsys.readouterr()
    assert cli.run(["check", "acme", "--contracts", "overlay.yaml", "--emulated", "--json", "out.json"]) == 0
    assert "no findings" in capsys.readouterr().out
    spending = json.loads(Path("out.json").read_text())["spending"]
    assert spending["total_by_rule"]["job-transition-illegal"]["request_count"] > 0
    assert "x-speech" not in overlay
    assert "audio" not in overlay


def test_the_error_names_what_could_be_meant(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    Path("openapi.json").write_text(json.dumps(OTHER_NAME | {"paths": {"/v0/speak": OTHER_NAME["paths"]["/v0/say"]}}))
    assert cli.run(["init", "openapi.json"]) == 2
    assert "name one with --operation (POST /v0/speak)" in capsys.readouterr().err


NARRATION = {
    "type": "object",
    "required": ["narration_id", "status"],
    "properties": {
        "narration_id": {"type": "string"},
        "status": {"type": "string", "enum": ["PENDING", "READY", "BROKEN"]},
        "audio_url": {"type": "string", "format": "uri"},
    },
}


def build_narration_paths(text_field: str = "text", audio_field: str = "audio_url") -> dict[str, Any]:
    """Return operations of which no name says speech, except that of a list."""
    properties = {name.replace("audio_url", audio_field): one for name, one in NARRATION["properties"].items()}
    job = NARRATION | {"properties": properties}
    text = {"type": "object", "required": [text_field], "properties": {text_field: {"type": "string"}}}
    identifier = {"name": "narration_id", "in": "path", "required": True, "schema": {"type": "string"}}
    status = build_operation("getNarration", None, job) | {"parameters": [identifier]}
    return {
        "/speakers": {"get": build_operation("listSpeakers", None, {"type": "object"})},
        "/lexicons": {"post": build_operation("createLexicon", {"type": "object"}, {"type": "object"})},
        "/narrations": {"post": build_operation("createNarration", text, job)},
        "/narrations/{narration_id}": {"get": status},
    }


def test_a_job_with_audio_is_found_whatever_the_names_say(tmp_path, monkeypatch, capsys) -> None:
    """The response has the fields of the job, so that its audio is missing at first."""
    monkeypatch.chdir(tmp_path)
    overlay = propose(DOCUMENT | {"paths": build_narration_paths()})
    assert "POST /narrations: narrations" in capsys.readouterr().out
    assert "response: {status_operation_id: getNarration}" in overlay
    assert "audio: {location: body#/audio_url, delivery_method: url}" in overlay
    assert "PENDING: {successor_names: [READY, BROKEN]}  # TODO" in overlay
    assert "BROKEN: {terminal_outcome: failure}" in overlay


def test_audio_that_a_response_always_has_is_no_job(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths = build_narration_paths()
    content = paths["/narrations"]["post"]["responses"]["200"]["content"]["application/json"]
    content["schema"] = NARRATION | {"required": ["narration_id", "status", "audio_url"]}
    overlay = propose(DOCUMENT | {"paths": paths})
    assert "response: {audio: {location: body#/audio_url, delivery_method: url}}" in overlay
    assert "x-job" not in overlay


@pytest.mark.parametrize(("text_field", "audio_field"), [("data", "audio_url"), ("text", "link")])
def test_the_error_names_operations_that_send_a_text(text_field, audio_field, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    paths = build_narration_paths(text_field, audio_field)
    Path("openapi.json").write_text(json.dumps(DOCUMENT | {"paths": paths}))
    assert cli.run(["init", "openapi.json"]) == 2
    assert "name one with --operation (POST /narrations), or write x-speech" in capsys.readouterr().err


def test_a_check_says_that_marks_of_the_proposal_are_open(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    overlay = propose(DOCUMENT | {"paths": build_narration_paths()})
    assert overlay.count("# TODO") == 3  # the key, the rejections of the status, and its states
    notice = "3 open TODO marks in overlay.yaml: these values are guesses of `voicegauge init`"
    for options in ([], ["--emulated", "--max-calls", "2"]):
        capsys.readouterr()
        cli.run(["check", "acme", "--contracts", "overlay.yaml", *options, "--html", "page.html", "--json", "out.json"])
        assert notice in json.loads(Path("out.json").read_text())["todo_notice"]
        assert notice in capsys.readouterr().out.splitlines()[-2]
        assert "3 open TODO marks in overlay.yaml" in Path("page.html").read_text()
    lines = [line if line.startswith("#") else line.partition("  # ")[0] for line in overlay.splitlines()]
    Path("overlay.yaml").write_text("\n".join(lines))
    report = voicegauge.check("acme", contracts="overlay.yaml")
    assert report.todo_notice is None


def test_schemas_that_accept_nothing_or_name_no_type_are_repaired(tmp_path, monkeypatch, capsys) -> None:
    """Two closed parts of an `allOf` forbid each other; the emulator sends no example that does not fit."""
    monkeypatch.chdir(tmp_path)
    job = {
        "type": "object",
        "required": ["id", "status", "created_at"],
        "properties": {
            "id": {"type": "string"},
            "status": {"type": "string", "enum": ["queued", "completed", "deleted"]},
            "created_at": {"type": "string", "format": "date-time", "example": "2018-01-09 12:29:01"},
            "confidence": {"type": "number,"},
            "limit": {"type": "integer", "contentEncoding": "int32"},
        },
    }
    source = {
        "type": "object",
        "required": ["audio_url"],
        "properties": {"audio_url": {"type": "string"}},
        "additionalProperties": False,
    }
    options = {"type": "object", "properties": {"type": {"type": "string"}}, "additionalProperties": False}
    parts = [source, {"$ref": "#/components/schemas/Options"}]
    status = build_operation("getTranscript", None, {"$ref": "#/components/schemas/Job"})
    status["parameters"] = [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}]
    submit = build_operation("createTranscript", {"allOf": parts}, {"$ref": "#/components/schemas/Job"})
    error = {"type": "object", "properties": {"error": {"enum": ["Bad Request", "No License"]}}}
    submit["responses"]["403"] = {
        "description": "Forbidden",
        "content": {"application/json": {"schema": error, "example": {"error": "Invalid or missing license"}}},
    }
    document = DOCUMENT | {
        "paths": {"/transcripts": {"post": submit}, "/transcripts/{id}": {"get": status}},
        "components": {"schemas": {"Options": options, "Job": job, "Unused": {"type": "text"}}},
    }
    overlay = propose(document, "--operation", "/transcripts")
    printed = capsys.readouterr().out
    assert "/components/schemas/Job/properties/confidence/type, which is not a type of JSON and is removed" in printed
    assert "/Job/properties/limit/contentEncoding, which is not a content encoding and is removed" in printed
    assert printed.count("forbids what the rest of its allOf describes") == 2
    assert "['allOf'][0]['additionalProperties']" in overlay
    assert "Unused" not in overlay
    assert "deleted: {terminal_outcome: failure}" in overlay
    assert_no_findings(capsys)
