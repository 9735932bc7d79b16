"""Generated documentation is current, and the output of commands is valid by the published schemas."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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
