"""The table of contracts, documents and clients counts what tests called, and what a contract does not explain."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from surface import list_surfaces, read_called_operations
from surface.__main__ import describe_clients, describe_contract

from voicegauge.errors import UsageError

RESULTS = """
<testsuites><testsuite>
  <testcase><properties><property name="murf by Python" value="generate listVoices"/></properties></testcase>
  <testcase><properties><property name="murf by Python" value="stream gone"/></properties></testcase>
  <testcase>
    <properties><property name="murf by Node" value="generate"/></properties><failure message="no"/>
  </testcase>
</testsuite></testsuites>
"""


def test_a_row_has_what_clients_called_and_what_has_no_reason(tmp_path: Path) -> None:
    body = {"content": {"application/json": {"schema": {"type": "object", "properties": {"text": {"type": "string"}}}}}}
    spoken = {"requestBody": body, "responses": {"200": {"description": "Speech", "content": {"audio/wav": {}}}}}
    document = {
        "openapi": "3.1.0",
        "info": {"title": "Murf", "version": "1"},
        "paths": {"/v1/speech/sing": {"post": spoken}, "/v1/speech/generate": {"post": spoken}},
    }
    (tmp_path / "murf.json").write_text(json.dumps(document))
    results = tmp_path / "tests.xml"
    results.write_text(RESULTS)
    rows = {row.contract.id: row for row in list_surfaces(tmp_path, [results])}
    murf = rows["murf"]
    assert describe_clients(murf) == "3 of 4 Python"
    assert describe_contract(murf) == "1 + 3 of others"
    assert murf.documented_operation_count == 2
    assert murf.comparison is not None
    assert murf.comparison.undescribed_operations == ("POST /v1/speech/sing",)
    assert murf.unexplained_count > 1
    assert rows["lmnt"].comparison is None
    assert "not in the folder" in rows["openai"].missing_reason


def test_results_that_are_not_xml_are_refused(tmp_path: Path) -> None:
    (tmp_path / "tests.xml").write_text("{}")
    with pytest.raises(UsageError, match="not a result of pytest in JUnit XML"):
        read_called_operations([tmp_path / "tests.xml"])
