"""References of a stranger's document read no file outside of its folder, download nothing, and end."""

from __future__ import annotations

import re
import time
from pathlib import Path

import msgspec
import pytest

from voicegauge.cli import run
from voicegauge.contract.document_assembly import read_openapi_document
from voicegauge.contract.loading import load_contract
from voicegauge.contract.schemas import MAX_REFERENCE_CHAIN_LENGTH, Schemas
from voicegauge.errors import ContractError
from voicegauge.formats.located_yaml import read_document

from ..builders.contracts import MINIMAL_CONTRACT

SECRET = "password-of-the-user"
SCHEMA = "schema: {type: object}"


def write_contract(tmp_path: Path, schema: str, more: str = "") -> Path:
    """Write a contract whose request body has the schema `schema`, in a folder beside a file with a secret."""
    (tmp_path / "secret.yaml").write_text(f"S: {{enum: [{SECRET}]}}\n")
    folder = tmp_path / "contract"
    folder.mkdir()
    path = folder / "openapi.yaml"
    path.write_text(MINIMAL_CONTRACT.replace(SCHEMA, f"schema: {schema}") + more)
    return path


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("../secret.yaml#/S", "leads out of the folder of the document"),
        ("../../../../../../../../../../etc/passwd", "leads out of the folder of the document"),
        ("parts/../../secret.yaml#/S", "leads out of the folder of the document"),
        ("%2e%2e/secret.yaml#/S", "leads out of the folder of the document"),
        ("/etc/passwd", "leads out of the folder of the document"),
        ("link.yaml#/S", "leads out of the folder of the document"),
        ("linked/secret.yaml#/S", "leads out of the folder of the document"),
        ("loop.yaml#/S", "loop.yaml"),
        ("file:///etc/passwd", "is a URL"),
        ("file:/etc/passwd", "is a URL"),
        ("FILE:/etc/passwd", "is a URL"),
    ],
)
@pytest.mark.parametrize("command", ["check", "drift"])
def test_a_reference_out_of_the_folder_is_rejected_in_one_line(tmp_path, capsys, reference, reason, command) -> None:
    path = write_contract(tmp_path, f"{{$ref: '{reference}'}}")
    (path.parent / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (path.parent / "linked").symlink_to(tmp_path, target_is_directory=True)
    (path.parent / "loop.yaml").symlink_to("loop.yaml")
    arguments = ["check", "acme", "--contracts", str(path)] if command == "check" else ["drift", str(path), str(path)]
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert reason in err
    assert SECRET not in err
    assert "root:" not in err


def test_a_file_in_the_folder_is_read_also_through_a_link_to_the_folder(tmp_path) -> None:
    path = write_contract(tmp_path, "{$ref: 'parts/schema.yaml#/S'}")
    (path.parent / "parts").mkdir()
    (path.parent / "parts" / "schema.yaml").write_text("S: {$ref: '../other.yaml#/S'}\n")
    (path.parent / "other.yaml").write_text("S: {type: object, maxProperties: 3}\n")
    (tmp_path / "link").symlink_to(path.parent, target_is_directory=True)
    (operation,) = load_contract(tmp_path / "link" / "openapi.yaml").operations.values()
    assert operation.request_media["application/json"].schema["maxProperties"] == 3


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$schema"])
def test_the_validators_of_schemas_read_no_file(tmp_path, keyword) -> None:
    """References in what counts as plain data are not checked, but a schema may lead there."""
    file = tmp_path / "schema.json"
    file.write_bytes(msgspec.json.encode({"const": SECRET}))
    hidden = f"{{properties: {{text: {{{keyword}: 'file://{file}'}}}}}}"
    path = write_contract(
        tmp_path, "{$ref: '#/components/schemas/A/default'}", f"components: {{schemas: {{A: {{default: {hidden}}}}}}}\n"
    )
    shown = ""
    try:
        (operation,) = load_contract(path).operations.values()
        shown = str(list(operation.request_media["application/json"].iterate_violations({"text": "x"})))
    except ContractError as error:
        shown = str(error)
    assert SECRET not in shown


@pytest.mark.parametrize("url", ["file:///etc/hostname", "http://127.0.0.1:9/a", "ftp://127.0.0.1:9/a"])
def test_the_validator_of_openapi_opens_no_url(tmp_path, url, monkeypatch) -> None:
    monkeypatch.setattr("urllib.request.OpenerDirector.open", lambda *_arguments: pytest.fail("a URL was opened"))
    path = write_contract(tmp_path, "{type: object}", f"x-other: {{get: {{parameters: [{{$ref: '{url}'}}]}}}}\n")
    path.write_text(path.read_text().replace("paths:\n", "paths:\n  /other: {$ref: '#/x-other'}\n"))
    with pytest.raises(ContractError):
        load_contract(path)


def _write_chain(tmp_path: Path, link_count: int) -> Path:
    links = {f"L{i}": {"$ref": f"#/components/schemas/L{i + 1}"} for i in range(link_count)}
    schemas = {**links, f"L{link_count}": {"type": "object"}}
    components = f"components: {msgspec.json.encode({'schemas': schemas}).decode()}\n"
    return write_contract(tmp_path, "{$ref: '#/components/schemas/L0'}", components)


def test_a_chain_of_references_may_have_a_hundred_links_and_no_more(tmp_path) -> None:
    for name, count in (("short", MAX_REFERENCE_CHAIN_LENGTH - 1), ("long", 2_000)):
        (tmp_path / name).mkdir()
        path = _write_chain(tmp_path / name, count)
        if name == "short":
            load_contract(path)
            continue
        with pytest.raises(ContractError, match="through a chain of more than 100 references"):
            load_contract(path)


def _measure_loading_cpu_s(tmp_path: Path, operation_count: int) -> float:
    operations = {
        f"/other/{i}": {"get": {"operationId": f"other{i}", "responses": {"200": {"$ref": "#/components/responses/R"}}}}
        for i in range(operation_count)
    }
    (tmp_path / str(operation_count)).mkdir()
    path = write_contract(
        tmp_path / str(operation_count), "{type: object}", "components: {responses: {R: {description: R}}}\n"
    )
    document = read_document(path).data
    document["paths"] |= operations
    path.write_bytes(msgspec.json.encode(document))
    before = time.process_time()
    assert len(load_contract(path).operations) == operation_count + 1
    return time.process_time() - before


def test_loading_takes_linear_time(tmp_path) -> None:
    """Eight times the operations take about eight times the time of the processor; a quadratic loop would take 64."""
    _measure_loading_cpu_s(tmp_path, 10)  # imports the validator
    few, many = (_measure_loading_cpu_s(tmp_path, count) for count in (100, 800))
    assert many < 32 * few


def _measure_overlay_cpu_s(tmp_path: Path, operation_count: int) -> float:
    operations = {
        f"/other/{i}": {"get": {"operationId": f"other{i}", "responses": {"200": {"description": "R"}}}}
        for i in range(operation_count)
    }
    folder = tmp_path / f"overlay {operation_count}"
    folder.mkdir()
    path = write_contract(folder, "{type: object}")
    document = read_document(path).data
    document["paths"] |= operations
    path.write_bytes(msgspec.json.encode(document))
    overlay = {
        "overlay": "1.1.0",
        "info": {"title": "Acme", "version": "1"},
        "extends": path.name,
        "actions": [{"target": "$.paths.*.get", "update": {"x-limits": {}}}],
    }
    path.with_name("overlay.yaml").write_bytes(msgspec.json.encode(overlay))
    before = time.process_time()
    selected = read_openapi_document(path.with_name("overlay.yaml"))
    spent_s = time.process_time() - before
    assert len(selected.data["paths"]) == operation_count + 1
    return spent_s


def test_selecting_the_operations_that_an_overlay_describes_takes_linear_time(tmp_path) -> None:
    _measure_overlay_cpu_s(tmp_path, 10)
    few, many = (_measure_overlay_cpu_s(tmp_path, count) for count in (250, 2_000))
    assert many < 24 * few


DOUBLING = {
    "combines": lambda link: {"anyOf": [link, {"allOf": [link]}]},
    "combines items": lambda link: {"oneOf": [link, {"type": "array", "items": link}]},
    "combines properties": lambda link: {"anyOf": [{"properties": {"a": link}}, {"patternProperties": {"^a": link}}]},
    "requires": lambda link: {"required": ["a", "b"], "properties": {"a": link, "b": {"$ref": link["$ref"]}}},
    "requires items": lambda link: {"type": "array", "minItems": 2, "items": link},
}


@pytest.mark.parametrize("kind", DOUBLING)
def test_schemas_that_double_with_each_step_are_rejected(tmp_path, kind) -> None:
    """Forty steps would make a million millions of schemas, or values in one request."""
    for name, steps in (("few", 10), ("many", 40)):
        links = {f"L{i}": DOUBLING[kind]({"$ref": f"#/components/schemas/L{i + 1}"}) for i in range(steps)}
        schemas = msgspec.json.encode({"schemas": {**links, f"L{steps}": {"type": "string"}}}).decode()
        (tmp_path / name).mkdir()
        path = write_contract(
            tmp_path / name,
            "{required: [text], properties: {text: {type: string}, x: {$ref: '#/components/schemas/L0'}}}",
            f"components: {schemas}\n",
        )
        if name == "few":
            load_contract(path)
            continue
        with pytest.raises(ContractError, match=rf"openapi.yaml:\d+: .*the schema {kind.split()[0]} more than 10,000"):
            load_contract(path)


def test_schemas_that_contain_themselves_more_than_once_are_accepted(tmp_path) -> None:
    """As the operators of expressions do, whose values are not deep."""
    operand = {"$ref": "#/components/schemas/Expression"}
    operators = [{"properties": {"kind": {"const": f"{i}"}, "left": operand, "right": operand}} for i in range(40)]
    components = msgspec.json.encode({"schemas": {"Expression": {"oneOf": operators}}}).decode()
    schema = "{required: [text], properties: {text: {type: string}, x: {$ref: '#/components/schemas/Expression'}}}"
    load_contract(write_contract(tmp_path, schema, f"components: {components}\n"))


_NODE = {"$ref": "#/components/schemas/Node"}
_TWICE = [{"properties": {"x": _NODE}}, {"properties": {"x": _NODE}}]


@pytest.mark.parametrize(
    "node",
    [
        pytest.param({"anyOf": _TWICE}, marks=pytest.mark.slow),
        pytest.param({"allOf": _TWICE}, marks=pytest.mark.slow),
        pytest.param({"properties": {"x": {"oneOf": [_NODE, {**_NODE, "title": "another"}]}}}, marks=pytest.mark.slow),
        {"properties": {"x": _NODE}, "patternProperties": {"^x": _NODE}},
    ],
)
def test_a_deep_value_has_no_endless_number_of_errors(tmp_path, node) -> None:
    """Each level would double the errors that the validator finds before it can be interrupted."""
    components = msgspec.json.encode({"schemas": {"Node": {"type": "object", **node}}}).decode()
    schemas = Schemas(read_document(write_contract(tmp_path, "{type: object}", f"components: {components}\n")))
    value: object = 5
    for depth in range(1, 60):
        value = {"x": value}
        if depth not in {1, 2, 3, 12, 13, 14, 59}:
            continue
        (*_, last) = schemas.iterate_violations(_NODE["$ref"][1:], value)
        assert ("a schema that contains itself" in last.message) is (2**depth > 10_000 and depth > 2)


def test_a_schema_that_contains_itself_once_at_each_place_names_the_error_in_a_deep_value(tmp_path) -> None:
    node = {"type": "object", "properties": {"x": _NODE, "y": _NODE}, "additionalProperties": _NODE}
    components = msgspec.json.encode({"schemas": {"Node": node}}).decode()
    schemas = Schemas(read_document(write_contract(tmp_path, "{type: object}", f"components: {components}\n")))
    value: object = 5
    for name in ("x", "y", "z") * 20:
        value = {name: value}
    (violation,) = schemas.iterate_violations(_NODE["$ref"][1:], value)
    assert violation.value_pointer == "/z/y/x" * 20


@pytest.mark.parametrize("pattern", ["^(a+)+$(?=x)", "^((((a{1,100}){1,100}){1,100}){1,100}){1,100}$", "("])
def test_a_pattern_that_the_engine_refuses_is_quoted(tmp_path, pattern) -> None:
    schema = msgspec.json.encode({"type": "object", "properties": {"text": {"type": "string", "pattern": pattern}}})
    with pytest.raises(ContractError) as caught:
        load_contract(write_contract(tmp_path, schema.decode()))
    message = str(caught.value)
    assert re.search(r"openapi.yaml:\d+: the pattern ", message)
    assert f'"{pattern}" cannot be used: it is not a regular expression, is too large, or needs backtracking' in message


def _measure_ring_cpu_s(tmp_path: Path, schema_count: int) -> float:
    """Each schema reaches all others."""
    schemas = {
        f"L{i}": {"properties": {"next": {"$ref": f"#/components/schemas/L{(i + 1) % schema_count}"}}}
        for i in range(schema_count)
    }
    (tmp_path / str(schema_count)).mkdir()
    components = f"components: {msgspec.json.encode({'schemas': schemas}).decode()}\n"
    path = write_contract(tmp_path / str(schema_count), "{type: object}", components)
    before = time.process_time()
    load_contract(path)
    return time.process_time() - before


def test_schemas_that_all_refer_to_each_other_take_linear_time(tmp_path) -> None:
    _measure_ring_cpu_s(tmp_path, 10)  # imports the validator
    few, many = (_measure_ring_cpu_s(tmp_path, count) for count in (200, 1_600))
    assert many < 32 * few
