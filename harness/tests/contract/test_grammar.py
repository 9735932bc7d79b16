"""The published JSON Schema of the x- keys accepts and rejects the same documents as the loader."""

from __future__ import annotations

import jsonschema_rs
import pytest
import yaml

from voicegauge.contract.document_parts import build_json_schema


@pytest.fixture(scope="module")
def grammar() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(build_json_schema())


def test_the_documented_example_fits(acme, grammar) -> None:
    assert list(grammar.iter_errors(yaml.safe_load(acme))) == []


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("  key_variable: ACME", "  keyvariable: ACME"),
        ("default_voice: anna\n", "voyce: anna\n"),
        ("voice: body#", "accent: body#"),
        ("{terminal_outcome: success,", "{terminal_outcome: well,"),
        ("{unit: 1k_characters,", "{unit: word,"),
        ("usd_per_unit: 0.02", "usd_per_unit: -1"),
        ("delivery_method: url}", "delivery_method: pigeon}"),
        ("x-source: {document_name: acme.md}\n      x-speech", "x-source: {file: acme.md}\n      x-speech"),
        ("x-provider:", "x-vendor:"),
    ],
)
def test_documents_that_the_loader_rejects_do_not_fit(acme, grammar, change, to) -> None:
    assert change in acme
    assert not grammar.is_valid(yaml.safe_load(acme.replace(change, to, 1)))
