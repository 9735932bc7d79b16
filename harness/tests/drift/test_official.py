"""Contracts compared with the official documents that they were written from: `voicegauge drift --official`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import yaml

import voicegauge
from voicegauge.cli import run
from voicegauge.contract.document_conversion import convert_to_openapi
from voicegauge.files import find_bundled_folder
from voicegauge.formats.located_yaml import read_document

from ..builders.documents import REMOVED, edited, put

SPEAK = "/paths/~1speak/post"
BODY = f"{SPEAK}/requestBody/content/application~1json/schema"
SOURCE = {"document_name": "openapi.json"}
OFFICIAL: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Acme's own description", "version": "7"},
    "servers": [{"url": "https://api.acme.test"}],
    "paths": {
        "/speak": {
            "post": {
                "operationId": "speakV7",
                "tags": ["speech"],
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["text"],
                                "properties": {
                                    "text": {"type": "string"},
                                    "format": {"type": "string", "enum": ["mp3", "wav"]},
                                },
                            }
                        }
                    },
                },
                "responses": {"200": {"description": "Audio", "content": {"audio/mpeg": {}}}},
            }
        },
        "/speak-stream": {"post": {"operationId": "speakStream", "responses": {"200": {"description": "Audio"}}}},
        "/bills": {"get": {"operationId": "bills", "responses": {"200": {"description": "Bills"}}}},
    },
}
CONTRACT: dict[str, Any] = edited(
    OFFICIAL,
    put("/paths/~1speak-stream", REMOVED),
    put("/paths/~1bills", REMOVED),
    put("/security", [{"key": []}]),
    put("/components", {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}}),
    put(
        "/x-provider",
        {
            "id": "acme",
            "title": "Acme",
            "key_variable": "ACME_API_KEY",
            "sources": {
                "openapi.json": {"title": "API", "date": "2026-11-22", "openapi_url": "https://acme.test/openapi.json"},
                "limits.md": {"title": "Limits", "date": "2026-11-22"},
            },
        },
    ),
    put(f"{SPEAK}/operationId", "speak"),
    put(f"{SPEAK}/x-source", SOURCE),
    put(
        f"{SPEAK}/x-speech",
        {
            "request_fields": {"text": "body#/text"},
            "response": {"audio": {"location": "body", "delivery_method": "bytes"}},
            "targets": {"one": {"title": "One"}},
        },
    ),
    put(f"{BODY}/properties/text", {"type": "string", "maxLength": 500, "x-source": {"document_name": "limits.md"}}),
    put(f"{SPEAK}/responses/401", {"description": "No key", "x-source": {**SOURCE, "is_inferred": True}}),
)

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def contracts(tmp_path: Path) -> str:
    folder = tmp_path / "contracts" / "acme"
    folder.mkdir(parents=True)
    (folder / "openapi.yaml").write_text(json.dumps(CONTRACT, indent=1), encoding="utf-8")
    return str(folder.parent)


@pytest.fixture
def compare(contracts: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command with an edited official document."""

    def call(*edits: Any, options: tuple[str, ...] = ()) -> tuple[int, str, str]:
        official = tmp_path / "official.json"
        official.write_text(json.dumps(edited(OFFICIAL, *edits)), encoding="utf-8")
        status = run(["drift", "--official", "acme", "--contracts", contracts, "--from", str(official), *options])
        return status, *capsys.readouterr()

    return call


def find_differences(compare: Command, *edits: Any) -> dict[str, list[str]]:
    status, out, err = compare(*edits, options=("--json", "-"))
    assert status in (0, 1), err
    (comparison,) = json.loads(out)["comparisons"]
    kinds = ("removals", "changed_values", "additions", "differences_from_other_sources")
    return {kind: [change["location"] for change in comparison[kind]] for kind in kinds if comparison[kind]}


