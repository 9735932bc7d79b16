"""Random requests: what breaks a rule is made small, written down as a test, and tried first the next time."""

from __future__ import annotations

import json

import pytest

from voicegauge import cli

TARGET = "pixelapi/voice-design"


@pytest.fixture
def fuzz(tmp_path, capfd, monkeypatch):
    """Fuzz a target with nothing else planned; answers with the report, the tests written, and standard error."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("voicegauge.conformance.fuzzing.fuzz_jobs", _nothing)

    def run(number: int, *more: str, target: str = TARGET):
        folder, out = tmp_path / "tests", tmp_path / "out.json"
        arguments = ["check", target, "--emulated", "--max-calls", "0", "--select", "accepts-invalid"]
        written = ["--write-tests", str(folder), "--json", str(out)]
        cli.run([*arguments, "--fuzz", str(number), *written, *more])
        tests = {path.name: path.read_text() for path in sorted(folder.glob("*.py"))}
        return json.loads(out.read_text()), tests, capfd.readouterr().err

    return run


async def _nothing(*_) -> None:
    """In place of the search among jobs."""


def _found(report) -> set[str]:
    return {finding["message"] for finding in report["findings"] if "fuzzing" in (finding["case"] or "")}


def test_a_failure_is_kept_tried_first_and_forgotten_when_it_holds(fuzz, tmp_path) -> None:
    fault, failures = ("--fault", "accepts-invalid"), ("--failures", str(tmp_path / "failures"))
    report, _, _ = fuzz(12, *fault, *failures)
    assert _found(report)
    assert (tmp_path / "failures" / "emulated" / "pixelapi" / "generateSpeech" / "rejected").is_dir()
    # One request would hardly find it, whatever the seed; what failed the last time does.
    again, _, _ = fuzz(1, *fault, *failures, "--seed", "99")
    assert _found(again) & _found(report)
    assert again["spending"]["by_kind"]["fuzzing"]["requests"] > 2
    assert _found(fuzz(12, *failures)[0]) == set()
    assert fuzz(1, *failures)[0]["spending"]["by_kind"]["fuzzing"]["requests"] <= 3


@pytest.mark.slow
def test_nothing_is_kept_in_ci_nor_where_none_is_asked_for(fuzz, tmp_path, monkeypatch) -> None:
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


def test_a_finding_is_written_down_as_a_test(fuzz) -> None:
    report, tests, err = fuzz(12, "--fault", "accepts-invalid", "--failures", "none")
    assert f"wrote {len(tests)} test" in err
    written = {finding["test"] for finding in report["findings"] if finding["test"]}
    assert set(tests.values()) == written
    for code in written:
        compile(code, "test.py", "exec")
        assert "def test_accepts_invalid(voicegauge_send):" in code
        assert f"voicegauge_send({TARGET!r}, " in code
        assert "expect='rejected')" in code
    assert all(finding["reproduce"].startswith("curl ") for finding in report["findings"])


def test_what_is_left_as_it_was_is_not_written_down(fuzz) -> None:
    """A request with a file: the test begins with the same valid request, file and all."""
    _, tests, _ = fuzz(12, "--fault", "accepts-invalid", "--failures", "none", target="pixelapi/voice-clone")
    assert tests
    assert all("UploadedFile" not in code and len(code) < 600 for code in tests.values())


@pytest.mark.parametrize("flag", ["--failures", "--write-tests"])
def test_what_goes_with_fuzzing_is_refused_without(flag, capfd, tmp_path) -> None:
    assert cli.run(["check", "pixelapi", "--emulated", flag, str(tmp_path)]) == 2
    assert f"{flag} goes with --fuzz" in capfd.readouterr().err
