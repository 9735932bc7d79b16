"""Schemas of a contract: references, violations with their locations, form fields."""

from __future__ import annotations

import contextlib
import resource
from collections import Counter
from pathlib import Path

import pytest

from voicegauge.contract.document_parts import Parameter
from voicegauge.contract.schemas import SchemaViolation, allows_location, parse_text_value

EXTRA = """    Words:
      x-source: {document_name: acme.md}
      type: object
      properties:
        speed: {type: number}
        count: {type: integer}
        loud: {type: boolean}
        none: {type: [integer, "null"]}
        either: {anyOf: [{type: boolean}, {type: integer}]}
        text: {type: string}
        a/b: {$ref: "#/components/schemas/Job/properties/id", maxLength: 3}
        inner: {allOf: [{type: object, properties: {deep: {type: array, items: {properties: {x: {}}}}}}]}
        open: {type: object}
        list: {type: array, items: {type: integer}}
        labels: {oneOf: [{type: string}, {type: array, items: {type: string}}]}
        lists: {oneOf: [{type: array, items: {type: string}}, {type: integer}]}
        numbers: {schema: {type: [array, "null"], items: {type: integer}}}
  responses:
"""


@pytest.fixture
def words(acme, load):
    """A contract with a schema of form fields."""
    contract = load(acme.replace("  responses:\n    Error:", f"{EXTRA}    Error:"))
    return contract, contract.document.data["components"]["schemas"]["Words"]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("speed", "1.5", 1.5),
        ("speed", "2", 2),
        ("speed", "1e400", "1e400"),
        ("speed", "nan", "nan"),
        ("count", "12", 12),
        ("count", "1.5", "1.5"),
        ("count", "9" * 5000, "9" * 5000),
        ("loud", "TRUE", True),
        ("loud", "yes", "yes"),
        ("none", "", None),
        ("either", "7", 7),
        ("either", "false", False),
        ("text", "12", "12"),
        ("list", "[1,2]", [1, 2]),
        ("list", "7", [7]),
        ("labels", "Good morning", "Good morning"),
        ("labels", '["a"]', ["a"]),
        ("lists", "a", ["a"]),
        ("lists", "7", 7),
        ("list", "[" * 5000, ["[" * 5000]),
        ("open", '{"a": 1}', {"a": 1}),
        ("open", "[1]", "[1]"),
    ],
)
def test_a_form_field_is_parsed_as_the_type_of_its_schema(words, name, text, value) -> None:
    contract, schema = words
    assert parse_text_value(contract.schemas, schema["properties"][name], text) == value


@pytest.mark.parametrize(
    ("part", "serialization", "text", "value", "violations"),
    [
        ("query", {}, "3", [3], 0),  # repeated for each item
        ("query", {}, "3,4", ["3,4"], 1),
        ("query", {"explode": False}, "3,4", [3, 4], 0),
        ("header", {}, "3,four", [3, "four"], 1),
    ],
)
def test_a_list_in_a_parameter_is_parsed_item_by_item(words, part, serialization, text, value, violations) -> None:
    contract, schema = words
    node = {**serialization, **schema["properties"]["numbers"]}
    parameter = Parameter(
        contract.schemas, "/components/schemas/Words/properties/numbers", node, "numbers", part, False
    )
    parsed = parameter.parse_text(text)
    assert (parsed.value, len(parsed.violations)) == (value, violations)


def test_a_message_quotes_only_the_beginning_of_a_value(words) -> None:
    contract, _ = words
    [error] = contract.schemas.iterate_violations("/components/schemas/Words", {"speed": "a" * 20_000_000})
    assert error.message.startswith('"aaaa')
    assert len(error.message) < 11_000
    [short] = contract.schemas.iterate_violations("/components/schemas/Words", {"speed": ["fast", {"é": None}]})
    assert short.message == '["fast",{"é":null}] is not of type "number"'


def test_why_a_large_value_is_invalid_is_said_in_little_memory(acme, load) -> None:
    """Each violation has a copy of its value, and each branch of `anyOf` one more: these would take two gigabytes."""
    required = ", ".join(f"k{number}" for number in range(20))
    branches = ", ".join(f"{{required: [k{number}]}}" for number in range(20))
    source = "x-source: {document_name: acme.md}"
    extra = (
        f"    Large: {{{source}, required: [{required}], anyOf: [{branches}], properties: {{n: {{type: integer}}}}}}\n"
    )
    contract = load(acme.replace("  responses:\n    Error:", f"{extra}  responses:\n    Error:"))
    large = {"list": [f"{number:0150}" for number in range(100_000)], "text": "a" * 10_000_000, "n": "one"}
    with contextlib.suppress(
        OSError
    ):  # some kernels have no such file: the peak so far then hides a part of the growth
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = _read_peak_kib()
    violations = list(contract.schemas.iterate_violations("/components/schemas/Large", large))
    assert _read_peak_kib() - before < 100_000
    assert Counter(one.keyword for one in violations) == {"required": 20, "anyOf": 1}, "after the list nothing is read"
    small = [*contract.schemas.iterate_violations("/components/schemas/Large", {"n": "one"})]
    assert Counter(one.keyword for one in small) == {"required": 20, "anyOf": 1, "type": 1}


