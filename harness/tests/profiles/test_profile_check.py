"""`voicegauge check --profile`: by a server on a real socket, and by the emulator with mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import voicegauge
from voicegauge.cli import run as run_cli

from ..builders.own_server import running_own_server
from ..builders.transcription_server import running_transcription_server

ID = "openai-speech@2026-11"
REJECTIONS = {
    *("format-unknown", "voice-unknown", "voice-type", "model-type", "input-missing", "input-type", "input-too-long"),
    *("speed-too-slow", "speed-too-fast", "speed-type"),
    *("stream-format-unknown", "instructions-too-long", "instructions-type"),
}
FORMATS = {"format-mp3", "format-opus", "format-aac", "format-flac", "format-wav"}
FAILED_BY_FAULTS = {
    "": set(),
    "accepts-invalid": REJECTIONS,
    # Faults whose requirements differ are injected together, to save time.
    "server-error-at-boundary speed-ignored voice-ignored long-text-cut wrong-error-shape wrong-type": {
        *("input-longest", "speed-slowest", "speed-fastest", "instructions-longest"),
        *("speed-changes", "voice-changes", "text-whole", "error-shape", "models-list"),
    },
    "wrong-format": {"media-type", "format-default", *FORMATS, "format-pcm"},
    "html-as-audio": {"audio-readable", *FORMATS, "stream-format-audio", "sse-audio", "format-pcm"},
    "silent-audio stream-truncated": {"audio-audible", "sse-events"},
    "text-ignored stream-unreadable-audio": {"audio-length", "sse-audio"},
    "undocumented-status": {
        *("speech-created", "input-longest", "speed-slowest", "speed-fastest", "instructions-longest"),
    },
}
"""The required and optional requirements that fail, by the faults of the emulator."""


@pytest.fixture(autouse=True)
def no_key(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("OPENAI_SPEECH_API_KEY", "OPENAI_TRANSCRIPTION_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("VOICEGAUGE_STATE", str(tmp_path_factory.mktemp("state")))


def test_a_server_is_judged_by_one_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    json_path, html, badge = (tmp_path / name for name in ("result.json", "result.html", "badge.svg"))
    with running_own_server(voices=["zoe", "max"]) as url:
        options = ["--json", str(json_path), "--html", str(html), "--badge", str(badge)]
        status = run_cli(["check", "--profile", ID, "--live", "--base-url", f"{url}/v1", *options])
    assert status == 1
    result = json.loads(json_path.read_text())
    assert result["schema"] == "voicegauge/profile-check/2"
    assert (result["profile_id"], result["verdict"], result["server"]) == (ID, "failed", f"{url}/v1")
    verdicts = {one["id"]: one["verdict"] for one in result["requirement_results"]}
    assert verdicts["speech-created"] == verdicts["input-missing"] == verdicts["models-list"] == "passed"
    for failed in ("format-default", "voice-changes", "speed-changes", "format-mp3", "error-shape", "sse-events"):
        assert verdicts[failed] == "failed"
    score = result["score"]
    assert score["required_count"] == score["required_judged_count"]
    assert f"{score['required_passed_count']} of {score['required_judged_count']}" in badge.read_text()
    page = html.read_text()
    assert "expected mp3, the documented default, got wav" in page
    assert "<script" not in page
    captured = capsys.readouterr()
    assert f"{ID}: {score['required_passed_count']} of {score['required_judged_count']} required passed" in captured.out
    assert "not scored (reasons in --html and --json): required-names, rejection-status, " in captured.out
    assert "none costs anything\n" in captured.err


def test_a_key_is_sent_only_if_its_variable_is_named(monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    monkeypatch.setenv("MY_SERVER_KEY", "k-123456")
    with running_own_server(voices=["zoe"], key="k-123456") as url:
        arguments = ["check", "--profile", ID, "--live", "--base-url", f"{url}/v1"]
        assert run_cli(arguments) == 2
        assert "OPENAI_SPEECH_API_KEY" in capsys.readouterr().err
        assert run_cli([*arguments, "--key-env", "MY_SERVER_KEY"]) == 1
    assert "k-123456" not in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--profile", "openai-speech@1999-01", "--emulated"], f"Known: {ID}"),
        (["--profile", ID], "--profile goes with --emulated or --live"),
        (["--profile", ID, "--live"], "name the server with --base-url"),
        (["--profile", ID, "--base-url", "http://127.0.0.1:1/v1"], "--base-url goes with --live"),
        (["--profile", ID, "acme", "--emulated"], "leave out the targets"),
        (["--profile", ID, "--emulated", "--fuzz", "3"], "--fuzz has no effect with --profile"),
        (["--profile", ID, "--emulated", "--capability", "video"], "unknown capability 'video'"),
        (["--profile", ID, "--live", "--base-url", "https://api.openai.com/v1"], "api.openai.com charges for requests"),
        (
            ["--profile", ID, "--live", "--base-url", "http://127.0.0.1:1/v1", "--key-env", "my key"],
            "--key-env: write the name",
        ),
        (
            ["--profile", ID, "--live", "--base-url", "http://127.0.0.1:1/v1", "--key-env", "NO_SUCH_KEY"],
            "--key-env: NO_SUCH_KEY is not set",
        ),
    ],
)
def test_mistakes_of_the_user_are_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_cli(["check", *arguments]) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.slow
@pytest.mark.parametrize("faults", FAILED_BY_FAULTS)
def test_each_fault_fails_its_requirements_and_no_others(faults: str) -> None:
    report = voicegauge.check_profile(ID, emulated=True, faults=faults.split())
    assert {one.id for one in report.requirement_results if one.verdict == "failed"} == FAILED_BY_FAULTS[faults]
    assert report.verdict == ("failed" if faults else "passed")


@pytest.mark.slow
def test_the_second_edition_fails_only_what_breaks_clients() -> None:
    def judge(*faults: str) -> tuple[set[str], set[str]]:
        report = voicegauge.check_profile("openai-speech@2026-11b", emulated=True, faults=faults)
        verdicts = {one.id: one.verdict for one in report.requirement_results}
        failed = {name for name, verdict in verdicts.items() if verdict == "failed"}
        return failed, {name for name, verdict in verdicts.items() if verdict == "more-permissive"}

    assert judge() == (set(), set())
    assert judge("accepts-invalid") == (set(), {*REJECTIONS, "model-unknown"})
    assert judge("other-pcm-rate") == ({"format-pcm"}, set())


def test_a_transcription_server_is_judged_by_its_profile() -> None:
    def judge(**options: bool) -> dict[str, str]:
        with running_transcription_server(**options) as url:
            live = voicegauge.LiveOptions(base_urls={"": url})
            report = voicegauge.check_profile("openai-transcription@2026-11", live=live)
        return {one.id: one.verdict for one in report.requirement_results if one.verdict != "not-scored"}

    assert set(judge(is_strict=True).values()) == {"passed"}
    verdicts = judge()
    assert {name for name, verdict in verdicts.items() if verdict == "failed"} >= {"transcript-right", "file-not-audio"}
    assert {name for name, verdict in verdicts.items() if verdict == "more-permissive"} == {
        *("model-unknown", "format-unknown", "granularity-unknown")
    }
    assert {name for name, verdict in verdicts.items() if verdict == "not-offered"} == {"srt-readable", "vtt-readable"}


def test_there_is_a_fault_for_every_requirement() -> None:
    from voicegauge.profiles.judging import load_profile

    judged = {one.id for one in load_profile(ID).requirements if one.level != "not-scored"}
    assert judged == set().union(*FAILED_BY_FAULTS.values())
