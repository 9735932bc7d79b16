"""The commands in findings are run as they are printed, and show the findings again."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from voicegauge import cli
from voicegauge.api.checking import check, check_job_steps
from voicegauge.cases.valid_requests import load_voice_sample
from voicegauge.hosts import EMULATOR_PORT

from .conftest import ACME_KEY

needs_curl = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


def run_in_bash(line: str, **variables: str) -> str:
    """Run a printed line, and return its output."""
    line = re.sub(r"^voicegauge ", f"{shlex.quote(sys.executable)} -m voicegauge ", line)
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, check=False, env={**os.environ, **variables})
    assert not done.stderr, done.stderr
    return done.stdout.decode(errors="replace").replace("\r\n", "\n")


def run_again(command: str, capfd: pytest.CaptureFixture[str]) -> list[dict]:
    """Run a printed `voicegauge check` in this process, and return the findings."""
    arguments = shlex.split(command)
    assert arguments[0] == "voicegauge"
    capfd.readouterr()
    assert cli.run([*arguments[1:], "--json", "-"]) == 1
    return json.loads(capfd.readouterr().out)["findings"]


def list_violated_rules(finding: dict) -> list[str]:
    """Return the rule of a finding in JSON, and those that the same cause violates."""
    return [finding["rule"], *finding["same_cause_messages"]]


@contextlib.contextmanager
def emulator_by(command: str) -> Iterator[int]:
    """Start an emulator with a printed line, but on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-m", *shlex.split(command.replace(str(EMULATOR_PORT), str(port)))]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while True:
            assert process.poll() is None, "the emulator does not start"
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_emulator/health", timeout=60).close()
                break
            except OSError:
                time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
@needs_curl
def test_a_curl_line_shows_the_finding_of_an_emulated_check_again(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path))
    fault = "accepts-invalid"
    case = "pixelapi/generateSpeech: text of 0 characters"
    report = check("pixelapi", emulated=True, faults=[fault], case_ids=[case])
    (finding,) = [finding for finding in report.findings if finding.rule == "accepts-invalid"]
    with emulator_by(report.emulator_command) as port:
        line = finding.reproduction_command.replace(str(EMULATOR_PORT), str(port))
        monkeypatch.delenv("PIXELAPI_KEY", raising=False)
        assert run_in_bash(line).startswith("HTTP/1.1 200")
        assert run_in_bash(line, PIXELAPI_KEY="my-key").startswith("HTTP/1.1 200")
        assert run_in_bash(line, PIXELAPI_KEY="invalid-key").startswith("HTTP/1.1 401")


