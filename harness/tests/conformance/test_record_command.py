"""The command `voicegauge record`, with the emulator and a live service."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from voicegauge import cli
from voicegauge.emulator.process import SERVER_HEADER_VALUE
from voicegauge.model.base import Provenance
from voicegauge.recording.har_files import find_provider_recordings, load_har
from voicegauge.recording.secret_search import find_secret_spelling

from .conftest import ACME_KEY


@pytest.fixture
def record(tmp_path, capfd):
    """Run the command; returns its status, its JSON and standard error."""

    def run(*arguments: str):
        status = cli.run(["record", *arguments, "--out", str(tmp_path / "fixtures"), "--json", "-"])
        output = capfd.readouterr()
        return status, json.loads(output.out) if output.out else None, output.err

    return run


@pytest.fixture
def live(record, acme, acme_contracts, monkeypatch):
    monkeypatch.setenv("ACME_API_KEY", ACME_KEY)
    folder = acme_contracts()

    def run(*arguments: str):
        where = ("--contracts", str(folder), "--base-url", acme.url)
        return record("acme/voice-1", "--live", *where, *arguments)

    return run


def test_the_emulator_is_recorded_once(record, tmp_path) -> None:
    status, result, _ = record("pixelapi/voice-design", "--emulated")
    assert status == 0
    assert result["schema"] == "voicegauge/record/2"
    paths = {Path(file["path"]).name for file in result["files"]}
    assert paths == {"voice-design.har", "getSpeechStatus.har"}
    assert all(file["is_written"] and file["provenance"] == "emulated" for file in result["files"])
    assert result["redaction_counts"]["request header authorization"] > 0
    assert result["skip_reason_by_case"] == {}
    assert (result["finding_count"], result["spent_usd"]) == (0, 0)
    status, result, output = record("pixelapi/voice-design", "--emulated")
    assert (status, result["files"]) == (0, [])
    assert "nothing is missing or stale" in output
    assert cli.run(["check", "pixelapi", "--recordings", str(tmp_path / "fixtures")]) == 0


def test_server_errors_may_have_been_charged_also_if_they_were_recorded(live, acme, tmp_path) -> None:
    acme.status_of_all = 500
    status, first, output = live()
    assert status == 3
    assert "acme/voice-1: a full delivery: server_error: HTTP 500" in output
    assert first["skip_reason_by_case"]["acme/voice-1: a full delivery"].startswith("server_error: HTTP 500")
    lost = {one["sample_or_case_id"] for one in first["ambiguous_requests"]}
    assert len(lost) == len(acme.keys) == 4
    _, again, _ = live("--yes")
    assert again["spent_by_earlier_runs_usd"] == pytest.approx(first["spent_usd"])
    assert len(acme.keys) == 4
    acme.status_of_all = None
    status, _, _ = live("--yes", "--retry-ambiguous")
    assert (status, len(acme.keys)) == (0, 8)
    statuses = {exchange.response.status for exchange in load_har(tmp_path / "fixtures/acme/voice-1.har").exchanges}
    assert 500 not in statuses, "what may be paid for again replaces what was recorded"
    assert "left an ambiguous request" in live("--yes", "--retry-ambiguous")[2]


def test_missing_cases_are_added_and_the_others_unchanged(record, tmp_path) -> None:
    record("pixelapi/voice-design", "--emulated")
    path = tmp_path / "fixtures" / "pixelapi" / "voice-design.har"
    document = json.loads(path.read_text())
    entries = document["log"]["entries"]
    gone = next(entry["_conversation"] for entry in entries if "delivery" not in entry["_conversation"])
    document["log"]["entries"] = [entry for entry in entries if entry["_conversation"] != gone]
    path.write_text(json.dumps(document))
    before = load_har(path).exchanges
    status, _, output = record("pixelapi/voice-design", "--emulated")
    assert status == 2
    assert "would overwrite 1 recording" in output
    assert "--yes" in output
    status, result, _ = record("pixelapi/voice-design", "--emulated", "--yes")
    (file,) = result["files"]
    assert (status, file["case_count"]) == (0, 1)
    assert file["changes"] == {
        "added_count": 1,
        "removed_count": 0,
        "changed_count": 0,
        "unchanged_count": len(before),
        "differing_fields": [],
    }
    assert load_har(path).exchanges[: len(before)] == before


@pytest.mark.slow
def test_equal_seeds_give_equal_recordings_but_for_times(record) -> None:
    record("pixelapi/voice-design", "--emulated")
    _, result, _ = record("pixelapi/voice-design", "--emulated", "--refresh", "all", "--yes")
    fields = {field for file in result["files"] for field in file["changes"]["differing_fields"]}
    assert fields <= {"getSpeechStatus response /created_at", "getSpeechStatus response /completed_at"}
    _, result, _ = record("pixelapi/voice-design", "--emulated", "--refresh", "all", "--yes", "--seed", "1")
    fields = {field for file in result["files"] for field in file["changes"]["differing_fields"]}
    assert "generateSpeech response /id" in fields


def test_a_live_service_is_recorded_within_its_budget_and_without_its_key(live, acme, tmp_path) -> None:
    status, result, output = live()
    assert status == 0
    assert "live: " in output
    (file,) = result["files"]
    recording = load_har(Path(file["path"]))
    assert recording.provenance is Provenance.RECORDED
    assert {e.request.url.rpartition("/")[0] for e in recording.exchanges} == {"https://api.acme.example"}
    assert {e.conversation_id.partition(": ")[2] for e in recording.exchanges} >= {
        "a full delivery",
        "a request without a key",
    }
    assert result["spent_usd"] == pytest.approx(0.001)
    assert acme.keys.count(f"Bearer {ACME_KEY}") > 0
    for path in (tmp_path / "fixtures").rglob("*.*"):
        assert find_secret_spelling(path.read_bytes(), [ACME_KEY]) is None
    requests = len(acme.keys)
    assert live()[0] == 0
    assert len(acme.keys) == requests


@pytest.mark.parametrize(
    ("key", "path", "reason"),
    [
        (ACME_KEY, "/wrong", "status 404: check the base URL; nothing was recorded"),
        ("a-wrong-key", "", "status 401: check the key; nothing was recorded"),
    ],
)
def test_a_wrong_url_or_key_is_named_and_leaves_no_recording(
    record, acme, acme_contracts, monkeypatch, tmp_path, key, path, reason
) -> None:
    monkeypatch.setenv("ACME_API_KEY", key)
    where = ("--contracts", str(acme_contracts()), "--base-url", acme.url + path)
    status, result, output = record("acme/voice-1", "--live", *where)
    assert (status, result) == (2, None)
    assert reason in output
    assert [file for file in (tmp_path / "fixtures").rglob("*") if file.is_file()] == []


def test_a_check_finds_what_was_recorded_in_the_working_directory(acme_contracts, monkeypatch, tmp_path, capfd) -> None:
    monkeypatch.chdir(tmp_path)
    contracts = ("--contracts", str(acme_contracts()))
    assert cli.run(["record", "acme/voice-1", "--emulated", *contracts]) == 0
    capfd.readouterr()
    assert cli.run(["check", "acme", *contracts]) == 0
    assert "EMULATED" in capfd.readouterr().out


def test_a_contract_that_replaces_a_bundled_one_is_checked_with_own_recordings_only(
    acme_contracts, monkeypatch, tmp_path, capfd
) -> None:
    monkeypatch.chdir(tmp_path)
    path = acme_contracts() / "acme" / "openapi.yaml"
    text = path.read_text().replace("  id: acme\n", "  id: pixelapi\n").replace("ACME_API_KEY", "PIXELAPI_KEY")
    path.write_text(text.replace("https://api.acme.example", "https://api.pixelapi.dev"))
    assert cli.run(["check", "pixelapi", "--contracts", str(path)]) == 3  # the bundled recordings are not its own
    assert cli.run(["record", "pixelapi/voice-1", "--emulated", "--contracts", str(path)]) == 0
    capfd.readouterr()
    assert cli.run(["check", "pixelapi", "--contracts", str(path)]) == 0
    assert "EMULATED" in capfd.readouterr().out


def test_own_recordings_take_precedence_over_bundled_ones(tmp_path, monkeypatch) -> None:
    bundled, own = tmp_path / "bundled" / "acme", tmp_path / "fixtures" / "acme"
    for folder, names in ((bundled, ("a", "b")), (own, ("b", "c"))):
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.har").touch()
    monkeypatch.chdir(tmp_path)
    found = find_provider_recordings("acme", tmp_path / "bundled")
    assert found == [Path("fixtures/acme/b.har"), Path("fixtures/acme/c.har"), bundled / "a.har"]


def test_a_plan_above_the_budget_sends_nothing(live, acme) -> None:
    status, _, output = live("--max-cost", "0.0001")
    assert status == 4
    assert "more than --max-cost" in output
    assert acme.keys == []


def test_without_a_terminal_nothing_is_sent_for_a_file_that_may_not_be_overwritten(live, acme) -> None:
    live()
    requests = len(acme.keys)
    status, _, output = live("--refresh", "all")
    assert status == 2
    assert "--yes" in output
    assert len(acme.keys) == requests


def test_a_case_without_a_verdict_is_not_recorded(live, acme, tmp_path) -> None:
    acme.status_of_all = 402
    status, result, _ = live()
    assert "no credit" in list(result["skip_reason_by_case"].values())[1]
    written = [load_har(path) for path in (tmp_path / "fixtures").rglob("*.har")]
    assert not any("delivery" in e.conversation_id for recording in written for e in recording.exchanges)
    assert (status, written) == (3, [])


@pytest.mark.parametrize(("error_status", "outcome"), [(429, "rate_limited"), (500, "server_error")])
def test_a_recording_of_error_responses_alone_does_not_pass(live, acme, error_status, outcome) -> None:
    acme.status_of_all = error_status
    status, result, output = live()
    assert (status, list(result["first_failure_by_target"])) == (3, ["acme/voice-1"])
    assert f"acme/voice-1: a full delivery: {outcome}: HTTP {error_status}" in output


def test_the_emulator_is_not_recorded_as_live(record, voicegauge_emulator, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("PIXELAPI_KEY", "emulated-key")
    where = ("--base-url", voicegauge_emulator.base_url("pixelapi"), "--price", "pixelapi/voice-design=0.001")
    before = _read_journal(voicegauge_emulator)
    status, _, output = record("pixelapi/voice-design", "--live", *where)
    assert status == 2
    assert "is the emulator: record it with --emulated" in output
    assert _read_journal(voicegauge_emulator) == before, "nothing is sent"
    assert not (tmp_path / "fixtures").exists()


def _read_journal(emulator) -> object:
    with urllib.request.urlopen(f"{emulator.control_url}/journal", timeout=30) as response:  # noqa: S310 - loopback
        return json.load(response)


def test_an_emulator_that_is_reached_in_another_way_is_recognized_by_its_first_response(live, acme, tmp_path) -> None:
    acme.server_header = SERVER_HEADER_VALUE
    status, _, output = live()
    assert (status, len(acme.keys)) == (2, 1)
    assert "the emulator that responded: nothing is written" in output
    assert not list(tmp_path.rglob("*.har"))
    assert not list(tmp_path.rglob("journal.jsonl")), "the emulator charges nothing"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["pixazo"], "--live (it costs money) or --emulated"),
        (["pixazo", "--live", "--emulated"], "--live and --emulated exclude each other"),
        (["pixazo", "--emulated", "--base-url", "http://127.0.0.1:1"], "--base-url goes with --live"),
        (["pixazoo", "--emulated"], "did you mean pixazo"),
    ],
)
def test_a_usage_error_is_one_line(record, arguments, words) -> None:
    status, _, output = record(*arguments)
    assert status == 2
    assert words in output
    assert len(output.splitlines()) == 1


def _on_a_terminal(folder: Path, answer: str) -> str:
    """Record everything again on a terminal at which `answer` is typed."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "voicegauge", "record", "pixelapi/voice-design", "--emulated"]
    os.write(leader, f"{answer}\n".encode())
    done = subprocess.run(
        [*command, "--refresh", "all", "--seed", "5", "--out", str(folder)],
        stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, check=False, start_new_session=True, timeout=120,
    )  # fmt: skip
    os.close(follower)
    os.close(leader)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count("Overwrite it?") == 1  # the other file only differs in its times
    assert "changed: getSpeechStatus" in done.stdout
    return done.stdout


@pytest.mark.slow
def test_a_terminal_shows_the_difference_and_asks_for_confirmation(record, tmp_path) -> None:
    record("pixelapi/voice-design", "--emulated")
    folder = tmp_path / "fixtures"
    before = (folder / "pixelapi" / "voice-design.har").read_bytes()
    assert "left " in _on_a_terminal(folder, "n")
    assert (folder / "pixelapi" / "voice-design.har").read_bytes() == before
    assert "wrote " in _on_a_terminal(folder, "y")
    assert (folder / "pixelapi" / "voice-design.har").read_bytes() != before