def test_an_explained_difference_is_named_by_its_reason_alone(compare: Command, contracts: str) -> None:
    path = Path(contracts) / "acme" / "openapi.yaml"
    explained = [
        {"locations": ["speak: request body/f*"], "change": "*enum*", "reason": "Only two formats are sold."},
        {"locations": ["speak: query nothing"], "reason": "There was a query."},
    ]
    pointer = "/x-provider/sources/openapi.json/explained_differences"
    path.write_text(json.dumps(edited(CONTRACT, put(pointer, explained))), encoding="utf-8")
    more = put(f"{BODY}/properties/format/enum", ["mp3", "wav", "ogg"])
    status, out, _ = compare(more)
    assert status == 0
    assert "explained (1)  Only two formats are sold." in out
    assert "explains nothing  There was a query." in out
    assert "0 added, 1 explained, 2 from other sources" in out
    status, out, _ = compare(more, put(f"{BODY}/properties/speed", {"type": "number"}))
    assert "request body/speed" in out
    status, out, _ = compare(more, options=("--format", "markdown"))
    assert "The contract explains a difference that does not exist: There was a query." in out


def test_operations_that_are_left_out_are_named_by_their_reason_alone(compare: Command, contracts: str) -> None:
    path = Path(contracts) / "acme" / "openapi.yaml"
    left_out = [
        {"operations": ["POST /speak-*"], "reason": "The stream is for partners."},
        {"operations": ["POST /nothing"], "reason": "There was an operation."},
    ]
    pointer = "/x-provider/sources/openapi.json/left_out_operations"
    path.write_text(json.dumps(edited(CONTRACT, put(pointer, left_out))), encoding="utf-8")
    status, out, _ = compare()
    assert status == 0
    assert "left out (1)  The stream is for partners." in out
    assert "explains nothing  There was an operation." in out
    assert "operations: 1 in the contract, 1 left out, 0 without a reason" in out
    assert "not in the contract" not in out
    _, out, _ = compare(put("/paths/~1speak-aloud", {"post": {"responses": {"200": {"description": "Audio"}}}}))
    assert "1 in the contract, 2 left out, 0 without a reason" in out
    _, out, _ = compare(options=("--format", "markdown"))
    assert "Left out of the contract (1): The stream is for partners." in out


def test_facts_of_other_sources_and_other_operations_are_no_differences(compare: Command) -> None:
    other = ["request body/text", "401"]
    assert find_differences(compare) == {"differences_from_other_sources": other}
    status, out, _ = compare()
    assert status == 0
    assert "not in the contract  POST /speak-stream" in out
    assert "bills" not in out


@pytest.mark.parametrize(
    ("edit", "kind", "location", "statuses"),
    [
        (put(f"{BODY}/properties/format/enum", ["mp3"]), "removals", "request body/format", (1, 1)),
        (put(f"{BODY}/properties/format", REMOVED), "removals", "request body/format", (0, 1)),
        (put(f"{BODY}/properties/format/type", "integer"), "changed_values", "request body/format", (1, 1)),
        (put(f"{BODY}/required", ["text", "format"]), "changed_values", "request body/format", (1, 1)),
        (put(f"{BODY}/properties/speed", {"type": "number"}), "additions", "request body/speed", (0, 1)),
        (put(SPEAK, REMOVED), "removals", "operation", (1, 1)),
    ],
    ids=["enum-value", "field", "type", "required", "new-field", "operation"],
)
def test_a_change_of_the_document_is_found(compare: Command, edit: Any, kind, location, statuses) -> None:
    found = find_differences(compare, edit)
    assert location in found[kind]
    assert compare(edit, options=("--fail-on", "possibly-breaking"))[0] == (
        1 if statuses[0] or kind == "removals" else 0
    )
    assert compare(edit, options=("--fail-on", "compatible"))[0] == statuses[1]


def test_the_markdown_has_no_paths_of_the_machine_and_no_markup_of_the_document(compare: Command, tmp_path) -> None:
    evil = put("/info/title", "@team <img src=x> | `a`")
    _, out, _ = compare(evil, put(f"{BODY}/properties/format/enum", ["mp3"]), options=("--format", "markdown"))
    assert "### Removed: the official document no longer has it" in out
    assert "acme/openapi.yaml:" in out
    assert "<img" not in out
    assert "@team" not in out


