"""What documents may look like: of another OpenAPI, entangled, wrong, or out to do harm."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voicegauge.contract.loading import load_catalogue
from voicegauge.drift.document_comparison import compare_inputs
from voicegauge.errors import ContractError, UsageError, VoicegaugeError

from ..builders.documents import REMOVED, edited, put
from . import extension_base, operation_edits
from .documents import Drift, only, reported_rules
from .schema_edits import CAT, TEXT, document

Write = Callable[[str, str], str]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_text(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write_text


def with_schemas(schema: dict[str, Any], **schemas: Any) -> dict[str, Any]:
    return {**document("request-body", schema), "components": {"schemas": schemas}}


def ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def test_schemas_in_other_files_are_compared_at_their_own_lines(write: Write) -> None:
    schema = {"requestBody": {"content": {"application/json": {"schema": {"$ref": "schemas.json#/Body"}}}}}
    api = json.dumps({"openapi": "3.1.0", "info": {"title": "A", "version": "1"}, "paths": {"/a": {"post": schema}}})
    body = """{"Body": {"properties": {
    "speed": {"$ref": "#/Speed"}}},
"Speed": {"type": "integer"}}"""
    for folder, schemas in (("old", body), ("new", body.replace("integer", "boolean"))):
        write(f"{folder}/api.json", api)
        write(f"{folder}/schemas.json", schemas)
    root = Path(write("root", "")).parent
    found = only(compare_inputs(str(root / "old/api.json"), str(root / "new/api.json")))
    assert (found.rule, found.location) == ("request-property-type-changed", "request body/speed")
    assert str(found.new_position) == f"{root / 'new/schemas.json'}:3"


def test_a_document_of_openapi_3_0_without_any_x_key_is_compared(write: Write) -> None:
    text = """
openapi: 3.0.3
info: {title: Acme, version: "1"}
paths:
  /speak:
    post:
      requestBody:
        content:
          application/json:
            schema:
              type: object
              properties:
                speed: {type: number, minimum: 0, exclusiveMinimum: true, nullable: true}
      responses: {"200": {description: Audio}}
