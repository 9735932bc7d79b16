"""OpenAPI Overlays on a provider's official document, which stays as it is.

TODO is the mark that `voicegauge init` leaves in a proposal; an overlay that still has one is rejected.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import voicegauge
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_assembly import find_contract_files
from voicegauge.contract.loading import load_contract
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.errors import ContractError

from ..builders.documents import REMOVED, changed_yaml, edited, put
from ..builders.notices import NoticeList
from ..builders.own_server import running_own_server

OFFICIAL = """
openapi: 3.0.3
info: {title: Acme official, version: "7"}
servers: [{url: "https://api.acme.test"}]
paths:
  /speech/{voice}:
    post:
      operationId: create
      parameters:
        - {name: voice, in: path, required: true, schema: {type: string, enum: [anna, ben]}}
        - {name: Authorization, in: header, required: true, schema: {type: string}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: "#/components/schemas/Speech"}}}
      responses:
        "200": {description: audio, content: {audio/wav: {}}}
        "400": {description: invalid, content: {application/json: {schema: {$ref: "#/components/schemas/Error"}}}}
  /users:
    post:
      operationId: create
      requestBody: {content: {application/json: {schema: {$ref: "#/components/schemas/Broken"}}}}
      responses: {"200": {description: done}}
components:
  schemas:
    Speech:
      type: object
      required: [text]
      properties:
        text: {type: string, minLength: 1, maxLength: 200}
        speed: {type: number, minimum: 0.2, exclusiveMinimum: true, maximum: 4}
        style: {type: string, enum: [calm, glad], nullable: true}
    Error: {type: object, required: [error], properties: {error: {type: string}}}
    Broken: {type: number, pattern: "(", exclusiveMinimum: "yes", allOf: [{$ref: "#/components/schemas/Nowhere"}]}
