"""The benchmark of official documents counts the lines that a person completes, and checks the completed contract."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from first_checks import FirstCheck, OfficialDocument, check_document, load_documents

BODY = {
    "type": "object",
    "required": ["text", "voice"],
    "properties": {"text": {"type": "string", "maxLength": 300}, "voice": {"type": "string"}},
}
OPERATION = {
    "operationId": "speak",
    "security": [{"key": []}],
    "requestBody": {"required": True, "content": {"application/json": {"schema": BODY}}},
    "responses": {"200": {"description": "Speech", "content": {"audio/wav": {}}}, "401": {"description": "No key"}},
}
DOCUMENT = {
    "openapi": "3.1.0",
    "info": {"title": "Acme", "version": "1"},
    "servers": [{"url": "https://api.acme.test"}],
    "paths": {"/speech": {"post": OPERATION}},
    "components": {"securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
}


@pytest.mark.slow
def test_a_completed_proposal_has_no_finding(tmp_path: Path) -> None:
    file = tmp_path / "openapi.json"
    file.write_text(json.dumps(DOCUMENT))
    # TODO is the mark that `init` writes, which a person replaces.
    official = OfficialDocument(
        repository="acme/docs", path=file.name, completed={"default_voice: TODO": "default_voice: anna"}
    )
    check = check_document("acme", official, file)
    assert isinstance(check, FirstCheck)
    assert (check.completed_line_count, check.finding_count) == (1, 0)
    assert 1 <= check.marked_line_count < check.line_count
    assert check.request_count > 10


def test_twenty_documents_are_named_with_the_place_where_each_is_public() -> None:
    documents = load_documents()
    assert len(documents) == 20
    assert all(
        one.repository.count("/") == 1 and Path(one.path).suffix in (".yml", ".yaml", ".json")
        for one in documents.values()
    )