"""
    newer = text.replace("3.0.3", "3.1.0").replace(
        "type: number, minimum: 0, exclusiveMinimum: true, nullable: true",
        "type: [number, 'null'], exclusiveMinimum: 0",
    )
    assert compare_inputs(write("old.yaml", text), write("new.yaml", newer)).changes == ()
    bounded = newer.replace("exclusiveMinimum: 0", "exclusiveMinimum: 1")
    found = only(compare_inputs(write("old.yaml", text), write("new.yaml", bounded)))
    assert found.rule == "request-property-exclusive-min-increased"
    assert found.operation == "POST /speak"
    assert found.message.endswith(": 0, now 1")


def test_a_change_names_its_lines_in_both_files(write: Write) -> None:
    text = "openapi: 3.1.0\npaths:\n  /speak:\n    get:\n      deprecated: false\n      operationId: speak\n"
    found = only(
        compare_inputs(write("a/x.yaml", text), write("b/x.yaml", "# moved\n" + text.replace("false", "true")))
    )
    assert (found.old_position.line, found.new_position.line) == (5, 6)
    assert found.formatted_positions == f"{found.old_position.file}:5 -> {found.new_position.file}:6"
    assert msgspec.structs.replace(found, new_position=None).formatted_positions == f"{found.old_position.file}:5"
    assert msgspec.structs.replace(found, old_position=None).formatted_positions == f"{found.new_position.file}:6"


def test_a_change_of_a_shared_component_is_reported_once_with_all_operations(drift: Drift) -> None:
    older = with_schemas(ref("Voice"), Voice=CAT)
    older["paths"]["/again"] = {"post": {**older["paths"]["/speak"]["post"], "operationId": "again"}}
    newer = edited(older, put("/components/schemas/Voice/properties/claw/maxLength", 5))
    found = only(drift(older, newer))
    assert (found.operation, found.other_operations) == ("speak", ("again",))
    assert found.qualified_location == "speak and 1 more: request body/claw"


def test_recursive_schemas_are_compared(drift: Drift) -> None:
    node = {"type": "object", "properties": {"next": {"anyOf": [ref("Node"), {"type": "null"}]}, "name": TEXT}}
    older = with_schemas(ref("Node"), Node=node)
    newer = edited(older, put("/components/schemas/Node/properties/name/maxLength", 5))
    assert only(drift(older, newer)).rule == "request-property-max-length-set"
    tangled = with_schemas({"oneOf": [ref("A"), ref("B")]}, A={"oneOf": [ref("B"), CAT]}, B={"anyOf": [ref("A"), CAT]})
    assert drift(tangled, tangled).changes == ()


def test_a_long_chain_of_references_is_followed_to_its_end(drift: Drift) -> None:
    chain = {f"S{i}": {"type": "object", "properties": {"p": ref(f"S{i + 1}")}} for i in range(1200)}
    older = with_schemas(ref("S0"), **chain, S1200=TEXT)
    newer = edited(older, put("/components/schemas/S1200/maxLength", 5))
    assert only(drift(older, newer)).rule == "request-property-max-length-set"


@pytest.mark.parametrize(
    "schemas",
    [
        {f"S{i}": {"anyOf": [ref(f"S{i + 1}"), ref(f"S{i + 1}")]} for i in range(40)} | {"S40": TEXT},
        {f"S{i}": {"allOf": [ref(f"S{i + 1}"), ref(f"S{i + 1}")]} for i in range(40)} | {"S40": TEXT},
        {f"S{i}": {"not": {"oneOf": [ref(f"S{i + 1}"), ref(f"S{i + 1}"), CAT]}} for i in range(40)} | {"S40": TEXT},
        {f"S{i}": {"anyOf": [ref(f"S{j}") for j in range(12)]} for i in range(12)} | {"S40": TEXT},
        {f"S{i}": {"allOf": [ref(f"S{i + 1}")]} for i in range(1200)} | {"S1200": TEXT},
        pytest.param(
            {f"S{i}": {"anyOf": [ref(f"S{i + 1}"), CAT]} for i in range(1200)} | {"S1200": TEXT}, marks=pytest.mark.slow
        ),
    ],
    ids=["anyOf", "allOf", "not", "all to all", "chain of allOf", "chain of anyOf"],
)
def test_a_schema_with_exponentially_many_paths_is_compared_in_time(drift: Drift, schemas: dict[str, Any]) -> None:
    older = with_schemas({"type": "object", "not": ref("S0"), "properties": {"p": ref("S0")}}, **schemas)
    assert drift(older, older).changes == ()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("swagger: '1.2'\n", "must be an OpenAPI 3 document"),
        ("swagger: '2.0'\ninfo: {title: a, version: '1'}\npaths: []\n", "3: is not valid Swagger 2.0"),
        ("interactions: []\n", "voicegauge convert"),
        ("openapi: 2.0\n", "must be an OpenAPI 3 document"),
        ("openapi: 3.1.0\npaths: []\n", "must be a mapping from paths"),
        ("openapi: 3.1.0\npaths: {/a: {get: {requestBody: {$ref: '#/nowhere'}}}}\n", "leads nowhere"),
        ("openapi: 3.1.0\npaths: {/a: {get: {requestBody: {$ref: 'other.yaml'}}}}\n", "other.yaml: cannot be read"),
        (
            """{openapi: 3.1.0, paths: {/a: {get: {requestBody: {$ref: '#/components/x/a'}}}},
                components: {x: {a: {$ref: '#/components/x/b'}, b: {$ref: '#/components/x/a'}}}}""",
            "circle",
        ),
        (
            """{openapi: 3.1.0, paths: {/a: {get: {responses: {"200": {content: {application/json: {schema:
                {properties: {x: {$ref: '#/components/schemas/A'}}}}}}}}}},
                components: {schemas: {A: {allOf: [{$ref: '#/components/schemas/A'}]}}}}""",
            "leads back to itself without an end",
        ),
        ("- a list\n", "must be a mapping"),
        ("openapi: 3.1.0\n", "describes no API"),
        ("openapi: 3.1.0\npaths: {/a: 5}\n", "/paths/~1a must be a mapping, not a number"),
        ("openapi: 3.1.0\npaths: {/a: {post: 5}}\n", "/paths/~1a/post must be a mapping, not a number"),
        ("openapi: 3.1.0\npaths: {/a: {get: {parameters: {a: {}}}}}\n", "must be a list, not a mapping"),
        ("openapi: 3.1.0\npaths: {/a: {get: {responses: {200: {content: text}}}}}\n", "not a text"),
    ],
)
def test_an_invalid_document_is_rejected_with_the_line(write: Write, text: str, reason: str) -> None:
    path = write("bad.yaml", text)
    with pytest.raises(ContractError, match=reason) as caught:
        compare_inputs(path, path)
    assert caught.value.line


def test_an_invalid_extension_is_rejected(drift: Drift) -> None:
    wrong = edited(extension_base.BASE, put("/x-provider/retry_policy/attempts", "many"))
    with pytest.raises(ContractError, match=r"x-provider.*attempts"):
        drift(extension_base.BASE, wrong)


def test_extensions_of_other_tools_are_ignored(drift: Drift) -> None:
    older = operation_edits.BASE
    newer = edited(older, put("/paths/~1speak/post/x-pricing", "as you like"), put("/x-limits", {"a": 1}))
    assert drift(older, newer).changes == ()


def test_an_input_that_is_neither_contract_nor_recording_is_rejected(write: Write, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file or folder"):
        compare_inputs("nobody", "pixazo")
    write("several/a.yaml", "openapi: 3.1.0\n")
    write("several/b.yaml", "openapi: 3.1.0\n")
    with pytest.raises(UsageError, match="several contracts"):
        compare_inputs(str(tmp_path / "several"), "pixazo")


def test_a_folder_with_one_contract_and_a_provider_id_are_accepted(write: Write) -> None:
    write("acme/openapi.yaml", "openapi: 3.1.0\npaths: {}\n")
    folder = Path(write("acme/openapi.yaml", "openapi: 3.1.0\npaths: {}\n")).parent
    report = compare_inputs(str(folder), "pixelapi")
    assert reported_rules(report).count("endpoint-added") == len(load_catalogue().find_provider("pixelapi").operations)
    assert report.new_input.file.endswith("contracts/pixelapi/openapi.yaml")


OWN = """
openapi: 3.1.0
info: {title: Own, version: "1"}
servers: [{url: "https://api.pixelapi.dev"}]
x-provider: {id: pixelapi, title: Own, key_variable: PIXELAPI_KEY, sources: {}}
paths: {}
"""


def test_a_contract_of_the_user_takes_precedence_over_the_bundled_one(write: Write, tmp_path: Path) -> None:
    file = write("own/any-name.yaml", OWN)
    report = compare_inputs("pixelapi", "pixelapi", [tmp_path / "own"])
    assert (report.old_input.file, report.new_input.file, report.changes) == (file, file, ())


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "#/paths", "object", "null"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["type", "a", "$ref", "anyOf"]), inner),
    max_leaves=5,
)


def places(node: Any, pointer: str = "") -> list[str]:
    """Every pointer below `node`."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    found = []
    for key, item in items:
        below = f"{pointer}/{str(key).replace('/', '~1')}"
        found += [below, *places(item, below)]
    return found