"""
OVERLAY = """
overlay: 1.0.0
info: {title: Acme as a contract, version: "1"}
extends: openapi.yaml
actions:
  - target: $
    update:
      x-provider:
        id: acme
        title: Acme
        key_variable: ACME_KEY
        sources: {openapi.yaml: {title: Acme, date: "2026-01-01"}}
      security: [{key: []}]
  - target: $.components
    update: {securitySchemes: {key: {type: http, scheme: bearer}}}
  - target: $.paths['/speech/{voice}'].post
    update:
      responses: {"401": {description: no key}}
      x-speech:
        request_fields: {text: body#/text, voice: path.voice, speed: body#/speed}
        response: {audio: {location: body, delivery_method: bytes}}
        targets: {one: {title: One, default_voice: anna, pricing: {unit: request, usd_per_unit: 0.01}}}
"""
CREATE = "/paths/~1speech~1{voice}/post"
SPEECH = "/components/schemas/Speech"
ERROR_REFERENCE = f"{CREATE}/responses/400/content/application~1json/schema/$ref"
DESCRIBED = "/actions/2/update/x-speech"
TARGET = f"{DESCRIBED}/targets/one"
Load = Callable[..., Contract]


def line_of(text: str, part: str) -> int:
    return 1 + text[: text.index(part)].count("\n")


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load the overlay on the official document, after edits of either text."""

    def load_files(overlay: str = OVERLAY, official: str = OFFICIAL, **others: str) -> Contract:
        (tmp_path / "openapi.yaml").write_text(official)
        (tmp_path / "overlay.yaml").write_text(overlay)
        for name, text in others.items():
            (tmp_path / f"{name}.yaml").write_text(text)
        return load_contract(tmp_path / "overlay.yaml")

    return load_files


def test_only_the_described_operations_become_part_of_the_contract(load: Load) -> None:
    contract = load()
    assert list(contract.operations) == ["create"]
    assert list(contract.targets) == ["one"]


def test_a_header_that_the_security_scheme_describes_is_not_a_parameter(load: Load) -> None:
    assert [parameter.name for parameter in load().operations["create"].parameters] == ["voice"]


def test_each_part_has_its_position_in_the_file_it_comes_from(load: Load, tmp_path: Path) -> None:
    document = load().document
    operation = "/paths/~1speech~1{voice}/post"
    official, overlay = tmp_path / "openapi.yaml", tmp_path / "overlay.yaml"
    assert document.find_position(f"{operation}/responses/200") == (official, line_of(OFFICIAL, '"200": {desc'))
    assert document.find_position(f"{operation}/responses/401") == (overlay, line_of(OVERLAY, 'responses: {"401"'))
    assert document.find_position(f"{operation}/x-speech/targets/one") == (overlay, line_of(OVERLAY, "targets: {one"))
    assert document.find_position("/components/schemas/Speech") == (official, line_of(OFFICIAL, "    Speech:"))


def test_schemas_of_openapi_3_0_keep_their_meaning(load: Load) -> None:
    schemas, pointer = load().schemas, "/components/schemas/Speech"
    assert schemas.is_valid(pointer, {"text": "a", "style": None, "speed": 0.5})
    assert not schemas.is_valid(pointer, {"text": "a", "speed": 0.2})
    assert not schemas.is_valid(pointer, {"text": "a", "style": "loud"})


@pytest.mark.parametrize("version", ["3.1.0", "3.1.1", "3.2.0"])
def test_newer_versions_of_openapi_load(load: Load, version: str) -> None:
    official = changed_yaml(OFFICIAL, {"/openapi": version, f"{SPEECH}/properties/speed/exclusiveMinimum": REMOVED})
    assert load(official=official).targets


@pytest.mark.parametrize("version", ["2.0", "4.0.0", "3.9.0"])
def test_other_versions_are_refused(load: Load, version: str) -> None:
    with pytest.raises(ContractError, match=r"must be an OpenAPI document of version 3\.0, 3\.1 or 3\.2"):
        load(official=changed_yaml(OFFICIAL, {"/openapi": version}))


def test_an_error_in_a_part_that_is_used_has_file_and_line(load: Load, tmp_path: Path) -> None:
    official = changed_yaml(OFFICIAL, {f"{SPEECH}/properties/text/maxLength": "many"})
    with pytest.raises(ContractError) as raised:
        load(official=official)
    assert (raised.value.path, raised.value.line) == (tmp_path / "openapi.yaml", line_of(official, "maxLength: many"))


def test_an_operation_that_a_described_one_names_is_taken_as_well(load: Load) -> None:
    official = changed_yaml(
        OFFICIAL,
        {
            "/paths/~1voices": {"get": {"operationId": "listVoices", "responses": {"200": {"description": "ok"}}}},
            f"{CREATE}/responses/200/links": {"list": {"operationId": "listVoices"}},
        },
    )
    assert list(load(official=official).operations) == ["create", "listVoices"]


def test_actions_remove_copy_extend_and_replace(load: Load) -> None:
    overlay = OVERLAY.replace("overlay: 1.0.0", "overlay: 1.1.0") + (
        "  - {target: $.components.schemas.Speech.properties.style.enum, update: [sad]}\n"
        "  - {target: \"$.components.schemas.Speech.properties.style.enum[?@ == 'calm']\", remove: true}\n"
        "  - {target: $.components.schemas.Speech.properties.text.maxLength, update: 50}\n"
        "  - target: $.paths['/speech/{voice}'].post.responses['401']\n"
        "    copy: $.paths['/speech/{voice}'].post.responses['400']\n"
    )
    contract = load(overlay)
    properties = contract.document.data["components"]["schemas"]["Speech"]["properties"]
    assert properties["style"]["enum"] == ["glad", "sad", None]
    assert properties["text"]["maxLength"] == 50
    assert "application/json" in contract.operations["create"].responses["401"].media_types


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("target: $.components", "target: $.component", r"'\$.component' selects nothing in .*openapi.yaml"),
        ("target: $.components", "target: $.components[", "is not a valid JSONPath"),
        ("overlay: 1.0.0", "overlay: 2.0.0", "version 1.0 or 1.1, not '2.0.0'"),
        ("extends: openapi.yaml\n", "", "needs extends"),
        ("extends: openapi.yaml", "extends: https://acme.test/openapi.yaml", "download the document"),
        ("extends: openapi.yaml", "extends: missing.yaml", "extends 'missing.yaml', which is not a file in"),
        ("extends: openapi.yaml", "extends: overlay.yaml", "is itself an overlay"),
        ("extends: openapi.yaml", f"extends: {'o' * 1000}.yaml", "which is not a file in"),
        ("extends: openapi.yaml", 'extends: "o\\0.yaml"', "which is not a file in"),
        (
            "  - target: $.components\n    update:",
            "  - target: $.components\n    updates:",
            "the key 'updates' is not known here",
        ),
        ("  - target: $.components\n", "  - target: $.components\n    remove: true\n", "exactly one of"),
        (
            "actions:\n",
            "actions:\n  - {target: $, copy: $}\n",
            "copy is an action of Overlay 1.1: write overlay: 1.1.0",
        ),
        ("title: Acme\n", "title: TODO\n", "overlay.yaml:10: is marked TODO"),
        ("{title: One, ", "{title: One, request_constants: {body#/style: TODO}, ", "is marked TODO: replace it"),
        (
            "target: $.components\n    update: {",
            "target: $.info.title\n    update: {",
            "a mapping cannot be merged into a text",
        ),
        ("  - target: $\n", "  - {target: $, remove: true}\n  - target: $\n", "cannot be removed"),
    ],
)
def test_an_overlay_that_does_not_fit_is_refused_with_the_reason(load: Load, old: str, new: str, reason: str) -> None:
    assert old in OVERLAY
    with pytest.raises(ContractError, match=reason):
        load(OVERLAY.replace(old, new))


