from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from voicegauge.cli import run
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.drift.drift_report import DriftChange
from voicegauge.errors import ContractError, UsageError

TEXT = {"type": "string"}
RESPONSE = {
    "type": "object",
    "properties": {"status": TEXT, "cost": TEXT, "words": {"type": "array", "items": {"properties": {"at": TEXT}}}},
}
REQUEST = {"type": "object", "properties": {"text": TEXT, "voice": {"type": "object", "properties": {"id": TEXT}}}}


def content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"content": {"application/json": {"schema": schema}}}


def document(request: dict[str, Any] = REQUEST, response: dict[str, Any] = RESPONSE) -> dict[str, Any]:
    operation = {
        "requestBody": content(request),
        "responses": {"200": {"description": "A", "headers": {"X-Cost": {"schema": TEXT}}, **content(response)}},
    }
    servers = [{"url": "https://api.acme.test/{version}", "variables": {"version": {"default": "v1"}}}]
    paths = {"/speak/{model}": {"post": {"operationId": "speak", **operation}}, "/voices": {"get": operation}}
    return {"openapi": "3.1.0", "info": {"title": "Acme", "version": "1"}, "servers": servers, "paths": paths}


def without(schema: dict[str, Any], name: str) -> dict[str, Any]:
    return {**schema, "properties": {key: value for key, value in schema["properties"].items() if key != name}}


Judge = Callable[..., list[DriftChange]]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """Compare `new` with `document()` for a client, and return the changes of one operation."""

    def run(new: dict[str, Any], *uses: str, operation: str = "speak") -> list[DriftChange]:
        for name, data in (("old", document()), ("new", new)):
            (tmp_path / f"{name}.json").write_text(json.dumps(data, indent=1))
        sources = []
        for index, text in enumerate(uses):
            path = tmp_path / (f"{index}.har" if text.startswith("{") else f"{index}.yaml")
            path.write_text(text)
            sources.append(str(path))
        changes = compare_inputs(
            str(tmp_path / "old.json"), str(tmp_path / "new.json"), client_use_paths=sources
        ).changes
        return [change for change in changes if operation in (change.operation, *change.other_operations)]

    return run


def reads(*locations: str, operation: str = "speak") -> str:
    return f"operations:\n  {operation}:\n    reads: [{', '.join(locations)}]\n"


def recorded(body: dict[str, Any], url: str = "https://api.acme.test/v1/speak/big") -> str:
    post = {"mimeType": "application/json", "text": json.dumps(body)}
    request = {"method": "POST", "url": url, "headers": [], "postData": post}
    response = {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}}
    return json.dumps({"log": {"version": "1.2", "entries": [{"request": request, "response": response}]}})


def test_a_removed_field_that_the_client_reads_is_breaking_and_the_use_is_named(judge: Judge, tmp_path: Path) -> None:
    (change,) = judge(document(response=without(RESPONSE, "status")), reads("body#/cost", "body#/status"))
    assert (change.rule, change.level) == ("response-optional-property-removed", "breaking")
    assert change.client_use == f"the client reads body#/status: {tmp_path / '0.yaml'}:3"
    assert change.client_use in change.message


def test_a_removed_field_that_the_client_does_not_read_is_a_note(judge: Judge) -> None:
    (change,) = judge(document(response=without(RESPONSE, "status")), reads("body#/cost"))
    assert (change.level, change.client_use) == ("compatible", "the client does not read it")


@pytest.mark.parametrize("uses", ["operations:\n  speak:\n    sends: [body#/text]\n", recorded({"text": "a"})])
def test_without_a_known_use_the_level_stays(judge: Judge, uses: str) -> None:
    (change,) = judge(document(response=without(RESPONSE, "status")), uses)
    assert (change.level, change.client_use) == ("possibly-breaking", None)


@pytest.mark.parametrize(
    ("read", "level"),
    [("body#/words/0/at", "breaking"), ("body#/words/*/at", "breaking"), ("body#/words", "breaking"),
     ("body", "breaking"), ("body#/status", "compatible"), ("header.X-Cost", "compatible")],
)  # fmt: skip
def test_a_read_value_may_be_around_or_inside_the_change(judge: Judge, read: str, level: str) -> None:
    new = {**RESPONSE, "properties": {**RESPONSE["properties"], "words": {"type": "array", "items": {}}}}
    assert [change.level for change in judge(document(response=new), reads(read))] == [level]


def test_a_header_is_found_in_any_case(judge: Judge) -> None:
    new = document()
    for item in new["paths"].values():
        next(iter(item.values()))["responses"]["200"].pop("headers", None)
    assert [change.level for change in judge(new, reads("header.x-cost"))] == ["breaking"]
    assert [change.level for change in judge(new, reads("body"))] == ["compatible"]


