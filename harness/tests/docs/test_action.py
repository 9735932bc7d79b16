"""The GitHub Action, the pre-commit hook, the workflows and the container: files are valid, and their shell runs."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from voicegauge.cli import run
from voicegauge.version import __version__

ROOT = Path(__file__).resolve().parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
INSTALL, CHECK = ACTION["runs"]["steps"][1:]
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in (ROOT / ".github" / "workflows").glob("*.yml")}
BLOCKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "ci.md").read_text(encoding="utf-8"), re.DOTALL)


def _run_check(folder: Path, program: str, **inputs: str) -> tuple[int, str, dict[str, str]]:
    """Run the shell of the action with `program` in place of voicegauge; return status, output and outputs."""
    values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
    names = {variable: re.search(r"inputs\.([a-z-]+)", text) for variable, text in CHECK["env"].items()}
    environment = {variable: values[found[1]] for variable, found in names.items() if found}
    command = folder / "voicegauge" / "bin" / "voicegauge"
    command.parent.mkdir(parents=True, exist_ok=True)
    command.write_text(f"#!/bin/bash\n{program}\n")
    command.chmod(0o755)
    output = folder / "output"
    output.touch()
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", CHECK["run"]],
        cwd=folder,
        env={**os.environ, **environment, "RUNNER_TEMP": str(folder), "GITHUB_OUTPUT": str(output)},
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        done.returncode,
        done.stdout + done.stderr,
        dict(re.findall(r"^(\w+)=(.*)$", output.read_text(), re.MULTILINE)),
    )


def test_every_input_is_passed_as_an_environment_variable_and_never_into_the_shell() -> None:
    assert set(re.findall(r"inputs\.([a-z-]+)", str(CHECK["env"]))) == ACTION["inputs"].keys()
    assert "${{" not in INSTALL["run"] + CHECK["run"]


def test_inputs_become_arguments(tmp_path: Path) -> None:
    inputs = {"provider": "pixelapi ttsai/kokoro", "live": "true", "max-calls": "5", "fail-on": "warning"}
    status, printed, outputs = _run_check(tmp_path, 'printf "%s\\n" "$@"', **inputs)
    words = printed.splitlines()
    assert status == 0
    assert words[:2] == ["check", "--github"]
    assert words[-7:] == ["--live", "--max-cost=1", "--max-calls=5", "--strict", "--", "pixelapi", "ttsai/kokoro"]
    assert outputs == {"status": "0", "json": f"{tmp_path}/voicegauge.json"}


@pytest.mark.parametrize(("strict", "expected"), [("true", ["--strict-baseline"]), ("false", []), ("yes", [])])
def test_limits_of_the_command_are_inputs(tmp_path: Path, strict: str, expected: list[str]) -> None:
    inputs = {"baseline": "known.json", "strict-baseline": strict, "fail-under": "0.6"}
    status, printed, _ = _run_check(tmp_path, 'printf "%s\n" "$@"', **inputs)
    assert status == 0
    assert printed.splitlines()[4:] == ["--baseline=known.json", *expected, "--fail-under=0.6", "--"]


@pytest.mark.parametrize(
    "value", ["--live --max-cost 1000", "x\n--live", "$(touch pwned)", "* ; touch pwned", "-- --live"]
)
@pytest.mark.parametrize("name", [name for name in ACTION["inputs"] if name not in ("live", "emulated", "fail-on")])
def test_no_input_adds_an_option_or_runs_a_program(tmp_path: Path, name: str, value: str) -> None:
    status, printed, _ = _run_check(tmp_path, 'printf "%s\\0" "$@"', **{name: value})
    options = printed.split("\0-\0", 1)[0].split("\0--\0", 1)[0].split("\0")[1:]
    assert status == 0
    assert {option.partition("=")[0] for option in options} <= {"--github", "--json", "--sarif", f"--{name}"}
    assert not (tmp_path / "pwned").exists()


def test_a_wrong_input_is_printed_in_one_line(tmp_path: Path) -> None:
    value = "x\n::set-output name=a::b\r::stop-commands::100%"
    status, printed, outputs = _run_check(tmp_path, "exit 0", **{"fail-on": value})
    assert (status, outputs) == (2, {})
    [line] = re.split("[\r\n]", printed.strip())
    assert line.startswith("::error::fail-on is 'x%0A::set-output name=a::b%0D::stop-commands::100%25': ")


def test_actions_of_others_are_pinned_by_digest() -> None:
    texts = [path.read_text() for path in (ROOT / ".github" / "workflows").glob("*.yml")]
    used = re.findall(r"uses: (\S+)", "\n".join((*texts, (ROOT / "action.yml").read_text())))
    assert [one for one in used if one != "./" and not re.fullmatch(r"[\w/.-]+@[0-9a-f]{40}", one)] == []


@pytest.mark.parametrize(
    ("fail_on", "exit_status", "expected"),
    [("error", 1, 1), ("never", 1, 0), ("never", 2, 2), ("never", 4, 4), ("sometimes", 0, 2)],
)
def test_the_step_fails_as_asked(tmp_path: Path, fail_on: str, exit_status: int, expected: int) -> None:
    assert _run_check(tmp_path, f"exit {exit_status}", **{"fail-on": fail_on})[0] == expected


@pytest.mark.slow
def test_the_action_checks(tmp_path: Path) -> None:
    program = f'PYTHONPATH={shlex.quote(str(ROOT / "harness"))} exec {sys.executable} -m voicegauge "$@"'
    status, printed, _ = _run_check(tmp_path, program, provider="pixazo")
    assert status == 0, printed
    assert (tmp_path / "voicegauge.json").is_file()
    assert (tmp_path / "voicegauge.sarif").is_file()


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_workflows_use_the_inputs_that_the_action_has() -> None:
    documented = yaml.safe_load(BLOCKS[0])
    uses = [step for workflow in (documented, *WORKFLOWS.values()) for step in _steps(workflow) if "uses" in step]
    own = [step for step in uses if step["uses"] == "./" or step["uses"] == f"OWNER/voicegauge@v{__version__}"]
    assert len(own) >= 4
    assert set().union(*(step["with"] for step in own)) <= ACTION["inputs"].keys()


def test_each_documented_result_is_uploaded_in_a_category_of_its_own() -> None:
    for job in yaml.safe_load(BLOCKS[0])["jobs"].values():
        checks = [step for step in job["steps"] if step.get("uses", "").startswith("OWNER/voicegauge@")]
        uploads = [step["with"] for step in job["steps"] if "upload-sarif@" in step.get("uses", "")]
        if uploads:
            written = [step["with"].get("sarif", ACTION["inputs"]["sarif"]["default"]) for step in checks]
            assert [upload["sarif_file"] for upload in uploads] == written
            assert len({upload["category"] for upload in uploads}) == len(uploads) > 1


def test_commands_of_the_workflows_exist() -> None:
    for step in (step for workflow in WORKFLOWS.values() for step in _steps(workflow) if "run" in step):
        program, *arguments = shlex.split(step["run"])
        if program == "make":
            assert re.search(rf"^{re.escape(arguments[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE) or (
                arguments[0] == ".venv/.full"
            )
        elif program.startswith(".ci/"):
            assert os.access(ROOT / program, os.X_OK)


def test_the_notes_of_a_release_are_its_section_of_the_changelog() -> None:
    command = [str(ROOT / ".ci" / "release-notes")]
    done = subprocess.run([*command, __version__], capture_output=True, text=True, check=True)
    assert done.stdout.strip()
    assert "\n## " not in done.stdout
    assert subprocess.run([*command, "9.9.9"], capture_output=True, check=False).returncode == 1


def test_the_hook_checks_own_contracts(capsys: pytest.CaptureFixture[str]) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert yaml.safe_load(BLOCKS[1])["repos"][0]["hooks"][0]["id"] == hook["id"]
    assert re.search(hook["files"], "my-contracts/acme/openapi.yaml")
    _, *arguments = shlex.split(hook["entry"])
    assert run([*arguments, "pixazo", "--contracts", str(ROOT / "contracts" / "pixazo")]) == 0
    assert "no findings" in capsys.readouterr().out


def test_the_container_runs_without_privileges_and_is_checked() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    assert any(line.startswith("USER emulator") for line in lines)
    assert any("/_emulator/health" in line for line in lines)
    subprocess.run(["sh", "-n", str(ROOT / ".ci" / "serve-in-container")], check=True)