@pytest.mark.parametrize("extends", ["../secret.yaml", "link.yaml", "/etc/passwd"])
def test_an_overlay_extends_no_file_elsewhere(tmp_path: Path, extends: str) -> None:
    folder = tmp_path / "acme"
    folder.mkdir()
    (tmp_path / "secret.yaml").write_text("token: canary\n")
    (folder / "link.yaml").symlink_to("../secret.yaml")
    (folder / "overlay.yaml").write_text(OVERLAY.replace("extends: openapi.yaml", f"extends: {extends}"))
    with pytest.raises(ContractError, match=f"extends '{extends}', which is not a file in {folder}$"):
        load_contract(folder / "overlay.yaml")


def test_a_misspelled_key_of_the_overlay_is_refused_with_its_line(load: Load) -> None:
    line = line_of(OVERLAY, "      x-speech:")
    with pytest.raises(ContractError, match=rf"overlay.yaml:{line}: x-speach is .* did you mean x-speech\?"):
        load(OVERLAY.replace("x-speech", "x-speach"))


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ("default_voice: eve", '"eve" is not a documented value of path.voice: "anna", "ben"'),
        (
            "default_voice: anna, request_constants: {body#/style: loud}",
            '"loud" is not a documented value of body#/style: "calm"',
        ),
    ],
)
def test_a_value_that_the_official_document_does_not_allow_is_refused_with_its_line(
    load: Load, new: str, reason: str
) -> None:
    with pytest.raises(ContractError, match=rf"overlay.yaml:{line_of(OVERLAY, 'targets: {one')}: {reason}"):
        load(OVERLAY.replace("default_voice: anna", new))


@pytest.mark.parametrize(
    "style",
    [
        {"anyOf": [{"type": "string"}, {"enum": ["calm"]}]},
        {"oneOf": [{"enum": ["calm"]}, {"enum": ["loud"]}]},
        {"allOf": [{"enum": ["loud"]}]},
    ],
    ids=["anyOf", "oneOf", "allOf"],
)
def test_a_value_that_may_be_allowed_is_accepted(load: Load, style: dict[str, Any]) -> None:
    overlay = changed_yaml(OVERLAY, {f"{TARGET}/request_constants": {"body#/style": "loud"}})
    assert load(overlay, changed_yaml(OFFICIAL, {f"{SPEECH}/properties/style": style})).targets


def test_a_voice_that_a_map_translates_is_accepted(load: Load) -> None:
    voice = {"location": "path.voice", "provider_values": {"one": "anna"}}
    assert load(
        changed_yaml(OVERLAY, {f"{DESCRIBED}/request_fields/voice": voice, f"{TARGET}/default_voice": "one"})
    ).targets


def test_keys_of_other_vendors_are_left_alone(load: Load) -> None:
    keys = "x-stainless-const: a\nx-fern-streaming: b\nx-codeSamples: []\nx-webhooks: {}\nx-speach: c\n"
    assert load(official=OFFICIAL.lstrip() + keys).targets
    update = DESCRIBED.removesuffix("/x-speech")
    assert load(changed_yaml(OVERLAY, {f"{update}/x-codeSamples": [], f"{update}/x-fern-streaming": {}})).targets


def test_a_document_that_an_overlay_extends_is_not_a_contract_by_itself(load: Load, tmp_path: Path) -> None:
    load()
    assert find_contract_files(tmp_path) == [tmp_path / "overlay.yaml"]
    provider = tmp_path / "providers" / "acme"
    provider.mkdir(parents=True)
    (provider / "overlay.yaml").write_text(OVERLAY)
    (provider / "openapi.yaml").write_text(OFFICIAL)
    assert find_contract_files(tmp_path / "providers") == [provider / "overlay.yaml"]


