"""Large documents, whose operations reach nearly all schemas, are compared in seconds."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from voicegauge import find_drift


def build_document(schema_count: int) -> dict[str, Any]:
    """A document like those of large APIs: as many operations as schemas, which refer to each other in circles."""
    numbers = random.Random(1)
    names = [f"s{i}" for i in range(schema_count)]

    def refer() -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{numbers.choice(names)}"}

    schemas = {}
    for name in names:
        properties = {f"text{i}": {"type": "string", "maxLength": 100} for i in range(6)}
        properties |= {f"one{i}": refer() for i in range(3)}
        properties |= {f"many{i}": {"type": "array", "items": refer()} for i in range(2)}
        properties |= {f"either{i}": {"anyOf": [{"type": "string"}, refer()]} for i in range(2)}
        schemas[name] = {"type": "object", "required": ["text1"], "properties": properties}
    paths = {
        f"/{name}": {
            "get": {
                "operationId": f"get-{name}",
                "responses": {
                    "200": {
                        "description": "A list",
                        "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}},
                    }
                },
            }
        }
        for name in names
    }
    info = {"title": "Large", "version": "1"}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _compare_and_measure_cpu_s(tmp_path: Path, schema_count: int) -> float:
    document = build_document(schema_count)
    old, new = tmp_path / f"old{schema_count}.json", tmp_path / f"new{schema_count}.json"
    old.write_text(json.dumps(document))
    document["components"]["schemas"]["s1"]["properties"]["text1"]["maxLength"] = 50
    new.write_text(json.dumps(document))
    before = time.process_time()
    report = find_drift(old, new)
    spent_s = time.process_time() - before
    (change,) = report.changes
    # Every operation reaches the changed schema, and the shortest way to it is named.
    assert change.rule == "response-property-max-length-decreased"
    assert change.operation == "get-s0"
    assert len(change.other_operations) == schema_count - 1
    assert change.location.count("/") < 8
    return spent_s


@pytest.mark.slow
def test_comparing_large_documents_does_not_take_a_comparison_of_all_schemas_for_each_operation(tmp_path) -> None:
    """Eight times the schemas and operations took 64 times as long when each operation compared all schemas."""
    few, many = (_compare_and_measure_cpu_s(tmp_path, count) for count in (25, 200))
    assert many < 30 * few
