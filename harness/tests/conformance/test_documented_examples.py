"""Documented examples are judged like traffic, except for headers."""

from __future__ import annotations

import pytest

from voicegauge.conformance.offline_subjects import judge_documented_examples
from voicegauge.contract.loading import load_contract

WEBHOOK = """
webhooks:
  done:
    post:
      operationId: done
      requestBody:
        content:
          application/json:
            schema: {type: object, required: [status], properties: {status: {enum: [ok, bad]}}}
            examples: {printed: {value: {status: STATUS}}}
      responses: {"200": {description: Received}}
"""


@pytest.fixture
def findings(acme_contracts):
    def of(change=lambda text: text, *, inferred: bool = False):
        path = acme_contracts() / "acme" / "openapi.yaml"
        path.write_text(change(path.read_text()))
        found = judge_documented_examples(load_contract(path), include_inferred_examples=inferred)
        return [finding for _, findings in found for finding in findings]

    return of


def _with_error_example(value: str, more: str = ""):
    schema = 'schema: {$ref: "#/components/schemas/Error"}'
    return lambda text: text.replace(schema, f"{schema}, examples: {{printed: {{value: {value}{more}}}}}", 1)


def test_a_documented_response_that_breaks_its_schema_is_found(findings) -> None:
    (finding,) = findings(_with_error_example("{error: 5}"))
    assert (finding.rule, finding.provenance, finding.where.operation) == ("error-shape", "documented", "speak")
    assert finding.reproduction_command is None


def test_inferred_examples_are_judged_on_request(findings) -> None:
    change = _with_error_example("{error: 5}", ", x-source: {document_name: acme.txt, is_inferred: true}")
    assert findings(change) == []
    assert [finding.rule for finding in findings(inferred=True)] == []
    assert [finding.rule for finding in findings(change, inferred=True)] == ["error-shape"]


def test_a_documented_request_that_breaks_its_schema_is_found(findings) -> None:
    def change(text: str) -> str:
        head = "          application/json:\n            schema:"
        return text.replace(head, head.replace("schema:", "example: {text: ''}\n            schema:"))

    assert [finding.rule for finding in findings(change)] == ["request-schema"]


@pytest.mark.parametrize(("status", "rules"), [("ok", []), ("odd", ["callback-schema"])])
def test_a_documented_webhook_is_judged(findings, status, rules) -> None:
    found = findings(lambda text: text + WEBHOOK.replace("STATUS", status))
    assert [finding.rule for finding in found] == rules