def test_references_lead_into_other_files(load: Load, tmp_path: Path) -> None:
    item = OFFICIAL[OFFICIAL.index("    post:") : OFFICIAL.index("  /users:")]
    official = OFFICIAL.replace(item, "    $ref: speech.yaml#/item\n")
    speech = "item:\n" + item.replace("#/components/schemas/", "openapi.yaml#/components/schemas/").replace(
        "openapi.yaml#/components/schemas/Error", "errors.yaml"
    )
    errors = "type: object\nrequired: [error]\nproperties: {error: {$ref: '#/definitions/text'}}\n"
    errors += "definitions: {text: {type: string, minLength: 1}}\n"
    contract = load(official=official, speech=speech, errors=errors)
    media = contract.operations["create"].responses["400"].media_types["application/json"]
    assert [error.message for error in media.iterate_violations({"error": ""})] != []
    assert media.is_valid({"error": "no"})
    pointer = "/paths/~1speech~1{voice}/post/responses/200"
    assert contract.document.find_position(pointer) == (tmp_path / "speech.yaml", line_of(speech, '"200": {desc'))


def test_a_reference_to_a_file_that_is_missing_is_refused_where_it_is_used(load: Load, tmp_path: Path) -> None:
    for name in ("nowhere.yaml", "o" * 1000, "\0.yaml", "/dev/zero", "."):
        unused = changed_yaml(OFFICIAL, {"/components/schemas/Broken/allOf/0/$ref": name})
        assert load(official=unused).targets
    used = changed_yaml(OFFICIAL, {ERROR_REFERENCE: "errors.yaml#/Error"})
    with pytest.raises(ContractError, match=r"\$ref 'errors.yaml#/Error'") as raised:
        load(official=used)
    assert (raised.value.path, raised.value.line) == (tmp_path / "openapi.yaml", line_of(used, "errors.yaml"))


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("errors.yaml#/Error", "errors.yaml: cannot be read: No such file or directory"),
        (".", ": cannot be read"),
        ("broken.yaml#/Error", "broken.yaml:1: must be a mapping"),
        ("https://acme.test/errors.yaml#/Error", "is a URL: download the file"),
    ],
)
def test_a_file_that_cannot_be_followed_is_refused_with_the_reason(load: Load, reference: str, reason: str) -> None:
    official = changed_yaml(OFFICIAL, {ERROR_REFERENCE: reference})
    with pytest.raises(ContractError) as raised:
        load(official=official, broken="[]")
    assert reason in raised.value.reason


def test_an_error_in_a_document_without_line_breaks_has_the_json_pointer(tmp_path: Path) -> None:
    official = edited(yaml.safe_load(OFFICIAL), put(f"{SPEECH}/properties/text/maxLength", "many"))
    (tmp_path / "openapi.json").write_text(json.dumps(official))
    sources = {"openapi.json": {"title": "Acme", "date": "2026-01-01"}}
    (tmp_path / "overlay.yaml").write_text(
        changed_yaml(OVERLAY, {"/extends": "openapi.json", "/actions/0/update/x-provider/sources": sources})
    )
    with pytest.raises(ContractError) as raised:
        load_contract(tmp_path / "overlay.yaml")
    assert raised.value.line == 1
    assert raised.value.reason.startswith("/components/schemas/Speech/properties/text/maxLength: is not a valid")