@pytest.mark.slow
@needs_curl
def test_a_curl_line_uploads_a_file_that_exists(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("VOICEGAUGE_CACHE", str(tmp_path / "a cache"))
    monkeypatch.delenv("TTSAI_API_KEY", raising=False)
    case = "ttsai/cloneVoice: format 'MP3', a value in capital letters"
    report = check("ttsai/clone-chatterbox", emulated=True, faults=["accepts-invalid"], case_ids=[case])
    (finding,) = [finding for finding in report.findings if finding.rule == "accepts-invalid"]
    (saved,) = (tmp_path / "a cache" / "requests").iterdir()
    assert saved.read_bytes() == load_voice_sample().data
    assert f'=@"{saved}";filename="reference.mp3";type=audio/mpeg' in finding.reproduction_command
    with emulator_by(report.emulator_command) as port:
        line = finding.reproduction_command.replace(str(EMULATOR_PORT), str(port))
        assert run_in_bash(line).startswith("HTTP/1.1 200")


@needs_curl
def test_a_curl_line_shows_the_finding_of_a_live_check_again(acme, acme_contracts, monkeypatch, capfd) -> None:
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    acme.accepts_anything = True
    arguments = ["check", "acme", "--contracts", str(acme_contracts()), "--live", "--base-url", acme.url]
    assert cli.run([*arguments, "--json", "-"]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    lines = [finding["reproduction_command"] for finding in findings if finding["rule"] == "accepts-invalid"]
    assert len(lines) > 3
    for line in lines:
        assert ACME_KEY not in line
        assert run_in_bash(line, ACME_API_KEY=ACME_KEY).startswith("HTTP/1.1 200")
    assert run_in_bash(lines[0], ACME_API_KEY="wrong").startswith("HTTP/1.1 401")


def test_a_finding_about_several_requests_is_shown_again_by_its_case(capfd) -> None:
    case = "pixelapi/voice-design: a full delivery"
    report = check("pixelapi/voice-design", emulated=True, faults=["terminal-flip"], case_ids=[case])
    (finding,) = [finding for finding in report.findings if finding.rule == "job-terminal-changed"]
    assert finding.reproduction_command == (
        f"voicegauge check pixelapi/voice-design --emulated --fault terminal-flip --case '{case}'"
    )
    (again,) = [one for one in run_again(finding.reproduction_command, capfd) if one["rule"] == finding.rule]
    assert again["message"] == finding.message


def test_a_comparison_is_shown_again_with_both_deliveries(capfd) -> None:
    case = "ttsai/kokoro: a full delivery with speed 2"
    report = check("ttsai/kokoro", emulated=True, faults=["speed-ignored"], case_ids=[case], seed=3)
    (finding,) = [finding for finding in report.findings if finding.rule == "speed-ignored"]
    assert "--seed 3" in finding.reproduction_command
    assert [one["message"] for one in run_again(finding.reproduction_command, capfd)] == [finding.message]


@pytest.mark.parametrize("price", ["acme/voice-1=0.002", "acme=0"])
def test_a_delivery_from_a_live_service_is_shown_again_by_its_case(
    acme, acme_contracts, monkeypatch, capfd, price: str
) -> None:
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    acme.is_silent = True
    arguments = ["check", "acme", "--contracts", str(acme_contracts()), "--live", "--base-url", acme.url]
    assert cli.run([*arguments, "--price", price, "--json", "-"]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    (finding,) = [one for one in findings if one["rule"] == "audio-silent"]
    assert "--live" in finding["reproduction_command"]
    assert re.findall(r"--price (\S+)", finding["reproduction_command"]) == [price]
    acme.texts.clear()
    (again,) = [one for one in run_again(finding["reproduction_command"], capfd) if one["rule"] == "audio-silent"]
    assert again["message"] == finding["message"]
    assert len(acme.texts) == 1


def test_steps_with_several_jobs_are_shown_again_by_a_test() -> None:
    steps = ["submit", "submit", "poll 1", "poll 2", "late 1", "late 2"]
    report = check_job_steps("pixelapi/voice-design", steps, emulated=True, faults=["crosstalk"])
    assert report.findings
    for finding in report.findings:
        assert finding.reproduction_command is None
        assert finding.reproduction_test is not None
        assert "voicegauge_jobs('pixelapi/voice-design', ['submit', 'submit', " in finding.reproduction_test


def test_a_poll_in_a_recording_is_not_sent_again(tmp_path, capfd) -> None:
    folder = tmp_path / "my recordings"
    assert cli.run(["record", "pixelapi/voice-design", "--emulated", "--yes", "--out", str(folder)]) == 0
    capfd.readouterr()
    path = folder / "pixelapi" / "voice-design.har"
    path.write_text(path.read_text().replace(r"\"completed\"", r"\"finished\""))
    assert cli.run(["check", "pixelapi", "--recordings", str(folder), "--json", "-"]) == 1
    findings = json.loads(capfd.readouterr().out)["findings"]
    (finding,) = [one for one in findings if "job-state-unknown" in list_violated_rules(one)]
    assert finding["reproduction_command"] == f"voicegauge check pixelapi --recordings '{path.parent}'"
    again = run_again(finding["reproduction_command"], capfd)
    assert any("job-state-unknown" in list_violated_rules(one) for one in again)


def test_a_strangers_recording_does_not_send_the_key_elsewhere(tmp_path, capfd) -> None:
    assert cli.run(["record", "pixelapi/voice-design", "--emulated", "--yes", "--out", str(tmp_path)]) == 0
    path = tmp_path / "pixelapi" / "voice-design.har"
    elsewhere = path.read_text().replace("https://api.pixelapi.dev/", "https://evil.example/")
    path.write_text(elsewhere.replace(r"\"status\"", r"\"estado\""))
    capfd.readouterr()
    assert cli.run(["check", "pixelapi", "--recordings", str(tmp_path), "--json", "-"]) == 1
    out = capfd.readouterr().out
    commands = [one["reproduction_command"] or "" for one in json.loads(out)["findings"]]
    assert any("https://evil.example/" in command for command in commands)
    assert "PIXELAPI_KEY" not in out


def test_an_unknown_case_suggests_a_similar_one(capfd) -> None:
    assert cli.run(["check", "pixelapi", "--emulated", "--case", "pixelapi/voice-design: full delivery"]) == 2
    assert "did you mean 'pixelapi/voice-design: a full delivery'?" in capfd.readouterr().err
    assert cli.run(["check", "pixelapi", "--case", "x"]) == 2
    assert "--case goes with --emulated or --live" in capfd.readouterr().err


def test_only_the_chosen_case_is_sent_and_priced(capfd) -> None:
    case = "pixelapi/voice-design: a full delivery"
    assert cli.run(["check", "pixelapi", "--emulated", "--dry-run", "--case", case, "--json", "-"]) == 0
    assert [one["id"] for one in json.loads(capfd.readouterr().out)["cases"]] == [case]
