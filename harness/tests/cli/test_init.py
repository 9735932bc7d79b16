"""`voicegauge init`: an overlay is proposed for an official document, which stays as it is.

TODO is the mark that a proposal has where the document is silent: the tests expect it, nothing here is unfinished.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import voicegauge
from voicegauge.cli import run
from voicegauge.formats.locations import parse_location

from ..builders.servers import serving

DOCUMENT = """
openapi: 3.1.0
info: {title: Acme API, version: "7"}
servers: [{url: "https://api.acme.test/v1"}]
security: [{bearer: []}]
paths:
  /tts/{voice_id}/stream:
    post:
      operationId: speak
      parameters:
        - {name: voice_id, in: path, required: true, schema: {type: string, examples: [anna]}}
        - {name: output_format, in: query, schema: {enum: [mp3, wav]}}
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Request"}}}}
      responses: {"200": {description: audio, content: {audio/mpeg: {}}}}
  /speech-to-text:
    post:
      operationId: transcribe
      requestBody: {content: {application/json: {schema: {properties: {text: {type: string}}}}}}
      responses: {"200": {description: text, content: {application/json: {}}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Request:
      allOf:
        - {type: object, required: [text], properties: {text: {type: string, maxLength: 500}}}
        - type: object
          required: [model_id]
          properties: {model_id: {anyOf: [{type: string}, {type: string, enum: ["One v1", "two: #2"]}]}}
"""


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(DOCUMENT)
    return path


def propose(document: Path, **options: Any) -> str:
    return voicegauge.propose_overlay(document, **options).overlay


@pytest.mark.slow
def test_the_proposal_is_a_contract_that_the_emulated_provider_keeps(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["init", str(document)]) == 0
    printed = capsys.readouterr().out
    overlay = document.with_name("overlay.yaml")
    assert "POST /tts/{voice_id}/stream: one-v1, two-2" in printed
    assert f"next: voicegauge check acme --emulated --contracts {overlay}" in printed
    assert document.read_text() == DOCUMENT
    contract = voicegauge.load_contracts(overlay).find_provider("acme")
    request = contract.operations["speak"].speech
    assert request is not None
    assert {field: str(mapping.location) for field, mapping in request.request_fields.items()} == {
        "text": "body#/text",
        "voice": "path.voice_id",
        "format": "query.output_format",
    }
    assert [target.target_spec.default_voice for target in contract.targets.values()] == ["anna", "anna"]
    assert [dict(target.target_spec.request_constants) for target in contract.targets.values()] == [
        {parse_location("body#/model_id"): model} for model in ("One v1", "two: #2")
    ]
    assert voicegauge.check(["acme"], emulated=True, contracts=[overlay], max_calls=6).findings == ()


def test_named_examples_with_ids_as_litestar_writes_them_are_read(document: Path) -> None:
    """An `id` beside the value has no meaning in OpenAPI; one inside the value stays."""
    parameter = "schema: {enum: [mp3, wav]}"
    example = "schema: {enum: [mp3, wav]}, examples: {usual: {id: usual, summary: The usual one, value: mp3}}"
    media = "{audio/mpeg: {}}}}"
    error = '"402": {description: e, content: {application/json: {examples: {e: {id: e, value: {id: 1}}}}}}}'
    document.write_text(
        DOCUMENT.replace(parameter, example, 1).replace(
            f'"200": {{description: audio, content: {media}',
            f'"200": {{description: audio, content: {{audio/mpeg: {{}}}}}}, {error}',
            1,
        )
    )
    assert run(["init", str(document)]) == 0
    contract = voicegauge.load_contracts(document.with_name("overlay.yaml")).find_provider("acme")
    media_type = contract.operations["speak"].responses["402"].media_types["application/json"]
    assert [example.value for example in media_type.examples] == [{"id": 1}]


def test_a_document_of_a_server_without_keys_is_completed_as_the_proposal_says(document: Path) -> None:
    scheme = "  securitySchemes: {bearer: {type: http, scheme: bearer}}\n"
    document.write_text(DOCUMENT.replace("security: [{bearer: []}]\n", "").replace(scheme, ""))
    (todo,) = (one for one in voicegauge.propose_overlay(document).todo if one.startswith("how the key is sent"))
    assert "`is_key_optional: true`" in todo
    lines = voicegauge.propose_overlay(document).overlay.splitlines()
    kept = [line for line in lines if not re.search(r" security: |securitySchemes|key_variable", line)]
    position = kept.index("        id: acme")
    kept[position:position] = ["        key_variable: ACME_API_KEY", "        is_key_optional: true"]
    overlay = "\n".join(line for line in kept if "The key is unknown" not in line)
    document.with_name("overlay.yaml").write_text(overlay)
    report = voicegauge.check("acme", contracts=document.parent, emulated=True, max_calls=2)
    assert (report.findings, report.stop_reason) == ((), None)


def test_what_the_document_does_not_state_is_listed_and_marked(document: Path) -> None:
    document.write_text(
        DOCUMENT.replace("examples: [anna]", "").replace('servers: [{url: "https://api.acme.test/v1"}]', "")
    )
    proposal = voicegauge.propose_overlay(document)
    assert proposal.provider == "acme"
    assert "the server, which the document does not name" in proposal.todo
    assert "a voice of /tts/{voice_id}/stream" in proposal.todo
    assert proposal.overlay.count("default_voice: TODO") == 2
    assert "usd_per_unit: TODO" in proposal.overlay


def test_a_server_without_a_host_is_replaced(document: Path) -> None:
    document.write_text(DOCUMENT.replace("https://api.acme.test/v1", "/v1"))
    proposal = voicegauge.propose_overlay(document)
    assert "the server, which the document names without its host" in proposal.todo
    overlay = document.with_name("overlay.yaml")
    overlay.write_text(proposal.overlay.replace("https://TODO.example", "http://127.0.0.1:8000"))
    contract = voicegauge.load_contracts(overlay).find_provider(proposal.provider)
    assert [server.url for server in contract.servers.values()] == ["http://127.0.0.1:8000"]


def test_a_proposal_that_is_incomplete_says_what_to_do_first(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(DOCUMENT.replace("examples: [anna]", ""))
    assert run(["init", str(document)]) == 0
    output = capsys.readouterr().out
    assert "it cannot be used before this is completed:" in output
    assert "next: complete it, then voicegauge check acme" in output


def test_prices_are_never_guessed(document: Path) -> None:
    overlay = propose(document)
    assert "x-pricing" in overlay
    assert "x-pricing" not in str(yaml.safe_load(overlay))


@pytest.mark.parametrize(
    ("schema", "audio"),
    [
        ("{properties: {audio_url: {type: string}}}", "audio: {location: body#/audio_url, delivery_method: url}"),
        (
            "{properties: {result: {properties: {audio: {type: string}}}}}",
            "body#/result/audio, delivery_method: base64",
        ),
        ("{properties: {id: {type: string}}}", "response: {audio: {location: body, delivery_method: bytes}}  # TODO"),
    ],
)
def test_the_audio_is_found_in_the_response(document: Path, schema: str, audio: str) -> None:
    document.write_text(DOCUMENT.replace("{audio/mpeg: {}}", f"{{application/json: {{schema: {schema}}}}}"))
    assert audio in propose(document)


def test_a_name_of_the_document_that_is_no_plain_yaml_is_quoted(document: Path) -> None:
    schema = '{properties: {"audio: a, b": {type: string}}}'
    document.write_text(DOCUMENT.replace("{audio/mpeg: {}}", f"{{application/json: {{schema: {schema}}}}}"))
    (action,) = (one for one in yaml.safe_load(propose(document))["actions"] if "x-speech" in one["update"])
    assert action["update"]["x-speech"]["response"]["audio"]["location"] == "body#/audio: a, b"


@pytest.mark.slow
def test_a_response_without_audio_in_the_document_gets_a_media_type_to_review(document: Path) -> None:
    document.write_text(DOCUMENT.replace("{audio/mpeg: {}}", "{application/json: {schema: {type: string}}}"))
    assert run(["init", str(document), "--operation", "speak"]) == 0
    overlay = document.with_name("overlay.yaml")
    assert '"200": {content: {audio/*: {}}}' in overlay.read_text()
    assert voicegauge.check(["acme"], emulated=True, contracts=[overlay], max_calls=6).findings == ()


@pytest.mark.parametrize("is_reference", [False, True], ids=["inline", "reference"])
def test_media_types_that_the_document_states_are_not_asked_for(document: Path, *, is_reference: bool) -> None:
    audio = "{description: audio, content: {audio/mpeg: {}, audio/wav: {}}}"
    used = "{$ref: '#/components/responses/Audio'}" if is_reference else audio
    shared = f"components:\n  responses: {{Audio: {audio}}}"
    document.write_text(
        DOCUMENT.replace("{description: audio, content: {audio/mpeg: {}}}", used)
        .replace("components:", shared)
        .replace("[mp3, wav]", "[mp3_44100_64, mp3_44100_128, wav]")
    )
    proposal = voicegauge.propose_overlay(document)
    assert "audio/*" not in proposal.overlay
    assert [line for line in proposal.todo if "media types" in line] == []


def test_media_types_of_other_formats_than_the_stated_ones_are_asked_for(document: Path) -> None:
    path = "/tts/{voice_id}/stream"
    proposal = voicegauge.propose_overlay(document)
    assert '"200": {content: {audio/*: {}}}' in proposal.overlay
    assert f"the media types of other formats of {path}: the document states audio/mpeg only" in proposal.todo


def test_operation_ids_that_are_used_twice_are_replaced(document: Path) -> None:
    twice = (
        DOCUMENT.replace("/speech-to-text", "/v2/speak")
        .replace("transcribe", "speak")
        .replace("application/json: {}}}}", "audio/wav: {}}}}")
    )
    document.write_text(twice)
    overlay = document.with_name("overlay.yaml")
    assert run(["init", str(document)]) == 0
    assert list(voicegauge.load_contracts([overlay]).find_provider("acme").operations) == ["speak", "post-v2-speak"]


def test_operations_can_be_named(document: Path) -> None:
    proposal = voicegauge.propose_overlay(document, operations="/speech-to-text", provider="other")
    assert [operation.request for operation in proposal.operations] == ["POST /speech-to-text"]
    assert proposal.provider == "other"


def test_the_proposal_as_json(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(document), "--json", "-"]) == 0
    proposal = msgspec.json.decode(capsys.readouterr().out)
    assert proposal["operations"][0]["line"] == 1 + DOCUMENT[: DOCUMENT.index("    post:")].count("\n")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["acme.yaml"], "overlay.yaml exists: name another file with --out, or delete it"),
        (["acme.yaml", "--out", "other/o.yaml"], "must be in the folder of"),
        (["acme.yaml", "--operation", "/nothing", "--out", "o.yaml"], "unknown operation '/nothing'"),
        (["missing.yaml"], "missing.yaml: is not a file"),
        (["text.yaml", "--out", "o.yaml"], "must be a mapping"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    reason: str,
) -> None:
    monkeypatch.chdir(document.parent)
    (document.parent / "text.yaml").write_text("only a text")
    (document.parent / "overlay.yaml").write_text("mine")
    (document.parent / "other").mkdir()
    assert run(["init", *arguments]) == 2
    error = capsys.readouterr().err
    assert reason in error
    assert "Traceback" not in error
    assert (document.parent / "overlay.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("part", "wrong"),
    [
        ("operationId: speak", "operationId: [speak]"),
        ("parameters:\n        - {name: voice_id", "parameters: 5\n      x-other:\n        - {name: voice_id"),
        (
            "requestBody: {content: {application/json: {schema: {$ref",
            "requestBody: {content: 5, x-old: {a: {schema: {$ref",
        ),
        ('responses: {"200": {description: audio, content: {audio/mpeg: {}}}}', "responses: -1"),
        ('responses: {"200": {description: audio, content: {audio/mpeg: {}}}}', 'responses: {"200": 5}'),
        ("required: [text], properties: {text:", "required: 5, properties: {text:"),
        ("#/components/schemas/Request", "#/components/schemas/Nothing"),
        ("#/components/schemas/Request", "fifo"),
        ("openapi: 3.1.0", 'swagger: "2.0"'),
    ],
)
def test_a_document_of_wrong_types_is_refused_with_file_and_line(
    part: str, wrong: str, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert part in DOCUMENT
    os.mkfifo(document.with_name("fifo"))
    document.write_text(DOCUMENT.replace(part, wrong, 1))
    assert run(["init", str(document)]) == 2
    error = capsys.readouterr().err
    assert re.match(rf"voicegauge: {re.escape(str(document))}:\d+: .+\n\Z", error)


@pytest.mark.parametrize("version", ['swagger: "1.2"', 'openapi: "4.0"'])
def test_another_version_of_openapi_is_named_even_if_no_operation_is_found(
    version: str, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(f"{version}\ninfo: {{title: Acme, version: '1'}}\npaths: {{/users: {{get: {{}}}}}}\n")
    assert run(["init", str(document)]) == 2
    number = version.partition('"')[2][:3]
    wanted = "an OpenAPI document of version 3.0, 3.1 or 3.2, or Swagger 2.0"
    assert f"acme.yaml:1: must be {wanted}, not '{number}'" in " ".join(capsys.readouterr().err.split())


@pytest.mark.slow
def test_bench_can_use_the_proposal_for_a_document_whose_languages_have_regions(document: Path, tmp_path: Path) -> None:
    """The suite's "en" is sent as the documented "en-GB"; otherwise each request would be answered with 400."""
    languages = "locale: {type: string, enum: [en-GB, de_DE, fr, auto]}"
    document.write_text(JOBS.replace("text: {type: string}", f"text: {{type: string}}, {languages}"))
    assert run(["init", str(document)]) == 0
    overlay = document.with_name("overlay.yaml")
    texts, out = tmp_path / "texts.csv", tmp_path / "runs"
    texts.write_text("language,text\nen,Hello.\nde,Guten Tag.\nfr,Bonjour.\n")
    options = ["--warmup=0", "--asr=none", "--no-listening", f"--texts={texts}", f"--out={out}"]
    assert run(["bench", "acme/speech", "--contracts", str(overlay), *options]) == 0
    (saved,) = out.glob("*/run.json")
    run_data = msgspec.json.decode(saved.read_bytes())
    assert {one["language"]: one["failure"] for one in run_data["samples"]} == dict.fromkeys(("en", "de", "fr"))


@pytest.mark.parametrize(
    ("documented", "mapped", "spoken", "is_uncertain"),
    [
        ("en-GB, de-DE, fr-FR", {"en": "en-GB", "de": "de-DE", "fr": "fr-FR"}, ("en", "de", "fr"), False),
        ("en-US, en-GB, pt-BR", {"en": "en-US", "pt": "pt-BR"}, ("en", "en-GB", "pt"), True),
        ("en, en-GB", {}, ("en", "en-GB"), False),
        ("EN, zh_Hant", {"en": "EN", "zh": "zh_Hant"}, ("en", "zh"), False),
        ("auto, English", {}, (), False),
    ],
)
def test_a_language_stands_for_its_first_documented_region(
    documented: str,
    mapped: dict[str, str],
    spoken: tuple[str, ...],
    is_uncertain: bool,
    document: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    languages = f"text: {{type: string}}, language: {{type: string, enum: [{documented}]}}"
    document.write_text(JOBS.replace("text: {type: string}", languages))
    assert run(["init", str(document)]) == 0
    overlay = document.with_name("overlay.yaml")
    contract = voicegauge.load_contracts([overlay]).find_provider("acme")
    assert contract.targets["speech"].speech.request_fields["language"].provider_values == mapped
    (acme,) = (one for one in voicegauge.list_providers(contracts=[overlay]).providers if one.id == "acme")
    assert [target.languages for target in acme.targets] == [spoken]
    marked = "provider_values: {en: en-US, pt: pt-BR}  # TODO: which region is meant by en"
    assert (marked in overlay.read_text()) is is_uncertain
    assert ("the region of en in requests of /v1/speech: en-US is the first" in capsys.readouterr().out) is is_uncertain


@pytest.mark.parametrize(("documented", "is_noted"), [("auto, English, German", True), ("auto", False)])
def test_names_of_languages_are_noted(
    documented: str, is_noted: bool, document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    languages = f"text: {{type: string}}, language: {{type: string, enum: [{documented}]}}"
    document.write_text(JOBS.replace("text: {type: string}", languages))
    assert run(["init", str(document)]) == 0
    note = "the codes of the languages of /v1/speech, such as English: provider_values"
    assert (note in capsys.readouterr().out) is is_noted


def test_a_transcription_gets_its_languages_too(document: Path) -> None:
    fields = "text: {type: string}, audio: {type: string}, language: {type: string, enum: [en-GB, de]}"
    document.write_text(DOCUMENT.replace("{properties: {text: {type: string}}}", f"{{properties: {{{fields}}}}}"))
    assert run(["init", str(document), "--operation", "transcribe"]) == 0
    text = document.with_name("overlay.yaml").read_text()
    assert "language: {location: body#/language, provider_values: {en: en-GB}}" in text
    assert "supported_languages: [en, de]" in text


def test_names_with_special_characters_stay_data(document: Path) -> None:
    path = '/tts/{voice_id}/it\'s \\"so\\"\\e[2J'
    document.write_text(DOCUMENT.replace("/tts/{voice_id}/stream", f'"{path}"'))
    overlay = document.with_name("overlay.yaml")
    assert run(["init", str(document)]) == 0
    assert "\x1b" not in overlay.read_text()
    assert voicegauge.load_contracts([overlay]).find_provider("acme").operations


def test_a_provider_id_has_no_special_characters(document: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", str(document), "--provider", "../x"]) == 2
    assert "'../x' is not a provider id" in capsys.readouterr().err
    assert not document.with_name("overlay.yaml").exists()


async def test_a_document_at_a_url_is_saved_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": DOCUMENT.encode()})

    monkeypatch.chdir(tmp_path)
    async with serving(app) as url:
        assert await asyncio.to_thread(run, ["init", f"{url}/docs/acme.yaml?key=1"]) == 0
        assert await asyncio.to_thread(run, ["init", f"{url}/docs/acme.yaml", "--out", "other.yaml"]) == 2
    assert (tmp_path / "acme.yaml").read_text() == DOCUMENT
    assert "extends: acme.yaml" in (tmp_path / "overlay.yaml").read_text()


@pytest.mark.parametrize("source", ["http://acme.test/openapi.json", "https://", "nowhere.yaml"])
def test_a_source_that_cannot_be_read_is_refused_in_one_line(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["init", source]) == 2
    assert capsys.readouterr().err.count("\n") == 1


JOBS = """
openapi: 3.1.0
info: {title: Acme API, version: "7"}
servers: [{url: "https://api.acme.test"}]
security: [{bearer: []}]
paths:
  /v1/speech:
    post:
      operationId: createSpeech
      requestBody:
        required: true
        content: {application/json: {schema: {type: object, required: [text], properties: {text: {type: string}}}}}
      responses:
        "202": {description: queued, content: {application/json: {schema: {$ref: "#/components/schemas/Job"}}}}
        4XX: {description: no, content: {application/json: {schema: {type: object}}}}
  /v1/speech/{job_id}:
    get:
      operationId: getSpeech
      parameters: [{name: job_id, in: path, required: true, schema: {type: string}}]
      responses:
        "200": {description: job, content: {application/json: {schema: {$ref: "#/components/schemas/Job"}}}}
  /v1/users/{user_id}:
    get:
      operationId: getUser
      parameters: [{name: user_id, in: path, required: true, schema: {type: string}}]
      responses: {"200": {description: user, content: {application/json: {schema: {properties: {status: {}}}}}}}
components:
  securitySchemes: {bearer: {type: http, scheme: bearer}}
  schemas:
    Job:
      type: object
      required: [job_id, status]
      properties:
        job_id: {type: string}
        status: {type: string, enum: [queued, processing, succeeded, failed]}
        output: {type: array, items: {type: string, format: uri}}
        error: {type: string}
"""


def test_a_job_is_proposed_with_its_states_and_audio(document: Path) -> None:
    document.write_text(JOBS)
    assert run(["init", str(document)]) == 0
    overlay = document.with_name("overlay.yaml")
    contract = voicegauge.load_contracts([overlay]).find_provider("acme")
    assert list(contract.targets) == ["speech"]
    job = contract.operations["getSpeech"].job
    assert job is not None
    assert (
        str(job.submit_response.job_id_location),
        str(job.state_location),
        str(job.audio.location),
        str(job.failure_reason_location),
    ) == (
        "body#/job_id",
        "body#/status",
        "body#/output/0",
        "body#/error",
    )
    assert {name: state.successor_names or state.terminal_outcome for name, state in job.states.items()} == {
        "queued": ("processing", "failed"),
        "processing": ("succeeded", "failed"),
        "succeeded": "success",
        "failed": "failure",
    }
    assert voicegauge.check(["acme"], emulated=True, contracts=[overlay], max_calls=6).findings == ()


def test_states_and_audio_that_a_document_does_not_state_are_marked(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.write_text(JOBS.replace(", enum: [queued, processing, succeeded, failed]", "").replace("output: ", "x: "))
    assert run(["init", str(document)]) == 0
    printed = capsys.readouterr().out
    assert "the states of /v1/speech/{job_id}, and how each ends" in printed
    assert "the audio in the response of /v1/speech/{job_id}" in printed
    assert "is marked TODO" in printed
    text = document.with_name("overlay.yaml").read_text()
    assert "TODO: {successor_names: [TODO]}" in text
    assert "audio: {location: TODO, delivery_method: url}" in text


VOICES = """
  /v1/voices:
    get:
      operationId: listVoices
      responses: {"200": {description: all, content: {application/json: {schema: {type: array, items: {
        $ref: "#/components/schemas/Voice"}}}}}}
    post:
      operationId: createVoice
      requestBody: {content: {application/json: {schema: {type: object, properties: {name: {type: string}}}}}}
      responses: {"200": {description: new, content: {application/json: {schema: {
        $ref: "#/components/schemas/Voice"}}}}}
  /v1/voices/{voice_id}:
    delete:
      operationId: deleteVoice
      parameters: [{name: voice_id, in: path, required: true, schema: {type: string}}]
      responses: {"204": {description: deleted}}
"""


def test_stored_voices_are_proposed_as_a_comment(document: Path) -> None:
    schema = "components:\n  schemas:\n    Voice: {type: object, properties: {voice_id: {type: string}}}\n"
    text = JOBS.replace("components:\n", f"{VOICES.lstrip(chr(10))}components:\n")
    document.write_text(text.replace("  schemas:\n", schema.partition("\n")[2], 1))
    assert run(["init", str(document)]) == 0
    overlay = document.with_name("overlay.yaml")
    assert list(voicegauge.load_contracts([overlay]).find_provider("acme").operations) == ["createSpeech", "getSpeech"]
    overlay.write_text(overlay.read_text().replace("  # - target", "  - target").replace("  #   ", "    "))
    resource = voicegauge.load_contracts([overlay]).find_provider("acme").operations["createVoice"].resource
    assert resource is not None
    assert (str(resource.id_location), resource.deletion.operation_id, str(resource.deletion.id_location)) == (
        "body#/voice_id",
        "deleteVoice",
        "path.voice_id",
    )
    assert resource.listing is not None
    assert resource.listing.operation_id == "listVoices"


def test_the_id_of_a_bundled_contract_is_proposed_only_if_it_is_named(document: Path) -> None:
    document.write_text(DOCUMENT.replace("api.acme.test", "api.deepgram.test"))
    overlay = document.with_name("overlay.yaml")
    assert run(["init", str(document)]) == 0
    contract = voicegauge.load_contracts([overlay]).find_provider("my-deepgram")
    assert contract.key_variables == ("MY_DEEPGRAM_API_KEY",)
    plan = voicegauge.plan_check(["my-deepgram"], emulated=True, contracts=[overlay])
    assert plan.cases
    assert voicegauge.propose_overlay(document, provider="deepgram").provider == "deepgram"


def test_an_address_of_this_machine_names_no_provider(document: Path) -> None:
    document.write_text(DOCUMENT.replace("https://api.acme.test/v1", "http://127.0.0.1:8880"))
    assert voicegauge.propose_overlay(document).provider == "acme"


def test_operations_that_are_not_proposed_are_named_with_the_reason(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lists = "    get: {operationId: listSpeech, responses: {'200': {description: audio, content: {audio/mpeg: {}}}}}\n"
    document.write_text(DOCUMENT.replace("  /speech-to-text:\n", f"{lists}  /speech-to-text:\n"))
    assert run(["init", str(document), "--operation", "/tts/{voice_id}/stream", "--operation", "transcribe"]) == 0
    printed = capsys.readouterr().out
    get = "GET /tts/{voice_id}/stream"
    assert f"  {get}: another method of this path sends the text; --operation '{get}' names this one\n" in printed


def test_a_document_that_cannot_be_read_is_reported_before_a_file_that_exists(
    document: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document.with_name("overlay.yaml").write_text("mine")
    document.write_text("{")
    assert run(["init", str(document)]) == 2
    assert str(document) in capsys.readouterr().err
    document.write_text(DOCUMENT)
    assert run(["init", str(document)]) == 2
    assert "overlay.yaml exists: name another file" in capsys.readouterr().err
    assert document.with_name("overlay.yaml").read_text() == "mine"