def test_a_syntax_error_has_the_column(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text('{"openapi": "3.1.0", "paths": }}')
    with pytest.raises(ContractError, match=r"openapi.json:1: is not valid JSON: .* \(column 32\)"):
        load_contract(tmp_path / "openapi.json")


def test_a_check_of_the_emulated_provider_finds_nothing(load: Load, tmp_path: Path) -> None:
    load()
    report = voicegauge.check(["acme"], emulated=True, contracts=[tmp_path])
    assert report.findings == ()
    assert sum(report.exchange_count_by_provenance.values()) > 10


@pytest.mark.parametrize(("shortest", "longest"), [(1, 20), pytest.param(200, 400, marks=pytest.mark.slow)])
def test_a_text_that_the_schema_allows_is_sent(load: Load, tmp_path: Path, shortest: int, longest: int) -> None:
    text = {"type": "string", "minLength": shortest, "maxLength": longest}
    load(official=changed_yaml(OFFICIAL, {f"{SPEECH}/properties/text": text}))
    report = voicegauge.check(["acme"], emulated=True, contracts=[tmp_path])
    assert report.findings == ()


def test_constants_outside_the_body_and_boolean_schemas_are_planned_for(load: Load, tmp_path: Path) -> None:
    official = changed_yaml(
        OFFICIAL,
        {
            f"{CREATE}/parameters/-": {"name": "model", "in": "query", "schema": {"enum": ["one", "two"]}},
            f"{SPEECH}/properties/anything": True,
            f"{SPEECH}/properties/nothing": False,
        },
    )
    load(changed_yaml(OVERLAY, {f"{TARGET}/request_constants": {"query.model": "one"}}), official)
    report = voicegauge.check(["acme"], emulated=True, contracts=[tmp_path])
    assert report.findings == ()


def test_drift_between_two_versions_compares_what_the_overlay_describes(load: Load, tmp_path: Path) -> None:
    load()
    newer = tmp_path / "newer"
    newer.mkdir()
    official = changed_yaml(
        OFFICIAL, {f"{SPEECH}/properties/text/maxLength": 100, "/paths/~1users": REMOVED, "/paths/~1people": {}}
    )
    (newer / "openapi.yaml").write_text(official)
    (newer / "overlay.yaml").write_text(OVERLAY)
    report = compare_inputs(str(tmp_path / "overlay.yaml"), str(newer / "overlay.yaml"))
    (change,) = report.changes
    assert change.new_position is not None
    assert change.new_position.file == str(newer / "openapi.yaml")
    assert change.new_position.line == line_of(official, "maxLength: 100")


LISTED = {
    "/paths/~1audio~1speech": {
        "post": {
            "operationId": "speak",
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/OwnSpeech"}}},
            },
            "responses": {"200": {"description": "audio", "content": {"audio/wav": {}}}, "400": {"description": "no"}},
        }
    },
    "/paths/~1models": {"get": {"operationId": "what it can", "responses": {"200": {"description": "models"}}}},
    "/paths/~1audio~1voices": {"get": {"operationId": "who speaks", "responses": {"200": {"description": "voices"}}}},
    "/components/schemas/OwnSpeech": {
        "type": "object",
        "required": ["input", "voice"],
        "properties": {"input": {"type": "string"}, "voice": {"type": "string"}, "model": {"type": "string"}},
    },
}
"""Operations of a server's own document: speech, and the lists of its models and voices."""
LISTING_OVERLAY = """
overlay: 1.0.0
info: {title: A server of one's own, version: "1"}
extends: openapi.yaml
actions:
  - target: $
    update:
      x-provider:
        id: own
        title: Own
        key_variable: OWN_KEY
        is_key_optional: true
        sources: {openapi.yaml: {title: Own, date: "2026-01-01"}}
        self_hosted:
          model_list: {operation_id: what it can, list_locations: [body#/data], request_field_location: body#/model}
          voice_lists: [{operation_id: who speaks, list_locations: [body#/voices], request_field_location: body#/voice}]
      security: [{}]
  - target: $.paths['/audio/speech'].post
    update:
      x-speech:
        request_fields: {text: body#/input, voice: body#/voice}
        response: {audio: {location: body, delivery_method: bytes}}
        targets: {one: {title: One, default_voice: anna, pricing: {unit: request, usd_per_unit: 0}}}
"""


def test_a_server_of_ones_own_is_asked_by_operations_of_its_own_document(load: Load, tmp_path: Path) -> None:
    load(LISTING_OVERLAY, changed_yaml(OFFICIAL, LISTED))
    notices: list[str] = []

    with running_own_server(voices=["zoe"], is_strict=True) as url:
        report = voicegauge.check(
            "own",
            contracts=[tmp_path],
            live=voicegauge.LiveOptions(base_urls={"": f"{url}/v1"}),
            case_ids=["own/one: a full delivery"],
            progress=NoticeList(notices),
        )
    assert "own: 3 models, 1 voice listed; uses model tiny and voice zoe" in notices
    assert "rejects-valid" not in {finding.rule for finding in report.findings}


def test_an_operation_that_no_document_has_cannot_list_voices(load: Load) -> None:
    overlay = LISTING_OVERLAY.replace("operation_id: who speaks", "operation_id: nobody")
    with pytest.raises(ContractError, match="'nobody' is not an operation of this document"):
        load(overlay, changed_yaml(OFFICIAL, LISTED))
