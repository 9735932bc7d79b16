"""Values are built from schemas."""

from __future__ import annotations

from pathlib import Path

import pytest

from voicegauge.contract.schemas import Schemas
from voicegauge.emulator._schema_values import SchemaValueBuilder
from voicegauge.formats.located_yaml import read_document


@pytest.mark.parametrize("word", ["example", "default", "const"])
def test_generated_values_are_copies_of_the_schema(tmp_path: Path, word: str) -> None:
    path = tmp_path / "openapi.yaml"
    path.write_text(f"output: {{type: object, {word}: {{urls: []}}}}")
    document = read_document(path)
    shaper = SchemaValueBuilder(Schemas(document))
    for _ in range(2):
        made = shaper.build_minimal_value(document.data["output"], "/output")
        assert made == {"urls": []}
        made["urls"].append("https://cdn.example/of-this-job.wav")