MIXED = {**operation_edits.BASE, "paths": {**operation_edits.BASE["paths"], **document("request-body", CAT)["paths"]}}


@pytest.mark.slow
@settings(max_examples=50, deadline=None)
@given(base=st.sampled_from([MIXED, extension_base.BASE]), data=st.data())
def test_an_invalid_document_raises_only_documented_errors(
    drift: Drift, base: dict[str, Any], data: st.DataObject
) -> None:
    pointer = data.draw(st.sampled_from(places(base)))
    broken = edited(base, put(pointer, data.draw(JUNK | st.just(REMOVED))))
    for old, new in ((base, broken), (broken, base), (broken, broken)):
        with contextlib.suppress(VoicegaugeError):
            report = drift(old, new)
            assert old is not new or not report.changes


def test_a_type_that_is_no_list_of_names_is_no_list_of_values(drift: Drift) -> None:
    plain, broken = (document("request-parameter", {"type": types}) for types in ("string", [[]]))
    assert [change.level for change in drift(plain, broken).changes] == ["breaking"]


def test_a_huge_integer_in_an_enum_is_compared(drift: Drift) -> None:
    huge = 10**400  # larger than a floating-point number
    rules = reported_rules(
        drift(document("request-body", {"enum": [1, huge]}), document("request-body", {"enum": [1]}))
    )
    assert rules == ["request-body-enum-value-removed"]


def test_a_flag_for_an_exclusive_bound_needs_a_number_beside_it(drift: Drift) -> None:
    older, newer = (
        document("request-body", {"type": "number", "minimum": bound, "exclusiveMinimum": True})
        for bound in (0.5, {"$ref": "query."})
    )
    assert [change.rule for change in drift(older, newer).changes] == ["request-body-exclusive-min-unset"]


def test_repeated_branches_are_matched_one_to_one(drift: Drift) -> None:
    older = document("response-body", {"oneOf": [CAT, CAT, TEXT]})
    newer = document("response-body", {"oneOf": [TEXT, CAT, CAT, CAT]})
    assert drift(older, older).changes == ()
    assert only(drift(older, newer)).rule == "response-body-one-of-added"