def test_a_document_of_the_user_is_compared_with_a_contract_that_names_no_url(compare: Command, contracts: str) -> None:
    sources = {name: {"title": name, "date": "2026-11-22"} for name in ("limits.md", "openapi.json")}
    path = Path(contracts, "acme", "openapi.yaml")
    path.write_text(json.dumps(edited(CONTRACT, put("/x-provider/sources", sources)), indent=1), encoding="utf-8")
    assert run(["drift", "--official", "acme", "--contracts", contracts]) == 2
    assert find_differences(compare) == {"differences_from_other_sources": ["request body/text", "401"]}
    assert find_differences(compare, put(f"{BODY}/properties/format", REMOVED))["removals"] == ["request body/format"]


def test_the_path_of_the_server_of_a_document_may_be_in_the_paths_of_the_contract(compare: Command, contracts) -> None:
    path = Path(contracts, "acme", "openapi.yaml")
    moved = {**CONTRACT, "paths": {f"/voice{name}": item for name, item in CONTRACT["paths"].items()}}
    path.write_text(json.dumps(moved, indent=1), encoding="utf-8")
    server = put("/servers/0/url", "https://api.acme.test/voice")
    assert find_differences(compare, server) == {"differences_from_other_sources": ["request body/text", "401"]}
    assert find_differences(compare, server, put(f"{BODY}/properties/format", REMOVED))["removals"] == [
        "request body/format"
    ]


def test_the_host_of_a_document_of_azure_is_a_template(tmp_path: Path) -> None:
    swagger = {
        "swagger": "2.0",
        "info": {"title": "Speech", "version": "1"},
        "x-ms-parameterized-host": {"hostTemplate": "{endpoint}/texttospeech", "useSchemePrefix": False},
        "paths": {},
    }
    file = tmp_path / "swagger.json"
    file.write_text(json.dumps(swagger), encoding="utf-8")
    assert convert_to_openapi(read_document(file)).data["servers"] == [{"url": "/texttospeech"}]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A server with the official document, and with something else at every other path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"/openapi.json": json.dumps(OFFICIAL).encode(), "/broken.json": b'{"openapi":\n}}'}.get(
                self.path, b"<!doctype html>"
            )
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_the_document_is_downloaded(contracts: str, url: str) -> None:
    report = voicegauge.find_official_drift(["acme"], official_document=f"{url}/openapi.json", contracts=[contracts])
    (comparison,) = report.comparisons
    assert comparison.official_document is not None
    assert (comparison.official_document.version, comparison.official_document.file) == ("7", f"{url}/openapi.json")
    assert comparison.differences == ()


@pytest.mark.parametrize(
    ("official", "problem"),
    [
        ("{url}/page", "{url}/page: is a web page"),
        ("{url}/broken.json", "{url}/broken.json:2: is not valid JSON"),
        ("http://acme.test/openapi.json", "not encrypted"),
    ],
)
def test_a_url_of_the_user_that_cannot_be_used_is_an_error(contracts: str, url: str, capsys, official, problem) -> None:
    place = official.format(url=url)
    assert run(["drift", "--official", "acme", "--contracts", contracts, "--from", place]) == 2
    error = capsys.readouterr().err
    assert problem.format(url=url) in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("openapi: 3.1.0", "has no operations"),
        ("openapi: 3.1.0\npaths:\n  /speak:\n    post: 5", "4: is not valid OpenAPI: /paths/~1speak/post must be a"),
        ("openapi: 3.1.0\npaths:\n  /speak: {post: [", "is not valid YAML"),
    ],
)
def test_a_file_of_the_user_that_cannot_be_used_is_an_error(
    contracts: str, tmp_path: Path, capsys, text, problem
) -> None:
    place = tmp_path / "official.yaml"
    place.write_text(text, encoding="utf-8")
    assert run(["drift", "--official", "acme", "--contracts", contracts, "--from", str(place)]) == 2
    error = capsys.readouterr().err
    assert f"{place}:" in error
    assert problem in error
    assert error.count("\n") == 1