@pytest.mark.parametrize(
    ("schema", "value", "violated"),
    [
        ("{type: array, items: {type: integer}}", [*range(1000), "x"], {"/1000": "type"}),
        ("{type: array, items: {type: integer}}", [*range(50_000), "x"], {"": "L"}),
        ("{type: array, minItems: 40000}", [0] * 50_000, {}),
        ("{type: array, minItems: 60000}", [0] * 50_000, {"": "minItems"}),
        ("{type: array, maxItems: 49999}", [0] * 50_000, {"": "L"}),
        ("{properties: {a: {minLength: 400000}}}", {"a": "b" * 500_000, "c": 0}, {}),
        (
            "{properties: {a: {minLength: 400000}, c: false}}",
            {"a": "b" * 300_000, "c": 0},
            {"/a": "minLength", "/c": "not"},
        ),
        ("{properties: {a: {maxLength: 400000}}}", {"a": "b" * 500_000}, {"": "L"}),
        ("{properties: {a: {maxLength: 100000}}}", {"a": "b" * 500_000}, {"/a": "maxLength"}),
        ("{additionalProperties: false}", {"a" * 500_000: 0}, {"": "L"}),
        ("{required: [z]}", {**{str(number): "b" * 2000 for number in range(1000)}, "z": 0}, {}),
    ],
)
def test_only_true_violations_of_a_large_value_are_listed(acme, load, schema, value, violated) -> None:
    extra = f"    L: {{x-source: {{document_name: acme.md}}, allOf: [{schema}]}}\n"
    contract = load(acme.replace("  responses:\n    Error:", f"{extra}  responses:\n    Error:"))
    found = list(contract.schemas.iterate_violations("/components/schemas/L", value))
    assert {one.value_pointer: one.keyword for one in found} == violated


def _read_peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_violations_have_pointers(words) -> None:
    contract, _ = words
    at = "/components/schemas/Words"
    errors = list(contract.schemas.iterate_violations(at, {"speed": "fast", "a/b": "long"}))
    assert [(e.value_pointer, e.keyword_pointer, e.keyword) for e in errors] == [
        ("/speed", f"{at}/properties/speed/type", "type"),
        ("/a~1b", f"{at}/properties/a~1b/maxLength", "maxLength"),
    ]
    assert all(isinstance(error, SchemaViolation) and error.message for error in errors)
    assert contract.schemas.is_valid(at, {"speed": 1})


def test_keys_next_to_a_reference_override_it(words) -> None:
    contract, schema = words
    node, pointer = contract.schemas.resolve_reference(schema["properties"]["a/b"], "/here")
    assert node == {"type": "string", "maxLength": 3}
    assert pointer == "/components/schemas/Job/properties/id"


@pytest.mark.parametrize(
    ("pointer_tokens", "listed"),
    [
        (["speed"], True),
        (["velocity"], False),
        (["inner", "deep", "0", "x"], True),
        (["inner", "deep", "0", "y"], False),
        (["inner", "shallow"], False),
        (["open", "anything", "0"], True),
    ],
)
def test_a_location_is_documented_or_not(words, pointer_tokens, listed) -> None:
    contract, schema = words
    assert allows_location(contract.schemas, schema, pointer_tokens) is listed


def test_disputes_are_found_innermost_first(acme, load) -> None:
    source = "x-source: {document_name: acme.md, disputes: [{claim: %s, document_name: acme.md}]}"
    text = acme.replace("x-source: {document_name: acme.md}", source % "outer", 1)
    text = text.replace("description: Queued", f"description: Queued\n          {source % 'inner'}")
    contract = load(text)
    at = contract.find_operation("createSpeech").pointer
    found = [(dispute.claim, pointer) for dispute, pointer in contract.iterate_disputes(f"{at}/responses/202/content")]
    assert found == [("inner", f"{at}/responses/202"), ("outer", at)]
    assert not list(contract.iterate_disputes(contract.find_operation("getSpeech").pointer))


def test_advice_is_not_a_limit(acme, load) -> None:
    text = acme.replace("minLength: 1, maxLength: 1000", "x-advice: {maxLength: 5}")
    media = load(text).find_operation("createSpeech").request_media["application/json"]
    assert list(media.iterate_violations({"text": "much longer", "model": "swift-2"})) == []


def test_responses_are_found_by_code_class_and_default(acme, load) -> None:
    more = "4XX: {description: Refused}\n        default: {description: Other}\n        "
    operation = load(acme.replace('"429": {$ref', f'{more}"429": {{$ref')).find_operation("createSpeech")
    assert [operation.find_response(status).status for status in (202, 400, 418, 503)] == [
        "202",
        "400",
        "4XX",
        "default",
    ]
