"""SARIF files are accepted by the validator of the authors of the format."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from voicegauge import cli

from ..builders.documented_examples import read_example
from ..builders.published_packages import install_npm_packages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def multitool(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of Microsoft's SARIF Multitool, which needs the registry of npm."""
    folder: Path = tmp_path_factory.mktemp("node")
    install_npm_packages(folder, "@microsoft/sarif-multitool-linux@5.7.0")
    program = folder / "node_modules" / "@microsoft" / "sarif-multitool-linux" / "Sarif.Multitool"
    program.chmod(0o755)
    return program


def validate(program: Path, file: Path) -> list[str]:
    """Return the errors and warnings of the validator."""
    environment = {**os.environ, "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}
    done = subprocess.run(
        [str(program), "validate", str(file)], env=environment, capture_output=True, text=True, check=False
    )
    assert "scanned" in done.stdout, done.stdout + done.stderr
    return [line for line in done.stdout.splitlines() if ": error " in line or ": warning " in line]


def test_the_validator_of_sarif_finds_no_error(multitool, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    old = read_example("contract.md", "acme")
    Path("old.yaml").write_text(old)
    Path("new.yaml").write_text(old.replace("required: [input", "required: [voice, input"))
    fault = ["--emulated", "--fault", "silent-audio", "--max-calls", "3"]
    assert cli.run(["check", "pixelapi/voice-design", *fault, "--sarif", "check.sarif"]) == 1
    cli.run(["drift", "old.yaml", "new.yaml", "--sarif", "drift.sarif"])
    for name in ("check.sarif", "drift.sarif"):
        # The tool has no address of its own yet.
        assert [line for line in validate(multitool, Path(name)) if "SARIF2005" not in line] == []
    broken = json.loads(Path("check.sarif").read_text())
    broken["runs"][0]["results"][0]["ruleIndex"] = 99
    Path("broken.sarif").write_text(json.dumps(broken))
    assert any(": error " in line for line in validate(multitool, Path("broken.sarif")))
