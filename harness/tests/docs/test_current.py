"""Generated documentation is current, and the output of commands is valid by the published schemas."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from voicegauge.cli import run

ROOT = Path(__file__).resolve().parents[3]


def test_generated_files_are_current() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "schema"),
    [
        (["providers"], "providers"),
        (["rules"], "rules"),
        (["check", "pixelapi"], "check"),
    ],
)
def test_output_is_valid_by_its_schema(arguments: list[str], schema: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--json", "-"]) == 0
    published = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text())
    jsonschema_rs.validate(published, json.loads(capsys.readouterr().out))


@pytest.mark.parametrize("schema", ["run", "report", "bench", "compare", "history"])
def test_every_number_that_a_command_writes_is_defined(schema: str) -> None:
    """Walks over the keys of the published schema, and not over the records from which the table is generated."""
    definitions = json.loads((ROOT / "docs" / f"{schema}.schema.json").read_text())["$defs"]

    def holds_numbers(value: Any) -> bool:
        if not isinstance(value, dict):
            return False
        if value.get("type") in {"integer", "number"}:
            return True
        inner = [*value.get("anyOf", ()), value.get("items"), value.get("additionalProperties")]
        return any(map(holds_numbers, [*inner, *value.get("prefixItems", ())]))

    numbers = [
        f"{record}.{key}"
        for record, definition in definitions.items()
        for key, value in definition.get("properties", {}).items()
        if holds_numbers(value)
    ]
    assert len(numbers) > 10
    page = (ROOT / "docs" / "methodology.md").read_text()
    defined = dict(re.findall(r"^\| `(\w+\.\w+)` \| (.*) \|$", page, re.MULTILINE))
    assert [name for name in numbers if not defined.get(name)] == [], "docs/generate.py takes docstrings"