@pytest.mark.parametrize(
    ("sent", "level"), [({"voice": {"id": "a"}}, "possibly-breaking"), ({"text": "a"}, "compatible")]
)
def test_a_recording_shows_what_the_client_sends(judge: Judge, sent: dict[str, Any], level: str) -> None:
    new = {**REQUEST, "properties": {"text": TEXT, "voice": {"type": "object"}}}
    (change,) = judge(document(request=new), recorded(sent))
    assert (change.rule, change.level) == ("request-property-removed", level)


@pytest.mark.parametrize(
    ("sent", "level", "use"),
    [
        ({"voice": {"id": "a"}}, "compatible", "the client sends body#/voice/id: "),
        ({"voice": {"tone": "a"}}, "breaking", "the client does not send it: "),
        ({"text": "a"}, "compatible", "the client does not send what contains it"),
    ],
)
def test_a_field_that_must_be_sent_now_affects_requests_without_it(
    judge: Judge, sent: dict[str, Any], level: str, use: str
) -> None:
    voice = {"type": "object", "properties": {"id": TEXT}, "required": ["id"]}
    (change,) = judge(document(request={**REQUEST, "properties": {"text": TEXT, "voice": voice}}), recorded(sent))
    assert (change.rule, change.level) == ("request-property-became-required", level)
    assert change.client_use is not None
    assert change.client_use.startswith(use)


def test_an_operation_that_the_client_does_not_call_is_only_noted(judge: Judge) -> None:
    new = document()
    del new["paths"]["/speak/{model}"]
    (change,) = judge(new, reads("body", operation="GET /voices"))
    assert (change.level, change.client_use) == ("compatible", "the client does not call this operation")
    (change,) = judge(new, reads("body"))
    assert change.level == "breaking"


def test_voicegauge_reads_what_the_x_keys_name(tmp_path: Path) -> None:
    contract = Path(__file__).parents[4] / "contracts" / "pixelapi" / "openapi.yaml"
    text = contract.read_text(encoding="utf-8")
    location = "body#/output_url"
    assert location in text
    newer = tmp_path / "new.yaml"
    newer.write_text(text.replace("output_url:", "result_url:").replace(location, "body#/result_url"), encoding="utf-8")
    report = compare_inputs(str(contract), str(newer), client_use_paths=["voicegauge"])
    assert any(
        change.client_use and location in change.client_use and change.level == "breaking" for change in report.changes
    )


def test_voicegauge_sends_the_locations_of_requests_and_reads_those_of_responses(tmp_path: Path) -> None:
    speech = {
        "request_fields": {"text": "body#/text", "voice": {"location": "body#/voice/id"}},
        "response": {"charge_location": "body#/cost", "wait_preference": {"location": "body#/status"}},
        "targets": {
            "one": {
                "request_constants": {"body#/words": "a"},
                "pricing": {"usage": {"reported_usage_location": "body#/seconds"}},
            }
        },
    }
    resource = {
        "display_name": "voice",
        "id_location": "body#/voice_id",
        "transitions": [{"operation_id": "archive", "id_location": "body#/archived", "resulting_state": "archived"}],
    }
    names = ("text", "voice", "words", "cost", "seconds", "status", "archived", "voice_id")
    both = {"type": "object", "properties": dict.fromkeys(names, TEXT)}
    for name, schema in (("old", both), ("new", {"type": "object"})):
        data = document(request=schema, response=schema)
        data["paths"]["/speak/{model}"]["post"] |= {"x-speech": speech, "x-resource": resource}
        (tmp_path / f"{name}.json").write_text(json.dumps(data))
    old = str(tmp_path / "old.json")
    changes = compare_inputs(old, str(tmp_path / "new.json"), client_use_paths=["voicegauge"]).changes
    speak = [change for change in changes if change.operation == "speak"]
    levels = {change.location: (change.level.value, (change.client_use or "").partition(":")[0]) for change in speak}
    unread = ("compatible", "the client does not read it")
    assert {key: value for key, value in levels.items() if key.startswith("200")} == {
        **{f"200 body/{name}": unread for name in ("text", "voice", "words", "status", "archived")},
        **{
            f"200 body/{name}": ("breaking", f"the client reads body#/{name}")
            for name in ("cost", "seconds", "voice_id")
        },
    }
    sent = {key: value for key, (level, value) in levels.items() if key.startswith("request") and level != "compatible"}
    assert sent == {
        **{
            f"request body/{name}": f"the client sends body#/{name}" for name in ("text", "words", "status", "archived")
        },
        "request body/voice": "the client sends body#/voice/id",
        **dict.fromkeys(("request body/cost", "request body/seconds", "request body/voice_id"), ""),
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("operations:\n  speak:\n    reads: body\n", "0.yaml:3: must be a list of locations"),
        ("operations:\n  speak:\n    reads: [status]\n", "0.yaml:3: 'status' is not a valid location"),
        ("operations:\n  speak:\n    read: []\n", "0.yaml:3: the key 'read' is not known here"),
        ("operations:\n  talk: {}\n", "0.yaml:2: 'talk' is not an operation of the older document"),
        ("operations: []\n", "0.yaml:1: must be a mapping"),
        ("operations: {}\n", "0.yaml:1: names no operation"),
        ("", "0.yaml: is empty"),
        ("# operations:\n", "0.yaml: is empty"),
        ("speak: {reads: [body]}\n", "0.yaml: has no key 'operations'"),
        (
            "operations:\n  speak:\n    reads:\n      - body#/cost\n      - body#/statis\n",
            "0.yaml:5: 'body#/statis' is not in a response .* which have body#/status, body#/cost, body#/words",
        ),
        (
            "operations:\n  speak:\n    reads: [body#/words/0/att]\n",
            "0.yaml:3: 'body#/words/0/att' is not in a response of speak .* which have body#/words/0/at",
        ),
        (
            "operations:\n  speak:\n    reads: [body#/text]\n",
            "0.yaml:3: 'body#/text' is not in a response of speak",
        ),
        (
            "operations:\n  speak:\n    sends: [body#/nope]\n",
            "0.yaml:3: 'body#/nope' is not in a request of speak .* which have body#/voice, body#/text",
        ),
        ("operations:\n  speak:\n    sends: [query.a]\n", "0.yaml:3: 'query.a' is not in a request of speak"),
        ("operations:\n  speak:\n    reads: [header.X-Costs]\n", "which have header.X-Cost"),
        ("operations:\n  GET /voices:\n    reads: [body#/status/a]\n", "'body#/status/a' is not in a response"),
        ("operations: {}\nclient: a\n", "0.yaml:2: the key 'client' is not known here"),
    ],
)
def test_a_wrong_declaration_is_refused_with_file_and_line(judge: Judge, text: str, reason: str) -> None:
    with pytest.raises(ContractError, match=reason.replace("[", r"\[")):
        judge(document(), text)


