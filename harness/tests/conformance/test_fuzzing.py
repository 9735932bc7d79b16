"""Random requests: one that breaks a rule is shrunk, written as a test, and tried first the next time."""

from __future__ import annotations

import json

import pytest

from voicegauge import cli

TARGET = "pixelapi/voice-design"


@pytest.fixture
def fuzz(tmp_path, capfd, monkeypatch):
    """Fuzz a target without planned cases; returns the report, the written tests, and standard error."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("voicegauge.conformance._fuzzing_jobs.fuzz_jobs", _nothing)

    def run(number: int, *more: str, target: str = TARGET):
        folder, out = tmp_path / "tests", tmp_path / "out.json"
        arguments = ["check", target, "--emulated", "--max-calls", "0", "--select", "accepts-invalid"]
        written = ["--write-tests", str(folder), "--json", str(out)]
        cli.run([*arguments, "--fuzz", str(number), *written, *more])
        tests = {path.name: path.read_text() for path in sorted(folder.glob("*.py"))}
        return json.loads(out.read_text()), tests, capfd.readouterr().err

    return run


async def _nothing(*_) -> None:
    """Replaces the search over jobs."""


def _found(report) -> set[str]:
    return {finding["message"] for finding in report["findings"] if "fuzzing" in (finding["case_id"] or "")}


def test_a_failure_is_saved_tried_first_and_deleted_when_it_passes(fuzz, tmp_path) -> None:
    fault, failures = ("--fault", "accepts-invalid"), ("--failures", str(tmp_path / "failures"))
    report, _, _ = fuzz(6, *fault, *failures)
    assert _found(report)
    assert (tmp_path / "failures" / "emulated" / "pixelapi" / "generateSpeech" / "rejected").is_dir()
    # A single random request would hardly find it with any seed; the saved failure does.
    again, _, _ = fuzz(1, *fault, *failures, "--seed", "99")
    assert _found(again) & _found(report)
    assert again["spending"]["total_by_case_kind"]["fuzzing"]["request_count"] > 2
    assert _found(fuzz(6, *failures)[0]) == set()
    assert fuzz(1, *failures)[0]["spending"]["total_by_case_kind"]["fuzzing"]["request_count"] <= 3


@pytest.mark.slow
def test_failures_are_not_saved_in_ci_or_on_request(fuzz, tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HYPOTHESIS_STORAGE_DIRECTORY", str(tmp_path / "hypothesis"))
    fault = ("--fault", "accepts-invalid")
    fuzz(2, *fault, "--failures", "none")
    assert not (tmp_path / "cache" / "voicegauge" / "failures").exists()
    fuzz(2, *fault)
    assert (tmp_path / "cache" / "voicegauge" / "failures" / "emulated").is_dir()
    monkeypatch.setenv("CI", "true")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "ci"))
    fuzz(2, *fault)
    assert not (tmp_path / "ci").exists()


def test_a_finding_is_written_as_a_test(fuzz) -> None:
    report, tests, err = fuzz(12, "--fault", "accepts-invalid", "--failures", "none")
    assert f"wrote {len(tests)} test" in err
    written = {finding["reproduction_test"] for finding in report["findings"] if finding["reproduction_test"]}
    assert set(tests.values()) == written
    for code in written:
        compile(code, "test.py", "exec")
        assert "def test_accepts_invalid(voicegauge_send):" in code
        assert f"voicegauge_send({TARGET!r}, " in code
        assert "expected_outcome='rejected')" in code
    assert all(finding["reproduction_command"].startswith("curl ") for finding in report["findings"])


def test_unchanged_fields_are_left_out_of_a_test(fuzz) -> None:
    """A request with a file: the test starts from the same valid request, including the file."""
    _, tests, _ = fuzz(6, "--fault", "accepts-invalid", "--failures", "none", target="pixelapi/voice-clone")
    assert tests
    assert all("UploadedFile" not in code and len(code) < 600 for code in tests.values())


def test_without_a_failure_no_folder_of_tests_is_created(fuzz, tmp_path, capfd) -> None:
    folder = tmp_path / "none"
    arguments = ["check", TARGET, "--emulated", "--max-calls", "0", "--fuzz", "1", "--failures", "none"]
    assert cli.run([*arguments, "--write-tests", str(folder)]) == 0, "random requests are judged beyond --max-calls"
    assert f"no test to write to {folder}: random requests found nothing" in capfd.readouterr().err
    assert not folder.exists()


@pytest.mark.parametrize("flag", ["--failures", "--write-tests"])
def test_options_of_fuzzing_are_rejected_without_it(flag, capfd, tmp_path) -> None:
    assert cli.run(["check", "pixelapi", "--emulated", flag, str(tmp_path)]) == 2
    assert f"{flag} goes with --fuzz" in capfd.readouterr().err
