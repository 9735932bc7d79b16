"""Every document in this folder is valid OpenAPI, fits the grammar, and its examples fit its schemas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from voicegauge.contract._consistency import check_schemas
from voicegauge.contract.contract import Contract
from voicegauge.contract.document_parts import EXTENSION_KEYS, Example, MediaType, build_json_schema, walk_objects
from voicegauge.contract.loading import load_catalogue
from voicegauge.contract.schemas import format_json_pointer
from voicegauge.rules.registry import RULE_BY_ID

CONTRACTS = {contract.document.path.parent.name: contract for contract in load_catalogue()}
REJECTION_KEYS = {"x-rejection-reason", "x-rejection-locations", "x-rejection-keywords"}
OUR_KEYS = EXTENSION_KEYS | REJECTION_KEYS | {"x-advice", "x-has-slashes", "x-key", "x-name", "x-request"}


@pytest.fixture(params=sorted(CONTRACTS))
def contract(request: pytest.FixtureRequest) -> Contract:
    return CONTRACTS[request.param]


def test_is_valid_openapi(contract) -> None:
    assert [str(error) for error in OpenAPIV31SpecValidator(contract.document.data).iter_errors()] == []


def test_every_schema_can_be_used(contract) -> None:
    check_schemas(contract.schemas, contract.document)


def test_fits_the_published_grammar(contract) -> None:
    import jsonschema_rs

    grammar = jsonschema_rs.Draft202012Validator(build_json_schema())
    errors = grammar.iter_errors(contract.document.data)
    assert [f"{format_json_pointer(list(error.instance_path))}: {error.message}" for error in errors] == []


def test_every_x_key_is_known(contract) -> None:
    unknown = {
        f"{pointer}/{key}"
        for pointer, node in walk_objects(contract.document.data)
        for key in node
        if key.startswith("x-") and key not in OUR_KEYS
    }
    assert unknown == set()


def test_no_description_is_cut_off_at_a_comma(contract) -> None:
    # Within braces, what follows a comma without quotes is a key without a value.
    cut_off = [
        f"{pointer}/{key}"
        for pointer, node in walk_objects(contract.document.data)
        for key, value in node.items()
        if value is None and " " in key
    ]
    assert cut_off == []


def test_the_folder_is_named_after_the_provider(contract) -> None:
    assert contract.document.path.parent.name == contract.id


def bodies(contract: Contract) -> Iterator[MediaType]:
    for operation in contract.operations.values():
        yield from operation.request_media.values()
        for response in operation.responses.values():
            yield from response.media_types.values()


def callback_bodies(contract: Contract) -> Iterator[MediaType]:
    """Yield the bodies of callbacks, which no operation of the contract has."""
    for pointer, node in walk_objects(contract.document.data):
        if "/callbacks/" in pointer and "requestBody" in node:
            body, at = contract.schemas.resolve_reference(node["requestBody"], f"{pointer}/requestBody")
            for name, data in body["content"].items():
                yield MediaType(contract.schemas, f"{at}/content/{name.replace('/', '~1')}", data, name)


def misfits(contract: Contract, media: MediaType, example: Example) -> Iterator[str]:
    """Yield violations of the schema by an example that no recorded dispute covers."""
    for error in media.iterate_violations(example.value):
        disputes = [
            dispute
            for dispute, at in contract.iterate_disputes(error.keyword_pointer)
            if {"response-schema", "error-shape", "request-schema"} & set(dispute.rule_ids)
            and (
                dispute.body_schema is None
                or contract.schemas.is_valid(schema_of(contract, at, dispute.claim), example.value)
            )
        ]
        if not disputes:
            yield f"{example.pointer}{error.value_pointer}: {error.message}"


def schema_of(contract: Contract, at: str, claim: str) -> str:
    return next(
        f"{pointer}/body_schema"
        for pointer, node in walk_objects(contract.document.data)
        if pointer.startswith(f"{at}/x-source/disputes/") and node.get("claim") == claim
    )


def test_every_example_fits_its_schema(contract) -> None:
    media = [*bodies(contract), *callback_bodies(contract)]
    assert [text for m in media for example in m.examples for text in misfits(contract, m, example)] == []


def test_parameter_examples_fit(contract) -> None:
    for operation in contract.operations.values():
        for parameter in operation.parameters:
            if "example" in parameter.part_data:
                assert parameter.parse_text(str(parameter.part_data["example"])).violations == ()


def test_every_error_and_every_state_has_an_example(contract) -> None:
    """The emulator responds with them."""
    missing: list[str] = []
    for operation in contract.operations.values():
        for status, response in operation.responses.items():
            examples = [example for media in response.media_types.values() for example in media.examples]
            if (
                not status.startswith("2")
                and response.media_types
                and not any(example.rejection_reason for example in examples)
            ):
                missing.append(f"{operation.id} {status}: no example with x-rejection-reason")
        if operation.job is not None:
            read_state = operation.job.read_state
            shown = {
                read_state(lambda location, body=example.value: location.read_body(body))
                for example in examples_of(operation)
            }
            missing += [
                f"{operation.id}: no example of {state}" for state in operation.job.states if state not in shown
            ]
    assert missing == []


def examples_of(operation: Any) -> Iterator[Example]:
    for media in operation.success_response.media_types.values():
        yield from media.examples


def test_every_submit_links_to_its_status(contract) -> None:
    for target in contract.targets.values():
        if target.job_operation is not None:
            linked = [link.get("operationId") for link in target.operation.success_response.links.values()]
            assert target.job_operation.id in linked, target.id


def test_every_fact_has_a_source(contract) -> None:
    """Operations, named schemas and prices have an `x-source`."""
    without = [operation.id for operation in contract.operations.values() if "x-source" not in operation.part_data]
    schemas = contract.document.data.get("components", {}).get("schemas", {})
    without += [name for name, schema in schemas.items() if "x-source" not in schema]
    without += [t.id for t in contract.targets.values() if t.pricing is not None and t.pricing.source is None]
    assert without == []


def test_sources_are_all_used(contract) -> None:
    named = {node.get("document_name") for _, node in walk_objects(contract.document.data)}
    compared = {name for name, source in contract.provider.sources.items() if source.explained_differences}
    assert set(contract.provider.sources) <= named | compared


def test_disputes_name_existing_rules(contract) -> None:
    named = {
        rule
        for pointer, node in walk_objects(contract.document.data)
        for rule in (node.get("rules", ()) if "/disputed/" in pointer else ())
    }
    assert named <= set(RULE_BY_ID)
