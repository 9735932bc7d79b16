"""The examples in the docstrings of the API are run."""

from __future__ import annotations

import doctest
import inspect
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import voicegauge
from voicegauge.speech.asr_engines import create_embedded_faster_whisper

FUNCTIONS = [name for name in voicegauge.EXPORTED_NAMES if inspect.isfunction(getattr(voicegauge, name))]
EXAMPLES = [name for name in FUNCTIONS if ">>>" in (getattr(voicegauge, name).__doc__ or "")]
WITHOUT = {
    "apply_baseline": "shown by write_baseline, which writes the file that it reads",
    "compare_targets": "needs a run of several targets; called like compare",
    "convert": "needs a recording of another tool",
    "convert_all": "needs recordings of another tool",
    "find_official_drift": "downloads documents of providers",
    "list_asr_engines": "depends on the weights that are installed",
    "listen": "waits for webhooks",
    "propose_contract_patch": "needs traffic that differs from a contract",
    "propose_overlay": "needs a document of a provider",
    "render_report": "shown by write_report",
    "score": "depends on the weights that are installed",
    "write_findings_page": "called like write_junit",
    "write_history_page": "called like write_junit",
    "write_sarif": "shown by write_junit",
}
"""Functions without an example, with the reason."""


@pytest.fixture(scope="module")
def saved_run(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("runs")
    result = voicegauge.benchmark(
        "pixelapi/voice-design", max_texts=1, warmup=0, languages=["en"], asr="none", write_html_report=False, out=out
    )
    return result.folder


@pytest.fixture(scope="module")
def later_run(saved_run: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("later") / "run"
    shutil.copytree(saved_run, folder)
    run = json.loads((folder / "run.json").read_text())
    run["manifest"]["run_id"] = "later"
    (folder / "run.json").write_text(json.dumps(run))
    return str(folder)


def test_every_function_has_an_example_or_a_reason() -> None:
    assert {*EXAMPLES, *WITHOUT} == set(FUNCTIONS)


@pytest.mark.usefixtures("short_emulated_times")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "check_profile" else ()) for name in EXAMPLES]
)
def test_the_example_is_true(
    name: str, saved_run: str, later_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recordings = Path(__file__).resolve().parents[3] / "fixtures" / "pixelapi"
    names = {"voicegauge": voicegauge, "saved_run": saved_run, "later_run": later_run}
    names |= {"folder": str(tmp_path), "recordings": recordings}
    found = doctest.DocTestFinder(recurse=False).find(getattr(voicegauge, name), name, globs=names)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    output: list[str] = []
    for test in found:
        runner.run(test, out=output.append)
    assert runner.tries > 0
    assert not runner.failures, "".join(output)


SCRIPT = """\
import sys
import voicegauge

print("begin", flush=True)
scores = voicegauge.score(sys.argv[1], asr=sys.argv[2], workers=1)
print(len(scores.scores.scores))
"""


@pytest.mark.slow
def test_a_script_without_a_main_guard_runs_once(
    saved_run: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The processes that transcribe do not run the script again."""
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    create_embedded_faster_whisper()  # faster to import than openai-whisper
    (model,) = (tmp_path / "embedded").iterdir()
    (tmp_path / "script.py").write_text(SCRIPT)
    shutil.copytree(saved_run, tmp_path / "run")
    command = [sys.executable, "script.py", "run", f"faster-whisper:{model}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["begin", "1"]