def test_a_client_may_use_what_only_the_newer_document_has(judge: Judge) -> None:
    new = {**RESPONSE, "properties": {**RESPONSE["properties"], "seconds": {"type": "object"}}}
    used = "operations:\n  speak:\n    sends: [path.model, header.Authorization, body#/voice/id]\n    reads: [{}]\n"
    (change,) = judge(document(response=new), used.format("body#/seconds/total, header.Retry-After, body#/words/*/at"))
    assert change.level == "compatible"


def test_an_open_body_of_an_error_or_of_audio_does_not_have_every_location(judge: Judge) -> None:
    new = document()
    responses = new["paths"]["/speak/{model}"]["post"]["responses"]
    responses["400"] = {"description": "An error", **content({"type": "object"})}
    responses["200"]["content"]["audio/mpeg"] = {}
    with pytest.raises(ContractError, match="'body#/statis' is not in a response"):
        judge(new, reads("body#/statis"))


def test_locations_are_found_behind_references_and_in_branches(judge: Judge) -> None:
    new = document(response={"anyOf": [{"$ref": "#/components/schemas/Done"}, {"required": ["status"]}]})
    part = {"allOf": [{"$ref": "#/components/schemas/Done"}, {"properties": {"late": TEXT}}]}
    labels = {"type": "object", "additionalProperties": TEXT}
    new["components"] = {"schemas": {"Done": {"type": "object", "properties": {"part": part, "labels": labels}}}}
    assert judge(new, reads("body#/part/part/late", "body#/labels/any"))
    with pytest.raises(ContractError, match="which have body#/part/late"):
        judge(new, reads("body#/part/later"))


def test_a_recording_of_another_api_is_refused(judge: Judge) -> None:
    with pytest.raises(UsageError, match="has no request to an operation of"):
        judge(document(), recorded({}, "https://other.test/speak/big"))


def test_the_command_takes_uses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("old", document()), ("new", document(response=without(RESPONSE, "status")))):
        (tmp_path / f"{name}.json").write_text(json.dumps(data, indent=1))
    uses = tmp_path / "uses.yaml"
    uses.write_text(reads("body#/cost") + "  GET /voices:\n    reads: []\n")
    arguments = ["drift", str(tmp_path / "old.json"), str(tmp_path / "new.json"), "--fail-on", "possibly-breaking"]
    assert run(arguments) == 1
    capsys.readouterr()
    assert run([*arguments, "--uses", str(uses)]) == 0
    assert "the client does not read it" in capsys.readouterr().out
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    (recordings / "notes.yaml").write_text("a: [")
    called = {"method": "GET", "url": "https://api.acme.test/v1/voices", "headers": []}
    response = {"status": 200, "headers": [], "content": {"mimeType": "application/json", "text": "{}"}}
    log = {"version": "1.2", "entries": [{"request": called, "response": response}]}
    (recordings / "client.har").write_text(json.dumps({"log": log}))
    assert run([*arguments, "--uses", str(uses), "--uses", str(recordings)]) == 0
    assert f"not read for --uses: {recordings / 'notes.yaml'}:2: is not valid YAML" in capsys.readouterr().out
    assert run([*arguments, "--uses", str(tmp_path / "no.har")]) == 2
    assert "no such file or folder" in capsys.readouterr().err
