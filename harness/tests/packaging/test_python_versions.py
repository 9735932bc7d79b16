"""Which versions of Python the project promises, and what is known of the newest one without an interpreter of it."""

from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from ..builders.published_packages import install_npm_packages

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PROMISED = [
    name.rpartition(" ")[2]
    for name in PROJECT["classifiers"]
    if name.startswith("Programming Language :: Python :: 3.")
]
COMPILE = """
import {loadPyodide} from "pyodide";
const python = await loadPyodide();
python.mountNodeFS("/project", process.argv[2]);
console.log(await python.runPythonAsync(`
import json, pathlib, sys, warnings

warnings.simplefilter("error")
wrong, count = [], 0
for folder in ("harness", "contracts", "benchmarks", "docs"):
    for path in pathlib.Path("/project", folder).rglob("*.py"):
        count += 1
        try:
            compile(path.read_bytes(), str(path), "exec")
        except (SyntaxError, Warning) as error:
            wrong.append(str(error))
try:
    compile("1 is 1", "warned", "exec")
except SyntaxError as error:
    warned = str(error)
json.dumps({"version": sys.version_info[:2], "count": count, "wrong": wrong, "warned": warned})
`));
"""
"""Compiles every file with CPython as WebAssembly; and text of which it warns, so that the check can fail."""


def test_no_version_is_excluded_and_ci_runs_every_promised_one() -> None:
    assert PROJECT["requires-python"] == ">=3.11"
    assert PROMISED == ["3.11", "3.12", "3.13", "3.14"]
    workflow = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
    assert workflow["jobs"]["everything"]["strategy"]["matrix"]["python-version"] == PROMISED


@pytest.mark.slow
def test_every_file_compiles_without_a_warning_with_the_newest_promised_version(tmp_path: Path) -> None:
    """Pyodide is CPython as WebAssembly: its compiler is the same, but most libraries have no build for it."""
    install_npm_packages(tmp_path, "pyodide@314.0.7")
    (tmp_path / "compile.mjs").write_text(COMPILE)
    ran = subprocess.run(["node", "compile.mjs", str(ROOT)], cwd=tmp_path, capture_output=True, text=True, check=True)
    found = json.loads(ran.stdout.splitlines()[-1])
    assert ".".join(map(str, found["version"])) == PROMISED[-1]
    assert found["count"] > 500
    assert found["wrong"] == []
    assert "literal" in found["warned"]
