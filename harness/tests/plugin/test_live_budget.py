"""The budget of live tests survives a test run that is killed."""

from __future__ import annotations

import copy
import fcntl
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from voicegauge.conformance.check_settings import build_emulator_settings
from voicegauge.emulator.process import running_emulator

pytest_plugins = ["pytester"]

PAY = """
    import os
    import shutil
    import signal
    from pathlib import Path

    def test_send(voicegauge_send):
        voicegauge_send("acme/one", {"text": "Good morning."})

    def test_end():
        if os.environ["ENDING"] == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if os.environ["ENDING"] == "copied":
            shutil.copytree(os.environ["VOICEGAUGE_STATE"], "copy")
"""
LiveRun = Callable[..., pytest.RunResult]


@pytest.fixture
def live(
    run_pytest: LiveRun, saved_voices, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LiveRun]:
    """Run a test that costs $0.001, and is killed afterwards if the ending is "killed".

    With "copied", it copies what is on the disk at that moment into the folder "copy".
    """
    monkeypatch.setenv("ACME_KEY", "sk-acme-0123456789")
    document = copy.deepcopy(saved_voices.DOCUMENT)
    contract = saved_voices.write_contract(pytester.path / "emulated") / "openapi.yaml"
    with running_emulator([contract], build_emulator_settings()) as emulator:
        document["servers"] = [{"url": emulator.base_url("acme")}]
        folder = saved_voices.write_contract(pytester.path / "own", document)

        consent = f"ACME_KEY={emulator.url.removeprefix('http://')}"

        def run(*arguments: str, ending: str = "") -> pytest.RunResult:
            with monkeypatch.context() as patch:
                patch.setenv("ENDING", ending)
                given = ["--vg-live", "--vg-contracts", str(folder), "--vg-allow-key", consent]
                return run_pytest(PAY, *given, *arguments, isolated=ending == "killed")

        yield run


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state" / "tests"


@pytest.mark.parametrize("ending", ["copied", pytest.param("killed", marks=pytest.mark.slow)])
def test_what_a_killed_test_run_has_spent_counts_in_the_next(live: LiveRun, state: Path, ending: str) -> None:
    spent = "LIVE: a test run that did not come to its end has spent $0.001, which counts towards --vg-max-cost"
    assert (live("--vg-max-cost", "0.0015", ending=ending).ret < 0) == (ending == "killed")
    if ending == "copied":
        shutil.rmtree(state.parent)
        Path("copy").rename(state.parent)
    (journal,) = state.glob("*.jsonl")
    written = journal.read_bytes()

    live("--vg-max-cost", "0.0015", "--collect-only").stdout.no_fnmatch_line("*did not come to its end*")
    result = live("--vg-max-cost", "0.0015")
    result.assert_outcomes(failed=1, passed=1)
    result.stdout.fnmatch_lines([spent, "*of the budget of $0.0015 $0.001 are spent*"])
    assert journal.read_bytes() == written, "a run that cannot spend anything does not open a new budget"

    result = live("--vg-max-cost", "0.0025")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines([spent])
    assert not journal.exists()
    result = live("--vg-max-cost", "0.0015")
    result.assert_outcomes(passed=2)
    result.stdout.no_fnmatch_line("*did not come to its end*")


def test_two_live_test_runs_of_one_folder_exclude_each_other_and_a_damaged_file_is_one_line(
    live: LiveRun, state: Path
) -> None:
    live()
    (path,) = state.glob("*.run")
    with path.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: another test run with --vg-live in * has not ended: wait until it has"])
    path.with_suffix(".jsonl").write_text("{}\n")
    result = live()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *.jsonl:1: is damaged: *"])