def test_a_document_that_a_contract_names_and_that_cannot_be_used_is_said(contracts: str, url: str, capsys) -> None:
    path = Path(contracts, "acme", "openapi.yaml")
    at = "/x-provider/sources/openapi.json/openapi_url"
    path.write_text(json.dumps(edited(CONTRACT, put(at, f"{url}/broken.json"))), encoding="utf-8")
    assert run(["drift", "--official", "acme", "--contracts", contracts]) == 3
    assert f"acme: not compared: {url}/broken.json:2: is not valid JSON" in capsys.readouterr().out


@pytest.mark.parametrize(
    "hostile",
    [
        edited(OFFICIAL, put(f"{BODY}/properties/format", {"$ref": "secret.json#/value"})),
        edited(OFFICIAL, put("/paths/~1speak", {"$ref": "secret.json"})),
        {"overlay": "1.0.0", "info": {"title": "A", "version": "1"}, "extends": "secret.json", "actions": []},
    ],
    ids=["schema", "path", "overlay"],
)
def test_a_document_of_a_stranger_reads_no_files_of_this_machine(contracts: str, tmp_path, capsys, hostile) -> None:
    secret = {**OFFICIAL, "value": {"type": "string", "enum": ["hunter2"]}}
    (tmp_path / "secret.json").write_text(json.dumps(secret), encoding="utf-8")
    (tmp_path / "hostile.json").write_text(json.dumps(hostile), encoding="utf-8")
    place = str(tmp_path / "hostile.json")
    assert run(["drift", "--official", "acme", "--contracts", contracts, "--from", place, "--json", "-"]) == 2
    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--official", "acm"], "acme"),
        (["--official", "pixazo"], "no source of the contract has an openapi_url: name the document with --from"),
        (["--official", "--from", "a.json"], "name that provider"),
        (["--official", "acme", "--from", "nowhere.json"], "nowhere.json is not a file"),
        (["acme", "--from", "a.json"], "--from needs it"),
        (["--official", "--propose", "a.diff"], "--official is combined with"),
        (["--official", "--junit", "a.xml"], "--official is combined with"),
        (["acme"], "name two inputs"),
    ],
)
def test_bad_arguments_are_refused(contracts: str, capsys, arguments, message) -> None:
    assert run(["drift", *arguments, "--contracts", contracts]) == 2
    assert message in capsys.readouterr().err


def test_the_bundled_contracts_name_their_documents_with_https() -> None:
    urls = {
        contract.id: source.openapi_url
        for contract in voicegauge.load_contracts()
        for source in contract.provider.sources.values()
        if source.openapi_url is not None
    }
    assert {"deepgram", "elevenlabs", "mistral", "openai", "replicate"} <= set(urls)
    assert all(url.startswith("https://") for url in urls.values())


def test_the_weekly_workflow_runs_the_command() -> None:
    root = find_bundled_folder("contracts").parent
    workflow = yaml.safe_load((root / ".github" / "workflows" / "official-documents.yml").read_text(encoding="utf-8"))
    steps = workflow["jobs"]["compare"]["steps"]
    assert any(
        "voicegauge drift --official --fail-on compatible --format markdown" in step.get("run", "") for step in steps
    )
    assert workflow["permissions"] == {"contents": "read", "issues": "write"}


def test_a_folder_has_the_documents_of_several_providers(tmp_path: Path, capsys, contracts: str) -> None:
    (tmp_path / "acme.json").write_text(json.dumps(OFFICIAL))
    arguments = ["drift", "--official", "--contracts", contracts, "--from", str(tmp_path)]
    assert run(arguments) == 0
    assert "acme and Acme's own description 7" in capsys.readouterr().out
    assert run([*arguments, "deepgram"]) == 2
    assert "no document of deepgram: name it deepgram.yaml" in capsys.readouterr().err
    (tmp_path / "acme.json").unlink()
    assert run(arguments) == 2
    assert "name each by its provider's id" in capsys.readouterr().err


def test_every_bundled_contract_says_when_it_was_last_compared_with_what() -> None:
    for contract in voicegauge.load_contracts():
        compared = [source for source in contract.provider.sources.values() if source.compared_on is not None]
        assert compared, contract.id
        assert all(source.compared_on >= source.date or source.url for source in compared), contract.id
